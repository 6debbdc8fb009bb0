"""Keyed randomness: every draw is a pure function of where it is needed.

    draw = Philox4x32-10(key from (seed, epoch, look, occurrence), counter (block, place, sample id))

`place` is the op's number in its policy. `occurrence` counts how often the id has come before in the
epoch. No state is kept and no global generator is touched, so a sample meets the same draws in any
batch, order, process, device or resumed run.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np

from ..elementary import cos_sin, exp, log, logs
from ..random_numbers import PHILOX_ROUNDS, WORD, normal_radius, philox_round

_WORD64 = 0xFFFFFFFFFFFFFFFF
# Above it the key of a draw that is the same in every epoch would run into the next occurrence's.
MOST_OCCURRENCES = 2**31 - 1


def id_of_name(name: str | bytes) -> int:
    """A name, such as a file's path or WebDataset's __key__, as an id: 64 bits of its BLAKE2b hash, so
    the same on every machine and in every run. A str goes by its UTF-8 bytes."""
    data = name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def ids_of_names(names: Iterable[object]) -> list[object]:
    """Ids, of which those that are str or bytes become numbers."""
    return [id_of_name(name) if isinstance(name, (str, bytes)) else name for name in names]


def count_repeats(ids: np.ndarray) -> np.ndarray:
    """[n] how often each id has come before in ids [n]."""
    order = np.argsort(ids, kind="stable")
    in_order = ids[order]
    at = np.arange(len(ids))
    first = np.maximum.accumulate(np.where(np.r_[True, in_order[1:] != in_order[:-1]], at, 0))
    repeats = np.empty(len(ids), np.int64)
    repeats[order] = at - first
    return repeats


def philox4x32(counter, key):
    """Philox4x32 with 10 rounds (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*).

    counter: four 32-bit words, each an int or a uint64 array; arrays broadcast.
    key: two 32-bit words, ints or uint64 arrays as well.
    Returns four 32-bit words as ints or uint64 arrays; equal to the Random123 known answers.
    """
    state = (*counter, *key)
    for _ in range(PHILOX_ROUNDS):
        state = philox_round(*state)
    return state[:4]


@dataclass(frozen=True)
class Keyed:
    """The draws of some samples, in one epoch, for one look.

    seed: any int of 64 bits. epoch: int ≥ 0. ids: [n] int64, the samples' identities. look: int.
    occurrences: [n] int64, how often each id has come before in the epoch; None: never.
    """

    seed: int
    epoch: int
    ids: np.ndarray
    look: int = 0
    occurrences: np.ndarray | None = None
    # Only for speed: what was asked for all samples, {place: blocks}, and what has been worked out
    # ahead, {place: words [4 · blocks, n]}. Philox costs by the call, not by the number.
    block_counts: dict[int, int] = field(default_factory=dict, repr=False, compare=False)
    _ahead: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    # The places of ops that have asked for random words.
    places: set[int] = field(default_factory=set, repr=False, compare=False)

    def work_out(self, block_counts: dict[int, int]) -> None:
        """Work out in one go what a draft of the same policy asked for."""
        if not block_counts:
            return
        places = np.concatenate([np.full(blocks, place) for place, blocks in block_counts.items()])
        blocks = np.concatenate([np.arange(blocks) for blocks in block_counts.values()])
        words = self._blocks(blocks, places, self.ids, self._key)
        ends = 4 * np.cumsum([*block_counts.values()])
        self._ahead.update(zip(block_counts, np.split(words, ends[:-1]), strict=True))

    @cached_property
    def _key(self) -> tuple:
        epoch = self.epoch & _WORD64
        return self._keyed(epoch & WORD, epoch >> 32, 0)

    @cached_property
    def _timeless_key(self) -> tuple:
        return self._keyed(0, 0, 1)

    def _keyed(self, low, high, timeless: int) -> tuple:
        """Two words: ints, or [n] where samples occur again."""
        seed = self.seed & _WORD64
        last: int | np.ndarray = timeless
        if self.occurrences is not None:
            last = 2 * self.occurrences.astype(np.uint64) + np.uint64(timeless)
        return philox4x32((low, high, self.look, last), (seed & WORD, seed >> 32))[:2]

    def forked(self, rows) -> Keyed:
        """The same with rows repeated at the end."""
        more = {"ids": np.concatenate([self.ids, self.ids[rows]])}
        if self.occurrences is not None:
            more["occurrences"] = np.concatenate([self.occurrences, self.occurrences[rows]])
        return replace(self, **more)  # type: ignore[arg-type]

    def order(self, rows: slice) -> np.ndarray:
        """Which of the rows is the first, the second … by id, then by occurrence: an order that does
        not depend on the batch's."""
        if self.occurrences is None:
            return np.argsort(self.ids[rows], kind="stable")
        return np.lexsort((self.occurrences[rows], self.ids[rows]))

    def words(self, place: int, count: int, rows=slice(None), timeless=False) -> np.ndarray:
        """[len(rows), count] uint64 holding 32-bit words, for the op at `place`. timeless: the same
        in every epoch."""
        ids, blocks = self.ids[rows], -(-count // 4)
        if len(ids):
            self.places.add(place)
        ahead = self._ahead.get(place)
        if not timeless and 2 * len(ids) > len(self.ids):
            self.block_counts[place] = max(blocks, self.block_counts.get(place, 0))
        # Rows that came later, by a fork, are not in it.
        if (
            ahead is not None
            and not timeless
            and count <= len(ahead)
            and (
                len(self.ids) == ahead.shape[1]
                or (not isinstance(rows, slice) and rows.max(initial=-1) < ahead.shape[1])
            )
        ):
            return ahead[:count][:, rows].T
        key = self._timeless_key if timeless else self._key
        if self.occurrences is not None:
            key = tuple(word[rows] for word in key)
        return self._blocks(np.arange(blocks), np.full(blocks, place), ids, key)[:count].T

    @staticmethod
    def _blocks(blocks, places, ids, key) -> np.ndarray:
        """[4 · blocks, n]: a block's four words stay together."""
        ids = ids.astype(np.uint64)
        block, place = (array.astype(np.uint64)[:, None] for array in (blocks, places))
        words = philox4x32((block, place, ids & WORD, ids >> 32), key)
        return np.stack(words, axis=1).reshape(4 * len(blocks), len(ids))

    def uniform(self, place: int, count: int, rows=slice(None), stratify=False) -> np.ndarray:
        """[len(rows), count] float64 in the open interval (0, 1).

        stratify: over the epochs each draw of a sample walks evenly through (0, 1), from a random
        start, by an irrational step of its own (a Kronecker sequence: in n epochs every interval
        gets its share of them to within some log n). In any one epoch draws are as random as ever.
        """
        uniform = (self.words(place, count, rows, stratify) + 0.5) * 2.0**-32
        if stratify:
            walked = uniform + (self.epoch % 2**32) * _irrational_steps(count)
            uniform = np.clip(walked - np.floor(walked), 2.0**-33, 1 - 2.0**-33)
        return uniform


@cache
def _irrational_steps(count: int) -> np.ndarray:
    """The golden ratio, than which no step spreads better, then roots of primes, which no rational
    relation ties to each other. [count] in (0, 1)."""
    primes = (n for n in itertools.count(2) if all(n % d for d in range(2, math.isqrt(n) + 1)))
    without_five = (p for p in primes if p != 5)  # its root is the golden ratio's
    roots = np.array(
        [(1 + math.sqrt(5)) / 2, *(math.sqrt(next(without_five)) for _ in range(count - 1))]
    )
    return roots - np.floor(roots)


def below(uniform, bound):
    """A whole number in [0, bound) from a uniform number; both may be arrays. int64."""
    return np.minimum(np.floor(uniform * bound), np.asarray(bound) - 1).astype(np.int64)


def normal(uniform_radius, uniform_turn):
    """A standard normal number from two uniform ones in (0, 1), by Box and Muller."""
    return normal_radius(uniform_radius) * cos_sin(uniform_turn, 0.25)[0]


GAMMA_TRIES = 8


def gamma_draws(alpha: float) -> int:
    """How many uniform numbers a Gamma(alpha, 1) variate takes."""
    return 1 if alpha == 1 else 3 * GAMMA_TRIES + 1


def log_gamma_variate(uniform, alpha: float):
    """Log of a Gamma(alpha, 1) variate (Marsaglia and Tsang 2000), alpha > 0.

    uniform: [n, gamma_draws(alpha)] in (0, 1). In logs, since a small alpha underflows. A try is
    accepted with probability above 0.95; after GAMMA_TRIES misses (4e-11) the mode is taken. alpha 1 is
    the exponential distribution. Returns [n].
    """
    if alpha == 1:
        return log(-log(uniform[:, 0]))
    shape = alpha if alpha >= 1 else alpha + 1
    d = shape - 1 / 3
    c = 1 / np.sqrt(9 * d)
    log_value = np.full(len(uniform), logs(d)[0])
    rows = np.arange(len(uniform))  # those that wait for a try
    for first in range(0, 3 * GAMMA_TRIES, 3):
        radius, turn, accept = uniform[rows, first : first + 3].T
        deviate = normal(radius, turn)
        root = 1 + c * deviate
        cube = np.maximum(root * root * root, 1e-270)
        log_cube = log(cube)
        accepted = log(accept) < 0.5 * deviate * deviate + d * (1 - cube + log_cube)
        accepted &= root > 0
        log_value[rows[accepted]] += log_cube[accepted]
        rows = rows[~accepted]
        if not len(rows):
            break
    return log_value if alpha >= 1 else log_value + log(uniform[:, -1]) / alpha


def dirichlet_variate(uniform, alpha: float, width: int):
    """Dirichlet(alpha, …, alpha) from uniform [n, width · gamma_draws(alpha)]. Returns [n, width], each
    row with sum 1."""
    draws = uniform.reshape(-1, gamma_draws(alpha))
    if alpha == 1:
        variates = -log(draws).reshape(-1, width)
    else:
        log_variates = log_gamma_variate(draws, alpha).reshape(-1, width)
        variates = exp(log_variates - log_variates.max(axis=1, keepdims=True))
    # One after the other: `sum` goes by how they lie in memory.
    return variates / np.cumsum(variates, axis=1)[:, -1:]


def beta_variate(uniform, alpha: float):
    """Beta(alpha, alpha) from uniform [n, 2 · gamma_draws(alpha) or more]. Returns [n] in [0, 1]."""
    return dirichlet_variate(uniform[:, : 2 * gamma_draws(alpha)], alpha, 2)[:, 0]
