"""The fields of a target that is a dict: what each is, how it is read, and how it is written back."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from .read import HasImages, sample_name

Role: TypeAlias = Literal[
    "boxes", "masks", "semantic", "keypoints", "polygons", "instances", "image"
]

# What names say, as torchvision's references, COCO, Ultralytics and transformers use them.
NAMES: dict[str, Role] = {
    "boxes": "boxes",
    "bbox": "boxes",
    "bboxes": "boxes",
    "masks": "masks",
    "mask": "semantic",
    "semantic": "semantic",
    "keypoints": "keypoints",
    "polygons": "polygons",
    "segmentation": "polygons",
    "segments": "polygons",
    "labels": "instances",
    "class_labels": "instances",
    "scores": "instances",
    "area": "instances",
    "iscrowd": "instances",
    "image_id": "image",
    "orig_size": "image",
    "size": "image",
    "file_name": "image",
    "height": "image",
    "width": "image",
}
# By these it is told how many instances a target has, the first that it holds.
_TELLING = ("boxes", "masks", "keypoints", "polygons")
INSTANCES = (*(name for name, role in NAMES.items() if role in _TELLING), "labels")


def tv_name(value: object) -> str:
    """The name of torchvision's class for targets that a value is of, or ''. Nothing is imported."""
    module = sys.modules.get("torchvision.tv_tensors")
    for name in ("BoundingBoxes", "Mask", "KeyPoints"):
        kind = getattr(module, name, None)
        if kind is not None and isinstance(value, kind):
            return name
    return ""


def is_picture(value: object) -> bool:
    """Whether a value is a PIL image."""
    return hasattr(value, "__array_interface__") and hasattr(value, "mode")


def is_target(value: object) -> bool:
    """Whether what stands beside an image is a target, such as boxes, and no label: a mapping, one of
    torchvision's tv_tensors for targets, a PIL image, or whole numbers or bools of two dimensions or more.
    """
    if isinstance(value, Mapping) or tv_name(value) or is_picture(value):
        return True
    if isinstance(value, torch.Tensor):
        return value.ndim > 1 and not (value.is_floating_point() or value.is_complex())
    return isinstance(value, np.ndarray) and value.ndim > 1 and value.dtype.kind in "iub"


def covers(value: object, size: tuple[int, ...]) -> bool:
    """Whether an array or a tensor has a number, or several, for each pixel of an image of this (height,
    width)."""
    if not isinstance(value, (torch.Tensor, np.ndarray)) or value.ndim < 2:
        return False
    return tuple(value.shape[-2:]) == size or (value.ndim == 3 and tuple(value.shape[:2]) == size)


def roles_of(
    where: str, images: HasImages, targets: Sequence[Mapping[str, Any]], per_image: Sequence[str]
) -> dict[str, Role]:
    """What each field is, the same for all targets.

    A field is what its name or its torchvision class says; a PIL image is a mask of classes. Another one
    belongs to the instances if it has as many entries as they are, in all targets, and otherwise to the
    image. One with numbers for each pixel is refused, since nothing says how to move it.
    """
    names = tuple(targets[0])
    for b, target in enumerate(targets):
        if set(target) != set(names):
            raise ValueError(
                f"{where}: got the fields {', '.join(map(repr, target))} for {sample_name(images, b)} and "
                f"{', '.join(map(repr, names))} for {sample_name(images, 0)}, expected the same for all. Give "
                "missing ones a value, such as an empty tensor."
            )
    roles: dict[str, Role] = {}
    pixels: list[str] = []  # what may be masks of classes or of instances
    for name in names:
        kind = tv_name(targets[0][name])
        if name in per_image:
            roles[name] = "image"
        elif kind:
            by_class: dict[str, Role] = {"BoundingBoxes": "boxes", "KeyPoints": "keypoints"}
            if kind == "Mask":
                pixels.append(name)
            else:
                roles[name] = by_class[kind]
        elif name in NAMES:
            role = NAMES[name]
            if role == "masks" or (role == "polygons" and _is_dense(targets[0][name])):
                pixels.append(name)
            else:
                roles[name] = role
        elif is_picture(targets[0][name]):
            roles[name] = "semantic"
        else:
            _check_no_pixels(where, images, name, targets)
    if pixels:
        counts = counts_of(targets, roles)
        if counts is None and roles.get("labels") == "instances":
            counts = [length(target["labels"]) for target in targets]
        roles.update({name: _mask_role(name, targets, counts) for name in pixels})
    for role in ("boxes", "masks", "keypoints", "polygons"):
        several = [name for name, its in roles.items() if its == role]
        if len(several) > 1:
            raise ValueError(
                f"{where}: got {' and '.join(map(repr, several))}, expected one field of {role}, since all "
                "instances are told by it. Name the others in TargetOptions(per_image=…), or leave them out."
            )
    counts = counts_of(targets, roles)
    for name in names:
        if name not in roles:
            follows = counts is not None and all(
                length(target[name]) == count for target, count in zip(targets, counts, strict=True)
            )
            roles[name] = "instances" if follows else "image"
    if counts is not None:
        _check_lengths(where, images, targets, roles, counts)
    elif "instances" in roles.values():  # labels of the image then
        roles = {name: "image" if role == "instances" else role for name, role in roles.items()}
    return {name: roles[name] for name in names}


def _check_no_pixels(
    where: str, images: HasImages, name: str, targets: Sequence[Mapping[str, Any]]
) -> None:
    sizes = images.sizes.tolist()
    values = [target[name] for target in targets]
    if all(covers(value, tuple(size)) for value, size in zip(values, sizes, strict=True)):
        raise ValueError(
            f"{where}: got {name!r} of {values[0].dtype} {tuple(values[0].shape)} for "
            f"{sample_name(images, 0)}, numbers for each pixel that would stay where they are, expected a "
            "name that says what they are, such as 'mask' or 'masks'. Rename it; or name it in "
            "TargetOptions(per_image=…), and draw it by ae.resample if it is a map of floats."
        )


def _is_dense(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, np.ndarray)) or is_picture(value)


def _mask_role(name: str, targets: Sequence[Mapping[str, Any]], counts: list[int] | None) -> Role:
    """Masks of instances have three dimensions, and are as many as they; (1, H, W) may be classes too."""
    if NAMES.get(name) == "semantic" or is_picture(targets[0][name]):
        return "semantic"
    if {getattr(target[name], "ndim", 3) for target in targets} == {2}:
        return "semantic"
    lengths = [length(target[name]) for target in targets]
    one_each = name != "masks" and all(count == 1 for count in lengths)
    return "semantic" if one_each and lengths != counts else "masks"


def counts_of(targets: Sequence[Mapping[str, Any]], roles: Mapping[str, Role]) -> list[int] | None:
    """How many instances each target has; None where nothing tells."""
    for role in ("boxes", "masks", "polygons", "keypoints"):
        for name, its in roles.items():
            if its == role:
                return [length(target[name]) for target in targets]
    return None


def length(value: object) -> int:
    """Of a list, an array or a tensor; −1 for anything else."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return len(value) if value.ndim else -1
    return len(value) if isinstance(value, (list, tuple)) else -1


def _check_lengths(where, images, targets, roles: Mapping[str, Role], counts: list[int]) -> None:
    for name, role in roles.items():
        if role in ("image", "semantic"):
            continue
        for b, (target, count) in enumerate(zip(targets, counts, strict=True)):
            if length(target[name]) != count:
                raise ValueError(
                    f"{where}: got {length(target[name])} entries of {name!r} for {sample_name(images, b)}, "
                    f"which has {count} instances, expected one for each. Mend the target, or name the "
                    "field in TargetOptions(per_image=…) if it belongs to the image."
                )
        if role == "instances":
            _check_kinds(where, images, name, [target[name] for target in targets])


def _check_kinds(where, images, name: str, values: list[Any]) -> None:
    """Entries of one field of instances go together, whichever samples they come from."""
    said = [_said(value) for value in values]
    first = next((b for b, value in enumerate(values) if len(value)), 0)
    for b, value in enumerate(values):
        if len(value) and said[b] != said[first]:
            raise ValueError(
                f"{where}: got {name!r} of {said[b]} for {sample_name(images, b)} and of {said[first]} for "
                f"{sample_name(images, first)}, expected one kind and shape of entries. Convert them in the "
                "dataset, or pass lists."
            )


def _said(value: Any) -> str:
    shape = list(np.shape(value)[1:]) if isinstance(value, (torch.Tensor, np.ndarray)) else ""
    return f"{type(value).__name__}{shape}"


def example(values: Sequence[Any]) -> Any:
    """A value that tells a field's kind: the first that has entries, since empty ones may be of any."""
    return next((value for value in values if length(value) > 0), values[0])


def taken(values: Sequence[Any], row: np.ndarray) -> Any:
    """Entries of a field of instances, in the kind that came. row: [m], counted over all values."""
    kind = example(values)
    if isinstance(kind, torch.Tensor):
        every = [value.as_subclass(torch.Tensor) for value in values if len(value)]
        joined = torch.cat(every) if every else kind.as_subclass(torch.Tensor)[:0]
        return joined[torch.from_numpy(row).to(joined.device)]
    if isinstance(kind, np.ndarray):
        return np.concatenate([v for v in values if len(v)] or [kind[:0]])[row]
    entries = [entry for value in values for entry in value]
    return type(kind)(entries[r] for r in row.tolist())


def like(numbers: np.ndarray, kind: Any) -> Any:
    """New numbers of a field in the kind of the old: a tensor of its dtype and device, an array, or lists.
    Whole numbers become float32."""
    if isinstance(kind, torch.Tensor):
        dtype = kind.dtype if kind.is_floating_point() else torch.float32
        return torch.from_numpy(np.ascontiguousarray(numbers)).to(kind.device, dtype)
    if isinstance(kind, np.ndarray):
        return numbers.astype(kind.dtype if kind.dtype.kind == "f" else np.float32)
    return numbers.tolist()


def parts_of(values: Any, ends: Sequence[int], kind: Any, size: tuple[int, int]) -> list[Any]:
    """A field of all instances, output by output. ends: [N + 1] where each output's begin.

    What came as torchvision's class is one again, its canvas being of `size` (height, width).
    """
    if not isinstance(values, torch.Tensor):
        return [values[i:j] for i, j in pairwise(ends)]
    parts = values.split([j - i for i, j in pairwise(ends)])
    return [wrapped(part, kind, size) for part in parts] if tv_name(kind) else list(parts)


def wrapped(tensor: torch.Tensor, kind: Any, size: tuple[int, int]) -> torch.Tensor:
    """A tensor in torchvision's class of `kind`."""
    from torchvision import tv_tensors

    canvas = {} if tv_name(kind) == "Mask" else {"canvas_size": size}
    return tv_tensors.wrap(tensor, like=kind, **canvas)


def masks_like(masks: torch.Tensor, kind: Any) -> Any:
    """Masks in the kind of those that came; those of PIL images are tensors."""
    if isinstance(kind, torch.Tensor):
        return masks.as_subclass(torch.Tensor).to(kind.device)
    return masks.cpu().numpy() if isinstance(kind, np.ndarray) else masks
