"""Batches of changing sizes through everything that loads, for as long as is asked: does anything grow?

    python -m benchmarks.soak                 a quarter of a minute, printed
    python -m benchmarks.soak --minutes 60    written to benchmarks/results/soak.md, with a picture

Each lap goes once through every way of `ways`: workers that stay and workers that are begun anew, policies
of all kinds, errors that are thrown in the middle, loops that end early. Each epoch that is not cut short
must bring every sample once. After each lap memory, descriptors and threads are counted (`soak_figures`).

Ends with 1 if a sample was lost or came twice, or if a figure grew.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import augengine as ae

from . import soak_figures
from .soak_figures import Sample

SECONDS = 15
SAMPLES = 48
CLASSES = 10
SIZES = (4, 7, 16, 24)  # of batches, lap by lap
GEOMETRY = [ae.RandomResizedCrop(64), ae.RandomHorizontalFlip(), ae.RandAugment(2, 9)]
POLICIES = {
    "usual": ae.Policy([*GEOMETRY, ae.RandomErasing(), ae.Normalize(0.5, 0.25)]),
    "mixes": ae.Policy([ae.RandomResizedCrop(64), ae.MixUpOrCutMix()]),
    "mosaics": ae.Policy([ae.RandomResizedCrop(64), ae.Mosaic()]),
    "filters": ae.Policy([ae.Resize((72, 56)), ae.GaussianBlur(7), ae.RandomAdjustSharpness(2)]),
    "statistics": ae.Policy([ae.CenterCrop(64), ae.RandomEqualize(), ae.RandomAutocontrast()]),
}
VIEWS = ae.Views(weak=ae.Policy([ae.CenterCrop(48)]), crops=[ae.Policy(GEOMETRY)] * 2)
DRAWN = {"seed": 3, "num_classes": CLASSES}


class Thrown(Exception):
    """The error that datasets and loops throw here."""


class Pictures(Dataset):
    """Pictures of changing sizes, (image, label).

    Args:
        lap: Number that the sizes change by; their ids stay.
        torn: Index whose picture cannot be read, or None.
    """

    memory = np.random.default_rng(0).integers(0, 256, 400 * 400 * 3, np.uint8)

    def __init__(self, lap: int = 0, torn: int | None = None):
        self.lap, self.torn = lap, torn

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        if index == self.torn:
            raise Thrown
        height, width = 40 + (37 * index + 11 * self.lap) % 300, 40 + (53 * index) % 300
        part = self.memory[index : index + height * width * 3]
        return part.reshape(height, width, 3).copy(), index % CLASSES


@dataclass
class Ledger:
    """What has arrived: batches, samples, errors that came where they were thrown, and what is amiss."""

    batches: int = 0
    samples: int = 0
    epochs: int = 0
    cut_short: int = 0
    thrown: int = 0
    lost: int = 0
    twice: int = 0
    amiss: Counter[str] = field(default_factory=Counter)

    def epoch(self, way: str, batches: Iterable, whole: bool = True) -> None:
        """Take an epoch's batches, and count its ids. whole: it should bring every sample."""
        ids: Counter[int] = Counter()
        for batch in batches:
            self.batches += 1
            arrived, right = ids_of(batch)
            ids.update(arrived)
            if not right:
                self.amiss[f"{way}: pixels or labels"] += 1
        self.samples += ids.total()
        self.epochs += whole
        self.cut_short += not whole
        lost = SAMPLES - len(ids) if whole else 0
        twice = ids.total() - len(ids)
        self.lost, self.twice = self.lost + lost, self.twice + twice
        if lost or twice or not set(ids) <= set(range(SAMPLES)):
            self.amiss[f"{way}: {lost} lost, {twice} twice"] += 1

    def throws(self, way: str, batches: Iterable) -> None:
        """Take batches until they throw, as they should."""
        try:
            self.epoch(way, batches, whole=False)
        except Thrown:
            self.thrown += 1
        else:
            self.amiss[f"{way}: no error came"] += 1


def ids_of(batch: ae.Batch | ae.BatchOfViews) -> tuple[list[int], bool]:
    """The ids of a batch, and whether its pixels are numbers and its labels those of its ids."""
    if isinstance(batch, ae.BatchOfViews):
        (first, right), *others = (ids_of(part) for part in (batch["weak"], *batch["crops"]))
        return first, right and all(ids == first and good for ids, good in others)
    ids = batch.plan.ids
    right = bool(batch.images.isfinite().all())
    if batch.labels is not None and batch.labels.ndim == 1:
        right &= batch.labels.tolist() == (ids % CLASSES).tolist()
    elif batch.labels is not None:
        right &= bool(((batch.labels.sum(1) - 1).abs() < 1e-3).all())
    return ids.tolist(), right


def first(batches: Iterable, count: int) -> Iterator:
    """So many batches, after which the iterator is dropped, as by a `break`."""
    for number, batch in enumerate(batches, 1):
        yield batch
        if number == count:
            return


def throwing_after(batches: Iterable, count: int) -> Iterator:
    """A loop that throws in the middle of an epoch."""
    yield from first(batches, count)
    raise Thrown


class Ways:
    """The ways that batches go; loaders whose workers stay live as long as it does.

    Args:
        ledger: Ledger that everything is counted in.
        workers: Number of workers of each loader.
    """

    def __init__(self, ledger: Ledger, workers: int = 2):
        self.ledger, self.workers = ledger, workers
        stay = partial(self.loader, Pictures(), 8, persistent_workers=True)
        self.staying = stay(ae.Collate(POLICIES["usual"], **DRAWN))
        self.staying_packed = ae.DeviceLoader(stay(ae.pack(POLICIES["filters"], **DRAWN)))
        self.out = torch.empty(32, 3, 64, 64)

    def loader(self, data: Dataset, size: int, collate: ae.Collate, **options: bool) -> DataLoader:
        made = DataLoader(
            data, size, shuffle=True, num_workers=self.workers, collate_fn=collate, **options
        )
        return ae.keyed(made)

    def lap(self, number: int) -> None:
        """Go once through all of it."""
        size, ledger = SIZES[number % len(SIZES)], self.ledger
        new = partial(self.loader, Pictures(number), size)

        self.staying.sampler.set_epoch(number)
        ledger.epoch("workers that stay", self.staying)
        self.staying_packed.set_epoch(number)
        ledger.epoch("packed, workers that stay", self.staying_packed)
        if number % 2:
            ledger.epoch("packed, cut short", first(self.staying_packed, 2), whole=False)

        name = list(POLICIES)[number % len(POLICIES)]
        ledger.epoch("new workers", new(ae.Collate(POLICIES[name], **DRAWN)))
        if number % 2:
            ledger.epoch("views", new(ae.Collate(VIEWS, **DRAWN)))
        else:
            ledger.epoch("packed views", ae.DeviceLoader(new(ae.pack(VIEWS, **DRAWN))))
        # Loops that end early, and errors in each place that users have.
        usual = ae.Collate(POLICIES["usual"], **DRAWN)
        if number % 4 == 0:
            ledger.epoch("cut short", first(new(usual), 1), whole=False)
        elif number % 4 == 1:
            torn = self.loader(Pictures(number, torn=SAMPLES // 2), size, usual)
            ledger.throws("a worker's error", torn)
        elif number % 4 == 2:
            ledger.throws("the loop's error", throwing_after(new(usual), 2))
        else:
            torn = self.loader(Pictures(number, torn=5), size, ae.pack(VIEWS, **DRAWN))
            ledger.throws("a worker's error, packed", ae.DeviceLoader(torn))
        ledger.epoch("here", self.here(number, size, name))
        ledger.epoch("ahead", ae.DeviceLoader(plain(number, size), POLICIES[name], **DRAWN))

    def here(self, number: int, size: int, name: str) -> Iterator[ae.Batch]:
        """Without workers: an Engine, into memory that is there and into new memory, and a refusal."""
        engine = ae.Engine(POLICIES[name], **DRAWN)
        for images, labels, ids in plain(number, size):
            drawn = engine(images, labels, ids=ids, epoch=number, out=self.there)
            if not torch.equal(ae.execute(drawn.plan, images), drawn.images):
                self.ledger.amiss["memory that is there gets other pixels"] += 1
            yield drawn
        try:
            engine(images, [CLASSES] * len(ids), ids=ids, epoch=number)
        except ValueError:
            self.ledger.thrown += 1

    def there(self, plan: ae.Plan) -> torch.Tensor:
        """Memory for what a plan draws: what is there, if it fits."""
        fits = plan.shape[1:] == self.out.shape[1:]
        return self.out[: len(plan)] if fits else torch.empty(plan.shape)

    def children(self) -> list[int]:
        return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


def plain(number: int, size: int) -> Iterator[tuple[list[np.ndarray], list[int], range]]:
    """Batches (images, labels, ids) without workers."""
    pictures = Pictures(number)
    for begin in range(0, SAMPLES, size):
        ids = range(begin, min(begin + size, SAMPLES))
        images, labels = zip(*(pictures[i] for i in ids), strict=True)
        yield list(images), list(labels), ids


def soak(seconds: float, workers: int = 2) -> tuple[Ledger, list[Sample]]:
    """Run laps for so long, and sample this process and its workers after each."""
    ledger = Ledger()
    ways, samples = Ways(ledger, workers), []
    begin = time.monotonic()
    while len(samples) < 4 or time.monotonic() - begin < seconds:
        ways.lap(len(samples))
        gc.collect()
        passed = time.monotonic() - begin
        samples.append(soak_figures.sample(passed, ledger.batches, ways.children()))
    return ledger, samples


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Does anything grow?")
    parser.add_argument("--minutes", type=float, help="how long; the report is then written")
    parser.add_argument("--json", type=Path, help="a file for all that was counted")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    ledger, samples = soak(SECONDS if options.minutes is None else 60 * options.minutes)
    counted = {name: value for name, value in asdict(ledger).items() if name != "amiss"}
    trends = soak_figures.trends(samples)
    text = soak_figures.markdown(counted, ledger.amiss, samples, trends)
    print(text)
    if options.json is not None:
        content = {"ledger": counted, "amiss": ledger.amiss, "samples": [*map(asdict, samples)]}
        options.json.write_text(json.dumps(content), "utf-8")
    if options.minutes is not None:
        soak_figures.write(text, samples)
    return int(bool(ledger.amiss) or not all(trend.flat for trend in trends))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
