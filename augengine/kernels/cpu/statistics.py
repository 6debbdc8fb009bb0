"""Means, ranges and histograms of view windows, in numba: what `statistics` asks a CPU to measure.

A window is measured in the cheapest of three ways: bytes as they lie; what each of the 256 bytes becomes,
if the steps before take each channel by itself; or row by row, through the steps before.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ...plan.kinds import ADD_BELOW, CURVE, GAINS, GREY, HISTOGRAM, MATRIX, MEAN, NONE, RANGE, TONE
from ..statistics import Measured, completed, window_pixels
from .colour import Steps, apply_step, argument_of, kind_of, mixes_channels
from .curves import set_entries
from .formulas import curve_entry, f32, inlined, not_inlined
from .memory import (
    _to_pointer,
    address_of,
    floats,
    ints,
    keep,
    rgb_rows,
    unpack_forwards,
    values,
)

RED, GREEN, BLUE = (f32(weight) for weight in GREY)
# The pixels that are measured: the address of the first; bytes from row to row and from channel to
# channel, values from pixel to pixel; how many rows and columns.
Window = namedtuple("Window", "address stride_y stride_c stride_x height width")
# By address: a row of floats for each channel, four rows or more of scratch, the bytes from row to row.
Rows = namedtuple("Rows", "address scratch pitch")


def measured(plan, sample_value, to_unit, images, spread):
    """The plan with its statistics completed.

    sample_value, to_unit, images: as `draw` takes them. spread: as the executor's.
    """
    channels = plan.finish.channels

    def measure(steps, views, step):
        n = len(views)
        limits, counts = np.zeros((n, channels, 2)), np.zeros((n, channels, 256))
        measured = Measured(np.zeros(n), limits, counts)
        windows = window_pixels(plan.window[views, step])
        arguments = (
            sample_value, sample_value.itemsize, to_unit, images, plan.source, *steps,
            views, windows, step, plan.statistic[views, step], channels, *measured,
        )  # fmt: skip
        spread(lambda begin, end: _measure(begin, end, *arguments), n)
        return measured

    return completed(plan, measure, byte=sample_value.itemsize == 1)


@njit(nogil=True, error_model="numpy")
def _measure(
    begin, end, sample_value, item, to_unit, images, source, step_kind, step_arg, curves,
    views, windows, step, which, channels, mean, limits, counts,
):  # fmt: skip
    """mean [n], limits [n, C, 2] or counts [n, C, 256] ← the statistic `which` [n] that each of the
    `views` [n] wants, of its window after its steps before `step`.

    windows: [n, 4] int32, y0, x0, y1, x1 in whole pixels.
    """
    steps = Steps(
        address_of(step_kind), address_of(step_arg), step_kind.shape[1], address_of(curves), item == 1
    )  # fmt: skip
    widest = 256
    for i in range(begin, end):
        widest = max(widest, windows[i, 3] - windows[i, 1])
    memory = np.empty((channels + max(4, channels), widest), np.float32)
    pitch = 4 * widest
    rows = Rows(address_of(memory), address_of(memory) + channels * pitch, pitch)
    sums, byte_counts = np.empty((channels, widest), np.float64), np.empty((channels, 256))
    for i in range(begin, end):
        v, statistic = views[i], which[i]
        image = images[source[v]]
        window = _window_of(image, item, windows[i, 0], windows[i, 1], windows[i, 2], windows[i, 3])
        untouched = separate = item == 1 and _channels_of_line(window, channels) > 0
        for s in range(step):
            untouched = untouched and kind_of(steps, v, s) == NONE
            separate = separate and _keeps_channels_separate(steps, v, s)
        limits[i, :, 0], limits[i, :, 1] = np.inf, -np.inf
        if untouched:
            mean[i] = _measure_bytes(window, statistic, channels, limits[i], counts[i])
        elif separate:
            mean[i] = _measure_by_bytes(
                steps, v, step, window, to_unit, statistic, channels, rows, byte_counts,
                limits[i], counts[i],
            )  # fmt: skip
        else:
            mean[i] = _measure_rows(
                sample_value, item, steps, v, step, window, to_unit, statistic, channels, rows, sums,
                limits[i], counts[i],
            )  # fmt: skip
    keep((memory,))


@inlined
def _window_of(image, item, y0, x0, y1, x1):
    address = image.address + (y0 * image.stride_y + x0 * image.stride_x) * item
    return Window(
        address, image.stride_y * item, image.stride_c * item, image.stride_x, y1 - y0, x1 - x0
    )  # fmt: skip


# Bytes in lines, before any colour step: counted as they lie. A line has all channels, pixel after pixel,
# or is a row of one channel's plane


@inlined
def _channels_of_line(window, channels):
    """How many channels lie in a line; 0 where values have others between them."""
    if window.stride_x == channels and window.stride_c == 1:
        return channels
    return 1 if window.stride_x == 1 else 0


@inlined
def _measure_bytes(window, statistic, channels, limits, counts):
    """limits or counts ← the window's; its mean is returned, and limits[:, 0] ← each channel's."""
    within, total = _channels_of_line(window, channels), 0.0
    for first in range(0, channels, within):
        start = window.address + first * window.stride_c
        if statistic == MEAN:
            total += _sum_bytes(window, start, first, within, channels, limits)
        elif statistic == RANGE:
            _limits_of_bytes(window, start, first, within, limits)
        else:
            _count_bytes(window, start, first, within, counts)
    return total / (255.0 * window.height * window.width)


# Of the next functions: the lines from address `start` on have `within` channels, from `first` on


@not_inlined
def _sum_bytes(window, start, first, within, channels, limits):
    """The sum of what the lines add to the grey; limits[:, 0] ← each channel's mean."""
    count = window.width * within
    sums = np.zeros(count, np.uint32)
    for y in range(window.height):
        row = values(start + y * window.stride_y, count, np.uint8(0))
        for x in range(count):
            sums[x] = np.uint32(sums[x] + np.uint32(row[x]))
    total = 0.0
    for c in range(within):
        weight = 1 / channels if channels != 3 else GREY[first + c]
        part = np.int64(0)
        for x in range(c, count, within):
            part += sums[x]
        total += weight * part
        limits[first + c, 0] = part / (255.0 * window.height * window.width)
    return total


@not_inlined
def _limits_of_bytes(window, start, first, within, limits):
    count = window.width * within
    low, high = np.full(count, 255, np.uint8), np.zeros(count, np.uint8)
    for y in range(window.height):
        row = values(start + y * window.stride_y, count, np.uint8(0))
        for x in range(count):
            low[x] = min(low[x], row[x])
        for x in range(count):
            high[x] = max(high[x], row[x])
    for c in range(within):
        least, most = 1.0, 0.0
        for x in range(c, count, within):
            least, most = min(least, low[x] / 255), max(most, high[x] / 255)
        limits[first + c, 0], limits[first + c, 1] = least, most


@inlined
def _count_bytes(window, start, first, within, counts):
    if within == 3:
        _count_rgb(window, start, counts)
    elif within == 1:
        _count_plane(window, start, first, counts)
    else:
        _count_any(window, start, within, counts)


@not_inlined
def _count_any(window, start, within, counts):
    count = window.width * within
    counts[:] = 0
    for y in range(window.height):
        row = values(start + y * window.stride_y, count, np.uint8(0))
        for c in range(within):
            for x in range(c, count, within):
                counts[c, row[x]] += 1


@not_inlined
def _count_rgb(window, start, counts):
    memory = np.zeros(6 * 256, np.int32)
    tables, count = address_of(memory), 3 * window.width
    for y in range(window.height):
        row = start + y * window.stride_y
        for x in range(0, count - 23, 24):
            first, second, third = _word_at(row + x), _word_at(row + x + 8), _word_at(row + x + 16)
            _count_word(first, 0, 3, tables)
            _count_word(second, 8, 3, tables)
            _count_word(third, 16, 3, tables)
        _count_rest(row, count // 24 * 24, count, 3, tables)
    _add_tables(memory, 0, 3, counts)


@not_inlined
def _count_plane(window, start, first, counts):
    memory = np.zeros(2 * 256, np.int32)
    tables, count = address_of(memory), window.width
    for y in range(window.height):
        row = start + y * window.stride_y
        for x in range(0, count - 7, 8):
            _count_word(_word_at(row + x), 0, 1, tables)
        _count_rest(row, count // 8 * 8, count, 1, tables)
    _add_tables(memory, first, 1, counts)


@intrinsic
def _word_at(typingctx, address):
    """Eight bytes from anywhere, the first of them the lowest."""

    def codegen(context, builder, signature, args):
        return builder.load(_to_pointer(builder, args[0]), align=1, typ=ir.IntType(64))

    return types.uint64(types.int64), codegen


@inlined
def _count_word(word, number, within, tables):
    """Eight bytes at once, since loading them one by one is a third of the work, into two tables a
    channel in turn, since equal neighbours would wait for each other. number: of the first in its line."""
    for k in range(8):
        pixel, c = (number + k) // within, (number + k) % within
        table = ints(tables + 1024 * (pixel % 2 * within + c), 256)
        table[(word >> np.uint64(8 * k)) & np.uint64(255)] += 1


@inlined
def _count_rest(row, begin, count, within, tables):
    rest = values(row, count, np.uint8(0))
    for x in range(begin, count):
        ints(tables + 1024 * (x % within), 256)[rest[x]] += 1


@inlined
def _add_tables(memory, first, within, counts):
    """counts[first …] ← the sums of the two tables of each channel."""
    for c in range(within):
        for k in range(256):
            counts[first + c, k] = memory[256 * c + k] + memory[256 * (within + c) + k]


# After steps that take each channel by itself, a byte always becomes the same value: what 256 of
# them become, and how many there are, tells all


@inlined
def _keeps_channels_separate(steps, v, s):
    kind = kind_of(steps, v, s)
    if kind == MATRIX:
        return not mixes_channels(argument_of(steps, v, s))
    if kind == GAINS:
        return True
    return kind == NONE or kind == TONE or kind == CURVE or kind == ADD_BELOW


@inlined
def _measure_by_bytes(
    steps, v, step, window, to_unit, statistic, channels, rows, byte_counts, limits, counts
):
    """limits or counts ← the window's after the steps of view v before `step`; its mean is returned.

    byte_counts: [C, 256] of scratch.
    """
    height, width = window.height, window.width
    within = _channels_of_line(window, channels)
    for first in range(0, channels, within):
        start = window.address + first * window.stride_c
        _count_bytes(window, start, first, within, byte_counts)
    for c in range(channels):
        line = floats(rows.address + c * rows.pitch, 256)
        for k in range(256):
            line[k] = f32(k) * to_unit
    for s in range(step):
        apply_step(steps, v, s, channels, 0, 256, rows.address, rows.scratch, rows.pitch)
    if statistic == MEAN:
        return _mean_by_bytes(byte_counts, rows, channels, height * width, limits)
    _spread_by_bytes(statistic, byte_counts, rows, channels, limits, counts)
    return 0.0


@inlined
def _mean_by_bytes(byte_counts, rows, channels, count, limits):
    total = 0.0
    for c in range(channels):
        line, part = floats(rows.address + c * rows.pitch, 256), 0.0
        for k in range(256):
            part += byte_counts[c, k] * line[k]
        total += part * (GREY[c] if channels == 3 else 1 / channels)
        limits[c, 0] = part / count
    return total / count


@inlined
def _spread_by_bytes(statistic, byte_counts, rows, channels, limits, counts):
    """limits or counts, from the counts of bytes and what those became, in the rows."""
    for c in range(channels):
        line, entries = floats(rows.address + c * rows.pitch, 256), ints(rows.scratch, 256)
        for k in range(256):
            entries[k] = np.int32(curve_entry(line[k]))
        for k in range(256):
            if byte_counts[c, k] > 0:
                limits[c, 0], limits[c, 1] = min(limits[c, 0], line[k]), max(limits[c, 1], line[k])
                if statistic == HISTOGRAM:
                    counts[c, np.uint32(entries[k])] += byte_counts[c, k]


# Rows of floats, after the steps before


@inlined
def _measure_rows(
    sample_value,
    item,
    steps,
    v,
    step,
    window,
    to_unit,
    statistic,
    channels,
    rows,
    sums,
    limits,
    counts,
):
    """limits or counts ← the window's after the steps of view v before `step`; its mean is returned.

    sums: [C, width or more] of scratch, for the sums of columns.
    """
    pitch, width = rows.pitch, window.width
    sums[:] = 0
    for y in range(window.height):
        _load_row(window, y, sample_value, item, to_unit, channels, rows)
        for s in range(step):
            apply_step(steps, v, s, channels, y * width, width, rows.address, rows.scratch, pitch)
        if statistic == MEAN and channels == 3:
            _add_grey(rows, sums[0], width)
            continue
        for c in range(channels):
            row = rows.address + c * pitch
            if statistic == MEAN:
                _add_row(row, sums[c], width)
            elif statistic == HISTOGRAM:
                _count_row(row, counts[c], steps.bytes, rows.scratch, width)
            else:
                low, high = _limits_of_row(row, width)
                limits[c, 0], limits[c, 1] = min(limits[c, 0], low), max(limits[c, 1], high)
    if statistic == MEAN:
        return _mean_of_sums(sums, width, channels, window.height, limits)
    return 0.0


@inlined
def _mean_of_sums(sums, width, channels, height, limits):
    """Of all values, and limits[:, 0] ← of each channel; of RGB the greys alone. sums: [C, width or more]
    of the columns."""
    total = 0.0
    for c in range(1 if channels == 3 else channels):
        part = 0.0
        for x in range(width):
            part += sums[c, x]
        limits[c, 0] = part / (height * width)
        total += limits[c, 0] if channels == 3 else limits[c, 0] / channels
    return total


@not_inlined
def _add_grey(rows, sums, width):
    red, green, blue = rgb_rows(rows.address, rows.pitch, width)
    for x in range(width):
        sums[x] += RED * red[x] + GREEN * green[x] + BLUE * blue[x]


@not_inlined
def _add_row(row, sums, width):
    line = floats(row, width)
    for x in range(width):
        sums[x] += line[x]


@not_inlined
def _count_row(row, counts, of_bytes, scratch, width):
    line, entries = floats(row, width), ints(scratch, width)
    set_entries(line, entries, of_bytes, width)
    for x in range(width):
        counts[np.uint32(entries[x])] += 1


@not_inlined
def _limits_of_row(row, width):
    line = floats(row, width)
    low, high = f32(np.inf), f32(-np.inf)
    for x in range(width):
        low, high = min(low, line[x]), max(high, line[x])
    return low, high


@inlined
def _load_row(window, y, sample_value, item, to_unit, channels, rows):
    """A row of source pixels, scaled to [0, 1], into a row for each channel; of packed RGB sixteen at a
    time."""
    start, whole = window.address + y * window.stride_y, 0
    if channels == 3 and window.stride_x == 3 and window.stride_c == item:
        whole = window.width // 16 * 16
    red, green, blue = rows.address, rows.address + rows.pitch, rows.address + 2 * rows.pitch
    for x in range(0, whole, 16):
        unpack_forwards(
            start + 3 * x * item, red + 4 * x, green + 4 * x, blue + 4 * x, to_unit, sample_value
        )
    if whole < window.width:
        for c in range(channels):
            rest = start + c * window.stride_c + whole * window.stride_x * item
            row = rows.address + c * rows.pitch + 4 * whole
            _load(rest, window.stride_x, sample_value, window.width - whole, to_unit, row)


@inlined
def _load(address, step, sample_value, width, to_unit, row):
    """One channel of a row of source pixels, scaled to [0, 1]."""
    source, out = values(address, (width - 1) * step + 1, sample_value), floats(row, width)
    if step == 1:
        for x in range(width):
            out[x] = f32(source[x]) * to_unit
    else:
        for x in range(width):
            out[x] = f32(source[x * step]) * to_unit
