"""The journal of tuning: killed at any line, a run goes on to the same table; whatever a file holds, it is
refused or read, and never overwritten."""

import os
import random

import numpy as np
import pytest
from test_tune import FULL, LABELS, NONE, USUAL, Planted, best_at

import augengine as ae
from augengine.tuning.scores import Score
from augengine.tuning.state import Journal, Key, read_head

POLICIES = {"usual": USUAL}


class Killed(Exception):
    pass


class Counting:
    """`value_alone`, which is killed after so many trainings."""

    def __init__(self, most=1000):
        self.done, self.most = 0, most

    def __call__(self, *arguments):
        if self.done == self.most:
            raise Killed
        self.done += 1
        return value_alone(*arguments)


def value_alone(policy, strength, train_ids, held_out_ids, steps, seed):
    """A training that gives the same whenever it is done, with digits that need all of a float."""
    level = strength if isinstance(strength, float) else 0.5
    rng = np.random.default_rng([seed, steps, int(1000 * level), *policy.fingerprint.encode()])
    return rng.normal(-abs(level - 0.3), 0.1, len(held_out_ids)), rng.random(
        len(held_out_ids)
    ) < 0.7


def run(journal, train=value_alone, **more):
    return ae.tune(train, LABELS, NONE, POLICIES, journal=journal, **{**FULL, **more})


def test_killed_at_any_line_it_ends_with_the_same_bytes(tmp_path):
    whole = tmp_path / "whole"
    result = run(whole)
    content, table = whole.read_bytes(), result.to_json()
    lines = content.splitlines(keepends=True)
    assert len(lines) > 20
    assert run(None).to_json() == table
    for count in range(len(lines) + 1):
        # Every other time a part of the next line is there too.
        torn = lines[count][: len(lines[count]) // 2] if count % 2 and count < len(lines) else b""
        file = tmp_path / "killed"
        file.write_bytes(b"".join(lines[:count]) + torn)
        train = Counting()
        again = run(file, train)
        assert again.to_json() == table
        assert file.read_bytes() == content
        assert train.done == len(lines) - max(count, 1)
    assert str(again) == str(result)


def test_killed_while_it_trains(tmp_path):
    for count in (0, 1, 20):
        file = tmp_path / f"{count}"
        with pytest.raises(Killed):
            run(file, Counting(count))
        assert len(file.read_bytes().splitlines()) == count + 1
        assert run(file).to_json() == run(None).to_json()


def test_a_journal_of_another_run_is_refused_and_left(tmp_path):
    file = tmp_path / "journal"
    run(file, about="a")
    before = file.read_bytes()
    for change in (
        {"about": "b"}, {"seed": 1}, {"folds": 3}, {"seeds": 3}, {"rungs": (2, 5)},
        {"strengths": (0.5, 1.0)},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"is of another run: they differ in"):
            run(file, **{"about": "a", **change})
    with pytest.raises(ValueError, match=r"they differ in 'samples'"):
        ae.tune(value_alone, LABELS[::-1], NONE, POLICIES, journal=file, about="a", **FULL)
    other = {"usual": [*USUAL[:2], ae.RandomInvert(), USUAL[2]]}
    with pytest.raises(ValueError, match=r"they differ in 'arms'"):
        ae.tune(value_alone, LABELS, NONE, other, journal=file, about="a", **FULL)
    assert file.read_bytes() == before


KEY = Key("usual, 1", "fold 0", 2, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"[]\n", b"{}\n", b"\n", b"\xff\xfe\n", b"null\n", b"[" * 10**5 + b"\n",
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":[NaN]}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":[1e999]}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":[true]}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":["0"]}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":0}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":[0],"correct":[2]}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":[0],"correct":[1,1]}\n',
        b'{"arm":"a","part":"b","steps":0,"seed":0,"log_likelihood":[0]}\n',
        b'{"arm":"a","part":"b","steps":true,"seed":0,"log_likelihood":[0]}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0.5,"log_likelihood":[0]}\n',
        b'{"arm":1,"part":"b","steps":2,"seed":0,"log_likelihood":[0]}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":[0],"more":0}\n',
        b'{"arm":"a","arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":[0]}\n',
        b'{"arm":"a","part":"b","steps":2,"seed":0,"log_likelihood":[' + b"9" * 99 + b"]}\n",
    ],
)  # fmt: skip
def test_a_damaged_line_is_named_and_left(tmp_path, line):
    file = tmp_path / "journal"
    Journal(file, {"about": "a"}).put(KEY, Score(np.zeros(3)))
    with open(file, "ab") as stream:
        stream.write(line)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"journal, line 3 is damaged .*expected a training") as e:
        Journal(file, {"about": "a"})
    assert len(str(e.value)) < 600
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"my notes", b"my notes\n", b"[]\n", b'{"augengine tune":3}\n', b'{"augengine tune":true}\n'],
)
def test_a_file_that_is_no_journal_is_left(tmp_path, content):
    file = tmp_path / "journal"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"tune: "):
        run(file)
    with pytest.raises(ValueError, match=r"tune: "):
        read_head(file)
    assert file.read_bytes() == content


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(ValueError, match=r"got no regular file"):
            run(tmp_path / name)
    large = tmp_path / "large"
    with open(large, "wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(ValueError, match=r"bytes, expected .* at most"):
        run(large)
    with pytest.raises(OSError, match="nowhere"):
        run(tmp_path / "nowhere" / "journal")


def test_another_number_of_samples_is_refused(tmp_path):
    journal = Journal(tmp_path / "journal", {})
    journal.put(KEY, Score(np.zeros(3)))
    with pytest.raises(ValueError, match=r"has 3 samples of 'usual, 1', fold 0, expected 4"):
        journal.get(KEY, 4)


def test_mutated_journals_are_refused_or_read(tmp_path):
    file = tmp_path / "journal"
    run(file)
    good, rng = file.read_bytes(), random.Random(0)
    for _ in range(80):
        content = bytearray(good)
        for _ in range(rng.choice((1, 3, 30))):
            at = rng.randrange(len(content))
            if rng.random() < 0.5:
                content[at] = rng.randrange(256)
            else:
                del content[at : at + rng.randrange(200)]
        file.write_bytes(bytes(content))
        if (said := refusal(file)) is not None:
            assert len(said) < 900
            assert file.read_bytes() == bytes(content)


def refusal(file):
    """What is said of a journal that is not taken, or None."""
    try:
        run(file, operations=False)
    except ValueError as error:
        return str(error)
    return None


def test_planted_scores_go_through_a_journal(tmp_path):
    train = Planted(best_at(0.25), rest=0.1)
    first = run(tmp_path / "journal", train)
    assert run(tmp_path / "journal", Planted(best_at(1))).to_json() == first.to_json()
