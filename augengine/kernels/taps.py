"""Which source pixels a view's filter weighs along an axis, for every executor."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..checks import any_true
from ..plan import Plan


class Taps(NamedTuple):
    """The taps of every view along y and along x, in this order: arrays [V, 2].

    A tap is a source pixel that is weighed. Those of one output pixel are neighbours, so the first of
    them and their count name all. Near the border of its sight a view shifts the first tap into
    [least, most], so that no tap leaves the sight; weights go by the taps' true places.
    """

    counts: np.ndarray  # int32, 1 or more
    least: np.ndarray  # float32, whole: the lowest pixel that the first tap may be
    most: np.ndarray  # float32, whole: the highest


def taps_of(plan: Plan) -> Taps:
    """As many taps as can weigh anything, and no more than the sight has pixels.

    Args:
        plan: a plan whose `support`, `clip` and `sight` are read.
    """
    low, high = np.floor(plan.sight[:, :2]), np.ceil(plan.sight[:, 2:])
    empty = plan.clip[:, :2] >= plan.clip[:, 2:]
    if any_true(empty):
        # The points of an empty clip are all fill, and read the source's first pixels.
        views = np.flatnonzero(empty.any(axis=1))
        low[views], high[views] = 0, np.minimum(2, plan.source_sizes()[views])
    wanted = np.ceil(2 * plan.support[:, ::-1])
    counts = np.maximum(1, np.minimum(wanted, high - low))
    return Taps(counts.astype(np.int32), low, np.maximum(high - counts, low))
