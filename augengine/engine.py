"""The engine: a policy and its surroundings, called with a batch."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from . import kernels
from .kernels import Sources
from .plan import DTYPES, Plan
from .policy import Policy, whole_number
from .targets import soft_labels


@dataclass(frozen=True)
class Batch:
    """images (N, C, H, W); labels [N, num_classes], or what came, or None; the plan they follow."""

    images: torch.Tensor
    labels: torch.Tensor | None
    plan: Plan

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """Move images and labels as `Tensor.to` does."""
        labels = None if self.labels is None else self.labels.to(*args, **kwargs)
        return Batch(self.images.to(*args, **kwargs), labels, self.plan)

    def pin_memory(self) -> Batch:
        """What a DataLoader calls with pin_memory=True."""
        labels = None if self.labels is None else self.labels.pin_memory()
        return Batch(self.images.pin_memory(), labels, self.plan)


class Engine:
    """Decide and draw: `engine(images, labels, ids=ids, epoch=epoch)` gives a `Batch`.

    policy: a Policy, or ops to make one of. seed: with epoch and sample id, what every draw is keyed
    by. dtype: of the output, torch.float32, float16, bfloat16 or uint8 (values 0 … 255; no
    Normalize). device: where the batch is wanted; by default where the images are. memory_format:
    torch.contiguous_format or torch.channels_last. num_classes: for labels that are ints; without
    it ints are returned as they are by a policy that mixes nothing. executor: "cpu", "torch" or None.
    """

    def __init__(
        self,
        policy,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device=None,
        memory_format: torch.memory_format = torch.contiguous_format,
        num_classes: int | None = None,
        executor: str | None = None,
    ):
        self.policy = Policy(policy)
        self.seed = whole_number("Engine: seed", seed, -(2**63), 2**64 - 1)
        self.dtype = dtype
        self.device = None if device is None else torch.device(device)
        self.memory_format = memory_format
        self.num_classes = (
            None
            if num_classes is None
            else whole_number("Engine: num_classes", num_classes, 1, 2**31 - 1)
        )
        self.executor = executor
        self._counted = 0
        if _dtype_name(dtype) not in DTYPES:
            raise ValueError(
                f"Engine: got dtype {dtype}, expected torch.{', torch.'.join(DTYPES)}. Pass one of "
                "these."
            )
        if memory_format not in (torch.contiguous_format, torch.channels_last):
            raise ValueError(
                f"Engine: got {memory_format}, expected torch.contiguous_format or torch.channels_last. "
                "Leave it out for NCHW."
            )
        if executor not in (None, *kernels.EXECUTORS):
            raise ValueError(
                f"Engine: got executor {executor!r}, expected one of {', '.join(kernels.EXECUTORS)}. "
                "Leave it out to have one chosen."
            )

    def plan(self, sizes, ids=None, epoch: int = 0, *, view: int = 0, channels: int = 3) -> Plan:
        """What would happen to images of these sizes: no pixel is read.

        sizes: [n, 2] heights and widths. ids: [n] ints; without them samples are counted. epoch: int.
        """
        if ids is None:
            ids = self._count(len(sizes))
        elif isinstance(ids, torch.Tensor):
            ids = ids.cpu().numpy()
        return self.policy.sample(
            ids,
            sizes,
            seed=self.seed,
            epoch=epoch,
            view=view,
            channels=channels,
            dtype=_dtype_name(self.dtype),
            channels_last=self.memory_format == torch.channels_last,
        )

    def __call__(
        self, images, labels=None, *, ids=None, epoch: int = 0, out=None, layout=None
    ) -> Batch:
        """Augment a batch.

        images: uint8, or floats in [0, 1]: a tensor (B, C, H, W), an array (B, H, W, C), or a list
        of images of any sizes (`Sources.of` tells all; layout= says it where shapes do not). labels:
        [B] ints or [B, num_classes] floats. out: a tensor to write the images into.
        """
        sources = Sources.of(images, layout)
        if self.device is not None and sources.device != self.device:
            sources = sources.map(lambda image: image.to(self.device, non_blocking=True))
        plan = self.plan(sources.sizes, ids, epoch, channels=sources.channels)
        return self.draw(plan, sources, labels, out=out)

    def draw(self, plan: Plan, sources: Sources, labels=None, *, out=None) -> Batch:
        """Carry out a plan of `plan`'s: the images drawn, the labels as they are mixed."""
        made = None if labels is None else self._labels(plan, labels)
        drawn = kernels.execute(plan, sources, out=out, executor=self.executor)
        return Batch(drawn, made if made is None else made.to(drawn.device), plan)

    def _labels(self, plan: Plan, labels) -> torch.Tensor:
        labels = torch.as_tensor(labels)
        # By the policy and not by this batch's draws: a loader's batches are all of one kind.
        if self.num_classes is None and labels.ndim == 1 and not self.policy.mixes:
            if len(labels) != len(plan):
                raise ValueError(
                    f"labels: got {len(labels)}, expected one for each of {len(plan)} images. Pass as "
                    "many as images."
                )
            return labels
        return soft_labels(plan, labels, self.num_classes)

    def _count(self, n: int) -> np.ndarray:
        if self._counted == 0:
            warnings.warn(
                "augengine: no ids came, so samples are numbered as they arrive. Plans then depend "
                "on the order and on this engine's past; pass ids= (ae.WithIds supplies them).",
                stacklevel=4,
            )
        first, self._counted = self._counted, self._counted + n
        return np.arange(first, first + n)

    def __repr__(self):
        device = self.device or "the images' device"
        executor = self.executor or (
            "cpu for CPU images, torch otherwise"
            if self.device is None
            else kernels.choose(self.device)
        )
        return (
            f"Engine({self.policy!r},\n  seed={self.seed}, dtype={self.dtype}, device={device}, "
            f"memory_format={self.memory_format}, num_classes={self.num_classes}, executor: {executor})"
        )


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
