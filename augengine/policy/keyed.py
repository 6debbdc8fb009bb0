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
from functools import cache, lru_cache

import numpy as np

from ..compiled import twin
from ..elementary import cos_sin, exp, log, logs
from ..random_numbers import (
    PHILOX_M0,
    PHILOX_M1,
    PHILOX_ROUNDS,
    PHILOX_W0,
    PHILOX_W1,
    WORD,
    normal_radius,
    philox_round,
)

_WORD64 = 0xFFFFFFFFFFFFFFFF
# Above it the key of a draw that is the same in every epoch would run into the next occurrence's.
MOST_OCCURRENCES = 2**31 - 1
# Philox costs by the call: as many numbers may be drawn for nothing, if that saves one.
_WORTH_A_CALL = 512


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
    if len(set(ids.tolist())) == len(ids):  # as nearly always
        return np.zeros(len(ids), np.int64)
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


def _philox4x32(counter, keys, shape: tuple[int, int]) -> np.ndarray:
    """`philox4x32` of many counters in a quarter of the time: NumPy is fast where all operands have one
    shape or none, and nothing is allocated. Its four words, [k, 4, n] uint64.

    counter: four words that broadcast to shape [k, n]. keys: `_round_keys` of one key, or of [n].
    """
    # Words 2 and 0, and words 3 and 1: in this order a round reads and leaves them alike.
    even, odd, product = np.empty((3, 2, *shape), np.uint64)
    (word2, word0), (word3, word1), (product0, product1) = even, odd, product
    word0[:], word1[:], word2[:], word3[:] = counter
    for key0, key1 in keys:
        np.multiply(word0, _M0, product0)
        np.multiply(word2, _M1, product1)
        np.right_shift(product, _HALF, even)
        np.bitwise_xor(even, odd, even)
        np.bitwise_xor(word0, key0, word0)
        np.bitwise_xor(word2, key1, word2)
        np.bitwise_and(product, _WORD, odd)
    words = np.empty((shape[0], 4, shape[1]), np.uint64)
    for k, word in enumerate((word0, word1, word2, word3)):
        words[:, k] = word
    return words


@twin
def draws(seed, epoch, look, timeless, occurrences, ids, blocks, places):
    """Random numbers of samples for blocks of places: (words [4 · k, n] uint64, the same as uniform numbers),
    a block's four together.

    seed, epoch: 0 … 2⁶⁴ − 1. timeless: 0, or 1 for those that are the same in every epoch, which then is 0.
    occurrences: [n] int64, or None where none occurs again. ids: [n] int64. blocks, places: [k] uint64.
    """
    low, high = epoch & WORD, epoch >> 32
    if occurrences is None:
        keys = _batch_keys(seed, low, high, look, timeless)
    else:
        last = (2 * occurrences + timeless).astype(np.uint64)
        words = _philox4x32((low, high, look, last), _seed_keys(seed), (1, len(last)))
        keys = _round_keys(words[0, :2])
    ids = ids.astype(np.uint64)
    counter = (blocks[:, None], places[:, None], ids & _WORD, ids >> _HALF)
    words = _philox4x32(counter, keys, (len(blocks), len(ids))).reshape(4 * len(blocks), len(ids))
    return words, (words + 0.5) * 2.0**-32


# Arrays without a dimension, which NumPy takes sooner than Python's numbers.
_WORD, _HALF, _M0, _M1 = (
    np.array(number, np.uint64) for number in (WORD, 32, PHILOX_M0, PHILOX_M1)
)
# How far a key has moved before each round.
_WEYL = np.arange(PHILOX_ROUNDS, dtype=np.uint64)[:, None] * np.array(
    [PHILOX_W0, PHILOX_W1], np.uint64
)


def _round_keys(key) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two words of the key of each round. key: two words, ints or uint64 arrays [n]."""
    words = np.array(key, np.uint64)
    moved = _WEYL.reshape(_WEYL.shape + (1,) * (words.ndim - 1))
    return [(pair[0, ...], pair[1, ...]) for pair in (words + moved) & _WORD]


@lru_cache(maxsize=256)
def _batch_keys(seed: int, low: int, high: int, look: int, last: int) -> list:
    """The keys of samples of which none occurs again: those of all batches of an epoch."""
    return _round_keys(philox4x32((low, high, look, last), (seed & WORD, seed >> 32))[:2])


@lru_cache(maxsize=16)
def _seed_keys(seed: int) -> list:
    return _round_keys((seed & WORD, seed >> 32))


@lru_cache(maxsize=256)
def _counters(block_counts: tuple[tuple[int, int], ...]) -> tuple:
    """(blocks [k], places [k], {place: its rows of words}) of (place, number of blocks) pairs."""
    counts = np.array([count for _, count in block_counts])
    ends = np.cumsum(counts)
    places = np.repeat(np.array([place for place, _ in block_counts], np.uint64), counts)
    blocks = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
    rows = zip((4 * (ends - counts)).tolist(), (4 * ends).tolist(), strict=True)
    parts = {place: slice(*row) for (place, _), row in zip(block_counts, rows, strict=True)}
    return blocks.astype(np.uint64), places, parts


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
    # Only for speed: what was asked for, {place: blocks}, and what has been worked out ahead for all
    # samples, {place: (words, uniform numbers)}, [4 · blocks, n] each.
    block_counts: dict[int, int] = field(default_factory=dict, repr=False, compare=False)
    _ahead: dict[int, tuple] = field(default_factory=dict, repr=False, compare=False)
    # How many of the ids are samples, before those of forks; 0: all.
    samples: int = field(default=0, repr=False, compare=False)
    # The places of ops that have asked for random words.
    places: set[int] = field(default_factory=set, repr=False, compare=False)

    def work_out(self, block_counts: dict[int, int]) -> None:
        """Work out in one go what a draft of the same policy asked for."""
        if not block_counts:
            return
        blocks, places, parts = _counters(tuple(block_counts.items()))
        words, uniform = self._draws(blocks, places)
        words.flags.writeable = uniform.flags.writeable = False  # they may be asked for again
        self._ahead.update({p: (words[part], uniform[part]) for p, part in parts.items()})

    def _draws(self, blocks, places, rows=slice(None), timeless=False) -> tuple:
        occurrences = None if self.occurrences is None else self.occurrences[rows]
        epoch = 0 if timeless else self.epoch & _WORD64
        seed, ids = self.seed & _WORD64, self.ids[rows]
        return draws(seed, epoch, self.look, int(timeless), occurrences, ids, blocks, places)

    def forked(self, rows) -> Keyed:
        """The same with rows repeated at the end."""
        occurrences = self.occurrences
        if occurrences is not None:
            occurrences = np.concatenate([occurrences, occurrences[rows]])
        ids = np.concatenate([self.ids, self.ids[rows]])
        samples = self.samples or len(self.ids)
        return replace(self, ids=ids, occurrences=occurrences, samples=samples)

    def order(self, rows: slice) -> np.ndarray:
        """Which of the rows is the first, the second … by id, then by occurrence: an order that does
        not depend on the batch's."""
        if self.occurrences is None:
            return np.argsort(self.ids[rows], kind="stable")
        return np.lexsort((self.occurrences[rows], self.ids[rows]))

    def words(self, place: int, count: int, rows=slice(None), timeless=False) -> np.ndarray:
        """[len(rows), count] uint64 holding 32-bit words, for the op at `place`. timeless: the same
        in every epoch."""
        return self._drawn(0, place, count, rows, timeless)

    def _drawn(self, kind: int, place: int, count: int, rows, timeless: bool) -> np.ndarray:
        """Words (kind 0), or the same as uniform numbers (kind 1), [len(rows), count]."""
        drawn = None if timeless else self._worked_out(place, count, rows)
        if drawn is not None:
            return drawn[kind][:count, rows].T
        if len(self.ids[rows]):
            self.places.add(place)
        blocks, places, _ = _counters(((place, -(-count // 4)),))
        return self._draws(blocks, places, rows, timeless)[kind][:count].T

    def _worked_out(self, place: int, count: int, rows) -> tuple | None:
        """(words, uniform numbers) [4 · blocks, n] in which what is asked for stands, if it does."""
        n, of_all = len(self.ids), isinstance(rows, slice)
        asked, blocks = len(range(n)[rows]) if of_all else len(rows), -(-count // 4)
        if asked:
            self.places.add(place)
        if blocks * ((self.samples or n) - asked) <= _WORTH_A_CALL:
            self.block_counts[place] = max(blocks, self.block_counts.get(place, 0))
        ahead = self._ahead.get(place)
        if ahead is None or count > len(ahead[0]):
            return None
        # Rows that came later, by a fork, are not in it.
        known = ahead[0].shape[1]
        if of_all:
            return ahead if n == known or rows == slice(known) else None
        return ahead if rows.max(initial=-1) < known else None

    def uniform(self, place: int, count: int, rows=slice(None), stratify=False) -> np.ndarray:
        """[len(rows), count] float64 in the open interval (0, 1).

        stratify: over the epochs each draw of a sample walks evenly through (0, 1), from a random
        start, by an irrational step of its own (a Kronecker sequence: in n epochs every interval
        gets its share of them to within some log n). In any one epoch draws are as random as ever.
        """
        uniform = self._drawn(1, place, count, rows, stratify)
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
    # Nearly all accept one of the first three, which are looked at together.
    for first, end in ((0, 3), (3, GAMMA_TRIES)):
        tries = uniform[rows, 3 * first : 3 * end].reshape(len(rows), end - first, 3)
        radius, turn, accept = np.ascontiguousarray(tries.transpose(2, 0, 1))
        deviate = normal(radius, turn)
        root = 1 + c * deviate
        cube = np.maximum(root * root * root, 1e-270)
        log_cube = log(cube)
        accepted = log(accept) < 0.5 * deviate * deviate + d * (1 - cube + log_cube)
        accepted &= root > 0
        best = (np.arange(len(rows)), accepted.argmax(axis=1))
        some = accepted[best]
        log_value[rows[some]] += log_cube[best][some]
        rows = rows[~some]
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
