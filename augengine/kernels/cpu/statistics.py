"""Means, ranges and histograms of view windows, in numba: what `statistics` asks a CPU to measure.

A window is measured in the cheapest of three ways: bytes as they lie; what each of the 256 bytes becomes,
if the steps before take each channel by itself; or row by row, through the steps before.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from ...plan.kinds import CURVE, GREY, HISTOGRAM, MATRIX, MEAN, NONE, RANGE, TONE
from ..statistics import Measured, completed, window_pixels
from .colour import Steps, apply_step, argument_of, kind_of, mixes_channels
from .formulas import curve_entry, f32, inlined, not_inlined
from .memory import address_of, floats, ints, keep, values

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
        address_of(step_kind), address_of(step_arg), step_kind.shape[1], address_of(curves)
    )
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
        untouched = separate = item == 1 and image.stride_x == channels and image.stride_c == 1
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
                sample_value, steps, v, step, window, to_unit, statistic, channels, rows, sums,
                limits[i], counts[i],
            )  # fmt: skip
    keep((memory,))


@inlined
def _window_of(image, item, y0, x0, y1, x1):
    address = image.address + (y0 * image.stride_y + x0 * image.stride_x) * item
    return Window(
        address, image.stride_y * item, image.stride_c * item, image.stride_x, y1 - y0, x1 - x0
    )  # fmt: skip


# Packed bytes, before any colour step: counted as they lie


@inlined
def _measure_bytes(window, statistic, channels, limits, counts):
    """limits or counts ← the window's; its mean is returned."""
    start, stride_y, height, width = (
        window.address, window.stride_y, window.height, window.width,
    )  # fmt: skip
    if statistic == MEAN:
        return _mean_of_bytes(start, stride_y, height, width, channels)
    if statistic == RANGE:
        _limits_of_bytes(start, stride_y, height, width, channels, limits)
    else:
        _count_bytes(start, stride_y, height, width, channels, counts)
    return 0.0


@not_inlined
def _mean_of_bytes(start, stride_y, height, width, channels):
    count = width * channels
    sums = np.zeros(count, np.uint32)
    for y in range(height):
        row = values(start + y * stride_y, count, np.uint8(0))
        for x in range(count):
            sums[x] = np.uint32(sums[x] + np.uint32(row[x]))
    total = 0.0
    for c in range(channels):
        weight = 1 / channels if channels != 3 else GREY[c]
        part = np.int64(0)
        for x in range(c, count, channels):
            part += sums[x]
        total += weight * part
    return total / (255.0 * height * width)


@not_inlined
def _limits_of_bytes(start, stride_y, height, width, channels, limits):
    count = width * channels
    low, high = np.full(count, 255, np.uint8), np.zeros(count, np.uint8)
    for y in range(height):
        row = values(start + y * stride_y, count, np.uint8(0))
        for x in range(count):
            low[x] = min(low[x], row[x])
        for x in range(count):
            high[x] = max(high[x], row[x])
    for c in range(channels):
        limits[c, 0], limits[c, 1] = 1.0, 0.0
        for x in range(c, count, channels):
            limits[c, 0] = min(limits[c, 0], low[x] / 255)
            limits[c, 1] = max(limits[c, 1], high[x] / 255)


@not_inlined
def _count_bytes(start, stride_y, height, width, channels, counts):
    if channels == 3:
        _count_rgb(start, stride_y, height, width, counts)
        return
    count = width * channels
    counts[:] = 0
    for y in range(height):
        row = values(start + y * stride_y, count, np.uint8(0))
        for c in range(channels):
            for x in range(c, count, channels):
                counts[c, row[x]] += 1


@not_inlined
def _count_rgb(start, stride_y, height, width, counts):
    # Two tables a channel, since equal neighbours would wait for each other.
    memory = np.zeros(6 * 256, np.int32)
    at = address_of(memory)
    red, green, blue = ints(at, 256), ints(at + 1024, 256), ints(at + 2048, 256)
    red2, green2, blue2 = ints(at + 3072, 256), ints(at + 4096, 256), ints(at + 5120, 256)
    count = 3 * width
    for y in range(height):
        row = values(start + y * stride_y, count, np.uint8(0))
        for x in range(0, count - 3, 6):
            red[row[x]] += 1
            green[row[x + 1]] += 1
            blue[row[x + 2]] += 1
            red2[row[x + 3]] += 1
            green2[row[x + 4]] += 1
            blue2[row[x + 5]] += 1
        if width % 2:
            red[row[count - 3]] += 1
            green[row[count - 2]] += 1
            blue[row[count - 1]] += 1
    for k in range(256):
        counts[0, k] = red[k] + red2[k]
        counts[1, k] = green[k] + green2[k]
        counts[2, k] = blue[k] + blue2[k]
    keep((memory,))


# After steps that take each channel by itself, a byte always becomes the same value: what 256 of
# them become, and how many there are, tells all


@inlined
def _keeps_channels_separate(steps, v, s):
    kind = kind_of(steps, v, s)
    if kind == MATRIX:
        return not mixes_channels(argument_of(steps, v, s))
    return kind == NONE or kind == TONE or kind == CURVE


@inlined
def _measure_by_bytes(
    steps, v, step, window, to_unit, statistic, channels, rows, byte_counts, limits, counts
):
    """limits or counts ← the window's after the steps of view v before `step`; its mean is returned.

    byte_counts: [C, 256] of scratch.
    """
    height, width = window.height, window.width
    _count_bytes(window.address, window.stride_y, height, width, channels, byte_counts)
    for c in range(channels):
        line = floats(rows.address + c * rows.pitch, 256)
        for k in range(256):
            line[k] = f32(k) * to_unit
    for s in range(step):
        apply_step(steps, v, s, channels, 0, 256, rows.address, rows.scratch, rows.pitch)
    if statistic == MEAN:
        return _mean_by_bytes(byte_counts, rows, channels, height * width)
    _spread_by_bytes(statistic, byte_counts, rows, channels, limits, counts)
    return 0.0


@inlined
def _mean_by_bytes(byte_counts, rows, channels, count):
    total = 0.0
    for c in range(channels):
        line, part = floats(rows.address + c * rows.pitch, 256), 0.0
        for k in range(256):
            part += byte_counts[c, k] * line[k]
        total += part * (GREY[c] if channels == 3 else 1 / channels)
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
    sample_value, steps, v, step, window, to_unit, statistic, channels, rows, sums, limits, counts
):
    """limits or counts ← the window's after the steps of view v before `step`; its mean is returned.

    sums: [C, width or more] of scratch, for the sums of columns.
    """
    pitch, width = rows.pitch, window.width
    sums[:] = 0
    for y in range(window.height):
        for c in range(channels):
            start = window.address + y * window.stride_y + c * window.stride_c
            _load(start, window.stride_x, sample_value, width, to_unit, rows.address + c * pitch)
        for s in range(step):
            apply_step(steps, v, s, channels, y * width, width, rows.address, rows.scratch, pitch)
        for c in range(channels):
            row = rows.address + c * pitch
            if statistic == MEAN:
                _add_row(row, sums[c], width)
            elif statistic == HISTOGRAM:
                _count_row(row, counts[c], rows.scratch, width)
            else:
                low, high = _limits_of_row(row, width)
                limits[c, 0], limits[c, 1] = min(limits[c, 0], low), max(limits[c, 1], high)
    return _mean_of_sums(sums, width, channels, window.height) if statistic == MEAN else 0.0


@inlined
def _mean_of_sums(sums, width, channels, height):
    """Of the grey (RGB), or of all values; sums: [C, width or more] of the columns."""
    total = 0.0
    for c in range(channels):
        weight = 1 / channels if channels != 3 else GREY[c]
        part = 0.0
        for x in range(width):
            part += sums[c, x]
        total += weight * part
    return total / (height * width)


@not_inlined
def _add_row(row, sums, width):
    line = floats(row, width)
    for x in range(width):
        sums[x] += line[x]


@not_inlined
def _count_row(row, counts, scratch, width):
    line, entries = floats(row, width), ints(scratch, width)
    for x in range(width):
        entries[x] = np.int32(curve_entry(line[x]))
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
def _load(address, step, sample_value, width, to_unit, row):
    """One channel of a row of source pixels, scaled to [0, 1]."""
    source, out = values(address, (width - 1) * step + 1, sample_value), floats(row, width)
    for x in range(width):
        out[x] = f32(source[x * step]) * to_unit
