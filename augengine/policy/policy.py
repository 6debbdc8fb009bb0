"""The policy: what may happen, and how strongly. Sampled by key, it gives a plan."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from ..aliases import BoxArray, Ids, Occurrences, Sizes, Strength
from ..checks import any_true, whole_number
from ..plan import Finish, Plan, html
from ..plan.kinds import DTYPES, MOST_SIDE
from . import calls, ops, yaml
from .boxes import checked_boxes
from .draft import Draft
from .keyed import MOST_OCCURRENCES, Keyed, count_repeats, ids_of_names
from .ops.arguments import PADDING_MODES
from .ops.choosing import check_extent, check_order, checked_ops
from .ops.op import Op
from .ops.unfused import CountsChannels, Unfused, after_of, whole_batch
from .units import Units, dtype_name, share

MIXES = (ops.CutMix, ops.MixUp, ops.MixUpOrCutMix, ops.Mosaic)
DType = Literal["float32", "float16", "bfloat16", "uint8"]
T = TypeVar("T")


class Policy:
    """Ops in order: geometry and colour, then mixes and erasing, Normalize and any Stage at the end.

    Args:
        transforms: An op, a sequence of ops, or a Policy. No ops at all leave images as they are.

    Raises:
        TypeError: Something in it is no op.
        ValueError: The order is impossible, or ops disagree on fill, interpolation or padding_mode (a
            view is sampled once, so they share one).

    Example:
        >>> policy = ae.Policy([ae.RandomResizedCrop(224), ae.RandomHorizontalFlip(), ae.CutMix()])
        >>> plan = policy.sample([8, 9], [(300, 400), (500, 400)], epoch=3)
        >>> plan.explain(0)
        'crop 120×118 at (65, 53) → 224×224, 27 % of sample 9 pasted at (113, 0)'
        >>> plan.shape
        (2, 3, 224, 224)
    """

    transforms: tuple[Op, ...]

    def __init__(self, transforms: Policy | Op | Sequence[Op]) -> None:
        if isinstance(transforms, Policy):
            transforms = transforms.transforms
        self.transforms = checked_ops("Policy", transforms)
        check_extent("Policy", self.transforms)
        check_order("Policy", self.transforms)
        top = self.top
        normalizes = [op for op in self._every() if isinstance(op, ops.Normalize)]
        for op in self._every():
            if whole_batch(op) and id(op) not in map(id, top):
                name = type(op).__name__
                raise ValueError(
                    f"Policy: {name} stands inside another op, expected it at the top, since it takes the "
                    "whole finished batch. Move it to the end of the policy."
                )
        if len(normalizes) > 1:
            raise ValueError(
                f"Policy: got {len(normalizes)} Normalize, expected one at most, since one normalisation "
                "holds for the whole batch. Leave the others out."
            )
        if not set(map(id, normalizes)) <= set(map(id, top)):
            raise ValueError(
                "Policy: Normalize stands inside another op, expected it at the top, since one "
                "normalisation holds for the whole batch. Move it to the end of the policy."
            )
        behind = top[top.index(normalizes[0]) :] if normalizes else ()
        for op in behind:
            if isinstance(op, Unfused) and op.colours:
                raise ValueError(
                    f"Policy: {type(op).__name__} comes after Normalize, expected it before, since it takes "
                    "values for colours. Move Normalize behind it."
                )
        if len(said := {getattr(op, "num_classes", None) for op in self._every()} - {None}) > 1:
            raise ValueError(
                f"Policy: got mixes of {' and '.join(sorted(map(str, said)))} classes, expected one number. "
                "Give them the same num_classes, or none."
            )
        for op in self._every():
            inside = () if isinstance(op, ops.Compose) else op.children
            for child in (deep for one in inside for deep in one.with_children()):
                if getattr(child, "converts_to", None):
                    raise ValueError(
                        f"Policy: {type(child).__name__} stands inside {type(op).__name__}, expected it at the "
                        "top, since all images of a batch have one dtype. Move it out."
                    )
        # What the last call took of random numbers, so that the next works them out in one go.
        self._block_counts: dict[int, int] = {}
        fills, self._converts_to = _fills(self.transforms, None)
        self._fills = tuple(fills)
        self._check_fills()
        self._interpolation = self._agreed("interpolation", "bilinear")
        self._border = PADDING_MODES.index(self._agreed("padding_mode", "constant"))

    def _every(self) -> list[Op]:
        """All ops, those inside others too."""
        return [op for top in self.transforms for op in top.with_children()]

    @property
    def top(self) -> tuple[Op, ...]:
        """The ops in order, where all of them stand in one Compose those."""
        top = self.transforms
        return top[0].children if len(top) == 1 and isinstance(top[0], ops.Compose) else top

    @cached_property
    def after(self) -> tuple[Unfused, ...]:
        """What is applied to the finished batch, unfused."""
        return after_of(self.top)

    def _agreed(self, name: str, default: Any) -> Any:
        """The one value that the ops give an argument, None meaning that an op does not mind."""
        values = {
            v: type(op).__name__
            for op in self._every()
            if (v := getattr(op, name, None)) is not None and not isinstance(op, Unfused)
        }
        if len(values) > 1:
            arguments = " and ".join(f"{op}({name}={value!r})" for value, op in values.items())
            raise ValueError(
                f"Policy: got {arguments}, expected one {name} in a policy, since all its geometry is "
                "one interpolation. Give these ops the same."
            )
        return next(iter(values), default)

    def _check_fills(self) -> None:
        """Raise ValueError if fills agree for images of no dtype."""
        error = None
        for image_dtype in ("uint8", "float32", "uint16", "int16"):
            try:
                self._fill(image_dtype, above=math.inf)
                return
            except ValueError as disagreement:
                error = error or disagreement
        assert error is not None
        raise error

    def _fill(self, image_dtype: str, above: float = 0) -> float | tuple[float, ...]:
        """The one fill that the ops give, as shares of the full range; image_dtype: of what comes."""
        fills: dict[float | tuple[float, ...], tuple[str, Units]] = {}
        for name, value, converted in self._fills:
            fills.setdefault(
                share(f"{name}.fill", value, converted or image_dtype, above), (name, value)
            )
        if len(fills) > 1:
            (name, value), *_, (other, last) = fills.values()
            raise ValueError(
                f"Policy: got {name}(fill={value!r}) and {other}(fill={last!r}), expected one fill in a "
                "policy, since all its geometry is one interpolation. Give these ops the same."
            )
        return next(iter(fills), 0.0)

    def sample(
        self,
        ids: Ids,
        sizes: Sizes,
        *,
        seed: int = 0,
        epoch: int = 0,
        look: int = 0,
        channels: int = 3,
        image_dtype: str | torch.dtype = "uint8",
        strength: Strength | None = None,
        occurrences: Occurrences | None = None,
        partners: tuple[Ids, Sizes] | tuple[Ids, Sizes, Occurrences | None] | None = None,
        boxes: Sequence[BoxArray] | None = None,
        dtype: DType = "float32",
        channels_last: bool = False,
    ) -> Plan:
        """Decide what happens to each of n samples.

        A sample's part of the plan depends on (policy, seed, epoch, id, occurrence, look, size)
        alone, but for its partners in mixes, and the largest size of the batch in PadToLargest.

        Args:
            ids: Identities [n] of the samples, ints of 64 bits, or names (str or bytes), of which a
                hash of 64 bits is taken.
            sizes: Heights and widths [n, 2] of the images, in pixels, 1 or more.
            seed: Whole number of 64 bits.
            epoch: Whole number, 0 or more.
            look: Number of this look among several at the same samples, 0 … 2³² − 1; each look has
                random numbers of its own.
            channels: Number of channels of the images.
            image_dtype: Dtype of the images, or its name, by which fills, thresholds and values are read:
                'uint8', 'uint16', 'int16', 'bool', or of floats in [0, 1].
            strength: Share in [0, 1] of every magnitude that is used, one number or [n]; None is 1.
            occurrences: Number of times [n] that each id has come before in the epoch, 0 … 2³¹ − 1:
                each time has random numbers of its own. None counts within these ids, from 0.
            partners: Ids and sizes of a second batch, and its occurrences if it has any, from which
                mixes then take their partners; its images come after the first's among the plan's
                sources.
            boxes: Boxes [k, 4] of each source, x0, y0, x1, y1 in its pixels, empty where there are none,
                for an op that looks at them, as RandomIoUCrop does; those of partners come last. None
                where no op does.
            dtype: Name of the output's dtype: 'float32', 'float16', 'bfloat16' or 'uint8'.
            channels_last: Whether the output lies in memory as NHWC.

        Returns:
            The plan, of n outputs.

        Raises:
            TypeError: A number is of another type.
            ValueError: A number is outside its range, ids do not go with sizes, images end at
                different sizes, or an op cannot be applied to them, as where a fill is no value of images
                of their dtype.
        """
        image_dtype = dtype_name("Policy.sample: image_dtype", image_dtype)
        ids, sizes, occurrences = checked_samples(ids, sizes, occurrences)
        if dtype not in DTYPES:
            raise ValueError(
                f"Policy.sample: got dtype {dtype!r}, expected one of {', '.join(DTYPES)}. Pass one."
            )
        if strength is not None:
            strength = np.asarray(strength, float)
            in_range = ((strength >= 0) & (strength <= 1)).all()
            if strength.shape not in ((), ids.shape) or not in_range:
                raise ValueError(
                    f"Policy.sample: got a strength of {list(strength.shape)} from {strength.min():g} to "
                    f"{strength.max():g}, expected one number or [{len(ids)}] in [0, 1]. Pass one for "
                    "each image."
                )
            strength = np.broadcast_to(strength, ids.shape).copy()
        pool = 0
        if partners is not None:
            more_ids, more_sizes, more_occurrences = checked_samples(*partners)
            pool = len(more_ids)
            ids, sizes = np.concatenate([ids, more_ids]), np.concatenate([sizes, more_sizes])
            occurrences = np.concatenate([occurrences, more_occurrences])
            if strength is not None:
                strength = np.concatenate([strength, np.ones(pool)])
        keyed = Keyed(
            whole_number("Policy.sample: seed", seed, -(2**63), 2**64 - 1),
            whole_number("Policy.sample: epoch", epoch, 0, 2**63 - 1),
            ids,
            whole_number("Policy.sample: look", look, 0, 2**32 - 1),
            occurrences if any_true(occurrences) else None,
        )
        keyed.work_out(self._block_counts)
        of_images = None if boxes is None else checked_boxes("Policy.sample", boxes, len(ids))
        if channels == 1 and any(isinstance(op, CountsChannels) and op.widens for op in self.top):
            channels = 3  # `execute` reads grey images so
        fill = self._fill(image_dtype)
        draft = Draft(keyed, sizes, channels, strength, pool, of_images, image_dtype)
        # A picture may go infinitely far away, such as by many strong shrinks: it is then not seen.
        with np.errstate(over="ignore", invalid="ignore"):
            place = 0
            for op in self.transforms:
                op.decide(draft, draft.rows, place)
                place += op.places
            self._block_counts = dict(keyed.block_counts)
            return self._closed(draft, fill, dtype, channels_last)

    def _closed(
        self,
        draft: Draft,
        share_of_fill: float | tuple[float, ...],
        dtype: str,
        channels_last: bool,
    ) -> Plan:
        """The plan of a draft on which all ops have decided."""
        channels = draft.channels
        if dtype == "uint8" and draft.normalized:
            raise ValueError(
                "Policy: got Normalize with uint8 output, expected a float dtype, since normalised "
                "values are no bytes. Leave Normalize out, or ask for float32."
            )
        finish = _finish(
            draft.output_size(), channels, draft.mean, draft.std, dtype, bool(channels_last)
        )
        of_channels = share_of_fill if isinstance(share_of_fill, tuple) else (share_of_fill,)
        if len(of_channels) not in (1, channels):
            raise ValueError(
                f"Policy: got a fill of {len(of_channels)} channels, the images have {channels}. Pass "
                f"{channels} or one."
            )
        return draft.plan(
            fill=share_of_fill,
            border=self._border,
            interpolation=self._interpolation,
            finish=finish,
            policy=self.fingerprint,
            after=tuple(
                stage.name
                for stage in self.after
                if stage.rule != "same" and stage.happens(draft.keyed.epoch)
            ),
        )

    def __call__(self, image: T, *beside: object) -> T:
        """Decide and draw at once, as torchvision's transforms do: in a dataset, or to look at one image.

        The seed is drawn from torch's generator, so torch.manual_seed brings the result back. Nothing else
        keys it: where a sample's draw is to depend on its id and epoch alone, in whatever worker and
        batch, make an `Engine`, or a `Collate` for a loader. These take labels and targets as well.

        Args:
            image: Image (C, H, W) or batch (B, C, H, W) as a tensor or torchvision's Image; (H, W), (H, W, C)
                or (B, H, W, C) as an array; or a PIL image of mode L or RGB. uint8, or floats in
                [0, 1]. Each image of a batch has draws of its own.
            beside: Nothing: targets are refused.

        Returns:
            The same kind of thing, of the same dtype, or that of a conversion such as ToDtype. What a policy
            normalises is float32. Floats of a PIL image are a tensor (C, H, W).

        Raises:
            TypeError: It is no image, or more came beside it.
            ValueError: The policy cannot be applied to it, or depends on boxes or on the epoch.

        Example:
            >>> policy = ae.Policy([ae.RandomResizedCrop(24), ae.RandomHorizontalFlip()])
            >>> policy(torch.zeros(3, 40, 48, dtype=torch.uint8)).shape
            torch.Size([3, 24, 24])
            >>> policy(np.zeros((2, 40, 48, 3), np.float32)).shape
            (2, 24, 24, 3)
        """
        return calls.draw(self, image, beside)

    @property
    def converts_to(self) -> str | None:
        """Name of the dtype of its last conversion, such as ToDtype; None where it has none."""
        return self._converts_to

    @cached_property
    def normalizes(self) -> bool:
        """Whether a Normalize ends it, so that its outputs are floats."""
        return any(isinstance(op, ops.Normalize) for op in self._every())

    @cached_property
    def mixes(self) -> bool:
        """Whether outputs may be made of several samples."""
        return any(isinstance(op, MIXES) for op in self._every())

    def without_mixes_from(self, epoch: int) -> Policy:
        """The policy whose mixes (CutMix, MixUp, MixUpOrCutMix and Mosaic) end at an epoch, as detectors are
        trained without Mosaic, and classifiers without MixUp, in their last ones. All other draws, and
        those of the mixes before, stay what they are.

        Args:
            epoch: Number of the first epoch without mixes, 1 … 1000000000. For the last 15 of 300: 285.

        Returns:
            A policy with `Scheduled` around each mix, inside other ops too.

        Raises:
            ValueError: The epoch is outside its range.

        Example:
            >>> ae.Policy([ae.RandomCrop(32), ae.CutMix()]).without_mixes_from(285)
            Policy([
                RandomCrop(size=(32, 32)),
                Scheduled(transforms=(CutMix(),), stop=285),
            ])
        """
        epoch = whole_number("Policy.without_mixes_from: epoch", epoch, 1, 10**9)

        def ended(op: Op) -> Op:
            if isinstance(op, MIXES):
                return ops.Scheduled(op, stop=epoch)
            if not any(isinstance(inner, MIXES) for inner in op.with_children()):
                return op
            return dataclasses.replace(op, transforms=tuple(map(ended, op.children)))  # type: ignore[call-arg]

        return Policy([ended(op) for op in self.transforms])

    @property
    def num_classes(self) -> int | None:
        """The number of classes that its mixes say, as torchvision's do; None where none says it."""
        said = {getattr(op, "num_classes", None) for op in self._every()} - {None}
        return said.pop() if said else None

    @cached_property
    def needs_boxes(self) -> bool:
        """Whether an op chooses by the boxes in a picture, so that `sample` must be given them."""
        return any(isinstance(op, ops.RandomIoUCrop) for op in self._every())

    @cached_property
    def needs_epoch(self) -> bool:
        """Whether an op follows the epoch, so that somebody must name it."""
        return any(
            isinstance(op, ops.DuringEpochs)
            or (isinstance(op, (ops.Scheduled, ops.Stage)) and op.needs_epoch)
            for op in self._every()
        )

    @cached_property
    def draws(self) -> bool:
        """Whether anything is left to chance, or depends on the epoch. Where nothing does, as in evaluation,
        a plan does not depend on ids or epochs."""
        if self.needs_epoch or any(op.draws for op in self.after):  # what is not drawn at first
            return True
        keyed, place = Keyed(0, 0, np.arange(2)), 0
        draft = Draft(keyed, np.full((2, 2), 1024))
        try:
            for op in self.transforms:
                op.decide(draft, draft.rows, place)
                place += op.places
        except ValueError:  # it is for other images
            return True
        return bool(keyed.places)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that name the policy: equal exactly for equal ops and arguments. A Stage's
        module and its rule for targets go by their repr."""
        code = [op for op in self.transforms if isinstance(op, Unfused) and op.code]
        text = yaml.write(tuple(op for op in self.transforms if op not in code))
        for stage in code:
            text += stage.text
        if self.transforms[len(self.transforms) - len(code) :] != tuple(code):
            text += f" at {[k for k, op in enumerate(self.transforms) if op in code]}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """The policy as YAML, which `from_yaml` reads back.

        Raises:
            ValueError: There is a Stage, whose module is code, or more than 65,536 characters.

        Example:
            >>> print(ae.Policy([ae.RandomCrop(32, padding=4), ae.CutMix()]).to_yaml())
            augengine: 1
            policy:
            - RandomCrop:
                size: [32, 32]
                padding: [4, 4, 4, 4]
            - CutMix: {}
        """
        code = [op for op in self.after if op.code]
        if code:
            raise ValueError(
                f"Policy.to_yaml: got {code[0]!r}, expected ops that YAML can say, which code is "
                "not. Write the policy without it, and append the Stage after reading."
            )
        text = yaml.write(self.transforms)
        if len(text) > yaml.MOST_TEXT:
            raise ValueError(
                f"Policy.to_yaml: got a policy of {len(text):,} characters, expected at most "
                f"{yaml.MOST_TEXT:,}, which from_yaml reads. Write it in Python."
            )
        return text

    @classmethod
    def from_yaml(cls, text: str) -> Policy:
        """Read a policy from YAML, which names ops of this package and their arguments; never code.

        The text may come from anybody. Anchors, aliases and tags of types are refused.

        Args:
            text: What `to_yaml` wrote, or was written by hand in its form; 65,536 characters at most.

        Raises:
            TypeError: An op has no such argument, or of another type.
            ValueError: The text is no policy, or an argument is outside its range.

        Example:
            >>> ae.Policy.from_yaml("augengine: 1\\npolicy:\\n- RandomCrop: {size: 32, padding: 4}")
            Policy([
                RandomCrop(size=(32, 32), padding=(4, 4, 4, 4)),
            ])
        """
        return cls(yaml.read(text))

    def __repr__(self) -> str:
        if not self.transforms:
            return "Policy([])"
        lines = "".join(f"    {op!r},\n" for op in self.transforms)
        return f"Policy([\n{lines}])"

    def _repr_html_(self) -> str | None:
        """What a notebook shows: what it makes of a picture of ours in some epochs, and the text."""
        return html.html_of(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.transforms == other.transforms

    def __hash__(self) -> int:
        return hash(self.transforms)


# A policy's batches nearly all have one.
_finish = lru_cache(maxsize=256, typed=True)(Finish)


def _fills(
    transforms: Sequence[Op], converted: str | None
) -> tuple[list[tuple[str, Units, str | None]], str | None]:
    """(op, fill, the dtype that images were converted to by then) of all ops, and the last of these."""
    fills: list[tuple[str, Units, str | None]] = []
    for op in transforms:
        fill = getattr(op, "fill", None)
        if fill is not None and not isinstance(op, Unfused):
            units = getattr(op, "units_of_fill", None) or converted
            fills.append((type(op).__name__, fill, units))
        converts = getattr(op, "converts_to", None)
        inside, converted = _fills(op.children, converts or converted)
        fills += inside
    return fills, converted


def checked_ids(ids: Ids, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """(ids [n], sizes [n, 2]) as int64, or ValueError; names become numbers."""
    sizes = np.asarray(sizes)
    if sizes.ndim != 2 or sizes.shape[1] != 2 or sizes.dtype.kind not in "iu":
        raise ValueError(
            f"Policy.sample: got sizes of {sizes.dtype} {list(sizes.shape)}, expected ints [n, 2], the "
            "height and width of each image. Pass [(h, w), …]."
        )
    if len(sizes) == 0:
        raise ValueError(
            "Policy.sample: got an empty batch, expected at least one image. Skip such a batch."
        )
    if sizes.min() < 1:
        at = int(sizes.min(axis=1).argmin())
        raise ValueError(
            f"Policy.sample: image {at} is {sizes[at, 0]}×{sizes[at, 1]}, expected at least 1×1. "
            "Leave it out of the batch."
        )
    if sizes.max() > MOST_SIDE:
        at = int(sizes.max(axis=1).argmax())
        raise ValueError(
            f"Policy.sample: image {at} is {sizes[at, 0]}×{sizes[at, 1]}, expected sides of at most "
            f"{MOST_SIDE} pixels. Cut it into parts."
        )
    if isinstance(ids, torch.Tensor):
        ids = ids.cpu().numpy()
    if isinstance(ids, (list, tuple)) or (isinstance(ids, np.ndarray) and ids.dtype.kind in "USO"):
        ids = np.asarray(ids_of_names(ids))
    ids = np.asarray(ids)
    if ids.shape != (len(sizes),) or ids.dtype.kind not in "iu":
        raise ValueError(
            f"Policy.sample: got ids of {ids.dtype} {list(ids.shape)}, expected {len(sizes)} ints, one "
            "for each image. Pass the samples' indices in the dataset, or their names."
        )
    return ids.astype(np.int64), sizes.astype(np.int64)


def checked_samples(
    ids: Ids, sizes: Sizes, occurrences: Occurrences | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ids [n], sizes [n, 2], occurrences [n]) as int64, or ValueError; names become numbers."""
    ids, sizes = checked_ids(ids, sizes)
    if occurrences is None:
        return ids, sizes, count_repeats(ids)
    counts = np.asarray(occurrences)
    in_range = counts.dtype.kind in "iu" and counts.shape == ids.shape
    if not in_range or counts.min() < 0 or counts.max() > MOST_OCCURRENCES:
        raise ValueError(
            f"Policy.sample: got occurrences of {counts.dtype} {list(counts.shape)}, expected "
            f"{len(ids)} ints in 0 … {MOST_OCCURRENCES}, one for each id. Leave them out to have "
            "them counted."
        )
    return ids, sizes, counts.astype(np.int64)
