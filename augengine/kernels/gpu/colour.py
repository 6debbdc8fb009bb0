"""What the kinds of colour steps do to pixels, in Triton: of three channels at once, or of the one that a
program draws alone.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...plan import kinds
from ...random_numbers import PHILOX_ROUNDS
from . import tables
from .formulas import (
    add_noise,
    added_below,
    added_below_value,
    clamp,
    constant,
    curve_entry,
    cut_entry,
    from_byte,
    gain_offset,
    gamma,
    impulse,
    matrix_row,
    normal_pair,
    philox_round,
    posterized,
    posterized_value,
    solarized,
    solarized_value,
    stretched,
    stretched_value,
    turned_colour,
    uniform_of,
)

# A kernel reads names of its module only, and only those that are constexprs.
MATRIX, CURVE = constant(kinds.MATRIX), constant(kinds.CURVE)
HUE, NOISE, TONE = constant(kinds.HUE), constant(kinds.NOISE), constant(kinds.TONE)
GAINS, IMPULSE = constant(kinds.GAINS), constant(kinds.IMPULSE)
GAMMA, ADD_BELOW = constant(kinds.GAMMA), constant(kinds.ADD_BELOW)
DIAGONAL, MAX_BYTE = constant(tables.DIAGONAL), constant(255.0)
ROUNDS = constant(PHILOX_ROUNDS)
MATRIX_COLUMNS = constant(kinds.MATRIX_COLUMNS)
MATRIX_OFFSET = constant(kinds.MATRIX_OFFSETS[0])
CURVE_ROW, CURVE_ENTRIES = constant(kinds.CURVE_ROW), constant(kinds.CURVE_ENTRIES)
GAIN_AT, OFFSET_AT = constant(kinds.GAIN_AT), constant(kinds.OFFSET_AT)
HUE_TURNS = constant(kinds.HUE_TURNS)
NOISE_MEAN, NOISE_SIGMA = constant(kinds.NOISE_MEAN), constant(kinds.NOISE_SIGMA)
NOISE_KEY, IMPULSE_KEY = constant(kinds.NOISE_KEY), constant(kinds.IMPULSE_KEY)
IMPULSE_SALT = constant(kinds.IMPULSE_SALT)
IMPULSE_AMOUNT = constant(kinds.IMPULSE_AMOUNT)
TONE_THRESHOLD, TONE_STEP = constant(kinds.TONE_THRESHOLD), constant(kinds.TONE_STEP)
TONE_INVERSE_STEP = constant(kinds.TONE_INVERSE_STEP)
TONE_LOW, TONE_SCALE = constant(kinds.TONE_LOW), constant(kinds.TONE_SCALE)
GAMMA_EXPONENT, GAMMA_GAIN = constant(kinds.GAMMA_EXPONENT), constant(kinds.GAMMA_GAIN)
ADD_THRESHOLD, ADD_AMOUNT = constant(kinds.ADD_THRESHOLD), constant(kinds.ADD_AMOUNT)


@triton.jit
def _random_words(y, x, width, channel, k0, k1):
    """Four words for each pixel and four channels from a channel on, keyed as everywhere."""
    # A key is below 2^24, so this adds nothing. The compiler does not know, and leaves the numbers and
    # what comes of them here: else it forms them before the loop over steps, for every pixel's.
    number = (y * (width + (k0 >> 24).to(tl.int32)) + x).to(tl.uint32)
    zero = number & 0
    c0, c1, c2, c3 = number, zero + tl.cast(channel, tl.uint32), zero, zero
    for _ in tl.static_range(ROUNDS):
        c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    return c0, c1, c2, c3


@triton.jit
def _noise(y, x, width, channel, k0, k1, RGB: tl.constexpr):
    """Standard normal numbers for three channels, or for the channel, keyed as everywhere."""
    first = channel // 4 * 4
    c0, c1, c2, c3 = _random_words(y, x, width, first, k0, k1)
    r, g = normal_pair(c0, c1)
    b, last = normal_pair(c2, c3)
    if not RGB:
        word = channel - first
        r = tl.where(word < 2, tl.where(word == 0, r, g), tl.where(word == 2, b, last))
    return r, g, b


@triton.jit
def _matrix_channel(r, g, b, row_ptr):
    """One channel after a MATRIX step, by its row of the matrix."""
    return matrix_row(
        r, g, b,
        tl.load(row_ptr), tl.load(row_ptr + 1), tl.load(row_ptr + 2),
        tl.load(row_ptr + MATRIX_OFFSET),
    )  # fmt: skip


@triton.jit
def _gained(value, arg_ptr, channel: tl.constexpr):
    """One channel after a MATRIX step that mixes none."""
    row_ptr = arg_ptr + MATRIX_COLUMNS * channel
    return gain_offset(value, tl.load(row_ptr + channel), tl.load(row_ptr + MATRIX_OFFSET))


@triton.jit
def _tone_channel(value, arg_ptr, channel, BYTE: tl.constexpr):
    """One channel after a TONE step."""
    threshold = tl.load(arg_ptr + TONE_THRESHOLD)
    low, scale = tl.load(arg_ptr + TONE_LOW + channel), tl.load(arg_ptr + TONE_SCALE + channel)
    step, inverse_step = tl.load(arg_ptr + TONE_STEP), tl.load(arg_ptr + TONE_INVERSE_STEP)
    if BYTE:
        byte = curve_entry(value)
        # What returns the very byte is left out: most of all the division.
        if threshold <= MAX_BYTE:
            byte = solarized(byte, threshold)
        if (low != 0) | (scale != 1):
            byte = stretched(byte, low, scale)
        if step != 1:
            byte = posterized(byte, step, inverse_step)
        value = from_byte(byte)
    else:
        value = stretched_value(solarized_value(clamp(value), threshold), low, scale)
        value = posterized_value(value, step, inverse_step)
    return value


@triton.jit
def _gamma_channel(value, arg_ptr, BYTE: tl.constexpr):
    """One channel after a GAMMA step."""
    if BYTE:
        value = from_byte(curve_entry(value))
    return gamma(value, tl.load(arg_ptr + GAMMA_EXPONENT), tl.load(arg_ptr + GAMMA_GAIN))


@triton.jit
def _add_below_channel(value, arg_ptr, BYTE: tl.constexpr):
    """One channel after an ADD_BELOW step."""
    threshold, amount = tl.load(arg_ptr + ADD_THRESHOLD), tl.load(arg_ptr + ADD_AMOUNT)
    if BYTE:
        value = from_byte(added_below(curve_entry(value), threshold, amount))
    else:
        value = added_below_value(clamp(value), threshold, amount)
    return value


@triton.jit
def entry_of(value, BYTE: tl.constexpr):
    """The entry of a curve that a value has, int32."""
    entry = curve_entry(value) if BYTE else cut_entry(value)
    return entry.to(tl.int32)


@triton.jit
def _curve_channel(value, curve_ptr, BYTE: tl.constexpr):
    """One channel after a CURVE step."""
    return tl.load(curve_ptr + entry_of(value, BYTE))


@triton.jit
def curve_of(arg_ptr, curves_ptr, channel, CHANNELS: tl.constexpr):
    """The pointer to a step's row of curves: to its channel of that number, or the first of RGB."""
    curve_ptr = curves_ptr + tl.load(arg_ptr + CURVE_ROW).to(tl.int32) * (CHANNELS * CURVE_ENTRIES)
    if CHANNELS != 3:
        curve_ptr += channel * CURVE_ENTRIES
    return curve_ptr


@triton.jit
def colour_step(
    r, g, b, kind, arg_ptr, curves_ptr, y, x, width, channel,
    CHANNELS: tl.constexpr, BYTE: tl.constexpr,
):  # fmt: skip
    """Pixels after one colour step.

    kind: number of the step's kind. arg_ptr: the step's arguments, float32, in the columns that
    `plan.kinds` names. y, x: places of the pixels in rows of so many (width); by their numbers noise is
    keyed. channel: number of the channel, where it is drawn alone. BYTE: whether sources are bytes.
    """
    RGB: tl.constexpr = CHANNELS == 3
    # Of bytes: a float that is not finite would reach other channels by an entry of 0.
    if BYTE & (kind == DIAGONAL):
        r = _gained(r, arg_ptr, 0)
        g, b = _gained(g, arg_ptr, 1), _gained(b, arg_ptr, 2)
    elif (kind == MATRIX) | (kind == DIAGONAL):
        if RGB:
            red, green, blue = r, g, b
            r = _matrix_channel(red, green, blue, arg_ptr)
            g = _matrix_channel(red, green, blue, arg_ptr + MATRIX_COLUMNS)
            b = _matrix_channel(red, green, blue, arg_ptr + 2 * MATRIX_COLUMNS)
        else:
            r = gain_offset(r, tl.load(arg_ptr), tl.load(arg_ptr + MATRIX_OFFSET))
    elif kind == TONE:
        r = _tone_channel(r, arg_ptr, 0, BYTE)
        if RGB:
            g, b = _tone_channel(g, arg_ptr, 1, BYTE), _tone_channel(b, arg_ptr, 2, BYTE)
    elif kind == CURVE:
        curve_ptr = curve_of(arg_ptr, curves_ptr, channel, CHANNELS)
        r = _curve_channel(r, curve_ptr, BYTE)
        if RGB:
            g = _curve_channel(g, curve_ptr + CURVE_ENTRIES, BYTE)
            b = _curve_channel(b, curve_ptr + 2 * CURVE_ENTRIES, BYTE)
    elif kind == GAMMA:
        r = _gamma_channel(r, arg_ptr, BYTE)
        if RGB:
            g, b = _gamma_channel(g, arg_ptr, BYTE), _gamma_channel(b, arg_ptr, BYTE)
    elif kind == ADD_BELOW:
        r = _add_below_channel(r, arg_ptr, BYTE)
        if RGB:
            g, b = _add_below_channel(g, arg_ptr, BYTE), _add_below_channel(b, arg_ptr, BYTE)
    elif kind == NOISE:
        mean, sigma = tl.load(arg_ptr + NOISE_MEAN), tl.load(arg_ptr + NOISE_SIGMA)
        k0 = tl.load(arg_ptr + NOISE_KEY).to(tl.uint32)
        k1 = tl.load(arg_ptr + (NOISE_KEY + 1)).to(tl.uint32)
        noise_r, noise_g, noise_b = _noise(y, x, width, channel, k0, k1, RGB)
        r = add_noise(r, mean, sigma, noise_r)
        if RGB:
            g, b = add_noise(g, mean, sigma, noise_g), add_noise(b, mean, sigma, noise_b)
    elif kind == IMPULSE:
        k0 = tl.load(arg_ptr + IMPULSE_KEY).to(tl.uint32)
        k1 = tl.load(arg_ptr + (IMPULSE_KEY + 1)).to(tl.uint32)
        # One word for all channels.
        word, _, _, _ = _random_words(y, x, width, 0, k0, k1)
        uniform = uniform_of(word)
        salt, amount = tl.load(arg_ptr + IMPULSE_SALT), tl.load(arg_ptr + IMPULSE_AMOUNT)
        r = impulse(r, uniform, salt, amount)
        if RGB:
            g, b = impulse(g, uniform, salt, amount), impulse(b, uniform, salt, amount)
    elif kind == HUE:
        if RGB:
            r, g, b = turned_colour(r, g, b, tl.load(arg_ptr + HUE_TURNS))
    elif kind == GAINS:
        if not RGB:
            curve_ptr = curve_of(arg_ptr, curves_ptr, channel, CHANNELS)
            r = gain_offset(r, tl.load(curve_ptr + GAIN_AT), tl.load(curve_ptr + OFFSET_AT))
    return r, g, b
