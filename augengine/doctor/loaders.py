"""What in a loader is wrong: each finding with its fix. Nothing is changed, and little is read."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler

from ..demo.machine import usable_cores
from ..loading.collate import Collate, Packing
from ..loading.device_loader import DeviceLoader
from ..loading.keys import Carrier, WithIds, could_be_id
from ..loading.sampler import KeyedSampler
from .advice import WORTH_SENDING_LESS, megabytes
from .figures import Figures
from .ways import way

# Samplers that draw an index several times in an epoch, by name, since their packages are imported for
# nobody.
REPEATING = {"RASampler", "RepeatAugSampler"}
# Indices of a sampler that is a list, looked at for repeats, at most.
MOST_LISTED = 10_000_000
# Samples of each of two workers that are compared to find out whether they share a stream.
COMPARED = 3


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do.

    Args:
        what: Sentence of what is wrong.
        fix: Line that mends it.
    """

    what: str
    fix: str


@dataclass(frozen=True)
class _Loader:
    """A loader, taken apart."""

    outer: Any  # as it came
    inner: Any  # the DataLoader
    collate: Any
    ours: Collate | None  # the collate function, if it is ours
    workers: int
    cores: int
    has_gpu: bool

    @property
    def augments(self) -> bool:
        """Whether this package augments its batches."""
        with_policy = isinstance(self.outer, DeviceLoader) and self.outer.engine is not None
        return self.ours is not None or with_policy

    @property
    def is_stream(self) -> bool:
        return isinstance(self.inner.dataset, IterableDataset)

    @property
    def samplers(self) -> list[Any]:
        """The batch sampler, the sampler, and those inside them."""
        found: list[Any] = []
        waiting = [getattr(self.inner, name, None) for name in ("batch_sampler", "sampler")]
        while waiting:
            sampler = waiting.pop()
            if sampler is not None and not any(sampler is other for other in found):
                found.append(sampler)
                waiting += [
                    vars(sampler).get(name) if hasattr(sampler, "__dict__") else None
                    for name in ("batch_sampler", "sampler")
                ]
        return found

    @property
    def keys(self) -> KeyedSampler | None:
        return next((s for s in self.samplers if isinstance(s, KeyedSampler)), None)


def find_problems(
    loader: Any,
    figures: Figures | None = None,
    *,
    cores: int | None = None,
    has_gpu: bool | None = None,
) -> tuple[Problem, ...]:
    """What in a loader is wrong.

    Args:
        loader: DataLoader, or a DeviceLoader of one.
        figures: Figures of it, for what depends on costs; None leaves that out.
        cores: Number of cores that it may use; None asks the machine.
        has_gpu: Whether there is a CUDA GPU; None asks the machine.

    Returns:
        The problems; none for a loader that is as it should be.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> from augengine.doctor import find_problems
        >>> data = [(torch.zeros(3, 9, 9, dtype=torch.uint8), 1)] * 4
        >>> loader = DataLoader(data, 2, collate_fn=ae.Collate(ae.RandomCrop(8)))
        >>> loader.collate_fn.set_epoch(0)
        >>> [problem.fix for problem in find_problems(loader)]
        ['DataLoader(ae.WithIds(dataset), …), or ae.keyed(loader)']
    """
    inner = loader.loader if isinstance(loader, DeviceLoader) else loader
    if not isinstance(inner, DataLoader):
        return ()
    collate = inner.collate_fn
    known = _Loader(
        loader,
        inner,
        collate,
        collate if isinstance(collate, Collate) else None,
        inner.num_workers,
        usable_cores() if cores is None else cores,
        torch.cuda.is_available() if has_gpu is None else has_gpu,
    )
    found = [problem for check in CHECKS for problem in check(known)]
    if figures is not None:
        found += _heavy_batches(known, figures)
    return tuple(found)


def _no_ids(loader: _Loader) -> Iterator[Problem]:
    """Whether samples come without ids. One sample is read."""
    if not loader.augments or isinstance(loader.inner.dataset, (WithIds, Carrier)):
        return
    sample = _first_sample(loader)
    if isinstance(sample, Mapping):
        name = getattr(loader.collate, "id", "id")
        lacks, form = name not in sample, f"dicts without {name!r}"
    else:
        lacks = isinstance(sample, (tuple, list)) and not any(map(could_be_id, sample[2:3]))
        form = "pairs (image, label) without an id"
    if not lacks:
        return
    what = f"The dataset gives {form}, so " + (
        "Collate and pack refuse its samples in a worker."
        if loader.workers and loader.ours is not None
        else "draws depend on the order of samples, and a run that is resumed differs."
    )
    if loader.is_stream:
        yield Problem(what, "yield (image, label, id) from the stream, such as a file's name")
    else:
        yield Problem(what, "DataLoader(ae.WithIds(dataset), …), or ae.keyed(loader)")


def _first_sample(loader: _Loader) -> Any:
    dataset = loader.inner.dataset
    if loader.is_stream:
        return next(iter(dataset), None)
    return dataset[0] if len(dataset) else None


def _no_epoch(loader: _Loader) -> Iterator[Problem]:
    """Whether nobody has named an epoch so far."""
    keys = loader.keys
    if loader.ours is None and not (loader.augments and keys is not None):
        return  # nobody augments, or it cannot be seen
    named = loader.ours is not None and loader.ours.epoch is not None
    if keys is not None:
        named |= keys.state_dict()["epoch"] is not None
    if named:
        return
    if isinstance(loader.outer, DeviceLoader):
        fix = "loader.set_epoch(epoch) before each pass"
    elif keys is not None:
        fix = "loader.sampler.set_epoch(epoch) before each pass"
    else:
        fix = "loader.collate_fn.set_epoch(epoch) before each pass, or ae.keyed(loader)"
    yield Problem(
        "No epoch has been named so far, so draws depend on how often this process has iterated, and a "
        "resumed run differs.",
        fix,
    )


def _restarts(loader: _Loader) -> Iterator[Problem]:
    if loader.workers > 0 and not loader.inner.persistent_workers:
        yield Problem(
            f"The {loader.workers} workers end with each pass, and every pass waits for new ones.",
            "DataLoader(…, persistent_workers=True)",
        )


def _repeats(loader: _Loader) -> Iterator[Problem]:
    """Whether a sampler is known to repeat indices, and no keys tell the draws apart."""
    if not loader.augments or loader.keys is not None or loader.is_stream:
        return
    for sampler in loader.samplers:
        if _draws_again(sampler):
            yield Problem(
                f"{type(sampler).__name__} draws a sample several times in an epoch, and workers cannot "
                "count these together: which draws come depends on their number.",
                "ae.keyed(loader)",
            )
            return


def _draws_again(sampler: Any) -> bool:
    if getattr(sampler, "replacement", False) is True or type(sampler).__name__ in REPEATING:
        return True
    if isinstance(sampler, RandomSampler):
        return sampler.num_samples > len(sampler.data_source)
    indices = sampler if isinstance(sampler, (list, tuple)) else getattr(sampler, "indices", None)
    if not isinstance(indices, (list, tuple, np.ndarray, torch.Tensor)):
        return False
    try:
        flat = np.asarray(indices).ravel()
    except ValueError:  # batches of several lengths
        flat = np.concatenate([np.asarray(batch).ravel() for batch in indices])
    return len(flat) <= MOST_LISTED and len(np.unique(flat)) < len(flat)


def _unsharded(loader: _Loader) -> Iterator[Problem]:
    """Whether two workers of a stream read the same samples: their first ones are compared."""
    if not loader.is_stream or loader.workers < 2:
        return
    first: list[list[Any]] = [[], []]
    probe = DataLoader(
        loader.inner.dataset,
        batch_size=None,
        num_workers=2,
        collate_fn=_as_it_is,
        worker_init_fn=loader.inner.worker_init_fn,
        multiprocessing_context=loader.inner.multiprocessing_context,
    )
    with torch.random.fork_rng(devices=[]):
        for number, sample in enumerate(probe):  # workers take turns
            first[number % 2].append(sample)
            if number + 1 == 2 * COMPARED:
                break
    if first[1] and len(first[0]) == len(first[1]) and all(map(_same, *first)):
        yield Problem(
            f"All {loader.workers} workers read the whole stream, so an epoch has every sample "
            f"{loader.workers} times.",
            "in __iter__: itertools.islice(samples, info.id, None, info.num_workers), with "
            "info = get_worker_info()",
        )


def _as_it_is(sample: Any) -> Any:
    return sample


def _same(one: Any, other: Any) -> bool:
    """Whether two samples are equal in every part."""
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and _same(list(one.items()), list(other.items()))
    if isinstance(one, (tuple, list)):
        same_kind = isinstance(other, (tuple, list)) and len(one) == len(other)
        return same_kind and all(map(_same, one, other))
    if isinstance(one, (torch.Tensor, np.ndarray)) or hasattr(one, "__array_interface__"):
        return np.array_equal(np.asarray(one), np.asarray(other))
    return bool(one == other)


def _built_again(loader: _Loader) -> Iterator[Problem]:
    """Whether a collate function is made anew: for each batch, or beside workers that run already."""
    fix = "collate = ae.Collate(policy, …) once, and collate.set_epoch(epoch) before each pass"
    if any(name in ("Collate", "pack") for name in _names_in(loader.collate)):
        yield Problem(
            "The collate_fn makes a Collate for each batch, which forgets the epoch and counts from 0.",
            fix,
        )
        return
    running = getattr(loader.inner, "_iterator", None)
    if running is not None and running._collate_fn is not loader.collate:
        yield Problem(
            "The collate_fn was replaced after persistent workers had begun; they go on with the first one.",
            fix,
        )


def _names_in(function: Any) -> Iterator[str]:
    """Names that a plain function looks up, those of functions inside it included."""
    while isinstance(function, partial):
        function = function.func
    if not isinstance(function, (types.FunctionType, types.MethodType)):
        return
    waiting: list[types.CodeType] = [function.__code__]
    while waiting:
        code = waiting.pop()
        yield from code.co_names
        waiting += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def _pinning(loader: _Loader) -> Iterator[Problem]:
    pins = loader.inner.pin_memory
    if pins and not loader.has_gpu:
        yield Problem(
            "pin_memory=True without a GPU has no effect, and warns.",
            "DataLoader(…, pin_memory=torch.cuda.is_available())",
        )
    # A loader in whose batches nothing is to be sent to a GPU says so by its device.
    device = getattr(loader.outer, "device", None)
    stays = isinstance(device, torch.device) and device.type == "cpu"
    if loader.has_gpu and not pins and not stays:
        yield Problem(
            "Batches lie in pageable memory, so the GPU waits for each copy.",
            "DataLoader(…, pin_memory=True), and batch.to(device, non_blocking=True)",
        )


def _crowd(loader: _Loader) -> Iterator[Problem]:
    """Whether more threads run than there are cores. Where a worker sets itself up, one is asked."""
    threads = 1
    if loader.workers > 0 and loader.inner.worker_init_fn is not None:
        probe = DataLoader(
            _Threads(),
            batch_size=None,
            num_workers=1,
            worker_init_fn=loader.inner.worker_init_fn,
            multiprocessing_context=loader.inner.multiprocessing_context,
        )
        with torch.random.fork_rng(devices=[]):
            threads = int(next(iter(probe)))
    if threads > 1 and loader.workers * threads > loader.cores:
        yield Problem(
            f"{loader.workers} workers of {threads} threads each contend for {loader.cores} cores.",
            "torch.set_num_threads(1) in worker_init_fn, or none: a worker has one thread by default",
        )


class _Threads(Dataset):
    """How many threads torch has where it is read."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return torch.get_num_threads()


CHECKS: tuple[Callable[[_Loader], Iterator[Problem]], ...] = (
    _no_ids,
    _no_epoch,
    _restarts,
    _repeats,
    _unsharded,
    _built_again,
    _pinning,
    _crowd,
)


def _heavy_batches(loader: _Loader, figures: Figures) -> Iterator[Problem]:
    """What depends on costs: workers beyond the cores, and float batches where bytes would do."""
    if loader.workers > 0:
        place = "pack" if isinstance(loader.ours, Packing) else "collate"
        most = max(1, int(way(figures, place, loader.workers).at_once))  # type: ignore[arg-type]
        if loader.workers > max(most, loader.cores):
            yield Problem(
                f"{loader.workers} workers contend for {loader.cores} cores; each more takes memory and "
                "gives nothing.",
                f"DataLoader(…, num_workers={most})",
            )
    if loader.ours is None or isinstance(loader.ours, Packing) or loader.workers == 0:
        return
    drawn, fewer = figures.send_drawn, figures.send_uint8
    worker = sum(way(figures, "collate", loader.workers).in_worker.values())
    share = drawn.each / worker
    if drawn.nbytes >= 2 * fewer.nbytes and share >= WORTH_SENDING_LESS:
        if figures.trains_on_gpu and drawn.nbytes >= 2 * figures.send_packed.nbytes:
            fewer, fix = (
                figures.send_packed,
                "collate_fn=ae.pack(policy, …), and ae.DeviceLoader(loader)",
            )
        else:
            fix = "ae.Collate(policy, dtype=torch.uint8, …), and normalise on the model's device"
        yield Problem(
            f"A worker spends {100 * share:.0f} % of its time to send {megabytes(drawn.nbytes)} of "
            f"{figures.dtype} an image, where {megabytes(fewer.nbytes)} of bytes would do.",
            fix,
        )
