"""Targets as users have them in files: COCO's JSON, and a folder of masks with the images' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import torch

from ..checks import shown
from ..untrusted import read_json

MOST_BYTES = 1 << 30  # of COCO's JSON, whose largest has half of that
MASKS = (".png", ".bmp", ".gif", ".tif", ".tiff")  # which keep every number


class Annotations(NamedTuple):
    """Targets of images, and what their classes are called.

    targets: a target for each image, None where the file says nothing of it.
    classes: {number: name}, empty where nobody says.
    """

    targets: list[Any]
    classes: dict[int, str]


def read_targets(path: Path, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Annotations:
    """Targets of images from COCO's JSON, or from a folder of masks.

    Args:
        path: JSON file, or the folder.
        names: Paths of the images inside their folder.
        sizes: Heights and widths of the images, in pixels.

    Raises:
        ValueError: They are no such targets, or of none of these images.
        OSError: A file cannot be read.
    """
    if path.is_dir():
        return read_masks(path, names, sizes)
    return read_coco(path, names, sizes)


def read_coco(file: Path, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Annotations:
    """Targets from COCO's JSON of detection: boxes, classes, polygons and keypoints. Masks in run lengths, as
    crowds have them, are left out; their boxes are not.

    Args:
        file: JSON file, with `images`, `annotations` and `categories`.
        names: Paths of the images inside their folder; a file_name is that path, or its last part.
        sizes: Heights and widths of the images, in pixels.

    Returns:
        Of each image a dict of boxes [k, 4] (x0, y0, x1, y1 in pixels), labels [k], and polygons and keypoints
        where there are some.

    Raises:
        ValueError: The file is no such JSON, names none of the images, or says another size of one.
        OSError: It cannot be read.
    """
    try:
        read = read_json(file, MOST_BYTES)
    except ValueError as error:
        raise ValueError(
            f"--targets {file}: {error}, expected COCO's JSON. Check the file."
        ) from error
    if not isinstance(read, dict) or not {"images", "annotations"} <= set(read):
        raise ValueError(
            f"--targets {file}: got {shown(sorted(read) if isinstance(read, dict) else type(read).__name__)}, "
            "expected COCO's JSON with images, annotations and categories. Name such a file."
        )
    try:
        return _coco(file, read, names, sizes)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"--targets {file}: an entry lacks {error}, expected images with id and file_name, "
            "annotations with image_id, category_id and bbox. Mend the file."
        ) from error


def _coco(
    file: Path, read: Mapping[str, Any], names: Sequence[str], sizes: Sequence[tuple[int, int]]
) -> Annotations:
    by_name = {str(image["file_name"]): image for image in read["images"]}
    by_last = {PurePath(name).name: image for name, image in by_name.items()}
    found = [by_name.get(name) or by_last.get(PurePath(name).name) for name in names]
    if not any(found):
        first = shown(next(iter(by_name), ""))
        raise ValueError(
            f"--targets {file}: names none of the {len(names)} images, such as {shown(names[0])}, expected "
            f"their paths in the folder as file_name, such as {first}. Pass the folder that it was made for."
        )
    for name, image, (height, width) in zip(names, found, sizes, strict=True):
        said = None if image is None else (image.get("height"), image.get("width"))
        if said not in (None, (height, width), (None, None)):
            raise ValueError(
                f"--targets {file}: {name} is {height}×{width}, and the file says {said[0]}×{said[1]}, "
                "expected the same, or boxes would lie elsewhere. Mend the file, or pass its own images."
            )
    ids = {image["id"] for image in found if image is not None}
    of_image: dict[Any, list[Any]] = {number: [] for number in ids}
    for entry in read["annotations"]:
        if entry["image_id"] in of_image:
            of_image[entry["image_id"]].append(entry)
    every = [entry for entries in of_image.values() for entry in entries]
    points = {len(entry["keypoints"]) // 3 for entry in every if entry.get("keypoints")}
    if len(points) > 1:
        raise ValueError(
            f"--targets {file}: got instances of {' and '.join(map(str, sorted(points)))} keypoints, expected "
            "one number. Leave the others out."
        )
    outlined = any(
        isinstance(entry.get("segmentation"), list) and entry["segmentation"] for entry in every
    )
    targets = [
        None if image is None else _target(of_image[image["id"]], outlined, next(iter(points), 0))
        for image in found
    ]
    classes = {int(c["id"]): str(c["name"]) for c in read.get("categories", [])}
    return Annotations(targets, classes)


def _target(entries: list[Any], outlined: bool, points: int) -> dict[str, Any]:
    """A target of an image's entries. outlined: whether polygons are there at all; points: of an instance."""
    boxes = np.array([entry["bbox"] for entry in entries], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = [int(entry["category_id"]) for entry in entries]
    target: dict[str, Any] = {
        "boxes": torch.from_numpy(boxes),
        "labels": torch.tensor(labels, dtype=torch.int64),
    }
    if outlined:
        target["polygons"] = [
            [np.asarray(ring, np.float32).reshape(-1, 2) for ring in outline]
            if isinstance(outline := entry.get("segmentation"), list)
            else []
            for entry in entries
        ]
    if points:
        rows = [entry.get("keypoints") or [0] * (3 * points) for entry in entries]
        target["keypoints"] = torch.tensor(rows, dtype=torch.float32).reshape(-1, points, 3)
    return target


def read_masks(folder: Path, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> Annotations:
    """Masks of classes from a folder: for each image the file of the same path and name, with the suffix of
    a picture that keeps every number, such as .png.

    Args:
        folder: Folder of the masks.
        names: Paths of the images inside their folder.
        sizes: Heights and widths of the images, in pixels.

    Returns:
        Of each image an array (H, W) of class numbers: those of a palette, or shades as they are.

    Raises:
        ValueError: There is a mask for none of the images, or one is of another size, or in colours.
        OSError: A file cannot be read.
        ImportError: Pillow is not installed.
    """
    from PIL import Image

    targets: list[Any] = []
    for name, size in zip(names, sizes, strict=True):
        files = [folder / PurePath(name).with_suffix(suffix) for suffix in MASKS]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            targets.append(None)
            continue
        with Image.open(file) as opened:
            mask = np.asarray(opened)
        if mask.ndim != 2:
            raise ValueError(
                f"--targets: {file} is in colours ({opened.mode}), expected class numbers, as shades or of a "
                "palette. Convert it to numbers."
            )
        if mask.shape != tuple(size):
            raise ValueError(
                f"--targets: {file} is {mask.shape[0]}×{mask.shape[1]}, its image is {size[0]}×{size[1]}, "
                "expected the same. Pass the masks of these images."
            )
        targets.append(mask.astype(np.uint8 if mask.max(initial=0) < 256 else np.int32))
    if all(target is None for target in targets):
        raise ValueError(
            f"--targets: {folder} has a mask for none of the {len(names)} images, such as {shown(names[0])}, "
            f"expected files of the same names with {', '.join(MASKS)}. Pass the folder of their masks."
        )
    return Annotations(targets, {})
