"""Images of any number of channels: each has its own statistics, curves and tones. The truth is
torchvision's functional, which is given each channel as an image of one."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from cases import (
    any_channels,
    as_float,
    assert_close,
    draw,
    each_executor,
    quick_or_thorough,
)
from photos import patches

import augengine as ae
from augengine.recipes import presets

OPS = {
    "autocontrast": (ae.RandomAutocontrast(1), F.autocontrast),
    "equalize": (ae.RandomEqualize(1), F.equalize),
    "posterize": (ae.RandomPosterize(3, 1), lambda image: F.posterize(image, 3)),
    "solarize": (
        ae.RandomSolarize(100, 1),
        lambda image: F.solarize(image, 100 if image.dtype == torch.uint8 else 100 / 255),
    ),
    "invert": (ae.RandomInvert(1), F.invert),
    "brightness": (
        ae.ColorJitter(brightness=(1.3, 1.3)),
        lambda image: F.adjust_brightness(image, 1.3),
    ),
    "contrast": (ae.ColorJitter(contrast=(1.5, 1.5)), lambda image: F.adjust_contrast(image, 1.5)),
    "gamma": (ae.RandomGamma(0.6, 1), lambda image: F.adjust_gamma(image, 0.6)),
    "sharpness": (
        ae.RandomAdjustSharpness(1.7, 1),
        lambda image: F.adjust_sharpness(image, 1.7),
    ),
    "blur": (ae.GaussianBlur(5, 1.2), lambda image: F.gaussian_blur(image, [5, 5], [1.2, 1.2])),
}


def each_channel(function, images):
    """A torchvision functional on each channel as an image of one."""
    return torch.cat([function(images[:, c : c + 1]) for c in range(images.shape[1])], dim=1)


@each_executor
@pytest.mark.parametrize("channels", quick_or_thorough([1, 2, 4, 5], [8, 64]))
@pytest.mark.parametrize("name", OPS)
def test_each_channel_is_an_image_of_its_own(name, channels, executor):
    images, (op, function) = any_channels(2, channels), OPS[name]
    got, _ = draw([op], images, executor, layout="NCHW", dtype="uint8")
    tolerance = 1 if name in ("gamma", "brightness", "contrast", "sharpness", "blur") else 0
    assert_close(got, each_channel(function, images), tolerance)


@each_executor
@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize(
    "name", ["autocontrast", "contrast", "invert", "brightness", "sharpness", "blur"]
)
def test_each_channel_of_floats_is_an_image_of_its_own(name, channels, executor):
    images, (op, function) = as_float(any_channels(2, channels)), OPS[name]
    got, _ = draw([op], images, executor, layout="NCHW")
    assert_close(got, each_channel(function, images), 2e-5)


@each_executor
def test_the_range_after_other_steps_is_each_channels(executor):
    """Bytes that became others between, and floats that a curve has rounded."""
    images = any_channels(1, 4)
    ops = [ae.ColorJitter(brightness=(0.5, 0.5)), ae.RandomAutocontrast(1)]
    got, _ = draw(ops, as_float(images), executor)
    assert_close(got, each_channel(F.autocontrast, as_float(images) / 2), 2e-5)
    got, _ = draw([ae.RandomEqualize(1), ae.RandomAutocontrast(1)], images, executor, dtype="uint8")
    assert torch.equal(got, each_channel(lambda x: F.autocontrast(F.equalize(x)), images))


@each_executor
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_mean_after_other_steps_is_each_channels(dtype, executor):
    """Also of memory that is measured row by row, and by bytes."""
    bytes_ = any_channels(2, 4)
    images = bytes_ if dtype == torch.uint8 else as_float(bytes_)
    ops = [ae.RandomInvert(1), ae.ColorJitter(contrast=(0.4, 0.4))]
    expected = each_channel(lambda x: F.adjust_contrast(F.invert(x), 0.4), as_float(bytes_))
    last = images.contiguous(memory_format=torch.channels_last)
    for given in (images, last):
        assert_close(draw(ops, given, executor)[0], expected, 1e-5)


def test_contrast_of_each_channel_carries_its_gradient():
    """The sum of a channel about its mean does not change with the contrast, where no value is cut."""
    images = (as_float(any_channels(1, 4)) * 0.2 + 0.4).requires_grad_()
    got = ae.Engine(ae.ColorJitter(contrast=(1.5, 1.5)))(images, ids=[0]).images
    weights = torch.arange(1.0, 5.0).view(1, 4, 1, 1)
    (got * weights).sum().backward()
    assert_close(images.grad, weights.expand_as(images), 1e-4)


@each_executor
def test_a_flat_channel_stays_beside_others(executor):
    images = any_channels(1, 4)
    images[:, 1] = 77
    for op, function in (
        (ae.RandomAutocontrast(1), F.autocontrast),
        (ae.RandomEqualize(1), F.equalize),
    ):
        got, _ = draw([op], images, executor, dtype="uint8")
        assert torch.equal(got, each_channel(function, images))


@each_executor
def test_samples_keep_their_own_ranges_when_plans_are_joined(executor):
    images = any_channels(3, 5)
    plans = [
        ae.Policy(ae.RandomAutocontrast(1)).sample([i], [images.shape[2:]], channels=5)
        for i in range(3)
    ]
    got = ae.execute(ae.concatenate(plans), images, executor=executor, layout="NCHW")
    assert_close(got, as_float(each_channel(F.autocontrast, images)), 1e-6)


# Grey images


@each_executor
def test_grey_has_no_colours_as_in_torchvision(executor):
    images = patches(2)[:, :1].contiguous()
    for op in (
        ae.RandomGrayscale(1),
        ae.RandomDesaturate(1, p=1),
        ae.RandomChannelPermutation(),
        ae.ColorJitter(saturation=(2, 2), hue=(0.3, 0.3)),
    ):
        got, _ = draw([op], images, executor, dtype="uint8")
        assert torch.equal(got, images)
    assert torch.equal(F.adjust_saturation(images, 2), images)
    assert torch.equal(F.adjust_hue(images, 0.3), images)


@each_executor
def test_contrast_of_grey_is_about_its_own_mean(executor):
    images = as_float(patches(2)[:, :1].contiguous())
    got, _ = draw([ae.ColorJitter(contrast=(1.6, 1.6))], images, executor)
    assert_close(got, F.adjust_contrast(images, 1.6), 1e-5)


@pytest.mark.parametrize("name", ["imagenet", "deit3", "fixmatch", "simclr", "byol", "dino"])
def test_presets_run_on_grey(name):
    """Their ImageNet mean and deviation are then the luma's, as of a grey picture of three channels."""
    preset = getattr(presets, name)
    engine = ae.Engine(preset(32), seed=1)
    grey = engine(patches(4)[:, :1].contiguous(), ids=range(4), epoch=0)
    views = [grey] if isinstance(grey, ae.Batch) else [*grey.values()]
    for view in views:
        for batch in view if isinstance(view, list) else [view]:
            assert batch.images.shape[:2] == (4, 1)
            assert batch.images.isfinite().all()
            assert batch.images.std() > 0.1


@each_executor
def test_three_means_of_grey_are_the_luma_of_them(executor):
    images = patches(2)[:, :1].contiguous()
    mean, std = presets.IMAGENET_MEAN, presets.IMAGENET_STD
    got, plan = draw([ae.Normalize(mean, std)], images, executor, layout="NCHW")
    luma = [F.rgb_to_grayscale(torch.tensor(v).view(3, 1, 1)).item() for v in (mean, std)]
    assert_close(got, F.normalize(as_float(images), luma[:1], luma[1:]), 1e-5)
    assert plan.finish.channels == 1


# Noise in the units of a normalisation


@each_executor
def test_noise_of_an_erased_box_has_each_channels_deviation(executor):
    mean, std = (0.1, 0.5, 0.9, 0.3), (0.05, 0.2, 0.02, 0.4)
    images = torch.zeros(8, 4, 64, 64, dtype=torch.uint8)
    ops = [ae.Normalize(mean, std), ae.RandomErasing(1, (0.5, 0.5), (1, 1), value="random")]
    got, plan = draw(ops, images, executor, layout="NCHW")
    for i in range(8):
        y0, x0, y1, x1 = plan.box[i, 1]
        inside = got[i, :, y0:y1, x0:x1].flatten(1)
        # Clamped to [0, 1] before: the lowest and the highest are cut.
        drawn = torch.randn(4, 200_000, generator=torch.Generator().manual_seed(i))
        columns = [torch.tensor(column)[:, None] for column in (mean, std)]
        expected = ((drawn * columns[1] + columns[0]).clamp(0, 1) - columns[0]) / columns[1]
        np.testing.assert_allclose(inside.mean(1), expected.mean(1), atol=0.12)
        np.testing.assert_allclose(inside.std(1), expected.std(1), atol=0.12)
