"""Plans made from plans: the same geometry at another size or without colours, one within another, and
the maps between them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import size_pair
from . import maps
from .fields import fields_of
from .join import joined
from .kinds import CONSTANT, LOG_ARGS, MOST_ENTRY, MOST_SIDE

if TYPE_CHECKING:
    from . import Plan


_STEPS = ("step_kind", "step_arg", "statistic", "window")


def resized(plan: Plan, size: tuple[int, int]) -> Plan:
    """See `Plan.resized`."""
    old_size, size = plan.finish.size, size_pair("Plan.resized: size", size)
    finish = dataclasses.replace(plan.finish, size=size)
    if finish == plan.finish:
        return plan
    plan = _shown_apart(plan)
    shown = np.unique(plan.view[plan.view >= 0])
    down, along = old_size[0] / finish.size[0], old_size[1] / finish.size[1]
    scaling = np.tile(np.diag([along, down, 1.0]), (len(shown), 1, 1))
    middle = np.tile([finish.size[1] / 2, finish.size[0] / 2], (len(shown), 1))
    fields: dict[str, Any] = {
        name: getattr(plan, name).copy() for name in ("inv_matrix", "support", "clip", "sight")
    }
    looks = _behind(plan, shown, scaling, middle, plan.support[shown], plan.slope[shown])
    for name, value in zip(("inv_matrix", "support"), looks, strict=True):
        fields[name][shown] = value
    empty = ~_shows(plan.clip)
    fields["support"][empty] = _reach_of(plan.slope[empty])
    far = _far(fields["inv_matrix"])
    fields["clip"][far], fields["sight"][far], fields["inv_matrix"][far] = 0, 0, np.eye(3)
    box = np.floor(plan.box / [down, along, down, along] + 0.5).astype(np.int32)
    extent = np.maximum(np.floor(plan.extent / [down, along] + 0.5), 1).astype(np.int32)
    return dataclasses.replace(plan, finish=finish, box=box, extent=extent, **fields)


def without_colour(plan: Plan) -> Plan:
    """See `Plan.without_colour`."""
    # What shows no image has nothing but its colour: the noise of an erased box.
    bare = _shows(plan.clip)
    steps = {name: getattr(plan, name) for name in _STEPS}
    if bare.all():
        steps = {name: value[:, :0] for name, value in steps.items()}
    else:
        steps = {name: value.copy() for name, value in steps.items()}
        for value in steps.values():
            value[bare] = 0
    return dataclasses.replace(
        plan,
        **steps,
        fill_start=np.where(bare, 0, plan.fill_start).astype(np.int16),
        filter=np.where(bare[:, None], 0, plan.filter).astype(np.float32),
        **_with_line(plan, "without its colours", np.zeros((len(bare), 0)), bare, first=False),
    )


def inside(inner: Plan, outer: Plan) -> Plan:
    """See `Plan.inside`."""
    _check_inside(inner, outer)
    shown = maps.carriers("Plan.inside", outer)
    # Of what the outer views show on the way, the geometry alone.
    outer = outer._trusted(
        **{
            **vars(outer),
            **{name: getattr(outer, name)[:, :0] for name in _STEPS},
            "fill_start": np.zeros_like(outer.fill_start),
            "filter": np.zeros_like(outer.filter),
            "curves": outer.curves[:0],
        }
    )
    views, images, looks = len(outer.source), len(outer.ids), len(inner.source)
    direct: np.ndarray = inner.source < len(outer)  # the others look at views of the inner plan
    through = shown[np.where(direct, inner.source, 0)]
    middle = np.tile([inner.finish.size[1] / 2, inner.finish.size[0] / 2], (looks, 1))
    filtered = inner.frame[:, ::-1] / 2
    middle = np.where(inner.frame.min(axis=1, keepdims=True) > 0, filtered, middle)
    matrix, support = _behind(
        outer, through, inner.inv_matrix.astype(np.float64), middle, inner.support, inner.slope
    )
    old = maps.own(outer, through)
    limits = outer.clip[through].astype(np.float64)
    clip = maps.within(maps.bounds(old, inner.clip.astype(np.float64)), limits)
    far, shows = _far(matrix), _shows(inner.clip)
    sight = maps.within(
        maps.bounds(old, inner.sight.astype(np.float64)), outer.sight[through].astype(np.float64)
    )
    nothing = far | ~shows | ~_shows(clip)
    clip[nothing], sight[nothing], matrix[far] = 0, 0, np.eye(3)
    fields: dict[str, Any] = {
        "source": np.where(
            direct, outer.source[through], inner.source - len(outer) + images + views
        ),
        "inv_matrix": np.where(direct[:, None, None], matrix, inner.inv_matrix),
        "support": np.where(direct[:, None], support, inner.support),
        "clip": np.where(direct[:, None], clip, inner.clip),
        "sight": np.where(direct[:, None], sight, inner.sight),
        "window": _windows(inner, outer, through, direct, old),
    }
    fields = {name: value.astype(getattr(inner, name).dtype) for name, value in fields.items()}
    numbers = np.tile(np.array(outer.finish.size), (looks, 1))
    fields |= _with_line(inner, "in a view of %d×%d", numbers, shows, first=True)
    log_text = fields.pop("log_text")
    for name in fields_of(inner, "V"):
        before = np.zeros_like(getattr(outer, name)) if name == "log_op" else getattr(outer, name)
        before = before[:, :0] if name in ("log_op", "log_arg") else before
        after = fields.get(name, getattr(inner, name))
        fields[name] = joined([before, after], -1 if name == "log_op" else 0)
    for name in fields_of(inner, "B"):
        fields[name] = getattr(outer, name)
    fields["view"] = np.where(inner.view < 0, inner.view, inner.view + views).astype(np.int32)
    every = inner._trusted(**{**vars(inner), "log_text": log_text, **fields})
    return every.select(slice(None))  # which is checked


def map_to(plan: Plan, other: Plan) -> np.ndarray:
    """See `Plan.map_to`."""
    for one in (plan, other):
        if one.after:
            raise ValueError(
                f"Plan.map_to: a plan's outputs go through a Stage, {one.after[0]}, which may move pixels, "
                "expected plans without one. Pass Stage(…, targets='same') if it moves none."
            )
    same = len(plan) == len(other) and all(
        np.array_equal(getattr(plan, name), getattr(other, name))
        for name in ("ids", "occurrence", "sizes")
    )
    views = [maps.carriers("Plan.map_to", one) for one in (plan, other)]
    if not same or not np.array_equal(plan.roots()[views[0]], other.roots()[views[1]]):
        raise ValueError(
            "Plan.map_to: the plans' outputs show different samples, expected two looks at one batch. Pass "
            "the plan of another view of the same images."
        )
    back, there = maps.inverses(maps.to_images(other, views[1]))
    back[~there] = np.nan
    return maps.product(back, maps.to_images(plan, views[0]))


def box_in(plan: Plan, other: Plan) -> np.ndarray:
    """See `Plan.box_in`."""
    frame = np.tile(np.array([0, 0, *plan.finish.size], np.float64), (len(plan), 1))
    return maps.bounds(map_to(plan, other), frame)


def _behind(plan: Plan, views, inv_matrix, middle, support, slope) -> tuple[np.ndarray, np.ndarray]:
    """Matrices [n, 3, 3] behind those of views [n] of a plan, and the half-widths of their filters.

    middle: [n, 2] x, y of the middle of each new frame. support: [n, 2] of the new looks; 0: nearest.
    slope: [n] of the new looks.
    """
    old = maps.own(plan, views)
    matrix = maps.product(old, inv_matrix)
    at, _ = maps.apply(inv_matrix, middle[:, None])
    before, after = maps.spacing(old, at[:, 0]), maps.spacing(matrix, middle)
    # A filter is no narrower than a pixel, so that of an enlargement does not say how large it is. One
    # that says so does not count shears, which part no pixels.
    wide = plan.support[views] / _reach_of(plan.slope[views])
    wide = np.where(wide > 1, wide, np.minimum(before, 1))
    width = maps.filter_width(np.maximum(wide * after / np.maximum(before, 2.0**-40), 1), MOST_SIDE)
    width = np.minimum(width * _reach_of(slope), MOST_SIDE)
    return matrix, np.where(support == 0, 0, width).astype(np.float32)


def _reach_of(slope: np.ndarray) -> np.ndarray:
    """[n, 1] how many pixels the filters reach that shrink nothing."""
    return np.where(slope == 0, 1, 2)[:, None]


def _shows(clip: np.ndarray) -> np.ndarray:
    """[n] whether a clip has area: otherwise its view shows nothing of an image."""
    return np.asarray((clip[:, :2] < clip[:, 2:]).all(axis=1))


def _far(matrices: np.ndarray) -> np.ndarray:
    """[n] whether a view looks farther away than a plan can say: it then shows nothing."""
    return np.asarray(~(np.abs(matrices).max(axis=(1, 2), initial=0) <= MOST_ENTRY))  # a NaN too


def _shown_apart(plan: Plan) -> Plan:
    """The plan with views of their own for layers, where others look at what a layer's view shows."""
    images = len(plan.ids)
    both = np.intersect1d(plan.view[plan.view >= 0], plan.source[plan.source >= images] - images)
    if not len(both):
        return plan
    fields: dict[str, Any] = {
        name: np.concatenate([getattr(plan, name), getattr(plan, name)[both]])
        for name in fields_of(plan, "V")
    }
    number = len(plan.source) + np.searchsorted(both, plan.view)
    view = np.where(np.isin(plan.view, both), number, plan.view).astype(np.int32)
    return dataclasses.replace(plan, view=view, **fields)


def _with_line(plan: Plan, text: str, numbers, rows, first: bool) -> dict[str, Any]:
    """The log's fields with a line more, first or last, for some views (rows: [V] bool)."""
    op = np.where(rows, len(plan.log_text), -1).astype(np.int16)[:, None]
    arg = np.zeros((len(rows), 1, LOG_ARGS), np.float32)
    arg[:, 0, : numbers.shape[1]] = numbers
    order = slice(None, None, -1 if first else 1)
    return {
        "log_text": (*plan.log_text, text),
        "log_op": np.concatenate([plan.log_op, op][order], axis=1),
        "log_arg": np.concatenate([plan.log_arg, arg][order], axis=1),
    }


def _windows(inner: Plan, outer: Plan, through, direct, old) -> np.ndarray:
    """[V, S, 4] what the inner plan measures, as boxes of what the outer plan's views look at."""
    window = inner.window.astype(np.float64)
    size = outer.source_sizes()[through].astype(np.float64)
    for step in range(window.shape[1]):
        box = maps.bounds(old, window[:, step])
        low = np.clip(box[:, :2], 0, size - 1)  # at least one pixel is read
        high = np.maximum(np.minimum(box[:, 2:], size), low)
        mapped = direct & (inner.statistic[:, step] != 0)
        window[mapped, step] = np.concatenate([low, high], axis=1)[mapped]
    return window


def _check_inside(inner: Plan, outer: Plan) -> None:
    if len(inner.ids) != len(outer) or (inner.sizes != outer.finish.size).any():
        height, width = outer.finish.size
        raise ValueError(
            f"Plan.inside: the plan has {len(inner.ids)} sources, the outer plan {len(outer)} outputs of "
            f"{height}×{width}, expected a source of that size for each. Sample it for sizes="
            f"[({height}, {width})] * {len(outer)}."
        )
    if inner.finish.channels != outer.finish.channels:
        raise ValueError(
            f"Plan.inside: the plan is for {inner.finish.channels} channel(s), the outer plan for "
            f"{outer.finish.channels}, expected the same. Sample both with the same channels."
        )
    if (inner.border != CONSTANT).any() or (outer.border != CONSTANT).any():
        raise ValueError(
            "Plan.inside: got a plan whose border is mirrored or smeared, expected constant ones, since a "
            "border within a border is none that a plan has. Leave padding_mode out."
        )
