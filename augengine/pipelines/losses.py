"""The losses, one value a sample; their means are taken over the whole batch, in all processes."""

from __future__ import annotations

import torch
from torch.nn.functional import log_softmax


def cross_entropy(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """−Σ row · log softmax(logits), for each sample.

    Args:
        logits: [n, classes], of any float dtype.
        rows: [n, classes], label rows. A row of zeros, which is no label, costs nothing.

    Returns:
        [n] float32.
    """
    return -(rows * log_softmax(logits.float(), dim=1)).sum(dim=1)


def distillation(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), for each sample (Hinton et al. 2015).

    T² keeps gradients of one size whatever T is.

    Args:
        student: [n, classes], the student's logits.
        teacher: [n, classes], the teacher's logits.
        temperature: T, above 0.

    Returns:
        [n] float32.
    """
    log_p = log_softmax(teacher.float() / temperature, dim=1)
    log_q = log_softmax(student.float() / temperature, dim=1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=1)
