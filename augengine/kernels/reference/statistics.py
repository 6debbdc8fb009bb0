"""Means, ranges and histograms of view windows, in torch; means and ranges carry their gradients."""

from __future__ import annotations

import numpy as np
import torch

from ...plan import Plan
from ...plan.kinds import GREY, HISTOGRAM, MATRIX_OFFSETS, MEAN
from ..statistics import Measured, completed, window_pixels
from .colour import apply_step, entries_of
from .scene import PixelTable, Scene


def completed_scene(plan: Plan, table: PixelTable) -> Scene:
    """The plan over its source pixels, its statistics measured and replaced by plain steps."""
    scene = Scene(plan, table)

    def measure(steps, views, step: int) -> Measured:
        # Earlier steps are looked up in the scene's plan: those that are completed by now.
        kind, arg, curves = (array.copy() for array in steps)
        scene.plan = Plan._trusted(
            **{**vars(plan), "step_kind": kind, "step_arg": arg, "curves": curves}
        )
        return _measure(scene, views, step)

    scene.plan = completed(plan, measure, table.byte)
    return scene


def _measure(scene: Scene, views, step: int) -> Measured:
    """What each view's statistic asks for, of its window after its steps before `step`."""
    n, channels = len(views), scene.plan.finish.channels
    measured = Measured(np.zeros(n), np.zeros((n, channels, 2)), np.zeros((n, channels, 256)))
    means: dict[int, torch.Tensor] = {}
    limits: dict[int, torch.Tensor] = {}
    for i, v in enumerate(views):
        values, statistic = _window_values(scene, v, step), scene.plan.statistic[v, step]
        if statistic == MEAN:
            means[i] = _mean(values)
            if channels == 3:
                measured.mean[i] = means[i].item()
            else:
                measured.limits[i, :, 0] = means[i].detach().cpu()
        elif statistic == HISTOGRAM:
            for c, entries in enumerate(entries_of(values, scene.table.byte)):
                count = torch.bincount(entries.flatten(), minlength=256)
                measured.counts[i, c] = count.cpu()
        else:
            flat = values.flatten(1)
            limits[i] = torch.stack([flat.amin(dim=1), flat.amax(dim=1)], dim=1)
            measured.limits[i] = limits[i].detach().cpu()
    if means:
        scene.mean_offsets[step] = _mean_offsets(scene, step, views[[*means]], [*means.values()])
    if any(limit.requires_grad for limit in limits.values()):
        every = scene.table.floats(np.full((len(scene.plan.source), channels, 2), np.nan))
        at = scene.table.indices(views[[*limits]])
        scene.limits[step] = every.index_put((at,), torch.stack([*limits.values()]))
    return measured


def _mean(values: torch.Tensor) -> torch.Tensor:
    """Of the grey for RGB, and of each channel [C] otherwise. values: [C, h, w]."""
    if len(values) != 3:
        return values.flatten(1).mean(dim=1)
    return sum(weight * channel for weight, channel in zip(GREY, values, strict=True)).mean()


def _mean_offsets(scene: Scene, step: int, views, means) -> torch.Tensor:
    """[V], what the means make of a MATRIX's offsets, or [V, C] of those of GAINS; NaN for other views.
    Before it is completed, each offset is the same number, to be scaled by the mean."""
    plan, table = scene.plan, scene.table
    factor = table.floats(plan.step_arg[:, step, MATRIX_OFFSETS[0]])
    means = torch.stack(means)
    shape = (len(plan.source), *means.shape[1:])
    every = torch.full(shape, torch.nan, dtype=table.compute, device=table.device)
    every = every.index_put((table.indices(views),), means)
    return factor.view(-1, *[1] * (every.ndim - 1)) * every


def _window_values(scene: Scene, v: int, step: int) -> torch.Tensor:
    """The values [C, h, w] of a view's window after its steps before `step`."""
    plan, table = scene.plan, scene.table
    y0, x0, y1, x1 = window_pixels(plan.window[v, step]).tolist()
    source = plan.source[v]
    rows = table.start[source] + np.arange(y0, y1)[:, None] * table.width[source]
    pixels = table.pixels[table.indices(rows + np.arange(x0, x1))]
    channels = list(pixels.movedim(-1, 0)[:, None])
    number = table.indices(np.arange((y1 - y0) * (x1 - x0)).reshape(y1 - y0, x1 - x0))
    for earlier in range(step):
        channels = apply_step(scene, np.array([v]), earlier, channels, number)
    return torch.cat(channels)
