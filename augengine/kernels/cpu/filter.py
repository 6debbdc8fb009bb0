"""`filter` in numba: blur and sharpness of the pictures that views of views look at.

Pictures are packed, (n, H, W, C), so a row is one line of W · C values whose neighbour in x is C
values away. All loops are float32 and write one line.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numba import njit

from ...plan.kinds import GAUSSIAN, SHARPNESS
from .formulas import HALF, ONE, ZERO, apart, f32, half_up, sharpened, smoothed
from .memory import address_of, floats, keep, values


def filtered(pictures: torch.Tensor, filters, spread) -> torch.Tensor:
    """The filtered pictures, in memory of their own."""
    pictures = pictures.contiguous()
    out = torch.empty_like(pictures)
    byte = pictures.dtype == torch.uint8
    like = np.uint8(0) if byte else np.float32(0)
    most = f32(255 if byte else 1)
    filters = np.ascontiguousarray(filters, np.float32)
    spread(
        lambda begin, end: _filter(
            begin, end, like, like.itemsize, most, pictures.data_ptr(), out.data_ptr(),
            *pictures.shape[1:], filters,
        ),
        len(pictures),
    )  # fmt: skip
    return out


@njit(nogil=True, error_model="numpy", cache=True)
def _filter(begin, end, like, item, most, source, out, height, width, channels, filters):
    count = width * channels
    longest = 0
    for i in range(begin, end):
        if filters[i, 0] == GAUSSIAN:
            longest = max(longest, int(max(filters[i, 2], filters[i, 3])))
    memory = np.empty(2 * (count + 2 * longest * channels), np.float32)
    weights = np.empty(2 * longest + 1, np.float32)
    line, pitch = address_of(memory), count * item
    sums = line + 2 * memory.size
    for i in range(begin, end):
        at, to = source + i * height * pitch, out + i * height * pitch
        kind = filters[i, 0]
        if kind == SHARPNESS and height >= 3 and width >= 3:
            _copy_line(at, to, like, count)
            _copy_line(at + (height - 1) * pitch, to + (height - 1) * pitch, like, count)
            for y in range(1, height - 1):
                _sharpen_line(
                    at + y * pitch, like, count, pitch, channels, filters[i, 1], most, line, sums
                )
                _write_line(sums, to + y * pitch, like, count, most)
        elif kind == GAUSSIAN and filters[i, 1] > 0:
            reach_x = min(int(filters[i, 2]), width - 1)
            reach_y = min(int(filters[i, 3]), height - 1)
            for y in range(height):
                _weigh(weights, filters[i, 1], reach_y)
                middle = line + 4 * reach_x * channels
                _zero_line(middle, count)
                for t in range(2 * reach_y + 1):
                    row = _reflected(y + t - reach_y, height)
                    _add_line(at + row * pitch, middle, like, count, weights[t])
                _reflect_ends(line, reach_x, width, channels)
                _weigh(weights, filters[i, 1], reach_x)
                _scale_line(line, sums, count, weights[0])
                for t in range(1, 2 * reach_x + 1):
                    _add_floats(line + 4 * t * channels, sums, count, weights[t])
                _write_line(sums, to + y * pitch, like, count, most)
        else:
            for y in range(height):
                _copy_line(at + y * pitch, to + y * pitch, like, count)
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
def _reflected(at, size):
    at = abs(at)
    return 2 * (size - 1) - at if at >= size else at


@apart
def _copy_line(source, to, like, count):
    old, new = values(source, count, like), values(to, count, like)
    for j in range(count):
        new[j] = old[j]


@apart
def _zero_line(line, count):
    new = floats(line, count)
    for j in range(count):
        new[j] = ZERO


@apart
def _add_line(source, line, like, count, weight):
    old, new = values(source, count, like), floats(line, count)
    for j in range(count):
        new[j] += weight * f32(old[j])


@apart
def _reflect_ends(line, reach, width, channels):
    """Fill `reach` pixels on both sides of a line whose own values start behind the first ones."""
    padded = floats(line, (width + 2 * reach) * channels)
    for d in range(1, reach + 1):
        for c in range(channels):
            left, right = reach * channels + c, (reach + width - 1) * channels + c
            padded[left - d * channels] = padded[left + d * channels]
            padded[right + d * channels] = padded[right - d * channels]


@apart
def _scale_line(line, to, count, weight):
    old, new = floats(line, count), floats(to, count)
    for j in range(count):
        new[j] = weight * old[j]


@apart
def _add_floats(line, to, count, weight):
    old, new = floats(line, count), floats(to, count)
    for j in range(count):
        new[j] += weight * old[j]


@apart
def _write_line(line, to, like, count, most):
    """Clamped floats to values of `like`'s type, bytes rounded half up."""
    old, new = floats(line, count), values(to, count, like)
    if most == ONE:
        for j in range(count):
            new[j] = min(max(old[j], ZERO), most)
    else:
        for j in range(count):
            new[j] = np.int32(min(max(old[j], ZERO), most) + HALF)


@apart
def _sharpen_line(here, like, count, pitch, channels, factor, most, column, out):
    """out ← a line blended with its smoothing, but for the pixels at its ends, which stay."""
    above, below = values(here - pitch, count, like), values(here + pitch, count, like)
    centre, columns = values(here, count, like), floats(column, count)
    for j in range(count):
        columns[j] = f32(above[j]) + f32(centre[j]) + f32(below[j])
    inner, step = count - 2 * channels, 4 * channels
    left, middle = floats(column, inner), floats(column + step, inner)
    right, new = floats(column + 2 * step, inner), floats(out + step, inner)
    kept, ends = values(here + channels * (pitch // count), inner, like), floats(out, count)
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
