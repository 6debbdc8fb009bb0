"""Our tables are the installed torchvision's and timm's, number by number."""

import numpy as np
import pytest
import torch
from published import TORCHVISION, given, plain, timm, timm_arguments
from torchvision.transforms import v2

from augengine.policy.ops import actions, spaces

FRAMES = [(224, 224), (331, 331), (151, 97), (32, 640), (1, 3)]

# What an operation does, by its plain name.
ACTS = {
    "AutoContrast": actions.autocontrast,
    "Brightness": actions.brightness,
    "Color": actions.saturation,
    "Contrast": actions.contrast,
    "Desaturate": actions.saturation,
    "Equalize": actions.equalize,
    "GaussianBlur": actions.blur,
    "Identity": None,
    "Invert": actions.invert,
    "Posterize": actions.posterize,
    "Rotate": actions.rotate,
    "Sharpness": actions.sharpness,
    "ShearX": actions.shear_x,
    "ShearY": actions.shear_y,
    "Solarize": actions.solarize,
    "SolarizeAdd": actions.solarize_add,
    "TranslateX": actions.translate_x,
    "TranslateY": actions.translate_y,
}


def values(entry, levels, bins=None, sign=1, frame=(224, 224)):
    """The entry's magnitudes at these levels."""
    n = len(levels)
    return entry.value(levels, bins, np.full(n, sign), np.tile(frame, (n, 1)))


# torchvision


def test_linspace_is_torchs_to_the_bit():
    rng = np.random.default_rng(0)
    limits = [(0, 0.3), (0, 0.99), (0, 32), (0, 135), (1, 0), (0, 150 / 331 * 224), (0, 97 / 3)]
    limits += rng.uniform(-300, 300, (20, 2)).tolist()
    for bins in (*range(2, 70), 100, 255, 256, 1023):
        for low, high in limits:
            theirs = torch.linspace(low, high, bins).double().numpy()
            for levels in (np.arange(bins), np.arange(bins, dtype=float)):
                np.testing.assert_array_equal(spaces.linspace(low, high, bins, levels), theirs)


def test_linspace_between_two_bins_lies_between_their_values():
    for low, high in ((0, 0.3), (1, 0)):
        levels = np.linspace(0, 30, 301)
        between = spaces.linspace(low, high, 31, levels)
        np.testing.assert_allclose(between, low + (high - low) * levels / 30, atol=1e-7)


@pytest.mark.parametrize("policy", TORCHVISION)
def test_a_torchvision_space_has_the_same_operations(policy):
    theirs, ours, _ = TORCHVISION[policy]
    assert set(ours) == set(theirs)
    for name, entry in ours.items():
        magnitudes, signed = theirs[name]
        assert entry.signed == signed, name
        assert (entry.value is None) == (magnitudes(10, 224, 224) is None), name
        assert entry.act is ACTS[name]


def test_the_partial_space_of_augmix_lacks_the_enhancements():
    partial = set(spaces.AUG_MIX) - set(spaces.ENHANCEMENTS)
    assert partial == set(v2.AugMix._PARTIAL_AUGMENTATION_SPACE)
    for name in partial:
        for bins in (10, 7):
            (theirs, _), (partial_theirs, _) = (
                space[name]
                for space in (v2.AugMix._AUGMENTATION_SPACE, v2.AugMix._PARTIAL_AUGMENTATION_SPACE)
            )
            np.testing.assert_array_equal(
                np.asarray(theirs(bins, 50, 70)), np.asarray(partial_theirs(bins, 50, 70))
            )


@pytest.mark.parametrize("frame", FRAMES, ids=str)
@pytest.mark.parametrize("policy", TORCHVISION)
def test_a_torchvision_space_has_the_same_magnitude_in_every_bin(policy, frame):
    theirs, ours, usual = TORCHVISION[policy]
    for name, entry in ours.items():
        if entry.value is None:
            continue
        for bins in (usual, 2, 5, 31, 100):
            magnitudes, signed = theirs[name]
            for sign in (-1, 1):
                expected = [
                    given(name, float(m) * (sign if signed else 1))
                    for m in magnitudes(bins, *frame)
                ]
                for levels in (np.arange(bins), np.arange(bins, dtype=float)):
                    got = values(entry, levels, bins, sign, frame)
                    np.testing.assert_array_equal(got, expected, err_msg=f"{name}, {bins} bins")


@pytest.mark.parametrize("policy", v2.AutoAugmentPolicy)
def test_autoaugment_has_torchvisions_sub_policies(policy):
    theirs = v2.AutoAugment(policy)._policies
    ours = spaces.AUTO_AUGMENT_POLICIES["torchvision"][policy.value]
    assert len(ours) == len(theirs) == 25
    for our_pair, their_pair in zip(ours, theirs, strict=True):
        assert our_pair == tuple((name, p, level or 0) for name, p, level in their_pair)


# timm

LEVELS = np.unique(np.concatenate([np.linspace(0, 30, 301), np.linspace(0, 10, 257)]))


@pytest.mark.parametrize("name", spaces.TIMM)
def test_a_timm_operation_has_timms_argument_at_every_level(name):
    entry, level_fn = spaces.TIMM[name], timm.LEVEL_TO_ARG[name]
    assert entry.act is ACTS[plain(name)]
    if level_fn is None:
        assert entry.value is None
        return
    both = []
    for frame in FRAMES if name.startswith("Translate") else FRAMES[:1]:
        for sign in (-1, 1):
            expected = timm_arguments(name, LEVELS, sign, frame[1] if "X" in name else frame[0])
            got = values(entry, LEVELS, None, sign, frame)
            if entry.whole:
                np.testing.assert_array_equal(got, expected)
            else:
                np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-14)
            both.append(got)
    assert entry.signed == (not np.array_equal(both[0], both[1]))


def test_all_operations_of_timm_but_three_are_there():
    left_out = {"TranslateX", "TranslateY", "GaussianBlurRand"}
    assert set(spaces.TIMM) == set(timm.LEVEL_TO_ARG) - left_out


@pytest.mark.parametrize("policy", ["original", "originalr", "v0", "v0r"])
def test_autoaugment_has_timms_sub_policies(policy):
    theirs = timm.auto_augment_policy(policy, dict(timm._HPARAMS_DEFAULT))
    ours = spaces.AUTO_AUGMENT_POLICIES["timm"][policy]
    assert len(ours) == len(theirs)
    for our_pair, their_pair in zip(ours, theirs, strict=True):
        for (name, p, level), op in zip(our_pair, their_pair, strict=True):
            assert (name, p) == (op.name, op.prob)
            assert level == op.magnitude or timm.LEVEL_TO_ARG[name] is None


@pytest.mark.parametrize(
    ("choices", "theirs"),
    [
        ("rand", timm._RAND_TRANSFORMS),
        ("increasing", timm._RAND_INCREASING_TRANSFORMS),
        ("3a", timm._RAND_3A),
        ("3aw", timm._RAND_WEIGHTED_3A),
        ("weights", timm._RAND_WEIGHTED_0),
    ],
)
def test_randaugment_has_timms_choices(choices, theirs):
    weights = theirs if isinstance(theirs, dict) else dict.fromkeys(theirs, 1)
    assert spaces.TIMM_CHOICES[choices] == weights


def test_augmix_has_timms_operations():
    assert sorted(spaces.TIMM_AUG_MIX) == sorted(timm._AUGMIX_TRANSFORMS)
