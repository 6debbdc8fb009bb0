"""Colour steps over float32 rows of values in [0, 1], in numba.

The branch on what a step is, is taken once a row. A loop names few rows, three that it changes in place or
six, so LLVM finds out whether they overlap and vectorises it. `rows` and `scratch` are addresses of rows
that lie `pitch` bytes apart; `count` is the number of pixels.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ...plan.kinds import (
    ADD_AMOUNT,
    ADD_BELOW,
    ADD_THRESHOLD,
    CURVE,
    CURVE_ENTRIES,
    CURVE_ROW,
    GAIN_AT,
    GAINS,
    GAMMA,
    GAMMA_EXPONENT,
    GAMMA_GAIN,
    HUE,
    HUE_TURNS,
    IMPULSE,
    IMPULSE_AMOUNT,
    IMPULSE_KEY,
    IMPULSE_SALT,
    MATRIX,
    MATRIX_MIXES,
    MATRIX_OFFSETS,
    NOISE,
    NOISE_KEY,
    NOISE_MEAN,
    NOISE_SIGMA,
    NONE,
    OFFSET_AT,
    STEP_ARGS,
    TONE,
    TONE_INVERSE_STEP,
    TONE_LOW,
    TONE_SCALE,
    TONE_STEP,
    TONE_THRESHOLD,
)
from ...random_numbers import PHILOX_ROUNDS
from .curves import look_up
from .formulas import (
    ONE,
    ZERO,
    add_noise,
    added_below,
    added_below_value,
    blend,
    clamp,
    curve_entry,
    f32,
    from_byte,
    gain_offset,
    gamma,
    impulse,
    inlined,
    matrix_row,
    normal_pair,
    not_inlined,
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
from .memory import floats, rgb_rows, values, words
from .sample import whole_vectors

# A plan's colour steps: the addresses of step_kind [V, S] and step_arg [V, S, 12], S, and the address of
# curves [Q, C, 256]; and whether sources are bytes.
Steps = namedtuple("Steps", "kinds arguments count curves bytes")
MAX_BYTE = f32(255)


@inlined
def kind_of(steps, v, s):
    """Of step s of view v: NONE, MATRIX …"""
    return values(steps.kinds + v * steps.count + s, 1, np.int8(0))[0]


@inlined
def argument_of(steps, v, s):
    """The twelve arguments of step s of view v."""
    return floats(steps.arguments + 4 * STEP_ARGS * (v * steps.count + s), STEP_ARGS)


@inlined
def apply_step(steps, v, s, channels, number, count, rows, scratch, pitch):
    """Step s of view v over `count` pixels of the rows.

    number: of the first pixel in its output, which keys noise. scratch: four rows.
    """
    kind = kind_of(steps, v, s)
    if kind != NONE:
        argument = argument_of(steps, v, s)
        _apply(
            kind, argument, steps.curves, steps.bytes, channels, number, count, rows, scratch, pitch
        )  # fmt: skip


@inlined
def apply_steps(steps, v, fill_start, channels, number, begin, start, stop, room, rows, buffers):
    """All steps of view v over the pixels start … stop − 1 of the rows; those from `fill_start` on also
    over the fill before, begin … start − 1. number: of pixel 0. room: up to which pixel the rows may be
    written over, as `whole_vectors` does.
    """
    for s in range(steps.count):
        first = begin if s >= fill_start else start
        if stop > first:
            apply_step(
                steps, v, s, channels, number + first, whole_vectors(stop - first, room - first),
                rows + 4 * first, buffers.scratch, buffers.pitch,
            )  # fmt: skip


@not_inlined
def _apply(kind, arg, curves, of_bytes, channels, number, count, rows, scratch, pitch):
    if kind == MATRIX:
        _apply_matrix(arg, channels, count, rows, pitch)
    elif kind == CURVE:
        _apply_curve(arg, curves, of_bytes, channels, count, rows, scratch, pitch)
    elif kind == TONE:
        _apply_tone(arg, of_bytes, channels, count, rows, pitch)
    elif kind == GAMMA:
        _apply_gamma(arg, channels, count, rows, pitch)
    elif kind == ADD_BELOW:
        _apply_add_below(arg, of_bytes, channels, count, rows, pitch)
    elif kind == HUE:
        _apply_hue(arg, count, rows, pitch)
    elif kind == NOISE:
        _apply_noise(arg, channels, number, count, rows, scratch, pitch)
    elif kind == GAINS:
        _apply_gains(arg, curves, channels, count, rows, pitch)
    elif kind == IMPULSE:
        _apply_impulse(arg, channels, number, count, rows, scratch, pitch)


@inlined
def mixes_channels(arg):
    """Whether a MATRIX is more than a gain and an offset for each channel."""
    for k in MATRIX_MIXES:
        if arg[k] != ZERO:
            return True
    return False


@inlined
def _apply_matrix(arg, channels, count, rows, pitch):
    if channels == 3 and mixes_channels(arg):
        red, green, blue = rgb_rows(rows, pitch, count)
        m00, m01, m02, m03 = arg[0], arg[1], arg[2], arg[3]
        m10, m11, m12, m13 = arg[4], arg[5], arg[6], arg[7]
        m20, m21, m22, m23 = arg[8], arg[9], arg[10], arg[11]
        for x in range(count):
            r, g, b = red[x], green[x], blue[x]
            red[x] = matrix_row(r, g, b, m00, m01, m02, m03)
            green[x] = matrix_row(r, g, b, m10, m11, m12, m13)
            blue[x] = matrix_row(r, g, b, m20, m21, m22, m23)
    else:
        for c in range(channels):
            k = c if channels == 3 else 0
            gain, offset, row = arg[5 * k], arg[MATRIX_OFFSETS[k]], floats(rows + c * pitch, count)
            for x in range(count):
                row[x] = gain_offset(row[x], gain, offset)


@inlined
def _apply_curve(arg, curves, of_bytes, channels, count, rows, scratch, pitch):
    for c in range(channels):
        curve = np.int64(arg[CURVE_ROW]) * channels + c
        look_up(
            rows + c * pitch, curves + 4 * CURVE_ENTRIES * curve, of_bytes, scratch, pitch, count
        )  # fmt: skip


@inlined
def _apply_gains(arg, curves, channels, count, rows, pitch):
    for c in range(channels):
        curve = np.int64(arg[CURVE_ROW]) * channels + c
        entries = floats(curves + 4 * CURVE_ENTRIES * curve, CURVE_ENTRIES)
        gain, offset, row = entries[GAIN_AT], entries[OFFSET_AT], floats(rows + c * pitch, count)
        for x in range(count):
            row[x] = gain_offset(row[x], gain, offset)


@inlined
def _apply_tone(arg, of_bytes, channels, count, rows, pitch):
    for c in range(channels):
        k = c if channels == 3 else 0
        row, threshold, low, scale = (
            rows + c * pitch, arg[TONE_THRESHOLD], arg[TONE_LOW + k], arg[TONE_SCALE + k],
        )  # fmt: skip
        if of_bytes:
            _set_tone(row, count, threshold, low, scale, arg[TONE_STEP], arg[TONE_INVERSE_STEP])
        else:
            _set_tone_of_values(
                row, count, threshold, low, scale, arg[TONE_STEP], arg[TONE_INVERSE_STEP]
            )


@inlined
def _apply_gamma(arg, channels, count, rows, pitch):
    """Of floats; for bytes it has become a curve."""
    exponent, gain = arg[GAMMA_EXPONENT], arg[GAMMA_GAIN]
    for c in range(channels):
        row = floats(rows + c * pitch, count)
        for x in range(count):
            row[x] = gamma(row[x], exponent, gain)


@inlined
def _apply_add_below(arg, of_bytes, channels, count, rows, pitch):
    threshold, amount = arg[ADD_THRESHOLD], arg[ADD_AMOUNT]
    for c in range(channels):
        row = floats(rows + c * pitch, count)
        if of_bytes:
            for x in range(count):
                row[x] = from_byte(added_below(curve_entry(row[x]), threshold, amount))
        else:
            for x in range(count):
                row[x] = added_below_value(clamp(row[x]), threshold, amount)


@inlined
def _apply_hue(arg, count, rows, pitch):
    red, green, blue = rgb_rows(rows, pitch, count)
    turns = arg[HUE_TURNS]
    for x in range(count):
        red[x], green[x], blue[x] = turned_colour(red[x], green[x], blue[x], turns)


@inlined
def _apply_noise(arg, channels, number, count, rows, scratch, pitch):
    mean, sigma = arg[NOISE_MEAN], arg[NOISE_SIGMA]
    for first in range(0, channels, 4):
        _draw_words(number, first, arg[NOISE_KEY], arg[NOISE_KEY + 1], count, scratch, pitch)
        for c in range(first, min(first + 4, channels)):
            deviates = scratch + (c - first) * pitch
            if c % 2 == 0:
                _to_deviates(deviates, deviates + pitch, count)
            row, deviate = floats(rows + c * pitch, count), floats(deviates, count)
            for x in range(count):
                row[x] = add_noise(row[x], mean, sigma, deviate[x])


@inlined
def _apply_impulse(arg, channels, number, count, rows, scratch, pitch):
    salt, amount = arg[IMPULSE_SALT], arg[IMPULSE_AMOUNT]
    _draw_words(number, np.int64(0), arg[IMPULSE_KEY], arg[IMPULSE_KEY + 1], count, scratch, pitch)
    word = words(scratch, count)
    for c in range(channels):
        row = floats(rows + c * pitch, count)
        for x in range(count):
            row[x] = impulse(row[x], uniform_of(word[x]), salt, amount)


@not_inlined
def _draw_words(number, first, key0, key1, count, target, pitch):
    """Four rows of random words, for the pixels from `number` and the channels from `first` on."""
    word0, word1 = words(target, count), words(target + pitch, count)
    word2, word3 = words(target + 2 * pitch, count), words(target + 3 * pitch, count)
    for x in range(count):
        c0, c1, c2, c3 = np.uint64(number + x), np.uint64(first), np.uint64(0), np.uint64(0)
        k0, k1 = np.uint32(key0), np.uint32(key1)
        for _ in range(PHILOX_ROUNDS):
            c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
        word0[x], word1[x] = np.uint32(c0), np.uint32(c1)
        word2[x], word3[x] = np.uint32(c2), np.uint32(c3)


@not_inlined
def _to_deviates(first, second, count):
    """Two rows of words ← as many standard normal numbers."""
    word_radius, word_angle = words(first, count), words(second, count)
    cosine, sine = floats(first, count), floats(second, count)
    for x in range(count):
        cosine[x], sine[x] = normal_pair(word_radius[x], word_angle[x])


@not_inlined
def _set_tone(row, count, threshold, low, scale, step, inverse_step):
    line = floats(row, count)
    solarizes, stretches = threshold <= MAX_BYTE, low != ZERO or scale != ONE
    posterizes = step != ONE
    if not stretches and not posterizes:
        for x in range(count):
            line[x] = from_byte(solarized(curve_entry(line[x]), threshold))
    elif not stretches and not solarizes:
        for x in range(count):
            line[x] = from_byte(posterized(curve_entry(line[x]), step, inverse_step))
    elif not posterizes and not solarizes:
        for x in range(count):
            line[x] = from_byte(stretched(curve_entry(line[x]), low, scale))
    else:
        for x in range(count):
            byte = stretched(solarized(curve_entry(line[x]), threshold), low, scale)
            line[x] = from_byte(posterized(byte, step, inverse_step))


@not_inlined
def _set_tone_of_values(row, count, threshold, low, scale, step, inverse_step):
    line = floats(row, count)
    if step == ONE and low == ZERO and scale == ONE:
        for x in range(count):
            line[x] = solarized_value(clamp(line[x]), threshold)
    else:
        for x in range(count):
            value = stretched_value(solarized_value(clamp(line[x]), threshold), low, scale)
            line[x] = posterized_value(value, step, inverse_step)


@inlined
def fill_rows(rows, pitch, channels, count, colour):
    """The rows become one colour. colour: the address of a float32 for each channel."""
    colours = floats(colour, channels)
    for c in range(channels):
        row, value = floats(rows + c * pitch, count), colours[c]
        for x in range(count):
            row[x] = value


@inlined
def blend_rows(under, over, pitch, channels, count, alpha):
    """Blend the rows `over` into the rows `under`."""
    for c in range(channels):
        low, high = floats(under + c * pitch, count), floats(over + c * pitch, count)
        for x in range(count):
            low[x] = blend(low[x], high[x], alpha)
