"""The pictures of a report: accuracy over strength, and the images that are taken for other classes."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..demo.outputs import write_picture
from ..sheet import INK, PAPER, SOFT, Tile, draw
from .judge import BREAKS, HARDER, NOT_ENOUGH, SAFE

if TYPE_CHECKING:
    from .report import Finding, LabelReport

COLOURS = {SAFE: "#3a7d44", HARDER: "#b7791f", BREAKS: "#c0392b", NOT_ENOUGH: SOFT}
PLAIN, LEARNED = "#4c78a8", "#d1495b"
COLUMNS, TILE = 4, 112
TITLE = 38  # characters of a line in a panel's title


def draw_curves(report: LabelReport, file: Path) -> None:
    """Draw a panel for each operation: what the plain model tells over strength, and what is told after
    learning it.

    Args:
        report: Report.
        file: PNG file that is written.
    """
    from matplotlib.figure import Figure

    by_op: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_op.setdefault(finding.op, []).append(finding)
    columns = min(COLUMNS, len(by_op))
    rows = math.ceil(len(by_op) / columns)
    figure = Figure(
        figsize=(1.2 + 3.1 * max(2, columns), 1.2 + 2.7 * rows), layout="constrained", facecolor=PAPER
    )  # fmt: skip
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True)
    for axes in grid.flat[len(by_op) :]:
        axes.set_visible(False)
    for axes, (op, findings) in zip(grid.flat, by_op.items(), strict=False):
        _panel(axes, report, op, findings)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(
        f"Do labels survive? {report.data}, policy {report.policy}; {report.held_out:,} held-out images",
        x=0.012, ha="left", color=INK, fontsize=11, weight="bold",
    )  # fmt: skip
    figure.supylabel("held-out images told, %", color=SOFT, fontsize=9)
    write_picture(figure, file)


def _panel(axes: Any, report: LabelReport, op: str, findings: list[Finding]) -> None:
    axes.set_facecolor("white")
    strengths = [0.0, *(finding.strength for finding in findings)]
    accuracies = [report.plain, *(finding.accuracy for finding in findings)]
    axes.axhline(100 * report.chance, color=SOFT, lw=0.8, ls=":", label="commonest class")
    axes.fill_between(
        strengths, [100 * a.low for a in accuracies], [100 * a.high for a in accuracies],
        color=PLAIN, alpha=0.18, lw=0,
    )  # fmt: skip
    axes.plot(
        strengths, [100 * a.value for a in accuracies], ".-", color=PLAIN, label="plain model"
    )
    confidences = [(finding.strength, 100 * finding.confidence) for finding in findings]
    axes.plot(*zip(*confidences, strict=True), ":", color=PLAIN, lw=1, label="its confidence")
    learned = [f for f in findings if f.learned is not None]
    for k, finding in enumerate(learned):
        assert finding.learned is not None
        worse = min(finding.learned.augmented, finding.learned.plain)
        axes.errorbar(
            finding.strength, 100 * worse.value,
            [[100 * (worse.value - worse.low)], [100 * (worse.high - worse.value)]],
            fmt="D", ms=5, color=LEARNED, capsize=3, label="" if k else "after learning it",
        )  # fmt: skip
    strongest = findings[-1]
    axes.set_title(f"{_cut(op)}\n{_cut(strongest.words)}", loc="left", fontsize=8.5,
                   color=COLOURS[strongest.verdict])  # fmt: skip
    axes.set_ylim(-3, 103)
    axes.set_xlim(-0.04, 1.06)
    axes.set_xlabel("strength", color=SOFT, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=SOFT, labelsize=8)
    axes.grid(alpha=0.2)


def _cut(text: str) -> str:
    return text if len(text) <= TITLE else f"{text[: TITLE - 1]}…"


def draw_worst(report: LabelReport, file: Path) -> None:
    """Draw a row for each operation: images as they are and augmented, side by side.

    Args:
        report: Report.
        file: PNG file that is written.

    Raises:
        ValueError: When there is no such image.
    """
    if not report.worst:
        raise ValueError(
            "plot_worst: the plain model takes no augmented image for another class, expected one at least. "
            "There is nothing to draw."
        )
    by_op: dict[str, list[Tile]] = {}
    for worst in report.worst:
        tiles = by_op.setdefault(worst.op, [])
        heading = worst.op if not tiles else " "
        said = f"{worst.label} → {worst.answer} ({100 * worst.confidence:.0f} %)"
        tiles += [
            Tile(worst.original, f"{worst.label}: {worst.image}", heading),
            Tile(worst.augmented, worst.words, said),
        ]
    lines = [
        "Pairs: a held-out image, and the same augmented by one operation, as the plain model sees it; above "
        "the caption its label, and what the model says with which confidence. Those of which it is surest "
        "come first. Whether the label is broken is for the verdict and your eyes to say."
    ]
    sheet = draw("What the plain model gets wrong", lines, list(by_op.values()), TILE)
    partial = file.with_suffix(".partial")
    sheet.save(partial, "PNG")
    os.replace(partial, file)
