"""What shows where in an output: cell by cell, the share that each view has of the pixels there.

A *cell* is a rectangle of an output in which the same layers lie everywhere. A view's *share* of it is
what it adds to each pixel: its layers' alphas, each times what the layers after it let through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..plan import Plan
from ..plan.kinds import NO_VIEW

# Half a step of a byte: less changes no pixel.
LEAST_SHARE = 1 / 510
# Layers up to which outputs are cut into cells together, and how many numbers that may take at a time.
FEW_LAYERS, MOST_AT_ONCE = 16, 1 << 22


class Cells(NamedTuple):
    """n cells in which a view shows, those of a view in an output one after the other."""

    output: np.ndarray  # [n]
    view: np.ndarray  # [n]
    box: np.ndarray  # [n, 4] y0, x0, y1, x1 in output pixels
    share: np.ndarray  # [n] in [LEAST_SHARE, 1]


class Looks(NamedTuple):
    """The views with a label that show in outputs: n looks, in the order of outputs and layers."""

    output: np.ndarray  # [n]
    view: np.ndarray  # [n]
    source: np.ndarray  # [n] the image that the view shows in the end
    first: np.ndarray  # [n] the first of its cells
    size: np.ndarray  # [n] how many cells it has
    cells: Cells

    @classmethod
    def of(cls, plan: Plan) -> Looks:
        """All of a plan's."""
        cells = shown_cells(plan)
        new = (np.diff(cells.output, prepend=-1) != 0) | (np.diff(cells.view, prepend=-1) != 0)
        first = np.flatnonzero(new)
        count = np.diff(np.append(first, len(new)))
        view = cells.view[first]
        return cls(cells.output[first], view, plan.roots()[view], first, count, cells)

    def pieces(self, look: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For things [n] that each belong to a look: pairs [p] of a thing and a cell of its look, in
        the order of things."""
        thing, number = spread(self.size[look])
        return thing, self.first[look][thing] + number


def spread(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts [n]: of each of all that they count, whose it is, and its number there."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def row_of(counts: np.ndarray, source: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The place of things among those of all sources: their sources' first, and their number there.
    counts: [B] how many each source has."""
    return (np.cumsum(counts) - counts)[source] + number


def ends_of(output: np.ndarray, outputs: int) -> list[int]:
    """[N + 1] where the things of each output begin, and where the last ones end. output: of each thing
    its output, in order."""
    return np.searchsorted(output, np.arange(outputs + 1)).tolist()


def label_weights(plan: Plan) -> np.ndarray:
    """[N, K] the share of the label that each layer's view has in its output, by all of its layers
    there; 0 where there is no view. (A partner that is blended box by box has its weight in one.)"""
    views = len(plan.source)
    key = np.arange(len(plan))[:, None] * views + plan.view
    shown, place = np.unique(key[plan.view >= 0], return_inverse=True)
    weights = np.zeros(plan.view.shape)
    of_view = np.bincount(place, plan.weight[plan.view >= 0], len(shown))
    weights[plan.view >= 0] = of_view[place]
    return weights


def first_layers(number: np.ndarray) -> np.ndarray:
    """[N, K] the first layer of the output that has the same number, a view's or an image's; −1 where
    the number is below 0."""
    count = number.shape[1]
    first = np.where(number >= 0, np.arange(count), -1)
    if count == 1:
        return first
    # The order is stable: of equal numbers the first layer comes first.
    order = np.argsort(number, axis=1, kind="stable")
    number_in_order = np.take_along_axis(number, order, axis=1)
    new = np.ones(number.shape, bool)
    new[:, 1:] = number_in_order[:, 1:] != number_in_order[:, :-1]
    start = np.maximum.accumulate(np.where(new, np.arange(count), 0), axis=1)
    np.put_along_axis(first, order, np.take_along_axis(order, start, axis=1), axis=1)
    return np.where(number >= 0, first, -1)


def shown_cells(plan: Plan) -> Cells:
    """The cells of all outputs in which views that carry a label show."""
    carries = label_weights(plan) > 0
    first = first_layers(plan.view)
    none = np.zeros(0, np.int64)
    parts: list[tuple[np.ndarray, ...]] = [(none, none, plan.box[:0, 0], np.zeros(0))]
    layers = LayersAt(plan.view, plan.box, plan.alpha, plan.finish.size)
    for outputs, box, shares in cells_by_layer(layers, first):
        mine = carries[outputs][:, :, None] & (shares >= LEAST_SHARE)
        at, layer, cell = np.nonzero(mine)
        parts.append((outputs[at], layer, box[at, cell], shares[at, layer, cell]))
    output, layer, box, share = (np.concatenate(part) for part in zip(*parts, strict=True))
    # By output and layer, whatever order they were found in.
    order = np.lexsort((layer, output))
    output, layer = output[order], layer[order]
    return _joined(Cells(output, plan.view[output, layer], box[order], share[order]))


def _joined(cells: Cells) -> Cells:
    """The same, with what lies side by side and is alike as one cell."""
    output, view, box, share = cells
    if not len(output):
        return cells
    goes_on = (output[1:] == output[:-1]) & (view[1:] == view[:-1]) & (share[1:] == share[:-1])
    goes_on &= (box[1:, [0, 2]] == box[:-1, [0, 2]]).all(axis=1) & (box[1:, 1] == box[:-1, 3])
    first = np.flatnonzero(np.append(True, ~goes_on))
    last = np.flatnonzero(np.append(~goes_on, True))
    box = np.concatenate([box[first, :2], box[last, 2:]], axis=1)
    return Cells(output[first], view[first], box, share[first])


class LayersAt(NamedTuple):
    """Layers as in the plan, and the size of the outputs."""

    view: np.ndarray  # [N, K]
    box: np.ndarray  # [N, K, 4]
    alpha: np.ndarray  # [N, K]
    size: tuple[int, int]


def cells_by_layer(
    layers: LayersAt, first: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Outputs [n], their cells [n, c, 4], and there the share [n, K, c] of each first layer's view; 0
    in cells without area."""
    view, box, alpha, size = layers
    acts = (view != NO_VIEW) & (alpha > 0)
    acts &= (box[..., 0] < box[..., 2]) & (box[..., 1] < box[..., 3])
    whole = (box[..., 0] <= 0) & (box[..., 1] <= 0)
    whole &= (box[..., 2:] >= size).all(axis=-1)
    # Most outputs are one cell.
    plain = (whole | ~acts).all(axis=1)
    alpha = np.where(acts, alpha, 0).astype(np.float64)
    if plain.any():
        outputs = np.flatnonzero(plain)
        shares = _shares(alpha[outputs, :, None], first[outputs])
        cell = np.broadcast_to([0, 0, *size], (len(outputs), 1, 4))
        yield outputs, cell, shares
    rest = np.flatnonzero(~plain)
    count = box.shape[1]
    if count <= FEW_LAYERS:
        at_once = max(1, MOST_AT_ONCE // (count * (2 * count) ** 2))
        for begin in range(0, len(rest), at_once):
            outputs = rest[begin : begin + at_once]
            yield outputs, *_grid(box[outputs], alpha[outputs], acts[outputs], first[outputs])
    else:
        for output in rest:
            acting = np.flatnonzero(acts[output])
            cells, of_layer = _grid_of_many(
                box[output, acting], alpha[output, acting], first[output, acting]
            )
            for begin in range(0, len(cells), MOST_AT_ONCE // count):
                part = slice(begin, begin + MOST_AT_ONCE // count)
                every = np.zeros((1, count, len(cells[part])))
                for layer, share in of_layer.items():
                    every[0, layer] = share[part]
                yield np.array([output]), cells[None, part], every


def _shares(alpha: np.ndarray, first: np.ndarray) -> np.ndarray:
    """[n, K, c] the share of each first layer's view, from the alphas [n, K, c] of layers in cells."""
    shares, through = np.empty_like(alpha), np.ones(alpha[:, 0].shape)
    for k in reversed(range(alpha.shape[1])):
        shares[:, k] = alpha[:, k] * through
        through *= 1 - alpha[:, k]
    return added_up(shares, first)


def added_up(shares: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Shares [n, K, c], each layer's added to that of its first layer [n, K], in place."""
    for k in range(1, shares.shape[1]):
        again = np.flatnonzero((first[:, k] >= 0) & (first[:, k] < k))
        if len(again):
            shares[again, first[again, k]] += shares[again, k]
            shares[again, k] = 0
    return shares


def _grid(box, alpha, acts, first) -> tuple[np.ndarray, np.ndarray]:
    """Outputs cut along all edges of their layers: the cells [n, c, 4] and their `_shares`."""
    n, count = alpha.shape
    box = np.where(acts[..., None], box, 0)
    ys, xs = (np.sort(box[..., [axis, axis + 2]].reshape(n, -1), axis=1) for axis in (0, 1))
    in_y = (box[:, :, None, 0] <= ys[:, None, :-1]) & (ys[:, None, 1:] <= box[:, :, None, 2])
    in_x = (box[:, :, None, 1] <= xs[:, None, :-1]) & (xs[:, None, 1:] <= box[:, :, None, 3])
    in_y &= (ys[:, None, :-1] < ys[:, None, 1:]) & acts[:, :, None]
    in_x &= xs[:, None, :-1] < xs[:, None, 1:]
    inside = in_y[:, :, :, None] & in_x[:, :, None, :]
    shares = _shares((alpha[:, :, None, None] * inside).reshape(n, count, -1), first)
    return _cell_boxes(ys, xs), shares


def _grid_of_many(box, alpha, first) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """One output of many layers: its cells [c, 4], and by first layer its view's share [c] of them."""
    ys, xs = (np.unique(box[:, [axis, axis + 2]]) for axis in (0, 1))
    through = np.ones((len(ys) - 1, len(xs) - 1))
    shares: dict[int, np.ndarray] = {}
    spans = [np.searchsorted(edges, box[:, [axis, axis + 2]]) for axis, edges in ((0, ys), (1, xs))]
    for k in reversed(range(len(box))):
        inside = (slice(*spans[0][k]), slice(*spans[1][k]))
        if first[k] >= 0:
            share = shares.setdefault(int(first[k]), np.zeros_like(through))
            share[inside] += alpha[k] * through[inside]
        through[inside] *= 1 - alpha[k]
    cells = _cell_boxes(ys[None], xs[None])[0]
    return cells, {layer: share.ravel() for layer, share in shares.items()}


def _cell_boxes(ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """[n, rows · columns, 4] the cells between edges ys [n, rows + 1] and xs [n, columns + 1]."""
    y0, x0 = ys[:, :-1, None], xs[:, None, :-1]
    y1, x1 = ys[:, 1:, None], xs[:, None, 1:]
    parts = np.broadcast_arrays(y0, x0, y1, x1)
    return np.stack(parts, axis=-1).reshape(len(ys), -1, 4)
