"""The header of an encoded image: its size, and which way up it is."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import NamedTuple

from ..aliases import Encoded
from .errors import DecodeError
from .files import bytes_of, name_of
from .jpeg import Jpeg, jpeg_of
from .png import png_of

# Twice what Pillow warns of: there it refuses an image, and so do we, before its memory is taken.
MOST_PIXELS = 178_956_970


@dataclass(frozen=True)
class Header:
    """What an encoded image says of itself before a pixel is decoded.

    Args:
        height: Height in pixels of the upright image, as it is meant to be looked at.
        width: Width in pixels of the upright image.
        orientation: EXIF's orientation, 1 … 8; of 5 … 8 the stored picture lies on its side.
        format: Pillow's name of the format, 'JPEG', say.
        mode: Pillow's name of the stored colours: 'RGB', 'L', 'CMYK', 'I;16', say.
    """

    height: int
    width: int
    orientation: int
    format: str
    mode: str


class File(NamedTuple):
    """An encoded image in memory, whose header has been read."""

    data: bytes
    name: str
    header: Header
    jpeg: Jpeg | None  # what its markers say; None: Pillow reads it


def read_header(source: Encoded, name: str | None = None) -> Header:
    """The header of an image.

    Args:
        source: Bytes of the file, or its path; or a tensor of bytes, or a dict of either.
        name: Name of the image for errors; None is the path.

    Raises:
        DecodeError: It is no image, or a damaged one, or too large.
        OSError: The file cannot be read.
    """
    name = name or name_of(source)
    return file_of(bytes_of(source, name), name).header


def file_of(data: bytes, name: str) -> File:
    """The bytes of an image with its header.

    JPEG and PNG are read here, in some tens of microseconds; Pillow reads all else, and whatever is not
    plain in these two.

    Raises:
        DecodeError: As `read_header` says.
    """
    jpeg = jpeg_of(data)
    if jpeg is not None:
        mode = {1: "L", 3: "RGB"}[jpeg.components]
        header = _upright(name, jpeg.height, jpeg.width, jpeg.orientation, "JPEG", mode)
        return File(data, name, header, jpeg)
    png = png_of(data)
    if png is not None:
        return File(data, name, _upright(name, png.height, png.width, 1, "PNG", png.mode), None)
    return File(data, name, _by_pillow(data, name), None)


def _by_pillow(data: bytes, name: str) -> Header:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            orientation = opened.getexif().get(0x0112, 1)
            width, height = opened.size
            format, mode = opened.format or "", opened.mode
            if format == "TIFF":
                orientation = 1  # Pillow turns it as it loads it
    except Exception as error:
        raise DecodeError(name, f"its header cannot be read ({said(error)})") from error
    return _upright(name, height, width, orientation, format, mode)


def _upright(
    name: str, height: int, width: int, orientation: object, format: str, mode: str
) -> Header:
    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise DecodeError(
            name, f"it is {height}×{width}, and has no pixels or more than {MOST_PIXELS:,}"
        )
    if not isinstance(orientation, int) or not 1 <= orientation <= 8:
        orientation = 1
    if orientation > 4:
        height, width = width, height
    return Header(height, width, orientation, format, mode)


def said(error: Exception) -> str:
    """An error's words, as they stand in a line of ours."""
    if type(error).__name__ == "UnidentifiedImageError":
        return "no format that Pillow knows"
    return " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__
