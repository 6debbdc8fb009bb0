"""`pixel`'s formulas compiled by Triton: for blocks of pixels, or for scalars."""

from __future__ import annotations

import triton
import triton.language as tl

from ..bind import FLOATS, WORDS, bind

INTERPRETED = triton.knobs.runtime.interpret  # set by TRITON_INTERPRET=1 before the import


def constant(value):
    """A number that kernels may read from a module. (To the interpreter a constexpr times a block
    is another constexpr, which it then cannot use.)"""
    return value if INTERPRETED else tl.constexpr(value)


@triton.jit
def _floor(a):
    return tl.floor(a)


@triton.jit
def _where(condition, yes, no):
    return tl.where(condition, yes, no)


@triton.jit
def _minimum(a, b):
    return tl.minimum(a, b)


@triton.jit
def _maximum(a, b):
    return tl.maximum(a, b)


@triton.jit
def _absolute(a):
    return tl.abs(a)


@triton.jit
def _divide(a, b):
    return tl.div_rn(a, b)  # `/` is not correctly rounded


@triton.jit
def _quotient(a, b):
    return a // b  # of whole numbers


@triton.jit
def _sqrt(a):
    return tl.sqrt_rn(a)


@triton.jit
def _to_float(word):
    return word.to(tl.float32)


@triton.jit
def _to_signed_float(word):
    return word.to(tl.int32, bitcast=True).to(tl.float32)


@triton.jit
def _to_word(number):
    return number.to(tl.int32).to(tl.uint32, bitcast=True)


@triton.jit
def _float_bits(value):
    return value.to(tl.uint32, bitcast=True)


@triton.jit
def _bits_float(bits):
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _wide_product(a, b):
    a = tl.full([1], a, tl.uint32)
    return tl.umulhi(a, b), a * b


@triton.jit
def _add_word(a, b):
    return a + b


@triton.jit
def _xor(a, b):
    return a ^ b


px = bind(
    {
        "tl": tl,
        **{name: constant(value) for name, value in (FLOATS | WORDS).items()},
        "floor": _floor,
        "where": _where,
        "minimum": _minimum,
        "maximum": _maximum,
        "absolute": _absolute,
        "divide": _divide,
        "quotient": _quotient,
        "sqrt": _sqrt,
        "to_float": _to_float,
        "to_signed_float": _to_signed_float,
        "to_word": _to_word,
        "float_bits": _float_bits,
        "bits_float": _bits_float,
        "wide_product": _wide_product,
        "add_word": _add_word,
        "xor": _xor,
    },
    triton.jit,
)

# Triton resolves a module's names, not a namespace's attributes.
project, seen_from, inside, edge, fold = px.project, px.seen_from, px.inside, px.edge, px.fold
first_tap, tap_weight, cubic_weight = px.first_tap, px.tap_weight, px.cubic_weight
second_share = px.second_share
clamp, gain_offset, matrix_row = px.clamp, px.gain_offset, px.matrix_row
curve_entry, cut_entry, from_byte = px.curve_entry, px.cut_entry, px.from_byte
gamma = px.gamma
solarized, stretched, posterized = px.solarized, px.stretched, px.posterized
solarized_value, stretched_value = px.solarized_value, px.stretched_value
posterized_value = px.posterized_value
added_below, added_below_value = px.added_below, px.added_below_value
turned_colour = px.turned_colour
philox_round, normal_pair, add_noise = px.philox_round, px.normal_pair, px.add_noise
uniform_of, impulse = px.uniform_of, px.impulse
stretch_gain, stretch_offset = px.stretch_gain, px.stretch_offset
stretch_low, stretch_scale, equalized = px.stretch_low, px.stretch_scale, px.equalized
smoothed, sharpened, half_up = px.smoothed, px.sharpened, px.half_up
shaded = px.shaded
blend, normalise, to_byte = px.blend, px.normalise, px.to_byte
