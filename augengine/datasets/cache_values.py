"""Samples as bytes: what stands around an image, written so that it comes back as it was.

JSON, and behind it the numbers of arrays and tensors. It holds no code. An object of one entry says what
it stands for: {"tuple": […]}, {"dict": [[key, value], …]}, {"array": [dtype, shape]} and the like.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..checks import shown
from ..untrusted import MOST_HEADER, parse_json

IMAGE = object()  # stands for the image
_MOST_DIMS = 8
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
        torch.bfloat16, torch.float32, torch.float64,
    )
}  # fmt: skip
_KINDS = "biufc"  # of NumPy's dtypes: numbers and bools


def write_values(sample: Any) -> bytes:
    """A sample, in which `IMAGE` stands for the image, as bytes.

    Raises:
        TypeError: When it holds what cannot be written, with what it is.
    """
    blobs: list[bytes] = []
    text = json.dumps(_plain(sample, blobs), separators=(",", ":")).encode()
    return len(text).to_bytes(4, "little") + text + b"".join(blobs)


def read_values(data: bytes, image: Any) -> Any:
    """The sample that was written, with the image in its place.

    Raises:
        ValueError: When the bytes are no sample, in a few words.
    """
    length = int.from_bytes(data[:4], "little")
    if length > len(data) - 4:
        raise ValueError("it is cut short")
    reader = _Reader(memoryview(data)[4 + length :], image)
    try:
        return reader.value(parse_json(data[4 : 4 + length], MOST_HEADER))
    except (TypeError, KeyError, RecursionError):
        raise ValueError("it holds what no sample is written as") from None


def _plain(value: Any, blobs: list[bytes]) -> Any:
    kind = type(value)
    if value is IMAGE:
        return {"image": 0}
    if value is None or kind in (bool, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is int and abs(value) < 2**128:
        return value
    if kind is float:
        return {"float": repr(value)}
    if kind in (list, tuple):
        plain = [_plain(v, blobs) for v in value]
        return plain if kind is list else {"tuple": plain}
    if kind is dict:
        return {"dict": [[_plain(k, blobs), _plain(v, blobs)] for k, v in value.items()]}
    if kind is bytes:
        blobs.append(value)
        return {"bytes": len(value)}
    if kind is torch.Tensor and value.layout == torch.strided:
        name = str(value.dtype).removeprefix("torch.")
        if name in _DTYPES and value.ndim <= _MOST_DIMS:
            flat = value.detach().cpu().contiguous().reshape(-1)
            blobs.append(flat.view(torch.uint8).numpy().tobytes())
            return {"tensor": [name, list(value.shape)]}
    if kind is np.ndarray or isinstance(value, np.generic):
        array = np.asarray(value)
        if array.dtype.kind in _KINDS and array.ndim <= _MOST_DIMS:
            blobs.append(array.tobytes())
            name = "array" if kind is np.ndarray else "scalar"
            return {name: [array.dtype.str, list(array.shape)]}
    raise TypeError(
        shown(value) if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    )


class _Reader:
    """Values from JSON. What they take is compared with the bytes that there are, before it is taken."""

    def __init__(self, blobs: memoryview, image: Any) -> None:
        self.blobs, self.at = blobs, 0
        self.image = image
        self.forms: dict[str, Callable[[Any], Any]] = {
            "image": lambda _: self.image,
            "float": float,
            "tuple": lambda values: tuple(map(self.value, values)),
            "dict": lambda pairs: {self.value(k): self.value(v) for k, v in pairs},
            "bytes": lambda length: bytes(self.take(length)),
            "tensor": self.tensor,
            "array": self.array,
            "scalar": lambda header: self.array(header)[()],
        }

    def value(self, plain: Any) -> Any:
        if isinstance(plain, list):
            return [self.value(v) for v in plain]
        if isinstance(plain, dict):
            ((form, content),) = plain.items()
            return self.forms[form](content)
        return plain

    def take(self, length: int) -> memoryview:
        if type(length) is not int or not 0 <= length <= len(self.blobs) - self.at:
            raise ValueError("it is cut short")
        self.at += length
        return self.blobs[self.at - length : self.at]

    def tensor(self, header: list) -> torch.Tensor:
        name, shape = header
        dtype = _DTYPES[name]
        data = bytearray(self.take(_count(shape) * dtype.itemsize))
        if not data:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype).reshape(shape)

    def array(self, header: list) -> np.ndarray:
        name, shape = header
        dtype = np.dtype(name)
        if dtype.kind not in _KINDS:
            raise TypeError
        data = bytearray(self.take(_count(shape) * dtype.itemsize))
        return np.ndarray(shape, dtype, data)


def _count(shape: list) -> int:
    if len(shape) > _MOST_DIMS or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise ValueError("it holds what is no shape")
    # A length of 0 hides the others from the product, but not from who makes an array of that shape.
    if math.prod(max(n, 1) for n in shape) >= 2**48:
        raise ValueError("it holds what is no shape")
    return math.prod(shape)
