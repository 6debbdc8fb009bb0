"""`augengine demo` from the outside: what it writes, prints and refuses."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import augengine as ae
from augengine import demo, sheet
from augengine.cli import app
from augengine.demo.command import default_policy
from augengine.demo.comparison import compare
from augengine.demo.contact_sheet import contact_sheet, draw_versions
from augengine.demo.peers import PEERS, Peer
from augengine.demo.photographs import read_folder
from augengine.plan import Finish

SIZES = {"a.png": (60, 90), "b.jpg": (120, 70), "sub/c.png": (64, 64)}


def image(height, width, seed=0):
    """Smooth colours, uint8 (H, W, 3)."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = [np.sin(3 * x + seed), np.cos(2 * y), np.sin(4 * x * y)]
    return np.stack([127 + 100 * plane for plane in planes], axis=-1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Four images, one of 16 bits, one in a folder; a text and a broken file; a hidden one."""
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    for seed, (name, size) in enumerate(SIZES.items()):
        Image.fromarray(image(*size, seed)).save(images / name)
    whole = (images / "a.png").read_bytes()
    (images / "broken.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(images / "deep.png")
    (images / "notes[1].txt").write_text("no picture")
    (images / ".hidden.png").write_bytes(whole)
    return images


@pytest.fixture
def quick(monkeypatch):
    """Small batches and no long rounds."""
    monkeypatch.setattr(demo.run, "__kwdefaults__", {"batch": 6, "seconds": 0.1})


def augengine(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def flat(text):
    """Rich wraps at the terminal's width: words only."""
    return " ".join(text.split())


def test_a_folder_of_images(folder, tmp_path, quick):
    output = tmp_path / "sheet.png"
    done = augengine("demo", "--images", folder, "--output", output, "--size", 32, "--seed", 3)
    assert done.exit_code == 0, done.output
    said = flat(done.output)
    assert "2 files are left out:" in said
    assert "notes[1].txt: no image (.txt)" in said
    assert "broken.png: " in said
    assert "hidden" not in said
    assert "4 photographs, 4 versions of each" in said
    for word in ("images/s", "spread", "memory floor", "threads", "rounds", "torch 2."):
        assert word in said
    number = r"augengine +1 +[\d,]+ +±\d+ % +\d+\.\d"
    assert re.search(number, done.output), done.output

    with Image.open(output) as made:
        assert made.mode == "RGB"
        assert made.width == 2 * sheet.MARGIN + 5 * 224 + 4 * sheet.GAP
        assert f"({made.width}×{made.height} pixels)" in said


def test_an_earlier_sheet_is_not_read_as_an_image(folder, quick):
    output = folder / "sheet.png"
    for _ in range(2):
        done = augengine("demo", "--images", folder, "--output", output, "--size", 16)
        assert "4 photographs" in flat(done.output)


def test_the_shipped_photographs():
    photographs = demo.shipped_photographs()
    assert [p.name for p in photographs] == [
        "china", "flower", "astronaut", "coffee", "chelsea", "rocket"
    ]  # fmt: skip
    assert len({p.pixels.shape for p in photographs}) == 4
    assert all(p.pixels.dtype == np.uint8 and p.pixels.shape[2] == 3 for p in photographs)
    # In RGB: the dahlia is orange, the sky behind the rocket is blue.
    assert (np.diff(photographs[1].pixels[200:240, 280:320].mean((0, 1))) < 0).all()
    assert (np.diff(photographs[5].pixels[50:100, 100:200].mean((0, 1))) > 0).all()


def test_an_empty_folder_is_an_error_with_the_fix(tmp_path):
    (tmp_path / "images").mkdir()
    done = augengine("demo", "--images", tmp_path / "images", "--output", tmp_path / "sheet.png")
    assert done.exit_code == 1
    assert "holds no image that can be read (0 other files)" in flat(done.output)
    assert "Pass another folder, or leave --images away" in flat(done.output)
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--images", "missing"], 1, "--images: missing is no folder. Pass one that holds images."),
        (["--output", "missing/sheet.png"], 1, "in a folder that exists"),
        (["--output", "sheet.jpg"], 1, "expected a file name ending in .png"),
        (
            ["--policy", "missing.yaml"],
            1,
            "--policy missing.yaml: there is no such file. Check the path",
        ),
        (["--policy", "picture.yaml"], 1, "picture.yaml: got bytes that are no UTF-8 text"),
        (["--policy", "."], 1, ".: got no regular file, expected one"),
        (["--policy", "bad.yaml"], 1, "the op 'RandomFlip', which is unknown"),
        (["--policy", "no.yaml"], 1, "--policy no.yaml:"),
        (["--policy", "free.yaml"], 1, "expected one size for the batch"),
        (["--policy", "good.yaml", "--size", "32"], 1, "a policy file says its own size"),
        (["--size", "0"], 2, "--size"),
        (["--epoch", "-1"], 2, "--epoch"),
        (["--sead", "1"], 2, "--sead"),
    ],
)
def test_wrong_arguments(arguments, code, message, tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("augengine: 1\npolicy: [RandomFlip: {}]\n")
    (tmp_path / "no.yaml").write_text("policy: [unclosed\n")
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\xff")
    (tmp_path / "free.yaml").write_text(ae.Policy([ae.RandomHorizontalFlip()]).to_yaml())
    (tmp_path / "good.yaml").write_text(ae.Policy([ae.Resize((8, 8))]).to_yaml())
    done = augengine("demo", *arguments)
    assert done.exit_code == code
    plain = re.sub(r"\x1b\[[\d;]*m|[│╭╮╰╯─]", " ", done.output)
    assert message in flat(plain)
    assert "Traceback" not in done.output


def test_a_policy_file_with_normalize(folder, tmp_path, quick):
    policy = ae.Policy([ae.Resize((24, 36)), ae.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))])
    (tmp_path / "p.yaml").write_text(policy.to_yaml())
    output = tmp_path / "sheet.png"
    done = augengine(
        "demo", "--images", folder, "--policy", tmp_path / "p.yaml", "--output", output
    )
    assert done.exit_code == 0, done.output
    assert output.exists()


def test_a_policy_that_peers_lack_is_said(folder, tmp_path, quick):
    policy = ae.Policy([ae.Resize((16, 16)), ae.RandomQuarterTurn()])
    (tmp_path / "p.yaml").write_text(policy.to_yaml())
    output = tmp_path / "sheet.png"
    done = augengine(
        "demo", "--images", folder, "--policy", tmp_path / "p.yaml", "--output", output
    )
    assert done.exit_code == 0, done.output
    assert "torchvision v2: not compared: torchvision has no RandomQuarterTurn" in flat(done.output)


def test_a_peer_that_is_not_installed_is_said(folder, tmp_path, quick, monkeypatch):
    def missing(policy):
        raise ImportError("No module named 'albumentations'")

    absent = Peer(missing, "albumentations==2.0.8")
    monkeypatch.setitem(PEERS, "albumentations", absent)
    done = augengine("demo", "--images", folder, "--output", tmp_path / "sheet.png", "--size", 16)
    said = "albumentations: not installed; to compare: pip install 'albumentations==2.0.8'"
    assert said in flat(done.output)


def test_one_image_alone(tmp_path, quick):
    (tmp_path / "one").mkdir()
    Image.fromarray(image(40, 50)).convert("RGBA").save(tmp_path / "one" / "x.png")
    done = augengine("demo", "--images", tmp_path / "one", "--output", tmp_path / "s.png")
    assert done.exit_code == 0, done.output


def test_threads_are_as_before(folder, quick):
    threads = torch.get_num_threads()
    photographs = read_folder(folder).photographs
    rows = compare(ae.Engine(default_policy(16)), photographs, 0, batch=4, seconds=0)
    assert torch.get_num_threads() == threads
    assert {row.threads for row in rows if row.name == "augengine"} == {1, threads}


def test_version_and_module():
    done = augengine("--version")
    assert (done.exit_code, done.output) == (0, f"augengine {ae.__version__}\n")
    said = subprocess.check_output([sys.executable, "-m", "augengine", "--version"], text=True)
    assert said == done.output


# Reading


def test_reading_stops_and_says_how_much_is_left(folder):
    found = read_folder(folder, most=1)
    assert [p.name for p in found.photographs] == ["a"]
    assert found.left == 4


def test_sixteen_bits_are_read_as_eight(folder):
    """40,000 of 65,535 is 155.6 of 255."""
    (deep,) = (p for p in read_folder(folder).photographs if p.name == "deep")
    assert (deep.pixels == 156).all()


def test_photographs_stand_upright(tmp_path):
    """The camera's orientation tag is obeyed."""
    pixels = image(20, 40)
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    (photograph,) = read_folder(tmp_path).photographs
    np.testing.assert_array_equal(photograph.pixels, pixels[::-1, ::-1])


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_a_name_that_is_no_unicode(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("no picture")
    ((name, _),) = read_folder(tmp_path).unreadable
    assert name == "caf\N{REPLACEMENT CHARACTER}.txt"


# The sheet


def test_captions_are_the_plans_words_and_pixels_the_engines(folder, monkeypatch):
    engine = ae.Engine(default_policy(48), seed=5)
    photographs = read_folder(folder).photographs
    epochs = draw_versions(engine, photographs, epoch=7)
    assert [version.plan.epoch for version in epochs] == [7, 8, 9, 10]

    rows = []
    monkeypatch.setattr(sheet, "draw", lambda title, lines, rows_: rows.extend([lines, *rows_]))
    contact_sheet(engine, photographs, epochs)
    lines, *rows = rows
    assert "RandomResizedCrop(size=(48, 48), scale=(0.3, 1.0))" in lines[0]
    assert lines[0].endswith("CutMix(p=0.5)")
    assert f"seed 5, epochs 7 … 10, policy {epochs[0].plan.policy}" in lines[1]
    sizes = np.array([p.pixels.shape[:2] for p in photographs])
    for i, (original, *versions) in enumerate(rows):
        np.testing.assert_array_equal(original.pixels, photographs[i].pixels)
        assert original.caption == f"sample {i}, {sizes[i, 0]}×{sizes[i, 1]}"
        for epoch, tile in enumerate(versions, 7):
            plan = engine.plan(sizes, np.arange(len(sizes)), epoch)
            assert tile.caption == plan.explain(i)
            images = ae.execute(plan, [p.pixels for p in photographs])
            expected = images[i].permute(1, 2, 0).mul(255).add(0.5).to(torch.uint8)
            np.testing.assert_array_equal(tile.pixels, expected)


@pytest.mark.parametrize("mean", [(), (0.5, 0.4, 0.3)])
def test_display_undoes_the_normalisation(mean):
    std = (0.2, 0.3, 0.4) if mean else ()
    wanted = image(6, 8)[None]
    batch = torch.from_numpy(wanted).permute(0, 3, 1, 2) / 255
    if mean:
        batch = (batch - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    np.testing.assert_array_equal(sheet.displayed(batch, Finish((6, 8), 3, mean, std)), wanted)


def test_nothing_is_cut_off():
    """Margins stay empty, and a row's caption ends before the next row begins."""
    long = "pasted " * 30 + "x" * 200
    rows = [[sheet.Tile(image(50, 80), long, "a heading " * 8)] * 3 for _ in range(2)]
    made = np.array(sheet.draw("title", [long], rows))
    inked = (made != made[0, 0]).any(-1)
    y, x = np.nonzero(inked)
    assert y.min() >= sheet.MARGIN
    assert x.min() >= sheet.MARGIN - 1
    assert made.shape[0] - y.max() > sheet.MARGIN
    assert made.shape[1] - x.max() > sheet.MARGIN - 1
    # Between columns nothing is written; between rows there is a gap all across.
    left = sheet.MARGIN + 224
    top = sheet.MARGIN + sheet.TITLE_LINE + 5 * sheet.LINE + sheet.ROW_GAP
    assert not inked[top:, left + 2 : left + sheet.GAP - 1].any()


def test_tiles_hold_the_very_pixels():
    pixels = image(224, 224)
    made = np.array(sheet.draw("t", [], [[sheet.Tile(pixels, "words")]]))
    top = sheet.MARGIN + sheet.TITLE_LINE + sheet.ROW_GAP
    at = np.s_[top : top + 224, sheet.MARGIN : sheet.MARGIN + 224]
    np.testing.assert_array_equal(made[at], pixels)


def test_wrapping_keeps_every_word():
    text, _ = sheet.fonts(sheet.TEXT)
    words = "crop 296×289 at (109, 304) → 224×224, shifted by (-12, +16) px, 26 % of sample 5"
    for width in (60, 100, 150, 224, 900):
        lines = sheet.wrap(words, text, width)
        assert all(text.getlength(line) <= width for line in lines)
        assert "".join(" ".join(lines).split()) == "".join(words.split())
    lines = sheet.wrap(words, text, 150)
    assert any("(109, 304)" in line for line in lines)
    assert any("(-12, +16) px," in line for line in lines)
    assert any("26 %" in line for line in lines)


def test_a_long_name_breaks_where_a_reader_would():
    text, bold = sheet.fonts(sheet.TEXT)
    for name, lines in (
        ("RandomResizedCrop(size=(224, 224))", ["Random", "ResizedCrop(", "size=(224,", "224))"]),
        ("RandomAffine(degrees=(-12.0, 12.0))", ["RandomAffine(", "degrees=", "(-12.0, 12.0))"]),
        ("train/flower/33.jpg", ["train/flower/", "33.jpg"]),
    ):
        assert sheet.wrap(name, bold, 112) == lines
    letters = sheet.wrap("x" * 60, text, 112)
    assert "".join(letters) == "x" * 60
    assert all(text.getlength(line) <= 112 for line in letters)


# The gallery


def test_the_gallery_shows_every_policy(tmp_path):
    from augengine.demo import gallery

    picture = tmp_path / "policies.png"
    done = augengine("gallery", "--output", picture, "--size", 48)
    assert done.exit_code == 0, done.output
    assert all(name in done.output for name in gallery.SHOWN)
    pixels = np.asarray(Image.open(picture))
    assert pixels.shape[1] > 6 * 48
    assert pixels.std() > 20
    assert augengine("gallery", "--output", picture, "--size", 8).exit_code != 0
    away = augengine("gallery", "--output", tmp_path / "nowhere" / "policies.png", "--size", 48)
    assert away.exit_code == 1
    assert "augengine gallery: " in away.output
