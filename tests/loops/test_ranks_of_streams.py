"""Two ranks draw what one alone does: each loop of these frameworks, in two processes with gloo."""

import os
import pickle
from pathlib import Path

import pytest
import task
import test_iterable
import test_litdata
import test_torchdata
import test_transformers
import test_webdataset
import torch
import webdataset
from bits import all_differ, images_drawn
from torch.utils.data import get_worker_info
from torchdata.stateful_dataloader import StatefulDataLoader
from torchdata.stateful_dataloader.sampler import StatefulDistributedSampler

import augengine as ae

COUNT, EPOCHS = 96, 2


def rank_and_world():
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


class Stream(test_iterable.Stream):
    """Each worker of each rank has a part."""

    def __iter__(self):
        rank, world = rank_and_world()
        worker = get_worker_info()
        worker, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        images, labels = task.arrays()
        for index in range(rank * workers + worker, COUNT, world * workers):
            yield images[index], labels[index], index


def iterable(folder, workers):
    loader = test_iterable.loader_of(Stream(), workers)
    return images_drawn(loader, EPOCHS, loader.collate_fn.set_epoch)


def torchdata(folder, workers):
    rank, world = rank_and_world()
    sampler = StatefulDistributedSampler(test_torchdata.DATA, world, rank)
    collate = ae.Collate(task.OPS)
    loader = StatefulDataLoader(
        test_torchdata.DATA, 16, sampler=sampler, num_workers=workers, collate_fn=collate
    )
    return images_drawn(ae.keyed(loader), EPOCHS, loader.sampler.set_epoch)


def shards(folder, workers, nodesplitter=webdataset.split_by_node, **options):
    collate = test_webdataset.collate_of()
    pattern = str(folder / "{0..3}.tar")
    dataset = webdataset.WebDataset(pattern, nodesplitter=nodesplitter, **options).decode("pil")
    if "resampled" in options:
        dataset = dataset.with_epoch(100 // max(workers, 1))
    loader = test_webdataset.loader_of(dataset, workers, collate)
    return images_drawn(loader, EPOCHS, collate.set_epoch)


def litdata(folder, workers):
    return images_drawn(test_litdata.streaming(str(folder / "chunks"), workers), EPOCHS)


def trainer(folder, workers):
    _, world = rank_and_world()
    options = {"per_device_train_batch_size": 16 // world, "num_train_epochs": EPOCHS}
    options["dataloader_num_workers"] = workers
    watch = test_transformers.train(folder, test_transformers.digits(), **options)
    return [(None, pixels) for pixels in watch.trained]


LOOPS = {"iterable": iterable, "torchdata": torchdata, "litdata": litdata, "trainer": trainer}
LOOPS["shards"] = lambda folder, workers: shards(folder, workers, shardshuffle=4)


def on_a_rank(folder):
    """Write what this rank draws."""
    folder, rank = Path(folder), rank_and_world()[0]
    os.environ["DATA_OPTIMIZER_CACHE_FOLDER"] = str(folder / f"cache{rank}")
    torch.distributed.init_process_group("gloo")
    found = {
        (name, workers): loop(folder, workers) for name, loop in LOOPS.items() for workers in (0, 2)
    }
    found["resampled"] = shards(folder, 2, nodesplitter=None, resampled=True)
    (folder / f"rank{rank}.pickle").write_bytes(pickle.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    images, labels = task.arrays()
    test_webdataset.write(folder, COUNT)
    test_litdata.write(
        folder / "chunks", COUNT, lambda i: {"image": images[i], "label": int(labels[i])}
    )
    return folder


@pytest.fixture(scope="module")
def of_ranks(folder):
    """What both ranks draw, by loop."""
    task.launch("test_ranks_of_streams", "on_a_rank", folder)
    both = [pickle.loads((folder / f"rank{rank}.pickle").read_bytes()) for rank in range(2)]
    return {name: both[0][name] + both[1][name] for name in both[0]}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", LOOPS)
def test_two_ranks_draw_what_one_does(name, workers, of_ranks, folder, monkeypatch):
    monkeypatch.setenv("DATA_OPTIMIZER_CACHE_FOLDER", str(folder / "cache"))
    together = of_ranks[name, workers]
    all_differ(together, EPOCHS * COUNT)
    alone = LOOPS[name](folder, 0)
    assert sorted(pixels for _, pixels in together) == sorted(pixels for _, pixels in alone)


def test_shards_that_two_ranks_resample(of_ranks):
    all_differ(of_ranks["resampled"], 2 * EPOCHS * 100)
