"""Gradients with respect to the images, through the torch executor."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, plan_of, with_steps
from photos import patches

import augengine as ae
from augengine.kernels import Sources
from augengine.kernels.reference import executor as reference
from augengine.plan.kinds import HUE, NOISE, SYMMETRIC

NORMALIZE = ae.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
POLICIES = {
    "all": [
        ae.RandomResizedCrop((5, 4), scale=(0.4, 0.9)),
        ae.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), 10),
        ae.RandomBrightness((0.02, 0.1)),
        ae.ColorJitter(contrast=(0.7, 1.2)),
        ae.MixUp(),
        NORMALIZE,
    ],
    "shrunk": [ae.Resize((3, 4))],
    "perspective": [ae.RandomPerspective(0.5, p=1)],
    "jitter": [ae.ColorJitter(0.2, 0.2, 0.2, 0.1)],
    "grey": [ae.RandomGrayscale(p=1)],
    "cutmix": [ae.RandomVerticalFlip(), ae.CutMix(), ae.RandomErasing(p=1)],
}


def _drawn(plan, images, compute=torch.float64):
    """The torch executor in a wide type, on NCHW images of that type."""
    dense = images.movedim(1, -1)
    sizes = np.tile(np.array(dense.shape[1:3], np.int32), (len(dense), 1))
    out = torch.empty(plan.shape, dtype=compute)
    return reference.execute(plan, Sources(dense, (), sizes), out, compute=compute)


def _images():
    """Away from 0 and 1, where a clamp has no derivative, and with no two channels alike."""
    noise = torch.rand(2, 3, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return 0.25 + 0.4 * patches(2, 6, 7).double() / 255 + 0.1 * noise


@pytest.mark.parametrize("case", POLICIES)
def test_gradcheck(case):
    images = _images()
    plan = plan_of(POLICIES[case], as_float(patches(2, 6, 7)), seed=2)
    images.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: _drawn(plan, x), images, atol=1e-6)


@pytest.mark.parametrize("step", [(HUE, [0.2]), (NOISE, [0.0, 0.02, 3, 4])], ids=["hue", "noise"])
def test_gradcheck_of_steps(step):
    images = _images().requires_grad_()
    plan = with_steps(plan_of(ae.RandomHorizontalFlip(p=1), as_float(patches(2, 6, 7))), step)
    assert torch.autograd.gradcheck(lambda x: _drawn(plan, x), images, atol=1e-6)


def test_gradcheck_of_a_border():
    images = _images().requires_grad_()
    plan = plan_of(ae.RandomRotation((40, 40)), as_float(patches(2, 6, 7)))
    plan = dataclasses.replace(plan, border=np.full(2, SYMMETRIC, np.int8))
    assert torch.autograd.gradcheck(lambda x: _drawn(plan, x), images, atol=1e-6)


def test_the_wide_type_draws_the_same():
    images = as_float(patches(3, 40, 50))
    plan = plan_of(POLICIES["all"], images)
    assert_close(ae.execute(plan, images, executor="torch"), _drawn(plan, images.double()), 2e-5)


@pytest.mark.parametrize("kind", ["dense", "ragged"])
@pytest.mark.parametrize("executor", [None, "torch"])
def test_execute_carries_gradients(kind, executor):
    images = as_float(patches(4, 20, 30))
    plain = ae.execute(plan_of(POLICIES["all"], images), images, executor=executor)
    assert not plain.requires_grad
    leaves = [images.clone().requires_grad_()]
    given = leaves[0]
    if kind == "ragged":
        leaves = given = [image.clone().requires_grad_() for image in images]
    got = ae.execute(plan_of(POLICIES["all"], given), given, executor=executor)
    assert got.requires_grad
    assert_close(got.detach(), plain, 1e-5)
    got.square().mean().backward()
    for leaf in leaves:
        assert torch.isfinite(leaf.grad).all()
        assert (leaf.grad != 0).float().mean() > 0.1


def test_the_cpu_executor_refuses_a_gradient():
    images = as_float(patches(2, 20, 30)).requires_grad_()
    plan = plan_of(ae.RandomHorizontalFlip(), images)
    with pytest.raises(ValueError, match=r"requires a gradient.*Pass executor='torch'"):
        ae.execute(plan, images, executor="cpu")


def test_gradients_reach_only_what_is_seen():
    """A crop: one for each pixel inside it, nothing outside."""
    images = as_float(patches(1, 20, 30)).requires_grad_()
    plan = plan_of(ae.RandomCrop((7, 11)), images)
    ae.execute(plan, images).sum().backward()
    _, _, y, x = (int(v) for v in plan.log_arg[0, 0, :4])
    expected = torch.zeros_like(images)
    expected[:, :, y : y + 7, x : x + 11] = 1
    assert torch.equal(images.grad, expected)
