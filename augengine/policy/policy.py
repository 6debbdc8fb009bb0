"""The policy: what may happen, and how strongly. Sampled by key, it gives a plan."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np

from ..checks import whole_number
from ..plan import Finish, Plan
from ..plan.kinds import DTYPES
from . import ops, yaml
from .draft import Draft
from .keyed import Keyed
from .ops.arguments import ops as checked_ops
from .ops.choosing import check_order
from .ops.op import Op
from .ops.sizing import PADDING_MODES


class Policy:
    """Ops in order: geometry and colour, then mixes and erasing, Normalize at the end.

    transforms: an op, a sequence of ops, or a Policy.
    Raises TypeError for what is no op, ValueError for an impossible order, or for ops that
    disagree on fill, interpolation or padding_mode (a view is sampled once, so they share one).
    """

    transforms: tuple[Op, ...]

    def __init__(self, transforms):
        if isinstance(transforms, Policy):
            transforms = transforms.transforms
        self.transforms = checked_ops("Policy", transforms)
        check_order("Policy", self.transforms)
        top = self.transforms
        if len(top) == 1 and isinstance(top[0], ops.Compose):
            top = top[0].children
        every = [op for first in top for op in _all_ops(first) if isinstance(op, ops.Normalize)]
        inside = [op for op in self._every() if isinstance(op, ops.Stage)]
        if len(inside) > len(self.after):
            raise ValueError(
                "Policy: Stage stands inside another op, expected it at the top, since it takes the "
                "whole finished batch. Move it to the end of the policy."
            )
        if len(every) > 1:
            raise ValueError(
                f"Policy: got {len(every)} Normalize, expected one at most, since one normalisation "
                "holds for the whole batch. Leave the others out."
            )
        if not set(map(id, every)) <= set(map(id, top)):
            raise ValueError(
                "Policy: Normalize stands inside another op, expected it at the top, since one "
                "normalisation holds for the whole batch. Move it to the end of the policy."
            )
        self._asked: dict[
            int, int
        ] = {}  # what the last call drew, so that the next does it in one go
        self._fill = self._agreed("fill", 0.0)
        self._nearest = self._agreed("interpolation", "bilinear") == "nearest"
        self._border = PADDING_MODES.index(self._agreed("padding_mode", "constant"))

    def _every(self):
        return [op for top in self.transforms for op in _all_ops(top)]

    @property
    def after(self) -> tuple[ops.Stage, ...]:
        """What is applied to the finished batch, unfused."""
        return tuple(op for op in self.transforms if isinstance(op, ops.Stage))

    def _agreed(self, name, default):
        """The one value that the ops give an argument, None meaning that an op does not mind."""
        values = {
            v: type(op).__name__
            for op in self._every()
            if (v := getattr(op, name, None)) is not None
        }
        if len(values) > 1:
            said = " and ".join(f"{op}({name}={value!r})" for value, op in values.items())
            raise ValueError(
                f"Policy: got {said}, expected one {name} in a policy, since all its geometry is "
                "one interpolation. Give these ops the same."
            )
        return next(iter(values), default)

    def sample(
        self,
        ids,
        sizes,
        *,
        seed: int = 0,
        epoch: int = 0,
        look: int = 0,
        channels: int = 3,
        strength=None,
        partners=None,
        dtype: str = "float32",
        channels_last: bool = False,
    ) -> Plan:
        """Decide what happens to each of n samples.

        ids: [n] ints, the samples' identities. sizes: [n, 2] heights and widths of the images.
        look: which of several looks at the samples this is; each look has draws of its own.
        strength: a number in [0, 1], or [n] of them, pulls all magnitudes towards neutral; None is 1.
        partners: (ids, sizes) of a second batch, which mixes then take their partners from; its
        images come after the first's among the plan's sources.
        A sample's part of the plan depends on (policy, seed, epoch, id, look, size) alone, but for
        its partners in mixes.
        """
        ids, sizes = _checked_samples(ids, sizes)
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
            more_ids, more_sizes = _checked_samples(*partners)
            pool = len(more_ids)
            ids, sizes = np.concatenate([ids, more_ids]), np.concatenate([sizes, more_sizes])
            if strength is not None:
                strength = np.concatenate([strength, np.ones(pool)])
        keyed = Keyed(
            whole_number("Policy.sample: seed", seed, -(2**63), 2**64 - 1),
            whole_number("Policy.sample: epoch", epoch, 0, 2**63 - 1),
            ids,
            whole_number("Policy.sample: look", look, 0, 2**32 - 1),
        )
        keyed.work_out(self._asked)
        draft = Draft(keyed, sizes, channels, strength, pool)
        place = 0
        for op in self.transforms:
            op.decide(draft, draft.rows, place)
            place += op.places
        self._asked = dict(keyed.asked)
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
    def fingerprint(self) -> str:
        """16 hex digits that name the policy: equal exactly for equal ops and arguments. A Stage's
        module goes by its repr."""
        said = yaml.write(tuple(op for op in self.transforms if not isinstance(op, ops.Stage)))
        said += "".join(f"{stage.module!r} {stage.each}" for stage in self.after)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """The policy as YAML, which `from_yaml` reads back. Raises ValueError for a Stage: its module
        is code."""
        if self.after:
            raise ValueError(
                f"Policy.to_yaml: got {self.after[0]!r}, expected ops that YAML can say, which code is "
                "not. Write the policy without it, and append the Stage after reading."
            )
        return yaml.write(self.transforms)

    @classmethod
    def from_yaml(cls, text: str) -> Policy:
        """Read `to_yaml`'s text. It names ops of this package and their arguments; never code."""
        return cls(yaml.read(text))

    def __repr__(self):
        lines = "".join(f"    {op!r},\n" for op in self.transforms)
        return f"Policy([\n{lines}])"

    def __eq__(self, other):
        return isinstance(other, Policy) and self.transforms == other.transforms

    def __hash__(self):
        return hash(self.transforms)


def _all_ops(op):
    return [op, *(deeper for child in op.children for deeper in _all_ops(child))]


def _checked_samples(ids, sizes):
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
    ids = np.asarray(ids)
    if ids.shape != (len(sizes),) or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"Policy.sample: got ids of {ids.dtype} {list(ids.shape)}, expected {len(sizes)} ints, one "
            "for each image. Pass the samples' indices in the dataset."
        )
    return ids.astype(np.int64), sizes.astype(np.int64)
