"""A plan lowered for the GPU: all that its kernels read, in one buffer, and the passes to launch.

Formed without a device, the images or Triton, so a DataLoader worker can form it and send it on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from ...plan import Finish, Plan
from ...plan.kinds import CURVE_ENTRIES, FILTER_KIND, NO_FILTER
from ..passes import passes_of
from ..statistics import takes_curves
from .tables import (
    COLOUR_AT,
    FILL_AT,
    MEASURE_WORDS,
    MEASURES_AT,
    STEP_WORDS,
    Table,
    Traits,
    blur_reaches,
    empty_tables,
    fill_filters,
    fill_layers,
    fill_measured_views,
    fill_steps,
    fill_views,
    filter_words,
    kernels_of,
    tile_for,
    traits,
)


class LoweredPass(NamedTuple):
    """Outputs of one size that are drawn together: pictures that are then filtered and looked at by
    later passes, or in the end the batch."""

    outputs: int
    size: tuple[int, int]  # height and width
    tile: tuple[int, int]  # rows and columns that a program draws
    traits: Traits
    layers: str  # name of its table of layers
    finish: str  # name of its table of gains and offsets: only the batch is normalised
    measured_views: tuple[int, int]  # rows of that table that are measured before it, begin and end
    filters: str  # name of its table of filters; "" for the batch, and for pictures with no filter
    reach: int  # pixels that its widest blur reaches along x


@dataclass(frozen=True, eq=False)
class Lowered:
    """A plan for the GPU, over images that are named when it is drawn. It can be pickled.

    Source B + p of its views is the p-th picture of the passes before the last.
    """

    buffer: torch.Tensor  # uint8 [bytes], with the tables of 32-bit words
    # Views, steps, curves, finish, measured_views, and of each pass its layers and filters
    tables: dict[str, Table]
    passes: tuple[LoweredPass, ...]  # the last one is the batch
    finish: Finish
    sizes: np.ndarray  # [B, 2] int32, height and width of each image that it is for

    def __len__(self) -> int:
        """N, the number of outputs."""
        return self.passes[-1].outputs

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the batch that it makes."""
        return (len(self), self.finish.channels, *self.finish.size)

    @property
    def pictures(self) -> int:
        """The number of pictures that are filtered on the way to the batch."""
        return sum(part.outputs for part in self.passes[:-1])


class _Group(NamedTuple):
    """Views of one pass that are measured at one time."""

    before: int  # number of the pass before which they are measured
    owner: int  # number of the pass whose views they are
    views: np.ndarray  # their numbers in the owner's plan


def lower(plan: Plan, tile: tuple[int, int] | None = None) -> Lowered:
    """The plan for the GPU executor. tile: rows and columns that a program draws, powers of two, if not
    those that `tile_for` takes."""
    # The pictures' dtype is the images' and not known here; nothing in the tables depends on it.
    picture_passes, batch = passes_of(plan, "float32")
    plans = [*(part.plan for part in picture_passes), batch]
    channels, step_count = plan.finish.channels, plan.step_kind.shape[1]
    view_counts = [len(part.source) for part in plans]
    first_view = np.cumsum([0, *view_counts]).tolist()
    new_curves = [np.count_nonzero(takes_curves(part)) for part in plans]
    first_curve = (len(plan.curves) + np.cumsum([0, *new_curves])).tolist()
    reaches = [blur_reaches(filters, part.finish.size) for part, filters in picture_passes]
    kernels = [kernels_of(filters) for _, filters in picture_passes]
    tiles = [tile or tile_for(part.finish.size[1]) for part in plans]
    groups = _measured_groups(plans, len(plan.ids))
    measured_count = sum(len(group.views) for group in groups)
    shapes: dict[str, tuple[int, ...]] = {
        "views": (sum(view_counts), FILL_AT + channels),
        "steps": (sum(view_counts), step_count, STEP_WORDS),
        "curves": (first_curve[-1], channels, CURVE_ENTRIES),
        "finish": (2, channels),
        "no finish": (2, channels),
        "measured_views": (measured_count, MEASURES_AT + step_count * MEASURE_WORDS),
    }
    for i, part in enumerate(plans):
        shapes[f"layers {i}"] = (*part.view.shape, COLOUR_AT + channels)
    # Pictures that are only shrunk, to be looked at by a turn, take no filter.
    filtered = [bool((filters[:, FILTER_KIND] != NO_FILTER).any()) for _, filters in picture_passes]
    for i, (_, filters) in enumerate(picture_passes):
        if not filtered[i]:
            continue
        words = filter_words(filters, reaches[i], kernels[i])
        shapes[f"filters {i}"] = (len(filters), words)
    buffer, tables, arrays = empty_tables(shapes)

    arrays["curves"][: len(plan.curves)] = plan.curves
    arrays["finish"][...] = plan.finish.gain_offset()
    arrays["no finish"][...] = [[1], [0]]
    for i, part in enumerate(plans):
        rows = slice(first_view[i], first_view[i + 1])
        fill_views(arrays["views"][rows], part, tiles[i])
        fill_steps(arrays["steps"][rows], part, first_curve[i])
        fill_layers(arrays[f"layers {i}"], part, first_view[i])
    for i, (part, filters) in enumerate(picture_passes):
        if not filtered[i]:
            continue
        fill_filters(arrays[f"filters {i}"], filters, part.finish.size, kernels[i])
    end, measured_counts = 0, [0] * len(plans)
    for group in groups:
        begin, end = end, end + len(group.views)
        measured_rows = arrays["measured_views"][begin:end]
        fill_measured_views(measured_rows, plans[group.owner], group.views, first_view[group.owner])
        measured_counts[group.before] += len(group.views)
    ends = np.cumsum([0, *measured_counts]).tolist()
    passes = [
        LoweredPass(
            outputs=len(part),
            size=part.finish.size,
            tile=tiles[i],
            traits=traits(part),
            layers=f"layers {i}",
            finish="finish" if part is batch else "no finish",
            measured_views=(ends[i], ends[i + 1]),
            filters=f"filters {i}" if part is not batch and filtered[i] else "",
            reach=0 if part is batch else int(reaches[i][:, 1].max(initial=0)),
        )
        for i, part in enumerate(plans)
    ]
    return Lowered(buffer, tables, tuple(passes), plan.finish, plan.sizes)


def _measured_groups(plans: list[Plan], images: int) -> list[_Group]:
    """The views whose steps wait for a statistic, in the order in which they are measured: those that
    look at one of the images before the first pass, those that look at a picture before their own."""
    groups = []
    for i, plan in enumerate(plans):
        waiting = plan.statistic.any(axis=1)
        for before, ready in ((0, plan.source < images), (i, plan.source >= images)):
            if len(views := np.flatnonzero(waiting & ready)):
                groups.append(_Group(before, i, views))
    return sorted(groups, key=lambda group: (group.before, group.owner))
