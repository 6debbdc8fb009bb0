"""The soak, in its short form: what it counts, what it calls flat, and a few laps of it."""

import json
import mmap
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import augengine as ae
from benchmarks import soak, soak_figures
from benchmarks.soak_figures import Sample


def laps(count=200, **growing):
    """Samples that waver, some of whose figures grow by so much a lap."""
    noise = np.random.default_rng(0).normal(0, 3, count)
    samples = []
    for i in range(count):
        lap = Sample(10.0 * i, 9 * i, 800 + noise[i], 500 - noise[i], 30, 60 + i % 2, 40, 9, 4)
        grown = {name: getattr(lap, name) + i * each for name, each in growing.items()}
        samples.append(replace(lap, **grown))
    return samples


def growing(samples):
    names = {figure: name for name, figure in soak_figures.FIGURES.items()}
    return [names[trend.figure] for trend in soak_figures.trends(samples) if not trend.flat]


def test_what_wavers_is_flat_and_what_grows_is_found():
    assert growing(laps()) == []
    assert growing(laps(memory=0.2)) == ["memory"]
    assert growing(laps(descriptors=0.02, threads=0.02)) == ["descriptors", "threads"]
    assert growing(laps(shared_memory=0.1)) == ["shared_memory"]


def test_memory_that_is_taken_once_is_not_growth():
    samples = laps()
    for i in range(len(samples)):
        samples[i] = replace(samples[i], memory=samples[i].memory + 200 * (i > 40))
    assert growing(samples) == []
    samples[150] = replace(samples[150], memory=5000.0)  # a single lap
    assert growing(samples) == []


def test_figures_are_of_the_processes_that_are_named():
    before = soak_figures.sample(0, 0, [])
    # Pages of the system itself: an array could lie in memory that an earlier test has let go.
    kept = mmap.mmap(-1, 64 * 2**20)
    for _ in range(64):
        kept.write(b"x" * 2**20)
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        after = soak_figures.sample(1, 0, [child.pid])
    finally:
        child.communicate(b"\n")
        for descriptor in opened:
            os.close(descriptor)
    assert 50 < after.memory - before.memory < 80, len(kept)
    assert after.descriptors - before.descriptors >= 10
    assert before.workers_memory == 0 < after.workers_memory
    assert (before.workers, after.workers) == (0, 1)


def batches(ids):
    policy = ae.Policy([ae.CenterCrop(8)])
    images = np.zeros((len(ids), 9, 9, 3), np.uint8)
    drawn = ae.Engine(policy, executor="torch")(images, [i % soak.CLASSES for i in ids], ids=ids)
    return [drawn]


def test_a_sample_that_is_lost_or_comes_twice_is_found():
    ledger = soak.Ledger()
    whole = list(range(soak.SAMPLES))
    ledger.epoch("all", batches(whole))
    assert (ledger.lost, ledger.twice, ledger.amiss) == (0, 0, Counter())
    ledger.epoch("cut short", batches(whole[:5]), whole=False)
    assert not ledger.amiss
    ledger.epoch("one less", batches(whole[1:]))
    ledger.epoch("one twice", batches([*whole, 3]))
    assert (ledger.lost, ledger.twice) == (1, 1)
    ledger.epoch("another's", batches([*whole[1:], soak.SAMPLES + 10]))
    assert len(ledger.amiss) == 3
    ledger.throws("nothing thrown", batches(whole))
    assert ledger.amiss["nothing thrown: no error came"] == 1
    ledger.throws("thrown", soak.throwing_after(batches(whole), 1))
    assert ledger.thrown == 1


def test_labels_that_are_anothers_are_found():
    (batch,) = batches([3, 4])
    assert soak.ids_of(batch) == ([3, 4], True)
    assert soak.ids_of(ae.Batch(batch.images, batch.labels.flip(0), batch.plan)) == ([3, 4], False)


@pytest.mark.thorough
def test_a_few_laps_lose_nothing_and_leave_nothing(tmp_path):
    """Memory needs longer to tell; descriptors, threads and workers do not."""
    path = tmp_path / "soak.json"
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.soak", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True)
    counted = json.loads(path.read_text("utf-8"))
    assert not counted["amiss"], done.stdout
    assert counted["ledger"]["epochs"] > 12
    assert counted["ledger"]["thrown"] > 3
    after = counted["samples"][1:]
    assert len(after) >= 3
    for name in ("threads", "workers"):
        assert len({lap[name] for lap in after}) == 1, done.stdout
    descriptors = [lap["descriptors"] for lap in after]
    assert max(descriptors) - min(descriptors) < 4, done.stdout
