"""Powers of bytes: there are 256 of them, so a GAMMA step is looked up where sources are bytes. That takes
half the time of the formula, and a fifth where vectors are of eight floats."""

from __future__ import annotations

import numpy as np

from ...elementary import exp, log
from ...plan import Plan
from ...plan.kinds import CURVE, CURVE_ENTRIES, CURVE_ROW, GAMMA, NO_STATISTIC

_LOG_BYTES = log(np.arange(1, CURVE_ENTRIES) / (CURVE_ENTRIES - 1))


def looked_up(plan: Plan) -> Plan:
    """The plan with its GAMMA steps as CURVE steps: one curve for all that are alike."""
    views, steps = np.nonzero((plan.step_kind == GAMMA) & (plan.statistic == NO_STATISTIC))
    if not len(views):
        return plan
    kind, arg = plan.step_kind.copy(), plan.step_arg.copy()
    # The first two arguments say all: as one number of 64 bits they are sorted in a sixth of the time.
    alike = np.ascontiguousarray(arg[views, steps, :2]).view(np.uint64)[:, 0]
    distinct, which = np.unique(alike, return_inverse=True)
    distinct = distinct[:, None].view(np.float32).astype(np.float64)
    curves = np.empty((len(distinct), plan.curves.shape[1], CURVE_ENTRIES), np.float32)
    # A few at a time, as larger arrays would leave the cache.
    for begin in range(0, len(distinct), 32):
        some = slice(begin, begin + 32)
        curves[some] = _powers(distinct[some, :1], distinct[some, 1:])[:, None]
    kind[views, steps] = CURVE
    arg[views, steps, CURVE_ROW] = len(plan.curves) + which.reshape(-1)
    changed = {
        "step_kind": kind,
        "step_arg": arg,
        "curves": np.concatenate([plan.curves, curves]),
    }
    return Plan._trusted(**{**vars(plan), **changed})


def _powers(exponent, gain):
    """[q, 1], [q, 1] → [q, 256]: byte ** exponent · gain."""
    values = np.zeros((len(exponent), CURVE_ENTRIES))
    values[:, 1:] = gain * exp(exponent * _LOG_BYTES)
    return np.clip(values, 0, 1)
