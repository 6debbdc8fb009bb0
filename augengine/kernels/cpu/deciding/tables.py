"""A plan as the CPU kernel's tables: what a batch of a few images waits for as long as for its plan."""

from __future__ import annotations

import numpy as np
from numba import from_dtype, types

from ....plan.kinds import NO_VIEW
from ..tables import AXIS, LAYER, VIEW, Tables
from .entries import entry, twin


def _read(of, ndim):
    return types.Array(of, ndim, "C", readonly=True)


_SINGLE_2, _INT32 = _read(types.float32, 2), _read(types.int32, 1)
_VIEWS, _AXES, _LAYERS = (
    types.Array(from_dtype(of), ndim, "C") for of, ndim in ((VIEW, 1), (AXIS, 2), (LAYER, 2))
)


@entry(
    _INT32, _read(types.int16, 1), _read(types.float32, 3), _SINGLE_2, _SINGLE_2, _SINGLE_2,
    _read(types.float32, 1), _read(types.int8, 1), _read(types.int32, 2), _read(types.int32, 2),
    _VIEWS, _AXES,
)  # fmt: skip
def _views(
    source, fill_start, matrix, clip, sight, support, slope, border, sizes, frame, views, axes
):
    images = len(sizes)
    for v in range(len(source)):
        views[v].source, views[v].fill_start = source[v], fill_start[v]
        for k in range(9):
            views[v].matrix[k] = matrix[v, k // 3, k % 3]
        empty = clip[v, 0] >= clip[v, 2] or clip[v, 1] >= clip[v, 3]
        for side in range(2):
            axis = axes[v, side]
            axis.low, axis.high = clip[v, side], clip[v, 2 + side]
            axis.support, axis.slope, axis.border = support[v, 1 - side], slope[v], border[v]
            # As `taps_of` has them.
            low, high = np.floor(sight[v, side]), np.ceil(sight[v, 2 + side])
            if empty:
                of = source[v]
                size = sizes[of, side] if of < images else frame[of - images, side]
                low, high = np.float32(0), np.float32(min(2, size))
            count = max(np.float32(1), min(np.ceil(np.float32(2) * axis.support), high - low))
            axis.first, axis.taps = np.int64(low), np.int64(count)
            axis.last = np.int64(max(high - count, low)) + np.int64(count)


@entry(_read(types.int32, 2), _read(types.int32, 3), _SINGLE_2, _LAYERS)
def _layers(view, box, alpha, layers):
    for n in range(view.shape[0]):
        for k in range(view.shape[1]):
            layer = layers[n, k]
            layer.view_number = view[n, k] if alpha[n, k] != 0 else NO_VIEW
            layer.alpha = alpha[n, k]
            layer.y0, layer.x0 = box[n, k, 0], box[n, k, 1]
            layer.y1, layer.x1 = box[n, k, 2], box[n, k, 3]


@twin
def tables_of(plan):
    views, axes = np.empty(len(plan.source), VIEW), np.empty((len(plan.source), 2), AXIS)
    layers = np.empty(plan.view.shape, LAYER)
    _views(
        plan.source, plan.fill_start, plan.inv_matrix, plan.clip, plan.sight, plan.support, plan.slope,
        plan.border, plan.sizes, plan.frame, views, axes,
    )  # fmt: skip
    _layers(plan.view, plan.box, plan.alpha, layers)
    return Tables(views, axes, layers)
