"""One pass over a loader, seen from inside: which draw of an id this is, as far as that can be known.

torch tells a collate function nothing but its samples. What tells passes, workers and ranks apart is found
here, in one place: a DataLoader makes a *fetcher* for each pass, in each process, and the fetcher is what
calls the collate function, so it stands on the stack.
"""

from __future__ import annotations

import multiprocessing.context
import sys
import types
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
)
from torch.utils.data._utils.fetch import _BaseDatasetFetcher
from torch.utils.data.dataloader import _BaseDataLoaderIter, _DatasetKind

from ..policy.keyed import count_repeats
from .keys import WithIds, ids_of_indices, ids_overlap


class Spread(NamedTuple):
    """Over which workers and ranks one pass may spread the draws of one id."""

    workers: bool  # whether an id may come to several workers of a rank
    ranks: bool  # whether an id may come to several ranks
    rank: int
    world: int
    lasting: bool  # whether workers live longer than the pass
    stream: bool = False  # whether samples come without indices


class Counter:
    """How often each id has come. Ids that are small, as indices are, cost four bytes each."""

    SMALL = 2**27

    def __init__(self) -> None:
        self._small = np.zeros(0, np.uint32)
        self._large: dict[int, int] = {}

    def count(self, ids: np.ndarray) -> np.ndarray:
        """[n] how often each of the ids [n] had come before it, these ones included."""
        if not len(ids) or (0 <= ids.min() and ids.max() < self.SMALL):
            return self._count_small(ids)
        before, small = np.zeros(len(ids), np.int64), (ids >= 0) & (ids < self.SMALL)
        before[small] = self._count_small(ids[small])
        for at in np.flatnonzero(~small):
            before[at] = self._large.get(int(ids[at]), 0)
            self._large[int(ids[at])] = int(before[at]) + 1
        return before

    def _count_small(self, ids: np.ndarray) -> np.ndarray:
        more = int(ids.max(initial=-1)) + 1 - len(self._small)
        if more > 0:
            more = max(more, len(self._small))
            self._small = np.concatenate([self._small, np.zeros(more, np.uint32)])
        before = self._small[ids] + count_repeats(ids)
        self._small[ids] = before + 1  # of those that are one id the last, which counts most
        return before

    def count_one(self, id: int) -> int:
        """How often one id had come before."""
        if 0 <= id < len(self._small):
            before = int(self._small[id])
            self._small[id] = before + 1
            return before
        return int(self.count(np.array([id]))[0])


@dataclass
class Scope:
    """The draws of one pass, in one process."""

    number: int  # of the pass, in this process
    epoch: int | None  # that was named when the pass began: it keeps it
    counter: Counter = field(default_factory=Counter)
    numbered: int = 0  # samples that brought no ids


class Pass(NamedTuple):
    """The pass that the caller is in."""

    fetcher: object
    seed: int  # that the loader has drawn for it from torch's generator
    in_worker: bool
    worker: int
    workers: int
    spread: Spread | None  # None: its loader cannot be seen


class _NoFetcher:
    """In the place of a fetcher, for a worker's threads, which no fetcher calls."""


_NO_FETCHER = _NoFetcher()


def current_pass(spread: Spread | None = None) -> Pass | None:
    """The pass over a DataLoader that this is called in, or None. spread: what is known of it already."""
    frame: types.FrameType | None = sys._getframe(1)
    fetcher: object = _NO_FETCHER
    while frame is not None:
        if frame.f_code.co_name == "fetch":
            owner = frame.f_locals.get("self")
            if isinstance(owner, _BaseDatasetFetcher):
                fetcher = owner
                break
        frame = frame.f_back
    iterator, worker = _iterator_above(frame), get_worker_info()
    if iterator is not None:
        spread = spread_of(iterator)
    if worker is not None:
        seed = worker.seed - worker.id
        return Pass(fetcher, seed, True, worker.id, worker.num_workers, spread)
    if iterator is None:
        return None
    return Pass(fetcher, iterator._base_seed, False, 0, 1, spread)


def _iterator_above(frame: types.FrameType | None) -> Any | None:
    """The loader's iterator for which the frame runs. A forked worker still has the frames that forked
    it, and the iterator is among them."""
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, _BaseDataLoaderIter):
            return owner
        frame = frame.f_back
    return None


def spread_while_spawning() -> Spread | None:
    """What a worker that is being spawned cannot see, taken along as its collate function is pickled."""
    if multiprocessing.context.get_spawning_popen() is None:
        return None
    iterator = _iterator_above(sys._getframe(1))
    return None if iterator is None else spread_of(iterator)


# By the loader's iterator: datasets are large, and batches many.
_SPREADS: weakref.WeakKeyDictionary[Any, Spread] = weakref.WeakKeyDictionary()


def spread_of(iterator: Any) -> Spread:
    """From a DataLoader's iterator, what its sampler and dataset let expect."""
    if iterator not in _SPREADS:
        _SPREADS[iterator] = _spread_of(iterator)
    return _SPREADS[iterator]


def _spread_of(iterator: Any) -> Spread:
    lasting = iterator._persistent_workers
    world, rank = iterator._world_size, iterator._rank
    if iterator._dataset_kind == _DatasetKind.Iterable:
        # A stream: what it yields to each worker and rank is its own doing, but where it is known to
        # draw the same for several.
        stages = [iterator._dataset, *getattr(iterator._dataset, "pipeline", ())]
        repeats = any(_name(stage) in _RESAMPLE for stage in stages)
        return Spread(repeats, repeats and world > 1, rank, world, lasting, stream=True)
    repeats = sharded = False
    for sampler in chain(iterator._index_sampler):
        if (ranks := ranks_of(sampler)) is not None:
            sharded, (rank, world) = True, ranks
        repeats |= not draws_once(sampler)
    repeats |= not _ids_differ(iterator._dataset)
    return Spread(repeats, (repeats or not sharded) and world > 1, rank, world, lasting)


def chain(sampler: Any) -> Iterator[Any]:
    """A sampler and those inside it."""
    while sampler is not None:
        yield sampler
        inner = getattr(sampler, "batch_sampler", None)
        sampler = getattr(sampler, "sampler", None) if inner is None else inner


def ranks_of(sampler: Any) -> tuple[int, int] | None:
    """(rank, number of ranks) that a sampler draws a part for, or None."""
    for rank, world in (("rank", "num_replicas"), ("process_index", "num_processes")):
        at, count = getattr(sampler, rank, None), getattr(sampler, world, None)
        if isinstance(at, int) and isinstance(count, int):
            return at, count
    return None


# By name, since these are imported for nobody: what they yield holds no index twice, or is another
# sampler's.
HAND_ON = {
    "accelerate.data_loader.BatchSamplerShard",
    "accelerate.data_loader.SkipBatchSampler",
    "timm.data.loader._RepeatSampler",
    "torchdata.stateful_dataloader.sampler.BatchSampler",
}
_DRAW_ONCE = {
    "accelerate.data_loader.SeedableRandomSampler",
    "timm.data.distributed_sampler.OrderedDistributedSampler",
    "torchdata.stateful_dataloader.sampler.RandomSampler",
    "torchdata.stateful_dataloader.sampler.StatefulDistributedSampler",
    *HAND_ON,
}

# Parts of streams that draw with replacement, in each worker.
_RESAMPLE = {"webdataset.shardlists.ResampledShards"}


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def draws_once(sampler: Any) -> bool:
    """Whether a sampler is known to yield no index twice in a pass (but for DistributedSampler's few at
    the end, which make ranks even)."""
    if isinstance(sampler, (list, tuple, range)):  # of indices, or of batches of them
        parts = sampler if len(sampler) and np.ndim(sampler[0]) else [sampler]
        return _differ(np.concatenate([np.asarray(part) for part in parts]))
    kind = type(sampler)
    named = _name(sampler)
    if isinstance(sampler, RandomSampler) or named.endswith(".RandomSampler"):
        known = kind.__iter__ is RandomSampler.__iter__ or named in _DRAW_ONCE
        return known and not sampler.replacement and sampler.num_samples <= len(sampler.data_source)
    if isinstance(sampler, SubsetRandomSampler):
        return kind.__iter__ is SubsetRandomSampler.__iter__ and _differ(sampler.indices)
    ours = kind.__module__ == f"{__package__}.sampler"
    plain = (SequentialSampler.__iter__, BatchSampler.__iter__, DistributedSampler.__iter__)
    return kind.__iter__ in plain or ours or named in _DRAW_ONCE


def _ids_differ(dataset: Any) -> bool:
    """Whether different indices lead to different ids. A dataset that names its samples itself is
    believed."""
    if isinstance(dataset, WithIds):
        return True
    ids = ids_of_indices(dataset)
    return not ids_overlap(dataset) if ids is None else _differ(ids)


def draws_from_all(sampler: Any) -> bool:
    """Whether it is one of torch's samplers that draw from all samples, whatever the rank."""
    plain = (SequentialSampler, RandomSampler, SubsetRandomSampler, WeightedRandomSampler)
    return any(type(sampler).__iter__ is kind.__iter__ for kind in plain)


def _differ(indices: Any) -> bool:
    return isinstance(indices, range) or len(np.unique(np.asarray(indices))) == len(indices)


class Passes:
    """The passes that one collate function or engine has part in: it gives samples the epoch and the
    occurrences that they are drawn by, where no `Key` says them.

    owner: the name that the user called, for warnings.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        # What has been said, shared with workers, so that it is said once.
        self._said = torch.zeros(3, dtype=torch.uint8).share_memory_()
        self._spread: Spread | None = None
        self._named: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._scopes: weakref.WeakKeyDictionary[object, Scope] = weakref.WeakKeyDictionary()
        self._loose: tuple[object, Scope] | None = None  # outside any pass
        self._begun = 0  # passes

    def __getstate__(self) -> dict[str, object]:
        return {
            "owner": self.owner,
            "_said": self._said,
            "_named": self._named,
            "_spread": spread_while_spawning() or self._spread,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._said.share_memory_()  # a copy's is its own
        self._forget()

    def name(self, epoch: int) -> None:
        """Remember an epoch that was named before workers were begun: those that live for one pass have
        it from then, whatever is named while they begin to draw."""
        self._named = epoch

    def _scope(self, here: Pass | None, epoch: int | None, version: object) -> Scope:
        """The scope of a pass; outside, that of what was named last."""
        if here is None:
            if self._loose is None or self._loose[0] != version:
                self._loose = (version, Scope(0, epoch))
            return self._loose[1]
        scope = self._scopes.get(here.fetcher)
        if scope is None:
            one_pass = here.in_worker and here.spread is not None and not here.spread.lasting
            if one_pass and self._named is not None:
                epoch = self._named
            scope = self._scopes[here.fetcher] = Scope(self._begun, epoch)
            self._begun += 1
        return scope

    def keys(
        self, ids: np.ndarray, epoch: int | None, version: object = None
    ) -> tuple[int, np.ndarray, bool]:
        """(epoch, occurrences [n], whether the epoch was named) for ids [n] that now come.

        epoch: the epoch that was named, None if none was. version: what changes whenever one is named.
        """
        here = current_pass(self._spread)
        scope = self._scope(here, epoch, version)
        named = scope.epoch is not None
        counts = scope.counter.count(ids)
        if here is None:
            if not named and counts.any():
                self._warn(0, "No epoch was named, and ids come again: each time is another draw.")
            return scope.epoch or 0, counts, named
        if not named:
            self._warn(
                0,
                "No epoch was named, so this pass draws by the seed that its loader took from torch: "
                "no two passes are alike, and torch.manual_seed repeats a run, but nothing else does.",
            )
        spread = here.spread
        if spread is None:  # where an epoch was named, ids are believed to come once in it
            spread = Spread(not named, False, 0, 1, True)
        # Where no epoch was named nothing is the same bits elsewhere anyway; and workers that stay may
        # have missed a pass.
        apart = not named and (spread.lasting or spread.stream)
        across_workers = here.workers > 1 and (spread.workers or apart)
        if (here.workers > 1 and spread.workers) or spread.ranks:
            self._warn(
                1,
                "The sampler may bring a sample several times in an epoch, and workers and ranks cannot "
                "count together. No two draws are alike, but which they are depends on the number of "
                "workers and ranks.",
            )
        across_ranks = spread.ranks or (not named and spread.stream)
        rank, world = (spread.rank, spread.world) if across_ranks else (0, 1)
        slots = world * here.workers
        slot = rank * here.workers + here.worker
        first = slot if across_workers else rank
        occurrences = np.where(counts == 0, first, counts * slots + slot)
        if named:
            assert scope.epoch is not None
            return scope.epoch, occurrences, True
        # Workers that stay keep the seed of their first pass.
        stays = scope.number if here.in_worker and spread.lasting else 0
        return (here.seed + stays * _STEP) % 2**63, occurrences, False

    def numbers(self, count: int, epoch: int | None, version: object = None) -> np.ndarray:
        """[count] ids for samples that bring none: they are numbered as they come, apart for each worker."""
        here = current_pass(self._spread)
        scope = self._scope(here, epoch, version)
        if not scope.numbered:
            self._warn(
                2,
                "no ids came, so samples are numbered as they arrive. Plans then depend on the order.",
            )
        first, scope.numbered = scope.numbered, scope.numbered + count
        numbers = np.arange(first, first + count)
        rank, world = _rank_and_world(here)
        if here is None:
            return numbers * world + rank
        return (numbers * world + rank) * here.workers + here.worker

    def _warn(self, which: int, text: str) -> None:
        if not self._said[which]:
            self._said[which] = 1
            warnings.warn(
                f"augengine: {self.owner}: {text} {_FIXES[which]}", stacklevel=outside_level()
            )


def _rank_and_world(here: Pass | None) -> tuple[int, int]:
    if here is not None and here.spread is not None:
        return here.spread.rank, here.spread.world
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


# Odd, so that passes of workers that stay have epochs of their own.
_STEP = 0x9E3779B97F4A7C15

_FIXES = (
    "Name it before each pass: set_epoch(epoch), or epoch= of an Engine; or call "
    "ae.keyed(loader), which counts passes.",
    "ae.keyed(loader) makes it the same everywhere.",
    "Pass ids= (ae.WithIds and ae.keyed supply them).",
)


def outside_level() -> int:
    """The stack level of the first caller that is neither this package nor torch's loader."""
    level, frame = 1, sys._getframe(1)
    inside = (__name__.partition(".")[0], "torch.utils.data")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(inside):
        level, frame = level + 1, frame.f_back
    return level
