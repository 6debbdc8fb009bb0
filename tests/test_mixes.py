"""Mixes beyond the plain ones: the batch's own λ, switches, mosaics, a second batch, noise, smoothing."""

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, draw, each_executor, plan_of
from photos import patches
from scipy import stats
from torchvision.transforms import v2

import augengine as ae

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def sampled(op, n=2000, size=(48, 48), **how):
    return ae.Policy(op).sample(np.arange(n), np.tile(size, (n, 1)), **how)


# One λ, one box, one partner for the batch: what torchvision publishes


@each_executor
def test_mixup_same_on_batch_is_torchvisions_roll(executor):
    images, labels = as_float(patches(5, 40, 51)), torch.arange(5)
    batch = ae.Engine(ae.MixUp(same_on_batch=True), num_classes=5, executor=executor)(
        images, labels, ids=np.arange(5)
    )
    lam = batch.labels[0, 0]
    assert 0 < lam < 1
    expected = lam * images + (1 - lam) * images.roll(1, 0)
    assert_close(batch.images, expected, 1e-6)
    one_hot = torch.nn.functional.one_hot(labels, 5).float()
    assert_close(batch.labels, lam * one_hot + (1 - lam) * one_hot.roll(1, 0), 1e-6)


@each_executor
def test_cutmix_same_on_batch_is_torchvisions_roll(executor):
    images = patches(5, 40, 51)
    plan = plan_of(ae.CutMix(same_on_batch=True), images, dtype="uint8", seed=5)
    assert len(np.unique(plan.box[:, 1], axis=0)) == 1
    y0, x0, y1, x1 = plan.box[0, 1]
    assert (y1 - y0) * (x1 - x0) > 0
    expected = images.clone()
    expected[..., y0:y1, x0:x1] = images.roll(1, 0)[..., y0:y1, x0:x1]
    assert torch.equal(ae.execute(plan, images, executor=executor), expected)
    share = (y1 - y0) * (x1 - x0) / (40 * 51)
    np.testing.assert_allclose(plan.weight[:, 1], share, rtol=1e-6)


def test_by_default_every_sample_has_its_own():
    for op in (ae.CutMix(), ae.MixUp(), ae.MixUpOrCutMix()):
        plan = sampled(op, 64)
        assert len(np.unique(plan.weight[:, 1])) > 20
        assert len(np.unique(plan.view[:, 1:].max(axis=1))) > 20


def test_same_on_batch_does_not_depend_on_the_order():
    a = sampled(ae.MixUp(same_on_batch=True), 7)
    order = np.random.default_rng(0).permutation(7)
    b = ae.Policy(ae.MixUp(same_on_batch=True)).sample(
        np.arange(7)[order], np.tile((48, 48), (7, 1))
    )
    np.testing.assert_array_equal(a.weight, b.weight)


def test_p_is_of_the_whole_batch_then():
    kinds = [
        plan.view[:, 1].tolist() if plan.view.shape[1] > 1 else []
        for plan in (sampled(ae.MixUp(p=0.5, same_on_batch=True), 6, epoch=e) for e in range(60))
    ]
    whole = [all(v >= 0 for v in kind) and bool(kind) for kind in kinds]
    none = [all(v < 0 for v in kind) for kind in kinds]
    assert all(a or b for a, b in zip(whole, none, strict=True))
    assert 15 < sum(whole) < 45


# Either


def test_switch_prob():
    plan = sampled(ae.MixUpOrCutMix(switch_prob=0.3), 4000)
    boxed = (plan.box[:, 1:] != [0, 0, 48, 48]).any(axis=-1) & (plan.view[:, 1:] >= 0)
    blended = (plan.alpha[:, 1:] < 1) & (plan.view[:, 1:] >= 0)
    cut = int((boxed & ~blended).any(axis=1).sum())
    assert stats.binomtest(cut, 4000, 0.3).pvalue > 1e-3
    assert np.allclose(plan.weight.sum(axis=1), 1, atol=1e-6)


@each_executor
def test_either_of_them_by_hand(executor):
    images = as_float(patches(8, 24, 30))
    got, plan = draw(ae.MixUpOrCutMix(), images, executor, seed=4)
    kinds = set()
    for i in range(8):
        k = 1 + int(np.flatnonzero(plan.view[i, 1:] >= 0)[0])
        other = images[plan.source[plan.view[i, k]]]
        expected = images[i].clone()
        y0, x0, y1, x1 = plan.box[i, k]
        alpha = float(plan.alpha[i, k])
        kinds.add(alpha == 1)
        expected[:, y0:y1, x0:x1] += alpha * (other - images[i])[:, y0:y1, x0:x1]
        assert_close(got[i], expected, 1e-6)
    assert kinds == {True, False}


@pytest.mark.parametrize(("alpha", "which"), [(0.8, 0.0), (1.0, 1.0)])
def test_lambda_is_beta(alpha, which):
    op = ae.MixUpOrCutMix(mixup_alpha=0.8, cutmix_alpha=1.0, switch_prob=which)
    plan = sampled(op, 4000, (4096, 4096))
    if which == 0:
        assert stats.kstest(plan.weight[:, 0], stats.beta(0.8, 0.8).cdf).pvalue > 1e-3
    else:
        sides = (plan.box[:, 1, 2:] - plan.box[:, 1, :2]).max(axis=1) / 4096
        # Where the box was not cut by the frame its side is √(1 − λ).
        low, high = plan.box[:, 1, :2].min(axis=1) > 0, plan.box[:, 1, 2:].max(axis=1) < 4096
        assert (sides[low & high] <= 1).all()
        assert abs(np.mean(1 - plan.weight[:, 0]) - 0.3) < 0.05


# Mosaic


@each_executor
def test_mosaic_puts_four_corners_together(executor):
    images = patches(6, 40, 40)
    plan = plan_of(ae.Mosaic(), images, dtype="uint8")
    got = ae.execute(plan, images, executor=executor)
    root = plan.roots()
    for i in range(6):
        cy, cx = plan.box[i, 1, 2:]
        own, right, below, across = (images[root[v]] for v in plan.view[i, 1:5])
        assert root[plan.view[i, 1]] == i
        expected = torch.empty(3, 40, 40, dtype=torch.uint8)
        expected[:, :cy, :cx] = own[:, 40 - cy :, 40 - cx :]
        expected[:, :cy, cx:] = right[:, 40 - cy :, : 40 - cx]
        expected[:, cy:, :cx] = below[:, : 40 - cy, 40 - cx :]
        expected[:, cy:, cx:] = across[:, : 40 - cy, : 40 - cx]
        assert torch.equal(got[i], expected)
    share = ae.soft_labels(plan, torch.arange(6), 6)
    assert_close(share.sum(dim=1), torch.ones(6), 1e-6)


def test_mosaics_point_is_uniform_and_in_range():
    plan = sampled(ae.Mosaic(center=(0.25, 0.75)), 3000, (400, 400))
    centre = plan.box[:, 1, 2:]
    for axis in range(2):
        assert stats.kstest(centre[:, axis] / 400, stats.uniform(0.25, 0.5).cdf).pvalue > 1e-3


def test_mosaic_after_a_mix_is_refused():
    with pytest.raises(
        ValueError, match=r"Mosaic: an image already has a mix .* Put Mosaic before"
    ):
        sampled([ae.CutMix(), ae.Mosaic()], 8)


# MixUp of what has boxes


@each_executor
@pytest.mark.parametrize(
    "first",
    [
        ae.CutMix(),
        ae.RandomErasing(p=0.6, count=(1, 3)),
        ae.RandomErasing(p=1, value="random", count=2),
        ae.Mosaic(p=0.5),
        ae.MixUpOrCutMix(),
        ae.Compose([ae.CutMix(), ae.RandomErasing(p=1)]),
        ae.AugMix(),
    ],
    ids=lambda op: type(op).__name__,
)
def test_mixup_after_anything_is_op_by_op(executor, first):
    """The finished images of the first op, blended with λ and partner of the second."""
    images, labels = patches(9, 24, 30), torch.arange(9)
    empty = ae.RandomHorizontalFlip(p=0)
    held = ae.Compose([empty] * (first.places - 1)) if first.places > 1 else empty
    plan = plan_of([first, ae.MixUp()], images)
    before = plan_of(first, images)
    blend = plan_of([held, ae.MixUp()], images)
    amount = torch.from_numpy(blend.alpha[:, 1].copy())
    partner = torch.from_numpy(blend.source[blend.view[:, 1]].astype(np.int64))
    assert 0.02 < amount.min()
    done = ae.execute(before, images, executor=executor)
    share = amount[:, None, None, None]
    expected = (1 - share) * done + share * done[partner]
    assert_close(ae.execute(plan, images, executor=executor), expected, 2e-6)
    labelled = ae.soft_labels(before, labels, 9)
    mixed = (1 - amount[:, None]) * labelled + amount[:, None] * labelled[partner]
    assert_close(ae.soft_labels(plan, labels, 9), mixed, 1e-6)


def test_blends_of_blends_have_shares_whatever_is_rounded():
    """MixUp of amounts next to 0 and 1: alphas of which some would round to above 1."""
    mixes = [ae.MixUp(), ae.CutMix(), ae.MixUp(), ae.MixUp(0.05), ae.MixUp()]
    policy = ae.Policy(mixes)
    white = torch.ones(4, 3, 8, 8)
    for seed in range(400):
        plan = policy.sample(range(4), [(8, 8)] * 4, seed=seed)
        assert plan.alpha.min() >= 0
        if seed % 20 == 0:  # however often it is blended, white stays white
            assert_close(ae.execute(plan, white), white, 1e-6)


def test_cells_are_disjoint_and_cover():
    from augengine.policy.layers import Layers, cells

    random = np.random.default_rng(0)
    for _ in range(50):
        k = random.integers(1, 6)
        low = random.integers(0, 12, (1, k, 2))
        box = np.concatenate([low, np.minimum(low + random.integers(0, 9, (1, k, 2)), 12)], axis=-1)
        alpha = random.choice([1.0, 0.4], (1, k))
        alpha[0, 0] = 1
        layers = Layers(np.arange(k)[None], box, alpha, alpha, np.zeros((1, k, 3)))
        painted = np.zeros((12, 12), int)
        for (y0, x0, y1, x1), numbers in cells(layers, 0, (12, 12)):
            painted[y0:y1, x0:x1] += 1
            for y, x in ((y0, x0), (y1 - 1, x1 - 1)):
                inside = [
                    n for n in range(k)
                    if n == 0 or (box[0, n, 0] <= y < box[0, n, 2] and box[0, n, 1] <= x < box[0, n, 3])
                ]  # fmt: skip
                last = max(n for n in inside if alpha[0, n] == 1)
                assert numbers == [n for n in inside if n >= last]
        assert (painted == 1).all()


# A second batch


@each_executor
def test_partners_come_from_the_second_batch(executor):
    images, others = patches(4, 24, 30), patches(7, 33, 41)[4:]
    engine = ae.Engine([ae.Resize((24, 30)), ae.CutMix()], num_classes=9, executor=executor)
    batch = engine(
        images,
        torch.arange(4),
        ids=np.arange(4),
        partners=(others, torch.tensor([6, 7, 8]), [10, 11, 12]),
    )
    plan = batch.plan
    assert len(plan) == len(batch.images) == 4
    assert plan.ids.tolist() == [0, 1, 2, 3, 10, 11, 12]
    partner = plan.roots()[plan.view[:, 1]]
    assert (partner >= 4).all()
    assert set(batch.labels[:, 6:].nonzero()[:, 1].tolist()) <= {0, 1, 2}
    assert_close(batch.labels.sum(dim=1), torch.ones(4), 1e-6)
    again = ae.execute(plan, [*images, *others], executor=executor)
    assert torch.equal(again, batch.images)


def test_pseudo_labels_may_be_soft():
    soft = torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    batch = ae.Engine(ae.MixUp(), num_classes=3)(
        patches(2, 20, 20),
        torch.tensor([0, 2]),
        ids=[0, 1],
        partners=(patches(2, 20, 20), soft, [5, 6]),
    )
    assert_close(batch.labels.sum(dim=1), torch.ones(2), 1e-6)
    lam = torch.tensor(batch.plan.weight[:, 0].copy())
    partner = batch.plan.source[batch.plan.view[:, 1]] - 2
    expected = torch.nn.functional.one_hot(torch.tensor([0, 2]), 3) * lam[:, None]
    expected = expected + soft[partner] * (1 - lam[:, None])
    assert_close(batch.labels, expected, 1e-6)


def test_a_single_sample_can_mix_with_a_second_batch():
    batch = ae.Engine(ae.MixUp(), num_classes=2)(
        patches(1), torch.tensor([0]), ids=[0], partners=(patches(1), torch.tensor([1]), [9])
    )
    assert 0 < batch.labels[0, 1] < 1


def test_second_batches_that_do_not_fit():
    engine = ae.Engine(ae.MixUp(), num_classes=2)
    with pytest.raises(ValueError, match=r"partners: got images with dtype .* Convert them first"):
        engine(
            patches(2),
            torch.tensor([0, 1]),
            ids=[0, 1],
            partners=(as_float(patches(2)), [0, 1], [2, 3]),
        )
    with pytest.raises(ValueError, match=r"partners: got no labels, expected them"):
        engine(patches(2), torch.tensor([0, 1]), ids=[0, 1], partners=(patches(2), None, [2, 3]))


def test_a_batch_of_one_says_that_it_is_not_mixed():
    for op in (
        ae.CutMix(),
        ae.MixUp(),
        ae.MixUpOrCutMix(),
        ae.Mosaic(),
        ae.MixUp(same_on_batch=True),
    ):
        plan = sampled(op, 1)
        assert plan.explain(0) == "no partner in a batch of one"
        assert plan.view[0, 0] == 0
        assert (plan.weight[0] == [1] + [0] * (plan.view.shape[1] - 1)).all()


@pytest.mark.parametrize("n", [2, 3, 7])
@pytest.mark.parametrize("same", [False, True])
def test_odd_and_small_batches(n, same):
    plan = sampled(ae.MixUpOrCutMix(same_on_batch=same), n)
    partner = plan.roots()[np.where(plan.view[:, 1:] < 0, 0, plan.view[:, 1:])]
    mixed = plan.view[:, 1:] >= 0
    assert (partner != np.arange(n)[:, None])[mixed].all()
    assert mixed.any(axis=1).all()


# Erasing


def erased(value, n=400, executor=None, count=1, normalize=True):
    images = torch.full((n, 3, 40, 40), 128, dtype=torch.uint8)
    ops = [ae.Normalize(MEAN, STD)] if normalize else []
    ops.append(ae.RandomErasing(p=1, scale=(0.2, 0.3), value=value, count=count))
    return draw(ops, images, executor)


@each_executor
def test_noise_fills_the_box_with_normal_numbers(executor):
    got, plan = erased("random", 30, executor)
    before = (128 / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    inside, n = [], 0
    for i in range(30):
        y0, x0, y1, x1 = plan.box[i, 1]
        inside.append(got[i, :, y0:y1, x0:x1].flatten(1))
        mask = torch.ones(40, 40, dtype=torch.bool)
        mask[y0:y1, x0:x1] = False
        assert_close(got[i][:, mask], before[:, None].expand(3, int(mask.sum())), 1e-5)
        n += (y1 - y0) * (x1 - x0)
    values = torch.cat(inside, dim=1).numpy()
    for c in range(3):  # cut where [0, 1] ends, so compare between the cuts
        low, high = -MEAN[c] / STD[c], (1 - MEAN[c]) / STD[c]
        kept = values[c][(values[c] > low + 1e-3) & (values[c] < high - 1e-3)]
        share = stats.norm.cdf(high) - stats.norm.cdf(low)
        assert abs(len(kept) / n - share) < 0.02
        assert stats.kstest(kept, stats.truncnorm(low, high).cdf).pvalue > 1e-4
    assert abs(np.corrcoef(values)[0, 1]) < 0.03
    assert torch.equal(got, erased("random", 30, executor)[0])


def test_colours_of_boxes_are_normal():
    _, plan = erased("color", 3000)
    colour = (plan.colour[:, 1] - MEAN) / STD
    inner = (plan.colour[:, 1, 0] > 0) & (plan.colour[:, 1, 0] < 1)
    low, high = -MEAN[0] / STD[0], (1 - MEAN[0]) / STD[0]
    assert stats.kstest(colour[inner, 0], stats.truncnorm(low, high).cdf).pvalue > 1e-3
    assert len(np.unique(colour[:, 0])) > 1000


def test_several_boxes_share_the_area():
    _, plan = erased(0.0, 2000, count=(1, 3))
    boxes = (plan.box[:, 1:, 2:] - plan.box[:, 1:, :2]).prod(axis=-1)
    boxes = boxes * (plan.view[:, 1:] == -2)
    count = (boxes > 0).sum(axis=1)
    assert stats.chisquare(np.bincount(count, minlength=4)[1:]).pvalue > 1e-3
    total = boxes.sum(axis=1) / 1600
    assert 0.18 < total.min()
    assert total.max() < 0.32


def test_labels_stay_under_noise_and_erasing():
    _, plan = erased("random", 20, count=2)
    assert torch.equal(ae.soft_labels(plan, torch.arange(20), 20), torch.eye(20))


@pytest.mark.parametrize("value", ["noise", "Random"])
def test_unknown_noise(value):
    with pytest.raises(
        ValueError, match=r"RandomErasing\.value: got '\w+', expected 'random', 'color'"
    ):
        ae.RandomErasing(value=value)


@pytest.mark.parametrize("count", [0, (2, 1), 1.5, (1, 2, 3)])
def test_impossible_counts(count):
    with pytest.raises(
        ValueError, match=r"RandomErasing\.count: got .*, expected a whole number 1"
    ):
        ae.RandomErasing(count=count)


@each_executor
def test_cutout(executor):
    images = torch.full((300, 3, 32, 32), 255, dtype=torch.uint8)
    got, plan = draw(ae.Cutout(size=0.5), images, executor, dtype="uint8")
    colour = torch.tensor([125, 123, 114], dtype=torch.uint8)
    for i in range(300):
        y0, x0, y1, x1 = plan.box[i, 1]
        assert max(y1 - y0, x1 - x0) <= 17
        expected = images[i].clone()
        expected[:, y0:y1, x0:x1] = colour[:, None, None]
        assert torch.equal(got[i], expected)
    sizes = plan.box[:, 1, 2:] - plan.box[:, 1, :2]
    assert (sizes == 16).all(axis=1).any()  # whole ones, and ones cut at the edge
    assert (sizes < 16).any()


# Smoothing


def test_label_smoothing_is_torchs():
    images, labels = patches(4), torch.tensor([0, 2, 1, 2])
    batch = ae.Engine(ae.RandomHorizontalFlip(), num_classes=3, label_smoothing=0.1)(
        images, labels, ids=np.arange(4)
    )
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert_close(torch.nn.functional.cross_entropy(logits, batch.labels), expected, 1e-6)
    with pytest.raises(ValueError, match=r"label_smoothing: got 1.5"):
        ae.Engine(ae.RandomHorizontalFlip(), label_smoothing=1.5)


def test_torchvisions_mixup_gives_the_same_labels():
    """Its labels for our λ."""
    labels = torch.arange(4)
    batch = ae.Engine(ae.MixUp(same_on_batch=True), num_classes=4)(
        patches(4), labels, ids=np.arange(4)
    )
    lam = float(batch.labels[0, 0])
    mix = v2.MixUp(num_classes=4)
    params = {"lam": lam, "labels": labels, "batch_size": 4}
    assert_close(batch.labels, mix.transform(labels, params), 1e-6)
