"""Blur and sharpness in numba, of the pictures that views of views look at; `reference.filter` says what
they mean.

Pictures are packed, (n, H, W, C), so a row is one line of W · C values whose neighbour in x is C
values away. All loops are float32 and write one line.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit

from ...plan.kinds import (
    FILTER_FACTOR,
    FILTER_KIND,
    FILTER_REACH_X,
    FILTER_REACH_Y,
    FILTER_SIGMA,
    GAUSSIAN,
    SHARPNESS,
)
from .formulas import HALF, ONE, ZERO, f32, half_up, not_inlined, sharpened, smoothed
from .memory import address_of, floats, keep, values


def filtered(pictures: torch.Tensor, filters, spread) -> torch.Tensor:
    """The filtered pictures, in memory of their own.

    pictures: (n, H, W, C), uint8 or float32 in [0, 1]. filters: [n, 4], a plan's. spread: as the
    executor's.
    """
    pictures = pictures.contiguous()
    out = torch.empty_like(pictures)
    byte = pictures.dtype == torch.uint8
    sample_value = np.uint8(0) if byte else np.float32(0)
    most = f32(255 if byte else 1)
    filters = np.ascontiguousarray(filters, np.float32)
    spread(
        lambda begin, end: _filter(
            begin, end, sample_value, sample_value.itemsize, most, pictures.data_ptr(),
            out.data_ptr(), *pictures.shape[1:], filters,
        ),
        len(pictures),
    )  # fmt: skip
    return out


@njit(nogil=True, error_model="numpy")
def _filter(begin, end, sample_value, item, most, source, out, height, width, channels, filters):
    """Filter the pictures begin … end − 1 from address `source` to address `out`.

    sample_value: a value of their dtype, of `item` bytes. most: the largest value, 255 or 1.
    """
    count = width * channels
    longest = 0
    for i in range(begin, end):
        if filters[i, FILTER_KIND] == GAUSSIAN:
            reach = max(filters[i, FILTER_REACH_X], filters[i, FILTER_REACH_Y])
            longest = max(longest, int(min(reach, f32(max(height, width)))))
    memory = np.empty(2 * (count + 2 * longest * channels), np.float32)
    weights = np.empty(2 * longest + 1, np.float32)
    line, pitch = address_of(memory), count * item
    sums = line + 2 * memory.size
    for i in range(begin, end):
        picture, target = source + i * height * pitch, out + i * height * pitch
        kind, sigma = filters[i, FILTER_KIND], filters[i, FILTER_SIGMA]
        if kind == SHARPNESS and height >= 3 and width >= 3:
            factor = filters[i, FILTER_FACTOR]
            _copy_line(picture, target, sample_value, count)
            last = (height - 1) * pitch
            _copy_line(picture + last, target + last, sample_value, count)
            for y in range(1, height - 1):
                _sharpen_line(
                    picture + y * pitch, sample_value, count, pitch, channels, factor, most, line,
                    sums,
                )  # fmt: skip
                _write_line(sums, target + y * pitch, sample_value, count, most)
        elif kind == GAUSSIAN and sigma > 0:
            reach_x = int(min(filters[i, FILTER_REACH_X], f32(width - 1)))
            reach_y = int(min(filters[i, FILTER_REACH_Y], f32(height - 1)))
            for y in range(height):
                _weigh(weights, sigma, reach_y)
                middle = line + 4 * reach_x * channels
                _zero_line(middle, count)
                for t in range(2 * reach_y + 1):
                    row = _reflected(y + t - reach_y, height)
                    _add_line(picture + row * pitch, middle, sample_value, count, weights[t])
                _reflect_ends(line, reach_x, width, channels)
                _weigh(weights, sigma, reach_x)
                _scale_line(line, sums, count, weights[0])
                for t in range(1, 2 * reach_x + 1):
                    _add_floats(line + 4 * t * channels, sums, count, weights[t])
                _write_line(sums, target + y * pitch, sample_value, count, most)
        else:
            for y in range(height):
                _copy_line(picture + y * pitch, target + y * pitch, sample_value, count)
    keep((memory, weights))


@njit(nogil=True, error_model="numpy")
def _weigh(weights, sigma, reach):
    """The first 2 · reach + 1 weights: exp(−½ (d / sigma)²), their sum 1."""
    total = 0.0
    for t in range(2 * reach + 1):
        total += math.exp(-0.5 * ((t - reach) / sigma) ** 2)
    for t in range(2 * reach + 1):
        weights[t] = f32(math.exp(-0.5 * ((t - reach) / sigma) ** 2) / total)


@njit(nogil=True, error_model="numpy")
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
def _zero_line(line, count):
    new = floats(line, count)
    for j in range(count):
        new[j] = ZERO


@not_inlined
def _add_line(source, line, sample_value, count, weight):
    old, new = values(source, count, sample_value), floats(line, count)
    for j in range(count):
        new[j] += weight * f32(old[j])


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
def _scale_line(line, to, count, weight):
    old, new = floats(line, count), floats(to, count)
    for j in range(count):
        new[j] = weight * old[j]


@not_inlined
def _add_floats(line, to, count, weight):
    old, new = floats(line, count), floats(to, count)
    for j in range(count):
        new[j] += weight * old[j]


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


@not_inlined
def _sharpen_line(here, sample_value, count, pitch, channels, factor, most, column, out):
    """out ← a line blended with its smoothing, but for the pixels at its ends, which stay."""
    above, below = (
        values(here - pitch, count, sample_value),
        values(here + pitch, count, sample_value),
    )
    centre, columns = values(here, count, sample_value), floats(column, count)
    for j in range(count):
        columns[j] = f32(above[j]) + f32(centre[j]) + f32(below[j])
    inner, step = count - 2 * channels, 4 * channels
    left, middle = floats(column, inner), floats(column + step, inner)
    right, new = floats(column + 2 * step, inner), floats(out + step, inner)
    kept, ends = values(here + channels * (pitch // count), inner, sample_value), floats(out, count)
    for c in range(channels):
        ends[c], ends[count - 1 - c] = f32(centre[c]), f32(centre[count - 1 - c])
    if most == ONE:
        for j in range(inner):
            value = f32(kept[j])
            smooth = smoothed(left[j] + middle[j] + right[j], value)
            new[j] = sharpened(value, smooth, factor)
    else:
        for j in range(inner):
            value = f32(kept[j])
            # PIL rounds what it smooths before it blends.
            smooth = half_up(smoothed(left[j] + middle[j] + right[j], value))
            new[j] = sharpened(value, smooth, factor)
