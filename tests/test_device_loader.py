"""Batches drawn ahead of the loop, on the CPU: `DeviceLoader`."""

import gc
import subprocess
import sys
import threading
import time
import traceback
import weakref

import numpy as np
import pytest
import torch
from loading import HOW, IMAGES, POLICY, SEVERAL, dense, drawing_threads, expected, let_go, same
from test_loader import COUNT, VIEWS, Pictures, Streams, loader
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

import augengine as ae
from augengine import kernels
from augengine.kernels import Sources

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


@pytest.mark.parametrize("prefetch", [1, 2, 5])
def test_batches_are_the_engines(prefetch):
    ahead = ae.DeviceLoader(list(dense()), POLICY, device="cpu", prefetch=prefetch, **HOW)
    assert len(ahead) == 6
    for epoch in (0, 4):
        ahead.set_epoch(epoch)
        got = list(ahead)
        assert len(got) == 6
        assert all(map(same, got, expected(dense(), epoch)))


@pytest.mark.parametrize("policy", [POLICY, SEVERAL], ids=["policy", "views"])
@pytest.mark.parametrize("workers", [0, 2])
def test_packed_batches_are_collates(policy, workers):
    names = ae.WithIds(Pictures(40))
    ahead = ae.DeviceLoader(
        loader(ae.pack(policy, **HOW), names, workers, batch_size=16), device="cpu"
    )
    ahead.set_epoch(2)
    collate = ae.Collate(policy, **HOW)
    collate.set_epoch(2)
    for got, wanted in zip(ahead, loader(collate, names, batch_size=16), strict=True):
        assert same(got, wanted)


def test_what_a_loader_may_yield():
    """What a batch is, is told by its first part: a batch of images, or an image."""
    ragged = [Pictures()[i][0] for i in range(3)]
    engine = ae.Engine(POLICY, **HOW)
    for images in (
        IMAGES[:3],
        IMAGES[:3].movedim(1, -1).numpy(),
        list(IMAGES[:3]),
        ragged,
        Sources.of(ragged),
    ):
        wanted = engine(images, [0, 1, 2], ids=[0, 1, 2], epoch=0)
        for batch in (
            (images, [0, 1, 2], [0, 1, 2]),
            [images, torch.arange(3), torch.arange(3)],
        ):
            (got,) = ae.DeviceLoader([batch], engine, device="cpu")
            assert same(got, wanted)
        with pytest.warns(UserWarning, match="no ids came"):
            (got,) = ae.DeviceLoader([(images, [0, 1, 2])], POLICY, device="cpu", **HOW)
        assert same(got, wanted)
        for batch in (images, [images], (images,)):
            with pytest.warns(UserWarning, match="no ids came"):
                (got,) = ae.DeviceLoader([batch], POLICY, device="cpu", **HOW)
            assert got.labels is None
            assert torch.equal(got.images, wanted.images)


def test_floats_and_torchs_own_collate():
    data = torch.utils.data.TensorDataset(IMAGES / 255, torch.arange(24), torch.arange(24))
    loader = ae.DeviceLoader(DataLoader(data, batch_size=24), POLICY, device="cpu", **HOW)
    loader.set_epoch(2)
    (got,) = loader
    assert same(got, ae.Engine(POLICY, **HOW)(IMAGES / 255, range(24), ids=range(24), epoch=2))


def test_without_ids_samples_are_counted_and_one_warning_says_so():
    with pytest.warns(UserWarning, match="no ids came") as caught:
        got = list(ae.DeviceLoader(list(dense(ids=False)), POLICY, device="cpu", **HOW))
    assert len(caught) == 1
    assert np.concatenate([batch.plan.ids for batch in got]).tolist() == list(range(24))


def test_no_more_than_prefetch_batches_are_in_flight():
    taken = []

    def counted():
        for batch in dense():
            taken.append(len(taken))
            yield batch

    ahead = iter(ae.DeviceLoader(counted(), POLICY, device="cpu", prefetch=2, **HOW))
    for given in range(1, 5):
        next(ahead)
        limit = time.monotonic() + 60
        while len(taken) < given + 2 and time.monotonic() < limit:
            time.sleep(0.001)
        time.sleep(0.05)  # for one too many
        assert len(taken) == given + 2


def test_set_epoch_reaches_the_collate_and_the_sampler():
    sampler = DistributedSampler(range(8), num_replicas=1, rank=0)
    collate = ae.pack(POLICY, **HOW)
    ahead = ae.DeviceLoader(
        loader(collate, ae.WithIds(Pictures(8)), sampler=sampler, batch_size=8), device="cpu"
    )
    orders = []
    for epoch in (0, 7):
        ahead.set_epoch(epoch)
        assert sampler.epoch == epoch
        (batch,) = ahead
        assert batch.plan.epoch == epoch
        orders.append(batch.plan.ids.tolist())
    assert orders[0] != orders[1]


def test_set_epoch_reaches_a_batch_samplers_sampler():
    sampler = DistributedSampler(range(8), num_replicas=1, rank=0)
    batches = torch.utils.data.BatchSampler(sampler, 4, False)
    data = DataLoader(
        ae.WithIds(Pictures(8)), batch_sampler=batches, collate_fn=ae.pack(POLICY, **HOW)
    )
    ae.DeviceLoader(data, device="cpu").set_epoch(3)
    assert sampler.epoch == 3


def test_the_drawing_overlaps_with_the_loop():
    """While the loop holds a batch, the engine decides the next: it would wait for ever if not."""
    planned = threading.Semaphore(0)

    class Watched(ae.Engine):
        def plan(self, *args, **how):
            planned.release()
            return super().plan(*args, **how)

    ahead = ae.DeviceLoader(list(dense()), Watched(POLICY, **HOW), device="cpu")
    for k, _ in enumerate(ahead):
        if k == 0:
            assert planned.acquire(timeout=60)  # its own
        if k < 5:
            assert planned.acquire(timeout=60), f"batch {k + 1} waits for the loop"
    assert not planned.acquire(blocking=False)


# Endings


class Broken(Pictures):
    def __getitem__(self, index):
        if index == 9:
            raise ZeroDivisionError("the ninth")
        return super().__getitem__(index)


def test_an_error_of_the_loader_comes_with_its_traceback():
    def batches():
        yield from dense(2)
        raise ZeroDivisionError("here")

    ahead = iter(ae.DeviceLoader(batches(), POLICY, device="cpu", **HOW))
    next(ahead), next(ahead)
    with pytest.raises(ZeroDivisionError, match="here") as caught:
        next(ahead)
    assert any(frame.name == "batches" for frame in traceback.extract_tb(caught.tb))
    with pytest.raises(StopIteration):
        next(ahead)


def test_an_error_in_a_worker_ends_the_workers():
    names = ae.WithIds(Broken(32))
    ahead = ae.DeviceLoader(loader(ae.pack(POLICY, **HOW), names, 2, batch_size=4), device="cpu")
    with pytest.raises(ZeroDivisionError, match="the ninth") as caught:
        list(ahead)
    let_go(caught)


def test_an_error_of_the_engine_reaches_the_loop():
    batches = [*dense(1), (IMAGES[:4], [0, 1, 2, COUNT], [0, 1, 2, 3])]
    ahead = ae.DeviceLoader(batches, POLICY, device="cpu", **HOW)
    with pytest.raises(ValueError, match=f"labels: got {COUNT}, expected 0"):
        list(ahead)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_leaving_early_leaves_nothing_running(workers, persistent):
    data = loader(
        ae.pack(POLICY, **HOW),
        ae.WithIds(Pictures(64)),
        workers,
        batch_size=4,
        persistent_workers=persistent and workers > 0,
    )
    ahead = ae.DeviceLoader(data, device="cpu")
    for _ in range(2):
        for _ in ahead:
            break
        assert not drawing_threads()
    assert len(list(ahead)) == 16
    batches = iter(ahead)
    next(batches)
    del batches
    assert not drawing_threads()
    with pytest.raises(KeyError):
        _leave_by_an_error(ahead)
    del ahead, data


def _leave_by_an_error(batches):
    for _ in batches:
        raise KeyError


def test_garbage_collection_ends_an_iteration():
    class Cycle:
        pass

    cycle = Cycle()
    cycle.me, cycle.batches = (
        cycle,
        iter(ae.DeviceLoader(list(dense()), POLICY, device="cpu", **HOW)),
    )
    next(cycle.batches)
    dropped = weakref.ref(cycle)
    del cycle
    gc.collect()
    assert dropped() is None
    assert not drawing_threads()


def test_the_loader_may_go_before_its_iterator():
    ahead = ae.DeviceLoader(list(dense()), POLICY, device="cpu", **HOW)
    batches = iter(ahead)
    del ahead
    assert len(list(batches)) == 6


def test_a_later_iteration_ends_the_one_before():
    ahead = ae.DeviceLoader(list(dense()), POLICY, device="cpu", **HOW)
    first, second = iter(ahead), iter(ahead)
    next(second)
    assert len(drawing_threads()) == 1
    with pytest.raises(
        RuntimeError,
        match=r"DeviceLoader: a later iteration has ended this one, expected one .*\. Finish the",
    ):
        next(first)
    assert len(list(second)) == 5


def test_two_loaders_side_by_side():
    pair = [ae.DeviceLoader(list(dense()), POLICY, device="cpu", **HOW) for _ in range(2)]
    assert all(same(a, b) for a, b in zip(*pair, strict=True))


def test_a_process_that_leaves_an_iteration_open_ends():
    code = """
import torch, augengine as ae
images = torch.zeros(4, 3, 9, 9, dtype=torch.uint8)
batches = iter(ae.DeviceLoader([(images, None, range(4))] * 50, ae.CenterCrop(8), device="cpu"))
next(batches)
print("one")
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout == "one\n"
    assert "Error" not in run.stderr


class Stream(IterableDataset):
    def __iter__(self):
        yield from (Streams()[i] for i in range(10))


def test_a_stream_without_a_length():
    ahead = ae.DeviceLoader(
        DataLoader(Stream(), batch_size=4, collate_fn=ae.pack(POLICY, **HOW)), device="cpu"
    )
    assert [len(batch.images) for batch in ahead] == [4, 4, 2]


def test_repr_names_the_device():
    text = repr(ae.DeviceLoader([], POLICY, device="cpu", **HOW))
    for said in ("device=cpu", "prefetch=2", "RandomResizedCrop"):
        assert said in text


def test_the_gpu_is_taken_where_there_is_one():
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    assert ae.DeviceLoader([], POLICY).device.type == wanted
    assert ae.DeviceLoader([], ae.Engine(POLICY, device="cpu")).device.type == "cpu"
    data = loader(ae.pack(POLICY, device="cpu"), ae.WithIds(Pictures(4)))
    assert ae.DeviceLoader(data).device.type == "cpu"


# Errors


@pytest.mark.parametrize(
    ("arguments", "how", "error", "said"),
    [
        ((5, POLICY), {}, TypeError, r"got int, expected an iterable of batches\. Pass a DataLoader"),
        (([],), {"seed": 3}, TypeError, r"got seed without a policy, expected .*\. Give them to ae\.pack"),
        (([], POLICY), {"prefetch": 0}, ValueError, r"prefetch: got 0, expected .*The nearest is 1"),
        (([], POLICY), {"prefetch": 1.5}, TypeError, r"prefetch: got 1\.5, expected a whole number\. Pass"),
        (([], POLICY), {"device": "meta"}, ValueError, r"got device=meta, expected .*CUDA device\. Draw"),
        (([], ae.Engine(POLICY)), {"seed": 1}, TypeError, r"got an Engine and seed, expected .*\. Give"),
    ],
    ids=str,
)  # fmt: skip
def test_arguments(arguments, how, error, said):
    with pytest.raises(error, match="DeviceLoader: " + said):
        ae.DeviceLoader(*arguments, **{"device": "cpu"} | how)


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ValueError,
        match=r"DeviceLoader: got device=cuda:1, and torch\.cuda\.is_available\(\) is False, .*\. Pass",
    ):
        ae.DeviceLoader([], POLICY, device="cuda:1")


def test_a_policy_twice_or_never():
    packs = ae.pack(POLICY, **HOW)
    data = loader(packs, ae.WithIds(Pictures(4)))
    twice = (
        r"DeviceLoader: got a policy and batches of ae\.pack, .*, expected one of the two\. Drop"
    )
    with pytest.raises(ValueError, match=twice):
        ae.DeviceLoader(data, POLICY, device="cpu")
    with pytest.raises(ValueError, match=twice):
        list(ae.DeviceLoader(iter_of(data), POLICY, device="cpu"))
    with pytest.raises(
        ValueError,
        match=r"DeviceLoader: got no policy and a batch of tuple, expected a policy or .*\. Collate",
    ):
        list(ae.DeviceLoader(dense(), device="cpu"))
    drawn = (
        r"DeviceLoader: got batches that ae\.Collate has drawn, expected .*\. Collate with ae\.pack"
    )
    data = loader(ae.Collate(POLICY, **HOW), ae.WithIds(Pictures(4)))
    with pytest.raises(ValueError, match=drawn):
        ae.DeviceLoader(data, device="cpu")
    with pytest.raises(ValueError, match=drawn):
        list(ae.DeviceLoader(iter_of(data), device="cpu"))


def iter_of(data):
    """A loader of which nothing is known but what it yields."""
    yield from data


def full(*_, **__):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 18.00 KiB.")


def test_out_of_memory_for_the_output_names_its_bytes(monkeypatch):
    plan = ae.Policy(VIEWS).sample(range(4), [(20, 22)] * 4)
    monkeypatch.setattr(kernels.arguments, "empty", full)
    with pytest.raises(
        torch.OutOfMemoryError,
        match=r"cpu is out of memory for a batch of 4×3×16×16 float32, 12,288 bytes "
        r"\(the source images take 5,280\), expected .*\. Draw smaller batches",
    ) as caught:
        ae.execute(plan, IMAGES[:4])
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_out_of_memory_for_the_images_names_their_bytes(monkeypatch):
    monkeypatch.setattr(Sources, "map", full)
    with pytest.raises(
        torch.OutOfMemoryError,
        match=r"is out of memory for the source images, 5,280 bytes, expected .*\. Draw smaller",
    ):
        ae.Engine(VIEWS, device="cpu")(IMAGES[:4], ids=range(4))
