"""What the tests of loaders share: a policy and views, batches of images, and what they must become."""

import threading
import traceback

import numpy as np
import torch
from test_loader import COUNT, LAYERS, VIEWS

import augengine as ae

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


def let_go(caught):
    """Break the cycle that torch makes when it raises a worker's error: its frames hold the loader's
    iterator, and collected as a cycle that waits five seconds for each of its workers."""
    traceback.clear_frames(caught.tb)
