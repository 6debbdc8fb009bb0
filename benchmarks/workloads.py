"""What is measured: two policies on crops of photographs, and the check that comes first."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

import augengine as ae
from augengine.demo.photographs import shipped_photographs

from .parity import measured

AUTO = ("RandAugment", "TrivialAugmentWide")
SOURCE, OUTPUT = 256, 224
MEAN, STD = ae.presets.IMAGENET_MEAN, ae.presets.IMAGENET_STD

POLICIES = {
    "crop + flip": ae.Policy(
        [
            ae.RandomResizedCrop(OUTPUT),
            ae.RandomHorizontalFlip(),
            ae.Normalize(MEAN, STD),
        ]
    ),
    # The crop to the output's size costs every library next to nothing there. antialias=False takes
    # plain bilinear taps, as the peers do.
    "affine + flip + brightness": ae.Policy(
        [
            ae.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), antialias=False),
            ae.CenterCrop(OUTPUT),
            ae.RandomHorizontalFlip(),
            ae.RandomBrightness(0.2),
            ae.Normalize(MEAN, STD),
        ]
    ),
    # As albumentations does it, without antialiasing. Operations are compared in `parity`.
    "crop + flip + RandAugment(2, 9)": ae.Policy(
        [
            ae.RandomResizedCrop(OUTPUT, antialias=False),
            ae.RandomHorizontalFlip(),
            ae.RandAugment(2, 9),
            ae.Normalize(MEAN, STD),
        ]
    ),
    "crop + flip + TrivialAugmentWide": ae.Policy(
        [
            ae.RandomResizedCrop(OUTPUT, antialias=False),
            ae.RandomHorizontalFlip(),
            ae.TrivialAugmentWide(),
            ae.Normalize(MEAN, STD),
        ]
    ),
    "crop + flip + RandAugment(2, 9) + CutMix": ae.Policy(
        [
            ae.RandomResizedCrop(OUTPUT, antialias=False),
            ae.RandomHorizontalFlip(),
            ae.RandAugment(2, 9),
            ae.CutMix(),
            ae.Normalize(MEAN, STD),
        ]
    ),
}


def crops(count: int) -> np.ndarray:
    """uint8 (count, 256, 256, 3): crops at random places of the six photographs, in turn."""
    random = np.random.default_rng(0)
    photographs = shipped_photographs()
    crops = np.empty((count, SOURCE, SOURCE, 3), np.uint8)
    for i in range(count):
        pixels = photographs[i % len(photographs)].pixels
        y, x = (random.integers(0, size - SOURCE + 1) for size in pixels.shape[:2])
        crops[i] = pixels[y : y + SOURCE, x : x + SOURCE]
    return crops


def check(name: str, image: np.ndarray, epochs: int = 4) -> None:
    """Compare our pixels with those of torchvision's functions, called with the numbers of our plan.

    Of a published policy each operation is compared, at every magnitude.
    """
    if any(
        isinstance(op, (ae.RandAugment, ae.TrivialAugmentWide)) for op in POLICIES[name].transforms
    ):
        check_operations()
        return
    for epoch in range(epochs):
        batch = ae.Engine(POLICIES[name])(image[None], ids=[0], epoch=epoch)
        expected, known = _by_torchvision(batch.plan, image)
        scale = torch.tensor(STD).view(3, 1, 1)
        error = ((batch.images[0] - expected) * scale).abs()[:, known]
        assert error.max() < 1 / 255, f"{name}, epoch {epoch}: off by {255 * error.max():.2f}/255"
        assert error.mean() < 0.1 / 255, f"{name}, epoch {epoch}: {255 * error.mean():.3f}/255"


@cache
def check_operations() -> None:
    """Compare the operations of the published policies with torchvision's."""
    for _, policy, operation, _, largest, mean, _ in measured(only=AUTO):
        assert largest <= 2, f"{policy}, {operation}: off by {largest}/255"
        assert mean < 0.5, f"{policy}, {operation}: {mean:.3f}/255"


def _by_torchvision(plan: ae.Plan, image: np.ndarray):
    """(C, H, W) normalised, and which of its pixels [H, W] no border had a part in."""
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as F

    pixels = torch.from_numpy(image).permute(2, 0, 1).to(torch.float32) / 255
    # One more channel, of ones, is less than one where the fill came in.
    pixels = torch.cat([pixels, torch.ones_like(pixels[:1])])
    angle, scale, shift = 0.0, 1.0, (0, 0)
    affine, flip, delta = False, False, 0.0
    for line, args in zip(plan.log_op[0], plan.log_arg[0].tolist(), strict=True):
        text = plan.log_text[line] if line >= 0 else ""
        if text.startswith("crop"):
            height, width, top, left = (int(a) for a in args[:4])
            pixels = F.resized_crop(
                pixels, top, left, height, width, [OUTPUT, OUTPUT], antialias=True
            )
        elif text.startswith("rotated"):
            angle, affine = -args[0], True
        elif text.startswith("scaled"):
            scale, affine = args[0], True
        elif text.startswith("shifted"):
            shift, affine = (int(args[0]), int(args[1])), True
        elif text.startswith("flipped"):
            flip = True
        elif text.startswith("brightness"):
            delta = args[0]
    if affine:
        bilinear = InterpolationMode.BILINEAR
        pixels = F.affine(pixels, angle, list(shift), scale, [0.0, 0.0], bilinear)
        pixels = F.center_crop(pixels, [OUTPUT, OUTPUT])
    if flip:
        pixels = F.hflip(pixels)
    known = pixels[3] > 0.9999
    return F.normalize((pixels[:3] + delta).clamp(0, 1), list(MEAN), list(STD)), known
