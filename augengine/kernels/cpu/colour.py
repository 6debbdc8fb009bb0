"""Colour steps over float32 rows of values in [0, 1], in numba.

The branch on what a step is, is taken once a row; each loop writes one row, so LLVM vectorises it.
`rows` and `scratch` are addresses of rows that lie `pitch` bytes apart; `count` is the number of pixels.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ...plan.kinds import (
    CURVE,
    CURVE_ROW,
    HUE,
    HUE_TURNS,
    MATRIX,
    MATRIX_MIXES,
    MATRIX_OFFSETS,
    NOISE,
    NOISE_KEY,
    NOISE_MEAN,
    NOISE_SIGMA,
    NONE,
    STEP_ARGS,
    TONE,
    TONE_INVERSE_STEP,
    TONE_LOW,
    TONE_SCALE,
    TONE_STEP,
    TONE_THRESHOLD,
)
from ...random_numbers import PHILOX_ROUNDS
from .formulas import (
    ONE,
    ZERO,
    add_noise,
    blend,
    blue_of_hue,
    curve_entry,
    f32,
    from_byte,
    gain_offset,
    green_of_hue,
    inlined,
    matrix_row,
    normal_pair,
    not_inlined,
    philox_round,
    posterized,
    red_of_hue,
    solarized,
    stretched,
    turned_hue,
)
from .memory import floats, ints, rgb_rows, values

# A plan's colour steps: the addresses of step_kind [V, S] and step_arg [V, S, 12], S, and the address of
# curves [Q, 3, 256].
Steps = namedtuple("Steps", "kinds arguments count curves")
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
        _apply(kind, argument, steps.curves, channels, number, count, rows, scratch, pitch)


@inlined
def apply_steps(steps, v, fill_start, channels, number, begin, start, stop, rows, buffers):
    """All steps of view v over the pixels start … stop − 1 of the rows; those from `fill_start` on also
    over the fill before, begin … start − 1. number: of pixel 0."""
    for s in range(steps.count):
        first = begin if s >= fill_start else start
        if stop > first:
            apply_step(
                steps, v, s, channels, number + first, stop - first, rows + 4 * first,
                buffers.scratch, buffers.pitch,
            )  # fmt: skip


@not_inlined
def _apply(kind, arg, curves, channels, number, count, rows, scratch, pitch):
    if kind == MATRIX:
        _apply_matrix(arg, channels, count, rows, scratch, pitch)
    elif kind == CURVE:
        _apply_curve(arg, curves, channels, count, rows, scratch, pitch)
    elif kind == TONE:
        _apply_tone(arg, channels, count, rows, pitch)
    elif kind == HUE:
        _apply_hue(arg, count, rows, scratch, pitch)
    elif kind == NOISE:
        _apply_noise(arg, channels, number, count, rows, pitch)


@inlined
def mixes_channels(arg):
    """Whether a MATRIX is more than a gain and an offset for each channel."""
    for k in MATRIX_MIXES:
        if arg[k] != ZERO:
            return True
    return False


@inlined
def _apply_matrix(arg, channels, count, rows, scratch, pitch):
    if channels == 3 and mixes_channels(arg):
        red, green, blue = rgb_rows(rows, pitch, count)
        for c in range(3):
            m0, m1, m2, m3 = arg[4 * c], arg[4 * c + 1], arg[4 * c + 2], arg[4 * c + 3]
            new = floats(scratch + c * pitch, count)
            for x in range(count):
                new[x] = matrix_row(red[x], green[x], blue[x], m0, m1, m2, m3)
        _copy_rgb(scratch, rows, pitch, count)
    else:
        for c in range(channels):
            k = c if channels == 3 else 0
            gain, offset, row = arg[5 * k], arg[MATRIX_OFFSETS[k]], floats(rows + c * pitch, count)
            for x in range(count):
                row[x] = gain_offset(row[x], gain, offset)


@inlined
def _apply_curve(arg, curves, channels, count, rows, scratch, pitch):
    for c in range(channels):
        curve = np.int64(arg[CURVE_ROW]) * 3 + (c if channels == 3 else 0)
        _look_up(rows + c * pitch, curves + 4 * 256 * curve, scratch, count)


@inlined
def _apply_tone(arg, channels, count, rows, pitch):
    for c in range(channels):
        k = c if channels == 3 else 0
        _set_tone(
            rows + c * pitch, count, arg[TONE_THRESHOLD], arg[TONE_LOW + k], arg[TONE_SCALE + k],
            arg[TONE_STEP], arg[TONE_INVERSE_STEP],
        )  # fmt: skip


@inlined
def _apply_hue(arg, count, rows, scratch, pitch):
    red, green, blue = rgb_rows(rows, pitch, count)
    turned, turns = floats(scratch + 3 * pitch, count), arg[HUE_TURNS]
    new_red, new_green, new_blue = rgb_rows(scratch, pitch, count)
    for x in range(count):
        turned[x] = turned_hue(red[x], green[x], blue[x], turns)
    for x in range(count):
        new_red[x] = red_of_hue(red[x], green[x], blue[x], turned[x])
    for x in range(count):
        new_green[x] = green_of_hue(red[x], green[x], blue[x], turned[x])
    for x in range(count):
        new_blue[x] = blue_of_hue(red[x], green[x], blue[x], turned[x])
    _copy_rgb(scratch, rows, pitch, count)


@inlined
def _apply_noise(arg, channels, number, count, rows, pitch):
    mean, sigma = arg[NOISE_MEAN], arg[NOISE_SIGMA]
    for first in range(0, channels, 4):
        for x in range(count):
            c0, c1 = np.uint32(number + x), np.uint32(first)
            c2, c3 = np.uint32(0), np.uint32(0)
            k0, k1 = np.uint32(arg[NOISE_KEY]), np.uint32(arg[NOISE_KEY + 1])
            for _ in range(PHILOX_ROUNDS):
                c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
            deviates = normal_pair(c0, c1) + normal_pair(c2, c3)
            for c in range(first, min(first + 4, channels)):
                row = floats(rows + c * pitch, count)
                row[x] = add_noise(row[x], mean, sigma, deviates[c - first])


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
def _look_up(row, curve, scratch, count):
    """Which entries, all at once; then the entries, one by one: that is three times as fast as both
    in one loop."""
    line, entries = floats(row, count), ints(scratch, count)
    for x in range(count):
        entries[x] = np.int32(curve_entry(line[x]))
    table = floats(curve, 256)
    for x in range(count):
        line[x] = table[np.uint32(entries[x])]


@inlined
def _copy_rgb(source, rows, pitch, count):
    """Three rows at `source` to `rows`."""
    for c in range(3):
        new, row = floats(source + c * pitch, count), floats(rows + c * pitch, count)
        for x in range(count):
            row[x] = new[x]


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
