"""The checks of what `execute` is given, at its door and nowhere behind it."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from ..aliases import Executor
from ..checks import all_true
from ..plan import Plan
from ..plan.kinds import FILTER_KIND, NO_FILTER, NO_STATISTIC, NONE
from .allocate import empty
from .executors import EXECUTORS, has_triton
from .sources import Sources


def check_plan(plan: Plan) -> None:
    """Raise TypeError for what is no plan: the images, most often, given first."""
    if not isinstance(plan, Plan):
        raise TypeError(
            f"execute: got {type(plan).__name__}, expected a Plan first. Call execute(plan, images)."
        )


def check_sources(plan: Plan, sources: Sources) -> None:
    """Raise ValueError for images that are not those that the plan was sampled for."""
    if len(sources) != len(plan.ids):
        fewer = f", or pass images[:{len(plan.ids)}]" if len(sources) > len(plan.ids) else ""
        raise ValueError(
            f"execute: the plan has {len(plan.ids)} sources, {len(sources)} images came. Sample a plan "
            f"for {len(sources)} ids{fewer}."
        )
    if sources.channels != plan.finish.channels:
        raise ValueError(
            f"execute: the plan is for {plan.finish.channels} channel(s), the images have "
            f"{sources.channels}. Sample the plan with channels={sources.channels}."
        )
    if not all_true(sources.sizes == plan.sizes):
        i = np.flatnonzero((sources.sizes != plan.sizes).any(axis=1))[0]
        (h, w), (h2, w2) = sources.sizes[i], plan.sizes[i]
        raise ValueError(
            f"execute: image {i} is {h}×{w}, the plan was made for {h2}×{w2} there. Pass the images in "
            "the plan's order, or sample a plan for these sizes."
        )


HAIR = (
    2.0**-10
)  # what values may lie outside of [0, 1] by: a quarter of a byte's step, as roundings do
_MOST_BYTE = 255


def check_values(plan: Plan, sources: Sources) -> None:
    """Raise ValueError for floats outside of [0, 1] where the plan would cut them; warn of bytes as floats
    that a mean of [0, 1] is taken from."""
    if sources.low >= -HAIR and sources.high <= 1 + HAIR:
        return
    came = f"got float values from {sources.low:g} to {sources.high:g}"
    shows = (plan.clip[:, :2] < plan.clip[:, 2:]).all(
        axis=1
    )  # an erased box's noise shows no image
    steps = (plan.step_kind[shows] != NONE) | (plan.statistic[shows] != NO_STATISTIC)
    cuts = "changes colours or blurs"
    if plan.finish.dtype == "uint8":
        cuts = "makes bytes"
    elif not steps.any() and not (plan.filter[:, FILTER_KIND] != NO_FILTER).any():
        looks_like_bytes = 0 <= sources.low and 2 < sources.high <= _MOST_BYTE
        if looks_like_bytes and plan.finish.mean and max(map(abs, plan.finish.mean)) <= 1:
            warnings.warn(
                f"augengine: {came}, and a Normalize whose means are of values in [0, 1]: they are taken as "
                "they are. If they are bytes, divide by 255.",
                stacklevel=3,
            )
        return
    raise ValueError(
        f"images: {came}, expected [0, 1], since the plan {cuts}, which cuts values there. Divide by the "
        "number that is white, such as 255, or leave out what does; normalised images come out "
        "of the engine, not into it."
    )


def check_executor(executor: Executor, sources: Sources) -> None:
    """Raise ValueError for an executor that cannot draw these images: none asked for by name falls
    back on another."""
    if executor not in EXECUTORS:
        raise ValueError(
            f"execute: got executor {executor!r}, expected one of {', '.join(EXECUTORS)}. Leave it "
            "out to have the fastest that fits."
        )
    if executor == "cpu" and (sources.device.type != "cpu" or sources.requires_grad):
        reason = "requires a gradient" if sources.requires_grad else f"is on {sources.device}"
        raise ValueError(
            f"execute: the image batch {reason}, and the cpu executor reads CPU images without "
            "gradients. Pass executor='torch', or None."
        )
    if executor == "gpu" and not has_triton():
        raise ValueError(
            "execute: triton cannot be imported, and the gpu executor is built on it. Get it with "
            "pip install triton, or pass executor='torch'."
        )
    if executor == "gpu" and sources.requires_grad:
        raise ValueError(
            "execute: the image batch requires a gradient, and the gpu executor carries none. Pass "
            "executor='torch', or None."
        )


def _overlaps_itself(tensor: torch.Tensor) -> bool:
    """Whether two values of a tensor may share memory: along each dimension one step must pass all that
    the dimensions of smaller steps span."""
    if tensor.is_contiguous():
        return False
    span = 1
    for step, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if step < span:
                return True
            span += step * (size - 1)
    return False


def output(plan: Plan, sources: Sources, out: torch.Tensor | None) -> torch.Tensor:
    """The tensor to write into: `out`, checked, or a new one in the plan's layout."""
    dtype = getattr(torch, plan.finish.dtype)
    if out is None:
        layout = torch.channels_last if plan.finish.channels_last else torch.contiguous_format
        return empty(plan.shape, dtype, sources.device, layout)
    if not isinstance(out, torch.Tensor):
        raise TypeError(
            f"execute: out is {type(out).__name__}, expected a tensor. Wrap an array: "
            "torch.from_numpy(array)."
        )
    if _overlaps_itself(out):
        raise ValueError(
            f"execute: out is expanded, or overlaps itself otherwise (its strides are {out.stride()}), so that "
            "some of its values are one, expected memory of its own for each. Pass out.clone()."
        )
    if out.data_ptr() % out.element_size():
        raise ValueError(
            f"execute: out begins at an address that is no multiple of its {out.element_size()} bytes a "
            "value, expected one. Leave out= away to get a new tensor."
        )
    if out.requires_grad and out.is_leaf:
        raise ValueError(
            "execute: out is a leaf that requires a gradient, which torch lets nobody write, expected "
            "plain memory. Pass out.detach(), or leave out= away."
        )
    if tuple(out.shape) != plan.shape or out.dtype != dtype or out.device != sources.device:
        raise ValueError(
            f"execute: out is {tuple(out.shape)} {out.dtype} on {out.device}, the plan makes {plan.shape} "
            f"{dtype} on {sources.device}. Leave out= away to get a new tensor."
        )
    return out
