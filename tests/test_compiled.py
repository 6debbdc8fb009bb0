"""The twins of deciding: the bits of their definitions, and what is known from outside."""

import dataclasses

import mpmath
import numpy as np
import pytest
from test_same_bits import exactly, ulps

import augengine as ae
from augengine import compiled, elementary
from augengine.kernels.cpu import cache, tables
from augengine.kernels.passes import passes_of
from augengine.policy import keyed
from augengine.policy.ops import sizing
from benchmarks.hashes import cases

GENERATOR = np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def twins():
    cache.load_twins()
    assert compiled.in_use()


def same(ours, theirs):
    """Bit for bit, with the same dtype and shape."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert ours.tobytes() == theirs.tobytes()


def test_each_twin_has_a_definition():
    from augengine.kernels.cpu.deciding.entries import TWINS
    from augengine.plan import bounds
    from augengine.policy import closing, draft

    modules = (elementary, keyed, sizing, draft, closing, bounds, tables)
    definitions = [
        name for module in modules for name, value in vars(module).items()
        if getattr(value, "__wrapped__", None) and value.__module__ == module.__name__
        and getattr(value, "__code__", None) is elementary.log.__code__
    ]  # fmt: skip
    assert sorted(definitions) == sorted(TWINS)


LAYOUTS = [
    pytest.param(lambda x: x, id="plain"),
    pytest.param(lambda x: x.reshape(20, 30).T, id="turned"),
    pytest.param(lambda x: x[::7], id="strided"),
    pytest.param(lambda x: x[:0], id="none"),
    pytest.param(lambda x: x[0], id="one"),
    pytest.param(lambda x: float(x[0]), id="number"),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_elementary_functions_have_the_bits_of_their_definitions(layout):
    x = layout(GENERATOR.uniform(-720, 720, 600))
    for function, argument in (
        (elementary.log, np.exp(x / 1.1)),
        (elementary.exp, x),
        (lambda t: elementary.cos_sin(t, 90.0), x),
    ):
        with pytest.MonkeyPatch.context() as patch:
            of_twins = function(argument)
            patch.setattr(compiled, "_twins", {})
            same(of_twins, function(argument))


def test_read_only_numbers_are_taken():
    x = np.array([0.3, 2.0])
    x.flags.writeable = False
    same(elementary.exp(x), elementary.exp(x.copy()))


def test_elementary_functions_against_exact_values():
    x = GENERATOR.uniform(1e-9, 1, 300)
    cosine, sine = elementary.cos_sin(x, 0.25)
    assert ulps(elementary.log(x), exactly(mpmath.log, x)) < 1
    assert ulps(elementary.exp(1400 * x - 700), exactly(mpmath.exp, 1400 * x - 700)) < 1
    assert ulps(cosine, exactly(lambda t: mpmath.cos(2 * mpmath.pi * t), x)) < 2
    assert ulps(sine, exactly(lambda t: mpmath.sin(2 * mpmath.pi * t), x)) < 2


# The known answers that Random123 has for philox4x32-10.
KNOWN = [
    ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def test_philox_has_the_known_answers():
    from numba import njit

    from augengine.kernels.cpu.deciding.numbers import _philox

    @njit
    def words(numbers):
        return _philox(*numbers)

    for counter, key, answer in KNOWN:
        assert words(tuple(map(np.uint64, (*counter, *key)))) == answer


@pytest.mark.parametrize("seed", [0, 5, 2**64 - 1])
@pytest.mark.parametrize("epoch", [0, 7, 2**63])
@pytest.mark.parametrize("again", [False, True])
def test_draws_have_the_bits_of_their_definition(seed, epoch, again):
    ids = GENERATOR.integers(-(2**63), 2**63 - 1, 17)
    occurrences = GENERATOR.integers(0, 2**31 - 1, 17) if again else None
    blocks, places = np.array([[0, 1, 2, 0], [0, 0, 0, 2**32 - 1]], np.uint64)
    for timeless in (0, 1):
        arguments = seed, epoch, 2**32 - 1, timeless, occurrences, ids, blocks, places
        for ours, theirs in zip(
            keyed.draws(*arguments), keyed.draws.__wrapped__(*arguments), strict=True
        ):
            same(ours, theirs)


@pytest.mark.parametrize("n", [0, 1, 200])
@pytest.mark.parametrize("limits", [(0.08, 1.0, -0.28, 0.28), (0.5, 3.0, -4, 4), (0, 1e-4, -9, 9)])
def test_tries_of_a_crop_have_the_bits_of_their_definition(n, limits):
    frame = GENERATOR.integers(1, 400, (2, n)).T
    uniform, strength = GENERATOR.uniform(0, 1, (22, n)).T, GENERATOR.uniform(0, 1, n)
    for tries in (uniform[:, 2:8], uniform[:, 8:]):
        arguments = frame, uniform, tries, limits, strength
        for ours, theirs in zip(
            sizing.crop_that_fits(*arguments),
            sizing.crop_that_fits.__wrapped__(*arguments),
            strict=True,
        ):
            same(ours, theirs)


CASES = {name: rest for name, *rest in cases()}


def plans_of(policy, channels):
    sizes = np.array([(64, 48), (50, 80), (40, 40), (97, 60), (64, 64), (33, 71)])
    boxes = [[[4.0, 4.0, 20.0, 30.0]]] * 6 if policy.needs_boxes else None
    for epoch in (0, 5):
        for ids, strength in ((range(6), None), ([3, 3, 3, 1, 1, 2**40], np.linspace(0, 1, 6))):
            yield policy.sample(
                np.array(ids), sizes, seed=3, epoch=epoch, channels=channels, boxes=boxes, strength=strength
            )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_plans_and_tables_are_those_of_the_definitions(name, monkeypatch):
    """Of policies that have every op."""
    policy, channels, *_ = CASES[name]
    of_twins = [*plans_of(policy, channels)]
    looked_at = [over for plan in of_twins for over in (plan, passes_of(plan, "uint8")[1])]
    tables_of_twins = [tables.tables_of(plan) for plan in looked_at]
    monkeypatch.setattr(compiled, "_twins", {})
    for ours, theirs in zip(of_twins, plans_of(policy, channels), strict=True):
        assert ours.to_bytes() == theirs.to_bytes()
    for plan, ours in zip(looked_at, tables_of_twins, strict=True):
        for table, theirs in zip(ours, tables.tables_of(plan), strict=True):
            for field in table.dtype.names:
                assert np.array_equal(table[field], theirs[field]), field


def test_a_view_that_looks_too_far_away_shows_nothing(monkeypatch):
    """Also by the twins: a picture that strong shrinks have taken to infinity."""
    away = ae.RandomAffine(0, scale=(1e-3, 1e-3))
    policy = ae.Policy([*[away] * 120, ae.CenterCrop(8)])
    plan = policy.sample([0], [(32, 32)])
    assert not plan.clip.any()
    monkeypatch.setattr(compiled, "_twins", {})
    assert policy.sample([0], [(32, 32)]) == plan


def test_the_gate_refuses_what_is_not_a_number():
    """What the twins measure is what the gate judges."""
    plan = ae.Policy(ae.CenterCrop(8)).sample([0], [(9, 9)])
    support = plan.support.copy()
    support[0, 0] = np.nan
    with pytest.raises(ValueError, match="support"):
        dataclasses.replace(plan, support=support)
