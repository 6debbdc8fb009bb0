"""A torchvision pipeline, of v1 or v2, as a policy.

`torchvision_steps` says what each step is in ops, `timm_steps` those of timm; `reading` makes one policy
of them. Here is what the steps of a pipeline are, and how those are kept that no op does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ..policy import ops
from ..policy.ops.op import Op
from ..policy.policy import Policy
from .reading import read
from .timm_steps import TIMM_CONVERSIONS, TIMM_SIZING, TIMM_TELLING
from .torchvision_steps import (
    CHOOSERS,
    CONTAINERS,
    CONVERSIONS,
    SEQUENCES,
    SIZING,
    TARGETS,
    Reader,
    Step,
)

MIXES = ("CutMix", "MixUp", "timm.FastCollateMixup", "timm.Mixup")
ADVICE = (
    "Leave it out, or pass unfused=True to have it and all after it applied to the finished images."
)


def from_torchvision(
    transform: Callable[..., object] | Sequence[object], *, unfused: bool = False
) -> Policy:
    """The policy that does what a torchvision pipeline does.

    Fills, thresholds and erased values are in the units of the images that come, and in [0, 1] behind a
    conversion to floats: that stays as a `ToDtype` where such a number comes behind it, and becomes nothing
    where none does. A pipeline that normalises and converts nothing is taken to have floats from its
    start. Of a fill by type that of images is taken; that of masks is `TargetOptions(fill=)`. The engine
    has num_classes from MixUp and CutMix. Steps on boxes and keypoints alone, such as
    SanitizeBoundingBoxes, become nothing: `TargetOptions` says what becomes of those, and a UserWarning
    names its arguments where theirs are not the usual ones. FixedSizeCrop and PadIfSmaller of
    torchvision's training scripts are known too, whose modules are called transforms and v2_extras.

    The policy differs from the pipeline in this:

    - A view is sampled once, with one interpolation: bilinear or bicubic with antialiasing, or nearest
      (torchvision's nearest-exact). Where steps ask for others, that of the resizing step holds, or
      bilinear, and one UserWarning says who asked for what. The nearest that the published policies
      have by default gives way without a warning.
    - The padding_mode of a RandomCrop holds for all steps. A CenterCrop pads with the fill of the
      others.
    - A batch has one size. Where images keep sizes of their own, `PadToLargest` goes to the end.
    - A FixedSizeCrop draws a number for each axis, and a RandomIoUCrop ends when it finds no crop.
    - RandomChoice and RandomOrder choose for every sample, among mixes too.
    - A policy with FiveCrop or TenCrop is for `Views`: Views(crops=policy). Random steps before it then
      draw for each crop anew.
    - ElasticTransform, JPEG and Lambda are not fused, so that only Normalize, Grayscale, RGB and their like
      may follow. A Lambda is taken where its function is given floats.
    - The noise of RandomErasing stays within [0, 1], about mid-grey before Normalize.

    Args:
        transform: Compose, a sequence of transforms, or one transform, of torchvision.transforms or
            its v2.
        unfused: Whether the first step that no op does is kept, with all steps after it, as a `Stage`
            at the end. It calls them with one finished image after the other: a float tensor
            (C, H, W) in [0, 1], or uint8 where the pipeline had not converted yet; never a PIL image.
            The engine's dtype is then float32.

    Returns:
        The policy.

    Raises:
        ValueError: When no op does what a step does, and for steps that disagree on the fill or the
            padding_mode.
        TypeError: When `transform` is no transform.

    Example:
        >>> from torchvision.transforms import v2
        >>> pipeline = v2.Compose([v2.RandomResizedCrop(32), v2.RandomHorizontalFlip()])
        >>> policy = ae.from_torchvision(pipeline)
        >>> [type(op).__name__ for op in policy.transforms]
        ['RandomResizedCrop', 'RandomHorizontalFlip']
        >>> policy.sample(ids=range(4), sizes=[(60, 80)] * 4).shape
        (4, 3, 32, 32)
    """
    return read_pipeline("from_torchvision", transform, unfused)


def read_pipeline(where: str, transform: object, unfused: bool) -> Policy:
    """The policy of a pipeline of torchvision's and timm's transforms.

    where: the function that the user called, for messages; it calls this one.
    """
    steps = list(_leaves(where, Step("", transform)))
    if not steps:
        raise ValueError(
            f"{where}: got no transforms, expected at least one. Pass a Compose or a list."
        )
    reader = Reader(
        floats=_begins_with_floats(steps), conversions={**CONVERSIONS, **TIMM_CONVERSIONS}
    )

    def keep(rest: Sequence[Step], before: Reader) -> Op:
        return _unfused(where, rest, before.floats)

    sizing = (*SIZING, *TIMM_SIZING)
    return read(
        where,
        steps,
        reader,
        sizing,
        advice=ADVICE,
        keep=keep if unfused else None,
        stacklevel=4,  # the user's line
    )


# What the steps are.


def _leaves(where: str, step: Step) -> Iterator[Step]:
    """The steps in order, with sequences inside sequences opened."""
    if step.name in SEQUENCES:
        for child in step.children():
            yield from _leaves(where, child)
    elif callable(step.transform):
        yield step
    else:
        raise TypeError(
            f"{where}: step {step.label or 0} is {step.transform!r}, expected a transform. Pass a Compose "
            "of torchvision's transforms, a list of them, or one."
        )


def _begins_with_floats(steps: list[Step]) -> bool:
    """Whether the first step that tells the kind of values is a Normalize, which needs floats."""
    telling = (
        *("ConvertImageDtype", "ImageClassification", "Normalize", "ToDtype", "ToTensor"),
        *("ObjectDetection", "SemanticSegmentation", *TIMM_TELLING),
    )
    return next((step.name for step in steps if step.name in telling), "") == "Normalize"


# What is not fused.


def _unfused(where: str, steps: Sequence[Step], floats: bool) -> Op:
    """The steps as they are, without those that would make tensors of tensors."""
    from torchvision.transforms import v2

    # Wrapped, since a Lambda's repr names a function without its address: it is in the fingerprint.
    pipeline: list[Any] = [] if floats else [v2.Lambda(_as_bytes)]
    tensors = True
    for step in steps:
        mix = next((inner for inner in _all_inside(step) if inner.name in MIXES), None)
        if mix is not None:
            raise ValueError(
                f"{where}: {mix} comes after {steps[0]}, which is not fused, expected "
                "mixes before it, since what is not fused sees one image at a time. Move the mix "
                "up."
            )
        if tensors and step.name in ("ToTensor", "timm.MaybeToTensor"):
            pipeline.append(v2.ToDtype(torch.float32, scale=True))
        elif step.name not in TARGETS and not (tensors and step.name in CONTAINERS):
            pipeline.append(step.transform)
        tensors = tensors and step.name != "ToPILImage"
    return ops.Stage(v2.Compose([*pipeline, v2.Lambda(_as_floats)]), each=True)


def _all_inside(step: Step) -> Iterator[Step]:
    """The step, and the steps inside it."""
    yield step
    if step.name in (*SEQUENCES, *CHOOSERS):
        for child in step.children():
            yield from _all_inside(child)


def _as_bytes(image: torch.Tensor) -> torch.Tensor:
    """Floats in [0, 1] as rounded uint8; uint8 as it is."""
    return image.mul(255).round().to(torch.uint8) if image.is_floating_point() else image


def _as_floats(image: torch.Tensor) -> torch.Tensor:
    """uint8 as floats in [0, 1]; others as they are."""
    return image.to(torch.float32) / 255 if image.dtype == torch.uint8 else image
