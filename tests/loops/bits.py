"""What loops are compared by: the bytes of each image that a loader gives."""

import doctest

import numpy as np
import task
import torch

import augengine

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def images_of(batch):
    """[(id, the image's bytes)] of a batch."""
    ids = batch.plan.ids.tolist()
    return [(id, image.numpy().tobytes()) for id, image in zip(ids, batch.images, strict=True)]


def images_drawn(loader, epochs=1, before=lambda epoch: None):
    """[(id, the image's bytes)] of all batches of some epochs; `before` is called with each epoch."""
    images = []
    for epoch in range(epochs):
        before(epoch)
        for batch in loader:
            images += images_of(batch)
    return images


def all_differ(images, count):
    """There are `count` images, no two of them alike."""
    assert len(images) == count
    assert len({pixels for _, pixels in images}) == count


class Step:
    """One step of a training, and what it was called with."""

    def __init__(self):
        self.model = task.classifier()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=2e-3)
        self.losses, self.images = [], []

    def __call__(self, images, labels):
        loss = torch.nn.functional.cross_entropy(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(float(loss.detach()))
        self.images += [image.numpy().tobytes() for image in images]

    def has_learnt(self, count):
        """The loss fell, and of `count` images no two were alike."""
        task.falls(self.losses)
        assert len(self.images) == len(set(self.images)) == count


def run_examples(module):
    """Run the examples of an adapter's docstrings, which know ae, np and torch as all others do."""
    known = {"ae": augengine, "np": np, "torch": torch}
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(module, extraglobs=known, optionflags=flags)
    assert result.attempted > 0
    assert result.failed == 0
