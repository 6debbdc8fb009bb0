"""Gradients with respect to the images, through the torch executor."""

import dataclasses

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, plan_of, with_steps
from photos import patches

import augengine as ae
from augengine.kernels import Sources
from augengine.kernels.reference import executor as reference
from augengine.plan.kinds import HUE, MATRIX, NOISE, SYMMETRIC

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
    "a root": [ae.RandomGamma(0.4)],
    "a power": [ae.RandomGamma(2.3, gain=0.9)],
    "solarized": [ae.RandomSolarize(110, p=1)],
    "solarized, added": [ae.RandomSolarizeAdd(60, p=1)],
    "inverted": [ae.RandomInvert(p=1)],
    "autocontrast": [ae.RandomAutocontrast(p=1)],
    "autocontrast of what was turned darker": [
        ae.RandomGamma(1.8),
        ae.RandomAutocontrast(p=1),
        ae.RandomGamma(1.2),
        ae.RandomResizedCrop((5, 4), scale=(0.4, 0.9)),
    ],
    "contrast after autocontrast": [ae.RandomAutocontrast(p=1), ae.ColorJitter(contrast=0.5)],
    "brightness": [ae.RandomBrightness((0.1, 0.2)), ae.ColorJitter(brightness=0.3)],
    "contrast": [ae.ColorJitter(contrast=(0.5, 0.7))],
    "saturation": [ae.ColorJitter(saturation=(0.5, 1.5)), ae.RandomDesaturate(p=1)],
    "hue": [ae.ColorJitter(hue=0.3)],
    "permuted": [ae.RandomChannelPermutation(p=1)],
    "distorted": [ae.RandomPhotometricDistort(p=1)],
    "blur": [ae.GaussianBlur(3, sigma=(0.5, 1.5))],
    "blur of a turn, then a crop": [
        ae.RandomRotation((20, 20)),
        ae.GaussianBlur(5),
        ae.RandomResizedCrop((5, 4), scale=(0.4, 0.9)),
    ],
    "sharpness": [ae.RandomAdjustSharpness(1.4, p=1)],
    "smoothed": [ae.RandomAdjustSharpness(0.2, p=1)],
    "noise": [ae.GaussianNoise(sigma=0.02)],
    "turned": [ae.RandomRotation((30, 30)), ae.RandomHorizontalFlip(1), ae.RandomQuarterTurn()],
    "sheared": [ae.RandomAffine(0, shear=(20, 20, 10, 10), translate=(0.2, 0.2))],
    "padded": [ae.RandomCrop((6, 7), padding=2, padding_mode="reflect")],
    "mixup": [ae.MixUp()],
    "mosaic": [ae.Mosaic()],
    "augmix": [ae.AugMix(all_ops=False)],
    "erased": [ae.RandomErasing(p=1, value="random")],
    "cutout": [ae.Cutout(0.5)],
    "some do, some do not": [
        ae.RandomGamma((0.4, 2.5), p=0.5),
        ae.RandomSolarize(110, p=0.5),
        ae.RandomAutocontrast(p=0.5),
        ae.MixUp(),
        NORMALIZE,
    ],
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
    plan = plan_of(POLICIES[case], images.float(), seed=2)
    images.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: _drawn(plan, x), images, atol=1e-6)


@pytest.mark.parametrize("step", [(HUE, [0.2]), (NOISE, [0.0, 0.02, 3, 4])], ids=["hue", "noise"])
def test_gradcheck_of_steps(step):
    images = _images().requires_grad_()
    plan = with_steps(plan_of(ae.RandomHorizontalFlip(p=1), as_float(patches(2, 6, 7))), step)
    assert torch.autograd.gradcheck(lambda x: _drawn(plan, x), images, atol=1e-6)


@pytest.mark.parametrize("op", [ae.RandomPosterize(3, p=1), ae.RandomEqualize(p=1)])
def test_steps_have_no_derivative(op):
    """What is cut to steps is flat between them: its gradient is 0, and none comes out as NaN."""
    images = as_float(patches(2, 6, 7)).requires_grad_()
    ae.execute(plan_of(op, images), images).sum().backward()
    assert torch.equal(images.grad, torch.zeros_like(images))


@pytest.mark.parametrize("name", ["gamma", "solarize", "autocontrast"])
def test_gradients_are_torchvisions(name):
    """Of values that a float32 image holds, with ties of lowest and highest values, which share."""
    ours, theirs = {
        "gamma": (ae.RandomGamma(0.7), lambda x: F.adjust_gamma(x, 0.7)),
        "solarize": (ae.RandomSolarize(0.4 * 255, p=1), lambda x: F.solarize(x, 0.4)),
        "autocontrast": (ae.RandomAutocontrast(p=1), _autocontrast),
    }[name]
    images = as_float(patches(2, 20, 30)) * 0.5 + 0.2
    weights = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    gradients = []
    for function in (lambda x: ae.execute(plan_of(ours, images), x), theirs):
        leaf = images.clone().requires_grad_()
        (function(leaf) * weights).sum().backward()
        gradients.append(leaf.grad)
    assert_close(*gradients, 1e-4 * gradients[1].abs().max().item())


def _autocontrast(images):
    """torchvision's formula; its own function writes in place, through which no gradient goes."""
    low, high = (limit((-2, -1), keepdim=True) for limit in (images.amin, images.amax))
    return (images - low) / (high - low)


def test_black_and_white_keep_their_gradients():
    """At the limits of [0, 1] too, a gain of one is one."""
    images = (as_float(patches(2, 20, 30)) > 0.5).float().requires_grad_()
    plan = with_steps(plan_of(ae.RandomInvert(1), images), (MATRIX, np.eye(3, 4).ravel()))
    ae.execute(plan, images).sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
def test_black_has_a_finite_gradient(gamma):
    """A root is infinitely steep at 0: there it is taken for flat, so that black trains too."""
    images = as_float(patches(2, 20, 30))
    images[:, :, :5] = 0
    images.requires_grad_()
    ops = [ae.RandomRotation((30, 30)), ae.RandomGamma(gamma), ae.RandomErasing(p=1), ae.CutMix()]
    ae.execute(plan_of(ops, images), images).sum().backward()
    assert torch.isfinite(images.grad).all()


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
