"""Ops that look at a pixel's neighbours, and noise.

Blur and sharpness work on the picture that the frame shows by then, colours included: it is drawn,
filtered, and what follows looks at that. So a geometric op after one interpolates once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ...checks import several, whole
from . import actions
from .arguments import Custom, Limits, Number, OneOrInterval, Probability, kept
from .op import Op
from .strength import acting, magnitude

MOST_TAPS = 65_535  # σ has 1,000 at most


def _kernel_size(where: str, value: Any) -> tuple[int, int]:
    size = several(value)
    if len(size) not in (1, 2) or not all(whole(n) and 0 < n <= MOST_TAPS and n % 2 for n in size):
        raise ValueError(
            f"{where}: got {value!r}, expected an odd number of pixels or two, {MOST_TAPS:,} at most. "
            "Leave it out to have it follow sigma."
        )
    return int(size[0]), int(size[-1])


@dataclass(frozen=True, repr=False)
class RandomAdjustSharpness(Op):
    """Blend with the 3×3 smoothing, with probability p. Equals torchvision's.

    Args:
        sharpness_factor: Factor in [0, 1000], one number or (lowest, highest): 0 smooths, 1 leaves
            the image as it is, 2 sharpens.
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomAdjustSharpness(2, p=1)).sample([0], [(32, 32)]).explain(0)
        'sharpness ×2.00'
    """

    sharpness_factor: Annotated[Limits, OneOrInterval(0, 1e3)]
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        factor = magnitude(uniform[:, 0], self.sharpness_factor, 1, draft.strength[rows])
        actions.sharpness(draft, rows, factor)


@dataclass(frozen=True, repr=False)
class GaussianBlur(Op):
    """Blur by a Gaussian, with probability p; borders are reflected. Equals torchvision's for the same
    kernel_size and sigma.

    Args:
        kernel_size: Odd number of pixels, an int or (along x, along y); None reaches four sigma.
        sigma: Standard deviation in pixels, in [0, 1000], one number or (lowest, highest).
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.GaussianBlur(5, sigma=1)).sample([0], [(32, 32)]).explain(0)
        'blurred σ 1.00'
    """

    kernel_size: Annotated[
        int | Sequence[int] | None, Custom(_kernel_size, "odd, one or two", unit="pixels")
    ] = None
    sigma: Annotated[Limits, OneOrInterval(0, 1e3, unit="pixels")] = (0.1, 2.0)
    p: Probability = 1.0

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        sigma = magnitude(uniform[:, 0], self.sigma, 0, draft.strength[rows])
        reach = (
            (None, None) if self.kernel_size is None else (n // 2 for n in kept(self.kernel_size))
        )
        actions.blur(draft, rows, sigma, *reach)


@dataclass(frozen=True, repr=False)
class GaussianNoise(Op):
    """Add normal noise to each value, then clamp to [0, 1], with probability p. The noise is a function
    of the sample's key and the pixel: every executor draws the same.

    Args:
        mean: Mean of the noise in shares of the full range, in [-1, 1].
        sigma: Standard deviation in shares of the full range, in [0, 1000], one number or (lowest,
            highest).
        clip: Whether values stay in [0, 1]. They do, so that False is refused.
        p: Probability in [0, 1].

    Raises:
        ValueError: A number is outside its range, or clip is False.

    Example:
        >>> ae.Policy(ae.GaussianNoise(sigma=0.05)).sample([0], [(32, 32)]).explain(0)
        'noise σ 0.05'
    """

    mean: Annotated[float, Number(-1, 1)] = 0.0
    sigma: Annotated[Limits, OneOrInterval(0, 1e3)] = 0.1
    clip: bool = True
    p: Probability = 1.0

    def _check(self) -> None:
        if not self.clip:
            raise ValueError(
                "GaussianNoise.clip: got False, expected True, since every colour step ends in [0, 1]. Leave "
                "it out, or add noise that leaves the range in a Stage."
            )

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 3)
        strength = draft.strength[rows]
        sigma = magnitude(uniform[:, 0], self.sigma, 0, strength)
        words = np.floor(uniform[:, 1:] * 2.0**32).T
        actions.noise(draft, rows, sigma, self.mean * strength, *words)
