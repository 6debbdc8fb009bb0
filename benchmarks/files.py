"""From JPEG files through two DataLoader workers to a training step, ours beside the peers.

All read the same files with torchvision's decoder, but for libraries that take PIL's pictures. A worker
augments image by image and the loader makes the batch; ours augments the batch in the worker. The model
is small, so that the loader is what is measured: a network that keeps a processor busy would hide it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import augengine as ae
from augengine.demo import peers

from . import images
from .contenders import Field
from .memory import entry
from .race import OURS, Work, beside
from .workloads import MEAN, OUTPUT, STD

REGIME = "from files"
DECODED = "decoding alone"
WORKERS, BATCH, FILES, QUALITY = 2, 32, 48, 90
# Longer sides and how many files an epoch reads.
SIZES = {"500×375": ((375, 500), 384), "2560×1920": ((1920, 2560), 64)}
POLICY = ae.Policy(
    [
        ae.RandomResizedCrop(OUTPUT),
        ae.RandomHorizontalFlip(),
        ae.ColorJitter(0.4, 0.4, 0.4),
        ae.Normalize(MEAN, STD),
    ]
)
# They read files and make batches in a way of their own, which no DataLoader is part of.
APART = {"DALI, CPU": "has a reader of its own instead of workers", "variopinta, HWC": "no batch"}


class Files(Dataset):
    """JPEG files, decoded, and what is done to each.

    Args:
        paths: Files, which come again until there are `count`.
        count: Number of samples.
        decode: Function of a path.
        finish: Function of what it gives.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        count: int,
        decode: Callable[[Path], Any],
        finish: Callable[[Any], Any],
    ) -> None:
        self.paths, self.count, self.decode, self.finish = paths, count, decode, finish

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path = self.paths[index % len(self.paths)]
        return self.finish(self.decode(path)), index % 10


def measured(name: str, rounds: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """A row of the result.

    Args:
        name: Size of the files, one of SIZES.
        rounds: Number of epochs that are timed.
        only: Names of peers, where not all are wanted.
    """
    size, count = SIZES[name]
    made = Field({}, outputs=count)
    taken = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = written(Path(folder), size)
        with epochs(_ours(paths, count)) as ours:
            taken |= beside({OURS: ours}, rounds)
            for peer, dataset in _theirs(paths, count, made, only):
                with epochs(DataLoader(dataset, BATCH, **_options())) as theirs:
                    found = beside({OURS: ours, peer: theirs}, rounds)
                taken[peer] = found[peer]
    return {
        "regime": REGIME,
        "name": f"JPEG {name}",
        "batch": BATCH,
        "outputs": count,
        "added_to": None,
        "floor": None,
        "contenders": {peer: entry(found, made, peer) for peer, found in taken.items()},
        "left_out": made.left_out,
    }


def written(folder: Path, size: tuple[int, int]) -> list[Path]:
    """The photographs at one size, as JPEG files."""
    from PIL import Image

    paths = []
    for i in range(FILES if size[0] < 1000 else FILES // 4):
        path = folder / f"{i}.jpg"
        Image.fromarray(images.enlarged(i, size)).save(path, quality=QUALITY)
        paths.append(path)
    return paths


def _options() -> dict[str, Any]:
    return {
        "num_workers": WORKERS,
        "persistent_workers": True,
        "multiprocessing_context": "fork",
        "worker_init_fn": _one_thread,
        "drop_last": True,
    }


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)


def _ours(paths: Sequence[Path], count: int) -> DataLoader:
    ae.Engine(POLICY)([np.zeros((40, 40, 3), np.uint8)], ids=[0])  # forked workers have the kernel
    dataset = ae.WithIds(Files(paths, count, _tensor, _same))
    return DataLoader(dataset, BATCH, collate_fn=ae.Collate(POLICY), **_options())


def _theirs(
    paths: Sequence[Path], count: int, made: Field, only: Sequence[str]
) -> Iterator[tuple[str, Dataset]]:
    yield DECODED, Files(paths, count, _tensor, _nothing)
    for name, peer in peers.PEERS.items():
        if only and name not in only:
            continue
        if name in APART:
            made.left_out[name] = APART[name]
            continue
        try:
            work = peer.translate(POLICY)
        except ImportError:
            made.left_out[name] = f"not installed (pip install '{peer.package}')"
        except peers.Untranslated as reason:
            made.left_out[name] = str(reason)
        else:
            made.notes[name] = [*peer.notes, *work.notes]
            decode = _picture if work.takes == peers.PICTURES else _tensor
            yield name, Files(paths, count, decode, _Alone(work))


class _Alone:
    """A peer's work on one decoded image."""

    def __init__(self, work: peers.Work) -> None:
        self.work = work

    def __call__(self, image: Any) -> torch.Tensor:
        if self.work.takes == peers.ARRAYS:
            image = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        return self.work([image], None)[0]


def _tensor(path: Path) -> torch.Tensor:
    from torchvision.io import ImageReadMode, decode_image, read_file

    return decode_image(read_file(str(path)), ImageReadMode.RGB)


def _picture(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


def _same(image: torch.Tensor) -> torch.Tensor:
    return image


def _nothing(image: torch.Tensor) -> int:
    return 0


@contextmanager
def epochs(loader: DataLoader) -> Iterator[Work]:
    """A call that trains an epoch. The workers end with the context."""
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 16, stride=16), torch.nn.Flatten(), torch.nn.LazyLinear(10)
    )
    optimiser: Any = None

    def step(batch: torch.Tensor, labels: torch.Tensor) -> None:
        nonlocal optimiser
        loss = torch.nn.functional.cross_entropy(model(batch), labels)
        optimiser = optimiser or torch.optim.SGD(model.parameters(), 1e-3)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def epoch() -> None:
        for batch, labels, *_ in loader:
            if batch.ndim == 4:  # not of what is only decoded
                step(batch, labels)

    yield epoch
    if loader._iterator is not None:
        loader._iterator._shutdown_workers()
