"""Blur and sharpness, and views of views that carry them: against torchvision and SciPy."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import any_channels, as_float, assert_close, each_executor, plan_of
from photos import patches, photo
from scipy.ndimage import gaussian_filter
from torchvision.transforms.v2 import functional as F

import augengine as ae
from augengine.kernels.cpu import executor as cpu

SHARPEN = ae.RandomAdjustSharpness(1.8, p=1)


def drawn(ops, images, executor, **how):
    plan = plan_of(ops, images, **how)
    return ae.execute(plan, images, executor=executor, layout=how.get("layout"))


@each_executor
@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.9, 4.0])
def test_sharpness_is_torchvisions(executor, factor):
    images = patches(3, 40, 51)
    sharpen = ae.RandomAdjustSharpness(factor, p=1)
    got = drawn(sharpen, images, executor, dtype="uint8")
    expected = F.adjust_sharpness(images, factor)
    assert_close(got, expected, 1)  # torchvision cuts at the end, we round
    if factor == 1:
        assert torch.equal(got, images)
    got = drawn(sharpen, as_float(images), executor)
    assert_close(got, F.adjust_sharpness(as_float(images), factor), 2e-6)


@each_executor
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 3), (9, 2), (4, 65)])
def test_sharpness_of_small_and_narrow_images(executor, size):
    images = patches(2, *size)
    got = drawn(SHARPEN, images, executor, dtype="uint8")
    assert_close(got, F.adjust_sharpness(images, 1.8), 1)


@each_executor
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kernel_size", "sigma"), [(3, 0.5), (23, 2.0), ((5, 9), 3.0), ((1, 7), 1.0)]
)
def test_blur_is_torchvisions(executor, kernel_size, sigma, channels):
    images = patches(2, 40, 51)[:, :channels]
    size = list(kernel_size) if isinstance(kernel_size, tuple) else [kernel_size] * 2
    blur = ae.GaussianBlur(kernel_size, sigma)
    got = drawn(blur, images, executor, dtype="uint8", layout="NCHW")
    assert_close(got, F.gaussian_blur(images, size, [sigma] * 2), 1)
    got = drawn(blur, as_float(images), executor, layout="NCHW")
    assert_close(got, F.gaussian_blur(as_float(images), size, [sigma] * 2), 2e-6)


@each_executor
def test_blur_without_a_kernel_size_is_all_of_the_gaussian(executor):
    images = as_float(patches(2, 40, 51))
    got = drawn(ae.GaussianBlur(sigma=1.7), images, executor).numpy()
    expected = gaussian_filter(images.numpy(), (0, 0, 1.7, 1.7), mode="mirror", truncate=6)
    assert np.abs(got - expected).max() < 2e-4


@each_executor
def test_blur_reaches_no_further_than_the_image(executor):
    images = as_float(patches(2, 3, 4))
    got = drawn(ae.GaussianBlur(sigma=9.0), images, executor)
    size, sigma = [7, 5], [9.0, 9.0]  # as far as three and two pixels can be reflected
    assert_close(got, F.gaussian_blur(images, size, sigma), 1e-5)


@each_executor
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(2, 2), (3, 17), (4, 33), (13, 16), (7, 97)])
def test_blur_of_any_size_and_number_of_channels(executor, size, channels):
    """Lines and columns that do not come out even in vectors, and a mirror at every place."""
    images = any_channels(7, channels, *size)
    reach = [min(side - 1, 4) for side in size]
    kernel = [2 * reach[1] + 1, 2 * reach[0] + 1]
    blur = ae.GaussianBlur(kernel, 1.3)
    expected = F.gaussian_blur(as_float(images), kernel, [1.3, 1.3])
    got = drawn(blur, as_float(images), executor, layout="NCHW")
    assert_close(got, expected, 2e-6)
    got = drawn(blur, images, executor, dtype="uint8", layout="NCHW")
    assert_close(got.double(), expected.double() * 255, 0.5 + 0.003)


@each_executor
@pytest.mark.parametrize("sigma", [0.3, 0.9, 1.24, 2.0, 5.0])
def test_bytes_are_blurred_to_the_nearest_but_for_a_300th(executor, sigma):
    """Of black and white, in which taps that are left out weigh most."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (1, 3, 90, 100))) * 255
    got = drawn(ae.GaussianBlur(61, sigma), images.to(torch.uint8), executor, dtype="uint8")
    exact = gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="mirror", radius=30)
    assert np.abs(got.numpy() - exact).max() < 0.5 + 1 / 300


def test_pictures_are_the_same_whoever_draws_them(monkeypatch):
    """A few at a time, one by one, all at once, on several threads."""
    images = patches(9, 40, 51)
    ops = [ae.RandomResizedCrop(30), ae.GaussianBlur(9, (0.1, 3.0)), SHARPEN, ae.RandomDefocus(p=1)]
    plan = plan_of(ops, images, dtype="uint8")
    whole = ae.execute(plan, images)
    threads = torch.get_num_threads()
    for nbytes in (1, 2 * 30 * 30 * 3, 1 << 30):
        monkeypatch.setattr(cpu, "FEW_PICTURES", nbytes)
        for count in (1, 3):
            try:
                torch.set_num_threads(count)
                assert torch.equal(ae.execute(plan, images), whole)
            finally:
                torch.set_num_threads(threads)


@each_executor
def test_sigma_0_blurs_nothing(executor):
    images = patches(2, 20, 30)
    assert torch.equal(drawn(ae.GaussianBlur(5, 0), images, executor, dtype="uint8"), images)


@each_executor
def test_a_crop_is_filtered_within_its_edges(executor):
    """Crop, then blur: nothing from outside the crop comes in."""
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    images[..., 16:] = 255
    ops = [ae.CenterCrop((16, 16)), ae.GaussianBlur(9, 2.0)]
    got = drawn(ops, images, executor, dtype="uint8")
    assert_close(got, F.gaussian_blur(images[..., 8:24, 8:24], [9, 9], [2.0, 2.0]), 1)


@each_executor
def test_the_order_of_ops_is_kept(executor):
    """Colour, blur, colour, sharpness, geometry: as op by op, rounded where torchvision rounds."""
    images = patches(3, 60, 64)
    ops = [
        ae.Resize((48, 40)),
        ae.RandomInvert(p=1),
        ae.GaussianBlur(7, 1.5),
        ae.RandomSolarize(100, p=1),
        ae.RandomAdjustSharpness(0.2, p=1),
        ae.RandomHorizontalFlip(p=1),
    ]
    got = drawn(ops, images, executor, dtype="uint8")
    step = F.invert(F.resize(images, [48, 40], antialias=True))
    step = F.solarize(F.gaussian_blur(step, [7, 7], [1.5, 1.5]), 100)
    expected = F.hflip(F.adjust_sharpness(step, 0.2))
    different = (got.float() - expected.float()).abs()
    # A value that rounds the other way may fall on the other side of 100.
    assert (different > 2).float().mean() < 0.01
    assert different.median() == 0


@each_executor
def test_a_filter_is_in_pixels_of_the_frame(executor):
    """Shrink to a quarter, then blur, is not blur and then shrink."""
    images = as_float(photo("coffee")[None, :, :200, :160])
    ops = [ae.Resize((50, 40)), ae.GaussianBlur(9, 1.5)]
    small = F.resize(images, [50, 40], antialias=True)
    expected = F.gaussian_blur(small, [9, 9], [1.5, 1.5])
    assert_close(drawn(ops, images, executor), expected, 1e-4)


@each_executor
def test_fill_that_a_warp_brought_in_is_filtered_like_the_rest(executor):
    images = torch.full((1, 3, 40, 40), 255, dtype=torch.uint8)
    ops = [ae.RandomAffine(0, translate=(0.5, 0.0)), ae.GaussianBlur(9, 2.0)]
    plan = plan_of(ops, images, dtype="uint8", seed=3)
    got = ae.execute(plan, images, executor=executor)
    warped = ae.execute(plan_of(ops[:1], images, dtype="uint8", seed=3), images, executor=executor)
    assert 0 < (warped == 0).float().mean() < 1
    assert_close(got, F.gaussian_blur(warped, [9, 9], [2.0, 2.0]), 1)


@each_executor
def test_only_views_that_drew_a_filter_have_one(executor):
    images = patches(8, 40, 51)
    plan = plan_of([ae.RandomHorizontalFlip(), ae.GaussianBlur(7, 2.0, p=0.5)], images)
    drew = (plan.source[:8] >= 8).tolist()
    assert len(plan.source) == 8 + sum(drew)
    assert 0 < sum(drew) < 8
    without = plan_of(ae.RandomHorizontalFlip(), images)
    got = ae.execute(plan, images, executor=executor)
    plain = ae.execute(without, images, executor=executor)
    for i, blurred in enumerate(drew):
        assert torch.equal(got[i], plain[i]) != blurred


@each_executor
def test_frames_of_different_sizes_are_filtered_in_one_call(executor):
    images = [
        photo("coffee")[:, :50, :60],
        photo("chelsea")[:, :31, :47],
        photo("rocket")[:, :50, :60],
    ]
    ops = [ae.GaussianBlur(5, 1.0), ae.RandomAdjustSharpness(2, p=1), ae.CenterCrop(30)]
    got = drawn(ops, images, executor, dtype="uint8")
    for image, made in zip(images, got, strict=True):
        blurred = F.adjust_sharpness(F.gaussian_blur(image, [5, 5], [1.0, 1.0]), 2)
        assert_close(made, F.center_crop(blurred, [30, 30]), 2)


@each_executor
def test_a_statistic_after_a_filter_is_of_the_filtered_picture(executor):
    images = patches(2, 40, 51)
    ops = [ae.GaussianBlur(9, 3.0), ae.RandomEqualize(p=1)]
    got = drawn(ops, images, executor, dtype="uint8")
    blurred = drawn(ops[:1], images, executor, dtype="uint8")
    assert torch.equal(got, F.equalize(blurred))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@each_executor
def test_half_floats(executor, dtype):
    images = as_float(patches(2, 40, 51)).to(dtype)
    got = drawn(ae.GaussianBlur(9, 3.0), images, executor)
    assert_close(got, F.gaussian_blur(images.float(), [9, 9], [3.0, 3.0]), 1e-5)


def test_gradients_pass_through_filters():
    images = as_float(patches(1, 12, 14)).requires_grad_()
    ops = [ae.GaussianBlur(3, 1.0), ae.RandomAdjustSharpness(0.5, p=1)]
    (got,) = torch.autograd.grad(drawn(ops, images, None).square().sum(), images)
    again = images.detach().requires_grad_()
    blurred = F.gaussian_blur(again, [3, 3], [1.0, 1.0])
    kernel = torch.full((3, 1, 3, 3), 1 / 13)
    kernel[..., 1, 1] = 5 / 13
    smooth = torch.nn.functional.conv2d(blurred, kernel, groups=3)
    border = torch.ones_like(blurred, dtype=torch.bool)
    border[..., 1:-1, 1:-1] = False
    smooth = torch.where(border, blurred, torch.nn.functional.pad(smooth, (1, 1, 1, 1)))
    by_hand = (blurred + smooth) / 2
    (expected,) = torch.autograd.grad(by_hand.square().sum(), again)
    assert_close(got, expected, 1e-4)


def test_selecting_and_joining_keep_what_views_look_at():
    images = patches(6, 40, 51)
    ops = [ae.GaussianBlur(7, 2.0, p=0.6), ae.RandomAdjustSharpness(2.0, p=0.6), ae.CutMix()]
    plan = plan_of(ops, images, seed=2)
    whole = ae.execute(plan, images)
    some = plan.select([4, 1])
    assert torch.equal(ae.execute(some, images), whole[[4, 1]])
    assert len(some.source) < len(plan.source)
    joined = ae.concatenate([plan.select([0, 1]), plan.select([2, 3, 4, 5])])
    assert torch.equal(ae.execute(joined, torch.cat([images, images])), whole)
    beside = ae.side_by_side([plan, plan_of(ops, images, seed=3)])
    assert torch.equal(ae.execute(beside, images)[:6], whole)


def test_views_in_a_circle_are_refused():
    plan = plan_of(ae.GaussianBlur(7, 2.0), patches(2, 8, 8))
    source = plan.source.copy()
    source[2] = 2  # of the picture that view 0 looks at: view 0
    with pytest.raises(ValueError, match=r"Plan\.\w+: .*(circle|no pixels)"):
        dataclasses.replace(plan, source=source)
    frame = np.where(plan.frame == 0, 8, plan.frame)
    with pytest.raises(ValueError, match=r"Plan\.source: views look at each other in a circle"):
        dataclasses.replace(plan, source=source, frame=frame)


def test_labels_and_words_go_back_to_the_sample():
    images = patches(4, 20, 24)
    plan = plan_of([ae.GaussianBlur(5, 1.0), ae.CutMix()], images)
    share = ae.soft_labels(plan, torch.arange(4), 4)
    assert torch.allclose(share.sum(dim=1), torch.ones(4))
    assert plan.roots().tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert "blurred σ 1.00" in plan.explain(0)
