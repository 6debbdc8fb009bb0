"""What becomes of a teacher's answers while it learns: which label each gives, and how much it weighs.

    FixMatch   λ = [c ≥ τ],                                   c = max p
    SoftMatch  λ = exp(−(μ − c)² / 2σ²) below μ, 1 above it   (Chen et al., ICLR 2023)
    alignment  p ∝ p · target / mean answer                   (ReMixMatch, Berthelot et al. 2020)

μ, σ² and the mean answer are moving averages over the batches. They are buffers, so that a checkpoint has
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import one_hot

THRESHOLD, SOFTMATCH = "threshold", "softmatch"
WEIGHTS = (THRESHOLD, SOFTMATCH)
_LEAST = 1e-6  # share of a class, and variance, that is divided by


class Labels(NamedTuple):
    """What a student learns from: rows [n, classes] of labels, and weights [n] in [0, 1]."""

    rows: torch.Tensor
    weights: torch.Tensor


class Confidence(nn.Module):
    """Answers → labels and their weights. Each call moves the averages on, and then uses them.

    Args:
        classes: Number of classes.
        weights: "threshold", or "softmatch".
        threshold: τ, the least confidence of an answer that counts, in [0, 1]; of "threshold" alone.
        momentum: Decay m of the averages a batch, in [0, 1]: the next is m · average + (1 − m) · batch.
        target: [classes], the shares of the classes that answers are aligned with; None: they are not.
            With "softmatch" it moves the weights alone and no label (the paper's uniform alignment).
        soft: Whether a label is the distribution, or the likeliest class alone.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    answered: torch.Tensor
    target: torch.Tensor | None

    def __init__(
        self,
        classes: int,
        *,
        weights: str = THRESHOLD,
        threshold: float = 0.95,
        momentum: float = 0.999,
        target: torch.Tensor | None = None,
        soft: bool = False,
    ):
        super().__init__()
        self.classes, self.weights, self.threshold = classes, weights, threshold
        self.momentum, self.soft = momentum, soft
        if weights == SOFTMATCH:
            self.register_buffer("mean", torch.tensor(1 / classes))
            self.register_buffer("variance", torch.tensor(1.0))
        self.register_buffer("target", target, persistent=False)
        if target is not None:
            # Zeros until the first batch, whose mean answer they become.
            self.register_buffer("answered", torch.zeros(classes))

    @torch.no_grad()
    def forward(
        self, logits: torch.Tensor, mean: Callable[[torch.Tensor], torch.Tensor], count: float
    ) -> Labels:
        """Labels for a process's part of a batch.

        Args:
            logits: [n, classes], the teacher's answers, of any float dtype.
            mean: Function from [n, …] to its mean over the batch, in all processes.
            count: Number of samples in the batch, in all processes.

        Returns:
            Rows [n, classes] and weights [n], float32.
        """
        p = torch.softmax(logits.float(), dim=1)
        aligned = p if self.target is None else self._aligned(p, mean(p))
        confidence = aligned.max(dim=1).values
        if self.weights == SOFTMATCH:
            weights = self._softmatch(confidence, mean, count)
        else:
            weights, p = (confidence >= self.threshold).float(), aligned
        rows = p if self.soft else one_hot(p.argmax(dim=1), self.classes).float()
        return Labels(rows, weights)

    def _aligned(self, p: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        assert self.target is not None
        self._move(self.answered, batch, self.momentum if self.answered.any() else 0.0)
        p = p * (self.target / self.answered.clamp_min(_LEAST))
        return p / p.sum(dim=1, keepdim=True)

    def _softmatch(
        self,
        confidence: torch.Tensor,
        mean: Callable[[torch.Tensor], torch.Tensor],
        count: float,
    ) -> torch.Tensor:
        batch = mean(confidence)
        variance = mean((confidence - batch) ** 2) * (count / max(count - 1, 1))  # the unbiased one
        self._move(self.mean, batch, self.momentum)
        self._move(self.variance, variance, self.momentum)
        below = (self.mean - confidence).clamp_min(0)
        return torch.exp(-(below**2) / (2 * self.variance.clamp_min(_LEAST)))

    @staticmethod
    def _move(average: torch.Tensor, batch: torch.Tensor, momentum: float) -> None:
        average.mul_(momentum).add_((1 - momentum) * batch)
