"""`python -m benchmarks.files_page SMALL.json LARGE.json`: the tables of docs/files-bench.md, from what
`augengine bench --json` wrote of photographs of 500×375 and of five megapixels."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "files-bench.md"
BEGIN, END = "<!-- filled by python -m benchmarks.files_page -->", "<!-- end -->"
STAGES = ("read", "decode", "sample", "draw", "decode and draw", "transport")


def text(results: list[dict[str, Any]]) -> str:
    """The filled part of the page."""
    about = results[0]["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    parts = [
        f"{about['cpu']}; {about['system']}; {versions}; {about['heap']} heap; {about['date']}."
    ]
    for result in results:
        images = result["images"]
        parts.append(
            f"### {images['width']}×{images['height']}\n\n{images['bytes'] / 1e3:,.0f} kB a file; policy: "
            f"{result['policy']}; batches of {result['tables'][0]['batch']}; medians of "
            f"{len(result['tables'][0]['rows'][0]['seconds'])} rounds. `{_command(result['command'])}`"
        )
        parts += [_table(table) for table in result["tables"]]
    losses = [line for result in results for line in _losses(result)]
    parts.append("### Where a peer is faster\n\n" + ("\n".join(losses) or "- nowhere"))
    return "\n\n".join(parts)


def _command(said: str) -> str:
    """Without where its files went."""
    words = said.split()
    for option in ("--out", "--json"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    return " ".join(words)


def _table(table: dict[str, Any]) -> str:
    regime = f"**{table['regime']}**" + (
        f", {table['workers']} workers" if table["workers"] else ""
    )
    stages = [s for s in STAGES if any(s in row["stages"] for row in table["rows"])]
    lines = [
        "| " + " | ".join([regime, "images/s", "ms/image", "augengine is", *stages]) + " |",
        "|---|" + "--:|" * (3 + len(stages)),
    ]
    for row in table["rows"]:
        rough = "" if row["steady"] else "~"
        ours = row["name"].startswith("augengine")
        cells = [
            row["name"],
            f"{rough}{row['images_per_second']:,.0f}",
            f"{1000 * row['seconds_per_image']:.2f} ± {100 * row['spread']:.0f} %",
            "" if ours else f"{row['times_ours']:.2f} ×",
            *(f"{1000 * row['stages'][s]:.2f}" if s in row["stages"] else "" for s in stages),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"\n{name}: {reason}." for name, reason in table["left_out"].items()]
    return "\n".join(lines)


def _losses(result: dict[str, Any]) -> list[str]:
    size = f"{result['images']['width']}×{result['images']['height']}"
    return [
        f"- {size}, {table['regime']}: {row['name']} takes {row['times_ours']:.2f} × our time"
        for table in result["tables"]
        for row in table["rows"]
        if row["times_ours"] < 1
    ]


def main() -> None:
    results = [json.loads(Path(name).read_text("utf-8")) for name in sys.argv[1:]]
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text(results)}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
