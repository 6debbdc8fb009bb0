"""The pixels of one image, as far as they are asked for: by simplejpeg, or by Pillow.

Both decode a JPEG by libjpeg-turbo, with its accurate transform and its smooth chroma, and to the same
bytes. simplejpeg decodes those of bytes, three components or grey; Pillow decodes all else, and these too
where simplejpeg is not installed.
"""

from __future__ import annotations

import io
import threading
import warnings
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .errors import DecodeError
from .header import File, said
from .jpeg import cut_below, ends
from .options import Mode

# What is decoded below the last row that is wanted, so that chroma has a neighbour to be smoothed with; of
# decoded pixels, which is enough for four rows a sample.
_ROWS_BELOW = 16
# libjpeg says this of what follows the last row that it was asked for, and of padding between segments.
_HARMLESS = "extraneous bytes before marker"
_MOST_SCRATCH = 1 << 26  # bytes that a thread keeps
_thread = threading.local()


class Turn(NamedTuple):
    """How the stored picture lies: axes swapped first, then flipped, it is upright."""

    swaps: bool
    flips_y: bool
    flips_x: bool


# EXIF's orientations 1 … 8.
TURNS = (
    Turn(False, False, False),
    Turn(False, False, True),
    Turn(False, True, True),
    Turn(False, True, False),
    Turn(True, False, False),
    Turn(True, False, True),
    Turn(True, True, True),
    Turn(True, True, False),
)


def turn_of(file: File) -> Turn:
    """How the file's picture lies."""
    return TURNS[file.header.orientation - 1]


def stored_size(file: File) -> tuple[int, int]:
    """Height and width of the picture as it is stored."""
    height, width = file.header.height, file.header.width
    return (width, height) if turn_of(file).swaps else (height, width)


def scales(file: File) -> bool:
    """Whether the decoder can decode it at a half, a quarter and an eighth."""
    return file.header.format in ("JPEG", "MPO")


def decode_into(
    out: np.ndarray, file: File, mode: Mode, box: tuple[int, int, int, int], scale: int
) -> None:
    """Decode a part of the stored picture.

    Args:
        out: Array (h, w, C) uint8 of that part, of any strides.
        file: The image.
        mode: 'RGB' or 'L'.
        box: y0, x0, y1, x1 of the part, in pixels of the decoded picture, ceil(size / scale).
        scale: 1, or 2, 4, 8 where `scales(file)`.

    Raises:
        DecodeError: It cannot be decoded.
    """
    try:
        if file.jpeg is not None and (simplejpeg := _simplejpeg()) is not None:
            _by_simplejpeg(simplejpeg, out, file, mode, box, scale)
        else:
            _by_pillow(out, file, mode, box, scale)
    except DecodeError:
        raise
    except Exception as error:
        raise DecodeError(file.name, f"its pixels cannot be decoded ({said(error)})") from error


@cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        warnings.warn(
            "augengine: simplejpeg cannot be imported, so Pillow decodes JPEGs, in nearly twice the time. "
            "Get it with pip install 'augengine[files]'.",
            stacklevel=2,
        )
        return None
    return simplejpeg


def _by_simplejpeg(
    simplejpeg: Any,
    out: np.ndarray,
    file: File,
    mode: Mode,
    box: tuple[int, int, int, int],
    scale: int,
) -> None:
    jpeg, data = file.jpeg, file.data
    assert jpeg is not None
    rows = jpeg.height
    y0, x0, y1, x1 = box
    needed = (y1 + _ROWS_BELOW) * scale
    # The rows above and those beside are decoded in any case: a code's length is known when it is read.
    if needed < rows and jpeg.rows_in_order and ends(data):
        data, rows = cut_below(data, jpeg, needed), needed
    height, width, channels = -(-rows // scale), -(-jpeg.width // scale), out.shape[2]
    whole = box == (0, 0, height, width) and out.flags.c_contiguous
    buffer = out.reshape(-1) if whole else _scratch(height * width * channels)
    least = {} if scale == 1 else {"min_height": height, "min_width": width}
    colours = "RGB" if channels == 3 else "GRAY"
    try:
        picture = simplejpeg.decode_jpeg(data, colours, buffer=buffer, **least)
        size = picture.shape[:2]
    except ValueError as error:  # of a warning it is raised when all is decoded
        if _HARMLESS not in str(error):
            raise
        size = simplejpeg.decode_jpeg_header(data, strict=False, **least)[:2]
    if size != (height, width):
        raise DecodeError(
            file.name, f"it is {size[0]}×{size[1]} where its header says {height}×{width}"
        )
    if not whole:
        picture = buffer[: height * width * channels].reshape(height, width, channels)
        out[...] = picture[y0:y1, x0:x1]


def _scratch(count: int) -> np.ndarray:
    """[count] bytes, the thread's own."""
    kept = getattr(_thread, "scratch", None)
    if kept is None or len(kept) < count:
        kept = np.empty(count, np.uint8)
        _thread.scratch = kept if count <= _MOST_SCRATCH else None
    return kept


def _by_pillow(
    out: np.ndarray, file: File, mode: Mode, box: tuple[int, int, int, int], scale: int
) -> None:
    from PIL import Image

    height, width = stored_size(file)
    size = -(-height // scale), -(-width // scale)
    with Image.open(io.BytesIO(file.data)) as opened:
        if (opened.height, opened.width) != (height, width):
            raise DecodeError(file.name, "it has another size than its header says")
        grey = mode == "L" and file.jpeg is not None
        if scale > 1 or grey:
            # It takes the coarsest at which neither side is below what is asked for.
            opened.draft("L" if grey else None, (width // scale, height // scale))
        array = _converted(opened, mode, file.name)
    if array.shape[:2] != size:
        raise DecodeError(
            file.name,
            f"it was decoded to {array.shape[0]}×{array.shape[1]}, not {size[0]}×{size[1]}",
        )
    y0, x0, y1, x1 = box
    out[...] = array[y0:y1, x0:x1]


def _converted(opened: Any, mode: Mode, name: str) -> np.ndarray:
    """(H, W, C) uint8 of a Pillow image: as its `convert` does, but for what that would cut."""
    if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PNG"):
        wide = np.asarray(opened).astype(np.uint32)
        if wide.max(initial=0) > 65535:
            raise DecodeError(name, "it has values above 65535")
        # Of 65535, which is white, as many parts as of 255: the nearest.
        grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)[..., None]
        return np.broadcast_to(grey, (*grey.shape[:2], 3 if mode == "RGB" else 1))
    if opened.mode in ("I", "F"):
        raise DecodeError(
            name, f"it has values of mode {opened.mode!r}, of which nobody says what is white"
        )
    array = np.asarray(opened.convert(mode))
    return array[..., None] if array.ndim == 2 else array
