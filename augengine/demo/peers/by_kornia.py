"""A policy in kornia.augmentation, on the whole batch."""

from __future__ import annotations

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
    RandomMotionBlur,
    RandomPerspective,
    RandomPlanckianJitter,
    RandomResizedCrop,
    RandomRotation,
    RandomSaltAndPepperNoise,
    RandomSolarize,
    RandomVerticalFlip,
    Resize,
    TrivialAugmentWide,
)
from ...checks import several
from .peer import BATCH, Work, byte_of, lacks, on_batches, split, taps_of


def kornia(policy: Policy, image_dtype: str = "uint8") -> Work:
    """kornia.augmentation on the whole batch (N, C, H, W), or on each image where sizes differ.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images, uint8 or float32.

    Raises:
        Untranslated: When kornia has no op of that meaning.
    """
    import kornia.augmentation as K

    per_image, mixes = split(policy)
    notes: dict[str, None] = {}
    pipeline = K.AugmentationSequential(*[_translated(op, notes) for op in per_image])

    def drawn(images: torch.Tensor) -> torch.Tensor:
        floats = images.to(torch.float32)
        return pipeline(floats.div_(255) if images.dtype == torch.uint8 else floats)

    return Work(on_batches(drawn, mixes), BATCH, tuple(notes))


def _translated(op: Op, notes: dict[str, None], p: float = 1) -> Any:
    """One op; p: of applying it at all. notes: gets where it is another thing."""
    import kornia.augmentation as K

    cubic = getattr(op, "interpolation", None) == "bicubic"
    resample = "bicubic" if cubic else "bilinear"
    if isinstance(op, RandomResizedCrop) and op.antialias:
        notes["does not antialias"] = None

    match op:
        case Resize(size=size, max_size=None):
            return K.Resize(size, resample=resample, antialias=op.antialias)
        case CenterCrop(size=size):
            return K.CenterCrop(size, cropping_mode="slice")
        case RandomCrop(size=size, padding=padding, pad_if_needed=False):
            return K.RandomCrop(size, padding, cropping_mode="slice")
        case RandomResizedCrop():
            return K.RandomResizedCrop(op.size, op.scale, op.ratio, resample, cropping_mode="slice")
        case RandomHorizontalFlip():
            return K.RandomHorizontalFlip(p=p * op.p)
        case RandomVerticalFlip():
            return K.RandomVerticalFlip(p=p * op.p)
        case RandomRotation(center=None, expand=False, fill=None):
            return K.RandomRotation(op.degrees, resample, p=p)
        case RandomAffine(center=None, shear=None, fill=None):
            return K.RandomAffine(op.degrees, op.translate, op.scale, resample=resample, p=p)
        case RandomPerspective(fill=None):
            return K.RandomPerspective(op.distortion_scale, resample, p=p * op.p)
        case RandomBrightness(delta=(low, high)):
            return K.RandomBrightness((1 + low, 1 + high), p=p)  # adds factor − 1
        case ColorJitter():
            ones, zeros = (1.0, 1.0), (0.0, 0.0)
            notes["one order of the jitter's steps for the batch"] = None
            return K.ColorJitter(
                op.brightness or ones,
                op.contrast or ones,
                op.saturation or ones,
                op.hue or zeros,
                p=p,
            )
        case RandomGrayscale():
            return K.RandomGrayscale(p=p * op.p)
        case GaussianBlur():
            taps = op.kernel_size or (taps_of(op.sigma), taps_of(op.sigma))
            return K.RandomGaussianBlur(taps, several(op.sigma), p=p * op.p)
        case GaussianNoise(mean=mean, sigma=(low, high)) if low == high:
            return K.RandomGaussianNoise(mean, low, p=p * op.p)
        case RandomAdjustSharpness():
            return K.RandomSharpness(several(op.sharpness_factor), p=p * op.p)
        case RandomEqualize():
            return K.RandomEqualize(p=p * op.p)
        case RandomSolarize():
            share = byte_of(op) / 255
            return K.RandomSolarize((share, share), (0.0, 0.0), p=p * op.p)
        case RandomGamma(gain=gain):
            return K.RandomGamma(several(op.gamma), (gain, gain), p=p * op.p)
        case RandomErasing(value=0, count=1):
            return K.RandomErasing(op.scale, op.ratio, 0.0, p=p * op.p)
        case RandomMotionBlur():
            notes["one length of the motion for the batch"] = None
            return K.RandomMotionBlur(
                op.kernel_size, op.angle, op.direction, "reflect", op.resample, p=p * op.p
            )
        case RandomPlanckianJitter():
            rows = None if op.select_from is None else list(several(op.select_from))
            return K.RandomPlanckianJitter(op.mode, rows, p=p * op.p)
        case RandomSaltAndPepperNoise():
            return K.RandomSaltAndPepperNoise(op.amount, op.salt_vs_pepper, p=p * op.p)
        case RandAugment(dialect="torchvision", magnitude_std=0, weights=None, p=None):
            notes["one operation for the batch"] = None
            return K.auto.RandAugment(op.num_ops, int(op.magnitude))
        case TrivialAugmentWide():
            notes["one operation for the batch"] = None
            return K.auto.TrivialAugment()
        case RandomApply(transforms=(only,)):
            return _translated(only, notes, p * op.p)
        case Normalize(mean=mean, std=std):
            return K.Normalize(torch.tensor(mean), torch.tensor(std))
    raise lacks("kornia", op)
