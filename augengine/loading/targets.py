"""Labels, boxes and masks: what the plan makes of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from ..aliases import Executor
from ..kernels import execute, full_precision
from ..plan import Finish, Plan
from ..plan.kinds import NO_VIEW
from ..policy import geometry


def soft_labels(
    plan: Plan, labels, num_classes: int | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Σ weight · label of the layer's source, for every output.

    labels: [B] ints in 0 … num_classes − 1, or [B, num_classes] floats that are soft already.
    smoothing: this share of every label is spread evenly over the classes (Szegedy et al. 2016).
    Returns [N, num_classes] float32. Where no output mixes sources, rows are exactly one-hot.
    Raises TypeError or ValueError for labels that are not one for each source, or out of range.
    """
    labels = torch.as_tensor(labels)
    if labels.shape[:1] != (len(plan.ids),) or labels.ndim > 2:
        raise ValueError(
            f"labels: got shape {tuple(labels.shape)}, expected one for each of {len(plan.ids)} images: "
            f"({len(plan.ids)},) ints, or ({len(plan.ids)}, num_classes) floats. Pass as many as images."
        )
    if labels.ndim == 1:
        labels = class_numbers(labels, num_classes)
    elif not labels.dtype.is_floating_point or num_classes not in (None, labels.shape[1]):
        raise ValueError(
            f"labels: got {labels.dtype} {tuple(labels.shape)}, expected floats "
            f"({len(plan.ids)}, {num_classes or 'num_classes'}). Pass soft labels as such floats, or class "
            "numbers as ints."
        )
    outputs, layers = np.nonzero(plan.view >= 0)
    source = plan.roots()[plan.view[outputs, layers]]
    weight = plan.weight[outputs, layers]
    if labels.ndim == 1:
        # Not one-hot times weights: with a thousand classes that product costs as much as the pixels.
        mixed = torch.zeros(len(plan), num_classes or 0, device=labels.device)
        places = (torch.from_numpy(outputs).to(labels.device), labels[source])
        mixed.index_put_(places, torch.from_numpy(weight).to(labels.device), accumulate=True)
    else:
        share = np.zeros((len(plan), len(plan.ids)), np.float32)
        np.add.at(share, (outputs, source), weight)
        with full_precision(labels.device):
            mixed = torch.from_numpy(share).to(labels.device) @ labels.to(torch.float32)
    return mixed if smoothing == 0 else mixed * (1 - smoothing) + smoothing / mixed.shape[1]


def class_numbers(labels: torch.Tensor, num_classes: int | None) -> torch.Tensor:
    """[B] int64 in 0 … num_classes − 1, checked."""
    if labels.dtype.is_floating_point or labels.dtype in (torch.bool, torch.complex64):
        raise TypeError(
            f"labels: got {labels.dtype} ({len(labels)},), expected ints, or floats of "
            "(B, num_classes). Call labels.long()."
        )
    if num_classes is None:
        raise ValueError(
            "labels: ints came without num_classes, which a soft label needs. Pass num_classes to "
            "the engine, or soft labels (B, num_classes)."
        )
    if labels.device.type == "cpu" and not (0 <= labels.min() and labels.max() < num_classes):
        bad = int(labels[(labels < 0) | (labels >= num_classes)][0])
        raise ValueError(
            f"labels: got {bad}, expected 0 … {num_classes - 1}. Raise num_classes, or mend the labels."
        )
    return labels.long()


def boxes(plan: Plan, sources_boxes, *, min_visible: float = 0.1):
    """Bounding boxes as they lie in the outputs.

    sources_boxes: for each source an array [k, 4] of x0, y0, x1, y1 in its pixels. A box becomes the
    bounding box of its image, cut to what the layer shows; one of which less than min_visible of the
    area is left, or less than a pixel a side, is dropped.
    Returns for each output (boxes [m, 4] float32, origin [m, 2] int64): origin is (source, number
    of the box there), which finds its class.
    """
    if len(sources_boxes) != len(plan.ids):
        raise ValueError(
            f"boxes: got those of {len(sources_boxes)} images, the plan has {len(plan.ids)} sources. "
            "Pass an array [k, 4] for each, empty where there are none."
        )
    given = [np.asarray(b, np.float64).reshape(-1, 4) for b in sources_boxes]
    return [_boxes_of(plan, i, given, min_visible) for i in range(len(plan))]


def _boxes_of(plan: Plan, i: int, given, min_visible: float):
    root, made, origin = plan.roots(), [np.zeros((0, 4))], [np.zeros((0, 2), np.int64)]
    for k, view in enumerate(plan.view[i]):
        y0, x0, y1, x1 = plan.box[i, k]
        if view < 0 or (y1 - y0) * (x1 - x0) == 0 or (plan.weight[i, k] == 0 and k):
            continue
        mine = given[root[view]]
        moved, whole = _moved(plan, view, mine)
        seen = np.clip(moved, [x0, y0, x0, y0], [x1, y1, x1, y1])
        left = _area(seen)
        for later in range(k + 1, plan.view.shape[1]):
            if plan.alpha[i, later] == 1 and plan.view[i, later] != NO_VIEW:
                b0, a0, b1, a1 = plan.box[i, later]
                left -= _area(np.clip(seen, [a0, b0, a0, b0], [a1, b1, a1, b1]))
        sides = np.minimum(seen[:, 2] - seen[:, 0], seen[:, 3] - seen[:, 1])
        kept = np.flatnonzero((left >= min_visible * whole) & (left > 0) & (sides >= 1))
        made.append(seen[kept])
        origin.append(np.stack([np.full(len(kept), root[view]), kept], axis=1))
    return np.concatenate(made).astype(np.float32), np.concatenate(origin)


def _moved(plan: Plan, view: int, found: np.ndarray):
    """Boxes of the source as the view shows them, and the areas that they would have uncut, [k]."""
    images, chain = len(plan.ids), [view]
    while plan.source[chain[-1]] >= images:
        chain.append(plan.source[chain[-1]] - images)
    whole = 1.0
    for step in reversed(chain):  # from the source on
        y0, x0, y1, x1 = plan.clip[step]
        cut = np.clip(found, [x0, y0, x0, y0], [x1, y1, x1, y1])
        forward = np.linalg.inv(plan.inv_matrix[step].astype(np.float64))
        # What the clip takes away counts as gone, in the same proportion.
        share = _area(cut) / np.maximum(_area(found), 1e-9)
        corners = cut[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        moved = geometry.apply(np.broadcast_to(forward, (len(cut), 3, 3)), corners)
        found = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
        whole = _area(found) / np.maximum(share, 1e-9) * np.where(share > 0, 1, np.inf)
        if step != chain[0]:
            height, width = plan.frame[step]
            found = np.clip(found, 0, [width, height, width, height])
    return found, whole


def _area(found: np.ndarray) -> np.ndarray:
    return np.maximum(found[:, 2] - found[:, 0], 0) * np.maximum(found[:, 3] - found[:, 1], 0)


def masks(plan: Plan, images, *, fill: int = 0, executor: Executor | None = None) -> torch.Tensor:
    """Segmentation masks under the plan's geometry, by the nearest pixel: [N, H, W] uint8.

    images: the sources' masks, uint8 class numbers: (B, H, W) or a list of (H, W). fill: the class
    outside the image. Colours, filters and erased boxes leave a mask as it is; a pasted box brings its
    own, a blend (MixUp, AugMix) that of the larger part.
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
    made = execute(
        dataclasses.replace(plan, **bare),
        [image[..., None] for image in sources],
        layout="NHWC",
        executor=executor,
    )
    return made[:, 0]
