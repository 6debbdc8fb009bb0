"""Targets drawn on a picture: boxes, masks, keypoints and polygons, each instance in its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..targets.fields import NAMES, is_picture, tv_name
from ..targets.formats import corners_of, format_name

if TYPE_CHECKING:
    from PIL import ImageDraw

# Told apart on dark and light ground, and by people who see red as green (Okabe and Ito's, brightened).
COLOURS = (
    (255, 176, 0), (86, 190, 255), (0, 200, 140), (255, 240, 80), (60, 130, 255), (255, 110, 60),
    (240, 130, 210), (200, 200, 200),
)  # fmt: skip
VEIL = 0.5  # of a mask over the picture
IGNORED = 255  # the class that losses pass over


def overlay(
    picture: np.ndarray,
    target: Any,
    *,
    side: int | None = None,
    box_format: str = "XYXY",
    names: Sequence[str] | Mapping[int, str] | None = None,
    words: bool = True,
) -> np.ndarray:
    """A picture with a target drawn on.

    Args:
        picture: Array uint8 (H, W, 3).
        target: Target of the image, as `Engine` takes and gives it: a dict, boxes or keypoints of torchvision's
            classes, or a mask of classes. Class 0 of such a mask is the ground, and 255 is ignored: both stay
            clear.
        side: Pixels a side of a square into which the result is fitted, so that lines and words are as wide
            as they are meant; None keeps the picture's size.
        box_format: Name of the format of boxes that do not say theirs.
        names: Names of the classes, by number.
        words: Whether boxes say their classes.

    Returns:
        Array uint8, of the picture's size or fitted.

    Raises:
        ValueError: The target does not go with the picture.
        ImportError: Pillow is not installed.

    Example:
        >>> from augengine.preview import overlay
        >>> picture = np.zeros((40, 60, 3), np.uint8)
        >>> overlay(picture, {"boxes": torch.tensor([[5, 5, 30, 30]]), "labels": [1]})[5, 20].tolist()
        [86, 190, 255]
    """
    from PIL import Image, ImageDraw

    height, width = picture.shape[:2]
    scale = 1.0 if side is None else side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(picture))
    image = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
    fields = _fields(target)
    labels = _labels(fields, names)
    values = np.asarray(image).astype(np.float32)
    for name, value in fields.items():
        values = _veiled(values, _kind(name, value), value, (height, width), labels)
    image = Image.fromarray(values.round().astype(np.uint8))
    pen = ImageDraw.Draw(image)
    wide = max(1, round(max(size) / 110))
    for name, value in fields.items():
        kind = _kind(name, value)
        if kind == "boxes":
            corners = _corners(value, box_format, (height, width)) * [
                size[0] / width,
                size[1] / height,
            ]
            for k, points in enumerate(corners):
                _outlined(pen, points, _colour(labels, k), wide)
            for k, points in enumerate(corners if words else ()):
                _tag(pen, points, labels[k][1] if k < len(labels) else "", _colour(labels, k), size)
        elif kind == "polygons":
            for k, rings in enumerate(value):
                for ring in rings:
                    points = np.asarray(ring, float).reshape(-1, 2) * scale
                    _outlined(pen, points, _colour(labels, k), wide)
        elif kind == "keypoints":
            points = _array(value).astype(float)
            for k, instance in enumerate(points.reshape(-1, *points.shape[-2:])):
                for x, y, *seen in instance:
                    if not seen or seen[0] > 0:
                        _dot(pen, x * scale, y * scale, 1.6 * wide, _colour(labels, k))
    return np.asarray(image)


def says(target: Any) -> str:
    """What a target holds, in words, such as "2 boxes"."""
    words = []
    for name, value in _fields(target).items():
        kind = _kind(name, value)
        if kind in ("boxes", "masks", "polygons"):
            one = {"boxes": "box", "masks": "mask", "polygons": "polygon"}[kind]
            # An instance in run lengths has a box, and no ring.
            count = len(value) if kind != "polygons" else sum(1 for rings in value if len(rings))
            words.append(f"{count} {one if count == 1 else kind}")
        elif kind == "keypoints":
            points = _array(value).reshape(-1, _array(value).shape[-1])
            count = int((points[:, 2] > 0).sum()) if points.shape[1] > 2 else len(points)
            words += [f"{count} keypoint{'s' * (count != 1)}"] * (count > 0)
        elif kind == "semantic":
            classes = np.unique(_array(value))
            words.append(
                f"classes {', '.join(map(str, classes[:6].tolist()))}{' …' * (len(classes) > 6)}"
            )
    dropped = target.get("dropped") if isinstance(target, Mapping) else None
    if dropped is not None and int(dropped):
        words.append(f"{int(dropped)} out of sight")
    return ", ".join(words) or "nothing on it"


def _fields(target: Any) -> dict[str, Any]:
    if isinstance(target, Mapping):
        fields = dict(target)
        if "valid" in fields:  # padded: those that are there
            valid = _array(fields.pop("valid")).astype(bool)
            fields = {
                name: _array(value)[valid]
                if _kind(name, value) or NAMES.get(name) == "instances"
                else value
                for name, value in fields.items()
                if name != "dropped"
            }
        return fields
    kind = tv_name(target)
    return {{"BoundingBoxes": "boxes", "KeyPoints": "keypoints"}.get(kind, "mask"): target}


def _kind(name: str, value: Any) -> str:
    """What a field is: "boxes", "masks", "semantic", "keypoints", "polygons", or "" for what is not drawn."""
    by_class = {"BoundingBoxes": "boxes", "KeyPoints": "keypoints", "Mask": "masks"}
    kind = by_class.get(tv_name(value)) or NAMES.get(name, "")
    dense = isinstance(value, (torch.Tensor, np.ndarray)) or is_picture(value)
    if kind == "masks" or (kind == "polygons" and dense):
        return "semantic" if np.ndim(value) == 2 or is_picture(value) else "masks"
    if not kind and is_picture(value):
        return "semantic"
    return kind if kind in ("boxes", "semantic", "keypoints", "polygons") else ""


def _labels(fields: dict[str, Any], names: Any) -> list[tuple[int, str]]:
    """(number of the colour, words) of each instance."""
    for name in ("labels", "class_labels", "category_id"):
        if name in fields:
            values = _array(fields[name]).reshape(-1).tolist()
            known: dict[Any, str] = {}
            if isinstance(names, Mapping):
                known = dict(names)
            elif names is not None:
                known = dict(enumerate(names))
            colours: dict[Any, int] = {}
            return [
                (
                    int(v) if isinstance(v, (int, float)) else colours.setdefault(v, len(colours)),
                    str(known.get(v, f"{v:g}" if isinstance(v, float) else v)),
                )
                for v in values
            ]
    return []


def _colour(labels: list[tuple[int, str]], k: int) -> tuple[int, int, int]:
    return COLOURS[(labels[k][0] if k < len(labels) else k) % len(COLOURS)]


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().as_subclass(torch.Tensor).cpu().numpy()
    return np.asarray(value)


def _corners(value: Any, box_format: str, size: tuple[int, int]) -> np.ndarray:
    """[k, 4, 2] (x, y) in pixels."""
    if tv_name(value):
        box_format = format_name("preview: boxes", value.format)
    if not len(value):
        return np.zeros((0, 4, 2))
    boxes = _array(value).astype(float).reshape(len(value), -1)
    format = format_name("preview: box_format", box_format)
    return corners_of(boxes, format, np.tile(np.array(size), (len(boxes), 1)))


def _veiled(
    values: np.ndarray, kind: str, value: Any, size: tuple[int, int], labels: list[tuple[int, str]]
) -> np.ndarray:
    """The picture under the colours of masks."""
    if kind not in ("masks", "semantic"):
        return values
    masks = _array(value)
    if masks.shape[-2:] != size:
        raise ValueError(
            f"preview: got a mask of {masks.shape[-2]}×{masks.shape[-1]} for a picture of {size[0]}×{size[1]}, "
            "expected the same. Pass the mask of that image."
        )
    rows, columns = (np.arange(n) * old // n for n, old in zip(values.shape, size, strict=False))
    masks = masks.reshape(-1, *size)[:, rows][:, :, columns]
    if kind == "masks":
        layers = [(mask > 0, _colour(labels, k)) for k, mask in enumerate(masks)]
    else:
        classes = [c for c in np.unique(masks[0]).tolist() if c not in (0, IGNORED)]
        layers = [(masks[0] == c, COLOURS[int(c) % len(COLOURS)]) for c in classes]
    for mask, colour in layers:
        values[mask] += VEIL * (np.array(colour, np.float32) - values[mask])
    return values


def _outlined(
    pen: ImageDraw.ImageDraw, points: np.ndarray, colour: tuple[int, int, int], wide: int
) -> None:
    """A closed line, with a dark one below it that shows on light ground."""
    path = [tuple(point) for point in [*points.tolist(), points[0].tolist()]]
    pen.line(path, (0, 0, 0), wide + 2, joint="curve")
    pen.line(path, colour, wide, joint="curve")


def _dot(
    pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour, (0, 0, 0))


def _tag(
    pen: ImageDraw.ImageDraw, points: np.ndarray, words: str, colour: tuple[int, int, int],
    size: tuple[int, int],
) -> None:  # fmt: skip
    """The name of a box, in its top left corner, inside the picture."""
    if not words:
        return
    from ..sheet import fonts

    font = fonts(11)[1]
    wide, high = font.getlength(words) + 6, 15
    x = min(max(0.0, float(points[:, 0].min())), max(0.0, size[0] - wide))
    y = min(max(0.0, float(points[:, 1].min())), max(0.0, size[1] - high))
    pen.rectangle((x, y, x + wide, y + high), colour)
    pen.text((x + 3, y + 1), words, (0, 0, 0), font)
