"""Batches as loaders give them, taken apart: images, labels, targets, ids, and what else comes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..kernels import Sources
from .batch import NAMES, TARGETS
from .keys import Keys, could_be_id
from .targets import among_elements, among_fields


class BatchParts(NamedTuple):
    """A batch, part by part."""

    images: Any
    labels: Any = None
    ids: Any = None
    extra: Mapping[str, Any] | None = None  # further fields; of tuples by their place
    names: tuple[str, str] = NAMES  # under which images and labels came
    targets: Sequence[Any] | None = None
    target: str | None = TARGETS  # the name of the targets; None: their fields stand by themselves


def batch_parts(
    batch: Any, image: str, label: str, id: str, target: str, per_image: Sequence[str] = ()
) -> BatchParts:
    """Take a batch that a loader gave apart.

    Where the targets of samples are, is told as of the samples themselves: by `among_elements` and
    `among_fields`.

    Args:
        batch: Images, (images, labels or targets), those with ids or further values, or a dict.
        image: Name of the images' field in dicts.
        label: Name of the labels' field.
        id: Name of the ids' field.
        target: Name of the targets' field.
        per_image: Names of fields that belong to the image as a whole.
    """
    if isinstance(batch, Mapping):
        fields = dict(batch)
        if image not in fields:
            raise ValueError(
                f"DeviceLoader: got a batch with the fields {', '.join(map(repr, fields))}, expected "
                f"{image!r} among them. Name the fields: image=, label=, id=, target=."
            )
        images, ids = fields.pop(image), fields.pop(id, None)
        _refuse_one(f"the field {target!r}", fields.get(target))
        found = among_fields("DeviceLoader", _each(images), fields, target, label, per_image)
        for name in found.used:
            del fields[name]
        labels = fields.pop(label, None)
        names = (image, label)
        return BatchParts(images, labels, ids, fields, names, found.targets, found.name)
    if isinstance(batch, (tuple, list)) and len(batch):
        first = batch[0]
        several = isinstance(first, (list, tuple, Sources))
        if several or (isinstance(first, (torch.Tensor, np.ndarray)) and first.ndim == 4):
            images, labels, *rest = (*batch, None)[: max(2, len(batch))]
            ids = None
            if rest and (isinstance(rest[-1], Keys) or (len(rest) == 1 and _could_be_ids(rest[0]))):
                ids = rest.pop()
            elif rest and _could_be_ids(rest[0]):
                raise ValueError(
                    f"DeviceLoader: got batches of {len(batch)} elements, whose third could be ids or "
                    "values, expected (images, labels, ids), or a dict. Return a dict, whose fields "
                    "have names, or give the loader keys: ae.keyed(loader)."
                )
            _refuse_one("the second element", labels)
            at = among_elements("DeviceLoader", _each(images), [_each(labels), *map(_each, rest)])
            extra = {str(place): part for place, part in enumerate(rest, 2) if place - 1 != at}
            targets = None if at is None else _each([labels, *rest][at])
            return BatchParts(images, None if at == 0 else labels, ids, extra, targets=targets)
    return BatchParts(batch)


def _each(values: Any) -> Sequence[Any]:
    """The values of samples, one by one; none where there are only numbers, which lie in no image."""
    if isinstance(values, Sources):
        return [None] * len(values)
    if isinstance(values, (torch.Tensor, np.ndarray)):
        return list(values) if values.ndim > 2 else ()
    return values if isinstance(values, (list, tuple)) else ()


def _refuse_one(what: str, value: Any) -> None:
    """Refuse the targets of several samples that torch's default_collate made one dict of."""
    if isinstance(value, Mapping):
        raise ValueError(
            f"DeviceLoader: got one dict as {what}, with the fields {', '.join(map(repr, value))}, expected "
            "a target for each image. Keep them apart: collate_fn=lambda batch: tuple(zip(*batch))."
        )


def _could_be_ids(values: Any) -> bool:
    if isinstance(values, np.ndarray):
        return values.ndim == 1 and values.dtype.kind in "iuUSO"
    if isinstance(values, torch.Tensor):
        return values.ndim == 1 and "int" in str(values.dtype)
    return values is None or (
        isinstance(values, (list, tuple, range)) and all(map(could_be_id, values))
    )
