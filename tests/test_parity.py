"""Two executors, one meaning; and the laws that hold for either, whatever the plan (generated.py)."""

import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, each_executor, plan_of, with_steps
from generated import (
    FLOATS,
    MEAN,
    STD,
    Case,
    along_the_edge,
    at_a_jump,
    beyond_the_horizon,
    cases,
    clips,
    curves_of,
    examples,
    filters,
    kinds_of_step,
    near_identity,
    piece,
    poisoned,
    tolerance_of,
    whole_window,
    wide_filters,
)
from hypothesis import given
from hypothesis import strategies as st
from photos import NAMES, patches, photo

import augengine as ae
from augengine.plan import shrinks
from augengine.plan.kinds import (
    CONSTANT,
    CURVE,
    EDGE,
    HISTOGRAM,
    MATRIX,
    NOISE,
    RANGE,
    SYMMETRIC,
)

# Agreement


def _assert_agree(plan, ours, theirs):
    assert ours.dtype == theirs.dtype == getattr(torch, plan.finish.dtype)
    assert torch.isfinite(ours.float()).all()
    assert_close(ours, theirs, tolerance_of(plan))


@examples(300)
@given(cases())
def test_executors_agree(case):
    plan = case.plan()
    ours, theirs = case.draw("cpu", plan), case.draw("torch", plan)
    _assert_agree(plan, ours, theirs)
    if plan.finish.dtype == "uint8":
        # A byte apart is right only where the value lies halfway between two.
        finish = dataclasses.replace(plan.finish, dtype="float32")
        exact = case.draw("torch", dataclasses.replace(plan, finish=finish))
        for made in (ours, theirs):
            assert_close(made, 255 * exact.clamp(0, 1), 0.5 + 255 * 1e-5)


@examples(100)
@given(cases(out_dtypes=("float32",)), st.sampled_from(range(CONSTANT, SYMMETRIC + 1)), st.data())
def test_executors_agree_on_plans_that_no_policy_makes(case, border, data):
    """Any matrix, support, border, clip and steps."""
    plan = case.plan()
    v = len(plan.source)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    matrix = plan.inv_matrix @ near_identity(rng, v)
    steps = data.draw(st.lists(st.sampled_from(kinds_of_step(case.images[0].shape[0])), max_size=4))
    # A stretch first, since it would enlarge a curve's step without bound; noise last, since what a
    # statistic makes of noise has a test of its own.
    steps.sort(key=lambda step: (step[0] == NOISE) - (step[2:] == (RANGE,)))
    curves = curves_of(case.images[0].shape[0])
    made = dataclasses.replace(
        plan,
        inv_matrix=matrix.astype(np.float32),
        **filters(rng, v),
        **clips(rng, plan, whole=data.draw(st.booleans())),
        border=np.full(v, border, np.int8),
    )
    if steps:
        made = with_steps(made, *steps, curves=curves)
        made = dataclasses.replace(
            made,
            window=np.repeat(whole_window(made)[:, None], len(steps), axis=1),
            fill_start=rng.integers(0, len(steps) + 1, v).astype(np.int16),
        )
    # A stretch of an image that is nearly flat enlarges roundings up to 255 times.
    stretched = 1e-4 * any(step[2:] == (RANGE,) for step in steps)
    ours, theirs = case.draw("cpu", made), case.draw("torch", made)
    # A value at the edge between two entries of a curve may take either.
    either = at_a_jump(case, made, 1e-5 + stretched)
    ours, theirs = (x.masked_fill(either, 0) for x in (ours, theirs))
    assert_close(ours, theirs, tolerance_of(made) + stretched)


def test_executors_agree_on_a_statistic_after_noise():
    images = patches(2, 30, 40)
    noise = (NOISE, [0.0, 0.1, 1234, 77])
    plan = with_steps(plan_of(ae.RandomHorizontalFlip(1), images), noise, (MATRIX, [], RANGE))
    case = Case([], images, {})
    assert_close(case.draw("cpu", plan), case.draw("torch", plan), 1e-5)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", *FLOATS])
def test_executors_agree_on_equalize(dtype, channels):
    images = torch.stack([piece(i, channels, 67, 129, torch.uint8) for i in range(4)])
    plan = plan_of(ae.RandomRotation(180), images, layout="NCHW", dtype=dtype)
    plan = with_steps(plan, (CURVE, [0], HISTOGRAM))
    case = Case([], images, {})
    ours, theirs = case.draw("cpu", plan), case.draw("torch", plan)
    # Between pixels a value may fall on either side of an entry's edge; in few places it does.
    different = (ours.float() - theirs.float()).abs() > tolerance_of(plan)
    assert different.float().mean() < 1e-3
    assert ours.float().std() > 0.2 * ours.float().max()


@pytest.mark.parametrize("support", [(1.0, 1.0), (3.3, 1.0), (1.0, 6.5), (9.9, 9.9), (0.0, 0.0)])
@pytest.mark.parametrize("angle", [0, 17, 90])
def test_executors_agree_on_wide_filters(support, angle, monkeypatch):
    monkeypatch.setattr(shrinks, "LEAST_SHRINK", np.inf)  # the turn weighs all of it
    for channels in (1, 3, 4):
        case, plan = wide_filters(channels, support, angle)
        assert_close(case.draw("cpu", plan), case.draw("torch", plan), 5e-6)


@pytest.mark.parametrize("support", [(2.0, 2.0), (2.0, 6.5), (7.3, 3.1), (9.9, 9.9)])
@pytest.mark.parametrize("angle", [0, 17, 90])
def test_executors_agree_on_cubics(support, angle, monkeypatch):
    monkeypatch.setattr(shrinks, "LEAST_SHRINK", np.inf)
    for channels, slope in ((1, -0.5), (3, -0.75), (3, -0.5), (4, -1)):
        case, plan = wide_filters(channels, support, angle, slope=slope)
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
@examples(40)
@given(cases(), st.sampled_from(("plain", "channels_last", "slice", "NHWC slice")))
def test_every_value_is_written_and_nothing_else(executor, case, kind):
    plan = case.plan()
    expected = case.draw(executor, plan)
    memory, out = poisoned(plan, kind)
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
@examples(30)
@given(cases())
def test_sources_are_left_as_they_were_and_their_layout_does_not_matter(executor, case):
    plan = case.plan()
    before = [image.clone() for image in case.images]
    drawn = case.draw(executor, plan)
    assert all(torch.equal(a, b) for a, b in zip(case.images, before, strict=True))
    # Packed floats and bytes may take another path: the same values, up to a rounding.
    other = case.draw(executor, plan, images=[image.contiguous() for image in before])
    assert_close(drawn, other, tolerance_of(plan))


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
        image = piece(0, 3, 9, width, torch.uint8)
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
@examples(30)
@given(cases(), st.randoms(use_true_random=False))
def test_a_permuted_batch_gives_permuted_outputs(executor, case, random):
    n = len(case.images)
    order = random.sample(range(n), n)
    images = [case.images[i] for i in order]
    shuffled = Case(case.ops, images, case.how | {"ids": case.how["ids"][order]})
    assert torch.equal(shuffled.draw(executor), case.draw(executor)[order])


@each_executor
@examples(30)
@given(cases(), st.data())
def test_rows_of_a_plan_give_rows_of_the_batch(executor, case, data):
    plan = case.plan()
    rows = data.draw(st.lists(st.integers(0, len(plan) - 1), min_size=1, max_size=6))
    got = case.draw(executor, plan.select(rows))
    assert torch.equal(got, case.draw(executor, plan)[rows])


@each_executor
@examples(30)
@given(cases(most=3), cases(most=3))
def test_joined_plans_give_joined_batches(executor, first, second):
    """Two batches of one finish, of unlike numbers of steps and layers, as one."""
    channels = first.images[0].shape[0]
    images = [piece(i + 3, channels, 31, 40, first.images[0].dtype) for i in range(2)]
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


@pytest.mark.thorough
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
