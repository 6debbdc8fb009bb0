"""Targets of a batch, such as boxes and masks, on their way through an engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..aliases import Executor
from ..decoding import DecodeError, is_encoded, read_header
from ..plan import Plan
from ..policy.ops.unfused import Unfused
from ..targets.fields import NAMES, covers, is_picture, is_target, length, tv_name
from ..targets.follow import Target, batch_targets, source_boxes
from ..targets.options import TargetOptions
from .batch import TARGETS


def followed(
    plan: Plan,
    targets: Any,
    after: Sequence[Unfused],
    options: TargetOptions | None,
    executor: Executor | None,
) -> Any:
    """The targets of a look, as its batch has them.

    Args:
        plan: Plan of the look.
        targets: Those of its sources.
        after: The stages that are applied to the drawn images, which have rules for targets or none.
        options: How targets are followed.
        executor: Name of the executor of the images. Masks lie in main memory as a rule, and are drawn
            where they lie: not by 'gpu' for its name alone.
    """
    targets = as_list(targets)
    if not len(plan.ids):
        return targets
    unsaid = tuple(
        stage.name for stage in after if stage.rule is None and stage.happens(plan.epoch)
    )
    if unsaid != plan.after:
        plan = dataclasses.replace(plan, after=unsaid)

    def by_rules(moved: list[Any]) -> list[Any]:
        for stage in after:
            moved = stage.follow(moved, plan)
        return moved

    where = None if executor == "gpu" else executor
    return batch_targets(plan, targets, options, where, by_rules if after else None)


def boxes_for(
    sizes: np.ndarray, targets: Any, options: TargetOptions | None, ids: np.ndarray | None
) -> list[np.ndarray] | None:
    """Boxes [k, 4] (x0, y0, x1, y1) of each target; None where targets have none."""
    ids = np.arange(len(sizes)) if ids is None else ids
    return source_boxes(ids, sizes, as_list(targets), options)


def join_targets(mine: Any, theirs: Any) -> list[Target]:
    """The targets of two batches as one."""
    if theirs is None:
        raise ValueError(
            "partners: got no targets, expected them, since the batch has targets. Pass (images, labels, "
            "ids, targets), empty ones where there are none."
        )
    return [*as_list(mine), *as_list(theirs)]


def as_list(targets: Any) -> list[Target]:
    """One target for each image."""
    if isinstance(targets, Mapping) or not hasattr(targets, "__len__"):
        raise TypeError(
            f"targets: got {type(targets).__name__}, expected one target for each image. Pass a list of "
            "them: of a loader's collate_fn, lambda batch: tuple(zip(*batch))."
        )
    return list(targets)


class Found(NamedTuple):
    """The targets among what samples hold."""

    targets: list[Any] | None  # one for each sample
    name: str | None  # under which the batch has them; None: under those of their fields
    used: tuple[str, ...]  # the fields that they are made of


NONE_FOUND = Found(None, TARGETS, ())
# Names of fields that lie in the image's pixels.
_LYING = frozenset(name for name, role in NAMES.items() if role not in ("instances", "image"))
_PLAIN = {int, float, bool, str, bytes, type(None), np.int32, np.int64, np.float32, np.float64}
_DATASET = "such as torchvision.datasets.wrap_dataset_for_transforms_v2 makes of its datasets"


def among_elements(
    where: str, images: Sequence[Any], columns: Sequence[Sequence[Any]]
) -> int | None:
    """Which of the elements behind the image is a target, of samples that are tuples: the second of all if
    it is no label, or another that lies in the image's pixels. None: there is none.

    columns: for each element behind the image its values.
    """
    found = [
        at
        for at, values in enumerate(columns)
        if (is_column if at == 0 else lies_column)(where, f"element {at + 1}", values, images)
    ]
    if len(found) > 1:
        raise ValueError(
            f"{where}: got samples with targets at the places {', '.join(str(at + 1) for at in found)}, "
            "expected one target a sample. Put boxes, masks and labels into one dict: (image, target)."
        )
    at = found[0] if found else None
    if at is not None:
        check_targets(where, columns[at])
    counts = _counts(None if at is None else columns[at])
    for place, values in enumerate(columns[1:], 2):
        if place - 1 == at or _plain(values):
            continue
        if cover(values, images):
            raise _unmoved(
                where, f"element {place}", values[0], "Return a dict, and name the field"
            )
        if counts and list(map(length, values)) == counts:
            raise ValueError(
                f"{where}: got an element {place} with an entry for each instance, which would not follow "
                "them, expected one target a sample. Put both into one dict: (image, {'boxes': boxes, "
                "'labels': labels})."
            )
    return at


def among_fields(
    where: str,
    images: Sequence[Any],
    fields: Mapping[str, Any],
    target: str,
    label: str,
    per_image: Sequence[str] = (),
) -> Found:
    """The targets in samples that are dicts.

    A field named `target` that holds dicts, masks, or boxes of torchvision's class, is the target. Without
    it, fields at the top are one target together: those of torchvision's classes for targets and those
    named boxes, masks, mask, keypoints, polygons or as COCO names them; and where these are of instances,
    the instances' labels, scores, area and iscrowd. Of a mask alone the mask is the target.

    Args:
        where: Name of what the user called, for messages.
        images: Images, one for each sample.
        fields: The other fields by name, each with a value for each sample.
        target: Name of the target's field.
        label: Name of the label's field, which may be that of the instances' labels.
        per_image: Names of fields that belong to the image.
    """
    count = len(images)
    columns = {name: rows for name, value in fields.items() if (rows := _rows(value, count))}
    lying = [
        name
        for name, values in columns.items()
        if name not in (target, *per_image) and _lies_by_name(name, values)
    ]
    if target in columns and is_column(where, f"the field {target!r}", columns[target], images):
        check_targets(where, columns[target])
        if lying:
            raise ValueError(
                f"{where}: got samples with the field {target!r} and with {', '.join(map(repr, lying))}, "
                "expected one target a sample. Put these into the target's dict, or name them in "
                "TargetOptions(per_image=…) if they do not lie in the image's pixels."
            )
        found = Found(columns[target], target, (target,))
    elif not lying:
        found = NONE_FOUND
    else:
        found = _together(where, columns, lying, label)
    counts = _counts(found.targets)
    for name, values in columns.items():
        if name in found.used or name in per_image or _plain(values):
            continue
        if lies_column(where, f"the field {name!r}", values, images):
            raise ValueError(
                f"{where}: got the field {name!r}, which lies in the image's pixels as a mask does, expected "
                f"it to be the target. Name it: target={name!r}; or put all targets into one dict; or name "
                "it in TargetOptions(per_image=…), and it stays as it is."
            )
        if cover(values, images):
            raise _unmoved(where, f"the field {name!r}", values[0], "Name it")
        if name != label and found.name is None and counts and list(map(length, values)) == counts:
            raise ValueError(
                f"{where}: got the field {name!r} with an entry for each instance, which may belong to them "
                "or to the image, expected that to be known. Put what belongs to instances into a dict "
                f"under {target!r}, or name it in TargetOptions(per_image=…)."
            )
    return found


def _together(where: str, columns: Mapping[str, list[Any]], lying: list[str], label: str) -> Found:
    """One target of the fields at the top that lie in the image's pixels."""
    first = {name: columns[name][0] for name in lying}
    if len(lying) == 1 and _is_one_picture(lying[0], first[lying[0]]):
        return Found(columns[lying[0]], lying[0], tuple(lying))
    names, rows = [*lying], range(len(columns[lying[0]]))
    counts = _counts([{name: columns[name][b] for name in lying} for b in rows])
    if counts:
        names += [
            name
            for name, role in NAMES.items()
            if role == "instances"
            and name in columns
            and (name != label or list(map(length, columns[name])) == counts)
        ]
    return Found([{name: columns[name][b] for name in names} for b in rows], None, tuple(names))


def _is_one_picture(name: str, value: Any) -> bool:
    """Whether a field is a mask of classes, and not masks of instances."""
    if is_picture(value) or NAMES.get(name) == "semantic":
        return True
    return name not in NAMES and tv_name(value) == "Mask" and value.ndim == 2


def _counts(targets: Sequence[Any] | None) -> list[int]:
    """How many instances each target has; none where nothing tells."""
    if not targets:
        return []
    if all(tv_name(one) in ("BoundingBoxes", "KeyPoints") for one in targets):
        return list(map(length, targets))
    if not all(isinstance(one, Mapping) for one in targets):
        return []
    for name in targets[0]:
        by_class = tv_name(targets[0][name]) in ("BoundingBoxes", "KeyPoints")
        role = NAMES.get(name)
        if by_class or role in ("boxes", "masks", "keypoints", "polygons"):
            return [length(one.get(name)) for one in targets]
    return []


def _rows(value: Any, count: int) -> list[Any] | None:
    """A value for each sample, or None, as of numbers that lie in no image."""
    if isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim < 2:
        return None
    if isinstance(value, (list, tuple, np.ndarray, torch.Tensor)) and length(value) == count:
        return list(value)
    return None


def _lies_by_name(name: str, values: Sequence[Any]) -> bool:
    """Whether a field's name or class says that it lies in the image's pixels."""
    if _plain(values) and name not in _LYING:
        return False
    if any(tv_name(value) for value in values):
        return True
    return name in _LYING and not any(
        value is None or isinstance(value, (str, bytes)) for value in values
    )


def is_column(where: str, what: str, values: Sequence[Any], images: Sequence[Any]) -> bool:
    """Whether the values are targets, all of them."""
    if _plain(values):
        return False
    return _all_or_none(where, what, values, [is_target(value) for value in values])


def lies_column(where: str, what: str, values: Sequence[Any], images: Sequence[Any]) -> bool:
    """Whether the values lie in the images' pixels, all of them."""
    if _plain(values):
        return False
    lie = [_lies(value, image) for value, image in zip(values, images, strict=False)]
    are = [bool(tv_name(value)) for value in values]
    return all(lie) or _all_or_none(where, what, values, are)


def _plain(values: Sequence[Any]) -> bool:
    """Whether all are such as labels and captions are: for most batches all that is asked."""
    return set(map(type, values)) <= _PLAIN


def _lies(value: Any, image: Any) -> bool:
    if tv_name(value) or is_picture(value):
        return True
    if isinstance(value, Mapping):
        return any(name in _LYING or bool(tv_name(part)) for name, part in value.items())
    return is_target(value) and tuple(value.shape[-2:]) == _size_of(image)


def cover(values: Sequence[Any], images: Sequence[Any]) -> bool:
    """Whether the values are numbers for each pixel of their images, such as depths."""
    return all(covers(value, _size_of(image)) for value, image in zip(values, images, strict=False))


def _unmoved(where: str, what: str, value: Any, fix: str) -> ValueError:
    return ValueError(
        f"{where}: got {what} of {value.dtype} {tuple(value.shape)}, numbers for each pixel that would stay "
        f"where they are, expected a mask of whole numbers, or none. {fix} in TargetOptions(per_image=…), and "
        "draw it by ae.resample(batch.plan, …)."
    )


def _size_of(image: Any) -> tuple[int, ...]:
    """(height, width) of an image as `Sources` takes it."""
    if is_picture(image):
        return tuple(image.size[::-1])
    if is_encoded(image):
        try:
            header = read_header(image)
        except DecodeError:  # told where the image itself is read
            return ()
        return header.height, header.width
    shape = tuple(getattr(image, "shape", ()))
    return shape[:2] if isinstance(image, np.ndarray) else shape[-2:]


def _all_or_none(where: str, what: str, values: Sequence[Any], are: list[bool]) -> bool:
    if any(are) and not all(are):
        no, yes = are.index(False), are.index(True)
        raise TypeError(
            f"{where}: got {type(values[no]).__name__} as {what} of sample {no} and "
            f"{type(values[yes]).__name__} of sample {yes}, expected a class number for each, or a target for "
            "each. Give images without objects empty ones, such as boxes of shape (0, 4)."
        )
    return all(are) and len(are) > 0


def check_targets(where: str, targets: Sequence[Any]) -> None:
    """Raise for dicts in which nothing says what follows the image, such as annotations as files have
    them, and for whole numbers that may be masks of instances or another image."""
    for b, target in enumerate(targets):
        if isinstance(target, Mapping) and not _lies(target, None):
            raise ValueError(
                f"{where}: got a target with the fields {', '.join(map(repr, target)) or 'none'} for sample "
                f"{b}, expected boxes, masks, keypoints or polygons among them. Return a dict of these, "
                f"{_DATASET}; or a class number by itself."
            )
        if isinstance(target, (torch.Tensor, np.ndarray)) and not tv_name(target):
            shape = tuple(target.shape)
            if len(shape) != 2 and shape[:-2] != (1,):
                raise ValueError(
                    f"{where}: got {target.dtype} {shape} beside the image of sample {b}, expected a mask "
                    "(H, W) or (1, H, W). Return masks of instances as {'masks': masks}, and another image as "
                    "a field of a dict that TargetOptions(per_image=…) names."
                )
