"""Views tied to views: the same geometry at another size, looks inside looks, and where one lies in another."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from cases import assert_close, each_executor, logged, plan_of
from photos import patches
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import functional

import augengine as ae

CROP = [ae.RandomResizedCrop(64, scale=(0.3, 0.8)), ae.RandomHorizontalFlip()]
TURNED = [
    ae.RandomRotation(30),
    ae.GaussianBlur(3),
    ae.RandomPerspective(0.3, p=1),
    ae.RandomResizedCrop(64, scale=(0.7, 1)),
    ae.RandomHorizontalFlip(),
]
LOCAL = [
    ae.RandomResizedCrop(48, scale=(0.4, 0.9)),
    ae.RandomHorizontalFlip(),
    ae.RandomRotation(10),
]
IDS = np.arange(4)


def dot(x, y, height=80, width=96):
    """A round spot at (x, y), some 5 pixels across, [1, 3, height, width]."""
    rows = torch.arange(height)[:, None] + 0.5
    columns = torch.arange(width) + 0.5
    spot = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4)
    return spot.expand(1, 3, -1, -1).contiguous()


def middle(image):
    """x, y of the middle of a spot, which must be whole."""
    weight = image[0, 0].double() * (image[0, 0] > 0.05)
    border = torch.cat([weight[0], weight[-1], weight[:, 0], weight[:, -1]])
    if weight.max() < 0.5 or border.max() > 0:
        return None
    y = torch.arange(weight.shape[0])[:, None] + 0.5
    x = torch.arange(weight.shape[1]) + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum().item()


def mapped(matrix, point):
    x, y, w = matrix @ np.append(point, 1)
    assert w > 0
    return np.array([x, y]) / w


# The same geometry at another size


@each_executor
def test_another_size_is_what_torchvision_makes_of_the_same_crop(executor):
    images = patches(4)
    plan = plan_of(ae.RandomResizedCrop(64, scale=(0.2, 1)), images, seed=1)
    for size in ((32, 32), (16, 40), (96, 96)):
        small = ae.execute(plan.resized(size), images, executor=executor)
        for i in range(4):
            h, w, y, x = (int(n) for n in logged(plan, i, "crop")[0][:4])
            image = images[i].float() / 255
            expected = functional.resized_crop(image, y, x, h, w, size, antialias=True)
            assert_close(small[i], expected, 2e-5)


@each_executor
@pytest.mark.parametrize("ops", [CROP, TURNED], ids=["crop", "turned"])
def test_half_the_size_is_the_large_one_shrunk(ops, executor):
    smooth = torch.nn.functional.interpolate(
        torch.rand(4, 3, 6, 7, generator=torch.Generator().manual_seed(0)), (80, 96), mode="bicubic"
    ).clamp(0, 1)
    plan = plan_of(ops, smooth, seed=2)
    large = ae.execute(plan, smooth, executor=executor)
    small = ae.execute(plan.resized((32, 32)), smooth, executor=executor)
    expected = functional.resize(large, [32, 32], antialias=True)
    # But for the edge of what is fill, which is sharp at either size.
    white = ae.execute(plan, torch.ones_like(smooth), executor=executor)
    seen = torch.nn.functional.avg_pool2d(white, 2) > 0.999
    seen = -torch.nn.functional.max_pool2d(-seen.float(), 5, 1, 2) > 0.5
    assert seen.float().mean() > 0.4
    assert (small - expected)[seen].abs().max() < 0.02


def test_the_same_size_is_the_same_plan():
    plan = plan_of([*TURNED, ae.RandomErasing(1)], patches(4))
    assert plan.resized((64, 64)) == plan
    again = plan.resized((32, 32)).resized((64, 64))
    assert np.array_equal(again.inv_matrix, plan.inv_matrix)


@each_executor
def test_layers_and_labels_keep_their_place(executor):
    images, labels = patches(4), torch.arange(4)
    plan = plan_of([*CROP, ae.CutMix(p=1), ae.RandomErasing(1, value=255)], images)
    small = plan.resized((32, 32))
    assert torch.equal(ae.soft_labels(small, labels, 4), ae.soft_labels(plan, labels, 4))
    flat = torch.stack([torch.full(images.shape[1:], 50 * k, dtype=torch.uint8) for k in range(4)])
    large, half = (
        (ae.execute(p, flat, executor=executor)[:, 0] * 255).round() for p in (plan, small)
    )
    differs = large[:, ::2, ::2] != half
    assert differs.float().mean() < 0.1  # edges of boxes, by a rounded pixel
    shares = [(half == v).float().mean() - (large == v).float().mean() for v in large.unique()]
    assert max(map(abs, shares)) < 0.03


def test_a_view_that_is_shown_and_looked_at():
    """The second view looks at what the first shows, filtered; both lie on the output."""
    plan = plan_of([ae.GaussianBlur(3, 1.0)], patches(1, 64, 64))
    picture = int(plan.source[0]) - 1
    view = np.array([[0, picture]], np.int32)
    box = np.array([[[0, 0, 64, 64], [0, 0, 64, 32]]], np.int32)
    both = dataclasses.replace(
        plan, view=view, box=box, alpha=np.ones((1, 2), np.float32),
        weight=np.array([[1, 0]], np.float32), colour=np.zeros((1, 2, 3), np.float32),
    )  # fmt: skip
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[:, 20:40, 20:44] = 255
    large = ae.execute(both, image)
    small = ae.execute(both.resized((32, 32)), image)
    assert (small - functional.resize(large, [32, 32], antialias=True)).abs().max() < 0.1


# Without colours


@each_executor
def test_without_colour_is_the_geometry_alone(executor):
    images = torch.rand(4, 3, 80, 96, generator=torch.Generator().manual_seed(0))
    colours = [ae.ColorJitter(0.4, 0.4, 0.4, 0.1), ae.GaussianNoise(), ae.RandomEqualize(1),
               ae.GaussianBlur(5, p=1), ae.RandomAutocontrast(1)]  # fmt: skip
    plan = plan_of([*CROP, *colours], images, seed=3)
    bare = plan_of(CROP, images, seed=3)
    without = ae.execute(plan.without_colour(), images, executor=executor)
    assert_close(without, ae.execute(bare, images, executor=executor), 1e-6)
    assert not torch.equal(without, ae.execute(plan, images, executor=executor))
    assert plan.without_colour().explain(0).endswith("without its colours")


def test_mixes_and_erased_boxes_stay():
    images = patches(4)
    ops = [*CROP, ae.CutMix(p=1), ae.RandomErasing(1, value="random")]
    plan = plan_of([*CROP, ae.RandomInvert(1), *ops[2:]], images, seed=3)
    without = plan.without_colour()
    for name in ("view", "box", "alpha", "weight", "inv_matrix", "clip"):
        assert np.array_equal(getattr(plan, name), getattr(without, name))
    drawn, bare = ae.execute(plan, images), ae.execute(without, images)
    # Inverted but for the erased boxes, whose noise is the same.
    y0, x0, y1, x1 = plan.box[0, -1]
    assert y1 > y0
    erased = torch.zeros(64, 64, dtype=torch.bool)
    erased[y0:y1, x0:x1] = True
    assert torch.equal(drawn[0][:, erased], bare[0][:, erased])
    assert_close(1 - drawn[0][:, ~erased], bare[0][:, ~erased], 1e-5)


# Inside


@each_executor
def test_inside_a_crop_is_the_policy_on_the_drawn_crop(executor):
    images = torch.rand(4, 3, 80, 96, generator=torch.Generator().manual_seed(0))
    outer = plan_of([ae.RandomCrop(64), ae.RandomHorizontalFlip(), ae.ColorJitter(0.5)], images)
    drawn = ae.execute(outer.without_colour(), images)
    ops = [ae.RandomResizedCrop(24), ae.RandomAutocontrast(1), ae.RandomHorizontalFlip(),
           ae.GaussianBlur(3), ae.CutMix(p=1)]  # fmt: skip
    inner = plan_of(ops, drawn, look=1)
    expected = ae.execute(inner, drawn, executor=executor)
    once = ae.execute(inner.inside(outer), images, executor=executor)
    assert_close(once, expected, 1e-4)


@each_executor
@pytest.mark.parametrize("outer", [CROP, TURNED], ids=["crop", "turned"])
def test_a_dot_is_where_the_maps_say(outer, executor):
    found = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        image = dot(*rng.uniform([30, 25], [66, 55]))
        wide = plan_of(outer, image, seed=seed)
        inner = ae.Policy(LOCAL).sample([0], [(64, 64)], seed=seed, look=1)
        plans = [wide, wide.resized((40, 52)), inner.inside(wide)]
        spots = [middle(ae.execute(plan, image, executor=executor)) for plan in plans]
        for a, at in zip(plans, spots, strict=True):
            for b, expected in zip(plans, spots, strict=True):
                if at is not None and expected is not None and a is not b:
                    assert np.abs(mapped(a.map_to(b)[0], at) - expected).max() <= 0.5
                    found += 1
    assert found >= 20


def test_where_a_local_crop_lies_in_the_global_one():
    outer = ae.Policy(CROP).sample(IDS, [(80, 96)] * 4)
    inner = ae.Policy(ae.RandomResizedCrop(16)).sample(IDS, [(64, 64)] * 4, look=1)
    boxes = inner.inside(outer).box_in(outer)
    for i in range(4):
        h, w, y, x = logged(inner, i, "crop")[0][:4]
        assert boxes[i] == pytest.approx([y, x, y + h, x + w], abs=1e-3)


def test_what_lies_outside_of_the_global_frame_is_fill():
    image = torch.ones(1, 3, 80, 96)
    outer = plan_of([ae.CenterCrop(40)], image)
    inner = ae.Policy([ae.CenterCrop(60)]).sample([0], [(40, 40)])
    drawn = ae.execute(inner.inside(outer), image)[0, 0]
    assert (drawn[10:50, 10:50] == 1).all()
    assert drawn.sum() == 1600


def test_where_nothing_shows_there_is_no_map():
    plan = ae.Policy([]).sample([0, 1], [(40, 40)] * 2)
    matrix = plan.inv_matrix.copy()
    matrix[0, :2] = 0  # all points look at one
    flat = dataclasses.replace(plan, inv_matrix=matrix)
    assert np.isnan(plan.map_to(flat)[0]).all()
    assert np.isinf(plan.box_in(flat)[0]).all()
    assert plan.box_in(flat)[1].tolist() == [0, 0, 40, 40]


# In Views and loaders


def views(**more):
    return ae.Views(
        student=[ae.Policy([*CROP, ae.RandAugment()])] * 2,
        teacher=[ae.Tied("student", 32, colour=False, at=k) for k in (0, 1)],
        locals=[ae.Inside("student", [ae.RandomResizedCrop(16), ae.ColorJitter(0.3)])] * 3,
        **more,
    )


def test_views_follow_from_the_plan_that_they_name():
    engine = ae.Engine(views(), seed=5)
    plans = engine.plan([(80, 96)] * 4, IDS, 2)
    for k in (0, 1):
        assert plans["teacher"][k] == plans["student"][k].without_colour().resized((32, 32))
    alone = ae.Policy([ae.RandomResizedCrop(16), ae.ColorJitter(0.3)])
    for k, plan in enumerate(plans["locals"]):
        inner = alone.sample(IDS, [(64, 64)] * 4, seed=5, epoch=2, look=4 + k)
        assert plan == inner.inside(plans["student"][0])
        boxes = plan.box_in(plans["student"][0])
        assert (boxes > -1e-3).all() and (boxes < 64 + 1e-3).all()  # noqa: PT018
    batch = engine(patches(4), ids=IDS, epoch=2)
    assert [b.images.shape[-1] for b in batch["teacher"] + batch["locals"]] == [32, 32, 16, 16, 16]


def test_ties_change_no_random_numbers_of_others():
    tied = ae.Engine(ae.Views(a=CROP, b=ae.Tied("a"), c=CROP)).plan([(80, 96)] * 4, IDS, 0)
    free = ae.Engine(ae.Views(a=CROP, b=CROP, c=CROP)).plan([(80, 96)] * 4, IDS, 0)
    assert tied["a"] == free["a"] == tied["b"]
    assert tied["c"] == free["c"]


def test_a_tied_view_has_the_labels_of_its_mix():
    looks = ae.Views(a=[*CROP, ae.CutMix()], b=ae.Tied("a", 16))
    batch = ae.Engine(looks, num_classes=4)(patches(4), torch.arange(4), ids=IDS, epoch=0)
    assert torch.equal(batch["a"].labels, batch["b"].labels)
    assert batch["b"].labels.is_floating_point()


def test_a_stage_of_the_other_look_is_not_repeated():
    halved = [*CROP, ae.Stage(torch.nn.AvgPool2d(2))]
    batch = ae.Engine(ae.Views(a=halved, b=ae.Tied("a")))(patches(4), ids=IDS, epoch=0)
    assert [batch[name].images.shape[-1] for name in "ab"] == [32, 64]


def test_a_pool_of_partners():
    looks = ae.Views(a=[ae.Resize((64, 64)), ae.CutMix()], b=ae.Tied("a", 32))
    engine = ae.Engine(looks, num_classes=4)
    batch = engine(
        patches(2), [0, 1], ids=[0, 1], epoch=0, partners=(patches(3), [1, 2, 3], [5, 6, 7])
    )
    assert batch["b"].images.shape == (2, 3, 32, 32)
    local = ae.Views(a=CROP, b=ae.Inside("a", [ae.Resize((32, 32)), ae.CutMix()]))
    engine = ae.Engine(local, num_classes=4)
    batch = engine(
        patches(2), [0, 1], ids=[0, 1], epoch=0, partners=(patches(3), [1, 2, 3], [5, 6, 7])
    )
    assert batch["b"].images.shape == (2, 3, 32, 32)


@pytest.mark.parametrize("make", [ae.Collate, ae.pack])
def test_in_a_loader(make):
    collate = make(views(), seed=3)
    collate.set_epoch(0)
    samples = [(image, 0, i) for i, image in enumerate(patches(4))]
    batch = next(iter(DataLoader(samples, 4, collate_fn=collate)))
    batch = batch.draw() if make is ae.pack else batch
    expected = ae.Engine(views(), seed=3)(patches(4), ids=IDS, epoch=0)
    assert torch.equal(batch["locals"][2].images, expected["locals"][2].images)
    assert torch.equal(batch["teacher"][1].images, expected["teacher"][1].images)


def test_equality_and_words():
    assert views() == views() != views(more=ae.Tied("student"))
    assert hash(views()) == hash(views())
    assert "Tied(to='student', size=(32, 32), colour=False, at=1)" in repr(views())


def test_errors():
    with pytest.raises(
        ValueError, match=r"Views: b follows from c\[0\], expected .* there are a\[0\]"
    ):
        ae.Views(a=CROP, b=ae.Tied("c"))
    with pytest.raises(ValueError, match=r"Views: b follows from a\[2\]"):
        ae.Views(a=[ae.Policy(CROP)] * 2, b=ae.Tied("a", at=2))
    with pytest.raises(ValueError, match=r"Views: a follows from a\[0\]"):
        ae.Views(a=ae.Tied("a"))
    with pytest.raises(ValueError, match=r"Views: c lies inside b, which mixes samples"):
        ae.Views(a=[*CROP, ae.CutMix()], b=ae.Tied("a"), c=ae.Inside("b", CROP))
    with pytest.raises(TypeError, match=r"Tied: got int for the other look, expected its name"):
        ae.Tied(3)
    with pytest.raises(ValueError, match=r"Tied: size: got 0"):
        ae.Tied("a", 0)
    outer = ae.Policy(ae.CenterCrop(40)).sample([0], [(80, 96)])
    inner = ae.Policy([]).sample([0], [(41, 40)])
    with pytest.raises(ValueError, match=re.escape("Sample it for sizes=[(40, 40)] * 1.")):
        inner.inside(outer)
    with pytest.raises(
        ValueError, match=r"Plan\.map_to: the plans' outputs show different samples"
    ):
        outer.map_to(ae.Policy(ae.CenterCrop(40)).sample([1], [(80, 96)]))
    smeared = ae.Policy(ae.RandomCrop(40, padding=4, padding_mode="edge")).sample([0], [(40, 40)])
    with pytest.raises(ValueError, match=r"Plan\.inside: got a plan whose border is mirrored"):
        smeared.inside(outer)
    moved = ae.Policy([ae.CenterCrop(40), ae.Stage(torch.neg)]).sample([0], [(80, 96)])
    with pytest.raises(ValueError, match=r"Plan\.map_to: .* through a Stage, neg, which may move"):
        outer.box_in(moved)
    gray = ae.Policy([]).sample([0], [(40, 40)], channels=1)
    with pytest.raises(ValueError, match=r"Plan\.inside: the plan is for 1 channel"):
        gray.inside(outer)
