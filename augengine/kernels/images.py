"""What users pass as an image, as a tensor (…, H, W, C): which layouts, dtypes and PIL modes are read.

Tensors are channels first, arrays and PIL images channels last, whatever the number of channels. What
contradicts this is refused, and never read the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..aliases import Image, Layout, PILImage
from ..decoding import is_encoded

DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)  # that executors read
# Whole numbers that become float32, and which of them is 1: the largest, as in torchvision's to_dtype.
_WHITE = {torch.uint16: 65535.0, torch.int16: 32767.0}
# Arrays that are read as another dtype than their own, by kind and bytes.
_OTHERS = {("b", 1): torch.bool, ("u", 2): torch.uint16, ("i", 2): torch.int16}
_MODES = ("1", "L", "RGB", "I;16", "I;16L", "I;16B", "I;16N", "F")  # of PIL, of plain values
MOST_CHANNELS = 64  # of images whose layout nobody has named
_FEW_CHANNELS = 4  # that an image may have and be narrower yet


def channels_last(image: Image, layout: Layout | None = None, name: str = "images") -> torch.Tensor:
    """One image or a batch as a tensor (…, H, W, C) of a dtype in `DTYPES`: a view where that is possible.

    Args:
        image: Tensor, array or PIL image.
        layout: Where the channels stand; None takes tensors as channels first, arrays as channels last.
        name: Text that messages begin with.

    Raises:
        TypeError: When the image is of another type or dtype.
        ValueError: When it has no such shape, or the shape contradicts the layout.
    """
    pil = isinstance(getattr(image, "mode", None), str)
    tensor = image if isinstance(image, torch.Tensor) else _tensor(image, name)
    channels_first = isinstance(image, torch.Tensor) if layout is None else layout == "NCHW"
    if tensor.ndim == 2:  # grey
        tensor = tensor[..., None]
    elif tensor.ndim not in (3, 4):
        raise ValueError(
            f"{name}: got an image of shape {tuple(tensor.shape)}, expected (H, W), (C, H, W) or "
            "(H, W, C). Add or drop dimensions."
        )
    else:
        if layout is None and not pil:
            _check_layout(tensor.shape, channels_first, name)
        tensor = tensor.movedim(-3, -1) if channels_first and not pil else tensor
    # Compiled code reads floats where floats may lie.
    tensor = tensor.clone() if tensor.data_ptr() % tensor.element_size() else tensor
    return _readable(tensor, name)


_BYTES = np.dtype(np.uint8)


def bytes_of(images: Sequence[Any]) -> tuple[torch.Tensor, ...] | None:
    """A list of arrays (H, W, C) of bytes as tensors, where nothing about them is to be refused, copied or
    converted; None where something may be. It says the same as `channels_last` in a fraction of the time."""
    channels = images[0].shape[-1] if type(images[0]) is np.ndarray and images[0].ndim == 3 else 0
    for image in images:
        if type(image) is not np.ndarray or image.dtype != _BYTES or image.ndim != 3:
            return None
        height, width, count = image.shape
        if count != channels or not 0 < count <= _FEW_CHANNELS or not height or not width:
            return None
        flags = image.flags
        if not (flags.c_contiguous and flags.writeable):
            return None
    return tuple(map(torch.from_numpy, images))


def all_encoded(images: Sequence[Any]) -> bool:
    """Whether images of a list are encoded.

    Raises:
        ValueError: Some are, and some are not.
    """
    are = [is_encoded(image) for image in images]
    if any(are) and not all(are):
        b = are.index(not are[0])
        kinds = ("encoded", "decoded") if are[0] else ("decoded", "encoded")
        raise ValueError(
            f"images[{b}]: got one that is {kinds[1]} ({type(images[b]).__name__}), images[0] is {kinds[0]} "
            f"({type(images[0]).__name__}), expected all of one kind. Decode them all first: "
            "ae.decode(image)."
        )
    return bool(are) and are[0]


def _check_layout(shape: torch.Size, channels_first: bool, name: str) -> None:
    """Refuse what has more channels than images have, or more than its side at the other end: it may lie
    the other way round."""
    channels, side = (shape[-3], shape[-1]) if channels_first else (shape[-1], shape[-3])
    if channels > MOST_CHANNELS or (channels > _FEW_CHANNELS and side < channels):
        kind, order, other = ("a tensor", "(C, H, W)", "NHWC")
        if not channels_first:
            kind, order, other = ("an array", "(H, W, C)", "NCHW")
        own = "NCHW" if channels_first else "NHWC"
        raise ValueError(
            f"{name}: got {kind} of shape {tuple(shape)}, which read as {order} has {channels} channels, "
            f"expected at most {MOST_CHANNELS}, and no more than pixels a side. Pass layout='{other}' if the "
            f"channels are the {'last' if channels_first else 'first'} axis of each image, or "
            f"layout='{own}' if it is meant so."
        )


def _tensor(image: np.ndarray | PILImage, name: str) -> torch.Tensor:
    """An array or a PIL image as a tensor, without a copy where torch takes its memory."""
    mode = getattr(image, "mode", None)
    if isinstance(mode, str) and mode not in _MODES:
        keeps = ", or np.asarray(image) to keep its values as they are"
        if mode in ("P", "PA"):
            keeps = ""  # they are numbers of colours
        raise ValueError(
            f"{name}: got a PIL image of mode {mode!r}, expected one of {', '.join(map(repr, _MODES))}, "
            f"whose values are shades or red, green and blue. Pass image.convert('RGB'){keeps}."
        )
    array = np.asarray(image)
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"{name}: got an array of {array.dtype.str}, expected numbers: bool, uint8, uint16, int16 or "
            "floats. Pass the values themselves."
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if min(array.strides, default=0) < 0 or not array.flags.writeable:
        array = array.copy()  # torch takes neither negative strides nor read-only memory
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:  # which torch has not
        array = array.astype(np.float64)
    return torch.from_numpy(array)


def given_dtype(image: Image) -> torch.dtype | None:
    """The dtype of an image that is read as another; None where it is read as it is."""
    if isinstance(image, torch.Tensor):
        dtype: torch.dtype | None = image.dtype
    else:
        of_array = np.asarray(image).dtype
        dtype = _OTHERS.get((of_array.kind, of_array.itemsize))
    return dtype if dtype in (torch.bool, *_WHITE) else None


def _readable(image: torch.Tensor, name: str) -> torch.Tensor:
    """The image in a dtype that executors read."""
    if image.dtype in DTYPES:
        return image
    if image.dtype == torch.float64:
        return image.to(torch.float32)
    if image.dtype == torch.bool:
        return image.to(torch.uint8) * 255
    if image.dtype in _WHITE:
        return image.to(torch.float32) / _WHITE[image.dtype]
    fix = "Divide by the number that is white, such as images / 255.0"
    if image.is_complex():
        fix = "Pass the magnitude, or the two parts as channels"
    raise TypeError(
        f"{name}: got {image.dtype}, expected bool, uint8 in 0 … 255, uint16, int16, or floats in [0, 1]. "
        f"{fix}."
    )


def value_range(image: torch.Tensor, name: str) -> tuple[float, float]:
    """The lowest and the highest value of an image, or of a batch, in one pass over it; (0, 1) for bytes,
    and where looking would wait for a device.

    Args:
        image: Tensor (…, H, W, C).
        name: Text that messages begin with.

    Raises:
        ValueError: When there are no channels, or a value is not finite.
    """
    if image.shape[-1] == 0:
        raise ValueError(f"{name}: has no channels, expected 1 or more. Leave it out.")
    if not image.dtype.is_floating_point or image.device.type != "cpu" or not image.numel():
        return 0.0, 1.0
    # In memory order: a reduction over permuted strides takes six times as long.
    order = sorted(range(image.ndim), key=image.stride, reverse=True)
    low, high = (v.item() for v in image.detach().permute(order).aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"{name}: got float values from {low:g} to {high:g}, expected finite numbers. Mend what makes "
            f"the {'NaN' if math.isnan(low) else 'infinity'}."
        )
    return low, high
