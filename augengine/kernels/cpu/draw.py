"""The CPU kernel: outputs drawn row by row, sampled, coloured, layered and finished in cache.

What is worked out once an output stands in `prepare`. Throughout, n is the number of an output, k of one
of its layers, v of a view and y of an output's row; `job`, `steps`, `buffers` and `tables` are the
named tuples Job, Steps, Buffers and Addresses, whose memory is given by address.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from ...plan.kinds import NO_VIEW, PLAIN_COLOUR
from .aligned import sample_aligned
from .buffers import PAD, allocate
from .colour import Steps, apply_steps, blend_rows, fill_rows
from .copies import copy_row, is_copy
from .finish import finish_row
from .formulas import ONE, ZERO, inlined
from .gather import gather_run, next_run, row_points
from .memory import address_of, fence, keep, record_at
from .prepare import (
    BLOCK,
    LOOK,
    Addresses,
    image_of,
    largest_copy,
    look_ahead,
    prefetch_rows,
    prepare,
)
from .sample import axis_of, clamp_rows
from .tables import AXIS, LAYER, VIEW

# What stays the same from output to output: bytes of a source value, what brings it to [0, 1], how many
# channels, the output's width, and the addresses of the fills [V, C] and the colours [N, K, C].
Job = namedtuple("Job", "item to_unit channels width fill colour")


@njit(nogil=True, error_model="numpy")
def draw(
    begin, end, sample_value, item, to_unit, images, views, axes, layers, fill, colour,
    step_kind, step_arg, curves, gain, offset, out, height, width,
):  # fmt: skip
    """Draw the outputs begin … end − 1.

    sample_value: a value of the sources' dtype, of `item` bytes. to_unit: what brings it to [0, 1].
    images, views, axes, layers: as in `tables`. The plan's fields follow under their names, its
    statistics completed. gain, offset: [C], the finish. out: where the batch goes, an `Out`.
    height, width: of an output.
    """
    channels, layer_count = fill.shape[1], layers.shape[1]
    job = Job(item, to_unit, channels, width, address_of(fill), address_of(colour))
    steps = Steps(
        address_of(step_kind), address_of(step_arg), step_kind.shape[1], address_of(curves), item == 1
    )  # fmt: skip
    gains, offsets = address_of(gain), address_of(offset)
    looks, blocks = np.zeros(layer_count, LOOK), np.zeros(layer_count, BLOCK)
    tables = Addresses(
        address_of(images), address_of(views), address_of(axes), address_of(layers),
        address_of(looks), address_of(blocks), layer_count,
    )  # fmt: skip
    largest = largest_copy(tables, job, begin, end)
    buffers, memory = allocate(axes, channels, layer_count, width, largest, to_unit)
    for n in range(begin, end):
        for k in range(layer_count):
            prepare(sample_value, job, buffers, tables, n, k)
        ahead = look_ahead(tables, n + 1, item, channels) if n + 1 < end else 0
        copied = is_copy(tables, job, steps, out, n)
        for y in range(height):
            prefetch_rows(tables, ahead, y, height)
            target = out.address + (n * out.stride_n + y * out.stride_y) * out.item
            if copied and copy_row(sample_value, job, tables, n, y, gains, offsets, out, target):
                continue
            _draw_row(sample_value, job, steps, buffers, tables, n, y)
            finish_row(
                buffers.canvas, buffers.pitch, channels, width, gains, offsets, out, target,
                buffers.scratch,
            )  # fmt: skip
    fence()
    keep((memory, looks, blocks))


@inlined
def _draw_row(sample_value, job, steps, buffers, tables, n, y):
    """Row y of output n, layer over layer, into the canvas."""
    # What of a layer no later one hides is at most two spans.
    for part in range(2 * tables.layer_count):
        k = part // 2
        layer = record_at(tables.layers, n * tables.layer_count + k, LAYER)
        x0, x1 = _uncovered(tables, n, k, part % 2, y)
        if layer.view_number == NO_VIEW or y < layer.y0 or y >= layer.y1 or x0 >= x1:
            continue
        opaque = layer.alpha == ONE
        rows = buffers.canvas if opaque else buffers.over
        if layer.view_number == PLAIN_COLOUR:
            colour = job.colour + 4 * job.channels * (n * tables.layer_count + k)
            fill_rows(rows + 4 * x0, buffers.pitch, job.channels, x1 - x0, colour)
        else:
            _draw_view(
                sample_value, job, steps, buffers, tables, layer.view_number, k, y, x0, x1, rows
            )
        if not opaque:
            blend_rows(
                buffers.canvas + 4 * x0, rows + 4 * x0, buffers.pitch, job.channels, x1 - x0,
                layer.alpha,
            )  # fmt: skip


@inlined
def _draw_view(sample_value, job, steps, buffers, tables, v, k, y, x0, x1, rows):
    """The outputs x0 … x1 − 1 of row y as view v of layer k shows them, into `rows`."""
    view = record_at(tables.views, v, VIEW)
    axis_y = axis_of(record_at(tables.axes, 2 * v, AXIS))
    axis_x = axis_of(record_at(tables.axes, 2 * v + 1, AXIS))
    look = record_at(tables.looks, k, LOOK)
    matrix = view.matrix
    image = image_of(look, job.item, job.to_unit, job.channels)
    separable = look.separable == 1
    start, stop = x1, x1
    if separable:
        columns = buffers.columns + k * buffers.columns_size
        start, stop = sample_aligned(
            sample_value, image, axis_y, axis_x, buffers, look, matrix, columns, k, y, x0, x1, rows
        )
    elif axis_y.low < axis_y.high and axis_x.low < axis_x.high:
        row_points(matrix, y, x0, x1, axis_y, axis_x, buffers)
        start, stop = next_run(matrix, x0, x1, axis_y, axis_x, buffers)
    begin, room = x0, x1 + PAD if x1 == job.width else x1
    while begin < x1:
        # From `begin` to the run is fill, which only the later colour steps touch.
        if start >= stop:
            start, stop = x1, x1
        elif not separable:
            gather_run(sample_value, image, matrix, axis_y, axis_x, buffers, start, stop, rows)
        if axis_x.slope != ZERO and job.to_unit != ONE:
            # Whole numbers end where a cubic would go on.
            clamp_rows(rows + 4 * start, buffers.pitch, job.channels, stop - start)
        fill = job.fill + 4 * job.channels * v
        fill_rows(rows + 4 * begin, buffers.pitch, job.channels, start - begin, fill)
        number = y * job.width
        apply_steps(
            steps, v, view.fill_start, job.channels, number, begin, start, stop, room, rows, buffers
        )
        begin = stop
        start, stop = x1, x1
        if begin < x1 and not separable:
            start, stop = next_run(matrix, begin, x1, axis_y, axis_x, buffers)


@inlined
def _uncovered(tables, n, k, piece, y):
    """The columns of layer k's box that no later opaque layer hides on row y, as two spans (one may
    be empty), left and right of the widest hole: of those, number `piece`."""
    layer = record_at(tables.layers, n * tables.layer_count + k, LAYER)
    x0, x1 = layer.x0, layer.x1
    hole, end = x1, x1
    for later in range(k + 1, tables.layer_count):
        other = record_at(tables.layers, n * tables.layer_count + later, LAYER)
        hides = other.view_number != NO_VIEW and other.alpha == ONE
        if hides and other.y0 <= y and y < other.y1:
            left, right = other.x0, other.x1
            if left <= x0 and x0 < right:
                x0 = right
            if left < x1 and x1 <= right:
                x1 = left
            if x0 < left and right < x1 and right - left > end - hole:
                hole, end = left, right
    if x0 >= x1:
        return x1, x1
    # Drawing a few that are hidden costs less than loops over vectors that do not come out even.
    x0 = max(layer.x0, x0 // 16 * 16)
    x1 = min(layer.x1, (x1 + 15) // 16 * 16)
    hole, end = (hole + 15) // 16 * 16, end // 16 * 16
    if hole <= x0 or end >= x1 or hole >= end:  # no hole, or another layer has cut it off
        hole, end = x1, x1
    return (x0, hole) if piece == 0 else (end, x1)
