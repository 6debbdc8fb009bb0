"""Axis-aligned views (crop, resize, flip): source rows are weighed whole, contiguous memory, into a line for
each channel, and taps along x are taken from the lines. Which taps and weights is worked out once a view.

A view that moves by whole pixels, mirrored or not, takes them as they lie.
"""

from __future__ import annotations

import numpy as np

from ...plan.kinds import CONSTANT
from .formulas import (
    HALF,
    ONE,
    TWO,
    ZERO,
    cubic_weight,
    edge,
    f32,
    first_tap,
    inlined,
    not_inlined,
    project,
    second_share,
)
from .lines import (
    BLOCK,
    LANES,
    REACH,
    dot_eight,
    dot_four,
    dot_lanes,
    dot_stride,
    dot_two,
    pick_any,
    pick_near,
    pick_two,
    pick_two_near,
    split_four,
    weigh_block,
    weigh_one,
    weigh_rgb,
    weigh_rgb_half,
    weigh_rgba,
    weigh_sixteen,
)
from .memory import floats, ints, unpack_backwards, unpack_forwards, values
from .sample import (
    border_point,
    clamp_rows,
    first_of,
    is_affine,
    is_nearest,
    is_packed_rgb,
    reciprocal_of,
    weight_of,
)

LATER = 4  # rows of an output: what so many later ones need of a large source is asked for


@inlined
def is_separable(matrix):
    """Whether source x goes by output x alone, and y by y."""
    return matrix[1] == ZERO and matrix[3] == ZERO and is_affine(matrix)


@inlined
def sample_aligned(
    sample_value, image, axis_y, axis_x, buffers, look, matrix, columns, k, y, x0, x1, rows
):
    """Sample the outputs x0 … x1 − 1 of row y. Returns the run of them that lies inside the clip.

    look: that of layer k, whose `columns` (an address) `prepare_columns` and `prepare_taking` have filled.
    """
    start, stop = max(look.start, x0), min(look.stop, x1)
    point = border_point(axis_y, project(ZERO, f32(y) + HALF, ZERO, matrix[4], matrix[5]))
    if start >= stop or not (axis_y.low <= point and point <= axis_y.high):
        return 0, 0
    if moves_whole_pixels(image, matrix, axis_y, axis_x):
        column = int(np.floor(project(f32(start) + HALF, ZERO, matrix[0], matrix[1], matrix[2])))
        row, step, target = int(np.floor(point)), int(matrix[0]), rows + 4 * start
        _copy_pixels(image, sample_value, row, column, step, stop - start, target, buffers.pitch)
        return start, stop
    if is_nearest(axis_y, axis_x):
        line = image.address + first_of(axis_y, point) * image.stride_y * image.item
        _take_nearest(image, sample_value, line, columns, start, stop, rows, buffers.pitch)
        return start, stop
    if axis_y.slope != ZERO:
        _sample_cubic(
            sample_value, image, axis_y, axis_x, buffers, look, columns, k, point, start, stop, rows
        )
        return start, stop
    least, most = _columns_of(axis_x, columns, start, stop, look)
    row = first_of(axis_y, point)
    _set_weights(axis_y, row, point, image.to_unit, buffers.weights_y)
    ahead = 0
    if look.far:
        later = f32(y + LATER) + HALF
        after = border_point(axis_y, project(ZERO, later, ZERO, matrix[4], matrix[5]))
        ahead = first_of(axis_y, after) - row
    _weigh_rows(image, sample_value, buffers, row, axis_y.taps, least, most - least, ahead)
    _take_columns(image, axis_x, look, buffers, least, columns, start, stop, rows)
    return start, stop


@inlined
def _sample_cubic(
    sample_value, image, axis_y, axis_x, buffers, look, columns, k, point, start, stop, rows
):
    """`sample_aligned` by a cubic: first along x, then along y, and whole numbers are clamped after
    either, as PIL does it. Source rows that are sampled along x are kept for the next rows."""
    row, reciprocal, taps = first_of(axis_y, point), reciprocal_of(axis_y), buffers.most_taps
    total = ZERO
    for t in range(axis_y.taps):
        total += weight_of(axis_y, f32(row + t), point, reciprocal)
    held = values(buffers.held, (k + 1) * taps, np.int64(0))
    ring, step = buffers.ring + k * buffers.ring_size, image.channels * buffers.pitch
    for t in range(axis_y.taps):
        place = (row + t) % taps
        sampled = ring + place * step
        if held[k * taps + place] != row + t:
            held[k * taps + place] = row + t
            least, most = _columns_of(axis_x, columns, look.start, look.stop, look)
            floats(buffers.weights_y, 1)[0] = image.to_unit
            ahead = axis_y.taps if look.far else 0
            _weigh_rows(image, sample_value, buffers, row + t, 1, least, most - least, ahead)
            _take_columns(
                image, axis_x, look, buffers, least, columns, look.start, look.stop, sampled
            )
            if image.to_unit != ONE:
                skip = 4 * look.start
                clamp_rows(sampled + skip, buffers.pitch, image.channels, look.stop - look.start)
    # Four rows at a time, the last ones again with weight 0.
    for t in range(0, axis_y.taps, 4):
        at0, weight0 = _held_row(axis_y, row, t, taps, point, reciprocal)
        at1, weight1 = _held_row(axis_y, row, t + 1, taps, point, reciprocal)
        at2, weight2 = _held_row(axis_y, row, t + 2, taps, point, reciprocal)
        at3, weight3 = _held_row(axis_y, row, t + 3, taps, point, reciprocal)
        for c in range(image.channels):
            shift = c * buffers.pitch + 4 * start
            _add_four(
                rows + shift, ring + at0 * step + shift, ring + at1 * step + shift,
                ring + at2 * step + shift, ring + at3 * step + shift, weight0 / total,
                weight1 / total, weight2 / total, weight3 / total, t == 0, stop - start,
            )  # fmt: skip


@inlined
def _held_row(axis, row, t, taps, point, reciprocal):
    """The place in the ring of tap number t from `row` on, and its weight."""
    if t < axis.taps:
        return (row + t) % taps, weight_of(axis, f32(row + t), point, reciprocal)
    return (row + axis.taps - 1) % taps, ZERO


@not_inlined
def _add_four(target, a, b, c, d, weight_a, weight_b, weight_c, weight_d, fresh, count):
    """Four rows, weighed and added up; and to what is there, unless it is `fresh`. Addresses of rows."""
    new, first, second = floats(target, count), floats(a, count), floats(b, count)
    third, fourth = floats(c, count), floats(d, count)
    if fresh:
        for x in range(count):
            near = weight_b * second[x] + weight_c * third[x]
            new[x] = near + (weight_a * first[x] + weight_d * fourth[x])
    else:
        for x in range(count):
            near = weight_b * second[x] + weight_c * third[x]
            new[x] += near + (weight_a * first[x] + weight_d * fourth[x])


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
def prepare_columns(axis, m0, m2, x0, x1, columns, weights, pitch, totals):
    """First column and normalised weights of the outputs x0 … x1 − 1, for source x = m0 · x + m2.

    columns: address of int32, one for each output. weights: address of float32, a row for each tap.
    totals: address of a row that may be written over. Returns the span of outputs inside the clip, and the
    span of columns that they need.
    """
    reciprocal = reciprocal_of(axis)
    column = ints(columns, x1)
    if axis.taps == 2 and axis.support == ONE and axis.border == CONSTANT:
        rest, share = floats(weights, x1), floats(weights + pitch, x1)
        return _two_columns(axis, m0, m2, x0, x1, column, rest, share)
    if axis.slope != ZERO and axis.border == CONSTANT:
        return _cubic_columns(axis, m0, m2, x0, x1, columns, weights, pitch, totals)
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
            weight = weight_of(axis, f32(first + t), point, reciprocal)
            floats(weights + t * pitch, x1)[x] = weight
            total += weight
        total = ONE / total
        for t in range(axis.taps):
            floats(weights + t * pitch, x1)[x] *= total
        if axis.taps == 2 and axis.support == ONE:
            floats(weights + pitch, x1)[x] = second_share(f32(first), point)
    return start, stop, least, most


@not_inlined
def prepare_taking(axis, start, stop, columns, pitch):
    """Make the first columns of the outputs start … stop − 1 ready to be taken LANES at a time. Returns how
    many columns of the source so many outputs span, at most.

    Are they too many for a shuffle, the weights are set down once more, output by output, behind the rows.
    """
    reach, many, taps = np.int32(0), np.int32(REACH + 1), axis.taps
    if start >= stop:
        return reach
    column = ints(columns, stop + LANES)
    for x in range(stop, stop + LANES):
        column[x] = column[stop - 1]
    for x in range(start, stop):
        reach = max(reach, np.int32(abs(column[x + LANES - 1] - column[x]) + 1))
    if reach < many and axis.border == CONSTANT:
        return reach
    stride = dot_stride(taps)
    for x in range(start, stop):
        weights = floats(columns + (1 + taps) * pitch + 4 * x * stride, stride)
        for t in range(taps):
            weights[t] = floats(columns + (1 + t) * pitch, stop)[x]
        for t in range(taps, stride):
            weights[t] = ZERO
    return many


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
    return _spans(axis, m0, m2, x0, x1, column)


@not_inlined
def _cubic_columns(axis, m0, m2, x0, x1, columns, weights, pitch, totals):
    """`prepare_columns` for a cubic and no border, in loops over vectors."""
    least, most = f32(axis.first), f32(axis.last - axis.taps)
    column, total = ints(columns, x1), floats(totals, x1)
    support, slope, reciprocal = axis.support, axis.slope, reciprocal_of(axis)
    for x in range(x0, x1):
        point = project(f32(np.int32(x)) + HALF, ZERO, m0, ZERO, m2)
        column[x] = np.int32(edge(first_tap(point, support), least, most))
        total[x] = ZERO
    for t in range(axis.taps):
        weight, tap = floats(weights + t * pitch, x1), f32(t)
        for x in range(x0, x1):
            point = project(f32(np.int32(x)) + HALF, ZERO, m0, ZERO, m2)
            weight[x] = cubic_weight(f32(column[x]) + tap, point, reciprocal, slope)
        for x in range(x0, x1):
            total[x] += weight[x]
    for x in range(x0, x1):
        total[x] = ONE / total[x]
    for t in range(axis.taps):
        weight = floats(weights + t * pitch, x1)
        for x in range(x0, x1):
            weight[x] *= total[x]
    return _spans(axis, m0, m2, x0, x1, column)


@inlined
def _spans(axis, m0, m2, x0, x1, column):
    """The span of outputs inside the clip, and the span of columns that they need; no border."""
    start, stop = x0, x1
    while start < x1 and not _within(axis, project(f32(start) + HALF, ZERO, m0, ZERO, m2)):
        start += 1
    while stop > start and not _within(axis, project(f32(stop - 1) + HALF, ZERO, m0, ZERO, m2)):
        stop -= 1
    if start == stop:
        return x1, x0, axis.last, axis.first
    left, right = np.int64(column[start]), np.int64(column[stop - 1])
    return start, stop, min(left, right), max(left, right) + axis.taps


@inlined
def _within(axis, point):
    """Whether the point lies in the clip."""
    return axis.low <= point and point <= axis.high


@inlined
def _set_weights(axis, row, point, to_unit, target):
    """Weights of the taps from `row` on, normalised, times `to_unit`, to an address."""
    reciprocal, weights, total = reciprocal_of(axis), floats(target, axis.taps), ZERO
    for t in range(axis.taps):
        weights[t] = weight_of(axis, f32(row + t), point, reciprocal)
        total += weights[t]
    for t in range(axis.taps):
        weights[t] /= total
    if axis.taps == 2:
        weights[0] = ONE - weights[1]
    for t in range(axis.taps):
        weights[t] *= to_unit


@not_inlined
def _weigh_rows(image, sample_value, buffers, row, taps, column, count, ahead):
    """Weigh `taps` source rows from `row` on, over `count` columns from `column` on, into the lines. The
    weights lie at `buffers.weights_y`. ahead: how many rows further what comes next lies."""
    channels, lines, pitch = image.channels, buffers.lines, buffers.line_pitch
    start = image.address + (row * image.stride_y + column * image.stride_x) * image.item
    down, plane_bytes = image.stride_y * image.item, image.stride_c * image.item
    ahead *= down
    weights, pixel_bytes = buffers.weights_y, image.stride_x * image.item
    if image.stride_x == 1:
        for c in range(channels):
            plane, line = start + c * plane_bytes, lines + c * pitch
            _weigh_values(sample_value, plane, down, ahead, weights, taps, count, line, image.item)
    elif image.stride_c != 1 or image.stride_x != channels:
        for c in range(channels):
            for x in range(count):
                value, line = start + c * plane_bytes + x * pixel_bytes, lines + c * pitch + 4 * x
                weigh_one(value, down, ahead, weights, taps, line, pitch, sample_value)
    elif channels == 3 and count >= 16:
        wide = count // 32 * 32
        for x in range(0, wide, 32):
            weigh_rgb(
                start + x * pixel_bytes, down, ahead, weights, taps, lines + 4 * x, pitch, sample_value
            )  # fmt: skip
        for x in range(wide, count, 16):
            last = min(x, count - 16)
            weigh_rgb_half(
                start + last * pixel_bytes, down, ahead, weights, taps, lines + 4 * last, pitch, sample_value
            )  # fmt: skip
    elif channels == 4 and count >= 16:
        for x in range(0, count, 16):
            last = min(x, count - 16)
            weigh_rgba(
                start + last * pixel_bytes, down, ahead, weights, taps, lines + 4 * last, pitch, sample_value
            )  # fmt: skip
    else:
        length = count * channels
        _weigh_values(
            sample_value, start, down, ahead, weights, taps, length, buffers.line, image.item
        )
        _split_line(channels, buffers.line, count, lines, pitch)


@inlined
def _weigh_values(sample_value, start, down, ahead, weights, taps, count, line, item):
    """`_weigh_rows` of values that lie side by side, in the same order."""
    wide = count // BLOCK * BLOCK
    for x in range(0, wide, BLOCK):
        weigh_block(start + x * item, down, ahead, weights, taps, line + 4 * x, 0, sample_value)
    if count >= 16:
        for x in range(wide, count, 16):
            last = min(x, count - 16)
            weigh_sixteen(
                start + last * item, down, ahead, weights, taps, line + 4 * last, 0, sample_value
            )
    else:
        for x in range(count):
            weigh_one(start + x * item, down, ahead, weights, taps, line + 4 * x, 0, sample_value)


@inlined
def _split_line(channels, line, count, lines, pitch):
    """`count` pixels of floats into a line for each channel."""
    if channels >= 4 and count >= 16:
        for q in range(0, channels, 4):
            c = min(q, channels - 4)
            for x in range(0, count, 16):
                last = min(x, count - 16)
                pixels = line + 4 * (last * channels + c)
                split_four(pixels, 4 * channels, lines + c * pitch + 4 * last, pitch)
        return
    packed = floats(line, count * channels)
    for c in range(channels):
        plane = floats(lines + c * pitch, count)
        for x in range(count):
            plane[x] = packed[x * channels + c]


@not_inlined
def _take_columns(image, axis, look, buffers, least, columns, start, stop, rows):
    """The taps along x, from the lines: into the outputs start … stop − 1 of `rows`.

    least: the source column that the lines begin with. columns: as `prepare_columns` has filled it.
    """
    whole = start + (stop - start) // LANES * LANES
    lines = buffers.lines - 4 * least
    for x in range(start, whole, LANES):
        _take_some(image, axis, look, buffers, lines, columns, x, rows + 4 * x)
    if whole < stop:
        _take_some(image, axis, look, buffers, lines, columns, whole, buffers.scratch)
        for c in range(image.channels):
            row = floats(rows + 4 * whole + c * buffers.pitch, stop - whole)
            taken = floats(buffers.scratch + c * buffers.pitch, stop - whole)
            for x in range(stop - whole):
                row[x] = taken[x]


@inlined
def _take_some(image, axis, look, buffers, lines, columns, x, target):
    """LANES outputs from number x on, to an address."""
    pitch, line_pitch, taps = buffers.pitch, buffers.line_pitch, axis.taps
    column, weights = columns + 4 * x, columns + pitch + 4 * x
    if look.reach > REACH:
        stride = dot_stride(taps)
        weights = columns + (1 + taps) * pitch + 4 * x * stride
        for c in range(image.channels):
            line, row = lines + c * line_pitch, target + c * pitch
            if stride == 2:
                dot_two(line, column, weights, taps, row)
            elif stride == 4:
                dot_four(line, column, weights, taps, row)
            elif stride == 8:
                dot_eight(line, column, weights, taps, row)
            else:
                dot_lanes(line, column, weights, taps, row)
    elif look.reach <= LANES and taps == 2:
        pick_two_near(
            lines, line_pitch, column, weights, pitch, taps, target, image.channels
        )  # fmt: skip
    elif look.reach <= LANES:
        pick_near(
            lines, line_pitch, column, weights, pitch, taps, target, image.channels
        )  # fmt: skip
    elif taps == 2:
        pick_two(
            lines, line_pitch, column, weights, pitch, taps, target, image.channels
        )  # fmt: skip
    else:
        pick_any(
            lines, line_pitch, column, weights, pitch, taps, target, image.channels
        )  # fmt: skip


@inlined
def _take_nearest(image, sample_value, line, columns, start, stop, rows, pitch):
    """The outputs start … stop − 1 of `rows`, each one pixel of the source row at the address `line`."""
    count, skip = stop - start, 4 * start
    column = ints(columns + skip, count)
    for c in range(image.channels):
        source = values(line + c * image.stride_c * image.item, 1, sample_value)
        row = floats(rows + c * pitch + skip, count)
        for x in range(count):
            row[x] = f32(source[np.uint64(column[x] * image.stride_x)]) * image.to_unit


@inlined
def moves_whole_pixels(image, m, axis_y, axis_x):
    """Whether every output shows one pixel of an RGB image that lies pixel after pixel."""
    return (
        is_packed_rgb(image) and abs(m[0]) == ONE and abs(m[4]) == ONE
        and m[2] == np.floor(m[2]) and m[5] == np.floor(m[5])
        and _is_unit(axis_y) and _is_unit(axis_x)
        and axis_y.border == CONSTANT and axis_x.border == CONSTANT
    )  # fmt: skip


@inlined
def _is_unit(axis):
    """Whether a point in the middle of a pixel weighs that pixel alone."""
    return axis.support == (ONE if axis.slope == ZERO else TWO)


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
