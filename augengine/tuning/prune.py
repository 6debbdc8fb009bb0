"""Policies that are not worth a training: under them a plainly trained model is at chance, however weak."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arms import Arm
from .scores import Scores, accuracy_above


@dataclass(frozen=True)
class Pruned:
    """A policy that was not tried as it is.

    Args:
        policy: Its name.
        arm: Name of its weakest arm, under which was asked.
        accuracy: Accuracy of a plainly trained model under that arm, in [0, 1].
        chance: Accuracy of who always answers the commonest class.
        by: Names of its operations that alone bring it down to that. They are left out of what is tried.
    """

    policy: str
    arm: str
    accuracy: float
    chance: float
    by: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = (
            f"Not tried: {self.policy}. A model that was trained without augmentation tells "
            f"{100 * self.accuracy:.0f} % of images under {self.arm}, and the commonest class is "
            f"{100 * self.chance:.0f} %. "
        )
        if not self.by:
            return said + "Look whether such images still show their class."
        one = len(self.by) == 1
        return (
            f"{said}{' and '.join(self.by)} alone {'does' if one else 'do'} that: look whether "
            f"{'it leaves' if one else 'they leave'} the labels true. The policy was tried without "
            f"{'it' if one else 'them'}."
        )


def at_chance(weakest: Arm, plain: Scores, asked: Scores, truth: np.ndarray) -> Pruned | None:
    """Whether an arm is at chance, within two standard errors, where plain images are not; None if it is not,
    or if nobody said what was right. Few images are no proof: beyond two standard errors more than half must
    be gone of what is known of plain ones.

    Args:
        weakest: The policy's weakest arm.
        plain: What plainly trained models say of plain images.
        asked: What they say of the same images under the arm.
        truth: Classes [n] of these images.
    """
    _, counts = np.unique(truth, return_counts=True)
    chance = float(counts.max() / counts.sum())
    told, under = accuracy_above(plain, chance), accuracy_above(asked, chance)
    if told is None or under is None:
        return None
    if told.mean <= 2 * told.se or under.mean > 2 * under.se:
        return None
    if under.mean + 2 * under.se >= told.mean / 2:
        return None
    return Pruned(weakest.of, weakest.name, under.mean + chance, chance)
