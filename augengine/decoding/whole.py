"""A whole image from its bytes, upright."""

from __future__ import annotations

import io
import os
from typing import Literal, TypeAlias

import numpy as np

from .errors import DecodeError

# An encoded image: the bytes of its file, or the file's path.
Source: TypeAlias = bytes | os.PathLike[str] | str


def decode(
    source: Source, *, mode: Literal["RGB", "L"] = "RGB", name: str | None = None
) -> np.ndarray:
    """Decode a whole image, upright.

    Args:
        source: Bytes of the file, or its path.
        mode: 'RGB' or 'L' (grey); other colours are converted.
        name: Name of the image for errors; None is the path.

    Returns:
        Array (H, W, C) uint8, C 3 or 1.

    Raises:
        DecodeError: It is no image, or a damaged one.
        OSError: The file cannot be read.
    """
    from PIL import Image, ImageOps

    said = name or (str(source) if not isinstance(source, bytes) else "image")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
            array = np.array(ImageOps.exif_transpose(opened).convert(mode))
            return array[..., None] if array.ndim == 2 else array
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:
        raise DecodeError(said, f"its pixels cannot be decoded ({error})") from error
