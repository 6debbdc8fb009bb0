"""docs/frameworks/lightning.md with Lightning."""

import json
import os
import sys
import warnings
from pathlib import Path

import page
import pytest
import task
import torch
from torch.utils.data import DataLoader, DistributedSampler

import augengine as ae

EPOCHS = 3
IN_WORKERS, ON_DEVICE, AHEAD = 1, 2, 3
EACH_BLOCK = pytest.mark.parametrize("block", [IN_WORKERS, ON_DEVICE, AHEAD])


def train(block, draws, workers=0, world=1, checkpoint=None, **options):
    """Run a block of the page. draws: the file for the plans of the batches that are trained on.

    Returns the losses of its steps, and the trainer.
    """
    import lightning as L

    class Model(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.losses = task.classifier(), []

        def training_step(self, batch, _):
            task.note(batch.plan, draws)
            images, labels = batch
            loss = torch.nn.functional.cross_entropy(self.net(images), labels)
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 3e-3)

    model = Model()
    quiet = dict.fromkeys(
        ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False
    )
    strategy = {"strategy": "ddp", "devices": world} if world > 1 else {"devices": 1}
    names = {
        "L": L,
        "ae": ae,
        "DataLoader": DataLoader,
        "DistributedSampler": DistributedSampler,
        "dataset": task.Digits(),
        "policy": task.OPS,
        "model": model,
        "workers": workers,
        "checkpoint": checkpoint,
        "options": {"accelerator": "cpu", "max_epochs": EPOCHS, **quiet, **strategy, **options},
    }
    trainer = page.run("lightning", names, block)["trainer"]
    return model.losses, trainer


@pytest.mark.parametrize(
    ("block", "workers"),
    [(IN_WORKERS, 0), (IN_WORKERS, 2), (ON_DEVICE, 0), (ON_DEVICE, 2), (AHEAD, 0)],
)
def test_the_page(tmp_path, block, workers):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        losses, _ = train(block, tmp_path / "draws", workers)
    task.falls(losses)
    draws = task.read(tmp_path / "draws")
    task.all_differ(draws, EPOCHS * task.COUNT)
    assert {(d.epoch, d.id, d.occurrence) for d in draws} == {
        (epoch, id, 0) for epoch in range(EPOCHS) for id in range(task.COUNT)
    }
    assert not [w for w in said if "augengine" in str(w.message)]


def in_ranks(folder):
    """What a rank runs."""
    block, rank, workers = (int(os.environ[name]) for name in ("BLOCK", "RANK", "WORKERS"))
    # As references do it: ranks draw other numbers of torch.
    torch.manual_seed(rank)
    losses, _ = train(block, Path(folder) / "draws", workers, world=2)
    (Path(folder) / f"losses{rank}.json").write_text(json.dumps(losses))


@EACH_BLOCK
def test_two_ranks_draw_what_one_draws(tmp_path, block):
    train(block, tmp_path / "alone")
    task.launch(
        "test_lightning", "in_ranks", tmp_path, BLOCK=str(block), WORKERS=str(block % 2 * 2)
    )
    together = task.read(tmp_path / "draws")
    task.all_differ(together, EPOCHS * task.COUNT)
    for rank in (0, 1):
        assert sum(d.rank == rank for d in together) == EPOCHS * task.COUNT / 2
        task.falls(json.loads((tmp_path / f"losses{rank}.json").read_text()))
    assert task.by_key(together) == task.by_key(task.read(tmp_path / "alone"))


def without_shards(folder):
    """What a rank runs: a DeviceLoader whose loader gives each rank all samples."""
    import lightning as L

    from augengine.frameworks.lightning import KeyedLoaders

    loader = DataLoader(
        ae.WithIds(task.Digits()), 60, shuffle=True, collate_fn=ae.pack(task.OPS, seed=0)
    )
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        logger=False,
        enable_checkpointing=False,
        callbacks=[KeyedLoaders()],
    )

    class Model(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = task.classifier()

        def training_step(self, batch, _):
            raise AssertionError("both ranks train on all samples")

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    with pytest.raises(ValueError, match="gives each of 2 ranks all samples"):
        trainer.fit(Model(), ae.DeviceLoader(loader, device="cpu"))
    sys.stdout.flush()
    # Without a farewell to the other rank, which Lightning would wait for.
    os._exit(0)


def test_a_device_loader_that_shards_nothing_is_refused(tmp_path):
    task.launch("test_lightning", "without_shards", tmp_path)


@pytest.mark.parametrize("block", [IN_WORKERS, AHEAD])
def test_a_resumed_run_draws_what_the_uninterrupted_one_draws(tmp_path, block):
    """Workers read ahead of the moment at which Lightning names the epoch."""
    workers = 2 if block == IN_WORKERS else 0
    train(block, tmp_path / "whole", workers)
    _, trainer = train(block, tmp_path / "parts", workers, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    assert {draw.epoch for draw in task.read(tmp_path / "parts")} == {0}
    train(block, tmp_path / "parts", workers, checkpoint=tmp_path / "one.ckpt")
    parts, whole = (task.read(tmp_path / name) for name in ("parts", "whole"))
    task.all_differ(parts, EPOCHS * task.COUNT)
    assert task.by_key(parts) == task.by_key(whole)
