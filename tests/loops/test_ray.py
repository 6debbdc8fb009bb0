"""Ray Data: whatever the cluster does, each image is the engine's, and its key says which draw it is."""

import io
import logging
import os
import pickle
import re
import sys
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet
import pytest
import ray
import torch
import webdataset
from ray import cloudpickle

import augengine as ae
from augengine.frameworks.ray import Augment, Skipped, webdataset_sample, with_occurrences

PAGE = Path(__file__).resolve().parents[2] / "docs/frameworks/ray.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.S | re.M)

POLICY = ae.Policy(
    [
        ae.RandomResizedCrop(16),
        ae.RandomHorizontalFlip(),
        ae.ColorJitter(0.4, 0.4, 0.4, 0.1),
        ae.RandomErasing(0.5, value="random"),
    ]
)
MIXING = ae.Policy([ae.RandomResizedCrop(16), ae.MixUpOrCutMix()])
FLIP = ae.Policy(ae.RandomHorizontalFlip(p=1))
SEED, EPOCH, COUNT = 5, 3, 24
SIZES = [(40, 50), (33, 31), (64, 41), (50, 80)]


def picture(i, size=None):
    """Image number i, smooth but for some noise, of a size of its own."""
    height, width = size or SIZES[i % len(SIZES)]
    rng = np.random.default_rng(i)
    corners = torch.from_numpy(rng.uniform(0, 230, (1, 3, 4, 4)))
    smooth = torch.nn.functional.interpolate(corners, (height, width), mode="bilinear")[0]
    return (smooth.movedim(0, -1).numpy() + rng.uniform(0, 25, (height, width, 3))).astype(np.uint8)


IMAGES = [picture(i) for i in range(COUNT)]
DENSE = [picture(i, (30, 36)) for i in range(COUNT)]


def rows(images=IMAGES, names=range(COUNT)):
    return [
        {"image": image, "label": i % 10, "id": name, "note": f"note {i}"}
        for i, (image, name) in enumerate(zip(images, names, strict=True))
    ]


def encoded(image, form="png"):
    file = io.BytesIO()
    PIL.Image.fromarray(image).save(file, form)
    return file.getvalue()


def expected(images=IMAGES, names=range(COUNT), copies=1, policy=POLICY, **how):
    """What the engine draws in this process: {(id, occurrence): image (H, W, C)}, one by one."""
    engine = ae.Engine(policy, seed=SEED, dtype=torch.uint8, **how)
    drawn = {}
    for image, name in zip(images, names, strict=True):
        for k in range(copies):
            plan = engine.plan([image.shape[:2]], [name], EPOCH, occurrences=[k])
            batch = engine.draw(plan, ae.Sources.of([image]))
            drawn[name, k] = batch.images[0].movedim(0, -1).numpy()
    return drawn


def by_key(taken):
    """{(id, occurrence): image} of rows, each of which must be there once."""
    images = {(row["key"]["id"], row["key"]["occurrence"]): row["image"] for row in taken}
    assert len(images) == len(taken)
    return images


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name, image in want.items():
        np.testing.assert_array_equal(got[name], image, err_msg=str(name))


def processes_of(session):
    """Commands that name a session of Ray."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes()
        except OSError:
            continue
        if session.encode() in command:
            found.append(command)
    return found


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A local Ray, of more logical CPUs than there are cores, and a GPU that may be there only by name."""
    context = ray.init(
        num_cpus=6,
        num_gpus=1,
        include_dashboard=False,
        object_store_memory=200 * 2**20,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    # Workers cannot import this file, so what stands in it travels by value.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    settings = ray.data.DataContext.get_current()
    settings.enable_progress_bars = False
    settings.default_hash_shuffle_parallelism = 4
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    yield
    session = Path(context.address_info["session_dir"]).name
    ray.shutdown()
    end = time.monotonic() + 30
    while processes_of(session) and time.monotonic() < end:
        time.sleep(0.2)
    assert not processes_of(session)


def pool(size):
    return ray.data.ActorPoolStrategy(size=size)


def augmented(dataset, policy=POLICY, *, batch_size=8, actors=1, kind=Augment, **how):
    return dataset.map_batches(
        kind,
        fn_constructor_kwargs={"policy": policy, "seed": SEED, "epoch": EPOCH, **how},
        batch_size=batch_size,
        compute=pool(actors),
    )


def batch_of(images, names=None, **more):
    """A batch as Ray gives it: columns, images as objects."""
    column = np.empty(len(images), object)
    column[:] = images
    names = np.arange(len(images)) if names is None else np.array(names, object)
    return {"image": column, "label": np.arange(len(images)) % 10, "id": names, **more}


def augment(policy=POLICY, **how):
    return Augment(policy, **{"seed": SEED, "epoch": EPOCH, **how})


# Whatever the cluster does


@pytest.mark.parametrize(
    ("blocks", "actors", "batch_size", "shuffled"),
    [(1, 1, 24, False), (24, 3, 1, False), (5, 2, 7, True), (3, 2, None, True)],
)
def test_blocks_actors_batches_and_orders_change_nothing(blocks, actors, batch_size, shuffled):
    dataset = ray.data.from_items(rows(), override_num_blocks=blocks)
    if shuffled:
        dataset = dataset.random_shuffle(seed=blocks)
    taken = augmented(dataset, copies=3, batch_size=batch_size, actors=actors).take_all()
    assert_same(by_key(taken), expected(copies=3))
    for row in taken:
        name = row["key"]["id"]
        assert (row["id"], row["label"], row["note"]) == (name, name % 10, f"note {name}")


def test_tasks_draw_what_actors_do():
    taken = ray.data.from_items(rows()).map_batches(augment(copies=2), batch_size=5).take_all()
    assert_same(by_key(taken), expected(copies=2))


class Dying(Augment):
    """Ends its process in the midst of the work, once in all the cluster."""

    def __init__(self, *, grave, **how):
        super().__init__(**how)
        self.grave = Path(grave)

    def __call__(self, batch):
        drawn = super().__call__(batch)
        if 13 in batch["id"]:
            try:
                self.grave.touch(exist_ok=False)
            except FileExistsError:
                return drawn
            os._exit(1)
        return drawn


def test_an_actor_that_dies_is_tried_again_and_changes_nothing(tmp_path):
    dataset = ray.data.from_items(rows(), override_num_blocks=6)
    grave = tmp_path / "died"
    taken = augmented(dataset, kind=Dying, grave=grave, actors=2, batch_size=4).take_all()
    assert grave.exists()
    assert_same(by_key(taken), expected())


def test_draws_differ_by_id_occurrence_epoch_and_seed():
    batch = batch_of([IMAGES[0]] * 6)
    shown = [
        image.tobytes()
        for how in ({}, {"epoch": EPOCH + 1}, {"seed": SEED + 1})
        for image in augment(copies=4, **how)(batch)["image"]
    ]
    assert len(set(shown)) == len(shown) == 72


# Columns


def test_a_flip_is_a_flip_and_copies_stand_side_by_side():
    got = augment(FLIP, copies=2)(batch_of(DENSE[:3], note=np.array(["a", "b", "c"])))
    np.testing.assert_array_equal(got["image"], np.repeat(DENSE[:3], 2, 0)[:, :, ::-1])
    assert got["id"].tolist() == [0, 0, 1, 1, 2, 2]
    assert got["note"].tolist() == ["a", "a", "b", "b", "c", "c"]
    assert [key["occurrence"] for key in got["key"]] == [0, 1] * 3


@pytest.mark.parametrize("form", ["tensor column", "ragged", "files", "Hugging Face's files"])
def test_forms_of_image_columns(form):
    images = IMAGES if form == "ragged" else DENSE
    values = images
    if form == "files":
        values = [encoded(image) for image in images]
    elif form.startswith("Hugging"):
        values = [{"bytes": encoded(image), "path": "x.png"} for image in images]
    dataset = ray.data.from_items(rows(values))
    if form == "tensor column":
        assert dataset.take_batch(4)["image"].shape == (4, 30, 36, 3)
    got = dataset.map_batches(augment(), batch_size=5)
    assert_same(by_key(got.take_all()), expected(images))
    # A tensor column, and so one array in a batch.
    column = got.take_batch(5)["image"]
    assert (column.shape, column.dtype) == ((5, 16, 16, 3), np.uint8)


def test_channels_first_in_and_out():
    first = [np.ascontiguousarray(image.transpose(2, 0, 1)) for image in DENSE]
    want = np.stack([*expected(DENSE).values()]).transpose(0, 3, 1, 2)
    for values in (first, [encoded(image) for image in DENSE]):
        got = augment(layout="NCHW")(batch_of(values))["image"]
        np.testing.assert_array_equal(got, want)
    dense = batch_of(first) | {"image": np.stack(first)}
    np.testing.assert_array_equal(augment(layout="NCHW")(dense)["image"], want)


def test_grey_images():
    grey = [image[..., 0] for image in DENSE[:4]]
    for batch in (batch_of(grey), batch_of(grey) | {"image": np.stack(grey)}):
        got = augment(FLIP)(batch)["image"]
        np.testing.assert_array_equal(got, np.stack(grey)[:, :, ::-1, None])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_floats(dtype):
    image = picture(0, (12, 12))
    policy = ae.Policy([ae.RandomHorizontalFlip(p=1), ae.Normalize((0.5,) * 3, (0.25,) * 3)])
    got = augment(policy, dtype=dtype)(batch_of([image]))["image"]
    assert got.dtype == torch.empty(0, dtype=dtype).numpy().dtype
    np.testing.assert_allclose(got[0], (image[:, ::-1] / 255 - 0.5) / 0.25, rtol=0, atol=2e-3)


def test_a_jpeg_is_what_pillow_says_and_upright():
    file = io.BytesIO()
    lying = PIL.Image.fromarray(IMAGES[0])
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    lying.save(file, "jpeg", exif=exif)
    want = np.rot90(np.array(PIL.Image.open(io.BytesIO(file.getvalue()))), -1)
    got = augment(policy=ae.Policy([]))(batch_of([file.getvalue()]))["image"][0]
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        (np.array([3, 1], np.int32), np.array([3, 1])),
        (np.array([[0.25, 0.75], [1, 0]], np.float32), [[0.25, 0.75], [1, 0]]),
        (np.array([[0.25, 0.75], [1, 0]]), [[0.25, 0.75], [1, 0]]),
    ],
)
def test_labels_that_nothing_mixes_come_back(labels, want):
    got = augment(copies=2)(batch_of(IMAGES[:2]) | {"label": labels})["label"]
    np.testing.assert_array_equal(got, np.repeat(want, 2, axis=0))
    as_objects = np.empty(2, object)
    as_objects[:] = [*labels]
    got = augment(copies=2)(batch_of(IMAGES[:2]) | {"label": as_objects})["label"]
    np.testing.assert_array_equal(got, np.repeat(want, 2, axis=0))


def test_without_labels_and_with_other_names():
    batch = batch_of(IMAGES[:3])
    named = {"jpg": batch["image"], "__key__": np.array(["a", "b", "c"], object)}
    got = augment(image="jpg", id="__key__", label=None, key="drawn")(named)
    assert [*got] == ["jpg", "__key__", "drawn"]
    want = expected(IMAGES[:3], "abc")
    for name, image, key in zip("abc", got["jpg"], got["drawn"], strict=True):
        np.testing.assert_array_equal(image, want[name, 0])
        assert key["id"] == name


def test_ids_that_are_names():
    names = [f"train/{i}.jpg" for i in range(COUNT)]
    taken = augmented(ray.data.from_items(rows(names=names)), copies=2).take_all()
    assert_same(by_key(taken), expected(names=names, copies=2))


# Keys


def test_a_key_draws_its_image_again():
    half = {"strength": lambda epoch, ids: 0.5 + 0.02 * (ids % 24)}
    for seed in (-7, 2**64 - 7):  # one seed modulo 2⁶⁴
        got = augmented(ray.data.from_items(rows()), seed=seed, copies=2, **half).take_all()
        assert len(got) == 48
        for row in got[::7]:
            key = row["key"]
            assert key["policy"] == POLICY.fingerprint
            share = half["strength"](EPOCH, row["id"])
            said = {"seed": -7, "epoch": EPOCH, "id": row["id"], "strength": share}
            assert said.items() <= key.items()
            engine = ae.Engine(
                POLICY, seed=key["seed"], dtype=torch.uint8, strength=key["strength"]
            )
            image = IMAGES[key["id"]]
            plan = engine.plan(
                [image.shape[:2]], [key["id"]], key["epoch"], occurrences=[key["occurrence"]]
            )
            again = engine.draw(plan, ae.Sources.of([image])).images[0].movedim(0, -1)
            np.testing.assert_array_equal(again, row["image"])


def test_ids_that_repeat_are_refused_or_counted():
    twice = batch_of(IMAGES[:3], ["a", "b", "a"])
    with pytest.raises(ValueError, match=r"Augment: got id 'a' twice.*with_occurrences"):
        augment()(twice)
    got = augment(occurrence="time", copies=2)(twice | {"time": np.array([0, 0, 1])})
    draws = [(key["id"], key["occurrence"]) for key in got["key"]]
    assert draws == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("a", 2), ("a", 3)]
    with pytest.raises(ValueError, match=r"got id 'a' twice.*column 'time'"):
        augment(occurrence="time")(twice | {"time": np.array([1, 0, 1])})
    with pytest.raises(TypeError, match="got occurrences of float64, expected ints"):
        augment(occurrence="time")(twice | {"time": np.array([0.0, 0.0, 1.0])})


class Stumbling(Augment):
    """Fails at the end of a batch, once, so that Ray tries it again in the same actor."""

    def __call__(self, batch):
        drawn = super().__call__(batch)
        if 13 in batch["id"] and not hasattr(self, "stumbled"):
            self.stumbled = True
            raise OSError("the network is down")
        return drawn


@pytest.mark.parametrize(
    "retries",
    [
        {"actor_task_retry_on_errors": [OSError]},
        {"retried_map_errors": ["the network is down"], "max_map_retries": 2},
    ],
)
def test_what_is_tried_again_in_the_same_actor_is_no_repeat(monkeypatch, retries):
    for name, value in retries.items():
        monkeypatch.setattr(ray.data.DataContext.get_current(), name, value)
    dataset = ray.data.from_items(rows(), override_num_blocks=3)
    assert_same(by_key(augmented(dataset, kind=Stumbling, batch_size=3).take_all()), expected())


def test_an_oversampled_dataset():
    dataset = ray.data.from_items(rows())
    dataset = dataset.union(dataset.limit(4), dataset.limit(4))
    with pytest.raises(ray.exceptions.RayError, match=r"got id \d (twice|in two batches)"):
        augmented(dataset, batch_size=3).take_all()
    counted = with_occurrences(dataset)
    taken = augmented(counted, occurrence="occurrence", copies=2, actors=2, batch_size=3).take_all()
    want = expected(IMAGES[:4], range(4), copies=6) | expected(copies=2)
    assert_same(by_key(taken), want)
    assert len({image.tobytes() for image in by_key(taken).values()}) == len(want)


# Files that are broken


BROKEN = {
    "cut": encoded(IMAGES[0], "jpeg")[:400],
    "text": b"no image",
    "nothing": None,
    "floats": encoded(np.full((8, 8), 0.5, np.float32), "tiff"),
}


def test_sixteen_bits_become_eight():
    deep = np.array([[0, 257, 65535], [128, 129, 32896]], np.uint16)
    got = augment(policy=ae.Policy([]))(batch_of([encoded(deep)], ["deep"]))["image"][0]
    # 257 to one, to the nearest.
    grey = np.array([[0, 1, 255], [0, 1, 128]], np.uint8)
    np.testing.assert_array_equal(got, np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_an_error_that_names_it(name):
    files = [encoded(IMAGES[1]), BROKEN[name]]
    with pytest.raises(ValueError, match=f"the image of id '{name}' cannot be decoded"):
        augment()(batch_of(files, ["good", name]))
    dataset = ray.data.from_items(rows(files, ["good", name]))
    with pytest.raises(
        ray.exceptions.RayError, match=f"the image of id '{name}' cannot be decoded"
    ):
        augmented(dataset).take_all()


def test_broken_files_are_skipped_and_counted(tmp_path):
    files = [*map(encoded, IMAGES), *BROKEN.values()]
    names = [*map(str, range(COUNT)), *BROKEN]
    skipped = Skipped()
    # One row a block, so that some batches have nothing left.
    dataset = ray.data.from_items(rows(files, names), override_num_blocks=len(files))
    augmented(dataset, skipped=skipped, actors=2).write_parquet(str(tmp_path))
    taken = ray.data.read_parquet(str(tmp_path)).take_all()
    assert_same(by_key(taken), expected(names=names[:COUNT]))
    assert [row["note"] for row in taken if row["id"] == "5"] == ["note 5"]
    assert len(skipped) == 4
    augmented(dataset, skipped=skipped).materialize()  # as a retry would
    assert skipped.reasons().keys() == BROKEN.keys()
    assert "no format that Pillow knows" in skipped.reasons()["text"]
    assert "mode 'F'" in skipped.reasons()["floats"]


# Mixes


def mixed(dataset, actors=2, **how):
    return dataset.groupby("group").map_groups(
        Augment,
        fn_constructor_kwargs={
            **{"policy": MIXING, "seed": SEED, "epoch": EPOCH},
            **{"group": "group", "num_classes": 10, "copies": 2, **how},
        },
        batch_format="numpy",
        compute=pool(actors),
    )


@pytest.mark.parametrize(("blocks", "actors"), [(1, 1), (7, 2)])
def test_a_group_is_a_batch_whatever_the_cluster_does(blocks, actors):
    grouped = [row | {"group": i // 8} for i, row in enumerate(rows())]
    dataset = ray.data.from_items(grouped, override_num_blocks=blocks).random_shuffle(seed=blocks)
    taken = {(r["id"], r["key"]["occurrence"]): r for r in mixed(dataset, actors).take_all()}
    assert len(taken) == 48
    engine = ae.Engine(MIXING, seed=SEED, dtype=torch.uint8, num_classes=10)
    for k in range(2):
        for first in range(0, COUNT, 8):
            names = np.arange(first, first + 8)
            images = IMAGES[first : first + 8]
            plan = engine.plan([i.shape[:2] for i in images], names, EPOCH, occurrences=[k] * 8)
            batch = engine.draw(plan, ae.Sources.of(images), names % 10)
            for name, image, label in zip(names, batch.images, batch.labels, strict=True):
                row = taken[name, k]
                np.testing.assert_array_equal(row["image"], image.movedim(0, -1))
                np.testing.assert_array_equal(row["label"], label)
                assert (row["group"], row["key"]["group_size"]) == (first // 8, 8)
    soft = [row for row in taken.values() if row["label"].max() < 1]
    assert len(soft) > 30


def test_mixes_without_groups_are_refused():
    with pytest.raises(ValueError, match=r"got a policy that mixes and no group.*map_groups"):
        augment(MIXING)
    draws = augment(MIXING, group="group", num_classes=10)
    with pytest.raises(ValueError, match="got 4 rows of group 0, 1, expected one whole group"):
        draws(batch_of(IMAGES[:4], group=np.array([0, 0, 1, 1])))
    in_zero = batch_of(IMAGES[:4], group=np.zeros(4, int))
    once, again = draws(in_zero), draws(in_zero)  # a retry
    np.testing.assert_array_equal(once["image"], again["image"])
    with pytest.raises(ValueError, match="got 2 rows of group 0, expected one whole group"):
        draws(batch_of(IMAGES[4:6], [4, 5], group=np.zeros(2, int)))


# Shards


def test_parquet_gives_back_what_was_drawn(tmp_path):
    augmented(ray.data.from_items(rows()), copies=2).write_parquet(str(tmp_path))
    back = ray.data.read_parquet(str(tmp_path)).take_all()
    assert_same(by_key(back), expected(copies=2))
    assert {(row["id"], row["label"], row["note"]) for row in back} == {
        (i, i % 10, f"note {i}") for i in range(COUNT)
    }
    # A reader without Ray finds the keys as plain columns.
    table = pyarrow.parquet.read_table(next(tmp_path.glob("*.parquet")), columns=["key"])
    fields = {field.name: str(field.type) for field in table.schema.field("key").type}
    assert fields == {
        "seed": "int64",
        "epoch": "int64",
        "id": "int64",
        "occurrence": "int64",
        "strength": "double",
        "policy": "string",
    }


def read_shards(folder):
    shards = sorted(map(str, Path(folder).glob("*.tar")))
    assert shards
    return [*webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8")]


def test_webdataset_gives_back_what_was_drawn(tmp_path):
    names = [f"../a.b/{i}.jpg" for i in range(COUNT)]
    drawn = augmented(ray.data.from_items(rows(names=names)), copies=2)
    drawn.write_webdataset(str(tmp_path), encoder=webdataset_sample)
    samples = read_shards(tmp_path)
    assert len({sample["__key__"] for sample in samples}) == len(samples) == 48
    back = [sample["json"] | {"image": sample["png"]} for sample in samples]
    assert_same(by_key(back), expected(names=names, copies=2))
    for sample in samples:
        i = names.index(sample["json"]["id"])
        assert (sample["cls"], sample["json"]["note"]) == (i % 10, f"note {i}")
        assert "/" not in sample["__key__"]
    # Ray's own reader too.
    again = ray.data.read_webdataset(str(tmp_path)).take_all()
    assert_same(
        by_key([row["json"] | {"image": row["png"]} for row in again]),
        expected(names=names, copies=2),
    )


def test_soft_labels_and_floats_in_webdataset(tmp_path):
    batch = batch_of(IMAGES[:3])
    batch["label"] = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]], np.float32)
    batch["embedding"] = np.arange(6.0).reshape(3, 2)
    batch["raw"] = np.array([b"\0a", b"b\0", b"c"], object)
    items = [{name: values[i] for name, values in batch.items()} for i in range(3)]
    dataset = augmented(ray.data.from_items(items), dtype=torch.float32)
    dataset.write_webdataset(str(tmp_path), encoder=webdataset_sample)
    samples = {sample["json"]["id"]: sample for sample in read_shards(tmp_path)}
    for row in dataset.take_all():
        sample = samples[row["id"]]
        np.testing.assert_array_equal(sample["npy"], row["image"])
        assert sample["npy"].dtype == np.float32
        np.testing.assert_array_equal(sample["soft.npy"], batch["label"][row["id"]])
        np.testing.assert_array_equal(sample["embedding.npy"], batch["embedding"][row["id"]])
        assert sample["raw.bin"] == batch["raw"][row["id"]]


def test_a_sample_that_json_cannot_say():
    key = {"id": b"\xff", "seed": 0, "epoch": 0, "occurrence": 0}
    sample = {"image": np.zeros((3, 5, 4), np.uint8), "key": key, "label": np.int64(3)}
    files = webdataset_sample(sample, layout="NCHW")
    assert files["__key__"] == "%FF-0-0-0"
    assert PIL.Image.open(io.BytesIO(files["png"])).size == (4, 5)
    with pytest.raises(TypeError, match="webdataset_sample: got a complex, expected numbers"):
        webdataset_sample(sample | {"wave": 1j})


# Devices


def device(num_gpus=0, **how):
    """The device that an actor chooses to which Ray gives so many GPUs."""
    actor = ray.remote(num_cpus=0, num_gpus=num_gpus)(Asked).remote(**how)
    return ray.get(actor.device.remote())


class Asked:
    def __init__(self, **how):
        self.augment = Augment(FLIP, epoch=0, **how)

    def device(self):
        return str(self.augment.engine.device)


def test_an_actor_draws_where_ray_put_it():
    assert device() == device(num_gpus=1, device="cpu") == "cpu"
    with pytest.raises(ray.exceptions.RayError, match="in an actor to which Ray gave no GPU"):
        device(device="cuda")
    if torch.cuda.is_available():
        assert device(num_gpus=1) == device(num_gpus=0.5) == "cuda"
    else:
        with pytest.raises(ray.exceptions.RayError, match="but torch finds none"):
            device(num_gpus=0.5)


@pytest.mark.gpu
def test_gpu_actors_draw_what_the_engine_draws_there():
    drawn = ray.data.from_items(rows()).map_batches(
        Augment,
        fn_constructor_kwargs={"policy": POLICY, "seed": SEED, "epoch": EPOCH, "copies": 2},
        batch_size=5,
        compute=pool(1),
        num_gpus=1,
    )
    got = by_key(drawn.take_all())
    assert_same(got, expected(copies=2, device="cuda"))
    # Plans are the CPU's; pixels may round otherwise.
    for name, image in expected(copies=2).items():
        assert np.abs(got[name].astype(int) - image).mean() < 0.5


# Arguments


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"policy": ae.Views(weak=FLIP)}, TypeError, "got Views, expected one policy"),
        ({"layout": "CHW"}, ValueError, "got layout 'CHW', expected 'NHWC' or 'NCHW'"),
        ({"dtype": torch.bfloat16}, ValueError, "got dtype torch.bfloat16"),
        ({"epoch": -1}, ValueError, r"Augment: epoch: got -1"),
        ({"epoch": 1.5}, TypeError, r"Augment: epoch: got 1.5"),
        ({"copies": 0}, ValueError, r"Augment: copies: got 0"),
    ],
)
def test_arguments_that_are_refused(how, error, message):
    with pytest.raises(error, match=message):
        augment(**how)


def test_the_epoch_must_be_said():
    with pytest.raises(TypeError, match="epoch"):
        Augment(POLICY)


def test_batches_that_are_refused():
    batch = batch_of(IMAGES[:2])
    with pytest.raises(ValueError, match="got the columns image, label, id, expected 'path' too"):
        augment(id="path")(batch)
    with pytest.raises(ValueError, match="got a column 'key', expected none"):
        augment()(batch | {"key": np.arange(2)})
    with pytest.raises(TypeError, match=r'expected a dict of arrays. Pass batch_format="numpy"'):
        augment()([1, 2])
    with pytest.raises(TypeError, match=r"got labels of <U3 \[2\], expected ints"):
        augment()(batch | {"label": np.array(["cat", "dog"])})
    ragged = np.empty(2, object)
    ragged[:] = [np.ones(2), np.ones(3)]
    with pytest.raises(ValueError, match=r"got labels of the shapes \[\(2,\), \(3,\)\]"):
        augment()(batch | {"label": ragged})
    with pytest.raises(ValueError, match="got ids of float64"):
        augment()(batch | {"id": np.array([0.0, 1.0])})


def test_it_pickles_and_says_what_it_is():
    one = augment(copies=2)
    other = pickle.loads(pickle.dumps(one))
    batch = batch_of(IMAGES[:3])
    np.testing.assert_array_equal(one(batch)["image"], other(batch)["image"])
    assert repr(other).startswith("Augment(Engine(")
    assert repr(other).endswith("epoch=3, copies=2)")


# The page


def test_the_page(tmp_path, capsys):
    own = BLOCKS[0].strip().splitlines()
    code = [line for line in own if line.strip()]
    changed = [line for line in code if line.endswith("# augengine")]
    with capsys.disabled():
        print(f"\nRay Data: {len(changed)} of {len(code)} lines are augengine's")
    assert len(code) <= 10
    torch.manual_seed(0)
    teacher = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 10)
    )
    names = {
        "dataset": ray.data.from_items(rows(DENSE)),
        "originals": DENSE,
        "folder": str(tmp_path / "parquet"),
        "shards": str(tmp_path / "shards"),
        "teacher": teacher,
    }
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)

    policy = names["policy"]
    engine = ae.Engine(policy, seed=0, dtype=torch.uint8)
    whole = engine(DENSE, ids=range(COUNT), epoch=3).images.movedim(1, -1).numpy()
    kept = by_key(ray.data.read_parquet(names["folder"]).take_all())
    assert len(kept) == 4 * COUNT
    for i in range(COUNT):
        np.testing.assert_array_equal(kept[i, 0], whole[i])
        assert len({kept[i, k].tobytes() for k in range(4)}) == 4
    shards = [row["json"] | {"image": row["png"]} for row in read_shards(names["shards"])]
    assert_same(by_key(shards), kept)

    # The teacher's labels are what it says in this process, and the pictures the engine's.
    with torch.inference_mode():
        said = teacher(torch.tensor(np.stack(DENSE)).movedim(-1, 1) / 255).softmax(1).numpy()
    taken = names["pseudo"].take_all()
    assert len(taken) == COUNT
    for row in taken:
        np.testing.assert_allclose(row["label"], said[row["id"]], rtol=1e-5)
        np.testing.assert_array_equal(row["image"], whole[row["id"]])

    labels = np.stack([row["label"] for row in names["mixed"].take_all()])
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
    assert (labels.max(1) < 1).sum() > COUNT / 2
