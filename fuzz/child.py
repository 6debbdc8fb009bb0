"""A process that runs cases, and may die of one: the parent learns which.

It is told on its command line; it says a JSON line for what happens, on standard output.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import resource
import sys
import traceback
import warnings

import torch

import augengine as ae

from . import scratch
from .cases import INTERPRETED, kind_of, run
from .drawing import Failure

GIGABYTES = 6  # of memory beyond what the process has when its first case begins


def prepare() -> None:
    """Guards, limits, and all that is loaded or compiled once."""
    faulthandler.enable()
    load()
    with open("/proc/self/statm", "rb") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (GIGABYTES << 30), resource.RLIM_INFINITY))


def load() -> None:
    """Guards, and all that is loaded or compiled once."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if INTERPRETED:
        scratch.install_for_torch()
    else:
        scratch.install()
    ops = [ae.RandomRotation(9), ae.GaussianBlur(3), ae.RandomEqualize(1)]
    for dtype in (torch.uint8, torch.float32):
        images = torch.zeros(1, 3, 9, 9, dtype=dtype)
        plan = ae.Policy(ops).sample([0], [(9, 9)])
        for executor in ("gpu", "torch") if INTERPRETED else ("cpu", "torch"):
            ae.execute(plan, images, executor=executor)
    if not INTERPRETED and not scratch.count():
        raise RuntimeError(
            "fuzz: the CPU kernel takes its memory from elsewhere, expected from here."
        )


def run_one(name: str, seconds: float, tell=lambda text: None) -> dict:
    """Run a case; a report of it. After so many seconds the process ends, with its stack on stderr.

    tell: function that is told each line of what the case is, before it is run.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        return {"case": name, "outcome": run(name, tell)}
    except Failure as failure:
        report = {"kind": failure.kind, "text": failure.text}
    except MemoryError as error:
        report = {"kind": "memory", "text": f"MemoryError {error}"}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(last.filename)}:{last.lineno}"
        report = {"kind": "error", "text": f"{type(error).__name__} at {where}: {str(error)[:500]}"}
        report["trace"] = traceback.format_exc()[-3000:]
    finally:
        faulthandler.cancel_dump_traceback_later()
    return {"case": name, **report}


def main(seed: str, first: str, end: str, seconds: str, *kinds: str) -> None:
    # What libraries print goes to stderr; reports go where standard output was.
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    prepare()

    def report(**what) -> None:
        reports.write(json.dumps(what) + "\n")

    for number in range(int(first), int(end)):
        name = f"{seed}.{number}"
        if kinds and kind_of(name) not in kinds:
            continue
        report(begin=name)
        report(**run_one(name, float(seconds), lambda text: report(said=text)))
        if number % 100 == 0:
            gc.collect()


if __name__ == "__main__":
    main(*sys.argv[1:])
