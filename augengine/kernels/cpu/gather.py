"""Any other view: points, taps and weights are worked out for each pixel of a row, which then gathers its
pixels by vector loads.
"""

from __future__ import annotations

import numpy as np

from ...plan.kinds import CONSTANT, EDGE
from .buffers import SPARE, WIDEST_PATCH
from .formulas import (
    HALF,
    ONE,
    TWO,
    ZERO,
    cubic_far,
    cubic_near,
    cubic_weight,
    edge,
    f32,
    first_tap,
    inlined,
    inside,
    project,
    second_share,
    seen_from,
    tap_weight,
)
from .memory import (
    add_rgb,
    add_sixteen,
    bilinear_rgb,
    bilinear_two,
    floats,
    ints,
    patch3_rgb,
    patch4_rgb,
    patch5_rgb,
    patch6_rgb,
    patch7_rgb,
    patch8_rgb,
    patch_reach,
    values,
)
from .patches import (
    bilinear_quad,
    mix_down,
    weigh_down3,
    weigh_down4,
    weigh_quad3,
    weigh_quad4,
)
from .sample import (
    Axis,
    border_point,
    clear_quads,
    is_affine,
    is_nearest,
    is_packed_rgb,
    reciprocal_of,
    split_quads,
    whole_vectors,
)


@inlined
def gather_run(sample_value, image, matrix, axis_y, axis_x, buffers, start, stop, rows):
    """Sample the outputs start … stop − 1 of a row, whose points `row_points` has worked out."""
    count, pitch, skip = stop - start, buffers.pitch, 4 * start
    if is_nearest(axis_y, axis_x):
        _set_firsts(axis_x, buffers.points_x + skip, buffers.first_x, count)
        _set_firsts(axis_y, buffers.points_y + skip, buffers.first_y, count)
        _gather_nearest(image, sample_value, buffers, count, rows + skip)
        return
    axis_y, axis_x = with_taps_of(axis_y, axis_x), with_taps_of(axis_x, axis_y)
    # A cubic looks at a run's ends, and whatever stands behind it is no point.
    many = count if axis_x.slope != ZERO else whole_vectors(count, pitch // 4 - start)
    _set_taps(
        axis_x, buffers.points_x + skip, buffers.first_x, buffers.weights_x, buffers.total_x, pitch,
        many,
    )  # fmt: skip
    _set_taps(
        axis_y, buffers.points_y + skip, buffers.first_y, buffers.weights_y, buffers.total_y, pitch,
        many,
    )  # fmt: skip
    scale = _scale_of(axis_y, axis_x, buffers, image.to_unit, many)
    if is_packed_rgb(image):
        _gather_rgb(image, sample_value, matrix, axis_y, axis_x, buffers, count)
        split_quads(buffers, count, scale, rows + skip)
    elif image.stride_c == 1 and image.channels >= 4:
        _gather_packed(image, sample_value, axis_y, axis_x, buffers, scale, count, rows + skip)
    elif image.stride_x == 1:
        _gather_planes(image, sample_value, axis_y, axis_x, buffers, scale, count, rows + skip)
    else:
        _gather_any(image, sample_value, axis_y, axis_x, buffers, scale, count, rows + skip)


@inlined
def row_points(matrix, y, x0, x1, axis_y, axis_x, buffers):
    """Source points of the outputs x0 … x1 − 1 of a row, bordered. matrix: the view's nine entries."""
    count = x1 - x0
    centre = floats(buffers.centres + 4 * x0, count)
    point_x, point_y = (
        floats(buffers.points_x + 4 * x0, count),
        floats(buffers.points_y + 4 * x0, count),
    )
    mid = f32(y) + HALF
    a, b, c = matrix[0], matrix[1], matrix[2]
    for x in range(count):
        point_x[x] = project(centre[x], mid, a, b, c)
    a, b, c = matrix[3], matrix[4], matrix[5]
    for x in range(count):
        point_y[x] = project(centre[x], mid, a, b, c)
    a, b, c = matrix[6], matrix[7], matrix[8]
    if not is_affine(matrix):
        for x in range(count):
            w = project(centre[x], mid, a, b, c)
            point_x[x] = seen_from(point_x[x], w)
            point_y[x] = seen_from(point_y[x], w)
    if axis_x.border != CONSTANT:
        for x in range(count):
            point_x[x] = border_point(axis_x, point_x[x])
        for x in range(count):
            point_y[x] = border_point(axis_y, point_y[x])


@inlined
def _crossing(first, step, low, high, count):
    """Between which of `count` points, first, first + step, …, lies all that is in [low, high]: with
    two to spare on either side."""
    if abs(step) < f32(1e-3):
        return 0, count
    near, far = (low - first) / step, (high - first) / step
    if near > far:
        near, far = far, near
    most = f32(count)
    near, far = edge(near - TWO, ZERO, most), edge(far + f32(3), ZERO, most)
    return int(near), int(np.ceil(far))


@inlined
def next_run(matrix, begin, x1, axis_y, axis_x, buffers):
    """The next run of points inside the clip, from output `begin` on: start, stop; x1, x1 if none.

    An affine row crosses a rectangle in one piece. So does a projective one, but for the rounding
    of points that lie along an edge: those are looked at one by one."""
    point_x, point_y = floats(buffers.points_x, x1), floats(buffers.points_y, x1)
    low_x, low_y, high_x, high_y = axis_x.low, axis_y.low, axis_x.high, axis_y.high
    start, stop = begin, x1
    if is_affine(matrix) and axis_x.border == CONSTANT and x1 - begin > 4:
        # Where the row enters and leaves, to within two pixels; only those are then looked at.
        step_x = (point_x[x1 - 1] - point_x[begin]) / f32(x1 - 1 - begin)
        step_y = (point_y[x1 - 1] - point_y[begin]) / f32(x1 - 1 - begin)
        left, right = _crossing(point_x[begin], step_x, low_x, high_x, x1 - begin)
        top, bottom = _crossing(point_y[begin], step_y, low_y, high_y, x1 - begin)
        start = begin + max(left, top)
        stop = max(start, min(begin + min(right, bottom), x1))
    while start < x1 and not inside(point_x[start], point_y[start], low_x, low_y, high_x, high_y):
        start += 1
    while stop > start and not inside(
        point_x[stop - 1], point_y[stop - 1], low_x, low_y, high_x, high_y
    ):
        stop -= 1
    if not is_affine(matrix):
        within = np.int32(0)  # as wide as a float, so that eight are counted at a time
        run_x, run_y = (
            floats(buffers.points_x + 4 * start, stop - start),
            floats(buffers.points_y + 4 * start, stop - start),
        )
        for x in range(stop - start):
            within += np.int32(inside(run_x[x], run_y[x], low_x, low_y, high_x, high_y))
        if within < stop - start:
            stop = start
            while stop < x1 and inside(point_x[stop], point_y[stop], low_x, low_y, high_x, high_y):
                stop += 1
    return start, stop


@inlined
def _set_firsts(axis, points, firsts, count):
    """First taps along one axis, for `count` points; both are addresses of a row."""
    point, first = floats(points, count), ints(firsts, count)
    support, least, most = axis.support, f32(axis.first), f32(axis.last - axis.taps)
    for x in range(count):
        first[x] = np.int32(edge(first_tap(point[x], support), least, most))


@inlined
def _set_taps(axis, points, firsts, weights, totals, pitch, count):
    """First taps, weights and the weights' sums along one axis, for `count` points (of an axis that
    `has_shares`: shares of one, and no sums). points, firsts, totals: addresses of a row; weights: of a
    row for each tap."""
    point, first, total = floats(points, count), ints(firsts, count), floats(totals, count)
    support = axis.support
    _set_firsts(axis, points, firsts, count)
    reciprocal = reciprocal_of(axis)
    if axis.slope != ZERO and has_shares(axis) and axis.taps == 4:
        _set_cubic_shares(axis, point, first, weights, total, pitch, count)
    elif axis.slope != ZERO:
        for x in range(count):
            total[x] = ZERO
        for t in range(axis.taps):
            row, tap, slope = floats(weights + t * pitch, count), f32(t), axis.slope
            for x in range(count):
                row[x] = cubic_weight(f32(first[x]) + tap, point[x], reciprocal, slope)
            for x in range(count):
                total[x] += row[x]
        if axis.taps == 2:
            _as_shares(weights, pitch, total, count)
    elif axis.taps == 2 and support == ONE:
        rest, share = floats(weights, count), floats(weights + pitch, count)
        for x in range(count):
            share[x] = second_share(f32(first[x]), point[x])
        for x in range(count):
            rest[x] = ONE - share[x]
    elif axis.taps == 3:
        near, middle, far = (
            floats(weights, count), floats(weights + pitch, count), floats(weights + 2 * pitch, count)
        )  # fmt: skip
        for x in range(count):
            tap = f32(first[x])
            near[x] = tap_weight(tap, point[x], reciprocal)
            middle[x] = tap_weight(tap + ONE, point[x], reciprocal)
            far[x] = tap_weight(tap + TWO, point[x], reciprocal)
            total[x] = near[x] + middle[x] + far[x]
    else:
        for x in range(count):
            total[x] = ZERO
        for t in range(axis.taps):
            row, tap = floats(weights + t * pitch, count), f32(t)
            for x in range(count):
                row[x] = tap_weight(f32(first[x]) + tap, point[x], reciprocal)
            for x in range(count):
                total[x] += row[x]
        if axis.taps == 2:
            _as_shares(weights, pitch, total, count)


@inlined
def has_shares(axis):
    """Whether weights are set that add up to one: of two taps, and of a cubic that shrinks nothing."""
    return axis.taps == 2 or (axis.slope != ZERO and axis.taps == 4 and axis.support == TWO)


@inlined
def _set_cubic_shares(axis, point, first, weights, share, pitch, count):
    """Weights of four taps, as polynomials of where between the middle two a point lies: those of all four
    add up to one. Where taps were shifted to stay in the clip, they are weighed as they lie. share: a row
    for where the points lie."""
    slope, middle = axis.slope, f32(1.5)
    row0, row1 = floats(weights, count), floats(weights + pitch, count)
    row2, row3 = floats(weights + 2 * pitch, count), floats(weights + 3 * pitch, count)
    for x in range(count):
        share[x] = point[x] - (f32(first[x]) + middle)
    for x in range(count):
        row0[x] = cubic_far(share[x] + ONE, slope)
    for x in range(count):
        row1[x] = cubic_near(share[x], slope)
    for x in range(count):
        row2[x] = cubic_near(ONE - share[x], slope)
    for x in range(count):
        row3[x] = cubic_far(TWO - share[x], slope)
    shifted = np.int32(0)
    for x in range(count):
        shifted += np.int32(f32(first[x]) != first_tap(point[x], axis.support))
    # Where points go one way those lie at a row's ends.
    left, right = 0, count
    while left < right and f32(first[left]) != first_tap(point[left], axis.support):
        _weigh_shifted(axis, point[left], first[left], weights + 4 * left, pitch)
        left += 1
    while left < right and f32(first[right - 1]) != first_tap(point[right - 1], axis.support):
        right -= 1
        _weigh_shifted(axis, point[right], first[right], weights + 4 * right, pitch)
    if shifted > left + count - right:
        for x in range(left, right):
            if f32(first[x]) != first_tap(point[x], axis.support):
                _weigh_shifted(axis, point[x], first[x], weights + 4 * x, pitch)


@inlined
def _weigh_shifted(axis, point, first, weights, pitch):
    """The four weights of one point, as shares of one."""
    reciprocal, total = reciprocal_of(axis), ZERO
    for t in range(4):
        total += cubic_weight(f32(first) + f32(t), point, reciprocal, axis.slope)
    for t in range(4):
        weight = cubic_weight(f32(first) + f32(t), point, reciprocal, axis.slope)
        floats(weights + t * pitch, 1)[0] = weight / total


@inlined
def _as_shares(weights, pitch, total, count):
    """Two pixels under a wider filter, as shares, which mixing wants."""
    rest, share = floats(weights, count), floats(weights + pitch, count)
    for x in range(count):
        share[x] /= total[x]
    for x in range(count):
        rest[x] = ONE - share[x]


@inlined
def _scale_of(axis_y, axis_x, buffers, to_unit, count):
    """The address of what brings a weighed pixel to [0, 1]: shares add up to one, and other weights are
    divided by their sums here, once for both axes."""
    total_y, total_x = floats(buffers.total_y, count), floats(buffers.total_x, count)
    if has_shares(axis_y) and has_shares(axis_x):
        return buffers.to_units
    if has_shares(axis_y):
        for x in range(count):
            total_x[x] = to_unit / total_x[x]
    elif has_shares(axis_x):
        for x in range(count):
            total_x[x] = to_unit / total_y[x]
    else:
        for x in range(count):
            total_x[x] = to_unit / (total_x[x] * total_y[x])
    return buffers.total_x


@inlined
def with_taps_of(axis, other):
    """The axis with as many taps as the other needs, where its clip has room: more taps weigh
    nothing (but of the nearest), and a square patch has a vector load of its own."""
    taps = axis.taps
    if taps < other.taps and other.taps <= axis.last - axis.first and axis.support > ZERO:
        taps = other.taps
    return Axis(
        axis.low, axis.high, axis.first, axis.last, axis.support, axis.slope, taps, axis.border
    )


@inlined
def _gather_rgb(image, sample_value, matrix, axis_y, axis_x, buffers, count):
    """RGB, pixel after pixel, into quads by vector loads. Those reach a little over the pixels they
    want; on a row where that could pass the end of the memory, they are made from a copy."""
    taps = axis_y.taps if axis_y.taps == axis_x.taps else 0
    pitch, row_bytes, pixel_bytes = buffers.pitch, image.stride_y * image.item, 3 * image.item
    first_y, first_x = ints(buffers.first_y, count), ints(buffers.first_x, count)
    safe = _stays_inside(image, matrix, axis_y, axis_x, first_y, first_x, count)
    if safe and taps == 2:
        _gather_bilinear(image, sample_value, buffers, first_y, first_x, count)
    elif safe and taps == 3:
        for x in range(count):
            pixel = _pixel_at(image, first_y[x], first_x[x], row_bytes, pixel_bytes)
            patch3_rgb(
                buffers.quads + 16 * x, pixel, row_bytes, buffers.weights_y + 4 * x,
                buffers.weights_x + 4 * x, pitch, sample_value,
            )  # fmt: skip
    elif safe and taps == 4:
        for x in range(count):
            pixel = _pixel_at(image, first_y[x], first_x[x], row_bytes, pixel_bytes)
            patch4_rgb(
                buffers.quads + 16 * x, pixel, row_bytes, buffers.weights_y + 4 * x,
                buffers.weights_x + 4 * x, pitch, sample_value,
            )  # fmt: skip
    else:
        _gather_each(image, sample_value, axis_y, axis_x, buffers, safe, count)


@inlined
def _pixel_at(image, y, x, row_bytes, pixel_bytes):
    """The address of a pixel of packed RGB."""
    return image.address + np.int64(y) * row_bytes + np.int64(x) * pixel_bytes


@inlined
def _gather_bilinear(image, sample_value, buffers, first_y, first_x, count):
    """`_gather_rgb` for 2 × 2 taps, two pixels at a time."""
    quads, row_bytes, pixel_bytes = buffers.quads, image.stride_y * image.item, 3 * image.item
    shares_y, shares_x = buffers.weights_y + buffers.pitch, buffers.weights_x + buffers.pitch
    # int64, so they take the row of sums along x, which two taps have no use for, and that along y.
    places = values(buffers.total_x, count, np.int64(0))
    for x in range(count):
        places[x] = _pixel_at(image, first_y[x], first_x[x], row_bytes, pixel_bytes)
    for x in range(0, count - 1, 2):
        bilinear_two(
            quads + 16 * x, buffers.total_x + 8 * x, row_bytes, shares_x + 4 * x, shares_y + 4 * x,
            sample_value,
        )  # fmt: skip
    if count % 2:
        x = count - 1
        share_y, share_x = floats(shares_y, count)[x], floats(shares_x, count)[x]
        upper, lower = places[x], places[x] + row_bytes
        bilinear_rgb(quads + 16 * x, upper, lower, share_x, share_y, sample_value)


@inlined
def _gather_each(image, sample_value, axis_y, axis_x, buffers, safe, count):
    """`_gather_rgb` with a look at every pixel: for wider filters, and at the end of the memory."""
    pitch, down, pixel_bytes = buffers.pitch, image.stride_y * image.item, 3 * image.item
    first_y, first_x = ints(buffers.first_y, count), ints(buffers.first_x, count)
    taps = axis_y.taps if axis_y.taps == axis_x.taps else 0
    in_one_go = taps >= 2 and taps <= WIDEST_PATCH
    for x in range(count):
        pixel, row_bytes = _pixel_at(image, first_y[x], first_x[x], down, pixel_bytes), down
        if in_one_go and not safe:
            pixel, row_bytes = _copy_patch(
                pixel, row_bytes, axis_y.taps, 3 * axis_x.taps, image.item, buffers.patch
            )
        quad = buffers.quads + 16 * x
        weight_y, weight_x = buffers.weights_y + 4 * x, buffers.weights_x + 4 * x
        if taps == 2:
            share_y, share_x = floats(weight_y + pitch, 1)[0], floats(weight_x + pitch, 1)[0]
            bilinear_rgb(quad, pixel, pixel + row_bytes, share_x, share_y, sample_value)
        elif taps == 3:
            patch3_rgb(quad, pixel, row_bytes, weight_y, weight_x, pitch, sample_value)
        elif taps == 4:
            patch4_rgb(quad, pixel, row_bytes, weight_y, weight_x, pitch, sample_value)
        elif taps == 5:
            patch5_rgb(quad, pixel, row_bytes, weight_y, weight_x, pitch, sample_value)
        elif taps == 6:
            patch6_rgb(quad, pixel, row_bytes, weight_y, weight_x, pitch, sample_value)
        elif taps == 7:
            patch7_rgb(quad, pixel, row_bytes, weight_y, weight_x, pitch, sample_value)
        elif taps == 8:
            patch8_rgb(quad, pixel, row_bytes, weight_y, weight_x, pitch, sample_value)
        else:
            _gather_wide(
                quad, pixel, row_bytes, weight_y, weight_x, axis_y.taps, axis_x.taps, image.item,
                buffers, safe, sample_value,
            )  # fmt: skip


@inlined
def _gather_wide(
    quad, pixel, row_bytes, weight_y, weight_x, taps_y, taps_x, item, buffers, safe, sample_value
):
    """One pixel under any filter: its rows into one line, sixteen values at a time, and that line
    along x. safe: whether the loads may reach over a row's end."""
    line, length = buffers.line, 3 * taps_x
    for i in range(0, length, 16):
        out = floats(line + 4 * i, 16)
        for j in range(16):
            out[j] = ZERO
    for ty in range(taps_y):
        weight, row = floats(weight_y + ty * buffers.pitch, 1)[0], pixel + ty * row_bytes
        if not safe:
            row, _ = _copy_patch(row, row_bytes, 1, length, item, buffers.patch)
        for i in range(0, length, 16):
            add_sixteen(line + 4 * i, row + i * item, weight, sample_value)
    clear_quads(quad, 1)
    for tx in range(taps_x):
        add_rgb(quad, line + 12 * tx, floats(weight_x + tx * buffers.pitch, 1)[0], ZERO)


@inlined
def _stays_inside(image, matrix, axis_y, axis_x, first_y, first_x, count):
    """Whether vector loads for a whole row of points stay within the memory: all that the clip allows do,
    or those of this row. Along a row points go one way, and its ends are its extremes, unless a
    perspective or a border turns them."""
    reach = patch_reach(axis_x.taps)
    if _ends_inside(image, axis_y, axis_y.last - axis_y.taps, axis_x.last - axis_x.taps, reach):
        return True
    if is_affine(matrix) and (axis_x.border == CONSTANT or axis_x.border == EDGE):
        y, x = max(first_y[0], first_y[count - 1]), max(first_x[0], first_x[count - 1])
    else:
        y, x = np.int32(axis_y.first), np.int32(axis_x.first)
        for k in range(count):
            y = max(y, first_y[k])
        for k in range(count):
            x = max(x, first_x[k])
    return _ends_inside(image, axis_y, np.int64(y), np.int64(x), reach)


@inlined
def _ends_inside(image, axis_y, y, x, reach):
    """Whether the memory goes on to the last value that is loaded for first taps y, x, `reach` values of
    each row."""
    furthest = (y + axis_y.taps - 1) * image.stride_y + 3 * x + reach
    return image.address + furthest * image.item <= image.limit


@inlined
def _copy_patch(pixel, row_bytes, rows, length, item, target):
    """`rows` times `length` values from address `pixel` on, to where there is room behind them. Returns
    that address, and the bytes from row to row there."""
    step = (length + SPARE) * item
    for y in range(rows):
        source = values(pixel + y * row_bytes, length * item, np.uint8(0))
        out = values(target + y * step, length * item, np.uint8(0))
        for i in range(length * item):
            out[i] = source[i]
    return target, step


@inlined
def _gather_nearest(image, sample_value, buffers, count, rows):
    """One pixel each, of any number of channels and any strides, into the rows."""
    first_y, first_x = ints(buffers.first_y, count), ints(buffers.first_x, count)
    for c in range(image.channels):
        source = values(image.address + c * image.stride_c * image.item, 1, sample_value)
        row = floats(rows + c * buffers.pitch, count)
        for x in range(count):
            offset = first_y[x] * image.stride_y + first_x[x] * image.stride_x
            row[x] = f32(source[np.uint64(offset)]) * image.to_unit


@inlined
def _gather_packed(image, sample_value, axis_y, axis_x, buffers, scale, count, rows):
    """Four channels or more that lie side by side, four at a time."""
    pitch, quads, along_y, along_x = (
        buffers.pitch, buffers.quads, buffers.weights_y, buffers.weights_x
    )  # fmt: skip
    down, across = image.stride_y * image.item, image.stride_x * image.item
    first_y, first_x = ints(buffers.first_y, count), ints(buffers.first_x, count)
    share_y, share_x = floats(along_y + pitch, count), floats(along_x + pitch, count)
    packed, scales = floats(quads, 4 * count), floats(scale, count)
    taps = axis_y.taps if axis_y.taps == axis_x.taps else 0
    for group in range(0, image.channels, 4):
        channel = min(group, image.channels - 4)  # some are drawn twice
        start = image.address + channel * image.item
        for x in range(count if taps == 2 else 0):
            pixel = start + np.int64(first_y[x]) * down + np.int64(first_x[x]) * across
            bilinear_quad(quads + 16 * x, pixel, down, across, share_y[x], share_x[x], sample_value)
        for x in range(count if taps != 2 else 0):
            pixel = start + np.int64(first_y[x]) * down + np.int64(first_x[x]) * across
            quad, weight_y, weight_x = quads + 16 * x, along_y + 4 * x, along_x + 4 * x
            if taps == 3:
                weigh_quad3(quad, pixel, down, across, weight_y, weight_x, pitch, sample_value)
            elif taps == 4:
                weigh_quad4(quad, pixel, down, across, weight_y, weight_x, pitch, sample_value)
            else:
                clear_quads(quad, 1)
                for ty in range(axis_y.taps):
                    weight = floats(weight_y + ty * pitch, 1)[0]
                    for tx in range(axis_x.taps):
                        both = weight * floats(weight_x + tx * pitch, 1)[0]
                        add_rgb(quad, pixel + ty * down + tx * across, both, sample_value)
        for c in range(4):
            row = floats(rows + (channel + c) * pitch, count)
            for x in range(count):
                row[x] = packed[4 * x + c] * scales[x]


@inlined
def _planes_stay_inside(image, axis_y, axis_x, buffers, count):
    """Whether `_gather_planes`, which reads four neighbours at a time, stays within the memory. Where it
    does not it reads copies, so that an image's bits do not go by what lies behind it."""
    first_y, first_x = ints(buffers.first_y, count), ints(buffers.first_x, count)
    y, x = np.int32(axis_y.first), np.int32(axis_x.first)
    for k in range(count):
        y = max(y, first_y[k])
    for k in range(count):
        x = max(x, first_x[k])
    row = (y + axis_y.taps - 1) * image.stride_y + (image.channels - 1) * image.stride_c
    return image.address + (row + x + (axis_x.taps + 3) // 4 * 4) * image.item <= image.limit


@inlined
def _gather_planes(image, sample_value, axis_y, axis_x, buffers, scale, count, rows):
    """Channels whose neighbours along x lie side by side: four of those at a time are weighed along y, and
    then along x."""
    pitch, quads, along_y = buffers.pitch, buffers.quads, buffers.weights_y
    down, item, taps = image.stride_y * image.item, image.item, axis_y.taps
    first_y, first_x = ints(buffers.first_y, count), ints(buffers.first_x, count)
    share_y = floats(along_y + pitch, count)
    safe = _planes_stay_inside(image, axis_y, axis_x, buffers, count)
    for c in range(image.channels):
        for tap in range(0, axis_x.taps, 4):
            skip, few = (c * image.stride_c + tap) * item, min(4, axis_x.taps - tap)
            for x in range(count):
                pixel, below = _pixel_at(image, first_y[x], first_x[x], down, item) + skip, down
                quad, weight_y = quads + 16 * x, along_y + 4 * x
                if not safe and taps <= 4:
                    pixel, below = _copy_patch(pixel, down, taps, few, item, buffers.patch)
                if taps == 2:
                    mix_down(quad, pixel, below, share_y[x], sample_value)
                elif taps == 3:
                    weigh_down3(quad, pixel, below, weight_y, pitch, sample_value)
                elif taps == 4:
                    weigh_down4(quad, pixel, below, weight_y, pitch, sample_value)
                else:
                    clear_quads(quad, 1)
                    for ty in range(taps):
                        weight, row = floats(weight_y + ty * pitch, 1)[0], pixel + ty * down
                        if not safe:
                            row, _ = _copy_patch(row, down, 1, few, item, buffers.patch)
                        add_rgb(quad, row, weight, sample_value)
            _weigh_columns(buffers, axis_x.taps, tap, scale, count, rows + c * pitch)


@inlined
def _weigh_columns(buffers, taps, tap, scale, count, rows):
    """Add the quads, which hold up to four of the taps along x from number `tap` on, to a row."""
    columns, scales, row = (
        floats(buffers.quads, 4 * count),
        floats(scale, count),
        floats(rows, count),
    )
    first, step = buffers.weights_x + tap * buffers.pitch, buffers.pitch
    weight0, weight1 = floats(first, count), floats(first + step, count)
    weight2, weight3 = floats(first + 2 * step, count), floats(first + 3 * step, count)
    if taps == 2:
        for x in range(count):
            row[x] = (columns[4 * x] * weight0[x] + columns[4 * x + 1] * weight1[x]) * scales[x]
        return
    if tap == 0:
        for x in range(count):
            row[x] = ZERO
    left = taps - tap
    for x in range(count):
        total = columns[4 * x] * weight0[x]
        if left > 1:
            total += columns[4 * x + 1] * weight1[x]
        if left > 2:
            total += columns[4 * x + 2] * weight2[x]
        if left > 3:
            total += columns[4 * x + 3] * weight3[x]
        row[x] += total * scales[x]


@inlined
def _gather_any(image, sample_value, axis_y, axis_x, buffers, scale, count, rows):
    """Any number of channels and any strides, into the rows."""
    pitch, scales = buffers.pitch, floats(scale, count)
    first_y, first_x = ints(buffers.first_y, count), ints(buffers.first_x, count)
    for c in range(image.channels):
        row = floats(rows + c * pitch, count)
        for x in range(count):
            row[x] = ZERO
        for ty in range(axis_y.taps):
            along_y = floats(buffers.weights_y + ty * pitch, count)
            for tx in range(axis_x.taps):
                along_x = floats(buffers.weights_x + tx * pitch, count)
                shift = ty * image.stride_y + tx * image.stride_x + c * image.stride_c
                for x in range(count):
                    offset = shift + first_y[x] * image.stride_y + first_x[x] * image.stride_x
                    value = values(image.address + offset * image.item, 1, sample_value)[0]
                    row[x] += f32(value) * (along_y[x] * along_x[x])
        for x in range(count):
            row[x] *= scales[x]
