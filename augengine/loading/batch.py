"""A batch: drawn (`Batch`, `BatchOfViews`), or decided in full and still to be drawn (`PackedBatch`)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, SupportsIndex, TypeVar, cast, overload

import torch
from torch.utils import _pytree as pytree

from .. import kernels
from ..aliases import Executor
from ..kernels import Sources
from ..kernels.allocate import memory_errors_for
from ..kernels.gpu.lower import Lowered, lower
from ..plan import Finish, Plan, side_by_side
from ..policy.ops import Stage

_Item = TypeVar("_Item")

# What the elements of a batch are called, unless samples name them otherwise.
NAMES = ("images", "labels")


class _Fields:
    """A base of what is read by names: `keys` and `self[name]` are its own."""

    def keys(self) -> tuple[str, ...]:
        raise NotImplementedError

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def values(self) -> tuple[object, ...]:
        """What stands under `keys`, in their order."""
        return tuple(self[key] for key in self.keys())

    def items(self) -> tuple[tuple[str, object], ...]:
        """Pairs of `keys` and `values`."""
        return tuple((key, self[key]) for key in self.keys())

    def get(self, key: str, default: object = None) -> object:
        """Look a field up by its name, as a dict's `get` does.

        Args:
            key: Name of the field.
            default: Object to return where no field has that name.

        Returns:
            The field, or the default.
        """
        return self[key] if key in self.keys() else default


class _Immutable:
    """A base whose attributes stay as they are, so that who shares a batch may rely on it."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"{type(self).__name__}: got a new value for {name!r}, expected none, since a batch stays as it "
            f"is. Make another one: batch._replace({name}=…)."
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{type(self).__name__}: got del of {name!r}, expected none, since a batch stays as it is. "
            "Make another one: batch._replace(…)."
        )

    # Tensors compare element by element, so two batches are equal only where they are one.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return object.__hash__(self)


class Batch(_Immutable, _Fields, tuple[torch.Tensor, torch.Tensor | None]):
    """Images that are drawn, their labels, and the plan that they follow.

    It is a tuple of two, so `images, labels = batch`. It is read by name too: `batch["images"]`,
    `batch["labels"]`, and each field of `extra`; `model(**batch)` passes all of them, labels only where
    there are some. To torch's pytrees it is a node of images, labels and extra.

    Code that takes a tuple apart and builds another of its elements makes a Batch without plan and
    extra, whose `plan` raises an AttributeError that says so. accelerate's `concatenate` does that, and a
    DataLoader with batch_size=None, unless it is given a collate_fn that returns what it gets. A
    pytree's map keeps both, but for a plan of another number of outputs than there are images now.

    Args:
        images: Tensor (N, C, H, W); or an iterator, list or tuple of images and labels, as tuple takes.
        labels: Soft labels [N, num_classes], or the labels that came where nothing mixes, or None.
        plan: Plan of the N outputs; None only where a batch is rebuilt of its elements.
        extra: Further fields of the samples by name, collated; None is none.
        names: Two names for images and labels that differ, under which `keys` lists them.

    Raises:
        ValueError: The elements are not two, or two fields have one name.

    Example:
        >>> image = torch.zeros(1, 3, 40, 48, dtype=torch.uint8)
        >>> batch = ae.Engine(ae.CenterCrop(32), dtype=torch.uint8)(image, [7], ids=[0])
        >>> batch
        Batch(images=(1, 3, 32, 32) uint8 on cpu, labels=(1,) int64 on cpu,
          Plan(seed=0, epoch=0, policy=ecb82a1de2f2fbe0))
        >>> images, labels = batch
        >>> images is batch.images is batch[0] is batch["images"], list(batch.keys())
        (True, ['images', 'labels'])
    """

    _fields = NAMES  # Tools that move or pin named tuples then rebuild this one by its elements.
    _plan: Plan | None
    _extra: dict[str, Any]
    _names: tuple[str, str]

    def __new__(
        cls,
        images: torch.Tensor | Iterable[torch.Tensor | None],
        labels: torch.Tensor | None = None,
        plan: Plan | None = None,
        extra: Mapping[str, object] | None = None,
        names: tuple[str, str] = NAMES,
    ) -> Batch:
        if labels is None and isinstance(images, (Iterator, list, tuple)):
            elements = tuple(images)
            if len(elements) != 2:
                raise ValueError(
                    f"Batch: got {len(elements)} elements, expected images and labels. Pass both, labels "
                    "None where there are none."
                )
            images, labels = elements
        return cls._of((images, labels), plan, extra or {}, names)

    @classmethod
    def _of(
        cls,
        elements: Iterable[Any],
        plan: Plan | None,
        extra: Mapping[str, object],
        names: tuple[str, str],
    ) -> Batch:
        """A batch of two elements of any kind, as a pytree's map may make them."""
        image, label = names
        if image == label or image in extra or label in extra:
            raise ValueError(
                f"Batch: got fields {', '.join(map(repr, (image, label, *extra)))}, expected a name for "
                "each. Rename one of them."
            )
        # A tuple of them first: torch.compile makes an empty batch of a generator.
        batch = tuple.__new__(cls, tuple(elements))
        vars(batch).update(_plan=plan, _extra=dict(extra), _names=(image, label))
        return batch

    @property
    def images(self) -> torch.Tensor:
        """Tensor (N, C, H, W)."""
        return self[0]

    @property
    def labels(self) -> torch.Tensor | None:
        """Soft labels [N, num_classes], or the labels that came where nothing mixes, or None."""
        return self[1]

    @property
    def plan(self) -> Plan:
        """Plan of the N outputs.

        Raises:
            AttributeError: The batch was rebuilt of its images and labels, which have no plan.
        """
        if self._plan is None:
            raise AttributeError(
                "Batch: got no plan, since this batch was rebuilt of its images and labels, expected one "
                "as an engine or a collate_fn gives it. Read batch.plan before that; a DataLoader with "
                "batch_size=None needs a collate_fn that returns what it gets."
            )
        return self._plan

    @property
    def extra(self) -> Mapping[str, Any]:
        """Further fields of the samples by name, collated; it can only be read."""
        return MappingProxyType(self._extra)

    @property
    def names(self) -> tuple[str, str]:
        """Names of images and labels, as `keys` lists them."""
        return self._names

    @overload
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | SupportsIndex | slice) -> Any:
        if not isinstance(key, str):
            return tuple.__getitem__(self, key)
        if key in self._names:
            return self[self._names.index(key)]
        if key in self._extra:
            return self._extra[key]
        if key in NAMES:
            return self[NAMES.index(key)]
        raise KeyError(
            f"Batch: got {key!r}, expected one of {', '.join(map(repr, self.keys()))}. Further fields come "
            "from samples that are dicts; a batch that was rebuilt of its images and labels has none."
        )

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str):
            return key in self.keys()
        return any(key is element for element in self)

    def keys(self) -> tuple[str, ...]:
        """Names of what the batch holds: images, labels where there are some, and extra."""
        image, label = self._names
        return (image, *([] if self.labels is None else [label]), *self._extra)

    def _asdict(self) -> dict[str, torch.Tensor | None]:
        return {"images": self.images, "labels": self.labels}

    def _replace(self, **changes: Any) -> Batch:
        """Another batch, in which some of images, labels, plan, extra and names are changed."""
        known = ("images", "labels", "plan", "extra", "names")
        if unknown := [name for name in changes if name not in known]:
            raise TypeError(
                f"Batch._replace: got {', '.join(unknown)}, expected some of {', '.join(known)}. Leave "
                "the others out."
            )
        elements = (changes.get("images", self.images), changes.get("labels", self.labels))
        extra = changes.get("extra", self._extra)
        plan, names = changes.get("plan", self._plan), changes.get("names", self._names)
        return type(self)._of(elements, plan, {} if extra is None else extra, names)

    def _each_tensor(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        elements = (map_tensors(function, element) for element in self)
        return type(self)._of(elements, self._plan, map_fields(function, self._extra), self._names)

    def to(
        self,
        device: torch.device | torch.dtype | str | int | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Batch:
        """Move images, labels and the tensors in extra, as `Tensor.to` does.

        Args:
            device: Device to move to, or a dtype; None leaves them where they are.
            dtype: Dtype for those tensors that are floats.
            non_blocking: Whether the host goes on while a copy from pinned memory is under way.

        Returns:
            The batch there.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            to_dtype = dtype if tensor.is_floating_point() else None
            return tensor.to(device=device, dtype=to_dtype, non_blocking=non_blocking)

        return self._each_tensor(moved)

    def pin_memory(self) -> Batch:
        """The batch in pinned memory: what a DataLoader calls with pin_memory=True."""
        return self._each_tensor(_pinned)

    def __reduce__(self) -> tuple:
        return type(self)._of, (tuple(self), self._plan, self._extra, self._names)

    def __repr__(self) -> str:
        plan = "no plan" if self._plan is None else repr(self._plan).partition("\n")[0]
        extra = f" extra: {', '.join(self._extra)}," if self._extra else ""
        images, labels = map(_said, self)
        return f"Batch(images={images}, labels={labels},{extra}\n  {plan})"


def map_tensors(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """A value after `function` of each tensor in it, in lists, tuples and dicts too."""

    def mapped(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            return function(leaf)
        if isinstance(leaf, MutableMapping):  # of a class that pytrees do not know
            clone = copy.copy(leaf)
            clone.update({key: map_tensors(function, part) for key, part in leaf.items()})
            return clone
        return leaf

    return pytree.tree_map(mapped, value)


def tensors_of(batch: Batch | BatchOfViews | PackedBatch) -> list[torch.Tensor]:
    """All tensors of a batch, those in extra too."""
    return [leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, torch.Tensor)]


def map_fields(
    function: Callable[[torch.Tensor], torch.Tensor], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields by name, after `function` of each tensor in them."""
    return {name: map_tensors(function, value) for name, value in fields.items()}


# A value is a Batch, or a list of them; a union would make users cast what they know.
class BatchOfViews(dict[str, Any]):
    """What an engine makes of `Views`: {name: Batch, or a list of them where a name has several}.

    To torch's pytrees it is a node of its batches.

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


def _said(tensor: object) -> str:
    """Shape, dtype and device."""
    if not isinstance(tensor, torch.Tensor):  # after a pytree's map it may be anything
        return "None" if tensor is None else type(tensor).__name__
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
    extra: Mapping[str, object] | None = None,
    names: tuple[str, str] = NAMES,
) -> Batch | BatchOfViews:
    """The batch that the launches make.

    Args:
        launches: What there is to draw.
        sources: Images of the plans.
        executor: Name of the executor, or None for the fastest that fits.
        out: Tensor to write into, or a function of a launch's plan that gives one.
        extra: Further fields of the samples by name, collated; every batch has them.
        names: Names of images and labels in the batch.
    """
    fields = map_fields(_towards(sources.device), extra or {})
    batches: list[tuple[Look, Batch]] = []
    for launch in launches:
        into = out(launch.plan) if callable(out) else out
        images = kernels.execute(
            launch.plan, sources, out=into, executor=executor, lowered=launch.lowered
        )
        counts = [len(look.plan) for look in launch.looks]
        parts = [images] if len(counts) == 1 else images.split(counts)
        for look, part in zip(launch.looks, parts, strict=True):
            batch = _finished(look, part, into)
            batches.append((look, batch._replace(extra=fields, names=names)))
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
    labels = None if look.labels is None else _towards(images.device)(look.labels)
    return Batch(images, labels, look.plan)


def _towards(device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function that moves a tensor there; towards the host nothing may be read before it has come."""
    return lambda tensor: tensor.to(device, non_blocking=device.type == "cuda")


class PackedBatch(_Immutable, _Fields):
    """A batch that is decided and not drawn: what `pack` collates and `draw` finishes. It can be pickled,
    if what a `Stage` holds can be.

    `images, labels = packed` draws it, and so does reading it by number or by name; of Views the names
    are those of the views. What was drawn so is kept with the batch, so that it is drawn once; `draw`
    keeps nothing. To torch's pytrees it is a node of source images, labels and extra.

    Args:
        sources: Images, in one buffer.
        launches: Plans to draw, with labels as they are mixed.
        executor: Name of the executor, or None for the fastest that fits.
        device: Device where `draw` draws by default; None is where the images are.
        extra: Further fields of the samples by name, collated, which `draw` hands to the batch.
        names: Two names for images and labels that differ, which `draw` hands to the batch.

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

    def __init__(
        self,
        sources: Sources,
        launches: tuple[Launch, ...],
        executor: Executor | None = None,
        device: torch.device | None = None,
        extra: Mapping[str, object] | None = None,
        names: tuple[str, str] = NAMES,
    ) -> None:
        vars(self).update(
            sources=sources,
            launches=launches,
            executor=executor,
            device=device,
            extra=MappingProxyType(dict(extra or {})),
            names=names,
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
        )

    def to(
        self,
        device: torch.device | torch.dtype | str | int | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> PackedBatch:
        """Move the source images, labels and the tensors in extra, and draw there from now on.

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
        return self._each_tensor(_pinned)

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
            return (image, *([] if looks[0].labels is None else [label]), *self.extra)
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

    def _each_own(self, function: Callable[[torch.Tensor], Any]) -> PackedBatch:
        """After `function` of each tensor of sources and labels."""
        sources = self.sources.map(function)

        def each_of(launch: Launch) -> Launch:
            looks = tuple(
                look if look.labels is None else look._replace(labels=function(look.labels))
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


_ARGUMENTS = ("sources", "launches", "executor", "device", "extra", "names")


# Pytrees. What is not a tensor travels as the context. Plans are no part of a structure's shape: two
# batches of one loader have one structure, so that `tree_map` takes both.


@dataclass(frozen=True)
class _BatchContext:
    names: tuple[str, str]
    extra: tuple[str, ...]
    plan: Plan | None = field(compare=False)


@dataclass(frozen=True)
class _PackedContext:
    extra: tuple[str, ...]
    count: int  # of the tensors before extra
    packed: PackedBatch = field(compare=False)  # with a number in place of each tensor


def _flatten_batch(batch: Batch) -> tuple[list[Any], _BatchContext]:
    extra = batch._extra
    return [*batch, *extra.values()], _BatchContext(batch._names, tuple(extra), batch._plan)


def _batch_with_keys(batch: Batch) -> tuple[list[tuple[Any, Any]], _BatchContext]:
    leaves, context = _flatten_batch(batch)
    names = (*context.names, *context.extra)
    return [
        (pytree.MappingKey(name), leaf) for name, leaf in zip(names, leaves, strict=True)
    ], context


def _unflatten_batch(leaves: Iterable[Any], context: _BatchContext) -> Batch:
    images, labels, *extra = leaves
    plan = context.plan
    if plan is not None and isinstance(images, torch.Tensor) and images.shape[:1] != (len(plan),):
        plan = None  # such as of two batches that were joined, or of a part of one
    return Batch._of(
        (images, labels), plan, dict(zip(context.extra, extra, strict=True)), context.names
    )


def _flatten_views(views: BatchOfViews) -> tuple[list[Any], tuple[str, ...]]:
    return list(views.values()), tuple(views)


def _views_with_keys(views: BatchOfViews) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
    return [(pytree.MappingKey(name), batch) for name, batch in views.items()], tuple(views)


def _unflatten_views(leaves: Iterable[Any], names: tuple[str, ...]) -> BatchOfViews:
    return BatchOfViews(zip(names, leaves, strict=True))


def _flatten_packed(packed: PackedBatch) -> tuple[list[Any], _PackedContext]:
    leaves: list[torch.Tensor] = []

    def number(tensor: torch.Tensor) -> int:
        leaves.append(tensor)
        return len(leaves) - 1

    numbered = packed._each_own(number)._replace(extra=None)
    context = _PackedContext(tuple(packed.extra), len(leaves), numbered)
    return [*leaves, *packed.extra.values()], context


def _packed_with_keys(packed: PackedBatch) -> tuple[list[tuple[Any, Any]], _PackedContext]:
    leaves, context = _flatten_packed(packed)
    keys = [*map(pytree.SequenceKey, range(context.count)), *map(pytree.MappingKey, packed.extra)]
    return list(zip(keys, leaves, strict=True)), context


def _unflatten_packed(leaves: Iterable[Any], context: _PackedContext) -> PackedBatch:
    every = list(leaves)
    packed = context.packed._each_own(lambda number: every[cast(int, number)])
    return packed._replace(extra=dict(zip(context.extra, every[context.count :], strict=True)))


for _node, _flatten, _unflatten, _with_keys in (
    (Batch, _flatten_batch, _unflatten_batch, _batch_with_keys),
    (BatchOfViews, _flatten_views, _unflatten_views, _views_with_keys),
    (PackedBatch, _flatten_packed, _unflatten_packed, _packed_with_keys),
):
    pytree.register_pytree_node(_node, _flatten, _unflatten, flatten_with_keys_fn=_with_keys)
