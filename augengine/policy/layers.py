"""Layers while their number grows: what lands where in each output, and what a mix makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..plan.kinds import NO_VIEW

# Of one image. Blending 128 boxes takes a second, and eight times as long for twice as many.
MOST_LAYERS, MOST_BLENDED = 1 << 10, 1 << 7


@dataclass
class Layers:
    """Layers of n outputs: arrays [n, K] as in the plan. The first is the sample's own view."""

    view: np.ndarray
    box: np.ndarray
    alpha: np.ndarray
    weight: np.ndarray
    colour: np.ndarray

    @classmethod
    def base(cls, n: int, channels: int) -> Layers:
        """One layer: sample i's own view, everywhere. The box is set when the frame is final."""
        return cls(
            np.arange(n, dtype=np.int32)[:, None],
            np.zeros((n, 1, 4), np.int32),
            np.ones((n, 1), np.float64),
            np.ones((n, 1), np.float64),
            np.zeros((n, 1, channels), np.float64),
        )

    def copy(self) -> Layers:
        return Layers(*(array.copy() for array in vars(self).values()))

    def append(self, rows, view, box, alpha, weight, colour) -> None:
        """Add k layers (arrays [len(rows), k, …]) to some outputs; the others get empty ones."""
        n, k = len(self.view), view.shape[1]
        if self.view.shape[1] + k > MOST_LAYERS:
            raise ValueError(
                f"policy: more than {MOST_LAYERS:,} layers lie on one image, expected fewer: each mix adds "
                "those of the partner. Take fewer mixes and erased boxes."
            )
        for name, new, empty in [
            ("view", view, NO_VIEW),
            ("box", box, 0),
            ("alpha", alpha, 0),
            ("weight", weight, 0),
            ("colour", colour, 0),
        ]:
            old = getattr(self, name)
            added = np.full((n, k, *old.shape[2:]), empty, old.dtype)
            added[rows] = new
            setattr(self, name, np.concatenate([old, added], axis=1))

    def paste(self, rows, theirs: Layers, partner, box, size) -> None:
        """CutMix: the partner's layers, cut to `box` [len(rows), 4] of an output of `size`."""
        share = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / (size[0] * size[1])
        boxes = theirs.box[partner]
        boxes[:, 0] = [0, 0, *size]
        low = np.maximum(boxes[..., :2], box[:, None, :2])
        high = np.maximum(np.minimum(boxes[..., 2:], box[:, None, 2:]), low)
        # Taken before one's own weights change: a partner is somebody's own too.
        weight = theirs.weight[partner] * share[:, None]
        self.weight[rows] *= (1 - share)[:, None]
        self.append(
            rows,
            theirs.view[partner],
            np.concatenate([low, high], axis=-1),
            theirs.alpha[partner],
            weight,
            theirs.colour[partner],
        )

    def blend(self, rows, theirs: Layers, partner, amount, size) -> None:
        """MixUp: own · (1 − amount) + partner · amount. A partner of several layers is blended layer
        by layer, with alphas that give the same sum; one that has boxes, box by box."""
        full = (theirs.box[partner] == [0, 0, *size]).all(-1)
        full[:, 0] = True
        in_boxes_too = (theirs.view[partner] != NO_VIEW) & ~full
        boxed = in_boxes_too.any(axis=1)
        most = theirs.view.shape[1]
        if (
            most > MOST_BLENDED
            and (most := int(in_boxes_too.sum(axis=1).max(initial=0))) > MOST_BLENDED
        ):
            raise ValueError(
                f"policy: MixUp meets a partner of {most} boxes, expected {MOST_BLENDED} at most, since it "
                "is blended box by box. Put MixUp before what erases and pastes."
            )
        # Taken before one's own weights change: a partner is somebody's own too.
        weight = theirs.weight[partner] * amount[:, None]
        self.weight[rows] *= (1 - amount)[:, None]
        whole = np.flatnonzero(~boxed)
        in_boxes = [
            _blended_boxes(theirs, partner[i], amount[i], weight[i], size)
            for i in np.flatnonzero(boxed)
        ]
        if len(whole):
            view, alpha = theirs.view[partner[whole]], theirs.alpha[partner[whole]]
            alpha = np.where(view != NO_VIEW, alpha, 0.0)
            box = np.broadcast_to(np.array([0, 0, *size], np.int32), (*view.shape, 4))
            alpha = _blended(alpha, amount[whole, None])
            colour = theirs.colour[partner[whole]]
            self.append(rows[whole], view, box, alpha, weight[whole], colour)
        if in_boxes:
            most = max(map(len, in_boxes))
            empty = (NO_VIEW, (0, 0, 0, 0), 0.0, 0.0, np.zeros(self.colour.shape[-1]))
            padded = [layers + [empty] * (most - len(layers)) for layers in in_boxes]
            fields = (
                np.array([[layer[f] for layer in layers] for layers in padded]) for f in range(5)
            )
            self.append(rows[boxed], *fields)


def _blended_boxes(theirs: Layers, p: int, amount: float, weight, size) -> list[tuple]:
    """Output p, `amount` of it, as layers (view, box, alpha, weight, colour) over something: cut along
    all its edges, in each cell what shows there."""
    pieces, shares = [], weight.copy()
    for cell, numbers in cells(theirs, p, size):
        alphas = _blended(theirs.alpha[p, numbers], amount)
        for k, alpha in zip(numbers, alphas, strict=True):
            # A layer's share of the label goes with the first of its cells.
            pieces.append((theirs.view[p, k], cell, alpha, shares[k], theirs.colour[p, k]))
            shares[k] = 0
    for k in np.flatnonzero(shares):  # and one that is wholly covered keeps it, unseen
        pieces.append((theirs.view[p, k], (0, 0, 0, 0), 0.0, shares[k], theirs.colour[p, k]))
    return pieces


def _blended(alpha, amount):
    """Alphas [..., k] with which layers over something give `amount` of what theirs give over nothing."""
    # A layer's part: its alpha times what later layers let through.
    through = np.cumprod((1 - alpha)[..., ::-1], axis=-1)[..., ::-1]
    later = np.concatenate([through[..., 1:], np.ones((*alpha.shape[:-1], 1))], axis=-1)
    parts = alpha * later * amount
    # Its alpha here: its part of all that is blended from its layer on, seen from below.
    after = np.cumsum(parts[..., ::-1], axis=-1)[..., ::-1] - parts
    return parts / np.maximum(1 - after, 1e-12)


def cells(layers: Layers, i: int, size):
    """Output i as disjoint boxes: (box, the numbers of the layers that show in it, in order)."""
    view, box, alpha = layers.view[i], layers.box[i].copy(), layers.alpha[i]
    box[0] = [0, 0, *size]
    showing = np.flatnonzero((view != NO_VIEW) & (box[:, 0] < box[:, 2]) & (box[:, 1] < box[:, 3]))
    ys = np.unique(box[showing][:, [0, 2]])
    xs = np.unique(box[showing][:, [1, 3]])
    columns: dict[tuple, list[int]] = {}  # (x0, x1, numbers): y0, y1, of a column of equal cells
    for y0, y1 in pairwise(ys):
        row: dict[tuple, list[int]] = {}
        last: tuple | None = None
        for x0, x1 in pairwise(xs):
            numbers = [
                k for k in showing if box[k, 0] <= y0 < box[k, 2] and box[k, 1] <= x0 < box[k, 3]
            ]
            opaque = [at for at, k in enumerate(numbers) if alpha[k] == 1]
            numbers = numbers[opaque[-1] :] if opaque else numbers
            if last is not None and last[2] == tuple(numbers):  # goes on to the right
                del row[last]
                x0 = last[0]
            last = (int(x0), int(x1), tuple(numbers))
            row[last] = [int(y0), int(y1)]
        for key, (begin, end) in row.items():
            if key in columns:
                row[key] = [columns.pop(key)[0], end]
            else:
                row[key] = [begin, end]
        yield from (((y[0], key[0], y[1], key[1]), list(key[2])) for key, y in columns.items())
        columns = row
    yield from (((y[0], key[0], y[1], key[1]), list(key[2])) for key, y in columns.items())
