"""What one process measures: a table. `python -m augengine.bench.job` has its settings on its standard
input, tells how far it is on its standard output, and ends with the table.

A process of its own has the cores, the threads and the heap that the regime asks for from its start.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..demo import machine
from .result import OURS, Row, Table, table_of, with_tuples

ONE_CORE, ALL_CORES, TRAINING = "one core", "all cores", "training"
ATTEMPTS = 2  # races of a row: what is unsteady is measured again once
BATCHES = 4  # of a pass through a loader, for each worker
Say = Callable[[str], object]


@dataclass(frozen=True)
class Job:
    """What a table is measured of.

    Args:
        regime: ONE_CORE, ALL_CORES or TRAINING.
        policy: YAML of the policy.
        paths: Files.
        batch: Number of images in a batch.
        rounds: Number of rounds.
        workers: Number of DataLoader workers, but for ONE_CORE.
        only: Beginnings of the names of the peers that are wanted; empty is all.
        stages: Whether the stages are measured too, for ONE_CORE.
    """

    regime: str
    policy: str
    paths: tuple[str, ...]
    batch: int
    rounds: int
    workers: int = 0
    only: tuple[str, ...] = ()
    stages: bool = True


def start(job: Job, say: Say) -> Table:
    """Measure a job in a process of its own.

    Args:
        job: Job.
        say: Function that is told what is going on.

    Raises:
        ValueError: With the words of an error in that process.
    """
    threads = machine.usable_cores() if job.regime == ALL_CORES else 1
    environment = machine.fresh() | {
        name: str(threads) for name in machine.ONE_THREAD if job.regime == ALL_CORES
    }
    package = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(
        [package, *filter(None, [environment.get("PYTHONPATH")])]
    )
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    table = None
    with process:
        try:
            process.stdin.write(json.dumps(dataclasses.asdict(job)))
            process.stdin.close()
            for line in process.stdout:
                kind, _, content = line.partition("\t")
                if kind == "say":
                    say(content.strip())
                elif kind == "error":
                    raise ValueError(json.loads(content))
                elif kind == "table":
                    table = table_of(json.loads(content))
        except BaseException:
            process.kill()
            raise
    if table is None:
        raise ValueError(
            f"{job.regime}: the process that measures ended with {process.returncode}, expected a table. "
            "Look at what it wrote, or measure fewer images with --batch."
        )
    return table


def measured(job: Job, say: Say) -> Table:
    """Measure a job in this process.

    Args:
        job: Job.
        say: Function that is told what is going on.
    """
    from ..policy.policy import Policy
    from .contenders import contenders

    policy = Policy.from_yaml(job.policy)
    paths = [Path(path) for path in job.paths]
    threads = max(1, job.workers) if job.regime != ONE_CORE else 1
    say("preparing the libraries")
    peers, left_out = contenders(policy, paths, threads, job.only)
    notes: dict[str, tuple[str, ...]] = {name: peer.notes for name, peer in peers.items()}
    if job.regime == ONE_CORE:
        rows = _one_core(job, policy, paths, peers, notes, say)
    else:
        rows = _through_loaders(job, policy, paths, peers, notes, say)
    cores = 1 if job.regime == ONE_CORE else machine.usable_cores()
    return Table(job.regime, job.workers, cores, job.batch, tuple(rows), left_out)


def _one_core(job: Job, policy: Any, paths: Any, peers: Any, notes: Any, say: Say) -> list[Row]:
    """Batches in this process, without workers."""
    from ..demo.race import beside
    from . import stages
    from .ours import batches_of

    ours = batches_of(policy, paths, job.batch, job.batch, 1)
    some = [paths[i % len(paths)] for i in range(job.batch)]
    works: dict[str, Callable[[], object]] = {OURS: lambda: list(ours)}
    works |= {name: _batch_of(peer, some) for name, peer in peers.items()}
    found = beside(works, job.rounds, ATTEMPTS, _rounds(say, job.regime))
    parts = stages.measured(policy, some, peers, job.rounds, say) if job.stages else {}
    return [_row(name, job.batch, each, notes, parts) for name, each in found.items()]


def _batch_of(peer: Any, some: Any) -> Callable[[], object]:
    return lambda: peer.batch(some)


def _through_loaders(
    job: Job, policy: Any, paths: Any, peers: Any, notes: Any, say: Say
) -> list[Row]:
    """Passes through loaders: with workers, and ours and what has threads of its own without."""
    from ..demo.race import beside
    from .loaders import Batches, Files, epochs, loader, nothing, small_model
    from .ours import batches_of, loader_of

    count = job.batch * job.workers * BATCHES
    loaders: dict[str, Any] = {}
    loaders[OURS] = loader_of(policy, paths, count, job.batch, job.workers)
    if job.regime == ALL_CORES:
        name = f"{OURS}, threads"
        loaders[name] = batches_of(policy, paths, count, job.batch, job.workers)
        notes[name] = ("one process, no workers",)
    for name, peer in peers.items():
        if name.startswith("DALI"):
            loaders[name] = Batches(paths, count, job.batch, _without_ids(peer))
            notes[name] = (*notes[name], f"{job.workers} threads of its own, no workers")
        else:
            if policy.mixes:
                notes[name] = (*notes[name], "mixes nothing: a worker has one image at a time")
            loaders[name] = loader(Files(paths, count, peer.single), job.batch, job.workers)
    with ExitStack() as stack:
        works: dict[str, Callable[[], object]] = {}
        for name, batches in loaders.items():
            step = small_model() if job.regime == TRAINING else nothing
            works[name] = stack.enter_context(epochs(batches, step))
        found = beside(works, job.rounds, ATTEMPTS, _rounds(say, job.regime))
        return [_row(name, count, each, notes, {}) for name, each in found.items()]


def _without_ids(peer: Any) -> Callable[[list[Path], list[int]], Any]:
    return lambda some, ids: peer.batch(some)


def _rounds(say: Say, regime: str) -> Callable[[int, int], object]:
    return lambda done, total: say(f"{regime}, round {done} of {total}")


def _row(name: str, images: int, found: Any, notes: Any, parts: dict[str, Any]) -> Row:
    return Row(
        name, images, found.theirs.seconds, found.ours.seconds, found.spread,
        notes.get(name, ()), parts.get(name, {}),
    )  # fmt: skip


def _keep_to_one_core() -> None:
    """This process and its threads on one of the cores that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    """What a process of its own does."""
    job = Job(**with_tuples(json.load(sys.stdin)))
    # Libraries print what they like; what is told goes its own way.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    if job.regime == ONE_CORE:
        _keep_to_one_core()  # before there are threads

    def say(text: str) -> None:
        print(f"say\t{text}", file=told, flush=True)

    try:
        if job.regime != ALL_CORES:
            machine.use_one_thread()
        table = measured(job, say)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error\t{json.dumps(str(error))}", file=told, flush=True)
        raise SystemExit(1) from None
    print(f"table\t{json.dumps(dataclasses.asdict(table))}", file=told, flush=True)


if __name__ == "__main__":
    main()
