"""The recipes: they run, read back, and hold their sources' numbers."""

import numpy as np
import pytest
import torch
from photos import photos

import augengine as ae
from augengine.recipes import presets

POLICIES = {
    "imagenet": presets.imagenet(64),
    "imagenet, RandAugment": presets.imagenet(64, auto=ae.RandAugment()),
    "imagenet, evaluation": presets.imagenet(64, train=False),
    "deit3": presets.deit3(64),
    "cifar": presets.cifar(),
    "cifar, evaluation": presets.cifar(train=False),
    "noisy_student": presets.noisy_student(64),
    "detection": presets.detection(96),
}
VIEWS = {
    "fixmatch": (presets.fixmatch(), {"weak": None, "strong": None}),
    "simclr": (presets.simclr(40), {"views": 2}),
    "byol": (presets.byol(40), {"first": None, "second": None}),
    "dino": (presets.dino(48, local_size=24, local_crops=6), {"globals": 2, "locals": 6}),
}
IDS = np.arange(6)


@pytest.mark.parametrize("name", POLICIES)
def test_policies_run_and_read_back(name, tmp_path):
    policy = POLICIES[name]
    assert ae.Policy.from_yaml(policy.to_yaml()) == policy
    batch = ae.Engine(policy, num_classes=6)(photos(), torch.arange(6), ids=IDS)
    assert torch.isfinite(batch.images).all()
    if policy.mixes:
        assert torch.allclose(batch.labels.sum(dim=-1), torch.ones(6))
    else:
        assert torch.equal(batch.labels, torch.arange(6))
    batch.plan.save(tmp_path / "plan")
    again = ae.Plan.load(tmp_path / "plan")
    assert again == batch.plan
    assert torch.equal(ae.execute(again, photos()), batch.images)
    assert all(again.explain(i) for i in range(6))


@pytest.mark.parametrize("name", VIEWS)
def test_views_run(name):
    views, counts = VIEWS[name]
    made = ae.Engine(views)(photos(), ids=IDS)
    assert {k: len(v) if isinstance(v, list) else None for k, v in made.items()} == counts
    for batches in made.values():
        for batch in batches if isinstance(batches, list) else [batches]:
            assert torch.isfinite(batch.images).all()
            assert ae.Policy(batch.plan.policy and _policy(views, batch.plan)).fingerprint


def _policy(views, plan):
    return next(policy for _, _, policy in views.each() if policy.fingerprint == plan.policy)


def test_evaluation_is_torchvisions():
    from torchvision.transforms import v2

    crop = v2.Compose([v2.Resize(73, antialias=True), v2.CenterCrop(64)])
    normal = v2.Normalize(presets.IMAGENET_MEAN, presets.IMAGENET_STD)
    got = ae.Engine(presets.imagenet(64, train=False))(photos(), ids=IDS).images
    for image, made in zip(photos(), got, strict=True):
        expected = normal(crop(image.float() / 255))
        # But for the outermost pixels: ours see nothing from beyond the crop.
        assert (made - expected)[:, 2:-2, 2:-2].abs().max() < 3 / 255 / 0.224


def test_dinos_crops_and_fixmatchs_pair():
    wide, narrow = presets.dino().policies["globals"][0], presets.dino().policies["locals"][0]
    assert wide.transforms[0].scale == (0.4, 1.0)
    assert narrow.transforms[0] == ae.RandomResizedCrop(96, scale=(0.05, 0.4))
    names = [type(op).__name__ for op in presets.fixmatch().policies["strong"].transforms]
    assert names == ["RandomCrop", "RandomHorizontalFlip", "FixMatchAugment", "Normalize", "Cutout"]


def test_blurs_come_as_often_as_their_papers_say():
    first, second = (presets.byol(16).policies[k] for k in ("first", "second"))
    sizes = np.tile((20, 20), (1000, 1))
    blurred = [
        int((p.sample(np.arange(1000), sizes).source[:1000] >= 1000).sum()) for p in (first, second)
    ]
    assert blurred[0] == 1000
    assert 65 < blurred[1] < 140
