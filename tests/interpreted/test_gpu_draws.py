"""The GPU executor, drawn by Triton's interpreter, against the torch executor."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import assert_close, plan_of, quick_or_thorough, with_steps
from encoded import by_pillow, encode, scene
from generated import (
    Case,
    along_the_edge,
    at_a_jump,
    beyond_the_horizon,
    cases,
    clips,
    curves_of,
    examples,
    filters,
    kinds_of_step,
    near_identity,
    piece,
    poisoned,
    whole_window,
    wide_filters,
)
from gpu import assert_agrees, assert_mostly_agrees
from hypothesis import assume, given
from hypothesis import strategies as st
from photos import patches

import augengine as ae
from augengine.kernels.gpu.lower import lower
from augengine.plan import shrinks
from augengine.plan.kinds import (
    CONSTANT,
    CURVE,
    EDGE,
    HISTOGRAM,
    MATRIX,
    MEAN,
    NOISE,
    RANGE,
    SYMMETRIC,
    TONE,
)
from augengine.plan.parts import needs_of

pytest.importorskip("triton", reason="the gpu executor is built on triton")

TONES = [100.0, 8.0, 1 / 8, 10.0, 0.0, 20.0, 0.7, 1.0, 0.5]


@examples(25)
@given(cases(most=2))
def test_agrees_with_torch(case):
    plan = case.plan()
    assume(plan.support.max() < 10)  # hundreds of taps, each interpreted; wide filters are below
    assert_agrees(case, plan)


# An item for each border, so that they run side by side.
@pytest.mark.parametrize("border", range(CONSTANT, SYMMETRIC + 1))
@examples(10, least=2)
@given(case=cases(out_dtypes=("float32",), most=2), data=st.data())
def test_agrees_on_plans_that_no_policy_makes(border, case, data):
    """Any matrix, support, border, clip and steps."""
    plan = case.plan()
    v = len(plan.source)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    kinds = [*kinds_of_step(case.images[0].shape[0]), (TONE, TONES)]
    steps = data.draw(st.lists(st.sampled_from(kinds), max_size=4))
    steps.sort(key=lambda step: (step[0] == NOISE) - (step[2:] == (RANGE,)))
    curves = curves_of(case.images[0].shape[0])
    made = dataclasses.replace(
        plan,
        inv_matrix=(plan.inv_matrix @ near_identity(rng, v)).astype(np.float32),
        **filters(rng, v),
        **clips(rng, plan, whole=data.draw(st.booleans())),
        border=np.full(v, border, np.int8),
    )
    if steps:
        made = with_steps(made, *steps, curves=curves)
        made = dataclasses.replace(
            made,
            window=np.repeat(whole_window(made)[:, None], len(steps), axis=1),
            fill_start=rng.integers(0, len(steps) + 1, v).astype(np.int16),
        )
    more = 1e-4 * any(step[2:] == (RANGE,) for step in steps)
    # A value at the edge between two entries may take either, of a curve or of a tone's bytes.
    assert_agrees(case, made, more, at_a_jump(case, made, 1e-5 + more))


@pytest.mark.parametrize("channels", quick_or_thorough([1, 3], [5]))
@pytest.mark.parametrize("dtype", quick_or_thorough(["uint8", "bfloat16"], ["float32", "float16"]))
@pytest.mark.parametrize("source", [torch.uint8, torch.float32])
def test_agrees_on_every_step_and_dtype(source, dtype, channels):
    images = torch.stack([piece(i, channels, 37, 50, source) for i in range(2)])
    plan = plan_of(ae.RandomRotation(180), images, layout="NCHW", dtype=dtype)
    for step in [*kinds_of_step(channels), (TONE, TONES)]:
        made = with_steps(plan, step, curves=curves_of(channels))
        assert_mostly_agrees(Case([], images, {}), made, 2 * (dtype == "uint8"), 2e-3)
    equalized = with_steps(plan, (CURVE, [0], HISTOGRAM))
    assert_mostly_agrees(Case([], images, {}), equalized, 0, 2e-3)


@pytest.mark.parametrize(
    "support",
    quick_or_thorough([(1.0, 1.0), (1.0, 6.5), (0.0, 0.0)], [(3.3, 1.0), (28.0, 1.0), (9.9, 9.9)]),
)
@pytest.mark.parametrize("angle", [0, 17, 90])
def test_agrees_on_wide_filters(support, angle, monkeypatch):
    monkeypatch.setattr(shrinks, "LEAST_SHRINK", np.inf)  # the turn weighs all of it
    for channels in (1, 3):
        case, plan = wide_filters(channels, support, angle, 40, 55)
        assert_close(case.draw("gpu", plan), case.draw("torch", plan), 5e-6)


@pytest.mark.parametrize("support", quick_or_thorough([(2.0, 2.0)], [(7.3, 3.1)]))
@pytest.mark.parametrize("angle", [0, 17])
def test_agrees_on_cubics(support, angle, monkeypatch):
    monkeypatch.setattr(shrinks, "LEAST_SHRINK", np.inf)
    for channels in (1, 3):
        case, plan = wide_filters(channels, support, angle, 40, 55, slope=-0.5)
        assert_close(case.draw("gpu", plan), case.draw("torch", plan), 5e-6)


@pytest.mark.parametrize("border", range(CONSTANT, SYMMETRIC + 1))
@pytest.mark.parametrize("numerator", [0.0, 3.0, -3.0])
def test_agrees_beyond_the_horizon(numerator, border):
    case, plan = beyond_the_horizon(numerator, border)
    assert_close(case.draw("gpu", plan), case.draw("torch", plan), 1e-5)


@pytest.mark.parametrize("border", [CONSTANT, EDGE])
def test_agrees_along_the_edge_of_the_clip(border):
    case, plan = along_the_edge(border, repeats=4)
    assert_close(case.draw("gpu", plan), case.draw("torch", plan), 1e-5)


@examples(15)
@given(cases(most=2), st.sampled_from(("plain", "channels_last", "slice", "NHWC slice")))
def test_every_value_is_written_and_nothing_else(case, kind):
    plan = case.plan()
    expected = case.draw("gpu", plan)
    memory, out = poisoned(plan, kind)
    before = memory.clone()
    assert case.draw("gpu", plan, out=out) is out
    assert torch.equal(out, expected)
    out.fill_(0xAB if plan.finish.dtype == "uint8" else torch.nan)
    assert torch.equal(memory.nan_to_num(7), before.nan_to_num(7))


def test_the_neutral_plan_returns_the_image_bit_for_bit():
    images = patches(3, 65, 129)
    for channels_last in (False, True):
        plan = plan_of(ae.RandomRotation(0), images, dtype="uint8", channels_last=channels_last)
        assert torch.equal(ae.execute(plan, images, executor="gpu"), images)
    plan = plan_of([ae.RandomHorizontalFlip(1), ae.RandomQuarterTurn(2)], images, dtype="uint8")
    assert torch.equal(ae.execute(plan, images, executor="gpu"), images.flip(2))


def test_agrees_on_blurred_and_mixed_views():
    images = patches(3, 26, 29)
    ops = [ae.GaussianBlur(5), ae.RandomAdjustSharpness(2.0, 1.0), ae.RandomEqualize(1.0)]
    ops += [ae.RandomAutocontrast(1.0), ae.RandomResizedCrop((21, 20)), ae.CutMix(), ae.MixUp()]
    for op_list in (ops, ops[4:]):
        plan = plan_of([*op_list, ae.RandomErasing(1.0)], images)
        assert_mostly_agrees(Case([], images, {}), plan, 1e-4, 2e-3)


@pytest.mark.parametrize("size", [(14, 15), (3, 2), (1, 9)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_agrees_on_kernels_of_any_shape_and_shadows(channels, dtype, size):
    images = torch.stack([piece(i, channels, *size, dtype) for i in range(3)])
    ops = [
        ae.RandomMotionBlur(5, p=1),
        ae.RandomMotionBlur(7, resample="bilinear", p=1),
        ae.RandomDefocus((1, 3), p=1),
        ae.RandomShadow(p=1),
    ]
    plan = plan_of([ae.OneOf(ops), ae.RandomSaltAndPepperNoise(0.2, p=1)], images, layout="NCHW")
    drawn, expected = (
        ae.execute(plan, images, executor=e, layout="NCHW") for e in ("gpu", "torch")
    )
    # A byte halfway between two may be rounded to either.
    assert_close(drawn, expected, 1.01 / 255 if dtype == torch.uint8 else 1e-5)
    assert (drawn - expected).abs().mean() < 1e-4


@pytest.mark.parametrize("op", [ae.GaussianBlur(3, 1.0), ae.RandomAdjustSharpness(2, 1)], ids=str)
def test_only_the_batch_is_normalised(op):
    """What is filtered is a picture on the way: its values stay in [0, 1]."""
    images = patches(2, 12, 14).float() / 255
    plan = plan_of([ae.CenterCrop(10), op, ae.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))], images)
    drawn, expected = (ae.execute(plan, images, executor=e) for e in ("gpu", "torch"))
    assert expected.min() < -1
    assert_close(drawn, expected, 1e-5)


def test_what_another_plan_was_lowered_to_is_refused():
    images = patches(2, 12, 14)
    plan = plan_of([ae.CenterCrop(10)], images)
    others = [plan.select([0]), plan_of([ae.CenterCrop(9)], images)]
    others.append(ae.Policy(ae.CenterCrop(10)).sample([0, 1], [(99, 99)] * 2))
    for other in others:
        with pytest.raises(ValueError, match="got lowered of a plan that makes"):
            ae.execute(plan, images, executor="gpu", lowered=lower(other))
    batch = ae.execute(plan, images, executor="gpu", lowered=lower(plan))
    assert torch.equal(batch, ae.execute(plan, images, executor="gpu"))


def test_planes_further_apart_than_2_to_the_31_values():
    """Strides of 64 bits, in memory that is reserved and hardly touched."""
    apart = 2**31 + 64
    memory = torch.empty(2 * apart, dtype=torch.uint8)
    images = patches(2, 8, 9)
    plan = plan_of(ae.RandomVerticalFlip(p=1), images, dtype="uint8")
    for strides in ((apart, 72, 9, 1), (800, apart // 4, 9, 1), (800, 100, apart // 8, 1)):
        far = memory.as_strided((2, 3, 8, 9), strides)
        ae.execute(plan, images, executor="gpu", out=far)
        assert torch.equal(far, images.flip(2))
        got = ae.execute(plan, far.copy_(images), executor="gpu", layout="NCHW")
        assert torch.equal(got, images.flip(2))


def test_repetition_changes_no_bit():
    images = patches(3, 80, 90)
    plan = with_steps(plan_of(ae.RandomRotation(9), images), (MATRIX, np.eye(3, 4).ravel(), MEAN))
    first = ae.execute(plan, images, executor="gpu")
    assert torch.equal(ae.execute(plan, images, executor="gpu"), first)


def test_grey_images_are_read_as_three_channels():
    """Which lie in the same memory: nothing is copied."""
    grey = patches(2, 20, 24)[:, :1]
    ops = [ae.RGB(), ae.RandomRotation((20, 20), fill=(9, 99, 200)), ae.ColorJitter(0.3, 0.3, 0.3)]
    plan = plan_of([*ops, ae.GaussianBlur(3, 1.0)], grey)
    expected = ae.execute(plan, grey.expand(-1, 3, -1, -1).clone(), executor="torch")
    for images in (grey, list(grey), grey.permute(0, 2, 3, 1).contiguous().numpy()):
        assert_close(ae.execute(plan, images, executor="gpu"), expected, 1e-5)


@pytest.mark.parametrize("decode", ["scaled", "exact"])
def test_encoded_images(decode):
    # On its side, upside down, large enough to be decoded at a half, of another format.
    data = [
        encode(scene(40, 60, 1), orientation=6),
        encode(scene(50, 41, 2), orientation=3),
        encode(scene(160, 160, 3)),
        encode(scene(30, 30, 4), "PNG"),
    ]
    first = [by_pillow(each) for each in data]
    contrast = ae.RandomApply([ae.ColorJitter(contrast=0.5)], p=0.5)
    policy = ae.Policy([ae.RandomResizedCrop(20), contrast, ae.RandomHorizontalFlip()])
    plan = policy.sample(range(4), [image.shape[:2] for image in first])
    assert needs_of([plan]).scale.tolist()[2] > 1
    got = ae.execute(plan, data, executor="gpu", decode=decode)
    assert torch.equal(ae.execute(plan, first, executor="gpu"), got) == (decode == "exact")
    assert_close(got, ae.execute(plan, data, executor="torch", decode=decode), 1e-5)
