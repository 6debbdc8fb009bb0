"""Sampling a row of a view into float32 rows of values in [0, 1], one for each channel: what its two
paths share.

An axis-aligned view (crop, resize, flip) goes by `aligned`, any other by `gather`. Both cut the
taps to the clip by shifting the first tap, so that no load is out of bounds and no loop needs a check;
weights come from the taps' true places, so shifted ones weigh nothing.

Of the arguments that most functions share: `sample_value` is any value of the sources' dtype, which tells
numba the type; `rows` is the address of the first channel's row, the others lie `pitch` bytes behind;
`matrix` holds the nine entries of a view's inv_matrix; a `point` is a place along an axis of the source.
"""

from __future__ import annotations

from collections import namedtuple

from ...plan.kinds import CONSTANT, EDGE, REFLECT
from .formulas import (
    HALF,
    ONE,
    ZERO,
    cubic_weight,
    edge,
    f32,
    first_tap,
    fold,
    inlined,
    not_inlined,
    tap_weight,
)
from .memory import floats, split_eight, values

WHOLE = 32  # values that a loop over vectors takes at once
# The image that a layer looks at: where it lies and ends, as in the table of images; the bytes of a
# value; what brings a value to [0, 1]. Tuples, unlike records, stay in registers.
Image = namedtuple("Image", "address stride_y stride_x stride_c limit item to_unit channels")
# A row of the table of axes.
Axis = namedtuple("Axis", "low high first last support slope taps border")


@inlined
def axis_of(record):
    return Axis(
        record.low, record.high, record.first, record.last, record.support, record.slope,
        record.taps, record.border,
    )  # fmt: skip


@inlined
def is_packed_rgb(image):
    """Whether it is RGB and lies pixel after pixel."""
    return image.channels == 3 and image.stride_x == 3 and image.stride_c == 1


@inlined
def is_affine(matrix):
    return matrix[6] == ZERO and matrix[7] == ZERO and matrix[8] == ONE


@inlined
def is_nearest(axis_y, axis_x):
    """Whether an output is one pixel of the source, whole, as masks are drawn."""
    return axis_y.support == ZERO and axis_x.support == ZERO


@inlined
def first_of(axis, point):
    """The first tap, shifted to stay in the clip. A float becomes an integer once it is within bounds:
    what does not fit would be any integer."""
    return int(edge(first_tap(point, axis.support), f32(axis.first), f32(axis.last - axis.taps)))


@inlined
def reciprocal_of(axis):
    """Of the support; 0 for nearest."""
    return ONE / axis.support if axis.support > ZERO else ZERO


@inlined
def weight_of(axis, tap, point, reciprocal):
    """Of a tap, not normalised. reciprocal: `reciprocal_of(axis)`."""
    if axis.slope != ZERO:
        return cubic_weight(tap, point, reciprocal, axis.slope)
    return tap_weight(tap, point, reciprocal)


@inlined
def border_point(axis, point):
    """Where a border looks instead of a point outside the clip."""
    if axis.border == CONSTANT:
        return point
    if axis.border == EDGE:
        return edge(point, axis.low, axis.high)
    if axis.border == REFLECT:  # about the centres of the outermost pixels
        return fold(point, axis.low + HALF, axis.high - HALF)
    return fold(point, axis.low, axis.high)


@not_inlined
def pack_rgb(image, sample_value, y0, x0, y1, x1, target):
    """Copy the pixels y0 … y1 − 1, x0 … x1 − 1 of an RGB image of any strides to an address, pixel after
    pixel."""
    width = x1 - x0
    for y in range(y0, y1):
        row = image.address + (y * image.stride_y + x0 * image.stride_x) * image.item
        length = (width - 1) * image.stride_x + 1
        red = values(row, length, sample_value)
        green = values(row + image.stride_c * image.item, length, sample_value)
        blue = values(row + 2 * image.stride_c * image.item, length, sample_value)
        out = values(target + (y - y0) * width * 3 * image.item, 3 * width, sample_value)
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


@inlined
def split_quads(buffers, count, scale, rows):
    """The buffers' quads, each times its number at the address `scale`, into three rows."""
    green, blue = rows + buffers.pitch, rows + 2 * buffers.pitch
    for x in range(0, count - 7, 8):
        skip = 4 * x
        split_eight(buffers.quads + 4 * skip, rows + skip, green + skip, blue + skip, scale + skip)
    packed, scales = floats(buffers.quads, 4 * count), floats(scale, count)
    for x in range(count // 8 * 8, count):
        for c in range(3):
            floats(rows + c * buffers.pitch, count)[x] = packed[4 * x + c] * scales[x]


@inlined
def clear_quads(quads, count):
    out = floats(quads, 4 * count)
    for i in range(4 * count):
        out[i] = ZERO


@inlined
def whole_vectors(count, room):
    """So many pixels, and some behind them, that a loop over vectors comes out even where there is room: of a
    run of any length its rest, one by one, would take as long as half of all the others."""
    return min((count + WHOLE - 1) // WHOLE * WHOLE, room)


@inlined
def clamp_rows(rows, pitch, channels, count):
    """Values to [0, 1], in a row for each channel."""
    for c in range(channels):
        row = floats(rows + c * pitch, count)
        for x in range(count):
            row[x] = edge(row[x], ZERO, ONE)
