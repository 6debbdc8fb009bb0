"""The engine: a policy and its surroundings, called with a batch."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeAlias, TypedDict, TypeVar, Unpack, cast, overload

import numpy as np
import torch

from .. import kernels
from ..aliases import (
    BoxArray,
    Executor,
    Ids,
    Images,
    Labels,
    Layout,
    Occurrences,
    Sizes,
    Strength,
    StrengthSchedule,
)
from ..checks import number, whole_number
from ..decoding import Decode, DecodeOptions
from ..kernels import Sources
from ..plan import Plan
from ..plan.join import of_no_samples
from ..plan.kinds import DTYPES
from ..policy.ops.op import Op
from ..policy.policy import DType, Policy, checked_ids
from ..policy.strengths import Uniform, strength_of
from ..policy.views import Views
from ..targets.follow import Target
from ..targets.options import TargetOptions
from .batch import Batch, BatchOfViews
from .clips import folded, frames_into, frames_of, repeated
from .keys import Keys, keys_of
from .labels import batch_labels, join_labels
from .launches import Launch, Look, draw_launches, group_looks
from .passes import Passes
from .targets import boxes_for, followed, join_targets

Device: TypeAlias = torch.device | str | int
# The plans of Views, by their names; a list where a name has several.
PlansOfViews: TypeAlias = dict[str, Plan | list[Plan]]
# Targets of B images: one for each, or masks (B, H, W).
Targets: TypeAlias = Sequence[Target] | torch.Tensor | np.ndarray
# What is made of a policy: Batch, and of Views BatchOfViews.
BatchType = TypeVar("BatchType", bound=Batch | BatchOfViews)


class DrawOptions(TypedDict, total=False):
    """The options of an engine, but for the device."""

    seed: int
    dtype: torch.dtype
    memory_format: torch.memory_format
    layout: Layout | None
    num_classes: int | None
    label_smoothing: float
    strength: StrengthSchedule
    executor: Executor | None
    target_options: TargetOptions | None
    decode: Decode | DecodeOptions | None


class EngineOptions(DrawOptions, total=False):
    """The options of an engine, which `Collate` and `pack` take too."""

    device: Device | None


class Engine(Generic[BatchType]):
    """Decide and draw: `engine(images, labels, ids=ids, epoch=epoch)` gives a `Batch`.

    With ids and an epoch the call is a function: it gives the same batch whenever it is made. What is
    not named is never silently the same: without an epoch, or without ids, each call draws anew.

    Args:
        policy: Policy, or ops to make one of, or Views of several (the call gives a `BatchOfViews`).
        seed: Whole number of 64 bits; with epoch and sample id it keys all random numbers.
        dtype: Dtype of the output, torch.float32, float16, bfloat16 or uint8 (values 0 … 255, no
            Normalize).
        device: Device where the batch is wanted; None is where the images are.
        memory_format: Layout of the output, torch.contiguous_format or torch.channels_last.
        layout: Order of the dimensions of images that come, 'NCHW' or 'NHWC'; None reads tensors as
            (B, C, H, W), and arrays as (B, H, W, C).
        num_classes: Number of classes, 1 or more, for labels that are ints. They are checked against it,
            and become soft where the policy mixes or labels are smoothed; else they stay ints. None is
            what the policy's mixes say, if they do.
        label_smoothing: Share in [0, 1] of each label that is spread over the classes.
        strength: Share in [0, 1] of every magnitude that is used, or a function (epoch, ids) → such a
            number, or one for each id: a `Ramp`, for one, or a `Uniform`, which draws it. It is an
            attribute as well: change it when you like, nothing is compiled for it.
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.
        target_options: Which boxes, masks and keypoints stay, and how they are written; None is
            `TargetOptions()`.
        decode: How encoded images are decoded, 'scaled', 'exact' or `DecodeOptions`; None is 'scaled'.

    Raises:
        TypeError: An argument is of another type.
        ValueError: An argument is outside its range.

    Example:
        >>> engine = ae.Engine([ae.RandomResizedCrop(32), ae.CutMix()], num_classes=10)
        >>> images = torch.zeros(4, 3, 40, 48, dtype=torch.uint8)
        >>> batch = engine(images, [1, 2, 3, 4], ids=range(4), epoch=0)
        >>> batch.images.shape, batch.labels.shape
        (torch.Size([4, 3, 32, 32]), torch.Size([4, 10]))
    """

    @overload
    def __init__(
        self: Engine[Batch], policy: Policy | Op | Sequence[Op], **options: Unpack[EngineOptions]
    ) -> None: ...
    @overload
    def __init__(
        self: Engine[BatchOfViews], policy: Views, **options: Unpack[EngineOptions]
    ) -> None: ...
    def __init__(
        self,
        policy: Policy | Op | Sequence[Op] | Views,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: Device | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
        layout: Layout | None = None,
        num_classes: int | None = None,
        label_smoothing: float = 0.0,
        strength: StrengthSchedule = 1.0,
        executor: Executor | None = None,
        target_options: TargetOptions | None = None,
        decode: Decode | DecodeOptions | None = None,
    ) -> None:
        self.policy = policy if isinstance(policy, Views) else Policy(policy)
        self.seed = whole_number("Engine: seed", seed, -(2**63), 2**64 - 1)
        self.dtype = dtype
        self.device = None if device is None else torch.device(device)
        self.memory_format = memory_format
        self.layout = layout
        self.num_classes = (
            None
            if num_classes is None
            else whole_number("Engine: num_classes", num_classes, 1, 2**31 - 1)
        )
        for of_policy in (policy.num_classes for policy in self._policies()):
            if of_policy is None:
                continue
            if self.num_classes not in (None, of_policy):
                raise ValueError(
                    f"Engine: got num_classes={self.num_classes}, and {of_policy} of a mix or another view, "
                    "expected one number. Leave it out of the mixes."
                )
            self.num_classes = of_policy
        self.label_smoothing = number("Engine: label_smoothing", label_smoothing, 0, 1)
        self.strength = strength
        self.executor = executor
        if not isinstance(target_options, (TargetOptions, type(None))):
            raise TypeError(
                f"Engine: got target_options={target_options!r:.80}, expected TargetOptions or None. Pass "
                "ae.TargetOptions(…)."
            )
        self.target_options = target_options
        self.decode = DecodeOptions.of("Engine", decode)
        self._passes = Passes("Engine")
        if _dtype_name(dtype) not in DTYPES:
            raise ValueError(
                f"Engine: got dtype {dtype}, expected torch.{', torch.'.join(DTYPES)}. Pass one of "
                "these."
            )
        if memory_format not in (torch.contiguous_format, torch.channels_last):
            raise ValueError(
                f"Engine: got {memory_format}, expected torch.contiguous_format or torch.channels_last. "
                "Leave it out for NCHW."
            )
        if layout not in (None, "NCHW", "NHWC"):
            raise ValueError(
                f"Engine: got layout {layout!r}, expected 'NCHW' or 'NHWC'. Leave it out for tensors "
                "(B, C, H, W) and arrays (B, H, W, C)."
            )
        if executor not in (None, *kernels.EXECUTORS):
            raise ValueError(
                f"Engine: got executor {executor!r}, expected one of {', '.join(kernels.EXECUTORS)}. "
                "Leave it out to have one chosen."
            )

    @property
    def strength(self) -> StrengthSchedule:
        return self._strength

    @strength.setter
    def strength(self, value: StrengthSchedule) -> None:
        self._strength = value if callable(value) else number("Engine: strength", value, 0, 1)

    def plan(
        self,
        sizes: Sizes,
        ids: Ids | Keys | None = None,
        epoch: int | None = None,
        *,
        look: int = 0,
        channels: int = 3,
        image_dtype: str | torch.dtype = "uint8",
        strength: Strength | None = None,
        occurrences: Occurrences | None = None,
        partners: tuple[Sizes, Ids | Keys | None] | None = None,
        boxes: Sequence[BoxArray] | None = None,
    ) -> Plan | PlansOfViews:
        """Say what would happen to images of these sizes; no pixel is read.

        Args:
            sizes: Heights and widths [n, 2] of the images, in pixels.
            ids: Identities [n] of the samples, ints or names (str or bytes), or their `Keys`; None
                numbers samples as they come, and warns.
            epoch: Whole number, 0 or more. None is that of the Keys. Where nobody names it, an id that
                comes to this engine again is another draw each time (in a DataLoader's workers, of
                epochs that its seed names), and one warning says so.
            look: Number of this look among several at the same samples; of Views that of the first.
            channels: Number of channels of the images.
            image_dtype: Dtype of the images, or its name, by which fills, thresholds and values are read.
            strength: Share in [0, 1] of every magnitude, one number or [n]; None is the engine's.
            occurrences: Number of times [n] that each id has come before in the epoch; None is that of
                the Keys, or counts within these ids.
            partners: Sizes and ids of a second batch, from which mixes take their partners.
            boxes: Boxes [k, 4] of each image, x0, y0, x1, y1 in its pixels, for policies with an op that
                looks at them, as `RandomIoUCrop` does; those of partners come last.

        Returns:
            The plan; for Views a dict of them by name, a list where a name has several.

        Raises:
            ValueError: As `Policy.sample` does; or nobody names the epoch, and strength is a function of
                it or the policy has a `DuringEpochs` or `Scheduled`.
        """
        if occurrences is not None and (
            ids is None or (epoch is None and not isinstance(ids, Keys))
        ):
            raise ValueError(
                "Engine: got occurrences without ids or without an epoch, expected all three, since they "
                "count an id in an epoch. Pass ids= and epoch=."
            )
        sizes = np.asarray(sizes)  # which is read several times
        ids, occurrences, epoch, named = self._keys(ids, occurrences, epoch, sizes)
        if not named:
            self.check_epoch("Engine", strength is not None)
        if strength is None:
            strength = strength_of(self.strength, self.seed, epoch, ids, occurrences)
        others = None
        if partners is not None:
            their_sizes, named_ids = partners
            their_ids, theirs, _, _ = self._keys(
                named_ids, None, epoch if named else None, their_sizes
            )
            others = (their_ids, their_sizes, theirs)

        def sample(policy: Policy, number: int, frame: tuple[int, int] | None = None) -> Plan:
            if frame is not None and policy.needs_boxes:
                raise ValueError(
                    "Engine: got an op inside another view that looks at boxes, expected none there, since "
                    "boxes are those of the images. Put it into the view outside."
                )
            return policy.sample(
                ids,
                sizes if frame is None else [frame] * len(sizes),
                seed=self.seed,
                epoch=epoch,
                look=look + number,
                channels=channels,
                image_dtype=image_dtype,
                strength=None if np.ndim(strength) == 0 and strength == 1 else strength,
                occurrences=occurrences,
                partners=others if frame is None else None,
                boxes=boxes if policy.needs_boxes else None,
                dtype=_dtype_name(self.dtype),
                channels_last=self.memory_format == torch.channels_last,
            )

        if isinstance(self.policy, Policy):
            return sample(self.policy, 0)
        return self.policy.plans(sample)

    def plan_of_none(self, sources: Sources) -> Plan | PlansOfViews:
        """What would happen to an empty batch: nothing, and the batch that it makes has the size, channels
        and dtype of one of such images.

        Args:
            sources: Images, of which there are none.
        """
        size = sources.some.shape[-3:-1]
        boxes = [np.zeros((0, 4))] if any(p.needs_boxes for p in self._policies()) else None
        plan = self.plan(
            [size],
            [0],
            0,
            channels=sources.channels,
            image_dtype=sources.image_dtype,
            boxes=boxes,
        )
        if isinstance(plan, Plan):
            return of_no_samples(plan)
        return {
            name: of_no_samples(of) if isinstance(of, Plan) else [*map(of_no_samples, of)]
            for name, of in plan.items()
        }

    def __call__(
        self,
        images: Images | Sources,
        labels: Labels | None = None,
        *,
        targets: Targets | None = None,
        ids: Ids | Keys | None = None,
        epoch: int | None = None,
        strength: Strength | None = None,
        occurrences: Occurrences | None = None,
        partners: tuple[Images | Sources, Labels | None]
        | tuple[Images | Sources, Labels | None, Ids | Keys | None]
        | tuple[Images | Sources, Labels | None, Ids | Keys | None, Targets | None]
        | None = None,
        out: torch.Tensor | Callable[[Plan], torch.Tensor] | None = None,
        layout: Layout | None = None,
    ) -> BatchType:
        """Augment a batch.

        Args:
            images: Batch (B, C, H, W) as a tensor, (B, H, W, C) as an array, or a list of images of any
                sizes, of any dtype that `Sources.of` takes, or of encoded ones. Or clips (B, T, C, H, W),
                whose frames all follow one plan, or a list of clips (T, C, H, W). Of an empty batch comes
                an empty one.
            labels: Class numbers [B], or soft labels [B, num_classes] as floats.
            targets: Targets [B] that follow the images, as `follow` takes them: dicts of boxes, labels,
                masks or keypoints, boxes or keypoints of torchvision's classes, or masks.
            ids: Identities [B] of the samples, ints or names (str or bytes), or their `Keys`; None
                numbers samples as they come, and warns.
            epoch: Whole number, 0 or more. None is that of the Keys. Where nobody names it, an id that
                comes to this engine again is another draw each time (in a DataLoader's workers, of
                epochs that its seed names), and one warning says so.
            strength: Share in [0, 1] of every magnitude, one number or [B]; None is the engine's.
            occurrences: Number of times [B] that each id has come before in the epoch; None is that of
                the Keys, or counts within these ids.
            partners: Images and labels of a second batch, labelled or pseudo-labelled, its ids and its
                targets, which mixes take their partners from.
            out: Tensor to write the images into; for Views a function of a plan that gives one. (Of
                clips that plan is of all frames, one after the other.)
            layout: Order of the images' dimensions, 'NCHW' or 'NHWC'; None is the engine's.

        Returns:
            The batch; for Views a BatchOfViews. Of clips the images are (N, T, C, H, W), and labels,
            targets and plan are those of the N clips; `batch.plan.repeat(T)` is the plan of the frames.
            Without labels the batch is `images, targets = batch`; beside them targets are
            `batch.targets`.

        Raises:
            TypeError: Images, labels, targets or numbers are of another type.
            ValueError: They do not fit each other, or the policy.
        """
        images, frames = frames_of(images)
        sources = self._sources(images, layout)
        pool, others = None, None
        if partners is not None:
            their_images, their_labels, their_ids, their_targets = (*partners, None, None)[:4]
            their_images, their_frames = frames_of(their_images)
            if frames != their_frames:
                raise ValueError(
                    f"Engine: got partners of {their_frames or 'no'} frames, the batch's clips have "
                    f"{frames or 'none'}, expected the same. Take as many frames of each."
                )
            others = self._sources(their_images, layout)
            pool = (others.sizes[:: frames or 1], their_ids)
            if targets is not None:
                targets = join_targets(targets, their_targets)
        sizes = sources.sizes[:: frames or 1]
        every = sizes if pool is None else np.concatenate([sizes, pool[0]])
        plan = (
            self.plan(
                sizes,
                ids,
                epoch,
                channels=sources.channels,
                image_dtype=sources.image_dtype,
                strength=strength,
                occurrences=occurrences,
                partners=pool,
                boxes=self.boxes(every, targets),
            )
            if len(sources)
            else self.plan_of_none(sources)
        )
        if others is not None:
            sources = sources.followed_by(others)
            if labels is not None:
                labels = join_labels(labels, their_labels)
        if frames is None:
            return self.draw(plan, sources, labels, targets=targets, out=out)
        launches = self.launches(plan, labels, targets)
        into = frames_into(out) if isinstance(out, torch.Tensor) else out
        batch = draw_launches(repeated(launches, frames), sources, executor=self.executor, out=into)
        return cast(BatchType, folded(batch, launches, frames))

    def draw(
        self,
        plan: Plan | PlansOfViews,
        sources: Sources,
        labels: Labels | None = None,
        *,
        targets: Targets | None = None,
        out: torch.Tensor | Callable[[Plan], torch.Tensor] | None = None,
    ) -> BatchType:
        """Carry out what `plan` gave: the images drawn, the labels as they are mixed, the targets where they
        lie then.

        Args:
            plan: Plan, or plans of Views, from this engine's `plan`.
            sources: Images that it was made for.
            labels: Class numbers [B], or soft labels [B, num_classes].
            targets: Targets [B], as in a call.
            out: Tensor to write into; for Views a function of a plan that gives one.

        Returns:
            The batch; for Views a BatchOfViews.
        """
        if out is not None and not callable(out) and not isinstance(plan, Plan):
            raise TypeError(
                f"Engine: got out={type(out).__name__} with Views, expected a function of a plan that "
                "gives a tensor, since views may differ in size. Leave it out."
            )
        launches = self.launches(plan, labels, targets)
        batch = draw_launches(launches, sources, executor=self.executor, out=out)
        return cast(BatchType, batch)

    def launches(
        self,
        plan: Plan | PlansOfViews,
        labels: Labels | None = None,
        targets: Targets | None = None,
    ) -> tuple[Launch, ...]:
        """What there is to draw of what `plan` gave, and the labels and targets that come with it.

        Args:
            plan: Plan, or plans of Views, from this engine's `plan`.
            labels: Class numbers [B], or soft labels [B, num_classes].
            targets: Targets [B], as in a call.

        Returns:
            The launches, each of all looks that have one size, dtype and normalisation.
        """
        looks: list[tuple[str | None, int | None, Policy, Plan]]
        if isinstance(self.policy, Policy):
            looks = [(None, None, self.policy, cast(Plan, plan))]
        else:
            plans = cast(PlansOfViews, plan)
            looks = [
                (name, at, policy, cast(Plan, plans[name]) if at is None else plans[name][at])  # type: ignore[index]
                for name, at, policy in self.policy.each()
            ]
        return group_looks(
            [
                Look(
                    number_of_look,
                    name,
                    at,
                    of_look,
                    None
                    if labels is None
                    else batch_labels(
                        of_look, labels, self.num_classes, self.label_smoothing, self._softens()
                    ),
                    policy.after,
                    None
                    if targets is None
                    else followed(
                        of_look, targets, policy.after, self.target_options, self.executor
                    ),
                )
                for number_of_look, (name, at, policy, of_look) in enumerate(looks)
            ]
        )

    def boxes(
        self, sizes: Sizes, targets: Targets | None, ids: np.ndarray | None = None
    ) -> list[np.ndarray] | None:
        """The boxes that `plan` is to be given for targets; None where no op looks at them.

        Args:
            sizes: Heights and widths [n, 2] of the images, in pixels.
            targets: Targets [n], as in a call.
            ids: Identities [n], for messages.
        """
        if targets is None or not any(policy.needs_boxes for policy in self._policies()):
            return None
        return boxes_for(np.asarray(sizes), targets, self.target_options, ids)

    def _sources(self, images: Images | Sources, layout: Layout | None) -> Sources:
        sources = Sources.of(images, self.layout if layout is None else layout, self.decode)
        return sources if self.device is None else sources.to(self.device)

    def _keys(
        self,
        ids: Ids | Keys | None,
        occurrences: Occurrences | None,
        epoch: int | None,
        sizes: Sizes,
    ) -> tuple[np.ndarray, Occurrences | None, int, bool]:
        """(ids [n], occurrences [n] or None, epoch, whether the epoch was named)."""
        if isinstance(ids, (list, tuple)) and not isinstance(ids, Keys):
            ids = keys_of(ids) or ids
        if isinstance(ids, Keys):
            if epoch is None:
                epoch = ids.epoch
            if occurrences is None:
                occurrences = ids.occurrences.cpu().numpy()
            ids = ids.ids
        if not self.draws():
            numbers = np.arange(len(sizes)) if ids is None else checked_ids(ids, sizes)[0]
            return numbers, occurrences, epoch or 0, True
        numbers = (
            self._passes.numbers(len(sizes), epoch) if ids is None else checked_ids(ids, sizes)[0]
        )
        if epoch is not None:
            return numbers, occurrences, epoch, True
        epoch, counts, _ = self._passes.keys(numbers, None)
        return numbers, counts, epoch, False

    def check_epoch(self, where: str, strength_given: bool = False) -> None:
        """Refuse a batch whose epoch nobody has named, where something depends on it.

        Args:
            where: Name of what the user called, for the message.
            strength_given: Whether the batch has a strength of its own, so that no function is asked.

        Raises:
            ValueError: Strength is a function, or the policy has a `DuringEpochs` or `Scheduled`.
        """
        what = None
        drawn = isinstance(self.strength, Uniform)  # as its other draws are, epoch or not
        if callable(self.strength) and not drawn and not strength_given:
            what = "a strength that is a function of the epoch"
        elif any(policy.needs_epoch for policy in self._policies()):
            what = "ops that follow the epoch"
        if what is not None:
            raise ValueError(
                f"{where}: got {what}, and no epoch, expected one, or they could not follow it. Name it: "
                "epoch=, or set_epoch(epoch) before each pass."
            )

    def draws(self) -> bool:
        """Whether its policies or its strength leave anything to chance: if not, batches depend on no id
        and no epoch."""
        return isinstance(self.strength, Uniform) or any(
            policy.draws for policy in self._policies()
        )

    def _policies(self) -> list[Policy]:
        if isinstance(self.policy, Policy):
            return [self.policy]
        return [policy for _, _, policy in self.policy.each()]

    def _softens(self) -> bool:
        """Whether labels become soft: by the policy and not by one batch's random numbers, so that a
        loader's batches are all of one kind."""
        return self.label_smoothing > 0 or any(policy.mixes for policy in self._policies())

    def __repr__(self) -> str:
        device = self.device or "the images' device"
        executor = self.executor or (
            "cpu for CPU images, gpu for CUDA ones where triton is, torch otherwise"
            if self.device is None
            else kernels.choose(self.device)
        )
        return (
            f"Engine({self.policy!r},\n  seed={self.seed}, dtype={self.dtype}, device={device}, "
            f"memory_format={self.memory_format}, num_classes={self.num_classes}, executor: {executor})"
        )


def as_engine(
    where: str,
    policy: Engine[BatchType] | Policy | Op | Sequence[Op] | Views,
    options: Mapping[str, object],
) -> Engine[BatchType]:
    """An Engine as it is, or one of a policy and options. where: the name that the user called."""
    known = EngineOptions.__annotations__
    for name in options:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1, 0)[0]
            raise TypeError(
                f"{where}: got the keyword {name!r}, expected some of {', '.join(known)}. The nearest is "
                f"{nearest!r}."
            )
    if not isinstance(policy, Engine):
        return Engine(policy, **options)  # type: ignore[call-overload]
    if options:
        raise TypeError(
            f"{where}: got an Engine and {', '.join(options)}, expected options with a policy only, "
            "since an engine has its own. Give them to the Engine."
        )
    return policy


def _dtype_name(dtype: torch.dtype) -> DType:
    return cast(DType, str(dtype).removeprefix("torch."))
