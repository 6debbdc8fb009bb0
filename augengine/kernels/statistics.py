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
    CURVE_ENTRIES,
    CURVE_ROW,
    GAIN_AT,
    GAINS,
    HISTOGRAM,
    MATRIX,
    MATRIX_GAINS,
    MATRIX_OFFSETS,
    MEAN,
    NEUTRAL_TONE,
    NO_STATISTIC,
    OFFSET_AT,
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

    mean: [n], of the grey for RGB. limits: [n, C, 2] lowest and highest; or first each channel's mean,
    where they are not RGB.
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
    cut them: in RGB by a TONE, and for floats by a MATRIX; otherwise by each channel's CURVE, and
    GAINS, as MEAN is. measure(steps, views, step) → Measured, of the views' windows after the steps
    before `step`, by which those are completed.
    """
    waiting = np.flatnonzero((plan.statistic != NO_STATISTIC).any(axis=0))
    if not len(waiting):
        return plan
    channels = plan.finish.channels
    new = np.zeros((int(takes_curves(plan).sum()), channels, CURVE_ENTRIES), np.float32)
    curves = np.concatenate([plan.curves, new])
    steps = Steps(plan.step_kind.copy(), plan.step_arg.copy(), curves)
    next_curve = len(plan.curves)
    for step in waiting.tolist():
        views = np.flatnonzero(plan.statistic[:, step])
        statistic = plan.statistic[views, step]
        measured = measure(steps, views, step)
        if (rows := statistic == MEAN).any() and channels == 3:
            steps.arg[views[rows, None], step, MATRIX_OFFSETS] *= measured.mean[rows, None]
            steps.kind[views[rows], step] = MATRIX
        if (rows := statistic == RANGE).any() and channels == 3:
            stretching = stretch_bytes if byte else stretch
            steps.arg[views[rows], step] = stretching(measured.limits[rows])
            steps.kind[views[rows], step] = TONE if byte else MATRIX
        arg = steps.arg[views, step]
        for of, kind, curves_of, data in (
            (MEAN, GAINS, mean_gains, (arg, measured.limits)),
            (
                RANGE,
                CURVE if byte else GAINS,
                byte_stretches if byte else gains,
                (measured.limits,),
            ),
            (HISTOGRAM, CURVE, equalizing_curves, (measured.counts,)),
        ):
            rows = (statistic == of) & takes_curves(plan)[views, step]
            if rows.any():
                end = next_curve + int(rows.sum())
                steps.curves[next_curve:end] = curves_of(*(part[rows] for part in data))
                steps.arg[views[rows], step, CURVE_ROW] = np.arange(next_curve, end)
                steps.kind[views[rows], step] = kind
                next_curve = end
    changed = {
        "step_kind": steps.kind,
        "step_arg": steps.arg,
        "statistic": np.zeros_like(plan.statistic),
        "curves": steps.curves,
    }
    return Plan._trusted(**{**vars(plan), **changed})


def takes_curves(plan: Plan) -> np.ndarray:
    """[V, S] bool, whether what is measured for a step becomes a row of curves."""
    if plan.finish.channels == 3:
        return np.asarray(plan.statistic == HISTOGRAM)
    return np.asarray(plan.statistic != NO_STATISTIC)


def window_pixels(window):
    """[…, 4] int32: the pixels y0, x0, y1, x1 that each window touches, at least one."""
    low = np.floor(window[..., :2]).astype(np.int32)
    high = np.ceil(window[..., 2:]).astype(np.int32)
    return np.concatenate([low, np.maximum(high, low + 1)], axis=-1)


def stretch(limits):
    """[n, 3, 2] lowest and highest → the matrix [n, 12] that takes them to 0 and 1."""
    gain, offset = _gain_offset(limits)
    out = np.zeros((len(limits), 3, 4))
    for c in range(3):
        out[:, c, c], out[:, c, 3] = gain[:, c], offset[:, c]
    return out.reshape(-1, STEP_ARGS)


def gains(limits):
    """[n, C, 2] lowest and highest → the rows [n, C, 256] of GAINS that take them to 0 and 1."""
    out = np.zeros((*limits.shape[:2], CURVE_ENTRIES), np.float32)
    out[..., GAIN_AT], out[..., OFFSET_AT] = _gain_offset(limits)
    return out


def mean_gains(arg, limits):
    """The arguments [n, 12] of a MATRIX whose offset is times the mean, and means in limits [n, C, 2] →
    the rows [n, C, 256] of GAINS."""
    out = np.zeros((*limits.shape[:2], CURVE_ENTRIES), np.float32)
    out[..., GAIN_AT] = arg[:, MATRIX_GAINS[0], None]
    out[..., OFFSET_AT] = arg[:, MATRIX_OFFSETS[0], None] * limits[..., 0]
    return out


def _gain_offset(limits):
    low, high = limits[..., 0].astype(np.float64), limits[..., 1].astype(np.float64)
    gain = px.stretch_gain(low, high)
    return gain, px.stretch_offset(low, high, gain)


def stretch_bytes(limits):
    """[n, 3, 2] lowest and highest → the arguments [n, 12] of TONE that take them to 0 and 255: the
    float32 arithmetic of torchvision's autocontrast."""
    low, scale = _low_scale(limits)
    out = np.tile(np.array(NEUTRAL_TONE, np.float32), (len(limits), 1))
    out[:, TONE_LOW : TONE_LOW + 3], out[:, TONE_SCALE : TONE_SCALE + 3] = low, scale
    return out


def byte_stretches(limits):
    """[n, C, 2] lowest and highest → the curves [n, C, 256] that do what `stretch_bytes` does."""
    low, scale = _low_scale(limits)
    entries = np.arange(CURVE_ENTRIES, dtype=np.float32)
    return px.from_byte(px.stretched(entries, low[..., None], scale[..., None]))


def _low_scale(limits):
    limits = px.curve_entry(limits).astype(np.float32)
    low, high = limits[..., 0], limits[..., 1]
    return px.stretch_low(low, high), px.stretch_scale(low, high)


def equalizing_curves(counts):
    """[n, C, 256] counts → curves [n, C, 256] in [0, 1]: PIL's equalize."""
    # A few at a time, as larger arrays would leave the cache, and be new memory every time.
    parts = [_equalizing(counts[begin : begin + 8]) for begin in range(0, len(counts), 8)]
    return np.concatenate(parts)


def _equalizing(counts):
    counts = counts.astype(np.int64)
    last = 255 - (counts[..., ::-1] > 0).argmax(axis=-1)[..., None]
    total = counts.sum(axis=-1, keepdims=True)
    step = (total - np.take_along_axis(counts, last, -1)) // 255
    curve = px.equalized(np.arange(256), np.cumsum(counts, axis=-1) - counts, step)
    return (curve / 255).astype(np.float32)
