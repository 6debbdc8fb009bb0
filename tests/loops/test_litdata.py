"""litdata's StreamingDataLoader, as docs/frameworks/litdata.md has it: samples know their keys."""

import importlib

import page
import pytest
import task
import torch
from bits import Step, all_differ, images_drawn, images_of, run_examples
from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming import Cache
from torch.utils.data import DataLoader

import augengine as ae
from augengine.frameworks.litdata import KeyedStreamingDataset

COUNT, BATCH = 96, 8


def write(folder, count, sample):
    cache = Cache(str(folder), chunk_size=16)
    for index in range(count):
        cache[index] = sample(index)
    cache.done()
    cache.merge()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Without it chunks are cached in the home folder."""
    monkeypatch.setenv("DATA_OPTIMIZER_CACHE_FOLDER", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    images, labels = task.arrays()

    def sample(index):
        return {"image": images[index], "label": int(labels[index])}

    write(tmp_path / "chunks", COUNT, sample)
    return str(tmp_path / "chunks")


def streaming(folder, workers=0, kind=KeyedStreamingDataset, **options):
    dataset = kind(folder, shuffle=True, seed=3)
    options = {"collate_fn": ae.Collate(task.OPS), **options}
    return StreamingDataLoader(dataset, batch_size=BATCH, num_workers=workers, **options)


def test_the_page(tmp_path):
    images, labels = task.arrays()
    write(tmp_path, task.COUNT, lambda i: {"image": images[i], "label": int(labels[i])})
    step = Step()
    names = {"ae": ae, "folder": str(tmp_path), "ops": task.OPS, "step": step, "state": None}
    page.run("litdata", names | {"StreamingDataLoader": StreamingDataLoader})
    step.has_learnt(3 * task.COUNT)


def test_workers_do_not_matter_though_nobody_is_told_anything(folder):
    images = [images_drawn(streaming(folder, workers), 3) for workers in (0, 1, 2)]
    all_differ(images[0], 3 * COUNT)
    assert sorted(images[0]) == sorted(images[1]) == sorted(images[2])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_is_resumed_within_an_epoch_goes_on_to_the_bit(folder, workers):
    loader = streaming(folder, workers)
    two_epochs = [images_of(batch) for _ in range(2) for batch in loader]
    paused = streaming(folder, workers)
    first = [images_of(batch) for batch in paused]
    for number, batch in enumerate(paused):
        first.append(images_of(batch))
        if number == 4:
            state = paused.state_dict()
            break
    resumed = streaming(folder, workers)
    resumed.load_state_dict(state)
    assert first + [images_of(batch) for batch in resumed] == two_epochs


@pytest.mark.parametrize("workers", [0, 2])
def test_drawn_ahead_and_resumed_by_a_device_loader(folder, workers):
    def ahead():
        return ae.DeviceLoader(
            streaming(folder, workers, collate_fn=ae.pack(task.OPS)), device="cpu"
        )

    whole = [images_of(batch) for batch in ahead()]
    assert whole == [images_of(batch) for batch in streaming(folder, workers)]
    paused = ahead()
    for number, _ in enumerate(paused):
        if number == 2:
            state = paused.state_dict()
            break
    resumed = ahead()
    resumed.load_state_dict(state)
    assert [images_of(batch) for batch in resumed] == whole[3:]


def test_ids_are_numbers_in_the_whole_dataset(folder):
    """A sample's image, undistorted, is the one that was written under its id."""
    written, _ = task.arrays()
    loader = streaming(folder, 2, collate_fn=ae.Collate(ae.CenterCrop(32), dtype=torch.uint8))
    for id, pixels in images_drawn(loader):
        assert pixels == written[id].transpose(2, 0, 1).tobytes()


def test_spawned_workers_draw_the_same(folder):
    """They know the epoch, though the dataset was pickled."""
    spawned = streaming(folder, 2, multiprocessing_context="spawn")
    assert images_drawn(spawned, 2) == images_drawn(streaming(folder, 2), 2)


@pytest.mark.parametrize("persistent", [False, True])
def test_a_loader_that_tells_no_epoch(folder, persistent):
    """torch's own: the dataset's count of epochs is then lost with the workers."""
    loader = DataLoader(
        KeyedStreamingDataset(folder),
        BATCH,
        num_workers=2,
        persistent_workers=persistent,
        collate_fn=ae.Collate(task.OPS),
    )
    all_differ(images_drawn(loader, 3), 3 * COUNT)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_plain_dataset_whose_samples_have_an_id(tmp_path, workers):
    """The epoch is then told as anywhere, or not."""
    images, labels = task.arrays()
    write(tmp_path, COUNT, lambda i: {"image": images[i], "label": int(labels[i]), "id": f"d{i}"})
    collate = ae.Collate(task.OPS)
    loader = streaming(str(tmp_path), workers, StreamingDataset, collate_fn=collate)
    told = images_drawn(loader, 2, collate.set_epoch)
    untold = images_drawn(streaming(str(tmp_path), workers, StreamingDataset), 3)
    all_differ(told, 2 * COUNT)
    all_differ(untold, 3 * COUNT)


def test_tuples_get_their_key_and_other_samples_are_refused(tmp_path):
    images, _ = task.arrays()
    write(tmp_path / "pairs", 4, lambda i: (images[i], i))
    assert KeyedStreamingDataset(str(tmp_path / "pairs"))[3][1:] == (3, 3)
    write(tmp_path / "bare", 4, lambda i: images[i])
    with pytest.raises(TypeError, match="expected a dict or"):
        KeyedStreamingDataset(str(tmp_path / "bare"))[3]


def test_the_examples_of_the_adapter():
    run_examples(importlib.import_module("augengine.frameworks.litdata"))
