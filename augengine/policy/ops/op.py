"""What an op is, and the checks that ops share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import ClassVar

# Where in a policy an op may stand: views are decided first, then layered and normalised; last comes
# what is not fused.
VIEW, LAYER, FINISHED = 0, 1, 2


@dataclass(frozen=True)
class Op:
    """One step of a policy: a frozen description that decides, draws nothing by itself and keeps
    nothing. `sample` reads draws under its `place` and tells the draft what will happen.

    stratify: every op takes it. Over the epochs a sample's draws then walk evenly through their
    ranges instead of falling where they will (`Draws.uniform`); for ops inside it as well.
    """

    stages: ClassVar[tuple[int, int]] = (VIEW, VIEW)  # lowest and highest stage inside

    stratify: bool = field(default=False, kw_only=True, repr=False)

    @property
    def places(self) -> int:
        """How many places, that is independent streams of draws, the op takes."""
        return 1

    @property
    def children(self) -> tuple[Op, ...]:
        return ()

    def decide(self, draft, rows, place: int) -> None:
        """`sample`, with draws of the kind that was asked for."""
        outer, draft.stratify = draft.stratify, draft.stratify or self.stratify
        self.sample(draft, rows, place)
        draft.stratify = outer

    def sample(self, draft, rows, place: int) -> None:
        """Decide for the samples `rows` (an index array) of the draft."""
        raise NotImplementedError

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def several(value) -> tuple:
    """What came, as a tuple: of one, if it is no sequence."""
    many = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    return tuple(value) if many else (value,)


def number(where: str, value, low=-math.inf, high=math.inf) -> float:
    """A finite number in [low, high], or ValueError / TypeError."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        value = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{where}: got {value!r}, expected a number. Pass an int or a float."
        ) from None
    if not math.isfinite(value) or not low <= value <= high:
        expected = f"a number in [{low:g}, {high:g}]"
        if math.isinf(high):
            expected = "a finite number" if math.isinf(low) else f"a finite number from {low:g} up"
        nearest = min(max(value, low), high)
        fix = f"The nearest is {nearest:g}" if math.isfinite(nearest) else "Pass one"
        raise ValueError(f"{where}: got {value:g}, expected {expected}. {fix}.")
    return value


def interval(where: str, value, low=-math.inf, high=math.inf) -> tuple[float, float]:
    """(lo, hi) with low ≤ lo ≤ hi ≤ high."""
    pair = several(value)
    if len(pair) != 2:
        raise TypeError(
            f"{where}: got {value!r}, expected two numbers (lowest, highest). Pass a pair."
        )
    first, last = (number(where, v, low, high) for v in pair)
    if first > last:
        raise ValueError(
            f"{where}: got ({first:g}, {last:g}), which is reversed, expected (lowest, highest). "
            f"Pass ({last:g}, {first:g})."
        )
    return first, last


def spread(where: str, value, low=-math.inf, high=math.inf) -> tuple[float, float]:
    """A number x ≥ 0 for (−x, x), or an interval."""
    if isinstance(value, Real):
        value = number(where, value, 0)
        return interval(where, (-value, value), low, high)
    return interval(where, value, low, high)


def size_pair(where: str, value) -> tuple[int, int]:
    """An int for a square, or (height, width); at least 1."""
    pair = several(value)
    pair = pair * 2 if len(pair) == 1 else pair
    if len(pair) != 2 or not all(whole(v) and v >= 1 for v in pair):
        raise ValueError(
            f"{where}: got {value!r}, expected an int or (height, width), 1 or more. Pass whole "
            "numbers of pixels."
        )
    return int(pair[0]), int(pair[1])


def whole(value) -> bool:
    """Whether it is an int, NumPy's included."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def colour(where: str, value):
    """None, a number, or one number a channel, 0 … 255."""
    if value is None or isinstance(value, (Real, str)):
        return value if value is None else number(where, value, 0, 255)
    return tuple(number(where, v, 0, 255) for v in several(value))


def interpolation_name(where: str, value):
    """None, "bilinear" or "nearest"; torchvision's InterpolationMode is taken by its value."""
    name = getattr(value, "value", value)
    if name not in (None, "bilinear", "nearest"):
        raise ValueError(
            f"{where}: got {name!r}, expected 'bilinear' or 'nearest'. A view is sampled once, with "
            "an antialiased triangle filter, or by the nearest pixel."
        )
    return name


def ops(where: str, value) -> tuple[Op, ...]:
    """A non-empty sequence of ops."""
    value = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for op in value:
        if not isinstance(op, Op):
            raise TypeError(
                f"{where}: got {op!r}, expected augengine ops. An op of another library cannot be "
                "fused; apply it to the finished batch."
            )
    if not value:
        raise ValueError(
            f"{where}: got no ops, expected at least one. Pass an op or a list of ops."
        )
    return value


def one_or_interval(where: str, value, low=-math.inf, high=math.inf) -> tuple[float, float]:
    """A number x for (x, x), or an interval."""
    if isinstance(value, Real):
        value = (value, value)
    return interval(where, value, low, high)


def chosen(draft, rows, place: int, p: float):
    """The rows that an op without a magnitude happens to: strength pulls its probability."""
    return rows[draft.uniform(place, 1, rows)[:, 0] < p * draft.strength[rows]]


def acting(draft, rows, place: int, p: float, count: int):
    """The rows that an op happens to, with probability p, and `count` uniform numbers for each."""
    uniform = draft.uniform(place, 1 + count, rows)
    acts = uniform[:, 0] < p
    return rows[acts], uniform[acts, 1:]


def drawn(uniform, limits, neutral, strength):
    """A magnitude from limits (lo, hi), pulled towards the neutral one by strength in [0, 1]."""
    low, high = limits
    value = low + uniform * (high - low)
    return neutral + strength * (value - neutral)
