"""Boxes as users have them: torchvision's formats, its functionals and albumentations' filters as oracles,
and what is no box of its image.
"""

import dataclasses

import albumentations
import numpy as np
import pytest
import torch
from cases import plan_of
from test_boxes import BOXES, H, W, images
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

import augengine as ae
from augengine.targets.formats import corners_of, rotated_boxes

UPRIGHT = ("XYXY", "XYWH", "CXCYWH")
ROTATED = ("XYWHR", "CXCYWHR", "XYXYXYXY")
TURNED = torch.tensor(
    [[30.0, 30, 20, 10, 25], [50, 20, 12, 18, -70], [40, 30, 16, 16, 0]]
)  # CXCYWHR


def converted(boxes, old, new):
    return F.convert_bounding_box_format(boxes, old_format=old, new_format=new)


def given(format, boxes=BOXES):
    boxes = torch.from_numpy(np.asarray(boxes))
    return tv_tensors.BoundingBoxes(
        converted(boxes, "XYXY", format), format=format, canvas_size=(H, W)
    )


@pytest.mark.parametrize("format", UPRIGHT)
@pytest.mark.parametrize("named", [False, True], ids=["as BoundingBoxes", "by name"])
def test_a_box_is_the_same_in_every_format(format, named):
    plan = plan_of([ae.RandomHorizontalFlip(1), ae.CenterCrop((50, 70))], images(1))
    (expected,) = ae.boxes(plan, [BOXES])
    boxes = given(format)
    (got,) = ae.boxes(
        plan, [boxes.numpy() if named else boxes], format=format.lower() if named else None
    )
    theirs = converted(torch.from_numpy(expected.boxes), "XYXY", format)
    np.testing.assert_allclose(got.boxes, theirs, atol=1e-4)
    np.testing.assert_array_equal(got.origin, expected.origin)


def test_shares_of_the_image():
    plan = plan_of([ae.RandomHorizontalFlip(1), ae.Resize((30, 90))], images(1))
    (expected,) = ae.boxes(plan, [BOXES])
    size = np.array([W, H, W, H])
    (corners,) = ae.boxes(plan, [BOXES / size], format="albumentations")
    np.testing.assert_allclose(corners.boxes * [90, 30, 90, 30], expected.boxes, atol=1e-4)
    centres = given("CXCYWH").numpy() / size
    (yolo,) = ae.boxes(plan, [centres], format="YOLO")
    theirs = converted(torch.from_numpy(expected.boxes), "XYXY", "CXCYWH").numpy()
    np.testing.assert_allclose(yolo.boxes * [90, 30, 90, 30], theirs, atol=1e-4)


@pytest.mark.parametrize("format", ROTATED)
def test_rotated_boxes_are_read_and_written_as_torchvision_does(format):
    boxes = converted(TURNED, "CXCYWHR", format).double()
    corners = corners_of(boxes.numpy(), format, np.tile([H, W], (3, 1)))
    theirs = converted(TURNED, "CXCYWHR", "XYXYXYXY").reshape(-1, 4, 2)
    np.testing.assert_allclose(corners, theirs, atol=1e-4)
    back = converted(torch.from_numpy(rotated_boxes(corners, format)), format, "XYXYXYXY")
    np.testing.assert_allclose(back.reshape(-1, 4, 2), theirs, atol=1e-4)


def corner_sets(boxes, format):
    """Corners in an order that does not depend on which is called the first."""
    corners = converted(torch.as_tensor(boxes).double(), format, "XYXYXYXY").reshape(-1, 4, 2)
    return np.stack([sorted(map(tuple, box.round(decimals=2).tolist())) for box in corners])


@pytest.mark.parametrize("format", ROTATED)
@pytest.mark.parametrize(
    ("op", "function"),
    [
        (ae.RandomHorizontalFlip(1), F.horizontal_flip),
        (ae.RandomVerticalFlip(1), F.vertical_flip),
        (ae.Resize((2 * H, 2 * W)), lambda b: F.resize(b, [2 * H, 2 * W])),
        (ae.CenterCrop((56, 70)), lambda b: F.center_crop(b, [56, 70])),
        (ae.RandomQuarterTurn([1]), lambda b: F.rotate(b, 90.0, expand=True)),
    ],
    ids=["hflip", "vflip", "resize", "crop", "quarter turn"],
)
def test_rotated_boxes_move_as_torchvisions(format, op, function):
    boxes = tv_tensors.BoundingBoxes(
        converted(TURNED, "CXCYWHR", format), format=format, canvas_size=(H, W), clamping_mode=None
    )
    (got,) = ae.boxes(plan_of(op, images(1)), [boxes], min_visible=0)
    np.testing.assert_allclose(
        corner_sets(got.boxes, format), corner_sets(function(boxes), format), atol=0.03
    )


def test_a_sheared_box_keeps_its_corners_or_its_longer_diagonal():
    plan = plan_of(ae.RandomAffine(0, shear=(20, 20)), images(1))
    corners = converted(TURNED, "CXCYWHR", "XYXYXYXY").numpy()
    (placed,) = ae.boxes(plan, [corners], format="XYXYXYXY", min_visible=0)
    forward = np.linalg.inv(plan.inv_matrix[0].astype(float))
    expected = corners.reshape(3, 4, 2) @ forward[:2, :2].T + forward[:2, 2]
    np.testing.assert_allclose(placed.boxes.reshape(3, 4, 2), expected, atol=1e-3)
    (turned,) = ae.boxes(plan, [TURNED], format="CXCYWHR", min_visible=0)
    got = converted(torch.from_numpy(turned.boxes), "CXCYWHR", "XYXYXYXY").reshape(3, 4, 2).numpy()
    for box, parallelogram in zip(got, expected, strict=True):
        diagonals = [parallelogram[[0, 2]], parallelogram[[1, 3]]]
        longer = max(diagonals, key=lambda d: np.linalg.norm(d[1] - d[0]))
        for end in longer:
            assert np.linalg.norm(box - end, axis=1).min() < 1e-2


@pytest.mark.parametrize("least_area", [0, 150])
@pytest.mark.parametrize("least", [0.0, 0.21, 0.61])
def test_the_filters_of_albumentations(least, least_area):
    """On what keeps boxes upright. (albumentations looks at areas after each step, so the crop is last.)"""
    rng = np.random.default_rng(3)
    low = rng.integers(0, [60, 40], (60, 2))
    boxes = np.concatenate([low, low + rng.integers(6, 20, (60, 2))], axis=1).astype(float)
    ops = [ae.Resize((90, 160)), ae.RandomHorizontalFlip(1), ae.CenterCrop((60, 80))]
    plan = plan_of(ops, images(1))
    (got,) = ae.boxes(plan, [boxes], min_visible=least, min_area=least_area, min_size=0)
    theirs = albumentations.Compose(
        [
            albumentations.Resize(90, 160),
            albumentations.HorizontalFlip(p=1),
            albumentations.CenterCrop(60, 80),
        ],
        bbox_params=albumentations.BboxParams(
            "pascal_voc", min_visibility=least, min_area=least_area, label_fields=["numbers"]
        ),
    )(image=np.zeros((H, W, 3), np.uint8), bboxes=boxes, numbers=np.arange(60))
    assert got.origin[:, 1].tolist() == [int(n) for n in theirs["numbers"]]
    np.testing.assert_allclose(got.boxes, theirs["bboxes"], atol=1e-3)
    assert 3 < len(got.boxes) < 60


def test_what_a_box_is_cut_to():
    """To what is seen, to the picture, or to nothing."""
    plan = plan_of([ae.CenterCrop((40, 40)), ae.CutMix()], images(2))
    pasted = plan.box.copy()
    pasted[0, 1], x1 = [0, 0, 40, 17], 17  # the left side of output 0 is the other's
    plan = dataclasses.replace(plan, box=pasted)
    box = [[10.0, 20, 50, 40]]
    placed = {
        clip: ae.boxes(plan, [box, []], clip=clip, min_visible=0)[0].boxes.tolist()
        for clip in ("visible", "frame", None)
    }
    assert placed == {
        "visible": [[x1, 10, 30, 30]],
        "frame": [[0, 10, 30, 30]],
        None: [[-10, 10, 30, 30]],
    }


@pytest.mark.parametrize("empty", [[], np.zeros((0, 4)), np.zeros(0), torch.zeros(0, 4)], ids=repr)
def test_no_boxes(empty):
    (placed,) = ae.boxes(plan_of(ae.CenterCrop(20), images(1)), [empty])
    assert placed.boxes.shape == (0, 4)
    assert placed.origin.shape == (0, 2)


BOX = r"got box 0 of sample 1 \(id 1\), "


@pytest.mark.parametrize(
    ("boxes", "format", "message"),
    [
        ([[20, 8, 10, 25]], None, BOX + r".* expected x0 ≤ x1 and y0 ≤ y1\. Order its numbers"),
        ([[5, 8, -10, 25]], "XYWH", BOX + r".* expected a width and a height of 0 or more"),
        ([[5, 8, float("nan"), 25]], None, BOX + r".* expected finite numbers"),
        ([[5, 8, 95, 25]], None, BOX + r"\[5.0, 8.0, 95.0, 25.0\], in an image of 60×80, .*clamp"),
        ([[50, 8, 40, 25]], "XYWH", BOX + r".* expected one within the image, in the format XYWH"),
        ([[0.1, 0.2, 0.3, 0.4]], None, BOX + r".* Name the format of shares: format='YOLO'"),
        (
            [[1, 2, 3, 4, 5]],
            None,
            r"got int64 \[1, 5\] for sample 1 \(id 1\), expected numbers \[k, 4\]",
        ),
        (np.zeros((2, 8)), None, r"got float64 \[2, 8\] for sample 1"),
        ([[1, 2], [3, 4], [5, 6], [7, 8]], None, r"got int64 \[4, 2\] for sample 1"),
        ([[1, 2, 3, 4], [1, 2]], None, r"for sample 1 \(id 1\), expected numbers \[k, 4\]"),
        ([["a", "b", "c", "d"]], None, r"for sample 1 \(id 1\), expected numbers"),
        ([[5, 5, 9, 9]], "XYXW", r"got format 'XYXW', expected one of XYXY, XYWH"),
        (given("XYWH"), "XYXY", r"got XYWH for sample 1 \(id 1\), expected XYXY as asked for"),
    ],
)
def test_wrong_boxes(boxes, format, message):
    plan = plan_of(ae.CenterCrop(20), images(2))
    with pytest.raises(ValueError, match=message):
        ae.boxes(plan, [[], boxes], format=format)


def test_boxes_of_another_image():
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(50, 50))
    with pytest.raises(ValueError, match=r"canvas_size \(50, 50\) for sample 0 .* 60×80"):
        ae.boxes(plan_of(ae.CenterCrop(20), images(1)), [boxes])


def test_boxes_that_were_rounded_over_the_edge_are_taken():
    (placed,) = ae.boxes(plan_of(ae.CenterCrop((60, 80)), images(1)), [[[-0.4, 3, 80.6, 20]]])
    np.testing.assert_allclose(placed.boxes, [[0, 3, 80, 20]])


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_mirrored_copies_are_refused(mode):
    """As torchvision's pad refuses boxes then."""
    plan = plan_of(ae.RandomCrop(20, padding=4, padding_mode=mode), images(1))
    for function, target in (
        (ae.boxes, [[1, 2, 9, 9]]),
        (ae.keypoints, [[1, 2]]),
        (ae.polygons, []),
    ):
        with pytest.raises(ValueError, match=r"shows copies .* expected padding_mode='constant'"):
            function(plan, [target])


def test_a_degenerate_map_shows_nothing():
    plan = plan_of(ae.CenterCrop(20), images(1))
    flat = plan.inv_matrix.copy()
    flat[0, 1] = 0  # every row looks at one row of the image
    plan = dataclasses.replace(plan, inv_matrix=flat)
    assert len(ae.boxes(plan, [BOXES], min_visible=0, min_size=0)[0].boxes) == 0
    assert len(ae.keypoints(plan, [[[20, 20]]])[0].keypoints) == 0
