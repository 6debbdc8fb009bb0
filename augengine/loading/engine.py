"""The engine: a policy and its surroundings, called with a batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import one_hot

from .. import kernels
from ..aliases import Executor
from ..checks import number, whole_number
from ..kernels import Sources
from ..plan import Plan
from ..plan.kinds import DTYPES
from ..policy.policy import Policy
from ..policy.views import Views
from .batch import Launch, Look, draw_launches, grouped, put
from .targets import class_numbers, soft_labels


class Engine:
    """Decide and draw: `engine(images, labels, ids=ids, epoch=epoch)` gives a `Batch`.

    policy: a Policy, or ops to make one of, or Views of several (the call gives a `BatchOfViews`).
    seed: with epoch and sample id, what every draw is keyed by. dtype: of the output, torch.float32,
    float16, bfloat16 or uint8 (values 0 … 255; no Normalize). device: where the batch is wanted; by
    default where the images are. memory_format: torch.contiguous_format or torch.channels_last.
    num_classes: for labels that are ints; without it ints are returned as they are by a policy that
    mixes nothing. label_smoothing: share of each label that is spread over the classes. executor:
    "cpu", "gpu", "torch" or None.

    strength, an attribute as well: how much of every magnitude is used, in [0, 1]; or a function
    (epoch, ids) → such a number, or one for each id: `Ramp`, for one. No plan or kernel is compiled
    for it; change it when you like.
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
        label_smoothing: float = 0.0,
        strength: float | Callable = 1.0,
        executor: Executor | None = None,
    ):
        self.policy = policy if isinstance(policy, Views) else Policy(policy)
        self.seed = whole_number("Engine: seed", seed, -(2**63), 2**64 - 1)
        self.dtype = dtype
        self.device = None if device is None else torch.device(device)
        self.memory_format = memory_format
        self.num_classes = (
            None
            if num_classes is None
            else whole_number("Engine: num_classes", num_classes, 1, 2**31 - 1)
        )
        self.label_smoothing = number("Engine: label_smoothing", label_smoothing, 0, 1)
        self.strength = strength
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

    @property
    def strength(self) -> float | Callable:
        return self._strength

    @strength.setter
    def strength(self, value) -> None:
        self._strength = value if callable(value) else number("Engine: strength", value, 0, 1)

    def plan(
        self,
        sizes,
        ids=None,
        epoch: int = 0,
        *,
        look: int = 0,
        channels: int = 3,
        strength=None,
        partners=None,
    ):
        """What would happen to images of these sizes: no pixel is read.

        sizes: [n, 2] heights and widths. ids: [n] ints; without them samples are counted. epoch: int.
        strength: a number or [n], instead of the engine's. partners: (sizes, ids) of a second batch.
        Returns a Plan; for Views {name: Plan, or a list of them}, the first of which is look number `look`.
        """
        ids = self._ids(ids, len(sizes))
        if strength is None:
            strength = self.strength
        if callable(strength):
            strength = strength(epoch, ids)
        how: dict[str, Any] = {
            "seed": self.seed,
            "epoch": epoch,
            "channels": channels,
            "strength": None if np.ndim(strength) == 0 and strength == 1 else strength,
            "partners": None
            if partners is None
            else (self._ids(partners[1], len(partners[0])), partners[0]),
            "dtype": _dtype_name(self.dtype),
            "channels_last": self.memory_format == torch.channels_last,
        }
        if isinstance(self.policy, Policy):
            return self.policy.sample(ids, sizes, look=look, **how)
        plans: dict[str, Any] = {}
        for number_, (name, at, policy) in enumerate(self.policy.each()):
            plan = policy.sample(ids, sizes, look=look + number_, **how)
            put(plans, name, at, plan)
        return plans

    def __call__(
        self,
        images,
        labels=None,
        *,
        ids=None,
        epoch: int = 0,
        strength=None,
        partners=None,
        out=None,
        layout=None,
    ):
        """Augment a batch.

        images: uint8, or floats in [0, 1]: a tensor (B, C, H, W), an array (B, H, W, C), or a list
        of images of any sizes (`Sources.of` tells all; layout= says it where shapes do not). labels:
        [B] ints or [B, num_classes] floats. strength: a number or [B], instead of the engine's.
        partners: (images, labels) or (images, labels, ids) of a second batch, labelled or
        pseudo-labelled, which mixes take their partners from. out: a tensor to write the images
        into. Returns a Batch; for Views a BatchOfViews.
        """
        sources = self._sources(images, layout)
        pool = None
        if partners is not None:
            theirs, their_labels, their_ids = (*partners, None)[:3]
            others = self._sources(theirs, layout)
            pool = (others.sizes, their_ids)
        plan = self.plan(
            sources.sizes,
            ids,
            epoch,
            channels=sources.channels,
            strength=strength,
            partners=pool,
        )
        if partners is not None:
            sources = sources.followed_by(others)
            if labels is not None:
                labels = self._joined_labels(labels, their_labels)
        return self.draw(plan, sources, labels, out=out)

    def draw(self, plan, sources: Sources, labels=None, *, out=None):
        """Carry out what `plan` gave: the images drawn, the labels as they are mixed.

        out: a tensor to write into, or for Views a function of a plan that gives one.
        """
        if out is not None and not callable(out) and not isinstance(plan, Plan):
            raise TypeError(
                f"Engine: got out={type(out).__name__} with Views, expected a function of a plan that "
                "gives a tensor, since views may differ in size. Leave it out."
            )
        launches = self.launches(plan, labels)
        return draw_launches(launches, sources, executor=self.executor, out=out)

    def launches(self, plan, labels=None) -> tuple[Launch, ...]:
        """What there is to draw of what `plan` gave, and the labels that come with it."""
        if isinstance(self.policy, Policy):
            decided: list[tuple[Any, ...]] = [(None, None, self.policy, plan)]
        else:
            decided = [
                (name, at, policy, plan[name] if at is None else plan[name][at])
                for name, at, policy in self.policy.each()
            ]
        return grouped(
            [
                Look(
                    number_,
                    name,
                    at,
                    look,
                    None if labels is None else self._labels(look, labels),
                    policy.after,
                )
                for number_, (name, at, policy, look) in enumerate(decided)
            ]
        )

    def _sources(self, images, layout) -> Sources:
        sources = Sources.of(images, layout)
        return sources if self.device is None else sources.to(self.device)

    def _ids(self, ids, n: int) -> np.ndarray:
        if ids is None:
            return self._count(n)
        return ids.cpu().numpy() if isinstance(ids, torch.Tensor) else np.asarray(ids)

    def _joined_labels(self, mine, theirs) -> torch.Tensor:
        """The labels of both batches as one; soft where either is."""
        if theirs is None:
            raise ValueError(
                "partners: got no labels, expected them, since the batch has labels. Pass (images, "
                "labels)."
            )
        both = [torch.as_tensor(mine), torch.as_tensor(theirs)]
        if len({labels.ndim for labels in both}) > 1:
            classes = next(labels.shape[1] for labels in both if labels.ndim == 2)
            both = [
                one_hot(class_numbers(part, classes), classes).float() if part.ndim == 1 else part
                for part in both
            ]
        return torch.cat([part.to(both[0].device) for part in both])

    def _labels(self, plan: Plan, labels) -> torch.Tensor:
        labels = torch.as_tensor(labels)
        # By the policy and not by this batch's draws: a loader's batches are all of one kind.
        if self.num_classes is None and labels.ndim == 1 and not self._mixes():
            if len(labels) != len(plan.ids):
                raise ValueError(
                    f"labels: got {len(labels)}, expected one for each of {len(plan.ids)} images. Pass as "
                    "many as images."
                )
            return labels[: len(plan)]
        return soft_labels(plan, labels, self.num_classes, self.label_smoothing)

    def _mixes(self) -> bool:
        policies = [self.policy] if isinstance(self.policy, Policy) else self.policy.each()
        return self.label_smoothing > 0 or any(
            (p if isinstance(p, Policy) else p[2]).mixes for p in policies
        )

    def _count(self, n: int) -> np.ndarray:
        if self._counted == 0:
            warnings.warn(
                "augengine: no ids came, so samples are numbered as they arrive. Plans then depend "
                "on the order and on this engine's past; pass ids= (ae.WithIds supplies them).",
                stacklevel=5,
            )
        first, self._counted = self._counted, self._counted + n
        return np.arange(first, first + n)

    def __repr__(self):
        device = self.device or "the images' device"
        executor = self.executor or (
            "cpu for CPU images, gpu for CUDA ones where triton is, torch otherwise"
            if self.device is None
            else kernels.choose(self.device)
        )
        return (
            f"Engine({self.policy!r},\n  seed={self.seed}, dtype={self.dtype}, device={device}, "
            f"memory_format={self.memory_format}, num_classes={self.num_classes}, executor: {executor})"
        )


def as_engine(where: str, policy, options: dict) -> Engine:
    """An Engine as it is, or one of a policy and options."""
    if not isinstance(policy, Engine):
        return Engine(policy, **options)
    if options:
        raise TypeError(
            f"{where}: got an Engine and {', '.join(options)}, expected options with a policy only, "
            "since an engine has its own. Give them to the Engine."
        )
    return policy


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
