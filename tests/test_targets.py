"""Targets of every container: what comes back is what came, whatever a batch holds; padded; refused."""

import dataclasses

import albumentations as A
import numpy as np
import pytest
import torch
from cases import plan_of
from generated import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_painted_boxes import GEOMETRY, MIXES
from torchvision import tv_tensors

import augengine as ae

H, W = 60, 80
BOX = [[30.0, 20, 50, 40]]
FLIP = ae.RandomHorizontalFlip(1)
EVERYTHING = ae.TargetOptions(min_visible=0, min_size=0)


def plan(ops=FLIP, n=1, **how):
    return plan_of(ops, torch.zeros(n, 3, H, W, dtype=torch.uint8), **how)


def one(target, ops=FLIP, options=None):
    (got,) = ae.follow(plan(ops), [target], options)
    return got


# Kinds


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_keep_their_dtype(dtype):
    """Whole numbers become float32, since what a view shows need not lie on pixels."""
    points = torch.tensor([[[40.0, 30, 2]]])
    got = one({"boxes": torch.tensor(BOX).to(dtype), "keypoints": points.to(dtype)})
    assert (got["boxes"].dtype, got["keypoints"].dtype) == (dtype, dtype)
    assert got["boxes"].tolist() == BOX
    whole = one({"boxes": torch.tensor(BOX).long(), "keypoints": points.long()})
    assert (whole["boxes"].dtype, whole["keypoints"].dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize("name", ["mask", "semantic", "masks", "segmentation"])
@pytest.mark.parametrize("kind", ["tensor", "array", "PIL", "Mask", "Mask of a channel"])
def test_masks_of_classes_keep_their_kind(name, kind):
    mask = np.arange(H * W, dtype=np.uint8).reshape(H, W)
    came = {
        "tensor": torch.from_numpy(mask),
        "array": mask,
        "PIL": Image.fromarray(mask),
        "Mask": tv_tensors.Mask(torch.from_numpy(mask)),
        "Mask of a channel": tv_tensors.Mask(torch.from_numpy(mask)[None]),
    }[kind]
    if kind == "Mask of a channel" and name == "masks":
        return  # that of one instance, by its name
    got = one({"boxes": torch.zeros(0, 4), name: came})[name]
    assert type(got) is {"PIL": torch.Tensor}.get(kind, type(came))
    expected = mask[None, :, ::-1] if kind == "Mask of a channel" else mask[:, ::-1]
    np.testing.assert_array_equal(np.asarray(got), expected)
    (alone,) = ae.follow(plan(), [came])
    assert type(alone) is type(got)
    np.testing.assert_array_equal(np.asarray(alone), expected)


@pytest.mark.parametrize("kind", ["tensor", "array", "Mask"])
def test_masks_of_instances_keep_their_kind(kind):
    mask = np.zeros((2, H, W), bool)
    mask[0, 20:40, 30:50] = mask[1, :4, :4] = True
    came = {"tensor": torch.from_numpy(mask), "array": mask, "Mask": tv_tensors.Mask(mask)}[kind]
    got = one({"masks": came, "labels": [1, 2]}, ae.CenterCrop((30, 40)))
    assert type(got["masks"]) is type(came)
    assert (got["masks"].dtype, got["labels"], got["dropped"]) == (came.dtype, [1], 1)
    np.testing.assert_array_equal(np.asarray(got["masks"]), mask[:1, 15:45, 20:60])


def test_a_mask_class_of_one_channel_beside_instances_is_of_classes():
    """Beside two boxes (1, H, W) is no mask of instances; beside one it is."""
    mask = tv_tensors.Mask(torch.ones(1, H, W, dtype=torch.uint8))
    two = one({"boxes": torch.tensor(BOX * 2), "what": mask})
    assert two["what"].shape == (1, H, W)
    away = {"boxes": torch.tensor([[0.0, 0, 5, 5]]), "what": mask}
    assert one(away, ae.CenterCrop(20))["what"].shape == (0, 20, 20)


def test_fields_are_of_a_batch_and_empty_ones_of_any_dtype():
    """Where an image has no instances its labels are often an empty float tensor, its names an empty list."""
    empty = {"boxes": torch.zeros(0), "labels": torch.tensor([]), "names": [], "area": []}
    some = {
        "boxes": torch.tensor(BOX),
        "labels": torch.tensor([7]),
        "names": ("cat",),
        "area": torch.tensor([400.0]),
    }
    for order in ([empty, some], [some, empty]):
        got = ae.follow(plan(n=2), order)
        assert [one["labels"].dtype for one in got] == [torch.int64] * 2
        assert sorted(len(one["labels"]) for one in got) == [0, 1]
        assert {type(one["names"]) for one in got} == {tuple}
        assert {tuple(one["boxes"].shape) for one in got} == {(0, 4), (1, 4)}
        assert {one["boxes"].dtype for one in got} == {torch.float32}
        padded = ae.pad_targets(got)
        assert padded["labels"].sum() == 7
        assert padded["labels"].dtype == torch.int64


def test_images_without_any_instance():
    points = torch.zeros(0, 17, 3)
    options = ae.TargetOptions(flip_pairs=ae.COCO_FLIP_PAIRS)
    got = one({"boxes": torch.zeros(0, 4), "keypoints": points}, options=options)
    assert got["boxes"].shape == (0, 4)
    assert got["keypoints"].shape == points.shape
    masks = torch.zeros(0, H, W, dtype=torch.uint8)
    assert one({"masks": masks}, ae.CenterCrop(20))["masks"].shape == (0, 20, 20)
    assert one({"polygons": []})["polygons"] == []


def test_fields_of_the_image_by_name():
    """As many entries as instances would make a field follow them; these names, and per_image, do not."""
    target = {"boxes": torch.tensor(BOX * 2), "size": [H, W], "anchors": [1, 2], "ids": [3, 4]}
    got = one(target, ae.CenterCrop(4), ae.TargetOptions(per_image=["anchors"]))
    assert (got["size"], got["anchors"]) == ([H, W], [1, 2])
    got = one(target, ae.CenterCrop(20), ae.TargetOptions(per_image=["anchors"]))
    assert got["ids"] == [3, 4]
    away = {**target, "boxes": torch.tensor([[0.0, 0, 5, 5], *BOX])}
    assert one(away, ae.CenterCrop(20))["ids"] == [4]


def test_labels_of_an_image_without_instances_are_its_own():
    mask = torch.ones(H, W, dtype=torch.uint8)
    assert one({"mask": mask, "labels": torch.tensor([1, 2])})["labels"].tolist() == [1, 2]
    assert "dropped" not in one({"mask": mask})


# What is kept


def is_kept(target, **options):
    return len(
        one({**target, "labels": [1]}, ae.CenterCrop(20), ae.TargetOptions(**options))["labels"]
    )


def test_what_tells_that_an_instance_shows():
    """A crop of x 30 … 50, y 20 … 40: boxes tell first, then masks, polygons and keypoints."""
    mask = torch.zeros(1, H, W, dtype=torch.uint8)
    mask[0, 20:40, 46:66] = 1
    ring = [46, 20, 66, 20, 66, 40, 46, 40]
    box, mask, outline = {"boxes": [[46, 20, 66, 40]]}, {"masks": mask}, {"polygons": [[ring]]}
    seen = {"keypoints": [[[48, 30, 2], [66, 30, 2]]]}
    unseen = {"keypoints": [[[60, 30, 2], [48, 30, 0]]]}
    for target in (box, outline, box | mask, box | outline, box | unseen, box | mask | unseen):
        assert is_kept(target, min_visible=0.19)
        assert not is_kept(target, min_visible=0.21)
    for target in (mask, seen, mask | unseen):
        assert is_kept(target, min_visible=0.9)
    assert not is_kept(unseen)
    assert not is_kept(box, min_size=4.5)
    assert not is_kept(box, min_area=81)
    assert is_kept(box, min_area=79, min_size=3.9)


def test_a_box_whose_mask_has_no_pixel_left_is_left_out():
    mask = torch.zeros(2, H, W, dtype=torch.uint8)
    mask[0, 20:25, 60:65], mask[1, 20:25, 45:50] = 1, 1
    boxes = torch.tensor([[30.0, 20, 65, 25], [30, 20, 50, 25]])
    target = {"boxes": boxes, "masks": mask, "labels": [0, 1], "area": torch.tensor([10.0, 12])}
    got = one(target, ae.CenterCrop(20))
    assert (got["labels"], got["dropped"]) == ([1], 1)
    assert got["boxes"].tolist() == [[0, 0, 20, 5]]
    assert got["area"].tolist() == [12]


@examples(100)
@given(
    st.sampled_from(GEOMETRY),
    st.sampled_from(MIXES),
    st.lists(st.integers(0, 6), min_size=5, max_size=5),
    st.integers(0, 999),
)
def test_none_is_lost_and_none_is_made_up(geometry, mixes, counts, seed):
    """Of all instances of the samples that an output shows, each is there once for each look, or counted."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 100, (sum(counts), 2))
    boxes = np.concatenate(
        [low, np.minimum(low + rng.uniform(1, 60, low.shape), [160, 120])], axis=1
    )
    boxes = np.split(boxes, np.cumsum(counts)[:-1])
    made = ae.Policy([*geometry, *mixes]).sample(range(5), [(120, 160)] * 5, seed=seed)
    targets = [
        {"boxes": part, "own": [(b, k) for k in range(len(part))]} for b, part in enumerate(boxes)
    ]
    for i, got in enumerate(ae.follow(made, targets, EVERYTHING)):
        views = {v for v, w in zip(made.view[i], made.weight[i], strict=True) if v >= 0 and w > 0}
        shown = [int(made.roots()[v]) for v in views]
        every = [(s, k) for s in shown for k in range(counts[s])]
        assert len(every) >= len(got["own"])
        assert all(every.count(own) >= got["own"].count(own) for own in got["own"])
        # A view whose share is below half a step of a byte is no look.
        assert got["dropped"] <= len(every) - len(got["own"])
        assert len(got["boxes"]) == len(got["own"])


FILTERS = [{"min_visibility": 0.3}, {"min_area": 150}, {"min_visibility": 0.1, "min_area": 60}]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_the_filters_of_albumentations_on_dicts(filters):
    """The boxes, and the labels with them, that albumentations keeps of a crop that is flipped and scaled.
    (By default it asks for min_area after every transform, ahead of the scaling too.)"""
    rng = np.random.default_rng(1)
    low = rng.uniform([0, 0], [W - 22, H - 22], (80, 2))
    boxes = np.concatenate([low, low + rng.uniform(2, 22, (80, 2))], axis=1)
    theirs = A.Compose(
        [A.CenterCrop(30, 50), A.HorizontalFlip(p=1), A.Resize(60, 100)],
        bbox_params=A.BboxParams(
            "pascal_voc", label_fields=["labels"], check_each_transform=False, **filters
        ),
    )(image=np.zeros((H, W, 3), np.uint8), bboxes=boxes, labels=np.arange(80))
    options = ae.TargetOptions(
        min_visible=filters.get("min_visibility", 0),
        min_area=filters.get("min_area", 0),
        min_size=0,
    )
    ops = [ae.CenterCrop((30, 50)), ae.RandomHorizontalFlip(1), ae.Resize((60, 100))]
    got = one({"boxes": boxes, "labels": np.arange(80)}, ops, options)
    assert 0 < len(got["labels"]) < 80
    np.testing.assert_array_equal(got["labels"], np.asarray(theirs["labels"], int))
    np.testing.assert_allclose(got["boxes"], theirs["bboxes"], atol=1e-3)


# Padded


def test_padding_knows_fields_of_images():
    """An image's own list may be as long as it has instances."""
    target = {"boxes": torch.tensor(BOX * 2), "size": torch.tensor([H, W]), "own": torch.ones(2)}
    padded = ae.pad_targets([target], 5, per_image=["own"])
    assert padded["boxes"].shape == (1, 5, 4)
    assert (padded["size"].tolist(), padded["own"].tolist()) == ([[H, W]], [[1, 1]])
    assert ae.pad_targets([target], 5)["own"].tolist() == [[1, 1, 0, 0, 0]]


def test_padding_of_torchvisions_classes_under_other_names():
    boxes = tv_tensors.BoundingBoxes(torch.tensor(BOX * 3), format="XYXY", canvas_size=(H, W))
    padded = ae.pad_targets([{"found": boxes}, {"found": boxes[:0]}])
    assert type(padded["found"]) is torch.Tensor
    assert padded["found"].shape == (2, 3, 4)
    assert padded["valid"].tolist() == [[True] * 3, [False] * 3]


@pytest.mark.parametrize(
    ("targets", "most", "error", "message"),
    [
        ([], None, ValueError, r"pad_targets: got no targets, expected one or more\. Skip"),
        ([torch.zeros(1, 4)], None, TypeError, r"got Tensor, expected the dicts of `follow`\. Put"),
        (
            [{"boxes": BOX}],
            0,
            ValueError,
            r"pad_targets\.most: got 0, expected a whole number above",
        ),
        ([{"boxes": BOX * 3}], 2, ValueError, r"got 3 instances in output 0, expected 2 at most"),
    ],
)
def test_wrong_padding(targets, most, error, message):
    with pytest.raises(error, match=message):
        ae.pad_targets(targets, most)


# What is refused


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ({"boxes": [[1, 1, 2, 2], [1, 1]]}, ValueError, r"follow: boxes: .* sample 1 \(id 1\)"),
        (
            {"keypoints": [[[1, 2], [1, 2]], [[1, 2]]]},
            ValueError,
            r"follow: keypoints: got object \[0\] for sample 1 \(id 1\), expected numbers",
        ),
        (
            {"keypoints": [[[float("nan"), 2], [1, 2]]]},
            ValueError,
            r"NaN or infinite points for sample 1 \(id 1\), .* the place 0, 0 and the visibility 0",
        ),
        (
            {"polygons": [[["a", "b", "c", "d", "e", "f"]]]},
            ValueError,
            r"follow: polygons: got a ring \[0\] for sample 1 \(id 1\)",
        ),
        (
            {"masks": torch.zeros(1, 9, 9, dtype=torch.bool)},
            ValueError,
            r"masks.*sample 1 \(id 1\)",
        ),
        ({"mask": torch.zeros(9, 9, dtype=torch.uint8)}, ValueError, r"9×9 for sample 1 \(id 1\)"),
        ({"mask": torch.zeros(H, W)}, TypeError, r"got torch.float32 for sample 1 \(id 1\)"),
    ],
)
def test_what_is_wrong_is_named_by_its_sample(target, error, message):
    right = {
        "boxes": BOX,
        "keypoints": [[[1.0, 2.0], [1, 2]]],
        "polygons": [[[1, 1, 5, 1, 5, 5]]],
        "masks": torch.ones(1, H, W, dtype=torch.bool),
        "mask": torch.ones(H, W, dtype=torch.uint8),
    }
    (name,) = target
    with pytest.raises(error, match=message):
        ae.follow(plan(n=2), [{name: right[name]}, target])


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (torch.zeros(1, 3), torch.zeros(1, 2), r"'x' of Tensor\[2\] for sample 1 .* Tensor\[3\]"),
        (torch.zeros(1), [0], r"'x' of list for sample 1 \(id 1\) and of Tensor\[\] for sample 0"),
        (np.zeros(1), torch.zeros(1), r"'x' of Tensor\[\] for sample 1 .* and of ndarray\[\]"),
    ],
    ids=["shapes", "a list", "an array"],
)
def test_fields_that_do_not_go_together(first, second, message):
    targets = [{"boxes": BOX, "x": first}, {"boxes": BOX, "x": second}]
    with pytest.raises(ValueError, match=message):
        ae.follow(plan(n=2), targets)


def test_what_does_not_follow_copies():
    """Boxes, keypoints and polygons refuse a border of copies; masks follow it."""
    copies = [ae.RandomCrop(40, padding=8, padding_mode="reflect")]
    for target in ({"boxes": BOX}, {"keypoints": [[[1, 2]]]}, {"polygons": [[[1, 1, 5, 1, 5, 5]]]}):
        with pytest.raises(ValueError, match=r"follow: the policy pads by 'edge'"):
            one(target, copies)
        masks = {"masks": torch.ones(1, H, W, dtype=torch.bool)}
        if "boxes" not in target:
            with pytest.raises(ValueError, match=r"follow: the policy pads by 'edge'"):
                one(target | masks, copies)
    assert one({"mask": torch.ones(H, W, dtype=torch.uint8)}, copies)["mask"].shape == (40, 40)


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"flip_pairs": [1]}, TypeError, r"TargetOptions\.flip_pairs: got \[1\], expected pairs"),
        ({"flip_pairs": [(0, 1.5)]}, TypeError, r"TargetOptions\.flip_pairs: got"),
        ({"per_image": 3}, TypeError, r"TargetOptions\.per_image: got 3, expected names of fields"),
        ({"fill": 1.5}, TypeError, r"TargetOptions\.fill: got 1\.5, expected a whole number"),
        ({"min_area": -1}, ValueError, r"TargetOptions\.min_area: got -1"),
        ({"min_size": "1"}, TypeError, r"TargetOptions\.min_size: got '1'"),
        ({"pad": 2.5}, ValueError, r"TargetOptions\.pad: got 2\.5"),
    ],
)
def test_wrong_options(how, error, message):
    with pytest.raises(error, match=message):
        ae.TargetOptions(**how)


def test_options_are_values():
    options = ae.TargetOptions(flip_pairs=[[0, 1]], per_image=["a"], box_format="yolo")
    assert options == ae.TargetOptions(flip_pairs=((0, 1),), per_image=("a",), box_format="YOLO")
    assert hash(options) == hash(dataclasses.replace(options))
