"""Statistics in Triton: measured and made into plain steps on the device, one launch for all of them.

What a mean, a range or a histogram makes of a step is said by the formulas of `pixel`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...plan import kinds
from . import tables
from .colour import colour_step, curve_of, entry_of
from .draw import index_of, load_int, load_pixel, source_of
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
    stretched,
)

# A program has a view for itself, since its second statistic waits for its first, and it waits for
# no other program. 224² pixels are 49 turns of 1024. A window of 4K, 8.3 million pixels, is 8,100
# turns on one of the device's processors: of a few such views the others wait, by milliseconds.
WARPS = 8
BLOCK = 8192 if INTERPRETED else 1024
TILE_W = constant(32)  # pixels of a row among them

NO_STATISTIC, MEAN = constant(kinds.NO_STATISTIC), constant(kinds.MEAN)
RANGE, HISTOGRAM = constant(kinds.RANGE), constant(kinds.HISTOGRAM)
NONE, MATRIX, TONE = constant(kinds.NONE), constant(kinds.MATRIX), constant(kinds.TONE)
CURVE, GAINS = constant(kinds.CURVE), constant(kinds.GAINS)
RED, GREEN, BLUE = (constant(weight) for weight in kinds.GREY)
INFINITY, PER_BYTE = constant(float("inf")), constant(1 / 255)

MATRIX_COLUMNS = constant(kinds.MATRIX_COLUMNS)
MATRIX_OFFSET = constant(kinds.MATRIX_OFFSETS[0])
CURVE_ENTRIES = constant(kinds.CURVE_ENTRIES)
GAIN_AT, OFFSET_AT = constant(kinds.GAIN_AT), constant(kinds.OFFSET_AT)
TONE_THRESHOLD = constant(kinds.TONE_THRESHOLD)
TONE_LOW, TONE_SCALE = constant(kinds.TONE_LOW), constant(kinds.TONE_SCALE)
NO_THRESHOLD = constant(float(kinds.NEUTRAL_TONE[kinds.TONE_THRESHOLD]))

STEP_WORDS, KIND_AT = constant(tables.STEP_WORDS), constant(tables.KIND_AT)
ARG_AT, FILL_AT = constant(tables.ARG_AT), constant(tables.FILL_AT)
MEASURED_VIEW_AT = constant(tables.MEASURED_VIEW_AT)
MEASURES_AT, MEASURE_WORDS = constant(tables.MEASURES_AT), constant(tables.MEASURE_WORDS)
STATISTIC_AT, WINDOW_AT = constant(tables.STATISTIC_AT), constant(tables.WINDOW_AT)
OFFSETS_AT = constant(tables.OFFSETS_AT)


@triton.jit(do_not_specialize=["first", "step_count"])
def complete(
    images_ptr, views_ptr, steps_ptr, curves_ptr, measured_views_ptr, first, step_count,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Complete the steps of the measured views from row `first` on, in place: what they wait for is
    written into the tables of steps and curves. To be done again it needs no fresh tables.

    A program completes one view. It takes the steps in order, and reads each window after the steps
    before.

    images_ptr … measured_views_ptr: the tables of `tables`. step_count: steps of each view. SOURCE …
    FAR: as for `draw`. BLOCK: pixels that a program takes at a time.
    """
    RGB: tl.constexpr = CHANNELS == 3
    BYTE: tl.constexpr = SOURCE == tl.uint8
    n = (first + tl.program_id(0)).to(tl.int64)
    row_ptr = measured_views_ptr + n * (MEASURES_AT + step_count * MEASURE_WORDS)
    v = load_int(row_ptr + MEASURED_VIEW_AT).to(tl.int64)
    source_ptr, stride_y, stride_x, stride_c = source_of(
        images_ptr, views_ptr + v * (FILL_AT + CHANNELS), 0, SOURCE, CHANNELS, PACKED, FAR
    )
    view_steps_ptr = steps_ptr + v * step_count * STEP_WORDS
    lane = tl.arange(0, BLOCK)
    for s in range(step_count):
        measure_ptr = row_ptr + MEASURES_AT + s * MEASURE_WORDS
        statistic = load_int(measure_ptr + STATISTIC_AT)
        if statistic != NO_STATISTIC:
            window_ptr = measure_ptr + WINDOW_AT
            y0, x0 = load_int(window_ptr), load_int(window_ptr + 1)
            width = load_int(window_ptr + 3) - x0
            height = load_int(window_ptr + 2) - y0
            count = height * width
            tiles_y, tiles_x = tl.cdiv(height, BLOCK // TILE_W), tl.cdiv(width, TILE_W)
            corner_ptr = source_ptr + (index_of(y0, FAR) * stride_y + index_of(x0, FAR) * stride_x)
            step_ptr = view_steps_ptr + s * STEP_WORDS
            arg_ptr = step_ptr + ARG_AT
            planes = 1 if RGB else CHANNELS
            # Bytes that are counted as they come are the entries.
            entries = BYTE & (s == 0) & (statistic == HISTOGRAM)
            unit = tl.where(entries, 1.0, PER_BYTE)
            total, lost = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
            low_r = tl.full([BLOCK], INFINITY, tl.float32)
            low_g, low_b = low_r, low_r
            high_r, high_g, high_b = -low_r, -low_r, -low_r
            bins_r = tl.zeros([CURVE_ENTRIES], tl.int32)
            bins_g, bins_b = bins_r, bins_r
            for channel in range(planes):
                plane_ptr = corner_ptr
                if not RGB:
                    plane_ptr += tl.cast(channel, tl.int64) * stride_c
                # Tile by tile, so that no pixel's place takes a division.
                for tile in range(tiles_y * tiles_x):
                    y = tile // tiles_x * (BLOCK // TILE_W) + lane // TILE_W
                    x = tile % tiles_x * TILE_W + lane % TILE_W
                    mask = (y < height) & (x < width)
                    # Beyond the end: the first pixel, which is not counted.
                    row, column = (
                        index_of(tl.where(mask, y, 0), FAR),
                        index_of(tl.where(mask, x, 0), FAR),
                    )
                    pixel_ptr = plane_ptr + (row * stride_y + column * stride_x)
                    r, g, b = load_pixel(pixel_ptr, stride_c, RGB)
                    if BYTE:
                        r, g, b = r * unit, g * unit, b * unit
                    for earlier in range(s):
                        earlier_ptr = view_steps_ptr + earlier * STEP_WORDS
                        kind = load_int(earlier_ptr + KIND_AT)
                        if kind != NONE:
                            r, g, b = colour_step(
                                r, g, b, kind, earlier_ptr + ARG_AT, curves_ptr,
                                y, x, width, channel, CHANNELS, BYTE,
                            )  # fmt: skip
                    if statistic == MEAN:
                        grey = r
                        if RGB:
                            grey = r * RED + g * GREEN + b * BLUE
                        # Kahan's sum: what a total of thousands loses of a term is added to the
                        # next. A mean is then off by less than 1e-6 of it, whatever the window.
                        term = tl.where(mask, grey, 0.0) - lost
                        sum_ = total + term
                        lost = (sum_ - total) - term
                        total = sum_
                    elif statistic == RANGE:
                        low_r = tl.minimum(low_r, tl.where(mask, r, INFINITY))
                        high_r = tl.maximum(high_r, tl.where(mask, r, -INFINITY))
                        if RGB:
                            low_g = tl.minimum(low_g, tl.where(mask, g, INFINITY))
                            high_g = tl.maximum(high_g, tl.where(mask, g, -INFINITY))
                            low_b = tl.minimum(low_b, tl.where(mask, b, INFINITY))
                            high_b = tl.maximum(high_b, tl.where(mask, b, -INFINITY))
                    else:
                        bins_r += _histogram(r, entries, mask, BYTE)
                        if RGB:
                            bins_g += _histogram(g, entries, mask, BYTE)
                            bins_b += _histogram(b, entries, mask, BYTE)
                if not RGB:
                    # What is measured is each channel's, and the next one's begins anew.
                    curve_ptr = curve_of(arg_ptr, curves_ptr, channel, CHANNELS)
                    if statistic == MEAN:
                        _mean_curve(
                            curve_ptr,
                            measure_ptr + OFFSETS_AT,
                            tl.sum(total, keep_dims=True),
                            count,
                        )
                        total, lost = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
                    else:
                        if statistic == RANGE:
                            _stretch_curve(curve_ptr, low_r, high_r, BYTE)
                        else:
                            _equalize(curve_ptr, bins_r)
                        low_r = tl.full([BLOCK], INFINITY, tl.float32)
                        high_r = -low_r
                        bins_r = tl.zeros([CURVE_ENTRIES], tl.int32)
            if statistic == MEAN:
                if RGB:
                    values = count.to(tl.float32)
                    _scale_offsets(
                        arg_ptr, measure_ptr + OFFSETS_AT, tl.sum(total, keep_dims=True), values
                    )
                else:
                    _set_kind(step_ptr, GAINS)
            elif statistic == RANGE:
                if RGB:
                    _start_stretch(step_ptr, BYTE)
                    tl.debug_barrier()
                    _stretch(arg_ptr, 0, low_r, high_r, BYTE)
                    _stretch(arg_ptr, 1, low_g, high_g, BYTE)
                    _stretch(arg_ptr, 2, low_b, high_b, BYTE)
                else:
                    _set_kind(step_ptr, CURVE if BYTE else GAINS)
            else:
                if RGB:
                    curve_ptr = curve_of(arg_ptr, curves_ptr, 0, CHANNELS)
                    _equalize(curve_ptr, bins_r)
                    _equalize(curve_ptr + CURVE_ENTRIES, bins_g)
                    _equalize(curve_ptr + 2 * CURVE_ENTRIES, bins_b)
            # All threads read below, or in the next turn, what some have written.
            tl.debug_barrier()


@triton.jit
def _histogram(values, entries, mask, BYTE: tl.constexpr):
    """How often each entry of a curve is that of the values, or if `entries`, one of them."""
    if entries:
        bins = values.to(tl.int32)
    else:
        bins = entry_of(values, BYTE)
    return tl.histogram(bins, CURVE_ENTRIES, mask=mask)


@triton.jit
def _scale_offsets(arg_ptr, offsets_ptr, total, values):
    """A matrix's offsets ← the plan's, times the mean."""
    mean = tl.div_rn(total, values + tl.zeros_like(total))
    zero = tl.arange(0, 1)  # a block of one, as the mean is
    for row in tl.static_range(3):
        offset = mean * tl.load(offsets_ptr + row + zero)
        tl.store(arg_ptr + (MATRIX_COLUMNS * row + MATRIX_OFFSET) + zero, offset)


@triton.jit
def _start_stretch(step_ptr, BYTE: tl.constexpr):
    """The step without what a range gives it: a TONE that inverts nothing, in steps of one, or a
    MATRIX of zeros."""
    word = tl.arange(0, 16)
    kind = (TONE if BYTE else MATRIX) + tl.zeros([16], tl.int32)
    words = tl.zeros([16], tl.float32)
    if BYTE:
        # Threshold, step and inverse step stand before the lows.
        words = tl.where(word < ARG_AT + TONE_LOW, 1.0, 0.0)
        words = tl.where(word == ARG_AT + TONE_THRESHOLD, NO_THRESHOLD, words)
    words = tl.where(word == KIND_AT, kind.to(tl.float32, bitcast=True), words)
    tl.store(step_ptr + word, words, word < STEP_WORDS)


@triton.jit
def _stretch(arg_ptr, channel: tl.constexpr, low, high, BYTE: tl.constexpr):
    """A channel's part of the step that takes its lowest value to 0 and its highest to 1."""
    low, high = tl.min(low, keep_dims=True), tl.max(high, keep_dims=True)
    arg_ptr += tl.arange(0, 1)  # a block of one, as the values are
    if BYTE:
        low, high = curve_entry(low), curve_entry(high)
        tl.store(arg_ptr + (TONE_LOW + channel), stretch_low(low, high))
        tl.store(arg_ptr + (TONE_SCALE + channel), stretch_scale(low, high))
    else:
        gain = stretch_gain(low, high)
        row_ptr = arg_ptr + MATRIX_COLUMNS * channel
        tl.store(row_ptr + channel, gain)
        tl.store(row_ptr + MATRIX_OFFSET, stretch_offset(low, high, gain))


@triton.jit
def _set_kind(step_ptr, kind):
    """The step's kind ← `kind`."""
    words = (kind + tl.zeros([1], tl.int32)).to(tl.float32, bitcast=True)
    tl.store(step_ptr + KIND_AT + tl.arange(0, 1), words)


@triton.jit
def _mean_curve(curve_ptr, offsets_ptr, total, count):
    """A channel's row of curves ← a matrix's gain, and its offset times the mean."""
    zero = tl.arange(0, 1)  # a block of one, as the total is
    mean = tl.div_rn(total, count.to(tl.float32) + tl.zeros_like(total))
    tl.store(curve_ptr + GAIN_AT + zero, tl.load(offsets_ptr + 1 + zero))
    tl.store(curve_ptr + OFFSET_AT + zero, mean * tl.load(offsets_ptr + zero))


@triton.jit
def _stretch_curve(curve_ptr, low, high, BYTE: tl.constexpr):
    """A channel's row of curves that takes its lowest value to 0 and its highest to 1: entries for
    bytes, or a gain and an offset."""
    low, high = tl.min(low, keep_dims=True), tl.max(high, keep_dims=True)
    if BYTE:
        low, high = curve_entry(low), curve_entry(high)
        entry = tl.arange(0, CURVE_ENTRIES).to(tl.float32)
        byte = stretched(entry, stretch_low(low, high), stretch_scale(low, high))
        tl.store(curve_ptr + tl.arange(0, CURVE_ENTRIES), from_byte(byte))
    else:
        gain = stretch_gain(low, high)
        curve_ptr += tl.arange(0, 1)  # a block of one, as the values are
        tl.store(curve_ptr + GAIN_AT, gain)
        tl.store(curve_ptr + OFFSET_AT, stretch_offset(low, high, gain))


@triton.jit
def _equalize(curve_ptr, bins):
    """A curve [256] ← what equalizes the counts `bins`, all in int32."""
    entry = tl.arange(0, CURVE_ENTRIES)
    last = tl.max(tl.where(bins > 0, entry, 0), keep_dims=True)
    step = tl.sum(tl.where(entry == last, 0, bins), keep_dims=True) // (CURVE_ENTRIES - 1)
    byte = equalized(entry, tl.cumsum(bins) - bins, step)
    tl.store(curve_ptr + entry, tl.div_rn(byte.to(tl.float32), 255.0))
