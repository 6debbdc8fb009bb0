"""Boxes, masks and keypoints through the engine, the collates and the loaders."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors

import augengine as ae

CROP = ae.RandomResizedCrop(24)


def pool(**options):
    """A policy whose module halves the picture."""
    return ae.Policy([CROP, ae.Stage(torch.nn.AvgPool2d(2), **options)])


def test_a_plan_names_the_stages_that_may_move_pixels():
    sizes = [(40, 50)] * 2
    assert ae.Policy(CROP).sample([0, 1], sizes).after == ()
    assert pool(targets="same").sample([0, 1], sizes).after == ()
    assert pool(targets=lambda targets, plan: targets).sample([0, 1], sizes).after == ("AvgPool2d",)
    plan = pool().sample([0, 1], sizes)
    assert plan.after == ("AvgPool2d",)
    plain = ae.Policy(CROP).sample([0, 1], sizes)
    kept = [
        plan.select([1]),
        plan.repeat(2),
        plan.resized((8, 8)),
        ae.concatenate([plain, plan]),
        ae.side_by_side([plan, plain]),
        ae.Plan.from_bytes(plan.to_bytes()),
        pickle.loads(pickle.dumps(plan)),
    ]
    assert [each.after for each in kept] == [("AvgPool2d",)] * len(kept)
    assert ae.Plan.from_bytes(plan.to_bytes()) == plan
    assert plan != ae.Policy(CROP).sample([0, 1], sizes)


def test_a_stage_is_not_applied_to_a_tied_view():
    views = ae.Views(first=pool(), second=ae.Tied("first"))
    plans = ae.Engine(views).plan([(40, 50)], [0], 0)
    assert (plans["first"].after, plans["second"].after) == (("AvgPool2d",), ())


@pytest.mark.parametrize(
    "follow",
    [
        lambda plan: ae.boxes(plan, [[[4, 4, 20, 20]]]),
        lambda plan: ae.masks(plan, torch.zeros(1, 40, 50, dtype=torch.uint8)),
        lambda plan: ae.keypoints(plan, [[[4.0, 4.0]]]),
        lambda plan: ae.polygons(plan, [[[[[4, 4], [9, 4], [9, 9]]]]]),
        lambda plan: ae.follow(plan, [{"boxes": torch.tensor([[4.0, 4, 20, 20]])}]),
        lambda plan: plan.inverse(),
    ],
    ids=["boxes", "masks", "keypoints", "polygons", "follow", "inverse"],
)
def test_nothing_follows_a_stage_that_may_move_pixels(follow):
    with pytest.raises(ValueError, match=r"a Stage, AvgPool2d, which may move pixels, expected"):
        follow(pool().sample([0], [(40, 50)]))
    follow(pool(targets="same").sample([0], [(40, 50)]))


def test_a_stages_rule_is_one_of_three():
    with pytest.raises(ValueError, match=r"Stage\.targets: got 'moved', expected 'same'"):
        ae.Stage(torch.nn.ReLU(), targets="moved")
    assert repr(ae.Stage(torch.nn.ReLU(), targets="same")) == "Stage(module=ReLU(), targets='same')"
    one, other = (ae.Policy([CROP, ae.Stage(len, targets=rule)]) for rule in (None, "same"))
    assert one.fingerprint != other.fingerprint


# Samples as torchvision's detection references have them: of several sizes, with 0 … 3 objects.

COUNTS = (2, 0, 1, 3, 0, 1)
POLICY = [ae.RandomResizedCrop(24, scale=(0.5, 1)), ae.RandomHorizontalFlip()]
KINDS = ["plain", "tv_tensors"]


def target(index, tv=False):
    """Boxes, and in each a mask and a point of the same object."""
    random = np.random.default_rng(index)
    count, height, width = COUNTS[index], 40 + index, 50
    low = random.integers(0, 20, (count, 2))
    boxes = np.concatenate([low, low + random.integers(6, 20, (count, 2))], axis=1)
    masks = np.zeros((count, height, width), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    points = np.concatenate([boxes.reshape(-1, 2, 2).mean(axis=1), np.full((count, 1), 2)], axis=1)
    fields = {
        "boxes": torch.from_numpy(boxes).float(),
        "labels": torch.from_numpy(random.integers(1, 9, count)),
        "masks": torch.from_numpy(masks),
        "keypoints": torch.from_numpy(points[:, None]).float(),
        "area": torch.from_numpy(masks.sum(axis=(1, 2))).float(),
        "iscrowd": torch.zeros(count, dtype=torch.int64),
        "image_id": index,
    }
    if tv:
        fields["boxes"] = tv_tensors.BoundingBoxes(
            fields["boxes"], format="XYXY", canvas_size=(height, width)
        )
        fields["masks"] = tv_tensors.Mask(fields["masks"])
    return fields


def image(index):
    random = np.random.default_rng(99 + index)
    return torch.from_numpy(random.integers(0, 256, (3, 40 + index, 50), dtype=np.uint8))


def class_mask(index):
    random = np.random.default_rng(500 + index)
    return random.integers(0, 200, (40 + index, 50)).astype(np.uint8)


def pil_mask(index):
    return Image.fromarray(class_mask(index))


class Samples(Dataset):
    """What `make` gives of each index."""

    def __init__(self, make):
        self.make = make

    def __len__(self):
        return len(COUNTS)

    def __getitem__(self, index):
        return self.make(index)


def pair(index, tv=False):
    return image(index), target(index, tv)


def tv_pair(index):
    return pair(index, tv=True)


def mask_pair(index):
    return image(index), pil_mask(index)


def apart(samples):
    """The collate_fn of torchvision's references."""
    return tuple(zip(*samples, strict=True))


def batches(how, make, workers=0, policy=POLICY, **options):
    """All batches of a pass by one of the three ways, drawn."""
    dataset = ae.WithIds(Samples(make))
    kw = {"batch_size": 4, "num_workers": workers}
    names = {n: options.pop(n) for n in ("image", "label", "id", "target") if n in options}
    if how == "apart":
        loader = ae.DeviceLoader(
            DataLoader(dataset, collate_fn=apart, **kw),
            policy,
            device="cpu",
            seed=5,
            **names,
            **options,
        )
    elif how == "Collate":
        collate = ae.Collate(policy, seed=5, **names, **options)
        loader = DataLoader(dataset, collate_fn=collate, **kw)
        collate.set_epoch(3)
        return list(loader)
    else:
        decide = ae.pack(policy, seed=5, **names, **options)
        loader = ae.DeviceLoader(DataLoader(dataset, collate_fn=decide, **kw), device="cpu")
    loader.set_epoch(3)
    return list(loader)


def same(one, other):
    """Whether two trees are equal, in their types too."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        assert all(same(one[name], other[name]) for name in one)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        assert all(same(a, b) for a, b in zip(one, other, strict=True))
    elif isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
        for name in ("format", "canvas_size"):
            assert getattr(one, name, None) == getattr(other, name, None)
    else:
        assert one == other
    return True


WAYS = [("Collate", 0), ("Collate", 2), ("pack", 0), ("pack", 2), ("apart", 0), ("apart", 2)]
each_way = pytest.mark.parametrize(("how", "workers"), WAYS)


@each_way
@pytest.mark.parametrize("make", [pair, tv_pair], ids=KINDS)
def test_targets_follow_the_plan(how, workers, make):
    got = batches(how, make, workers)
    assert [len(batch.images) for batch in got] == [4, 2]
    for b, batch in enumerate(got):
        images, targets = batch
        indices = range(4 * b, 4 * b + len(images))
        assert targets is batch.targets
        assert batch.labels is None
        assert batch.keys() == ("images", "targets")
        same(targets, ae.follow(batch.plan, [make(index)[1] for index in indices]))
        assert [one["image_id"] for one in targets] == [*indices]
    kept = [len(one["boxes"]) + one["dropped"] for batch in got for one in batch.targets]
    assert tuple(kept) == COUNTS


@each_way
def test_targets_lie_where_the_painted_objects_do(how, workers):
    """One object white, all else black: its box is about the white."""

    def painted(index):
        picture = torch.zeros(3, 40, 50, dtype=torch.uint8)
        y, x = 4 + 3 * index, 6 + 4 * index
        picture[:, y : y + 12, x : x + 10] = 255
        boxes = torch.tensor([[x, y, x + 10, y + 12]]).float()
        return picture, {"boxes": boxes, "labels": torch.tensor([index])}

    seen = 0
    for batch in batches(how, painted, workers):
        for picture, found in zip(*batch, strict=True):
            white = (picture[0] > 0.5).nonzero()
            if len(found["boxes"]) == 0:
                assert len(white) < 30
                continue
            seen += 1
            about = torch.cat([white.amin(0).flip(0), white.amax(0).flip(0) + 1])
            torch.testing.assert_close(found["boxes"][0], about.float(), atol=1.0, rtol=0)
    assert seen >= 4


@each_way
def test_a_mask_beside_an_image(how, workers):
    for b, batch in enumerate(batches(how, mask_pair, workers)):
        images, masks = batch
        given = [torch.from_numpy(class_mask(4 * b + i)) for i in range(len(images))]
        assert masks.shape == (len(images), 24, 24)
        same(masks, ae.masks(batch.plan, given))
        same(batch["targets"], masks)


@each_way
def test_padded_targets(how, workers):
    options = ae.TargetOptions(pad=3)
    for b, batch in enumerate(batches(how, pair, workers, target_options=options)):
        images, padded = batch
        plain = ae.follow(batch.plan, [target(4 * b + i) for i in range(len(images))])
        same(padded, ae.pad_targets(plain, 3))
        assert padded["boxes"].shape == (len(images), 3, 4)
        assert padded["valid"].sum(dim=1).tolist() == [len(one["boxes"]) for one in plain]


# Dicts


def nested(index):
    return {"image": image(index), "target": target(index), "caption": f"picture {index}"}


def flat(index):
    fields = target(index, tv=True)
    return {"image": image(index), **fields, "caption": f"picture {index}"}


@each_way
def test_a_dict_with_a_target(how, workers):
    if how == "apart":
        pytest.skip("zip would give names")
    for b, batch in enumerate(batches(how, nested, workers)):
        indices = range(4 * b, 4 * b + len(batch.images))
        assert batch.keys() == ("image", "target", "caption")
        _, targets = batch
        same(targets, ae.follow(batch.plan, [target(index) for index in indices]))
        assert batch["target"] is batch["targets"] is targets
        assert batch["caption"] == [f"picture {index}" for index in indices]


@each_way
def test_a_dict_whose_fields_are_a_target(how, workers):
    if how == "apart":
        pytest.skip("zip would give names")
    instances = [name for name in target(0) if name != "image_id"]
    for b, batch in enumerate(batches(how, flat, workers)):
        indices = range(4 * b, 4 * b + len(batch.images))
        assert set(batch.keys()) == {"image", *instances, "image_id", "caption"}
        given = [{name: flat(index)[name] for name in instances} for index in indices]
        expected = ae.follow(batch.plan, given)
        for name in instances:
            same(batch[name], [one[name] for one in expected])
        assert batch["image_id"].tolist() == [*indices]
        _, targets = batch
        same(
            [dict(sorted(t.items())) for t in targets], [dict(sorted(t.items())) for t in expected]
        )
        assert "caption" in dict(**batch)


def test_a_batch_of_fields_in_a_device_loader():
    given = [flat(index) for index in range(4)]
    fields = {name: [one[name] for one in given] for name in given[0]}
    (batch,) = ae.DeviceLoader([fields | {"id": range(4)}], POLICY, device="cpu")
    names = [name for name in given[0] if name not in ("image", "image_id", "caption")]
    expected = ae.follow(batch.plan, [{name: one[name] for name in names} for one in given])
    same(batch["boxes"], [one["boxes"] for one in expected])
    same(batch["labels"], [one["labels"] for one in expected])
    assert batch["caption"] == fields["caption"]


def test_a_mask_and_a_label_in_a_dict():
    samples = [{"image": image(i), "mask": pil_mask(i), "label": i, "id": i} for i in range(3)]
    batch = ae.Collate(POLICY)(samples)
    assert batch.keys() == ("image", "label", "mask")
    _, labels = batch
    assert labels.tolist() == [0, 1, 2]
    same(batch["mask"], ae.masks(batch.plan, [pil_mask(i) for i in range(3)]))
    assert batch.targets is batch["mask"]
    with_one = [
        one | {"mask": torch.from_numpy(class_mask(i))[None]} for i, one in enumerate(samples)
    ]
    assert torch.equal(ae.Collate(POLICY)(with_one)["mask"], batch["mask"][:, None])
    named = [{"image": image(i), "cells": class_mask(i), "id": i} for i in range(3)]
    assert torch.equal(ae.Collate(POLICY, target="cells")(named)["cells"], batch["mask"])


def test_boxes_and_a_mask_of_classes_in_one_dict():
    samples = [
        {"image": image(i), "mask": pil_mask(i), "boxes": target(i)["boxes"], "id": i}
        for i in range(3)
    ]
    batch = ae.Collate(POLICY)(samples)
    assert batch.keys() == ("image", "mask", "boxes")
    same(batch["mask"], ae.masks(batch.plan, [pil_mask(i) for i in range(3)]))
    assert [type(one) for one in batch.targets] == [dict] * 3


def test_a_field_without_a_place_is_named_or_refused():
    def sample(i):
        boxes = target(0)["boxes"]
        return {"image": image(i), "boxes": boxes, "weights": torch.tensor([1.0, 2.0]), "id": i}

    samples = [sample(i) for i in range(2)]
    with pytest.raises(
        ValueError, match=r"got the field 'weights' with an entry for each instance"
    ):
        ae.Collate(POLICY)(samples)
    options = ae.TargetOptions(per_image=["weights"])
    batch = ae.Collate(POLICY, target_options=options)(samples)
    assert batch["weights"].tolist() == [[1, 2], [1, 2]]


# Tuples


def test_labels_and_targets():
    samples = [(image(i), i, target(i)) for i in range(3)]
    batch = ae.Collate(POLICY)([(*one, ae.Key(i, 0)) for i, one in enumerate(samples)])
    _, labels = batch
    assert labels.tolist() == [0, 1, 2]
    assert batch.keys() == ("images", "labels", "targets")
    same(batch.targets, ae.follow(batch.plan, [one[2] for one in samples]))
    other = ae.Engine(POLICY)(
        [one[0] for one in samples],
        labels,
        targets=[one[2] for one in samples],
        ids=range(3),
        epoch=0,
    )
    same(other.targets, batch.targets)
    assert torch.equal(other.images, batch.images)


def test_a_target_and_an_id():
    one = ae.Collate(POLICY)([(*pair(i), f"name {i}") for i in range(3)])
    other = ae.Collate(POLICY)([(*pair(2), "name 2")])
    assert one.labels is other.labels is None
    same(one.targets[2], other.targets[0])


def test_keyed_loaders_bring_targets():
    def run(collate):
        loader = DataLoader(Samples(pair), batch_size=4, collate_fn=collate)
        return [batch for _ in range(2) for batch in ae.keyed(loader)]

    drawn = run(ae.Collate(POLICY))
    packed = [batch.draw() for batch in run(ae.pack(POLICY))]
    for one, other in zip(drawn, packed, strict=True):
        same(one.targets, other.targets)
    assert len(drawn) == 4


@pytest.mark.parametrize(
    "second",
    [
        lambda i: torch.eye(3)[i],
        lambda i: i,
        lambda i: None,
        lambda i: np.ones(3, np.float32),
        float,
    ],
    ids=["soft", "number", "none", "row", "float"],
)
def test_labels_are_no_targets(second):
    batch = ae.Collate(ae.CenterCrop(8))([(image(i), second(i), i) for i in range(3)])
    assert batch.targets is None
    assert "targets" not in batch


# Errors


class Meta(dict):
    """Annotations that say nothing of boxes."""


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (
            [(image(0), target(0)), (image(1), None)],
            r"got NoneType as element 1 of sample 1 and dict of sample 0",
        ),
        (
            [(image(0), Meta(name="a"))],
            r"a target with the fields 'name' for sample 0, expected boxes",
        ),
        ([(image(0), torch.rand(40, 50))], r"float32 \(40, 50\) each\. A mask is whole numbers"),
        ([(image(0), pil_mask(0), target(0))], r"targets at the places 1, 2, expected one target"),
        ([(image(0), [{"bbox": [4, 4, 9, 9]}])], r"got a list of annotations beside an image"),
        ([(image(0), [])], r"got a list of annotations beside an image"),
        (
            [(image(0), image(1))],
            r"uint8 \(3, 41, 50\) beside the image of sample 0, expected a mask",
        ),
        ([(image(0), torch.zeros(9, 9, dtype=torch.uint8))], r"got 9×9 for sample 0 \(id 0\)"),
        (
            [{"image": image(0), "target": target(0), "boxes": target(0)["boxes"]}],
            r"the field 'target' and with 'boxes', expected one target",
        ),
        (
            [{"image": image(0), "depth_class": class_mask(0)}],
            r"the field 'depth_class', which lies in the image's pixels .* target='depth_class'",
        ),
        (
            [(image(0), {"boxes": torch.tensor([[4.0, 4, 90, 20]]), "labels": torch.ones(1)})],
            r"got box 0 of sample 0 \(id 0\)",
        ),
    ],
    ids=["some", "meta", "float", "two", "coco", "empty", "image", "size", "both", "field", "box"],
)
@pytest.mark.filterwarnings("ignore:augengine")
def test_what_is_wrong_is_named(samples, message):
    for collate in (ae.Collate(POLICY), ae.pack(POLICY)):
        with pytest.raises((TypeError, ValueError), match=message):
            collate(samples)


@pytest.mark.filterwarnings("ignore:augengine")
def test_targets_that_were_collated_into_one_are_refused():
    given = torch.utils.data.default_collate([(image(0), {"boxes": torch.zeros(1, 4)})])
    with pytest.raises(
        ValueError, match=r"got one dict as the second element, with the fields 'boxes'"
    ):
        list(ae.DeviceLoader([given], POLICY, device="cpu"))
    with pytest.raises(TypeError, match=r"targets: got dict, expected one target for each image"):
        ae.Engine(POLICY)([image(0)], targets=target(0))


# Policies


BOXED = [ae.RandomIoUCrop(), ae.Resize((24, 24)), ae.RandomHorizontalFlip()]


@each_way
def test_an_op_that_looks_at_boxes_is_given_them(how, workers):
    for b, batch in enumerate(batches(how, pair, workers, policy=BOXED)):
        indices = range(4 * b, 4 * b + len(batch.images))
        plan = ae.Policy(BOXED).sample(
            [*indices],
            [(40 + index, 50) for index in indices],
            seed=5,
            epoch=3,
            boxes=[target(index)["boxes"] for index in indices],
        )
        assert batch.plan == plan
        same(batch.targets, ae.follow(plan, [target(index) for index in indices]))


def test_a_mosaic_has_the_targets_of_all():
    policy = [ae.Resize((24, 24)), ae.Mosaic(p=1)]
    batch, _ = batches("Collate", pair, policy=policy)
    given = [target(index) for index in range(4)]
    same(batch.targets, ae.follow(batch.plan, given))
    of = [placed.origin[:, 0] for placed in ae.boxes(batch.plan, [one["boxes"] for one in given])]
    assert any(set(sources.tolist()) - {i} for i, sources in enumerate(of))
    assert [len(one["labels"]) for one in batch.targets] == list(map(len, of))


def test_each_view_has_its_own():
    views = ae.Views(small=ae.RandomResizedCrop(8), large=[POLICY, POLICY], tied=ae.Tied("small"))
    for how in ("Collate", "pack"):
        for b, batch in enumerate(batches(how, tv_pair, policy=views)):
            indices = range(4 * b, 4 * b + len(batch["small"].images))
            given = [target(index, tv=True) for index in indices]
            for view in (batch["small"], *batch["large"], batch["tied"]):
                same(view.targets, ae.follow(view.plan, given))
            assert batch["small"].targets[0]["boxes"].canvas_size == (8, 8)


def halved(targets, plan):
    assert plan.after == ()
    return [{**one, "boxes": one["boxes"] / 2} for one in targets]


@pytest.mark.parametrize("how", ["Collate", "pack", "apart"])
def test_a_stage_moves_targets_by_its_rule(how):
    def policy(rule):
        crop = ae.RandomResizedCrop(24, scale=(0.5, 1))
        return [crop, ae.Stage(torch.nn.AvgPool2d(2), targets=rule)]

    def boxes_only(index):
        return image(index), {name: target(index)[name] for name in ("boxes", "labels")}

    for batch in batches(how, boxes_only, policy=policy(halved)):
        assert batch.images.shape[2:] == (12, 12)
        every = torch.cat([one["boxes"] for one in batch.targets])
        assert len(every)
        assert every.max() <= 12
    unmoved = batches(how, boxes_only, policy=policy("same"))
    assert max(one["boxes"].max() for one in unmoved[0].targets if len(one["boxes"])) > 12
    with pytest.raises(ValueError, match=r"a Stage, AvgPool2d, which may move pixels"):
        batches(how, boxes_only, policy=policy(None))
    with pytest.raises(ValueError, match=r"Stage\.targets: the function made 1 of 4 targets"):
        batches(how, boxes_only, policy=policy(lambda targets, plan: targets[:1]))


def test_partners_bring_targets():
    images = [image(i) for i in range(2)]
    given = [{"boxes": target(i)["boxes"], "labels": target(i)["labels"]} for i in range(6)]
    engine = ae.Engine([ae.Resize((24, 24)), ae.MixUp()])
    batch = engine(
        images,
        targets=given[:2],
        ids=range(2),
        epoch=0,
        partners=([image(i) for i in (3, 5)], None, [3, 5], [given[3], given[5]]),
    )
    assert [len(one["boxes"]) for one in batch.targets] in ([5, 1], [3, 3], [5, 3], [3, 1])
    same(batch.targets, ae.follow(batch.plan, [*given[:2], given[3], given[5]]))
    with pytest.raises(ValueError, match=r"partners: got no targets, expected them"):
        engine(images, targets=given[:2], partners=(images, None, [3, 5]), ids=range(2), epoch=0)


def test_a_target_for_each_clip():
    clips = torch.zeros(2, 3, 3, 40, 50, dtype=torch.uint8)
    given = [{"boxes": target(0)["boxes"]}] * 2
    batch = ae.Engine(POLICY)(clips, targets=given, ids=range(2), epoch=0)
    assert batch.images.shape[:2] == (2, 3)
    same(batch.targets, ae.follow(batch.plan, given))


# Batches as they travel


def drawn_batch(labels=None):
    given = [target(i, tv=True) for i in range(3)]
    images = [image(i) for i in range(3)]
    return ae.Engine(POLICY)(images, labels, targets=given, ids=range(3), epoch=0)


@pytest.mark.parametrize("labels", [None, [4, 5, 6]], ids=["targets", "both"])
def test_a_batch_keeps_its_targets(labels):
    batch = drawn_batch(labels)
    wide = batch.to(torch.float64)
    doubled = pytree.tree_map(lambda leaf: leaf, batch)
    moved = batch._each_tensor(torch.clone)  # which makes tensors of tv_tensors
    for other in (
        pickle.loads(pickle.dumps(batch)),
        batch.to("cpu"),
        wide,
        doubled,
        moved,
        batch._replace(extra={"more": 1}),
    ):
        same(other.targets, batch.targets)
        assert other.keys()[: len(batch.keys())] == batch.keys()
        assert (other.labels is None) == (labels is None)
    assert wide.images.dtype == torch.float64
    assert batch._replace(targets=None).targets is None
    assert (batch[1] is batch.targets) == (labels is None)
    assert f"targets=[3 of {', '.join(batch.targets[0])}]" in repr(batch)
    rebuilt = ae.Batch(*batch)
    assert (rebuilt.targets is None) == (labels is not None)
    assert batch._replace(labels=torch.arange(3))[1].tolist() == [0, 1, 2]


def test_names_of_fields_do_not_meet():
    batch = drawn_batch()
    with pytest.raises(ValueError, match=r"got fields 'images', 'labels', 'targets', 'targets'"):
        batch._replace(extra={"targets": 1})


@pytest.mark.parametrize("label", [False, True], ids=["targets", "both"])
def test_a_packed_batch_keeps_its_targets(label):
    samples = [
        (image(i), *((i,) if label else ()), target(i, tv=True), ae.Key(i, 0)) for i in range(3)
    ]
    packed = ae.pack(POLICY)(samples)
    expected = ae.Collate(POLICY)(samples)
    assert packed.keys() == expected.keys()
    for other in (
        packed,
        pickle.loads(pickle.dumps(packed)),
        packed.to("cpu"),
        pytree.tree_map(lambda leaf: leaf.clone(), packed),
        packed._each_tensor(torch.clone),
    ):
        same(other.draw().targets, expected.targets)
    leaves = [leaf for leaf in pytree.tree_leaves(packed) if isinstance(leaf, torch.Tensor)]
    assert len(leaves) > 3 * 5


def test_a_pass_is_taken_up_again():
    def loader():
        decide = ae.pack(POLICY, seed=5)
        inner = DataLoader(ae.WithIds(Samples(pair)), batch_size=2, collate_fn=decide)
        outer = ae.DeviceLoader(inner, device="cpu")
        outer.set_epoch(3)
        return outer

    first, again = loader(), loader()
    whole = [batch.targets for batch in loader()]
    begun = iter(first)
    next(begun)
    again.load_state_dict(first.state_dict())
    rest = [batch.targets for batch in again]
    same(rest, whole[1:])


def test_options_are_checked():
    with pytest.raises(TypeError, match=r"Engine: got target_options=3, expected TargetOptions"):
        ae.Engine(POLICY, target_options=3)


@pytest.mark.parametrize("how", ["Collate", "pack"])
def test_small_tensors_come_from_a_worker_in_one_buffer(how):
    """A file descriptor for each of them is more than a process has."""
    dataset = ae.WithIds(Samples(tv_pair))
    collate = (ae.Collate if how == "Collate" else ae.pack)(POLICY)
    collate.set_epoch(0)
    (batch,) = DataLoader(dataset, batch_size=6, num_workers=1, collate_fn=collate)
    found = batch.targets if how == "Collate" else batch.launches[0].looks[0].targets
    small = [
        leaf
        for leaf in pytree.tree_leaves(found)
        if isinstance(leaf, torch.Tensor) and leaf.nbytes < 1 << 16
    ]
    assert len(small) > 20
    assert len({leaf.untyped_storage().data_ptr() for leaf in small}) == 1
    box = next(one["boxes"] for one in found if len(one["boxes"]))
    others = [(leaf, leaf.clone(), leaf._version) for leaf in small if leaf is not box]
    box.mul_(2).requires_grad_()
    for leaf, before, version in others:
        assert leaf._version == version
        assert torch.equal(leaf, before)


def test_large_tensors_travel_by_themselves():
    masks = torch.zeros(2, 3, 300, 300, dtype=torch.bool)
    given = [{"masks": one, "labels": torch.arange(3)} for one in masks]
    batch = ae.Batch(torch.zeros(2, 3, 300, 300), targets=given)
    again = pickle.loads(pickle.dumps(batch)).targets
    same(again, given)
    addresses = {leaf.untyped_storage().data_ptr() for leaf in pytree.tree_leaves(again)}
    assert len(addresses) == 3


# What would stay where it is while the image moves


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (
            {"image": image(0), "label": 1, "depth": torch.rand(40, 50)},
            r"got the field 'depth' of torch\.float32 \(40, 50\), numbers for each pixel",
        ),
        (
            {"image": image(0), "heat": np.zeros((40, 50, 2))},
            r"got the field 'heat' of float64 \(40, 50, 2\), numbers for each pixel",
        ),
        ((image(0), 1, torch.rand(1, 40, 50)), r"got element 2 of torch\.float32 \(1, 40, 50\)"),
        (
            (image(0), target(0, tv=True)["boxes"], torch.tensor([1, 2])),
            r"got an element 2 with an entry for each instance",
        ),
        (
            (image(0), {**target(0), "weights": torch.rand(40, 50)}),
            r"follow: got 'weights' of torch\.float32 \(40, 50\) for sample 0 \(id .*\), numbers for each",
        ),
        (
            (image(0), {**target(0), "parts": torch.zeros(2, 40, 50, dtype=torch.uint8)}),
            r"follow: got 'parts' of torch\.uint8 \(2, 40, 50\)",
        ),
    ],
    ids=["depth", "rows first", "element", "labels", "in a target", "instances"],
)
@pytest.mark.filterwarnings("ignore:augengine")
def test_what_would_not_follow_is_refused(sample, message):
    for collate in (ae.Collate(POLICY), ae.pack(POLICY)):
        with pytest.raises(ValueError, match=message):
            collate([sample])
    together = (
        {name: [value] for name, value in sample.items()}
        if isinstance(sample, dict)
        else tuple([part] for part in sample)
    )
    with pytest.raises(ValueError, match=message):
        list(ae.DeviceLoader([together], POLICY, device="cpu"))


def test_a_map_that_stays_is_named_and_drawn_by_the_plan():
    samples = [{"image": image(0), "depth": torch.rand(40, 50), "id": i} for i in range(2)]
    options = ae.TargetOptions(per_image=["depth"])
    batch = ae.Collate(ae.RandomHorizontalFlip(p=1), target_options=options)(samples)
    drawn = ae.resample(batch.plan, batch["depth"][:, None])
    assert torch.equal(drawn[:, 0], torch.stack([one["depth"].flip(-1) for one in samples]))


def test_a_picture_in_a_target_is_a_mask():
    samples = [(image(i), {"boxes": target(i)["boxes"], "parts": pil_mask(i)}, i) for i in range(3)]
    batch = ae.Collate(POLICY)(samples)
    masks = ae.masks(batch.plan, [pil_mask(i) for i in range(3)])
    same([one["parts"] for one in batch.targets], list(masks))


@pytest.mark.parametrize("name", ["a/1.jpg", b"a/1.jpg"])
def test_a_sample_is_told_by_its_name(name):
    wrong = {"boxes": torch.tensor([[4.0, 4, 90, 20]])}
    said = rf"box 0 of sample 0 \(id {name!r}\)"
    for collate in (ae.Collate(POLICY), ae.pack(POLICY)):
        with pytest.raises(ValueError, match=said):
            collate([(image(0), wrong, name)])
    loader = ae.DeviceLoader([((image(0),), (wrong,), (name,))], POLICY, device="cpu")
    loader.set_epoch(0)
    with pytest.raises(ValueError, match=said):
        list(loader)
