"""Keypoints and polygons: painted dots, torchvision's functionals, and areas counted in pixels."""

import numpy as np
import pytest
import torch
from cases import plan_of
from generated import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from test_painted_boxes import GEOMETRY, MIXES, H, W, looks
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

import augengine as ae

N = 5
POINTS = np.array([[12.5, 8.5], [40, 30], [70.25, 50.5]])


def images(n=1, height=60, width=80):
    return torch.zeros(n, 3, height, width, dtype=torch.uint8)


@examples(200)
@given(st.sampled_from(GEOMETRY), st.sampled_from(MIXES), st.integers(0, 9999), st.data())
def test_a_point_is_where_its_dot_is(geometry, mixes, seed, data):
    """A square of 7 × 7 pixels is painted about each of some points, in images of their own: its middle is
    within a pixel of the point, and it shows where the point is said to be seen."""
    x, y = data.draw(st.integers(12, W - 12)) + 0.5, data.draw(st.integers(12, H - 12)) + 0.5
    plan = ae.Policy([*geometry, *mixes]).sample(range(N), [(H, W)] * N, seed=seed)
    image = torch.zeros(N, 3, H, W)
    image[0, :, int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = 1
    white = ae.execute(plan, image)[:, 0].numpy()
    placed = ae.keypoints(plan, [[[x, y]], *[[]] * (N - 1)])
    for i in range(N):
        if len(looks(plan, i)) != 1:
            continue
        rows, columns = np.nonzero(white[i] > 0.5 * max(white[i].max(), 1 / 255))
        height, width = white[i].shape
        if len(placed[i].keypoints) == 0:
            # The middle of what is whole would be in the picture.
            assert len(rows) < 60
            continue
        (point,) = placed[i].keypoints
        assert white[i][min(int(point[1]), height - 1), min(int(point[0]), width - 1)] > 0
        whole = 0 < rows.min() and rows.max() < height - 1 and len(rows) > 15
        if whole and 0 < columns.min() and columns.max() < width - 1 and not mixes:
            # A perspective moves the middle of a square.
            middle = np.array([columns.mean(), rows.mean()]) + 0.5
            np.testing.assert_allclose(point, middle, atol=1)


@pytest.mark.parametrize(
    ("op", "function"),
    [
        (ae.RandomHorizontalFlip(1), F.horizontal_flip),
        (ae.RandomVerticalFlip(1), F.vertical_flip),
        (ae.Resize((33, 90)), lambda p: F.resize(p, [33, 90])),
        (ae.CenterCrop((50, 70)), lambda p: F.center_crop(p, [50, 70])),
        (ae.RandomRotation((30, 30)), lambda p: F.rotate(p, 30.0)),
    ],
    ids=["hflip", "vflip", "resize", "crop", "rotate"],
)
@pytest.mark.parametrize("kind", ["tensor", "KeyPoints", "instances"])
def test_points_move_as_torchvisions(op, function, kind):
    """KeyPoints of torchvision's flips hold indices of pixels, W − 1 − x; ours are continuous, W − x, as its
    boxes are."""
    given_points = torch.from_numpy(POINTS)
    theirs = tv_tensors.KeyPoints(given_points, canvas_size=(60, 80))
    expected = function(theirs).numpy()
    if op == ae.RandomHorizontalFlip(1):
        expected[:, 0] += 1
    if op == ae.RandomVerticalFlip(1):
        expected[:, 1] += 1
    points = {"tensor": given_points, "KeyPoints": theirs, "instances": given_points[None]}[kind]
    (placed,) = ae.keypoints(plan_of(op, images()), [points])
    got = placed.keypoints[0] if kind == "instances" else placed.keypoints
    np.testing.assert_allclose(got, expected, atol=0.51 if "Rotation" in repr(op) else 1e-4)
    assert placed.visible.all()


def test_visibility():
    """Outside of the picture 0, erased 1, seen as it came; what has no label has none afterwards."""
    plan = plan_of([ae.CenterCrop((40, 60)), ae.RandomErasing(1, scale=(0.2, 0.3))], images())
    y0, x0, y1, x1 = plan.box[0, 1]
    erased = [x0 + 10 + 1.5, y0 + 10 + 1.5, 2]
    seen = [10 + (x0 + 30) % 60 + 0.5, 10 + (y0 + 20) % 40 + 0.5, 2]
    assert not (x0 <= seen[0] - 10 < x1 and y0 <= seen[1] - 10 < y1)
    person = [erased, seen, [2, 2, 2], [30, 30, 0], [*seen[:2], 1]]
    (placed,) = ae.keypoints(plan, [[person]])
    assert placed.keypoints[0, :, 2].tolist() == [1, 2, 0, 0, 1]
    assert placed.visible.tolist() == [[False, True, False, False, True]]
    np.testing.assert_allclose(placed.keypoints[0, 3], [30, 30, 0])


def test_an_instance_of_which_nothing_is_seen_is_left_out():
    plan = plan_of(ae.CenterCrop(20), images())
    outside, inside = [[2, 2, 2], [4, 4, 2]], [[2, 2, 2], [40, 30, 2]]
    (placed,) = ae.keypoints(plan, [[outside, inside]])
    assert placed.origin.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("ops", "swaps"),
    [
        ([ae.RandomHorizontalFlip(1)], True),
        ([ae.RandomVerticalFlip(1)], True),
        ([ae.RandomHorizontalFlip(1), ae.RandomVerticalFlip(1)], False),
        ([ae.RandomQuarterTurn([2])], False),
        ([ae.RandomHorizontalFlip(1), ae.GaussianBlur(3), ae.RandomRotation((20, 20))], True),
        ([ae.RandomHorizontalFlip(1), ae.GaussianBlur(3), ae.RandomHorizontalFlip(1)], False),
    ],
    ids=["left and right", "upside down", "both", "half a turn", "and a blur", "there and back"],
)
def test_left_and_right_are_exchanged_in_a_mirror(ops, swaps):
    plan = plan_of(ops, images())
    person = [[[30, 25, 2], [45, 30, 1], [40, 35, 2]]]
    (plain,) = ae.keypoints(plan, [person])
    (paired,) = ae.keypoints(plan, [person], flip_pairs=[(0, 1)])
    order = [1, 0, 2] if swaps else [0, 1, 2]
    np.testing.assert_array_equal(paired.keypoints, plain.keypoints[:, order])


def test_coco_pairs_are_lefts_and_rights():
    names = "nose,left_eye,right_eye,left_ear,right_ear,left_shoulder,right_shoulder,left_elbow,right_elbow"
    names += (
        ",left_wrist,right_wrist,left_hip,right_hip,left_knee,right_knee,left_ankle,right_ankle"
    )
    names = names.split(",")
    pairs = {(names[a], names[b]) for a, b in ae.COCO_FLIP_PAIRS}
    assert pairs == {(n, n.replace("left", "right")) for n in names if n.startswith("left")}


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[[1, 2]], [[1, 2]]], r"got those of 2 images, the plan has 1 sources"),
        ([[[1, float("nan")]]], r"got NaN or infinite points for sample 0 \(id 0\)"),
        (
            [[[1, 2, 3, 4]]],
            r"got int64 \[1, 4\] for sample 0 \(id 0\), expected numbers \[k, P, 2\]",
        ),
        ([tv_tensors.KeyPoints([[1, 2]], canvas_size=(9, 9))], r"canvas_size \(9, 9\) .* 60×80"),
    ],
)
def test_wrong_points(points, message):
    with pytest.raises(ValueError, match=message):
        ae.keypoints(plan_of(ae.CenterCrop(20), images()), points)
    with pytest.raises(
        ValueError, match=r"flip pair \(0, 7\), expected two numbers of points below 1"
    ):
        ae.keypoints(plan_of(ae.CenterCrop(20), images()), [[[1, 2]]], flip_pairs=[(0, 7)])


# Polygons


def star(x, y, size):
    """A polygon that is not convex."""
    angle = np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2, 0.45, 1) * size
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def filled(ring, height, width, times=8):
    """[height, width] the share of each pixel that lies in a ring, drawn finely by Pillow."""
    canvas = Image.new("L", (width * times, height * times))
    corners = [tuple(point) for point in np.asarray(ring, float) * times - 0.5]
    ImageDraw.Draw(canvas).polygon(corners, fill=1)
    return np.asarray(canvas, float).reshape(height, times, width, times).mean(axis=(1, 3))


@pytest.mark.parametrize("geometry", GEOMETRY, ids=str)
def test_a_polygon_is_where_its_picture_is(geometry):
    ring = star(75, 60, 40)
    picture = torch.from_numpy(filled(ring, H, W)).float().expand(1, 3, -1, -1)
    for seed in range(4):
        plan = ae.Policy(geometry).sample([seed], [(H, W)])
        white = ae.execute(plan, picture)[0, 0].numpy()
        placed = ae.polygons(plan, [[[ring.ravel().tolist()]]], min_visible=0)[0]
        assert len(placed.polygons) == 1
        got = sum(filled(part, *white.shape) for part in placed.polygons[0])
        # The rim is a pixel wide.
        assert np.abs(got - white).mean() < 0.02
        assert got.sum() == pytest.approx(white.sum(), rel=0.02)


def test_a_polygons_visible_share_is_counted_in_pixels():
    ring = star(75, 60, 40)
    picture = torch.from_numpy(filled(ring, H, W)).float().expand(1, 3, -1, -1)
    for seed in range(12):
        plan = ae.Policy([ae.RandomCrop(90), ae.RandomErasing(1, count=2)]).sample([seed], [(H, W)])
        shows = ae.execute(plan, picture)[0, 0].sum().item() / picture[0, 0].sum().item()
        placed = ae.polygons(plan, [[[ring]]], min_visible=0)[0]
        assert placed.visible[0] == pytest.approx(shows, abs=0.01)


@pytest.mark.parametrize(
    ("outlines", "message"),
    [
        ([[[[1, 2, 3, 4]]]], r"got a ring \[4\] for sample 0 \(id 0\), expected three points"),
        ([[{"counts": b"", "size": [1, 1]}]], r"got a mask as runs \(RLE\) for sample 0"),
        ([[[1, 2, 3, 4, 5, 6]]], r"An instance is a list of rings: put a single one into a list"),
    ],
)
def test_wrong_polygons(outlines, message):
    with pytest.raises(ValueError, match=message):
        ae.polygons(plan_of(ae.CenterCrop(20), images()), outlines)
