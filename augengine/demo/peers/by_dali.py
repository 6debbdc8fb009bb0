"""A policy in NVIDIA DALI's pipeline on the CPU."""

from __future__ import annotations

import math
import warnings
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
    RandomAffine,
    RandomApply,
    RandomBrightness,
    RandomCrop,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
    TrivialAugmentWide,
)
from ...checks import several
from .peer import ARRAYS, ENCODED, Untranslated, Work, fill_of, lacks, mix, split

AUTO = (RandAugment, TrivialAugmentWide)


def dali(policy: Policy, image_dtype: str = "uint8") -> Work:
    """DALI's pipeline on one thread of the CPU, for arrays (H, W, C) of any sizes, fed as they are.

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images: uint8.

    Raises:
        Untranslated: When DALI has no op of that meaning on the CPU.
    """
    return _work(policy, image_dtype, ARRAYS, 1)


def dali_decoding(policy: Policy, image_dtype: str = "uint8", threads: int = 1) -> Work:
    """DALI's pipeline on the CPU, for files' bytes. A RandomResizedCrop at the start is drawn before
    decoding, and only its part of the image is decoded (`decoders.image_random_crop`).

    Args:
        policy: Policy, which is translated op by op.
        image_dtype: Dtype of the images: uint8.
        threads: Number of threads that decode and draw.

    Raises:
        Untranslated: When DALI has no op of that meaning on the CPU.
    """
    return _work(policy, image_dtype, ENCODED, threads)


def _work(policy: Policy, image_dtype: str, takes: str, threads: int) -> Work:
    import nvidia.dali as dali_package
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.auto_aug import rand_augment, trivial_augment
    from nvidia.dali.pipeline import do_not_convert

    if image_dtype != "uint8":
        raise Untranslated(f"DALI's pipeline here has no images of {image_dtype}")
    per_image, mixes = split(policy)
    notes: dict[str, None] = {}
    last = per_image[-1] if isinstance(per_image[-1], Normalize) else None
    chain = per_image[:-1] if last else per_image
    flip = _last_flip(chain)
    crop = chain[0] if takes == ENCODED and isinstance(chain[0], RandomResizedCrop) else None
    chance = flip.p if flip else 0.0
    # DALI's compiler has no match statements.
    translated, decoded, resized = map(do_not_convert, (_translated, _decoded, _resized))

    @pipeline_def(
        num_threads=threads,
        device_id=None,
        exec_async=False,
        exec_pipelined=False,
        prefetch_queue_depth=1,
        enable_conditionals=any(isinstance(op, AUTO) for op in chain),  # they are made of them
    )
    def described() -> Any:
        if takes == ARRAYS:
            images = fn.external_source(name="images", layout="HWC", dtype=types.UINT8)
        else:
            encoded = fn.external_source(name="images", dtype=types.UINT8, ndim=1)
            images = decoded(dali_package, encoded, crop)
        mirror: Any = 0
        for op in chain:
            if op is flip:
                mirror = fn.random.coin_flip(probability=chance)  # done with the normalisation
            elif op is crop:
                images = resized(dali_package, images, op)  # it is cropped already
            elif isinstance(op, RandAugment):
                images = rand_augment.rand_augment(
                    images, op.num_ops, int(op.magnitude), op.num_magnitude_bins
                )
            elif isinstance(op, TrivialAugmentWide):
                images = trivial_augment.trivial_augment_wide(images, op.num_magnitude_bins)
            else:
                images = translated(dali_package, images, op, notes)
        mean, std = (last.mean, last.std) if last else ((0.0,), (1.0,))
        return fn.crop_mirror_normalize(
            images,
            dtype=types.FLOAT,
            output_layout="CHW",
            mean=[255 * m for m in several(mean)],
            std=[255 * s for s in several(std)],
            mirror=mirror,
        )

    def built_for(count: int) -> Any:
        with warnings.catch_warnings():  # its own published policies use what it calls deprecated
            warnings.simplefilter("ignore")
            pipeline = described(batch_size=count)
            pipeline.build()
        return pipeline

    # For a batch's size when it is known, and once here, for what DALI has not.
    built = {1: built_for(1)}

    def call(images: Any, out: torch.Tensor | None) -> torch.Tensor:
        if len(images) not in built:
            built[len(images)] = built_for(len(images))
        pipeline = built[len(images)]
        if takes == ENCODED:
            images = [np.frombuffer(data, np.uint8) for data in images]
        pipeline.feed_input("images", list(images))
        (drawn,) = pipeline.run()
        batch = torch.from_numpy(np.asarray(drawn.as_tensor()))
        return mix(batch.clone() if out is None else out.copy_(batch), mixes)

    return Work(call, takes, tuple(notes))


def _last_flip(chain: list[Op]) -> RandomHorizontalFlip | None:
    """The flip at the end, or the one after which only colours of each pixel come."""
    colours = (RandomBrightness, ColorJitter, RandomGrayscale, RandomApply, GaussianNoise)
    for op in reversed(chain):
        if isinstance(op, RandomHorizontalFlip):
            return op
        if not isinstance(op, colours):
            return None
    return None


def _decoded(dali_package: Any, encoded: Any, crop: RandomResizedCrop | None) -> Any:
    """The images of files' bytes; with a crop only its part of each."""
    decoders, rgb = dali_package.fn.decoders, dali_package.types.RGB
    if crop is None:
        return decoders.image(encoded, device="cpu", output_type=rgb)
    return decoders.image_random_crop(
        encoded,
        device="cpu",
        output_type=rgb,
        random_area=crop.scale,
        random_aspect_ratio=crop.ratio,
    )


def _resized(dali_package: Any, images: Any, op: RandomResizedCrop) -> Any:
    """Images at an op's size."""
    types = dali_package.types
    filtered = types.INTERP_CUBIC if op.interpolation == "bicubic" else types.INTERP_LINEAR
    return dali_package.fn.resize(
        images, size=op.size, interp_type=filtered, antialias=op.antialias
    )


def _translated(dali_package: Any, images: Any, op: Op, notes: dict[str, None]) -> Any:
    """The images after one op. notes: gets where it is another thing."""
    fn, types = dali_package.fn, dali_package.types

    def between(low: float, high: float) -> Any:
        return fn.random.uniform(range=(low, high)) if low < high else low

    def sometimes(changed: Any, p: float) -> Any:
        if p == 1:
            return changed
        # Both are worked out: a mask of one sample chooses between them.
        chosen = fn.cast(fn.random.coin_flip(probability=p), dtype=types.UINT8)
        return changed * chosen + images * (types.Constant(1, dtype=types.UINT8) - chosen)

    cubic = getattr(op, "interpolation", None) == "bicubic"
    filtered = types.INTERP_CUBIC if cubic else types.INTERP_LINEAR
    match op:
        case RandomResizedCrop():
            return fn.random_resized_crop(
                images,
                size=op.size,
                random_area=op.scale,
                random_aspect_ratio=op.ratio,
                interp_type=filtered,
                antialias=op.antialias,
            )
        case Resize(size=(height, width)):
            return fn.resize(
                images, size=(height, width), interp_type=filtered, antialias=op.antialias
            )
        case Resize(size=int(shorter), max_size=None):
            return fn.resize(
                images, resize_shorter=shorter, interp_type=filtered, antialias=op.antialias
            )
        case CenterCrop(size=size):
            return fn.crop(images, crop=size)
        case RandomCrop(size=size, padding=None, pad_if_needed=False):
            return fn.crop(images, crop=size, crop_pos_x=between(0, 1), crop_pos_y=between(0, 1))
        case RandomHorizontalFlip():
            return fn.flip(images, horizontal=fn.random.coin_flip(probability=op.p))
        case RandomVerticalFlip():
            return fn.flip(images, horizontal=0, vertical=fn.random.coin_flip(probability=op.p))
        case RandomRotation(center=None, expand=False):
            return fn.rotate(
                images,
                angle=between(*several(op.degrees)),
                keep_size=True,
                interp_type=filtered,
                fill_value=fill_of(op),
            )
        case RandomAffine(center=None, shear=None):
            if op.antialias:
                notes["does not antialias"] = None
            # About the middle of an image whose size is known only as it comes.
            size = fn.cast(fn.slice(images.shape(), 0, 2, axes=[0]), dtype=types.FLOAT)
            middle = fn.stack(size[1], size[0]) / 2
            shift = op.translate or (0, 0)
            shares = fn.stack(between(-shift[0], shift[0]), between(-shift[1], shift[1]))
            scale = between(*(op.scale or (1, 1)))
            matrix = fn.transforms.scale(scale=fn.stack(scale, scale), center=middle)
            matrix = fn.transforms.rotation(
                matrix, angle=between(*several(op.degrees)), center=middle
            )
            matrix = fn.transforms.translation(matrix, offset=2 * shares * middle)
            return fn.warp_affine(
                images,
                matrix=matrix,
                inverse_map=False,
                interp_type=filtered,
                fill_value=fill_of(op),
            )
        case RandomBrightness(delta=(low, high)):
            return fn.brightness(images, brightness_shift=between(low, high))
        case ColorJitter():
            return _jittered(dali_package, images, op, between, notes)
        case RandomApply(transforms=(ColorJitter() as jitter,), p=p):
            return sometimes(_jittered(dali_package, images, jitter, between, notes), p)
        case RandomGrayscale():
            grey = fn.random.coin_flip(probability=op.p)
            return fn.saturation(images, saturation=fn.cast(1 - grey, dtype=types.FLOAT))
        case GaussianBlur(kernel_size=kernel):
            windows = {} if kernel is None else {"window_size": list(several(kernel))}
            return sometimes(
                fn.gaussian_blur(images, sigma=between(*several(op.sigma)), **windows), op.p
            )
        case GaussianNoise(mean=mean):
            sigma = between(*(255 * s for s in several(op.sigma)))
            return sometimes(fn.noise.gaussian(images, mean=255 * mean, stddev=sigma), op.p)
        case RandomErasing(value=0, count=1, p=1):
            notes["other holes in erase"] = None
            sides = [math.sqrt(share) for share in op.scale]  # of the same area
            return fn.erase(
                images,
                axis_names="HW",
                normalized=True,
                anchor=fn.random.uniform(range=(0.0, 1 - sides[0]), shape=(2,)),
                shape=fn.random.uniform(range=(sides[0], sides[1]), shape=(2,)),
            )
    raise lacks("DALI", op)


def _jittered(
    dali_package: Any, images: Any, op: ColorJitter, between: Any, notes: dict[str, None]
) -> Any:
    notes["one order of the jitter's steps, hue by a matrix, contrast about middle grey"] = None
    ones, zeros = (1.0, 1.0), (0.0, 0.0)
    return dali_package.fn.color_twist(
        images,
        brightness=between(*several(op.brightness or ones)),
        contrast=between(*several(op.contrast or ones)),
        saturation=between(*several(op.saturation or ones)),
        hue=between(*(360 * turn for turn in several(op.hue or zeros))),
    )
