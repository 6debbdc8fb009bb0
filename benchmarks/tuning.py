"""Does `augengine tune` choose well? `python -m benchmarks.tuning`, or `make results-tuning`.

The whole tune is run with several seeds on 20 labels a class of MNIST, on ELPV's photographs of solar cells,
and on folders in which one operation destroys the labels (`benchmarks.traps`), where `check` is run as well.
Only then, and here alone, are test images read: the policy that tune says to use, the one that it chose
before its proof, no augmentation, and the presets are trained on all labels, with seeds of their own, and
asked about the test.

Everything is counted in steps, not in seconds. Each finished piece is a line of journal.jsonl in the folder
of --keep, and a tune that was killed goes on from its own journal. What is there is written to
benchmarks/results/tuning.md and .json, with what is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .traps import SIDE, TRAPS, write
from .tuning_report import CHOSEN, NONE, USED, report

if TYPE_CHECKING:
    from augengine.pipelines.data import Data
    from augengine.policy.policy import Policy
    from augengine.tuning.arms import EngineStrength

ROOT = Path(__file__).resolve().parent.parent
KEEP, RESULTS = ROOT / "runs/tuning", ROOT / "benchmarks/results/tuning"
JOURNAL, SEEDS = "journal.jsonl", 5
MODEL = "digitnet_8"
CHECK_STEPS = 60  # of a learning of `check`


@dataclass(frozen=True)
class Task:
    """What is tuned on.

    Args:
        data: As `augengine tune --data` takes it; empty for a trap.
        labels: Labels of each class; 0: all.
        size: Pixels a side that the model sees.
        rungs: Steps of each rung.
        steps: Steps of a training that is asked about the test.
        runs: Number of these trainings, each with a seed of its own.
    """

    data: str
    labels: int
    size: int
    rungs: tuple[int, ...]
    steps: int
    runs: int


TASKS = {
    "mnist": Task("digits", 20, 28, (12, 36, 108), 400, 2),
    "elpv": Task("elpv", 0, 48, (16, 48, 144), 400, 2),
    "elpv-few": Task("elpv", 100, 48, (16, 48, 144), 400, 2),
    **{name: Task("", 0, SIDE, (30, 90), 400, 2) for name in TRAPS},
}


@dataclass(frozen=True)
class Piece:
    """A line of the journal.

    Args:
        kind: "tune", "check" or "test".
        task: Name in TASKS.
        seed: Seed of labels and tune.
        row: Of a test: what was trained.
        run: Of a test: number of the training.
    """

    kind: str
    task: str
    seed: int
    row: str = ""
    run: int = 0


Found = dict[Piece, dict[str, Any]]


def load(task: Task, folder: Path, seed: int) -> Data:
    """The data of a seed."""
    from augengine.pipelines import data as datasets
    from augengine.pipelines.settings import Settings

    data = task.data or str(folder / "pictures")
    return datasets.load(Settings(data=data, labels=task.labels, size=task.size, seed=seed))


def tuned(name: str, folder: Path, seed: int) -> dict[str, Any]:
    """Run the whole tune, or what is left of it. Test images are not read."""
    from augengine.trials import command

    task = TASKS[name]
    policy = ""
    if not task.data:
        policy = str(folder / "policy.yaml")
        if not (folder / "policy.yaml").exists():
            write(name, folder, seed)
    output = folder / "tune"
    resume = (output / command.JOURNAL).exists()
    clock = folder / "seconds"
    before, start = float(clock.read_text()) if clock.exists() else 0.0, time.process_time()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            result = command.run(
                task.data or str(folder / "pictures"), labels=task.labels or -1, size=task.size,
                policy=policy, model=MODEL, given=None if resume else task.rungs, seed=seed, output=output,
                resume=resume,
            )  # fmt: skip
    finally:  # a run that is ended counts, but for one that is killed outright
        seconds = before + time.process_time() - start
        clock.write_text(f"{seconds:.1f}")
    told = json.loads(result.to_json())
    arms = {USED: result.arm, CHOSEN: result.chosen, NONE: result.rungs[0].arms[0]}
    none = next(one for one in result.comparisons if one.why == "no augmentation")
    return {
        "seconds": round(seconds, 1),
        "arms": {
            row: {"name": arm.name, "policy": arm.policy.to_yaml(), "level": arm.level}
            for row, arm in arms.items()
        },
        "better": result.better,
        "verdicts": {one.name: one.verdict for one in result.effects},
        "above_none": None if none.accuracy is None else asdict(none.accuracy),
        "rungs": [rung.steps for rung in result.rungs],
        "labels": len(result.split.inner) + len(result.split.outer) * (not result.split.crossed),
        "not_tried": told["not_tried"],
        "chosen_without_each_fold": told["chosen_without_each_fold"],
        "sentences": told["sentences"],
    }


def checked(name: str, folder: Path, seed: int) -> dict[str, Any]:
    """Run the check of a trap's policy."""
    from augengine.invariance import check_labels

    start = time.process_time()
    report = check_labels(
        folder / "pictures", str(folder / "policy.yaml"), model=MODEL, size=SIDE, steps=CHECK_STEPS,
        strengths=(1.0,), seed=seed,
    )  # fmt: skip
    return {
        "seconds": round(time.process_time() - start, 1),
        "plain": report.plain.value,
        "verdicts": {finding.op: finding.words for finding in report.findings},
    }


def presets(data: Data, folder: Path) -> dict[str, Policy]:
    """What is compared at full strength: none, and all policies that tune had."""
    from augengine.pipelines.policies import evaluation_policy
    from augengine.trials.command import _policies

    yours = folder / "policy.yaml"
    return {NONE: evaluation_policy(data), **_policies(data, str(yours) if yours.exists() else "")}


def tested(
    task: Task, data: Data, policy: Policy, strength: EngineStrength, run: int, seed: int
) -> dict[str, Any]:
    """Train on all labels, and ask about the test."""
    import numpy as np

    from augengine.trials.train import Trainer

    start = time.process_time()
    both = np.sort(np.concatenate([data.labelled, data.test]))
    trainer = Trainer(dataclasses.replace(data, labelled=both), MODEL)
    # Other seeds than any of the tune, which are from `seed` on.
    _, right = trainer(
        policy, strength, data.labelled, data.test, task.steps, 1000 * (seed + 1) + run
    )
    return {
        "accuracy": float(right.mean()),
        "seconds": round(time.process_time() - start, 1),
    }


def pieces(
    name: str, seed: int, keep: Path, found: Found
) -> Iterator[tuple[Piece, dict[str, Any]]]:
    """What is missing of a seed, as it is finished."""
    import augengine as ae
    from augengine.tuning.arms import UNIFORM

    task, folder = TASKS[name], keep / f"{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    piece = Piece("tune", name, seed)
    if piece not in found:
        yield piece, tuned(name, folder, seed)
    if not task.data and (check := Piece("check", name, seed)) not in found:
        yield check, checked(name, folder, seed)
    arms = found[piece]["arms"]
    data = load(task, folder, seed)
    wanted: dict[str, tuple[Policy, EngineStrength]] = {
        row: (
            ae.Policy.from_yaml(arms[row]["policy"]),
            ae.Uniform() if arms[row]["level"] == UNIFORM else arms[row]["level"],
        )
        for row in (USED, CHOSEN)
    }
    wanted |= {row: (policy, 1.0) for row, policy in presets(data, folder).items()}
    for run in range(task.runs):
        made: dict[tuple[str, str], dict[str, Any]] = {}
        for row, (policy, strength) in wanted.items():
            what = (policy.fingerprint, repr(strength))
            if (test := Piece("test", name, seed, row, run)) in found:
                made[what] = found[test]
                continue
            if what in made:  # the same as another row's
                yield test, {**made[what], "seconds": 0.0}
                continue
            made[what] = tested(task, data, policy, strength, run, seed)
            yield test, made[what]


# The journal


def read_journal(file: Path) -> Found:
    """What is finished. A last line that a kill has torn is made again."""
    found: Found = {}
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        try:
            content = json.loads(line)
            found[Piece(**content["piece"])] = content["found"]
        except (ValueError, TypeError, KeyError):
            print(f"{file}: {line[:80]!r} is no finished piece, and is made again")
    return found


def note(file: Path, piece: Piece, content: dict[str, Any]) -> None:
    """Add a finished piece: one write, so that several processes may add to a file."""
    torn = file.exists() and file.stat().st_size and not file.read_bytes().endswith(b"\n")
    line = json.dumps({"piece": asdict(piece), "found": content})
    with file.open("a", encoding="utf-8") as stream:
        stream.write("\n" * bool(torn) + line + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def main(told: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="*", choices=[*TASKS, "traps"],
                        default=["mnist", "elpv", "elpv-few", "traps"])  # fmt: skip
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--begin", type=int, default=0, help="the first seed that is run here")
    parser.add_argument("--keep", type=Path, default=KEEP, help="the folder of journal and runs")
    parser.add_argument("--output", type=Path, default=RESULTS, help="without a suffix")
    parser.add_argument("--report", action="store_true", help="train nothing; write what is there")
    arguments = parser.parse_args(told)
    import torch

    from augengine.pipelines.files import write_json, written

    # A kill that can be noticed leaves the time that was taken.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    torch.set_num_threads(1)  # small batches gain nothing by more
    names = [one for name in arguments.data for one in (TRAPS if name == "traps" else [name])]
    arguments.keep.mkdir(parents=True, exist_ok=True)
    journal = arguments.keep / JOURNAL
    found = read_journal(journal)
    if not arguments.report:
        for seed in range(arguments.begin, arguments.seeds):
            for name in names:
                for piece, content in pieces(name, seed, arguments.keep, found):
                    found[piece] = content
                    note(journal, piece, content)
                    said = {k: v for k, v in content.items() if k in ("seconds", "accuracy")}
                    print(
                        f"{piece.kind} {name}, seed {seed}, {piece.row} {piece.run}: {said}",
                        flush=True,
                    )
    found = read_journal(journal)  # with what others have added
    content = [
        {**asdict(piece), **one}
        for piece, one in sorted(found.items(), key=lambda item: astuple(item[0]))
    ]
    text = report(found, TASKS, arguments.seeds)
    with written(arguments.output.with_suffix(".md")) as partial:
        partial.write_text(text, "utf-8")
    write_json(arguments.output.with_suffix(".json"), {"pieces": content})
    print(text)


def astuple(piece: Piece) -> tuple[Any, ...]:
    return dataclasses.astuple(piece)


if __name__ == "__main__":
    main()
