"""What `benchmarks.gpu` reports: figures beside what was asked for, as a table and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from augengine.demo.measure import Timing


@dataclass(frozen=True)
class Row:
    """A figure: the median of n, its spread as a share of it, and what was asked for, at most."""

    name: str
    value: float
    unit: str
    spread: float = 0.0
    n: int = 1
    target: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        if self.value <= self.target:
            return "reached"
        return f"missed, {self.value / self.target:.2f}× as much"


def row(name: str, timing: Timing, unit: str, scale: float, target=None, note: str = "") -> Row:
    """A row of a timing, in seconds times `scale`."""
    return Row(name, scale * timing.median, unit, timing.spread, len(timing), target, note)


def markdown(machine: dict[str, str], what: str, sections: dict[str, list[Row]]) -> str:
    """All of it as text that reads well plain and rendered. what: is measured."""
    parts = [
        "# On a GPU\n\nWritten by `python -m benchmarks.gpu`.",
        "; ".join(machine.values()) + ".",
        what,
    ]
    for name, rows in sections.items():
        parts.append(f"**{name}**\n\n" + "\n".join(_lines(rows)))
    parts.append(
        "Medians of n; ±: half the distance of the quartiles. × floor: of the time in which the card "
        "copies the bytes that must be read and written, measured in the same run."
    )
    return "\n\n".join(parts) + "\n"


HEAD = ("", "median", "unit", "±", "n", "asked for, at most", "", "note")


def cells(row: Row) -> tuple[str, ...]:
    target = "" if row.target is None else f"{row.target:g}"
    spread = f"{100 * row.spread:.0f} %" if row.n > 1 else ""
    value = f"{row.value:.3g}" if row.value < 1000 else f"{row.value:,.0f}"
    return (row.name, value, row.unit, spread, str(row.n), target, row.verdict, row.note)


def _lines(rows: list[Row]) -> Iterator[str]:
    table = [HEAD, ("---",) * len(HEAD), *map(cells, rows)]
    widths = [max(len(line[k]) for line in table) for k in range(len(HEAD))]
    for line in table:
        yield "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"


def write(path: Path, machine: dict[str, str], what: str, sections: dict[str, list[Row]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(markdown(machine, what, sections), "utf-8")
    rows = {name: [asdict(r) | {"verdict": r.verdict} for r in s] for name, s in sections.items()}
    # NaN, of a peer that failed, is no JSON.
    for listed in rows.values():
        for each in listed:
            each["value"] = each["value"] if np.isfinite(each["value"]) else None
    content = {"machine": machine, "sections": rows}
    path.with_suffix(".json").write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")


def show(title: str, rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*HEAD, title=title, title_justify="left")
    for each in rows:
        table.add_row(*cells(each))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
