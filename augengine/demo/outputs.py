"""What a command that measures leaves behind: a picture, and a file of figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..sheet import SOFT


def check_outputs(picture: Path, figures: Path | None) -> None:
    """Refuse files that could not be written in the end, before anything is measured.

    Raises:
        ValueError: One lies in no folder, or the picture is no .png.
    """
    if picture.suffix.lower() != ".png" or not picture.parent.is_dir():
        raise ValueError(
            f"--out: got {picture}, expected a file name ending in .png in a folder that exists."
        )
    if figures is not None and not figures.parent.is_dir():
        raise ValueError(f"--json: got {figures}, expected a file in a folder that exists.")


def plain(axes: Any) -> None:
    """Draw matplotlib's axes as a line below and a soft grid."""
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", colors=SOFT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)
    axes.grid(axis="x", color=SOFT, alpha=0.15)
    axes.set_axisbelow(True)


def write_picture(figure: Any, file: Path) -> None:
    """Write matplotlib's figure as PNG, the whole file or none."""
    partial = file.with_suffix(".partial")
    figure.savefig(partial, dpi=110, format="png")
    os.replace(partial, file)
