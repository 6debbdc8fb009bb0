"""`augengine bench` from the outside, and what follows from figures that are planted."""

import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import augengine as ae
from augengine.bench import Result, Row, Table, contenders, job, loaders, ours, pictures, plot
from augengine.bench.command import read_policy
from augengine.bench.result import OURS, table_of
from augengine.cli import app
from augengine.demo import peers

ABOUT = {"cpu": "a processor", "system": "a system", "versions": {"torch": "9"}, "heap": "reused",
         "date": "a day"}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six small JPEGs and PNGs in two folders, a text, and a hidden damaged one."""
    place = tmp_path_factory.mktemp("images")
    (place / "sub").mkdir()
    y, x = np.mgrid[:48, :64]
    for i in range(6):
        pixels = np.stack([x * 4, y * 5, (x + y) * 2 + i], axis=-1).astype(np.uint8)
        name = f"sub/{i}.png" if i % 2 else f"{i}.JPG"
        Image.fromarray(pixels).save(place / name, "PNG" if i % 2 else "JPEG")
    (place / "notes.txt").write_text("no image")
    (place / ".hidden.jpg").write_bytes(b"no image")
    return place


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """The YAML file of a policy of 16² that torchvision has."""
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(small_policy().to_yaml(), "utf-8")
    return path


def small_policy(*more):
    return ae.Policy([ae.RandomResizedCrop(16), *more, ae.Normalize((0.5,) * 3, (0.5,) * 3)])


def called(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


# --- The command, in its own processes.


def test_a_quick_run_with_its_json_and_picture(folder, policy, tmp_path):
    png, figures = tmp_path / "a.png", tmp_path / "a.json"
    done = called(
        "--images", folder, "--policy", policy, "--quick", "--workers", 1, "--peers", "torchvision,dali",
        "--batch-size", 4, "--out", png, "--json", figures,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Files to normalised batches, on one core" in done.output
    assert "Files through 1 DataLoader worker to a small model's training step" in done.output
    assert Image.open(png).width > 600
    content = json.loads(figures.read_text("utf-8"))
    assert set(content) == {"command", "images", "policy", "about", "tables", "page_cache"}
    assert content["page_cache"] == "warm"
    assert content["images"] | {"source": "", "bytes": 0} == {
        "source": "", "held": 6, "files": 6, "bytes": 0, "height": 48, "width": 64,
    }  # fmt: skip
    assert set(content["about"]) == set(ABOUT)
    assert content["about"]["versions"]["torch"] == torch.__version__.partition("+")[0]
    one_core, training = content["tables"]
    assert (one_core["regime"], one_core["cores"], one_core["workers"]) == ("one core", 1, 0)
    assert (training["regime"], training["workers"]) == ("training", 1)
    for table in content["tables"]:
        names = [row["name"] for row in table["rows"]]
        assert names[:3] == [OURS, "torchvision, PIL", "torchvision, decode_image"]
        for row in table["rows"]:
            assert len(row["seconds"]) == len(row["ours"]) == 3
            each = statistics.median(row["seconds"]) / row["images"]
            assert row["seconds_per_image"] == pytest.approx(each)
            assert row["images_per_second"] == pytest.approx(1 / each)
            assert row["steady"] == (row["spread"] <= 0.15)
    ours_row, pil, *_ = one_core["rows"]
    assert list(ours_row["stages"]) == ["read", "decode", "sample", "draw", "transport"]
    assert list(pil["stages"]) == ["read", "decode", "draw", "transport"]
    assert min(min(row["stages"].values()) for row in (ours_row, pil)) > 0


def test_the_stages_of_one_core_are_about_the_whole(folder):
    """Stages are timed apart, so their sum is near the batch's time, and not near nothing."""
    made = job.Job(
        "one core", small_policy().to_yaml(), tuple(map(str, sorted(folder.glob("*.JPG")))), 24, 3,
        only=("torchvision, PIL",),
    )  # fmt: skip
    table = job.measured(made, lambda text: None)
    assert [row.name for row in table.rows] == [OURS, "torchvision, PIL"]
    for row in table.rows:
        without = sum(row.stages.values()) - row.stages["transport"]
        assert 0.4 < without / row.each < 2.5, row


HOSTILE = {
    "no such folder": (["--images", "{none}"], r"--images: got .*none, expected a folder"),
    "an empty folder": (
        ["--images", "{empty}"],
        r"--images: .* holds no image, expected files that",
    ),
    "a damaged picture": (
        ["--images", "{damaged}"],
        r"{damaged}.*: .*expected an image that can be",
    ),
    "two sources": (["--images", "{folder}", "--photographs", "5mp"], r"came together; pass one"),
    "photographs of no size": (
        ["--photographs", "1x1"],
        r"--photographs: got 1x1, expected one of",
    ),
    "an unknown policy": (
        ["--policy", "nothing"],
        r"--policy: got 'nothing', expected one of crop, byol",
    ),
    "a wrong string": (["--policy", "rand-q9"], r"--policy: .*q9"),
    "several views": (["--policy", "simclr"], r"--policy: got simclr, a policy of several views"),
    "boxes": (["--policy", "{boxes}"], r"--policy: got .*boxes.yaml, which depends on boxes"),
    "an unknown peer": (["--peers", "torchvision,nobody"], r"--peers: got nobody, expected beginn"),
    "no picture file": (["--out", "a.jpg"], r"--out: got a\.jpg, expected a file name ending in"),
    "no folder for JSON": (["--json", "{none}/a.json"], r"--json: got .*, expected a file in a f"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_wrong_is_said_in_one_line(case, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"none": tmp_path / "none", "folder": folder}
    for name in ("empty", "damaged"):
        places[name] = tmp_path / name
        places[name].mkdir()
    places["boxes"] = tmp_path / "boxes.yaml"
    places["boxes"].write_text(ae.Policy(ae.RandomIoUCrop()).to_yaml(), "utf-8")
    whole = next(folder.glob("*.JPG")).read_bytes()
    (places["damaged"] / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    arguments, message = HOSTILE[case]
    done = called(*(argument.format(**places) for argument in arguments))
    message = message.replace("{damaged}", re.escape(str(places["damaged"])))
    assert done.exit_code == 1, done.output
    assert re.match(f"augengine bench: .*{message}", done.output), done.output
    assert done.output.count("\n") == 1
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    "arguments", [["--workers", "-1"], ["--batch-size", "0"], ["--rounds", "x"]]
)
def test_numbers_out_of_range_are_refused(arguments):
    assert called(*arguments).exit_code == 2


def test_an_error_of_the_other_process_is_told(folder, monkeypatch):
    made = job.Job("one core", "no policy", (str(folder / "0.JPG"),), 1, 1)
    with pytest.raises(ValueError, match="policy"):
        job.start(made, lambda text: None)
    monkeypatch.setattr(job, "__name__", "augengine.bench.no_such_module")
    with pytest.raises(ValueError, match="one core: the process that measures ended with 1"):
        job.start(made, lambda text: None)


# --- Who takes part.


def test_a_peer_that_is_missing_is_named(folder, monkeypatch):
    def missing(policy, image_dtype="uint8"):
        raise ModuleNotFoundError("No module named 'variopinta'", name="variopinta")

    way = dataclasses.replace(
        contenders.WAYS["variopinta + cv2"], peer=peers.Peer(missing, "variopinta")
    )
    monkeypatch.setitem(contenders.WAYS, "variopinta + cv2", way)
    found, left_out = contenders.contenders(
        small_policy(), [folder / "0.JPG"], 1, ["VARIOPINTA +", "torchvision, PIL"]
    )
    assert set(found) == {"torchvision, PIL"}
    assert left_out == {"variopinta + cv2": "not installed: pip install 'variopinta'"}


def test_a_decoder_that_is_missing_is_named(folder, monkeypatch):
    pytest.importorskip("albumentations")
    monkeypatch.setitem(sys.modules, "cv2", None)  # as if it were not there
    way = contenders.Way(peers.PEERS["torchvision v2"], contenders.by_opencv, "cv2", "opencv")
    monkeypatch.setattr(contenders, "WAYS", {"through cv2": way})
    _, left_out = contenders.contenders(small_policy(), [folder / "0.JPG"], 1)
    assert left_out == {"through cv2": "not installed: pip install 'opencv'"}


def test_an_op_that_a_peer_lacks_is_named(folder):
    policy = small_policy(ae.RandomPosterize(4))
    _, left_out = contenders.contenders(policy, [folder / "0.JPG"], 1, ["torchvision, PIL"])
    assert "RandomPosterize" in left_out["torchvision, PIL"]


def test_a_file_that_a_peer_cannot_decode_is_said(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    _, left_out = contenders.contenders(
        small_policy(), [tmp_path / "a.jpg"], 1, ["torchvision, decode"]
    )
    assert left_out["torchvision, decode_image"].startswith("failed: ")


@pytest.mark.parametrize("name", contenders.WAYS)
def test_every_way_decodes_the_same_picture(folder, name):
    """Of the middle of a smooth picture, which all filters agree on: PIL's pixels, within a few bytes."""
    policy = ae.Policy([ae.Resize((24, 32)), ae.Normalize((0.0,) * 3, (1.0,) * 3)])
    path = folder / "0.JPG"
    found, left_out = contenders.contenders(policy, [path], 1, [name])
    if name not in found:
        assert left_out[name].startswith("not installed")
        pytest.skip(left_out[name])
    batch = found[name].batch([path, path])
    assert batch.shape == (2, 3, 24, 32)
    picture = Image.open(path).convert("RGB").resize((32, 24), Image.Resampling.BILINEAR)
    expected = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    off = (batch - expected)[:, :, 3:-3, 3:-3].abs()
    assert off.max() < 6 / 255, off.max() * 255


# --- Ours.


def test_our_loader_gives_what_decoding_first_gives(folder):
    """The same ids and epoch: what the worker draws of files, the engine draws of decoded pictures."""
    paths = sorted(folder.glob("*.JPG"))
    policy = ae.Policy([ae.CenterCrop(32), ae.Normalize((0.5,) * 3, (0.5,) * 3)])
    (batch, labels, *_) = next(iter(ours.loader_of(policy, paths, 3, 3, 0)))
    pictures_of = [np.array(Image.open(path).convert("RGB")) for path in paths]
    expected = ae.Engine(policy)(pictures_of, ids=range(3), epoch=0).images
    assert torch.equal(batch, expected)
    assert labels.tolist() == [0, 1, 2]


def test_our_stages_make_the_batch(folder):
    paths = sorted(folder.glob("*.JPG"))
    stages, batch = ours.stages_of(small_policy(), paths)
    assert batch.shape == (3, 3, 16, 16)
    assert list(stages) == ["read", "decode", "sample", "draw"]
    assert [len(data) for data in stages["read"]()] == [path.stat().st_size for path in paths]
    assert len(stages["sample"]().sizes) == 3
    assert stages["draw"]().shape == batch.shape


def test_a_pass_trains_on_every_batch(folder):
    seen = []
    batches = loaders.Batches([folder / "0.JPG"], 10, 4, lambda some, ids: torch.ones(4, 3, 32, 32))
    with loaders.epochs(batches, lambda images, labels: seen.append(labels.tolist())) as epoch:
        epoch()
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7]]  # the rest is no whole batch


# --- Files.


def test_files_of_a_folder(folder):
    found, held = pictures.found(folder, 100)
    assert held == len(found) == 6
    assert [path.name for path in pictures.found(folder, 2)[0]] == ["0.JPG", "5.png"]


@pytest.mark.parametrize("size", [(37, 50), (1000, 1001)])
def test_photographs_are_written_at_a_size(tmp_path, size):
    paths = pictures.written(tmp_path, size, 2)
    assert {Image.open(path).size for path in paths} == {size[::-1]}
    assert pictures.about(paths)["height"] == size[0]
    if size[0] >= pictures.LARGE:  # grain gives them a camera's bytes for each pixel
        assert paths[0].stat().st_size > 0.15 * size[0] * size[1]


# --- From figures to words.


def row(name, ms, ours_ms=1.0, spread=0.01, **more):
    return Row(name, 1, (ms / 1000,) * 3, (ours_ms / 1000,) * 3, spread, **more)


def a_result():
    stages = {"read": 0.1e-3, "decode": 0.6e-3, "sample": 0.1e-3, "draw": 0.2e-3}
    rows = (row(OURS, 1.0, stages=stages), row("a peer", 3.0, notes=("less work",)),
            row("another", 2.0, spread=0.2))  # fmt: skip
    table = Table("one core", 0, 1, 8, rows, {"a third": "not installed: pip install 'third'"})
    images = {"source": "a folder", "held": 9, "files": 8, "bytes": 5000, "height": 3, "width": 4}
    return Result("augengine bench", images, "a policy", ABOUT, (table,))


def test_what_is_said_follows_from_the_figures(capsys):
    from rich.console import Console

    from augengine.bench import report

    report.show(Console(width=120, highlight=False), a_result())
    out = capsys.readouterr().out
    assert re.search(r"a peer +333 +3\.00 +±1 % +3\.00× as fast", out)
    assert re.search(r"another +~500 +2\.00 +±20 % +2\.00× as fast", out)
    assert "a third: not installed: pip install 'third'" in out
    assert "a peer: less work" in out
    assert re.search(r"augengine +█+ 1\.00\n", out)
    assert "warm page cache" in out


def test_a_table_survives_its_json():
    (table,) = a_result().tables
    assert table_of(json.loads(json.dumps(dataclasses.asdict(table)))) == table


def test_the_picture_is_written_whole(tmp_path):
    plot.draw(a_result(), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert np.array(Image.open(tmp_path / "a.png").convert("L")).std() > 5


# --- Policies.


def test_policies_by_name(policy):
    assert [type(op).__name__ for op in read_policy(None)[0].transforms] == [
        "RandomResizedCrop", "RandomHorizontalFlip", "Normalize",
    ]  # fmt: skip
    assert "RandAugment" in repr(read_policy("rand-m9-mstd0.5-inc1")[0])
    assert read_policy(str(policy))[0] == small_policy()
    assert read_policy("imagenet")[1] == "presets.imagenet()"


def test_help_is_plain():
    said = subprocess.run(
        [sys.executable, "-m", "augengine", "bench", "--help"], capture_output=True, text=True,
        env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip
    assert said.returncode == 0
    for option in ("--images", "--photographs", "--policy", "--workers", "--peers", "--quick"):
        assert option in said.stdout
