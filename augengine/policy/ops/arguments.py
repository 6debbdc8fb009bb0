"""Arguments of ops: what each kind takes, in which range and unit, and how it is checked.

An op declares an argument as `Annotated[type, kind]`, such as `Annotated[float, Number(0, 1)]`. The base
class checks it by the kind, and keeps what `check` returns. The same kinds say ranges and units in the
reference.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from numbers import Real
from typing import Annotated, Any, Literal, TypeAlias, get_type_hints

from ... import checks
from ...checks import number, several, shown, whole
from ..units import MOST, Units, bytes_of_text

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")
BOUNDLESS = 1e9  # a bound that only keeps arithmetic finite
INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
_PIL_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}

# What users may pass: one number, or a pair (lowest, highest).
Limits = float | Sequence[float]
# The numbers that a value is made of, by their names.
Parts: TypeAlias = "tuple[tuple[str, Number | WholeNumber], ...]"


@dataclass(frozen=True)
class Kind:
    """A kind of argument. unit: of its numbers, such as "degrees"; empty for a plain number."""

    unit: str = dataclasses.field(default="", kw_only=True)

    @property
    def range(self) -> str:
        """Which values there are, in words."""
        return ""

    @property
    def parts(self) -> Parts:
        """The numbers that a value is made of, by their names; none where it is no tuple of numbers. A form
        has a slider for each."""
        return ()

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

    @property
    def parts(self) -> Parts:
        return (("", self),)

    def check(self, where: str, value: Any) -> float:
        return number(where, value, self.low, self.high)


@dataclass(frozen=True)
class WholeNumber(_Bounded):
    """A whole number in [low, high]."""

    advice: str = "Pass one of these."

    @property
    def range(self) -> str:
        return f"whole, {self.low} … {self.high}"

    @property
    def parts(self) -> Parts:
        return (("", self),)

    def check(self, where: str, value: Any) -> int:
        if not whole(value) or not self.low <= value <= self.high:
            raise ValueError(
                f"{where}: got {value!r}, expected a whole number {self.low} … {self.high}. {self.advice}"
            )
        return int(value)


@dataclass(frozen=True)
class Interval(_Bounded):
    """A pair (lowest, highest) in [low, high]."""

    @property
    def parts(self) -> Parts:
        return ends(Number(self.low, self.high))

    def check(self, where: str, value: Any) -> tuple[float, float]:
        return checks.interval(where, value, self.low, self.high)


@dataclass(frozen=True)
class Spread(_Bounded):
    """A number x ≥ 0 for (−x, x), or a pair (lowest, highest) in [low, high]."""

    @property
    def parts(self) -> Parts:
        return ends(Number(self.low, self.high))

    def check(self, where: str, value: Any) -> tuple[float, float]:
        return checks.spread(where, value, self.low, self.high)


@dataclass(frozen=True)
class OneOrInterval(_Bounded):
    """A number x for (x, x), or a pair (lowest, highest) in [low, high]."""

    @property
    def parts(self) -> Parts:
        return ends(Number(self.low, self.high))

    def check(self, where: str, value: Any) -> tuple[float, float]:
        return checks.one_or_interval(where, value, self.low, self.high)


@dataclass(frozen=True)
class WholeLimits(_Bounded):
    """A whole number n for (n, n), or a pair (lowest, highest) in [low, high]. odd: whether all are odd."""

    odd: bool = False

    @property
    def range(self) -> str:
        return f"{'odd' if self.odd else 'whole'}, {self.low} … {self.high}"

    @property
    def parts(self) -> Parts:
        return ends(WholeNumber(self.low, self.high))

    def check(self, where: str, value: Any) -> tuple[int, int]:
        pair = several(value)
        fits = len(pair) in (1, 2) and all(
            whole(n) and self.low <= n <= self.high and (n % 2 or not self.odd) for n in pair
        )
        if not fits or pair[0] > pair[-1]:
            what = "an odd number" if self.odd else "a whole number"
            raise ValueError(
                f"{where}: got {value!r}, expected {what} {self.low} … {self.high}, or (lowest, highest). "
                "Pass one of these."
            )
        return int(pair[0]), int(pair[-1])


@dataclass(frozen=True)
class Custom(Kind):
    """Anything else. function(where, value) checks it; values: which there are, in words; of: the numbers that
    a value is made of, by their names, where it is."""

    function: Callable[[str, Any], Any]
    values: str
    of: Parts = dataclasses.field(default=(), kw_only=True)

    @property
    def range(self) -> str:
        return self.values

    @property
    def parts(self) -> Parts:
        return self.of

    def check(self, where: str, value: Any) -> Any:
        return self.function(where, value)


def ends(kind: Number | WholeNumber) -> Parts:
    """The parts of a pair (lowest, highest)."""
    return ("lowest", kind), ("highest", kind)


def colour(where: str, value: Any) -> Units:
    """A number or one a channel, in the units of the images, or bytes as text. What images of a dtype do not
    have is refused when their dtype is known."""
    if isinstance(value, str):
        bytes_of_text(where, value)
        return value.lower()
    if isinstance(value, (Real, bytes)):
        return number(where, value, 0, MOST)
    values = several(value)
    if not values:
        raise ValueError(
            f"{where}: got no numbers, expected one, or one for each channel. Leave it out for black."
        )
    return tuple(number(where, v, 0, MOST) for v in values)


# What torchvision's fills by type say of types whose values are no colours.
_WITHOUT_COLOUR = ("BoundingBoxes", "KeyPoints")


def _fill(where: str, value: Any) -> Units | None:
    """As `colour`; of torchvision's fill by type that of images."""
    if not isinstance(value, Mapping):
        return colour(where, value)
    by_name = {getattr(kind, "__name__", kind): fill for kind, fill in value.items()}
    made = value.default_factory if isinstance(value, defaultdict) else None
    known = ("Image", "Tensor", "Video", "Mask", "others", *_WITHOUT_COLOUR)
    strange = [name for name in by_name if name not in known]
    if strange or not (by_name or made):
        came = shown(strange[0] if strange else value)
        raise ValueError(
            f"{where}: got {came} in a fill by type, expected some of {', '.join(known)}. Leave it out."
        )
    others = by_name.get("others", made() if made is not None else None)
    own = "Image" in by_name or "Tensor" in by_name
    mask = by_name.get("Mask", others if own else None)
    if mask is not None and any(mask if isinstance(mask, (list, tuple)) else (mask,)):
        raise ValueError(
            f"{where}: got {shown(mask)} for masks, expected 0, since it is of images alone: masks are drawn "
            f"beside the plan. Pass ae.TargetOptions(fill={shown(mask)}) to the engine, and 'Mask': 0 here."
        )
    for name in ("Image", "Tensor"):
        if name in by_name:
            return None if by_name[name] is None else colour(where, by_name[name])
    return None if others is None else colour(where, others)


def _interpolation(where: str, value: Any) -> str | tuple[str, ...]:
    """torchvision's InterpolationMode is taken by its value, PIL's filters by their numbers too. Of
    several each sample draws one."""
    if isinstance(value, (list, tuple)):
        names = tuple(one_interpolation(where, one) for one in value)
        if not names:
            raise ValueError(
                f"{where.rpartition('.')[0]}: got no interpolation, expected one or more. Leave it out for "
                "'bilinear'."
            )
        return names if len(set(names)) > 1 else names[0]
    return one_interpolation(where, value)


def one_interpolation(where: str, value: Any) -> str:
    name = getattr(value, "value", value)
    if whole(name):
        name = _PIL_FILTERS.get(int(name), name)
    if name == "nearest-exact":
        return "nearest"
    if name not in INTERPOLATIONS:
        raise ValueError(
            f"{where.rpartition('.')[0]}: got {name!r}, expected 'bilinear', 'bicubic' or 'nearest'. A view "
            "is sampled once: with an antialiased triangle or cubic, or by the nearest pixel."
        )
    return str(name)


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


def _antialias(where: str, value: Any) -> bool:
    return True if value is None else checks.flag(where, value)


def _context(where: str, value: Any) -> str:
    if value != "source":
        raise ValueError(f"{where}: got {value!r}, expected None or 'source'. Leave it out.")
    return value


Probability = Annotated[float, Number(0, 1)]
_SIDE = WholeNumber(1, checks.MOST_PIXELS)
Size = Annotated[
    int | Sequence[int],
    Custom(
        checks.size_pair,
        "an int, or (height, width); 1 or more",
        unit="pixels",
        of=(("height", _SIDE), ("width", _SIDE)),
    ),
]
# In the units of the images, or bytes as text; by type as in torchvision.
Fill = Annotated[
    float | Sequence[float] | str | Mapping[type | str, float | Sequence[float] | None] | None,
    Custom(_fill, "one number or one a channel, or bytes as text", unit="units of the images"),
]
Colour = Annotated[
    float | Sequence[float] | str | None,
    Custom(colour, "one number or one a channel, or bytes as text", unit="units of the images"),
]
# torchvision's names, PIL's numbers, or torchvision's InterpolationMode.
_Filter = Literal["bilinear", "bicubic", "nearest", "nearest-exact", 0, 2, 3] | Enum
Interpolation = Annotated[
    _Filter | Sequence[_Filter] | None,
    Custom(_interpolation, "'bilinear', 'bicubic' or 'nearest'"),
]
Center = Annotated[Sequence[float] | None, Custom(_point, "(x, y)", unit="pixels")]
PaddingMode = Annotated[
    Literal["constant", "edge", "reflect", "symmetric"] | None,
    Custom(_padding_mode, "'constant', 'edge', 'reflect' or 'symmetric'"),
]
# None left it to the backend in torchvision, and PIL always does it.
Antialias = Annotated[bool | None, Custom(_antialias, "True or False")]
Context = Annotated[Literal["source"] | None, Custom(_context, "'source' or None")]


def _threshold(where: str, value: Any) -> float | str:
    """A number in the units of the images, or a byte as text."""
    return byte(where, value) if isinstance(value, str) else number(where, value, 0, MOST + 1)


def byte(where: str, value: str) -> str:
    """A byte as text."""
    if len(bytes_of_text(where, value)) > 1:
        raise ValueError(
            f"{where}: got {shown(value)}, expected one byte. Write two hexadecimal digits, such as '#80'."
        )
    return value.lower()


Threshold = Annotated[
    float | str,
    Custom(_threshold, "0 or more, or a byte as text", unit="units of the images"),
]


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
