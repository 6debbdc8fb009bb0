"""Nets that learn the inner part for a number of steps, and what they answer about the held-out part."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softmax
from torch.optim.lr_scheduler import LambdaLR

from ..loading.batch import Batch
from ..loading.engine import Engine
from ..pipelines import models
from ..pipelines.batches import batches
from ..pipelines.fit import warm_cosine
from ..pipelines.run import stage_seed
from ..policy.keyed import Keyed
from ..policy.policy import Policy
from .images import Pictures

BATCH, ANSWERED = 64, 256
LR, BODY, WEIGHT_DECAY = 3e-3, 0.1, 0.05  # those of the pipelines
COIN = 2**31 + 2  # the number of the look that tosses who meets the op


@dataclass(frozen=True, eq=False)
class Setup:
    """How all nets of a check are made.

    Args:
        spec: Model, as `models.create` takes it.
        classes: Number of classes.
        channels: Number of channels.
        steps: Number of batches that a net learns.
        seed: Seed of weights, order and draws.
    """

    spec: str
    classes: int
    channels: int
    steps: int
    seed: int

    def create(self) -> nn.Module:
        """A model that has learned nothing of this data."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return models.create(self.spec, classes=self.classes, channels=self.channels)


def learn(
    net: nn.Module,
    setup: Setup,
    pictures: Pictures,
    policy: Policy,
    *,
    strength: float,
    steps: int,
    stage: str,
    tick: Callable[[], object],
) -> nn.Module:
    """A copy of a net that has learned the inner part.

    Half of the images, another half in each epoch, are drawn at the strength, the others at strength 0, which
    leaves them plain.

    Args:
        net: Net from which the learning begins, and which stays as it is.
        setup: How nets are made.
        pictures: Images.
        policy: Policy that ends in the net's size.
        strength: Strength in [0, 1] of the augmented half; 0 augments nothing.
        steps: Number of batches.
        stage: Name of the learning, which keys order and draws.
        tick: Function that is called after each batch.

    Raises:
        FloatingPointError: When the loss is no number.
    """
    net = copy.deepcopy(net)
    net.train()
    body = 1.0 if models.is_random(setup.spec) else BODY
    optimizer = torch.optim.AdamW(
        [dict(group) for group in models.parameter_groups(net, LR, WEIGHT_DECAY, body=body)]
    )
    schedule = LambdaLR(optimizer, lambda step: warm_cosine(step, steps))
    seed = stage_seed(setup.seed, stage)
    engine = Engine(policy, seed=seed)
    truth = torch.from_numpy(pictures.truth)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # dropout
        for epoch, at in _epochs(pictures, seed, steps):
            ids = pictures.ids[at]
            coin = Keyed(seed, epoch, ids, look=COIN).uniform(0, 1)[:, 0] < 0.5
            batch: Batch = engine(
                pictures.pixels[at], ids=ids, epoch=epoch, strength=np.where(coin, strength, 0.0)
            )
            loss = cross_entropy(net(batch.images), truth[at])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            tick()
    if not torch.isfinite(loss):
        raise FloatingPointError(
            f"check: the loss of {setup.spec} became {float(loss.detach())}, expected a number. Take another "
            "--model."
        )
    return net.eval()


def _epochs(pictures: Pictures, seed: int, steps: int) -> Iterator[tuple[int, np.ndarray]]:
    """(epoch, indices of a batch) of so many batches."""
    done, epoch = 0, 0
    while done < steps:
        for positions in batches(pictures.ids[pictures.inner], BATCH, seed, epoch)[: steps - done]:
            yield epoch, pictures.inner[positions]
            done += 1
        epoch += 1


@dataclass(frozen=True, eq=False)
class Answers:
    """What a net answers about held-out images, each drawn some times.

    Args:
        shares: [n, classes], the share of an image's draws that are answered as each class.
        confidence: [n], the mean probability of the right class.
        probabilities: [draws, n, classes].
    """

    shares: np.ndarray
    confidence: np.ndarray
    probabilities: np.ndarray

    def accuracy(self, truth: np.ndarray) -> float:
        """The share of draws that is answered rightly; truth: [n]."""
        return float(self.shares[np.arange(len(truth)), truth].mean())


@torch.no_grad()
def answer(
    net: nn.Module, pictures: Pictures, policy: Policy, *, strength: float, seed: int, draws: int
) -> Answers:
    """What a net answers about the held-out images under a policy.

    Args:
        net: Net in evaluation mode.
        pictures: Images.
        policy: Policy that ends in the net's size.
        strength: Strength in [0, 1] of all magnitudes.
        seed: Seed of the draws.
        draws: Number of draws of each image, 1 or more.
    """
    engine = Engine(policy, seed=seed)
    truth = pictures.truth[pictures.held_out]
    drawn = []
    for draw in range(draws):
        parts = []
        for at in np.array_split(pictures.held_out, -(-len(pictures.held_out) // ANSWERED)):
            batch: Batch = engine(
                pictures.pixels[at], ids=pictures.ids[at], epoch=draw, strength=strength
            )
            parts.append(softmax(net(batch.images).double(), dim=1))
        drawn.append(torch.cat(parts).numpy())
    probabilities = np.stack(drawn)
    classes = probabilities.shape[2]
    shares = np.eye(classes)[probabilities.argmax(2)].mean(0)
    confidence = probabilities[:, np.arange(len(truth)), truth].mean(0)
    return Answers(shares, confidence, probabilities)
