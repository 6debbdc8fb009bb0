"""A strength that samples draw: how much of every magnitude is used, for each sample another share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..aliases import Ids, Occurrences, Strength, StrengthSchedule
from ..checks import any_true, number, shown, whole_number
from .keyed import Keyed, count_repeats, ids_of_names

# Where strengths stand in the counter of random numbers. Ops are numbered from 0, so that none has it.
PLACE = 2**32 - 1


@dataclass(frozen=True)
class Uniform:
    """A strength that each sample draws uniformly between two shares: `Engine(strength=ae.Uniform())`.

    No search for the right strength is needed: over the epochs every sample meets all of them, from
    nearly unchanged to as the policy says. It is keyed by (seed, epoch, id, occurrence) from random
    numbers that no op has: the same whatever the batch, order, worker or rank, and no other draw moves.
    All views of a sample have one strength.

    Args:
        low: Lowest share of every magnitude, in [0, 1].
        high: Highest share, in [0, 1], not below `low`.

    Raises:
        TypeError: A share is no number.
        ValueError: A share is outside [0, 1], or the lowest is above the highest.

    Example:
        >>> engine = ae.Engine(ae.RandomRotation(30), strength=ae.Uniform())
        >>> plan = engine.plan([(32, 32)] * 3, ids=[4, 5, 6], epoch=0)
        >>> plan.strength.round(2)
        array([0.85, 0.55, 0.8 ], dtype=float32)
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        low = number("Uniform: low", self.low, 0, 1)
        high = number("Uniform: high", self.high, 0, 1)
        if low > high:
            raise ValueError(
                f"Uniform: got low={low:g} above high={high:g}, expected low ≤ high. Pass Uniform({high:g}, "
                f"{low:g})."
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def __call__(
        self, epoch: int, ids: Ids, seed: int = 0, occurrences: Occurrences | None = None
    ) -> np.ndarray:
        """The strengths of some samples. Engines pass their own seed and the occurrences.

        Args:
            epoch: Whole number, 0 or more.
            ids: Identities [n] of the samples, ints or names.
            seed: Whole number of 64 bits.
            occurrences: Number of times [n] that each id has come before in the epoch; None counts within
                these ids.

        Returns:
            Shares [n] in [low, high], float64.

        Raises:
            TypeError: The seed or the epoch is no whole number.
            ValueError: A number is outside its range, or ids and occurrences are of another form.

        Example:
            >>> ae.Uniform(0.2, 0.4)(0, ["a/1.png", "a/2.png"]).shape
            (2,)
        """
        numbers = _id_numbers(ids)
        counts = count_repeats(numbers) if occurrences is None else np.asarray(occurrences)
        if counts.shape != numbers.shape:
            raise ValueError(
                f"Uniform: got occurrences {list(counts.shape)} of {len(numbers)} ids, expected one for each. "
                "Leave them out, and they are counted."
            )
        keyed = Keyed(
            whole_number("Uniform: seed", seed, -(2**63), 2**64 - 1),
            whole_number("Uniform: epoch", epoch, 0, 2**63 - 1),
            numbers,
            occurrences=counts.astype(np.int64) if any_true(counts) else None,
        )
        drawn = self.low + (self.high - self.low) * keyed.uniform(PLACE, 1)[:, 0]
        return np.clip(drawn, self.low, self.high)  # a rounding may lead past the end


def strength_of(
    schedule: StrengthSchedule,
    seed: int,
    epoch: int,
    ids: np.ndarray,
    occurrences: Occurrences | None,
) -> Strength:
    """What a number or a function says of these samples, one number or [n]."""
    if isinstance(schedule, Uniform):
        return schedule(epoch, ids, seed, occurrences)
    return schedule(epoch, ids) if callable(schedule) else schedule


def _id_numbers(ids: Ids) -> np.ndarray:
    """Ids [n] as int64, or ValueError; names become numbers."""
    array: np.ndarray
    if isinstance(ids, torch.Tensor):
        array = ids.cpu().numpy()
    elif isinstance(ids, (list, tuple)) or (
        isinstance(ids, np.ndarray) and ids.dtype.kind in "USO"
    ):
        array = np.asarray(ids_of_names(ids), None if len(ids) else np.int64)
    else:
        array = np.asarray(ids)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"Uniform: got ids {shown(ids)}, expected ints or names [n]. Pass the samples' indices in the "
            "dataset, or their names."
        )
    return array.astype(np.int64)
