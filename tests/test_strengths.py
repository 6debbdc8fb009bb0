"""A strength that samples draw: `Uniform`."""

import pickle

import numpy as np
import pytest
import torch
from photos import patches
from scipy import stats
from torch.utils.data import DataLoader, Dataset

import augengine as ae

IDS = np.arange(20_000)
ROTATION = ae.Policy(ae.RandomRotation((0, 1)))


class Squares(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, i):
        return torch.full((3, 12, 12), i, dtype=torch.uint8), i % 4


def strengths_by_id(batches):
    """{id: its strength in the plan}."""
    found = {}
    for batch in batches:
        found |= dict(zip(batch.plan.ids.tolist(), batch.plan.strength.tolist(), strict=True))
    return found


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.2, 0.5)])
def test_the_law_is_uniform(low, high):
    drawn = ae.Uniform(low, high)(3, IDS, seed=7)
    assert low <= drawn.min()
    assert drawn.max() <= high
    assert stats.kstest(drawn, "uniform", (low, high - low)).pvalue > 1e-3
    assert drawn.mean() == pytest.approx(
        (low + high) / 2, abs=4 * (high - low) / 12**0.5 / 20_000**0.5
    )
    assert drawn.std() == pytest.approx((high - low) / 12**0.5, rel=0.02)


def test_ends_may_meet():
    assert set(ae.Uniform(0.3, 0.3)(0, IDS).tolist()) == {0.3}
    assert set(ae.Uniform(0, 0)(0, IDS).tolist()) == {0.0}


def test_seed_epoch_id_and_occurrence_key_it():
    ids, uniform = np.arange(4000), ae.Uniform()
    first = uniform(1, ids, 5)
    np.testing.assert_array_equal(first, uniform(1, ids, 5))
    others = {
        "seed": uniform(1, ids, 6),
        "epoch": uniform(2, ids, 5),
        "id": uniform(1, ids + 4000, 5),
        "occurrence": uniform(1, ids, 5, np.ones(4000, int)),
    }
    for name, drawn in others.items():
        assert (drawn != first).all(), name
        assert abs(stats.pearsonr(first, drawn).statistic) < 0.06, name  # 4 standard errors


def test_an_id_that_comes_again_draws_again():
    plan = ae.Engine(ROTATION, strength=ae.Uniform()).plan([(8, 8)] * 3, [4, 4, 9], 0)
    assert plan.strength[0] != plan.strength[1]
    alone = ae.Engine(ROTATION, strength=ae.Uniform()).plan([(8, 8)], [4], 0, occurrences=[1])
    assert alone.strength[0] == plan.strength[1]


def test_it_is_independent_of_the_ops_draws_and_moves_none():
    """Shares of a rotation, at the first places of a policy and behind ten others."""
    sizes, turn = np.tile((8, 8), (len(IDS), 1)), ae.RandomRotation((0, 90))
    for policy in (ae.Policy(turn), ae.Policy([*[ae.RandomHorizontalFlip(0)] * 10, turn])):
        strength = ae.Uniform()(0, IDS)

        def angles(plan):
            return np.degrees(np.arctan2(plan.inv_matrix[:, 1, 0], plan.inv_matrix[:, 0, 0]))

        whole = angles(policy.sample(IDS, sizes))
        assert abs(stats.pearsonr(np.abs(whole), strength).statistic) < 0.028  # 4 standard errors
        pulled = angles(ae.Engine(policy, strength=ae.Uniform()).plan(sizes, IDS, 0))
        np.testing.assert_allclose(pulled, strength * whole, atol=1e-3)


def test_any_batch_order_and_look_has_the_same():
    engine = ae.Engine(
        ae.Views(weak=ROTATION, strong=[ROTATION] * 2), seed=3, strength=ae.Uniform()
    )
    ids = np.arange(40)
    plans = engine.plan([(8, 8)] * 40, ids, 2)
    np.testing.assert_array_equal(plans["weak"].strength, plans["strong"][1].strength)
    order = np.random.default_rng(0).permutation(40)
    for part in np.array_split(order, 6):
        some = engine.plan([(8, 8)] * len(part), part, 2)["weak"]
        np.testing.assert_array_equal(some.strength, plans["weak"].strength[part])


def test_names_are_ids():
    drawn = ae.Uniform()(0, ["a/1.png", "a/2.png"])
    plan = ae.Engine(ROTATION, strength=ae.Uniform()).plan([(8, 8)], ["a/2.png"], 0)
    assert plan.strength[0] == np.float32(drawn[1])
    assert ae.Uniform()(0, torch.arange(3)).shape == (3,)


@pytest.mark.usefixtures("nothing_is_left_running")
def test_loaders_workers_and_devices_draw_the_same():
    engine = ae.Engine(ROTATION, seed=11, strength=ae.Uniform())
    wanted = strengths_by_id(
        [engine(torch.zeros(24, 3, 12, 12, dtype=torch.uint8), ids=range(24), epoch=4)]
    )
    dataset, how = ae.WithIds(Squares()), {"seed": 11, "strength": ae.Uniform()}
    for workers, size in ((0, 5), (2, 8)):
        for collate in (ae.Collate(ROTATION, **how), ae.pack(ROTATION, **how)):
            loader = DataLoader(
                dataset, size, shuffle=True, num_workers=workers, collate_fn=collate
            )
            packs = isinstance(collate, type(ae.pack(ROTATION)))
            ahead = ae.DeviceLoader(loader, device="cpu") if packs else loader
            (ahead if packs else collate).set_epoch(4)
            assert strengths_by_id(ahead) == wanted
    plain = DataLoader(dataset, 7, shuffle=True)
    drawn = ae.DeviceLoader(plain, ROTATION, device="cpu", **how)
    drawn.set_epoch(4)
    assert strengths_by_id(drawn) == wanted


def test_no_epoch_need_be_named():
    """As with other draws, each call then draws anew, even where the policy has no draw of its own."""
    engine = ae.Engine(ae.Compose([ae.RandomRotation((30, 30))]), strength=ae.Uniform())
    images = patches(8, 16, 16)
    first = engine(images, ids=range(8)).plan.strength
    with pytest.warns(UserWarning, match="epoch"):
        second = engine(images, ids=range(8)).plan.strength
    assert (first != second).all()


def test_a_plan_is_drawn_again_without_the_function():
    images, engine = (
        patches(6, 33, 41),
        ae.Engine([ae.RandomAffine(20), ae.CutMix()], num_classes=6),
    )
    engine.strength = ae.Uniform()
    batch = engine(images, range(6), ids=range(6), epoch=1)
    again = ae.execute(ae.Plan.from_bytes(batch.plan.to_bytes()), images)
    assert torch.equal(again, batch.images)
    given = engine.plan([(33, 41)] * 6, range(6), 1, strength=ae.Uniform()(1, range(6)))
    assert given == batch.plan


def test_it_is_a_value():
    assert repr(ae.Uniform(0.25)) == "Uniform(low=0.25, high=1.0)"
    assert pickle.loads(pickle.dumps(ae.Uniform(0.1, 0.2))) == ae.Uniform(0.1, 0.2)


def test_impossible_strengths_to_draw():
    for arguments, said in [
        ((-0.1,), r"Uniform: low: got -0.1, expected a number in \[0, 1\]"),
        ((0, 1.5), "Uniform: high: got 1.5"),
        ((0.6, 0.4), r"low=0.6 above high=0.4.*Pass Uniform\(0.4, 0.6\)"),
        ((float("nan"),), "Uniform: low: got nan"),
    ]:
        with pytest.raises(ValueError, match=said):
            ae.Uniform(*arguments)
    with pytest.raises(TypeError, match="Uniform: low: got '1', expected a number"):
        ae.Uniform("1")
    with pytest.raises(ValueError, match=r"Uniform: got ids \[0.5\], expected ints or names"):
        ae.Uniform()(0, [0.5])
    with pytest.raises(ValueError, match=r"occurrences \[2\] of 3 ids"):
        ae.Uniform()(0, [1, 2, 3], 0, [0, 0])
    with pytest.raises(ValueError, match="Uniform: epoch: got -1"):
        ae.Uniform()(-1, [1, 2, 3])


def test_it_can_be_changed_and_scaled_in_the_middle():
    """A rule of one's own is a function that scales what is drawn."""
    level = [0.0]
    engine = ae.Engine(
        ROTATION, seed=5, strength=lambda epoch, ids: level[0] * ae.Uniform()(epoch, ids, seed=5)
    )
    for share in (0.0, 0.25, 1.0):
        level[0] = share
        wanted = share * ae.Uniform()(2, IDS[:9], 5)
        got = engine.plan([(8, 8)] * 9, IDS[:9], 2).strength
        np.testing.assert_array_equal(got, wanted.astype(np.float32))
    engine.strength = ae.Uniform()
    np.testing.assert_array_equal(engine.plan([(8, 8)] * 9, IDS[:9], 2).strength, got)
    with pytest.raises(ValueError, match="a strength that is a function of the epoch"):
        ae.Engine(ROTATION, strength=lambda epoch, ids: 1.0)(patches(2, 8, 8), ids=[0, 1])
