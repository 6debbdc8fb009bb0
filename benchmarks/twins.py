"""Pixels before numbers: a policy's twin has no chance left in it, and is drawn by everybody.

What a library draws of the twin is compared with ours. torchvision is what we mean, so that a difference
from it stops the benchmark; for the others the difference is said beside their numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

import augengine as ae
from augengine.demo import peers

MEANT = "torchvision v2"
MOST = 2.5  # mean difference from torchvision, in 1/255
TOLD = 2.5  # from which a peer's is said


def twin(policy: ae.Policy) -> ae.Policy:
    """The policy with one outcome, without what has no numbers to be fixed."""
    return ae.Policy([fixed for op in policy.transforms for fixed in _fixed(op)])


def _fixed(op: ae.Op) -> list[ae.Op]:
    match op:
        case ae.RandomResizedCrop():
            # Of square images the whole.
            return [replace(op, scale=(1.0, 1.0), ratio=(1.0, 1.0))]
        case ae.RandomCrop(size=size):
            return [ae.CenterCrop(size)]
        case ae.RandomRotation():
            return [replace(op, degrees=(15.0, 15.0))]
        case ae.RandomAffine():
            return [replace(op, degrees=(15.0, 15.0), translate=(0.0, 0.0), scale=(0.9, 0.9))]
        case ae.RandomBrightness():
            return [replace(op, delta=(0.1, 0.1))]
        case ae.ColorJitter():
            # These two may change places.
            return [ae.ColorJitter((0.8, 0.8), None, (0.7, 0.7), None)]
        case ae.GaussianBlur():
            return [replace(op, sigma=(1.0, 1.0), p=1.0)]
        case ae.RandomGamma():
            return [replace(op, gamma=(1.2, 1.2), p=1.0)]
        case ae.RandomApply(transforms=ops):
            return [fixed for each in ops for fixed in _fixed(each)]
        case ae.Resize() | ae.CenterCrop() | ae.Normalize():
            return [op]
        case ae.RandomHorizontalFlip() | ae.RandomAdjustSharpness() | ae.RandomEqualize():
            return [replace(op, p=1.0)]
        case ae.RandomSolarize() | ae.RandomGrayscale():
            return [replace(op, p=1.0)]
    return []


def difference(policy: ae.Policy, peer: peers.Peer, image: np.ndarray) -> float:
    """Mean difference between a peer's pixels of the twin and ours, in 1/255 of the full range.

    Args:
        policy: Policy, whose twin is drawn.
        peer: Library, which has the policy.
        image: Array (H, W, C), square.

    Raises:
        Untranslated: When the library has no such policy, or no such image.
    """
    certain = twin(policy)
    work = peer.translate(certain, str(image.dtype))
    images = [image, image]
    theirs = work(peers.given(images, work.takes), None)
    ours = ae.Engine(certain)(images, ids=[0, 1]).images
    if theirs.shape != ours.shape:
        raise peers.Untranslated("what it gives is no batch (N, C, H, W)")
    normalize = [op for op in certain.transforms if isinstance(op, ae.Normalize)]
    scale = torch.tensor(normalize[0].std).view(-1, 1, 1) if normalize else 1.0
    return 255 * float(((theirs - ours) * scale).abs().mean())
