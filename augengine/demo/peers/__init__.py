"""The same policy in other libraries, to measure against: as their users would write it, op by op.

A file for each library has a function of a policy that gives a `Work`: work(images, out) → images
(N, C, H, W) float32, which draws parameters for every sample and writes into `out`, if that is not None.
Only ops that the library has are translated; another one raises `Untranslated`. Ranges are taken from
the policy itself, so that all contenders draw from the same. Where a library does less than the policy
says, or something else, the Work's `notes` have it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .by_albumentations import albumentations, augrs
from .by_dali import dali, dali_decoding
from .by_kornia import kornia
from .by_timm import timm
from .by_torchtransform import torchtransform
from .by_torchvision import torchvision, torchvision_pil
from .by_variopinta import variopinta, variopinta_decoding, variopinta_hwc
from .peer import ARRAYS, BATCH, ENCODED, PICTURES, TENSORS, Untranslated, Work, given


@dataclass(frozen=True)
class Peer:
    """A library, or one of its ways.

    Args:
        translate: Function of (policy, dtype of the images) that gives a Work. It imports the library.
        package: What pip installs.
        notes: What holds for all that it does.
    """

    translate: Callable[..., Work]
    package: str
    notes: tuple[str, ...] = ()


PEERS: dict[str, Peer] = {
    "variopinta": Peer(variopinta, "variopinta"),
    "variopinta, HWC": Peer(variopinta_hwc, "variopinta"),
    "augrs": Peer(augrs, "augrs-py"),
    # 2.0.8 is the last release under MIT; its successor is AGPL.
    "albumentations": Peer(albumentations, "albumentations==2.0.8"),
    "torchvision v2": Peer(torchvision, "torchvision"),
    "torchvision v2, PIL": Peer(torchvision_pil, "torchvision", ("pictures of PIL",)),
    "torchtransform": Peer(torchtransform, "torchtransform"),
    "kornia": Peer(kornia, "kornia"),
    "timm": Peer(timm, "timm", ("pictures of PIL",)),
    "DALI, CPU": Peer(dali, "nvidia-dali-cuda120"),
}

# Those that decode files themselves: functions of (policy, dtype, threads).
DECODING: dict[str, Peer] = {
    "variopinta": Peer(variopinta_decoding, "variopinta"),
    "DALI, CPU": Peer(dali_decoding, "nvidia-dali-cuda120"),
}

__all__ = [
    "ARRAYS",
    "BATCH",
    "DECODING",
    "ENCODED",
    "PEERS",
    "PICTURES",
    "TENSORS",
    "Peer",
    "Untranslated",
    "Work",
    "albumentations",
    "augrs",
    "dali",
    "dali_decoding",
    "given",
    "kornia",
    "timm",
    "torchtransform",
    "torchvision",
    "torchvision_pil",
    "variopinta",
    "variopinta_decoding",
    "variopinta_hwc",
]
