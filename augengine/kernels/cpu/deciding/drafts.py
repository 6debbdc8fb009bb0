"""What happens to the rows of a draft."""

from __future__ import annotations

import numpy as np

from .entries import ANY_FLOATS, ANY_FLOATS_2, ANY_WHOLE_2, FLOAT, FLAGS, WHOLE_2, entry, twin
from .numbers import exp_of


@entry(ANY_WHOLE_2, ANY_FLOATS_2, ANY_FLOATS_2, FLOAT, FLOAT, FLOAT, FLOAT, ANY_FLOATS, WHOLE_2, FLAGS)
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
