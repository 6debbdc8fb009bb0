"""How strong should augmentation be, and who says so: `python -m benchmarks.strength --seeds 5`.

A small network learns from 20 labels a class under two policies: a broad one, and one that is two to four
times too broad. Under each the strength is fixed, drawn (`Uniform`), or follows the model's answers
(Feedback and EntAugment, which are written here). All methods see the same images in the same order, and
the same draws at other strengths. Nothing is chosen by the test images: they only give the figures.
Feedback's target was set before, and so was what it must reach to become part of the package.

Each finished run is a line of a journal, so a command that was ended goes on where it stood, and ends
with the same table: benchmarks/results/strength.json and strength.md. The journal goes once these are
written. A run takes some 12 seconds of a core.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

    from augengine.aliases import StrengthSchedule
    from augengine.pipelines.data import Data
    from augengine.plan import Plan

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks/results"
JOURNAL = RESULTS / "strength.jsonl"
STEPS, BATCH, LR, WEIGHT_DECAY = 600, 64, 3e-3, 0.05
# Of Feedback: the accuracy that it keeps, the samples in which a level goes from 0 to 1 (a twelfth of all), the
# decay of the accuracy's average.
TARGET, WINDOW, BETA = 0.92, 3200, 0.9
ENT_WARM_UP = 10  # epochs without augmentation, as published
UNIFORM, FEEDBACK, ENT = "Uniform", f"Feedback({TARGET})", "EntAugment"
FIXED = {"fixed 1/4": 0.25, "fixed 1/2": 0.5, "fixed 1": 1.0}
METHODS = (*FIXED, UNIFORM, FEEDBACK, ENT)
# The arguments of RandomAffine: degrees, translate, scale, shear.
POLICIES: dict[str, tuple[float, tuple[float, float], tuple[float, float], float]] = {
    "broad": (60, (0.25, 0.25), (0.5, 1.5), 40),
    "too broad": (180, (0.4, 0.4), (0.3, 2), 60),
}


@dataclass(frozen=True)
class Job:
    """A run: what is trained on what, and how."""

    data: str
    labels: int  # of each class; 0: all
    size: int  # pixels a side; 0: the data's own
    policy: str  # in POLICIES
    method: str  # in METHODS
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    accuracy: float  # on the test images
    strength: float  # the mean in the last epoch
    seconds: float


class Feedback:
    """Strengths drawn uniformly from 0 to min(1, 2 · level), the level moved by the model's answers:

        accuracy ← BETA · accuracy + (1 − BETA) · share of right answers in the step
        level ← level + n / WINDOW · sign(accuracy − TARGET), within [0, 1]

    with n answers in the step, all to augmented samples. The level begins at 0, and accuracy at the target.
    It is the loop of StyleGAN2-ADA with TrivialAugment's spread.
    """

    def __init__(self, seed: int) -> None:
        self.level = 0.0
        self._seed, self._excess = seed, 0.0  # of the accuracy over the target

    def __call__(self, epoch: int, ids: np.ndarray) -> np.ndarray:
        import augengine as ae

        return ae.Uniform()(epoch, ids, self._seed) * min(1.0, 2 * self.level)

    def update(self, plan: Plan, logits: torch.Tensor, labels: torch.Tensor) -> None:
        right = (logits.argmax(1) == labels).double().mean().item()
        self._excess = BETA * self._excess + (1 - BETA) * (right - TARGET)
        step = len(labels) / WINDOW * ((self._excess > 0) - (self._excess < 0))
        self.level = min(1.0, max(0.0, self.level + step))


class EntAugment:
    """The strength of a sample by the entropy of the model's last answer to it: 1 − H / ln K (ECCV 2024).

    Samples that were not answered yet, and all in the first epochs, have strength 0.
    """

    def __init__(self, samples: int) -> None:
        import numpy as np

        self._strength = np.zeros(samples)

    def __call__(self, epoch: int, ids: np.ndarray) -> np.ndarray:
        return self._strength[ids] * (epoch >= ENT_WARM_UP)

    def update(self, plan: Plan, logits: torch.Tensor, labels: torch.Tensor) -> None:
        import torch

        log_p = torch.log_softmax(logits.detach().double(), 1)
        entropy = -(log_p.exp() * log_p).sum(1)
        share = 1 - entropy / torch.log(torch.tensor(float(logits.shape[1])))
        self._strength[plan.ids] = share.clamp(0, 1).numpy()


def strength_of(
    method: str, samples: int, seed: int
) -> tuple[StrengthSchedule, Callable[[Plan, torch.Tensor, torch.Tensor], None]]:
    """A method's strength, and what it is told of each step."""
    import augengine as ae

    if method == FEEDBACK:
        feedback = Feedback(seed)
        return feedback, feedback.update
    if method == ENT:
        entropy = EntAugment(samples)
        return entropy, entropy.update
    return ae.Uniform() if method == UNIFORM else FIXED[method], lambda *_: None


def load(job: Job) -> Data:
    from augengine.pipelines import data
    from augengine.pipelines.settings import Settings

    return data.load(Settings(data=job.data, labels=job.labels, size=job.size, seed=job.seed))


def network(classes: int, channels: int, size: int) -> torch.nn.Module:
    """Two convolutions and a layer of answers: for 28×28 grey images 29 thousand parameters."""
    from torch import nn

    side = (size + 3) // 4  # each convolution halves it, rounded up
    return nn.Sequential(
        *(nn.Conv2d(channels, 16, 5, stride=2, padding=2), nn.ReLU()),
        *(nn.Conv2d(16, 32, 5, stride=2, padding=2), nn.ReLU(), nn.Flatten()),
        nn.Linear(32 * side**2, classes),
    )


def train(job: Job, steps: int = STEPS) -> Outcome:
    """Make a run, on one thread."""
    import numpy as np
    import torch
    from torch.nn.functional import cross_entropy

    import augengine as ae
    from augengine.pipelines.batches import batches
    from augengine.pipelines.fit import warm_cosine
    from augengine.pipelines.policies import evaluation_policy

    start = time.perf_counter()
    torch.set_num_threads(1)
    torch.manual_seed(job.seed)
    data = load(job)
    truth, ids = torch.from_numpy(data.truth), data.labelled
    images = data.images if isinstance(data.images, np.ndarray) else list(data.images)

    def pictures(some: np.ndarray) -> Any:
        return images[some] if isinstance(images, np.ndarray) else [images[i] for i in some]

    degrees, translate, scale, shear = POLICIES[job.policy]
    affine = ae.RandomAffine(degrees, translate=translate, scale=scale, shear=shear)
    normalize = ae.Normalize(data.mean, data.std)
    policy = ae.Policy([ae.Resize((data.size, data.size)), affine, normalize])
    strength, update = strength_of(job.method, len(truth), job.seed)
    engine = ae.Engine(policy, seed=job.seed, strength=strength)

    model = network(len(data.classes), data.channels, data.size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: warm_cosine(k, steps))
    size = min(BATCH, len(ids))
    an_epoch = len(ids) // size  # what is left over comes in another epoch
    step, drawn = 0, []
    while step < steps:
        epoch = step // an_epoch
        order = np.concatenate(batches(ids, size, job.seed, epoch))
        drawn = []
        for part in order[: an_epoch * size].reshape(an_epoch, size)[: steps - step]:
            some = ids[part]
            batch = engine(pictures(some), ids=some, epoch=epoch)
            logits, labels = model(batch.images), truth[some]
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(logits, labels).backward()
            optimizer.step()
            schedule.step()
            update(batch.plan, logits, labels)
            drawn.append(batch.plan.strength)
            step += 1

    model.eval()
    test = ae.Engine(evaluation_policy(data))
    with torch.no_grad():
        right = [
            model(test(pictures(part)).images).argmax(1) == truth[part]
            for part in np.array_split(data.test, -(-len(data.test) // 250))
        ]
    return Outcome(
        accuracy=torch.cat(right).double().mean().item(),
        strength=float(np.concatenate(drawn).mean()),
        seconds=time.perf_counter() - start,
    )


# The journal: a line of JSON for each finished run.


def read_journal(file: Path) -> dict[Job, Outcome]:
    """The runs that are finished. A line that was cut by a kill is made again."""
    found = {}
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        try:
            parts = json.loads(line)
            found[Job(**parts["job"])] = Outcome(**parts["outcome"])
        except (ValueError, TypeError, KeyError):
            print(f"{file}: {line[:80]!r} is no finished run, and is made again")
    return found


def note(file: Path, job: Job, outcome: Outcome) -> None:
    """Add a finished run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    torn = file.exists() and not file.read_bytes().endswith(b"\n")
    with file.open("a", encoding="utf-8") as stream:
        line = json.dumps({"job": asdict(job), "outcome": asdict(outcome)})
        stream.write("\n" * torn + line + "\n")
        stream.flush()
        os.fsync(stream.fileno())


# The report


def mean(values: list[float]) -> float:
    """The mean in %."""
    return 100 * statistics.fmean(values)


def spread(values: list[float]) -> float:
    """The standard deviation in %."""
    return 100 * statistics.stdev(values) if len(values) > 1 else 0.0


Outcomes = dict[str, dict[str, list[Outcome]]]  # by policy, method and seed


def gains(outcomes: dict[str, list[Outcome]], method: str, other: str) -> list[float]:
    """By how much a method's accuracy is above another's, for each seed."""
    pairs = zip(outcomes[method], outcomes[other], strict=True)
    return [one.accuracy - another.accuracy for one, another in pairs]


def report(outcomes: Outcomes, told: dict[str, Any]) -> str:
    """The tables as Markdown."""
    said = f"a standard deviation over {told['seeds']} seeds (other labels, weights, order and augmentation)"
    lines = [
        "# Strength", "",
        f"`{told['command']}`: {told['seeds']} seeds, {told['seconds'] / 60:.0f} minutes of one core. "
        f"{told['machine']}, {told['versions']}.", "",
        f"{told['data']}, with {told['labels']} a class labelled; two convolutions and a linear layer, AdamW, "
        f"{STEPS} steps of {BATCH}. Test accuracy in %, ± {said}. All methods of a seed share labels, weights, "
        "order and draws. Nothing was chosen by the test images.",
    ]  # fmt: skip
    for policy, methods in outcomes.items():
        degrees, translate, scale, shear = POLICIES[policy]
        lines += [
            "", f"## {policy.capitalize()}", "",
            f"`RandomAffine({degrees}, translate={translate}, scale={scale}, shear={shear})`", "",
            "| strength | mean | ± | above Uniform, seed by seed | ± | mean strength at the end | seeds |",
            "|---|---:|---:|---:|---:|---:|---|",
        ]  # fmt: skip
        for method, runs in methods.items():
            accuracies, above = [run.accuracy for run in runs], gains(methods, method, UNIFORM)
            each = ", ".join(f"{100 * value:.1f}" for value in accuracies)
            difference = (
                ("", "") if method == UNIFORM else (f"{mean(above):+.1f}", f"{spread(above):.1f}")
            )
            lines.append(
                f"| {method} | {mean(accuracies):.1f} | {spread(accuracies):.1f} | {' | '.join(difference)} | "
                f"{statistics.fmean(run.strength for run in runs):.2f} | {each} |"
            )
    lines += ["", "## What was asked of Feedback before it was run", ""]
    lines += ["| | difference | ± | seeds above | holds |", "|---|---:|---:|---:|---|"]
    for text, above, holds in claims(outcomes):
        ahead = f"{sum(gain > 0 for gain in above)} of {len(above)}"
        lines.append(
            f"| {text} | {mean(above):+.1f} | {spread(above):.1f} | {ahead} | {'yes' if holds else '**no**'} |"
        )
    return "\n".join(lines) + "\n"


def claims(outcomes: Outcomes) -> list[tuple[str, list[float], bool]]:
    """(what is asked, Feedback's accuracy above another's for each seed, whether it holds)."""
    wanted = [
        ("broad", UNIFORM, -0.5, "at most 0.5 below Uniform where its range is right"),
        ("too broad", UNIFORM, 1.0, "1 or more above Uniform where it is too broad"),
        ("too broad", "fixed 1", 5.0, "5 or more above the whole strength where it is too broad"),
        ("broad", ENT, 0.0, "at least EntAugment, broad"),
        ("too broad", ENT, 0.0, "at least EntAugment, too broad"),
    ]
    listed = []
    for policy, other, least, text in wanted:
        above = gains(outcomes[policy], FEEDBACK, other)
        listed.append((text, above, mean(above) >= least))
    return listed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", default="digits", help="digits, cifar10, or a folder of classes")
    parser.add_argument("--labels", type=int, default=20, help="of each class; 0: all")
    parser.add_argument("--size", type=int, default=0, help="pixels a side; 0: the data's own")
    parser.add_argument(
        "--journal", type=Path, default=JOURNAL, help="where finished runs are noted"
    )
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "strength", help="without a suffix"
    )
    arguments = parser.parse_args()
    # Small batches gain nothing by more threads.
    os.environ["OMP_NUM_THREADS"] = "1"
    from rich.progress import track

    import augengine as ae
    from augengine.demo import measure
    from augengine.pipelines.files import write_json, written

    # A seed after the other, so that what stands after a kill is of all methods.
    jobs = [
        Job(arguments.data, arguments.labels, arguments.size, policy, method, seed)
        for seed in range(arguments.seeds)
        for policy in POLICIES
        for method in METHODS
    ]
    known = read_journal(arguments.journal)
    for job in track([job for job in jobs if job not in known], "training"):
        known[job] = train(job)
        note(arguments.journal, job, known[job])
        print(
            f"{job.policy}, {job.method}, seed {job.seed}: {100 * known[job].accuracy:.1f} %, "
            f"{known[job].seconds:.0f} s"
        )
    outcomes: Outcomes = {policy: {method: [] for method in METHODS} for policy in POLICIES}
    for job in jobs:
        outcomes[job.policy][job.method].append(known[job])
    import torch

    told = {
        "command": f"python -m benchmarks.strength --seeds {arguments.seeds}"
        + (f" --data {Path(arguments.data).name}" if arguments.data != "digits" else "")
        + (f" --labels {arguments.labels}" if arguments.labels != 20 else "")
        + (f" --size {arguments.size}" if arguments.size else ""),
        "seeds": arguments.seeds,
        "seconds": sum(known[job].seconds for job in jobs),
        "machine": measure.machine(),
        "versions": f"torch {torch.__version__}, augengine {ae.__version__}, Python "
        f"{platform.python_version()}",
        "data": load(jobs[0]).summary.splitlines()[0],
        "labels": arguments.labels or "all",
    }
    text = report(outcomes, told)
    print(text)
    runs = [{**asdict(job), **asdict(known[job])} for job in jobs]
    write_json(arguments.output.with_suffix(".json"), {**told, "runs": runs})
    with written(arguments.output.with_suffix(".md")) as partial:
        partial.write_text(text, "utf-8")
    arguments.journal.unlink(
        missing_ok=True
    )  # so that the next command measures, and does not remember
    print(f"written to {arguments.output}.json and .md")


if __name__ == "__main__":
    main()
