"""Motion blur, defocus, other lights, shadows, salt and pepper: against kornia, albumentations, SciPy and
geometry."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, each_executor, logged, plan_of, with_steps
from photos import patches
from scipy import stats
from scipy.ndimage import correlate

import augengine as ae
from augengine.demo import peers
from augengine.kernels.weights import taps_of_filter
from augengine.plan.kinds import DISC, IMPULSE, MOTION, SMOOTH_MOTION
from augengine.policy.illuminants import GAINS

ANGLES = (0, 30, 45, 90, -120, 17.5, 215)


def drawn(ops, images, executor, **how):
    return ae.execute(plan_of(ops, images, **how), images, executor=executor)


def kernel_of(*numbers):
    """The kernel [k, k] of a plan's filter."""
    taps = taps_of_filter(np.array([*numbers, 0, 0, 0][:4], np.float32))
    reach = max(abs(taps.dy).max(), abs(taps.dx).max())
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    kernel[taps.dy + reach, taps.dx + reach] = taps.weight
    return kernel


# Motion


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("length", [3, 7, 15, 63])
@pytest.mark.parametrize(
    ("kind", "mode"), [(MOTION, "nearest"), (SMOOTH_MOTION, "bilinear")], ids=str
)
def test_a_line_weighs_as_kornias(kind, mode, length, angle):
    from kornia.filters import get_motion_kernel2d

    for direction in (-1, -0.3, 0, 1):
        numbers = (torch.tensor([np.float32(n)], dtype=torch.float64) for n in (angle, direction))
        expected = get_motion_kernel2d(length, *numbers, mode)[0].numpy()
        taps = taps_of_filter(np.array([kind, length, angle, direction], np.float32))
        got = np.zeros((length, length))
        got[taps.dy + length // 2, taps.dx + length // 2] = taps.weight
        np.testing.assert_allclose(got, expected, atol=1e-7)


@each_executor
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resample", ["nearest", "bilinear"])
@pytest.mark.parametrize(("length", "angle", "direction"), [(5, 0, 1), (9, 30, -0.4), (15, 135, 0)])
def test_motion_blur_is_kornias(executor, length, angle, direction, resample, channels):
    from kornia.filters import motion_blur

    images = patches(2, 40, 51)[:, :channels]
    expected = motion_blur(as_float(images), length, angle, direction, "reflect", resample)
    blur = ae.RandomMotionBlur(length, (angle, angle), (direction, direction), resample, p=1)
    got = drawn(blur, images, executor, dtype="uint8", layout="NCHW")
    assert_close(got, expected * 255, 0.5 + 1e-3)
    assert_close(drawn(blur, as_float(images), executor, layout="NCHW"), expected, 2e-6)


@each_executor
def test_a_point_leaves_a_streak_that_fades(executor):
    """Direction 1 at angle 90: heaviest where the point was moved from, up from there it fades."""
    images = torch.zeros(1, 3, 21, 21)
    images[..., 10, 10] = 1
    blur = ae.RandomMotionBlur(5, (90, 90), (1, 1), p=1)
    got = drawn(blur, images, executor)
    streak = torch.tensor([0.4, 0.3, 0.2, 0.1, 0.0])
    assert_close(got[0, 0, 8:13, 10], streak, 1e-6)
    assert_close(got[0, 0].sum(), torch.tensor(1.0), 1e-6)


def test_motion_is_distributed_as_kornias():
    blur = ae.RandomMotionBlur((3, 9), (0, 90), 0.5, p=0.8)
    plan = ae.Policy(blur).sample(range(4000), [(9, 9)] * 4000)
    lines = np.array([line[:3] for v in range(4000) for line in logged(plan, v, "motion")])
    assert abs(len(lines) / 4000 - 0.8) < 0.02
    counts = [np.count_nonzero(lines[:, 0] == length) for length in (3, 5, 7, 9)]
    assert sum(counts) == len(lines)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(lines[:, 1] / 90, "uniform").pvalue > 1e-3
    assert stats.kstest(lines[:, 2] + 0.5, "uniform").pvalue > 1e-3


def test_strength_shortens_the_line():
    policy = ae.Policy(ae.RandomMotionBlur(9, p=1))
    for strength, length in [(0, 1), (0.1, 1), (0.2, 3), (0.5, 5), (1, 9)]:
        plan = policy.sample([0], [(9, 9)], strength=strength)
        assert logged(plan, 0, "motion")[0][0] == length


# Defocus


@each_executor
@pytest.mark.parametrize(("radius", "alias"), [(1, 0.5), (3, 0.1), (6, 0.4)])
def test_defocus_is_albumentations(executor, radius, alias, monkeypatch):
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")  # no look at the network on import
    functional = pytest.importorskip("albumentations.augmentations.blur.functional")
    images = as_float(patches(2, 40, 51))
    got = drawn(ae.RandomDefocus(radius, alias, p=1), images, executor)
    for one, image in zip(got, images, strict=True):
        expected = functional.defocus(image.permute(1, 2, 0).numpy(), radius, alias)
        assert_close(one.permute(1, 2, 0), torch.from_numpy(expected), 2e-6)


@pytest.mark.parametrize("radius", [0, 1, 2.5, 8, 9, 15])
def test_a_disc_holds_the_pixels_within_its_radius(radius):
    for alias in (0, 0.5):
        kernel = kernel_of(DISC, radius, alias)
        at = np.arange(len(kernel)) - len(kernel) // 2
        within = np.hypot(*np.meshgrid(at, at)) <= radius
        assert abs(kernel.sum() - 1) < 1e-6
        assert (kernel == kernel.T).all()
        assert (kernel == kernel[::-1]).all()
        if alias == 0:
            np.testing.assert_allclose(kernel, within / within.sum(), rtol=1e-6)
        else:
            assert kernel[within].min() > kernel[~within].max(initial=0)


def test_a_disc_above_8_is_softened_over_two_pixels():
    """As SciPy blurs it, whose Gaussian is cut at the same reach."""
    from scipy.ndimage import gaussian_filter

    at = np.arange(-12, 13)
    disc = (np.hypot(*np.meshgrid(at, at)) <= 10).astype(float)
    expected = gaussian_filter(disc / disc.sum(), 0.7, mode="constant", radius=2)
    np.testing.assert_allclose(kernel_of(DISC, 10, 0.7), expected, atol=1e-7)


def test_kernels_have_the_bits_that_are_published():
    """What a plan's few numbers come to is the same on every machine."""
    rows = [
        (MOTION, 9, 33, 0.3),
        (SMOOTH_MOTION, 31, -77.7, -1),
        (DISC, 4, 0.3, 0),
        (DISC, 10, 2, 0),
    ]
    taps = [taps_of_filter(np.array(row, np.float32)) for row in rows]
    data = b"".join(array.tobytes() for some in taps for array in some)
    assert hashlib.sha256(data).hexdigest()[:16] == "a1cee6625c76160f"


# Any kernel


@each_executor
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (3, 40), (41, 5)])
def test_what_is_beyond_a_small_picture_is_its_reflection(executor, size):
    images = as_float(patches(2, *size))
    for op, numbers in [
        (ae.RandomDefocus(4, 0.3, p=1), (DISC, 4, 0.3)),
        (ae.RandomMotionBlur(15, (30, 30), 0, p=1), (MOTION, 15, 30, 0)),
        (ae.RandomMotionBlur(63, (90, 90), (1, 1), "bilinear", p=1), (SMOOTH_MOTION, 63, 90, 1)),
    ]:
        kernel = kernel_of(*numbers)[None, None]
        expected = correlate(images.double().numpy(), kernel, mode="mirror")
        assert_close(drawn(op, images, executor), torch.from_numpy(expected), 2e-6)


@each_executor
def test_frames_of_different_sizes_and_filters_of_all_kinds_in_one_call(executor):
    images = [
        patches(1, height, width)[0] for height, width in [(30, 41), (9, 12), (30, 41), (30, 41)]
    ]
    kinds = [
        ae.RandomMotionBlur(7, (20, 20), 0, p=1),
        ae.RandomDefocus(2, p=1),
        ae.RandomShadow(p=1),
        ae.GaussianBlur(5, 1.0),
        ae.RandomAdjustSharpness(2, p=1),
        ae.RandomApply(ae.RandomInvert(1), 1),
    ]
    ops = [ae.OneOf(kinds), ae.CenterCrop(20)]
    for seed in range(3):
        plan = plan_of(ops, images, dtype="uint8", seed=seed)
        got = ae.execute(plan, images, executor=executor)
        for i in range(len(images)):
            alone = plan_of(ops, [images[i]], dtype="uint8", seed=seed, ids=[i])
            expected = ae.execute(alone, [images[i]], executor="torch")
            assert_close(got[i : i + 1], expected, 1)


def test_gradients_pass_through_kernels_and_shadows():
    images = torch.rand(1, 3, 6, 7, dtype=torch.float32, generator=torch.Generator().manual_seed(0))
    ops = [ae.RandomMotionBlur(5, 30, p=1), ae.RandomDefocus(2, p=1), ae.RandomShadow(p=1)]
    plan = plan_of(ops, images)
    cotangent = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(1))
    images.requires_grad_()
    (gradient,) = torch.autograd.grad((ae.execute(plan, images) * cotangent).sum(), images)
    # They are linear: the gradient along any direction is what a step along it adds.
    step = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(2)) / 4
    start = torch.full_like(step, 0.5)
    added = (ae.execute(plan, start + step) - ae.execute(plan, start)) * cotangent
    assert_close(added.sum(), (gradient * step).sum(), 1e-4)


def test_a_blurred_picture_is_where_it_was():
    """To targets a filter of any kind is what a Gaussian blur is: nothing moves."""
    ops = [ae.RandomHorizontalFlip(p=1), None, ae.RandomRotation((20, 20))]
    boxes = [[[3, 4, 20, 30]]]
    mask = torch.arange(40 * 50, dtype=torch.uint8).reshape(1, 40, 50) % 7
    followed = []
    for op in (
        ae.GaussianBlur(5, 1.0),
        ae.RandomMotionBlur(p=1),
        ae.RandomDefocus(p=1),
        ae.RandomShadow(p=1),
    ):
        plan = ae.Policy([ops[0], op, ops[2]]).sample([0], [(40, 50)])
        moved = ae.boxes(plan, boxes)
        followed.append((ae.masks(plan, mask), moved.boxes if hasattr(moved, "boxes") else moved))
    for masks, moved in followed[1:]:
        assert torch.equal(masks, followed[0][0])
        assert repr(moved) == repr(followed[0][1])


# Lights


@each_executor
@pytest.mark.parametrize("mode", ["blackbody", "CIED"])
def test_planckian_jitter_is_kornias(executor, mode):
    from kornia.augmentation import RandomPlanckianJitter

    images = as_float(patches(2, 20, 30))
    for row in (0, 7, -1):
        expected = RandomPlanckianJitter(mode, row, p=1)(images)
        got = drawn(ae.RandomPlanckianJitter(mode, row, p=1), images, executor)
        assert_close(got, expected, 1e-6)


@pytest.mark.parametrize("mode", ["blackbody", "CIED"])
def test_the_table_of_lights_is_kornias(mode):
    from kornia.augmentation._2d.intensity.planckian_jitter import get_planckian_coeffs

    np.testing.assert_allclose(GAINS[mode], get_planckian_coeffs(mode).numpy(), rtol=1e-6)
    red, blue = GAINS[mode].T
    assert (np.diff(red) < 0).all(), "a hotter light is less red"
    assert (np.diff(blue) > 0).all(), "and bluer"


def test_every_light_is_as_likely():
    plan = ae.Policy(ae.RandomPlanckianJitter(p=1)).sample(range(5000), [(9, 9)] * 5000)
    _, counts = np.unique(plan.step_arg[:, 0, 0], return_counts=True)
    assert len(counts) == 25
    assert stats.chisquare(counts).pvalue > 1e-3
    some = ae.Policy(ae.RandomPlanckianJitter("CIED", (2, -1), p=1))
    found = np.unique(some.sample(range(200), [(9, 9)] * 200).step_arg[:, 0, 0])
    np.testing.assert_allclose(found, sorted(GAINS["CIED"][[2, -1], 0]), rtol=1e-6)


def test_grey_has_no_light_to_change():
    images = patches(1, 20, 30)[:, :1]
    op = ae.RandomPlanckianJitter(p=1)
    assert torch.equal(drawn(op, images, None, layout="NCHW", dtype="uint8"), images)


# Salt and pepper


@each_executor
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_salt_and_pepper_changes_so_many_pixels(executor, channels, dtype):
    images = torch.full((4, channels, 200, 250), 100, dtype=torch.uint8)
    op = ae.RandomSaltAndPepperNoise(0.3, 0.2, p=1)
    got = drawn(op, images, executor, layout="NCHW", dtype=dtype)
    most = 255 if dtype == "uint8" else 1
    white, black = got == most, got == 0
    kept = (got - (100 if dtype == "uint8" else 100 / 255)).abs() < 1e-6
    assert (white | black | kept).all()
    for mask, share in [(white, 0.06), (black, 0.24)]:
        assert (mask == mask[:, :1]).all(), "all channels alike"
        count = int(mask[:, 0].sum())
        assert stats.binomtest(count, 4 * 200 * 250, share).pvalue > 1e-3
    # Neighbours and samples are independent: as many pairs as chance makes.
    hit = (white | black)[:, 0]
    pairs = int((hit[:, :, 1:] & hit[:, :, :-1]).sum())
    assert abs(pairs / (4 * 200 * 249) - 0.09) < 0.004
    assert abs((hit[0] & hit[1]).float().mean() - 0.09) < 0.01


@each_executor
def test_salt_and_pepper_of_none_and_of_all(executor):
    images = patches(2, 40, 50)
    for amount, ratio, expected in [
        (0, 0.5, images),
        (1, 1, torch.full_like(images, 255)),
        (1, 0, torch.zeros_like(images)),
    ]:
        op = ae.RandomSaltAndPepperNoise(amount, ratio, p=1)
        assert torch.equal(drawn(op, images, executor, dtype="uint8"), expected)


def test_salt_and_pepper_is_the_samples_own_and_the_same_everywhere():
    images = patches(3, 40, 50)
    op = ae.RandomSaltAndPepperNoise(0.2, p=1)
    first, second = (drawn(op, images, executor, dtype="uint8") for executor in ("cpu", "torch"))
    assert torch.equal(first, second)
    again = drawn(op, images[[2, 0]], "cpu", dtype="uint8", ids=[2, 0])
    assert torch.equal(again, first[[2, 0]])
    assert not torch.equal(drawn(op, images, "cpu", dtype="uint8", seed=1), first)
    assert not torch.equal(drawn(op, images, "cpu", dtype="uint8", epoch=1), first)


def test_executors_agree_on_a_statistic_after_salt_and_pepper():
    images = patches(2, 30, 40)
    plan = plan_of([ae.RandomSaltAndPepperNoise(0.1, p=1), ae.RandomAutocontrast(1)], images)
    got = [ae.execute(plan, images, executor=executor) for executor in ("cpu", "torch")]
    assert_close(*got, 1e-5)


# Shadows


@each_executor
@pytest.mark.parametrize("angle", [0, 90, -150, 33])
def test_a_shadow_lies_on_one_side_of_an_edge(executor, angle):
    images = as_float(patches(3, 40, 50)) * 0.9 + 0.1
    plan = plan_of(ae.RandomShadow((0.6, 0.6), (angle, angle), p=1), images)
    got = ae.execute(plan, images, executor=executor)
    y, x = np.mgrid[:40, :50] + 0.5
    way = np.cos(np.deg2rad(angle)) * x - np.sin(np.deg2rad(angle)) * y
    for i in range(3):
        ratio = (got[i] / images[i]).numpy()
        offset = float(plan.filter[plan.source[i] - 3, 3])
        expected = 0.4 + 0.6 * np.clip(way - offset + 0.5, 0, 1)
        np.testing.assert_allclose(ratio, np.broadcast_to(expected, ratio.shape), atol=1e-4)
        assert way.min() - 1 < offset < way.max() + 1, "the edge crosses the picture"
        lit = way > offset + 0.51
        assert torch.equal(got[i][:, lit], images[i][:, lit])


@each_executor
def test_what_follows_moves_the_shadow(executor):
    images = torch.full((1, 3, 20, 30), 200, dtype=torch.uint8)
    shadow = ae.RandomShadow(0.5, (0, 0), p=1)
    got = drawn([shadow, ae.RandomHorizontalFlip(1)], images, executor, dtype="uint8")
    assert torch.equal(got.flip(3), drawn(shadow, images, executor, dtype="uint8"))
    assert sorted(got.unique().tolist())[0] == 100


# Refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ae.RandomMotionBlur(4), r"RandomMotionBlur\.kernel_size: got 4, expected an odd"),
        (lambda: ae.RandomMotionBlur(65), r"kernel_size: got 65, expected an odd number 1 … 63"),
        (lambda: ae.RandomMotionBlur((7, 3)), r"kernel_size: got \(7, 3\), expected an odd number"),
        (lambda: ae.RandomMotionBlur(3.0), r"kernel_size: got 3\.0, expected an odd number"),
        (lambda: ae.RandomMotionBlur(3, 30, 2), r"RandomMotionBlur\.direction: got "),
        (lambda: ae.RandomMotionBlur(resample="cubic"), r"resample: got 'cubic', expected 'nearest'"),
        (lambda: ae.RandomDefocus(16), r"RandomDefocus\.radius: got 16, expected a whole number 0"),
        (lambda: ae.RandomDefocus(1.5), r"RandomDefocus\.radius: got 1\.5, expected a whole number"),
        (lambda: ae.RandomPlanckianJitter("D65"), r"mode: got 'D65', expected 'blackbody' or"),
        (lambda: ae.RandomPlanckianJitter(select_from="7"), r"select_from: got '7', expected a whole"),
        (lambda: ae.RandomPlanckianJitter("CIED", 23), r"select_from: got \(23,\), expected rows −23"),
        (lambda: ae.RandomSaltAndPepperNoise(1.2), r"RandomSaltAndPepperNoise\.amount: got "),
        (lambda: ae.RandomShadow((0.5, 1.5)), r"RandomShadow\.intensity: got "),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_light_needs_colours():
    with pytest.raises(ValueError, match="illuminant: mixes the colour channels and needs RGB"):
        ae.Policy(ae.RandomPlanckianJitter(p=1)).sample([0], [(9, 9)], channels=4)


HOSTILE = [
    ((MOTION, 4, 0, 0), "a line whose length is not an odd number"),
    ((MOTION, 65, 0, 0), r"a line of a length outside \[1, 63\]"),
    ((SMOOTH_MOTION, -1, 0, 0), "a line of a length outside"),
    ((MOTION, 2.5, 0, 0), "a line whose length is not an odd number"),
    ((MOTION, 3, 1e9, 0), "a line at an angle outside"),
    ((MOTION, 3, 0, 1.5), "a line with a direction outside"),
    ((DISC, 15.5, 0, 0), "a disc of a radius outside"),
    ((DISC, -1, 0, 0), "a disc of a radius outside"),
    ((DISC, 3, -1, 0), "a disc with an edge outside"),
    ((6, 1.5, 0, 0), "a shadow with a gain outside"),
    ((6, 0.5, 1e9, 0), "a shadow at an angle outside"),
    ((6, 0.5, 0, 1e9), "a shadow with an offset outside"),
    ((7, 0, 0, 0), "an unknown kind"),
    ((2.5, 0, 0, 0), "an unknown kind"),
]


@pytest.mark.parametrize(("numbers", "message"), HOSTILE)
def test_a_filter_that_cannot_be_followed_is_refused(numbers, message):
    plan = ae.Policy([ae.CenterCrop(8), ae.GaussianBlur(3)]).sample([0], [(9, 9)])
    filters = plan.filter.copy()
    filters[filters[:, 0] > 0] = numbers
    with pytest.raises(ValueError, match=rf"Plan\.filter: .*{message}"):
        dataclasses.replace(plan, filter=filters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.1, 0.2, -1, 0), r"the key of an IMPULSE"),
        ((0.1, 0.2, 0, 2.0**24), r"the key of an IMPULSE"),
        ((0.3, 0.2, 0, 0), r"the shares of an IMPULSE"),
        ((-0.1, 0.2, 0, 0), r"the shares of an IMPULSE"),
        ((0.1, 1.1, 0, 0), r"the shares of an IMPULSE"),
    ],
)
def test_an_impulse_that_cannot_be_taken_is_refused(arguments, message):
    plan = plan_of(ae.CenterCrop(8), patches(1, 9, 9))
    with pytest.raises(ValueError, match=rf"Plan\.step_arg: {message}"):
        with_steps(plan, (IMPULSE, arguments))


def test_many_wide_kernels_of_a_large_image_are_counted():
    """A disc weighs hundreds of pixels, and the gate knows."""

    def defocused(count):
        ops = [ae.CenterCrop(1000), *[ae.RandomDefocus(15, p=1)] * count]
        return ae.Policy(ops).sample([0], [(1000, 1000)])

    defocused(3)
    with pytest.raises(ValueError, match=r"Plan: takes .* steps of arithmetic"):
        defocused(9)


# Other libraries


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("kornia", ae.RandomMotionBlur(5, 30, p=1)),
        ("kornia", ae.RandomPlanckianJitter("CIED", (1, -3), p=1)),
        ("kornia", ae.RandomSaltAndPepperNoise(0.2, p=1)),
        ("albumentations", ae.RandomDefocus((2, 5), p=1)),
        ("albumentations", ae.RandomSaltAndPepperNoise(0.2, p=1)),
    ],
    ids=str,
)
def test_a_peer_draws_what_we_draw(name, op):
    """Means and deviations of 64 draws of one photograph are those of ours."""
    pytest.importorskip(name)
    images = patches(1, 24, 28).expand(64, -1, -1, -1)
    given = images.permute(0, 2, 3, 1).numpy() if name == "albumentations" else images
    policy = ae.Policy([ae.CenterCrop(24), op])
    theirs = getattr(peers, name)(policy)(given, None)
    ours = drawn([ae.CenterCrop(24), op], images, "cpu")
    assert ours.shape == theirs.shape
    for measure in (lambda x: x.mean(dim=(2, 3)), lambda x: x.std(dim=(2, 3))):
        mine, other = measure(ours), measure(theirs)
        scale = mine.std(dim=0) + other.std(dim=0) + 2 / 255
        assert ((mine.mean(dim=0) - other.mean(dim=0)).abs() < 0.5 * scale).all()
