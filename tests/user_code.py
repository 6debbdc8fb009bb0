"""A page of user code, for mypy: what is right passes, and each line with a comment `error` is found."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, Dataset

import augengine as ae


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(3, 40, 48, dtype=torch.uint8), index


policy = ae.Policy(
    [
        ae.RandomResizedCrop(32, scale=(0.2, 1)),
        ae.RandomHorizontalFlip(),
        ae.RandomRotation(15, fill=[0, 10, 20]),
        ae.RandomAffine((-5, 5), translate=(0.1, 0.1), interpolation="bilinear"),
        ae.ColorJitter(0.3, (0.5, 1.5), hue=0.1),
        ae.RandAugment(2, 9),
        ae.RandomErasing(value="random"),
        ae.CutMix(alpha=0.5, p=0.5),
        ae.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)
collate = ae.Collate(policy, seed=3, num_classes=10, dtype=torch.float16)
loader = DataLoader(ae.WithIds(Pictures()), batch_size=4, collate_fn=collate)
engine = ae.Engine(policy, num_classes=10, strength=ae.Ramp(((0, 0.2), (30, 1.0))))
images = torch.zeros(4, 3, 40, 48, dtype=torch.uint8)
batch = engine(images, [1, 2, 3, 4], ids=range(4), epoch=2)
shape: torch.Size = batch.images.shape
plan: ae.Plan = batch.plan
print(plan.explain(0), plan.shape)
moved: ae.Batch = batch.to("cpu", non_blocking=True)
pixels_and_labels: tuple[torch.Tensor, torch.Tensor | None] = batch
its_images, its_labels = batch
mean: torch.Tensor = its_images.mean() + batch[0].mean()
by_name: torch.Tensor | None = batch["images"]
if its_labels is not None:
    classes: int = its_labels.shape[-1]
fields: dict[str, object] = {**batch}
again: ae.Batch = ae.Batch(its_images, its_labels, plan, extra={"weight": mean}, names=("x", "y"))
weight: torch.Tensor = batch.extra["weight"]
pixels: torch.Tensor = ae.execute(plan, images, executor="torch")
views = ae.Views(weak=ae.presets.cifar(), strong=policy, crops=[policy] * 2)
of_views: ae.BatchOfViews = ae.Engine(views, seed=1)(images, ids=range(4))
weak = of_views["weak"].images
for drawn in ae.DeviceLoader(loader, policy, device="cpu", seed=3, prefetch=1):
    step: torch.Tensor = drawn.images
decide = ae.pack(policy, seed=3)
packed = ae.PackedBatch(ae.Sources.of(images), ())
there: ae.PackedBatch = packed.to("cpu", non_blocking=True)
packed_images, packed_labels = packed

ae.RandomRotation("thirty")  # error
ae.RandomRotation()  # error
ae.RandomResizedCrop(32, scales=(0.2, 1))  # error
ae.RandomErasing(value="noise")  # error
ae.Resize(32, interpolation="cubic")  # error
ae.Policy(["flip"])  # error
ae.Collate(policy, sed=3)  # error
ae.pack(policy, num_clases=10)  # error
ae.DeviceLoader(loader, policy, prefetches=3)  # error
ae.Engine(policy, seed="three")  # error
ae.Engine(policy, dtype="float32")  # error
engine(images, labels="cats")  # error
ae.execute(plan, images, executor="cuda")  # error
print(batch.imags)  # error
its_labels.mean()  # error
one, two, three = batch  # error
batch.images = images  # error
