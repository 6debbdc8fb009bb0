"""Ops made of ops: in order, one of them, some of them, perhaps, or in some epochs. Each sample chooses
alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Annotated, Any

import numpy as np

from ...checks import interval, number, several, shown, whole
from ..keyed import below
from .arguments import BOUNDLESS, Custom, Limits, Number, Probability, WholeNumber, kept
from .op import FINISHED, Op

# A place costs some 50 µs a batch, whatever happens there.
MOST_LEVELS, MOST_PLACES = 16, 1 << 14


def checked_ops(where: str, value: Any) -> tuple[Op, ...]:
    """A sequence of ops, or one op, as a tuple. Raises TypeError for what is no op."""
    ops = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for op in ops:
        if not isinstance(op, Op):
            raise TypeError(
                f"{where}: got {shown(op)}, expected augengine ops. An op of another library cannot be "
                "fused; apply it to the finished batch."
            )
    return ops


def _transforms(where: str, value: Any) -> tuple[Op, ...]:
    """One op or more."""
    where = where.rpartition(".")[0]
    ops = checked_ops(where, value)
    if not ops:
        raise ValueError(
            f"{where}: got no ops, expected at least one. Pass an op or a list of ops."
        )
    check_extent(where, ops)
    return ops


def check_extent(where: str, ops: tuple[Op, ...]) -> None:
    """Bound how deep ops lie in ops, and how many there are, each turn of a SomeOf counted."""
    levels = max(map(_levels, ops), default=0)
    places = sum(max(op.places, sum(1 for _ in op.with_children())) for op in ops)
    if levels > MOST_LEVELS or places > MOST_PLACES:
        raise ValueError(
            f"{where}: got {places:,} ops on {levels} levels, each turn of a SomeOf counted, expected at "
            f"most {MOST_PLACES:,} on {MOST_LEVELS}. Take fewer ops or turns."
        )


def _levels(op: Op) -> int:
    return 1 + max(map(_levels, op.children), default=0)


def _shares(where: str, value: Any) -> float | tuple[float, float]:
    if isinstance(value, Real):
        return number(where, value, 0, 1)
    return interval(where, value, 0, 1)


def _weights(where: str, value: Any) -> tuple[float, ...]:
    return tuple(number(where, v, 0, BOUNDLESS) for v in several(value))


@dataclass(frozen=True, repr=False)
class Chooser(Op):
    """What choosers share: children, and the bookkeeping over them."""

    transforms: Annotated[Op | Sequence[Op], Custom(_transforms, "ops")]

    @property
    def children(self) -> tuple[Op, ...]:
        return kept(self.transforms)

    @property
    def places(self):
        return 1 + sum(op.places for op in self.children)

    @property
    def stages(self):  # type: ignore[override]
        inside = [
            op.stages for op in self.children
        ]  # once, since these ask ops inside them in turn
        return min(low for low, _ in inside), max(high for _, high in inside)

    def _child_places(self, first):
        at = first
        for op in self.children:
            yield op, at
            at += op.places


@dataclass(frozen=True, repr=False)
class Compose(Chooser):
    """All of some ops, in order.

    Args:
        transforms: Ops, one or more.

    Raises:
        ValueError: An op on the image comes after a mix.

    Example:
        >>> len(ae.Policy(ae.Compose([ae.Resize((8, 8)), ae.RandomInvert()])).transforms)
        1
    """

    def _check(self) -> None:
        check_order("Compose", self.children)

    def _decide(self, draft, rows, place):
        for op, at in self._child_places(place + 1):
            op.decide(draft, rows, at)


@dataclass(frozen=True, repr=False)
class RandomApply(Chooser):
    """All of some ops in order with probability p, or none. Each sample chooses alone.

    Args:
        transforms: Ops, one or more.
        p: Probability in [0, 1].

    Raises:
        ValueError: An op on the image comes after a mix.

    Example:
        >>> blur = ae.RandomApply([ae.GaussianBlur(5)], p=0.3)
        >>> plan = ae.Policy([ae.Resize((32, 32)), blur]).sample(range(8), [(32, 32)] * 8)
        >>> sum("blurred" in plan.explain(i) for i in range(8))
        3
    """

    p: Probability = 0.5

    def _check(self) -> None:
        check_order("RandomApply", self.children)

    def _decide(self, draft, rows, place):
        rows = rows[draft.uniform(place, 1, rows)[:, 0] < self.p]
        for op, at in self._child_places(place + 1):
            op.decide(draft, rows, at)


@dataclass(frozen=True, repr=False)
class DuringEpochs(Chooser):
    """All of some ops in order, in some epochs only: such as Mosaic and zooming out, which detectors are
    trained without in their last epochs. Epochs count from 0, and are those of `Policy.sample`: where a
    loader draws, name them by `set_epoch`.

    Args:
        transforms: Ops, one or more.
        start: Number of the first epoch in which they happen, 0 … 1000000000.
        stop: Number of the epoch from which on they do not, 0 … 1000000000, above start; None is never.

    Raises:
        ValueError: Stop is not above start, or an op on the image comes after a mix.

    Example:
        >>> mosaic = ae.DuringEpochs(ae.Mosaic(), stop=90)  # of 100 epochs
        >>> policy = ae.Policy([ae.Resize((32, 32)), mosaic])
        >>> [policy.sample(range(4), [(32, 32)] * 4, epoch=e).view.shape[1] for e in (89, 90)]
        [5, 1]
    """

    start: Annotated[int, WholeNumber(0, int(BOUNDLESS))] = 0
    stop: Annotated[int | None, WholeNumber(0, int(BOUNDLESS))] = None

    def _check(self) -> None:
        check_order("DuringEpochs", self.children)
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(
                f"DuringEpochs: got start {self.start} and stop {self.stop}, expected stop above start, "
                "since they would never happen. Leave stop out to go on to the end."
            )

    def _decide(self, draft, rows, place):
        if self.start <= draft.keyed.epoch and (self.stop is None or draft.keyed.epoch < self.stop):
            for op, at in self._child_places(place + 1):
                op.decide(draft, rows, at)


@dataclass(frozen=True, repr=False)
class OneOf(Chooser):
    """One of some ops for each sample (torchvision's RandomChoice chooses once for the whole batch).
    Mixes inside see the others as they were before the choice, so one sample may paste where its
    partner blends.

    Args:
        transforms: Ops, one or more.
        p: Weights of 0 or more, one for each op, not all 0; None makes all alike.

    Raises:
        ValueError: There is not a weight for each op.

    Example:
        >>> op = ae.OneOf([ae.RandomInvert(p=1), ae.RandomSolarize(128, p=1)], p=[0, 1])
        >>> ae.Policy(op).sample([0], [(32, 32)]).explain(0)
        'solarized from 128.0'
    """

    p: Annotated[Sequence[float] | None, Custom(_weights, "0 or more, one for each op")] = None

    def _check(self) -> None:
        if self.p is not None and (len(self.p) != len(self.children) or sum(self.p) == 0):
            raise ValueError(
                f"{type(self).__name__}.p: got {len(self.p)} weights with sum {sum(self.p):g}, expected "
                f"{len(self.children)}, one for each op, and not all 0. Leave p out for equal chances."
            )

    def _decide(self, draft, rows, place):
        weights = np.asarray(kept(self.p) or [1.0] * len(self.children))
        edges = np.cumsum(weights)
        edges = edges / edges[-1]
        uniform = draft.uniform(place, 1, rows)[:, 0]
        choice = np.searchsorted(edges[:-1], uniform, side="right")
        with partners_as_they_are(draft, self):
            for k, (op, at) in enumerate(self._child_places(place + 1)):
                op.decide(draft, rows[choice == k], at)


@dataclass(frozen=True, repr=False)
class SomeOf(Chooser):
    """Some of the ops, drawn for each sample.

    Args:
        transforms: Ops, one or more.
        num_ops: Whole number of ops that happen to a sample, 0 … 64, or, without replacement, as many
            as there are.
        magnitude: Share in [0, 1] of every op's range that is used, about its neutral value, or
            (lowest, highest) to draw a share for each sample.
        replace: Whether an op may come twice.

    Raises:
        ValueError: Num_ops is outside its range, or mixes stand beside ops on the image.

    Example:
        >>> op = ae.SomeOf([ae.RandomRotation(9), ae.RandomGamma(), ae.RandomInvert(1)], num_ops=2)
        >>> ae.Policy(op).sample([0], [(32, 32)]).explain(0)
        'inverted, rotated +7.0°'
    """

    num_ops: int = 2
    magnitude: Annotated[Limits, Custom(_shares, "in [0, 1]", of=(("", Number(0, 1)),))] = 1.0
    replace: bool = True

    def _check(self) -> None:
        most = 64 if self.replace else len(self.children)
        if not whole(self.num_ops) or not 0 <= self.num_ops <= most:
            raise ValueError(
                f"SomeOf.num_ops: got {self.num_ops!r}, expected a whole number 0 … {most}. Pass one of "
                "these" + ("." if self.replace else ", or replace=True.")
            )
        object.__setattr__(self, "num_ops", int(self.num_ops))
        if self.num_ops > 1 and self.stages[0] != self.stages[1]:
            raise ValueError(
                "SomeOf: got mixes or erasing beside ops on the image itself, expected one kind, "
                "since all of the latter come first. Use two SomeOf."
            )

    @property
    def places(self):
        return 1 + self.num_ops * sum(op.places for op in self.children)

    def _decide(self, draft, rows, place):
        count = len(self.children)
        uniform = draft.uniform(place, 1 + max(self.num_ops, count), rows)
        numbers = uniform[:, 1:]
        if self.replace:
            choice = below(numbers, count)
        else:
            choice = np.argsort(numbers[:, :count], axis=1, kind="stable")
        low, high = self.magnitude if isinstance(self.magnitude, tuple) else (self.magnitude,) * 2
        before = draft.strength[rows].copy()
        draft.strength[rows] = before * (low + uniform[:, 0] * (high - low))
        at = place + 1
        for turn in range(self.num_ops):
            with partners_as_they_are(draft, self):
                for k, op in enumerate(self.children):
                    op.decide(draft, rows[choice[:, turn] == k], at)
                    at += op.places
        draft.strength[rows] = before


class partners_as_they_are:
    """While alternatives are carried out, mixes see the layers from before any of them."""

    def __init__(self, draft, chooser):
        self.draft, self.outer = draft, draft.partners
        self.needed = chooser.stages[1] > 0 and draft.partners is None

    def __enter__(self):
        if self.needed:
            self.draft.partners = self.draft.layers.copy()

    def __exit__(self, *_):
        self.draft.partners = self.outer


def may_follow(before: Op, after: Op) -> bool:
    """Whether an op may stand behind another: views are decided before they are layered, and what is not
    fused comes last, but for what can be done unfused as well."""
    return before.stages[1] <= after.stages[0] or (before.stages[1] == FINISHED and after.finishes)


def check_order(where, transforms):
    """No op on the image may follow a mix, and no fused op one that is not fused. An op whose lowest stage
    is above its highest stands anywhere."""
    last = None  # the one that stands highest up to here
    for op in transforms:
        if op.stages[0] > op.stages[1]:
            continue
        if last is not None and not may_follow(last, op):
            raise ValueError(
                f"{where}: {type(op).__name__} comes after {type(last).__name__}, expected "
                "geometry and colour before mixes, RandomErasing and Normalize, and a Stage at the end. "
                "Move it up."
            )
        if last is None or op.stages[1] >= last.stages[1]:
            last = op
