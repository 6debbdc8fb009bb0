"""Many looks at each sample: `Views`, one call, equal sizes in one launch."""

import numpy as np
import pytest
import torch
from cases import each_executor
from photos import patches, photos
from torch.utils.data import DataLoader, Dataset

import augengine as ae
from augengine import kernels

WEAK = [ae.RandomResizedCrop(32), ae.RandomHorizontalFlip()]
STRONG = [ae.RandomResizedCrop(32), ae.RandAugment(), ae.Cutout()]
SMALL = ae.Policy([ae.RandomResizedCrop(16), ae.GaussianBlur(p=0.5)])
IDS = np.arange(6)


def engine(**policies):
    return ae.Engine(ae.Views(**policies), seed=3, num_classes=5)


@each_executor
def test_each_view_is_what_its_policy_makes_alone(executor):
    images, labels = patches(6), torch.arange(6) % 5
    views = ae.Views(weak=WEAK, strong=STRONG, crops=[SMALL] * 3)
    made = ae.Engine(views, seed=3, num_classes=5, executor=executor)(
        images, labels, ids=IDS, epoch=2
    )
    assert list(made) == ["weak", "strong", "crops"]
    alone = [WEAK, STRONG, SMALL, SMALL, SMALL]
    batches = [made["weak"], made["strong"], *made["crops"]]
    for number, (policy, batch) in enumerate(zip(alone, batches, strict=True)):
        one = ae.Engine(policy, seed=3, num_classes=5, executor=executor)
        plan = one.plan([(96, 128)] * 6, IDS, 2, look=number)
        assert batch.plan == plan
        expected = one.draw(plan, ae.Sources.of(images), labels)
        assert torch.equal(batch.images, expected.images)
        assert torch.equal(batch.labels, expected.labels)


def test_the_same_policy_twice_draws_twice():
    made = engine(crops=[SMALL] * 2)(patches(6), ids=IDS)["crops"]
    assert made[0].plan != made[1].plan
    assert made[0].plan.policy == made[1].plan.policy
    assert [batch.plan.look for batch in made] == [0, 1]


def test_a_view_more_at_the_end_changes_no_other():
    fewer = engine(weak=WEAK, strong=STRONG)(patches(6), ids=IDS)
    more = engine(weak=WEAK, strong=STRONG, more=SMALL)(patches(6), ids=IDS)
    for name in fewer:
        assert fewer[name].plan == more[name].plan
        assert torch.equal(fewer[name].images, more[name].images)


def test_views_of_one_size_are_drawn_in_one_launch(monkeypatch):
    calls, execute = [], kernels.execute

    def counted(plan, *args, **how):
        calls.append(plan.shape)
        return execute(plan, *args, **how)

    monkeypatch.setattr(kernels, "execute", counted)
    engine(weak=WEAK, crops=[SMALL] * 4, strong=STRONG)(patches(6), ids=IDS)
    assert sorted(calls) == [(12, 3, 32, 32), (24, 3, 16, 16)]


def test_images_of_different_sizes_and_normalisations():
    normal = ae.Normalize(0.5, 0.25)
    made = engine(plain=WEAK, normal=[*WEAK, normal])(photos(), ids=IDS)
    assert made["plain"].images.min() >= 0
    assert made["normal"].images.min() < 0


def test_plans_come_under_the_names_too():
    plans = engine(weak=WEAK, crops=[SMALL] * 2).plan([(40, 50)] * 6, IDS)
    assert isinstance(plans["weak"], ae.Plan)
    assert [plan.look for plan in plans["crops"]] == [1, 2]


class Pairs(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return patches(8, 40, 50)[i], i % 5


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_loader(workers):
    views = ae.Views(weak=WEAK, strong=STRONG, crops=[SMALL] * 2)
    collate = ae.Collate(views, seed=3, num_classes=5)
    collate.set_epoch(0)
    loader = DataLoader(ae.WithIds(Pairs()), 4, num_workers=workers, collate_fn=collate)
    got = list(loader)
    assert len(got) == 2
    one = ae.Engine(views, seed=3, num_classes=5)
    for k, batch in enumerate(got):
        assert isinstance(batch, ae.BatchOfViews)
        ids = np.arange(4 * k, 4 * k + 4)
        expected = one(patches(8, 40, 50)[ids], torch.from_numpy(ids) % 5, ids=ids, epoch=0)
        assert torch.equal(batch["strong"].images, expected["strong"].images)
        assert torch.equal(batch["crops"][1].images, expected["crops"][1].images)
        assert torch.equal(batch["weak"].labels, expected["weak"].labels)


def test_moving_all_at_once():
    made = engine(weak=WEAK, crops=[SMALL] * 2)(patches(6), torch.arange(6) % 5, ids=IDS)
    moved = made.to(torch.float16)
    assert moved["weak"].images.dtype == moved["crops"][1].images.dtype == torch.float16
    assert made["weak"].images.dtype == torch.float32


def test_equality_and_words():
    assert ae.Views(a=WEAK) == ae.Views(a=ae.Policy(WEAK)) != ae.Views(b=WEAK)
    assert hash(ae.Views(a=WEAK)) == hash(ae.Views(a=WEAK))
    assert len(ae.Views(a=WEAK, b=[SMALL] * 3)) == 4
    assert "strong=Policy" in repr(ae.Views(strong=STRONG))


def test_errors():
    with pytest.raises(ValueError, match=r"Views: got no policies, expected at least one\. Pass"):
        ae.Views()
    with pytest.raises(TypeError, match=r"Engine: got out=Tensor with Views, expected a function"):
        engine(weak=WEAK)(patches(6), ids=IDS, out=torch.empty(6, 3, 32, 32))
    plans = [ae.Policy(WEAK).sample([k], [(40, 50)]) for k in (1, 2)]
    with pytest.raises(ValueError, match=r"side_by_side: the plans are for different sources"):
        ae.side_by_side(plans)
