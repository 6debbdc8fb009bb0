"""The published policies draw what the installed torchvision and timm draw. All is read from what a
plan says; where timm has no table, its own draws are the sample to compare with."""

import random
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from published import (
    GEOMETRY,
    SAYS,
    SURE,
    TORCHVISION,
    alike,
    assert_follows,
    chains,
    drawn,
    maybe,
    mixed,
    plain,
    sampled,
    shares_of,
    then,
    timm,
    timm_arguments,
    timm_law,
    torchvision_law,
)
from scipy import stats
from timm.data import create_transform
from torchvision.transforms import v2

import augengine as ae
from augengine.plan.kinds import NO_VIEW

SIZE = (224, 224)


def texts_only(outcomes):
    return [tuple(text for text, _ in outcome) for outcome in outcomes]


def without_numbers(law):
    return mixed(({tuple(text for text, _ in outcome): 1.0}, p) for outcome, p in law.items())


def numbers_of(outcomes):
    """{log text: the numbers that it came with}."""
    found = defaultdict(list)
    for outcome in outcomes:
        for text, number in outcome:
            found[text].append(number)
    return found


def timm_numbers(ops, n=10_000):
    """The numbers that timm's operations hand to their functions, drawn by timm; for our log."""
    random.seed(0)
    found = {}
    for op in ops:
        if op.level_fn is not None:
            op.aug_fn, op.prob = lambda image, number, **how: number, 1.0
            numbers = np.array([op(None) for _ in range(n)])
            size = SIZE[0] if op.name.startswith("Translate") else 1
            found[SAYS[plain(op.name)]] = 1 - numbers if op.name == "Desaturate" else size * numbers
    return found


def levels_of(outcomes, ops, most):
    """[0, 1] of what timm gives at the level `most`: how strong the warps are, all together."""
    numbers, found = numbers_of(outcomes), []
    for op in ops:
        if plain(op.name) in GEOMETRY:
            (full,) = timm_arguments(op.name, [most], 1, SIZE[0], op.hparams)
            found.append(np.abs(numbers[SAYS[plain(op.name)]]) / full)
    return np.concatenate(found)


def assert_numbers_as_timms(outcomes, ops):
    ours, theirs = numbers_of(outcomes), timm_numbers(ops)
    assert theirs.keys() == {text for text in ours if "%" in text}
    for text, numbers in theirs.items():
        assert stats.ks_2samp(ours[text], numbers.astype(np.float32)).pvalue > SURE, text


# RandAugment


@pytest.mark.parametrize(
    ("num_ops", "magnitude", "bins", "size"),
    [(2, 9, 31, SIZE), (1, 30, 31, (97, 640)), (2, 0, 31, SIZE), (3, 4, 5, SIZE)],
)
def test_randaugment_draws_as_torchvisions(num_ops, magnitude, bins, size):
    space = TORCHVISION["RandAugment"][0]
    op = alike(torchvision_law(space, name, bins, [magnitude], size) for name in space)
    policy = ae.RandAugment(num_ops, magnitude, bins)
    assert_follows(drawn(sampled(policy, size=size)), then(*[op] * num_ops))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_randaugment_applies_each_operation_with_probability_p(p):
    space = TORCHVISION["RandAugment"][0]
    op = alike(torchvision_law(space, name, 31, [9], SIZE) for name in space)
    outcomes = drawn(sampled(ae.RandAugment(p=p)))
    if p == 0:
        assert set(outcomes) == {()}
    else:
        assert_follows(outcomes, then(maybe(op, p), maybe(op, p)))


def test_randaugments_magnitudes_are_normal_and_cut_to_the_bins():
    outcomes = drawn(sampled(ae.RandAugment(magnitude=24, magnitude_std=6)))
    level = np.abs(numbers_of(outcomes)[SAYS["Rotate"]])  # a degree a bin
    beyond = stats.norm.sf(1)
    assert stats.binomtest(int((level == 30).sum()), len(level), beyond).pvalue > SURE
    inside = level[level < 30]
    law = stats.truncnorm(-4, 1, 24, 6)
    assert stats.kstest(inside, law.cdf).pvalue > SURE


def test_randaugments_magnitudes_are_uniform_with_a_spread_above_100():
    outcomes = drawn(sampled(ae.RandAugment(magnitude=24, magnitude_std=101)))
    level = np.abs(numbers_of(outcomes)[SAYS["Rotate"]])
    assert stats.kstest(level / 24, "uniform").pvalue > SURE


def without_replacement(laws, weights, n):
    """The law of n different ones of some laws, drawn by their weights."""
    if n == 0:
        return {(): 1.0}
    total = sum(weights)
    parts = []
    for i, (law, weight) in enumerate(zip(laws, weights, strict=True)):
        rest = [[*values[:i], *values[i + 1 :]] for values in (laws, weights)]
        parts.append((then(law, without_replacement(*rest, n - 1)), weight / total))
    return mixed(parts)


TIMM_RANDAUGMENTS = {
    "rand-m9": ae.RandAugment(dialect="timm"),
    "rand-m10-n1-p0.9": ae.RandAugment(1, 10, dialect="timm", p=0.9),
    "rand-m9-inc1": ae.RandAugment(dialect="timm", increasing=True),
    "rand-m4-n3-p0.3-inc1": ae.RandAugment(3, 4, dialect="timm", p=0.3, increasing=True),
    "rand-m14-mmax15-n1-inc1": ae.RandAugment(
        1, 14, dialect="timm", max_magnitude=15, increasing=True
    ),
    "rand-m7-t3a": ae.RandAugment(2, 7, dialect="timm", choices="3a"),
    "rand-m9-t3aw-p0.9": ae.RandAugment(dialect="timm", choices="3aw", p=0.9),
    "rand-m9-tweights-p1.0": ae.RandAugment(dialect="timm", choices="weights", p=1),
}


@pytest.mark.parametrize("config", TIMM_RANDAUGMENTS)
def test_randaugment_draws_as_timms(config):
    peer = timm.rand_augment_transform(config)
    laws = [timm_law(op, SIZE) for op in peer.ops]
    if peer.choice_weights is None:
        law = then(*[alike(laws)] * peer.num_layers)
    else:
        law = without_replacement(laws, list(peer.choice_weights), peer.num_layers)
    assert_follows(drawn(sampled(TIMM_RANDAUGMENTS[config])), law)


NOISY_RANDAUGMENTS = {
    "rand-m9-mstd0.5": ae.RandAugment(dialect="timm", magnitude_std=0.5),
    "rand-m5-mstd3-p1.0-inc1": ae.RandAugment(
        2, 5, dialect="timm", magnitude_std=3, p=1, increasing=True
    ),
    "rand-m9-mstd101-inc1": ae.RandAugment(dialect="timm", magnitude_std=101, increasing=True),
    "rand-m13-mstd2-mmax15-inc1": ae.RandAugment(
        2, 13, dialect="timm", magnitude_std=2, max_magnitude=15, increasing=True
    ),
    "rand-m8-mstd101-t3a": ae.RandAugment(2, 8, dialect="timm", magnitude_std=101, choices="3a"),
}


@pytest.mark.parametrize("config", NOISY_RANDAUGMENTS)
def test_randaugments_magnitudes_are_spread_as_timms(config):
    peer = timm.rand_augment_transform(config)
    outcomes = drawn(sampled(NOISY_RANDAUGMENTS[config]))
    op = alike(timm_law(op, SIZE) for op in peer.ops)
    assert_follows(texts_only(outcomes), without_numbers(then(*[op] * peer.num_layers)))
    assert_numbers_as_timms(outcomes, peer.ops)
    if config.startswith("rand-m9-mstd101"):
        assert stats.kstest(levels_of(outcomes, peer.ops, 9), "uniform").pvalue > SURE


def test_ones_own_weights_draw_without_replacement():
    weights = {"Rotate": 4, "Color": 1, "Equalize": 2, "Invert": 0}
    policy = ae.RandAugment(dialect="timm", weights=weights, p=1)
    pairs = [tuple(text for text, _ in outcome) for outcome in drawn(sampled(policy))]
    names, total = ("Rotate", "Color", "Equalize"), 7
    law = {
        (SAYS[a], SAYS[b]): weights[a] / total * weights[b] / (total - weights[a])
        for a, b in product(names, names)
        if a != b
    }
    assert_follows(pairs, law)


# TrivialAugmentWide and AutoAugment


@pytest.mark.parametrize(("bins", "size"), [(31, SIZE), (5, (97, 640))])
def test_trivialaugment_draws_as_torchvisions(bins, size):
    space = TORCHVISION["TrivialAugmentWide"][0]
    law = alike(torchvision_law(space, name, bins, range(bins), size) for name in space)
    assert_follows(drawn(sampled(ae.TrivialAugmentWide(bins), size=size)), law)


@pytest.mark.parametrize("policy", v2.AutoAugmentPolicy)
def test_autoaugment_draws_as_torchvisions(policy):
    peer = v2.AutoAugment(policy)
    space = peer._AUGMENTATION_SPACE
    law = alike(
        then(*(maybe(torchvision_law(space, name, 10, [at], SIZE), p) for name, p, at in sub))
        for sub in peer._policies
    )
    assert_follows(drawn(sampled(ae.AutoAugment(policy))), law)


@pytest.mark.parametrize("policy", ["original", "originalr", "v0", "v0r"])
def test_autoaugment_draws_as_timms(policy):
    peer = timm.auto_augment_transform(policy)
    law = alike(then(*(timm_law(op, SIZE) for op in sub)) for sub in peer.policy)
    assert_follows(drawn(sampled(ae.AutoAugment(policy, dialect="timm"))), law)


def test_autoaugments_levels_are_spread_as_timms():
    """Rotations of the original policy: at levels 3, 8 and 9, each with its probability."""
    peer = timm.auto_augment_transform("original-mstd0.5")
    random.seed(0)
    theirs = []
    for op in [op for sub in peer.policy for op in sub if op.name == "Rotate"]:
        op.aug_fn = lambda image, number, **how: number
        said = [op(None) for _ in range(5000)]
        theirs += [number for number in said if number is not None]
    outcomes = drawn(sampled(ae.AutoAugment("original", dialect="timm", magnitude_std=0.5)))
    ours = numbers_of(outcomes)[SAYS["Rotate"]]
    assert stats.ks_2samp(ours, np.float32(theirs)).pvalue > SURE


# AugMix


@pytest.mark.parametrize("all_ops", [True, False])
@pytest.mark.parametrize("severity", [1, 3, 10])
def test_augmix_chains_draw_as_torchvisions(severity, all_ops):
    peer = v2.AugMix()
    space = peer._AUGMENTATION_SPACE if all_ops else peer._PARTIAL_AUGMENTATION_SPACE
    op = alike(torchvision_law(space, name, 10, range(severity), SIZE) for name in space)
    plan = sampled(ae.AugMix(severity, all_ops=all_ops))
    said = drawn(plan, chains(plan).ravel())
    assert_follows([len(outcome) for outcome in said], dict.fromkeys((1, 2, 3), 1 / 3))
    for at in range(3):
        assert_follows([outcome[at : at + 1] for outcome in said if len(outcome) > at], op)
    pairs = [outcome for outcome in texts_only(said) if len(outcome) == 2]
    assert_follows(pairs, without_numbers(then(op, op)))


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_augmix_chains_are_as_long_as_asked(depth):
    plan = sampled(ae.AugMix(chain_depth=depth), n=500)
    assert {len(outcome) for outcome in drawn(plan, chains(plan).ravel())} == {depth}


def test_augmix_draws_as_timms():
    """timm's factory hands AugMix a narrower translation than its other policies get."""
    factory = create_transform(224, is_training=True, auto_augment="augmix-m3")
    (peer,) = [t for t in factory.transforms if isinstance(t, timm.AugMixAugment)]
    plan = sampled(ae.AugMix(dialect="timm"))
    assert chains(plan).shape[1] == peer.width
    said = drawn(plan, chains(plan).ravel())
    assert_follows([len(outcome) for outcome in said], dict.fromkeys((1, 2, 3), 1 / 3))
    op = without_numbers(alike(timm_law(op, SIZE) for op in peer.ops))
    for at in range(3):
        texts = [outcome[at : at + 1] for outcome in texts_only(said) if len(outcome) > at]
        assert_follows(texts, op)
    assert_numbers_as_timms(said, peer.ops)
    assert stats.kstest(levels_of(said, peer.ops, 3), "uniform").pvalue > SURE


@pytest.mark.parametrize("dialect", ["torchvision", "timm"])
def test_augmix_chains_are_independent(dialect):
    plan = sampled(ae.AugMix(dialect=dialect))
    first = [[outcome[0][0] for outcome in drawn(plan, chain)] for chain in chains(plan).T]
    names = sorted(set(first[0]))
    for a, b in ((0, 1), (1, 2), (0, 2)):
        table = np.zeros((len(names), len(names)))
        np.add.at(table, tuple([names.index(x) for x in first[k]] for k in (a, b)), 1)
        assert stats.chi2_contingency(table).pvalue > SURE


@pytest.mark.parametrize(("alpha", "width"), [(1.0, 3), (0.3, 3), (4.0, 2), (1.0, 1)])
def test_augmix_shares_are_dirichlet(alpha, width):
    """m₀ of the image, and m₁ · w of the chains."""
    shares = shares_of(sampled(ae.AugMix(mixture_width=width, alpha=alpha)))
    image, rest = shares[:, 0], shares[:, 1:]
    assert stats.kstest(image, stats.beta(alpha, alpha).cdf).pvalue > SURE
    seen = rest.sum(axis=1) > 1e-4  # of a chain that is next to invisible the alphas say little
    w = rest[seen] / rest[seen].sum(axis=1, keepdims=True)
    if width == 1:
        return
    law = stats.dirichlet(np.full(width, alpha))
    for k in range(width):
        assert stats.kstest(w[:, k], stats.beta(alpha, alpha * (width - 1)).cdf).pvalue > SURE
    np.testing.assert_allclose(np.cov(w.T), law.cov(), atol=6 * law.var().max() / len(w) ** 0.5)
    assert stats.spearmanr(image[seen], w[:, 0]).pvalue > SURE


def test_augmix_has_a_layer_for_each_chain():
    plan = sampled(ae.AugMix(mixture_width=5), n=100)
    assert plan.view.shape == (100, 6)
    assert (plan.view != NO_VIEW).all()
    assert (plan.box == [0, 0, 224, 224]).all()
    assert (plan.weight == [1, 0, 0, 0, 0, 0]).all()


# The rest

ENHANCED = ("Brightness", "Color", "Contrast", "Sharpness")
OF_FIXMATCH = {  # semilearn's list (microsoft/Semi-supervised-learning), in the units of our log
    **dict.fromkeys(ENHANCED, (0.05, 0.95)),
    "Rotate": (-30, 30),
    "ShearX": (-0.3, 0.3),
    "ShearY": (-0.3, 0.3),
    "Solarize": (0, 256),
    "TranslateX": (-0.3 * 640, 0.3 * 640),
    "TranslateY": (-0.3 * 97, 0.3 * 97),
    "Posterize": (4, 8),
    "AutoContrast": None,
    "Equalize": None,
    "Identity": None,
}
OF_UNIFORMAUGMENT = {  # Fast AutoAugment's list without its Cutout
    **{name: limits for name, limits in OF_FIXMATCH.items() if name != "Identity"},
    **dict.fromkeys(ENHANCED, (0.1, 1.9)),
    "TranslateX": (-0.45 * 640, 0.45 * 640),
    "TranslateY": (-0.45 * 97, 0.45 * 97),
    "Invert": None,
}


@pytest.mark.parametrize(
    ("policy", "ranges", "p"),
    [(ae.FixMatchAugment(), OF_FIXMATCH, 1), (ae.UniformAugment(), OF_UNIFORMAUGMENT, 0.5)],
    ids=["FixMatch", "UniformAugment"],
)
def test_magnitudes_are_uniform_in_their_published_ranges(policy, ranges, p):
    outcomes = drawn(sampled(policy, size=(97, 640)))
    op = alike({() if name == "Identity" else (SAYS[name],): 1.0} for name in ranges)
    assert_follows(texts_only(outcomes), then(maybe(op, p), maybe(op, p)))
    numbers = numbers_of(outcomes)
    for name, limits in ranges.items():
        if limits is None:
            continue
        found, (low, high) = np.array(numbers[SAYS[name]]), limits
        if name == "Posterize":
            assert_follows(found.tolist(), dict.fromkeys((4.0, 5.0, 6.0, 7.0), 0.25))
        else:
            share = (found - low) / (high - low)
            assert -1e-6 <= share.min() < 0.01
            assert 0.99 < share.max() <= 1 + 1e-6
            assert stats.kstest(share, "uniform").pvalue > SURE, name


@pytest.mark.parametrize(
    ("policy", "threshold", "sigma"),
    [(ae.ThreeAugment(), 128, (0.1, 2)), (ae.ThreeAugment(96, (0.5, 0.7)), 96, (0.5, 0.7))],
    ids=["DeiT III", "one's own"],
)
def test_three_augment_is_one_of_three(policy, threshold, sigma):
    outcomes = drawn(sampled(policy))
    texts = (SAYS["Solarize"], "grey", SAYS["GaussianBlur"])
    assert_follows(texts_only(outcomes), {(text,): 1 / 3 for text in texts})
    numbers, (low, high) = numbers_of(outcomes), sigma
    assert set(numbers[texts[0]]) == {threshold}
    assert stats.kstest((np.array(numbers[texts[2]]) - low) / (high - low), "uniform").pvalue > SURE
