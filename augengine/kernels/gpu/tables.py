"""What the GPU kernels read of a plan: a few tables of 32-bit words, and what their rows hold.

Formed in NumPy and with no device in sight.
"""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import numpy as np
import torch

from ...plan import Plan
from ...plan.kinds import (
    ADD_BELOW,
    CONSTANT,
    CURVE,
    CURVE_ROW,
    FILTER_FACTOR,
    FILTER_KIND,
    FILTER_REACH_X,
    FILTER_REACH_Y,
    FILTER_SIGMA,
    GAUSSIAN,
    MATRIX,
    MATRIX_GAINS,
    MATRIX_MIXES,
    MATRIX_OFFSETS,
    MEAN,
    MOTION,
    NO_VIEW,
    REFLECT,
    SHADE,
    SHARPNESS,
)
from ..passes import gaussian_weights
from ..statistics import takes_curves, window_pixels
from ..taps import taps_of
from ..weights import WEIGHED, Taps, edge_of_shade, taps_of_filter

# Where a row of each table holds what, in words. Whole numbers lie there as the bits of an int32; what
# has two entries has them along y, x.

# views: the matrix [9], the clip [4], the number of taps [2], the support [2] and its reciprocal [2],
# the least [2] and the most [2] that a first tap may be, the border, the first step that acts on the
# fill, whether the matrix is projective, the source, the slope of a cubic filter, whether the fill may
# show, where a tile's middle lies [4] if all of it lies well within the clip, the fill [C].
MATRIX_AT, CLIP_AT, TAPS_AT, SUPPORT_AT, RECIPROCAL_AT = 0, 9, 13, 15, 17
LEAST_AT, MOST_AT, BORDER_AT, FILL_START_AT, PROJECTIVE_AT = 19, 21, 23, 24, 25
SOURCE_AT, SLOPE_AT, FILL_SHOWS_AT, WITHIN_AT, FILL_AT = 26, 27, 28, 29, 33
# steps: the kind, and its arguments [12] in the plan's columns. A MATRIX of RGB that mixes no channels has
# a kind of its own.
KIND_AT, ARG_AT, STEP_WORDS = 0, 1, 13
DIAGONAL = 1 + ADD_BELOW  # the last of the plan's
# curves: the entries [256] of each of a curve's channels.
# layers: the view, the box [4], alpha, the colour [C].
VIEW_AT, BOX_AT, ALPHA_AT, COLOUR_AT = 0, 1, 5, 6
# measured_views: the number of a view whose steps wait for statistics; then for each step which
# statistic, its window [4] in whole pixels, and the offsets [3] of its matrix, which a mean scales; of
# other than RGB its offset and its gain.
MEASURED_VIEW_AT, MEASURES_AT = 0, 1
STATISTIC_AT, WINDOW_AT, OFFSETS_AT, MEASURE_WORDS = 0, 1, 5, 8
# filters: the kind, the factor of a sharpness, the reach [2] of a blur, then its weights at the
# distances 0, 1, … along y, and along x. Of a kernel of any shape, which has the kind MOTION: the number
# of its taps and its reach, then dy, dx and the weight of each. Of a shadow: its edge [4].
FILTER_AT, FACTOR_AT, REACH_AT, WEIGHTS_AT = 0, 1, 2, 4
TAPS_OF_KERNEL_AT, REACH_OF_KERNEL_AT, EDGE_AT = REACH_AT, REACH_AT + 1, WEIGHTS_AT
TAP_WORDS, EDGE_WORDS = 3, 4
# images, int64 and not in the buffer of a plan: an address, and strides along y, x and channel.
ADDRESS_AT, STRIDE_AT, ADDRESS_WORDS = 0, 1, 4

# Of an output, a program draws a tile: rows and columns, 512 pixels. To the interpreter each program is a
# dear one, so it has larger tiles, and the same for all widths.
TILES = ((4, 128), (8, 64), (16, 32))
TILE = (64, 64) if os.environ.get("TRITON_INTERPRET") == "1" else None

# Triton compiles anew for a pointer that is no multiple of 16, so none ever is.
ALIGNED = 16


class Table(NamedTuple):
    """Where a table lies in the buffer."""

    begin: int  # byte, a multiple of ALIGNED
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """The byte behind the table."""
        return self.begin + 4 * math.prod(self.shape)

    @property
    def words(self) -> slice:
        """The table's part of the buffer, as 32-bit words."""
        return slice(self.begin // 4, self.end // 4)

    def of(self, buffer: torch.Tensor) -> torch.Tensor:
        """The table, float32, as a view of the buffer or of a copy of it."""
        return buffer[self.begin : self.end].view(torch.float32).view(self.shape)


class Traits(NamedTuple):
    """What the views of a plan need of the kernel; code that none needs is left out of it."""

    projective: bool  # a matrix whose last row is not 0, 0, 1
    wide: bool  # a filter or clip that is not 2×2 taps
    borders: bool  # another border than CONSTANT
    fills: bool  # a fill that may show
    steps: bool  # colour steps
    layers: bool  # more than one view that fills its output


def traits(plan: Plan) -> Traits:
    """The traits of a plan, none of whose views looks at another."""
    output = np.array([0, 0, *plan.finish.size])
    single = plan.view.shape[1] == 1 and plan.view.min(initial=0) >= 0
    taps = taps_of(plan).counts
    return Traits(
        projective=bool(_projective(plan).any()),
        wide=bool((plan.support != 1).any() or (taps != 2).any()),
        borders=bool((plan.border != CONSTANT).any()),
        fills=bool(fill_shows(plan).any()),
        steps=bool(plan.step_kind.any() or plan.statistic.any()),
        layers=not (single and (plan.box == output).all() and (plan.alpha == 1).all()),
    )


def fill_shows(plan: Plan) -> np.ndarray:
    """[V] bool, whether a pixel of a view's output may lie outside of its clip.

    In the kernel's own arithmetic, of which each product and sum grows or falls with x and with y, as
    far as it is rounded: if the corners lie inside, all between them do.
    """
    m, clip = plan.inv_matrix[..., None].astype(np.float32), plan.clip[..., None]
    height, width = plan.finish.size
    half = np.float32(0.5)
    y = np.array([half, half, height - half, height - half], np.float32)
    x = np.array([half, width - half, half, width - half], np.float32)
    with np.errstate(all="ignore"):
        source_x, source_y = (
            (m[:, row, 0] * x + m[:, row, 1] * y) + m[:, row, 2] for row in (0, 1)
        )
    inside = (source_y >= clip[:, 0]) & (source_x >= clip[:, 1])
    inside &= (source_y <= clip[:, 2]) & (source_x <= clip[:, 3])
    inside &= (clip[:, 0] < clip[:, 2]) & (clip[:, 1] < clip[:, 3])
    # What is reflected about the centres of pixels leaves a clip that is narrower than one.
    known = ~_projective(plan) & (plan.border != REFLECT)
    return ~(inside.all(axis=1) & known)


def tile_for(width: int) -> tuple[int, int]:
    """Rows and columns of a tile: the widest that leaves the fewest of its columns empty. width: of an
    output, in pixels."""
    return TILE or min(TILES, key=lambda tile: -(-width // tile[1]) * tile[1])


def _projective(plan: Plan) -> np.ndarray:
    """[V] bool, whether a matrix has another last row than 0, 0, 1."""
    return np.asarray((plan.inv_matrix[:, 2] != [0, 0, 1]).any(axis=1))


def _within(plan: Plan, tile: tuple[int, int]) -> np.ndarray:
    """[V, 4], between which y, x and y, x the source point of a tile's middle lies if the whole tile lies in
    the clip and no tap of its pixels is moved; of a projective view nowhere."""
    rows, columns = tile
    height, width = plan.finish.size
    _, least, most = taps_of(plan)
    m = np.abs(plan.inv_matrix[:, [1, 0]].astype(np.float64))  # along y, x
    by_x, by_y, shift = m[..., 0], m[..., 1], m[..., 2]
    # More than a few roundings of float32 come to, anywhere in the output's tiles.
    error = 2.0**-20 * (by_x * (width + columns) + by_y * (height + rows) + shift + 1)
    half = ((columns - 1) * by_x + (rows - 1) * by_y) / 2 + error
    low = np.maximum(plan.clip[:, :2], least + 0.5) + half
    high = np.minimum(plan.clip[:, 2:], most + 1.5) - half
    nowhere = (low > high) | _projective(plan)[:, None]
    low[nowhere], high[nowhere] = np.inf, -np.inf
    return np.concatenate([low, high], axis=1)


def empty_tables(
    shapes: dict[str, tuple[int, ...]],
) -> tuple[torch.Tensor, dict[str, Table], dict[str, np.ndarray]]:
    """Tables of these shapes in one buffer: the buffer, a uint8 CPU tensor of zeros; where each table
    lies in it; and the tables as float32 arrays to fill."""
    tables: dict[str, Table] = {}
    end = 0
    for name, shape in shapes.items():
        tables[name] = Table(end, shape)
        end = -(-tables[name].end // ALIGNED) * ALIGNED
    buffer = torch.zeros(max(end, ALIGNED), dtype=torch.uint8)
    return buffer, tables, {name: table.of(buffer).numpy() for name, table in tables.items()}


def fill_views(views: np.ndarray, plan: Plan, tile: tuple[int, int]) -> None:
    """views [V, FILL_AT + C] ← the plan's views. tile: rows and columns that a program draws."""
    whole = views.view(np.int32)
    taps, least, most = taps_of(plan)
    views[:, MATRIX_AT:CLIP_AT] = plan.inv_matrix.reshape(-1, 9)
    views[:, CLIP_AT:TAPS_AT] = plan.clip
    support = plan.support[:, ::-1]  # along y, x, as all that follows
    whole[:, TAPS_AT:SUPPORT_AT] = taps
    views[:, SUPPORT_AT:RECIPROCAL_AT] = support
    views[:, RECIPROCAL_AT:LEAST_AT] = np.divide(
        np.float32(1), support, out=np.zeros_like(support), where=support > 0
    )
    views[:, LEAST_AT:MOST_AT], views[:, MOST_AT:BORDER_AT] = least, most
    whole[:, BORDER_AT], whole[:, FILL_START_AT] = plan.border, plan.fill_start
    whole[:, PROJECTIVE_AT] = _projective(plan)
    whole[:, FILL_SHOWS_AT] = fill_shows(plan)
    views[:, WITHIN_AT:FILL_AT] = _within(plan, tile)
    whole[:, SOURCE_AT] = plan.source
    views[:, SLOPE_AT] = plan.slope
    views[:, FILL_AT:] = plan.fill


def fill_steps(steps: np.ndarray, plan: Plan, first_curve: int) -> None:
    """steps [V, S, STEP_WORDS] ← the plan's steps. first_curve: the number of the first of the curves
    that are kept for those whose statistic becomes one."""
    kind = steps.view(np.int32)[..., KIND_AT]
    kind[...] = plan.step_kind
    steps[..., ARG_AT:] = plan.step_arg
    kind[plan.statistic == MEAN] = MATRIX
    if plan.finish.channels == 3:
        mixes = (plan.step_arg[..., list(MATRIX_MIXES)] != 0).any(axis=-1)
        kind[(kind == MATRIX) & ~mixes] = DIAGONAL
    rows = takes_curves(plan)
    kind[rows] = CURVE
    steps[rows, ARG_AT + CURVE_ROW] = first_curve + np.arange(np.count_nonzero(rows))


def fill_measured_views(rows: np.ndarray, plan: Plan, views: np.ndarray, first_view: int) -> None:
    """rows [n, MEASURES_AT + S · MEASURE_WORDS] ← what the steps of some views wait for.

    views: numbers [n] of those views in the plan. first_view: the number of the plan's view 0 in the
    tables.
    """
    rows.view(np.int32)[:, MEASURED_VIEW_AT] = first_view + views
    measures = rows[:, MEASURES_AT:].reshape(*plan.statistic[views].shape, MEASURE_WORDS)
    whole = measures.view(np.int32)
    whole[..., STATISTIC_AT] = plan.statistic[views]
    whole[..., WINDOW_AT:OFFSETS_AT] = window_pixels(plan.window[views])
    columns = list(MATRIX_OFFSETS)
    if plan.finish.channels != 3:
        columns[1] = MATRIX_GAINS[0]
    measures[..., OFFSETS_AT:] = plan.step_arg[views][..., columns]


def fill_layers(layers: np.ndarray, plan: Plan, first_view: int) -> None:
    """layers [N, K, COLOUR_AT + C] ← the plan's layers. first_view: the number of the plan's view 0
    in the tables."""
    whole = layers.view(np.int32)
    shown = np.where(plan.view < 0, plan.view, plan.view + first_view)
    whole[..., VIEW_AT] = np.where(plan.alpha == 0, NO_VIEW, shown)  # which adds nothing
    whole[..., BOX_AT:ALPHA_AT] = plan.box
    layers[..., ALPHA_AT], layers[..., COLOUR_AT:] = plan.alpha, plan.colour


def blur_reaches(filters: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[n, 2] int32, pixels that each filter reaches along y and x: no further than a picture can be
    reflected, and 0 for what is no blur.

    filters: a plan's filters [n, 4]. size: height and width of the pictures.
    """
    blurs = (filters[:, FILTER_KIND] == GAUSSIAN) & (filters[:, FILTER_SIGMA] > 0)
    reach = np.minimum(filters[:, [FILTER_REACH_Y, FILTER_REACH_X]], np.array(size) - 1)
    return np.where(blurs[:, None], reach, 0).astype(np.int32)


def kernels_of(filters: np.ndarray) -> dict[int, Taps]:
    """The taps of those of a plan's filters [n, 4] that are kernels of any shape, by number."""
    weighed = np.flatnonzero(np.isin(filters[:, FILTER_KIND], WEIGHED))
    return {int(i): taps_of_filter(filters[i]) for i in weighed}


def filter_words(filters: np.ndarray, reach: np.ndarray, kernels: dict[int, Taps]) -> int:
    """The words of a row of the table of filters. reach: `blur_reaches` of them."""
    weights = 2 * (int(reach.max(initial=0)) + 1)
    taps = TAP_WORDS * max((len(kernel.weight) for kernel in kernels.values()), default=0)
    shades = EDGE_WORDS * bool((filters[:, FILTER_KIND] == SHADE).any())
    return WEIGHTS_AT + max(weights, taps, shades)


def fill_filters(
    rows: np.ndarray, filters: np.ndarray, size: tuple[int, int], kernels: dict[int, Taps]
) -> None:
    """rows [n, filter_words] ← filters. What filters nothing is a blur that reaches nowhere.

    filters: a plan's filters [n, 4]. size: height and width of the pictures. kernels: `kernels_of` them.
    """
    reach = blur_reaches(filters, size)
    whole = rows.view(np.int32)
    whole[:, FILTER_AT] = GAUSSIAN
    if min(size) >= 3:
        whole[filters[:, FILTER_KIND] == SHARPNESS, FILTER_AT] = SHARPNESS
    rows[:, FACTOR_AT] = filters[:, FILTER_FACTOR]
    whole[:, REACH_AT:WEIGHTS_AT] = reach
    count = (rows.shape[1] - WEIGHTS_AT) // 2
    for axis in range(2):
        begin = WEIGHTS_AT + axis * count
        weights = gaussian_weights(filters[:, FILTER_SIGMA], reach[:, axis], count)
        rows[:, begin : begin + count] = weights
    for i, taps in kernels.items():
        whole[i, FILTER_AT], whole[i, TAPS_OF_KERNEL_AT] = MOTION, len(taps.weight)
        whole[i, REACH_OF_KERNEL_AT] = max(np.abs(taps.dy).max(), np.abs(taps.dx).max())
        end = WEIGHTS_AT + TAP_WORDS * len(taps.weight)
        whole[i, WEIGHTS_AT:end:TAP_WORDS] = taps.dy
        whole[i, WEIGHTS_AT + 1 : end : TAP_WORDS] = taps.dx
        rows[i, WEIGHTS_AT + 2 : end : TAP_WORDS] = taps.weight
    for i in np.flatnonzero(filters[:, FILTER_KIND] == SHADE).tolist():
        whole[i, FILTER_AT] = SHADE
        rows[i, EDGE_AT : EDGE_AT + EDGE_WORDS] = edge_of_shade(filters[i])
