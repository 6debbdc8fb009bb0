"""What a coding agent is asked for, with checks: `test_skill` runs them.

Each task has a prompt, a solution that uses only what skills/augengine/SKILL.md says, what is commonly written
instead, and a check, which passes for the first and fails for the second.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

import augengine as ae

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Task(NamedTuple):
    """prompt: what is asked. solve, wrong: functions of no argument. check: of what they give; asserts."""

    prompt: str
    solve: Callable[[], Any]
    wrong: Callable[[], Any]
    check: Callable[[Any], None]


def picture(i: int, size: tuple[int, int] = (48, 60)) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)


PICTURES = [(Image.fromarray(picture(i)), i % 4) for i in range(12)]


# A pipeline is ported


class Transformed:
    """A dataset as torchvision's users write it."""

    def __init__(self, transform: Any = None) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return len(PICTURES)

    def __getitem__(self, i: int) -> Any:
        image, label = PICTURES[i]
        return (image if self.transform is None else self.transform(image)), label


THEIRS = v2.Compose(
    [
        v2.CenterCrop(32),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
    ]
)


def ported() -> Any:
    policy = ae.from_torchvision(THEIRS)
    loader = DataLoader(Transformed(), 4, collate_fn=ae.Collate(policy, seed=0))
    return next(iter(loader))


def ported_with_the_transform_left_in() -> Any:
    policy = ae.from_torchvision(THEIRS)
    loader = DataLoader(Transformed(THEIRS), 4, collate_fn=ae.Collate(policy, seed=0))
    return next(iter(loader))


def as_torchvision_has_it(batch: Any) -> None:
    expected = torch.stack([THEIRS(image) for image, _ in PICTURES[:4]])
    torch.testing.assert_close(batch[0], expected, atol=1e-5, rtol=0)
    assert batch[1].tolist() == [0, 1, 2, 3]


# Epochs

CROP = ae.Policy([ae.RandomResizedCrop(16), ae.RandomHorizontalFlip()])


def passes(name_epochs: bool) -> list[torch.Tensor]:
    seen = []
    for epoch in range(3):
        loader = ae.keyed(DataLoader(Transformed(), 12, collate_fn=ae.Collate(CROP, seed=0)))
        if name_epochs:
            loader.sampler.set_epoch(epoch)
        seen += [images for images, _ in loader]
    return seen


def three_epochs() -> Any:
    return passes(True)


def three_epochs_that_nobody_names() -> Any:
    return passes(False)


def each_is_another(seen: Any) -> None:
    assert len(seen) == 3
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])


def resumed() -> Any:
    loader = ae.keyed(DataLoader(Transformed(), 4, collate_fn=ae.Collate(CROP, seed=0)))
    loader.sampler.set_epoch(5)
    return [batch.images for batch in islice(loader, 2, None)]


def resumed_from_epoch_0() -> Any:
    torch.manual_seed(5)
    loader = ae.keyed(DataLoader(Transformed(), 4, collate_fn=ae.Collate(CROP, seed=0)))
    return [batch.images for batch in islice(loader, 2, None)]


def the_rest_of_epoch_5(batches: Any) -> None:
    images = [image for image, _ in PICTURES[8:]]
    expected = ae.Engine(CROP, seed=0)(images, ids=range(8, 12), epoch=5).images
    assert torch.equal(torch.cat(batches), expected)


def again_alone() -> Any:
    return ae.Engine(CROP, seed=0)([PICTURES[7][0]], ids=[7], epoch=3).images[0]


def again_without_its_id() -> Any:
    torch.manual_seed(0)
    return ae.Engine(CROP, seed=0)([PICTURES[7][0]], ids=[0], epoch=3).images[0]


def sample_7_of_epoch_3(image: Any) -> None:
    loader = ae.keyed(DataLoader(Transformed(), 12, collate_fn=ae.Collate(CROP, seed=0)))
    loader.sampler.set_epoch(3)
    assert torch.equal(image, next(iter(loader)).images[7])


# Labels

LOGITS = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))


def mixed() -> Any:
    policy = ae.Policy([ae.RandomResizedCrop(16), ae.CutMix()])
    loader = ae.keyed(
        DataLoader(Transformed(), 12, collate_fn=ae.Collate(policy, seed=0, num_classes=4))
    )
    loader.sampler.set_epoch(0)
    _, labels = next(iter(loader))
    hits = (LOGITS.argmax(1) == labels.argmax(1)).float().mean()
    return labels, torch.nn.functional.cross_entropy(LOGITS, labels), hits


def mixed_as_if_labels_were_ints() -> Any:
    policy = ae.Policy([ae.RandomResizedCrop(16), ae.CutMix()])
    loader = ae.keyed(DataLoader(Transformed(), 12, collate_fn=ae.Collate(policy, seed=0)))
    _, labels = next(iter(loader))
    return labels, torch.nn.functional.cross_entropy(LOGITS, labels.long()), 0.0


def soft_and_used(found: Any) -> None:
    labels, loss, hits = found
    assert labels.shape == (12, 4)
    torch.testing.assert_close(labels.sum(1), torch.ones(12))
    assert ((labels > 0) & (labels < 1)).any()
    assert torch.isfinite(loss)
    assert 0 <= hits <= 1


# Units, layouts, sizes


def bytes_out() -> Any:
    policy = ae.Policy([ae.CenterCrop(16)])
    return ae.Engine(policy, dtype=torch.uint8)([picture(0)], ids=[0], epoch=0).images


def bytes_out_of_floats() -> Any:
    policy = ae.Policy([ae.CenterCrop(16), ae.Normalize(MEAN, STD)])
    return ae.Engine(policy)([picture(0)], ids=[0], epoch=0).images.to(torch.uint8)


def the_very_bytes(images: Any) -> None:
    assert images.dtype == torch.uint8
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), picture(0)[16:32, 22:38])


WHITE = [torch.ones(3, 20, 20)]


def grey_fill() -> Any:
    policy = ae.Policy([ae.Pad(2, fill="#80")])
    return ae.Engine(policy)(WHITE, ids=[0], epoch=0).images


def grey_fill_of_bytes() -> Any:
    policy = ae.Policy([ae.Pad(2, fill=128)])
    return ae.Engine(policy)(WHITE, ids=[0], epoch=0).images


def grey_about_white(images: Any) -> None:
    assert images.shape == (1, 3, 24, 24)
    assert abs(float(images[0, 0, 0, 0]) - 128 / 255) < 1e-6
    assert float(images[0, 0, 12, 12]) == 1


def normalized_once() -> Any:
    policy = ae.Policy([ae.CenterCrop(16), ae.Normalize(MEAN, STD)])
    return ae.Engine(policy)([picture(0)], ids=[0], epoch=0).images


def normalized_as_bytes() -> Any:
    mean, std = ([255 * value for value in values] for values in (MEAN, STD))
    policy = ae.Policy([ae.CenterCrop(16), ae.Normalize(mean, std)])
    return ae.Engine(policy)([picture(0)], ids=[0], epoch=0).images


def about_nought(images: Any) -> None:
    values = torch.from_numpy(picture(0)[16:32, 22:38]).permute(2, 0, 1) / 255
    expected = (values - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(images[0], expected, atol=1e-5, rtol=0)


FIRST = [picture(i).transpose(2, 0, 1).copy() for i in range(2)]  # (3, H, W) arrays


def channels_first() -> Any:
    policy = ae.Policy([ae.CenterCrop(16)])
    return ae.Engine(policy, layout="NCHW")(FIRST, ids=[0, 1], epoch=0).images


def channels_unsaid() -> Any:
    return ae.Engine(ae.Policy([ae.CenterCrop(16)]))(FIRST, ids=[0, 1], epoch=0).images


def right_way_round(images: Any) -> None:
    assert images.shape == (2, 3, 16, 16)
    expected = torch.from_numpy(FIRST[1][:, 16:32, 22:38]) / 255
    torch.testing.assert_close(images[1], expected)


SIZES = [picture(0, (40, 60)), picture(1, (50, 30))]


def one_size() -> Any:
    return ae.Engine(ae.Policy([ae.Resize((32, 32))]))(SIZES, ids=[0, 1], epoch=0).images


def shorter_edge() -> Any:
    return ae.Engine(ae.Policy([ae.Resize(32)]))(SIZES, ids=[0, 1], epoch=0).images


def square(images: Any) -> None:
    assert images.shape == (2, 3, 32, 32)


# Targets

BOXES = [[10.0, 10.0, 30.0, 40.0]]
MIRROR = ae.Policy([ae.RandomHorizontalFlip(1)])
DETECTED = [(picture(0), {"boxes": torch.tensor(BOXES), "labels": torch.tensor([3])})]


def boxes_follow() -> Any:
    loader = ae.keyed(DataLoader(DETECTED, 1, collate_fn=ae.Collate(MIRROR, seed=0)))
    loader.sampler.set_epoch(0)
    images, targets = next(iter(loader))
    return images, targets[0]["boxes"]


def boxes_stay_behind() -> Any:
    image, target = DETECTED[0]
    return ae.Engine(MIRROR)([image], ids=[0], epoch=0).images, target["boxes"]


def mirrored(found: Any) -> None:
    images, boxes = found
    expected = torch.from_numpy(picture(0)[:, ::-1].copy()).permute(2, 0, 1) / 255
    torch.testing.assert_close(images[0], expected)
    assert torch.as_tensor(boxes).tolist() == [[30.0, 10.0, 50.0, 40.0]]


ZOOM = ae.Policy([ae.RandomHorizontalFlip(1), ae.Resize((96, 120))])


def predicted() -> Any:
    plan = ZOOM.sample(ids=[0], sizes=[(48, 60)], seed=0, epoch=0)
    return ae.boxes(plan.inverse(), [[[60.0, 20.0, 100.0, 80.0]]])[0].boxes


def predicted_by_a_factor() -> Any:
    return torch.tensor([[60.0, 20.0, 100.0, 80.0]]) / 2


def on_the_original(boxes: Any) -> None:
    assert np.allclose(np.asarray(boxes), [[10.0, 10.0, 30.0, 40.0]])


# Views, strength, dialects, files


def weak_and_strong() -> Any:
    views = ae.Views(weak=CROP, strong=ae.Policy([*CROP.transforms, ae.RandAugment(2, 9)]))
    images = [image for image, _ in PICTURES]
    batch = ae.Engine(views, seed=0)(images, ids=range(12), epoch=0)
    return batch["weak"].plan, batch["strong"].plan


def weak_and_strong_of_one_key() -> Any:
    images = [image for image, _ in PICTURES]
    strong = ae.Policy([*CROP.transforms, ae.RandAugment(2, 9)])
    engines = [ae.Engine(policy, seed=0) for policy in (CROP, strong)]
    return tuple(engine(images, ids=range(12), epoch=0).plan for engine in engines)


def two_looks_at_the_same_samples(plans: Any) -> None:
    weak, strong = plans
    assert weak.ids.tolist() == strong.ids.tolist()
    crops = [[plan.explain(i).split(" →")[0] for i in range(12)] for plan in plans]
    assert sum(a != b for a, b in zip(*crops, strict=True)) >= 10  # two draws, not one


def stronger_by_epoch() -> Any:
    policy = ae.Policy([ae.RandomRotation((40, 40)), ae.CenterCrop(32)])
    engine = ae.Engine(policy, seed=0, strength=ae.Ramp([(0, 0.0), (10, 1.0)]))
    return [engine([picture(0)], ids=[0], epoch=epoch).plan.explain(0) for epoch in (0, 5, 10)]


def stronger_by_a_policy_for_each_epoch() -> Any:
    policy = ae.Policy([ae.RandomRotation((40, 40)), ae.CenterCrop(32)])
    engine = ae.Engine(policy, seed=0, strength=ae.Uniform())
    return [engine([picture(0)], ids=[0], epoch=epoch).plan.explain(0) for epoch in (0, 5, 10)]


def from_nothing_to_all(words: Any) -> None:
    turned = [word.split(",")[0] for word in words]
    assert turned == ["rotated +0.0°", "rotated +20.0°", "rotated +40.0°"]


def timms() -> Any:
    return ae.Policy([ae.RandomResizedCrop(32), ae.from_timm("rand-m9-mstd0.5-inc1")])


def timms_by_torchvisions_magnitudes() -> Any:
    return ae.Policy([ae.RandomResizedCrop(32), ae.RandAugment(2, 9)])


def timms_dialect(policy: Any) -> None:
    op = policy.transforms[-1]
    assert (op.dialect, op.magnitude_std, op.increasing) == ("timm", 0.5, True)


def a_function_last() -> Any:
    policy = ae.Policy([ae.CenterCrop(16), ae.Stage(torch.nn.AvgPool2d(2), targets="same")])
    return ae.Engine(policy)([picture(0)], ids=[0], epoch=0).images


def a_function_inside() -> Any:
    policy = ae.Policy([torch.nn.AvgPool2d(2), ae.CenterCrop(16)])  # type: ignore[list-item]
    return ae.Engine(policy)([picture(0)], ids=[0], epoch=0).images


def pooled(images: Any) -> None:
    values = torch.from_numpy(picture(0)[16:32, 22:38]).permute(2, 0, 1)[None] / 255
    torch.testing.assert_close(images, torch.nn.functional.avg_pool2d(values, 2))


TASKS = {
    "port": Task(
        "Port this torchvision pipeline. The dataset gives (PIL image, label) and had it as its transform.",
        ported,
        ported_with_the_transform_left_in,
        as_torchvision_has_it,
    ),
    "epochs": Task(
        "The loader is built anew for each of three epochs. Let each epoch be augmented otherwise.",
        three_epochs,
        three_epochs_that_nobody_names,
        each_is_another,
    ),
    "resume": Task(
        "A run was killed in epoch 5 after two batches of 4. Give the rest of the epoch, to the bit.",
        resumed,
        resumed_from_epoch_0,
        the_rest_of_epoch_5,
    ),
    "one sample": Task(
        "Draw sample 7 of epoch 3 again, alone, as the loader with seed 0 drew it.",
        again_alone,
        again_without_its_id,
        sample_7_of_epoch_3,
    ),
    "mix": Task(
        "CutMix on four classes: labels, the loss of given logits, and the share of hits.",
        mixed,
        mixed_as_if_labels_were_ints,
        soft_and_used,
    ),
    "bytes": Task(
        "The middle 16×16 as uint8, for a model that normalises by itself.",
        bytes_out,
        bytes_out_of_floats,
        the_very_bytes,
    ),
    "fill": Task(
        "Pad float images by two pixels of middle grey (byte 128).",
        grey_fill,
        grey_fill_of_bytes,
        grey_about_white,
    ),
    "normalize": Task(
        "The middle 16×16 of a uint8 image, normalised with ImageNet's statistics.",
        normalized_once,
        normalized_as_bytes,
        about_nought,
    ),
    "layout": Task(
        "The images are NumPy arrays (3, H, W): take the middle 16×16.",
        channels_first,
        channels_unsaid,
        right_way_round,
    ),
    "size": Task("Bring images of two shapes to 32×32, one batch.", one_size, shorter_edge, square),
    "boxes": Task(
        "Mirror an image; its box must follow.", boxes_follow, boxes_stay_behind, mirrored
    ),
    "way back": Task(
        "A model predicted a box on an augmented image (mirrored, twice the size). Where on the original?",
        predicted,
        predicted_by_a_factor,
        on_the_original,
    ),
    "views": Task(
        "A weak and a strong view of the same samples, whose crops are drawn independently.",
        weak_and_strong,
        weak_and_strong_of_one_key,
        two_looks_at_the_same_samples,
    ),
    "strength": Task(
        "Let the rotation grow from nothing in epoch 0 to all of it in epoch 10.",
        stronger_by_epoch,
        stronger_by_a_policy_for_each_epoch,
        from_nothing_to_all,
    ),
    "timm": Task(
        "timm's rand-m9-mstd0.5-inc1 behind a crop.",
        timms,
        timms_by_torchvisions_magnitudes,
        timms_dialect,
    ),
    "own module": Task(
        "A pooling module of your own after a crop.", a_function_last, a_function_inside, pooled
    ),
}
