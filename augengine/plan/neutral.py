"""The fields of a plan in which nothing happens: what most plans hold in most of their fields.

They are made once and shared by all plans, since nobody can write to them (their memory is that of bytes).
The gate, which measures what a plan holds, knows what these hold.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from . import Plan
from .fields import array_fields, no_curves

# The lowest and the highest number of each field; of an empty one 0.
Extremes = dict[str, tuple[float, float]]
Fields = dict[str, np.ndarray]


@lru_cache(maxsize=256)
def neutral(
    views: int,
    outputs: int,
    channels: int,
    size: tuple[int, int],
    fill: float | tuple[float, ...],
    border: int,
) -> tuple[Fields, Extremes]:
    """Fields of views of one source each, and of outputs that each show all of one view; without filters,
    colour steps, a log, mixes and padding. And the extremes of these. Whoever gets them changes neither.

    views, outputs: how many. channels: of an image. size: height and width of an output. fill: the colour
    outside, one share or one a channel. border: the kind of what lies there.
    """
    extremes: Extremes = {"curves": (0, 0)}
    fields: Fields = {"curves": _curves(channels)}
    for count, (kept, known) in (
        (views, _views(_capacity(views), channels, fill, border)),
        (outputs, _outputs(_capacity(outputs), channels, size)),
    ):
        extremes |= known
        for name, value in kept.items():
            fields[name] = value[:count]
    extremes["source"], extremes["view"] = (0, views - 1), (0, outputs - 1)
    return fields, extremes


def _capacity(count: int) -> int:
    """A length of which a few serve all batches."""
    return 1 << max(count - 1, 0).bit_length()


@lru_cache(maxsize=64)
def _views(capacity: int, channels: int, fill, border: int) -> tuple[Fields, Extremes]:
    numbers = {
        "source": np.arange(capacity),
        "border": border,
        "fill": fill,
        **dict.fromkeys(("slope", "fill_start", "filter", "frame"), 0),
        **dict.fromkeys(("step_kind", "step_arg", "statistic", "window"), 0),
    }
    return _kept(capacity, channels, numbers)


@lru_cache(maxsize=64)
def _outputs(capacity: int, channels: int, size: tuple[int, int]) -> tuple[Fields, Extremes]:
    numbers = {
        "view": np.arange(capacity)[:, None],
        "box": [0, 0, *size],
        "extent": size,
        **dict.fromkeys(("alpha", "weight", "strength"), 1),
        **dict.fromkeys(("colour", "occurrence"), 0),
    }
    return _kept(capacity, channels, numbers)


def _kept(capacity: int, channels: int, numbers: dict) -> tuple[Fields, Extremes]:
    """Arrays of so many rows that hold these numbers, and that nobody can make writable."""
    lengths, fields, extremes = {"C": channels, "K": 1, "S": 0}, {}, {}
    for name, value in numbers.items():
        dims, dtype = _table()[name]
        shape = (capacity, *(lengths[d] if d in lengths else int(d) for d in dims))
        array: np.ndarray = np.full(shape, value, dtype)
        extremes[name] = (0.0, 0.0)
        if array.size:
            extremes[name] = (float(array.min()), float(array.max()))
            array = np.frombuffer(array.tobytes(), dtype).reshape(shape)
        array.flags.writeable = False
        fields[name] = array
    return fields, extremes


@cache
def _table() -> dict[str, tuple[list[str], type]]:
    """Of each field the dimensions behind the first, and the dtype."""
    return {f.name: (f.metadata["dims"][1:], f.metadata["dtype"]) for f in array_fields(Plan)}


@cache
def _curves(channels: int) -> np.ndarray:
    curves = no_curves(channels)
    curves.flags.writeable = False
    return curves
