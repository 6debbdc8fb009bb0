"""Colour ops as 3×4 matrices on (r, g, b, 1), in [0, 1], or as tone curves. All take arrays [n];
matrices are [n, 12].

Sources: `torchvision.transforms.v2.functional`, which blends with black, grey or the mean grey.
A factor of 1 gives the identity exactly.
"""

from __future__ import annotations

import numpy as np

from .. import elementary
from ..plan.kinds import (
    GREY,
    MATRIX_GAINS,
    MATRIX_OFFSETS,
    NEUTRAL_TONE,
    STEP_ARGS,
    TONE_INVERSE_STEP,
    TONE_STEP,
    TONE_THRESHOLD,
)

_GREY_ROWS = np.tile([*GREY, 0.0], 3)


def diagonal(gain, offset):
    """value · gain + offset, the same for every channel."""
    gain, offset = np.asarray(gain, float), np.asarray(offset, float)
    out = np.zeros((*max(gain.shape, offset.shape), STEP_ARGS))
    out[..., MATRIX_GAINS] = gain[..., None]
    out[..., MATRIX_OFFSETS] = offset[..., None]
    return out


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
    return diagonal(factor, 0.0) + (1 - factor)[:, None] * _GREY_ROWS


def grey(n: int):
    """Every channel becomes the luma."""
    return saturation(np.zeros(n))


def invert(n: int):
    """1 − value."""
    return np.tile(diagonal(-1.0, 1.0), (n, 1))


def permutation(order):
    """Channel c becomes the old channel order[:, c]. order: [n, 3]."""
    out = np.zeros((len(order), 3, 4))
    np.put_along_axis(out, np.asarray(order)[..., None], 1.0, axis=2)
    return out.reshape(-1, STEP_ARGS)


# Tones in whole bytes: [n, 12], the arguments of a TONE step


def tone(threshold, step):
    """Bytes from `threshold` on inverted, then cut to multiples of `step`."""
    step = np.asarray(step, float)
    out = np.empty((*max(np.shape(threshold), step.shape), STEP_ARGS))
    out[...] = NEUTRAL_TONE
    out[..., TONE_THRESHOLD], out[..., TONE_STEP] = threshold, step
    out[..., TONE_INVERSE_STEP] = 1 / step
    return out


def posterized(bits):
    """Keep the upper `bits` of eight; 0 leaves black, 8 everything."""
    return tone(NEUTRAL_TONE[TONE_THRESHOLD], np.ldexp(1.0, 8 - np.asarray(bits, np.int64)))


def solarized(threshold):
    """Bytes from `threshold` on are inverted; 256 leaves all as they are."""
    return tone(threshold, NEUTRAL_TONE[TONE_STEP])


# Tone curves: what becomes of each of the 256 bytes. All take [q], return [q, 256] in [0, 1].

_BYTES = np.arange(256)
_LOG_BYTES = elementary.log(_BYTES[1:] / 255)


def solarized_add(add, threshold: float = 128):
    """Bytes below `threshold` get `add` more, 255 at most (timm, TensorFlow's EfficientNet)."""
    more = np.clip(_BYTES + np.asarray(add)[:, None], 0, 255)
    return np.where(_BYTES < threshold, more, _BYTES) / 255


def gamma(exponent):
    """value ** exponent, on [0, 1]; exponent above 0."""
    curves = np.zeros((len(exponent), len(_BYTES)))
    # A few at a time, as larger arrays would leave the cache.
    for begin in range(0, len(curves), 32):
        some = slice(begin, begin + 32)
        curves[some, 1:] = elementary.exp(np.asarray(exponent)[some, None] * _LOG_BYTES)
    return curves
