"""The costs, part by part. Each part is measured alone, as one worker or the main process has it."""

from __future__ import annotations

import copy
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from ..demo.transport import Sender, taker
from ..kernels import Sources
from ..kernels.flat import Flat
from ..loading.batch import Batch, BatchOfViews
from ..loading.collate import Collate
from ..loading.device_loader import DeviceLoader
from ..loading.engine import Engine
from ..loading.keys import Carrier, Key
from ..loading.packed import PackedBatch
from ..plan import Plan
from . import models, timing
from .figures import Cost
from .models import Loss, Model

# Distinct samples that are read, at most: a batch's worth is enough for a mean.
MOST_SAMPLES = 256
# Plans that are drawn by turns, since one is not like the next.
PLANS = 3


@dataclass(frozen=True)
class Names:
    """Where image and label stand in a sample: names of a dict's fields. Of a tuple they are the first two."""

    image: str = "image"
    label: str = "label"

    def image_of(self, sample: Any) -> Any:
        return sample[self.image] if isinstance(sample, Mapping) else sample[0]

    def label_of(self, sample: Any) -> Any:
        if isinstance(sample, Mapping):
            return sample.get(self.label)
        return sample[1] if len(sample) > 1 else None


@contextmanager
def threads(count: int) -> Iterator[None]:
    """torch with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read(dataset: Any, count: int, seconds: float) -> tuple[list, float]:
    """Samples spread over a dataset, and the seconds that reading them took.

    Args:
        dataset: Map-style dataset, or a stream, whose first samples are read.
        count: Number of samples, at most.
        seconds: Time after which reading ends.
    """
    started = time.perf_counter()
    samples = []
    for sample in _samples(dataset, count):
        samples.append(sample)
        if time.perf_counter() - started > seconds or len(samples) == count:
            break
    if not samples:
        raise ValueError("dataset: got no samples, expected at least one. Pass another dataset.")
    return samples, time.perf_counter() - started


def _samples(dataset: Any, count: int) -> Iterator[Any]:
    if isinstance(dataset, IterableDataset):
        yield from iter(dataset)
    else:
        for index in spread_indices(len(dataset), count):
            yield dataset[index]


def spread_indices(size: int, count: int) -> list[int]:
    """`count` indices, or as many as there are, spread evenly over a dataset of that size."""
    return np.linspace(0, size - 1, min(size, count)).round().astype(int).tolist()


def decode(dataset: Any, count: int, first: float, seconds: float) -> Cost:
    """Reading samples on one core.

    Args:
        dataset: Dataset, of which the same samples are read in each round.
        count: Number of samples that have been read already.
        first: Seconds that this took.
        seconds: Time for all rounds.
    """
    each = first / count
    few = max(1, min(count, int(seconds / (timing.FEWEST + 2) / max(each, 1e-7))))

    def work() -> None:
        for number, _ in enumerate(_samples(dataset, few), 1):
            if number == few:
                break

    with threads(1):
        used, started = time.process_time(), time.perf_counter()
        found = timing.cost("decode", few, work, seconds)
        busy = (time.process_time() - used) / (time.perf_counter() - started)
    return Cost(found.part, few, found.seconds, each * few, busy=min(1.0, max(0.01, busy)))


class Drawing:
    """A batch of raw images and an engine: deciding, drawing and packing of it.

    Args:
        engine: Engine that draws in main memory.
        images: Images [B] as the dataset gives them.
        labels: Labels [B], or None.
    """

    def __init__(self, engine: Engine, images: Sequence[Any], labels: torch.Tensor | None) -> None:
        self.engine, self.labels = engine, labels
        self.sources = Sources.of(list(images), engine.layout)
        self.ids = np.arange(len(images))
        self._epochs = itertools.count()
        self._plans = itertools.cycle([self.decide() for _ in range(PLANS)])
        self._memory: dict[tuple, torch.Tensor] = {}

    def decide(self) -> Any:
        """Plans of another epoch."""
        sources = self.sources
        return self.engine.plan(
            sources.sizes,
            self.ids,
            next(self._epochs),
            channels=sources.channels,
            image_dtype=sources.image_dtype,
        )

    def draw(self) -> Batch | BatchOfViews:
        """A batch, drawn into memory that is there already."""
        return self.engine.draw(next(self._plans), self.sources, self.labels, out=self._out)

    def _out(self, plan: Plan) -> torch.Tensor:
        key = (plan.shape, plan.finish.dtype, plan.finish.channels_last)
        if key not in self._memory:
            n, c, h, w = plan.shape
            dtype = getattr(torch, plan.finish.dtype)
            if plan.finish.channels_last:
                self._memory[key] = torch.empty(n, h, w, c, dtype=dtype).movedim(-1, 1)
            else:
                self._memory[key] = torch.empty(n, c, h, w, dtype=dtype)
        return self._memory[key]

    def packed(self) -> PackedBatch:
        """The batch, decided and not drawn."""
        launches = self.engine.launches(next(self._plans), self.labels)
        return PackedBatch(self.sources.in_one_buffer(), launches, self.engine.executor)

    def costs(self, seconds: float, all_threads: int) -> tuple[Cost, Cost, Cost]:
        """Of deciding and drawing on one core, and of drawing on all threads."""
        images = len(self.ids)
        self.draw()  # the kernel is loaded, or compiled
        with threads(1):
            plan = timing.cost("plan", images, self.decide, seconds / 4)
            draw = timing.cost("draw", images, self.draw, seconds / 2)
        if all_threads == 1:
            return plan, draw, Cost("draw, all threads", images, draw.seconds, draw.first)
        with threads(all_threads):
            return (
                plan,
                draw,
                timing.cost("draw, all threads", images, self.draw, seconds / 4),
            )

    def on_gpu(self, device: torch.device, seconds: float) -> Cost:
        """Drawing a packed batch on a GPU, the copy to it included."""
        packed = self.packed().for_gpu().pin_memory()
        work = lambda: packed.draw(device)  # noqa: E731
        return timing.cost("draw, GPU", len(self.ids), work, seconds, clock=timing.on_gpu)


def images_of(batch: Batch | BatchOfViews) -> list[Batch]:
    """The batches of all looks."""
    if isinstance(batch, BatchOfViews):
        values = (value if isinstance(value, list) else [value] for value in batch.values())
        return [one for part in values for one in part]
    return [batch]


def transport(drawing: Drawing, seconds: float) -> tuple[Cost, Cost, Cost, float]:
    """The ways of a drawn batch, of that in uint8 and of a packed one from a worker to the main process;
    and the seconds until a worker that is started gives its first batch."""
    batch, packed = drawing.draw(), drawing.packed()
    drawn = [one.images for one in images_of(batch)]
    rest = [(one.labels, one.plan) for one in images_of(batch)]
    assert isinstance(packed.sources.ragged, Flat)
    flat = packed.sources.ragged
    ways: dict[str, tuple[list[torch.Tensor], object]] = {
        f"send {str(drawing.engine.dtype).removeprefix('torch.')}": (drawn, rest),
        "send uint8": ([torch.zeros_like(one, dtype=torch.uint8) for one in drawn], rest),
        "send packed": ([flat.buffer], (flat.shape, flat.offset, packed.launches)),
    }
    images = len(drawing.ids)
    costs, starts = [], []
    for name, (tensors, others) in ways.items():
        nbytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors) // images
        cost, start = _sent(name, images, nbytes, Sender(tensors, others), seconds / len(ways))
        costs.append(cost)
        starts.append(start)
    return costs[0], costs[1], costs[2], min(starts)


def _sent(
    name: str, images: int, nbytes: int, sender: Sender, seconds: float
) -> tuple[Cost, float]:
    take, start = taker(sender)
    return timing.cost(name, images, take, seconds, nbytes=nbytes), start


def step(
    model: Model,
    loss: Loss | None,
    batch: Batch | BatchOfViews,
    device: torch.device,
    seconds: float,
    say: Callable[[str], object],
) -> tuple[Cost, tuple[Cost, ...]]:
    """The model's step on a drawn batch, as it is and in other ways of computing. Where a whole batch
    takes too long on the CPU, fewer images are taken.

    Args:
        model: Module, or a function of (images, labels) that carries out a whole step.
        loss: Function of (output, labels); None is cross-entropy.
        batch: Drawn batch; of views the first is taken.
        device: Device to compute on.
        seconds: Time for all of it.
        say: Function that is told what is going on.
    """
    first = images_of(batch)[0]
    images = first.images.to(device)
    labels = None if first.labels is None else first.labels.to(device)
    on_gpu = device.type == "cuda"
    hows = ("", *models.variants(device)) if isinstance(model, torch.nn.Module) else ("",)
    part = seconds / len(hows)
    if not on_gpu:
        few = min(len(images), 8)
        trial = models.step_of(
            model, loss, images[:few], None if labels is None else labels[:few], ""
        )
        trial()
        each = timing.wall(trial) / few
        fits = int(part / (timing.FEWEST + 2) / max(each, 1e-9))
        count = max(few, min(len(images), fits))
        images, labels = images[:count], None if labels is None else labels[:count]
    costs = []
    for how in hows:
        say(f"the model's step{', ' * bool(how)}{how} …")
        with models.tf32(how):
            work = models.step_of(model, loss, images, labels, how)
            clock = timing.on_gpu if on_gpu else timing.wall
            if on_gpu:
                for _ in range(3):  # cuDNN looks for its fastest kernels, the allocator for memory
                    work()
            costs.append(timing.cost(how or "step", len(images), work, part, clock=clock))
    return costs[0], tuple(costs[1:])


class _Batches:
    """Lists of indices without an end: those of some samples, by turns; as keys if they are to be."""

    def __init__(self, indices: Sequence[int], size: int, keyed: bool) -> None:
        self.indices, self.size, self.keyed = list(indices), size, keyed

    def __iter__(self) -> Iterator[list[int]]:
        endless = (
            Key(index, 0, turn) if self.keyed else index
            for turn in itertools.count()
            for index in self.indices
        )
        while True:
            yield list(itertools.islice(endless, self.size))


def whole(loader: Any, indices: Sequence[int] | None, seconds: float) -> tuple[Cost | None, float]:
    """What a whole loader gives to a loop without a model, and the seconds until its first batch.

    Of a DataLoader over a map-style dataset a second one is built, of its parts, so that its sampler is
    not advanced; another loader is iterated itself.

    Args:
        loader: DataLoader, a DeviceLoader, or another iterable of batches.
        indices: Indices of the samples that are read; None spreads them over the dataset.
        seconds: Time after which no further round begins.

    Returns:
        The cost, or None where the time was too short for two rounds.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what repeated samples and epochs mean for draws
        twin, size = _twin(loader, indices)
        workers = max(1, int(getattr(loader, "num_workers", 0) or 0))
        started = time.perf_counter()
        batches = iter(twin)
        handled: list[int] = [_count(next(batches), size)]
        start = time.perf_counter() - started
        for _ in range(2 * workers - 1):
            if time.perf_counter() - started > seconds / 2:
                break
            batches = _advance(twin, batches, size)[0]
        times: list[float] = []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds and len(times) < timing.MOST:
            round_started, images = time.perf_counter(), 0
            for _ in range(workers):
                batches, count = _advance(twin, batches, size)
                images += count
            # Rounds of the last batches may be smaller; a rate of whole batches is wanted.
            times.append((time.perf_counter() - round_started) / max(images, 1))
        del batches
    if len(times) < 2:
        return None, start
    each = workers * size if size else handled[0] * workers
    seconds_each = tuple(one * each for one in times)
    return Cost("whole loader", each, seconds_each, start), start


def _advance(loader: Any, batches: Iterator, size: int | None) -> tuple[Iterator, int]:
    """(iterator, images of its next batch); at the end the loader is begun anew."""
    try:
        return batches, _count(next(batches), size)
    except StopIteration:
        batches = iter(loader)
        return batches, _count(next(batches), size)


def _count(batch: Any, size: int | None) -> int:
    """Images of a batch, as far as can be seen; else the batch size."""
    if isinstance(batch, BatchOfViews):
        batch = images_of(batch)[0]
    if isinstance(batch, Batch):
        return len(batch.images)
    if isinstance(batch, PackedBatch):
        return len(batch.sources)
    if isinstance(batch, (tuple, list)) and batch and hasattr(batch[0], "__len__"):
        return len(batch[0])
    return size or 1


def _twin(loader: Any, indices: Sequence[int] | None) -> tuple[Any, int | None]:
    """(a loader of the same parts over some samples without an end, its batch size)."""
    if isinstance(loader, DeviceLoader):
        inner, size = _twin(loader.loader, indices)
        twin = DeviceLoader(inner, loader.engine, device=loader.device, prefetch=loader.prefetch)
        return twin, size
    size = getattr(loader, "batch_size", None)
    if size is None:
        sampler = getattr(loader, "batch_sampler", None)
        size = getattr(sampler, "batch_size", None)
    dataset: Any = getattr(loader, "dataset", None)
    by_batches = getattr(loader, "batch_sampler", None) is not None
    if not isinstance(loader, DataLoader) or isinstance(dataset, IterableDataset) or not by_batches:
        return loader, size
    if size is None:
        size = 64
    indices = spread_indices(len(dataset), MOST_SAMPLES) if indices is None else indices
    collate = loader.collate_fn
    if isinstance(collate, Collate):
        collate = copy.deepcopy(collate)
        collate.set_epoch(0)
    options: dict[str, Any] = {}
    if loader.num_workers > 0:
        options = {
            "prefetch_factor": loader.prefetch_factor,
            "multiprocessing_context": loader.multiprocessing_context,
        }
    return (
        DataLoader(
            dataset,
            batch_sampler=_Batches(indices, size, isinstance(dataset, Carrier)),
            num_workers=loader.num_workers,
            collate_fn=collate,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            **options,
        ),
        size,
    )
