"""What the plan's geometry makes of boxes, against torchvision, and against the pixels."""

import numpy as np
import pytest
import torch
from cases import plan_of
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

import augengine as ae

H, W = 60, 80
BOXES = np.array([[5, 8, 30, 25], [40, 30, 75, 55], [0, 0, 80, 60]], float)


def images(n):
    return torch.zeros(n, 3, H, W, dtype=torch.uint8)


def moved(op, n=1, **how):
    plan = plan_of(op, images(n), **how)
    return ae.boxes(plan, [BOXES] * n, min_visible=0.0), plan


def by_torchvision(function, *args, **how):
    given = tv_tensors.BoundingBoxes(torch.from_numpy(BOXES), format="XYXY", canvas_size=(H, W))
    made = function(given, *args, **how)
    return F.clamp_bounding_boxes(made).numpy()


@pytest.mark.parametrize(
    ("op", "function"),
    [
        (ae.RandomHorizontalFlip(1), lambda b: F.horizontal_flip(b)),
        (ae.RandomVerticalFlip(1), lambda b: F.vertical_flip(b)),
        (ae.Resize((33, 90)), lambda b: F.resize(b, [33, 90])),
        (ae.CenterCrop((40, 50)), lambda b: F.center_crop(b, [40, 50])),
    ],
    ids=["hflip", "vflip", "resize", "crop"],
)
def test_boxes_move_as_torchvisions(op, function):
    ((found, origin, *_),) = moved(op)[0]
    expected = by_torchvision(function)
    assert origin[:, 0].tolist() == [0] * len(origin)
    np.testing.assert_allclose(found, expected[origin[:, 1]], atol=1e-3)


def test_a_rotated_box_is_the_bounding_box_of_its_image():
    ((found, origin, *_),) = moved(ae.RandomRotation((30, 30)))[0]
    expected = by_torchvision(F.rotate, 30.0)[origin[:, 1]]
    np.testing.assert_allclose(found, expected, atol=0.51)  # torchvision rounds its corners


@pytest.mark.parametrize(
    "ops",
    [
        [ae.RandomResizedCrop(50, scale=(0.4, 1)), ae.RandomHorizontalFlip()],
        [ae.RandomAffine(25, (0.1, 0.1), (0.7, 1.3), 10), ae.Resize((40, 44))],
        [ae.Resize((48, 48)), ae.GaussianBlur(3, 0.1), ae.RandomRotation(20)],
    ],
    ids=["crop", "affine", "through a filter"],
)
def test_a_painted_box_is_where_its_box_says(ops):
    """Paint one box white: its pixels in the output fill its box, and nothing lies outside."""
    x0, y0, x1, y1 = (int(v) for v in BOXES[1])
    batch = images(12)
    batch[:, :, y0:y1, x0:x1] = 255
    plan = plan_of(ops, batch)
    got = ae.execute(plan, batch)[:, 0] > 0.5
    found = ae.boxes(plan, [BOXES[1:2]] * 12, min_visible=0.0)
    seen = 0
    for mask, (box, *_) in zip(got, found, strict=True):
        ys, xs = np.nonzero(mask.numpy())
        if not len(ys) or not len(box):
            assert len(ys) < 60
            continue
        seen += 1
        painted = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        np.testing.assert_allclose(box[0], painted, atol=2.0)
    assert seen >= 8


def test_what_is_cut_away_drops_its_box():
    plan = plan_of(ae.CenterCrop((20, 20)), images(1))  # x 30 … 50, y 20 … 40
    kept = {
        v: ae.boxes(plan, [BOXES], min_visible=v)[0][1][:, 1].tolist() for v in (0.0, 0.05, 0.2)
    }
    assert kept == {0.0: [1, 2], 0.05: [1, 2], 0.2: []}


def test_mosaic_keeps_the_boxes_of_four():
    plan = plan_of(ae.Mosaic(), images(5))
    for i, (found, origin, *_) in enumerate(ae.boxes(plan, [BOXES] * 5, min_visible=0.05)):
        root = plan.roots()[plan.view[i, 1:5]]
        assert set(origin[:, 0]) <= set(root)
        tiles = plan.box[i, 1:5][:, [1, 0, 3, 2]]
        for box, (source, number) in zip(found, origin, strict=True):
            (tile,) = [t for t, r in zip(tiles, root, strict=True) if r == source][:1]
            assert (box[:2] >= tile[:2]).all() or (root == source).sum() > 1
            assert ((box[2:] - box[:2]) <= BOXES[number][2:] - BOXES[number][:2] + 1e-3).all()


def test_a_box_under_a_pasted_one_is_gone():
    plan = plan_of(ae.CutMix(), images(6), seed=1)
    for i, (_, origin, *_) in enumerate(ae.boxes(plan, [BOXES[:1]] * 6, min_visible=0.5)):
        y0, x0, y1, x1 = plan.box[i, 1]
        covers = x0 <= 5 and y0 <= 8 and x1 >= 30 and y1 >= 25
        assert (origin[:, 0] == i).any() != covers or not covers


def test_errors():
    plan = plan_of(ae.RandomHorizontalFlip(), images(3))
    with pytest.raises(
        ValueError, match=r"boxes: got those of 2 images, the plan has 3 sources\. Pass"
    ):
        ae.boxes(plan, [BOXES] * 2)
    assert ae.boxes(plan, [[]] * 3)[0][0].shape == (0, 4)


def test_a_plan_of_no_outputs_has_no_boxes():
    plan = plan_of(ae.CutMix(), torch.zeros(3, 3, 32, 32, dtype=torch.uint8)).select([])
    assert ae.boxes(plan, [[[4, 4, 20, 28]]] * 3) == []
