"""From JPEG files through two DataLoader workers to a training step, ours beside the peers.

Ours takes the files as they are, decodes what its plan looks at, and augments the batch in the worker. The
peers' files are decoded by torchvision, but for libraries that take PIL's pictures; a worker augments image
by image, and the loader makes the batch. The model is small, so that the loader is what is measured: a
network that keeps a processor busy would hide it. `augengine bench` measures each library with its own
decoder, and without workers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

import augengine as ae
from augengine.bench import pictures
from augengine.bench.contenders import Contender, by_pillow, by_torchvision, read
from augengine.bench.loaders import Files, epochs, loader, small_model
from augengine.bench.ours import loader_of
from augengine.demo import peers
from augengine.demo.race import OURS, Beside, beside

from .contenders import Field
from .memory import entry
from .workloads import MEAN, OUTPUT, STD

REGIME = "from files"
DECODED = "decoding alone"
WORKERS, BATCH, FILES = 2, 32, 48
# Heights and widths, and how many files an epoch reads.
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


def measured(name: str, rounds: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """A row of the result.

    Args:
        name: Size of the files, one of SIZES.
        rounds: Number of epochs that are timed.
        only: Names of peers, where not all are wanted.
    """
    size, count = SIZES[name]
    made = Field({}, outputs=count)
    taken: dict[str, Beside] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = FILES if size[0] < pictures.LARGE else FILES // 4
        paths = pictures.written(Path(folder), size, files)
        # Workers that are forked have the kernel.
        ae.Engine(POLICY)([np.zeros((40, 40, 3), np.uint8)], ids=[0])
        ours_loader = loader_of(POLICY, paths, count, BATCH, WORKERS)
        with epochs(ours_loader, small_model()) as ours:
            taken |= beside({OURS: ours}, rounds)
            for peer, dataset in _theirs(paths, count, made, only):
                with epochs(loader(dataset, BATCH, WORKERS), small_model()) as theirs:
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


def _theirs(
    paths: Sequence[Path], count: int, made: Field, only: Sequence[str]
) -> Iterator[tuple[str, Dataset]]:
    yield DECODED, Files(paths, count, _only_decoded)
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
            yield name, Files(paths, count, Contender(_decoder(work.takes), work).single)


def _decoder(takes: str) -> Callable[[bytes], Any]:
    """The decoder that suits what a library takes."""
    if takes == peers.PICTURES:
        return by_pillow
    return _array if takes == peers.ARRAYS else by_torchvision


def _array(data: bytes) -> np.ndarray:
    return np.ascontiguousarray(by_torchvision(data).permute(1, 2, 0).numpy())


def _only_decoded(path: Path) -> int:
    by_torchvision(read(path))
    return 0
