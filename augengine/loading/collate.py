"""Into a DataLoader: `Collate` augments a batch as it is collated, `pack` only decides it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Generic, Unpack, cast, overload

import numpy as np
import torch
from torch.utils.data import get_worker_info

from ..checks import number, whole_number
from ..kernels import Sources, has_triton
from ..kernels.forks import load_before_forks
from ..plan import Plan
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from .batch import Batch, BatchOfViews
from .engine import BatchType, Engine, EngineOptions, PlansOfViews, as_engine
from .keys import id_number, keys_of, names_in_errors
from .launches import draw_launches
from .packed import PackedBatch
from .passes import Passes
from .samples import Parts, Sample, split


class Collate(Generic[BatchType]):
    """A collate_fn for a DataLoader: a list of samples becomes an augmented `Batch`.

    In a worker process the images are written straight into shared memory, so that they are not copied
    on their way out. `set_epoch(epoch)` reaches workers that already run.

    A sample is drawn by its id, the epoch, and how often the id has come in it. `ae.keyed(loader)` sends
    all three along with each sample; otherwise they are found out as far as they can be, and what could
    not be is another draw each time, with one warning.

    Args:
        policy: Policy, ops to make one of, Views, or an Engine.
        image: Name of the image's field, for samples that are dicts.
        label: Name of the label's field; samples may lack it.
        id: Name of the id's field; samples may lack it.
        target: Name of the target's field, a dict of boxes and labels, say; samples may lack it.
        options: Options of the `Engine`: seed, dtype, device, memory_format, layout, num_classes,
            label_smoothing, strength, executor and target_options.

    Raises:
        TypeError: A keyword is unknown, or options come with an Engine, which has its own.
        ValueError: An option is outside its range.

    Example:
        >>> collate = ae.Collate([ae.RandomResizedCrop(32), ae.CutMix()], seed=0, num_classes=10)
        >>> image = torch.zeros(3, 40, 48, dtype=torch.uint8)
        >>> images, labels = collate([(image, 3, 0), (image, 4, 1)])  # (image, label, id) each
        >>> images.shape, labels.shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2, 10]))
        >>> batch = ae.Collate(ae.CenterCrop(32))([{"image": image, "id": "a", "caption": "a cat"}])
        >>> batch["image"].shape, batch["caption"]
        (torch.Size([1, 3, 32, 32]), ['a cat'])
    """

    name = "Collate"

    @overload
    def __init__(
        self: Collate[Batch],
        policy: Policy | Op | Sequence[Op],
        *,
        image: str = "image",
        label: str = "label",
        id: str = "id",
        target: str = "target",
        **options: Unpack[EngineOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Collate[BatchOfViews],
        policy: Views,
        *,
        image: str = "image",
        label: str = "label",
        id: str = "id",
        target: str = "target",
        **options: Unpack[EngineOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        policy: Engine[BatchType],
        *,
        image: str = "image",
        label: str = "label",
        id: str = "id",
        target: str = "target",
    ) -> None: ...
    def __init__(
        self,
        policy: Engine | Policy | Op | Sequence[Op] | Views,
        *,
        image: str = "image",
        label: str = "label",
        id: str = "id",
        target: str = "target",
        **options: Unpack[EngineOptions],
    ) -> None:
        self.engine: Engine[BatchType] = as_engine(self.name, policy, options)
        self.image, self.label, self.id, self.target = image, label, id, target
        # In shared memory, so that persistent workers see a new epoch and strength.
        self._named = torch.zeros(2, dtype=torch.int64).share_memory_()  # how often, and what last
        self._strength = torch.full((1,), math.nan, dtype=torch.float64).share_memory_()
        self._passes = Passes(self.name)
        self._load_before_forks()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for shared in (self._named, self._strength):  # a copy's are its own
            shared.share_memory_()
        self._load_before_forks()

    def _load_before_forks(self) -> None:
        """Workers that are forked have the CPU kernels loaded already, if they may draw with them."""
        device = self.engine.device
        if self.engine.executor in (None, "cpu") and (device is None or device.type == "cpu"):
            load_before_forks(self)

    @property
    def epoch(self) -> int | None:
        """The epoch that `set_epoch` named last, or None."""
        times, epoch = self._named.tolist()
        return epoch if times else None

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch of the next pass. Call it before iterating the loader: batches that workers have
        already prepared keep theirs.

        Args:
            epoch: Whole number, 0 or more.

        Raises:
            TypeError: It is no whole number.
            ValueError: It is below 0, or has more than 63 bits.
        """
        epoch = whole_number(f"{self.name}: epoch", epoch, 0, 2**63 - 1)
        self._named[:] = torch.tensor([self._named[0] + 1, epoch])
        self._passes.name(epoch)

    def set_strength(self, strength: float | None) -> None:
        """Set the strength of the next batches.

        Args:
            strength: Share in [0, 1] of every magnitude that is used; None is the engine's own, which
                may be a function of the epoch.
        """
        self._strength[0] = (
            math.nan if strength is None else number(f"{self.name}: strength", strength, 0, 1)
        )

    def __call__(self, samples: Sequence[Sample]) -> BatchType:
        """Augment a batch.

        Args:
            samples: Pairs (image, label), or triples (image, label, id), as `WithIds` gives them, or
                dicts; an image is a PIL image, an array (H, W, C) or a tensor (C, H, W), of any size.
                In the label's place there may be a target: a dict of boxes, labels, masks and keypoints,
                as torchvision's detection references have it, boxes or keypoints of torchvision's
                classes, or a mask. In dicts it is the field `target`, or its fields stand at the top:
                those of torchvision's classes, and boxes, masks, mask, keypoints and polygons with
                their labels, scores, area and iscrowd. Further fields of dicts, and further elements
                of tuples whose third is no id, are collated by torch's default_collate into the
                batch's `extra`.

        Returns:
            The batch; for Views a BatchOfViews, and of `pack` a PackedBatch. Where samples have targets
            and no labels, `images, targets = batch`.

        Raises:
            TypeError: An id, a label, a target or an image is of another type.
            ValueError: Samples are of another form, or have no ids in a worker process; or a target is
                wrong, or may be one and may not.
        """
        options = self.engine.target_options
        per_image = () if options is None else options.per_image
        parts = split(self.name, samples, self.image, self.label, self.id, self.target, per_image)
        for image in parts.images:
            if isinstance(image, torch.Tensor) and image.device.type != "cpu":
                raise ValueError(
                    f"{self.name}: got an image on {image.device}, expected images in main memory, where "
                    "batches are collated. Leave them there, and draw on the GPU with "
                    "ae.DeviceLoader(loader, policy)."
                )
        if parts.ids is None and get_worker_info() is not None and self.engine.draws():
            raise ValueError(
                f"{self.name}: got samples without ids in a worker process, where counting them would "
                "depend on the workers. Give the loader keys: ae.keyed(loader), or wrap the dataset: "
                "ae.WithIds(dataset)."
            )
        with names_in_errors(parts.ids):
            return self._batch(Sources.of(parts.images, self.engine.layout), parts)

    def _plan(self, sources: Sources, parts: Parts) -> Plan | PlansOfViews:
        ids = parts.ids
        strength = None if math.isnan(self._strength) else float(self._strength)
        named, version = self.epoch, int(self._named[0])
        keys = None if ids is None else keys_of(ids)
        if keys is not None and (ids[0].named or named is None):  # type: ignore[index]
            named = version = keys.epoch
        if not self.engine.draws():  # nothing depends on them
            numbers = np.arange(len(sources)) if ids is None else _numbers(self.name, ids)
            epoch, occurrences = named or 0, np.zeros(len(sources), np.int64)
        elif keys is not None and all(key.counted for key in ids or ()):
            assert named is not None
            numbers, epoch, occurrences = keys.ids.numpy(), named, keys.occurrences.numpy()
        else:
            numbers = (
                self._passes.numbers(len(sources), named, version)
                if ids is None
                else _numbers(self.name, ids)
            )
            epoch, occurrences, is_named = self._passes.keys(numbers, named, version)
            if not is_named:
                self.engine.check_epoch(self.name, strength is not None)
        return self.engine.plan(
            sources.sizes,
            numbers,
            epoch,
            occurrences=occurrences,
            channels=sources.channels,
            image_dtype=sources.image_dtype,
            strength=strength,
            boxes=self.engine.boxes(sources.sizes, parts.targets, numbers),
        )

    def _batch(self, sources: Sources, parts: Parts) -> BatchType:
        engine, in_worker = self.engine, get_worker_info() is not None
        if in_worker and engine.device is not None and engine.device.type != "cpu":
            raise ValueError(
                f"Collate: got device={engine.device} in a worker process, expected main memory, where "
                "workers hand their batches over. Leave device away, and wrap the loader: "
                "ae.DeviceLoader(loader, policy)."
            )
        plan = self._plan(sources, parts)
        if not in_worker and engine.device is not None:
            sources = sources.to(engine.device)
        batch = draw_launches(
            engine.launches(plan, parts.labels, parts.targets),
            sources,
            executor=engine.executor,
            out=_shared if in_worker else None,
            extra=parts.extra,
            names=parts.names,
            target=parts.target,
        )
        return cast(BatchType, batch)

    def __repr__(self) -> str:
        return f"{self.name}({self.engine!r},\n  epoch={self.epoch})"


class Packing(Collate):
    """What `pack` gives: a `Collate` that decides and does not draw."""

    name = "pack"

    def _load_before_forks(self) -> None:
        """Nothing: its workers do not draw."""

    def _batch(self, sources: Sources, parts: Parts) -> PackedBatch:
        engine = self.engine
        launches = engine.launches(self._plan(sources, parts), parts.labels, parts.targets)
        empty = torch.empty if get_worker_info() is None else _shared_values
        batch = PackedBatch(
            sources.in_one_buffer(empty),
            launches,
            engine.executor,
            engine.device,
            extra=parts.extra,
            names=parts.names,
            target=parts.target,
        )
        to_cpu = engine.device is not None and engine.device.type == "cpu"
        draws_in_triton = engine.executor in (None, "gpu") and not to_cpu and has_triton()
        return batch.for_gpu() if draws_in_triton else batch


def pack(
    policy: Engine | Policy | Op | Sequence[Op] | Views,
    *,
    image: str = "image",
    label: str = "label",
    id: str = "id",
    target: str = "target",
    **options: Unpack[EngineOptions],
) -> Packing:
    """A collate_fn that decides in the worker and leaves the drawing to who gets the batch.

    Its batches are `PackedBatch`: the images as they came, in one buffer, the plans, and the labels
    as they are mixed. `batch.draw(device)` gives what `Collate` would, to the last bit; a
    `DeviceLoader` does that ahead of time. So workers send bytes instead of floats, and a GPU draws
    what they have decided. Samples, `set_epoch` and `set_strength` are those of `Collate`.

    Args:
        policy: Policy, ops to make one of, Views, or an Engine.
        image: Name of the image's field, for samples that are dicts.
        label: Name of the label's field; samples may lack it.
        id: Name of the id's field; samples may lack it.
        target: Name of the target's field, a dict of boxes and labels, say; samples may lack it.
        options: Options of the `Engine`: seed, dtype, device (where the batches are to be drawn),
            memory_format, layout, num_classes, label_smoothing, strength, executor and target_options.

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
    return Packing(policy, image=image, label=label, id=id, target=target, **options)  # type: ignore[arg-type]


def _numbers(where: str, ids: Sequence[Any]) -> np.ndarray:
    """Ids [n] as numbers."""
    return np.array([id_number(f"{where}: id", id) for id in ids], np.int64)


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
