"""What a model answers, computed by all processes: for tests and for pseudo-labels."""

from __future__ import annotations

import numpy as np
import torch
from accelerate.utils import gather_object
from torch import nn
from torch.utils.data import DataLoader

from ..loading.batch import Batch
from ..loading.collate import Collate
from ..loading.engine import Engine
from ..policy.policy import Policy
from .batches import Samples
from .data import Data
from .policies import evaluation_policy
from .run import Run

BATCH = 256


@torch.no_grad()
def answers(run: Run, model: nn.Module, samples: Samples, policy: Policy) -> torch.Tensor:
    """The logits of all samples, in their order and the same in every process.

    Args:
        run: Run whose processes share the work.
        model: Model, images (n, C, H, W) → logits [n, classes]. It answers in evaluation mode, and comes
            back in the mode that it had.
        samples: Samples that are answered.
        policy: Policy that the images go through; `evaluation_policy` adds no noise.

    Returns:
        [n, classes] float32, on the CPU.

    Raises:
        RuntimeError: When a sample was not answered exactly once.
    """
    rank, world = run.accelerator.process_index, run.accelerator.num_processes
    positions = np.arange(len(samples))[rank::world]
    was_training = model.training
    model.eval()
    parts = [_batch(run, model, batch) for batch in _loader(run, samples, positions, policy)]
    model.train(was_training)
    logits = torch.cat(parts).numpy() if parts else np.zeros((0, samples.rows.shape[1]), np.float32)
    pairs = gather_object([(positions, logits)]) if world > 1 else [(positions, logits)]
    everyone = np.concatenate([part for part, _ in pairs])
    if not np.array_equal(np.sort(everyone), np.arange(len(samples))):
        raise RuntimeError(
            f"answers: {len(everyone)} answers for {len(samples)} samples, expected one for each. A process "
            "has been lost; start again with --resume."
        )
    shuffled = np.concatenate([part for _, part in pairs])
    return torch.from_numpy(shuffled[np.argsort(everyone)])


def accuracy(run: Run, model: nn.Module, data: Data, ids: np.ndarray | None = None) -> float:
    """The share of the images that the model gets right, in [0, 1]; ids: which, by default the test's."""
    ids = data.test if ids is None else ids
    logits = answers(run, model, Samples.of(data, ids), evaluation_policy(data))
    return float((logits.argmax(1).numpy() == data.truth[ids]).mean())


def _loader(run: Run, samples: Samples, positions: np.ndarray, policy: Policy) -> DataLoader:
    collate = Collate(Engine(policy, seed=run.settings.seed, num_classes=samples.rows.shape[1]))
    parts = [part.tolist() for part in np.split(positions, range(BATCH, len(positions), BATCH))]
    return DataLoader(
        samples,
        batch_sampler=[part for part in parts if part],
        collate_fn=collate,
        num_workers=run.settings.workers,
    )


def _batch(run: Run, model: nn.Module, batch: Batch) -> torch.Tensor:
    with run.accelerator.autocast():
        return model(batch.images.to(run.accelerator.device)).float().cpu()
