"""The header of an encoded image: its size, and which way up it is."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass

from .errors import DecodeError


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


def read_header(source: bytes | os.PathLike[str] | str, name: str | None = None) -> Header:
    """The header of an image.

    Args:
        source: Bytes of the file, or its path.
        name: Name of the image for errors; None is the path.

    Raises:
        DecodeError: It is no image, or a damaged one.
        OSError: The file cannot be read.
    """
    from PIL import Image

    said = name or (str(source) if not isinstance(source, bytes) else "image")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            orientation = opened.getexif().get(0x0112, 1)
            width, height = opened.size
            if orientation not in range(1, 9):
                orientation = 1
            if orientation > 4:
                width, height = height, width
            return Header(height, width, orientation, opened.format or "", opened.mode)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:
        raise DecodeError(said, f"its header cannot be read ({error})") from error
