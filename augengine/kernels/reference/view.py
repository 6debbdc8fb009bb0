"""What a view shows: where each output pixel looks, the filtered source there, the fill, the colours."""

from __future__ import annotations

import torch

from ...plan.kinds import CONSTANT, EDGE, REFLECT
from ..taps import taps_of
from .colour import apply_step
from .formulas import px
from .scene import Scene


def draw_views(scene: Scene, views) -> torch.Tensor:
    """[n, C, H, W] in [0, 1]: the views with these numbers [n]."""
    plan, table = scene.plan, scene.table
    width = plan.finish.size[1]
    row, column = _pixels(scene)
    point_y, point_x = _source_points(scene, views, row, column)
    y0, x0, y1, x1 = table.floats(plan.clip[views])[:, :, None, None].unbind(1)
    visible = px.inside(point_x, point_y, x0, y0, x1, y1)

    values = _sample(
        scene, views, torch.where(visible, point_y, 0), torch.where(visible, point_x, 0)
    )
    if table.whole:  # whole numbers end where a cubic would go on
        is_cubic = table.indices(plan.slope[views] != 0)[:, None, None] == 1
        values = [torch.where(is_cubic, px.clamp(value), value) for value in values]
    fill = table.floats(plan.fill[views]).T[:, :, None, None]
    channels = [torch.where(visible, v, f) for v, f in zip(values, fill, strict=True)]

    fill_start = table.indices(plan.fill_start[views])[:, None, None]
    number = row * width + column
    for step in range(plan.step_kind.shape[1]):
        acts = visible | (fill_start <= step)
        after = apply_step(scene, views, step, channels, number)
        channels = [torch.where(acts, a, c) for a, c in zip(after, channels, strict=True)]
    return torch.stack(channels, dim=1)


def _pixels(scene: Scene):
    """The rows [1, H, 1] and columns [1, 1, W] of an output's pixels."""
    (height, width), table = scene.plan.finish.size, scene.table
    row = torch.arange(height, device=table.device)
    column = torch.arange(width, device=table.device)
    return row[None, :, None], column[None, None, :]


def _source_points(scene: Scene, views, row, column):
    """y and x [n, H, W], in source pixels, of what each output pixel looks at: inv_matrix @ its centre,
    and where that lies outside the clip, what the border shows there."""
    plan, table = scene.plan, scene.table
    half = torch.tensor(0.5, dtype=table.compute)
    y, x = row.to(table.compute) + half, column.to(table.compute) + half
    matrix = table.floats(plan.inv_matrix[views])[:, :, :, None, None]
    point_x, point_y, w = (px.project(x, y, *matrix[:, i].unbind(1)) for i in range(3))
    affine = table.indices((plan.inv_matrix[views, 2] == [0, 0, 1]).all(axis=1)) == 1
    affine = affine[:, None, None]
    point_x = torch.where(affine, point_x, px.seen_from(point_x, w))
    point_y = torch.where(affine, point_y, px.seen_from(point_y, w))

    y0, x0, y1, x1 = table.floats(plan.clip[views])[:, :, None, None].unbind(1)
    border = table.indices(plan.border[views])[:, None, None]
    return _bordered(point_y, y0, y1, border), _bordered(point_x, x0, x1, border)


def _bordered(point, low, high, border):
    half = torch.tensor(0.5, dtype=point.dtype)
    edge, symmetric = px.edge(point, low, high), px.fold(point, low, high)
    reflect = px.fold(point, low + half, high - half)  # about the centres of the outermost pixels
    folded = torch.where(border == REFLECT, reflect, symmetric)
    bordered = torch.where(border == EDGE, edge, folded)
    return torch.where(border == CONSTANT, point, bordered)


def _sample(scene: Scene, views, point_y, point_x):
    """The filtered source at each point: C tensors [n, H, W].

    Σ weight_y · weight_x · pixel, over the taps along y and along x.
    """
    plan, table = scene.plan, scene.table
    start = table.indices(table.start[plan.source[views]])[:, None, None]
    width = table.indices(table.width[plan.source[views]])[:, None, None]
    rows, weights_y = _axis_taps(scene, views, 0, point_y)
    columns, weights_x = _axis_taps(scene, views, 1, point_x)
    # PIL's bicubic goes along x, then along y, and clamps whole numbers after either.
    clamps = _is_upright(plan, views) & (plan.slope[views] != 0) & table.whole
    is_clamped = table.indices(clamps)[:, None, None, None] == 1
    values: torch.Tensor | float = 0.0
    for row, weight_y in zip(rows, weights_y, strict=True):
        along: torch.Tensor | float = 0.0
        for column, weight_x in zip(columns, weights_x, strict=True):
            pixel = table.pixels[start + row * width + column]
            if clamps.any():
                along = along + weight_x[..., None] * pixel
            else:
                values = values + (weight_y * weight_x)[..., None] * pixel
        if clamps.any():
            along = torch.where(is_clamped, px.clamp(along), along)
            values = values + weight_y[..., None] * along
    return values.unbind(-1)  # type: ignore[union-attr]


def _is_upright(plan, views):
    """[n] bool: whether source x goes by output x alone, and y by y."""
    matrix = plan.inv_matrix[views]
    affine = (matrix[:, 2] == [0, 0, 1]).all(axis=1)
    return affine & (matrix[:, 0, 1] == 0) & (matrix[:, 1, 0] == 0)


def _axis_taps(scene: Scene, views, axis: int, point):
    """Along one axis (0: y, 1: x), for each point [n, H, W]: the source rows or columns of its taps and
    their weights, which add up to 1. A list of each, as long as the most taps of any view."""
    table = scene.table
    count, least, most = (array[views, axis] for array in taps_of(scene.plan))
    support = table.floats(scene.plan.support[views, 1 - axis])[:, None, None]
    first = px.first_tap(point, support)
    first = px.edge(first, table.floats(least)[:, None, None], table.floats(most)[:, None, None])
    reciprocal = torch.where(support > 0, 1 / support, 0)
    counts = table.indices(count)[:, None, None]
    slopes = scene.plan.slope[views]
    slope = table.floats(slopes)[:, None, None]

    def weight_of(tap):
        triangle = px.tap_weight(tap, point, reciprocal)
        if not slopes.any():
            return triangle
        return torch.where(slope == 0, triangle, px.cubic_weight(tap, point, reciprocal, slope))

    weights = [weight_of(first + t) * (counts > t) for t in range(count.max())]
    # One after the other: torch's own sum depends on the size of the batch.
    total = sum(weights[1:], weights[0])
    total = torch.where(total > 0, total, 1)
    # A view with fewer taps reads its last one again, which weighs nothing.
    taps = [
        first.to(torch.int64) + torch.minimum(torch.tensor(t), counts - 1)
        for t in range(len(weights))
    ]
    return taps, [weight / total for weight in weights]
