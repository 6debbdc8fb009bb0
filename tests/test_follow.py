"""Whole targets: dicts as torchvision's detection references have them, boxes, keypoints and masks alone."""

import numpy as np
import pytest
import torch
from cases import plan_of
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

import augengine as ae

H, W, N = 60, 80, 4
BOXES = torch.tensor([[5.0, 8, 30, 25], [40, 30, 75, 55], [0, 0, 80, 60]])
MIXED = [ae.RandomResizedCrop(48, (0.5, 1)), ae.Mosaic(p=0.5), ae.CutMix(p=0.5), ae.MixUp(p=0.5)]


def images(n=N):
    return torch.zeros(n, 3, H, W, dtype=torch.uint8)


def target(b, count=3):
    """That of sample b, whose every value says whose it is."""
    boxes = BOXES[:count]
    return {
        "boxes": boxes.clone(),
        "labels": torch.arange(count) + 10 * b,
        "image_id": torch.tensor([b]),
        "iscrowd": torch.zeros(count, dtype=torch.uint8),
        "scores": np.arange(count) / 4 + b,
        "names": [f"{b}-{k}" for k in range(count)],
        "orig_size": (H, W),
        "caption": f"image {b}",
        "features": torch.arange(count * 6.0).reshape(count, 2, 3) + b,
    }


def test_every_field_of_instances_follows_its_boxes():
    counts = [3, 0, 2, 1]
    plan = plan_of(MIXED, images(), seed=3)
    given = [target(b, count) for b, count in enumerate(counts)]
    placed = ae.boxes(plan, [one["boxes"] for one in given])
    followed = ae.follow(plan, given)
    assert sum(len(one["labels"]) for one in followed) > 4
    for i, (got, boxes) in enumerate(zip(followed, placed, strict=True)):
        assert list(got) == [*given[0], "dropped"]
        torch.testing.assert_close(got["boxes"], torch.from_numpy(boxes.boxes))
        source, number = boxes.origin.T
        assert got["labels"].tolist() == (10 * source + number).tolist()
        assert got["labels"].dtype == torch.int64
        assert got["iscrowd"].dtype == torch.uint8
        assert got["scores"].tolist() == (number / 4 + source).tolist()
        assert got["names"] == [f"{s}-{n}" for s, n in boxes.origin]
        assert got["features"].shape == (len(source), 2, 3)
        assert got["features"][:, 0, 0].tolist() == (6 * number + source).tolist()
        assert got["image_id"].tolist() == [i]
        assert got["caption"] == f"image {i}"
        assert got["orig_size"] == (H, W)
        shown = set(plan.roots()[plan.view[i][(plan.view[i] >= 0) & (plan.weight[i] > 0)]])
        assert got["dropped"] >= sum(counts[s] for s in shown) - len(source)


def test_nothing_is_dropped_without_a_count():
    plan = plan_of(ae.CenterCrop(20), images(1))
    (got,) = ae.follow(plan, [target(0)], ae.TargetOptions(min_visible=0.2))
    assert got["dropped"] == 3 - len(got["labels"]) == 3
    (got,) = ae.follow(plan, [target(0)], ae.TargetOptions(min_visible=0))
    assert got["dropped"] == 3 - len(got["labels"]) == 1


def test_the_same_as_torchvisions_transforms():
    """A crop and a flip of a sample with boxes, masks of instances, keypoints and labels."""
    masks = torch.zeros(3, H, W, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, BOXES.int().tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    given = {
        "boxes": tv_tensors.BoundingBoxes(BOXES, format="XYXY", canvas_size=(H, W)),
        "masks": tv_tensors.Mask(masks),
        "labels": torch.tensor([1, 2, 3]),
        "semantic": tv_tensors.Mask(torch.arange(H * W).reshape(H, W)),
    }
    theirs = v2.Compose(
        [v2.CenterCrop((40, 60)), v2.RandomHorizontalFlip(1), v2.SanitizeBoundingBoxes()]
    )(images(1)[0], given)[1]
    plan = plan_of([ae.CenterCrop((40, 60)), ae.RandomHorizontalFlip(1)], images(1))
    (ours,) = ae.follow(plan, [given], ae.TargetOptions(min_visible=0))
    for name in ("boxes", "masks", "semantic"):
        assert type(ours[name]) is type(theirs[name])
        assert ours[name].dtype == theirs[name].dtype
    torch.testing.assert_close(
        ours["boxes"].as_subclass(torch.Tensor), theirs["boxes"].as_subclass(torch.Tensor)
    )
    assert ours["boxes"].canvas_size == theirs["boxes"].canvas_size == (40, 60)
    assert torch.equal(ours["masks"], theirs["masks"])
    assert torch.equal(ours["semantic"], theirs["semantic"])
    assert torch.equal(ours["labels"], theirs["labels"])


@pytest.mark.parametrize("format", ["XYXY", "XYWH", "CXCYWH", "CXCYWHR", "XYXYXYXY"])
def test_torchvisions_boxes_keep_their_class_format_and_dtype(format):
    boxes = BOXES.double()
    if len(format) > 6:
        boxes = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]]
    old = "XYXYXYXY" if len(format) > 6 else "XYXY"
    boxes = F.convert_bounding_box_format(boxes, old, format)
    boxes = tv_tensors.BoundingBoxes(boxes, format=format, canvas_size=(H, W))
    plan = plan_of(ae.RandomHorizontalFlip(1), images(1))
    for (got,) in (
        ae.follow(plan, [boxes]),
        [one["boxes"] for one in ae.follow(plan, [{"boxes": boxes}])],
    ):
        assert type(got) is tv_tensors.BoundingBoxes
        assert got.format.value == format
        assert got.dtype == torch.float64
        back = F.convert_bounding_box_format(F.horizontal_flip(got), new_format=old)
        torch.testing.assert_close(extents(back), extents(BOXES.double()))


def extents(boxes):
    """x0, y0, x1, y1 about boxes that are given by corners."""
    corners = boxes.as_subclass(torch.Tensor).reshape(len(boxes), -1, 2)
    return torch.cat([corners.amin(1), corners.amax(1)], dim=1)


def test_masks_tell_instances_where_there_are_no_boxes():
    masks = torch.zeros(2, H, W, dtype=torch.uint8)
    masks[0, 25:35, 30:50], masks[1, :5, :5] = 1, 1
    plan = plan_of(ae.CenterCrop(20), images(1))
    (got,) = ae.follow(plan, [{"masks": masks, "labels": torch.tensor([4, 5])}])
    assert got["labels"].tolist() == [4]
    assert torch.equal(got["masks"], F.center_crop(masks, [20, 20])[:1])
    assert got["dropped"] == 1


def test_an_instance_has_the_pixels_of_its_own_look():
    """In a mosaic of one sample twice, each of the two instances has its own tile."""
    plan = ae.Policy([ae.Resize((40, 40)), ae.Mosaic()]).sample([0, 1], [(40, 40)] * 2, seed=1)
    mask = torch.zeros(1, 40, 40, dtype=torch.uint8)
    mask[0, 10:30, 10:30] = 1
    given = [
        {"boxes": torch.tensor([[10.0, 10, 30, 30]]), "masks": mask, "labels": torch.tensor([b])}
        for b in range(2)
    ]
    for got in ae.follow(plan, given, ae.TargetOptions(min_visible=0.05)):
        assert len(got["boxes"]) >= 2
        for box, one in zip(got["boxes"], got["masks"], strict=True):
            ys, xs = one.nonzero(as_tuple=True)
            extent = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float()
            torch.testing.assert_close(box, extent, atol=0.51, rtol=0)


def test_keypoints_stay_with_their_boxes():
    people = torch.rand(3, 5, 3) * torch.tensor([W, H, 0]) + torch.tensor([0, 0, 2.0])
    plan = plan_of([ae.CenterCrop((40, 60)), ae.RandomHorizontalFlip(1)], images(1))
    options = ae.TargetOptions(min_visible=0, flip_pairs=[(0, 1)])
    given = {"boxes": BOXES, "keypoints": people, "labels": torch.arange(3)}
    (got,) = ae.follow(plan, [given], options)
    assert got["keypoints"].shape == (len(got["boxes"]), 5, 3)
    first = people[int(got["labels"][0])]
    expected = torch.tensor([60 - (first[1, 0] - 10), first[1, 1] - 10])
    torch.testing.assert_close(got["keypoints"][0, 0, :2], expected)


def test_areas_are_those_of_what_is_seen():
    plan = plan_of([ae.CenterCrop((60, 40)), ae.Resize((120, 80))], images(1))
    box = torch.tensor([[0.0, 0, 40, 30]])  # half of it is in the crop
    given = {"boxes": box, "area": torch.tensor([600.0]), "labels": torch.tensor([1])}
    (got,) = ae.follow(plan, [given])
    torch.testing.assert_close(got["area"], torch.tensor([600.0 / 2 * 4]))


def test_polygons_and_lists_come_back_as_they_came():
    plan = plan_of(ae.RandomHorizontalFlip(1), images(1))
    given = {
        "bbox": [[10, 10, 20, 20]],
        "segmentation": [[[10, 10, 30, 10, 30, 30]]],
        "category": ["cat"],
    }
    (got,) = ae.follow(plan, [given], ae.TargetOptions(box_format="coco"))
    assert got["bbox"] == [[50, 10, 20, 20]]
    assert got["segmentation"] == [[[70, 10, 50, 10, 50, 30]]]
    assert got["category"] == ["cat"]


@pytest.mark.parametrize("kind", ["tensor", "array", "PIL", "Mask"])
def test_masks_alone(kind):
    mask = np.arange(H * W, dtype=np.uint8).reshape(H, W)
    given = {
        "tensor": torch.from_numpy(mask),
        "array": mask,
        "PIL": Image.fromarray(mask),
        "Mask": tv_tensors.Mask(torch.from_numpy(mask)),
    }[kind]
    plan = plan_of(ae.RandomHorizontalFlip(1), images(2))
    got = ae.follow(plan, [given] * 2)
    assert torch.equal(torch.as_tensor(got[1]), torch.from_numpy(mask).flip(-1))


def test_padded():
    plan = plan_of(ae.RandomHorizontalFlip(1), images(3))
    followed = ae.follow(plan, [target(b, count) for b, count in enumerate((2, 0, 3))])
    padded = ae.pad_targets(followed, 5)
    assert padded["boxes"].shape == (3, 5, 4)
    assert padded["labels"].shape == padded["valid"].shape == (3, 5)
    assert padded["valid"].sum(dim=1).tolist() == [2, 0, 3]
    for row, one in enumerate(followed):
        assert torch.equal(padded["boxes"][row][padded["valid"][row]], one["boxes"])
        assert (padded["boxes"][row][~padded["valid"][row]] == 0).all()
    assert padded["names"] == [["0-0", "0-1"], [], ["2-0", "2-1", "2-2"]]
    with pytest.raises(
        ValueError, match=r"got 3 instances in output 2, expected 2 at most\. .* none is dropped"
    ):
        ae.pad_targets(followed, 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"labels": torch.tensor([1])},
            ValueError,
            r"got 1 entries of 'labels' for sample 1 .* which has 3",
        ),
        ({"boxes": -BOXES}, ValueError, r"follow: boxes: got box 0 of sample 1 \(id 1\)"),
        ({"boxes": BOXES * float("nan")}, ValueError, r"box 0 of sample 1 .* finite"),
        (
            {"masks": torch.zeros(3, 9, 9)},
            ValueError,
            r"fields .* for sample 1 .* the same for all",
        ),
    ],
)
def test_wrong_targets_are_named(change, error, message):
    with pytest.raises(error, match=message):
        ae.follow(plan_of(ae.CenterCrop(20), images(2)), [target(0), target(1) | change])


def test_what_is_no_target():
    plan = plan_of(ae.CenterCrop(20), images(2))
    with pytest.raises(TypeError, match=r"follow: got int, expected a dict for each image"):
        ae.follow(plan, [3, 4])
    with pytest.raises(TypeError, match=r"follow: got dicts and others"):
        ae.follow(plan, [target(0), torch.zeros(H, W, dtype=torch.int64)])
    with pytest.raises(ValueError, match=r"got those of 1 images, the plan has 2 sources"):
        ae.follow(plan, [target(0)])
    two = {"boxes": BOXES, "bbox": BOXES}
    with pytest.raises(ValueError, match=r"got 'boxes' and 'bbox', expected one field of boxes"):
        ae.follow(plan, [two, two])


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"min_visible": 2}, ValueError, r"TargetOptions.min_visible: got 2"),
        ({"clip": "image"}, ValueError, r"TargetOptions.clip: got 'image', expected 'visible'"),
        ({"box_format": "xyyx"}, ValueError, r"TargetOptions.box_format: got format 'xyyx'"),
        ({"pad": 0}, ValueError, r"TargetOptions.pad: got 0"),
        ({"per_image": "size"}, TypeError, r"TargetOptions.per_image: got 'size', expected names"),
    ],
)
def test_wrong_options(how, error, message):
    with pytest.raises(error, match=message):
        ae.TargetOptions(**how)
