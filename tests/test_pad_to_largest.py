"""PadToLargest, and the plan's `extent`: how much of each output is image, and what keeps it so."""

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, draw, each_executor
from safetensors.numpy import load_file
from torchvision.transforms.v2 import functional as F

import augengine as ae

SIZES = [(40, 60), (55, 30), (20, 20), (55, 61)]
PADDED = ae.PadToLargest(16)


def images_of(sizes=SIZES):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for size in sizes
    ]


def sampled(*ops, sizes=SIZES, **how):
    return ae.Policy([*ops]).sample(range(len(sizes)), sizes, **how)


@each_executor
@pytest.mark.parametrize("divisor", [1, 2, 32, 100])
def test_images_lie_in_the_corner_of_the_smallest_canvas(executor, divisor):
    images = images_of()
    got, plan = draw(ae.PadToLargest(divisor, 90), images, executor)
    height, width = (-(-side // divisor) * divisor for side in (55, 61))
    assert got.shape == (4, 3, height, width)
    for image, drawn in zip(images, got, strict=True):
        rest = [0, 0, width - image.shape[2], height - image.shape[1]]
        assert_close(drawn, as_float(F.pad(image, rest, 90)), 1e-6)
    np.testing.assert_array_equal(plan.extent, SIZES)
    assert plan.explain(2) == f"padded to {height}×{width}"
    assert "NCHW, padded\n" in repr(plan)


@each_executor
def test_real_images_are_cut_out_by_the_extent(executor):
    images = images_of()
    batch, plan = draw([ae.RandomResize(10, 50), ae.PadToLargest(8)], images, executor)
    for image, drawn, (height, width) in zip(images, batch, plan.extent, strict=True):
        resized = F.resize(as_float(image), [int(height), int(width)], antialias=True)
        assert_close(drawn[:, :height, :width], resized, 2e-5)
        assert not drawn[:, height:].any()
        assert not drawn[..., width:].any()


def test_without_padding_the_extent_is_the_whole_output():
    plan = sampled(ae.Resize((9, 12)))
    np.testing.assert_array_equal(plan.extent, [[9, 12]] * 4)
    assert "padded" not in repr(plan)
    assert sampled(ae.PadToLargest(), sizes=[(9, 12)] * 2).extent.tolist() == [[9, 12]] * 2


@pytest.mark.parametrize(
    "after",
    [
        [ae.GaussianBlur(3)],
        [ae.ColorJitter(0.5, 0.5), ae.RandomEqualize(1)],
        [ae.RandomErasing(1), ae.Cutout(0.5), ae.Normalize(0.5, 0.5)],
        [ae.RandomHorizontalFlip(0), ae.RandomZoomOut(p=0), ae.MixUp(p=0), ae.Mosaic(0)],
        [ae.RandAugment(0)],
    ],
    ids=str,
)
def test_what_leaves_the_image_in_its_place_keeps_the_extent(after):
    np.testing.assert_array_equal(sampled(PADDED, *after).extent, SIZES)


@pytest.mark.parametrize(
    "after",
    [
        [ae.RandomHorizontalFlip(1)],
        [ae.Resize((30, 30))],
        [ae.RandomRotation(9), ae.GaussianBlur(3)],
        [ae.MixUp()],
        [ae.CutMix()],
        [ae.Mosaic()],
        [ae.AugMix()],
    ],
    ids=str,
)
def test_what_moves_the_image_or_lays_another_on_it_makes_the_whole_output_count(after):
    plan = sampled(PADDED, *after)
    np.testing.assert_array_equal(plan.extent, np.tile(plan.finish.size, (4, 1)))


def test_each_sample_counts_alone():
    sizes = [(9 + i % 7, 20) for i in range(40)]
    plan = sampled(PADDED, ae.RandomHorizontalFlip(0.5), sizes=sizes)
    flipped = plan.inv_matrix[:, 0, 0] < 0
    assert 0 < flipped.sum() < 40
    np.testing.assert_array_equal(plan.extent[~flipped], np.array(sizes)[~flipped])
    np.testing.assert_array_equal(plan.extent[flipped], [[16, 32]] * flipped.sum())


def test_partners_of_a_second_batch_count_as_well():
    """They lie on the outputs, so they must be of the outputs' size."""
    plan = sampled(PADDED, ae.MixUp(p=0), partners=([9], [(70, 10)]))
    assert plan.finish.size == (80, 64)
    np.testing.assert_array_equal(plan.extent, SIZES)


def test_a_frame_that_was_moved_before_counts_as_it_stands():
    plan = sampled(ae.RandomHorizontalFlip(1), ae.Pad(2), PADDED)
    np.testing.assert_array_equal(plan.extent, np.array(SIZES) + 4)


# The field, wherever plans go


def test_plans_are_cut_and_joined_with_it():
    plan, other = sampled(PADDED), sampled(PADDED, seed=5, sizes=[(50, 50), (3, 50)])
    assert plan.select([2, 0]).extent.tolist() == [[20, 20], [40, 60]]
    both = ae.concatenate([plan, other])
    np.testing.assert_array_equal(both.extent, [*SIZES, (50, 50), (3, 50)])
    flipped = sampled(PADDED, ae.RandomVerticalFlip(1))
    np.testing.assert_array_equal(
        ae.side_by_side([plan, flipped]).extent, [*SIZES, *[plan.finish.size] * 4]
    )


def test_at_another_size_it_is_scaled():
    plan = sampled(PADDED)
    size = plan.finish.size
    double = plan.resized((2 * size[0], 2 * size[1]))
    np.testing.assert_array_equal(double.extent, 2 * np.array(SIZES))
    np.testing.assert_array_equal(double.resized(size).extent, SIZES)
    assert (plan.resized((1, 1)).extent == 1).all()
    np.testing.assert_array_equal(
        sampled(ae.Resize((9, 12))).resized((30, 7)).extent, [[30, 7]] * 4
    )


def test_on_the_way_back_it_is_the_originals_size():
    """Which lies in the top left corner of the largest, as the outputs did."""
    plan = sampled(PADDED)
    back = plan.inverse()
    np.testing.assert_array_equal(back.extent, SIZES)
    images = images_of(SIZES)
    outputs = ae.execute(plan, images)
    for image, drawn, (h, w) in zip(images, ae.execute(back, outputs), back.extent, strict=True):
        assert_close(drawn[:, :h, :w], as_float(image), 1e-6)


def test_files_have_it_where_it_says_something(tmp_path):
    plan = sampled(PADDED)
    plan.save(tmp_path / "padded")
    np.testing.assert_array_equal(load_file(tmp_path / "padded")["extent"], SIZES)
    assert ae.Plan.load(tmp_path / "padded") == plan
    whole = sampled(ae.Resize((9, 12)))
    whole.save(tmp_path / "whole")  # as a file of before there were any
    assert "extent" not in load_file(tmp_path / "whole")
    again = ae.Plan.load(tmp_path / "whole")
    assert again == whole
    np.testing.assert_array_equal(again.extent, [[9, 12]] * 4)


def test_a_compiled_step_draws_a_padded_plan():
    images = torch.stack(images_of([(40, 60)] * 2))
    plan = sampled(ae.PadToLargest(32), sizes=[(40, 60)] * 2)
    drawn = ae.execute_compiled(images, ae.as_tensor(plan), plan.finish)
    assert torch.equal(drawn, ae.execute(plan, images))
