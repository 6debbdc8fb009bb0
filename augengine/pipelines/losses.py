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


def standardized(logits: torch.Tensor) -> torch.Tensor:
    """(logits − their mean) / their standard deviation, over the classes of each sample.

    Args:
        logits: [n, classes], of any float dtype.

    Returns:
        [n, classes] float32. Logits that are all alike give zeros.
    """
    centred = logits.float() - logits.float().mean(dim=1, keepdim=True)
    # The variance keeps off 0, where its root has no gradient.
    return centred / (centred.square().mean(dim=1, keepdim=True) + 1e-12).sqrt()


def distillation(
    student: torch.Tensor, teacher: torch.Tensor, temperature: float, *, standardize: bool = False
) -> torch.Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), for each sample (Hinton et al. 2015).

    T² keeps gradients of one size whatever T is.

    Args:
        student: [n, classes], the student's logits.
        teacher: [n, classes], the teacher's logits.
        temperature: T, above 0.
        standardize: Whether both logits are `standardized` first, so that the student need not match
            how large the teacher's are (Sun et al., CVPR 2024).

    Returns:
        [n] float32.
    """
    if standardize:
        student, teacher = standardized(student), standardized(teacher)
    log_p = log_softmax(teacher.float() / temperature, dim=1)
    log_q = log_softmax(student.float() / temperature, dim=1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=1)
