"""`pixel`'s formulas compiled by numba, and the decorators that the CPU kernel shares."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..bind import FLOATS, WORDS, bind
from .memory import ONLY_CALLED_INSIDE, bits_float, float_bits

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


# A word may stand in the low half of a uint64, whatever the high half holds: what comes of a product of
# two words need not be cut, and ten rounds of Philox are vectors of 64 bits throughout.


@inlined
def _wide_product(a, b):
    product = np.uint64(a) * (np.uint64(b) & _LOW)
    return product >> np.uint64(32), product


@inlined
def _add_word(a, b):
    return np.uint32(a + b)


@inlined
def _xor(a, b):
    return a ^ b


@inlined
def _to_float(word):
    return f32(np.uint32(word))


@inlined
def _to_signed_float(word):
    return f32(np.int32(np.uint32(word)))


@inlined
def _to_word(number):
    return np.uint32(np.int32(number))


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
        "to_float": _to_float,
        "to_signed_float": _to_signed_float,
        "to_word": _to_word,
        "float_bits": float_bits,
        "bits_float": bits_float,
        "wide_product": _wide_product,
        "add_word": _add_word,
        "xor": _xor,
    },
    inlined,
)

# numba resolves a module's names, not a namespace's attributes.
project, seen_from, inside, edge, fold = px.project, px.seen_from, px.inside, px.edge, px.fold
first_tap, tap_weight, cubic_weight = px.first_tap, px.tap_weight, px.cubic_weight
second_share, cubic_near, cubic_far = px.second_share, px.cubic_near, px.cubic_far
gain_offset, matrix_row = px.gain_offset, px.matrix_row
curve_entry, cut_entry, from_byte = px.curve_entry, px.cut_entry, px.from_byte
clamp, gamma = px.clamp, px.gamma
solarized, stretched, posterized = px.solarized, px.stretched, px.posterized
solarized_value, stretched_value = px.solarized_value, px.stretched_value
posterized_value = px.posterized_value
added_below, added_below_value = px.added_below, px.added_below_value
turned_colour = px.turned_colour
philox_round, normal_pair, add_noise = px.philox_round, px.normal_pair, px.add_noise
uniform_of, impulse = px.uniform_of, px.impulse
smoothed, sharpened, half_up = px.smoothed, px.sharpened, px.half_up
shaded = px.shaded
blend, normalise, to_byte = px.blend, px.normalise, px.to_byte
