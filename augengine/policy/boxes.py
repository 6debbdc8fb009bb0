"""Boxes of the images, for ops that choose by what is in a picture: checked, and as they lie in a draft's
frames by now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..checks import shown
from ..plan.maps import inverses
from . import geometry

if TYPE_CHECKING:
    from .draft import Draft


class BoxesOfImages(NamedTuple):
    """Boxes of all samples, one sample's behind the other's."""

    boxes: np.ndarray  # [m, 4] float64 x0, y0, x1, y1 in pixels of the image
    counts: np.ndarray  # [n] how many each sample has


def checked_boxes(where: str, boxes: Sequence, images: int) -> BoxesOfImages:
    """For each image [k, 4] (x0, y0, x1, y1), empty where there are none; or ValueError."""
    if len(boxes) != images:
        raise ValueError(
            f"{where}: got boxes of {len(boxes)} images, expected those of {images}. Pass an array [k, 4] "
            "for each, empty where there are none; those of partners come last."
        )
    parts = [_checked(f"{where}: image {i}", part) for i, part in enumerate(boxes)]
    count = np.array([len(part) for part in parts], np.int64)
    return BoxesOfImages(np.concatenate([np.zeros((0, 4)), *parts]), count)


def _checked(where: str, part) -> np.ndarray:
    format = getattr(part, "format", None)
    name = getattr(format, "value", format)
    if name is not None and name != "XYXY":
        raise ValueError(
            f"{where}: got boxes as {shown(name)}, expected XYXY. Convert them: "
            "torchvision.transforms.v2.functional.convert_bounding_box_format."
        )
    try:
        array = np.asarray(part, np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{where}: got {shown(part)}, expected an array [k, 4] of numbers, x0, y0, x1, y1 in pixels. "
            "Pass numbers."
        ) from None
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(
            f"{where}: got boxes of shape {list(array.shape)}, expected [k, 4], x0, y0, x1, y1 in pixels. "
            "Leave other columns out."
        )
    right = np.isfinite(array).all(axis=1) & (array[:, :2] <= array[:, 2:]).all(axis=1)
    if not right.all():
        at = int(np.flatnonzero(~right)[0])
        raise ValueError(
            f"{where}: box {at} is {array[at].tolist()}, expected finite numbers with x0 ≤ x1 and y0 ≤ y1. "
            "Mend what makes them."
        )
    return array


def boxes_in_frames(draft: Draft, given: BoxesOfImages, rows) -> tuple[np.ndarray, np.ndarray]:
    """The boxes as they lie in the frames of `rows` by now: [m, 4] (y0, x0, y1, x1), and [m] which of
    the rows each is of, in order. Each is the bounding box of what crops have left of it; those of which
    nothing is left are not among them."""
    chain = [rows]  # the views on the way to the images
    while True:
        last = chain[-1]
        looked_at = np.where(last >= 0, draft.source[last], 0) - len(draft)
        if (looked_at < 0).all():
            break
        chain.append(np.where(looked_at >= 0, looked_at, -1))
    root = rows
    for views in chain:
        root = np.where(views >= 0, draft.source[views], root)
    count = given.counts[root]
    of = np.repeat(np.arange(len(rows)), count)
    ends = np.cumsum(given.counts)
    within = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    boxes = given.boxes[(ends - given.counts)[root][of] + within][:, [1, 0, 3, 2]]
    there = np.ones(len(of), bool)
    for views in reversed(chain):
        which = np.flatnonzero(views[of] >= 0)
        view = views[of][which]
        part = _cut(boxes[which], draft.clip[view])
        forward, regular = inverses(draft.inv_matrix[view])
        top, left, bottom, right = part.T
        part = geometry.bounds(forward, top, left, bottom - top, right - left)
        frame = draft.frame[view]
        boxes[which] = _cut(part, np.concatenate([0 * frame, frame], axis=1))
        there[which] &= regular
    there &= (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
    return boxes[there], of[there]


def _cut(boxes, limits):
    """Boxes cut to limits, both [m, 4] (y0, x0, y1, x1); empty ones lie on an edge."""
    low = np.minimum(np.maximum(boxes[:, :2], limits[:, :2]), limits[:, 2:])
    return np.concatenate([low, np.clip(boxes[:, 2:], low, limits[:, 2:])], axis=1)
