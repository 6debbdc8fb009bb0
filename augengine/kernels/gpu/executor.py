"""The GPU executor: a plan is lowered, goes up in one copy and is drawn in one launch.

    lower(plan)              in any process: no device, no images
    upload(lowered, images)  one copy from pinned memory: tables and addresses
    launch(uploaded, out)    the kernels and nothing else, so a CUDA graph may capture it

Plans that drew a statistic take one launch more, those that drew a filter two more for each size of
picture, and those that are shrunk before a turn one. No step waits for the device. CPU tensors are
drawn by Triton's interpreter, for tests.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np
import torch
import triton
import triton.language as tl

from ...plan import Plan
from ..flat import Pointers
from ..sources import Sources
from .draw import draw_in_eights, draw_one_by_one
from .filter import BLOCK as FILTER_BLOCK
from .filter import WARPS as FILTER_WARPS
from .filter import filter_rows
from .formulas import INTERPRETED
from .lower import Lowered, LoweredPass, lower
from .statistics import BLOCK as STATISTICS_BLOCK
from .statistics import WARPS as STATISTICS_WARPS
from .statistics import complete
from .tables import ADDRESS_AT, ADDRESS_WORDS, STRIDE_AT

# A tile has 512 pixels, eight for each thread of two warps: what is the same for a tile is worked out by
# each thread. Where they have filters of any width, that takes more than 200 registers: four warps, then.
WARPS, WARPS_WIDE = 2, 4
# Along the grid's last axis, that of the outputs; a larger batch takes another launch.
MOST_PROGRAMS = 65535
SOURCE_TYPES = {
    torch.uint8: tl.uint8,
    torch.float32: tl.float32,
    torch.float16: tl.float16,
    torch.bfloat16: tl.bfloat16,
}
# Contraction would move a point across an edge that other executors see on its other side.
OPTIONS = {"enable_fp_fusion": False}

counts: Counter[str] = Counter()  # "launch" and "copy": what executing has cost so far


def execute(
    plan: Plan, sources: Sources, out: torch.Tensor, lowered: Lowered | None = None
) -> torch.Tensor:
    """Draw the plan into `out`, a CUDA tensor of any strides, and return it. lowered: the same plan,
    where it is lowered already."""
    if lowered is not None and (
        lowered.shape != plan.shape or not np.array_equal(lowered.sizes, plan.sizes)
    ):
        raise ValueError(
            f"execute: got lowered of a plan that makes {lowered.shape}, expected this plan's, which makes "
            f"{plan.shape} of images of its own sizes. Leave lowered= away, or pass lower(plan)."
        )
    return draw(lower(plan) if lowered is None else lowered, sources, out)


def draw(lowered: Lowered, sources: Sources, out: torch.Tensor) -> torch.Tensor:
    """Draw a lowered plan, whose sizes are those of the sources, into `out` and return it."""
    if not len(lowered):
        return out
    return launch(upload(lowered, sources), out)


class Constants(TypedDict):
    """What the kernels that read images are compiled for, under their arguments' names."""

    SOURCE: tl.dtype
    CHANNELS: int
    PACKED: bool
    FAR: bool


@dataclass(frozen=True, eq=False)
class Uploaded:
    """A lowered plan on the device, with the images that it looks at."""

    lowered: Lowered
    buffer: torch.Tensor  # uint8: the lowered buffer, then the addresses
    pictures: torch.Tensor  # uint8: where what is filtered on the way comes to lie
    sources: Sources  # kept, so that their memory is
    constants: Constants


def upload(lowered: Lowered, sources: Sources, into: Uploaded | None = None) -> Uploaded:
    """Bring a lowered plan and the addresses of its images to their device, in one copy.

    Args:
        lowered: Plan, from `lower`. A buffer that a loader has sent ahead to the device is copied on
            the device.
        sources: Images that the plan is for, on the device.
        into: An upload of the same tables and passes, whose memory is used again: a CUDA graph that
            captured its `launch` then draws the new plan.

    Returns:
        The upload, to be kept as long as it is drawn.

    Raises:
        ValueError: When the images are on no CUDA device, or `into` is of another kind.
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
    with _current(device):
        nbytes = _picture_values(lowered) * sources.dtype.itemsize
        pictures = into.pictures if into else torch.empty(nbytes, dtype=torch.uint8, device=device)
        pointers = sources.pointers()
        addresses = _addresses(lowered, pointers, pictures.data_ptr(), sources.dtype.itemsize)
        constants = _constants(lowered, sources, pointers)
        size = len(lowered.buffer) + addresses.nbytes
        if into and not (
            (into.lowered.tables, into.constants, len(into.buffer))
            == (lowered.tables, constants, size)
            and _covers(into.lowered.passes, lowered.passes)
        ):
            raise ValueError(
                "upload: the plan or its images are of another kind than those that `into` holds, "
                "expected the same tables, passes, dtype and layout. Leave `into` out."
            )
        # One pinned buffer, which torch keeps until the copy is done: a lowered plan is only read.
        ahead = lowered.buffer.device == device and on_gpu
        begin = 0 if ahead else len(lowered.buffer)
        host = torch.empty(begin + addresses.nbytes, dtype=torch.uint8, pin_memory=on_gpu)
        host[begin:].numpy()[:] = addresses.reshape(-1).view(np.uint8)
        host[:begin] = lowered.buffer[:begin]
        buffer = into.buffer if into else torch.empty(size, dtype=torch.uint8, device=device)
        if ahead:
            buffer[: len(lowered.buffer)] = lowered.buffer
        buffer[size - len(host) :].copy_(host, non_blocking=True)
        counts["copy"] += 1
    return Uploaded(lowered, buffer, pictures, sources, constants)


def launch(uploaded: Uploaded, out: torch.Tensor) -> torch.Tensor:
    """Draw what was uploaded into `out` and return it.

    Each pass launches its statistics, its draw and its filters, where it has them. So a batch takes
    one launch; with statistics it takes two; with filters of one frame size three, and one more for
    statistics before and one for statistics after them. Pictures that are shrunk and not filtered take
    one launch for each size.
    """
    lowered, device, constants = uploaded.lowered, uploaded.buffer.device, uploaded.constants
    words = uploaded.buffer[: len(lowered.buffer)].view(torch.float32)
    tables = {name: words[table.words] for name, table in lowered.tables.items()}
    images = uploaded.buffer[len(lowered.buffer) :].view(torch.int64)
    views = (images, tables["views"], tables["steps"], tables["curves"])
    step_count = lowered.tables["steps"].shape[1]
    channels = constants["CHANNELS"]
    dtype = torch.uint8 if constants["SOURCE"] == tl.uint8 else torch.float32
    picture_end = 0
    with _current(device):
        for part in lowered.passes:
            begin, end = part.measured_views
            if end > begin:
                complete[(end - begin,)](
                    *views, tables["measured_views"], begin, step_count,
                    BLOCK=STATISTICS_BLOCK, **constants, **OPTIONS | {"num_warps": STATISTICS_WARPS},
                )  # fmt: skip
                counts["launch"] += 1
            arguments = _Arguments(
                (*views, tables[part.layers], tables[part.finish]),
                lowered.tables[part.layers].shape[1],
                step_count,
            )
            if part is lowered.passes[-1]:
                _draw(part, arguments, constants, out)
                continue
            shape = (part.outputs, *part.size, channels)
            picture_begin = picture_end
            picture_end += _picture_values_of(part, channels) * dtype.itemsize
            into = uploaded.pictures[picture_begin:picture_end].view(dtype)
            if not part.filters:
                into = into[: math.prod(shape)].view(shape)
                _draw(part, arguments, constants, into.movedim(-1, 1))
                continue
            pictures = torch.empty(shape, dtype=dtype, device=device)
            _draw(part, arguments, constants, pictures.movedim(-1, 1))
            filter_words = lowered.tables[part.filters].shape[1]
            _filter(part, pictures, into, tables[part.filters], filter_words)
    return out


class _Arguments(NamedTuple):
    """What a pass's draw reads: tables, and how many layers an output and steps a view has."""

    tables: tuple[torch.Tensor, ...]
    layer_count: int
    step_count: int


def _draw(
    part: LoweredPass, arguments: _Arguments, constants: Constants, out: torch.Tensor
) -> None:
    """Draw a pass's outputs into `out` (N, C, H, W)."""
    (height, width), channels, traits = part.size, constants["CHANNELS"], part.traits
    block_h, block_w = part.tile
    kernel = draw_one_by_one if traits.wide or traits.steps else draw_in_eights
    warps = WARPS_WIDE if traits.wide else WARPS
    planes = 1 if channels == 3 else channels
    _, stride_c, stride_y, stride_x = out.stride()
    extent = _extent([(height, width, channels)], [(stride_y, stride_x, stride_c)])
    far = constants["FAR"] or extent >= 2**31
    most = MOST_PROGRAMS // planes
    for first in range(0, part.outputs, most):
        count = min(most, part.outputs - first)
        grid = (triton.cdiv(width, block_w), triton.cdiv(height, block_h), count * planes)
        kernel[grid](
            out, *arguments.tables, first, arguments.layer_count, arguments.step_count,
            height, width, *out.stride(),
            PROJECTIVE=traits.projective, WIDE=traits.wide, BORDERS=traits.borders,
            FILLS=traits.fills, STEPS=traits.steps, LAYERS=traits.layers, BLOCK_H=block_h, BLOCK_W=block_w,
            num_warps=warps, **constants | {"FAR": far}, **OPTIONS,
        )  # fmt: skip
        counts["launch"] += 1


def _filter(
    part: LoweredPass,
    pictures: torch.Tensor,
    out: torch.Tensor,
    filters: torch.Tensor,
    filter_words: int,
) -> None:
    """Filter pictures (n, H, W, C) into `out`, in one launch. filters: the pass's table, n rows of so
    many words."""
    count, height, width, channels = pictures.shape
    pitch = (width + 2 * part.reach) * channels
    # Rows that are blurred along y; a program waits for none but its own.
    scratch = torch.empty((count, height, pitch), dtype=torch.float32, device=pictures.device)
    filter_rows[(count * height,)](
        out, pictures, scratch, filters, filter_words, height, width, pitch,
        CHANNELS=channels, BLOCK=FILTER_BLOCK, **OPTIONS | {"num_warps": FILTER_WARPS},
    )  # fmt: skip
    counts["launch"] += 1


def _covers(held: Sequence[LoweredPass], new: Sequence[LoweredPass]) -> bool:
    """Whether launches of `held` draw `new`: the same but for traits, of which a kernel may have more than
    a plan needs."""
    return len(held) == len(new) and all(
        one._replace(traits=other.traits) == other
        and all(need <= has for has, need in zip(one.traits, other.traits, strict=True))
        for one, other in zip(held, new, strict=True)
    )


def _current(device: torch.device) -> AbstractContextManager:
    """A context in which the device is torch's current one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _constants(lowered: Lowered, sources: Sources, pointers: Pointers) -> Constants:
    channels, stride = lowered.finish.channels, pointers.stride
    return {
        "SOURCE": SOURCE_TYPES[sources.dtype],
        "CHANNELS": channels,
        "PACKED": bool((stride[:, 1:] == [channels, 1]).all()),
        "FAR": _extent(sources.sizes, stride) >= 2**31,
    }


def _addresses(
    lowered: Lowered, pointers: Pointers, picture_address: int, itemsize: int
) -> np.ndarray:
    """The table of images [B + P, ADDRESS_WORDS] int64, pictures last. picture_address: address of the
    first picture, behind which the others lie packed. itemsize: bytes of a value."""
    row = len(pointers.address)
    table = np.empty((row + lowered.pictures, ADDRESS_WORDS), np.int64)
    table[:row, ADDRESS_AT], table[:row, STRIDE_AT:] = pointers.address, pointers.stride
    channels = lowered.finish.channels
    for part in lowered.passes[:-1]:
        height, width = part.size
        rows = table[row : row + part.outputs]
        nbytes = height * width * channels * itemsize
        rows[:, ADDRESS_AT] = picture_address + np.arange(part.outputs) * nbytes
        rows[:, STRIDE_AT:] = width * channels, channels, 1
        picture_address += _picture_values_of(part, channels) * itemsize
        row += part.outputs
    return table


def _picture_values(lowered: Lowered) -> int:
    """Values of the pictures of all passes."""
    channels = lowered.finish.channels
    return sum(_picture_values_of(part, channels) for part in lowered.passes[:-1])


def _picture_values_of(part: LoweredPass, channels: int) -> int:
    """Values of a pass's pictures, rounded up to a whole multiple of 16."""
    return -(-part.outputs * part.size[0] * part.size[1] * channels // 16) * 16


def _extent(
    sizes: np.ndarray | Sequence[Sequence[int]], strides: np.ndarray | Sequence[Sequence[int]]
) -> int:
    """Values that the largest plane spans, or the largest image. sizes: [n, 2 or 3] heights, widths and
    channels. strides: [n, 2 or more], along the same first."""
    size = np.asarray(sizes, np.int64)
    along = np.asarray(strides, np.int64)[:, : size.shape[1]]
    return int((size * along).sum(axis=1).max())
