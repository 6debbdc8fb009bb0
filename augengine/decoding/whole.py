"""A whole image from its bytes, upright."""

from __future__ import annotations

import numpy as np

from ..aliases import Encoded
from .files import bytes_of, name_of
from .header import file_of
from .options import Mode
from .pixels import decode_into, stored_size, turn_of


def decode(source: Encoded, *, mode: Mode = "RGB", name: str | None = None) -> np.ndarray:
    """Decode a whole image, upright.

    Args:
        source: Bytes of the file, or its path; or a tensor of bytes, or a dict of either.
        mode: 'RGB' or 'L' (grey); other colours are converted.
        name: Name of the image for errors; None is the path.

    Returns:
        Array (H, W, C) uint8, C 3 or 1.

    Raises:
        DecodeError: It is no image, or a damaged one.
        OSError: The file cannot be read.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (48, 32), "red").save(file, "PNG")
        >>> image = ae.decode(file.getvalue())
        >>> image.shape, image[0, 0].tolist()
        ((32, 48, 3), [255, 0, 0])
    """
    name = name or name_of(source)
    file = file_of(bytes_of(source, name), name)
    height, width = stored_size(file)
    stored = np.empty((height, width, 3 if mode == "RGB" else 1), np.uint8)
    decode_into(stored, file, mode, (0, 0, height, width), 1)
    turn = turn_of(file)
    if turn.swaps:
        stored = stored.swapaxes(0, 1)
    upright = stored[:: -1 if turn.flips_y else 1, :: -1 if turn.flips_x else 1]
    return np.ascontiguousarray(upright)
