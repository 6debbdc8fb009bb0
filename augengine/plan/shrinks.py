"""A strong shrink under a turn: drawn upright first, then turned.

An upright view weighs its taps along y and then along x. One that turns weighs each along y with each
along x, which for a photograph of 2,000 pixels is a hundred a pixel. So a view that turns and shrinks much
is drawn as op by op would: upright, at the size at which a pixel of the picture is one of the output, and
then that picture is turned. The filter is then the triangle of the shrink, and after it that of the turn.

This is a rule on what stands in a plan, so plans are as they were, targets and maps follow the one matrix,
and every executor draws the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import maps
from .fields import fields_of
from .kinds import CONSTANT, EDGE, MOST_SIDE, NO_STATISTIC

if TYPE_CHECKING:
    from . import Plan

# How many source pixels lie between those of an output where the turn alone takes as long: of a triangle
# three taps along an axis, of a cubic eight.
LEAST_SHRINK, LEAST_OF_A_CUBIC = 1.5, 2.0
# Pixels of the picture to those of the output, beyond which its turn alone weighs less.
_MOST_AREA = 4
# Sides are whole multiples of this many pixels, so that many pictures have one size and are drawn together.
_STEP = 32
# Rounding in float32 takes the end of a frame a little over the picture's last pixel.
_ROUNDING = 1e-3


def shrunk_first(plan: Plan) -> dict[int, tuple[float, float]]:
    """The views that are drawn by way of an upright picture, and by how much that is smaller than what it
    shows, along y and along x."""
    views, _, shrink = _pictures(plan)
    return {view: (y, x) for view, (y, x) in zip(views.tolist(), shrink.tolist(), strict=True)}


def upright_first(plan: Plan) -> Plan:
    """The plan with the upright pictures as views of their own, which the turning views look at."""
    views, box, shrink = _pictures(plan)
    if not len(views):
        return plan
    count, images = len(plan.source), len(plan.ids)
    size = (-(-(box[:, 2:] - box[:, :2]) // _STEP) * _STEP).astype(np.int64)
    # From pixels of the picture to the source, along y and x: source = shrink · picture + corner.
    corner = plan.clip[views, :2] + shrink * box[:, :2]
    upright = np.zeros((len(views), 3, 3))
    upright[:, [1, 0], [1, 0]], upright[:, [1, 0], 2], upright[:, 2, 2] = shrink, corner, 1
    back = np.zeros_like(upright)
    back[:, [1, 0], [1, 0]], back[:, [1, 0], 2], back[:, 2, 2] = 1 / shrink, -corner / shrink, 1

    fields = {name: _twice(getattr(plan, name), views) for name in fields_of(plan, "V")}
    new = slice(count, None)
    fields["source"][views] = images + count + np.arange(len(views))
    fields["frame"][new], fields["filter"][new] = size, 0
    fields["inv_matrix"][new] = upright
    fields["inv_matrix"][views] = maps.product(back, maps.own(plan, views))
    fields["support"][views] = plan.support[views] / shrink[:, ::-1]
    # The picture shows all that the filter may weigh, and its edge where it is larger.
    fields["clip"][new], fields["border"][new] = plan.sight[views], EDGE
    for name in ("clip", "sight"):
        fields[name][views] = _on_picture(getattr(plan, name)[views], corner, shrink, size)
    for name in ("step_kind", "statistic", "fill_start"):
        fields[name][new] = 0
    fields["log_op"][new] = -1
    measured = plan.statistic[views] != NO_STATISTIC
    window = plan.window[views]
    for step in range(window.shape[1]):
        seen = _on_picture(window[:, step], corner, shrink, size)
        seen[:, :2] = np.minimum(seen[:, :2], size - 1)
        window[:, step] = np.where(measured[:, step, None], seen, window[:, step])
    fields["window"][views] = window
    return plan._trusted(**{**vars(plan), **fields})


def _twice(values: np.ndarray, views: np.ndarray) -> np.ndarray:
    return np.concatenate([values, values[views]])


def _on_picture(box, corner, shrink, size) -> np.ndarray:
    """[m, 4] boxes of the source as they lie on the pictures."""
    twice = np.tile(corner, 2)
    box = (box - twice) / np.tile(shrink, 2)
    box = np.where(np.abs(box - np.rint(box)) < _ROUNDING, np.rint(box), box)
    return np.clip(box, 0, np.tile(size, 2))


def _pictures(plan: Plan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The views that are shrunk first [m]; the pixels of the picture that each needs, counted from the
    clip's corner, y0, x0, y1, x1 [m, 4]; and how many source pixels lie between those, along y and x [m, 2].

    Pixels are counted from the clip's corner because there a crop began: those of the picture are then
    those of the crop, resized.
    """
    # As nearly always there is none.
    if plan.support.max(initial=0) <= LEAST_SHRINK:
        return _NONE
    cubic = plan.slope != 0
    shrink = plan.support[:, ::-1].astype(np.float64) / np.where(cubic, 2, 1)[:, None]
    matrix = plan.inv_matrix
    turns = (matrix[:, 0, 1] != 0) | (matrix[:, 1, 0] != 0) | (matrix[:, 2, :2] != 0).any(axis=1)
    shows = (plan.clip[:, :2] < plan.clip[:, 2:]).all(axis=1)
    strong = shrink.max(axis=1) > np.where(cubic, LEAST_OF_A_CUBIC, LEAST_SHRINK)
    views = np.flatnonzero(turns & shows & strong)
    if not len(views):
        return _NONE
    shrink = np.maximum(shrink[views], 1)
    frame = np.where(plan.frame[views] > 0, plan.frame[views], plan.finish.size)
    clip, sight = (np.asarray(box[views], np.float64) for box in (plan.clip, plan.sight))
    seen = maps.bounds(maps.own(plan, views), maps.whole(frame))
    seen = np.where((plan.border[views] == CONSTANT)[:, None], seen, clip)
    window, measured = plan.window[views], plan.statistic[views] != NO_STATISTIC
    for step in range(window.shape[1]):
        low = np.minimum(seen[:, :2], window[:, step, :2])
        high = np.maximum(seen[:, 2:], window[:, step, 2:])
        seen = np.where(measured[:, step, None], np.concatenate([low, high], axis=1), seen)
    seen = maps.within(clip, seen)
    reach = np.where(cubic[views], 3, 2)[:, None]
    corner = clip[:, :2]
    low = np.maximum(
        np.floor((seen[:, :2] - corner) / shrink) - reach,
        np.floor((sight[:, :2] - corner) / shrink + _ROUNDING),
    )
    high = np.minimum(
        np.ceil((seen[:, 2:] - corner) / shrink) + reach,
        np.ceil((sight[:, 2:] - corner) / shrink - _ROUNDING),
    )
    high = np.maximum(high, low + 1)
    box = np.concatenate([low, high], axis=1)
    small = (high - low).prod(axis=1) <= _MOST_AREA * frame.prod(axis=1, dtype=np.float64)
    small &= (high - low).max(axis=1) <= MOST_SIDE - _STEP
    return views[small], box[small], shrink[small]


_NONE = np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros((0, 2))
