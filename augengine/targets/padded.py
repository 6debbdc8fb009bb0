"""Targets of differing counts as tensors of one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..checks import whole
from .fields import INSTANCES, NAMES, example, length, tv_name


def pad_targets(
    targets: Sequence[Mapping[str, object]],
    most: int | None = None,
    *,
    per_image: Sequence[str] = (),
) -> dict[str, object]:
    """Targets of a batch, each field of instances as one tensor, and which rows are instances.

    Args:
        targets: What `follow` gave: a dict for each output.
        most: Number of instances M that each is padded to; None is the most that one has.
        per_image: Names of further fields that belong to the image, and not to its instances.

    Returns:
        Of each field of instances a tensor [N, M, …], 0 beyond an output's own, and under "valid" a
        tensor [N, M] bool. Fields of images are stacked where they are numbers or tensors of one shape.
        What cannot be a tensor, such as names and polygons, stays a list.

    Raises:
        TypeError: A target is no dict.
        ValueError: An output has more than `most` instances, or there is no output.

    Example:
        >>> one, two = torch.ones(1, 4), torch.ones(2, 4)
        >>> padded = ae.pad_targets([{"boxes": one}, {"boxes": two}])
        >>> padded["boxes"].shape, padded["valid"].tolist()
        (torch.Size([2, 2, 4]), [[True, False], [True, True]])
    """
    if not targets:
        raise ValueError("pad_targets: got no targets, expected one or more. Skip such a batch.")
    wrong = [target for target in targets if not isinstance(target, Mapping)]
    if wrong:
        raise TypeError(
            f"pad_targets: got {type(wrong[0]).__name__}, expected the dicts of `follow`. Put boxes into a "
            "dict, such as {'boxes': boxes}."
        )
    if most is not None and not (whole(most) and most > 0):
        raise ValueError(
            f"pad_targets.most: got {most!r}, expected a whole number above 0, or None. Pass the most "
            "instances that an output may have."
        )
    counts = [count_of(target) for target in targets]
    if most is not None and max(counts) > most:
        at = int(np.argmax(counts))
        raise ValueError(
            f"pad_targets: got {counts[at]} instances in output {at}, expected {most} at most. Raise the "
            "number; none is dropped."
        )
    width = max(counts) if most is None else most
    padded: dict[str, object] = {}
    for name in targets[0]:
        values = [target[name] for target in targets]
        follows = name not in per_image and of_instances(name, values, counts)
        tensors = tensors_of(values) if follows else None
        if tensors is not None:
            kind = example(tensors)
            rows = kind.new_zeros((len(tensors), width, *kind.shape[1:]))
            for row, tensor, count in zip(rows, tensors, counts, strict=True):
                if count:
                    row[:count] = tensor
            padded[name] = rows
        else:
            padded[name] = _stacked(values)
    valid = torch.arange(width) < torch.tensor(counts)[:, None]
    return {**padded, "valid": valid}


def count_of(target: Mapping[str, object]) -> int:
    """How many instances a target has."""
    for value in target.values():
        if tv_name(value) in ("BoundingBoxes", "KeyPoints"):
            return length(value)
    for name in INSTANCES:
        if name in target:
            return length(target[name])
    return 0


def of_instances(name: str, values: Sequence[object], counts: Sequence[int]) -> bool:
    """Whether a field holds something for each instance, such as a tensor of their labels."""
    if NAMES.get(name) in ("image", "semantic"):
        return False
    return name in INSTANCES or [length(value) for value in values] == list(counts)


def tensors_of(values: Sequence[object]) -> list[torch.Tensor] | None:
    """Values as plain tensors; None for what torch has no tensors of, such as names."""
    try:
        return [torch.as_tensor(value).as_subclass(torch.Tensor) for value in values]
    except (TypeError, ValueError, RuntimeError):
        return None


def _stacked(values: list[object]) -> object:
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if len(tensors) == len(values) and len({tensor.shape for tensor in tensors}) == 1:
        return torch.stack(tensors)
    if all(isinstance(value, (bool, int, float)) for value in values):
        return torch.tensor(values)
    return values
