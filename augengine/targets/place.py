"""Where views show what lies in their sources: forward maps, chains of views, what is cut on the way."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..plan import Plan, maps
from . import shapes

# Of what a map's third coordinate spans: nearer to the horizon nothing is told apart.
HORIZON = 1e-9


class Shapes(NamedTuple):
    """n polygons of sources as views show them, in output pixels; arrays as in `shapes`."""

    seen: (
        np.ndarray
    )  # [2, k, n] what is left of each on the way; the output's frame does not cut it
    whole: np.ndarray  # [2, 4, n] all of each
    bounded: np.ndarray  # [n] whether all of it lies before the horizon; else `whole` means nothing


def forward_matrices(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """[V, 3, 3] the inverses of the views' matrices in float64, source → view, seen where the third
    coordinate is above 0; and [V] whether there is one. A degenerate view has zeros."""
    return maps.inverses(maps.own(plan, np.arange(len(plan.source))))


def chains(plan: Plan, views: np.ndarray) -> np.ndarray:
    """[d, n] each view and the views that it looks through, up to that which looks at an image; then −1."""
    images, steps = len(plan.ids), [views]
    while True:
        last = steps[-1]
        source = np.where(last >= 0, plan.source[last], 0)
        onwards = np.where((last >= 0) & (source >= images), source - images, -1)
        if (onwards < 0).all():
            return np.stack(steps)
        steps.append(onwards)


def root_views(plan: Plan, views: np.ndarray) -> np.ndarray:
    """[n] of each view the last that it looks through, which looks at an image."""
    chain = chains(plan, views)
    last = (chain >= 0).sum(axis=0) - 1
    return chain[last, np.arange(len(views))]


def place(plan: Plan, views: np.ndarray, corners: np.ndarray) -> Shapes:
    """Convex quadrilaterals of the images, each as one view shows it.

    views: [n] the view of each. corners: [2, 4, n] in the pixels of the image that it looks at.
    """
    forward, there = forward_matrices(plan)
    seen = whole = corners
    bounded = np.ones(len(views), bool)
    chain = chains(plan, views)
    for at in reversed(range(len(chain))):
        some = np.flatnonzero(chain[at] >= 0)
        which = slice(None) if len(some) == len(views) else some
        step = chain[at, which]
        matrix = forward[step].transpose(1, 2, 0)
        part = shapes.cut_to(seen[..., which], plan.clip[step].T.astype(np.float64))
        part, _ = _mapped(matrix, part, cuts=True)
        all_of_it, before = _mapped(matrix, whole[..., which], cuts=False)
        if at > 0:
            height, width = plan.frame[step].T.astype(np.float64)
            part = shapes.cut_to(part, np.stack([0 * height, 0 * width, height, width]))
        seen, whole = _with(seen, which, part), _with(whole, which, all_of_it)
        bounded[which] &= before & there[step]
    return Shapes(seen, whole, bounded)


def place_points(
    plan: Plan, views: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points of the images as views show them, [2, k, n], and [k, n] whether they lie in the output,
    and in no part that was cut off on the way.

    views: [n] the view of each set. points: [2, k, n] in the pixels of the image that it looks at.
    """
    forward, there = forward_matrices(plan)
    moved, kept = points.copy(), np.ones(points.shape[1:], bool)
    chain = chains(plan, views)
    for at in reversed(range(len(chain))):
        which = np.flatnonzero(chain[at] >= 0)
        step = chain[at, which]
        kept[:, which] &= _within(moved[..., which], plan.clip[step].T.astype(np.float64))
        x, y, w = _homogeneous(forward[step].transpose(1, 2, 0), moved[..., which])
        kept[:, which] &= (w > 0) & there[step]
        moved[..., which] = np.stack([x, y]) / np.where(w == 0, 1, w)
        size = plan.frame[step].T if at > 0 else np.array(plan.finish.size)[:, None]
        height, width = size.astype(np.float64)
        frame = np.stack([0 * height, 0 * width, height, width])
        kept[:, which] &= _within(moved[..., which], frame)
    return moved, kept


def mirrors(plan: Plan, views: np.ndarray) -> np.ndarray:
    """[n] whether each view shows left and right exchanged. A half turn exchanges nothing."""
    # Before the horizon a map's local determinant has the sign of the whole one.
    return np.linalg.det(maps.to_images(plan, views)) < 0


def _within(points: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """[k, n] whether points lie in rectangles, their edges included."""
    (x, y), (y0, x0, y1, x1) = points, rectangles
    return (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)


def apply(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[2, k, n] points after matrices [n, 3, 3]."""
    x, y, w = _homogeneous(matrices.transpose(1, 2, 0), points)
    return np.stack([x, y]) / np.where(w == 0, 1, w)


def _mapped(matrix: np.ndarray, polygons: np.ndarray, cuts: bool) -> tuple[np.ndarray, np.ndarray]:
    """Polygons after matrices [3, 3, n], and [n] whether all of each lies before the horizon. cuts: what
    lies behind it is cut off first."""
    affine = (matrix[2, 0] == 0) & (matrix[2, 1] == 0) & (matrix[2, 2] == 1)
    if affine.all():
        return np.stack([*_homogeneous(matrix[:2], polygons)]), affine
    x, y, w = _homogeneous(matrix, polygons)
    least = HORIZON * np.abs(w).max(axis=0)
    before = ((w > 0) & (w >= least)).all(axis=0)
    if cuts and not before.all():
        polygons = shapes.cut(polygons, w - least)
        x, y, w = _homogeneous(matrix, polygons)
        w = np.where(w > 0, w, np.inf)  # what is wholly behind it becomes one point
    return np.stack([x, y]) / np.where(w == 0, 1, w), before


def _homogeneous(matrix: np.ndarray, points: np.ndarray):
    x, y = points
    return (row[0] * x + row[1] * y + row[2] for row in matrix)


def _with(polygons: np.ndarray, which: np.ndarray | slice, changed: np.ndarray) -> np.ndarray:
    """Polygons, some of them changed."""
    if isinstance(which, slice):
        return changed
    most = max(polygons.shape[1], changed.shape[1])
    result = shapes.widened(polygons, most).copy()
    result[..., which] = shapes.widened(changed, most)
    return result
