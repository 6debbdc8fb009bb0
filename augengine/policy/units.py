"""What a number of a user means: a fill, a threshold or a value is in the units of the images that came.

Bytes for bytes, [0, 1] for floats, as in torchvision. A text such as "#7b7568" says bytes whatever comes,
so that a policy that is written down means the same colour for all images. Plans are in [0, 1].
"""

from __future__ import annotations

import re

import torch

from ..checks import several, shown

# The value that means 1, by the dtype of images.
LARGEST = {
    "bool": 1.0,
    "uint8": 255.0,
    "uint16": 65535.0,
    "int16": 32767.0,
    **dict.fromkeys(("float16", "bfloat16", "float32", "float64"), 1.0),
}
MOST = 65535.0  # of any dtype
_BYTES = re.compile(r"#([0-9a-fA-F]{2}){1,64}")

# A number or one a channel, in the units of images, or bytes as text.
Units = float | str | tuple[float, ...]


def dtype_name(where: str, dtype: str | torch.dtype) -> str:
    """The name of a dtype of images, or ValueError."""
    name = str(dtype).removeprefix("torch.")
    if name not in LARGEST:
        raise ValueError(
            f"{where}: got {shown(dtype)}, expected the dtype of images, one of {', '.join(LARGEST)}. Pass "
            "images.dtype."
        )
    return name


def is_float(dtype: str) -> bool:
    """Whether images of this dtype hold floats."""
    return "float" in dtype


def bytes_of_text(where: str, text: str) -> tuple[int, ...]:
    """The bytes of "#80" (one for all channels) or "#7b7568" (one a channel), or ValueError."""
    if not _BYTES.fullmatch(text):
        raise ValueError(
            f"{where}: got {shown(text)}, expected a number, or bytes as text, such as '#80', or '#7b7568' for "
            "red, green and blue. Write two hexadecimal digits for each channel."
        )
    return tuple(bytes.fromhex(text[1:]))


def share(where: str, value: Units, dtype: str, above: float = 0) -> float | tuple[float, ...]:
    """Numbers in the units of images as shares of the full range, or ValueError for what no image has.

    above: how much more than the largest value is taken, in bytes.
    """
    if isinstance(value, str):
        channels = tuple(byte / 255 for byte in bytes_of_text(where, value))
        return channels[0] if len(channels) == 1 else channels
    largest = LARGEST[dtype]
    if max(map(abs, several(value)), default=0) > largest * (1 + above / 255):
        low = "0" if min(several(value)) >= 0 else f"{-largest:g}"
        if is_float(dtype):
            fix = "Divide by 255, or write bytes as text, such as '#80'"
        elif dtype == "uint8":
            fix = f"The nearest is {largest:g}"
        else:
            fix = "Write it in their units"
        raise ValueError(
            f"{where}: got {shown(value)}, expected {low} … {largest:g}, since values are {dtype} there. {fix}."
        )
    if isinstance(value, tuple):
        return tuple(v / largest for v in value)
    return value / largest


def in_bytes(where: str, value: Units, dtype: str, above: float = 0) -> float | tuple[float, ...]:
    """As `share`, times 255: whole bytes stay whole."""
    shares = share(where, value, dtype, above)
    if isinstance(value, str):
        numbers: tuple[float, ...] = tuple(map(float, bytes_of_text(where, value)))
    else:
        numbers = tuple(v * (255 / LARGEST[dtype]) for v in several(value))
    return numbers if isinstance(shares, tuple) else numbers[0]
