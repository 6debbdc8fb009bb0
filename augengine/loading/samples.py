"""Samples as datasets give them, taken apart: images, labels, ids, and what else comes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch.utils.data import default_collate

from .keys import Key, could_be_id

# (image, label), (image, label, id), (image, label, further values …), with a Key at the end or without;
# or a dict of them.
Sample: TypeAlias = tuple[Any, ...] | Mapping[str, Any]


class Parts(NamedTuple):
    """A list of samples, part by part."""

    images: list[Any]
    labels: torch.Tensor | None
    ids: list[Any] | None
    extra: dict[str, Any]  # further fields, collated; of tuples by their place
    names: tuple[str, str]  # under which images and labels came


def split(where: str, samples: Sequence[Sample], image: str, label: str, id: str) -> Parts:
    """Take samples apart.

    Args:
        where: Name of what the user called, for messages.
        samples: Samples, all of one form.
        image: Name of the image's field in dicts.
        label: Name of the label's field in dicts.
        id: Name of the id's field in dicts.
    """
    if len(samples) and all(isinstance(sample, Mapping) for sample in samples):
        return _of_dicts(where, samples, image, label, id)  # type: ignore[arg-type]
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
    extra: dict[str, Any] = {
        str(place): _collated(where, f"element {place}", values)
        for place, values in enumerate(columns[2:], 2)
    }
    return Parts(columns[0], _labels(where, columns[1]), ids, extra, ("images", "labels"))


def _of_dicts(
    where: str, samples: Sequence[Mapping[str, Any]], image: str, label: str, id: str
) -> Parts:
    fields = dict.fromkeys(samples[0])
    for sample in samples:
        if dict.fromkeys(sample) != fields or image not in sample:
            raise ValueError(
                f"{where}: got samples with the fields {', '.join(map(repr, fields))} and with "
                f"{', '.join(map(repr, sample))}, expected the same for all, {image!r} among them. Give "
                "missing ones a value, or name the fields: image=, label=, id=."
            )
    columns = {name: [sample[name] for sample in samples] for name in fields}
    images = columns.pop(image)
    labels = columns.pop(label, None)
    ids = columns.pop(id, None)
    extra: dict[str, Any] = {
        name: _collated(where, f"field {name!r}", values) for name, values in columns.items()
    }
    return Parts(
        images, None if labels is None else _labels(where, labels), ids, extra, (image, label)
    )


def _labels(where: str, labels: list[Any]) -> torch.Tensor | None:
    """[n] class numbers, or [n, num_classes] soft labels."""
    if all(label is None for label in labels):
        return None
    wrong: object = next(
        (label for label in labels if isinstance(label, (str, bytes, Mapping))), None
    )
    if wrong is None and not any(label is None for label in labels):
        try:
            return torch.stack([torch.as_tensor(label) for label in labels])
        except (TypeError, ValueError, RuntimeError) as error:
            wrong = error
    what = f"{wrong!r}" if isinstance(wrong, (str, bytes)) else type(wrong).__name__
    if isinstance(wrong, Exception):
        what = f"labels of which torch says: {wrong}"
    elif wrong is None:
        what = "None for some samples and labels for others"
    raise TypeError(
        f"{where}: got {what}, expected a class number for each sample, a soft label [num_classes] for "
        "each, or None for all. Number the classes; return other things as fields of a dict."
    )


def _collated(where: str, what: str, values: list[Any]) -> Any:
    try:
        return default_collate(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{where}: got {what} of {type(values[0]).__name__}, which torch's default_collate does not "
            f"take ({error}), expected numbers, strings, or tensors of one size. Leave it out of the "
            "sample, or make it one of these."
        ) from error
