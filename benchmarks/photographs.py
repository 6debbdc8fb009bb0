"""What pretrained weights bring on photographs: `python -m benchmarks.photographs`, or `make results-photos`.

The photographs are ELPV's solar cells, functional or defective, in grey. The weights are ImageNet's of
tf_efficientnet_lite0. Each run learns from 50 or 200 labels, or from all, with as many steps whatever their
number. The seeds have other labels, weights, order and augmentation, and the same test.

The plan is small, so that it can be measured on a CPU: images of 80 pixels, 60 steps, three seeds, 50 and 200
labels. --full is the large one: 128 pixels, 300 steps, five seeds, and all labels too, by estimate a night on
two cores. Either may be told another number of anything.

Each finished run is a line of journal.jsonl in the folder of --keep. A run that was killed goes on from its
checkpoint, and those in the journal are not made again. When all that was asked for are there, with every
row, the tables are written to benchmarks/results/photographs.md and .json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .pipelines import ROOT, deviation, in_words, mean, verdict

REPORT = ROOT / "benchmarks/results/photographs.md"
KEEP = ROOT / "runs/photographs"
JOURNAL = "journal.jsonl"
SPEC, BODY, STUDENT = (
    "pretrained:efficientnet_lite0",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_050",
)
LABELS = (200, 50, 0)  # of both classes together, in the order in which they are run; 0: all
FEW = 200  # labels of the teacher, the student and the pseudo-labels
BATCH = 32

SCRATCH, FROZEN, WHOLE = "from scratch", "frozen body", "whole model"
PLAIN, AUGMENTED = "plain", "augmented"
ALONE, DISTILLED, PSEUDO = "student alone", "student, distilled", "pseudo-labels"
TEACHER = (f"{WHOLE}, {AUGMENTED}", FEW)  # row and labels


@dataclass(frozen=True)
class Options:
    """What all runs share.

    Args:
        size: Pixels a side of the images that models see.
        steps: Number of batches that a training learns from, as nearly as whole epochs allow.
    """

    size: int = 80
    steps: int = 60


@dataclass(frozen=True)
class Plan:
    """What is run: seeds 0, 1 …, and the numbers of labels, in LABELS."""

    options: Options
    seeds: int
    labels: tuple[int, ...]


SMALL = Plan(Options(), seeds=3, labels=(200, 50))
FULL = Plan(Options(size=128, steps=300), seeds=5, labels=LABELS)


@dataclass(frozen=True, order=True)
class Job:
    """A run.

    Args:
        row: Row of the table, such as "frozen body, plain".
        labels: Labels of both classes together; 0: all.
        seed: Seed of the run.
    """

    row: str
    labels: int
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.row.replace(', ', '-').replace(' ', '-')}-{self.labels or 'all'}-{self.seed}"


def jobs(plan: Plan) -> list[Job]:
    """All runs of a plan: a seed after the other, and in each those that others need first."""
    rows = [f"{form}, {how}" for form in (WHOLE, FROZEN, SCRATCH) for how in (AUGMENTED, PLAIN)]
    labels = sorted(plan.labels, key=LABELS.index)
    found = []
    for seed in range(plan.seeds):
        for n in labels:
            found += [Job(row, n, seed) for row in rows]
            if n == FEW:
                found += [Job(row, n, seed) for row in (ALONE, DISTILLED, PSEUDO)]
    return found


# The runs


def common(job: Job, options: Options) -> dict[str, Any]:
    """Settings of all pipelines."""
    return {
        "data": "elpv", "labels": job.labels // 2, "size": options.size, "seed": job.seed,
        "batch_size": BATCH,
    }  # fmt: skip


def epochs(samples: int, options: Options) -> dict[str, int]:
    """As many passes over the samples as make the steps. A checkpoint is written every hundred steps or so."""
    an_epoch = -(-samples // BATCH)
    return {
        "epochs": max(1, round(options.steps / an_epoch)), "evaluate_every": max(1, 100 // an_epoch),
    }  # fmt: skip


def parts(job: Job, options: Options) -> Any:
    """The data of a run."""
    from augengine.pipelines import data
    from augengine.pipelines.settings import Settings

    return data.load(Settings(**common(job, options)))


def finetuned(job: Job, folder: Path, options: Options) -> float:
    from augengine.pipelines import finetune

    form, how = job.row.split(", ")
    settings = finetune.Finetune(
        model=BODY if form == SCRATCH else SPEC, frozen=form == FROZEN, output=str(folder),
        policy="none" if how == PLAIN else "", **common(job, options),
        **epochs(len(parts(job, options).labelled), options),
    )  # fmt: skip
    return finetune.run(settings, resume=begun(folder))["accuracy"]


def alone(job: Job, folder: Path, options: Options) -> float:
    from augengine.pipelines import finetune

    settings = finetune.Finetune(
        model=STUDENT, output=str(folder), **common(job, options),
        **epochs(len(parts(job, options).labelled), options),
    )  # fmt: skip
    return finetune.run(settings, resume=begun(folder))["accuracy"]


def distilled(job: Job, folder: Path, options: Options) -> float:
    from augengine.pipelines import distill

    data = parts(job, options)
    teacher = folder.parent / Job(*TEACHER, job.seed).name
    settings = distill.Distill(
        teacher=str(teacher), student=STUDENT, output=str(folder), **common(job, options),
        **epochs(len(data.labelled) + len(data.unlabelled), options),
    )  # fmt: skip
    return distill.run(settings, resume=begun(folder))["student"]


def pseudo(job: Job, folder: Path, options: Options) -> float:
    from augengine.pipelines import pseudo_label

    data = parts(job, options)
    settings = pseudo_label.PseudoLabel(
        model=SPEC, lr=3e-4, output=str(folder), **common(job, options),
        first_epochs=epochs(len(data.labelled), options)["epochs"],
        **epochs(4 * len(data.labelled) + len(data.unlabelled), options),
    )  # fmt: skip
    return float(pseudo_label.run(settings, resume=begun(folder))["accuracy"])  # type: ignore[arg-type]


def frozen_plain(job: Job, folder: Path, options: Options) -> float:
    """The head alone on plain images, whose features are the same in each epoch: they are computed once."""
    import torch
    from accelerate.utils import set_seed
    from torch.nn.functional import cross_entropy

    from augengine.pipelines.batches import batches
    from augengine.pipelines.finetune import Finetune
    from augengine.pipelines.fit import warm_cosine
    from augengine.pipelines.run import stage_seed

    data = parts(job, options)
    features = plain_features(folder.parent, options)
    settings = Finetune(**common(job, options), **epochs(len(data.labelled), options))
    set_seed(stage_seed(job.seed, "model"))
    head = torch.nn.Linear(features.shape[1], len(data.classes))
    groups = [
        {"params": [head.weight], "weight_decay": settings.weight_decay},
        {"params": [head.bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.head_lr)
    steps = settings.epochs * -(-len(data.labelled) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: warm_cosine(s, steps))
    truth = torch.from_numpy(data.truth)
    for epoch in range(settings.epochs):
        for at in batches(data.labelled, BATCH, job.seed, epoch):
            ids = data.labelled[at]
            optimizer.zero_grad()
            cross_entropy(head(features[ids]), truth[ids]).backward()
            optimizer.step()
            schedule.step()
    right = head(features[data.test]).argmax(1) == truth[data.test]
    return float(right.double().mean())


def plain_features(keep: Path, options: Options) -> Any:
    """What the pretrained body says of every photograph, [n, features]; kept in a file."""
    import numpy as np

    from augengine.pipelines import models
    from augengine.pipelines.answers import answers
    from augengine.pipelines.batches import Samples
    from augengine.pipelines.files import read_tensors, write_tensors
    from augengine.pipelines.finetune import Finetune
    from augengine.pipelines.policies import evaluation_policy
    from augengine.pipelines.run import Run

    file = keep / f"features-{options.size}.safetensors"
    if not file.exists():
        folder = keep / f"features-{options.size}-{os.getpid()}"
        settings = Finetune(data="elpv", size=options.size, model=SPEC, output=str(folder))
        run = Run(settings, "features")
        data = run.data(settings, SPEC)
        body: Any = models.create(SPEC, classes=len(data.classes), channels=data.channels)
        body.reset_classifier(0)
        body = models.freeze(body).to(run.accelerator.device)
        every = Samples.of(data, np.arange(len(data.truth)))
        found = answers(run, body, every, evaluation_policy(data))
        write_tensors(file, {"features": found}, {})
        shutil.rmtree(folder)
    return read_tensors(file, "Remove it; it is then computed anew.")[0]["features"]


def begun(folder: Path) -> bool:
    """Whether a run was killed in this folder."""
    return (folder / "config.json").exists()


RUNS: dict[str, Callable[[Job, Path, Options], float]] = {
    **{f"{form}, {how}": finetuned for form in (SCRATCH, FROZEN, WHOLE) for how in (PLAIN, AUGMENTED)},
    f"{FROZEN}, {PLAIN}": frozen_plain,
    ALONE: alone, DISTILLED: distilled, PSEUDO: pseudo,
}  # fmt: skip


def make(job: Job, keep: Path, options: Options) -> tuple[Job, float, float]:
    """Make a run, on one thread where several are made at once. Returns (job, accuracy, seconds)."""
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            accuracy = RUNS[job.row](job, keep / job.name, options)
        except Exception as error:
            error.add_note(f"{job.name}, which had said:\n{output.getvalue()}")
            raise
    return job, accuracy, time.perf_counter() - start


def made(
    todo: list[Job], keep: Path, options: Options, processes: int
) -> Iterator[tuple[Job, float, float]]:
    """The runs as they are finished; of several processes those of the students after all others, since they
    need a teacher."""
    if processes == 1:
        for job in todo:
            yield make(job, keep, options)
        return
    for phase in (False, True):
        of_phase = [job for job in todo if (job.row in (ALONE, DISTILLED, PSEUDO)) == phase]
        os.environ["OMP_NUM_THREADS"] = (
            "1"  # processes that share cores must not each take all of them
        )
        with ProcessPoolExecutor(processes, max_tasks_per_child=1) as pool:
            futures = [pool.submit(make, job, keep, options) for job in of_phase]
            for future in as_completed(futures):
                yield future.result()


# The journal

Finished = dict[Job, tuple[float, float]]  # accuracy and seconds


def read_journal(file: Path, options: Options) -> Finished:
    """What is finished. A last line that a kill has torn is cut off.

    Raises:
        ValueError: When the journal is of other options, or a line is damaged.
    """
    if not file.exists():
        return {}
    text = file.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole, "utf-8")
    finished: Finished = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            said = json.loads(line)
            job = Job(said["row"], said["labels"], said["seed"])
            accuracy, seconds = float(said["accuracy"]), float(said["seconds"])
            theirs = Options(**said["options"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file}, line {number}, is damaged ({error}). Remove that line; its run is then made anew."
            ) from None
        if theirs != options:
            raise ValueError(
                f"{file} is of {theirs}, expected {options}. Pass these options, or another --keep."
            )
        finished[job] = accuracy, seconds
    return finished


def write_line(file: Path, job: Job, accuracy: float, seconds: float, options: Options) -> None:
    line = {
        **asdict(job), "accuracy": accuracy, "seconds": round(seconds, 1), "options": asdict(options),
    }  # fmt: skip
    with open(file, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


# The tables


def claims(plan: Plan) -> list[tuple[str, int, str, str]]:
    """(what is claimed, labels, the better row, the worse row)."""
    found = []
    for n in sorted(plan.labels, key=LABELS.index):
        for how in (PLAIN, AUGMENTED):
            for form in (FROZEN, WHOLE):
                found.append(
                    (f"{form} beats from scratch, {how}", n, f"{form}, {how}", f"{SCRATCH}, {how}")
                )
        for form in (SCRATCH, FROZEN, WHOLE):
            better, worse = f"{form}, {AUGMENTED}", f"{form}, {PLAIN}"
            found.append((f"augmentation beats none, {form}", n, better, worse))
    found.append(("the distilled student beats the same student alone", FEW, DISTILLED, ALONE))
    found.append(("pseudo-labels beat labels alone", FEW, PSEUDO, f"{WHOLE}, {AUGMENTED}"))
    return found


def results(finished: Finished) -> dict[tuple[str, int], list[float]]:
    """Accuracies of the seeds in their order, by row and labels in the order of the tables."""
    wanted = dict.fromkeys((job.row, job.labels) for job in jobs(FULL))
    return {
        key: [finished[job][0] for job in sorted(finished) if (job.row, job.labels) == key]
        for key in wanted
    }


def report(finished: Finished, plan: Plan) -> str:
    """The tables as Markdown."""
    import timm
    import torch

    import augengine as ae
    from augengine.demo import measure

    minutes = sum(seconds for _, seconds in finished.values()) / 60
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else measure.machine()
    rows, options = results(finished), plan.options
    counts = [len(found) for found in rows.values() if found]
    told = f"--seeds {plan.seeds} --labels {' '.join(map(str, plan.labels))} --size {options.size}"
    lines = [
        "# Pretrained weights on photographs", "",
        f"`python -m benchmarks.photographs {told} --steps {options.steps}`: {in_words(counts)}, "
        f"{len(finished)} runs that took {minutes:,.0f} minutes one after the other, on a machine that others "
        f"used too. {device}, torch "
        f"{torch.__version__}, timm {timm.__version__}, augengine {ae.__version__}, Python "
        f"{platform.python_version()}.", "",
        f"ELPV's photographs of solar cells at {options.size} pixels a side, functional (57.6 % of the "
        "test) or defective. "
        f"Weights of tf_efficientnet_lite0 (ImageNet) against random ones. {options.steps} steps of {BATCH} "
        "whatever the number of labels. Accuracy on the test in %, mean ± standard deviation over seeds, "
        "then each seed. Settings are the defaults of `augengine train`, but where benchmarks/photographs.py "
        "names others; none was chosen on the test. The test is read when a training is finished.",
    ]  # fmt: skip
    for n in sorted(plan.labels, key=LABELS.index):
        lines += ["", f"## {f'{n} labels' if n else 'All labels'}", ""]
        lines += ["| | mean | ± | seeds |", "|---|---:|---:|---|"]
        for (row, labels), found in rows.items():
            if labels == n and found:
                each = ", ".join(f"{100 * value:.1f}" for value in found)
                lines.append(f"| {row} | {mean(found):.1f} | {deviation(found)} | {each} |")
    lines += ["", "## What was asked", ""]
    lines += [
        "| | labels | difference | ± | seeds in which | holds |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for text, n, better, worse in claims(plan):
        both = sorted(
            {j.seed for j in finished if (j.row, j.labels) == (better, n)}
            & {j.seed for j in finished if (j.row, j.labels) == (worse, n)}
        )
        if not both:
            continue
        gains = [
            finished[Job(better, n, seed)][0] - finished[Job(worse, n, seed)][0] for seed in both
        ]
        lines.append(
            f"| {text} | {n or 'all'} | {mean(gains):+.1f} | {deviation(gains)} | "
            f"{sum(gain > 0 for gain in gains)} of {len(gains)} | "
            f"{verdict(text, gains)} |"
        )
    lines += ["", "A claim holds if its mean difference is above two of its standard errors."]
    return "\n".join(lines) + "\n"


def as_json(finished: Finished, plan: Plan) -> str:
    """All figures, for other programs."""
    runs = [
        {**asdict(job), "accuracy": accuracy, "seconds": seconds}
        for job, (accuracy, seconds) in sorted(finished.items())
    ]
    return json.dumps({"plan": asdict(plan), "runs": runs}, indent=2) + "\n"


def main(told: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the large plan")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--size", type=int, help="pixels a side")
    parser.add_argument("--steps", type=int, help="of each training")
    parser.add_argument("--only", nargs="*", choices=[*RUNS], default=[*RUNS], help="rows")
    parser.add_argument("--labels", nargs="*", type=int, choices=LABELS, help="0: all")
    parser.add_argument("--keep", type=Path, default=KEEP, help="the folder of journal and runs")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--finished", action="store_true", help="make no run: write the tables of what is finished"
    )
    arguments = parser.parse_args(told)
    plan = FULL if arguments.full else SMALL
    options = Options(arguments.size or plan.options.size, arguments.steps or plan.options.steps)
    plan = Plan(options, arguments.seeds or plan.seeds, tuple(arguments.labels or plan.labels))
    arguments.keep.mkdir(parents=True, exist_ok=True)
    journal = arguments.keep / JOURNAL
    finished = read_journal(journal, options)
    wanted = [job for job in jobs(plan) if job.row in arguments.only]
    todo = [job for job in wanted if job not in finished and not arguments.finished]
    for job, accuracy, seconds in made(todo, arguments.keep, options, arguments.processes):
        write_line(journal, job, accuracy, seconds, options)
        if (job.row, job.labels) != TEACHER:
            shutil.rmtree(arguments.keep / job.name, ignore_errors=True)
        finished[job] = accuracy, round(seconds, 1)
        print(f"{job.name}: {100 * accuracy:.1f} %, {seconds:.0f} s", flush=True)
    # The journal may have more than was asked for.
    finished = {job: finished[job] for job in wanted if job in finished}
    text = report(finished, plan)
    print(text)
    if set(arguments.only) == set(RUNS):
        REPORT.write_text(text, "utf-8")
        REPORT.with_suffix(".json").write_text(as_json(finished, plan), "utf-8")
        print(f"written to {REPORT} and {REPORT.with_suffix('.json').name}")
    else:
        print("nothing is written, since not every row was asked for")


if __name__ == "__main__":
    main()
