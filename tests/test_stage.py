"""Stages: what is not fused, on the finished batch."""

import random

import numpy as np
import pytest
import torch
from photos import patches
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

import augengine as ae

CROP = ae.RandomResizedCrop(24)
IDS = np.arange(4)


def test_a_stage_gets_the_finished_batch():
    seen = []

    def look(images):
        seen.append(images)
        return images * 2

    policy = [CROP, ae.Normalize(0.5, 0.5), ae.Stage(look)]
    got = ae.Engine(policy, dtype=torch.float16)(patches(4), ids=IDS).images
    expected = ae.Engine(policy[:2], dtype=torch.float16)(patches(4), ids=IDS).images
    assert torch.equal(seen[0], expected)
    assert torch.equal(got, expected * 2)


def test_stages_follow_each_other():
    policy = [CROP, ae.Stage(lambda x: x + 1), ae.Stage(lambda x: x * 3)]
    plain = ae.Engine(CROP)(patches(4), ids=IDS).images
    assert torch.equal(ae.Engine(policy)(patches(4), ids=IDS).images, (plain + 1) * 3)


def test_the_plan_says_so():
    plan = ae.Engine([CROP, ae.Stage(torch.nn.Dropout(0.5))]).plan([(40, 50)] * 4, IDS)
    assert plan.explain(0).endswith("then Dropout, not fused")


@pytest.mark.parametrize("each", [False, True])
def test_its_randomness_is_keyed(each):
    engine = ae.Engine([CROP, ae.Stage(v2.RandomErasing(p=1, value="random"), each=each)], seed=1)
    first = engine(patches(4), ids=IDS, epoch=3).images
    torch.manual_seed(99)
    assert torch.equal(engine(patches(4), ids=IDS, epoch=3).images, first)
    assert not torch.equal(engine(patches(4), ids=IDS, epoch=4).images, first)


def test_each_is_keyed_by_the_sample():
    engine = ae.Engine([CROP, ae.Stage(v2.GaussianNoise(), each=True)], seed=1)
    whole = engine(patches(4), ids=IDS, epoch=0).images
    some = engine(patches(4)[[2, 1]], ids=[2, 1], epoch=0).images
    assert torch.equal(some, whole[[2, 1]])
    twice = ae.Engine(ae.Views(crops=[[CROP, ae.Stage(v2.GaussianNoise(), each=True)]] * 2), seed=1)
    a, b = (v.images for v in twice(torch.zeros(1, 3, 9, 9, dtype=torch.uint8), ids=[0])["crops"])
    assert not torch.equal(a, b)


def test_global_generators_are_put_back():
    torch.manual_seed(5), random.seed(5), np.random.seed(5)  # noqa: NPY002
    expected = torch.rand(1), random.random(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(5), random.seed(5), np.random.seed(5)  # noqa: NPY002

    def draws(images):
        return images + torch.rand(1) + random.random() + np.random.rand()  # noqa: NPY002

    ae.Engine([CROP, ae.Stage(draws)])(patches(4), ids=IDS)
    assert (torch.rand(1), random.random(), np.random.rand()) == expected  # noqa: NPY002


class Pairs(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        return patches(8, 40, 50)[i], i


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_loader(workers):
    collate = ae.Collate([CROP, ae.Stage(v2.GaussianNoise(), each=True)], seed=2)
    collate.set_epoch(0)
    loader = DataLoader(ae.WithIds(Pairs()), 4, num_workers=workers, collate_fn=collate)
    got = torch.cat([batch.images for batch in loader])
    engine = ae.Engine([CROP, ae.Stage(v2.GaussianNoise(), each=True)], seed=2)
    assert torch.equal(got, engine(patches(8, 40, 50), ids=np.arange(8)).images)


def test_out_is_written():
    out = torch.empty(4, 3, 24, 24)
    got = ae.Engine([CROP, ae.Stage(lambda x: 1 - x)])(patches(4), ids=IDS, out=out).images
    assert got.data_ptr() == out.data_ptr()
    plain = ae.Engine(CROP)(patches(4), ids=IDS).images
    assert torch.equal(out, 1 - plain)


def test_kornia_and_a_change_of_size():
    kornia = pytest.importorskip("kornia.augmentation")
    engine = ae.Engine(
        [CROP, ae.Stage(kornia.RandomElasticTransform(p=1)), ae.Stage(v2.Resize(12))]
    )
    assert engine(patches(4), ids=IDS).images.shape == (4, 3, 12, 12)


def test_errors():
    with pytest.raises(TypeError, match=r"Stage: got 3, expected a module or a function"):
        ae.Stage(3)
    with pytest.raises(ValueError, match=r"CutMix comes after Stage, expected"):
        ae.Policy([ae.Stage(abs), ae.CutMix()])
    with pytest.raises(
        ValueError, match=r"Policy: Stage stands inside another op, expected it at the top"
    ):
        ae.Policy(ae.RandomApply([ae.Stage(abs)]))
    with pytest.raises(
        ValueError, match=r"Stage: the module made \(3, 24, 24\) of images \(4, 3, 24, 24\)"
    ):
        ae.Engine([CROP, ae.Stage(lambda images: images[0])])(patches(4), ids=IDS)
    with pytest.raises(
        ValueError, match=r"Policy\.to_yaml: got Stage.*expected ops that YAML can say"
    ):
        ae.Policy([CROP, ae.Stage(abs)]).to_yaml()
    with pytest.raises(ValueError, match=r"got the op 'Stage', which is unknown"):
        ae.Policy.from_yaml("augengine: 1\npolicy: [{Stage: {module: abs}}]")


def test_fingerprints_tell_stages_apart():
    a, b = (ae.Policy([CROP, ae.Stage(torch.nn.Dropout(p))]) for p in (0.1, 0.2))
    assert a.fingerprint != b.fingerprint != ae.Policy(CROP).fingerprint
