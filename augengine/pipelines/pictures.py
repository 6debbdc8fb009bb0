"""A run's pictures: curves of its metrics, and a contact sheet of what its models saw."""

from __future__ import annotations

import os
from pathlib import Path

from ..sheet import PAPER, Tile, displayed, draw

SHOWN, TILE = 8, 112


def curves(metrics: list[dict], file: Path) -> None:
    """Accuracy and losses over the epochs, a line for each stage; written whole or not at all."""
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(line["stage"] for line in metrics))
    figure = Figure(figsize=(10, 4), layout="constrained", facecolor=PAPER)
    left, right = figure.subplots(1, 2)
    left.set(xlabel="epoch", ylabel="test accuracy, %", title="Accuracy")
    right.set(xlabel="epoch", ylabel="training loss", title="Loss")
    for number, stage in enumerate(stages):
        lines = [line for line in metrics if line["stage"] == stage]
        epochs, colour = [line["epoch"] for line in lines], f"C{number % 10}"
        best = [100 * line["accuracy"] for line in lines]
        left.plot(epochs, best, ".-", color=colour, label=f"{stage}: {best[-1]:.1f} %")
        right.plot(epochs, [line["loss"] for line in lines], ".-", color=colour, label=stage)
    for axes in (left, right):
        axes.set_facecolor("white")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    beside = file.with_suffix(".partial")
    figure.savefig(beside, dpi=100, format="png")
    os.replace(beside, file)


def sheet(title: str, rows, file: Path) -> None:
    """rows: (title, Batch, or a function that gives it), of the same samples from left to right."""
    tiles = []
    for heading, batch in rows:
        batch = batch() if callable(batch) else batch
        pixels = displayed(batch.images[:SHOWN], batch.plan.finish)
        words = [batch.plan.explain(i) for i in range(len(pixels))]
        tiles.append(
            [
                Tile(image, caption, heading if i == 0 else " ")
                for i, (image, caption) in enumerate(zip(pixels, words, strict=True))
            ]
        )
    draw(
        title, ["Each column is one sample; below it stands what was done to it."], tiles, TILE
    ).save(file)
