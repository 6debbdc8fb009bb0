"""What README and docs/speed.md say of speed, filled from a result between two comments.

python -m benchmarks.pages      from benchmarks/results/cpu.json, as a full run does at its end
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from augengine.demo.race import OURS

from . import report
from .workloads import POLICIES

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "cpu.json"
BEGIN, END = "<!-- filled by python -m benchmarks.pages -->", "<!-- filled until here -->"
TORCHVISION, ALONE = "torchvision v2", "decoding alone"
SHOWN = ("variopinta", "augrs", "albumentations", TORCHVISION, "torchtransform", "kornia")
MOST = 4  # of the rows that a peer wins, in the README

# Those of `plots`, and what each shows.
PICTURES = {
    "cpu-images": "Images per second of every recipe, size and shape, beside the other libraries",
    "cpu-short": "Images per second of recipes, small batches and files, beside the other libraries",
    "cpu-floor": "The same as multiples of the time to copy the bytes that must be moved",
    "cpu-one-op": "What one operation adds to a crop and a flip, in each library",
    "cpu-growth": "The time of an image by batch, output, source, threads, operations and channels",
}

Result = dict[str, Any]


def fill(result: Result, root: Path = ROOT) -> None:
    """Write the filled parts of README and docs/speed.md.

    Args:
        result: Result, as `report` describes it.
        root: Folder of the project.
    """
    for page, text in {
        "README.md": "\n\n".join([_picture("cpu-short", ""), _best(result), _lost(result, MOST)]),
        "docs/speed.md": "\n\n".join(
            [
                report.machine(result["about"]),
                _table(result),
                report.losses(result["rows"]),
                *(_picture(name, "../") for name in PICTURES if name != "cpu-short"),
            ]
        ),
    }.items():
        path = root / page
        path.write_text(filled(path.read_text("utf-8"), text), "utf-8")


def filled(page: str, text: str) -> str:
    """A page with a text between its two comments.

    Raises:
        ValueError: When the page has not the comments.
    """
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?(\n{re.escape(END)})", re.S)
    made, times = pattern.subn(lambda found: f"{found[1]}\n{text}\n{found[2]}", page)
    if times != 1:
        raise ValueError(f"pages: the comments stand {times} times in the page, expected once.")
    return made


def _recipes(result: Result) -> list[tuple[str, report.Row]]:
    """Whole policies, by their names, and the rows that measured them."""
    by_name = {row["name"]: row for row in result["rows"] if row["regime"] == "recipes"}
    return [
        (name, by_name[full])
        for name in POLICIES
        for full in (name, f"{name}, antialiased")
        if full in by_name
    ]


def _best(result: Result) -> str:
    """Images a second of whole policies: ours, the fastest other library's, and torchvision's."""
    about, rows = result["about"], _recipes(result)
    lines = [["", OURS, "the fastest other", TORCHVISION], ["---", "---:", "---:", "---:"]]
    for name, row in rows:
        others = [who for who in row["contenders"] if not who.startswith((OURS, ALONE))]
        times = {who: report.microseconds(row, who) for who in others}
        known = {who: time for who, time in times.items() if time is not None}
        best = min(known, key=known.__getitem__, default=None)
        cells = [_speed(row, OURS), f"{best} {_speed(row, best)}" if best else "–"]
        lines.append([name, *cells, _speed(row, TORCHVISION)])
    return (
        f"Images per second on one core of {about['cpu'].partition(',')[0]}, {about['date']}, of photographs "
        f"in memory, 256² to 224², in batches of {rows[0][1]['outputs']}; in brackets how many times slower "
        f"that is:\n\n{report.markdown_table(lines)}"
    )


def _table(result: Result) -> str:
    """Images a second of whole policies."""
    about, rows = result["about"], _recipes(result)
    lines = [["", *(name for name, _ in rows)], ["---", *["---:"] * len(rows)]]
    for contender in (OURS, *SHOWN):
        cells = [_speed(row, contender) for _, row in rows]
        bold = "**" if contender == OURS else ""
        lines.append([f"{bold}{contender}{bold}", *cells])
    return (
        f"Images per second on **one core** of {about['cpu'].partition(',')[0]}, {about['date']}: "
        f"photographs of 256² uint8 to 224² float32, normalised, in batches of {rows[0][1]['outputs']}, other "
        "parameters for every sample. In brackets: how many times slower than augengine.\n\n"
        + report.markdown_table(lines)
    )


def _speed(row: report.Row, name: str) -> str:
    time = report.microseconds(row, name)
    if time is None:
        return "" if name not in row["contenders"] else "–?"
    if name == OURS:
        return f"**{1e6 / time:,.0f}**"
    times = report.ratio(row, name)
    return (
        f"{1e6 / time:,.0f} ({times:.1f}×)" if times < 10 else f"{1e6 / time:,.0f} ({times:.0f}×)"
    )


def _picture(name: str, to_root: str) -> str:
    ring = "; a ring marks where a library is faster" if name != "cpu-growth" else ""
    return f"![{PICTURES[name]}{ring}]({to_root}benchmarks/results/{name}.png)"


def _lost(result: Result, most: int) -> str:
    """The rows that a peer wins, the worst first, each with the fastest of them. Those of growth measure once
    more what stands in other rows, and are left to docs/speed.md."""
    rows = [row for row in result["rows"] if not row["regime"].startswith(("growth", "starting"))]
    lost = []
    for row in rows:
        if names := report.faster(row):
            best = min(names, key=lambda name, row=row: report.ratio(row, name))
            lost.append((report.ratio(row, best), row, best))
    if not lost:
        return "**No library is faster in any of the rows that were measured.**"
    lost.sort(key=lambda each: each[0])
    said = []
    for _, row, name in lost[:most]:
        ours, theirs = (report.microseconds(row, who) or 0.0 for who in (OURS, name))
        said.append(f"{row['name']} ({ours:,.0f} µs an image; {theirs:,.0f} by {name})")
    rest = "the worst: " if len(lost) > most else ""
    return (
        f"**Where it is slower**: in {len(lost)} of {len(rows)} rows some library is faster; {rest}"
        f"{', '.join(said)}. [What these libraries do less or otherwise](docs/speed.md#the-last-run) stands "
        "with each row."
    )


def main() -> int:
    fill(json.loads(RESULT.read_text("utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
