"""A drawn batch: `Batch`, and `BatchOfViews` of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, SupportsIndex, overload

import torch
from torch.utils import _pytree as pytree

from ..plan import Plan, html
from ..targets.fields import NAMES as FIELDS
from ..targets.fields import tv_name
from .tensors import map_fields, map_tensors, pinned
from .travel import bundled, unbundled

if TYPE_CHECKING:
    from .packed import PackedBatch

# What the elements of a batch are called, unless samples name them otherwise.
NAMES = ("images", "labels")
TARGETS = "targets"


class Form(NamedTuple):
    """What a batch's parts are called, and what its second element is."""

    names: tuple[str, str] = NAMES  # of images and labels
    target: str | None = (
        TARGETS  # None: fields of targets stand by themselves, under their own names
    )
    second: Literal["labels", "targets"] = "labels"


class Fields:
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


class Immutable:
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


class Batch(Immutable, Fields, tuple[torch.Tensor, Any | None]):
    """Images that are drawn, their labels or targets, and the plan that they follow.

    It is a tuple of two, so `images, labels = batch`; where there are targets and no labels,
    `images, targets = batch`. It is read by name too: `batch["images"]`, `batch["labels"]`,
    `batch["targets"]`, and each field of `extra`; `model(**batch)` passes all of them, labels and targets
    only where there are some. To torch's pytrees it is a node of images, labels, targets and extra.

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
        targets: Targets of the N outputs: a list of dicts, boxes or keypoints, padded targets as one dict,
            or masks as one tensor [N, H, W]; None where there are none.
        target: Name of the targets, under which `keys` lists them. None lists the fields of each target by
            their own names instead.

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
    _form: Form
    _targets: Any  # where labels are the second element

    def __new__(
        cls,
        images: torch.Tensor | Iterable[torch.Tensor | None],
        labels: torch.Tensor | None = None,
        plan: Plan | None = None,
        extra: Mapping[str, object] | None = None,
        names: tuple[str, str] = NAMES,
        targets: object = None,
        target: str | None = TARGETS,
    ) -> Batch:
        if labels is None and isinstance(images, (Iterator, list, tuple)):
            elements = tuple(images)
            if len(elements) != 2:
                raise ValueError(
                    f"Batch: got {len(elements)} elements, expected images and labels. Pass both, labels "
                    "None where there are none."
                )
            images, labels = elements
        if targets is None and isinstance(labels, (list, dict)):  # of a batch that was rebuilt
            first = labels if isinstance(labels, dict) else next(iter(labels), None)
            if isinstance(first, Mapping) or tv_name(first):
                labels, targets = None, labels
        return cls._made(images, labels, targets, plan, extra or {}, Form(names, target))

    @classmethod
    def _made(
        cls,
        images: Any,
        labels: Any,
        targets: Any,
        plan: Plan | None,
        extra: Mapping[str, object],
        form: Form,
    ) -> Batch:
        """A batch whose second element are the labels, or, where there are none, the targets."""
        if labels is None and targets is not None:
            return cls._of((images, targets), plan, extra, form._replace(second="targets"))
        return cls._of((images, labels), plan, extra, form._replace(second="labels"), targets)

    @classmethod
    def _of(
        cls,
        elements: Iterable[Any],
        plan: Plan | None,
        extra: Mapping[str, object],
        form: Form,
        targets: Any = None,
    ) -> Batch:
        """A batch of two elements of any kind, as a pytree's map may make them."""
        # A tuple of them first: torch.compile makes an empty batch of a generator.
        batch = tuple.__new__(cls, tuple(elements))
        vars(batch).update(_plan=plan, _extra=dict(extra), _form=form, _targets=targets)
        image, label = form.names
        names = [image, label, *batch._target_names(), *extra]
        if batch.labels is None and form.target is None and batch.targets is not None:
            names.remove(label)
        if len(set(names)) < len(names):
            raise ValueError(
                f"Batch: got fields {', '.join(map(repr, names))}, expected a name for each. Rename one "
                "of them."
            )
        return batch

    @property
    def images(self) -> torch.Tensor:
        """Tensor (N, C, H, W)."""
        return self[0]

    @property
    def labels(self) -> torch.Tensor | None:
        """Soft labels [N, num_classes], or the labels that came where nothing mixes, or None."""
        return self[1] if self._form.second == "labels" else None

    @property
    def targets(self) -> Any:
        """Targets of the N outputs: a list of what `follow` gives; padded targets as one dict of tensors;
        masks as one tensor [N, H, W]; or None."""
        return self[1] if self._form.second == "targets" else self._targets

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
        return self._form.names

    @overload
    def __getitem__(self, key: str) -> Any: ...
    @overload
    def __getitem__(self, key: SupportsIndex) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | SupportsIndex | slice) -> Any:
        if not isinstance(key, str):
            return tuple.__getitem__(self, key)
        image, label = self._form.names
        if key == image:
            return self[0]
        if key == label and self.labels is not None:
            return self.labels
        if key in self._target_names():
            return self.targets if self._form.target else field_of(self.targets, key)
        if key in self._extra:
            return self._extra[key]
        if key == label or key in (*NAMES, TARGETS):
            return {NAMES[0]: self[0], TARGETS: self.targets}.get(key, self.labels)
        raise KeyError(
            f"Batch: got {key!r}, expected one of {', '.join(map(repr, self.keys()))}. Further fields come "
            "from samples that are dicts; a batch that was rebuilt of its images and labels has none."
        )

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str):
            return key in self.keys()
        return any(key is element for element in self)

    def keys(self) -> tuple[str, ...]:
        """Names of what the batch holds: images, labels and targets where there are some, and extra."""
        image, label = self._form.names
        labels = () if self.labels is None else (label,)
        return (image, *labels, *self._target_names(), *self._extra)

    def _target_names(self) -> tuple[str, ...]:
        return target_names(self.targets, self._form.target)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip((NAMES[0], self._form.second), self, strict=True))

    def _replace(self, **changes: Any) -> Batch:
        """Another batch, in which some of images, labels, targets, plan, extra and names are changed."""
        known = ("images", "labels", "targets", "plan", "extra", "names")
        if unknown := [name for name in changes if name not in known]:
            raise TypeError(
                f"Batch._replace: got {', '.join(unknown)}, expected some of {', '.join(known)}. Leave "
                "the others out."
            )
        extra = changes.get("extra", self._extra)
        return type(self)._made(
            changes.get("images", self.images),
            changes.get("labels", self.labels),
            changes.get("targets", self.targets),
            changes.get("plan", self._plan),
            {} if extra is None else extra,
            self._form._replace(names=changes.get("names", self._form.names)),
        )

    def _each_tensor(
        self,
        function: Callable[[torch.Tensor], torch.Tensor],
        of_targets: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Batch:
        """After `function` of each tensor; of_targets: another function for those in targets."""
        for_targets = function if of_targets is None else of_targets
        for_second = function if self._form.second == "labels" else for_targets
        return type(self)._of(
            (map_tensors(function, self[0]), map_tensors(for_second, self[1])),
            self._plan,
            map_fields(function, self._extra),
            self._form,
            map_tensors(for_targets, self._targets),
        )

    def to(
        self,
        device: torch.device | torch.dtype | str | int | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Batch:
        """Move images, labels, targets and the tensors in extra, as `Tensor.to` does.

        Args:
            device: Device to move to, or a dtype; None leaves them where they are.
            dtype: Dtype for those tensors that are floats. Those in targets keep theirs, since the half
                precision of a box is pixels.
            non_blocking: Whether the host goes on while a copy from pinned memory is under way.

        Returns:
            The batch there.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            to_dtype = dtype if tensor.is_floating_point() else None
            return tensor.to(device=device, dtype=to_dtype, non_blocking=non_blocking)

        return self._each_tensor(
            moved, lambda tensor: tensor.to(device=device, non_blocking=non_blocking)
        )

    def pin_memory(self) -> Batch:
        """The batch in pinned memory: what a DataLoader calls with pin_memory=True."""
        return self._each_tensor(pinned)

    def __reduce__(self) -> tuple:
        second = bundled(self[1]) if self._form.second == "targets" else self[1]
        parts = (self[0], second), self._plan, self._extra, self._form, bundled(self._targets)
        return type(self)._again, parts

    @classmethod
    def _again(
        cls,
        elements: tuple[Any, Any],
        plan: Plan | None,
        extra: Mapping[str, object],
        form: Form,
        targets: Any,
    ) -> Batch:
        """The batch that was pickled."""
        return cls._of(map(unbundled, elements), plan, extra, form, unbundled(targets))

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the first images, with labels, targets and the plan's words, and the text."""
        return html.html_of(self)

    def __repr__(self) -> str:
        plan = "no plan" if self._plan is None else repr(self._plan).partition("\n")[0]
        extra = f" extra: {', '.join(self._extra)}," if self._extra else ""
        targets = "" if self.targets is None else f" targets={_said(self.targets)},"
        labels = "" if self.labels is None and targets else f" labels={_said(self.labels)},"
        return f"Batch(images={_said(self[0])},{labels}{targets}{extra}\n  {plan})"


def target_names(targets: Any, name: str | None) -> tuple[str, ...]:
    """Under which names targets stand in a batch: their own, or those of their fields."""
    if targets is None:
        return ()
    if name is not None:
        return (name,)
    one = targets if isinstance(targets, Mapping) else next(iter(targets), None)
    return tuple(key for key in one if key != "dropped") if isinstance(one, Mapping) else ()


def field_of(targets: Any, name: str) -> Any:
    """A field of all targets: a list, or a tensor where it is one picture for each."""
    if isinstance(targets, Mapping):
        return targets[name]
    values = [target[name] for target in targets]
    if FIELDS.get(name) == "semantic" and all(hasattr(value, "shape") for value in values):
        return torch.stack([torch.as_tensor(value) for value in values])
    return values


def tensors_of(batch: Batch | BatchOfViews | PackedBatch) -> list[torch.Tensor]:
    """All tensors of a batch, those in extra too."""
    return [leaf for leaf in pytree.tree_leaves(batch) if isinstance(leaf, torch.Tensor)]


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

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the first images of each look, and the text."""
        return html.html_of(self)

    def __repr__(self) -> str:
        lines = "".join(f"  {name!r}: {batch!r},\n" for name, batch in self.items())
        return f"BatchOfViews(\n{lines})"


def _said(value: object) -> str:
    """Shape, dtype and device; of several their number and names."""
    if isinstance(value, list):
        names = f" of {', '.join(value[0])}" if value and isinstance(value[0], dict) else ""
        return f"[{len(value)}{names}]"
    if not isinstance(value, torch.Tensor):  # after a pytree's map it may be anything
        return "None" if value is None else type(value).__name__
    dtype = str(value.dtype).removeprefix("torch.")
    return f"{tuple(value.shape)} {dtype} on {value.device}"


# Pytrees. What is not a tensor travels as the context. Plans are no part of a structure's shape: two
# batches of one loader have one structure, so that `tree_map` takes both.


@dataclass(frozen=True)
class _BatchContext:
    form: Form
    targets: bool  # whether there are some besides the second element
    extra: tuple[str, ...]
    plan: Plan | None = field(compare=False)


def _flatten_batch(batch: Batch) -> tuple[list[Any], _BatchContext]:
    extra, targets = batch._extra, batch._targets
    context = _BatchContext(batch._form, targets is not None, tuple(extra), batch._plan)
    return [*batch, *([targets] if context.targets else []), *extra.values()], context


def _batch_with_keys(batch: Batch) -> tuple[list[tuple[Any, Any]], _BatchContext]:
    leaves, context = _flatten_batch(batch)
    (image, label), target = context.form.names, context.form.target or TARGETS
    second = label if context.form.second == "labels" else target
    names = (image, second, *([target] if context.targets else []), *context.extra)
    return [
        (pytree.MappingKey(name), leaf) for name, leaf in zip(names, leaves, strict=True)
    ], context


def _unflatten_batch(leaves: Iterable[Any], context: _BatchContext) -> Batch:
    images, second, *extra = leaves
    targets = extra.pop(0) if context.targets else None
    plan = context.plan
    if plan is not None and isinstance(images, torch.Tensor) and images.shape[:1] != (len(plan),):
        plan = None  # such as of two batches that were joined, or of a part of one
    fields = dict(zip(context.extra, extra, strict=True))
    return Batch._of((images, second), plan, fields, context.form, targets)


def _flatten_views(views: BatchOfViews) -> tuple[list[Any], tuple[str, ...]]:
    return list(views.values()), tuple(views)


def _views_with_keys(views: BatchOfViews) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
    return [(pytree.MappingKey(name), batch) for name, batch in views.items()], tuple(views)


def _unflatten_views(leaves: Iterable[Any], names: tuple[str, ...]) -> BatchOfViews:
    return BatchOfViews(zip(names, leaves, strict=True))


for _node, _flatten, _unflatten, _with_keys in (
    (Batch, _flatten_batch, _unflatten_batch, _batch_with_keys),
    (BatchOfViews, _flatten_views, _unflatten_views, _views_with_keys),
):
    pytree.register_pytree_node(_node, _flatten, _unflatten, flatten_with_keys_fn=_with_keys)
