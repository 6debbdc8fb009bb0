"""Means, ranges and histograms of view windows, in numba: what `statistics` asks a CPU to measure."""

from __future__ import annotations

import math

import numpy as np
from numba import carray, njit

from ..plan import HISTOGRAM, MEAN
from .cpu_colour import apply_step
from .cpu_names import curve_entry, f32, jit
from .memory import pointer
from .statistics import GREY, completed

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
    like, address, stride, limit, unit,
    source, step_kind, step_arg, curves,
    views, windows, step, statistic, channels, out,
):  # fmt: skip
    """out [n, C, bins] ← the statistic of the views' windows after their steps before `step`."""
    widest = 1
    for i in range(begin, end):
        widest = max(widest, int(math.ceil(windows[i, 3])) - int(math.floor(windows[i, 1])))
    rows = np.empty((channels, widest), np.float32)
    spare = np.empty((max(4, channels), widest), np.float32)
    for i in range(begin, end):
        v = views[i]
        b = source[v]
        y0, x0 = int(math.floor(windows[i, 0])), int(math.floor(windows[i, 1]))
        y1 = max(int(math.ceil(windows[i, 2])), y0 + 1)
        width = max(int(math.ceil(windows[i, 3])), x0 + 1) - x0
        if statistic != MEAN and statistic != HISTOGRAM:
            out[i, :, 0] = np.inf
            out[i, :, 1] = -np.inf
        for y in range(y0, y1):
            start = address[b] + (y * stride[b, 0] + x0 * stride[b, 1]) * like.itemsize
            _load_row(start, stride[b], like, width, unit, rows)
            for s in range(step):
                if step_kind[v, s] != 0:
                    apply_step(
                        step_kind[v, s],
                        step_arg[v, s],
                        curves,
                        channels,
                        0,
                        width,
                        rows,
                        spare,
                        0,
                        width,
                    )
            if statistic == MEAN:
                out[i, 0, 0] += _grey_sum(rows, width)
            elif statistic == HISTOGRAM:
                for c in range(channels):
                    for x in range(width):
                        out[i, c, int(curve_entry(rows[c, x]))] += 1
            else:
                for c in range(channels):
                    out[i, c, 0] = min(out[i, c, 0], rows[c, :width].min())
                    out[i, c, 1] = max(out[i, c, 1], rows[c, :width].max())
        if statistic == MEAN:
            out[i, 0, 0] /= (y1 - y0) * width * (1 if channels == 3 else channels)


@jit
def _load_row(start, stride, like, width, unit, rows):
    """A row of source pixels into `rows` [C, W], scaled to [0, 1]."""
    for c in range(rows.shape[0]):
        row = rows[c]
        plane = start + c * stride[2] * like.itemsize
        step = stride[1]
        values = carray(pointer(plane, like), (width - 1) * step + 1)
        for x in range(width):
            row[x] = f32(values[x * step]) * unit


@jit
def _grey_sum(rows, width):
    """The sum of a row's grey (RGB), or of all its values."""
    total = 0.0
    if rows.shape[0] == 3:
        red, green, blue = rows[0], rows[1], rows[2]
        for x in range(width):
            total += (_RED * red[x] + _GREEN * green[x]) + _BLUE * blue[x]
    else:
        for c in range(rows.shape[0]):
            for x in range(width):
                total += rows[c, x]
    return total
