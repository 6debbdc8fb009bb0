"""Ops draw what their documentation says: the distributions, against torchvision's own where it
has the op. Everything is read from plans; no pixel is drawn."""

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

import augengine as ae
from augengine.plan.kinds import HUE, MATRIX, MEAN, NO_VIEW, PLAIN_COLOUR
from augengine.policy import geometry

SURE = 1e-3  # of a fixed sample: a p-value below it is a wrong distribution, not bad luck
N = 4000


def plan_of(policy, n=N, size=(400, 500), **kwargs):
    return ae.Policy(policy).sample(np.arange(n), np.tile(size, (n, 1)), **kwargs)


def uniform_whole(values, low, high):
    """p-value of whole numbers being uniform over [low, high], both ends included."""
    counts = np.bincount(np.round(values - low).astype(int), minlength=high - low + 1)
    assert len(counts) == high - low + 1
    return stats.chisquare(counts).pvalue


def crop_boxes(plan):
    """top, left, height, width of the source that each view shows, from its matrix alone."""
    height, width = plan.finish.size
    m = plan.inv_matrix.astype(float)
    return m[:, 1, 2], m[:, 0, 2], m[:, 1, 1] * height, m[:, 0, 0] * width


def layer_boxes(plan, k=1):
    """y0, x0, y1, x1 of layer k, and which outputs have one."""
    there = plan.view[:, k] != NO_VIEW
    return plan.box[there, k].astype(float).T, there


# Sizing


@pytest.mark.parametrize(
    ("size", "scale", "ratio"),
    [
        ((900, 1000), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((1000, 300), (0.2, 0.9), (0.5, 2.0)),  # many tries miss
        ((500, 600), (0.05, 0.14), (1.0, 1.0)),
    ],
)
def test_resized_crop_is_distributed_as_torchvisions(size, scale, ratio):
    from torchvision.transforms import v2

    plan = plan_of(ae.RandomResizedCrop(224, scale, ratio), size=size)
    ours = np.stack(crop_boxes(plan), axis=1)

    torch.manual_seed(0)
    peer = v2.RandomResizedCrop(224, scale, ratio)
    empty = [torch.empty(3, *size, device="meta")]
    drawn = [peer.make_params(empty) for _ in range(N)]
    theirs = np.array([[d["top"], d["left"], d["height"], d["width"]] for d in drawn], float)

    for measure in (
        lambda b: b[:, 2] * b[:, 3],
        lambda b: np.log(b[:, 3] / b[:, 2]),
        lambda b: b[:, 0],
        lambda b: b[:, 1],
    ):
        assert stats.ks_2samp(measure(ours.round(3)), measure(theirs)).pvalue > SURE


def test_resized_crop_offsets_are_uniform_where_the_crop_fits():
    top, left, height, width = crop_boxes(plan_of(ae.RandomResizedCrop(64, (0.1, 0.5))))
    for at, most in ((top, 400 - height), (left, 500 - width)):
        most = np.round(most)
        # Spread each whole number over its own share of [0, 1].
        inside = (np.round(at) + np.random.default_rng(0).random(N)) / (most + 1)
        assert stats.kstest(inside, "uniform").pvalue > SURE


@pytest.mark.parametrize(("size", "shown"), [((400, 10), (13, 10)), ((10, 400), (10, 13))])
def test_resized_crop_falls_back_to_the_centre(size, shown):
    """An image too narrow for any try gives the centre crop of the nearest ratio."""
    plan = plan_of(ae.RandomResizedCrop(8, scale=(0.9, 1.0)), n=50, size=size)
    top, left, height, width = (np.round(v).astype(int) for v in crop_boxes(plan))
    assert set(zip(height, width, strict=True)) == {shown}
    assert set(top) == {(size[0] - shown[0]) // 2}
    assert set(left) == {(size[1] - shown[1]) // 2}


def test_random_crop_offsets_are_uniform_over_the_padded_image():
    plan = plan_of(ae.RandomCrop((100, 120), padding=(3, 5)))  # left and right 3, top and bottom 5
    top, left, height, width = crop_boxes(plan)
    assert set(height) == {100}
    assert set(width) == {120}
    assert uniform_whole(top, -5, 400 + 5 - 100) > SURE
    assert uniform_whole(left, -3, 500 + 3 - 120) > SURE


# Geometry


@pytest.mark.parametrize("flip", [ae.RandomHorizontalFlip, ae.RandomVerticalFlip])
@pytest.mark.parametrize("p", [0.5, 0.1])
def test_flips_happen_with_probability_p(flip, p):
    plan = plan_of(flip(p))
    flipped = (plan.inv_matrix[:, [0, 1], [0, 1]] < 0).any(axis=1)
    assert stats.binomtest(int(flipped.sum()), N, p).pvalue > SURE


@pytest.mark.parametrize("turns", [(0, 1, 2, 3), (1, 3), 2])
def test_quarter_turns_are_equally_likely(turns):
    plan = plan_of(ae.RandomQuarterTurn(turns), size=(50, 50))
    cos, sin = plan.inv_matrix[:, 0, 0], plan.inv_matrix[:, 1, 0]
    turn = np.round(np.degrees(np.arctan2(sin, cos)) / 90).astype(int) % 4
    allowed = (turns,) if isinstance(turns, int) else turns
    assert set(turn) == set(allowed)
    if len(allowed) > 1:
        assert stats.chisquare(np.bincount(turn, minlength=4)[list(allowed)]).pvalue > SURE


def angles(plan):
    """Counter-clockwise as seen, from the matrix alone."""
    m = plan.inv_matrix.astype(float)
    return np.degrees(np.arctan2(m[:, 1, 0], m[:, 0, 0]))


@pytest.mark.parametrize(("degrees", "limits"), [(30, (-30, 30)), ((10, 25), (10, 25))])
def test_rotation_angles_are_uniform_within_their_limits(degrees, limits):
    low, high = limits
    drawn = angles(plan_of(ae.RandomRotation(degrees)))
    assert low - 1e-4 <= drawn.min() < drawn.max() <= high + 1e-4
    assert stats.kstest(drawn, "uniform", (low, high - low)).pvalue > SURE


def test_rotation_signs_are_symmetric():
    drawn = angles(plan_of(ae.RandomRotation(20)))
    assert stats.binomtest(int((drawn > 0).sum()), N).pvalue > SURE
    assert stats.ks_2samp(drawn, -drawn).pvalue > SURE


def test_affine_turns_clockwise_as_torchvisions():
    drawn = angles(plan_of(ae.RandomAffine((10, 20))))
    assert stats.kstest(-drawn, "uniform", (10, 10)).pvalue > SURE


def test_affine_scale_shear_and_shift_are_uniform():
    plan = plan_of(ae.RandomAffine(0, translate=(0.2, 0.1), scale=(0.5, 1.5), center=(0, 0)))
    m = plan.inv_matrix.astype(float)
    scale = 1 / m[:, 0, 0]
    assert stats.kstest(scale, "uniform", (0.5, 1.0)).pvalue > SURE
    # inv = scale⁻¹ · shift⁻¹, and the shift is whole pixels: ±20 % of 500, ±10 % of 400.
    for column, most in ((0, 100), (1, 40)):
        shift = -m[:, column, 2] * scale
        np.testing.assert_allclose(shift, np.round(shift), atol=1e-2)
        shift = np.round(shift) + np.random.default_rng(0).uniform(-0.5, 0.5, N)
        inner = shift[np.abs(shift) < most - 0.5]  # the two ends take half a share
        assert np.abs(shift).max() <= most + 0.5
        assert stats.kstest(inner, "uniform", (-(most - 0.5), 2 * most - 1)).pvalue > SURE

    plan = plan_of(ae.RandomAffine(0, shear=(-10, 5, 0, 20), center=(0, 0)))
    m = plan.inv_matrix.astype(float)
    # inv_x @ inv_y = [[1 + tan sx · tan sy, tan sx], [tan sy, 1]]
    shear_x = np.degrees(np.arctan(m[:, 0, 1]))
    shear_y = np.degrees(np.arctan(m[:, 1, 0]))
    assert stats.kstest(shear_x, "uniform", (-10, 15)).pvalue > SURE
    assert stats.kstest(shear_y, "uniform", (0, 20)).pvalue > SURE


def test_affine_parameters_are_independent():
    plan = plan_of(ae.RandomAffine(10, scale=(0.5, 1.5), center=(0, 0)))
    m = plan.inv_matrix.astype(float)
    scale = 1 / np.hypot(m[:, 0, 0], m[:, 1, 0])
    assert stats.pearsonr(angles(plan), scale).pvalue > SURE


@pytest.mark.parametrize("distortion", [0.0, 0.3, 1.0])
def test_perspective_corners_are_pulled_in_within_bounds(distortion):
    h, w = 101, 150
    plan = plan_of(ae.RandomPerspective(distortion, p=1), size=(h, w))
    forward = np.linalg.inv(plan.inv_matrix.astype(float))
    corners = np.array([[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]], float)
    moved = geometry.apply(forward, np.tile(corners, (N, 1, 1)))
    pull = np.abs(moved - corners)
    toward = (moved - corners) * np.sign(np.array([w, h]) / 2 - corners)
    assert toward.min() > -1e-2  # inwards
    for axis, half in ((0, w // 2), (1, h // 2)):
        most = int(distortion * half)
        assert pull[..., axis].max() <= most + 0.05
        for corner in range(4):
            whole = np.round(pull[:, corner, axis])
            np.testing.assert_allclose(pull[:, corner, axis], whole, atol=0.05)
            if most:
                assert uniform_whole(whole, 0, most) > SURE


def test_perspective_happens_with_probability_p():
    plan = plan_of(ae.RandomPerspective(0.5, p=0.3))
    same = (plan.inv_matrix == np.eye(3)).all(axis=(1, 2))
    # A corner set without any pull is one in (100·125)⁴.
    assert stats.binomtest(int((~same).sum()), N, 0.3).pvalue > SURE


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (3, 3), (5, 5)])
def test_perspective_where_corners_fall_together(size):
    """Small images at the strongest pull have no map, or one through infinity: the plan is finite
    all the same, what follows can take its bounds, and the others in the batch keep their bits."""
    policy = [ae.RandomPerspective(1.0, p=1), ae.ColorJitter(contrast=0.5), ae.CenterCrop(2)]
    plan = plan_of(policy, n=2000, size=size)
    for i in range(0, 2000, 400):
        alone = ae.Policy(policy).sample([i], [size])
        np.testing.assert_array_equal(alone.inv_matrix[0], plan.inv_matrix[i])
        np.testing.assert_array_equal(alone.window[0], plan.window[i])


# Colour


def jitter_steps(plan, v):
    """The steps of a view by name, in order, each with its factor."""
    steps = []
    for kind, arg, statistic in zip(
        plan.step_kind[v], plan.step_arg[v], plan.statistic[v], strict=True
    ):
        matrix = arg.reshape(3, 4)
        if kind == HUE:
            steps.append(("hue", arg[0]))
        elif statistic == MEAN:
            steps.append(("contrast", matrix[0, 0]))
        elif kind == MATRIX and matrix[0, 1] == matrix[1, 0] == 0:
            steps.append(("brightness", matrix[0, 0]))
        elif kind == MATRIX:
            steps.append(("saturation", matrix[0, 0] - matrix[1, 0]))
    return steps


def test_color_jitter_orders_are_equally_likely():
    plan = plan_of(ae.ColorJitter(0.4, 0.4, 0.4, 0.1))
    orders = [tuple(name for name, _ in jitter_steps(plan, v)) for v in range(N)]
    every = list(itertools.permutations(["brightness", "contrast", "saturation", "hue"]))
    assert set(orders) == set(every)
    assert stats.chisquare([orders.count(order) for order in every]).pvalue > SURE


def test_photometric_distort_is_drawn_as_torchvisions():
    """Which steps happen and in which order, the permutations, and the factors."""
    from torchvision.transforms import v2

    torch.manual_seed(0)
    peer, empty = v2.RandomPhotometricDistort(p=0.6), [torch.empty(3, 4, 4, device="meta")]
    drawn = [peer.make_params(empty) for _ in range(N)]
    theirs, factors = [], {name: [] for name in ("brightness", "contrast", "saturation", "hue")}
    for made in drawn:
        first = ["contrast"] * made["contrast_before"]
        names = ["brightness", *first, "saturation", "hue", *["contrast"] * (not first)]
        names = [name for name in names if made[f"{name}_factor"] is not None]
        order = made["channel_permutation"]
        theirs.append((*names, *([] if order is None else order.tolist())))
        for name in names:
            factors[name].append(made[f"{name}_factor"])
    plan, ours, own = plan_of(ae.RandomPhotometricDistort(p=0.6)), [], {n: [] for n in factors}
    for op, arg in zip(plan.log_op, plan.log_arg, strict=True):
        steps = [(plan.log_text[k].split()[0], a) for k, a in zip(op, arg, strict=True) if k >= 0]
        ours.append(())
        for name, numbers in steps:
            ours[-1] += tuple(map(int, numbers[:3])) if name == "channels" else (name,)
            if name != "channels":
                own[name].append(numbers[0])
    every = sorted({*ours, *theirs}, key=str)
    counts = np.array([[made.count(order) for order in every] for made in (ours, theirs)])
    often = counts.sum(axis=0) >= 20
    table = np.c_[counts[:, often], counts[:, ~often].sum(axis=1)]
    assert often.sum() > 80
    assert stats.chi2_contingency(table).pvalue > SURE
    for name, values in factors.items():
        assert stats.ks_2samp(own[name], values).pvalue > SURE, name


def test_color_jitter_factors_are_uniform_within_torchvisions_limits():
    from torchvision.transforms import v2

    arguments = {"brightness": 0.4, "contrast": 1.5, "saturation": (0.2, 0.7), "hue": 0.1}
    plan = plan_of(ae.ColorJitter(**arguments))
    drawn = {name: [] for name in arguments}
    for v in range(N):
        for name, factor in jitter_steps(plan, v):
            drawn[name].append(factor)
    peer = v2.ColorJitter(**arguments)
    for name, factors in drawn.items():
        low, high = getattr(peer, name)
        assert len(factors) == N
        assert low - 1e-6 <= min(factors) < max(factors) <= high + 1e-6
        assert stats.kstest(factors, "uniform", (low, high - low)).pvalue > SURE, name


@pytest.mark.parametrize(("delta", "limits"), [(0.3, (-0.3, 0.3)), ((0.1, 0.2), (0.1, 0.2))])
def test_brightness_delta_is_uniform(delta, limits):
    plan = plan_of(ae.RandomBrightness(delta))
    drawn = plan.step_arg[:, 0, 3]
    np.testing.assert_array_equal(plan.step_arg[:, 0, [0, 5, 10]], 1)
    assert stats.kstest(drawn, "uniform", (limits[0], limits[1] - limits[0])).pvalue > SURE


def test_grayscale_happens_with_probability_p():
    plan = plan_of(ae.RandomGrayscale(0.2))
    assert stats.binomtest(int((plan.step_kind[:, 0] == MATRIX).sum()), N, 0.2).pvalue > SURE


# Mixes


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_cutmix_lambda_is_one_minus_the_pasted_area(alpha):
    plan = plan_of(ae.CutMix(alpha), size=(40, 60))
    (y0, x0, y1, x1), there = layer_boxes(plan)
    assert there.all()
    share = (y1 - y0) * (x1 - x0) / (40 * 60)
    np.testing.assert_allclose(plan.weight[:, 1], share, atol=1e-6)
    np.testing.assert_allclose(plan.weight[:, 0], 1 - share, atol=1e-6)
    np.testing.assert_array_equal(plan.alpha[:, 1], 1)


def test_cutmix_boxes_are_distributed_as_torchvisions():
    from torchvision.transforms import v2

    plan = plan_of(ae.CutMix(1.0), size=(400, 500))
    (y0, x0, y1, x1), _ = layer_boxes(plan)
    torch.manual_seed(0)
    peer = v2.CutMix(num_classes=2, alpha=1.0)
    drawn = [peer.make_params([torch.empty(2, 3, 400, 500, device="meta")]) for _ in range(N)]
    theirs = np.array([d["box"] for d in drawn], float).T  # x1, y1, x2, y2
    for ours, other in zip((x0, y0, x1, y1), theirs, strict=True):
        assert stats.ks_2samp(ours, other).pvalue > SURE
    area = (y1 - y0) * (x1 - x0) / (400 * 500)
    assert stats.ks_2samp(1 - area, [d["lam_adjusted"] for d in drawn]).pvalue > SURE


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixup_lambda_is_beta(alpha):
    plan = plan_of(ae.MixUp(alpha))
    lam = 1 - plan.alpha[:, 1].astype(float)
    assert stats.kstest(lam, stats.beta(alpha, alpha).cdf).pvalue > SURE
    np.testing.assert_allclose(plan.weight[:, 0], lam, atol=1e-6)
    np.testing.assert_allclose(plan.weight.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("mix", [ae.CutMix, ae.MixUp])
def test_mixes_happen_with_probability_p(mix):
    plan = plan_of(mix(p=0.3))
    mixed = plan.view[:, 1] != NO_VIEW
    assert stats.binomtest(int(mixed.sum()), N, 0.3).pvalue > SURE
    np.testing.assert_array_equal(plan.weight[~mixed, 0], 1)


@pytest.mark.parametrize("mix", [ae.CutMix(), ae.MixUp()])
def test_partners_are_uniform_over_the_others(mix):
    """Never oneself, and each of the others alike, in a batch of 7 over 2000 epochs."""
    n, epochs = 7, 2000
    counts = np.zeros((n, n), int)
    for epoch in range(epochs):
        plan = plan_of(mix, n=n, size=(20, 20), epoch=epoch)
        counts[np.arange(n), plan.source[plan.view[:, 1]]] += 1
    assert np.trace(counts) == 0
    for i in range(n):
        others = np.delete(counts[i], i)
        assert others.sum() == epochs
        assert stats.chisquare(others).pvalue > SURE / n


@pytest.mark.parametrize("mix", [ae.CutMix(), ae.MixUp()])
def test_two_partner_each_other_and_one_stays_alone(mix):
    plan = plan_of(mix, n=2, size=(20, 20))
    np.testing.assert_array_equal(plan.source[plan.view[:, 1]], [1, 0])
    alone = plan_of(mix, n=1, size=(20, 20))
    np.testing.assert_array_equal(alone.view[:, 1:] >= 0, False)
    np.testing.assert_array_equal(alone.weight[:, 0], 1)
    assert "no partner in a batch of one" in alone.explain(0)


@pytest.mark.parametrize("mix", [ae.CutMix(), ae.MixUp()])
def test_partners_do_not_depend_on_the_order_of_the_batch(mix):
    ids = np.arange(100, 120)
    order = np.random.default_rng(0).permutation(20)
    sizes = np.full((20, 2), 16)
    plan, shuffled = (ae.Policy(mix).sample(i, sizes) for i in (ids, ids[order]))
    partner = plan.ids[plan.source[plan.view[:, 1]]]
    np.testing.assert_array_equal(
        shuffled.ids[shuffled.source[shuffled.view[:, 1]]], partner[order]
    )


@pytest.mark.parametrize(
    ("size", "scale", "ratio"),
    [
        ((900, 1000), (0.02, 0.33), (0.3, 3.3)),
        ((400, 100), (0.2, 0.8), (0.3, 3.3)),  # many tries miss
    ],
)
def test_erasing_is_distributed_as_torchvisions(size, scale, ratio):
    from torchvision.transforms import v2

    plan = plan_of(ae.RandomErasing(1.0, scale, ratio), size=size)
    (y0, x0, y1, x1), there = layer_boxes(plan)
    assert (plan.view[there, 1] == PLAIN_COLOUR).all()
    torch.manual_seed(0)
    peer = v2.RandomErasing(1.0, scale, ratio)
    drawn = [peer.make_params([torch.empty(3, *size, device="meta")]) for _ in range(N)]
    # Where no try fits, torchvision "erases" the whole image with itself.
    theirs = np.array(
        [[d["i"], d["j"], d["h"], d["w"]] for d in drawn if d["v"] is not None], float
    )
    assert (
        stats.fisher_exact([[there.sum(), N - there.sum()], [len(theirs), N - len(theirs)]])[1]
        > SURE
    )
    ours = np.stack([y0, x0, y1 - y0, x1 - x0], axis=1)
    for measure in (
        lambda b: b[:, 2] * b[:, 3],
        lambda b: np.log(b[:, 2] / b[:, 3]),
        lambda b: b[:, 0],
        lambda b: b[:, 1],
    ):
        assert stats.ks_2samp(measure(ours), measure(theirs)).pvalue > SURE


def test_erasing_happens_with_probability_p_and_leaves_the_label():
    plan = plan_of(ae.RandomErasing(0.25), size=(64, 64))
    erased = plan.view[:, 1] == PLAIN_COLOUR
    assert stats.binomtest(int(erased.sum()), N, 0.25).pvalue > SURE
    np.testing.assert_array_equal(plan.weight[:, 0], 1)
    np.testing.assert_array_equal(plan.weight[:, 1], 0)


def test_erasing_after_normalize_takes_normalised_units():
    """So that 0 is the mean, and before Normalize it is black."""
    normalize = ae.Normalize((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    after = plan_of([normalize, ae.RandomErasing(1.0, value=2.0)], n=4)
    np.testing.assert_allclose(after.colour[:, 1], [[0.6, 0.9, 1.2]] * 4, atol=1e-6)
    before = plan_of([ae.RandomErasing(1.0, value=51), normalize], n=4)
    np.testing.assert_allclose(before.colour[:, 1], 0.2)


# Laws of every op with a probability


@pytest.mark.parametrize(
    "op",
    [
        ae.RandomHorizontalFlip,
        ae.RandomVerticalFlip,
        ae.RandomGrayscale,
        lambda p: ae.RandomPerspective(0.5, p=p),
        lambda p: ae.CutMix(p=p),
        lambda p: ae.MixUp(p=p),
        lambda p: ae.RandomErasing(p),
    ],
)
def test_p_0_never_and_p_1_always_applies(op):
    never = plan_of(op(0.0), n=200, size=(32, 32))
    neutral = plan_of(ae.CenterCrop(32), n=200, size=(32, 32))
    np.testing.assert_array_equal(never.inv_matrix, neutral.inv_matrix)
    assert not never.step_kind.any()
    assert (never.view[:, 1:] == NO_VIEW).all()
    always = plan_of(op(1.0), n=200, size=(32, 32))
    changed = (always.inv_matrix != neutral.inv_matrix).any(axis=(1, 2))
    changed |= always.step_kind.any(axis=1) | (always.view[:, 1:] != NO_VIEW).any(axis=1)
    assert changed.all()
