"""The torch executor: the readable definition, for any device, and for gradients.

Every output pixel gathers its taps from one table of all source pixels; autograd follows. It
computes in `compute` (float32; float64 as a reference for the others) and casts at the end.
"""

from __future__ import annotations

import numpy as np
import torch

from ...plan import Finish, Plan
from ...plan.kinds import NO_VIEW, PLAIN_COLOUR
from ..passes import Pass, with_filtered
from ..sources import Sources
from .filter import apply
from .formulas import px
from .scene import PixelTable, Scene
from .statistics import completed_scene
from .view import draw_views


def execute(plan: Plan, sources: Sources, out: torch.Tensor, compute=torch.float32) -> torch.Tensor:
    """Draw the plan. Where a source requires a gradient the result is a new tensor that carries
    it; otherwise `out` is written and returned."""

    def draw(some: Pass, sources: Sources, pictures: torch.Tensor) -> torch.Tensor:
        drawn = execute(some.plan, sources, pictures.movedim(-1, 1), compute).movedim(1, -1)
        return apply(drawn, some.filters)

    plan, sources = with_filtered(plan, sources, draw)
    scene = completed_scene(plan, PixelTable(sources, compute))
    canvas = torch.zeros(plan.shape, dtype=compute, device=sources.device)
    for k in range(plan.view.shape[1]):
        canvas = _with_layer(canvas, scene, k)
    # By `out` and not by the plan: a float64 tensor for a plan of bytes takes them before they are rounded.
    if out.dtype == torch.uint8:
        result = px.to_byte(canvas)
    else:
        result = _normalised(canvas, plan.finish, scene.table)
    if result.requires_grad:
        layout = torch.channels_last if plan.finish.channels_last else torch.contiguous_format
        return result.to(out.dtype).contiguous(memory_format=layout)
    return out.copy_(result)


def _with_layer(canvas: torch.Tensor, scene: Scene, k: int) -> torch.Tensor:
    """The outputs [N, C, H, W] with layer k of each blended over, inside the layer's box."""
    plan, table = scene.plan, scene.table
    outputs = np.flatnonzero((plan.view[:, k] != NO_VIEW) & (plan.alpha[:, k] > 0))
    view = plan.view[outputs, k]
    over = table.floats(plan.colour[outputs, k])[:, :, None, None].expand(-1, -1, *plan.finish.size)
    looks = np.flatnonzero(view != PLAIN_COLOUR)
    if len(looks):
        over = over.index_put((table.indices(looks),), draw_views(scene, view[looks]))

    y0, x0, y1, x1 = table.indices(plan.box[outputs, k]).T[:, :, None, None, None]
    y = torch.arange(plan.finish.size[0], device=table.device)[:, None]
    x = torch.arange(plan.finish.size[1], device=table.device)
    inside = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)

    alpha = table.floats(plan.alpha[outputs, k])[:, None, None, None]
    under = canvas[table.indices(outputs)]
    blended = torch.where(inside, px.blend(under, over, alpha), under)
    return canvas.index_put((table.indices(outputs),), blended)


def _normalised(canvas: torch.Tensor, finish: Finish, table: PixelTable) -> torch.Tensor:
    gain, offset = (table.floats(array)[:, None, None] for array in finish.gain_offset())
    return px.normalise(canvas, gain, offset)
