"""The tensors in a batch's parts: in lists, tuples and dicts, and of torchvision's classes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..targets.fields import tv_name


def map_tensors(function: Callable[[Any], Any], value: Any, kind: type = torch.Tensor) -> Any:
    """A value after `function` of each tensor in it, in lists, tuples and dicts too; torchvision's classes
    stay what they are. kind: the class of what it is a function of."""
    if value is None:
        return None

    def mapped(leaf: Any) -> Any:
        if isinstance(leaf, kind):
            return like(function(leaf), leaf)
        if isinstance(leaf, MutableMapping):  # of a class that pytrees do not know
            clone = copy.copy(leaf)
            clone.update({key: map_tensors(function, part, kind) for key, part in leaf.items()})
            return clone
        return leaf

    return pytree.tree_map(mapped, value)


def like(value: Any, leaf: Any) -> Any:
    """A tensor in the class of torchvision's that another is of; most of torch's functions lose it."""
    if not isinstance(value, torch.Tensor) or type(value) is type(leaf) or not tv_name(leaf):
        return value
    from torchvision import tv_tensors

    return tv_tensors.wrap(value, like=leaf)


def map_fields(
    function: Callable[[torch.Tensor], torch.Tensor], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields by name, after `function` of each tensor in them."""
    return {name: map_tensors(function, value) for name, value in fields.items()}


def pinned(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in pinned memory, if it is in main memory."""
    return tensor.pin_memory() if tensor.device.type == "cpu" else tensor
