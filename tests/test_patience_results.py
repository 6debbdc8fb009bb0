"""What the benchmark of patience makes of its runs: `benchmarks.patience`."""

import pytest
from PIL import Image

from augengine.pipelines import distill, finetune
from benchmarks import patience
from benchmarks.patience import CACHED, FRESH, Job


def told(job, keep):
    base = 0.98 if job.form == "teacher" else 0.8 + 0.0001 * job.epochs
    return base - 0.01 * (job.form == CACHED) + 0.002 * job.seed


def test_killed_and_resumed_it_ends_with_the_same_table(tmp_path, monkeypatch):
    monkeypatch.setattr(patience.time, "perf_counter", lambda: 1.0)
    made = []

    def killed(job, keep):
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(job)
        return told(job, keep)

    def start(name, make):
        files = ["--output", str(tmp_path / "t.md"), "--picture", str(tmp_path / "t.png")]
        patience.main(["--seeds", "2", "--keep", str(tmp_path / name), *files], make)
        return (tmp_path / "t.md").read_text("utf-8")

    whole = start("whole", told)
    (tmp_path / "t.md").unlink()
    with pytest.raises(KeyboardInterrupt):
        start("parts", killed)
    assert not (tmp_path / "t.md").exists()
    assert start("parts", told) == whole
    assert "| 30 | 80.4 | 0.1 | 79.4 | 0.1 | +1.0 | 0.0 | 80.3, 80.5 | 79.3, 79.5 |" in whole
    assert "98.1 ± 0.1 % of the test" in whole
    assert "holds 1,000 answers" in whole
    assert Image.open(tmp_path / "t.png").size[0] > 600


def test_each_training_is_what_it_is_called(tmp_path, monkeypatch):
    said = []

    def run(settings, resume):
        said.append(settings)
        (tmp_path / settings.output).mkdir(parents=True, exist_ok=True)
        return {"accuracy": 0.5, "student": 0.5}

    monkeypatch.setattr(finetune, "run", run)
    monkeypatch.setattr(distill, "run", run)
    every = patience.jobs(1)
    assert len(every) == 1 + 2 * 4
    for job in every:
        patience.make(job, tmp_path)
    teacher, *students = said
    assert teacher.labels == 0
    for job, student in zip(every[1:], students, strict=True):
        assert (student.epochs, student.seed) == (job.epochs, 0)
        assert (student.replay, bool(student.cache)) == (
            (10, True) if job.form == CACHED else (0, False)
        )
        assert student.teacher == teacher.output
        assert (student.hard, student.unlabelled, student.labels) == (0, False, 10)
    assert {s.cache for s in students} == {"", str(tmp_path / "answers-0")}
    assert Job(FRESH, 1000, 0) in every
