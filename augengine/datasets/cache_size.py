"""The size that a policy can need, from views that it draws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..loading.engine import Engine
from ..plan import maps
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views

DRAWS = 4096


def size_needed(
    policy: Policy | Op | Sequence[Op] | Views, sizes: np.ndarray, channels: int
) -> int | None:
    """The least shorter side at which the finest of many views is not magnified.

    At the middle of its frame a view has a spacing: how many pixels of the image lie between two of its
    own, along y or x, whichever are fewer. An image of shorter side s could be smaller by the least
    spacing d among its views, so it needs s / d. The answer is the most that one of these images needs.

    Args:
        policy: Policy, or ops to make one of, or Views of several.
        sizes: Heights and widths [n, 2] of images, each of which is drawn several times, `DRAWS` in all.
        channels: Number of their channels.

    Returns:
        The shorter side in pixels; None where no image has more.
    """
    engine = Engine(policy)
    many = np.resize(sizes, (max(DRAWS, len(sizes)), 2))
    plans = engine.plan(many, np.arange(len(many)), epoch=0, channels=channels)
    needed = max(_needed(plan, many) for plan in _each(plans))
    return needed if needed < sizes.min(axis=1).max() else None


def _each(plans):
    if isinstance(plans, dict):
        for value in plans.values():
            yield from value if isinstance(value, list) else [value]
    else:
        yield plans


def _needed(plan, sizes: np.ndarray) -> int:
    views = np.flatnonzero(plan.source < len(sizes))
    frame = np.where(plan.frame[views] > 0, plan.frame[views], plan.finish.size)
    spacing = maps.spacing(maps.own(plan, views), frame[:, ::-1] / 2).min(axis=1)
    needed = sizes[plan.source[views]].min(axis=1) / np.maximum(spacing, 1e-6)
    # Float32 rounds the matrices: 256 by way of them is not 257.
    return math.ceil(needed.max() - 1e-3)
