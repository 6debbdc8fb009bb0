"""Ops on a schedule: in some epochs, with a probability and a strength that follow the epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Annotated, Any, Literal

from ...checks import number
from ..schedule import Ramp
from .arguments import BOUNDLESS, Custom, Number, WholeNumber, kept
from .choosing import MOST_LEVELS, Chooser, _levels, check_order

# Places of schedules lie beyond those of all other ops, below those of stages: what an op draws is then the
# same with a schedule around it and without.
_PLACES = 1 << 31
# A magnitude that each sample draws from [0, 1], anew in each epoch.
UNIFORM = "uniform"


def _share_or_ramp(where: str, value: Any) -> float | tuple[tuple[float, float], ...]:
    """A number in [0, 1], or the points of a Ramp."""
    if isinstance(value, Real):
        return number(where, value, 0, 1)
    points = value.points if isinstance(value, Ramp) else value
    try:
        return kept(Ramp(points).points)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: {error}") from None


def _share_ramp_or_uniform(where: str, value: Any) -> float | str | tuple[tuple[float, float], ...]:
    """The same, or UNIFORM."""
    if isinstance(value, str):
        if value != UNIFORM:
            raise ValueError(
                f"{where}: got {value!r}, expected a number in [0, 1], a Ramp, or {UNIFORM!r}. Pass one."
            )
        return value
    return _share_or_ramp(where, value)


def _at(value: Any, epoch: int) -> float:
    """A number, or a ramp at an epoch."""
    return float(value) if isinstance(value, Real) else Ramp(value)(epoch)


_Share = Annotated[
    float | Ramp | Sequence[Sequence[float]],
    Custom(_share_or_ramp, "in [0, 1]", of=(("", Number(0, 1)),)),
]
_Magnitude = Annotated[
    float | Literal["uniform"] | Ramp | Sequence[Sequence[float]],
    Custom(_share_ramp_or_uniform, "in [0, 1]", of=(("", Number(0, 1)),)),
]


@dataclass(frozen=True, repr=False)
class Scheduled(Chooser):
    """All of some ops in order, on from an epoch and off at another, with a probability and a strength that
    may follow the epoch. Each sample chooses alone.

    All of it is numbers in the plan, so nothing is compiled anew. A schedule changes no draw of the ops
    inside it nor of others: where it is fully on, the plan is that of the same policy without it. Epochs
    count from 0, and are those of `Policy.sample`: where a loader draws, name them by `set_epoch`.

    Args:
        transforms: Ops, one or more: mixes too.
        start: Number of the first epoch in which they happen, 0 … 1000000000.
        stop: Number of the epoch from which on they do not, 0 … 1000000000, above start; None is never.
        p: Probability in [0, 1] that they are carried out at all, a number or a `Ramp` of epochs.
        magnitude: Strength in [0, 1] of the ops inside, times the strength of the sample: a number, a
            `Ramp` of epochs, or 'uniform', which draws one of [0, 1] for each sample in each epoch.

    Raises:
        ValueError: Stop is not above start, or an op on the image comes after a mix.

    Example:
        >>> mixup = ae.Scheduled(ae.MixUp(), stop=90, p=ae.Ramp([(0, 0.0), (30, 1.0)]))
        >>> policy = ae.Policy([ae.Resize((32, 32)), mixup])
        >>> plans = [policy.sample(range(100), [(32, 32)] * 100, epoch=e) for e in (0, 15, 89, 90)]
        >>> [int((plan.alpha[:, 1:] > 0).sum()) for plan in plans]
        [0, 51, 100, 0]
    """

    start: Annotated[int, WholeNumber(0, int(BOUNDLESS))] = 0
    stop: Annotated[int | None, WholeNumber(0, int(BOUNDLESS))] = None
    p: _Share = 1.0
    magnitude: _Magnitude = 1.0

    def _check(self) -> None:
        check_order("Scheduled", self.children)
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(
                f"Scheduled: got start {self.start} and stop {self.stop}, expected stop above start, since "
                "they would never happen. Leave stop out to go on to the end."
            )

    @property
    def places(self):
        return sum(op.places for op in self.children)

    @property
    def needs_epoch(self) -> bool:
        """Whether anything in it follows the epoch."""
        fixed = isinstance(self.p, Real) and isinstance(self.magnitude, (Real, str))
        return self.start > 0 or self.stop is not None or not fixed

    def _decide(self, draft, rows, place):
        epoch = draft.keyed.epoch
        if epoch < self.start or (self.stop is not None and epoch >= self.stop):
            return
        p = _at(self.p, epoch)
        # Schedules in schedules may begin at one place: they differ in what lies inside them.
        own = _PLACES + place * MOST_LEVELS + _levels(self) % MOST_LEVELS
        if p < 1:
            rows = rows[draft.uniform(own, 1, rows)[:, 0] < p]
        uniform = self.magnitude == UNIFORM
        share = draft.uniform(own, 2, rows)[:, 1] if uniform else _at(self.magnitude, epoch)
        before = draft.strength[rows]
        draft.strength[rows] = before * share
        for op, at in self._child_places(place):
            op.decide(draft, rows, at)
        draft.strength[rows] = before
