"""What the GPU kernels read of a plan: a few tables of 32-bit words, and what their rows hold.

Formed in NumPy and with no device in sight.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from ...plan import Plan
from ...plan.kinds import CONSTANT, CURVE, GAUSSIAN, HISTOGRAM, MATRIX, MEAN, SHARPNESS
from ..passes import gaussian_weights
from ..statistics import window_pixels
from ..taps import taps_of

# Words of a row of each table; the rest of a view's row is its fill, of a layer's its colour. Whole
# numbers lie there as the bits of an int32.
MATRIX_AT, CLIP_AT, TAPS_AT, SUPPORT_AT, RECIPROCAL_AT = 0, 9, 13, 15, 17
LEAST_AT, MOST_AT, BORDER_AT, FILL_START_AT, PROJECTIVE_AT = 19, 21, 23, 24, 25
SOURCE_AT, FILL_AT = 26, 27
KIND_AT, ARG_AT, STEP_WORDS = 0, 1, 13
VIEW_AT, BOX_AT, ALPHA_AT, COLOUR_AT = 0, 1, 5, 6
# A view whose steps wait for statistics: its number, then for each step which statistic, y0, x0, y1,
# x1 of its window in whole pixels, and the last column that a mean is to scale.
STATISTIC_AT, WINDOW_AT, COLUMN_AT, ASKED_WORDS = 0, 1, 5, 8
# A picture's filter: its kind, the factor of a sharpness, how far a blur reaches along y and x, then
# its weights at the distances 0, 1, … along y, and along x.
FILTER_AT, FACTOR_AT, REACH_AT, WEIGHTS_AT = 0, 1, 2, 4
# Of an image, int64: its address, and its strides along y, x and channel. Not in the buffer of a plan.
ADDRESS_WORDS = 4

# Triton compiles anew for a pointer that is no multiple of 16, so none ever is.
ALIGNED = 16


class Table(NamedTuple):
    """Where a table lies in the buffer."""

    begin: int  # byte, a multiple of ALIGNED
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.begin + 4 * math.prod(self.shape)

    @property
    def words(self) -> slice:
        """Of the buffer as 32-bit words."""
        return slice(self.begin // 4, self.end // 4)

    def of(self, buffer: torch.Tensor) -> torch.Tensor:
        """The table, float32, as a view of the buffer or of a copy of it."""
        return buffer[self.begin : self.end].view(torch.float32).view(self.shape)


class Traits(NamedTuple):
    """What the views of a plan need of the kernel; code that none needs is left out of it."""

    projective: bool  # a matrix whose last row is not 0, 0, 1
    wide: bool  # a filter or clip that is not 2×2 taps
    borders: bool  # another border than CONSTANT
    steps: bool  # colour steps
    layers: bool  # more than one view that fills its output


def traits(plan: Plan) -> Traits:
    whole = np.array([0, 0, *plan.finish.size])
    one = plan.view.shape[1] == 1 and plan.view.min(initial=0) >= 0
    taps = taps_of(plan).counts
    return Traits(
        projective=bool((plan.inv_matrix[:, 2] != [0, 0, 1]).any()),
        wide=bool((plan.support != 1).any() or (taps != 2).any()),
        borders=bool((plan.border != CONSTANT).any()),
        steps=bool(plan.step_kind.any() or plan.statistic.any()),
        layers=not (one and (plan.box == whole).all() and (plan.alpha == 1).all()),
    )


def laid_out(shapes: dict[str, tuple[int, ...]]):
    """(buffer, tables, the tables as arrays to fill): a uint8 CPU tensor of zeros."""
    tables, end = {}, 0
    for name, shape in shapes.items():
        tables[name] = Table(end, shape)
        end = -(-tables[name].end // ALIGNED) * ALIGNED
    buffer = torch.zeros(max(end, ALIGNED), dtype=torch.uint8)
    return buffer, tables, {name: table.of(buffer).numpy() for name, table in tables.items()}


def fill_views(views, plan: Plan) -> None:
    """views [V, FILL_AT + C] ← the plan's."""
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
    whole[:, PROJECTIVE_AT] = (plan.inv_matrix[:, 2] != [0, 0, 1]).any(axis=1)
    whole[:, SOURCE_AT] = plan.source
    views[:, FILL_AT:] = plan.fill


def fill_steps(steps, plan: Plan, curve: int) -> None:
    """steps [V, S, STEP_WORDS] ← the plan's; those that wait for a histogram are given the curves
    from number `curve` on."""
    kind = steps.view(np.int32)[..., KIND_AT]
    kind[...] = plan.step_kind
    steps[..., ARG_AT:] = plan.step_arg
    kind[plan.statistic == MEAN] = MATRIX
    histograms = plan.statistic == HISTOGRAM
    kind[histograms] = CURVE
    steps[histograms, ARG_AT] = curve + np.arange(np.count_nonzero(histograms))


def fill_asked(asked, plan: Plan, views, first: int) -> None:
    """asked [n, 1 + S · ASKED_WORDS] ← what the steps of these views wait for. first: the number
    that view 0 of the plan has in the tables."""
    asked.view(np.int32)[:, 0] = first + views
    steps = asked[:, 1:].reshape(*plan.statistic[views].shape, ASKED_WORDS)
    whole = steps.view(np.int32)
    whole[..., STATISTIC_AT] = plan.statistic[views]
    whole[..., WINDOW_AT:COLUMN_AT] = window_pixels(plan.window[views])
    steps[..., COLUMN_AT:] = plan.step_arg[views][..., [3, 7, 11]]


def fill_layers(layers, plan: Plan, first: int) -> None:
    """layers [N, K, COLOUR_AT + C] ← the plan's. first: as for `fill_asked`."""
    whole = layers.view(np.int32)
    whole[..., VIEW_AT] = np.where(plan.view < 0, plan.view, plan.view + first)
    whole[..., BOX_AT:ALPHA_AT] = plan.box
    layers[..., ALPHA_AT], layers[..., COLOUR_AT:] = plan.alpha, plan.colour


def reaches_of(filters, size) -> np.ndarray:
    """[n, 2] how far each filter reaches along y and x: no further than a picture of this size can be
    reflected, and 0 for what is no blur."""
    kind, sigma, *reach = np.moveaxis(filters, 1, 0)
    return np.stack(
        [
            np.where((kind == GAUSSIAN) & (sigma > 0), np.minimum(r, side - 1), 0)
            for r, side in zip(reach[::-1], size)
        ],
        axis=1,
    ).astype(np.int32)


def fill_filters(rows, filters, size) -> None:
    """rows [n, WEIGHTS_AT + 2 · w] ← a plan's filters [n, 4], of pictures of this size. What filters
    nothing is a blur that reaches nowhere."""
    reach = reaches_of(filters, size)
    whole = rows.view(np.int32)
    whole[:, FILTER_AT] = GAUSSIAN
    if min(size) >= 3:
        whole[filters[:, 0] == SHARPNESS, FILTER_AT] = SHARPNESS
    rows[:, FACTOR_AT] = filters[:, 1]
    whole[:, REACH_AT:WEIGHTS_AT] = reach
    half = (rows.shape[1] - WEIGHTS_AT) // 2
    for axis in range(2):
        begin = WEIGHTS_AT + axis * half
        rows[:, begin : begin + half] = gaussian_weights(filters[:, 1], reach[:, axis], half)
