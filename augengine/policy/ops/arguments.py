"""Arguments of ops: what each kind takes, in which range and unit, and how it is checked.

An op declares an argument as `Annotated[type, kind]`, such as `Annotated[float, Number(0, 1)]`. The base
class checks it by the kind, and keeps what `check` returns. The same kinds say ranges and units in the
reference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from typing import Annotated, Any, Literal, get_type_hints

from ... import checks
from ...checks import number, several, whole

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")
BOUNDLESS = 1e9  # a bound that only keeps arithmetic finite
INTERPOLATIONS = ("bilinear", "nearest")

# What users may pass: one number, or a pair (lowest, highest).
Limits = float | Sequence[float]


@dataclass(frozen=True)
class Kind:
    """A kind of argument. unit: of its numbers, such as "degrees"; empty for a plain number."""

    unit: str = dataclasses.field(default="", kw_only=True)

    @property
    def range(self) -> str:
        """Which values there are, in words."""
        return ""

    def check(self, where: str, value: Any) -> Any:
        """The value as the op keeps it. Raises TypeError or ValueError with `where` in front."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Bounded(Kind):
    """Finite numbers in [low, high]."""

    low: float = -BOUNDLESS
    high: float = BOUNDLESS

    @property
    def range(self) -> str:
        if self.high >= BOUNDLESS:
            return "finite" if self.low <= -BOUNDLESS else f"{self.low:g} or more"
        return f"in [{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class Number(_Bounded):
    """A finite number in [low, high]."""

    def check(self, where: str, value: Any) -> float:
        return number(where, value, self.low, self.high)


@dataclass(frozen=True)
class WholeNumber(_Bounded):
    """A whole number in [low, high]."""

    advice: str = "Pass one of these."

    @property
    def range(self) -> str:
        return f"whole, {self.low} … {self.high}"

    def check(self, where: str, value: Any) -> int:
        if not whole(value) or not self.low <= value <= self.high:
            raise ValueError(
                f"{where}: got {value!r}, expected a whole number {self.low} … {self.high}. {self.advice}"
            )
        return int(value)


@dataclass(frozen=True)
class Interval(_Bounded):
    """A pair (lowest, highest) in [low, high]."""

    def check(self, where: str, value: Any) -> tuple[float, float]:
        return checks.interval(where, value, self.low, self.high)


@dataclass(frozen=True)
class Spread(_Bounded):
    """A number x ≥ 0 for (−x, x), or a pair (lowest, highest) in [low, high]."""

    def check(self, where: str, value: Any) -> tuple[float, float]:
        return checks.spread(where, value, self.low, self.high)


@dataclass(frozen=True)
class OneOrInterval(_Bounded):
    """A number x for (x, x), or a pair (lowest, highest) in [low, high]."""

    def check(self, where: str, value: Any) -> tuple[float, float]:
        return checks.one_or_interval(where, value, self.low, self.high)


@dataclass(frozen=True)
class Custom(Kind):
    """Anything else. function(where, value) checks it; values: which there are, in words."""

    function: Callable[[str, Any], Any]
    values: str

    @property
    def range(self) -> str:
        return self.values

    def check(self, where: str, value: Any) -> Any:
        return self.function(where, value)


def _colour(where: str, value: Any) -> float | tuple[float, ...]:
    """A number, or one number a channel, 0 … 255."""
    if isinstance(value, (Real, str)):
        return number(where, value, 0, 255)
    return tuple(number(where, v, 0, 255) for v in several(value))


def _interpolation(where: str, value: Any) -> str | None:
    """torchvision's InterpolationMode is taken by its value."""
    name = getattr(value, "value", value)
    if name not in (None, *INTERPOLATIONS):
        raise ValueError(
            f"{where.rpartition('.')[0]}: got {name!r}, expected 'bilinear' or 'nearest'. A view is sampled "
            "once, with an antialiased triangle filter, or by the nearest pixel."
        )
    return name


def _point(where: str, value: Any) -> tuple[float, ...]:
    if len(several(value)) != 2:
        raise ValueError(
            f"{where}: got {value!r}, expected (x, y) in pixels. Leave it out for the middle."
        )
    return tuple(number(where, v, -BOUNDLESS, BOUNDLESS) for v in value)


def _padding_mode(where: str, value: Any) -> str:
    if value not in PADDING_MODES:
        raise ValueError(
            f"{where}: got {value!r}, expected one of {', '.join(PADDING_MODES)}. Pass one of these."
        )
    return value


def _context(where: str, value: Any) -> str:
    if value != "source":
        raise ValueError(f"{where}: got {value!r}, expected None or 'source'. Leave it out.")
    return value


Probability = Annotated[float, Number(0, 1)]
Size = Annotated[
    int | Sequence[int],
    Custom(checks.size_pair, "an int, or (height, width); 1 or more", unit="pixels"),
]
Fill = Annotated[
    float | Sequence[float] | None,
    Custom(_colour, "one number or one a channel, 0 … 255", unit="bytes"),
]
Interpolation = Annotated[
    Literal["bilinear", "nearest"] | Enum | None, Custom(_interpolation, "'bilinear' or 'nearest'")
]
Center = Annotated[Sequence[float] | None, Custom(_point, "(x, y)", unit="pixels")]
PaddingMode = Annotated[
    Literal["constant", "edge", "reflect", "symmetric"] | None,
    Custom(_padding_mode, "'constant', 'edge', 'reflect' or 'symmetric'"),
]
Context = Annotated[Literal["source"] | None, Custom(_context, "'source' or None")]


def kept(value: Any) -> Any:
    """An argument as its kind keeps it: the declared type is what users may pass."""
    return value


@dataclass(frozen=True)
class Argument:
    """An argument of an op that has a kind."""

    name: str
    kind: Kind
    default: Any  # as the op declares it; dataclasses.MISSING where it must be given

    def check(self, op_name: str, value: Any) -> Any:
        """The value as the op keeps it; None stays where it is the default."""
        if value is None and self.default is None:
            return None
        return self.kind.check(f"{op_name}.{self.name}", value)


_arguments: dict[type, tuple[Argument, ...]] = {}


def arguments_of(op_class: type) -> tuple[Argument, ...]:
    """The arguments of an op that have a kind, in order."""
    if op_class not in _arguments:
        _arguments[op_class] = _read_arguments(op_class)
    return _arguments[op_class]


def _read_arguments(op_class: type) -> tuple[Argument, ...]:
    fields = dataclasses.fields(op_class)
    hints = {field.name: field.type for field in fields}
    if any(isinstance(hint, str) and "Annotated[" in hint for hint in hints.values()):
        hints = get_type_hints(op_class, include_extras=True)
    return tuple(
        Argument(field.name, kind, field.default)
        for field in fields
        for kind in getattr(hints[field.name], "__metadata__", ())
        if isinstance(kind, Kind)
    )
