"""Pipelines as their authors publish them, converted in one line: their pixels have the same distribution.

What leaves nothing to chance is compared pixel by pixel. Of the rest statistics are compared by the test of
Kolmogorov and Smirnov, with a level that is corrected for how many there are, and a slack for rounding.
"""

import os
import random
import warnings
from unittest import mock

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
import torchvision.transforms.v2.functional as F
from photos import NAMES, patch
from PIL import Image, ImageOps
from timm.data import create_transform
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A
from albumentations.pytorch import ToTensorV2

import augengine as ae

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BILINEAR, BICUBIC = InterpolationMode.BILINEAR, InterpolationMode.BICUBIC
SIZE = 32
BOX = torch.tensor([[20.0, 16.0, 50.0, 40.0]])

# Rounding to bytes between steps, and the sampling of two libraries: a statistic may move by so much.
SLACK = 0.02
FALSE_ALARMS = 1e-3  # over all statistics of all pipelines


class PadIfSmaller(torch.nn.Module):
    """As in torchvision's training of segmentation models."""

    __module__ = "v2_extras"

    def __init__(self, size, fill=0):
        super().__init__()
        self.size, self.fill = size, v2._utils._setup_fill_arg(fill)

    def forward(self, image):
        height, width = F.get_size(image)
        return F.pad(image, [0, 0, max(self.size - width, 0), max(self.size - height, 0)])


def classification():
    return v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, interpolation=BILINEAR, antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.TrivialAugmentWide(interpolation=BILINEAR),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(MEAN, STD),
            v2.RandomErasing(p=0.1),
            v2.ToPureTensor(),
        ]
    )


def classification_evaluation():
    return v1.Compose(
        [
            v1.Resize(40, interpolation=BILINEAR, antialias=True),
            v1.CenterCrop(SIZE),
            v1.PILToTensor(),
            v1.ConvertImageDtype(torch.float),
            v1.Normalize(MEAN, STD),
        ]
    )


def detection(*steps):
    """Of one size in the end, as the model makes them."""
    return v2.Compose(
        [
            v2.ToImage(),
            *steps,
            v2.RandomHorizontalFlip(p=0.5),
            v2.Resize((SIZE, SIZE)),
            v2.ToDtype(torch.float, scale=True),
            v2.ConvertBoundingBoxFormat(tv_tensors.BoundingBoxFormat.XYXY),
            v2.SanitizeBoundingBoxes(labels_getter=None),
            v2.ToPureTensor(),
        ]
    )


def detection_ssd():
    fill = (123.0, 117.0, 104.0)
    return detection(
        v2.RandomPhotometricDistort(), v2.RandomZoomOut(fill=list(fill)), v2.RandomIoUCrop()
    )


def segmentation():
    return v2.Compose(
        [
            v2.ToImage(),
            v2.RandomResize(min_size=24, max_size=80),
            v2.RandomHorizontalFlip(0.5),
            PadIfSmaller(SIZE, fill={tv_tensors.Mask: 255, "others": 0}),
            v2.RandomCrop(SIZE),
            v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            v2.Normalize(MEAN, STD),
            v2.ToPureTensor(),
        ]
    )


def segmentation_evaluation():
    return v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(size=(SIZE, 40)),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def timm(**arguments):
    return lambda: create_transform(SIZE, **arguments)


RAND = "rand-m9-mstd0.5-inc1"


def self_supervised(jitter, blur, solarize, scale, interpolation=BILINEAR):
    return lambda: v1.Compose(
        [
            v1.RandomResizedCrop(SIZE, scale=scale, interpolation=interpolation),
            v1.RandomHorizontalFlip(),
            v1.RandomApply([v1.ColorJitter(*jitter)], p=0.8),
            v1.RandomGrayscale(p=0.2),
            v1.RandomApply([v1.GaussianBlur(5, (0.1, 2.0))], p=blur),
            *([v1.RandomSolarize(128, p=solarize)] if solarize else []),
            v1.ToTensor(),
            v1.Normalize(MEAN, STD),
        ]
    )


def mae():
    return v1.Compose(
        [
            v1.RandomResizedCrop(SIZE, scale=(0.2, 1.0), interpolation=3),
            v1.RandomHorizontalFlip(),
            v1.ToTensor(),
            v1.Normalize(MEAN, STD),
        ]
    )


def small(*auto, padding_mode="constant"):
    """The crop of CIFAR."""
    return lambda: v1.Compose(
        [
            v1.RandomHorizontalFlip(),
            v1.RandomCrop(SIZE, padding=4, padding_mode=padding_mode),
            *auto,
            v1.ToTensor(),
            v1.Normalize(MEAN, STD),
        ]
    )


def document():
    return A.Compose(
        [
            A.LongestMaxSize(SIZE),
            A.PadIfNeeded(SIZE, SIZE, fill=255),
            A.Rotate(5, fill=255, p=0.7),
            A.RandomBrightnessContrast(0.2, 0, p=0.5),
            A.OneOf([A.GaussianBlur((3, 5), (0.3, 1.5)), A.GaussNoise((0.02, 0.05))], p=0.4),
            A.ToGray(p=1),
            A.Normalize(MEAN, STD),
            ToTensorV2(),
        ]
    )


def medical():
    return v2.Compose(
        [
            v2.ToImage(),
            v2.RandomAffine(10, (0.05, 0.05), (0.9, 1.1), interpolation=BILINEAR),
            v2.Resize((SIZE, SIZE)),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.2, 0.2),
            v2.RandomApply([v2.GaussianBlur(3, (0.3, 1.0))], p=0.3),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.4,), (0.25,)),
        ]
    )


def satellite():
    return v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, scale=(0.3, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.GaussianBlur(3, (0.1, 1.0)),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.3, 0.4, 0.5, 0.4, 0.3), (0.2, 0.25, 0.2, 0.25, 0.2)),
        ]
    )


# name: (what makes it, what converts it, channels of its images)
PIPELINES = {
    "torchvision classification": (classification, ae.from_torchvision, 3),
    "torchvision classification, evaluation": (classification_evaluation, ae.from_torchvision, 3),
    "torchvision detection hflip": (detection, ae.from_torchvision, 3),
    "torchvision detection ssd": (detection_ssd, ae.from_torchvision, 3),
    "torchvision segmentation": (segmentation, ae.from_torchvision, 3),
    "torchvision segmentation, evaluation": (segmentation_evaluation, ae.from_torchvision, 3),
    "timm ResNet": (
        timm(is_training=True, auto_augment="rand-m7-mstd0.5-inc1", interpolation="bilinear"),
        ae.from_timm,
        3,
    ),
    "timm ResNet, evaluation": (timm(crop_pct=0.875), ae.from_timm, 3),
    "timm ViT": (
        timm(is_training=True, auto_augment=RAND, interpolation="bicubic"),
        ae.from_timm,
        3,
    ),
    "timm ViT, evaluation": (timm(crop_pct=0.9, interpolation="bicubic"), ae.from_timm, 3),
    "timm DeiT III": (
        timm(is_training=True, auto_augment="3a", color_jitter=0.3, interpolation="bicubic"),
        ae.from_timm,
        3,
    ),
    "timm DeiT III, bilinear": (
        timm(is_training=True, auto_augment="3a", color_jitter=0.3),
        ae.from_timm,
        3,
    ),
    "timm ConvNeXt": (
        timm(
            is_training=True,
            auto_augment=RAND,
            interpolation="random",
            re_prob=0.25,
            re_mode="pixel",
        ),
        ae.from_timm,
        3,
    ),
    "timm ConvNeXt, bilinear": (
        timm(is_training=True, auto_augment=RAND, re_prob=0.25, re_mode="pixel"),
        ae.from_timm,
        3,
    ),
    "SimCLR": (self_supervised((0.8, 0.8, 0.8, 0.2), 0.5, 0, (0.08, 1.0)), ae.from_torchvision, 3),
    "BYOL": (self_supervised((0.4, 0.4, 0.2, 0.1), 0.1, 0.2, (0.08, 1.0)), ae.from_torchvision, 3),
    "DINO": (
        self_supervised((0.4, 0.4, 0.2, 0.1), 0.5, 0, (0.05, 0.4), BICUBIC),
        ae.from_torchvision,
        3,
    ),
    "DINO, bilinear": (
        self_supervised((0.4, 0.4, 0.2, 0.1), 0.5, 0, (0.05, 0.4)),
        ae.from_torchvision,
        3,
    ),
    "MAE": (mae, ae.from_torchvision, 3),
    "FixMatch, weak": (small(padding_mode="reflect"), ae.from_torchvision, 3),
    "FixMatch, strong": (
        # A reflected crop is told to reach into RandAugment's corners, which are black there.
        small(v1.RandAugment(2, 10, interpolation=BILINEAR)),
        ae.from_torchvision,
        3,
    ),
    "CIFAR": (
        small(v1.AutoAugment(v1.AutoAugmentPolicy.CIFAR10, BILINEAR)),
        ae.from_torchvision,
        3,
    ),
    "document": (document, ae.from_albumentations, 3),
    "medical": (medical, ae.from_torchvision, 1),
    "satellite": (satellite, ae.from_torchvision, 5),
}
FIXED = {name for name in PIPELINES if name.endswith("evaluation")}


@pytest.fixture(scope="module")
def images():
    """Six pieces of photographs (5, 48, 64), bytes; CIFAR's are cut out of them."""
    pieces = (patch(name, 48, 64) for name in NAMES)
    return [torch.cat([piece, piece[:2].flip(0)]) for piece in pieces]


def converted(name):
    make, convert, _ = PIPELINES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return convert(make())


def given(name, images):
    """Images as the pipeline has them."""
    channels = PIPELINES[name][2]
    cut = SIZE if name.startswith(("CIFAR", "FixMatch")) else 64
    return [image[:channels, :cut, :cut] for image in images]


def posterize(image, bits):
    """As timm has it; Pillow refuses 0 bits, a black image, from version 13 on."""
    return POSTERIZE(image, bits) if bits else Image.new(image.mode, image.size)


POSTERIZE = ImageOps.posterize


@mock.patch.object(ImageOps, "posterize", posterize)
def original(name, images, n):
    """n results of the pipeline itself, (n, C, H, W)."""
    make, convert, channels = PIPELINES[name]
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  (timm draws from it)
    torch.manual_seed(1)
    pipeline, results = make(), []
    if convert is ae.from_albumentations:
        pipeline.set_random_seed(1)
    for k in range(n):
        image = images[k % len(images)]
        if convert is ae.from_albumentations:
            results.append(pipeline(image=image.movedim(0, -1).contiguous().numpy())["image"])
        elif name.startswith("torchvision detection"):
            boxes = tv_tensors.BoundingBoxes(BOX, format="XYXY", canvas_size=image.shape[-2:])
            results.append(pipeline(tv_tensors.Image(image), boxes)[0])
        else:
            results.append(pipeline(image if channels == 5 else F.to_pil_image(image)))
    return torch.stack(results).as_subclass(torch.Tensor)


def ours(policy, images, n):
    """n results of the policy."""
    every = [images[k % len(images)] for k in range(n)]
    sizes = [image.shape[-2:] for image in every]
    boxes = {"boxes": [BOX] * n} if policy.needs_boxes else {}
    plan = policy.sample(range(n), sizes, seed=5, channels=len(every[0]), **boxes)
    return ae.execute(plan, every, layout="NCHW"), plan


def statistics(results, finish):
    """Numbers [n] of each result, in [0, 1] or near it, by name."""
    if finish.mean:
        mean, std = (torch.tensor(v)[:, None, None] for v in (finish.mean, finish.std))
        results = results * std + mean
    found = {
        "mean": results.mean((1, 2, 3)),
        "deviation": results.std((1, 2, 3)),
        "first channel": results[:, 0].mean((1, 2)),
        "last channel": results[:, -1].mean((1, 2)),
        "left half": results[..., : SIZE // 2].mean((1, 2, 3)),
        "edges across": (results[..., 1:] - results[..., :-1]).abs().mean((1, 2, 3)),
        "edges down": (results[..., 1:, :] - results[..., :-1, :]).abs().mean((1, 2, 3)),
    }
    for y, x in [(3, 5), (16, 16), (29, 8)]:
        found[f"pixel {y}, {x}"] = results[:, 0, y, x]
    return {name: np.sort(values.double().numpy()) for name, values in found.items()}


def distance(a, b):
    """The largest step between two distributions, where each may move by SLACK."""
    every = np.concatenate([a, b])

    def below(values, at):
        return np.searchsorted(values, at, side="right") / len(values)

    return max(
        (below(a, every - SLACK) - below(b, every)).max(),
        (below(b, every - SLACK) - below(a, every)).max(),
    )


QUICK = ["torchvision detection ssd", "timm ConvNeXt, bilinear", "document", "medical", "satellite"]
RANDOM = [name for name in PIPELINES if name not in FIXED]


@pytest.mark.parametrize("name", sorted(FIXED))
def test_an_evaluation_makes_the_same_pixels(name, images):
    images = given(name, images)
    theirs = original(name, images, len(images))
    got, plan = ours(converted(name), images, len(images))
    assert got.shape == theirs.shape
    difference = (got - theirs).abs() * torch.tensor(plan.finish.std)[:, None, None]
    # To the edge. PIL's bytes are rounded, and its bicubic is further off in few pixels.
    assert difference.max() <= 5.01 / 255
    assert (difference > 1.01 / 255).float().mean() <= 1e-3


def compare(name, images, n):
    images = given(name, images)
    policy = converted(name)
    theirs, (got, plan) = original(name, images, n), ours(policy, images, n)
    assert got.shape == theirs.shape
    expected, found = (statistics(results, plan.finish) for results in (theirs, got))
    level = FALSE_ALARMS / (len(RANDOM) * len(expected))
    most = np.sqrt(-np.log(level / 2) / 2) * np.sqrt(2 / n)
    distances = {what: distance(expected[what], found[what]) for what in expected}
    assert max(distances.values()) <= most, distances


@pytest.mark.parametrize("name", QUICK)
def test_a_hundred_samples_have_the_same_distribution(name, images):
    compare(name, images, 120)


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.thorough
def test_a_thousand_samples_have_the_same_distribution(name, images):
    compare(name, images, 1000)


@pytest.mark.parametrize("name", PIPELINES)
def test_it_converts_in_one_line(name, images):
    policy = converted(name)
    assert isinstance(policy, ae.Policy)
    shape = ours(policy, given(name, images), 2)[0].shape
    assert shape[:2] == (2, PIPELINES[name][2])


def test_a_shift_would_be_seen():
    """The distance of two samples of one distribution is below the level, of a shifted one above it."""
    draw = np.random.default_rng(3)
    a, b = (np.sort(draw.uniform(size=1000)) for _ in range(2))
    most = np.sqrt(-np.log(1e-6) / 2) * np.sqrt(2 / 1000)
    assert distance(a, b) < most < distance(a, np.sort(b * 0.8))
