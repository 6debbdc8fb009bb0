"""The images that the page shows: those of a folder, ours, or those that were sent to the page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..datasets.walk import HIDDEN, OUTSIDE, walk
from ..decoding import DecodeError, decode, read_header
from ..demo.photographs import shipped_photographs
from ..kernels import Sources

# What is read at most: of a folder, and of what is sent to the page; bytes of pixels in all; and of one
# image its bytes as a file and its pixels.
MOST_FILES, MOST_SENT, MOST_BYTES = 48, 24, 256 << 20
MOST_FILE, MOST_PIXELS = 32 << 20, 50_000_000


@dataclass(frozen=True)
class Album:
    """Images with their names, which are the ids of their draws.

    Args:
        names: Names, each of its own: paths inside the folder.
        sources: Image of each, as an engine takes it.
        note: What was left out, in a line; empty for nothing.
    """

    names: tuple[str, ...]
    sources: tuple[Sources, ...]
    note: str = ""

    def __len__(self) -> int:
        return len(self.names)


def photographs() -> Album:
    """Our photographs.

    Raises:
        ImportError: The packages that they come with are not installed.
    """
    shipped = shipped_photographs()
    return Album(tuple(p.name for p in shipped), tuple(Sources.of([p.pixels]) for p in shipped))


def read_folder(folder: Path) -> Album:
    """The images below a folder, by their suffixes and in the order of their names, MOST_FILES at most and
    until MOST_BYTES of pixels are read. What leads out of the folder is not followed.

    Raises:
        ValueError: There is no such folder, or no image in it that can be read.
        OSError: The folder cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"--images: {folder} is no folder. Pass one that holds images.")
    tree = walk(str(folder), outside=False)
    home = folder.resolve()
    damaged: list[str] = []
    names: list[str] = []
    images: list[np.ndarray] = []
    pixels = opened = 0
    for name in tree.files:
        if len(names) == MOST_FILES or pixels > MOST_BYTES:
            break
        opened += 1
        try:
            # A link that was changed since is not followed either.
            if not (folder / name).resolve().is_relative_to(home):
                raise DecodeError(name, OUTSIDE)
            image = _read(folder / name, name)
        except (DecodeError, OSError) as error:
            damaged.append(f"{_shown(name)} ({_reason(error)})")
            continue
        names.append(_shown(name))
        images.append(image)
        pixels += image.nbytes
    if not names:
        reason = f" The first: {damaged[0]}." if damaged else ""
        raise ValueError(
            f"--images: {folder} holds no image that can be read, expected one at least.{reason} Pass another "
            "folder."
        )
    left = len(tree.files) - opened
    outside = sum(reason == OUTSIDE for _, reason in tree.left_out)
    others = sum(reason not in (OUTSIDE, HIDDEN) for _, reason in tree.left_out)
    return _album(
        names,
        images,
        [
            f"{left:,} more are not read" if left else "",
            f"{len(damaged)} cannot be read: {', '.join(damaged[:3])}" if damaged else "",
            f"{outside} lead out of the folder" if outside else "",
            f"{others} are no images" if others else "",
        ],
    )


def read_sent(files: Sequence[str]) -> Album:
    """The images that were sent to the page.

    Args:
        files: Paths, each ending in the name that the file was sent by.

    Raises:
        ValueError: There are too many, one is too large, or none can be read.
    """
    if len(files) > MOST_SENT:
        raise ValueError(
            f"play: got {len(files)} images, expected {MOST_SENT} at most. Send fewer, or begin with "
            "--images FOLDER."
        )
    names: list[str] = []
    images: list[np.ndarray] = []
    damaged: list[str] = []
    pixels = 0
    for file in files:
        name = os.path.basename(file)
        try:
            if pixels > MOST_BYTES:
                raise DecodeError(name, f"the others have {pixels:,} bytes of pixels already")
            image = _read(Path(file), name)
        except (DecodeError, OSError) as error:
            damaged.append(f"{name} ({_reason(error)})")
            continue
        pixels += image.nbytes
        names.append(_of_its_own(name, names))
        images.append(image)
    if not names:
        raise ValueError(
            "play: got no image that can be read, expected one at least: "
            f"{', '.join(damaged[:3]) or 'no file'}. Send others."
        )
    return _album(
        names,
        images,
        [f"{len(damaged)} cannot be read: {', '.join(damaged[:3])}" if damaged else ""],
    )


def _read(file: Path, name: str) -> np.ndarray:
    """An image, uint8 (H, W, 3), whose size is known before its pixels are decoded."""
    size = file.stat().st_size
    if size > MOST_FILE:
        raise DecodeError(name, f"{size:,} bytes, where {MOST_FILE:,} are the most")
    header = read_header(file, name)
    if header.height * header.width > MOST_PIXELS:
        raise DecodeError(
            name, f"{header.height}×{header.width} pixels, where {MOST_PIXELS:,} are the most"
        )
    return decode(file, name=name)


def _reason(error: DecodeError | OSError) -> str:
    return error.reason if isinstance(error, DecodeError) else str(error.strerror)


def _album(names: Sequence[str], images: Sequence[np.ndarray], notes: Sequence[str]) -> Album:
    note = "; ".join(note for note in notes if note)
    return Album(tuple(names), tuple(Sources.of([image]) for image in images), note)


def _of_its_own(name: str, names: Sequence[str]) -> str:
    """A name that none of the others has."""
    number, own = 2, name
    while own in names:
        own, number = f"{name} ({number})", number + 1
    return own


def _shown(name: str) -> str:
    """A file's name as text, which it may not be."""
    return os.fsencode(name).decode("utf-8", "replace")
