"""What a batch looks up of published policies is what each sample alone is told, operation by operation."""

import numpy as np
import pytest

import augengine as ae
from augengine.plan import VIEW_FIELDS
from augengine.policy.ops import levels

POLICIES = {
    "RandAugment": ae.RandAugment(2, 9),
    "RandAugment of three, weakest": ae.RandAugment(3, 0, num_magnitude_bins=2),
    "RandAugment of timm": ae.RandAugment(2, 7, dialect="timm"),
    "RandAugment of timm, beyond its levels": ae.RandAugment(
        2, 27, dialect="timm", max_magnitude=30, p=1.0
    ),
    "RandAugment of timm, weighted": ae.RandAugment(3, 8, dialect="timm", choices="3aw"),
    "TrivialAugmentWide": ae.TrivialAugmentWide(),
    "TrivialAugmentWide of many bins": ae.TrivialAugmentWide(1000),
    "AutoAugment": ae.AutoAugment("svhn"),
    "AutoAugment of timm": ae.AutoAugment("v0", dialect="timm"),
    "AugMix": ae.AugMix(severity=10),
}
SAMPLES = 96


@pytest.mark.parametrize("frame", [(40, 40), (31, 57)], ids=str)
@pytest.mark.parametrize("name", POLICIES)
def test_a_sample_of_a_batch_is_told_what_it_is_told_alone(name, frame):
    policy = ae.Policy([ae.Resize(frame), POLICIES[name]])
    ids, sizes = np.arange(SAMPLES), [(48, 64)] * SAMPLES
    plan = policy.sample(ids, sizes, seed=3)
    for i in ids:
        alone = policy.sample([i], sizes[:1], seed=3)
        assert plan.explain(i) == alone.explain(0)
        of_batch, of_one = plan.select([i]), alone
        assert len(of_batch.source) == len(of_one.source)
        for field in VIEW_FIELDS:
            ours, theirs = getattr(of_batch, field), getattr(of_one, field)
            if field == "log_op":  # numbers of lines, which differ
                continue
            if field == "source":  # there all samples' images, here its own
                ours = np.where(ours < SAMPLES, ours - i, ours - SAMPLES + 1)
            if ours.shape != theirs.shape:  # padded up to the longest of the batch
                ours, padding = np.split(ours, [theirs.shape[1]], axis=1)
                assert not padding.any()
            np.testing.assert_array_equal(ours, theirs, err_msg=field)


def test_batches_of_frames_of_one_size_are_looked_up(monkeypatch):
    """And those of many sizes, of few samples or at strengths below 1 are not."""
    looked_up = []
    table = levels.told
    monkeypatch.setattr(levels, "told", lambda *key: looked_up.append(key) or table(*key))
    policy = ae.Policy(ae.TrivialAugmentWide())
    ids = np.arange(32)
    policy.sample(ids, [(40, 30)] * 32)
    assert [key[-1] for key in looked_up] == [(40, 30)]
    # Levels of two frames are told one by one.
    del looked_up[:]
    sizes = [(40, 30), (40, 31)] * 16
    policy2 = ae.Policy([ae.Resize((8, 8)), ae.TrivialAugmentWide()])
    with pytest.raises(ValueError, match="expected one size"):
        policy.sample(ids, sizes)
    policy2.sample(ids, sizes, strength=0.5)
    policy2.sample(ids[:3], sizes[:3])
    assert not looked_up
