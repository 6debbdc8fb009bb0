"""Batches decided in a worker and drawn later (`pack`), and drawn ahead of the loop (`DeviceLoader`)."""

import gc
import multiprocessing
import pickle
import subprocess
import sys
import threading
import time
import traceback
import weakref

import numpy as np
import pytest
import torch
from cases import quick_or_thorough
from test_loader import COUNT, LAYERS, VIEWS, Pictures, Streams, loader, size_of
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

import augengine as ae
from augengine import kernels
from augengine.kernels import Sources
from augengine.kernels.flat import Flat

POLICY = VIEWS + LAYERS
HOW = {"seed": 5, "num_classes": COUNT}
SEVERAL = ae.Views(
    weak=[ae.CenterCrop(16)], strong=POLICY, small=[ae.Policy([ae.RandomResizedCrop(8)])] * 2
)
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (24, 3, 20, 22), np.uint8))


def same(a, b):
    """Two batches, to the last bit."""
    if isinstance(a, ae.BatchOfViews):
        assert list(a) == list(b)
        return all(same(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    labels = a.labels is b.labels is None or torch.equal(a.labels, b.labels)
    return torch.equal(a.images, b.images) and labels and a.plan == b.plan


def dense(count=6, size=4, ids=True):
    """Batches (images, labels, ids) of equal sizes."""
    for k in range(count):
        part = slice(size * k, size * (k + 1))
        names = np.arange(24)[part]
        yield (IMAGES[part], names, names) if ids else (IMAGES[part], names)


def expected(batches, epoch=0, policy=POLICY, **how):
    engine = ae.Engine(policy, **HOW | how)
    return [engine(images, labels, ids=ids, epoch=epoch) for images, labels, ids in batches]


def drawing_threads():
    return [t for t in threading.enumerate() if t.name == "augengine-draw"]


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    yield
    gc.collect()
    assert not drawing_threads()
    assert not multiprocessing.active_children()


def let_go(caught):
    """Break the cycle that torch makes when it raises a worker's error: its frames hold the loader's
    iterator, and collected as a cycle that waits five seconds for each of its workers."""
    traceback.clear_frames(caught.tb)


# Images in one buffer


def test_a_flat_copy_holds_each_image_as_it_lay():
    images = [
        torch.from_numpy(Pictures()[0][0]),  # packed
        torch.from_numpy(Pictures()[1][0]).movedim(-1, 0).contiguous().movedim(0, -1),  # planes
        IMAGES[0].movedim(0, -1)[::2, ::3],
    ]
    flat = Flat.of(images)
    assert flat.buffer.numel() == sum(image.numel() for image in images)
    for mine, image in zip(flat, images, strict=True):
        assert torch.equal(mine, image)
        assert (mine.stride(2) == 1) == (image.stride(2) == 1)
    assert len(flat[1:]) == 2
    sizes = np.array([image.shape[:2] for image in images], np.int32)
    one, each = Sources(None, flat, sizes), Sources(None, tuple(flat), sizes)
    for a, b in zip(one.pointers(), each.pointers(), strict=True):
        assert np.array_equal(a, b)
    assert not one.requires_grad
    assert one.map(torch.Tensor.float).dtype == torch.float32
    assert one.nbytes == flat.buffer.numel()


# pack


@pytest.mark.parametrize(
    ("workers", "context", "form"),
    quick_or_thorough(
        [(0, None, "array"), (2, "fork", "PIL"), (1, "spawn", "tensor")],
        [
            *[(0, None, form) for form in ("PIL", "tensor")],
            *[(2, "fork", form) for form in ("array", "tensor")],
            *[(1, "spawn", form) for form in ("array", "PIL")],
        ],
        unpack=True,
    ),
)
@pytest.mark.parametrize("policy", [POLICY, SEVERAL], ids=["policy", "views"])
def test_a_packed_batch_is_drawn_as_collate_draws_it(form, workers, context, policy):
    packs, collate = ae.pack(policy, **HOW), ae.Collate(policy, **HOW)
    for made in (packs, collate):
        made.set_epoch(3)
        made.set_strength(0.5)
    names = ae.WithIds(Pictures(40, form))
    packed = loader(packs, names, workers, batch_size=16, multiprocessing_context=context)
    count = 0
    for batch, wanted in zip(packed, loader(collate, names, batch_size=16), strict=True):
        assert isinstance(batch, ae.PackedBatch)
        assert isinstance(batch.sources.ragged, Flat)
        assert batch.sources.dtype == torch.uint8
        assert batch.sources.ragged.buffer.is_shared() == (workers > 0)
        assert same(batch.draw("cpu"), wanted)
        assert same(pickle.loads(pickle.dumps(batch)).draw(), wanted)
        count += 1
    assert count == 3


@pytest.mark.parametrize(
    "how",
    [
        {"dtype": torch.uint8},
        {"dtype": torch.bfloat16, "memory_format": torch.channels_last},
        {"executor": "torch"},
        {"label_smoothing": 0.1},
    ],
    ids=str,
)
def test_pack_takes_what_an_engine_takes(how):
    samples = [(*Pictures()[i], i) for i in range(6)]
    policy = VIEWS + LAYERS[:2]
    drawn = ae.pack(policy, **HOW, **how)(samples).draw()
    assert same(drawn, ae.Collate(policy, **HOW, **how)(samples))
    engine = ae.Engine(policy, **HOW, **how)
    assert same(ae.pack(engine)(samples).draw(), drawn)


def test_floats_are_packed_too():
    samples = [(Pictures()[i][0].astype(np.float32) / 255, i, i) for i in range(4)]
    assert same(ae.pack(POLICY, **HOW)(samples).draw(), ae.Collate(POLICY, **HOW)(samples))


def test_a_stage_travels_with_the_batch():
    policy = [ae.CenterCrop(16), ae.Stage(torch.nn.AvgPool2d(2))]
    (batch,) = loader(ae.pack(policy), ae.WithIds(Pictures(4)), 1)
    assert batch.draw().images.shape == (4, 3, 8, 8)


def test_drawing_into_memory_that_is_there():
    samples = [(*Pictures()[i], i) for i in range(4)]
    out = torch.full((4, 3, 16, 16), torch.nan)
    batch = ae.pack(POLICY, **HOW)(samples).draw(out=out)
    assert batch.images.data_ptr() == out.data_ptr()
    assert torch.equal(out, ae.Collate(POLICY, **HOW)(samples).images)


def test_a_plan_is_packed_for_a_gpu_unless_the_cpu_is_named(monkeypatch):
    samples = [(*Pictures()[i], i) for i in range(4)]

    def packed(**how):
        return [
            launch.lowered is not None for launch in ae.pack(POLICY, **HOW, **how)(samples).launches
        ]

    monkeypatch.setattr("augengine.loading.collate.has_triton", lambda: True)
    assert packed() == packed(executor="gpu") == packed(device="cuda") == [True]
    assert packed(device="cpu") == packed(executor="torch") == packed(executor="cpu") == [False]
    monkeypatch.setattr("augengine.loading.collate.has_triton", lambda: False)
    assert packed() == [False]


def test_a_packed_plan_is_small():
    samples = [(np.zeros((64, 64, 3), np.uint8), 0, i) for i in range(64)]
    batch = ae.pack([ae.RandomResizedCrop(224), ae.RandAugment(2, 9)])(samples)
    assert len(pickle.dumps(batch)) - batch.sources.nbytes < 64 * 4096


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_may_pin_packed_batches(workers):
    (batch,) = loader(ae.pack(POLICY, **HOW), ae.WithIds(Pictures(8)), workers, pin_memory=True)
    assert batch.sources.ragged.buffer.is_pinned() == torch.cuda.is_available()
    assert same(
        batch.draw("cpu"), ae.Collate(POLICY, **HOW)([(*Pictures()[i], i) for i in range(8)])
    )


# DeviceLoader on the CPU


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
    for images in (IMAGES[:3], IMAGES[:3].numpy(), list(IMAGES[:3]), ragged, Sources.of(ragged)):
        wanted = engine(images, [0, 1, 2], ids=[0, 1, 2])
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
    (got,) = ae.DeviceLoader(DataLoader(data, batch_size=24), POLICY, device="cpu", **HOW)
    assert same(got, ae.Engine(POLICY, **HOW)(IMAGES / 255, range(24), ids=range(24)))


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


def test_an_image_that_is_on_a_device():
    """Any other than main memory's: a tensor on `meta` stands for one on a GPU."""
    samples = [(torch.empty(3, 8, 8, dtype=torch.uint8, device="meta"), 0, 0)]
    for name, collate in (("Collate", ae.Collate(POLICY)), ("pack", ae.pack(POLICY))):
        with pytest.raises(
            ValueError, match=rf"{name}: got an image on meta, expected .*ae\.DeviceLoader\("
        ):
            collate(samples)


def test_pack_names_itself():
    with pytest.raises(ValueError, match=r"pack: got no samples, or some .*\. Return such tuples"):
        ae.pack(POLICY)([])
    with pytest.raises(TypeError, match=r"pack: id: got 'a', expected a whole number"):
        ae.pack(POLICY)([(IMAGES[0], 0, "a")])
    with pytest.raises(
        ValueError, match=r"pack: got samples without ids in a worker process, .*\. Wrap"
    ) as caught:
        list(loader(ae.pack(POLICY, **HOW), Pictures(8), 1))
    let_go(caught)


def test_an_engine_and_options():
    for taker in (ae.Collate, ae.pack):
        with pytest.raises(
            TypeError, match=r"got an Engine and seed, expected .*\. Give them to the"
        ):
            taker(ae.Engine(POLICY), seed=3)


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


# DeviceLoader on a GPU


def on_gpu(batches=None, **how):
    return ae.DeviceLoader(
        list(dense()) if batches is None else batches, POLICY, device="cuda", **HOW | how
    )


@pytest.mark.gpu
def test_a_gpus_batches_are_the_engines():
    for batches in (
        list(dense()),
        [(list(images), labels, ids) for images, labels, ids in dense()],
        [(images.cuda(), torch.from_numpy(labels).cuda(), ids) for images, labels, ids in dense()],
        [(images.pin_memory(), labels, ids) for images, labels, ids in dense()],
    ):
        wanted = expected(batches, device="cuda")
        for got, other in zip(on_gpu(batches), wanted, strict=True):
            assert got.images.is_cuda
            assert got.labels.is_cuda
            assert same(got, other)


@pytest.mark.gpu
@pytest.mark.parametrize("pin_memory", [False, True])
@pytest.mark.parametrize("policy", [POLICY, SEVERAL], ids=["policy", "views"])
def test_packed_batches_on_a_gpu(policy, pin_memory):
    names = ae.WithIds(Pictures(40))
    data = loader(ae.pack(policy, **HOW), names, 2, batch_size=16, pin_memory=pin_memory)
    engine = ae.Engine(policy, **HOW, device="cuda")
    for k, got in enumerate(ae.DeviceLoader(data, device="cuda")):
        ids = range(16 * k, min(16 * k + 16, 40))
        assert same(got, engine([Pictures()[i][0] for i in ids], list(ids), ids=list(ids)))


@pytest.mark.gpu
def test_no_batch_is_overwritten_while_it_is_used():
    """A race, if there is one: a consumer on a stream of its own that lags behind, its batches dropped
    while it still reads them, and a loader that is glad of their memory."""
    torch.cuda.empty_cache()
    batches = list(dense()) * 50
    wanted = [batch.images.double().sum() for batch in expected(dense(), device="cuda")]
    sums, stream = [], torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for batch in on_gpu(batches, prefetch=3):
            torch.cuda._sleep(2_000_000)  # cycles, about a millisecond
            sums.append(batch.images.double().sum())
            del batch
    stream.synchronize()
    assert all(torch.equal(got, wanted[k % 6]) for k, got in enumerate(sums))


@pytest.mark.gpu
def test_leaving_early_on_a_gpu():
    ahead = on_gpu()
    for _ in range(20):
        for batch in ahead:
            first = batch
            break
        assert not drawing_threads()
    assert same(first, expected(dense(1), device="cuda")[0])


@pytest.mark.gpu
def test_memory_does_not_grow_with_the_batches():
    ahead = on_gpu(list(dense()) * 20)
    peaks = []
    for _ in range(3):
        torch.cuda.reset_peak_memory_stats()
        for batch in ahead:
            torch.cuda._sleep(500_000)
            batch.images.sum()
        torch.cuda.synchronize()
        peaks.append(torch.cuda.max_memory_reserved())
    assert peaks[2] <= peaks[0] * 1.1


@pytest.mark.gpu
def test_out_of_memory_on_a_gpu_reaches_the_loop():
    torch.cuda.set_per_process_memory_fraction(0.05)
    try:
        batches = [(IMAGES[:4].repeat(64, 1, 1, 1), [0] * 256, range(256))]
        with pytest.raises(torch.OutOfMemoryError, match=r"out of memory for .* bytes"):
            list(ae.DeviceLoader(batches, ae.Resize(2048), device="cuda", num_classes=1))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.gpu
def test_the_host_waits_for_nothing_as_it_draws_a_packed_batch():
    """It asks for two copies and a launch. (benchmarks/gpu.py says how long that takes.)"""
    from augengine.kernels.gpu import executor as gpu

    samples = [(np.zeros((64, 64, 3), np.uint8), 0, i) for i in range(16)]
    policy = [ae.RandomResizedCrop(56), ae.RandomHorizontalFlip(), ae.Normalize(0.5, 0.5)]
    batch = ae.pack(policy, num_classes=10, dtype=torch.bfloat16)(samples).pin_memory()
    expected = batch.draw("cuda").images  # what is compiled is compiled now
    before = gpu.counts.copy()
    torch.cuda.set_sync_debug_mode("error")
    try:
        drawn = batch.draw("cuda").images
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert gpu.counts - before == {"copy": 1, "launch": 1}  # the images are the other copy
    assert torch.equal(drawn, expected)


def test_sizes_of_the_pictures():
    """What these tests rely on: images of many sizes."""
    assert len({size_of(i) for i in range(8)}) > 3
