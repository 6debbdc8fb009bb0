"""Scratch memory of the CPU kernel, by address: an array that is passed to a function would be counted,
and counting waits for all writes.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from .formulas import HALF, ZERO, f32, inlined
from .lines import dot_stride
from .memory import address_of, floats

PAD = 16  # floats behind each row, for vector loads that reach over its end
LINE = 64  # bytes of a cache line, at which rows begin: a vector across two costs two loads
ROOM = 160  # bytes behind a packed copy, for the same
WIDEST_PATCH = 8  # taps of the widest filter whose pixels are loaded in one go
SPARE = 32  # values behind each row of a patch

# Addresses. Rows are of float32 (or int32) and lie `pitch` bytes apart; what has several rows has them
# one after the other.
Buffers = namedtuple(
    "Buffers",
    [
        "pitch",
        "canvas",  # a row for each channel: the output's row, of values in [0, 1]
        "over",  # the same, of a layer that is blended over the canvas
        "scratch",  # four rows or more, for whoever needs some for a moment
        "centres",  # the centres of a row's pixels, x + ½
        "to_units",  # what brings source values to [0, 1], in every place
        "points_x",  # where each pixel of a row looks, in source pixels
        "points_y",
        "first_x",  # int32: its first taps
        "first_y",
        "total_x",  # the sums of its weights
        "total_y",
        "weights_x",  # a row for each tap
        "weights_y",
        "columns",  # of each layer: int32 first taps along x, weights by tap, and weights by output
        "columns_size",  # the bytes of a layer's columns
        "quads",  # four floats for each pixel of a row
        "line",  # one row of a source, pixel after pixel
        "lines",  # the same, a line for each channel
        "line_pitch",  # the bytes of a line
        "ring",  # of each layer: rows of a source, sampled along x for a cubic filter along y
        "ring_size",  # the bytes of a layer's ring
        "held",  # of each layer: int64, which row stands in which place of its ring
        "most_taps",  # of any view: so many places has a ring
        "patch",  # the pixels under a filter of WIDEST_PATCH taps, or a row of any
        "packed",  # of each layer: a copy of the source that lies pixel after pixel
        "packed_size",  # the bytes of a layer's copy
    ],
)


@inlined
def _up(address):
    """The next multiple of LINE."""
    return (address + LINE - 1) // LINE * LINE


@inlined
def allocate(axes, channels, layers, width, largest, to_unit):
    """(the buffers for rows of `width` pixels, the arrays that hold them).

    axes: the table. channels, layers: how many. largest: bytes of the largest copy of a source.
    to_unit: what brings a source value to [0, 1].
    """
    taps, longest, ring_taps = np.int64(2), np.int64(0), np.int64(0)
    for v in range(len(axes)):
        taps = max(taps, axes[v, 0].taps, axes[v, 1].taps)
        longest = max(longest, axes[v, 1].last)
        if axes[v, 0].slope != ZERO:
            ring_taps = max(ring_taps, axes[v, 0].taps)

    pitch = _up(4 * (width + PAD))
    line_pitch = _up(4 * (longest + taps + 3 * PAD))
    column_rows = 1 + taps + dot_stride(taps)
    count = 2 * channels + max(4, channels) + 8 + 2 * taps + layers * column_rows
    rows = np.empty(count * pitch + LINE, np.uint8)
    quads = np.empty(pitch, np.float32)
    line = np.zeros((longest + taps + PAD) * max(3, channels), np.float32)
    lines = np.zeros(channels * line_pitch + LINE, np.uint8)
    widest = WIDEST_PATCH * (3 * WIDEST_PATCH + SPARE)
    patch = np.zeros(widest + 3 * taps, np.float32)
    packed = np.empty((layers, largest + ROOM), np.uint8)
    ring_size = ring_taps * channels * pitch
    ring = np.empty(layers * ring_size // 4, np.float32)
    held = np.empty(layers * ring_taps, np.int64)

    canvas = _up(address_of(rows))
    over = canvas + channels * pitch
    scratch = over + channels * pitch
    eight = scratch + max(4, channels) * pitch
    weights_x = eight + 8 * pitch
    weights_y = weights_x + taps * pitch
    buffers = Buffers(
        pitch, canvas, over, scratch, eight, eight + pitch, eight + 2 * pitch, eight + 3 * pitch,
        eight + 4 * pitch, eight + 5 * pitch, eight + 6 * pitch, eight + 7 * pitch,
        weights_x, weights_y, weights_y + taps * pitch, column_rows * pitch,
        address_of(quads), address_of(line), _up(address_of(lines)), line_pitch,
        address_of(ring), ring_size, address_of(held), ring_taps,
        address_of(patch), address_of(packed), largest + ROOM,
    )  # fmt: skip
    centres, to_units = floats(buffers.centres, width), floats(buffers.to_units, width)
    for x in range(width):
        centres[x] = f32(x) + HALF
        to_units[x] = to_unit
    return buffers, (rows, quads, line, lines, patch, packed, ring, held)
