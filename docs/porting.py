"""The tables of docs/porting: `python docs/porting.py`, where the libraries are installed.

Each class of a library is made with the arguments below and read by our converter: what comes out is the second
column, and whether it warns or refuses the third. Where no converter reads a class, `BY_HAND` says what to write.
Text outside of the marks of a page is written by hand, and stays.
"""

# ruff: noqa: E501  (the pages' text)

from __future__ import annotations

import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import arguments  # docs/arguments.py
import timm.data
import timm.data.auto_augment
import timm.data.mixup
import timm.data.random_erasing
import timm.data.transforms
import torch
from albumentations.pytorch import ToTensorV2
from kornia import augmentation as kornia
from torchvision.transforms import v2

import augengine as ae

FOLDER = Path(__file__).resolve().parent / "porting"
MARKS = ("<!-- filled by python docs/porting.py -->", "<!-- filled until here -->")


class Row(NamedTuple):
    """A line of a table. state: "same", "near", "by hand" or "missing"."""

    theirs: str
    ours: str
    state: str
    note: str


def written(policy: ae.Policy) -> str:
    """A policy in one line of code."""
    said = [re.sub(r"\s+", " ", repr(op)) for op in policy.transforms]
    return ", ".join(f"`{one}`" for one in said) if said else "nothing to do"


def row(
    name: str,
    make: Callable[[], Any],
    read: Callable[[Any], ae.Policy],
    by_hand: dict[str, tuple[str, str]],
) -> Row:
    """What a converter makes of a class."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = make()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            policy = read(theirs)
    except ValueError as error:
        if name in by_hand:
            return Row(f"`{name}`", by_hand[name][0], "by hand", by_hand[name][1])
        return Row(f"`{name}`", "–", "missing", _reason(str(error)))
    notes = [
        _plain(str(w.message))
        for w in said
        if w.category is UserWarning and "from_" in str(w.message)
    ]
    idle = policy.transforms == (ae.RandomHorizontalFlip(0),)
    return Row(
        f"`{name}`",
        "nothing to do" if idle else written(policy),
        "near" if notes else "same",
        " ".join(notes),
    )


def _reason(error: str) -> str:
    """Why a step is refused, of an error of a converter."""
    found = re.search(r"is a step (.*?), expected what a policy", error, re.S)
    said = found[1] if found else error
    return "" if said == "that augengine does not have" else said[:1].upper() + said[1:]


def _plain(warning: str) -> str:
    """What differs, of a converter's warning about one step."""
    return re.sub(r"^from_\w+: |step \S+ \((\w+)\)", lambda m: m[1] or "", warning)


def counted(rows: list[Row], title: str) -> str:
    """The table with what it counts."""
    count = {
        state: sum(r.state == state for r in rows)
        for state in ("same", "near", "by hand", "missing")
    }
    head = (
        f"{title}, with arguments that show what is read: {count['same']} are the same, "
        f"{count['near']} near, {count['by hand']} are written by hand, {count['missing']} are missing.\n\n"
        "| there | here | | what differs |\n|---|---|---|---|\n"
    )
    lines = ["| " + " | ".join(str(part).replace("|", "\\|") for part in r) + " |" for r in rows]
    return head + "\n".join(lines)


# torchvision


TORCHVISION_ARGUMENTS: dict[str, dict[str, Any]] = {
    "ColorJitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "ConvertBoundingBoxFormat": {"format": "XYXY"},
    "LinearTransformation": {
        "transformation_matrix": torch.eye(12),
        "mean_vector": torch.zeros(12),
    },
    "SetClampingMode": {"clamping_mode": "hard"},
    "ToDtype": {"scale": True},
    "UniformTemporalSubsample": {"num_samples": 2},
}
TORCHVISION_BY_HAND = {
    "Lambda": (
        "`Lambda(function)`",
        "called with each finished image; or `from_torchvision(…, unfused=True)` keeps it",
    ),
}


def torchvision_rows() -> Iterator[Row]:
    for name in arguments.classes():
        given = TORCHVISION_ARGUMENTS.get(name, {})
        made = row(
            name,
            lambda n=name, g=given: arguments.made(v2, n, **g),
            lambda t: ae.from_torchvision([t]),
            TORCHVISION_BY_HAND,
        )
        yield made._replace(note=arguments.ABSENT.get(name, made.note))


# albumentations

SQUARE = {"size": (32, 32)}
SIDES = {"height": 32, "width": 32}
FLIP = albumentations.HorizontalFlip(p=1)
ALBUMENTATIONS_ARGUMENTS: dict[str, dict[str, Any]] = {
    "Affine": {"rotate": (-15, 15), "scale": (0.9, 1.1)},
    "CenterCrop": SIDES,
    "Compose": {"transforms": [FLIP]},
    "OneOf": {"transforms": [FLIP, FLIP]},
    "OneOrOther": {"first": FLIP, "second": FLIP},
    "Pad": {"padding": 4},
    "PadIfNeeded": {"min_height": 64, "min_width": 64, "position": "top_left"},
    "RandomCrop": SIDES,
    "RandomOrder": {"transforms": [FLIP, FLIP], "n": 2},
    "RandomResizedCrop": SQUARE,
    "ReplayCompose": {"transforms": [FLIP]},
    "Resize": SIDES,
    "Sequential": {"transforms": [FLIP]},
    "SomeOf": {"transforms": [FLIP, FLIP], "n": 1},
    "LongestMaxSize": {"max_size": 64},
    "SmallestMaxSize": {"max_size": 64},
    "HueSaturationValue": {"hue_shift_limit": 18, "sat_shift_limit": 0, "val_shift_limit": 0},
    "GaussNoise": {"std_range": (0.1, 0.1), "mean_range": (0, 0)},
    "Solarize": {"threshold_range": (0.5, 0.5)},
}  # fmt: skip
ALBUMENTATIONS_BY_HAND = {
    "AutoContrast": ("`RandomAutocontrast(0.5)`", "the range is that of PIL, from the darkest to the brightest value"),
    "BBoxSafeRandomCrop": ("`RandomIoUCrop()`", "the crop is chosen by the overlap that boxes keep"),
    "AtLeastOneBBoxRandomCrop": ("`RandomIoUCrop()`", "the crop is chosen by the overlap that boxes keep"),
    "RandomSizedBBoxSafeCrop": ("`RandomIoUCrop()`, `Resize((32, 32))`", "the crop is chosen by the overlap that boxes keep"),
    "Blur": ("`GaussianBlur(5)`", "Gaussian, and not a box"),
    "CoarseDropout": ("`RandomErasing(0.5, count=(1, 3))`", "holes by area and aspect; the converter reads holes of one size behind a crop or a resize"),
    "Defocus": ("`RandomDefocus((3, 8))`", ""),
    "ElasticTransform": ("`ElasticTransform(120.0, 6.0)`", "torchvision's field, on the finished batch"),
    "GridDropout": ("`RandomErasing(0.5, count=4)`", "boxes at random, and not a grid"),
    "ImageCompression": ("`JPEG((30, 90), p=0.5)`", "JPEG only, on the finished batch"),
    "Lambda": ("`Lambda(function)`", "called with the finished batch; `targets=` says what becomes of targets"),
    "Mosaic": ("`Mosaic(0.5)`", "partners are of the batch, and not given as metadata"),
    "MotionBlur": ("`RandomMotionBlur((3, 7), p=0.5)`", "kornia's line of weights"),
    "Perspective": ("`RandomPerspective(0.2)`", "corners are drawn evenly, there from a normal distribution"),
    "PlanckianJitter": ("`RandomPlanckianJitter()`", ""),
    "RandomCropFromBorders": ("`RandomResizedCrop(32, (0.6, 1.0))`", "one size comes out"),
    "RandomScale": ("`ScaleJitter((64, 64), (0.9, 1.1))`", "to a size, and not by a factor"),
    "RandomSizedCrop": ("`RandomResizedCrop(32, (0.2, 1.0), (1.0, 1.0))`", "the crop is given by its share of the area"),
    "RandomShadow": ("`RandomShadow()`", "another shape of shadow"),
    "SaltAndPepper": ("`RandomSaltAndPepperNoise((0.01, 0.06), p=0.5)`", "kornia's ranges"),
    "SafeRotate": ("`RandomRotation(90, expand=True)`, `Resize((32, 32))`", "the frame grows and is resized"),
    "Sharpen": ("`RandomAdjustSharpness((1, 3))`", "PIL's sharpness"),
    "SquareSymmetry": ("`RandomQuarterTurn()`, `RandomHorizontalFlip()`", ""),
    "ToRGB": ("`RGB()`", ""),
    "UnsharpMask": ("`RandomAdjustSharpness((1, 3))`", "PIL's sharpness, of a blur of 3×3"),
}  # fmt: skip


def albumentations_rows() -> Iterator[Row]:
    every = {
        name: kind
        for name, kind in inspect.getmembers(albumentations, inspect.isclass)
        if issubclass(kind, (albumentations.BasicTransform, albumentations.BaseCompose))
        and not inspect.isabstract(kind)
        and re.match(r"albumentations\.(augmentations|core\.composition)", kind.__module__)
        and name not in ("BaseCompose",)
    }
    every["ToTensorV2"] = ToTensorV2
    for name, kind in sorted(every.items()):
        given = ALBUMENTATIONS_ARGUMENTS.get(name, {})
        if (
            name in ALBUMENTATIONS_BY_HAND
            or name not in ae.recipes.albumentations_steps.ALBUMENTATIONS
        ):
            ours, note = ALBUMENTATIONS_BY_HAND.get(name, ("–", ""))
            yield Row(f"`{name}`", ours, "by hand" if ours != "–" else "missing", note)
            continue
        yield row(name, lambda k=kind, g=given: k(**g), ae.from_albumentations, {})


# kornia

KORNIA_ARGUMENTS: dict[str, dict[str, Any]] = {
    "CenterCrop": {"size": 32},
    "Normalize": {"mean": torch.tensor([0.5, 0.5, 0.5]), "std": torch.tensor([0.2, 0.2, 0.2])},
    "ColorJitter": {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1},
    "RandomGaussianBlur": {"kernel_size": (3, 3), "sigma": (0.1, 2.0)},
    "RandomGamma": {"gamma": (0.8, 1.2)},
    "RandomGaussianNoise": {"std": 0.1},
    "RandomMotionBlur": {
        "kernel_size": (3, 7),
        "angle": 35.0,
        "direction": 0.5,
        "border_type": "reflect",
    },
    "RandomRotation": {"degrees": 15.0},
}
KORNIA_BY_HAND = {
    "ColorJiggle": ("`RandomBrightness(0.2)`, `ColorJitter(0, 0.2, 0.2, 0.1)`", "it adds to brightness, and its contrast is about black"),
    "LongestMaxSize": ("`ScaleJitter((64, 64), (1, 1))`", ""),
    "PadTo": ("`PadIfSmaller((64, 64))`", ""),
    "RandomAffine": ("`RandomAffine(15, (0.1, 0.1), (0.8, 1.2), 10)`", "torchvision's order of turn and shear"),
    "RandomAutoContrast": ("`RandomAutocontrast(0.5)`", "PIL's, by whole levels"),
    "RandomBoxBlur": ("`GaussianBlur(3)`", "Gaussian, and not a box"),
    "RandomBrightness": ("`RandomBrightness(0.2)`", "both add"),
    "RandomContrast": ("`ColorJitter(contrast=0.2)`", "about the image's mean grey, there about black: as `ColorJitter(brightness=0.2)` is here"),
    "RandomCrop": ("`RandomCrop(32)`", "a keyed draw for each sample"),
    "RandomCutMixV2": ("`CutMix()`", "labels are mixed by the engine"),
    "RandomElasticTransform": ("`ElasticTransform()`", "torchvision's field, on the finished batch"),
    "RandomEqualize": ("`RandomEqualize(0.5)`", "PIL's, by whole levels"),
    "RandomErasing": ("`RandomErasing(0.5)`", "torchvision's distribution of boxes"),
    "RandomHue": ("`ColorJitter(hue=0.1)`", "in HSV, as torchvision"),
    "RandomJPEG": ("`JPEG((30, 90), p=0.5)`", "real JPEG, on the finished batch"),
    "RandomMixUpV2": ("`MixUp()`", "labels are mixed by the engine"),
    "RandomMosaic": ("`Mosaic()`", ""),
    "RandomPerspective": ("`RandomPerspective(0.5)`", ""),
    "RandomPlanckianJitter": ("`RandomPlanckianJitter()`", "the same tables"),
    "RandomPosterize": ("`RandomPosterize(3)`", "PIL's"),
    "RandomResizedCrop": ("`RandomResizedCrop(32)`", "antialiased; there it is not"),
    "RandomRotation90": ("`RandomQuarterTurn()`", ""),
    "RandomSaturation": ("`ColorJitter(saturation=0.2)`", "towards grey, as torchvision; there in HSV"),
    "RandomSharpness": ("`RandomAdjustSharpness((0, 2))`", "PIL's"),
    "RandomShear": ("`RandomAffine(0, shear=10)`", ""),
    "RandomSolarize": ("`RandomSolarize(\"#80\")`", "without the addition"),
    "RandomTranslate": ("`RandomAffine(0, (0.1, 0.1))`", ""),
    "Resize": ("`Resize((32, 32))`", "antialiased; there it is on request"),
    "SmallestMaxSize": ("`Resize(64)`", ""),
    "VideoSequential": ("an engine with clips", "[clips](../policies.md#clips) (B, T, C, H, W): one draw for all frames"),
}  # fmt: skip
KORNIA_BASES = re.compile(r"Base|3D$|Dispather|V2$(?<!CutMixV2)(?<!MixUpV2)|^Denormalize$")


def kornia_rows() -> Iterator[Row]:
    from augengine.recipes.from_kornia import KORNIA, SEQUENCES

    for name, kind in inspect.getmembers(kornia, inspect.isclass):
        if not issubclass(kind, torch.nn.Module) or KORNIA_BASES.search(name):
            continue
        if name in SEQUENCES:
            yield row(name, lambda k=kind: k(kornia.RandomHorizontalFlip()), ae.from_kornia, {})
        elif name in KORNIA:
            given = KORNIA_ARGUMENTS.get(name, {})
            yield row(name, lambda k=kind, g=given: k(**g), ae.from_kornia, KORNIA_BY_HAND)
        else:
            ours, note = KORNIA_BY_HAND.get(name, ("–", ""))
            yield Row(f"`{name}`", ours, "by hand" if ours != "–" else "missing", note)


# timm

TIMM: dict[str, Callable[[], Any]] = {
    "rand-m9-mstd0.5-inc1": lambda: "rand-m9-mstd0.5-inc1",
    "augmix-m5-w4-d2": lambda: "augmix-m5-w4-d2",
    "original-mstd0.5": lambda: "original-mstd0.5",
    "v0": lambda: "v0",
    "3a": lambda: "3a",
    "create_transform(224, is_training=True)": lambda: timm.data.create_transform(224, is_training=True),
    "create_transform(224)": lambda: timm.data.create_transform(224),
    "CenterCropOrPad": lambda: timm.data.transforms.CenterCropOrPad(32),
    "MaybePILToTensor": lambda: timm.data.transforms.MaybePILToTensor(),
    "MaybeToTensor": lambda: timm.data.transforms.MaybeToTensor(),
    "Mixup": lambda: timm.data.mixup.Mixup(0.8, 1.0, num_classes=10, label_smoothing=0.1),
    "Mixup(mode=\"elem\")": lambda: timm.data.mixup.Mixup(0.2, 0, mode="elem", num_classes=10, label_smoothing=0),
    "RandomCropOrPad": lambda: timm.data.transforms.RandomCropOrPad(32),
    "RandomErasing": lambda: timm.data.random_erasing.RandomErasing(0.25, mode="pixel", device="cpu"),
    "RandomResizedCropAndInterpolation": lambda: timm.data.transforms.RandomResizedCropAndInterpolation(224),
    "ResizeKeepRatio": lambda: timm.data.transforms.ResizeKeepRatio(256),
    "ToNumpy": lambda: timm.data.transforms.ToNumpy(),
    "ToTensor": lambda: timm.data.transforms.ToTensor(),
    "RandomPad": lambda: timm.data.transforms.RandomPad(32),
    "TrimBorder": lambda: timm.data.transforms.TrimBorder(4),
}  # fmt: skip
TIMM_BY_HAND = {
    "RandomPad": ("`FixedSizeCrop(32)`", "pads on the right and below"),
    "TrimBorder": ("`CenterCrop(size)`", "of a size that is known"),
}


def timm_rows() -> Iterator[Row]:
    def read(theirs: Any) -> ae.Policy:
        found = ae.from_timm(theirs)
        return found if isinstance(found, ae.Policy) else ae.Policy(found)

    for name, make in TIMM.items():
        yield row(name, make, read, TIMM_BY_HAND)


TABLES: dict[str, tuple[Callable[[], Iterator[Row]], str]] = {
    "torchvision": (torchvision_rows, "torchvision {}, every class of `transforms.v2`"),
    "albumentations": (albumentations_rows, "albumentations {}, every class"),
    "kornia": (kornia_rows, "kornia {}, every class of `kornia.augmentation` for images"),
    "timm": (timm_rows, "timm {}, its strings and its classes"),
}


def table(library: str) -> str:
    """What stands between the marks of a library's page."""
    from importlib.metadata import version

    rows, title = TABLES[library]
    return counted(list(rows()), title.format(version(library).partition("+")[0]))


def filled(text: str, library: str) -> str:
    """A page with its table."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n\n{table(library)}\n\n{MARKS[1]}{after}"


if __name__ == "__main__":
    for library in sys.argv[1:] or TABLES:
        page = FOLDER / f"{library}.md"
        page.write_text(filled(page.read_text("utf-8"), library), "utf-8")
        print(f"written to {page}")
