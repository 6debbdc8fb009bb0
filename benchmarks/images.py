"""What is augmented: photographs in the sizes, channels and dtypes of the rows.

All are made of the six photographs that come with packages, so that the same bytes are drawn anywhere.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from augengine.demo.photographs import shipped_photographs

SOURCE = 256
DISTINCT = 16  # of large photographs, which then come again: 150 MB are more than a cache


def crops(count: int, size: int = SOURCE) -> np.ndarray:
    """uint8 (count, size, size, 3): crops at random places of the six photographs, in turn."""
    random = np.random.default_rng(0)
    photographs = shipped_photographs()
    made = np.empty((count, size, size, 3), np.uint8)
    for i in range(count):
        pixels = photographs[i % len(photographs)].pixels
        y, x = (random.integers(0, side - size + 1) for side in pixels.shape[:2])
        made[i] = pixels[y : y + size, x : x + size]
    return made


def listed(count: int) -> list[np.ndarray]:
    """Crops of 256², each in memory of its own."""
    return [crop.copy() for crop in crops(count)]


def cifar(count: int) -> list[np.ndarray]:
    """Crops of 32², of the size of CIFAR's."""
    return [crop.copy() for crop in crops(count, 32)]


def photographs(count: int) -> list[np.ndarray]:
    """The six photographs as they are: 300 to 640 pixels a side, in turn, each in memory of its own."""
    shipped = shipped_photographs()
    return [shipped[i % len(shipped)].pixels.copy() for i in range(count)]


def large(count: int) -> list[np.ndarray]:
    """The photographs enlarged to longer sides of 1,600 to 2,560 pixels, the shorter of 1,200 and more."""
    distinct = _large()
    return [distinct[i % len(distinct)] for i in range(count)]


@cache
def _large() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    made = []
    for i in range(DISTINCT):
        shape = (1200, 1600) if i % 2 else (1500, 2000)
        longer = random.integers(1600, 2561)
        made.append(enlarged(i, (longer * shape[0] // shape[1], longer)))
    return made


def enlarged(which: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3): one of the photographs at another size.

    Args:
        which: Number of the photograph; they repeat.
        size: Height and width in pixels.
    """
    from PIL import Image

    shipped = shipped_photographs()
    pixels = shipped[which % len(shipped)].pixels
    return np.array(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def of_channels(channels: int, count: int) -> list[np.ndarray]:
    """Crops of 256² with so many channels: those of the crop, again and again."""
    picked = np.arange(channels) % 3
    return [np.ascontiguousarray(crop[..., picked]) for crop in crops(count)]


def floats(count: int) -> list[np.ndarray]:
    """Crops of 256² as float32 in [0, 1]."""
    return [crop.astype(np.float32) / 255 for crop in crops(count)]


def smooth() -> np.ndarray:
    """uint8 (256, 256, 3): a detail of a photograph enlarged four times, on which all filters agree."""
    return np.ascontiguousarray(enlarged(0, (1708, 2560))[700 : 700 + SOURCE, 900 : 900 + SOURCE])
