"""What there is to draw for a batch, decided, and the batch that is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch

from .. import kernels
from ..aliases import Executor
from ..kernels import EncodedSources, Sources
from ..kernels.gpu.lower import Lowered
from ..plan import Finish, Plan, side_by_side
from ..policy.ops.unfused import Unfused, run_all
from .batch import NAMES, TARGETS, Batch, BatchOfViews, Form
from .tensors import map_fields, map_tensors
from .travel import bundled, unbundled

_Item = TypeVar("_Item")


class Look(NamedTuple):
    """One look at the samples, decided: what becomes a `Batch`."""

    number: int  # in the order of the views
    name: str | None  # under which it stands among views; None: it is all that there is
    at: int | None  # its index under that name, where the name has several
    plan: Plan
    labels: torch.Tensor | None  # as they are in the batch
    after: tuple[Unfused, ...]  # applied to the drawn images, unfused
    targets: Any = None  # as they are in the batch

    def __reduce__(self) -> tuple:
        return _look_again, (*self[:-1], bundled(self.targets))


def _look_again(*parts: Any) -> Look:
    """The look that was pickled."""
    return Look._make((*parts[:-1], unbundled(parts[-1])))


class Launch(NamedTuple):
    """Looks that are drawn together, one after the other."""

    plan: Plan  # of all their outputs; over parts of the images, once those are decoded
    looks: tuple[Look, ...]
    lowered: Lowered | None = None  # the same plan for the gpu executor


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


def decoded(
    launches: tuple[Launch, ...],
    sources: Sources,
    empty: Callable[..., torch.Tensor] = torch.empty,
) -> tuple[tuple[Launch, ...], Sources]:
    """The launches over what they look at of encoded images, and that, decoded. What each look shows its
    plan stays as it was. empty: function `empty(count, dtype=)` that makes the images' buffer."""
    if not isinstance(sources, EncodedSources):
        return launches, sources
    sources, plans = sources.decoded_for([launch.plan for launch in launches], empty)
    over_parts = (
        launch._replace(plan=plan, lowered=None)
        for launch, plan in zip(launches, plans, strict=True)
    )
    return tuple(over_parts), sources


def draw_launches(
    launches: Sequence[Launch],
    sources: Sources,
    *,
    executor: Executor | None = None,
    out: torch.Tensor | Callable[[Plan], torch.Tensor] | None = None,
    extra: Mapping[str, object] | None = None,
    names: tuple[str, str] = NAMES,
    target: str | None = TARGETS,
) -> Batch | BatchOfViews:
    """The batch that the launches make.

    Args:
        launches: What there is to draw.
        sources: Images of the plans.
        executor: Name of the executor, or None for the fastest that fits.
        out: Tensor to write into, or a function of a launch's plan that gives one.
        extra: Further fields of the samples by name, collated; every batch has them.
        names: Names of images and labels in the batch.
        target: Name of the targets in the batch; None lists their fields instead.
    """
    form = Form(names, target)
    launches, sources = decoded(tuple(launches), sources)
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
            batches.append((look, _finished(look, part, into, fields, form)))
    if batches[0][0].name is None:
        return batches[0][1]
    views = BatchOfViews()
    for look, batch in sorted(batches, key=lambda pair: pair[0].number):
        assert look.name is not None
        put(views, look.name, look.at, batch)
    return views


def _finished(
    look: Look,
    images: torch.Tensor,
    out: torch.Tensor | None,
    extra: Mapping[str, object],
    form: Form,
) -> Batch:
    """The batch, after what is applied to it unfused."""
    images = run_all(look.after, images, look.plan)
    if look.after and out is not None and images.shape == out.shape:
        images = out.copy_(images)
    there = _towards(images.device)
    labels = None if look.labels is None else there(look.labels)
    targets = map_tensors(there, look.targets)
    return Batch(images, labels, look.plan, extra, form.names, targets, form.target)


def _towards(device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function that moves a tensor there; towards the host nothing may be read before it has come."""
    return lambda tensor: tensor.to(device, non_blocking=device.type == "cuda")
