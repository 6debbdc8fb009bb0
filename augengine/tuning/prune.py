"""Policies that are not worth a training: under them a plainly trained model is at chance, however weak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arms import Arm
from .scores import Scores, clustered


@dataclass(frozen=True)
class Pruned:
    """A policy that was not tried.

    Args:
        policy: Its name.
        arm: Name of its weakest arm, under which was asked.
        accuracy: Accuracy of a plainly trained model under that arm, in [0, 1].
        chance: Accuracy of who always answers the commonest class.
    """

    policy: str
    arm: str
    accuracy: float
    chance: float

    def __str__(self) -> str:
        return (
            f"Not tried: {self.policy}. A model that was trained without augmentation tells "
            f"{100 * self.accuracy:.0f} % of images under {self.arm}, and the commonest class is "
            f"{100 * self.chance:.0f} %: look whether such images still show their class."
        )


def at_chance(weakest: Arm, plain: Scores, asked: Scores, truth: np.ndarray) -> Pruned | None:
    """Whether an arm is at chance, within two standard errors, where plain images are not; None if it is not,
    or if nobody said what was right.

    Args:
        weakest: The policy's weakest arm.
        plain: What plainly trained models say of plain images.
        asked: What they say of the same images under the arm.
        truth: Classes [n] of these images.
    """
    if plain.correct is None or asked.correct is None:
        return None
    _, counts = np.unique(truth, return_counts=True)
    chance = float(counts.max() / counts.sum())
    told, under = (
        clustered(one.correct.astype(float) - chance, one.samples, one.trainings)
        for one in (plain, asked)
        if one.correct is not None
    )
    if told.mean <= 2 * told.se or under.mean > 2 * under.se:
        return None
    return Pruned(weakest.of, weakest.name, under.mean + chance, chance)
