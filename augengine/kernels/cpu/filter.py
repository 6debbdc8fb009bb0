"""Filters in numba, of the pictures that views of views look at; `reference.filter` says what
they mean.

Pictures are packed, (n, H, W, C), so a row is one line of W · C values whose neighbour in x is C
values away. All loops are float32 and write one line, or a few.
"""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np
from numba import njit

from ...plan.kinds import (
    FILTER_FACTOR,
    FILTER_KIND,
    FILTER_REACH_X,
    FILTER_REACH_Y,
    FILTER_SIGMA,
    GAUSSIAN,
    SHADE,
    SHARPNESS,
)
from .convolve import ACROSS, ALONG, LINES, addresses, weigh_line, weigh_lines
from .formulas import (
    HALF,
    ONE,
    ZERO,
    clamp,
    f32,
    half_up,
    inlined,
    not_inlined,
    sharpened,
    smoothed,
)
from .memory import address_of, floats, keep, values
from .shaped import shade_row, weigh_row

SPARE = 64  # bytes behind the last picture that is read, for vector loads that reach over its end
# Deviations beyond which a Gaussian's taps add nothing: to a float32 not its last bit, to a byte before it
# is rounded less than a 300th in all.
FAR, FAR_OF_BYTES = 5.7, 4.5
MAX_BYTE = f32(255)
# By address: LINES lines of floats or more that lie `pitch` bytes apart, each with room for what a filter
# reaches on both sides; a line of sums; two tables of addresses and two of weights, along y and along x.
Scratch = namedtuple("Scratch", "lines pitch sums sources_y sources_x weights_y weights_x")


@njit(nogil=True, error_model="numpy")
def filter_pictures(
    begin, end, sample_value, item, most, source, out, height, width, channels, filters, shapes,
    shape_lines, shape_taps,
):  # fmt: skip
    """Filter the pictures begin … end − 1 of those at address `source`, behind whose last there are SPARE
    bytes, to address `out`. Both are packed, (n, H, W, C).

    sample_value: a value of their dtype, of `item` bytes. most: the largest value, 255 or 1. filters:
    [n, 4], a plan's. shapes: Shapes, of which `longest_of` gives the last two.
    """
    count = width * channels
    longest = 0
    for i in range(begin, end):
        if filters[i, FILTER_KIND] == GAUSSIAN:
            reach_x, reach_y = _reaches(filters[i], height, width, most)
            longest = max(longest, reach_x, reach_y)
        longest = max(longest, shapes.reach[i])
    padded, taps = count + 2 * longest * channels + ALONG, 2 * (longest + LINES) + 1
    lines_size, sums_size = max(LINES, shape_lines) * padded, count + ALONG
    memory = np.zeros(lines_size + sums_size + 2 * taps, np.float32)
    tables = np.empty(taps + max(taps, shape_taps), np.int64)
    lines, columns = address_of(memory), address_of(tables)
    sums = lines + 4 * lines_size
    weights_y = sums + 4 * sums_size
    scratch = Scratch(
        lines, 4 * padded, sums, columns + 8 * taps, columns, weights_y, weights_y + 4 * taps
    )
    pitch = count * item
    for i in range(begin, end):
        picture, target = source + i * height * pitch, out + i * height * pitch
        kind, sigma = filters[i, FILTER_KIND], filters[i, FILTER_SIGMA]
        if kind == SHARPNESS and height >= 3 and width >= 3:
            factor = filters[i, FILTER_FACTOR]
            _copy_line(picture, target, sample_value, count)
            last = (height - 1) * pitch
            _copy_line(picture + last, target + last, sample_value, count)
            for y in range(1, height - 1):
                row, to = picture + y * pitch, target + y * pitch
                if item == 1:
                    _sharpen_bytes(row, count, channels, factor, lines, to)
                else:
                    _sharpen_floats(row, count, channels, factor, lines, to)
        elif kind == GAUSSIAN and sigma > 0:
            reach_x, reach_y = _reaches(filters[i], height, width, most)
            _weigh(scratch.weights_y, sigma, reach_y)
            _weigh(scratch.weights_x, sigma, reach_x)
            _blur(
                picture, target, sample_value, item, most, height, width, channels, reach_y,
                reach_x, scratch,
            )  # fmt: skip
        elif shapes.first[i] < shapes.first[i + 1]:
            for y in range(height):
                weigh_row(
                    picture, y, height, width, channels, pitch, sample_value, shapes, i, scratch
                )
                _write_line(sums, target + y * pitch, sample_value, count, most)
        elif kind == SHADE:
            for y in range(height):
                row = picture + y * pitch
                shade_row(row, y, width, channels, sample_value, shapes.edges[i], sums)
                _write_line(sums, target + y * pitch, sample_value, count, most)
        else:
            for y in range(height):
                _copy_line(picture + y * pitch, target + y * pitch, sample_value, count)
    keep((memory, tables))


@inlined
def _reaches(row, height, width, most):
    """How far a plan's blur [4] reaches along x and y: a reflection no further than the picture."""
    far = f32(math.ceil(row[FILTER_SIGMA] * (FAR if most == ONE else FAR_OF_BYTES)))
    return (
        int(min(row[FILTER_REACH_X], f32(width - 1), far)),
        int(min(row[FILTER_REACH_Y], f32(height - 1), far)),
    )


@not_inlined
def _weigh(weights, sigma, reach):
    """The table of weights exp(−½ (d / sigma)²) for the distances d up to the reach on both sides, their
    sum 1, between LINES − 1 zeros on either side."""
    table, before, total = floats(weights, 2 * (reach + LINES) - 1), LINES - 1, 0.0
    for t in range(2 * reach + 1):
        total += math.exp(-0.5 * ((t - reach) / sigma) ** 2)
    for k in range(before):
        table[k], table[before + 2 * reach + 1 + k] = ZERO, ZERO
    for t in range(2 * reach + 1):
        table[before + t] = f32(math.exp(-0.5 * ((t - reach) / sigma) ** 2) / total)


@not_inlined
def _blur(
    picture, target, sample_value, item, most, height, width, channels, reach_y, reach_x, scratch
):
    """A picture blurred along y, some lines at a time, and these along x."""
    count, before = width * channels, 4 * (LINES - 1)
    pitch, taps_y, taps_x = count * item, 2 * reach_y + LINES, 2 * reach_x + 1
    rows, columns = addresses(scratch.sources_y, taps_y), addresses(scratch.sources_x, taps_x)
    for t in range(taps_x):
        columns[t] = scratch.lines + 4 * t * channels
    middle = scratch.lines + 4 * reach_x * channels
    for y in range(0, height, LINES):
        for t in range(taps_y):
            # Lines below the picture, of which nothing is written, weigh any row.
            row = min(y + t - reach_y, height - 1 + reach_y)
            rows[t] = picture + _reflected(row, height) * pitch
        for x in range(0, count, ACROSS):
            weigh_lines(
                middle + 4 * x, scratch.pitch, scratch.sources_y, x * item, taps_y,
                scratch.weights_y + before, sample_value,
            )  # fmt: skip
        for j in range(min(LINES, height - y)):
            line = j * scratch.pitch
            _reflect_ends(scratch.lines + line, reach_x, width, channels)
            for x in range(0, count, ALONG):
                weigh_line(
                    scratch.sums + 4 * x, scratch.sources_x, line + 4 * x, taps_x,
                    scratch.weights_x + before, ZERO,
                )  # fmt: skip
            _write_line(scratch.sums, target + (y + j) * pitch, sample_value, count, most)


@inlined
def _reflected(row, size):
    """The row of `size` that a row up to size − 1 beyond its ends mirrors."""
    row = abs(row)
    return 2 * (size - 1) - row if row >= size else row


@not_inlined
def _copy_line(source, to, sample_value, count):
    old, new = values(source, count, sample_value), values(to, count, sample_value)
    for j in range(count):
        new[j] = old[j]


@not_inlined
def _reflect_ends(line, reach, width, channels):
    """Fill `reach` pixels on both sides of a line whose own values start behind the first ones."""
    padded = floats(line, (width + 2 * reach) * channels)
    for d in range(1, reach + 1):
        for c in range(channels):
            left, right = reach * channels + c, (reach + width - 1) * channels + c
            padded[left - d * channels] = padded[left + d * channels]
            padded[right + d * channels] = padded[right - d * channels]


@not_inlined
def _write_line(line, to, sample_value, count, most):
    """Clamped floats to values of `sample_value`'s type, bytes rounded half up."""
    old, new = floats(line, count), values(to, count, sample_value)
    if most == ONE:
        for j in range(count):
            new[j] = min(max(old[j], ZERO), most)
    else:
        for j in range(count):
            new[j] = np.int32(min(max(old[j], ZERO), most) + HALF)


# A line blended with its smoothing, but for the pixels at its ends, which stay. columns: the address of a
# line of scratch. to: the address of the new line


@not_inlined
def _sharpen_bytes(here, count, channels, factor, columns, to):
    """Sums of bytes are whole numbers, twice as many to a vector as floats."""
    byte, word = np.uint8(0), np.uint16(0)
    above, below = values(here - count, count, byte), values(here + count, count, byte)
    old, new, sums = (
        values(here, count, byte),
        values(to, count, byte),
        values(columns, count, word),
    )
    for j in range(count):
        sums[j] = np.uint16(above[j]) + np.uint16(old[j]) + np.uint16(below[j])
    for c in range(channels):
        new[c], new[count - 1 - c] = old[c], old[count - 1 - c]
    inner = count - 2 * channels
    left, middle = values(columns, inner, word), values(columns + 2 * channels, inner, word)
    right = values(columns + 4 * channels, inner, word)
    kept, changed = values(here + channels, inner, byte), values(to + channels, inner, byte)
    for j in range(inner):
        value, around = f32(kept[j]), f32(np.uint16(left[j] + middle[j] + right[j]))
        # PIL rounds what it smooths before it blends.
        sharp = sharpened(value, half_up(smoothed(around, value)), factor)
        changed[j] = np.int32(min(max(sharp, ZERO), MAX_BYTE) + HALF)


@not_inlined
def _sharpen_floats(here, count, channels, factor, columns, to):
    pitch, skip, inner = 4 * count, 4 * channels, count - 2 * channels
    above, below = floats(here - pitch, count), floats(here + pitch, count)
    old, new, sums = floats(here, count), floats(to, count), floats(columns, count)
    for j in range(count):
        sums[j] = above[j] + old[j] + below[j]
    for c in range(channels):
        new[c], new[count - 1 - c] = clamp(old[c]), clamp(old[count - 1 - c])
    left, middle = floats(columns, inner), floats(columns + skip, inner)
    right, kept = floats(columns + 2 * skip, inner), floats(here + skip, inner)
    changed = floats(to + skip, inner)
    for j in range(inner):
        smooth = smoothed(left[j] + middle[j] + right[j], kept[j])
        changed[j] = clamp(sharpened(kept[j], smooth, factor))
