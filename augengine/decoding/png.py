"""What the chunks of a PNG say, read within bounds. Pillow would decode its pixels to look for EXIF."""

from __future__ import annotations

from typing import NamedTuple

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_MOST_CHUNKS = 100_000
_TEXT = (b"iTXt", b"tEXt", b"zTXt")


class Png(NamedTuple):
    """A PNG that stands upright."""

    height: int
    width: int
    mode: str  # Pillow's name of its colours


def png_of(data: bytes) -> Png | None:
    """What the chunks say; None for what is no PNG, or one that may have an orientation, or whose chunks
    do not end as they should."""
    if data[:8] != _SIGNATURE or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    depth, colour = data[24], data[25]
    if colour not in _MODES:
        return None
    mode = {1: "1", 16: "I;16"}.get(depth, "L") if colour == 0 else _MODES[colour]
    at, end = 8, len(data)
    for _ in range(_MOST_CHUNKS):
        if at + 12 > end:
            return None
        kind = data[at + 4 : at + 8]
        if kind == b"IEND":
            return Png(height, width, mode)
        after = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"eXIf" or (kind in _TEXT and _may_turn(data[at + 8 : after - 4])):
            return None
        at = after
    return None


def _may_turn(text: bytes) -> bool:
    return text.startswith((b"Raw profile type exif", b"XML:com.adobe.xmp"))
