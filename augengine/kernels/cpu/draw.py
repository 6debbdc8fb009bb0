"""The CPU kernel: outputs drawn row by row, sampled, coloured, layered and finished in cache."""

from __future__ import annotations

import numpy as np
from numba import njit

from ...plan.kinds import CONSTANT, NO_VIEW, NONE, PLAIN_COLOUR
from .aligned import blend_rows, copy_pixels, moves_whole_pixels, prepare_columns, take_columns
from .colour import apply_step, blend_row, fill_row, finish_row
from .formulas import HALF, ONE, TWO, ZERO, f32, jit, project
from .gather import alike, gather_any, gather_rgb, next_run, row_points, scale_of, scattered_taps
from .memory import address_of, fence, floats, ints, keep, prefetch
from .sample import Axis, Image, Scratch, axis_of, border_point, pack_rgb, split_quads

AHEAD = 1 << 19  # bytes: half of a common second-level cache
FAR = np.iinfo(np.int64).max  # an end of memory that no load comes near
PAD = 16  # floats behind each scratch row, for vector loads that reach over its end
ROOM = 160  # bytes behind a packed copy, for the same


@jit
def is_packed_rgb(image):
    return image.channels == 3 and image.stride_x == 3 and image.stride_c == 1


@jit
def is_separable(m):
    return m[1] == ZERO and m[3] == ZERO and m[6] == ZERO and m[7] == ZERO and m[8] == ONE


@jit
def _blend_separable(image, like, m, y, axis_y, axis_x, span, columns, weights, scratch, rows):
    """Sample a row of an axis-aligned view: outputs span[0] … span[1] − 1, whose columns
    `prepare_columns` found to be span[2] … span[3] − 1. Returns the run that lies inside the clip."""
    at = border_point(axis_y, project(ZERO, f32(y) + HALF, ZERO, m[4], m[5]))
    start, stop, least, most = span
    if start >= stop or not (axis_y.low <= at and at <= axis_y.high):
        return 0, 0
    if moves_whole_pixels(image, m, axis_y, axis_x):
        column = int(np.floor(project(f32(start) + HALF, ZERO, m[0], m[1], m[2])))
        row, skip = int(np.floor(at)), 4 * start
        copy_pixels(image, like, row, column, int(m[0]), stop - start, rows + skip, scratch.pitch)
        return start, stop
    blend_rows(image, like, axis_y, at, least, most - least, scratch.line)
    take_columns(image, like, axis_x, scratch, least, columns, weights, start, stop, rows)
    return start, stop


@jit
def _gather_run(image, like, start, stop, axis_y, axis_x, scratch, rows):
    """Sample the outputs start … stop − 1 of a row, whose points `row_points` has worked out."""
    count, pitch, skip = stop - start, scratch.pitch, 4 * start
    axis_y, axis_x = alike(axis_y, axis_x), alike(axis_x, axis_y)
    scattered_taps(
        axis_x, scratch.at_x + skip, scratch.first_x, scratch.share_x, scratch.total_x, pitch, count
    )
    scattered_taps(
        axis_y, scratch.at_y + skip, scratch.first_y, scratch.share_y, scratch.total_y, pitch, count
    )
    scale = scale_of(axis_y, axis_x, scratch, image.unit, count)
    if is_packed_rgb(image):
        gather_rgb(image, like, axis_y, axis_x, scratch, count)
        split_quads(scratch, count, scale, rows + skip)
    else:
        gather_any(image, like, axis_y, axis_x, scratch, scale, count, rows + skip)


@jit
def _reach(m, axis_y, axis_x, top, left, bottom, right):
    """The pixels of the source that a view can touch within a box of the output: y0, x0, y1, x1. For
    a view that is not affine, or looks past the clip's border: all of the clip."""
    if m[6] != ZERO or m[7] != ZERO or m[8] != ONE or axis_x.border != CONSTANT:
        return axis_y.first, axis_x.first, axis_y.last, axis_x.last
    y0, x0, y1, x1 = axis_y.high, axis_x.high, axis_y.low, axis_x.low
    for corner in range(4):
        x, y = f32(right if corner % 2 else left), f32(bottom if corner // 2 else top)
        at_x, at_y = project(x, y, m[0], m[1], m[2]), project(x, y, m[3], m[4], m[5])
        x0, x1 = min(x0, at_x), max(x1, at_x)
        y0, y1 = min(y0, at_y), max(y1, at_y)
    margin_y, margin_x = axis_y.support + ONE, axis_x.support + ONE
    return (
        max(int(y0 - margin_y), axis_y.first), max(int(x0 - margin_x), axis_x.first),
        min(int(y1 + margin_y) + 1, axis_y.last), min(int(x1 + margin_x) + 1, axis_x.last),
    )  # fmt: skip


@jit
def _uncovered(n, k, piece, y, layer_view, box, alpha):
    """The columns of layer k's box that no later opaque layer hides on this row, as two spans (one may
    be empty), left and right of the widest hole: of those, number `piece`."""
    x0, x1 = np.int64(box[n, k, 1]), np.int64(box[n, k, 3])
    hole, end = x1, x1
    for later in range(k + 1, layer_view.shape[1]):
        hides = layer_view[n, later] != NO_VIEW and alpha[n, later] == ONE
        if hides and box[n, later, 0] <= y and y < box[n, later, 2]:
            left, right = np.int64(box[n, later, 1]), np.int64(box[n, later, 3])
            if left <= x0 and x0 < right:
                x0 = right
            if left < x1 and x1 <= right:
                x1 = left
            if x0 < left and right < x1 and right - left > end - hole:
                hole, end = left, right
    if x0 >= x1:
        return x1, x1
    # Drawing a few that are hidden costs less than loops over vectors that do not come out even.
    x0 = max(np.int64(box[n, k, 1]), x0 // 16 * 16)
    x1 = min(np.int64(box[n, k, 3]), (x1 + 15) // 16 * 16)
    hole, end = (hole + 15) // 16 * 16, end // 16 * 16
    if hole <= x0 or end >= x1 or hole >= end:  # no hole, or another layer has cut it off
        hole, end = x1, x1
    return (x0, hole) if piece == 0 else (end, x1)


@jit
def _columns_of(axis, table, start, stop, least, most):
    """The source columns that the outputs start … stop − 1 take, of all the view's least … most − 1."""
    if axis.border != CONSTANT or start >= stop:
        return least, most
    column = ints(table, stop)
    left, right = np.int64(column[start]), np.int64(column[stop - 1])
    least, most = min(left, right), max(left, right) + axis.taps
    # A multiple of sixteen where the clip has room, so that the loop over them comes out even.
    wide = min((most - least + 15) // 16 * 16, axis.last - axis.first)
    least = max(axis.first, min(least, axis.last - wide))
    return least, max(most, least + wide)


@njit(nogil=True, error_model="numpy", cache=True)
def draw(
    begin, end,
    like, item, rows_columns, address, stride, limit, unit,
    source, inv_matrix, support, clip, border, fill, fill_start, step_kind, step_arg, curves,
    layer_view, box, alpha, colour,
    gain, offset, out, height, width,
):  # fmt: skip
    """Draw the outputs begin … end − 1.

    like: a value of the sources' dtype, of `item` bytes. rows_columns: the sources' sizes. address,
    stride, limit: from `Sources.pointers()`. unit: what brings a source value to [0, 1]. The plan's
    fields follow under their names, its statistics completed. out: where the batch goes, an `Out`.
    """
    channels, layers, steps = fill.shape[1], layer_view.shape[1], step_kind.shape[1]
    widest, longest = 2, 0
    for v in range(len(support)):
        widest = max(widest, int(np.ceil(TWO * max(support[v, 0], support[v, 1]))))
        longest = max(longest, int(np.ceil(clip[v, 3])))

    # Rows of scratch, all of one length: canvas, veil, spare, then what sampling needs.
    length = width + PAD
    lines = 2 * channels + max(4, channels) + 8 + 2 * widest + layers * (1 + widest)
    memory = np.empty((lines, length), np.float32)
    quads = np.empty(4 * length, np.float32)
    line = np.zeros((longest + widest + PAD) * max(3, channels), np.float32)
    patch = np.zeros(widest * (3 * widest + 32), np.float32)
    pitch = 4 * length
    canvas = address_of(memory)
    veil = canvas + channels * pitch
    spare = veil + channels * pitch
    at = spare + max(4, channels) * pitch
    scratch = Scratch(
        pitch, at, at + pitch, at + 2 * pitch, at + 3 * pitch, at + 4 * pitch, at + 5 * pitch,
        at + 6 * pitch, at + 7 * pitch, at + 8 * pitch, at + (8 + widest) * pitch,
        address_of(quads), address_of(line), address_of(patch),
    )  # fmt: skip
    tables = at + (8 + 2 * widest) * pitch
    centres, units = floats(scratch.centres, width), floats(scratch.units, width)
    for x in range(width):
        centres[x] = f32(x) + HALF
        units[x] = unit
    spans = np.zeros((layers, 5), np.int64)
    ahead = np.zeros((layers, 4), np.int64)
    # First, last and taps of each layer's view, along y and along x.
    axes = np.zeros((layers, 6), np.int64)
    # Where each layer's image lies: its source, or a packed copy of the piece that is looked at.
    where = np.zeros((layers, 5), np.int64)
    largest = 0
    for b in range(len(address)):
        if channels == 3 and not (stride[b, 1] == 3 and stride[b, 2] == 1):
            largest = max(largest, rows_columns[b, 0] * rows_columns[b, 1] * 3 * item)
    packed = np.empty((layers, largest + ROOM), np.uint8)
    packed_address = address_of(packed)

    matrices, arguments = address_of(inv_matrix), address_of(step_arg)
    # Addresses, since an array passed to a function is counted, and counting waits for all writes.
    curve_address, gains, offsets = address_of(curves), address_of(gain), address_of(offset)
    for n in range(begin, end):
        for k in range(layers):
            v = layer_view[n, k]
            spans[k, 1] = spans[k, 4] = 0
            if v < 0 or clip[v, 0] >= clip[v, 2] or clip[v, 1] >= clip[v, 3]:
                continue
            b, m = source[v], floats(matrices + 36 * v, 9)
            image = Image(
                address[b], stride[b, 0], stride[b, 1], stride[b, 2], limit[b], item, unit, channels
            )
            axis_y = axis_of(clip[v, 0], clip[v, 2], support[v, 1], border[v])
            axis_x = axis_of(clip[v, 1], clip[v, 3], support[v, 0], border[v])
            axes[k, 0], axes[k, 1], axes[k, 2] = axis_y.first, axis_y.last, axis_y.taps
            axes[k, 3], axes[k, 4], axes[k, 5] = axis_x.first, axis_x.last, axis_x.taps
            where[k, 0], where[k, 1], where[k, 2] = image.address, image.stride_y, image.stride_x
            where[k, 3], where[k, 4] = image.stride_c, image.limit
            if channels == 3 and not is_packed_rgb(image):
                # Planes and the like: the piece that is looked at is packed once, for both paths.
                to = packed_address + k * (largest + ROOM)
                y0, x0, y1, x1 = _reach(
                    m, axis_y, axis_x, box[n, k, 0], box[n, k, 1], box[n, k, 2], box[n, k, 3]
                )
                if y0 < y1 and x0 < x1:
                    pack_rgb(image, like, y0, x0, y1, x1, to)
                stride_y = 3 * (x1 - x0)
                where[k, 0] = to - (y0 * stride_y + 3 * x0) * item
                where[k, 1], where[k, 2], where[k, 3] = stride_y, 3, 1
                where[k, 4] = FAR  # the copy has room behind it
            spans[k, 4] = is_separable(m)
            if spans[k, 4]:
                table = tables + k * (1 + widest) * pitch
                spans[k, 0], spans[k, 1], spans[k, 2], spans[k, 3] = prepare_columns(
                    axis_x, m[0], m[2], box[n, k, 1], box[n, k, 3], table, table + pitch, pitch
                )

        # What the next output reads is asked for while this one is drawn: waiting for it costs as
        # much as drawing it. Larger pieces would only push each other out of the cache.
        pieces, room = 0, AHEAD
        for k in range(layers if n + 1 < end else 0):
            v = layer_view[n + 1, k]
            if v < 0:
                continue
            b = source[v]
            y0, x0, y1, x1 = _reach(
                floats(matrices + 36 * v, 9),
                axis_of(clip[v, 0], clip[v, 2], support[v, 1], border[v]),
                axis_of(clip[v, 1], clip[v, 3], support[v, 0], border[v]),
                box[n + 1, k, 0], box[n + 1, k, 1], box[n + 1, k, 2], box[n + 1, k, 3],
            )  # fmt: skip
            down, across = stride[b, 0] * item, (x1 - x0) * stride[b, 1] * item
            room -= (y1 - y0) * across
            if y1 > y0 and across > 0 and room > 0:
                ahead[pieces, 0] = address[b] + y0 * down + x0 * stride[b, 1] * item
                ahead[pieces, 1], ahead[pieces, 2], ahead[pieces, 3] = down, y1 - y0, across
                pieces += 1

        for y in range(height):
            for piece in range(pieces):
                lines = ahead[piece, 2]
                for row in range(y * lines // height, (y + 1) * lines // height):
                    first = ahead[piece, 0] + row * ahead[piece, 1]
                    for skip in range(0, ahead[piece, 3] + 64, 64):
                        prefetch(first + skip)
            for part in range(2 * layers):
                k = part // 2
                v = layer_view[n, k]
                x0, x1 = _uncovered(n, k, part % 2, y, layer_view, box, alpha)
                if v == NO_VIEW or y < box[n, k, 0] or y >= box[n, k, 2] or x0 >= x1:
                    continue
                opaque = alpha[n, k] == ONE
                rows = canvas if opaque else veil
                if v == PLAIN_COLOUR:
                    for c in range(channels):
                        fill_row(rows + c * pitch + 4 * x0, x1 - x0, colour[n, k, c])
                else:
                    image = Image(
                        where[k, 0], where[k, 1], where[k, 2], where[k, 3], where[k, 4], item, unit,
                        channels,
                    )  # fmt: skip
                    axis_y = Axis(
                        clip[v, 0], clip[v, 2], axes[k, 0], axes[k, 1], support[v, 1], axes[k, 2],
                        border[v],
                    )  # fmt: skip
                    axis_x = Axis(
                        clip[v, 1], clip[v, 3], axes[k, 3], axes[k, 4], support[v, 0], axes[k, 5],
                        border[v],
                    )  # fmt: skip
                    m, separable = floats(matrices + 36 * v, 9), spans[k, 4] == 1
                    start, stop = x1, x1
                    if separable:
                        table = tables + k * (1 + widest) * pitch
                        start, stop = max(spans[k, 0], x0), min(spans[k, 1], x1)
                        least, most = _columns_of(
                            axis_x, table, start, stop, spans[k, 2], spans[k, 3]
                        )
                        span = (start, stop, least, most)
                        start, stop = _blend_separable(
                            image, like, m, y, axis_y, axis_x, span, table, table + pitch, scratch,
                            rows,
                        )  # fmt: skip
                    elif axis_y.low < axis_y.high and axis_x.low < axis_x.high:
                        row_points(m, y, x0, x1, axis_y, axis_x, scratch)
                        start, stop = next_run(m, x0, x1, axis_y, axis_x, scratch)
                    at = x0
                    while at < x1:
                        # From `at` to the run is fill, which only the later colour steps touch.
                        if start >= stop:
                            start, stop = x1, x1
                        elif not separable:
                            _gather_run(image, like, start, stop, axis_y, axis_x, scratch, rows)
                        for c in range(channels):
                            fill_row(rows + c * pitch + 4 * at, start - at, fill[v, c])
                        for s in range(steps):
                            first = at if s >= fill_start[v] else start
                            if step_kind[v, s] != NONE and stop > first:
                                apply_step(
                                    step_kind[v, s], floats(arguments + 48 * (v * steps + s), 12),
                                    curve_address, channels, y * width + first, stop - first,
                                    rows + 4 * first, spare, pitch,
                                )  # fmt: skip
                        at = stop
                        start, stop = x1, x1
                        if at < x1 and not separable:
                            start, stop = next_run(m, at, x1, axis_y, axis_x, scratch)
                if not opaque:
                    for c in range(channels):
                        skip = c * pitch + 4 * x0
                        blend_row(canvas + skip, veil + skip, x1 - x0, alpha[n, k])

            to = out.address + (n * out.stride_n + y * out.stride_y) * out.item
            finish_row(canvas, pitch, channels, width, gains, offsets, out, to, spare)
    fence()
    keep((memory, quads, line, packed, patch))
