"""Blur and sharpness in Triton: one launch for all pictures of a size, a program for each row.

A blur is taken along y and then along x, 2 · (2 · reach + 1) products and not their square. Its
second half needs the first's values of its own row only, so a program makes both, with a row of
floats in memory (in cache, as it is) between them and a barrier: no second launch, nothing twice.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...plan.kinds import SHARPNESS
from . import tables
from .draw import whole_at
from .formulas import INTERPRETED, constant, half_up, sharpened, smoothed

# Values that a program takes at a time: a row of 224 RGB pixels is two and two thirds of them.
BLOCK = 2048 if INTERPRETED else 256

IS_SHARPNESS = constant(SHARPNESS)
FILTER_AT, FACTOR_AT = constant(tables.FILTER_AT), constant(tables.FACTOR_AT)
REACH_AT, WEIGHTS_AT = constant(tables.REACH_AT), constant(tables.WEIGHTS_AT)


@triton.jit
def _reflected(at, size):
    at = tl.abs(at)
    return tl.where(at >= size, 2 * (size - 1) - at, at)


@triton.jit
def _clamped(value, byte: tl.constexpr):
    if byte:
        return half_up(tl.minimum(tl.maximum(value, 0.0), 255.0))
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit(do_not_specialize=["words", "height", "width", "pitch"])
def filter_rows(
    out, pictures, rows, filters, words, height, width, pitch,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """out ← filtered pictures, both [n, H, W, C] of bytes or of floats in [0, 1], packed. A program:
    one row of one picture.

    rows [n, H, pitch] float32: scratch, for W pixels and a reach on both sides. filters [n, words]:
    the table of `tables`.
    """
    BYTE: tl.constexpr = out.dtype.element_ty == tl.uint8
    row = tl.program_id(0).to(tl.int64)
    i, y = row // height, (row % height).to(tl.int32)
    filter_ = filters + i * words
    line = width * CHANNELS
    picture = pictures + i * height * line
    to = out + row * line
    if whole_at(filter_ + FILTER_AT) == IS_SHARPNESS:
        factor = tl.load(filter_ + FACTOR_AT)
        above = picture + tl.maximum(y - 1, 0).to(tl.int64) * line
        here = picture + y.to(tl.int64) * line
        below = picture + tl.minimum(y + 1, height - 1).to(tl.int64) * line
        for begin in range(0, line, BLOCK):
            j = begin + tl.arange(0, BLOCK)
            there = j < line
            j = tl.where(there, j, 0)
            left = tl.where(j >= CHANNELS, j - CHANNELS, j)
            right = tl.where(j + CHANNELS < line, j + CHANNELS, j)
            value = tl.load(here + j).to(tl.float32)
            around = _three(above, left, j, right) + _three(here, left, j, right)
            smooth = smoothed(around + _three(below, left, j, right), value)
            if BYTE:
                smooth = half_up(smooth)  # PIL rounds what it smooths before it blends
            inner = (y > 0) & (y < height - 1) & (j >= CHANNELS) & (j + CHANNELS < line)
            smooth = tl.where(inner, smooth, value)
            made = _clamped(sharpened(value, smooth, factor), BYTE)
            tl.store(to + j, made.to(to.dtype.element_ty), there)
    else:
        half = (words - WEIGHTS_AT) // 2
        reach_y, reach_x = whole_at(filter_ + REACH_AT), whole_at(filter_ + REACH_AT + 1)
        along_y, along_x = filter_ + WEIGHTS_AT, filter_ + WEIGHTS_AT + half
        blurred = rows + row * pitch
        longer = line + 2 * reach_x * CHANNELS
        for begin in range(0, longer, BLOCK):
            j = begin + tl.arange(0, BLOCK)
            there = j < longer
            j = tl.where(there, j, 0)
            x = _reflected(j // CHANNELS - reach_x, width)
            column = picture + (x * CHANNELS + j % CHANNELS)
            total = tl.zeros([BLOCK], tl.float32)
            for t in range(-reach_y, reach_y + 1):
                value = tl.load(column + _reflected(y + t, height).to(tl.int64) * line)
                total = tl.fma(value.to(tl.float32), tl.load(along_y + tl.abs(t)), total)
            tl.store(blurred + j, total, there)
        # The other threads' values are read below.
        tl.debug_barrier()
        for begin in range(0, line, BLOCK):
            j = begin + tl.arange(0, BLOCK)
            there = j < line
            j = tl.where(there, j, 0)
            total = tl.zeros([BLOCK], tl.float32)
            for t in range(-reach_x, reach_x + 1):
                value = tl.load(blurred + (j + (t + reach_x) * CHANNELS))
                total = tl.fma(value, tl.load(along_x + tl.abs(t)), total)
            tl.store(to + j, _clamped(total, BYTE).to(to.dtype.element_ty), there)


@triton.jit
def _three(line, left, middle, right):
    """The sum of three neighbours, exact for bytes."""
    a = tl.load(line + left).to(tl.float32) + tl.load(line + middle).to(tl.float32)
    return a + tl.load(line + right).to(tl.float32)
