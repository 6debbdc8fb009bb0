"""`ae.tune`: arms by halving, operations one by one, and the proof on samples that no choice has seen."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..checks import shown, whole_number
from ..policy.ops.op import Op
from ..policy.policy import Policy
from .arms import NONE, STRENGTHS, UNIFORM, Arm, EngineStrength, Level, arm, arms_of
from .halving import Rung, halve, trainings
from .ops import Part, alone, parts_of, without
from .prune import Pruned, at_chance
from .report import middle
from .result import Comparison, Effect, TuneResult
from .scores import Score, Scores, difference, difference_of_accuracy
from .split import OUTER_FOLDS, Session, Split, split
from .state import MOST_STEPS, Journal, Key

# What a training gives for held-out samples [n]: log-likelihoods, or these and whether each was right.
Given: TypeAlias = np.ndarray | Sequence[float] | tuple[np.ndarray, np.ndarray]
# (policy, strength, ids [m] to train on, ids [n] held out, steps, seed) → what it gave.
Train: TypeAlias = Callable[[Policy, EngineStrength, np.ndarray, np.ndarray, int, int], Given]
# (what is being trained, steps that are done, steps in all)
Progress: TypeAlias = Callable[[str, int, int], None]
RUNGS = (150, 450, 1350)
# Where a choice is made anew without each fold, rungs differ a little: so much more is trained on them.
CROSSED = 1.35
FULL = 1.0


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
    inside: bool = False,
    affinity: Train | None = None,
    journal: str | os.PathLike[str] | None = None,
    about: str = "",
    progress: Progress | None = None,
) -> TuneResult:
    """Choose a policy and its strength by training on parts of the labelled samples.

    A fifth of the samples is put aside. On the rest every arm (a policy at a strength) is trained a little,
    with each of some folds held out in turn; the better half goes on to a longer training, and so on. The
    plainest arm within one standard error of the best is chosen, by differences sample by sample. Then single
    operations are left in and out. Where some harm, the policy without them is tried too. At last the chosen
    arm is compared with the default, which is the first policy at full strength, on the part that was put
    aside, with several seeds. Up to 200 samples, each of five folds is that part once, and the choice is made
    anew without it.

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
        inside: Whether those inside a RandAugment and a TrivialAugmentWide are, too.
        affinity: Function of the same arguments that trains without augmentation, and gives what that model
            says of the held-out samples augmented by the policy. A policy under which it is at chance already
            at its least strength is not tried. None tries all.
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
        strengths, rungs, folds, seeds, seed, operations, inside, affinity, journal, about, progress,
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
        inside: bool,
        affinity: Train | None,
        journal: str | os.PathLike[str] | None,
        about: str,
        progress: Progress | None,
    ) -> None:
        self.train, self.affinity, self.progress = train, affinity, progress
        self.rungs = _checked_rungs(rungs)
        self.seed = whole_number("tune: seed", seed, 0, 2**31 - 1)
        self.seeds = whole_number("tune: seeds", seeds, 2, 100)
        self.operations, self.inside = operations, inside
        whole_number("tune: folds", folds, 2, 100)
        numbers = _checked_samples(labels, ids)
        self.split: Split = split(numbers, labels, folds)
        self.truth = dict(zip(numbers.tolist(), labels.tolist(), strict=True))
        self.none, self.policies = none, policies
        self.arms = arms_of(none, policies, strengths)
        first = next(iter(policies))
        self.default = arm(first, policies[first], 1.0)
        self.spread = arm(first, policies[first], UNIFORM)
        planned = work(
            policies, len(self.arms), folds, self.rungs, self.seeds, operations, inside,
            crossed=self.split.crossed, asked=affinity is not None,
        )  # fmt: skip
        self.total = sum(count * steps for count, steps in planned)
        self.done: dict[Key, int] = {}  # steps of the trainings that were asked for
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
        found = self._choice(None)
        proven = {back: self._choice(back).chosen for back in self.split.choices}
        return TuneResult(
            chosen=found.chosen,
            default=self.default,
            rungs=found.rungs,
            effects=found.effects,
            comparisons=self._comparisons(found.chosen, proven),
            split=self.split,
            seeds=self.seeds,
            seed=self.seed,
            pruned=found.pruned,
            mended=found.mended,
            proven=tuple(proven.values()) if self.split.crossed else (),
        )

    def _choice(self, back: int | None) -> _Choice:
        """Everything that is found without looking at one of the folds, or with all of them for None."""

        def score(one: Arm, steps: int) -> Scores:
            return self._on_folds(one, steps, back)

        pruned, arms = self._pruned(back)
        rungs = halve(arms, self.rungs, score, keep=(self.default,))
        chosen = rungs[-1].choice()
        if not self.operations:
            return _Choice(chosen, rungs, (), pruned, None)
        around = chosen if chosen.of != NONE else self._best_augmented(rungs)
        effects, harmful = self._effects(around, back)
        mended = None
        if harmful:
            mended, rungs = self._mended(around, harmful, rungs, chosen, score)
            chosen = mended or chosen
        return _Choice(chosen, rungs, effects, pruned, mended)

    def _pruned(self, back: int | None) -> tuple[tuple[Pruned, ...], list[Arm]]:
        """The policies under which a plainly trained model is at chance at their least strength, and the arms
        that are left. Where single operations do that, the policy without them takes its place."""
        if self.affinity is None:
            return (), self.arms
        steps = middle(self.rungs)
        plain = self._on_folds(self.arms[0], steps, back)
        truth = np.array([self.truth[one] for one in plain.samples.tolist()])

        def hopeless(one: Arm) -> Pruned | None:
            return at_chance(one, plain, self._on_folds(one, steps, back, under=True), truth)

        found: list[Pruned] = []
        arms = [self.arms[0]]
        for name, policy in self.policies.items():
            mine = [one for one in self.arms if one.of == name]
            weakest = mine[0]
            if (one := hopeless(weakest)) is None:
                arms += mine
                continue
            by = [
                part
                for part in parts_of(policy)
                if hopeless(arm(f"only {part.name} of {name}", alone(policy, part), weakest.level))
            ]
            found.append(dataclasses.replace(one, by=tuple(part.name for part in by)))
            if by and parts_of(less := _less(policy, by)):
                of = _called_without(name, by)
                arms += [arm(of, less, one.level) for one in mine]
        return tuple(found), arms

    def _best_augmented(self, rungs: tuple[Rung[Arm], ...]) -> Arm:
        """The augmenting arm that went furthest, and of these the best."""
        for rung in reversed(rungs):
            some = [i for i, one in enumerate(rung.arms) if one.of != NONE]
            if some:
                return rung.arms[max(some, key=lambda i: (rung.scores[i].mean, -i))]
        return next(one for one in self.arms if one.of != NONE)  # all were pruned

    def _mended(
        self,
        around: Arm,
        harmful: list[Part],
        rungs: tuple[Rung[Arm], ...],
        chosen: Arm,
        score: Callable[[Arm, int], Scores],
    ) -> tuple[Arm | None, tuple[Rung[Arm], ...]]:
        """The arm of the policy without what harms, where it beats the chosen one by a standard error; and the
        rungs, of which the last has it beside the others."""
        policy, of = _less(around.policy, harmful), _called_without(around.of, harmful)
        levels = list(dict.fromkeys(one.level for one in self.arms if one.of != NONE))
        tried = halve(
            [arm(of, policy, level) for level in levels],
            [steps for steps in self.rungs if steps >= middle(self.rungs)],
            score,
        )
        last = rungs[-1]
        rungs = (
            *rungs[:-1],
            Rung(last.steps, last.arms + tried[-1].arms, last.scores + tried[-1].scores),
        )
        best = tried[-1].choice()
        gain = difference(score(best, last.steps), score(chosen, last.steps))
        return (best if gain.mean > gain.se else None), rungs

    def _on_folds(self, one: Arm, steps: int, back: int | None, under: bool = False) -> Scores:
        """The scores of an arm on what the folds hold out in turn, without looking at one of them.

        Args:
            one: Arm.
            steps: Number of steps.
            back: Fold that is not looked at, or None.
            under: Whether the model is trained plainly, and asked under the arm.
        """
        scores, samples, left_out = [], [], []
        for session, counts in self.split.sessions(back):
            score = self._score(one, session, steps, self.seed, under)
            at = np.searchsorted(session.asked, counts)
            right = None if score.correct is None else score.correct[at]
            scores.append(Score(score.log_likelihood[at], right))
            samples.append(counts)
            # A choice that may not see a fold rests on trainings all of which leave that out.
            if session.left_out is not None and back is None:
                left_out.append(session.left_out)
        return Scores.of(samples, scores, left_out or None)

    def _on_outer(self, of_fold: Mapping[int | None, Arm]) -> Scores:
        """The scores on the outer part, or on each fold in turn, with seeds that no rung had.

        Args:
            of_fold: Arm that was chosen without each of them.
        """
        scores, samples = [], []
        for k, (back, one) in enumerate(of_fold.items()):
            session = self.split.proof(back)
            for seed in range(k, _rounds(self.seeds, self.split.crossed), len(of_fold)):
                steps = self.rungs[-1]
                scores.append(self._score(one, session, steps, self.seed + 1 + seed))
                samples.append(session.asked)
        return Scores.of(samples, scores)

    def _score(
        self, one: Arm, session: Session, steps: int, seed: int, under: bool = False
    ) -> Score:
        key = Key(f"plain under {one.name}" if under else one.name, session.name, steps, seed)
        score = self.journal.get(key, len(session.asked))
        if score is None:
            if self.progress is not None:
                done = min(sum(self.done.values()), self.total)
                self.progress(f"{key.arm}: {session.name}", done, self.total)
            call = self.affinity if under else self.train
            assert call is not None
            given = call(
                one.policy, one.strength, session.train.copy(), session.asked.copy(), steps, seed
            )
            score = _checked(given, len(session.asked))
            self.journal.put(key, score)
        self.done[key] = steps
        return score

    def _effects(self, around: Arm, back: int | None) -> tuple[tuple[Effect, ...], list[Part]]:
        """What single operations do: left in alone, and left out of an arm's policy. And those of that policy
        which harm."""
        steps, level = middle(self.rungs), around.level
        plain: dict[str, Scores] = {}
        found: dict[str, Effect] = {}
        names: set[str] = set()
        # What they do alone is for the table.
        for name, policy in self.policies.items() if back is None else ():
            for part in parts_of(policy, self.inside):
                single = alone(policy, part)
                if single.fingerprint in found:
                    continue
                bare = alone(policy, None)
                if bare.fingerprint not in plain:
                    same = bare.fingerprint == self.none.fingerprint
                    base = Arm(NONE if same else f"nothing of {name}", bare, FULL, name)
                    plain[bare.fingerprint] = self._on_folds(base, steps, back)
                only = self._on_folds(
                    arm(f"only {part.name} of {name}", single, level), steps, back
                )
                adds = difference(only, plain[bare.fingerprint])
                called = f"{part.name} of {name}" if part.name in names else part.name
                names.add(part.name)
                found[single.fingerprint] = Effect(called, adds, None)
        whole = self._on_folds(around, steps, back)
        harmful = []
        for part in parts_of(around.policy, self.inside):
            less = arm(f"{around.of} without {part.name}", without(around.policy, part), level)
            key = alone(around.policy, part).fingerprint
            within = difference(whole, self._on_folds(less, steps, back))
            effect = Effect(part.name, None, within)
            if key in found:
                effect = dataclasses.replace(found[key], within=within)
            found[key] = effect
            # Single operations of a published policy are told of; a policy that lacks one is in no YAML.
            if part.member is None and effect.harms:
                harmful.append(part)
        return tuple(found.values()), harmful

    def _comparisons(self, chosen: Arm, proven: Mapping[int | None, Arm]) -> tuple[Comparison, ...]:
        """The chosen arm beside the default, no augmentation, other policies at full strength, and the default
        at a strength that is drawn."""
        presets = [arm(name, policy, FULL) for name, policy in self.policies.items()][1:]
        others = (
            (self.default, "the default"),
            (self.arms[0], "no augmentation"),
            *((preset, f"the whole of {preset.of!r}") for preset in presets),
            (self.spread, "the default at a strength drawn for each sample"),
        )
        mine = self._on_outer(proven)
        compared = []
        for other, why in others:
            theirs = self._on_outer(dict.fromkeys(proven, other))
            compared.append(
                Comparison(
                    other, why, difference(mine, theirs), difference_of_accuracy(mine, theirs)
                )
            )
        return tuple(compared)


@dataclasses.dataclass(frozen=True)
class _Choice:
    """What is found with some of the folds."""

    chosen: Arm
    rungs: tuple[Rung[Arm], ...]
    effects: tuple[Effect, ...]
    pruned: tuple[Pruned, ...]
    mended: Arm | None  # of a policy without what harms, where it is what was chosen


def _less(policy: Policy, parts: Sequence[Part]) -> Policy:
    """The policy without some of its parts."""
    for part in parts:
        policy = without(policy, part)
    return policy


def _called_without(name: str, parts: Sequence[Part]) -> str:
    return f"{name} without {', '.join(part.name for part in parts)}"


def _rounds(seeds: int, crossed: bool) -> int:
    """Trainings of each arm in the proof: whole rounds of the folds, where each is the outer part once."""
    return max(1, round(seeds / OUTER_FOLDS)) * OUTER_FOLDS if crossed else seeds


def work(
    policies: Mapping[str, Policy],
    arms: int,
    folds: int,
    rungs: Sequence[int],
    seeds: int,
    operations: bool,
    inside: bool = False,
    *,
    crossed: bool = False,
    asked: bool = False,
) -> list[tuple[int, int]]:
    """How many trainings a run takes, and of how many steps: pairs (trainings, steps of each). It takes fewer
    where arms meet again, and more where an operation harms, since the policy without it is tried too.

    Args:
        policies: Policies by name.
        arms: Number of arms.
        folds: Number of folds.
        rungs: Number of steps of each rung.
        seeds: Number of seeds in the proof.
        operations: Whether single operations are left in and out.
        inside: Whether those of published policies are.
        crossed: Whether each of five folds is the outer part once.
        asked: Whether a plainly trained model is asked under each policy.
    """
    pairs = OUTER_FOLDS * (OUTER_FOLDS - 1) // 2
    each, more = (pairs, CROSSED) if crossed else (folds, 1)
    counts = trainings(arms, len(rungs), kept=1)
    planned = [
        (math.ceil(each * n * (more if k else 1)), steps)
        for k, (n, steps) in enumerate(zip(counts, rungs, strict=True))
    ]
    if asked:
        planned.append((each, middle(rungs)))
    if operations:
        parts = {name: parts_of(policy, inside) for name, policy in policies.items()}
        single = {alone(p, part).fingerprint for n, p in policies.items() for part in parts[n]}
        bare = {alone(policy, None).fingerprint for policy in policies.values()}
        within = max(map(len, parts.values()))
        # The last one is the chosen arm, which may have gone on before.
        planned.append((each * (len(single) + len(bare) + within + 1), middle(rungs)))
    compared = 3 + len(
        policies
    )  # the chosen one, none, one at drawn strengths, and each at full strength
    return [*planned, (compared * _rounds(seeds, crossed), rungs[-1])]


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
