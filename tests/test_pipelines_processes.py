"""Pipelines in two processes, and killed: as their users start them, from a shell."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cases import quick_or_thorough
from safetensors.numpy import load_file

BIN = Path(sys.executable).parent
SMALL = ["--cpu", "--labels=5", "--classes=0-2", "--batch-size=128", "--evaluate-every=1"]
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def train(pipeline, output, *told, processes=1):
    """Run it to its end; its results."""
    command = [BIN / "augengine", "train", pipeline, f"--output={output}", *SMALL, *told]
    if processes > 1:
        launcher = [BIN / "torchrun", f"--nproc-per-node={processes}", "--standalone"]
        command = [*launcher, "--no-python", *command]
    done = subprocess.run(command, env=ONE_THREAD, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((output / "results.json").read_text("utf-8"))


def metrics(folder):
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k != "seconds_an_epoch"} for line in lines
    ]


TOLD = {
    "finetune": ["--model=digitnet_8", "--labels=100", "--epochs=4"],
    "distill": ["--teacher=digitnet_16", "--teacher-epochs=20", "--epochs=3"],
    "pseudo-label": ["--model=digitnet_8", "--first-epochs=40", "--epochs=3", "--threshold=0.5"],
    "noisy-student": ["--student=digitnet_8", "--teacher-epochs=40", "--epochs=3"],
}


@pytest.mark.parametrize("pipeline", quick_or_thorough(["finetune"], [*TOLD][1:]))
def test_two_processes_do_what_one_does(tmp_path, pipeline):
    """The same plans and samples are proven in test_pipelines_data; here the whole run holds together:
    as many steps, one folder, a first epoch that loses as much, pseudo-labels once each."""
    told = TOLD[pipeline]
    cache = [f"--cache={tmp_path / 'answers'}"] if pipeline == "distill" else []
    one = train(pipeline, tmp_path / "one", *told)
    two = train(pipeline, tmp_path / "two", *told, *cache, processes=2)
    assert one.keys() == two.keys()
    a, b = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert [(m["stage"], m["epoch"]) for m in a] == [(m["stage"], m["epoch"]) for m in b]
    # The first epoch starts from the same weights on the same images; only BatchNorm's halves differ.
    assert b[0]["loss"] == pytest.approx(a[0]["loss"], rel=0.2)
    for file in (tmp_path / "two").glob("*/pseudo.safetensors"):
        made = load_file(file)
        pairs = set(zip(made["ids"].tolist(), made["copy"].tolist(), strict=True))
        assert len(pairs) == len(made["ids"]) > 0
    if cache:
        # Read back in one process: every answer that two processes computed is there.
        again = train(pipeline, tmp_path / "again", *told[2:], *cache, "--teacher=cache")
        assert again["student"] > 0.3


@pytest.mark.thorough
def test_labels_are_gathered_once_each(tmp_path):
    """At threshold 0 and without balance every unlabelled image has one label, whoever gave it."""
    told = ["--model=digitnet_8", "--first-epochs=3", "--epochs=1", "--threshold=0", "--no-balance"]
    train("pseudo-label", tmp_path / "two", *told, processes=2)
    made = load_file(tmp_path / "two" / "round-1" / "pseudo.safetensors")
    assert len(np.unique(made["ids"])) == len(made["ids"]) == 1200 - 15


@pytest.mark.thorough
def test_two_processes_weigh_by_the_mean_and_variance_of_both(tmp_path):
    """The averages are of the whole batch: what is kept in the first epoch is what one process keeps."""
    told = ["--model=digitnet_8", "--epochs=1", "--online", "--weights=softmatch", "--align"]
    told.append("--momentum=0")
    kept = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        train("pseudo-label", folder, *told, processes=processes)
        kept.append(metrics(folder)[0]["kept"])
    assert kept[1] == pytest.approx(kept[0], rel=0.05)


def test_killed_at_a_random_moment_and_resumed_a_run_ends_the_same(tmp_path):
    """SIGKILL, anywhere: while it trains, writes a checkpoint, a line or the cache."""
    told = ["--teacher=digitnet_8", "--teacher-epochs=10", "--student=digitnet_8", "--epochs=5"]
    whole = train("distill", tmp_path / "whole", *told, f"--cache={tmp_path / 'a'}")
    output = tmp_path / "parts"
    start = [BIN / "augengine", "train", "distill", f"--output={output}", *SMALL, *told]
    start.append(f"--cache={tmp_path / 'b'}")
    again = [BIN / "augengine", "train", "distill", f"--resume={output}"]
    process = subprocess.Popen(start, env=ONE_THREAD, stdout=subprocess.DEVNULL)
    while not (output / "config.json").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(random.Random(0).uniform(0.0, 4.0))
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(again, env=ONE_THREAD, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((output / "results.json").read_text("utf-8")) == whole
    assert metrics(output) == metrics(tmp_path / "whole")
    a, b = (load_file(folder / "model.safetensors") for folder in (output, tmp_path / "whole"))
    assert all(np.array_equal(a[name], b[name]) for name in b)
