"""Means, ranges and histograms of view windows, in numba: what `statistics` asks a CPU to measure."""

from __future__ import annotations

import numpy as np
from numba import njit

from ...plan.kinds import CURVE, GREY, HISTOGRAM, MATRIX, MEAN, NONE, RANGE, TONE
from ..statistics import Measured, completed
from .colour import apply_step
from .formulas import ZERO, apart, curve_entry, f32, jit
from .memory import address_of, floats, ints, keep, values


def measured(plan, pixels, spread):
    """The plan with its statistics completed. pixels: what `draw` knows of the sources."""
    channels = plan.finish.channels

    def measure(steps, views, step):
        n = len(views)
        mean, limits = np.zeros(n), np.zeros((n, channels, 2))
        counts = np.zeros((n, channels, 256))
        which, windows = plan.statistic[views, step], plan.window[views, step]
        fields = (plan.source, *steps, views, windows, step, which, channels)
        spread(lambda begin, end: _measure(begin, end, *pixels, *fields, mean, limits, counts), n)
        return Measured(mean, limits, counts)

    return completed(plan, measure, byte=pixels[1] == 1)


@njit(nogil=True, error_model="numpy", cache=True)
def _measure(
    begin, end,
    like, item, rows_columns, address, stride, limit, unit,
    source, step_kind, step_arg, curves,
    views, windows, step, which, channels, mean, limits, counts,
):  # fmt: skip
    """mean [n], limits [n, C, 2] or counts [n, C, 256] ← the statistic that each view wants, of its
    window after its steps before `step`."""
    widest = 1
    for i in range(begin, end):
        x0, x1 = int(np.floor(windows[i, 1])), int(np.ceil(windows[i, 3]))
        widest = max(widest, x1 - x0)
    widest = max(widest, 256)
    memory = np.empty((channels + max(4, channels), widest), np.float32)
    sums, numbers = np.empty((channels, widest), np.float64), np.empty((channels, 256), np.float64)
    pitch = 4 * widest
    rows, arguments, curve_address = (
        address_of(memory), address_of(step_arg), address_of(curves)
    )  # fmt: skip
    spare, steps = rows + channels * pitch, step_kind.shape[1]
    for i in range(begin, end):
        v, statistic = views[i], which[i]
        b = source[v]
        y0, x0 = int(np.floor(windows[i, 0])), int(np.floor(windows[i, 1]))
        y1 = max(int(np.ceil(windows[i, 2])), y0 + 1)
        width = max(int(np.ceil(windows[i, 3])), x0 + 1) - x0
        packed = item == 1 and stride[b, 1] == channels and stride[b, 2] == 1
        plain, apart_ = packed, packed
        for s in range(step):
            arg = floats(arguments + 48 * (v * steps + s), 12)
            plain = plain and step_kind[v, s] == NONE
            apart_ = apart_ and _keeps_channels_apart(step_kind[v, s], arg)
        if plain:
            # Bytes, pixel after pixel, before any colour step: counted as they lie.
            start = address[b] + y0 * stride[b, 0] + x0 * channels
            if statistic == MEAN:
                mean[i] = _mean_of_bytes(start, stride[b, 0], y1 - y0, width, channels)
            elif statistic == RANGE:
                _limits_of_bytes(start, stride[b, 0], y1 - y0, width, channels, limits[i])
            else:
                _count_bytes(start, stride[b, 0], y1 - y0, width, channels, counts[i])
            continue
        limits[i, :, 0], limits[i, :, 1] = np.inf, -np.inf
        if apart_:
            start = address[b] + y0 * stride[b, 0] + x0 * channels
            _count_bytes(start, stride[b, 0], y1 - y0, width, channels, numbers)
            for c in range(channels):
                line = floats(rows + c * pitch, 256)
                for k in range(256):
                    line[k] = f32(k) * unit
            for s in range(step):
                if step_kind[v, s] != NONE:
                    apply_step(
                        step_kind[v, s], floats(arguments + 48 * (v * steps + s), 12),
                        curve_address, channels, 0, 256, rows, spare, pitch,
                    )  # fmt: skip
            if statistic == MEAN:
                mean[i] = _mean_by_bytes(numbers, rows, pitch, channels, (y1 - y0) * width)
            else:
                _measure_by_bytes(
                    statistic, numbers, rows, pitch, spare, channels, limits[i], counts[i]
                )
            continue
        sums[:] = 0
        for y in range(y0, y1):
            start = address[b] + (y * stride[b, 0] + x0 * stride[b, 1]) * item
            for c in range(channels):
                _load(
                    start + c * stride[b, 2] * item, stride[b, 1], like, width, unit,
                    rows + c * pitch,
                )  # fmt: skip
            for s in range(step):
                if step_kind[v, s] != NONE:
                    apply_step(
                        step_kind[v, s], floats(arguments + 48 * (v * steps + s), 12),
                        curve_address, channels, (y - y0) * width, width, rows, spare, pitch,
                    )  # fmt: skip
            for c in range(channels):
                if statistic == MEAN:
                    _add_row(rows + c * pitch, sums[c], width)
                elif statistic == HISTOGRAM:
                    _count_row(rows + c * pitch, counts[i, c], spare, width)
                else:
                    low, high = _limits_of_row(rows + c * pitch, width)
                    limits[i, c, 0] = min(limits[i, c, 0], low)
                    limits[i, c, 1] = max(limits[i, c, 1], high)
        if statistic == MEAN:
            mean[i] = _mean(sums, width, channels, y1 - y0)
    keep((memory,))


@jit
def _mean(sums, width, channels, height):
    """Of the grey (RGB), or of all values; sums: [C, width or more] of the columns."""
    total = 0.0
    for c in range(channels):
        weight = 1 / channels if channels != 3 else GREY[c]
        part = 0.0
        for x in range(width):
            part += sums[c, x]
        total += weight * part
    return total / (height * width)


# Packed bytes, before any colour step: counted as they lie


@apart
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


@apart
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


@apart
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


@apart
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


@jit
def _keeps_channels_apart(kind, arg):
    if kind == MATRIX:
        return (
            arg[1] == ZERO and arg[2] == ZERO and arg[4] == ZERO
            and arg[6] == ZERO and arg[8] == ZERO and arg[9] == ZERO
        )  # fmt: skip
    return kind == NONE or kind == TONE or kind == CURVE


@jit
def _mean_by_bytes(numbers, rows, pitch, channels, count):
    total = 0.0
    for c in range(channels):
        line, part = floats(rows + c * pitch, 256), 0.0
        for k in range(256):
            part += numbers[c, k] * line[k]
        total += part * (GREY[c] if channels == 3 else 1 / channels)
    return total / count


@jit
def _measure_by_bytes(statistic, numbers, rows, pitch, spare, channels, limits, counts):
    """limits or counts, from the counts of bytes `numbers` [C, 256] and what those became, in `rows`."""
    for c in range(channels):
        line, entries = floats(rows + c * pitch, 256), ints(spare, 256)
        for k in range(256):
            entries[k] = np.int32(curve_entry(line[k]))
        for k in range(256):
            if numbers[c, k] > 0:
                limits[c, 0], limits[c, 1] = min(limits[c, 0], line[k]), max(limits[c, 1], line[k])
                if statistic == HISTOGRAM:
                    counts[c, np.uint32(entries[k])] += numbers[c, k]


# Rows of floats, after the steps before


@apart
def _add_row(row, sums, width):
    line = floats(row, width)
    for x in range(width):
        sums[x] += line[x]


@apart
def _count_row(row, counts, spare, width):
    line, entries = floats(row, width), ints(spare, width)
    for x in range(width):
        entries[x] = np.int32(curve_entry(line[x]))
    for x in range(width):
        counts[np.uint32(entries[x])] += 1


@apart
def _limits_of_row(row, width):
    line = floats(row, width)
    low, high = f32(np.inf), f32(-np.inf)
    for x in range(width):
        low, high = min(low, line[x]), max(high, line[x])
    return low, high


@jit
def _load(address, step, like, width, unit, row):
    """One channel of a row of source pixels, scaled to [0, 1]."""
    source, out = values(address, (width - 1) * step + 1, like), floats(row, width)
    for x in range(width):
        out[x] = f32(source[x * step]) * unit
