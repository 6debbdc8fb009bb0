"""Tiles and steps as HTML: pictures within the text, so that none is a file that the server hands out."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from ..policy.keyed import ids_of_names
from ..preview.tiles import Tile
from ..preview.trace import Step
from .album import Album

TILE, LARGE = 256, 420  # pixels of a picture's longer side
_SAMPLE = re.compile(r"sample (-?\d+)")


def names_of_ids(album: Album) -> dict[int, str]:
    """The images' names by the numbers that a plan knows them by."""
    numbers = np.asarray(ids_of_names(list(album.names)), np.int64).tolist()
    return dict(zip(numbers, album.names, strict=True))


def readable(words: str, names: Mapping[int, str]) -> str:
    """What a plan says, with names in the place of numbers."""
    return _SAMPLE.sub(lambda found: names.get(int(found[1]), found[0]), words)


def picture(pixels: np.ndarray, size: int) -> str:
    """A picture as a URL that holds it.

    Args:
        pixels: Array uint8 (H, W, 3).
        size: Pixels of the longer side, at most.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.BILINEAR, reducing_gap=2)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def grid(rows: Sequence[Sequence[Tile]], names: Mapping[int, str]) -> str:
    """The tiles of a grid: the image as it came, then a button for each draw.

    Args:
        rows: Tiles, a row for each image.
        names: Images' names by their numbers.
    """
    if not rows:
        return ""
    cells = []
    for row, (original, *draws) in enumerate(rows):
        name = original.heading.removeprefix("sample ")
        cells.append(
            f'<figure class="ae-tile"><img alt="{escape(name)} as it came" '
            f'src="{picture(original.picture, TILE)}">'
            f"<figcaption><b>{escape(name)}</b> <span>{escape(original.caption)}</span></figcaption></figure>"
        )
        for number, tile in enumerate(draws):
            said = escape(readable(tile.caption, names))
            cells.append(
                f'<button type="button" class="ae-tile" data-row="{row}" data-draw="{number}" title="{said}">'
                f'<img alt="{escape(name)}, {escape(tile.heading)}" src="{picture(tile.picture, TILE)}">'
                f'<span class="ae-said"><b>{escape(tile.heading)}</b> {said}</span></button>'
            )
    return f'<div class="ae-grid" style="--columns: {len(rows[0])}">{"".join(cells)}</div>'


def trace(
    steps: Sequence[Step], heading: str, words: str, names: Mapping[int, str], timed: bool
) -> str:
    """One tile explained: what the plan says of it, and its picture after each step.

    Args:
        steps: Steps, the image as it came first.
        heading: Which tile it is.
        words: What the plan says of it.
        names: Images' names by their numbers.
        timed: Whether the steps have times; else a hint stands there.
    """
    cells = []
    for number, step in enumerate(steps):
        cost = "" if step.microseconds is None else f"<i>{step.microseconds:+,.0f} µs</i>"
        title = "as it came" if number == 0 else f"{number}. {step.name.partition('(')[0]}"
        said = readable(step.words, names).removesuffix(", as it came")
        cells.append(
            f'<figure class="ae-tile"><img alt="{escape(title)}" src="{picture(step.picture, LARGE)}">'
            f"<figcaption><b>{escape(title)}</b> {escape(said)} {cost}</figcaption></figure>"
        )
    hint = (
        "Times are what a step adds to an image in a batch, below zero where it leaves less to do behind it."
        if timed
        else "Click the tile again for the times of its steps."
    )
    return (
        f'<div class="ae-trace"><h3>{escape(heading)}</h3><p>{escape(readable(words, names))}</p>'
        f'<div class="ae-steps">{"".join(cells)}</div><p class="ae-hint">{hint}</p></div>'
    )


def error(said: str) -> str:
    """What an op refuses, in its words."""
    if not said:
        return ""
    return (
        f'<div class="ae-error" role="alert"><b>Not drawn.</b> {escape(said)} '
        "<span>The pictures are those of the last policy that worked.</span></div>"
    )


def help_of(said: str) -> str:
    """A docstring's text as HTML: what stands in backticks is code."""
    parts = escape(said, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if k % 2 else part for k, part in enumerate(parts))


def note(said: str) -> str:
    """A line of small text."""
    return f'<p class="ae-hint">{escape(said)}</p>' if said else ""
