"""A policy in torchtransform, on the whole batch."""

from __future__ import annotations

import math
from typing import Any

import torch

from ... import (
    CenterCrop,
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    Normalize,
    Op,
    Policy,
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
)
from ...checks import several
from .peer import BATCH, Work, byte_of, lacks, on_batches, split


def torchtransform(policy: Policy, image_dtype: str = "uint8") -> Work:
    """torchtransform on the whole batch (N, C, H, W), or on each image where sizes differ.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images, uint8 or float32.

    Raises:
        Untranslated: When torchtransform has no op of that meaning.
    """
    import torchtransform as tt

    per_image, mixes = split(policy)
    notes: dict[str, None] = {}
    cubic = any(getattr(op, "interpolation", None) == "bicubic" for op in per_image)
    pipeline = tt.Compose(*[each for op in per_image for each in _translated(op, notes)])

    def drawn(images: torch.Tensor) -> torch.Tensor:
        floats = images.to(torch.float32)
        floats = floats.div_(255) if images.dtype == torch.uint8 else floats
        return pipeline(tt.Image(floats, mode="bicubic") if cubic else floats)

    return Work(on_batches(drawn, mixes), BATCH, tuple(notes))


def _translated(op: Op, notes: dict[str, None], p: float = 1.0) -> list[Any]:
    """One op; p: of applying it at all. notes: gets where it is another thing."""
    import torchtransform as tt

    if getattr(op, "antialias", False) and not isinstance(op, RandomAffine):
        notes["antialiases by halves, from a shrink by two on"] = None
    match op:
        case Resize(size=(height, width)):
            return [tt.Resize((height, width))]
        case Resize(size=int(shorter), max_size=None):
            return [tt.Resize(shorter, side="shortest")]
        case CenterCrop(size=size):
            return [tt.CenterCrop(size)]
        case RandomCrop(size=size, padding=padding, pad_if_needed=False):
            if padding is not None and len(set(several(padding))) > 1:
                raise lacks("torchtransform", op)
            pads = [] if padding is None else [tt.Pad(several(padding)[0])]
            return [*pads, tt.RandomCrop(size)]
        case RandomResizedCrop():
            return [tt.RandomResizedCrop(op.size, op.scale, op.ratio)]
        case RandomHorizontalFlip():
            return [tt.HorizontalFlip(p * op.p)]
        case RandomVerticalFlip():
            return [tt.VerticalFlip(p * op.p)]
        case RandomRotation(center=None, expand=False, fill=None):
            low, high = several(op.degrees)
            return [tt.Rotate((-high, -low), p=p)]  # its positive angles are clockwise
        case RandomAffine(center=None, shear=None, fill=None):
            x, y = op.translate or (0, 0)
            return [
                tt.Rotate(several(op.degrees), p=p),
                tt.Scale(op.scale or 1.0, p=p),
                tt.Translate((-x, x), (-y, y), relative=True, p=p),
            ]
        case RandomPerspective(fill=None):
            notes["other corners in Perspective"] = None
            return [tt.Perspective(op.distortion_scale / 2, p * op.p)]
        case RandomBrightness(delta=(low, high)):
            notes["brightness is a factor, not a sum"] = None
            return [tt.Brightness((1 + low, 1 + high), p=p)]
        case ColorJitter():
            if op.hue:
                notes["turns the hue by a matrix"] = None
            factors = (op.brightness, op.contrast, op.saturation, op.hue)
            return [tt.ColorJitter(*(limits or 0.0 for limits in factors), p=p)]
        case RandomGrayscale():
            return [tt.Grayscale(p * op.p)]
        case GaussianBlur():
            return [tt.GaussianBlur(several(op.sigma), p * op.p)]
        case GaussianNoise(mean=0.0):
            return [tt.GaussianNoise(several(op.sigma), p=p * op.p)]
        case RandomAdjustSharpness(sharpness_factor=(low, high)) if low >= 1:
            notes["another sharpening"] = None
            return [tt.Sharpen((low - 1, high - 1), 1.0, p * op.p)]
        case RandomEqualize():
            return [tt.Equalize(p * op.p)]
        case RandomSolarize():
            return [tt.Solarize(byte_of(op) / 255, p * op.p)]
        case RandomGamma(gain=1.0):
            return [tt.Gamma(several(op.gamma), p * op.p)]
        case RandomErasing(value=0, count=1):
            notes["other holes in Erasing"] = None
            sides = tuple(math.sqrt(share) for share in op.scale)  # of the same area
            return [tt.Erasing(1, sides, p=p * op.p)]
        case RandomApply(transforms=(only,)):
            return _translated(only, notes, p * op.p)
        case Normalize(mean=mean, std=std):
            return [tt.Normalize(mean, std)]
    raise lacks("torchtransform", op)
