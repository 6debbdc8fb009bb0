"""A batch that is decided in full and still to be drawn: `PackedBatch`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, SupportsIndex, cast, overload

import torch
from torch.utils import _pytree as pytree

from ..aliases import Executor
from ..kernels import Sources
from ..kernels.allocate import memory_errors_for
from ..kernels.gpu.lower import lower
from ..plan import Plan
from .batch import (
    NAMES,
    TARGETS,
    Batch,
    BatchOfViews,
    Fields,
    Immutable,
    target_names,
)
from .launches import Launch, Look, draw_launches
from .tensors import map_fields, map_tensors, pinned


class PackedBatch(Immutable, Fields):
    """A batch that is decided and not drawn: what `pack` collates and `draw` finishes. It can be pickled,
    if what a `Stage` holds can be.

    `images, labels = packed` draws it, and so does reading it by number or by name; of Views the names
    are those of the views. What was drawn so is kept with the batch, so that it is drawn once; `draw`
    keeps nothing. To torch's pytrees it is a node of source images, labels, targets and extra.

    Args:
        sources: Images, in one buffer.
        launches: Plans to draw, with labels as they are mixed, and targets where they lie in the outputs.
        executor: Name of the executor, or None for the fastest that fits.
        device: Device where `draw` draws by default; None is where the images are.
        extra: Further fields of the samples by name, collated, which `draw` hands to the batch.
        names: Two names for images and labels that differ, which `draw` hands to the batch.
        target: Name of the targets, which `draw` hands to the batch; None lists their fields instead.

    Example:
        >>> decide = ae.pack(ae.RandomResizedCrop(32))
        >>> batch = decide([(torch.zeros(3, 40, 48, dtype=torch.uint8), 7, 0)])
        >>> batch.draw().images.shape
        torch.Size([1, 3, 32, 32])
        >>> images, labels = batch
        >>> labels
        tensor([7])
    """

    sources: Sources
    launches: tuple[Launch, ...]
    executor: Executor | None
    device: torch.device | None
    extra: Mapping[str, Any]
    names: tuple[str, str]
    target: str | None

    def __init__(
        self,
        sources: Sources,
        launches: tuple[Launch, ...],
        executor: Executor | None = None,
        device: torch.device | None = None,
        extra: Mapping[str, object] | None = None,
        names: tuple[str, str] = NAMES,
        target: str | None = TARGETS,
    ) -> None:
        vars(self).update(
            sources=sources,
            launches=launches,
            executor=executor,
            device=device,
            extra=MappingProxyType(dict(extra or {})),
            names=names,
            target=target,
        )

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
        return draw_launches(
            self.launches,
            sources,
            executor=self.executor,
            out=out,
            extra=self.extra,
            names=self.names,
            target=self.target,
        )

    def to(
        self,
        device: torch.device | torch.dtype | str | int | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> PackedBatch:
        """Move the source images, labels, targets and the tensors in extra, and draw there from now on.

        Args:
            device: Device to move to; None leaves all as it is.
            dtype: None. Another is refused, since there are no images yet that could have it.
            non_blocking: Whether the host goes on while a copy from pinned memory is under way.

        Returns:
            The batch there, not drawn.

        Raises:
            TypeError: A dtype came.
        """
        if isinstance(device, torch.dtype) or dtype is not None:
            raise TypeError(
                f"PackedBatch.to: got {device if dtype is None else dtype}, expected a device only, since "
                "nothing is drawn yet. Move what is drawn: packed.draw().to(dtype), or give the dtype to "
                "ae.pack."
            )
        if device is None:
            return self
        place = torch.device(device)
        with memory_errors_for("the source images", self.sources.nbytes, place):
            moved = self._each_tensor(lambda tensor: tensor.to(place, non_blocking=non_blocking))
        return moved._replace(device=place)

    def pin_memory(self) -> PackedBatch:
        """The batch in pinned memory: what a DataLoader calls with pin_memory=True."""
        return self._each_tensor(pinned)

    def for_gpu(self) -> PackedBatch:
        """The same, with all that the gpu executor would otherwise form as it draws."""
        launches = tuple(launch._replace(lowered=lower(launch.plan)) for launch in self.launches)
        return self._replace(launches=launches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._drawn())

    def __len__(self) -> int:
        looks = self._looks()
        return len(NAMES) if looks[0].name is None else len(self.keys())

    @overload
    def __getitem__(self, key: str | SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | SupportsIndex | slice) -> Any:
        return self._drawn()[key]  # type: ignore[index]

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def keys(self) -> tuple[str, ...]:
        """Names of what the drawn batch holds; nothing is drawn for them."""
        looks = self._looks()
        if looks[0].name is None:
            image, label = self.names
            labels = () if looks[0].labels is None else (label,)
            return (image, *labels, *target_names(looks[0].targets, self.target), *self.extra)
        return tuple(dict.fromkeys(cast(str, look.name) for look in looks))

    def _drawn(self) -> Batch | BatchOfViews:
        """The drawn batch, drawn at the first call."""
        attributes = vars(self)
        if "_kept" not in attributes:
            attributes["_kept"] = self.draw()
        return attributes["_kept"]

    def _replace(self, **changes: Any) -> PackedBatch:
        """Another batch, in which some of the arguments are changed."""
        return type(self)(**{name: vars(self)[name] for name in _ARGUMENTS} | changes)

    def _each_own(self, function: Callable[[Any], Any], kind: type = torch.Tensor) -> PackedBatch:
        """After `function` of each tensor of sources, labels and targets. kind: what stands for one."""
        sources = self.sources.map(function)

        def each_of(launch: Launch) -> Launch:
            looks = tuple(
                look._replace(
                    labels=None if look.labels is None else function(look.labels),
                    targets=map_tensors(function, look.targets, kind),
                )
                for look in launch.looks
            )
            return launch._replace(looks=looks)

        return self._replace(sources=sources, launches=tuple(map(each_of, self.launches)))

    def _each_tensor(self, function: Callable[[torch.Tensor], torch.Tensor]) -> PackedBatch:
        return self._each_own(function)._replace(extra=map_fields(function, self.extra))

    def __reduce__(self) -> tuple:
        arguments = {name: vars(self)[name] for name in _ARGUMENTS}
        arguments["extra"] = dict(self.extra)
        return type(self), tuple(arguments.values())

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


_ARGUMENTS = ("sources", "launches", "executor", "device", "extra", "names", "target")


class _Number(int):
    """Which tensor stood here: no number that targets hold."""


@dataclass(frozen=True)
class _PackedContext:
    extra: tuple[str, ...]
    count: int  # of the tensors before extra
    packed: PackedBatch = field(compare=False)  # with a number in place of each tensor


def _flatten_packed(packed: PackedBatch) -> tuple[list[Any], _PackedContext]:
    leaves: list[torch.Tensor] = []

    def number(tensor: torch.Tensor) -> _Number:
        leaves.append(tensor)
        return _Number(len(leaves) - 1)

    numbered = packed._each_own(number)._replace(extra=None)
    context = _PackedContext(tuple(packed.extra), len(leaves), numbered)
    return [*leaves, *packed.extra.values()], context


def _packed_with_keys(packed: PackedBatch) -> tuple[list[tuple[Any, Any]], _PackedContext]:
    leaves, context = _flatten_packed(packed)
    keys = [*map(pytree.SequenceKey, range(context.count)), *map(pytree.MappingKey, packed.extra)]
    return list(zip(keys, leaves, strict=True)), context


def _unflatten_packed(leaves: Iterable[Any], context: _PackedContext) -> PackedBatch:
    every = list(leaves)
    packed = context.packed._each_own(lambda number: every[number], _Number)
    return packed._replace(extra=dict(zip(context.extra, every[context.count :], strict=True)))


pytree.register_pytree_node(
    PackedBatch, _flatten_packed, _unflatten_packed, flatten_with_keys_fn=_packed_with_keys
)
