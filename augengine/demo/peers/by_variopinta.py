"""A policy in variopinta, image by image."""

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
    RandomAdjustSharpness,
    RandomAffine,
    RandomApply,
    RandomBrightness,
    RandomCrop,
    RandomErasing,
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
from .peer import (
    ARRAYS,
    ENCODED,
    Untranslated,
    Work,
    byte_of,
    fill_of,
    gathered,
    lacks,
    mix,
    normalized_last,
    split,
    taps_of,
)


def variopinta(policy: Policy, image_dtype: str = "uint8") -> Work:
    """variopinta, compiled, for arrays (H, W, C) of any sizes; its tensors are (C, H, W).

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images: it has uint8 only.

    Raises:
        Untranslated: When variopinta has no op of that meaning.
    """
    import variopinta as vp

    chain, mixes, notes = _chain(policy, image_dtype)
    port = vp.ReturnTensor(name="tensor")
    target = vp.Image(name="image", output_specs=port)
    pipeline = vp.Pipeline(chain, targets=target).compile()

    def call(images: Any, out: torch.Tensor | None) -> torch.Tensor:
        drawn = (pipeline(image=target.bind(image))[target][port] for image in images)
        return mix(gathered(drawn, len(images), out), mixes)

    return Work(call, ARRAYS, notes)


def variopinta_decoding(policy: Policy, image_dtype: str = "uint8", threads: int = 1) -> Work:
    """variopinta, compiled, for the bytes of JPEG and PNG files, which it decodes itself.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images: it has uint8 only.
        threads: Number of threads, which is 1 whatever is asked for.

    Raises:
        Untranslated: When variopinta has no op of that meaning.
    """
    import variopinta as vp

    chain, mixes, notes = _chain(policy, image_dtype)
    port = vp.ReturnTensor(name="tensor")
    target = vp.Image(vp.Encoded(), name="image", output_specs=port, decode_mode="rgb")
    pipeline = vp.Pipeline(chain, targets=target).compile()

    def call(images: Any, out: torch.Tensor | None) -> torch.Tensor:
        drawn = (pipeline(image=target.bind(data))[target][port] for data in images)
        return mix(gathered(drawn, len(images), out), mixes)

    return Work(call, ENCODED, notes)


def variopinta_hwc(policy: Policy, image_dtype: str = "uint8") -> Work:
    """As `variopinta`, but each result is left as it comes, an array (H, W, C): there is no batch.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images: it has uint8 only.

    Raises:
        Untranslated: When variopinta has no op of that meaning.
    """
    import variopinta as vp

    chain, mixes, notes = _chain(policy, image_dtype)
    if mixes:
        raise Untranslated("variopinta has no mixes, and there is no batch to mix")
    pipeline = vp.Pipeline(chain).compile()

    def call(images: Any, out: torch.Tensor | None) -> torch.Tensor:
        drawn = [pipeline(image) for image in images]  # all kept, as a batch is
        return torch.from_numpy(drawn[0])

    return Work(call, ARRAYS, ("arrays (H, W, C), no batch", *notes))


def _chain(policy: Policy, image_dtype: str) -> tuple[list[Any], list, tuple[str, ...]]:
    """Its transforms, the policy's mixes, and the notes."""
    import variopinta as vp

    if image_dtype != "uint8":
        raise Untranslated(f"variopinta has no images of {image_dtype}")
    per_image, mixes = split(policy)
    notes: dict[str, None] = {}
    per_image = normalized_last(per_image, notes)
    chain = [each for op in per_image for each in _translated(op, notes)]
    if not isinstance(per_image[-1], Normalize):
        chain.append(vp.Normalize(mean=0.0, std=1.0))
    return chain, mixes, tuple(notes)


def _translated(op: Op, notes: dict[str, None], p: float = 1.0) -> list[Any]:
    """One op; p: of applying it at all. notes: gets where it is another thing."""
    import variopinta as vp

    if getattr(op, "interpolation", None) == "bicubic":
        raise Untranslated("variopinta has no bicubic interpolation")
    match op:
        case Resize(size=(height, width)):
            return [vp.Resize(height, width, antialias=op.antialias)]
        case CenterCrop(size=(height, width)):
            return [vp.CenterCrop(height, width)]
        case RandomCrop(size=(height, width), padding=None, pad_if_needed=False):
            return [vp.RandomCrop(height, width)]
        case RandomCrop(size=(height, width), padding=(left, top, right, bottom)):
            if (left, top) != (right, bottom):
                raise lacks("variopinta", op)
            # Of images that have the crop's size, as those of CIFAR.
            padded = vp.PadIfNeeded(
                min_height=height + 2 * top, min_width=width + 2 * left, fill=fill_of(op)
            )
            return [padded, vp.RandomCrop(height, width)]
        case RandomResizedCrop(size=(height, width)):
            return [
                vp.RandomResizedCrop(
                    height,
                    width,
                    area_range=op.scale,
                    aspect_ratio_range=op.ratio,
                    antialias=op.antialias,
                )
            ]
        case RandomHorizontalFlip():
            return [vp.HorizontalFlip(p=p * op.p)]
        case RandomVerticalFlip():
            return [vp.VerticalFlip(p=p * op.p)]
        case RandomRotation(center=None, expand=False):
            low, high = several(op.degrees)
            turned = (-high, -low)  # its positive angles are clockwise
            return [vp.RandomRotation(degrees_range=turned, fill=fill_of(op), p=p)]
        case RandomAffine(center=None, shear=None):
            if op.antialias:
                notes["does not antialias"] = None
            return [
                vp.Affine(
                    degrees_range=several(op.degrees),
                    translate_max_fraction=op.translate or (0.0, 0.0),
                    scale_range=op.scale or (1.0, 1.0),
                    fill=fill_of(op),
                    p=p,
                )
            ]
        case RandomPerspective():
            notes["other corners in Perspective"] = None
            scale = op.distortion_scale / 2
            return [vp.Perspective(distortion_scale_range=(scale, scale), p=p * op.p)]
        case RandomBrightness(delta=(low, high)):
            notes["brightness is a factor, not a sum"] = None
            neutral = dict.fromkeys(("contrast_range", "saturation_range"), (1.0, 1.0))
            return [vp.ColorJitter(brightness_range=(1 + low, 1 + high), **neutral, p=p)]
        case ColorJitter():
            ones = (1.0, 1.0)
            return [
                vp.ColorJitter(
                    brightness_range=op.brightness or ones,
                    contrast_range=op.contrast or ones,
                    saturation_range=op.saturation or ones,
                    hue_range=op.hue or (0.0, 0.0),
                    p=p,
                )
            ]
        case RandomGrayscale():
            return [vp.Grayscale(p=p * op.p)]
        case GaussianBlur(kernel_size=kernel) if len(set(several(kernel))) == 1:
            taps = several(kernel)[0] or taps_of(op.sigma)
            return [vp.GaussianBlur(kernel_size=taps, sigma_range=several(op.sigma), p=p * op.p)]
        case GaussianNoise(mean=mean):
            limits = tuple(255 * sigma for sigma in several(op.sigma))
            means = (255 * mean, 255 * mean)
            return [vp.GaussianNoise(mean_range=means, std_range=limits, p=p * op.p)]
        case RandomAdjustSharpness(sharpness_factor=(low, high)) if low >= 1:
            notes["another sharpening"] = None
            weights = (low - 1, min(high - 1, 1.0))
            return [vp.Sharpen(blend_weight_range=weights, p=p * op.p)]
        case RandomSolarize():
            return [vp.Solarize(byte_of(op), p=p * op.p)]
        case RandomErasing(value=0, count=1):
            notes["other holes in CoarseDropout"] = None
            sides = tuple(share**0.5 for share in op.scale)  # of the same area
            return [
                vp.CoarseDropout(
                    num_holes_range=(1, 1),
                    hole_height_range=sides,
                    hole_width_range=sides,
                    p=p * op.p,
                )
            ]
        case RandomApply(transforms=(only,)):
            return _translated(only, notes, p * op.p)
        case Normalize(mean=mean, std=std):
            # It takes three numbers or one.
            means, stds = several(mean), several(std)
            one = len(set(means)) == len(set(stds)) == 1
            return [vp.Normalize(mean=means[0] if one else means, std=stds[0] if one else stds)]
    raise lacks("variopinta", op)
