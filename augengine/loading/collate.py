"""Into a DataLoader: `Collate` augments a batch as it is collated, `pack` only decides it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, Unpack, cast, overload

import numpy as np
import torch
from torch.utils.data import get_worker_info

from ..checks import number, whole_number
from ..decoding import DecodeError
from ..kernels import Sources, has_triton
from ..kernels.forks import load_before_forks
from ..plan import Plan
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from .batch import Batch, BatchOfViews
from .engine import BatchType, Engine, EngineOptions, PlansOfViews, as_engine
from .keys import id_number, keys_of, names_in_errors
from .launches import decoded, draw_launches
from .packed import PackedBatch
from .passes import Passes
from .samples import Parts, Sample, split

_MOST_WORKERS = 1024  # that count what they skip, each for itself


class _Keys(NamedTuple):
    """What the samples of a batch are drawn by."""

    ids: np.ndarray
    epoch: int
    occurrences: Any

    def of(self, rows: np.ndarray) -> _Keys:
        """Those of some of the samples."""
        return _Keys(self.ids[rows], self.epoch, np.asarray(self.occurrences)[rows])


@contextmanager
def _named_by_id(ids: Sequence[Any] | None) -> Iterator[None]:
    """Within it, an image without a path is told by its sample's id too."""
    try:
        yield
    except DecodeError as error:
        if ids is None or not error.at or error.name != f"images[{error.at[0]}]":
            raise
        id = ids[error.at[0]]
        name = f"{error.name} (id {int(id) if isinstance(id, int) else repr(id)})"
        raise DecodeError(name, error.reason, error.at) from error.__cause__


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
            label_smoothing, strength, executor, target_options and decode.

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
        self._skipped = torch.zeros(_MOST_WORKERS, dtype=torch.int64).share_memory_()
        self._passes = Passes(self.name)
        self._load_before_forks()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for shared in (self._named, self._strength, self._skipped):  # a copy's are its own
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
                dicts; an image is a PIL image, an array (H, W, C) or a tensor (C, H, W), of any size,
                or encoded, as `Sources.of` takes it.
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
            DecodeError: An encoded image cannot be decoded, and is not to be skipped; or none of them can.
            ValueError: Samples are of another form, or have no ids in a worker process; or a target is
                wrong, or may be one and may not.
        """
        skips = self.engine.decode.corrupt == "skip"
        keys, kept, damaged = None, list(samples), None
        while kept or damaged is None:
            parts = self._parts(kept)
            try:
                with names_in_errors(parts.ids), _named_by_id(parts.ids):
                    if keys is None:
                        keys = self._keys(parts, len(kept))
                    sources = Sources.of(parts.images, self.engine.layout, self.engine.decode)
                    return self._batch(sources, parts, keys)
            except DecodeError as error:
                if not skips or not error.at:
                    raise
                assert keys is not None
                damaged = error
                self._warn_of_skipped(error)
                is_kept = np.ones(len(kept), bool)
                is_kept[list(error.at)] = False
                keys = keys.of(is_kept)
                kept = [sample for sample, keeps in zip(kept, is_kept, strict=True) if keeps]
        reason = f"{damaged.reason}; no other image of its batch can be decoded either"
        raise DecodeError(damaged.name, reason)

    @property
    def skipped(self) -> int:
        """Number of samples that were left out, in all workers, since their image could not be decoded."""
        return int(self._skipped.sum())

    def _warn_of_skipped(self, error: DecodeError) -> None:
        worker = get_worker_info()
        # Each process counts in a place of its own, as none waits for another.
        place = 0 if worker is None else 1 + worker.id % (len(self._skipped) - 1)
        if not self._skipped[place]:
            warnings.warn(
                f"augengine: {self.name}: left out {error.name}: {error.reason}. Further ones are counted: "
                f"see `skipped`.",
                stacklevel=3,
            )
        self._skipped[place] += len(error.at)

    def _parts(self, samples: Sequence[Sample]) -> Parts:
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
        return parts

    def _keys(self, parts: Parts, count: int) -> _Keys:
        ids = parts.ids
        named, version = self.epoch, int(self._named[0])
        keys = None if ids is None else keys_of(ids)
        if keys is not None and (ids[0].named or named is None):  # type: ignore[index]
            named = version = keys.epoch
        if not self.engine.draws():  # nothing depends on them
            numbers = np.arange(count) if ids is None else _numbers(self.name, ids)
            return _Keys(numbers, named or 0, np.zeros(count, np.int64))
        if keys is not None and all(key.counted for key in ids or ()):
            assert named is not None
            return _Keys(keys.ids.numpy(), named, keys.occurrences.numpy())
        numbers = (
            self._passes.numbers(count, named, version) if ids is None else _numbers(self.name, ids)
        )
        epoch, occurrences, is_named = self._passes.keys(numbers, named, version)
        if not is_named:
            self.engine.check_epoch(self.name, not math.isnan(self._strength))
        return _Keys(numbers, epoch, occurrences)

    def _plan(self, sources: Sources, parts: Parts, keys: _Keys) -> Plan | PlansOfViews:
        return self.engine.plan(
            sources.sizes,
            keys.ids,
            keys.epoch,
            occurrences=keys.occurrences,
            channels=sources.channels,
            image_dtype=sources.image_dtype,
            strength=None if math.isnan(self._strength) else float(self._strength),
            boxes=self.engine.boxes(sources.sizes, parts.targets, keys.ids),
        )

    def _batch(self, sources: Sources, parts: Parts, keys: _Keys) -> BatchType:
        engine, in_worker = self.engine, get_worker_info() is not None
        if in_worker and engine.device is not None and engine.device.type != "cpu":
            raise ValueError(
                f"Collate: got device={engine.device} in a worker process, expected main memory, where "
                "workers hand their batches over. Leave device away, and wrap the loader: "
                "ae.DeviceLoader(loader, policy)."
            )
        plan = self._plan(sources, parts, keys)
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

    def _batch(self, sources: Sources, parts: Parts, keys: _Keys) -> PackedBatch:
        engine = self.engine
        launches = engine.launches(self._plan(sources, parts, keys), parts.labels, parts.targets)
        empty = torch.empty if get_worker_info() is None else _shared_values
        over_parts, pixels = decoded(launches, sources, empty)
        batch = PackedBatch(
            pixels if pixels is not sources else sources.in_one_buffer(empty),
            tuple(over_parts),
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
            memory_format, layout, num_classes, label_smoothing, strength, executor, target_options and decode.

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
