"""A batch: drawn (`Batch`, `BatchOfViews`), or decided in full and still to be drawn (`PackedBatch`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from .. import kernels
from ..aliases import Executor
from ..kernels import Sources
from ..kernels.gpu.lower import Lowered, lower
from ..plan import Plan, side_by_side
from ..policy.ops import Stage


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


class BatchOfViews(dict):
    """What an engine makes of `Views`: {name: Batch, or a list of them where a name has several}."""

    def to(self, *args: Any, **kwargs: Any) -> BatchOfViews:
        return self._each(lambda batch: batch.to(*args, **kwargs))

    def pin_memory(self) -> BatchOfViews:
        return self._each(Batch.pin_memory)

    def _each(self, function) -> BatchOfViews:
        return BatchOfViews(
            {
                name: list(map(function, batch)) if isinstance(batch, list) else function(batch)
                for name, batch in self.items()
            }
        )


class Look(NamedTuple):
    """One look at the samples, decided: what becomes a `Batch`."""

    number: int  # in the order of the views
    name: str | None  # under which it stands among views; None: it is all there is
    at: int | None  # its number under that name, where the name has several
    plan: Plan
    labels: torch.Tensor | None  # as they are in the batch
    after: tuple[Stage, ...]  # applied to the drawn images, unfused


class Launch(NamedTuple):
    """Looks that are drawn together, one after the other."""

    plan: Plan  # of all their outputs
    looks: tuple[Look, ...]
    lowered: Lowered | None = None  # the same plan for the gpu executor


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.pin_memory() if tensor.device.type == "cpu" else tensor


def put(into: dict, name: str | None, at: int | None, value) -> None:
    """Under its name; at: its number there, None where the name has one only."""
    if at is None:
        into[name] = value
    else:
        into.setdefault(name, []).append(value)


def grouped(looks: Sequence[Look]) -> tuple[Launch, ...]:
    """What has one finish is drawn in one launch."""
    together: dict[Any, list[Look]] = {}
    for look in looks:
        together.setdefault(look.plan.finish, []).append(look)
    return tuple(
        Launch(
            group[0].plan if len(group) == 1 else side_by_side([look.plan for look in group]),
            tuple(group),
        )
        for group in together.values()
    )


def draw_launches(
    launches: Sequence[Launch],
    sources: Sources,
    *,
    executor: Executor | None = None,
    out: torch.Tensor | Callable | None = None,
) -> Batch | BatchOfViews:
    """The batch. out: a tensor to write into, or a function of a launch's plan that gives one."""
    made: list[tuple[Look, Batch]] = []
    for launch in launches:
        into = out(launch.plan) if callable(out) else out
        images = kernels.execute(
            launch.plan, sources, out=into, executor=executor, lowered=launch.lowered
        )
        counts = [len(look.plan) for look in launch.looks]
        parts = [images] if len(counts) == 1 else images.split(counts)
        for look, part in zip(launch.looks, parts, strict=True):
            made.append((look, _finished(look, part, into)))
    if made[0][0].name is None:
        return made[0][1]
    views = BatchOfViews()
    for look, batch in sorted(made, key=lambda pair: pair[0].number):
        put(views, look.name, look.at, batch)
    return views


def _finished(look: Look, images: torch.Tensor, out) -> Batch:
    """The batch, after what is applied to it unfused."""
    for k, stage in enumerate(look.after):
        images = stage.run(images, look.plan, k)
    if look.after and out is not None and images.shape == out.shape:
        images = out.copy_(images)
    labels = look.labels
    if labels is not None:
        # Towards the host nothing may be read before it has come.
        labels = labels.to(images.device, non_blocking=images.is_cuda)
    return Batch(images, labels, look.plan)


@dataclass(frozen=True)
class PackedBatch:
    """A batch that is decided and not drawn: what `pack` collates and `draw` finishes.

    sources: the images, in one buffer. launches: the plans, with labels as they are mixed. device:
    where `draw` draws by default, None: where the images are. It can be pickled, if what a `Stage`
    holds can be.
    """

    sources: Sources
    launches: tuple[Launch, ...]
    executor: Executor | None = None
    device: torch.device | None = None

    def draw(self, device=None, *, out=None) -> Batch | BatchOfViews:
        """The batch that the engine makes of these samples, to the last bit.

        device: where to draw. out: as for `Engine.draw`. On a GPU nothing waits if the batch is in
        pinned memory: two copies and a launch are asked for.
        """
        device = self.device if device is None else torch.device(device)
        sources = self.sources if device is None else self.sources.to(device)
        return draw_launches(self.launches, sources, executor=self.executor, out=out)

    def pin_memory(self) -> PackedBatch:
        """What a DataLoader calls with pin_memory=True."""

        def of(launch: Launch) -> Launch:
            looks = tuple(
                look if look.labels is None else look._replace(labels=_pinned(look.labels))
                for look in launch.looks
            )
            return launch._replace(looks=looks)

        sources = self.sources.map(_pinned)
        return dataclasses.replace(self, sources=sources, launches=tuple(map(of, self.launches)))

    def for_gpu(self) -> PackedBatch:
        """The same, with all that the gpu executor would otherwise form as it draws."""
        launches = tuple(launch._replace(lowered=lower(launch.plan)) for launch in self.launches)
        return dataclasses.replace(self, launches=launches)
