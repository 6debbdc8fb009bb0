"""`augengine demo`: read photographs, draw the contact sheet, measure, print the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import (
    CutMix,
    Engine,
    Policy,
    RandomAffine,
    RandomBrightness,
    RandomHorizontalFlip,
    RandomResizedCrop,
)
from ..recipes.named import read_policy
from .comparison import BATCH, SECONDS, Row, compare, print_table
from .contact_sheet import VERSIONS, contact_sheet, draw_versions
from .photographs import Photograph, read_folder, shipped_photographs

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 6  # photographs on the sheet
NAMED = 10  # unreadable files that are named one by one


def run(
    images: Path | None = None,
    output: Path = Path("augengine-demo.png"),
    size: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    policy: Path | None = None,
    *,
    batch: int = BATCH,
    seconds: float = SECONDS,
) -> list[Row]:
    """What `augengine demo` does.

    Args:
        images: Folder of images; None is the shipped photographs.
        output: PNG file of the contact sheet.
        size: Pixels a side of the augmented images, 224 by default. A policy file says its own.
        seed: Seed of the engine.
        epoch: First epoch on the sheet.
        policy: YAML file of a policy; None is `default_policy`.
        batch: Number of images that are timed, at most.
        seconds: Time that the measuring takes, in about.

    Returns:
        The rows of the table.

    Raises:
        ValueError: When an argument is none of these.
        OSError: When a file cannot be read or written.
        ImportError: When the photographs are not installed.
    """
    from rich.console import Console

    console = Console(highlight=False)
    output = Path(output)
    if output.suffix.lower() != ".png" or not output.parent.is_dir():
        raise ValueError(
            f"--output: got {output}, expected a file name ending in .png in a folder that exists."
        )
    if policy is not None and size is not None:
        raise ValueError("--size and --policy came together; a policy file says its own size.")
    chosen = (
        default_policy(224 if size is None else size)
        if policy is None
        else read_policy(policy, "--policy")
    )
    with console.status("reading the photographs …"):
        photographs = _photographs(images, output, console)
    engine = Engine(chosen, seed=seed)

    with console.status("drawing …"):
        shown = photographs[:SHOWN]
        picture = contact_sheet(engine, shown, draw_versions(engine, shown, epoch))
        picture.save(output, optimize=True)
    of = f"the first {len(shown)} of " if len(shown) < len(photographs) else ""
    console.print(
        f"{output}: {of}{len(photographs)} photographs, {VERSIONS} versions of each "
        f"({picture.width}×{picture.height} pixels)\n",
        markup=False,
    )
    with console.status("measuring …") as status:
        rows = compare(engine, photographs, epoch, batch, seconds, status.update)
    print_table(console, rows)
    return rows


def default_policy(size: int) -> Policy:
    """The demo's policy: crop to `size` pixels a side, flip, affine, brightness, CutMix."""
    return Policy(
        [
            RandomResizedCrop(size, scale=(0.3, 1.0)),
            RandomHorizontalFlip(),
            RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), fill=128),
            RandomBrightness(0.2),
            CutMix(p=0.5),
        ]
    )


def _photographs(folder: Path | None, output: Path, console: Console) -> list[Photograph]:
    """The shipped photographs, or those of a folder, with a report of the files that are none."""
    if folder is None:
        return shipped_photographs()
    contents = read_folder(Path(folder), skip=output)
    photographs, unreadable = contents.photographs, contents.unreadable
    if unreadable:
        plural = "s are" if len(unreadable) > 1 else " is"
        console.print(f"{len(unreadable)} file{plural} left out:", style="yellow")
        for name, reason in unreadable[:NAMED]:
            console.print(f"  {name}: {reason}", markup=False)
        if len(unreadable) > NAMED:
            console.print(f"  … and {len(unreadable) - NAMED} more")
    if not photographs:
        raise ValueError(
            f"--images: {folder} holds no image that can be read ({len(unreadable)} other files), "
            "expected at least one. Pass another folder, or leave --images away for ours."
        )
    if contents.left:
        console.print(
            f"read {len(photographs)} images, enough for this; {contents.left} files are not opened"
        )
    return photographs
