"""Blur and sharpness before sampling, against torchvision and SciPy. No op yields them yet."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import each_executor, plan_of
from photos import patches
from scipy.ndimage import gaussian_filter
from torchvision.transforms.v2 import functional as F

import augengine as ae
from augengine.plan import GAUSSIAN, SHARPNESS


def filtered(ops, images, *filters, **how):
    """The plan with these prefilters (kind, a, b, c) in every view."""
    plan = plan_of(ops, images, **how)
    rows = np.tile(np.array(filters, np.float32), (len(plan.source), 1, 1))
    return dataclasses.replace(plan, prefilter=rows)


KEEP = ae.RandomHorizontalFlip(p=0)


@each_executor
@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.9])
def test_sharpness_is_torchvisions(executor, factor):
    images = patches(3, 40, 50)
    plan = filtered(KEEP, images, (SHARPNESS, factor, 0, 0), dtype="uint8")
    got = ae.execute(plan, images, executor=executor).float()
    expected = F.adjust_sharpness(images, factor).float()
    assert (got - expected).abs().max() <= 1
    assert (got - expected).abs().mean() < 0.6
    if factor == 1:
        assert torch.equal(got, images.float())


@each_executor
@pytest.mark.parametrize(("sigma_x", "sigma_y"), [(0.5, 0.5), (2.0, 2.0), (3.0, 0.7)])
def test_blur_is_gaussian(executor, sigma_x, sigma_y):
    images = patches(2, 40, 50).float() / 255
    plan = filtered(KEEP, images, (GAUSSIAN, sigma_x, sigma_y, 0))
    got = ae.execute(plan, images, executor=executor).numpy()
    sigmas = (0, 0, sigma_y, sigma_x)
    expected = gaussian_filter(images.numpy(), sigmas, mode="mirror", truncate=4.5)
    assert np.abs(got - expected).max() < 2e-4


@each_executor
def test_a_crop_is_filtered_within_its_edges(executor):
    """Crop, then blur: nothing from outside the crop comes in."""
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    images[..., 16:] = 255
    plan = filtered(ae.CenterCrop((16, 16)), images, (GAUSSIAN, 2.0, 2.0, 0), dtype="uint8")
    got = ae.execute(plan, images, executor=executor)
    inside = images[..., 8:24, 8:24].numpy().astype(float)
    expected = gaussian_filter(inside, (0, 0, 2, 2), mode="mirror", truncate=4.5)
    assert np.abs(got.numpy() - expected).max() <= 1


@each_executor
def test_order_and_company(executor):
    """Filters act in order, in the views that have them, under any geometry; others stay as they are."""
    images = patches(3, 40, 50)
    ops = [ae.RandomRotation((20, 20)), ae.RandomHorizontalFlip(p=1)]
    plan = filtered(ops, images, (SHARPNESS, 0.0, 0, 0), (GAUSSIAN, 1.0, 1.0, 0))
    some = plan.prefilter.copy()
    some[1] = 0
    plan = dataclasses.replace(plan, prefilter=some)
    before = images.float().numpy()
    smooth = F.adjust_sharpness(images, 0.0).numpy().astype(float)
    before[[0, 2]] = gaussian_filter(smooth, (0, 0, 1, 1), mode="mirror", truncate=4.5)[[0, 2]]
    wanted = torch.from_numpy(before / 255).to(torch.float32)
    without = dataclasses.replace(plan, prefilter=plan.prefilter[:, :0])
    expected = ae.execute(without, wanted, executor=executor)
    got = ae.execute(plan, images, executor=executor)
    assert (got - expected).abs().max() < 1.6 / 255
    assert torch.equal(got[1], ae.execute(without, images, executor=executor)[1])
