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
    "detection, flips": presets.detection_hflip(),
    "detection, many sizes": presets.detection_multiscale([64, 80], 110),
    "detection, LSJ": presets.detection_lsj(96),
    "detection, YOLO": presets.detection_yolo(96),
    "detection, YOLO, its Mosaic closed": presets.detection_yolo(96, epochs=10),
    "segmentation": presets.segmentation(64, base_size=70),
    "segmentation, evaluation": presets.segmentation(base_size=70, train=False),
}
WITH_BOXES = {
    "detection, SSD": presets.detection_ssd(64),
    "detection, SSDlite": presets.detection_ssdlite(64),
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
    assert narrow.transforms[0] == ae.RandomResizedCrop(
        96, scale=(0.05, 0.4), interpolation="bicubic"
    )
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


# For detectors


@pytest.mark.parametrize("name", WITH_BOXES)
def test_policies_that_look_at_boxes_run_and_read_back(name):
    policy = WITH_BOXES[name]
    assert ae.Policy.from_yaml(policy.to_yaml()) == policy
    boxes = [[[20, 30, 200, 210], [50, 60, 90, 100]]] * 5 + [np.zeros((0, 4))]
    plan = policy.sample(IDS, [image.shape[1:] for image in photos()], boxes=boxes)
    assert plan.shape == (6, 3, 64, 64)
    assert torch.isfinite(ae.execute(plan, photos())).all()


@pytest.mark.parametrize(
    "policy",
    [
        presets.detection_hflip(),
        presets.detection_multiscale([64, 80], 110),
        presets.detection_lsj(96),
        presets.detection_ssd(64),
        presets.detection_ssdlite(64),
        presets.detection_yolo(96, epochs=10),
        presets.detection_yolo(96, epochs=10, close_mosaic=10),
    ],
    ids=lambda policy: type(policy.transforms[0]).__name__,
)
def test_boxes_are_where_their_objects_are_painted(policy):
    """A white object in each black picture of its own size: where white lies in the output, one box does,
    and where a box lies, so does white."""
    rng, images, boxes = np.random.default_rng(0), [], []
    for _ in range(24):
        height, width = rng.integers(60, 140, 2)
        y0, x0 = rng.integers(0, 30, 2)
        y1, x1 = y0 + rng.integers(24, height - y0 + 1), x0 + rng.integers(24, width - x0 + 1)
        image = torch.zeros(3, height, width, dtype=torch.uint8)
        image[:, y0:y1, x0:x1] = 255
        images.append(image)
        boxes.append([[x0, y0, x1, y1]])
    sizes = [image.shape[1:] for image in images]
    plan = policy.sample(range(24), sizes, boxes=boxes if policy.needs_boxes else None)
    drawn = ae.execute(plan.without_colour(), images)
    seen = 0
    for image, placed in zip(drawn, ae.boxes(plan, boxes, min_visible=0, min_size=0), strict=True):
        white = image.mean(0) > 0.75  # the fills are below
        covered = torch.zeros_like(white)
        for x0, y0, x1, y1 in placed.boxes.tolist():
            covered[max(round(y0), 0) : round(y1), max(round(x0), 0) : round(x1)] = True
            inside = white[round(y0) + 1 : round(y1) - 1, round(x0) + 1 : round(x1) - 1]
            assert inside.all()
            seen += 1
        missed = white & ~covered
        # A pixel along an edge may count as white where less than half of it is within the box.
        assert missed.sum() <= 4 * sum(image.shape[1:])
        assert not (missed[1:-1, 1:-1] & missed[:-2, 1:-1] & missed[2:, 1:-1]
                    & missed[1:-1, :-2] & missed[1:-1, 2:]).any()  # fmt: skip
    assert seen >= 18


def test_yolos_mosaic_closes_in_time():
    open_in = [presets.detection_yolo(32, epochs=n, close_mosaic=3).mixes for n in (2, 3, 4)]
    assert open_in == [False, False, True]
    policy = presets.detection_yolo(32, epochs=20)
    for epoch in range(20):
        plan = policy.sample(range(4), [(40, 30)] * 4, epoch=epoch)
        assert (plan.view.shape[1] > 1) == (epoch < 10)
    with pytest.raises(ValueError, match=r"detection_yolo: close_mosaic: got -1, expected"):
        presets.detection_yolo(epochs=5, close_mosaic=-1)


def test_padding_is_about_0_once_normalised():
    """As where torchvision's detectors normalise first and pad then."""
    engine = ae.Engine(presets.detection_hflip())
    image = engine([torch.zeros(3, 8, 8, dtype=torch.uint8)], ids=[0]).images[0]
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in (presets.IMAGENET_MEAN, presets.IMAGENET_STD)
    )
    assert ((image - mean) / std)[:, 8:].abs().max() < 0.02
