"""What the benchmark on photographs makes of its runs: the journal, the tables, and how it goes on."""

import json
from concurrent.futures import Future

import pytest

from benchmarks import photographs
from benchmarks.photographs import FULL, SMALL, Job, Options


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Runs whose accuracy follows from their job, in a folder; the list of those that were made."""
    done = []

    def run(job, folder, options):
        done.append(job)
        base = {"from scratch": 0.6, "frozen body": 0.7, "whole model": 0.8}.get(
            job.row.split(",")[0], 0.75
        )
        return base + 0.01 * job.row.endswith("augmented") + 0.001 * job.seed

    monkeypatch.setattr(photographs, "RUNS", dict.fromkeys(photographs.RUNS, run))
    monkeypatch.setattr(photographs, "REPORT", tmp_path / "photographs.md")
    monkeypatch.setattr(photographs.time, "perf_counter", lambda: 1.0)
    return done


ALL = 5 * (6 * 3 + 3)


def start(folder, *told, plan="--full"):
    photographs.main(["--keep", str(folder), "--processes", "1", *told, *plan.split()])


def test_every_run_once_and_teachers_before_students(fake, tmp_path):
    start(tmp_path / "a")
    assert len(fake) == len(set(fake)) == ALL
    assert len({job.name for job in fake}) == len(fake)
    for seed in range(5):
        teacher = fake.index(Job("whole model, augmented", 200, seed))
        assert fake.index(Job("student, distilled", 200, seed)) > teacher


def test_the_small_plan(fake, tmp_path):
    start(tmp_path / "a", plan="")
    assert len(fake) == 3 * (6 * 2 + 3)
    assert [job.labels for job in fake[:9]] == [200] * 9, "those of the students first"
    text = (tmp_path / "photographs.md").read_text("utf-8")
    assert "--seeds 3 --labels 200 50 --size 80 --steps 60`: 3 seeds, 45 runs" in text
    assert "## All labels" not in text
    assert "| all |" not in text


def test_students_come_after_all_teachers_where_several_processes_work(monkeypatch, tmp_path):
    """Each phase is a pool of its own."""
    phases = []

    class Pool:
        def __init__(self, *_, **__):
            phases.append([])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, _, job, *__):
            phases[-1].append(job)
            future = Future()
            future.set_result((job, 0.5, 1.0))
            return future

    monkeypatch.setattr(photographs, "ProcessPoolExecutor", Pool)
    every = photographs.jobs(FULL)
    assert len(list(photographs.made(every, tmp_path, Options(), 2))) == len(every)
    teachers, students = phases
    assert len(students) == 15
    assert {job.row for job in students} == {"student alone", "student, distilled", "pseudo-labels"}
    assert not {job.row for job in teachers} & {job.row for job in students}


def test_killed_and_resumed_it_ends_with_the_same_table(fake, tmp_path, monkeypatch):
    """After runs that are finished, within a run, and within a line of the journal."""
    start(tmp_path / "whole")
    expected = [(tmp_path / f"photographs.{end}").read_bytes() for end in ("md", "json")]
    for end in ("md", "json"):
        (tmp_path / f"photographs.{end}").unlink()
    fake.clear()
    make, kills = photographs.make, [7, 40]

    def killed(job, keep, options):
        if kills and len(fake) == kills[0]:
            kills.pop(0)
            raise KeyboardInterrupt
        return make(job, keep, options)

    monkeypatch.setattr(photographs, "make", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path / "parts")
        assert not (tmp_path / "photographs.md").exists()
    journal = tmp_path / "parts" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])  # the last line is torn
    start(tmp_path / "parts")
    assert [(tmp_path / f"photographs.{end}").read_bytes() for end in ("md", "json")] == expected
    assert len(fake) == ALL + 1, "the torn one alone was made again"
    start(tmp_path / "parts")
    assert len(fake) == ALL + 1


def test_the_tables(fake, tmp_path):
    start(tmp_path / "a")
    text = (tmp_path / "photographs.md").read_text("utf-8")
    assert "5 seeds, 105 runs" in text
    assert "--seeds 5 --labels 200 50 0 --size 128 --steps 300`" in text
    assert "| whole model, augmented | 81.2 | 0.2 | 81.0, 81.1, 81.2, 81.3, 81.4 |" in text
    assert text.count("| frozen body, plain | 70.2 |") == 3
    assert "| frozen body beats from scratch, plain | 50 | +10.0 | 0.0 | 5 of 5 | yes |" in text
    assert "| pseudo-labels beat labels alone | 200 | -6.0 | 0.0 | 0 of 5 | **no** |" in text
    said = json.loads((tmp_path / "photographs.json").read_text("utf-8"))
    assert said["plan"]["options"] == {"size": 128, "steps": 300}
    assert len(said["runs"]) == 105


def test_some_rows_are_shown_and_not_written(fake, tmp_path, capsys):
    start(tmp_path / "a", "--only", "frozen body, plain", "--labels", "50", plan="")
    assert [job.seed for job in fake] == [0, 1, 2]
    shown = capsys.readouterr().out
    assert "| frozen body, plain | 70.1 |" in shown
    assert "nothing is written, since not every row" in shown
    assert not (tmp_path / "photographs.md").exists()


def test_journals_that_do_not_fit(fake, tmp_path):
    start(tmp_path / "a", "--seeds", "1", "--only", "student alone", plan="")
    with pytest.raises(ValueError, match=r"is of Options\(size=80.*expected .*size=64"):
        start(tmp_path / "a", "--size", "64", plan="")
    journal = tmp_path / "a" / "journal.jsonl"
    journal.write_text('{"row": 1}\n' + journal.read_text("utf-8"), "utf-8")
    with pytest.raises(ValueError, match=r"line 1, is damaged.*Remove that line"):
        photographs.read_journal(journal, Options())


@pytest.mark.parametrize("plan", [SMALL, FULL])
def test_as_many_steps_whatever_the_labels(plan):
    for samples in (50, 200, 1500):
        an_epoch = -(-samples // photographs.BATCH)
        told = photographs.epochs(samples, plan.options)
        assert abs(told["epochs"] * an_epoch - plan.options.steps) <= an_epoch / 2
        assert 50 < told["evaluate_every"] * an_epoch <= 100
