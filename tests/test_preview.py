"""Policies as pictures: the pictures are what an engine makes, and the words are the plan's."""

import base64
import io
import re
import warnings

import numpy as np
import pytest
import torch
from photos import patch
from PIL import Image

import augengine as ae
from augengine.policy.prefix import prefix
from augengine.preview import (
    grid,
    mix,
    mix_sheet,
    overlay,
    sheet_of,
    sweep,
    sweep_sheet,
    tiles,
    trace,
    trace_sheet,
)
from augengine.preview.card import card
from augengine.preview.html import png, shrunk
from augengine.sheet import displayed

NORMALIZE = ae.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PHOTO = patch("chelsea", 96, 128).permute(1, 2, 0).numpy().copy()
OTHERS = [PHOTO[::-1].copy(), PHOTO[:, ::-1].copy(), 255 - PHOTO]


# Images as users have them


@pytest.mark.parametrize(
    "image",
    [
        PHOTO[..., 0],
        PHOTO[..., :1],
        PHOTO.transpose(2, 0, 1),
        torch.from_numpy(PHOTO).movedim(-1, 0),
        torch.from_numpy(PHOTO),
        PHOTO.astype(np.uint16) * 257,
        PHOTO.astype(np.float32) / 255,
        np.dstack([PHOTO, PHOTO[..., 0]]),
        Image.fromarray(PHOTO),
        Image.fromarray(PHOTO).convert("RGBA"),
        Image.fromarray(PHOTO).convert("P"),
        Image.fromarray(PHOTO).convert("CMYK"),
        Image.fromarray(PHOTO).convert("L"),
        np.array([[[7, 8, 9]]], np.uint8),
    ],
    ids=lambda image: (
        f"{type(image).__name__}-{getattr(image, 'mode', '') or image.shape}"
        if not isinstance(image, torch.Tensor)
        else f"Tensor-{tuple(image.shape)}"
    ),
)
def test_images_of_all_kinds_are_shown_as_they_came(image):
    (row,) = tiles([ae.RandomHorizontalFlip(p=1)], image, draws=1)
    came, drawn = (tile.picture for tile in row)
    assert came.dtype == drawn.dtype == np.uint8
    assert came.shape[2] == 3
    np.testing.assert_array_equal(drawn, came[:, ::-1])
    plain = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if plain.ndim == 3 and 3 in plain.shape and plain.dtype == np.uint8:
        wanted = plain if plain.shape[-1] == 3 else plain.transpose(1, 2, 0)
        np.testing.assert_array_equal(came, wanted)


def test_sixteen_bits_are_the_same_picture():
    (wide,), (narrow,) = (
        list(tiles(ae.RandomInvert(p=1), image, draws=1))
        for image in (PHOTO.astype(np.uint16) * 257, PHOTO)
    )
    np.testing.assert_array_equal(wide[0].picture, narrow[0].picture)
    np.testing.assert_array_equal(wide[1].picture, 255 - PHOTO)


def test_files_and_bytes(tmp_path):
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    for image in (file.getvalue(), tmp_path / "a.png", str(tmp_path / "a.png")):
        (row,) = tiles([], image, draws=1)
        np.testing.assert_array_equal(row[1].picture, PHOTO)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ([], ValueError, "got no images, expected one"),
        (5, TypeError, "got 5, expected images"),
        ([np.zeros((4, 4, 3), complex)], TypeError, "expected numbers"),
    ],
)
def test_what_is_no_image(images, error, message):
    with pytest.raises(error, match=message):
        grid([], images)


# The grid


def test_tiles_are_what_an_engine_makes():
    """With the ids' draws, whatever the batch."""
    policy = ae.Policy([ae.RandomResizedCrop(40), ae.RandAugment(), NORMALIZE])
    images = [PHOTO, *OTHERS]
    rows = list(tiles(policy, images, draws=3, seed=5, epoch=7, ids=[4, 9, "x", 2]))
    for at in range(3):
        batch = ae.Engine(policy, seed=5)(images, ids=[4, 9, "x", 2], epoch=7 + at)
        for k, row in enumerate(rows):
            tile = row[1 + at]
            assert torch.equal(tile.output, batch.images[k])
            words = batch.plan.explain(k)
            assert words == tile.plan.explain(tile.row)
            assert tile.caption == re.sub(
                r", turned after an upright shrink by [\d.]+ × [\d.]+", "", words
            )
            assert tile.heading == f"epoch {7 + at}"
            np.testing.assert_array_equal(
                tile.picture, displayed(batch.images[k : k + 1], batch.plan.finish)[0]
            )
    assert [row[0].heading for row in rows] == ["sample 4", "sample 9", "sample x", "sample 2"]


def test_images_that_end_at_their_own_sizes_are_drawn_alone():
    rows = list(tiles(ae.RandomHorizontalFlip(p=1), [PHOTO, PHOTO[:50]], draws=1))
    assert [row[1].picture.shape for row in rows] == [(96, 128, 3), (50, 128, 3)]


def test_mixes_find_their_partners_and_views_a_tile_each():
    policy = ae.Policy([ae.Resize((32, 32)), ae.CutMix()])
    rows = list(tiles(policy, [PHOTO, *OTHERS], draws=1, shown=2))
    batch = ae.Engine(policy)([PHOTO, *OTHERS], ids=range(4), epoch=0)
    assert len(rows) == 2
    assert torch.equal(rows[1][1].output, batch.images[1])
    views = ae.Views(weak=ae.Resize((16, 16)), crops=[ae.Policy(ae.RandomResizedCrop(8))] * 2)
    row, _ = tiles(views, PHOTO, draws=2)
    assert [t.heading for t in row[1:]] == [
        "weak, epoch 0",
        "crops[0], epoch 0",
        "crops[1], epoch 0",
    ]
    assert [t.picture.shape[0] for t in row] == [96, 16, 8, 8]


def test_a_normalisation_behind_an_unfused_op_is_undone_too():
    (plain,) = tiles([ae.JPEG(60)], PHOTO, draws=1)
    (normalised,) = tiles([ae.JPEG(60), NORMALIZE], PHOTO, draws=1)
    assert np.abs(plain[1].picture.astype(int) - normalised[1].picture).max() <= 1


def test_a_grid_is_as_large_as_its_tiles():
    picture = grid(ae.RandomResizedCrop(16), [PHOTO, PHOTO], draws=2, size=64)
    assert picture.mode == "RGB"
    assert picture.width == 2 * 32 + 3 * 64 + 2 * 16


# The trace

TRACED = {
    "crop and colours": [ae.RandomResizedCrop(40), ae.RandomHorizontalFlip(), ae.RandAugment(), NORMALIZE],
    "interpolation": [ae.Resize((50, 60)), ae.RandomRotation(20, interpolation="bicubic", fill=90)],
    "mixes": [ae.RandomResizedCrop(40), ae.CutMix(), ae.MixUp(), ae.RandomErasing(p=1), NORMALIZE],
    "mosaic": [ae.Resize((40, 40)), ae.ColorJitter(0.4), ae.Mosaic()],
    "unfused": [ae.Resize((48, 48)), ae.ElasticTransform(), ae.JPEG((20, 60)), NORMALIZE],
    "chosen": [ae.OneOf([ae.RandomInvert(1), ae.RandomSolarize(90, 1)]), ae.RandomApply([ae.GaussianBlur(5)])],
    "composed": [ae.Compose([ae.RandomCrop(40), ae.RandomVerticalFlip(), ae.RandomPosterize(3)])],
    "padded": [ae.RandomRotation(9), ae.PadToLargest(16), ae.RandomGrayscale(p=1)],
    "grey to three": [ae.ColorJitter(0.5), ae.Grayscale(3), ae.RandomInvert(p=1)],
    "code": [ae.Resize((32, 32)), ae.Stage(torch.nn.AvgPool2d(2))],
    "nothing": [],
}  # fmt: skip


@pytest.mark.parametrize("name", TRACED)
@pytest.mark.parametrize("grey", [False, True])
def test_the_last_picture_of_a_trace_is_the_policys_own(name, grey):
    policy = ae.Policy(TRACED[name])
    images = [im[..., :1] if grey else im for im in (PHOTO, *OTHERS[:2])]
    steps = trace(
        policy,
        images[0],
        seed=3,
        epoch=2,
        id=11,
        partners=images[1:],
        partner_ids=[12, 13],
        timed=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = ae.Engine(policy, seed=3)(images, ids=[11, 12, 13], epoch=2)
    assert len(steps) == 1 + len(policy.top)
    if policy.top:
        assert torch.equal(steps[-1].output, batch.images[0])
        assert steps[-1].plan.explain(0) == batch.plan.explain(0)


def test_a_step_is_the_policy_whose_other_steps_never_happen():
    """Each picture, and not the last alone: of ops that leave the size, p=0 takes one out and keeps all others'
    places."""

    def policy(p, q):
        return ae.Policy([
            ae.Resize((40, 50)), ae.RandomApply([ae.RandomRotation(30, fill=70)], p=p),
            ae.RandomApply([ae.ColorJitter(0.5, 0.5)], p=q),
        ])  # fmt: skip

    steps = trace(policy(1, 1), PHOTO, id=5, timed=False)
    for step, (p, q) in zip(steps[1:], [(0, 0), (1, 0), (1, 1)], strict=True):
        wanted = ae.Engine(policy(p, q))([PHOTO], ids=[5], epoch=0).images[0]
        assert torch.equal(step.output, wanted)


def test_a_prefix_keeps_what_all_ops_agreed_on():
    policy = ae.Policy([ae.RandomRotation((30, 30)), ae.Resize((40, 40), interpolation="nearest")])
    plan = prefix(policy, 1).sample([0], [(96, 128)])
    assert (plan.support == 0).all()
    assert prefix(policy, 2) is policy
    filled = ae.Policy([ae.RandomHorizontalFlip(), ae.RandomRotation((30, 30), fill=255)])
    assert prefix(filled, 1).sample([0], [(9, 9)]).fill.max() == 1


def test_words_and_times_of_a_trace():
    policy = [ae.Resize((40, 40)), ae.RandomHorizontalFlip(p=0), ae.RandomInvert(p=1), NORMALIZE]
    steps = trace(policy, PHOTO)
    assert [step.words for step in steps[1:]] == [
        "resized to 40×40", "nothing this time", "inverted",
        "normalised; shown with that undone",
    ]  # fmt: skip
    np.testing.assert_array_equal(steps[3].picture, 255 - steps[2].picture)
    np.testing.assert_array_equal(steps[4].picture, steps[3].picture)
    assert steps[0].microseconds is None
    assert sum(step.microseconds for step in steps[1:]) == pytest.approx(steps[-1].total)
    assert steps[1].microseconds > 0
    assert trace_sheet(steps, size=64).width > 64


# The sweep


def test_a_sweep_goes_from_weak_to_strong():
    (row,) = sweep(ae.RandomRotation(40), PHOTO)
    said = [re.fullmatch(r"rotated ([+-][\d.]+)°", tile.caption) for tile in row.tiles[1:]]
    angles = [float(words[1]) for words in said]
    assert np.allclose(np.array(angles) / angles[-1], (0.2, 0.4, 0.6, 0.8, 1.0), atol=0.02)
    assert abs(angles[-1]) > 30  # the strongest of 24 draws
    assert row.graded
    np.testing.assert_array_equal(row.tiles[0].picture, PHOTO)


def test_what_is_there_or_not_has_one_tile():
    (row,) = sweep(ae.RandomHorizontalFlip(), PHOTO)
    assert not row.graded
    assert [tile.heading for tile in row.tiles] == ["", "with it"]
    np.testing.assert_array_equal(row.tiles[1].picture, PHOTO[:, ::-1])


def test_a_policy_is_swept_operation_by_operation():
    policy = ae.Policy(
        [ae.RandomResizedCrop(32), ae.ColorJitter(0.4, 0.4), ae.RandomErasing(), NORMALIZE]
    )
    done = []
    rows = sweep(policy, PHOTO, levels=(0.5, 1), progress=lambda *at: done.append(at))
    assert [row.name.partition("(")[0] for row in rows] == [
        "RandomResizedCrop", "ColorJitter", "ColorJitter", "RandomErasing"
    ]  # fmt: skip
    assert done == [(k, 4) for k in range(1, 5)]
    assert {tile.picture.shape for row in rows for tile in row.tiles} == {(32, 32, 3)}
    assert sweep_sheet(rows, size=48).height > 4 * 48


@pytest.mark.parametrize("op", [ae.CutMix(), ae.MixUp(), ae.RandomIoUCrop(), ae.ElasticTransform()])
def test_ops_that_need_more_than_an_image_are_swept(op):
    for image in (PHOTO, PHOTO[..., 0]):
        (row,) = sweep(op, image, levels=(1,))
        assert row.tiles[-1].caption != "no change"
        assert "sample" not in row.tiles[-1].caption


# A mix


def test_a_mix_says_the_label_that_an_engine_makes():
    policy = ae.Policy([ae.RandomResizedCrop(32), ae.MixUpOrCutMix()])
    images = [PHOTO, *OTHERS]
    rows = mix(policy, images, seed=2, shown=4)
    batch = ae.Engine(policy, seed=2, num_classes=4)(images, [0, 1, 2, 3], ids=range(4), epoch=0)
    for row in rows:
        i = int(row[-2].heading.split()[1].rstrip(","))
        assert torch.equal(row[-2].output, batch.images[i])
        said = {int(s): int(n) for n, s in re.findall(r"(\d+) % of sample (\d+)", row[-1].caption)}
        for sample, percent in said.items():
            assert percent == pytest.approx(100 * batch.labels[i, sample].item(), abs=0.51)
        assert sum(said.values()) == pytest.approx(100, abs=1)
    before = ae.Engine([ae.RandomResizedCrop(32)], seed=2)(images, ids=range(4), epoch=0)
    assert torch.equal(rows[0][0].output, before.images[int(rows[0][0].heading.split()[1])])
    assert mix_sheet(rows, size=48).width > 5 * 48


def test_what_is_no_mix():
    with pytest.raises(ValueError, match="mixes nothing"):
        mix(ae.RandomResizedCrop(8), [PHOTO, PHOTO])
    with pytest.raises(ValueError, match="got one image, expected two"):
        mix([ae.Resize((8, 8)), ae.CutMix()], [PHOTO])
    with pytest.raises(ValueError, match="no sample of epoch 0 was mixed"):
        mix([ae.Resize((8, 8)), ae.CutMix(p=0)], [PHOTO, PHOTO])


# Targets


def test_boxes_are_drawn_where_they_are():
    picture = np.zeros((60, 80, 3), np.uint8)
    marked = overlay(picture, {"boxes": torch.tensor([[10.0, 20, 50, 40]])})
    rows, columns = np.nonzero(marked.any(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 40, 10, 50)
    assert not marked[25:35, 15:45].any()
    doubled = overlay(picture, {"boxes": [[10, 20, 40, 20]]}, side=160, box_format="COCO")
    assert doubled.shape == (120, 160, 3)
    assert doubled[40, 60].any()
    assert not doubled[50:70, 30:90].any()


def test_masks_keypoints_and_polygons_are_drawn_where_they_are():
    picture = np.full((20, 30, 3), 100, np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 6:12], mask[0, 0] = 3, 255
    for target in (mask, {"mask": torch.from_numpy(mask)}, Image.fromarray(mask)):
        np.testing.assert_array_equal((overlay(picture, target) != 100).any(axis=2), mask == 3)
    marked = overlay(
        picture, {"masks": torch.from_numpy(mask == 3)[None], "labels": torch.tensor([1])}
    )
    np.testing.assert_array_equal((marked != 100).any(axis=2), mask == 3)
    dot = overlay(picture, {"keypoints": torch.tensor([[[8.0, 6.0, 2.0], [20.0, 6.0, 0.0]]])})
    rows, columns = np.nonzero((dot != 100).any(axis=2))
    assert abs(rows.mean() - 6) < 1
    assert abs(columns.mean() - 8) < 1
    line = overlay(picture, {"polygons": [[[[4, 4], [24, 4], [24, 15], [4, 15]]]]})
    assert (line[4, 10] != 100).any()
    assert (line[10, 14] == 100).all()
    with pytest.raises(ValueError, match=r"a mask of 5×6 for a picture of 20×30"):
        overlay(picture, np.zeros((5, 6), np.uint8))


def test_targets_follow_their_images_on_the_sheet():
    box = {"boxes": torch.tensor([[10.0, 20.0, 50.0, 60.0]]), "labels": torch.tensor([4])}
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    rows = list(tiles(ae.RandomHorizontalFlip(p=1), [PHOTO, PHOTO], targets=[box, none], draws=1))
    np.testing.assert_array_equal(rows[0][1].target["boxes"], [[78, 20, 118, 60]])
    assert len(rows[1][1].target["boxes"]) == 0
    picture = sheet_of("t", [], rows, 128, names={4: "cat"})
    bare = sheet_of("t", [], [[tile] for row in rows for tile in row][:1], 128)
    assert picture.size != bare.size


def test_targets_of_every_kind_that_an_engine_gives():
    from torchvision import tv_tensors

    boxes = tv_tensors.BoundingBoxes([[10, 20, 40, 40]], format="XYWH", canvas_size=(96, 128))
    target = {"boxes": boxes, "masks": tv_tensors.Mask(torch.ones(1, 96, 128, dtype=torch.uint8))}
    batch = ae.Engine(ae.RandomHorizontalFlip(p=1))([PHOTO], targets=[target], ids=[0], epoch=0)
    assert "<img" in batch._repr_html_()
    padded = ae.Engine(ae.Resize((32, 32)), target_options=ae.TargetOptions(pad=4))(
        [PHOTO], targets=[{"boxes": torch.tensor([[1.0, 2, 30, 40]]), "labels": torch.tensor([2])}],
        ids=[0], epoch=0,
    )  # fmt: skip
    assert "<img" in padded._repr_html_()
    assert ae.show(padded, names={2: "dog"}).image.width > 100


# What notebooks show


def pictures_in(html):
    found = re.findall(r"data:image/png;base64,([^\"]+)", html)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def test_a_png_of_ours_is_read_by_others():
    picture = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)
    assert shrunk(PHOTO, 32).shape == (24, 32, 3)
    large = np.zeros((3000, 20, 3), np.uint8)
    assert shrunk(large, 100).shape == (100, 1, 3)


def test_a_batch_shows_its_images_labels_and_words():
    policy = ae.Policy([ae.RandomResizedCrop(64), ae.RandomInvert(p=1), NORMALIZE])
    batch = ae.Engine(policy)([PHOTO, *OTHERS], [3, 1, 4, 1], ids=range(4), epoch=0)
    html = batch._repr_html_()
    shown = pictures_in(html)
    assert len(shown) == 4
    np.testing.assert_array_equal(shown[0], displayed(batch.images, batch.plan.finish)[0])
    assert "label 3" in html
    assert "inverted" in html
    assert "Batch(images=(4, 3, 64, 64)" in html


def test_a_plan_and_a_policy_show_what_they_do_to_our_card():
    policy = ae.Policy([ae.Resize((96, 96)), ae.RandomInvert(p=1)])
    (first, *_) = pictures_in(policy._repr_html_())
    plain = ae.execute(ae.Policy(ae.Resize((96, 96))).sample([0], [(96, 128)]), [card(96, 128)])
    wanted = 255 - displayed(plain, ae.Finish((96, 96), 3))[0].astype(int)
    assert np.abs(first - wanted).max() <= 1
    plan = policy.sample(range(20), [(3000, 4000)] * 20)
    assert len(pictures_in(plan._repr_html_())) >= 1
    assert "inverted" in plan._repr_html_()
    assert "resized to 96×96" in policy._repr_html_()


def hostile():
    class Odd:
        def __repr__(self):
            return "<script>alert(1)</script>"

    yield ae.Batch(torch.full((2, 3, 8, 8), float("nan")))
    yield ae.Batch(torch.zeros(0, 3, 8, 8))
    yield ae.Batch(torch.zeros(2, 5, 8, 8), Odd())
    yield ae.Batch(torch.zeros(2, 2, 0, 8))
    yield ae.Batch(torch.zeros(1, 4, 3, 8, 8))
    yield ae.Batch(torch.zeros(2, 3, 8, 8), [{"boxes": 5}, {"boxes": 5}])
    yield ae.BatchOfViews({"a": None})
    yield ae.Policy([ae.Lambda(Odd)])
    yield ae.Policy([ae.RandomIoUCrop(), ae.RandomCrop(4)])
    yield ae.Policy([ae.Stage(torch.nn.Flatten())])
    yield ae.Policy([ae.GaussianBlur(5), ae.Resize((9, 9))]).sample([0], [(6000, 9000)])
    yield ae.Policy([ae.Resize((2000, 2000))])


@pytest.mark.parametrize("number", range(12))
def test_nothing_that_a_notebook_shows_fails(number):
    shown = list(hostile())[number]
    html = shown._repr_html_()
    assert html is None or (isinstance(html, str) and len(html) < 2_000_000)
    assert "<script" not in (html or "")


def test_what_a_class_above_shows_is_bounded():
    batch = ae.Batch(torch.rand(20, 3, 300, 500))
    html = batch._repr_html_()
    assert html.count("<img") == 8
    assert len(html) < 1_500_000
    many = ae.Policy([ae.RandomApply([ae.RandomInvert()]) for _ in range(300)])
    assert len(many._repr_html_()) < 600_000


# ae.show


def test_show_of_a_batch_a_plan_a_policy_and_a_name(tmp_path):
    policy = ae.Policy([ae.RandomResizedCrop(48), NORMALIZE])
    images = [PHOTO, OTHERS[0]]
    batch = ae.Engine(policy)(images, ids=[0, 1], epoch=0)
    shown = ae.show(batch)
    assert [t.picture.shape for row in shown.rows for t in row] == [(48, 48, 3)] * 2
    by_policy = ae.show(policy, images, draws=1)
    by_plan = ae.show(batch.plan, images)
    for k in range(2):
        wanted = displayed(batch.images, batch.plan.finish)[k]
        for pictures in (by_policy.rows[k][1], by_plan.rows[k][1]):
            np.testing.assert_array_equal(pictures.picture, wanted)
    assert len(ae.show("imagenet", draws=1).rows) == 1
    assert len(ae.show(torch.rand(3, 3, 9, 9)).rows[0]) == 3
    assert len(pictures_in(shown._repr_html_())) == 2
    shown.save(tmp_path / "look.png")
    with Image.open(tmp_path / "look.png") as file:
        assert file.format == "PNG"
        assert file.size == shown.image.size
    assert [file.name for file in tmp_path.iterdir()] == ["look.png"]


def test_show_of_views_of_a_batch():
    views = ae.Views(weak=ae.Resize((8, 8)), crops=[ae.Policy(ae.RandomResizedCrop(4))] * 2)
    batch = ae.Engine(views)([PHOTO], ids=[0], epoch=0)
    assert [row[0].heading for row in ae.show(batch).rows] == [
        "weak, sample 0", "crops[0], sample 0", "crops[1], sample 0"
    ]  # fmt: skip
    assert len(pictures_in(batch._repr_html_())) == 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ae.show("imagnet"), ValueError, "nearest is imagenet"),
        (lambda: ae.show(5), TypeError, "got 5, expected a Batch, a Plan"),
        (lambda: ae.show(torch.zeros(3)), TypeError, r"of shape \(3,\), expected \(N, C, H, W\)"),
        (lambda: ae.show(ae.Batch(torch.zeros(1, 3, 8, 8)), [PHOTO]), TypeError, "which has its own"),
        (
            lambda: ae.show(ae.Policy([]).sample([0, 1], [(9, 9)] * 2), [PHOTO]),
            ValueError, "got 1 images for a plan of 2 sources",
        ),
        (lambda: ae.show("imagenet", size=3), ValueError, "show: size"),
    ],
)  # fmt: skip
def test_what_show_cannot_take(call, error, message):
    with pytest.raises(error, match=message):
        call()
