"""What operations do at whole levels: worked out once for frames of one size, then looked up.

A published policy draws a few operations at a few dozen levels, to either side. A batch then costs a look-up
for each kind of operation, instead of some calls for each operation. The tables are made by the same
functions, number by number, so what is looked up is what would be worked out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...checks import all_true
from ...plan.kinds import FILTER_ARGS, FILTER_KIND, LOG_ARGS, STEP_ARGS
from .actions import Filter, Step, Warp

if TYPE_CHECKING:
    from ..draft import Draft
    from .spaces import Entry

_LEAST_ROWS = 16  # of a batch that looks up: a table costs as much as some small ones
_MOST_LEVELS = 64
_KINDS = (Warp, Step, Filter)


class Told(NamedTuple):
    """What each of E entries does at each of L levels, to the left and to the right: arrays [E · L · 2, …]
    of which those of other kinds are 0."""

    kind: np.ndarray  # [E] 1 + index in _KINDS; 0: nothing
    texts: tuple[str, ...]  # [E] of the log
    matrix: np.ndarray
    footprint: np.ndarray
    step_kind: np.ndarray
    step_arg: np.ndarray
    statistic: np.ndarray
    filter: np.ndarray
    numbers: np.ndarray  # of the log


@lru_cache(maxsize=16)
def told(entries: tuple[Entry, ...], levels: int, bins: int, frame: tuple[int, int]) -> Told:
    """The table of entries at levels 0 … levels − 1, for frames of one height and width."""
    count = 2 * levels
    level, sign = np.repeat(np.arange(levels), 2), np.tile([-1.0, 1.0], levels)
    frames = np.tile(np.array(frame, np.int64), (count, 1))
    shape = (len(entries), count)
    matrix, footprint = np.zeros((*shape, 3, 3)), np.zeros((*shape, 2, 2))
    step_kind, statistic = np.zeros((2, *shape), np.int8)
    step_arg, filters = np.zeros((*shape, STEP_ARGS)), np.zeros((*shape, FILTER_ARGS))
    numbers, kind = np.zeros((*shape, LOG_ARGS)), np.zeros(len(entries), np.int64)
    texts = tuple("" if entry.act is None else entry.act.text for entry in entries)
    for k, entry in enumerate(entries):
        act = entry.act
        if act is None:
            continue
        kind[k] = 1 + _KINDS.index(type(act))
        magnitude: tuple = () if entry.value is None else (entry.value(level, bins, sign, frames),)
        if isinstance(act, Warp):
            matrix[k] = act.inverse(*magnitude, frames)
            footprint[k] = matrix[k, :, :2, :2] if act.turns else np.eye(2)
        elif isinstance(act, Step):
            columns = act.arg(*magnitude)
            step_arg[k, :, : columns.shape[-1]] = columns
            step_kind[k], statistic[k] = act.kind, act.statistic
        elif isinstance(act, Filter):
            filters[k, :, FILTER_KIND] = act.kind
            for column, values in enumerate(act.args(*magnitude), FILTER_KIND + 1):
                filters[k, :, column] = values
        if act.fields:
            numbers[k, :, 0] = magnitude[0]
    arrays = (matrix, footprint, step_kind, step_arg, statistic, filters, numbers)
    return Told(kind, texts, *(array.reshape(-1, *array.shape[2:]) for array in arrays))


def told_by_level(draft: Draft, rows, entries, choice, level, sign, bins) -> bool:
    """Tell the draft by the table what each row's choice (−1: none) does at its level, at full strength.
    False, and nothing is told, where there is none: levels are not whole, or frames differ."""
    if len(rows) < _LEAST_ROWS or level.dtype != np.int64 or draft.channels != 3:
        return False
    frame, levels = draft.frame.take(rows, 0), max(bins, int(level.max()) + 1)
    if levels > _MOST_LEVELS or not all_true(frame == frame[0]):
        return False
    table = told(tuple(entries), levels, bins, (int(frame[0, 0]), int(frame[0, 1])))
    order = np.argsort(choice, kind="stable")
    counts = np.bincount(choice + 1, minlength=len(entries) + 1).tolist()
    order = order[counts[0] :]  # without those that chose none
    entry = choice.take(order)
    at = (entry * levels + level.take(order)) * 2 + (sign.take(order) > 0)
    kind = table.kind.take(entry)
    order = rows.take(order)
    for number, _ in enumerate(_KINDS, 1):
        now = (kind == number).nonzero()[0]
        if not len(now):
            continue
        some, of = order.take(now), at.take(now)
        if number == 1:
            draft.warp(some, table.matrix.take(of, 0), table.footprint.take(of, 0))
        elif number == 2:
            arg, statistic = table.step_arg.take(of, 0), table.statistic.take(of)
            draft.step(some, table.step_kind.take(of), arg, statistic)
        else:
            draft.apply_filter(some, table.filter.take(of, 0))
    now = kind.nonzero()[0]
    if len(now):
        lines = np.zeros(len(entries), np.int64)
        for k, text in enumerate(table.texts):
            if text and counts[k + 1]:
                lines[k] = draft.line(text)
        numbers = table.numbers.take(at.take(now), 0)
        draft.log_lines(order.take(now), lines.take(entry.take(now)), numbers)
    return True
