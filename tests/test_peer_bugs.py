"""Where other libraries were wrong: signs that are never negative, posterize that blacks images out,
translations that mix shares with pixels (kornia #4440, #4494, #4655); one operation, box or λ for a
whole batch (torchvision #2929, #3206, #8191, #8484, kornia's auto policies); workers that share a
random stream."""

import numpy as np
import pytest
import torch
from cases import each_executor
from photos import patch, patches
from published import ENHANCEMENTS, GEOMETRY, POLICIES, SAYS, SURE, drawn, sampled
from scipy import stats
from torch.utils.data import DataLoader, Dataset, get_worker_info

import augengine as ae
from augengine.plan.kinds import NO_VIEW


def only(name, magnitude, **how):
    """RandAugment of one operation."""
    return ae.RandAugment(1, magnitude, p=1, weights={name: 1}, **how)


# Signs


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ("RandAugment", (*GEOMETRY, *ENHANCEMENTS)),
        ("RandAugment, timm", GEOMETRY),
        ("RandAugment, timm inc", (*GEOMETRY, *ENHANCEMENTS)),
        ("TrivialAugmentWide", (*GEOMETRY, *ENHANCEMENTS)),
        ("AutoAugment, cifar10", ("Rotate", "ShearY", "TranslateX", "TranslateY", *ENHANCEMENTS)),
        ("AutoAugment, timm v0", ("Rotate", "ShearX", "ShearY", "TranslateY")),
        ("AugMix", (*GEOMETRY, *ENHANCEMENTS)),
        ("AugMix, timm", (*GEOMETRY, *ENHANCEMENTS)),
        ("UniformAugment", (*GEOMETRY, *ENHANCEMENTS)),
        ("FixMatchAugment", GEOMETRY),
    ],
)
def test_signs_are_negative_half_of_the_time(policy, names):
    plan = sampled(POLICIES[policy], 8000)
    for name in names:
        neutral = 1 if name in ENHANCEMENTS else 0
        numbers = [
            number
            for outcome in drawn(plan, plan.view.ravel())
            for text, number in outcome
            if text == SAYS[name] and number != neutral
        ]
        negative = sum(number < neutral for number in numbers)
        assert len(numbers) > 50
        assert stats.binomtest(negative, len(numbers), 0.5).pvalue > SURE, name


@each_executor
def test_both_signs_are_seen_in_the_pixels(executor):
    """A bright bar in the middle goes to both sides, and as far."""
    image = torch.zeros(3, 32, 64, dtype=torch.uint8)
    image[:, :, 30:34] = 255
    plan = sampled(only("TranslateX", 15), 64, (32, 64))
    shift = int(150 / 331 * 64 / 2)
    seen = ae.execute(plan, image[None].repeat(64, 1, 1, 1), executor=executor)
    columns = {tuple(row.nonzero().flatten().tolist()) for row in seen[:, 0, 0]}
    assert columns == {tuple(range(30 + side, 34 + side)) for side in (-shift, shift)}


# Posterize


@each_executor
@pytest.mark.parametrize("bins", [31, 10, 2])
def test_posterize_never_blacks_an_image_out(bins, executor):
    """RandAugment keeps four bits or more. (timm's own tables and torchvision's AugMix at a severity
    of nine or ten go down to none, and so do we then.)"""
    images = patches(4, 32, 32)
    for magnitude in range(bins):
        plan = sampled(only("Posterize", magnitude, num_magnitude_bins=bins), 4, (32, 32))
        bits = 8 - round(magnitude / ((bins - 1) / 4))
        assert set(drawn(plan)) == {((SAYS["Posterize"], float(bits)),)}
        got = ae.execute(plan, images, executor=executor)
        assert (got <= images / 255 + 1e-6).all()
        assert (images / 255 - got < 2.0 ** (8 - bits) / 255).all()


@pytest.mark.parametrize(
    ("policy", "least"),
    [
        ("RandAugment", 7),
        ("RandAugment, noisy", 4),
        ("TrivialAugmentWide", 2),
        ("AutoAugment, imagenet", 4),
        ("AutoAugment, cifar10", 5),
        ("AugMix", 3),
        ("UniformAugment", 4),
        ("FixMatchAugment", 4),
    ],
)
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_no_policy_posterizes_to_black(policy, least, strength):
    plan = sampled(POLICIES[policy], 8000, strength=np.full(8000, strength))
    bits = [
        number
        for outcome in drawn(plan, plan.view.ravel())
        for text, number in outcome
        if text == SAYS["Posterize"]
    ]
    assert len(bits) > 50
    assert min(bits) >= least
    assert max(bits) <= 8
    if strength == 1:
        assert min(bits) == least


# Translations


def shifts(op, size, n=64, **how):
    """{(x, y)} by which the source is moved, in its own pixels, from the plan's matrices."""
    plan = sampled(op, n, size, **how)
    return {tuple(shift) for shift in -plan.inv_matrix[:, :2, 2].astype(float).round(3)}


@pytest.mark.parametrize("size", [(331, 331), (64, 640), (640, 64), (32, 32)], ids=str)
def test_translations_are_shares_of_the_right_side_or_pixels(size):
    height, width = size
    for magnitude in (0, 9, 30):
        x, y = (int(150 / 331 * side * magnitude / 30 + 1e-4) for side in (width, height))
        assert shifts(only("TranslateX", magnitude), size) == {(x, 0), (-x, 0)}
        assert shifts(only("TranslateY", magnitude), size) == {(0, y), (0, -y)}
    for level in (0, 9, 10):
        how = {"dialect": "timm"}
        x, y = (round(0.45 * side * level / 10, 3) for side in (width, height))
        assert shifts(only("TranslateXRel", level, **how), size) == {(x, 0), (-x, 0)}
        assert shifts(only("TranslateYRel", level, **how), size) == {(0, y), (0, -y)}


@pytest.mark.parametrize("size", [(331, 331), (64, 640), (32, 32)], ids=str)
def test_trivialaugment_translates_by_pixels_whatever_the_size(size):
    plan = sampled(ae.TrivialAugmentWide(), 8000, size)
    for name in ("TranslateX", "TranslateY"):
        numbers = {abs(n) for outcome in drawn(plan) for text, n in outcome if text == SAYS[name]}
        assert numbers == {float(int(pixels)) for pixels in torch.linspace(0, 32, 31)}


def test_translations_after_a_resize_are_shares_of_the_new_size():
    policy = [ae.Resize((32, 48)), only("TranslateX", 30)]
    pixels = int(150 / 331 * 48)
    assert shifts(policy, (320, 960)) == {(pixels * 20, 0), (-pixels * 20, 0)}


# One draw for a whole batch


@pytest.mark.parametrize("policy", POLICIES.values(), ids=list(POLICIES))
def test_samples_of_a_batch_draw_different_operations(policy):
    plan = sampled(policy, 64)
    layers = plan.view.shape[1]
    outcomes = drawn(plan, plan.view.ravel())
    of_samples = [tuple(outcomes[i : i + layers]) for i in range(0, len(outcomes), layers)]
    assert len({tuple(text for o in sample for text, _ in o) for sample in of_samples}) >= 3
    assert len(set(of_samples)) >= 6


BOXES = {
    "RandomResizedCrop": (
        ae.RandomResizedCrop(32),
        lambda plan: plan.inv_matrix.reshape(-1, 9)[:, [0, 2, 4, 5]],
    ),
    "RandomErasing": (ae.RandomErasing(p=1), lambda plan: plan.box[:, 1]),
    "Cutout": (ae.Cutout(), lambda plan: plan.box[:, 1]),
    "CutMix": (ae.CutMix(), lambda plan: plan.box[:, 1]),
    "CutMix, its λ": (ae.CutMix(), lambda plan: plan.weight[:, :1]),
    "MixUp, its λ": (ae.MixUp(), lambda plan: plan.alpha[:, 1:]),
    "MixUp, its labels": (ae.MixUp(), lambda plan: plan.weight[:, :1]),
    "AugMix, its shares": (ae.AugMix(), lambda plan: plan.alpha[:, 1:]),
    "MixUpOrCutMix": (ae.MixUpOrCutMix(), lambda plan: plan.weight[:, :1]),
}


@pytest.mark.parametrize("case", BOXES)
def test_samples_of_a_batch_draw_different_boxes_and_shares(case):
    op, what = BOXES[case]
    drew = np.unique(what(sampled(op, 64, (97, 160))), axis=0)
    assert len(drew) > 55


@pytest.mark.parametrize("case", ["CutMix", "CutMix, its λ", "MixUp, its λ", "MixUpOrCutMix"])
def test_same_on_batch_is_the_published_behaviour(case):
    op, what = BOXES[case]
    plan = sampled(type(op)(same_on_batch=True), 64, (97, 160))
    assert len(np.unique(what(plan), axis=0)) == 1
    assert (plan.view[:, 1:] != NO_VIEW).sum(axis=1).tolist() == [1] * 64
    partner = plan.view[:, 1:].max(axis=1)
    assert partner.tolist() == [63, *range(63)]


# Workers


class Grey(Dataset):
    """The same image again and again; the label is the worker that loaded it."""

    def __len__(self):
        return 96

    def __getitem__(self, index):
        worker = get_worker_info()
        return patch("coffee", 24, 24), -1 if worker is None else worker.id


# Numbers without end in every line, so that equal outcomes are the same draws.
CONTINUOUS = ae.RandAugment(
    3, 30, magnitude_std=101, weights=dict.fromkeys((*GEOMETRY[:2], "Rotate", *ENHANCEMENTS), 1)
)


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_and_epochs_never_share_a_random_stream(persistent):
    collate = ae.Collate(CONTINUOUS, seed=5)
    batches = DataLoader(
        ae.WithIds(Grey()),
        batch_size=8,
        num_workers=2,
        collate_fn=collate,
        persistent_workers=persistent,
        multiprocessing_context="fork",
    )
    outcomes, pixels, workers = [], [], set()
    for epoch in range(2):
        collate.set_epoch(epoch)
        for batch in batches:
            outcomes += drawn(batch.plan)
            pixels += [image.numpy().tobytes() for image in batch.images]
            workers |= set(batch.labels.tolist())
    assert workers == {0, 1}
    assert len(outcomes) == 2 * 96
    numbers = [line for outcome in outcomes for line in outcome]
    assert len(numbers) == len(set(numbers)) == 3 * 2 * 96
    assert len(set(pixels)) == 2 * 96

    collate.set_epoch(1)
    alone = DataLoader(ae.WithIds(Grey()), batch_size=32, collate_fn=collate)
    assert [o for batch in alone for o in drawn(batch.plan)] == outcomes[96:]
