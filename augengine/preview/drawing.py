"""A policy decided and drawn on sources, for pictures: the plan, and the outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..kernels import Sources, execute
from ..plan import Plan
from ..policy import ops
from ..policy.ops.unfused import run_all
from ..policy.policy import Policy


def drawn(
    policy: Policy,
    sources: Sources,
    ids: np.ndarray,
    *,
    seed: int = 0,
    epoch: int = 0,
    strength: float = 1.0,
    boxes: Any = None,
    channels: int | None = None,
    out: torch.Tensor | None = None,
) -> tuple[Plan, torch.Tensor]:
    """The plan of a batch and its outputs (N, C, H, W), float32, with all that is not fused.

    Args:
        policy: Policy, which may be the beginning of another.
        sources: Images.
        ids: Identities [B].
        seed: Seed.
        epoch: Epoch.
        strength: Share in [0, 1] of every magnitude.
        boxes: Boxes [k, 4] of each image, where an op looks at them; None is no boxes.
        channels: Number of channels that the images have for the policy; None is their own.
        out: Tensor (N, C, H, W) that is drawn into; None is a new one.

    Raises:
        ValueError: As `Policy.sample` does.
    """
    if policy.needs_boxes and boxes is None:
        boxes = [np.zeros((0, 4))] * len(sources)
    plan = policy.sample(
        ids, sources.sizes, seed=seed, epoch=epoch,
        channels=sources.channels if channels is None else channels,
        image_dtype=sources.image_dtype, strength=None if strength == 1 else strength,
        boxes=boxes if policy.needs_boxes else None,
    )  # fmt: skip
    return plan, run_all(policy.after, execute(plan, sources, out=out), plan)


def needs_batch(policy: Policy) -> bool:
    """Whether a sample's output depends on the others of its batch: on a partner, or on the largest."""
    every = [op for top in policy.transforms for op in top.with_children()]
    return policy.mixes or any(isinstance(op, ops.PadToLargest) for op in every)


def new_parts(parts: Sequence[str], before: Sequence[str]) -> list[str]:
    """The parts of a plan's words that another's have not, in order."""
    left = Counter(before)
    new = []
    for part in parts:
        if left[part]:
            left[part] -= 1
        else:
            new.append(part)
    return new
