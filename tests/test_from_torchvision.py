"""torchvision's pipelines become policies that mean the same, or say which step cannot be said."""

import subprocess
import sys
import warnings
from collections import defaultdict
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torchvision.transforms as v1
import torchvision.transforms.v2 as v2
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, draw, each_executor
from photos import patch, patches
from PIL import Image
from torchvision import tv_tensors
from torchvision.models import ResNet50_Weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights
from torchvision.models.optical_flow import Raft_Small_Weights
from torchvision.models.segmentation import FCN_ResNet50_Weights
from torchvision.models.video import R3D_18_Weights
from torchvision.transforms import InterpolationMode

import augengine as ae
from augengine.policy import ops
from augengine.recipes.from_torchvision import from_torchvision

BILINEAR = InterpolationMode.BILINEAR
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FLOAT = v2.ToDtype(torch.float32, scale=True)
CUTMIX = v2.CutMix(num_classes=9)
OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)

# v2.ToTensor announces its end.
pytestmark = pytest.mark.filterwarnings("ignore:The transform `ToTensor:UserWarning")


@pytest.fixture
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


class Framed(torch.nn.Module):
    """A pad that is not torchvision's, so that no op is it."""

    def __init__(self, width, fill=0):
        super().__init__()
        self.width, self.fill = width, fill

    def forward(self, image):
        return F.pad(image, [self.width], self.fill)

    def extra_repr(self):
        return f"{self.width}, {self.fill}"


# torchvision, step by step: what is built by a module of transforms, and the op that it is.

SAME = {
    "resize": (lambda tv: tv.Resize(32), ae.Resize(32, "bilinear")),
    "resize of one": (lambda tv: tv.Resize([32]), ae.Resize(32, "bilinear")),
    "resize of two": (lambda tv: tv.Resize((32, 40)), ae.Resize((32, 40), "bilinear")),
    "resize, every argument": (
        lambda tv: tv.Resize(32, InterpolationMode.NEAREST, 48, False),
        ae.Resize(32, "nearest", 48, False),
    ),
    "resize, exact": (
        lambda tv: tv.Resize(32, InterpolationMode.NEAREST_EXACT, antialias=None),
        ae.Resize(32, "nearest"),
    ),
    "resize, longer edge": (
        lambda tv: tv.Resize(None, max_size=40),
        ae.Resize(None, "bilinear", 40),
    ),
    "centre": (lambda tv: tv.CenterCrop(32), ae.CenterCrop(32)),
    "centre of two": (lambda tv: tv.CenterCrop((32, 40)), ae.CenterCrop((32, 40))),
    "crop": (lambda tv: tv.RandomCrop(32), ae.RandomCrop(32)),
    "crop, fill of no use": (lambda tv: tv.RandomCrop(32, fill=7), ae.RandomCrop(32)),
    "crop, padded": (
        lambda tv: tv.RandomCrop(32, 4),
        ae.RandomCrop(32, 4, fill=0, padding_mode="constant"),
    ),
    "crop, padded by two": (
        lambda tv: tv.RandomCrop(32, (4, 5), fill=(1, 2, 3)),
        ae.RandomCrop(32, (4, 5), fill=(1, 2, 3), padding_mode="constant"),
    ),
    "crop, padded by four": (
        lambda tv: tv.RandomCrop((32, 40), [1, 2, 3, 4], True, 7, "reflect"),
        ae.RandomCrop((32, 40), (1, 2, 3, 4), True, padding_mode="reflect"),
    ),
    "crop, padded if needed": (
        lambda tv: tv.RandomCrop(32, pad_if_needed=True, fill=7),
        ae.RandomCrop(32, None, True, 7, "constant"),
    ),
    "resized crop": (
        lambda tv: tv.RandomResizedCrop(32),
        ae.RandomResizedCrop(32, interpolation="bilinear"),
    ),
    "resized crop, every argument": (
        lambda tv: tv.RandomResizedCrop(
            (32, 40), (0.2, 0.5), (0.5, 2.0), InterpolationMode.NEAREST, False
        ),
        ae.RandomResizedCrop((32, 40), (0.2, 0.5), (0.5, 2.0), "nearest", False),
    ),
    "pad": (lambda tv: tv.Pad(3), ae.Pad(3, 0, "constant")),
    "pad of two": (lambda tv: tv.Pad((3, 7), (1, 2, 3)), ae.Pad((3, 7), (1, 2, 3), "constant")),
    "pad of four": (
        lambda tv: tv.Pad([1, 2, 3, 4], 9, "reflect"),
        ae.Pad((1, 2, 3, 4), padding_mode="reflect"),
    ),
    "shortest size": (
        lambda tv: tv.RandomShortestSize(32),
        ae.RandomShortestSize(32, interpolation="bilinear"),
    ),
    "shortest size, every argument": (
        lambda tv: tv.RandomShortestSize((32, 40), 60, InterpolationMode.NEAREST, False),
        ae.RandomShortestSize((32, 40), 60, "nearest", False),
    ),
    "random size": (
        lambda tv: tv.RandomResize(32, 40),
        ae.RandomResize(32, 40, "bilinear"),
    ),
    "random size, every argument": (
        lambda tv: tv.RandomResize(32, 40, "nearest", False),
        ae.RandomResize(32, 40, "nearest", False),
    ),
    "scale": (
        lambda tv: tv.ScaleJitter((32, 40)),
        ae.ScaleJitter((32, 40), interpolation="bilinear"),
    ),
    "scale, every argument": (
        lambda tv: tv.ScaleJitter((32, 40), (0.5, 1.5), "nearest-exact", None),
        ae.ScaleJitter((32, 40), (0.5, 1.5), "nearest"),
    ),
    "zoom": (lambda tv: tv.RandomZoomOut(), ae.RandomZoomOut(0)),
    "zoom, every argument": (
        lambda tv: tv.RandomZoomOut([1, 2, 3], (1.5, 2.0), 0.3),
        ae.RandomZoomOut((1, 2, 3), (1.5, 2), 0.3),
    ),
    "crop by boxes": (lambda tv: tv.RandomIoUCrop(), ae.RandomIoUCrop(sampler_options=OVERLAPS)),
    "crop by boxes, every argument": (
        lambda tv: tv.RandomIoUCrop(0.2, 0.9, 0.7, 1.5, [0.3, 0.6], 20),
        ae.RandomIoUCrop(0.2, 0.9, 0.7, 1.5, (0.3, 0.6), 20),
    ),
    "distortion": (lambda tv: tv.RandomPhotometricDistort(), ae.RandomPhotometricDistort()),
    "distortion, every argument": (
        lambda tv: tv.RandomPhotometricDistort((0.8, 1.1), (0.7, 2), (0.1, 0.2), (-0.1, 0.2), 0.3),
        ae.RandomPhotometricDistort((0.8, 1.1), (0.7, 2), (0.1, 0.2), (-0.1, 0.2), 0.3),
    ),
    "flip": (lambda tv: tv.RandomHorizontalFlip(0.2), ae.RandomHorizontalFlip(0.2)),
    "flip over": (lambda tv: tv.RandomVerticalFlip(0.2), ae.RandomVerticalFlip(0.2)),
    "rotation": (lambda tv: tv.RandomRotation(30), ae.RandomRotation(30, "nearest", fill=0)),
    "rotation, every argument": (
        lambda tv: tv.RandomRotation((5, 10), BILINEAR, False, (3, 4), (1, 2, 3)),
        ae.RandomRotation((5, 10), "bilinear", False, (3, 4), (1, 2, 3)),
    ),
    "rotation, grown": (
        lambda tv: tv.RandomRotation(30, BILINEAR, expand=True, fill=[9, 9, 9]),
        ae.RandomRotation(30, "bilinear", expand=True, fill=9),
    ),
    "rotation, grown off centre": (
        lambda tv: tv.RandomRotation(30, BILINEAR, True, (3, 4)),
        ae.RandomRotation(30, "bilinear", True, (3, 4), 0),
    ),
    "affine": (
        lambda tv: tv.RandomAffine(30),
        ae.RandomAffine(30, interpolation="nearest", fill=0, antialias=False),
    ),
    "affine, every argument": (
        lambda tv: tv.RandomAffine(
            (1, 2), (0.1, 0.2), (0.9, 1.1), [-1, 2, 3, 4], BILINEAR, 9, (1, 2)
        ),
        ae.RandomAffine(
            (1, 2), (0.1, 0.2), (0.9, 1.1), (-1, 2, 3, 4), "bilinear", 9, (1, 2), antialias=False
        ),
    ),
    "affine, shear of one": (
        lambda tv: tv.RandomAffine(0, shear=8),
        ae.RandomAffine(0, shear=(-8, 8), interpolation="nearest", fill=0, antialias=False),
    ),
    "perspective": (
        lambda tv: tv.RandomPerspective(0.3, 0.7, fill=9),
        ae.RandomPerspective(0.3, 0.7, "bilinear", 9),
    ),
    "jitter": (
        lambda tv: tv.ColorJitter(0.3, (0.5, 2), hue=0.1),
        ae.ColorJitter((0.7, 1.3), (0.5, 2), None, (-0.1, 0.1)),
    ),
    "jitter of none": (lambda tv: tv.ColorJitter(0, 0), ae.ColorJitter()),
    "grey at times": (lambda tv: tv.RandomGrayscale(0.3), ae.RandomGrayscale(0.3)),
    "grey": (lambda tv: tv.Grayscale(3), ae.Grayscale(3)),
    "grey of one": (lambda tv: tv.Grayscale(), ae.Grayscale(1)),
    "colours": (lambda tv: tv.RGB(), ae.RGB()),
    "jpeg": (lambda tv: tv.JPEG(50), ae.JPEG(50)),
    "jpeg, at times": (lambda tv: tv.RandomApply([tv.JPEG((30, 90))], 0.3), ae.JPEG((30, 90), 0.3)),
    "elastic": (lambda tv: tv.ElasticTransform(), ae.ElasticTransform(50.0, 5.0, fill=0)),
    "elastic, every argument": (
        lambda tv: tv.ElasticTransform([30.0, 40.0], [3.0, 4.0], InterpolationMode.NEAREST, 9),
        ae.ElasticTransform((30, 40), (3, 4), "nearest", 9),
    ),
    "elastic, at times": (
        lambda tv: tv.RandomApply([tv.ElasticTransform(30.0, fill=[1, 2, 3])], 0.2),
        ae.ElasticTransform(30, fill=(1, 2, 3), p=0.2),
    ),
    "five": (lambda tv: tv.FiveCrop(32), ae.FiveCrop(32)),
    "ten": (lambda tv: tv.TenCrop((32, 40), True), ae.TenCrop((32, 40), True)),
    "invert": (lambda tv: tv.RandomInvert(0.3), ae.RandomInvert(0.3)),
    "posterize": (lambda tv: tv.RandomPosterize(3, 0.3), ae.RandomPosterize(3, 0.3)),
    "solarize": (lambda tv: tv.RandomSolarize(100, 0.3), ae.RandomSolarize(100, 0.3)),
    "sharpness": (
        lambda tv: tv.RandomAdjustSharpness(2, 0.3),
        ae.RandomAdjustSharpness(2, 0.3),
    ),
    "autocontrast": (lambda tv: tv.RandomAutocontrast(0.3), ae.RandomAutocontrast(0.3)),
    "equalize": (lambda tv: tv.RandomEqualize(0.3), ae.RandomEqualize(0.3)),
    "blur": (lambda tv: tv.GaussianBlur(5, 1.5), ae.GaussianBlur(5, 1.5)),
    "blur of two": (
        lambda tv: tv.GaussianBlur((5, 9), (0.1, 5.0)),
        ae.GaussianBlur((5, 9), (0.1, 5.0)),
    ),
    "noise": (lambda tv: tv.GaussianNoise(0.1, 0.2), ae.GaussianNoise(0.1, 0.2)),
    "channels": (lambda tv: tv.RandomChannelPermutation(), ae.RandomChannelPermutation()),
    "autoaugment": (
        lambda tv: tv.AutoAugment(v1.AutoAugmentPolicy.SVHN, fill=[1, 2, 3]),
        ae.AutoAugment("svhn", fill=(1, 2, 3)),
    ),
    "randaugment": (
        lambda tv: tv.RandAugment(3, 7, 11, fill=[5]),
        ae.RandAugment(3, 7, 11, fill=5),
    ),
    "trivialaugment": (lambda tv: tv.TrivialAugmentWide(21), ae.TrivialAugmentWide(21, fill=0)),
    "augmix": (
        lambda tv: tv.AugMix(4, 2, 3, 0.5, False, fill=9),
        ae.AugMix(4, 2, 3, 0.5, False, fill=9),
    ),
    "cutmix": (
        lambda tv: tv.CutMix(alpha=0.5, num_classes=10),
        ae.CutMix(0.5, same_on_batch=True, num_classes=10),
    ),
    "mixup": (
        lambda tv: tv.MixUp(alpha=0.5, num_classes=10, labels_getter=None),
        ae.MixUp(0.5, same_on_batch=True, num_classes=10),
    ),
    "erasing": (
        lambda tv: tv.RandomErasing(0.3, (0.1, 0.2), (0.5, 2.0)),
        ae.RandomErasing(0.3, (0.1, 0.2), (0.5, 2.0)),
    ),
    "erasing, noise": (
        lambda tv: tv.RandomErasing(value="random"),
        ae.RandomErasing(value="random"),
    ),
    "normalize": (lambda tv: tv.Normalize(MEAN, STD), ae.Normalize(MEAN, STD)),
    "perhaps": (
        lambda tv: tv.RandomApply([tv.RandomVerticalFlip(1), tv.GaussianBlur(3)], 0.3),
        ae.RandomApply([ae.RandomVerticalFlip(1), ae.GaussianBlur(3)], 0.3),
    ),
    "perhaps, a module list": (
        lambda tv: tv.RandomApply(torch.nn.ModuleList([tv.RandomVerticalFlip()])),
        ae.RandomApply([ae.RandomVerticalFlip()]),
    ),
    "choice": (
        lambda tv: tv.RandomChoice([tv.RandomInvert(), tv.RandomEqualize()]),
        ae.RandomChoice([ae.RandomInvert(), ae.RandomEqualize()]),
    ),
    "choice, weighted": (
        lambda tv: tv.RandomChoice([tv.RandomInvert(), tv.RandomEqualize()], p=[0.25, 0.75]),
        ae.RandomChoice([ae.RandomInvert(), ae.RandomEqualize()], (0.25, 0.75)),
    ),
    "choice of several and of nothing": (
        lambda tv: tv.RandomChoice(
            [tv.Compose([tv.RandomInvert(), tv.RandomEqualize()]), tv.Compose([tv.PILToTensor()])]
        ),
        ae.RandomChoice(
            [ae.Compose([ae.RandomInvert(), ae.RandomEqualize()]), ae.RandomHorizontalFlip(0)]
        ),
    ),
    "choice of mixes": (
        lambda tv: tv.RandomChoice([tv.CutMix(num_classes=9), tv.MixUp(num_classes=9)]),
        ae.RandomChoice(
            [
                ae.CutMix(same_on_batch=True, num_classes=9),
                ae.MixUp(same_on_batch=True, num_classes=9),
            ]
        ),
    ),
    "order": (
        lambda tv: tv.RandomOrder([tv.RandomInvert(), tv.RandomEqualize(), tv.PILToTensor()]),
        ae.RandomOrder([ae.RandomInvert(), ae.RandomEqualize()]),
    ),
    "nested": (
        lambda tv: tv.RandomApply(
            [tv.Compose([tv.RandomRotation(9), tv.RandomChoice([tv.RandomAffine(5)])])]
        ),
        ae.RandomApply(
            [
                ae.RandomRotation(9, "nearest", fill=0),
                ae.RandomChoice(
                    [ae.RandomAffine(5, interpolation="nearest", fill=0, antialias=False)]
                ),
            ]
        ),
    ),
}
ONLY_V2 = {
    *("noise", "channels", "cutmix", "mixup", "choice of mixes", "resize, longer edge"),
    *("colours", "jpeg", "jpeg, at times"),
    *("shortest size", "random size", "scale", "zoom", "crop by boxes", "distortion"),
    *("shortest size, every argument", "random size, every argument", "scale, every argument"),
    *("zoom, every argument", "crop by boxes, every argument", "distortion, every argument"),
}


@pytest.mark.usefixtures("no_warning")
@pytest.mark.parametrize("tv", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("case", SAME)
def test_a_step_becomes_its_op(case, tv):
    if tv is v1 and case in ONLY_V2:
        pytest.skip("v1 does not have it")
    build, op = SAME[case]
    assert from_torchvision(build(tv)) == ae.Policy(op)
    assert from_torchvision([build(tv)]) == ae.Policy(op)


def test_every_op_that_is_torchvisions_too_is_in_the_list_of_cases():
    conversions = {
        "ConvertImageDtype",
        "PILToTensor",
        "ToDtype",
        "ToImage",
        "ToPureTensor",
        "ToTensor",
    }
    said = {type(op).__name__ for _, op in SAME.values()} | {"Compose", "Lambda"} | conversions
    shared = {name for name in ops.__all__ if hasattr(v2, name)}
    assert shared <= said


@pytest.mark.parametrize(
    ("said", "means"),
    [
        *[(name, name) for name in ("nearest", "bilinear")],
        *[(number, name) for number, name in [(0, "nearest"), (2, "bilinear")]],
        ("nearest-exact", "nearest"),
        (Image.Resampling.NEAREST, "nearest"),
    ],
)
def test_v2_names_an_interpolation_in_three_ways(said, means):
    assert from_torchvision(v2.Resize(9, interpolation=said)) == ae.Policy(ae.Resize(9, means))


def test_sequences_are_opened():
    flip, blur = v2.RandomVerticalFlip(), v2.GaussianBlur(3)
    expected = ae.Policy([ae.RandomVerticalFlip(), ae.GaussianBlur(3)])
    for pipeline in (
        v1.Compose([flip, blur]),
        (flip, blur),
        torch.nn.Sequential(flip, blur),
        v2.Compose([v2.Compose([flip]), [torch.nn.Sequential(blur), torch.nn.Identity()]]),
    ):
        assert from_torchvision(pipeline) == expected


def test_a_random_order_takes_every_order():
    steps = [v2.RandomInvert(1), v2.RandomEqualize(1), v2.RandomGrayscale(1)]
    plan = from_torchvision(v2.RandomOrder(steps)).sample(range(600), [(8, 8)] * 600)
    orders = [plan.explain(i) for i in range(600)]
    counts = {order: orders.count(order) for order in orders}
    assert len(counts) == 6
    assert min(counts.values()) > 60


# What an image is made of, on the way


BYTES = {
    "nothing yet": lambda: [],
    "still PIL": lambda: [v1.PILToTensor()],
    "an image": lambda: [v2.ToImage()],
    "bytes again": lambda: [
        v2.ToDtype(torch.float32, scale=True),
        v2.ToDtype(torch.uint8, scale=True),
    ],
    "a picture": lambda: [v2.ToTensor(), v2.ToPILImage()],
    "other types": lambda: [
        v2.ToDtype({tv_tensors.Image: None, "others": torch.float32}, scale=True)
    ],
}
FLOATS = {
    "ToTensor": lambda: [v1.ToTensor()],
    "v2's ToTensor": lambda: [v2.ToTensor()],
    "ConvertImageDtype": lambda: [v1.PILToTensor(), v1.ConvertImageDtype(torch.float32)],
    "v2's ConvertImageDtype": lambda: [v2.ConvertImageDtype(torch.float16)],
    "ToDtype": lambda: [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()],
    "of images": lambda: [
        v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)
    ],
    "cast": lambda: [v2.ToDtype(torch.float32, scale=True), v2.ToDtype(torch.float16)],
}


@pytest.mark.parametrize("before", [*BYTES, *FLOATS])
def test_a_conversion_tells_the_unit(before):
    """Fills, thresholds and erased values: 51 of 255 bytes, or 0.2."""
    fifth = 51 if before in BYTES else 0.2
    steps = [
        *(BYTES | FLOATS)[before](),
        v2.RandomRotation(9, fill=fifth),
        v2.RandomCrop(8, 2, fill=(fifth,)),
        v2.TrivialAugmentWide(fill={torch.Tensor: fifth, tv_tensors.Mask: 7}),
        v2.RandomSolarize(fifth),
        v2.RandomErasing(value=fifth),
        v2.RandomErasing(value=[fifth, 0, fifth]),
    ]
    policy = from_torchvision(steps)
    *conversions, rotation, crop, auto, solarize, erasing, by_channel = policy.transforms
    assert len(conversions) == (before in FLOATS or before in ("bytes again", "a picture"))
    for op in conversions:
        assert op == ae.ToDtype("float32" if before in FLOATS else "uint8", True)
    assert rotation.fill == crop.fill == auto.fill == solarize.threshold == erasing.value == fifth
    assert by_channel.value == (fifth, 0, fifth)
    # Bytes and floats alike, where a conversion says it; else in the units of what comes.
    for dtype in ("uint8", "float32") if conversions else ("uint8",):
        plan = policy.sample(range(40), [(20, 20)] * 40, image_dtype=dtype)
        np.testing.assert_allclose(plan.fill, 0.2)
        erased = plan.colour[plan.view == -2]
        assert len(erased)
        for colour in erased:
            np.testing.assert_allclose(colour, [0.2, 0.2 * (colour[1] > 0), 0.2], rtol=1e-6)


def test_a_fill_of_types_is_that_of_images():
    for fill in ({tv_tensors.Image: 9, "others": 7}, {tv_tensors.Mask: 7, "others": 9}):
        (op,) = from_torchvision(v2.RandomRotation(9, fill=fill)).transforms
        assert op.fill == 9
    (op,) = from_torchvision(v2.RandomRotation(9, fill={tv_tensors.Mask: 7})).transforms
    assert op.fill == 0


def test_after_normalize_a_value_is_in_its_units():
    steps = [v1.ToTensor(), v1.Normalize(MEAN, STD), v1.RandomErasing(value=(1.5, 0, -2))]
    assert from_torchvision(steps) == ae.Policy(
        [ae.Normalize(MEAN, STD), ae.RandomErasing(value=(1.5, 0, -2))]
    )


def test_what_normalises_and_converts_nothing_had_floats_from_its_start():
    floats, rotation, _ = from_torchvision(
        [v2.RandomRotation(9, fill=0.2), v2.Normalize(MEAN, STD)]
    ).transforms
    assert (floats, rotation.fill) == (ae.ToDtype("float32", True), 0.2)


def test_conversions_alone_leave_the_image():
    image = patch("coffee", 20, 30)
    for pipeline in (v1.ToTensor(), [v2.ToImage(), v2.RandomApply([v2.Identity()])]):
        got, plan = draw(from_torchvision(pipeline), [image], "cpu")
        assert plan.explain(0) == "unchanged"
        assert_close(got[0], as_float(image), 1e-6)


# Whole pipelines, pixel by pixel

IMAGE = patch("astronaut", 96, 128)
FIXED = {
    "evaluation": lambda tv: [tv.Resize(80), tv.CenterCrop((64, 72))],
    "thumbnail": lambda tv: [tv.Resize(40, max_size=50), tv.RandomVerticalFlip(1)],
    "without antialias": lambda tv: [tv.Resize((50, 50), antialias=False)],
    "nearest": lambda tv: [tv.Resize((50, 77), InterpolationMode.NEAREST_EXACT)],
    "all of it": lambda tv: [
        tv.RandomResizedCrop((60, 50), (1, 1), (128 / 96, 128 / 96)),
        tv.RandomHorizontalFlip(1),
    ],
    "a larger frame": lambda tv: [tv.CenterCrop((100, 140)), tv.RandomVerticalFlip(1)],
    "padded at once": lambda tv: [tv.Pad((3, 7, 1, 0), 99), tv.RandomHorizontalFlip(1)],
    "padded": lambda tv: [tv.RandomCrop((102, 132), [1, 2, 3, 4], fill=99)],
    "padded by reflection": lambda tv: [tv.RandomCrop((110, 134), [3, 7], padding_mode="reflect")],
    "jitters": lambda tv: [
        tv.ConvertImageDtype(torch.float32),  # of bytes it rounds after each
        tv.ColorJitter((1.2, 1.2)),
        tv.ColorJitter(contrast=(0.7, 0.7)),
        tv.ColorJitter(saturation=(1.4, 1.4)),
        tv.ColorJitter(hue=(0.1, 0.1)),
    ],
    "grey, inverted": lambda tv: [tv.Grayscale(3), tv.RandomInvert(1)],
    "tones": lambda tv: [tv.RandomPosterize(3, 1), tv.RandomSolarize(120, 1)],
    "stretched": lambda tv: [tv.RandomAutocontrast(1)],
    "levelled": lambda tv: [tv.RandomEqualize(1)],
    "filters": lambda tv: [tv.RandomAdjustSharpness(1.7, 1), tv.GaussianBlur((5, 3), (1.1, 1.1))],
    "cropped and blurred": lambda tv: [
        tv.Resize(80),
        tv.CenterCrop(70),
        tv.RandomApply([tv.GaussianBlur(7, 1.5)], 1),
        tv.RandomChoice([tv.RandomHorizontalFlip(1), tv.RandomInvert(1)], p=[1, 0]),
    ],
}

# Where a crop follows a resize torchvision's filter has looked beyond it; a blur carries that on.
EDGES = {"evaluation": 1, "cropped and blurred": 4}


@each_executor
@pytest.mark.parametrize("tv", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize("case", FIXED)
def test_a_pipeline_without_chance_makes_torchvisions_pixels(case, tv, executor):
    pipeline = tv.Compose(
        [*FIXED[case](tv), tv.ConvertImageDtype(torch.float32), tv.Normalize(MEAN, STD)]
    )
    got, _ = draw(from_torchvision(pipeline), [IMAGE], executor)
    shade = torch.tensor(STD)[:, None, None]
    edge = EDGES.get(case, 0)
    inner = (..., slice(edge, -edge or None), slice(edge, -edge or None))
    assert_close((got[0] * shade)[inner], (pipeline(IMAGE) * shade)[inner], 2 / 255)


@each_executor
@pytest.mark.parametrize("tv", [v1, v2], ids=["v1", "v2"])
@pytest.mark.parametrize(
    ("unit", "before"),
    [(255, lambda tv: []), (1, lambda tv: [tv.ConvertImageDtype(torch.float32)])],
    ids=["bytes", "floats"],
)
@pytest.mark.parametrize("step", ["rotation", "affine"])
def test_a_turned_image_and_its_corners_are_torchvisions(step, unit, before, tv, executor):
    fill = (0.2 * unit, 0.6 * unit, unit)
    turn = {
        "rotation": lambda: tv.RandomRotation((30, 30), BILINEAR, fill=fill),
        "affine": lambda: tv.RandomAffine(
            (25, 25), scale=(0.9, 0.9), shear=(5, 5, -3, -3), interpolation=BILINEAR, fill=fill
        ),
    }[step]()
    pipeline = tv.Compose(
        [tv.CenterCrop(90), *before(tv), turn, tv.ConvertImageDtype(torch.float32)]
    )
    got, _ = draw(from_torchvision(pipeline), [IMAGE], executor)
    expected = pipeline(IMAGE)
    y, x = torch.meshgrid(torch.arange(90) - 44.5, torch.arange(90) - 44.5, indexing="ij")
    inside, outside = (x**2 + y**2).sqrt() < 36, torch.minimum(x.abs(), y.abs()) > 40
    corners = torch.tensor(fill).div(unit)[:, None].expand(3, int(outside.sum()))
    assert_close(expected[:, outside], corners, 1e-6)
    assert_close(got[0][:, inside | outside], expected[:, inside | outside], 2 / 255)


def test_a_preset_of_torchvisions_weights():
    preset = ResNet50_Weights.IMAGENET1K_V2.transforms(antialias=True)
    policy = from_torchvision(preset)
    assert policy == ae.Policy(
        [ae.Resize(232, "bilinear"), ae.CenterCrop(224), ae.Normalize(MEAN, STD)]
    )
    image = patch("coffee", 300, 400)
    got, _ = draw(policy, [image], "cpu")
    assert_close(got[0], preset(image), 2 / 255 / min(STD))


@pytest.mark.usefixtures("no_warning")
def test_presets_of_detection_and_segmentation():
    image = patch("coffee", 90, 120)
    for preset in (
        FCN_ResNet50_Weights.DEFAULT.transforms(resize_size=70),
        FCN_ResNet50_Weights.DEFAULT.transforms(resize_size=None),
        FasterRCNN_ResNet50_FPN_Weights.DEFAULT.transforms(),
    ):
        got, _ = draw(from_torchvision(preset), [image], "cpu")
        assert_close(got[0], preset(image), 2 / 255 / min(STD))


def test_presets_of_clips_and_pairs_are_refused():
    for preset, said in [
        (R3D_18_Weights.DEFAULT, r"\(VideoClassification\) is a step that takes clips"),
        (Raft_Small_Weights.DEFAULT, r"\(OpticalFlow\) is a step that takes two images"),
    ]:
        with pytest.raises(ValueError, match=rf"^from_torchvision: step 0 {said}"):
            from_torchvision(preset.transforms())


@pytest.mark.usefixtures("no_warning")
@pytest.mark.parametrize("tv", [v1, v2], ids=["v1", "v2"])
def test_ops_of_ours_may_stand_between(tv):
    ours = [ae.Resize(20, "nearest"), ae.RandomApply([ae.RandomGamma()], 0.3)]
    pipeline = tv.Compose([ours[0], tv.RandomHorizontalFlip(0.2), ours[1]])
    expected = [ours[0], ae.RandomHorizontalFlip(0.2), ours[1]]
    assert from_torchvision(pipeline) == ae.Policy(expected)


@pytest.mark.usefixtures("no_warning")
@pytest.mark.parametrize(
    "auto",
    [
        v1.TrivialAugmentWide(interpolation=BILINEAR),
        v2.RandAugment(magnitude=7),
        v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET),
        v2.AugMix(),
    ],
    ids=lambda auto: type(auto).__name__,
)
def test_the_training_recipe_of_torchvisions_references(auto):
    pipeline = v2.Compose(
        [
            v2.RandomResizedCrop(64, interpolation=BILINEAR, antialias=True),
            v2.RandomHorizontalFlip(0.5),
            auto,
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(mean=MEAN, std=STD),
            v2.RandomErasing(p=0.1),
            v2.ToPureTensor(),
        ]
    )
    policy = from_torchvision(pipeline)
    crop, flip, published, normalize, erasing = policy.transforms
    assert crop == ae.RandomResizedCrop(64, interpolation="bilinear")
    assert flip == ae.RandomHorizontalFlip()
    assert type(published).__name__ == type(auto).__name__
    assert published.interpolation is None
    assert normalize == ae.Normalize(MEAN, STD)
    assert erasing == ae.RandomErasing(0.1)
    images, _ = draw(policy, patches(4), "cpu")
    assert images.shape == (4, 3, 64, 64)


def test_the_mixes_of_torchvisions_references():
    mixes = v2.RandomChoice([v2.MixUp(alpha=0.2, num_classes=9), CUTMIX])
    pipeline = [v2.RandomResizedCrop(64), FLOAT, v2.Normalize(MEAN, STD), mixes]
    batch = ae.Engine(from_torchvision(pipeline), num_classes=9)(
        patches(4), torch.arange(4), ids=range(4)
    )
    assert batch.images.shape == (4, 3, 64, 64)
    assert batch.labels.shape == (4, 9)


# torchvision's training of detectors and of segmentation models, as its scripts write it with v2: classes
# beside them are in modules called `transforms` and `v2_extras`.


class FixedSizeCrop(torch.nn.Module):
    def __init__(self, size, fill=0, padding_mode="constant"):
        super().__init__()
        self.crop_height, self.crop_width = size
        self.fill, self.padding_mode = fill, padding_mode


class PadIfSmaller(torch.nn.Module):
    def __init__(self, size, fill=0):
        super().__init__()
        self.size, self.fill = size, v2._utils._setup_fill_arg(fill)

    def forward(self, image):
        height, width = F.get_size(image)
        return F.pad(image, [0, 0, max(self.size - width, 0), max(self.size - height, 0)])


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.setattr(FixedSizeCrop, "__module__", "transforms")
    monkeypatch.setattr(PadIfSmaller, "__module__", "v2_extras")


MEAN_COLOUR = (123.0, 117.0, 104.0)
FILLS = defaultdict(lambda: MEAN_COLOUR, {tv_tensors.Mask: 0})
DETECTORS = {
    "hflip": lambda: [v2.RandomHorizontalFlip(p=0.5)],
    "lsj": lambda: [
        v2.ScaleJitter(target_size=(1024, 1024), antialias=True),
        FixedSizeCrop(size=(1024, 1024), fill=FILLS),
        v2.RandomHorizontalFlip(p=0.5),
    ],
    "multiscale": lambda: [
        v2.RandomShortestSize(min_size=tuple(range(480, 801, 32)), max_size=1333, antialias=True),
        v2.RandomHorizontalFlip(p=0.5),
    ],
    "ssd": lambda: [
        v2.RandomPhotometricDistort(),
        v2.RandomZoomOut(fill=FILLS),
        v2.RandomIoUCrop(),
        v2.RandomHorizontalFlip(p=0.5),
    ],
    "ssdlite": lambda: [v2.RandomIoUCrop(), v2.RandomHorizontalFlip(p=0.5)],
}


def in_full(op):
    """The op with the interpolation that torchvision's classes say, and presets leave out."""
    says = {field.name for field in fields(op)} & {
        "interpolation",
        "padding_mode",
        "sampler_options",
    }
    filled = dict(zip(["interpolation", "padding_mode", "sampler_options"],
                      ["bilinear", "constant", OVERLAPS], strict=True))  # fmt: skip
    return replace(op, **{name: filled[name] for name in says})


@pytest.mark.usefixtures("no_warning", "scripts")
@pytest.mark.parametrize("pictures", [[v2.ToImage()], [v2.PILToTensor()], []], ids=repr)
@pytest.mark.parametrize("name", DETECTORS)
def test_torchvisions_detectors_are_trained_by_our_presets(name, pictures):
    """But for what the models do there: they pad or resize."""
    pipeline = v2.Compose(
        [
            *pictures,
            *DETECTORS[name](),
            v2.ToDtype(torch.float, scale=True),
            v2.ConvertBoundingBoxFormat(tv_tensors.BoundingBoxFormat.XYXY),
            v2.ClampBoundingBoxes(),
            v2.SanitizeBoundingBoxes(),
            v2.ToPureTensor(),
        ]
    )
    policy = from_torchvision(pipeline)
    preset = getattr(ae.presets, f"detection_{name}")().transforms
    model = {"hflip": ae.PadToLargest, "multiscale": ae.PadToLargest}.get(name, ae.Resize)
    ours = [op for op in preset if not isinstance(op, model)]
    in_bytes = (
        replace(op, fill=MEAN_COLOUR) if getattr(op, "fill", None) == "#7b7568" else op
        for op in ours
    )
    assert policy == ae.Policy([in_full(op) for op in in_bytes])
    boxes = {"boxes": [[[3, 4, 30, 40]], [[9, 3, 50, 30]]]} if policy.needs_boxes else {}
    plan = ae.Policy([*policy.transforms, ae.PadToLargest(32)]).sample(
        [0, 1], [(50, 60), (40, 70)], **boxes
    )
    assert len(plan) == 2


@each_executor
@pytest.mark.usefixtures("no_warning", "scripts")
def test_torchvisions_segmentation_is_trained_by_our_preset(executor):
    pipeline = v2.Compose(
        [
            v2.RandomResize(min_size=35, max_size=140),
            v2.RandomHorizontalFlip(0.5),
            PadIfSmaller(64, fill={tv_tensors.Mask: 255, "others": 0}),
            v2.RandomCrop(64),
            v2.PILToTensor(),
            v2.ToDtype(
                {torch.Tensor: torch.float32, tv_tensors.Mask: torch.int64, "others": None},
                scale=True,
            ),
            v2.Normalize(mean=MEAN, std=STD),
            v2.ToPureTensor(),
        ]
    )
    policy = from_torchvision(pipeline)
    resize, flip, pad, crop, normalize = policy.transforms
    assert (pad, crop) == (ae.PadIfSmaller(64, 0), ae.RandomCrop(64))
    preset = ae.presets.segmentation(64, base_size=70).transforms
    assert [resize, flip, normalize] == [in_full(preset[0]), preset[1], preset[3]]
    # A pad and a crop of one size are a FixedSizeCrop, where nothing is left to chance: in small images.
    assert preset[2] == ae.FixedSizeCrop(64)
    image = patch("coffee", 40, 50)
    steps = [v2.Resize(44), PadIfSmaller(64), v2.RandomCrop(64), FLOAT]
    for policy in (from_torchvision(steps), [ae.Resize(44), preset[2]]):
        got, _ = draw(policy, [image], executor)
        assert_close(got[0], v2.Compose(steps)(image), 2 / 255)


@pytest.mark.usefixtures("no_warning")
def test_classes_of_the_scripts_are_known_by_their_modules_and_attributes(monkeypatch):
    for name in ("transforms", "references.detection.transforms", "v2_extras"):
        monkeypatch.setattr(FixedSizeCrop, "__module__", name)
        crop = FixedSizeCrop((9, 8), 7, "edge")
        assert from_torchvision(crop) == ae.Policy(ae.FixedSizeCrop((9, 8), padding_mode="edge"))
    crop = FixedSizeCrop((9, 8))
    del crop.fill
    with pytest.raises(ValueError, match=r"step 0 \(FixedSizeCrop\) is a step that augengine does"):
        from_torchvision(crop)
    monkeypatch.setattr(FixedSizeCrop, "__module__", "mine")
    with pytest.raises(ValueError, match=r"step 0 \(FixedSizeCrop\) is a step that augengine does"):
        from_torchvision(FixedSizeCrop((9, 8)))


BOX_STEPS = [
    v2.ConvertBoundingBoxFormat("XYXY"),
    v2.ClampBoundingBoxes(),
    v2.ClampKeyPoints(),
    v2.SetClampingMode("soft"),
    v2.SanitizeBoundingBoxes(),
    v2.SanitizeKeyPoints(),
]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            v2.SanitizeBoundingBoxes(5, 30),
            "(SanitizeBoundingBoxes) leaves out small boxes, which the engine does: pass it "
            "target_options=ae.TargetOptions(min_size=5, min_area=30).",
        ),
        (
            v2.ConvertBoundingBoxFormat("CXCYWH"),
            "(ConvertBoundingBoxFormat) makes boxes CXCYWH, but boxes stay in the format that they ",
        ),
        (
            v2.SetClampingMode(None),
            "(SetClampingMode) leaves boxes uncut, as the engine does on request: pass it "
            "target_options=ae.TargetOptions(clip=None).",
        ),
    ],
    ids=repr,
)
def test_what_a_step_on_boxes_asks_of_the_engine_is_said(step, said):
    policy, warning = warned([v2.RandomInvert(1), step])
    assert policy == ae.Policy(ae.RandomInvert(1))
    assert f"step 1 {said}" in warning


def test_steps_on_boxes_alone_become_nothing():
    """Unfused too, where they would miss the boxes."""
    assert from_torchvision([*BOX_STEPS, v2.RandomInvert(1)]) == ae.Policy(ae.RandomInvert(1))
    images = patches(2)
    policy = from_torchvision([*BOX_STEPS, Framed(3, 9), *BOX_STEPS, FLOAT], unfused=True)
    assert_close(run(policy, images), as_float(F.pad(images, [3], 9)), 1e-6)


@pytest.mark.usefixtures("no_warning")
def test_sizes_that_differ_in_the_end_are_said_when_sampled():
    policy = from_torchvision(v2.RandomShortestSize(20))
    with pytest.raises(ValueError, match=r"expected one size for the batch\. .*PadToLargest\(\)"):
        policy.sample([0, 1], [(30, 40), (30, 50)])


@pytest.mark.parametrize("boxes", [v2.RandomErasing(), v2.CutMix(num_classes=9)], ids=repr)
def test_a_blend_of_what_has_boxes(boxes):
    """torchvision's reference recipe: erasing for each sample, MixUp or CutMix in the collate."""
    blends = v2.RandomChoice([v2.CutMix(num_classes=9), v2.MixUp(num_classes=9)])
    policy = from_torchvision([v2.RandomResizedCrop(24), boxes, blends])
    batch = ae.Engine(policy, num_classes=9)(patches(8), torch.arange(8), ids=range(8))
    assert torch.allclose(batch.labels.sum(dim=1), torch.ones(8))


# One interpolation, one fill, one border


def warned(pipeline):
    """(the policy, the text of its one warning)."""
    with pytest.warns(UserWarning, match="from_torchvision") as caught:
        policy = from_torchvision(pipeline)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return policy, str(caught[0].message)


def test_the_resizing_steps_interpolation_wins():
    steps = [v2.RandomApply([v2.RandomRotation(9)]), v2.Resize(9), v2.RandomAffine(9)]
    policy, said = warned(steps)
    assert said.startswith(
        "from_torchvision: step 0.0 (RandomRotation) wants nearest, step 2 (RandomAffine) wants "
        "nearest, but bilinear holds, since"
    )
    apply, resize, affine = policy.transforms
    assert apply.transforms[0].interpolation == resize.interpolation == "bilinear"
    assert affine.interpolation == "bilinear"

    policy, said = warned([v2.RandomRotation(9, BILINEAR), v2.Resize(9, "nearest")])
    assert "step 0 (RandomRotation) wants bilinear, but nearest holds" in said
    assert {op.interpolation for op in policy.transforms} == {"nearest"}


@pytest.mark.parametrize(
    ("name", "ours"), [("lanczos", "bicubic"), ("box", "bilinear"), ("hamming", "bilinear")]
)
def test_what_augengine_cannot_interpolate_is_told(name, ours):
    policy, said = warned(v2.RandomResizedCrop(9, interpolation=InterpolationMode(name)))
    assert f"step 0 (RandomResizedCrop) wants {name}, but {ours} holds" in said
    assert policy == ae.Policy(ae.RandomResizedCrop(9, interpolation=ours))


def test_bicubic_is_taken(no_warning):
    steps = [v2.Resize(9, "bicubic"), v2.RandomCrop(8), v2.RandomRotation(9, "bicubic")]
    policy = from_torchvision(steps)
    assert policy.transforms[0] == ae.Resize(9, "bicubic")
    assert policy.transforms[2].interpolation == "bicubic"


def test_without_a_resizing_step_it_is_bilinear():
    policy, said = warned([v2.RandomPerspective(), v2.RandomRotation(9)])
    assert "step 1 (RandomRotation) wants nearest, but bilinear holds" in said
    assert {op.interpolation for op in policy.transforms} == {"bilinear"}
    _, said = warned([v2.Resize(9), v2.Resize(8, "nearest")])
    assert "step 1 (Resize) wants nearest, but bilinear holds" in said


@pytest.mark.usefixtures("no_warning")
def test_a_published_policys_nearest_gives_way_and_its_other_wishes_are_heard():
    for auto in (v2.RandAugment(), v1.AutoAugment(), v2.TrivialAugmentWide()):
        crop, op = from_torchvision([v2.RandomResizedCrop(9), auto]).transforms
        assert crop.interpolation == "bilinear"
        assert op.interpolation is None
    with pytest.warns(
        UserWarning, match=r"step 1 \(RandAugment\) wants bicubic, but bilinear holds"
    ):
        from_torchvision([v2.Resize(9), v2.RandAugment(interpolation="bicubic")])


def test_a_step_that_is_not_fused_wishes_nothing(no_warning):
    from_torchvision([v2.Resize(9), Framed(1), v2.RandomRotation(9, fill=3)], unfused=True)
    apply = v2.RandomApply([v2.RandomRotation(9, fill=3), Framed(1)])
    from_torchvision(
        [v2.Resize(9), v2.RandomAffine(9, interpolation=BILINEAR), apply], unfused=True
    )


@pytest.mark.parametrize("unfused", [False, True])
@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [v2.RandomRotation(9, fill=128), v2.RandomAffine(9)],
            r"step 0 \(RandomRotation\) has fill=128 and step 1 \(RandomAffine\) 0, expected one",
        ),
        (
            [v2.TrivialAugmentWide(), v2.RandomApply([v2.RandomRotation(9, fill=(1, 2, 3))])],
            r"step 0 \(TrivialAugmentWide\) has fill=0 and step 1\.0 \(RandomRotation\) \(1,",
        ),
        (
            [v2.RandomCrop(9, 1), v2.RandomCrop(8, 1, padding_mode="edge")],
            r"step 0 \(RandomCrop\) has padding_mode='constant' and step 1 \(RandomCrop\) 'edge'",
        ),
    ],
    ids=["two fills", "no fill is black", "two borders"],
)
def test_fills_that_disagree_name_their_steps(steps, said, unfused):
    with pytest.raises(ValueError, match=rf"^from_torchvision: {said}.*\. Give them the same\.$"):
        from_torchvision(steps, unfused=unfused)


def test_the_border_of_a_crop_is_everyones():
    policy, said = warned([v2.RandomCrop(9, 1, padding_mode="reflect"), v2.RandAugment()])
    assert (
        "step 1 (RandAugment) would fill, but the padding_mode 'reflect' of step 0 (RandomCrop) h"
        in said
    )
    assert policy.transforms[0].padding_mode == "reflect"
    policy, said = warned(
        [v2.Resize(9), v2.RandomRotation(9), v2.RandomCrop(9, 1, padding_mode="edge")]
    )
    assert "step 1 (RandomRotation) wants nearest" in said
    assert "step 1 (RandomRotation) would fill, but the padding_mode 'edge'" in said


# What cannot be said


class Mine(torch.nn.Module):
    def forward(self, image):
        assert image.shape[0] == 3
        return image / 2


class RandomInvert(Mine):
    """One that only has torchvision's name."""


LAMBDA = v2.Lambda(lambda image: image)
CANNOT = {
    "lambda": (LAMBDA, "Lambda", "whose function may be given a PIL image"),
    "lambda of boxes": (
        v2.Lambda(abs, tv_tensors.BoundingBoxes),
        "Lambda",
        "that is not for images, which alone an op is called with",
    ),
    "linear": (
        v2.LinearTransformation(torch.eye(12), torch.zeros(12)),
        "LinearTransformation",
        r"that multiplies the whole image by a matrix, .* append ae\.Lambda\(step\) to the policy",
    ),
    "frames": (
        v2.UniformTemporalSubsample(4),
        "UniformTemporalSubsample",
        "on the frames of a clip, .*; take them in the dataset",
    ),
    "one channel of some": (
        v2.RandomChoice([v2.RandomInvert(), v2.Grayscale()]),
        "Grayscale",
        "that holds for the whole batch, and stands inside another step",
    ),
    "mine": (Mine(), "Mine", "that augengine does not have"),
    "a name only": (RandomInvert(), "RandomInvert", "that augengine does not have"),
    "a function": (torch.relu, r"builtin_function_or_method", "that augengine does not have"),
    "labels by a function": (
        v2.CutMix(num_classes=9, labels_getter=lambda inputs: inputs[2]),
        "CutMix",
        r"that finds labels by a function of its own \(labels_getter\)",
    ),
    "unclipped": (v2.GaussianNoise(clip=False), "GaussianNoise", r"that leaves .* \(clip=False\)"),
    "unscaled": (v2.ToDtype(torch.float32), "ToDtype", "that converts without scale=True"),
    "long": (v2.ToDtype(torch.int64, scale=True), "ToDtype", r"that makes torch\.int64"),
    "some normalised": (
        v2.RandomApply([v2.ConvertImageDtype(torch.float32), v2.Normalize(MEAN, STD)]),
        "RandomApply",
        "that converts or normalises some images only",
    ),
    "a mix before": (
        v2.RandomApply([v2.CutMix(num_classes=9), v2.RandomInvert()]),
        "RandomApply",
        r"that no op takes \(RandomApply: RandomInvert comes after CutMix",
    ),
    "grey picture": (v1.ToPILImage("L"), "ToPILImage", "that changes what the values mean"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_a_step_that_cannot_be_said_is_named(case):
    step, name, reason = CANNOT[case]
    reason = reason.replace("that no op takes", "with arguments that no op takes")
    said = (
        rf"^from_torchvision: step 1(\.1)? \({name}\) is a step {reason}.*, expected what a policy can "
        r"say\. Leave it out, or pass unfused=True to have it .*\.$"
    )
    with pytest.raises(ValueError, match=said):
        from_torchvision([v2.RandomVerticalFlip(), step])


def test_a_step_inside_is_named_by_its_place():
    inner = v2.Compose([v2.RandomInvert(), v2.RandomApply([v2.RandomInvert(), v2.JPEG(50)])])
    with pytest.raises(
        ValueError, match=r"step 1\.1\.1 \(JPEG\) is a step that holds for the whole batch"
    ):
        from_torchvision([v2.RandomVerticalFlip(), inner])
    with pytest.raises(ValueError, match=r"step 0 \(Mine\) is a step that augengine does not"):
        from_torchvision(Mine())


def test_every_transform_of_torchvision_is_an_op_or_refused_by_name():
    from augengine.recipes.torchvision_steps import CONVERSIONS, WITHOUT_OP

    kinds = {"AutoAugmentPolicy", "InterpolationMode", "Transform"}
    names = {name for name in dir(v2) if name[0].isupper()} - kinds
    assert names == (set(CONVERSIONS) | set(WITHOUT_OP)) & names


@each_executor
def test_a_document_pipeline_with_jpeg_and_a_lambda(executor):
    """Whose last steps are not fused."""
    steps = [
        v2.Resize((40, 50)),
        v2.Grayscale(1),
        v2.JPEG(60),
        FLOAT,
        v2.Normalize((0.5,), (0.25,)),
        v2.Lambda(lambda image: image.clamp(-1, 1)),
    ]
    policy = from_torchvision(steps)
    assert [type(op).__name__ for op in policy.transforms[1:]] == [
        *("Grayscale", "JPEG", "Normalize", "Lambda")
    ]
    images = patches(3, 60, 80)
    got = ae.Engine(policy, executor=executor)(images, ids=range(3), epoch=0).images
    expected = torch.stack([v2.Compose(steps)(image) for image in images])
    assert got.shape == (3, 1, 40, 50)
    # A byte of difference before the JPEG may fall on either side of one of its steps.
    assert (got - expected).abs().mean() < 3 / 255 / 0.25
    with pytest.raises(ValueError, match=r"Resize\) is a step on the image itself after JPEG"):
        from_torchvision([v2.JPEG(60), v2.Resize(9)])


def test_a_step_behind_several_crops_is_given_no_tuple():
    stack = v1.Lambda(lambda crops: torch.stack([F.to_dtype(crop) for crop in crops]))
    for unfused in (False, True):
        with pytest.raises(
            ValueError, match=r"step 1 \(Lambda\) is a step .*Leave (it|the step) out"
        ):
            from_torchvision([v1.FiveCrop(9), stack], unfused=unfused)
    policy = from_torchvision([v1.Resize(20), v1.FiveCrop(9), v1.ToTensor()])
    assert len(ae.Views(crops=policy)) == 5


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [CUTMIX, v2.RandomInvert()],
            r"step 1 \(RandomInvert\) is a step on the image itself after CutMix",
        ),
        (
            [v2.AugMix(), v2.RandomRotation(9)],
            r"step 1 \(RandomRotation\) is a step on the image itself after AugMix",
        ),
        (
            [v2.RandomErasing(), v2.RandomApply([v2.GaussianBlur(3)])],
            r"step 1 \(RandomApply\) is a step on the image itself after RandomErasing",
        ),
        (
            [FLOAT, v2.Normalize(MEAN, STD), v2.Resize(9)],
            r"step 2 \(Resize\) is a step on the image itself after Normalize",
        ),
        (
            [FLOAT, v2.Normalize(MEAN, STD), v2.Normalize(MEAN, STD)],
            r"step 2 \(Normalize\) is a step that normalises again",
        ),
    ],
    ids=str,
)
def test_an_op_on_the_image_after_a_mix_cannot_be_said(steps, said):
    with pytest.raises(ValueError, match=rf"^from_torchvision: {said}, expected"):
        from_torchvision(steps)
    policy = from_torchvision(steps, unfused=True)
    assert [type(op).__name__ for op in policy.transforms][-1] == "Stage"
    assert len(policy.after) == 1


@pytest.mark.parametrize("nothing", [5, "flip", None, [5]])
def test_what_is_no_transform(nothing):
    with pytest.raises(
        TypeError, match=r"from_torchvision: step 0 is .*, expected a transform\. Pass"
    ):
        from_torchvision(nothing)


def test_an_empty_pipeline():
    for nothing in ([], v1.Compose([])):
        with pytest.raises(ValueError, match=r"from_torchvision: got no transforms.*\. Pass"):
            from_torchvision(nothing)


# Unfused


def run(policy, images, **how):
    return ae.Engine(policy, executor="cpu", **how)(images, ids=range(len(images))).images


UNFUSED = {
    "on bytes": [v2.Resize((40, 50)), Framed(3, fill=200), FLOAT, v2.Normalize(MEAN, STD)],
    "on bytes to the end": [v2.RandomInvert(1), Framed(3, fill=200)],
    "on floats": [v2.Resize((40, 50)), FLOAT, Framed(3, fill=0.3), v2.Normalize(MEAN, STD)],
    "normalised": [FLOAT, v2.Normalize(MEAN, STD), v2.GaussianBlur(3, 1.0), Mine()],
    "from the first step": [Framed(2), v2.RandomHorizontalFlip(1), FLOAT],
    "unscaled": [v2.ToDtype(torch.float32), v2.Normalize([100.0] * 3, [50.0] * 3)],
    "other channels": [v2.CenterCrop(40), v2.Lambda(lambda image: image[:2]), FLOAT],
    "an order": [Framed(5), v1.RandomSolarize(99, 1), v2.ToImage(), FLOAT, v2.ToPureTensor()],
}


@pytest.mark.parametrize("case", UNFUSED)
def test_what_is_not_fused_runs_as_it_would_have(case):
    images = patches(3)
    policy = from_torchvision(UNFUSED[case], unfused=True)
    (stage,) = policy.after
    assert stage.each
    assert isinstance(stage.module, v2.Compose)
    expected = torch.stack([v2.Compose(UNFUSED[case])(image) for image in images])
    if expected.dtype == torch.uint8:
        expected = expected / 255
    got = run(policy, images)
    assert type(got) is torch.Tensor
    assert_close(got, expected, 2 / 255 / min(STD))


def test_the_order_of_unfused_steps_is_theirs():
    """All of them from the first, though the later ones could be said."""
    policy = from_torchvision(
        [v2.RandomVerticalFlip(1), Framed(1), v2.RandomInvert(1)], unfused=True
    )
    flip, stage = policy.transforms
    assert flip == ae.RandomVerticalFlip(1)
    assert [type(step).__name__ for step in stage.module.transforms[1:-1]] == [
        "Framed",
        "RandomInvert",
    ]


def test_conversions_of_pictures_are_left_out_of_what_is_not_fused():
    """They would refuse a tensor; after a step that makes pictures they stay."""
    image = patches(1)
    pixels = image / 255
    pipeline = [Framed(0), v1.PILToTensor(), v1.ConvertImageDtype(torch.float32)]
    assert torch.equal(run(from_torchvision(pipeline, unfused=True), image), pixels)
    for pipeline in (
        [Framed(0), v1.ToTensor(), v1.Normalize((0, 0, 0), (1, 1, 1))],
        [Framed(0), v2.ToTensor(), v2.Normalize((0, 0, 0), (1, 1, 1))],
        [Framed(0), v1.ToPILImage(), v1.Grayscale(3), v1.ToTensor()],
    ):
        expected = F.rgb_to_grayscale(image, 3) / 255 if len(pipeline) == 4 else pixels
        assert_close(run(from_torchvision(pipeline, unfused=True), image), expected, 1.01 / 255)


def test_each_sample_draws_its_own_in_what_is_not_fused():
    policy = from_torchvision(
        [v2.CenterCrop(40), Framed(0), v2.RandomZoomOut(p=1), v2.Resize((40, 40))], unfused=True
    )
    images = torch.full((6, 3, 40, 40), 255, dtype=torch.uint8)
    shares = run(policy, images).mean((1, 2, 3))
    assert len(set(shares.tolist())) == 6
    assert torch.equal(run(policy, images).mean((1, 2, 3)), shares)


def test_a_mix_after_what_is_not_fused():
    for mix in (v2.MixUp(num_classes=9), v2.RandomChoice([CUTMIX])):
        with pytest.raises(
            ValueError,
            match=r"step \d(\.0)? \((MixUp|CutMix)\) comes after step 1 \(Framed\), .*\. Move the mix",
        ):
            from_torchvision([v2.Resize(9), Framed(1), mix], unfused=True)


def test_the_name_of_a_policy_with_unfused_steps_is_the_same_tomorrow():
    pipeline = [v2.RandomVerticalFlip(), Framed(2)]
    policy = from_torchvision(pipeline, unfused=True)
    assert "0x" not in repr(policy)
    assert from_torchvision([v2.RandomVerticalFlip(), Framed(3)], unfused=True).fingerprint != (
        policy.fingerprint
    )


def test_torchvision_is_not_imported_before_it_is_needed():
    code = "import sys, augengine.recipes.from_timm, augengine.recipes.from_torchvision\n"
    code += "print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert "augengine.recipes.from_torchvision" in loaded
    assert not {"torchvision", "timm", "PIL"} & set(loaded)
