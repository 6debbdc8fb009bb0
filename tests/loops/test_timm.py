"""docs/frameworks/timm.md with timm."""

import json
import os
from pathlib import Path

import page
import pytest
import task
import torch
from timm.data import Mixup, create_loader
from timm.data.distributed_sampler import RepeatAugSampler
from timm.loss import SoftTargetCrossEntropy

import augengine as ae

EPOCHS = 3


class ImageFolder(task.Digits):
    """As timm's datasets are: `create_loader` gives it a transform, which these images do without."""

    transform = None


def train(draws, collate=None, criterion=None, **options):
    """Run the page; the losses of its steps. collate: further options of it."""
    losses, model = [], task.classifier()

    class Told:
        """`ae`, whose Collate is given more options than the page names."""

        keyed = staticmethod(ae.keyed)

        @staticmethod
        def Collate(policy, **how):
            return ae.Collate(policy, **how, **(collate or {}))

    names = {
        "ae": Told,
        "create_loader": create_loader,
        "dataset": ImageFolder(),
        "policy": task.OPS,
        "options": {
            "num_workers": 0,
            "use_prefetcher": False,
            "device": torch.device("cpu"),
            "persistent_workers": options.get("num_workers", 0) > 0,
            **options,
        },
        "model": model,
        "optimizer": torch.optim.Adam(model.parameters(), 3e-3),
        "criterion": criterion or task.loss_that_notes(losses),
    }
    with task.drawn(draws):
        loader = page.run("timm", names)["loader"]
    return losses, loader


def sent(draws):
    """Those of the three epochs: workers that begin with the next one have more decided."""
    return [draw for draw in draws if draw.epoch < EPOCHS]


LOADERS = {
    "plain": {},
    "workers": {"num_workers": 2},
    "prefetcher": {"use_prefetcher": True, "num_workers": 2},
    "multi epochs": {"use_multi_epochs_loader": True, "num_workers": 2},
    "multi epochs, prefetcher": {"use_multi_epochs_loader": True, "use_prefetcher": True},
}


@pytest.mark.parametrize("name", LOADERS)
def test_the_page(tmp_path, name, recwarn):
    options = LOADERS[name]
    bytes_ = {"dtype": torch.uint8} if options.get("use_prefetcher") else {}
    losses, _ = train(tmp_path / "draws", bytes_, **options)
    task.falls(losses)
    draws = sent(task.read(tmp_path / "draws"))
    task.all_differ(draws, EPOCHS * task.COUNT)
    assert {(d.epoch, d.id, d.occurrence) for d in draws} == {
        (epoch, id, 0) for epoch in range(EPOCHS) for id in range(task.COUNT)
    }
    assert not [w for w in recwarn if "augengine" in str(w.message)]


def in_ranks(folder):
    """What a rank runs."""
    torch.distributed.init_process_group("gloo")
    rank, options = int(os.environ["RANK"]), json.loads(os.environ["OPTIONS"])
    losses, loader = train(Path(folder) / "draws", distributed=True, **options)
    (Path(folder) / f"losses{rank}.json").write_text(json.dumps(losses))
    if options.get("num_aug_repeats"):
        sampler = loader.sampler
        assert isinstance(getattr(sampler, "sampler", sampler), RepeatAugSampler)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_aug_repeats": 3, "num_workers": 2},
        {"num_aug_repeats": 3, "use_multi_epochs_loader": True},
    ],
    ids=str,
)
def test_two_ranks_draw_what_one_draws(tmp_path, options):
    """With repeats one rank is a run of one: its sampler takes half as much for each of two."""
    draws = {}
    for world in (1, 2):
        folder = tmp_path / str(world)
        folder.mkdir()
        said = task.launch("test_timm", "in_ranks", folder, world, OPTIONS=json.dumps(options))
        draws[world] = sent(task.read(folder / "draws"))
        task.all_differ(draws[world], len(draws[world]))
        for rank in range(world):
            task.falls(json.loads((folder / f"losses{rank}.json").read_text()))
        assert "augengine:" not in said
    one, two = task.by_key(draws[1]), task.by_key(draws[2])
    assert one.keys() & two.keys()
    for key in one.keys() & two.keys():
        assert one[key] == two[key]
    if options.get("num_aug_repeats"):
        assert {key[2] for key in two} == {0, 1, 2}
        # Copies of one image come to both ranks.
        ranks = {}
        for draw in draws[2]:
            ranks.setdefault((draw.epoch, draw.id), set()).add(draw.rank)
        assert any(len(seen) == 2 for seen in ranks.values())
    else:
        assert one.keys() == two.keys()


def test_timms_mixup_after_ours(tmp_path):
    losses, soft = [], SoftTargetCrossEntropy()
    mixup = Mixup(mixup_alpha=0.2, cutmix_alpha=1.0, num_classes=10)

    def criterion(logits, labels):
        loss = soft(logits, labels)
        losses.append(loss.item())
        return loss

    # The page's loop, with mixup where its loss is.
    collate = ae.Collate(task.OPS, seed=0)
    loader = create_loader(
        ImageFolder(),
        (3, 32, 32),
        60,
        is_training=True,
        num_workers=0,
        collate_fn=collate,
        use_prefetcher=False,
    )
    loader, model = ae.keyed(loader), task.classifier()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for epoch in range(2 * EPOCHS):
        loader.sampler.set_epoch(epoch)
        for images, labels in loader:
            images, labels = mixup(images, labels)
            criterion(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert labels.shape == (60, 10)
    task.falls(losses)


def test_ours_with_timms_loss(tmp_path):
    """The page's loop with a policy that mixes."""
    losses, soft = [], SoftTargetCrossEntropy()

    def criterion(logits, labels):
        assert labels.shape == (60, 10)
        torch.testing.assert_close(labels.sum(1), torch.ones(60))
        loss = soft(logits, labels)
        losses.append(loss.item())
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "OPS", [*task.OPS, ae.MixUp(0.2)])
        train(tmp_path / "draws", {"num_classes": 10}, criterion)
    assert losses[-1] < losses[0]
