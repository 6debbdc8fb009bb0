"""A loader whose batches are drawn while the one before is trained on: `DeviceLoader`."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Generic, Unpack, cast, overload

import numpy as np
import torch

from ..checks import whole_number
from ..kernels import Sources
from ..kernels.flat import Flat
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from .batch import Batch, BatchOfViews, PackedBatch, tensors_of
from .collate import Collate, Packing
from .engine import BatchType, Device, DrawOptions, Engine, as_engine

_PACK = "Collate with ae.pack(policy), or pass a loader of plain images and the policy here."


class DeviceLoader(Generic[BatchType]):
    """A loader that draws another loader's batches ahead of the loop that takes them.

        for batch in ae.DeviceLoader(loader, policy, device="cuda", num_classes=10): …
        for batch in ae.DeviceLoader(DataLoader(…, collate_fn=ae.pack(policy, num_classes=10))): …

    Batches are those of `Engine(policy, device=…)(images, labels, ids=ids, epoch=epoch)`, to the last
    bit. A thread draws them; on a GPU it copies from pinned memory and launches on a stream of its
    own, which the consumer's current stream waits for, and the host runs no more than prefetch + 1
    batches ahead of the GPU. What the loader or the engine raises is raised to the consumer.

    Each iteration begins the loader anew, and ends the iteration before it. Dropping an iterator, by
    a `break` say, waits for the batch at hand and ends the thread; what it had taken from a loader
    that cannot begin anew is lost.

    Args:
        loader: Iterable of images, (images, labels) or (images, labels, ids), images being what an
            engine takes; or of what `pack` collates, and then without a policy.
        policy: Policy, ops to make one of, Views, or an Engine.
        device: CUDA device or the CPU; None is the engine's, or else the GPU if there is one.
        prefetch: Number of batches, 1 or more, that are at most taken from the loader and not given yet.
        options: Further options of the `Engine`: seed, dtype, memory_format, num_classes,
            label_smoothing, strength and executor.

    Raises:
        TypeError: The loader is no iterable, a keyword is unknown, or options come without a policy.
        ValueError: An option is outside its range, or there is no such device.

    Example:
        >>> images = torch.zeros(4, 3, 40, 48, dtype=torch.uint8)
        >>> loader = [(images, torch.arange(4), torch.arange(4))]
        >>> for batch in ae.DeviceLoader(loader, ae.RandomResizedCrop(32), device="cpu"):
        ...     print(batch.images.shape, batch.labels)
        torch.Size([4, 3, 32, 32]) tensor([0, 1, 2, 3])
    """

    @overload
    def __init__(
        self: DeviceLoader[BatchOfViews],
        loader: Iterable,
        policy: Views,
        *,
        device: Device | None = None,
        prefetch: int = 2,
        **options: Unpack[DrawOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: DeviceLoader[Batch],
        loader: Iterable,
        policy: Policy | Op | Sequence[Op] | Engine[Batch] | None = None,
        *,
        device: Device | None = None,
        prefetch: int = 2,
        **options: Unpack[DrawOptions],
    ) -> None: ...
    def __init__(
        self,
        loader: Iterable,
        policy: Engine | Policy | Op | Sequence[Op] | Views | None = None,
        *,
        device: Device | None = None,
        prefetch: int = 2,
        **options: Unpack[DrawOptions],
    ) -> None:
        if not hasattr(loader, "__iter__"):
            raise TypeError(
                f"DeviceLoader: got {type(loader).__name__}, expected an iterable of batches. Pass a "
                "DataLoader."
            )
        if policy is None and options:
            raise TypeError(
                f"DeviceLoader: got {', '.join(options)} without a policy, expected them with one. Give "
                "them to ae.pack, or pass the policy."
            )
        self.engine: Engine | None = (
            None if policy is None else as_engine("DeviceLoader", policy, options)
        )
        self.loader = loader
        self.prefetch = whole_number("DeviceLoader: prefetch", prefetch, 1, 2**31 - 1)
        collate = getattr(loader, "collate_fn", None)
        if isinstance(collate, Packing):
            self._refuse_two_policies()
        elif isinstance(collate, Collate):
            _refuse_drawn()
        engine = collate.engine if isinstance(collate, Packing) else self.engine
        if device is None and engine is not None:
            device = engine.device
        self.device = _checked_device(device)
        # One for all iterations: memory that a stream has freed is used again on that stream only.
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        self._epoch = 0
        self._running: weakref.ref[_Iteration] | None = None

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[BatchType]:
        if self._running is not None and (before := self._running()) is not None:
            before.supersede()
        # Begun here, since workers are to be forked by the thread that has the consumer's locks.
        batches = iter(self.loader)
        iteration = _Iteration(batches, self._drawer(), self.device, self.prefetch)
        self._running = weakref.ref(iteration)
        return cast(Iterator[BatchType], iteration)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the iterations to come, here and in the loader's collate_fn and samplers, as
        far as they have a set_epoch.

        Args:
            epoch: Whole number, 0 or more.
        """
        self._epoch = whole_number("DeviceLoader: epoch", epoch, 0, 2**63 - 1)
        parts: list = [self.loader]
        for name in ("collate_fn", "sampler", "batch_sampler"):
            parts.append(getattr(self.loader, name, None))
        parts.append(getattr(parts[-1], "sampler", None))
        for part in {id(part): part for part in parts}.values():
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)

    def _drawer(self) -> Callable:
        """A function of what the loader gave, which gives the batch and the event after which it is
        drawn."""
        epoch, device, stream = self._epoch, self.device, self._stream
        if stream is None:
            return lambda batch: (self._packed(batch, epoch).draw(device), None)

        def draw(batch):
            with torch.cuda.device(device):
                packed = _pinned(self._packed(batch, epoch), stream)
                with torch.cuda.stream(stream):
                    return packed.draw(device), stream.record_event()

        return draw

    def _packed(self, batch, epoch: int) -> PackedBatch:
        """What the loader gave, decided in full."""
        if isinstance(batch, PackedBatch):
            self._refuse_two_policies()
            return batch
        if isinstance(batch, (Batch, BatchOfViews)):
            _refuse_drawn()
        if self.engine is None:
            raise ValueError(
                f"DeviceLoader: got no policy and a batch of {type(batch).__name__}, expected a policy "
                f"or batches of ae.pack. {_PACK}"
            )
        images, labels, ids = _parts(batch)
        sources = Sources.of(images)
        plan = self.engine.plan(sources.sizes, ids, epoch, channels=sources.channels)
        return PackedBatch(sources, self.engine.launches(plan, labels), self.engine.executor)

    def _refuse_two_policies(self) -> None:
        if self.engine is not None:
            raise ValueError(
                "DeviceLoader: got a policy and batches of ae.pack, which have been decided by theirs, "
                "expected one of the two. Drop the policy here, or collate without ae.pack."
            )

    def __repr__(self) -> str:
        return (
            f"DeviceLoader({self.loader!r},\n  {self.engine!r},\n  device={self.device}, "
            f"prefetch={self.prefetch})"
        )


@dataclass(frozen=True)
class _Line:
    """Between the thread that draws and the loop that takes."""

    free: threading.Semaphore  # how many more batches may be begun
    ready: SimpleQueue = field(default_factory=SimpleQueue)  # (batch, event), an error, or the end
    ended: threading.Event = field(default_factory=threading.Event)


class _End:
    """What follows the last batch."""


class _Iteration:
    """The batches of one iteration. The thread does not know it, so that dropping it ends both."""

    def __init__(self, batches, draw, device: torch.device, prefetch: int):
        self._device, self._prefetch = device, prefetch
        self._line = _Line(threading.Semaphore(prefetch))
        # An event for each batch taken: what the consumer had asked of the GPU by then.
        self._events: deque[torch.cuda.Event] = deque()
        self._superseded = False
        thread = threading.Thread(
            target=_produce, args=(batches, draw, self._line), name="augengine-draw", daemon=True
        )
        self._end = weakref.finalize(self, _end, self._line, thread)
        thread.start()

    def __iter__(self):
        return self

    def __next__(self) -> Batch | BatchOfViews:
        if self._superseded:
            raise RuntimeError(
                "DeviceLoader: a later iteration has ended this one, expected one at a time. Finish the "
                "first before the next begins, or make a second DeviceLoader."
            )
        if not self._end.alive:
            raise StopIteration
        if self._device.type == "cuda":
            self._keep_pace()
        item = self._line.ready.get()
        if isinstance(item, tuple):
            self._line.free.release()
            batch, event = item
            return batch if event is None else self._handed_over(batch, event)
        self._end()
        if isinstance(item, BaseException):
            try:
                raise item
            finally:
                del item  # or its traceback would hold this frame, and this frame it
        raise StopIteration

    def supersede(self) -> None:
        self._superseded = True
        self._end()

    def _keep_pace(self) -> None:
        """Wait until the GPU is done with all but the last few batches: their memory is in use."""
        self._events.append(torch.cuda.current_stream(self._device).record_event())
        if len(self._events) > self._prefetch:
            self._events.popleft().synchronize()

    def _handed_over(self, batch, event):
        """The batch, for the consumer's current stream: what that does with it comes after the event,
        and its memory is not used again before."""
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(event)
        for tensor in tensors_of(batch):
            if tensor.is_cuda:
                tensor.record_stream(stream)
        return batch


def _produce(batches, draw, line: _Line) -> None:
    try:
        while True:
            line.free.acquire()
            if line.ended.is_set():
                return
            try:
                batch = next(batches)
            except StopIteration:
                line.ready.put(_End)
                return
            line.ready.put(draw(batch))
            del batch
    except BaseException as error:
        line.ready.put(error)


def _end(line: _Line, thread: threading.Thread) -> None:
    line.ended.set()
    line.free.release()
    if thread is not threading.current_thread():  # the thread's own garbage collection, say
        thread.join()


def _parts(batch):
    """(images, labels or None, ids or None) of what a loader gave."""
    if isinstance(batch, (tuple, list)) and 1 <= len(batch) <= 3:
        first = batch[0]
        several = isinstance(first, (list, tuple, Sources))
        if several or (isinstance(first, (torch.Tensor, np.ndarray)) and first.ndim == 4):
            return (*batch, None, None)[:3]
    return batch, None, None


def _pinned(batch: PackedBatch, stream: torch.cuda.Stream) -> PackedBatch:
    """The batch in pinned memory, or on the GPU where it is there already.

    Pinned memory comes from torch, which uses a block again once the copies from it are done.
    """

    for tensor in tensors_of(batch):
        if tensor.is_cuda:  # made by the loader, on this thread's current stream
            stream.wait_stream(torch.cuda.current_stream(tensor.device))
            tensor.record_stream(stream)
    sources = batch.sources
    if sources.device.type != "cpu":
        return batch
    if sources.dense is None and not isinstance(sources.ragged, Flat):
        empty = partial(torch.empty, pin_memory=True)
        flat = Flat.of(sources.ragged, empty)
        batch = batch._replace(sources=Sources(None, flat, sources.sizes))
    return batch.pin_memory()


def _checked_device(device: Device | None) -> torch.device:
    """The device, if it can be drawn on; a GPU with its number, since a thread has its own default."""
    has_gpu = torch.cuda.is_available()
    device = torch.device(("cuda" if has_gpu else "cpu") if device is None else device)
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"DeviceLoader: got device={device}, expected the CPU or a CUDA device. Draw elsewhere with "
            "ae.Engine(policy, device=…) in the loop."
        )
    if device.type == "cuda" and not has_gpu:
        raise ValueError(
            f"DeviceLoader: got device={device}, and torch.cuda.is_available() is False, expected a GPU "
            "that torch can use. Pass device='cpu', or see to the driver and to torch's build."
        )
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return device


def _refuse_drawn() -> None:
    raise ValueError(
        f"DeviceLoader: got batches that ae.Collate has drawn, expected such as are still to be drawn. {_PACK}"
    )
