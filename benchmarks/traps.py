"""Folders of pictures in which one operation destroys the labels: what `tune` and `check` must find.

    mirrored    digits of which half are mirrored: whether, is the label. A horizontal flip destroys it.
    hue         digits painted in three hues of one lightness: the hue is the label. A shift of hue destroys it.
    upturned    sixes and nines. A turn by up to 180 degrees destroys the label.

Each has a policy with the trap among harmless operations.

`python -m benchmarks.traps NAME FOLDER` writes one of them, or `photographs`: crops of eight photographs, each
of which is a class, to look at the defaults of `augengine check` and `tune`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import augengine as ae

SIDE = 28
MOVES = ae.RandomAffine(12, translate=(0.1, 0.1), scale=(0.85, 1.15))
# Of one luma, brightest and darkest channel, so that nothing but the hue tells them.
HUES = {"magenta": (1.0, 0.1, 1.0), "azure": (0.1, 0.558, 1.0), "orange": (1.0, 0.275, 0.1)}

Painted = list[tuple[str, np.ndarray]]  # the class and the picture, uint8


@dataclass(frozen=True)
class Trap:
    """A data set with a trap.

    Args:
        classes: Classes of the digits that are used, as `augengine train --classes` takes them.
        labels: Digits of each of these to train on.
        harm: Operation that destroys the labels.
        op: How `tune` calls it; check: how `check` does.
        check: How `check` does.
        paint: Function (digits [n, 28, 28] uint8, their classes [n], generator) → pictures with their class.
    """

    classes: str
    labels: int
    harm: ae.Op
    op: str
    check: str
    paint: Callable[[np.ndarray, np.ndarray, np.random.Generator], Painted]

    @property
    def policy(self) -> ae.Policy:
        """The trap among what is harmless."""
        resize, normalize = ae.Resize((SIDE, SIDE)), ae.Normalize((0.5,) * 3, (0.25,) * 3)
        return ae.Policy([resize, MOVES, self.harm, normalize])


def _mirrored(digits: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Painted:
    half = rng.permutation(len(digits)) < len(digits) // 2
    return [
        ("mirrored", one[:, ::-1]) if other else ("as-it-was", one)
        for one, other in zip(digits, half, strict=True)
    ]


def _hues(digits: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Painted:
    names = list(HUES)
    which = rng.permutation(np.arange(len(digits)) % len(names))
    pictures = []
    for one, k in zip(digits, which, strict=True):
        noisy = one[..., None] / 255 * np.array(HUES[names[k]]) * 200 + rng.normal(
            30, 8, (SIDE, SIDE, 3)
        )
        pictures.append((names[k], np.clip(noisy, 0, 255).astype(np.uint8)))
    return pictures


def _as_they_are(digits: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Painted:
    return [("69"[k], one) for one, k in zip(digits, truth, strict=True)]


TRAPS = {
    "mirrored": Trap(
        "2,3,4,5,7,9", 40, ae.RandomHorizontalFlip(), "RandomHorizontalFlip", "RandomHorizontalFlip", _mirrored
    ),
    "hue": Trap("0-9", 24, ae.ColorJitter(0.2, 0.2, hue=0.5), "ColorJitter: hue", "ColorJitter(hue", _hues),
    "upturned": Trap("6,9", 120, ae.RandomRotation(180), "RandomRotation", "RandomRotation", _as_they_are),
}  # fmt: skip


def write(name: str, root: Path, seed: int) -> tuple[Path, Path]:
    """Write a trap's pictures, train/CLASS/… and test/CLASS/…, and its policy. Returns (folder, YAML file).

    Args:
        name: Name in TRAPS.
        root: Folder that is made.
        seed: Seed of which digits are labelled, and of what is painted.
    """
    from PIL import Image

    from augengine.pipelines import data as datasets
    from augengine.pipelines.settings import Settings

    trap = TRAPS[name]
    known = datasets.load(
        Settings(data="digits", classes=trap.classes, labels=trap.labels, seed=seed)
    )
    assert isinstance(known.images, np.ndarray)
    rng = np.random.default_rng(seed)
    for part, ids in (("train", known.labelled), ("test", known.test)):
        painted = trap.paint(known.images[ids, :, :, 0], known.truth[ids], rng)
        for number, (label, pixels) in enumerate(painted):
            folder = root / "pictures" / part / label
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{number}.png")
    policy = root / "policy.yaml"
    policy.write_text(trap.policy.to_yaml(), "utf-8")
    return root / "pictures", policy


def photographs(root: Path, seed: int = 0) -> Path:
    """Write crops of 72 to 96 pixels of the photographs that scikit-image and scikit-learn bring along: 80 of
    each to train on, from its left three quarters, and 10 for the test, from the rest. Returns the folder.

    Args:
        root: Folder that is made.
        seed: Seed of where they are cut.
    """
    from PIL import Image
    from skimage import data
    from sklearn.datasets import load_sample_image

    whole = {
        "astronaut": data.astronaut(), "cat": data.chelsea(), "coffee": data.coffee(),
        "rocket": data.rocket(), "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"), "retina": data.retina()[200:1200, 200:1200],
        "tissue": data.immunohistochemistry(),
    }  # fmt: skip
    rng = np.random.default_rng(seed)
    for name, photograph in whole.items():
        height, width = photograph.shape[:2]
        cut = int(0.75 * width)
        for part, (left, right), count in (("train", (0, cut), 80), ("test", (cut, width), 10)):
            folder = root / "pictures" / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                side = rng.integers(72, 97)
                y, x = rng.integers(0, height - side), rng.integers(left, right - side)
                crop = Image.fromarray(photograph[y : y + side, x : x + side])
                crop.save(folder / f"{number}.jpg", quality=92)
    return root / "pictures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*TRAPS, "photographs"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.name == "photographs":
        print(photographs(arguments.folder, arguments.seed))
    else:
        print(*write(arguments.name, arguments.folder, arguments.seed))


if __name__ == "__main__":
    main()
