"""A plain IterableDataset, as docs/frameworks/iterable.md has it: ids are what the stream yields."""

from contextlib import nullcontext

import page
import pytest
import task
from bits import Step, all_differ, images_drawn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import augengine as ae

COUNT, BATCH = 96, 16
GIVEN = {
    "ae": ae,
    "IterableDataset": IterableDataset,
    "get_worker_info": get_worker_info,
    "DataLoader": DataLoader,
    "ops": task.OPS,
}


class Stream(IterableDataset):
    """Each worker's part of the samples; anew: each worker has all of them, from its own start on."""

    def __init__(self, anew=False, name=int, key=None):
        self.anew, self.name, self.key = anew, name, key

    def __iter__(self):
        images, labels = task.arrays()
        worker = get_worker_info()
        first, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        part = range(COUNT // workers) if self.anew else range(first, COUNT, workers)
        for index in part:
            id = self.name(index) if self.key is None else self.key(index, first)
            yield images[index], labels[index], id


def loader_of(stream, workers, **options):
    options = {"collate_fn": ae.Collate(task.OPS), **options}
    return DataLoader(stream, BATCH, num_workers=workers, **options)


def test_the_page():
    step = Step()
    images, labels = task.arrays()
    names = page.run("iterable", GIVEN | {"images": images, "labels": labels})
    page.run("iterable", GIVEN | {"stream": names["Stream"](), "step": step}, block=2)
    step.has_learnt(3 * task.COUNT)


@pytest.mark.parametrize("name", [int, "file {}.png".format, lambda i: b"%d" % i])
def test_workers_do_not_matter_where_the_epoch_is_named(name):
    images = {}
    for workers in (0, 1, 2, 4):
        loader = loader_of(Stream(name=name), workers)
        images[workers] = images_drawn(loader, 2, loader.collate_fn.set_epoch)
        all_differ(images[workers], 2 * COUNT)
    assert len({tuple(sorted(found)) for found in images.values()}) == 1


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_told_nothing_but_ids(workers, persistent):
    loader = loader_of(Stream(), workers, persistent_workers=persistent and workers > 0)
    with pytest.warns(UserWarning, match="No epoch was named") if not workers else nullcontext():
        images = images_drawn(loader, 3)
    all_differ(images, 3 * COUNT)


@pytest.mark.parametrize("persistent", [False, True])
def test_told_nothing_workers_that_bring_the_same_ids_draw_anew(persistent):
    """Each worker begins with sample 0."""
    loader = loader_of(Stream(anew=True), 2, persistent_workers=persistent)
    all_differ(images_drawn(loader, 3), 3 * COUNT)


@pytest.mark.parametrize("workers", [0, 2])
def test_keys_of_the_stream_say_which_occurrence_it_is(workers):
    """What the page says of streams that sample anew in each worker."""
    epoch = [0]

    def key(index, worker):
        return ae.Key(index, epoch=epoch[0], occurrence=worker)

    loader = loader_of(Stream(anew=True, key=key), workers)
    images = images_drawn(loader, 3, lambda number: epoch.__setitem__(0, number))
    all_differ(images, 3 * COUNT)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_sample_that_comes_again_in_the_stream_is_another_draw(workers):
    class Twice(Stream):
        def __iter__(self):
            for sample in super().__iter__():
                yield sample
                yield sample

    loader = loader_of(Twice(), workers)
    images = images_drawn(loader, 2, loader.collate_fn.set_epoch)
    all_differ(images, 4 * COUNT)


def test_spawned_workers():
    loader = loader_of(Stream(), 2, multiprocessing_context="spawn", persistent_workers=True)
    alone = loader_of(Stream(), 0)
    untold = images_drawn(loader, 2)
    all_differ(untold, 2 * COUNT)
    spawned = images_drawn(loader, 2, loader.collate_fn.set_epoch)
    assert sorted(spawned) == sorted(images_drawn(alone, 2, alone.collate_fn.set_epoch))


def test_drawn_ahead_by_a_device_loader():
    loader = ae.DeviceLoader(loader_of(Stream(), 2, collate_fn=ae.pack(task.OPS)), device="cpu")
    alone = loader_of(Stream(), 0)
    ahead = images_drawn(loader, 2, loader.set_epoch)
    assert sorted(ahead) == sorted(images_drawn(alone, 2, alone.collate_fn.set_epoch))


def test_a_stream_cannot_be_keyed():
    with pytest.raises(TypeError, match="a stream, which has no sampler"):
        ae.keyed(loader_of(Stream(), 0))
