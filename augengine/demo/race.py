"""Contenders timed by turns, and again if the machine was busy.

A spread is half the distance of the quartiles, as a share of the median. One above MOST_SPREAD says
more of the machine than of the work: the race is run again, and what stays above has no result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import measure
from .measure import Timing

OURS = "augengine"  # the contender that the others are compared with
WARM_UP = 3  # rounds; a heap that keeps what is freed takes two to grow
MOST_SPREAD = 0.15
ATTEMPTS = 4
SLOW = 0.25  # seconds of a round, above which a contender has FEWEST rounds and one to warm up
FEWEST = 3

Work = Callable[[], object]
After = Callable[[int, int], object]


def race(
    contenders: Mapping[str, Work], rounds: int, attempts: int = ATTEMPTS
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
        races.append(_once(contenders, rounds))
    return min(races, key=spread_of)


def _once(
    contenders: Mapping[str, Work], rounds: int, after: After = lambda done, total: None
) -> dict[str, Timing]:
    """One race. A contender whose first round is slow has no other to warm up, and fewer that count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    slow: set[str] = set()
    for done in range(WARM_UP + rounds):
        for name, work in contenders.items():
            if name in slow and not WARM_UP <= done < WARM_UP + FEWEST:
                continue
            taken = measure.timed(work)
            if done == 0 and taken > SLOW:
                slow.add(name)
            if done >= WARM_UP:
                seconds[name].append(taken)
        after(done + 1, WARM_UP + rounds)
    return {name: Timing(tuple(taken)) for name, taken in seconds.items()}


def spread_of(times: Mapping[str, Timing]) -> float:
    """The largest spread of a race: a ratio is no steadier than its less steady side."""
    return max(timing.spread for timing in times.values())


@dataclass(frozen=True)
class Beside:
    """A contender's rounds, and those of ours among them.

    Args:
        theirs: Timing of the contender.
        ours: Timing of ours in the same race, or of the contender itself, where it is ours.
    """

    theirs: Timing
    ours: Timing

    @property
    def spread(self) -> float:
        """The larger spread of the two: a ratio is no steadier than its less steady side."""
        return max(self.theirs.spread, self.ours.spread)


def beside(
    contenders: Mapping[str, Work],
    rounds: int,
    attempts: int = ATTEMPTS,
    after: After = lambda done, total: None,
) -> dict[str, Beside]:
    """Time all contenders by turns, and those that were unsteady again beside ours.

    Args:
        contenders: Works by their names, OURS among them.
        rounds: Number of timed rounds, after WARM_UP more.
        attempts: Number of races that a contender is in, at most.
        after: Function of (rounds done, rounds in all), called after each round of a race.

    Returns:
        For each contender its steadiest race.
    """
    best: dict[str, Beside] = {}
    racing = dict(contenders)
    for _ in range(attempts):
        times = _once(racing, rounds, after)
        for name, timing in times.items():
            found = Beside(timing, times[OURS])
            if name not in best or found.spread < best[name].spread:
                best[name] = found
        unsteady = {n: w for n, w in contenders.items() if best[n].spread > MOST_SPREAD}
        if not unsteady:
            break
        racing = {OURS: contenders[OURS], **unsteady}
    return best
