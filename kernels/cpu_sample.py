"""Sampling a row of a view, in numba, into float32 rows [C, W] of values in [0, 1].

Two paths. An axis-aligned view (crop, resize, flip) blends whole source rows, contiguous memory,
and takes its taps along x from that one row; which taps and weights is worked out once a view
(`prepare_columns`, `blend_rows`, `take_columns`). Any other view works them out for each pixel
(`row_points`, `scattered_taps`, `gather_bytes` or `gather_any`).

Both cut the taps to the clip by shifting the first tap, so that no load is out of bounds and no
loop needs a check; weights come from the taps' true places, so shifted ones weigh nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import carray

from ..plan import CONSTANT, EDGE, REFLECT
from .cpu_names import (
    HALF,
    ONE,
    TWO,
    ZERO,
    edge,
    f32,
    first_tap,
    fold,
    inside,
    jit,
    project,
    tap_weight,
)
from .memory import add_floats, add_rgb, bilinear_rgb, blend_floats, pointer


@jit
def tap_count(support, low, high):
    """Taps along one axis: as many as can weigh anything, and no more than there are pixels."""
    return max(1, min(int(math.ceil(TWO * support)), high - low))


@jit
def axis_taps(at, support, low, high):
    """First tap and number of taps along one axis, all within pixels low … high − 1."""
    taps = tap_count(support, low, high)
    first = int(first_tap(at, support))
    return max(low, min(first, high - taps)), taps


@jit
def border_point(at, low, high, border):
    """Where a border mode looks instead of `at`."""
    if border == CONSTANT:
        return at
    if border == EDGE:
        return edge(at, low, high)
    if border == REFLECT:  # about the centres of the outermost pixels
        half = HALF
        return fold(at, low + half, high - half)
    return fold(at, low, high)


@jit
def prepare_columns(view, x0, x1, taps, columns, weights):
    """For an axis-aligned view: first column and normalised weights of the outputs x0 … x1 − 1.
    view: m0, m2, support, low and high of the clip (float), pixels low and high, border.
    Returns the span of the row that lies inside the clip, and the first and last column needed."""
    m0, m2, support, clip0, clip1, low, high, border = view
    reciprocal = ONE / support if support > ZERO else ZERO
    start, stop = x1, x0
    first_column, last_column = high, low
    for x in range(x0, x1):
        at = border_point(project(f32(x) + HALF, ZERO, m0, ZERO, m2), clip0, clip1, border)
        if at < clip0 or at > clip1:
            continue
        start, stop = min(start, x), x + 1
        column, _ = axis_taps(at, support, low, high)
        columns[x] = column
        first_column, last_column = min(first_column, column), max(last_column, column + taps)
        total = ZERO
        for t in range(taps):
            weights[t, x] = tap_weight(f32(column + t), at, reciprocal)
            total += weights[t, x]
        for t in range(taps):
            weights[t, x] = weights[t, x] * (ONE / total)
    return start, stop, first_column, last_column


@jit
def blend_rows(address, stride, item, like, channels, at, support, low, high, column, count, line):
    """Blend the source rows around `at` over `count` columns from `column` into `line`, pixels of
    `channels` floats one after the other."""
    row, taps = axis_taps(at, support, low, high)
    reciprocal = ONE / support if support > ZERO else ZERO
    total = ZERO
    for t in range(taps):
        total += tap_weight(f32(row + t), at, reciprocal)
    total = ONE / total
    stride_y, stride_x, stride_c = stride[0], stride[1], stride[2]
    start = address + (row * stride_y + column * stride_x) * item
    packed = stride_c == 1 and stride_x == channels
    if packed and taps == 2:
        above = carray(pointer(start, like), count * channels)
        below = carray(pointer(start + stride_y * item, like), count * channels)
        weight0 = tap_weight(f32(row), at, reciprocal) * total
        weight1 = tap_weight(f32(row + 1), at, reciprocal) * total
        for i in range(count * channels):
            line[i] = f32(above[i]) * weight0 + f32(below[i]) * weight1
        return
    for t in range(taps):
        weight = tap_weight(f32(row + t), at, reciprocal) * total
        if packed:
            pixels = carray(pointer(start + t * stride_y * item, like), count * channels)
            if t == 0:
                for i in range(count * channels):
                    line[i] = f32(pixels[i]) * weight
            else:
                for i in range(count * channels):
                    line[i] += f32(pixels[i]) * weight
        else:
            for c in range(channels):
                plane = start + (t * stride_y + c * stride_c) * item
                if stride_x == 1:
                    values = carray(pointer(plane, like), count)
                    for i in range(count):
                        old = line[i * channels + c] if t > 0 else ZERO
                        line[i * channels + c] = old + f32(values[i]) * weight
                else:
                    for i in range(count):
                        value = carray(pointer(plane + i * stride_x * item, like), 1)[0]
                        old = line[i * channels + c] if t > 0 else ZERO
                        line[i * channels + c] = old + f32(value) * weight


@jit
def take_columns(
    line, first_column, columns, weights, taps, start, stop, channels, unit, quads, rows
):
    """The taps along x, from one blended row: into `rows` [C, W], scaled to [0, 1]."""
    if channels == 3:
        to, source = quads.ctypes.data, line.ctypes.data - 12 * first_column
        if taps == 2:
            for x in range(start, stop):
                at = source + 12 * np.int64(columns[x])
                blend_floats(to + 16 * x, at, at + 12, weights[0, x], weights[1, x])
        else:
            quads[4 * start : 4 * stop] = ZERO
            for t in range(taps):
                for x in range(start, stop):
                    add_floats(to + 16 * x, source + 12 * (columns[x] + t), weights[t, x])
        split_quads(quads, start, stop, unit, rows)
    else:
        for c in range(channels):
            for x in range(start, stop):
                value = ZERO
                for t in range(taps):
                    value += line[(columns[x] - first_column + t) * channels + c] * weights[t, x]
                rows[c, x] = value * unit


@jit
def split_quads(quads, start, stop, unit, rows):
    count = stop - start
    packed = quads[4 * start : 4 * stop]
    red, green, blue = rows[0, start:stop], rows[1, start:stop], rows[2, start:stop]
    for x in range(count):
        red[x] = packed[4 * x] * unit
    for x in range(count):
        green[x] = packed[4 * x + 1] * unit
    for x in range(count):
        blue[x] = packed[4 * x + 2] * unit


@jit
def row_points(m, y, x0, x1, clip, border, at_x, at_y):
    """Source points of a row, bordered, and the span of it that is to be sampled: a row crosses a
    rectangle in one piece."""
    mid = f32(y) + HALF
    affine = m[2, 0] == ZERO and m[2, 1] == ZERO and m[2, 2] == ONE
    for x in range(x0, x1):
        at_x[x] = project(f32(x) + HALF, mid, m[0, 0], m[0, 1], m[0, 2])
    for x in range(x0, x1):
        at_y[x] = project(f32(x) + HALF, mid, m[1, 0], m[1, 1], m[1, 2])
    if not affine:
        for x in range(x0, x1):
            w = project(f32(x) + HALF, mid, m[2, 0], m[2, 1], m[2, 2])
            w = ONE / w if w > ZERO else f32(np.inf)
            at_x[x] = at_x[x] * w
            at_y[x] = at_y[x] * w
    low_y, low_x, high_y, high_x = clip[0], clip[1], clip[2], clip[3]
    if border != CONSTANT:
        for x in range(x0, x1):
            at_x[x] = border_point(at_x[x], low_x, high_x, border)
            at_y[x] = border_point(at_y[x], low_y, high_y, border)
    start, stop = x0, x1
    while start < stop and not inside(at_x[start], at_y[start], low_x, low_y, high_x, high_y):
        start += 1
    while stop > start and not inside(at_x[stop - 1], at_y[stop - 1], low_x, low_y, high_x, high_y):
        stop -= 1
    return start, stop


@jit
def scattered_taps(at, support, low, high, taps, start, stop, firsts, weights):
    """First taps and normalised weights along one axis, for each pixel of the span."""
    reciprocal = ONE / support if support > ZERO else ZERO
    least, most = f32(low), f32(high - taps)
    for x in range(start, stop):
        firsts[x] = edge(first_tap(at[x], support), least, most)
    for t in range(taps):
        row = weights[t]
        for x in range(start, stop):
            row[x] = tap_weight(firsts[x] + f32(t), at[x], reciprocal)
    total = weights[taps]
    total[start:stop] = weights[0, start:stop]
    for t in range(1, taps):
        for x in range(start, stop):
            total[x] += weights[t, x]
    for x in range(start, stop):
        total[x] = ONE / total[x]
    for t in range(taps):
        for x in range(start, stop):
            weights[t, x] *= total[x]


@jit
def gather_bytes(address, stride, limit, taps_y, taps_x, wy, wx, start, stop, offsets, quads):
    """RGB bytes, pixel after pixel: vector loads. The last pixels of the memory, where such a load
    would reach over its end, are done byte by byte."""
    to, stride_y = quads.ctypes.data, stride[0]
    if taps_x == 2 and taps_y == 2:
        for x in range(start, stop):
            at = address + offsets[x]
            if at + stride_y + 8 <= limit:
                bilinear_rgb(to + 16 * x, at, at + stride_y, wx[0, x], wx[1, x], wy[0, x], wy[1, x])
            else:
                gather_last(at, stride_y, taps_y, taps_x, wy, wx, x, quads)
        return
    quads[4 * start : 4 * stop] = ZERO
    reach = (taps_y - 1) * stride_y + (taps_x - 1) * 3 + 4
    for ty in range(taps_y):
        for tx in range(taps_x):
            shift = address + ty * stride_y + 3 * tx
            for x in range(start, stop):
                if address + offsets[x] + reach <= limit:
                    add_rgb(to + 16 * x, shift + offsets[x], wy[ty, x] * wx[tx, x])
    for x in range(start, stop):
        if address + offsets[x] + reach > limit:
            gather_last(address + offsets[x], stride_y, taps_y, taps_x, wy, wx, x, quads)


@jit
def gather_last(at, stride_y, taps_y, taps_x, wy, wx, x, quads):
    for c in range(3):
        value = ZERO
        for ty in range(taps_y):
            row = carray(pointer(at + ty * stride_y, np.empty(0, np.uint8)), 3 * taps_x)
            for tx in range(taps_x):
                value += f32(row[3 * tx + c]) * (wy[ty, x] * wx[tx, x])
        quads[4 * x + c] = value


@jit
def gather_any(
    address, stride, item, like, channels, taps_y, taps_x, wy, wx, start, stop, offsets, unit, rows
):
    """Any dtype, channels and strides."""
    for c in range(channels):
        row = rows[c]
        row[start:stop] = ZERO
        for ty in range(taps_y):
            for tx in range(taps_x):
                shift = address + (ty * stride[0] + tx * stride[1] + c * stride[2]) * item
                for x in range(start, stop):
                    value = carray(pointer(shift + offsets[x], like), 1)[0]
                    row[x] += f32(value) * (wy[ty, x] * wx[tx, x])
        for x in range(start, stop):
            row[x] *= unit
