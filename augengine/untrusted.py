"""What a stranger may have written, read within bounds: regular files, JSON, headers of safetensors.

No memory is taken by what a file says before that has been compared with the file's own size. Messages
are short, whatever they are about.
"""

from __future__ import annotations

import json
import math
import os
import stat
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from . import systems
from .checks import shown

MOST_JSON = 1 << 20  # bytes; what we write of this kind has some kilobytes
MOST_HEADER = 1 << 24  # bytes of a safetensors header; a model of 10,000 tensors has 1 MB
_MOST_DIGITS = 64  # of a number; 64 bits have 20, a float64 has 24 characters
_MOST_DIMS = 8

_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4,
    "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


class Tensor(NamedTuple):
    """What a safetensors header says of a tensor."""

    dtype: str  # such as "F32"
    shape: tuple[int, ...]


def opened(file: str | Path) -> tuple[BinaryIO, int]:
    """A regular file, open for reading, and its size in bytes.

    A pipe or a device has no size, and may never end.

    Raises:
        ValueError: When it is something else.
        OSError: When it cannot be opened.
    """
    descriptor = os.open(file, os.O_RDONLY | systems.flags("O_NONBLOCK", "O_CLOEXEC"))
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ValueError(f"{file}: got no regular file, expected one. Name a file.")
    return os.fdopen(descriptor, "rb"), status.st_size


def read_text(file: str | Path, most: int = MOST_JSON) -> str:
    """What a file of UTF-8 text holds.

    Raises:
        ValueError: When it is longer than `most` bytes or no text, with the file's name.
        OSError: When it cannot be read.
    """
    stream, size = opened(file)
    with stream:
        if size > most:
            raise ValueError(
                f"{file}: got {size:,} bytes, expected {most:,} at most. Name a file of text that we wrote."
            )
        try:
            return stream.read(most).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{file}: got bytes that are no UTF-8 text ({error.reason}), expected text. Name another file."
            ) from None


def read_json(file: str | Path, most: int = MOST_JSON) -> object:
    """What a file of JSON holds.

    Raises:
        ValueError: When it is longer than `most` bytes or no JSON, in a few words and without the file.
        OSError: When it cannot be read.
    """
    stream, size = opened(file)
    with stream:
        if size > most:
            raise ValueError(f"it has {size:,} bytes, where {most:,} are the most")
        return parse_json(stream.read(most), most)


def parse_json(text: bytes | str, most: int = MOST_JSON) -> object:
    """JSON as RFC 8259 has it: finite numbers, and no name twice in an object.

    Raises:
        ValueError: When it is longer than `most` or something else, in a few words.
    """
    if len(text) > most:
        raise ValueError(f"it has {len(text):,} bytes of JSON, where {most:,} are the most")
    try:
        return json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            parse_int=_whole_number,
            parse_float=_number,
            parse_constant=_number,
            object_pairs_hook=_object,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error.msg} in line {error.lineno}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text: {error.reason}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole_number(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(text):,} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text) if len(text) <= _MOST_DIGITS else math.inf
    if not math.isfinite(value):
        raise ValueError(f"it holds {shown(text)}, which is no finite number")
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("it holds a name twice in one object")
    return names


def read_header(
    stream: BinaryIO, size: int, most: int = MOST_HEADER
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The header of a safetensors file: its tensors by name, and its metadata.

    The tensors fill the rest of the file exactly, each its own part, so that reading them takes as much
    memory as the file has bytes.

    Args:
        stream: File, at its beginning.
        size: Bytes of the whole file.
        most: Bytes that the header has at most.

    Raises:
        ValueError: When it is anything else, in a few words.
    """
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= size - 8:
        raise ValueError("it is cut short, or no safetensors file")
    if length > most:
        raise ValueError(f"its header has {length:,} bytes, where {most:,} are the most")
    header = parse_json(stream.read(length), most)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its header's metadata is no text by name")
    tensors, spans = {}, [(0, 0)]
    for name, entry in header.items():
        tensors[name], span = _tensor(name, entry)
        spans.append(span)
    spans.sort()
    if any(end != begin for (_, end), (begin, _) in pairwise(spans)):
        raise ValueError("its tensors overlap, or leave gaps")
    if spans[-1][1] != size - 8 - length:
        raise ValueError(
            f"its tensors have {spans[-1][1]:,} bytes by its header, and {size - 8 - length:,} follow"
        )
    return tensors, metadata


def _tensor(name: str, entry: object) -> tuple[Tensor, tuple[int, int]]:
    wrong = ValueError(f"its header is wrong in the tensor {shown(name)}")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise wrong
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    for numbers in (shape, span):
        if not isinstance(numbers, list) or len(numbers) > _MOST_DIMS:
            raise wrong
        if not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
            raise wrong
    if not isinstance(dtype, str) or dtype not in _BYTES or len(span) != 2:
        raise wrong
    # A length of 0 hides the others from the product, but not from who makes an array of that shape.
    if math.prod(max(n, 1) for n in shape) * _BYTES[dtype] >= 2**63:
        raise wrong
    if span[1] - span[0] != math.prod(shape) * _BYTES[dtype]:
        raise wrong
    return Tensor(dtype, tuple(shape)), (span[0], span[1])
