"""A plan lowered for the GPU: all that its kernels read, in one buffer, and what is to be launched.

Formed without a device, the images or Triton, so a DataLoader worker can form it and send it on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from ...plan import Finish, Plan
from ...plan.kinds import HISTOGRAM
from ..passes import passes_of
from .tables import (
    ASKED_WORDS,
    COLOUR_AT,
    FILL_AT,
    STEP_WORDS,
    WEIGHTS_AT,
    Table,
    Traits,
    fill_asked,
    fill_filters,
    fill_layers,
    fill_steps,
    fill_views,
    laid_out,
    reaches_of,
    traits,
)


class Pass(NamedTuple):
    """Outputs of one size that are drawn together: pictures that are then filtered and looked at by
    later passes, or in the end the batch."""

    outputs: int
    size: tuple[int, int]  # height and width
    traits: Traits
    layers: str  # its table
    asked: tuple[int, int]  # which rows of the table `asked` are measured before it
    filters: str  # its table; "" for the batch
    reach: int  # how far the widest blur reaches along x, in pixels


@dataclass(frozen=True, eq=False)
class Lowered:
    """A plan for the GPU, over images that are named when it is drawn. It can be pickled.

    buffer: uint8 [bytes], with the tables of 32-bit words that `tables` describes: views, steps,
    curves, finish, asked, and of each pass_ its layers and filters. sizes: [B, 2] int32, height and
    width of each image that it is for. Source B + p is the p-th picture of the passes before.
    """

    buffer: torch.Tensor
    tables: dict[str, Table]
    passes: tuple[Pass, ...]  # the last one is the batch
    finish: Finish
    sizes: np.ndarray

    def __len__(self) -> int:
        """N, the number of outputs."""
        return self.passes[-1].outputs

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the batch that it makes."""
        return (len(self), self.finish.channels, *self.finish.size)

    @property
    def pictures(self) -> int:
        """How many pictures are filtered on the way to the batch."""
        return sum(pass_.outputs for pass_ in self.passes[:-1])


def lower(plan: Plan) -> Lowered:
    """The plan for the GPU executor."""
    # The pictures' dtype is the images' and not known here; nothing in the tables depends on it.
    inner, last = passes_of(plan, "float32")
    plans = [*(pass_.plan for pass_ in inner), last]
    c, s = plan.finish.channels, plan.step_kind.shape[1]
    counts = [len(part.source) for part in plans]
    first = np.cumsum([0, *counts])
    asked = _asked(plans, len(plan.ids))
    reaches = [reaches_of(filters, part.finish.size) for part, filters in inner]
    histograms = [np.count_nonzero(part.statistic == HISTOGRAM) for part in plans]
    curve = len(plan.curves) + np.cumsum([0, *histograms])
    shapes = {
        "views": (sum(counts), FILL_AT + c),
        "steps": (sum(counts), s, STEP_WORDS),
        "curves": (int(curve[-1]), 3, 256),
        "finish": (2, c),
        "asked": (sum(len(views) for _, _, views in asked), 1 + s * ASKED_WORDS),
    }
    for i, part in enumerate(plans):
        shapes[f"layers {i}"] = (*part.view.shape, COLOUR_AT + c)
    for i, reach in enumerate(reaches):
        shapes[f"filters {i}"] = (len(reach), WEIGHTS_AT + 2 * (int(reach.max(initial=0)) + 1))
    buffer, tables, into = laid_out(shapes)

    into["curves"][: len(plan.curves)] = plan.curves
    into["finish"][...] = plan.finish.gain_offset()
    for i, part in enumerate(plans):
        rows = slice(first[i], first[i + 1])
        fill_views(into["views"][rows], part)
        fill_steps(into["steps"][rows], part, int(curve[i]))
        fill_layers(into[f"layers {i}"], part, int(first[i]))
    for i, (part, filters) in enumerate(inner):
        fill_filters(into[f"filters {i}"], filters, part.finish.size)
    begin, measured = 0, [0] * len(plans)
    for at, i, views in asked:
        end = begin + len(views)
        fill_asked(into["asked"][begin:end], plans[i], views, int(first[i]))
        begin, measured[at] = end, measured[at] + len(views)
    passes, begin = [], 0
    for i, part in enumerate(plans):
        last_one = part is last
        passes.append(
            Pass(
                outputs=len(part),
                size=part.finish.size,
                traits=traits(part),
                layers=f"layers {i}",
                asked=(begin, begin + measured[i]),
                filters="" if last_one else f"filters {i}",
                reach=0 if last_one else int(reaches[i][:, 1].max(initial=0)),
            )
        )
        begin += measured[i]
    return Lowered(buffer, tables, tuple(passes), plan.finish, plan.sizes)


def _asked(plans, images: int) -> list[tuple[int, int, np.ndarray]]:
    """Which views wait for a statistic, as (before which pass_ it is measured, whose they are, which),
    in the first one's order: images are measured all at once, pictures when they are there."""
    asked = []
    for i, plan in enumerate(plans):
        waiting = plan.statistic.any(axis=1)
        for at, there in ((0, plan.source < images), (i, plan.source >= images)):
            if len(views := np.flatnonzero(waiting & there)):
                asked.append((at, i, views))
    return sorted(asked, key=lambda row: row[:2])
