"""The way back: the plan that takes what lies on the outputs to where it lies on the originals."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ..checks import size_pair
from . import maps
from .fields import no_curves
from .finish import Finish
from .kinds import CONSTANT, FILTER_ARGS, LOG_ARGS, MOST_SIDE, STEP_ARGS

if TYPE_CHECKING:
    from . import Plan

# A pixel whose centre lies on the edge of a crop was seen, also after rounding.
_ROUNDING = 1e-4


def inverse(plan: Plan, size: tuple[int, int] | None, channels: int | None, fill: float) -> Plan:
    """See `Plan.inverse`."""
    if plan.after:
        raise ValueError(
            f"Plan.inverse: the plan's outputs go through a Stage, {plan.after[0]}, which may move pixels, "
            "expected a policy without one. Pass Stage(…, targets='same') if it moves none."
        )
    views = maps.carriers("Plan.inverse", plan)
    originals = plan.roots()[views]
    sizes = plan.sizes[originals]
    largest = sizes.max(axis=0, initial=1)
    height, width = map(int, largest) if size is None else size_pair("Plan.inverse: size", size)
    finish = Finish((height, width), plan.finish.channels if channels is None else channels)
    if (largest > finish.size).any():
        i = int(np.argmax((sizes > finish.size).any(axis=1)))
        raise ValueError(
            f"Plan.inverse: got size {height}×{width}, the original of output {i} is {sizes[i, 0]}×"
            f"{sizes[i, 1]}, expected at least that. Leave size out, or resize what was mapped back."
        )
    matrix, there = maps.inverses(maps.to_images(plan, views))
    clip, box = _seen(plan, views, matrix)
    box[:, :2] = np.ceil(box[:, :2] - 0.5 - _ROUNDING)
    box[:, 2:] = np.floor(box[:, 2:] + 0.5 + _ROUNDING)
    box = maps.within(maps.whole(sizes), box)
    middle = np.stack([box[:, 1] + box[:, 3], box[:, 0] + box[:, 2]], axis=1) / 2
    support = maps.filter_width(maps.spacing(matrix, middle), MOST_SIDE)
    # What shows nothing of the original has nothing to give back.
    nothing = ~there | (clip[:, :2] >= clip[:, 2:]).any(axis=1)
    matrix[nothing], support[nothing], clip[nothing] = np.eye(3), 1, 0
    box[(box[:, :2] >= box[:, 2:]).any(axis=1)] = 0
    return _plan_of(plan, originals, finish, fill, matrix, support, clip, box)


def _seen(plan: Plan, views: np.ndarray, forward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What shows of each original, [n, 4]: the part of the output that shows it, and the part of the
    original that is shown. What a view on the way cut off obliquely is bounded by a box on either side.

    forward: [n, 3, 3] from originals to outputs.
    """
    count = len(views)
    frame = np.tile(np.array([0, 0, *plan.finish.size], np.float64), (count, 1))
    original = np.full((count, 4), np.inf)
    original[:, :2] = -np.inf
    back = maps.to_images(plan, views)
    behind, images = back.copy(), len(plan.ids)  # of what each link looks at, to the original
    for rows, step in maps.links(plan, views):
        undone, there = maps.inverses(maps.own(plan, step))
        behind[rows] = maps.product(behind[rows], undone)
        clip = plan.clip[step].astype(np.float64)
        on_image = plan.source[step] < images
        part = np.where(on_image[:, None], clip, maps.bounds(behind[rows], clip))
        original[rows] = maps.within(original[rows], part)
        on_frame = maps.bounds(maps.product(forward[rows], behind[rows]), clip)
        cut = maps.within(frame[rows], on_frame)
        frame[rows] = np.where((on_image | ~there)[:, None], frame[rows], cut)
    return frame, original


def _plan_of(plan: Plan, originals, finish, fill, matrix, support, clip, box) -> Plan:
    """The plan whose output i is original i: one view each, in the part that was shown."""
    count, channels = len(plan), finish.channels
    views = count + 1  # and one that shows nothing, for the rest
    matrix = np.concatenate([matrix, np.eye(3)[None]])
    clip = np.concatenate([clip, np.zeros((1, 4))]).astype(np.float32)
    whole = (box == [0, 0, *finish.size]).all()
    view = np.arange(count, dtype=np.int32)[:, None]
    every = np.tile(np.array([0, 0, *finish.size], np.int32), (count, 1, 1))
    boxes = every
    if not whole:
        view = np.concatenate([np.full_like(view, count), view], axis=1)
        boxes = np.concatenate([every, box[:, None].astype(np.int32)], axis=1)
    layers = view.shape[1]
    weight = np.zeros(view.shape, np.float32)
    weight[:, -1] = 1
    log_arg = np.zeros((views, 1, LOG_ARGS), np.float32)
    log_arg[:-1, 0, :2] = plan.sizes[originals]
    result = dataclasses.replace(
        plan,
        finish=finish,
        ids=plan.ids[originals],
        occurrence=plan.occurrence[originals],
        sizes=np.tile(np.array(plan.finish.size, np.int32), (count, 1)),
        strength=plan.strength[originals],
        source=np.append(np.arange(count), 0).astype(np.int32),
        inv_matrix=matrix.astype(np.float32),
        support=np.concatenate([support, [[1, 1]]]).astype(np.float32),
        slope=np.zeros(views, np.float32),
        clip=clip,
        sight=clip,
        border=np.full(views, CONSTANT, np.int8),
        fill=np.full((views, channels), fill, np.float32),
        fill_start=np.zeros(views, np.int16),
        step_kind=np.zeros((views, 0), np.int8),
        step_arg=np.zeros((views, 0, STEP_ARGS), np.float32),
        curves=no_curves(channels),
        statistic=np.zeros((views, 0), np.int8),
        window=np.zeros((views, 0, 4), np.float32),
        filter=np.zeros((views, FILTER_ARGS), np.float32),
        frame=np.zeros((views, 2), np.int32),
        log_op=np.array([0] * count + [-1], np.int16)[:, None],
        log_arg=log_arg,
        view=view,
        box=boxes,
        alpha=np.ones(view.shape, np.float32),
        weight=weight,
        colour=np.zeros((count, layers, channels), np.float32),
        extent=plan.sizes[originals],
        log_text=("back to the original of %d×%d",),
        policy="",
    )
    return result.select(slice(None)) if whole else result
