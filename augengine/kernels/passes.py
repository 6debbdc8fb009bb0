"""Views of views: what is blurred or sharpened is drawn first, at the size of its frame.

Only views that drew a filter pay. Each is drawn by the executor itself, as bytes where the sources
are bytes (as between any two ops of a library that works op by op), filtered, and becomes one more
source for the view that looks at it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from ..elementary import exp
from ..plan import VIEW_FIELDS, Finish, Plan
from ..plan.shrinks import upright_first
from .allocate import empty
from .sources import Sources


class Pass(NamedTuple):
    """Pictures of one size that are drawn together, filtered, and then sources for later passes."""

    plan: Plan  # whose outputs they are, over the sources and the pictures of the passes before
    filters: np.ndarray  # [n, 4], a plan's: what is done to each


def with_filtered(
    plan: Plan,
    sources: Sources,
    draw: Callable[[Pass, Sources, torch.Tensor], torch.Tensor],
) -> tuple[Plan, Sources]:
    """Draw and filter what a plan's views look at beside the sources.

    Args:
        plan: Plan, some of whose views may look at others.
        sources: The plan's images.
        draw: Function draw(some, sources, pictures), which draws the outputs of a Pass and filters
            them, as uint8 where the sources are uint8, and returns them: in the memory of the tensor
            `pictures` (n, H, W, C) or in other.

    Returns:
        A plan all of whose views look at sources, and those sources: the images, then the filtered
        pictures.
    """
    plan = upright_first(plan)
    if not looks_at_views(plan):
        return plan, sources
    if sources.dtype in (torch.float16, torch.bfloat16):
        sources = sources.map(torch.Tensor.float)
    passes, batch = passes_of(plan, "uint8" if sources.dtype == torch.uint8 else "float32")
    dtype = (
        sources.dtype if sources.dtype == torch.float64 else None
    )  # the torch executor's wide type
    for some in passes:
        finish = some.plan.finish
        pictures = empty(
            (len(some.plan), *finish.size, sources.channels),
            dtype or getattr(torch, finish.dtype),
            sources.device,
            torch.contiguous_format,
        )
        sources = sources.and_more(draw(some, sources, pictures))
    return batch, sources


def looks_at_views(plan: Plan) -> bool:
    """Whether any view of the plan looks at what another one showed."""
    return bool(plan.source.max(initial=0) >= len(plan.ids))


def passes_of(plan: Plan, dtype: str) -> tuple[list[Pass], Plan]:
    """A plan taken apart into passes, none of whose views looks at another view.

    Args:
        plan: Plan, some of whose views may look at others.
        dtype: Dtype of the pictures, "uint8" or "float32".

    Returns:
        The passes that draw pictures, in their order, and the plan of the batch over the sources and
        all those pictures.
    """
    plan = upright_first(plan)
    if not looks_at_views(plan):
        return [], plan
    images, filtered_views = len(plan.ids), _filtered_views(plan)
    passes, sizes = [], plan.sizes
    # For each view the number of its picture among the sources, once that is drawn.
    picture = np.full(len(plan.source), -1)
    while (waiting := filtered_views[picture[filtered_views] < 0]).size:
        # Those that look at sources, or at pictures that an earlier pass draws.
        behind = plan.source[waiting] - images
        ready = waiting[(behind < 0) | (picture[np.maximum(behind, 0)] >= 0)]
        for size in sorted(set(map(tuple, plan.frame[ready].tolist()))):
            views = ready[(plan.frame[ready] == size).all(axis=1)]
            picture_plan = _outputs_of(_over(plan, sizes, picture), views, size, dtype)
            passes.append(Pass(picture_plan, plan.filter[views]))
            picture[views] = len(sizes) + np.arange(len(views))
            sizes = np.concatenate([sizes, plan.frame[views]])
    return passes, _used(_over(plan, sizes, picture))


def _filtered_views(plan: Plan) -> np.ndarray:
    """The numbers of the views that others look at, those that no layer needs left out."""
    images, is_source = len(plan.ids), np.zeros(len(plan.source), bool)
    views = plan.source[np.unique(plan.view[plan.view >= 0])] - images
    while (views := views[views >= 0]).size:
        is_source[views] = True
        views = plan.source[views] - images
    return np.flatnonzero(is_source)


def _over(plan: Plan, sizes: np.ndarray, picture: np.ndarray) -> Plan:
    """The plan over the images and the pictures.

    A view whose picture is not drawn yet looks at source 0 instead, and is itself not to be drawn.
    sizes: [sources, 2] heights and widths. picture: [V] the source that is each view's picture, −1
    where there is none.
    """
    images = len(plan.ids)
    behind = np.maximum(plan.source - images, 0)
    source = np.where(plan.source < images, plan.source, np.maximum(picture[behind], 0))
    zeros = np.zeros(len(sizes) - images, np.int64)
    return Plan._trusted(
        **{
            **vars(plan),
            "ids": np.concatenate([plan.ids, zeros]),
            "sizes": sizes,
            "strength": np.concatenate([plan.strength, zeros.astype(np.float32)]),
            "source": source.astype(np.int32),
            "filter": np.zeros_like(plan.filter),
        }
    )


def _used(plan: Plan) -> Plan:
    """The plan without the views that no layer shows: nobody measures those."""
    views, number = np.unique(plan.view, return_inverse=True)
    special = np.count_nonzero(views < 0)
    view = np.where(plan.view < 0, plan.view, number.reshape(plan.view.shape) - special)
    return Plan._trusted(
        **{**vars(plan), **_rows(plan, views[special:]), "view": view.astype(np.int32)}
    )


def _rows(plan: Plan, views: np.ndarray) -> dict[str, np.ndarray]:
    return {name: getattr(plan, name)[views] for name in VIEW_FIELDS}


def _outputs_of(plan: Plan, views: np.ndarray, size: tuple[int, int], dtype: str) -> Plan:
    """The plan whose outputs are these views, each as it is. size: height and width in pixels."""
    n, (height, width) = len(views), size
    ones = np.ones((n, 1), np.float32)
    return Plan._trusted(
        **{
            **vars(plan),
            **_rows(plan, views),
            "view": np.arange(n, dtype=np.int32)[:, None],
            "box": np.tile(np.array([0, 0, height, width], np.int32), (n, 1, 1)),
            "alpha": ones,
            "weight": ones,
            "colour": np.zeros((n, 1, plan.finish.channels), np.float32),
            "extent": np.tile(np.array([height, width], np.int32), (n, 1)),
            "finish": Finish((height, width), plan.finish.channels, dtype=dtype),
        }
    )


def gaussian_weights(sigma: np.ndarray, reach: np.ndarray, count: int) -> np.ndarray:
    """The weights of blurs along one axis: exp(−½ (d / sigma)²) as far as the reach, those of both
    sides 1 in sum. A reach of 0 weighs the pixel itself only.

    Args:
        sigma: Array [n], standard deviations in pixels.
        reach: Array [n], pixels that each blur reaches.
        count: Number of weights, for the distances 0, 1, … in pixels.

    Returns:
        Array [n, count] float32.
    """
    distance = np.arange(count)
    sigma = np.where(reach > 0, sigma, 1).astype(np.float64)[:, None]
    weights = np.where(distance <= reach[:, None], exp(-0.5 * (distance / sigma) ** 2), 0)
    return (weights / (2 * weights.sum(axis=1, keepdims=True) - 1)).astype(np.float32)
