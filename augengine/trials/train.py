"""One training: a new model on some of the images, then asked about others. All images are in memory."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch.nn.functional import log_softmax
from torch.optim.lr_scheduler import LambdaLR

from ..loading.engine import Engine
from ..pipelines import models
from ..pipelines.batches import batches
from ..pipelines.data import Data, Files
from ..pipelines.fit import warm_cosine
from ..pipelines.losses import cross_entropy
from ..pipelines.policies import evaluation_policy
from ..policy.ops import CenterCrop, Resize
from ..policy.policy import Policy
from ..tuning.arms import EngineStrength

BATCH, ANSWERED = 32, 256
WEIGHT_DECAY = 0.05
# The highest learning rate, and a body's share of it where its weights came from elsewhere. In a hundred steps
# a digitnet learns hardly anything at 3e-3.
LR, DIGITNET_LR, BODY_LR = 3e-3, 2e-2, 0.1
MOST_BYTES = 4 << 30  # of all images, decoded


class Trainer:
    """Trains and asks: what `ae.tune` calls. Only the labelled training images are read.

    Args:
        data: Data set.
        spec: Model, as `pipelines.models.create` takes it.
        device: Device that trains.

    Raises:
        ValueError: There is no such model, or the images take too much memory.
        OSError: An image or the weights cannot be read.
    """

    def __init__(self, data: Data, spec: str, device: str = "cpu") -> None:
        self.data, self.spec, self.device = data, spec, torch.device(device)
        self.ids = data.labelled
        self.labels = data.truth[data.labelled]
        self.images = _decoded(data)
        self.plain = Engine(
            evaluation_policy(data), device=self.device, memory_format=torch.channels_last
        )
        self._create()

    @property
    def digest(self) -> str:
        """A hash of the labelled images and their labels, and of nothing else."""
        digest = hashlib.blake2b(self.images.numpy().tobytes(), digest_size=16)
        digest.update(np.ascontiguousarray(self.labels, "<i8").tobytes())
        return digest.hexdigest()

    def __call__(
        self,
        policy: Policy,
        strength: EngineStrength,
        train_ids: np.ndarray,
        held_out_ids: np.ndarray,
        steps: int,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train a new model and ask it.

        Args:
            policy: Policy that augments the training images.
            strength: Strength of it, as an engine takes it.
            train_ids: Ids [m] of the images that are trained on.
            held_out_ids: Ids [n] of the images that are asked about.
            steps: Number of batches.
            seed: Seed of weights, order and augmentation.

        Returns:
            Log of the probability [n] of the true class, float64; whether [n] it was the likeliest.
        """
        # The caller's generator is left as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self._create()
        body = 1.0 if models.is_random(self.spec) else BODY_LR
        lr = DIGITNET_LR if self.spec.startswith("digitnet") else LR
        optimizer = torch.optim.AdamW(models.parameter_groups(model, lr, WEIGHT_DECAY, body=body))  # type: ignore[arg-type]
        schedule = LambdaLR(optimizer, lambda step: warm_cosine(step, steps))
        engine = Engine(
            policy, seed=seed, strength=strength, device=self.device, num_classes=len(self.data.classes),
            memory_format=torch.channels_last,
        )  # fmt: skip
        model.train()
        step = epoch = 0
        while step < steps:
            for at in batches(train_ids, BATCH, seed, epoch)[: steps - step]:
                ids = train_ids[at]
                rows = torch.from_numpy(self.data.rows(ids))
                where = np.searchsorted(self.ids, ids)
                batch = engine(self.images[torch.from_numpy(where)], rows, ids=ids, epoch=epoch)
                assert batch.labels is not None
                loss = cross_entropy(model(batch.images), batch.labels).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                step += 1
            epoch += 1
        return self._answers(model, held_out_ids)

    def _create(self) -> torch.nn.Module:
        model = models.create(
            self.spec, classes=len(self.data.classes), channels=self.data.channels
        )
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def _answers(self, model: torch.nn.Module, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        model.eval()
        where = np.searchsorted(self.ids, ids)
        parts = torch.from_numpy(where).split(ANSWERED)
        logits = torch.cat([model(self.plain(self.images[part]).images) for part in parts]).float()
        log_p = log_softmax(logits, dim=1).cpu().double().numpy()
        truth = self.labels[where]
        return log_p[np.arange(len(truth)), truth], log_p.argmax(1) == truth


def _decoded(data: Data) -> torch.Tensor:
    """The labelled images (n, C, H, W), uint8: of a folder, decoded once at the size that is needed."""
    if not isinstance(data.images, Files):
        return torch.from_numpy(data.images[data.labelled]).permute(0, 3, 1, 2).contiguous()
    side = round(data.size * 256 / 224)
    need = len(data.labelled) * data.channels * side**2
    if need > MOST_BYTES:
        raise ValueError(
            f"tune: {len(data.labelled):,} images of {side}×{side} take {need / 2**30:.1f} GiB, expected "
            f"{MOST_BYTES >> 30} at most. Pass a smaller --size, or fewer --labels of each class."
        )
    engine = Engine([Resize(side), CenterCrop(side)], dtype=torch.uint8)
    paths = [data.images[int(i)] for i in data.labelled]
    return torch.cat([engine(paths[i : i + BATCH]).images for i in range(0, len(paths), BATCH)])
