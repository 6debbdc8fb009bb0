"""Steps that no op yields yet, and what is measured from the image: hue, curves, noise, autocontrast,
equalize. The plans are made by hand from simple ones."""

import dataclasses

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, each_executor, logged, plan_of, with_steps
from photos import patch, patches, photo, photos
from scipy import stats

import augengine as ae
from augengine.plan.kinds import (
    CURVE,
    HISTOGRAM,
    HUE,
    MATRIX,
    MEAN,
    NO_STATISTIC,
    NOISE,
    NONE,
    RANGE,
)

KEEP = ae.RandomHorizontalFlip(p=0)
HALF_AS_BRIGHT = (MATRIX, [0.5, 0, 0, 0.2, 0, 0.5, 0, 0.2, 0, 0, 0.5, 0.2])


def _stepped(images, executor, *steps, ops=KEEP, curves=None, **how):
    plan = with_steps(plan_of(ops, images, **how), *steps, curves=curves)
    return ae.execute(plan, images, executor=executor)


# Hue and curves


@each_executor
@pytest.mark.parametrize("shift", [-0.5, -0.33, -0.05, 0.2, 0.5, 1.25])
def test_hue_step_is_adjust_hue(shift, executor):
    images = patches(3)
    got = _stepped(images, executor, (HUE, [shift]))
    assert_close(got, F.adjust_hue(as_float(images), (shift + 0.5) % 1 - 0.5), 1e-5)


@each_executor
def test_hue_leaves_grey_alone(executor):
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(_stepped(grey, executor, (HUE, [0.3]), dtype="uint8"), grey)


@each_executor
def test_a_whole_turn_of_hue_is_none(executor):
    images = patches(2)
    assert torch.equal(_stepped(images, executor, (HUE, [1.0]), dtype="uint8"), images)


@each_executor
def test_curves_are_lookups_for_each_channel_and_view(executor):
    images = patches(3)
    curves = np.random.default_rng(0).random((3, 3, 256), np.float32)
    plan = with_steps(plan_of(KEEP, images), (CURVE, [0]), curves=curves)
    arg = plan.step_arg.copy()
    arg[:, 0, 0] = order = [2, 0, 1]
    got = ae.execute(dataclasses.replace(plan, step_arg=arg), images, executor=executor)
    for i in range(3):
        for c in range(3):
            expected = curves[order[i], c][images[i, c].numpy()]
            assert np.array_equal(got[i, c].numpy(), expected)


@each_executor
def test_curves_round_to_the_nearest_entry(executor):
    """After other steps a value lies between entries: posterize of a darkened photograph."""
    images = patches(2)
    curve = ((np.arange(256) & 0xE0) / 255).astype(np.float32)
    got = _stepped(images, executor, HALF_AS_BRIGHT, (CURVE, [0]), curves=np.tile(curve, (1, 3, 1)))
    value = 255 * (0.5 * images.double() / 255 + 0.2)
    clear = (value % 1 - 0.5).abs() > 1e-3
    expected = torch.from_numpy(curve)[(value + 0.5).long()]
    assert clear.double().mean() > 0.4
    assert_close(got[clear], expected[clear], 0)


@each_executor
@pytest.mark.parametrize("channels", [1, 4, 5])
def test_each_of_any_number_of_channels_has_its_own_curve(channels, executor):
    images = torch.cat([patches(1, 40, 50), patches(2, 40, 50)[1:]], dim=1)[:, :channels]
    curves = np.random.default_rng(0).random((1, channels, 256), np.float32)
    plan = with_steps(plan_of(KEEP, images, layout="NCHW"), (CURVE, [0]), curves=curves)
    got = ae.execute(plan, images, executor=executor, layout="NCHW")
    for c in range(channels):
        assert np.array_equal(got[0, c].numpy(), curves[0, c][images[0, c].numpy()])


# Autocontrast and equalize


@each_executor
def test_range_is_autocontrast(executor):
    images = [photo("coffee"), photo("rocket") // 2 + 30, photo("china")[:1].repeat(3, 1, 1)]
    images.append(torch.full((3, 20, 20), 77, dtype=torch.uint8))  # flat: stays as it is
    for image in images:
        got = _stepped([as_float(image)], executor, (MATRIX, [], RANGE))
        assert_close(got[0], F.autocontrast(as_float(image)), 1e-5)
        got = _stepped([image], executor, (MATRIX, [], RANGE), dtype="uint8")
        assert torch.equal(got[0], F.autocontrast(image))


@each_executor
def test_histogram_is_equalize_bit_for_bit(executor):
    images = [*photos(), patch("coffee", 7, 5), torch.full((3, 9, 9), 40, dtype=torch.uint8)]
    images.append(photo("china") // 16 * 16)
    for image in images:
        got = _stepped([image], executor, (CURVE, [0], HISTOGRAM), dtype="uint8")
        assert torch.equal(got[0], F.equalize(image))


@each_executor
def test_statistics_come_after_earlier_steps(executor):
    images = patches(3)
    darker = (as_float(images) * 0.5 + 0.2).clamp(0, 1)
    got = _stepped(as_float(images), executor, HALF_AS_BRIGHT, (MATRIX, [], RANGE))
    assert_close(got, F.autocontrast(darker), 1e-5)
    contrast = (MATRIX, [1.7, 0, 0, -0.7, 0, 1.7, 0, -0.7, 0, 0, 1.7, -0.7], MEAN)
    got = _stepped(images, executor, HALF_AS_BRIGHT, contrast)
    assert_close(got, F.adjust_contrast(darker, 1.7), 1e-5)
    # Brightened by whole numbers: equalize in whole numbers is then exact.
    brighter = (MATRIX, [1, 0, 0, 40 / 255, 0, 1, 0, 40 / 255, 0, 0, 1, 40 / 255])
    got = _stepped(images, executor, brighter, (CURVE, [0], HISTOGRAM), dtype="uint8")
    assert torch.equal(got, F.equalize((images.int() + 40).clamp(0, 255).to(torch.uint8)))


@each_executor
@pytest.mark.parametrize("width", [5, 16, 39])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_mean_after_channels_were_mixed(executor, width, packed, as_bytes):
    """Rows that do not come out even in sixteens, of pixels one after the other and of planes."""
    images = patches(2, 21, width)
    mixed = (
        torch.stack([0.5 * images[:, 1] + 25.5, 0.9 * images[:, 2], 0.7 * images[:, 0]], 1) / 255
    )
    mixing = (MATRIX, [0, 0.5, 0, 0.1, 0, 0, 0.9, 0, 0.7, 0, 0, 0])
    contrast = (MATRIX, [1.7, 0, 0, -0.7, 0, 1.7, 0, -0.7, 0, 0, 1.7, -0.7], MEAN)
    sources = images if as_bytes else as_float(images)
    if packed:
        sources = sources.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    got = _stepped(sources, executor, mixing, contrast, layout="NCHW")
    assert_close(got, F.adjust_contrast(mixed, 1.7), 1e-5)


@each_executor
def test_statistics_one_after_the_other(executor):
    images = patches(3)
    steps = [(MATRIX, [], RANGE), (CURVE, [0], HISTOGRAM)]
    got = _stepped(images // 2 + 20, executor, *steps, dtype="uint8")
    stretched = F.autocontrast(images // 2 + 20)
    assert torch.equal(got, F.equalize(stretched))
    contrast = (MATRIX, [0.6, 0, 0, 0.4, 0, 0.6, 0, 0.4, 0, 0, 0.6, 0.4], MEAN)
    got = _stepped(as_float(images), executor, (MATRIX, [], RANGE), contrast)
    expected = F.adjust_contrast(F.autocontrast(as_float(images)), 0.6)
    assert_close(got, expected, 1e-5)


@each_executor
def test_a_statistic_sees_the_crop_and_not_the_warp(executor):
    """Crop, equalize, rotate equalizes the crop."""
    images = photos("astronaut", "coffee", "chelsea")
    ops = [ae.RandomCrop((120, 140)), ae.RandomRotation((180, 180))]
    for step, apply in [
        ((CURVE, [0], HISTOGRAM), F.equalize),
        ((MATRIX, [], RANGE), F.autocontrast),
    ]:
        got = _stepped(images, executor, step, ops=ops, dtype="uint8")
        plan = plan_of(ops, images)
        for i, image in enumerate(images):
            _, _, y, x = (int(v) for v in logged(plan, i, "crop")[0][:4])
            cut = image[:, y : y + 120, x : x + 140]
            assert_close(got[i].flip(-1, -2), apply(cut), 1 if apply is F.autocontrast else 0)


@each_executor
def test_views_with_and_without_a_statistic_in_one_batch(executor):
    images = patches(4)
    plan = with_steps(plan_of(KEEP, images, dtype="uint8"), (CURVE, [0], HISTOGRAM))
    kind, statistic = plan.step_kind.copy(), plan.statistic.copy()
    kind[1], statistic[1] = NONE, NO_STATISTIC
    kind[2], statistic[2] = MATRIX, RANGE
    plan = dataclasses.replace(plan, step_kind=kind, statistic=statistic)
    got = ae.execute(plan, images, executor=executor)
    assert torch.equal(got[0], F.equalize(images[0]))
    assert torch.equal(got[1], images[1])
    assert_close(got[2], F.autocontrast(images[2]), 1)
    assert torch.equal(got[3], F.equalize(images[3]))


@each_executor
@pytest.mark.parametrize("layout", ["NHWC", "slice"])
def test_statistics_of_strided_sources(layout, executor):
    images = patches(2, 33, 47)
    if layout == "NHWC":
        strided = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    else:
        strided = torch.full((4, 5, 40, 99), 255, dtype=torch.uint8)[::2, 1:4, 3:36, 2:96:2]
        strided.copy_(images)
    got = _stepped(strided, executor, (CURVE, [0], HISTOGRAM), dtype="uint8", layout="NCHW")
    assert torch.equal(got, F.equalize(images))


@each_executor
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("width", [1, 7, 8, 25, 41])
def test_bytes_are_counted_as_they_lie(executor, layout, channels, width):
    """Windows of any width and place, in planes and in interleaved lines."""
    pixels = np.random.default_rng(width).integers(30, 200, (3, channels, 20, 43), np.uint8)
    images = torch.from_numpy(pixels)
    images[1, :, :, 20:] = 90  # equal neighbours
    ops = ae.RandomCrop((13, width))
    plan = plan_of(ops, images, dtype="uint8", layout="NCHW")
    cut = ae.execute(plan, images, executor=executor)
    sources = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    sources = sources if layout == "NHWC" else images
    step = np.zeros((1, channels, 256)), (CURVE, [0], HISTOGRAM)
    plan = with_steps(plan, step[1], curves=step[0])
    got = ae.execute(plan, sources, executor=executor)
    expected = torch.cat([F.equalize(cut[:, c : c + 1]) for c in range(channels)], dim=1)
    assert torch.equal(got, expected)
    plan = with_steps(plan_of(ops, images, dtype="uint8", layout="NCHW"), (MATRIX, [], RANGE))
    got = ae.execute(plan, sources, executor=executor)
    expected = torch.cat([F.autocontrast(cut[:, c : c + 1]) for c in range(channels)], dim=1)
    assert torch.equal(got, expected)


@each_executor
def test_a_statistic_of_a_frame_that_missed_the_source(executor):
    """A crop out of the padding alone shows no source: all fill, and no memory beyond the image."""
    images = [torch.full((3, 4, 4), 200, dtype=torch.uint8)] * 40
    ops = [ae.RandomCrop(4, padding=12, fill=51), ae.ColorJitter(contrast=(2.0, 2.0))]
    plan = plan_of(ops, images)
    offsets = plan.log_arg[:, 0, 2:4]
    missed = (np.abs(offsets) >= 4).any(axis=1)
    assert 10 < missed.sum() < 40
    got = ae.execute(plan, images, executor=executor)
    assert torch.isfinite(got).all()
    # Where any of the source is seen, the mean is the source's.
    grey = (0.2989 + 0.587 + 0.114) * 200 / 255  # the weights' sum is 0.9999, as torchvision's
    expected = (2 * torch.tensor([200 / 255, 51 / 255]) - grey).clamp(0, 1)
    for image in got[torch.from_numpy(~missed)]:
        assert (image[..., None] - expected).abs().amin(dim=-1).max() < 1e-6


# Noise


def _noisy(n, executor, *, size=64, channels=3, mean=0.0, sigma=0.05, keys=None, ids=None):
    """Noise on a grey of 0.5, centred and in units of sigma: [n, C, size, size]."""
    grey = torch.full((n, channels, size, size), 0.5)
    plan = with_steps(plan_of(KEEP, grey, layout="NCHW", ids=ids), (NOISE, [mean, sigma, 0, 0]))
    arg = plan.step_arg.copy()
    arg[:, 0, 2:4] = np.array([[11 + i, 7] for i in range(n)] if keys is None else keys)
    plan = dataclasses.replace(plan, step_arg=arg)
    return (ae.execute(plan, grey, executor=executor, layout="NCHW") - 0.5) / sigma, plan


@each_executor
def test_noise_is_normal(executor):
    noise, _ = _noisy(8, executor)
    values = noise.double().flatten().numpy()  # some 98,000
    assert abs(values.mean()) < 4 / np.sqrt(values.size)
    assert abs(values.std() - 1) < 4 / np.sqrt(2 * values.size)
    assert abs(stats.skew(values)) < 4 * np.sqrt(6 / values.size)
    assert abs(stats.kurtosis(values)) < 4 * np.sqrt(24 / values.size)
    assert stats.kstest(values, "norm").pvalue > 1e-3


@each_executor
def test_noise_has_its_mean_and_strength(executor):
    noise, _ = _noisy(4, executor, mean=0.1, sigma=0.02)
    assert abs(noise.mean() - 5) < 0.03
    assert abs(noise.std() - 1) < 0.03


@each_executor
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_noise_is_independent_across_channels_pixels_and_samples(channels, executor):
    noise, _ = _noisy(2, executor, size=128, channels=channels)
    limit = 4.5 / 128
    planes = noise.double().flatten(2)
    rows = planes.flatten(0, 1)
    correlation = torch.corrcoef(rows).reshape(len(rows), -1) - torch.eye(len(rows))
    assert correlation.abs().max() < limit
    squares = torch.corrcoef(rows**2).reshape(len(rows), -1) - torch.eye(len(rows))
    assert squares.abs().max() < limit
    for shift in [(0, 1), (1, 0), (1, 1), (0, 2), (0, 4), (3, 0)]:
        moved = noise.roll(shift, dims=(2, 3)).double().flatten(2)
        for one, other in zip(rows, moved.flatten(0, 1), strict=True):
            assert abs(np.corrcoef(one, other)[0, 1]) < limit


@each_executor
def test_a_samples_noise_is_the_same_in_any_batch(executor):
    keys = [[i * 1001 + 1, (1 << 24) - 1 - i] for i in range(7)]
    noise, plan = _noisy(7, executor, keys=keys)
    alone, _ = _noisy(1, executor, keys=keys[4:5])
    assert torch.equal(noise[4], alone[0])
    turned, _ = _noisy(7, executor, keys=keys[::-1])
    assert torch.equal(noise, turned.flip(0))
    grey = torch.full((7, 3, 64, 64), 0.5)
    part = ae.execute(plan.select([6, 2]), grey, executor=executor)
    assert torch.equal((part - 0.5) / 0.05, noise[[6, 2]])
    assert len({n.sum().item() for n in noise}) == 7


def test_both_executors_draw_the_same_noise_to_the_bit():
    keys = [[1, 2], [3, 0], [(1 << 24) - 1, (1 << 24) - 1]]
    for channels in (1, 3, 5):
        ours, _ = _noisy(3, "cpu", size=57, channels=channels, keys=keys)
        theirs, _ = _noisy(3, "torch", size=57, channels=channels, keys=keys)
        assert torch.equal(ours, theirs)


@each_executor
def test_noise_is_clamped(executor):
    dark = torch.zeros(1, 3, 32, 32)
    plan = with_steps(plan_of(KEEP, dark), (NOISE, [0.0, 0.1, 5, 5]))
    got = ae.execute(plan, dark, executor=executor)
    assert got.min() == 0
    assert 0.45 < (got == 0).float().mean() < 0.55


@each_executor
def test_noise_sits_where_the_output_is_not_where_the_source_is(executor):
    """Counted by output pixel: a flip of the source does not flip the noise."""
    grey = torch.full((1, 3, 20, 20), 0.5)
    step = (NOISE, [0.0, 0.1, 9, 9])
    plain = _stepped(grey, executor, step)
    flipped = _stepped(grey, executor, step, ops=ae.RandomHorizontalFlip(p=1))
    assert torch.equal(plain, flipped)
