"""The same policy in other libraries, to measure against: as their users would write it, op by op.

Each function takes a policy and gives a function work(images, out) → images (N, C, H, W) float32,
which draws parameters for every sample and writes into `out`, if that is not None. Only ops that the
library has under the same meaning are translated; another one raises `Untranslated`. Ranges are taken
from the policy itself, so that all contenders draw from the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch

from .. import (
    CenterCrop,
    CutMix,
    Normalize,
    Op,
    Policy,
    RandAugment,
    RandomAffine,
    RandomBrightness,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    TrivialAugmentWide,
)
from ..aliases import Images
from ..checks import several

Work = Callable[[Images, torch.Tensor | None], torch.Tensor]


class Untranslated(ValueError):
    """The library has no op of that meaning."""


def torchvision(policy: Policy) -> Work:
    """torchvision.transforms.v2, for uint8 tensors (C, H, W) of any sizes.

    They go through one by one, since a v2 transform draws one set of parameters for a whole batch.

    Raises:
        Untranslated: When torchvision has no op of that meaning.
    """
    from torchvision.transforms import v2

    bilinear = v2.InterpolationMode.BILINEAR

    def translated(op: Op) -> Callable:
        match op:
            case Resize(size=size, max_size=max_size, antialias=antialias):
                return v2.Resize(size, bilinear, max_size=max_size, antialias=antialias)
            case CenterCrop(size=size):
                return v2.CenterCrop(size)
            case RandomCrop(size=size, padding=None, pad_if_needed=False):
                return v2.RandomCrop(size)
            case RandomResizedCrop():
                return v2.RandomResizedCrop(
                    op.size, op.scale, op.ratio, bilinear, antialias=op.antialias
                )
            case RandomHorizontalFlip(p=p):
                return v2.RandomHorizontalFlip(p)
            case RandomVerticalFlip(p=p):
                return v2.RandomVerticalFlip(p)
            case RandomAffine():
                return v2.RandomAffine(
                    op.degrees, op.translate, op.scale, op.shear, bilinear, op.fill or 0, op.center
                )
            case RandAugment(dialect="torchvision", magnitude_std=0, weights=None, p=None):
                return v2.RandAugment(op.num_ops, int(op.magnitude), interpolation=bilinear)
            case TrivialAugmentWide():
                return v2.TrivialAugmentWide(op.num_magnitude_bins, interpolation=bilinear)
            case RandomBrightness(delta=(low, high)):
                return v2.Lambda(lambda x: x.add_(_uniform(low, high)).clamp_(0, 1))
            case Normalize(mean=mean, std=std):
                return v2.Normalize(mean, std, inplace=True)
        raise Untranslated(f"torchvision has no {type(op).__name__} of this kind")

    per_image, mixes = _split(policy)
    # Bytes as long as they can stay so: v2's resize is at its fastest there.
    first_on_floats = next(
        (i for i, op in enumerate(per_image) if isinstance(op, (RandomBrightness, Normalize))),
        len(per_image),
    )
    chain = [translated(op) for op in per_image]
    chain.insert(first_on_floats, v2.ToDtype(torch.float32, scale=True))
    pipeline = v2.Compose(chain)

    def work(images, out=None):
        return _mix(torch.stack([pipeline(image) for image in images], out=out), mixes)

    return work


def albumentations(policy: Policy) -> Work:
    """albumentations, for uint8 arrays (H, W, C) of any sizes.

    Bilinear is cv2.INTER_LINEAR, which does not antialias.

    Raises:
        Untranslated: When albumentations has no op of that meaning.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # no look at the network on import
    import albumentations as A
    import cv2

    linear = cv2.INTER_LINEAR

    def translated(op: Op) -> Any:
        match op:
            case Resize(size=(height, width)):
                return A.Resize(height, width, linear)
            case CenterCrop(size=(height, width)):
                return A.CenterCrop(height, width)
            case RandomCrop(size=(height, width), padding=None, pad_if_needed=False):
                return A.RandomCrop(height, width)
            case RandomResizedCrop():
                return A.RandomResizedCrop(op.size, op.scale, op.ratio, linear)
            case RandomHorizontalFlip(p=p):
                return A.HorizontalFlip(p=p)
            case RandomVerticalFlip(p=p):
                return A.VerticalFlip(p=p)
            case RandomAffine(center=None, shear=None):
                x, y = op.translate or (0, 0)
                low, high = several(op.degrees)
                return A.Affine(
                    rotate=(-high, -low),  # its positive angles are counter-clockwise
                    translate_percent={"x": (-x, x), "y": (-y, y)},
                    scale=op.scale or (1, 1),
                    keep_ratio=True,
                    interpolation=linear,
                    fill=op.fill or 0,
                    p=1,
                )
            case RandAugment(dialect="torchvision", magnitude_std=0, weights=None, p=None):
                share = op.magnitude / (op.num_magnitude_bins - 1)
                return A.SomeOf(_operations(A, share, wide=False), n=op.num_ops, replace=True, p=1)
            case TrivialAugmentWide():
                return A.OneOf(_operations(A, 1.0, wide=True), p=1)
            case RandomBrightness(delta=limits):
                return A.RandomBrightnessContrast(limits, 0, brightness_by_max=True, p=1)
            case Normalize(mean=mean, std=std):
                return A.Normalize(mean, std)
        raise Untranslated(f"albumentations has no {type(op).__name__} of this kind")

    per_image, mixes = _split(policy)
    last = [] if isinstance(per_image[-1], Normalize) else [A.ToFloat(255)]
    pipeline = A.Compose([translated(op) for op in per_image] + last)

    def work(images, out=None):
        first = pipeline(image=images[0])["image"]
        if out is None:
            height, width, channels = first.shape
            out = torch.empty(len(images), channels, height, width)
        # Each image is transposed straight into the batch, as ToTensorV2 and a stack would do,
        # with one copy less.
        batch = out.numpy()
        batch[0] = first.transpose(2, 0, 1)
        for i in range(1, len(images)):
            batch[i] = pipeline(image=images[i])["image"].transpose(2, 0, 1)
        return _mix(out, mixes)

    return work


def _operations(A: ModuleType, share: float, wide: bool) -> list:
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


def kornia(policy: Policy) -> Work:
    """kornia.augmentation on the whole batch, uint8 (N, C, H, W).

    Raises:
        Untranslated: When kornia has no op of that meaning.
    """
    import kornia.augmentation as K

    def translated(op: Op) -> Any:
        match op:
            case Resize(size=(height, width)):
                return K.Resize((height, width), antialias=op.antialias)
            case CenterCrop(size=size):
                return K.CenterCrop(size, cropping_mode="slice")
            case RandomCrop(size=size, padding=None, pad_if_needed=False):
                return K.RandomCrop(size, cropping_mode="slice")
            case RandomResizedCrop():
                return K.RandomResizedCrop(op.size, op.scale, op.ratio, cropping_mode="slice")
            case RandomHorizontalFlip(p=p):
                return K.RandomHorizontalFlip(p=p)
            case RandomVerticalFlip(p=p):
                return K.RandomVerticalFlip(p=p)
            case RandomAffine(center=None, shear=None, fill=None):
                return K.RandomAffine(op.degrees, op.translate, op.scale, p=1)
            case RandomBrightness(delta=(low, high)):
                return K.RandomBrightness((1 + low, 1 + high), p=1)  # adds factor − 1
            # Their operation is drawn once for the batch.
            case RandAugment(dialect="torchvision", magnitude_std=0, weights=None, p=None):
                return K.auto.RandAugment(op.num_ops, int(op.magnitude))
            case TrivialAugmentWide():
                return K.auto.TrivialAugment()
            case Normalize(mean=mean, std=std):
                return K.Normalize(torch.tensor(mean), torch.tensor(std))
        raise Untranslated(f"kornia has no {type(op).__name__} of this kind")

    per_image, mixes = _split(policy)
    pipeline = K.AugmentationSequential(*[translated(op) for op in per_image])

    def work(images, out=None):
        batch = pipeline(images.to(torch.float32).div_(255))
        return _mix(batch if out is None else out.copy_(batch), mixes)

    return work


def _split(policy: Policy) -> tuple[list[Op], list[CutMix]]:
    """The policy's ops for one image, and its mixes. A mix is linear, so it may follow Normalize."""
    per_image: list[Op] = []
    mixes = []
    for op in policy.transforms:
        nearest = getattr(op, "interpolation", None) == "nearest"
        if nearest or getattr(op, "context", None) or getattr(op, "padding_mode", None):
            raise Untranslated(f"{op!r} has no equal elsewhere")
        if isinstance(op, CutMix):
            mixes.append(op)
        else:
            per_image.append(op)
    return per_image, mixes


def _mix(batch: torch.Tensor, mixes: list[CutMix]) -> torch.Tensor:
    """The batch after CutMix in place, in a loop that draws a box and a partner for every sample.

    torchvision's own CutMix draws one box for the batch, and the other libraries have none.
    """
    count, _, height, width = batch.shape
    random = np.random.default_rng()
    for mix in mixes if count > 1 else []:
        pastes = []
        for i in np.flatnonzero(random.random(count) < mix.p):
            half = 0.5 * np.sqrt(1 - random.beta(mix.alpha, mix.alpha))
            y, x = random.integers((height, width))
            dy, dx = int(half * height), int(half * width)
            box = np.s_[:, max(y - dy, 0) : y + dy, max(x - dx, 0) : x + dx]
            partner = (i + random.integers(1, count)) % count
            pastes.append((i, box, batch[partner][box].clone()))
        for i, box, piece in pastes:
            batch[i][box] = piece
    return batch


def _uniform(low: float, high: float) -> float:
    return float(torch.empty(()).uniform_(low, high))
