"""Contenders timed by turns, and again if the machine was busy.

A spread is half the distance of the quartiles, as a share of the median. One above MOST_SPREAD says
more of the machine than of the work: the race is run again, and what stays above has no result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from augengine.demo import measure
from augengine.demo.measure import Timing

WARM_UP = 3  # rounds; a heap that keeps what is freed takes two to grow
MOST_SPREAD = 0.15
ATTEMPTS = 4


def race(
    contenders: Mapping[str, Callable[[], object]], rounds: int, attempts: int = ATTEMPTS
) -> dict[str, Timing]:
    """Time contenders by turns; of several attempts the steadiest counts.

    Args:
        contenders: works by their names, called in this order in each round.
        rounds: number of timed rounds, after WARM_UP more.
        attempts: number of races at most; the first whose spread is at most MOST_SPREAD is the last.

    Returns:
        The contenders' timings, all of one race.
    """
    races: list[dict[str, Timing]] = []
    while len(races) < attempts and not (races and spread_of(races[-1]) <= MOST_SPREAD):
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(WARM_UP + rounds):
            for name, work in contenders.items():
                seconds[name].append(measure.timed(work))
        races.append({name: Timing(tuple(taken[WARM_UP:])) for name, taken in seconds.items()})
    return min(races, key=spread_of)


def spread_of(times: Mapping[str, Timing]) -> float:
    """The largest spread of a race: a ratio is no steadier than its less steady side."""
    return max(timing.spread for timing in times.values())
