"""Plans have the same bits on every machine: elementary functions of our own, against high-precision
values, then whole plans, under processors, libraries and versions that round otherwise."""

import os
import subprocess
import sys

import mpmath
import numpy as np
import pytest
import torch
from cases import quick_or_thorough

import augengine as ae
from augengine import elementary
from augengine.policy import geometry
from augengine.policy.keyed import Keyed
from benchmarks import plan_bits

try:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
except ImportError:  # NumPy 1
    from numpy.core._multiarray_umath import __cpu_dispatch__, __cpu_features__

UNIFORM = Keyed(11, 0, np.arange(600)).uniform(0, 4)
SMALL = UNIFORM[:, 0] * 2.0**-33


# The functions


def ulps(got, exact):
    """The largest distance from exact mpmath numbers, in units of a float64's last place."""
    errors = [
        abs(mpmath.mpf(float(a)) - b) / mpmath.mpf(float(np.spacing(abs(float(b)))))
        for a, b in zip(got, exact, strict=True)
    ]
    return float(max(errors))


def exactly(function, values):
    with mpmath.workprec(160):
        return [function(mpmath.mpf(float(value))) for value in values]


@pytest.mark.parametrize(
    "values",
    [
        UNIFORM[:, 0],
        SMALL,
        1 - SMALL,
        0.7 + 0.8 * UNIFORM[:, 1],  # where the reduction changes its exponent
        2.0 ** (2000 * UNIFORM[:, 2] - 1000),
        np.arange(1, 256) / 255,
    ],
    ids=["uniform", "small", "near 1", "about 1", "all", "bytes"],
)
def test_log_is_within_one_ulp(values):
    assert ulps(elementary.log(values), exactly(mpmath.log, values)) < 1


@pytest.mark.parametrize("spread", [1e-9, 1.0, 30.0, 708.0])
def test_exp_is_within_one_ulp(spread):
    values = spread * (2 * UNIFORM[:, 0] - 1)
    assert ulps(elementary.exp(values), exactly(mpmath.exp, values)) < 1


def test_exp_of_what_is_too_large_or_too_small_is_finite_and_normal():
    values = elementary.exp(np.array([-1e300, -709.0, 709.0, 1e300]))
    assert (values >= np.finfo(np.float64).tiny).all()
    assert np.isfinite(values).all()


@pytest.mark.parametrize("quarter", [90.0, 0.25])
@pytest.mark.parametrize("spread", [1e-9, 1.0, 9.0, 1e7])
def test_cosine_and_sine_are_within_two_ulps(quarter, spread):
    angles = spread * quarter * (2 * UNIFORM[:, 0] - 1)
    # And close to quarter turns, where one of them is next to nothing.
    angles = np.concatenate([angles, np.round(spread * UNIFORM[:, 1]) * quarter + SMALL])
    angles = angles[np.remainder(angles, quarter) != 0]  # those are exact, below
    cos, sin = elementary.cos_sin(angles, quarter)
    with mpmath.workprec(160):
        turned = [mpmath.mpf(float(angle)) * mpmath.pi / 2 / quarter for angle in angles]
        assert ulps(cos, [mpmath.cos(angle) for angle in turned]) < 2
        assert ulps(sin, [mpmath.sin(angle) for angle in turned]) < 2


def test_shears_are_tangents():
    degrees = 178 * UNIFORM[:, 0] - 89
    shears = geometry.inv_scale_shear(1.0, degrees, 0 * degrees)[:, 0, 1]
    with mpmath.workprec(160):
        exact = [mpmath.tan(mpmath.mpf(float(angle)) * mpmath.pi / 180) for angle in degrees]
    assert ulps(shears, exact) < 4


def test_quarter_turns_log_1_and_exp_0_are_exact():
    cos, sin = geometry.cos_sin(np.array([0, 90, 180, 270, 360, -90, -180, 90 * (2**40 + 1)]))
    np.testing.assert_array_equal(cos, [1, 0, -1, 0, 1, 0, -1, 0])
    np.testing.assert_array_equal(sin, [0, 1, 0, -1, 0, -1, 0, 1])
    assert elementary.log(1.0) == 0
    assert elementary.exp(0.0) == 1


@pytest.mark.parametrize(
    "function",
    [elementary.log, elementary.exp, lambda x: np.stack(elementary.cos_sin(x, 0.25), axis=-1)],
    ids=["log", "exp", "cos_sin"],
)
def test_neither_length_nor_layout_changes_an_elements_bits(function):
    together = function(UNIFORM)
    np.testing.assert_array_equal(function(np.asfortranarray(UNIFORM)), together)
    np.testing.assert_array_equal(function(UNIFORM[::3, 1]), together[::3, 1])
    np.testing.assert_array_equal([function(value) for value in UNIFORM[:50, 0]], together[:50, 0])


def test_products_are_those_of_whole_numbers():
    """Of whole numbers every order of sums gives the same, so NumPy's is the truth."""
    words = Keyed(0, 0, np.arange(50)).words(0, 18).astype(np.int64) % 1000 - 500
    a, b = words[:, :9].reshape(-1, 3, 3), words[:, 9:].reshape(-1, 3, 3)
    np.testing.assert_array_equal(geometry.product(a.astype(float), b.astype(float)), a @ b)
    np.testing.assert_array_equal(
        geometry.product(a[:, :, :2] + 0.0, b[:, :2] + 0.0), a[:, :, :2] @ b[:, :2]
    )


# Whole plans

# Processors without NumPy's vector code for newer ones, and libraries told of another processor.
WITHOUT_VECTORS = " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))
OLD_LIBM = "glibc.cpu.hwcaps=-AVX2_Usable,-FMA_Usable,-AVX2,-FMA,-FMA4,-AVX512F"
SETTINGS = {
    "old processor": {
        "NPY_DISABLE_CPU_FEATURES": WITHOUT_VECTORS,
        "OPENBLAS_CORETYPE": "Prescott",
        "GLIBC_TUNABLES": OLD_LIBM,
    },
    "old vectors": {"NPY_DISABLE_CPU_FEATURES": WITHOUT_VECTORS},
    "old C library": {"GLIBC_TUNABLES": OLD_LIBM},
    "Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
}
# What code for those processors needs of this one, under NumPy's names.
NEEDED = {"Haswell": "AVX2", "SkylakeX": "AVX512_SKX"}


@pytest.fixture(scope="module")
def here():
    return list(plan_bits.hashes())


@pytest.mark.parametrize("setting", quick_or_thorough(["old processor"], [*SETTINGS][1:]))
def test_plans_are_equal_on_other_processors(here, setting):
    if not __cpu_features__.get(NEEDED.get(setting, "SSE"), True):
        pytest.skip(f"this processor has no {NEEDED[setting]}")
    lines = subprocess.run(
        [sys.executable, "-m", "benchmarks.plan_bits"],
        env=os.environ | SETTINGS[setting],
        cwd=os.path.dirname(os.path.dirname(plan_bits.__file__)),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    there = [tuple(line.split(maxsplit=2)) for line in lines]
    assert len(there) > 800
    differ = [(part, name) for a, (_, part, name) in zip(there, here, strict=True) if a not in here]
    assert not differ


# What these policies decided where the table was written. It says nothing of whether that is right,
# which other tests do; it says that another Python, NumPy, system or processor decides the same.
FIELDS = ("inv_matrix", "support", "clip", "step_kind", "step_arg", "curves", "statistic", "window")
FIELDS = (*FIELDS, "filter", "view", "box", "alpha", "weight", "colour")
PUBLISHED = {
    "crop and flip": "7bd36204b46f11db",
    "geometry": "5601f0490f6a5785",
    "colour": "b5795d8c2cf4a874",
    "filters": "bf5808bc4d99cd88",
    "mixes": "9ba5afabdffa2259",
    "erased": "87c20396ae80ab35",
    "chosen": "74798d69f74a33c0",
    "RandAugment of timm": "673f73bd78689e70",
    "AutoAugment": "2b77d5f9641b8a9a",
    "AugMix of timm": "7f086c254598b920",
    "sheared affine": "5a6d461f87903c65",
    "perspective at its strongest": "1ab295f97927a17a",
    "gamma": "e8ac7c4615018951",
    "mixes of alpha 0.7": "61e7169f3ecb7bf8",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_plans_are_those_that_are_published(name):
    policies = {name: (policy, channels) for name, policy, channels in plan_bits.policies()}
    plans = plan_bits.plans(*policies[name])
    arrays = (getattr(plan, part) for plan in plans for part in FIELDS)
    assert plan_bits.digest(arrays) == PUBLISHED[name]


PUBLISHED_DRAWS = {
    "uniform": "ecfea9dd5b00bc2f",
    "log": "255a37b5b5517f9c",
    "exp": "c5577598f2d4ac87",
    "cosine and sine": "51de224e2ea8dfcd",
    "normal": "4c439f9e2935ec2f",
    "Dirichlet of 0.05": "cd0fc1353d478b13",
    "Dirichlet of 0.7": "8ffaf631bf6da9e8",
    "Dirichlet of 1.0": "eff5f37f719598ab",
    "Dirichlet of 4.0": "ed20c773ec98f3e9",
    "gamma": "59eb90455e1ec157",
    "affine": "cf92d12f8e93138b",
    "perspective": "236f4542840dde47",
    "bounds": "204c19a1dcdfbfc5",
}


@pytest.mark.parametrize("name", PUBLISHED_DRAWS)
def test_draws_are_those_that_are_published(name):
    assert plan_bits.digest([dict(plan_bits.draws())[name]]) == PUBLISHED_DRAWS[name]


# Pixels

DRAW_ALL = """
import sys, numpy as np, torch, augengine as ae
from benchmarks.hashes import images_of
policy = ae.Policy([ae.RandomResizedCrop(40), ae.RandomAffine(20), ae.RandomBrightness(), ae.CutMix()])
batches = {}
for dtype in ("uint8", "float32", "float16", "bfloat16"):
    for channels_last in (False, True):
        images = images_of(3, torch.uint8)
        sizes = [image.shape[1:] for image in images]
        plan = policy.sample(range(6), sizes, dtype=dtype, channels_last=channels_last)
        batches[f"{dtype} {channels_last}"] = ae.execute(plan, images, executor="cpu")
torch.save(batches, sys.argv[1])
"""


@pytest.mark.thorough
def test_every_dtype_is_drawn_on_a_processor_without_halves(tmp_path):
    """A processor that turns no float32 into float16 by itself; what it draws differs by roundings."""
    results = []
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    for number, more in enumerate([{}, plain]):
        file = tmp_path / f"{number}.pt"
        subprocess.run(
            [sys.executable, "-c", DRAW_ALL, str(file)], env=os.environ | more, check=True
        )
        results.append(torch.load(file, weights_only=True))
    for key, here in results[0].items():
        there, (dtype, _) = results[1][key], key.split()
        step = {"uint8": 1, "float32": 1e-6, "float16": 2**-11, "bfloat16": 2**-8}[dtype]
        difference = (here.double() - there.double()).abs().max().item()
        assert difference <= step, key
    for dtype in ("float16", "bfloat16"):
        expected = results[1]["float32 False"].to(getattr(torch, dtype))
        assert torch.equal(results[1][f"{dtype} False"], expected)
        assert torch.equal(results[1][f"{dtype} True"], expected)


def halves():
    """Bits of float32: a dense sample, and all that lie half-way between two float16, or next to it."""
    every = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    middle = ((every[1:] + every[:-1]) / 2).astype(np.float32).view(np.uint32)
    around = np.concatenate([middle - 1, middle, middle + 1])
    special = np.array(
        [0, 1, 0x477FEFFF, 0x477FF000, 0x477FFFFF, 0x47800000, 0x7F800000], np.uint32
    )
    bits = np.concatenate([np.arange(0, 0x7F800000, 1009, dtype=np.uint32), around, special])
    return np.concatenate([bits, bits | np.uint32(0x80000000)])


@pytest.mark.parametrize("by_words", [False, True])
def test_halves_are_rounded_as_numpy_rounds_them(by_words, monkeypatch):
    from numba import njit

    from augengine.kernels.cpu import memory

    if by_words:
        monkeypatch.setattr(memory, "_halves_in_hardware", lambda: False)
    convert = memory.half_bits

    @njit
    def all_of(values, out):
        for i in range(len(values)):
            out[i] = convert(values[i])

    values = halves().view(np.float32)
    bits = np.empty(len(values), np.uint16)
    all_of(values, bits)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16).view(np.uint16)
    np.testing.assert_array_equal(bits, expected)


# The perspective


def quads(count, size):
    """Corners [count, 4, 2] of a frame, pulled inwards by whole pixels, and the frame's."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (np.array(size, float) - 1)
    pull = np.floor(Keyed(5, 0, np.arange(count)).uniform(0, 8).reshape(-1, 4, 2) * size / 2)
    return corners + np.where(corners > 0, -pull, pull), np.broadcast_to(corners, pull.shape)


def test_a_perspective_takes_corners_to_corners():
    new, old = quads(2000, (90, 120))
    inverse = geometry.inv_perspective(new, old)
    np.testing.assert_allclose(geometry.apply(inverse, new), old, atol=1e-6)


def test_a_perspective_shows_the_whole_of_a_convex_quadrangle():
    """Its corners lie before the horizon, the first always: elsewhere there is fill."""
    new, old = quads(2000, (90, 120))
    inverse = geometry.inv_perspective(new, old)
    x, y = new[..., 0], new[..., 1]
    row = inverse[:, 2, :, None]
    ahead = row[:, 0] * x + row[:, 1] * y + row[:, 2] > 0
    sides = np.roll(new, -1, axis=1) - new
    following = np.roll(sides, -1, axis=1)
    turns = sides[..., 0] * following[..., 1] - sides[..., 1] * following[..., 0]
    assert ahead[(turns > 0).all(axis=1)].all()
    assert ahead[:, 0].all()
    assert (inverse[:, 2, 2] < 0).sum() > 20  # of them the top left of the output lies behind it


def test_a_perspective_of_three_corners_in_a_line_leaves_the_picture():
    corners = np.array([[0, 0], [8, 0], [8, 6], [0, 6]], float)
    new = np.stack([corners, corners, corners, np.full((4, 2), 4.0)])
    new[0, 2] = [4, 3]  # on the line between its neighbours
    new[1, 1] = [0, 0]  # upon the first
    inverse = geometry.inv_perspective(new, np.broadcast_to(corners, new.shape))
    np.testing.assert_array_equal(inverse, np.tile(np.eye(3), (4, 1, 1)))


def test_a_picture_one_pixel_wide_is_left_by_a_perspective():
    plan = ae.Policy(ae.RandomPerspective(1.0, p=1)).sample(range(20), [(9, 1)] * 20)
    np.testing.assert_array_equal(plan.inv_matrix, np.tile(np.eye(3), (20, 1, 1)))
