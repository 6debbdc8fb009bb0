"""Which images make which batch: a function of (seed, epoch), shared out among processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, Protocol, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..aliases import Ids
from ..loading.batch import Batch
from ..loading.collate import pack
from ..loading.device_loader import DeviceLoader
from ..loading.engine import BatchType, Engine
from ..loading.keys import Key
from ..policy.keyed import Keyed
from ..policy.policy import Policy
from ..policy.views import Views
from .data import Data, ImageStore


class Processes(Protocol):
    """What a `Loader` reads of accelerate's Accelerator."""

    @property
    def device(self) -> torch.device: ...
    @property
    def process_index(self) -> int: ...
    @property
    def num_processes(self) -> int: ...


@dataclass(frozen=True)
class Samples(Dataset):
    """What one loader goes through: a dataset of (image, label row, id).

    Args:
        images: Images of a `Data`.
        index: [n] ints, where in `images` each sample's image is.
        rows: [n, classes] float32, the label of each sample: hard, soft, or zeros where there is
            none. For zeros −Σ row · log p is no loss, and mixes stay right.
        ids: [n] ints, which key the samples' draws.
    """

    images: ImageStore
    index: np.ndarray
    rows: np.ndarray
    ids: np.ndarray

    @classmethod
    def of(cls, data: Data, ids: Ids, rows: np.ndarray | None = None) -> Samples:
        """The images of these ids, with label rows [n, classes]; without rows they are unlabelled."""
        ids = np.asarray(ids)
        if rows is None:
            rows = np.zeros((len(ids), len(data.classes)), np.float32)
        return cls(data.images, ids, rows, ids)

    @classmethod
    def labelled(cls, data: Data) -> Samples:
        """The labelled training images of a data set."""
        return cls.of(data, data.labelled, data.rows(data.labelled))

    @classmethod
    def unlabelled(cls, data: Data) -> Samples:
        """The training images of a data set that have no label."""
        return cls.of(data, data.unlabelled)

    def plus(self, other: Samples) -> Samples:
        """These samples, then those of `other`, which are of the same images."""
        return replace(
            self,
            index=np.concatenate([self.index, other.index]),
            rows=np.concatenate([self.rows, other.rows]),
            ids=np.concatenate([self.ids, other.ids]),
        )

    def repeat(self, times: int, id_step: int) -> Samples:
        """Each sample `times` times. Copy k has id_step · k added to its id, and so draws of its own."""
        ids = np.concatenate([self.ids + copy * id_step for copy in range(times)])
        rows = np.tile(self.rows, (times, 1))
        return replace(self, index=np.tile(self.index, times), rows=rows, ids=ids)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> tuple[np.ndarray | str, torch.Tensor, int]:
        id = int(self.ids[i])
        # What a loader asks for knows the epoch, so each process draws what one would.
        name = i.of(id) if isinstance(i, Key) else id
        return self.images[self.index[i]], torch.from_numpy(self.rows[i]), name


def batches(ids: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The batches of an epoch.

    Args:
        ids: [n] ints, the samples' identities.
        batch_size: Largest number of samples in a batch; sizes are as equal as can be.
        seed: Seed of the run.
        epoch: Epoch, 0 or more.

    Returns:
        Arrays of positions in `ids`, each position once, in an order that (seed, epoch) shuffle.
    """
    # A sample's place in the shuffle is drawn for a look of its own, away from its augmentation's.
    order = np.argsort(Keyed(seed, epoch, ids, look=2**31).uniform(0, 1)[:, 0], kind="stable")
    return np.array_split(order, -(-len(ids) // batch_size))


@dataclass(frozen=True)
class Part(Generic[BatchType]):
    """A process's part of a batch.

    Args:
        batch: A `Batch`, or the `BatchOfViews` of a loader of `Views`.
        ids: [n] ints, the ids of its samples.
        share: Weight of a sum over this part in the mean over the whole batch, where gradients
            are averaged over processes.
    """

    batch: BatchType
    ids: np.ndarray
    share: float

    @property
    def labels(self) -> torch.Tensor:
        """[n, classes]: the label rows of a `Batch`, as they are mixed."""
        assert isinstance(self.batch, Batch)
        assert self.batch.labels is not None, "a loader's samples have label rows"
        return self.batch.labels

    def mean(self, losses: torch.Tensor) -> torch.Tensor:
        """This part's share of the whole batch's mean loss; losses: [n]."""
        return losses.sum() * self.share


class Loader(Generic[BatchType]):
    """Augmented batches: `loader.epoch(e)` yields this process's `Part` of each.

    The same samples meet the same plans in any number of processes.

    Args:
        samples: Samples that are gone through.
        policy: Policy or Views that augment the images. Of a Policy a part holds a `Batch`, of Views a
            `BatchOfViews`.
        batch_size: Number of samples in a batch, of all processes together.
        seed: Seed of the shuffle and of all draws.
        workers: Number of processes that load images.
        accelerator: Accelerator, for the device, the rank and the number of processes.

    Raises:
        ValueError: When a batch has fewer samples than there are processes.
    """

    def __init__(
        self,
        samples: Samples,
        policy: Policy | Views,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
        accelerator: Processes,
    ):
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
        """The number of batches in an epoch."""
        return -(-len(self.samples) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Part[BatchType]]:
        """The parts of one pass over the samples."""
        yield from self._parts(self._batches(epoch), epoch)

    def during(self, epoch: int, steps: int) -> Iterator[Part[BatchType]]:
        """The parts of `steps` batches, as many as another loader's epoch has.

        They are taken in as many passes as that needs. Every pass has draws of its own, which no other
        epoch's passes share.
        """
        passes = -(-steps // self.steps)
        for number in range(passes):
            pass_epoch = epoch * passes + number
            left = steps - number * self.steps
            yield from self._parts(self._batches(pass_epoch)[:left], pass_epoch)

    def _batches(self, epoch: int) -> list[np.ndarray]:
        return batches(self.samples.ids, self.batch_size, self.seed, epoch)

    def _parts(self, whole: list[np.ndarray], epoch: int) -> Iterator[Part[BatchType]]:
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        mine = [np.array_split(batch, world)[rank] for batch in whole]
        # Workers decide and send bytes; batches are drawn where they are wanted, ahead of the loop.
        loader = DataLoader(
            self.samples,
            batch_sampler=[[Key(at, epoch) for at in positions] for positions in mine],
            collate_fn=self.collate,
            num_workers=self.workers,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        device_loader = DeviceLoader(loader, device=self.accelerator.device)
        for batch, positions, of_all in zip(device_loader, mine, whole, strict=True):
            yield Part(cast(BatchType, batch), self.samples.ids[positions], world / len(of_all))
