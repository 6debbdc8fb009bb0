"""Ops made of ops: in order, one of them, some of them, or perhaps. Each sample chooses alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np

from ...checks import interval, number, several, whole
from ..keyed import below
from .arguments import ops
from .op import Op


@dataclass(frozen=True)
class _Chooser(Op):
    """What choosers share: children, and the bookkeeping over them."""

    transforms: Any

    def __post_init__(self):
        self._set(transforms=ops(type(self).__name__, self.transforms))

    @property
    def children(self):
        return self.transforms

    @property
    def places(self):
        return 1 + sum(op.places for op in self.transforms)

    @property
    def stages(self):  # type: ignore[override]
        return (
            min(op.stages[0] for op in self.transforms),
            max(op.stages[1] for op in self.transforms),
        )

    def _child_places(self, first):
        at = first
        for op in self.transforms:
            yield op, at
            at += op.places


@dataclass(frozen=True)
class Compose(_Chooser):
    """All of them, in order."""

    def __post_init__(self):
        super().__post_init__()
        check_order("Compose", self.transforms)

    def _decide(self, draft, rows, place):
        for op, at in self._child_places(place + 1):
            op.decide(draft, rows, at)


@dataclass(frozen=True)
class RandomApply(_Chooser):
    """All of them in order with probability p, or none."""

    p: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        check_order("RandomApply", self.transforms)
        self._set(p=number("RandomApply.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        rows = rows[draft.uniform(place, 1, rows)[:, 0] < self.p]
        for op, at in self._child_places(place + 1):
            op.decide(draft, rows, at)


@dataclass(frozen=True)
class OneOf(_Chooser):
    """One of them (torchvision's RandomChoice, which chooses once for the whole batch).

    p: weights, one for each op; by default all alike. Mixes inside see the others as they were
    before the choice, so one sample may paste where its partner blends.
    """

    p: Any = None

    def __post_init__(self):
        super().__post_init__()
        if self.p is not None:
            weights = tuple(number("OneOf.p", v, 0) for v in several(self.p))
            if len(weights) != len(self.transforms) or sum(weights) == 0:
                raise ValueError(
                    f"OneOf.p: got {len(weights)} weights with sum {sum(weights):g}, expected "
                    f"{len(self.transforms)}, one for each op, and not all 0. Leave p out for equal chances."
                )
            self._set(p=weights)

    def _decide(self, draft, rows, place):
        weights = np.asarray(self.p or [1.0] * len(self.transforms))
        edges = np.cumsum(weights) / weights.sum()
        uniform = draft.uniform(place, 1, rows)[:, 0]
        choice = np.searchsorted(edges[:-1], uniform, side="right")
        with _partners_as_they_are(draft, self):
            for k, (op, at) in enumerate(self._child_places(place + 1)):
                op.decide(draft, rows[choice == k], at)


@dataclass(frozen=True)
class SomeOf(_Chooser):
    """num_ops of them, drawn for each sample.

    magnitude: share in [0, 1] of every op's range that is used, about its neutral value, or
    (lowest, highest) to draw a share for each sample. replace: whether an op may come twice.
    """

    num_ops: int = 2
    magnitude: Any = 1.0
    replace: bool = True

    def __post_init__(self):
        super().__post_init__()
        most = 64 if self.replace else len(self.transforms)
        if not whole(self.num_ops) or not 0 <= self.num_ops <= most:
            raise ValueError(
                f"SomeOf.num_ops: got {self.num_ops!r}, expected a whole number 0 … {most}. Pass one of "
                "these" + ("." if self.replace else ", or replace=True.")
            )
        self._set(num_ops=int(self.num_ops))
        if isinstance(self.magnitude, Real):
            self._set(magnitude=number("SomeOf.magnitude", self.magnitude, 0, 1))
        else:
            self._set(magnitude=interval("SomeOf.magnitude", self.magnitude, 0, 1))
        if self.num_ops > 1 and self.stages[0] != self.stages[1]:
            raise ValueError(
                "SomeOf: got mixes or erasing beside ops on the image itself, expected one kind, "
                "since all of the latter come first. Use two SomeOf."
            )

    @property
    def places(self):
        return 1 + self.num_ops * sum(op.places for op in self.transforms)

    def _decide(self, draft, rows, place):
        count = len(self.transforms)
        uniform = draft.uniform(place, 1 + max(self.num_ops, count), rows)
        drawn = uniform[:, 1:]
        choice = below(drawn, count) if self.replace else np.argsort(drawn[:, :count], axis=1)
        low, high = self.magnitude if isinstance(self.magnitude, tuple) else (self.magnitude,) * 2
        before = draft.strength[rows].copy()
        draft.strength[rows] = before * (low + uniform[:, 0] * (high - low))
        at = place + 1
        for turn in range(self.num_ops):
            with _partners_as_they_are(draft, self):
                for k, op in enumerate(self.transforms):
                    op.decide(draft, rows[choice[:, turn] == k], at)
                    at += op.places
        draft.strength[rows] = before


class _partners_as_they_are:
    """While alternatives are carried out, mixes see the layers from before any of them."""

    def __init__(self, draft, chooser):
        self.draft, self.outer = draft, draft.partners
        self.needed = chooser.stages[1] > 0 and draft.partners is None

    def __enter__(self):
        if self.needed:
            self.draft.partners = self.draft.layers.copy()

    def __exit__(self, *_):
        self.draft.partners = self.outer


def check_order(where, transforms):
    """Views are decided before they are layered: no op on the image may follow a mix."""
    for before, after in pairwise(transforms):
        if before.stages[1] > after.stages[0]:
            raise ValueError(
                f"{where}: {type(after).__name__} comes after {type(before).__name__}, expected "
                "geometry and colour before mixes, RandomErasing and Normalize, and a Stage at the end. "
                "Move it up."
            )
