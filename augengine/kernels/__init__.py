"""Executors: draw a plan. `execute(plan, images)` is the one way in.

cpu         numba, for CPU images
gpu         Triton, for images on a CUDA device
torch       any device, gradients with respect to the images, the readable definition
"""

from __future__ import annotations

import math
import warnings
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch

from ..plan import Plan
from .allocate import empty, explained
from .sources import Sources

CPU_EXECUTORS = ("cpu", "torch")  # those that draw CPU images
EXECUTORS = (*CPU_EXECUTORS, "gpu")


def execute(
    plan: Plan,
    images,
    *,
    out: torch.Tensor | None = None,
    executor: str | None = None,
    layout: str | None = None,
    lowered=None,
) -> torch.Tensor:
    """Draw what the plan says.

    images: the plan's B sources, as `Sources.of` takes them: a uint8 or float batch, NCHW or NHWC,
    or a list of images of different sizes. layout: "NCHW" or "NHWC", where shapes do not tell.
    out: a tensor (N, C, H, W) of the plan's dtype on the images' device, of any strides, to write
    into; reused memory is several times faster to write than fresh memory.
    executor: "cpu", "gpu" or "torch"; None takes what `choose` does. One asked for by name never
    falls back. lowered: what `gpu.lower.lower` made of this plan, so that the gpu executor need not.
    Returns `out`, or a new tensor; with gradients, always a new one.
    Raises ValueError or TypeError if the images are not those that the plan was made for, and
    torch.OutOfMemoryError with the bytes that were asked for.
    """
    if not isinstance(plan, Plan):
        raise TypeError(
            f"execute: got {type(plan).__name__}, expected a Plan first. Call execute(plan, images)."
        )
    sources = Sources.of(images, layout)
    _check_images(plan, sources)
    chosen = choose(sources.device, sources.requires_grad) if executor is None else executor
    if chosen not in EXECUTORS:
        raise ValueError(
            f"execute: got executor {executor!r}, expected one of {', '.join(EXECUTORS)}. Leave it "
            "out to have the fastest that fits."
        )
    if chosen == "cpu" and (sources.device.type != "cpu" or sources.requires_grad):
        what = "requires a gradient" if sources.requires_grad else f"is on {sources.device}"
        raise ValueError(
            f"execute: the image batch {what}, and the cpu executor reads CPU images without "
            "gradients. Pass executor='torch', or None."
        )
    if chosen == "gpu" and not has_triton():
        raise ValueError(
            "execute: triton cannot be imported, and the gpu executor is built on it. Get it with "
            "pip install triton, or pass executor='torch'."
        )
    if chosen == "gpu" and sources.requires_grad:
        raise ValueError(
            "execute: the image batch requires a gradient, and the gpu executor carries none. Pass "
            "executor='torch', or None."
        )
    what = f"a batch of {'×'.join(map(str, plan.shape))} {plan.finish.dtype}"
    size = math.prod(plan.shape) * getattr(torch, plan.finish.dtype).itemsize
    more = f" (the source images take {sources.nbytes:,})"
    with explained(what, size, sources.device, more):
        out = _checked_out(plan, sources, out)
        if chosen == "gpu":
            from .gpu.executor import draw as draw_lowered
            from .gpu.lower import lower

            return draw_lowered(lower(plan) if lowered is None else lowered, sources, out)
        if chosen == "cpu":
            from .cpu.executor import execute as draw

            return draw(plan, sources, out)
        from .reference.executor import execute as draw

        with full_precision(sources.device):
            return draw(plan, sources, out)


def full_precision(device: torch.device):
    """A context in which autocast rounds no product: what is drawn does not depend on the mode."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def choose(device: torch.device, requires_grad: bool = False) -> str:
    """The executor that `execute` takes by itself: "torch" for gradients and for devices that no
    other draws on, else "cpu" for CPU images and "gpu" for those on a CUDA device."""
    if requires_grad:
        return "torch"
    if device.type == "cuda":
        if has_triton():
            return "gpu"
        _warn_without_triton()
    return "cpu" if device.type == "cpu" else "torch"


def has_triton() -> bool:
    """Whether the gpu executor can be had."""
    return find_spec("triton") is not None


@cache
def _warn_without_triton() -> None:
    """Once: going slow is not done in silence."""
    warnings.warn(
        "augengine: triton cannot be imported, so the torch executor draws on this GPU, in many "
        "launches instead of one. Get it with pip install triton.",
        stacklevel=4,
    )


def _check_images(plan: Plan, sources: Sources) -> None:
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


def _checked_out(plan: Plan, sources: Sources, out: torch.Tensor | None) -> torch.Tensor:
    dtype = getattr(torch, plan.finish.dtype)
    if out is None:
        layout = torch.channels_last if plan.finish.channels_last else torch.contiguous_format
        return empty(plan.shape, dtype, sources.device, layout)
    if not isinstance(out, torch.Tensor):
        raise TypeError(
            f"execute: out is {type(out).__name__}, expected a tensor. Wrap an array: "
            "torch.from_numpy(array)."
        )
    if any(size > 1 and step == 0 for size, step in zip(out.shape, out.stride(), strict=True)):
        raise ValueError(
            "execute: out is expanded, so that some of its values are one, expected memory of its "
            "own for each. Pass out.clone()."
        )
    if tuple(out.shape) != plan.shape or out.dtype != dtype or out.device != sources.device:
        raise ValueError(
            f"execute: out is {tuple(out.shape)} {out.dtype} on {out.device}, the plan makes {plan.shape} "
            f"{dtype} on {sources.device}. Leave out= away to get a new tensor."
        )
    return out


__all__ = [
    "CPU_EXECUTORS",
    "EXECUTORS",
    "Sources",
    "choose",
    "execute",
    "full_precision",
    "has_triton",
]
