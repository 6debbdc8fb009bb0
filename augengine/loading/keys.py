"""The names of samples on their way through a loader: `Key` is an index that knows its epoch and
occurrence, `WithIds` hands it on with the sample, `Keys` are those of a batch.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset
from torch.utils.data._utils.collate import default_collate_fn_map

from ..checks import whole_number
from ..policy.keyed import id_of_name


class Key(int):
    """An id, or an index, that knows in which epoch it comes and how often it has come there before.

    It is an int, so that datasets and samplers take it for the index that it is. What is computed from
    it, `key + 1` say, is a plain int again.

    Args:
        number: Id of the sample, or its index.
        epoch: Whole number, 0 or more.
        occurrence: Number of times that the id has come before in the epoch.
        named: Whether somebody has named the epoch, and it was not only counted.
        counted: Whether the occurrence counts this id, and not an index from which it comes.

    Example:
        >>> key = ae.Key(7, epoch=3, occurrence=1)
        >>> key, ["a", "b", "c", "d", "e", "f", "g", "h"][key], key == 7
        (Key(7, epoch=3, occurrence=1), 'h', True)
    """

    epoch: int
    occurrence: int
    named: bool
    counted: bool
    # The number of the index in its pass; it does not leave the process.
    place = -1

    def __new__(
        cls,
        number: int,
        epoch: int,
        occurrence: int = 0,
        named: bool = True,
        counted: bool = True,
    ) -> Key:
        self = super().__new__(cls, number)
        self.epoch, self.occurrence, self.named, self.counted = epoch, occurrence, named, counted
        return self

    def of(self, number: int, counted: bool = True) -> Key:
        """The same epoch and occurrence, with another number.

        Args:
            number: Id of the sample that the index leads to.
            counted: Whether the occurrence counts that id.

        Returns:
            The key.

        Example:
            >>> ae.Key(7, epoch=3, occurrence=1).of(4007)
            Key(4007, epoch=3, occurrence=1)
        """
        return Key(number, self.epoch, self.occurrence, self.named, counted)

    def __reduce__(self) -> tuple:
        return Key, (int(self), self.epoch, self.occurrence, self.named, self.counted)

    def __repr__(self) -> str:
        return f"Key({int(self)}, epoch={self.epoch}, occurrence={self.occurrence})"


class Keys(NamedTuple):
    """The keys of a batch: what torch's default collate makes of samples' keys, and engines take as
    ids.

    Args:
        ids: Identities [n] of the samples, int64.
        occurrences: Number of times [n] that each id has come before in the epoch, int64.
        epochs: Epoch [n] in which each comes, int64, one for all.

    Example:
        >>> from torch.utils.data import default_collate
        >>> default_collate([ae.Key(7, epoch=3), ae.Key(8, epoch=3, occurrence=1)])
        Keys(ids=tensor([7, 8]), occurrences=tensor([0, 1]), epochs=tensor([3, 3]))
    """

    ids: torch.Tensor
    occurrences: torch.Tensor
    epochs: torch.Tensor

    @property
    def epoch(self) -> int:
        """The epoch.

        Raises:
            ValueError: The keys are of several.

        Example:
            >>> ae.Keys(*torch.tensor([[7, 8], [0, 1], [3, 3]])).epoch
            3
        """
        first = int(self.epochs[0])
        if (self.epochs != first).any():
            raise ValueError(
                f"Keys: got the epochs {sorted(set(self.epochs.tolist()))} in one batch, expected one, "
                "since a batch has one plan. Begin a new batch with each epoch."
            )
        return first


def keys_of(ids: Sequence[object]) -> Keys | None:
    """The keys of a batch's ids, or None if one of them is no Key."""
    if not len(ids) or not all(type(id) is Key for id in ids):
        return None
    numbers = [(int(key), key.occurrence, key.epoch) for key in ids]  # type: ignore[call-overload, attr-defined]
    return Keys(*torch.from_numpy(np.array(numbers, np.int64).T.copy()))


def _collate_keys(batch: Sequence[Key], *, collate_fn_map: Mapping | None = None) -> Keys:
    keys = keys_of(batch)
    assert keys is not None
    return keys


# Else torch would make plain numbers of them.
default_collate_fn_map[Key] = _collate_keys


class _OfAnother(Dataset[Any]):
    """A map-style dataset that hands on another's samples, changed by `_named`. Other attributes are the
    other's."""

    def __init__(self, dataset: Dataset | Sequence, id: str = "id") -> None:
        self.dataset: Any
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise TypeError(
                f"{type(self).__name__}: got {type(dataset).__name__}, expected a map-style dataset with "
                "__getitem__ and __len__. A stream must yield (image, label, id) itself."
            )
        self.dataset, self.id = dataset, id

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, (list, tuple, range)):  # of a batch sampler, where batch_size is None
            return self.__getitems__(index)
        return self._named(self.dataset[operator.index(index)], index)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple | dict[str, object]]:
        """Several samples at once, read by the dataset's own __getitems__ where it has one: what a
        DataLoader calls.

        Args:
            indices: Indices of the samples.

        Returns:
            The samples, with their ids.
        """
        read = getattr(self.dataset, "__getitems__", None)
        plain = [operator.index(index) for index in indices]
        samples = [self.dataset[index] for index in plain] if read is None else read(plain)
        if len(samples) != len(plain):
            raise ValueError(
                f"{type(self).__name__}: got {len(samples)} samples of "
                f"{type(self.dataset).__name__}.__getitems__, expected one for each of {len(plain)} "
                "indices. Return them in the order of the indices."
            )
        return [self._named(*pair) for pair in zip(samples, indices, strict=True)]

    def _named(self, sample: object, index: int) -> tuple | dict[str, object]:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "dataset" not in self.__dict__:  # while it is unpickled, say
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.dataset, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} samples of {type(self.dataset).__name__})"


class WithIds(_OfAnother):
    """A map-style dataset whose samples carry their index: (image, label) becomes (image, label, id),
    and a dict gets the field "id".

    The index is what keys a sample's random numbers, so any shuffle, worker count or rank count gives
    a sample the same plan. An index that is a `Key`, as `keyed` and `KeyedSampler` give it, hands its
    epoch and occurrence on. Other attributes are the dataset's.

    Args:
        dataset: Map-style dataset of pairs (image, label) or of dicts, with __getitem__ and __len__.
        id: Name of the field for dicts.

    Raises:
        TypeError: It has no __getitem__ or no __len__.

    Example:
        >>> ae.WithIds([("image", 7), ("another", 8)])[1]
        ('another', 8, 1)
        >>> ae.WithIds([{"image": "…", "label": 7}])[0]
        {'image': '…', 'label': 7, 'id': 0}
    """

    def _named(self, sample: object, index: int) -> tuple | dict[str, object]:
        name: int = operator.index(index) % len(self)
        if isinstance(index, Key):
            name = index.of(name)
        if isinstance(sample, Mapping):
            if self.id in sample:
                raise ValueError(
                    f"WithIds: got a sample that has a field {self.id!r} already, expected none. Leave "
                    "WithIds away if it is the id, or choose another name: WithIds(dataset, id=…)."
                )
            return {**sample, self.id: name}
        # A Key at the end is known for what it is; a number is not, beside other numbers.
        elements = len(sample) if isinstance(sample, (tuple, list)) else 0
        if elements != 2 and (elements < 2 or not isinstance(name, Key)):
            what = f"{elements} elements" if elements else f"type {type(sample).__name__}"
            raise ValueError(
                f"WithIds: got a sample of {what}, expected (image, label) or a dict. Return one of "
                "these from the dataset (further fields have a place in a dict), or give the loader "
                "keys: ae.keyed(loader)."
            )
        assert isinstance(sample, (tuple, list))
        return *sample, name


def ids_of_indices(dataset: Any) -> np.ndarray | None:
    """The id [n] that each index leads to, where a dataset's making says it: WithIds, a dataset with a method
    of this name, as Folder has it, and Subsets of these."""
    if isinstance(dataset, WithIds):
        return np.arange(len(dataset))
    if hasattr(type(dataset), "ids_of_indices"):
        return dataset.ids_of_indices()
    if isinstance(dataset, Subset):
        inside = ids_of_indices(dataset.dataset)
        return None if inside is None else inside[np.asarray(dataset.indices, np.int64)]
    return None


def ids_overlap(dataset: Any) -> bool:
    """Whether a dataset is of parts that may each name their samples from 0 on."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return isinstance(dataset, ConcatDataset)


class Carrier(_OfAnother):
    """A dataset under a sampler of keys. Samples that have an id keep it, with the epoch and occurrence of
    their index, which datasets on the way (a Subset, say) lose; others get their index."""

    def __init__(self, dataset: Dataset | Sequence, id: str = "id") -> None:
        super().__init__(dataset, id)
        # The sampler then counts the ids themselves.
        self.ids = ids_of_indices(dataset)
        self._own = not ids_overlap(dataset)

    def _named(self, sample: object, index: int) -> tuple | dict[str, object]:
        if not isinstance(index, Key):  # another sampler has taken the place of the one with keys
            if isinstance(sample, Mapping):
                return {self.id: index, **sample}
            pair = isinstance(sample, (tuple, list)) and len(sample) == 2
            return (*sample, index) if pair else sample  # type: ignore[misc, return-value]
        if isinstance(sample, Mapping):
            own = sample.get(self.id) if self._own else None
            return {**sample, self.id: self._key(own, index)}
        if not isinstance(sample, (tuple, list)) or len(sample) < 2:
            raise ValueError(
                f"keyed: got a sample of type {type(sample).__name__}, expected (image, label), "
                "(image, label, id) or a dict. Return one of these from the dataset."
            )
        if len(sample) == 3 and could_be_id(sample[2]):
            return *sample[:2], self._key(sample[2] if self._own else None, index)
        return *sample, index

    def _key(self, own: object, index: Key) -> Key:
        return index if own is None else index.of(id_number("id", own), self.ids is not None)


def could_be_id(value: object) -> bool:
    """Whether the third element of a sample is one that ids have the type of."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value.ndim == 0 and "int" in str(value.dtype)
    return isinstance(value, (int, np.integer, str, bytes)) and not isinstance(value, bool)


@contextmanager
def names_in_errors(ids: Iterable[object] | None) -> Iterator[None]:
    """Within it, errors that tell a sample by the number of its id tell it by its name, if it has one."""
    try:
        yield
    except (TypeError, ValueError) as error:
        names = [id for id in ids or () if isinstance(id, (str, bytes))]
        text = str(error)
        for name in names:
            text = text.replace(f"(id {id_of_name(name)})", f"(id {name!r})")
        if names and len(error.args) == 1:
            error.args = (text,)
        raise


def id_number(where: str, id: object) -> int:
    """An id as a number: names are hashed. where: the name that the user called."""
    if isinstance(id, (str, bytes)):
        return id_of_name(id)
    if isinstance(id, Key):
        return int(id)
    if not could_be_id(id):
        raise TypeError(
            f"{where}: got {id!r}, expected a whole number or a name (str or bytes) that is the "
            "sample's own. ae.WithIds(dataset) and ae.keyed(loader) give the index."
        )
    number = operator.index(id)  # type: ignore[arg-type]
    return whole_number(where, number, -(2**63), 2**63 - 1)
