"""RandomIoUCrop: what a crop keeps in sight, where boxes lie after other ops, and how it is drawn, against
torchvision's class and functionals and against painted boxes."""

import numpy as np
import pytest
import torch
from cases import logged
from scipy import stats
from torchvision import tv_tensors
from torchvision.ops import box_iou
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

import augengine as ae
from augengine.plan.maps import inverses
from augengine.policy.boxes import boxes_in_frames, checked_boxes
from augengine.policy.draft import Draft
from augengine.policy.keyed import Keyed

SURE = 1e-3  # of a fixed sample: a p-value below it is a wrong distribution, not bad luck
N = 800
HEIGHT, WIDTH = SIZE = (90, 140)
BOXES = [[10, 20, 50, 60], [70, 5, 139, 45], [100, 70, 110, 80]]
RESIZE = ae.Resize((16, 16))


def crops(op, boxes=BOXES, n=N, size=SIZE, before=(), **how):
    """top, left, height, width and overlap of each sample's crop [n, 5]; NaN where all is kept."""
    plan = ae.Policy([*before, op, RESIZE]).sample(
        np.arange(n), np.tile(size, (n, 1)), boxes=[boxes] * n, **how
    )
    lines = [logged(plan, view, "crop") for view in range(n)]
    rows = [line[-1][:5] if line else np.full(5, np.nan) for line in lines]
    return np.array(rows)[:, [2, 3, 0, 1, 4]]


def peers(op, boxes=BOXES, n=N):
    """What torchvision's class draws, in the same form."""
    torch.manual_seed(0)
    given = tv_tensors.BoundingBoxes(torch.tensor(boxes), format="XYXY", canvas_size=SIZE)
    image, rows = tv_tensors.Image(torch.empty(3, *SIZE)), []
    for _ in range(n):
        drawn = op.make_params([image, given])
        rows.append([drawn.get(name, np.nan) for name in ("top", "left", "height", "width")])
    return np.array(rows, float)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sampler_options": [0.5]},
        {"sampler_options": [0.0, 0.3], "min_scale": 0.5, "max_scale": 0.8, "trials": 3},
        {"min_aspect_ratio": 0.9, "max_aspect_ratio": 1.4, "sampler_options": [0.1, 2.0]},
    ],
    ids=str,
)
def test_crops_are_drawn_as_torchvisions(how):
    ours, theirs = crops(ae.RandomIoUCrop(**how))[:, :4], peers(v2.RandomIoUCrop(**how))
    kept = [int(np.isnan(part[:, 0]).sum()) for part in (ours, theirs)]
    if any(kept):
        assert stats.chi2_contingency([[k, N - k] for k in kept]).pvalue > SURE
    ours, theirs = (part[~np.isnan(part[:, 0])] for part in (ours, theirs))
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > SURE
    aspects = [part[:, 3] / part[:, 2] for part in (ours, theirs)]
    assert stats.ks_2samp(*aspects).pvalue > SURE


def test_a_crop_overlaps_a_box_whose_centre_it_keeps():
    """Each crop by torchvision's own measure."""
    boxes = torch.tensor(BOXES, dtype=torch.float64)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    overlaps = []
    for top, left, height, width, overlap in crops(ae.RandomIoUCrop(), n=600):
        if np.isnan(top):
            continue
        crop = torch.tensor([[left, top, left + width, top + height]], dtype=torch.float64)
        inside = ((crop[:, :2] < centres) & (centres < crop[:, 2:])).all(dim=1)
        assert inside.any()
        assert box_iou(boxes[inside], crop).max() >= overlap - 1e-6
        assert (crop >= 0).all()
        assert (crop <= torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])).all()
        assert 0.5 <= width / height <= 2
        overlaps.append(overlap)
    assert set(np.round(overlaps, 2)) == {0, 0.1, 0.3, 0.5, 0.7}  # 0.9 these cannot reach


def test_without_boxes_or_crops_that_fit_the_whole_image_is_kept():
    assert np.isnan(crops(ae.RandomIoUCrop(), boxes=[], n=50)).all()
    never = ae.RandomIoUCrop(sampler_options=[0.99], min_scale=0.3, max_scale=0.5)
    assert np.isnan(crops(never, n=50)).all()
    assert np.isnan(crops(ae.RandomIoUCrop(sampler_options=[1.0]), n=50)).all()
    empty = ae.RandomIoUCrop(min_scale=0, max_scale=0)  # crops of no pixel, where torchvision fails
    assert np.isnan(crops(empty, n=20)).all()


def test_of_many_images_each_goes_by_its_own_boxes():
    """Some have no boxes, some one; a crop keeps the centre of the one."""
    n = 200
    boxes = [[[i % 100, 10, i % 100 + 30, 40]] if i % 3 else [] for i in range(n)]
    op = ae.RandomIoUCrop(sampler_options=[0.2])
    plan = ae.Policy([op, RESIZE]).sample(np.arange(n), [SIZE] * n, boxes=boxes)
    for i in range(n):
        line = logged(plan, i, "crop")
        assert bool(line) == bool(i % 3)
        if line:
            height, width, top, left = line[0][:4]
            assert left < i % 100 + 15 < left + width
            assert top < 25 < top + height


# Where the boxes are by then


def in_frames(ops, boxes, size, ids=(0,), channels=3):
    """The boxes as they lie after some ops, and the draft."""
    n = len(ids)
    given = checked_boxes("here", [boxes] * n, n)
    draft = Draft(Keyed(0, 0, np.array(ids)), np.tile(size, (n, 1)), channels, boxes=given)
    place = 0
    for op in ops:
        op.decide(draft, draft.rows, place)
        place += op.places
    found, of = boxes_in_frames(draft, given, draft.rows)
    return found, of, draft


@pytest.mark.parametrize(
    ("ops", "peer"),
    [
        ([ae.RandomHorizontalFlip(1)], F.horizontal_flip),
        ([ae.CenterCrop((40, 90))], lambda b: F.center_crop(b, [40, 90])),
        ([ae.Pad((3, 7))], lambda b: F.pad(b, [3, 7])),
        ([ae.Resize((45, 300))], lambda b: F.resize(b, [45, 300])),
        (
            [ae.CenterCrop((60, 100)), ae.GaussianBlur(5), ae.RandomVerticalFlip(1), ae.Resize((90, 50))],
            lambda b: F.resize(F.vertical_flip(F.center_crop(b, [60, 100])), [90, 50]),
        ),
        (
            [ae.CenterCrop((60, 100)), ae.GaussianBlur(5), ae.Pad(9), ae.RandomAdjustSharpness(2, 1),
             ae.CenterCrop((70, 60))],
            lambda b: F.center_crop(F.pad(F.center_crop(b, [60, 100]), [9]), [70, 60]),
        ),
    ],
    ids=range(6),
)  # fmt: skip
def test_boxes_lie_where_torchvision_moves_them(ops, peer):
    boxes = tv_tensors.BoundingBoxes(
        torch.tensor(BOXES, dtype=torch.float64), format="XYXY", canvas_size=SIZE
    )
    moved = peer(boxes).as_subclass(torch.Tensor).numpy()
    moved = moved[(moved[:, :2] < moved[:, 2:]).all(axis=1)]
    found, of, _ = in_frames(ops, BOXES, SIZE, ids=(0, 1))
    assert of.tolist() == [0] * len(moved) + [1] * len(moved)
    np.testing.assert_allclose(found[of == 1][:, [1, 0, 3, 2]], moved, atol=1e-4)


def test_boxes_lie_where_they_are_painted_after_a_turn():
    """A turned box is within the box that is found, and touches its sides."""
    ops = [ae.RandomRotation((25, 25), fill=0), ae.CenterCrop((60, 80))]
    box = [40, 30, 90, 60]
    found, _, _ = in_frames(ops, [box], SIZE)
    image = torch.zeros(1, 1, *SIZE, dtype=torch.uint8)
    image[..., box[1] : box[3], box[0] : box[2]] = 255
    plan = ae.Policy(ops).sample([0], [SIZE], channels=1)
    y, x = (ae.execute(plan, image)[0, 0] > 0.02).nonzero().T
    painted = [y.min().item(), x.min().item(), y.max().item() + 1, x.max().item() + 1]
    np.testing.assert_allclose(found[0], painted, atol=1.5)


def test_a_map_that_is_singular_shows_no_box():
    draft = Draft(Keyed(0, 0, np.arange(2)), np.tile(SIZE, (2, 1)))
    flat = np.tile(np.diag([1.0, 0.0, 1.0]), (2, 1, 1))
    draft.warp(np.array([1]), flat[:1])
    _, of = boxes_in_frames(draft, checked_boxes("here", [BOXES] * 2, 2), draft.rows)
    assert of.tolist() == [0, 0, 0]
    inverse, there = inverses(np.stack([flat[0], np.eye(3)]))
    assert there.tolist() == [False, True]
    np.testing.assert_array_equal(inverse, [np.zeros((3, 3)), np.eye(3)])


def test_inverses_are_inverses():
    matrices = np.random.default_rng(0).normal(size=(200, 3, 3))
    inverse, there = inverses(matrices)
    assert there.all()
    np.testing.assert_allclose(inverse @ matrices, np.tile(np.eye(3), (200, 1, 1)), atol=1e-8)


# What is refused


def test_boxes_must_come():
    policy = ae.Policy([ae.RandomApply(ae.RandomIoUCrop(), 0), RESIZE])
    assert policy.needs_boxes
    assert not ae.Policy(RESIZE).needs_boxes
    with pytest.raises(ValueError, match=r"RandomIoUCrop: got no boxes, expected .* Pass boxes="):
        policy.sample([0], [SIZE])


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        ([], "got boxes of 0 images, expected those of 2"),
        ([BOXES, [[1, 2, 3]]], r"image 1: got boxes of shape \[1, 3\], expected \[k, 4\]"),
        ([[1, 2, 3, 4], []], r"image 0: got boxes of shape \[4\], expected \[k, 4\]"),
        ([[], [[5, 5, 4, 6]]], r"image 1: box 0 is \[5.0, 5.0, 4.0, 6.0\], expected finite"),
        ([BOXES, [[1, 2, 3, float("nan")]]], r"image 1: box 0 is .*nan\], expected finite"),
        ([BOXES, [["a"] * 4]], r"image 1: got .*expected an array \[k, 4\] of numbers"),
    ],
)
def test_boxes_are_checked(boxes, said):
    with pytest.raises(ValueError, match=r"Policy\.sample: " + said):
        ae.Policy(RESIZE).sample([0, 1], [SIZE] * 2, boxes=boxes)


def test_boxes_of_another_format_are_refused():
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYWH", canvas_size=SIZE)
    with pytest.raises(ValueError, match="got boxes as 'XYWH', expected XYXY"):
        ae.Policy(RESIZE).sample([0], [SIZE], boxes=[boxes])
    boxes = tv_tensors.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=SIZE)
    ae.Policy(RESIZE).sample([0], [SIZE], boxes=[boxes])


def test_partners_have_boxes_too():
    policy = ae.Policy([ae.RandomIoUCrop(), RESIZE, ae.MixUp()])
    with pytest.raises(ValueError, match="of 1 images, expected those of 2"):
        policy.sample([0], [SIZE], boxes=[BOXES], partners=([1], [SIZE]))
    assert len(policy.sample([0], [SIZE], boxes=[BOXES] * 2, partners=([1], [SIZE]))) == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"min_scale": 0.9, "max_scale": 0.8}, "got min_scale 0.9 and max_scale 0.8, expected"),
        ({"min_aspect_ratio": 3}, "got min_aspect_ratio 3 and max_aspect_ratio 2, expected"),
        ({"sampler_options": []}, r"sampler_options: got \[\], expected at least one"),
        ({"sampler_options": [-0.1]}, r"sampler_options: got -0\.1, expected"),
        ({"max_scale": 1.1}, r"max_scale: got 1\.1, expected"),
        ({"trials": 0}, r"trials: got 0, expected a whole number 1 … 1000"),
    ],
)
def test_what_is_out_of_range_is_refused(how, said):
    with pytest.raises(ValueError, match=r"RandomIoUCrop[.:] ?" + said):
        ae.RandomIoUCrop(**how)
