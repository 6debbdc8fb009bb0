"""Axis-aligned views (crop, resize, flip): whole source rows are blended, contiguous memory, and taps
along x are taken from that one row. Which taps and weights is worked out once a view.

A view that moves by whole pixels, mirrored or not, takes them as they lie.
"""

from __future__ import annotations

import numpy as np

from ...plan.kinds import CONSTANT
from .formulas import (
    HALF,
    ONE,
    ZERO,
    apart,
    edge,
    f32,
    first_tap,
    jit,
    project,
    second_share,
    tap_weight,
)
from .memory import (
    add_rgb,
    floats,
    ints,
    mix_eight,
    mix_floats,
    strip3_floats,
    strip4_floats,
    unpack_backwards,
    unpack_forwards,
    values,
)
from .sample import border_point, clear_quads, first_of, reciprocal_of, split_quads


@apart
def prepare_columns(axis, m0, m2, x0, x1, columns, weights, pitch):
    """First column and normalised weights of the outputs x0 … x1 − 1, for source x = m0 · x + m2.

    Returns the span of outputs inside the clip, and the first and last column they need."""
    reciprocal = reciprocal_of(axis)
    column = ints(columns, x1)
    if axis.taps == 2 and axis.support == ONE and axis.border == CONSTANT:
        rest, share = floats(weights, x1), floats(weights + pitch, x1)
        return _two_columns(axis, m0, m2, x0, x1, column, rest, share)
    start, stop, least, most = x1, x0, axis.last, axis.first
    for x in range(x0, x1):
        at = border_point(axis, project(f32(x) + HALF, ZERO, m0, ZERO, m2))
        if at < axis.low or at > axis.high:
            continue
        start, stop = min(start, x), x + 1
        first = first_of(axis, at)
        column[x] = first
        least, most = min(least, first), max(most, first + axis.taps)
        total = ZERO
        for t in range(axis.taps):
            floats(weights + t * pitch, x1)[x] = tap_weight(f32(first + t), at, reciprocal)
            total += tap_weight(f32(first + t), at, reciprocal)
        total = ONE / total
        for t in range(axis.taps):
            floats(weights + t * pitch, x1)[x] *= total
        if axis.taps == 2 and axis.support == ONE:
            floats(weights + pitch, x1)[x] = second_share(f32(first), at)
    return start, stop, least, most


@apart
def _two_columns(axis, m0, m2, x0, x1, column, rest, share):
    """`prepare_columns` for two taps and no border, in a loop over vectors."""
    least, most = f32(axis.first), f32(axis.last - 2)
    for x in range(x0, x1):
        at = project(f32(np.int32(x)) + HALF, ZERO, m0, ZERO, m2)
        first = edge(first_tap(at, ONE), least, most)
        column[x] = np.int32(first)
        share[x] = second_share(first, at)
    for x in range(x0, x1):
        rest[x] = ONE - share[x]
    start, stop = x0, x1
    while start < x1 and not _within(axis, project(f32(start) + HALF, ZERO, m0, ZERO, m2)):
        start += 1
    while stop > start and not _within(axis, project(f32(stop - 1) + HALF, ZERO, m0, ZERO, m2)):
        stop -= 1
    if start == stop:
        return x1, x0, axis.last, axis.first
    left, right = np.int64(column[start]), np.int64(column[stop - 1])
    return start, stop, min(left, right), max(left, right) + 2


@jit
def _within(axis, at):
    return axis.low <= at and at <= axis.high


@jit
def blend_rows(image, like, axis, at, column, count, line):
    """Blend the source rows around `at` over `count` columns from `column` into `line`, pixel after
    pixel, in the source's own unit."""
    row = first_of(axis, at)
    reciprocal = reciprocal_of(axis)
    start = image.address + (row * image.stride_y + column * image.stride_x) * image.item
    down = image.stride_y * image.item
    total = ZERO
    for t in range(axis.taps):
        total += tap_weight(f32(row + t), at, reciprocal)
    packed = image.stride_c == 1 and image.stride_x == image.channels
    if packed and axis.taps == 2:
        share = tap_weight(f32(row + 1), at, reciprocal) / total
        rest = ONE - share
        width = count * image.channels
        above, below, out = (
            values(start, width, like),
            values(start + down, width, like),
            floats(line, width),
        )
        for i in range(width):
            out[i] = rest * f32(above[i]) + share * f32(below[i])
        return
    for t in range(axis.taps):
        weight = tap_weight(f32(row + t), at, reciprocal) / total
        if packed:
            _add_line(values(start + t * down, count * image.channels, like), weight, t == 0, line)
        else:
            for c in range(image.channels):
                plane = start + t * down + c * image.stride_c * image.item
                _add_plane(image, like, plane, count, weight, t == 0, line + 4 * c)


@apart
def _add_line(row, weight, fresh, line):
    out = floats(line, len(row))
    if fresh:
        for i in range(len(row)):
            out[i] = f32(row[i]) * weight
    else:
        for i in range(len(row)):
            out[i] += f32(row[i]) * weight


@apart
def _add_plane(image, like, plane, count, weight, fresh, line):
    """One channel of a source row that does not lie pixel after pixel."""
    step = image.channels
    out = floats(line, count * step)
    row = values(plane, (count - 1) * image.stride_x + 1, like)
    if fresh:
        for i in range(count):
            out[i * step] = f32(row[i * image.stride_x]) * weight
    else:
        for i in range(count):
            out[i * step] += f32(row[i * image.stride_x]) * weight


@apart
def take_columns(image, like, axis, scratch, least, columns, weights, start, stop, rows):
    """The taps along x, from the blended row `scratch.line`: into the span of `rows`."""
    count = stop - start
    column = ints(columns + 4 * start, count)
    if image.channels == 3:
        line = scratch.line - 12 * least
        if axis.taps == 2:
            shares = weights + scratch.pitch + 4 * start
            to, whole = rows + 4 * start, count // 8 * 8
            offsets = ints(scratch.first_x, count)
            for x in range(count):
                offsets[x] = 12 * column[x]
            for x in range(0, whole, 8):
                skip = 4 * x
                mix_eight(
                    line, scratch.first_x + skip, shares + skip, to + skip, to + scratch.pitch + skip,
                    to + 2 * scratch.pitch + skip, image.unit, like,
                )  # fmt: skip
            rest = floats(shares, count)
            for x in range(whole, count):
                mix_floats(scratch.quads + 16 * (x - whole), line + offsets[x], rest[x], like)
            split_quads(scratch, count - whole, scratch.units, to + 4 * whole)
            return
        elif axis.taps == 3:
            weight_of = weights + 4 * start
            for x in range(count):
                at = line + 12 * np.int64(column[x])
                strip3_floats(scratch.quads + 16 * x, at, weight_of + 4 * x, scratch.pitch)
        elif axis.taps == 4:
            weight_of = weights + 4 * start
            for x in range(count):
                at = line + 12 * np.int64(column[x])
                strip4_floats(scratch.quads + 16 * x, at, weight_of + 4 * x, scratch.pitch)
        else:
            clear_quads(scratch.quads, count)
            for t in range(axis.taps):
                weight = floats(weights + t * scratch.pitch + 4 * start, count)
                for x in range(count):
                    at = line + 12 * (np.int64(column[x]) + t)
                    add_rgb(scratch.quads + 16 * x, at, weight[x], ZERO)
        split_quads(scratch, count, scratch.units, rows + 4 * start)
        return
    line_length = (axis.last - least + 1) * image.channels
    for c in range(image.channels):
        line_values = floats(scratch.line + 4 * c, line_length)
        row = floats(rows + c * scratch.pitch + 4 * start, count)
        for x in range(count):
            value = ZERO
            for t in range(axis.taps):
                weight = floats(weights + t * scratch.pitch + 4 * start, count)[x]
                value += line_values[(column[x] - least + t) * image.channels] * weight
            row[x] = value * image.unit


@jit
def moves_whole_pixels(image, m, axis_y, axis_x):
    """Whether every output shows one pixel of an RGB image that lies pixel after pixel."""
    return (
        image.channels == 3 and image.stride_x == 3 and image.stride_c == 1
        and abs(m[0]) == ONE and abs(m[4]) == ONE
        and m[2] == np.floor(m[2]) and m[5] == np.floor(m[5])
        and axis_y.support == ONE and axis_x.support == ONE
        and axis_y.border == CONSTANT and axis_x.border == CONSTANT
    )  # fmt: skip


@apart
def copy_pixels(image, like, row, column, step, count, rows, pitch):
    """`count` pixels of a source row, from `column` on in steps of 1 or −1, into the rows."""
    red, green, blue = rows, rows + pitch, rows + 2 * pitch
    start = image.address + (row * image.stride_y + 3 * column) * image.item
    width = 3 * image.item
    whole = count // 16 * 16
    if step == 1:
        for x in range(0, whole, 16):
            unpack_forwards(
                start + x * width, red + 4 * x, green + 4 * x, blue + 4 * x, image.unit, like
            )
    else:
        for x in range(0, whole, 16):
            unpack_backwards(
                start - (x + 15) * width, red + 4 * x, green + 4 * x, blue + 4 * x, image.unit, like
            )
    for x in range(whole, count):
        pixel = values(start + step * x * width, 3, like)
        for c in range(3):
            floats(rows + c * pitch, count)[x] = f32(pixel[c]) * image.unit
