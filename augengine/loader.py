"""Into a DataLoader: `Collate` augments a batch as it is collated, `WithIds` names the samples."""

from __future__ import annotations

import math
import multiprocessing
import operator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from .engine import Batch, BatchOfViews, Engine
from .kernels import Sources
from .ops.op import number
from .policy import whole_number


class WithIds(Dataset):
    """A map-style dataset whose samples carry their index: (image, label) becomes (image, label, id).

    The index is what keys a sample's draws, so any shuffle, worker count or rank count gives a
    sample the same plan.
    """

    def __init__(self, dataset):
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"WithIds: got {type(dataset).__name__}, expected a map-style dataset with "
                "__getitem__ and __len__. A stream must yield (image, label, id) itself."
            )
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        index = operator.index(index)
        sample = self.dataset[index]
        if not isinstance(sample, (tuple, list)) or len(sample) != 2:
            raise ValueError(
                f"WithIds: got a sample {type(sample).__name__}, expected (image, label). Return such a "
                "pair from the dataset."
            )
        return *sample, index % len(self)


class Collate:
    """A collate_fn: a list of samples becomes an augmented `Batch`.

    Samples are (image, label) or (image, label, id), as WithIds gives them; an image is a PIL image,
    an array (H, W, C) or a tensor (C, H, W), of any size. In a worker process the images are
    written straight into shared memory, so that they are not copied on their way out.
    Arguments are the Engine's. `set_epoch(epoch)` reaches workers that already run.
    """

    def __init__(self, policy, **engine: Any):
        self.engine = policy if isinstance(policy, Engine) else Engine(policy, **engine)
        # Shared, so that persistent workers see a new epoch and strength.
        shared = multiprocessing.get_context("spawn").Value
        self._epoch = shared("q", 0, lock=False)
        self._strength = shared("d", math.nan, lock=False)

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose draws the next batches get. Call it before iterating the loader: batches
        that workers have already prepared keep theirs."""
        self._epoch.value = int(epoch)

    def set_strength(self, strength: float | None) -> None:
        """The strength of the next batches, in [0, 1]; None: the engine's own, which may be a function
        of the epoch."""
        self._strength.value = (
            math.nan if strength is None else number("Collate: strength", strength, 0, 1)
        )

    def __call__(self, samples) -> Batch | BatchOfViews:
        shapes = {len(s) if isinstance(s, (tuple, list)) else None for s in samples}
        if shapes not in ({2}, {3}):
            raise ValueError(
                "Collate: got no samples, or some that are not (image, label) or (image, label, id), "
                "expected one of these for all. Return such tuples from the dataset."
            )
        images = [sample[0] for sample in samples]
        labels = torch.stack([torch.as_tensor(sample[1]) for sample in samples])
        ids = None
        if shapes == {3}:
            ids = np.array(
                [whole_number("Collate: id", s[2], -(2**63), 2**63 - 1) for s in samples], np.int64
            )
        if any(isinstance(image, torch.Tensor) and image.is_cuda for image in images):
            raise ValueError(
                "Collate: got images on a GPU, expected them in main memory. Move the batch there "
                "after loading."
            )
        sources = Sources.of(images)
        engine, epoch = self.engine, self._epoch.value
        if ids is None and get_worker_info() is not None:
            raise ValueError(
                "Collate: got samples without ids in a worker process, where counting them would give "
                "every worker the same draws. Wrap the dataset: ae.WithIds(dataset)."
            )
        strength = None if math.isnan(self._strength.value) else self._strength.value
        if get_worker_info() is None:
            return engine(sources, labels, ids=ids, epoch=epoch, strength=strength)
        if engine.device is not None and engine.device.type != "cpu":
            raise ValueError(
                f"Collate: got device={engine.device} in a worker process, expected main memory, where "
                "workers hand their batches over. Leave device away, and call batch.to(device)."
            )
        plan = engine.plan(sources.sizes, ids, epoch, channels=sources.channels, strength=strength)
        return engine.draw(plan, sources, labels, out=_shared)


def _shared(plan) -> torch.Tensor:
    """An empty output in shared memory, with the plan's dtype and layout."""
    dtype, (n, c, h, w) = getattr(torch, plan.finish.dtype), plan.shape
    count = n * c * h * w
    flat = torch.empty(0, dtype=dtype).set_(
        torch.UntypedStorage._new_shared(count * dtype.itemsize), 0, (count,), (1,)
    )
    if plan.finish.channels_last:
        return flat.view(n, h, w, c).movedim(-1, 1)
    return flat.view(n, c, h, w)
