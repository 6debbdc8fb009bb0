"""The report of the benchmarks: a table for each policy, with a row for each contender and heap.

A run is {"heap", "rows"}. A row has "name", "seconds" (of each round) and "spread" (of its race). A row
of a policy also has "policy", "images" and "floor" (seconds), and a peer's row "ours", our rounds among
its own. The sampler's row has "engine", the whole engine's rounds among its own; that of workers has
"peer", torchvision's. A row whose spread is too large has no numbers.
"""

from __future__ import annotations

import os
from datetime import date
from statistics import median

from augengine.demo import measure
from augengine.demo.measure import Timing

from .race import ATTEMPTS, MOST_SPREAD

# Freed memory is kept and used again; without these glibc returns a batch to the system and
# page-faults the next one in.
REUSED_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}


def heap() -> str:
    """The heap that this process was started with: "reused" or "ordinary"."""
    reused = all(os.environ.get(name) == value for name, value in REUSED_HEAP.items())
    return "reused" if reused else "ordinary"


def machine() -> dict[str, str]:
    """The processor, the versions of the packages, and the date."""
    packages = ("torch", "numpy", "numba", "torchvision", "albumentations")
    return {
        "cpu": measure.machine(),
        "versions": measure.versions(*packages, "opencv-python-headless", "kornia"),
        "date": date.today().isoformat(),
    }


def markdown_table(lines: list[list[str]]) -> str:
    """A table of cells as Markdown, with columns of one width in plain text too."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def markdown(content: dict) -> str:
    """The report as Markdown, which reads well plain and rendered."""
    about = content["machine"]
    parts = [
        f"One core of {about['cpu']}; {about['versions']}; {about['date']}.",
        "Crops of photographs, 256² uint8 → 224² float32 normalised, parameters for every sample.",
    ]
    runs = content["runs"]
    policies = dict.fromkeys(
        row["policy"] for run in runs for row in run["rows"] if "policy" in row
    )
    parts += [_policy_table(policy, runs) for policy in policies]
    single_rows = [
        f"- {_single_row(row)} ({run['heap']} heap)"
        for run in runs
        for row in run["rows"]
        if "policy" not in row
    ]
    parts.append("\n".join(single_rows))
    parts.append(
        "Medians of n rounds; ±: half the distance of the quartiles. × floor: of the time to copy the "
        "bytes that must be read and written, measured in the same rounds. A ratio is that of a "
        "peer's median and ours, in rounds taken by turns. No result: the spread stayed above "
        f"{100 * MOST_SPREAD:.0f} % in {ATTEMPTS} attempts."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def refused(row: dict) -> str:
    """What stands in place of a row's numbers, or nothing."""
    spread = row["spread"]
    return f"no result (spread {100 * spread:.0f} %)" if spread > MOST_SPREAD else ""


def refusals(content: dict) -> list[str]:
    """A line for each row that has no numbers, and what to do about it."""
    lines = [
        f"{row.get('policy', 'others')}, {row['name']}, {run['heap']} heap: {said}"
        for run in content["runs"]
        for row in run["rows"]
        if (said := refused(row))
    ]
    if lines:
        lines.append(
            f"{len(lines)} without a result: in {ATTEMPTS} attempts the spread was above "
            f"{100 * MOST_SPREAD:.0f} %. Measure again on a machine that does nothing else."
        )
    return lines


def _policy_table(policy: str, runs: list[dict]) -> str:
    head = ["contender", "heap", "images/s", "±", "× floor", "augengine is", "n"]
    table = [head, ["---", "---", *["---:"] * 5]]
    for run in runs:
        for row in run["rows"]:
            if row.get("policy") != policy:
                continue
            timing = Timing(tuple(row["seconds"]))
            if said := refused(row):
                table.append([row["name"], run["heap"], said, "", "", "", str(len(timing))])
                continue
            ratio = f"{timing.median / median(row['ours']):.2f}× as fast" if "ours" in row else ""
            table.append(
                [
                    row["name"],
                    run["heap"],
                    f"{row['images'] / timing.median:,.0f}",
                    f"{100 * timing.spread:.0f} %",
                    f"{timing.median / row['floor']:.1f}",
                    ratio,
                    str(len(timing)),
                ]
            )
    return f"**{policy}**\n\n{markdown_table(table)}"


def _single_row(row: dict) -> str:
    if refusal := refused(row):
        return f"{row['name']}: {refusal}"
    text = f"{row['name']}: {1e3 * median(row['seconds']):.2f} ms"
    if "engine" in row:
        text += (
            f", {100 * median(row['seconds']) / median(row['engine']):.1f} % of the engine's time"
        )
    if "peer" in row:
        ours, peer = median(row["seconds"]), median(row["peer"])
        text += f", torchvision's {1e3 * peer:.2f} ms: {ours / peer:.2f}× the time"
    return text
