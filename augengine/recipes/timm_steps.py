"""timm's transforms, one by one: `TIMM_CONVERSIONS` says what each class of timm.data is in ops.

timm is looked at and not run, as torchvision is in `torchvision_steps`. Some of its classes have the
names of torchvision's, so theirs begin with "timm." here.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ..policy import ops
from ..policy.ops.auto import TIMM_LEVELS
from ..policy.ops.op import Op
from ..policy.ops.spaces import AUTO_AUGMENT_POLICIES, TIMM, TIMM_AUG_MIX, TIMM_CHOICES
from .timm_strings import UNIFORM, noise_within
from .torchvision_steps import Conversion, NoOpForStep, Reader, Step

# The steps whose interpolation holds, and those that tell what the values are.
TIMM_SIZING = ("timm.RandomResizedCropAndInterpolation", "timm.ResizeKeepRatio")
TIMM_TELLING = ("timm.MaybeToTensor", "timm.ToTensor")
TRANSLATES = 0.45  # of the size, as the operations of timm's dialect do here
MIX_TRANSLATES = 0.3  # those of AugMix


# Sizes


def _resized_crop(reader: Reader, step: Step) -> list[Op]:
    crop = step.transform
    reader.request_interpolation(step, crop.interpolation)
    return [ops.RandomResizedCrop(crop.size, crop.scale, crop.ratio)]


def _resize_keep_ratio(reader: Reader, step: Step) -> list[Op]:
    """Its longest=0 covers the size, 1 fits into it. It rounds the other edge, which is cut here."""
    resize = step.transform
    if resize.random_scale_prob or resize.random_aspect_prob:
        raise NoOpForStep(step, "that scales or stretches at random")
    reader.request_interpolation(step, resize.interpolation)
    height, width = resize.size
    if resize.longest == 1:
        return [ops.ScaleJitter((width, height), (1, 1))]
    if resize.longest == 0 and height == width:
        return [ops.Resize(height)]
    raise NoOpForStep(
        step, f"that resizes to {height}×{width} by both edges (longest={resize.longest:g})"
    )


def _center_crop_or_pad(reader: Reader, step: Step) -> list[Op]:
    crop = ops.CenterCrop(step.transform.size)
    if step.transform.padding_mode == "constant":
        return [ops.CenterCrop(step.transform.size, reader.request_fill(step, step.transform.fill))]
    # A crop names no border; a pad of nothing names it for the policy.
    return [ops.Pad(0, **reader.request_border(step)), crop]


def _random_crop_or_pad(reader: Reader, step: Step) -> list[Op]:
    return [
        ops.RandomCrop(step.transform.size, pad_if_needed=True, **reader.request_border(step)),
    ]


# Values


def _maybe_to_tensor(reader: Reader, step: Step) -> list[Op]:
    return reader.cast(step, torch.float32, True)


def _to_tensor(reader: Reader, step: Step) -> list[Op]:
    return reader.cast(step, step.transform.dtype, False)


def _random_erasing(reader: Reader, step: Step) -> list[Op]:
    erasing = step.transform
    if erasing.num_splits > 1:
        raise NoOpForStep(step, f"that leaves one of {erasing.num_splits} parts of a batch alone")
    low, high = erasing.log_aspect_ratio
    count = erasing.min_count, erasing.max_count
    return [
        ops.RandomErasing(
            erasing.probability,
            (erasing.min_area, erasing.max_area),
            (math.exp(low), math.exp(high)),
            "random" if erasing.per_pixel else "color" if erasing.rand_color else 0.0,
            count=count if len({*count}) > 1 else count[0],
        )
    ]


# Published policies


def _alike(step: Step, operations: list[Any], *names: str) -> list[Any]:
    """The one value of each attribute that operations share, or NoOpForStep."""
    values = []
    for name in names:
        found = {getattr(operation, name) for operation in operations}
        if len(found) != 1:
            raise NoOpForStep(step, f"whose operations have different values of {name}")
        values.append(found.pop())
    return values


def _colour_and_sampling(
    reader: Reader, step: Step, operations: list[Any], shares: float
) -> float | tuple[float, ...]:
    """The fill of operations that have one; their interpolation is noted. shares: how far a relative
    translation goes here."""
    first = operations[0]
    if any(operation.kwargs != first.kwargs for operation in operations):
        raise NoOpForStep(step, "whose operations have different fills or interpolations")
    moving = [operation for operation in operations if operation.name.startswith("Translate")]
    goes = {operation.hparams.get("translate_pct", TRANSLATES) for operation in moving}
    if goes - {shares}:
        reader.differences.append(
            f"{step} translates by {max(goes):g} of the size, here by {shares:g}"
        )
    reader.request_interpolation(step, first.kwargs["resample"])
    return reader.request_fill(step, first.kwargs["fillcolor"])


def _rand_augment(reader: Reader, step: Step) -> list[Op]:
    rand = step.transform
    names = [operation.name for operation in rand.ops]
    if unknown := [name for name in names if name not in TIMM]:
        raise NoOpForStep(step, f"with the operation {unknown[0]}, which augengine does not have")
    p, magnitude, std, most = _alike(
        step, rand.ops, "prob", "magnitude", "magnitude_std", "magnitude_max"
    )
    most = most or TIMM_LEVELS
    std = UNIFORM + 1 if math.isinf(std) else std
    noise = noise_within(magnitude, std, most)
    if noise is None:
        raise NoOpForStep(step, f"of magnitude {magnitude} above {most} with noise that matters")
    chosen: dict[str, Any] = {"choices": None, "increasing": False, "weights": None}
    if rand.choice_weights is not None:
        weights = dict(zip(names, map(float, rand.choice_weights), strict=True))
        chosen["weights"] = weights
        for name in ("3aw", "weights"):
            known, total = TIMM_CHOICES[name], sum(TIMM_CHOICES[name].values())
            if known.keys() == weights.keys() and all(
                math.isclose(known[each] / total, weights[each]) for each in known
            ):
                chosen.update(choices=name, weights=None)
    elif names == [*TIMM_CHOICES["increasing"]]:
        chosen["increasing"] = True
    elif names == [*TIMM_CHOICES["3a"]]:
        chosen["choices"] = "3a"
    elif names != [*TIMM_CHOICES["rand"]]:
        raise NoOpForStep(step, "with operations of its own choice, drawn with replacement")
    fill = _colour_and_sampling(reader, step, rand.ops, TRANSLATES)
    return [
        ops.RandAugment(
            rand.num_layers,
            min(magnitude, most),
            fill=fill,
            dialect="timm",
            p=p,
            magnitude_std=noise,
            max_magnitude=None if most == TIMM_LEVELS else most,
            **chosen,
        )
    ]


def _auto_augment(reader: Reader, step: Step) -> list[Op]:
    table = [
        [(operation.name, operation.prob, operation.magnitude) for operation in sub]
        for sub in step.transform.policy
    ]
    operations = [operation for sub in step.transform.policy for operation in sub]
    (std,) = _alike(step, operations, "magnitude_std")
    if table == THREE_AUGMENT:
        if std:
            raise NoOpForStep(step, "with noise on the magnitudes of 3-Augment")
        return [ops.ThreeAugment()]
    # Ours have level 0 where an operation has no magnitude.
    table = [
        [(name, p, level if name in TIMM and TIMM[name].value else 0) for name, p, level in sub]
        for sub in table
    ]
    for name, known in AUTO_AUGMENT_POLICIES["timm"].items():
        if [[*sub] for sub in known] == table:
            if std > UNIFORM:
                raise NoOpForStep(step, f"with a spread of {std:g} levels")
            fill = _colour_and_sampling(reader, step, operations, TRANSLATES)
            return [ops.AutoAugment(name, fill=fill, dialect="timm", magnitude_std=std)]
    raise NoOpForStep(step, "with a table of its own")


THREE_AUGMENT = [
    [("Solarize", 1.0, 5)],
    [("Desaturate", 1.0, 10)],
    [("GaussianBlurRand", 1.0, 10)],
]


def _aug_mix(reader: Reader, step: Step) -> list[Op]:
    mix = step.transform
    if mix.blended:
        raise NoOpForStep(step, "that blends its chains one after the other (blended=True)")
    if [operation.name for operation in mix.ops] != [*TIMM_AUG_MIX]:
        raise NoOpForStep(step, "with operations of its own choice")
    p, severity, std = _alike(step, mix.ops, "prob", "magnitude", "magnitude_std")
    if p != 1 or not math.isinf(std):
        raise NoOpForStep(step, "whose levels are not uniform, or that leaves operations out")
    fill = _colour_and_sampling(reader, step, mix.ops, MIX_TRANSLATES)
    depth = mix.depth if mix.depth > 0 else -1
    return [ops.AugMix(severity, mix.width, depth, mix.alpha, fill=fill, dialect="timm")]


# Mixes


def _mixup(reader: Reader, step: Step) -> list[Op]:
    mix = step.transform
    if mix.cutmix_minmax is not None:
        raise NoOpForStep(step, "whose boxes have sides between two shares (cutmix_minmax)")
    if not mix.correct_lam and mix.cutmix_alpha > 0:
        raise NoOpForStep(step, "whose labels do not follow a cut box (correct_lam=False)")
    if getattr(mix, "multi_label", False):
        raise NoOpForStep(step, "that smooths towards one half (multi_label=True)")
    if mix.mode == "pair":
        reader.differences.append(
            f"{step} gives the two samples of a pair one λ and box (mode='pair'), here each has its own"
        )
    if mix.label_smoothing:
        reader.differences.append(
            f"{step} smooths labels, which is the engine's part: pass num_classes={mix.num_classes} "
            f"and label_smoothing={mix.label_smoothing:g} there"
        )
    same = mix.mode == "batch"
    if mix.mixup_alpha > 0 and mix.cutmix_alpha > 0:
        return [
            ops.MixUpOrCutMix(
                mix.mixup_alpha, mix.cutmix_alpha, mix.switch_prob, mix.mix_prob, same
            )
        ]
    if mix.cutmix_alpha > 0:
        return [ops.CutMix(mix.cutmix_alpha, mix.mix_prob, same)]
    if mix.mixup_alpha > 0:
        return [ops.MixUp(mix.mixup_alpha, mix.mix_prob, same)]
    raise NoOpForStep(step, "with neither MixUp nor CutMix (both alphas are 0)")


def _nothing(reader: Reader, step: Step) -> list[Op]:
    return []


# "timm." and the name of timm's class → the function that converts a step of that class.
TIMM_CONVERSIONS: dict[str, Conversion] = {
    "timm.AugMixAugment": _aug_mix,
    "timm.AutoAugment": _auto_augment,
    "timm.CenterCropOrPad": _center_crop_or_pad,
    "timm.FastCollateMixup": _mixup,
    "timm.MaybePILToTensor": _nothing,
    "timm.MaybeToTensor": _maybe_to_tensor,
    "timm.Mixup": _mixup,
    "timm.RandAugment": _rand_augment,
    "timm.RandomCropOrPad": _random_crop_or_pad,
    "timm.RandomErasing": _random_erasing,
    "timm.RandomResizedCropAndInterpolation": _resized_crop,
    "timm.ResizeKeepRatio": _resize_keep_ratio,
    "timm.ToNumpy": _nothing,
    "timm.ToTensor": _to_tensor,
}
