"""Keypoints: where a plan puts them, and whether each is seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from ..plan import Plan
from .place import mirrors, place_points
from .read import array_of, check_canvas, check_count, sample_name
from .refuse import check_followed
from .shares import Looks, ends_of, row_of, spread

# Points of one image: [k, P, 2 or 3], or [k, 2 or 3].
PointArray: TypeAlias = np.ndarray | torch.Tensor | Sequence[Sequence[Sequence[float]]]
# Pairs of numbers of points that a mirror exchanges.
FlipPairs: TypeAlias = Sequence[tuple[int, int]]

# Left and right among the seventeen points of COCO: eyes, ears, shoulders, elbows, wrists, hips, knees,
# ankles.
COCO_FLIP_PAIRS: FlipPairs = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))


class PlacedKeypoints(NamedTuple):
    """The keypoints of one output."""

    keypoints: np.ndarray  # [m, P, 2 or 3] float32, or [m, 2 or 3], as they came
    origin: np.ndarray  # [m, 2] int64: the source, and the instance's index there
    visible: np.ndarray  # [m, P] bool, or [m]: whether each point is seen


class ReadPoints(NamedTuple):
    """The points of all sources, one source's behind the other's."""

    points: np.ndarray  # [k, P, 2] float64 (x, y)
    visibility: np.ndarray | None  # [k, P], where a third column came
    counts: np.ndarray  # [B] how many instances each source has
    single: bool  # whether an instance is one point, without a dimension for its number


class MovedPoints(NamedTuple):
    """Instances as views show them."""

    points: np.ndarray  # [m, P, 2]
    visibility: np.ndarray | None  # [m, P]
    inside: np.ndarray  # [m, P] bool, whether a point lies in the picture
    seen: np.ndarray  # [m, P] bool, whether it is also neither covered nor erased


def keypoints(
    plan: Plan, keypoints: Sequence[PointArray], *, flip_pairs: FlipPairs = ()
) -> list[PlacedKeypoints]:
    """Keypoints as they lie in the outputs.

    An instance, such as a person, is left out where none of its points is seen; one that stays keeps all
    its points. A point's visibility, the third column, stays as it came where the point is seen (0: not
    labelled, 1: hidden, 2: seen). It becomes 1 where the point is covered or erased, and 0 where it lies
    outside of the picture.

    Coordinates are continuous, as those of boxes are: a flip takes x to W − x. torchvision's flips of
    KeyPoints count pixels, and take it to W − 1 − x.

    Args:
        plan: Plan of the batch.
        keypoints: For each source [k, P, 2] of x and y in pixels, or [k, P, 3] with a visibility; or
            [k, 2] or [k, 3] of single points. Tensors, arrays, lists, or torchvision's KeyPoints.
        flip_pairs: Pairs of points, by number, that exchange places where a view mirrors, such as a left
            and a right hand. A half turn exchanges nothing. `COCO_FLIP_PAIRS` are those of COCO.

    Returns:
        The keypoints of each output, in the order of layers.

    Raises:
        ValueError: There are not as many arrays as sources, or of other shapes.

    Example:
        >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(32, 32)])
        >>> eyes = [[[8, 12, 2], [20, 12, 2]]]
        >>> ae.keypoints(plan, [eyes], flip_pairs=[(0, 1)])[0].keypoints
        array([[[12., 12.,  2.],
                [24., 12.,  2.]]], dtype=float32)
    """
    check_followed("keypoints", plan)
    given = read_points("keypoints", plan, keypoints)
    order = flip_order("keypoints", flip_pairs, given.points.shape[1])
    looks = Looks.of(plan)
    look, number = spread(given.counts[looks.source])
    moved = move_points(
        plan, looks, look, row_of(given.counts, looks.source[look], number), given, order
    )
    keep = np.flatnonzero(moved.seen.any(axis=1))
    every = written_points(moved, given, keep)
    seen = moved.seen[keep, 0] if given.single else moved.seen[keep]
    origin = np.stack([looks.source[look], number], axis=1)[keep]
    parts = [slice(i, j) for i, j in pairwise(ends_of(looks.output[look[keep]], len(plan)))]
    return [PlacedKeypoints(every[part], origin[part], seen[part]) for part in parts]


def move_points(
    plan: Plan,
    looks: Looks,
    look: np.ndarray,
    row: np.ndarray,
    given: ReadPoints,
    order: np.ndarray,
) -> MovedPoints:
    """Instances [m], each as one look shows it. row: which of `given` each is; order: of its points in a
    mirror."""
    views = looks.view[look]
    points, inside = place_points(plan, views, given.points[row].transpose(2, 1, 0))
    seen = inside & _shown(plan, looks, look, points)
    parts = [points.transpose(2, 1, 0), inside.T, seen.T]
    visibility = None if given.visibility is None else given.visibility[row]
    if visibility is not None:
        labelled = (visibility > 0).T
        parts[0] = np.where(labelled.T[..., None], parts[0], given.points[row])
        parts[1:] = [(inside & labelled).T, (seen & labelled).T]
        parts.append(visibility)
    if (order != np.arange(len(order))).any():
        mirrored = np.flatnonzero(mirrors(plan, views))
        for part in parts:
            part[mirrored] = part[mirrored][:, order]
    points, inside, seen, *rest = parts
    if rest:
        visibility = np.where(inside, np.where(seen, rest[0], np.minimum(rest[0], 1)), 0)
    return MovedPoints(points, visibility, inside, seen)


def written_points(moved: MovedPoints, given: ReadPoints, keep: np.ndarray) -> np.ndarray:
    """Some of the instances as they came, [m, P, 2 or 3] or [m, 2 or 3] float32."""
    every = moved.points[keep]
    if moved.visibility is not None:
        every = np.concatenate([every, moved.visibility[keep][..., None]], axis=2)
    return (every[:, 0] if given.single else every).astype(np.float32)


def _shown(plan: Plan, looks: Looks, look: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[P, m] whether points [2, P, m] lie in cells where their look shows."""
    thing, cell = looks.pieces(look)
    # A point on the far edge belongs to the last pixel.
    height, width = plan.finish.size
    x, y = (
        np.minimum(points[0], width - 1e-6)[:, thing],
        np.minimum(points[1], height - 1e-6)[:, thing],
    )
    y0, x0, y1, x1 = looks.cells.box[cell].T
    inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    shown = np.zeros(points.shape[1:], bool)
    if len(thing):
        begin = np.flatnonzero(np.diff(thing, prepend=-1))
        shown[:, thing[begin]] = np.logical_or.reduceat(inside, begin, axis=1)
    return shown


def flip_order(where: str, flip_pairs: FlipPairs, count: int) -> np.ndarray:
    """[P] which point stands in each one's place in a mirror."""
    order = np.arange(count)
    for pair in flip_pairs:
        fits = len(pair) == 2 and all(isinstance(p, (int, np.integer)) and p >= 0 for p in pair)
        if not fits or (count and max(pair) >= count):
            raise ValueError(
                f"{where}: got the flip pair {pair!r}, expected two numbers of points below {count}. Number "
                "the points of an instance from 0."
            )
        if count:
            order[list(pair)] = order[list(pair)[::-1]]
    return order


def read_points(where: str, plan: Plan, keypoints: Sequence[PointArray]) -> ReadPoints:
    """Points of all sources, checked."""
    check_count(where, plan, keypoints)
    arrays: list[np.ndarray | None] = []
    shape: tuple[int, ...] | None = None
    form: tuple[int, ...] = (0, 2)  # of an instance, where there is none
    for b, part in enumerate(keypoints):
        check_canvas(where, plan, b, part)
        array = array_of(part)
        if array.size == 0 and array.dtype != object and not (array.ndim == 3 and len(array)):
            if array.ndim > 1 and array.shape[-1] in (2, 3):
                form = array.shape[1:]
            arrays.append(None)
            continue
        fits = array.ndim in (2, 3) and array.shape[-1] in (2, 3) and array.dtype.kind in "iuf"
        if not fits or shape not in (None, array.shape[1:]):
            expected = "[k, P, 2], [k, P, 3], [k, 2] or [k, 3]"
            if shape is not None:
                expected = f"[k, {', '.join(map(str, shape))}] as for those before it"
            raise ValueError(
                f"{where}: got {array.dtype} {list(array.shape)} for {sample_name(plan, b)}, expected numbers "
                f"{expected}. Give each instance all its points, with visibility 0 where there is none."
            )
        if not np.isfinite(array).all():
            raise ValueError(
                f"{where}: got NaN or infinite points for {sample_name(plan, b)}, expected finite numbers. "
                "Give a point that is not known the place 0, 0 and the visibility 0, in a third column."
            )
        shape = array.shape[1:]
        arrays.append(array.astype(np.float64))
    shape = form if shape is None else shape
    count = np.array([0 if array is None else len(array) for array in arrays], np.int64)
    every = np.concatenate([np.zeros((0, *shape)), *(a for a in arrays if a is not None)])
    single = every.ndim == 2
    every = every[:, None] if single else every
    visibility = every[..., 2] if every.shape[2] == 3 else None
    return ReadPoints(every[..., :2], visibility, count, single)
