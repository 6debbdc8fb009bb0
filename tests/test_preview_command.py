"""`augengine preview`: the picture that it writes, targets from files, and what it says of wrong ones."""

import json

import numpy as np
import pytest
import torch
from photos import photo
from PIL import Image
from typer.testing import CliRunner

import augengine as ae
from augengine.cli import app
from augengine.demo.beside import beside
from augengine.preview.annotations import read_coco, read_masks

SIZES = {"a.png": (40, 60), "sub/b.jpg": (50, 50)}


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    for name, (height, width) in SIZES.items():
        pixels = photo("chelsea")[:, :height, :width].permute(1, 2, 0).numpy()
        Image.fromarray(np.ascontiguousarray(pixels)).save(images / name)
    return images


def coco(**changes):
    images = [
        {"id": 7, "file_name": "a.png", "height": 40, "width": 60},
        {"id": 9, "file_name": "b.jpg", "height": 50, "width": 50},
        {"id": 11, "file_name": "elsewhere.jpg", "height": 5, "width": 5},
    ]
    annotations = [
        {"image_id": 7, "category_id": 3, "bbox": [10, 5, 20, 30], "segmentation": [[10, 5, 30, 5, 30, 35]]},
        {"image_id": 7, "category_id": 4, "bbox": [0, 0, 9, 9], "segmentation": {"counts": "x"}, "iscrowd": 1,
         "keypoints": [4, 5, 2, 0, 0, 0]},
        {"image_id": 11, "category_id": 4, "bbox": [0, 0, 2, 2]},
    ]  # fmt: skip
    categories = [{"id": 3, "name": "cat"}, {"id": 4, "name": "crowd"}]
    return {"images": images, "annotations": annotations, "categories": categories} | changes


def preview(*arguments):
    return CliRunner().invoke(app, ["preview", *map(str, arguments)])


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("grid", "fixmatch"),
        ("sweep", "{yaml}"),
        ("trace", "{yaml}"),
        ("mix", "{yaml}"),
        ("epochs", "TrivialAugmentWide"),
        ("beside", "{code}:policy"),
    ],
)
def test_every_kind_writes_a_picture(folder, tmp_path, kind, policy):
    mixed = ae.Policy([ae.RandomResizedCrop(24), ae.RandomHorizontalFlip(), ae.CutMix()])
    (tmp_path / "p.yaml").write_text(mixed.to_yaml(), "utf-8")
    code = "import augengine as ae\npolicy = ae.Policy([ae.RandomResizedCrop(24)])\n"
    (tmp_path / "mine.py").write_text(code, "utf-8")
    policy = policy.format(yaml=tmp_path / "p.yaml", code=tmp_path / "mine.py")
    out = tmp_path / f"{kind}.png"
    done = preview(
        "--images", folder, "--policy", policy, "--kind", kind, "--size", 48, "--out", out
    )
    assert done.exit_code == 0, done.output
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert f"{picture.width}×{picture.height} pixels" in " ".join(done.output.split())
    assert not list(tmp_path.glob("*.partial"))


def test_images_are_numbered_by_their_place_and_damaged_ones_named(folder, tmp_path):
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0nothing")
    seen = {}
    import augengine.demo.preview as command

    def spy(*arguments, **named):
        seen.update(named)
        return original(*arguments, **named)

    original = command.tiles
    command.tiles = spy
    try:
        done = preview("--images", folder, "--policy", "cifar", "--out", tmp_path / "x.png")
    finally:
        command.tiles = original
    assert done.exit_code == 0, done.output
    assert "left out broken.jpg" in done.output
    assert seen["ids"] == [0, 2]  # as of a data set of all three
    assert seen["titles"] == ["0: a.png", "2: b.jpg"]


def test_targets_of_coco_are_drawn_on(folder, tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps(coco()), "utf-8")
    out = tmp_path / "x.png"
    arguments = ("--images", folder, "--policy", "detection_ssdlite", "--draws", 1, "--out", out)
    done = preview(*arguments, "--targets", tmp_path / "coco.json")
    assert done.exit_code == 0, done.output
    found = read_coco(tmp_path / "coco.json", list(SIZES), list(SIZES.values()))
    assert found.classes == {3: "cat", 4: "crowd"}
    first, second = found.targets
    assert torch.equal(first["boxes"], torch.tensor([[10.0, 5, 30, 35], [0, 0, 9, 9]]))
    assert first["labels"].tolist() == [3, 4]
    assert first["polygons"][1] == []
    np.testing.assert_array_equal(first["polygons"][0][0], [[10, 5], [30, 5], [30, 35]])
    assert first["keypoints"].tolist() == [[[0, 0, 0]] * 2, [[4, 5, 2], [0, 0, 0]]]
    assert second["boxes"].shape == (0, 4)
    batch = ae.Engine(ae.RandomHorizontalFlip(p=1))(
        [torch.zeros(3, 40, 60, dtype=torch.uint8)], targets=[first], ids=[0], epoch=0
    )
    assert torch.equal(batch.targets[0]["boxes"][0], torch.tensor([30.0, 5, 50, 35]))


def test_masks_of_the_images_names_are_drawn_on(folder, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = Image.fromarray(np.full((40, 60), 2, np.uint8), "P")
    mask.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    mask.save(masks / "a.png")
    done = preview("--images", folder, "--policy", "segmentation", "--targets", masks, "--draws", 1,
                   "--out", tmp_path / "x.png")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "left out sub/b.jpg" in done.output
    found = read_masks(masks, list(SIZES), list(SIZES.values())).targets
    assert found[1] is None
    np.testing.assert_array_equal(found[0], np.full((40, 60), 2))


def test_torchvision_beside_ours_draws_the_same_where_nothing_is_drawn():
    image = photo("coffee")[:, :60, :80].permute(1, 2, 0).numpy().copy()
    policy = ae.Policy([ae.Resize((48, 48)), ae.RandomHorizontalFlip(p=1), ae.Normalize(0.5, 0.25)])
    ours, theirs = beside(policy, [image], draws=1)
    assert theirs[1].heading == "draw 0"
    assert np.abs(ours[1].picture.astype(int) - theirs[1].picture).max() <= 2
    assert np.abs(ours[1].picture.astype(int) - ours[1].picture[:, ::-1]).max() > 20


def sized(height):
    changed = coco()
    changed["images"][0]["height"] = height
    return changed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "nowhere"], "--images: nowhere is no folder"),
        (["--images", "{empty}"], "holds no images, expected at least one"),
        (["--images", "{images}", "--sample", "9"], "--sample: got 9, expected 0 … 1"),
        (["--policy", "imagnet"], "The nearest is imagenet."),
        (["--kind", "film"], "--kind: got film, expected one of grid, sweep, trace"),
        (["--out", "x.jpg"], "--out: got x.jpg, expected a file name ending in .png"),
        (["--kind", "trace", "--policy", "dino"], "a policy of several views"),
        (["--kind", "mix", "--policy", "imagenet"], "--kind mix: presets.imagenet() mixes nothing"),
        (["--images", "{images}", "--kind", "beside", "--policy", "deit3"], "torchvision has no ThreeAugment"),
        (["--targets", "{empty}"], "--targets: came without --images"),
        (["--images", "{images}", "--targets", "gone"], "--targets gone: there is no such file"),
        (["--images", "{images}", "--targets", "{empty}"], "has a mask for none of the 2 images"),
        (["--images", "{images}", "--targets", "{text}"], "it is no JSON"),
        (["--images", "{images}", "--targets", "{odd}"], "expected COCO's JSON with images, annotations"),
        (["--images", "{images}", "--targets", "{lacks}"], "an entry lacks 'bbox'"),
        (["--images", "{images}", "--targets", "{size}"], "a.png is 40×60, and the file says 41×60"),
        (["--images", "{images}", "--targets", "{other}"], "names none of the 2 images"),
        (["--images", "{images}", "--targets", "{coco}", "--kind", "mix"], "--targets: came with --kind mix"),
    ],
)  # fmt: skip
def test_what_the_command_cannot_take(folder, tmp_path, arguments, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    files = {
        "text": "nothing",
        "odd": json.dumps([1]),
        "lacks": json.dumps(coco(annotations=[{"image_id": 7, "category_id": 1}])),
        "size": json.dumps(sized(41)),
        "other": json.dumps(coco(images=[{"id": 1, "file_name": "z.png"}], annotations=[])),
        "coco": json.dumps(coco()),
    }
    for name, text in files.items():
        (tmp_path / f"{name}.json").write_text(text, "utf-8")
    places = {name: tmp_path / f"{name}.json" for name in files}
    places |= {"empty": tmp_path / "empty", "images": folder}
    done = preview(*(argument.format(**places) for argument in arguments))
    said = " ".join(done.output.split())
    assert done.exit_code == 1, said
    assert said.count("augengine preview:") == 1
    assert message in said
    assert not list(tmp_path.glob("*.png"))
