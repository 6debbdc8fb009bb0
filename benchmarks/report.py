"""A result as tables: one for each regime, with a row for each workload and a column for each contender.

A result is {"about", "rows"}. A row has "regime", "name", "batch", "outputs" (images that a round makes),
"floor" (seconds, or None), "added_to" (the row whose time is subtracted, or None), "contenders" and
"left_out" (reasons by name). A contender has "seconds" (of each round), "ours" (our rounds in the same
race), "spread", "steady" (whether its spread is small enough for a number) and "notes".
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from augengine.demo.race import ATTEMPTS, MOST_SPREAD, OURS

Row = dict[str, Any]
# Contenders that are ours too, or no library: nobody is compared with them.
APART = ("augengine, its plan alone", "augengine, new batch", "decoding alone")


def microseconds(row: Row, name: str) -> float | None:
    """A contender's median, per image; None where it has no result."""
    found = row["contenders"].get(name)
    if found is None or not found["steady"]:
        return None
    return 1e6 * median(found["seconds"]) / row["outputs"]


def ratio(row: Row, name: str) -> float:
    """How many times as long as ours a contender takes, in the same race."""
    found = row["contenders"][name]
    return median(found["seconds"]) / median(found["ours"])


def faster(row: Row) -> list[str]:
    """The peers that are faster than we are."""
    return [
        name
        for name in row["contenders"]
        if name != OURS and name not in APART and microseconds(row, name) and ratio(row, name) < 1
    ]


def markdown_table(lines: list[list[str]]) -> str:
    """A table of cells as Markdown, with columns of one width in plain text too."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def markdown(result: dict[str, Any]) -> str:
    """The report as Markdown, which reads well plain and rendered."""
    rows = result["rows"]
    parts = [
        machine(result["about"]),
        "µs an image, medians of rounds taken by turns, one thread; ±: half the distance of the "
        "quartiles, as a share of the median, in the worst column. In brackets: how many times as "
        "long as augengine, in the same rounds. **Bold: faster than augengine, or an op that adds "
        "less.** Ours × floor: of the time to copy the bytes that must be read and written. A library "
        "does other work where a number says so. No result (–?): the spread stayed above "
        f"{100 * MOST_SPREAD:.0f} % in {ATTEMPTS} attempts.",
        losses(rows),
    ]
    for regime in dict.fromkeys(row["regime"] for row in rows):
        parts.append(_regime([row for row in rows if row["regime"] == regime], rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def machine(about: dict[str, Any]) -> str:
    """What was measured where, with which versions, and how to do it again."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['cpu']}; {about['system']}; {versions}; {about['heap']} heap; {about['date']}. "
        f"`{about['command']}`, {about['minutes']:.0f} minutes."
    )


def losses(rows: list[Row]) -> str:
    """A list of what a peer wins, regime by regime."""
    lines = []
    for row in rows:
        for name in faster(row):
            what = f"takes {ratio(row, name):.2f} × our time"
            lines.append(f"- {row['regime']}, {row['name']}: {name} {what}{_but(row, name)}")
        for name in adding_less(row, rows):
            theirs, ours = (added(row, who, rows) for who in (name, OURS))
            what = f"adds {theirs:,.0f} µs an image, ours {ours:,.0f}"
            lines.append(f"- {row['regime']}, {row['name']}: {name} {what}{_but(row, name)}")
    if not lines:
        return "**No peer is faster in any row.**"
    return "**Where a peer is faster**\n\n" + "\n".join(lines)


def _but(row: Row, name: str) -> str:
    notes = row["contenders"][name]["notes"]
    return f" ({'; '.join(notes)})" if notes else ""


def _regime(rows: list[Row], all_rows: list[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["contenders"]))
    footnotes: dict[str, int] = {}
    floors = any(row["floor"] for row in rows)
    head = ["", *names, *(["ours × floor"] if floors else []), "batch", "±"]
    table = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        cells = [_cell(row, name, footnotes, all_rows) for name in names]
        ours = microseconds(row, OURS)
        if floors:
            known = ours and row["floor"]
            cells.append(f"{ours * row['outputs'] / 1e6 / row['floor']:.1f}" if known else "")
        spreads = [found["spread"] for found in row["contenders"].values() if found["steady"]]
        worst = f"{100 * max(spreads):.0f} %" if spreads else ""
        table.append([row["name"], *cells, str(row["batch"]), worst])
    marks = "\n".join(f"{number}. {note}" for note, number in footnotes.items())
    missing = _missing(rows)
    parts = [f"## {rows[0]['regime']}", markdown_table(table), marks, missing]
    return "\n\n".join(part for part in parts if part)


def _cell(row: Row, name: str, footnotes: dict[str, int], all_rows: list[Row]) -> str:
    if name not in row["contenders"]:
        return ""
    time = microseconds(row, name)
    if time is None:
        return f"–? (±{100 * row['contenders'][name]['spread']:.0f} %)"
    text = f"{time:,.0f}" if time >= 10 else f"{time:.1f}"
    if (more := added(row, name, all_rows)) is not None:
        less = name in adding_less(row, all_rows)
        text += f" **{more:+,.0f}**" if less else f" {more:+,.0f}"
    if name != OURS and name not in APART:
        times = ratio(row, name)
        text += f" ({times:.1f})" if times >= 1 else f" (**{times:.2f}**)"
    notes = row["contenders"][name]["notes"]
    numbers = [str(footnotes.setdefault(note, len(footnotes) + 1)) for note in notes]
    return text + (f" [{','.join(numbers)}]" if numbers else "")


def added(row: Row, name: str, all_rows: list[Row]) -> float | None:
    """What the row's op adds to a contender's time, in µs an image."""
    bases = [
        base
        for base in all_rows
        if base["regime"] == row["regime"] and base["name"] == row["added_to"]
    ]
    time = microseconds(row, name)
    base_time = microseconds(bases[0], name) if bases else None
    return None if time is None or base_time is None else time - base_time


def adding_less(row: Row, all_rows: list[Row]) -> list[str]:
    """The peers to whose time the row's op adds less than to ours."""
    ours = added(row, OURS, all_rows)
    if ours is None:
        return []
    theirs = {name: added(row, name, all_rows) for name in row["contenders"] if name not in APART}
    return [name for name, time in theirs.items() if time is not None and time < ours]


def _missing(rows: Iterable[Row]) -> str:
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for name, reason in row["left_out"].items():
            reasons.setdefault(name, {}).setdefault(reason, []).append(row["name"])
    lines = [
        f"- {name}: "
        + "; ".join(f"{reason} ({', '.join(where)})" for reason, where in each.items())
        for name, each in reasons.items()
    ]
    return "Left out:\n\n" + "\n".join(lines) if lines else ""


def refusals(result: dict[str, Any]) -> list[str]:
    """A line for each contender that has no number, and what to do about it."""
    lines = [
        f"{row['regime']}, {row['name']}, {name}: spread {100 * found['spread']:.0f} %"
        for row in result["rows"]
        for name, found in row["contenders"].items()
        if not found["steady"]
    ]
    if lines:
        lines.append(
            f"{len(lines)} without a result: in {ATTEMPTS} attempts the spread was above "
            f"{100 * MOST_SPREAD:.0f} %. Measure again on a machine that does nothing else."
        )
    return lines
