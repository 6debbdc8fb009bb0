"""The check of images: damaged ones are named with their reason, the others counted, nothing is touched."""

import dataclasses
import io
import os

import numpy as np
import pytest
from photos import patches
from PIL import Image
from typer.testing import CliRunner

import augengine as ae
from augengine.cli import app


def pixels(height=40, width=50):
    return patches(1, height, width)[0].permute(1, 2, 0).numpy()


def encoded(format, mode="RGB", size=(50, 40), **options):
    image = Image.fromarray(pixels(size[1], size[0]))
    file = io.BytesIO()
    (image.convert(mode) if mode != "RGB" else image).save(file, format, **options)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Whole images of several kinds, and three that are not."""
    root = tmp_path / "images"
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "cat/a.jpg": encoded("JPEG"),
        "cat/grey.jpg": encoded("JPEG", "L", (20, 10)),
        "cat/cmyk.jpg": encoded("JPEG", "CMYK", (200, 100)),
        "cat/turned.jpg": encoded("JPEG", exif=exif),
        "dog/lies.jpg": encoded("PNG"),
        "dog/palette.png": encoded("PNG", "P"),
        "dog/torn.jpg": encoded("JPEG")[:-60],
        "dog/torn.png": encoded("PNG")[:-90],
        "dog/empty.png": b"",
        "dog/text.png": b"this is no image at all",
        "dog/notes.txt": b"a text",
        "dog/.hidden.jpg": b"no image",
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


DAMAGED = ["dog/empty.png", "dog/text.png", "dog/torn.jpg", "dog/torn.png"]


def test_damaged_images_are_named_and_the_others_counted(folder):
    whole = ae.Folder(folder)
    report = whole.check()
    assert [name for name, _ in report.damaged] == DAMAGED
    assert all(reason for _, reason in report.damaged)
    assert report.count == 10
    said = whole.summary()
    assert "colours of train: RGB 3, CMYK 1, L 1, P 1 (all are read as RGB)" in said
    assert "damaged: 4" in said
    assert report.modes == {"RGB": 3, "L": 1, "CMYK": 1, "P": 1}
    assert report.formats == {"JPEG": 4, "PNG": 2}
    assert report.sizes == [(10, 20), (40, 50), (100, 200)]
    assert report.turned == 1
    assert report.mislabelled == [("dog/lies.jpg", "PNG")]
    said = str(report)
    for words in (
        "10 images decoded, 4 damaged",
        "dog/torn.jpg: ",
        "colours: RGB 3, CMYK 1, L 1, P 1 (all are read as RGB)",
        "smallest 20×10, median 50×40, largest 200×100",
        "turned by EXIF: 1",
        "dog/lies.jpg: is PNG",
    ):
        assert words in said, said


@pytest.mark.parametrize("threads", [1, 3])
def test_bytes_are_checked_as_files_are(folder, threads):
    data = [((folder / name).read_bytes(), label, name) for path, label, name in ae.Folder(folder)]
    done = []
    report = ae.check_images(data, threads=threads, progress=done.append)
    of_files = ae.Folder(folder).check()
    assert [name for name, _ in report.damaged] == [name for name, _ in of_files.damaged] == DAMAGED
    assert dataclasses.replace(report, damaged=[]) == dataclasses.replace(of_files, damaged=[])
    assert done == [*range(1, 11)]


def test_dicts_are_checked_as_tuples_are(folder):
    """As Hugging Face's undecoded images come: bytes, or no bytes and a path."""
    rows = [
        {"picture": {"bytes": b"none", "path": None}, "label": 0},
        {"picture": {"bytes": None, "path": str(folder / "cat/a.jpg")}, "label": 0},
        {"picture": {"bytes": b"none", "path": "x.jpg"}, "label": 0},
        {"picture": encoded("PNG"), "label": 0},
        {"picture": b"none", "label": 0, "key": "shard/7"},
    ]
    report = ae.check_images(rows, image="picture", id="key")
    assert [name for name, _ in report.damaged] == ["image 0", "x.jpg", "shard/7"]
    assert report.modes == {"RGB": 2}


def test_an_image_without_a_name_is_told_by_its_index():
    report = ae.check_images([(encoded("PNG"), 0), (b"none", 1)])
    assert [name for name, _ in report.damaged] == ["image 1"]


def test_what_cannot_be_checked_is_refused(tmp_path):
    with pytest.raises(
        TypeError,
        match=r"check_images: got ndarray of sample 0, expected the bytes of a file or its path",
    ):
        ae.check_images([(np.zeros((4, 4, 3), np.uint8), 0)])
    with pytest.raises(ValueError, match="threads"):
        ae.check_images([], threads=0)
    with pytest.raises(FileNotFoundError):
        ae.check_images([(str(tmp_path / "gone.png"), 0)])
    assert str(ae.check_images([])) == "0 images decoded, 0 damaged"


# The command


def test_the_command_ends_with_1_and_touches_nothing(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = CliRunner().invoke(app, ["check", "--images", str(folder)])
    assert done.exit_code == 1
    for name in DAMAGED:
        assert f"{name}: " in done.output
    assert "2 classes, 10 images" in done.output
    assert "left out: 1 hidden, 1 .txt" in done.output
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_command_ends_with_0_where_all_is_whole(folder):
    for name in DAMAGED:
        os.remove(folder / name)
    done = CliRunner().invoke(app, ["check", "--images", str(folder), "--threads", "2"])
    assert done.exit_code == 0, done.output
    assert "6 images decoded, 0 damaged" in done.output


def test_the_command_looks_at_images_of_no_class_too(folder):
    (folder / "beside.jpg").write_bytes(b"none")
    done = CliRunner().invoke(app, ["check", "--images", str(folder)])
    assert "1 in no class folder" in done.output
    assert "beside.jpg: " in done.output


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "got no --images, expected a folder"),
        (["--images", "gone"], "there is no folder 'gone'"),
        (["--images", "."], "holds no image"),
    ],
)
def test_what_is_no_folder_of_images_is_said_in_a_line(tmp_path, monkeypatch, told, said):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["check", *told])
    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output
