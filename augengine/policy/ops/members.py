"""The operations of a published policy, one by one: what RandAugment and the like are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..keyed import below
from . import spaces
from .auto import (
    _DRAWS,
    TIMM_LEVELS,
    AutoAugment,
    FixMatchAugment,
    RandAugment,
    TrivialAugmentWide,
    UniformAugment,
    _carry_out,
    _noisy,
    _turns,
)
from .op import Op


@dataclass(frozen=True, repr=False)
class _Named(Op):
    """Something of a published policy that goes by an operation's name in its table."""

    of: Op
    name: str

    # What a Policy asks its ops for.

    @property
    def fill(self) -> object:
        return getattr(self.of, "fill", None)

    @property
    def units_of_fill(self) -> str | None:
        return getattr(self.of, "units_of_fill", None)

    @property
    def interpolation(self) -> object:
        return getattr(self.of, "interpolation", None)


@dataclass(frozen=True, repr=False)
class Member(_Named):
    """One operation of a published policy, which happens to every sample, at the magnitudes that the policy
    draws for it.

    Args:
        of: The policy: RandAugment, TrivialAugmentWide, AutoAugment, UniformAugment or FixMatchAugment.
        name: Name of the operation in the policy's table, such as 'Rotate'.
    """

    def _decide(self, draft, rows, place):
        (turn,) = _turns(draft.uniform(place, _DRAWS, rows), 1)
        of, first = self.of, np.zeros(len(rows), np.int64)
        bins = None
        if isinstance(of, RandAugment):
            bins = of.num_magnitude_bins
            level = _noisy(of.magnitude, of.magnitude_std, of._most, turn)
        elif isinstance(of, TrivialAugmentWide):
            bins = of.num_magnitude_bins
            level = below(turn.level, bins)
        elif isinstance(of, AutoAugment):
            bins = 10
            steps = [step for sub in _table(of) for step in sub]
            levels = np.array([level for name, _, level in steps if name == self.name])
            most = TIMM_LEVELS if of.dialect == "timm" else 9
            drawn = levels[below(turn.which, len(levels))]
            level = _noisy(drawn, of.magnitude_std, most, turn, always_normal=True)
        else:
            level = turn.level
        _carry_out(draft, rows, [_space(of)[self.name]], first, level, turn, bins)

    def __repr__(self) -> str:
        return f"{type(self.of).__name__}: {self.name}"


@dataclass(frozen=True, repr=False)
class Less(_Named):
    """A published policy without one of its operations: where a sample draws that one, nothing happens to it.
    All that others draw stays what it is.

    Args:
        of: RandAugment or TrivialAugmentWide: what `can_leave_out` says.
        name: Name of the operation in the policy's table, such as 'Rotate'.
    """

    def _decide(self, draft, rows, place):
        of: Any = self.of
        # As the policies decide, but that whoever drew the operation has drawn none.
        rand = isinstance(of, RandAugment)
        table = _space(of)
        names = list(of._names) if rand else list(table)
        entries = [table[name] for name in names]
        count = of.num_ops if rand else 1
        for turn in _turns(draft.uniform(place, _DRAWS * count, rows), count):
            choice = below(turn.which, len(entries))
            if rand:
                p = of.p if of.p is not None else 0.5 if of.dialect == "timm" else 1.0
                choice = np.where(turn.whether <= p, choice, -1)
                level = _noisy(of.magnitude, of.magnitude_std, of._most, turn)
            else:
                level = below(turn.level, of.num_magnitude_bins)
            choice = np.where(choice == names.index(self.name), -1, choice)
            _carry_out(draft, rows, entries, choice, level, turn, of.num_magnitude_bins)

    def __repr__(self) -> str:
        return f"{type(self.of).__name__} without {self.name}"


def members(op: Op) -> dict[str, float]:
    """What a published policy is made of.

    Args:
        op: An op.

    Returns:
        {name of an operation: share of samples that meet it}, without the one that changes nothing. Empty
        for an op that has no table of operations; AugMix, whose chains are blended, is one.
    """
    if isinstance(op, AutoAugment):
        table = _table(op)
        names = dict.fromkeys(name for sub in table for name, _, _ in sub)
        missed = {
            name: [math.prod(1 - p for step, p, _ in sub if step == name) for sub in table]
            for name in names
        }
        return {name: 1 - sum(shares) / len(table) for name, shares in missed.items()}
    if isinstance(op, RandAugment):
        weights, turns = op._names, op.num_ops
        p = op.p if op.p is not None else 0.5 if op.dialect == "timm" else 1.0
    elif isinstance(op, (TrivialAugmentWide, UniformAugment, FixMatchAugment)):
        weights, turns = dict.fromkeys(_space(op), 1.0), getattr(op, "num_ops", 1)
        p = 0.5 if isinstance(op, UniformAugment) else 1.0
    else:
        return {}
    whole = sum(weights.values())
    return {
        name: 1 - (1 - p * weight / whole) ** turns
        for name, weight in weights.items()
        if weight and _space(op)[name].act is not None
    }


def can_leave_out(op: Op) -> bool:
    """Whether `Less` leaves single operations out of a policy."""
    return isinstance(op, TrivialAugmentWide) or (isinstance(op, RandAugment) and not op._weighted)


def _space(op: Op) -> dict[str, spaces.Entry]:
    if getattr(op, "dialect", None) == "timm":
        return spaces.TIMM
    tables = {
        RandAugment: spaces.RAND_AUGMENT,
        TrivialAugmentWide: spaces.TRIVIAL_AUGMENT_WIDE,
        AutoAugment: spaces.AUTO_AUGMENT,
        UniformAugment: spaces.UNIFORM_AUGMENT,
        FixMatchAugment: spaces.FIX_MATCH,
    }
    return tables[type(op)]


def _table(op: AutoAugment) -> Sequence[Sequence[tuple[str, float, float]]]:
    """The sub-policies, each of (operation, probability, level)."""
    return spaces.AUTO_AUGMENT_POLICIES[op.dialect][str(op.policy)]
