"""What is noted of a draft's rows, entry by entry: colour steps, and lines of the log.

An entry is of some rows at once. Rows that are forked have what the others had by then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..plan.kinds import MOST_ARGUMENT


class Entry(NamedTuple):
    """Something of some rows."""

    rows: np.ndarray  # [n]
    at: np.ndarray  # [n], which of each row's entries it is
    said: tuple  # for each of the fields that it is written to a number, or an array [n, …]


class Copy(NamedTuple):
    """What rows have so far, copied to new rows; moved: the old rows begin anew."""

    rows: np.ndarray
    new: np.ndarray
    moved: bool = False


class Entries(list[Entry | Copy]):
    """Entries in the order in which they came."""

    def write(self, *fields: np.ndarray, nothing: tuple[float, ...]) -> None:
        """Write what is said to `fields`, arrays [rows, count, …] that hold `nothing` so far."""
        count = fields[0].shape[1]
        flat = [field.reshape(-1, *field.shape[2:]) for field in fields]
        for entry in self:
            if isinstance(entry, Copy):
                for field, number in zip(fields, nothing, strict=True):
                    field[entry.new] = field[entry.rows]
                    if entry.moved:
                        field[entry.rows] = number
            elif len(entry.rows):
                where = entry.rows * count
                where += entry.at
                for field, said in zip(flat, entry.said, strict=True):
                    field[where] = said


def limit(numbers: np.ndarray) -> None:
    """Cut to what a plan may hold, in place."""
    np.maximum(numbers, -_MOST_ARGUMENT, out=numbers)
    np.minimum(numbers, _MOST_ARGUMENT, out=numbers)


_MOST_ARGUMENT = np.array(MOST_ARGUMENT, np.float32)
