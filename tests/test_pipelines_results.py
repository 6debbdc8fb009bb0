"""What the benchmark of the pipelines makes of its runs: what is chosen, the journal, and the tables."""

import json

import pytest
from PIL import Image

from benchmarks import pipelines
from benchmarks.journal import Journal
from benchmarks.pipelines import FULL, SMALL, Job

EVERY_ROW = [
    pipelines.NONE, pipelines.USUAL, pipelines.ALONE, pipelines.DISTILLED, pipelines.STANDARDIZED,
    pipelines.LABELS_ALONE, pipelines.PSEUDO, pipelines.FIXMATCH, pipelines.SOFT, pipelines.SOFTMATCH,
    pipelines.HARD,
    *(f"{row}, {how}" for row in ("from scratch", "frozen body", pipelines.GRID, "whole model")
      for how in ("no augmentation", "augmented")),
    *(pipelines.GENERATION.format(g) for g in range(pipelines.GENERATIONS)),
]  # fmt: skip


def told_results():
    """Five seeds in which all that was asked holds, but for the frozen body with augmentation."""
    found = {family: {} for family in pipelines.FAMILIES}
    for number, (family, _, better, worse) in enumerate(
        pipelines.claims({f: dict.fromkeys(EVERY_ROW) for f in pipelines.FAMILIES})
    ):
        for row, base in ((worse, 0.8 + 0.01 * number), (better, 0.85 + 0.01 * number)):
            found[family].setdefault(row, [base + 0.001 * seed for seed in range(5)])
    found["transfer"]["frozen body, augmented"] = [0.5] * 5
    return found


def test_results_say_what_holds_and_what_does_not():
    tried = {"lr": {"0.003": 0.9, "0.001": 0.95, "0.01": 0.8}}
    text = pipelines.report(told_results(), tried, 600.0, SMALL, "--seeds 5")
    assert "`python -m benchmarks.pipelines --seeds 5`: 5 seeds, 10 minutes of one thread" in text
    assert "| learning rate of all | 0.003: 90.0, 0.001: 95.0, 0.01: 80.0 | 0.001 |" in text
    lines = [line for line in text.splitlines() if line.startswith("| frozen beats from scratch")]
    assert [line.endswith("| **no** |") for line in lines] == [False, True]
    assert "| 0 of 5 | **no** |" in lines[1]
    assert text.count("**no**") == 1
    only = {family: {} for family in pipelines.FAMILIES} | {"labels": told_results()["labels"]}
    # Three heads of tables, and three rows; no setting.
    assert pipelines.report(only, {}, 1.0, SMALL, "").count("\n| ") == 3 + 2 + 1


def test_a_claim_needs_more_than_noise():
    assert not pipelines.holds("beats", [0.05, -0.04, 0.05, -0.04, 0.01])
    assert pipelines.holds("beats", [0.03, 0.02, 0.03, 0.03, 0.02])
    assert pipelines.holds("is at least as good", [0.0, 0.0])
    assert not pipelines.holds("is at least as good", [0.01, -0.02])
    assert not pipelines.holds("beats", [0.0, 0.0])


def test_how_many_seeds():
    assert pipelines.in_words([5, 5]) == "5 seeds"
    assert pipelines.in_words([3, 1, 3]) == "3 seeds, or 1 where no more stand in a row"
    assert pipelines.deviation([0.5]) == "–"
    assert pipelines.deviation([0.5, 0.6]) == "7.1"
    assert pipelines.verdict("beats", [0.5]) == "not known"
    assert pipelines.verdict("beats", [0.5, 0.5]) == "yes"
    assert pipelines.verdict("beats", [0.0, -0.1]) == "**no**"


def test_the_picture_of_the_results(tmp_path):
    pipelines.picture(told_results(), SMALL, tmp_path / "p.png")
    width, height = Image.open(tmp_path / "p.png").size
    assert width > 600
    assert height > 600


@pytest.mark.parametrize(
    ("name", "other", "chosen"),
    # A standard error of 0.9 is 0.0106 of 800 images, and 0.015 of 400.
    [("temperature", 0.889, 2.0), ("temperature", 0.89, 4.0), ("temperature", 0.95, 4.0)],
)
def test_the_usual_value_stays_unless_another_is_clearly_better(name, other, chosen):
    assert pipelines.best(name, {"4.0": other, "2.0": 0.9}) == chosen


def test_the_error_is_of_the_images_that_there_are():
    found = {"0.5": 0.888, "0.1": 0.9}
    assert pipelines.best("body_lr", found) == 0.5
    assert pipelines.CHOICES["body_lr"].images == 400


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Jobs that make no run: their names, as they are made, with the settings chosen before each."""
    done = []

    def make(job, keep, plan, chosen):
        done.append((job, dict(chosen)))
        if job.name in pipelines.CHOICES:
            values = pipelines.CHOICES[job.name].values
            return job, {str(v): 0.9 + 0.05 * (v == values[1]) for v in values}, 1.0
        rows = [row for row in told_results()[job.name]]
        return job, {row: 0.9 + 0.001 * job.seed for row in rows}, 2.0

    monkeypatch.setattr(pipelines, "make", make)
    monkeypatch.setattr(pipelines, "REPORT", tmp_path / "pipelines.md")
    monkeypatch.setattr(pipelines, "PICTURE", tmp_path / "pipelines.png")
    return done


def start(folder, *told):
    pipelines.main(["--keep", str(folder), "--processes", "1", *told])


def test_settings_are_chosen_before_anything_is_measured_and_by_another_seed(fake, tmp_path):
    start(tmp_path / "a", "--seeds", "2")
    jobs = [job for job, _ in fake]
    assert jobs[: len(pipelines.CHOICES)] == [Job(name, 100) for name in pipelines.CHOICES]
    assert jobs[0].name == "lr"
    assert fake[1][1] == {"lr": 1e-3}, "all later ones learn at the rate that was chosen"
    measured = fake[len(pipelines.CHOICES) :]
    assert {job.seed for job, _ in measured} == {0, 1}
    expected = {name: choice.values[1] for name, choice in pipelines.CHOICES.items()}
    assert all(chosen == expected for _, chosen in measured)
    assert len(measured) == 2 * len(pipelines.RUNS)


def test_killed_and_resumed_it_ends_with_the_same_table(fake, tmp_path, monkeypatch):
    """Amid what is chosen, amid what is measured, and within a line of the journal."""
    start(tmp_path / "whole")
    expected = (tmp_path / "pipelines.md").read_bytes()
    (tmp_path / "pipelines.md").unlink()
    every = len(fake)
    fake.clear()
    make, kills = pipelines.make, [3, 9]

    def killed(*told):
        if kills and len(fake) == kills[0]:
            kills.pop(0)
            raise KeyboardInterrupt
        return make(*told)

    monkeypatch.setattr(pipelines, "make", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "parts")
        assert not (tmp_path / "pipelines.md").exists()
    journal = tmp_path / "parts/journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])
    start(tmp_path / "parts")
    assert (tmp_path / "pipelines.md").read_bytes() == expected
    assert len(fake) == every + 1, "the torn one alone was made again"


def test_one_family_asks_for_its_own_settings_and_writes_nothing(fake, tmp_path, capsys):
    start(tmp_path / "a", "--only", "noisy", "--seeds", "1")
    assert [job.name for job, _ in fake] == ["lr", "noisy"]
    assert "nothing is written, since not every family" in capsys.readouterr().out
    assert not (tmp_path / "pipelines.md").exists()


def test_a_run_that_is_finished_is_not_made_again(tmp_path, monkeypatch):
    """Within a family that was killed; and a setting is judged by the validation images."""
    from augengine.pipelines import finetune

    said = []

    def run(settings, resume):
        said.append((settings, resume))
        folder = tmp_path / "f" / "some"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "metrics.jsonl").write_text('{"accuracy": 0.1}\n{"accuracy": 0.2}\n', "utf-8")
        (folder / "results.json").write_text('{"accuracy": 0.7}', "utf-8")

    monkeypatch.setattr(finetune, "run", run)
    runs = pipelines.Runs(tmp_path / "f", 3, FULL, {"lr": 0.5})
    for _ in range(2):
        folder, results = runs("some", "finetune", model="digitnet_8")
        assert results == {"accuracy": 0.7}
    assert len(said) == 1
    settings, resume = said[0]
    assert (settings.validation, settings.lr, settings.seed, resume) == (0.2, 0.5, 3, False)
    assert pipelines.watched(folder) == 0.2


# The journal


def test_the_journal_keeps_what_is_done(tmp_path):
    file = tmp_path / "new/journal.jsonl"
    Journal(file, {"size": (1, 2)}).add("a", {"x": 0.1})
    assert Journal(file, {"size": [1, 2]}).done == {"a": {"x": 0.1}}
    with open(file, "a", encoding="utf-8") as stream:
        stream.write('{"job": "b", "about"')
    journal = Journal(file, {"size": [1, 2]})
    assert journal.done == {"a": {"x": 0.1}}
    journal.add("b", 2)
    assert [json.loads(line)["job"] for line in file.read_text("utf-8").splitlines()] == ["a", "b"]
    with pytest.raises(ValueError, match=r"is of \{'size': \[1, 2\]\}, expected \{'size': 3\}"):
        Journal(file, {"size": 3})
    file.write_text("{}\n" + file.read_text("utf-8"), "utf-8")
    with pytest.raises(ValueError, match=r"line 1, is damaged .*Remove that line"):
        Journal(file, {"size": [1, 2]})
