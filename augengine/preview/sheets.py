"""Rows of tiles as one picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .overlay import overlay, says
from .tiles import Tile

if TYPE_CHECKING:
    from PIL import Image


def sheet_of(
    title: str,
    lines: Sequence[str],
    rows: Iterable[Sequence[Tile]],
    size: int = 224,
    *,
    box_format: str = "XYXY",
    names: Sequence[str] | Mapping[int, str] | None = None,
) -> Image.Image:
    """A picture of rows of tiles with their headings and captions, and their targets drawn on.

    Args:
        title: Text of the title.
        lines: Paragraphs below it.
        rows: Rows of tiles.
        size: Pixels a side of the square that each picture is fitted into.
        box_format: Name of the format of boxes that do not say theirs.
        names: Names of the classes of targets, by number.
    """
    from .. import sheet

    drawn = [
        [sheet.Tile(*with_target(tile, size, box_format, names), tile.heading) for tile in row]
        for row in rows
    ]
    return sheet.draw(title, list(lines), drawn, size)


def with_target(
    tile: Tile,
    side: int | None = None,
    box_format: str = "XYXY",
    names: Sequence[str] | Mapping[int, str] | None = None,
) -> tuple[np.ndarray, str]:
    """A tile's picture with its target drawn on, and its caption with what the target holds.

    Args:
        tile: Tile.
        side: Pixels a side of the square that the picture is fitted into, if it has a target.
        box_format: Name of the format of boxes that do not say theirs.
        names: Names of the classes, by number.
    """
    if tile.target is None:
        return tile.picture, tile.caption
    picture = overlay(tile.picture, tile.target, side=side, box_format=box_format, names=names)
    return picture, f"{tile.caption}; {says(tile.target)}"
