"""A policy in torchvision.transforms.v2, on tensors and on PIL's pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ... import (
    AugMix,
    CenterCrop,
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    Normalize,
    Op,
    Policy,
    RandAugment,
    RandomAdjustSharpness,
    RandomAffine,
    RandomApply,
    RandomBrightness,
    RandomCrop,
    RandomEqualize,
    RandomErasing,
    RandomGamma,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
    RandomSolarize,
    RandomVerticalFlip,
    Resize,
    TrivialAugmentWide,
)
from ...checks import several
from .peer import PICTURES, TENSORS, Work, byte_of, fill_of, lacks, mix, split, taps_of, uniform

# What is done to floats. Before these bytes stay bytes: v2's resize is at its fastest there.
ON_FLOATS = (RandomBrightness, GaussianNoise, Normalize)


def torchvision(policy: Policy, image_dtype: str = "uint8") -> Work:
    """torchvision.transforms.v2, for tensors (C, H, W) of any sizes.

    They go through one by one, since a v2 transform draws one set of parameters for a whole batch.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images, which makes no difference here.

    Raises:
        Untranslated: When torchvision has no op of that meaning.
    """
    return _work(policy, TENSORS)


def torchvision_pil(policy: Policy, image_dtype: str = "uint8") -> Work:
    """torchvision.transforms.v2, for PIL's pictures of any sizes, one by one.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images: PIL has bytes only.

    Raises:
        Untranslated: When torchvision has no op of that meaning.
    """
    return _work(policy, PICTURES)


def _work(policy: Policy, takes: str) -> Work:
    from torchvision.transforms import v2

    per_image, mixes = split(policy)
    first_on_floats = next(
        (i for i, op in enumerate(per_image) if isinstance(op, ON_FLOATS)), len(per_image)
    )
    picture = takes == PICTURES
    chain = [
        translated(op, 255 if i < first_on_floats else 1, picture) for i, op in enumerate(per_image)
    ]
    unfiltered = any(getattr(op, "antialias", True) is False for op in per_image)
    notes = ("antialiases all the same",) if picture and unfiltered else ()
    to_floats = [v2.ToImage()] if picture else []
    chain[first_on_floats:first_on_floats] = [*to_floats, v2.ToDtype(torch.float32, scale=True)]
    pipeline = v2.Compose(chain)

    def call(images: Any, out: torch.Tensor | None) -> torch.Tensor:
        return mix(torch.stack([pipeline(image) for image in images], out=out), mixes)

    return Work(call, takes, notes)


def translated(op: Op, most: int, picture: bool) -> Callable:
    """One op as a v2 transform.

    Args:
        op: Op.
        most: Largest value of the images that come to it: 255, or 1 for floats.
        picture: Whether it is given PIL's pictures.

    Raises:
        Untranslated: When torchvision has no op of that meaning.
    """
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional as F

    modes = v2.InterpolationMode
    cubic = getattr(op, "interpolation", None) == "bicubic"
    interpolation = modes.BICUBIC if cubic else modes.BILINEAR

    match op:
        case Resize(size=size, max_size=max_size, antialias=antialias):
            return v2.Resize(size, interpolation, max_size=max_size, antialias=antialias)
        case CenterCrop(size=size):
            return v2.CenterCrop(size)
        case RandomCrop(size=size, padding=padding, pad_if_needed=False):
            return v2.RandomCrop(size, padding=padding, fill=fill_of(op))
        case RandomResizedCrop():
            return v2.RandomResizedCrop(
                op.size, op.scale, op.ratio, interpolation, antialias=op.antialias
            )
        case RandomHorizontalFlip(p=p):
            return v2.RandomHorizontalFlip(p)
        case RandomVerticalFlip(p=p):
            return v2.RandomVerticalFlip(p)
        case RandomRotation(expand=False):
            return v2.RandomRotation(op.degrees, interpolation, center=op.center, fill=fill_of(op))
        case RandomAffine():
            return v2.RandomAffine(
                op.degrees, op.translate, op.scale, op.shear, interpolation, fill_of(op), op.center
            )
        case RandomPerspective():
            return v2.RandomPerspective(op.distortion_scale, op.p, interpolation, fill_of(op))
        case RandAugment(dialect="torchvision", magnitude_std=0, weights=None, p=None):
            return v2.RandAugment(op.num_ops, int(op.magnitude), interpolation=interpolation)
        case TrivialAugmentWide():
            return v2.TrivialAugmentWide(op.num_magnitude_bins, interpolation=interpolation)
        case AugMix(dialect="torchvision"):
            return v2.AugMix(
                int(op.severity), op.mixture_width, op.chain_depth, op.alpha, op.all_ops,
                interpolation,
            )  # fmt: skip
        case RandomBrightness(delta=(low, high)):
            return v2.Lambda(lambda x: x.add_(uniform(low, high)).clamp_(0, 1))
        case ColorJitter():
            return v2.ColorJitter(op.brightness, op.contrast, op.saturation, op.hue)
        case RandomGrayscale(p=p):
            return v2.RandomGrayscale(p)
        case Grayscale(num_output_channels=count):
            return v2.Grayscale(count)
        case GaussianBlur():
            taps = op.kernel_size or taps_of(op.sigma)
            return _sometimes(v2.GaussianBlur(taps, several(op.sigma)), op.p)
        case GaussianNoise(mean=mean, sigma=(low, high)) if low == high:
            return _sometimes(v2.GaussianNoise(mean, low), op.p)
        case RandomAdjustSharpness(sharpness_factor=(low, high), p=p) if low == high:
            return v2.RandomAdjustSharpness(low, p)
        case RandomEqualize(p=p):
            return v2.RandomEqualize(p)
        case RandomSolarize(p=p):
            return v2.RandomSolarize(byte_of(op) * most / 255, p)
        case RandomGamma(gain=gain):
            low, high = several(op.gamma)
            gamma = v2.Lambda(lambda x: F.adjust_gamma(x, uniform(low, high), gain))
            return _sometimes(gamma, op.p)
        case RandomErasing(value=0, count=1) if most == 1:
            return v2.RandomErasing(op.p, op.scale, op.ratio, 0, inplace=True)
        case RandomApply(transforms=ops, p=p):
            return v2.RandomApply([translated(each, most, picture) for each in several(ops)], p)
        case Normalize(mean=mean, std=std):
            return v2.Normalize(mean, std, inplace=True)
    raise lacks("torchvision", op)


def _sometimes(transform: Callable, p: float) -> Callable:
    from torchvision.transforms import v2

    return transform if p == 1 else v2.RandomApply([transform], p)
