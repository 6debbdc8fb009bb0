"""The CPU kernel: outputs drawn row by row, sampled, coloured, layered and finished in cache."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..plan import NO_VIEW, PLAIN_COLOUR
from .cpu_colour import F32, U8, apply_step, finish_line, finish_packed
from .cpu_names import HALF, ONE, TWO, ZERO, blend, f32, project
from .cpu_sample import (
    blend_rows,
    border_point,
    gather_any,
    gather_bytes,
    prepare_columns,
    row_points,
    scattered_taps,
    split_quads,
    take_columns,
    tap_count,
)

PAD = 16  # floats behind each scratch row, for vector loads that reach over its end


@njit(nogil=True, error_model="numpy", cache=True)
def draw(
    begin, end,
    like, address, stride, limit, unit,
    source, inv_matrix, support, clip, border, fill, fill_start, step_kind, step_arg, curves,
    layer_view, box, alpha, colour,
    gain, offset, out_address, out_stride, out_kind, out_item, height, width,
):  # fmt: skip
    """Draw the outputs begin … end − 1.

    like: an empty array of the sources' dtype. address, stride, limit: `Sources.pointers()`.
    unit: what a source value is multiplied by to come to [0, 1]. The plan's fields follow under
    their names, its statistics completed. out_stride: values along n, c, y, x.
    """
    item = like.itemsize
    channels = fill.shape[1]
    layers = layer_view.shape[1]
    steps = step_kind.shape[1]
    widest = 2
    for v in range(len(support)):
        widest = max(widest, int(math.ceil(TWO * max(support[v, 0], support[v, 1]))))
    longest = 0
    for v in range(len(clip)):
        longest = max(longest, int(math.ceil(clip[v, 3])))

    canvas = np.empty((channels, width + PAD), np.float32)
    veil = np.empty((channels, width + PAD), np.float32)
    spare = np.empty((max(4, channels), width + PAD), np.float32)
    quads = np.empty(4 * (width + PAD), np.float32)
    line = np.zeros((longest + widest + PAD) * channels, np.float32)
    at_x, at_y = np.empty(width, np.float32), np.empty(width, np.float32)
    first_x, first_y = np.empty(width, np.float32), np.empty(width, np.float32)
    offsets = np.empty(width, np.int64)
    wx, wy = np.empty((widest + 1, width), np.float32), np.empty((widest + 1, width), np.float32)
    columns = np.empty((layers, width), np.int32)
    weights = np.empty((layers, widest, width), np.float32)
    separable = np.zeros(layers, np.bool_)
    span = np.zeros((layers, 4), np.int64)

    for n in range(begin, end):
        for k in range(layers):
            v = layer_view[n, k]
            if v < 0:
                continue
            m, low, high = inv_matrix[v], math.floor(clip[v, 1]), math.ceil(clip[v, 3])
            separable[k] = (
                m[0, 1] == ZERO and m[1, 0] == ZERO and m[2, 0] == ZERO and m[2, 1] == ZERO
                and m[2, 2] == ONE
            )  # fmt: skip
            if separable[k] and clip[v, 3] > clip[v, 1] and clip[v, 2] > clip[v, 0]:
                taps = tap_count(support[v, 0], int(low), int(high))
                facts = (
                    m[0, 0], m[0, 2], support[v, 0], clip[v, 1], clip[v, 3], int(low), int(high), border[v],
                )  # fmt: skip
                a, b, first, last = prepare_columns(
                    facts, box[n, k, 1], box[n, k, 3], taps, columns[k], weights[k]
                )
                span[k, 0], span[k, 1], span[k, 2], span[k, 3] = a, b, first, last
            else:
                span[k] = 0

        for y in range(height):
            for k in range(layers):
                v = layer_view[n, k]
                x0, x1 = box[n, k, 1], box[n, k, 3]
                if v == NO_VIEW or y < box[n, k, 0] or y >= box[n, k, 2] or x0 >= x1:
                    continue
                opaque = alpha[n, k] == ONE
                rows = canvas if opaque else veil
                if v == PLAIN_COLOUR:
                    for c in range(channels):
                        rows[c, x0:x1] = colour[n, k, c]
                else:
                    b = source[v]
                    m = inv_matrix[v]
                    low_y, high_y = int(math.floor(clip[v, 0])), int(math.ceil(clip[v, 2]))
                    low_x, high_x = int(math.floor(clip[v, 1])), int(math.ceil(clip[v, 3]))
                    start, stop = x0, x0
                    if separable[k]:
                        at = project(ZERO, f32(y) + HALF, ZERO, m[1, 1], m[1, 2])
                        at = border_point(at, clip[v, 0], clip[v, 2], border[v])
                        if span[k, 1] > span[k, 0] and clip[v, 0] <= at and at <= clip[v, 2]:
                            start, stop = span[k, 0], span[k, 1]
                            taps = tap_count(support[v, 0], low_x, high_x)
                            blend_rows(
                                address[b], stride[b], item, like, channels, at, support[v, 1],
                                low_y, high_y, span[k, 2], span[k, 3] - span[k, 2], line,
                            )  # fmt: skip
                            take_columns(
                                line, span[k, 2], columns[k], weights[k], taps, start, stop,
                                channels, unit, quads, rows,
                            )  # fmt: skip
                    else:
                        start, stop = row_points(m, y, x0, x1, clip[v], border[v], at_x, at_y)
                        if stop > start:
                            taps_x = tap_count(support[v, 0], low_x, high_x)
                            taps_y = tap_count(support[v, 1], low_y, high_y)
                            scattered_taps(
                                at_x, support[v, 0], low_x, high_x, taps_x, start, stop, first_x, wx
                            )
                            scattered_taps(
                                at_y, support[v, 1], low_y, high_y, taps_y, start, stop, first_y, wy
                            )
                            sy, sx = stride[b, 0] * item, stride[b, 1] * item
                            for x in range(start, stop):
                                offsets[x] = np.int64(first_y[x]) * sy + np.int64(first_x[x]) * sx
                            if (
                                channels == 3
                                and item == 1
                                and stride[b, 1] == 3
                                and stride[b, 2] == 1
                            ):
                                gather_bytes(
                                    address[b], stride[b], limit[b], taps_y, taps_x, wy, wx, start,
                                    stop, offsets, quads,
                                )  # fmt: skip
                                split_quads(quads, start, stop, unit, rows)
                            else:
                                gather_any(
                                    address[b], stride[b], item, like, channels, taps_y, taps_x, wy,
                                    wx, start, stop, offsets, unit, rows,
                                )  # fmt: skip
                    if start >= stop:
                        start, stop = x0, x0
                    for c in range(channels):
                        rows[c, x0:start] = fill[v, c]
                        rows[c, stop:x1] = fill[v, c]
                    for s in range(steps):
                        if step_kind[v, s] != 0:
                            first, last = (x0, x1) if s >= fill_start[v] else (start, stop)
                            if last > first:
                                apply_step(
                                    step_kind[v, s], step_arg[v, s], curves, channels, y, width,
                                    rows, spare, first, last,
                                )  # fmt: skip
                if not opaque:
                    for c in range(channels):
                        under, over = canvas[c, x0:x1], veil[c, x0:x1]
                        for x in range(x1 - x0):
                            under[x] = blend(under[x], over[x], alpha[n, k])

            to = out_address + (n * out_stride[0] + y * out_stride[2]) * out_item
            if (
                channels == 3
                and out_stride[1] == 1
                and out_stride[3] == 3
                and (out_kind == F32 or out_kind == U8)
            ):
                finish_packed(canvas, width, out_kind, gain, offset, to)
            else:
                for c in range(channels):
                    finish_line(
                        canvas[c], width, out_stride[3], out_kind, gain[c], offset[c],
                        to + c * out_stride[1] * out_item,
                    )  # fmt: skip
