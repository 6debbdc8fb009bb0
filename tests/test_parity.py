"""Two executors, one meaning; and the laws that hold for either, whatever the plan.

Plans, images and memory layouts are generated: awkward sizes, strides, slices of larger tensors,
outputs that are poisoned before they are written.
"""

import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, each_executor, plan_of, with_steps
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from photos import NAMES, patches, photo

import augengine as ae
from augengine.plan.kinds import (
    CONSTANT,
    CURVE,
    EDGE,
    HISTOGRAM,
    HUE,
    MATRIX,
    NOISE,
    RANGE,
    SYMMETRIC,
)

SIZES = (1, 2, 3, 7, 16, 31, 64, 129, 151)
FLOATS = ("float32", "float16", "bfloat16")
BORDERS = ("constant", "edge", "reflect", "symmetric")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

generated = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


# What is generated


@dataclasses.dataclass(frozen=True)
class Case:
    """Ops, images in some memory, and how the policy is sampled."""

    ops: list
    images: object  # a tensor (n, C, H, W) of any strides, or a list of (C, H, W)
    how: dict

    def plan(self, **more):
        return plan_of(self.ops, self.images, layout="NCHW", **(self.how | more))

    def draw(self, executor, plan=None, images=None, out=None):
        plan = self.plan() if plan is None else plan
        images = self.images if images is None else images
        return ae.execute(plan, images, executor=executor, layout="NCHW", out=out)

    def _repr_pretty_(self, printer, cycle):
        """What hypothesis prints of a case that failed."""
        shapes = [(tuple(i.shape), i.stride(), i.dtype) for i in self.images]
        printer.text(f"Case(ops={self.ops}, images={shapes}, how={self.how})")


def _image(at, channels, height, width, dtype):
    """A piece of a photograph, or of several for more than three channels."""
    planes = torch.cat([photo(NAMES[(at + k) % 6])[:, 40 + at :, 90:] for k in (0, 0)]).flip(0)
    image = planes[:channels, :height, :width]
    return image.clone() if dtype == torch.uint8 else as_float(image).to(dtype)


def _in_memory(images, kind):
    """A dense batch in memory of a kind, the same values."""
    batch = torch.stack(images)
    n, c, h, w = batch.shape
    if kind == "channels_last":
        return batch.contiguous(memory_format=torch.channels_last)
    if kind == "NHWC":
        return batch.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    if kind == "slice":
        larger = torch.full((n + 1, c + 1, 2 * h, w + 3), 1, dtype=batch.dtype)
        batch, view = batch, larger[1:, 1:, ::2, 2 : 2 + w]
    elif kind == "NHWC slice":
        larger = torch.full((n, h + 2, w + 5, c + 2), 1, dtype=batch.dtype)
        view = larger[:, 1 : 1 + h, 3 : 3 + w, 2:].permute(0, 3, 1, 2)
    elif kind == "transposed":
        return batch.transpose(2, 3).contiguous().transpose(2, 3)
    else:
        return batch
    return view.copy_(batch)


side = st.sampled_from(SIZES)
size = st.tuples(side, side)


@st.composite
def batches(draw, most=4):
    dtype = getattr(torch, draw(st.sampled_from(("uint8", "uint8", *FLOATS))))
    channels = draw(st.sampled_from((3, 3, 3, 1, 4, 5)))
    n = draw(st.integers(1, most))
    ragged = draw(st.booleans())
    shapes = [draw(size) for _ in range(n)] if ragged else [draw(size)] * n
    images = [_image(i, channels, *shape, dtype) for i, shape in enumerate(shapes)]
    kinds = ("contiguous", "channels_last", "NHWC", "slice", "NHWC slice", "transposed")
    kind = draw(st.sampled_from(kinds))
    if ragged:
        return [_in_memory([image], kind)[0] for image in images]
    return _in_memory(images, kind)


@st.composite
def policies(draw, channels=3, mixes=True, normalise=True):
    """Ops with one output size: any geometry, a sizing op, any that keeps the size, colour, mixes."""
    common = {"interpolation": draw(st.sampled_from((None, None, "nearest")))}
    fill = draw(st.sampled_from((None, 0, 100.5, 255)))
    out = draw(size)

    def flip():
        return draw(
            st.sampled_from((ae.RandomHorizontalFlip, ae.RandomVerticalFlip)).map(lambda op: op())
        )

    def affine():
        low = draw(st.sampled_from((0.2, 0.5, 1.0)))
        return ae.RandomAffine(
            draw(st.sampled_from((0, 30, 180))),
            translate=draw(st.sampled_from((None, (0.3, 0.6)))),
            scale=(low, draw(st.sampled_from((1.0, 1.6)))),
            shear=draw(st.sampled_from((None, 20, (-10, 10, -30, 30)))),
            fill=fill,
            antialias=draw(st.booleans()),
            **common,
        )

    def warp():
        return draw(
            st.sampled_from(
                (
                    flip,
                    affine,
                    lambda: ae.RandomRotation(90, fill=fill, **common),
                    lambda: ae.RandomPerspective(
                        draw(st.sampled_from((0.3, 0.7))), p=0.8, fill=fill, **common
                    ),
                )
            )
        )()

    def frame():
        return draw(
            st.sampled_from(
                (
                    warp,
                    lambda: ae.RandomQuarterTurn(),
                    lambda: ae.RandomRotation(45, expand=True, fill=fill, **common),
                    lambda: ae.Resize(draw(side), **common, antialias=draw(st.booleans())),
                )
            )
        )()

    context = draw(st.sampled_from((None, "source")))
    sizing = draw(
        st.sampled_from(
            (
                lambda: ae.RandomResizedCrop(out, context=context, **common),
                lambda: ae.Resize(out, **common, antialias=draw(st.booleans())),
                lambda: ae.CenterCrop(out, context=context, fill=fill),
                lambda: ae.RandomCrop(
                    out,
                    padding=draw(st.sampled_from((None, 3, (0, 40, 9, 1)))),
                    pad_if_needed=True,
                    padding_mode=draw(st.sampled_from(BORDERS)),
                    fill=fill,
                    context=context,
                ),
            )
        )
    )()
    ops = [frame() for _ in range(draw(st.integers(0, 2)))]
    ops += [sizing] + [warp() for _ in range(draw(st.integers(0, 2)))]

    rgb = channels == 3
    jitter = {"saturation": (0.2, 1.8), "hue": 0.4} if rgb else {}
    colours = [
        ae.RandomBrightness(0.4),
        ae.ColorJitter(brightness=0.5, contrast=(0.3, 2.5), **jitter),
        ae.ColorJitter(contrast=0.9),
        ae.SomeOf([ae.RandomBrightness(0.3), ae.ColorJitter(brightness=0.4)], 2, (0.2, 1.0)),
        *([ae.RandomGrayscale(p=0.5)] if rgb else []),
    ]
    for _ in range(draw(st.integers(0, 2))):
        ops.insert(draw(st.integers(0, len(ops))), draw(st.sampled_from(colours)))
    if mixes:
        erase = ae.RandomErasing(p=0.7, scale=(0.05, 0.6), value=0.3)
        ops += draw(
            st.sampled_from(
                (
                    [],
                    [ae.CutMix()],
                    [ae.MixUp()],
                    [erase],
                    [ae.MixUp(), ae.CutMix()],
                    [ae.CutMix(), erase],
                    [ae.OneOf([ae.CutMix(), ae.MixUp()]), erase],
                )
            )
        )
    if normalise:
        ops.append(ae.Normalize(*((MEAN, STD) if rgb else (0.45, 0.22))))
    return ops


@st.composite
def cases(draw, out_dtypes=("uint8", *FLOATS), mixes=True, most=4):
    images = draw(batches(most))
    dtype = draw(st.sampled_from(out_dtypes))
    normalise = dtype != "uint8" and draw(st.booleans())
    channels = images[0].shape[0]
    how = {
        "seed": draw(st.integers(0, 99)),
        "dtype": dtype,
        "channels_last": draw(st.booleans()),
        "ids": np.array(draw(st.permutations(range(50, 50 + len(images))))),
    }
    ops = draw(policies(channels, mixes, normalise))
    case = Case(ops, images, how)
    _assume_possible(case)
    return case


def _assume_possible(case):
    """Leave out policies that the ops refuse for these images."""
    try:
        case.plan()
    except ValueError as error:
        assume("one border" not in str(error) and "one size" not in str(error))
        raise


def _outputs(plan, kind):
    """(memory, a view of it of the plan's shape), poisoned: NaN, or 0xAB for bytes."""
    n, c, h, w = plan.shape
    dtype = getattr(torch, plan.finish.dtype)
    poison = 0xAB if dtype == torch.uint8 else torch.nan
    if kind == "slice":
        memory = torch.full((n, c + 1, h + 2, 2 * w + 3), poison, dtype=dtype)
        return memory, memory[:, 1:, 1 : 1 + h, 2 : 2 + 2 * w : 2]
    if kind == "NHWC slice":
        memory = torch.full((n + 1, h + 1, w + 2, c + 1), poison, dtype=dtype)
        return memory, memory[1:, 1:, 1 : 1 + w, :c].permute(0, 3, 1, 2)
    if kind == "channels_last":
        memory = torch.full((n, h, w, c), poison, dtype=dtype)
        return memory, memory.permute(0, 3, 1, 2)
    memory = torch.full((n, c, h, w), poison, dtype=dtype)
    return memory, memory


# Agreement


def _tolerance(plan):
    """1 on bytes; on floats 2e-3 where normalised and 1e-5 where not, and one step of the dtype."""
    if plan.finish.dtype == "uint8":
        return 1
    floor = 2e-3 if plan.finish.std else 1e-5
    largest = 3.0 if plan.finish.std else 1.0
    step = {"float32": 0, "float16": 2**-11, "bfloat16": 2**-8}[plan.finish.dtype]
    return floor + 2 * largest * step


def _assert_agree(plan, ours, theirs):
    assert ours.dtype == theirs.dtype == getattr(torch, plan.finish.dtype)
    assert torch.isfinite(ours.float()).all()
    assert_close(ours, theirs, _tolerance(plan))


@settings(generated, max_examples=300)
@given(cases())
def test_executors_agree(case):
    plan = case.plan()
    _assert_agree(plan, case.draw("cpu", plan), case.draw("torch", plan))


@settings(generated, max_examples=100)
@given(cases(out_dtypes=("float32",)), st.sampled_from(range(CONSTANT, SYMMETRIC + 1)), st.data())
def test_executors_agree_on_plans_that_no_policy_makes(case, border, data):
    """Any matrix, support, border, clip and steps."""
    plan = case.plan()
    v = len(plan.source)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    size = plan.sizes[plan.source].astype(float)
    matrix = plan.inv_matrix @ _near_identity(rng, v)
    low, high = np.sort(rng.random((2, v, 2)), axis=0) * size
    clip = np.concatenate([low, high], axis=1) if data.draw(st.booleans()) else plan.clip
    steps = data.draw(st.lists(st.sampled_from(_steps(case.images[0].shape[0])), max_size=4))
    # A stretch first, since it would enlarge a curve's step without bound; noise last, since what a
    # statistic makes of noise has a test of its own.
    steps.sort(key=lambda step: (step[0] == NOISE) - (step[2:] == (RANGE,)))
    curves = np.linspace([[0.1] * 3, [0.9] * 3], [[0.7] * 3, [0.2] * 3], 256, axis=-1)
    made = dataclasses.replace(
        plan,
        inv_matrix=matrix.astype(np.float32),
        support=rng.choice([0, 1, 1.3, 2.7], (v, 2)).astype(np.float32),
        clip=clip.astype(np.float32),
        border=np.full(v, border, np.int8),
    )
    if steps:
        made = with_steps(made, *steps, curves=curves)
        made = dataclasses.replace(
            made,
            window=np.repeat(plan_window(made)[:, None], len(steps), axis=1),
            fill_start=rng.integers(0, len(steps) + 1, v).astype(np.int16),
        )
    # A value at the edge between two entries of a curve may take either: one entry's difference. A
    # stretch of an image that is nearly flat enlarges roundings up to 255 times.
    tolerance = _tolerance(made)
    tolerance += 0.02 * any(step[0] == CURVE for step in steps)
    tolerance += 1e-4 * any(step[2:] == (RANGE,) for step in steps)
    assert_close(case.draw("cpu", made), case.draw("torch", made), tolerance)


def plan_window(plan):
    """The whole of each view's source."""
    size = plan.sizes[plan.source].astype(np.float32)
    return np.concatenate([np.zeros_like(size), size], axis=1)


def _near_identity(rng, n):
    matrix = np.eye(3) + rng.normal(0, 1, (n, 3, 3)) * [
        [0.2, 0.2, 9],
        [0.2, 0.2, 9],
        [2e-3, 2e-3, 0],
    ]
    matrix[rng.random(n) < 0.4, 2] = [0, 0, 1]
    return matrix


def _steps(channels):
    grey = 0.4 * np.eye(3, 4) + [[0.1, 0.2, 0.1, 0.1]]
    steps = [
        (CURVE, [0]),
        (CURVE, [1]),
        (NOISE, [0.01, 0.1, 1234, (1 << 24) - 1]),
        (MATRIX, (0.9 * np.eye(3, 4) + [0, 0, 0, 0.05]).ravel()),
        (MATRIX, [], RANGE),
    ]
    return steps + [(HUE, [0.3]), (HUE, [-0.7]), (MATRIX, grey.ravel())] * (channels == 3)


def test_executors_agree_on_a_statistic_after_noise():
    images = patches(2, 30, 40)
    noise = (NOISE, [0.0, 0.1, 1234, 77])
    plan = with_steps(plan_of(ae.RandomHorizontalFlip(1), images), noise, (MATRIX, [], RANGE))
    case = Case([], images, {})
    assert_close(case.draw("cpu", plan), case.draw("torch", plan), 1e-5)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", *FLOATS])
def test_executors_agree_on_equalize(dtype, channels):
    images = torch.stack([_image(i, channels, 67, 129, torch.uint8) for i in range(4)])
    plan = plan_of(ae.RandomRotation(180), images, layout="NCHW", dtype=dtype)
    plan = with_steps(plan, (CURVE, [0], HISTOGRAM))
    case = Case([], images, {})
    ours, theirs = case.draw("cpu", plan), case.draw("torch", plan)
    # Between pixels a value may fall on either side of an entry's edge; in few places it does.
    different = (ours.float() - theirs.float()).abs() > _tolerance(plan)
    assert different.float().mean() < 1e-3
    assert ours.float().std() > 0.2 * ours.float().max()


# Three that are hard on rounding: (case, plan), which the GPU's tests draw as well.


def wide_filters(channels, support, angle, height=60, width=75):
    images = torch.stack([_image(i, channels, height, width, torch.uint8) for i in range(3)])
    plan = plan_of(ae.RandomRotation((angle, angle), fill=200), images, layout="NCHW")
    plan = dataclasses.replace(plan, support=np.tile(np.float32(support), (3, 1)))
    return Case([], images, {}), plan


def beyond_the_horizon(numerator, border):
    """Where the denominator is negative, or 0, and the point is 0/0 or infinitely far."""
    images = patches(2, 6, 7)
    matrix = np.array([[1, 0, 2], [0, 0, numerator], [-0.5, 0, 1.25]], np.float32)
    plan = plan_of(ae.RandomHorizontalFlip(p=0), images)
    plan = dataclasses.replace(
        plan,
        inv_matrix=np.tile(matrix, (2, 1, 1)),
        border=np.full(2, border, np.int8),
        fill=np.ones((2, 3), np.float32),
    )
    return Case([], images, {}), plan


def along_the_edge(border, repeats):
    """Points that come to lie upon the clip's edge, or a rounding away from it, on a projective map."""
    rng = np.random.default_rng(5)
    images = patches(6, 40, 50).repeat(repeats, 1, 1, 1)
    plan = plan_of([ae.RandomHorizontalFlip(p=0)], images)
    n = len(plan)
    matrix = np.tile(np.eye(3), (n, 1, 1))
    matrix[:, 2, 0] = rng.normal(0, 3e-4, n)
    matrix[:, 2, 1] = rng.normal(0, 3e-4, n)
    row = rng.integers(0, 40, n) + 0.5
    # Row `row` of the output maps to the line y = 20 of the source, which is the clip's edge.
    matrix[:, 1, 0] = 20 * matrix[:, 2, 0]
    matrix[:, 1, 2] = 20 * (matrix[:, 2, 1] * row + 1) - row
    clip = plan.clip.copy()
    clip[:, 0] = 20
    plan = dataclasses.replace(
        plan,
        inv_matrix=matrix.astype(np.float32),
        clip=clip,
        border=np.full(n, border, np.int8),
        fill=np.full((n, 3), 1, np.float32),
    )
    return Case([], images, {}), plan


@pytest.mark.parametrize("support", [(1.0, 1.0), (3.3, 1.0), (1.0, 6.5), (9.9, 9.9), (0.0, 0.0)])
@pytest.mark.parametrize("angle", [0, 17, 90])
def test_executors_agree_on_wide_filters(support, angle):
    for channels in (1, 3, 4):
        case, plan = wide_filters(channels, support, angle)
        assert_close(case.draw("cpu", plan), case.draw("torch", plan), 5e-6)


@pytest.mark.parametrize("border", range(CONSTANT, SYMMETRIC + 1))
@pytest.mark.parametrize("numerator", [0.0, 3.0, -3.0])
def test_executors_agree_beyond_the_horizon(numerator, border):
    case, plan = beyond_the_horizon(numerator, border)
    assert_close(case.draw("cpu", plan), case.draw("torch", plan), 1e-5)


@pytest.mark.parametrize("border", [CONSTANT, EDGE])
def test_executors_agree_along_the_edge_of_the_clip(border):
    case, plan = along_the_edge(border, repeats=40)
    assert_close(case.draw("cpu", plan), case.draw("torch", plan), 1e-5)


# Memory: all of it is written, and nothing else


@each_executor
@settings(generated, max_examples=40)
@given(cases(), st.sampled_from(("plain", "channels_last", "slice", "NHWC slice")))
def test_every_value_is_written_and_nothing_else(executor, case, kind):
    plan = case.plan()
    expected = case.draw(executor, plan)
    memory, out = _outputs(plan, kind)
    before = memory.clone()
    assert case.draw(executor, plan, out=out) is out
    assert torch.equal(out, expected)
    if plan.finish.dtype == "uint8":
        # A byte that was never written would have kept its poison, whichever that was.
        again = torch.full_like(out, 0x54)
        assert torch.equal(case.draw(executor, plan, out=again), expected)
    else:
        assert not out.isnan().any()
    out.fill_(0xAB if plan.finish.dtype == "uint8" else torch.nan)
    assert torch.equal(memory.nan_to_num(7), before.nan_to_num(7))


@each_executor
@settings(generated, max_examples=30)
@given(cases())
def test_sources_are_left_as_they_were_and_their_layout_does_not_matter(executor, case):
    plan = case.plan()
    before = [image.clone() for image in case.images]
    drawn = case.draw(executor, plan)
    assert all(torch.equal(a, b) for a, b in zip(case.images, before, strict=True))
    # Packed floats and bytes may take another path: the same values, up to a rounding.
    other = case.draw(executor, plan, images=[image.contiguous() for image in before])
    assert_close(drawn, other, _tolerance(plan))


@each_executor
def test_float_and_byte_sources_are_the_same_pictures(executor):
    images = patches(4, 70, 90)
    ops = [ae.RandomResizedCrop((64, 65)), ae.RandomRotation(20), ae.ColorJitter(0.3, 0.3, 0.3)]
    plan = plan_of(ops, images)
    expected = ae.execute(plan, images, executor=executor)
    for dtype, tolerance in (("float32", 1e-6), ("float16", 2e-3), ("bfloat16", 1.6e-2)):
        floats = as_float(images).to(getattr(torch, dtype))
        got = ae.execute(plan, floats, executor=executor)
        assert_close(got, expected, tolerance)


@each_executor
def test_an_image_at_the_very_end_of_its_memory(executor):
    """Vector loads may not reach over the end: the last pixels are right, whatever lies before."""
    for width in (1, 2, 3, 5, 16):
        image = _image(0, 3, 9, width, torch.uint8)
        memory = torch.zeros(9 * width * 3, dtype=torch.uint8)
        at_end = memory.view(9, width, 3)
        at_end.copy_(image.permute(1, 2, 0))
        for op in (ae.RandomRotation((180, 180)), ae.RandomRotation((0.001, 0.001))):
            plan = plan_of(op, [image])
            got = ae.execute(plan, [at_end], executor=executor, layout="NHWC")
            expected = ae.execute(plan, [as_float(image)], executor=executor, layout="NCHW")
            assert_close(got, expected, 1e-6)


# Laws


@each_executor
@settings(generated, max_examples=30)
@given(cases(), st.randoms(use_true_random=False))
def test_a_permuted_batch_gives_permuted_outputs(executor, case, random):
    n = len(case.images)
    order = random.sample(range(n), n)
    images = [case.images[i] for i in order]
    shuffled = Case(case.ops, images, case.how | {"ids": case.how["ids"][order]})
    assert torch.equal(shuffled.draw(executor), case.draw(executor)[order])


@each_executor
@settings(generated, max_examples=30)
@given(cases(), st.data())
def test_rows_of_a_plan_give_rows_of_the_batch(executor, case, data):
    plan = case.plan()
    rows = data.draw(st.lists(st.integers(0, len(plan) - 1), min_size=1, max_size=6))
    got = case.draw(executor, plan.select(rows))
    assert torch.equal(got, case.draw(executor, plan)[rows])


@each_executor
@settings(generated, max_examples=30)
@given(cases(most=3), cases(most=3))
def test_joined_plans_give_joined_batches(executor, first, second):
    """Two batches of one finish, of unlike numbers of steps and layers, as one."""
    channels = first.images[0].shape[0]
    images = [_image(i + 3, channels, 31, 40, first.images[0].dtype) for i in range(2)]
    finish = first.plan().finish
    ops = [op for op in second.ops if isinstance(op, (ae.RandomAffine, ae.RandomBrightness))]
    ops += [ae.RandomResizedCrop(finish.size), ae.ColorJitter(0.2, 0.2), ae.CutMix()]
    ops += [op for op in first.ops if isinstance(op, ae.Normalize)]
    kept = {k: first.how[k] for k in ("dtype", "channels_last")}
    other = Case([_without_interpolation(op) for op in ops], images, kept)
    plans = [first.plan(), other.plan()]
    joined = ae.concatenate(plans)
    got = other.draw(executor, joined, images=[*first.images, *images])
    expected = torch.cat([first.draw(executor, plans[0]), other.draw(executor, plans[1])])
    assert torch.equal(got, expected)


def _without_interpolation(op):
    named = {"interpolation": None, "fill": None}
    known = {field.name for field in dataclasses.fields(op)}
    return dataclasses.replace(op, **{k: v for k, v in named.items() if k in known})


@each_executor
def test_joined_plans_keep_their_own_curves(executor):
    images, keep = patches(2, 20, 30), ae.RandomHorizontalFlip(p=0)
    curves = np.random.default_rng(0).random((2, 1, 3, 256))
    plans = [
        with_steps(plan_of(keep, images[i : i + 1]), (CURVE, [0]), curves=curves[i])
        for i in range(2)
    ]
    got = ae.execute(ae.concatenate(plans), images, executor=executor)
    for i in range(2):
        expected = ae.execute(plans[i], images[i : i + 1], executor=executor)
        assert torch.equal(got[i], expected[0])


WITH_P = {
    "hflip": lambda p: ae.RandomHorizontalFlip(p),
    "vflip": lambda p: ae.RandomVerticalFlip(p),
    "perspective": lambda p: ae.RandomPerspective(0.8, p),
    "grey": lambda p: ae.RandomGrayscale(p),
    "cutmix": lambda p: ae.CutMix(p=p),
    "mixup": lambda p: ae.MixUp(p=p),
    "erasing": lambda p: ae.RandomErasing(p),
    "apply": lambda p: ae.RandomApply([ae.RandomBrightness((0.1, 0.2))], p),
    "apply two": lambda p: ae.RandomApply([ae.RandomGrayscale(1), ae.RandomVerticalFlip(1)], p),
    "one of": lambda p: ae.OneOf(
        [ae.RandomHorizontalFlip(0), ae.RandomHorizontalFlip(1)], [1 - p, p]
    ),
}


@each_executor
@pytest.mark.parametrize("name", WITH_P)
def test_p_0_never_and_p_1_always(name, executor):
    images = patches(60, 40, 44)
    never = ae.execute(plan_of(WITH_P[name](0.0), images, dtype="uint8"), images, executor=executor)
    assert torch.equal(never, images)
    plan = plan_of(WITH_P[name](1.0), images, dtype="uint8")
    # A box that CutMix drew empty pastes nothing; its layer is there.
    acted = (plan.log_op >= 0).any(axis=1) | (plan.view[:, 1:] != -1).any(axis=1)
    assert acted.all()
    always = ae.execute(plan, images, executor=executor)
    changed = (always != images).flatten(1).any(dim=1)
    assert changed.sum() >= (55 if name == "cutmix" else 60)
    plan = plan_of(WITH_P[name](0.5), images, dtype="uint8")
    half = ae.execute(plan, images, executor=executor)
    assert 15 < (half != images).flatten(1).any(dim=1).sum() < 45


@each_executor
def test_a_policy_of_neutral_magnitudes_is_the_identity(executor):
    images = patches(6, 65, 129)
    ops = [
        ae.RandomResizedCrop((65, 129), scale=(1, 1), ratio=(129 / 65, 129 / 65)),
        ae.RandomRotation(0),
        ae.RandomAffine(0, scale=(1, 1), shear=0),
        ae.RandomPerspective(0.0, p=1),
        ae.RandomBrightness(0),
        ae.ColorJitter(brightness=(1, 1), contrast=(1, 1), saturation=(1, 1)),
    ]
    plan = plan_of(ops, images, dtype="uint8")
    assert torch.equal(ae.execute(plan, images, executor=executor), images)


@each_executor
def test_strength_0_is_the_identity(executor):
    images = patches(6, 64, 64)
    ops = [
        ae.RandomResizedCrop((64, 64)),
        ae.RandomAffine(90, (0.5, 0.5), (0.3, 3), 45),
        ae.RandomRotation(90),
        ae.RandomPerspective(1.0, p=1),
        ae.ColorJitter(0.9, 0.9, 0.9),
        ae.RandomBrightness(0.9),
    ]
    sizes = np.tile([64, 64], (6, 1))
    plan = ae.Policy(ops).sample(np.arange(6), sizes, strength=np.zeros(6), dtype="uint8")
    assert torch.equal(ae.execute(plan, images, executor=executor), images)


@each_executor
def test_flips_undo_themselves(executor):
    images = patches(4, 51, 64)
    turns = [ae.RandomQuarterTurn(1), ae.RandomQuarterTurn(3)]
    for ops in ([ae.RandomHorizontalFlip(1)] * 2, [ae.RandomVerticalFlip(1)] * 2, turns):
        plan = plan_of(ops, images, dtype="uint8")
        assert torch.equal(ae.execute(plan, images, executor=executor), images)


@each_executor
def test_flipping_the_image_flips_what_is_made_of_it(executor):
    """With the matrix mirrored likewise; so no side of an edge is preferred."""
    images = patches(3, 50, 64)
    plan = plan_of(ae.RandomRotation((33, 33), fill=128), images)
    mirrored = plan_of(ae.RandomRotation((-33, -33), fill=128), images)
    drawn = ae.execute(plan, images, executor=executor)
    again = ae.execute(mirrored, images.flip(-1), executor=executor).flip(-1)
    assert_close(drawn, again, 1e-4)


# Threads


@contextmanager
def _threads(n):
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


BUSY = [
    ae.RandomResizedCrop((61, 67)),
    ae.RandomAffine(20, (0.1, 0.1), (0.7, 1.2), 10, fill=90),
    ae.ColorJitter(0.3, 0.3, 0.3),
    ae.OneOf([ae.CutMix(), ae.MixUp()]),
    ae.RandomErasing(),
    ae.Normalize(MEAN, STD),
]


def test_threads_change_no_bit():
    images = [photo(name)[:, :300, :400] for name in NAMES] * 5
    plan = plan_of(BUSY, images)
    for made in (plan, with_steps(plan, (MATRIX, [], RANGE), (CURVE, [0], HISTOGRAM))):
        drawn = []
        for n in (1, 2, 3, 8):
            with _threads(n):
                drawn.append(ae.execute(made, images, executor="cpu"))
        assert all(torch.equal(drawn[0], other) for other in drawn[1:])


def test_threads_change_the_torch_executor_by_a_rounding_at_most():
    """torch sums a mean in an order that depends on its threads."""
    images = patches(6, 100, 120)
    plan = plan_of(BUSY, images)
    drawn = []
    for n in (1, 2):
        with _threads(n):
            drawn.append(ae.execute(plan, images, executor="torch"))
    assert_close(drawn[0], drawn[1], 1e-5)


@each_executor
def test_repetition_changes_no_bit(executor):
    """A race would show in some of the runs."""
    images = patches(48 if executor == "cpu" else 6, 80, 90)
    plan = plan_of(BUSY, images)
    with _threads(4 if executor == "cpu" else 1):
        first = ae.execute(plan, images, executor=executor)
        for _ in range(25 if executor == "cpu" else 3):
            out = torch.full_like(first, torch.nan)
            assert torch.equal(ae.execute(plan, images, executor=executor, out=out), first)


# Large


@pytest.mark.slow
def test_an_output_of_more_than_2_to_the_31_elements():
    """All outputs look at one tiny source; some 2.2 GB are written."""
    image = patches(1, 16, 16)
    plan = plan_of([ae.Resize((512, 512)), ae.RandomRotation(30)], image, dtype="uint8")
    n = 2**31 // (3 * 512 * 512) + 3
    small = ae.execute(plan, image, executor="cpu")[0]
    large = ae.execute(plan.select(np.zeros(n, int)), image, executor="cpu")
    assert large.numel() > 2**31
    for i in (0, 1, n // 2, n - 4, n - 3, n - 2, n - 1):
        assert torch.equal(large[i], small)
    assert all(torch.equal(one, small) for one in large)


def test_rows_further_apart_than_2_to_the_31_values():
    """Strides of 64 bits, in memory that is reserved and hardly touched."""
    apart = 2**31 + 64
    memory = torch.empty(2 * apart, dtype=torch.uint8)
    out = memory.as_strided((2, 3, 8, 9), (apart, 72, 9, 1))
    images = patches(2, 8, 9)
    plan = plan_of(ae.RandomVerticalFlip(p=1), images, dtype="uint8")
    assert torch.equal(ae.execute(plan, images, executor="cpu", out=out), images.flip(2))
    source = memory.as_strided((2, 3, 8, 9), (apart, 72, 9, 1)).copy_(images)
    got = ae.execute(plan, source, executor="cpu", layout="NCHW")
    assert torch.equal(got, images.flip(2))
