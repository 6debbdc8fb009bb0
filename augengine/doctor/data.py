"""Data to measure with: the pictures of a folder, or our photographs as JPEG in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from ..datasets.suffixes import image_suffixes, is_hidden, suffix_of
from ..demo.photographs import shipped_photographs

# What is looked at of a folder. A tree of millions of files is not listed to its end.
MOST_FILES = 10_000
CLASSES = 1000
QUALITY = 90  # of the JPEG that our photographs become
# Times that each of ours is there, so that a batch decodes into memory of its own.
REPEATS = 16


class Pictures(Dataset[tuple]):
    """Encoded pictures, which Pillow decodes: (image, label), the image uint8 (H, W, 3).

    Args:
        files: Paths of the pictures, or their bytes.
        words: What they are, in words.
    """

    def __init__(self, files: Sequence[Path | bytes], words: str) -> None:
        self.files, self.words = list(files), words

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        from PIL import Image

        file = self.files[index]
        source = io.BytesIO(file) if isinstance(file, bytes) else file
        try:
            with Image.open(source) as image:
                return np.asarray(image.convert("RGB")), index % CLASSES
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            name = "a picture" if isinstance(file, bytes) else os.fspath(file)
            reason = "no image" if "cannot identify" in str(error) else str(error)
            raise ValueError(
                f"--data: {name} cannot be read ({reason}), expected pictures only. Mend or move it."
            ) from error


def folder(path: Path) -> Pictures:
    """The pictures below a folder, by their suffixes and in the order of their names; hidden ones are
    passed over.

    Args:
        path: Folder, which is searched with its subfolders.

    Raises:
        ValueError: When there is no such folder, or no picture in it.
    """
    if not path.is_dir():
        raise ValueError(f"--data: {path} is no folder, expected one that holds pictures.")
    suffixes, files = image_suffixes(), list[Path]()
    for place, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        found = (Path(place, name) for name in sorted(names) if not is_hidden(name))
        files += [file for file in found if suffix_of(file.name) in suffixes]
        if len(files) >= MOST_FILES:
            del files[MOST_FILES:]
            break
    if not files:
        raise ValueError(
            f"--data: {path} holds no picture (a file that Pillow reads by its suffix), expected at least one. "
            "Pass another folder, or leave --data away for ours."
        )
    return Pictures(files, f"{len(files):,} pictures of {path}")


def photographs() -> Pictures:
    """Our photographs as JPEG in memory; pictures that are drawn here, where they are not installed."""
    from PIL import Image

    try:
        pixels = [photograph.pixels for photograph in shipped_photographs()]
        words = f"{len(pixels)} photographs"
    except ImportError:
        pixels = [_drawn_picture(seed, 375, 500) for seed in range(6)]
        words = f"{len(pixels)} synthetic pictures of 500×375 (for photographs: augengine[demo])"
    files: list[Path | bytes] = []
    for picture in pixels:
        encoded = io.BytesIO()
        Image.fromarray(picture).save(encoded, "JPEG", quality=QUALITY)
        files.append(encoded.getvalue())
    return Pictures(files * REPEATS, f"{words}, as JPEG in memory")


def _drawn_picture(seed: int, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, 3): waves of all lengths with noise, so that JPEG has as much to do as with a
    photograph."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / width
    picture = random.normal(0, 4, (height, width, 3))
    for octave in 2.0 ** np.arange(1, 8):
        wave = np.sin(octave * (random.normal() * x + random.normal() * y) * 2 * np.pi)
        picture += 200 / octave * wave[..., None] * random.uniform(0.3, 1, 3)
    return np.clip(picture + 128, 0, 255).astype(np.uint8)
