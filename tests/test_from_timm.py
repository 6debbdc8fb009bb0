"""timm's strings become the ops that timm makes of them, or say what cannot be said."""

import numpy as np
import pytest
from cases import draw
from photos import patch
from timm.data import auto_augment as timm
from timm.data import create_transform

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
    with pytest.raises(TypeError, match=r"^from_timm: got 9, expected a string\. Pass"):
        from_timm(9)
