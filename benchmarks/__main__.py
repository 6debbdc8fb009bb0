"""`python -m benchmarks`: ours beside every peer that is installed, one thread, a heap that is reused.

    python -m benchmarks                        what `make bench` runs, some minutes
    python -m benchmarks --full                 what `make bench-full` runs
    python -m benchmarks --only "blur|noise"    some rows, by a regular expression on "regime: name"
    python -m benchmarks --peers "variopinta,augrs"
    python -m benchmarks --list                 the rows

Writes JSON, tables and plots to benchmarks/results, or to build/benchmarks where arguments choose rows.
A full run also fills what README and docs/speed.md say (see pages.py).
Ends with 1 if a contender has no result, because the machine was too busy, and with 2, without numbers,
if our pixels are not torchvision's.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from augengine.demo import machine

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CHOSEN = Path("build", "benchmarks")  # where the rows of a choice are written
PARTIAL = "cpu.json.partial"  # a run that is ended early leaves the result before it whole

Measure = Callable[[], Iterator[dict[str, Any]]]


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    chosen = bool(options.only or options.peers or options.batch or options.rounds)
    if machine.heap() != "reused" and not options.list:
        # A heap's settings are read when a process starts.
        command = [sys.executable, "-m", "benchmarks", *arguments]
        os.execve(sys.executable, command, machine.fresh())
    folder = options.output or (CHOSEN if chosen else RESULTS)
    machine.use_one_thread()
    wanted = re.compile(options.only or "")
    works = {name: work for name, work in _works(options) if wanted.search(name)}
    if options.list:
        print(*works, sep="\n")
        return 0
    from . import pages, plots, report
    from .contenders import WrongPixels

    began, rows = time.perf_counter(), []
    about = machine.about() | {
        "command": ("python -m benchmarks " + " ".join(sys.argv[1:])).strip()
    }
    for number, (name, work) in enumerate(works.items(), 1):
        print(f"{time.perf_counter() - began:4.0f} s, {number} of {len(works)}: {name}", flush=True)
        try:
            rows += work()
        except WrongPixels as error:
            print(f"benchmarks: {error}, so there are no numbers.")
            return 2
        about["minutes"] = (time.perf_counter() - began) / 60
        _write(folder / PARTIAL, {"about": about, "rows": rows})
    result = {"about": about, "rows": rows}
    _write(folder / PARTIAL, result)
    (folder / PARTIAL).replace(folder / "cpu.json")
    text = report.markdown(result)
    (folder / "cpu.md").write_text(
        f"# On a CPU, one core\n\nWritten by `{about['command']}`.\n\n{text}", "utf-8"
    )
    print("\n" + text)
    written = plots.draw(result, folder)
    if folder == RESULTS and options.full:
        pages.fill(result)
    refusals = report.refusals(result)
    print(*refusals, sep="\n")
    print(f"written to {folder}: cpu.json, cpu.md, {', '.join(path.name for path in written)}")
    return int(bool(refusals))


def _works(options: argparse.Namespace) -> Iterator[tuple[str, Measure]]:
    """What is measured, by "regime: name"."""
    from . import files, growth, memory, start, workloads

    batch = options.batch or (128 if options.full else 32)
    rounds = options.rounds or (11 if options.full else 5)
    only = [name.strip() for name in options.peers.split(",")] if options.peers else []
    for row in workloads.rows():
        yield (
            f"{row.regime}: {row.name}",
            lambda row=row: iter([memory.measured(row, batch, rounds, only)]),
        )
    for size in files.SIZES:
        yield (
            f"{files.REGIME}: {size}",
            lambda size=size: iter([files.measured(size, rounds, only)]),
        )
    for axis, at, row in growth.rows(options.full):
        yield (
            f"{row.regime} {row.name}",
            lambda axis=axis, at=at, row=row: iter(
                [growth.measured(axis, at, row, min(batch, 32), rounds)]
            ),
        )
    yield f"{growth.REGIME}: threads", lambda: growth.threads(batch, rounds)
    yield start.REGIME, lambda: start.measured(rounds)


def _write(file: Path, result: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1, ensure_ascii=False), "utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--full", action="store_true", help="larger batches, more rounds, more points"
    )
    parser.add_argument("--only", help="rows, by a regular expression on 'regime: name'")
    parser.add_argument("--peers", help="names of peers, with commas between; ours is always there")
    parser.add_argument("--batch", type=int, help="number of images in a batch")
    parser.add_argument("--rounds", type=int, help="number of rounds that are timed")
    parser.add_argument("--output", type=Path, help="folder of the result")
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
