"""albumentations' pipelines become policies that mean the same, or say which step cannot be said."""

import json
import os
import warnings

import numpy as np
import pytest
import torch
from cases import draw, each_executor, largest_difference
from photos import patch

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or it asks the network for its version
import albumentations as A
from albumentations.pytorch import ToTensorV2

import augengine as ae
from augengine.recipes.albumentations_steps import ALBUMENTATIONS
from augengine.recipes.from_albumentations import from_albumentations

pytestmark = pytest.mark.filterwarnings("ignore:ShiftScaleRotate is a special case:UserWarning")

IMAGE = patch("astronaut", 96, 128)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def silently(transform):
    """What is read without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return from_albumentations(transform)


def theirs(transform, image=IMAGE):
    """albumentations' result, as a tensor (C, H, W)."""
    array = image.movedim(0, -1).contiguous().numpy()
    return torch.from_numpy(
        np.ascontiguousarray(A.Compose([transform])(image=array)["image"])
    ).movedim(-1, 0)


# What the class is there, and what it is in ops.

SAME = {
    "flip": (A.HorizontalFlip(p=0.3), ae.RandomHorizontalFlip(0.3)),
    "flip over": (A.VerticalFlip(), ae.RandomVerticalFlip()),
    "turn": (A.RandomRotate90(p=0.4), ae.RandomApply([ae.RandomQuarterTurn()], 0.4)),
    "turn always": (A.RandomRotate90(p=1), ae.RandomQuarterTurn()),
    "square": (A.D4(p=1), [ae.RandomQuarterTurn(), ae.RandomHorizontalFlip()]),
    "resize": (A.Resize(30, 40), ae.Resize((30, 40), "bilinear", antialias=False)),
    "resize, nearest": (
        A.Resize(30, 40, interpolation=0),
        ae.Resize((30, 40), "nearest", antialias=False),
    ),
    "shorter": (A.SmallestMaxSize(40), ae.Resize(40, "bilinear", antialias=False)),
    "shorter of some": (
        A.SmallestMaxSize([40, 50]),
        ae.RandomShortestSize((40, 50), None, "bilinear", False),
    ),
    "longer": (A.LongestMaxSize(40), ae.ScaleJitter((40, 40), (1, 1), "bilinear", False)),
    "within": (
        A.LongestMaxSize(max_size_hw=(30, 40)),
        ae.ScaleJitter((40, 30), (1, 1), "bilinear", False),
    ),
    "resized crop": (
        A.RandomResizedCrop((30, 40), (0.2, 0.9), (0.5, 2)),
        ae.RandomResizedCrop((30, 40), (0.2, 0.9), (0.5, 2), "bilinear", False),
    ),
    "crop": (A.RandomCrop(30, 40), ae.RandomCrop((30, 40))),
    "crop, padded": (
        A.RandomCrop(30, 40, pad_if_needed=True, pad_position="random", fill=7),
        ae.RandomCrop((30, 40), None, True, 7, "constant"),
    ),
    "crop, padded behind": (
        A.RandomCrop(30, 40, pad_if_needed=True, pad_position="top_left", border_mode=4),
        ae.FixedSizeCrop((30, 40), padding_mode="reflect"),
    ),
    "centre": (A.CenterCrop(30, 40), ae.CenterCrop((30, 40))),
    "centre, padded": (
        A.CenterCrop(30, 40, pad_if_needed=True, fill=(1, 2, 3)),
        ae.CenterCrop((30, 40), (1, 2, 3)),
    ),
    "pad": (A.Pad((1, 2, 3, 4), fill=9), ae.Pad((1, 2, 3, 4), 9, "constant")),
    "pad behind": (
        A.PadIfNeeded(30, 40, position="top_left", border_mode=2),
        ae.PadIfSmaller((30, 40), padding_mode="symmetric"),
    ),
    "letter box": (
        A.Compose([A.LongestMaxSize(40), A.PadIfNeeded(40, 40, fill=114)]),
        [ae.ScaleJitter((40, 40), (1, 1), "bilinear", False), ae.CenterCrop(40, 114)],
    ),
    "rotation": (
        A.Rotate((-10, 30), fill=9, p=1),
        ae.RandomRotation((-10, 30), "bilinear", fill=9),
    ),
    "shifts": (
        A.ShiftScaleRotate(0.1, 0.2, 30, p=1),
        ae.RandomAffine((-30, 30), (0.1, 0.1), (0.8, 1.2), None, "bilinear", 0, antialias=False),
    ),
    "affine": (
        A.Affine(scale=0.9, rotate=(-20, 10), translate_percent=(-0.1, 0.1), p=1, interpolation=0),
        ae.RandomAffine((-10, 20), (0.1, 0.1), (0.9, 0.9), None, "nearest", 0, antialias=False),
    ),
    "jitter": (
        A.ColorJitter(0.3, (1, 1), 0.2, 0.1, p=0.8),
        ae.RandomApply([ae.ColorJitter((0.7, 1.3), None, (0.8, 1.2), (-0.1, 0.1))], 0.8),
    ),
    "brightness": (
        A.RandomBrightnessContrast(0.2, 0, p=1),
        ae.RandomBrightness((-0.2, 0.2)),
    ),
    "contrast": (
        A.RandomBrightnessContrast(0, 0.2, p=1),
        ae.ColorJitter((0.8, 1.2)),
    ),
    "hue": (A.HueSaturationValue(18, 0, 0, p=1), ae.ColorJitter(hue=0.1)),
    "grey": (A.ToGray(p=0.2), ae.RandomGrayscale(0.2)),
    "blur": (A.GaussianBlur(0, (0.1, 2), p=1), ae.GaussianBlur(None, (0.1, 2))),
    "blur of a size": (
        A.GaussianBlur((5, 5), (1.5, 1.5), p=0.3),
        ae.GaussianBlur(5, (1.5, 1.5), 0.3),
    ),
    "blur of sizes": (
        A.GaussianBlur((3, 6), (0.5, 0.5), p=1),
        ae.OneOf([ae.GaussianBlur(n, 0.5) for n in (3, 5, 7)], (1, 2, 1)),
    ),
    "noise": (A.GaussNoise((0.1, 0.2), p=0.4), ae.GaussianNoise(0, (0.1, 0.2), p=0.4)),
    "solarize": (A.Solarize((0.4, 0.4), p=0.2), ae.RandomSolarize(0.4 * 255, 0.2)),
    "posterize": (A.Posterize(3, p=0.2), ae.RandomPosterize(3, 0.2)),
    "posterize some": (
        A.Posterize((3, 4), p=1),
        ae.OneOf([ae.RandomPosterize(3, 1), ae.RandomPosterize(4, 1)]),
    ),
    "invert": (A.InvertImg(p=0.2), ae.RandomInvert(0.2)),
    "gamma": (A.RandomGamma((70, 70), p=0.2), ae.RandomGamma((0.7, 0.7), 0.2)),
    "channels": (A.ChannelShuffle(p=0.2), ae.RandomChannelPermutation(0.2)),
    "normalize": (A.Normalize(), ae.Normalize(MEAN, STD)),
    "normalize, in bytes": (
        A.Normalize((51, 51, 51), (102, 102, 102), max_pixel_value=1),
        ae.Normalize((0.2,) * 3, (0.4,) * 3),
    ),
    "normalize floats": (
        A.Compose([A.ToFloat(), A.Normalize(max_pixel_value=1), ToTensorV2()]),
        ae.Normalize(MEAN, STD),
    ),
    "erasing by a list": (
        A.Compose([A.Resize(40, 50), A.CoarseDropout((2, 2), (4, 4), (10, 10), fill=51, p=0.3)]),
        [
            ae.Resize((40, 50), "bilinear", antialias=False),
            ae.RandomErasing(0.3, (0.04, 0.04), (0.4, 0.4), 51, count=2),
        ],
    ),
    "nothing": (A.NoOp(p=0.3), ae.RandomHorizontalFlip(0)),
    "one of": (
        A.OneOf([A.InvertImg(p=0.2), A.ToGray(p=0.6)], p=0.5),
        ae.RandomApply([ae.OneOf([ae.RandomInvert(1), ae.RandomGrayscale(1)], (0.2, 0.6))], 0.5),
    ),
    "one or other": (
        A.OneOrOther(A.InvertImg(p=0.2), A.ToGray(), p=0.3),
        ae.OneOf([ae.RandomInvert(1), ae.RandomGrayscale(1)], (0.3, 0.7)),
    ),
    "some of": (
        A.SomeOf([A.InvertImg(p=0.2), A.ToGray(p=1)], n=1),
        ae.SomeOf([ae.RandomInvert(0.2), ae.RandomGrayscale(1)], 1, replace=False),
    ),
    "any order": (
        A.RandomOrder([A.InvertImg(p=0.2), A.ToGray(p=1)], n=2),
        ae.SomeOf([ae.RandomInvert(0.2), ae.RandomGrayscale(1)], 2, replace=False),
    ),
    "all at times": (
        A.Sequential([A.InvertImg(p=0.2), A.Sequential([A.ToGray(p=1)], p=1)], p=0.4),
        ae.RandomApply([ae.RandomInvert(0.2), ae.RandomGrayscale(1)], 0.4),
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_a_step_becomes_its_op(case):
    transform, op = SAME[case]
    expected = ae.Policy(op)
    assert repr(silently(transform)) == repr(expected)
    assert silently([transform]) == expected
    written = A.Compose([transform]).to_dict()
    assert silently(written) == expected
    assert silently(json.loads(json.dumps(written))) == expected


# Pixels, where nothing is left to chance: the differences that are allowed, in bytes. OpenCV samples a warp
# in steps of 1/32 pixel, and its bytes are rounded after every step.

FIXED = {
    "flip": (A.HorizontalFlip(p=1), 0),
    "transpose": (A.Transpose(p=1), 0),
    "resize": (A.Resize(50, 77), 1),
    "enlarge": (A.Resize(150, 130), 1),
    "shorter": (A.SmallestMaxSize(48), 1),
    "longer": (A.LongestMaxSize(64), 1),
    "centre": (A.CenterCrop(60, 80), 0),
    "padded": (A.CenterCrop(110, 141, pad_if_needed=True, fill=(9, 99, 199)), 0),
    "padded by reflection": (A.CenterCrop(110, 141, pad_if_needed=True, border_mode=4), 0),
    "pad": (A.Pad((1, 2, 3, 4), border_mode=1), 0),
    "all of it": (A.RandomResizedCrop((60, 50), (1, 1), (128 / 96, 128 / 96)), 1),
    "brighter": (A.ColorJitter((1.2, 1.2), (1, 1), (1, 1), (0, 0), p=1), 1),
    "contrast": (A.ColorJitter((1, 1), (0.7, 0.7), (1, 1), (0, 0), p=1), 1),
    "saturation": (A.ColorJitter((1, 1), (1, 1), (1.4, 1.4), (0, 0), p=1), 2),
    "hue": (A.ColorJitter((1, 1), (1, 1), (1, 1), (0.1, 0.1), p=1), 10),
    "hue by its degrees": (A.HueSaturationValue((18, 18), 0, 0, p=1), 10),
    "gain": (A.RandomBrightnessContrast(0, (0.3, 0.3), p=1), 1),
    "added": (A.RandomBrightnessContrast((0.2, 0.2), 0, p=1), 1),
    "both": (A.RandomBrightnessContrast((0.1, 0.1), (-0.2, -0.2), p=1), 1),
    "grey": (A.ToGray(p=1), 1),
    "blur": (A.GaussianBlur((7, 7), (1.5, 1.5), p=1), 1),
    "blur without a size": (A.GaussianBlur(0, (1.5, 1.5), p=1), 1),
    "solarize": (A.Solarize((0.4, 0.4), p=1), 0),
    "posterize": (A.Posterize(3, p=1), 0),
    "invert": (A.InvertImg(p=1), 0),
    "gamma": (A.RandomGamma((70, 70), p=1), 1),
    "levelled": (A.Equalize(mode="pil", p=1), 15),
    "levelled by OpenCV": (A.Equalize(p=1), 15),
}


@each_executor
@pytest.mark.filterwarnings(
    "ignore:from_albumentations. step . .(RandomBrightnessContrast|Equalize)"
)
@pytest.mark.parametrize("case", FIXED)
def test_a_step_without_chance_makes_albumentations_pixels(case, executor):
    transform, most = FIXED[case]
    got, _ = draw(from_albumentations(transform), [IMAGE], executor, dtype="uint8")
    expected = theirs(transform)
    assert got[0].shape == expected.shape
    assert largest_difference(got[0], expected) <= most


WARPS = {
    "rotation": A.Rotate((30, 30), fill=(9, 99, 199), p=1),
    "affine": A.Affine(scale=0.8, rotate=25, translate_percent=(0.1, 0.1), p=1),
    "shear": A.Affine(shear={"x": (10, 10), "y": (0, 0)}, p=1),
    "shear over": A.Affine(shear={"x": (0, 0), "y": (-12, -12)}, p=1),
    "turned and sheared": A.Affine(scale=1.2, rotate=25, shear={"x": (10, 10), "y": (0, 0)}, p=1),
    "shifted": A.ShiftScaleRotate((0, 0), (-0.2, -0.2), (40, 40), p=1, border_mode=2),
}


@pytest.mark.parametrize("case", WARPS)
def test_a_warp_goes_where_albumentations_goes(case):
    """Beyond what 1/32 of a pixel is, a matrix is the same; a shift of one sign is not said, so it is cut."""
    transform = WARPS[case]
    expected = theirs(transform)
    if case == "affine":
        with pytest.raises(ValueError, match=r"shifts by 0\.1 to 0\.1, not alike to both sides"):
            from_albumentations(transform)
        transform = A.Affine(scale=0.8, rotate=25, p=1)
        expected = theirs(transform)
    got, _ = draw(silently(transform), [IMAGE], "cpu", dtype="uint8")
    difference = (got[0].float() - expected.float()).abs()
    assert difference.mean() < 1.0
    assert torch.quantile(difference, 0.97) <= 8


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (A.Affine(scale=(0.8, 1.2)), "draws a factor for x and one for y, here one serves both"),
        (A.Affine(shear=5), "shears along x and y at once, here one after the other"),
        (A.RandomGamma(), "draws an exponent evenly, here its logarithm"),
        (A.RandomBrightnessContrast(), "adds before values are cut to the range"),
        (A.SomeOf([A.InvertImg(), A.ToGray()], n=2), "keeps the order of its list"),
        (A.Erasing(), "draws the aspect ratio evenly"),
        (A.Equalize(), "rounds otherwise than PIL"),
        (A.Resize(9, 9, interpolation=3), "wants area, but bilinear holds"),
        (A.Resize(9, 9, area_for_downscale="image"), "wants bilinear, area where it shrinks, but"),
    ],
)
def test_what_is_near_is_told(transform, said):
    with pytest.warns(UserWarning, match=rf"^from_albumentations: step 1 \(\w+\) {said}") as caught:
        from_albumentations([A.HorizontalFlip(), transform])
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (A.Perspective(), "whose corners have a normal distribution"),
        (A.HueSaturationValue(), "adds to saturation and value"),
        (A.CLAHE(), "augengine does not have"),
        (A.Sharpen(), "blends with a kernel of its own"),
        (A.CoarseDropout(), "whose holes need a size that is known by then"),
        (A.Affine(scale={"x": (1, 1.2), "y": (1, 1)}), "scales otherwise along x than along y"),
        (A.Affine(translate_px=3), "shifts by pixels"),
        (A.Affine(fit_output=True), "fits its frame"),
        (A.Rotate(crop_border=True), "crops to what is left"),
        (A.Rotate(border_mode=3), "wraps around at the border"),
        (A.SmallestMaxSize(max_size_hw=(3, 4)), "has a size for each edge"),
        (A.LongestMaxSize([3, 4]), "draws one of several sizes"),
        (A.PadIfNeeded(9, 9), "pads at the center what may be larger too"),
        (A.PadIfNeeded(None, None, 8, 8), "pads to multiples"),
        (A.RandomCrop(9, 9, pad_if_needed=True), "pads at the center before a random crop"),
        (A.RandomBrightnessContrast(brightness_by_max=False), "adds a share of the image's mean"),
        (A.ToGray(method="average"), "whose grey is not the luma"),
        (A.Normalize(normalization="image"), "normalises by image"),
        (A.Normalize(p=0.5), r"converts or normalises some images only \(p=0\.5\)"),
        (A.OneOf([A.ToFloat(), A.NoOp()]), "converts or normalises some images only"),
        (A.Solarize((0.2, 0.4)), r"draws a threshold, from 0\.2 to 0\.4"),
        (A.GaussNoise(per_channel=False), "whose noise is shared"),
        (A.Equalize(by_channels=False), "levels the luma"),
        (A.AutoContrast(), "stretches by a histogram"),
        (A.Lambda(image=lambda image, **_: image), "augengine does not have"),
        (A.ToFloat(max_value=65535), "divides by another number than 255"),
        (A.FromFloat(), "makes other integers than bytes"),
        (A.RandomResizedCrop((9, 9), (0.5, 0.6), p=0.5), None),
    ],
)
def test_a_step_that_cannot_be_said_is_named(transform, said):
    pipeline = A.Compose([A.HorizontalFlip(), transform])
    if said is None:
        assert isinstance(from_albumentations(pipeline), ae.Policy)
        return
    with pytest.raises(
        ValueError, match=rf"^from_albumentations: step 1 \(\w+\) is a step .*{said}"
    ):
        from_albumentations(pipeline)


def test_steps_inside_are_named_by_their_places():
    pipeline = A.Compose([A.OneOf([A.InvertImg(), A.Sequential([A.CLAHE()])])])
    with pytest.raises(ValueError, match=r"step 0\.1\.0 \(CLAHE\) is a step that augengine does"):
        from_albumentations(pipeline)


def test_steps_that_disagree():
    with pytest.raises(
        ValueError, match=r"step 0 \(Rotate\) has fill=1\.0 and step 1 \(Rotate\) 2\.0"
    ):
        from_albumentations([A.Rotate(fill=1), A.Rotate(fill=2)])
    with pytest.raises(ValueError, match=r"on the image itself after RandomErasing"):
        from_albumentations([A.Resize(9, 9), A.CoarseDropout((1, 1), (2, 2), (2, 2)), A.ToGray()])


@pytest.mark.parametrize(
    ("thing", "error", "said"),
    [
        (3, TypeError, "step 0 is 3, expected a transform"),
        ([A.ToGray(), "a"], TypeError, "step 1 is 'a', expected a transform"),
        ({"a": 1}, TypeError, "step 0 is {'a': 1}, expected a transform"),
        (
            {"__version__": "1.4.0", "transform": {"__class_fullname__": "HorizontalFlip"}},
            ValueError,
            r"got what version 1\.4\.0 wrote, expected version 2",
        ),
        (
            {"__class_fullname__": "Resize"},
            ValueError,
            r"step 0 \(Resize\) is a step without the arg",
        ),
        (
            {"__class_fullname__": "mine.HorizontalFlip"},
            ValueError,
            r"step 0 \(HorizontalFlip\) is a step that augengine does not have",
        ),
    ],
)
def test_what_is_no_pipeline(thing, error, said):
    with pytest.raises(error, match=rf"^from_albumentations: {said}"):
        from_albumentations(thing)


def test_every_conversion_is_of_a_class():
    assert all(hasattr(A, name) or name == "ToTensorV2" for name in ALBUMENTATIONS)
