"""docs/frameworks/torchvision.md in a loop as torchvision's references have it."""

import builtins
import json
import math
import os
from pathlib import Path

import page
import pytest
import task
import torch
from torch import distributed
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, DistributedSampler, Sampler

import augengine as ae

EPOCHS = 3
COPIES = 3


class RepeatedAugmentation(Sampler):
    """Each image comes three times in a row, ranks take turns, and an epoch is as long as without.

    The references' RASampler: its shuffle goes by the epoch, and each rank takes as many samples as are
    its part of the dataset's, rounded to 256.
    """

    def __init__(self, dataset):
        self.dataset, self.epoch = dataset, 0
        started = distributed.is_initialized()
        self.rank = distributed.get_rank() if started else 0
        self.num_replicas = distributed.get_world_size() if started else 1
        self.length = math.floor(len(dataset) // 256 * 256 / self.num_replicas)

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        order = torch.randperm(len(self.dataset), generator=generator)
        repeated = order.repeat_interleave(COPIES).tolist()
        return iter(repeated[self.rank :: self.num_replicas][: self.length])

    def __len__(self):
        return self.length

    def set_epoch(self, epoch):
        self.epoch = epoch


SAMPLERS = {"repeated": RepeatedAugmentation, "distributed": DistributedSampler}


def train(draws, name, workers=0):
    """Run the page; the losses of its steps, and the averaged model."""
    losses, model, dataset = [], task.classifier(), task.Digits()
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    if distributed.is_initialized():
        model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)

    def train_step(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    names = {
        "ae": ae,
        "DataLoader": DataLoader,
        "dataset": dataset,
        "sampler": SAMPLERS[name](dataset, *(() if distributed.is_initialized() else ALONE[name])),
        "policy": [*task.OPS, ae.MixUp(0.2)],
        "workers": workers,
        "model": model,
        "ema": ema,
        "criterion": task.loss_that_notes(losses),
        "train_step": train_step,
    }
    with task.drawn(draws):
        page.run("torchvision", names)
    return losses, ema


# What a sampler is told where no ranks run.
ALONE = {"repeated": (), "distributed": (1, 0)}
# How many samples an epoch has, and how often each image that comes in it.
LENGTH = {"repeated": 1024, "distributed": task.COUNT}
TIMES = {"repeated": COPIES, "distributed": 1}


def is_whole(draws, name):
    task.all_differ(draws, EPOCHS * LENGTH[name])
    for epoch in range(EPOCHS):
        occurrences = {}
        for draw in draws:
            if draw.epoch == epoch:
                occurrences.setdefault(draw.id, []).append(draw.occurrence)
        for found in occurrences.values():
            assert sorted(found) == list(range(len(found)))
            assert len(found) <= TIMES[name]
        assert sum(map(len, occurrences.values())) == LENGTH[name]


def accuracy(model):
    images, labels = task.arrays()
    inputs = torch.from_numpy(images).movedim(-1, 1) / 255
    with torch.no_grad():
        return float((model(inputs).argmax(1).numpy() == labels).mean())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_page(tmp_path, name, workers, recwarn):
    losses, ema = train(tmp_path / "draws", name, workers)
    assert losses[-1] < losses[0]
    assert accuracy(ema) > 0.3  # of ten classes; another model's is 0.1
    is_whole(task.read(tmp_path / "draws"), name)
    assert not [w for w in recwarn if "augengine" in str(w.message)]


def in_ranks(folder):
    """What a rank runs."""
    distributed.init_process_group("gloo")
    rank, name = distributed.get_rank(), os.environ["SAMPLER"]
    # As the references do it: only the first rank prints.
    builtin_print = builtins.print
    builtins.print = lambda *args, **how: builtin_print(*args, **how) if rank == 0 else None
    losses, ema = train(Path(folder) / "draws", name, int(os.environ["WORKERS"]))
    (Path(folder) / f"of{rank}.json").write_text(json.dumps([losses, accuracy(ema)]))
    distributed.destroy_process_group()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", SAMPLERS)
def test_two_ranks_draw_what_one_draws(tmp_path, name, workers):
    train(tmp_path / "alone", name)
    said = task.launch("test_torchvision", "in_ranks", tmp_path, SAMPLER=name, WORKERS=str(workers))
    together = task.read(tmp_path / "draws")
    is_whole(together, name)
    assert {draw.rank for draw in together} == {0, 1}
    assert task.by_key(together) == task.by_key(task.read(tmp_path / "alone"))
    for rank in (0, 1):
        losses, of_ema = json.loads((tmp_path / f"of{rank}.json").read_text())
        assert losses[-1] < losses[0]
        assert of_ema > 0.3
    assert "augengine:" not in said
