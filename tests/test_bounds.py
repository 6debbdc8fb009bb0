"""The gate before memory: whichever way a plan comes, its numbers are bounded, or it is refused; and what
is extreme and yet allowed gives the right picture."""

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

import augengine as ae
from augengine.kernels import CPU_EXECUTORS
from augengine.plan import VIEW_FIELDS
from augengine.plan.kinds import CURVE, GAINS, GAUSSIAN, HUE, NOISE, TONE

ROOT = Path(__file__).parents[1]
POLICY = [
    ae.RandomResizedCrop(24),
    ae.ColorJitter(0.4, 0.4, 0.4, 0.1),
    ae.GaussianBlur(5),
    ae.RandomRotation(20),
    ae.CutMix(),
    ae.RandomErasing(1),
]


@pytest.fixture(scope="module")
def plan():
    return ae.Policy(POLICY).sample(range(4), [(30, 40)] * 4)


def replaced(plan, arrays):
    return dataclasses.replace(plan, **arrays)


def from_bytes(plan, arrays):
    import json

    data = plan.to_bytes()
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    return ae.Plan.from_bytes(save(load(data) | arrays, metadata=metadata))


def unpickled(plan, arrays):
    """What a pickle does whose state somebody has changed."""
    new = object.__new__(ae.Plan)
    new.__setstate__(dict(vars(pickle.loads(pickle.dumps(plan)))) | arrays)
    return new


WAYS = [replaced, from_bytes, unpickled]

# A field, where in it (everywhere: Ellipsis), a number that no executor can follow, what is said.
HOSTILE = [
    ("source", 0, 2**31 - 1, r"Plan\.source: holds a value outside"),
    ("source", 0, -3, r"Plan\.source: holds a value outside"),
    ("view", (0, 0), -(2**31), r"Plan\.view: holds a value outside"),
    ("view", (0, 0), -1, r"Plan\.view: an output has no first layer"),
    ("inv_matrix", (0, 0, 0), 3e38, r"Plan\.inv_matrix: holds 3e\+38, expected numbers in"),
    ("inv_matrix", (0, 2, 2), -(2.0**41), r"Plan\.inv_matrix: holds -2\.1"),
    ("inv_matrix", (0, 1, 2), 1e20, r"Plan\.inv_matrix: holds 1e\+20"),
    ("support", (0, 0), 2.0**61, r"Plan\.support: holds 2\.3"),
    ("support", (0, 0), 0.5, r"Plan\.support: holds a number between 0 and 0\.75"),
    ("support", (0, 1), 1e-45, r"Plan\.support: holds a number between 0 and 0\.75"),
    ("clip", 0, (5, 5, 5, 2.0**62), r"Plan\.clip: holds 4\.6"),
    ("clip", 0, (9, 5, 3, 6), r"Plan\.clip: is reversed"),
    ("clip", 0, (0, 0, 30.001, 6), r"Plan\.clip: is reversed or reaches outside its source"),
    ("sight", 0, (0, 0, 30.001, 40), r"Plan\.sight: reaches outside its source"),
    (
        "sight",
        0,
        (1, 0, 2, 1),
        r"Plan\.sight: reaches outside its source, or does not hold the clip",
    ),
    ("sight", 0, (0, 0, 2.0**62, 6), r"Plan\.sight: holds 4\.6"),
    ("slope", 0, -1.5, r"Plan\.slope: holds -1\.5"),
    ("slope", 0, -1e-45, r"Plan\.support: holds a number below 2 for a cubic"),
    ("fill", (0, 0), 3e38, r"Plan\.fill: holds 3e\+38"),
    ("step_kind", (0, 0), 127, r"Plan\.step_kind: holds 127"),
    ("step_arg", (0, 0, 0), -1e38, r"Plan\.step_arg: holds -1e\+38"),
    ("window", ..., 1e25, r"Plan\.window: holds 1e\+25"),
    ("filter", (..., 3), 1e37, r"Plan\.filter: holds 1e\+37"),
    ("frame", (..., 0), 2**31 - 1, r"Plan\.frame: holds 2147483647"),
    ("frame", (..., 1), 2**23, r"Plan\.frame: the pictures that are filtered have"),
    ("box", (0, 0), (0, 0, 24, 23), r"Plan\.box: an output's first layer does not cover it"),
    ("box", (0, 1), (0, 0, 2**31 - 1, 3), r"Plan\.box: holds 2147483647"),
    ("alpha", (0, 0), 0.5, r"Plan\.view: an output has no first layer, or one that is blended"),
    ("alpha", (0, 1), 1e5, r"Plan\.alpha: holds 100000"),
    ("colour", (0, 0, 0), 3e38, r"Plan\.colour: holds 3e\+38"),
    ("log_arg", (0, 0, 0), 3e38, r"Plan\.log_arg: holds 3e\+38"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "at", "value", "message"), HOSTILE, ids=str)
def test_a_number_that_cannot_be_followed_is_refused(plan, way, name, at, value, message):
    array = getattr(plan, name).copy()
    array[at] = value
    with pytest.raises(ValueError, match=message):
        way(plan, {name: array})


STEPS = [
    ("curve", CURVE, (7,), 3, r"Plan\.step_arg: names a curve outside \[0, 0\)"),
    ("gains", GAINS, (0,), 2, r"Plan\.step_arg: names a curve outside \[0, 0\)"),
    ("gains of RGB", GAINS, (0,), 3, r"Plan\.step_(arg|kind): "),
    ("hue of two channels", HUE, (0.5,), 2, r"Plan\.step_kind: HUE turns colours"),
    ("key", NOISE, (0, 1, -1, 0), 3, r"Plan\.step_arg: the key of a NOISE"),
    ("long key", NOISE, (0, 1, 0, 2.0**24), 3, r"Plan\.step_arg: the key of a NOISE"),
    ("no scale", TONE, (256, 1, 1, 0, 0, 0, 1, 0, 1), 3, r"Plan\.step_arg: a TONE divides by 0"),
    ("no steps", TONE, (256, 0, 0, 0, 0, 0, 1, 1, 1), 3, r"Plan\.step_arg: a TONE divides by 0"),
]


@pytest.mark.parametrize(("kind", "arguments", "channels", "message"), [s[1:] for s in STEPS],
                         ids=[s[0] for s in STEPS])  # fmt: skip
def test_a_step_that_cannot_be_taken_is_refused(kind, arguments, channels, message):
    plan = ae.Policy([ae.CenterCrop(8), ae.RandomBrightness(0.5)]).sample(
        [0], [(9, 9)], channels=channels
    )
    arg = np.zeros_like(plan.step_arg)
    arg[0, 0, : len(arguments)] = arguments
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(plan, step_kind=np.full_like(plan.step_kind, kind), step_arg=arg)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_curve_is_of_values_and_gains_are_not_of_rgb(channels):
    plan = ae.Policy(ae.RandomInvert(1)).sample([0], [(9, 9)], channels=channels)
    kind, argument = np.full_like(plan.step_kind, CURVE), np.zeros_like(plan.step_arg)
    curves = np.zeros((1, channels, 256), np.float32)
    plan = dataclasses.replace(plan, step_kind=kind, step_arg=argument, curves=curves)
    curves = curves.copy()
    curves[0, -1, 7] = 1.5
    with pytest.raises(
        ValueError, match=r"Plan\.curves: a tone curve holds numbers outside \[0, 1\]"
    ):
        dataclasses.replace(plan, curves=curves)
    fields = {"curves": curves, "step_kind": np.full_like(plan.step_kind, GAINS)}
    if channels == 3:
        with pytest.raises(ValueError, match=r"Plan\.step_kind: GAINS came for 3 channels"):
            dataclasses.replace(plan, **fields)
    else:
        assert dataclasses.replace(plan, **fields).curves[0, -1, 7] == 1.5


@pytest.mark.parametrize("way", WAYS)
def test_shapes_that_do_not_fit_are_refused(plan, way):
    for name in ("border", "clip", "support", "step_arg", "alpha"):
        array = getattr(plan, name)
        with pytest.raises(ValueError, match=rf"Plan\.{name}: "):
            way(plan, {name: array[:-1].copy()})
        with pytest.raises(ValueError, match=rf"Plan\.{name}: "):
            way(plan, {name: array.reshape(-1, 1, 1, 1, 1).copy()})


def test_a_state_of_other_fields_is_refused(plan):
    for state in ({}, vars(plan) | {"more": 1}, [1, 2]):
        with pytest.raises(ValueError, match="a state of other fields than a plan's"):
            object.__new__(ae.Plan).__setstate__(state)


@pytest.mark.parametrize("way", [replaced, unpickled])
def test_circles_are_refused(plan, way):
    looped = np.full_like(plan.source, len(plan.ids))
    with pytest.raises(ValueError, match=r"Plan\.(source|frame|clip)"):
        way(plan, {"source": looped})


# Costs: what a plan asks for is in proportion to the images and outputs


def wide(support, size=400, out=64):
    """A plan that shows every pixel as it is, under a filter of this half-width."""
    plan = ae.Policy(ae.CenterCrop(out)).sample([0], [(size, size)])
    return dataclasses.replace(plan, support=np.full_like(plan.support, support))


def test_a_filter_may_be_wide_but_not_boundless():
    wide(30)
    with pytest.raises(
        ValueError, match=r"Plan: takes .* steps of arithmetic, .* view 0's, .*4000"
    ):
        wide(4000, size=4000, out=2000)


def test_a_row_of_many_layers_under_a_wide_filter_is_refused():
    plan = ae.Policy(ae.CenterCrop((1, 60000))).sample([0], [(9000, 60000)])
    with pytest.raises(ValueError, match=r"Plan\.support: a filter of 16,000 pixels for 1 layer"):
        dataclasses.replace(plan, support=np.full_like(plan.support, 8000))


@pytest.mark.parametrize(
    "policy",
    [
        [ae.RandomAffine(45, scale=(0.01, 0.01)), ae.Resize((8, 8))],
        [ae.RandomPerspective(1.0, 1), ae.Resize((8, 8))],
        [ae.Resize((3, 9000)), ae.GaussianBlur(23), ae.CenterCrop(3)],
        [ae.RandomAffine(0, scale=(0.001, 0.001)), ae.RandomPerspective(0.5, 1)],
    ],
    ids=str,
)
def test_a_strong_shrink_of_a_large_image_is_sampled(policy):
    """What an op asks for is wide of the limits."""
    plan = ae.Policy([*policy, ae.Resize((8, 8))]).sample(range(4), [(3000, 4000)] * 4)
    assert plan.shape == (4, 3, 8, 8)


def test_views_through_many_filters():
    deep = ae.Policy([ae.CenterCrop(6), *[ae.GaussianBlur(3)] * 200]).sample([0], [(6, 6)])
    assert len(deep.source) == 201
    views = {name: np.concatenate([getattr(deep, name)] * 2) for name in VIEW_FIELDS}
    # The second half goes on where the first one ends, so its last view looks through 400 filters.
    last = deep.source[deep.view[0, 0]]
    source = np.where(deep.source == 0, last, deep.source + len(deep.source))
    views["source"] = np.concatenate([deep.source, source]).astype(np.int32)
    view = deep.view + np.int32(len(deep.source))
    with pytest.raises(ValueError, match=r"through more than 256 filters"):
        dataclasses.replace(deep, view=view, **views)


# Who else may change a plan


def test_what_a_plan_was_made_of_is_not_its_own(plan):
    box = plan.box.copy()
    built = dataclasses.replace(plan, box=box)
    box[...] = 2**30
    assert built == plan
    seen = box.view()
    seen.flags.writeable = False  # and yet the owner can write
    box[...] = plan.box
    built = dataclasses.replace(plan, box=seen)
    box[...] = 2**30
    assert built == plan
    for copy in (built, pickle.loads(pickle.dumps(plan)), dataclasses.replace(plan)):
        with pytest.raises(ValueError, match="read-only"):
            copy.box[...] = 0


# Extremes that are allowed


def draw(policy, images, executor, **more):
    sizes = [image.shape[-2:] for image in images]
    plan = ae.Policy(policy).sample(range(len(images)), sizes, channels=images.shape[1])
    return ae.execute(plan, images, executor=executor, layout="NCHW", **more)


@pytest.mark.parametrize("executor", CPU_EXECUTORS)
@pytest.mark.parametrize("padding_mode", ["constant", "edge", "reflect"])
def test_what_is_infinitely_far_away_is_not_seen(executor, padding_mode):
    """Sixteen shrinks by a thousand: the image is smaller than anything."""
    policy = [ae.RandomCrop(16, padding=2, padding_mode=padding_mode)]
    policy += [ae.RandomAffine(0, scale=(0.001, 0.001))] * 16
    shown = draw(policy, torch.rand(2, 3, 16, 16), executor)
    assert (shown == 0).all()


@pytest.mark.parametrize("executor", CPU_EXECUTORS)
def test_a_strong_perspective_shows_the_image_or_the_fill(executor):
    policy = [ae.RandomCrop(20, padding=3, padding_mode="symmetric")]
    policy += [ae.RandomPerspective(1.0, 1.0)] * 4
    shown = draw(policy, torch.full((40, 3, 20, 20), 0.5), executor)
    assert shown.isfinite().all()
    assert ((shown == 0) | ((shown - 0.5).abs() < 1e-5)).all()


@pytest.mark.parametrize("executor", CPU_EXECUTORS)
def test_the_range_of_an_image_of_almost_one_value(executor):
    """Where torchvision's scale would be infinite the image counts as flat."""
    images = torch.zeros(3, 3, 8, 8)
    images[0, :, 0, 0], images[1, :, 0, 0], images[2, :, 0, 0] = 1e-40, 1e-20, 1
    shown = draw([ae.RandomAutocontrast(1)], images, executor)
    assert shown.isfinite().all()
    torch.testing.assert_close(shown[0], images[0])
    torch.testing.assert_close(shown[1:], images[2:].expand(2, -1, -1, -1))


@pytest.mark.parametrize("executor", CPU_EXECUTORS)
def test_taps_that_are_shifted_into_the_clip_are_read_from_the_image(executor, one_thread):
    """A crop that looks at the edge, of planes: its taps lie where no point of it looks. Memory that
    is taken again holds NaN, and 0 · NaN is NaN."""
    policy = ae.Policy([ae.RandomAffine(0, translate=(0.5, 0.5)), ae.Resize((8, 8)), ae.CutMix()])
    images = torch.rand(16, 3, 64, 64)
    for epoch in range(60 if executor == "cpu" else 3):
        plan = policy.sample(np.arange(16), [(64, 64)] * 16, epoch=epoch)
        for k in (1, 2, 3):  # made and freed
            torch.full((k * 64 * 64 * 12 + 160,), 255, dtype=torch.uint8)
        assert ae.execute(plan, images, executor=executor, layout="NCHW").isfinite().all()


# Where images and outputs lie


@pytest.mark.parametrize("executor", CPU_EXECUTORS)
def test_an_output_in_the_images_own_memory(executor):
    """As torch's operators do, in whatever part of the memory it lies."""
    policy = ae.Policy([ae.RandomHorizontalFlip(1)])
    plan = policy.sample([0, 1], [(32, 32)] * 2)
    memory = torch.rand(3, 3, 32, 32)
    expected = memory[:2].flip(-1)
    for first in (0, 1):
        images = memory.clone()
        out = ae.execute(plan, images[:2], out=images[first : first + 2], executor=executor)
        assert out.data_ptr() == images[first].data_ptr()
        torch.testing.assert_close(out, expected, rtol=0, atol=0)
    images = memory.clone()
    ragged = [images[0], images[1]]
    out = ae.execute(plan, ragged, out=images[1:3], executor=executor)
    torch.testing.assert_close(out, expected, rtol=0, atol=0)


@pytest.mark.parametrize("executor", CPU_EXECUTORS)
def test_outputs_that_cannot_be_written_are_refused(executor):
    plan = ae.Policy([ae.RandomHorizontalFlip(1)]).sample([0, 1], [(8, 8)] * 2)
    images = torch.rand(2, 3, 8, 8)
    overlapping = torch.zeros(500).as_strided((2, 3, 8, 8), (8, 8, 8, 1))
    with pytest.raises(ValueError, match="out is expanded, or overlaps itself"):
        ae.execute(plan, images, out=overlapping, executor=executor)
    unaligned = torch.frombuffer(bytearray(4 * 2 * 3 * 64 + 1), dtype=torch.float32, offset=1,
                                 count=2 * 3 * 64).view(2, 3, 8, 8)  # fmt: skip
    with pytest.raises(ValueError, match="no multiple of its 4 bytes"):
        ae.execute(plan, images, out=unaligned, executor=executor)
    leaf = torch.zeros(2, 3, 8, 8, requires_grad=True)
    with pytest.raises(ValueError, match="out is a leaf that requires a gradient"):
        ae.execute(plan, images, out=leaf, executor=executor)


@pytest.mark.parametrize("executor", CPU_EXECUTORS)
def test_floats_that_lie_between_addresses(executor):
    values = np.random.default_rng(0).random(2 * 3 * 8 * 8).astype(np.float32)
    memory = bytearray(b"x" + values.tobytes())
    images = torch.frombuffer(memory, dtype=torch.float32, offset=1).view(2, 3, 8, 8)
    assert images.data_ptr() % 4
    shown = draw([ae.RandomHorizontalFlip(1)], images, executor)
    torch.testing.assert_close(shown, images.clone().flip(-1))


@pytest.mark.parametrize("executor", ["cpu"])
def test_sources_that_reach_behind_their_memory_are_refused(executor):
    plan = ae.Policy(ae.CenterCrop(8)).sample([0], [(64, 64)])
    small = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    lying = ae.Sources(small, (), np.array([[64, 64]], np.int32))
    with pytest.raises(ValueError, match="sizes and strides reach behind its memory"):
        ae.execute(plan, lying, executor=executor)


def test_more_memory_than_there_is(plan):
    """In one kind of error, which names the bytes."""
    huge = dataclasses.replace(
        ae.Policy(ae.CenterCrop(8)).sample([0], [(9, 9)]),
        finish=ae.Finish((2**21, 2**22)),
        box=np.array([[[0, 0, 2**21, 2**22]]], np.int32),
    )
    images = np.zeros((1, 9, 9, 3), np.uint8)
    for executor in CPU_EXECUTORS:
        with pytest.raises(
            torch.OutOfMemoryError, match="out of memory for a batch of 1×3×2097152"
        ):
            ae.execute(huge, images, executor=executor)


@pytest.mark.parametrize("size", [(0, 3), (2**24, 3), (3.0, 3), (True, 3), (3,), (3, 3, 3)])
def test_a_finish_of_no_size_is_refused(size):
    with pytest.raises(ValueError, match="Finish: got size"):
        ae.Finish(size)


def test_a_normalisation_that_is_not_finite_is_refused():
    for mean, std in [
        ((1e300,) * 3, (1,) * 3),
        ((0,) * 3, (1e-300,) * 3),
        ((0,) * 3, (1e-45,) * 3),
    ]:
        with pytest.raises(ValueError, match=r"Finish\.(mean|std): got"):
            ae.Finish((8, 8), mean=mean, std=std)


def test_a_blur_reaches_no_further_than_its_picture():
    """A reach beyond the picture is one to its end, in every executor."""
    plan = ae.Policy([ae.CenterCrop(8), ae.GaussianBlur(5)]).sample([0], [(8, 8)])
    filters = plan.filter.copy()
    filters[plan.filter[:, 0] == GAUSSIAN, 1:] = (3, 1e6, 1e6)
    far = dataclasses.replace(plan, filter=filters)
    filters = filters.copy()
    filters[plan.filter[:, 0] == GAUSSIAN, 1:] = (3, 7, 7)
    near = dataclasses.replace(plan, filter=filters)
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    for executor in CPU_EXECUTORS:
        drawn = [ae.execute(p, images, executor=executor) for p in (far, near)]
        torch.testing.assert_close(*drawn, rtol=0, atol=0)


PAGES = """
import numpy as np, torch
import augengine as ae
from fuzz.guard import Block

torch.set_num_threads(1)
block = Block(4 * 64 * 64 * 3, at_end=True, poison=7)  # behind its last byte is a page that nobody may read
images = block.tensor(torch.uint8).view(4, 64, 64, 3)
for mode in ("edge", "reflect", "symmetric", "constant"):
    policy = ae.Policy(
        [ae.RandomCrop(64, padding=8, padding_mode=mode), ae.RandomPerspective(1.0, 1.0)]
    )
    for epoch in range(40):
        plan = policy.sample(range(4), [(64, 64)] * 4, epoch=epoch)
        assert (ae.execute(plan, images, executor="cpu", layout="NHWC") * 255 <= 7.001).all()
print("whole")
"""


def test_a_perspective_reads_no_byte_behind_an_image():
    """The ends of a row are not its extremes; the image ends with a page of memory."""
    run = subprocess.run(
        [sys.executable, "-c", PAGES], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (run.returncode, run.stdout) == (0, "whole\n"), run.stderr[-2000:]
