"""From answers to a verdict: do the labels survive an operation?

What a plainly trained net loses on augmented images says little, since it has not met such images. What is
asked is whether one net can tell the classes of both, plain and augmented images, once it has learned both
in equal parts. If it can, the labels survive: such a net is a proof. If it cannot, even after three times
the learning, the images no longer say what their labels say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .intervals import Interval, difference, difference_ends, z_of
from .nets import Answers

SAFE, HARDER, BREAKS, NOT_ENOUGH = (
    "safe",
    "harder",
    "breaks labels",
    "not enough images to tell",
)
ALPHA = 0.05
# Shares of what a plain net knows, its accuracy above that of the commonest class: what two trainings differ
# by anyhow, what may be lost in a safe operation at most, and from where on labels of many classes are gone.
NOISE, SAFE_LOSS, GONE = 0.02, 0.1, 0.25
# Of the images of two classes, the share that is newly taken for the other one from where on they are mixed up.
MIXED_UP = 0.1
# A loss that further learning lowers to less than this share of it is being learned.
LEARNED = 0.7


class Confusion(NamedTuple):
    """Two classes that an operation mixes up.

    Args:
        first: Name of a class.
        second: Name of the other.
        there: Share of the first's images that are taken for the second, beyond those that are so plain.
        back: Share of the second's that are taken for the first.
        excess: Share of both classes' images that are newly taken for the other, with its interval.
    """

    first: str
    second: str
    there: float
    back: float
    excess: Interval

    def __str__(self) -> str:
        if min(self.there, self.back) >= max(self.there, self.back) / 3:
            return f"{self.first} ↔ {self.second}"
        if self.there > self.back:
            return f"{self.first} → {self.second}"
        return f"{self.second} → {self.first}"


@dataclass(frozen=True)
class Judgement:
    """What a net shows of an operation.

    Args:
        verdict: One of SAFE, HARDER, BREAKS and NOT_ENOUGH.
        remains: How much less the net tells, of plain or of augmented images, whichever is less, than a plain
            net of plain images.
        confusions: Pairs of classes that are mixed up, the worst first.
        settled: Whether only more images could say more: a net that has learned longer could not.
    """

    verdict: str
    remains: Interval
    confusions: tuple[Confusion, ...]
    settled: bool

    @property
    def rank(self) -> tuple[int, float]:
        """How much is proven of the labels: the smaller, the more."""
        return (SAFE, HARDER, NOT_ENOUGH, BREAKS).index(self.verdict), self.remains.value


def judge(
    control: Answers,
    plain: Answers,
    augmented: Answers,
    truth: np.ndarray,
    classes: tuple[str, ...],
) -> Judgement:
    """What a net that has learned an operation shows.

    Args:
        control: Answers of the plain net about plain images.
        plain: Answers of the other net about plain images.
        augmented: Answers of it about augmented ones.
        truth: [n] ints, the classes of the held-out images.
        classes: Names of the classes.
    """
    n, knows = len(truth), control.accuracy(truth) - chance_of(truth)
    # Where augmented images of a class look like plain ones of another, a net may give up either of them.
    worse = min(plain.accuracy(truth), augmented.accuracy(truth))
    remains = difference(control.accuracy(truth), worse, n, z_of(ALPHA / 2))
    found, doubtful = _confusions(control, plain, augmented, truth, classes)
    if found or remains.low > GONE * knows:
        verdict = BREAKS
    elif remains.low > NOISE * knows:
        verdict = HARDER
    elif remains.high <= SAFE_LOSS * knows and not doubtful:
        verdict = SAFE
    else:
        verdict = NOT_ENOUGH
    small = remains.value <= SAFE_LOSS * knows / 2 and not doubtful
    settled = verdict == SAFE or (verdict == NOT_ENOUGH and small)
    return Judgement(verdict, remains, tuple(found), settled)


def still_learning(first: Answers, second: Answers, truth: np.ndarray) -> bool:
    """Whether a net that has learned for longer tells more of the images, by more than two trainings differ by
    anyhow and by more than chance: two standard errors of the difference, image by image.

    Args:
        first: Its answers about plain images.
        second: Those after more learning.
        truth: [n] ints.
    """
    at = np.arange(len(truth))
    gain = second.shares[at, truth] - first.shares[at, truth]
    if len(gain) < 2:
        return False
    least = NOISE * (second.accuracy(truth) - chance_of(truth))
    return bool(gain.mean() > max(least, 2 * gain.std(ddof=1) / len(gain) ** 0.5))


def chance_of(truth: np.ndarray) -> float:
    """The accuracy of who always answers the commonest class."""
    return float(np.bincount(truth).max() / len(truth))


def smallest_confusion(truth: np.ndarray, classes: int) -> float:
    """The smallest share of two classes' images, taken for each other, that these images could show, of two
    classes of median size; 1 where none could.

    Args:
        truth: [n] ints, the classes of the held-out images.
        classes: Number of classes.
    """
    n = 2 * float(np.median(np.bincount(truth, minlength=classes)))
    shares = np.linspace(0, 1, 101)
    if n < 1:
        return 1.0
    low, _ = difference_ends(shares, np.zeros(101), np.full(101, n), np.full(101, n), _z(classes))
    shown = np.flatnonzero(low > MIXED_UP)
    return float(shares[shown[0]]) if len(shown) else 1.0


def _z(classes: int) -> float:
    """Of intervals that hold for all pairs of classes, plain and augmented, at once."""
    return z_of(ALPHA / max(1, classes * (classes - 1)))


def _confusions(
    control: Answers,
    plain: Answers,
    augmented: Answers,
    truth: np.ndarray,
    classes: tuple[str, ...],
) -> tuple[list[Confusion], bool]:
    """Pairs that are mixed up beyond doubt, and whether there is one that may be."""
    k = len(classes)
    counts = np.bincount(truth, minlength=k)
    before, *after = (_taken(a, truth, k) for a in (control, plain, augmented))
    first, second = np.triu_indices(k, 1)
    n = counts[first] + counts[second]
    first, second, n = first[n > 0], second[n > 0], n[n > 0]
    of_plain, *pooled = (
        (taken[first, second] + taken[second, first]) / n for taken in (before, *after)
    )
    # Of each pair the kind of images, plain or augmented, in which it is mixed up more.
    worse = np.argmax(np.stack(pooled), axis=0)
    share = np.max(np.stack(pooled), axis=0)
    low, high = difference_ends(share, of_plain, n, n, _z(k))
    may_low, _ = difference_ends(share, of_plain, n, n, z_of(ALPHA))
    found = []
    for pair in np.flatnonzero(low > MIXED_UP):
        a, b, taken = first[pair], second[pair], after[worse[pair]]
        there, back = (
            float((taken[x, y] - before[x, y]) / max(1, counts[x])) for x, y in ((a, b), (b, a))
        )
        excess = Interval(float(share[pair] - of_plain[pair]), float(low[pair]), float(high[pair]))
        found.append(Confusion(classes[a], classes[b], there, back, excess))
    found.sort(key=lambda pair: -pair.excess.value)
    doubtful = (share - of_plain >= MIXED_UP) & (may_low > 0) & (low <= MIXED_UP)
    return found, bool(doubtful.any())


def _taken(answers: Answers, truth: np.ndarray, classes: int) -> np.ndarray:
    """[classes, classes] number of images of each class that are taken for each class, draws being shares."""
    taken = np.zeros((classes, classes))
    np.add.at(taken, truth, answers.shares)
    return taken
