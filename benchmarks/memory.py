"""Rows of images in memory, measured: ours beside every peer, and the floor that memory sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

import augengine as ae
from augengine.demo import measure
from augengine.demo.race import MOST_SPREAD, Beside, beside

from .contenders import Field, field_of, ours, sizes_of
from .workloads import BASE, RECIPE, Row

COPY = "copy"
PLAN, NEW = "augengine, its plan alone", "augengine, new batch"
LEAST = 16  # images that a round draws: of smaller batches several
FLOORED = 8  # images whose plan says what a floor counts; of large ones that takes seconds


def measured(row: Row, batch: int, rounds: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """A row of the result.

    Args:
        row: What is measured.
        batch: Number of images in a batch, where the row names none.
        rounds: Number of rounds.
        only: Names of peers, where not all are wanted.

    Raises:
        WrongPixels: When our pixels are not torchvision's.
    """
    # At most: a run with small batches has none larger, but for images that are themselves small.
    size = batch if row.batch is None else row.batch
    made = field_of(row, size, only)
    if row.regime == RECIPE:
        made.works[PLAN] = planned(row, size)
        if row.name.startswith(BASE):
            made.works[NEW] = ours(row.policy, row.images(size), reuse=False)
    times = max(1, LEAST // size)
    works = {name: _repeated(work, times) for name, work in made.works.items()}
    taken = beside({COPY: measure.copier(), **works}, rounds)
    copy = taken.pop(COPY)
    return {
        "regime": row.regime,
        "name": row.name,
        "batch": size,
        "outputs": made.outputs * times,
        "added_to": row.added_to,
        "floor": measure.floor_seconds(_floor_bytes(row, size), copy.theirs) * times,
        "contenders": {name: entry(found, made, name) for name, found in taken.items()},
        "left_out": made.left_out,
    }


def entry(found: Beside, made: Field, name: str) -> dict[str, Any]:
    """A contender's part of a row."""
    return {
        "seconds": found.theirs.seconds,
        "ours": found.ours.seconds,
        "spread": found.spread,
        "steady": found.spread <= MOST_SPREAD,
        "notes": made.notes.get(name, []),
    }


def planned(row: Row, size: int) -> Callable[[], object]:
    """One call that decides a batch and draws nothing, the next epoch each time."""
    engine: Any = ae.Engine(row.policy)
    sizes, ids, epochs = sizes_of(row.images(size)), np.arange(size), count()
    return lambda: engine.plan(sizes, ids, next(epochs))


def _repeated(work: Any, times: int) -> Any:
    if times == 1:
        return work

    def several() -> None:
        for _ in range(times):
            work()

    return several


def _floor_bytes(row: Row, size: int) -> int:
    """Bytes that a batch must read and write, from the plans of its first images."""
    some = row.images(min(size, FLOORED))
    itemsize = some[0].dtype.itemsize
    channels = some[0].shape[2]
    needed = 0
    for policy in row.policies():
        engine: Any = ae.Engine(policy)
        plan = engine.plan(sizes_of(some), np.arange(len(some)), 0, channels=channels)
        needed += measure.floor_bytes(plan, itemsize)
    return needed * size // len(some)
