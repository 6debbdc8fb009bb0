"""Labels: what a plan's layers make of them."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import one_hot

from ..aliases import Labels
from ..kernels import full_precision
from ..plan import Plan


def soft_labels(
    plan: Plan, labels: Labels, num_classes: int | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Labels as the plan mixes them: Σ weight · label of the layer's source, for every output.

    Args:
        plan: Plan of the batch.
        labels: Class numbers [B], ints in 0 … num_classes − 1, or soft labels [B, num_classes] as floats,
            or as ints or bools that are 0 and 1.
        num_classes: Number of classes, for labels that are ints.
        smoothing: Share in [0, 1] of every label that is spread evenly over the classes (Szegedy et
            al. 2016).

    Returns:
        The labels [N, num_classes] float32. Where no output mixes sources, rows are exactly one-hot.

    Raises:
        TypeError: Labels are of another type or dtype.
        ValueError: There is not one for each source, or one is out of range.

    Example:
        >>> policy = ae.Policy([ae.Resize((8, 8)), ae.MixUp()])
        >>> plan = policy.sample([0, 1], [(9, 9)] * 2)
        >>> ae.soft_labels(plan, [0, 2], num_classes=3)
        tensor([[0.5998, 0.0000, 0.4002],
                [0.2690, 0.0000, 0.7310]])
    """
    labels = label_tensor(labels)
    if labels.shape[:1] != (len(plan.ids),) or labels.ndim > 2:
        raise ValueError(
            f"labels: got shape {tuple(labels.shape)}, expected one for each of {len(plan.ids)} images: "
            f"({len(plan.ids)},) ints, or ({len(plan.ids)}, num_classes) floats. Pass as many as images."
        )
    if labels.ndim == 1:
        labels = class_numbers(labels, num_classes)
    else:
        labels = _rows(labels, len(plan.ids), num_classes)
    outputs, layers = np.nonzero(plan.view >= 0)
    source = plan.roots()[plan.view[outputs, layers]]
    weight = plan.weight[outputs, layers]
    if labels.ndim == 1:
        # Not one-hot times weights: with a thousand classes that product costs as much as the pixels.
        mixed = torch.zeros(len(plan), num_classes or 0, dtype=torch.float32, device=labels.device)
        places = (torch.from_numpy(outputs).to(labels.device), labels[source])
        mixed.index_put_(places, torch.from_numpy(weight).to(labels.device), accumulate=True)
    else:
        share = np.zeros((len(plan), len(plan.ids)), np.float32)
        np.add.at(share, (outputs, source), weight)
        with full_precision(labels.device):
            mixed = torch.from_numpy(share).to(labels.device) @ labels.to(torch.float32)
    return mixed if smoothing == 0 else mixed * (1 - smoothing) + smoothing / mixed.shape[1]


def _rows(labels: torch.Tensor, count: int, num_classes: int | None) -> torch.Tensor:
    """Soft labels [B, num_classes] as floats. Of whole numbers only 0 and 1 are known to be shares."""
    whole = not labels.dtype.is_floating_point
    if num_classes not in (None, labels.shape[1]):
        raise ValueError(
            f"labels: got {labels.dtype} {tuple(labels.shape)}, expected ({count}, {num_classes}). Pass a "
            "share for each class, or class numbers as ints [B]."
        )
    looks = labels.device.type == "cpu" and labels.numel() > 0
    if whole and looks and not bool(((labels == 0) | (labels == 1)).all()):
        raise ValueError(
            f"labels: got {labels.dtype} {tuple(labels.shape)} of other numbers than 0 and 1, expected shares "
            f"({count}, {num_classes or 'num_classes'}). Pass floats if they are shares, or class numbers [B]."
        )
    return labels.to(torch.float32) if whole else labels


def label_tensor(labels: Labels) -> torch.Tensor:
    """Labels as a tensor. Arrays that torch does not take are copied, and unsigned ints of 16 bits and
    more become int64, since torch does little with them.

    Raises:
        TypeError: There is no tensor of them, such as of names.
    """
    if isinstance(labels, np.ndarray):
        if min(labels.strides, default=0) < 0 or not labels.flags.writeable:
            labels = labels.copy()
        if not labels.dtype.isnative:
            labels = labels.astype(labels.dtype.newbyteorder("="))
    try:
        tensor = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"labels: got {type(labels).__name__} that torch makes no tensor of ({error}), expected class "
            "numbers [B] as ints, or floats (B, num_classes). Number the classes from 0."
        ) from None
    if isinstance(labels, (list, tuple)) and not labels:  # which torch takes for floats
        return tensor.long()
    return tensor.long() if tensor.dtype in _WIDE_UNSIGNED else tensor


_WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


def class_numbers(labels: torch.Tensor, num_classes: int | None) -> torch.Tensor:
    """[B] int64 in 0 … num_classes − 1, checked."""
    if labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise TypeError(
            f"labels: got {labels.dtype} ({len(labels)},), expected ints, or floats of "
            "(B, num_classes). Pass class numbers as ints, or numbers to be mixed as floats (B, 1) without "
            "num_classes."
        )
    if num_classes is None:
        raise ValueError(
            "labels: ints came without num_classes, which a soft label needs. Pass num_classes to "
            "the engine, or soft labels (B, num_classes)."
        )
    if (
        labels.device.type == "cpu"
        and len(labels)
        and not (0 <= labels.min() and labels.max() < num_classes)
    ):
        bad = int(labels[(labels < 0) | (labels >= num_classes)][0])
        raise ValueError(
            f"labels: got {bad}, expected 0 … {num_classes - 1}. Raise num_classes, or mend the labels."
        )
    return labels.long()


def batch_labels(
    plan: Plan, labels: Labels, num_classes: int | None, smoothing: float, softens: bool
) -> torch.Tensor:
    """The labels of a batch: those that came, where nothing makes them soft.

    So class numbers stay class numbers, and a loss that goes by the labels' dtype, such as that of
    transformers, is cross entropy and not that of many yes-or-no questions.

    Args:
        plan: Plan of the batch.
        labels: Class numbers [B], or soft labels [B, num_classes].
        num_classes: Number of classes that class numbers are checked against, or None for no check.
        smoothing: Share in [0, 1] of every label that is spread over the classes.
        softens: Whether the policy mixes or labels are smoothed.

    Returns:
        Class numbers [N] where nothing softens them, int64 if they were checked; else soft labels
        [N, num_classes] float32.
    """
    labels = label_tensor(labels)
    if labels.ndim != 1 or softens:
        return soft_labels(plan, labels, num_classes, smoothing)
    if len(labels) != len(plan.ids):
        raise ValueError(
            f"labels: got {len(labels)}, expected one for each of {len(plan.ids)} images. Pass as "
            "many as images."
        )
    numbers = labels if num_classes is None else class_numbers(labels, num_classes)
    return numbers[: len(plan)]


def join_labels(mine: Labels, theirs: Labels | None) -> torch.Tensor:
    """The labels of two batches as one; soft where either's are."""
    if theirs is None:
        raise ValueError(
            "partners: got no labels, expected them, since the batch has labels. Pass (images, "
            "labels)."
        )
    both = [label_tensor(mine), label_tensor(theirs)]
    if len({labels.ndim for labels in both}) > 1:
        classes = next(labels.shape[1] for labels in both if labels.ndim == 2)
        both = [
            one_hot(class_numbers(part, classes), classes).float() if part.ndim == 1 else part
            for part in both
        ]
    return torch.cat([part.to(both[0].device) for part in both])
