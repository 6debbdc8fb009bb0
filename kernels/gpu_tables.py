"""What the GPU kernel reads of a plan: a few tables of 32-bit words, in one buffer, for one copy.

Formed in NumPy and with no device in sight, so a DataLoader worker can form them too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from ..plan import CONSTANT, Plan

# Words of a row of each table; the rest of a view's row is its fill, of a layer's its colour. Whole
# numbers lie there as the bits of an int32.
MATRIX_AT, CLIP_AT, TAPS_AT, SUPPORT_AT, RECIPROCAL_AT = 0, 9, 13, 15, 17
LEAST_AT, MOST_AT, BORDER_AT, FILL_START_AT, PROJECTIVE_AT, FILL_AT = 19, 21, 23, 24, 25, 26
KIND_AT, ARG_AT, STEP_WORDS = 0, 1, 13
VIEW_AT, BOX_AT, ALPHA_AT, COLOUR_AT = 0, 1, 5, 6

# Triton compiles anew for a pointer that is no multiple of 16, so none ever is.
ALIGNED = 16


class Table(NamedTuple):
    """Where a table lies in the buffer."""

    begin: int  # byte, a multiple of ALIGNED
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        return self.begin + math.prod(self.shape) * self.dtype.itemsize

    def of(self, buffer: torch.Tensor) -> torch.Tensor:
        """The table as a view of the buffer or of a copy of it."""
        dtype = torch.int64 if self.dtype == np.int64 else torch.float32
        return buffer[self.begin : self.end].view(dtype).view(self.shape)


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
    taps = _axes(plan)[0]
    return Traits(
        projective=bool((plan.inv_matrix[:, 2] != [0, 0, 1]).any()),
        wide=bool((plan.support != 1).any() or (taps != 2).any()),
        borders=bool((plan.border != CONSTANT).any()),
        steps=bool(plan.step_kind.any()),
        layers=not (one and (plan.box == whole).all() and (plan.alpha == 1).all()),
    )


def laid_out(shapes: dict[str, tuple[int, ...]], pin: bool):
    """(buffer, tables, the tables as arrays to fill): `images` of int64, others of float32."""
    tables, end = {}, 0
    for name, shape in shapes.items():
        dtype = np.dtype(np.int64 if name == "images" else np.float32)
        tables[name] = Table(end, dtype, shape)
        end = -(-tables[name].end // ALIGNED) * ALIGNED
    buffer = torch.empty(max(end, ALIGNED), dtype=torch.uint8, pin_memory=pin)
    return buffer, tables, {name: table.of(buffer).numpy() for name, table in tables.items()}


def packed(plan: Plan, pin: bool = False) -> tuple[torch.Tensor, dict[str, Table]]:
    """(buffer, where each table lies in it): a uint8 CPU tensor, pinned if asked, for one copy.

    `images` [V, 4] int64 has room for the address of each view's image and its strides along y, x
    and channel, which `point` fills in: whoever has the plan need not have the images.
    """
    v, s = plan.step_kind.shape
    n, k = plan.view.shape
    c = plan.finish.channels
    shapes = {
        "images": (v, 4),
        "views": (v, FILL_AT + c),
        "steps": (v, s, STEP_WORDS),
        "curves": plan.curves.shape,
        "layers": (n, k, COLOUR_AT + c),
        "finish": (2, c),
    }
    buffer, tables, into = laid_out(shapes, pin)
    into["images"][...] = 0

    views, taps_least_most = into["views"], _axes(plan)
    whole = views.view(np.int32)
    views[:, MATRIX_AT:CLIP_AT] = plan.inv_matrix.reshape(v, 9)
    views[:, CLIP_AT:TAPS_AT] = plan.clip
    support = plan.support[:, ::-1]  # along y, x, as all that follows
    whole[:, TAPS_AT:SUPPORT_AT] = taps_least_most[0]
    views[:, SUPPORT_AT:RECIPROCAL_AT] = support
    views[:, RECIPROCAL_AT:LEAST_AT] = np.divide(
        np.float32(1), support, out=np.zeros_like(support), where=support > 0
    )
    views[:, LEAST_AT:MOST_AT], views[:, MOST_AT:BORDER_AT] = taps_least_most[1:]
    whole[:, BORDER_AT], whole[:, FILL_START_AT] = plan.border, plan.fill_start
    whole[:, PROJECTIVE_AT] = (plan.inv_matrix[:, 2] != [0, 0, 1]).any(axis=1)
    views[:, FILL_AT:] = plan.fill

    steps, layers = into["steps"], into["layers"]
    fill_steps(steps, plan.step_kind, plan.step_arg)
    into["curves"][...] = plan.curves
    layers.view(np.int32)[..., VIEW_AT] = plan.view
    layers.view(np.int32)[..., BOX_AT:ALPHA_AT] = plan.box
    layers[..., ALPHA_AT], layers[..., COLOUR_AT:] = plan.alpha, plan.colour
    into["finish"][...] = plan.finish.gain_offset()
    return buffer, tables


def fill_steps(steps, kind, arg) -> None:
    steps.view(np.int32)[..., KIND_AT] = kind
    steps[..., ARG_AT:] = arg


def point(buffer: torch.Tensor, table: Table, source, address, stride) -> None:
    """Fill in `images`: source [V], and of each source its address [B] and strides [B, 3]."""
    images = table.of(buffer).numpy()
    images[:, 0], images[:, 1:] = address[source], stride[source]


def _axes(plan: Plan):
    """Along y, x, [V, 2] each: how many taps, and the least and most that the first one may be."""
    low, high = np.floor(plan.clip[:, :2]), np.ceil(plan.clip[:, 2:])
    # An empty clip names no pixels; its points are all fill, and read the first.
    empty = high <= low
    low = np.where(empty, np.float32(0), low)
    high = np.where(empty, np.minimum(2, plan.source_sizes()), high)
    wanted = np.ceil(2 * plan.support[:, ::-1])
    taps = np.maximum(1, np.minimum(wanted, high - low))
    return taps.astype(np.int32), low, np.maximum(high - taps, low)
