"""The invariance check on painted images whose truth is planted: which operations break which labels."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import augengine as ae
from augengine.cli import app
from augengine.invariance import check_labels
from augengine.invariance.images import hold_out
from augengine.pipelines import data as datasets
from augengine.pipelines import models
from augengine.pipelines.policies import notes
from augengine.pipelines.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 16
SMALL = {"model": "digitnet_8", "size": SIDE, "strengths": (1.0,)}
Y, X = np.mgrid[:SIDE, :SIDE] + 0.5


def painted(shape, colour, rng):
    """uint8 (SIDE, SIDE, 3): a shape in a colour on a dim, noisy ground."""
    image = rng.normal(50, 12, (SIDE, SIDE, 3)) + shape[..., None] * np.asarray(colour) * 150
    return np.clip(image, 0, 255).astype(np.uint8)


def disc(rng):
    """A disc somewhere, its middle and radius."""
    y, x, radius = *rng.uniform(6.5, 9.5, 2), rng.uniform(4, 5.5)
    return (Y - y) ** 2 + (X - x) ** 2 < radius**2, x, radius


def half_moon(left):
    def paint(rng):
        shape, x, _ = disc(rng)
        return painted(shape & ((x > X) if left else (x < X)), (1, 1, 1), rng)

    return paint


def blob(colour):
    return lambda rng: painted(disc(rng)[0], colour, rng)


def ring(hollow):
    def paint(rng):
        y, x, radius = *rng.uniform(7, 9, 2), rng.uniform(4.5, 6)
        far = np.hypot(Y - y, X - x)
        return painted((far < radius) & (far > hollow * radius), (1, 1, 1), rng)

    return paint


MOONS = {"left": half_moon(True), "right": half_moon(False)}
# Of one luma, brightest and darkest channel, so that nothing but the hue tells them.
HUES = {
    "magenta": blob((1, 0.1, 1)),
    "azure": blob((0.1, 0.558, 1)),
    "orange": blob((1, 0.275, 0.1)),
}
RINGS = {"disc": ring(0), "ring": ring(0.6)}


def folder(root, classes, count, seed=0):
    """train/CLASS with `count` images each, and test/CLASS whose files are no images: who reads one fails."""
    rng = np.random.default_rng(seed)
    for name, paint in classes.items():
        for part in ("train", "test"):
            (root / part / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(paint(rng)).save(root / "train" / name / f"{i}.png")
        (root / "test" / name / "0.png").write_bytes(b"no image, and nobody is to read it")
    return root


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("data") / "moons", MOONS, 170)


@pytest.fixture(scope="module")
def policy_of_flips(tmp_path_factory):
    file = tmp_path_factory.mktemp("policies") / "flips.yaml"
    flips = ae.Policy([ae.Resize(SIDE), ae.RandomHorizontalFlip(), ae.RandomVerticalFlip()])
    file.write_text(flips.to_yaml())
    return file


STEPS_OF_MOONS = 30


@pytest.fixture(scope="module")
def of_moons(moons, policy_of_flips):
    return check_labels(moons, str(policy_of_flips), steps=STEPS_OF_MOONS, seed=3, **SMALL)


# Planted truths


def test_a_mirror_breaks_labels_that_say_left_and_right(of_moons):
    assert of_moons.verdict("RandomHorizontalFlip") == "breaks labels: left ↔ right"
    assert of_moons.verdict("RandomVerticalFlip") == "safe"
    assert of_moons.broken == ["RandomHorizontalFlip"]
    mirrored, upturned = of_moons.findings
    # A plain net takes a mirrored moon for the other one; a net that learned both can only guess.
    assert mirrored.accuracy.high < 0.5 < of_moons.plain.low
    assert mirrored.fall.low > 0.5
    assert mirrored.learned.steps == 3 * STEPS_OF_MOONS
    told = (mirrored.learned.augmented.value + mirrored.learned.plain.value) / 2
    assert told == pytest.approx(0.5, abs=0.15)
    assert upturned.learned is None, "the plain net tells them, which is proof enough"
    assert {(pair.first, pair.second) for pair in mirrored.confusions} == {("left", "right")}


def test_colours_break_labels_that_say_a_hue(tmp_path):
    policy = [ae.RandomHorizontalFlip(), ae.RandomGrayscale(0.2), ae.ColorJitter(0.2, hue=0.5)]
    root = folder(tmp_path / "hues", HUES, 130)
    report = check_labels(root, policy, steps=30, **SMALL)
    assert report.broken == ["RandomGrayscale(p=0.2)", "ColorJitter(hue=(-0.5, 0.5))"], str(report)
    assert report.verdict("RandomHorizontalFlip") == "safe"
    assert report.verdict("ColorJitter(brightness") == "safe"
    grey = next(finding for finding in report.findings if "Grayscale" in finding.op)
    assert grey.drawn == pytest.approx(0.2)
    # Grey images of three classes are alike: two in three are lost, whatever is learned.
    assert grey.remains.low < 2 / 3 < grey.remains.high
    assert 1 <= len(grey.confusions) <= 3


def test_what_a_net_can_learn_is_safe_though_a_plain_one_falls(tmp_path):
    """A negative has the same shape. A plain net has not met one, and that says nothing of its label."""
    root = folder(tmp_path / "rings", RINGS, 170)
    policy = ae.Policy([ae.RandomRotation(10), ae.RandomInvert(p=1)])
    report = check_labels(root, policy, steps=50, **SMALL)
    assert report.broken == [], str(report)
    assert report.verdict("RandomRotation") == "safe", str(report)
    assert report.verdict("RandomInvert") == "safe", str(report)
    negative = report.findings[1]
    assert negative.fall.low > 0.2
    assert negative.learned.steps == 50
    assert negative.learned.augmented.low > 0.9
    assert negative.learned.plain.low > 0.9


def test_labels_of_pure_noise_give_no_verdict(tmp_path):
    noise = {name: lambda rng: painted(np.zeros((SIDE, SIDE)), (0, 0, 0), rng) for name in "ab"}
    root = folder(tmp_path / "noise", noise, 50)
    report = check_labels(root, [ae.RandomHorizontalFlip(), ae.RandomInvert()], steps=5, **SMALL)
    assert {finding.verdict for finding in report.findings} == {"not enough images to tell"}
    assert "no better than chance" in report.note
    assert "No verdict" in str(report)
    assert report.broken == []
    assert all(finding.learned is None for finding in report.findings)


def test_too_few_images_are_no_proof_of_safety(tmp_path):
    """A handful of images, all told rightly: what is not seen in them may still be there."""
    root = folder(tmp_path / "few", MOONS, 24)
    report = check_labels(root, ae.RandomVerticalFlip(), steps=30, **SMALL)
    assert report.verdict("RandomVerticalFlip") == "not enough images to tell"


# What is read


def test_no_test_image_is_read(of_moons):
    """Those of the folder are no images at all: see `folder`."""
    assert of_moons.damaged == ()
    assert of_moons.trained_on + of_moons.held_out == 340


def test_the_held_out_part_is_of_the_training_images_and_of_each_class(moons):
    data = datasets.load(Settings(data=str(moons), labels=0))
    inner, held_out = hold_out(data, 0)
    assert not set(inner) & set(held_out)
    assert set(inner) | set(held_out) == set(data.labelled)
    assert not (set(inner) | set(held_out)) & set(data.test)
    assert np.bincount(data.truth[held_out]).tolist() == [51, 51]
    assert not np.array_equal(held_out, hold_out(data, 1)[1])
    assert np.array_equal(held_out, hold_out(data, 0)[1])


def test_a_damaged_training_image_is_named_and_left_out(tmp_path):
    root = folder(tmp_path / "moons", MOONS, 12)
    (root / "train" / "left" / "3.png").write_bytes(b"torn")
    report = check_labels(root, ae.RandomVerticalFlip(), steps=2, **SMALL)
    assert [name for name, _ in report.damaged] == ["train/left/3.png"]
    assert "train/left/3.png" in str(report)
    assert report.trained_on + report.held_out == 23


# A model of one's own


def test_a_runs_model_is_measured_and_does_not_judge(moons, tmp_path):
    """One that knows nothing: its accuracy is that of a coin, and verdicts come from nets that are trained."""
    data = datasets.load(Settings(data=str(moons), labels=0, size=SIDE))
    torch.manual_seed(0)
    net = models.create("digitnet_8", classes=2, channels=3)
    (tmp_path / "run").mkdir()
    models.save(net, tmp_path / "run" / models.WEIGHTS, notes(data))
    model = str(tmp_path / "run")
    few = {"steps": 20, "size": SIDE, "strengths": (1.0,)}
    report = check_labels(moons, ae.RandomVerticalFlip(), model=model, **few)
    assert (report.model, report.net) == (model, "digitnet_16")
    assert report.plain.low < 0.5 < report.plain.high
    assert report.level.low > 0.9, str(report)
    assert report.verdict("RandomVerticalFlip") == "safe", str(report)
    other = folder(tmp_path / "rings", RINGS, 3)
    assert "expected the data's classes" in refused("--data", other, "--model", model)


# The command


def test_the_command_gives_the_same_bytes_and_pictures(moons, policy_of_flips, of_moons, tmp_path):
    picture, figures = tmp_path / "flips.png", tmp_path / "flips.json"
    told = ["check", "--data", str(moons), "--policy", str(policy_of_flips)]
    told += ["--model", "digitnet_8", "--size", "16", "--strengths", "1", "--seed", "3"]
    told += ["--steps", str(STEPS_OF_MOONS), "--out", str(picture), "--json", str(figures)]
    result = CliRunner().invoke(app, told)
    assert result.exit_code == 1, result.output  # labels break
    assert "left ↔ right" in result.output.replace("\n", "")
    assert figures.read_text("utf-8") == of_moons.to_json() + "\n"
    content = json.loads(figures.read_text("utf-8"))
    assert [finding["verdict"] for finding in content["findings"]] == ["breaks labels", "safe"]
    for file in (picture, tmp_path / "flips-worst.png"):
        assert min(Image.open(file).size) > 150
    assert sorted(os.listdir(tmp_path)) == ["flips-worst.png", "flips.json", "flips.png"]


def test_the_report_says_what_it_rests_on(of_moons):
    said = str(of_moons)
    for part in ("breaks labels", "safe", "none of them test images", "95 %", "102 held-out"):
        assert part in said.replace("\n", " "), part
    worst = of_moons.worst[0]
    assert (worst.op, {worst.label, worst.answer}) == ("RandomHorizontalFlip", {"left", "right"})
    assert np.array_equal(worst.augmented, worst.original[:, ::-1])
    assert worst.words == "flipped"
    with pytest.raises(KeyError, match="expected one of"):
        of_moons.verdict("RandomRotation")


def refused(*told):
    result = CliRunner().invoke(app, ["check", *map(str, told)])
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1, "one line"
    return result.stderr


def test_wrong_arguments_are_one_line(moons, tmp_path):
    assert "got no --images, expected a folder" in refused()
    assert "--images and --data together" in refused("--images", moons, "--data", moons)
    assert "with --data" in refused("--images", moons, "--policy", "imagenet")
    assert "expected a folder of class folders" in refused("--data", tmp_path / "none")
    assert "a YAML file that exists" in refused("--data", moons, "--policy", "imagnet")
    assert "has the section" in refused("--data", moons, "--policy", "rand-mx")
    assert "strengths" in refused("--data", moons, "--strengths", "0,1")
    assert "expected numbers with commas" in refused("--data", moons, "--strengths", "a")
    assert "ending in .png" in refused("--data", moons, "--out", tmp_path / "a.jpg")
    assert "timm knows no" in refused("--data", moons, "--model", "digitnet_9", "--steps", 1)
    (tmp_path / "empty.yaml").write_text("augengine: 1\npolicy:\n- Resize: {size: 8}\n")
    assert "no operation to check" in refused("--data", moons, "--policy", tmp_path / "empty.yaml")
    (tmp_path / "bad.yaml").write_text("augengine: 1\npolicy: [RandomRotation: {degree: 3}]\n")
    assert "degrees" in refused("--data", moons, "--policy", tmp_path / "bad.yaml")


def test_hostile_folders_are_one_line(tmp_path):
    two = folder(tmp_path / "two", MOONS, 3)
    for file in (two / "train").glob("*/*.png"):
        file.write_bytes(b"GIF89a")
    assert "images are damaged" in refused("--data", two)
    link = folder(tmp_path / "loop", MOONS, 3)
    (link / "train" / "left" / "again").symlink_to(link / "train")
    report = check_labels(link, ae.RandomVerticalFlip(), steps=1, **SMALL)
    assert report.classes == ("left", "right")


def test_images_are_checked_as_before(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "cat" / "a.png")
    result = CliRunner().invoke(app, ["check", "--images", str(tmp_path)])
    assert (result.exit_code, "1 images decoded, 0 damaged" in result.output) == (0, True)
    (tmp_path / "cat" / "b.png").write_bytes(b"torn")
    result = CliRunner().invoke(app, ["check", "--images", str(tmp_path), "--threads", "1"])
    assert (result.exit_code, "cat/b.png" in result.output) == (1, True)
