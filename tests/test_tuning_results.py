"""The benchmark of tuning: what it measures and says, and that its committed page is of its figures."""

import json

import numpy as np
import pytest

import augengine as ae
from augengine.tuning.scores import Difference
from benchmarks import tuning
from benchmarks.traps import TRAPS, write
from benchmarks.tuning import CHOSEN, NONE, TASKS, USED, Piece
from benchmarks.tuning_report import accuracies, difference, finished, has_trap, report

USUAL = ae.Policy([ae.Resize((28, 28)), ae.RandomAffine(9), ae.Normalize((0.5,), (0.25,))])
ACCURACY = {NONE: 0.8, "usual": 0.9, "with TrivialAugment": 0.85, "with RandAugment": 0.88}


def told(name, folder, seed):
    """What a tune says that used the usual policy at a quarter."""
    none = ae.Policy([ae.Resize((28, 28)), ae.Normalize((0.5,), (0.25,))])
    arms = {
        row: {"name": label, "policy": policy.to_yaml(), "level": level}
        for row, label, policy, level in (
            (USED, "usual, 1/4", USUAL, 0.25), (CHOSEN, "usual, 1/4", USUAL, 0.25),
            (NONE, "none", none, 1.0),
        )
    }  # fmt: skip
    return {
        "seconds": 60.0, "arms": arms, "better": True, "verdicts": {}, "rungs": [1, 3, 9], "labels": 200,
        "above_none": {"mean": 0.1, "se": 0.02, "freedom": 4}, "not_tried": [],
        "chosen_without_each_fold": [], "sentences": [],
    }  # fmt: skip


def accuracy(task, data, policy, strength, run, seed):
    known = {policy.fingerprint: row for row, policy in tuning.presets(data, tuning.KEEP).items()}
    value = ACCURACY[known[policy.fingerprint]] + 0.02 * (strength == 0.25)
    return {"accuracy": value + 0.001 * seed + 0.0001 * run, "seconds": 1.0}


def command(folder, *more):
    arguments = ["--data", "mnist", "--seeds", "2", "--keep", str(folder), *more]
    tuning.main([*arguments, "--output", str(folder / "table")])
    return (folder / "table.md").read_text("utf-8"), (folder / "table.json").read_text("utf-8")


@pytest.fixture
def planted(monkeypatch):
    known = tuning.load(TASKS["mnist"], tuning.KEEP, 0)
    presets = tuning.presets(known, tuning.KEEP)
    monkeypatch.setitem(globals(), "USUAL", presets["usual"])
    monkeypatch.setattr(tuning, "tuned", told)
    monkeypatch.setattr(tuning, "tested", accuracy)


def test_killed_and_resumed_it_ends_with_the_same_table(tmp_path, monkeypatch, planted):
    whole = command(tmp_path / "whole")
    made = []

    def killed_at_the_seventh(*arguments):
        if len(made) == 6:
            raise KeyboardInterrupt
        made.append(arguments)
        return accuracy(*arguments)

    monkeypatch.setattr(tuning, "tested", killed_at_the_seventh)
    with pytest.raises(KeyboardInterrupt):
        command(tmp_path / "killed")
    assert not (tmp_path / "killed/table.md").exists()
    journal = tmp_path / "killed" / tuning.JOURNAL
    journal.write_bytes(journal.read_bytes()[:-20])  # the last line was cut
    monkeypatch.setattr(tuning, "tested", accuracy)
    assert command(tmp_path / "killed") == whole


def test_the_table_says_what_holds(tmp_path, planted):
    text, figures = command(tmp_path)
    # (0.92 + 0.92) / 2 of what is used, paired by seed; trainings of one arm are made once.
    assert "| what tune says to use | 92.1 | 0.1 |  | 92.0, 92.1 |" in text
    assert "| none | 80.1 | 0.1 | +12.0 ± 0.0 | 80.0, 80.1 |" in text
    assert "best preset by the test (usual), within noise | +2.0 ± 0.0 | yes |" in text
    assert "| clearly better than none | +12.0 ± 0.0 | yes |" in text
    assert "+10.0 ± 5.6 | +12.0 | 1.0 |" in text
    pieces = json.loads(figures)["pieces"]
    assert sum(piece["seconds"] for piece in pieces) == 2 * 60 + 2 * 2 * 5
    assert text.count("No seed is finished.") == len(TASKS) - 1


def test_a_seed_that_misses_a_run_is_in_no_table(planted):
    found = {}
    for seed in (0, 1):
        found[Piece("tune", "mnist", seed)] = told("mnist", None, seed)
        for run in range(2):
            for row in (USED, CHOSEN, *ACCURACY):
                found[Piece("test", "mnist", seed, row, run)] = {"accuracy": 0.5, "seconds": 0.0}
    assert finished(found, "mnist", TASKS["mnist"]) == [0, 1]
    del found[Piece("test", "mnist", 0, NONE, 1)]
    assert finished(found, "mnist", TASKS["mnist"]) == [1]
    assert "1 of 5 seeds are finished." in report(found, TASKS, 5)


def test_intervals_are_students():
    assert difference([0.5, 0.6, 0.7], [0.4, 0.4, 0.4]) == "+20.0 ± 24.8"
    assert Difference(0.0, 0.1 / np.sqrt(3), 2).margin == pytest.approx(0.248, abs=1e-3)


def test_a_trap_is_seen_in_a_policy():
    resize, flip = ae.Resize((28, 28)), ae.RandomHorizontalFlip()
    for ops, there in (
        ([resize, flip], True), ([resize], False), ([resize, ae.Scheduled(flip, p=0.0)], False),
        ([resize, ae.RandomVerticalFlip()], False),
    ):  # fmt: skip
        arm = {"arms": {USED: {"policy": ae.Policy(ops).to_yaml()}}}
        assert has_trap(arm, "mirrored") is there, ops
    jitter = ae.ColorJitter(0.2, 0.2, hue=0.5)
    for op, there in (
        (jitter, True),
        (ae.ColorJitter(0.2, 0.2), False),
        (ae.ColorJitter(hue=0.1), True),
    ):
        arm = {"arms": {USED: {"policy": ae.Policy([resize, op]).to_yaml()}}}
        assert has_trap(arm, "hue") is there, op


@pytest.mark.thorough
def test_traps_are_what_they_say(tmp_path):
    """As many pictures of each class, of which some are digits as MNIST has them, and some are not."""
    from PIL import Image

    from augengine.pipelines import data as datasets
    from augengine.pipelines.settings import Settings

    digits = datasets.load(Settings(data="digits", labels=0))
    known = {digits.images[i, :, :, 0].tobytes() for i in digits.labelled}
    for name in TRAPS:
        pictures, policy = write(name, tmp_path / name, seed=1)
        classes = {one.name: sorted(one.iterdir()) for one in (pictures / "train").iterdir()}
        assert len({len(files) for files in classes.values()}) == 1, name
        assert ae.Policy.from_yaml(policy.read_text("utf-8")) == TRAPS[name].policy
        shares = {
            label: np.mean(
                [np.array(Image.open(file).convert("L")).tobytes() in known for file in files]
            )
            for label, files in classes.items()
        }
        if name == "mirrored":
            assert shares["as-it-was"] == 1
            assert shares["mirrored"] < 0.05
        elif name == "upturned":
            assert set(shares.values()) == {1.0}


def test_the_committed_page_is_of_the_committed_figures():
    page, figures = tuning.RESULTS.with_suffix(".md"), tuning.RESULTS.with_suffix(".json")
    pieces = json.loads(figures.read_text("utf-8"))["pieces"]
    names = ("kind", "task", "seed", "row", "run")
    found = {
        Piece(*(one[name] for name in names)): {k: v for k, v in one.items() if k not in names}
        for one in pieces
    }
    made = report(found, TASKS, tuning.SEEDS).splitlines()
    assert page.read_text("utf-8").splitlines()[4:] == made[4:]  # but for the machine
    for name, task in TASKS.items():
        done = finished(found, name, task)
        for values in accuracies(found, name, task, done).values():
            assert all(0 < value <= 1 for value in values)
