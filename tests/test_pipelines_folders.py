"""Training on one's own folder: what is found is said, damaged images are named or left out, and the model
knows its classes."""

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

import augengine as ae
from augengine.cli import app
from augengine.pipelines import data as datasets
from augengine.pipelines import finetune, load_model, models
from augengine.pipelines.batches import Loader, Samples
from augengine.pipelines.command import in_one_line
from augengine.pipelines.policies import default_policy
from augengine.pipelines.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")

COLOURS = {"blue": (30, 30, 220), "green": (30, 220, 30), "red": (220, 30, 30)}
TOLD = {"cpu": True, "size": 16, "model": "digitnet_8", "batch_size": 8, "evaluate_every": 2}
OPTIONS = [
    "--cpu", "--size=16", "--model=digitnet_8", "--batch-size=8", "--epochs=1",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Three colours, ten pictures of each, of other sizes, as JPEG, PNG and BMP."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(10):
            noise = rng.integers(-30, 30, (20 + i, 30, 3))
            picture = Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))
            picture.save(tmp_path / "data" / name / f"{i}.{('jpg', 'png', 'bmp')[i % 3]}")
    return tmp_path / "data"


def grey(folder, name, value, dtype=np.uint8):
    (folder / name).parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((20, 24), value, dtype)).save(folder / name)


def damage(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100])
    return path


# What is found


def test_a_folder_takes_all_labels_unless_told(folder):
    data = datasets.load(Settings(data=str(folder)))
    assert (len(data.labelled), len(data.unlabelled), len(data.test)) == (24, 0, 6)
    few = datasets.load(Settings(data=str(folder), labels=2))
    assert (len(few.labelled), len(few.unlabelled)) == (6, 18)
    assert len(datasets.load(Settings()).labelled) == 200, "20 of each digit"


def test_what_was_found_is_said(folder):
    (folder / ".ipynb_checkpoints").mkdir()
    grey(folder, ".ipynb_checkpoints/1.png", 9)
    (folder / "red" / "._0.jpg").write_bytes(b"a rest")
    (folder / "red" / "notes.txt").write_bytes(b"a text")
    (folder / "empty").mkdir()
    grey(folder, "lone/1.png", 9)
    data = datasets.load(Settings(data=str(folder)))
    assert data.classes == ("blue", "green", "lone", "red")
    for words in (
        "4 classes, 31 images",
        "blue 10, green 10, lone 1, red 10",
        "of a single image to train on: lone",
        "folders without an image: empty",
        "left out: 2 hidden, 1 .txt",
        "25 labelled, 0 unlabelled, 6 to test",
        "classes without an image to test: lone",
    ):
        assert words in data.summary, data.summary
    # The only image of a class is learned, and not tested.
    assert (data.truth[data.labelled] == 2).sum() == 1
    assert not (data.truth[data.test] == 2).any()


def test_which_part_is_the_test_is_said(folder, tmp_path):
    (tmp_path / "parts").mkdir()
    for part in ("training", "validation", "test"):
        (tmp_path / "parts" / part).symlink_to(folder, target_is_directory=True)
    data = datasets.load(Settings(data=str(tmp_path / "parts")))
    assert (len(data.labelled), len(data.test)) == (30, 30)
    assert all("/test/" in data.images[i] for i in data.test)
    assert "the test is by test, and val is not used" in data.summary


def test_folders_that_cannot_train(folder, tmp_path):
    for name in ("x/a/1.png", "x/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        grey(tmp_path, name, 9)
    with pytest.raises(ValueError, match=r"has no image to test on, .*single image. Add more"):
        datasets.load(Settings(data=str(tmp_path / "x")))
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "train").symlink_to(folder)
    for name in ("red", "mauve"):
        (tmp_path / "y" / "val" / name).mkdir(parents=True)
        grey(tmp_path / "y" / "val", f"{name}/1.png", 9)
    with pytest.raises(
        ValueError, match=r"has no image to train on of mauve, expected one of each"
    ):
        datasets.load(Settings(data=str(tmp_path / "y")))
    assert datasets.load(Settings(data=str(tmp_path / "y"), classes="0,1,3")).classes == tuple(
        COLOURS
    )


# Training


def test_a_model_knows_its_classes(folder, tmp_path, capsys):
    output = tmp_path / "run"
    results = finetune.run(
        finetune.Finetune(data=str(folder), output=str(output), epochs=6, **TOLD)
    )
    said = capsys.readouterr().out
    assert "3 classes, 30 images" in said
    assert "24 labelled, 0 unlabelled, 6 to test" in said
    # In a file or a pipe a line for each evaluation says what its numbers are.
    assert "model: epoch 6 of 6, training loss 0." in said
    assert f"{100 * results['accuracy']:.1f} % of the test right" in said
    assert results["accuracy"] > 0.8
    with safe_open(output / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["classes"]) == list(COLOURS)

    for path in (output, output / "model.safetensors", output / "model"):
        trained = load_model(path)
        assert trained.classes == tuple(COLOURS)
    pictures = [np.full((30, 40, 3), colour, np.uint8) for colour in COLOURS.values()]
    batch = ae.Engine(trained.policy)(pictures, ids=range(3))
    answers = trained.model(batch.images).argmax(1).tolist()
    assert [trained.classes[c] for c in answers] == list(COLOURS)
    # The same by name, of files too, in batches of any size.
    expected = trained.model(batch.images).softmax(1)
    files = [tmp_path / f"{name}.png" for name in COLOURS]
    for picture, file in zip(pictures, files, strict=True):
        Image.fromarray(picture).save(file)
    for images in (pictures, files, [file.read_bytes() for file in files]):
        torch.testing.assert_close(trained.probabilities(images, batch_size=2), expected)
        assert [name for name, _ in trained.predict(images)] == list(COLOURS)
    (_, share), *_ = trained.predict(pictures)
    assert share == pytest.approx(expected[0].max().item())
    assert trained.predict([]) == []
    with pytest.raises(ValueError, match="batch_size"):
        trained.predict(pictures, batch_size=0)


def test_a_model_is_asked_about_images_of_other_channels():
    """Of the weights of a colour model that adds its channels, and of a grey one."""
    from augengine.pipelines.trained import Trained

    class Mean(torch.nn.Module):
        def forward(self, images):
            return torch.stack([images.mean((1, 2, 3)), torch.zeros(len(images))], 1)

    grey, red = np.full((4, 4), 51, np.uint8), np.full((4, 4, 3), (255, 0, 0), np.uint8)
    size = ae.Resize((4, 4))
    for channels, of_red in ((3, 1 / 3), (1, 0.299)):
        mean = [0.0] * channels
        trained = Trained(
            Mean(),
            ("light", "dark"),
            ae.Policy([size, ae.Normalize(mean, [1.0] * channels)]),
            channels,
        )
        expected = torch.tensor([0.2, of_red]).sigmoid()
        for image, share in zip((grey, red), expected, strict=True):
            found = trained.probabilities([image])[0, 0]
            torch.testing.assert_close(found, share, atol=1e-3, rtol=0)


@pytest.mark.thorough
def test_the_example_of_load_model():
    from augengine import pipelines

    tests = doctest.DocTestFinder().find(pipelines.load_model, globs={"ae": ae})
    runner = doctest.DocTestRunner()
    assert [runner.run(test).failed for test in tests if test.examples] == [0]


def test_files_that_say_no_classes_are_refused(tmp_path):
    model = models.create("digitnet_8", classes=3, channels=1)
    for notes in ({}, {"classes": "[1]", "channels": "1", "policy": ""}, {"classes": "7"}):
        models.save(model, tmp_path / "m.safetensors", notes)
        with pytest.raises(ValueError, match=r"does not say its classes, channels and policy"):
            models.load(tmp_path / "m.safetensors")
    with pytest.raises(OSError, match="there is no digitnet_8, expected a run's folder"):
        models.load("digitnet_8")


def test_sixteen_bit_and_grey_images_are_what_they_are(folder):
    """A ramp of 16 bits is a ramp, and not two levels."""
    ramp = np.linspace(0, 65535, 40).astype(np.uint16)[None].repeat(30, 0)
    (folder / "deep").mkdir()
    Image.fromarray(ramp).save(folder / "deep" / "0.png")
    Image.fromarray(np.round(ramp / 257).astype(np.uint8)).save(folder / "deep" / "1.png")
    data = datasets.load(Settings(data=str(folder)))
    images = [data.images[i] for i in np.flatnonzero(data.truth == 1)]
    batch = ae.Engine(ae.Normalize(0, 1), seed=0)(images, ids=[0, 1])
    expected = torch.from_numpy(np.linspace(0, 1, 40)).float().expand(2, 3, 30, 40)
    torch.testing.assert_close(batch.images, expected, atol=1 / 255, rtol=0)


def test_processes_share_the_batches_of_one(folder):
    """Images that stay encoded, in one process and in two: the same pixels to the bit."""
    data = datasets.load(Settings(data=str(folder), size=16))
    samples = Samples.labelled(data)
    met = {}
    for rank, world in ((0, 1), (0, 2), (1, 2)):
        place = SimpleNamespace(process_index=rank, num_processes=world, device=torch.device("cpu"))
        loader = Loader(samples, default_policy(data), batch_size=8, seed=0, accelerator=place)
        for part in loader.epoch(1):
            for id, image in zip(part.ids, part.batch.images, strict=True):
                met.setdefault(int(id), []).append(image)
    assert met.keys() == {*data.labelled}
    assert all(len(images) == 2 and torch.equal(*images) for images in met.values())


# Damaged images


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_ends_the_run_in_a_line(folder, tmp_path, workers):
    path = damage(folder, "green/3.jpg")
    command = [*OPTIONS, f"--data={folder}", f"--output={tmp_path / 'run'}", f"--workers={workers}"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "augengine", "train", "finetune", *command],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.strip())
    assert line.startswith(f"augengine train finetune: {path}: ")
    assert line.endswith("--corrupt skip leaves out all such images.")


def test_damaged_images_are_left_out_by_choice(folder, tmp_path):
    names = ["green/3.jpg", "red/4.png"]
    for name in names:
        damage(folder, name)
    output = tmp_path / "run"
    command = ["train", "finetune", *OPTIONS, f"--data={folder}", f"--output={output}"]
    done = CliRunner().invoke(app, [*command, "--corrupt=skip"])
    assert done.exit_code == 0, done.output
    for name in names:
        assert f"left out: {name}: " in done.output
    assert "2 damaged images are left out" in done.output
    assert json.loads((output / "config.json").read_text("utf-8"))["corrupt"] == "skip"


def test_what_is_left_out_is_in_no_part(folder):
    data = datasets.load(Settings(data=str(folder)))
    gone = [int(data.labelled[0]), int(data.test[0])]
    without = datasets.load(Settings(data=str(folder)), damaged=gone)
    assert {*without.labelled, *without.unlabelled, *without.test} == {
        *data.labelled, *data.unlabelled, *data.test,
    } - {*gone}  # fmt: skip
    assert (without.truth[gone] == datasets.UNUSED).all()
    assert without.key == data.key, "ids mean the same images"


# Errors in a line


def test_the_last_line_of_a_workers_traceback():
    text = (
        "Caught DecodeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "x.py", line 3, in f\n    raise x\nKeyError: 7\n\nThe above exception was the direct cause '
        "of the following exception:\n\naugengine.decoding.errors.DecodeError: a.png: it is torn: so.\n"
    )
    assert (
        in_one_line(RuntimeError(text)) == in_one_line(ValueError(text)) == "a.png: it is torn: so."
    )
    assert in_one_line(RuntimeError("a fault of ours")) is None
    assert in_one_line(ValueError("said so")) == "said so"
    assert in_one_line(torch.OutOfMemoryError("no room")) == "no room"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["demo", "--size", "20000"], "out of memory"),
        (["demo", "--policy", "nope.yaml"], "there is no such file"),
        (["train", "finetune", "--policy", "nope.yaml"], "policy nope.yaml: there is no such file"),
    ],
)
def test_mistakes_are_said_in_a_line(tmp_path, monkeypatch, command, said):
    monkeypatch.chdir(tmp_path)
    if "20000" in command:

        def full(*_, **__):
            raise torch.OutOfMemoryError("augengine: cpu is out of memory")

        monkeypatch.setattr("augengine.demo.command.draw_versions", full)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output


def test_ctrl_c_during_the_imports_is_a_line(tmp_path):
    """A module of typer's name is interrupted as it is imported."""
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    root = Path(ae.__file__).parent.parent
    path = os.pathsep.join([str(tmp_path), str(root)])
    done = subprocess.run(
        [sys.executable, "-m", "augengine", "demo"],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 130
    assert done.stderr.strip() == "augengine: interrupted"
