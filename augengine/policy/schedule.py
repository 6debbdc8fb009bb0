"""Strength over time: how much of every magnitude is used, by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..checks import interval, number, several


@dataclass(frozen=True)
class Ramp:
    """Linear between (epoch, strength) points, constant before the first and after the last.

    points: such as ((0, 0.0), (30, 1.0)); epochs rise, strengths lie in [0, 1].
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self):
        pairs = []
        for point in several(self.points):
            if len(several(point)) != 2:
                raise ValueError(
                    f"Ramp.points: got {point!r}, expected (epoch, strength). Pass such pairs."
                )
            epoch, strength = point
            pairs.append(
                (number("Ramp: epoch", epoch, 0), number("Ramp: strength", strength, 0, 1))
            )
        if not pairs:
            raise ValueError(
                "Ramp.points: got none, expected at least one. Pass (epoch, strength)."
            )
        for (before, _), (after, _) in pairwise(pairs):
            interval("Ramp: epochs", (before, after))
        object.__setattr__(self, "points", tuple(pairs))

    def __call__(self, epoch: int, ids=None) -> float:
        """The strength of an epoch, the same for all ids."""
        epochs, strengths = zip(*self.points, strict=True)
        return float(np.interp(epoch, epochs, strengths))
