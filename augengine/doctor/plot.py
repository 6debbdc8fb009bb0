"""The picture: images per second of each part as bars, the bottleneck marked."""

from __future__ import annotations

from pathlib import Path

from ..demo.outputs import plain, write_picture
from ..sheet import INK, PAPER, SOFT
from .advice import images_per_second
from .figures import Figures
from .ways import Way, best_way, cost_of, way_now

CALM, FAINT, MARKED = "#4c78a8", "#c9d7e6", "#d1495b"
LABELS = {
    "decode": "decode",
    "plan": "decide (plan)",
    "draw": "draw",
    "send": "transport",
    "step": "model's step",
}


def draw(figures: Figures, file: Path) -> None:
    """Draw the parts of the examined way, or of the advised one; write the whole file or none.

    A dark bar is what one core sustains, the light one what all workers do together.

    Args:
        figures: Figures that were measured.
        file: PNG file that is written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    one = way_now(figures) or best_way(figures)
    rates, running = one.rates, max(1.0, min(one.workers, one.at_once))
    figure = Figure(figsize=(9, 1.9 + 0.55 * len(rates)), layout="constrained", facecolor=PAPER)
    axes = figure.subplots()
    axes.set_facecolor(PAPER)
    for row, (part, rate) in enumerate(rates.items()):
        colour = MARKED if part == one.bottleneck else CALM
        alone = rate / running if part in one.in_worker else rate
        if alone < rate:
            axes.barh(row, rate, 0.62, color=colour, alpha=0.3)
        axes.barh(row, alone, 0.62, color=colour)
        spread = cost_of(figures, one, part).spread
        axes.plot([rate * (1 - spread), rate * (1 + spread)], [row, row], color=INK, lw=1.2)
        text = images_per_second(rate) + ("  ◀ bottleneck" if part == one.bottleneck else "")
        weight = "bold" if part == one.bottleneck else "normal"
        axes.text(rate * (1 + spread) * 1.06, row, text, va="center", color=INK, weight=weight)
    axes.axvline(one.rate, color=INK, lw=1, ls=(0, (4, 3)))
    together = f"all together: {images_per_second(one.rate)}"
    axes.text(one.rate * 1.06, -0.5, together, va="bottom", color=INK)
    axes.set_xscale("log")
    low, high = min([one.rate, *(rate / running for rate in rates.values())]), max(rates.values())
    axes.set_xlim(low / 2, high * 8)
    axes.set_ylim(len(rates) - 0.5, -0.95)
    axes.set_yticks(range(len(rates)), [LABELS[part] for part in rates], color=INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    plain(axes)
    bars = f"dark: one core, light: {one.workers} workers; " if one.workers > 1 else ""
    axes.set_xlabel(f"images/s, logarithmic; {bars}lines: spread", color=SOFT)
    figure.suptitle(_title(one), x=0.012, ha="left", weight="bold", color=INK, fontsize=13)
    axes.set_title(
        f"{figures.data}; {figures.model} on {figures.device}", loc="left", color=SOFT, fontsize=9.5
    )
    write_picture(figure, file)


def _title(one: Way) -> str:
    if one.workers == 0:
        return "Augmentation in the main process"
    workers = f"{one.workers} worker{'s' * (one.workers > 1)}"
    if one.place == "collate":
        return f"Augmentation in {workers} (Collate)"
    return f"Augmentation on the device, decided in {workers} (pack)"
