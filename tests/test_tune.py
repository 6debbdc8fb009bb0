"""Tuning without training: splits, paired differences, halving, parts of policies, and `ae.tune` with scores
that are planted."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from cases import logged
from scipy import stats

import augengine as ae
from augengine.tuning.arms import Arm, arms_of, at_strength, level_name
from augengine.tuning.halving import Rung, halve, trainings
from augengine.tuning.ops import alone, parts_of, without
from augengine.tuning.prune import at_chance
from augengine.tuning.result import Effect
from augengine.tuning.scores import _T, Difference, Score, Scores, clustered, difference
from augengine.tuning.split import split
from augengine.tuning.tune import work

RESIZE, NORMALIZE = ae.Resize((32, 32)), ae.Normalize((0.5,), (0.5,))
NONE = [RESIZE, NORMALIZE]
USUAL = [RESIZE, ae.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), 9), NORMALIZE]
LABELS = [0, 1] * 101
FEW = [0, 1] * 50
FULL = {"strengths": (0.25, 1.0), "rungs": (2, 4), "folds": 2, "seeds": 2}
IDS = np.arange(300)


class Planted:
    """A training whose log-likelihood is known but for chance: a sample is hard for all arms alike, a
    training goes well or badly, and the rest is each sample's own."""

    def __init__(self, value, hard=0.5, training=0.0, rest=0.0, salt=0):
        self.value, self.hard, self.training, self.rest = value, hard, training, rest
        self.salt, self.calls = salt, []

    def __call__(self, policy, strength, train_ids, held_out_ids, steps, seed):
        level = "uniform" if isinstance(strength, ae.Uniform) else strength
        self.calls.append((policy, level, tuple(train_ids), tuple(held_out_ids), steps, seed))
        key = json.dumps([policy.fingerprint, level, steps, seed, len(self.calls)])
        rng = np.random.default_rng([self.salt, *key.encode()])
        common = np.random.default_rng([self.salt, 1]).normal(0, self.hard, 10**4)[held_out_ids]
        own = self.training * rng.normal() + self.rest * rng.normal(size=len(held_out_ids))
        return self.value(policy, level) + common + own


def spread(policy):
    """Of how many degrees a policy turns at most, at full strength."""
    return max((op.degrees[1] for op in policy.top if isinstance(op, ae.RandomAffine)), default=0)


def best_at(level):
    """Arms are the better, the nearer their largest turn is to `level` times that of USUAL."""

    def value(policy, of):
        share = 0.5 if of == "uniform" else of
        return -abs(spread(policy) * share / 20 - level)

    return value


# Splits


def test_a_split_has_a_fifth_of_each_class_outside_and_disjoint_folds():
    labels = np.repeat([3, 5, 8], [160, 50, 10])
    parts = split(IDS[:220], labels, 3)
    together = np.concatenate([parts.outer, *parts.folds])
    np.testing.assert_array_equal(np.sort(together), IDS[:220])
    np.testing.assert_array_equal(parts.inner, np.sort(np.concatenate(parts.folds)))
    assert [(labels[parts.outer] == c).sum() for c in (3, 5, 8)] == [32, 10, 2]
    for fold in range(3):
        held_out = parts.folds[fold]
        counts = [(labels[held_out] == c).sum() for c in (3, 5, 8)]
        assert np.abs(np.array(counts) - np.array([128, 40, 8]) / 3).max() < 1
        assert not set(parts.without(fold)) & {*held_out, *parts.outer}
        assert len(parts.without(fold)) + len(held_out) == 176
    assert max(map(len, parts.folds)) - min(map(len, parts.folds)) <= 1


def test_a_split_goes_by_ids_alone():
    """Not by their order, and not by what other classes there are."""
    labels = np.repeat([0, 1], [150, 60])
    parts = split(IDS[:210], labels, 3)
    order = np.random.default_rng(0).permutation(210)
    again = split(IDS[:210][order], labels[order], 3)
    for one, other in zip((parts.outer, *parts.folds), (again.outer, *again.folds), strict=True):
        np.testing.assert_array_equal(one, other)
    more = split(IDS[:250], np.repeat([0, 1, 2], [150, 60, 40]), 3)
    assert set(parts.outer) == set(more.outer[more.outer < 210])


def test_no_seed_moves_a_split():
    results = [
        ae.tune(Planted(best_at(1)), LABELS, NONE, {"usual": USUAL}, seed=seed, **FULL)
        for seed in (0, 7)
    ]
    np.testing.assert_array_equal(results[0].split.outer, results[1].split.outer)


def test_few_labels_are_said():
    assert "Few labels: 60" in split(IDS[:60], IDS[:60] % 2, 3).notes[0]
    assert not split(IDS[:202], IDS[:202] % 2, 3).notes
    notes = split(IDS[:201], np.r_[IDS[:200] % 2, 9], 3).notes
    assert any("with a single sample" in note for note in notes)
    for labels in (np.zeros(50, int), np.arange(4)):
        with pytest.raises(ValueError, match=r"tune: got \d+ labelled samples .* Label more"):
            split(IDS[: len(labels)], labels, 3)


def test_of_few_labels_each_fold_is_the_outer_part_once():
    parts = split(IDS[:100], IDS[:100] % 2, 3)
    assert parts.crossed
    assert (len(parts.folds), parts.choices) == (5, (0, 1, 2, 3, 4))
    np.testing.assert_array_equal(np.sort(np.concatenate(parts.folds)), IDS[:100])
    for back in parts.choices:
        proof, hidden = parts.proof(back), set(parts.folds[back])
        assert set(proof.asked) == hidden
        assert set(proof.train) == set(IDS[:100]) - hidden
        sessions = parts.sessions(back)
        assert len(sessions) == 4
        for session, counts in sessions:
            # What a choice learns from, and what it is judged by, is without the fold that proves it.
            assert not hidden & {*session.train, *counts}
            assert not set(session.train) & set(session.asked)
            assert set(counts) <= set(session.asked)
        counted = np.sort(np.concatenate([counts for _, counts in sessions]))
        np.testing.assert_array_equal(counted, np.setdiff1d(IDS[:100], parts.folds[back]))
    names = {session.name for back in parts.choices for session, _ in parts.sessions(back)}
    assert names == {session.name for session, _ in parts.sessions(None)}
    assert len(names) == 10


# Differences


def test_a_difference_by_hand():
    """Two trainings (rows) of two samples: 1 2, 3 6. Mean 3; less the mean: −2 −1, 0 3.

    By trainings: (3² + 3²) / 4² · 2/1 = 2.25. By samples: (2² + 2²) / 4² · 2/1 = 1. By both:
    (4 + 1 + 0 + 9) / 4² · 4/3 = 1.1667. 2.25 + 1 − 1.1667 = 2.0833, which is below 2.25: so it is 2.25.
    """
    one = clustered(np.array([1.0, 2, 3, 6]), np.array([5, 9, 5, 9]), np.array([0, 0, 1, 1]))
    assert (one.mean, one.se, one.freedom) == (3, 1.5, 1)
    assert one.margin == pytest.approx(12.706 * 1.5)
    assert not one.above
    assert not one.below


def test_a_difference_is_taken_pair_by_pair():
    """What two arms have in common falls out of it."""
    hard = np.random.default_rng(0).normal(0, 9, 20)
    ids, few = np.arange(20), np.random.default_rng(1).normal(0, 0.1, (2, 20))
    a, b = (Scores.of([ids[:10], ids[10:]], [Score(v[:10]), Score(v[10:])]) for v in hard + few)
    found = difference(a, b)
    assert found.mean == pytest.approx((few[0] - few[1]).mean())
    assert found.se < 0.2
    swapped = difference(b, a)
    assert (swapped.mean, swapped.se) == pytest.approx((-found.mean, found.se))


def test_with_one_training_it_is_the_paired_t_test():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 25))
    found = clustered(a - b, np.arange(25), np.zeros(25, int))
    expected = stats.ttest_rel(a, b).confidence_interval()
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-3)


def test_quantiles_of_t():
    np.testing.assert_allclose(_T, stats.t.ppf(0.975, np.arange(1, 31)), atol=6e-4)
    for freedom in (31, 40, 100, 1000):
        margin = Difference(0, 1, freedom).margin
        assert margin == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


@pytest.mark.parametrize(("sample", "training"), [(0.0, 1.0), (1.0, 0.0), (0.5, 0.5), (0.0, 0.0)])
def test_intervals_cover_what_they_should(sample, training):
    """Five trainings of 40 samples, effects of both kinds: 0 is in 95 % of the intervals or more."""
    rng, misses, runs = np.random.default_rng(5), 0, 600
    samples, trainings_ = np.tile(np.arange(40), 5), np.repeat(np.arange(5), 40)
    for _ in range(runs):
        values = (
            np.tile(sample * rng.normal(size=40), 5)
            + np.repeat(training * rng.normal(size=5), 40)
            + rng.normal(size=200)
        )
        one = clustered(values, samples, trainings_)
        misses += one.above or one.below
    assert stats.binomtest(misses, runs, 0.06, alternative="greater").pvalue > 1e-3


def test_trainings_that_left_a_fold_out_in_common_go_together():
    """The sum over all pairs of trainings that share a fold, one by one. Four folds: 4 · 3 / (2 · 1) = 6."""
    pairs = [(j, k) for j in range(4) for k in range(j)]
    fold = np.array([1.0, -1, 2, 0])
    sums = np.array([fold[j] + fold[k] for j, k in pairs])
    sums -= sums.mean()
    together = sum(
        sums[a] * sums[b] for a in range(6) for b in range(6) if set(pairs[a]) & set(pairs[b])
    )
    one = clustered(sums, np.arange(6), np.arange(6), pairs)
    assert one.se == pytest.approx(np.sqrt(6 * together) / 6)
    assert one.freedom == 3


def test_intervals_cover_where_trainings_share_folds():
    """Each fold that is left out moves all trainings that leave it out."""
    pairs = [(j, k) for j in range(5) for k in range(j)]
    rng, misses, runs = np.random.default_rng(6), 0, 600
    samples = np.concatenate(
        [[*range(10 * j, 10 * j + 10), *range(10 * k, 10 * k + 10)] for j, k in pairs]
    )
    trainings_ = np.repeat(np.arange(10), 20)
    for _ in range(runs):
        fold = rng.normal(size=5)
        shared = np.array([fold[j] + fold[k] for j, k in pairs])
        values = shared[trainings_] + rng.normal(size=10)[trainings_] + rng.normal(size=50)[samples]
        one = clustered(values, samples, trainings_, pairs)
        misses += one.above or one.below
    assert stats.binomtest(misses, runs, 0.07, alternative="greater").pvalue > 1e-3, misses / runs


# Halving


def rung_of(means, se):
    """A rung of arms of these means, whose paired differences have a standard error of about se."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(len(means), 400))
    noise -= noise.mean(axis=1, keepdims=True)
    noise *= se * np.sqrt(400 / 2) / noise.std(axis=1, ddof=1, keepdims=True)
    ids = np.arange(400)
    scores = [Scores.of([ids], [Score(mean + row)]) for mean, row in zip(means, noise, strict=True)]
    return Rung(1, tuple("abcdef"[: len(means)]), tuple(scores))


def test_the_one_standard_error_rule():
    assert rung_of([-2, -1, 0], 0.01).choice() == "c"
    assert rung_of([0, -1, -2], 0.01).choice() == "a"
    assert rung_of([-0.005, -0.002, 0], 0.01).choice() == "a"  # as good, and plainer
    assert rung_of([-2, -0.005, 0, -0.005], 0.01).choice() == "b"
    assert rung_of([0, 0, 0], 0).choice() == "a"


def test_halving_keeps_the_better_half():
    values = {"a": 0, "b": 5, "c": 3, "d": 9, "e": -1, "f": 5, "g": 2, "h": 1, "i": 4}
    asked = []

    def score(arm, steps):
        asked.append((arm, steps))
        return Scores.of([np.arange(4)], [Score(np.full(4, float(values[arm])))])

    rungs = halve("abcdefghi", (10, 30, 90, 270), score)
    assert ["".join(rung.arms) for rung in rungs] == ["abcdefghi", "bdfi", "bd", "bd"]
    assert [len(rung.arms) for rung in rungs] == trainings(9, 4)
    assert asked[:9] == [(arm, 10) for arm in "abcdefghi"]
    assert rungs[-1].choice() == "d"
    kept = halve("abcdefghi", (10, 30, 90, 270), score, keep=("e",))
    assert ["".join(rung.arms) for rung in kept] == ["abcdefghi", "bdefi", "bde", "bde"]
    assert all(len(rung.arms) <= n for rung, n in zip(kept, trainings(9, 4, 1), strict=True))
    assert trainings(21, 3) == [21, 10, 5]


# Arms


@pytest.mark.parametrize(
    "ops",
    [
        USUAL,
        [ae.RandomResizedCrop(32), ae.RandomHorizontalFlip(), ae.ColorJitter(0.4), NORMALIZE],
        [*USUAL[:2], ae.RandAugment(), ae.CutMix(), NORMALIZE, ae.RandomErasing(p=1)],
        [RESIZE, ae.TrivialAugmentWide()],
        [ae.ToImage(), RESIZE, ae.RandomPerspective(), ae.ToDtype(torch.float32, True), NORMALIZE],
    ],
    ids=str,
)
def test_a_policy_at_a_strength_draws_what_an_engine_does(ops):
    policy, sizes = ae.Policy(ops), [(40, 36)] * 16
    for level in (0.0, 0.125, 0.5, 1.0):
        scaled = ae.Policy.from_yaml(at_strength(policy, level).to_yaml())
        plan = policy.sample(range(16), sizes, seed=3, epoch=2, strength=level)
        other = scaled.sample(range(16), sizes, seed=3, epoch=2)
        same = {"policy": "", "strength": np.ones(16, np.float32)}
        assert dataclasses.replace(plan, **same) == dataclasses.replace(other, **same)


def test_a_strength_that_a_policy_cannot_say():
    with pytest.raises(ValueError, match=r"tune: the policy 'mine': JPEG is done to the finished"):
        arms_of(ae.Policy(NONE), {"mine": ae.Policy([RESIZE, ae.JPEG(50)])}, (0.5,))


def test_a_policy_that_says_a_uniform_strength_draws_one():
    scaled = at_strength(ae.Policy([ae.RandomAffine((30, 30))]), "uniform")
    plan = scaled.sample(range(4000), [(8, 8)] * 4000)
    turns = [logged(plan, v, "rotated")[0][0] for v in range(4000)]
    assert stats.kstest(np.abs(turns) / 30, "uniform").pvalue > 1e-3


def test_arms_come_the_plainest_first():
    policies = {"usual": ae.Policy(USUAL), "more": ae.Policy([*USUAL[:2], ae.RandAugment()])}
    arms = arms_of(ae.Policy(NONE), policies, (1.0, "uniform", 0.125, 0.5))
    levels = ["1/8", "1/2", "U(0, 1)", "1"]
    expected = [f"{name}, {level}" for name in policies for level in levels]
    assert [arm.name for arm in arms] == ["none", *expected]
    assert level_name(0.3) == "0.3"


# Parts


def test_the_parts_of_policies():
    def names(ops):
        return [part.name for part in parts_of(ae.Policy(ops))]

    affine = [f"RandomAffine: {word}" for word in ("rotation", "shift", "scale", "shear")]
    assert names(USUAL) == affine
    assert names([RESIZE, ae.RandomAffine(9), ae.CenterCrop(8), NORMALIZE]) == ["RandomAffine"]
    assert names([ae.RandomResizedCrop(8), ae.ColorJitter(0.1, hue=0.1), ae.CutMix()]) == [
        "RandomResizedCrop", "ColorJitter: brightness", "ColorJitter: hue", "CutMix",
    ]  # fmt: skip
    assert names([ae.RandomHorizontalFlip(), ae.RandomHorizontalFlip()]) == [
        "RandomHorizontalFlip (1)", "RandomHorizontalFlip (2)",
    ]  # fmt: skip
    assert names(NONE) == []


def test_what_is_left_out_moves_no_other_draw():
    policy = ae.Policy([*USUAL[:2], ae.RandomHorizontalFlip(), ae.RandomInvert(0.5), NORMALIZE])
    parts = {part.name: part for part in parts_of(policy)}
    sizes = [(32, 32)] * 40

    def words(one):
        plan = one.sample(range(40), sizes, epoch=1)
        return [plan.explain(i) for i in range(40)]

    whole = words(policy)
    less = words(without(policy, parts["RandomHorizontalFlip"]))
    assert [text.replace(", mirrored", "").replace(", flipped", "") for text in less] == less
    assert sum(a != b for a, b in zip(whole, less, strict=True)) > 8
    for a, b in zip(whole, less, strict=True):
        for fact in b.split(", "):
            assert fact in a
    no_turn = words(without(policy, parts["RandomAffine: rotation"]))
    assert not any("rotated" in text for text in no_turn)
    assert all("scaled" in text for text in no_turn)
    only = words(alone(policy, parts["RandomInvert"]))
    assert set(only) <= {whole_text for whole_text in only if "rotated" not in whole_text}
    assert [("inverted" in a) for a in only].count(True) in range(8, 33)
    assert alone(policy, None) == ae.Policy(NONE)


def test_operations_inside_published_policies():
    """One by one: alone it happens to everybody; left out, nothing else moves."""
    policy = ae.Policy([RESIZE, ae.TrivialAugmentWide(), ae.RandAugment(2, 9), NORMALIZE])
    parts = {part.name: part for part in parts_of(policy, inside=True)}
    assert {"TrivialAugmentWide", "RandAugment", "RandAugment: Rotate"} <= set(parts)
    assert len(parts) == 2 + 13 + 13  # without the one that changes nothing
    sizes = [(32, 32)] * 300

    def words(one):
        plan = one.sample(range(300), sizes, epoch=1)
        return [plan.explain(i) for i in range(300)]

    whole = words(policy)
    for op, word in (("TrivialAugmentWide", "equalized"), ("RandAugment", "equalized")):
        less = words(without(policy, parts[f"{op}: Equalize"]))
        changed = [(a, b) for a, b in zip(whole, less, strict=True) if a != b]
        assert len(changed) > 5
        for a, b in changed:
            assert a.count(word) > b.count(word)
            assert [fact for fact in a.split(", ") if fact != word] == [
                fact for fact in b.split(", ") if fact not in (word, "unchanged")
            ]
        assert all(word in text for text in words(alone(policy, parts[f"{op}: Equalize"])))


def test_an_op_that_sizes_leaves_its_size():
    policy = ae.Policy([ae.RandomResizedCrop(24), ae.RandomHorizontalFlip(), NORMALIZE])
    crop = parts_of(policy)[0]
    for one in (without(policy, crop), alone(policy, None)):
        assert one.top[0] == ae.Resize((24, 24))


# The whole


def test_it_finds_the_planted_strength():
    train = Planted(best_at(0.25), training=0.02, rest=0.1)
    result = ae.tune(train, LABELS, NONE, {"usual": USUAL}, rungs=(10, 30))
    assert result.chosen.name == "usual, 1/4"
    assert result.better
    assert (result.policy, result.strength) == (ae.Policy(USUAL), 0.25)
    gain = result.gain.log_likelihood
    assert abs(gain.mean - 0.75) < 0.1
    assert gain.low < 0.75 < gain.high
    assert str(result).count("beats the default (usual, 1)") == 1
    assert ae.Policy.from_yaml(result.to_yaml()) == at_strength(ae.Policy(USUAL), 0.25)
    assert result.table[0].arm == "usual, 1/4"
    content = json.loads(result.to_json())
    assert content["use"] == "usual, 1/4"
    assert len(content["rungs"][0]["arms"]) == 6
    assert "| usual, 1/4 | 30 |" in result.to_markdown()


def test_the_outer_part_is_seen_at_the_end_alone_and_trained_on_never():
    train = Planted(best_at(0.25), rest=0.1)
    result = ae.tune(train, LABELS, NONE, {"usual": USUAL}, ids=range(1000, 1202), **FULL)
    outer = set(result.split.outer.tolist())
    assert len(outer) == 40
    held_out_late = [set(held) & outer != set() for _, _, _, held, _, _ in train.calls]
    assert held_out_late == sorted(held_out_late)
    assert not any(set(ids) & outer for _, _, ids, _, _, _ in train.calls)
    assert all(min(ids) >= 1000 for _, _, ids, _, _, _ in train.calls)
    # Seeds of the comparison are others than that of the choice.
    chosen_by = {seed for *_, seed in train.calls[: held_out_late.index(True)]}
    proven_by = {seed for *_, seed in train.calls[held_out_late.index(True) :]}
    assert (chosen_by, proven_by) == ({0}, {1, 2})


def test_arms_are_trained_on_equal_terms():
    train = Planted(best_at(0.25), rest=0.1)
    ae.tune(train, LABELS, NONE, {"usual": USUAL}, **FULL)
    first = [call[2:] for call in train.calls[: 2 * 3]]  # three arms on two folds
    assert len(set(first)) == 2
    assert first[:2] == first[2:4] == first[4:]


def test_where_nothing_matters_it_says_so_at_the_right_rate():
    """All arms alike: a gain is claimed in one run of forty or less, by the 95 % interval."""
    runs, claimed, sentences = 120, 0, 0
    for salt in range(runs):
        train = Planted(lambda *_: 0.0, training=0.05, rest=0.3, salt=salt)
        result = ae.tune(
            train, LABELS, NONE, {"usual": USUAL}, strengths=(0.25, 0.5, 1.0), rungs=(1, 2),
            folds=3, seeds=5, operations=False,
        )  # fmt: skip
        claimed += result.better
        sentences += "keep the default (usual, 1)" in str(result) or (
            "keep it (usual, 1)" in str(result)
        )
        if not result.better:
            assert result.arm == result.default
            assert ae.Policy.from_yaml(result.to_yaml()) == ae.Policy(USUAL)
    assert sentences == runs - claimed
    assert stats.binomtest(claimed, runs, 0.025, alternative="greater").pvalue > 1e-3


def test_ties_go_to_the_plainest():
    """Without any chance: augmentation does nothing, so none is as good as all."""
    result = ae.tune(Planted(lambda *_: 0.0), LABELS, NONE, {"usual": USUAL}, **FULL)
    assert result.chosen.name == "none"
    assert not result.better
    assert "No difference found on 40 samples" in str(result)


def test_likelihood_that_costs_accuracy_is_no_gain():
    def train(policy, strength, train_ids, held_out, steps, seed):
        tuned = strength == 0.25
        return np.full(len(held_out), -0.1 if tuned else -0.5), held_out % 2 == 0 if tuned else (
            held_out % 4 < 3
        )

    result = ae.tune(train, LABELS, NONE, {"usual": USUAL}, **FULL)
    assert result.chosen.name == "usual, 1/4"
    assert result.gain.log_likelihood.above
    assert not result.better
    assert "points of accuracy" in str(result)


def test_operations_that_help_and_harm_are_named():
    """A shift helps by 0.5, a flip costs 1; rotations do nothing."""

    def value(policy, level):
        found = 0.0
        for op in policy.top:
            if isinstance(op, ae.RandomAffine):
                found += 0.5 * (op.translate is not None)
            found -= 1.0 * isinstance(op, ae.RandomHorizontalFlip)
        return found

    flipping = {"usual": USUAL, "yours": [*USUAL[:2], ae.RandomHorizontalFlip(), NORMALIZE]}
    train = Planted(value, training=0.01, rest=0.05)
    result = ae.tune(train, LABELS, NONE, flipping, strengths=(0.5, 1.0), rungs=(2, 4))
    verdicts = {one.name: one.verdict for one in result.effects}
    assert verdicts["RandomHorizontalFlip"] == "harms"
    assert verdicts["RandomAffine: shift"] == "helps"
    assert {verdicts[f"RandomAffine: {w}"] for w in ("rotation", "scale", "shear")} == {"not clear"}
    assert "Harm, in trainings of 2 steps: RandomHorizontalFlip." in str(result)
    assert "Help, in trainings of 2 steps: RandomAffine: shift." in str(result)
    shift = next(one for one in result.effects if one.name.endswith("shift"))
    assert abs(shift.alone.mean - 0.5) < 0.1
    assert abs(shift.within.mean - 0.5) < 0.1
    up, down = Difference(1, 0.1, 9), Difference(-1, 0.1, 9)
    assert Effect("", up, down).verdict == "both"


def test_of_few_labels_the_choice_is_made_anew_without_each_fold():
    train = Planted(best_at(0.25), training=0.02, rest=0.1)
    result = ae.tune(train, FEW, NONE, {"usual": USUAL}, rungs=(10, 30))
    assert result.split.crossed
    assert result.chosen.name == "usual, 1/4"
    assert [arm.name for arm in result.proven] == ["usual, 1/4"] * 5
    assert result.better
    assert result.gain.log_likelihood.low < 0.75 < result.gain.log_likelihood.high
    said = str(result)
    assert "on 100 samples, by choices made without them" in said
    assert "Few labels: 100" in said
    assert "usual, 1/4 (5 times)" in said
    # What proves a choice was neither learned from nor asked about by what the choice rests on.
    proofs = {(held, learned) for _, _, learned, held, steps, seed in train.calls if seed != 0}
    assert {held for held, _ in proofs} == {tuple(fold) for fold in result.split.folds}
    assert all(not set(held) & set(learned) for held, learned in proofs)


def test_an_operation_that_harms_is_left_out_of_what_is_used():
    """A flip that costs 1 stands in every policy: all arms are worse than none, and the mended one is best."""

    def value(policy, level):
        flips = any(isinstance(op, ae.RandomHorizontalFlip) for op in policy.top)
        return best_at(0.5)(policy, level) - flips

    flipping = {"usual": [*USUAL[:2], ae.RandomHorizontalFlip(), NORMALIZE]}
    for labels in (LABELS, FEW):
        train = Planted(value, training=0.01, rest=0.05)
        result = ae.tune(train, labels, NONE, flipping, strengths=(0.5, 1.0), rungs=(2, 4))
        assert result.mended == result.chosen
        assert result.chosen.name == "usual without RandomHorizontalFlip, 1/2"
        assert result.better
        assert "Harm, in trainings of 2 steps: RandomHorizontalFlip" in str(result)
        assert "since what was left out of it harms" in str(result)
        policy = ae.Policy.from_yaml(result.to_yaml())
        plan = policy.sample(range(200), [(32, 32)] * 200)
        assert not any("flipped" in plan.explain(i) for i in range(200))


def test_a_policy_under_which_all_is_chance_is_not_tried():
    """By what a plainly trained model says of images under it, at its least strength."""

    def affinity(policy, strength, train_ids, held_out_ids, steps, seed):
        asked.append((policy, strength))
        rng = np.random.default_rng([7, *held_out_ids[:3].tolist()])
        hopeless = any(isinstance(op, ae.RandomInvert) for op in policy.top)
        right = rng.random(len(held_out_ids)) < (0.5 if hopeless else 0.9)
        return np.zeros(len(held_out_ids)), right

    def train(policy, strength, train_ids, held_out_ids, steps, seed):
        right = np.random.default_rng([seed, 1]).random(len(held_out_ids)) < (
            0.9 if learns else 0.5
        )
        return np.zeros(len(held_out_ids)), right

    policies = {"usual": USUAL, "yours": [*USUAL[:2], ae.RandomInvert(), NORMALIZE]}
    for learns, gone in ((True, ["yours"]), (False, [])):
        asked = []
        result = ae.tune(train, LABELS, NONE, policies, affinity=affinity, **FULL)
        assert [one.policy for one in result.pruned] == gone
        assert {strength for _, strength in asked} == {0.25}
        tried = {arm.of for rung in result.rungs for arm in rung.arms}
        assert ("yours" in tried) is not learns
        assert ("yours without RandomInvert" in tried) is learns
        assert ("RandomInvert alone does that" in str(result)) is learns
        assert "RandomInvert" in {one.name for one in result.effects}
    assert "Not tried" not in str(result)


def test_few_images_prove_no_policy_hopeless():
    """Half of eight rightly told may be chance, and may be as much as is told of plain images."""
    one = Arm("a, 1/8", ae.Policy(USUAL), 0.125, "a")
    for n, gone in ((8, False), (800, True)):
        truth, trainings_ = np.arange(n) % 2, np.zeros(n, int)
        told = [np.arange(n) % 8 < right for right in (7, 4)]
        plain, asked = (Scores(np.arange(n), trainings_, np.zeros(n), right) for right in told)
        assert (at_chance(one, plain, asked, truth) is not None) is gone


def test_a_run_plans_as_many_trainings_as_it_makes_or_more():
    train, said = Planted(best_at(0.5), rest=0.1), []
    policies = {"usual": USUAL, "more": [*USUAL[:2], ae.RandAugment(), NORMALIZE]}
    ae.tune(train, LABELS, NONE, policies, progress=lambda *now: said.append(now), **FULL)
    planned = work({n: ae.Policy(p) for n, p in policies.items()}, 5, 2, (2, 4), 2, True)
    assert len(train.calls) <= sum(count for count, _ in planned)
    total = sum(count * steps for count, steps in planned)
    done = sum(call[4] for call in train.calls)
    assert 0.7 * total < done <= total
    assert [now[1] for now in said] == sorted(now[1] for now in said)
    assert said[-1][2] == total


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"rungs": (4, 2)}, r"rungs: got \[4, 2\], expected numbers of steps, ever more"),
        ({"rungs": ()}, r"rungs: got \[\]"),
        ({"folds": 1}, r"folds: got 1"),
        ({"seeds": 1}, r"seeds: got 1"),
        ({"seed": -1}, r"seed: got -1"),
        ({"strengths": (2.0,)}, r"strength: got 2"),
        ({"strengths": ("strong",)}, r"got the strength 'strong'"),
        ({"strengths": (0.5, 0.5)}, r"expected one or more, each once"),
        ({"policies": {}}, r"got the policies \[\]"),
        ({"policies": {"none": USUAL}}, r"by names other than 'none'"),
        ({"labels": [0.5] * 202}, r"labels: got float64 \[202\]"),
        ({"ids": [0] * 202}, r"none twice"),
        ({"train": lambda *_: [0.0]}, r"train gave log-likelihoods \[1\], 1 of them finite"),
        ({"train": lambda *a: np.full(len(a[3]), np.nan)}, r"0 of them finite"),
        ({"train": lambda *a: (np.zeros(len(a[3])), np.zeros(3))}, r"gave \[3\] answers"),
    ],
)
def test_what_it_cannot_take(how, message):
    given = {"train": Planted(best_at(1)), "labels": LABELS, "none": NONE} | {
        "policies": {"usual": USUAL}
    }
    with pytest.raises(ValueError, match=message):
        ae.tune(**(given | FULL | how))
