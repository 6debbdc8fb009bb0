"""Checks of arguments, shared by all wings: what came, what was expected, and what to do.

`where` names the argument in messages, such as "RandomRotation.degrees".
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Iterable, Mapping
from numbers import Integral, Real

import numpy as np

MOST_PIXELS = 1 << 20  # of a side, which float32 tells apart to a sixteenth of a pixel

_repr = reprlib.Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother = 3, 80, 120
_repr.maxlist = _repr.maxtuple = _repr.maxdict = 8


def shown(value) -> str:
    """What came, for a message: as `repr` has it, cut where that is long, and in one line."""
    try:
        return " ".join(line.strip() for line in _repr.repr(value).split("\n"))
    except (ValueError, RecursionError):  # an int of more digits than Python prints; ops in ops
        return f"a very long {type(value).__name__}"


def number(where: str, value, low=-math.inf, high=math.inf) -> float:
    """A finite number in [low, high], or ValueError / TypeError."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        value = float(value)
    except OverflowError:  # an int that no float reaches
        value = math.inf if value > 0 else -math.inf
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"{where}: got {shown(value)}, expected a number. Pass an int or a float."
        ) from None
    if not math.isfinite(value) or not low <= value <= high:
        expected = f"a number in [{low:g}, {high:g}]"
        if math.isinf(high):
            expected = "a finite number" if math.isinf(low) else f"a finite number from {low:g} up"
        nearest = min(max(value, low), high)
        fix = f"The nearest is {nearest:g}" if math.isfinite(nearest) else "Pass one"
        raise ValueError(f"{where}: got {value:g}, expected {expected}. {fix}.")
    return value


def whole_number(where: str, value, low: int, high: int) -> int:
    """An int in [low, high], or TypeError / ValueError."""
    try:
        if isinstance(value, bool):
            raise TypeError
        value = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{where}: got {shown(value)}, expected a whole number. Pass an int."
        ) from None
    if not low <= value <= high:
        raise ValueError(
            f"{where}: got {shown(value)}, expected a whole number in [{low}, {high}]. The nearest is "
            f"{min(max(value, low), high)}."
        )
    return value


def whole(value) -> bool:
    """Whether it is an int, NumPy's included."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def flag(where: str, value) -> bool:
    """True or False, NumPy's included, or TypeError."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{where}: got {shown(value)}, expected True or False. Pass one of them.")
    return bool(value)


def several(value) -> tuple:
    """What came, as a tuple: of one, if it is no sequence."""
    many = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    return tuple(value) if many else (value,)


def interval(where: str, value, low=-math.inf, high=math.inf) -> tuple[float, float]:
    """(lo, hi) with low ≤ lo ≤ hi ≤ high."""
    pair = several(value)
    if len(pair) != 2:
        raise TypeError(
            f"{where}: got {shown(value)}, expected two numbers (lowest, highest). Pass a pair."
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
        value = number(where, value)
        if value < 0:
            raise ValueError(
                f"{where}: got {value:g}, expected a number from 0 up, or (lowest, highest). Pass {-value:g} "
                f"for ({value:g}, {-value:g}), or ({value:g}, {value:g}) for no other."
            )
        return interval(where, (-value, value), low, high)
    return interval(where, value, low, high)


def one_or_interval(where: str, value, low=-math.inf, high=math.inf) -> tuple[float, float]:
    """A number x, or one in a sequence, for (x, x), or an interval."""
    numbers = several(value)
    if len(numbers) == 1 and isinstance(numbers[0], Real):
        value = numbers * 2
    return interval(where, value, low, high)


def size_pair(where: str, value) -> tuple[int, int]:
    """An int for a square, or (height, width); 1 … MOST_PIXELS."""
    pair = several(value)
    pair = pair * 2 if len(pair) == 1 else pair
    if len(pair) != 2 or not all(whole(v) and 1 <= v <= MOST_PIXELS for v in pair):
        raise ValueError(
            f"{where}: got {shown(value)}, expected an int or (height, width), 1 or more. Pass whole "
            f"numbers of pixels, {MOST_PIXELS:,} at most."
        )
    return int(pair[0]), int(pair[1])


def any_true(mask: np.ndarray) -> bool:
    """Whether any entry is true. NumPy's own `any` takes six times as long for a few."""
    return bool(np.count_nonzero(mask))


def all_true(mask: np.ndarray) -> bool:
    """Whether all entries are true."""
    return bool(np.count_nonzero(mask) == mask.size)
