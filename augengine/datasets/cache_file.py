"""The file of a cache: samples one after the other, an index, a header.

    0       magic, the header's length and its checksum; then the header, a JSON object
    4096    the samples: each image's bytes as they lay in memory, from a multiple of 64 on, and what the
            sample is beside them
    …       the index, a row for each sample

The header is written last, so that a file without one is none. It holds the index's checksum, and a row
of the index its sample's. An open file is mapped into memory privately: a process that writes to an image
changes its own copy of the page, never the file.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch

from ..untrusted import opened, parse_json

MAGIC = b"AUGCACHE"
VERSION = 1
HEADER = 4096
ALIGNMENT = 64
MOST_SAMPLES = 1 << 32
# Linux counts a private mapping that may be written as memory that it must have, unless told not to.
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0

ROW = np.dtype([
    ("offset", "<i8"), ("shape", "<i4", 3), ("kind", "<u4"), ("rest", "<i8"), ("check", "<u4"),
    ("spare", "<u4"),
])  # fmt: skip
# The kinds of images, and a 0 for the third side of one that has two.
ARRAY, TENSOR = 0, 1


class Kept(NamedTuple):
    """What a cache keeps of a sample."""

    pixels: np.ndarray  # uint8, of two or three dimensions, one after the other in memory
    kind: int  # ARRAY, or TENSOR
    rest: bytes  # the sample around the image, as cache_values writes it
    check: int

    @classmethod
    def of(cls, pixels: np.ndarray, kind: int, rest: bytes) -> Kept:
        """The same with its checksum."""
        pixels = np.ascontiguousarray(pixels)
        return cls(pixels, kind, rest, zlib.crc32(rest, zlib.crc32(pixels.data)))


class Writer:
    """Writes a cache into a new file, sample by sample.

    Args:
        stream: File, open for writing, empty.
        samples: Number of samples that will come.
    """

    def __init__(self, stream: BinaryIO, samples: int) -> None:
        self.stream, self.index, self.count = stream, np.zeros(samples, ROW), 0
        stream.write(bytes(HEADER))
        self.end = HEADER

    def add(self, kept: Kept) -> None:
        """Write the next sample."""
        gap = -self.end % ALIGNMENT
        self.stream.write(bytes(gap))
        self.stream.write(kept.pixels.data)
        self.stream.write(kept.rest)
        row = self.index[self.count]
        row["offset"] = self.end + gap
        row["shape"] = (*kept.pixels.shape, 0)[:3]
        row["kind"], row["rest"], row["check"] = kept.kind, len(kept.rest), kept.check
        self.end += gap + kept.pixels.nbytes + len(kept.rest)
        self.count += 1

    def finish(self, about: dict[str, Any]) -> None:
        """Write the index, wait until all is on the disk, and only then write the header."""
        assert self.count == len(self.index)
        gap = -self.end % ALIGNMENT
        self.stream.write(bytes(gap))
        self.stream.write(_bytes_of(self.index))
        self._sync()
        header = {
            "version": VERSION,
            "samples": self.count,
            "index": self.end + gap,
            "check": zlib.crc32(_bytes_of(self.index)),
            **about,
        }
        text = json.dumps(header).encode()
        assert len(text) <= HEADER - 16
        self.stream.seek(0)
        self.stream.write(MAGIC + _words(len(text), zlib.crc32(text)) + text)
        self._sync()

    def _sync(self) -> None:
        self.stream.flush()
        os.fsync(self.stream.fileno())


class CacheFile:
    """A cache's file, open for reading and mapped into memory.

    Args:
        file: File.

    Attributes:
        header: The header, of which `Writer.finish` was told a part.
        index: Rows [n] of `ROW`.
        nbytes: Number of bytes of the file.

    Raises:
        ValueError: When it is no cache, of another version, cut short or damaged, in a few words.
        OSError: When it cannot be opened.
    """

    def __init__(self, file: Path) -> None:
        stream, self.nbytes = opened(file)
        with stream:
            self.header = _read_header(stream, self.nbytes)
            self._map = mmap.mmap(
                stream.fileno(),
                self.nbytes,
                mmap.MAP_PRIVATE | _NO_RESERVE,
                mmap.PROT_READ | mmap.PROT_WRITE,
            )
        self.index = np.frombuffer(self._map, ROW, self.header["samples"], self.header["index"])
        self.index.flags.writeable = False
        if zlib.crc32(_bytes_of(self.index)) != self.header["check"]:
            raise ValueError("its index is damaged")
        _check_index(self.index, self.header["index"])

    def __len__(self) -> int:
        return len(self.index)

    def image(self, i: int) -> np.ndarray | torch.Tensor:
        """The image of sample i, a view of the file."""
        row = self.index[i]
        shape = tuple(row["shape"].tolist())
        array = np.ndarray(
            shape if shape[2] else shape[:2], np.uint8, self._map, int(row["offset"])
        )
        return array if row["kind"] == ARRAY else torch.from_numpy(array)

    def rest(self, i: int) -> bytes:
        """What sample i is beside its image, as `Kept` has it."""
        begin, end = _rest_of(self.index[i])
        return self._map[begin:end]

    def matches(self, i: int, kept: Kept) -> bool:
        """Whether sample i is this one, to the last bit."""
        row = self.index[i]
        return (
            tuple(row["shape"].tolist()) == (*kept.pixels.shape, 0)[:3]
            and int(row["kind"]) == kept.kind
            and self.rest(i) == kept.rest
            and np.array_equal(np.asarray(self.image(i)), kept.pixels)
        )

    def damaged(self, file: Path) -> list[int]:
        """The samples whose bytes in the file, which is read anew, are not those that were written."""
        wrong = []
        stream, size = opened(file)
        with stream:
            if size != self.nbytes:
                raise ValueError(
                    f"it has {size:,} bytes, and had {self.nbytes:,} when it was opened"
                )
            for i, row in enumerate(self.index):
                stream.seek(int(row["offset"]))
                if zlib.crc32(stream.read(_rest_of(row)[1] - int(row["offset"]))) != row["check"]:
                    wrong.append(i)
        return wrong


def begins_as_cache(file: Path) -> bool:
    """Whether a file is empty, or says in its first bytes that it is a cache: one that may be made anew."""
    stream, size = opened(file)
    with stream:
        return not size or stream.read(len(MAGIC)) == MAGIC


def _bytes_of(index: np.ndarray) -> memoryview:
    return index.view(np.uint8).data


def _words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def _rest_of(row: np.void) -> tuple[int, int]:
    height, width, channels = row["shape"].tolist()
    begin = int(row["offset"]) + height * width * (channels or 1)
    return begin, begin + int(row["rest"])


def _read_header(stream: BinaryIO, size: int) -> dict[str, Any]:
    block = stream.read(HEADER)
    if block[: len(MAGIC)] != MAGIC:
        raise ValueError("it is no cache")
    length, check = (int.from_bytes(block[at : at + 4], "little") for at in (8, 12))
    if len(block) < HEADER or length > HEADER - 16:
        raise ValueError("it is cut short, or its header is damaged")
    text = block[16 : 16 + length]
    if zlib.crc32(text) != check:
        raise ValueError("its header is damaged")
    header = parse_json(text, HEADER)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    if header.get("version") != VERSION:
        raise ValueError(f"it is of another version of augengine: {header.get('version')!r:.20}")
    for name, most in (("samples", MOST_SAMPLES), ("index", 1 << 62), ("check", 1 << 32)):
        value = header.get(name)
        if type(value) is not int or not 0 <= value <= most:
            raise ValueError(f"its header is wrong in {name!r}")
    expected = header["index"] + header["samples"] * ROW.itemsize
    if size != expected:
        raise ValueError(f"it has {size:,} bytes, and {expected:,} by its header")
    if not header["samples"] or header["index"] < HEADER:
        raise ValueError("its header is wrong: it leaves no room for a sample")
    return header


def _check_index(index: np.ndarray, end: int) -> None:
    """Raise ValueError unless every sample lies between the header and the index."""
    shape = index["shape"].astype(np.float64)  # exact up to 2⁵³, and what is more is too much
    shape[:, 2] = np.where(index["shape"][:, 2] == 0, 1, shape[:, 2])
    good = (index["shape"][:, :2] > 0).all(axis=1) & (index["shape"][:, 2] >= 0)
    good &= (index["kind"] <= TENSOR) & (index["rest"] >= 0) & (index["offset"] >= HEADER)
    good &= index["offset"] + shape.prod(axis=1) + index["rest"] <= end
    if not good.all():
        raise ValueError(f"its index is wrong in sample {int(np.flatnonzero(~good)[0]):,}")
