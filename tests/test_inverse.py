"""The way back: what lies on the outputs comes to where it lies on the originals."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from cases import assert_close, each_executor, plan_of
from generated import examples, policies
from hypothesis import assume, given
from hypothesis import strategies as st
from photos import patches

import augengine as ae

EXACT = {
    "horizontal flip": [ae.RandomHorizontalFlip(1)],
    "vertical flip": [ae.RandomVerticalFlip(1)],
    "quarter turns": [ae.RandomQuarterTurn()],
    "a flip seen through a filter": [ae.RandomHorizontalFlip(1), ae.GaussianBlur(1), ae.RandomQuarterTurn()],
    "a canvas": [ae.RandomCrop(64, padding=20), ae.RandomHorizontalFlip(1)],
}  # fmt: skip

MOVED = {
    "rotation": [ae.RandomRotation(40)],
    "rotation, expanded": [ae.RandomRotation((30, 30), expand=True)],
    "affine": [ae.RandomAffine(30, (0.1, 0.1), (0.7, 1.4), (-15, 15, -10, 10))],
    "perspective": [ae.RandomPerspective(0.5, p=1)],
    "crop": [ae.RandomResizedCrop(48, scale=(0.5, 0.9)), ae.RandomHorizontalFlip()],
    "shrink": [ae.Resize((24, 40)), ae.RandomVerticalFlip()],
    "chain": [
        ae.RandomRotation(20),
        ae.GaussianBlur(3),
        ae.RandomPerspective(0.3, p=1),
        ae.RandomAdjustSharpness(2, p=1),
        ae.RandomResizedCrop(64, scale=(0.6, 1)),
        ae.RandomRotation(20),
    ],
}


def square(height, width, y0, x0, y1, x1):
    """A white rectangle on black, [1, 3, height, width] in float32."""
    image = torch.zeros(1, 3, height, width)
    image[..., y0:y1, x0:x1] = 1
    return image


def there_and_back(plan, images, executor=None, **how):
    """The images as the plan draws them, brought back. (Weights that add up to 1 do so but for rounding.)"""
    drawn = ae.execute(plan, images, executor=executor).clamp(0, 1)
    return ae.execute(plan.inverse(**how), drawn, executor=executor)


def middle_of_white(image):
    """x, y of the middle of what is white, and how much of it there is."""
    weight = image.mean(dim=0).double()
    y = torch.arange(image.shape[1]).double()[:, None] + 0.5
    x = torch.arange(image.shape[2]).double() + 0.5
    total = weight.sum()
    return (weight * x).sum() / total, (weight * y).sum() / total, total


@each_executor
@pytest.mark.parametrize("name", EXACT)
def test_flips_and_quarter_turns_come_back_to_the_bit(name, executor):
    images = torch.rand(6, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    plan = plan_of(EXACT[name], images)
    drawn = ae.execute(plan, images, executor=executor)
    back = ae.execute(plan.inverse(fill=0.5), drawn, executor=executor)
    # What the crop shows: which original pixels are among the drawn ones, found without geometry.
    values = {i: set(drawn[i, 0].ravel().tolist()) for i in range(6)}
    for i in range(6):
        shown = torch.tensor([v in values[i] for v in images[i, 0].ravel().tolist()]).view(40, 40)
        assert shown.float().mean() > 0.2
        assert torch.equal(back[i][:, shown], images[i][:, shown])
        assert (back[i][:, ~shown] == 0.5).all()


@each_executor
@pytest.mark.parametrize("name", MOVED)
@pytest.mark.parametrize("where", [(20, 24, 40, 52), (30, 30, 36, 36)])
def test_a_painted_rectangle_comes_back_to_where_it_was(name, where, executor):
    image = square(64, 80, *where)
    y0, x0, y1, x1 = where
    for seed in range(6):
        plan = plan_of(MOVED[name], image, seed=seed)
        back = there_and_back(plan, image, executor)[0]
        # Where all of it, and a rim, was shown: a white picture comes back white there.
        seen = there_and_back(plan, torch.ones_like(image), executor)[0, 0]
        if seen[y0 - 6 : y1 + 6, x0 - 6 : x1 + 6].min() < 0.999:
            continue
        x, y, total = middle_of_white(back)
        assert abs(x - (x0 + x1) / 2) <= 0.5
        assert abs(y - (y0 + y1) / 2) <= 0.5
        assert total == pytest.approx((y1 - y0) * (x1 - x0), rel=0.15)
        break
    else:
        pytest.fail("no seed shows the rectangle whole")


@pytest.mark.parametrize("name", MOVED)
def test_points_there_and_back(name):
    """Each drawn pixel of a picture of its own coordinates says where the inverse must bring it."""
    height, width = 64, 80
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    coordinates = torch.stack([(x + 0.5) / width, (y + 0.5) / height, torch.ones_like(x)]).float()[
        None
    ]
    plan = plan_of(MOVED[name], coordinates, seed=1)
    back = there_and_back(plan, coordinates)[0]
    # Away from what is fill, a linear picture survives linear filters.
    seen = back[2] > 0.9999
    eroded = -torch.nn.functional.max_pool2d(-seen[None].float(), 13, 1, 6)[0] > 0.5
    eroded[:6], eroded[-6:], eroded[:, :6], eroded[:, -6:] = False, False, False, False
    assert eroded.float().mean() > 0.05
    error = (back[:2] - coordinates[0, :2]).abs()
    assert (error[0][eroded] * width).max() < 0.5
    assert (error[1][eroded] * height).max() < 0.5


@each_executor
def test_what_a_crop_left_out_is_fill(executor):
    images = patches(3, 40, 50)
    plan = plan_of([ae.CenterCrop((20, 30)), ae.RandomRotation(30)], images)
    ones = torch.ones(plan.shape)
    back = ae.execute(plan.inverse(), ones, executor=executor)
    inside = torch.zeros(40, 50, dtype=torch.bool)
    inside[10:30, 10:40] = True
    assert (back[:, :, ~inside] == 0).all()
    assert back[:, :, inside].mean() > 0.8
    # And what the rotation took out of the frame: the corners of the crop.
    turned = [i for i in range(3) if "+" in plan.explain(i) or "-" in plan.explain(i)]
    assert turned
    assert all(back[i, 0, 10, 10] == 0 for i in turned)


def test_behind_the_horizon_nothing_comes_back():
    """A plane that is seen to its horizon: what lies behind the eye is not drawn, and not brought back."""
    base = ae.Policy([]).sample([0], [(40, 40)])
    matrix = np.array([[[1, 0, 0], [0, 1, 0], [0.04, 0, -0.2]]], np.float32)
    plan = dataclasses.replace(base, inv_matrix=matrix)
    y, x = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
    picture = torch.stack([(x + 0.5) / 40, (y + 0.5) / 40, torch.ones_like(x)]).float()[None]
    back = there_and_back(plan, picture)[0]
    # Output columns beyond 5 look ahead. x / (0.04 x − 0.2) = s has the solution 0.2 s / (0.04 s − 1),
    # which is ahead for s above 25, where 0.04 x − 0.2 > 0.
    assert (back[2][:, :25] == 0).all()
    seen = back[2] > 0.999
    assert seen[:, 32:].any()
    assert ((back[0] - picture[0, 0]).abs()[seen] * 40).max() < 0.5


def test_a_perspective_that_shows_nothing_gives_nothing_back():
    base = ae.Policy([]).sample([0, 1], [(40, 40)] * 2)
    matrix = base.inv_matrix.copy()
    matrix[0, :2] = 0  # all points look at one
    plan = dataclasses.replace(base, inv_matrix=matrix)
    back = ae.execute(plan.inverse(fill=0.25), torch.ones(2, 3, 40, 40))
    assert (back[0] == 0.25).all()
    assert (back[1] == 1).all()


def test_shrinks_are_antialiased():
    """The way back from an enlargement weighs all of its pixels, as a resize by torchvision does."""
    from torchvision.transforms.v2 import functional

    images = patches(2, 30, 40)
    plan = plan_of(ae.Resize((120, 160)), images)
    noise = torch.rand(2, 3, 120, 160, generator=torch.Generator().manual_seed(0))
    expected = functional.resize(noise, [30, 40], antialias=True)
    assert_close(ae.execute(plan.inverse(), noise), expected, 1e-5)


def test_originals_of_different_sizes_lie_in_the_upper_left_corner():
    images = [torch.rand(3, h, w) for h, w in ((20, 30), (32, 24))]
    plan = plan_of([ae.RandomHorizontalFlip(1), ae.Resize((32, 32))], images)
    back = plan.inverse()
    assert back.shape == (2, 3, 32, 30)
    drawn = ae.execute(back, torch.ones(plan.shape))
    for picture, (h, w) in zip(drawn, ((20, 30), (32, 24)), strict=True):
        assert (picture[:, :h, :w] > 0.999).all()
        assert picture.sum().item() == pytest.approx(3 * h * w, rel=1e-3)
    larger = ae.execute(plan.inverse((40, 50)), torch.ones(plan.shape))
    assert torch.equal(larger[..., :32, :30], drawn)
    one = plan.select(1).inverse()
    assert one.shape == (1, 3, 32, 24)


def test_the_views_of_several_looks_come_back_one_by_one():
    policy = ae.Policy(
        [ae.RandomResizedCrop(24, scale=(1, 1), ratio=(1, 1)), ae.RandomHorizontalFlip()]
    )
    looks = [policy.sample([3, 4], [(24, 24)] * 2, look=look) for look in range(3)]
    images = torch.rand(2, 3, 24, 24)
    plan = ae.side_by_side(looks)
    back = there_and_back(plan, images)
    assert back.shape == (6, 3, 24, 24)
    assert torch.equal(back, images.repeat(3, 1, 1, 1))
    assert plan.inverse().ids.tolist() == [3, 4] * 3


def test_other_channels_and_words():
    plan = plan_of([ae.RandomHorizontalFlip(1)], patches(2))
    assert plan.inverse(channels=21).shape[1] == 21
    one = plan_of([ae.CenterCrop(16)], patches(1, 20, 24)).inverse()
    assert one.explain(0) == "back to the original of 20×24 at (2, 4)"
    assert ae.Plan.from_bytes(one.to_bytes()) == one


def test_what_was_erased_was_predicted_anyway():
    images = torch.rand(3, 3, 32, 32)
    plan = plan_of([ae.RandomHorizontalFlip(1), ae.RandomErasing(1), ae.Cutout()], images)
    predicted = torch.rand(3, 5, 32, 32)
    assert torch.equal(ae.execute(plan.inverse(channels=5), predicted), predicted.flip(3))


BOXES = [[20.0, 16, 50, 40], [30, 30, 36, 44]]


@pytest.mark.parametrize("name", ["shrink", "crop", "chain", "affine", "perspective"])
def test_boxes_there_and_back(name):
    found = 0
    for seed in range(8):
        plan = ae.Policy(MOVED[name]).sample([0], [(64, 80)], seed=seed)
        there = ae.boxes(plan, [BOXES], min_visible=0.999)[0]
        back = ae.boxes(plan.inverse(), [there.boxes], min_visible=0)[0]
        for box, (_, at) in zip(back.boxes, back.origin, strict=True):
            truth = np.array(BOXES[there.origin[at, 1]])
            # A box around what is turned is larger, never smaller.
            slack = 0.5 if name in ("shrink", "crop") else 40
            assert (box[:2] - truth[:2]).max() <= 0.5
            assert (truth[2:] - box[2:]).max() <= 0.5
            assert np.abs(box - truth).max() <= slack
            found += 1
    assert found >= 4


def test_masks_and_keypoints_there_and_back():
    classes = torch.arange(40 * 50).reshape(1, 40, 50) % 200
    plan = ae.Policy([ae.RandomCrop(32), ae.RandomHorizontalFlip(1)]).sample([0], [(40, 50)])
    back = ae.masks(plan.inverse(), ae.masks(plan, classes), fill=255)[0]
    y0, x0, y1, x1 = plan.clip[0].astype(int)
    assert torch.equal(back[y0:y1, x0:x1], classes[0, y0:y1, x0:x1])
    assert (back == 255).sum() == 40 * 50 - 32 * 32
    for name in MOVED:
        plan = ae.Policy(MOVED[name]).sample([0], [(64, 80)], seed=3)
        points = np.array([[30.0, 28], [44, 36]])
        there = ae.keypoints(plan, [points])[0]
        again = ae.keypoints(plan.inverse(), [there.keypoints])[0]
        assert len(again.keypoints)
        for point, (_, at) in zip(again.keypoints, again.origin, strict=True):
            assert np.abs(point[:2] - points[there.origin[at, 1]]).max() < 0.01


sides = st.integers(24, 80)


@given(policies(mixes=False, normalise=False), st.integers(0, 9), sides, sides)
@examples(60)
def test_any_policy_there_and_back(ops, seed, height, width):
    """A picture of coordinates, through the geometry and back, away from its edges."""
    plan = ae.Policy(ops).sample([0], [(height, width)], seed=seed)
    plan = dataclasses.replace(plan, support=np.maximum(plan.support, 1))
    assume((plan.border == 0).all() and min(plan.finish.size) >= 5)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    picture = torch.stack([x, y, torch.ones_like(x)])[None]
    back = ae.resample(plan.inverse(), ae.resample(plan, picture))[0]
    edge = int(3 * plan.support.max()) + 3  # as far as a filter reaches there, and back
    seen = torch.nn.functional.pad((back[2] > 0.999)[None, None].float(), [edge] * 4)
    inner = torch.nn.functional.max_pool2d(-seen, 2 * edge + 1, 1)[0, 0] < -0.5
    assert not ((back[:2] - picture[0, :2]).abs() > 0.5)[:, inner].any()


@pytest.mark.parametrize("mix", [ae.CutMix(), ae.MixUp(), ae.Mosaic()], ids=repr)
def test_a_mix_has_no_way_back(mix):
    plan = plan_of([ae.CenterCrop(32), mix], patches(4, 40, 50))
    with pytest.raises(ValueError, match=r"Plan\.inverse: output \d shows \d views that carry"):
        plan.inverse()


def test_a_size_that_is_too_small():
    plan = plan_of(ae.CenterCrop(32), patches(2, 40, 50))
    with pytest.raises(
        ValueError, match=re.escape("got size 40×49, the original of output 0 is 40×50")
    ):
        plan.inverse((40, 49))
