"""The GPU executor: a plan goes up in one copy and is drawn in one launch.

Views that are blurred or sharpened are drawn first, and statistics measured first; only plans that
drew such a thing pay for it. CPU tensors are drawn by Triton's interpreter, for tests.
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext

import numpy as np
import torch
import triton
import triton.language as tl

from ..plan import Plan
from .filter import apply
from .filtered import with_filtered
from .gpu_draw import draw_in_fours, draw_one_by_one
from .gpu_names import INTERPRETED
from .gpu_statistics import measured
from .gpu_tables import packed, point, traits
from .sources import Sources
from .statistics import completed

# A tile is a program of four warps: four pixels for each thread.
WARPS = 4
TILES = ((4, 128), (8, 64), (16, 32))
# To the interpreter each program is a dear one, so it has larger tiles, and the same for all widths.
TILE = (64, 64) if INTERPRETED else None
# Along the grid's last axis, that of the outputs; a larger batch takes another launch.
MOST_PROGRAMS = 65535
SOURCE_TYPES = {
    torch.uint8: tl.uint8,
    torch.float32: tl.float32,
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
}
# Contraction would move a point across an edge that other executors see on its other side.
OPTIONS = {"num_warps": WARPS, "enable_fp_fusion": False}

done: Counter[str] = Counter()  # "launch" and "copy": what executing has cost so far


def execute(plan: Plan, sources: Sources, out: torch.Tensor) -> torch.Tensor:
    """Draw the plan into `out`, a CUDA tensor of any strides, and return it. Nothing waits for the
    device, unless the plan holds statistics."""
    if not INTERPRETED and sources.device.type != "cuda":
        raise ValueError(
            f"execute: the image batch is on {sources.device}, and the gpu executor draws on CUDA "
            "devices. Pass images.cuda(), or executor=None."
        )
    plan, sources = with_filtered(plan, sources, execute, apply)
    if not len(plan):
        return out
    channels = plan.finish.channels
    address, stride, _ = sources.pointers()
    far = max(extent(sources.sizes, stride), extent([plan.finish.size], [out.stride()[2:]]))
    how = {
        "SOURCE": SOURCE_TYPES[sources.dtype],
        "CHANNELS": channels,
        "PACKED": bool((stride[:, 1:] == [channels, 1]).all()),
        "FAR": far >= 2**31,
        **OPTIONS,
    }
    on_gpu = sources.device.type == "cuda"
    with torch.cuda.device(sources.device) if on_gpu else nullcontext():
        plan = completed(
            plan,
            lambda steps, views, step: measured(
                plan, steps, views, step, sources.device, (address, stride), how, _count
            ),
            byte=sources.dtype == torch.uint8,
        )
        host, tables = packed(plan, pin=on_gpu)
        point(host, tables["images"], plan.source, address, stride)
        buffer = host.to(sources.device, non_blocking=True)
        _count("copy")
        _draw(plan, [table.of(buffer) for table in tables.values()], how, out)
    return out


def _draw(plan: Plan, arguments, how, out: torch.Tensor) -> None:
    height, width = plan.finish.size
    has = traits(plan)
    block_h, block_w = tile_for(width)
    draw = draw_one_by_one if has.wide or has.steps else draw_in_fours
    planes = 1 if plan.finish.channels == 3 else plan.finish.channels
    several = MOST_PROGRAMS // planes
    for first in range(0, len(plan), several):
        count = min(several, len(plan) - first)
        grid = (triton.cdiv(width, block_w), triton.cdiv(height, block_h), count * planes)
        draw[grid](
            out, *arguments,
            first, plan.view.shape[1], plan.step_kind.shape[1], height, width, *out.stride(),
            PROJECTIVE=has.projective, WIDE=has.wide, BORDERS=has.borders, STEPS=has.steps,
            LAYERS=has.layers, BLOCK_H=block_h, BLOCK_W=block_w, **how,
        )  # fmt: skip
        _count("launch")


def _count(what: str) -> None:
    done[what] += 1


def tile_for(width: int) -> tuple[int, int]:
    """Rows and columns of a tile: the widest that leaves the fewest of its columns empty."""
    return TILE or min(TILES, key=lambda tile: triton.cdiv(width, tile[1]) * tile[1])


def extent(sizes, strides) -> int:
    """How many values the largest plane spans, from heights and widths and strides along those."""
    strides = np.asarray(strides, np.int64)[:, :2]
    return int((np.asarray(sizes, np.int64) * strides).sum(axis=1).max())
