"""The policy: what may happen, and how strongly. Sampled by key, it gives a plan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from ..aliases import Ids, Occurrences, Sizes, Strength
from ..checks import whole_number
from ..plan import Finish, Plan
from ..plan.kinds import DTYPES, MOST_SIDE
from . import ops, yaml
from .draft import Draft
from .keyed import MOST_OCCURRENCES, Keyed, count_repeats, ids_of_names
from .ops.arguments import PADDING_MODES
from .ops.choosing import check_extent, check_order, checked_ops
from .ops.op import Op

DType = Literal["float32", "float16", "bfloat16", "uint8"]


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
        top = self.transforms
        if len(top) == 1 and isinstance(top[0], ops.Compose):
            top = top[0].children
        normalizes = [op for op in self._every() if isinstance(op, ops.Normalize)]
        stages = [op for op in self._every() if isinstance(op, ops.Stage)]
        if len(stages) > len(self.after):
            raise ValueError(
                "Policy: Stage stands inside another op, expected it at the top, since it takes the "
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
        # What the last call took of random numbers, so that the next works them out in one go.
        self._block_counts: dict[int, int] = {}
        self._fill = self._agreed("fill", 0.0)
        self._nearest = self._agreed("interpolation", "bilinear") == "nearest"
        self._border = PADDING_MODES.index(self._agreed("padding_mode", "constant"))

    def _every(self) -> list[Op]:
        """All ops, those inside others too."""
        return [op for top in self.transforms for op in top.with_children()]

    @property
    def after(self) -> tuple[ops.Stage, ...]:
        """The stages that are applied to the finished batch, unfused."""
        return tuple(op for op in self.transforms if isinstance(op, ops.Stage))

    def _agreed(self, name: str, default: Any) -> Any:
        """The one value that the ops give an argument, None meaning that an op does not mind."""
        values = {
            v: type(op).__name__
            for op in self._every()
            if (v := getattr(op, name, None)) is not None
        }
        if len(values) > 1:
            arguments = " and ".join(f"{op}({name}={value!r})" for value, op in values.items())
            raise ValueError(
                f"Policy: got {arguments}, expected one {name} in a policy, since all its geometry is "
                "one interpolation. Give these ops the same."
            )
        return next(iter(values), default)

    def sample(
        self,
        ids: Ids,
        sizes: Sizes,
        *,
        seed: int = 0,
        epoch: int = 0,
        look: int = 0,
        channels: int = 3,
        strength: Strength | None = None,
        occurrences: Occurrences | None = None,
        partners: tuple[Ids, Sizes] | tuple[Ids, Sizes, Occurrences | None] | None = None,
        dtype: DType = "float32",
        channels_last: bool = False,
    ) -> Plan:
        """Decide what happens to each of n samples.

        A sample's part of the plan depends on (policy, seed, epoch, id, occurrence, look, size)
        alone, but for its partners in mixes.

        Args:
            ids: Identities [n] of the samples, ints of 64 bits, or names (str or bytes), of which a
                hash of 64 bits is taken.
            sizes: Heights and widths [n, 2] of the images, in pixels, 1 or more.
            seed: Whole number of 64 bits.
            epoch: Whole number, 0 or more.
            look: Number of this look among several at the same samples, 0 … 2³² − 1; each look has
                random numbers of its own.
            channels: Number of channels of the images.
            strength: Share in [0, 1] of every magnitude that is used, one number or [n]; None is 1.
            occurrences: Number of times [n] that each id has come before in the epoch, 0 … 2³¹ − 1:
                each time has random numbers of its own. None counts within these ids, from 0.
            partners: Ids and sizes of a second batch, and its occurrences if it has any, from which
                mixes then take their partners; its images come after the first's among the plan's
                sources.
            dtype: Name of the output's dtype: 'float32', 'float16', 'bfloat16' or 'uint8'.
            channels_last: Whether the output lies in memory as NHWC.

        Returns:
            The plan, of n outputs.

        Raises:
            TypeError: A number is of another type.
            ValueError: A number is outside its range, ids do not go with sizes, images end at
                different sizes, or an op cannot be applied to them.
        """
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
            occurrences if occurrences.any() else None,
        )
        keyed.work_out(self._block_counts)
        draft = Draft(keyed, sizes, channels, strength, pool)
        # A picture may go infinitely far away, such as by many strong shrinks: it is then not seen.
        with np.errstate(over="ignore", invalid="ignore"):
            place = 0
            for op in self.transforms:
                op.decide(draft, draft.rows, place)
                place += op.places
            self._block_counts = dict(keyed.block_counts)
            return self._closed(draft, dtype, channels_last)

    def _closed(self, draft: Draft, dtype: str, channels_last: bool) -> Plan:
        """The plan of a draft on which all ops have decided."""
        channels = draft.channels
        if dtype == "uint8" and draft.mean:
            raise ValueError(
                "Policy: got Normalize with uint8 output, expected a float dtype, since normalised "
                "values are no bytes. Leave Normalize out, or ask for float32."
            )
        finish = Finish(
            draft.output_size(), channels, draft.mean, draft.std, dtype, bool(channels_last)
        )
        fill = np.asarray(self._fill, float) / 255
        if fill.ndim and len(fill) not in (1, channels):
            raise ValueError(
                f"Policy: got a fill of {len(fill)} channels, the images have {channels}. Pass "
                f"{channels} or one."
            )
        return draft.plan(
            fill=fill,
            border=self._border,
            nearest=self._nearest,
            finish=finish,
            policy=self.fingerprint,
        )

    @property
    def mixes(self) -> bool:
        """Whether outputs may be made of several samples."""
        mixes = (ops.CutMix, ops.MixUp, ops.MixUpOrCutMix, ops.Mosaic)
        return any(isinstance(op, mixes) for op in self._every())

    @cached_property
    def draws(self) -> bool:
        """Whether anything is left to chance. Where nothing is, as in evaluation, a plan does not depend
        on ids or epochs."""
        if self.after:  # a module that is not ours
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
        module goes by its repr."""
        text = yaml.write(tuple(op for op in self.transforms if not isinstance(op, ops.Stage)))
        text += "".join(f"{stage.module!r} {stage.each}" for stage in self.after)
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
        if self.after:
            raise ValueError(
                f"Policy.to_yaml: got {self.after[0]!r}, expected ops that YAML can say, which code is "
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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Policy) and self.transforms == other.transforms

    def __hash__(self) -> int:
        return hash(self.transforms)


def checked_samples(
    ids: Ids, sizes: Sizes, occurrences: Occurrences | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ids [n], sizes [n, 2], occurrences [n]) as int64, or ValueError; names become numbers."""
    sizes = np.asarray(sizes)
    if sizes.ndim != 2 or sizes.shape[1] != 2 or not np.issubdtype(sizes.dtype, np.integer):
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
    if ids.shape != (len(sizes),) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"Policy.sample: got ids of {ids.dtype} {list(ids.shape)}, expected {len(sizes)} ints, one "
            "for each image. Pass the samples' indices in the dataset, or their names."
        )
    ids = ids.astype(np.int64)
    if occurrences is None:
        return ids, sizes.astype(np.int64), count_repeats(ids)
    counts = np.asarray(occurrences)
    in_range = np.issubdtype(counts.dtype, np.integer) and counts.shape == ids.shape
    if not in_range or counts.min() < 0 or counts.max() > MOST_OCCURRENCES:
        raise ValueError(
            f"Policy.sample: got occurrences of {counts.dtype} {list(counts.shape)}, expected "
            f"{len(ids)} ints in 0 … {MOST_OCCURRENCES}, one for each id. Leave them out to have "
            "them counted."
        )
    return ids, sizes.astype(np.int64), counts.astype(np.int64)
