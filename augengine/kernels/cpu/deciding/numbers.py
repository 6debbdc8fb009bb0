"""Random numbers by key, and the elementary functions."""

from __future__ import annotations

import math

import numpy as np

from .... import elementary
from ....random_numbers import (
    PHILOX_M0,
    PHILOX_M1,
    PHILOX_ROUNDS,
    PHILOX_W0,
    PHILOX_W1,
    WORD,
)
from .entries import (
    FLOAT,
    FLOATS,
    FLOATS_2,
    INT,
    READ_FLOATS,
    READ_WHOLE,
    WHOLE,
    WORDS,
    WORDS_2,
    entry,
    part,
    twin,
)

_M0, _M1, _W0, _W1, _LOW, _HALF_OF_64 = (
    np.uint64(number) for number in (PHILOX_M0, PHILOX_M1, PHILOX_W0, PHILOX_W1, WORD, 32)
)
_TWO = np.uint64(2)


@part
def _philox(c0, c1, c2, c3, k0, k1):
    for _ in range(PHILOX_ROUNDS):
        product0, product1 = c0 * _M0, c2 * _M1
        c0, c2 = (product1 >> _HALF_OF_64) ^ c1 ^ k0, (product0 >> _HALF_OF_64) ^ c3 ^ k1
        c1, c3 = product1 & _LOW, product0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@entry(INT, INT, INT, INT, INT, INT, READ_WHOLE, READ_WHOLE, WORDS, WORDS, WORDS_2, FLOATS_2)
def _draws(
    seed, seed_high, epoch, epoch_high, look, timeless, occurrences, ids, blocks, places, words, uniform
):  # fmt: skip
    s0, s1, e0, e1 = np.uint64(seed), np.uint64(seed_high), np.uint64(epoch), np.uint64(epoch_high)
    look, timeless = np.uint64(look), np.uint64(timeless)
    k0, k1, _, _ = _philox(e0, e1, look, timeless, s0, s1)
    for i in range(len(ids)):
        if len(occurrences):
            last = _TWO * np.uint64(occurrences[i]) + timeless
            k0, k1, _, _ = _philox(e0, e1, look, last, s0, s1)
        sample = np.uint64(ids[i])
        low, high = sample & _LOW, sample >> _HALF_OF_64
        for b in range(len(blocks)):
            w0, w1, w2, w3 = _philox(blocks[b], places[b], low, high, k0, k1)
            words[4 * b, i], words[4 * b + 1, i] = w0, w1
            words[4 * b + 2, i], words[4 * b + 3, i] = w2, w3
            for k in range(4 * b, 4 * b + 4):
                uniform[k, i] = (np.float64(words[k, i]) + 0.5) * 2.0**-32


_NEVER = np.empty(0, np.int64)


@twin
def draws(seed, epoch, look, timeless, occurrences, ids, blocks, places):
    shape = 4 * len(blocks), len(ids)
    words, uniform = np.empty(shape, np.uint64), np.empty(shape)
    again = _NEVER if occurrences is None else np.ascontiguousarray(occurrences)
    ids = np.ascontiguousarray(ids)
    _draws(
        seed & WORD, seed >> 32, epoch & WORD, epoch >> 32, look, timeless, again, ids, blocks, places,
        words, uniform,
    )  # fmt: skip
    return words, uniform


# Constants as numbers, which numba takes into the code.
_LN2_HIGH, _LN2_LOW, _PER_LN2 = map(
    float, (elementary.LN2_HIGH, elementary.LN2_LOW, elementary.PER_LN2)
)
_LARGEST = elementary.LARGEST_EXPONENT
_ROOT_OF_HALF, _EXPONENT_AT = elementary.ROOT_OF_HALF, elementary.EXPONENT_AT
_LOG, _EXP, _SIN, _COS = (
    tuple(map(float, coefficients))
    for coefficients in (elementary.LOG, elementary.EXP, elementary.SIN, elementary.COS)
)
_HALF_TURN = np.pi / 2


@part
def _polynomial(coefficients, x):
    value = coefficients[0] * x
    for k in range(1, len(coefficients)):
        value += coefficients[k]
        value *= x
    return value


@entry(READ_FLOATS, READ_WHOLE, FLOATS, WHOLE)
def _log(x, bits, out, out_bits):
    """bits, out_bits: the same memory as whole numbers."""
    for i in range(len(x)):
        exponent = (bits[i] - _ROOT_OF_HALF) >> _EXPONENT_AT
        out_bits[i] = bits[i] - (exponent << _EXPONENT_AT)
        part = out[i] - 1.0
        s = part / (part + 2.0)
        half_square = part * part * 0.5
        series = s * (half_square + _polynomial(_LOG, s * s))
        e = np.float64(exponent)
        out[i] = e * _LN2_HIGH - (half_square - (series + e * _LN2_LOW) - part)


@part
def exp_of(x):
    if x < -_LARGEST:
        x = -_LARGEST
    if x > _LARGEST:
        x = _LARGEST
    exponent = np.rint(x * _PER_LN2)
    high, low = x - exponent * _LN2_HIGH, exponent * _LN2_LOW
    rest = high - low
    c = rest - _polynomial(_EXP, rest * rest)
    fraction = 1.0 - (low - rest * c / (2.0 - c) - high)
    return fraction * math.ldexp(1.0, int(exponent))


@entry(READ_FLOATS, FLOATS)
def _exp(x, out):
    for i in range(len(x)):
        out[i] = exp_of(x[i])


@entry(READ_FLOATS, FLOAT, FLOATS, FLOATS)
def _cos_sin(angle, quarter, cosine, sine):
    for i in range(len(angle)):
        quarters = np.rint(angle[i] / quarter)
        x = (angle[i] - quarters * quarter) * (_HALF_TURN / quarter)
        square = x * x
        half = square * 0.5
        rough = 1.0 - half
        cos = rough + ((1.0 - rough - half) + square * _polynomial(_COS, square))
        sin = x + x * _polynomial(_SIN, square)
        turns = np.int64(quarters)
        if turns & 1:
            cos, sin = sin, cos
        cosine[i] = cos * (1.0 - np.float64((turns + 1) & 2))
        sine[i] = sin * (1.0 - np.float64(turns & 2))


def _flat(x):
    """(the numbers side by side, their shape)."""
    x = np.asarray(x, np.float64)
    return np.ascontiguousarray(x).reshape(-1), x.shape


@twin
def log(x):
    flat, shape = _flat(x)
    out = np.empty(len(flat))
    _log(flat, flat.view(np.int64), out, out.view(np.int64))
    return out.reshape(shape)[()]


@twin
def exp(x):
    flat, shape = _flat(x)
    out = np.empty(len(flat))
    _exp(flat, out)
    return out.reshape(shape)[()]


@twin
def cos_sin(angle, quarter):
    flat, shape = _flat(angle)
    both = np.empty((2, len(flat)))
    cosine, sine = both
    _cos_sin(flat, float(quarter), cosine, sine)
    return cosine.reshape(shape)[()], sine.reshape(shape)[()]
