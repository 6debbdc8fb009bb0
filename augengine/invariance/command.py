"""`augengine check --data`: read, train, judge; print the table, draw the pictures, write the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..demo.outputs import check_outputs
from .check import STEPS, STRENGTHS, check_labels
from .report import LabelReport
from .table import WIDTH


def run(
    data: str,
    policy: str | None = None,
    model: str = "",
    strengths: Sequence[float] = STRENGTHS,
    steps: int | None = None,
    size: int = 0,
    classes: str = "",
    root: str = "data",
    seed: int = 0,
    output: Path = Path("augengine-check.png"),
    json: Path | None = None,
) -> LabelReport:
    """What `augengine check --data` does.

    Args:
        data: Folder of class folders, or digits, cifar10 or cifar100.
        policy: Name of a policy, or its file; None is the data's usual one.
        model: As `check_labels` takes it.
        strengths: Strengths in (0, 1].
        steps: Number of batches that one learning takes; None is the default.
        size: Pixels a side that nets see; 0 is the data's own.
        classes: Numbers of the classes that are used; empty is all.
        root: Folder where CIFAR lies.
        seed: Seed of everything random.
        output: PNG file of the curves; the worst images go beside it.
        json: File that all figures are written to, or None.

    Returns:
        The report.

    Raises:
        ValueError: When an argument is none of these.
        OSError: When a file cannot be read or written.
        ImportError: When a package that it needs is not installed.
    """
    from rich import progress as bars
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:  # a file has lines as long as a report's
        console = Console(highlight=False, width=WIDTH)
    output = Path(output)
    check_outputs(output, None if json is None else Path(json))
    columns = (
        bars.SpinnerColumn(), bars.BarColumn(24), bars.TextColumn("{task.description}"),
        bars.TimeElapsedColumn(),
    )  # fmt: skip
    quiet = not console.is_terminal
    last = -1
    with bars.Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("")

        def say(done: int, total: int, words: str) -> None:
            nonlocal last
            bar.update(task, completed=done, total=total, description=words)
            # Where nobody watches, in a file say, each part is a line.
            if quiet and done != last:
                last = done
                console.print(f"{done} of {total}: {words.partition(': ')[0]}", markup=False)

        report = check_labels(
            data, policy, model=model, strengths=strengths, steps=STEPS if steps is None else steps,
            size=size, classes=classes, root=root, seed=seed, progress=say,
        )  # fmt: skip
    report.print(console)
    report.plot(output)
    console.print(f"\n{output}: accuracy over strength", markup=False, soft_wrap=True)
    if report.worst:
        beside = output.with_name(f"{output.stem}-worst.png")
        report.plot_worst(beside)
        console.print(f"{beside}: what the plain model gets wrong", markup=False, soft_wrap=True)
    if json is not None:
        Path(json).write_text(report.to_json() + "\n", "utf-8")
        console.print(f"{json}: all figures", markup=False, soft_wrap=True)
    return report
