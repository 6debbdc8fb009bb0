"""The contact sheet: photographs, what the engine makes of them, and the plan's own words below."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from .plan import Finish

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

# Lengths are in pixels of the sheet, which is meant to be seen one to one.
MARGIN, GAP, ROW_GAP, CAPTION_GAP = 32, 16, 22, 7
TEXT, TITLE, LINE, TITLE_LINE = 13, 22, 17, 32
PAPER, INK, SOFT, TILE = "#fbfaf8", "#26262b", "#6f6f78", "#efedea"

# A word for the purpose of wrapping: "(12, 40)", "26 %" and "(+3, −8) px" stay whole.
_WORD = re.compile(r"(?:\([^()]*\)|(?<=[\d)]) (?=%|px)|\S)+")
# Where a word that is wider than a line is broken, if that helps: "RandomHorizontal", "Flip(", "p=0.5)".
_PIECE = re.compile(
    r"(?<=\()(?=[A-Za-z])|(?<==)(?=[A-Za-z(])|(?<=[_/])|(?<=, )|(?<=[a-z])(?=[A-Z])"
)


@dataclass(frozen=True)
class Tile:
    """A picture of the sheet.

    Args:
        pixels: Array uint8 (H, W, 3).
        caption: Text below, which is wrapped to the tile's width.
        heading: Bold text above the caption.
    """

    pixels: np.ndarray
    caption: str
    heading: str = ""


def displayed(images: torch.Tensor, finish: Finish) -> np.ndarray:
    """A batch as it is shown.

    Args:
        images: (N, C, H, W), of the finish's dtype. Of four channels or more the first three are shown,
            of two the first.
        finish: Plan's finish, whose normalisation is undone.

    Returns:
        uint8 (N, H, W, 3).
    """
    values = images.detach().cpu().to(torch.float32)
    if finish.dtype == "uint8":
        values = values / 255
    if finish.mean:
        shape = (1, -1, 1, 1)
        values = values * torch.tensor(finish.std).view(shape)
        values = values + torch.tensor(finish.mean).view(shape)
    pixels = values.clamp(0, 1).mul(255).add(0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1].repeat(3, -1)


def draw(title: str, lines: list[str], rows: list[list[Tile]], tile: int = 224) -> Image.Image:
    """Draw a sheet.

    Args:
        title: Text of the title.
        lines: Paragraphs below the title.
        rows: Tiles of each row.
        tile: Pixels a side of the square that a tile's picture is fitted into.
    """
    from PIL import Image, ImageDraw

    text, bold = fonts(TEXT)
    columns = max(len(row) for row in rows)
    width = 2 * MARGIN + columns * tile + (columns - 1) * GAP
    head = [part for line in lines for part in wrap(line, text, width - 2 * MARGIN)]
    captions = [[wrap(cell.caption, text, tile) for cell in row] for row in rows]
    headings = [[wrap(cell.heading, bold, tile) for cell in row] for row in rows]
    heights = [
        CAPTION_GAP
        + LINE * max(len(h) + len(c) for h, c in zip(*row, strict=True))
        + max(_fitted(cell.pixels.shape, tile)[0] for cell in cells)
        for row, cells in zip(zip(headings, captions, strict=True), rows, strict=True)
    ]
    top = MARGIN + TITLE_LINE + LINE * len(head) + ROW_GAP
    height = top + sum(heights) + ROW_GAP * (len(rows) - 1) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), title, INK, fonts(TITLE)[1], anchor="lt")
    _write(pen, head, (MARGIN, MARGIN + TITLE_LINE), text, SOFT)

    for row, cells in enumerate(rows):
        place = max(_fitted(cell.pixels.shape, tile)[0] for cell in cells)
        for column, cell in enumerate(cells):
            left = MARGIN + column * (tile + GAP)
            h, w = _fitted(cell.pixels.shape, tile)
            pen.rectangle((left, top, left + tile - 1, top + place - 1), TILE)
            picture = Image.fromarray(cell.pixels)
            if picture.size != (w, h):
                picture = picture.resize((w, h), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left + (tile - w) // 2, top + (place - h) // 2))
            y = top + place + CAPTION_GAP
            y = _write(pen, headings[row][column], (left, y), bold, INK)
            _write(pen, captions[row][column], (left, y), text, SOFT)
        top += heights[row] + ROW_GAP
    return sheet


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break a text between words, and inside a word that is wider than a line: between its pieces, if that
    helps.

    Args:
        text: Text that is broken.
        font: Font that it is written in.
        width: Width of a line, in pixels.
    """
    lines: list[str] = []
    line = ""
    for word in _WORD.findall(text):
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        fits = font.getlength(word) <= width
        if line and fits:
            lines.append(line)
        line = "" if fits or not line else f"{line} "
        for piece in [word] if fits else _PIECE.split(word):
            if line and font.getlength(line + piece) > width:
                lines.append(line.rstrip())
                line = ""
            if font.getlength(piece) <= width:
                line += piece
                continue
            for letter in piece:
                if line and font.getlength(line + letter) > width:
                    lines.append(line)
                    line = ""
                line += letter
    return [*lines, line] if line else lines


def _write(
    pen: ImageDraw.ImageDraw,
    lines: list[str],
    corner: tuple[int, int],
    font: ImageFont.FreeTypeFont,
    colour: str,
) -> int:
    """Write lines from their upper left corner (x, y) down. Returns the y below the last one."""
    x, y = corner
    for line in lines:
        pen.text((x, y), line, colour, font)
        y += LINE
    return y


def _fitted(shape: tuple[int, ...], tile: int) -> tuple[int, int]:
    """Height and width of a picture of this shape in a square of `tile` pixels."""
    scale = tile / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def fonts(size: int) -> tuple[ImageFont.FreeTypeFont, ImageFont.FreeTypeFont]:
    """Regular and bold. DejaVu comes with matplotlib and has the signs of a plan: × → − °."""
    import matplotlib
    from PIL import ImageFont

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    regular, bold = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(folder / regular, size), ImageFont.truetype(folder / bold, size)
