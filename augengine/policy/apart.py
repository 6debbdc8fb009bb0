"""A policy taken apart: each of its operations alone, among the steps that every image needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

from . import ops
from .ops.choosing import Chooser
from .ops.conversions import (
    ConvertImageDtype,
    PILToTensor,
    ToDtype,
    ToImage,
    ToPureTensor,
    ToTensor,
)
from .ops.members import Member, members
from .ops.op import VIEW, Op
from .ops.unfused import Unfused
from .policy import MIXES, Policy
from .views import Views

# What sizes, pads or converts every image alike: part of forming a batch, not of augmenting it.
BASE = (
    ops.Resize, ops.CenterCrop, ops.Pad, ops.PadIfSmaller, ops.PadToLargest, ops.LetterBox,
    ops.FixedSizeCrop, ops.RGB, ConvertImageDtype, PILToTensor, ToDtype, ToImage, ToPureTensor, ToTensor,
)  # fmt: skip
# Ops whose magnitude no strength pulls: of them a strength is the share of images that meet them.
ALL_OR_NONE = (
    ops.RandomCrop, ops.RandomHorizontalFlip, ops.RandomVerticalFlip, ops.RandomQuarterTurn,
    ops.RandomChannelPermutation, ops.RandomResize, ops.RandomShortestSize, ops.FiveCrop, ops.TenCrop,
)  # fmt: skip
MOST_NAME = 60  # characters


@dataclass(frozen=True)
class Part:
    """One operation of a policy.

    Args:
        name: How the policy says it.
        op: The operation, which happens to every image.
        drawn: Share of images that meet it under the policy, in [0, 1].
        before: Steps that every image goes through before it, sizing among them.
        after: Steps that every image goes through after it.
        instead: What an image that does not meet it goes through in its place.
        normalized: Whether it stands behind the policy's Normalize.
    """

    name: str
    op: Op
    drawn: float
    before: tuple[Op, ...]
    after: tuple[Op, ...]
    instead: tuple[Op, ...] = ()
    normalized: bool = False

    @property
    def all_or_none(self) -> bool:
        """Whether a strength says how many images meet it, not how far it goes."""
        return isinstance(self.op, ALL_OR_NONE)

    def policy(self, size: int, normalize: Op, share: float = 1.0) -> Policy:
        """The policy in which this operation stands alone.

        Args:
            size: Pixels a side of the images that come out.
            normalize: Normalisation.
            share: Share of images that meet it, for an operation that is there or not; others meet it
                always, and a strength of 0 undoes them.
        """
        resize = ops.Resize((size, size))
        if share == 0:
            return Policy([*self.before, *self.instead, *self.after, resize, normalize])
        here: list[Op] = [self.op]
        if self.all_or_none and share < 1:
            if self.instead:
                off = ops.Compose(self.instead)
                here = [ops.OneOf([self.op, off], p=[share, 1 - share])]
            else:
                here = [ops.RandomApply([self.op], p=share)]
        if self.op.stages[1] == VIEW:
            return Policy([*self.before, *here, *self.after, resize, normalize])
        end = [normalize, *here] if self.normalized else [*here, normalize]
        return Policy([*self.before, *self.after, resize, *end])


def take_apart(policy: Policy | Views) -> tuple[list[Part], list[tuple[str, str]]]:
    """The operations of a policy one by one, and those that are not checked, with the reason.

    Args:
        policy: Policy, or Views of several, whose operations are then checked together.
    """
    policies = (
        [policy] if isinstance(policy, Policy) else [own for _, _, own in policy.each() if own.top]
    )
    parts: dict[str, Part] = {}
    unchecked: dict[str, str] = {}
    for one in policies:
        top = one.top
        bases = [_without(op) for op in top]
        normalize = [k for k, op in enumerate(top) if isinstance(op, ops.Normalize)]
        for k, op in enumerate(top):
            before = tuple(step for base in bases[:k] for step in base)
            after = tuple(step for base in bases[k + 1 :] for step in base)
            for name, own, drawn in _operations(op, 1.0):
                name = _free(name.removesuffix("()")[:MOST_NAME], own, parts)
                if (reason := _no_check(own)) is not None:
                    unchecked[name] = reason
                    continue
                instead = bases[k] if own == op else _without(own)
                behind = bool(normalize) and k > normalize[0]
                parts.setdefault(name, Part(name, own, drawn, before, after, instead, behind))
    return list(parts.values()), list(unchecked.items())


def _free(name: str, op: Op, parts: dict[str, Part]) -> str:
    """The name, with a number where another op has it."""
    number, free = 1, name
    while free in parts and parts[free].op != op:
        number += 1
        free = f"{name} ({number})"
    return free


def base_of(policy: Policy | Views) -> tuple[Op, ...]:
    """What every image goes through under a policy, without any of its operations: of Views, the first's."""
    first = policy if isinstance(policy, Policy) else policy.each()[0][2]
    return tuple(step for op in first.top for step in _without(op))


def _without(op: Op) -> tuple[Op, ...]:
    """What stands in the place of an op where nothing is augmented: a random crop leaves its size."""
    if isinstance(op, BASE):
        return (op,)
    size: Any = getattr(op, "size", None)
    if isinstance(op, ops.RandomResizedCrop):
        return (ops.Resize(size),)
    if isinstance(op, ops.RandomCrop):
        return (ops.CenterCrop(size),)
    return ()


def _no_check(op: Op) -> str | None:
    """Why an op is not checked, or None."""
    if isinstance(op, MIXES):
        return "it mixes the labels along with the images"
    if isinstance(op, ops.RandomIoUCrop):
        return "it needs boxes"
    if isinstance(op, Unfused) and op.code:
        return "it is code, which no strength pulls"
    return None


def _operations(op: Op, drawn: float) -> Iterator[tuple[str, Op, float]]:
    """(name, the op with probability 1, share of images that meet it) of each operation in an op."""
    if isinstance(op, (*BASE, ops.Normalize)):
        return
    if isinstance(op, Chooser):
        for child, share in zip(op.children, _shares(op), strict=True):
            yield from _operations(child, drawn * share)
        return
    if table := members(op):
        for name, share in table.items():
            member = Member(op, name)
            yield repr(member), member, drawn * share
        return
    pieces = list(_pieces(op))
    if pieces:
        share = drawn * (op.p if isinstance(op, ops.RandomPhotometricDistort) else 1)
        share /= 3 if isinstance(op, ops.ThreeAugment) else 1
        yield from ((name, piece, share) for name, piece in pieces)
        return
    p = getattr(op, "p", None)
    own: Any = op
    if isinstance(p, Real):
        own = dataclasses.replace(own, p=1.0)
        drawn *= float(p)
    if getattr(own, "alternate", False):
        own = dataclasses.replace(own, alternate=False)
    if isinstance(own, ops.Grayscale):  # one that strength pulls, and that keeps the channels
        own = ops.RandomGrayscale(p=1.0)
    yield repr(op), own, drawn


def _shares(op: Chooser) -> list[float]:
    """The share of images that meet each child of a chooser."""
    count = len(op.children)
    if isinstance(op, ops.OneOf):
        weights = [float(weight) for weight in op.p or [1.0] * count]
        return [weight / sum(weights) for weight in weights]
    if isinstance(op, ops.SomeOf):
        once = 1 - (1 - 1 / count) ** op.num_ops if op.replace else op.num_ops / count
        return [once] * count
    p: Any = getattr(op, "p", 1.0)
    return [float(p) if isinstance(p, Real) else 1.0] * count  # a ramp ends where it ends


def _pieces(op: Op) -> Iterator[tuple[str, Op]]:
    """An op of several independent magnitudes as ops of one each; nothing for another op."""
    if isinstance(op, ops.RandomPhotometricDistort):
        jitter = ops.ColorJitter(op.brightness, op.contrast, op.saturation, op.hue)
        for name, piece in _pieces(jitter):
            yield name.replace("ColorJitter", "RandomPhotometricDistort"), piece
        yield "RandomPhotometricDistort(channels)", ops.RandomChannelPermutation(p=1.0)
    elif isinstance(op, ops.ThreeAugment):
        yield "ThreeAugment: solarize", ops.RandomSolarize(op.threshold, p=1.0)
        yield "ThreeAugment: grey", ops.RandomGrayscale(p=1.0)
        yield "ThreeAugment: blur", ops.GaussianBlur(None, op.sigma, p=1.0)
    elif isinstance(op, (ops.ColorJitter, ops.RandomAffine)):
        colours = isinstance(op, ops.ColorJitter)
        names = (
            ("brightness", "contrast", "saturation", "hue")
            if colours
            else ("degrees", "translate", "scale", "shear")
        )
        nothing: dict[str, Any] = dict.fromkeys(names)
        if not colours:
            nothing["degrees"] = 0
        for name in names:
            value = getattr(op, name)
            if value is None or value == (0.0, 0.0):
                continue
            own: Any = op
            one = dataclasses.replace(own, **(nothing | {name: value}))
            yield f"{type(op).__name__}({name}={value!r})", one
