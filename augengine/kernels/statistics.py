"""Steps that must first be completed from the image itself: contrast, autocontrast, equalize.

An executor measures (a mean, a range, a histogram of each view's window, after the view's earlier
steps); what the measurement means is said here for those that measure in memory, by the formulas
that `gpu.statistics` has too. PIL's definitions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..plan import Plan
from ..plan.kinds import (
    CURVE,
    CURVE_ROW,
    HISTOGRAM,
    MATRIX,
    MATRIX_OFFSETS,
    MEAN,
    NEUTRAL_TONE,
    NO_STATISTIC,
    RANGE,
    STEP_ARGS,
    TONE,
    TONE_LOW,
    TONE_SCALE,
)
from .bind import FLOATS, bind

px = bind(
    {
        **{name: np.float32(value) for name, value in FLOATS.items()},
        "floor": np.floor,
        "where": np.where,
        "minimum": np.minimum,
        "maximum": np.maximum,
        "divide": np.divide,
        "quotient": np.floor_divide,
    }
)


class Measured(NamedTuple):
    """What was measured of n views; of each view what its statistic asks for, the rest is not read.

    mean: [n], of the grey for RGB and of all values otherwise. limits: [n, C, 2] lowest and highest.
    counts: [n, C, 256] of `curve_entry`. Values in [0, 1].
    """

    mean: np.ndarray
    limits: np.ndarray
    counts: np.ndarray


class Steps(NamedTuple):
    """A plan's colour steps, while its statistics are completed."""

    kind: np.ndarray
    arg: np.ndarray
    curves: np.ndarray


def completed(plan: Plan, measure, byte: bool) -> Plan:
    """The plan with its statistics measured and replaced by plain steps.

    byte: whether sources are bytes. RANGE is then done in whole numbers, cut as PIL and torchvision
    cut them, and for floats by a matrix. measure(steps, views, step) → Measured, of the views'
    windows after the steps before `step`, by which those are completed.
    """
    waiting = np.flatnonzero((plan.statistic != NO_STATISTIC).any(axis=0))
    if not len(waiting):
        return plan
    histograms = int((plan.statistic == HISTOGRAM).sum())
    curves = np.concatenate([plan.curves, np.zeros((histograms, 3, 256), np.float32)])
    steps = Steps(plan.step_kind.copy(), plan.step_arg.copy(), curves)
    next_curve = len(plan.curves)
    for step in waiting.tolist():
        views = np.flatnonzero(plan.statistic[:, step])
        statistic = plan.statistic[views, step]
        measured = measure(steps, views, step)
        if (rows := statistic == MEAN).any():
            steps.arg[views[rows, None], step, MATRIX_OFFSETS] *= measured.mean[rows, None]
            steps.kind[views[rows], step] = MATRIX
        if (rows := statistic == RANGE).any():
            stretching = stretch_bytes if byte else stretch
            steps.arg[views[rows], step] = stretching(measured.limits[rows])
            steps.kind[views[rows], step] = TONE if byte else MATRIX
        if (rows := statistic == HISTOGRAM).any():
            end = next_curve + int(rows.sum())
            steps.curves[next_curve:end] = equalizing_curves(measured.counts[rows])
            steps.arg[views[rows], step, CURVE_ROW] = np.arange(next_curve, end)
            steps.kind[views[rows], step] = CURVE
            next_curve = end
    changed = {
        "step_kind": steps.kind,
        "step_arg": steps.arg,
        "statistic": np.zeros_like(plan.statistic),
        "curves": steps.curves,
    }
    return Plan._trusted(**{**vars(plan), **changed})


def window_pixels(window):
    """[…, 4] int32: the pixels y0, x0, y1, x1 that each window touches, at least one."""
    low = np.floor(window[..., :2]).astype(np.int32)
    high = np.ceil(window[..., 2:]).astype(np.int32)
    return np.concatenate([low, np.maximum(high, low + 1)], axis=-1)


def stretch(limits):
    """[n, C, 2] lowest and highest → the matrix [n, 12] that takes them to 0 and 1. For other than
    three channels the first one's."""
    low, high = limits[..., 0].astype(np.float64), limits[..., 1].astype(np.float64)
    gain = px.stretch_gain(low, high)
    offset = px.stretch_offset(low, high, gain)
    out = np.zeros((len(limits), 3, 4))
    for c in range(3):
        from_channel = min(c, limits.shape[1] - 1)
        out[:, c, c], out[:, c, 3] = gain[:, from_channel], offset[:, from_channel]
    return out.reshape(-1, STEP_ARGS)


def stretch_bytes(limits):
    """[n, C, 2] lowest and highest → the arguments [n, 12] of TONE that take them to 0 and 255: the
    float32 arithmetic of torchvision's autocontrast."""
    limits = px.curve_entry(limits).astype(np.float32)
    low, high = limits[..., 0], limits[..., 1]
    out = np.tile(np.array(NEUTRAL_TONE, np.float32), (len(limits), 1))
    picked = [min(c, limits.shape[1] - 1) for c in range(3)]
    out[:, TONE_LOW : TONE_LOW + 3] = px.stretch_low(low, high)[:, picked]
    out[:, TONE_SCALE : TONE_SCALE + 3] = px.stretch_scale(low, high)[:, picked]
    return out


def equalizing_curves(counts):
    """[n, C, 256] counts → curves [n, 3, 256] in [0, 1]: PIL's equalize."""
    channels = counts.shape[1]
    counts = counts.astype(np.int64)
    last = 255 - (counts[..., ::-1] > 0).argmax(axis=-1)[..., None]
    total = counts.sum(axis=-1, keepdims=True)
    step = (total - np.take_along_axis(counts, last, -1)) // 255
    curve = px.equalized(np.arange(256), np.cumsum(counts, axis=-1) - counts, step)
    picked = [min(c, channels - 1) for c in range(3)]
    return (curve[:, picked] / 255).astype(np.float32)
