"""timm's strings become the ops that timm makes of them, or say what cannot be said."""

import warnings

import numpy as np
import pytest
import torch
from cases import draw
from photos import patch
from timm.data import Mixup, create_transform
from timm.data import auto_augment as timm
from timm.data import transforms as timm_transforms
from timm.data.random_erasing import RandomErasing

import augengine as ae
from augengine.policy.ops import spaces
from augengine.recipes.from_timm import from_timm

MEAN = (0.485, 0.456, 0.406)
RAND = [
    "rand",
    "rand-m9-mstd0.5-inc1",  # DeiT, Swin, ConvNeXt, and timm's own from then on
    "rand-m9-mstd0.5",
    "rand-m9-n3-mstd0.5",
    "rand-m7-mstd0.5-inc1",
    "rand-m6-mstd0.5-inc1",
    "rand-m8-inc1-mstd1.0",
    "rand-m15-n2",
    "rand-m15-mstd0.5-inc1",
    "rand-m20-mmax20-n3-p0.6-mstd2.5",
    "rand-m15-mmax30-inc1-mstd101",
    "rand-m9-mmax9-inc0",
    "rand-mstd1-tweights",
    "rand-m9-n3-t3a",
    "rand-n2-t3aw-inc1",
    "rand-m0-n1-p1",
]


@pytest.mark.parametrize("config", RAND)
def test_randaugment_reads_timms_string_as_timm(config):
    op, theirs = from_timm(config), timm.rand_augment_transform(config)
    assert isinstance(op, ae.RandAugment)
    assert op.dialect == "timm"
    names, first = [step.name for step in theirs.ops], theirs.ops[0]
    most = first.magnitude_max or 10
    assert op.num_ops == theirs.num_layers
    assert op.magnitude == min(first.magnitude, most)
    assert (op.max_magnitude or 10) == most
    assert op.p == first.prob
    assert op.fill == first.kwargs["fillcolor"][0] == 128
    if first.magnitude_std == float("inf"):
        assert op.magnitude_std > 100
    elif first.magnitude <= most:
        assert op.magnitude_std == first.magnitude_std
    assert op._weighted == (theirs.choice_weights is not None)
    weights = theirs.choice_weights if op._weighted else np.ones(len(names)) / len(names)
    total = sum(op._names.values())
    assert {k: v / total for k, v in op._names.items()} == pytest.approx(
        dict(zip(names, weights, strict=True))
    )


@pytest.mark.parametrize(
    "config", ["original", "original-mstd0.5", "originalr", "v0", "v0r-mstd0", "v0r-mstd2.5"]
)
def test_autoaugment_reads_timms_string_as_timm(config):
    op, theirs = from_timm(config), timm.auto_augment_transform(config)
    assert isinstance(op, ae.AutoAugment)
    assert op.dialect == "timm"
    ours = spaces.AUTO_AUGMENT_POLICIES["timm"][op.policy]
    for mine, sub in zip(ours, theirs.policy, strict=True):
        assert [step[:2] for step in mine] == [(step.name, step.prob) for step in sub]
        assert {step.magnitude_std for step in sub} == {op.magnitude_std}


@pytest.mark.parametrize(
    "config", ["augmix", "augmix-m5-w4-d2", "augmix-m1-w2-a0.5-b0", "augmix-d0", "augmix-m10-d3"]
)
def test_augmix_reads_timms_string_as_timm(config):
    op, theirs = from_timm(config), timm.augment_and_mix_transform(config)
    assert isinstance(op, ae.AugMix)
    assert op.dialect == "timm"
    assert op.mixture_width == theirs.width
    assert op.alpha == theirs.alpha
    assert max(op.chain_depth, 0) == max(theirs.depth, 0)
    assert {step.magnitude for step in theirs.ops} == {op.severity}
    assert {step.magnitude_std for step in theirs.ops} == {float("inf")}  # uniform, as ours


def test_three_augment_is_timms():
    theirs = timm.auto_augment_transform("3a").policy
    assert [[(step.name, step.prob, step.magnitude) for step in sub] for sub in theirs] == [
        [("Solarize", 1.0, 5)],
        [("Desaturate", 1.0, 10)],
        [("GaussianBlurRand", 1.0, 10)],
    ]
    assert from_timm("3a") == from_timm("3a-mstd0") == ae.ThreeAugment()


@pytest.mark.parametrize("config", ["rand-m9-mstd0.5-inc1", "augmix-m3", "original"])
def test_timms_fill_is_the_mean(config):
    """As its create_transform passes it."""
    theirs = create_transform(8, True, auto_augment=config, mean=MEAN).transforms[2]
    step = theirs.policy[0][0] if config == "original" else theirs.ops[0]
    mean = step.kwargs["fillcolor"]
    assert mean == (124, 116, 104)
    assert from_timm(config, image_mean=mean).fill == mean
    assert from_timm(config).fill == timm._FILL[0]
    assert step.hparams.get("translate_pct", 0.45) == (0.3 if config == "augmix-m3" else 0.45)


def test_timms_strings_make_policies():
    for config in (*RAND, "original-mstd0.5", "augmix-m5-w4-d2", "3a"):
        images = draw([ae.CenterCrop(24), from_timm(config)], [patch("coffee", 40, 40)], "cpu")[0]
        assert images.shape == (1, 3, 24, 24)


def test_a_magnitude_above_the_most_is_cut_after_its_noise():
    """Of m15-mstd0.5 every level is 10, in timm and here; of m11-mstd1 some are not."""
    step = timm.rand_augment_transform("rand-m15-mstd0.5").ops[0]
    assert step.magnitude - 4 * step.magnitude_std > 10
    assert from_timm("rand-m15-mstd0.5").magnitude_std == 0
    assert from_timm("rand-m10-mstd0.5").magnitude_std == 0.5
    for config in ("rand-m11-mstd1", "rand-m12-mstd101", "rand-m21-mmax20-mstd5"):
        with pytest.raises(
            ValueError, match=rf"^from_timm: '{config}' asks for magnitude \d\d above .*\."
        ):
            from_timm(config)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            "",
            r"'' begins with '', expected one of rand, augmix, original, originalr, v0, v0r, 3a\.",
        ),
        ("randaug-m9", "begins with 'randaug', expected one of rand"),
        ("rand-m9-w0", "has the section 'w0', expected each of m, n, p, mstd, mmax, inc, t once"),
        ("rand-m9-9", "has the section '9', expected each of m, n"),
        ("rand-", "has the section '', expected each of m, n"),
        ("rand-m9-m8", "has the section 'm8' after another, expected each of .* once"),
        ("augmix-n2", "has the section 'n2', expected each of m, w, d, a, b, mstd once"),
        ("v0-m9", "has the section 'm9', expected each of mstd once"),
        ("rand-m9.5", "has 'm9.5', expected a whole number after 'm'"),
        ("rand-inc", "has 'inc', expected a whole number after 'inc'"),
        ("rand-p0.5x", "has 'p0.5x', expected a number after 'p'"),
        ("rand-t4a", "has the transforms '4a', expected one of 3a, 3aw, weights"),
        ("rand-t", "has the transforms '', expected one of 3a, 3aw, weights"),
        ("augmix-b1", r"asks for blended chains \(b1\), which augengine does not have"),
        (
            "augmix-m3-mstd0.5",
            r"asks for normal noise on AugMix \(mstd\), which augengine does not",
        ),
        ("3a-mstd0.5", "asks for noise on 3-Augment, which augengine does not have"),
        ("original-mstd101", "asks for a spread of 101 levels, which augengine does not have"),
    ],
)
def test_what_of_timms_cannot_be_said(config, said):
    with pytest.raises(
        ValueError, match=rf"^from_timm: '{config}' {said.replace(repr(config) + ' ', '')}"
    ):
        from_timm(config)


def test_what_an_op_refuses():
    with pytest.raises(ValueError, match=r"AugMix\.severity: got 12, expected 1 … 10"):
        from_timm("augmix-m12")
    with pytest.raises(ValueError, match=r"RandAugment\.p: got 1\.5"):
        from_timm("rand-p1.5")
    with pytest.raises(TypeError, match=r"^from_timm: got 9\.5, expected a string, transforms, a "):
        from_timm(9.5)


# Transforms, and the arguments that make them


def silently(transform, **how):
    """What is read without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return from_timm(transform, **how)


NORMALIZE = ae.Normalize(MEAN, (0.229, 0.224, 0.225))
MADE = {
    "evaluation": (
        dict(input_size=(3, 24, 24), crop_pct=0.9),
        [ae.Resize(26, "bilinear"), ae.CenterCrop(24), NORMALIZE],
    ),
    "squashed": (
        dict(input_size=(3, 24, 20), crop_mode="squash", crop_pct=1.0),
        [ae.Resize((24, 20), "bilinear"), ae.CenterCrop((24, 20)), NORMALIZE],
    ),
    "bordered": (
        dict(input_size=24, crop_mode="border", mean=(0.2,) * 3),
        [
            ae.ScaleJitter((27, 27), (1, 1), "bilinear"),
            ae.CenterCrop(24, 51),
            ae.Normalize((0.2,) * 3, NORMALIZE.std),
        ],
    ),
    "as bytes": (
        dict(input_size=24, is_training=True, use_prefetcher=True, color_jitter=None, vflip=0.1),
        [
            ae.RandomResizedCrop(24, interpolation="bilinear"),
            ae.RandomHorizontalFlip(),
            ae.RandomVerticalFlip(0.1),
        ],
    ),
    "training": (
        dict(
            input_size=24,
            is_training=True,
            scale=(0.2, 1),
            auto_augment="rand-m9-mstd0.5-inc1",
            re_prob=0.25,
            re_mode="pixel",
            re_count=2,
        ),
        [
            ae.RandomResizedCrop(24, (0.2, 1), interpolation="bilinear"),
            ae.RandomHorizontalFlip(),
            from_timm("rand-m9-mstd0.5-inc1", image_mean=(124, 116, 104)),
            NORMALIZE,
            ae.RandomErasing(
                0.25, (0.02, 1 / 3), (0.3, np.exp(-np.log(0.3))), "random", count=(1, 2)
            ),
        ],
    ),
    "three": (
        dict(input_size=24, is_training=True, auto_augment="3a", color_jitter=0.3, hflip=0),
        [
            ae.RandomResizedCrop(24, interpolation="bilinear"),
            ae.ThreeAugment(),
            ae.ColorJitter((0.7, 1.3), (0.7, 1.3), (0.7, 1.3)),
            NORMALIZE,
        ],
    ),
    "self-supervised": (
        dict(
            input_size=24,
            is_training=True,
            color_jitter=(0.4, 0.4, 0.2, 0.1),
            color_jitter_prob=0.8,
            grayscale_prob=0.2,
            gaussian_blur_prob=0.5,
        ),
        [
            ae.RandomResizedCrop(24, interpolation="bilinear"),
            ae.RandomHorizontalFlip(),
            ae.RandomApply([ae.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.8),
            ae.RandomGrayscale(0.2),
            ae.RandomApply([ae.GaussianBlur(23)], 0.5),
            NORMALIZE,
        ],
    ),
    "chains": (
        dict(input_size=24, is_training=True, auto_augment="augmix-m5-w4-d2", hflip=0),
        [
            ae.RandomResizedCrop(24, interpolation="bilinear"),
            from_timm("augmix-m5-w4-d2", image_mean=(124, 116, 104)),
            NORMALIZE,
        ],
    ),
}


@pytest.mark.parametrize("case", MADE)
def test_create_transform_and_its_arguments(case):
    arguments, ops = MADE[case]
    policy = silently(create_transform(**arguments))
    assert repr(policy) == repr(ae.Policy(ops))
    assert silently(None, **arguments) == policy
    size = arguments["input_size"]
    rest = {name: value for name, value in arguments.items() if name != "input_size"}
    assert from_timm(size, **rest) == policy


def test_what_create_transform_makes_in_three_parts():
    parts = create_transform(24, True, separate=True)
    assert silently(parts) == silently(24, is_training=True)


@pytest.mark.parametrize(
    "config",
    [c for c in RAND if "mstd" not in c or "mstd0" in c] + ["original-mstd0.5", "v0r", "3a"],
)
def test_an_object_is_what_its_string_is(config):
    """Their interpolation is drawn, of bilinear and bicubic, unless create_transform names it."""
    make = timm.rand_augment_transform if config.startswith("rand") else timm.auto_augment_transform
    theirs = make(config, {"img_mean": (128, 128, 128), "interpolation": 2})
    # Of a set by name the weights say all; inc1 changes nothing there.
    assert silently(theirs) == ae.Policy(from_timm(config.replace("t3aw-inc1", "t3aw")))


def test_uniform_levels_of_an_object():
    (op,) = silently(
        timm.rand_augment_transform("rand-m9-mstd101", {"interpolation": 2})
    ).transforms
    assert op.magnitude_std > 100
    assert op == from_timm("rand-m9-mstd101")


RESIZE = timm_transforms.ResizeKeepRatio


def test_pads_and_crops():
    for theirs, ours in [
        (
            timm_transforms.RandomCropOrPad(24, 7, "reflect"),
            [ae.RandomCrop(24, pad_if_needed=True, padding_mode="reflect")],
        ),
        (
            timm_transforms.CenterCropOrPad((24, 20), padding_mode="reflect"),
            [ae.Pad(0, padding_mode="reflect"), ae.CenterCrop((24, 20))],
        ),
        (RESIZE((30, 20), longest=1), [ae.ScaleJitter((20, 30), (1, 1), "bilinear")]),
        (RESIZE(30), [ae.Resize(30, "bilinear")]),
        (RandomErasing(0.3, mode="rand"), [ae.RandomErasing(0.3, (0.02, 1 / 3), value="color")]),
    ]:
        (*_, got), (*_, expected) = silently(theirs).transforms, ours
        if isinstance(got, ae.RandomErasing):
            assert (got.p, got.scale, got.value) == (expected.p, expected.scale, expected.value)
            assert got.ratio == pytest.approx((0.3, 1 / 0.3))
        else:
            assert silently(theirs) == ae.Policy(ours)


def test_a_centre_crop_or_pad_makes_timms_pixels():
    image = patch("astronaut", 20, 41)
    theirs = timm_transforms.CenterCropOrPad((27, 24), padding_mode="reflect")
    got, _ = draw(silently(theirs), [image], "cpu", dtype="uint8")
    assert torch.equal(got[0], theirs(image))


MIXES = [
    (dict(mixup_alpha=0.8, cutmix_alpha=1.0, prob=0.7), ae.MixUpOrCutMix(0.8, 1, 0.5, 0.7, True)),
    (
        dict(mixup_alpha=0.8, cutmix_alpha=1.0, switch_prob=0.3, mode="elem"),
        ae.MixUpOrCutMix(0.8, 1, 0.3),
    ),
    (dict(mixup_alpha=0.2), ae.MixUp(0.2, same_on_batch=True)),
    (dict(mixup_alpha=0, cutmix_alpha=0.5, mode="elem"), ae.CutMix(0.5)),
]


@pytest.mark.parametrize(("arguments", "op"), MIXES)
def test_mixup_becomes_an_op(arguments, op):
    assert silently(Mixup(**arguments, label_smoothing=0)) == op
    transforms = create_transform(24, True)
    policy = silently([transforms, Mixup(**arguments, label_smoothing=0)])
    assert policy == ae.Policy([*silently(transforms).transforms, op])


def test_what_of_mixup_belongs_to_the_engine_is_told():
    with pytest.warns(UserWarning, match=r"num_classes=9 and label_smoothing=0\.1 there") as caught:
        from_timm(Mixup(num_classes=9))
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=r"\(mode='pair'\), here each has its own\.$") as caught:
        from_timm([create_transform(24, True), Mixup(mode="pair", label_smoothing=0)])
    assert caught[0].filename == __file__


def test_another_interpolation_is_told():
    with pytest.warns(UserWarning, match=r"step 0 \(Resize\) wants lanczos, but bicubic holds"):
        from_timm(24, interpolation="lanczos")


@pytest.mark.parametrize("interpolation", ["bicubic", ("bilinear", "bicubic")])
def test_bicubic_and_one_drawn_of_two(interpolation):
    name = interpolation if isinstance(interpolation, str) else "random"
    policy = silently(24, is_training=True, interpolation=name, auto_augment="rand-m9-inc1")
    crop, _, rand, _ = policy.transforms
    assert crop == ae.RandomResizedCrop(24, interpolation=interpolation)
    assert rand.interpolation is None


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (
            lambda: create_transform(24, True, train_crop_mode="rkrc"),
            "scales or stretches at random",
        ),
        (
            lambda: create_transform(24, True, naflex=True),
            r"augengine does not have, expected what",
        ),
        (
            lambda: create_transform(24, True, patchify=True),
            "augengine does not have, expected what",
        ),
        (lambda: RESIZE((30, 20)), r"both edges \(longest=0\)"),
        (lambda: RandomErasing(num_splits=2), "leaves one of 2 parts of a batch alone"),
        (lambda: timm_transforms.ToTensor(), "converts without scale=True"),
        (lambda: Mixup(cutmix_minmax=(0.2, 0.8)), r"sides between two shares"),
        (lambda: Mixup(0, 0), "neither MixUp nor CutMix"),
        (lambda: Mixup(0, 1, correct_lam=False), "do not follow a cut box"),
        (
            lambda: timm.rand_augment_transform("rand", transforms=["Rotate"]),
            "operations of its own choice",
        ),
        (
            lambda: timm.rand_augment_transform("rand", transforms=["TranslateX"]),
            "with the operation TranslateX, which",
        ),
        (lambda: timm.rand_augment_transform("rand-m11-mstd1"), "of magnitude 11 above 10 with"),
        (lambda: timm.AutoAugment([[timm.AugmentOp("Rotate", 1, 3)]]), "with a table of its own"),
        (lambda: timm.augment_and_mix_transform("augmix-b1"), "blends its chains one after"),
        (lambda: timm.augment_and_mix_transform("augmix-mstd1"), "levels are not uniform"),
    ],
)
def test_a_transform_that_cannot_be_said_is_named(theirs, said):
    with pytest.raises(ValueError, match=rf"^from_timm: step \d \(\w+\) is a step .*{said}"):
        from_timm(theirs())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: from_timm(), r"got no size, expected one\. Pass it first"),
        (
            lambda: from_timm(24, is_train=True),
            r"got the keyword 'is_train'.* nearest is 'is_training'",
        ),
        (lambda: from_timm("3a", scale=3), r"got the keyword 'scale', expected some of image_mean"),
        (lambda: from_timm([], scale=3), r"got the keyword 'scale', expected some of unfused"),
        (lambda: from_timm(24, image_mean=3), r"got image_mean without a string"),
    ],
)
def test_arguments_that_do_not_go_together(call, said):
    with pytest.raises(TypeError, match=rf"^from_timm: {said}"):
        call()


def test_without_timm_its_arguments_are_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm.data", None)
    with pytest.raises(
        ImportError, match=r"^from_timm: got arguments of .* Run pip install timm\.$"
    ):
        from_timm(24)


def test_a_step_that_is_kept():
    image = patch("coffee", 40, 50)
    theirs = create_transform(24)
    theirs.transforms.insert(1, torch.nn.ZeroPad2d(0))
    engine = ae.Engine(from_timm(theirs, unfused=True))
    plain = ae.Engine(from_timm(24))
    got, expected = (e([image], ids=[0]).images for e in (engine, plain))
    assert got.shape == expected.shape == (1, 3, 24, 24)
    # Rounded to bytes between the steps.
    assert (got - expected)[..., 1:-1, 1:-1].abs().max() < 0.5 / 255 / 0.22 + 1e-5
