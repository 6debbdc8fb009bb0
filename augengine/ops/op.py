"""What an op is, and the checks that ops share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

# Where in a policy an op may stand: views are decided first, then layered, then normalised.
VIEW, LAYER = 0, 1


@dataclass(frozen=True)
class Op:
    """One step of a policy: a frozen description that decides, draws nothing by itself and keeps
    nothing. `sample` reads draws under its `place` and tells the draft what will happen."""

    stages: ClassVar[tuple[int, int]] = (VIEW, VIEW)  # lowest and highest stage inside

    @property
    def places(self) -> int:
        """How many places, that is independent streams of draws, the op takes."""
        return 1

    @property
    def children(self) -> tuple[Op, ...]:
        return ()

    def sample(self, draft, rows, place: int) -> None:
        """Decide for the samples `rows` (an index array) of the draft."""
        raise NotImplementedError

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def number(where: str, value, low=-math.inf, high=math.inf) -> float:
    """A finite number in [low, high], or ValueError / TypeError."""
    if (
        isinstance(value, bool)
        or (not isinstance(value, (int, float))
        and not hasattr(value, "__float__"))
    ):
        raise TypeError(f"{where}: got {value!r}, expected a number.")
    value = float(value)
    if not low <= value <= high or math.isinf(value):
        raise ValueError(f"{where}: got {value:g}, expected a number in [{low:g}, {high:g}].")
    return value


def interval(where: str, value, low=-math.inf, high=math.inf) -> tuple[float, float]:
    """(lo, hi) with low ≤ lo ≤ hi ≤ high."""
    try:
        first, last = value
    except (TypeError, ValueError):
        raise TypeError(
            f"{where}: got {value!r}, expected two numbers (lowest, highest)."
        ) from None
    first, last = number(where, first, low, high), number(where, last, low, high)
    if first > last:
        raise ValueError(
            f"{where}: got ({first:g}, {last:g}), which is reversed, expected (lowest, highest). "
            f"Pass ({last:g}, {first:g})."
        )
    return first, last


def spread(where: str, value, low=-math.inf, high=math.inf) -> tuple[float, float]:
    """A number x ≥ 0 for (−x, x), or an interval."""
    if isinstance(value, (int, float)):
        value = number(where, value, 0)
        return interval(where, (-value, value), low, high)
    return interval(where, value, low, high)


def size_pair(where: str, value) -> tuple[int, int]:
    """An int for a square, or (height, width); at least 1."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) == 1:
        pair *= 2
    if len(pair) != 2 or not all(isinstance(v, int) and v >= 1 for v in pair):
        raise ValueError(f"{where}: got {value!r}, expected an int or (height, width), 1 or more.")
    return pair


def colour(where: str, value):
    """None, a number, or one number a channel, 0 … 255."""
    if value is None or isinstance(value, (int, float)):
        return value if value is None else number(where, value, 0, 255)
    return tuple(number(where, v, 0, 255) for v in value)


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
        raise ValueError(f"{where}: got no ops, expected at least one.")
    return value


def drawn(uniform, limits, neutral, strength):
    """A magnitude from limits (lo, hi), pulled towards the neutral one by strength in [0, 1]."""
    low, high = limits
    value = low + uniform * (high - low)
    return neutral + strength * (value - neutral)
