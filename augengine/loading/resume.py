"""An iteration that is begun again where it stood: what it began with, and how far it has got."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from .passes import chain
from .sampler import KeyedSampler


@dataclass(frozen=True)
class Start:
    """What an iteration began with."""

    passes: int  # before it
    random: torch.Tensor  # the state of torch's generator
    sampler: dict[str, Any] | None  # the state of a sampler that has one
    generators: list[torch.Tensor]  # the states of generators that the loader and its samplers have

    @staticmethod
    def of(loader: Any, passes: int) -> Start:
        sampler = _stateful_sampler(loader)
        return Start(
            passes,
            torch.get_rng_state(),
            None if sampler is None else sampler.state_dict(),
            [generator.get_state() for generator in _generators(loader)],
        )

    def again(self, loader: Any, given: int) -> Iterator:
        """The same iteration once more, after the batches that were given."""
        if state_of(loader) is not None:
            return iter(loader)
        before = torch.get_rng_state()
        torch.set_rng_state(self.random)
        for generator, state in zip(_generators(loader), self.generators, strict=True):
            generator.set_state(state)
        sampler = _stateful_sampler(loader)
        if sampler is not None and self.sampler is not None:
            sampler.load_state_dict(self.sampler)
        batches = iter(loader)
        for at in range(given):
            if next(batches, None) is None:
                raise RuntimeError(
                    f"DeviceLoader: the loader ended after {at} batches, expected the {given} that were "
                    "given before the state was saved, and more. Resume with the same data and batch "
                    "size."
                )
        if given:  # a sampler draws its order with the first index
            torch.set_rng_state(before)
        return batches


def state_of(loader: Any) -> Callable[[], Any] | None:
    """The loader's own state_dict, if it has one that works: accelerate's loaders have one always, which
    asks the loader that they hold."""
    if hasattr(loader, "base_dataloader") and not hasattr(loader.base_dataloader, "state_dict"):
        return None
    return getattr(loader, "state_dict", None)


def _stateful_sampler(loader: Any) -> KeyedSampler | None:
    samplers = chain(getattr(loader, "_index_sampler", None))
    return next((sampler for sampler in samplers if isinstance(sampler, KeyedSampler)), None)


def _generators(loader: Any) -> list[torch.Generator]:
    parts = (loader, *chain(getattr(loader, "_index_sampler", None)))
    found = (getattr(part, "generator", None) for part in parts)
    return [*{id(g): g for g in found if isinstance(g, torch.Generator)}.values()]


@dataclass
class Progress:
    """How far the consumer is."""

    start: Start
    given: int = 0
    inner: Any = None  # the loader's state at the batch that was given last
    ended: bool = False
