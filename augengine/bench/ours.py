"""Ours: files as they are, decoded once the plan says what is looked at; whole and in its stages."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..decoding import DecodeOptions
from ..kernels import EncodedSources, Sources, execute
from ..loading.collate import Collate
from ..loading.engine import Engine
from ..loading.keys import WithIds
from ..plan import Plan
from ..policy.policy import Policy
from .contenders import read
from .loaders import Batches, Files, loader
from .result import CLASSES

PLANS = 4  # that are decoded and drawn by turns, since one is not like the next


def engine_of(policy: Policy, threads: int) -> Engine:
    """An engine that decodes in so many threads."""
    classes = CLASSES if policy.mixes else None
    return Engine(policy, num_classes=classes, decode=DecodeOptions(threads=threads))


def batches_of(
    policy: Policy, paths: Sequence[Path], count: int, size: int, threads: int
) -> Batches:
    """Batches of the engine in this process. See `Batches` for the arguments."""
    engine = engine_of(policy, threads)
    epochs = itertools.count()

    def draw(some: list[Path], ids: list[int]) -> torch.Tensor:
        labels = torch.tensor(ids) % CLASSES if policy.mixes else None
        return engine(some, labels, ids=ids, epoch=next(epochs)).images

    return Batches(paths, count, size, draw)


def loader_of(policy: Policy, paths: Sequence[Path], count: int, size: int, workers: int) -> Any:
    """A DataLoader whose workers get paths and give batches. See `Batches` for the arguments."""
    collate: Collate = Collate(engine_of(policy, 1))
    return loader(WithIds(Files(paths, count, str)), size, workers, collate)


def stages_of(
    policy: Policy, paths: Sequence[Path]
) -> tuple[dict[str, Callable[[], object]], torch.Tensor]:
    """The stages of a batch's way by their names, each a call that does this stage alone, and a batch.

    Args:
        policy: Policy.
        paths: Files of the batch.
    """
    engine = engine_of(policy, 1)
    ids, epochs = np.arange(len(paths)), itertools.count()
    files = [read(path) for path in paths]
    sources = encoded(files, engine.decode)

    def plan() -> Plan:
        made = engine.plan(sources.sizes, ids, next(epochs), channels=sources.channels)
        assert isinstance(made, Plan)
        return made

    plans = [plan() for _ in range(PLANS)]
    parts = [sources.decoded_for([each]) for each in plans]
    wanted = itertools.cycle(plans)
    decoded = itertools.cycle(parts)

    def decode() -> object:
        return encoded(files, engine.decode).decoded_for([next(wanted)])

    def draw() -> torch.Tensor:
        pixels, (on_parts,) = next(decoded)
        return execute(on_parts, pixels)

    return {
        "read": lambda: [read(path) for path in paths],
        "decode": decode,  # with the headers
        "sample": plan,
        "draw": draw,
    }, draw()


def encoded(files: Sequence[bytes], options: DecodeOptions) -> EncodedSources:
    """Files' bytes with their headers read."""
    sources = Sources.of(files, None, options)
    assert isinstance(sources, EncodedSources)
    return sources
