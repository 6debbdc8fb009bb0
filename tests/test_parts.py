"""What a plan looks at of its sources: nothing else matters, and no more finely than it is told."""

import numpy as np
import pytest
import torch
from encoded import by_pillow, encode
from hypothesis import given
from hypothesis import strategies as st
from photos import NAMES, photo
from PIL import Image

import augengine as ae
from augengine.plan import bounds
from augengine.plan.parts import needs_of, on_parts

POLICIES = [
    ae.RandomResizedCrop(24, scale=(0.02, 0.5)),
    [ae.RandomRotation(60), ae.RandomResizedCrop(20, scale=(0.05, 0.3))],
    [
        ae.RandomAffine(30, (0.2, 0.2), (0.5, 1.5)),
        ae.RandomCrop(16, padding=4, padding_mode="edge"),
    ],
    [ae.RandomPerspective(0.6, p=1), ae.CenterCrop(20)],
    [ae.RandomCrop(40), ae.RandomEqualize(p=1), ae.RandomRotation(30), ae.Resize(12)],
    [ae.RandomResizedCrop(24, scale=(0.05, 0.2)), ae.CutMix(), ae.RandomErasing(p=1)],
    [ae.RandomCrop(40), ae.GaussianBlur(5), ae.RandomResizedCrop(16)],
    [ae.Resize((9, 13), interpolation="bicubic"), ae.CenterCrop(8)],
    [ae.RandomResizedCrop(10, scale=(0.1, 0.3)), ae.RandomRotation(180)],
    [ae.RandomCrop(30, padding=12, padding_mode="reflect"), ae.RandomAutocontrast(p=1)],
]


def images_of(rng, n=3):
    return [rng.integers(0, 256, (*rng.integers(48, 120, 2), 3), np.uint8) for _ in range(n)]


@given(policy=st.sampled_from(range(len(POLICIES))), seed=st.integers(0, 2**31))
def test_pixels_outside_the_part_do_not_matter(policy, seed):
    rng = np.random.default_rng(seed)
    images = images_of(rng)
    sizes = [image.shape[:2] for image in images]
    plan = ae.Policy(POLICIES[policy]).sample(range(3), sizes, seed=seed)
    painted = []
    for image, (y0, x0, y1, x1) in zip(images, needs_of([plan]).box.tolist(), strict=True):
        other = rng.integers(0, 256, image.shape, np.uint8)
        other[y0:y1, x0:x1] = image[y0:y1, x0:x1]
        painted.append(other)
    assert torch.equal(ae.execute(plan, images), ae.execute(plan, painted))


@given(policy=st.sampled_from(range(len(POLICIES))), seed=st.integers(0, 2**31))
def test_the_plan_over_parts_draws_the_same(policy, seed):
    rng = np.random.default_rng(seed)
    images = images_of(rng)
    sizes = np.array([image.shape[:2] for image in images])
    plan = ae.Policy(POLICIES[policy]).sample(range(3), sizes, seed=seed)
    box = needs_of([plan]).box
    parts = [im[y0:y1, x0:x1] for im, (y0, x0, y1, x1) in zip(images, box.tolist(), strict=True)]
    derived = on_parts(plan, np.ones((3, 2)), -box[:, :2].astype(float), box[:, 2:] - box[:, :2])
    bounds.check(derived)
    for executor in ("cpu", "torch"):
        one, other = (
            ae.execute(p, i, executor=executor) for p, i in ((plan, images), (derived, parts))
        )
        difference = (one - other).abs()
        # A point that falls on a clip's edge may be taken for fill.
        assert (difference > 0.02).float().mean() < 0.01
        assert difference.mean() < 2e-3


def test_a_part_is_small_where_little_is_looked_at():
    plan = ae.Policy(ae.CenterCrop(16)).sample([0], [(100, 200)])
    assert needs_of([plan]).box.tolist() == [[42, 92, 58, 108]]  # a crop's filter sees the crop
    assert needs_of([plan]).scale.tolist() == [1]
    views = [
        ae.Policy(op).sample([0], [(800, 1600)])
        for op in (ae.Resize((50, 100)), ae.CenterCrop(400))
    ]
    assert needs_of(views[:1]).scale.tolist() == [8]
    assert needs_of(views[:1]).box.tolist() == [[0, 0, 800, 1600]]
    assert needs_of(views).scale.tolist() == [1]


@pytest.mark.parametrize(
    ("ops", "scale"),
    [
        (ae.Resize((100, 100)), 4),
        (ae.Resize((99, 101)), 2),
        (ae.Resize((100, 100), interpolation="bicubic"), 4),
        (ae.Resize((100, 100), interpolation="nearest"), 1),
        (ae.Resize((100, 100), antialias=False), 1),
        ([ae.Resize((100, 100)), ae.ColorJitter(contrast=0.5)], 4),
        ([ae.ColorJitter(contrast=(0.5, 0.6)), ae.Resize((100, 100))], 4),
        ([ae.Resize((100, 100)), ae.RandomEqualize(p=1)], 1),
        ([ae.Resize((100, 100)), ae.RandomAutocontrast(p=1)], 1),
        ([ae.GaussianBlur(5), ae.Resize((100, 100))], 1),
    ],
)
def test_the_scale_follows_the_filters(ops, scale):
    plan = ae.Policy(ops).sample([0], [(800, 800)])
    assert needs_of([plan]).scale.tolist() == [scale]


# Largest and mean difference that docs/files.md states, of 255.
LARGEST, MEAN = 24, 0.5


@pytest.mark.parametrize(
    "ops",
    [
        ae.RandomResizedCrop(112, scale=(0.3, 1)),
        [ae.Resize(128), ae.CenterCrop(112)],
        [
            ae.RandomRotation(30),
            ae.RandomResizedCrop(96, scale=(0.3, 1)),
            ae.RandomHorizontalFlip(),
        ],
        [ae.RandomResizedCrop(112, interpolation="bicubic"), ae.ColorJitter(0.4, 0.4, 0.4)],
    ],
)
@pytest.mark.parametrize("executor", ["cpu", "torch"])
def test_scaled_photographs_are_within_the_stated_bound(ops, executor):
    data = []
    for b, name in enumerate(NAMES):
        image = Image.fromarray(photo(name).permute(1, 2, 0).numpy())
        size = (1280, 960) if b % 2 else (960, 1280)
        data.append(
            encode(image.resize(size, Image.Resampling.BICUBIC), quality=90, orientation=1 + b)
        )
    engine = ae.Engine(ops, dtype=torch.uint8, executor=executor)
    scaled = engine(data, ids=range(6), epoch=0)
    whole = engine([by_pillow(each) for each in data], ids=range(6), epoch=0)
    assert (needs_of([scaled.plan]).scale > 1).any()
    assert scaled.plan == whole.plan
    difference = (scaled.images.int() - whole.images.int()).abs()
    assert difference.max() <= LARGEST
    assert difference.float().mean() <= MEAN
