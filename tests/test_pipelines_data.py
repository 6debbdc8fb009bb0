"""Which images train, which are labelled, which test; and which make which batch."""

import os
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from photos import patches
from PIL import Image

import augengine as ae
from augengine.pipelines import data as datasets
from augengine.pipelines.batches import Loader, Samples, batches
from augengine.pipelines.policies import (
    default_policy,
    evaluation_policy,
    training_policy,
    weak_and_strong,
)
from augengine.pipelines.settings import Settings


def digits(**told):
    return datasets.load(Settings(**told))


def alone(rank=0, world=1):
    """What a Loader asks of accelerate's Accelerator."""
    return SimpleNamespace(process_index=rank, num_processes=world, device=torch.device("cpu"))


@pytest.fixture
def folder(tmp_path):
    """Two classes of six photographs of different sizes, and four without a class."""
    for name, count in (("cat", 6), ("dog", 6), ("unlabelled", 4)):
        (tmp_path / name).mkdir()
        for i, pixels in enumerate(patches(count, 40 + len(name), 50)):
            Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(tmp_path / name / f"{i}.png")
    return tmp_path


# What is in it


def test_digits():
    data = digits(labels=20)
    assert (len(data.labelled), len(data.unlabelled), len(data.test)) == (200, 3800, 1000)
    every = np.concatenate([data.labelled, data.unlabelled, data.test])
    assert np.array_equal(np.sort(every), np.arange(5000))
    assert np.bincount(data.truth[data.labelled]).tolist() == [20] * 10
    assert np.bincount(data.truth[data.test]).tolist() == [100] * 10
    # MNIST is sorted here: ids 0 … 499 are zeros.
    assert data.truth[[0, 499, 500, 4999]].tolist() == [0, 0, 1, 9]
    assert data.images[0].shape == (28, 28, 1)


def test_seeds_change_the_labels_and_never_the_test():
    a, b = digits(labels=20, seed=1), digits(labels=20, seed=2)
    assert set(a.labelled) != set(b.labelled)
    assert np.array_equal(a.test, b.test)
    assert set(digits(labels=5, seed=1).labelled) < set(a.labelled)


def test_some_classes():
    data = digits(labels=3, classes="5-7,2")
    assert data.classes == ("5", "6", "7", "2")
    assert np.bincount(data.truth[data.labelled]).tolist() == [3] * 4
    old = digits().truth
    assert np.array_equal(
        data.truth[data.test], [{5: 0, 6: 1, 7: 2, 2: 3}[c] for c in old[data.test]]
    )
    assert set(old[data.unlabelled]) == {5, 6, 7, 2}


def test_images_to_validate_are_neither_learned_nor_tested():
    """The same for every seed, as many of each class; without them the parts are what they were."""
    data, plain = digits(labels=20, validation=0.2), digits(labels=20)
    assert len(plain.validation) == 0
    assert plain.watched[0] == "test"
    parts = (data.labelled, data.unlabelled, data.validation, data.test)
    assert [len(ids) for ids in parts] == [200, 3000, 800, 1000]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(5000))
    assert np.bincount(data.truth[data.validation]).tolist() == [80] * 10
    assert np.array_equal(data.test, plain.test)
    assert data.watched == ("validation", data.validation)
    assert np.array_equal(digits(labels=20, validation=0.2, seed=7).validation, data.validation)
    assert "800 to validate, 1,000 to test" in data.summary
    assert "validate" not in plain.summary


def test_the_last_training_image_of_a_class_is_learned(folder):
    for i in range(1, 6):
        (folder / "cat" / f"{i}.png").unlink()
    data = datasets.load(Settings(data=str(folder), validation=0.9))
    assert data.truth[data.labelled].tolist().count(0) == 1
    assert set(data.truth[data.validation]) == {1}
    assert len(data.labelled[data.truth[data.labelled] == 1]) == 1


def test_all_labels():
    data = digits(labels=0)
    assert (len(data.labelled), len(data.unlabelled)) == (4000, 0)


def test_a_folder_of_class_folders(folder):
    data = datasets.load(Settings(data=str(folder), labels=2))
    assert data.classes == ("cat", "dog")
    assert len(data.labelled) == 4
    assert len(data.test) == 2  # a fifth of each class
    assert len(data.unlabelled) == 2 * (6 - 1 - 2) + 4
    assert (data.truth[data.unlabelled] == datasets.UNKNOWN).sum() == 4
    assert data.images[int(data.labelled[0])].endswith(".png"), "it stays encoded"
    assert np.array_equal(
        datasets.load(Settings(data=str(folder), labels=2, seed=9)).test, data.test
    )


def test_a_folder_with_train_and_val(folder, tmp_path):
    root = tmp_path / "root"
    for part in ("train", "val"):
        (root / part).mkdir(parents=True)
        for name in ("cat", "dog"):
            (root / part / name).mkdir()
            for file in (folder / name).iterdir():
                (root / part / name / file.name).write_bytes(file.read_bytes())
    data = datasets.load(Settings(data=str(root), labels=0))
    assert (len(data.labelled), len(data.unlabelled), len(data.test)) == (12, 0, 12)


def test_the_key_knows_the_images(folder):
    before = datasets.load(Settings(data=str(folder), labels=2)).key
    assert datasets.load(Settings(data=str(folder), labels=3)).key == before
    (folder / "cat" / "0.png").unlink()
    assert datasets.load(Settings(data=str(folder), labels=2)).key != before


def test_cifar_is_read_through_torchvision(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    base = tmp_path / CIFAR10.base_folder
    base.mkdir()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 3072), np.uint8)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        with open(base / name, "wb") as file:
            pickle.dump({"data": pixels, "labels": [i % 10 for i in range(20)]}, file)
    with open(base / "batches.meta", "wb") as file:
        pickle.dump({"label_names": [f"class {i}" for i in range(10)]}, file)
    # Its checksums are those of the real files.
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    data = datasets.load(Settings(data="cifar10", root=str(tmp_path), labels=4))
    assert (len(data.labelled), len(data.unlabelled), len(data.test)) == (40, 60, 20)
    assert np.array_equal(data.images[0], pixels[0].reshape(3, 32, 32).transpose(1, 2, 0))
    assert (data.size, data.channels) == (32, 3)


BAD_DATA = [
    ({"data": "/nowhere"}, r"data: got '/nowhere', expected a folder.*Check"),
    ({"labels": 401}, r"labels: 401 of each class .* fewer of 0 \(400\).*Ask for fewer"),
    ({"classes": "3"}, r"classes: got '3', expected two or more numbers below 10"),
    ({"classes": "3-10"}, r"classes: got '3-10', expected"),
    ({"classes": "one,two"}, r"classes: got 'one,two', expected"),
    ({"classes": "1,1"}, r"classes: got '1,1', expected"),
    ({"precision": "fp8"}, r"precision: got 'fp8', expected one of no, bf16, fp16"),
    ({"validation": 1.0}, r"validation: got 1, expected a number in \[0, 0\.9\]"),
    ({"validation": -0.5}, r"validation: got -0\.5, expected"),
    ({"epochs": 0}, r"epochs: got 0, expected a whole number in \[1"),
    ({"ema": 2.0}, r"ema"),
]


@pytest.mark.parametrize(("told", "said"), BAD_DATA)
def test_what_makes_no_sense_is_refused(told, said):
    with pytest.raises(ValueError, match=said):
        digits(**told)


def test_folders_that_do_not_do(folder):
    with pytest.raises(ValueError, match=r"has 0 class folders, expected two or more"):
        datasets.load(Settings(data=str(folder / "cat")))
    (folder / "empty").mkdir()
    assert "folders without an image: empty" in datasets.load(Settings(data=str(folder))).summary
    (folder / "train" / "cat").mkdir(parents=True)


def test_cifar_that_is_not_there(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    def fails(self):
        raise RuntimeError("no net")

    monkeypatch.setattr(CIFAR10, "download", fails)
    with pytest.raises(OSError, match=r"cifar10 is not whole .*no net.* --root"):
        datasets.load(Settings(data="cifar10", root=str(tmp_path)))


# Policies


def test_policies_of_a_data_set(tmp_path):
    data = digits(labels=1)
    assert training_policy("", data) == default_policy(data)
    assert training_policy("none", data) == evaluation_policy(data)
    (tmp_path / "p.yaml").write_text(evaluation_policy(data).to_yaml(), "utf-8")
    assert training_policy(str(tmp_path / "p.yaml"), data) == evaluation_policy(data)
    assert any(
        isinstance(op, ae.RandAugment) for op in training_policy("randaugment", data).transforms
    )
    top = training_policy("TrivialAugmentWide", data).top
    assert [*top[:-2], top[-1]] == list(default_policy(data).top)
    assert top[-2] == ae.TrivialAugmentWide()
    with pytest.raises(ValueError, match="a policy of several views"):
        training_policy("dino", data)


@pytest.mark.parametrize("inside", [False, True])
def test_a_policy_of_ones_own_normalises_as_the_tests_do(tmp_path, inside):
    """Else a model is asked about other values than it has learned: on a folder of digits that was 27 % of the
    test at a training loss of 0.2."""
    data = digits(labels=1)
    file = tmp_path / "p.yaml"
    rest = [ae.Resize((28, 28)), ae.RandomRotation(9)]

    def read(ops):
        policy = ae.Policy(ae.Compose(ops) if inside else ops)
        file.write_text(policy.to_yaml(), "utf-8")
        return training_policy(str(file), data)

    right = ae.Normalize(data.mean, data.std)
    assert list(read([*rest, right]).top) == [*rest, right]
    assert list(read(rest).top) == [*rest, right]
    with pytest.warns(UserWarning, match=r"p\.yaml: Normalize\(.*0\.7.*gives way to Normalize\("):
        changed = read([rest[0], ae.Normalize(0.7, 0.2), ae.RandomErasing(p=1.0)])
    assert list(changed.top) == [rest[0], right, ae.RandomErasing(p=1.0)]
    images = torch.full((2, 1, 28, 28), 255, dtype=torch.uint8)
    said = ae.Engine(read(rest))(images, ids=[0, 1], epoch=0).images[:, 0, 14, 14]
    asked = ae.Engine(evaluation_policy(data))(images).images[:, 0, 14, 14]
    assert torch.allclose(said, asked, atol=1e-5)


def test_names_that_are_no_policy(tmp_path):
    data = digits(labels=1)
    with pytest.raises(
        ValueError, match=r"policy: got 'mine', expected one of none, .*; a YAML file"
    ):
        training_policy("mine", data)
    (tmp_path / "p.yaml").write_text("augengine: 1\npolicy: [&a [*a]]", "utf-8")
    with pytest.raises(
        ValueError, match=r"policy .*p\.yaml: .*anchors and aliases .* are not read"
    ):
        training_policy(str(tmp_path / "p.yaml"), data)
    (tmp_path / "p.yaml").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"p\.yaml: got bytes that are no UTF-8 text"):
        training_policy(str(tmp_path / "p.yaml"), data)
    os.truncate(tmp_path / "p.yaml", 2**40)
    with pytest.raises(ValueError, match=r"p\.yaml: got [\d,]+ bytes, expected 1,048,576 at most"):
        training_policy(str(tmp_path / "p.yaml"), data)
    views = weak_and_strong(data)
    engine = ae.Engine(views, num_classes=10)
    batch = engine(data.images[:4], ids=range(4))
    assert batch["weak"].images.shape == batch["strong"].images.shape == (4, 1, 28, 28)
    assert not torch.equal(batch["weak"].images, batch["strong"].images)


# Batches


@pytest.mark.parametrize(("n", "size"), [(200, 64), (65, 64), (64, 64), (1, 64), (1000, 7)])
def test_every_sample_once_an_epoch_in_even_batches(n, size):
    ids = np.arange(n) * 3 + 5
    made = batches(ids, size, seed=0, epoch=4)
    assert np.array_equal(np.sort(np.concatenate(made)), np.arange(n))
    lengths = [len(batch) for batch in made]
    assert len(made) == -(-n // size)
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1


def test_epochs_and_seeds_shuffle_anew():
    ids = np.arange(100)
    orders = [np.concatenate(batches(ids, 10, s, e)).tolist() for s in (0, 1) for e in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert np.concatenate(batches(ids, 10, 0, 0)).tolist() == orders[0]


def parts_of(data, world, *, size=16, policy=None):
    """{id: (pixels, row)} that all ranks meet in an epoch, and the numbers of their batches."""
    met, counts = {}, []
    for rank in range(world):
        samples = Samples.of(data, data.labelled, data.rows(data.labelled))
        loader = Loader(
            samples,
            policy or default_policy(data),
            batch_size=size,
            seed=3,
            accelerator=alone(rank, world),
        )
        steps = 0
        for part in loader.epoch(2):
            steps += 1
            assert len(part.ids) == len(part.batch.images)
            for sample, image, row in zip(
                part.ids, part.batch.images, part.batch.labels, strict=True
            ):
                assert sample not in met, "twice"
                met[sample] = image, row
        counts.append(steps)
    return met, counts


def test_processes_share_the_batches_of_one():
    """Same samples, none twice, the same pixels to the bit, and as many steps in each process."""
    data = digits(labels=5)
    one, (steps,) = parts_of(data, 1)
    for world in (2, 3):
        several, counts = parts_of(data, world)
        assert counts == [steps] * world
        assert one.keys() == several.keys() == set(data.labelled)
        for sample, (image, row) in one.items():
            assert torch.equal(image, several[sample][0])
            assert torch.equal(row, several[sample][1])


def test_too_many_processes_for_a_batch_are_refused():
    data = digits(labels=1)
    samples = Samples.of(data, data.labelled)
    with pytest.raises(ValueError, match=r"10 samples in batches of 2 for 4 process.*Start fewer"):
        Loader(samples, evaluation_policy(data), batch_size=2, seed=0, accelerator=alone(0, 4))


def test_passes_that_last_as_long_as_another_epoch():
    """17 steps of 2-step passes: new draws in each, none from an epoch that another call uses."""
    data = digits(labels=1)
    samples = Samples.of(data, data.labelled)
    loader = Loader(samples, default_policy(data), batch_size=5, seed=0, accelerator=alone())
    assert loader.steps == 2
    first, second = (list(loader.during(epoch, 17)) for epoch in (0, 1))
    assert len(first) == len(second) == 17
    fingerprints = {
        part.batch.images[list(part.ids).index(data.labelled[0])].numpy().tobytes()
        for part in [*first, *second]
        if data.labelled[0] in part.ids
    }
    met = sum(data.labelled[0] in part.ids for part in [*first, *second])
    assert len(fingerprints) == met > 15


def test_unlabelled_samples_have_rows_of_zeros_and_copies_draws_of_their_own():
    data = digits(labels=1)
    samples = Samples.of(data, data.unlabelled[:3])
    assert not samples.rows.any()
    twice = samples.repeat(2, len(data.truth))
    assert twice.ids.tolist() == [*samples.ids, *(samples.ids + 5000)]
    assert np.array_equal(twice[4][0], samples[1][0])
    loader = Loader(twice, default_policy(data), batch_size=6, seed=0, accelerator=alone())
    (part,) = loader.epoch(0)
    at = {sample: i for i, sample in enumerate(part.ids)}
    first, copy = at[int(samples.ids[0])], at[int(samples.ids[0]) + 5000]
    assert not torch.equal(part.batch.images[first], part.batch.images[copy])


def test_settings_come_back_from_their_file(tmp_path):
    settings = Settings(labels=7, policy="none")
    settings.save(tmp_path / "config.json")
    assert Settings.load(tmp_path / "config.json") == settings
    (tmp_path / "config.json").write_text('{"labels": 7}', "utf-8")
    with pytest.raises(ValueError, match=re.escape("it differs from what this pipeline takes in")):
        Settings.load(tmp_path / "config.json")
