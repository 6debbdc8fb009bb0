"""Which executor draws where, when nobody asks for one by name."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec

import torch

from ..aliases import Executor

CPU_EXECUTORS: tuple[Executor, ...] = ("cpu", "torch")  # those that draw CPU images
EXECUTORS: tuple[Executor, ...] = (*CPU_EXECUTORS, "gpu")


def choose(device: torch.device, requires_grad: bool = False) -> Executor:
    """The executor that `execute` takes by itself.

    Args:
        device: Device that the images are on.
        requires_grad: Whether the images require a gradient.

    Returns:
        "torch" for images that require a gradient and for devices that no other executor draws on,
        "cpu" for other CPU images, "gpu" for those on a CUDA device. Without Triton a CUDA device is
        drawn on by "torch", and a warning says so once.

    Example:
        >>> ae.kernels.choose(torch.device("cpu"))
        'cpu'
        >>> ae.kernels.choose(torch.device("cpu"), requires_grad=True)
        'torch'
    """
    if requires_grad:
        return "torch"
    if device.type == "cuda":
        if has_triton():
            return "gpu"
        _warn_without_triton()
    return "cpu" if device.type == "cpu" else "torch"


def has_triton() -> bool:
    """Whether Triton is installed, on which the gpu executor is built."""
    return find_spec("triton") is not None


@cache
def _warn_without_triton() -> None:
    """Warn once: going slow is not done in silence."""
    warnings.warn(
        "augengine: triton cannot be imported, so the torch executor draws on this GPU, in many "
        "launches instead of one. Get it with pip install triton.",
        stacklevel=4,
    )


def full_precision(device: torch.device) -> AbstractContextManager:
    """A context in which autocast rounds no product: what is drawn does not depend on the mode."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
