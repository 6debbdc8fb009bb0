"""What was measured, printed: a table for each regime, and bars of where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .result import OURS, Result, Row, Table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# Of the stages, in the terminal and in the picture.
COLOURS = {
    "read": "#8c8c8c",
    "decode": "#d1495b",
    "sample": "#edae49",
    "draw": "#4c78a8",
    "decode and draw": "#8d6a9f",
    "transport": "#66a182",
}
BAR = 44  # characters of the longest


def show(console: Console, result: Result) -> None:
    """Print it.

    Args:
        console: Console of rich.
        result: Result.
    """
    for table in result.tables:
        console.print(_table(table))
        for row in table.rows:
            if row.notes:
                console.print(
                    f"{row.name}: {', '.join(row.notes)}", style="dim", markup=False, soft_wrap=True
                )
        for name, reason in table.left_out.items():
            console.print(f"{name}: {reason}", style="yellow", markup=False, soft_wrap=True)
        if any(row.stages for row in table.rows):
            _bars(console, table)
    console.print(f"\n{subject(result)}", style="dim", markup=False)


def title(table: Table) -> str:
    """What a table measures."""
    if table.regime == "one core":
        return "Files to normalised batches, on one core"
    if table.regime == "all cores":
        return f"Files to normalised batches, on {table.cores} cores"
    workers = f"{table.workers} DataLoader worker{'s' * (table.workers > 1)}"
    return f"Files through {workers} to a small model's training step"


def subject(result: Result) -> str:
    """What was measured, on what."""
    images, about = result.images, result.about
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    rounds = len(result.tables[0].rows[0].seconds)
    return (
        f"{images['files']} of {images['held']} files ({images['source']}; in the median "
        f"{images['width']}×{images['height']} and {images['bytes'] / 1e3:,.0f} kB) in a warm page cache. "
        f"Policy: {result.policy}. Batches of {result.tables[0].batch}. Medians of {rounds} rounds by turns; "
        "spread is half the distance of the quartiles, the larger of ours and the library's. ~ marks a row "
        f"whose spread was above 15 % twice.\n{about['cpu']}; {about['system']}; {versions}; "
        f"{about['heap']} heap; {about['date']}. {result.command}"
    )


def _table(table: Table) -> RenderableType:
    from rich import box
    from rich.table import Table as Grid

    grid = Grid(
        box=box.SIMPLE_HEAD, pad_edge=False, title=title(table), title_justify="left",
        title_style="bold",
    )  # fmt: skip
    grid.add_column("")
    for heading in ("images/s", "ms/image", "spread", "augengine is"):
        grid.add_column(heading, justify="right")
    for row in table.rows:
        steady = "" if row.steady else "~"
        grid.add_row(
            row.name,
            f"{steady}{row.rate:,.0f}",
            f"{1000 * row.each:.2f}",
            f"±{100 * row.spread:.0f} %",
            "" if row.name.startswith(OURS) else f"{row.ratio:.2f}× as fast",
        )
    return grid


def _bars(console: Console, table: Table) -> None:
    from rich.text import Text

    rows = [row for row in table.rows if row.stages]
    longest = max(sum(row.stages.values()) for row in rows)
    wide = max(len(row.name) for row in rows)
    console.print("\nWhere the time goes, each stage alone, ms/image", style="bold")
    for row in rows:
        line = Text(f"{row.name:<{wide}}  ")
        drawn = 0.0
        for stage, seconds in in_order(row):
            start, drawn = round(BAR * drawn / longest), drawn + seconds
            line.append("█" * (round(BAR * drawn / longest) - start), style=COLOURS[stage])
        line.append(f" {1000 * drawn:.2f}")
        console.print(line)
    legend = Text(" " * (wide + 2))
    used = {stage for row in rows for stage in row.stages}
    for stage, colour in COLOURS.items():
        if stage in used:
            legend.append("█ ", style=colour)
            legend.append(f"{stage}  ")
    console.print(legend)
    for row in rows:
        stages = ", ".join(f"{stage} {1000 * seconds:.3f}" for stage, seconds in in_order(row))
        console.print(f"{row.name}: {stages}", style="dim", markup=False, soft_wrap=True)


def in_order(row: Row) -> list[tuple[str, float]]:
    """A row's stages with their seconds, in the order of a batch's way."""
    return [(stage, row.stages[stage]) for stage in COLOURS if stage in row.stages]
