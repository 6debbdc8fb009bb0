"""kornia's pipelines become policies that mean the same, or say which step cannot be said."""

import pytest
import torch
from cases import as_float, assert_close, draw, each_executor
from kornia import augmentation as K
from photos import patch

import augengine as ae
from augengine.recipes.from_kornia import KORNIA, from_kornia

IMAGE = as_float(patch("astronaut", 96, 128))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

SAME = {
    "flip": (lambda: K.RandomHorizontalFlip(p=0.3), ae.RandomHorizontalFlip(0.3)),
    "flip over": (lambda: K.RandomVerticalFlip(p=1.0), ae.RandomVerticalFlip(1)),
    "centre": (lambda: K.CenterCrop((30, 40)), ae.CenterCrop((30, 40))),
    "rotation": (
        lambda: K.RandomRotation((-10.0, 30.0), p=0.4),
        ae.RandomApply(ae.RandomRotation((-10, 30), "bilinear", fill=0), 0.4),
    ),
    "jitter": (
        lambda: K.ColorJitter(0.1, 0.2, 0.3, 0.05, p=0.8),
        ae.RandomApply(ae.ColorJitter((0.9, 1.1), (0.8, 1.2), (0.7, 1.3), 0.05), 0.8),
    ),
    "brightness": (lambda: K.ColorJitter((0.5, 1.5)), ae.ColorJitter((0.5, 1.5))),
    "grey": (lambda: K.RandomGrayscale(p=0.2), ae.RandomGrayscale(0.2)),
    "blur": (
        lambda: K.RandomGaussianBlur((3, 5), (0.1, 2.0), p=0.3),
        ae.GaussianBlur((5, 3), (0.1, 2), 0.3),
    ),
    "noise": (lambda: K.RandomGaussianNoise(0.1, 0.2, p=0.3), ae.GaussianNoise(0.1, 0.2, p=0.3)),
    "gamma": (lambda: K.RandomGamma((0.5, 1.5), p=0.3), ae.RandomGamma((0.5, 1.5), 0.3)),
    "motion": (
        lambda: K.RandomMotionBlur((3, 7), (-10.0, 20.0), (-0.5, 0.5), "reflect", p=0.3),
        ae.RandomMotionBlur((3, 7), (-10, 20), (-0.5, 0.5), "nearest", 0.3),
    ),
    "salt": (
        lambda: K.RandomSaltAndPepperNoise(0.1, (0.2, 0.6), p=0.3),
        ae.RandomSaltAndPepperNoise(0.1, (0.2, 0.6), 0.3),
    ),
    "invert": (lambda: K.RandomInvert(p=0.2), ae.RandomInvert(0.2)),
    "channels": (lambda: K.RandomChannelShuffle(p=0.2), ae.RandomChannelPermutation(0.2)),
    "normalize": (
        lambda: K.Normalize(torch.tensor(MEAN), torch.tensor(STD)),
        ae.Normalize(MEAN, STD),
    ),
    "some": (
        lambda: K.ImageSequential(
            K.RandomInvert(p=0.2), K.ImageSequential(K.RandomGrayscale(p=1.0)), random_apply=1
        ),
        ae.OneOf([ae.RandomInvert(0.2), ae.RandomGrayscale(1)]),
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_a_step_becomes_its_op(case):
    build, op = SAME[case]
    assert repr(from_kornia(build())) == repr(ae.Policy(op))
    assert from_kornia([build()]) == ae.Policy(op)
    assert from_kornia(K.AugmentationSequential(torch.nn.Sequential(build()))) == ae.Policy(op)


FIXED = {
    "flips": lambda: [K.RandomHorizontalFlip(p=1.0), K.RandomVerticalFlip(p=1.0)],
    "centre": lambda: [K.CenterCrop((60, 80))],
    "brighter": lambda: [K.ColorJitter(brightness=(1.3, 1.3))],
    "contrast": lambda: [K.ColorJitter(contrast=(0.6, 0.6))],
    "saturation": lambda: [K.ColorJitter(saturation=(1.4, 1.4))],
    "hue": lambda: [K.ColorJitter(hue=(0.1, 0.1))],
    "grey": lambda: [K.RandomGrayscale(p=1.0), K.RandomInvert(p=1.0)],
    "blur": lambda: [K.RandomGaussianBlur((3, 7), (1.5, 1.5), p=1.0)],
    "gamma": lambda: [K.RandomGamma((0.4, 0.4), (0.8, 0.8), p=1.0)],
    "motion": lambda: [
        K.RandomMotionBlur(7, (30.0, 30.0), (0.5, 0.5), "reflect", "bilinear", p=1.0)
    ],
    "normalised": lambda: [K.Normalize(torch.tensor(MEAN), torch.tensor(STD))],
}


@each_executor
@pytest.mark.parametrize("case", FIXED)
def test_a_pipeline_without_chance_makes_kornias_pixels(case, executor):
    pipeline = K.AugmentationSequential(*FIXED[case]())
    got, _ = draw(from_kornia(pipeline), [IMAGE], executor)
    assert_close(got, pipeline(IMAGE[None]), 1e-3 if case == "grey" else 2e-4)


@each_executor
def test_a_rotation_goes_where_kornia_goes(executor):
    pipeline = K.RandomRotation((30.0, 30.0), p=1.0)
    got, _ = draw(from_kornia(pipeline), [IMAGE], executor)
    y, x = torch.meshgrid(torch.arange(96) - 47.5, torch.arange(128) - 63.5, indexing="ij")
    inside = (x**2 + y**2).sqrt() < 46
    assert_close(got[0][:, inside], pipeline(IMAGE[None])[0][:, inside], 2 / 255)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (lambda: K.RandomElasticTransform(), "augengine does not have"),
        (lambda: K.RandomHorizontalFlip(same_on_batch=True), "does the same to a whole batch"),
        (lambda: K.RandomHorizontalFlip(p_batch=0.5), "leaves whole batches alone"),
        (lambda: K.ColorJitter(0.1, order=(1, 0)), "names an order of its changes"),
        (lambda: K.RandomGaussianBlur(3, (1.0, 2.0), "constant"), "whose border is not reflected"),
        (lambda: K.RandomGrayscale(torch.tensor([0.2, 0.5, 0.3])), "weights of its own"),
        (lambda: K.RandomInvert(255.0), "whose largest value is not 1"),
        (lambda: K.Normalize(torch.tensor(MEAN), torch.tensor(STD), p=0.5), "some images only"),
        (
            lambda: K.ImageSequential(K.RandomInvert(), K.RandomGrayscale(), random_apply=2),
            "applies more than one of its steps",
        ),
        (lambda: K.RandomMotionBlur(3, 9.0, 0.5), "whose border is not reflected"),
        (lambda: K.RandomGamma((0.5, 1.5), (0.9, 1.1)), "draws a gain"),
        (lambda: torch.nn.ReLU(), "augengine does not have"),
    ],
)
def test_a_step_that_cannot_be_said_is_named(module, said):
    with pytest.raises(ValueError, match=rf"^from_kornia: step 1 \(\w+\) is a step .*{said}"):
        from_kornia([K.RandomVerticalFlip(), module()])


def test_what_is_no_pipeline():
    with pytest.raises(TypeError, match=r"^from_kornia: step 1 is 5, expected a module\. Pass"):
        from_kornia([K.RandomVerticalFlip(), 5])


def test_every_conversion_is_of_a_class():
    assert all(hasattr(K, name) or name == "Sequential" for name in KORNIA)
