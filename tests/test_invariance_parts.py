"""The pieces of the invariance check: policies taken apart, intervals as published, verdicts on answers whose
truth is known."""

import numpy as np
import pytest
import torch
from photos import patches
from scipy import stats

import augengine as ae
from augengine.invariance.intervals import difference, wilson, z_of
from augengine.invariance.judge import judge, smallest_confusion, still_learning
from augengine.invariance.nets import Answers
from augengine.policy.apart import take_apart
from augengine.policy.ops import spaces
from augengine.policy.ops.members import Member, members

Z = z_of(0.05)
NORMALIZE = ae.Normalize(0.5, 0.5)


# A policy taken apart


def names(policy):
    return [part.name for part in take_apart(ae.Policy(policy))[0]]


def test_each_operation_stands_alone_among_the_steps_that_all_images_need():
    policy = ae.Policy([
        ae.Resize(40), ae.RandomCrop(32, padding=4), ae.RandomHorizontalFlip(0.3),
        ae.RandomApply([ae.ColorJitter(0.4, hue=0.1)], p=0.8), ae.Normalize(0.5, 0.5),
        ae.RandomErasing(0.25), ae.CutMix(),
    ])  # fmt: skip
    parts, unchecked = take_apart(policy)
    assert {part.name.partition("(")[0]: round(part.drawn, 6) for part in parts} == {
        "RandomCrop": 1, "RandomHorizontalFlip": 0.3, "ColorJitter": 0.8, "RandomErasing": 0.25,
    }  # fmt: skip
    assert [part.name for part in parts if part.name.startswith("Color")] == [
        "ColorJitter(brightness=(0.6, 1.4))", "ColorJitter(hue=(-0.1, 0.1))",
    ]  # fmt: skip
    assert unchecked == [("CutMix", "it mixes the labels along with the images")]
    images = patches(4, 40, 40)
    plain = None
    for part in parts:
        policies = [part.policy(24, NORMALIZE, share) for share in (0, 1)]
        off, on = (ae.Engine(p)(images, ids=range(4), epoch=0) for p in policies)
        assert off.images.shape == on.images.shape == (4, 3, 24, 24)
        # Without the operation they are all the same images, and with it every image is another.
        plain = off.images if plain is None else plain
        assert torch.equal(off.images, plain)
        assert not any(torch.equal(a, b) for a, b in zip(on.images, off.images, strict=True))


def test_strength_0_of_a_magnitude_is_the_plain_image():
    changed = []
    for part in take_apart(ae.Policy(EVERY))[0]:
        if part.all_or_none:
            continue
        policies = part.policy(32, NORMALIZE, 1), part.policy(32, NORMALIZE, 0)
        images = patches(4, 32, 32)
        weakest, plain = (
            ae.Engine(p)(images, ids=range(4), epoch=0, strength=0).images for p in policies
        )
        # A turn of 0 of the colour circle is a matrix, whose sums round.
        if not torch.allclose(weakest, plain, atol=1e-6):
            changed.append(part.name)
    assert not changed


EVERY = [
    ae.RandomResizedCrop(32), ae.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), 10), ae.ThreeAugment(),
    ae.RandomPhotometricDistort(), ae.RandomQuarterTurn(), ae.RandomChannelPermutation(),
    ae.OneOf([ae.RandomPerspective(), ae.RandomSolarize(128)]), ae.TrivialAugmentWide(),
    ae.RandAugment(2, 9), ae.AutoAugment(), ae.Grayscale(3), ae.AugMix(),
]  # fmt: skip


def test_an_operation_without_a_magnitude_meets_so_many_images():
    images, ids = patches(1, 24, 24).expand(400, -1, -1, -1).contiguous(), range(400)
    for op in (ae.RandomHorizontalFlip(), ae.RandomQuarterTurn((1,))):
        (part,) = take_apart(ae.Policy([op]))[0]
        plain, half = (
            ae.Engine(part.policy(24, NORMALIZE, share))(images, ids=ids, epoch=0).images
            for share in (0, 0.5)
        )
        met = int((half != plain).flatten(1).any(1).sum())
        assert stats.binomtest(met, 400, 0.5).pvalue > 1e-4


def test_shares_of_choosers():
    policy = [
        ae.OneOf([ae.RandomInvert(0.5), ae.RandomRotation(9)], p=[1, 3]),
        ae.SomeOf([ae.RandomGamma(), ae.RandomPosterize(3, p=1)], num_ops=2),
        ae.RandomOrder([ae.RandomEqualize(0.2), ae.RandomAutocontrast()]),
    ]
    drawn = {part.name.partition("(")[0]: part.drawn for part in take_apart(ae.Policy(policy))[0]}
    assert drawn == pytest.approx(
        {
            "RandomInvert": 0.125, "RandomRotation": 0.75, "RandomGamma": 0.75,
            "RandomPosterize": 0.75, "RandomEqualize": 0.2, "RandomAutocontrast": 0.5,
        }
    )  # fmt: skip


def test_views_are_checked_together():
    weak = ae.Policy([ae.RandomCrop(32), ae.RandomHorizontalFlip()])
    strong = ae.Policy([ae.RandomCrop(32), ae.RandomHorizontalFlip(), ae.RandomInvert()])
    parts, _ = take_apart(ae.Views(weak=weak, strong=strong))
    assert [part.name.partition("(")[0] for part in parts] == [
        "RandomCrop", "RandomHorizontalFlip", "RandomInvert",
    ]  # fmt: skip


# Members of published policies

PUBLISHED = [
    ae.RandAugment(2, 9), ae.RandAugment(3, 7, dialect="timm", magnitude_std=0.5, increasing=True),
    ae.RandAugment(2, 9, dialect="timm", choices="3aw"), ae.TrivialAugmentWide(), ae.AutoAugment(),
    ae.AutoAugment("original", dialect="timm"), ae.UniformAugment(), ae.FixMatchAugment(),
]  # fmt: skip


@pytest.mark.parametrize("op", PUBLISHED, ids=repr)
def test_shares_of_members_are_those_that_the_policy_draws(op):
    """Counted in plans: an operation's word in `explain` beside its share."""
    n = 3000
    plan = ae.Policy([op]).sample(range(n), [(64, 64)] * n)
    said = [plan.explain(i) for i in range(n)]
    shares = members(op)
    assert "Identity" not in shares
    for name, word in (("Invert", "inverted"), ("Equalize", "equalized")):
        share = shares.get(name, 0)
        met = sum(word in words for words in said)
        assert stats.binomtest(met, n, min(1, share)).pvalue > 1e-5, (name, met / n, share)


def test_a_member_is_its_operation_at_the_policys_magnitudes():
    n = 2000
    sizes = [(64, 64)] * n

    def angles(op):
        plan = ae.Policy([op]).sample(range(n), sizes)
        words = [plan.explain(i) for i in range(n)]
        assert all("rotated" in w or w == "unchanged" for w in words), set(words)
        return np.array(
            [float(w.split("+")[-1].split("-")[-1][:-1] if "rot" in w else 0) for w in words]
        )

    # torchvision's bins: level 9 of 31 up to 30 degrees; TrivialAugment's 31 bins up to 135.
    assert np.allclose(angles(Member(ae.RandAugment(2, 9), "Rotate")), 9.0, atol=0.05)
    wide = angles(Member(ae.TrivialAugmentWide(), "Rotate"))
    assert stats.kstest(wide, stats.uniform(0, 135).cdf).statistic < 0.05
    uniform = angles(Member(ae.FixMatchAugment(), "Rotate"))
    assert stats.kstest(uniform, stats.uniform(0, 30).cdf).statistic < 0.05
    levels = {
        round(30 * level / 9, 1)
        for sub in spaces.AUTO_AUGMENT_POLICIES["torchvision"]["imagenet"]
        for name, _, level in sub
        if name == "Rotate"
    }
    assert set(angles(Member(ae.AutoAugment(), "Rotate"))) == levels


# Intervals


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(right, n, low, high):
    """Newcombe 1998, Two-sided confidence intervals for the single proportion, table I."""
    assert wilson(right / n, n, Z)[1:] == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("a", "b", "n", "low", "high"),
    [(9, 3, 10, 0.1705, 0.8090), (6, 2, 7, 0.0582, 0.8062), (0, 0, 10, -0.2775, 0.2775),
     (10, 0, 10, 0.6075, 1.0)],
)  # fmt: skip
def test_differences_as_published(a, b, n, low, high):
    """Newcombe 1998, Interval estimation for the difference between independent proportions, method 10."""
    assert difference(a / n, b / n, n, Z)[1:] == pytest.approx((low, high), abs=5e-5)


# Verdicts


def answers(predicted, classes):
    """Answers of a net that is sure of each."""
    shares = np.eye(classes)[predicted]
    return Answers(shares, np.ones(len(shares)), shares[None])


def verdict(truth, plain, augmented, classes=None, control=None):
    k = int(truth.max()) + 1
    control = answers(truth if control is None else control, k)
    names = classes or tuple(map(str, range(k)))
    return judge(control, answers(plain, k), answers(augmented, k), truth, names)


TRUTH = np.repeat(np.arange(10), 60)


def replaced(first, second, share, answered=TRUTH):
    """Of class `first` a share answered as `second`, beside what is answered already."""
    answered = answered.copy()
    at = np.flatnonzero(TRUTH == first)
    answered[at[: round(share * len(at))]] = second
    return answered


def exchanged(share):
    """Of 6 and of 9 a share is taken for the other."""
    return replaced(6, 9, share, replaced(9, 6, share))


def test_all_told_is_safe():
    assert verdict(TRUTH, TRUTH, TRUTH).verdict == "safe"


def test_a_net_that_guesses_between_two_classes_breaks_them():
    found = verdict(TRUTH, exchanged(0.5), exchanged(0.5))
    assert found.verdict == "breaks labels"
    assert [str(pair) for pair in found.confusions] == ["6 ↔ 9"]
    assert found.confusions[0].excess.value == pytest.approx(0.5)


def test_a_net_that_gives_one_of_two_classes_up_breaks_them_too():
    """Where two classes look alike, always saying the same one is as good an answer as guessing."""
    found = verdict(TRUTH, replaced(6, 9, 1), replaced(6, 9, 1))
    assert (found.verdict, str(found.confusions[0])) == ("breaks labels", "6 → 9")


def test_a_net_that_tells_only_the_augmented_ones_breaks_labels():
    """Trained on mirrored images alone, a net tells all of them: their names are only exchanged. Such a net is
    no proof, since it has lost the plain ones."""
    found = verdict(TRUTH, exchanged(1), TRUTH)
    assert (found.verdict, str(found.confusions[0])) == ("breaks labels", "6 ↔ 9")


def test_what_was_mixed_up_before_is_not_held_against_an_operation():
    before = replaced(4, 7, 0.5)
    assert verdict(TRUTH, before, before, control=before).verdict != "breaks labels"
    assert not verdict(TRUTH, before, before, control=before).confusions


def test_labels_of_all_classes_can_go():
    """Ten hues, grey: every class is taken for every other, and no pair stands out."""
    rng = np.random.default_rng(0)
    found = verdict(TRUTH, TRUTH, rng.permutation(TRUTH))
    assert found.verdict == "breaks labels"


def test_a_small_loss_over_many_classes_is_harder():
    lost = TRUTH.copy()
    lost[::12] = (lost[::12] + 1 + np.arange(50) % 9) % 10
    assert verdict(TRUTH, TRUTH, lost).verdict == "harder"


def test_few_images_give_no_verdict():
    few = np.repeat(np.arange(10), 3)
    assert verdict(few, few, few).verdict == "not enough images to tell"
    two = np.repeat(np.arange(2), 4)
    assert (
        verdict(two, two, np.array([1, 1, 0, 0, 1, 1, 1, 1])).verdict == "not enough images to tell"
    )


def test_noise_breaks_nothing():
    """Two nets of 90 %, whose mistakes fall anywhere: in no draw of them a label breaks."""
    rng = np.random.default_rng(0)

    def noisy():
        wrong = rng.random(len(TRUTH)) < 0.1
        return np.where(wrong, rng.integers(0, 10, len(TRUTH)), TRUTH)

    found = [verdict(TRUTH, noisy(), noisy(), control=noisy()).verdict for _ in range(200)]
    assert "breaks labels" not in found
    assert found.count("harder") <= 10


def test_the_smallest_confusion_is_the_one_that_is_seen():
    at = smallest_confusion(TRUTH, 10)
    assert 0.1 < at < 0.5
    for share, seen in ((at + 0.02, True), (at - 0.02, False)):
        assert bool(verdict(TRUTH, TRUTH, exchanged(share)).confusions) == seen
    assert smallest_confusion(np.arange(10), 10) == 1


def test_a_net_that_still_learns_is_told_from_one_that_has_learned():
    rng = np.random.default_rng(1)

    def told(share):
        return answers(np.where(rng.random(len(TRUTH)) < share, TRUTH, (TRUTH + 1) % 10), 10)

    assert still_learning(told(0.6), told(0.8), TRUTH)
    assert not still_learning(told(0.8), told(0.6), TRUTH)
    found = [still_learning(told(0.9), told(0.9), TRUTH) for _ in range(200)]
    assert sum(found) <= 12
    one = answers(np.array([0]), 2)
    assert not still_learning(one, one, np.array([0]))
