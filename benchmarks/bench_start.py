"""Starting: what `import augengine` adds to torch's import, and a process's first batch.

Judged: the import takes under 300 ms; the first batch, its kernel from numba's cache, under 2 s.
"""

import json
import subprocess
import sys

import pytest

from augengine.demo.measure import Timing

from .race import spread_of

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
