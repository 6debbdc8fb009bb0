"""`python -m benchmarks.parity`: every operation of the published policies beside its source.

It writes one table to docs/parity.md. A row is an operation of a dialect, with the largest and the mean
difference over all magnitudes (both signs), in bytes on a photograph, and where we differ on purpose and
why. The other side is the installed torchvision's functional, on uint8 tensors, and timm's own functions
on PIL images. Geometry is compared where no border had a part, all sides bilinear.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import augengine as ae
from augengine.demo import measure
from augengine.demo.photographs import shipped_photographs
from augengine.policy.ops import spaces

from .report import markdown_table

RESULT = Path(__file__).parent.parent / "docs" / "parity.md"
SIDE = 224

GREY = "PIL and torchvision round the grey down to a byte before they blend with it; ours is exact"
CUT = "they cut the result to a byte, ours is rounded"
BOX = "PIL's blur is three box filters that come near a Gaussian; ours is the Gaussian"
FIXED = "PIL cuts the interpolated value to a byte, ours is rounded"
TURN = "rounding of float32 coordinates: torchvision's grid lies in [−1, 1], ours is in pixels"
WHY = {
    ("torchvision", "Color"): GREY,
    ("torchvision", "Contrast"): "torchvision's mean is of greys rounded down; ours is exact",
    ("torchvision", "Brightness"): CUT,
    ("torchvision", "Sharpness"): CUT,
    ("timm", "SolarizeAdd"): "",
    ("timm", "Contrast"): "PIL rounds the mean to a byte; ours is exact",
    ("timm", "Color"): GREY,
    ("timm", "Brightness"): CUT,
    ("timm", "Sharpness"): CUT,
    ("timm", "Desaturate"): GREY,
    ("timm", "GaussianBlur"): BOX,
}
ON_PURPOSE = """\
Where whole policies differ on purpose, beyond these bytes:

- **One interpolation.** All geometry of a sample is one matrix and one sampling, antialiased, bilinear or
  bicubic (torchvision's automatic policies default to nearest, timm draws bilinear or bicubic anew for
  each operation; `interpolation=("bilinear", "bicubic")` draws once a sample). What leaves the frame in
  between is not lost.
- **Statistics** of AutoContrast, Equalize and Contrast are of the part of the source that the frame shows,
  before the resize and without the fill; op by op they would include the fill of an earlier warp.
- **Nothing is rounded between colour operations**, but where one counts in the bytes of byte images
  (Posterize, Solarize, SolarizeAdd, Equalize, AutoContrast) or looks at neighbours (Sharpness, GaussianBlur).
- **Every sample draws for itself.** torchvision v2 draws once for a batch; so does kornia.
- torchvision's Solarize at level 0 still inverts pure white (its threshold is 255, not 256); so do we.
- timm's Posterize (v0, `rand` without `inc1`) keeps 0 bits at the weakest levels: a black image, as its
  dialect gives here (Pillow refuses 0 bits from version 13 on, so timm then fails there).
  torchvision's dialect never goes below 4 bits (2 in TrivialAugmentWide; AugMix counts down to 0).
"""


@dataclass(frozen=True)
class AtLevels(ae.Op):
    """An entry of a space, its level and sign given for each sample of the batch."""

    entry: Any
    levels: tuple[float, ...]
    signs: tuple[float, ...]
    bins: int | None

    def _decide(self, draft, rows, place):
        if self.entry.act is None:
            return
        if self.entry.value is None:
            self.entry.act(draft, rows)
            return
        level, sign = np.array(self.levels), np.array(self.signs)
        if self.bins is not None:
            level = level.astype(np.int64)
        value = self.entry.value(level, self.bins, sign, draft.frame[rows])
        self.entry.act(draft, rows, value)


def photograph() -> torch.Tensor:
    """uint8 (3, 224, 224): the middle of a shipped photograph."""
    pixels = shipped_photographs()[0].pixels
    top, left = ((n - SIDE) // 2 for n in pixels.shape[:2])
    piece = pixels[top : top + SIDE, left : left + SIDE]
    return torch.from_numpy(np.ascontiguousarray(piece)).permute(2, 0, 1)


def magnitudes(entry, levels) -> list[tuple[float, float]]:
    """(level, sign) of every magnitude."""
    if entry.value is None:
        return [(0, 1.0)]
    signs = (-1.0, 1.0) if entry.signed else (1.0,)
    return [(level, sign) for level in levels for sign in signs]


def by_augengine(entry, chosen, bins, image, executor=None) -> torch.Tensor:
    """uint8 (n, 3, 224, 224), one for each (level, sign)."""
    levels, signs = zip(*chosen, strict=True)
    batch = image if image.ndim == 4 else image[None].expand(len(chosen), -1, -1, -1)
    dtype = "uint8" if image.dtype == torch.uint8 else "float32"
    op = AtLevels(entry, tuple(levels), tuple(signs), bins)
    plan = ae.Policy(op).sample(np.arange(len(chosen)), [(SIDE, SIDE)] * len(chosen), dtype=dtype)
    return ae.execute(plan, batch, executor=executor)


def by_torchvision(name, entry, chosen, bins, image):
    """The images of by_augengine, made by torchvision, and bool [n, 224, 224]: which pixels count."""
    from torchvision.transforms import v2

    policy = v2.RandAugment(interpolation=v2.InterpolationMode.BILINEAR)
    images, known = [], []
    for level, sign in chosen:
        magnitude = 0.0
        if entry.value is not None:
            frame = np.array([[SIDE, SIDE]])
            value = entry.value(np.array([int(level)]), bins, np.array([sign]), frame)[0]
            # Of a factor torchvision takes what it adds to 1.
            shift = 1 if entry.neutral == 1 else 0
            magnitude = value / 255 if name == "Solarize" else value - shift
        arguments = (name, magnitude, policy.interpolation, policy._fill)
        images.append(policy._apply_image_or_video_transform(image, *arguments))
        ones = torch.full_like(image, 255)
        has_border = name in GEOMETRY
        known.append(
            policy._apply_image_or_video_transform(ones, *arguments)[0] == 255
            if has_border
            else torch.ones(SIDE, SIDE, dtype=torch.bool)
        )
    return torch.stack(images), torch.stack(known)


def by_timm(name, entry, chosen, image):
    """The images of by_augengine, made by timm, and bool [n, 224, 224]: which pixels count."""
    from PIL import Image
    from timm.data import auto_augment as timm

    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    white = Image.fromarray(np.full((SIDE, SIDE, 3), 255, np.uint8))
    options = {"fillcolor": (0, 0, 0), "resample": Image.Resampling.BILINEAR}
    images, known = [], []
    for level, sign in chosen:
        arguments: tuple = ()
        if entry.value is not None:
            frame = np.array([[SIDE, SIDE]])
            value = entry.value(np.array([float(level)]), None, np.array([sign]), frame)[0]
            if entry.whole:
                value = int(value)
            if name == "Desaturate":
                value = 1 - value
            elif name.startswith("Translate"):
                value = -value / SIDE  # timm's moves the other way
            arguments = (value if entry.whole else float(value),)
        function = timm.NAME_TO_OP[name]
        if name.startswith("Posterize") and arguments[0] == 0:
            # Pillow refuses 0 bits from version 13 on; earlier ones gave black.
            images.append(torch.zeros_like(image))
        else:
            images.append(_tensor(function(picture, *arguments, **options)))
        has_border = name in GEOMETRY
        known.append(
            _tensor(function(white, *arguments, **options))[0] == 255
            if has_border
            else torch.ones(SIDE, SIDE, dtype=torch.bool)
        )
    return torch.stack(images), torch.stack(known)


def _tensor(picture) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


GEOMETRY = (
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "TranslateXRel",
    "TranslateYRel",
)
SPACES = [
    ("torchvision", "RandAugment", spaces.RAND_AUGMENT, 31),
    ("torchvision", "TrivialAugmentWide", spaces.TRIVIAL_AUGMENT_WIDE, 31),
    ("torchvision", "AutoAugment", spaces.AUTO_AUGMENT, 10),
    ("torchvision", "AugMix", spaces.AUG_MIX, 10),
    ("timm", "RandAugment, AutoAugment, AugMix", spaces.TIMM, None),
]


def measured(executor=None, only=None):
    """Yield rows (dialect, policy, operation, magnitudes, largest, mean, of floats).

    Differences are in bytes. The last is the largest one to torchvision's functional on float images,
    for operations that blend. only: names of policies in SPACES.
    """
    image = photograph()
    for dialect, policy, space, bins in SPACES:
        if only is not None and policy not in only:
            continue
        for name, entry in space.items():
            if entry.act is None:
                continue
            levels = range(bins) if bins else np.arange(0, 10.01, 0.5).tolist()
            chosen = magnitudes(entry, levels)
            our_images = by_augengine(entry, chosen, bins, image, executor)
            if dialect == "torchvision":
                their_images, known = by_torchvision(name, entry, chosen, bins, image)
            else:
                their_images, known = by_timm(name, entry, chosen, image)
            known = known[:, None].expand_as(our_images)
            difference = (our_images.int() - their_images.int()).abs()[known].float()
            floats = None
            if dialect == "torchvision" and name in spaces.ENHANCEMENTS:
                batch = image[None].expand(len(chosen), -1, -1, -1).float() / 255
                our_images = by_augengine(entry, chosen, bins, batch, executor)
                their_images, _ = by_torchvision(name, entry, chosen, bins, batch[0])
                floats = 255 * float((our_images - their_images).abs().max())
            yield (
                dialect, policy, name, len(chosen),
                int(difference.max()), float(difference.mean()), floats,
            )  # fmt: skip


def table(rows) -> str:
    head = ["operation", "dialect", "policy", "magnitudes", "largest", "mean", "of floats"]
    head.append("on purpose, or why")
    lines = [head, ["---", "---", "---", "---:", "---:", "---:", "---:", "---"]]
    for dialect, policy, name, count, largest, mean, floats in rows:
        why = ""
        if largest:
            bare = name.replace("Increasing", "")
            geometry = FIXED if dialect == "timm" else TURN
            why = WHY.get((dialect, bare), geometry if name in GEOMETRY else "")
        of_floats = "" if floats is None else f"{floats:.4f}"
        numbers = [str(count), str(largest), f"{mean:.3f}", of_floats]
        lines.append([name, dialect, policy, *numbers, why])
    return markdown_table(lines)


def main() -> int:
    rows = []
    for row in measured():
        rows.append(row)
        print(f"{row[2]:24s} {row[0]:12s} {row[1]:34s} {row[4]:3d} {row[5]:7.3f}", flush=True)
    text = (
        "# Beside their sources\n\nWritten by `python -m benchmarks.parity`. "
        f"{measure.versions('torchvision', 'timm', 'pillow')}. Differences in bytes (0 … 255) of uint8 "
        "outputs on a photograph of 224², over all magnitudes and both signs; geometry where no border "
        'had a part; "of floats": the largest to torchvision\'s functional on float images.\n\n'
        f"{table(rows)}\n\n{ON_PURPOSE}"
    )
    RESULT.write_text(text, "utf-8")
    print(f"\n{table(rows)}\n\n{ON_PURPOSE}\nwritten to {RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
