"""The policy: YAML, fingerprints, what cannot be one policy, strength, and the choosers."""

import dataclasses
import random

import numpy as np
import pytest
import torch
import yaml
from cases import each_executor

import augengine as ae
from augengine.plan.kinds import CURVE, MATRIX
from augengine.policy import ops
from augengine.policy.ops.op import Op
from augengine.policy.ops.unfused import whole_batch
from benchmarks import hashes

# Every op twice: as plain as it goes, and with every argument set.
OPS = [
    ae.Resize(32),
    ae.Resize(32, "nearest", 48, False),
    ae.Resize((32, 40)),
    ae.Resize(None, max_size=40),
    ae.CenterCrop(32),
    ae.CenterCrop((32, 40), (1, 2, 3), "source"),
    ae.RandomCrop(32),
    ae.RandomCrop((32, 40), (1, 2, 3, 4), True, 7, "reflect", "source"),
    ae.RandomResizedCrop(32),
    ae.RandomResizedCrop((32, 40), (0.2, 0.5), (0.5, 2.0), "nearest", False, "source"),
    ae.RandomShortestSize(32),
    ae.RandomShortestSize((32, 40), 48, "nearest", False),
    ae.RandomResize(32, 40),
    ae.RandomResize(32, 33, "nearest", False),
    ae.ScaleJitter((32, 40)),
    ae.ScaleJitter((32, 40), (0.5, 0.7), "nearest", False),
    ae.Pad(3),
    ae.Pad((1, 2, 3, 4), 7, "reflect"),
    ae.RandomZoomOut(),
    ae.RandomZoomOut((1, 2, 3), (1.5, 2.5), 0.9),
    ae.FixedSizeCrop(32),
    ae.FixedSizeCrop((32, 60), 7, "edge"),
    ae.LetterBox(32),
    ae.LetterBox((32, 60), 114, False, "nearest", False),
    ae.PadIfSmaller(32),
    ae.PadIfSmaller((32, 60), 7, "edge"),
    ae.PadToLargest(),
    ae.PadToLargest(32, 7),
    ae.RandomIoUCrop(),
    ae.RandomIoUCrop(0.5, 0.9, 0.7, 1.5, (0.2, 0.4), 10),
    ae.RandomHorizontalFlip(),
    ae.RandomHorizontalFlip(0.2),
    ae.RandomHorizontalFlip(alternate=True),
    ae.RandomRotation(9, stratify=True),
    ae.RandomVerticalFlip(),
    ae.RandomVerticalFlip(1),
    ae.RandomQuarterTurn(),
    ae.RandomQuarterTurn((1, 3)),
    ae.RandomRotation(10),
    ae.RandomRotation((5, 10), "nearest", False, (3, 4), (1, 2, 3)),
    ae.RandomRotation(5, expand=True),
    ae.RandomRotation(5, "nearest", True, (3, 4), "#010203"),
    ae.RandomAffine(10),
    ae.RandomAffine((-5, 10), (0.1, 0.2), (0.9, 1.1), (-1, 2, 3, 4), "bilinear", 9, (1, 2), False),
    ae.RandomPerspective(),
    ae.RandomPerspective(0.2, 0.9, "nearest", 255),
    ae.ColorJitter(),
    ae.RandomPhotometricDistort(),
    ae.RandomPhotometricDistort(0.1, 0.2, (0.5, 2), 0.1, 0.7),
    ae.ColorJitter(0.1, (0.5, 2), 0.3, (-0.1, 0.2)),
    ae.RandomBrightness(),
    ae.RandomBrightness((0.1, 0.2)),
    ae.RandomGrayscale(),
    ae.RandomGrayscale(0.5),
    ae.RandomDesaturate(),
    ae.RandomDesaturate(0.5, 0.2),
    ae.RandomChannelPermutation(),
    ae.RandomChannelPermutation(0.5),
    ae.RandomAutocontrast(),
    ae.RandomEqualize(0.1),
    ae.RandomInvert(0.1),
    ae.RandomPosterize(3),
    ae.RandomSolarize(128, 0.2),
    ae.RandomSolarize("#80"),
    ae.RandomSolarizeAdd(),
    ae.RandomSolarizeAdd((-20, 40), 0.1),
    ae.RandomGamma(),
    ae.RandomGamma(1.7, 0.1, 0.9),
    ae.RandomAdjustSharpness(2),
    ae.RandomAdjustSharpness((0, 2), 0.1),
    ae.GaussianBlur(),
    ae.GaussianBlur((3, 5), 0.7, 0.1),
    ae.GaussianNoise(),
    ae.GaussianNoise(0.1, (0, 0.2), True, 0.3),
    ae.RandomMotionBlur(),
    ae.RandomMotionBlur((3, 9), 30, (0.5, 1), "bilinear", 0.3),
    ae.RandomDefocus(),
    ae.RandomDefocus(2, (0, 0.3), 0.2),
    ae.RandomPlanckianJitter(),
    ae.RandomPlanckianJitter("CIED", (0, 3, -1), 0.2),
    ae.RandomSaltAndPepperNoise(),
    ae.RandomSaltAndPepperNoise(0.1, (0, 1), 0.2),
    ae.RandomShadow(),
    ae.RandomShadow(0.2, 20, 0.3),
    ae.RandAugment(),
    ae.RandAugment(3, 5, 11, "nearest", 7, p=0.5, magnitude_std=0.5),
    ae.RandAugment(dialect="timm", increasing=True, max_magnitude=20, choices="3aw"),
    ae.RandAugment(dialect="timm", weights={"Rotate": 2, "Equalize": 1}),
    ae.TrivialAugmentWide(),
    ae.TrivialAugmentWide(11, "bilinear", (1, 2, 3)),
    ae.AutoAugment(),
    ae.AutoAugment("svhn"),
    ae.AutoAugment("v0r", dialect="timm", magnitude_std=0.5),
    ae.AugMix(),
    ae.AugMix(5, 2, 2, 0.5, False),
    ae.AugMix(dialect="timm"),
    ae.ThreeAugment(),
    ae.ThreeAugment(100, 1.0),
    ae.UniformAugment(),
    ae.FixMatchAugment(3),
    ae.CutMix(),
    ae.CutMix(0.2, 0.5, True),
    ae.CutMix(alpha=0.2, num_classes=9, labels_getter=None),
    ae.MixUpOrCutMix(),
    ae.MixUpOrCutMix(0.2, 0.3, 0.4, 0.5, True),
    ae.Mosaic(),
    ae.Mosaic(0.5, (0.4, 0.6)),
    ae.Cutout(),
    ae.Cutout(0.3, (1, 2, 3), 0.5),
    ae.MixUp(),
    ae.MixUp(0.2, 0.5),
    ae.MixUp(alpha=0.2, num_classes=9, labels_getter=None),
    ae.RandomErasing(),
    ae.RandomErasing(0.9, (0.1, 0.2), (0.5, 2.0), (0.1, 0.2, 0.3), True),
    ae.RandomErasing(value="random", count=(1, 3)),
    ae.RandomErasing(value="color", count=2),
    ae.Normalize(0.5, 0.5),
    ae.Normalize((0.4, 0.5, 0.6), [0.1, 0.2, 0.3], True),
    ae.ToImage(),
    ae.PILToTensor(),
    ae.ToPureTensor(),
    ae.ToTensor(),
    ae.ToDtype(torch.float32, True),
    ae.ConvertImageDtype(),
    ae.ConvertImageDtype(torch.uint8),
    ae.Compose([ae.Resize(8), ae.RandomHorizontalFlip()]),
    ae.RandomApply([ae.RandomRotation(9)], 0.3),
    ae.DuringEpochs([ae.RandomRotation(9)]),
    ae.DuringEpochs([ae.RandomRotation(9), ae.RandomBrightness()], 0, 5),
    ae.Scheduled([ae.RandomRotation(9)]),
    ae.Scheduled(
        [ae.RandomRotation(9), ae.RandomBrightness()],
        0,
        5,
        ((0, 0.5), (9, 1.0)),
        ae.Ramp([(0, 0.4)]),
    ),
    ae.OneOf([ae.RandomRotation(9), ae.RandomBrightness(0.1)]),
    ae.OneOf([ae.CutMix(), ae.MixUp()], (1, 3)),
    ae.SomeOf([ae.RandomRotation(9), ae.RandomGrayscale()]),
    ae.SomeOf([ae.OneOf([ae.RandomRotation(9)]), ae.RandomBrightness()], 1, (0.1, 0.9), False),
    ae.RandomChoice([ae.RandomRotation(9), ae.RandomBrightness(0.1)]),
    ae.RandomChoice([ae.RandomGamma(), ae.RandomGrayscale()], (1, 3)),
    ae.RandomOrder([ae.RandomRotation(9), ae.RandomGrayscale(), ae.RandomInvert(0.5)]),
    ae.RandomOrder(ae.RandomRotation(9)),
    ae.FiveCrop(32, 1),
    ae.FiveCrop((32, 40), which=4),
    ae.TenCrop(32, which=3),
    ae.TenCrop((32, 40), True, 7),
    ae.Grayscale(),
    ae.Grayscale(3),
    ae.RGB(),
    ae.JPEG(50),
    ae.JPEG((30, 90), 0.5),
    ae.ElasticTransform(),
    ae.ElasticTransform((30, 60), (3.0, 4.0), "nearest", (1, 2, 3), 0.5),
]


def at_the_top(op):
    """Whether an op stands at the top of a policy only."""
    converts = getattr(op, "converts_to", None) is not None
    return isinstance(op, ae.Normalize) or whole_batch(op) or converts


BOXES = [[2, 3, 20, 30], [18, 7, 39, 25]]  # of each image, where an op looks at them


def plan_of(policy, n=8, size=(40, 40), **kwargs):
    policy = ae.Policy(policy)
    if policy.needs_boxes:
        kwargs.setdefault("boxes", [BOXES] * n)
    return policy.sample(np.arange(n), np.tile(size, (n, 1)), **kwargs)


# YAML


def test_every_op_is_in_the_list_of_cases():
    assert {type(op).__name__ for op in OPS} | {"Op", "Stage", "Lambda"} == set(ops.__all__)


def test_every_op_has_a_hash():
    """A change that must not change a pixel is proven by benchmarks.hashes, which must know every op."""
    hashed = {
        type(op).__name__
        for _, policy, *_ in hashes.cases()
        for top in policy.transforms
        for op in top.with_children()
    }
    assert hashed | {"Op", "Stage", "Lambda", "Compose"} == set(ops.__all__)


@pytest.mark.parametrize("op", OPS, ids=repr)
def test_yaml_reads_back_what_it_wrote(op):
    for policy in (ae.Policy(op), ae.Policy([op] if at_the_top(op) else ae.RandomApply([op], 0.7))):
        text = policy.to_yaml()
        again = ae.Policy.from_yaml(text)
        assert again == policy
        assert again.fingerprint == policy.fingerprint
        assert again.to_yaml() == text
        assert hash(again) == hash(policy)


def test_yaml_is_plain_and_short():
    policy = ae.Policy([ae.RandomResizedCrop(224), ae.RandomApply([ae.RandomRotation(9)], 0.3)])
    assert yaml.safe_load(policy.to_yaml()) == {
        "augengine": 1,
        "policy": [
            {"RandomResizedCrop": {"size": [224, 224]}},
            {
                "RandomApply": {
                    "transforms": [{"RandomRotation": {"degrees": [-9.0, 9.0]}}],
                    "p": 0.3,
                }
            },
        ],
    }


def test_yaml_written_by_hand():
    policy = ae.Policy.from_yaml(
        """
        augengine: 1
        policy:
        - RandomResizedCrop: {size: 24}
        - RandomHorizontalFlip:
        - OneOf:
            transforms:
            - RandomRotation: {degrees: 10}
            - RandomGrayscale: {}
        """
    )
    flip = ae.RandomHorizontalFlip()
    one = ae.OneOf([ae.RandomRotation(10), ae.RandomGrayscale()])
    assert policy == ae.Policy([ae.RandomResizedCrop(24), flip, one])


def test_the_plan_of_a_policy_from_yaml_is_the_same():
    policy = [ae.RandomResizedCrop(24), ae.SomeOf([ae.RandomRotation(9), ae.ColorJitter(0.3)])]
    assert plan_of(ae.Policy.from_yaml(ae.Policy(policy).to_yaml())) == plan_of(policy)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("RandomHorizontalFlop", "RandomHorizontalFlip"), ("Cutmix", "CutMix"), ("Op", r"\w+")],
)
def test_an_unknown_op_names_the_nearest(name, nearest):
    text = f"augengine: 1\npolicy: [{{{name}: {{}}}}]"
    with pytest.raises(
        ValueError,
        match=rf"from_yaml: got the op '{name}', which is unknown\. The nearest is {nearest}\.",
    ):
        ae.Policy.from_yaml(text)


@pytest.mark.parametrize(
    "text",
    [
        "augengine: 1\npolicy: !!python/object/apply:os.system ['true']",
        "augengine: 1\npolicy: [!!python/name:os.system {}]",
        "augengine: 1\npolicy: [",
        "\t- :",
    ],
)
def test_yaml_never_runs_code(text):
    with pytest.raises(ValueError, match=r"Policy\.from_yaml: .*plain YAML"):
        ae.Policy.from_yaml(text)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", ValueError, "got no policy of version 1, expected"),
        ("[]", ValueError, "got no policy of version 1, expected"),
        ("augengine: 2\npolicy: []", ValueError, "got no policy of version 1, expected"),
        ("augengine: 1", ValueError, "policy: got None, expected a list of ops"),
        ("augengine: 1\npolicy: 5", ValueError, "expected a list of ops"),
        ("augengine: 1\npolicy: flip", ValueError, "expected a list of ops"),
        ("augengine: 1\npolicy: [flip]", ValueError, "got 'flip', expected one op as"),
        ("augengine: 1\npolicy: [{A: {}, B: {}}]", ValueError, "expected one op as"),
        ("augengine: 1\npolicy: [{3: {}}]", ValueError, "line 2: got a key that is no name"),
        ("augengine: 1\npolicy: [{CutMix: 5}]", ValueError, "CutMix: got 5, expected arguments"),
        ("augengine: 1\npolicy: [{CutMix: {q: 5}}]", TypeError, "CutMix.*'q'"),
        ("augengine: 1\npolicy: [{Resize: {}}]", TypeError, "Resize.*'size'"),
        ("augengine: 1\npolicy: [{CutMix: {p: 5}}]", ValueError, r"CutMix\.p: got 5, expected"),
        ("augengine: 1\npolicy: [{CutMix: {p: x}}]", TypeError, r"CutMix\.p: got 'x', expected"),
        ("augengine: 1\npolicy: [{OneOf: {transforms: 5}}]", ValueError, "expected a list of ops"),
    ],
)
def test_a_wrong_yaml_says_what_is_wrong(text, error, said):
    with pytest.raises(error, match=said):
        ae.Policy.from_yaml(text)


# Names


def test_fingerprints_are_equal_exactly_for_equal_policies():
    policies = [ae.Policy(op) for op in OPS]
    assert len({p.fingerprint for p in policies}) == len(policies)
    for op in OPS:
        fresh = ae.Policy(dataclasses.replace(op))
        assert fresh.fingerprint == ae.Policy(op).fingerprint
        assert len(fresh.fingerprint) == 16
        assert int(fresh.fingerprint, 16) >= 0
    flip, turn = ae.RandomHorizontalFlip(), ae.RandomQuarterTurn()
    assert ae.Policy([flip, turn]).fingerprint != ae.Policy([turn, flip]).fingerprint
    # Ways to say the same thing.
    assert (
        ae.Policy(ae.RandomRotation(9)).fingerprint
        == ae.Policy(ae.RandomRotation((-9, 9))).fingerprint
    )
    assert ae.Policy(ae.Resize([8])) == ae.Policy(ae.Resize(8))
    assert ae.Policy(ae.CenterCrop(8)) == ae.Policy(ae.CenterCrop((8, 8)))
    assert ae.Policy(ae.Policy(flip)) == ae.Policy([flip])
    assert ae.Policy(flip) != flip


def test_the_plan_names_its_policy():
    policy = ae.Policy(ae.CenterCrop(8))
    assert plan_of(policy).policy == policy.fingerprint


def test_repr_shows_the_ops_and_reads_back():
    policy = ae.Policy(OPS[:3])
    assert eval(repr(policy), vars(ae)) == policy


def test_ops_are_frozen():
    for op in OPS:
        with pytest.raises(dataclasses.FrozenInstanceError):
            op.p = 1


def test_torchvisions_interpolation_mode_is_taken():
    from torchvision.transforms import InterpolationMode

    op = ae.RandomRotation(9, interpolation=InterpolationMode.NEAREST)
    assert op == ae.RandomRotation(9, interpolation="nearest")
    cubic = ae.Resize(9, interpolation=InterpolationMode.BICUBIC)
    assert cubic == ae.Resize(9, "bicubic") == ae.Resize(9, 3) == ae.Resize(9, ["bicubic"])
    assert (
        ae.Resize(9, InterpolationMode.NEAREST_EXACT) == ae.Resize(9, "nearest") == ae.Resize(9, 0)
    )
    assert ae.Resize(9, 2) == ae.Resize(9, "bilinear")
    with pytest.raises(
        ValueError, match="got 'lanczos', expected 'bilinear', 'bicubic' or 'nearest'"
    ):
        ae.Resize(9, interpolation=InterpolationMode.LANCZOS)
    with pytest.raises(ValueError, match="Resize: got no interpolation, expected one or more"):
        ae.Resize(9, interpolation=())


def test_of_several_interpolations_each_sample_draws_one():
    """As timm's RandomResizedCropAndInterpolation; no other draw changes by it."""
    names = ("bilinear", "bicubic")
    both, one = (ae.Policy(ae.RandomResizedCrop(24, interpolation=i)) for i in (names, "bilinear"))
    assert ae.Policy.from_yaml(both.to_yaml()) == both
    ids, sizes = range(2000), [(30, 40)] * 2000
    plan, bilinear = both.sample(ids, sizes), one.sample(ids, sizes)
    assert np.array_equal(plan.inv_matrix, bilinear.inv_matrix)
    cubic = plan.slope == -0.5
    assert cubic.sum() == (plan.slope != 0).sum()
    assert 900 < cubic.sum() < 1100  # four deviations
    assert np.allclose(plan.support[cubic], 2 * bilinear.support[cubic])
    assert np.array_equal(plan.support[~cubic], bilinear.support[~cubic])
    assert all(plan.explain(i).endswith(names[int(cubic[i])]) for i in range(9))
    few = both.sample(ids[7:9], sizes[:2])
    assert np.array_equal(few.slope, plan.slope[7:9])


# What cannot be one policy

FLIP, MIX, ERASE = ae.RandomHorizontalFlip(), ae.CutMix(), ae.RandomErasing()
NORMALIZE = ae.Normalize(0.5, 0.5)


@pytest.mark.parametrize(
    "transforms",
    [
        [MIX, FLIP],
        [ERASE, FLIP],
        [NORMALIZE, FLIP],
        [FLIP, MIX, ae.ColorJitter(0.1)],
        [FLIP, MIX, ERASE, ae.CenterCrop(8)],
        [ae.RandomApply([FLIP, MIX]), FLIP],
        [ae.OneOf([FLIP, MIX]), FLIP],
        [MIX, ae.OneOf([FLIP, MIX])],
        [ae.SomeOf([MIX, ERASE]), FLIP],
        [ae.Compose([FLIP, MIX]), FLIP],
        [ae.DuringEpochs([FLIP, MIX], 5), FLIP],
    ],
    ids=str,
)
def test_geometry_and_colour_come_before_mixes(transforms):
    said = r": \w+ comes after \w+, expected geometry and colour before .*\. Move it up\."
    with pytest.raises(ValueError, match="Policy" + said):
        ae.Policy(transforms)
    for group in (ae.Compose, ae.RandomApply, ae.DuringEpochs, ae.Scheduled):
        with pytest.raises(ValueError, match=group.__name__ + said):
            group(transforms)


@pytest.mark.parametrize(
    "transforms",
    [
        [FLIP, MIX, ERASE, NORMALIZE],
        [FLIP, NORMALIZE, ERASE, MIX],
        [FLIP, ae.OneOf([MIX, ae.MixUp()]), NORMALIZE],
        [FLIP, ae.SomeOf([MIX, ERASE]), NORMALIZE],
        [FLIP, ae.OneOf([FLIP, MIX]), ERASE],
        ae.Compose([FLIP, MIX, NORMALIZE]),
        [ae.Compose([FLIP, NORMALIZE])],
    ],
    ids=str,
)
def test_orders_that_are_fine(transforms):
    assert len(plan_of(transforms)) == 8


def test_mixes_and_ops_on_the_image_do_not_share_a_some_of():
    with pytest.raises(
        ValueError, match=r"SomeOf: got mixes or erasing beside .*, expected one kind"
    ):
        ae.SomeOf([FLIP, MIX], 2)
    ae.SomeOf([FLIP, MIX], 1)


@pytest.mark.parametrize(
    "transforms",
    [
        [ae.RandomApply([NORMALIZE])],
        [FLIP, ae.OneOf([NORMALIZE, MIX])],
        [FLIP, ae.Compose([NORMALIZE]), MIX],
        [ae.Compose([FLIP, ae.RandomApply([NORMALIZE])])],
        [ae.Compose([ae.SomeOf([MIX, NORMALIZE])])],
    ],
    ids=str,
)
def test_normalize_stands_at_the_top(transforms):
    with pytest.raises(
        ValueError, match=r"Normalize stands inside .*, expected it at the top.*Move"
    ):
        ae.Policy(transforms)


def test_one_normalize_is_enough():
    with pytest.raises(ValueError, match=r"Policy: got 2 Normalize, expected one.* Leave"):
        ae.Policy([FLIP, NORMALIZE, ae.Normalize(0.1, 0.2)])


@pytest.mark.parametrize(
    ("name", "transforms"),
    [
        ("fill", [ae.RandomRotation(9, fill=1), ae.RandomAffine(9, fill=2)]),
        ("fill", [ae.CenterCrop(9, fill=1), ae.RandomApply([ae.RandomPerspective(fill=0)])]),
        ("interpolation", [ae.Resize(9, "nearest"), ae.RandomAffine(9, interpolation="bilinear")]),
        ("interpolation", [ae.OneOf([ae.RandomRotation(9, "nearest"), ae.Resize(9, "bilinear")])]),
        (
            "padding_mode",
            [ae.RandomCrop(9, padding_mode="edge"), ae.RandomCrop(8, padding_mode="reflect")],
        ),
    ],
)
def test_ops_agree_on_how_a_view_is_sampled(name, transforms):
    with pytest.raises(
        ValueError,
        match=rf"Policy: got \w+\({name}=.* and \w+\({name}=.*, expected one {name} .*\. Give",
    ):
        ae.Policy(transforms)


def test_an_op_that_does_not_mind_agrees():
    fill = plan_of([ae.RandomRotation(9, fill=51), ae.RandomAffine(9), ae.RandomCrop(9, 2)]).fill
    np.testing.assert_allclose(fill, 0.2)
    nearest = plan_of([ae.Resize((9, 9), "nearest"), ae.RandomAffine(9)])
    np.testing.assert_array_equal(nearest.support, 0)


def test_fill_has_as_many_channels_as_the_images():
    policy = [ae.RandomRotation(9, fill=(1, 2, 3))]
    np.testing.assert_allclose(plan_of(policy).fill[0] * 255, [1, 2, 3], rtol=1e-6)
    with pytest.raises(
        ValueError, match=r"got a fill of 3 channels, the images have 1\. Pass 1 or one"
    ):
        plan_of(policy, channels=1)


def test_frames_that_differ_at_the_end():
    sizes = np.array([[40, 40], [40, 50]])
    for policy in (FLIP, ae.Resize(20), [FLIP, MIX], ae.RandomApply([ae.CenterCrop(8)], 0)):
        with pytest.raises(
            ValueError,
            match=r"sample 7 is \d+×\d+ at the end and sample 9 is .*, expected one size.*Add",
        ):
            ae.Policy(policy).sample([7, 9], sizes)
    assert ae.Policy(ae.Resize((20, 20))).sample([7, 9], sizes).finish.size == (20, 20)


def test_a_crop_larger_than_the_image():
    with pytest.raises(
        ValueError,
        match=r"image of sample 3 is 8×9 there, expected at least 10×10 .*pad_if_needed=True",
    ):
        ae.Policy(ae.RandomCrop(10)).sample([3], [[8, 9]])
    plan = ae.Policy(ae.RandomCrop(10, pad_if_needed=True)).sample([3], [[8, 9]])
    assert plan.finish.size == (10, 10)


@pytest.mark.parametrize(
    "policy",
    [
        ae.RandomGrayscale(),
        ae.RandomDesaturate(),
        ae.RandomChannelPermutation(),
        ae.RandomPhotometricDistort(),
        ae.ColorJitter(saturation=0.1),
        ae.ColorJitter(hue=0.1),
        ae.RandAugment(),
        ae.ThreeAugment(),
    ],
)
@pytest.mark.parametrize("channels", [2, 4, 5])
def test_mixing_colours_needs_rgb_or_grey(policy, channels):
    """Whatever is drawn: of one sample most draws of RandAugment mix nothing."""
    with pytest.raises(
        ValueError,
        match=rf"needs RGB or grey, the images have {channels} channel\(s\)\. Leave it out",
    ):
        plan_of(policy, channels=channels)


def test_normalize_against_the_batch():
    with pytest.raises(
        ValueError, match=r"Normalize: got 3 means, the images have 4 channels\. Pass"
    ):
        plan_of(ae.Normalize((0.1,) * 3, (0.1,) * 3), channels=4)
    with pytest.raises(
        ValueError, match=r"got Normalize with uint8 output, expected a float.* Leave"
    ):
        plan_of(NORMALIZE, dtype="uint8")


# Strength


def test_strength_0_is_the_image_itself():
    """Of every op with a magnitude; probabilities and choices are no magnitudes."""
    policy = [
        ae.RandomResizedCrop(40),
        ae.RandomRotation(30),
        ae.RandomAffine((10, 20), (0.3, 0.3), (0.5, 0.9), (5, 10, 5, 10)),
        ae.RandomPerspective(0.5, p=1),
        ae.ColorJitter(0.5, 0.5, 0.5, 0.3),
        ae.RandomBrightness((0.2, 0.4)),
    ]
    plan = plan_of(policy, n=50, strength=np.zeros(50))
    np.testing.assert_allclose(plan.inv_matrix, np.tile(np.eye(3), (50, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(plan.support, 1, atol=1e-6)
    matrices = plan.step_arg[plan.step_kind == MATRIX]
    assert len(matrices) == 4 * 50
    np.testing.assert_array_equal(matrices, [[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]] * len(matrices))
    hues = plan.step_arg[(plan.step_kind != MATRIX) & (plan.step_kind != 0)]
    np.testing.assert_array_equal(hues, 0)
    pixels = torch.rand(50, 3, 40, 40)
    assert torch.allclose(ae.execute(plan, pixels, executor="torch"), pixels, atol=1e-5)


@pytest.mark.parametrize(
    ("op", "magnitude", "neutral"),
    [
        (ae.RandomRotation(30), lambda p: np.degrees(np.arctan2(p[1, 0], p[0, 0])), 0),
        (ae.RandomAffine(0, scale=(0.5, 0.9), center=(0, 0)), lambda p: 1 / p[0, 0], 1),
        (ae.RandomAffine(0, shear=30, center=(0, 0)), lambda p: np.degrees(np.arctan(p[0, 1])), 0),
    ],
    ids=["rotation", "scale", "shear"],
)
def test_strength_pulls_geometry_towards_neutral_in_proportion(op, magnitude, neutral):
    full, half = (
        np.array([magnitude(m) for m in plan_of(op, n=50, strength=np.full(50, s)).inv_matrix])
        for s in (1, 0.5)
    )
    np.testing.assert_allclose(half - neutral, (full - neutral) / 2, atol=1e-4)
    np.testing.assert_array_equal(
        plan_of(op).inv_matrix, plan_of(op, strength=np.ones(8)).inv_matrix
    )


@pytest.mark.parametrize(
    ("op", "entry", "neutral"),
    [
        (ae.ColorJitter(brightness=0.5), 0, 1),
        (ae.ColorJitter(contrast=(1.5, 2)), 0, 1),
        (ae.ColorJitter(saturation=0.5), 0, 1),
        (ae.ColorJitter(hue=0.3), 0, 0),
        (ae.RandomBrightness((0.1, 0.4)), 3, 0),
    ],
    ids=repr,
)
def test_strength_pulls_colour_towards_neutral_in_proportion(op, entry, neutral):
    full, third = (
        plan_of(op, n=50, strength=np.full(50, s)).step_arg[:, 0, entry] for s in (1, 1 / 3)
    )
    np.testing.assert_allclose(third - neutral, (full - neutral) / 3, atol=1e-6)


def test_strength_is_each_samples_own():
    op = ae.RandomRotation((10, 20))
    mixed = plan_of(op, n=4, strength=[0, 1, 0, 1])
    full = plan_of(op, n=4)
    np.testing.assert_array_equal(mixed.inv_matrix[1::2], full.inv_matrix[1::2])
    np.testing.assert_allclose(mixed.inv_matrix[0::2], np.tile(np.eye(3), (2, 1, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((40, 40), "crop 40×40 at (0, 0) → 20×20"),
        ((40, 80), "crop 40×53 at (0, 13) → 20×20"),  # the ratio stays within its limits
    ],
)
def test_a_crop_of_strength_0_is_all_that_its_ratio_lets_through(size, words):
    plan = plan_of(ae.RandomResizedCrop(20), size=size, strength=np.zeros(8))
    assert {plan.explain(i) for i in range(8)} == {words}


# Every op, every mix


@pytest.mark.parametrize(
    "mixes",
    [
        [ae.CutMix()],
        [ae.MixUp()],
        [ae.MixUp(), ae.MixUp(0.4)],
        [ae.MixUp(), ae.CutMix()],
        [ae.CutMix(), ae.CutMix(p=0.5)],
        [ae.OneOf([ae.CutMix(), ae.MixUp()])],
        [ae.CutMix(), ae.RandomErasing(1)],
        [ae.CutMix(), ae.MixUp()],
        [ae.Mosaic(0.5), ae.MixUpOrCutMix(), ae.MixUp()],
        [ae.RandomApply([ae.MixUp(), ae.CutMix()], 0.5)],
    ],
    ids=str,
)
def test_weights_of_every_output_sum_to_one(mixes):
    plan = plan_of(mixes, n=64)
    np.testing.assert_allclose(plan.weight.sum(axis=1), 1, atol=1e-6)
    assert (plan.weight >= 0).all()


def test_no_row_and_every_row_of_every_op():
    """An op that no sample of the batch chose decides nothing and fails at nothing."""
    for op in OPS:
        if not at_the_top(op):
            assert plan_of(ae.RandomApply([op], 1e-9)).explain(0) == "unchanged", op


# No state


def test_sampling_leaves_the_global_generators_alone():
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    numpy_state = np.random.get_state
    before = random.getstate(), numpy_state()[1].copy(), torch.get_rng_state()
    plan = plan_of([ae.RandomResizedCrop(24), ae.ColorJitter(0.1), ae.CutMix()])
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(numpy_state()[1], before[1])
    assert torch.equal(torch.get_rng_state(), before[2])
    random.seed(9), np.random.seed(9), torch.manual_seed(9)  # noqa: NPY002
    assert plan_of([ae.RandomResizedCrop(24), ae.ColorJitter(0.1), ae.CutMix()]) == plan


@pytest.mark.parametrize(
    "op",
    [op for op in OPS if not ae.Policy(op).mixes and not isinstance(op, ae.PadToLargest)],
    ids=repr,
)
def test_every_op_is_keyed_by_the_sample_alone(op):
    """A sample alone, and the same sample in the middle of others, of other sizes."""
    resize = ae.Resize((48, 48))
    policy = ae.Policy([op, resize] if op.stages == (0, 0) and op.children == () else [resize, op])
    if getattr(op, "interpolation", None) is None and isinstance(op, ae.Resize):
        policy = ae.Policy([op, ae.CenterCrop(30)])
    sizes = np.array([[57, 67]] * 4 + [[50, 60]] + [[57, 67]] * 4)
    ids = [1, 9, 2**40, 0, 5, 6, 7, 8, 3]
    boxes = [[]] * 4 + [BOXES] + [[[0, 0, 9, 9]]] * 4
    together = policy.sample(ids, sizes, seed=3, epoch=2, boxes=boxes)
    alone = policy.sample([5], [[50, 60]], seed=3, epoch=2, boxes=[BOXES])
    assert together.explain(4) == alone.explain(0)
    for name in ("inv_matrix", "support", "clip", "fill", "border"):
        np.testing.assert_array_equal(getattr(together, name)[4], getattr(alone, name)[0])
    steps = alone.step_kind.shape[1]
    for step in range(steps):
        mine, others = alone.step_arg[0, step], together.step_arg[4, step]
        if alone.step_kind[0, step] == CURVE:  # whose number depends on the others' curves
            mine, others = alone.curves[int(mine[0])], together.curves[int(others[0])]
        np.testing.assert_array_equal(others, mine)
    assert not together.step_kind[4, steps:].any()


def test_an_op_is_a_base_for_ones_own():
    """The contract in a few lines: an op of a user decides through the draft."""

    @dataclasses.dataclass(frozen=True)
    class Nudge(Op):
        def _decide(self, draft, rows, place):
            draft.step(
                rows, MATRIX, np.tile([1, 0, 0, 0.1, 0, 1, 0, 0.1, 0, 0, 1, 0.1], (len(rows), 1))
            )
            draft.log(rows, "nudged")

    assert plan_of([ae.CenterCrop(8), ae.RandomApply(Nudge(), 1)]).explain(0).endswith("nudged")


# No ops at all


@each_executor
def test_no_ops_leave_images_as_they_are(executor):
    policy = ae.Policy([])
    images = np.random.default_rng(0).integers(0, 256, (3, 9, 14, 3), np.uint8)
    plan = policy.sample([4, 5, 6], [(9, 14)] * 3, dtype="uint8")
    drawn = ae.execute(plan, images, executor=executor, layout="NHWC")
    np.testing.assert_array_equal(drawn.movedim(1, -1).numpy(), images)
    assert plan.explain(1) == "unchanged"
    assert ae.Policy.from_yaml(policy.to_yaml()) == policy
    with pytest.raises(ValueError, match=r"9×14 at the end and .*, expected one size .*Add"):
        policy.sample([4, 5], [(9, 14), (9, 15)])
