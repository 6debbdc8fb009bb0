"""Intervals of shares and of their differences, on few images too."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A share, or a difference of shares, with its interval.

    Args:
        value: What was measured.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def z_of(alpha: float) -> float:
    """The half-width of a two-sided normal interval, in standard deviations.

    Args:
        alpha: Probability, in (0, 1), that the interval misses.
    """
    return NormalDist().inv_cdf(1 - alpha / 2)


def wilson_ends(share: np.ndarray, n: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of Wilson's interval (1927), which has a width at 0 and 1 too; arrays broadcast.

    Args:
        share: Shares in [0, 1].
        n: Numbers of images, 1 or more.
        z: Half-width in standard deviations.
    """
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and 1 the ends are exact, which rounding would miss.
    low = np.where(share <= 0, 0.0, middle - half)
    high = np.where(share >= 1, 1.0, middle + half)
    return low, high


def wilson(share: float, n: int, z: float) -> Interval:
    """A share with Wilson's interval.

    Several draws of an image count as one image: draws of one image are alike, and an interval that took
    them for so many images would be too narrow.

    Args:
        share: Share in [0, 1]: a mean over n images.
        n: Number of images.
        z: Half-width in standard deviations.
    """
    low, high = wilson_ends(np.asarray(share), np.asarray(n), z)
    return Interval(float(share), float(low), float(high))


def difference_ends(
    a: np.ndarray, b: np.ndarray, n_a: np.ndarray, n_b: np.ndarray, z: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval of a − b by Newcombe's square-and-add of Wilson's ends (1998, method 10 of
    independent shares). Shares of the same images go up and down together, so for these it is wide rather
    than narrow.

    Args:
        a: Shares in [0, 1]; arrays broadcast.
        b: Shares that are taken from them.
        n_a: Numbers of images of a.
        n_b: Numbers of images of b.
        z: Half-width in standard deviations.
    """
    low_a, high_a = wilson_ends(a, n_a, z)
    low_b, high_b = wilson_ends(b, n_b, z)
    return (
        a - b - np.hypot(a - low_a, high_b - b),
        a - b + np.hypot(high_a - a, b - low_b),
    )


def difference(a: float, b: float, n: int, z: float) -> Interval:
    """a − b of shares of n images each, with its interval.

    Args:
        a: Share in [0, 1].
        b: Share that is taken from it.
        n: Number of images.
        z: Half-width in standard deviations.
    """
    count = np.asarray(n)
    low, high = difference_ends(np.asarray(a), np.asarray(b), count, count, z)
    return Interval(float(a - b), float(low), float(high))
