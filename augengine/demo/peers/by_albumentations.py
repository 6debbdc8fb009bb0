"""A policy in albumentations, and in augrs, which has its names and arguments."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from ... import (
    CenterCrop,
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    Normalize,
    Op,
    Policy,
    RandAugment,
    RandomAdjustSharpness,
    RandomAffine,
    RandomApply,
    RandomBrightness,
    RandomCrop,
    RandomDefocus,
    RandomEqualize,
    RandomErasing,
    RandomGamma,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    RandomSaltAndPepperNoise,
    RandomSolarize,
    RandomVerticalFlip,
    Resize,
    TrivialAugmentWide,
)
from ...checks import several
from .peer import ARRAYS, Work, byte_of, fill_of, gathered, lacks, mix, normalized_last, split

CONSTANT, LINEAR, CUBIC = 0, 1, 2  # OpenCV's numbers


def albumentations(policy: Policy, image_dtype: str = "uint8") -> Work:
    """albumentations, for arrays (H, W, C) of any sizes. OpenCV's bilinear does not antialias.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images, uint8 or float32.

    Raises:
        Untranslated: When albumentations has no op of that meaning.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # no look at the network on import
    import albumentations as A

    return _work(policy, image_dtype, A, "albumentations")


def augrs(policy: Policy, image_dtype: str = "uint8") -> Work:
    """augrs, for arrays (H, W, C) of any sizes. Its bilinear is OpenCV's.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images, uint8 or float32.

    Raises:
        Untranslated: When augrs has no op of that meaning.
    """
    import augrs as A

    return _work(policy, image_dtype, A, "augrs")


def _work(policy: Policy, image_dtype: str, A: Any, library: str) -> Work:
    per_image, mixes = split(policy)
    notes: dict[str, None] = {}
    per_image = normalized_last(per_image, notes)
    most = 255.0 if image_dtype == "uint8" else 1.0
    chain = [_translated(A, library, op, most, notes) for op in per_image]
    if not isinstance(per_image[-1], Normalize):
        # As A.ToFloat does, which augrs has not.
        chain.append(A.Normalize(mean=0.0, std=1.0, max_pixel_value=most, p=1))
    pipeline = A.Compose(chain)

    def call(images: Any, out: torch.Tensor | None) -> torch.Tensor:
        # Each is transposed straight into the batch, as ToTensorV2 and a stack would do, with one copy
        # less.
        drawn = (pipeline(image=image)["image"] for image in images)
        planes = (torch.from_numpy(np.atleast_3d(image)).permute(2, 0, 1) for image in drawn)
        return mix(gathered(planes, len(images), out), mixes)

    return Work(call, ARRAYS, tuple(notes))


def _translated(
    A: Any, library: str, op: Op, most: float, notes: dict[str, None], p: float = 1
) -> Any:
    """One op in albumentations or augrs.

    A: the package. most: the largest value of an image. notes: gets where it is another thing. p: of
    applying it at all.
    """
    for name in _NAMES.get(type(op), ()):
        if not hasattr(A, name):
            raise lacks(library, op)
    cubic = getattr(op, "interpolation", None) == "bicubic"
    filtered = CUBIC if cubic else LINEAR
    if getattr(op, "antialias", False):
        notes["does not antialias"] = None

    match op:
        case Resize(size=(height, width)):
            return A.Resize(height, width, filtered)
        case Resize(size=int(shorter), max_size=None):
            return A.SmallestMaxSize(shorter, interpolation=filtered)
        case CenterCrop(size=(height, width)):
            return A.CenterCrop(height, width)
        case RandomCrop(size=(height, width), padding=None, pad_if_needed=False):
            return A.RandomCrop(height, width)
        case RandomCrop(size=(height, width), padding=(left, top, right, bottom)):
            if (left, top) != (right, bottom):
                raise lacks(library, op)
            # Of images that have the crop's size, as those of CIFAR.
            padded = A.PadIfNeeded(
                height + 2 * top, width + 2 * left, border_mode=CONSTANT, fill=fill_of(op)
            )
            return A.Sequential([padded, A.RandomCrop(height, width)], p=1)
        case RandomResizedCrop():
            return A.RandomResizedCrop(
                size=op.size, scale=op.scale, ratio=op.ratio, interpolation=filtered
            )
        case RandomHorizontalFlip():
            return A.HorizontalFlip(p=p * op.p)
        case RandomVerticalFlip():
            return A.VerticalFlip(p=p * op.p)
        case RandomRotation(center=None, expand=False):
            return A.Rotate(several(op.degrees), filtered, fill=fill_of(op), p=p)
        case RandomAffine(center=None, shear=None):
            x, y = op.translate or (0, 0)
            low, high = several(op.degrees)
            return A.Affine(
                rotate=(-high, -low),  # its positive angles are counter-clockwise
                translate_percent={"x": (-x, x), "y": (-y, y)},
                scale=op.scale or (1, 1),
                keep_ratio=True,
                interpolation=filtered,
                fill=fill_of(op),
                p=p,
            )
        case RandomPerspective():
            notes["other corners in Perspective"] = None
            # Corners move by up to half the scale of torchvision's, uniformly; here by a normal share.
            scale = op.distortion_scale / 4
            return A.Perspective(scale=(scale, scale), interpolation=filtered, p=p * op.p)
        case RandAugment(dialect="torchvision", magnitude_std=0, weights=None, p=None):
            share = op.magnitude / (op.num_magnitude_bins - 1)
            return A.SomeOf(_operations(A, share, wide=False), n=op.num_ops, replace=True, p=p)
        case TrivialAugmentWide():
            return A.OneOf(_operations(A, 1.0, wide=True), p=p)
        case RandomBrightness(delta=limits):
            return A.RandomBrightnessContrast(limits, (0, 0), brightness_by_max=True, p=p)
        case ColorJitter():
            ones, zeros = (1, 1), (0, 0)
            return A.ColorJitter(
                op.brightness or ones,
                op.contrast or ones,
                op.saturation or ones,
                op.hue or zeros,
                p=p,
            )
        case RandomGrayscale():
            return A.ToGray(p=p * op.p)
        case GaussianBlur(kernel_size=kernel):
            # 0: the taps that sigma needs.
            limits = (0, 0) if kernel is None else kernel
            return A.GaussianBlur(limits, several(op.sigma), p=p * op.p)
        case GaussianNoise(mean=mean):
            return A.GaussNoise(several(op.sigma), (mean, mean), p=p * op.p)
        case RandomAdjustSharpness(sharpness_factor=(low, high)) if low >= 1:
            notes["another sharpening"] = None
            return A.Sharpen((low - 1, min(high - 1, 1)), lightness=(1, 1), p=p * op.p)
        case RandomEqualize():
            return A.Equalize(p=p * op.p)
        case RandomSolarize():
            share = byte_of(op) / 255
            return A.Solarize((share, share), p=p * op.p)
        case RandomGamma(gain=1):
            low, high = several(op.gamma)
            return A.RandomGamma((100 * low, 100 * high), p=p * op.p)
        case RandomErasing(value=0, count=1):
            return A.Erasing(op.scale, op.ratio, 0, p=p * op.p)
        case RandomDefocus():
            return A.Defocus(op.radius, op.alias_blur, p=p * op.p)
        case RandomSaltAndPepperNoise():
            return A.SaltAndPepper(op.amount, op.salt_vs_pepper, p=p * op.p)
        case RandomApply(transforms=(only,)):
            return _translated(A, library, only, most, notes, p * op.p)
        case Normalize(mean=mean, std=std):
            return A.Normalize(mean, std, most)
    raise lacks(library, op)


# What an op's translation is made of, where not both packages have it.
_NAMES: dict[type[Op], tuple[str, ...]] = {
    RandAugment: ("Sharpen", "Posterize", "Solarize", "AutoContrast", "Equalize"),
    TrivialAugmentWide: ("Sharpen", "Posterize", "Solarize", "AutoContrast", "Equalize"),
    RandomAdjustSharpness: ("Sharpen",),
    RandomEqualize: ("Equalize",),
    RandomSolarize: ("Solarize",),
    RandomErasing: ("Erasing",),
    RandomDefocus: ("Defocus",),
    RandomSaltAndPepperNoise: ("SaltAndPepper",),
}


def _operations(A: Any, share: float, wide: bool) -> list:
    """torchvision's fourteen operations in albumentations.

    A: the package. share: the largest magnitude, as a share of torchvision's, to both sides where an
    operation has two. wide: whether the ranges are TrivialAugmentWide's, or RandAugment's.
    """
    shear = np.degrees(np.arctan(share * (0.99 if wide else 0.3)))
    # A share of the size in RandAugment; albumentations wants one number of pixels: 256 · 150 / 331.
    pixels = share * 32 if wide else share * 116
    degrees = share * (135 if wide else 30)
    strength = share * (0.99 if wide else 0.9)
    factor = (1 - strength, 1 + strength)
    bits = 8 - round(share * (6 if wide else 4))

    def warp(**arguments):
        return A.Affine(**{"shear": 0, **arguments}, keep_ratio=False, p=1)

    def jitter(**factors):
        neutral = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
        return A.ColorJitter(**{**neutral, **factors}, p=1)

    return [
        A.NoOp(p=1),
        warp(shear={"x": (-shear, shear), "y": (0, 0)}),
        warp(shear={"x": (0, 0), "y": (-shear, shear)}),
        warp(translate_px={"x": (-round(pixels), round(pixels)), "y": (0, 0)}),
        warp(translate_px={"x": (0, 0), "y": (-round(pixels), round(pixels))}),
        A.Rotate((-degrees, degrees), p=1),
        jitter(brightness=factor),
        jitter(saturation=factor),
        jitter(contrast=factor),
        A.Sharpen(alpha=(0, strength), lightness=(1, 1), p=1),
        A.Posterize((bits, 8), p=1),
        A.Solarize((1 - share, 1), p=1),
        A.AutoContrast(p=1),
        A.Equalize(p=1),
    ]
