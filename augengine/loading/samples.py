"""Samples as datasets give them, taken apart: images, labels, ids, and what else comes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch.utils.data import default_collate

from .batch import NAMES, TARGETS
from .keys import Key, could_be_id
from .targets import among_elements, among_fields

# (image, label) or (image, target); (image, label, id); (image, label, further values …), with a Key at the
# end or without; or a dict of them.
Sample: TypeAlias = tuple[Any, ...] | Mapping[str, Any]


class Parts(NamedTuple):
    """A list of samples, part by part."""

    images: list[Any]
    labels: torch.Tensor | None
    ids: list[Any] | None
    extra: dict[str, Any]  # further fields, collated; of tuples by their place
    names: tuple[str, str]  # under which images and labels came
    targets: list[Any] | None = None
    target: str | None = TARGETS  # the name of the targets; None: their fields stand by themselves


def split(
    where: str,
    samples: Sequence[Sample],
    image: str,
    label: str,
    id: str,
    target: str,
    per_image: Sequence[str] = (),
) -> Parts:
    """Take samples apart.

    The second element of a tuple is the target if it is a dict, a PIL image, boxes, keypoints or a mask of
    torchvision's classes, or whole numbers or bools of two dimensions or more; otherwise it is the label.
    Beside a label a later element is the target if it lies in the image's pixels: such a dict or class,
    a PIL image, or whole numbers of the image's height and width. For dicts see `among_fields`.

    Args:
        where: Name of what the user called, for messages.
        samples: Samples, all of one form.
        image: Name of the image's field in dicts.
        label: Name of the label's field in dicts.
        id: Name of the id's field in dicts.
        target: Name of the target's field in dicts.
        per_image: Names of fields of dicts that belong to the image as a whole.
    """
    if len(samples) and all(isinstance(sample, Mapping) for sample in samples):
        return _of_dicts(where, samples, image, label, id, target, per_image)  # type: ignore[arg-type]
    lengths = {len(s) if isinstance(s, (tuple, list)) else 0 for s in samples}
    if len(lengths) != 1 or min(lengths) < 2:
        raise ValueError(
            f"{where}: got no samples, or some that are not (image, label) or (image, label, id), or "
            "some that are dicts and some not, expected one of these for all. Return such tuples, or "
            "dicts, from the dataset."
        )
    columns: list[list[Any]] = [list(column) for column in zip(*samples, strict=True)]
    ids: list[Any] | None = None
    if len(columns) > 2 and all(type(value) is Key for value in columns[-1]):
        ids = columns.pop()
    elif len(columns) > 2 and any(map(could_be_id, columns[2])):
        if len(columns) > 3:
            raise ValueError(
                f"{where}: got samples (image, label, {columns[2][0]!r}, …) of {len(columns)} elements, "
                "whose third could be an id or a value, expected (image, label, id), or a dict. Return "
                "a dict, whose fields have names, or give the loader keys: ae.keyed(loader)."
            )
        ids = columns.pop()
    at = among_elements(where, columns[0], columns[1:])
    extra: dict[str, Any] = {
        str(place): _collated(where, f"element {place}", values)
        for place, values in enumerate(columns[2:], 2)
        if at is None or place != at + 1
    }
    labels = None if at == 0 else _labels(where, columns[1])
    targets = None if at is None else columns[at + 1]
    return Parts(columns[0], labels, ids, extra, NAMES, targets)


def _of_dicts(
    where: str,
    samples: Sequence[Mapping[str, Any]],
    image: str,
    label: str,
    id: str,
    target: str,
    per_image: Sequence[str],
) -> Parts:
    fields = dict.fromkeys(samples[0])
    for sample in samples:
        if dict.fromkeys(sample) != fields or image not in sample:
            raise ValueError(
                f"{where}: got samples with the fields {', '.join(map(repr, fields))} and with "
                f"{', '.join(map(repr, sample))}, expected the same for all, {image!r} among them. Give "
                "missing ones a value, or name the fields: image=, label=, id=, target=."
            )
    columns = {name: [sample[name] for sample in samples] for name in fields}
    images = columns.pop(image)
    ids = columns.pop(id, None)
    found = among_fields(where, images, columns, target, label, per_image)
    for name in found.used:
        del columns[name]
    labels = columns.pop(label, None)
    extra: dict[str, Any] = {
        name: _collated(where, f"field {name!r}", values) for name, values in columns.items()
    }
    stacked = None if labels is None else _labels(where, labels)
    return Parts(images, stacked, ids, extra, (image, label), found.targets, found.name)


def _labels(where: str, labels: list[Any]) -> torch.Tensor | None:
    """[n] class numbers, or [n, num_classes] soft labels."""
    if all(label is None for label in labels):
        return None
    wrong: object = next(
        (
            label
            for label in labels
            if isinstance(label, (str, bytes, Mapping)) or _is_annotation(label)
        ),
        None,
    )
    if wrong is None and not any(label is None for label in labels):
        try:
            stacked = torch.stack([torch.as_tensor(label) for label in labels])
            if stacked.ndim < 3:
                return stacked
            raise ValueError(
                f"they are {stacked.dtype} {tuple(stacked.shape[1:])} each. A mask is whole numbers: "
                "mask.long()"
            )
        except (TypeError, ValueError, RuntimeError) as error:
            wrong = error
    what = f"{wrong!r}" if isinstance(wrong, (str, bytes)) else type(wrong).__name__
    if isinstance(wrong, Exception):
        what = f"labels of which torch says: {wrong}"
    elif wrong is None:
        what = "None for some samples and labels for others"
    elif _is_annotation(wrong):
        raise TypeError(
            f"{where}: got a list of annotations beside an image, expected a dict of boxes, labels and masks. "
            "Make it one, as torchvision.datasets.wrap_dataset_for_transforms_v2 does."
        )
    raise TypeError(
        f"{where}: got {what}, expected a class number for each sample, a soft label [num_classes] for "
        "each, or None for all. Number the classes; return other things as fields of a dict."
    )


def _is_annotation(label: object) -> bool:
    """Whether it is a list as COCO's files have it: of a dict for each object, of none for no object."""
    return isinstance(label, list) and (not label or isinstance(label[0], Mapping))


def _collated(where: str, what: str, values: list[Any]) -> Any:
    try:
        return default_collate(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{where}: got {what} of {type(values[0]).__name__}, which torch's default_collate does not "
            f"take ({error}), expected numbers, strings, or tensors of one size. Leave it out of the "
            "sample, or make it one of these."
        ) from error
