"""A torchvision pipeline, of v1 or v2, as a policy.

`torchvision_steps` says what each step is in ops. Here the steps become one policy: they agree on one
sampling, and what no op does is an error, or stays as it is, unfused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..policy import ops
from ..policy.ops.op import Op
from ..policy.policy import Policy
from .torchvision_steps import (
    AUTO,
    CHOOSERS,
    CONTAINERS,
    SEQUENCES,
    SIZING,
    NoOpForStep,
    Reader,
    Request,
    Step,
    no_change,
)


def from_torchvision(
    transform: Callable[..., object] | Sequence[object], *, unfused: bool = False
) -> Policy:
    """The policy that does what a torchvision pipeline does.

    Conversions become nothing, since the engine takes bytes and writes floats in [0, 1]. They tell the
    unit of fills, thresholds and erased values: bytes until one makes floats, [0, 1] from there on. A
    pipeline that normalises and converts nothing is taken to have floats from its start. num_classes
    of MixUp and CutMix belongs to `Engine`.

    The policy differs from the pipeline in this:

    - A view is sampled once, with one interpolation: bilinear with antialiasing, or nearest
      (torchvision's nearest-exact). Where steps ask for others, that of the resizing step holds, or
      bilinear, and one UserWarning says who asked for what. The nearest that the published policies
      have by default gives way without a warning.
    - The padding_mode of a RandomCrop holds for all steps. A CenterCrop pads with the fill of the
      others.
    - A crop after a resize has other pixels along its edge, where torchvision's filter looks beyond it.
    - RandomChoice and RandomOrder choose for every sample, among mixes too.
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
    steps = list(_leaves(Step("", transform)))
    if not steps:
        raise ValueError(
            "from_torchvision: got no transforms, expected at least one. Pass a Compose or a list."
        )
    reader = Reader(floats=_begins_with_floats(steps))
    fused: list[Op] = []
    rest: list[Op] = []
    for position, step in enumerate(steps):
        # A step without an op leaves no trace: it is tried on a copy of the reader.
        trial = replace(reader, requests=[*reader.requests])
        try:
            converted = trial.convert(step)
            _check_order(step, fused, converted)
        except NoOpForStep as problem:
            if not unfused:
                raise ValueError(
                    f"from_torchvision: {problem}, expected what a policy can say. Leave it "
                    "out, or pass unfused=True to have it and all after it applied to the "
                    "finished images."
                ) from problem
            rest = [_unfused(steps[position:], reader.floats)]
            break
        reader, fused = trial, fused + converted
    for argument in ("fill", "padding_mode"):
        _check_agreement(reader.requests, argument)
    interpolation = _interpolation(reader.requests)
    if differences := _differences(reader.requests, interpolation):
        warnings.warn(f"from_torchvision: {differences}", stacklevel=2)
    fused = [_with_interpolation(op, interpolation) for op in fused]
    return Policy([*fused, *rest] or no_change())


# What the steps are.


def _leaves(step: Step) -> Iterator[Step]:
    """The steps in order, with sequences inside sequences opened."""
    if step.name in SEQUENCES:
        for child in step.children():
            yield from _leaves(child)
    elif callable(step.transform):
        yield step
    else:
        raise TypeError(
            f"from_torchvision: step {step.label or 0} is {step.transform!r}, expected a transform. Pass "
            "a Compose of torchvision's transforms, a list of them, or one."
        )


def _begins_with_floats(steps: list[Step]) -> bool:
    """Whether the first step that tells the kind of values is a Normalize, which needs floats."""
    telling = ("ConvertImageDtype", "ImageClassification", "Normalize", "ToDtype", "ToTensor")
    return next((step.name for step in steps if step.name in telling), "") == "Normalize"


def _check_order(step: Step, before: list[Op], converted: list[Op]) -> None:
    """Raise NoOpForStep if one of the step's ops cannot stand after those before it."""
    for k, op in enumerate(converted):
        for earlier in (*before, *converted[:k]):
            if earlier.stages[1] > op.stages[0]:
                raise NoOpForStep(step, f"on the image itself after {type(earlier).__name__}")


# What the steps agree on.


def _check_agreement(requests: list[Request], argument: str) -> None:
    """Raise ValueError if steps ask for different values of an argument, so that none is near."""
    first_of_value = {r.value: r for r in reversed(requests) if r.argument == argument}
    if len(first_of_value) > 1:
        first, *_, last = sorted(first_of_value.values(), key=requests.index)
        raise ValueError(
            f"from_torchvision: {first.step} has {argument}={first.value!r} and {last.step} "
            f"{last.value!r}, expected one {argument}, since a view is sampled once. Give them the "
            "same."
        )


def _interpolation(requests: list[Request]) -> str | None:
    """The interpolation of the policy; None where no step asks for one."""
    asking = [r for r in requests if r.argument == "interpolation"]
    names = {r.value for r in asking if r.step.name in SIZING} or {r.value for r in asking}
    if not names:
        return None
    return "nearest" if names == {"nearest"} else "bilinear"


def _differences(requests: list[Request], interpolation: str | None) -> str:
    """Which requests come out otherwise, and what to do; "" for none."""
    sentences = []
    unmet = [r for r in requests if r.argument == "interpolation" and r.value != interpolation]
    if unmet:
        steps = ", ".join(f"{r.step} wants {r.value}" for r in unmet)
        sentences.append(
            f"{steps}, but {interpolation} holds, since a view is sampled once. Say "
            f"interpolation={interpolation!r} there if that is right."
        )
    modes = (r for r in requests if r.argument == "padding_mode" and r.value != "constant")
    border = next(modes, None)
    fills = [str(r.step) for r in requests if r.argument == "fill"]
    if border and fills:
        sentences.append(
            f"{', '.join(fills)} would fill, but the padding_mode {border.value!r} of "
            f"{border.step} holds, since a view is sampled once. Say padding_mode='constant' to "
            "have it filled."
        )
    return " ".join(sentences)


def _with_interpolation(op: Op, interpolation: str | None) -> Op:
    """The op with the policy's interpolation. The published policies follow it anyway."""
    arguments: dict[str, Any] = {}
    if op.children:
        children = tuple(_with_interpolation(child, interpolation) for child in op.children)
        arguments = {"transforms": children}
    elif hasattr(op, "interpolation") and type(op).__name__ not in AUTO:
        arguments = {"interpolation": interpolation}
    return replace(op, **arguments) if arguments else op


# What is not fused.


def _unfused(steps: list[Step], floats: bool) -> Op:
    """The steps as they are, without those that would make tensors of tensors."""
    from torchvision.transforms import v2

    # Wrapped, since a Lambda's repr names a function without its address: it is in the fingerprint.
    pipeline: list[Any] = [] if floats else [v2.Lambda(_as_bytes)]
    tensors = True
    for step in steps:
        mix = next(
            (inner for inner in _all_inside(step) if inner.name in ("CutMix", "MixUp")), None
        )
        if mix is not None:
            raise ValueError(
                f"from_torchvision: {mix} comes after {steps[0]}, which is not fused, expected "
                "mixes before it, since what is not fused sees one image at a time. Move the mix "
                "up."
            )
        if tensors and step.name == "ToTensor":
            pipeline.append(v2.ToDtype(torch.float32, scale=True))
        elif not tensors or step.name not in CONTAINERS:
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
