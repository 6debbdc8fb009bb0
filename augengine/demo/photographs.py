"""The photographs of the demo: those that are shipped, and those of a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..datasets.walk import HIDDEN, walk
from ..decoding import DecodeError, decode

# What is read of a folder, at most.
MOST_FILES, MOST_BYTES = 96, 256 << 20


@dataclass(frozen=True)
class Photograph:
    """A picture with its name.

    Args:
        name: Name on the sheet.
        pixels: Array uint8 (H, W, 3).
    """

    name: str
    pixels: np.ndarray


@dataclass
class Folder:
    """What a folder holds.

    Args:
        photographs: Pictures that were read.
        unreadable: (name, reason) of each file that is no picture.
        left: Number of files that were not opened.
    """

    photographs: list[Photograph] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0


def shipped_photographs() -> list[Photograph]:
    """Six photographs of four sizes that come with scikit-learn and scikit-image.

    Raises:
        ImportError: When one of the two is not installed.
    """
    try:
        from skimage import data
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        raise ImportError(
            f"the photographs come with {error.name}, which is not installed. Run "
            "pip install 'augengine[demo]', or pass --images FOLDER."
        ) from error
    pixels = {
        "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
        "astronaut": data.astronaut(),
        "coffee": data.coffee(),
        "chelsea": data.chelsea(),
        "rocket": data.rocket(),
    }
    return [Photograph(name, np.ascontiguousarray(p)) for name, p in pixels.items()]


def read_folder(folder: Path, skip: Path | None = None, most: int = MOST_FILES) -> Folder:
    """Read the pictures below a folder, by the suffixes that Pillow decodes and in the order of their names.

    Reading ends after MOST_BYTES of pixels. Hidden files are passed over.

    Args:
        folder: Folder, which is searched with its subfolders.
        skip: File to pass over, such as an earlier sheet.
        most: Number of pictures after which reading ends.

    Raises:
        ValueError: When there is no such folder.
    """
    if not folder.is_dir():
        raise ValueError(f"--images: {folder} is no folder. Pass one that holds images.")
    tree, contents, bytes_read = walk(str(folder)), Folder(), 0
    files = [
        name
        for name in tree.files
        if skip is None or not skip.exists() or not (folder / name).samefile(skip)
    ]
    for name, reason in tree.left_out:
        if reason != HIDDEN:
            contents.unreadable.append((_shown(name), f"no image ({reason})"))
    for position, name in enumerate(files):
        if len(contents.photographs) == most or bytes_read > MOST_BYTES:
            contents.left = len(files) - position
            break
        try:
            pixels = decode(folder / name, name=name)
        except (DecodeError, OSError) as error:
            said = error.reason if isinstance(error, DecodeError) else str(error.strerror)
            contents.unreadable.append((_shown(name), said))
            continue
        contents.photographs.append(Photograph(Path(_shown(name)).stem, pixels))
        bytes_read += pixels.nbytes
    return contents


def _shown(name: str) -> str:
    """A file's name as text, which it may not be."""
    return os.fsencode(name).decode("utf-8", "replace")
