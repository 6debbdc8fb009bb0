"""Colour ops as 3×4 matrices on (r, g, b, 1), in [0, 1], or as arguments of tones. All take arrays [n];
matrices are [n, 12].

Sources: `torchvision.transforms.v2.functional`, which blends with black, grey or the mean grey.
A factor of 1 gives the identity exactly.
"""

from __future__ import annotations

import numpy as np

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

# As slices, which NumPy takes sooner than numbers.
_GAINS, _OFFSETS = (slice(of[0], None, of[1] - of[0]) for of in (MATRIX_GAINS, MATRIX_OFFSETS))
_GREY_ROWS = np.tile([*GREY, 0.0], 3)


def diagonal(gain, offset):
    """value · gain + offset, the same for every channel."""
    gain, offset = np.asarray(gain, float), np.asarray(offset, float)
    out = np.zeros((*max(gain.shape, offset.shape), STEP_ARGS))
    out[..., _GAINS] = gain[..., None]
    out[..., _OFFSETS] = offset[..., None]
    return out


def brightness(factor):
    """Blend with black."""
    return diagonal(factor, 0.0)


def light(red, blue):
    """Red and blue times a gain each, as under another light; green stays."""
    out = diagonal(np.ones_like(red), 0.0)
    out[..., MATRIX_GAINS[0]], out[..., MATRIX_GAINS[2]] = red, blue
    return out


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


# The arguments [n, 2] of an ADD_BELOW, in bytes, and of a GAMMA


def solarized_add(add, threshold: float = 128):
    """What is below `threshold` gets `add` more, 255 at most (timm, TensorFlow's EfficientNet)."""
    add = np.asarray(add, float)
    return np.stack([np.full_like(add, threshold), add], axis=-1)


def gamma(exponent, gain=1.0):
    """value ** exponent · gain, within [0, 1]; exponent above 0."""
    exponent = np.asarray(exponent, float)
    return np.stack([exponent, np.broadcast_to(gain, exponent.shape)], axis=-1)
