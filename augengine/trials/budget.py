"""How long trainings may be, so that all of them take the time that was given."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..policy.policy import Policy
from ..tuning.tune import work

GROWTH, RUNGS, FEW_RUNGS = 3, 3, 2  # each rung's steps in those of the one before; how many rungs
# Steps of the first rung. Below ENOUGH it tells little of the arms, so that one rung less is better.
MOST_FIRST, ENOUGH, LEAST_FIRST = 150, 50, 15
USED = 0.9  # of the time that was given; timings are rough
_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds_of(text: str) -> float:
    """Seconds of a time such as 90s, 10m or 1.5h.

    Raises:
        ValueError: It is no such text.
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smh])", text.strip())
    if found is None or float(found[1]) == 0:
        raise ValueError(f"--budget: got {text!r:.40}, expected a time such as 90s, 10m or 1.5h.")
    return float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True)
class Speed:
    """What a training takes.

    Args:
        training: Seconds of it whatever its length.
        step: Seconds of each step.
    """

    training: float
    step: float

    def seconds(self, planned: Sequence[tuple[int, int]]) -> float:
        """What so many trainings of so many steps take."""
        return sum(count * (self.training + steps * self.step) for count, steps in planned)


def measured(train: Callable[[int], object], few: int = 6, many: int = 24) -> Speed:
    """Time a function of a number of steps, twice, after it was called once to warm up."""
    train(few)
    seconds = []
    for steps in (few, many):
        start = time.perf_counter()
        train(steps)
        seconds.append(time.perf_counter() - start)
    step = max((seconds[1] - seconds[0]) / (many - few), 1e-6)
    return Speed(max(seconds[0] - few * step, 0.0), step)


def rungs_from(first: int, count: int = RUNGS) -> tuple[int, ...]:
    """The steps of each rung."""
    return tuple(first * GROWTH**k for k in range(count))


def rungs_within(
    budget: float,
    speed: Speed,
    policies: Mapping[str, Policy],
    arms: int,
    folds: int,
    seeds: int,
    inside: bool = False,
    crossed: bool = False,
) -> tuple[int, ...]:
    """The longest rungs, up to 150 steps of the first, that a time allows: three, or two where it is short.

    Args:
        budget: Seconds.
        speed: What a training takes.
        policies: Policies by name, as of `ae.tune`.
        arms: Number of arms.
        folds: Number of folds.
        seeds: Number of seeds at the end.
        inside: Whether operations inside published policies are looked at.
        crossed: Whether the choice is made anew for each of five outer folds.

    Raises:
        ValueError: It allows too little to learn anything.
    """

    for count in (RUNGS, FEW_RUNGS):
        at_0, at_1 = (
            speed.seconds(
                work(
                    policies,
                    arms,
                    folds,
                    rungs_from(first, count),
                    seeds,
                    True,
                    inside,
                    crossed=crossed,
                    asked=True,
                )
            )
            for first in (0, 1)
        )
        most = int((USED * budget - at_0) / (at_1 - at_0))
        if most >= (ENOUGH if count > FEW_RUNGS else LEAST_FIRST):
            return rungs_from(min(MOST_FIRST, most), count)
    least = at_0 + LEAST_FIRST * (at_1 - at_0)
    raise ValueError(
        f"--budget: got {budget:.0f} s, expected {math.ceil(least / USED / 60)} minutes at least: a step takes "
        f"{1000 * speed.step:.0f} ms, and the first of {FEW_RUNGS} rungs needs {LEAST_FIRST}. Pass more, or a "
        "smaller --size, another --model, fewer --folds."
    )
