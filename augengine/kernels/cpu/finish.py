"""The finish: a row of values in [0, 1] normalised, or rounded to bytes, and written where the batch lies.

`rows` and `scratch` are addresses of rows that lie `pitch` bytes apart.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from .formulas import inlined, normalise, to_byte
from .memory import (
    float_bits,
    floats,
    half_bits,
    rgb_rows,
    stream_line,
    stream_normalised,
    values,
)

# The finished batch: values between neighbours, which dtype, bytes of a value, and whether it is
# large enough to be written past the cache.
Out = namedtuple("Out", "address stride_n stride_c stride_y stride_x kind item past")
F32, F16, BF16, U8 = range(4)
OUT_KINDS = {"float32": F32, "float16": F16, "bfloat16": BF16, "uint8": U8}


@inlined
def _bfloat16_bits(value):
    """Rounded to nearest even. (A finished value is never a NaN.)"""
    bits = float_bits(value)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@inlined
def _finish_line(row, count, step, kind, gain, offset, target):
    """Normalise a row of one channel and write it to address `target`, values `step` apart."""
    line, length = floats(row, count), (count - 1) * step + 1
    if kind == F32:
        out = floats(target, length)
        if step == 1:
            for x in range(count):
                out[x] = normalise(line[x], gain, offset)
        else:
            for x in range(count):
                out[x * step] = normalise(line[x], gain, offset)
    elif kind == U8:
        out_bytes = values(target, length, np.uint8(0))
        if step == 1:
            for x in range(count):
                out_bytes[x] = np.uint8(np.int32(to_byte(line[x])))
        else:
            for x in range(count):
                out_bytes[x * step] = np.uint8(np.int32(to_byte(line[x])))
    else:
        out_bits = values(target, length, np.uint16(0))
        if kind == F16:
            for x in range(count):
                out_bits[x * step] = half_bits(normalise(line[x], gain, offset))
        else:
            for x in range(count):
                out_bits[x * step] = _bfloat16_bits(normalise(line[x], gain, offset))


@inlined
def _finish_packed(rows, pitch, count, kind, gain, offset, target):
    """Three channels at once, pixel after pixel: float32 or bytes."""
    red, green, blue = rgb_rows(rows, pitch, count)
    gains, offsets = floats(gain, 3), floats(offset, 3)
    gain0, gain1, gain2 = gains[0], gains[1], gains[2]
    offset0, offset1, offset2 = offsets[0], offsets[1], offsets[2]
    if kind == F32:
        out = floats(target, 3 * count)
        for x in range(count):
            out[3 * x] = normalise(red[x], gain0, offset0)
            out[3 * x + 1] = normalise(green[x], gain1, offset1)
            out[3 * x + 2] = normalise(blue[x], gain2, offset2)
    else:
        out_bytes = values(target, 3 * count, np.uint8(0))
        for x in range(count):
            out_bytes[3 * x] = np.uint8(np.int32(to_byte(red[x])))
            out_bytes[3 * x + 1] = np.uint8(np.int32(to_byte(green[x])))
            out_bytes[3 * x + 2] = np.uint8(np.int32(to_byte(blue[x])))


@inlined
def finish_row(rows, pitch, channels, count, gain, offset, out, target, scratch):
    """Normalise a row of `count` pixels and write it to address `target`.

    gain, offset: addresses of a float32 for each channel. out: an `Out`. scratch: three rows.

    A large batch is written past the cache, which it would only flush: that spares reading each
    line before it is written, a quarter of all the time.
    """
    if channels == 3 and out.stride_c == 1 and out.stride_x == 3 and out.kind in (F32, U8):
        if out.past and target % 64 == 0:
            _finish_packed(rows, pitch, count, out.kind, gain, offset, scratch)
            _copy_past(scratch, target, 3 * count * out.item)
        else:
            _finish_packed(rows, pitch, count, out.kind, gain, offset, target)
        return
    gains, offsets = floats(gain, channels), floats(offset, channels)
    for c in range(channels):
        row, plane = rows + c * pitch, target + c * out.stride_c * out.item
        if out.past and plane % 64 == 0 and out.stride_x == 1 and out.kind == F32:
            _finish_past(row, count, gains[c], offsets[c], plane)
        elif out.past and plane % 64 == 0 and out.stride_x == 1:
            _finish_line(row, count, 1, out.kind, gains[c], offsets[c], scratch)
            _copy_past(scratch, plane, count * out.item)
        else:
            _finish_line(row, count, out.stride_x, out.kind, gains[c], offsets[c], plane)


@inlined
def _finish_past(row, count, gain, offset, target):
    """A row of float32, normalised on its way past the cache."""
    whole = count // 16 * 16
    for x in range(0, whole, 16):
        stream_normalised(row + 4 * x, target + 4 * x, gain, offset)
    line, out = floats(row, count), floats(target, count)
    for x in range(whole, count):
        out[x] = normalise(line[x], gain, offset)


@inlined
def _copy_past(source, target, size):
    """`size` bytes past the cache, to an address that is a multiple of 64."""
    for skip in range(0, size - 63, 64):
        stream_line(source + skip, target + skip)
    rest, out = values(source, size, np.uint8(0)), values(target, size, np.uint8(0))
    for i in range(size // 64 * 64, size):
        out[i] = rest[i]
