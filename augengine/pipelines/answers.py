"""What a model answers, computed by all processes: for tests and for pseudo-labels."""

from __future__ import annotations

import numpy as np
import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader

from ..loading.collate import Collate
from ..loading.engine import Engine
from .batches import Samples
from .data import Data
from .policies import plain
from .run import Run

BATCH = 256


@torch.no_grad()
def answers(run: Run, model, samples: Samples, policy) -> torch.Tensor:
    """Logits [n, classes], float32 on the CPU, of all samples in order, the same in every process.

    model: in evaluation. policy: what is done to the images; `plain` for one without noise.
    Raises RuntimeError if a sample was answered not exactly once.
    """
    rank, world = run.accelerator.process_index, run.accelerator.num_processes
    mine = np.arange(len(samples))[rank::world]
    was_training = model.training
    model.eval()
    made = [_batch(run, model, batch) for batch in _loader(run, samples, mine, policy)]
    model.train(was_training)
    own = torch.cat(made).numpy() if made else np.zeros((0, samples.rows.shape[1]), np.float32)
    gathered = gather_object([(mine, own)]) if world > 1 else [(mine, own)]
    positions = np.concatenate([part for part, _ in gathered])
    if not np.array_equal(np.sort(positions), np.arange(len(samples))):
        raise RuntimeError(
            f"answers: {len(positions)} answers for {len(samples)} samples, expected one for each. A process "
            "has been lost; start again with --resume."
        )
    logits = np.concatenate([part for _, part in gathered])
    return torch.from_numpy(logits[np.argsort(positions)])


def accuracy(run: Run, model, data: Data) -> float:
    """The share of the test images that the model gets right."""
    logits = answers(run, model, Samples.of(data, data.test), plain(data))
    return float((logits.argmax(1).numpy() == data.truth[data.test]).mean())


def _loader(run: Run, samples: Samples, positions, policy) -> DataLoader:
    collate = Collate(Engine(policy, seed=run.settings.seed, num_classes=samples.rows.shape[1]))
    parts = [part.tolist() for part in np.split(positions, range(BATCH, len(positions), BATCH))]
    return DataLoader(
        samples,
        batch_sampler=[part for part in parts if part],
        collate_fn=collate,
        num_workers=run.settings.workers,
    )


def _batch(run: Run, model, batch) -> torch.Tensor:
    with run.accelerator.autocast():
        return model(batch.images.to(run.accelerator.device)).float().cpu()
