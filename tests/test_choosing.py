"""Ops made of ops: which of them happen to a sample, how often, how strongly, and in which order."""

import numpy as np
import pytest
from scipy import stats
from test_policy import OPS, at_the_top, plan_of

import augengine as ae
from augengine.plan.kinds import MATRIX, NO_VIEW

SURE = 1e-3  # of a fixed sample: a p-value below it is a wrong distribution, not bad luck

N = 20_000
# After these frames differ, so that an op which sets one size must follow.
OF_RANDOM_SIZE = (
    ae.RandomShortestSize,
    ae.RandomResize,
    ae.ScaleJitter,
    ae.RandomZoomOut,
    ae.RandomIoUCrop,
)


def chosen(plan):
    """Which of the three marked alternatives each output took."""
    return np.array([words[:4] for words in map(plan.explain, range(len(plan)))])


THREE = [ae.RandomRotation((1, 2)), ae.RandomBrightness((0.1, 0.2)), ae.RandomVerticalFlip(1)]
MARKS = ["rota", "brig", "flip"]


@pytest.mark.parametrize("weights", [None, (1, 2, 5), (1, 0, 1), (0, 0, 1e-9)])
def test_one_of_chooses_by_its_weights(weights):
    took = chosen(plan_of(ae.OneOf(THREE, weights), n=N))
    counts = np.array([np.count_nonzero(took == mark) for mark in MARKS])
    assert counts.sum() == N  # one, and only one
    expected = N * np.array(weights or (1, 1, 1)) / sum(weights or (1, 1, 1))
    assert not counts[expected == 0].any()
    some = expected > 0
    if some.sum() > 1:
        assert stats.chisquare(counts[some], expected[some]).pvalue > SURE


def test_one_of_applies_only_one():
    plan = plan_of(ae.OneOf(THREE), n=300)
    assert all("," not in plan.explain(i) for i in range(300))


@pytest.mark.parametrize("p", [0.3, 0.8])
def test_random_apply_applies_all_or_none(p):
    pair = [ae.RandomBrightness((0.1, 0.2)), ae.RandomVerticalFlip(1)]
    plan = plan_of(ae.RandomApply(pair, p), n=N)
    bright, flipped = plan.step_kind[:, 0] == MATRIX, plan.inv_matrix[:, 1, 1] < 0
    np.testing.assert_array_equal(bright, flipped)
    assert stats.binomtest(int(bright.sum()), N, p).pvalue > SURE


@pytest.mark.parametrize("p", [0, 1])
@pytest.mark.parametrize(
    "wrapped",
    [op for op in OPS if not at_the_top(op)],
    ids=lambda op: type(op).__name__,
)
def test_random_apply_of_p_0_and_1(wrapped, p):
    size = (48, 48)
    if getattr(wrapped, "expand", False) or isinstance(wrapped, OF_RANDOM_SIZE):
        wrapped = ae.Compose([wrapped, ae.Resize((48, 48))])
    plan = plan_of(ae.RandomApply([wrapped], p), size=size)
    if p == 0:
        np.testing.assert_array_equal(plan.inv_matrix, np.tile(np.eye(3), (8, 1, 1)))
        assert not plan.step_kind.any()
        assert (plan.view[:, 1:] == NO_VIEW).all()
        assert {plan.explain(i) for i in range(8)} == {"unchanged"}
    else:
        assert plan.finish.size == plan_of(wrapped, size=size).finish.size


def test_during_epochs_happens_in_its_epochs_alone():
    """start is the first of them, stop the first after them."""
    flip, turn = ae.RandomVerticalFlip(1), ae.RandomBrightness((0.1, 0.2))
    for start, stop in ((0, None), (2, None), (0, 3), (2, 3), (1, 4)):
        policy = ae.DuringEpochs([flip, turn], start, stop)
        happens = [plan_of(policy, epoch=epoch).inv_matrix[:, 1, 1] < 0 for epoch in range(6)]
        expected = [start <= epoch < (6 if stop is None else stop) for epoch in range(6)]
        np.testing.assert_array_equal(happens, np.repeat(expected, 8).reshape(6, 8))
        bright = [plan_of(policy, epoch=epoch).step_kind.any() for epoch in range(6)]
        np.testing.assert_array_equal(bright, expected)


def test_during_epochs_changes_no_other_draw():
    rest = [ae.RandomRotation(9), ae.CutMix()]
    ops = [ae.DuringEpochs([ae.RandomGrayscale(0.5)], 5), *rest]
    same = [ae.RandomApply([ae.RandomGrayscale(0.5)], 0), *rest]
    for name in ("inv_matrix", "box", "view"):
        np.testing.assert_array_equal(
            getattr(plan_of(ops), name), getattr(plan_of(same), name), strict=True
        )


def test_a_policy_with_epochs_mixes_and_depends_on_the_epoch():
    """Also where the first epoch leaves nothing to chance: what is not drawn is kept for all epochs."""
    resize = ae.Resize((8, 8))
    assert ae.Policy([resize, ae.DuringEpochs(ae.Mosaic(), 5)]).mixes
    assert not ae.Policy([resize, ae.DuringEpochs(ae.RandomErasing(), 5)]).mixes
    assert ae.Policy([resize, ae.DuringEpochs(ae.RandomInvert(1), 5)]).draws
    assert ae.Policy([resize, ae.DuringEpochs(ae.RandomInvert(1), 5)]).needs_epoch
    assert not ae.Policy(resize).draws
    assert not ae.Policy(resize).needs_epoch


@pytest.mark.parametrize("stop", [0, 3])
def test_epochs_that_never_come_are_refused(stop):
    with pytest.raises(ValueError, match=rf"DuringEpochs: got start 3 and stop {stop}, expected"):
        ae.DuringEpochs(ae.RandomInvert(), 3, stop)


def test_nested_probabilities_multiply():
    policy = ae.RandomApply([ae.RandomApply([ae.RandomBrightness((0.1, 0.2))], 0.5)], 0.4)
    plan = plan_of(policy, n=N)
    assert stats.binomtest(int((plan.step_kind == MATRIX).sum()), N, 0.2).pvalue > SURE
    policy = ae.OneOf([ae.OneOf(THREE, (1, 1, 2)), ae.RandomApply(ae.RandomGrayscale(1), 0.25)])
    took = chosen(plan_of(policy, n=N))
    counts = [np.count_nonzero(took == mark) for mark in (*MARKS, "grey", "unch")]
    assert sum(counts) == N
    expected = N * np.array([1, 1, 2, 1, 3]) / 8
    assert stats.chisquare(counts, expected).pvalue > SURE


def slots(plan):
    """The words of each output, in order: a SomeOf's slots."""
    return [plan.explain(i).split(", ") for i in range(len(plan))]


@pytest.mark.parametrize("num_ops", [1, 2, 3])
@pytest.mark.parametrize("replace", [True, False])
def test_some_of_takes_every_sequence_alike(num_ops, replace):
    plan = plan_of(ae.SomeOf(THREE, num_ops, replace=replace), n=N)
    taken = [tuple(word[:4] for word in words) for words in slots(plan)]
    assert {len(t) for t in taken} == {num_ops}
    count = 3**num_ops if replace else [0, 3, 6, 6][num_ops]
    found = {t: 0 for t in taken}
    for t in taken:
        found[t] += 1
    assert len(found) == count
    assert stats.chisquare(list(found.values())).pvalue > SURE
    if not replace:
        assert all(len(set(t)) == num_ops for t in found)


def test_some_of_no_ops_does_nothing():
    assert plan_of(ae.SomeOf(THREE, 0)).explain(0) == "unchanged"


def test_an_op_taken_twice_draws_twice():
    """Two slots are two places: the same op in both has independent magnitudes."""
    plan = plan_of(ae.SomeOf([ae.RandomBrightness(0.5)], 2), n=5000)
    first, second = plan.step_arg[:, 0, 3], plan.step_arg[:, 1, 3]
    assert (first != second).all()
    assert stats.pearsonr(first, second).pvalue > SURE
    counts, *_ = np.histogram2d(first, second, bins=6, range=[[-0.5, 0.5]] * 2)
    assert stats.chisquare(counts.ravel()).pvalue > SURE


def test_the_same_op_twice_in_a_policy_draws_twice():
    plan = plan_of([ae.RandomBrightness(0.5)] * 2, n=5000)
    assert stats.pearsonr(*plan.step_arg[:, :2, 3].T).pvalue > SURE


def test_a_choice_says_nothing_about_the_magnitude():
    plan = plan_of(ae.OneOf([ae.RandomRotation(30), ae.RandomGrayscale(1)]), n=N)
    turned = plan.step_kind[:, 0] == 0
    m = plan.inv_matrix[turned]
    angle = np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0]))
    assert stats.kstest(angle, "uniform", (-30, 60)).pvalue > SURE


@pytest.mark.parametrize(("magnitude", "limits"), [(0.5, (-15, 15)), (0, (0, 0)), (1, (-30, 30))])
def test_some_of_scales_magnitudes(magnitude, limits):
    m = plan_of(ae.SomeOf([ae.RandomRotation(30)], 1, magnitude), n=4000).inv_matrix
    angle = np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0]))
    low, high = limits
    if low == high:
        np.testing.assert_allclose(angle, 0, atol=1e-4)
    else:
        assert stats.kstest(angle, "uniform", (low, high - low)).pvalue > SURE


def test_some_of_draws_a_share_for_each_sample():
    m = plan_of(ae.SomeOf([ae.RandomRotation((30, 30))], 1, (0.2, 0.6)), n=4000).inv_matrix
    share = np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0])) / 30
    assert stats.kstest(share, "uniform", (0.2, 0.4)).pvalue > SURE


def test_magnitudes_of_nested_some_of_multiply_and_end_with_it():
    turn = ae.RandomRotation((40, 40))
    m = plan_of(ae.SomeOf([ae.SomeOf([turn], 1, 0.5)], 1, 0.5)).inv_matrix
    np.testing.assert_allclose(np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0])), 10, atol=1e-4)
    m = plan_of([ae.SomeOf([ae.RandomGrayscale()], 1, 0.5), turn]).inv_matrix
    np.testing.assert_allclose(np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0])), 40, atol=1e-4)


def test_compose_is_its_ops_in_order():
    """Its frames too; only the draws stand at other places."""
    fixed = [
        ae.CenterCrop(30),
        ae.RandomQuarterTurn(1),
        ae.Resize((20, 24)),
        ae.RandomVerticalFlip(1),
    ]
    apart, together = plan_of(fixed), plan_of(ae.Compose(fixed))
    np.testing.assert_array_equal(apart.inv_matrix, together.inv_matrix)
    np.testing.assert_array_equal(apart.clip, together.clip)


def test_a_mix_in_a_chooser_sees_the_others_as_they_were():
    """Whatever the partner's own choice, one takes its plain view: no order of alternatives."""
    plan = plan_of([ae.OneOf([ae.CutMix(), ae.MixUp()])], n=500)
    others = plan.view[:, 1:]
    assert ((others >= 0).sum(axis=1) == 1).all()
    np.testing.assert_allclose(plan.weight.sum(axis=1), 1, atol=1e-6)
    mixed = (plan.alpha[:, 1:] * (others >= 0)).max(axis=1) < 1
    assert 200 < mixed.sum() < 300
