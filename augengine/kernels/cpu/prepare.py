"""What is worked out once an output, before its rows: where each layer looks, and what the next output
will read."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ...plan.kinds import CONSTANT
from .aligned import is_separable, prepare_columns, prepare_taking
from .formulas import HALF, ZERO, f32, inlined, project
from .gather import with_taps_of
from .memory import prefetch, record_at, values
from .sample import Image, axis_of, first_of, is_affine, pack_rgb
from .tables import AXIS, IMAGE, LAYER, VIEW

AHEAD = 1 << 19  # bytes: half of a common second-level cache
ALL_ROWS = -1
FAR = np.iinfo(np.int64).max  # an end of memory that no load comes near

# Where a layer of the output at hand looks.
LOOK = np.dtype(
    [
        # Its image, as in the table of images: the source, or a packed copy of what is looked at.
        ("address", np.int64),
        ("stride_y", np.int64),
        ("stride_x", np.int64),
        ("stride_c", np.int64),
        ("limit", np.int64),
        (
            "first_x",
            np.int64,
        ),  # the columns that the image has: this one up to, and without, `last_x`
        ("last_x", np.int64),
        # Whether the view is axis-aligned. The next four are of such a view.
        ("separable", np.int64),
        ("start", np.int64),  # the outputs start … stop − 1 of its box lie inside the clip,
        ("stop", np.int64),
        ("least", np.int64),  # and take the source columns least … most − 1
        ("most", np.int64),
        ("reach", np.int64),  # the columns that neighbouring outputs span, as `prepare_taking` says
        ("far", np.int64),  # whether it is too large to be asked for one output ahead
    ]
)
# Memory that the next output reads: its address, bytes from row to row, rows, bytes of a row; and bytes from
# plane to plane and planes, of which there is one where channels lie side by side.
BLOCK = np.dtype(
    [
        ("address", np.int64),
        ("stride", np.int64),
        ("rows", np.int64),
        ("size", np.int64),
        ("apart", np.int64),
        ("planes", np.int64),
        ("passed_by", np.int64),  # the view that reads some of the rows only, or ALL_ROWS
        ("first", np.int64),  # the row of its source that the block begins with
    ]
)


# The addresses of all tables, and how many layers an output has.
Addresses = namedtuple("Addresses", "images views axes layers looks blocks layer_count")


@inlined
def image_of(look, item, to_unit, channels):
    return Image(
        look.address, look.stride_y, look.stride_x, look.stride_c, look.limit, item, to_unit,
        channels,
    )  # fmt: skip


@inlined
def prepare(sample_value, job, buffers, tables, n, k):
    """Fill the record of where layer k of output n looks. The arguments are those of `draw`'s functions."""
    layer = record_at(tables.layers, n * tables.layer_count + k, LAYER)
    look = record_at(tables.looks, k, LOOK)
    look.separable = 0
    if layer.view_number < 0:
        return
    view = record_at(tables.views, layer.view_number, VIEW)
    axis_y = axis_of(record_at(tables.axes, 2 * layer.view_number, AXIS))
    axis_x = axis_of(record_at(tables.axes, 2 * layer.view_number + 1, AXIS))
    if axis_y.low >= axis_y.high or axis_x.low >= axis_x.high:
        return
    image = record_at(tables.images, view.source, IMAGE)
    look.address, look.limit = image.address, image.limit
    look.stride_y, look.stride_x = image.stride_y, image.stride_x
    look.stride_c = image.stride_c
    look.first_x, look.last_x = axis_x.first, axis_x.last
    source = image_of(look, job.item, job.to_unit, job.channels)
    if _is_copied(image, job.channels, view.matrix):
        copy = buffers.packed + k * buffers.packed_size
        y0, x0, y1, x1 = _copied(view.matrix, axis_y, axis_x, layer)
        if y0 < y1 and x0 < x1:
            pack_rgb(source, sample_value, y0, x0, y1, x1, copy)
        look.stride_y, look.stride_x, look.stride_c = 3 * (x1 - x0), 3, 1
        look.address = copy - (y0 * look.stride_y + 3 * x0) * job.item
        look.limit = FAR  # the copy has room behind it
        look.first_x, look.last_x = x0, x1
    look.separable = is_separable(view.matrix)
    if look.separable:
        y0, x0, y1, x1 = _reach(view.matrix, axis_y, axis_x, layer)
        look.far = (y1 - y0) * (x1 - x0) * job.channels * job.item > AHEAD
        columns = buffers.columns + k * buffers.columns_size
        look.start, look.stop, look.least, look.most = prepare_columns(
            axis_x, view.matrix[0], view.matrix[2], layer.x0, layer.x1, columns,
            columns + buffers.pitch, buffers.pitch, buffers.scratch,
        )  # fmt: skip
        look.reach = prepare_taking(axis_x, look.start, look.stop, columns, buffers.pitch)
        if axis_y.slope != ZERO:
            held = values(buffers.held, (k + 1) * buffers.most_taps, np.int64(0))
            for place in range(k * buffers.most_taps, (k + 1) * buffers.most_taps):
                held[place] = -1


@inlined
def _reach(matrix, axis_y, axis_x, layer):
    """The pixels of the source that a view weighs within its layer's box, those that weigh nothing
    included: y0, x0, y1, x1. For a view that is not affine, or looks past the clip's border: all of the
    clip.

    Between the corners of the box lie the centres of its pixels, and so do what `project` makes of
    them: products and sums, rounded or not, keep numbers in order.
    """
    if not is_affine(matrix) or axis_x.border != CONSTANT:
        return axis_y.first, axis_x.first, axis_y.last, axis_x.last
    if not is_separable(matrix):
        axis_y, axis_x = with_taps_of(axis_y, axis_x), with_taps_of(axis_x, axis_y)
    y0, x0, y1, x1 = axis_y.high, axis_x.high, axis_y.low, axis_x.low
    for corner in range(4):
        x = f32(layer.x1 if corner % 2 else layer.x0)
        y = f32(layer.y1 if corner // 2 else layer.y0)
        point_x = project(x, y, matrix[0], matrix[1], matrix[2])
        point_y = project(x, y, matrix[3], matrix[4], matrix[5])
        x0, x1 = min(x0, point_x), max(x1, point_x)
        y0, y1 = min(y0, point_y), max(y1, point_y)
    return (
        first_of(axis_y, y0), first_of(axis_x, x0),
        first_of(axis_y, y1) + axis_y.taps, first_of(axis_x, x1) + axis_x.taps,
    )  # fmt: skip


@inlined
def _is_copied(image, channels, matrix):
    """Whether the piece of an image that a view looks at is packed first: RGB that does not lie pixel after
    pixel, unless the view is axis-aligned and takes whole rows of planes as they are."""
    planes = image.stride_x == 1 and is_separable(matrix)
    return channels == 3 and not planes and (image.stride_x != 3 or image.stride_c != 1)


@inlined
def _copied(matrix, axis_y, axis_x, layer):
    """The pixels of the source that are copied for a view: `_reach`, its columns a multiple of sixteen
    where the clip has room, so that loops over them come out even."""
    y0, x0, y1, x1 = _reach(matrix, axis_y, axis_x, layer)
    wide = min((x1 - x0 + 15) // 16 * 16, axis_x.last - axis_x.first)
    x0 = max(axis_x.first, min(x0, axis_x.last - wide))
    return y0, x0, y1, x0 + wide


@inlined
def largest_copy(tables, job, begin, end):
    """Bytes of the largest copy that `prepare` makes for the outputs begin … end − 1."""
    largest = np.int64(0)
    for row in range(begin * tables.layer_count, end * tables.layer_count):
        layer = record_at(tables.layers, row, LAYER)
        if layer.view_number < 0:
            continue
        view = record_at(tables.views, layer.view_number, VIEW)
        image = record_at(tables.images, view.source, IMAGE)
        if _is_copied(image, job.channels, view.matrix):
            axis_y = axis_of(record_at(tables.axes, 2 * layer.view_number, AXIS))
            axis_x = axis_of(record_at(tables.axes, 2 * layer.view_number + 1, AXIS))
            y0, x0, y1, x1 = _copied(view.matrix, axis_y, axis_x, layer)
            largest = max(largest, (y1 - y0) * (x1 - x0) * 3 * job.item)
    return largest


@inlined
def look_ahead(tables, n, item, channels):
    """Fill the records of the blocks that output n will read. Returns how many there are.

    They are asked for while the output before is drawn: waiting for them costs as much as drawing.
    Larger ones would only push each other out of the cache. item: bytes of a source value.
    """
    count, room = 0, AHEAD
    for k in range(tables.layer_count):
        layer = record_at(tables.layers, n * tables.layer_count + k, LAYER)
        if layer.view_number < 0:
            continue
        view = record_at(tables.views, layer.view_number, VIEW)
        axis_y = axis_of(record_at(tables.axes, 2 * layer.view_number, AXIS))
        axis_x = axis_of(record_at(tables.axes, 2 * layer.view_number + 1, AXIS))
        y0, x0, y1, x1 = _reach(view.matrix, axis_y, axis_x, layer)
        image = record_at(tables.images, view.source, IMAGE)
        stride, pixel = image.stride_y * item, image.stride_x * item
        size = (x1 - x0) * pixel
        planes = channels if abs(image.stride_c) > abs(image.stride_x) else 1
        # A shrink without antialiasing passes over rows.
        upright = is_separable(view.matrix) and axis_y.border == CONSTANT
        some = upright and abs(view.matrix[4]) > f32(axis_y.taps)
        room -= (axis_y.taps * (layer.y1 - layer.y0) if some else y1 - y0) * size * planes
        if y1 > y0 and size > 0 and room > 0:
            block = record_at(tables.blocks, count, BLOCK)
            block.address = image.address + y0 * stride + x0 * pixel
            block.stride, block.rows, block.size = stride, y1 - y0, size
            block.apart, block.planes = image.stride_c * item, planes
            block.passed_by, block.first = layer.view_number if some else ALL_ROWS, y0
            count += 1
    return count


@inlined
def prefetch_rows(tables, count, y, height):
    """Ask for what row y of `height` will read of the first `count` blocks; of those of which all is read,
    for its share."""
    for b in range(count):
        block = record_at(tables.blocks, b, BLOCK)
        first, last = y * block.rows // height, (y + 1) * block.rows // height
        if block.passed_by != ALL_ROWS:
            matrix = record_at(tables.views, block.passed_by, VIEW).matrix
            axis = axis_of(record_at(tables.axes, 2 * block.passed_by, AXIS))
            point = project(ZERO, f32(y) + HALF, ZERO, matrix[4], matrix[5])
            first = first_of(axis, point) - block.first
            last = first + axis.taps
        for row in range(first, last):
            for c in range(block.planes):
                start = block.address + row * block.stride + c * block.apart
                for skip in range(0, block.size + 64, 64):
                    prefetch(start + skip)
