"""What a plan looks at of each source, and how finely; and the plan over those parts alone.

An image that is still encoded need not be decoded where nobody looks, nor more finely than it is looked
at. So the parts are read off the plan, and what is drawn is a plan over them. The plan that people see
stays the one over the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import maps
from .kinds import CONSTANT, HISTOGRAM, MOST_DEPTH, NO_STATISTIC, RANGE
from .shrinks import shrunk_first

if TYPE_CHECKING:
    from . import Plan

# A source may be decoded smaller by these factors, as the blocks of a JPEG can be.
SCALES = (1, 2, 4, 8)
# So many pixels of the smaller picture lie between those of an output at least, along either axis.
LEAST_SHRINK = 2.0
# Smaller pictures than this are not made: a block of a JPEG has eight pixels a side.
_LEAST_SIDE = 16
# Pixels beside what a filter weighs, for roundings of float32.
_ROOM = 2


class Needs(NamedTuple):
    """What is needed of B sources."""

    box: np.ndarray  # [B, 4] int64, y0, x0, y1, x1, in pixels of the source, one at least
    scale: np.ndarray  # [B] int64, of SCALES: how much smaller the source may be
    upright: (
        np.ndarray
    )  # [B] bool: some view counts pixels from an edge, so that no part lies mirrored


def needs_of(plans: Sequence[Plan]) -> Needs:
    """What is needed of the sources of plans that have the same ones.

    A view's part holds all that its filter weighs and its statistics are taken over; with a border
    other than CONSTANT all that the border may show. Ranges and histograms are taken of a source in
    full size, as its highest and lowest values are in no smaller one.
    """
    sizes = plans[0].sizes.astype(np.int64)
    count = len(sizes)
    low, high = sizes.copy(), np.zeros_like(sizes)
    scale = np.full(count, SCALES[-1], np.int64)
    upright = np.zeros(count, bool)
    for plan in plans:
        views = _views_of_sources(plan)
        source = plan.source[views]
        seen = _seen(plan, views)
        np.minimum.at(low, source, np.floor(seen[:, :2]).astype(np.int64))
        np.maximum.at(high, source, np.ceil(seen[:, 2:]).astype(np.int64))
        np.minimum.at(scale, source, _scales(plan, views))
        # Of two pixels equally near, the one behind is the nearest. Those of a smaller picture, by way of
        # which a view is drawn, are counted from its clip's corner.
        counts = (plan.support[views] == 0).any(axis=1) | np.isin(views, list(shrunk_first(plan)))
        np.logical_or.at(upright, source, counts)
    low = np.clip(np.where(high > 0, low, 0), 0, sizes - 1)
    high = np.clip(high, low + 1, sizes)
    return Needs(np.concatenate([low, high], axis=1), _large_enough(scale, sizes), upright)


def on_parts(plan: Plan, factor: np.ndarray, shift: np.ndarray, sizes: np.ndarray) -> Plan:
    """The plan over parts of its sources: of each point of a source, factor · point + shift is that of its
    part.

    Args:
        plan: The plan.
        factor: Array [B, 2], along y and x, negative where a part lies mirrored.
        shift: Array [B, 2], in pixels of the part.
        sizes: Array [B, 2], heights and widths of the parts.
    """
    if (factor == 1).all() and not shift.any() and np.array_equal(sizes, plan.sizes):
        return plan
    views = np.flatnonzero(plan.source < len(plan.ids))
    source = plan.source[views]
    by, to, size = factor[source], shift[source], sizes[source].astype(np.float64)
    onto = np.zeros((len(views), 3, 3))
    onto[:, [1, 0], [1, 0]], onto[:, [1, 0], 2], onto[:, 2, 2] = by, to, 1
    fields = {
        name: getattr(plan, name).copy()
        for name in ("inv_matrix", "support", "clip", "sight", "window")
    }
    fields["inv_matrix"][views] = maps.product(onto, maps.own(plan, views))
    fields["support"][views] = plan.support[views] * np.abs(by[:, ::-1])
    for name in ("clip", "sight"):
        fields[name][views] = _on_part(getattr(plan, name)[views], by, to, size)
    window = plan.window[views]
    measured = plan.statistic[views] != NO_STATISTIC
    for step in range(window.shape[1]):
        seen = _on_part(window[:, step], by, to, size)
        seen[:, :2] = np.minimum(seen[:, :2], size - 1)
        window[:, step] = np.where(measured[:, step, None], seen, window[:, step])
    fields["window"][views] = window
    return plan._trusted(**{**vars(plan), **fields, "sizes": sizes.astype(np.int32)})


def _on_part(box: np.ndarray, by: np.ndarray, to: np.ndarray, size: np.ndarray) -> np.ndarray:
    """[n, 4] boxes of sources as they lie in the parts."""
    ends = box[:, :2] * by + to, box[:, 2:] * by + to
    box = np.concatenate([np.minimum(*ends), np.maximum(*ends)], axis=1)
    return np.clip(box, 0, np.tile(size, 2))


def _views_of_sources(plan: Plan) -> np.ndarray:
    """The views that look at a source, and that an output shows, by way of others too."""
    images, used = len(plan.ids), np.zeros(len(plan.source), bool)
    views = np.unique(plan.view[plan.view >= 0])
    for _ in range(MOST_DEPTH + 1):
        used[views] = True
        views = plan.source[views] - images
        views = np.unique(views[views >= 0])
        if not len(views):
            break
    return np.flatnonzero(used & (plan.source < images))


def _seen(plan: Plan, views: np.ndarray) -> np.ndarray:
    """[n, 4] what each view reads of its source."""
    if not len(views):
        return np.zeros((0, 4))
    sight = plan.sight[views].astype(np.float64)
    seen = maps.bounds(maps.own(plan, views), _shown(plan)[views])
    # A view that is drawn by way of a smaller picture counts that picture's pixels from its clip's corner.
    first = shrunk_first(plan)
    whole = np.asarray(plan.border[views] != CONSTANT) | np.isin(views, list(first))
    reach = plan.support[views, ::-1].astype(np.float64) + _ROOM
    reach = np.concatenate([-reach, reach], axis=1)
    seen = np.where(whole[:, None], sight, maps.within(sight, seen + reach))
    window, measured = plan.window[views], plan.statistic[views] != NO_STATISTIC
    for step in range(window.shape[1]):
        low = np.minimum(seen[:, :2], window[:, step, :2])
        high = np.maximum(seen[:, 2:], window[:, step, 2:])
        seen = np.where(measured[:, step, None], np.concatenate([low, high], axis=1), seen)
    return seen


def _shown(plan: Plan) -> np.ndarray:
    """[V, 4] y0, x0, y1, x1 of what of each view's frame is shown: all of one that others look at, and
    otherwise what its layers' boxes hold."""
    box = np.full((len(plan.source), 4), np.inf)
    box[:, 2:] = -np.inf
    layers = plan.view >= 0
    view = plan.view[layers]
    np.minimum.at(box[:, :2], view, plan.box[layers][:, :2])
    np.maximum.at(box[:, 2:], view, plan.box[layers][:, 2:])
    framed = np.asarray(plan.frame > 0).all(axis=1)
    box = np.where(np.asarray(framed)[:, None], maps.whole(plan.frame), box)
    return np.where(np.isfinite(box), box, 0)


def _scales(plan: Plan, views: np.ndarray) -> np.ndarray:
    """[n] how much smaller each view's source may be."""
    shrink = plan.support[views] / np.where(plan.slope[views] != 0, 2, 1)[:, None]
    room = shrink.min(axis=1) / LEAST_SHRINK
    extreme = (plan.statistic[views] == RANGE) | (plan.statistic[views] == HISTOGRAM)
    room = np.where(extreme.any(axis=1), 1, room)
    scale = np.ones(len(views), np.int64)
    for each in SCALES[1:]:
        scale[room >= each] = each
    return scale


def _large_enough(scale: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    most = np.ones(len(scale), np.int64)
    for each in SCALES[1:]:
        most[sizes.min(axis=1) >= _LEAST_SIDE * each] = each
    return np.minimum(scale, most)
