"""What a lens and a moving camera do: motion blur and defocus.

As every filter they work on the picture that the frame shows by then: see `filters`. What a kernel weighs
beyond the picture is its reflection, as often as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from ...plan.kinds import MOST_ALIAS, MOST_LINE, MOST_RADIUS
from ..keyed import below
from . import actions
from .arguments import Custom, Limits, OneOrInterval, Probability, Spread, WholeLimits, kept
from .op import Op
from .strength import acting, magnitude, pulled

RESAMPLES = {"nearest": actions.motion_blur, "bilinear": actions.smooth_motion_blur}


def _resample(where: str, value: Any) -> str:
    if value not in RESAMPLES:
        raise ValueError(
            f"{where}: got {value!r}, expected 'nearest' or 'bilinear'. Pass one of these."
        )
    return value


def _whole(uniform, limits):
    """A whole number in [lowest, highest] from a uniform one."""
    low, high = limits
    return low + below(uniform, high - low + 1)


@dataclass(frozen=True, repr=False)
class RandomMotionBlur(Op):
    """Blur along a straight line, with probability p; borders are reflected. Equals kornia's motion_blur with
    border_type="reflect". Strength shortens the line.

    Args:
        kernel_size: Length of the line in pixels, odd, 1 … 63, one number or (lowest, highest): each odd
            one of them is as likely.
        angle: Angle of the line in degrees, in [-360, 360], counter-clockwise as seen, x for (−x, x) or
            (lowest, highest).
        direction: Which end of the line weighs more, in [-1, 1], x for (−x, x) or (lowest, highest): 0
            weighs all alike. From a bright point at angle 0, 1 draws a streak to the right that fades.
        resample: "nearest" reads the turned line by the nearest of its pixels, "bilinear" smoothly.
        p: Probability in [0, 1].

    Raises:
        ValueError: kernel_size is not odd or out of range.

    Example:
        >>> ae.Policy(ae.RandomMotionBlur(7, (30, 30), 0, p=1)).sample([0], [(32, 32)]).explain(0)
        'motion blur of 7 px at 30.0°, direction +0.00'
    """

    kernel_size: Annotated[
        int | Sequence[int], WholeLimits(1, MOST_LINE, odd=True, unit="pixels")
    ] = (3, 7)
    angle: Annotated[Limits, Spread(-360, 360, unit="degrees")] = (-180, 180)
    direction: Annotated[Limits, Spread(-1, 1)] = (-1, 1)
    resample: Annotated[
        Literal["nearest", "bilinear"], Custom(_resample, "'nearest' or 'bilinear'")
    ] = "nearest"
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 3)
        low, high = kept(self.kernel_size)
        reach = _whole(uniform[:, 0], (low // 2, high // 2))
        length = 1 + 2 * np.floor(pulled(reach, 0, draft.strength[rows]) + 0.5)
        angle, direction = (
            magnitude(uniform[:, k], limits, 0, 1)
            for k, limits in ((1, self.angle), (2, self.direction))
        )
        RESAMPLES[self.resample](draft, rows, length, angle, direction)


@dataclass(frozen=True, repr=False)
class RandomDefocus(Op):
    """Blur by a disc, as a lens out of focus does, with probability p; borders are reflected. Equals
    albumentations' Defocus up to a radius of 6; from there on that one's kernel mirrors the softened edge.

    Args:
        radius: Radius of the disc in pixels, whole, 0 … 15, one number or (lowest, highest): each whole
            one of them is as likely. Strength scales it, to what need not be whole.
        alias_blur: Standard deviation in pixels, in [0, 100], by which the disc's edge is blurred over 3×3
            pixels, or 5×5 where the radius is above 8, one number or (lowest, highest).
        p: Probability in [0, 1].

    Raises:
        ValueError: radius is not whole or out of range.

    Example:
        >>> ae.Policy(ae.RandomDefocus(3, 0.1, p=1)).sample([0], [(32, 32)]).explain(0)
        'defocused by 3.0 px'
    """

    radius: Annotated[int | Sequence[int], WholeLimits(0, MOST_RADIUS, unit="pixels")] = (3, 10)
    alias_blur: Annotated[Limits, OneOrInterval(0, MOST_ALIAS, unit="pixels")] = (0.1, 0.5)
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 2)
        strength = draft.strength[rows]
        radius = pulled(_whole(uniform[:, 0], self.radius), 0, strength)
        actions.defocus(draft, rows, radius, magnitude(uniform[:, 1], self.alias_blur, 0, strength))
