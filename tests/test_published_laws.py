"""What holds for every published policy, whatever it draws; and what it says to bad arguments."""
# ruff: noqa: E501 (a bad argument and its whole message read best side by side)

import re
from collections import Counter

import numpy as np
import pytest
import torch
from cases import assert_close, each_executor
from photos import patches
from published import POLICIES, SAYS, SURE, drawn, sampled
from scipy import stats
from torchvision.transforms.v2 import functional

import augengine as ae
from augengine.plan import VIEW_FIELDS
from augengine.plan.kinds import CURVE, NO_STATISTIC

N, SIZE = 48, (64, 80)
each_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=list(POLICIES))


def outcomes_of(plan):
    """Of each sample's own view, and of each chain where there are some."""
    return drawn(plan, plan.view.ravel())


# Doing nothing, and doing different things


@each_executor
@pytest.mark.parametrize(
    "op",
    [
        ae.RandAugment(0),
        ae.RandAugment(0, dialect="timm", p=1),
        ae.RandAugment(0, dialect="timm", choices="weights"),
        ae.RandAugment(p=0),
        ae.UniformAugment(0),
        ae.FixMatchAugment(0),
    ],
    ids=repr,
)
def test_no_operations_are_the_identity(op, executor):
    images = patches(N, *SIZE)
    plan = sampled(op, N, SIZE, dtype="uint8")
    assert {plan.explain(i) for i in range(N)} == {"unchanged"}
    assert torch.equal(ae.execute(plan, images, executor=executor), images)


@each_executor
@each_policy
def test_strength_0_leaves_every_bit(policy, executor):
    images = patches(N, *SIZE)
    plan = sampled(policy, N, SIZE, strength=np.zeros(N), dtype="uint8")
    assert torch.equal(ae.execute(plan, images, executor=executor), images)
    full = sampled(policy, N, SIZE, dtype="uint8")
    assert not torch.equal(ae.execute(full, images, executor=executor), images)


@each_policy
def test_strength_1_changes_nothing(policy):
    assert sampled(policy, N, SIZE, strength=np.ones(N)) == sampled(policy, N, SIZE)


@each_executor
@pytest.mark.parametrize(
    ("name", "magnitude", "curved"),
    [
        ("SolarizeAdd", 10, lambda image: torch.where(image < 128, image + 110, image)),
        ("PosterizeOriginal", 0, lambda image: image & 0xF0),
        ("Solarize", 5, lambda image: torch.where(image < 128, image, 255 - image)),
    ],
)
def test_samples_of_a_batch_take_different_kinds_of_steps(name, magnitude, curved, executor):
    """A tone, a factor above 1 and a matrix below 0 side by side: none is read as another."""
    weights = {name: 1, "Brightness": 1, "Invert": 1}
    op = ae.RandAugment(1, magnitude, dialect="timm", weights=weights, p=1)
    images, factor = patches(N, *SIZE), 0.1 + 0.18 * magnitude
    plan = sampled(op, N, SIZE, dtype="uint8")
    got, met = ae.execute(plan, images, executor=executor), Counter()
    for image, new, ((text, _),) in zip(images, got, drawn(plan), strict=True):
        met[text] += 1
        if text == SAYS["Brightness"]:
            assert_close(new, (image.double() * factor).clamp(max=255), 0.501)
        else:
            assert torch.equal(new, 255 - image if text == SAYS["Invert"] else curved(image))
    assert len(met) == 3


# Texts whose magnitude is counted: a half is rounded. Of solarize timm's is.
COUNTED = (SAYS["Posterize"], SAYS["SolarizeAdd"])
NEUTRAL = {
    **{SAYS[name]: 1 for name in ("Brightness", "Color", "Contrast", "Sharpness")},
    SAYS["Posterize"]: 8,
    SAYS["Solarize"]: 256,
}


@each_policy
def test_strength_a_half_is_half_the_way_from_neutral(policy):
    n = 1000
    full, half = (sampled(policy, n, SIZE, strength=np.full(n, s)) for s in (1, 0.5))
    bare = np.zeros(2, int)
    for whole, halved in zip(outcomes_of(full), outcomes_of(half), strict=True):
        ours, theirs = (
            [line for line in lines if line[1] is not None] for lines in (whole, halved)
        )
        bare += len(whole) - len(ours), len(halved) - len(theirs)
        for (text, number), (half_text, half_number) in zip(ours, theirs, strict=True):
            neutral = NEUTRAL.get(text, 0)
            expected = neutral + (number - neutral) / 2
            assert half_text == text
            rounded = half_number.is_integer() and text in (*COUNTED, SAYS["Solarize"])
            assert half_number == pytest.approx(expected, rel=1e-6, abs=0.5 if rounded else 1e-6)
            assert rounded or text not in COUNTED
    # What has no magnitude happens half as often.
    assert bare[0] == 0 or stats.binomtest(bare[1], bare[0], 0.5).pvalue > SURE


def test_strength_a_half_halves_the_shares_of_augmix():
    full, half = (sampled(ae.AugMix(), N, SIZE, strength=np.full(N, s)) for s in (1, 0.5))
    own, halved = (np.prod(1 - plan.alpha[:, 1:].astype(float), axis=1) for plan in (full, half))
    np.testing.assert_allclose(1 - halved, (1 - own) / 2, atol=1e-6)


# A plan is a sample's own


def told(plan, i):
    """All that a plan says of output i, without the places of its batch's tables."""
    layers = plan.view[i] != -1
    return [
        *(
            getattr(plan, name)[i, layers].tobytes()
            for name in ("box", "alpha", "weight", "colour")
        ),
        *(_view(plan, view) for view in plan.view[i, layers]),
    ]


def _view(plan, view):
    kinds, lines = plan.step_kind[view], plan.log_op[view]
    steps = np.count_nonzero(kinds)
    args = plan.step_arg[view, :steps].copy()
    curves = (kinds[:steps] == CURVE) & (plan.statistic[view, :steps] == NO_STATISTIC)
    shapes = plan.curves[args[curves, 0].astype(int)].tobytes()
    args[curves, 0] = 0
    packed = ("step_kind", "statistic", "window")
    named = ("source", "step_arg", "log_op", "log_arg", *packed)
    source = plan.source[view]
    return [
        *(getattr(plan, name)[view].tobytes() for name in VIEW_FIELDS if name not in named),
        *(getattr(plan, name)[view, :steps].tobytes() for name in packed),
        args.tobytes(),
        shapes,
        [plan.log_text[op] for op in lines if op >= 0],
        plan.log_arg[view, : np.count_nonzero(lines >= 0)].tobytes(),
        _view(plan, source - len(plan.ids)) if source >= len(plan.ids) else int(plan.ids[source]),
    ]


@each_policy
def test_a_samples_plan_is_the_same_alone_and_in_any_batch(policy):
    policy, sizes = ae.Policy(policy), np.tile(SIZE, (64, 1))
    ids = np.arange(64) * 7
    together = policy.sample(ids, sizes, seed=3, epoch=2)
    shuffled = policy.sample(ids[::-1], sizes, seed=3, epoch=2)
    few = policy.sample(ids[10:13], sizes[:3], seed=3, epoch=2)
    for i in range(64):
        assert told(together, i) == told(shuffled, 63 - i)
    for i in range(10, 13):
        alone = policy.sample(ids[i : i + 1], sizes[:1], seed=3, epoch=2)
        assert told(together, i) == told(few, i - 10) == told(alone, 0)
        assert together.explain(i) == alone.explain(0)


@each_policy
def test_a_samples_plan_does_not_depend_on_the_strength_of_others(policy):
    policy, strength = ae.Policy(policy), np.tile([1.0, 0.25, 0.0], 32)
    together = policy.sample(range(96), np.tile(SIZE, (96, 1)), strength=strength)
    for own in (1.0, 0.25, 0.0):
        ids = np.flatnonzero(strength == own)
        alike = policy.sample(ids, np.tile(SIZE, (32, 1)), strength=np.full(32, own))
        for i, k in enumerate(ids):
            assert told(together, k) == told(alike, i)


@each_executor
@each_policy
def test_a_samples_pixels_are_the_same_alone_and_in_a_batch(policy, executor):
    images, policy, sizes = patches(16, *SIZE), ae.Policy(policy), np.tile(SIZE, (16, 1))
    together = ae.execute(policy.sample(range(16), sizes), images, executor=executor)
    for i in (0, 7, 15):
        alone = policy.sample([i], sizes[:1])
        assert torch.equal(ae.execute(alone, images[i : i + 1], executor=executor)[0], together[i])


@each_policy
def test_seeds_epochs_and_views_draw_anew(policy):
    plans = [
        sampled(policy, N, SIZE, **how) for how in ({}, {"seed": 1}, {"epoch": 1}, {"look": 1})
    ]
    drew = [outcomes_of(plan) for plan in plans]
    for a, b in ((0, 1), (0, 2), (0, 3), (1, 2)):
        assert drew[a] != drew[b]
        assert sum(x == y for x, y in zip(drew[a], drew[b], strict=True)) < 0.75 * len(drew[a])


# Written down and read again


@each_policy
def test_plans_are_saved_loaded_and_drawn_again(policy, tmp_path):
    images = patches(N, *SIZE)
    plan = sampled(policy, N, SIZE, dtype="uint8", seed=9, epoch=3)
    plan.save(tmp_path / "plan")
    loaded = ae.Plan.load(tmp_path / "plan")
    assert loaded == plan
    assert torch.equal(ae.execute(loaded, images), ae.execute(plan, images))
    selected = plan.select([3, 1])
    again = ae.execute(selected, images)
    assert torch.equal(again, ae.execute(plan, images)[[3, 1]])


@each_policy
def test_plans_say_in_words_what_they_drew(policy):
    plan = sampled(policy, N, SIZE)
    said = [plan.explain(i) for i in range(N)]
    assert all(isinstance(words, str) and words.isprintable() and words for words in said)
    assert Counter(said).most_common(1)[0][1] < N
    for words, outcome in zip(said, drawn(plan), strict=True):
        for text, number in outcome:
            assert (text if number is None else text % number) in words


@each_policy
def test_policies_are_read_back_from_yaml_and_repr(policy):
    policy = ae.Policy(policy)
    read = ae.Policy.from_yaml(policy.to_yaml())
    assert read == policy
    assert read.fingerprint == policy.fingerprint
    assert sampled(read, N, SIZE) == sampled(policy, N, SIZE)
    names = {name: getattr(ae, name) for name in ae.__all__}
    assert eval(repr(policy), names) == policy


def test_policies_differ():
    assert len({ae.Policy(policy).fingerprint for policy in POLICIES.values()}) == len(POLICIES)


# Errors

BAD = [
    (ae.RandAugment, {"magnitude": 31}, r"RandAugment\.magnitude: got 31, expected 0 … 30 in the dialect torchvision\. The nearest is 30"),
    (ae.RandAugment, {"magnitude": -1}, r"got -1, expected 0 … 30 .* The nearest is 0\."),
    (ae.RandAugment, {"magnitude": 5, "num_magnitude_bins": 5}, r"got 5, expected 0 … 4 .* The nearest is 4\."),
    (ae.RandAugment, {"magnitude": 11, "dialect": "timm"}, r"RandAugment\.magnitude: got 11, expected 0 … 10 in the dialect timm\. The nearest is 10"),
    (ae.RandAugment, {"magnitude": 16, "dialect": "timm", "max_magnitude": 15}, r"got 16, expected 0 … 15 "),
    (ae.RandAugment, {"max_magnitude": -1, "dialect": "timm"}, r"RandAugment\.max_magnitude: got -1, expected a number in"),
    (ae.RandAugment, {"num_ops": -1}, r"RandAugment\.num_ops: got -1, expected a whole number 0 … 64"),
    (ae.RandAugment, {"num_ops": 1.5}, r"RandAugment\.num_ops: got 1\.5, expected a whole number"),
    (ae.RandAugment, {"num_magnitude_bins": 1}, r"num_magnitude_bins: got 1, expected a whole number 2 …"),
    (ae.RandAugment, {"p": 1.1}, r"RandAugment\.p: got 1\.1, expected a number in \[0, 1\]"),
    (ae.RandAugment, {"magnitude_std": -1}, r"RandAugment\.magnitude_std: got -1"),
    (ae.AugMix, {"severity": 0}, r"AugMix\.severity: got 0, expected (a whole number )?1 … 10"),
    (ae.AugMix, {"severity": 11, "dialect": "timm"}, r"AugMix\.severity: got 11, expected 1 … 10 in the dialect timm"),
    (ae.AugMix, {"severity": 2.5}, r"AugMix\.severity: got 2\.5, expected a whole number"),
    (ae.AugMix, {"mixture_width": 0}, r"AugMix\.mixture_width: got 0, expected a whole number 1 …"),
    (ae.AugMix, {"chain_depth": 0}, r"AugMix\.chain_depth: got 0, expected a whole number 1 …"),
    (ae.AugMix, {"alpha": 0}, r"AugMix\.alpha: got 0, expected a number in"),
    (ae.TrivialAugmentWide, {"num_magnitude_bins": 1}, r"TrivialAugmentWide\.num_magnitude_bins: got 1"),
    (ae.ThreeAugment, {"threshold": -1}, r"ThreeAugment\.threshold: got -1, expected a number"),
    (ae.UniformAugment, {"num_ops": -1}, r"UniformAugment\.num_ops: got -1"),
    (ae.FixMatchAugment, {"num_ops": -1}, r"FixMatchAugment\.num_ops: got -1"),
    # names
    *[
        (op, {"dialect": "tim"}, rf"{op.__name__}\.dialect: got 'tim', expected one of torchvision, timm\. Pass one")
        for op in (ae.RandAugment, ae.AutoAugment, ae.AugMix)
    ],
    (ae.AutoAugment, {"policy": "cifar"}, r"AutoAugment\.policy: got 'cifar', expected one of imagenet, cifar10, svhn in the dialect torchvision"),
    (ae.AutoAugment, {"policy": "v0"}, r"got 'v0', expected one of imagenet, cifar10, svhn in the dialect torchvision"),
    (ae.AutoAugment, {"dialect": "timm"}, r"got 'imagenet', expected one of original, originalr, v0, v0r in the dialect timm"),
    (ae.RandAugment, {"weights": {"Rotation": 1}}, r"RandAugment\.weights: got 'Rotation', expected operations of the dialect torchvision .* The nearest is 'Rotate'"),
    (ae.RandAugment, {"weights": {"SolarizeAdd": 1}}, r"got 'SolarizeAdd', expected operations of the dialect torchvision .* The nearest is 'Solarize'"),
    (ae.RandAugment, {"weights": {"TranslateX": 1}, "dialect": "timm"}, r"got 'TranslateX', .* timm .* The nearest is 'TranslateXRel'"),
    (ae.RandAugment, {"weights": {"Rotate": 0}}, r"RandAugment\.weights: got no weight above 0"),
    (ae.RandAugment, {"weights": {"Rotate": -1}}, r"RandAugment\.weights: got -1"),
    (ae.RandAugment, {"weights": {"Rotate": 1}}, r"RandAugment\.num_ops: got 2 of 1 weighted operations, which are drawn without replacement"),
    (ae.RandAugment, {"choices": "3b", "dialect": "timm"}, r"RandAugment\.choices: got '3b', expected '3a', '3aw' or 'weights'"),
    (ae.RandAugment, {"interpolation": "lanczos"}, r"RandAugment: got 'lanczos', expected 'bilinear', 'bicubic' or 'nearest'"),
    (ae.RandAugment, {"fill": -1}, r"RandAugment\.fill: got -1, expected a number in \[0, 65535\]"),
    # timm's with torchvision's dialect
    *[
        (ae.RandAugment, how, r"RandAugment: got increasing, choices or max_magnitude, which are timm's, with dialect='torchvision'\. Pass dialect='timm'")
        for how in ({"increasing": True}, {"choices": "3a"}, {"max_magnitude": 10})
    ],
    (ae.AugMix, {"all_ops": False, "dialect": "timm"}, r"AugMix\.all_ops: got False with dialect='timm'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "arguments", "said"), BAD, ids=lambda v: str(v) if isinstance(v, dict) else ""
)
def test_bad_arguments_say_what_would_fit(op, arguments, said):
    with pytest.raises(ValueError, match=said) as raised:
        op(**arguments)
    assert re.search(r"\. [A-Z][^.]*[.)]", str(raised.value)), "says what to do"


def test_colours_need_rgb():
    with pytest.raises(ValueError, match=r"needs RGB or grey, the images have 2 channel"):
        sampled(ae.RandAugment(), 64, SIZE, channels=2)


def test_saturation_leaves_grey_as_torchvision_does():
    """torchvision's adjust_saturation gives a grey image back, and so does PIL's Color."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (64, 1, 9, 11), np.uint8))
    engine = ae.Engine(ae.RandAugment(1, 30), dtype=torch.uint8)
    batch = engine(images, ids=range(64))
    drew = [i for i in range(64) if "saturation" in batch.plan.explain(i)]
    assert drew
    for i in drew:
        assert torch.equal(batch.images[i], functional.adjust_saturation(images[i], 1.9))
