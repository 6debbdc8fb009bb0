"""One training: a new model on some of the images, then asked about others. All images are in memory."""

from __future__ import annotations

import copy
import hashlib

import numpy as np
import torch

from ..loading.engine import Engine
from ..pipelines import in_memory, models
from ..pipelines.data import Data, Files
from ..pipelines.policies import evaluation_policy
from ..policy.ops import CenterCrop, Resize
from ..policy.policy import Policy
from ..tuning.arms import EngineStrength

BATCH = 32
# The highest learning rate. In a hundred steps a digitnet learns hardly anything at 3e-3.
LR, DIGITNET_LR = 3e-3, 2e-2
KEPT = 12  # models, untrained by seed, and trained plainly to be asked under several policies
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
        self._rows = torch.from_numpy(data.rows(data.labelled))
        self._plainly: dict[tuple[bytes, int, int], torch.nn.Module] = {}
        self._untrained: dict[int, torch.nn.Module] = {}
        self._create()  # a name may be wrong

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
        model = self._trained(policy, strength, train_ids, steps, seed)
        return self._answers(model, self.plain, held_out_ids)

    def affinity(
        self,
        policy: Policy,
        strength: EngineStrength,
        train_ids: np.ndarray,
        held_out_ids: np.ndarray,
        steps: int,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a model that was trained plainly says of augmented images.

        Args:
            policy: Policy that augments the images that are asked about.
            strength: Strength of it.
            train_ids: As of a call.
            held_out_ids: As of a call.
            steps: As of a call.
            seed: As of a call.

        Returns:
            As of a call.
        """
        key = (train_ids.tobytes(), steps, seed)
        if key not in self._plainly:
            while len(self._plainly) >= KEPT:
                self._plainly.pop(next(iter(self._plainly)))
            none = evaluation_policy(self.data)
            self._plainly[key] = self._trained(none, 1.0, train_ids, steps, seed)
        asked = Engine(
            policy, seed=seed, strength=strength, device=self.device,
            memory_format=torch.channels_last,
        )  # fmt: skip
        return self._answers(self._plainly[key], asked, held_out_ids)

    def _trained(
        self, policy: Policy, strength: EngineStrength, ids: np.ndarray, steps: int, seed: int
    ) -> torch.nn.Module:
        engine = Engine(
            policy, seed=seed, strength=strength, device=self.device, num_classes=len(self.data.classes),
            memory_format=torch.channels_last,
        )  # fmt: skip
        # The caller's generator is left as it was.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if seed not in self._untrained:  # to build one takes as long as some steps
                while len(self._untrained) >= KEPT:
                    self._untrained.pop(next(iter(self._untrained)))
                self._untrained[seed] = self._create()
            model = copy.deepcopy(self._untrained[seed])
            torch.manual_seed(seed)
            in_memory.learn(
                model, self.spec, engine, self.images, self._rows, self.ids,
                among=np.searchsorted(self.ids, ids), steps=steps, batch=BATCH, seed=seed,
                lr=DIGITNET_LR if self.spec.startswith("digitnet") else LR,
            )  # fmt: skip
        return model

    def _create(self) -> torch.nn.Module:
        model = models.create(
            self.spec, classes=len(self.data.classes), channels=self.data.channels
        )
        return model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _answers(
        self, model: torch.nn.Module, engine: Engine, ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        at = np.searchsorted(self.ids, ids)
        log_p = in_memory.log_probabilities(model, engine, self.images, self.ids, at)
        truth = self.labels[at]
        return log_p[np.arange(len(truth)), truth], log_p.argmax(1) == truth


def _decoded(data: Data) -> torch.Tensor:
    """The labelled images (n, C, H, W), uint8, decoded and shrunk once to the size that is needed."""
    side = round(data.size * 256 / 224)
    in_files = isinstance(data.images, Files)
    need = len(data.labelled) * data.channels * side**2
    if in_files and need > MOST_BYTES:
        raise ValueError(
            f"tune: {len(data.labelled):,} images of {side}×{side} take {need / 2**30:.1f} GiB, expected "
            f"{MOST_BYTES >> 30} at most. Pass a smaller --size, or fewer --labels of each class."
        )
    if isinstance(data.images, Files):
        paths = [data.images[int(i)] for i in data.labelled]
        parts = [paths[i : i + BATCH] for i in range(0, len(paths), BATCH)]
        engine = Engine([Resize(side), CenterCrop(side)], dtype=torch.uint8)
        return torch.cat([engine(part).images for part in parts])
    pixels = torch.from_numpy(data.images[data.labelled]).permute(0, 3, 1, 2).contiguous()
    if min(pixels.shape[2:]) < 2 * side:
        return pixels
    shrink = Engine([Resize(side)], dtype=torch.uint8)
    return torch.cat([shrink(part).images for part in pixels.split(BATCH)])
