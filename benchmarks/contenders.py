"""Who takes part in a row: ours and every peer, each as a call that draws the row's batch once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import torch

import augengine as ae
from augengine.demo import peers
from augengine.demo.race import OURS
from augengine.kernels.allocate import empty

from . import images as pictures
from . import twins
from .workloads import Row

CLASSES = 1000


@dataclass
class Field:
    """The contenders of a row.

    Args:
        works: Calls by name, ours first.
        notes: Where a contender does less or other work, by name.
        left_out: Why a peer takes no part, by name.
        outputs: Number of images that a call makes.
    """

    works: dict[str, Callable[[], object]]
    outputs: int
    notes: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class WrongPixels(Exception):
    """Pixels differ from what they should be, so that there is no number."""


def field_of(row: Row, batch: int, only: Sequence[str] = ()) -> Field:
    """Ours and the peers on the images of a row, each tried once.

    Args:
        row: Row.
        batch: Number of images.
        only: Names of peers, where not all are wanted.

    Raises:
        WrongPixels: When torchvision draws the policy's twin otherwise than we do.
    """
    images = row.images(batch)
    policies = row.policies()
    made = Field({OURS: ours(row.policy, images)}, outputs=batch * len(policies))
    for name, peer in peers.PEERS.items():
        if only and name not in only:
            continue
        try:
            call, notes = theirs(peer, policies, images)
            notes += told(row, name, peer)
            call()
        except ImportError:
            made.left_out[name] = f"not installed (pip install '{peer.package}')"
        except WrongPixels:
            raise
        except peers.Untranslated as reason:
            made.left_out[name] = str(reason)
        except Exception as error:  # a peer's own error, such as of channels that it has not
            made.left_out[name] = (
                f"failed: {type(error).__name__}: {str(error).splitlines()[0]:.80}"
            )
        else:
            made.works[name] = call
            made.notes[name] = list(dict.fromkeys(notes))
    return made


def ours(
    policy: ae.Policy | ae.Views, images: Sequence[np.ndarray], *, reuse: bool = True
) -> Callable[[], object]:
    """One call of the engine, the next epoch each time.

    Args:
        policy: What is drawn.
        images: Arrays (H, W, C) of any sizes.
        reuse: Whether batches are written into memory that was written before.
    """
    mixes = isinstance(policy, ae.Policy) and policy.mixes
    engine: Any = ae.Engine(policy, num_classes=CLASSES if mixes else None)
    labels = torch.arange(len(images)) if mixes else None
    ids, epochs = np.arange(len(images)), count()
    buffers: dict[tuple[int, ...], torch.Tensor] = {}

    def buffer(plan: ae.Plan) -> torch.Tensor:
        if plan.shape not in buffers:
            buffers[plan.shape] = reused_batch(plan.shape)
        return buffers[plan.shape]

    out = buffer if reuse else None
    return lambda: engine(images, labels, ids=ids, epoch=next(epochs), out=out)


def theirs(
    peer: peers.Peer, policies: Sequence[ae.Policy], images: Sequence[np.ndarray]
) -> tuple[Callable[[], object], list[str]]:
    """One call of a peer for all outputs of the images, into reused batches, and its notes.

    Args:
        peer: Library.
        policies: Policies, one for each output of an image.
        images: Arrays (H, W, C) of any sizes.
    """
    works = [peer.translate(policy, str(images[0].dtype)) for policy in policies]
    inputs = {work.takes: peers.given(images, work.takes) for work in works}
    *size, channels = images[0].shape
    plans = [ae.Engine(policy).plan([size], [0], 0, channels=channels) for policy in policies]
    shapes = [(len(images), *plan.shape[1:]) for plan in plans]
    outs = [reused_batch(shape) for shape in shapes]

    def call() -> None:
        for work, out in zip(works, outs, strict=True):
            work(inputs[work.takes], out)

    return call, [*peer.notes, *(note for work in works for note in work.notes)]


def told(row: Row, name: str, peer: peers.Peer) -> list[str]:
    """A note, where a peer's pixels of the row's twin are not ours.

    Raises:
        WrongPixels: When the peer is the one whose pixels are meant.
    """
    like = row.images(1)[0]
    smooth = pictures.smooth()[..., np.arange(like.shape[2]) % 3]
    image = smooth if like.dtype == np.uint8 else smooth.astype(np.float32) / 255
    try:
        off = max(twins.difference(p, peer, np.ascontiguousarray(image)) for p in row.policies())
    except peers.Untranslated:
        return []
    if name == twins.MEANT and off > twins.MOST:
        raise WrongPixels(f"{row.regime}, {row.name}: {off:.2f}/255 from {name} in the mean")
    return [f"other pixels, by {off:.0f}/255 in the mean"] if off > twins.TOLD else []


def reused_batch(shape: Sequence[int]) -> torch.Tensor:
    """Memory that a contender writes into again and again, in large pages where the system has them."""
    return empty(shape, torch.float32, torch.device("cpu"), torch.contiguous_format)


def sizes_of(images: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    """Heights and widths."""
    return [image.shape[:2] for image in images]
