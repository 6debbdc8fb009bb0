"""Any other view: points, taps and weights are worked out for each pixel of a row, which then gathers its
pixels by vector loads.
"""

from __future__ import annotations

import numpy as np

from ...plan.kinds import CONSTANT, EDGE
from .formulas import (
    HALF,
    ONE,
    TWO,
    ZERO,
    apart,
    edge,
    f32,
    first_tap,
    inside,
    jit,
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
from .sample import Axis, border_point, clear_quads, reciprocal_of


@jit
def row_points(m, y, x0, x1, axis_y, axis_x, scratch):
    """Source points of the outputs x0 … x1 − 1 of a row, bordered. m: the matrix's nine entries."""
    count = x1 - x0
    centre = floats(scratch.centres + 4 * x0, count)
    at_x, at_y = floats(scratch.at_x + 4 * x0, count), floats(scratch.at_y + 4 * x0, count)
    mid = f32(y) + HALF
    a, b, c = m[0], m[1], m[2]
    for x in range(count):
        at_x[x] = project(centre[x], mid, a, b, c)
    a, b, c = m[3], m[4], m[5]
    for x in range(count):
        at_y[x] = project(centre[x], mid, a, b, c)
    a, b, c = m[6], m[7], m[8]
    if a != ZERO or b != ZERO or c != ONE:
        for x in range(count):
            w = project(centre[x], mid, a, b, c)
            at_x[x] = seen_from(at_x[x], w)
            at_y[x] = seen_from(at_y[x], w)
    if axis_x.border != CONSTANT:
        for x in range(count):
            at_x[x] = border_point(axis_x, at_x[x])
        for x in range(count):
            at_y[x] = border_point(axis_y, at_y[x])


@jit
def _crossing(first, step, low, high, count):
    """Between which of `count` points, first, first + step, …, lies all that is in [low, high]: with
    two to spare on either side."""
    if abs(step) < f32(1e-3):
        return 0, count
    near, far = (low - first) / step, (high - first) / step
    if near > far:
        near, far = far, near
    near, far = max(near - TWO, ZERO), min(far + f32(3), f32(count))
    return min(int(near), count), max(int(np.ceil(far)), 0)


@jit
def next_run(m, at, x1, axis_y, axis_x, scratch):
    """The next run of points inside the clip, from output `at` on: start, stop; x1, x1 if none.

    An affine row crosses a rectangle in one piece. So does a projective one, but for the rounding
    of points that lie along an edge: those are looked at one by one."""
    at_x, at_y = floats(scratch.at_x, x1), floats(scratch.at_y, x1)
    low_x, low_y, high_x, high_y = axis_x.low, axis_y.low, axis_x.high, axis_y.high
    start, stop = at, x1
    if m[6] == ZERO and m[7] == ZERO and m[8] == ONE and axis_x.border == CONSTANT and x1 - at > 4:
        # Where the row enters and leaves, to within two pixels; only those are then looked at.
        step_x = (at_x[x1 - 1] - at_x[at]) / f32(x1 - 1 - at)
        step_y = (at_y[x1 - 1] - at_y[at]) / f32(x1 - 1 - at)
        left, right = _crossing(at_x[at], step_x, low_x, high_x, x1 - at)
        top, bottom = _crossing(at_y[at], step_y, low_y, high_y, x1 - at)
        start = at + max(left, top)
        stop = max(start, min(at + min(right, bottom), x1))
    while start < x1 and not inside(at_x[start], at_y[start], low_x, low_y, high_x, high_y):
        start += 1
    while stop > start and not inside(at_x[stop - 1], at_y[stop - 1], low_x, low_y, high_x, high_y):
        stop -= 1
    if m[6] != ZERO or m[7] != ZERO or m[8] != ONE:
        within = 0
        for x in range(start, stop):
            within += inside(at_x[x], at_y[x], low_x, low_y, high_x, high_y)
        if within < stop - start:
            stop = start
            while stop < x1 and inside(at_x[stop], at_y[stop], low_x, low_y, high_x, high_y):
                stop += 1
    return start, stop


@jit
def scattered_taps(axis, points, firsts, weights, totals, pitch, count):
    """First taps, weights and the weights' sums along one axis, for `count` points (two taps: shares
    of one, and no sums)."""
    at, first, total = floats(points, count), ints(firsts, count), floats(totals, count)
    support, least, most = axis.support, f32(axis.first), f32(axis.last - axis.taps)
    for x in range(count):
        first[x] = np.int32(edge(first_tap(at[x], support), least, most))
    reciprocal = reciprocal_of(axis)
    if axis.taps == 2 and support == ONE:
        rest, share = floats(weights, count), floats(weights + pitch, count)
        for x in range(count):
            share[x] = second_share(f32(first[x]), at[x])
        for x in range(count):
            rest[x] = ONE - share[x]
    elif axis.taps == 3:
        near, middle, far = (
            floats(weights, count), floats(weights + pitch, count), floats(weights + 2 * pitch, count)
        )  # fmt: skip
        for x in range(count):
            tap = f32(first[x])
            near[x] = tap_weight(tap, at[x], reciprocal)
            middle[x] = tap_weight(tap + ONE, at[x], reciprocal)
            far[x] = tap_weight(tap + TWO, at[x], reciprocal)
            total[x] = near[x] + middle[x] + far[x]
    else:
        for x in range(count):
            total[x] = ZERO
        for t in range(axis.taps):
            row, tap = floats(weights + t * pitch, count), f32(t)
            for x in range(count):
                row[x] = tap_weight(f32(first[x]) + tap, at[x], reciprocal)
            for x in range(count):
                total[x] += row[x]
        if axis.taps == 2:  # two pixels under a wider filter: as shares, which mixing wants
            rest, share = floats(weights, count), floats(weights + pitch, count)
            for x in range(count):
                share[x] /= total[x]
            for x in range(count):
                rest[x] = ONE - share[x]


@jit
def scale_of(axis_y, axis_x, scratch, unit, count):
    """The address of what brings a weighed pixel to [0, 1]: weights of two taps add up to one, and
    others are divided by their sums here, once for both axes."""
    total_y, total_x = floats(scratch.total_y, count), floats(scratch.total_x, count)
    if axis_y.taps == 2 and axis_x.taps == 2:
        return scratch.units
    if axis_y.taps == 2:
        for x in range(count):
            total_x[x] = unit / total_x[x]
    elif axis_x.taps == 2:
        for x in range(count):
            total_x[x] = unit / total_y[x]
    else:
        for x in range(count):
            total_x[x] = unit / (total_x[x] * total_y[x])
    return scratch.total_x


@jit
def alike(axis, other):
    """The axis with as many taps as the other needs, where its clip has room: more taps weigh
    nothing (but of the nearest), and a square patch has a vector load of its own."""
    taps = axis.taps
    if taps < other.taps and other.taps <= axis.last - axis.first and axis.support > ZERO:
        taps = other.taps
    return Axis(axis.low, axis.high, axis.first, axis.last, axis.support, taps, axis.border)


@apart
def gather_rgb(image, like, axis_y, axis_x, scratch, count):
    """RGB, pixel after pixel, into quads by vector loads. Those reach a little over the pixels they
    want; on a row where that could pass the end of the memory, they are made from a copy."""
    pitch, quads = scratch.pitch, scratch.quads
    down, right = image.stride_y * image.item, 3 * image.item
    first_y, first_x = ints(scratch.first_y, count), ints(scratch.first_x, count)
    along_y, along_x = scratch.share_y, scratch.share_x
    taps = axis_y.taps if axis_y.taps == axis_x.taps else 0
    safe = _stays_inside(image, axis_y, axis_x, first_y, first_x, count)
    if safe and taps == 2:
        share_y, share_x = floats(along_y + pitch, count), floats(along_x + pitch, count)
        places = values(scratch.total_x, count, np.int64(0))
        for x in range(count):
            places[x] = image.address + np.int64(first_y[x]) * down + np.int64(first_x[x]) * right
        for x in range(0, count - 1, 2):
            bilinear_two(
                quads + 16 * x, scratch.total_x + 8 * x, down, along_x + pitch + 4 * x,
                along_y + pitch + 4 * x, like,
            )  # fmt: skip
        if count % 2:
            x = count - 1
            at = places[x]
            bilinear_rgb(quads + 16 * x, at, at + down, share_x[x], share_y[x], like)
    elif safe and taps == 3:
        for x in range(count):
            at = image.address + np.int64(first_y[x]) * down + np.int64(first_x[x]) * right
            patch3_rgb(quads + 16 * x, at, down, along_y + 4 * x, along_x + 4 * x, pitch, like)
    elif safe and taps == 4:
        for x in range(count):
            at = image.address + np.int64(first_y[x]) * down + np.int64(first_x[x]) * right
            patch4_rgb(quads + 16 * x, at, down, along_y + 4 * x, along_x + 4 * x, pitch, like)
    else:
        _gather_each(image, like, axis_y, axis_x, scratch, safe, count)


@apart
def _gather_each(image, like, axis_y, axis_x, scratch, safe, count):
    """`gather_rgb` with a look at every pixel: for wider filters, and at the end of the memory."""
    pitch, quads = scratch.pitch, scratch.quads
    down, right = image.stride_y * image.item, 3 * image.item
    first_y, first_x = ints(scratch.first_y, count), ints(scratch.first_x, count)
    along_y, along_x = scratch.share_y, scratch.share_x
    taps = axis_y.taps if axis_y.taps == axis_x.taps else 0
    for x in range(count):
        at, step = (
            image.address + np.int64(first_y[x]) * down + np.int64(first_x[x]) * right,
            down,
        )
        if not safe:
            at, step = _copy_patch(
                at, down, axis_y.taps, 3 * axis_x.taps, image.item, scratch.patch
            )
        to, weight_y, weight_x = quads + 16 * x, along_y + 4 * x, along_x + 4 * x
        if taps == 2:
            share_y, share_x = floats(weight_y + pitch, 1), floats(weight_x + pitch, 1)
            bilinear_rgb(to, at, at + step, share_x[0], share_y[0], like)
        elif taps == 3:
            patch3_rgb(to, at, step, weight_y, weight_x, pitch, like)
        elif taps == 4:
            patch4_rgb(to, at, step, weight_y, weight_x, pitch, like)
        elif taps == 5:
            patch5_rgb(to, at, step, weight_y, weight_x, pitch, like)
        elif taps == 6:
            patch6_rgb(to, at, step, weight_y, weight_x, pitch, like)
        elif taps == 7:
            patch7_rgb(to, at, step, weight_y, weight_x, pitch, like)
        elif taps == 8:
            patch8_rgb(to, at, step, weight_y, weight_x, pitch, like)
        else:
            _gather_wide(
                to, at, step, weight_y, weight_x, axis_y.taps, axis_x.taps, image.item, scratch, like
            )  # fmt: skip


@jit
def _gather_wide(to, at, step, weight_y, weight_x, taps_y, taps_x, item, scratch, like):
    """One pixel under any filter: its rows into one line, sixteen values at a time, and that line
    along x."""
    line, length = scratch.line, 3 * taps_x
    for i in range(0, length, 16):
        out = floats(line + 4 * i, 16)
        for j in range(16):
            out[j] = ZERO
    for ty in range(taps_y):
        weight = floats(weight_y + ty * scratch.pitch, 1)[0]
        for i in range(0, length, 16):
            add_sixteen(line + 4 * i, at + ty * step + i * item, weight, like)
    clear_quads(to, 1)
    for tx in range(taps_x):
        add_rgb(to, line + 12 * tx, floats(weight_x + tx * scratch.pitch, 1)[0], ZERO)


@jit
def _stays_inside(image, axis_y, axis_x, first_y, first_x, count):
    """Whether vector loads for a whole row of points stay within the memory. Along a row points go
    one way, unless a border folds them: its ends are its extremes."""
    if axis_x.border == CONSTANT or axis_x.border == EDGE:
        y, x = max(first_y[0], first_y[count - 1]), max(first_x[0], first_x[count - 1])
    else:
        y, x = axis_y.last - axis_y.taps, axis_x.last - axis_x.taps
    reach = patch_reach(axis_x.taps)
    furthest = (np.int64(y) + axis_y.taps - 1) * image.stride_y + 3 * np.int64(x) + reach
    return image.address + furthest * image.item <= image.limit


@jit
def _copy_patch(at, down, lines, length, item, to):
    """A few pixels to where there is room behind them. Returns where, and how far apart lines are."""
    step = (length + 32) * item
    for y in range(lines):
        source = values(at + y * down, length * item, np.uint8(0))
        out = values(to + y * step, length * item, np.uint8(0))
        for i in range(length * item):
            out[i] = source[i]
    return to, step


@apart
def gather_any(image, like, axis_y, axis_x, scratch, scale, count, rows):
    """Any number of channels and any strides, into the rows."""
    pitch, scales = scratch.pitch, floats(scale, count)
    first_y, first_x = ints(scratch.first_y, count), ints(scratch.first_x, count)
    for c in range(image.channels):
        row = floats(rows + c * pitch, count)
        for x in range(count):
            row[x] = ZERO
        for ty in range(axis_y.taps):
            along_y = floats(scratch.share_y + ty * pitch, count)
            for tx in range(axis_x.taps):
                along_x = floats(scratch.share_x + tx * pitch, count)
                shift = ty * image.stride_y + tx * image.stride_x + c * image.stride_c
                for x in range(count):
                    offset = shift + first_y[x] * image.stride_y + first_x[x] * image.stride_x
                    value = values(image.address + offset * image.item, 1, like)[0]
                    row[x] += f32(value) * (along_y[x] * along_x[x])
        for x in range(count):
            row[x] *= scales[x]
