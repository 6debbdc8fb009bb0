"""Executors: draw a plan. `execute(plan, images)` is the one way in.

cpu         numba, for CPU images
gpu         Triton, for images on a CUDA device
torch       any device, gradients with respect to the images, the readable definition
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from ..aliases import Executor, Images, Layout
from ..decoding import Decode, DecodeOptions
from ..plan import Plan
from . import arguments
from .allocate import memory_errors_for
from .executors import CPU_EXECUTORS, EXECUTORS, choose, full_precision, has_triton
from .gpu.lower import Lowered
from .sources import EncodedSources, Sources


def execute(
    plan: Plan,
    images: Images | Sources,
    *,
    out: torch.Tensor | None = None,
    executor: Executor | None = None,
    layout: Layout | None = None,
    lowered: Lowered | None = None,
    decode: Decode | DecodeOptions | None = None,
) -> torch.Tensor:
    """Draw what the plan says: a pure function of the plan and the images.

    Args:
        plan: Plan over B sources, of N outputs.
        images: The plan's B images, as `Sources.of` takes them: a tensor (B, C, H, W), an array
            (B, H, W, C), or a list of images of different sizes, decoded or encoded. Floats are in
            [0, 1], or anywhere if the plan changes no colours. A plan of three channels reads grey
            images as three that are alike.
        out: Tensor (N, C, H, W) of the plan's dtype on the images' device, of any strides, to write
            into. Memory that is used again is several times faster to write than fresh memory. Where
            images lie in it, the batch is drawn elsewhere and then copied.
        executor: "cpu", "gpu" or "torch". The default takes what `choose` says. An executor asked
            for by name never falls back on another.
        layout: "NCHW" or "NHWC", for tensors or arrays that lie otherwise.
        lowered: This plan, lowered for the gpu executor by `gpu.lower.lower`. Others do not read it.
        decode: How encoded images are decoded; None is "scaled", and as many channels as the plan's.

    Returns:
        `out`, or a new tensor (N, C, H, W). Where the images require a gradient it is always a new
        tensor, which carries it.

    Raises:
        TypeError: When `plan` is no Plan, `out` no tensor, or an image of another dtype.
        ValueError: When the images are not those that the plan was sampled for, the executor cannot
            draw them, floats outside of [0, 1] would be cut, or `out` has another shape, dtype or device.
        DecodeError: When an image is encoded, and cannot be decoded.
        torch.OutOfMemoryError: When the device's memory runs out; it names the bytes asked for.

    Example:
        >>> images = np.full((2, 32, 48, 3), 128, np.uint8)
        >>> policy = ae.Policy([ae.RandomHorizontalFlip(), ae.RandomCrop(24)])
        >>> plan = policy.sample(ids=[0, 1], sizes=[(32, 48)] * 2)
        >>> batch = ae.execute(plan, images)
        >>> batch.shape, batch.dtype
        (torch.Size([2, 3, 24, 24]), torch.float32)
    """
    arguments.check_plan(plan)
    options = DecodeOptions.of("execute", decode)
    if decode is None or isinstance(decode, str):
        options = replace(options, mode="L" if plan.finish.channels == 1 else "RGB")
    sources = Sources.of(images, layout, options)
    if sources.channels == 1 and plan.finish.channels == 3:
        sources = sources.as_rgb()
    arguments.check_sources(plan, sources)
    if isinstance(sources, EncodedSources):
        sources, (plan,) = sources.decoded_for([plan])
        lowered = None  # that was another plan
    arguments.check_values(plan, sources)
    chosen = choose(sources.device, sources.requires_grad) if executor is None else executor
    arguments.check_executor(chosen, sources)
    with memory_errors_for(
        lambda: f"a batch of {'×'.join(map(str, plan.shape))} {plan.finish.dtype}",
        math.prod(plan.shape) * getattr(torch, plan.finish.dtype).itemsize,
        sources.device,
        lambda: f" (the source images take {sources.nbytes:,})",
    ):
        given, out = out, arguments.output(plan, sources, out)
        if not len(plan):
            return out
        if given is not None and sources.share_memory_with(given):
            # What is written first would be read afterwards.
            batch = _draw(plan, sources, arguments.output(plan, sources, None), chosen, lowered)
            return batch if batch.requires_grad else given.copy_(batch)
        return _draw(plan, sources, out, chosen, lowered)


def _draw(
    plan: Plan, sources: Sources, out: torch.Tensor, executor: Executor, lowered: Lowered | None
) -> torch.Tensor:
    """Draw by an executor, whose compiler is imported when it is first needed."""
    if executor == "cpu":
        from .cpu.executor import execute as draw

        return draw(plan, sources, out)
    if executor == "gpu":
        from .cpu.cache import load_twins
        from .gpu import executor as gpu

        load_twins()  # a card draws a batch in less than its plan takes NumPy
        return gpu.execute(plan, sources, out, lowered)
    from .reference.executor import execute as draw

    with full_precision(sources.device):
        return draw(plan, sources, out)


__all__ = [
    "CPU_EXECUTORS",
    "EXECUTORS",
    "EncodedSources",
    "Sources",
    "choose",
    "execute",
    "full_precision",
    "has_triton",
]
