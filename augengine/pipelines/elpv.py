"""The ELPV photographs of solar cells, from an installed package, none of whose code is run.

2,624 grey photographs of 300 × 300 pixels, each with the probability that its cell is defective: 0, ⅓, ⅔ or
1 (Deitsch et al. 2019). They are licensed CC BY-NC-SA 4.0, so they are neither shipped nor a dependency.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..checks import shown
from ..decoding import decode
from ..untrusted import read_text

MODULE, INSTALL = "elpv_dataset", "elpv-dataset"
SIDE = 300  # pixels of each photograph
CLASSES = ("functional", "defective")
CRYSTALS = ("mono", "poly")
MOST_CELLS = 10_000
_FIX = f"Install it anew: pip install --force-reinstall --no-deps {INSTALL}."


class Cell(NamedTuple):
    """A photograph: its path below the folder, the probability of a defect, and mono or poly crystals."""

    name: str
    probability: float
    crystal: str


def folder() -> Path:
    """The folder of labels.csv and the photographs.

    Raises:
        ImportError: When the package is not installed.
    """
    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise ImportError(
            f"data: the ELPV photographs come with a package, which is not installed. Get it with pip install "
            f"--no-deps {INSTALL} (91 MB; licence CC BY-NC-SA 4.0)."
        )
    return Path(spec.origin).parent / "data"


def cells(root: Path) -> list[Cell]:
    """What labels.csv says, in its order.

    Raises:
        ValueError: When it is damaged, with the line.
        OSError: When it cannot be read.
    """
    file = root / "labels.csv"
    found: list[Cell] = []
    for number, line in enumerate(read_text(file).splitlines(), 1):
        cell = _cell(line)
        if cell is None or not (root / cell.name).resolve().is_relative_to(root.resolve()):
            raise ValueError(
                f"data: {file}, line {number}, holds {shown(line)}, expected a photograph, a probability and "
                f"mono or poly. {_FIX}"
            )
        found.append(cell)
    if not 0 < len(found) <= MOST_CELLS:
        raise ValueError(
            f"data: {file} has {len(found):,} lines, expected 1 to {MOST_CELLS:,}. {_FIX}"
        )
    return found


def photographs(root: Path, found: list[Cell]) -> np.ndarray:
    """All photographs, [n, 300, 300, 1] uint8.

    Raises:
        ValueError: When one has another size, or is no image.
        OSError: When one cannot be read.
    """
    images = np.empty((len(found), SIDE, SIDE, 1), np.uint8)
    for image, cell in zip(images, found, strict=True):
        pixels = decode(root / cell.name, mode="L")
        if pixels.shape != image.shape:
            raise ValueError(
                f"data: {root / cell.name} has {pixels.shape[0]} × {pixels.shape[1]} pixels, expected {SIDE} "
                f"× {SIDE}. {_FIX}"
            )
        image[:] = pixels
    return images


def _cell(line: str) -> Cell | None:
    """What a line says, or None if it says something else."""
    words = line.split()
    try:
        name, probability, crystal = words[0], float(words[1]), words[2]
    except (IndexError, ValueError):
        return None
    right = len(words) == 3 and 0 <= probability <= 1 and crystal in CRYSTALS
    return Cell(name, probability, crystal) if right else None
