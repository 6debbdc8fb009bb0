"""What is said of it all: `Report`, as a table and sentences, as JSON, as a picture."""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import advice, plot
from .advice import Advice
from .figures import Cost, Figures
from .loaders import Problem
from .ways import best_way, cost_of, way_now

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, repr=False)
class Report:
    """What was measured, what follows, and what is wrong. `print(report)` says it in words.

    Args:
        figures: Figures, part by part.
        advice: Sentences, each with the figures that it rests on.
        problems: What in the loader is wrong, each with its fix.
    """

    figures: Figures
    advice: tuple[Advice, ...]
    problems: tuple[Problem, ...]

    def plot(self, file: Path | str) -> None:
        """Draw images per second of each part, with the bottleneck marked; write the whole file or none.

        Args:
            file: PNG file that is written.
        """
        plot.draw(self.figures, Path(file))

    def to_json(self) -> str:
        """All of it as JSON. Each cost has its rounds, median, spread and rate beside what it was made of."""
        content = dataclasses.asdict(self)
        figures = content["figures"]
        for field in dataclasses.fields(self.figures):
            value = getattr(self.figures, field.name)
            if isinstance(value, Cost):
                figures[field.name] |= _derived(value)
        for made, cost in zip(figures["variants"], self.figures.variants, strict=True):
            made |= _derived(cost)
        best = best_way(self.figures)
        content["best"] = dataclasses.asdict(best) | {"bottleneck": best.bottleneck}
        return json.dumps(content, indent=1, ensure_ascii=False)

    def print(self, console: Console | None = None) -> None:
        """Print the table, the advice and the problems.

        Args:
            console: Console of rich; None is a new one.
        """
        from rich import box
        from rich.console import Console
        from rich.padding import Padding
        from rich.table import Table

        console = console or Console(highlight=False)
        figures = self.figures
        one = way_now(figures) or best_way(figures)
        marked = cost_of(figures, one, one.bottleneck)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("part", no_wrap=True)
        for heading in ("images/s", "ms/image", "spread", "rounds", "MB/image"):
            table.add_column(heading, justify="right")
        for cost in figures.costs:
            table.add_row(
                f"{cost.part} ◀ bottleneck" if cost is marked else cost.part,
                advice.images_per_second(cost.rate).removesuffix(" images/s"),
                f"{1000 * cost.each:.3g}",
                f"±{100 * cost.spread:.0f} %" + " (rough)" * cost.rough,
                f"{len(cost.seconds)} × {cost.images}",
                f"{cost.nbytes / 1e6:.3g}" if cost.nbytes else "",
                style="bold red" if cost is marked else "",
            )
        console.print(table)
        for title, lines in (
            ("Advice", [(one.text, one.rests_on) for one in self.advice]),
            ("Wrong in this loader", [(one.what, one.fix) for one in self.problems]),
        ):
            if lines:
                console.print(title, style="bold")
            for text, below in lines:
                console.print(Padding(f"• {text}", (0, 0, 0, 1)), markup=False)
                console.print(Padding(below, (0, 0, 0, 3)), markup=False, style="dim")
        console.print(f"\n{self.subject}", markup=False, style="dim")

    @property
    def subject(self) -> str:
        """What was measured, on what."""
        figures, machine = self.figures, self.figures.machine
        return (
            f"Data: {figures.data}. Policy: {figures.policy}, drawn in {figures.dtype}. Model: "
            f"{figures.model} on {figures.device}. Batches of {figures.batch_size}. Decode, plan, draw and "
            f"transport are of one core, medians of their rounds. {machine.name}, {machine.cores} usable "
            f"core{'s' * (machine.cores > 1)}, {machine.gpu or 'no CUDA GPU'}."
        )

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        self.print(Console(file=text, width=100, highlight=False, color_system=None))
        return text.getvalue()

    def __repr__(self) -> str:
        return (
            f"Report({len(self.figures.costs)} costs, {len(self.advice)} sentences of advice, "
            f"{len(self.problems)} problems)"
        )


def _derived(cost: Cost) -> dict[str, float]:
    return {"median": cost.median, "spread": cost.spread, "images_per_second": cost.rate}
