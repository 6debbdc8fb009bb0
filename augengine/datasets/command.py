"""`augengine check --images FOLDER`: say what a folder holds, decode each image once, print the report."""

from __future__ import annotations

import warnings
from pathlib import Path

from .check import check_images
from .listing import list_folder
from .report import ImageReport
from .walk import walk


def run(images: Path, threads: int | None = None) -> ImageReport:
    """What `augengine check` does with images. Nothing is changed or deleted.

    Args:
        images: Folder, which is looked through with the folders below it.
        threads: Number of threads; None is one for each core.

    Returns:
        The report.

    Raises:
        ValueError: There is no image.
        OSError: A folder or a file cannot be read.
    """
    from rich import progress as bars
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(list_folder(images).summary(), markup=False)
    # All images, those that belong to no class too.
    names = walk(str(images)).files
    if not names:
        raise ValueError(
            f"--images: {images} holds no image, expected one at least. Check the path."
        )
    samples = [(images / name, None, name) for name in names]
    columns = (
        bars.TextColumn("decoding"), bars.BarColumn(), bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
    )  # fmt: skip
    with (
        bars.Progress(*columns, console=console, disable=not console.is_terminal) as bar,
        # What Pillow warns of, such as large images and odd palettes, decodes all the same.
        warnings.catch_warnings(action="ignore"),
    ):
        task = bar.add_task("", total=len(samples))
        report = check_images(
            samples, threads=threads, progress=lambda done: bar.update(task, completed=done)
        )
    console.print(str(report), markup=False)
    return report
