"""Boxes and points as users have them, checked, with the sample named where something is wrong."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import NamedTuple, Protocol

import numpy as np
import torch

from .formats import COLUMNS, NORMALISED, ROTATED, corners_of, format_name

# Pixels by which a box may reach over its image's edge, as annotations do that were rounded.
OUTSIDE = 1.0
# A rotated box's area over the squares of its sides, nearer to 0 than which it is a line.
LINE = 1e-4


class HasImages(Protocol):
    """The images that targets are of, such as a plan's sources."""

    @property
    def ids(self) -> np.ndarray: ...

    @property
    def sizes(self) -> np.ndarray: ...


class Images(NamedTuple):
    """Images where there is no plan yet."""

    ids: np.ndarray  # [B]
    sizes: np.ndarray  # [B, 2] height and width


class ReadBoxes(NamedTuple):
    """The boxes of all sources, one source's behind the other's."""

    corners: np.ndarray  # [k, 4, 2] float64 (x, y) in pixels, clockwise from the top left
    counts: np.ndarray  # [B] how many each source has
    format: str


def sample_name(images: HasImages, b: int) -> str:
    """Words for source b in messages."""
    return f"sample {b} (id {images.ids[b]})"


def check_count(where: str, images: HasImages, given: Sized) -> None:
    """Raise unless there is one for each source."""
    if len(given) != len(images.ids):
        raise ValueError(
            f"{where}: got those of {len(given)} images, the plan has {len(images.ids)} sources. Pass one "
            "for each, partners included, and empty ones where there are none."
        )


def read_boxes(where: str, images: HasImages, boxes: Sequence, format: object = None) -> ReadBoxes:
    """Boxes of all sources, checked.

    Args:
        where: Name of what the user called, for messages.
        images: The images that they are of: a plan has them.
        boxes: For each source [k, columns]: tensors, arrays, lists, or torchvision's BoundingBoxes.
        format: Name of their format; None is that of the BoundingBoxes, or 'XYXY'.
    """
    check_count(where, images, boxes)
    name = _format_of(where, images, boxes, format)
    columns = COLUMNS[name]
    arrays = [_rows(where, images, b, part, columns, name) for b, part in enumerate(boxes)]
    count = np.array([len(part) for part in arrays], np.int64)
    every = np.concatenate([np.zeros((0, columns)), *arrays])
    source = np.repeat(np.arange(len(count)), count)
    if not np.isfinite(every).all():
        at = int(np.flatnonzero(~np.isfinite(every).all(axis=1))[0])
        _refuse(where, images, every, source, at, "finite numbers", "Mend what makes them")
    sizes = images.sizes.astype(np.float64)[source]
    corners = corners_of(every, name, sizes)
    _check_sides(where, images, every, source, name, corners)
    if name not in ROTATED:
        _check_places(where, images, every, source, name, corners, sizes)
    return ReadBoxes(corners, count, name)


def check_canvas(where: str, images: HasImages, b: int, part: object) -> None:
    """Raise for boxes or points of torchvision's classes that are of an image of another size."""
    canvas = getattr(part, "canvas_size", None)
    if canvas is not None and tuple(canvas) != tuple(images.sizes[b]):
        height, width = images.sizes[b]
        raise ValueError(
            f"{where}: got {type(part).__name__} of canvas_size {tuple(canvas)} for {sample_name(images, b)}, "
            f"whose image is {height}×{width}, expected its size. Pass those of this image."
        )


def array_of(value: object) -> np.ndarray:
    """A tensor of any dtype and device, an array or lists; lists of several lengths are an empty array of
    objects."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    try:
        return np.asarray(value)
    except ValueError:
        return np.zeros(0, object)


def _format_of(where: str, images: HasImages, boxes: Sequence, format: object) -> str:
    """The one format of all boxes."""
    asked = None if format is None else format_name(where, format)
    name = asked
    for b, part in enumerate(boxes):
        own = getattr(part, "format", None)
        if own is None:
            continue
        own = format_name(where, own)
        if name is not None and own != name:
            raise ValueError(
                f"{where}: got {own} for {sample_name(images, b)}, expected {name} as "
                f"{'asked for' if asked else 'for those before it'}. Convert them: "
                "torchvision.transforms.v2.functional.convert_bounding_box_format."
            )
        name = own
        check_canvas(where, images, b, part)
    return name or "XYXY"


def _rows(
    where: str, images: HasImages, b: int, part: object, columns: int, name: str
) -> np.ndarray:
    """One source's boxes as [k, columns] numbers."""
    rows = array_of(part)
    if rows.size == 0 and rows.dtype != object:
        return np.zeros((0, columns))
    if rows.ndim != 2 or rows.shape[1] != columns or rows.dtype.kind not in "iuf":
        raise ValueError(
            f"{where}: got {rows.dtype} {list(rows.shape)} for {sample_name(images, b)}, expected numbers "
            f"[k, {columns}] in the format {name}. Pass an array of boxes, or name another format=: "
            f"{', '.join(COLUMNS)}."
        )
    return rows


def _refuse(where, images: HasImages, every, source, at: int, expected: str, fix: str) -> None:
    number = at - int(np.searchsorted(source, source[at]))
    height, width = images.sizes[source[at]]
    raise ValueError(
        f"{where}: got box {number} of {sample_name(images, source[at])}, {every[at].tolist()}, in an image of "
        f"{height}×{width}, expected {expected}. {fix}."
    )


def _check_sides(where, images: HasImages, every, source, name: str, corners) -> None:
    """No box is reversed. (One of no width or height is a box that is never seen.)"""
    if name in ("XYXY", "XYXYN"):
        wrong, expected = every[:, 2:] < every[:, :2], "x0 ≤ x1 and y0 ≤ y1"
    elif name == "XYXYXYXY":
        first, second, _, fourth = corners.transpose(1, 0, 2)
        top, left = second - first, fourth - first
        area = top[:, 0] * left[:, 1] - top[:, 1] * left[:, 0]
        # A line in float32 may have an area below 0.
        least = -LINE * (top**2 + left**2).sum(axis=1)
        wrong, expected = (area < least)[:, None], "corners clockwise from the top left"
    else:
        wrong, expected = every[:, 2:4] < 0, "a width and a height of 0 or more"
    if wrong.any():
        at = int(np.flatnonzero(wrong.any(axis=1))[0])
        _refuse(
            where, images, every, source, at, expected, "Order its numbers, or name its format="
        )


def _check_places(where, images: HasImages, every, source, name: str, corners, sizes) -> None:
    """No box lies outside of its image, nor looks as if it were meant otherwise."""
    low, high = corners[:, 0], corners[:, 2]
    outside = (low < -OUTSIDE) | (high > sizes[:, ::-1] + OUTSIDE)
    if outside.any():
        at = int(np.flatnonzero(outside.any(axis=1))[0])
        fix = (
            "Cut them to the image: torchvision.transforms.v2.functional.clamp_bounding_boxes; or name "
            "their format="
        )
        _refuse(
            where, images, every, source, at, f"one within the image, in the format {name}", fix
        )
    if name not in NORMALISED and len(every):
        # All of an image's boxes in its first pixel: shares of the image, in all likelihood.
        begin = np.flatnonzero(np.diff(source, prepend=-1))
        highest = np.maximum.reduceat(every.max(axis=1), begin)
        sides = (high - low).min(axis=1)
        narrowest = np.minimum.reduceat(np.where(sides > 0, sides, 1), begin)
        normalised = np.flatnonzero((highest <= 1) & (narrowest < 1))
        if len(normalised):
            expected = f"pixels, in the format {name}"
            fix = "Name the format of shares: format='YOLO' (CXCYWH) or 'XYXYN'"
            _refuse(where, images, every, source, int(begin[normalised[0]]), expected, fix)
