"""A training of so many steps on images in memory: what trials and checks of a policy do some hundred times."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from ..loading.engine import Engine
from . import models
from .batches import batches
from .fit import warm_cosine
from .losses import cross_entropy

WEIGHT_DECAY = 0.05
BODY_LR = 0.1  # a body's share of the learning rate where its weights came from elsewhere
ANSWERED = 256  # images that are asked about at a time


def learn(
    model: nn.Module,
    spec: str,
    engine: Engine,
    images: torch.Tensor,
    rows: torch.Tensor,
    ids: np.ndarray,
    *,
    among: np.ndarray,
    steps: int,
    batch: int,
    lr: float,
    seed: int,
    strength: Callable[[int, np.ndarray], np.ndarray] | None = None,
    tick: Callable[[], object] | None = None,
) -> None:
    """Train a model with AdamW, its learning rate a short ramp and a cosine; it is left in evaluation mode.

    Args:
        model: Model, which is changed.
        spec: What it was created as, which says whether its body knows something.
        engine: Engine that augments.
        images: Images (n, C, H, W), uint8, on the CPU.
        rows: Label rows [n, classes], float32.
        ids: Identities [n] of the images, which key their draws.
        among: Indices of the images that are learned.
        steps: Number of batches.
        batch: Number of images of each, at most.
        lr: Highest learning rate of the head.
        seed: Seed of the order.
        strength: Function (epoch, ids) → strengths in [0, 1]; None leaves them to the engine.
        tick: Function that is called after each batch.

    Raises:
        FloatingPointError: The loss is no number.
    """
    body = 1.0 if models.is_random(spec) else BODY_LR
    groups = [dict(group) for group in models.parameter_groups(model, lr, WEIGHT_DECAY, body=body)]
    # One call for all parameters: of a small net they are a fifth of a step else.
    optimizer = torch.optim.AdamW(groups, fused=True)
    schedule = LambdaLR(optimizer, lambda step: warm_cosine(step, steps))
    model.train()
    loss = torch.zeros(())
    for epoch, at in _batches(ids[among], among, batch, seed, steps):
        how_strong = None if strength is None else strength(epoch, ids[at])
        where = torch.from_numpy(at)
        drawn = engine(images[where], rows[where], ids=ids[at], epoch=epoch, strength=how_strong)
        assert drawn.labels is not None
        loss = cross_entropy(model(drawn.images), drawn.labels).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if tick is not None:
            tick()
    model.eval()
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"train: the loss of {spec} became {float(loss.detach())}, expected a number. Take another --model."
        )


def _batches(
    ids: np.ndarray, among: np.ndarray, batch: int, seed: int, steps: int
) -> Iterator[tuple[int, np.ndarray]]:
    """(epoch, indices of a batch), so many of them."""
    done = epoch = 0
    while done < steps:
        for at in batches(ids, batch, seed, epoch)[: steps - done]:
            yield epoch, among[at]
            done += 1
        epoch += 1


@torch.no_grad()
def log_probabilities(
    model: nn.Module, engine: Engine, images: torch.Tensor, ids: np.ndarray, at: np.ndarray,
    *, epoch: int = 0, strength: float | None = None,
) -> np.ndarray:  # fmt: skip
    """What a model says of images: log of the probability [n, classes] of each class, float64.

    Args:
        model: Model in evaluation mode.
        engine: Engine that draws what it is asked about.
        images: Images (n, C, H, W), uint8, on the CPU.
        ids: Identities [n] of all images.
        at: Indices of the images that are asked about.
        epoch: Epoch that keys the draws.
        strength: Strength in [0, 1] of all magnitudes; None leaves it to the engine.
    """
    parts = np.array_split(at, -(-len(at) // ANSWERED))
    logits = [
        model(
            engine(
                images[torch.from_numpy(part)], ids=ids[part], epoch=epoch, strength=strength
            ).images
        )
        for part in parts
    ]
    return torch.cat(logits).cpu().double().log_softmax(dim=1).numpy()
