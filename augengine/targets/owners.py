"""Whose each pixel is: opaque layers that say for every pixel of an output which view a mask shows.

A pixel belongs to the sample with the greatest sum of shares there, and is shown by that view of the
sample that carries its label; of several, by that of the greatest share. What is erased belongs to the
sample that lies beneath.
"""

from __future__ import annotations

import numpy as np

from ..plan import Plan
from ..plan.kinds import NO_VIEW, PLAIN_COLOUR
from ..policy.layers import without_erased
from .shares import LayersAt, added_up, cells_by_layer, first_layers, label_weights, spread


def owned_layers(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Opaque layers in the place of a plan's: views [N, K], as in the plan, and their boxes
    [N, K, 4]. The first covers the output; it is plain where there is no sample."""
    weights = label_weights(plan)
    view, alpha = _without_erased(plan, weights)
    blends = ((alpha > 0) & (alpha < 1) & (view != NO_VIEW)).any(axis=1)
    opaque = np.where(alpha == 1, view, NO_VIEW)
    if not blends.any():
        kept = np.append(True, (opaque[:, 1:] != NO_VIEW).any(axis=0))
        return opaque[:, kept], plan.box[:, kept]
    blended = np.flatnonzero(blends)
    layers = LayersAt(view[blended], plan.box[blended], alpha[blended], plan.finish.size)
    output, owner, box = _joined(*_owned_cells(layers, plan.roots(), weights[blended] > 0))
    laid_view, laid_box = _laid(output, owner, box, len(blended), plan.finish.size)
    most = max(view.shape[1], laid_view.shape[1])
    views = np.full((len(view), most), NO_VIEW, np.int32)
    boxes = np.zeros((len(view), most, 4), np.int32)
    views[:, : view.shape[1]], boxes[:, : view.shape[1]] = opaque, plan.box
    views[blended], boxes[blended] = NO_VIEW, 0
    views[blended, : laid_view.shape[1]], boxes[blended, : laid_view.shape[1]] = laid_view, laid_box
    return views, boxes


def _without_erased(plan: Plan, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Views and alphas [N, K] without plain colours and noise. One that was blended hands its alpha to
    what lies beneath it there, which a blend keeps with alpha 0."""
    view, alpha, box = plan.view.copy(), plan.alpha.astype(np.float64), plan.box
    sees_nothing = np.logical_or.reduce(plan.clip[:, :2] >= plan.clip[:, 2:], axis=1)
    erases = view == PLAIN_COLOUR
    if sees_nothing.any():
        erases |= (view >= 0) & (weights == 0) & sees_nothing[view]
    erases[:, 0] = False  # there is nothing beneath
    if not erases.any():
        return view, alpha
    hidden = (alpha[:, :-1] == 0) & (view[:, :-1] != NO_VIEW)
    hidden &= (box[:, 1:] == box[:, :-1]).all(axis=-1)
    for i, before in np.argwhere(erases[:, 1:] & (alpha[:, 1:] > 0) & hidden):
        first = k = before + 1
        while first > 0 and hidden[i, first - 1]:
            first -= 1
        pile = slice(first, k + 1)
        beneath = np.where(view[i, pile] >= 0, plan.colour[i, pile, 0], 0)
        alpha[i, pile] = without_erased(alpha[i, pile], np.arange(first, k + 1) == k, beneath)
    view[erases], alpha[erases] = NO_VIEW, 0
    return view, alpha


def _owned_cells(layers: LayersAt, roots: np.ndarray, carries: np.ndarray):
    """The cells of outputs, each with its owner: output [n], view [n], box [n, 4]."""
    view = layers.view
    shows = view >= 0
    root = np.where(shows, roots[view], -1)
    first, first_of_root = first_layers(view), first_layers(root)
    parts = []
    for outputs, box, shares in cells_by_layer(layers, first):
        shares = shares * shows[outputs][:, :, None]
        sums = added_up(shares.copy(), first_of_root[outputs])
        at = np.arange(len(outputs))[:, None]
        owner = root[outputs][at, sums.argmax(axis=1)]
        mine = np.where(root[outputs][:, :, None] == owner[:, None], shares, 0)
        labelled = np.where(carries[outputs][:, :, None], mine, 0)
        layer = np.where(labelled.any(axis=1), labelled.argmax(axis=1), mine.argmax(axis=1))
        owners = np.where(mine.any(axis=1), view[outputs][at, layer], PLAIN_COLOUR)
        row, cell = np.nonzero((box[..., 0] < box[..., 2]) & (box[..., 1] < box[..., 3]))
        parts.append((outputs[row], owners[row, cell], box[row, cell]))
    return (np.concatenate(part) for part in zip(*parts, strict=True))


def _joined(output, view, box):
    """The same, with what lies side by side and has one owner as one cell: along rows, then columns."""
    for low, high in ((1, 3), (0, 2)):
        across = [1 - low, 3 - low]
        order = np.lexsort((box[:, low], view, box[:, across[1]], box[:, across[0]], output))
        output, view, box = output[order], view[order], box[order]
        goes_on = (output[1:] == output[:-1]) & (view[1:] == view[:-1])
        goes_on &= (box[1:, across] == box[:-1, across]).all(axis=1)
        goes_on &= box[1:, low] == box[:-1, high]
        first = np.flatnonzero(np.append(True, ~goes_on))
        last = np.flatnonzero(np.append(~goes_on, True))
        output, view, end = output[first], view[first], box[last, high]
        box = box[first].copy()
        box[:, high] = end
    return output, view, box


def _laid(output, view, box, n: int, size) -> tuple[np.ndarray, np.ndarray]:
    """Cells of n outputs as opaque layers: of each output the view of the largest area everywhere, then
    the others over it."""
    views = int(view.max(initial=0)) + 3
    key, of_key = np.unique(output.astype(np.int64) * views + view + 2, return_inverse=True)
    area = np.bincount(of_key, (box[:, 2:] - box[:, :2]).prod(axis=1, dtype=np.float64))
    order = np.lexsort((-area, key // views))
    largest = order[np.flatnonzero(np.diff(key[order] // views, prepend=-1))]
    ground = (key[largest] % views - 2).astype(np.int32)
    over = np.flatnonzero(view != ground[output])
    over = over[np.argsort(output[over], kind="stable")]
    count = np.bincount(output[over], minlength=n)
    row, number = spread(count)
    laid = np.full((n, 1 + int(count.max(initial=0))), NO_VIEW, np.int32)
    boxes = np.zeros((*laid.shape, 4), np.int32)
    laid[:, 0], boxes[:, 0] = ground, [0, 0, *size]
    laid[row, 1 + number], boxes[row, 1 + number] = view[over], box[over]
    return laid, boxes
