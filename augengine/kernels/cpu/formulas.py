"""`pixel`'s formulas compiled by numba, and the decorators that the CPU kernel shares."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..bind import FLOATS, WORDS, bind
from .memory import ONLY_CALLED_INSIDE

# No fast-math: all executors round alike, so they agree on which side of an edge a point falls.
inlined = njit(error_model="numpy", forceinline=True, **ONLY_CALLED_INSIDE)
# For what is called seldom, and long loops that want all registers to themselves. numba would pass
# forceinline on from the caller. The wrappers stay: without them LLVM sees a single caller and inlines it
# after all, which costs affine views 5 %.
not_inlined = njit(nogil=True, error_model="numpy", forceinline=False)
f32 = np.float32
ZERO, ONE, TWO, HALF = f32(0), f32(1), f32(2), f32(0.5)
_LOW = np.uint64(0xFFFFFFFF)


@inlined
def _where(condition, yes, no):
    return yes if condition else no


@inlined
def _minimum(a, b):
    return a if a < b else b


@inlined
def _maximum(a, b):
    return a if a > b else b


@inlined
def _divide(a, b):
    return a / b


@inlined
def _floor(a):
    return np.floor(a)


@inlined
def _absolute(a):
    return abs(a)


@inlined
def _sqrt(a):
    return f32(math.sqrt(a))


@inlined
def _log(a):
    return f32(math.log(a))


@inlined
def _cos(a):
    return f32(math.cos(a))


@inlined
def _sin(a):
    return f32(math.sin(a))


@inlined
def _to_float(word):
    return f32(word)


@inlined
def _wide_product(a, b):
    product = np.uint64(a) * np.uint64(b)
    return np.uint32(product >> np.uint64(32)), np.uint32(product & _LOW)


@inlined
def _add_word(a, b):
    return np.uint32(a + b)


@inlined
def _xor(a, b):
    return np.uint32(a ^ b)


px = bind(
    {
        **{name: f32(value) for name, value in FLOATS.items()},
        **{name: np.uint32(value) for name, value in WORDS.items()},
        "floor": _floor,
        "where": _where,
        "minimum": _minimum,
        "maximum": _maximum,
        "absolute": _absolute,
        "divide": _divide,
        "sqrt": _sqrt,
        "log": _log,
        "cos": _cos,
        "sin": _sin,
        "to_float": _to_float,
        "wide_product": _wide_product,
        "add_word": _add_word,
        "xor": _xor,
    },
    inlined,
)

# numba resolves a module's names, not a namespace's attributes.
project, seen_from, inside, edge, fold = px.project, px.seen_from, px.inside, px.edge, px.fold
first_tap, tap_weight, second_share = px.first_tap, px.tap_weight, px.second_share
gain_offset, matrix_row = px.gain_offset, px.matrix_row
curve_entry, from_byte = px.curve_entry, px.from_byte
solarized, stretched, posterized = px.solarized, px.stretched, px.posterized
turned_hue, red_of_hue = px.turned_hue, px.red_of_hue
green_of_hue, blue_of_hue = px.green_of_hue, px.blue_of_hue
philox_round, normal_pair, add_noise = px.philox_round, px.normal_pair, px.add_noise
smoothed, sharpened, half_up = px.smoothed, px.sharpened, px.half_up
blend, normalise, to_byte = px.blend, px.normalise, px.to_byte
