"""A batch: drawn (`Batch`, `BatchOfViews`), or decided in full and still to be drawn (`PackedBatch`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch

from .. import kernels
from ..aliases import Executor
from ..kernels import Sources
from ..kernels.gpu.lower import Lowered, lower
from ..plan import Finish, Plan, side_by_side
from ..policy.ops import Stage

_Item = TypeVar("_Item")


@dataclass(frozen=True, repr=False)
class Batch:
    """Images that are drawn, their labels, and the plan that they follow.

    Args:
        images: Tensor (N, C, H, W).
        labels: Soft labels [N, num_classes], or the labels that came where nothing mixes, or None.
        plan: Plan of the N outputs.

    Example:
        >>> image = torch.zeros(1, 3, 40, 48, dtype=torch.uint8)
        >>> ae.Engine(ae.CenterCrop(32), dtype=torch.uint8)(image, [7], ids=[0])
        Batch(images=(1, 3, 32, 32) uint8 on cpu, labels=(1,) int64 on cpu,
          Plan(seed=0, epoch=0, policy=ecb82a1de2f2fbe0))
    """

    images: torch.Tensor
    labels: torch.Tensor | None
    plan: Plan

    def to(
        self,
        device: torch.device | torch.dtype | str | int | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Batch:
        """Move images and labels, as `Tensor.to` does.

        Args:
            device: Device to move to, or a dtype; None leaves them where they are.
            dtype: Dtype for images and labels that are floats.
            non_blocking: Whether the host goes on while a copy from pinned memory is under way.

        Returns:
            The batch there.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            to_dtype = dtype if tensor.is_floating_point() else None
            return tensor.to(device=device, dtype=to_dtype, non_blocking=non_blocking)

        labels = None if self.labels is None else moved(self.labels)
        return Batch(moved(self.images), labels, self.plan)

    def pin_memory(self) -> Batch:
        """The batch in pinned memory: what a DataLoader calls with pin_memory=True."""
        labels = None if self.labels is None else self.labels.pin_memory()
        return Batch(self.images.pin_memory(), labels, self.plan)

    def __repr__(self) -> str:
        first_line = repr(self.plan).partition("\n")[0]
        return f"Batch(images={_said(self.images)}, labels={_said(self.labels)},\n  {first_line})"


# A value is a Batch, or a list of them; a union would make users cast what they know.
class BatchOfViews(dict[str, Any]):
    """What an engine makes of `Views`: {name: Batch, or a list of them where a name has several}.

    Example:
        >>> views = ae.Views(weak=ae.Resize((8, 8)), crops=[ae.Policy(ae.RandomResizedCrop(4))] * 2)
        >>> batch = ae.Engine(views)(torch.zeros(1, 3, 9, 9, dtype=torch.uint8), ids=[0])
        >>> batch["weak"].images.shape, len(batch["crops"])
        (torch.Size([1, 3, 8, 8]), 2)
    """

    def to(
        self,
        device: torch.device | torch.dtype | str | int | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> BatchOfViews:
        """Move all batches, as `Batch.to` does.

        Args:
            device: Device to move to, or a dtype; None leaves them where they are.
            dtype: Dtype for images and labels that are floats.
            non_blocking: Whether the host goes on while a copy from pinned memory is under way.

        Returns:
            The batches there.
        """
        return self._each(lambda batch: batch.to(device, dtype, non_blocking))

    def pin_memory(self) -> BatchOfViews:
        """The batches in pinned memory: what a DataLoader calls with pin_memory=True."""
        return self._each(Batch.pin_memory)

    def _each(self, function: Callable[[Batch], Batch]) -> BatchOfViews:
        return BatchOfViews(
            {
                name: list(map(function, batch)) if isinstance(batch, list) else function(batch)
                for name, batch in self.items()
            }
        )

    def __repr__(self) -> str:
        lines = "".join(f"  {name!r}: {batch!r},\n" for name, batch in self.items())
        return f"BatchOfViews(\n{lines})"


def _said(tensor: torch.Tensor | None) -> str:
    """Shape, dtype and device."""
    if tensor is None:
        return "None"
    dtype = str(tensor.dtype).removeprefix("torch.")
    return f"{tuple(tensor.shape)} {dtype} on {tensor.device}"


class Look(NamedTuple):
    """One look at the samples, decided: what becomes a `Batch`."""

    number: int  # in the order of the views
    name: str | None  # under which it stands among views; None: it is all that there is
    at: int | None  # its index under that name, where the name has several
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


def put(into: dict[str, Any], name: str, at: int | None, item: _Item) -> None:
    """Put an item under its name; at: its index there, None where the name has one only."""
    if at is None:
        into[name] = item
    else:
        into.setdefault(name, []).append(item)


def group_looks(looks: Sequence[Look]) -> tuple[Launch, ...]:
    """Launches, each of the looks that have one finish."""
    groups: dict[Finish, list[Look]] = {}
    for look in looks:
        groups.setdefault(look.plan.finish, []).append(look)
    return tuple(
        Launch(
            group[0].plan if len(group) == 1 else side_by_side([look.plan for look in group]),
            tuple(group),
        )
        for group in groups.values()
    )


def draw_launches(
    launches: Sequence[Launch],
    sources: Sources,
    *,
    executor: Executor | None = None,
    out: torch.Tensor | Callable[[Plan], torch.Tensor] | None = None,
) -> Batch | BatchOfViews:
    """The batch that the launches make.

    Args:
        launches: What there is to draw.
        sources: Images of the plans.
        executor: Name of the executor, or None for the fastest that fits.
        out: Tensor to write into, or a function of a launch's plan that gives one.
    """
    batches: list[tuple[Look, Batch]] = []
    for launch in launches:
        into = out(launch.plan) if callable(out) else out
        images = kernels.execute(
            launch.plan, sources, out=into, executor=executor, lowered=launch.lowered
        )
        counts = [len(look.plan) for look in launch.looks]
        parts = [images] if len(counts) == 1 else images.split(counts)
        for look, part in zip(launch.looks, parts, strict=True):
            batches.append((look, _finished(look, part, into)))
    if batches[0][0].name is None:
        return batches[0][1]
    views = BatchOfViews()
    for look, batch in sorted(batches, key=lambda pair: pair[0].number):
        assert look.name is not None
        put(views, look.name, look.at, batch)
    return views


def _finished(look: Look, images: torch.Tensor, out: torch.Tensor | None) -> Batch:
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


@dataclass(frozen=True, repr=False)
class PackedBatch:
    """A batch that is decided and not drawn: what `pack` collates and `draw` finishes. It can be pickled,
    if what a `Stage` holds can be.

    Args:
        sources: Images, in one buffer.
        launches: Plans to draw, with labels as they are mixed.
        executor: Name of the executor, or None for the fastest that fits.
        device: Device where `draw` draws by default; None is where the images are.

    Example:
        >>> decide = ae.pack(ae.RandomResizedCrop(32))
        >>> batch = decide([(torch.zeros(3, 40, 48, dtype=torch.uint8), 7, 0)])
        >>> batch.draw().images.shape
        torch.Size([1, 3, 32, 32])
    """

    sources: Sources
    launches: tuple[Launch, ...]
    executor: Executor | None = None
    device: torch.device | None = None

    def draw(
        self,
        device: torch.device | str | int | None = None,
        *,
        out: torch.Tensor | Callable[[Plan], torch.Tensor] | None = None,
    ) -> Batch | BatchOfViews:
        """Draw the batch that the engine makes of these samples, to the last bit.

        On a GPU nothing waits if the batch is in pinned memory: two copies and a launch are asked for.

        Args:
            device: Device to draw on; None is the batch's own.
            out: Tensor to write into, or a function of a plan that gives one.

        Returns:
            The batch; for Views a BatchOfViews.
        """
        place = self.device if device is None else torch.device(device)
        sources = self.sources if place is None else self.sources.to(place)
        return draw_launches(self.launches, sources, executor=self.executor, out=out)

    def pin_memory(self) -> PackedBatch:
        """The batch in pinned memory: what a DataLoader calls with pin_memory=True."""

        def pinned(launch: Launch) -> Launch:
            looks = tuple(
                look if look.labels is None else look._replace(labels=_pinned(look.labels))
                for look in launch.looks
            )
            return launch._replace(looks=looks)

        sources = self.sources.map(_pinned)
        launches = tuple(map(pinned, self.launches))
        return dataclasses.replace(self, sources=sources, launches=launches)

    def for_gpu(self) -> PackedBatch:
        """The same, with all that the gpu executor would otherwise form as it draws."""
        launches = tuple(launch._replace(lowered=lower(launch.plan)) for launch in self.launches)
        return dataclasses.replace(self, launches=launches)

    def __repr__(self) -> str:
        outputs = [f"{look.name or 'images'}: {look.plan.shape}" for look in self._looks()]
        dtype = str(self.sources.dtype).removeprefix("torch.")
        return (
            f"PackedBatch({len(self.sources)} images {dtype} on {self.sources.device} → "
            f"{', '.join(outputs)})"
        )

    def _looks(self) -> list[Look]:
        looks = [look for launch in self.launches for look in launch.looks]
        return sorted(looks, key=lambda look: look.number)
