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
    edge,
    f32,
    first_tap,
    inlined,
    not_inlined,
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
from .sample import (
    border_point,
    clear_quads,
    first_of,
    is_affine,
    is_packed_rgb,
    reciprocal_of,
    split_quads,
)


@inlined
def is_separable(matrix):
    """Whether source x goes by output x alone, and y by y."""
    return matrix[1] == ZERO and matrix[3] == ZERO and is_affine(matrix)


@inlined
def sample_aligned(
    sample_value, image, axis_y, axis_x, buffers, look, matrix, columns, y, x0, x1, rows
):
    """Sample the outputs x0 … x1 − 1 of row y. Returns the run of them that lies inside the clip.

    look: the layer's, whose `columns` (an address) `prepare_columns` has filled.
    """
    start, stop = max(look.start, x0), min(look.stop, x1)
    point = border_point(axis_y, project(ZERO, f32(y) + HALF, ZERO, matrix[4], matrix[5]))
    if start >= stop or not (axis_y.low <= point and point <= axis_y.high):
        return 0, 0
    if _moves_whole_pixels(image, matrix, axis_y, axis_x):
        column = int(np.floor(project(f32(start) + HALF, ZERO, matrix[0], matrix[1], matrix[2])))
        row, step, target = int(np.floor(point)), int(matrix[0]), rows + 4 * start
        _copy_pixels(image, sample_value, row, column, step, stop - start, target, buffers.pitch)
        return start, stop
    least, most = _columns_of(axis_x, columns, start, stop, look)
    weights = columns + buffers.pitch
    _blend_rows(image, sample_value, axis_y, point, least, most - least, buffers.line)
    _take_columns(image, sample_value, axis_x, buffers, least, columns, weights, start, stop, rows)
    return start, stop


@inlined
def _columns_of(axis, columns, start, stop, look):
    """The source columns that the outputs start … stop − 1 take."""
    if axis.border != CONSTANT or start >= stop:
        return look.least, look.most
    column = ints(columns, stop)
    left, right = np.int64(column[start]), np.int64(column[stop - 1])
    least, most = min(left, right), max(left, right) + axis.taps
    # A multiple of sixteen where the image has room, so that the loop over them comes out even.
    wide = min((most - least + 15) // 16 * 16, look.last_x - look.first_x)
    least = max(look.first_x, min(least, look.last_x - wide))
    return least, max(most, least + wide)


@not_inlined
def prepare_columns(axis, m0, m2, x0, x1, columns, weights, pitch):
    """First column and normalised weights of the outputs x0 … x1 − 1, for source x = m0 · x + m2.

    columns: address of int32, one for each output. weights: address of float32, a row for each tap.
    Returns the span of outputs inside the clip, and the span of columns that they need.
    """
    reciprocal = reciprocal_of(axis)
    column = ints(columns, x1)
    if axis.taps == 2 and axis.support == ONE and axis.border == CONSTANT:
        rest, share = floats(weights, x1), floats(weights + pitch, x1)
        return _two_columns(axis, m0, m2, x0, x1, column, rest, share)
    start, stop, least, most = x1, x0, axis.last, axis.first
    for x in range(x0, x1):
        point = border_point(axis, project(f32(x) + HALF, ZERO, m0, ZERO, m2))
        if point < axis.low or point > axis.high:
            continue
        start, stop = min(start, x), x + 1
        first = first_of(axis, point)
        column[x] = first
        least, most = min(least, first), max(most, first + axis.taps)
        total = ZERO
        for t in range(axis.taps):
            floats(weights + t * pitch, x1)[x] = tap_weight(f32(first + t), point, reciprocal)
            total += tap_weight(f32(first + t), point, reciprocal)
        total = ONE / total
        for t in range(axis.taps):
            floats(weights + t * pitch, x1)[x] *= total
        if axis.taps == 2 and axis.support == ONE:
            floats(weights + pitch, x1)[x] = second_share(f32(first), point)
    return start, stop, least, most


@not_inlined
def _two_columns(axis, m0, m2, x0, x1, column, rest, share):
    """`prepare_columns` for two taps and no border, in a loop over vectors."""
    least, most = f32(axis.first), f32(axis.last - 2)
    for x in range(x0, x1):
        point = project(f32(np.int32(x)) + HALF, ZERO, m0, ZERO, m2)
        first = edge(first_tap(point, ONE), least, most)
        column[x] = np.int32(first)
        share[x] = second_share(first, point)
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


@inlined
def _within(axis, point):
    """Whether the point lies in the clip."""
    return axis.low <= point and point <= axis.high


@inlined
def _blend_rows(image, sample_value, axis, point, column, count, line):
    """Blend the source rows around `point` over `count` columns from `column` into `line`, an address,
    pixel after pixel, in the source's own unit."""
    row = first_of(axis, point)
    reciprocal = reciprocal_of(axis)
    start = image.address + (row * image.stride_y + column * image.stride_x) * image.item
    row_bytes = image.stride_y * image.item
    total = ZERO
    for t in range(axis.taps):
        total += tap_weight(f32(row + t), point, reciprocal)
    packed = image.stride_c == 1 and image.stride_x == image.channels
    if packed and axis.taps == 2:
        share = tap_weight(f32(row + 1), point, reciprocal) / total
        rest = ONE - share
        width = count * image.channels
        above, below, out = (
            values(start, width, sample_value),
            values(start + row_bytes, width, sample_value),
            floats(line, width),
        )
        for i in range(width):
            out[i] = rest * f32(above[i]) + share * f32(below[i])
        return
    for t in range(axis.taps):
        weight = tap_weight(f32(row + t), point, reciprocal) / total
        if packed:
            row_values = values(start + t * row_bytes, count * image.channels, sample_value)
            _add_line(row_values, weight, t == 0, line)
        else:
            for c in range(image.channels):
                plane = start + t * row_bytes + c * image.stride_c * image.item
                _add_plane(image, sample_value, plane, count, weight, t == 0, line + 4 * c)


@inlined
def _add_line(row, weight, fresh, line):
    """line ← weight · row, added to what is there unless it is `fresh`."""
    out = floats(line, len(row))
    if fresh:
        for i in range(len(row)):
            out[i] = f32(row[i]) * weight
    else:
        for i in range(len(row)):
            out[i] += f32(row[i]) * weight


@inlined
def _add_plane(image, sample_value, plane, count, weight, fresh, line):
    """One channel of a source row that does not lie pixel after pixel."""
    step = image.channels
    out = floats(line, count * step)
    row = values(plane, (count - 1) * image.stride_x + 1, sample_value)
    if fresh:
        for i in range(count):
            out[i * step] = f32(row[i * image.stride_x]) * weight
    else:
        for i in range(count):
            out[i * step] += f32(row[i * image.stride_x]) * weight


@inlined
def _take_columns(image, sample_value, axis, buffers, least, columns, weights, start, stop, rows):
    """The taps along x, from the blended row `buffers.line`: into the outputs start … stop − 1 of `rows`.

    least: the source column that the line begins with. columns, weights: addresses, from output 0 on.
    """
    count, skip = stop - start, 4 * start
    columns, weights, target = columns + skip, weights + skip, rows + skip
    if image.channels != 3:
        _take_any(image, axis, buffers, least, columns, weights, count, target)
    elif axis.taps == 2:
        _take_two_rgb(image, sample_value, buffers, least, columns, weights, count, target)
    else:
        _take_rgb(axis, buffers, least, columns, weights, count, target)


@inlined
def _take_two_rgb(image, sample_value, buffers, least, columns, weights, count, target):
    """`_take_columns` of RGB by two taps, eight pixels at a time."""
    line, pitch = buffers.line - 12 * least, buffers.pitch
    shares, whole = weights + pitch, count // 8 * 8
    column, offsets = ints(columns, count), ints(buffers.first_x, count)
    for x in range(count):
        offsets[x] = 12 * column[x]
    for x in range(0, whole, 8):
        skip = 4 * x
        mix_eight(
            line, buffers.first_x + skip, shares + skip, target + skip, target + pitch + skip,
            target + 2 * pitch + skip, image.to_unit, sample_value,
        )  # fmt: skip
    share = floats(shares, count)
    for x in range(whole, count):
        mix_floats(buffers.quads + 16 * (x - whole), line + offsets[x], share[x], sample_value)
    split_quads(buffers, count - whole, buffers.to_units, target + 4 * whole)


@inlined
def _take_rgb(axis, buffers, least, columns, weights, count, target):
    """`_take_columns` of RGB by three taps or more."""
    line, column = buffers.line - 12 * least, ints(columns, count)
    if axis.taps == 3:
        for x in range(count):
            pixels = line + 12 * np.int64(column[x])
            strip3_floats(buffers.quads + 16 * x, pixels, weights + 4 * x, buffers.pitch)
    elif axis.taps == 4:
        for x in range(count):
            pixels = line + 12 * np.int64(column[x])
            strip4_floats(buffers.quads + 16 * x, pixels, weights + 4 * x, buffers.pitch)
    else:
        clear_quads(buffers.quads, count)
        for t in range(axis.taps):
            weight = floats(weights + t * buffers.pitch, count)
            for x in range(count):
                pixel = line + 12 * (np.int64(column[x]) + t)
                add_rgb(buffers.quads + 16 * x, pixel, weight[x], ZERO)
    split_quads(buffers, count, buffers.to_units, target)


@inlined
def _take_any(image, axis, buffers, least, columns, weights, count, target):
    """`_take_columns` of any number of channels."""
    column, line_length = ints(columns, count), (axis.last - least + 1) * image.channels
    for c in range(image.channels):
        line = floats(buffers.line + 4 * c, line_length)
        row = floats(target + c * buffers.pitch, count)
        for x in range(count):
            value = ZERO
            for t in range(axis.taps):
                weight = floats(weights + t * buffers.pitch, count)[x]
                value += line[(column[x] - least + t) * image.channels] * weight
            row[x] = value * image.to_unit


@inlined
def _moves_whole_pixels(image, m, axis_y, axis_x):
    """Whether every output shows one pixel of an RGB image that lies pixel after pixel."""
    return (
        is_packed_rgb(image) and abs(m[0]) == ONE and abs(m[4]) == ONE
        and m[2] == np.floor(m[2]) and m[5] == np.floor(m[5])
        and axis_y.support == ONE and axis_x.support == ONE
        and axis_y.border == CONSTANT and axis_x.border == CONSTANT
    )  # fmt: skip


@inlined
def _copy_pixels(image, sample_value, row, column, step, count, rows, pitch):
    """`count` pixels of a source row, from `column` on in steps of 1 or −1, into the rows."""
    red, green, blue = rows, rows + pitch, rows + 2 * pitch
    start = image.address + (row * image.stride_y + 3 * column) * image.item
    width = 3 * image.item
    whole = count // 16 * 16
    if step == 1:
        for x in range(0, whole, 16):
            unpack_forwards(
                start + x * width,
                red + 4 * x,
                green + 4 * x,
                blue + 4 * x,
                image.to_unit,
                sample_value,
            )
    else:
        for x in range(0, whole, 16):
            unpack_backwards(
                start - (x + 15) * width,
                red + 4 * x,
                green + 4 * x,
                blue + 4 * x,
                image.to_unit,
                sample_value,
            )
    for x in range(whole, count):
        pixel = values(start + step * x * width, 3, sample_value)
        for c in range(3):
            floats(rows + c * pitch, count)[x] = f32(pixel[c]) * image.to_unit
