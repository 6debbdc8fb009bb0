"""Layers while their number grows: what lands where in each output, and what a mix makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..plan.kinds import NO_VIEW, PLAIN_COLOUR

# Of one image. Blending 128 boxes takes a second, and eight times as long for twice as many.
MOST_LAYERS, MOST_BLENDED = 1 << 10, 1 << 7


@dataclass
class Layers:
    """Layers of n outputs: arrays [n, K] as in the plan. The first is the sample's own view."""

    view: np.ndarray
    box: np.ndarray
    alpha: np.ndarray
    weight: np.ndarray
    colour: np.ndarray  # of a view that is erased in a blend: its share beneath, in each channel

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
        # One that hides all without being part of the label is taken for a box.
        full[:, 1:] &= (theirs.alpha[partner] < 1)[:, 1:] | (theirs.weight[partner] > 0)[:, 1:]
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
        whole = np.flatnonzero(~boxed)
        in_boxes = [
            _blended_boxes(theirs, partner[i], amount[i], weight[i], size)
            for i in np.flatnonzero(boxed)
        ]
        self.weight[rows] *= (1 - amount)[:, None]
        if len(whole):
            view, alpha = theirs.view[partner[whole]], theirs.alpha[partner[whole]]
            alpha = np.where(view != NO_VIEW, alpha, 0.0)
            box = np.broadcast_to(np.array([0, 0, *size], np.int32), (*view.shape, 4))
            alpha = _blended(alpha, amount[whole, None])
            colour = theirs.colour[partner[whole]]
            colour = np.where((view >= 0)[..., None], colour * amount[whole, None, None], colour)
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
    erasing, is_view = _erasing(theirs, p), theirs.view[p] >= 0
    erases = [k for k in np.flatnonzero(erasing).tolist() if theirs.alpha[p, k] == 1]
    beneath = np.where(is_view, theirs.colour[p, :, 0], 0)
    keeps = bool(erases) or beneath.any()
    for cell, numbers in cells(theirs, p, size):
        alpha, colour = theirs.alpha[p, numbers], theirs.colour[p, numbers]
        if keeps:
            shown = beneath[numbers]
            pile = slice(max((n + 1 for n, k in enumerate(numbers) if k in erases), default=0))
            if pile.stop:
                before = without_erased(alpha[pile], erasing[numbers[pile]], shown[pile])
                shown[pile] = parts(before)
            colour = np.where(is_view[numbers, None], shown[:, None] * amount, colour)
        # A layer's share of the label goes with the first of its cells.
        for n, (k, blended) in enumerate(zip(numbers, _blended(alpha, amount), strict=True)):
            pieces.append((theirs.view[p, k], cell, blended, shares[k], colour[n]))
            shares[k] = 0
    for k in np.flatnonzero(shares):  # and one that is wholly covered keeps it, unseen
        pieces.append((theirs.view[p, k], (0, 0, 0, 0), 0.0, shares[k], theirs.colour[p, k]))
    return pieces


def _blended(alpha, amount):
    """Alphas [..., k] with which layers over something give `amount` of what theirs give over nothing."""
    return alphas_of(parts(alpha) * amount)


def parts(alpha):
    """[..., k] what each of the layers adds: its alpha times what later ones let through."""
    through = np.cumprod((1 - alpha)[..., ::-1], axis=-1)[..., ::-1]
    later = np.concatenate([through[..., 1:], np.ones((*alpha.shape[:-1], 1))], axis=-1)
    return alpha * later


def alphas_of(parts):
    """[..., k] the alphas of layers that add so much: each its part of all that is blended from it on,
    seen from below."""
    after = np.cumsum(parts[..., ::-1], axis=-1)[..., ::-1] - parts
    # What is rounded to above 1 would let less than nothing through, where it is blended again.
    return np.minimum(parts / np.maximum(1 - after, 1e-12), 1)


def _labelled(layers: Layers, i: int):
    """[K] which views of output i carry a label, by whichever of their layers."""
    view, weight = layers.view[i].tolist(), layers.weight[i].tolist()
    views = {v for v, share in zip(view, weight, strict=True) if share > 0}
    return np.array([v in views for v in view])


def _erasing(layers: Layers, i: int):
    """[K] which layers of output i hide what lies beneath without being part of the label: plain colour
    and noise, in a blend too, where the views that they erase lie before them."""
    view, box, alpha = layers.view[i], layers.box[i], layers.alpha[i]
    unlabelled = ~_labelled(layers, i) & (view != NO_VIEW)
    unlabelled[0] = False
    erasing = unlabelled & ((view == PLAIN_COLOUR) | (alpha == 1))
    for k in np.flatnonzero(unlabelled & ~erasing & (alpha > 0)):
        first = k
        while first > 0 and alpha[first - 1] == 0 and (box[first - 1] == box[k]).all():
            first -= 1
            erasing[k] |= view[first] >= 0 and layers.colour[i, first, 0] > 0
    return erasing


def without_erased(alpha, erasing, beneath):
    """Alphas [k] of a pile of layers, were nothing erased.

    erasing: [k] the layers that erase. beneath: [k] the shares beneath them, of the layers that have
    alpha 0 since they are erased in a blend: each erasing layer hands its alpha to those before it.
    """
    alpha, hidden = alpha.copy(), alpha == 0
    for k in np.flatnonzero(erasing):
        first = k
        while first > 0 and hidden[first - 1]:
            first -= 1
        share = beneath[first:k]
        if (total := share.sum()) > 0:
            alpha[first:k] = alphas_of(share * (alpha[k] / total))
        alpha[k] = 0
    return alpha


def cells(layers: Layers, i: int, size):
    """Output i as disjoint boxes: (box, the numbers of the layers that show in it, in order). Beneath
    what is erased the layers are named too, since a mask and a label are still theirs."""
    view, box, alpha = layers.view[i], layers.box[i].copy(), layers.alpha[i]
    box[0] = [0, 0, *size]
    opaque, labelled = alpha == 1, _labelled(layers, i)
    hides, erases = (opaque & labelled).tolist(), (opaque & ~labelled).tolist()
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
            hiding = [at for at, k in enumerate(numbers) if hides[k]]
            numbers = numbers[hiding[-1] :] if hiding else numbers
            erased = [k for k in numbers if erases[k]]
            if len(erased) > 1:  # what is erased again, but for that which says what it has erased
                numbers = [
                    k
                    for before, k in zip([0, *numbers], numbers, strict=False)
                    if k not in erased[:-1] or alpha[before] == 0
                ]
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
