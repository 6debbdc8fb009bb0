"""Batches that are decided in a worker and drawn later: `pack`, and images in one buffer."""

import pickle

import numpy as np
import pytest
import torch
from cases import quick_or_thorough
from loading import HOW, IMAGES, POLICY, SEVERAL, let_go, same
from test_loader import LAYERS, VIEWS, Pictures, loader, size_of

import augengine as ae
from augengine.kernels import Sources
from augengine.kernels.flat import Flat

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")


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
    decide = ae.pack(POLICY, **HOW)
    decide.set_epoch(0)
    (batch,) = loader(decide, ae.WithIds(Pictures(8)), workers, pin_memory=True)
    assert batch.sources.ragged.buffer.is_pinned() == torch.cuda.is_available()
    assert same(
        batch.draw("cpu"), ae.Collate(POLICY, **HOW)([(*Pictures()[i], i) for i in range(8)])
    )


# Errors


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
    with pytest.raises(TypeError, match=r"pack: id: got 1\.5, expected a whole number"):
        ae.pack(POLICY)([(IMAGES[0], 0, 3), (IMAGES[0], 0, 1.5)])
    with pytest.raises(
        ValueError, match=r"pack: got samples without ids in a worker process, .*\. Give"
    ) as caught:
        list(loader(ae.pack(POLICY, **HOW), Pictures(8), 1))
    let_go(caught)


def test_an_engine_and_options():
    for taker in (ae.Collate, ae.pack):
        with pytest.raises(
            TypeError, match=r"got an Engine and seed, expected .*\. Give them to the"
        ):
            taker(ae.Engine(POLICY), seed=3)


def test_sizes_of_the_pictures():
    """What these tests rely on: images of many sizes."""
    assert len({size_of(i) for i in range(8)}) > 3
