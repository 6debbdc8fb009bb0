"""Tiles as HTML, with the pictures inside, as notebooks show them; nothing but torch and NumPy is needed."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np
import torch

from .tiles import Tile

# Colours are the page's own, light or dark.
_FIGURE = "margin:0 10px 10px 0;display:inline-block;vertical-align:top;width:{width}px"
_TEXT = "font:12px/1.35 sans-serif;overflow-wrap:anywhere"


def png(picture: np.ndarray) -> bytes:
    """A picture as a file, without Pillow.

    Args:
        picture: Array uint8 (H, W, 3).
    """
    height, width = picture.shape[:2]
    lines = np.zeros(
        (height, 1 + width * 3), np.uint8
    )  # each begins with the number of its filter, none
    lines[:, 1:] = picture.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture whose sides are at most so many pixels: each pixel is the mean of those that it covers.

    Args:
        picture: Array uint8 (H, W, 3).
        side: Pixels, 1 or more.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    step = max(1, int(1 / scale) // 2)  # of very large ones every so many pixels are enough
    pixels = torch.from_numpy(picture[::step, ::step].copy()).movedim(-1, 0)[None]
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = torch.nn.functional.interpolate(
        pixels.float(), size, mode="bilinear", antialias=True, align_corners=False
    )
    return small[0].round().clamp(0, 255).to(torch.uint8).movedim(0, -1).numpy()


def html(rows: Sequence[Sequence[Tile]], side: int, text: str = "", title: str = "") -> str:
    """Rows of tiles, and below them a text.

    Args:
        rows: Rows of tiles.
        side: Pixels a side of the square that each picture is fitted into.
        text: Text that stands as it is, such as what `repr` says.
        title: Bold text above.
    """
    parts = [f'<div style="font:bold 14px sans-serif;margin:0 0 8px">{escape(title)}</div>'] * bool(
        title
    )
    for row in rows:
        figures = "".join(_figure(tile, side) for tile in row)
        parts.append(f'<div style="white-space:normal">{figures}</div>')
    if text:
        parts.append(f'<pre style="margin:4px 0;white-space:pre-wrap">{escape(text)}</pre>')
    return f"<div>{''.join(parts)}</div>"


def _figure(tile: Tile, side: int) -> str:
    picture = shrunk(tile.picture, side)
    data = base64.b64encode(png(picture)).decode("ascii")
    height, width = picture.shape[:2]
    scale = side / max(height, width)  # small ones are enlarged, pixel by pixel
    size = f"width:{max(1, round(width * scale))}px;height:{max(1, round(height * scale))}px"
    sharp = ";image-rendering:pixelated" if scale > 1 else ""
    alt = escape(f"{tile.heading} {tile.caption}".strip(), quote=True)
    heading = f"<b>{escape(tile.heading)}</b><br>" if tile.heading else ""
    return (
        f'<figure style="{_FIGURE.format(width=side)}">'
        f'<img alt="{alt}" style="{size}{sharp};max-width:none" src="data:image/png;base64,{data}">'
        f'<figcaption style="{_TEXT}">{heading}{escape(tile.caption)}</figcaption></figure>'
    )
