"""The files that are read: those of a folder, or the demo's photographs, written as JPEG at a size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..datasets.walk import walk
from ..decoding import decode
from ..demo.photographs import shipped_photographs

# What the libraries that are measured all read; Pillow reads more.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff", ".gif")
# Heights and widths that photographs are written at.
SIZES = {"500x375": (375, 500), "5mp": (1920, 2560)}
QUALITY = 90
# Photographs that are enlarged are smooth, and smooth JPEGs decode faster than a camera's. Grain of so much,
# in bytes, gives them a camera's bytes for each pixel: 0.25, as the small ones have.
GRAIN = 4.0
LARGE = 1000  # pixels of a side, from which they are enlarged


def found(folder: Path, most: int) -> tuple[list[Path], int]:
    """Images below a folder, spread evenly over them in the order of their names; hidden ones are passed
    over. Each is decoded once, so that a damaged one is named before anything is measured.

    Args:
        folder: Folder, which is searched with its subfolders.
        most: Number of images, at most.

    Returns:
        The images, and how many the folder holds.

    Raises:
        ValueError: When there is no such folder, no image in it, or a damaged one is met.
    """
    if not folder.is_dir():
        raise ValueError(f"--images: got {folder}, expected a folder that holds images.")
    files = [folder / name for name in walk(str(folder), SUFFIXES).files]
    if not files:
        raise ValueError(
            f"--images: {folder} holds no image, expected files that end in {', '.join(SUFFIXES)}. Pass "
            "another folder, or leave --images away for our photographs."
        )
    places = np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)
    chosen = [files[place] for place in places]
    for path in chosen:
        decode(path)
    return chosen, len(files)


def written(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    """The demo's photographs as JPEG files of one size, of quality 90.

    Args:
        folder: Folder that they are written to.
        size: Height and width in pixels.
        count: Number of files.

    Raises:
        ImportError: When the photographs are not installed.
    """
    from PIL import Image

    shipped = shipped_photographs()
    paths = []
    for i in range(count):
        picture = Image.fromarray(shipped[i % len(shipped)].pixels)
        pixels = np.asarray(picture.resize(size[::-1], Image.Resampling.BICUBIC))
        if min(size) >= LARGE:
            grain = np.random.default_rng(i).normal(0, GRAIN, (*size, 1)).round()
            pixels = np.clip(pixels + grain, 0, 255).astype(np.uint8)
        paths.append(folder / f"{i:03}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=QUALITY)
    return paths


def about(paths: Sequence[Path]) -> dict[str, int]:
    """Medians of what the files are: bytes, height and width."""
    from ..decoding import read_header

    headers = [read_header(path) for path in paths]
    return {
        "bytes": int(np.median([os.path.getsize(path) for path in paths])),
        "height": int(np.median([header.height for header in headers])),
        "width": int(np.median([header.width for header in headers])),
    }
