"""A batch in the hands of others: Python, torch's pytrees and compiler, a DataLoader, accelerate, Lightning,
transformers.
"""

import copy
import pickle
import sys
import warnings
from collections import UserDict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate.utils import (
    concatenate,
    find_batch_size,
    pad_across_processes,
    send_to_device,
    slice_tensors,
)
from loading import same
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader

import augengine as ae

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")

N = 4
CAPTIONS = ["cat", "dog", "owl", "fox"]
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (N, 3, 20, 24), np.uint8))
FLIPS = [ae.RandomCrop(16), ae.RandomHorizontalFlip()]
VIEWS = ae.Views(weak=ae.CenterCrop(8), crops=[ae.Policy(FLIPS)] * 2)


def fields():
    return {
        "caption": list(CAPTIONS),
        "weight": torch.arange(N, dtype=torch.float32),
        "more": {"row": torch.arange(N), "pair": (torch.ones(N), "text")},
    }


@pytest.fixture
def batch():
    drawn = ae.Engine(FLIPS, seed=3)(IMAGES, range(N), ids=range(N))
    return ae.Batch(drawn.images, drawn.labels, drawn.plan, fields(), ("image", "label"))


def samples(count=N):
    return [(IMAGES[i % N], i, i) for i in range(count)]


@pytest.fixture(params=["dense", "flat", "ragged"])
def packed(request):
    """A packed batch of each form that its images may have."""
    decided = ae.pack(FLIPS, seed=3)(samples())
    images = {
        "dense": IMAGES,
        "ragged": list(IMAGES),
        "flat": decided.sources,
    }[request.param]
    sources = ae.Sources.of(images)
    return ae.PackedBatch(sources, decided.launches, extra=fields(), names=("image", "label"))


def same_fields(mine, theirs):
    leaves, spec = pytree.tree_flatten(dict(mine))
    others, other_spec = pytree.tree_flatten(dict(theirs))
    return spec == other_spec and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(leaves, others, strict=True)
    )


def same_with_fields(a, b):
    return same(a, b) and a.names == b.names and same_fields(a.extra, b.extra)


# Python


def test_a_batch_unpacks_and_is_read_by_number_and_name(batch):
    images, labels = batch
    assert images is batch.images is batch[0] is batch[-2] is batch["image"] is batch["images"]
    assert labels is batch.labels is batch[1] is batch[-1] is batch["label"] is batch["labels"]
    assert batch["caption"] == CAPTIONS
    assert len(batch) == 2
    assert batch[:1] == (images,)
    assert [*batch] == [images, labels]
    with pytest.raises(IndexError):
        batch[2]


def test_the_fields_of_a_batch_by_name(batch):
    names = ["image", "label", "caption", "weight", "more"]
    assert (
        list(batch.keys()) == list(dict(batch)) == list((lambda **all_of: all_of)(**batch)) == names
    )
    for (name, value), other in zip(batch.items(), batch.values(), strict=True):
        assert value is other is batch[name] is batch.get(name)
    assert "caption" in batch
    assert "labels" not in batch
    assert batch.images in batch
    assert torch.zeros(2) not in batch
    assert batch.get("other", 7) == 7
    with pytest.raises(
        KeyError, match=r"Batch: got 'other', expected one of 'image', .*\. Further"
    ):
        batch["other"]


def test_no_labels_are_no_field():
    """So that model(**batch) passes none."""
    drawn = ae.Engine(FLIPS)(IMAGES, ids=range(N))
    _, labels = drawn
    assert labels is None is drawn["labels"]
    assert list(drawn.keys()) == ["images"]
    assert drawn.to(torch.float16).labels is None


def test_two_fields_of_one_name(batch):
    for extra, names in (({"image": 1}, ("image", "label")), ({}, ("image", "image"))):
        with pytest.raises(
            ValueError, match=r"Batch: got fields .*, expected a name for each\. Rename"
        ):
            ae.Batch(batch.images, batch.labels, batch.plan, extra, names)
    named = batch._replace(extra={"images": "a path"})
    assert named["images"] == "a path"
    assert named["image"] is named.images


def test_batches_are_equal_where_they_are_one(batch):
    other = copy.copy(batch)
    assert (batch == batch, batch == other, batch != other) == (True, False, True)
    assert batch != (batch.images, batch.labels)
    assert (batch.images, batch.labels) != batch
    assert len({batch, batch, other}) == 2
    one, another = (ae.pack(FLIPS)(samples()) for _ in range(2))
    assert (one == one, one == another, one != another) == (True, False, True)
    assert len({one, one, another}) == 2


def test_a_batch_stays_as_it_is(batch):
    for change in (
        lambda: setattr(batch, "images", batch.images),
        lambda: setattr(batch, "other", 1),
        lambda: delattr(batch, "_plan"),
        lambda: setattr(ae.pack(FLIPS)(samples()), "device", None),
    ):
        with pytest.raises(
            AttributeError, match=r"Batch: got .*, expected none, .*\. Make another"
        ):
            change()
    with pytest.raises(TypeError):
        batch.extra["caption"] = 1
    with pytest.raises(TypeError):
        batch[0] = batch.images


def test_another_batch_with_a_change(batch):
    plain = batch._replace(labels=None, extra=None)
    assert plain.labels is None
    assert plain.images is batch.images
    assert plain.plan is batch.plan
    assert (dict(plain.extra), plain.names) == ({}, batch.names)
    assert list(batch._asdict()) == list(batch._fields) == ["images", "labels"]
    with pytest.raises(
        TypeError, match=r"Batch\._replace: got image, expected some of images, .*\. Leave"
    ):
        batch._replace(image=batch.images)


def test_a_batch_says_what_it_holds(batch):
    first, second = repr(batch).splitlines()
    assert first.endswith("labels=(4,) int64 on cpu, extra: caption, weight, more,")
    assert second.startswith("  Plan(seed=3, ")
    assert repr(type(batch)(*batch)).endswith("\n  no plan)")
    assert "images=Size" in repr(pytree.tree_map(lambda leaf: getattr(leaf, "shape", None), batch))


def copies():
    yield copy.copy
    yield copy.deepcopy
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol))
    cloudpickle = pytest.importorskip("cloudpickle")
    yield lambda thing: cloudpickle.loads(cloudpickle.dumps(thing))


def test_a_copy_of_a_batch_has_all_of_it(batch, packed):
    for copied in copies():
        assert same_with_fields(copied(batch), batch)
        again = copied(packed)
        assert same_with_fields(again.draw(), packed.draw())
        assert "_kept" not in vars(again)


def test_a_deep_copy_shares_nothing(batch):
    again = copy.deepcopy(batch)
    again.images.zero_()
    again.extra["weight"].fill_(-1)
    assert batch.images.any()
    assert batch["weight"].tolist() == [0, 1, 2, 3]


# Rebuilt of its elements: what tools do to tuples and named tuples


@pytest.mark.parametrize(
    "rebuild",
    [
        lambda batch, parts: type(batch)(*parts),
        lambda batch, parts: type(batch)(parts),
        lambda batch, parts: type(batch)(part for part in parts),
    ],
    ids=["named tuple", "list", "generator"],
)
def test_a_batch_rebuilt_of_its_elements(batch, rebuild):
    again = rebuild(batch, [batch.images + 1, batch.labels])
    assert type(again) is ae.Batch
    assert torch.equal(again.images, batch.images + 1)
    assert again.labels is batch.labels
    assert dict(again.extra) == {}
    assert not hasattr(again, "plan")
    with pytest.raises(
        AttributeError, match=r"Batch: got no plan, .*rebuilt .*, expected .*\. Read"
    ):
        again.plan  # noqa: B018
    assert not hasattr(pickle.loads(pickle.dumps(again)), "plan")
    assert not hasattr(again.to(torch.float16), "plan")


def test_too_many_elements(batch):
    with pytest.raises(
        ValueError, match=r"Batch: got 3 elements, expected images and labels\. Pass"
    ):
        ae.Batch(iter([*batch, 1]))


# Moving and pinning


def test_to_changes_the_dtype_of_floats_alone(batch):
    for moved in (batch.to(torch.float16), batch.to("cpu", torch.float16, non_blocking=True)):
        assert moved.images.dtype == moved["weight"].dtype == torch.float16
        assert moved["more"]["pair"][0].dtype == torch.float16
        assert moved.labels.dtype == moved["more"]["row"].dtype == torch.int64
        assert moved["more"]["pair"][1] == "text"
        assert (moved["caption"], moved.plan, moved.names) == (CAPTIONS, batch.plan, batch.names)
        torch.testing.assert_close(moved.images.float(), batch.images, atol=1e-3, rtol=0)


def test_to_reaches_all_that_a_batch_holds(batch):
    """`meta` stands for a GPU."""
    odd = batch._replace(extra={**batch.extra, "odd": UserDict(x=[torch.ones(N)])})
    moved = odd.to("meta")
    tensors = [leaf for leaf in pytree.tree_leaves(moved) if isinstance(leaf, torch.Tensor)]
    assert len(tensors) == 5
    assert {tensor.device.type for tensor in [*tensors, *moved["odd"]["x"]]} == {"meta"}
    assert type(moved["odd"]) is UserDict
    assert odd["odd"]["x"][0].device.type == "cpu"


def test_a_packed_batch_moves(packed):
    moved = packed.to("meta", non_blocking=True)
    assert moved.sources.device == moved.device == torch.device("meta")
    assert moved.launches[0].looks[0].labels.device.type == "meta"
    assert moved.extra["more"]["pair"][0].device.type == "meta"
    assert packed.sources.device.type == "cpu"
    assert packed.to() is packed
    assert same_with_fields(packed.to("cpu").draw(), packed.draw())


def test_a_packed_batch_draws_where_it_was_moved(packed):
    """One that would be drawn elsewhere stays where it was moved to."""
    assert packed._replace(device=torch.device("meta")).to("cpu").draw().images.device.type == "cpu"


@pytest.mark.parametrize("how", [(torch.float16,), ("cpu", torch.float16), (None, torch.float16)])
def test_a_packed_batch_has_no_dtype_yet(how):
    with pytest.raises(
        TypeError, match=r"PackedBatch\.to: got torch\.float16, expected a device only, .*\. Move"
    ):
        ae.pack(FLIPS)(samples()).to(*how)


# A packed batch read as the batch that it becomes


def test_a_packed_batch_is_read_as_a_batch(packed, monkeypatch):
    drawn = packed.draw()
    assert same_with_fields(
        drawn,
        ae.Batch(
            *ae.pack(FLIPS, seed=3)(samples()).draw(), drawn.plan, fields(), ("image", "label")
        ),
    )
    calls = []
    draw = ae.PackedBatch.draw
    monkeypatch.setattr(ae.PackedBatch, "draw", lambda self: calls.append(1) or draw(self))
    assert len(packed) == 2
    assert packed.keys() == drawn.keys()
    assert "caption" in packed
    assert not calls
    images, labels = packed
    assert torch.equal(images, drawn.images)
    assert torch.equal(labels, drawn.labels)
    assert packed[0] is packed["image"] is packed["images"] is packed.get("image") is images
    assert packed[-1] is packed["label"] is labels
    assert packed["caption"] == CAPTIONS
    assert list(dict(packed)) == list(packed.keys())
    assert [name for name, _ in packed.items()] == list(packed.keys())
    assert len(packed.values()) == 5
    assert len(calls) == 1


def test_what_is_drawn_and_kept_is_not_sent(packed):
    before = len(pickle.dumps(packed))
    _, labels = packed
    assert labels.tolist() == [*range(N)]
    assert len(pickle.dumps(packed)) == before
    assert "_kept" not in vars(packed.to("cpu"))


def test_a_packed_batch_without_labels():
    sources = ae.Sources.of(IMAGES)
    engine = ae.Engine(FLIPS)
    packed = ae.PackedBatch(sources, engine.launches(engine.plan(sources.sizes, range(N))))
    _, labels = packed
    assert labels is None
    assert packed.keys() == ("images",)
    assert len(packed) == 2


def test_a_packed_batch_of_views():
    packed = ae.pack(VIEWS)(samples())._replace(extra=fields(), names=("image", "label"))
    assert packed.keys() == ("weak", "crops")
    assert len(packed) == 2
    assert list(packed) == ["weak", "crops"]
    assert same(packed["weak"], ae.Collate(VIEWS)(samples())["weak"])
    for batch in (packed["weak"], *packed["crops"]):
        assert same_fields(batch.extra, fields())
        assert batch.names == ("image", "label")
    moved = pytree.tree_map(lambda leaf: leaf, packed)
    assert same(moved.draw(), packed.draw())


# Pytrees


def test_a_batch_is_a_pytree(batch):
    halves = pytree.tree_map_only(torch.Tensor, lambda tensor: tensor / 2, batch)
    assert type(halves) is ae.Batch
    assert torch.equal(halves.images, batch.images / 2)
    assert torch.equal(halves["more"]["pair"][0], torch.full((N,), 0.5))
    assert (halves.plan, halves.names, halves["caption"]) == (batch.plan, batch.names, CAPTIONS)
    paths = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(batch)[0]]
    assert paths[:3] == ["['image']", "['label']", "['caption'][0]"]
    assert paths[-1] == "['more']['pair'][1]"


def test_batches_with_other_plans_are_mapped_together(batch):
    other = ae.Engine(FLIPS, seed=9)(IMAGES, range(N), ids=range(N))
    plain = batch._replace(extra=None, names=other.names)
    assert plain.plan != other.plan
    both = pytree.tree_map(lambda *parts: torch.cat(parts), plain, other)
    assert torch.equal(both.images, torch.cat([plain.images, other.images]))
    assert not hasattr(both, "plan")  # neither's is the plan of both
    assert pytree.tree_structure(plain) == pytree.tree_structure(other)
    assert pytree.tree_structure(plain) != pytree.tree_structure(batch)
    first = pytree.tree_map(lambda tensor: tensor[:2], plain)
    assert len(first.images) == 2
    assert not hasattr(first, "plan")


def test_views_are_a_pytree():
    views = ae.Collate(VIEWS)(samples())
    halves = pytree.tree_map_only(torch.Tensor, lambda tensor: tensor / 2, views)
    assert type(halves) is ae.BatchOfViews
    assert torch.equal(halves["crops"][1].images, views["crops"][1].images / 2)
    assert halves["weak"].plan == views["weak"].plan
    paths = [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(views)[0]]
    assert paths[2:4] == ["['crops'][0]['images']", "['crops'][0]['labels']"]


def test_a_packed_batch_is_a_pytree(packed):
    leaves, spec = pytree.tree_flatten(packed)
    assert {type(leaf) for leaf in leaves} == {torch.Tensor, str}
    assert same_with_fields(pytree.tree_unflatten(leaves, spec).draw(), packed.draw())
    copied = pytree.tree_map_only(torch.Tensor, torch.clone, packed)
    assert copied.sources.some.data_ptr() != packed.sources.some.data_ptr()
    assert same_with_fields(copied.draw(), packed.draw())
    moved = pytree.tree_map_only(torch.Tensor, lambda tensor: tensor.to("meta"), packed)
    assert moved.sources.device.type == moved.launches[0].looks[0].labels.device.type == "meta"
    assert pytree.tree_structure(copied) == spec
    assert len(pytree.tree_flatten_with_path(packed)[0]) == len(leaves)


# torch.compile


@pytest.mark.parametrize(
    "function",
    [
        lambda batch: batch[0].float().mean(),
        lambda batch: batch.images.mean() + batch["image"].sum() + batch.extra["weight"].sum(),
        lambda batch: (lambda images, labels: images.mean() + labels.sum())(*batch),
    ],
    ids=["number", "name", "unpacked"],
)
def test_a_compiled_function_takes_a_batch(batch, function):
    torch._dynamo.reset()
    compiled = torch.compile(function, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(batch), function(batch))


def test_a_compiled_function_gives_a_batch(batch):
    torch._dynamo.reset()
    half = torch.compile(lambda batch: batch.to(torch.float16), backend="eager")(batch)
    assert same_with_fields(half, batch.to(torch.float16))
    doubled = torch.compile(lambda batch: batch._replace(images=batch.images * 2), backend="eager")
    assert torch.equal(doubled(batch).images, batch.images * 2)


# DataLoader


class Batches(torch.utils.data.IterableDataset):
    """Batches that are formed in a worker, so that all that they hold has to travel."""

    def __init__(self, batch):
        self.batch = batch

    def __iter__(self):
        yield self.batch


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.thorough)])
def test_a_batch_travels_from_a_worker(batch, context):
    packed = ae.pack(FLIPS, seed=3)(samples())._replace(extra=fields())
    for sent, form in ((batch, lambda got: got), (packed, ae.PackedBatch.draw)):
        how = {"batch_size": None, "num_workers": 1, "multiprocessing_context": context}
        (got,) = DataLoader(Batches(sent), collate_fn=copy.copy, **how)
        assert type(got) is type(sent)
        assert same_with_fields(form(got), form(sent))


def test_a_loader_that_collates_nothing_rebuilds_a_batch(batch):
    (got,) = DataLoader(Batches(batch), batch_size=None)
    images, labels = got
    assert torch.equal(images, batch.images)
    assert torch.equal(labels, batch.labels)
    assert type(got) is ae.Batch
    with pytest.raises(
        AttributeError, match=r"Batch: got no plan, .*batch_size=None needs a collate_fn"
    ):
        got.plan  # noqa: B018
    with pytest.raises(
        KeyError, match=r"'caption', expected .*rebuilt of its images and labels has none"
    ):
        got["caption"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_of_collate_is_unpacked(workers):
    collate = ae.Collate(FLIPS, seed=3)
    collate.set_epoch(1)
    pairs = ae.WithIds([(IMAGES[i % N], i) for i in range(8)])
    loader = DataLoader(pairs, batch_size=4, num_workers=workers, collate_fn=collate)
    seen = []
    for images, labels in loader:
        assert images.shape == (4, 3, 16, 16)
        seen += labels.tolist()
    assert seen == [*range(8)]


def test_torch_pins_a_batch_by_its_own_method(batch, monkeypatch):
    """So that plan and extra stay: as a named tuple it would be rebuilt without."""
    from torch.utils.data._utils.pin_memory import pin_memory

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.clone())
    pinned = pin_memory(batch)
    assert same_with_fields(pinned, batch)
    for mine, theirs in zip(*map(pytree.tree_leaves, (pinned, batch)), strict=True):
        assert mine is not theirs or not isinstance(mine, torch.Tensor)
    views = ae.Collate(VIEWS)(samples())
    assert same(pin_memory(views), views)


@pytest.mark.gpu
def test_on_a_gpu(batch):
    pinned = batch.pin_memory()
    assert pinned.images.is_pinned()
    assert pinned["more"]["row"].is_pinned()
    there = pinned.to("cuda", non_blocking=True)
    assert {t.device.type for t in (*there, there["weight"], there["more"]["row"])} == {"cuda"}
    assert same_with_fields(there.to("cpu"), batch)
    packed = ae.pack(FLIPS, seed=3)(samples())._replace(extra=fields())
    images, labels = packed.to("cuda")
    assert images.is_cuda
    assert labels.is_cuda
    assert packed.pin_memory().draw("cuda")["more"]["row"].is_cuda
    (drawn,) = ae.DeviceLoader([packed], device="cuda")
    assert same_with_fields(drawn, packed.draw("cuda"))


# accelerate


def test_accelerate_takes_a_batch_apart(batch):
    assert find_batch_size(batch) == N
    assert find_batch_size(ae.Collate(VIEWS)(samples())) == N
    sliced = slice_tensors(batch, slice(1, 3))
    both = concatenate([sliced, sliced])
    for part, rows in ((sliced, [1, 2]), (both, [1, 2, 1, 2])):
        assert type(part) is ae.Batch
        assert torch.equal(part.images, batch.images[rows])
        assert part.labels.tolist() == rows
    assert type(pad_across_processes(batch)) is ae.Batch
    moved = send_to_device(batch, "meta")
    assert moved["more"]["row"].device.type == "meta"
    assert moved.plan == batch.plan


def test_accelerate_moves_a_packed_batch(packed):
    moved = send_to_device(packed, "meta", non_blocking=True)
    assert moved.sources.device.type == "meta"
    assert same_with_fields(send_to_device(packed, torch.device("cpu")).draw(), packed.draw())


# Lightning


def test_lightning_moves_a_batch_and_counts_it(batch, packed):
    pytest.importorskip("lightning")
    from lightning.fabric.utilities.apply_func import move_data_to_device
    from lightning.pytorch.utilities.data import extract_batch_size

    moved = move_data_to_device(batch, "meta")
    assert moved["more"]["row"].device.type == "meta"
    assert moved.plan == batch.plan
    assert move_data_to_device(packed, "meta").sources.device.type == "meta"
    assert same_with_fields(move_data_to_device(packed, "cpu").draw(), packed.draw())
    views = ae.Collate(VIEWS)(samples())
    assert same(move_data_to_device(views, torch.device("cpu")), views)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one in (batch, packed, views):
            assert extract_batch_size(one) == N


def test_lightning_converts_a_batch_to_a_true_half(batch, packed):
    """What a Trainer with precision="16-true" does to every batch."""
    pytest.importorskip("lightning")
    from lightning.pytorch.plugins.precision import HalfPrecision

    convert = HalfPrecision("16-true").convert_input
    half = convert(batch)
    assert type(half) is ae.Batch
    assert half.images.dtype == torch.float16
    assert half.labels.dtype == torch.int64
    assert convert(packed) is packed


# transformers


def test_transformers_rebuilds_a_batch_and_takes_the_loss_of_ints(monkeypatch):
    """Ints are asked of one class each, and floats of many, which is another loss."""
    pytest.importorskip("transformers")
    # It looks for a package `kernels`, which the link of that name in the checkout is not.
    root = Path(__file__).resolve().parent.parent
    monkeypatch.setattr(sys, "path", [p for p in sys.path if Path(p).resolve() != root])
    from transformers import Trainer, ViTConfig, ViTForImageClassification

    collate = ae.Collate(ae.CenterCrop(16), num_classes=5)
    batch = collate(samples())._replace(names=("pixel_values", "labels"))
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    torch.manual_seed(0)
    model = ViTForImageClassification(
        ViTConfig(image_size=16, patch_size=8, intermediate_size=8, num_labels=5, **small)
    ).eval()
    answer = model(**batch)
    wanted = torch.nn.functional.cross_entropy(answer.logits, torch.arange(N))
    torch.testing.assert_close(answer.loss, wanted)
    trainer = SimpleNamespace(
        args=SimpleNamespace(device=torch.device("cpu")), is_deepspeed_enabled=False
    )
    trainer._prepare_input = lambda data: Trainer._prepare_input(trainer, data)
    prepared = trainer._prepare_input(batch)
    assert type(prepared) is ae.Batch
    assert all(map(torch.equal, prepared, batch))


# Labels


def test_labels_that_torch_does_little_with():
    policy = [ae.CenterCrop(16), ae.MixUp()]
    numbers = np.arange(N)
    wanted = ae.Engine(policy, num_classes=5)(IMAGES, numbers, ids=range(N)).labels
    frozen = numbers.copy()
    frozen.flags.writeable = False
    for labels in (
        *(
            numbers.astype(kind)
            for kind in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", ">i8", ">u4")
        ),
        numbers[::-1].copy()[::-1],
        frozen,
        [*range(N)],
        [np.int64(i) for i in range(N)],
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert torch.equal(
                ae.Engine(policy, num_classes=5)(IMAGES, labels, ids=range(N)).labels, wanted
            )
            plain = ae.Engine(ae.CenterCrop(16), num_classes=5)(IMAGES, labels, ids=range(N)).labels
        assert plain.dtype == torch.int64
        assert plain.tolist() == [*range(N)]
    soft = np.eye(N, 5)[:, ::-1]
    flipped = ae.Engine(policy)(IMAGES, soft, ids=range(N)).labels
    assert torch.equal(flipped, ae.Engine(policy)(IMAGES, soft.copy(), ids=range(N)).labels)


def test_labels_are_float32_whatever_the_default_is():
    policy = [ae.CenterCrop(16), ae.MixUp()]
    wanted = ae.Engine(policy, num_classes=5)(IMAGES, range(N), ids=range(N)).labels
    torch.set_default_dtype(torch.float64)
    try:
        labels = ae.Engine(policy, num_classes=5)(IMAGES, range(N), ids=range(N)).labels
    finally:
        torch.set_default_dtype(torch.float32)
    assert labels.dtype == torch.float32
    assert torch.equal(labels, wanted)


def test_ints_are_soft_where_they_are_smoothed_and_checked_where_they_are_not():
    smooth = ae.Engine(ae.CenterCrop(16), num_classes=4, label_smoothing=0.4)
    labels = smooth(IMAGES, range(N), ids=range(N)).labels
    torch.testing.assert_close(labels, torch.eye(4) * 0.6 + 0.1)
    with pytest.raises(ValueError, match=r"labels: got 3, expected 0 … 2\. Raise num_classes"):
        ae.Engine(ae.CenterCrop(16), num_classes=3)(IMAGES, range(N), ids=range(N))
    soft = torch.rand(N, 4)
    assert torch.equal(
        ae.Engine(ae.CenterCrop(16), num_classes=4)(IMAGES, soft, ids=range(N)).labels, soft
    )
