"""Blur and sharpness in Triton: one launch for all pictures of a size, a program for each row.

A blur is taken along y and then along x, 2 · (2 · reach + 1) products and not their square. Its
second half needs the first's values of its own row only, so a program makes both, with a row of
floats in memory (in cache, as it is) between them and a barrier: no second launch, nothing twice.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...plan import kinds
from . import tables
from .draw import load_int
from .formulas import INTERPRETED, constant, half_up, sharpened, smoothed

# Values that a program takes at a time: a row of 224 RGB pixels is two and two thirds of them.
BLOCK = 2048 if INTERPRETED else 256

SHARPNESS = constant(kinds.SHARPNESS)
FILTER_AT, FACTOR_AT = constant(tables.FILTER_AT), constant(tables.FACTOR_AT)
REACH_AT, WEIGHTS_AT = constant(tables.REACH_AT), constant(tables.WEIGHTS_AT)


@triton.jit
def _reflected(coordinate, size):
    coordinate = tl.abs(coordinate)
    return tl.where(coordinate >= size, 2 * (size - 1) - coordinate, coordinate)


@triton.jit
def _clamped(value, BYTE: tl.constexpr):
    if BYTE:
        return half_up(tl.minimum(tl.maximum(value, 0.0), 255.0))
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit(do_not_specialize=["filter_words", "height", "width", "pitch"])
def filter_rows(
    out_ptr, pictures_ptr, scratch_ptr, filters_ptr, filter_words, height, width, pitch,
    CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Filter pictures into others. A program filters one row of one picture.

    out_ptr, pictures_ptr: packed [n, H, W, C] of bytes, or of floats in [0, 1]. scratch_ptr: float32
    [n, H, pitch], written here first; a row holds W pixels and a reach on both sides. filters_ptr: the
    table [n, filter_words] of `tables`. height, width: of a picture, in pixels. pitch: values of a
    row of scratch. BLOCK: values that a program takes at a time.
    """
    DTYPE: tl.constexpr = out_ptr.dtype.element_ty
    BYTE: tl.constexpr = DTYPE == tl.uint8
    row = tl.program_id(0).to(tl.int64)
    n, y = row // height, (row % height).to(tl.int32)
    filter_ptr = filters_ptr + n * filter_words
    length = width * CHANNELS
    picture_ptr = pictures_ptr + n * height * length
    out_row_ptr = out_ptr + row * length
    if load_int(filter_ptr + FILTER_AT) == SHARPNESS:
        factor = tl.load(filter_ptr + FACTOR_AT)
        above_ptr = picture_ptr + tl.maximum(y - 1, 0).to(tl.int64) * length
        row_ptr = picture_ptr + y.to(tl.int64) * length
        below_ptr = picture_ptr + tl.minimum(y + 1, height - 1).to(tl.int64) * length
        for begin in range(0, length, BLOCK):
            j = begin + tl.arange(0, BLOCK)
            mask = j < length
            j = tl.where(mask, j, 0)
            left = tl.where(j >= CHANNELS, j - CHANNELS, j)
            right = tl.where(j + CHANNELS < length, j + CHANNELS, j)
            value = tl.load(row_ptr + j).to(tl.float32)
            around = _sum_of_three(above_ptr, left, j, right) + _sum_of_three(
                row_ptr, left, j, right
            )
            smooth = smoothed(around + _sum_of_three(below_ptr, left, j, right), value)
            if BYTE:
                smooth = half_up(smooth)  # PIL rounds what it smooths before it blends
            inner = (y > 0) & (y < height - 1) & (j >= CHANNELS) & (j + CHANNELS < length)
            smooth = tl.where(inner, smooth, value)
            sharp = _clamped(sharpened(value, smooth, factor), BYTE)
            tl.store(out_row_ptr + j, sharp.to(DTYPE), mask)
    else:
        count = (filter_words - WEIGHTS_AT) // 2
        reach_y, reach_x = load_int(filter_ptr + REACH_AT), load_int(filter_ptr + REACH_AT + 1)
        weights_y_ptr = filter_ptr + WEIGHTS_AT
        weights_x_ptr = filter_ptr + WEIGHTS_AT + count
        blurred_ptr = scratch_ptr + row * pitch
        blurred_length = length + 2 * reach_x * CHANNELS
        for begin in range(0, blurred_length, BLOCK):
            j = begin + tl.arange(0, BLOCK)
            mask = j < blurred_length
            j = tl.where(mask, j, 0)
            x = _reflected(j // CHANNELS - reach_x, width)
            column_ptr = picture_ptr + (x * CHANNELS + j % CHANNELS)
            total = tl.zeros([BLOCK], tl.float32)
            for t in range(-reach_y, reach_y + 1):
                value = tl.load(column_ptr + _reflected(y + t, height).to(tl.int64) * length)
                total = tl.fma(value.to(tl.float32), tl.load(weights_y_ptr + tl.abs(t)), total)
            tl.store(blurred_ptr + j, total, mask)
        # The other threads' values are read below.
        tl.debug_barrier()
        for begin in range(0, length, BLOCK):
            j = begin + tl.arange(0, BLOCK)
            mask = j < length
            j = tl.where(mask, j, 0)
            total = tl.zeros([BLOCK], tl.float32)
            for t in range(-reach_x, reach_x + 1):
                value = tl.load(blurred_ptr + (j + (t + reach_x) * CHANNELS))
                total = tl.fma(value, tl.load(weights_x_ptr + tl.abs(t)), total)
            tl.store(out_row_ptr + j, _clamped(total, BYTE).to(DTYPE), mask)


@triton.jit
def _sum_of_three(row_ptr, left, middle, right):
    """The sum of three neighbours, exact for bytes."""
    a = tl.load(row_ptr + left).to(tl.float32) + tl.load(row_ptr + middle).to(tl.float32)
    return a + tl.load(row_ptr + right).to(tl.float32)
