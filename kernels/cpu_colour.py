"""Colour steps and the finish over rows [C, W] of values in [0, 1], in numba.

The branch on what a step is, is taken once a row; each loop writes one array, so LLVM vectorises it.
"""

from __future__ import annotations

import numpy as np
from numba import carray

from ..plan import CURVE, HUE, MATRIX, NOISE
from .cpu_names import (
    ZERO,
    add_noise,
    curve_entry,
    f32,
    gain_offset,
    hue_angle,
    hue_channel,
    jit,
    matrix_row,
    normal_pair,
    normalise,
    philox_round,
    to_byte,
)
from .memory import float_bits, half_bits, pointer

F32, F16, BF16, U8 = range(4)
OUT_KINDS = {"float32": F32, "float16": F16, "bfloat16": BF16, "uint8": U8}
WEYL0, WEYL1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)


@jit
def apply_step(kind, arg, curves, channels, y, width, rows, spare, start, stop):
    """One colour step over a span of `rows` [C, W]. Returns the rows and the spare ones, which
    change places where a step reads all channels to write one."""
    count = stop - start
    if kind == MATRIX:
        plain = (
            arg[1] == ZERO and arg[2] == ZERO and arg[4] == ZERO
            and arg[6] == ZERO and arg[8] == ZERO and arg[9] == ZERO
        )  # fmt: skip
        if plain or channels != 3:
            for c in range(channels):
                k = c if channels == 3 else 0
                gain, offset = arg[5 * k], arg[4 * k + 3]
                row = rows[c, start:stop]
                for x in range(count):
                    row[x] = gain_offset(row[x], gain, offset)
        else:
            red, green, blue = rows[0, start:stop], rows[1, start:stop], rows[2, start:stop]
            for c in range(3):
                m0, m1, m2, m3 = arg[4 * c], arg[4 * c + 1], arg[4 * c + 2], arg[4 * c + 3]
                new = spare[c, start:stop]
                for x in range(count):
                    new[x] = matrix_row(red[x], green[x], blue[x], m0, m1, m2, m3)
            rows[:3, start:stop] = spare[:3, start:stop]
    elif kind == CURVE:
        for c in range(channels):
            curve = curves[int(arg[0]), c if channels == 3 else 0]
            row = rows[c, start:stop]
            for x in range(count):
                row[x] = curve[int(curve_entry(row[x]))]
    elif kind == HUE:
        red, green, blue = rows[0, start:stop], rows[1, start:stop], rows[2, start:stop]
        turned = spare[3, start:stop]
        for x in range(count):
            turned[x] = hue_angle(red[x], green[x], blue[x]) + f32(6) * arg[0]
        for c in range(3):
            offset = f32(5 - 2 * c)
            new = spare[c, start:stop]
            for x in range(count):
                new[x] = hue_channel(red[x], green[x], blue[x], turned[x], offset)
        rows[:3, start:stop] = spare[:3, start:stop]
    elif kind == NOISE:
        for first in range(0, channels, 4):
            for x in range(start, stop):
                c0, c1 = np.uint32(y * width + x), np.uint32(first)
                c2, c3 = np.uint32(0), np.uint32(0)
                k0, k1 = np.uint32(arg[2]), np.uint32(arg[3])
                for _ in range(10):
                    c0, c1, c2, c3 = philox_round(c0, c1, c2, c3, k0, k1)
                    k0, k1 = np.uint32(k0 + WEYL0), np.uint32(k1 + WEYL1)
                deviates = normal_pair(c0, c1) + normal_pair(c2, c3)
                for c in range(first, min(first + 4, channels)):
                    rows[c, x] = add_noise(rows[c, x], arg[0], arg[1], deviates[c - first])


@jit
def bfloat16_bits(value):
    bits = float_bits(value)
    return np.uint16(
        (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    )


@jit
def finish_line(line, count, step, kind, gain, offset, address):
    """Normalise a row of one channel and write it, values `step` apart."""
    if kind == F32:
        out = carray(pointer(address, np.empty(0, np.float32)), count * step)
        if step == 1:
            for x in range(count):
                out[x] = normalise(line[x], gain, offset)
        else:
            for x in range(count):
                out[x * step] = normalise(line[x], gain, offset)
    elif kind == U8:
        out_bytes = carray(pointer(address, np.empty(0, np.uint8)), count * step)
        if step == 1:
            for x in range(count):
                out_bytes[x] = np.uint8(np.int32(to_byte(line[x])))
        else:
            for x in range(count):
                out_bytes[x * step] = np.uint8(np.int32(to_byte(line[x])))
    else:
        out_bits = carray(pointer(address, np.empty(0, np.uint16)), count * step)
        if kind == F16:
            for x in range(count):
                out_bits[x * step] = half_bits(normalise(line[x], gain, offset))
        else:
            for x in range(count):
                out_bits[x * step] = bfloat16_bits(normalise(line[x], gain, offset))


@jit
def finish_packed(rows, width, kind, gain, offset, address):
    """Three channels at once into channels_last memory, float32 or bytes."""
    red, green, blue = rows[0, :width], rows[1, :width], rows[2, :width]
    if kind == F32:
        out = carray(pointer(address, np.empty(0, np.float32)), 3 * width)
        for x in range(width):
            out[3 * x] = normalise(red[x], gain[0], offset[0])
            out[3 * x + 1] = normalise(green[x], gain[1], offset[1])
            out[3 * x + 2] = normalise(blue[x], gain[2], offset[2])
    else:
        out_bytes = carray(pointer(address, np.empty(0, np.uint8)), 3 * width)
        for x in range(width):
            out_bytes[3 * x] = np.uint8(np.int32(to_byte(red[x])))
            out_bytes[3 * x + 1] = np.uint8(np.int32(to_byte(green[x])))
            out_bytes[3 * x + 2] = np.uint8(np.int32(to_byte(blue[x])))
