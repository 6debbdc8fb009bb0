"""Which images make which batch: a function of (seed, epoch), shared out among processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..loading.collate import pack
from ..loading.device_loader import DeviceLoader
from ..loading.engine import Engine
from ..policy.keyed import Keyed
from .data import Data


@dataclass(frozen=True)
class Samples(Dataset):
    """What one loader goes through: (image, label row, id).

    images: a Data's. index: [n] where each sample's image is. rows: [n, classes] float32, a label, a
    soft one, or zeros where there is none: −Σ row · log p is then no loss, and mixes stay right. ids:
    [n], what a sample's draws are keyed by.
    """

    images: Sequence[Any]
    index: np.ndarray
    rows: np.ndarray
    ids: np.ndarray

    @classmethod
    def of(cls, data: Data, ids, rows=None) -> Samples:
        """These ids of a data set; without rows, unlabelled."""
        if rows is None:
            rows = np.zeros((len(ids), len(data.classes)), np.float32)
        return cls(data.images, np.asarray(ids), rows, np.asarray(ids))

    def and_more(self, other: Samples) -> Samples:
        parts: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("index", "rows", "ids")
        }
        return replace(self, **parts)

    def repeated(self, times: int, beyond: int) -> Samples:
        """Each sample `times` times; copies have ids from `beyond` on, and so draws of their own."""
        ids = np.concatenate([self.ids + copy * beyond for copy in range(times)])
        rows = np.tile(self.rows, (times, 1))
        return replace(self, index=np.tile(self.index, times), rows=rows, ids=ids)

    def __len__(self):
        return len(self.index)

    def __getitem__(self, i):
        return self.images[self.index[i]], torch.from_numpy(self.rows[i]), int(self.ids[i])


def batches(ids: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The epoch's batches, as positions in `ids`: each once, shuffled by keyed draws, in batches of at
    most batch_size that are as equal as can be."""
    # A sample's place in the shuffle has a view of its own, away from its augmentation's.
    shuffled = np.argsort(Keyed(seed, epoch, ids, look=2**31).uniform(0, 1)[:, 0], kind="stable")
    return np.array_split(shuffled, -(-len(ids) // batch_size))


class Part(NamedTuple):
    """A process's part of a batch.

    batch: a Batch, or of Views a BatchOfViews. ids: [n] of its samples. share: what the sum over it
    counts for in the mean over the whole batch, once gradients are averaged over processes.
    """

    batch: Any
    ids: np.ndarray
    share: float

    def mean(self, losses: torch.Tensor) -> torch.Tensor:
        """losses [n] of this part → its share of the whole batch's mean."""
        return losses.sum() * self.share


class Loader:
    """Augmented batches: `loader.epoch(e)` yields this process's `Part` of each.

    policy: a Policy, or Views. accelerator: whose device, rank and number of processes hold. The same
    samples meet the same plans in any number of processes.
    """

    def __init__(self, samples: Samples, policy, *, batch_size, seed, workers=0, accelerator):
        self.samples, self.accelerator = samples, accelerator
        self.batch_size, self.seed, self.workers = batch_size, seed, workers
        if len(samples) < self.steps * accelerator.num_processes or not len(samples):
            raise ValueError(
                f"loader: {len(samples)} samples in batches of {batch_size} for {accelerator.num_processes} "
                "process(es), expected one in each at least. Start fewer processes, or raise batch_size."
            )
        engine = Engine(
            policy, seed=seed, num_classes=samples.rows.shape[1], device=accelerator.device
        )
        self.collate = pack(engine)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.samples) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Part]:
        """One pass."""
        whole = batches(self.samples.ids, self.batch_size, self.seed, epoch)
        yield from self._drawn(whole, epoch)

    def during(self, epoch: int, steps: int) -> Iterator[Part]:
        """As many batches as another loader's epoch has, in as many passes as that takes, each with new
        draws."""
        passes = -(-steps // self.steps)
        for number in range(passes):
            this = epoch * passes + number
            whole = batches(self.samples.ids, self.batch_size, self.seed, this)
            yield from self._drawn(whole[: steps - number * self.steps], this)

    def _drawn(self, whole: list[np.ndarray], epoch: int) -> Iterator[Part]:
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        mine = [np.array_split(batch, world)[rank] for batch in whole]
        self.collate.set_epoch(epoch)
        # Workers decide and send bytes; batches are drawn where they are wanted, ahead of the loop.
        loader = DataLoader(
            self.samples,
            batch_sampler=[positions.tolist() for positions in mine],
            collate_fn=self.collate,
            num_workers=self.workers,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        drawn = DeviceLoader(loader, device=self.accelerator.device)
        for batch, positions, all_of_it in zip(drawn, mine, whole, strict=True):
            yield Part(batch, self.samples.ids[positions], world / len(all_of_it))
