"""What the numbers of a filter come to: the kernels of motion and defocus, pixel by pixel, and a shadow's edge.

Worked out in NumPy from the few numbers that stand in a plan, with the same bits on every machine; all
executors weigh by the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..elementary import cos_sin
from ..plan.kinds import (
    DISC,
    FILTER_ALIAS,
    FILTER_ANGLE,
    FILTER_DIRECTION,
    FILTER_GAIN,
    FILTER_KIND,
    FILTER_LENGTH,
    FILTER_OFFSET,
    FILTER_RADIUS,
    MOTION,
    SMOOTH_MOTION,
)
from .passes import gaussian_weights

WEIGHED = (MOTION, SMOOTH_MOTION, DISC)  # the kinds that have such a kernel
# A place that lies this near the middle between two pixels is on it: 2^-30, in which a rounding is lost.
_SNAP = 2.0**30


class Taps(NamedTuple):
    """What a kernel weighs, row by row: out(y, x) = Σ weight · in(y + dy, x + dx). Arrays [t]."""

    dy: np.ndarray  # int32
    dx: np.ndarray  # int32
    weight: np.ndarray  # float32, 1 in sum


def taps_of_filter(row: np.ndarray) -> Taps:
    """The taps of a plan's filter [4] of a kind in WEIGHED; those that weigh nothing are left out."""
    kind = row[FILTER_KIND]
    numbers = np.asarray(row, np.float64)
    if kind == DISC:
        kernel = _disc(numbers[FILTER_RADIUS], numbers[FILTER_ALIAS])
    else:
        kernel = _line(
            int(numbers[FILTER_LENGTH]), numbers[FILTER_ANGLE], numbers[FILTER_DIRECTION],
            smooth=bool(kind == SMOOTH_MOTION),
        )  # fmt: skip
    at_y, at_x = np.nonzero(kernel)
    weight = kernel[at_y, at_x]
    reach = len(kernel) // 2
    # One after the other: NumPy's own sum goes by how wide the machine's vectors are.
    weight = (weight / np.cumsum(weight)[-1]).astype(np.float32)
    return Taps((at_y - reach).astype(np.int32), (at_x - reach).astype(np.int32), weight)


def _line(length: int, angle: float, direction: float, smooth: bool) -> np.ndarray:
    """A line of pixels, turned counter-clockwise as seen: kornia's get_motion_kernel2d.

    Unturned it lies along x, and its weights run evenly from (1 + direction) / 2 at the left end to
    (1 − direction) / 2 at the right one. smooth: whether the turned line is read bilinearly, or by the
    nearest of its pixels, the even one of two that are as near.
    """
    reach = length // 2
    offset = np.arange(-reach, reach + 1, dtype=np.float64)
    ramp = 0.5 - direction * offset / max(2 * reach, 1)
    cos, sin = cos_sin(angle, 90.0)
    x, y = offset[None, :], offset[:, None]
    along, across = x * cos - y * sin, x * sin + y * cos
    if smooth:
        # Between two pixels of the line both count, and so do the ones beyond its ends, of no weight.
        distance = np.abs(along[..., None] - offset)
        shares = np.maximum(1 - distance, 0) * ramp
        return np.cumsum(shares, axis=2)[..., -1] * np.maximum(1 - np.abs(across), 0)
    # Counted from a corner of the kernel, which says what is even.
    at, row = (np.rint(np.rint((d + reach) * _SNAP) / _SNAP) for d in (along, across))
    on_line = (row == reach) & (at >= 0) & (at < length)
    return np.where(on_line, ramp[np.clip(at, 0, length - 1).astype(np.int64)], 0)


def _disc(radius: float, alias: float) -> np.ndarray:
    """The pixels whose centres lie within `radius`, alike, then blurred by a Gaussian of deviation `alias`
    over 3×3 pixels, 5×5 where the radius is above 8: ImageNet-C's and albumentations' defocus."""
    softening = 1 if radius <= 8 else 2
    reach = int(np.floor(radius)) + softening
    square = np.arange(-reach, reach + 1, dtype=np.float64) ** 2
    disc = (square[:, None] + square <= radius * radius).astype(np.float64)
    if alias == 0:
        return disc
    (weights,) = gaussian_weights(np.array([alias]), np.array([softening]), softening + 1)
    for axis in (0, 1):
        # What is beyond an edge is 0, and the disc reaches none: rolling round brings nothing in.
        parts = [float(weights[0]) * disc]
        for d in range(1, softening + 1):
            parts += [float(weights[d]) * np.roll(disc, d, axis)]
            parts += [float(weights[d]) * np.roll(disc, -d, axis)]
        disc = sum(parts[1:], parts[0])
    return disc


class Edge(NamedTuple):
    """A shadow's edge: a point (x, y) is lit by x · across_x + y · across_y − offset + ½, within [0, 1]."""

    across_x: float
    across_y: float
    offset: float
    gain: float  # what values in the shadow are multiplied by


def edge_of_shade(row: np.ndarray) -> Edge:
    """The edge of a plan's filter [4] of the kind SHADE; its numbers are float32's."""
    cos, sin = cos_sin(float(row[FILTER_ANGLE]), 90.0)
    numbers = (cos, -sin, row[FILTER_OFFSET], row[FILTER_GAIN])
    return Edge(*(float(np.float32(number)) for number in numbers))
