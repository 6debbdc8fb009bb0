"""Filters of any kernel, tap by tap, and shadows, in numba: a row at a time, for `filter`."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ...plan.kinds import FILTER_KIND, SHADE
from ..weights import WEIGHED, edge_of_shade, taps_of_filter
from .convolve import ALONG, addresses, weigh_line
from .formulas import HALF, ZERO, f32, inlined, not_inlined, shaded
from .memory import address_of, floats, values

# What the kernels of pictures weigh: those of picture i are the taps first[i] … first[i + 1] − 1, by rows.
# reach: [n] pixels. edges: [n, 4] of shadows.
Shapes = namedtuple("Shapes", "first dy dx weight reach edges")


def shapes_of(filters) -> Shapes:
    """Of a plan's filters [n, 4]; those of another kind have no taps."""
    taps = [taps_of_filter(row) for row in filters if row[FILTER_KIND] in WEIGHED]
    weighed = np.isin(filters[:, FILTER_KIND], WEIGHED)
    counts, reach = np.zeros(len(filters), np.int64), np.zeros(len(filters), np.int64)
    counts[weighed] = [len(some.weight) for some in taps]
    reach[weighed] = [max(np.abs(some.dy).max(), np.abs(some.dx).max()) for some in taps]
    edges = np.zeros((len(filters), 4), np.float32)
    for i in np.flatnonzero(filters[:, FILTER_KIND] == SHADE):
        edges[i] = edge_of_shade(filters[i])

    def joined(name, dtype):
        return np.concatenate([np.zeros(0, dtype), *(getattr(some, name) for some in taps)])

    return Shapes(
        np.concatenate([[0], np.cumsum(counts)]), joined("dy", np.int32), joined("dx", np.int32),
        joined("weight", np.float32), reach, edges,
    )  # fmt: skip


def longest_of(shapes: Shapes, height: int) -> tuple[int, int]:
    """Of pictures of that height: how many lines their kernels look at, at most, and how many taps they
    have."""
    most = int(shapes.reach.max(initial=0))
    return min(height, 2 * most + 1), int(np.diff(shapes.first).max(initial=0))


@inlined
def weigh_row(picture, y, height, width, channels, pitch, sample_value, shapes, i, scratch):
    """scratch.sums ← row y of picture i, each value the sum of weighed neighbours. Rows are drawn from 0 on.

    picture: its address. pitch: the bytes of a row.
    """
    count, reach, first = width * channels, shapes.reach[i], shapes.first[i]
    taps, weights = shapes.first[i + 1] - first, address_of(shapes.weight) + 4 * first
    # A row has its place among the lines until the last one that looks at it is drawn.
    places = min(height, 2 * reach + 1)
    for row in range(min(y + reach, height) if y > 0 else 0, min(y + reach + 1, height)):
        line = scratch.lines + row % places * scratch.pitch
        _pad_line(picture + row * pitch, sample_value, width, channels, reach, line)
    sources = addresses(scratch.sources_y, taps)
    previous, line = shapes.dy[first] - 1, scratch.lines
    for t in range(taps):
        if shapes.dy[first + t] != previous:
            previous = shapes.dy[first + t]
            line = scratch.lines + folded(y + previous, height) % places * scratch.pitch
        sources[t] = line + 4 * (reach + shapes.dx[first + t]) * channels
    for x in range(0, count, ALONG):
        weigh_line(scratch.sums + 4 * x, scratch.sources_y, 4 * x, taps, weights, ZERO)


@not_inlined
def folded(coordinate, size):
    """The pixel of `size` that a mirrored border shows there, mirrored as often as it takes."""
    period = max(2 * (size - 1), 1)
    coordinate = abs(coordinate) % period
    return period - coordinate if coordinate >= size else coordinate


@not_inlined
def _pad_line(source, sample_value, width, channels, reach, line):
    """line ← the values of a row, with `reach` mirrored pixels on both sides."""
    count = width * channels
    old, new = values(source, count, sample_value), floats(line + 4 * reach * channels, count)
    for j in range(count):
        new[j] = f32(old[j])
    padded = floats(line, count + 2 * reach * channels)
    for d in range(reach):
        left, right = folded(d - reach, width), folded(width + d, width)
        for c in range(channels):
            padded[d * channels + c] = f32(old[left * channels + c])
            padded[(reach + width + d) * channels + c] = f32(old[right * channels + c])


@not_inlined
def shade_row(row, y, width, channels, sample_value, edge, sums):
    """sums ← a row in the light and in the shadow. row: its address. edge: [4]."""
    old, new = values(row, width * channels, sample_value), floats(sums, width * channels)
    across_x, across_y, offset, gain = edge[0], edge[1], edge[2], edge[3]
    for x in range(width):
        for c in range(channels):
            j = x * channels + c
            new[j] = shaded(
                f32(old[j]), f32(x) + HALF, f32(y) + HALF, across_x, across_y, offset, gain
            )
