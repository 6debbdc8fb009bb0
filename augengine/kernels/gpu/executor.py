"""The GPU executor: a plan is lowered, goes up in one copy and is drawn in one launch.

    lower(plan)             in any process: no device, no images              (lower)
    upload(lowered, images)  one copy from pinned memory: tables and addresses
    launch(uploaded, out)   the kernels and nothing else, so a CUDA graph may capture it

Plans that drew a statistic take one launch more, and those that drew a filter two more for each
size of picture. No step waits for the device. CPU tensors are drawn by Triton's interpreter, for
tests.
"""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl

from ...plan import Plan
from ..sources import Sources
from .draw import draw_in_fours, draw_one_by_one
from .filter import BLOCK as FILTER_BLOCK
from .filter import filter_rows
from .formulas import INTERPRETED
from .lower import Lowered, Pass, lower
from .statistics import BLOCK as STATISTICS_BLOCK
from .statistics import WARPS as STATISTICS_WARPS
from .statistics import complete
from .tables import ADDRESS_WORDS

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
    """Draw the plan into `out`, a CUDA tensor of any strides, and return it."""
    return draw(lower(plan), sources, out)


def draw(lowered: Lowered, sources: Sources, out: torch.Tensor) -> torch.Tensor:
    """Draw a lowered plan, whose sizes are those of the sources, into `out` and return it."""
    if not len(lowered):
        return out
    return launch(upload(lowered, sources), out)


@dataclass(frozen=True, eq=False)
class Uploaded:
    """A lowered plan on the device, with the images that it looks at."""

    lowered: Lowered
    buffer: torch.Tensor  # uint8: the lowered buffer, then the addresses
    pictures: torch.Tensor  # uint8: where what is filtered on the way comes to lie
    sources: Sources  # kept, so that their memory is
    how: dict[str, Any]  # what the kernels are compiled for


def upload(lowered: Lowered, sources: Sources, into: Uploaded | None = None) -> Uploaded:
    """Bring a lowered plan and the addresses of its images to their device, in one copy.

    A buffer that is there already (of a loader that sent it ahead) is copied on the device. into: an
    upload of the same tables and passes, whose memory is used again: a CUDA graph that captured its
    `launch` then draws the new plan. Keep what is returned as long as it is drawn.
    """
    device = sources.device
    on_gpu = device.type == "cuda"
    if not INTERPRETED and not on_gpu:
        raise ValueError(
            f"execute: the image batch is on {device}, and the gpu executor draws on CUDA "
            "devices. Pass images.cuda(), or executor=None."
        )
    if lowered.pictures and sources.dtype in (torch.float16, torch.bfloat16):
        sources = sources.map(torch.Tensor.float)  # as pictures are: a launch reads one dtype
    with torch.cuda.device(device) if on_gpu else nullcontext():
        item = sources.dtype.itemsize
        nbytes = _end_of_pictures(lowered) * item
        pictures = into.pictures if into else torch.empty(nbytes, dtype=torch.uint8, device=device)
        addresses, strides = _addresses(lowered, sources, pictures.data_ptr())
        channels, strides = lowered.finish.channels, strides[: len(lowered.sizes)]
        how = {
            "SOURCE": SOURCE_TYPES[sources.dtype],
            "CHANNELS": channels,
            "PACKED": bool((strides[:, 1:] == [channels, 1]).all()),
            "FAR": _extent(sources.sizes, strides) >= 2**31,
        }
        size = len(lowered.buffer) + addresses.nbytes
        if into and (into.lowered.tables, into.lowered.passes, into.how, len(into.buffer)) != (
            lowered.tables, lowered.passes, how, size,
        ):  # fmt: skip
            raise ValueError(
                "upload: the plan or its images are of another kind than those that `into` holds, "
                "expected the same tables, passes, dtype and layout. Leave `into` out."
            )
        # One pinned buffer, which torch keeps until the copy is done: a lowered plan is only read.
        ahead = 0 if lowered.buffer.device == device and on_gpu else len(lowered.buffer)
        host = torch.empty(ahead + addresses.nbytes, dtype=torch.uint8, pin_memory=on_gpu)
        host[ahead:].numpy()[:] = addresses.reshape(-1).view(np.uint8)
        host[:ahead] = lowered.buffer[:ahead]
        buffer = into.buffer if into else torch.empty(size, dtype=torch.uint8, device=device)
        if not ahead:
            buffer[: len(lowered.buffer)] = lowered.buffer
        buffer[size - len(host) :].copy_(host, non_blocking=True)
        _count("copy")
    return Uploaded(lowered, buffer, pictures, sources, how)


def launch(uploaded: Uploaded, out: torch.Tensor) -> torch.Tensor:
    """Draw what was uploaded into `out` and return it.

    Launches: for each pass_ its statistics, its draw, and its filters, where it has them. So a batch
    takes one; with statistics two; with filters of one frame size three, and one more for statistics
    before and one for statistics after them."""
    lowered, device = uploaded.lowered, uploaded.buffer.device
    words = uploaded.buffer[: len(lowered.buffer)].view(torch.float32)
    tables = {name: words[table.words] for name, table in lowered.tables.items()}
    images = uploaded.buffer[len(lowered.buffer) :].view(torch.int64)
    step_count = lowered.tables["steps"].shape[1]
    views = (images, tables["views"], tables["steps"], tables["curves"])
    dtype = torch.uint8 if uploaded.how["SOURCE"] == tl.uint8 else torch.float32
    end = 0
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        for pass_ in lowered.passes:
            begin, last = pass_.asked
            if last > begin:
                complete[(last - begin,)](
                    *views, tables["asked"], begin, step_count,
                    BLOCK=STATISTICS_BLOCK, **uploaded.how,
                    **OPTIONS | {"num_warps": STATISTICS_WARPS},
                )  # fmt: skip
                _count("launch")
            tables_and_lengths = (
                *views, tables[pass_.layers], tables["finish"],
                lowered.tables[pass_.layers].shape[1], step_count,
            )  # fmt: skip
            if not pass_.filters:
                _draw(pass_, tables_and_lengths, uploaded.how, out)
                continue
            shape = (pass_.outputs, *pass_.size, lowered.finish.channels)
            drawn = torch.empty(shape, dtype=dtype, device=device)
            _draw(pass_, tables_and_lengths, uploaded.how, drawn.movedim(-1, 1))
            begin, end = end, end + _room(pass_, lowered.finish.channels) * dtype.itemsize
            filtered = uploaded.pictures[begin:end].view(dtype)
            longest = lowered.tables[pass_.filters].shape[1]
            _filter(pass_, drawn, filtered, tables[pass_.filters], longest)
    return out


def _draw(pass_: Pass, arguments, how, out: torch.Tensor) -> None:
    (height, width), channels = pass_.size, how["CHANNELS"]
    has = pass_.traits
    block_h, block_w = tile_for(width)
    kernel = draw_one_by_one if has.wide or has.steps else draw_in_fours
    planes = 1 if channels == 3 else channels
    several = MOST_PROGRAMS // planes
    far = how["FAR"] or _extent([pass_.size], [out.stride()[2:]]) >= 2**31
    *tables, layer_count, step_count = arguments
    for first in range(0, pass_.outputs, several):
        count = min(several, pass_.outputs - first)
        grid = (triton.cdiv(width, block_w), triton.cdiv(height, block_h), count * planes)
        kernel[grid](
            out, *tables, first, layer_count, step_count, height, width, *out.stride(),
            PROJECTIVE=has.projective, WIDE=has.wide, BORDERS=has.borders, STEPS=has.steps,
            LAYERS=has.layers, BLOCK_H=block_h, BLOCK_W=block_w, **how | {"FAR": far}, **OPTIONS,
        )  # fmt: skip
        _count("launch")


def _filter(pass_: Pass, drawn: torch.Tensor, out: torch.Tensor, filters, words: int) -> None:
    """Filter the pictures `drawn` (n, H, W, C) into `out`, in one launch. filters: n · words."""
    count, height, width, channels = drawn.shape
    pitch = (width + 2 * pass_.reach) * channels
    # Rows that are blurred along y; a program waits for none but its own.
    rows = torch.empty((count, height, pitch), dtype=torch.float32, device=drawn.device)
    filter_rows[(count * height,)](
        out, drawn, rows, filters, words, height, width, pitch,
        CHANNELS=channels, BLOCK=FILTER_BLOCK, **OPTIONS,
    )  # fmt: skip
    _count("launch")


def _addresses(lowered: Lowered, sources: Sources, pictures: int):
    """([B + P, 4] int64, strides [B, 3]): where each image lies, then each picture."""
    address, strides, _ = sources.pointers()
    table = np.empty((len(address) + lowered.pictures, ADDRESS_WORDS), np.int64)
    table[: len(address), 0], table[: len(address), 1:] = address, strides
    at, channels = len(address), lowered.finish.channels
    for pass_ in lowered.passes[:-1]:
        height, width = pass_.size
        item = sources.dtype.itemsize
        rows = table[at : at + pass_.outputs]
        rows[:, 0] = pictures + np.arange(pass_.outputs) * (height * width * channels * item)
        rows[:, 1:] = width * channels, channels, 1
        pictures += _room(pass_, channels) * item
        at += pass_.outputs
    return table, strides


def _room(pass_: Pass, channels: int) -> int:
    """Values of a pass_'s pictures, rounded up to whole multiples of 16."""
    return -(-pass_.outputs * pass_.size[0] * pass_.size[1] * channels // 16) * 16


def _end_of_pictures(lowered: Lowered) -> int:
    return sum(_room(pass_, lowered.finish.channels) for pass_ in lowered.passes[:-1])


def _count(what: str) -> None:
    done[what] += 1


def tile_for(width: int) -> tuple[int, int]:
    """Rows and columns of a tile: the widest that leaves the fewest of its columns empty."""
    return TILE or min(TILES, key=lambda tile: triton.cdiv(width, tile[1]) * tile[1])


def _extent(sizes, strides) -> int:
    """How many values the largest plane spans, from heights and widths and strides along those."""
    strides = np.asarray(strides, np.int64)[:, :2]
    return int((np.asarray(sizes, np.int64) * strides).sum(axis=1).max())
