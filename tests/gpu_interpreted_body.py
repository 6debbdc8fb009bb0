"""The GPU kernel, drawn by Triton's interpreter, against the torch executor.

Run by test_gpu_interpreted.py in an interpreter of its own, since Triton reads TRITON_INTERPRET once.
"""

import dataclasses
import os

os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, plan_of, with_steps
from gpu import assert_agrees
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import patches
from test_parity import (
    FLOATS,
    Case,
    _image,
    _near_identity,
    _outputs,
    _steps,
    _tolerance,
    along_the_edge,
    beyond_the_horizon,
    cases,
    generated,
    plan_window,
    wide_filters,
)

import augengine as ae
from augengine.kernels.gpu import executor as gpu
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

TONES = [100.0, 8.0, 1 / 8, 10.0, 0.0, 20.0, 0.7, 1.0, 0.5]


@settings(generated, max_examples=25)
@given(cases(most=2))
def test_agrees_with_torch(case):
    assert_agrees(case, case.plan())


@settings(generated, max_examples=40)
@given(
    cases(out_dtypes=("float32",), most=2),
    st.sampled_from(range(CONSTANT, SYMMETRIC + 1)),
    st.data(),
)
def test_agrees_on_plans_that_no_policy_makes(case, border, data):
    """Any matrix, support, border, clip and steps."""
    plan = case.plan()
    v = len(plan.source)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    low, high = np.sort(rng.random((2, v, 2)), axis=0) * plan.sizes[plan.source]
    clip = np.concatenate([low, high], axis=1) if data.draw(st.booleans()) else plan.clip
    kinds = [*_steps(case.images[0].shape[0]), (TONE, TONES)]
    steps = data.draw(st.lists(st.sampled_from(kinds), max_size=4))
    steps.sort(key=lambda step: (step[0] == NOISE) - (step[2:] == (RANGE,)))
    curves = np.linspace([[0.1] * 3, [0.9] * 3], [[0.7] * 3, [0.2] * 3], 256, axis=-1)
    made = dataclasses.replace(
        plan,
        inv_matrix=(plan.inv_matrix @ _near_identity(rng, v)).astype(np.float32),
        support=rng.choice([0, 1, 1.3, 2.7], (v, 2)).astype(np.float32),
        clip=clip.astype(np.float32),
        border=np.full(v, border, np.int8),
    )
    if steps:
        made = with_steps(made, *steps, curves=curves)
        made = dataclasses.replace(
            made,
            window=np.repeat(plan_window(made)[:, None], len(steps), axis=1),
            fill_start=rng.integers(0, len(steps) + 1, v).astype(np.int16),
        )
    # A value at the edge between two entries may take either, of a curve or of a tone's bytes.
    more = 0.05 * any(step[0] in (CURVE, TONE) for step in steps)
    more += 1e-4 * any(step[2:] == (RANGE,) for step in steps)
    few = 0.01 * any(step[0] == TONE for step in steps)
    _assert_mostly(case, made, more, few)


def _assert_mostly(case, plan, more, few):
    """assert_agrees, but for a share `few` of the values, where a tone inverts on a threshold."""
    if not few:
        assert_agrees(case, plan, more)
        return
    got, expected = case.draw("gpu", plan), case.draw("torch", plan)
    apart = (got - expected).abs() > _tolerance(plan) + more
    assert apart.float().mean() <= few


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", *FLOATS])
def test_agrees_on_every_step_and_dtype(dtype, channels):
    images = torch.stack([_image(i, channels, 37, 50, torch.uint8) for i in range(2)])
    plan = plan_of(ae.RandomRotation(180), images, layout="NCHW", dtype=dtype)
    for step in [*_steps(channels), (TONE, TONES)]:
        curves = np.linspace([[0.1] * 3, [0.9] * 3], [[0.7] * 3, [0.2] * 3], 256, axis=-1)
        made = with_steps(plan, step, curves=curves)
        _assert_mostly(Case([], images, {}), made, 2 * (dtype == "uint8"), 2e-3)
    equalized = with_steps(plan, (CURVE, [0], HISTOGRAM))
    _assert_mostly(Case([], images, {}), equalized, 0, 2e-3)


@pytest.mark.parametrize("support", [(1.0, 1.0), (3.3, 1.0), (1.0, 6.5), (0.0, 0.0)])
@pytest.mark.parametrize("angle", [0, 17, 90])
def test_agrees_on_wide_filters(support, angle):
    for channels in (1, 3):
        case, plan = wide_filters(channels, support, angle, 40, 55)
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


@settings(generated, max_examples=15)
@given(cases(most=2), st.sampled_from(("plain", "channels_last", "slice", "NHWC slice")))
def test_every_value_is_written_and_nothing_else(case, kind):
    plan = case.plan()
    expected = case.draw("gpu", plan)
    memory, out = _outputs(plan, kind)
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
    images = patches(3, 40, 44)
    ops = [ae.GaussianBlur(5), ae.RandomAdjustSharpness(2.0, 1.0), ae.RandomEqualize(1.0)]
    ops += [ae.RandomAutocontrast(1.0), ae.RandomResizedCrop((32, 31)), ae.CutMix(), ae.MixUp()]
    for op_list in (ops, ops[4:]):
        plan = plan_of([*op_list, ae.RandomErasing(1.0)], images)
        _assert_mostly(Case([], images, {}), plan, 1e-4, 2e-3)


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


def _costs(plan, images):
    before = gpu.counts.copy()
    ae.execute(plan, images, executor="gpu")
    return gpu.counts - before


def test_a_batch_is_one_copy_and_one_launch():
    images = patches(4, 40, 44)
    ops = [ae.RandomResizedCrop((32, 31)), ae.RandomRotation(30), ae.ColorJitter(0.2)]
    for more in ([], [ae.CutMix()], [ae.MixUp(), ae.RandomErasing(1.0)]):
        assert _costs(plan_of([*ops, *more], images), images) == {"copy": 1, "launch": 1}
    ragged = [images[0], images[1][:, :20], images[2][:, :, :30], images[3]]
    assert _costs(plan_of(ops, ragged), ragged) == {"copy": 1, "launch": 1}


def test_statistics_are_one_launch_more_and_filters_two():
    """For each size of picture; statistics before a filter and after one are two."""
    images = patches(4, 10, 12)
    warp, equalize = ae.RandomRotation(30), ae.RandomEqualize(1.0)
    blur, sharpen = ae.GaussianBlur(3), ae.RandomAdjustSharpness(2.0, 0.5)
    plan = with_steps(plan_of(warp, images), (CURVE, [0], HISTOGRAM), (MATRIX, [], RANGE))
    assert _costs(plan, images) == {"copy": 1, "launch": 2}
    ragged = [images[0], images[1][:, :8], images[2][:, :, :9], images[3]]
    crop = ae.RandomCrop(6)
    for chosen, batch, launches in [
        ([warp, equalize, ae.RandomAutocontrast(1.0)], images, 2),
        ([warp, blur], images, 3),
        ([warp, ae.OneOf([blur, sharpen])], images, 3),
        ([equalize, blur], images, 4),
        ([blur, equalize], images, 4),
        ([equalize, blur, equalize], images, 5),
        ([equalize, blur, equalize, ae.RandomAdjustSharpness(2.0, 1.0), equalize], images, 8),
        ([blur, crop], ragged, 7),
    ]:
        assert _costs(plan_of(chosen, batch), batch) == {"copy": 1, "launch": launches}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", *FLOATS])
def test_statistics_agree(dtype, channels):
    """Of windows larger than what a program takes at a time, and after earlier steps."""
    images = torch.stack([_image(i, channels, 90, 110, torch.uint8) for i in range(2)])
    images = images if dtype == "uint8" else as_float(images).to(getattr(torch, dtype))
    plan = plan_of(ae.RandomRotation(30), images, layout="NCHW")
    earlier = (MATRIX, (0.6 * np.eye(3, 4) + [0, 0, 0, 0.2]).ravel())
    half = 0.5 * np.eye(3, 4) + [0, 0, 0, 0.5]
    for step in ((MATRIX, half.ravel(), MEAN), (MATRIX, [], RANGE), (CURVE, [0], HISTOGRAM)):
        for steps in ((step,), (earlier, step)):
            made = with_steps(plan, *steps)
            window = made.window.copy()
            window[1] = [10.3, 20.0, 70.5, 101.7]
            made = dataclasses.replace(made, window=window)
            _assert_mostly(Case([], images, {}), made, 1e-5, 2e-3)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_statistics_in_sequence_agree(dtype, channels):
    """Each step is measured after those before it are complete."""
    images = torch.stack([_image(i, channels, 50, 61, torch.uint8) for i in range(2)])
    images = images if dtype == "uint8" else as_float(images)
    plan = plan_of(ae.RandomRotation(30), images, layout="NCHW")
    half = 0.5 * np.eye(3, 4) + [0, 0, 0, 0.5]
    kinds = [(MATRIX, half.ravel(), MEAN), (MATRIX, [], RANGE), (CURVE, [0], HISTOGRAM)]
    for first in kinds:
        for second in kinds:
            made = with_steps(plan, first, (MATRIX, (0.8 * np.eye(3, 4)).ravel()), second)
            # A value at the edge between two entries of a histogram may be counted in either.
            _assert_mostly(Case([], images, {}), made, 3e-5, 5e-3)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16"])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 3), (11, 17)])
def test_filters_agree(size, dtype, channels, monkeypatch):
    """Of rows that a program takes in one turn, and in several."""
    monkeypatch.setattr(gpu, "FILTER_BLOCK", 32 if channels == 3 else 128)
    images = torch.stack([_image(i, channels, *size, torch.uint8) for i in range(2)])
    images = images if dtype == "uint8" else as_float(images).to(getattr(torch, dtype))
    out = "uint8" if dtype == "uint8" else "float32"
    for op in (
        ae.GaussianBlur(sigma=(0.5, 3.0)),
        ae.GaussianBlur((5, 9), (0.1, 2.0)),
        ae.GaussianBlur(5, 0),
        ae.RandomAdjustSharpness((0.0, 4.0), 1.0),
    ):
        plan = plan_of([op, ae.RandomHorizontalFlip()], images, layout="NCHW", dtype=out)
        case = Case([], images, {})
        # A sum that ends on a half may be rounded either way.
        more = 0 if out == "uint8" else 3e-6
        assert_close(case.draw("gpu", plan), case.draw("torch", plan), _tolerance(plan) + more)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_statistics_before_and_after_filters_agree(dtype):
    images = patches(3, 24, 28)
    images = images if dtype == "uint8" else as_float(images)
    for ops in (
        [ae.RandomEqualize(0.5), ae.GaussianBlur(9, 2.0, p=0.5), ae.RandomAutocontrast(0.5)],
        [ae.RandomAutocontrast(1.0), ae.RandomAdjustSharpness(1.8, 1.0), ae.RandomEqualize(1.0)],
        [ae.GaussianBlur(5), ae.ColorJitter(contrast=0.5), ae.RandomAdjustSharpness(2.0, 1.0)],
    ):
        plan = plan_of([*ops, ae.RandomResizedCrop(20), ae.CutMix()], images, dtype="float32")
        _assert_mostly(Case([], images, {}), plan, 3e-5, 5e-3)


def test_an_upload_is_drawn_again_and_refilled():
    """What a CUDA graph does: the same launches over the same memory, with another plan in it."""
    images = patches(3, 12, 14)
    sources = ae.Sources.of(images)
    ops = [ae.RandomEqualize(1.0), ae.GaussianBlur(3), ae.ColorJitter(contrast=0.5), ae.CutMix()]
    plans = [plan_of(ops, images, seed=seed) for seed in range(2)]
    held = gpu.upload(gpu.lower(plans[0]), sources)
    for plan in (*plans, plans[1]):
        expected = ae.execute(plan, images, executor="gpu")
        again = gpu.upload(gpu.lower(plan), sources, into=held)
        assert again.buffer is held.buffer
        for _ in range(2):
            assert torch.equal(gpu.launch(held, torch.full_like(expected, torch.nan)), expected)
    other = gpu.lower(plan_of(ops[1:], images))
    with pytest.raises(ValueError, match=r"upload: .* another kind .* Leave `into` out"):
        gpu.upload(other, sources, into=held)


def test_a_lowered_plan_is_not_written():
    images = patches(3, 12, 14)
    lowered = gpu.lower(plan_of([ae.RandomEqualize(1.0), ae.GaussianBlur(5)], images))
    before = lowered.buffer.clone()
    outs = [
        gpu.draw(lowered, ae.Sources.of(given), torch.empty(lowered.shape))
        for given in (images, images.flip(0), images)
    ]
    assert torch.equal(outs[0], outs[2])
    assert not torch.equal(outs[0], outs[1])
    assert torch.equal(lowered.buffer, before)


def test_repetition_changes_no_bit():
    images = patches(3, 80, 90)
    plan = with_steps(plan_of(ae.RandomRotation(9), images), (MATRIX, np.eye(3, 4).ravel(), MEAN))
    first = ae.execute(plan, images, executor="gpu")
    assert torch.equal(ae.execute(plan, images, executor="gpu"), first)
