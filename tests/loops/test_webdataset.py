"""WebDataset shards, as docs/frameworks/webdataset.md has it: `__key__` names a sample."""

import page
import pytest
import task
import webdataset
from bits import Step, all_differ, images_drawn
from PIL import Image

import augengine as ae

COUNT, SHARDS, BATCH = 96, 4, 16


def write(folder, count, shards=SHARDS):
    """Shards of digits, and the pattern of their names."""
    images, labels = task.arrays()
    for shard in range(shards):
        with webdataset.TarWriter(str(folder / f"{shard}.tar")) as tar:
            for index in range(shard, count, shards):
                image = Image.fromarray(images[index])
                tar.write({"__key__": f"d{index:03d}", "png": image, "cls": int(labels[index])})
    return str(folder / f"{{0..{shards - 1}}}.tar")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shards"), COUNT)


def collate_of(kind=ae.Collate, **options):
    return kind(task.OPS, image="png", label="cls", id="__key__", **options)


def stream(shards, resampled=False):
    shuffle = {"resampled": True} if resampled else {"shardshuffle": 4}
    return webdataset.WebDataset(shards, **shuffle).shuffle(20).decode("pil")


def kept(batch):
    """A batch as it is: a DataLoader's default would make a Batch of its images and labels alone."""
    return batch


def loader_of(dataset, workers, collate, **options):
    return webdataset.WebLoader(
        dataset, batch_size=BATCH, num_workers=workers, collate_fn=collate, **options
    )


def test_the_page(tmp_path):
    step = Step()
    shards = write(tmp_path, task.COUNT)
    page.run(
        "webdataset", {"ae": ae, "wds": webdataset, "shards": shards, "ops": task.OPS, "step": step}
    )
    step.has_learnt(3 * task.COUNT)


def test_the_page_on_encoded_images(tmp_path):
    step = Step()
    shards = write(tmp_path, task.COUNT)
    names = {"ae": ae, "wds": webdataset, "shards": shards, "ops": task.OPS, "step": step}
    page.run("webdataset", names, block=2)
    step.has_learnt(3 * task.COUNT)


@pytest.mark.parametrize("workers", [0, 2])
def test_encoded_images_are_drawn_as_decoded_ones(shards, workers):
    """A PNG, whose pixels are the same whoever decodes them; as dicts and as tuples."""
    encoded = webdataset.WebDataset(shards, shardshuffle=4).shuffle(20).decode()
    assert isinstance(next(iter(encoded))["png"], bytes)
    exact = {"decode": "exact"}
    collates = [collate_of(), collate_of(**exact), ae.Collate(task.OPS, **exact)]
    streams = [stream(shards), encoded, encoded.to_tuple("jpg;png", "cls", "__key__")]
    found = [
        sorted(images_drawn(loader_of(data, workers, collate), 1, collate.set_epoch))
        for data, collate in zip(streams, collates, strict=True)
    ]
    assert len(found[0]) == COUNT
    assert found[0] == found[1] == found[2]


def test_workers_do_not_matter_where_the_epoch_is_named(shards):
    images = {}
    for workers in (0, 1, 2, 4):
        collate = collate_of()
        images[workers] = images_drawn(
            loader_of(stream(shards), workers, collate), 2, collate.set_epoch
        )
        all_differ(images[workers], 2 * COUNT)
    assert len({tuple(sorted(found)) for found in images.values()}) == 1


@pytest.mark.parametrize("options", [{}, {"collate_fn": kept}], ids=["rebuilt", "kept"])
def test_batches_of_the_pipeline_are_those_of_the_loader(shards, options):
    """WebDataset's own way: batches are made in the stream, and the loader hands them on."""
    collates = collate_of(), collate_of()
    batched = stream(shards).batched(BATCH, collation_fn=collates[0])
    handed_on = webdataset.WebLoader(batched, batch_size=None, num_workers=2, **options)
    loader = loader_of(stream(shards), 2, collates[1])
    for epoch in range(2):
        for collate in collates:
            collate.set_epoch(epoch)
        found = [image.numpy().tobytes() for images, _ in handed_on for image in images]
        assert sorted(found) == sorted(pixels for _, pixels in images_drawn(loader))
    if options:
        all_differ(images_drawn(handed_on, 1), COUNT)


def test_tuples_with_the_key_last(shards):
    collates = ae.Collate(task.OPS), collate_of()
    tuples = loader_of(stream(shards).to_tuple("png", "cls", "__key__"), 0, collates[0])
    dicts = loader_of(stream(shards), 0, collates[1])
    found = [
        images_drawn(loader, 1, collate.set_epoch)
        for loader, collate in zip((tuples, dicts), collates, strict=True)
    ]
    assert sorted(found[0]) == sorted(found[1])


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_told_nothing_but_the_key(shards, workers, persistent):
    loader = loader_of(
        stream(shards), workers, collate_of(), persistent_workers=persistent and workers > 0
    )
    all_differ(images_drawn(loader, 3), 3 * COUNT)


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_shards_that_are_resampled_bring_a_key_several_times(shards, workers, persistent, told):
    """In one worker and in several: 3 epochs of 200 draws of 96 samples, all others."""
    collate = collate_of()
    dataset = stream(shards, resampled=True).with_epoch(200 // max(workers, 1))
    loader = loader_of(dataset, workers, collate, persistent_workers=persistent and workers > 0)
    images = images_drawn(loader, 3, collate.set_epoch if told else lambda epoch: None)
    all_differ(images, 600)


def test_drawn_ahead_by_a_device_loader(shards):
    collates = collate_of(), collate_of(ae.pack)
    ahead = ae.DeviceLoader(loader_of(stream(shards), 2, collates[1]), device="cpu")
    loader = loader_of(stream(shards), 0, collates[0])
    found = images_drawn(ahead, 2, collates[1].set_epoch)
    assert sorted(found) == sorted(images_drawn(loader, 2, collates[0].set_epoch))
