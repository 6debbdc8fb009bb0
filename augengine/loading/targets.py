"""Boxes and masks: where the plan puts them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..aliases import Executor
from ..kernels import execute
from ..plan import Finish, Plan
from ..plan.kinds import NO_VIEW
from ..policy import geometry


def boxes(
    plan: Plan,
    sources_boxes: Sequence[np.ndarray | torch.Tensor | Sequence[Sequence[float]]],
    *,
    min_visible: float = 0.1,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Bounding boxes as they lie in the outputs. A box becomes the bounding box of its image, cut to
    what the layer shows.

    Args:
        plan: Plan of the batch.
        sources_boxes: Arrays [k, 4] of x0, y0, x1, y1 in pixels, one for each source.
        min_visible: Share in [0, 1] of a box's area below which it is dropped; one of less than a pixel
            a side is dropped too.

    Returns:
        For each output (boxes [m, 4] float32, origin [m, 2] int64): the origin is (source, index of the
        box there), which finds its class.

    Raises:
        ValueError: There are not as many arrays as sources.

    Example:
        >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(32, 32)])
        >>> found, origin = ae.boxes(plan, [[[4, 4, 20, 28]]])[0]
        >>> found
        array([[12.,  4., 28., 28.]], dtype=float32)
    """
    if len(sources_boxes) != len(plan.ids):
        raise ValueError(
            f"boxes: got those of {len(sources_boxes)} images, the plan has {len(plan.ids)} sources. "
            "Pass an array [k, 4] for each, empty where there are none."
        )
    boxes_of_source = [np.asarray(b, np.float64).reshape(-1, 4) for b in sources_boxes]
    return [_boxes_of(plan, i, boxes_of_source, min_visible) for i in range(len(plan))]


def _boxes_of(
    plan: Plan, i: int, boxes_of_source: list[np.ndarray], min_visible: float
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of output i, and where they come from."""
    root, kept_boxes, origin = plan.roots(), [np.zeros((0, 4))], [np.zeros((0, 2), np.int64)]
    for k, view in enumerate(plan.view[i]):
        y0, x0, y1, x1 = plan.box[i, k]
        if view < 0 or (y1 - y0) * (x1 - x0) == 0 or (plan.weight[i, k] == 0 and k):
            continue
        mine = boxes_of_source[root[view]]
        placed, whole = _placed(plan, view, mine)
        visible = np.clip(placed, [x0, y0, x0, y0], [x1, y1, x1, y1])
        visible_area = _area(visible)
        for later in range(k + 1, plan.view.shape[1]):
            if plan.alpha[i, later] == 1 and plan.view[i, later] != NO_VIEW:
                b0, a0, b1, a1 = plan.box[i, later]
                visible_area -= _area(np.clip(visible, [a0, b0, a0, b0], [a1, b1, a1, b1]))
        sides = np.minimum(visible[:, 2] - visible[:, 0], visible[:, 3] - visible[:, 1])
        numbers = np.flatnonzero(
            (visible_area >= min_visible * whole) & (visible_area > 0) & (sides >= 1)
        )
        kept_boxes.append(visible[numbers])
        origin.append(np.stack([np.full(len(numbers), root[view]), numbers], axis=1))
    return np.concatenate(kept_boxes).astype(np.float32), np.concatenate(origin)


def _placed(plan: Plan, view: int, bounds: np.ndarray):
    """Boxes of the source as the view shows them, and the areas that they would have uncut, [k]."""
    images, chain = len(plan.ids), [view]
    while plan.source[chain[-1]] >= images:
        chain.append(plan.source[chain[-1]] - images)
    whole = 1.0
    for step in reversed(chain):  # from the source on
        y0, x0, y1, x1 = plan.clip[step]
        cut = np.clip(bounds, [x0, y0, x0, y0], [x1, y1, x1, y1])
        forward = np.linalg.inv(plan.inv_matrix[step].astype(np.float64))
        # What the clip takes away counts as gone, in the same proportion.
        share = _area(cut) / np.maximum(_area(bounds), 1e-9)
        corners = cut[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        moved_corners = geometry.apply(np.broadcast_to(forward, (len(cut), 3, 3)), corners)
        bounds = np.concatenate([moved_corners.min(axis=1), moved_corners.max(axis=1)], axis=1)
        whole = _area(bounds) / np.maximum(share, 1e-9) * np.where(share > 0, 1, np.inf)
        if step != chain[0]:
            height, width = plan.frame[step]
            bounds = np.clip(bounds, 0, [width, height, width, height])
    return bounds, whole


def _area(bounds: np.ndarray) -> np.ndarray:
    return np.maximum(bounds[:, 2] - bounds[:, 0], 0) * np.maximum(bounds[:, 3] - bounds[:, 1], 0)


def masks(
    plan: Plan,
    images: torch.Tensor | np.ndarray | Sequence[torch.Tensor | np.ndarray],
    *,
    fill: int = 0,
    executor: Executor | None = None,
) -> torch.Tensor:
    """Segmentation masks under the plan's geometry, by the nearest pixel. Colours, filters and erased
    boxes leave a mask as it is; a pasted box brings its own, a blend (MixUp, AugMix) that of the larger
    part.

    Args:
        plan: Plan of the batch.
        images: Masks of the sources, class numbers in uint8: (B, H, W) or a list of (H, W).
        fill: Class outside the image, 0 … 255.
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.

    Returns:
        The masks [N, H, W] uint8 of the outputs.

    Raises:
        TypeError: A mask is not uint8 (H, W).

    Example:
        >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(1, 3)])
        >>> ae.masks(plan, torch.tensor([[[1, 2, 3]]], dtype=torch.uint8))
        tensor([[[3, 2, 1]]], dtype=torch.uint8)
    """
    sources = [torch.as_tensor(image) for image in images]
    if any(image.dtype != torch.uint8 or image.ndim != 2 for image in sources):
        raise TypeError(
            f"masks: got {sources[0].dtype} {tuple(sources[0].shape)}, expected uint8 (H, W) each. Pass "
            "class numbers 0 … 255 as uint8."
        )
    views = len(plan.source)
    unlabelled = (plan.view < 0) | ((plan.weight == 0) & (np.arange(plan.view.shape[1]) > 0))
    view = np.where(unlabelled | (plan.alpha < 0.5), NO_VIEW, plan.view).astype(np.int32)
    bare: dict[str, Any] = {
        "finish": Finish(plan.finish.size, 1, dtype="uint8"),
        "support": np.zeros_like(plan.support),
        "fill": np.full((views, 1), fill / 255, np.float32),
        "step_kind": plan.step_kind[:, :0],
        "step_arg": plan.step_arg[:, :0],
        "statistic": plan.statistic[:, :0],
        "window": plan.window[:, :0],
        "fill_start": np.zeros(views, np.int16),
        "filter": np.zeros_like(plan.filter),
        "colour": np.zeros((*plan.view.shape, 1), np.float32),
        "view": view,
        "alpha": np.ones_like(plan.alpha),
    }
    drawn = execute(
        dataclasses.replace(plan, **bare),
        [image[..., None] for image in sources],
        layout="NHWC",
        executor=executor,
    )
    return drawn[:, 0]
