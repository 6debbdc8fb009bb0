"""Closing a draft into a plan, and the gate that a plan passes."""

from __future__ import annotations

import numpy as np
from numba import types

from ....plan.fields import array_fields
from ....plan.kinds import MOST_ENTRY, MOST_SIDE
from .drafts import higher, lower
from .entries import ANY_FLOATS_2, ANY_FLOATS_3, FLOATS, SINGLE, entry, part, twin

_LOOKS = (("inv_matrix", 9, (3, 3)), ("sight", 4, (4,)), ("clip", 4, (4,)), ("support", 2, (2,)))
_MOST_SIDE = float(MOST_SIDE)


@part
def _put(out, at, number, extremes, field):
    single = np.float32(number)
    out[at] = single
    extremes[2 * field] = lower(extremes[2 * field], np.float64(single))
    extremes[2 * field + 1] = higher(extremes[2 * field + 1], np.float64(single))


@entry(ANY_FLOATS_3, ANY_FLOATS_3, ANY_FLOATS_2, ANY_FLOATS_2, SINGLE, FLOATS)
def _looks_of(matrix, footprint, sight, clip, out, extremes):
    """out: the fields one behind the other. extremes: the lowest and the highest of each."""
    n = len(matrix)
    for field in range(4):
        extremes[2 * field], extremes[2 * field + 1] = np.inf, -np.inf
    for v in range(n):
        far = False
        for k in range(9):
            far = far or not abs(matrix[v, k // 3, k % 3]) <= MOST_ENTRY
        if far:
            for k in range(9):
                matrix[v, k // 3, k % 3] = 1.0 if k % 4 == 0 else 0.0
            for k in range(4):
                footprint[v, k // 2, k % 2] = 1.0 if k % 3 == 0 else 0.0
                clip[v, k] = sight[v, k] = 0.0
        for k in range(9):
            _put(out, 9 * v + k, matrix[v, k // 3, k % 3], extremes, 0)
        for k in range(4):
            _put(out, 9 * n + 4 * v + k, sight[v, k], extremes, 1)
            _put(out, 13 * n + 4 * v + k, clip[v, k], extremes, 2)
        for k in range(2):
            a, b = footprint[v, k, 0], footprint[v, k, 1]
            support = lower(higher(np.sqrt(a * a + b * b), 1.0), _MOST_SIDE)
            _put(out, 17 * n + 2 * v + k, support, extremes, 3)


@twin
def looks_of(draft):
    n = len(draft.inv_matrix)
    out, extremes = np.empty(19 * n, np.float32), np.empty(8)
    _looks_of(draft.inv_matrix, draft.footprint, draft.sight, draft.clip, out, extremes)
    out.flags.writeable = False  # and so its parts
    fields, known, begin, pairs = {}, {}, 0, extremes.tolist()
    for k, (name, count, shape) in enumerate(_LOOKS):
        fields[name] = out[begin : begin + count * n].reshape(n, *shape)
        known[name] = pairs[2 * k], pairs[2 * k + 1]
        begin += count * n
    return fields, known


def _extremes(of):
    """A function of the extremes of an array [n] of a dtype, (0, 0) of an empty one."""

    def extremes(array):
        if len(array) == 0:
            return 0.0, 0.0
        low = high = array[0]
        for number in array:
            low, high = lower(low, number), higher(high, number)
        return np.float64(low), np.float64(high)

    return entry(types.Array(of, 1, "C", readonly=True))(extremes)


_EXTREMES = {
    np.dtype(str(of)): _extremes(of) for of in (types.float32, types.int32, types.int16, types.int8)
}


@twin
def extremes_of(plan, known):
    arrays = vars(plan)
    return {
        name: _EXTREMES[arrays[name].dtype](arrays[name].reshape(-1))
        for name in _names(type(plan))
        if name not in known
    }


_of_class: dict = {}


def _names(plan_class):
    if plan_class not in _of_class:
        _of_class[plan_class] = [
            field.name
            for field in array_fields(plan_class)
            if np.dtype(field.metadata["dtype"]) in _EXTREMES
        ]
    return _of_class[plan_class]
