"""What happens to the rows of a draft."""

from __future__ import annotations

import numpy as np

from .entries import (
    ANY_FLOATS,
    ANY_FLOATS_2,
    ANY_FLOATS_3,
    ANY_WHOLE,
    ANY_WHOLE_2,
    FLAGS,
    FLOAT,
    FLOATS_2,
    INT,
    READ_ANY_2,
    READ_ANY_3,
    WHOLE,
    WHOLE_2,
    entry,
    part,
    twin,
)
from .numbers import exp_of


@entry(ANY_WHOLE_2, READ_ANY_2, READ_ANY_2, FLOAT, FLOAT, FLOAT, FLOAT, ANY_FLOATS, WHOLE_2, FLAGS)
def _crop_that_fits(frame, place, tries, low, high, low_log, high_log, strength, box, fits):
    count = tries.shape[1] // 2
    for i in range(len(frame)):
        height, width = frame[i, 0], frame[i, 1]
        pull, whole = strength[i], np.float64(height * width)
        for k in range(count):
            area = low + tries[i, 2 * k] * (high - low)
            area = (1.0 + pull * (area - 1.0)) * whole
            aspect = low_log + tries[i, 2 * k + 1] * (high_log - low_log)
            aspect = exp_of(0.0 + pull * (aspect - 0.0))
            h = np.int64(np.rint(np.sqrt(area / aspect)))
            w = np.int64(np.rint(np.sqrt(area * aspect)))
            fits[i] = 0 < h <= height and 0 < w <= width
            if k == 0 or fits[i]:
                box[2, i], box[3, i] = h, w
            if fits[i]:
                break
        for side in range(2):
            bound = frame[i, side] - box[2 + side, i] + 1
            offset = np.floor(place[i, side] * np.float64(bound))
            box[side, i] = np.int64(min(offset, np.float64(bound - 1)))


@twin
def crop_that_fits(frame, place, tries, limits, strength):
    box, fits = np.empty((4, len(frame)), np.int64), np.empty(len(frame), bool)
    _crop_that_fits(frame, place, tries, *limits, strength, box, fits)
    return box, fits


@part
def _multiply(old, row, new, k, size, fresh):
    """Row `row` of matrices becomes its product with number k of others."""
    for i in range(size):
        a0, a1 = old[row, i, 0], old[row, i, 1]
        a2 = old[row, i, 2] if size == 3 else 0.0
        for j in range(size):
            if fresh:
                old[row, i, j] = new[k, i, j] + 0.0
            else:
                total = a0 * new[k, 0, j] + a1 * new[k, 1, j]
                old[row, i, j] = total + a2 * new[k, 2, j] if size == 3 else total


@entry(
    ANY_FLOATS_3, ANY_FLOATS_3, ANY_WHOLE_2, ANY_WHOLE, ANY_WHOLE, ANY_WHOLE, WHOLE, READ_ANY_3,
    READ_ANY_3, ANY_WHOLE_2, INT,
)  # fmt: skip
def _warp_rows(
    matrix, footprint, frame, warped, fill_start, step_count, rows, inv_matrix, inv_footprint, new_frame,
    fresh,
):  # fmt: skip
    for k in range(len(rows)):
        row = rows[k]
        _multiply(matrix, row, inv_matrix, k, 3, fresh)
        if len(inv_footprint):
            _multiply(footprint, row, inv_footprint, k, 2, fresh)
        if len(new_frame):
            frame[row, 0], frame[row, 1] = new_frame[k, 0], new_frame[k, 1]
        if not warped[row]:
            fill_start[row] = step_count[row]
        warped[row] = 1


_STAYS, _STAYS_IN_SIZE = np.empty((0, 2, 2)), np.empty((0, 2), np.int64)


@twin
def warp_rows(draft, rows, inv_matrix, inv_footprint, frame, fresh):
    _warp_rows(
        draft.inv_matrix, draft.footprint, draft.frame, draft.warped, draft.fill_start,
        draft.step_count, rows, inv_matrix, _STAYS if inv_footprint is None else inv_footprint,
        _STAYS_IN_SIZE if frame is None else np.asarray(frame, np.int64), int(fresh),
    )  # fmt: skip


# As NumPy's, in which a NaN goes before all others.


@part
def lower(a, b):
    return a if a < b or a != a else b


@part
def higher(a, b):
    return a if a > b or a != a else b


@part
def _bounds(m, top, left, height, width, affine):
    """`geometry.bounds` of one matrix."""
    y0, x0, y1, x1, finite = 0.0, 0.0, 0.0, 0.0, True
    for corner in range(4):
        x = left + width if corner == 1 or corner == 2 else left
        y = top + height if corner >= 2 else top
        across = x * m[0, 0] + y * m[0, 1] + m[0, 2]
        down = x * m[1, 0] + y * m[1, 1] + m[1, 2]
        if not affine:
            ahead = x * m[2, 0] + y * m[2, 1] + m[2, 2]
            if not ahead > 0:
                finite, ahead = False, 1.0
            across, down = across / ahead, down / ahead
        if corner == 0:
            y0, x0, y1, x1 = down, across, down, across
        else:
            y0, x0 = lower(y0, down), lower(x0, across)
            y1, x1 = higher(y1, down), higher(x1, across)
    if not finite:
        return -np.inf, -np.inf, np.inf, np.inf
    return y0, x0, y1, x1


@part
def _all_affine(matrix, rows):
    for row in rows:
        m = matrix[row]
        if m[2, 0] != 0 or m[2, 1] != 0 or m[2, 2] != 1:
            return False
    return True


@entry(ANY_FLOATS_3, ANY_FLOATS_2, ANY_FLOATS_2, ANY_WHOLE, WHOLE, FLOATS_2, INT)
def _keep_rows(matrix, clip, sight, warped, rows, box, fresh):
    turned = False
    if not fresh:
        for row in rows:
            turned = turned or warped[row] != 0
    affine = turned and _all_affine(matrix, rows)
    for k in range(len(rows)):
        row, top, left = rows[k], box[0, k], box[1, k]
        if turned:
            y0, x0, y1, x1 = _bounds(matrix[row], top, left, box[2, k], box[3, k], affine)
        else:
            y0, x0, y1, x1 = top, left, top + box[2, k], left + box[3, k]
        y0 = lower(higher(clip[row, 0], y0), clip[row, 2])
        x0 = lower(higher(clip[row, 1], x0), clip[row, 3])
        y1 = higher(lower(clip[row, 2], y1), y0)
        x1 = higher(lower(clip[row, 3], x1), x0)
        clip[row, 0], clip[row, 1], clip[row, 2], clip[row, 3] = y0, x0, y1, x1
        if fresh or not warped[row]:
            sight[row, 0], sight[row, 1], sight[row, 2], sight[row, 3] = y0, x0, y1, x1


@twin
def keep_rows(draft, rows, box, fresh):
    _keep_rows(draft.inv_matrix, draft.clip, draft.sight, draft.warped, rows, box, int(fresh))
