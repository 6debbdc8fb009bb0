"""What light and sensors do: another light's colour, a shadow's edge, pixels that are stuck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from ...checks import several, whole
from ...elementary import cos_sin
from ..illuminants import GAINS
from ..keyed import below
from . import actions
from .arguments import Custom, Limits, OneOrInterval, Probability, Spread, kept
from .op import Op
from .strength import acting, magnitude, pulled


def _mode(where: str, value: Any) -> str:
    if value not in GAINS:
        raise ValueError(
            f"{where}: got {value!r}, expected 'blackbody' or 'CIED'. Pass one of these."
        )
    return value


def _select_from(where: str, value: Any) -> tuple[int, ...]:
    rows = several(value)
    if not rows or not all(whole(row) for row in rows):
        raise ValueError(
            f"{where}: got {value!r}, expected a whole number or several, rows of the table of lights. Leave "
            "it out for all of them."
        )
    return tuple(int(row) for row in rows)


@dataclass(frozen=True, repr=False)
class RandomPlanckianJitter(Op):
    """Show the colours under another light, one of a table, with probability p: red and blue are scaled.
    Equals kornia's. Grey images stay as they are.

    Args:
        mode: "blackbody", Planck's lights of 3,000 … 15,000 K, or "CIED", daylights of 4,000 … 15,000 K.
        select_from: Rows of the table to choose from, each as likely, one number or several: row i is of
            i · 500 K more than the first, negative ones count from the end. None is all.
        p: Probability in [0, 1].

    Raises:
        ValueError: A row is not in the table, or the images have another number of channels than 1 or 3.

    Example:
        >>> ae.Policy(ae.RandomPlanckianJitter(select_from=0, p=1)).sample([0], [(32, 32)]).explain(0)
        'illuminant red ×1.67, blue ×0.00'
    """

    mode: Annotated[Literal["blackbody", "CIED"], Custom(_mode, "'blackbody' or 'CIED'")] = (
        "blackbody"
    )
    select_from: Annotated[
        int | Sequence[int] | None, Custom(_select_from, "rows of the table, whole")
    ] = None
    p: Probability = 0.5

    def _check(self):
        rows, count = kept(self.select_from) or (), len(GAINS[self.mode])
        if any(not -count <= row < count for row in rows):
            raise ValueError(
                f"RandomPlanckianJitter.select_from: got {rows}, expected rows −{count} … {count - 1}, which "
                f"{self.mode} has. Pass some of those."
            )

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        gains = GAINS[self.mode]
        if self.select_from is not None:
            gains = gains[list(kept(self.select_from))]
        chosen = gains[below(uniform[:, 0], len(gains))]
        gain = pulled(chosen, 1, draft.strength[rows][:, None])
        actions.light(draft, rows, *gain.T)


@dataclass(frozen=True, repr=False)
class RandomSaltAndPepperNoise(Op):
    """Set single pixels to white or black, all channels alike, with probability p. Which ones is a function
    of the sample's key and the pixel: every executor draws the same.

    Args:
        amount: Share of the pixels that change, in [0, 1], one number or (lowest, highest).
        salt_vs_pepper: Share of those that become white, in [0, 1], one number or (lowest, highest).
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomSaltAndPepperNoise(0.05, 0.5, p=1)).sample([0], [(32, 32)]).explain(0)
        'salt and pepper 0.050, of it white 0.50'
    """

    amount: Annotated[Limits, OneOrInterval(0, 1)] = (0.01, 0.06)
    salt_vs_pepper: Annotated[Limits, OneOrInterval(0, 1)] = (0.4, 0.6)
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 4)
        amount = magnitude(uniform[:, 0], self.amount, 0, draft.strength[rows])
        salt = magnitude(uniform[:, 1], self.salt_vs_pepper, 0, 1)
        actions.salt_and_pepper(draft, rows, amount, salt, *np.floor(uniform[:, 2:] * 2.0**32).T)


@dataclass(frozen=True, repr=False)
class RandomShadow(Op):
    """Darken one side of a straight edge through a random point of the picture, with probability p. As a
    filter it works on the picture that the frame shows by then, so what follows moves the shadow too.

    Args:
        intensity: How much darker the shadow is, in [0, 1], one number or (lowest, highest): values in it
            are times 1 − intensity.
        angle: Which way the light lies, across the edge, in degrees, in [-360, 360], counter-clockwise as
            seen, 0 being to the right, x for (−x, x) or (lowest, highest).
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomShadow(0.4, (90, 90), p=1)).sample([0], [(32, 32)]).explain(0)
        'shadow ×0.60, light at 90.0°'
    """

    intensity: Annotated[Limits, OneOrInterval(0, 1)] = (0.3, 0.7)
    angle: Annotated[Limits, Spread(-360, 360, unit="degrees")] = (-180, 180)
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 4)
        gain = 1 - magnitude(uniform[:, 0], self.intensity, 0, draft.strength[rows])
        angle = magnitude(uniform[:, 1], self.angle, 0, 1)
        height, width = draft.frame[rows].T
        cos, sin = cos_sin(angle, 90.0)
        offset = uniform[:, 2] * width * cos - uniform[:, 3] * height * sin
        actions.shade(draft, rows, gain, angle, offset)
