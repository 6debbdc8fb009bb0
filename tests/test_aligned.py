"""Crops, resizes and flips of any channels and layout, at sizes around those of vectors. The truth is
torchvision's resize."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from cases import assert_close, draw, plan_of

import augengine as ae

# (source, output) along an axis: enlarged, shrunk a little, by more than vectors shuffle, by so much that a
# filter has up to 80 taps, and just around one vector.
SIZES = [(40, 61), (61, 48), (97, 33), (90, 17), (150, 19), (400, 10), (16, 15), (15, 16), (1, 31)]


def pictures(channels, height, width):
    """uint8 (2, C, H, W)."""
    values = np.random.default_rng(channels + width).integers(0, 256, (2, channels, height, width))
    return torch.from_numpy(values.astype(np.uint8))


def pixels(images):
    """The same, with channels side by side in memory."""
    return images.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 9])
def test_a_resize_of_any_channels_is_torchvisions(channels, antialias, dtype):
    turned = [*SIZES[3:], *SIZES[:3]]
    for (height, new_height), (width, new_width) in zip(SIZES, turned, strict=True):
        bytes_, size = pictures(channels, height, width), [new_height, new_width]
        images = bytes_ if dtype == torch.uint8 else bytes_ / 255
        expected = F.hflip(F.resize(bytes_ / 255, size, antialias=antialias))
        ops = [ae.Resize(tuple(size), antialias=antialias), ae.RandomHorizontalFlip(1)]
        for given in (images, pixels(images)):
            assert_close(draw(ops, given, "cpu", layout="NCHW")[0], expected, 2e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3, 4, 8])
def test_where_channels_lie_changes_no_bit(channels, dtype, interpolation):
    ops = [ae.RandomResizedCrop(37, interpolation=interpolation), ae.RandomHorizontalFlip()]
    images = pictures(channels, 90, 131).to(dtype)
    apart = images.repeat_interleave(2, dim=3)[..., ::2]
    turned = np.ascontiguousarray(images.numpy()[:, ::-1])[:, ::-1]
    plan = plan_of(ops, images, layout="NCHW")
    expected = ae.execute(plan, images, executor="cpu", layout="NCHW")
    for given in (pixels(images), apart, turned):
        assert torch.equal(ae.execute(plan, given, executor="cpu", layout="NCHW"), expected)


@pytest.mark.parametrize("shrink", [1, 2, 3, 5, 9, 20])
def test_an_infinity_reaches_no_output_that_does_not_weigh_it(shrink):
    """It can only come into memory that was looked at before."""
    place = 21 * shrink
    away = ((torch.arange(40) + 0.5) * shrink - (place + 0.5)).abs()
    for form in (torch.contiguous_format, torch.channels_last):
        images = torch.full((1, 3, 8, 40 * shrink), 0.5).contiguous(memory_format=form)
        sources = ae.Sources.of(images, "NCHW")
        images[..., place] = torch.inf
        got = ae.execute(plan_of([ae.Resize((8, 40))], sources), sources, executor="cpu")
        assert torch.isfinite(got[..., away > shrink + 1]).all()
        assert not torch.isfinite(got[..., away < shrink / 2]).any()


def test_a_layer_is_drawn_within_its_box():
    """What is drawn a vector at a time ends where the box does."""
    images = pictures(3, 60, 75)
    ops = [ae.RandomResizedCrop(43), ae.CutMix(alpha=1.0)]
    for seed in range(6):
        plan = plan_of(ops, images, layout="NCHW", seed=seed)
        ours, theirs = (
            ae.execute(plan, images, executor=name, layout="NCHW") for name in ("cpu", "torch")
        )
        assert_close(ours, theirs, 2e-5)


DRAW_ALL = """
import sys, torch, augengine as ae
drawn = {}
for channels in (1, 3, 5):
    for size in (30, 50, 90, 400):
        image = torch.arange(2 * channels * size * (size + 7)).reshape(2, channels, size, size + 7)
        image = (image * 7919 % 256).to(torch.uint8)
        for op in (ae.Resize((33, 29)), ae.Resize((33, 29), interpolation="bicubic")):
            policy = ae.Policy([op, ae.RandomHorizontalFlip()])
            plan = policy.sample(range(2), [image.shape[2:]] * 2, channels=channels)
            for given in (image, image.float() / 255):
                got = ae.execute(plan, given, executor="cpu", layout="NCHW")
                drawn[len(drawn)] = got
torch.save(drawn, sys.argv[1])
"""
AVX2 = "+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2"


@pytest.mark.thorough
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names features of x86-64")
def test_a_processor_with_shorter_vectors_draws_the_same(tmp_path):
    """One without any is in test_same_bits."""
    drawn = []
    shorter = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": AVX2}
    for number, more in enumerate([{}, shorter]):
        file = tmp_path / f"{number}.pt"
        subprocess.run([sys.executable, "-c", DRAW_ALL, file], check=True, env=os.environ | more)
        drawn.append(torch.load(file))
    for ours, theirs in zip(drawn[0].values(), drawn[1].values(), strict=True):
        assert_close(ours, theirs, 2e-6)
