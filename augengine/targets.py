"""Labels: what the plan's layers make of them."""

from __future__ import annotations

import numpy as np
import torch

from .plan import Plan


def soft_labels(plan: Plan, labels, num_classes: int | None = None) -> torch.Tensor:
    """Σ weight · label of the layer's source, for every output.

    labels: [B] ints in 0 … num_classes − 1, or [B, num_classes] floats that are soft already.
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
        labels = _one_hot(labels, num_classes)
    elif not labels.dtype.is_floating_point or num_classes not in (None, labels.shape[1]):
        raise ValueError(
            f"labels: got {labels.dtype} {tuple(labels.shape)}, expected floats "
            f"({len(plan.ids)}, {num_classes or 'num_classes'}). Pass soft labels as such floats, or class "
            "numbers as ints."
        )
    share = torch.from_numpy(source_weights(plan)).to(labels.device)
    return share @ labels.to(torch.float32)


def source_weights(plan: Plan) -> np.ndarray:
    """[N, B] float32: how much of each output's label each source gives."""
    share = np.zeros((len(plan), len(plan.ids)), np.float32)
    outputs, layers = np.nonzero(plan.view >= 0)
    source = plan.roots()[plan.view[outputs, layers]]
    np.add.at(share, (outputs, source), plan.weight[outputs, layers])
    return share


def _one_hot(labels: torch.Tensor, num_classes: int | None) -> torch.Tensor:
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
    return torch.nn.functional.one_hot(labels.long(), num_classes)
