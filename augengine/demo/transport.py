"""Transport: the way of finished tensors from a DataLoader's worker to the main process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch.utils.data import DataLoader, Dataset

PAGE = 4096  # bytes of memory that the main process is given at a time


class Sender(Dataset):
    """Batches that are there already, each time in new shared memory, as Collate and pack write them."""

    def __init__(self, tensors: Sequence[torch.Tensor], rest: object) -> None:
        self.tensors, self.rest = list(tensors), rest

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, index: int) -> tuple:
        return [_in_shared_memory(tensor) for tensor in self.tensors], self.rest


def _in_shared_memory(tensor: torch.Tensor) -> torch.Tensor:
    storage = torch.UntypedStorage._new_shared(tensor.numel() * tensor.element_size())
    copied = torch.empty(0, dtype=tensor.dtype).set_(storage, 0, (tensor.numel(),), (1,))
    copied.copy_(tensor.reshape(-1))
    return copied


def _touch(tensor: torch.Tensor) -> None:
    """Read one byte of each page, so that the main process has them all."""
    tensor.view(torch.uint8)[::PAGE].sum()


def taker(sender: Sender) -> tuple[Callable[[], None], float]:
    """A call that takes the next tensors from one worker, which does nothing else; and the seconds until
    the worker, started here, gave its first.

    Args:
        sender: What the worker sends.
    """
    loader = DataLoader(sender, batch_size=None, sampler=range(len(sender)), num_workers=1)
    started = time.perf_counter()
    batches = iter(loader)

    def take() -> None:
        tensors, _ = next(batches)
        for tensor in tensors:
            _touch(tensor)

    take()
    start = time.perf_counter() - started
    for _ in range(4):  # what the worker has prepared meanwhile
        take()
    return take, start
