"""Statistics in Triton: measured and made into plain steps on the device, one launch for all of them.

What a mean, a range or a histogram makes of a step is said by the formulas of `pixel`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...plan.kinds import GREY, MATRIX, MEAN, NO_STATISTIC, NONE, RANGE, TONE
from . import tables
from .draw import coloured, image_of, index_of, pixel, stride_of, whole_at
from .formulas import (
    INTERPRETED,
    constant,
    curve_entry,
    equalized,
    from_byte,
    stretch_gain,
    stretch_low,
    stretch_offset,
    stretch_scale,
)

# A program has a view for itself, since its second statistic waits for its first, and it waits for
# no other program. 224² pixels are 49 turns of 1024. A window of 4K, 8.3 million pixels, is 8,100
# turns on one of the device's processors: of a few such views the others wait, by milliseconds.
WARPS = 8
BLOCK = 8192 if INTERPRETED else 1024

NOTHING, IS_MEAN, IS_RANGE = constant(NO_STATISTIC), constant(MEAN), constant(RANGE)
NO_STEP, AS_MATRIX, AS_TONE = constant(NONE), constant(MATRIX), constant(TONE)
STEP_WORDS, KIND_AT = constant(tables.STEP_WORDS), constant(tables.KIND_AT)
ARG_AT, FILL_AT = constant(tables.ARG_AT), constant(tables.FILL_AT)
ASKED_WORDS, STATISTIC_AT = constant(tables.ASKED_WORDS), constant(tables.STATISTIC_AT)
WINDOW_AT, COLUMN_AT = constant(tables.WINDOW_AT), constant(tables.COLUMN_AT)
RED, GREEN, BLUE = (constant(weight) for weight in GREY)
INFINITY = constant(float("inf"))


@triton.jit(do_not_specialize=["first", "step_count"])
def complete(
    images, views, steps, curves, asked, first, step_count,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Complete the steps of the views in `asked`, from row `first` on: a program for each, which takes
    its steps in order and reads each window after the steps before. Written into `steps` and
    `curves`, in place; to be done again it needs no fresh tables."""
    RGB: tl.constexpr = CHANNELS == 3
    row = asked + (first + tl.program_id(0)).to(tl.int64) * (1 + step_count * ASKED_WORDS)
    v = whole_at(row).to(tl.int64)
    image = image_of(images, views + v * (FILL_AT + CHANNELS))
    base = tl.load(image).to(tl.pointer_type(SOURCE))
    stride_y = stride_of(image + 1, FAR)
    stride_x = CHANNELS if PACKED else stride_of(image + 2, FAR)
    stride_c = 1 if PACKED else stride_of(image + 3, FAR)
    own = steps + v * step_count * STEP_WORDS
    for s in range(step_count):
        ask = row + 1 + s * ASKED_WORDS
        which = whole_at(ask + STATISTIC_AT)
        if which != NOTHING:
            y0, x0 = whole_at(ask + WINDOW_AT), whole_at(ask + WINDOW_AT + 1)
            wide = whole_at(ask + WINDOW_AT + 3) - x0
            count = (whole_at(ask + WINDOW_AT + 2) - y0) * wide
            corner = base + (index_of(y0, FAR) * stride_y + index_of(x0, FAR) * stride_x)
            # Of other than RGB a mean is that of all channels, other statistics the first one's.
            planes = 1
            if not RGB:
                planes = tl.where(which == IS_MEAN, CHANNELS, 1)
            total, lost = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
            low_r = tl.full([BLOCK], INFINITY, tl.float32)
            low_g, low_b = low_r, low_r
            high_r, high_g, high_b = -low_r, -low_r, -low_r
            bins_r = tl.zeros([256], tl.int32)
            bins_g, bins_b = bins_r, bins_r
            for channel in range(planes):
                plane = corner
                if not RGB:
                    plane += tl.cast(channel, tl.int64) * stride_c
                for begin in range(0, count, BLOCK):
                    number = begin + tl.arange(0, BLOCK)
                    there = number < count
                    # Beyond the end: the first pixel, which is not counted.
                    number = tl.where(there, number, 0)
                    y, x = number // wide, number % wide
                    address = plane + (index_of(y, FAR) * stride_y + index_of(x, FAR) * stride_x)
                    r, g, b = pixel(address, stride_c, RGB)
                    if SOURCE == tl.uint8:
                        r, g, b = from_byte(r), from_byte(g), from_byte(b)
                    for earlier in range(s):
                        step = own + earlier * STEP_WORDS
                        kind = whole_at(step + KIND_AT)
                        if kind != NO_STEP:
                            r, g, b = coloured(
                                r, g, b, kind, step + ARG_AT, curves, number.to(tl.uint32),
                                channel, RGB,
                            )  # fmt: skip
                    if which == IS_MEAN:
                        grey = r
                        if RGB:
                            grey = r * RED + g * GREEN + b * BLUE
                        # Kahan's sum: what a total of thousands loses of a term is added to the
                        # next. A mean is then off by less than 1e-6 of it, whatever the window.
                        term = tl.where(there, grey, 0.0) - lost
                        sum_ = total + term
                        lost = (sum_ - total) - term
                        total = sum_
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
            step = own + s * STEP_WORDS
            if which == IS_MEAN:
                values = (count * planes).to(tl.float32)
                _scale_column(step + ARG_AT, ask + COLUMN_AT, tl.sum(total, keep_dims=True), values)
            elif which == IS_RANGE:
                _start_stretch(step, SOURCE == tl.uint8)
                tl.debug_barrier()
                _stretch(step + ARG_AT, 0, low_r, high_r, SOURCE == tl.uint8)
                if RGB:
                    _stretch(step + ARG_AT, 1, low_g, high_g, SOURCE == tl.uint8)
                    _stretch(step + ARG_AT, 2, low_b, high_b, SOURCE == tl.uint8)
            else:
                curve = curves + tl.load(step + ARG_AT).to(tl.int64) * 768
                _equalize(curve, bins_r)
                if RGB:
                    _equalize(curve + 256, bins_g)
                    _equalize(curve + 512, bins_b)
            # All threads read below, or in the next turn, what some have written.
            tl.debug_barrier()


@triton.jit
def _scale_column(arg, column, total, values):
    """A matrix's last column ← that of the plan, times the mean."""
    mean = tl.div_rn(total, values + tl.zeros_like(total))
    row = tl.arange(0, 1)
    for c in tl.static_range(3):
        tl.store(arg + 3 + 4 * c + row, mean * tl.load(column + c + row))


@triton.jit
def _start_stretch(step, BYTE: tl.constexpr):
    """The step without what a range gives it: a TONE that inverts nothing, in steps of one, or a
    MATRIX of zeros."""
    k = tl.arange(0, 16)
    kind = (AS_TONE if BYTE else AS_MATRIX) + tl.zeros([16], tl.int32)
    words = tl.zeros([16], tl.float32)
    if BYTE:
        words = tl.where(k == ARG_AT, 256.0, tl.where(k < ARG_AT + 3, 1.0, 0.0))
    words = tl.where(k == KIND_AT, kind.to(tl.float32, bitcast=True), words)
    tl.store(step + k, words, k < STEP_WORDS)


@triton.jit
def _stretch(arg, c: tl.constexpr, low, high, BYTE: tl.constexpr):
    """Channel c's part of the step that takes its lowest value to 0 and its highest to 1."""
    low, high = tl.min(low, keep_dims=True), tl.max(high, keep_dims=True)
    at = arg + tl.arange(0, 1)
    if BYTE:
        low, high = curve_entry(low), curve_entry(high)
        tl.store(at + 3 + c, stretch_low(low, high))
        tl.store(at + 6 + c, stretch_scale(low, high))
    else:
        gain = stretch_gain(low, high)
        tl.store(at + 5 * c, gain)
        tl.store(at + 4 * c + 3, stretch_offset(low, high, gain))


@triton.jit
def _equalize(curve, bins):
    """curve [256] ← what equalizes the counts `bins`, all in int32."""
    entry = tl.arange(0, 256)
    last = tl.max(tl.where(bins > 0, entry, 0), keep_dims=True)
    step = tl.sum(tl.where(entry == last, 0, bins), keep_dims=True) // 255
    made = equalized(entry, tl.cumsum(bins) - bins, step)
    tl.store(curve + entry, tl.div_rn(made.to(tl.float32), 255.0))
