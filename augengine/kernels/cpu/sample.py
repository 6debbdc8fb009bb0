"""Sampling a row of a view into float32 rows of values in [0, 1], one for each channel: what its two
paths share.

An axis-aligned view (crop, resize, flip) goes by `aligned`, any other by `gather`. Both cut the
taps to the clip by shifting the first tap, so that no load is out of bounds and no loop needs a check;
weights come from the taps' true places, so shifted ones weigh nothing.

Scratch is named by address (see `memory`): arrays would be counted at each slice, which costs more
than the short loops over them.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ...plan.kinds import CONSTANT, EDGE, REFLECT
from .formulas import HALF, ONE, TWO, ZERO, apart, edge, first_tap, fold, jit
from .memory import floats, split_eight, values

# One source image: where it lies, values between neighbours along y, x and channel, where readable
# memory ends, the bytes of a value, and what brings a value to [0, 1].
Image = namedtuple("Image", "address stride_y stride_x stride_c limit item unit channels")
# One axis of a view's clip: its limits as points and as pixels, the filter's half-width, the border.
Axis = namedtuple("Axis", "low high first last support taps border")
# Scratch, by address; rows lie `pitch` bytes apart.
Scratch = namedtuple(
    "Scratch",
    "pitch centres units at_x at_y first_x first_y total_x total_y share_x share_y quads line patch",
)


@jit
def axis_of(low, high, support, border):
    """The facts of one axis. Taps: as many as can weigh anything, and no more than are pixels."""
    first, last = int(np.floor(low)), int(np.ceil(high))
    taps = max(1, min(int(np.ceil(TWO * support)), last - first))
    return Axis(low, high, first, last, support, taps, border)


@jit
def first_of(axis, at):
    return max(axis.first, min(int(first_tap(at, axis.support)), axis.last - axis.taps))


@jit
def reciprocal_of(axis):
    return ONE / axis.support if axis.support > ZERO else ZERO


@jit
def border_point(axis, at):
    """Where a border mode looks instead of `at`."""
    if axis.border == CONSTANT:
        return at
    if axis.border == EDGE:
        return edge(at, axis.low, axis.high)
    if axis.border == REFLECT:  # about the centres of the outermost pixels
        return fold(at, axis.low + HALF, axis.high - HALF)
    return fold(at, axis.low, axis.high)


@apart
def pack_rgb(image, like, y0, x0, y1, x1, to):
    """Copy a piece of an RGB image of any strides to `to`, pixel after pixel."""
    width = x1 - x0
    for y in range(y0, y1):
        row = image.address + (y * image.stride_y + x0 * image.stride_x) * image.item
        length = (width - 1) * image.stride_x + 1
        red = values(row, length, like)
        green = values(row + image.stride_c * image.item, length, like)
        blue = values(row + 2 * image.stride_c * image.item, length, like)
        out = values(to + (y - y0) * width * 3 * image.item, 3 * width, like)
        if image.stride_x == 1:
            for x in range(width):
                out[3 * x] = red[x]
                out[3 * x + 1] = green[x]
                out[3 * x + 2] = blue[x]
        else:
            for x in range(width):
                out[3 * x] = red[x * image.stride_x]
                out[3 * x + 1] = green[x * image.stride_x]
                out[3 * x + 2] = blue[x * image.stride_x]


@jit
def split_quads(scratch, count, scale, rows):
    """Quads, each times its number at `scale`, into three rows."""
    green, blue = rows + scratch.pitch, rows + 2 * scratch.pitch
    for x in range(0, count - 7, 8):
        to = 4 * x
        split_eight(scratch.quads + 4 * to, rows + to, green + to, blue + to, scale + to)
    packed, scales = floats(scratch.quads, 4 * count), floats(scale, count)
    for x in range(count // 8 * 8, count):
        for c in range(3):
            floats(rows + c * scratch.pitch, count)[x] = packed[4 * x + c] * scales[x]


@jit
def clear_quads(quads, count):
    out = floats(quads, 4 * count)
    for i in range(4 * count):
        out[i] = ZERO
