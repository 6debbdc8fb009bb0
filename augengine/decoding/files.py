"""What an encoded image comes as: bytes, a path, a tensor of bytes, or Hugging Face's undecoded dict."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeAlias, cast

import numpy as np
import torch

from ..aliases import Encoded
from ..untrusted import opened
from .errors import DecodeError

# The bytes of a file, or its path.
Source: TypeAlias = bytes | bytearray | memoryview | os.PathLike[str] | str

MOST_BYTES = 1 << 30  # of a file that is read into memory
_FIELDS = {"bytes", "path"}


def is_encoded(image: object) -> bool:
    """Whether it is an encoded image, by its type alone."""
    if isinstance(image, (torch.Tensor, np.ndarray)):
        return image.ndim == 1 and image.dtype in (torch.uint8, np.uint8)
    if isinstance(image, Mapping):
        return bool(image) and set(image) <= _FIELDS
    return isinstance(image, (bytes, bytearray, memoryview, str, os.PathLike))


def name_of(image: Encoded) -> str:
    """The name of an image: its path, if it has one."""
    if isinstance(image, Mapping):
        image = cast(str | bytes, image.get("path") or b"")
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else "image"


def bytes_of(image: Encoded, name: str) -> bytes:
    """The bytes of an image; a path is read.

    Args:
        image: What `is_encoded` takes.
        name: Name of the image for errors.

    Raises:
        DecodeError: It is no regular file, a dict without bytes and path, or too long.
        OSError: The file cannot be read.
    """
    if isinstance(image, Mapping):
        image = cast(str | bytes, image.get("bytes") or image.get("path") or b"")
    if isinstance(image, torch.Tensor):
        image = image.cpu().numpy()
    if isinstance(image, (str, os.PathLike)):
        try:
            stream, size = opened(os.fspath(image))
        except ValueError:
            raise DecodeError(name, "it is no regular file") from None
        with stream:
            if size > MOST_BYTES:
                raise DecodeError(name, f"it has {size:,} bytes, more than {MOST_BYTES:,}")
            return stream.read(size)
    return image if isinstance(image, bytes) else bytes(cast(memoryview, image))
