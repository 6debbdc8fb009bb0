"""Answers on several looks, brought back to the originals and merged; maps of any values."""

import numpy as np
import pytest
import torch
from cases import assert_close, each_executor, logged, plan_of
from torch.nn import functional
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision

import augengine as ae

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(3, 3, 32, 48, generator=GENERATOR)
SQUARE = torch.rand(3, 3, 32, 32, generator=GENERATOR)
WEIGHTS = torch.randn(5, 3, 3, 3, generator=GENERATOR)


def convolved(images):
    """Arbitrary numbers, which a flip of the image does not just flip."""
    return 9 * functional.conv2d(images, WEIGHTS, padding=1)


def all_of_them(values, seen):
    """A merge that keeps every look's answer: [B, looks, …]."""
    assert seen.all()
    return values.transpose(0, 1)


# What torch says by itself


@each_executor
def test_flips_are_those_of_torch(executor):
    for looks, axes in (("hflip", [(), (3,)]), ("flips", [(), (3,), (2,), (2, 3)])):
        got = ae.tta(convolved, IMAGES, looks, output="maps", merge=all_of_them, executor=executor)
        expected = [convolved(IMAGES.flip(dims)).flip(dims) for dims in axes]
        assert torch.equal(got, torch.stack(expected, dim=1))
    mean = ae.tta(convolved, IMAGES, "flips", output="maps", executor=executor)
    assert_close(mean, torch.stack(expected).mean(dim=0), 1e-5)
    largest = ae.tta(convolved, IMAGES, "flips", output="maps", merge="max", executor=executor)
    assert torch.equal(largest, torch.stack(expected).amax(dim=0))


@each_executor
@pytest.mark.parametrize("images", [IMAGES, SQUARE], ids=["32x48", "32x32"])
def test_quarter_turns_are_those_of_torch(images, executor):
    got = ae.tta(convolved, images, "turns", output="maps", merge=all_of_them, executor=executor)
    expected = []
    for mirrored in (False, True):
        for k in range(4):
            image = images.flip(3) if mirrored else images
            answer = convolved(image.rot90(k, (2, 3))).rot90(-k, (2, 3))
            expected.append(answer.flip(3) if mirrored else answer)
    assert torch.equal(got, torch.stack(expected, dim=1))


@each_executor
@pytest.mark.parametrize("stride", [2, 4])
def test_a_head_of_a_smaller_size_is_interpolated_as_by_torch(stride, executor):
    def head(images):
        return functional.avg_pool2d(convolved(images), stride)

    got = ae.tta(head, IMAGES, "hflip", output="maps", merge=all_of_them, executor=executor)
    for k, axes in enumerate([(), (3,)]):
        small = head(IMAGES.flip(axes))
        large = functional.interpolate(small, scale_factor=stride, mode="bilinear").flip(axes)
        assert_close(got[:, k], large, 1e-5 * large.abs().max().item())


def test_labels_are_averaged():
    def model(images):
        return convolved(images)[:, :, :4, :5].mean((2, 3))

    expected = (model(IMAGES) + model(IMAGES.flip(3))) / 2
    assert_close(ae.tta(model, IMAGES), expected, 1e-4)
    views = ae.Views(a=ae.Policy([]), b=[ae.Policy(ae.RandomVerticalFlip(1))] * 2)
    expected = (model(IMAGES) + 2 * model(IMAGES.flip(2))) / 3
    assert_close(ae.tta(model, IMAGES, views), expected, 1e-4)
    doubled = ae.tta(model, IMAGES, [ae.Stage(lambda images: 2 * images)])
    assert_close(doubled, 2 * model(IMAGES), 1e-4)


def test_a_stage_that_moves_no_pixel():
    ops = [ae.RandomHorizontalFlip(1), ae.Stage(torch.neg, targets="same")]
    assert torch.equal(ae.tta(lambda images: images, IMAGES, ops, output="maps"), -IMAGES)


# Painted objects


def white(images):
    return images.mean(dim=1, keepdim=True)


@each_executor
def test_looks_of_a_policy_meet_on_the_original(executor):
    """A spot that each look sees elsewhere is one spot again."""
    image = torch.zeros(1, 3, 64, 80)
    image[:, :, 24:40, 30:50] = 1
    ops = [
        ae.RandomRotation(25),
        ae.RandomResizedCrop(64, scale=(0.7, 1)),
        ae.RandomHorizontalFlip(),
    ]
    merged = ae.tta(white, image, ops, output="maps", count=8, executor=executor)[0, 0]
    y = torch.arange(64)[:, None] + 0.5
    x = torch.arange(80) + 0.5
    total = merged.sum()
    assert (merged * x).sum() / total == pytest.approx(40, abs=0.3)
    assert (merged * y).sum() / total == pytest.approx(32, abs=0.3)
    assert (merged[26:38, 32:48] > 0.95).all()
    outside = merged.clone()
    outside[22:42, 28:52] = 0
    assert outside.max() < 0.05


def test_a_pixel_is_merged_of_the_looks_that_saw_it():
    ones = torch.ones(2, 3, 40, 40)
    policy = ae.Policy(ae.RandomCrop(24))
    merged = ae.tta(white, ones, policy, output="maps", count=3)
    crops = [policy.sample([0, 1], [(40, 40)] * 2, look=look) for look in range(3)]
    seen = torch.zeros(2, 40, 40, dtype=torch.bool)
    for plan in crops:
        for i in range(2):
            _, _, y, x = map(int, logged(plan, i, "crop")[0][:4])
            seen[i, y : y + 24, x : x + 24] = True
    assert 0.4 < seen.float().mean() < 0.99
    assert torch.equal(merged[:, 0], seen.float())
    below = ae.tta(lambda images: -white(images), ones, policy, output="maps", count=3, merge="max")
    assert torch.equal(below[:, 0], -seen.float())


def test_images_of_different_sizes():
    images = [torch.zeros(3, 40, 60), torch.zeros(3, 64, 48)]
    for image, x in zip(images, (20, 30), strict=True):
        image[:, 10:30, x : x + 12] = 1
    evaluation = [ae.Resize((64, 64)), ae.Normalize(0.5, 0.5)]

    def model(batch):
        assert batch.shape == (2, 3, 64, 64)
        assert batch.min() == -1
        return white(batch)

    merged = ae.tta(model, images, "flips", policy=evaluation, output="maps")
    assert [one.shape for one in merged] == [(1, 40, 60), (1, 64, 48)]
    for one, image in zip(merged, images, strict=True):
        assert ((one + 1) / 2 - image[:1]).abs().mean() < 0.02
        assert torch.equal(one[0] > 0, image[0] > 0)


# Boxes and points


def found(images):
    """A detector that finds what is white."""
    answers = []
    for image in images:
        y, x = torch.nonzero(image[0] > 0.5, as_tuple=True)
        box = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]).float()
        answers.append(
            {"boxes": box[None], "scores": torch.tensor([0.9]), "labels": torch.tensor([3])}
        )
    return answers


def painted(boxes, height=48, width=64):
    images = torch.zeros(len(boxes), 3, height, width)
    for image, (x0, y0, x1, y1) in zip(images, boxes, strict=True):
        image[:, y0:y1, x0:x1] = 1
    return images


def test_boxes_come_back():
    truth = [[10, 8, 30, 20], [40, 30, 60, 44]]
    for looks, count in (("hflip", 2), ("turns", 8)):
        answers = ae.tta(found, painted(truth), looks, output="boxes")
        for answer, box in zip(answers, truth, strict=True):
            assert answer["boxes"].tolist() == [box] * count
            assert answer["look"].tolist() == list(range(count))
            assert answer["scores"].shape == answer["labels"].shape == (count,)
    resized = [ae.Resize((96, 96)), ae.RandomHorizontalFlip(1)]
    for answer, box in zip(
        ae.tta(found, painted(truth), resized, output="boxes"), truth, strict=True
    ):
        assert (answer["boxes"] - torch.tensor([box])).abs().max() <= 0.75
    plain = ae.tta(
        lambda images: [one["boxes"] for one in found(images)], painted(truth), output="boxes"
    )
    assert sorted(plain[0]) == ["boxes", "look"]


def test_boxes_are_cut_to_their_original_and_those_beside_it_left_out():
    def model(images):
        return [torch.tensor([[-5.0, 4, 20, 30], [0, 0, 9, 9]]) for _ in images]

    # The image lies in the middle of a canvas, 10 pixels from its edges.
    answer = ae.tta(model, torch.zeros(1, 3, 40, 40), ae.CenterCrop(60), output="boxes")[0]
    assert answer["boxes"].tolist() == [[0, 0, 10, 20]]


def leftmost_and_rightmost(images):
    """A pose model that takes what stands left for the left eye."""
    answers = []
    for image in images:
        y, x = torch.nonzero(image[0] > 0.5, as_tuple=True)
        order = x.argsort()
        points = torch.stack([x, y], dim=1)[order[[0, -1]]] + 0.5
        answers.append(torch.cat([points, torch.tensor([[0.25], [0.75]])], dim=1))
    return torch.stack(answers)


def test_keypoints_come_back_and_pairs_are_swapped():
    images = torch.zeros(1, 3, 48, 64)
    images[:, :, 20, 10] = images[:, :, 30, 50] = 1
    truth = [[10.5, 20.5, 0.25], [50.5, 30.5, 0.75]]
    got = ae.tta(leftmost_and_rightmost, images, output="keypoints", flip_pairs=[(0, 1)])
    assert got[0, :, :2].tolist() == [row[:2] for row in truth]
    assert got[0, :, 2].tolist() == [0.5, 0.5]
    wrong = ae.tta(leftmost_and_rightmost, images, output="keypoints")
    assert wrong[0, 0, 0] == 30.5
    best = ae.tta(
        leftmost_and_rightmost, images, output="keypoints", flip_pairs=[(0, 1)], merge="max"
    )
    assert best[0].tolist() == [[10.5, 20.5, 0.75], [50.5, 30.5, 0.75]]


def test_channels_that_a_mirror_swaps():
    def model(images):  # "left half", "right half", as they are seen
        left = torch.zeros(len(images), 1, *images.shape[2:])
        left[..., : images.shape[3] // 2] = 1
        return torch.cat([left, 1 - left], dim=1)

    got = ae.tta(model, IMAGES, output="maps", flip_pairs=[(0, 1)])
    assert torch.equal(got, model(IMAGES))
    assert (ae.tta(model, IMAGES, output="maps") == 0.5).all()


# Maps of any values


@each_executor
def test_any_values_are_resampled_as_by_torchvision(executor):
    maps = 1000 * torch.randn(2, 7, 40, 50, generator=torch.Generator().manual_seed(1)) - 300
    plan = ae.Policy(ae.RandomRotation((30, 30))).sample([0, 1], [(40, 50)] * 2)
    linear = InterpolationMode.BILINEAR
    for way, angle in ((plan, 30), (plan.inverse(channels=7), -30)):
        got = ae.resample(way, maps, fill=float("nan"), executor=executor)
        expected = torchvision.rotate(maps, angle, linear)
        inside = torchvision.rotate(torch.ones_like(maps), angle, linear) > 0.999
        assert (got[inside] - expected[inside]).abs().max() < 0.02
        corner = got[:, :, 0, 0]
        assert corner.isnan().all()


def test_gradients_flow_through_the_way_back():
    maps = torch.randn(1, 2, 32, 32, requires_grad=True)
    plan = ae.Policy([ae.RandomHorizontalFlip(1)]).sample([0], [(32, 32)])
    back = ae.resample(plan.inverse(), maps)
    back[0, 1, 3, 5].backward()
    assert maps.grad.nonzero().tolist() == [[0, 1, 3, 26]]


def test_maps_leave_out_what_is_no_geometry():
    ops = [ae.RandomVerticalFlip(1), ae.RandomInvert(1), ae.GaussianBlur(5, p=1),
           ae.RandomErasing(1, value="random"), ae.Cutout()]  # fmt: skip
    plan = plan_of(ops, IMAGES)
    assert torch.equal(ae.resample(plan, convolved(IMAGES)), convolved(IMAGES).flip(2))
    several = ae.resample(plan, list(convolved(IMAGES)))
    assert torch.equal(several, convolved(IMAGES).flip(2))
    halves = ae.resample(plan, convolved(IMAGES).to(torch.bfloat16))
    assert torch.equal(halves, convolved(IMAGES).to(torch.bfloat16).float().flip(2))


# Errors


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"output": "depth"}, ValueError, r"tta: got output 'depth', expected 'labels'"),
        ({"looks": "rot"}, ValueError, r"tta: got looks 'rot', expected one of 'hflip', 'flips'"),
        ({"merge": "median"}, ValueError, r"tta: got merge='median', expected 'mean', 'max' or a f"),
        ({"output": "boxes", "merge": "mean"}, ValueError, r"expected None for boxes\. Merge them"),
        ({"looks": ae.CenterCrop(8), "policy": ae.CenterCrop(8)}, ValueError, r"tta: got a policy be"),
        ({"looks": [ae.CutMix(p=1)], "output": "maps"}, ValueError, r"shows 2 views that carry its label"),
        ({"looks": ae.Stage(torch.nn.ReLU()), "output": "maps"}, ValueError, r"which may move pixels"),
        ({"model": lambda images: {"out": images}}, TypeError, r"tta: the model returned dict, exp"),
        ({"model": lambda images: images[:1]}, ValueError, r"float32 \[1, 3, 32, 48\] for 3 images"),
        ({"model": lambda images: images.long()}, ValueError, r"the model returned torch\.int64"),
        ({"output": "boxes"}, TypeError, r"tta: the model returned Tensor, expected a list of 3"),
        ({"output": "boxes", "model": lambda images: [images[0]] * 3}, TypeError, r"boxes \[3, 32, 48\]"),
        ({"output": "keypoints"}, ValueError, r"expected floats \[n, K, 2 or 3\]"),
        ({"output": "keypoints", "merge": "max", "model": lambda images: images[:, :, 0, :2]},
         ValueError, r"merge='max' for keypoints without a score"),
        ({"output": "maps", "flip_pairs": [(0, 3)]}, ValueError, r"tta.*3"),
        ({"count": 0}, ValueError, r"tta: count: got 0"),
    ],
)  # fmt: skip
def test_errors(how, error, message):
    with pytest.raises(error, match=message):
        ae.tta(how.pop("model", lambda images: images), IMAGES, how.pop("looks", "hflip"), **how)


def test_errors_of_resample():
    plan = ae.Policy([]).sample([0], [(8, 8)])
    with pytest.raises(TypeError, match=r"resample: got torch\.int64, expected tensors of floats"):
        ae.resample(plan, torch.zeros(1, 3, 8, 8, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"resample: got ndarray"):
        ae.resample(plan, [np.zeros((3, 8, 8), np.float32)])
    with pytest.raises(ValueError, match=r"resample: got maps of shape \(3, 8, 8\)"):
        ae.resample(plan, torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match=r"image 0 is 9×8, the plan was made for 8×8"):
        ae.resample(plan, torch.zeros(1, 3, 9, 8))
