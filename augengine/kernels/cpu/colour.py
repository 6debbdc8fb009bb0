"""Colour steps and the finish over float32 rows of values in [0, 1], in numba.

The branch on what a step is, is taken once a row; each loop writes one row, so LLVM vectorises it.
`rows` and `spare` are addresses of rows that lie `pitch` bytes apart, as in `sample`.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ...plan.kinds import CURVE, HUE, MATRIX, NOISE, TONE
from ...random_numbers import PHILOX_ROUNDS
from .formulas import (
    ONE,
    ZERO,
    add_noise,
    apart,
    blend,
    curve_entry,
    f32,
    from_byte,
    gain_offset,
    hue_angle,
    hue_channel,
    jit,
    matrix_row,
    normal_pair,
    normalise,
    philox_round,
    posterized,
    solarized,
    stretched,
    to_byte,
)
from .memory import float_bits, floats, half_bits, ints, stream_line, stream_normalised, values

# The finished batch: values between neighbours, which dtype, bytes of a value, and whether it is
# large enough to be written past the cache.
Out = namedtuple("Out", "address stride_n stride_c stride_y stride_x kind item past")
F32, F16, BF16, U8 = range(4)
OUT_KINDS = {"float32": F32, "float16": F16, "bfloat16": BF16, "uint8": U8}
MAX_BYTE = f32(255)


@apart
def apply_step(kind, arg, curves, channels, number, count, rows, spare, pitch):
    """One colour step over `count` pixels of the rows.

    arg: the step's twelve numbers. curves: address of the plan's curves. number: of the first
    pixel in its output, which keys noise. spare: four rows of scratch.
    """
    if kind == MATRIX:
        mixes = (
            arg[1] != ZERO or arg[2] != ZERO or arg[4] != ZERO
            or arg[6] != ZERO or arg[8] != ZERO or arg[9] != ZERO
        )  # fmt: skip
        if mixes and channels == 3:
            red, green, blue = _three(rows, pitch, count)
            for c in range(3):
                m0, m1, m2, m3 = arg[4 * c], arg[4 * c + 1], arg[4 * c + 2], arg[4 * c + 3]
                new = floats(spare + c * pitch, count)
                for x in range(count):
                    new[x] = matrix_row(red[x], green[x], blue[x], m0, m1, m2, m3)
            _copy(spare, rows, pitch, count)
        else:
            for c in range(channels):
                k = c if channels == 3 else 0
                gain, offset, row = arg[5 * k], arg[4 * k + 3], floats(rows + c * pitch, count)
                for x in range(count):
                    row[x] = gain_offset(row[x], gain, offset)
    elif kind == CURVE:
        for c in range(channels):
            which = np.int64(arg[0]) * 3 + (c if channels == 3 else 0)
            _look_up(rows + c * pitch, curves + 1024 * which, spare, count)
    elif kind == TONE:
        for c in range(channels):
            of = c if channels == 3 else 0
            _set_tone(rows + c * pitch, count, arg[0], arg[3 + of], arg[6 + of], arg[1], arg[2])
    elif kind == HUE:
        red, green, blue = _three(rows, pitch, count)
        turned, shift = floats(spare + 3 * pitch, count), f32(6) * arg[0]
        for x in range(count):
            turned[x] = hue_angle(red[x], green[x], blue[x]) + shift
        for c in range(3):
            offset, new = f32(5 - 2 * c), floats(spare + c * pitch, count)
            for x in range(count):
                new[x] = hue_channel(red[x], green[x], blue[x], turned[x], offset)
        _copy(spare, rows, pitch, count)
    elif kind == NOISE:
        for first in range(0, channels, 4):
            for x in range(count):
                c0, c1 = np.uint32(number + x), np.uint32(first)
                c2, c3 = np.uint32(0), np.uint32(0)
                k0, k1 = np.uint32(arg[2]), np.uint32(arg[3])
                for _ in range(PHILOX_ROUNDS):
                    c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
                deviates = normal_pair(c0, c1) + normal_pair(c2, c3)
                for c in range(first, min(first + 4, channels)):
                    row = floats(rows + c * pitch, count)
                    row[x] = add_noise(row[x], arg[0], arg[1], deviates[c - first])


@apart
def _set_tone(row, count, threshold, low, scale, step, inverse_step):
    line = floats(row, count)
    stretches = low != ZERO or scale != ONE
    if not stretches and step == ONE:
        for x in range(count):
            line[x] = from_byte(solarized(curve_entry(line[x]), threshold))
    elif not stretches and threshold > MAX_BYTE:
        for x in range(count):
            line[x] = from_byte(posterized(curve_entry(line[x]), step, inverse_step))
    elif step == ONE and threshold > MAX_BYTE:
        for x in range(count):
            line[x] = from_byte(stretched(curve_entry(line[x]), low, scale))
    else:
        for x in range(count):
            byte = stretched(solarized(curve_entry(line[x]), threshold), low, scale)
            line[x] = from_byte(posterized(byte, step, inverse_step))


@apart
def _look_up(row, curve, spare, count):
    """Which entries, all at once; then the entries, one by one: that is three times as fast as both
    in one loop."""
    line, entries = floats(row, count), ints(spare, count)
    for x in range(count):
        entries[x] = np.int32(curve_entry(line[x]))
    table = floats(curve, 256)
    for x in range(count):
        line[x] = table[np.uint32(entries[x])]


@jit
def _three(rows, pitch, count):
    return floats(rows, count), floats(rows + pitch, count), floats(rows + 2 * pitch, count)


@jit
def _copy(source, rows, pitch, count):
    for c in range(3):
        new, row = floats(source + c * pitch, count), floats(rows + c * pitch, count)
        for x in range(count):
            row[x] = new[x]


@jit
def fill_row(row, count, value):
    out = floats(row, count)
    for x in range(count):
        out[x] = value


@jit
def blend_row(under, over, count, alpha):
    low, high = floats(under, count), floats(over, count)
    for x in range(count):
        low[x] = blend(low[x], high[x], alpha)


# The finish


@jit
def _bfloat16_bits(value):
    """Rounded to nearest even. (A finished value is never a NaN.)"""
    bits = float_bits(value)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@apart
def _finish_line(row, count, step, kind, gain, offset, to):
    """Normalise a row of one channel and write it to address `to`, values `step` apart."""
    line, length = floats(row, count), (count - 1) * step + 1
    if kind == F32:
        out = floats(to, length)
        if step == 1:
            for x in range(count):
                out[x] = normalise(line[x], gain, offset)
        else:
            for x in range(count):
                out[x * step] = normalise(line[x], gain, offset)
    elif kind == U8:
        out_bytes = values(to, length, np.uint8(0))
        if step == 1:
            for x in range(count):
                out_bytes[x] = np.uint8(np.int32(to_byte(line[x])))
        else:
            for x in range(count):
                out_bytes[x * step] = np.uint8(np.int32(to_byte(line[x])))
    else:
        out_bits = values(to, length, np.uint16(0))
        if kind == F16:
            for x in range(count):
                out_bits[x * step] = half_bits(normalise(line[x], gain, offset))
        else:
            for x in range(count):
                out_bits[x * step] = _bfloat16_bits(normalise(line[x], gain, offset))


@apart
def _finish_packed(rows, pitch, count, kind, gain, offset, to):
    """Three channels at once, pixel after pixel: float32 or bytes."""
    red, green, blue = _three(rows, pitch, count)
    gains, offsets = floats(gain, 3), floats(offset, 3)
    gain0, gain1, gain2 = gains[0], gains[1], gains[2]
    offset0, offset1, offset2 = offsets[0], offsets[1], offsets[2]
    if kind == F32:
        out = floats(to, 3 * count)
        for x in range(count):
            out[3 * x] = normalise(red[x], gain0, offset0)
            out[3 * x + 1] = normalise(green[x], gain1, offset1)
            out[3 * x + 2] = normalise(blue[x], gain2, offset2)
    else:
        out_bytes = values(to, 3 * count, np.uint8(0))
        for x in range(count):
            out_bytes[3 * x] = np.uint8(np.int32(to_byte(red[x])))
            out_bytes[3 * x + 1] = np.uint8(np.int32(to_byte(green[x])))
            out_bytes[3 * x + 2] = np.uint8(np.int32(to_byte(blue[x])))


@jit
def finish_row(rows, pitch, channels, count, gain, offset, out, to, spare):
    """Normalise a row and write it to address `to`. out: an `Out`. gain, offset: addresses of a
    number for each channel. spare: scratch of three rows.

    A large batch is written past the cache, which it would only flush: that spares reading each
    line before it is written, a quarter of all the time."""
    if channels == 3 and out.stride_c == 1 and out.stride_x == 3 and out.kind in (F32, U8):
        if out.past and to % 64 == 0:
            _finish_packed(rows, pitch, count, out.kind, gain, offset, spare)
            _copy_past(spare, to, 3 * count * out.item)
        else:
            _finish_packed(rows, pitch, count, out.kind, gain, offset, to)
        return
    gains, offsets = floats(gain, channels), floats(offset, channels)
    for c in range(channels):
        row, plane = rows + c * pitch, to + c * out.stride_c * out.item
        if out.past and plane % 64 == 0 and out.stride_x == 1 and out.kind == F32:
            _finish_past(row, count, gains[c], offsets[c], plane)
        elif out.past and plane % 64 == 0 and out.stride_x == 1:
            _finish_line(row, count, 1, out.kind, gains[c], offsets[c], spare)
            _copy_past(spare, plane, count * out.item)
        else:
            _finish_line(row, count, out.stride_x, out.kind, gains[c], offsets[c], plane)


@apart
def _finish_past(row, count, gain, offset, to):
    """A row of float32, normalised on its way past the cache."""
    whole = count // 16 * 16
    for x in range(0, whole, 16):
        stream_normalised(row + 4 * x, to + 4 * x, gain, offset)
    line, out = floats(row, count), floats(to, count)
    for x in range(whole, count):
        out[x] = normalise(line[x], gain, offset)


@jit
def _copy_past(source, to, size):
    for at in range(0, size - 63, 64):
        stream_line(source + at, to + at)
    rest, out = values(source, size, np.uint8(0)), values(to, size, np.uint8(0))
    for i in range(size // 64 * 64, size):
        out[i] = rest[i]
