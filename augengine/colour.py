"""Colour ops as 3×4 matrices on (r, g, b, 1), in [0, 1]. All take arrays [n], return [n, 12].

Sources: `torchvision.transforms.v2.functional`, which blends with black, grey or the mean grey.
A factor of 1 gives the identity exactly.
"""

from __future__ import annotations

import numpy as np

from .plan import GREY


def diagonal(gain, offset):
    """value · gain + offset, the same for every channel."""
    gain, offset = np.broadcast_arrays(np.asarray(gain, float), np.asarray(offset, float))
    out = np.zeros((*gain.shape, 3, 4))
    out[..., range(3), range(3)] = gain[..., None]
    out[..., 3] = offset[..., None]
    return out.reshape(*gain.shape, 12)


def brightness(factor):
    """Blend with black."""
    return diagonal(factor, 0.0)


def add(delta):
    """value + delta; the step's clamp sets what passes the maximum to the maximum."""
    return diagonal(1.0, delta)


def contrast(factor):
    """Blend with the mean grey: goes with the statistic MEAN, which scales the last column."""
    return diagonal(factor, 1 - np.asarray(factor))


def saturation(factor):
    """Blend with the pixel's own grey. Factor 0 is `grey`."""
    factor = np.asarray(factor, float)
    out = diagonal(factor, 0.0).reshape(-1, 3, 4)
    out[:, :, :3] += (1 - factor)[:, None, None] * np.array(GREY)
    return out.reshape(-1, 12)


def grey(n: int):
    """Every channel becomes the luma."""
    return saturation(np.zeros(n))
