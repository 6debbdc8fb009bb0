"""What each named operation means: a magnitude in, a matrix, a step, a curve or a filter out.

Ops and published policies decide how strongly; what "Color 0.7" then is, is said here, once. All
take (draft, rows, magnitude [len(rows)]), tell the draft, and log it in words. Definitions are
torchvision's functional ones, which are PIL's; `benchmarks.parity` measures the differences.
"""

from __future__ import annotations

import numpy as np

from .. import colour, geometry
from ..draft import UNCHANGED
from ..plan import GAUSSIAN, HISTOGRAM, HUE, MATRIX, MEAN, NOISE, RANGE, SHARPNESS, TONE

# Geometry


def shear_x(draft, rows, tangent):
    """x_old = x + tangent · y, from the top left corner."""
    inverse = geometry.matrix([[1, tangent, 0], [0, 1, 0], [0, 0, 1]])
    draft.warp(rows, inverse, UNCHANGED)
    draft.log(rows, "sheared %+.2f", tangent)


def shear_y(draft, rows, tangent):
    """y_old = y + tangent · x, from the top left corner."""
    inverse = geometry.matrix([[1, 0, 0], [tangent, 1, 0], [0, 0, 1]])
    draft.warp(rows, inverse, UNCHANGED)
    draft.log(rows, "sheared %+.2f vertically", tangent)


def translate_x(draft, rows, pixels):
    """The picture moves to the right."""
    draft.warp(rows, geometry.inv_translate(pixels, 0 * pixels), UNCHANGED)
    draft.log(rows, "shifted %+.1f px", pixels)


def translate_y(draft, rows, pixels):
    """The picture moves down."""
    draft.warp(rows, geometry.inv_translate(0 * pixels, pixels), UNCHANGED)
    draft.log(rows, "shifted %+.1f px down", pixels)


def rotate(draft, rows, angle_deg):
    """Counter-clockwise as seen, about the middle."""
    inverse = geometry.inv_rotation(angle_deg)
    draft.warp(rows, geometry.about(draft.frame[rows][:, ::-1] / 2, inverse), inverse[:, :2, :2])
    draft.log(rows, "rotated %+.1f°", angle_deg)


# Colour


def brightness(draft, rows, factor):
    draft.step(rows, MATRIX, colour.brightness(factor))
    draft.log(rows, "brightness ×%.2f", factor)


def add(draft, rows, delta):
    draft.step(rows, MATRIX, colour.add(delta))
    draft.log(rows, "brightness %+.2f", delta)


def contrast(draft, rows, factor):
    draft.step(rows, MATRIX, colour.contrast(factor), statistic=MEAN)
    draft.log(rows, "contrast ×%.2f", factor)


def saturation(draft, rows, factor):
    needs_rgb(draft, "saturation")
    draft.step(rows, MATRIX, colour.saturation(factor))
    draft.log(rows, "saturation ×%.2f", factor)


def grey(draft, rows):
    needs_rgb(draft, "grey")
    draft.step(rows, MATRIX, colour.grey(len(rows)))
    draft.log(rows, "grey")


def hue(draft, rows, turns):
    needs_rgb(draft, "hue")
    draft.step(rows, HUE, turns[:, None])
    draft.log(rows, "hue %+.2f", turns)


def invert(draft, rows):
    draft.step(rows, MATRIX, colour.invert(len(rows)))
    draft.log(rows, "inverted")


def permute(draft, rows, order):
    """order: [len(rows), 3]."""
    needs_rgb(draft, "channel permutation")
    draft.step(rows, MATRIX, colour.permutation(order))
    draft.log(rows, "channels %d, %d, %d", *order.T)


def posterize(draft, rows, bits):
    draft.step(rows, TONE, colour.posterized(bits))
    draft.log(rows, "posterized to %d bits", bits)


def solarize(draft, rows, threshold):
    """threshold: in bytes, 0 … 256."""
    draft.step(rows, TONE, colour.solarized(threshold))
    draft.log(rows, "solarized from %.1f", threshold)


def solarize_add(draft, rows, byte):
    _curve(draft, rows, colour.solarized_add, byte)
    draft.log(rows, "dark tones %+d", byte)


def gamma(draft, rows, exponent):
    _curve(draft, rows, colour.gamma, exponent)
    draft.log(rows, "gamma %.2f", exponent)


def autocontrast(draft, rows):
    draft.step(rows, MATRIX, np.zeros((len(rows), 0)), statistic=RANGE)
    draft.log(rows, "autocontrast")


def equalize(draft, rows):
    draft.step(rows, MATRIX, np.zeros((len(rows), 0)), statistic=HISTOGRAM)
    draft.log(rows, "equalized")


# What looks at neighbours, and noise


def sharpness(draft, rows, factor):
    """0 smooths, 1 is neutral, 2 sharpens."""
    draft.apply_filter(rows, SHARPNESS, factor)
    draft.log(rows, "sharpness ×%.2f", factor)


def blur(draft, rows, sigma, reach_x=None, reach_y=None):
    """sigma: in pixels of the frame. reach: how far the kernel goes, by default four sigma."""
    most = np.ceil(4 * sigma)
    reach_x, reach_y = (most if reach is None else reach for reach in (reach_x, reach_y))
    draft.apply_filter(rows, GAUSSIAN, sigma, reach_x, reach_y)
    draft.log(rows, "blurred σ %.2f", sigma)


def noise(draft, rows, mean, sigma, words):
    """words: [len(rows), 2] random 32-bit words, the noise's key."""
    key = np.asarray(words).astype(np.int64) >> 8
    args = np.stack([mean + 0 * sigma, sigma, *key.T], axis=1)
    draft.step(rows, NOISE, args)
    draft.log(rows, "noise σ %.2f", sigma)


def _curve(draft, rows, formula, magnitude):
    """One curve for each distinct magnitude."""
    distinct, which = np.unique(magnitude, return_inverse=True)
    draft.curve(rows, formula(distinct), which)


def needs_rgb(draft, name):
    if draft.channels != 3:
        raise ValueError(
            f"{name}: mixes the colour channels and needs RGB, the images have {draft.channels} "
            "channel(s). Leave it out of this policy."
        )
