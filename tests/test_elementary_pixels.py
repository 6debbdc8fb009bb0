"""The logarithm, powers and cosines of pixels, and normal numbers of them: against float64, over all of
their range, and the same bits from every compiler."""

import numpy as np
import pytest
import torch
from scipy import stats

import augengine as ae
from augengine.kernels.reference.formulas import px

RANDOM = np.random.default_rng(0)
# Words that lie close, at either end, next to each power of two and at each quarter turn, then others.
NEAR = np.arange(-40, 41)
WORDS = np.unique(
    np.concatenate(
        [
            (NEAR + (1 << np.arange(33))[:, None]).ravel() % 2**32,
            (NEAR + (np.arange(4) << 30)[:, None]).ravel() % 2**32,
            RANDOM.integers(0, 2**32, 1 << 18),
        ]
    )
)


def tensor(values, dtype=torch.float32):
    return torch.from_numpy(np.asarray(values)).to(dtype)


def of_words(function, *words):
    """What the formula makes of words, in float32, as float64."""
    got = function(*(tensor(word, torch.int64) for word in words))
    return [part.double().numpy() for part in (got if isinstance(got, tuple) else [got])]


def ulps(got, exact):
    return np.abs(got - exact) / np.spacing(np.abs(exact).astype(np.float32))


def uniform_and_angle(word_radius, word_angle):
    """What the words stand for, in float64: a float32 in (0, 1] and radians, in (−π, π)."""
    uniform = (word_radius.astype(np.float32) + np.float32(0.5)) * np.float32(2**-32)
    signed = word_angle - (word_angle >> 31 << 32)
    return uniform.astype(np.float64), (signed + 0.5) * (2 * np.pi / 2**32)


@pytest.mark.parametrize(
    "values",
    [
        2.0 ** -RANDOM.uniform(0, 33, 1 << 17),
        1 - 2.0**-24 * np.arange(1, 1 << 17),
        np.sqrt(0.5) + 1e-6 * np.arange(-500, 500),  # where the exponent changes
        2.0 ** np.arange(-126, 1),
    ],
    ids=["all", "near 1", "about a root of ½", "powers of two"],
)
def test_log2_is_within_three_ulps(values):
    values = values.astype(np.float32)
    got = px.log2(torch.from_numpy(values)).double().numpy()
    exact = np.log2(values.astype(np.float64))
    some = exact != 0
    assert (got[~some] == 0).all()
    assert ulps(got[some], exact[some]).max() < 3


def test_exp2_is_within_two_ulps():
    values = np.concatenate([-np.linspace(0, 126, 1 << 18), np.arange(-126, 1), [-0.5, -1.5]])
    values = values.astype(np.float32)
    got = in_numba("exp2", values).astype(np.float64)
    assert ulps(got, np.exp2(values.astype(np.float64))).max() < 2
    whole = values == np.round(values)
    np.testing.assert_array_equal(got[whole], np.exp2(values[whole]))


@pytest.mark.parametrize("exponent", [2.0**-20, 0.01, 0.45, 1.0, 1.7, 8.0, 1000.0, 2.0**20])
def test_powers_are_within_3e_7(exponent):
    base = np.concatenate(
        [np.linspace(0, 1, 1 << 17), 2.0 ** -np.arange(1, 150.0), 1 - 2.0**-24 * np.arange(1000)]
    ).astype(np.float32)
    got = in_numba("power", base, np.full_like(base, exponent))
    np.testing.assert_allclose(got, base.astype(np.float64) ** exponent, rtol=0, atol=3e-7)
    assert got[0] == 0


def test_a_cosine_is_within_2e_7_and_symmetric():
    (got,) = of_words(px.cosine, WORDS)
    _, angle = uniform_and_angle(WORDS, WORDS)
    assert np.abs(got - np.cos(angle)).max() < 2e-7
    (mirrored,) = of_words(px.cosine, 2**32 - 1 - WORDS)
    np.testing.assert_allclose(got, mirrored, rtol=0, atol=3e-7)
    (opposite,) = of_words(px.cosine, (WORDS + 2**31) % 2**32)
    np.testing.assert_allclose(got, -opposite, rtol=0, atol=4e-7)


def test_normal_pairs_are_box_and_mullers():
    angles = RANDOM.permutation(WORDS)
    uniform, angle = uniform_and_angle(WORDS, angles)
    radius = np.sqrt(-2 * np.log(uniform))
    assert radius.max() > 6.7
    one, other = of_words(px.normal_pair, WORDS, angles)
    limit = 4e-7 * radius + 1e-12
    assert (np.abs(one - radius * np.cos(angle)) <= limit).all()
    assert (np.abs(other - radius * np.sin(angle)) <= limit).all()


def test_every_word_gives_a_finite_number():
    ends = np.array([0, 1, 2**30, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1])
    for parts in of_words(px.normal_pair, *(grid.ravel() for grid in np.meshgrid(ends, ends))):
        assert np.isfinite(parts).all()
        assert 6.7 < np.abs(parts).max() < 6.8


def noise(count, key=3, executor="cpu"):
    """Standard normal numbers that the executor draws."""
    grey = torch.full((count, 3, 256, 256), 0.5)
    policy = ae.Policy([ae.GaussianNoise(sigma=0.05)])
    plan = policy.sample(range(count), [(256, 256)] * count, dtype="float32", seed=key)
    return ((ae.execute(plan, grey, executor=executor) - 0.5) / 0.05).double().numpy().ravel()


def test_moments_and_tails_are_those_of_normal_numbers():
    values = noise(16)  # some three million
    n = values.size
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((values**power).mean() - moment) < 4.5 * np.sqrt(spread / n), power
    assert stats.kstest(values, "norm").pvalue > 1e-3
    for limit in (0.001, 1, 2, 3, 4, 4.5):
        for beyond in (values > limit, values < -limit):
            expected = n * stats.norm.sf(limit)
            assert abs(beyond.sum() - expected) < 4.5 * np.sqrt(expected), limit


def test_angles_are_uniform():
    """The third channel and the fourth come from one radius; so do the first and the second."""
    pairs = noise(16).reshape(16, 3, -1)
    angle = np.arctan2(pairs[:, 1], pairs[:, 0]).ravel() / (2 * np.pi) % 1
    counts = np.histogram(angle, 64, (0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(angle[:200_000], "uniform").pvalue > 1e-3


# The same bits


def in_numba(name, *arrays):
    """The formula as the CPU kernel has it, of float32 arrays or of words as uint32."""
    from numba import njit

    from augengine.kernels.cpu import formulas

    function = getattr(formulas.px, name)

    @njit
    def one(a, out):
        for i in range(len(a)):
            out[i] = function(a[i])

    @njit
    def two(a, b, out):
        for i in range(len(a)):
            out[i] = function(a[i], b[i])

    out = np.empty(len(arrays[0]), np.float32)
    (one if len(arrays) == 1 else two)(*arrays, out)
    return out


def test_numba_and_torch_have_the_same_bits():
    words = WORDS.astype(np.uint32)
    for name, values, dtype in (
        ("log2", (2.0 ** -RANDOM.uniform(0, 33, 1 << 16)).astype(np.float32), torch.float32),
        ("cosine", words, torch.int64),
        ("uniform_of", words, torch.int64),
    ):
        theirs = getattr(px, name)(tensor(values, dtype))
        np.testing.assert_array_equal(
            in_numba(name, values).view(np.uint32), theirs.numpy().view(np.uint32), err_msg=name
        )


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("size", [(1, 1), (3, 17), (5, 31), (2, 100)])
def test_cpu_and_torch_draw_the_same_noise_to_the_bit(channels, size):
    images = tensor(RANDOM.uniform(0, 1, (2, channels, *size)))
    plan = ae.Policy([ae.GaussianNoise(mean=0.01, sigma=0.3)]).sample(
        range(2), [size] * 2, channels=channels, dtype="float32"
    )
    ours, theirs = (
        ae.execute(plan, images, executor=executor, layout="NCHW") for executor in ("cpu", "torch")
    )
    assert torch.equal(ours, theirs)
    assert (ours - images).abs().max() > 0.01
