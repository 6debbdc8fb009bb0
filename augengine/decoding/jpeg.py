"""What the markers of a JPEG say, read within bounds: size, colours, orientation, where the height stands."""

from __future__ import annotations

from typing import NamedTuple

_START_OF_FRAME = frozenset(
    {0xC0, 0xC1, 0xC2}
)  # baseline, sequential, progressive: of Huffman codes
_OTHER_FRAMES = frozenset(range(0xC0, 0xD0)) - _START_OF_FRAME - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END, _APP1 = 0xDA, b"\xff\xd9", 0xE1
_MOST_SEGMENTS, _MOST_ENTRIES = 1000, 512
_ORIENTATION, _SHORT = 0x0112, 3


class Jpeg(NamedTuple):
    """A JPEG of 8 bits, grey or of three components."""

    height: int  # as it is stored
    width: int
    components: int
    orientation: int
    height_at: int  # where its height stands in the bytes, 2 of them
    rows_in_order: bool  # whether one scan has all, row by row, so that reading may end early


def jpeg_of(data: bytes) -> Jpeg | None:
    """What the markers say; None for what is no JPEG, or one that is not plain: CMYK, 12 bits, lossless,
    damaged before its first scan, or of an orientation that stands elsewhere."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    at, end, orientation, frame = 2, len(data), 0, None
    for _ in range(_MOST_SEGMENTS):
        while at + 1 < end and data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if at + 4 > end or data[at] != 0xFF:
            return None
        marker, length = data[at + 1], (data[at + 2] << 8) | data[at + 3]
        body, after = at + 4, at + 2 + length
        if length < 2 or after > end or 0xD0 <= marker <= 0xD9 or marker in _OTHER_FRAMES:
            return None
        if marker == _START_OF_SCAN:
            if frame is None or length < 3:
                return None
            height, width, components, height_at, progressive = frame
            in_order = not progressive and data[body] == components
            return Jpeg(height, width, components, orientation or 1, height_at, in_order)
        if marker in _START_OF_FRAME:
            if frame is not None or length < 8 or data[body] != 8:
                return None
            height, width = (
                (data[body + 1] << 8) | data[body + 2],
                (data[body + 3] << 8) | data[body + 4],
            )
            components = data[body + 5]
            if components not in (1, 3) or not height or not width:
                return None
            frame = height, width, components, body + 1, marker == 0xC2
        elif marker == _APP1 and data[body : body + 6] == b"Exif\0\0":
            orientation = orientation or _orientation(data[body + 6 : after])
        elif marker == _APP1 and b"Orientation" in data[body:after] and not orientation:
            return None  # Pillow reads it in XMP too
        at = after
    return None


def _orientation(tiff: bytes) -> int:
    """The orientation in EXIF's first directory; 0 where there is none."""
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(tiff[:4])
    if order is None:
        return 0

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)  # type: ignore[arg-type]

    first = number(4, 4)
    for entry in range(min(number(first, 2), _MOST_ENTRIES)):
        at = first + 2 + 12 * entry
        if number(at, 2) == _ORIENTATION:
            value = number(at + 8, 2)
            return value if number(at + 2, 2) == _SHORT and 1 <= value <= 8 else 1
    return 0


def ends(data: bytes) -> bool:
    """Whether the marker that ends a JPEG stands in its last bytes."""
    return data.rfind(_END, max(0, len(data) - (1 << 16))) >= 0


def cut_below(data: bytes, jpeg: Jpeg, rows: int) -> bytes:
    """The same JPEG, whose header names fewer rows: a decoder then ends behind them."""
    at = jpeg.height_at
    return b"".join((data[:at], rows.to_bytes(2, "big"), data[at + 2 :]))
