"""Every argument of torchvision's classes: ours has it at the same place with the same default, or the
table of docs/arguments.md says what is otherwise. That pixels are torchvision's, other tests say."""

import importlib.util
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, draw, each_executor
from photos import patch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

import augengine as ae
from augengine.policy import ops

SCRIPT = Path(__file__).resolve().parent.parent / "docs/arguments.py"
BILINEAR = InterpolationMode.BILINEAR


def script():
    spec = importlib.util.spec_from_file_location("arguments_of_torchvision", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TABLE = script()
SHARED = [name for name in TABLE.classes() if name in ops.__all__]
ARGUMENTS = [(name, a) for name in SHARED for a in TABLE.parameters(getattr(v2, name))]


def test_the_page_is_what_the_command_writes():
    assert TABLE.PAGE.read_text("utf-8") == TABLE.page(), "run python docs/arguments.py"


def test_no_cell_is_blank_and_no_class_is_missing():
    rows = list(TABLE.rows())
    assert all(all(row) for row in rows)
    assert {row.op for row in rows} == set(TABLE.classes())
    assert len(rows) == len({(row.op, row.argument) for row in rows}) > 120


@pytest.mark.parametrize("name", SHARED)
def test_arguments_have_torchvisions_names_and_order(name):
    theirs = TABLE.parameters(getattr(v2, name))
    ours = TABLE.parameters(getattr(ae, name))
    assert set(theirs) <= set(ours)
    by_position = [a for a, p in theirs.items() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert list(ours)[: len(by_position)] == by_position


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_an_argument_is_taken_or_refused_by_its_name(name, argument):
    tried = TABLE.TRIED[name][argument]
    assert tried.values, "nothing is tried"
    taken = 0
    for value in tried.values:
        TABLE.made(v2, name, **{argument: value})
        message = TABLE.refusal(name, argument, value)
        taken += not message
        if message:
            assert message.startswith(name)
            assert ": got " in message or ": mixes" in message
            assert "expected" in message
            assert message.count("\n") == 0
    assert taken, f"{name}.{argument} takes nothing of {tried.values}"


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_a_default_is_torchvisions_or_said(name, argument):
    assert TABLE.same_default(name, argument) or TABLE.TRIED[name][argument].default


def test_what_must_be_given_there_may_be_left_out_here_but_not_the_other_way():
    for name, argument in ARGUMENTS:
        ours = TABLE.parameters(getattr(ae, name))[argument]
        theirs = TABLE.parameters(getattr(v2, name))[argument]
        if ours.default is inspect.Parameter.empty:
            assert theirs.default is inspect.Parameter.empty, (name, argument)


# What was taken last, against torchvision


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (100, 3), (37, 41), (640, 480)])
@pytest.mark.parametrize("longer", [1, 7, 40, 224])
def test_the_longer_edge_alone(size, longer):
    plan = ae.Policy(ae.Resize(None, max_size=longer)).sample([0], [size])
    if longer * min(size) < max(size):  # torchvision's shorter edge is then 0, which it cannot draw
        assert min(plan.finish.size) == 1
        return
    expected = F.resize(torch.zeros(1, *size), None, max_size=longer).shape[1:]
    assert plan.finish.size == tuple(expected)


@pytest.mark.parametrize("shape", [(30, 40), (41, 23), (64, 64)])
@pytest.mark.parametrize("center", [(0, 0), (3, 4), (20.5, 11), (-7, 50)])
def test_expanded_sizes_about_a_center_are_torchvisions(shape, center):
    for angle in (*range(-180, 181, 15), 7.3, -101.5):
        if angle % 90 == 0:  # torchvision's cosine of 90° is 6e-17, which its ceiling may see
            continue
        image = torch.zeros(1, *shape)
        expected = F.rotate(image, angle, expand=True, center=list(center)).shape[1:]
        op = ae.RandomRotation((angle, angle), expand=True, center=center)
        assert ae.Policy(op).sample([0], [shape]).finish.size == tuple(expected), angle


@each_executor
@pytest.mark.parametrize("center", [(40, 20), (0, 0)])
def test_a_rotation_that_expands_about_a_center(center, executor):
    image = patch("chelsea", 60, 80)
    op = ae.RandomRotation((25, 25), expand=True, center=center)
    got, _ = draw(op, [image], executor)
    args = {"expand": True, "center": list(center)}
    expected = F.rotate(as_float(image), 25, BILINEAR, **args)
    inside = F.rotate(torch.ones(1, 60, 80), 25, BILINEAR, **args)[0] >= 1 - 1e-4
    inside &= torch.nn.functional.avg_pool2d(inside[None].float(), 5, 1, 2)[0] > 0.999
    assert inside.float().mean() > 0.2
    assert_close(got[0][:, inside], expected[:, inside], 5e-4)


def test_a_crop_of_more_than_there_is_is_tried_again():
    """As torchvision: where none of ten fits, the whole image, or its middle."""
    op = ae.RandomResizedCrop(8, scale=(2.0, 3.0))
    plan = ae.Policy(op).sample(range(20), [(30, 30)] * 20)
    np.testing.assert_array_equal(plan.clip, [[0, 0, 30, 30]] * 20)
    transform = v2.RandomResizedCrop(8, scale=(2.0, 3.0))
    found = transform.make_params([torch.zeros(1, 30, 30)])
    assert (found["top"], found["left"], found["height"], found["width"]) == (0, 0, 30, 30)
    sizes = ae.Policy(ae.RandomResizedCrop(8, (0.5, 2.0))).sample(range(200), [(30, 30)] * 200)
    areas = np.prod(sizes.clip[:, 2:] - sizes.clip[:, :2], axis=1)
    assert areas.min() < 600
    assert areas.max() == 900


def test_numbers_in_a_sequence_of_one():
    assert ae.GaussianBlur([5], [1.5]) == ae.GaussianBlur(5, 1.5)
    assert ae.Resize([8]) == ae.Resize(8)
    assert ae.RandomCrop([8], [4]) == ae.RandomCrop(8, 4)


def test_a_fill_by_type_is_that_of_images():
    for fill in (
        {tv_tensors.Image: 7, tv_tensors.Mask: 0, "others": 0},
        {"others": 7},
        {tv_tensors.Mask: 0, "others": 7},
        {torch.Tensor: 7, tv_tensors.BoundingBoxes: 9},
    ):
        assert ae.RandomRotation(9, fill=fill) == ae.RandomRotation(9, fill=7)
    assert ae.Pad(1, fill={tv_tensors.Mask: 0}) == ae.Pad(1)
    assert ae.Pad(1, fill={tv_tensors.Image: None, tv_tensors.Mask: 0}) == ae.Pad(1)


# The engine and num_classes


def test_the_engine_has_num_classes_from_its_mixes():
    images, labels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), [0, 1, 2, 3]
    for policy in (ae.CutMix(num_classes=7), ae.OneOf([ae.MixUp(num_classes=7), ae.CutMix()])):
        batch = ae.Engine(policy)(images, labels, ids=range(4), epoch=0)
        assert batch.labels.shape == (4, 7)
    assert ae.Engine(ae.CutMix(num_classes=7), num_classes=7).num_classes == 7
    views = ae.Views(a=ae.CutMix(num_classes=7), b=ae.CenterCrop(8))
    assert ae.Engine(views).num_classes == 7
    with pytest.raises(ValueError, match=r"got num_classes=7, and 8 of a mix or another view"):
        ae.Engine(ae.Views(a=ae.CutMix(num_classes=7), b=ae.CutMix(num_classes=8)))
    assert ae.Engine(ae.CutMix()).num_classes is None


def test_arguments_without_effect_change_no_plan():
    sizes = [(20, 20)] * 6
    for plain, said in (
        (ae.RandomErasing(1), ae.RandomErasing(1, inplace=True)),
        (ae.Normalize(0.5, 0.5), ae.Normalize(0.5, 0.5, inplace=True)),
        (ae.CutMix(), ae.CutMix(num_classes=3, labels_getter=None)),
        (ae.GaussianNoise(), ae.GaussianNoise(clip=True)),
    ):
        one, other = (ae.Policy(op).sample(range(6), sizes) for op in (plain, said))
        for field in ("box", "colour", "step_arg", "weight", "alpha"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
        assert one.finish == other.finish
