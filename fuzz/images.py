"""Images as hostile as users' may be: any size, strides of any sign and none, memory that ends with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

from .guard import Block, span_of

DTYPES = ("uint8", "uint8", "uint8", "float32", "float32", "float16", "bfloat16")
CHANNELS = (3, 3, 3, 3, 1, 2, 4, 5, 8)
SIDES = (1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 64, 65, 97)
LONG = ((20_000, 3), (3, 20_000), (4_099, 1), (1, 4_099), (257, 300))


@dataclass
class Images:
    """What `execute` is given, and what is known of it."""

    value: Any  # a tensor, an array, or a list of them or of PIL images
    layout: str | None
    sizes: list[tuple[int, int]]
    channels: int
    dtype: str
    words: str
    blocks: list[Block] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sizes)


def draw_images(rng: Random, small: bool = False) -> Images:
    """Images of one dtype and number of channels. small: none of them is long."""
    dtype, channels = rng.choice(DTYPES), rng.choice(CHANNELS)
    count = rng.choice((1, 1, 2, 3, 5))
    way = rng.choice(("dense", "dense", "dense", "ragged", "ragged", "PIL"))
    if way == "PIL" and (dtype != "uint8" or channels not in (1, 3)):
        way = "ragged"
    sizes = [_size(rng, small) for _ in range(count)]
    if way == "PIL":
        pictures = [_pil(rng, size, channels) for size in sizes]
        return Images(pictures, "NHWC", sizes, channels, dtype, f"PIL {sizes}×{channels}")
    if way == "dense":
        value, words, block = _strided(rng, (count, *sizes[0], channels), dtype)
        layout = rng.choice(("NHWC", "NCHW"))
        if layout == "NCHW":
            value = _moved(value)
        return Images(value, layout, sizes[:1] * count, channels, dtype, words, [block])
    layout = rng.choice(("NHWC", "NCHW"))
    parts = [_strided(rng, (*size, channels), dtype) for size in sizes]
    pictures = [_moved(part[0]) if layout == "NCHW" else part[0] for part in parts]
    words = "; ".join(part[1] for part in parts)
    return Images(pictures, layout, sizes, channels, dtype, words, [part[2] for part in parts])


def small_images() -> Images:
    """Two small images, always the same."""
    images = (torch.arange(2 * 3 * 8 * 9) % 251).to(torch.uint8).view(2, 3, 8, 9)
    return Images(images, "NCHW", [(8, 9)] * 2, 3, "uint8", "small ones")


def _size(rng, small):
    if not small and rng.random() < 0.06:
        return rng.choice(LONG)
    return rng.choice(SIDES), rng.choice(SIDES)


def _moved(image):
    """(…, H, W, C) as (…, C, H, W)."""
    return image.movedim(-1, -3) if isinstance(image, torch.Tensor) else np.moveaxis(image, -1, -3)


def _pil(rng, size, channels):
    values = _values(rng, (*size, channels), "uint8")
    return Image.fromarray(values if channels == 3 else values[..., 0])


def _values(rng, shape, dtype):
    """uint8 in 0 … 255, or float32 in [0, 1]: noise, a ramp, or one value."""
    generator = np.random.default_rng(rng.randrange(2**32))
    kind = rng.choice(("noise", "noise", "ramp", "flat", "ends"))
    if kind == "noise":
        values = generator.random(shape, np.float32)
    elif kind == "ramp":
        values = np.linspace(0, 1, math.prod(shape), dtype=np.float32).reshape(shape)
    elif kind == "flat":
        values = np.full(shape, rng.choice((0.0, 1.0, 0.5)), np.float32)
    else:
        values = generator.integers(0, 2, shape).astype(np.float32)
    return (values * 255).round().astype(np.uint8) if dtype == "uint8" else values


def _strided(rng, shape, dtype):
    """(a tensor or an array of this shape over memory of its own, words, the block of memory).

    Values of the memory that are not the image's are NaN, or 255 for bytes.
    """
    item = {"uint8": 1, "float32": 4}.get(dtype, 2)
    is_array = dtype in ("uint8", "float32") and rng.random() < 0.35
    strides = _strides(rng, shape, negative=is_array)
    before, after = span_of(shape, strides)
    lead = rng.choice((0, 0, 0, 1, 7))  # an offset into the storage
    shift = rng.choice((1, 2, 3)) if item > 1 and is_array and rng.random() < 0.15 else 0
    at_end = rng.random() < 0.7
    block = Block((lead + before + after) * item, at_end, shift=shift)
    start = lead + before
    if is_array:
        memory = block.array(dtype)
        view = np.lib.stride_tricks.as_strided(memory[start:], shape, [s * item for s in strides])
        view[...] = _values(rng, shape, dtype)
        if rng.random() < 0.3:
            view.flags.writeable = False
    else:
        memory = block.tensor(getattr(torch, dtype))
        view = memory.as_strided(shape, strides, start)
        own = torch.from_numpy(_values(rng, shape, dtype)).to(memory.dtype)
        if any(stride == 0 for stride in strides) or _overlaps(shape, strides):
            # Many values share a place; NumPy writes them one after the other.
            places = np.zeros(shape, np.int64) + start
            for axis, stride in enumerate(strides):
                index = np.arange(shape[axis]).reshape(
                    [-1 if a == axis else 1 for a in range(len(shape))]
                )
                places += index * stride
            memory[torch.from_numpy(places.ravel())] = own.reshape(-1)
        else:
            view.copy_(own)
    kind = "array" if is_array else "tensor"
    place = "end" if at_end else "start"
    unaligned = f", unaligned by {shift}" if shift else ""
    read_only = ", read-only" if is_array and not view.flags.writeable else ""
    words = f"{kind} {dtype} {list(shape)} strides {list(strides)} offset {start} at the {place} of a page"
    return view, words + unaligned + read_only, block


def _overlaps(shape, strides):
    """Whether two values may share a place."""
    reach = 0
    for step, size in sorted(zip(map(abs, strides), shape, strict=True)):
        if size > 1:
            if step <= reach:
                return True
            reach += (size - 1) * step
    return False


def _strides(rng, shape, negative):
    """Strides in values, in which the axes lie in any order, with gaps, overlaps, zeros and signs."""
    axes = list(range(len(shape)))
    kind = rng.random()
    if kind < 0.35:
        order = axes  # packed pixels
    elif kind < 0.65:
        order = [*axes[:-3], axes[-1], axes[-3], axes[-2]]  # planes
    else:
        order = rng.sample(axes, len(axes))
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= shape[axis]
        if rng.random() < 0.08:
            step += rng.choice((1, 2, 13))  # a gap
        if rng.random() < 0.04:
            step = max(1, step - rng.choice((1, 2, step // 2)))  # an overlap
    if rng.random() < 0.12:
        strides[rng.choice(axes)] = 0
    if negative and rng.random() < 0.5:
        strides = [-step if rng.random() < 0.5 else step for step in strides]
    if math.prod(shape) > 50_000:  # nothing of a long image that reaches over much memory
        return strides if span_of(shape, strides)[1] < 8_000_000 else _strides(rng, shape, negative)
    return strides
