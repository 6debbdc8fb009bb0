"""Means, ranges and histograms of view windows, in Triton: one launch for all views of a step."""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl

from ..plan import GREY, MEAN, NONE, RANGE
from . import gpu_tables as tables
from .gpu_draw import coloured, index_of, pixel, stride_of, whole_at
from .gpu_names import INTERPRETED, constant, curve_entry, from_byte
from .reference import window_pixels
from .statistics import Measured

# Programs that share a view, and pixels that each takes at a time. What they find is put together in
# their order and not by atomic sums of floats, so that no bit depends on which came first.
SHARES, BLOCK = (1, 4096) if INTERPRETED else (16, 512)

IS_MEAN, IS_RANGE = constant(MEAN), constant(RANGE)
NO_STEP, STEP_WORDS = constant(NONE), constant(tables.STEP_WORDS)
KIND_AT, ARG_AT = constant(tables.KIND_AT), constant(tables.ARG_AT)
RED, GREEN, BLUE = (constant(weight) for weight in GREY)
INFINITY = constant(float("inf"))


@triton.jit(do_not_specialize=["step_count"])
def measure(
    sums, limits, counts, images, windows, steps, curves, step_count,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
    STEPS: tl.constexpr, SHARE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A program: one share of one view's window (of one channel, if they are not RGB).

    sums [n, shares, planes], limits [n, shares, C, 2] and counts [n, C, 256] int32 ← what the view's
    statistic asks for, after its `step_count` steps. windows [n, 5]: y0, x0, y1, x1 in whole pixels
    and the statistic. steps, curves, images: as `draw` reads them, of these views.
    """
    RGB: tl.constexpr = CHANNELS == 3
    i, share, channel = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    window, image = windows + i * 5, images + i * 4
    y0, x0 = whole_at(window), whole_at(window + 1)
    wide = whole_at(window + 3) - x0
    count = (whole_at(window + 2) - y0) * wide
    which = whole_at(window + 4)
    base = tl.load(image).to(tl.pointer_type(SOURCE))
    stride_y = stride_of(image + 1, FAR)
    stride_x = CHANNELS if PACKED else stride_of(image + 2, FAR)
    stride_c = 1 if PACKED else stride_of(image + 3, FAR)
    if not RGB:
        base += channel.to(tl.int64) * stride_c

    total = tl.zeros([BLOCK], tl.float32)
    low_r = tl.full([BLOCK], INFINITY, tl.float32)
    low_g, low_b = low_r, low_r
    high_r, high_g, high_b = -low_r, -low_r, -low_r
    bins_r = tl.zeros([256], tl.int32)
    bins_g, bins_b = bins_r, bins_r
    for begin in range(share * BLOCK, count, SHARE * BLOCK):
        number = begin + tl.arange(0, BLOCK)
        there = number < count
        # Beyond the end: the first pixel, which is not counted.
        number = tl.where(there, number, 0)
        y, x = y0 + number // wide, x0 + number % wide
        address = base + (index_of(y, FAR) * stride_y + index_of(x, FAR) * stride_x)
        r, g, b = pixel(address, stride_c, RGB)
        if SOURCE == tl.uint8:
            r, g, b = from_byte(r), from_byte(g), from_byte(b)
        if STEPS:
            for s in range(step_count):
                step = steps + (i * step_count + s) * STEP_WORDS
                kind = whole_at(step + KIND_AT)
                if kind != NO_STEP:
                    r, g, b = coloured(
                        r, g, b, kind, step + ARG_AT, curves, number.to(tl.uint32), channel, RGB
                    )
        if which == IS_MEAN:
            grey = r
            if RGB:
                grey = r * RED + g * GREEN + b * BLUE
            total += tl.where(there, grey, 0.0)
        elif which == IS_RANGE:
            low_r = tl.minimum(low_r, tl.where(there, r, INFINITY))
            high_r = tl.maximum(high_r, tl.where(there, r, -INFINITY))
            if RGB:
                low_g = tl.minimum(low_g, tl.where(there, g, INFINITY))
                high_g = tl.maximum(high_g, tl.where(there, g, -INFINITY))
                low_b = tl.minimum(low_b, tl.where(there, b, INFINITY))
                high_b = tl.maximum(high_b, tl.where(there, b, -INFINITY))
        else:
            bins_r += tl.histogram(curve_entry(r).to(tl.int32), 256, mask=there)
            if RGB:
                bins_g += tl.histogram(curve_entry(g).to(tl.int32), 256, mask=there)
                bins_b += tl.histogram(curve_entry(b).to(tl.int32), 256, mask=there)

    at = i * SHARE + share
    if which == IS_MEAN:
        tl.store(sums + at * (1 if RGB else CHANNELS) + channel, tl.sum(total))
    elif which == IS_RANGE:
        limit = limits + (at * CHANNELS + channel) * 2
        tl.store(limit, tl.min(low_r))
        tl.store(limit + 1, tl.max(high_r))
        if RGB:
            tl.store(limit + 2, tl.min(low_g))
            tl.store(limit + 3, tl.max(high_g))
            tl.store(limit + 4, tl.min(low_b))
            tl.store(limit + 5, tl.max(high_b))
    else:
        bins = counts + (i * CHANNELS + channel) * 256 + tl.arange(0, 256)
        tl.atomic_add(bins, bins_r)
        if RGB:
            tl.atomic_add(bins + 256, bins_g)
            tl.atomic_add(bins + 512, bins_b)


def uploaded(plan, steps, views, step, address, stride, pin):
    """(buffer, tables): what `measure` reads of these views; steps: a plan's, as far as completed."""
    n = len(views)
    source = plan.source[views]
    shapes = {"images": (n, 4), "windows": (n, 5), "steps": (n, step, tables.STEP_WORDS)}
    buffer, at, into = tables.laid_out(shapes | {"curves": steps.curves.shape}, pin)
    tables.point(buffer, at["images"], source, address, stride)
    windows = into["windows"].view(np.int32)
    windows[:, :4] = [window_pixels(window) for window in plan.window[views, step]]
    windows[:, 4] = plan.statistic[views, step]
    tables.fill_steps(into["steps"], steps.kind[views, :step], steps.arg[views, :step])
    into["curves"][...] = steps.curves
    return buffer, at, windows


def measured(plan, steps, views, step, device, pointers, how, count) -> Measured:
    """What `statistics.completed` asks for. Waits for the device, since curves are formed by the host.

    pointers: address and stride of `Sources.pointers`. how: the constants that `draw` has too.
    count(what): called for each copy and launch.
    """
    n, channels = len(views), plan.finish.channels
    planes = 1 if channels == 3 else channels
    address, stride = pointers
    on_gpu = device.type == "cuda"
    host, at, windows = uploaded(plan, steps, views, step, address, stride, on_gpu)
    buffer = host.to(device, non_blocking=True)
    count("copy")
    sums = torch.zeros((n, SHARES, planes), device=device)
    limits = torch.zeros((n, SHARES, channels, 2), device=device)
    counts = torch.zeros((n, channels, 256), dtype=torch.int32, device=device)
    measure[(n, SHARES, planes)](
        sums, limits, counts, *(table.of(buffer) for table in at.values()), step,
        **how, STEPS=bool(steps.kind[views, :step].any()), SHARE=SHARES, BLOCK=BLOCK,
    )  # fmt: skip
    count("launch")
    area = (windows[:, 2] - windows[:, 0]).astype(np.float64) * (windows[:, 3] - windows[:, 1])
    shares = limits.cpu().numpy()
    return Measured(
        sums.cpu().numpy().astype(np.float64).sum(axis=(1, 2)) / (area * planes),
        np.stack([shares[..., 0].min(axis=1), shares[..., 1].max(axis=1)], axis=-1),
        counts.cpu().numpy(),
    )
