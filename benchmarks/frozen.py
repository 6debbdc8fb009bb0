"""Why a frozen body loses to a model from scratch on the digits: `python -m benchmarks.frozen`.

A digitnet_16 learns some digits from all their labels. Its body is then frozen, and a head on it learns other
digits, 20 labels of each, augmented. Each experiment changes one thing: BatchNorm's statistics, the head, the
layer whose features the head sees, the classes of the source, and the source's augmentation.

A frozen body answers an augmented image always alike, so its features of all epochs are computed once, and all
heads learn from them. Accuracy is on validation images, by which learning rates are chosen where the row says
so, and on the test, by which nothing is. A finished body is a line of a journal; a run that was killed goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .journal import Journal
from .pipelines import ROOT, deviation, in_words, mean, versions, watched

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn

    from augengine.pipelines.data import Data

REPORT = ROOT / "benchmarks/results/frozen.md"
KEEP = ROOT / "runs/frozen"
SEEDS = 3
MODEL, VALIDATION, BATCH = "digitnet_16", 0.2, 32
BODY_EPOCHS, EPOCHS, HEAD_LR = 15, 60, 1e-2
HEAD_LRS = (1e-3, 3e-3, 1e-2, 3e-2)
HIDDEN = 128  # of the head of two layers

OWN, BATCHES, RENEWED = "the source's", "each batch's", "re-estimated"
# Which of the features the head sees: places in what `layers` returns.
LAST, EVERY, LAST_MAP, MIDDLE_MAP = (3,), (0, 1, 2, 3), (4,), (5,)
LINEAR, TWO = "linear", "two layers"


class Body(NamedTuple):
    """What is learned first, and what then: digits as --classes takes them, and a policy of the source."""

    source: str = "0-4"
    target: str = "5-9"
    policy: str = ""


class Row(NamedTuple):
    """A head on a frozen body.

    Args:
        text: What the row is called.
        body: What the body has learned.
        statistics: Whose statistics BatchNorm takes.
        layers: What the head sees: LAST, EVERY, LAST_MAP or MIDDLE_MAP.
        head: Of one layer or of two.
        chosen: Whether the head's learning rate is chosen by the validation images.
    """

    text: str
    body: Body = Body()
    statistics: str = OWN
    layers: tuple[int, ...] = LAST
    head: str = LINEAR
    chosen: bool = False


FIRST, EVEN = Body(), Body("0,2,4,6,8", "1,3,5,7,9")
TABLES: dict[str, tuple[Row, ...]] = {
    "As `augengine train finetune --frozen` has it": (Row("frozen body"),),
    "BatchNorm's statistics": (
        Row("of each batch, then their average", statistics=BATCHES),
        Row("re-estimated on the new digits' images", statistics=RENEWED),
    ),
    "The head": (
        Row("linear, its learning rate chosen", chosen=True),
        Row(f"two layers, {HIDDEN} hidden, its learning rate chosen", head=TWO, chosen=True),
    ),
    "The layers that the head sees": (
        Row("means of all blocks, linear", layers=EVERY, chosen=True),
        Row("means of all blocks, two layers", layers=EVERY, head=TWO, chosen=True),
        Row(
            "means of all blocks, two layers, statistics re-estimated",
            statistics=RENEWED, layers=EVERY, head=TWO, chosen=True,
        ),
        Row("the last block before its mean (4 × 4), linear", layers=LAST_MAP, chosen=True),
        Row("the block below before its mean (7 × 7), linear", layers=MIDDLE_MAP, chosen=True),
    ),
    "The source's classes": (
        Row("0 and 1", Body("0-1")),
        Row("the even digits, for the odd ones", EVEN),
        Row("all ten, those to be learned among them", Body("0-9")),
    ),
    "The source's augmentation": (
        Row("none", Body(policy="none")),
        Row("with TrivialAugment", Body(policy="trivialaugment")),
    ),
}  # fmt: skip
SCRATCH, WHOLE = "from scratch", "whole model"
WHOLES = ((SCRATCH, FIRST), (WHOLE, FIRST), (SCRATCH, EVEN))  # that are trained as a whole


def bodies() -> list[Body]:
    """All bodies, in the order of their first rows."""
    return list(dict.fromkeys(row.body for rows in TABLES.values() for row in rows))


def whole_name(form: str, body: Body) -> str:
    return f"{form}, {body.target.replace(',', ' ')}"


# The runs

Accuracy = tuple[float, float]  # on the validation images, and on the test's


def make(body: Body, seed: int, folder: Path) -> dict[str, Accuracy]:
    """Train a body, all heads on it, and the whole models beside it."""
    from augengine.pipelines import data, finetune, models
    from augengine.pipelines.settings import Settings

    common = {
        "cpu": True, "seed": seed, "model": MODEL, "validation": VALIDATION, "batch_size": BATCH,
        "epochs": EPOCHS, "evaluate_every": EPOCHS,
    }  # fmt: skip
    source = folder / "source"
    trained(source, finetune.Finetune(
        output=str(source), labels=0, classes=body.source, policy=body.policy,
        **{**common, "epochs": BODY_EPOCHS, "batch_size": 2 * BATCH},
    ))  # fmt: skip
    found = {}
    for form, of in WHOLES:
        if of == body:
            carried = {"model": str(source), "body_lr": 0.5} if form == WHOLE else {}
            settings = finetune.Finetune(
                output=str(folder / form), classes=body.target, **{**common, **carried}
            )
            found[whole_name(form, of)] = trained(folder / form, settings)
    target = data.load(Settings(classes=body.target, validation=VALIDATION, seed=seed))
    model = models.create(str(source), classes=len(target.classes), channels=1)
    rows = [row for table in TABLES.values() for row in table if row.body == body]
    for statistics in dict.fromkeys(row.statistics for row in rows):
        seen = features(models.freeze(model), target, seed, statistics)
        for row in rows:
            if row.statistics == statistics:
                found[row.text] = head(row, seen, target, seed)
    return found


def trained(folder: Path, settings: Any) -> Accuracy:
    """A run of finetune, begun or gone on with."""
    from augengine.pipelines import finetune

    done = finetune.run(settings, resume=(folder / "config.json").exists())
    return watched(folder), done["accuracy"]


class Seen(NamedTuple):
    """Features by layer: of the labelled images in every epoch [epochs, n, …], and of the others [n, …]."""

    learned: list[torch.Tensor]
    validation: list[torch.Tensor]
    test: list[torch.Tensor]


def features(model: nn.Module, data: Data, seed: int, statistics: str) -> Seen:
    """What a frozen body says of augmented labelled images, and of plain validation and test images."""
    import numpy as np
    import torch

    import augengine as ae
    from augengine.pipelines.batches import batches
    from augengine.pipelines.policies import default_policy, evaluation_policy

    model = copy.deepcopy(model)
    augment = ae.Engine(default_policy(data), seed=seed)
    plain = ae.Engine(evaluation_policy(data))
    images = np.asarray(data.images)

    def drawn(epoch: int, ids: np.ndarray) -> torch.Tensor:
        return augment(images[ids], ids=ids, epoch=epoch).images

    if statistics == RENEWED:
        every = np.concatenate([data.labelled, data.unlabelled])
        renew(model, [drawn(EPOCHS, every[at]) for at in batches(every, 128, seed, EPOCHS)])
    model.train(statistics == BATCHES)
    learned = []
    for epoch in range(EPOCHS):
        # With statistics of its own a batch is that which the head will see.
        order = batches(data.labelled, BATCH, seed, epoch)
        parts = [layers(model, drawn(epoch, data.labelled[at])) for at in order]
        back = torch.from_numpy(np.argsort(np.concatenate(order)))
        learned.append([torch.cat(layer)[back] for layer in zip(*parts, strict=True)])
    model.eval()

    def answered(ids: np.ndarray) -> list[torch.Tensor]:
        parts = [
            layers(model, plain(images[part], ids=part, epoch=0).images)
            for part in np.array_split(ids, -(-len(ids) // 256))
        ]
        return [torch.cat(layer) for layer in zip(*parts, strict=True)]

    stacked = [torch.stack(layer) for layer in zip(*learned, strict=True)]
    return Seen(stacked, answered(data.validation), answered(data.test))


def renew(model: nn.Module, images: list[torch.Tensor]) -> None:
    """Let BatchNorm's statistics be the mean of those of these batches. The model answers afterwards."""
    import torch

    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # all batches count alike
    model.train()
    with torch.no_grad():
        for batch in images:
            model(batch)
    model.eval()


def layers(model: Any, images: torch.Tensor) -> list[torch.Tensor]:
    """What a body says of n images, [n, features] each: the means over the stem's channels and over each
    block's, of which timm's head sees the last; then the last block's and the middle one's without a mean."""
    import torch

    with torch.no_grad():
        maps = [model.stem(images)]
        for stage in model.stages:
            maps.append(stage(maps[-1]))
    return [*(x.mean((2, 3)) for x in maps), maps[3].flatten(1), maps[2].flatten(1)]


def head(row: Row, seen: Seen, data: Data, seed: int) -> Accuracy:
    """The best head by the validation images, of those that the row allows."""
    results = [
        one_head(row, seen, data, seed, lr) for lr in (HEAD_LRS if row.chosen else (HEAD_LR,))
    ]
    return max(results, key=lambda result: result[0])


def one_head(row: Row, seen: Seen, data: Data, seed: int, lr: float) -> Accuracy:
    import torch
    from torch.nn.functional import cross_entropy

    from augengine.pipelines.batches import batches
    from augengine.pipelines.fit import warm_cosine

    def together(found: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat([found[layer] for layer in row.layers], -1)

    learned = together(seen.learned)
    # Features differ in scale. They are brought to one, but for those that hardly ever move.
    deviation = learned.flatten(0, 1).std(0)
    scale = 1.0 if row.layers == LAST else deviation.clamp_min(0.1 * deviation.mean())
    width, classes = learned.shape[-1], len(data.classes)
    torch.manual_seed(seed)
    model: nn.Module = torch.nn.Linear(width, classes)
    if row.head == TWO:
        model = torch.nn.Sequential(
            torch.nn.Linear(width, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, classes)
        )
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    steps = EPOCHS * -(-len(data.labelled) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: warm_cosine(s, steps))
    truth = torch.from_numpy(data.truth)
    for epoch in range(EPOCHS):
        for at in batches(data.labelled, BATCH, seed, epoch):
            optimizer.zero_grad()
            logits = model(learned[epoch, at] / scale)
            cross_entropy(logits, truth[data.labelled[at]]).backward()
            optimizer.step()
            schedule.step()

    def right(found: list[torch.Tensor], ids: np.ndarray) -> float:
        with torch.no_grad():
            answers = model(together(found) / scale).argmax(1)
        return float((answers == truth[ids]).double().mean())

    return right(seen.validation, data.validation), right(seen.test, data.test)


# The tables


def report(journal: Journal, seeds: int) -> str:
    """The tables as Markdown."""
    finished = [
        journal.done[name(body, seed)] for body, seed in jobs(seeds) if name(body, seed) in journal.done
    ]  # fmt: skip
    found: dict[str, list[Accuracy]] = {}
    for job in finished:
        for row, accuracy in job["rows"].items():
            found.setdefault(row, []).append(accuracy)
    minutes = sum(job["seconds"] for job in finished) / 60
    counts = in_words([len(values) for values in found.values()])
    lines = [
        "# A frozen body on the digits", "",
        f"`python -m benchmarks.frozen --seeds {seeds}`: {counts}, {minutes:.0f} minutes of one thread, on a "
        f"machine that others used too. {versions()}.", "",
        f"A {MODEL} learns some digits from all their labels, {BODY_EPOCHS} epochs, augmented. Its body is "
        f"then frozen, and a head on it learns other digits from 20 labels a class, augmented, {EPOCHS} "
        "epochs. Unless a row says otherwise the source is 0–4, the new digits are 5–9, the head is linear on "
        f"the last block's features, its learning rate {HEAD_LR}. Accuracy in %, mean ± standard deviation "
        "over seeds, on the validation images, by which learning rates are chosen where a row says so, and on "
        "the test, by which nothing is.", "",
        "| | validation | ± | test | ± | test, each seed |", "|---|---:|---:|---:|---:|---|",
    ]  # fmt: skip
    tables: dict[str, list[str]] = {
        "Beside it": [whole_name(form, body) for form, body in WHOLES],
        **{title: [row.text for row in rows] for title, rows in TABLES.items()},
    }
    for title, rows in tables.items():
        lines.append(f"| **{title}** | | | | | |")
        for row in (row for row in rows if row in found):
            validation, test = (list(part) for part in zip(*found[row], strict=True))
            each = ", ".join(f"{100 * value:.1f}" for value in test)
            lines.append(
                f"| {row} | {mean(validation):.1f} | {deviation(validation)} | {mean(test):.1f} | "
                f"{deviation(test)} | {each} |"
            )
    return "\n".join(lines) + "\n"


def name(body: Body, seed: int) -> str:
    """The name of a job."""
    return f"{body.source} to {body.target}, {body.policy or 'usual'}, seed {seed}"


def jobs(seeds: int) -> Iterator[tuple[Body, int]]:
    """All jobs, the body of most rows first."""
    for some in (bodies()[:1], bodies()[1:]):
        yield from ((body, seed) for seed in range(seeds) for body in some)


def main(told: list[str] | None = None, make: Callable[..., dict[str, Accuracy]] = make) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--keep", type=Path, default=KEEP, help="the folder of journal and runs")
    parser.add_argument("--output", type=Path, default=REPORT)
    parser.add_argument(
        "--finished", action="store_true", help="make no run: write the tables of what is finished"
    )
    arguments = parser.parse_args(told)
    journal = Journal(arguments.keep / "journal.jsonl", {"model": MODEL, "epochs": EPOCHS})
    for body, seed in jobs(arguments.seeds):
        job = name(body, seed)
        if job in journal.done or arguments.finished:
            continue
        start = time.perf_counter()
        folder = arguments.keep / job.replace(" ", "-")
        with contextlib.redirect_stdout(io.StringIO()):
            rows = make(body, seed, folder)
        journal.add(job, {"rows": rows, "seconds": round(time.perf_counter() - start, 1)})
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{job}: {rows}", flush=True)
    text = report(journal, arguments.seeds)
    print(text)
    arguments.output.write_text(text, "utf-8")
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    main()
