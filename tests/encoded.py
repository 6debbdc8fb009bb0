"""Encoded images for tests, written by Pillow and decoded by it."""

import io

import numpy as np
from PIL import Image, ImageOps


def encode(pixels, format="JPEG", orientation=None, mode=None, **options):
    """The bytes of an image. orientation: EXIF's, 1 … 8, which the pixels are stored in."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image = image if mode is None else image.convert(mode)
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    if format == "JPEG":
        options.setdefault("quality", 92)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def by_pillow(data, mode="RGB"):
    """(H, W, C) uint8 as Pillow decodes and turns it."""
    array = np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert(mode))
    return array[..., None] if array.ndim == 2 else array


def scene(height, width, seed=0, detail=8):
    """A smooth picture with edges and a little grain, (H, W, 3) uint8: as photographs are."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, height // detail), max(2, width // detail), 3), np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 3, (height, width, 1))
    return np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
