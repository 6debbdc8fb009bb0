"""Drawing as an operator of torch, `augengine::execute`, which torch.compile takes without a break.

What is random happens before it, in NumPy: a plan goes in as a tensor, and is no constant of what is
compiled. The output's shape is known from the arguments' shapes and the plan's finish.
"""

from __future__ import annotations

import numpy as np
import torch

from ..plan import Finish, Plan

_LENGTH_BYTES = 8


def as_tensor(plan: Plan) -> torch.Tensor:
    """The plan as a tensor, which `execute_compiled` takes.

    Args:
        plan: Plan of N outputs.

    Returns:
        Tensor uint8 [N, width] in main memory. The width is rounded up to a power of two, so that
        plans of one policy and batch size mostly have one shape, and nothing is compiled for another.

    Example:
        >>> plan = ae.Policy([ae.RandomHorizontalFlip()]).sample(ids=[0, 1], sizes=[(32, 48)] * 2)
        >>> tensor = ae.as_tensor(plan)
        >>> len(tensor), tensor.dtype
        (2, torch.uint8)
    """
    data = plan.to_bytes()
    n = len(plan)
    if not n:
        raise ValueError(
            "as_tensor: got a plan of no outputs, expected at least one, since a tensor without rows holds "
            "no plan. Skip the batch."
        )
    width = 1 << (-(-(len(data) + _LENGTH_BYTES) // n) - 1).bit_length()
    array = np.zeros((n, width), np.uint8)
    flat = array.reshape(-1)
    flat[:_LENGTH_BYTES].view(np.int64)[0] = len(data)
    flat[_LENGTH_BYTES : _LENGTH_BYTES + len(data)] = np.frombuffer(data, np.uint8)
    return torch.from_numpy(array)


def execute_compiled(images: torch.Tensor, plan: torch.Tensor, finish: Finish) -> torch.Tensor:
    """`execute` as an operator of torch, for functions that torch.compile compiles.

    It gives what `execute` gives, to the last bit; autocast changes nothing of it. It carries no
    gradient: `execute(plan, images, executor="torch")`, outside of what is compiled, does.

    Args:
        images: Tensor (B, C, H, W) on any device, as `execute` takes it.
        plan: Tensor uint8 [N, width] in main memory, from `as_tensor`.
        finish: The finish of that plan, which says the shape and dtype of what comes out.

    Returns:
        A new tensor (N, C, H, W) on the images' device.

    Raises:
        ValueError: As `execute` does, when the images require a gradient, when the tensor holds no
            plan, and when the finish is not that plan's.

    Example:
        >>> @torch.compile(backend="eager", fullgraph=True)
        ... def brightness(images, plan, finish):
        ...     return ae.execute_compiled(images, plan, finish).mean()
        >>> images = torch.full((2, 3, 32, 48), 0.5)
        >>> plan = ae.Policy([ae.RandomHorizontalFlip()]).sample(ids=[0, 1], sizes=[(32, 48)] * 2)
        >>> brightness(images, ae.as_tensor(plan), plan.finish)
        tensor(0.5000)
    """
    if images.requires_grad:
        raise ValueError(
            "execute_compiled: the images require a gradient, and the operator carries none, expected images "
            "without. Pass images.detach(), or call execute(plan, images) outside of what is compiled."
        )
    height, width = finish.size
    return _execute(
        images, plan, finish.channels, height, width, finish.dtype, finish.channels_last
    )


@torch.library.custom_op("augengine::execute", mutates_args=())
def _execute(
    images: torch.Tensor,
    tensor: torch.Tensor,
    channels: int,
    height: int,
    width: int,
    dtype: str,
    channels_last: bool,
) -> torch.Tensor:
    from . import execute

    plan = _plan_of(tensor)
    finish = plan.finish
    expected = ((height, width), channels, dtype, channels_last)
    if (finish.size, finish.channels, finish.dtype, finish.channels_last) != expected:
        raise ValueError(
            f"execute_compiled: the plan makes {finish}, expected size {(height, width)}, {channels} "
            f"channel(s), {dtype}, channels_last={channels_last}. Pass the finish of the plan itself."
        )
    return execute(plan, images)


@_execute.register_fake
def _(
    images: torch.Tensor,
    tensor: torch.Tensor,
    channels: int,
    height: int,
    width: int,
    dtype: str,
    channels_last: bool,
) -> torch.Tensor:
    """An output of the right shape with no values, by which torch.compile traces the operator."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = (tensor.shape[0], channels, height, width)
    return torch.empty(
        shape, dtype=getattr(torch, dtype), device=images.device, memory_format=layout
    )


def _plan_of(tensor: torch.Tensor) -> Plan:
    if tensor.device.type != "cpu" or tensor.dtype != torch.uint8 or tensor.ndim != 2:
        raise ValueError(
            f"execute_compiled: got a plan of {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}, "
            "expected uint8 [N, bytes] in main memory. Pass as_tensor(plan) as it is."
        )
    data = tensor.numpy().tobytes()
    length = int(np.frombuffer(data, np.int64, 1)[0]) if len(data) >= _LENGTH_BYTES else 0
    return Plan.from_bytes(
        data[_LENGTH_BYTES : _LENGTH_BYTES + length], "execute_compiled: the plan's tensor"
    )
