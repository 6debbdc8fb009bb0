"""Numbers over time: how much of every magnitude is used, or how often, by epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..aliases import Ids
from ..checks import interval, number, several


@dataclass(frozen=True)
class Ramp:
    """A strength or probability, linear between points, constant before the first and after the last.

    Args:
        points: Pairs (epoch, strength), such as ((0, 0.0), (30, 1.0)); epochs rise, strengths lie in
            [0, 1].

    Raises:
        TypeError: A number is of another type.
        ValueError: There is no point, epochs fall, or a strength is outside [0, 1].

    Example:
        >>> ae.Ramp([(0, 0.0), (30, 1.0)])(15)
        0.5
    """

    points: Sequence[Sequence[float]]

    def __post_init__(self) -> None:
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

    def __call__(self, epoch: int, ids: Ids | None = None) -> float:
        """The strength of an epoch.

        Args:
            epoch: Whole number, 0 or more.
            ids: Identities of the samples, for which the strength is the same.

        Returns:
            A number in [0, 1].
        """
        epochs, strengths = zip(*self.points, strict=True)
        after = bisect_right(epochs, epoch)
        if after in (0, len(epochs)):
            return float(strengths[max(after - 1, 0)])
        begin, end = epochs[after - 1 : after + 1]
        low, high = strengths[after - 1 : after + 1]
        return (high - low) / (end - begin) * (epoch - begin) + low
