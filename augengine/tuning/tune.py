"""`ae.tune`: arms by halving, operations one by one, and the proof on samples that no choice has seen."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..checks import shown, whole_number
from ..policy.ops.op import Op
from ..policy.policy import Policy
from .arms import NONE, STRENGTHS, UNIFORM, Arm, EngineStrength, Level, arm, arms_of
from .halving import halve, trainings
from .ops import alone, parts_of, without
from .result import Comparison, Effect, TuneResult
from .scores import Score, Scores, difference, difference_of_accuracy
from .split import Split, split
from .state import MOST_STEPS, Journal, Key

# What a training gives for held-out samples [n]: log-likelihoods, or these and whether each was right.
Given: TypeAlias = np.ndarray | Sequence[float] | tuple[np.ndarray, np.ndarray]
# (policy, strength, ids [m] to train on, ids [n] held out, steps, seed) → what it gave.
Train: TypeAlias = Callable[[Policy, EngineStrength, np.ndarray, np.ndarray, int, int], Given]
# (what is being trained, steps that are done, steps in all)
Progress: TypeAlias = Callable[[str, int, int], None]
RUNGS = (150, 450, 1350)
COMPARED = 4  # arms at most, on the outer part
OUTER = "outer"


def tune(
    train: Train,
    labels: Sequence[int] | np.ndarray,
    none: Policy | Op | Sequence[Op],
    policies: Mapping[str, Policy | Op | Sequence[Op]],
    *,
    strengths: Sequence[Level] = STRENGTHS,
    ids: Sequence[int] | np.ndarray | None = None,
    rungs: Sequence[int] = RUNGS,
    folds: int = 3,
    seeds: int = 5,
    seed: int = 0,
    operations: bool = True,
    journal: str | os.PathLike[str] | None = None,
    about: str = "",
    progress: Progress | None = None,
) -> TuneResult:
    """Choose a policy and its strength by training on parts of the labelled samples.

    A fifth of the samples is put aside. On the rest every arm (a policy at a strength) is trained a little,
    with each of some folds held out in turn; the better half goes on to a longer training, and so on. The
    plainest arm within one standard error of the best is chosen, by differences sample by sample. Then single
    operations are left in and out. At last the chosen arm is compared with the default, which is the first
    policy at full strength, on the part that was put aside, with several seeds.

    Args:
        train: Function (policy, strength, train_ids, held_out_ids, steps, seed) that trains a new model for
            so many steps with `Engine(policy, strength=strength, seed=seed)` on the samples of these ids, and
            gives the log-likelihood [n] of the class of each held-out sample, not augmented; or a tuple of
            these and whether [n] each was right. Weights and order should depend on the seed alone, so that
            arms are compared pair by pair.
        labels: Classes [n] of the labelled samples, ints. Samples for the test are not among them.
        none: Policy that augments nothing: it sizes and normalises.
        policies: Policies by name, the plainest first. The first one, at strength 1, is the default.
        strengths: Shares in [0, 1] of every magnitude that are tried with each policy, or 'uniform', which
            draws one for each sample.
        ids: Identities [n] of the samples, ints, each once; None is 0 … n − 1.
        rungs: Numbers of steps, ever more: all arms are trained for the first, the better half for each next.
        folds: Number of folds, 2 … 100.
        seeds: Number of seeds of each arm in the last comparison, 2 … 100.
        seed: Whole number, 0 or more, of all trainings.
        operations: Whether single operations are left in and out.
        journal: File that finished trainings are written to, and read from where it is there already, so that
            a run that was killed goes on. None keeps nothing.
        about: What else the trainings depend on, such as the model: a journal that says another is refused.
        progress: Function (what, steps done, steps in all) that is called before each training.

    Returns:
        The result: `.policy`, `.strength`, `.better`, `.table`, and `print(result)`.

    Raises:
        TypeError: A number is of another type.
        ValueError: There are too few samples, a number is out of its range, `train` gave something else, or
            the journal is of another run.
        OSError: The journal cannot be read or written.

    Example:
        >>> def train(policy, strength, train_ids, held_out_ids, steps, seed):  # yours trains a model
        ...     level = strength if isinstance(strength, float) else 0.5
        ...     noise = np.random.default_rng([seed, steps]).normal(0, 0.01, len(held_out_ids))
        ...     return noise - abs(level - 0.25)
        >>> plain = [ae.Resize((32, 32))]
        >>> usual = {"usual": [*plain, ae.RandomAffine(20, scale=(0.8, 1.2))]}
        >>> result = ae.tune(train, [0, 1] * 100, plain, usual, rungs=(10, 30))
        >>> result.better, result.strength
        (True, 0.25)
    """
    run = _Run(
        train, np.asarray(labels), ids, Policy(none), {n: Policy(p) for n, p in policies.items()},
        strengths, rungs, folds, seeds, seed, operations, journal, about, progress,
    )  # fmt: skip
    return run.result()


class _Run:
    """One call of `tune`: its arguments, checked, and its steps."""

    def __init__(
        self,
        train: Train,
        labels: np.ndarray,
        ids: Sequence[int] | np.ndarray | None,
        none: Policy,
        policies: Mapping[str, Policy],
        strengths: Sequence[Level],
        rungs: Sequence[int],
        folds: int,
        seeds: int,
        seed: int,
        operations: bool,
        journal: str | os.PathLike[str] | None,
        about: str,
        progress: Progress | None,
    ) -> None:
        self.train, self.progress = train, progress
        self.rungs = _checked_rungs(rungs)
        self.seed = whole_number("tune: seed", seed, 0, 2**31 - 1)
        self.seeds = whole_number("tune: seeds", seeds, 2, 100)
        self.operations = operations
        whole_number("tune: folds", folds, 2, 100)
        numbers = _checked_samples(labels, ids)
        self.split: Split = split(numbers, labels, folds)
        self.none, self.policies = none, policies
        self.arms = arms_of(none, policies, strengths)
        first = next(iter(policies))
        self.default = arm(first, policies[first], 1.0)
        self.spread = arm(first, policies[first], UNIFORM)
        planned = work(policies, len(self.arms), folds, self.rungs, self.seeds, operations)
        self.done, self.total = 0, sum(count * steps for count, steps in planned)
        self.journal = Journal(
            None if journal is None else Path(journal),
            {
                "rungs": list(self.rungs),
                "arms": {one.name: one.scaled.fingerprint for one in self.arms},
                "samples": _digest(numbers, labels),
                "folds": folds,
                "seeds": self.seeds,
                "seed": self.seed,
                "about": about,
            },
        )

    def result(self) -> TuneResult:
        halved = halve(self.arms, self.rungs, self._on_folds)
        chosen = halved[-1].choice()
        effects = self._effects(chosen) if self.operations else ()
        return TuneResult(
            chosen=chosen,
            default=self.default,
            rungs=halved,
            effects=effects,
            comparisons=self._comparisons(chosen),
            split=self.split,
            seeds=self.seeds,
            seed=self.seed,
        )

    def _on_folds(self, one: Arm, steps: int) -> Scores:
        """The scores of an arm with each fold held out in turn."""
        folds = self.split.folds
        scores = [
            self._score(one, f"fold {k}", self.split.without(k), folds[k], steps, self.seed)
            for k in range(len(folds))
        ]
        return Scores.of(folds, scores)

    def _on_outer(self, one: Arm) -> Scores:
        """The scores of an arm on the outer part, with several seeds that no rung had."""
        inner, outer = self.split.inner, self.split.outer
        scores = [
            self._score(one, OUTER, inner, outer, self.rungs[-1], self.seed + 1 + k)
            for k in range(self.seeds)
        ]
        return Scores.of([outer] * self.seeds, scores)

    def _score(
        self,
        one: Arm,
        part: str,
        train_ids: np.ndarray,
        held_out: np.ndarray,
        steps: int,
        seed: int,
    ) -> Score:
        key = Key(one.name, part, steps, seed)
        score = self.journal.get(key, len(held_out))
        if score is None:
            if self.progress is not None:
                self.progress(f"{one.name}: {part}", self.done, self.total)
            given = self.train(
                one.policy, one.strength, train_ids.copy(), held_out.copy(), steps, seed
            )
            score = _checked(given, len(held_out))
            self.journal.put(key, score)
        self.done += steps
        return score

    def _effects(self, chosen: Arm) -> tuple[Effect, ...]:
        """What single operations do: left in alone, and left out of the chosen policy."""
        steps, level = _middle(self.rungs), chosen.level
        plain: dict[str, Scores] = {}
        found: dict[str, Effect] = {}
        names: set[str] = set()
        for name, policy in self.policies.items():
            for part in parts_of(policy):
                single = alone(policy, part)
                if single.fingerprint in found:
                    continue
                bare = alone(policy, None)
                if bare.fingerprint not in plain:
                    same = bare.fingerprint == self.none.fingerprint
                    base = Arm(NONE if same else f"nothing of {name}", bare, 1.0, name)
                    plain[bare.fingerprint] = self._on_folds(base, steps)
                only = self._on_folds(arm(f"only {part.name} of {name}", single, level), steps)
                adds = difference(only, plain[bare.fingerprint])
                called = f"{part.name} of {name}" if part.name in names else part.name
                names.add(part.name)
                found[single.fingerprint] = Effect(called, adds, None)
        if chosen.of == NONE:
            return tuple(found.values())
        whole = self._on_folds(chosen, steps)
        for part in parts_of(chosen.policy):
            less = arm(f"{chosen.of} without {part.name}", without(chosen.policy, part), level)
            key = alone(chosen.policy, part).fingerprint
            within = difference(whole, self._on_folds(less, steps))
            found[key] = dataclasses.replace(found[key], within=within)
        return tuple(found.values())

    def _comparisons(self, chosen: Arm) -> tuple[Comparison, ...]:
        """The chosen arm beside the default, no augmentation, and the default at uniform strength."""
        scores: dict[str, Scores] = {}
        others = (
            (self.default, "the default"),
            (self.arms[0], "no augmentation"),
            (self.spread, "the default at a strength drawn for each sample"),
        )
        compared = []
        for other, why in others:
            for one in (chosen, other):
                if one.name not in scores:
                    scores[one.name] = self._on_outer(one)
            pair = scores[chosen.name], scores[other.name]
            compared.append(
                Comparison(other, why, difference(*pair), difference_of_accuracy(*pair))
            )
        return tuple(compared)


def work(
    policies: Mapping[str, Policy],
    arms: int,
    folds: int,
    rungs: Sequence[int],
    seeds: int,
    operations: bool,
) -> list[tuple[int, int]]:
    """How many trainings a run takes at most, and of how many steps: pairs (trainings, steps of each)."""
    planned = [
        (folds * n, steps) for n, steps in zip(trainings(arms, len(rungs)), rungs, strict=True)
    ]
    if operations:
        parts = {name: parts_of(policy) for name, policy in policies.items()}
        single = {alone(p, part).fingerprint for n, p in policies.items() for part in parts[n]}
        bare = {alone(policy, None).fingerprint for policy in policies.values()}
        within = max(map(len, parts.values()))
        # The last one is the chosen arm, which may have gone on before.
        planned.append((folds * (len(single) + len(bare) + within + 1), _middle(rungs)))
    return [*planned, (COMPARED * seeds, rungs[-1])]


def _middle(rungs: Sequence[int]) -> int:
    """The steps of trainings that look at single operations."""
    return rungs[(len(rungs) - 1) // 2]


def _checked_rungs(rungs: Sequence[int]) -> tuple[int, ...]:
    steps = tuple(whole_number("tune: rungs", one, 1, MOST_STEPS) for one in rungs)
    if not steps or list(steps) != sorted(set(steps)):
        raise ValueError(
            f"tune: rungs: got {shown(list(rungs))}, expected numbers of steps, ever more. Pass such as "
            "(150, 450)."
        )
    return steps


def _checked_samples(labels: np.ndarray, ids: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """The ids [n], one for each label."""
    numbers = np.arange(len(labels)) if ids is None else np.asarray(ids)
    for name, values in (("labels", labels), ("ids", numbers)):
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise ValueError(
                f"tune: {name}: got {values.dtype} {list(values.shape)}, expected ints [n]. Pass one for each "
                "sample."
            )
    if len(numbers) != len(labels) or len(np.unique(numbers)) < len(numbers):
        raise ValueError(
            f"tune: got {len(numbers)} ids for {len(labels)} labels, expected one for each, and none twice. "
            "Pass the samples' indices, or leave ids out."
        )
    return numbers.astype(np.int64)


def _checked(given: Given, count: int) -> Score:
    """What `train` gave, as a score."""
    values, correct = given if isinstance(given, tuple) else (given, None)
    log_likelihood = np.asarray(values, np.float64)
    if log_likelihood.shape != (count,) or not np.isfinite(log_likelihood).all():
        finite = int(np.isfinite(log_likelihood).sum())
        raise ValueError(
            f"tune: train gave log-likelihoods {list(log_likelihood.shape)}, {finite} of them finite, expected "
            f"{count} finite numbers, one for each held-out sample. Where a loss became infinite, lower "
            "the learning rate."
        )
    if correct is None:
        return Score(log_likelihood)
    right = np.asarray(correct)
    if right.shape != (count,) or not np.isin(right, (0, 1)).all():
        raise ValueError(
            f"tune: train gave {list(right.shape)} answers beside the log-likelihoods, expected {count} of "
            "True or False. Leave them out, or pass one for each held-out sample."
        )
    return Score(log_likelihood, right.astype(bool))


def _digest(ids: np.ndarray, labels: np.ndarray) -> str:
    """A hash of which samples there are, and their labels."""
    content = ids.astype("<i8").tobytes() + labels.astype("<i8").tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()
