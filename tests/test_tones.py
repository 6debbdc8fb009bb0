"""Tones of bytes and of floats: torchvision's functionals on either, all executors."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, draw, each_executor, plan_of, with_steps
from photos import patches, photo

import augengine as ae
from augengine.plan.kinds import CURVE, GAMMA, HISTOGRAM, TONE

ALL_BYTES = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
FLOATS = torch.rand(2, 3, 40, 50, generator=torch.Generator().manual_seed(3))
FLOATS[0, :, :2, :8] = torch.tensor([0.0, 1.0, 0.5, 128 / 255, 1e-3, 1e-12, 1 - 2**-24, 0.25])


@each_executor
@pytest.mark.parametrize("gamma", [1e-3, 0.25, 0.45, 1.0, 1.7, 2.2, 40.0, 1000.0])
def test_gamma_is_adjust_gamma(gamma, executor):
    op = ae.RandomGamma(gamma)
    for images in (FLOATS, as_float(patches(2))):
        got, _ = draw(op, images, executor)
        assert_close(got, F.adjust_gamma(images, gamma), 1e-6 if gamma < 40 else 1e-4)
    for images in (ALL_BYTES, patches(2)):
        got, _ = draw(op, images, executor, dtype="uint8")
        assert_close(got, F.adjust_gamma(images, gamma), 1)
        exact = F.adjust_gamma(images.double() / 255, gamma)
        assert_close(got, 255 * exact, 0.5001)
        assert_close(draw(op, images, executor)[0], exact, 1e-6 if gamma < 40 else 1e-4)


@each_executor
@pytest.mark.parametrize("gain", [0.0, 0.5, 1.3])
def test_gammas_gain(gain, executor):
    op = ae.RandomGamma(0.6, gain=gain)
    got, _ = draw(op, FLOATS, executor)
    assert_close(got, F.adjust_gamma(FLOATS, 0.6, gain), 1e-6)
    got, _ = draw(op, patches(2), executor, dtype="uint8")
    assert_close(got, F.adjust_gamma(patches(2), 0.6, gain), 1)


@each_executor
def test_a_float_image_has_more_than_256_tones(executor):
    """A gradient of 1,000 tones stays one: neither gamma nor solarizing makes stairs of it."""
    ramp = torch.linspace(0, 1, 1000).view(1, 1, 1, 1000).expand(1, 3, 4, 1000).contiguous()
    ops = [ae.RandomGamma(0.25), ae.RandomSolarize(100, p=1), ae.RandomSolarizeAdd(60, p=1)]
    for op in ops:
        got, _ = draw(op, ramp, executor)
        assert len(got[0, 0, 0].unique()) > 700


@each_executor
@pytest.mark.parametrize("threshold", [0, 1, 127.5, 128, 200, 255])
def test_solarize_is_torchvisions(threshold, executor):
    op = ae.RandomSolarize(threshold, p=1)
    for images in (FLOATS, as_float(ALL_BYTES), as_float(patches(2))):
        got, _ = draw(op, images, executor)
        assert torch.equal(got, F.solarize(images, threshold / 255))
    for images in (ALL_BYTES, patches(2)):
        got, _ = draw(op, images, executor, dtype="uint8")
        assert torch.equal(got, F.solarize(images, threshold))


@each_executor
def test_neutral_tones_leave_floats(executor):
    for op in (ae.RandomSolarize(256, p=1), ae.RandomPosterize(8, p=1), ae.RandomSolarizeAdd(0, 1)):
        assert torch.equal(draw(op, FLOATS, executor)[0], FLOATS)


@each_executor
@pytest.mark.parametrize("bits", range(8))
def test_posterize_is_torchvisions(bits, executor):
    """Of floats it has 2^bits steps from 0 on, the highest of them below 1. Eight bits keep all that
    torchvision would cut to 256 steps."""
    op = ae.RandomPosterize(bits, p=1)
    for images in (FLOATS, as_float(ALL_BYTES), as_float(patches(2))):
        assert torch.equal(draw(op, images, executor)[0], F.posterize(images, bits))
    for images in (ALL_BYTES, patches(2)):
        assert torch.equal(draw(op, images, executor, dtype="uint8")[0], F.posterize(images, bits))


@each_executor
@pytest.mark.parametrize("add", [-50, 0, 60, 110, 255])
def test_solarize_add_on_floats_is_its_formula(add, executor):
    """timm and TensorFlow have it for bytes (test_published_pixels)."""
    got, _ = draw(ae.RandomSolarizeAdd(add, p=1), FLOATS, executor)
    value = FLOATS.double()
    expected = torch.where(value < 128 / 255, (value + add / 255).clamp(0, 1), value)
    assert_close(got, expected, 1e-6)


@each_executor
def test_equalize_cuts_floats_to_bytes_as_torchvision_does(executor):
    for images in (FLOATS, FLOATS**3, as_float(patches(2))):
        got, _ = draw(ae.RandomEqualize(p=1), images, executor)
        assert_close(got, F.equalize(images), 1e-7)


@each_executor
def test_autocontrast_on_floats_is_torchvisions(executor):
    for images in (0.3 + 0.4 * FLOATS, as_float(patches(2)), as_float(photo("coffee"))[None]):
        got, _ = draw(ae.RandomAutocontrast(p=1), images, executor)
        assert_close(got, F.autocontrast(images), 2e-6)


@each_executor
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_tones_of_any_number_of_channels(channels, executor):
    images = torch.rand(2, channels, 20, 30, generator=torch.Generator().manual_seed(1))
    byte = (255 * images).to(torch.uint8)
    how = {"layout": "NCHW"}
    for op, function in [
        (ae.RandomGamma(0.4), lambda x: F.adjust_gamma(x, 0.4)),
        (
            ae.RandomSolarize(102, p=1),
            lambda x: F.solarize(x, 102 if x.dtype == torch.uint8 else 0.4),
        ),
        (ae.RandomPosterize(3, p=1), lambda x: F.posterize(x, 3)),
    ]:
        assert_close(draw(op, images, executor, **how)[0], function(images), 1e-6)
        got, _ = draw(op, byte, executor, dtype="uint8", **how)
        assert_close(got, function(byte), 1)


@each_executor
def test_steps_before_and_after_a_gamma(executor):
    """Each view its own power, some none; and statistics that are measured after one."""
    images = patches(3)
    plan = with_steps(plan_of(ae.RandomHorizontalFlip(0), images, dtype="uint8"), (GAMMA, [1, 1]))
    arg = plan.step_arg.copy()
    arg[:, 0, 0] = gammas = [0.3, 1.0, 2.5]
    plan = ae.Plan(**{**vars(plan), "step_arg": arg})
    got = ae.execute(plan, images, executor=executor)
    for i, gamma in enumerate(gammas):
        assert_close(got[i], F.adjust_gamma(images[i], gamma), 1)
    plan = with_steps(plan, (GAMMA, [0.5, 1]), (CURVE, [0], HISTOGRAM))
    brighter = F.adjust_gamma(as_float(images), 0.5)
    expected = F.equalize((255 * brighter + 0.5).to(torch.uint8))
    assert_close(ae.execute(plan, images, executor=executor), expected, 1)
    # A rounding may cut a float to the byte below.
    apart = ae.execute(plan, as_float(images), executor=executor) - 255 * F.equalize(brighter)
    assert (apart.abs() > 1).float().mean() < 1e-3


@each_executor
def test_a_stretch_in_a_tone_of_floats(executor):
    """No op yields one, a plan may: (value − low) / scale, then a threshold before it and steps behind."""
    arg = [128, 1, 1, 20, 20, 20, 0.8, 0.8, 0.8]
    plan = with_steps(plan_of(ae.RandomHorizontalFlip(0), FLOATS), (TONE, arg))
    value = FLOATS.double()
    value = torch.where(value >= 128 / 255, 1 - value, value)
    expected = ((value - 20 / 255) / 0.8).clamp(0, 1)
    got = ae.execute(plan, FLOATS, executor=executor)
    edge = (FLOATS - 128 / 255).abs() < 1e-6
    assert_close(got[~edge], expected[~edge], 1e-6)


@pytest.mark.parametrize("exponent", [0.0, -1.0, 2.0**21, np.float32(1e-7)])
def test_impossible_exponents(exponent):
    plan = plan_of(ae.RandomHorizontalFlip(0), FLOATS)
    with pytest.raises(ValueError, match=r"Plan\.step_arg: the exponent of a GAMMA lies outside"):
        with_steps(plan, (GAMMA, [exponent, 1]))
