"""A picture of our own, on which every operation can be seen: drawn from formulas, at any size."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# Colours as red, green, blue in 0 … 255.
_SKY, _HAZE, _SUN = (64, 132, 214), (206, 228, 240), (255, 214, 64)
_HILL, _FIELD, _ROOF, _WALL = (92, 148, 92), (122, 176, 84), (186, 60, 48), (240, 224, 198)
_DOOR, _GLASS, _TRUNK, _LEAVES = (112, 72, 44), (96, 168, 208), (104, 72, 48), (44, 112, 60)


@lru_cache(maxsize=8)
def card(height: int = 240, width: int = 320) -> np.ndarray:
    """A house under the sun, with a tree: it has an up and a left, edges, shades, light and dark, and hues
    all around.

    Args:
        height: Pixels.
        width: Pixels.

    Returns:
        Array uint8 (H, W, 3), which can only be read.

    Example:
        >>> from augengine.preview.card import card
        >>> card(24, 32).shape
        (24, 32, 3)
    """
    y = (np.arange(height) + 0.5)[:, None] / height
    x = (np.arange(width) + 0.5)[None, :] / width
    ratio = width / height  # so that circles are round
    soft = 1.5 / height  # edges are as wide as a pixel or two

    def within(distance: np.ndarray) -> np.ndarray:
        """1 inside, where a distance in heights is below 0, and 0 outside."""
        return np.clip(0.5 - distance / soft, 0, 1)[..., None]

    def box(top: float, left: float, bottom: float, right: float) -> np.ndarray:
        across = np.maximum(left - x, x - right) * ratio
        return within(np.maximum(np.maximum(top - y, y - bottom), across))

    def disc(cy: float, cx: float, radius: float) -> np.ndarray:
        return within(np.hypot(y - cy, (x - cx) * ratio) - radius)

    picture = np.zeros((height, width, 3), np.float32)

    def paint(mask: np.ndarray, colour: tuple[int, int, int]) -> None:
        nonlocal picture
        picture = picture + mask * (np.asarray(colour, np.float32) - picture)

    paint(np.ones((height, width, 1)), _SKY)
    paint(np.clip(y / 0.62, 0, 1)[..., None] * np.ones((1, width, 1)), _HAZE)
    paint(disc(0.2, 0.82, 0.1), _SUN)
    paint(within(0.52 + 0.1 * np.sin(5.5 * x + 0.7) - y), _HILL)
    paint(within(0.68 + 0.03 * np.sin(7 * x + 2) - y), _FIELD)
    paint(box(0.46, 0.2, 0.8, 0.56), _WALL)
    paint(within(np.maximum(0.24 + np.abs(x - 0.38) * 1.05 - y, y - 0.47)), _ROOF)
    paint(box(0.6, 0.42, 0.8, 0.5), _DOOR)
    paint(box(0.54, 0.25, 0.66, 0.35), _GLASS)
    paint(box(0.594, 0.25, 0.606, 0.35), _WALL)
    paint(box(0.54, 0.296, 0.66, 0.304), _WALL)
    paint(box(0.55, 0.765, 0.86, 0.795), _TRUNK)
    for cy, cx, radius in ((0.5, 0.78, 0.13), (0.42, 0.74, 0.09), (0.42, 0.83, 0.1)):
        paint(disc(cy, cx, radius), _LEAVES)
    # Tufts of grass, so that there is something fine.
    tufts = np.sin(x * 260) * np.sin(y * 190 + 4 * np.sin(x * 31)) * (y > 0.82)
    picture = picture * (1 - 0.14 * np.clip(tufts, 0, 1)[..., None])
    pixels = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels
