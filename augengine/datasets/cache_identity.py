"""Which dataset a cache is of: its length, its files, its labels, and some of its samples read again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Subset

from .cache_samples import Recipe

SPREAD = 16  # samples that are read again


def spread(count: int) -> list[int]:
    """Up to `SPREAD` indices over all of a dataset, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, SPREAD).round().astype(int)).tolist()


def identity(dataset: Any, recipe: Recipe) -> tuple[dict[str, Any], list[str] | None]:
    """What tells a dataset from another without decoding its images: its length, and hashes of its files'
    names, sizes and times, and of its labels; None where it does not say them.

    Files are those in `samples`, as torchvision's folders have it, or the images of its samples where those
    are paths. Labels are those in `targets`; or, where images are paths, all that the samples hold else.

    Returns:
        Them by name, and the path of each sample's file.

    Raises:
        OSError: When a file is missing.
        TypeError: When a sample is none that a cache keeps.
    """
    labels, paths = _labels(dataset), _listed(dataset, recipe)
    if paths is None and _path(dataset[0], recipe) is not None:
        paths, labels = _read(dataset, recipe)
    files = None if paths is None else _hash_of_files(paths)
    return {"samples": len(dataset), "files": files, "labels": labels}, paths


def _path(sample: Any, recipe: Recipe) -> str | None:
    image = recipe.image_of(sample, "sample 0")
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else None


def _listed(dataset: Any, recipe: Recipe) -> list[str] | None:
    """The files in `samples`, of a dataset or of the one that a Subset is of."""
    if isinstance(dataset, Subset):
        inside = _listed(dataset.dataset, recipe)
        return None if inside is None else [inside[i] for i in dataset.indices]
    listed = getattr(dataset, "samples", None)
    if not isinstance(listed, Sequence) or len(listed) != len(dataset):
        return None
    firsts = [entry[0] if isinstance(entry, tuple) and entry else None for entry in listed]
    return firsts if all(isinstance(first, str) for first in firsts) else None  # type: ignore[return-value]


def _read(dataset: Any, recipe: Recipe) -> tuple[list[str] | None, str | None]:
    """The path of each sample, and a hash of what the samples hold else."""
    paths, digest = [], _digest()
    for i in range(len(dataset)):
        sample = dataset[i]
        path = _path(sample, recipe)
        if path is None:
            return None, None
        paths.append(path)
        digest.update(recipe.rest_of(sample, f"sample {i}, {path}"))
    return paths, digest.hexdigest()


def _digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _hash_of_files(paths: list[str]) -> str:
    # Below their common folder, so that a dataset may move.
    whole = [os.path.abspath(path) for path in paths]
    top = os.path.commonpath([os.path.dirname(path) for path in whole])
    digest = _digest()
    for path in whole:
        status = os.stat(path)
        entry = f"{os.path.relpath(path, top)}\0{status.st_size}\0{status.st_mtime_ns}\0"
        digest.update(entry.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _labels(dataset: Any) -> str | None:
    """A hash of the class numbers [n], where the dataset has a list of them, as torchvision's do."""
    labels = _targets(dataset.dataset if isinstance(dataset, Subset) else dataset)
    if labels is None:
        return None
    if isinstance(dataset, Subset):
        labels = labels[np.asarray(dataset.indices, np.int64)]
    digest = _digest()
    digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


def _targets(dataset: Any) -> np.ndarray | None:
    targets = getattr(dataset, "targets", None)
    if not isinstance(targets, (list, np.ndarray, torch.Tensor)) or len(targets) != len(dataset):
        return None
    try:
        labels = np.asarray(targets)
    except (ValueError, TypeError, RuntimeError):
        return None
    return labels if labels.ndim == 1 and labels.dtype.kind in "iub" else None
