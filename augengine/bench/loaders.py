"""Through DataLoader workers: datasets of files, loaders of them, and a pass that takes every batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from .result import CLASSES

Step = Callable[[torch.Tensor, torch.Tensor], object]


class Files(Dataset):
    """Files and what is done to each: (what `finish` gives, label).

    Args:
        paths: Files, which come again until there are `count`.
        count: Number of samples.
        finish: Function of a path.
    """

    def __init__(self, paths: Sequence[Path], count: int, finish: Callable[[Path], Any]) -> None:
        self.paths, self.count, self.finish = paths, count, finish

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.finish(self.paths[index % len(self.paths)]), index % CLASSES


class Batches:
    """Batches of files without workers: (what `draw` gives, labels), again in each pass.

    Args:
        paths: Files, which come again until there are `count`.
        count: Number of samples.
        size: Number of samples in a batch.
        draw: Function of (paths, ids) of a batch.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        count: int,
        size: int,
        draw: Callable[[list[Path], list[int]], torch.Tensor],
    ) -> None:
        self.paths, self.count, self.size, self.draw = paths, count, size, draw

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, self.count - self.size + 1, self.size):
            ids = list(range(start, start + self.size))
            batch = self.draw([self.paths[i % len(self.paths)] for i in ids], ids)
            yield batch, torch.tensor(ids) % CLASSES


def loader(dataset: Dataset, batch: int, workers: int, collate: Any = None) -> DataLoader:
    """A DataLoader whose workers stay, each with one thread.

    Args:
        dataset: Dataset.
        batch: Number of samples in a batch.
        workers: Number of workers.
        collate: Its collate_fn; None is torch's.
    """
    return DataLoader(
        dataset,
        batch,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers and hasattr(os, "fork") else None,
        worker_init_fn=_one_thread,
        drop_last=True,
        collate_fn=collate,
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(0)


def small_model() -> Step:
    """A training step of a model so small that the loader is what is measured: (images, labels) → None."""
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 16, stride=16), torch.nn.Flatten(), torch.nn.LazyLinear(CLASSES)
    )
    optimiser: Any = None

    def step(batch: torch.Tensor, labels: torch.Tensor) -> None:
        nonlocal optimiser
        loss = torch.nn.functional.cross_entropy(model(batch), labels)
        optimiser = optimiser or torch.optim.SGD(model.parameters(), 1e-3)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def nothing(batch: torch.Tensor, labels: torch.Tensor) -> None:
    """A step that only has the batch."""


@contextmanager
def epochs(batches: Iterable[Any], step: Step) -> Iterator[Callable[[], None]]:
    """A call that takes a pass. The workers, if there are any, end with the context.

    Args:
        batches: Loader of (images, labels, …).
        step: What is done with each batch of images.
    """

    def epoch() -> None:
        for batch, labels, *_ in batches:
            if batch.ndim == 4:  # not of what is only decoded
                step(batch, labels)

    try:
        yield epoch
    finally:
        running = getattr(batches, "_iterator", None)
        if running is not None:
            running._shutdown_workers()
