"""The loader: Collate and WithIds in a DataLoader, and a sample's plan that is the same wherever
and however its batch is made."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import quick_or_thorough
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import augengine as ae
from augengine.plan import VIEW_FIELDS
from augengine.plan.kinds import NO_VIEW

# As many ops as fit, and small images: what counts here is the plan.
VIEWS = [
    ae.RandomResizedCrop(16),
    ae.RandomHorizontalFlip(),
    ae.RandomApply([ae.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), 10)], 0.7),
    ae.RandomPerspective(0.3),
    ae.SomeOf([ae.RandomRotation(10), ae.RandomBrightness(0.2), ae.RandomQuarterTurn()], 2, 0.5),
    ae.OneOf([ae.ColorJitter(0.4, 0.4, 0.4, 0.1), ae.RandomGrayscale(0.5)]),
]
LAYERS = [ae.CutMix(p=0.8), ae.RandomErasing(), ae.Normalize(0.5, 0.5)]
COUNT = 256


def size_of(i):
    return 20 + i % 5, 24 - i % 3


class Pictures(Dataset):
    """Images of different sizes, and their numbers as labels; importable, so that it can be spawned."""

    def __init__(self, count=COUNT, form="array"):
        self.count, self.form = count, form

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = np.full((*size_of(index), 3), index % 251, np.uint8)
        image[:, : index % 20] //= 2
        if self.form == "tensor":
            return torch.from_numpy(image).movedim(-1, 0), index
        return (Image.fromarray(image) if self.form == "PIL" else image), index


class Streams(Pictures):
    """The same, with ids of its own that are large."""

    def __getitem__(self, index):
        return *super().__getitem__(index), 2**40 + index


def part_of(plan, i):
    """What a plan says of output i, as plain values: independent of the batch around it, but for
    the partner in a mix. A plan pads steps, lines and layers to the longest of its batch."""
    v = plan.view[i, 0]
    steps = np.count_nonzero(plan.step_kind[v])
    part = {"id": int(plan.ids[plan.source[v]]), "words": plan.explain(i).split(", ")}
    part["words"] = [word for word in part["words"] if "pasted" not in word]
    for name in sorted(set(VIEW_FIELDS) - {"source", "log_op", "log_arg"}):
        value = getattr(plan, name)[v]
        packed = name in ("step_kind", "step_arg", "statistic", "window")
        part[name] = (value[:steps] if packed else value).tobytes()
    layers = plan.view[i] != NO_VIEW
    for name in ("box", "alpha", "weight", "colour"):
        part[name] = getattr(plan, name)[i][layers].tobytes()
    part["kinds"] = np.minimum(plan.view[i][layers], 0).tolist()
    return part


def parts_of(plans):
    parts = [part_of(plan, i) for plan in plans for i in range(len(plan))]
    return {part.pop("id"): part for part in parts}


def digests(mixes, epoch=3, size=64):
    """A line for each sample: its id and a hash of its part of the plan."""
    policy = ae.Policy(VIEWS + (LAYERS if mixes else []))
    plans = []
    for first in range(0, COUNT, size):
        ids = range(first, min(first + size, COUNT))
        plans.append(policy.sample(list(ids), [size_of(i) for i in ids], seed=5, epoch=epoch))
    return [
        f"{name} {hashlib.sha256(repr(part).encode()).hexdigest()}"
        for name, part in parts_of(plans).items()
    ]


def sampled(order, size, mixes, epoch=3):
    policy = ae.Policy(VIEWS + (LAYERS if mixes else []))
    batches = [order[first : first + size] for first in range(0, len(order), size)]
    return parts_of(
        policy.sample(ids, [size_of(i) for i in ids], seed=5, epoch=epoch) for ids in batches
    )


def loader(collate=None, dataset=None, workers=0, **kwargs):
    collate = collate or ae.Collate(VIEWS + LAYERS, seed=5, num_classes=COUNT)
    dataset = ae.WithIds(Pictures()) if dataset is None else dataset
    kwargs = {"batch_size": 32, "num_workers": workers, "collate_fn": collate} | kwargs
    return DataLoader(dataset, **kwargs)


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """In the parent, once, so that forked workers inherit it."""
    return ae.Engine(VIEWS)([Pictures()[0][0]], ids=[0])


# A sample's plan, wherever it is made


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize("size", [1, 7, 256])
@pytest.mark.parametrize("shuffled", [False, True])
def test_the_plan_of_a_sample_does_not_depend_on_its_batch(mixes, size, shuffled):
    order = list(range(COUNT))
    if shuffled:
        np.random.default_rng(0).shuffle(order)
    expected, got = sampled(list(range(COUNT)), 64, mixes), sampled(order, size, mixes)
    assert set(got) == set(expected)
    for name, part in got.items():
        wanted = expected[name]
        if mixes and size == 1:  # a batch of one has no partner
            layered = ("box", "alpha", "weight", "colour", "kinds", "words")
            part, wanted = (
                {k: v for k, v in p.items() if k not in layered} for p in (part, wanted)
            )
        assert part == wanted


def test_samples_do_not_share_a_plan():
    parts = sampled(list(range(COUNT)), 64, mixes=True)
    assert len({repr(part) for part in parts.values()}) == COUNT


@pytest.mark.parametrize(
    ("workers", "context"),
    quick_or_thorough(
        [(0, None), (2, "fork")], [(1, "fork"), (4, "fork"), (2, "spawn")], unpack=True
    ),
)
def test_the_plan_of_a_sample_does_not_depend_on_its_worker(workers, context):
    collate = ae.Collate(VIEWS + LAYERS, seed=5, num_classes=COUNT)
    collate.set_epoch(3)
    got = loader(collate, workers=workers, shuffle=True, multiprocessing_context=context)
    assert parts_of(batch.plan for batch in got) == sampled(list(range(COUNT)), 64, mixes=True)


def test_the_plan_of_a_sample_does_not_depend_on_its_process():
    code = "import test_loader as t; print('\\n'.join(t.digests(False) + t.digests(True)))"
    outputs = []
    for hash_seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        outputs.append(
            subprocess.check_output(
                [sys.executable, "-c", code], cwd=Path(__file__).parent, env=env, text=True
            ).splitlines()
        )
    assert outputs[0] == outputs[1] == digests(False) + digests(True)
    assert len(set(outputs[0])) > COUNT


def test_every_epoch_and_every_worker_draws_anew():
    """A trap that others fell into: all workers alike, and every epoch like the one before."""

    def matrices(batches):
        found = {}
        for batch in batches:
            for i in range(len(batch.plan)):
                found[int(batch.plan.ids[i])] = batch.plan.inv_matrix[
                    batch.plan.view[i, 0]
                ].tobytes()
        return found

    collate = ae.Collate([ae.CenterCrop(16), ae.RandomRotation(90)], seed=5, num_classes=COUNT)
    batches = loader(collate, workers=2, batch_size=16)
    epochs = []
    for epoch in range(3):
        collate.set_epoch(epoch)
        epochs.append(matrices(batches))
    drawn = [matrix for epoch in epochs for matrix in epoch.values()]
    assert len(drawn) == len(set(drawn)) == 3 * COUNT
    assert matrices(batches) == epochs[2]


def test_where_an_epoch_is_named_the_seed_of_torch_does_not_matter():
    plans = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        collate = ae.Collate(VIEWS + LAYERS, seed=5, num_classes=COUNT)
        collate.set_epoch(1)
        plans.append([batch.plan for batch in loader(collate, workers=2, batch_size=128)])
    assert plans[0] == plans[1]


# Collating


@pytest.mark.parametrize("form", ["array", "PIL", "tensor"])
@pytest.mark.parametrize(("workers", "context"), [(0, None), (2, "fork")])
def test_every_kind_of_image_in_a_loader(form, workers, context):
    dataset = Pictures(40, form)
    collate = ae.Collate(VIEWS + LAYERS, seed=5, num_classes=COUNT)
    collate.set_epoch(0)
    batches = list(
        loader(
            collate, ae.WithIds(dataset), workers, batch_size=16, multiprocessing_context=context
        )
    )
    assert [len(batch.images) for batch in batches] == [16, 16, 8]
    engine = ae.Engine(VIEWS + LAYERS, seed=5, num_classes=COUNT)
    for k, batch in enumerate(batches):
        ids = range(16 * k, min(16 * k + 16, 40))
        expected = engine([Pictures()[i][0] for i in ids], list(ids), ids=list(ids), epoch=0)
        assert torch.equal(batch.images, expected.images)
        assert torch.equal(batch.labels, expected.labels)
        assert batch.plan == expected.plan
        assert batch.plan.ids.tolist() == list(ids)


@pytest.mark.parametrize(
    ("dtype", "memory_format"),
    [(torch.float32, torch.contiguous_format), (torch.uint8, torch.channels_last)],
)
def test_a_batch_arrives_from_a_worker_in_shared_memory(dtype, memory_format):
    collate = ae.Collate(
        VIEWS + LAYERS[:2], seed=5, num_classes=COUNT, dtype=dtype, memory_format=memory_format
    )
    collate.set_epoch(0)
    (batch,) = loader(collate, ae.WithIds(Pictures(8)), 1)
    (here,) = loader(collate, ae.WithIds(Pictures(8)), 0)
    assert batch.images.is_shared()
    assert not here.images.is_shared()
    assert batch.images.dtype == dtype
    assert batch.images.is_contiguous(memory_format=memory_format)
    assert torch.equal(batch.images, here.images)
    assert batch.plan == here.plan
    assert not batch.plan.inv_matrix.flags.writeable


@pytest.mark.parametrize("context", quick_or_thorough(["fork"], ["spawn"]))
def test_set_epoch_reaches_workers_that_already_run(context):
    collate = ae.Collate(VIEWS, seed=5, num_classes=COUNT)
    kept = loader(
        collate,
        ae.WithIds(Pictures(64)),
        2,
        persistent_workers=True,
        multiprocessing_context=context,
    )
    engine = ae.Engine(VIEWS, seed=5)
    for epoch in (0, 1, 2**33):
        collate.set_epoch(epoch)
        for k, batch in enumerate(kept):
            ids = range(32 * k, 32 * k + 32)
            assert batch.plan == engine.plan([size_of(i) for i in ids], list(ids), epoch)


@pytest.mark.parametrize("workers", [0, 2])
def test_pin_memory(workers):
    """Where there is nothing to pin for, a loader warns and passes the batch on."""
    (batch,) = list(loader(dataset=ae.WithIds(Pictures(8)), workers=workers, pin_memory=True))
    assert isinstance(batch, ae.Batch)
    assert batch.images.shape == (8, 3, 16, 16)
    assert batch.images.is_pinned() == torch.cuda.is_available()


def test_a_dataset_may_bring_its_own_ids():
    collate = ae.Collate(VIEWS, num_classes=COUNT)
    (batch,) = loader(collate, Streams(6))
    assert batch.plan.ids.tolist() == [2**40 + i for i in range(6)]


def test_labels_of_several_kinds():
    image = Pictures()[0][0]
    for labels in ([1, 2], [torch.tensor(1), torch.tensor(2)], [np.int64(1), np.int64(2)]):
        batch = ae.Collate(VIEWS)([(image, labels[0], 0), (image, labels[1], 1)])
        assert batch.labels.tolist() == [1, 2]
    soft = ae.Collate(VIEWS + LAYERS)([(image, torch.eye(3)[k], k) for k in range(3)])
    assert soft.labels.shape == (3, 3)


def test_without_ids_in_the_main_process_samples_are_counted():
    with pytest.warns(UserWarning, match="no ids came"):
        batches = list(loader(dataset=Pictures(40)))
    assert [batch.plan.ids.tolist() for batch in batches] == [list(range(32)), list(range(32, 40))]


def test_without_ids_in_a_worker_is_an_error():
    """Counted there, every worker would draw the same numbers."""
    with pytest.raises(
        ValueError, match=r"samples without ids in a worker.*ae\.WithIds\(dataset\)"
    ):
        list(loader(dataset=Pictures(8), workers=1))


def test_collate_takes_an_engine():
    engine = ae.Engine(VIEWS, seed=5)
    samples = [(*Pictures()[i], i) for i in range(4)]
    assert ae.Collate(engine)(samples).plan == ae.Collate(VIEWS, seed=5)(samples).plan


def test_a_batch_can_be_pickled():
    batch = ae.Collate(VIEWS, seed=5)([(*Pictures()[i], i) for i in range(4)])
    again = pickle.loads(pickle.dumps(batch))
    assert again.plan == batch.plan
    assert torch.equal(again.images, batch.images)


# WithIds


def test_with_ids_names_each_sample_by_its_index():
    dataset = ae.WithIds(Pictures(5))
    assert len(dataset) == 5
    image, label, name = dataset[np.int64(3)]
    assert (label, name) == (3, 3)
    assert type(name) is int
    np.testing.assert_array_equal(image, Pictures()[3][0])
    assert dataset[-1][2] == 4  # the same sample, the same id


def test_with_ids_under_a_subset_keeps_the_whole_datasets_ids():
    part = torch.utils.data.Subset(ae.WithIds(Pictures(9)), [7, 2])
    assert [sample[2] for sample in part] == [7, 2]


def test_a_worker_samples_each_plan_once(monkeypatch):
    monkeypatch.setattr("augengine.loading.collate.get_worker_info", lambda: object())
    calls = []
    sample = ae.Policy.sample
    monkeypatch.setattr(ae.Policy, "sample", lambda *a, **how: calls.append(1) or sample(*a, **how))
    samples = [(np.zeros((9, 9, 3), np.uint8), 0, i) for i in range(3)]
    batch = ae.Collate(ae.CenterCrop(8), num_classes=2)(samples)
    assert len(calls) == 1
    assert batch.images.is_shared()

    with pytest.raises(
        ValueError, match=r"got device=cuda in a worker process, .*\. Leave device away"
    ):
        ae.Collate(ae.CenterCrop(8), device="cuda")(samples)
