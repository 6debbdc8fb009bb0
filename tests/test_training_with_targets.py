"""A detector and a segmentation model of torchvision's size train some steps on made pictures, as users'
loops have them: through Collate, and through pack and a DeviceLoader.
"""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

import augengine as ae

SIZE = 96
POLICY = [
    ae.RandomPhotometricDistort(),
    ae.RandomIoUCrop(),
    ae.Resize((SIZE, SIZE)),
    ae.RandomHorizontalFlip(),
    ae.DuringEpochs([ae.Mosaic(p=0.7)], stop=2),
    ae.CutMix(p=0.5),
]


class Squares(Dataset):
    """Pictures of some bright squares on noise, with what lies where in them."""

    def __init__(self, of_masks):
        self.of_masks = of_masks

    def __len__(self):
        return 12

    def __getitem__(self, i):
        generator = torch.Generator().manual_seed(i)
        image = torch.randint(0, 60, (3, 100 + i, 120), generator=generator, dtype=torch.uint8)
        mask = torch.zeros(image.shape[1:], dtype=torch.int64)
        boxes = []
        for k in range(i % 4):  # none too
            x, y = torch.randint(0, 60, (2,), generator=generator).tolist()
            boxes.append([x, y, x + 30, y + 36])
            image[k % 3, y : y + 36, x : x + 30] = 250
            mask[y : y + 36, x : x + 30] = k % 3 + 1
        if self.of_masks:
            return image, mask
        target = {
            "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
            "labels": torch.arange(len(boxes)) % 3 + 1,
            "image_id": i,
        }
        return image, target


def batches(way, dataset, policy, **how):
    """Two epochs of batches, by one of the ways."""
    collate = ae.Collate(policy, **how) if way == "Collate" else ae.pack(policy, **how)
    loader = ae.keyed(DataLoader(dataset, batch_size=4, shuffle=True, collate_fn=collate))
    if way == "DeviceLoader":
        loader = ae.DeviceLoader(loader, device="cpu")
    for _ in range(2):
        yield from loader


@pytest.mark.parametrize("way", ["Collate", "DeviceLoader"])
def test_a_detector_trains(way):
    torch.manual_seed(0)
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    options = ae.TargetOptions(min_visible=0.3, min_size=4)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    instances = 0
    for images, targets in batches(way, Squares(False), POLICY, target_options=options):
        assert images.shape == (4, 3, SIZE, SIZE)
        for target in targets:
            instances += len(target["labels"])
            assert len(target["boxes"]) == len(target["labels"])
        losses = model(list(images), [dict(target) for target in targets])
        loss = sum(losses.values())
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert instances > 12
    changed = zip(before, model.parameters(), strict=True)
    assert any((a != b).any() for a, b in changed)


@pytest.mark.parametrize("way", ["Collate", "DeviceLoader"])
def test_a_segmentation_model_learns(way):
    """Where the squares are bright in one channel, a few convolutions tell them in a few steps."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 4, 1)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    policy = [*ae.presets.segmentation(80).transforms[:-1], ae.CutMix(p=0.5)]
    loss_of = torch.nn.CrossEntropyLoss(ignore_index=255)
    losses = []
    options = ae.TargetOptions(fill=255)
    for _ in range(6):
        for images, masks in batches(way, Squares(True), policy, target_options=options):
            assert masks.shape == (4, 80, 80)
            assert masks.dtype == torch.int64
            loss = loss_of(model(images), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert sum(losses[-6:]) < 0.5 * sum(losses[:6])


def test_ops_of_some_epochs_ask_for_the_epoch():
    """Without it they would be off, or on, in silence."""
    engine = ae.Engine([ae.Resize((8, 8)), ae.DuringEpochs([ae.Mosaic()], stop=3)])
    image = torch.zeros(2, 3, 9, 9, dtype=torch.uint8)
    with pytest.raises(ValueError, match="ops that follow the epoch, and no epoch"):
        engine(image, ids=[0, 1])
    assert engine(image, ids=[0, 1], epoch=0).plan.view.shape[1] == 5
    assert engine(image, ids=[0, 1], epoch=3).plan.view.shape[1] == 1
