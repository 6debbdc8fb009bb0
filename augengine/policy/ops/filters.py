"""Ops that look at a pixel's neighbours, and noise.

Blur and sharpness work on the picture that the frame shows by then, colours included: it is drawn,
filtered, and what follows looks at that. So a geometric op after one interpolates once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...checks import number, one_or_interval, several, whole
from . import actions
from .op import Op
from .strength import acting, magnitude


@dataclass(frozen=True)
class RandomAdjustSharpness(Op):
    """Blend with the 3×3 smoothing, with probability p. sharpness_factor: 0 smooths, 1 leaves all as
    it is, 2 sharpens; one number or (lowest, highest). Equals torchvision's."""

    sharpness_factor: Any
    p: float = 0.5

    def __post_init__(self):
        where = "RandomAdjustSharpness.sharpness_factor"
        self._set(
            sharpness_factor=one_or_interval(where, self.sharpness_factor, 0, 1e3),
            p=number("RandomAdjustSharpness.p", self.p, 0, 1),
        )

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        factor = magnitude(uniform[:, 0], self.sharpness_factor, 1, draft.strength[rows])
        actions.sharpness(draft, rows, factor)


@dataclass(frozen=True)
class GaussianBlur(Op):
    """Gaussian blur, with probability p.

    kernel_size: odd pixels, an int or (along x, along y), as torchvision's; None reaches four sigma.
    sigma: in pixels, one number or (lowest, highest). Borders are reflected. Equals torchvision's
    for the same kernel_size and sigma.
    """

    kernel_size: Any = None
    sigma: Any = (0.1, 2.0)
    p: float = 1.0

    def __post_init__(self):
        size = self.kernel_size
        if size is not None:
            size = several(size)
            if len(size) > 2 or not all(whole(n) and n > 0 and n % 2 for n in size):
                raise ValueError(
                    f"GaussianBlur.kernel_size: got {self.kernel_size!r}, expected an odd number of "
                    "pixels or two. Leave it out to have it follow sigma."
                )
            size = (int(size[0]), int(size[-1]))
        self._set(
            kernel_size=size,
            sigma=one_or_interval("GaussianBlur.sigma", self.sigma, 0, 1e3),
            p=number("GaussianBlur.p", self.p, 0, 1),
        )

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        sigma = magnitude(uniform[:, 0], self.sigma, 0, draft.strength[rows])
        reach = (None, None) if self.kernel_size is None else (n // 2 for n in self.kernel_size)
        actions.blur(draft, rows, sigma, *reach)


@dataclass(frozen=True)
class GaussianNoise(Op):
    """Add normal noise to each value, then clamp to [0, 1], with probability p.

    mean, sigma: in shares of the full range, sigma also as (lowest, highest). The noise is a
    function of the sample's key and the pixel: every executor draws the same.
    """

    mean: float = 0.0
    sigma: Any = 0.1
    p: float = 1.0

    def __post_init__(self):
        self._set(
            mean=number("GaussianNoise.mean", self.mean, -1, 1),
            sigma=one_or_interval("GaussianNoise.sigma", self.sigma, 0, 1e3),
            p=number("GaussianNoise.p", self.p, 0, 1),
        )

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 3)
        strength = draft.strength[rows]
        sigma = magnitude(uniform[:, 0], self.sigma, 0, strength)
        words = np.floor(uniform[:, 1:] * 2.0**32).T
        actions.noise(draft, rows, sigma, self.mean * strength, *words)
