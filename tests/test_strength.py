"""Magnitude is data: strength, schedules, weights; alternating flips and stratified magnitudes."""

import numpy as np
import pytest
import torch
from cases import each_executor, logged
from photos import patches
from scipy import stats
from torch.utils.data import DataLoader, Dataset

import augengine as ae
from augengine.policy import ops

IDS = np.arange(6)


def rotations(plan):
    return np.array([logged(plan, v, "rotated")[0][0] for v in range(len(plan.source))])


# What leaves every pixel at strength 0.
NEUTRAL_AT_0 = [
    ae.RandomRotation(30),
    ae.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), 10),
    ae.ColorJitter(0.5, 0.5, 0.5, 0.2),
    ae.RandomPhotometricDistort(p=1),
    ae.RandomBrightness(0.4),
    ae.RandomDesaturate(p=1),
    ae.RandomPosterize(2, p=1),
    ae.RandomSolarize(40, p=1),
    ae.RandomSolarizeAdd(p=1),
    ae.RandomGamma((0.3, 3)),
    ae.RandomEqualize(p=1),
    ae.RandomAutocontrast(p=1),
    ae.RandomInvert(p=1),
    ae.RandomGrayscale(p=1),
    ae.RandomAdjustSharpness((0, 3), p=1),
    ae.GaussianBlur(5),
    ae.GaussianNoise(0.1, 0.2),
    ae.RandomMotionBlur(5, p=1),
    ae.RandomMotionBlur(5, resample="bilinear", p=1),
    ae.RandomDefocus(p=1),
    ae.RandomPlanckianJitter(p=1),
    ae.RandomSaltAndPepperNoise(p=1),
    ae.RandomShadow(p=1),
    ae.CutMix(),
    ae.MixUp(),
    ae.Cutout(0.5),
    ae.RandomErasing(p=1),
    ae.MixUpOrCutMix(),
    ae.RandomPerspective(p=1),
    ae.RandomResizedCrop((33, 41)),
    ae.RandAugment(),
    ae.TrivialAugmentWide(),
    ae.AutoAugment(),
    ae.AugMix(),
    ae.ThreeAugment(),
    ae.UniformAugment(),
    ae.FixMatchAugment(),
    ae.RandomZoomOut(p=1),
    ae.ScaleJitter((41, 33)),
    ae.RandomIoUCrop(0.3, 0.8, sampler_options=(0.1,)),
    ae.JPEG(20),
    ae.ElasticTransform(200.0),
]
# What has no magnitude to pull: it sizes, normalises, chooses among others, or moves whole pixels,
# channels or images.
WITHOUT_MAGNITUDE = {
    *("CenterCrop", "RandomCrop", "Resize", "Normalize", "Stage"),
    *("FixedSizeCrop", "LetterBox", "Pad", "PadIfSmaller", "PadToLargest"),
    *("RandomResize", "RandomShortestSize"),
    *("Compose", "DuringEpochs", "OneOf", "RandomApply", "Scheduled", "SomeOf"),
    *("RandomChoice", "RandomOrder", "FiveCrop", "TenCrop", "Grayscale", "RGB", "Lambda"),
    *("RandomHorizontalFlip", "RandomVerticalFlip", "RandomQuarterTurn"),
    *("RandomChannelPermutation", "Mosaic"),
    *("ToImage", "PILToTensor", "ToPureTensor", "ToTensor", "ToDtype", "ConvertImageDtype"),
}


def test_every_op_is_in_a_list():
    neutral = {type(op).__name__ for op in NEUTRAL_AT_0}
    assert not neutral & WITHOUT_MAGNITUDE
    assert neutral | WITHOUT_MAGNITUDE == set(ops.__all__) - {"Op"}


@each_executor
@pytest.mark.parametrize("op", NEUTRAL_AT_0, ids=lambda op: type(op).__name__)
def test_strength_0_leaves_every_pixel(executor, op):
    images = patches(6, 33, 41)
    if isinstance(op, (ae.RandomZoomOut, ae.ScaleJitter, ae.RandomIoUCrop)):  # frames differ
        op = ae.Compose([op, ae.FixedSizeCrop((33, 41))])
    if (policy := ae.Policy(op)).needs_boxes:
        how = {"dtype": "uint8", "boxes": [[[5, 5, 30, 30]]] * 6}
        for strength in (0, 1):
            plan = policy.sample(IDS, [(33, 41)] * 6, strength=strength, **how)
            got = ae.execute(plan, images, executor=executor)
            assert torch.equal(got, images) == (strength == 0)
        return
    engine = ae.Engine(op, dtype=torch.uint8, executor=executor, strength=0)
    assert torch.equal(engine(images, ids=IDS).images, images)
    engine.strength = 1
    assert not torch.equal(engine(images, ids=IDS).images, images)


def test_strength_scales_what_is_drawn():
    engine = ae.Engine(ae.RandomRotation(30))
    whole = rotations(engine.plan([(32, 32)] * 6, IDS, 0))
    engine.strength = 0.3
    np.testing.assert_allclose(
        rotations(engine.plan([(32, 32)] * 6, IDS, 0)), 0.3 * whole, rtol=1e-5
    )
    each = [0, 0.2, 0.4, 0.6, 0.8, 1]
    plan = engine.plan([(32, 32)] * 6, IDS, 0, strength=each)
    np.testing.assert_allclose(rotations(plan), each * whole, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(plan.strength, each, rtol=1e-6)


def test_a_plan_keeps_its_strength(tmp_path):
    plan = ae.Policy(ae.RandomRotation(30)).sample(IDS, [(32, 32)] * 6, strength=0.25)
    plan.save(tmp_path / "plan")
    assert ae.Plan.load(tmp_path / "plan").strength.tolist() == [0.25] * 6


def test_schedules():
    ramp = ae.Ramp(((2, 0.0), (6, 1.0)))
    assert [ramp(e) for e in (0, 2, 3, 4, 6, 99)] == [0, 0, 0.25, 0.5, 1, 1]
    engine = ae.Engine(ae.RandomRotation(30), strength=ramp)
    assert (engine.plan([(32, 32)] * 6, IDS, 4).strength == 0.5).all()
    engine.strength = lambda epoch, ids: np.where(ids < 3, 0.1, 0.9)
    np.testing.assert_allclose(engine.plan([(32, 32)] * 6, IDS, 0).strength, [0.1] * 3 + [0.9] * 3)


class Squares(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return patches(8, 32, 32)[i], i


@pytest.mark.parametrize("workers", [0, 1])
def test_strength_reaches_workers_that_run(workers):
    collate = ae.Collate(ae.RandomRotation(30), strength=ae.Ramp(((0, 0.5), (1, 1.0))))
    loader = DataLoader(
        ae.WithIds(Squares()), 8, num_workers=workers, collate_fn=collate,
        persistent_workers=workers > 0,
    )  # fmt: skip
    strengths = []
    for epoch, strength in enumerate([None, None, 0.25]):
        collate.set_epoch(epoch)
        collate.set_strength(strength)
        strengths.append(next(iter(loader)).plan.strength[0])
    assert strengths == [0.5, 1.0, 0.25]


def test_nothing_is_compiled_for_another_strength():
    from augengine.kernels.cpu.cache import load_kernels

    images, engine = patches(6, 33, 41), ae.Engine([ae.RandomAffine(20), ae.RandAugment()])
    engine(images, ids=IDS)
    draw = load_kernels().draw
    before = len(draw.signatures)
    for strength in (0.1, 0.6):
        engine.strength = strength
        engine(images, ids=IDS, epoch=1)
    assert len(draw.signatures) == before


@pytest.mark.parametrize("strength", [-0.1, 1.1, np.nan])
def test_impossible_strengths(strength):
    with pytest.raises(ValueError, match=r"Engine: strength: got"):
        ae.Engine(ae.RandomRotation(30), strength=strength)
    with pytest.raises(ValueError, match=r"Collate: strength: got|got a strength"):
        ae.Collate(ae.RandomRotation(30)).set_strength(strength)


def test_impossible_ramps():
    for points, said in [
        ((), "got none"),
        ((1, 2), r"expected \(epoch, strength\)"),
        (((3, 0), (1, 1)), "reversed"),
        (((0, 2),), "strength: got 2"),
    ]:
        with pytest.raises(ValueError, match=rf"Ramp.*{said}"):
            ae.Ramp(points)


# Weights are data


def test_weights_of_one_policy():
    only = ae.RandAugment(1, weights={"Rotate": 3, "Equalize": 1})
    plan = ae.Policy(only).sample(np.arange(4000), np.tile((32, 32), (4000, 1)))
    text = np.array(plan.log_text)[plan.log_op[:, 0]]
    turned = int(np.char.startswith(text, "rotated").sum())
    assert stats.binomtest(turned, 4000, 0.75).pvalue > 1e-3


# Derandomised


def flips(op, n, epochs):
    policy = ae.Policy(op)
    drawn = []
    for epoch in range(epochs):
        plan = policy.sample(np.arange(n), np.tile((8, 8), (n, 1)), epoch=epoch)
        drawn.append(plan.inv_matrix[:, 0, 0] * plan.inv_matrix[:, 1, 1] < 0)
    return np.array(drawn)


@pytest.mark.parametrize("flip", [ae.RandomHorizontalFlip, ae.RandomVerticalFlip])
def test_alternating_flips(flip):
    drawn = flips(flip(alternate=True), 2000, 6)
    assert (drawn[1:] != drawn[:-1]).all()
    assert stats.binomtest(int(drawn[0].sum()), 2000, 0.5).pvalue > 1e-3


def test_alternating_with_another_p():
    drawn = flips(ae.RandomHorizontalFlip(0.3, alternate=True), 1000, 20)
    for n in range(1, 21):
        assert np.abs(drawn[:n].sum(axis=0) - 0.3 * n).max() <= 1
    assert stats.binomtest(int(drawn[0].sum()), 1000, 0.3).pvalue > 1e-3
    assert not flips(ae.RandomHorizontalFlip(0, alternate=True), 50, 3).any()
    assert flips(ae.RandomHorizontalFlip(1, alternate=True), 50, 3).all()


def test_chance_does_not_alternate():
    drawn = flips(ae.RandomHorizontalFlip(), 2000, 2)
    assert 800 < (drawn[0] != drawn[1]).sum() < 1200


def angles(stratify, epochs, n=200):
    policy = ae.Policy(ae.RandomRotation((0, 1), stratify=stratify))
    sizes = np.tile((8, 8), (n, 1))
    return np.array([rotations(policy.sample(np.arange(n), sizes, epoch=e)) for e in range(epochs)])


def test_stratified_magnitudes_cover_their_range():
    spread, chance = angles(True, 16), angles(False, 16)

    def widest_gap(values):
        inner = np.diff(np.sort(values, axis=0), axis=0).max(axis=0)
        return np.maximum(inner, np.maximum(values.min(axis=0), 1 - values.max(axis=0)))

    # Three-distance theorem: no gap among 16 golden steps is wider than 0.15.
    assert widest_gap(spread).max() < 0.15
    assert np.median(widest_gap(chance)) > 0.15
    for epoch in range(16):
        assert stats.kstest(spread[epoch], "uniform").pvalue > 1e-4


def test_stratify_reaches_the_ops_inside_and_no_others():
    inside = ae.Compose([ae.RandomRotation((0, 1))], stratify=True)
    sizes = np.tile((8, 8), (50, 1))
    for epoch in (0, 7):
        got = rotations(ae.Policy(inside).sample(np.arange(50), sizes, epoch=epoch))
        # The place of the inner op is 1: behind another op of one place.
        beside = ae.Policy([ae.RandomHorizontalFlip(0), ae.RandomRotation((0, 1), stratify=True)])
        wanted = rotations(beside.sample(np.arange(50), sizes, epoch=epoch))
        np.testing.assert_array_equal(got, wanted)
    plain = ae.Policy([ae.RandomHorizontalFlip(stratify=True), ae.RandomRotation((0, 1))])
    other = ae.Policy([ae.RandomHorizontalFlip(), ae.RandomRotation((0, 1))])
    a, b = (rotations(p.sample(np.arange(50), sizes, epoch=3)) for p in (plain, other))
    np.testing.assert_array_equal(a, b)


def test_stratify_is_part_of_the_policys_name():
    a, b = (ae.Policy(ae.RandomRotation(9, stratify=s)) for s in (False, True))
    assert a.fingerprint != b.fingerprint
    assert ae.Policy.from_yaml(b.to_yaml()) == b
