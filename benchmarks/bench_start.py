"""Starting: what `import augengine` adds to torch's import, a process's first batch, and an epoch's new
workers.

Judged: the import takes under 300 ms; the first batch, its kernel from numba's cache, under 2 s; an epoch
of workers that are not persistent, less than 0.1 s more than torchvision's transforms in the same loader.
"""

import json
import subprocess
import sys

import pytest

from augengine.demo.measure import Timing

from .race import ATTEMPTS, MOST_SPREAD, spread_of

pytestmark = pytest.mark.usefixtures("checked")

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


def test_start(request, record):
    rounds = request.config.getoption("--rounds")
    seconds = [
        json.loads(subprocess.check_output([sys.executable, "-c", START], text=True))
        for _ in range(1 + rounds)  # the first fills the caches
    ]
    names = ("import augengine, beyond torch", "a process's first batch, beyond its import")
    for name, taken in zip(names, zip(*seconds[1:], strict=True), strict=True):
        record(name=name, seconds=taken, spread=spread_of({"": Timing(taken)}))


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


def test_workers_that_are_not_persistent(request, record):
    """Two workers, forked anew in every epoch, of 128 images in batches of 32."""
    pytest.importorskip("torchvision")
    code = [sys.executable, "-c", WORKERS, str(request.config.getoption("--rounds"))]
    races: list[dict[str, Timing]] = []
    while len(races) < ATTEMPTS and not (races and spread_of(races[-1]) <= MOST_SPREAD):
        ours, theirs = json.loads(subprocess.check_output(code, text=True))
        races.append({"ours": Timing(tuple(ours)), "peer": Timing(tuple(theirs))})
    race = min(races, key=spread_of)
    record(
        name="an epoch of two new workers, 128 images",
        seconds=race["ours"].seconds,
        peer=race["peer"].seconds,
        spread=spread_of(race),
    )
