"""`augengine tune`: read the data, fit the rungs to the time, tune, say it, write policy, figures, pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich import progress as bars
from rich.console import Console

from ..checks import whole_number
from ..loading.engine import Engine
from ..pipelines import data as datasets
from ..pipelines.data import Data
from ..pipelines.files import written
from ..pipelines.pictures import SHOWN, sheet
from ..pipelines.policies import evaluation_policy, training_policy
from ..pipelines.settings import Settings
from ..policy.keyed import count_repeats
from ..policy.policy import Policy
from ..tuning.arms import STRENGTHS, arms_of
from ..tuning.report import wide_console
from ..tuning.result import TuneResult
from ..tuning.split import FEW, OUTER_FOLDS
from ..tuning.state import read_head
from ..tuning.tune import Progress, tune
from . import plot
from .budget import measured, rungs_from, rungs_within, seconds_of
from .train import BATCH, Trainer

MODEL = "digitnet_8"
FOLDER_SIZE = 64  # pixels a side; strengths are told apart there too, in a tenth of the time
FOLDS, SEEDS = 3, 5
FEW_PASSES = 10  # of a training over its images, in which it hardly learns any of them by heart
JOURNAL, POLICY, FIGURES, CURVE, SHEET = (
    "journal.jsonl", "policy.yaml", "tune.json", "tune.png", "policy.png",
)  # fmt: skip


def run(
    data: str,
    *,
    root: str = "data",
    labels: int = -1,
    size: int = 0,
    policy: str = "",
    model: str = MODEL,
    budget: str = "10m",
    steps: int | None = None,
    given: Sequence[int] | None = None,
    folds: int = FOLDS,
    seeds: int = SEEDS,
    seed: int = 0,
    inside: bool = False,
    device: str = "cpu",
    output: Path = Path("runs/tune"),
    resume: bool = False,
) -> TuneResult:
    """What `augengine tune` does.

    Args:
        data: Folder of class folders, digits, cifar10 or cifar100.
        root: Folder of CIFAR.
        labels: Number of labels kept of each class; 0 is all, −1 all of a folder and 20 of others.
        size: Pixels a side that the model sees; 0 is 64 of a folder, and else the data's own.
        policy: YAML file of a policy that is tried too, or "".
        model: Model, as `pipelines.models.create` takes it.
        budget: Time such as 10m.
        steps: Number of steps of the first of three rungs, instead of a time.
        given: Number of steps of each rung, instead of either.
        folds: Number of inner folds.
        seeds: Number of seeds of each arm at the end.
        seed: Seed of it all.
        inside: Whether operations inside RandAugment and TrivialAugmentWide are looked at one by one.
        device: Device that trains.
        output: Folder that is written.
        resume: Whether a run in that folder goes on.

    Returns:
        The result.

    Raises:
        ValueError: When an argument is none of these, or the folder is of another run.
        OSError: When a file cannot be read or written.
    """
    console = wide_console()
    journal = output / JOURNAL
    seconds = seconds_of(budget)
    if steps is not None:
        whole_number("--steps", steps, 1, 10**8)
    if journal.exists() and not resume:
        raise ValueError(
            f"--output: {output} holds a run. Go on with it by --resume, or name another folder."
        )
    if resume and not journal.exists():
        raise ValueError(f"--resume: {output} holds no run, expected one. Leave --resume out.")
    is_folder = data not in ("digits", "cifar10", "cifar100")
    known = datasets.load(
        Settings(
            data=data, root=root, labels=labels, seed=seed, size=size or FOLDER_SIZE * is_folder
        )
    )
    console.print(known.summary, markup=False)
    none, policies = evaluation_policy(known), _policies(known, policy)
    arms = arms_of(none, policies, STRENGTHS)
    trainer = Trainer(known, model, device)
    if resume:
        rungs = _rungs_of(journal)
    elif given is not None:
        rungs = tuple(given)
    elif steps is not None:
        rungs = rungs_from(steps)
    else:
        last = list(policies.values())[-1]
        speed = measured(lambda few: trainer(last, 1.0, trainer.ids, trainer.ids[:1], few, seed))
        rungs = rungs_within(
            seconds, speed, policies, len(arms), folds, seeds, inside, len(trainer.ids) <= FEW
        )
        console.print(f"{1000 * speed.step:.0f} ms a step", markup=False)
    parts = OUTER_FOLDS if len(trainer.ids) <= FEW else folds
    console.print(
        f"{len(arms)} arms, {parts} folds, rungs of {', '.join(map(str, rungs))} steps; {model} at "
        f"{known.size}×{known.size}",
        markup=False,
    )
    passes = rungs[-1] * BATCH / len(trainer.ids)
    if passes < FEW_PASSES:
        console.print(
            f"The longest trainings see each image {passes:.1f} times. A training that sees them more often "
            "bears more augmentation than is found here: raise --budget, or take fewer --labels.",
            markup=False,
        )
    output.mkdir(parents=True, exist_ok=True)
    with _progress(console) as progress:
        result = tune(
            trainer, trainer.labels, none, policies,
            ids=trainer.ids, rungs=rungs, folds=folds, seeds=seeds, seed=seed, inside=inside,
            affinity=trainer.affinity, journal=journal,
            about=json.dumps([model, known.size, known.classes, trainer.digest, none.fingerprint]),
            progress=progress,
        )  # fmt: skip
    result.print(console)
    _write(result, trainer, output)
    console.print(
        f"\n{output / POLICY}: the policy to use, for --policy or Policy.from_yaml", markup=False
    )
    console.print(
        f"{output / CURVE}, {output / SHEET}: pictures. {output / FIGURES}: all figures",
        markup=False,
    )
    return result


def _policies(known: Data, yours: str) -> dict[str, Policy]:
    """What is tried on a data set, the plainest first."""
    policies = {
        "usual": training_policy("", known),
        "with TrivialAugment": training_policy("trivialaugment", known),
        "with RandAugment": training_policy("randaugment", known),
    }
    if yours:
        policies["yours"] = training_policy(yours, known)
    return policies


def _rungs_of(journal: Path) -> tuple[int, ...]:
    """The rungs that a run began with."""
    rungs = read_head(journal).get("rungs")
    if not isinstance(rungs, list) or not all(type(steps) is int for steps in rungs):
        raise ValueError(
            f"--resume: {journal} does not say its rungs, expected numbers of steps. Begin anew elsewhere."
        )
    return tuple(rungs)


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """Says what is being trained: as a bar, or where nobody watches, in a line for each tenth."""
    if sys.stdout.isatty():
        columns = (
            bars.TextColumn("{task.description:<44}"), bars.BarColumn(),
            bars.TaskProgressColumn(), bars.TimeRemainingColumn(),
        )  # fmt: skip
        with bars.Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=1)
            yield lambda what, done, total: bar.update(
                task, description=what, completed=done, total=total
            )
        return
    said = -1

    def say(what: str, done: int, total: int) -> None:
        nonlocal said
        if (tenth := 10 * done // total) > said:
            said = tenth
            console.print(f"{10 * tenth:>3} %  {what}", markup=False)

    yield say


def _write(result: TuneResult, trainer: Trainer, output: Path) -> None:
    for name, text in ((POLICY, result.to_yaml()), (FIGURES, result.to_json() + "\n")):
        with written(output / name) as partial:
            partial.write_text(text, "utf-8")
    plot.draw(result, output / CURVE)
    ids, images = trainer.ids, trainer.images
    # One of each class first.
    some = np.argsort(count_repeats(trainer.labels), kind="stable")[:SHOWN]
    plain = Engine(evaluation_policy(trainer.data))(images[some], ids=ids[some], epoch=0)
    engine = Engine(result.policy, seed=result.seed, strength=result.strength)
    rows = [
        (f"epoch {epoch}", engine(images[some], ids=ids[some], epoch=epoch)) for epoch in range(3)
    ]
    with written(output / SHEET) as partial:
        sheet(f"The policy to use: {result.arm.name}", [("plain", plain), *rows], partial)
