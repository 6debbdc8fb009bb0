"""Starting: what `import augengine` adds to torch's import, a process's first batch, and an epoch's new
workers.

Judged: the import takes under 300 ms; the first batch, its kernel from numba's cache, under 2 s; an epoch
of workers that are not persistent, less than 0.1 s more than torchvision's transforms in the same loader.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from augengine.demo.measure import Timing
from augengine.demo.race import ATTEMPTS, MOST_SPREAD, OURS, Beside

REGIME = "starting"
TORCHVISION = "torchvision v2"

START = """
import json, time, torch
torch.set_num_threads(1)
begin = time.perf_counter()
import augengine as ae
imported = time.perf_counter()
images = torch.zeros(2, 3, 40, 40, dtype=torch.uint8)
ae.Engine([ae.RandomResizedCrop(32), ae.RandomRotation(20)])(images, ids=[0, 1])
print(json.dumps([imported - begin, time.perf_counter() - imported]))
"""

# In a process of its own, whose parent has drawn nothing. The first epochs fill the caches.
WORKERS = """
import json, sys, time, torch
import augengine as ae
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

torch.set_num_threads(1)
images = torch.randint(0, 256, (16, 3, 256, 256), dtype=torch.uint8)
mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

class Images(Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 128

    def __getitem__(self, index):
        return self.transform(images[index % 16]), index % 10

collate = ae.Collate([ae.RandomResizedCrop(224), ae.RandomHorizontalFlip(), ae.Normalize(mean, std)])
theirs = v2.Compose([
    v2.RandomResizedCrop(224), v2.RandomHorizontalFlip(),
    v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std),
])
options = {"batch_size": 32, "num_workers": 2, "multiprocessing_context": "fork"}
loaders = [
    DataLoader(ae.WithIds(Images(lambda image: image)), collate_fn=collate, **options),
    DataLoader(Images(theirs), **options),
]
seconds = [[], []]
for epoch in range(1 + int(sys.argv[1])):
    collate.set_epoch(epoch)
    for loader, taken in zip(loaders, seconds):
        begin = time.perf_counter()
        for batch in loader:
            pass
        taken.append(time.perf_counter() - begin)
print(json.dumps([taken[1:] for taken in seconds]))
"""
IMAGES = 128  # of an epoch there


def measured(rounds: int) -> Iterator[dict[str, Any]]:
    """The rows of the result.

    Args:
        rounds: Number of processes, and of epochs, that are timed.
    """
    seconds = [_printed(START) for _ in range(1 + rounds)]  # the first fills the caches
    names = ("import augengine, beyond torch", "a process's first batch, beyond its import")
    for name, taken in zip(names, zip(*seconds[1:], strict=True), strict=True):
        timing = Timing(taken)
        yield _row(name, {OURS: Beside(timing, timing)}, outputs=1)

    races: list[dict[str, Beside]] = []
    while len(races) < ATTEMPTS and not (races and _spread(races[-1]) <= MOST_SPREAD):
        ours, theirs = (Timing(tuple(taken)) for taken in _printed(WORKERS, str(rounds)))
        races.append({OURS: Beside(ours, ours), TORCHVISION: Beside(theirs, ours)})
    name = f"an epoch of two new workers, {IMAGES} images"
    yield _row(name, min(races, key=_spread), outputs=IMAGES)


def _printed(code: str, *arguments: str) -> Any:
    """What a program prints as JSON, in a process of its own."""
    return json.loads(subprocess.check_output([sys.executable, "-c", code, *arguments], text=True))


def _spread(race: dict[str, Beside]) -> float:
    return max(found.spread for found in race.values())


def _row(name: str, found: dict[str, Beside], outputs: int) -> dict[str, Any]:
    return {
        "regime": REGIME,
        "name": name,
        "batch": 1,
        "outputs": outputs,
        "added_to": None,
        "floor": None,
        "contenders": {
            who: {
                "seconds": each.theirs.seconds,
                "ours": each.ours.seconds,
                "spread": each.spread,
                "steady": each.spread <= MOST_SPREAD,
                "notes": [],
            }
            for who, each in found.items()
        },
        "left_out": {},
    }
