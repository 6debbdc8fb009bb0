"""What is generated for tests of executors: images in awkward memory, policies, and plans of both.

Sizes are awkward, tensors strided or slices of larger ones, outputs poisoned before they are written.
"""

import dataclasses

import numpy as np
import torch
from cases import as_float, plan_of
from hypothesis import assume, settings
from hypothesis import strategies as st
from photos import NAMES, patches, photo

import augengine as ae
from augengine.plan.kinds import (
    ADD_BELOW,
    ADD_THRESHOLD,
    CURVE,
    GAINS,
    GAMMA,
    HISTOGRAM,
    HUE,
    IMPULSE,
    MATRIX,
    NO_VIEW,
    NOISE,
    RANGE,
    TONE,
    TONE_INVERSE_STEP,
    TONE_STEP,
    TONE_THRESHOLD,
)
from augengine.plan.shrinks import shrunk_first

SIZES = (1, 2, 3, 7, 16, 31, 64, 129, 151)
FLOATS = ("float32", "float16", "bfloat16")
BORDERS = ("constant", "edge", "reflect", "symmetric")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def examples(count, least=4):
    """A decorator: so many examples in a thorough run, a share of them in a quick one (conftest.py), though
    at least `least`."""
    percent = settings.default.max_examples
    return settings(max_examples=max(least, count * percent // 100))


# Images and policies


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


def piece(at, channels, height, width, dtype):
    """A piece of a photograph, or of several for more than three channels."""
    rows, columns = slice(40 + at, 40 + at + height), slice(90, 90 + width)
    image = torch.cat([photo(NAMES[(at + k) % 6])[:, rows, columns] for k in (0, 1)])[:channels]
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
    images = [piece(i, channels, *shape, dtype) for i, shape in enumerate(shapes)]
    kinds = ("contiguous", "channels_last", "NHWC", "slice", "NHWC slice", "transposed")
    kind = draw(st.sampled_from(kinds))
    if ragged:
        return [_in_memory([image], kind)[0] for image in images]
    return _in_memory(images, kind)


@st.composite
def policies(draw, channels=3, mixes=True, normalise=True):
    """Ops with one output size: any geometry, a sizing op, any that keeps the size, colour, mixes."""
    names = (None, None, None, "nearest", "bicubic", ("bilinear", "bicubic", "nearest"))
    common = {"interpolation": draw(st.sampled_from(names))}
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


def poisoned(plan, kind):
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


def tolerance_of(plan):
    """1 on bytes; on floats 1e-4 where normalised and 1e-5 where not, and one step of the dtype. A byte more
    where a picture of bytes may stand between."""
    byte = 1 if shrunk_first(plan) else 0
    if plan.finish.dtype == "uint8":
        return 1 + byte
    floor = 1e-4 if plan.finish.std else 1e-5
    largest = 3.0 if plan.finish.std else 1.0
    step = {"float32": 0, "float16": 2**-11, "bfloat16": 2**-8}[plan.finish.dtype]
    return floor + 2 * largest * step + byte / 255 / min(plan.finish.std or (1,))


def at_a_jump(case, plan, error):
    """Where executors may differ by a whole entry of a curve or a tone: [N, 1, H, W] bool.

    Of sources of bytes those steps take the nearest of 256 entries, and so do two that are measured: a
    histogram, and the range. Of floats a curve takes the entry below, and a tone jumps at its threshold
    and between its steps. Where the value that enters one lies less than `error` from such a jump, a
    rounding decides. The values are read from the torch executor: each view alone, with the steps
    before the one in question and no other.
    """
    n, (height, width) = len(plan.source), plan.finish.size
    whole = np.tile(np.array([0, 0, height, width], np.int32), (n, 1, 1))
    plain = dataclasses.replace(plan.finish, mean=(), std=(), dtype="float32")
    one = np.ones((n, 1), np.float32)
    alone = dataclasses.replace(
        plan,
        finish=plain,
        view=np.arange(n, dtype=np.int32)[:, None],
        box=whole,
        alpha=one,
        weight=one,
        colour=np.zeros((n, 1, plain.channels), np.float32),
    )
    near = torch.zeros(n, 1, height, width, dtype=torch.bool)
    byte = case.images[0].dtype == torch.uint8
    measured = (HISTOGRAM, RANGE) if byte else (HISTOGRAM,)
    jumping = (CURVE, TONE, ADD_BELOW, *((GAMMA,) if byte else ()))
    looks_up = np.isin(plan.step_kind, jumping) | np.isin(plan.statistic, measured)
    looks_up = torch.from_numpy(looks_up)
    for step in torch.nonzero(looks_up.any(dim=0)).flatten().tolist():
        before = dataclasses.replace(
            alone,
            **{name: getattr(plan, name)[:, :step] for name in STEP_FIELDS},
            fill_start=np.minimum(plan.fill_start, step),
        )
        value = case.draw("torch", before).double()
        far = _from_a_byte(value) if byte else _from_a_jump(value, plan, step)
        close = (far <= 255 * error).any(dim=1, keepdim=True)
        near |= close & looks_up[:, step, None, None, None]
    found = torch.zeros(len(plan), 1, height, width, dtype=torch.bool)
    for i, k in np.argwhere(plan.view != NO_VIEW):
        y0, x0, y1, x1 = plan.box[i, k]
        part = found[i, :, y0:y1, x0:x1]
        shown = near[plan.view[i, k], :, y0:y1, x0:x1] if plan.view[i, k] >= 0 else False
        part[:] = shown if plan.alpha[i, k] == 1 else part | shown
    return found


def _from_a_byte(value):
    """How far values are from the edges between bytes, in bytes."""
    edge = 255 * value + 0.5
    return (edge - edge.round()).abs()


def _from_a_jump(value, plan, step):
    """How far floats are from where a step of their views jumps, in bytes."""
    arg = torch.tensor(plan.step_arg[:, step]).double()[..., None, None, None]
    kind = torch.tensor(plan.step_kind[:, step])[:, None, None, None]
    entry = 255.999 * value
    curve = (entry - entry.round()).abs()
    threshold = (255 * value - arg[:, TONE_THRESHOLD]).abs()
    level = 256 * arg[:, TONE_INVERSE_STEP] * value
    steps = (level - level.round()).abs() * arg[:, TONE_STEP]
    # What is posterized may have been solarized or stretched before: then all of it is left out.
    plain = (arg[:, TONE_THRESHOLD] >= 256) & (arg[:, 6:9] == 1).all(1) & (arg[:, 3:6] == 0).all(1)
    steps = torch.where(plain, steps, 0)
    tone = torch.minimum(threshold, torch.where(arg[:, TONE_STEP] == 1, torch.inf, steps))
    below = (255 * value - arg[:, ADD_THRESHOLD]).abs()
    return torch.where(kind == TONE, tone, torch.where(kind == ADD_BELOW, below, curve))


STEP_FIELDS = ("step_kind", "step_arg", "statistic", "window")


def whole_window(plan):
    """The whole of each view's source."""
    size = plan.sizes[plan.source].astype(np.float32)
    return np.concatenate([np.zeros_like(size), size], axis=1)


def near_identity(rng, n):
    matrix = np.eye(3) + rng.normal(0, 1, (n, 3, 3)) * [
        [0.2, 0.2, 9],
        [0.2, 0.2, 9],
        [2e-3, 2e-3, 0],
    ]
    matrix[rng.random(n) < 0.4, 2] = [0, 0, 1]
    return matrix


def kinds_of_step(channels):
    grey = 0.4 * np.eye(3, 4) + [[0.1, 0.2, 0.1, 0.1]]
    steps = [
        (CURVE, [0]),
        (CURVE, [1]),
        (NOISE, [0.01, 0.1, 1234, (1 << 24) - 1]),
        (IMPULSE, [0.1, 0.3, 77, (1 << 24) - 1]),
        (GAMMA, [0.6, 1.1]),
        (GAMMA, [2.3, 1.0]),
        (ADD_BELOW, [128, 60]),
        (TONE, [90, 1, 1, 0, 0, 0, 1, 1, 1]),
        (TONE, [256, 32, 1 / 32, 0, 0, 0, 1, 1, 1]),
        (MATRIX, (0.9 * np.eye(3, 4) + [0, 0, 0, 0.05]).ravel()),
        (MATRIX, [], RANGE),
    ]
    if channels != 3:
        return [*steps, (GAINS, [2])]
    return [*steps, (HUE, [0.3]), (HUE, [-0.7]), (MATRIX, grey.ravel())]


def curves_of(channels):
    """The rows [3, C, 256] that `kinds_of_step` names, other ones for each channel: two curves, and gains
    with their offsets."""
    low, high = 0.1 + 0.04 * np.arange(channels), 0.7 - 0.05 * np.arange(channels)
    gains = np.zeros((channels, 256))
    gains[:, 0], gains[:, 1] = 0.9 - 0.06 * np.arange(channels), 0.03 * np.arange(channels)
    falling = np.linspace(0.9 - low, high / 2, 256, axis=-1)
    return np.stack([np.linspace(low, high, 256, axis=-1), falling, gains])


# Three that are hard on rounding: (case, plan), which the GPU's tests draw as well.


def filters(rng, count):
    """Half-widths and slopes of the filters of so many views: nearest, triangles, cubics."""
    slope = rng.choice([0, 0, -0.5, -0.75, -1], count)
    triangles, cubics = (
        rng.choice([0, 1, 1.3, 2.7], (count, 2)),
        rng.choice([2, 2.6, 4.1], (count, 2)),
    )
    support = np.where(slope[:, None] == 0, triangles, cubics)
    return {"support": support.astype(np.float32), "slope": slope.astype(np.float32)}


def clips(rng, plan, whole):
    """Clips of any place and the sights around them; whole: the plan's own."""
    if whole:
        return {}
    size = plan.sizes[plan.source].astype(float)
    low, high = np.sort(rng.random((2, len(size), 2)), axis=0) * size
    wider = rng.random((len(size), 1))
    sight = np.concatenate([low * wider, size - (size - high) * wider], axis=1)
    clip = np.concatenate([low, high], axis=1)
    return {"clip": clip.astype(np.float32), "sight": _around(sight, clip)}


def _around(sight, clip):
    """Rounding may not put a sight inside its clip."""
    sight, clip = sight.astype(np.float32), clip.astype(np.float32)
    low, high = np.minimum(sight[:, :2], clip[:, :2]), np.maximum(sight[:, 2:], clip[:, 2:])
    return np.concatenate([low, high], axis=1)


def wide_filters(channels, support, angle, height=60, width=75, slope=0.0):
    images = torch.stack([piece(i, channels, height, width, torch.uint8) for i in range(3)])
    plan = plan_of(ae.RandomRotation((angle, angle), fill=200), images, layout="NCHW")
    slopes = np.full(3, slope, np.float32)
    plan = dataclasses.replace(plan, support=np.tile(np.float32(support), (3, 1)), slope=slopes)
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
