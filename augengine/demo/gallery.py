"""What each published policy does: a row of six samples for each, with the plan's words below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import (
    AugMix,
    AutoAugment,
    CutMix,
    Cutout,
    Engine,
    FixMatchAugment,
    MixUpOrCutMix,
    Mosaic,
    Op,
    RandAugment,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ThreeAugment,
    TrivialAugmentWide,
    UniformAugment,
    from_timm,
    sheet,
)
from .photographs import shipped_photographs

SHOWN: dict[str, list[Op]] = {
    "RandAugment(2, 9)": [RandAugment()],
    'from_timm("rand-m9-mstd0.5-inc1")': [from_timm("rand-m9-mstd0.5-inc1")],
    "TrivialAugmentWide()": [TrivialAugmentWide()],
    "AutoAugment()": [AutoAugment()],
    "AugMix()": [AugMix()],
    "ThreeAugment()": [ThreeAugment()],
    "UniformAugment()": [UniformAugment()],
    "FixMatchAugment(), Cutout()": [FixMatchAugment(), Cutout()],
    "MixUpOrCutMix()": [MixUpOrCutMix()],
    "Mosaic()": [Mosaic()],
    "CutMix(), RandomErasing(noise)": [CutMix(), RandomErasing(p=1, value="random", count=(1, 3))],
}


def run(*, output: Path, size: int, seed: int, epoch: int, say: Callable[[str], object]) -> None:
    """What `augengine gallery` does.

    Args:
        output: PNG file of the picture.
        size: Pixels a side of a tile.
        seed: Seed of the engines.
        epoch: Epoch that is drawn.
        say: Function that is told what is being drawn.
    """
    photographs = shipped_photographs()
    images, ids = [photograph.pixels for photograph in photographs], np.arange(len(photographs))
    rows = []
    for name, ops in SHOWN.items():
        say(f"{name} …")
        geometry: list[Op] = [RandomResizedCrop(size, scale=(0.5, 1.0)), RandomHorizontalFlip()]
        if name == "Mosaic()":
            geometry = [Resize((size, size))]
        engine = Engine([*geometry, *ops], seed=seed, num_classes=len(photographs))
        batch = engine(images, ids, ids=ids, epoch=epoch)
        pixels = sheet.displayed(batch.images, batch.plan.finish)
        rows.append(
            [
                sheet.Tile(pixels[i], _without_crop(batch.plan.explain(i)), heading=name * (i == 0))
                for i in range(len(photographs))
            ]
        )
    about = "Every sample draws its own operations, magnitudes, boxes and partners. Captions are the plan's."
    sheet.draw("The published policies", [about], rows, tile=size).save(output)


def _without_crop(caption: str) -> str:
    """The caption without the crop, the resize and the flip that all rows have."""
    parts = [
        part
        for part in caption.split(", ")
        if "→" not in part and part != "flipped" and not part.startswith("resized to")
    ]
    # A crop's place has a comma of its own, and so stands in two parts.
    return ", ".join(part for part in parts if not part.startswith("crop ")) or "as it was"
