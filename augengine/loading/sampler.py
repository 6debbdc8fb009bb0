"""Keys from the sampler on: `KeyedSampler` gives each index its epoch and occurrence, and `keyed` puts it
into a loader.
"""

from __future__ import annotations

import copy
import itertools
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    Sampler,
)

from ..checks import whole_number
from .collate import Collate
from .keys import Carrier, Key, WithIds
from .passes import HAND_ON, Counter, chain, outside_level, ranks_of

_Loader = TypeVar("_Loader")

# Above it the ranks' parts are not all listed to count an index's occurrences over them.
_MOST_LISTED = 2**24


class KeyedSampler(Sampler):
    """A sampler whose indices know their epoch and occurrence: it yields `Key`, an int, for each index of
    another sampler, or lists of them for each batch of another batch sampler.

    A sample that the sampler draws several times in an epoch is thereby another draw each time, whatever
    batch, worker or rank it falls into. Other attributes are the other sampler's.

    The epoch is what `set_epoch` named, here or of the sampler inside; if nobody names one, passes are
    counted from 0, and the second one warns.

    Ranks: a sampler with `rank` and `num_replicas` (DistributedSampler, repeated augmentation) is listed
    for every rank, so that occurrences count over all of them and do not depend on their number. A
    sampler that knows no ranks, in a run of several, gives each rank occurrences of its own.

    `state_dict` of an iterator, which torchdata's StatefulDataLoader saves, resumes within an epoch: the
    sampler inside begins the pass again from its generator's state then, and what was yielded is passed
    over, and counted.

    Args:
        sampler: Sampler of ints, or of lists of ints.
        sharded: Whether each rank is given a part of what this sampler yields, as accelerate and
            Lightning see to. None: if the sampler has a rank.

    Raises:
        TypeError: It is no iterable, or yields something else.

    Example:
        >>> from torch.utils.data import SequentialSampler
        >>> sampler = ae.KeyedSampler([5, 2, 5])
        >>> sampler.set_epoch(3)
        >>> list(sampler)
        [Key(5, epoch=3, occurrence=0), Key(2, epoch=3, occurrence=0), Key(5, epoch=3, occurrence=1)]
    """

    def __init__(self, sampler: Iterable, *, sharded: bool | None = None) -> None:
        if not hasattr(sampler, "__iter__"):
            raise TypeError(
                f"KeyedSampler: got {type(sampler).__name__}, expected a sampler: an iterable of ints, "
                "or of lists of ints. Pass loader.sampler, or ae.keyed(loader) the loader."
            )
        self.sampler, self.sharded = sampler, sharded
        self._named: int | None = None
        self._passes = 0
        # A sampler that has an epoch, and is told a new one by its own set_epoch, is followed.
        self._inner_epoch = self._epoch_inside()
        self._follows = bool(self._inner_epoch)
        self._collate: Collate | None = None
        self._ids: np.ndarray | None = None  # that indices lead to; None: themselves
        self._count: Callable[[int], int] | None = None  # of the pass that was begun last
        self._warned = False

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch of the passes to come, to the sampler inside as well.

        Args:
            epoch: Whole number, 0 or more.
        """
        self._named = whole_number("KeyedSampler: epoch", epoch, 0, 2**63 - 1)
        _tell(self.sampler, epoch)

    @property
    def epoch(self) -> int:
        """The epoch that was named last, here or of the sampler inside. timm's loader that goes on for
        several epochs counts on from it."""
        epoch = self._epoch_inside() if self._named is None else self._named
        if epoch is None:
            raise AttributeError("KeyedSampler has no attribute 'epoch', since none was named")
        return epoch

    def state_dict(self) -> dict[str, int | None]:
        """What names the epochs to come: `load_state_dict` takes it. Where a pass stands is said by its
        iterator's own state_dict."""
        return {"epoch": self._named, "passes": self._passes}

    def load_state_dict(self, state: dict[str, int | None]) -> None:
        """Go on as the sampler did whose state it is.

        Args:
            state: What `state_dict` gave.
        """
        self._named, self._passes = state["epoch"], state["passes"] or 0

    def __iter__(self) -> Iterator:
        return _KeyedPass(self)

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # Frameworks ask isinstance(sampler, DistributedSampler) to see whether ranks get parts, and
        # RandomSampler to see whether they have to shuffle.
        return type(self.sampler) if isinstance(self.sampler, Sampler) else KeyedSampler

    def __reduce__(self) -> tuple:
        return _rebuilt, ({**self.__dict__, "_count": None},)

    @property
    def generator(self) -> torch.Generator | None:
        """The generator of the sampler inside. accelerate sets it, so that ranks draw alike."""
        return self.sampler.generator  # type: ignore[attr-defined]

    @generator.setter
    def generator(self, generator: torch.Generator | None) -> None:
        self.sampler.generator = generator  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        # Not while it is unpickled, and not what would lead past the sampler inside.
        if name.startswith("__") or name == "batch_sampler" or "sampler" not in self.__dict__:
            raise AttributeError(f"KeyedSampler has no attribute {name!r}")
        return getattr(self.sampler, name)

    def __repr__(self) -> str:
        return f"KeyedSampler({self.sampler!r})"

    def _epoch_inside(self) -> int | None:
        epochs = (getattr(inner, "epoch", None) for inner in chain(self.sampler))
        return next((epoch for epoch in epochs if isinstance(epoch, int)), None)

    def _next_epoch(self) -> tuple[int, bool]:
        """(epoch, whether somebody has named it)."""
        counted, self._passes = self._passes, self._passes + 1
        if self._named is not None:
            return self._named, True
        inside = self._epoch_inside()
        self._follows |= inside != self._inner_epoch
        if self._follows and inside is not None:
            return inside, True
        if self._collate is not None and (named := self._collate.epoch) is not None:
            return named, True
        if counted == 1:
            warnings.warn(
                "augengine: KeyedSampler: no epoch was named, so passes are counted: this one is epoch "
                "1. A run that is resumed would begin with epoch 0 again; name each: "
                "loader.sampler.set_epoch(epoch).",
                stacklevel=outside_level(),
            )
        return counted, False

    def _warn_of_ranks(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"augengine: KeyedSampler: {type(self.sampler).__name__} {what}, so each rank draws by "
                "occurrences of its own: no two draws are alike, but which they are depends on the "
                "number of ranks. If ranks are given parts of what it yields, say so: sharded=True.",
                stacklevel=outside_level(),
            )


def _rebuilt(state: dict[str, Any]) -> KeyedSampler:
    """A copy: pickle would ask for its class, which it gives as another's."""
    sampler = object.__new__(KeyedSampler)
    sampler.__dict__.update(state)
    return sampler


class _KeyedPass:
    """The keys of one pass. It can be saved and resumed.

    It begins with the first index: samplers take their randomness then, and a DataLoader makes passes
    that it does not use.
    """

    def __init__(self, owner: KeyedSampler) -> None:
        self._owner = owner
        self._indices: Iterator | None = None
        self._epoch, self._named = 0, False
        self._yielded = self._digest = 0
        self._random: torch.Tensor | None = None
        self._inside = owner._epoch_inside()

    def _begin(self) -> Iterator:
        self._epoch, self._named = self._owner._next_epoch()
        return self._begin_indices()

    def _begin_indices(self) -> Iterator:
        self._inside = self._owner._epoch_inside()
        self._random = _random_state(self._owner.sampler)
        self._yielded = self._digest = 0
        self._count, self._indices = _counted(self._owner)
        self._owner._count = self._count
        self._place = 0
        return self._indices

    def __iter__(self) -> _KeyedPass:
        return self

    def __next__(self) -> Key | list[Key]:
        index = next(self._indices or self._begin())
        self._yielded += 1
        if isinstance(index, (list, tuple)):
            return [self._key(one) for one in index]
        return self._key(index)

    def _key(self, index) -> Key:
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(
                f"KeyedSampler: got the index {index!r} of {type(self._owner.sampler).__name__}, "
                "expected an int, or a list of ints. Let the dataset make what else it needs of an int."
            ) from None
        self._digest = (self._digest * 0x100000001B3 + number) % 2**61
        ids = self._owner._ids
        id = number if ids is None else int(ids[number])
        key = Key(number, self._epoch, self._count(id), self._named)
        key.place, self._place = self._place, self._place + 1
        return key

    def state_dict(self) -> dict[str, object]:
        """Where the pass stands."""
        return {
            "epoch": self._epoch,
            "named": self._named,
            "epoch_inside": self._inside,
            "passes": self._owner._passes,
            "random": self._random,
            "yielded": self._yielded,
            "digest": self._digest,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on where the pass stood. The sampler inside begins again as it began then, and what it
        yielded is passed over, and counted."""
        sampler = self._owner.sampler
        self._owner._passes, self._indices = state["passes"], None
        if state["random"] is None:  # it had not begun
            return
        if state["epoch_inside"] not in (None, self._owner._epoch_inside()):
            _tell(sampler, state["epoch_inside"])
        self._epoch, self._named = state["epoch"], state["named"]
        before = torch.get_rng_state()
        _set_random_state(sampler, state["random"])
        self._begin_indices()
        for _ in range(state["yielded"]):
            if next(self, None) is None:
                break
        if _generator(sampler) is None and self._yielded:
            torch.set_rng_state(before)
        if (self._yielded, self._digest) != (state["yielded"], state["digest"]):
            raise RuntimeError(
                f"KeyedSampler: {type(sampler).__name__} has begun this pass in another order than the "
                "one that was saved, expected the same, of torch's generator or its own `generator`. "
                "Let it draw its order from these, or by its epoch."
            )


class _Evened(Sampler):
    """The batches of a rank, of a sampler that gives each rank its share and repeats the first keys at
    the end, so that all have as many: what is repeated is another draw. Other attributes are that
    sampler's."""

    def __init__(self, sampler: Any, keys: KeyedSampler) -> None:
        self.batch_sampler, self._keys = sampler, keys

    def set_epoch(self, epoch: int) -> None:
        self._keys.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[Key]]:
        rank, world = ranks_of(self.batch_sampler) or (0, 1)
        last = -1
        for batch in self.batch_sampler:
            keys = []
            for key in batch:
                if key.place > last:
                    last = key.place
                else:
                    count, ids = self._keys._count, self._keys._ids
                    assert count is not None
                    # By then every rank has counted the whole pass.
                    times = count(int(key) if ids is None else int(ids[key]))
                    key = Key(int(key), key.epoch, times * world + rank, key.named)
                keys.append(key)
            yield keys

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "batch_sampler" not in self.__dict__:
            raise AttributeError(f"_Evened has no attribute {name!r}")
        return getattr(self.batch_sampler, name)


def _tell(sampler: Any, epoch: int) -> None:
    """Name the epoch to the first sampler of a chain that takes one."""
    for inner in chain(sampler):
        if hasattr(inner, "set_epoch"):
            inner.set_epoch(epoch)
            return


def _generator(sampler: Any) -> torch.Generator | None:
    generators = (getattr(inner, "generator", None) for inner in chain(sampler))
    return next((g for g in generators if isinstance(g, torch.Generator)), None)


def _random_state(sampler: Any) -> torch.Tensor:
    """Of the sampler's generator, or of torch's where it has none."""
    generator = _generator(sampler)
    return torch.get_rng_state() if generator is None else generator.get_state()


def _set_random_state(sampler: Any, state: torch.Tensor) -> None:
    generator = _generator(sampler)
    if generator is None:
        torch.set_rng_state(state)
    else:
        generator.set_state(state)


def _counted(owner: KeyedSampler) -> tuple[Callable[[int], int], Iterator]:
    """A function that gives the occurrence of each index in turn, and the indices, or batches of them."""
    sampler = owner.sampler
    if owner.sharded is True:
        return _Counted(0, 1), iter(sampler)
    ranks = next((r for inner in chain(sampler) if (r := ranks_of(inner)) is not None), None)
    if ranks is None:
        group = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not group or torch.distributed.get_world_size() == 1:
            return _Counted(0, 1), iter(sampler)
        rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        if owner.sharded is None:
            owner._warn_of_ranks(f"knows nothing of the {world} ranks that run")
        return _Counted(rank, world), iter(sampler)
    rank, world = ranks
    if world == 1:
        return _Counted(0, 1), iter(sampler)
    innermost = [*chain(sampler)][-1]
    in_order = all(type(inner) in (BatchSampler, type(innermost)) for inner in chain(sampler))
    distinct = owner._ids is None or len(np.unique(owner._ids)) == len(owner._ids)
    if in_order and distinct and type(innermost).__iter__ is DistributedSampler.__iter__:
        # Its list goes round the ranks, and begins again to make them even.
        return _Given(
            (at * world + rank) // len(innermost.dataset) for at in itertools.count()
        ), iter(sampler)
    if innermost is sampler and world * len(sampler) <= _MOST_LISTED:
        own = list(sampler)
        occurrences = _over_ranks(sampler, rank, world, own, owner._ids)
        if occurrences is not None:
            return _Given(occurrences), iter(own)
        owner._warn_of_ranks("cannot be listed for the other ranks")
        return _Counted(rank, world), iter(own)
    owner._warn_of_ranks("cannot be listed for the other ranks")
    return _Counted(rank, world), iter(sampler)


def _over_ranks(
    sampler: Any, rank: int, world: int, own: list, ids: np.ndarray | None
) -> list[int] | None:
    """The occurrences of a rank's own indices, counted over all ranks' lists as they go in turn: what
    one rank alone would count. None if the sampler does not give the same list twice."""
    lists = []
    with torch.random.fork_rng(devices=[]):
        for other in range(world):
            twin = copy.copy(sampler)
            name = "rank" if hasattr(sampler, "rank") else "process_index"
            setattr(twin, name, other)
            lists.append(list(twin))
    if lists[rank] != own:
        return None
    counter = Counter()
    in_turn = itertools.zip_longest(*lists, fillvalue=None)
    occurrences = []
    for turn in in_turn:
        for other, index in enumerate(turn):
            if index is not None:
                count = counter.count_one(index if ids is None else int(ids[index]))
                if other == rank:
                    occurrences.append(count)
    return occurrences


class _Counted:
    """Occurrences of indices as they come: the k-th time is first + k · step."""

    def __init__(self, first: int, step: int) -> None:
        self._first, self._step, self._counter = first, step, Counter()

    def __call__(self, index: int) -> int:
        return self._first + self._step * self._counter.count_one(index)


class _Given:
    """Occurrences that are known in the order of the indices."""

    def __init__(self, occurrences: Iterable[int]) -> None:
        self._next = iter(occurrences)

    def __call__(self, index: int) -> int:
        return next(self._next)


def keyed(loader: _Loader, *, sharded: bool | None = None) -> _Loader:
    """Give a DataLoader's samples keys: a sample's draw then depends on its index, the epoch and how often
    it has come in it, and on nothing else.

    The loader is changed, and returned: its sampler becomes a `KeyedSampler`, and its dataset hands on
    the keys with the samples; pairs (image, label) get their index as id, as by `WithIds`. The epoch is
    named by `loader.sampler.set_epoch(epoch)`, by the set_epoch of the collate function or of the
    sampler that was there, or counted.

    Args:
        loader: DataLoader of a map-style dataset, of any subclass, or what holds one: timm's
            PrefetchLoader, accelerate's prepared loader, a `DeviceLoader`.
        sharded: Whether each rank is given a part of what the sampler yields; `KeyedSampler` says more.

    Returns:
        The loader that came.

    Raises:
        TypeError: It is no DataLoader, or of an IterableDataset, which yields its samples' ids itself.
        ValueError: Its workers run already.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> data = [(torch.zeros(3, 9, 9, dtype=torch.uint8), 1)] * 4
        >>> policy = ae.RandomCrop(8)
        >>> loader = ae.keyed(DataLoader(data, 4, shuffle=True, collate_fn=ae.Collate(policy)))
        >>> sorted(next(iter(loader)).plan.ids.tolist())
        [0, 1, 2, 3]
    """
    inner = data_loader(loader)
    if isinstance(inner.dataset, IterableDataset):
        raise TypeError(
            f"keyed: got a loader of {type(inner.dataset).__name__}, a stream, which has no sampler, "
            "expected a map-style dataset. Yield (image, label, id) from the stream, an id being an "
            "int, a str or an ae.Key(id, epoch=…)."
        )
    running = getattr(inner, "_iterator", None)
    if running is not None and getattr(running, "_num_yielded", 1) == 0:
        # Made by who asked for the loader's state, and never iterated.
        inner._iterator, inner._initial_iter_for_state_dict = None, False
    elif running is not None:
        raise ValueError(
            "keyed: got a loader whose workers run already, expected one that was not iterated yet. "
            "Call ae.keyed where the loader is made."
        )
    if type(loader).__name__ == "DataLoaderDispatcher":
        sharded = True  # accelerate's, whose first rank reads for all
    above: Any = inner
    name = "sampler" if inner.batch_sampler is None else "batch_sampler"
    shard = None
    if not isinstance(inner.dataset, (WithIds, Carrier)):
        field = inner.collate_fn.id if isinstance(inner.collate_fn, Collate) else "id"
        # DataLoader refuses it by its own __setattr__; its attributes are read for each pass.
        object.__setattr__(inner, "dataset", Carrier(inner.dataset, field))
    if any(isinstance(part, KeyedSampler) for part in chain(getattr(above, name))):
        return loader
    while _hands_on(sampler := getattr(above, name)):
        if ranks_of(sampler) is not None:
            shard, sharded = (above, name, sampler), True
        above, name = sampler, "batch_sampler" if hasattr(sampler, "batch_sampler") else "sampler"
    keys = KeyedSampler(sampler, sharded=sharded)
    object.__setattr__(above, name, keys)
    if inner.sampler is sampler:
        object.__setattr__(inner, "sampler", keys)
    if isinstance(inner.collate_fn, Collate):
        keys._collate = inner.collate_fn
    keys._ids = getattr(inner.dataset, "ids", None) if type(inner.dataset) is Carrier else None
    if shard is not None:
        above, name, sampler = shard
        object.__setattr__(above, name, _Evened(sampler, keys))
    return loader


def data_loader(loader: Any) -> DataLoader:
    """The DataLoader that a loader is or holds."""
    inner = loader
    while not isinstance(inner, DataLoader) or hasattr(inner, "base_dataloader"):
        for name in ("base_dataloader", "loader", "dataloader"):
            if hasattr(inner, name):
                inner = getattr(inner, name)
                break
        else:
            raise TypeError(
                f"keyed: got {type(loader).__name__}, expected a DataLoader, or what holds one as its "
                "`loader`. Pass the DataLoader, or wrap its sampler: ae.KeyedSampler(sampler)."
            )
    return inner


def _hands_on(sampler: Any) -> bool:
    """Whether a batch sampler is known to batch, or to share out, what its own sampler yields."""
    if hasattr(sampler, "rank") or not (
        hasattr(sampler, "sampler") or hasattr(sampler, "batch_sampler")
    ):
        return False
    kind = type(sampler)
    known = kind.__iter__ is BatchSampler.__iter__
    return known or f"{kind.__module__}.{kind.__qualname__}" in HAND_ON
