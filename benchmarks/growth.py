"""How the time of an image grows: with the batch, the output, the source, threads, ops and channels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

import augengine as ae
from augengine.demo import measure
from augengine.demo.race import MOST_SPREAD, OURS, beside

from . import images, memory
from .contenders import ours
from .workloads import MEAN, OUTPUT, STD, Row

REGIME = "growth"
BESIDE = ("variopinta", "augrs", "albumentations", "torchvision v2")
OPS: tuple[ae.Op, ...] = (
    ae.RandomRotation(15),
    ae.RandomBrightness(0.2),
    ae.RandomGrayscale(0.2),
    ae.RandomSolarize("#80", p=0.2),
    ae.ColorJitter(0.4, 0.4, 0.4),
    ae.RandomVerticalFlip(),
    ae.RandomPerspective(0.2, p=1),
    ae.RandomPosterize(4, p=0.2),
    ae.ColorJitter(hue=0.1),
    ae.RandomGamma((0.8, 1.25)),
)
# Along each axis the points of a quick run, and those that a full one has beside them.
POINTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "batch": ((1, 4, 16, 64, 256), (1024,)),
    "output": ((32, 64, 128, 224, 512), (1024,)),
    "source": ((256, 512, 1000, 2000), (4000,)),
    "ops": ((0, 1, 2, 4, 7, 10), (3, 5, 6, 8, 9)),
    "channels": ((1, 2, 3, 4, 8, 16), ()),
}
PIXELS = 16 << 20  # that a batch of large images has, at most


def rows(full: bool) -> Iterator[tuple[str, int, Row]]:
    """(axis, where along it, what is measured there), but for threads."""
    for axis, (quick, more) in POINTS.items():
        for at in sorted((*quick, *(more if full else ()))):
            yield axis, at, _row(axis, at)


def _row(axis: str, at: int) -> Row:
    size = at if axis == "output" else OUTPUT
    channels = at if axis == "channels" else 3
    added = OPS[:at] if axis == "ops" else ()
    mean, std = (MEAN, STD) if channels == 3 else ((0.5,) * channels, (0.25,) * channels)
    # A source is antialiased, since without that a shrink reads few of its pixels.
    crop = ae.RandomResizedCrop(size, antialias=axis == "source")
    policy = ae.Policy([crop, ae.RandomHorizontalFlip(), *added, ae.Normalize(mean, std)])
    drawn: Any = images.listed
    batch: int | None = None
    if axis == "channels":
        drawn = partial(images.of_channels, channels)
    elif axis == "source":
        drawn = partial(_squares, at)
        batch = max(4, min(32, PIXELS // at**2))
    elif axis == "output":
        batch = max(4, min(32, PIXELS // at**2))
    elif axis == "batch":
        batch = at
    return Row(f"{REGIME}: {axis}", str(at), policy, drawn, batch)


def _squares(side: int, count: int) -> list[np.ndarray]:
    return [images.enlarged(i, (side, side)) for i in range(count)]


def measured(axis: str, at: int, row: Row, batch: int, rounds: int) -> dict[str, Any]:
    """A row of the result, with its place along the axis.

    Args:
        axis: What grows.
        at: Its value.
        row: What is measured.
        batch: Number of images in a batch, where the row names none.
        rounds: Number of rounds.
    """
    return memory.measured(row, batch, rounds, BESIDE) | {"axis": axis, "at": at}


def threads(batch: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Ours on one thread, two, and so on to all cores.

    Args:
        batch: Number of images in a batch.
        rounds: Number of rounds.
    """
    row = _row("ops", 0)
    work, copy = ours(row.policy, images.listed(batch)), measure.copier()
    before = torch.get_num_threads()
    cores, at = os.cpu_count() or 1, 1
    try:
        while at <= cores:
            torch.set_num_threads(at)
            found = beside({OURS: work, memory.COPY: copy}, rounds)[OURS]
            yield {
                "regime": f"{REGIME}: threads",
                "name": str(at),
                "axis": "threads",
                "at": at,
                "batch": batch,
                "outputs": batch,
                "added_to": None,
                "floor": None,
                "contenders": {
                    OURS: {
                        "seconds": found.theirs.seconds,
                        "ours": found.ours.seconds,
                        "spread": found.spread,
                        "steady": found.spread <= MOST_SPREAD,
                        "notes": [],
                    }
                },
                "left_out": {},
            }
            at *= 2
    finally:
        torch.set_num_threads(before)
