"""The photographs of the demo: those that are shipped, and those of a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

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
    """Read the pictures below a folder, in the order of their names.

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
    contents, bytes_read = Folder(), 0
    files = _files(folder, skip)
    for position, path in enumerate(files):
        if len(contents.photographs) == most or bytes_read > MOST_BYTES:
            contents.left = len(files) - position
            break
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "replace")
        pixels = _pixels_or_reason(path)
        if isinstance(pixels, str):
            contents.unreadable.append((name, pixels))
        else:
            contents.photographs.append(Photograph(Path(name).stem, pixels))
            bytes_read += pixels.nbytes
    return contents


def _files(folder: Path, skip: Path | None) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (skip is not None and skip.exists() and path.samefile(skip))
    )


def _pixels_or_reason(path: Path) -> np.ndarray | str:
    """uint8 (H, W, 3), upright; or why the file is no picture."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"mode {image.mode}, not 8 bits a channel")
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        # Pillow repeats the whole path, or says nothing: the first words will do.
        reason = "no image" if "cannot identify" in str(error) else str(error)
        return reason or type(error).__name__
