"""What targets cannot follow, refused."""

from __future__ import annotations

from ..plan import Plan
from ..plan.kinds import CONSTANT


def check_followed(where: str, plan: Plan, borders: bool = True) -> None:
    """Raise for a plan that shows pixels where targets do not follow.

    borders: whether mirrored and smeared copies beyond an image's edge are such.
    """
    if plan.after:
        raise ValueError(
            f"{where}: the plan's outputs go through a Stage, {plan.after[0]}, which may move pixels, expected "
            "one that says what becomes of targets. Pass Stage(…, targets='same') if it moves none, or a "
            "function of the targets, which an Engine calls."
        )
    if borders and (plan.border != CONSTANT).any():
        raise ValueError(
            f"{where}: the policy pads by 'edge', 'reflect' or 'symmetric', which shows copies of what lies "
            "in the image, expected padding_mode='constant', since no target follows to a copy. Use that."
        )
