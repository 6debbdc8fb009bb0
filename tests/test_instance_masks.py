"""Masks of instances: against torchvision where no pixel is interpolated, and against masks of classes,
which are drawn otherwise.
"""

import numpy as np
import pytest
import torch
from cases import each_executor, plan_of
from generated import examples
from hypothesis import given
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

import augengine as ae

H, W = 60, 80


def images(n):
    return torch.zeros(n, 3, H, W, dtype=torch.uint8)


def blobs(k, seed=0, size=(H, W)):
    """(k, H, W) bool: rectangles that overlap."""
    stack, rng = torch.zeros(k, *size, dtype=torch.bool), np.random.default_rng(seed)
    for one in stack:
        (y0, y1), (x0, x1) = (np.sort(rng.choice(side + 1, 2, replace=False)) for side in size)
        one[y0:y1, x0:x1] = True
    return stack


def stacks_of(counts, seed=0):
    return [blobs(k, seed + b) for b, k in enumerate(counts)]


GEOMETRY = {
    "hflip": (ae.RandomHorizontalFlip(1), F.horizontal_flip),
    "vflip": (ae.RandomVerticalFlip(1), F.vertical_flip),
    "crop": (ae.CenterCrop((40, 50)), lambda m: F.center_crop(m, [40, 50])),
    "crop and pad": (ae.CenterCrop((20, 94)), lambda m: F.center_crop(m, [20, 94])),
    "pad": (ae.RandomCrop((H + 8, W + 8), padding=4), lambda m: F.pad(m, [4, 4, 4, 4])),
    "resize": (ae.Resize((20, 16)), lambda m: F.resize(m, [20, 16], F.InterpolationMode.NEAREST_EXACT)),
}  # fmt: skip


@each_executor
@pytest.mark.parametrize("name", GEOMETRY)
def test_instances_are_torchvisions(name, executor):
    op, function = GEOMETRY[name]
    stacks = stacks_of([5, 0, 9])
    placed = ae.instance_masks(plan_of(op, images(3)), stacks, executor=executor)
    for b, (stack, one) in enumerate(zip(stacks, placed, strict=True)):
        expected = function(stack)
        there = expected.flatten(1).any(1)
        assert one.masks.dtype == torch.bool
        assert torch.equal(one.masks, expected[there])
        assert one.origin.tolist() == [[b, k] for k in np.flatnonzero(there)]


@pytest.mark.parametrize(
    "dtype",
    [
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.uint16,
        torch.int64,
    ],
    ids=str,
)
def test_every_dtype_comes_out_as_it_came(dtype):
    low, high = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    numbers = np.random.default_rng(0).integers(low, high, (2, 3, H, W), np.int64, endpoint=True)
    stack = torch.from_numpy(numbers).to(dtype)
    placed = ae.instance_masks(plan_of(ae.RandomCrop((H + 8, W + 8), padding=4), images(2)), stack)
    for one, came in zip(placed, stack, strict=True):
        assert one.masks.dtype == dtype
        assert torch.equal(one.masks[:, 4:-4, 4:-4], came)
        assert np.count_nonzero(one.masks) == np.count_nonzero(came)


def test_an_instance_without_a_pixel_is_left_out():
    stack = torch.zeros(3, H, W, dtype=torch.uint8)
    stack[0, :4, :4], stack[1, 30, 40] = (
        1,
        7,
    )  # the first lies outside of the crop, the last is empty
    (placed,) = ae.instance_masks(plan_of(ae.CenterCrop(20), images(1)), [stack])
    assert placed.origin.tolist() == [[0, 1]]
    assert placed.masks.sum() == 7


GROUND = [
    [ae.RandomHorizontalFlip(), ae.RandomCrop(50, padding=8)],
    [ae.RandomAffine(40, (0.2, 0.2), (0.7, 1.3), 10), ae.Resize((48, 40))],
    [ae.RandomPerspective(0.6, 1), ae.GaussianBlur(3, 1.0), ae.RandomRotation(30)],
    [ae.RandomCrop((H + 20, W + 20), padding=20, padding_mode="reflect")],
]
MIXES = [[], [ae.CutMix()], [ae.MixUp()], [ae.Mosaic()], [ae.CutMix(), ae.MixUp()], [ae.AugMix()]]
ERASING = [[], [ae.RandomErasing(1)], [ae.RandomErasing(1, value="random", count=2)]]


@examples(150)
@given(
    st.sampled_from(GROUND), st.sampled_from(ERASING), st.sampled_from(MIXES), st.integers(0, 9999),
    st.sampled_from(("cpu", "torch")),
)  # fmt: skip
def test_instances_lie_where_masks_of_classes_do(ground, erase, mix, seed, executor):
    """A picture of which sample and which instance each pixel is, drawn as a mask of classes, has every
    instance once, where none overlaps another."""
    n, k = 4, 5
    first = [] if any(isinstance(op, (ae.Mosaic, ae.AugMix)) for op in mix) else erase
    last = [] if first else erase
    plan = plan_of([*ground, *first, *mix, *last], images(n), seed=seed)
    numbers = torch.from_numpy(
        np.random.default_rng(seed).integers(0, k + 1, (n, H // 10, W // 10))
    )
    numbers = numbers.repeat_interleave(10, 1).repeat_interleave(10, 2)
    classes = torch.where(numbers > 0, numbers + 100 * torch.arange(n)[:, None, None], 0)
    drawn = ae.masks(plan, classes, executor=executor)
    stacks = [one == torch.arange(1, k + 1)[:, None, None] for one in numbers]
    for i, placed in enumerate(ae.instance_masks(plan, stacks, executor=executor)):
        found = torch.zeros_like(drawn[i])
        for mask, (source, number) in zip(placed.masks, placed.origin.tolist(), strict=True):
            assert mask.any()
            found += mask * (100 * source + number + 1)
        assert torch.equal(found, drawn[i])


def test_instances_come_in_the_order_of_layers_then_of_the_source():
    plan = plan_of([ae.CutMix()], images(4), seed=1)
    stacks = [torch.ones(3, H, W, dtype=torch.bool) for _ in range(4)]
    for i, placed in enumerate(ae.instance_masks(plan, stacks)):
        pasted = plan.roots()[plan.view[i, 1]]
        assert placed.origin.tolist() == [
            [i, 0],
            [i, 1],
            [i, 2],
            [pasted, 0],
            [pasted, 1],
            [pasted, 2],
        ]
        y0, x0, y1, x1 = plan.box[i, 1]
        inside = torch.zeros(H, W, dtype=torch.bool)
        inside[y0:y1, x0:x1] = True
        assert (placed.masks[3:] == inside).all()
        assert (placed.masks[:3] == ~inside).all()


def test_what_comes_in_one_way_or_another_is_the_same():
    plan, stacks = plan_of(ae.RandomHorizontalFlip(1), images(2)), torch.stack(stacks_of([4, 4]))
    expected = stacks.flip(-1)
    arrays = stacks.numpy()
    backwards = arrays[:, ::-1].copy()[:, ::-1]
    read_only = arrays.copy()
    read_only.flags.writeable = False
    for given_ in (stacks, [*stacks], arrays, [*arrays], backwards, [*backwards], read_only,
                   stacks.transpose(2, 3).contiguous().transpose(2, 3)):  # fmt: skip
        placed = ae.instance_masks(plan, given_)
        assert all(type(one.masks) is torch.Tensor for one in placed)
        assert torch.equal(torch.stack([one.masks for one in placed]), expected)
    for given_ in (tv_tensors.Mask(stacks), [tv_tensors.Mask(one) for one in stacks]):
        assert all(type(one.masks) is tv_tensors.Mask for one in ae.instance_masks(plan, given_))


@pytest.mark.parametrize("nothing", [torch.zeros(0, H, W), torch.zeros(0), torch.zeros(0, 0, 0)])
def test_an_image_may_have_no_instance(nothing):
    plan = plan_of(ae.CutMix(), images(3), seed=1)
    placed = ae.instance_masks(plan, [nothing, blobs(3), nothing])
    assert {one.masks.dtype for one in placed} == {torch.bool}
    assert set(np.concatenate([one.origin[:, 0] for one in placed]).tolist()) == {1}
    for one in ae.instance_masks(plan, [nothing] * 3):
        assert one.masks.shape == (0, H, W)
        assert one.origin.shape == (0, 2)


def test_images_of_several_sizes_and_any_choice_of_outputs():
    sizes = [(20, 30), (41, 17), (1, 1), (300, 260)]
    stacks = [blobs(3, b, size) for b, size in enumerate(sizes)]
    plan = ae.Policy(ae.CenterCrop((30, 30))).sample(range(4), sizes)
    placed = ae.instance_masks(plan, stacks)
    for stack, one in zip(stacks, placed, strict=True):
        expected = F.center_crop(stack, [30, 30])
        assert torch.equal(one.masks, expected[expected.flatten(1).any(1)])
    again = ae.instance_masks(plan.select([3, 0, 3]), stacks)
    for one, i in zip(again, (3, 0, 3), strict=True):
        assert torch.equal(one.masks, placed[i].masks)
        assert np.array_equal(one.origin, placed[i].origin)
    assert ae.instance_masks(plan.select([]), stacks) == []


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        ([blobs(2)] * 2, ValueError, r"instance_masks: got those of 2 images, the plan has 3 sources"),
        (torch.zeros(3, H, W, dtype=torch.bool), ValueError,
         r"got a batch of shape \(3, 60, 80\), expected \(B, k, H, W\)"),
        ([blobs(2), torch.zeros(H, W, dtype=torch.bool), blobs(2)], ValueError,
         r"got shape \(60, 80\) for sample 1 \(id 8\)"),
        ([blobs(2), blobs(2), blobs(2, size=(W, H))], ValueError,
         r"got 80×60 for sample 2 \(id 9\), whose image is 60×80"),
        ([blobs(2), blobs(2).to(torch.uint8), blobs(2)], ValueError,
         r"got torch\.uint8 .* for sample 1 \(id 8\), and torch\.bool"),
        (torch.zeros(3, 2, H, W), TypeError, r"got torch\.float32 for sample 0 .*masks > 0"),
        ([blobs(2), [[1]], blobs(2)], TypeError,
         r"got list for sample 1 \(id 8\), expected a tensor or an array \(k, H, W\)"),
        ("masks", TypeError, r"got str, expected a stack"),
    ],
)  # fmt: skip
def test_what_are_no_instances_is_refused(given_, error, message):
    plan = ae.Policy(ae.RandomHorizontalFlip()).sample([7, 8, 9], [(H, W)] * 3)
    with pytest.raises(error, match="(?s)" + message):
        ae.instance_masks(plan, given_)
