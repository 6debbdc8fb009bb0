"""Draws: Philox against its published answers, keys that matter in every part, distributions."""

import dataclasses
import hashlib

import numpy as np
import pytest
from scipy import stats

import augengine as ae
from augengine import compiled
from augengine.policy import keyed
from augengine.policy.keyed import (
    Keyed,
    below,
    beta_variate,
    gamma_draws,
    log_gamma_variate,
    philox4x32,
)

SURE = 1e-3  # of a fixed sample: a p-value below it is a wrong distribution, not bad luck

# Random123 1.14, kat_vectors, philox4x32 with 10 rounds: counter, key, answer.
ONES = 0xFFFFFFFF
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter, key, answer):
    assert tuple(int(word) for word in philox4x32(counter, key)) == answer


def test_philox_broadcasts_over_its_counter():
    first = np.array([row[0][0] for row in KNOWN_ANSWERS[:2]], np.uint64)
    many = philox4x32((first, 0, 0, 0), (0, 0))
    for k, word in enumerate(first):
        alone = philox4x32((word, 0, 0, 0), (0, 0))
        assert [int(w[k]) for w in many] == [int(w) for w in alone]


def words(seed=3, epoch=4, id=5, look=0, place=2, count=8, occurrence=0):
    occurrences = np.array([occurrence]) if occurrence else None
    return Keyed(seed, epoch, np.array([id]), look, occurrences).words(place, count)[0]


OTHER_KEYS = [
    {"seed": 4},
    {"seed": -3},
    {"seed": 3 + 2**32},
    {"seed": 3 - 2**63},
    {"epoch": 5},
    {"epoch": 4 + 2**32},
    {"occurrence": 1},
    {"occurrence": 2**31 - 1},
    {"id": 6},
    {"id": -5},
    {"id": 5 + 2**32},
    {"id": 2**40},
    {"id": 2**63 - 1},
    {"look": 1},
    {"place": 3},
    {"place": 2**20},
    # Parts that trade places are not the same key.
    {"seed": 4, "epoch": 3},
    {"id": 2, "place": 5},
    {"epoch": 0, "look": 4},
]


@pytest.mark.parametrize("other", OTHER_KEYS, ids=str)
def test_every_part_of_the_key_matters(other):
    assert not np.isin(words(**other), words()).any()


def test_all_these_keys_give_different_numbers():
    drawn = np.concatenate([words(), *(words(**other) for other in OTHER_KEYS)])
    assert len(np.unique(drawn)) == len(drawn)


def test_draw_numbers_are_stable_and_differ():
    many = words(count=33)
    assert len(np.unique(many)) == 33
    for count in (1, 3, 4, 5, 32):
        np.testing.assert_array_equal(words(count=count), many[:count])


def test_words_of_some_rows_are_rows_of_all_words():
    draws = Keyed(0, 0, np.array([9, 2**40, 7, -1, 9]))
    everyone = draws.words(1, 6)
    rows = np.array([3, 0, 1])
    np.testing.assert_array_equal(draws.words(1, 6, rows), everyone[rows])
    np.testing.assert_array_equal(everyone[0], everyone[4])  # the same id, the same draws
    assert draws.words(1, 6, rows[:0]).shape == (0, 6)


def test_draws_have_32_bits():
    drawn = Keyed(0, 0, np.arange(4096)).words(0, 8)
    assert drawn.dtype == np.uint64
    assert drawn.max() < 2**32
    ones = [np.count_nonzero(drawn >> np.uint64(bit) & np.uint64(1)) for bit in range(32)]
    for count in ones:
        assert stats.binomtest(count, drawn.size).pvalue > SURE / 32


def test_uniform_is_open(monkeypatch):
    """Logarithms are taken of it: neither 0 nor 1 may come, whatever the words."""
    extremes = np.array([[0], [2**32 - 1], [0], [0]], np.uint64)[None]
    monkeypatch.setattr(compiled, "_twins", {})
    monkeypatch.setattr(keyed, "_philox4x32", lambda *_: extremes)
    low, high = Keyed(0, 0, np.array([0])).uniform(0, 2)[0]
    assert 0 < low < 1e-9
    assert 1 - 1e-9 < high < 1


@pytest.mark.parametrize(
    "drawn",
    [
        Keyed(0, 0, np.arange(20_000)).uniform(0, 1)[:, 0],  # over samples
        Keyed(-7, 0, np.array([2**40])).uniform(3, 20_000)[0],  # over draw numbers
        np.concatenate([Keyed(1, e, np.arange(20)).uniform(0, 10).ravel() for e in range(100)]),
    ],
    ids=["samples", "numbers", "epochs"],
)
def test_uniform_is_uniform(drawn):
    assert stats.kstest(drawn, "uniform").pvalue > SURE
    counts, _ = np.histogram(drawn, 64, (0, 1))
    assert stats.chisquare(counts).pvalue > SURE


def test_neighbours_are_independent():
    """Neighbouring ids, places, draw numbers, epochs and seeds fill the unit square evenly."""
    ids = np.arange(20_000)
    base = Keyed(0, 0, ids).uniform(0, 2)
    pairs = {
        "number": base,
        "id": np.stack([base[:-1, 0], base[1:, 0]], 1),
        "place": np.stack([base[:, 0], Keyed(0, 0, ids).uniform(1, 1)[:, 0]], 1),
        "epoch": np.stack([base[:, 0], Keyed(0, 1, ids).uniform(0, 1)[:, 0]], 1),
        "seed": np.stack([base[:, 0], Keyed(1, 0, ids).uniform(0, 1)[:, 0]], 1),
        "view": np.stack([base[:, 0], Keyed(0, 0, ids, 1).uniform(0, 1)[:, 0]], 1),
    }
    for name, pair in pairs.items():
        counts, *_ = np.histogram2d(*pair.T, bins=8, range=[[0, 1], [0, 1]])
        assert stats.chisquare(counts.ravel()).pvalue > SURE, name


def test_below_is_uniform_over_whole_numbers():
    drawn = below(Keyed(0, 0, np.arange(21_000)).uniform(0, 1)[:, 0], 7)
    assert drawn.dtype == np.int64
    assert stats.chisquare(np.bincount(drawn, minlength=7)).pvalue > SURE


def test_below_never_reaches_its_bound():
    highest = np.nextafter(1.0, 0)
    assert below(np.float64(highest), 1) == 0
    np.testing.assert_array_equal(
        below(np.full(3, highest), np.array([1, 5, 2**31])), [0, 4, 2**31 - 1]
    )
    np.testing.assert_array_equal(below(np.full(3, 2.0**-33), np.array([1, 5, 2**31])), 0)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 3.0])
def test_beta_variate_is_beta(alpha):
    drawn = beta_variate(Keyed(0, 0, np.arange(20_000)).uniform(0, 2 * gamma_draws(alpha)), alpha)
    assert np.isfinite(drawn).all()
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > SURE
    # Symmetric about a half, which is what makes partner and self exchangeable.
    assert stats.ks_2samp(drawn, 1 - drawn).pvalue > SURE


@pytest.mark.parametrize("alpha", [1e-3, 1e3])
def test_beta_variate_at_the_ends_of_what_mixes_take(alpha):
    drawn = beta_variate(Keyed(0, 0, np.arange(4000)).uniform(0, 2 * gamma_draws(alpha)), alpha)
    assert np.isfinite(drawn).all()
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.var() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.1)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.5])
def test_log_gamma_variate_is_gamma(alpha):
    drawn = np.exp(
        log_gamma_variate(Keyed(2, 0, np.arange(20_000)).uniform(0, gamma_draws(alpha)), alpha)
    )
    assert stats.kstest(drawn, stats.gamma(alpha).cdf).pvalue > SURE


def test_gamma_is_finite_when_every_try_misses():
    """The mode is taken; extreme draws make no NaN either."""
    for value in (2.0**-33, 1 - 2.0**-33):
        drawn = log_gamma_variate(np.full((2, gamma_draws(0.1)), value), 0.1)
        assert np.isfinite(drawn).all()


def test_what_was_worked_out_ahead_is_what_would_be_drawn():
    """Also for some rows, for more numbers than were asked for, and for rows that a fork added."""
    ids = np.array([5, 3, 2**40, 9])
    plain, ahead = Keyed(1, 2, ids), Keyed(1, 2, ids)
    ahead.work_out({0: 3, 4: 1})
    forked = dataclasses.replace(ahead, ids=np.concatenate([ids, [77, 78]]))
    longer = Keyed(1, 2, forked.ids)
    for place in (0, 4, 7):
        for count in (1, 4, 12, 13):
            for rows in (slice(None), np.array([2, 0]), np.arange(4), slice(1, 3)):
                got = ahead.uniform(place, count, rows)
                np.testing.assert_array_equal(got, plain.uniform(place, count, rows))
            for rows in (slice(None), slice(-3, None), np.array([4, 1]), np.array([3, 0])):
                got = forked.uniform(place, count, rows)
                np.testing.assert_array_equal(got, longer.uniform(place, count, rows))


# The same id several times in an epoch


def test_a_sample_that_comes_again_is_drawn_anew():
    """Whatever batch it is in, by the count of its comings and by nothing else."""
    policy = ae.Policy([ae.RandomResizedCrop(16), ae.RandomHorizontalFlip()])
    together = policy.sample([7, 3, 7, 7], [(40, 48)] * 4, epoch=2)
    assert together.occurrence.tolist() == [0, 0, 1, 2]
    assert len({together.inv_matrix[v].tobytes() for v in range(4)}) == 4
    for at, (name, count) in enumerate([(7, 0), (3, 0), (7, 1), (7, 2)]):
        alone = policy.sample([name], [(40, 48)], epoch=2, occurrences=[count])
        assert alone.inv_matrix[0].tobytes() == together.inv_matrix[at].tobytes()


@pytest.mark.parametrize("place", [0, 3])
def test_rows_that_occur_again_are_drawn_by_their_own_keys(place):
    ids, occurrences = np.array([9, 2, 9, 2**40]), np.array([0, 1, 5, 2])
    rows = np.array([2, 1])
    many = Keyed(1, 2, ids, 3, occurrences)
    many.work_out({place: 2})
    fresh = Keyed(1, 2, ids, 3, occurrences)
    for words_of in (many.words(place, 8), fresh.words(place, 8)):
        for i in range(4):
            alone = Keyed(1, 2, ids[i : i + 1], 3, occurrences[i : i + 1])
            np.testing.assert_array_equal(words_of[i], alone.words(place, 8)[0])
    np.testing.assert_array_equal(fresh.words(place, 8, rows), fresh.words(place, 8)[rows])


def test_an_epoch_of_its_own_never_meets_a_draw_of_every_epoch():
    """An occurrence's key and the next one's that holds in every epoch are derived from other counters."""
    ids = np.array([1])
    drawn = [
        Keyed(0, 0, ids, 0, np.array([k])).words(0, 4, timeless=timeless)[0].tolist()
        for k in range(5)
        for timeless in (False, True)
    ]
    assert len({tuple(row) for row in drawn}) == len(drawn)


def test_names_are_ids():
    """By 64 bits of BLAKE2b, as hashlib has it."""
    policy = ae.Policy(ae.RandomRotation(30))
    wanted = 7018458405039215757  # b2sum -l 64, read as a little-endian number
    assert hashlib.blake2b(b"n01/a.jpg", digest_size=8).digest() == wanted.to_bytes(8, "little")
    sizes = [(8, 8)] * 2
    for names in (["n01/a.jpg", "b"], [b"n01/a.jpg", "b"], np.array(["n01/a.jpg", "b"])):
        plan = policy.sample(names, sizes)
        assert plan.ids[0] == wanted
        assert plan == policy.sample(plan.ids, sizes)


def test_many_blocks_are_the_known_formula():
    """Word by word, for ids of all sizes, by one key and by keys of their own."""
    ids = np.array([0, 1, -1, 2**31, 2**63 - 1, -(2**63)])
    occurrences = np.arange(len(ids))
    for drawn in (Keyed(-3, 2**33 + 1, ids, 7), Keyed(-3, 2**33 + 1, ids, 7, occurrences)):
        for place in (0, 5, 2**32 - 1):
            words = drawn.words(place, 9)
            for i, id in enumerate(ids.tolist()):
                last = 2 * (0 if drawn.occurrences is None else int(occurrences[i]))
                seed = -3 % 2**64
                key = philox4x32((1, 2, 7, last), (seed % 2**32, seed >> 32))[:2]
                id %= 2**64
                expected = [
                    word
                    for block in range(3)
                    for word in philox4x32((block, place, id % 2**32, id >> 32), key)
                ]
                assert words[i].tolist() == expected[:9]
