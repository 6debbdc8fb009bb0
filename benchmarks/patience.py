"""What patience brings in distillation, and what a small cache costs: `python -m benchmarks.patience`.

A digitnet_16 that has learned 3,200 digits from their labels teaches a digitnet_8, by its answers to augmented
views of 100 images alone. The student learns for 30, 100, 300 and 1,000 epochs, each a training of its own with
its own schedule: once from fresh views and answers in every epoch, and once from those of ten epochs, which a
cache holds and which come again and again (`augengine train distill --replay 10`).

A finished training is a line of a journal; a run that was killed goes on, and ends with the same table.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .journal import Journal
from .pipelines import ROOT, deviation, in_words, mean, versions

REPORT, PICTURE = ROOT / "benchmarks/results/patience.md", ROOT / "docs/patience.png"
KEEP = ROOT / "runs/patience"
SEEDS = 3
EPOCHS, REPLAYED = (30, 100, 300, 1000), 10
TEACHER, TEACHER_EPOCHS, STUDENT = "digitnet_16", 12, "digitnet_8"
LABELS, BATCH, VALIDATION = 10, 20, 0.2
FRESH, CACHED = "fresh answers", f"{REPLAYED} epochs replayed"


class Job(NamedTuple):
    """A training of a student, or with epochs 0 of the teacher."""

    form: str
    epochs: int
    seed: int

    @property
    def text(self) -> str:
        return f"{self.form}, {self.epochs} epochs, seed {self.seed}"


def jobs(seeds: int) -> list[Job]:
    """All trainings, a seed after the other."""
    found = []
    for seed in range(seeds):
        found.append(Job("teacher", 0, seed))
        found += [Job(form, epochs, seed) for epochs in EPOCHS for form in (FRESH, CACHED)]
    return found


def make(job: Job, keep: Path) -> float:
    """Make a training. Returns the accuracy on the test."""
    from augengine.pipelines import distill, finetune

    common: dict[str, Any] = {
        "cpu": True, "seed": job.seed, "validation": VALIDATION,
        "evaluate_every": 10**6,  # at the end
    }  # fmt: skip
    teacher = keep / f"teacher-{job.seed}"
    folder = keep / job.text.replace(", ", "-").replace(" ", "-")
    if job.form == "teacher":
        told = {"model": TEACHER, "labels": 0, "batch_size": 64, "epochs": TEACHER_EPOCHS}
        settings = finetune.Finetune(output=str(teacher), **common, **told)
        return finetune.run(settings, resume=(teacher / "config.json").exists())["accuracy"]
    cached = {"replay": REPLAYED, "cache": str(keep / f"answers-{job.seed}")}
    student = distill.Distill(
        output=str(folder), teacher=str(teacher), student=STUDENT, labels=LABELS, unlabelled=False, hard=0.0,
        epochs=job.epochs, batch_size=BATCH, **common, **(cached if job.form == CACHED else {}),
    )  # fmt: skip
    accuracy = distill.run(student, resume=(folder / "config.json").exists())["student"]
    shutil.rmtree(folder)
    return accuracy


def curve(journal: Journal, form: str, seeds: int) -> dict[int, list[float]]:
    """Accuracies by epochs, of the seeds of which both forms are finished."""
    found: dict[int, list[float]] = {}
    for epochs in EPOCHS:
        for seed in range(seeds):
            both = [Job(other, epochs, seed).text in journal.done for other in (FRESH, CACHED)]
            if all(both):
                accuracy = journal.done[Job(form, epochs, seed).text]["accuracy"]
                found.setdefault(epochs, []).append(accuracy)
    return found


def of_teachers(journal: Journal, seeds: int) -> list[float]:
    """Accuracies of the teachers."""
    names = [Job("teacher", 0, seed).text for seed in range(seeds)]
    return [journal.done[name]["accuracy"] for name in names if name in journal.done]


def report(journal: Journal, seeds: int) -> str:
    """The table as Markdown."""
    finished = [job.text for job in jobs(seeds) if job.text in journal.done]
    minutes = sum(journal.done[name]["seconds"] for name in finished) / 60
    teachers = of_teachers(journal, seeds)
    fresh, cached = curve(journal, FRESH, seeds), curve(journal, CACHED, seeds)
    counts = in_words([len(values) for values in fresh.values()])
    lines = [
        "# Patience in distillation", "",
        f"`python -m benchmarks.patience --seeds {seeds}`: {counts}, {minutes:.0f} minutes of one thread, on a "
        f"machine that others used too. {versions()}.", "",
        f"A {TEACHER} that has learned 3,200 digits from their labels ({mean(teachers):.1f} ± "
        f"{deviation(teachers)} % of the test) teaches a {STUDENT} by its answers to augmented views of "
        f"{10 * LABELS} images; the student sees no other image and no label. Accuracy on the test in %, mean "
        "± standard deviation over seeds (other images, weights, order and views). Each number of epochs is a "
        f"training of its own. Of {REPLAYED} epochs replayed a cache holds {REPLAYED * 10 * LABELS:,} answers; "
        "fresh answers to 1,000 epochs are "
        f"{1000 * 10 * LABELS:,}. Settings are the defaults of `augengine train distill`, but no label is "
        "learned (--hard 0 --no-unlabelled); none was chosen on the test but the batch size, which was made "
        "smaller after test figures at 30 and 100 epochs had been seen.", "",
        f"| epochs | {FRESH} | ± | {CACHED} | ± | difference | ± | fresh, each seed | replayed, each seed |",
        "|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ]  # fmt: skip
    for epochs in fresh:
        one, other = fresh[epochs], cached[epochs]
        gains = [a - b for a, b in zip(one, other, strict=True)]
        each = [", ".join(f"{100 * value:.1f}" for value in values) for values in (one, other)]
        lines.append(
            f"| {epochs:,} | {mean(one):.1f} | {deviation(one)} | {mean(other):.1f} | {deviation(other)} | "
            f"{mean(gains):+.1f} | {deviation(gains)} | {each[0]} | {each[1]} |"
        )
    return "\n".join(lines) + "\n"


def picture(journal: Journal, seeds: int, file: Path) -> None:
    """Draw both curves, with a dot for each seed."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(7, 4), layout="constrained", facecolor="#fbfaf8")
    axes = figure.subplots()
    teachers = of_teachers(journal, seeds)
    axes.axhline(mean(teachers), color="#26262b", ls=":", lw=1)
    axes.annotate(
        "the teacher", (EPOCHS[0], mean(teachers)), xytext=(0, 4), textcoords="offset points"
    )
    for form, colour in ((FRESH, "#4477aa"), (CACHED, "#ee6677")):
        found = curve(journal, form, seeds)
        axes.plot([*found], [mean(values) for values in found.values()], color=colour, label=form)
        for epochs, values in found.items():
            each = [100 * value for value in values]
            axes.plot([epochs] * len(each), each, "o", color=colour, alpha=0.5)
    axes.set_xscale("log")
    axes.set_xticks(EPOCHS, [f"{epochs:,}" for epochs in EPOCHS])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("epochs of 100 images")
    axes.set_ylabel("the student's test accuracy, %")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)


def main(told: list[str] | None = None, make: Callable[[Job, Path], float] = make) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--keep", type=Path, default=KEEP, help="the folder of journal and runs")
    parser.add_argument("--output", type=Path, default=REPORT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument(
        "--finished", action="store_true", help="make no run: write the tables of what is finished"
    )
    arguments = parser.parse_args(told)
    about = {"teacher": TEACHER, "student": STUDENT, "labels": LABELS, "batch": BATCH}
    journal = Journal(arguments.keep / "journal.jsonl", about)
    for job in jobs(arguments.seeds):
        if job.text in journal.done or arguments.finished:
            continue
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            accuracy = make(job, arguments.keep)
        seconds = time.perf_counter() - start
        journal.add(job.text, {"accuracy": accuracy, "seconds": round(seconds, 1)})
        print(f"{job.text}: {100 * accuracy:.1f} %, {seconds:.0f} s", flush=True)
    text = report(journal, arguments.seeds)
    print(text)
    arguments.output.write_text(text, "utf-8")
    picture(journal, arguments.seeds, arguments.picture)
    print(f"written to {arguments.output} and {arguments.picture}")


if __name__ == "__main__":
    main()
