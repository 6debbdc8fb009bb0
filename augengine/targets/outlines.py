"""Polygons, such as COCO's segmentations: moved by a plan, and cut to what their view shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from ..plan import Plan
from . import shapes
from .boxes import ROUNDING
from .place import place
from .read import array_of, check_count, sample_name
from .refuse import check_followed
from .shares import Looks, ends_of, row_of, spread

# A ring of points: flat x0, y0, x1, y1, …, or [n, 2].
Ring: TypeAlias = np.ndarray | torch.Tensor | Sequence[float] | Sequence[Sequence[float]]
# Instances of one image, each of one ring or several.
Outlines: TypeAlias = Sequence[Sequence[Ring]]

# Square pixels below which a ring is a line.
LINE = 1e-6


class PlacedPolygons(NamedTuple):
    """The polygons of one output."""

    polygons: list[list[np.ndarray]]  # of each instance its rings [n, 2] float32
    origin: np.ndarray  # [m, 2] int64: the source, and the instance's index there
    visible: np.ndarray  # [m] float32, the share of the instance's area that is seen


class ReadRings(NamedTuple):
    """The rings of all sources, one source's behind the other's."""

    rings: list[np.ndarray]  # [n, 2] float64 each
    instance: np.ndarray  # [r] which instance each is of, counted over all sources
    counts: np.ndarray  # [B] how many instances each source has
    flat: bool  # whether they came as flat lists


class MovedRings(NamedTuple):
    """Instances as looks show them."""

    rings: list[list[np.ndarray]]  # of each instance its rings [n, 2]
    visible: np.ndarray  # [m]


def polygons(
    plan: Plan, polygons: Sequence[Outlines], *, min_visible: float = 0.1
) -> list[PlacedPolygons]:
    """Polygons as they lie in the outputs, cut to the picture and to what crops have left.

    A polygon goes on beneath what covers it, such as an erased box; how much of it is seen is said beside
    it. Where a cut parts it, its pieces stay joined along the cut.

    Args:
        plan: Plan of the batch.
        polygons: For each source a list of instances, each a list of rings, as in COCO: flat [x0, y0,
            x1, y1, …] or [n, 2], in pixels.
        min_visible: Share in [0, 1] of an instance's area below which it is left out.

    Returns:
        The polygons of each output, in the order of layers.

    Raises:
        ValueError: There are not as many lists as sources, or a ring has fewer than three points.

    Example:
        >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(32, 32)])
        >>> triangle = [[4, 4, 12, 4, 4, 12]]
        >>> ae.polygons(plan, [[triangle]])[0].polygons
        [[array([[28.,  4.],
               [20.,  4.],
               [28., 12.]], dtype=float32)]]
    """
    check_followed("polygons", plan)
    given = read_rings("polygons", plan, polygons)
    looks = Looks.of(plan)
    look, number = spread(given.counts[looks.source])
    moved = move_rings(plan, looks, look, row_of(given.counts, looks.source[look], number), given)
    keep = np.flatnonzero((moved.visible > 0) & (moved.visible >= min_visible * (1 - ROUNDING)))
    origin = np.stack([looks.source[look], number], axis=1)[keep]
    visible = moved.visible[keep].astype(np.float32)
    ends = ends_of(looks.output[look[keep]], len(plan))
    return [
        PlacedPolygons(
            [[ring.astype(np.float32) for ring in moved.rings[k]] for k in keep[i:j]],
            origin[i:j],
            visible[i:j],
        )
        for i, j in pairwise(ends)
    ]


def move_rings(
    plan: Plan, looks: Looks, look: np.ndarray, row: np.ndarray, given: ReadRings
) -> MovedRings:
    """Instances [m], each as one look shows it. row: which of `given` each is."""
    rings_of = np.bincount(given.instance, minlength=int(given.counts.sum()))
    thing, number = spread(rings_of[row])
    which = (np.cumsum(rings_of) - rings_of)[row][thing] + number
    if not len(which):
        return MovedRings([[] for _ in row], np.zeros(len(row)))
    corners = _stacked(given.rings)[..., which]
    views = looks.view[look[thing]]
    placed = place(plan, views, corners)

    piece, cell = looks.pieces(look[thing])
    box = looks.cells.box.T.astype(np.float64)[:, cell]
    seen = np.bincount(piece, shapes.area_inside(placed.seen[..., piece], box), len(thing))
    whole = shapes.area(placed.whole)
    seen_of, whole_of = (np.bincount(thing, area, len(row)) for area in (seen, whole))
    bounded = np.bincount(thing, ~placed.bounded, len(row)) == 0
    visible = np.where(bounded & (whole_of > 0), seen_of / np.where(whole_of > 0, whole_of, 1), 0)

    # About all cells of a look: what is pasted is cut to its box.
    begin = looks.first
    low = np.minimum.reduceat(looks.cells.box[:, :2], begin, axis=0)
    high = np.maximum.reduceat(looks.cells.box[:, 2:], begin, axis=0)
    window = np.concatenate([low, high], axis=1).T.astype(np.float64)[:, look[thing]]
    cut = shapes.cut_to(placed.seen, window)
    there = shapes.area(cut) > LINE
    rings: list[list[np.ndarray]] = [[] for _ in row]
    new = (cut != np.roll(cut, 1, axis=1)).any(axis=0)
    for at in np.flatnonzero(there):
        rings[thing[at]].append(cut[:, new[:, at], at].T)
    return MovedRings(rings, np.minimum(visible, 1))


def _stacked(rings: list[np.ndarray]) -> np.ndarray:
    """[2, k, r]: each ring with its last point again, up to the longest."""
    most = max(map(len, rings))
    padded = [np.concatenate([ring, np.repeat(ring[-1:], most - len(ring), 0)]) for ring in rings]
    return np.stack(padded).transpose(2, 1, 0).copy()


def read_rings(where: str, plan: Plan, polygons: Sequence[Outlines]) -> ReadRings:
    """Rings of all sources, checked."""
    check_count(where, plan, polygons)
    rings: list[np.ndarray] = []
    instance: list[int] = []
    flat = False
    number = 0
    for b, instances in enumerate(polygons):
        for outline in instances:
            if hasattr(outline, "keys"):
                raise ValueError(
                    f"{where}: got a mask as runs (RLE) for {sample_name(plan, b)}, expected polygons. Pass "
                    "it as a mask."
                )
            for ring in outline:
                points = array_of(ring)
                numbers = points.dtype.kind in "iuf"
                points = points.astype(np.float64) if numbers else np.zeros(0)
                flat |= points.ndim == 1
                fits = points.ndim == 1 and points.size % 2 == 0
                fits |= points.ndim == 2 and points.shape[1] == 2
                if not fits or points.size < 6 or not np.isfinite(points).all():
                    raise ValueError(
                        f"{where}: got a ring {list(points.shape)} for {sample_name(plan, b)}, expected "
                        "three points or more, finite, as x0, y0, x1, y1, … or [n, 2]. An instance is a "
                        "list of rings: put a single one into a list."
                    )
                rings.append(points.reshape(-1, 2))
                instance.append(number)
            number += 1
    count = np.array([len(instances) for instances in polygons], np.int64)
    return ReadRings(rings, np.array(instance, np.int64), count, flat)
