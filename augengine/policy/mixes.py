"""What lies on a draft's outputs beside their own views: mixes, erased boxes, and views that are laid over.

Each is a method of `Draft`, which is their first argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..plan.kinds import MATRIX, NO_VIEW, NOISE, PLAIN_COLOUR
from . import geometry
from .layers import Layers
from .rows import UNCHANGED

if TYPE_CHECKING:
    from .draft import Draft


def _mixed_with(draft: Draft, theirs: Layers | None = None) -> Layers:
    """The others' layers as a mix may take them: as they stood when its chooser began."""
    if draft.partners is not None:
        return draft.partners
    return draft.layers if theirs is None else theirs


def paste(draft: Draft, rows, partner, box, theirs: Layers | None = None) -> None:
    """CutMix: `box` [len(rows), 4] of the partner's output replaces one's own. theirs: the
    layers that partners are taken from, where those have changed since."""
    draft.shows_all(rows)
    draft.layers.paste(rows, _mixed_with(draft, theirs), partner, box, draft.output_size())


def blend(draft: Draft, rows, partner, amount, theirs: Layers | None = None) -> None:
    """MixUp: own · (1 − amount) + partner · amount; amount [len(rows)]. theirs: as for `paste`."""
    draft.shows_all(rows)
    draft.layers.blend(rows, _mixed_with(draft, theirs), partner, amount, draft.output_size())


def overlay(draft: Draft, rows, views, shares) -> None:
    """AugMix: one's own layers · (1 − Σ shares) + Σ shares · views, all of them full layers.

    views: [len(rows), k] rows of this draft that look at the same sample; shares: [len(rows), k].
    The labels stay as they are.
    """
    height, width = draft.output_size()
    draft.shows_all(rows)
    up_to = np.cumsum(shares, axis=1)
    # A layer's alpha is its share of all that is blended up to it.
    alpha = shares / np.maximum(1 - up_to[:, -1:] + up_to, 1e-12)
    n, k = views.shape
    draft.layers.append(
        rows,
        views,
        np.tile(np.array([0, 0, height, width]), (n, k, 1)),
        alpha,
        np.zeros((n, k)),
        np.zeros((n, k, draft.channels)),
    )


def erase(draft: Draft, rows, box, colour) -> None:
    """A plain-colour layer over `box` [len(rows), 4]; colour [len(rows), C]."""
    draft.output_size()
    plain = np.full((len(rows), 1), PLAIN_COLOUR, np.int32)
    ones = np.ones((len(rows), 1))
    draft.layers.append(rows, plain, box[:, None], ones, 0 * ones, colour[:, None])


def cover(draft: Draft, rows, view, box) -> None:
    """Lay `view` [len(rows)] over `box` [len(rows), 4], without a share of the label."""
    draft.output_size()
    ones = np.ones((len(rows), 1))
    empty = np.zeros((len(rows), 1, draft.channels))
    draft.layers.append(rows, view[:, None], box[:, None], ones, 0 * ones, empty)


def noise_view(draft: Draft, rows, mean, std, words) -> np.ndarray:
    """New rows that show nothing but normal noise, mean and std [C], keyed by words
    [len(rows), 2]; within [0, 1]. Returns them."""
    new = draft.blank(rows, 0.5)
    # Drawn with one deviation for all channels (four of them reach the clamps), then scaled.
    key, n = np.asarray(words).astype(np.int64) >> 8, len(rows)
    deviation = 1 / 8
    draft.step(new, NOISE, np.concatenate([np.tile([0, deviation], (n, 1)), key], axis=1))
    gain = np.asarray(std, float) / deviation
    offset = np.asarray(mean, float) - gain / 2
    if draft.channels == 3:
        scale = np.zeros((n, 3, 4))
        scale[:, range(3), range(3)], scale[:, :, 3] = gain, offset
        draft.step(new, MATRIX, scale.reshape(n, 12))
    else:
        draft.gains(new, gain, offset)
    draft.log(new, "noise")
    return new


def tile(draft: Draft, rows, partners, centre) -> None:
    """Mosaic: own image and three partners [len(rows), 3] around `centre` [len(rows), 2] (y, x)."""
    height, width = draft.output_size()
    if (_mixed_with(draft).view[:, 1:] != NO_VIEW).any():
        raise ValueError(
            "Mosaic: an image already has a mix or an erased box. Put Mosaic before CutMix, MixUp, "
            "AugMix and RandomErasing."
        )
    draft.shows_all(rows)
    y, x = centre.T
    n, zero = len(rows), 0 * y
    corners = [  # of each tile: its rows, how far it moves, its box
        (rows, y - height, x - width, [zero, zero, y, x]),
        (partners[:, 0], y - height, x, [zero, x, y, zero + width]),
        (partners[:, 1], y, x - width, [y, zero, zero + height, x]),
        (partners[:, 2], y, x, [y, x, zero + height, zero + width]),
    ]
    views, boxes = [], []
    for of, down, right, corner in corners:
        moved = draft.fork(of)
        draft.warp(moved, geometry.inv_translate(right, down), UNCHANGED)
        views.append(moved)
        boxes.append(np.stack(corner, axis=1))
    box = np.stack(boxes, axis=1)
    share = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) / (height * width)
    draft.layers.weight[rows] = 0
    blank = np.zeros((n, 4, draft.channels))
    draft.layers.append(rows, np.stack(views, axis=1), box, np.ones((n, 4)), share, blank)
