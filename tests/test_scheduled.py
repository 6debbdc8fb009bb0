"""Schedules: ops on in some epochs, with a probability and a strength that follow the epoch."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import logged
from photos import patches
from scipy import stats
from test_policy import plan_of

import augengine as ae
from augengine.plan.kinds import NO_VIEW

N = 4000
TURN, FLIP = ae.RandomRotation((10, 30)), ae.RandomHorizontalFlip(0.3)


def bits(plan):
    """A plan without the name of its policy, which alone may differ."""
    return dataclasses.replace(plan, policy="").to_bytes()


def share(plan):
    """Of the outputs that are turned."""
    return np.mean([len(logged(plan, v, "rotated")) > 0 for v in range(len(plan))])


@pytest.mark.parametrize(("start", "stop"), [(0, None), (2, None), (0, 3), (2, 3), (1, 4)], ids=str)
def test_where_it_is_on_the_plan_is_the_policys_without_it(start, stop):
    """And where it is off, that of the policy whose op never happens: no other draw moves."""
    for wrapped in (
        [ae.GaussianBlur(3), ae.RandomGrayscale(0.5)],
        [ae.RandomGamma((0.5, 2)), ae.RandomSolarize(100)],
    ):
        rest = [ae.ColorJitter(0.3), ae.MixUp(), ae.RandomErasing()]
        ops = [FLIP, ae.Scheduled(wrapped, start, stop), *rest]
        on = [FLIP, *wrapped, *rest]
        off = [FLIP, *(dataclasses.replace(op, p=0) for op in wrapped), *rest]
        for epoch in range(6):
            happens = start <= epoch and (stop is None or epoch < stop)
            expected = plan_of(on if happens else off, epoch=epoch)
            assert bits(plan_of(ops, epoch=epoch)) == bits(expected)


@pytest.mark.parametrize("mix", [ae.MixUp(), ae.CutMix(), ae.MixUpOrCutMix(), ae.Mosaic()], ids=str)
def test_a_mix_that_is_off_leaves_everything_else(mix):
    before, behind = [ae.RandomRotation(9), ae.ColorJitter(0.2)], [ae.RandomErasing()]
    policy = ae.Policy([*before, ae.Scheduled(mix, stop=3), *behind])
    assert policy.mixes
    for epoch in (2, 3):
        plan = plan_of(policy, n=200, epoch=epoch)
        with_it = plan_of([*before, mix, *behind], n=200, epoch=epoch)
        if epoch < 3:
            assert bits(plan) == bits(with_it)
            continue
        assert (plan.view[:, 0] == np.arange(200)).all()
        for v in range(200):  # views beyond those are a mosaic's tiles
            erased = [logged(p, v, "erased") for p in (plan, with_it)]
            np.testing.assert_array_equal(*erased)
        for name in ("inv_matrix", "step_arg", "step_kind"):
            np.testing.assert_array_equal(getattr(plan, name)[:200], getattr(with_it, name)[:200])


def test_a_ramp_of_p_is_how_often():
    p = ae.Ramp([(0, 0.0), (10, 0.8), (12, 0.8), (16, 0.0)])
    op = ae.Scheduled(TURN, p=p)
    for epoch, expected in ((0, 0), (1, 0.08), (5, 0.4), (10, 0.8), (11, 0.8), (14, 0.4), (16, 0)):
        count = round(N * share(plan_of(op, n=N, epoch=epoch)))
        if expected in (0, 1):
            assert count == N * expected
        else:
            assert stats.binomtest(count, N, expected).pvalue > 1e-3


def test_a_ramp_of_magnitude_is_how_strongly():
    """The same draws, pulled towards nothing; times the strength of each sample."""
    op = ae.Scheduled(TURN, magnitude=[(0, 0.0), (10, 1.0)])
    for epoch in (0, 3, 10):
        plan, whole = plan_of([op, FLIP], epoch=epoch), plan_of([TURN, FLIP], epoch=epoch)
        angle, most = (
            np.array([logged(p, v, "rotated")[0][0] for v in range(8)]) for p in (plan, whole)
        )
        np.testing.assert_allclose(angle, epoch / 10 * most, rtol=1e-5, atol=1e-6)
        half = plan_of([op, FLIP], epoch=epoch, strength=0.5)
        np.testing.assert_allclose(
            [logged(half, v, "rotated")[0][0] for v in range(8)], angle / 2, rtol=1e-5, atol=1e-6
        )
    behind = plan_of([ae.Scheduled(FLIP, magnitude=0.1), TURN])
    plain = plan_of([FLIP, TURN])
    np.testing.assert_array_equal(behind.inv_matrix, plain.inv_matrix)  # it ends with its ops


def test_a_uniform_magnitude_is_another_for_each_sample_and_epoch():
    """The same draws, each pulled by a number of [0, 1] that goes by the sample and the epoch alone."""
    op, shares = ae.Scheduled(ae.RandomRotation((30, 30)), magnitude="uniform"), []
    for epoch in (0, 1):
        plan = plan_of([op, FLIP], n=N, epoch=epoch)
        whole = plan_of([ae.RandomRotation((30, 30)), FLIP], n=N, epoch=epoch)
        angle, most = (
            np.array([logged(p, v, "rotated")[0][0] for v in range(N)]) for p in (plan, whole)
        )
        shares.append(angle / most)
        assert stats.kstest(shares[-1], "uniform").pvalue > 1e-3
        few = plan_of([op, FLIP], n=8, epoch=epoch)
        assert [logged(few, v, "rotated")[0][0] for v in range(8)] == angle[:8].tolist()
    assert abs(np.corrcoef(*shares)[0, 1]) < 0.06
    assert not ae.Policy(op).needs_epoch
    assert ae.Policy.from_yaml(ae.Policy(op).to_yaml()) == ae.Policy(op)
    assert eval(repr(op), vars(ae)) == op
    # Beside a probability each has a draw of its own.
    half = plan_of(ae.Scheduled(ae.RandomRotation((30, 30)), p=0.5, magnitude="uniform"), n=N)
    turned = [abs(found[0][0]) for v in range(N) if (found := logged(half, v, "rotated"))]
    assert stats.binomtest(len(turned), N, 0.5).pvalue > 1e-3
    assert stats.kstest(np.array(turned) / 30, "uniform").pvalue > 1e-3


def test_schedules_inside_each_other_draw_by_themselves():
    inner = ae.Scheduled(TURN, p=0.5)
    for outer in (inner, ae.Scheduled(inner, p=0.5), ae.Scheduled([ae.Scheduled(inner)], p=0.5)):
        expected = 0.5 if outer is inner else 0.25
        count = round(N * share(plan_of(outer, n=N)))
        assert stats.binomtest(count, N, expected).pvalue > 1e-3
    beside = [ae.Scheduled(TURN, p=0.5), ae.Scheduled(ae.RandomVerticalFlip(1), p=0.5)]
    plan = plan_of(beside, n=N)
    words = [plan.explain(v) for v in range(N)]
    both = sum("rotated" in text and "flip" in text for text in words)
    assert stats.binomtest(both, N, 0.25).pvalue > 1e-3


def test_mixes_by_a_ramp():
    """Step-aware MixUp: more of it, and then none."""
    mixup = ae.Scheduled(ae.MixUp(p=1), stop=8, p=[(0, 0.0), (4, 1.0)])
    plans = [plan_of(mixup, n=N, epoch=epoch) for epoch in (0, 2, 8)]
    before, half, after = ((plan.view[:, 1:] != NO_VIEW).any(axis=1).sum() for plan in plans)
    assert before == after == 0
    assert stats.binomtest(int(half), N, 0.5).pvalue > 1e-3


def test_without_mixes_from():
    policy = ae.Policy(
        [
            ae.Resize((16, 16)),
            ae.RandomRotation(9),
            ae.RandomApply([ae.Mosaic(p=1)], 0.7),
            ae.OneOf([ae.CutMix(), ae.MixUp()]),
            ae.RandomErasing(),
            ae.Normalize((0.5,), (0.5,)),
        ]
    )
    ended = policy.without_mixes_from(285)
    assert ended.needs_epoch
    assert ended.mixes
    assert ae.Policy.from_yaml(ended.to_yaml()) == ended
    for epoch in (0, 284):
        assert bits(plan_of(ended, n=64, epoch=epoch)) == bits(plan_of(policy, n=64, epoch=epoch))
    for epoch in (285, 299):
        plan = plan_of(ended, n=64, epoch=epoch)
        assert not (plan.view[:, 1:] >= 0).any()
        assert (plan.view[:, 1:] != NO_VIEW).any()  # RandomErasing goes on
        mixed = plan_of(policy, n=64, epoch=epoch)
        np.testing.assert_array_equal(plan.inv_matrix[:64], mixed.inv_matrix[:64])
    plain = ae.Policy([ae.RandomRotation(9)])
    assert plain.without_mixes_from(3) == plain


def test_presets_end_their_mixes():
    policy = ae.presets.deit3(16).without_mixes_from(90)
    sizes = [(20, 24)] * 32
    mixed = [
        bool((policy.sample(range(32), sizes, epoch=epoch).weight[:, 1:] > 0).any())
        for epoch in (0, 89, 90, 99)
    ]
    assert mixed == [True, True, False, False]


def test_a_stage_is_on_from_an_epoch_and_off_at_another():
    """Off, it moves nothing: targets follow, and the plan does not name it. Others draw as before."""
    noise = ae.Stage(lambda images: images + torch.rand_like(images))
    half = ae.Stage(torch.nn.AvgPool2d(2), start=2, stop=4)
    images = patches(2, 8, 8)
    engine = ae.Engine([ae.RandomHorizontalFlip(), half, noise])
    alone = ae.Engine([ae.RandomHorizontalFlip(), ae.Stage(torch.nn.Identity()), noise])
    target = [{"boxes": torch.tensor([[1.0, 1, 5, 5]])}] * 2
    bare = ae.Engine([ae.RandomHorizontalFlip(), half])
    for epoch in range(6):
        on = 2 <= epoch < 4
        batch = engine(images, ids=[0, 1], epoch=epoch)
        assert batch.images.shape[-1] == (4 if on else 8)
        assert ("AvgPool2d" in batch.plan.explain(0)) == ("AvgPool2d" in batch.plan.after) == on
        if on:
            with pytest.raises(ValueError, match="go through a Stage, AvgPool2d"):
                bare(images, ids=[0, 1], epoch=epoch, targets=target)
        else:
            same = alone(images, ids=[0, 1], epoch=epoch)
            assert torch.equal(batch.images, same.images)
            assert len(bare(images, ids=[0, 1], epoch=epoch, targets=target).targets) == 2
    policy = ae.Policy(half)
    assert policy.needs_epoch
    assert policy.fingerprint != ae.Policy(dataclasses.replace(half, stop=5)).fingerprint
    with pytest.raises(
        ValueError, match="Stage: got start 3 and stop 3, expected stop above start"
    ):
        ae.Stage(torch.nn.Identity(), start=3, stop=3)


def test_what_follows_the_epoch_needs_one():
    assert not ae.Policy(ae.Scheduled(TURN, p=0.5, magnitude=0.5)).needs_epoch
    for how in ({"start": 1}, {"stop": 9}, {"p": [(0, 1)]}, {"magnitude": ae.Ramp([(0, 1)])}):
        policy = ae.Policy(ae.Scheduled(TURN, **how))
        assert policy.needs_epoch
        assert policy.draws
        engine = ae.Engine(policy)
        with pytest.raises(ValueError, match="ops that follow the epoch, and no epoch"):
            engine.check_epoch("Collate")


def test_ramps_are_read_back():
    op = ae.Scheduled([TURN, ae.MixUp()], 2, 9, ae.Ramp([(0, 0), (3.5, 1)]), [(0, 1), (9, 0.25)])
    assert eval(repr(op), vars(ae)) == op
    assert ae.Policy.from_yaml(ae.Policy(op).to_yaml()) == ae.Policy(op)
    assert op == dataclasses.replace(op)
    assert ae.Policy(op).fingerprint != ae.Policy(dataclasses.replace(op, p=1)).fingerprint


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"start": 3, "stop": 3}, r"Scheduled: got start 3 and stop 3, expected stop above start"),
        ({"p": 1.5}, r"Scheduled\.p: got 1\.5"),
        ({"p": [(3, 0), (1, 1)]}, r"Scheduled\.p: Ramp: epochs: .*reversed"),
        ({"magnitude": [(0, 2)]}, r"Scheduled\.magnitude: Ramp: strength: got 2"),
        ({"magnitude": ()}, r"Scheduled\.magnitude: Ramp\.points: got none"),
        ({"magnitude": "some"}, r"Scheduled\.magnitude: got 'some', expected a number in \[0, 1\]"),
    ],
)
def test_impossible_schedules(how, said):
    with pytest.raises(ValueError, match=said):
        ae.Scheduled(TURN, **how)


def test_impossible_ends():
    with pytest.raises(ValueError, match=r"Policy\.without_mixes_from: epoch: got 0"):
        ae.Policy([ae.CutMix()]).without_mixes_from(0)


def test_nothing_is_compiled_for_another_epoch():
    from augengine.kernels.cpu.cache import load_kernels

    images = patches(4, 33, 41)
    engine = ae.Engine([ae.Scheduled([ae.RandomAffine(20), ae.MixUp()], p=[(0, 0), (9, 1)])])
    engine(images, ids=range(4), epoch=5)
    signatures = len(load_kernels().draw.signatures)
    for epoch in (0, 3, 9):
        engine(images, ids=range(4), epoch=epoch)
    assert len(load_kernels().draw.signatures) == signatures
