"""A policy in timm's create_transform, on PIL's pictures."""

from __future__ import annotations

from typing import Any

import torch

from ... import (
    AugMix,
    CenterCrop,
    ColorJitter,
    GaussianBlur,
    Normalize,
    Op,
    Policy,
    RandAugment,
    RandomApply,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
)
from ...checks import several
from .peer import PICTURES, Untranslated, Work, lacks, mix, split

# The order of create_transform: an op stands behind those before it.
ORDER = (
    RandomResizedCrop, Resize, CenterCrop, RandomHorizontalFlip, RandomVerticalFlip, RandAugment, AugMix,
    ColorJitter, RandomGrayscale, GaussianBlur, Normalize, RandomErasing,
)  # fmt: skip


def timm(policy: Policy, image_dtype: str = "uint8") -> Work:
    """timm.data.create_transform, for PIL's pictures of any sizes, one by one.

    Args:
        policy: Policy, whose ops become arguments of create_transform.
        image_dtype: Dtype of the images: PIL has bytes only.

    Raises:
        Untranslated: When create_transform has no argument of that meaning, or another order.
    """
    from timm.data import create_transform

    per_image, mixes = split(policy)
    chances = [op.p if isinstance(op, RandomApply) else None for op in per_image]
    plain = [several(op.transforms)[0] if isinstance(op, RandomApply) else op for op in per_image]
    places = [ORDER.index(type(op)) if type(op) in ORDER else -1 for op in plain]
    if places != sorted(set(places)):
        names = ", ".join(type(op).__name__ for op in per_image)
        raise Untranslated(f"timm's create_transform does not do {names} in this order")
    if not isinstance(plain[0], (RandomResizedCrop, Resize)) or Normalize not in map(type, plain):
        raise Untranslated("timm's create_transform begins with a crop and normalises")
    notes: dict[str, None] = {}
    if any(getattr(op, "antialias", True) is False for op in plain):
        notes["antialiases all the same"] = None
    arguments: dict[str, Any] = {"hflip": 0.0, "color_jitter": None}
    for op, p in zip(plain, chances, strict=True):
        arguments |= _arguments(op, p, notes)
    if shorter := arguments.pop("shorter", None):
        arguments["crop_pct"] = arguments["input_size"][0] / shorter
    pipeline = create_transform(**arguments)

    def call(images: Any, out: torch.Tensor | None) -> torch.Tensor:
        return mix(torch.stack([pipeline(image) for image in images], out=out), mixes)

    return Work(call, PICTURES, tuple(notes))


def _arguments(op: Op, p: float | None, notes: dict[str, None]) -> dict[str, Any]:
    """What an op is in arguments. p: of a RandomApply around it. notes: gets where it is another thing."""
    if p is not None and not isinstance(op, ColorJitter):
        raise lacks("timm", op)
    match op:
        case RandomResizedCrop():
            return {
                "is_training": True,
                "input_size": op.size,
                "scale": op.scale,
                "ratio": op.ratio,
                "interpolation": op.interpolation or "bilinear",
            }
        case Resize(size=int(shorter)):
            return {"shorter": shorter, "interpolation": op.interpolation or "bilinear"}
        case CenterCrop(size=size):
            return {"input_size": size}
        case RandomHorizontalFlip(p=chance):
            return {"hflip": chance}
        case RandomVerticalFlip(p=chance):
            return {"vflip": chance}
        case RandAugment(dialect="torchvision", magnitude_std=0, weights=None, p=None):
            notes["timm's RandAugment"] = None
            # Of 10 magnitudes, where torchvision has 31; mstd0: always the same.
            share = op.magnitude / (op.num_magnitude_bins - 1)
            return {"auto_augment": f"rand-m{10 * share:.0f}-n{op.num_ops}-mstd0-p1"}
        case AugMix(dialect="torchvision", all_ops=True, alpha=1):
            notes["timm's AugMix"] = None
            depth = f"-d{op.chain_depth}" if op.chain_depth > 0 else ""
            return {"auto_augment": f"augmix-m{op.severity:g}-w{op.mixture_width}{depth}"}
        case ColorJitter():
            ones, zeros = (1.0, 1.0), (0.0, 0.0)
            limits = (op.brightness or ones, op.contrast or ones, op.saturation or ones)
            factors = [several(each) for each in limits]
            widths = tuple(high - 1 for _, high in factors)
            if any(width < 0 or low > 1 for width, (low, _) in zip(widths, factors, strict=True)):
                raise lacks("timm", op)
            return {
                "color_jitter": (*widths, several(op.hue or zeros)[1]),
                "color_jitter_prob": p,
            }
        case RandomGrayscale(p=chance):
            return {"grayscale_prob": chance}
        case GaussianBlur(kernel_size=(23, 23), sigma=(0.1, 2.0), p=chance):
            return {"gaussian_blur_prob": chance}
        case Normalize(mean=mean, std=std):
            return {"mean": mean, "std": std}
        case RandomErasing(value=0, count=1, p=chance, scale=(0.02, 0.33)):
            return {"re_prob": chance}
    raise lacks("timm", op)
