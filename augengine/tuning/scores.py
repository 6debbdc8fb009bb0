"""What trainings gave on samples that they had not seen, and differences of two arms, sample by sample.

Two arms that were trained with the same seeds, on the same folds, are compared pair by pair: what both have
in common, such as how hard a sample is, falls out of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Of Student's t, the 97.5 % quantiles of 1, 2, … degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
    2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048,
    2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Score:
    """What one training gave on the samples that it held out.

    Args:
        log_likelihood: Log of the probability [n] that the model gave to each sample's class.
        correct: Whether [n] the likeliest class was the sample's; None where nobody said.
    """

    log_likelihood: np.ndarray
    correct: np.ndarray | None = None


@dataclass(frozen=True)
class Scores:
    """What several trainings of an arm gave.

    Args:
        samples: Ids [n] of the samples, of all trainings one after the other.
        trainings: Number [n] of the training: the same for two arms where fold and seed are.
        log_likelihood: As of `Score`, [n].
        correct: As of `Score`, [n] or None.
        left_out: The two folds that each training left out, where trainings leave two out; else None.
    """

    samples: np.ndarray
    trainings: np.ndarray
    log_likelihood: np.ndarray
    correct: np.ndarray | None
    left_out: tuple[tuple[int, int], ...] | None = None

    @classmethod
    def of(
        cls,
        samples: Sequence[np.ndarray],
        scores: Sequence[Score],
        left_out: Sequence[tuple[int, int]] | None = None,
    ) -> Scores:
        """The scores of several trainings, the ids that each held out, and the two folds that it left out."""
        correct = [score.correct for score in scores]
        return cls(
            samples=np.concatenate(samples),
            trainings=np.repeat(np.arange(len(scores)), [len(ids) for ids in samples]),
            log_likelihood=np.concatenate([score.log_likelihood for score in scores]),
            correct=None
            if any(one is None for one in correct)
            else np.concatenate([np.asarray(one) for one in correct]),
            left_out=None if left_out is None else tuple(left_out),
        )

    @property
    def mean(self) -> float:
        """The mean log-likelihood."""
        return float(self.log_likelihood.mean())

    @property
    def accuracy(self) -> float | None:
        """The share of samples that were right, in [0, 1]; None where nobody said."""
        return None if self.correct is None else float(self.correct.mean())


@dataclass(frozen=True)
class Difference:
    """A mean difference, and what chance makes of it.

    Args:
        mean: Mean of the differences.
        se: Standard error of the mean.
        freedom: Degrees of freedom of the standard error.
    """

    mean: float
    se: float
    freedom: int

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval, by Student's t."""
        return self.se * (
            _T[self.freedom - 1] if self.freedom <= len(_T) else 1.96 + 2.5 / self.freedom
        )

    @property
    def low(self) -> float:
        return self.mean - self.margin

    @property
    def high(self) -> float:
        return self.mean + self.margin

    @property
    def above(self) -> bool:
        """Whether it is above 0, and not by chance."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether it is below 0, and not by chance."""
        return self.high < 0


def difference(one: Scores, other: Scores) -> Difference:
    """By how much one arm's log-likelihood is above another's."""
    _check_pairs(one, other)
    return _mean_of(one, one.log_likelihood - other.log_likelihood)


def difference_of_accuracy(one: Scores, other: Scores) -> Difference | None:
    """By how much one arm's accuracy is above another's; None where nobody said."""
    _check_pairs(one, other)
    if one.correct is None or other.correct is None:
        return None
    return _mean_of(one, one.correct.astype(float) - other.correct.astype(float))


def level_of(scores: Scores) -> Difference:
    """An arm's mean log-likelihood, with its standard error."""
    return _mean_of(scores, scores.log_likelihood)


def accuracy_above(scores: Scores, least: float) -> Difference | None:
    """By how much an arm's accuracy is above a number, with its standard error; None where nobody said."""
    if scores.correct is None:
        return None
    return _mean_of(scores, scores.correct.astype(float) - least)


def _mean_of(scores: Scores, values: np.ndarray) -> Difference:
    return clustered(values, scores.samples, scores.trainings, scores.left_out)


def clustered(
    values: np.ndarray,
    samples: np.ndarray,
    trainings: np.ndarray,
    left_out: Sequence[tuple[int, int]] | None = None,
) -> Difference:
    """The mean of values that are correlated where they share a sample, or a training.

    The variance is that of two-way clusters (Cameron, Gelbach and Miller 2011): by samples, plus by trainings,
    less by both; it is never taken below that by either. The degrees of freedom are the fewer clusters, less 1.
    Where each training leaves two folds out, those that share one have nearly the same images: their values
    go together as well (clusters of pairs; Aronow, Samii and Assenova 2015).

    Args:
        values: [n].
        samples: [n], which sample each value is of.
        trainings: [n], which training.
        left_out: Two folds of each training: each two of four folds or more; or None.
    """
    centred = values - values.mean()
    by_sample, some = _variance(centred, samples)
    by_training, few = _variance(centred, trainings)
    by_pair = 0.0
    if left_out is not None:
        by_pair, few = _variance_of_pairs(centred, trainings, left_out)
    by_both = float((centred**2).sum()) / len(values) ** 2
    if len(values) > 1:
        by_both *= len(values) / (len(values) - 1)
    variance = max(by_sample, by_training, by_sample + by_training - by_both, by_pair)
    # With a single training nothing is known of how another would have gone.
    counts = [count for count in (some, few) if count > 1]
    return Difference(
        float(values.mean()), float(np.sqrt(variance)), max(1, min(counts, default=2) - 1)
    )


def _variance(centred: np.ndarray, clusters: np.ndarray) -> tuple[float, int]:
    """The variance of the mean by one kind of clusters, and their number."""
    _, which = np.unique(clusters, return_inverse=True)
    sums = np.bincount(which, centred)
    count = len(sums)
    if count < 2:
        return 0.0, count
    return float((sums**2).sum()) / len(centred) ** 2 * count / (count - 1), count


def _variance_of_pairs(
    centred: np.ndarray, trainings: np.ndarray, left_out: Sequence[tuple[int, int]]
) -> tuple[float, int]:
    """The variance of the mean where trainings go together that left a fold out in common, and the number of
    folds, each two of which a training leaves out."""
    sums = np.bincount(trainings, centred, minlength=len(left_out))
    folds = sorted({fold for pair in left_out for fold in pair})
    by_fold = np.array(
        [sum(sums[t] for t, pair in enumerate(left_out) if fold in pair) for fold in folds]
    )
    # A training is in the sums of both of its folds.
    together = float((by_fold**2).sum() - (sums**2).sum())
    # What the mean takes away, where each fold moves all trainings that leave it out.
    count = len(folds)
    factor = count * (count - 1) / ((count - 2) * (count - 3))
    return factor * max(together, 0.0) / len(centred) ** 2, count


def _check_pairs(one: Scores, other: Scores) -> None:
    assert np.array_equal(one.samples, other.samples), "arms of other folds"
    assert np.array_equal(one.trainings, other.trainings), "arms of other seeds"
