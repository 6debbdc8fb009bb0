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
    """The plan as `execute_compiled` takes it: uint8 [N, bytes] in main memory, N being the number of outputs.

    The width is rounded up to a power of two, so that plans of one policy and batch size mostly have
    one shape, and nothing is compiled for another.
    """
    data = plan.to_bytes()
    n = len(plan)
    width = 1 << (-(-(len(data) + _LENGTH_BYTES) // n) - 1).bit_length()
    made = np.zeros((n, width), np.uint8)
    flat = made.reshape(-1)
    flat[:_LENGTH_BYTES].view(np.int64)[0] = len(data)
    flat[_LENGTH_BYTES : _LENGTH_BYTES + len(data)] = np.frombuffer(data, np.uint8)
    return torch.from_numpy(made)


def execute_compiled(images: torch.Tensor, plan: torch.Tensor, finish: Finish) -> torch.Tensor:
    """`execute` as an operator, for functions that torch.compile compiles.

    images: a batch (B, C, H, W) or (B, H, W, C), on any device. plan: what `as_tensor` made of one;
    finish: that plan's. Returns (N, C, H, W) on the images' device, what `execute` gives to the last
    bit. Autocast changes nothing of it. It carries no gradient: that is what
    `execute(plan, images, executor="torch")` is for.
    Raises ValueError as `execute` does, and for a finish that is not the plan's.
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
    plan: torch.Tensor,
    channels: int,
    height: int,
    width: int,
    dtype: str,
    channels_last: bool,
) -> torch.Tensor:
    from . import execute

    decided = _plan_of(plan)
    finish = decided.finish
    expected = ((height, width), channels, dtype, channels_last)
    if (finish.size, finish.channels, finish.dtype, finish.channels_last) != expected:
        raise ValueError(
            f"execute_compiled: the plan makes {finish}, expected size {(height, width)}, {channels} "
            f"channel(s), {dtype}, channels_last={channels_last}. Pass the finish of the plan itself."
        )
    return execute(decided, images)


@_execute.register_fake
def _(images, plan, channels, height, width, dtype, channels_last):
    layout = torch.channels_last if channels_last else torch.contiguous_format
    shape = (plan.shape[0], channels, height, width)
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
