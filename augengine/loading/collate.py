"""Into a DataLoader: `Collate` augments a batch as it is collated, `pack` only decides it, `WithIds`
names the samples.
"""

from __future__ import annotations

import math
import multiprocessing
import operator
from collections.abc import Sequence
from typing import Generic, TypeAlias, Unpack, overload

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from ..aliases import Image
from ..checks import number, whole_number
from ..kernels import Sources, has_triton
from ..kernels.flat import Flat
from ..plan import Plan
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from .batch import Batch, BatchOfViews, PackedBatch
from .engine import BatchType, Engine, EngineOptions, PlansOfViews, as_engine

# A class number, or a soft label [num_classes].
Label: TypeAlias = int | np.ndarray | torch.Tensor
Sample: TypeAlias = tuple[Image, Label] | tuple[Image, Label, int]


class WithIds(Dataset[tuple]):
    """A map-style dataset whose samples carry their index: (image, label) becomes (image, label, id).

    The index is what keys a sample's random numbers, so any shuffle, worker count or rank count gives
    a sample the same plan.

    Args:
        dataset: Map-style dataset of pairs (image, label), with __getitem__ and __len__.

    Raises:
        TypeError: It has no __getitem__ or no __len__.

    Example:
        >>> ae.WithIds([("image", 7), ("another", 8)])[1]
        ('another', 8, 1)
    """

    def __init__(self, dataset: Dataset | Sequence) -> None:
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"WithIds: got {type(dataset).__name__}, expected a map-style dataset with "
                "__getitem__ and __len__. A stream must yield (image, label, id) itself."
            )
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple:
        index = operator.index(index)
        sample = self.dataset[index]
        if not isinstance(sample, (tuple, list)) or len(sample) != 2:
            raise ValueError(
                f"WithIds: got a sample {type(sample).__name__}, expected (image, label). Return such a "
                "pair from the dataset."
            )
        return *sample, index % len(self)

    def __repr__(self) -> str:
        return f"WithIds({len(self)} samples of {type(self.dataset).__name__})"


class Collate(Generic[BatchType]):
    """A collate_fn for a DataLoader: a list of samples becomes an augmented `Batch`.

    In a worker process the images are written straight into shared memory, so that they are not copied
    on their way out. `set_epoch(epoch)` reaches workers that already run.

    Args:
        policy: Policy, ops to make one of, Views, or an Engine.
        options: Options of the `Engine`: seed, dtype, device, memory_format, num_classes,
            label_smoothing, strength and executor.

    Raises:
        TypeError: A keyword is unknown, or options come with an Engine, which has its own.
        ValueError: An option is outside its range.

    Example:
        >>> collate = ae.Collate([ae.RandomResizedCrop(32), ae.CutMix()], seed=0, num_classes=10)
        >>> image = torch.zeros(3, 40, 48, dtype=torch.uint8)
        >>> batch = collate([(image, 3, 0), (image, 4, 1)])  # (image, label, id) each
        >>> batch.images.shape, batch.labels.shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2, 10]))
    """

    name = "Collate"

    @overload
    def __init__(
        self: Collate[Batch], policy: Policy | Op | Sequence[Op], **options: Unpack[EngineOptions]
    ) -> None: ...
    @overload
    def __init__(
        self: Collate[BatchOfViews], policy: Views, **options: Unpack[EngineOptions]
    ) -> None: ...
    @overload
    def __init__(self, policy: Engine[BatchType]) -> None: ...
    def __init__(
        self,
        policy: Engine | Policy | Op | Sequence[Op] | Views,
        **options: Unpack[EngineOptions],
    ) -> None:
        self.engine: Engine[BatchType] = as_engine(self.name, policy, options)
        # Shared, so that persistent workers see a new epoch and strength.
        shared = multiprocessing.get_context("spawn").Value
        self._epoch = shared("q", 0, lock=False)
        self._strength = shared("d", math.nan, lock=False)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next batches. Call it before iterating the loader: batches that workers
        have already prepared keep theirs.

        Args:
            epoch: Whole number, 0 or more.
        """
        self._epoch.value = int(epoch)

    def set_strength(self, strength: float | None) -> None:
        """Set the strength of the next batches.

        Args:
            strength: Share in [0, 1] of every magnitude that is used; None is the engine's own, which
                may be a function of the epoch.
        """
        self._strength.value = (
            math.nan if strength is None else number(f"{self.name}: strength", strength, 0, 1)
        )

    def __call__(self, samples: Sequence[Sample]) -> BatchType:
        """Augment a batch.

        Args:
            samples: Pairs (image, label), or triples (image, label, id), as `WithIds` gives them; an
                image is a PIL image, an array (H, W, C) or a tensor (C, H, W), of any size.

        Returns:
            The batch; for Views a BatchOfViews, and of `pack` a PackedBatch.

        Raises:
            TypeError: An id or an image is of another type.
            ValueError: Samples are of another form, or have no ids in a worker process.
        """
        shapes = {len(s) if isinstance(s, (tuple, list)) else None for s in samples}
        if shapes not in ({2}, {3}):
            raise ValueError(
                f"{self.name}: got no samples, or some that are not (image, label) or (image, label, "
                "id), expected one of these for all. Return such tuples from the dataset."
            )
        images = [sample[0] for sample in samples]
        labels = torch.stack([torch.as_tensor(sample[1]) for sample in samples])
        ids = None
        if shapes == {3}:
            ids = np.array(
                [
                    whole_number(f"{self.name}: id", sample[2], -(2**63), 2**63 - 1)  # type: ignore[misc]
                    for sample in samples
                ],
                np.int64,
            )
        for image in images:
            if isinstance(image, torch.Tensor) and image.device.type != "cpu":
                raise ValueError(
                    f"{self.name}: got an image on {image.device}, expected images in main memory, where "
                    "batches are collated. Leave them there, and draw on the GPU with "
                    "ae.DeviceLoader(loader, policy)."
                )
        if ids is None and get_worker_info() is not None:
            raise ValueError(
                f"{self.name}: got samples without ids in a worker process, where counting them would "
                "give every worker the same draws. Wrap the dataset: ae.WithIds(dataset)."
            )
        return self._batch(Sources.of(images), labels, ids)

    def _plan(self, sources: Sources, ids: np.ndarray | None) -> Plan | PlansOfViews:
        strength = None if math.isnan(self._strength.value) else self._strength.value
        return self.engine.plan(
            sources.sizes,
            ids,
            self._epoch.value,
            channels=sources.channels,
            strength=strength,
        )

    def _batch(self, sources: Sources, labels: torch.Tensor, ids: np.ndarray | None) -> BatchType:
        engine, in_worker = self.engine, get_worker_info() is not None
        if in_worker and engine.device is not None and engine.device.type != "cpu":
            raise ValueError(
                f"Collate: got device={engine.device} in a worker process, expected main memory, where "
                "workers hand their batches over. Leave device away, and wrap the loader: "
                "ae.DeviceLoader(loader, policy)."
            )
        plan = self._plan(sources, ids)
        if not in_worker and engine.device is not None:
            sources = sources.to(engine.device)
        return engine.draw(plan, sources, labels, out=_shared if in_worker else None)

    def __repr__(self) -> str:
        return f"{self.name}({self.engine!r},\n  epoch={self._epoch.value})"


class Packing(Collate):
    """What `pack` gives: a `Collate` that decides and does not draw."""

    name = "pack"

    def _batch(self, sources: Sources, labels: torch.Tensor, ids: np.ndarray | None) -> PackedBatch:
        engine = self.engine
        launches = engine.launches(self._plan(sources, ids), labels)
        images = Flat.of(
            [sources.image(b) for b in range(len(sources))],
            torch.empty if get_worker_info() is None else _shared_values,
        )
        batch = PackedBatch(
            Sources(None, images, sources.sizes), launches, engine.executor, engine.device
        )
        to_cpu = engine.device is not None and engine.device.type == "cpu"
        draws_in_triton = engine.executor in (None, "gpu") and not to_cpu and has_triton()
        return batch.for_gpu() if draws_in_triton else batch


def pack(
    policy: Engine | Policy | Op | Sequence[Op] | Views, **options: Unpack[EngineOptions]
) -> Packing:
    """A collate_fn that decides in the worker and leaves the drawing to who gets the batch.

    Its batches are `PackedBatch`: the images as they came, in one buffer, the plans, and the labels
    as they are mixed. `batch.draw(device)` gives what `Collate` would, to the last bit; a
    `DeviceLoader` does that ahead of time. So workers send bytes instead of floats, and a GPU draws
    what they have decided. Samples, `set_epoch` and `set_strength` are those of `Collate`.

    Args:
        policy: Policy, ops to make one of, Views, or an Engine.
        options: Options of the `Engine`: seed, dtype, device (where the batches are to be drawn),
            memory_format, num_classes, label_smoothing, strength and executor.

    Returns:
        The collate_fn.

    Raises:
        TypeError: A keyword is unknown, or options come with an Engine, which has its own.
        ValueError: An option is outside its range.

    Example:
        >>> decide = ae.pack(ae.RandomResizedCrop(32), seed=0)
        >>> decide([(torch.zeros(3, 40, 48, dtype=torch.uint8), 7, 0)])
        PackedBatch(1 images uint8 on cpu → images: (1, 3, 32, 32))
    """
    return Packing(policy, **options)  # type: ignore[arg-type]


def _shared_values(count: int, dtype: torch.dtype) -> torch.Tensor:
    """[count], empty, in shared memory."""
    storage = torch.UntypedStorage._new_shared(count * dtype.itemsize)
    return torch.empty(0, dtype=dtype).set_(storage, 0, (count,), (1,))


def _shared(plan: Plan) -> torch.Tensor:
    """An empty output in shared memory, with the plan's dtype and layout."""
    n, c, h, w = plan.shape
    flat = _shared_values(n * c * h * w, getattr(torch, plan.finish.dtype))
    if plan.finish.channels_last:
        return flat.view(n, h, w, c).movedim(-1, 1)
    return flat.view(n, c, h, w)
