"""Means, ranges and histograms of view windows, in numba: what `statistics` asks a CPU to measure."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..plan import GREY, HISTOGRAM, MEAN, NONE, RANGE
from .cpu_colour import apply_step
from .cpu_names import curve_entry, f32, jit
from .memory import floats, keep, values
from .statistics import completed

_RED, _GREEN, _BLUE = (f32(weight) for weight in GREY)


def measured(plan, pixels, spread):
    """The plan with its statistics completed. pixels: what `draw` knows of the sources."""

    def measure(plan, views, step, statistic):
        channels = plan.finish.channels
        if statistic == MEAN:
            out = np.zeros((len(views), 1, 1), np.float64)
        else:
            out = np.zeros((len(views), channels, 256 if statistic == HISTOGRAM else 2), np.float64)
        windows = plan.window[views, step]
        fields = (plan.source, plan.step_kind, plan.step_arg, plan.curves)
        spread(
            lambda begin, end: _measure(
                begin, end, *pixels, *fields, views, windows, step, statistic, channels, out
            ),
            len(views),
        )
        return out[:, 0, 0] if statistic == MEAN else out

    return completed(plan, measure)


@njit(nogil=True, error_model="numpy", cache=True)
def _measure(
    begin, end,
    like, item, rows_columns, address, stride, limit, unit,
    source, step_kind, step_arg, curves,
    views, windows, step, statistic, channels, out,
):  # fmt: skip
    """out [n, C, bins] ← the statistic of the views' windows after their steps before `step`."""
    widest = 1
    for i in range(begin, end):
        x0, x1 = int(math.floor(windows[i, 1])), int(math.ceil(windows[i, 3]))
        widest = max(widest, x1 - x0)
    memory = np.empty((channels + max(4, channels), widest), np.float32)
    pitch = 4 * widest
    rows, arguments = memory.ctypes.data, step_arg.ctypes.data
    spare, steps = rows + channels * pitch, step_kind.shape[1]
    for i in range(begin, end):
        v = views[i]
        b = source[v]
        y0, x0 = int(math.floor(windows[i, 0])), int(math.floor(windows[i, 1]))
        y1 = max(int(math.ceil(windows[i, 2])), y0 + 1)
        width = max(int(math.ceil(windows[i, 3])), x0 + 1) - x0
        if statistic == RANGE:
            out[i, :, 0] = np.inf
            out[i, :, 1] = -np.inf
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
                        curves.ctypes.data, channels, (y - y0) * width, width, rows, spare, pitch,
                    )  # fmt: skip
            if statistic == MEAN:
                out[i, 0, 0] += _grey_sum(rows, pitch, channels, width)
                continue
            for c in range(channels):
                row = floats(rows + c * pitch, width)
                if statistic == HISTOGRAM:
                    for x in range(width):
                        out[i, c, int(curve_entry(row[x]))] += 1
                else:
                    for x in range(width):
                        out[i, c, 0] = min(out[i, c, 0], row[x])
                        out[i, c, 1] = max(out[i, c, 1], row[x])
        if statistic == MEAN:
            out[i, 0, 0] /= (y1 - y0) * width * (1 if channels == 3 else channels)
    keep((memory,))


@jit
def _load(address, step, like, width, unit, row):
    """One channel of a row of source pixels, scaled to [0, 1]."""
    source, out = values(address, (width - 1) * step + 1, like), floats(row, width)
    for x in range(width):
        out[x] = f32(source[x * step]) * unit


@jit
def _grey_sum(rows, pitch, channels, width):
    """The sum of a row's grey (RGB), or of all its values."""
    total = 0.0
    if channels == 3:
        red, green = floats(rows, width), floats(rows + pitch, width)
        blue = floats(rows + 2 * pitch, width)
        for x in range(width):
            total += (_RED * red[x] + _GREEN * green[x]) + _BLUE * blue[x]
    else:
        for c in range(channels):
            row = floats(rows + c * pitch, width)
            for x in range(width):
                total += row[x]
    return total
