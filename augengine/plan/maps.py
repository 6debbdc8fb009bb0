"""Where a view looks, through all views on its way: matrices [n, 3, 3] float64 and what follows from them.

A view may look at what another one showed. The product of their matrices takes points of the output to
points of the image itself, and its inverse takes them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .kinds import MOST_ENTRY

if TYPE_CHECKING:
    from . import Plan

# Rounding makes a scale of 1 a little more; a wider filter would then weigh a third pixel.
_ROUNDING = 1e-4


def carriers(where: str, plan: Plan) -> np.ndarray:
    """[N] the one view of each output that carries a label. where: words that messages begin with.

    Raises ValueError for an output that has several, or none.
    """
    carries = (plan.view >= 0) & (plan.weight > 0)
    first = np.take_along_axis(plan.view, carries.argmax(axis=1)[:, None], axis=1)
    alone = carries.any(axis=1) & ((plan.view == first) | ~carries).all(axis=1)
    if not alone.all():
        i = int(np.argmin(alone))
        several = len(np.unique(plan.view[i][carries[i]]))
        raise ValueError(
            f"{where}: output {i} shows {several} views that carry its label, expected one, since a mix has "
            "no single geometry. Select the outputs without a mix, or sample the plan without CutMix, "
            "MixUp and Mosaic."
        )
    return first[:, 0]


def links(plan: Plan, views: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The views [n], then those that they look at, and so on: (which of the n rows still look at
    something, the view that does so in each)."""
    images, rows = len(plan.ids), np.arange(len(views))
    while len(rows):
        yield rows, views
        source = plan.source[views] - images
        rows, views = rows[source >= 0], source[source >= 0]


def to_images(plan: Plan, views: np.ndarray) -> np.ndarray:
    """[n, 3, 3] each view's map from its output to the image, through all views on the way."""
    total = identity(len(views))
    for rows, step in links(plan, views):
        total[rows] = product(own(plan, step), total[rows])
    return total


def own(plan: Plan, views: np.ndarray) -> np.ndarray:
    """[n, 3, 3] the views' own matrices, in float64."""
    return plan.inv_matrix[views].astype(np.float64)


def identity(n: int) -> np.ndarray:
    """[n, 3, 3]"""
    return np.broadcast_to(np.eye(3), (n, 3, 3)).copy()


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a @ b of matrices [n, 3, 3], in plain sums and products: NumPy's own has
    other bits on other machines."""
    terms = (a[..., :, k, None] * b[..., None, k, :] for k in range(3))
    return sum(terms, start=next(terms))


def inverses(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverses, zeros where there is none that a plan can hold; and [n] whether there is one.

    What lies before the horizon on one side does so on the other: the third coordinate keeps its sign.
    """
    a, b, c, d, e, f, g, h, i = np.moveaxis(matrices.reshape(-1, 9), 1, 0)
    rows = [
        [e * i - f * h, c * h - b * i, b * f - c * e],
        [f * g - d * i, a * i - c * g, c * d - a * f],
        [d * h - e * g, b * g - a * h, a * e - b * d],
    ]
    adjugate = np.stack([np.stack(row, axis=1) for row in rows], axis=1)
    with np.errstate(all="ignore"):
        inverse = adjugate / (a * rows[0][0] + b * rows[1][0] + c * rows[2][0])[:, None, None]
        there = (np.abs(inverse) <= MOST_ENTRY).all(axis=(1, 2))
    affine = (matrices[:, 2] == [0, 0, 1]).all(axis=1)
    inverse[affine, 2] = [0, 0, 1]
    return np.where(there[:, None, None], inverse, 0), there


def apply(matrices: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, k, 2] (x, y) after matrices [n, 3, 3], and [n, k] whether they lie before the horizon."""
    x, y = points[..., 0], points[..., 1]
    new_x, new_y, w = (
        matrices[:, r, 0, None] * x + matrices[:, r, 1, None] * y + matrices[:, r, 2, None]
        for r in range(3)
    )
    before = w > 0
    return np.stack([new_x, new_y], axis=-1) / np.where(before, w, 1)[..., None], before


def bounds(matrices: np.ndarray, box: np.ndarray) -> np.ndarray:
    """[n, 4] (y0, x0, y1, x1) around each box [n, 4] after its matrix; infinite where the horizon cuts it."""
    y0, x0, y1, x1 = box.T
    corners = np.stack([[x0, x1, x1, x0], [y0, y0, y1, y1]], axis=-1).transpose(1, 0, 2)
    points, before = apply(matrices, corners)
    finite = before.all(axis=1, keepdims=True)
    low = np.where(finite, points.min(axis=1), -np.inf)
    high = np.where(finite, points.max(axis=1), np.inf)
    return np.concatenate([low[:, ::-1], high[:, ::-1]], axis=1)


def within(box: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """[n, 4] the part of each box that lies within its limits; without area where none does."""
    low = np.minimum(np.maximum(box[:, :2], limits[:, :2]), box[:, 2:])
    return np.concatenate([low, np.maximum(np.minimum(box[:, 2:], limits[:, 2:]), low)], axis=1)


def whole(sizes: np.ndarray) -> np.ndarray:
    """[n, 4] the box around all of a picture, of sizes [n, 2] height and width."""
    return np.concatenate([np.zeros_like(sizes), sizes], axis=1).astype(np.float64)


def spacing(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[n, 2] how far apart, along the source's x and y, neighbouring pixels look at these points [n, 2]
    (x, y); 1 behind the horizon."""
    there, before = apply(matrices, points[:, None])
    w = (matrices[:, 2, :2] * points).sum(axis=1) + matrices[:, 2, 2]
    w = np.where(before[:, 0], w, 1)
    slopes = matrices[:, :2, :2] - there[:, 0, :, None] * matrices[:, 2, None, :2]
    spacing = np.sqrt((slopes * slopes).sum(axis=2)) / w[:, None]
    return np.where(before & np.isfinite(spacing), spacing, 1)


def filter_width(spacing: np.ndarray, most: float) -> np.ndarray:
    """[n, 2] float32 half-widths of the filter where pixels lie so far apart: a filter that shrinks weighs
    all pixels in between."""
    spacing = np.where(spacing < 1 + _ROUNDING, 1, spacing)
    return np.minimum(spacing, most).astype(np.float32)
