"""Bounding boxes: where a plan puts them, and how much of each shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from ..aliases import BoxArray
from ..plan import Plan
from ..plan.maps import to_images
from . import shapes
from .formats import ROTATED, rotated_boxes, upright_boxes
from .place import Shapes, apply, place, root_views
from .read import read_boxes
from .refuse import check_followed
from .shares import Cells, Looks, ends_of, row_of, spread

# What a box is cut to: what is seen, the picture, or nothing.
Clip: TypeAlias = Literal["visible", "frame"]

# Pixels. A part that is thinner is rounding, of float32 matrices over some thousand pixels.
THINNEST = 1e-3
# Pixels. A part that is thinner fills no pixel: a box does not reach out for it.
SLIVER = 0.5
# A share of a box that is nearer to the least is not below it.
ROUNDING = 1e-4


class PlacedBoxes(NamedTuple):
    """The boxes of one output."""

    boxes: np.ndarray  # [m, 4] float32, or as many numbers as their format has
    origin: np.ndarray  # [m, 2] int64: the source, and the box's index there
    visible: np.ndarray  # [m] float32, the share of the box's area that is seen, in [0, 1]
    share: np.ndarray  # [m] float32, how much of the pixels there is the box's image, in (0, 1]


def boxes(
    plan: Plan,
    boxes: Sequence[BoxArray],
    *,
    format: str | None = None,
    min_visible: float = 0.1,
    min_area: float = 0.0,
    min_size: float = 1.0,
    clip: Clip | None = "visible",
) -> list[PlacedBoxes]:
    """Bounding boxes as they lie in the outputs.

    A box is followed as the quadrilateral that it is: through crops, flips, turns and perspectives, in
    one step, and through filters. What crops, pictures' edges, erased boxes and pasted images take of it
    is not seen. A sample that is blended in shows where it adds half a step of a byte or more.

    Args:
        plan: Plan of the batch.
        boxes: Boxes [k, 4] of each source, in pixels, or as many numbers as their format has; tensors,
            arrays, lists, or torchvision's BoundingBoxes. Empty where there are none.
        format: Name of their format: torchvision's 'XYXY', 'XYWH', 'CXCYWH', 'XYWHR', 'CXCYWHR' or
            'XYXYXYXY', or of shares of the image's size, 'YOLO' (centre, width, height) or 'XYXYN'.
            None is that of the BoundingBoxes, or 'XYXY'. What comes out has it too.
        min_visible: Share in [0, 1] of a box's area below which it is left out.
        min_area: Area in square pixels of the output, seen, below which it is left out.
        min_size: Pixels that what is seen has at least along both sides.
        clip: What a box is cut to. 'visible' makes it the bounding box of what is seen of it, 'frame'
            that of what lies in the picture, covered or not, and None that of all of it. A box of a
            format that rotates is not cut.

    Returns:
        The boxes of each output, in the order of layers.

    Raises:
        ValueError: There are not as many arrays as sources, or boxes are no boxes of their image.

    Example:
        >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(32, 32)])
        >>> placed = ae.boxes(plan, [[[4, 4, 20, 28]]])[0]
        >>> placed.boxes
        array([[12.,  4., 28., 28.]], dtype=float32)
        >>> placed.origin, placed.visible
        (array([[0, 0]]), array([1.], dtype=float32))
    """
    check_followed("boxes", plan)
    given = read_boxes("boxes", plan, boxes, format)
    found = objects(plan, given.corners, given.counts)
    keep = np.flatnonzero(shows(found, min_visible, min_area, min_size))
    placed = written(plan, found, keep, given.format, clip).astype(np.float32)
    origin = found.origin[keep]
    visible, share = (part[keep].astype(np.float32) for part in (found.visible, found.share))
    ends = ends_of(found.output[keep], len(plan))
    return [
        PlacedBoxes(placed[i:j], origin[i:j], visible[i:j], share[i:j]) for i, j in pairwise(ends)
    ]


class Objects(NamedTuple):
    """n objects, each as it shows in one output by one view; in the order of outputs and layers."""

    output: np.ndarray  # [n]
    look: np.ndarray  # [n] which of the plan's looks shows it
    view: np.ndarray  # [n]
    origin: np.ndarray  # [n, 2] source, and index there
    shapes: Shapes
    extents: np.ndarray  # [4, n] x0, y0, x1, y1 about what is seen
    area: np.ndarray  # [n] of what is seen, in square pixels of the output
    visible: np.ndarray  # [n] the share of the whole that is seen
    share: np.ndarray  # [n] the mean of the view's share where it is seen


def objects(
    plan: Plan, corners: np.ndarray, count: np.ndarray, looks: Looks | None = None
) -> Objects:
    """The objects of all sources that an output may show, seen or not.

    corners: [k, 4, 2] convex quadrilaterals in pixels of their sources, one source's behind the other's;
    count: [B] how many each has. looks: the plan's, if they are known.
    """
    looks = Looks.of(plan) if looks is None else looks
    every = corners.transpose(2, 1, 0).copy()
    look, number = spread(count[looks.source])
    row = row_of(count, looks.source[look], number)
    # Most of what a crop leaves out need not be moved.
    low_x, low_y, high_x, high_y = shapes.extents(every)[:, row]
    y0, x0, y1, x1 = plan.clip[root_views(plan, looks.view)].T.copy()[:, look]
    kept = np.flatnonzero((low_x < x1) & (high_x > x0) & (low_y < y1) & (high_y > y0))
    look, number, mine = look[kept], number[kept], every[..., row[kept]]

    views = looks.view[look]
    placed = place(plan, views, mine)
    seen = _seen(plan, views, mine, placed, looks.cells, *looks.pieces(look))
    origin = np.stack([looks.source[look], number], axis=1)
    return Objects(looks.output[look], look, views, origin, placed, *seen)


def shows(found: Objects, min_visible: float, min_area: float, min_size: float) -> np.ndarray:
    """[n] whether an object shows as much as is asked for."""
    sides = (found.extents[2:] - found.extents[:2]).min(axis=0)
    return (
        (found.area > 0)
        & (found.visible >= min_visible * (1 - ROUNDING))
        & (found.area >= min_area * (1 - ROUNDING))
        & (sides >= min_size * (1 - ROUNDING))
    )


def written(
    plan: Plan, found: Objects, keep: np.ndarray, format: str, clip: Clip | None
) -> np.ndarray:
    """[m, columns] some of the objects in a format of boxes."""
    if format in ROTATED:  # all of it, since what is left of it may be no rectangle
        return rotated_boxes(found.shapes.whole[..., keep].transpose(2, 1, 0), format)
    return upright_boxes(bounds(plan, found, clip)[:, keep].T, format, plan.finish.size)


def bounds(plan: Plan, found: Objects, clip: Clip | None) -> np.ndarray:
    """[4, n] x0, y0, x1, y1 of the objects, cut as `boxes` says."""
    if clip == "visible":
        return found.extents
    if clip == "frame":
        frame = np.array([0, 0, *plan.finish.size], np.float64)[:, None]
        return shapes.extents_inside(found.shapes.seen, frame)
    # Of what reaches over the horizon there is no whole.
    return np.where(found.shapes.bounded, shapes.extents(found.shapes.whole), found.extents)


def _seen(plan: Plan, views, corners, placed: Shapes, cells: Cells, piece_of, cell):
    """What is seen of n shapes in the cells of their looks: extents [4, n], area, visible, share [n].

    corners: [2, 4, n] the shapes in their sources. piece_of, cell: [p] pairs of a shape and a cell, in
    the order of shapes.
    """
    n = len(placed.bounded)
    about, boxes = shapes.extents(placed.seen), cells.box.T.astype(np.float64).copy()
    y0, x0, y1, x1 = boxes[:, cell]
    low_x, low_y, high_x, high_y = about[:, piece_of]
    meets = (low_x < x1) & (high_x > x0) & (low_y < y1) & (high_y > y0)
    piece_of, cell = piece_of[meets], cell[meets]

    box = boxes[:, cell]
    low, high = box[[1, 0]], box[[3, 2]]
    extents = np.concatenate(
        [np.maximum(about[:2, piece_of], low), np.minimum(about[2:, piece_of], high)]
    )
    area = (extents[2] - extents[0]) * (extents[3] - extents[1])
    slanted = np.flatnonzero(~shapes.upright(placed.seen)[piece_of])
    if len(slanted):
        polygons = placed.seen[..., piece_of[slanted]]
        extents[:, slanted] = shapes.extents_inside(polygons, box[:, slanted])
        area[slanted] = shapes.area_inside(polygons, box[:, slanted])
    there = (extents[2] - extents[0] > THINNEST) & (extents[3] - extents[1] > THINNEST)
    piece_of, cell, extents, area = piece_of[there], cell[there], extents[:, there], area[there]

    thick = ((extents[2:] - extents[:2]) >= SLIVER).all(axis=0)
    thick |= ~(np.bincount(piece_of, thick, n) > 0)[piece_of]
    about_all, of_thick = np.zeros((4, n)), extents[:, thick]
    begin = np.flatnonzero(np.diff(piece_of[thick], prepend=-1))
    if len(begin):
        shown = piece_of[thick][begin]
        about_all[:2, shown] = np.minimum.reduceat(of_thick[:2], begin, axis=1)
        about_all[2:, shown] = np.maximum.reduceat(of_thick[2:], begin, axis=1)
    total = np.bincount(piece_of, area, n)
    blended = np.bincount(piece_of, area * cells.share[cell], n)
    share = blended / np.where(total > 0, total, 1)

    whole = shapes.area(placed.whole)
    visible = np.where(placed.bounded, total, 0) / np.where(whole > 0, whole, 1)
    # What reaches over the horizon has no area there: its part is measured where it comes from.
    over = np.flatnonzero(~placed.bounded[piece_of])
    if len(over):
        back = to_images(plan, views[piece_of[over]])
        parts = shapes.cut_to(placed.seen[..., piece_of[over]], box[:, there][:, over])
        part = np.bincount(piece_of[over], shapes.area(apply(back, parts)), n)
        whole = shapes.area(corners)
        visible = np.where(placed.bounded, visible, part / np.where(whole > 0, whole, 1))
    return about_all, total, np.minimum(visible, 1), share
