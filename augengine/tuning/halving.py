"""Successive halving: all arms are trained a little, the better half longer, and so on; then a choice by the
one-standard-error rule.

Nothing here trains: `score(arm, fold, steps)` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .scores import Difference, Scores, difference

FINALISTS = 2  # a choice is among as many at least
A = TypeVar("A")


@dataclass(frozen=True)
class Rung(Generic[A]):
    """The arms that were trained for as many steps.

    Args:
        steps: Number of steps of each training.
        arms: Arms, the plainest first.
        scores: Scores of each arm.
    """

    steps: int
    arms: tuple[A, ...]
    scores: tuple[Scores, ...]

    @property
    def best(self) -> int:
        """The index of the arm of the highest mean; of equals the plainest."""
        means = [scores.mean for scores in self.scores]
        return means.index(max(means))

    def to_best(self, index: int) -> Difference:
        """By how much an arm is above the best: 0 or less."""
        return difference(self.scores[index], self.scores[self.best])

    def better_half(self, keep: Sequence[A] = ()) -> tuple[A, ...]:
        """The arms that go on, in the order in which they stand: the better half, and those that are kept."""
        count = max(FINALISTS, len(self.arms) // 2)
        order = sorted(range(len(self.arms)), key=lambda i: (-self.scores[i].mean, i))
        going = {*order[:count], *(i for i, arm in enumerate(self.arms) if arm in keep)}
        return tuple(self.arms[i] for i in sorted(going))

    def choice(self) -> A:
        """The plainest arm that is within one standard error of the best, by their paired difference."""
        for index, arm in enumerate(self.arms):
            to_best = self.to_best(index)
            if to_best.mean >= -to_best.se:
                return arm
        raise AssertionError("the best is within its own standard error")


def halve(
    arms: Sequence[A],
    rungs: Sequence[int],
    score: Callable[[A, int], Scores],
    keep: Sequence[A] = (),
) -> tuple[Rung[A], ...]:
    """Train all arms for rungs[0] steps, the better half of them for rungs[1], and so on.

    Short trainings prefer weak augmentation, so that what has to be beaten in the end is best kept.

    Args:
        arms: Arms, the plainest first.
        rungs: Numbers of steps, ever more.
        score: Function (arm, steps) → the scores of its trainings, on the same folds and seeds for all.
        keep: Arms that go on however they do.

    Returns:
        The rungs, in order.
    """
    done: list[Rung[A]] = []
    going = tuple(arms)
    for steps in rungs:
        done.append(Rung(steps, going, tuple(score(arm, steps) for arm in going)))
        going = done[-1].better_half(keep)
    return tuple(done)


def trainings(arms: int, rungs: int, kept: int = 0) -> list[int]:
    """How many arms each rung has at most.

    Args:
        arms: Number of arms.
        rungs: Number of rungs.
        kept: Number of arms that go on however they do.
    """
    counts = [arms]
    for _ in range(rungs - 1):
        counts.append(min(counts[-1], max(FINALISTS, counts[-1] // 2) + kept))
    return counts
