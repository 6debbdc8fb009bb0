"""What a draft holds for each of its rows, beside the steps and the log.

All numbers of a kind lie in one array [numbers, rows], so that rows are forked by two calls, and what is
worked out for all rows has them side by side. Each field is a view of it.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate, pairwise

import numpy as np

from ..plan.kinds import ANTIALIASED_SLOPE, FILTER_ARGS

UNCHANGED = "unchanged"  # of a footprint
SAME = np.eye(3)  # a matrix that leaves all in its place


class Rows:
    """Fields [rows, …], of float64 or int64."""

    inv_matrix: np.ndarray  # [rows, 3, 3] frame → source
    # [rows, 2, 2] The matrix without its shears: how far apart, along the source's axes, the output's
    # pixels lie. It says how wide the filter must be.
    footprint: np.ndarray
    clip: np.ndarray  # [rows, 4]
    # [rows, 4] What a filter may weigh: a crop sees beyond its edge what a resize before it saw.
    sight: np.ndarray
    slope: np.ndarray  # of a cubic filter, if it is one
    strength: np.ndarray
    filter: np.ndarray  # [rows, 4]
    fill: np.ndarray  # [rows, C], NaN: the policy's
    source: np.ndarray
    seen_size: np.ndarray  # [rows, 2] of what a row looks at
    frame: np.ndarray  # [rows, 2]
    warped: np.ndarray  # 0 or 1
    fill_start: np.ndarray
    step_count: np.ndarray
    log_count: np.ndarray
    picture: np.ndarray  # [rows, 2] the size of a filtered row's picture

    def begin(self, count: int, channels: int) -> None:
        """Hold so many rows that nothing has happened to."""
        self._hold(*(kind.repeat(count, axis=1) for kind in _blank(channels)))

    def repeat_rows(self, rows: np.ndarray) -> None:
        """Hold some rows once more, at the end."""
        self._hold(
            *(
                np.concatenate([kind, kind.take(rows, axis=1)], axis=1)
                for kind in (self._floats, self._ints)
            )
        )

    def _hold(self, floats: np.ndarray, ints: np.ndarray) -> None:
        self._floats, self._ints = floats, ints
        n = floats.shape[1]
        fields = self.__dict__
        fields["inv_matrix"] = floats[:9].reshape(3, 3, n).transpose(2, 0, 1)
        fields["footprint"] = floats[9:13].reshape(2, 2, n).transpose(2, 0, 1)
        for name, kind, part in _PARTS:
            fields[name] = (ints if kind else floats)[part].T
        fields["fill"] = floats[_FILL:].T


# (name, how many numbers each has), of floats behind the matrices and before the fill, and of ints.
_FLOATS = (("clip", 4), ("sight", 4), ("slope", 1), ("strength", 1), ("filter", FILTER_ARGS))
_INTS = (
    ("source", 1), ("seen_size", 2), ("frame", 2), ("warped", 1), ("fill_start", 1),
    ("step_count", 1), ("log_count", 1), ("picture", 2),
)  # fmt: skip


def _parts() -> tuple[tuple[str, bool, slice | int], ...]:
    """(name, whether of ints, where)."""
    parts: list[tuple[str, bool, slice | int]] = []
    for whole, named in ((False, _FLOATS), (True, _INTS)):
        edges = accumulate((count for _, count in named), initial=0 if whole else 13)
        for (name, count), (begin, end) in zip(named, pairwise(edges), strict=True):
            parts.append((name, whole, begin if count == 1 else slice(begin, end)))
    return tuple(parts)


_PARTS = _parts()
_FILL = 13 + sum(count for _, count in _FLOATS)


@cache
def _blank(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """What is held for one row before anything happens, [numbers, 1]."""
    blank = Rows()
    blank._hold(
        np.zeros((_FILL + channels, 1)), np.zeros((sum(count for _, count in _INTS), 1), np.int64)
    )
    blank.inv_matrix[:], blank.footprint[:] = SAME, SAME[:2, :2]
    blank.slope[:], blank.strength[:], blank.fill[:] = ANTIALIASED_SLOPE, 1, np.nan
    return blank._floats, blank._ints
