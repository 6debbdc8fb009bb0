"""docs/frameworks/accelerate.md with accelerate."""

import json
import os
from pathlib import Path

import page
import pytest
import task
import torch
from accelerate import Accelerator, skip_first_batches
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration
from torch.utils.data import DataLoader

import augengine as ae

EPOCHS = 3
# Settings of accelerate that change how samples come to processes.
SETTINGS = [
    "",
    "split_batches",
    "dispatch_batches",
    "use_seedable_sampler",
    "use_stateful_dataloader",
]


def accelerator(setting=""):
    AcceleratorState._reset_state(reset_partial_state=False)
    options = {setting: True} if setting else {}
    return Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(**options))


def train(draws, setting="", workers=0):
    """Run the page; the losses of its steps."""
    losses, model = [], task.classifier()
    names = {
        "ae": ae,
        "DataLoader": DataLoader,
        "accelerator": accelerator(setting),
        "dataset": task.Digits(),
        "policy": task.OPS,
        "workers": workers,
        "model": model,
        "optimizer": torch.optim.Adam(model.parameters(), 3e-3),
        "criterion": task.loss_that_notes(losses),
    }
    with task.drawn(draws):
        page.run("accelerate", names)
    return losses


@pytest.mark.parametrize("workers", [0, 2])
def test_the_page(tmp_path, workers, recwarn):
    task.falls(train(tmp_path / "draws", workers=workers))
    draws = task.read(tmp_path / "draws")
    task.all_differ(draws, EPOCHS * task.COUNT)
    assert {(d.epoch, d.id, d.occurrence) for d in draws} == {
        (epoch, id, 0) for epoch in range(EPOCHS) for id in range(task.COUNT)
    }
    assert not [w for w in recwarn if "augengine" in str(w.message)]


def in_ranks(folder):
    """What a rank runs."""
    setting, rank = os.environ["SETTING"], int(os.environ["RANK"])
    if setting != "use_seedable_sampler":  # which goes by torch's seed
        torch.manual_seed(rank)
        # As references do it, ranks draw other numbers of torch: the classifier sets the seed anew.
        classifier = task.classifier
        task.classifier = lambda: (classifier(), torch.manual_seed(rank))[0]
    losses = train(Path(folder) / "draws", setting, workers=2 * (setting == ""))
    (Path(folder) / f"losses{rank}.json").write_text(json.dumps(losses))


@pytest.mark.parametrize("setting", SETTINGS)
def test_two_ranks_draw_what_one_draws(tmp_path, setting):
    train(tmp_path / "alone")
    said = task.launch("test_accelerate", "in_ranks", tmp_path, SETTING=setting)
    together = task.read(tmp_path / "draws")
    task.all_differ(together, EPOCHS * task.COUNT)
    assert task.by_key(together) == task.by_key(task.read(tmp_path / "alone"))
    for rank in (0, 1):
        mine = 0 if setting == "dispatch_batches" and rank else EPOCHS * task.COUNT
        mine = mine if setting == "dispatch_batches" else mine / 2
        assert sum(d.rank == rank for d in together) == mine
        task.falls(json.loads((tmp_path / f"losses{rank}.json").read_text()))
    assert "augengine:" not in said


def keyed_loader(workers=0):
    torch.manual_seed(0)
    loader = DataLoader(
        task.Digits(),
        60,
        shuffle=True,
        num_workers=workers,
        collate_fn=ae.Collate(task.OPS, seed=0),
    )
    return ae.keyed(accelerator("use_seedable_sampler").prepare(loader))


def resumed_in_ranks(folder):
    """What a rank runs: the images of three epochs, and those of a run that goes on within the second one."""
    workers = int(os.environ.get("WORKERS", 0))
    whole = [[batch.images for batch in loader] for loader in [keyed_loader(workers)] * EPOCHS]
    loader = keyed_loader(workers)
    loader.set_epoch(1)
    rest = [batch.images for batch in skip_first_batches(loader, 2)]
    loader.set_epoch(2)
    last = [batch.images for batch in loader]
    assert len(rest) == len(whole[1]) - 2
    for a, b in zip(rest + last, whole[1][2:] + whole[2], strict=True):
        assert torch.equal(a, b)
    assert not any(torch.equal(a, b) for a, b in zip(whole[0], whole[1], strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_rest_of_an_epoch_is_the_same_to_the_bit(workers, monkeypatch):
    monkeypatch.setenv("WORKERS", str(workers))
    resumed_in_ranks(None)


def test_the_rest_of_an_epoch_is_the_same_to_the_bit_on_two_ranks(tmp_path):
    task.launch("test_accelerate", "resumed_in_ranks", tmp_path)


def device_loaders(folder):
    """What a rank runs: a DeviceLoader of a prepared loader, and one of a loader that was not prepared."""
    told = accelerator()
    decide = ae.pack(task.OPS, seed=0)
    plain = DataLoader(task.Digits(), 60, shuffle=True, collate_fn=decide)
    prepared = ae.DeviceLoader(ae.keyed(told.prepare(plain)), device="cpu")
    with task.drawn(Path(folder) / "draws"):
        for _ in range(EPOCHS):
            for images, labels in prepared:
                assert images.shape == (60, 3, 32, 32)
                assert labels.shape == (60,)
    with_ids = DataLoader(ae.WithIds(task.Digits()), 60, collate_fn=decide)
    loader = told.prepare(ae.DeviceLoader(with_ids, device="cpu"))
    with pytest.raises(ValueError, match="gives each of 2 ranks all samples"):
        next(iter(loader))


def test_a_device_loader_is_sharded_or_refused(tmp_path):
    train(tmp_path / "alone")
    task.launch("test_accelerate", "device_loaders", tmp_path)
    together = task.read(tmp_path / "draws")
    task.all_differ(together, EPOCHS * task.COUNT)
    assert task.by_key(together) == task.by_key(task.read(tmp_path / "alone"))
