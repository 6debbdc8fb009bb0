"""Filters in Triton: one launch for all pictures of a size, a program for each row.

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
from .formulas import INTERPRETED, constant, half_up, shaded, sharpened, smoothed

# Values that a program takes at a time: a row of 224 RGB pixels is two and two thirds of them. It is one
# warp, of eight values a thread, among which what is the same for a row is shared.
BLOCK = 2048 if INTERPRETED else 256
WARPS = 1

SHARPNESS, SHADE = constant(kinds.SHARPNESS), constant(kinds.SHADE)
MOTION = constant(kinds.MOTION)
FILTER_AT, FACTOR_AT = constant(tables.FILTER_AT), constant(tables.FACTOR_AT)
REACH_AT, WEIGHTS_AT = constant(tables.REACH_AT), constant(tables.WEIGHTS_AT)
TAPS_AT, TAP_WORDS = constant(tables.TAPS_OF_KERNEL_AT), constant(tables.TAP_WORDS)
KERNEL_REACH_AT, EDGE_AT = constant(tables.REACH_OF_KERNEL_AT), constant(tables.EDGE_AT)


@triton.jit
def _reflected(coordinate, size):
    coordinate = tl.abs(coordinate)
    return tl.where(coordinate >= size, 2 * (size - 1) - coordinate, coordinate)


@triton.jit
def _folded(coordinate, size):
    """Reflected as often as it takes."""
    period = tl.maximum(2 * (size - 1), 1)
    coordinate = tl.abs(coordinate) % period
    return tl.where(coordinate >= size, period - coordinate, coordinate)


@triton.jit
def _weighed(picture_ptr, filter_ptr, y, j, height, width, CHANNELS: tl.constexpr):
    """Sums of weighed neighbours: of the values number j of row y."""
    x, channel, length = j // CHANNELS, j % CHANNELS, width * CHANNELS
    far = load_int(filter_ptr + KERNEL_REACH_AT) >= width
    total = tl.zeros_like(j).to(tl.float32)
    for t in range(load_int(filter_ptr + TAPS_AT)):
        tap_ptr = filter_ptr + (WEIGHTS_AT + TAP_WORDS * t)
        row_ptr = picture_ptr + _folded(y + load_int(tap_ptr), height).to(tl.int64) * length
        column = x + load_int(tap_ptr + 1)
        if far:
            column = _folded(column, width)
        else:
            column = _reflected(column, width)
        value = tl.load(row_ptr + (column * CHANNELS + channel)).to(tl.float32)
        total = tl.fma(value, tl.load(tap_ptr + 2), total)
    return total


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
    # Added to a pointer at last, after all that is the same for a program: a thread's addresses are then
    # one and constants.
    lane = tl.arange(0, BLOCK)
    length = width * CHANNELS
    picture_ptr = pictures_ptr + n * height * length
    out_row_ptr = out_ptr + row * length
    if load_int(filter_ptr + FILTER_AT) == SHARPNESS:
        factor = tl.load(filter_ptr + FACTOR_AT)
        above = tl.maximum(y - 1, 0).to(tl.int64) * length
        below = tl.minimum(y + 1, height - 1).to(tl.int64) * length
        within = (y > 0) & (y < height - 1)
        for begin in range(0, length, BLOCK):
            j = begin + lane
            mask = j < length
            inner = (j >= CHANNELS) & (j < length - CHANNELS) & within
            column_ptr = picture_ptr + begin
            middle_ptr = column_ptr + y.to(tl.int64) * length
            whole = _sample(middle_ptr + lane, mask)
            around = _three(column_ptr + above + lane, CHANNELS, inner)
            around += _with_two_beside(whole, middle_ptr + lane, CHANNELS, inner)
            around += _three(column_ptr + below + lane, CHANNELS, inner)
            value = whole.to(tl.float32)
            smooth = smoothed(around.to(tl.float32), value)
            if BYTE:
                smooth = half_up(smooth)  # PIL rounds what it smooths before it blends
            smooth = tl.where(inner, smooth, value)
            sharp = _clamped(sharpened(value, smooth, factor), BYTE)
            tl.store(out_row_ptr + begin + lane, sharp.to(DTYPE), mask)
    elif load_int(filter_ptr + FILTER_AT) == MOTION:
        for begin in range(0, length, BLOCK):
            j = begin + lane
            mask = j < length
            j = tl.where(mask, j, 0)
            total = _weighed(picture_ptr, filter_ptr, y, j, height, width, CHANNELS)
            tl.store(out_row_ptr + j, _clamped(total, BYTE).to(DTYPE), mask)
    elif load_int(filter_ptr + FILTER_AT) == SHADE:
        edge_ptr = filter_ptr + EDGE_AT
        row_ptr = picture_ptr + y.to(tl.int64) * length
        for begin in range(0, length, BLOCK):
            j = begin + lane
            mask = j < length
            j = tl.where(mask, j, 0)
            x = (j // CHANNELS).to(tl.float32) + 0.5
            value = tl.load(row_ptr + j).to(tl.float32)
            value = shaded(
                value, x, y.to(tl.float32) + 0.5, tl.load(edge_ptr), tl.load(edge_ptr + 1),
                tl.load(edge_ptr + 2), tl.load(edge_ptr + 3),
            )  # fmt: skip
            tl.store(out_row_ptr + j, _clamped(value, BYTE).to(DTYPE), mask)
    else:
        count = (filter_words - WEIGHTS_AT) // 2
        reach_y, reach_x = load_int(filter_ptr + REACH_AT), load_int(filter_ptr + REACH_AT + 1)
        weights_y_ptr = filter_ptr + WEIGHTS_AT
        weights_x_ptr = filter_ptr + WEIGHTS_AT + count
        # Where the row's first value comes to lie, behind those of the reach.
        blurred_ptr = scratch_ptr + row * pitch + reach_x * CHANNELS
        for begin in range(0, length, BLOCK):
            mask = begin + lane < length
            column_ptr = picture_ptr + begin
            middle_ptr = column_ptr + y.to(tl.int64) * length
            total = _load(middle_ptr + lane, mask) * tl.load(weights_y_ptr)
            for t in range(1, reach_y + 1):
                above_ptr = column_ptr + _reflected(y - t, height).to(tl.int64) * length
                below_ptr = column_ptr + _reflected(y + t, height).to(tl.int64) * length
                both = _load(above_ptr + lane, mask) + _load(below_ptr + lane, mask)
                total = tl.fma(both, tl.load(weights_y_ptr + t), total)
            tl.store(blurred_ptr + begin + lane, total, mask)
        # The other threads' values are read below.
        tl.debug_barrier()
        margin = reach_x * CHANNELS
        for begin in range(0, 2 * margin, BLOCK):
            j = begin + lane
            mask = j < 2 * margin
            j = tl.where(j < margin, j - margin, j - margin + length)
            x = (j + margin) // CHANNELS - reach_x
            mirrored = j + (_reflected(x, width) - x) * CHANNELS
            tl.store(blurred_ptr + j, tl.load(blurred_ptr + mirrored, mask, 0.0), mask)
        tl.debug_barrier()
        for begin in range(0, length, BLOCK):
            mask = begin + lane < length
            middle_ptr = blurred_ptr + begin
            total = _load(middle_ptr + lane, mask) * tl.load(weights_x_ptr)
            for t in range(1, reach_x + 1):
                both = _load(middle_ptr - t * CHANNELS + lane, mask)
                both += _load(middle_ptr + t * CHANNELS + lane, mask)
                total = tl.fma(both, tl.load(weights_x_ptr + t), total)
            tl.store(out_row_ptr + begin + lane, _clamped(total, BYTE).to(DTYPE), mask)


@triton.jit
def _load(values_ptr, mask):
    """Values as floats; 0 beyond the mask, which bends no address."""
    return tl.load(values_ptr, mask, 0).to(tl.float32)


@triton.jit
def _sample(values_ptr, mask):
    """Values to be added up exactly: bytes as whole numbers, which become a float once. 0 beyond the mask."""
    DTYPE: tl.constexpr = values_ptr.dtype.element_ty
    return tl.load(values_ptr, mask, 0).to(tl.int16 if DTYPE == tl.uint8 else tl.float32)


@triton.jit
def _with_two_beside(middle, middle_ptr, apart: tl.constexpr, mask):
    """The sum of a value and its two neighbours in its row."""
    return (_sample(middle_ptr - apart, mask) + middle) + _sample(middle_ptr + apart, mask)


@triton.jit
def _three(middle_ptr, apart: tl.constexpr, mask):
    return _with_two_beside(_sample(middle_ptr, mask), middle_ptr, apart, mask)
