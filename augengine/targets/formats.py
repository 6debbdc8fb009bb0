"""Formats of boxes, by torchvision's names: read as corners, and written from them.

Corners are [k, 4, 2] (x, y) in pixels, clockwise from the top left one of the box itself. Angles of rotated
boxes are in degrees, counter-clockwise as seen.
"""

from __future__ import annotations

import numpy as np

from . import shapes

# Numbers of a box in each format. Those of 'YOLO' (centre, width, height) and 'XYXYN' are shares of the
# image's width and height.
COLUMNS = {
    "XYXY": 4,
    "XYWH": 4,
    "CXCYWH": 4,
    "XYWHR": 5,
    "CXCYWHR": 5,
    "XYXYXYXY": 8,
    "YOLO": 4,
    "XYXYN": 4,
}
ROTATED, NORMALISED = ("XYWHR", "CXCYWHR", "XYXYXYXY"), ("YOLO", "XYXYN")
# Other names of the same.
_SAME = {"COCO": "XYWH", "PASCAL_VOC": "XYXY", "ALBUMENTATIONS": "XYXYN"}


def format_name(where: str, format: object) -> str:
    """The name of a format that a user passes, torchvision's BoundingBoxFormat included."""
    name = str(getattr(format, "value", format)).upper()
    name = _SAME.get(name, name)
    if name not in COLUMNS:
        raise ValueError(
            f"{where}: got format {format!r}, expected one of {', '.join((*COLUMNS, *_SAME))}. Pass one of "
            "these."
        )
    return name


def corners_of(boxes: np.ndarray, format: str, sizes: np.ndarray) -> np.ndarray:
    """[k, 4, 2] of boxes [k, columns] of images of sizes [k, 2] (height, width)."""
    if format in NORMALISED:
        boxes = boxes * sizes[:, [1, 0, 1, 0]]
    if format == "XYXYXYXY":
        return boxes.reshape(-1, 4, 2)
    if format in ("XYWHR", "CXCYWHR"):
        along = _direction(boxes[:, 4])
        down = np.stack([-along[:, 1], along[:, 0]], axis=1)
        width, height = along * boxes[:, 2:3], down * boxes[:, 3:4]
        first = boxes[:, :2]
        if format == "CXCYWHR":
            first = first - (width + height) / 2
        return np.stack([first, first + width, first + width + height, first + height], axis=1)
    if format == "XYWH":
        boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    elif format in ("CXCYWH", "YOLO"):
        half = boxes[:, 2:] / 2
        boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return shapes.of_boxes(boxes)


def upright_boxes(extents: np.ndarray, format: str, size: tuple[int, int]) -> np.ndarray:
    """[m, 4] boxes in a format that does not rotate, from [m, 4] of x0, y0, x1, y1; size: (height,
    width) of their image."""
    if format in ("XYWH", "CXCYWH", "YOLO"):
        low, side = extents[:, :2], extents[:, 2:] - extents[:, :2]
        extents = np.concatenate([low if format == "XYWH" else low + side / 2, side], axis=1)
    if format in NORMALISED:
        height, width = size
        extents = extents / [width, height, width, height]
    return extents


def rotated_boxes(corners: np.ndarray, format: str) -> np.ndarray:
    """[m, columns] boxes in a format that rotates, from corners [m, 4, 2], of a mirrored box too.

    Where corners are those of no rectangle, such as after a shear, 'XYWHR' and 'CXCYWHR' take the one
    about their longer diagonal, along their longer edge, as torchvision does.
    """
    first, second, third, fourth = corners.transpose(1, 0, 2)
    mirrored = _cross(second - first, fourth - first) < 0
    order = np.where(mirrored[:, None], [1, 0, 3, 2], [0, 1, 2, 3])
    corners = np.take_along_axis(corners, order[..., None], axis=1)
    if format == "XYXYXYXY":
        return corners.reshape(-1, 8)
    first, second, third, fourth = corners.transpose(1, 0, 2)
    top, left = second - first, fourth - first
    diagonal, other = third - first, fourth - second
    shorter = _length(diagonal) < _length(other)
    # The other diagonal, from the second corner on, seen along the top.
    centre = np.where(shorter[:, None], second + fourth, first + third) / 2
    diagonal = np.where(shorter[:, None], other, diagonal)
    wide = (_length(top) >= _length(left))[:, None]
    along = np.where(wide, top, np.stack([left[:, 1], -left[:, 0]], axis=1))
    along = along / np.maximum(_length(along), 1e-12)[:, None]
    down = np.stack([-along[:, 1], along[:, 0]], axis=1)
    width, height = (np.abs((diagonal * axis).sum(axis=1))[:, None] for axis in (along, down))
    angle = np.degrees(np.arctan2(-along[:, 1], along[:, 0]))[:, None]
    anchor = centre - (along * width + down * height) / 2 if format == "XYWHR" else centre
    return np.concatenate([anchor, width, height, angle], axis=1)


def _direction(angle_deg: np.ndarray) -> np.ndarray:
    """[k, 2] the way to the right, turned counter-clockwise as seen: y points down."""
    angle = np.radians(angle_deg)
    return np.stack([np.cos(angle), -np.sin(angle)], axis=1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.hypot(vectors[:, 0], vectors[:, 1])
