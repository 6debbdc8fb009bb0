"""Any number of channels under a turn, in any memory: against SciPy, and between executors."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import any_channels, as_float, assert_close, plan_of
from scipy.ndimage import map_coordinates

import augengine as ae
from augengine.plan import shrinks

CHANNELS = (1, 2, 4, 5, 8, 11)
MEMORY = ("planes", "packed", "wider", "upside down")


def lies(images, memory):
    """A batch (N, C, H, W) of the same values in memory of a kind."""
    n, c, h, w = images.shape
    if memory == "packed":
        return images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    if memory == "wider":  # the last pixels of the memory are those of another picture
        larger = torch.zeros(n + 1, h, w + 3, c + 2, dtype=images.dtype)
        return larger[:n, :, 3:, 1 : c + 1].permute(0, 3, 1, 2).copy_(images)
    if memory == "upside down":  # neither channels nor neighbours lie side by side
        larger = torch.zeros(n, h, c, 2 * w, dtype=images.dtype)
        return larger[..., ::2].permute(0, 2, 1, 3).copy_(images)
    return images.clone()


def points_of(plan, view):
    """(x, y) [H, W] of the source where each pixel of the output looks."""
    y, x = np.mgrid[: plan.finish.size[0], : plan.finish.size[1]] + 0.5
    u, v, w = plan.inv_matrix[view].astype(np.float64) @ np.stack([x, y, 1 + 0 * x]).reshape(3, -1)
    return (u / w).reshape(x.shape), (v / w).reshape(x.shape)


@pytest.mark.parametrize("op", [ae.RandomRotation((33, 33)), ae.RandomPerspective(0.5, p=1)])
@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("channels", CHANNELS)
def test_each_channel_is_scipys(channels, memory, op):
    images = any_channels(2, channels, 41, 53)
    for batch, most in ((images, 1.01 / 255), (as_float(images), 2e-4)):
        batch = lies(batch, memory)
        plan = plan_of(op, batch, layout="NCHW")
        drawn = ae.execute(plan, batch, layout="NCHW", executor="cpu").numpy()
        for i in range(2):
            x, y = points_of(plan, i)
            inside = (x > 0.01) & (x < 52.99) & (y > 0.01) & (y < 40.99)
            assert inside.mean() > 0.3
            for c in range(channels):
                plane = as_float(images)[i, c].numpy()
                expected = map_coordinates(plane, [y - 0.5, x - 0.5], order=1, mode="nearest")
                assert np.abs(drawn[i, c] - expected)[inside].max() < most


@pytest.mark.parametrize("slope", [0, -0.5])
@pytest.mark.parametrize("support", [(1, 1), (1.3, 1.3), (1.9, 1.9), (1, 3), (4.2, 2.6)])
@pytest.mark.parametrize("memory", MEMORY)
def test_executors_agree_on_any_filter(memory, support, slope, monkeypatch):
    monkeypatch.setattr(shrinks, "LEAST_SHRINK", np.inf)
    wide = np.tile(np.float32(support) * (2 if slope else 1), (2, 1))
    for channels in CHANNELS:
        images = any_channels(2, channels, 17, 23)
        for batch in (images, as_float(images)):
            batch = lies(batch, memory)
            plan = plan_of(
                ae.RandomRotation((33, 33), fill=0.3 if batch.is_floating_point() else 90),
                batch,
                layout="NCHW",
            )
            plan = dataclasses.replace(plan, support=wide, slope=np.full(2, slope, np.float32))
            ours, theirs = (
                ae.execute(plan, batch, layout="NCHW", executor=name) for name in ("cpu", "torch")
            )
            assert_close(ours, theirs, 5e-6)


@pytest.mark.parametrize("how", [{}, {"interpolation": "bicubic"}])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (3, 2), (4, 5)])
def test_pictures_of_a_few_pixels(size, how):
    for channels in (1, 3, 4, 5):
        images = any_channels(3, channels)[..., : size[0], : size[1]]
        for batch in (images, as_float(images)):
            for memory in MEMORY:
                batch = lies(batch, memory)
                ops = [ae.Resize((15, 18), **how), ae.RandomAffine((40, 40), shear=(9, 9), **how)]
                plan = plan_of(ops, batch, layout="NCHW")
                ours, theirs = (
                    ae.execute(plan, batch, layout="NCHW", executor=name)
                    for name in ("cpu", "torch")
                )
                assert_close(ours, theirs, 1e-5)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_cubic_along_a_border_and_through_it(channels):
    """Taps are shifted at a row's ends, along all of it, or, where a border reflects, in its middle."""
    images = any_channels(2, channels, 30, 40)
    for border in range(4):
        for degrees in (0.5, 44, 89.6):
            turn = ae.RandomRotation((degrees, degrees), interpolation="bicubic")
            plan = plan_of([ae.RandomCrop((30, 40), padding=9), turn], images, layout="NCHW")
            plan = dataclasses.replace(plan, border=np.full(2, border, np.int8))
            ours, theirs = (
                ae.execute(plan, images, layout="NCHW", executor=name) for name in ("cpu", "torch")
            )
            assert_close(ours, theirs, 5e-6)
