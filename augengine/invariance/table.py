"""A report of labels as a table and sentences."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from .intervals import Interval
from .judge import BREAKS, HARDER, NOT_ENOUGH, SAFE

if TYPE_CHECKING:
    from rich.console import Console

    from .report import Finding, LabelReport

STYLES = {SAFE: "green", HARDER: "yellow", BREAKS: "bold red", NOT_ENOUGH: "dim"}
WIDTH = 160  # characters, of a report as text


def show(report: LabelReport, console: Console | None = None) -> None:
    """Print a report.

    Args:
        report: Report.
        console: Console of rich; None is a new one.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = console or Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("operation", overflow="fold")
    for heading in ("drawn", "strength", "plain", "falls by", "confidence", "learned", "remains"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    last = None
    for finding in report.findings:
        new = finding.op != last
        last = finding.op
        table.add_row(
            Text(finding.op if new else ""),
            _percent(finding.drawn) if new else "",
            f"{finding.strength:g}",
            _percent(finding.accuracy.value),
            _points(finding.fall),
            _percent(finding.confidence),
            _after(finding),
            _points(finding.remains),
            Text(finding.words, STYLES[finding.verdict]),
        )
    console.print(table)
    for line in _lines(report):
        console.print(line, markup=False)


def text(report: LabelReport) -> str:
    """A report as plain text.

    Args:
        report: Report.
    """
    from rich.console import Console

    console = Console(file=io.StringIO(), width=WIDTH, highlight=False, no_color=True)
    show(report, console)
    written = console.file
    assert isinstance(written, io.StringIO)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def _lines(report: LabelReport) -> list[str]:
    lines = []
    if report.note is not None:
        lines.append(f"No verdict: {report.note}")
    if report.warning is not None:
        lines.append(f"Take care: {report.warning}")
    for name, reason in report.unchecked:
        lines.append(f"not checked: {name}: {reason}")
    for name, reason in report.damaged[:20]:
        lines.append(f"damaged, left out: {name}: {reason}")
    if len(report.damaged) > 20:
        lines.append(f"damaged, left out: {len(report.damaged) - 20:,} more")
    lines.append(
        f"plain: {report.model}, which tells {_percent(report.plain.value)} of {report.held_out:,} "
        f"held-out images of {report.data}, none of them test images; the commonest class is "
        f"{_percent(report.chance)}. Policy: {report.policy}."
    )
    lines.append(
        f"learned: {report.net}, which learns {report.trained_on:,} images for {report.steps} batches or three "
        "times as many, half of them augmented; it tells so many augmented / plain held-out images. remains: "
        f"how far the lower one is below {_percent(report.level.value)}, which the same net tells without the "
        "operation. Intervals are of 95 %."
    )
    if report.note is None:
        lines.append(
            f"Two classes are seen to be mixed up from {_percent(report.smallest_confusion)} of their images "
            "on."
        )
    return lines


def _after(finding: Finding) -> str:
    if finding.learned is None:
        return "–"
    return f"{_percent(finding.learned.augmented.value)} / {_percent(finding.learned.plain.value)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _points(change: Interval) -> str:
    """A loss in points of percent, with its interval."""
    return f"{100 * change.value:.0f} ({100 * change.low:.0f} … {100 * change.high:.0f})"
