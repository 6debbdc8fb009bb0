"""Views of views: what is blurred or sharpened is drawn first, at the size of its frame.

Only views that drew a filter pay. Each is drawn by the executor itself, as bytes where the sources
are bytes (as between any two ops of a library that works op by op), filtered, and becomes one more
source for the view that looks at it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ..plan import VIEW_FIELDS, Finish, Plan
from .sources import Sources


class Pass(NamedTuple):
    """Pictures of one size that are drawn together, filtered, and then sources for later passes."""

    plan: Plan  # whose outputs they are, over the sources and the pictures of the passes before
    filters: np.ndarray  # [n, 4], a plan's: what is done to each


def with_filtered(plan: Plan, sources: Sources, draw, apply) -> tuple[Plan, Sources]:
    """The plan with every view looking at a source, over the sources and the filtered pictures.

    draw(plan, sources, out): the executor. apply(pictures, filters): filters (n, H, W, C) pictures,
    uint8 or float32, by a plan's filters [n, 4] and returns them (or others in their place).
    """
    if not looks_at_views(plan):
        return plan, sources
    if sources.dtype in (torch.float16, torch.bfloat16):
        sources = sources.map(torch.Tensor.float)
    passes, plan = passes_of(plan, "uint8" if sources.dtype == torch.uint8 else "float32")
    for inner, filters in passes:
        pictures = torch.empty(
            (len(inner), *inner.finish.size, sources.channels),
            dtype=getattr(torch, inner.finish.dtype),
            device=sources.device,
        )
        drawn = draw(inner, sources, pictures.movedim(-1, 1)).movedim(1, -1)
        sources = sources.and_more(apply(drawn, filters))
    return plan, sources


def looks_at_views(plan: Plan) -> bool:
    return bool(plan.source.max(initial=0) >= len(plan.ids))


def passes_of(plan: Plan, dtype: str) -> tuple[list[Pass], Plan]:
    """(what is drawn first, in order; the plan over the sources and all those pictures). No view of
    either looks at another. dtype: of the pictures, "uint8" or "float32"."""
    if not looks_at_views(plan):
        return [], plan
    images, needed = len(plan.ids), _looked_at(plan)
    passes, sizes = [], plan.sizes
    # Where a view of a view finds its picture among the sources, once that is drawn.
    place = np.full(len(plan.source), -1)
    while (left := needed[place[needed] < 0]).size:
        # Those that look at sources, or at pictures that are there by now.
        behind = plan.source[left] - images
        ready = left[(behind < 0) | (place[np.maximum(behind, 0)] >= 0)]
        for size in sorted(set(map(tuple, plan.frame[ready].tolist()))):
            views = ready[(plan.frame[ready] == size).all(axis=1)]
            inner = _outputs_of(_over(plan, sizes, place), views, size, dtype)
            passes.append(Pass(inner, plan.filter[views]))
            place[views] = len(sizes) + np.arange(len(views))
            sizes = np.concatenate([sizes, plan.frame[views]])
    return passes, _used(_over(plan, sizes, place))


def _looked_at(plan: Plan) -> np.ndarray:
    """The views that others look at, those that no layer needs left out."""
    images, needed = len(plan.ids), np.zeros(len(plan.source), bool)
    seen = plan.source[np.unique(plan.view[plan.view >= 0])] - images
    while (seen := seen[seen >= 0]).size:
        needed[seen] = True
        seen = plan.source[seen] - images
    return np.flatnonzero(needed)


def _over(plan: Plan, sizes, place) -> Plan:
    """The plan over sources of these sizes, that hold the pictures at `place`; a view whose picture
    is not there yet looks at source 0, and is not to be drawn."""
    images = len(plan.ids)
    behind = np.maximum(plan.source - images, 0)
    source = np.where(plan.source < images, plan.source, np.maximum(place[behind], 0))
    more = np.zeros(len(sizes) - images, np.int64)
    return Plan._trusted(
        **{
            **vars(plan),
            "ids": np.concatenate([plan.ids, more]),
            "sizes": sizes.copy(),  # a plan freezes its arrays, which numba takes for another type
            "strength": np.concatenate([plan.strength, more.astype(np.float32)]),
            "source": source.astype(np.int32),
            "filter": np.zeros_like(plan.filter),
        }
    )


def _used(plan: Plan) -> Plan:
    """Without the views that no layer shows: nobody measures those."""
    used, number = np.unique(plan.view, return_inverse=True)
    special = np.count_nonzero(used < 0)
    view = np.where(plan.view < 0, plan.view, number.reshape(plan.view.shape) - special)
    return Plan._trusted(
        **{**vars(plan), **_rows(plan, used[special:]), "view": view.astype(np.int32)}
    )


def _rows(plan: Plan, views) -> dict[str, np.ndarray]:
    return {name: getattr(plan, name)[views] for name in VIEW_FIELDS}


def _outputs_of(plan: Plan, views, size, dtype: str) -> Plan:
    """The plan whose outputs are these views, as they are."""
    n, (height, width) = len(views), (int(side) for side in size)
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
            "finish": Finish((height, width), plan.finish.channels, dtype=dtype),
        }
    )


def gaussian_weights(sigma, reach, count: int) -> np.ndarray:
    """The weights [n, count] of the distances 0, 1, …: exp(−½ (d / sigma)²) as far as the reach [n],
    those of both sides 1 in sum. A reach of 0 weighs the pixel itself only."""
    distance = np.arange(count)
    sigma = np.where(reach > 0, sigma, 1).astype(np.float64)[:, None]
    weights = np.where(distance <= reach[:, None], np.exp(-0.5 * (distance / sigma) ** 2), 0)
    return (weights / (2 * weights.sum(axis=1, keepdims=True) - 1)).astype(np.float32)
