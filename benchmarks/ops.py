"""What each operation costs: `python -m benchmarks.ops`, two minutes on one core, writes
benchmarks/results/ops.json, from which the site's pages have their µs.

A batch of photographs is resized to 224² and normalised, with the operation and without it, by turns. The cost
is the difference of the fastest rounds, since what else runs on a machine only adds time. Even and odd rounds
give a figure each: half their distance is the spread, and rounds are added while it is large. What crops or
sizes stands in the place of the resize, and its whole time is given. An operation with a probability
always happens.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import augengine as ae
from augengine.demo import machine, measure

from . import images

RESULT = Path(__file__).resolve().parent / "results/ops.json"
BATCH, OUTPUT = 32, 224
MOST_REPEATS, LEAST_SPREAD = 8, 3.0  # of the rounds; in µs
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# What must be given, and what costs nothing as it stands.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "CenterCrop": {"size": 224},
    "ColorJitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "FixedSizeCrop": {"size": 224},
    "JPEG": {"quality": (40, 90)},
    "LetterBox": {"size": 224},
    "RandomAdjustSharpness": {"sharpness_factor": 2},
    "RandomAffine": {"degrees": 15, "translate": (0.1, 0.1), "scale": (0.9, 1.1), "shear": 5},
    "RandomCrop": {"size": 224},
    "RandomPosterize": {"bits": 4},
    "RandomResizedCrop": {"size": 224},
    "RandomRotation": {"degrees": 15},
    "RandomSolarize": {"threshold": "#80"},
    "Resize": {"size": (224, 224)},
}
# In the place of the resize: these make one size of all.
SIZING = ("CenterCrop", "FixedSizeCrop", "LetterBox", "RandomCrop", "RandomResizedCrop", "Resize")
# Those that have no cost of their own, and why.
INSIDE = "it costs what the operations inside it cost"
NO_PIXEL = "it changes no pixel"
LEFT_OUT = {
    **dict.fromkeys(
        ("Compose", "DuringEpochs", "OneOf", "RandomApply", "RandomChoice", "RandomOrder", "Scheduled"),
        INSIDE,
    ),
    "SomeOf": INSIDE,
    **dict.fromkeys(
        ("ConvertImageDtype", "PILToTensor", "ToDtype", "ToImage", "ToPureTensor", "ToTensor"), NO_PIXEL
    ),
    **dict.fromkeys(("FiveCrop", "TenCrop"), "it stands for several views, each drawn for itself"),
    **dict.fromkeys(("Lambda", "Stage"), "it costs what your function costs"),
    "Grayscale": "the output has another number of channels then",
    "Normalize": "it is part of the pass that draws the batch, and of what is compared with",
    "RGB": "it copies a channel of grey images, which these are not",
    **dict.fromkeys(("Pad", "PadIfSmaller", "PadToLargest"), "it costs what the larger output costs"),
    **dict.fromkeys(
        ("RandomResize", "RandomShortestSize", "ScaleJitter"),
        "outputs of other sizes are other work; of one size it is a Resize",
    ),
    "RandomIoUCrop": "it reads boxes, so its cost depends on how many there are",
}  # fmt: skip


def example(name: str) -> ae.Op:
    """The operation as it is measured."""
    kind = getattr(ae, name)
    arguments = dict(ARGUMENTS.get(name, {}))
    if "p" in inspect.signature(kind).parameters:
        arguments["p"] = 1
    return kind(**arguments)


def measured(name: str, batch: list[Any], rounds: int) -> dict[str, Any]:
    """µs of an image with the operation beyond those without it, or in all, and the operation as code."""
    op = example(name)
    resize, normalize = ae.Resize((OUTPUT, OUTPUT)), ae.Normalize(MEAN, STD)
    # What turns or measures is done before the resize; a mix, and what is not fused, behind it.
    behind = op.stages[1] > 0
    steps = [resize, op] if behind else [op] if name in SIZING else [op, resize]
    labels, ids = list(range(len(batch))), range(len(batch))

    def work(policy: ae.Policy) -> Callable[[], object]:
        engine = ae.Engine(policy, seed=0, num_classes=len(batch))
        epochs = iter(range(10**9))
        return lambda: engine(batch, labels, ids=ids, epoch=next(epochs))

    contenders = {
        "with": work(ae.Policy([*steps, normalize])),
        "without": work(ae.Policy([resize, normalize])),
    }
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(MOST_REPEATS):
        for contender, timing in measure.interleaved(contenders, rounds).items():
            seconds[contender] += timing.seconds
        figures = []
        for half in (0, 1):
            whole, without = (min(seconds[contender][half::2]) for contender in contenders)
            figures.append(1e6 * (whole if name in SIZING else whole - without) / len(batch))
        figure, spread = sum(figures) / 2, abs(figures[0] - figures[1]) / 2
        if spread <= max(LEAST_SPREAD, 0.05 * abs(figure)):
            break
    return {
        "us": round(figure, 1),
        "spread": round(spread, 1),
        "whole": name in SIZING,
        "op": repr(op),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often each is timed")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the result goes")
    options = parser.parse_args()
    if machine.heap() != "reused":
        command = [sys.executable, "-m", "benchmarks.ops", *sys.argv[1:]]
        os.execve(sys.executable, command, machine.fresh())
    machine.use_one_thread()
    batch, ops = images.listed(BATCH), {}
    names = [name for name in ae.ops.__all__ if name != "Op" and name not in LEFT_OUT]
    for name in names:
        ops[name] = measured(name, batch, options.rounds)
        print(f"{name:28} {ops[name]['us']:8.1f} ± {ops[name]['spread']:.1f} µs")
    about = machine.about()
    conditions = (
        f"measured by {about['cpu']}, one thread, {about['date']}: "
        f"photographs of {images.SOURCE}² uint8 to {OUTPUT}² float32, normalised, in batches of {BATCH}. "
        "Each image has a draw of its own, and every probability is 1. `python -m benchmarks.ops` repeats it."
    )
    result = {"conditions": conditions, "machine": about, "ops": ops, "left_out": LEFT_OUT}
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
