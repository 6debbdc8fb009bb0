"""Batches drawn ahead of the loop, on a GPU."""

import numpy as np
import pytest
import torch
from loading import HOW, IMAGES, POLICY, SEVERAL, dense, drawing_threads, expected, same
from test_loader import Pictures, loader
from torchvision.tv_tensors import BoundingBoxes

import augengine as ae

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("nothing_is_left_running")]


def on_gpu(batches=None, **how):
    return ae.DeviceLoader(
        list(dense()) if batches is None else batches, POLICY, device="cuda", **HOW | how
    )


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


@pytest.mark.parametrize("pin_memory", [False, True])
@pytest.mark.parametrize("policy", [POLICY, SEVERAL], ids=["policy", "views"])
def test_packed_batches_on_a_gpu(policy, pin_memory):
    names = ae.WithIds(Pictures(40))
    data = loader(ae.pack(policy, **HOW), names, 2, batch_size=16, pin_memory=pin_memory)
    engine = ae.Engine(policy, **HOW, device="cuda")
    for k, got in enumerate(ae.DeviceLoader(data, device="cuda")):
        ids = range(16 * k, min(16 * k + 16, 40))
        assert same(got, engine([Pictures()[i][0] for i in ids], list(ids), ids=list(ids)))


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


def test_leaving_early_on_a_gpu():
    ahead = on_gpu()
    for _ in range(20):
        for batch in ahead:
            first = batch
            break
        assert not drawing_threads()
    assert same(first, expected(dense(1), device="cuda")[0])


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


def test_out_of_memory_on_a_gpu_reaches_the_loop():
    torch.cuda.set_per_process_memory_fraction(0.05)
    try:
        batches = [(IMAGES[:4].repeat(64, 1, 1, 1), [0] * 256, range(256))]
        with pytest.raises(torch.OutOfMemoryError, match=r"out of memory for .* bytes"):
            list(ae.DeviceLoader(batches, ae.Resize(2048), device="cuda", num_classes=1))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


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


def test_targets_come_to_the_device():
    def given():
        for images, _, ids in dense():
            boxes = [torch.tensor([[4.0, 4, 20, 20]] * (int(i) % 3)).reshape(-1, 4) for i in ids]
            size = tuple(images.shape[2:])
            yield (
                images,
                [{"boxes": BoundingBoxes(b, format="XYXY", canvas_size=size)} for b in boxes],
                ids,
            )

    batches = list(given())
    for got, (images, targets, ids) in zip(
        ae.DeviceLoader(batches, POLICY, device="cuda", seed=HOW["seed"]), batches, strict=True
    ):
        assert len(got.targets) == len(images) == len(ids)
        wanted = ae.follow(got.plan, targets)
        for one, other in zip(got.targets, wanted, strict=True):
            assert one["boxes"].is_cuda
            assert type(one["boxes"]) is BoundingBoxes
            assert torch.equal(one["boxes"].cpu(), other["boxes"])
