"""A run's pictures: curves of its metrics, and a contact sheet of what its models saw."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..loading.batch import Batch
from ..sheet import PAPER, Tile, displayed, draw

SHOWN, TILE = 8, 112  # samples on a sheet, and pixels a side of each

# A line of metrics: stage (text), epoch, and figures such as loss and accuracy.
Metrics = dict[str, Any]
# A batch, or a function that makes it if it is to be drawn.
BatchSource = Batch | Callable[[], Batch]


def curves(metrics: Sequence[Metrics], file: Path, watched: str = "test") -> None:
    """Draw accuracy and loss over the epochs, a line for each stage; write the whole file or none.

    Args:
        metrics: Lines of one run, with stage, epoch, accuracy and loss.
        file: PNG file that is written.
        watched: What the accuracies are of, "test" or "validation".
    """
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(line["stage"] for line in metrics))
    figure = Figure(figsize=(10, 4), layout="constrained", facecolor=PAPER)
    left, right = figure.subplots(1, 2)
    left.set(xlabel="epoch", ylabel=f"{watched} accuracy, %", title="Accuracy")
    right.set(xlabel="epoch", ylabel="training loss", title="Loss")
    for number, stage in enumerate(stages):
        lines = [line for line in metrics if line["stage"] == stage]
        epochs, colour = [line["epoch"] for line in lines], f"C{number % 10}"
        accuracies = [100 * line["accuracy"] for line in lines]
        label = f"{stage}: {accuracies[-1]:.1f} %"
        left.plot(epochs, accuracies, ".-", color=colour, label=label)
        right.plot(epochs, [line["loss"] for line in lines], ".-", color=colour, label=stage)
    for axes in (left, right):
        axes.set_facecolor("white")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    partial = file.with_suffix(".partial")
    figure.savefig(partial, dpi=100, format="png")
    os.replace(partial, file)


def sheet(title: str, rows: Sequence[tuple[str, BatchSource]], file: Path) -> None:
    """Draw rows of samples with their plans' words below.

    Args:
        title: Title of the sheet.
        rows: (heading, batch), of the same samples from left to right.
        file: PNG file that is written.
    """
    tiles = []
    for heading, source in rows:
        batch = source() if callable(source) else source
        pixels = displayed(batch.images[:SHOWN], batch.plan.finish)
        captions = [batch.plan.explain(i) for i in range(len(pixels))]
        tiles.append(
            [
                Tile(image, caption, heading if i == 0 else " ")
                for i, (image, caption) in enumerate(zip(pixels, captions, strict=True))
            ]
        )
    draw(
        title, ["Each column is one sample; below it stands what was done to it."], tiles, TILE
    ).save(file, "PNG")
