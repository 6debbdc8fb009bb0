"""A loader whose batches are drawn while the one before is trained on: `DeviceLoader`."""

from __future__ import annotations

import dataclasses
import os
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, Unpack, cast, overload

import torch
from torch.utils.data import IterableDataset

from ..checks import whole_number
from ..kernels import Sources
from ..kernels.flat import Flat
from ..policy.ops.op import Op
from ..policy.policy import Policy, checked_ids
from ..policy.views import Views
from .batch import Batch, BatchOfViews, tensors_of
from .batches import batch_parts
from .collate import Collate, Packing
from .engine import BatchType, Device, DrawOptions, Engine, as_engine
from .keys import Keys, keys_of, names_in_errors
from .launches import decoded
from .packed import PackedBatch
from .passes import Counter, chain, draws_from_all, ranks_of
from .resume import Progress, Start, state_of
from .workers import end_of

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

    What else a loader has (dataset, sampler, batch_size, num_workers, collate_fn …) is the loader's
    inside. `state_dict` says how far the consumer is, whatever has been taken ahead. In a run of
    several ranks, a DataLoader whose sampler gives each rank all samples is refused.

    Args:
        loader: Iterable of images, (images, labels), (images, labels, ids) or dicts of them, images
            being what an engine takes, ids also `Keys`; or of what `pack` collates, and then without a
            policy. In the labels' place there may be targets, one for each image, as
            collate_fn=lambda batch: tuple(zip(*batch)) gives them.
        policy: Policy, ops to make one of, Views, or an Engine.
        device: CUDA device or the CPU; None is the engine's, or else the GPU if there is one.
        prefetch: Number of batches, 1 or more, that are at most taken from the loader and not given yet.
        sharded: Whether each rank's loader gives a part of the samples, or is meant to give all. None
            looks at its sampler, where there is one, and refuses one that shares nothing out.
        image: Name of the images' field, for batches that are dicts.
        label: Name of the labels' field; batches may lack it.
        id: Name of the ids' field; batches may lack it.
        target: Name of the targets' field, a list of dicts, say; batches may lack it.
        options: Further options of the `Engine`: seed, dtype, memory_format, layout, num_classes,
            label_smoothing, strength, executor, target_options and decode.

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
        sharded: bool | None = None,
        image: str = "image",
        label: str = "label",
        id: str = "id",
        target: str = "target",
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
        sharded: bool | None = None,
        image: str = "image",
        label: str = "label",
        id: str = "id",
        target: str = "target",
        **options: Unpack[DrawOptions],
    ) -> None: ...
    def __init__(
        self,
        loader: Iterable,
        policy: Engine | Policy | Op | Sequence[Op] | Views | None = None,
        *,
        device: Device | None = None,
        prefetch: int = 2,
        sharded: bool | None = None,
        image: str = "image",
        label: str = "label",
        id: str = "id",
        target: str = "target",
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
        self.sharded = sharded
        self.image, self.label, self.id, self.target = image, label, id, target
        self._named: int | None = None  # the epoch
        self._passes = 0
        self._running: weakref.ref[_Iteration] | None = None
        self._last: Progress | None = None
        self._resume: dict[str, Any] | None = None
        self._warned = False

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[BatchType]:
        if self._running is not None and (before := self._running()) is not None:
            before.supersede()
        self._refuse_all_samples()
        iteration = _Iteration(self)
        self._running = weakref.ref(iteration)
        return cast(Iterator[BatchType], iteration)

    def _begin(self) -> tuple[Iterator, Callable, Progress]:
        """The batches of an iteration, the function that draws them, and how far they have got."""
        state, self._resume = self._resume, None
        start = Start.of(self.loader, self._passes) if state is None else Start(**state["start"])
        self._passes = start.passes + 1
        batches = iter(self.loader) if state is None else start.again(self.loader, state["given"])
        inner_state = state_of(self.loader)
        self._last = Progress(
            start,
            0 if state is None else state["given"],
            None if inner_state is None else inner_state(),
        )
        return batches, self._drawer(self._epoch_of(batches, start)), self._last

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "loader" not in self.__dict__:  # while it is unpickled, say
            raise AttributeError(f"DeviceLoader has no attribute {name!r}")
        return getattr(self.loader, name)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the iterations to come, here and in the loader's collate_fn and samplers, as
        far as they have a set_epoch.

        Args:
            epoch: Whole number, 0 or more.
        """
        self._named = whole_number("DeviceLoader: epoch", epoch, 0, 2**63 - 1)
        parts: list = [self.loader, getattr(self.loader, "collate_fn", None)]
        for name in ("sampler", "batch_sampler"):
            parts += chain(getattr(self.loader, name, None))
        for part in {id(part): part for part in parts}.values():
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)

    def state_dict(self) -> dict[str, object]:
        """How far the consumer is: the epoch, how many batches of the iteration it has been given, and
        what the loader inside takes to begin that iteration again.

        Batches that were taken ahead are not counted. A loader inside that has a `state_dict`, such as
        torchdata's StatefulDataLoader, is saved as it was at the batch that was given last.

        Returns:
            The state, of numbers, tensors and the inner loader's state.

        Example:
            >>> loader = ae.DeviceLoader([torch.zeros(1, 3, 9, 9)] * 3, ae.CenterCrop(8), device="cpu")
            >>> loader.set_epoch(4)
            >>> iterator = iter(loader)
            >>> _ = next(iterator), next(iterator)
            >>> state = loader.state_dict()
            >>> state["epoch"], state["given"]
            (4, 2)
        """
        if self._resume is not None:  # it has not gone on yet
            return dict(self._resume)
        progress = self._last
        state: dict[str, Any] = {"epoch": self._named, "passes": self._passes}
        if progress is None or progress.ended:
            inner = state_of(self.loader)
            return {
                **state,
                "given": 0,
                "start": None,
                "loader": None if inner is None else inner(),
            }
        state["start"] = dataclasses.asdict(progress.start)
        return {**state, "given": progress.given, "loader": progress.inner}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on as the loader did whose state it is, with the next iteration: within its pass, if it was
        within one.

        A loader inside that has a `load_state_dict` goes on by itself. Another is begun again from the
        random state that it began with, and the batches that were given are passed over: they are read
        once more, but not drawn.

        Args:
            state: What `state_dict` gave.

        Raises:
            ValueError: It is no such state.
        """
        if not isinstance(state, Mapping) or not {"epoch", "passes", "given", "start"} <= set(
            state
        ):
            raise ValueError(
                f"DeviceLoader.load_state_dict: got {type(state).__name__}, expected what state_dict "
                "gave. Pass that."
            )
        parts: dict[str, Any] = dict(state)
        self._passes = parts["passes"]
        if parts["epoch"] is not None:
            self.set_epoch(parts["epoch"])
        if parts["loader"] is not None:
            self.loader.load_state_dict(parts["loader"])  # type: ignore[attr-defined]
        self._resume = None if parts["start"] is None else parts

    def _refuse_all_samples(self) -> None:
        """In a run of several ranks: a framework's `prepare` may have passed this loader by."""
        distributed = torch.distributed
        if self.sharded is not None or not (
            distributed.is_available() and distributed.is_initialized()
        ):
            return
        index_sampler = getattr(self.loader, "_index_sampler", None)
        world = distributed.get_world_size()
        if world == 1 or index_sampler is None:
            return
        if isinstance(getattr(self.loader, "dataset", None), IterableDataset):
            return  # what it yields to each rank is its own doing
        if type(self.loader).__name__ == "DataLoaderDispatcher":
            return  # accelerate's, whose first rank reads for all
        samplers = [*chain(index_sampler)]
        for sampler in samplers:
            if ranks_of(sampler) is not None or getattr(sampler, "sharded", None) is not None:
                return
        if not draws_from_all(samplers[-1]):
            return  # somebody's own, which may know its rank
        raise ValueError(
            f"DeviceLoader: got a loader that gives each of {world} ranks all samples, expected a part "
            "for each. Shard the loader inside: a DistributedSampler, or "
            "ae.DeviceLoader(accelerator.prepare(loader)); or pass sharded=False if each rank is to "
            "have them all."
        )

    def _epoch_of(self, batches: Any, start: Start) -> int | None:
        """The epoch of an iteration, where batches do not say theirs; None: that of ids' Keys only."""
        if self._named is not None or self.engine is None:
            return self._named
        # A DataLoader's own seed for the pass, which torch.manual_seed repeats.
        seed = getattr(batches, "_base_seed", None)
        if seed is None:
            return start.passes
        if getattr(self.loader, "persistent_workers", False):  # which keep the first pass's
            return int(torch.empty((), dtype=torch.int64).random_())
        return seed

    def _drawer(self, epoch: int | None) -> Callable:
        """A function of what the loader gave, which gives the batch and the event after which it is
        drawn."""
        device, stream, counter = self.device, self._stream, Counter()
        named = self._named is not None
        if stream is None:
            return lambda batch: (self._packed(batch, epoch, named, counter).draw(device), None)

        def draw(batch):
            with torch.cuda.device(device):
                packed = _pinned(self._packed(batch, epoch, named, counter), stream)
                with torch.cuda.stream(stream):
                    return packed.draw(device), stream.record_event()

        return draw

    def _packed(self, batch: Any, epoch: int | None, named: bool, counter: Counter) -> PackedBatch:
        """What the loader gave, decided in full. counter: of the ids that this pass has brought."""
        if isinstance(batch, PackedBatch):
            self._refuse_two_policies()
            self._compare_epochs(batch, epoch)
            return batch
        if isinstance(batch, (Batch, BatchOfViews)):
            _refuse_drawn()
        if self.engine is None:
            raise ValueError(
                f"DeviceLoader: got no policy and a batch of {type(batch).__name__}, expected a policy "
                f"or batches of ae.pack. {_PACK}"
            )
        options = self.engine.target_options
        parts = batch_parts(
            batch,
            self.image,
            self.label,
            self.id,
            self.target,
            () if options is None else options.per_image,
        )
        images, ids = parts.images, parts.ids
        sources = Sources.of(images, self.engine.layout, self.engine.decode)
        assert epoch is not None
        if isinstance(ids, (list, tuple)) and not isinstance(ids, Keys):
            ids = keys_of(ids) or ids
        occurrences = None
        if isinstance(ids, Keys):
            epoch = epoch if named else ids.epoch
        else:
            if ids is not None:
                ids = checked_ids(ids, sources.sizes)[0]
                occurrences = counter.count(ids)
            if not named:
                if ids is not None and epoch:  # not in the first pass of one that is counted
                    self._warn_of_no_epoch()
                self.engine.check_epoch("DeviceLoader")
        with names_in_errors(parts.ids if isinstance(parts.ids, (list, tuple)) else None):
            plan = (
                self.engine.plan(
                    sources.sizes,
                    ids,
                    epoch,
                    occurrences=occurrences,
                    channels=sources.channels,
                    image_dtype=sources.image_dtype,
                    boxes=self.engine.boxes(sources.sizes, parts.targets, getattr(ids, "ids", ids)),
                )
                if len(sources)
                else self.engine.plan_of_none(sources)
            )
            launches = self.engine.launches(plan, parts.labels, parts.targets)
            launches, sources = decoded(launches, sources)
        return PackedBatch(
            sources,
            launches,
            self.engine.executor,
            extra=parts.extra,
            names=parts.names,
            target=parts.target,
        )

    def _warn_of_no_epoch(self) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                "augengine: DeviceLoader: No epoch was named, so each pass draws by the seed that its "
                "loader took from torch, or by its number: no two passes are alike. Name it before "
                "each pass: set_epoch(epoch), or call ae.keyed(loader), which counts passes.",
                stacklevel=2,
            )

    def _compare_epochs(self, batch: PackedBatch, epoch: int | None) -> None:
        decided = batch.launches[0].plan.epoch
        if epoch is not None and decided != epoch and not self._warned:
            self._warned = True
            warnings.warn(
                f"augengine: DeviceLoader: set_epoch({epoch}) has not reached the collate function, "
                f"which decided this batch for epoch {decided}. Call set_epoch of the ae.pack itself, "
                "before the loader is iterated.",
                stacklevel=2,
            )

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
    ready: SimpleQueue = field(
        default_factory=SimpleQueue
    )  # (batch, event, loader's state), an error, or the end
    ended: threading.Event = field(default_factory=threading.Event)


class _End:
    """What follows the last batch."""


class _Iteration:
    """The batches of one iteration. The thread does not know it, so that dropping it ends both."""

    def __init__(self, loader: DeviceLoader):
        self._loader: DeviceLoader | None = loader  # until it begins
        self._device, self._prefetch = loader.device, loader.prefetch
        self._line = _Line(threading.Semaphore(loader.prefetch))
        # An event for each batch taken: what the consumer had asked of the GPU by then.
        self._events: deque[torch.cuda.Event] = deque()
        self._superseded = False
        self._end: weakref.finalize | None = None

    def _begin(self) -> None:
        """With the first batch, since loops name the epoch after iter() too, and call iter() to look
        only; and here, since workers are to be forked by the thread that has the consumer's locks."""
        loader, self._loader = self._loader, None
        assert loader is not None
        batches, draw, self._progress = loader._begin()
        inner_state = state_of(loader.loader)
        thread = threading.Thread(
            target=_produce,
            args=(loader.loader, batches, draw, inner_state, self._line),
            name="augengine-draw",
            daemon=True,
        )
        self._process = os.getpid()
        self._end = weakref.finalize(self, _end, self._line, thread, self._process)
        thread.start()

    def __iter__(self):
        return self

    def __next__(self) -> Batch | BatchOfViews:
        if self._superseded:
            raise RuntimeError(
                "DeviceLoader: a later iteration has ended this one, expected one at a time. Finish the "
                "first before the next begins, or make a second DeviceLoader."
            )
        if self._loader is not None:
            self._begin()
        if self._end is None or not self._end.alive:
            raise StopIteration
        if self._process != os.getpid():
            raise RuntimeError(
                "DeviceLoader: got an iteration that the parent process began before it forked, expected "
                "one of this process, since the thread that draws is not here. Begin another: iter(loader)."
            )
        if self._device.type == "cuda":
            self._keep_pace()
        item = self._line.ready.get()
        if isinstance(item, tuple):
            self._line.free.release()
            batch, event, self._progress.inner = item
            self._progress.given += 1
            return batch if event is None else self._handed_over(batch, event)
        self._end()
        self._progress.ended = item is _End
        if isinstance(item, BaseException):
            try:
                raise item
            finally:
                del item  # or its traceback would hold this frame, and this frame it
        raise StopIteration

    def supersede(self) -> None:
        self._superseded, self._loader = True, None
        if self._end is not None:
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


def _produce(loader, batches, draw, inner_state: Callable | None, line: _Line) -> None:
    try:
        while True:
            line.free.acquire()
            if line.ended.is_set():
                end_of(loader, batches, None)
                return
            try:
                batch = next(batches)
            except StopIteration:
                line.ready.put(_End)
                return
            except Exception as error:
                if (lost := end_of(loader, batches, error)) is None:
                    raise
                raise lost from error
            state = None if inner_state is None else inner_state()
            line.ready.put((*draw(batch), state))
            del batch
    except BaseException as error:
        # Or the error would hold them by this frame, and the line the error.
        del loader, batches, draw, inner_state
        line.ready.put(error)
        del line


def _end(line: _Line, thread: threading.Thread, process: int) -> None:
    if process != os.getpid():  # forked since: the thread is not here, and may have held the locks
        return
    line.ended.set()
    line.free.release()
    if thread is not threading.current_thread():  # the thread's own garbage collection, say
        thread.join()


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
        batch = batch._replace(sources=sources.in_one_buffer(empty))
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
