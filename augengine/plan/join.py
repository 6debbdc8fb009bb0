"""Plans cut and joined: some outputs of one, or several as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from .fields import array_fields, fields_of
from .kinds import CURVE, CURVE_ROW, GAINS, NO_VIEW

if TYPE_CHECKING:
    from . import Plan


def select(plan: Plan, indices) -> Plan:
    """The plan of some of the outputs, over the same sources. Unused views are dropped.

    indices: anything that indexes an array [N] by its first axis; a single int gives N = 1.
    """
    rows = np.atleast_1d(np.arange(len(plan))[indices])
    layers = {name: getattr(plan, name)[rows] for name in fields_of(plan, "N")}
    images = len(plan.ids)
    used = np.zeros(len(plan.source) + 1, bool)
    used[layers["view"][layers["view"] >= 0]] = True
    while True:  # and the views that those look at
        looked_at = plan.source[np.flatnonzero(used[:-1])] - images
        if used[looked_at[looked_at >= 0]].all():
            break
        used[looked_at[looked_at >= 0]] = True
    kept = np.flatnonzero(used)
    new = np.cumsum(used) - 1
    layers["view"] = np.where(layers["view"] < 0, layers["view"], new[layers["view"]])
    layers["view"] = layers["view"].astype(np.int32)
    views = {name: getattr(plan, name)[kept] for name in fields_of(plan, "V")}
    source = views["source"]
    chained = np.where(source < images, source, images + new[np.maximum(source - images, 0)])
    views["source"] = chained.astype(np.int32)
    return dataclasses.replace(plan, **layers, **views)


# What a missing colour step, log line, layer … holds when plans of unequal widths are joined.
_PADDING = {"log_op": -1, "view": NO_VIEW}


def concatenate(plans: Iterable[Plan]) -> Plan:
    """One plan for several batches, over the batches' sources one after the other. Steps, layers and
    logs are padded to the longest. Seed, epoch and policy are kept where all plans share them
    (otherwise 0, 0 and "").

    Args:
        plans: Plans of one finish.

    Returns:
        The plan of all their outputs.

    Raises:
        ValueError: There is no plan, or their finishes differ.

    Example:
        >>> policy = ae.Policy(ae.CenterCrop(32))
        >>> plans = [policy.sample([id], [(40, 40)]) for id in (3, 4)]
        >>> ae.concatenate(plans).ids
        array([3, 4])
    """
    return _joined("concatenate", plans, own_sources=True)


def side_by_side(plans: Iterable[Plan]) -> Plan:
    """One plan for several plans of the same sources: the outputs of each, one after the other.

    Args:
        plans: Plans of one finish, for the same ids and sizes, as several looks at a batch are.

    Returns:
        The plan of all their outputs.

    Raises:
        ValueError: There is no plan, or their finishes or sources differ.

    Example:
        >>> policy = ae.Policy(ae.RandomResizedCrop(32))
        >>> plans = [policy.sample([3], [(40, 40)], look=look) for look in (0, 1)]
        >>> ae.side_by_side(plans).shape
        (2, 3, 32, 32)
    """
    plans = list(plans)
    for plan in plans[1:]:
        same = (
            np.array_equal(getattr(plan, name), getattr(plans[0], name))
            for name in ("ids", "occurrence", "sizes")
        )
        if not all(same):
            raise ValueError(
                "side_by_side: the plans are for different sources, expected one batch. Use "
                "concatenate."
            )
    return _joined("side_by_side", plans, own_sources=False)


def of_no_samples(plan: Plan) -> Plan:
    """A plan of no outputs and no sources, that makes what this one makes."""
    lengths = ("B", "V", "N", "Q")
    empty = {name: getattr(plan, name)[:0] for of in lengths for name in fields_of(plan, of)}
    return dataclasses.replace(plan, **empty)


def repeat(plan: Plan, count: int) -> Plan:
    """See `Plan.repeat`."""
    if count == 1:
        return plan
    fields = {f.name: getattr(plan, f.name) for f in array_fields(plan)}
    copies = np.arange(count)

    def each(numbers: np.ndarray) -> np.ndarray:
        """The numbers of the copies, copy k of each after copy k − 1."""
        return (numbers[..., None] * count + copies).astype(np.int32)

    repeated = {
        name: np.repeat(value, count, axis=0) for name, value in fields.items() if name != "curves"
    }
    # A source that is a view is numbered behind the images, of which there are so many times more too.
    repeated["source"] = each(plan.source).reshape(-1)
    view = np.moveaxis(each(plan.view), -1, 1).reshape(-1, plan.view.shape[1])
    repeated["view"] = np.where(repeated["view"] < 0, repeated["view"], view)
    return plan._trusted(**{**vars(plan), **repeated})


def _joined(where: str, plans, own_sources: bool) -> Plan:
    plans = list(plans)
    if not plans:
        raise ValueError(f"{where}: no plans came, expected at least one. Pass a list of plans.")
    if len({plan.finish for plan in plans}) > 1:
        raise ValueError(
            f"{where}: the plans differ in size, dtype, layout or normalisation, expected one "
            f"finish. They are {sorted({str(plan.finish) for plan in plans})}."
        )
    texts = tuple(dict.fromkeys(text for plan in plans for text in plan.log_text))
    arrays: dict[str, list[np.ndarray]] = {f.name: [] for f in array_fields(plans[0])}
    total = sum(len(plan.ids) for plan in plans) if own_sources else len(plans[0].ids)
    sources = views = curves = 0
    for plan in plans:
        images, step_arg = len(plan.ids), plan.step_arg.copy()
        step_arg[..., CURVE_ROW] += curves * np.isin(plan.step_kind, (CURVE, GAINS))
        chained = plan.source - images + total + views
        shifted = {
            "source": np.where(plan.source < images, plan.source + sources, chained).astype(
                np.int32
            ),
            "view": np.where(plan.view < 0, plan.view, plan.view + views).astype(np.int32),
            "log_op": np.array([*map(texts.index, plan.log_text), -1], np.int16)[plan.log_op],
            "step_arg": step_arg,
        }
        for name, parts in arrays.items():
            parts.append(shifted.get(name, getattr(plan, name)))
        sources += images if own_sources else 0
        views, curves = views + len(plan.source), curves + len(plan.curves)

    def shared(name, otherwise):
        values = {getattr(plan, name) for plan in plans}
        return values.pop() if len(values) == 1 else otherwise

    if not own_sources:
        for field in array_fields(plans[0]):
            if field.metadata["dims"][0] == "B":
                del arrays[field.name][1:]
    arrays_joined = {name: joined(parts, _PADDING.get(name, 0)) for name, parts in arrays.items()}
    return plans[0]._trusted(  # of plans that were checked
        **arrays_joined,
        finish=plans[0].finish,
        log_text=texts,
        seed=shared("seed", 0),
        epoch=shared("epoch", 0),
        look=shared("look", 0),
        policy=shared("policy", ""),
        after=tuple(dict.fromkeys(name for plan in plans for name in plan.after)),
    )


def joined(parts, padding):
    """Concatenate along the first axis, padding the second to the longest."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [
            np.pad(
                part,
                [(0, 0), (0, width - part.shape[1])] + [(0, 0)] * (part.ndim - 2),
                constant_values=padding,
            )
            for part in parts
        ]
    )
