"""`augengine doctor`: measure on defaults or one's own data and model, print the report, draw it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ..checks import number, whole_number
from ..demo.outputs import check_outputs
from ..recipes.named import named
from . import data, models
from .examine import BATCH_SIZE, BUDGET, PARTS, examine
from .report import Report


def run(
    folder: Path | None = None,
    model: str | None = None,
    batch_size: int = BATCH_SIZE,
    policy: str | None = None,
    workers: int | None = None,
    device: str | None = None,
    budget: float = BUDGET,
    output: Path = Path("augengine-doctor.png"),
    json: Path | None = None,
) -> Report:
    """What `augengine doctor` does.

    Args:
        folder: Folder of pictures; None is our photographs.
        model: Name that timm or torchvision knows; None is a ResNet-18.
        batch_size: Number of images in a batch.
        policy: YAML file of a policy, or the name of a preset; None is "imagenet".
        workers: Number of workers of the loader that is measured; None takes the advised number.
        device: Device of the model; None is the GPU if there is one.
        budget: Time in seconds, in about.
        output: PNG file of the picture.
        json: File that all figures are written to, or None.

    Raises:
        ValueError: When an argument is none of these.
        OSError: When a file cannot be read or written.
        ImportError: When a package that it needs is not installed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(highlight=False)
    output = Path(output)
    check_outputs(output, None if json is None else Path(json))
    whole_number("--batch-size", batch_size, 1, 65536)
    number("--budget", budget, 1, 3600)
    chosen = named(policy or "imagenet", "--policy")
    dataset = data.photographs() if folder is None else data.folder(Path(folder))
    net, model_name = models.named(model)
    columns = (
        SpinnerColumn(),
        BarColumn(24),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=PARTS)

        def say(text: str) -> None:
            progress.update(task, description=text)
            progress.advance(task)

        report = examine(
            model=net, dataset=dataset, policy=chosen.policy, batch_size=batch_size, workers=workers,
            device=device, budget=budget, say=say,
        )  # fmt: skip
    figures = dataclasses.replace(report.figures, policy=chosen.name, model=model_name)
    report = dataclasses.replace(report, figures=figures)
    report.print(console)
    report.plot(output)
    console.print(f"\n{output}: the picture of it", markup=False)
    if json is not None:
        Path(json).write_text(report.to_json() + "\n", "utf-8")
        console.print(f"{json}: all figures", markup=False)
    return report
