"""The picture: where the time of an image goes, and images per second of each regime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..demo.outputs import plain, write_picture
from ..sheet import INK, PAPER, SOFT
from .report import COLOURS, in_order, title
from .result import OURS, Result, Table

CALM, MARKED = "#c9d7e6", "#4c78a8"


def draw(result: Result, file: Path) -> None:
    """Draw a result; write the whole file or none.

    Args:
        result: Result.
        file: PNG file that is written.
    """
    from matplotlib.figure import Figure

    panels: list[tuple[Any, Table]] = []
    for table in result.tables:
        if any(row.stages for row in table.rows):
            panels.append((_stages, table))
        panels.append((_rates, table))
    heights = [0.9 + 0.36 * len(table.rows) for _, table in panels]
    figure = Figure(figsize=(9, 0.8 + sum(heights)), layout="constrained", facecolor=PAPER)
    grid = figure.subplots(len(panels), 1, gridspec_kw={"height_ratios": heights}, squeeze=False)
    for axes, (panel, table) in zip(grid[:, 0], panels, strict=True):
        axes.set_facecolor(PAPER)
        panel(axes, table)
        plain(axes)
    images = result.images
    figure.suptitle(
        f"{images['width']}×{images['height']}, {images['bytes'] / 1e3:,.0f} kB a file; policy: "
        f"{result.policy}; {result.about['cpu']}",
        x=0.012, ha="left", color=SOFT, fontsize=9.5,
    )  # fmt: skip
    write_picture(figure, file)


def _stages(axes: Any, table: Table) -> None:
    rows = [row for row in table.rows if row.stages]
    named: set[str] = set()
    for y, row in enumerate(rows):
        left = 0.0
        for stage, seconds in in_order(row):
            label = None if stage in named else stage
            named.add(stage)
            axes.barh(y, 1000 * seconds, 0.68, left, color=COLOURS[stage], label=label)
            left += 1000 * seconds
        axes.text(left, y, f" {left:.2f}", va="center", color=INK, fontsize=9)
    _names(axes, [row.name for row in rows])
    axes.set_xlim(0, axes.get_xlim()[1] * 1.08)
    axes.set_xlabel("ms/image, each stage alone on one core", color=SOFT)
    axes.set_title("Where the time goes", loc="left", weight="bold", color=INK, fontsize=12)
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    order = [stage for stage in COLOURS if stage in handles]
    axes.legend(
        [handles[stage] for stage in order], order, loc="lower right", ncols=1, frameon=False,
        fontsize=9,
    )  # fmt: skip


def _rates(axes: Any, table: Table) -> None:
    for y, row in enumerate(table.rows):
        ours = row.name.startswith(OURS)
        axes.barh(y, row.rate, 0.68, color=MARKED if ours else CALM)
        low, high = row.rate * (1 - row.spread), row.rate * (1 + row.spread)
        axes.plot([low, high], [y, y], color=INK, lw=1.2)
        times = "" if ours else f", augengine {row.ratio:.2f}×"
        rough = "" if row.steady else "~"
        axes.text(high, y, f"  {rough}{row.rate:,.0f}{times}", va="center", color=INK, fontsize=9)
    _names(axes, [row.name for row in table.rows])
    axes.set_xlim(0, axes.get_xlim()[1] * 1.3)
    axes.set_xlabel("images/s; lines: spread", color=SOFT)
    axes.set_title(title(table), loc="left", weight="bold", color=INK, fontsize=12)


def _names(axes: Any, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
