"""A run's folder from a stranger, or cut, or on a full disk: nothing in it runs, and what is wrong is named."""

import errno
import json
import os
import pickle
import random
import resource
import shutil
import struct
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import quick_or_thorough
from safetensors.torch import load_file, save_file

from augengine.pipelines import checkpoint, distill, files, finetune, models, pseudo_label
from augengine.pipelines.fit import Fit
from augengine.pipelines.run import Run
from augengine.pipelines.settings import Settings

TOLD = {
    "cpu": True, "labels": 5, "classes": "0-2", "batch_size": 128, "epochs": 3, "evaluate_every": 1,
    "model": "digitnet_8", "first_epochs": 1, "threshold": 0.0, "repeat": 1, "ema": 0.9,
}  # fmt: skip
# A round of pseudo-labels, stopped in its second epoch: it has a finished stage, labels and a checkpoint.
STATE = "round-1/checkpoint-000001/state.safetensors"
RANDOM = "round-1/checkpoint-000001/random-0.safetensors"
READ = [
    "config.json", "metrics.jsonl", "labelled/model.safetensors", "round-1/pseudo.safetensors", STATE, RANDOM,
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


def settings_of(folder):
    return pseudo_label.PseudoLabel(output=str(folder), **TOLD)


@contextmanager
def stopped(steps):
    """Trainings stop after so many steps of all."""
    step, done = Fit.step, 0

    def stopping(self, *args, **more):
        nonlocal done
        done += 1
        if done > steps:
            raise KeyboardInterrupt
        return step(self, *args, **more)

    Fit.step = stopping
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        Fit.step = step


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "unfinished"
    with stopped(1 + 7 + 3):
        pseudo_label.run(settings_of(folder))
    assert all((folder / name).is_file() for name in READ)
    return folder


@pytest.fixture
def folder(unfinished, tmp_path):
    return Path(shutil.copytree(unfinished, tmp_path / "run"))


def resume(folder):
    return pseudo_label.run(settings_of(folder), resume=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same run, never stopped."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return pseudo_label.run(settings_of(folder)), load_file(folder / "model.safetensors")


def assert_ends_as(folder, whole):
    results, weights = whole
    assert resume(folder) == results
    state = load_file(folder / "model.safetensors")
    assert all(torch.equal(state[name], weights[name]) for name in weights)


class Touch:
    """Pickled, it makes a file where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_the_pickle_would_run(tmp_path):
    torch.save(Touch(tmp_path / "proof"), tmp_path / "f")
    torch.load(tmp_path / "f", weights_only=False)
    assert (tmp_path / "proof").exists()


# A stranger's files


def test_pickles_of_accelerate_in_a_checkpoint_are_left_alone(folder, tmp_path, whole):
    """What accelerate writes and loads, in a checkpoint and beside it, in each of its names."""
    names = [f"custom_checkpoint_{k}.pkl" for k in range(4)] + [
        "random_states_0.pkl",
        "optimizer.bin",
    ]
    names += ["scheduler.bin", "pytorch_model.bin", "model.safetensors", "sampler.bin", "scaler.pt"]
    for place in (folder, folder / "round-1", folder / STATE.rpartition("/")[0]):
        for name in names:
            # With a model of its own a stage is finished.
            if not (name == "model.safetensors" and place.name == "round-1"):
                torch.save(Touch(tmp_path / "ran"), place / name)
    (folder / "model.safetensors").unlink()  # the run's own, which is written at its end
    assert_ends_as(folder, whole)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_accelerates_alone_is_refused(folder, tmp_path):
    place = (folder / STATE).parent
    shutil.rmtree(place)
    place.mkdir()
    for name in ("custom_checkpoint_0.pkl", "random_states_0.pkl", "optimizer.bin"):
        torch.save(Touch(tmp_path / "ran"), place / name)
    with pytest.raises(ValueError, match=r"checkpoint-000001 lacks state\.safetensors, expected a checkpoint "
                                         r"of this version\. Resume with the version"):  # fmt: skip
        resume(folder)
    assert not (tmp_path / "ran").exists()


REPLACED = {
    "pickle": lambda path, proof: path.write_bytes(pickle.dumps(Touch(proof))),
    "a third": lambda path, _: os.truncate(path, path.stat().st_size // 3),
    "torch.save": lambda path, proof: torch.save(Touch(proof), path),
    "numpy": lambda path, proof: np.array([Touch(proof)], object).dump(path),
    "nothing": lambda path, _: path.write_bytes(b""),
    "zeros": lambda path, _: path.write_bytes(bytes(path.stat().st_size)),
    "nested": lambda path, _: path.write_bytes(b"[" * 10**6),
    "digits": lambda path, _: path.write_bytes(b'{"a": ' + b"9" * 10**6 + b"}\n"),
    "a claim": lambda path, _: path.write_bytes(struct.pack("<Q", 2**60) + b"{}"),
    "a hole": lambda path, _: os.truncate(path, 2**40),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("how", quick_or_thorough([*REPLACED][:2], [*REPLACED][2:]))
def test_a_file_that_is_something_else_is_named(folder, tmp_path, name, how):
    """Also a file of a terabyte, of zeros, which takes no room on the disk."""
    REPLACED[how](folder / name, tmp_path / "ran")
    if name == "metrics.jsonl" and (folder / name).stat().st_size < 2**30:
        with open(folder / name, "ab") as file:
            file.write(b"\n")  # otherwise it is a line that a kill has torn
    with pytest.raises(ValueError, match=rf"{name}") as caught:
        resume(folder)
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) < 700
    assert "Remove" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", READ)
def test_a_pipe_a_folder_or_a_device_in_place_of_a_file(folder, name):
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)):
        other = folder.with_name("other")
        shutil.copytree(folder, other)
        (other / name).unlink()
        make(other / name)
        with pytest.raises((ValueError, OSError), match=name):
            resume(other)
        shutil.rmtree(other)


@pytest.mark.parametrize("name", [STATE, RANDOM])
def test_a_checkpoint_that_lacks_a_file_is_no_checkpoint(folder, name):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=rf"checkpoint-000001 lacks {Path(name).name}"):
        resume(folder)


def changed(file, change=None, **numbers):
    """The file with its tensors and numbers changed."""
    tensors, metadata = files.read_tensors(file, "")
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    if change is not None:
        change(tensors)
    key = "augengine.checkpoint"
    if key in metadata:
        metadata[key] = json.dumps(json.loads(metadata[key]) | numbers)
    save_file(tensors, file, metadata)


def _misshapen(tensors):
    tensors["model.head.fc.weight"] = torch.zeros(7, 9)


def _retyped(tensors):
    tensors["optimizer.0.exp_avg"] = tensors["optimizer.0.exp_avg"].double()


def _lacking(tensors):
    del tensors["average.head.fc.bias"]


def _half_moments(tensors):
    del tensors["optimizer.3.exp_avg_sq"]


def _more(tensors):
    tensors["optimizer.900.step"] = torch.zeros(())


@pytest.mark.parametrize(
    ("change", "numbers", "said"),
    [
        (_misshapen, {}, r"state\.safetensors lacks 'model\.head\.fc\.weight', adds them, or has"),
        (_retyped, {}, r"lacks 'optimizer\.0\.exp_avg'"),
        (_lacking, {}, r"lacks 'average\.head\.fc\.bias'"),
        (_half_moments, {}, r"lacks 'optimizer\.3\.exp_avg_sq'"),
        (_more, {}, r"lacks 'optimizer\.900\.step'"),
        (None, {"format": 2}, r"is no checkpoint of this version"),
        (None, {"format": [1]}, r"is no checkpoint of this version"),
        (None, {"more": 1}, r"is no checkpoint of this version"),
        (None, {"processes": "1"}, r"state\.safetensors is damaged \(processes: got '1'"),
        (None, {"progress": {}}, r"is no checkpoint of this version"),
        (None, {"progress": [1]}, r"is no checkpoint of this version"),
        (None, {"progress": {"epoch": "1", "step": 10, "accuracy": 0}}, r"is damaged \(epoch: got '1'"),
        (None, {"progress": {"epoch": 1, "step": 10**30, "accuracy": 0}}, r"is damaged \(step: got 10+"),
        (None, {"progress": {"epoch": 1, "step": 10, "accuracy": {}}}, r"is damaged \(accuracy: got {}"),
        (None, {"progress": {"epoch": 2, "step": 10, "accuracy": 0}},
         r"the checkpoint has 10 steps in 2 epochs, expected 7 an epoch\. Resume with the same images"),
    ],
)  # fmt: skip
def test_a_state_of_something_else_is_refused(folder, change, numbers, said):
    changed(folder / STATE, change, **numbers)
    with pytest.raises(ValueError, match=said):
        resume(folder)


def _beyond(name, at, value):
    def change(tensors):
        tensors[name][at] = value

    return change


@pytest.mark.parametrize(
    ("change", "numbers"),
    [
        (_beyond("python", 624, 10**6), {}),  # a place in the words that is none
        (_beyond("python", 0, -1), {}),
        (_beyond("numpy", 0, 2**40), {}),
        (_beyond("torch", slice(None), 255), {}),
        (lambda tensors: tensors.update(torch=torch.zeros(9, dtype=torch.uint8)), {}),
        (lambda tensors: tensors.update(torch=torch.zeros(5056)), {}),
        (lambda tensors: tensors.update(python=torch.zeros(625)), {}),
        (lambda tensors: tensors.update(numpy=torch.zeros(9, dtype=torch.int64)), {}),
        (lambda tensors: tensors.pop("numpy"), {}),
        (None, {"numpy": [10**6, 0, 0.0]}),  # NumPy would read there
        (None, {"numpy": [-1, 0, 0.0]}),
        (None, {"numpy": [1, 2, 0.0]}),
        (None, {"numpy": ["1", 0, 0.0]}),
        (None, {"numpy": 3}),
        (None, {"numpy": [1]}),
        (None, {"numpy": None}),
        (None, {"python": "x"}),
    ],
)
def test_a_random_state_of_something_else_is_refused(folder, change, numbers):
    changed(folder / RANDOM, change, **numbers)
    with pytest.raises(ValueError, match=r"random-0\.safetensors holds no random states"):
        resume(folder)


def test_labels_of_other_images_are_refused(folder):
    file = folder / "round-1/pseudo.safetensors"
    before = file.read_bytes()
    for name, at, value in (
        ("ids", 0, 4_999), ("ids", 0, -1), ("ids", 0, 2**62), ("copy", 0, -1), ("rows", (0, 0), float("nan")),
        ("rows", (0, 0), 2.0), ("confidence", 0, float("inf")),
    ):  # fmt: skip
        file.write_bytes(before)
        changed(file, _beyond(name, at, value))
        with pytest.raises(
            ValueError, match=r"pseudo\.safetensors holds what is no label of these images"
        ):
            resume(folder)
    for change in (
        lambda tensors: tensors.pop("rows"),
        lambda tensors: tensors.update(ids=torch.tensor(3)),
        lambda tensors: tensors.update(rows=tensors["rows"][:, :2].contiguous()),
        lambda tensors: tensors.update(copy=tensors["copy"].int()),
    ):
        file.write_bytes(before)
        changed(file, change)
        with pytest.raises(ValueError, match=r"pseudo\.safetensors lacks ('\w+', )+adds them"):
            resume(folder)


class Nothing(torch.nn.Module):
    """A model of which one parameter is never reached by a loss."""

    def __init__(self):
        super().__init__()
        self.reached = torch.nn.Linear(3, 2)
        self.left_alone = torch.nn.Linear(2, 2)


def trained(steps):
    model, scaler = Nothing(), torch.amp.GradScaler("cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    progress = checkpoint.Progress()
    for _ in range(steps):
        optimizer.zero_grad()
        scaler.scale(model.reached(torch.ones(4, 3)).square().sum()).backward()
        scaler.step(optimizer)
        scaler.update(new_scale=float(2**progress.step))
        schedule.step()
        progress.step += 1
    progress.epoch = progress.step
    return checkpoint.Training(model, None, optimizer, schedule, scaler, progress)


def test_a_scale_of_gradients_and_parameters_without_moments_come_back(tmp_path):
    torch.manual_seed(0)
    before = trained(5)
    checkpoint.write_state(tmp_path, before, processes=3)
    after = trained(2)
    assert checkpoint.read_state(tmp_path, after) == 3
    assert vars(after.progress) == vars(before.progress)
    assert after.scaler.state_dict() == before.scaler.state_dict()
    assert after.scaler.get_scale() == 16
    assert after.schedule.state_dict() == before.schedule.state_dict()
    assert [group["lr"] for group in after.optimizer.param_groups] == [0.1 / 6]
    for a, b in ((after.weights(), before.weights()), (after.moments(), before.moments())):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in b)
    assert "optimizer.1.exp_avg" in before.moments()
    assert "optimizer.2.exp_avg" not in before.moments()
    for scale in (None, {}, [1], {**before.scaler.state_dict(), "scale": "x"}, {"scale": 1}):
        changed(tmp_path / "state.safetensors", scaler=scale)
        with pytest.raises(ValueError, match=r"lacks the scale|is damaged \(scale: got 'x'"):
            checkpoint.read_state(tmp_path, after)


def test_random_states_come_back_to_the_number(tmp_path):
    draws = (
        random.random,
        np.random.standard_normal,
        lambda: torch.rand(3).tolist(),
        lambda: random.gauss(0, 1),
    )
    for _ in range(3):  # a spare normal number is kept after every other one
        [draw() for draw in draws]
        checkpoint.write_random(tmp_path, 0)
        first = [draw() for draw in draws * 2]
        checkpoint.read_random(tmp_path, 0)
        assert [draw() for draw in draws * 2] == first


# Metrics and settings


def test_a_torn_last_line_is_written_anew(folder, whole):
    """As a kill or a full disk leaves it: its epoch has no checkpoint, and is trained once more."""
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"stage": "round-1", "epo')
    assert_ends_as(folder, whole)
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    assert [(m["stage"], m["epoch"]) for m in map(json.loads, lines)] == [
        ("labelled", 1), ("round-1", 1), ("round-1", 2), ("round-1", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    ['{"stage": "a", "epo', "[]", "3", "null", '{"stage": "a"}', '{"stage": "a", "stage": "b"}', "[" * 10**5,
     '{"stage": "../a", "epoch": 1, "loss": 1, "accuracy": 1}',
     '{"stage": "$\\\\frac{$", "epoch": 1, "loss": 1, "accuracy": 1}',
     '{"stage": ["a"], "epoch": 1, "loss": 1, "accuracy": 1}',
     '{"stage": "a", "epoch": "1", "loss": 1, "accuracy": 1}',
     '{"stage": "a", "epoch": true, "loss": 1, "accuracy": 1}',
     '{"stage": "a", "epoch": 1, "loss": NaN, "accuracy": 1}',
     '{"stage": "a", "epoch": 1, "loss": 1e999, "accuracy": 1}',
     '{"stage": "a", "epoch": 1, "loss": 1, "accuracy": 1, "more": {}}'],
    ids=lambda line: line[:40],
)  # fmt: skip
def test_a_line_that_is_none_is_named(folder, line):
    file = folder / "metrics.jsonl"
    file.write_text(f"{line}\n{file.read_text('utf-8')}", "utf-8")
    before = file.read_bytes()
    with pytest.raises(
        ValueError, match=r"metrics\.jsonl, line 1, .* Mend or remove that line, and resume"
    ) as caught:
        resume(folder)
    assert len(str(caught.value)) < 400
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("epochs", "3", r"config\.json: epochs: got '3', expected a whole number\. Mend that line"),
        ("epochs", 3.0, r"epochs: got 3\.0, expected a whole number"),
        ("epochs", True, r"epochs: got True, expected a whole number"),
        ("epochs", [3], r"epochs: got \[3\]"),
        ("epochs", 10**30, r"config\.json: epochs: got 10+"),
        (
            "workers",
            10**6,
            r"config\.json: workers: got 1000000, expected a whole number in \[0, 1024\]",
        ),
        (
            "size",
            10**6,
            r"config\.json: size: got 1000000, expected a whole number in \[0, 16384\]",
        ),
        ("lr", "x", r"lr: got 'x', expected a number"),
        ("lr", -1, r"config\.json: lr: got -1"),
        ("cpu", 1, r"cpu: got 1, expected true or false"),
        ("model", None, r"model: got None, expected text of 4,096 characters at most"),
        ("model", "x" * 5000, r"model: got 'x+\.\.\.x+', expected text"),
        ("precision", "fp7", r"config\.json: precision: got 'fp7'"),
        ("more", 1, r"config\.json: it differs from what this pipeline takes in 'more'"),
        ("x" * 10_000, 1, r"it differs from what this pipeline takes in 'x+\.\.\.x+'"),
    ],
)
def test_settings_that_are_none_are_named(folder, name, value, said):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {name: value}), "utf-8")
    with pytest.raises(ValueError, match=said) as caught:
        pseudo_label.PseudoLabel.load(file)
    assert len(str(caught.value)) < 500


def test_settings_that_are_saved_come_back(tmp_path):
    for made in (
        settings_of(tmp_path),
        distill.Distill(),
        finetune.Finetune(lr=1, seed=2**31 - 1, data="ä"),
    ):
        made.save(tmp_path / "config.json")
        assert type(made).load(tmp_path / "config.json") == made
    assert issubclass(type(made), Settings)


def test_other_settings_on_resuming_are_named(folder):
    for name, value in (
        ("epochs", 4),
        ("lr", 1e-4),
        ("seed", 1),
        ("ema", 0.0),
        ("model", "digitnet_16"),
    ):
        told = {**TOLD, name: value}
        with pytest.raises(
            ValueError,
            match=rf"run: {name} is .*{value}.*config\.json says that the run began with",
        ):
            pseudo_label.run(pseudo_label.PseudoLabel(output=str(folder), **told), resume=True)


def test_a_moved_run_with_other_workers_goes_on(folder, tmp_path, whole):
    moved = tmp_path / "moved"
    folder.rename(moved)
    results = pseudo_label.run(
        pseudo_label.PseudoLabel(output=str(moved), workers=1, root="elsewhere", **TOLD),
        resume=True,
    )
    assert results == whole[0]


def test_a_checkpoint_of_more_processes_says_so(folder, capsys):
    changed(folder / STATE, processes=2)
    resume(folder)
    assert "round-1: the checkpoint is of 2 process(es), and here are 1" in capsys.readouterr().out


# Models


def test_weights_that_are_pickles_are_refused(tmp_path):
    torch.save(Touch(tmp_path / "ran"), tmp_path / "weights.pth")
    torch.save(Touch(tmp_path / "ran"), tmp_path / "weights.safetensors")
    with pytest.raises(
        ValueError, match=r"weights\.pth', expected a \.safetensors file, since others are pickles"
    ):
        models.create(f"digitnet_8@{tmp_path}/weights.pth", classes=3, channels=1)
    for spec in (f"digitnet_8@{tmp_path}/weights.safetensors", f"{tmp_path}/weights.safetensors"):
        with pytest.raises(ValueError, match=r"weights\.safetensors is cut short or damaged"):
            models.create(spec, classes=3, channels=1)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_names_no_model_is_refused_in_few_words(tmp_path):
    for name in ("x" * 10**6, "resnet1", "../x", "hf-hub:a/b", "local-dir:/"):
        save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", {"model": name})
        with pytest.raises(ValueError, match="timm knows no") as caught:
            models.create(f"{tmp_path}/w.safetensors", classes=3, channels=1)
        assert len(str(caught.value)) < 1200


# A full disk


@contextmanager
def full_disk(bytes_of_a_file):
    """No file may grow beyond so many bytes: what a full disk does, in the file that matters."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_of_a_file, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1000, 100_000])
def test_no_room_for_a_checkpoint_leaves_the_one_before(folder, room, whole, monkeypatch):
    checkpoint = Run.checkpoint

    def on_a_full_disk(self, stage, training):
        with full_disk(room):
            checkpoint(self, stage, training)

    before = {name: (folder / name).read_bytes() for name in (STATE, RANDOM)}
    monkeypatch.setattr(Run, "checkpoint", on_a_full_disk)
    with pytest.raises(OSError, match=r"run: .*partial/state\.safetensors could not be written .*What was "
                                      r"there before is whole; make room, and go on"):  # fmt: skip
        resume(folder)
    assert {name: (folder / name).read_bytes() for name in (STATE, RANDOM)} == before
    monkeypatch.undo()
    assert_ends_as(folder, whole)


@pytest.mark.parametrize("name", ["model.safetensors", "results.json", "metrics.jsonl"])
def test_no_room_for_a_file_leaves_the_one_before(folder, name, whole, monkeypatch):
    """At each file's own turn."""
    method = {"model.safetensors": "finish", "results.json": "close", "metrics.jsonl": "log"}[name]
    original = getattr(Run, method)

    def on_a_full_disk(self, *args, **more):
        with full_disk(10):
            original(self, *args, **more)

    monkeypatch.setattr(Run, method, on_a_full_disk)
    with pytest.raises(OSError, match=r"run: .*could not be written.*ake room"):
        resume(folder)
    monkeypatch.undo()
    assert_ends_as(folder, whole)


def test_what_is_written_replaces_what_was_there_only_when_whole(tmp_path):
    file = tmp_path / "f.json"
    files.write_json(file, {"a": 1})

    def torn():
        with files.written(file) as partial:
            partial.write_text("{", "utf-8")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"f\.json could not be written .*No space left"):
        torn()
    assert json.loads(file.read_text("utf-8")) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]


def test_a_link_at_the_place_of_a_new_file_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine", "utf-8")
    (tmp_path / "f.json.partial").symlink_to(tmp_path / "mine")
    (tmp_path / "f.json").symlink_to(tmp_path / "mine")
    files.write_json(tmp_path / "f.json", 3)
    assert (tmp_path / "mine").read_text("utf-8") == "mine"
    assert (tmp_path / "f.json").read_text("utf-8") == "3\n"
