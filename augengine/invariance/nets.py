"""Nets that learn the inner part for a number of steps, and what they answer about the held-out part."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..loading.engine import Engine
from ..pipelines import in_memory, models
from ..pipelines.run import stage_seed
from ..policy.keyed import Keyed
from ..policy.policy import Policy
from .images import Pictures

BATCH, LR = 64, 3e-3  # the rate is that of the pipelines
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
    seed = stage_seed(setup.seed, stage)

    def toss(epoch: int, ids: np.ndarray) -> np.ndarray:
        coin = Keyed(seed, epoch, ids, look=COIN).uniform(0, 1)[:, 0]
        return np.where(coin < 0.5, strength, 0.0)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # dropout
        in_memory.learn(
            net, setup.spec, Engine(policy, seed=seed), pictures.pixels,
            torch.eye(setup.classes)[torch.from_numpy(pictures.truth)], pictures.ids,
            among=pictures.inner, steps=steps, batch=BATCH, lr=LR, seed=seed, strength=toss, tick=tick,
        )  # fmt: skip
    return net


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
    drawn = [
        in_memory.log_probabilities(
            net,
            engine,
            pictures.pixels,
            pictures.ids,
            pictures.held_out,
            epoch=draw,
            strength=strength,
        )
        for draw in range(draws)
    ]
    probabilities = np.exp(np.stack(drawn))
    classes = probabilities.shape[2]
    shares = np.eye(classes)[probabilities.argmax(2)].mean(0)
    confidence = probabilities[:, np.arange(len(truth)), truth].mean(0)
    return Answers(shares, confidence, probabilities)
