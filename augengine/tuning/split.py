"""Which labelled samples are trained on and which are held out: by a keyed hash of their ids, class by class.

No seed of a run moves a split, so that runs with other seeds can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..policy.keyed import Keyed

OUTER_SHARE = 0.2
FEW = 200  # labels, below which differences are told apart badly
_SEED, _LOOK = 0, 2**31 + 2


@dataclass(frozen=True)
class Split:
    """The parts of the labelled samples.

    Args:
        inner: Ids [n] that arms are chosen on.
        outer: Ids [m] that no choice sees.
        folds: Ids of each fold: together the inner ones.
        notes: What should be known of it, in sentences.
    """

    inner: np.ndarray
    outer: np.ndarray
    folds: tuple[np.ndarray, ...]
    notes: tuple[str, ...]

    def without(self, fold: int) -> np.ndarray:
        """The inner ids that are trained on where a fold is held out."""
        return np.setdiff1d(self.inner, self.folds[fold])


def split(ids: np.ndarray, labels: np.ndarray, folds: int) -> Split:
    """An outer part of a fifth, and `folds` parts of the rest, each with its share of every class.

    Args:
        ids: Identities [n], ints, each once.
        labels: Classes [n], ints.
        folds: Number of inner folds, 2 or more.

    Raises:
        ValueError: There are fewer than two classes, or too few samples of each.
    """
    classes = np.unique(labels)
    outer: list[np.ndarray] = []
    dealt: list[list[int]] = [[] for _ in range(folds)]
    turn, single, short = 0, 0, 0
    for c in classes:
        mine = ids[labels == c]
        draw = Keyed(_SEED, 0, np.asarray(mine, np.int64), _LOOK).uniform(0, 1)[:, 0]
        mine = mine[np.lexsort((mine, draw))]
        share = max(1, round(OUTER_SHARE * len(mine))) if len(mine) > 1 else 0
        single += share == 0
        outer.append(mine[:share])
        rest = mine[share:]
        short += len(rest) < folds
        for one in rest:  # on from where the last class ended, so that folds have one size
            dealt[turn % folds].append(int(one))
            turn += 1
    held_out = np.sort(np.concatenate(outer)) if outer else ids[:0]
    parts = tuple(np.sort(np.array(fold, np.int64)) for fold in dealt)
    if len(classes) < 2 or len(held_out) < 2 or min(map(len, parts)) < 2:
        raise ValueError(
            f"tune: got {len(ids)} labelled samples of {len(classes)} classes, expected two classes or more, "
            f"and enough for an outer part and {folds} folds of two samples each. Label more, or take "
            "fewer folds."
        )
    notes = []
    if len(ids) < FEW:
        notes.append(
            f"Few labels: {len(ids)}. The outer part has {len(held_out)} samples, so that only large "
            "differences can be told from chance."
        )
    if single:
        notes.append(f"Classes with a single sample, which the outer part lacks: {single}.")
    if short:
        notes.append(f"Classes with fewer than {folds} samples for the folds: {short}.")
    return Split(np.sort(np.concatenate(parts)), held_out, parts, tuple(notes))
