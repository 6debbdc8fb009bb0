"""Sampling a row of a view, in numba, into float32 rows of values in [0, 1], one for each channel.

Two paths. An axis-aligned view (crop, resize, flip) blends whole source rows, contiguous memory,
and takes its taps along x from that one row; which taps and weights is worked out once a view
(`prepare_columns`, `blend_rows`, `take_columns`). Any other view works them out for each pixel
(`row_points`, `scattered_taps`, then `gather_rgb` or `gather_any`).

Both cut the taps to the clip by shifting the first tap, so that no load is out of bounds and no
loop needs a check; weights come from the taps' true places, so shifted ones weigh nothing.

Scratch is named by address (see `memory`): arrays would be counted at each slice, which costs more
than the short loops over them.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..plan import CONSTANT, EDGE, REFLECT
from .cpu_names import (
    HALF,
    ONE,
    TWO,
    ZERO,
    apart,
    edge,
    f32,
    first_tap,
    fold,
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
    mix_eight,
    mix_floats,
    patch3_rgb,
    patch4_rgb,
    patch5_rgb,
    patch6_rgb,
    patch7_rgb,
    patch8_rgb,
    patch_reach,
    split_eight,
    strip3_floats,
    strip4_floats,
    unpack_backwards,
    unpack_forwards,
    values,
)

# One source image: where it lies, values between neighbours along y, x and channel, where readable
# memory ends, the bytes of a value, and what brings a value to [0, 1].
Image = namedtuple("Image", "address stride_y stride_x stride_c limit item unit channels")
# One axis of a view's clip: its limits as points and as pixels, the filter's half-width, the border.
Axis = namedtuple("Axis", "low high first last support taps border")
# Scratch, by address; rows lie `pitch` bytes apart.
Scratch = namedtuple(
    "Scratch",
    "pitch centres units at_x at_y first_x first_y total_x total_y share_x share_y quads line patch",
)


@jit
def axis_of(low, high, support, border):
    """The facts of one axis. Taps: as many as can weigh anything, and no more than are pixels."""
    first, last = int(np.floor(low)), int(np.ceil(high))
    taps = max(1, min(int(np.ceil(TWO * support)), last - first))
    return Axis(low, high, first, last, support, taps, border)


@jit
def first_of(axis, at):
    return max(axis.first, min(int(first_tap(at, axis.support)), axis.last - axis.taps))


@jit
def reciprocal_of(axis):
    return ONE / axis.support if axis.support > ZERO else ZERO


@jit
def border_point(axis, at):
    """Where a border mode looks instead of `at`."""
    if axis.border == CONSTANT:
        return at
    if axis.border == EDGE:
        return edge(at, axis.low, axis.high)
    if axis.border == REFLECT:  # about the centres of the outermost pixels
        return fold(at, axis.low + HALF, axis.high - HALF)
    return fold(at, axis.low, axis.high)


# Axis-aligned views


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
            _clear_quads(scratch.quads, count)
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
def split_quads(scratch, count, scale, rows):
    """Quads, each times its number at `scale`, into three rows."""
    green, blue = rows + scratch.pitch, rows + 2 * scratch.pitch
    for x in range(0, count - 7, 8):
        to = 4 * x
        split_eight(scratch.quads + 4 * to, rows + to, green + to, blue + to, scale + to)
    packed, scales = floats(scratch.quads, 4 * count), floats(scale, count)
    for x in range(count // 8 * 8, count):
        for c in range(3):
            floats(rows + c * scratch.pitch, count)[x] = packed[4 * x + c] * scales[x]


@jit
def _clear_quads(quads, count):
    out = floats(quads, 4 * count)
    for i in range(4 * count):
        out[i] = ZERO


# Axis-aligned views that move by whole pixels, mirrored or not


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


# Any other view


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
    _clear_quads(to, 1)
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
def pack_rgb(image, like, y0, x0, y1, x1, to):
    """Copy a piece of an RGB image of any strides to `to`, pixel after pixel."""
    width = x1 - x0
    for y in range(y0, y1):
        row = image.address + (y * image.stride_y + x0 * image.stride_x) * image.item
        length = (width - 1) * image.stride_x + 1
        red = values(row, length, like)
        green = values(row + image.stride_c * image.item, length, like)
        blue = values(row + 2 * image.stride_c * image.item, length, like)
        out = values(to + (y - y0) * width * 3 * image.item, 3 * width, like)
        if image.stride_x == 1:
            for x in range(width):
                out[3 * x] = red[x]
                out[3 * x + 1] = green[x]
                out[3 * x + 2] = blue[x]
        else:
            for x in range(width):
                out[3 * x] = red[x * image.stride_x]
                out[3 * x + 1] = green[x * image.stride_x]
                out[3 * x + 2] = blue[x * image.stride_x]


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
