"""The checks of what `execute` is given, at its door and nowhere behind it."""

from __future__ import annotations

import numpy as np
import torch

from ..aliases import Executor
from ..plan import Plan
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
    different = np.flatnonzero((sources.sizes != plan.sizes).any(axis=1))
    if len(different):
        i = different[0]
        (h, w), (h2, w2) = sources.sizes[i], plan.sizes[i]
        raise ValueError(
            f"execute: image {i} is {h}×{w}, the plan was made for {h2}×{w2} there. Pass the images in "
            "the plan's order, or sample a plan for these sizes."
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
