"""Which labelled samples are trained on and which are held out: by a keyed hash of their ids, class by class.

No seed of a run moves a split, so that runs with other seeds can be compared.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..policy.keyed import Keyed

OUTER_SHARE = 0.2
# Up to as many labels every sample is in the outer part once: a fifth of them would tell too little.
FEW, OUTER_FOLDS = 200, 5
_SEED, _LOOK = 0, 2**31 + 2


@dataclass(frozen=True)
class Session:
    """A training, and what it is asked about.

    Args:
        name: Name of what it holds out.
        train: Ids [n] that it learns.
        asked: Ids [m] that it is asked about.
        left_out: The two folds that it leaves out, where it does; else None.
    """

    name: str
    train: np.ndarray
    asked: np.ndarray
    left_out: tuple[int, int] | None = None


@dataclass(frozen=True)
class Split:
    """The parts of the labelled samples: an outer one apart from the folds, or each fold in turn.

    Args:
        inner: Ids [n] that arms are chosen on.
        outer: Ids [m] that prove a choice which has not seen them.
        folds: Ids of each fold: together the inner ones.
        notes: What should be known of it, in sentences.
        crossed: Whether every fold is the outer part once, and the choice is made anew without it.
    """

    inner: np.ndarray
    outer: np.ndarray
    folds: tuple[np.ndarray, ...]
    notes: tuple[str, ...]
    crossed: bool = False

    @property
    def choices(self) -> tuple[int | None, ...]:
        """The folds that a choice is made without, in order to prove it on them; None holds no fold back."""
        return tuple(range(len(self.folds))) if self.crossed else (None,)

    def without(self, *folds: int) -> np.ndarray:
        """The inner ids that are trained on where folds are held out."""
        return np.setdiff1d(self.inner, np.concatenate([self.folds[k] for k in folds]))

    def sessions(self, back: int | None) -> list[tuple[Session, np.ndarray]]:
        """The trainings that a choice rests on: each, and the ids [m] whose answers count.

        Where the outer part is each fold in turn, each training leaves two folds out: asked about the one,
        it serves a choice that may not see the other.

        Args:
            back: Fold that the choice must not see, or None.
        """
        if not self.crossed:
            return [
                (Session(f"fold {k}", self.without(k), fold), fold)
                for k, fold in enumerate(self.folds)
            ]
        listed = []
        for j, k in itertools.combinations(range(len(self.folds)), 2):
            if back is not None and back not in (j, k):
                continue
            asked = np.sort(np.concatenate([self.folds[j], self.folds[k]]))
            counts = asked if back is None else self.folds[k if back == j else j]
            listed.append(
                (Session(f"folds {j} and {k}", self.without(j, k), asked, (j, k)), counts)
            )
        return listed

    def proof(self, back: int | None) -> Session:
        """The training that proves a choice.

        Args:
            back: Fold that the choice has not seen; None is the outer part.
        """
        if back is None:
            return Session("outer", self.inner, self.outer)
        return Session(f"outer fold {back}", self.without(back), self.folds[back])


def split(ids: np.ndarray, labels: np.ndarray, folds: int) -> Split:
    """An outer part of a fifth, and `folds` parts of the rest, each with its share of every class. Of up to
    200 labels there are five folds, each of which is the outer part once.

    Args:
        ids: Identities [n], ints, each once.
        labels: Classes [n], ints.
        folds: Number of inner folds, 2 or more.

    Raises:
        ValueError: There are fewer than two classes, or too few samples of each.
    """
    classes = np.unique(labels)
    crossed = len(ids) <= FEW
    if crossed:
        folds = OUTER_FOLDS
    outer: list[np.ndarray] = []
    dealt: list[list[int]] = [[] for _ in range(folds)]
    turn, single, short = 0, 0, 0
    for c in classes:
        mine = ids[labels == c]
        draw = Keyed(_SEED, 0, np.asarray(mine, np.int64), _LOOK).uniform(0, 1)[:, 0]
        mine = mine[np.lexsort((mine, draw))]
        share = max(1, round(OUTER_SHARE * len(mine))) if len(mine) > 1 and not crossed else 0
        single += len(mine) == 1
        outer.append(mine[:share])
        rest = mine[share:]
        short += len(rest) < folds
        for one in rest:  # on from where the last class ended, so that folds have one size
            dealt[turn % folds].append(int(one))
            turn += 1
    held_out = np.sort(np.concatenate(outer)) if outer else ids[:0]
    parts = tuple(np.sort(np.array(fold, np.int64)) for fold in dealt)
    if len(classes) < 2 or min(map(len, parts)) < 2 or (len(held_out) < 2 and not crossed):
        raise ValueError(
            f"tune: got {len(ids)} labelled samples of {len(classes)} classes, expected two classes or more, "
            f"and enough for {'' if crossed else 'an outer part and '}{folds} folds of two samples each. Label "
            "more, or take fewer folds."
        )
    inner = np.sort(np.concatenate(parts))
    notes = []
    if crossed:
        held_out = inner
        notes.append(
            f"Few labels: {len(ids)}. Each of {folds} folds was the outer part once, and the choice was made "
            "anew without it. Only large differences can be told from chance."
        )
    if single:
        notes.append(f"Classes with a single sample: {single}.")
    if short:
        notes.append(f"Classes with fewer than {folds} samples for the folds: {short}.")
    return Split(inner, held_out, parts, tuple(notes), crossed)
