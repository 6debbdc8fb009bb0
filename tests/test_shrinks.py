"""A strong shrink under a turn is drawn upright first: against torchvision op by op, and against the one
filter that weighs all of it."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, each_executor, plan_of
from photos import patches, photo
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

import augengine as ae
from augengine.kernels.passes import passes_of
from augengine.plan import shrinks
from augengine.plan.kinds import EDGE, REFLECT, SYMMETRIC
from augengine.plan.shrinks import shrunk_first, upright_first

SIZE = [64, 80]
CUBIC = {"interpolation": "bicubic"}


def turned(degrees, **how):
    return [ae.Resize(SIZE, **how), ae.RandomRotation((degrees, degrees), **how)]


def inside(turn, margin=2):
    """Where a turn of a frame shows none of its edge."""
    ones = torch.zeros(1, *SIZE)
    ones[:, margin:-margin, margin:-margin] = 1
    return (turn(ones) == 1).expand(3, *SIZE)


@pytest.fixture
def in_one(monkeypatch):
    """A function that draws with the rule switched off."""

    def draw(plan, images, **how):
        with monkeypatch.context() as patched:
            patched.setattr(shrinks, "LEAST_SHRINK", np.inf)
            return ae.execute(plan, images, **how)

    return draw


@each_executor
@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("degrees", [17, 90, -133])
def test_a_resize_and_a_rotation_are_torchvisions(executor, degrees, floats):
    image = photo("chelsea")  # 300 × 451
    image = as_float(image) if floats else image
    plan = plan_of(turned(degrees), image[None], dtype="float32" if floats else "uint8")
    assert shrunk_first(plan) == {0: pytest.approx((300 / 64, 451 / 80))}
    resized = F.resize(image, SIZE, antialias=True)

    def turn(frame):
        return F.rotate(frame, degrees, InterpolationMode.BILINEAR)

    within, got = inside(turn), ae.execute(plan, image[None], executor=executor)[0]
    assert within.float().mean() > 0.4
    # Bytes are rounded by both after the resize, and torchvision rounds grid coordinates.
    assert_close(got[within], turn(resized)[within], 2e-3 if floats else 2)


@each_executor
def test_a_cubic_is_drawn_upright_first_too(executor):
    image = photo("chelsea")
    plan = plan_of(turned(90, **CUBIC), image[None], dtype="uint8")
    assert shrunk_first(plan)
    expected = F.resize(image, SIZE, InterpolationMode.BICUBIC, antialias=True)
    # A quarter turn of 64 × 80 about its centre, of which the middle stays in the frame.
    expected = torch.rot90(expected[:, :, 8:72], 1, (1, 2))
    got = ae.execute(plan, image[None], executor=executor)[0]
    assert_close(got[:, :, 8:72], expected, 1)


@each_executor
def test_a_crop_a_flip_and_a_perspective_are_torchvisions(executor):
    image = photo("astronaut")
    start = [[0, 0], [79, 0], [79, 63], [0, 63]]
    end = [[6, 3], [75, 0], [79, 60], [2, 55]]
    plan = plan_of([ae.CenterCrop((400, 450)), ae.Resize(SIZE)], image[None], dtype="uint8")
    before = F.resize(F.center_crop(image, [400, 450]), SIZE, antialias=True)
    to_frame = _projective(np.array(end, float), np.array(start, float))
    matrix = plan.inv_matrix.astype(np.float64) @ to_frame
    plan = dataclasses.replace(plan, inv_matrix=matrix.astype(np.float32))
    assert shrunk_first(plan)

    def turn(frame):
        return F.perspective(frame, start, end, InterpolationMode.BILINEAR)

    within, got = inside(turn, 3), ae.execute(plan, image[None], executor=executor)[0]
    assert within.float().mean() > 0.6
    assert_close(got[within], turn(before)[within], 2)


def _projective(from_, to):
    """The projective matrix [3, 3] that takes four points (x, y) to four others."""
    rows, right = [], []
    for (x, y), (u, v) in zip(from_, to, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(right)), 1).reshape(3, 3)


@each_executor
@pytest.mark.parametrize("border", [EDGE, REFLECT, SYMMETRIC])
def test_borders_are_those_of_the_resized_picture(executor, border):
    image = photo("chelsea")
    plan = plan_of(turned(30), image[None], dtype="uint8")
    plan = dataclasses.replace(plan, border=np.full(1, border, np.int8))
    assert shrunk_first(plan)
    mode = {EDGE: "edge", REFLECT: "reflect", SYMMETRIC: "symmetric"}[border]
    padded = F.pad(F.resize(image, SIZE, antialias=True), [40, 40], padding_mode=mode)
    expected = F.center_crop(F.rotate(padded, 30, InterpolationMode.BILINEAR), SIZE)
    assert_close(ae.execute(plan, image[None], executor=executor)[0], expected, 2)


@each_executor
@pytest.mark.parametrize("how", [{}, CUBIC])
def test_fine_patterns_leave_no_alias(executor, how):
    y, x = np.mgrid[:421, :533]
    checks = torch.from_numpy(((x + y) % 2 * 255).astype(np.uint8)).expand(1, 3, -1, -1)
    plan = plan_of(turned(31, **how), checks, dtype="uint8")
    assert shrunk_first(plan)
    within = inside(lambda frame: F.rotate(frame, 31, InterpolationMode.BILINEAR), 4)
    got = ae.execute(plan, checks, executor=executor)[0][within].float()
    assert (got - 127.5).abs().max() <= 2


@pytest.mark.parametrize("how", [{}, CUBIC])
@pytest.mark.parametrize("degrees", [20, 45])
def test_the_filter_is_nearly_that_of_one_view(in_one, degrees, how):
    images = torch.stack([F.resize(photo(name), [280, 360]) for name in ("chelsea", "coffee")])
    plan = plan_of(turned(degrees, **how), images)
    together, apart = in_one(plan, images), ae.execute(plan, images)
    assert 0 < (together - apart).abs().mean() < 0.02
    assert_close(together.mean((2, 3)), apart.mean((2, 3)), 2e-3)


@pytest.mark.parametrize("op", [ae.RandomEqualize, ae.RandomAutocontrast])
def test_statistics_are_those_of_the_frame(in_one, op):
    images = torch.stack([F.resize(photo(name), [280, 360]) // 2 for name in ("chelsea", "coffee")])
    plan = plan_of([*turned(20), op(p=1), ae.CenterCrop((20, 24))], images)
    assert len(shrunk_first(plan)) == 2
    ours, theirs = (ae.execute(plan, images, executor=name) for name in ("cpu", "torch"))
    assert ((ours - theirs).abs() > 2 / 255).float().mean() < 0.02
    assert (ours - in_one(plan, images)).abs().mean() < 0.06


def test_plans_and_targets_are_the_same_without_it(in_one):
    images = [photo("chelsea"), photo("coffee")]
    plan = plan_of(turned(20), images)
    before = plan.to_bytes()
    masks = [torch.arange(i[0].numel()).view(i[0].shape) % 251 for i in images]
    got = ae.masks(plan, masks)
    ae.execute(plan, images)
    assert plan.to_bytes() == before
    # The nearest pixel of the image itself, by the plan's own matrix.
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    points = plan.inv_matrix[0].astype(np.float64) @ np.stack([x, y, 1 + 0 * x]).reshape(3, -1)
    column, row = np.floor(points[:2]).astype(int)
    seen = (row >= 0) & (row < 300) & (column >= 0) & (column < 451)
    expected = masks[0].numpy()[row[seen], column[seen]]
    assert (got[0].numpy().ravel()[seen] == expected).mean() > 0.999


def shrinks_of(ops, images, **how):
    return list(shrunk_first(plan_of(ops, images, **how)))


def test_what_is_drawn_in_one():
    images = patches(1, 96, 120)

    def resized(height, width, degrees=20, **how):
        size = [ae.Resize((height, width), **how), ae.RandomRotation((degrees, degrees), **how)]
        return shrinks_of(size, images)

    assert resized(60, 75) == [0]
    assert resized(64, 80) == []  # 1½, which weighs three taps
    assert resized(60, 120) == [0]  # along one axis
    assert resized(60, 75, **CUBIC) == []
    assert resized(40, 50, **CUBIC) == [0]
    assert resized(60, 75, interpolation="nearest") == []
    assert resized(60, 75, degrees=0) == []  # upright
    flipped = [ae.Resize((60, 75)), ae.RandomHorizontalFlip(p=1), ae.RandomVerticalFlip(p=1)]
    assert shrinks_of(flipped, images) == []
    missed = [ae.RandomRotation((20, 20)), ae.RandomCrop((40, 40), padding=400), ae.Resize((9, 9))]
    plan = plan_of(missed, images.expand(50, -1, -1, -1))
    empty = np.flatnonzero((plan.clip[:, :2] >= plan.clip[:, 2:]).any(axis=1))
    assert len(empty)
    assert not set(empty) & set(shrunk_first(plan))


def test_a_picture_much_larger_than_the_output_is_not_drawn():
    images = patches(1, 96, 120)
    plan = plan_of([ae.Resize((10, 12)), ae.RandomRotation((20, 20))], images)
    assert list(shrunk_first(plan)) == [0]
    # It weighs little of what it sees.
    narrow = dataclasses.replace(plan, support=np.full((1, 2), 1.75, np.float32))
    assert shrunk_first(narrow) == {}


def test_pictures_are_drawn_together_and_once():
    ops = [ae.RandomResizedCrop(SIZE, scale=(0.6, 1)), ae.RandomRotation(30)]
    images = [F.resize(photo("rocket"), [200 + 3 * i, 300 - i]) for i in range(24)]
    plan = plan_of(ops, images)
    assert len(shrunk_first(plan)) == 24
    passes, batch = passes_of(plan, "uint8")
    assert len(passes) <= 4
    assert sum(len(part.plan) for part in passes) == 24
    once = upright_first(plan)
    assert upright_first(once) is once
    assert shrunk_first(batch) == {}


def test_explain_says_so():
    images = patches(1, 300, 400)
    plan = plan_of(turned(20), images)
    assert plan.explain(0).endswith("turned after an upright shrink by 4.69 × 4.9")
    blurred = plan_of([*turned(20), ae.GaussianBlur(5, 1.0)], images)
    assert "turned after an upright shrink by 4.69 × 4.9" in blurred.explain(0)
    assert "turned after" not in plan_of(ae.Resize(SIZE), images).explain(0)


@pytest.mark.parametrize("channels", [1, 3, 4, 5])
@pytest.mark.parametrize("size", [(1, 400), (3, 500), (77, 1), (129, 151)])
@pytest.mark.parametrize("how", [{}, CUBIC])
def test_executors_agree(size, channels, how):
    images = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(3))
    ops = [ae.Resize((17, 31), **how), ae.RandomAffine(180, shear=20, fill=0.4, **how)]
    for dtype in (torch.float32, torch.uint8):
        batch = images if dtype == torch.float32 else (images * 255).byte()
        plan = plan_of(ops, batch, layout="NCHW")
        assert shrunk_first(plan)
        ours, theirs = (
            ae.execute(plan, batch, layout="NCHW", executor=name) for name in ("cpu", "torch")
        )
        assert_close(ours, theirs, 1e-5 if dtype == torch.float32 else 1.01 / 255)


def test_filters_before_and_after(in_one):
    images = torch.stack([F.resize(photo(name), [280, 360]) for name in ("chelsea", "coffee")])
    for ops in ([ae.GaussianBlur(5, 1.0), *turned(20)], [*turned(20), ae.GaussianBlur(5, 1.0)]):
        plan = plan_of(ops, images)
        assert len(shrunk_first(plan)) == 2
        ours, theirs = (ae.execute(plan, images, executor=name) for name in ("cpu", "torch"))
        assert_close(ours, theirs, 2.01 / 255)
        assert (ours - in_one(plan, images)).abs().mean() < 0.02


def test_gradients_flow_through_the_picture():
    images = as_float(patches(1, 96, 120)).requires_grad_()
    plan = plan_of([ae.Resize((32, 40)), ae.RandomRotation((20, 20))], images.detach())
    assert shrunk_first(plan)
    drawn = ae.execute(plan, images)
    drawn.sum().backward()
    # Each pixel that shows the image has weights of 1 in sum.
    shows = ae.execute(plan, torch.ones_like(images.detach()), executor="torch")
    assert_close(images.grad.sum(), shows.sum(), 0.5)
    assert images.grad.min() >= 0
