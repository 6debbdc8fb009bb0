"""What is measured: the rows, each a policy and the images that it is drawn on, by regimes.

The first regime adds one op to a crop and a flip; the others are whole recipes, sizes and shapes. A
crop without antialiasing is what most peers have; a row whose name says so antialiases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch

import augengine as ae

from . import images
from .images import SOURCE, crops
from .parity import measured

__all__ = ["MEAN", "OUTPUT", "POLICIES", "SOURCE", "STD", "Row", "check", "crops", "rows"]

AUTO = ("RandAugment", "TrivialAugmentWide")
OUTPUT = 224
MEAN, STD = ae.presets.IMAGENET_MEAN, ae.presets.IMAGENET_STD

ONE_OP, RECIPE, SIZE, SHAPE = "one op", "recipes", "real sizes", "shapes"
BASE = "crop + flip"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        regime: Table that it stands in.
        name: Name, unique within its regime.
        policy: What is drawn of each image: a Policy, or Views for several outputs of it.
        images: Function of a number of images, which makes so many.
        batch: Number of images in a batch, at most; None is the run's.
        added_to: Row whose time is subtracted: then the row's is what its op adds.
    """

    regime: str
    name: str
    policy: ae.Policy | ae.Views
    images: Callable[[int], Sequence[np.ndarray]] = images.listed
    batch: int | None = None
    added_to: str | None = None

    def policies(self) -> list[ae.Policy]:
        """The policies that make the outputs of one image."""
        if isinstance(self.policy, ae.Policy):
            return [self.policy]
        return [policy for _, _, policy in self.policy.each()]


def _cropped(*ops: ae.Op, last: Sequence[ae.Op] = (), antialias: bool = False) -> ae.Policy:
    """Crop, flip, some ops, normalise, and what comes after."""
    crop = ae.RandomResizedCrop(OUTPUT, antialias=antialias)
    return ae.Policy([crop, ae.RandomHorizontalFlip(), *ops, ae.Normalize(MEAN, STD), *last])


ADDED: dict[str, ae.Op] = {
    "blur 23, σ 0.1–2": ae.GaussianBlur(23, (0.1, 2.0)),
    "blur 5, σ 0.1–2": ae.GaussianBlur(5, (0.1, 2.0)),
    "noise, σ 0.1": ae.GaussianNoise(sigma=0.1),
    "jitter 0.4, 0.4, 0.4, 0.1": ae.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "sharpness 2": ae.RandomAdjustSharpness(2, p=1),
    "equalize": ae.RandomEqualize(p=1),
    "perspective 0.5": ae.RandomPerspective(0.5, p=1),
    "rotation 15": ae.RandomRotation(15),
    "AugMix": ae.AugMix(),
    "gamma 0.8–1.25": ae.RandomGamma((0.8, 1.25)),
    "solarize": ae.RandomSolarize("#80", p=1),
    "grey": ae.RandomGrayscale(p=1),
}

POLICIES: dict[str, ae.Policy] = {
    "crop + flip": _cropped(antialias=True),
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
    "crop + flip + RandAugment(2, 9)": _cropped(ae.RandAugment(2, 9)),
    "crop + flip + TrivialAugmentWide": _cropped(ae.TrivialAugmentWide()),
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


def rows() -> Iterator[Row]:
    """All rows of images in memory, regime by regime."""
    yield Row(ONE_OP, BASE, _cropped())
    for name, op in ADDED.items():
        yield Row(ONE_OP, name, _cropped(op), added_to=BASE)
    erasing = _cropped(last=[ae.RandomErasing(p=1)])
    yield Row(ONE_OP, "erasing", erasing, added_to=BASE)

    for name, policy in POLICIES.items():
        yield Row(RECIPE, name + ", antialiased" * (name == BASE), policy)
    copied = [ae.RandomCrop(OUTPUT), ae.RandomHorizontalFlip(), ae.Normalize(MEAN, STD)]
    yield Row(RECIPE, "crop of 224² as it is + flip", ae.Policy(copied))
    yield Row(RECIPE, "SimCLR, 2 views", ae.presets.simclr(OUTPUT))
    yield Row(RECIPE, "BYOL, 2 views", ae.presets.byol(OUTPUT))
    yield Row(RECIPE, "DINO, 2 + 8 views", ae.presets.dino(OUTPUT), batch=32)
    padded = [ae.RandomCrop(32, padding=4), ae.RandomHorizontalFlip(), ae.Normalize(MEAN, STD)]
    yield Row(RECIPE, "CIFAR: pad 4, crop 32, flip", ae.Policy(padded), images.cifar, batch=512)

    evaluation = ae.presets.imagenet(train=False)
    turned = ae.RandomRotation(15)
    for size, source, most in [
        ("300–640", images.photographs, None),
        ("1200–2560", images.large, 2 * images.DISTINCT),
    ]:
        for filtered, antialias in (("antialiased", True), ("bilinear", False)):
            crop = partial(_cropped, antialias=antialias)
            yield Row(SIZE, f"{size}: {BASE}, {filtered}", crop(), source, most)
            yield Row(SIZE, f"{size}: {BASE} + rotation, {filtered}", crop(turned), source, most)
        name = f"{size}: evaluation, Resize 256, CenterCrop 224"
        yield Row(SIZE, name, evaluation, source, most)

    for channels in (1, 3, 4, 8):
        plain = ae.Policy(
            [
                ae.RandomResizedCrop(OUTPUT, antialias=False),
                ae.RandomHorizontalFlip(),
                ae.Normalize((0.5,) * channels, (0.25,) * channels),
            ]
        )
        of = partial(images.of_channels, channels)
        yield Row(SHAPE, f"{channels} channel{'s' * (channels > 1)}", plain, of)
    yield Row(SHAPE, "float32 in", _cropped(), images.floats)
    for batch in (1, 4, 16, 128):
        yield Row(SHAPE, f"batch {batch}", _cropped(), batch=batch)


# Our pixels, before any number


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
