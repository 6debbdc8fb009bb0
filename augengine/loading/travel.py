"""Targets on their way between processes: the many small tensors of a batch as one buffer.

Each tensor that a worker hands over takes a file descriptor, of which a process has 1,024 as a rule, and a
call of the system. The targets of 64 images with six fields each are 384 tensors, and several batches are on
their way at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import get_worker_info

from ..targets.fields import tv_name
from .tensors import map_tensors

# Bytes. A larger tensor, such as masks, travels by itself: who keeps a box is not to keep all masks.
MOST = 1 << 16
# Bytes. Tensors begin at multiples of it, as those of torch's allocator do.
_STEP = 64


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies in the buffer, and what it is."""

    offset: int  # in bytes
    shape: torch.Size
    dtype: torch.dtype
    kind: type[torch.Tensor]  # torch.Tensor, or one of torchvision's classes
    state: dict[str, Any]  # what such a class has besides, such as the format of boxes


@dataclass(frozen=True)
class _Bundle:
    """Targets with a place for each small tensor, and the buffer that these lie in."""

    value: Any
    buffer: torch.Tensor  # uint8


def bundled(value: Any) -> Any:
    """Targets to be pickled: their small tensors copied into one buffer, in a worker a shared one."""
    small: list[tuple[_Place, torch.Tensor]] = []
    end = 0

    def placed(tensor: torch.Tensor) -> Any:
        nonlocal end
        if not _travels_with_others(tensor):
            return tensor
        state = {} if type(tensor) is torch.Tensor else dict(vars(tensor))
        place = _Place(end, tensor.shape, tensor.dtype, type(tensor), state)
        small.append((place, tensor))
        end += -(-tensor.nbytes // _STEP) * _STEP
        return place

    placed_value = map_tensors(placed, value)
    if not small:
        return value
    buffer = (
        torch.UntypedStorage._new_shared(end) if get_worker_info() else torch.UntypedStorage(end)
    )
    for place, tensor in small:
        _at(buffer, place).copy_(tensor)
    return _Bundle(placed_value, torch.empty(0, dtype=torch.uint8).set_(buffer))


def unbundled(value: Any) -> Any:
    """What `bundled` was given. Other values stay what they are."""
    if not isinstance(value, _Bundle):
        return value
    storage = value.buffer.untyped_storage()

    def taken(place: _Place) -> torch.Tensor:
        tensor = _at(storage, place)
        if place.kind is not torch.Tensor:
            tensor = tensor.as_subclass(place.kind)
            vars(tensor).update(place.state)
        return tensor

    return map_tensors(taken, value.value, _Place)


def _travels_with_others(tensor: torch.Tensor) -> bool:
    plain = type(tensor) is torch.Tensor or bool(tv_name(tensor))
    in_memory = tensor.device.type == "cpu" and tensor.layout == torch.strided
    return plain and in_memory and not tensor.requires_grad and tensor.nbytes <= MOST


def _at(storage: torch.UntypedStorage, place: _Place) -> torch.Tensor:
    """The tensor at a place. It is no view of another, so that changing one in place is none of the
    others' business."""
    empty = torch.empty(0, dtype=place.dtype)
    return empty.set_(storage, place.offset // place.dtype.itemsize, place.shape)  # type: ignore[call-overload]
