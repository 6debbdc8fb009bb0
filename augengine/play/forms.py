"""Forms: the fields of an op, made from what the op itself says of its arguments, and what they hold.

Nothing here knows a browser. A field is a slider for each number of a value, a choice, a flag, or a line of
text, by the argument's kind and type. Whether a value will do is the op's own affair: what a field holds is
handed to it as it is.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from ..policy import ops
from ..policy.ops.arguments import Argument, Number, Parts, WholeLimits, WholeNumber, arguments_of
from ..policy.ops.choosing import Chooser
from ..policy.ops.op import Op
from ..recipes.presets import IMAGENET_MEAN, IMAGENET_STD

SLIDERS, CHOICE, FLAG, TEXT = "sliders", "choice", "flag", "text"
MOST_TEXT = 400  # characters of a value
# What an argument begins with that has no default, or whose default is that nothing happens.
_STARTS: dict[str, Any] = {
    "add": "#6e", "angle": (-180.0, 180.0), "bits": 4, "brightness": (0.6, 1.4), "center": (112.0, 112.0),
    "choices": "3a", "color": 0.0, "contrast": (0.6, 1.4), "degrees": (-15.0, 15.0), "dtype": "float32",
    "fill": 0.0, "hue": (-0.1, 0.1), "interpolation": "bilinear", "kernel_size": (9, 9), "max_magnitude": 10.0,
    "max_size": 320, "mean": IMAGENET_MEAN, "min_size": 192, "num_classes": 1000, "p": 0.5,
    "padding": (16, 16, 16, 16), "padding_mode": "reflect", "quality": (30, 90), "sampler_options": (0.5,),
    "saturation": (0.6, 1.4), "scale": (0.8, 1.2), "select_from": (0,), "sharpness_factor": (2.0, 2.0),
    "shear": (-10.0, 10.0), "size": (224, 224), "std": IMAGENET_STD, "stop": 10, "target_size": (224, 224),
    "threshold": "#80", "translate": (0.1, 0.1), "which": 0,
}  # fmt: skip
# Of one op alone.
_OWN_STARTS: dict[tuple[str, str], Any] = {
    ("Resize", "size"): (224, 224),
    ("RandomShortestSize", "min_size"): (192, 224),
    ("RandomResize", "max_size"): 256,
    ("OneOf", "p"): None,
    ("RandomChoice", "p"): None,
}
# They say nothing of pictures.
_LEFT_OUT = ("inplace", "labels_getter", "transforms")
# Shown among the rest, though they are numbers.
_LATER = ("magnitude_std", "max_magnitude", "num_classes", "num_magnitude_bins", "trials")
# Code and conversions are nothing that one sees.
_NOT_IN_THE_MENU = (
    "ConvertImageDtype", "Lambda", "Op", "PILToTensor", "Stage", "ToDtype", "ToImage", "ToPureTensor",
    "ToTensor",
)  # fmt: skip


@dataclass(frozen=True)
class Slider:
    """A slider of a field.

    Args:
        name: What of the value it is, such as "lowest"; empty where it is all.
        low: Its left end.
        high: Its right end.
        step: Distance of two positions.
    """

    name: str
    low: float
    high: float
    step: float


@dataclass(frozen=True)
class Field:
    """An argument of an op, as a form shows it.

    Args:
        name: The argument's name.
        widget: SLIDERS, CHOICE, FLAG or TEXT.
        help: One sentence or more on it.
        default: Its default as the op keeps it; dataclasses.MISSING where it must be given.
        start: What it begins with where it is switched on.
        optional: Whether None is a value, so that sliders have a switch.
        main: Whether it is shown at first, and not among the rest.
        unit: Unit of its numbers; empty for plain ones.
        kind: Kind of its numbers, for SLIDERS.
        choices: Values to choose from.
        odd: Whether whole numbers are odd.
    """

    name: str
    widget: str
    help: str
    default: Any
    start: Any
    optional: bool
    main: bool
    unit: str = ""
    kind: Parts = ()
    choices: tuple[Any, ...] = ()
    odd: bool = False

    def sliders(self, value: Any) -> tuple[Slider, ...]:
        """The sliders, wide enough for a value; none where it is not made of such numbers.

        Args:
            value: Value of the argument, as the op keeps it.
        """
        numbers = value if isinstance(value, tuple) else (value,)
        if self.widget != SLIDERS or len(numbers) != len(self.kind):
            return ()
        if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
            return ()
        usual = self.start if isinstance(self.start, tuple) else (self.start,)
        # Both ends of an interval have one scale.
        known = [n for n in (*usual, *numbers) if isinstance(n, (int, float))]
        return tuple(self._slider(name, kind, known) for name, kind in self.kind)

    def _slider(self, name: str, kind: Number | WholeNumber, known: Sequence[float]) -> Slider:
        whole, largest = isinstance(kind, WholeNumber), max(map(abs, known))
        if self.unit == "degrees" and largest <= 180:
            reach = 180.0
        elif len(self.kind) == 2 and kind.low == 0 and largest == 1:
            reach = 1.0  # shares that end at all of it
        else:
            reach = _round_above(max(2.5 * largest, 10 if whole else 0.1))
        low, high = max(kind.low, -reach if min(known) < 0 else 0), min(kind.high, reach)
        if kind.high - kind.low <= (10 if whole else 2):
            low, high = kind.low, kind.high
        if whole:
            return Slider(name, int(min(low, *known)), int(max(high, *known)), 2 if self.odd else 1)
        step = 10.0 ** math.floor(math.log10(max(high - low, 1e-6)) - 2)
        low = math.ceil(low / step - 1e-9) * step  # so that positions are round numbers
        return Slider(name, _tidy(min(low, *known)), _tidy(max(high, *known)), _tidy(step))


def _round_above(number: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 …"""
    if number <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(number))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= number)


def menu() -> dict[str, str]:
    """The ops that can be added: their names by what a menu says, "geometry: RandomRotation", say."""
    names = sorted(
        (name for name in ops.__all__ if name not in _NOT_IN_THE_MENU),
        key=lambda name: (_ROOMS.index(_room(name)), name),
    )
    return {f"{_room(name)}: {name}": name for name in names}


# The files of the ops, by what they are called in a menu and in the order of a policy.
_ROOM_OF = {
    "sizing": "size", "scaling": "size", "canvas": "size", "iou": "size", "five_crop": "size",
    "geometric": "geometry", "elastic": "geometry", "colour": "colour", "tone": "colour",
    "channels": "colour", "filters": "filter", "lens": "filter", "sensors": "sensor", "jpeg": "sensor",
    "auto": "automatic", "mixing": "mix", "choosing": "choose", "orders": "choose", "scheduled": "choose",
}  # fmt: skip
_ROOMS = ("size", "geometry", "colour", "filter", "sensor", "automatic", "mix", "choose", "other")


def _room(name: str) -> str:
    return _ROOM_OF.get(op_class(name).__module__.rpartition(".")[2], "other")


def is_chooser(name: str) -> bool:
    """Whether an op holds ops."""
    return issubclass(op_class(name), Chooser)


def op_class(name: str) -> type[Op]:
    """The class of an op."""
    if name not in ops.__all__:
        raise ValueError(f"got the op {name!r:.80}, which is unknown. Take one of the menu.")
    return getattr(ops, name)


@lru_cache(maxsize=256)
def fields_of(name: str) -> tuple[Field, ...]:
    """The fields of an op, in the order of its arguments.

    Args:
        name: Name of the op's class.

    Raises:
        ValueError: There is no such op.

    Example:
        >>> [field.name for field in fields_of("RandomHorizontalFlip") if field.main]
        ['p']
    """
    cls = op_class(name)
    kinds = {argument.name: argument for argument in arguments_of(cls)}
    hints, said = get_type_hints(cls, include_extras=True), documented(cls)
    found = [
        _field(cls, part, kinds.get(part.name), hints[part.name], said.get(part.name, ""))
        for part in sorted(dataclasses.fields(cls), key=lambda part: part.name == "stratify")
        if part.init and part.name not in _LEFT_OUT
    ]
    return tuple(found)


def _field(
    cls: type[Op], part: dataclasses.Field[Any], argument: Argument | None, hint: Any, said: str
) -> Field:
    default = part.default
    if argument is not None and default is not dataclasses.MISSING:
        default = argument.check(cls.__name__, default)
    types_of = _types(hint)
    optional = types.NoneType in types_of and (default is None or default is dataclasses.MISSING)
    start = _OWN_STARTS.get((cls.__name__, part.name), _STARTS.get(part.name))
    if default is not dataclasses.MISSING and default is not None:
        start = default
    parts = argument.kind.parts if argument is not None else _parts_of_type(types_of, start)
    choices = _choices(cls, part.name, argument, types_of)
    if choices:
        widget = CHOICE
    elif bool in types_of and not types_of - {bool, types.NoneType}:
        widget = FLAG
    elif parts:
        widget = SLIDERS
    else:
        widget = TEXT
    if widget == SLIDERS and start is None:
        start = tuple(_middle(kind) for _, kind in parts)
        start = start[0] if len(parts) == 1 else start
    odd = argument is not None and isinstance(argument.kind, WholeLimits) and argument.kind.odd
    main = default is dataclasses.MISSING or (widget == SLIDERS and part.name not in _LATER)
    unit = "" if argument is None else argument.kind.unit
    return Field(
        part.name, widget, said, default, start, optional, main, unit,
        parts if widget == SLIDERS else (), choices, odd,
    )  # fmt: skip


def _types(hint: Any) -> set[Any]:
    """What may be passed: the types of a union, Literal's values as `Literal`, inside sequences too."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _types(get_args(hint)[0])
    if origin in (Union, types.UnionType):
        return set().union(*map(_types, get_args(hint)))
    if origin is Literal:
        return {hint}
    return {origin or hint}


def _parts_of_type(types_of: set[Any], start: Any) -> Parts:
    """The numbers of an argument that has no kind, since the op checks it with the others."""
    plain = types_of - {types.NoneType}
    if plain == {int}:
        return (("", WholeNumber(min(0, start if isinstance(start, int) else 0), 10**6)),)
    return (("", Number(0, 1e6)),) if plain in ({float}, {int, float}) else ()


def _middle(kind: Number | WholeNumber) -> float:
    high = min(kind.high, max(10 * abs(kind.low), 1))
    middle = (max(kind.low, -high) + high) / 2
    return round(middle) if isinstance(kind, WholeNumber) else middle


def _choices(
    cls: type[Op], name: str, argument: Argument | None, types_of: set[Any]
) -> tuple[Any, ...]:
    """The values of an argument that has nothing but names, those that the op would rename left out."""
    plain = {t for t in types_of if get_origin(t) is not Literal} - {types.NoneType}
    if not all(t in (Enum, Sequence) or get_origin(t) is Sequence for t in map(_collection, plain)):
        return ()
    values = [value for t in types_of if get_origin(t) is Literal for value in get_args(t)]
    if argument is not None:
        values = [v for v in values if argument.check(cls.__name__, v) == v]
    return tuple(dict.fromkeys(values))


def _collection(hint: Any) -> Any:
    """`Sequence` for a sequence, by either of its names."""
    return Sequence if hint is Sequence or getattr(hint, "__name__", "") == "Sequence" else hint


def documented(cls: type) -> dict[str, str]:
    """What the docstrings of a class and of those above it say of each argument, on one line."""
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        doc = inspect.cleandoc(each.__dict__.get("__doc__") or "")
        body = re.search(r"^Args:\n((?:    .*\n?|\n)*)", doc, re.MULTILINE)
        name = None
        for line in body[1].splitlines() if body else ():
            entry = re.match(r"    (\w+): (.*)", line)
            if entry:
                name, found[entry[1]] = entry[1], entry[2]
            elif name and line.strip():
                found[name] += " " + line.strip()
    return found


def summary(name: str) -> str:
    """The first sentences of an op's docstring, up to its first empty line, on one line."""
    doc = inspect.cleandoc(op_class(name).__doc__ or "")
    return " ".join(doc.split("\n\n")[0].split())


def starting_arguments(name: str) -> dict[str, Any]:
    """The arguments that an op begins with where it is added: those that have no default, and of an op
    that does nothing by its defaults those that make it do something."""
    return {
        field.name: field.start
        for field in fields_of(name)
        if field.default is dataclasses.MISSING or (name, field.name) in _FIRST
    }


_FIRST = {
    ("ColorJitter", "brightness"), ("ColorJitter", "contrast"), ("ColorJitter", "saturation"),
    ("FiveCrop", "which"), ("TenCrop", "which"),
}  # fmt: skip


def text_of(value: Any) -> str:
    """A value as a line of text, which `value_of_text` reads back.

    Example:
        >>> text_of((0.2, 0.4)), text_of("#80"), text_of(None)
        ('0.2, 0.4', '#80', '')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value if value_of_text(value) == value else repr(value)
    if isinstance(value, tuple) and value and not any(isinstance(v, (tuple, str)) for v in value):
        return ", ".join(map(repr, value)) + ("," if len(value) == 1 else "")
    return repr(value)


def value_of_text(text: str) -> Any:
    """What a line of text means: a number, several, a name. Empty is None; what is no number is a name, of
    which the op says whether it will do.

    Raises:
        ValueError: It is longer than MOST_TEXT.

    Example:
        >>> value_of_text("0.2, 0.4"), value_of_text("#80"), value_of_text("224")
        ((0.2, 0.4), '#80', 224)
    """
    text = text.strip()
    if len(text) > MOST_TEXT:
        raise ValueError(
            f"got {len(text):,} characters, expected {MOST_TEXT} at most. Write the value shorter."
        )
    if not text:
        return None
    try:
        return _tupled(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _tupled(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_tupled, value))
    if isinstance(value, Mapping):
        return {key: _tupled(entry) for key, entry in value.items()}
    if isinstance(value, (str, int, float, bool, types.NoneType)):
        return value
    raise ValueError


def value_of_sliders(field: Field, numbers: Sequence[float | None]) -> Any:
    """What sliders say: one number, or a tuple of several. Whole ones are ints.

    Args:
        field: Field of the sliders.
        numbers: Position of each; None, that of a cleared field, is handed on.
    """
    values = [
        int(number)
        if isinstance(kind, WholeNumber) and isinstance(number, float) and number.is_integer()
        else _tidy(number)
        for (_, kind), number in zip(field.kind, numbers, strict=True)
    ]
    return values[0] if len(values) == 1 else tuple(values)


def _tidy(number: float | None) -> Any:
    """A number without the noise of adding steps: 0.30000000000000004 is 0.3. Others stay to the last bit."""
    if not isinstance(number, float):
        return number
    short = float(f"{number:.12g}")
    return short if len(repr(short)) <= 8 else number
