"""Masks: against torchvision and NumPy where no pixel is interpolated, and against who has most of each
pixel where samples are blended.
"""

import dataclasses

import numpy as np
import pytest
import torch
from cases import each_executor, plan_of
from generated import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

import augengine as ae

H, W = 60, 80
WHOLE = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.bool]


def images(n):
    return torch.zeros(n, 3, H, W, dtype=torch.uint8)


def mask_of(n, dtype=torch.uint8, seed=0, high=None, low=None):
    """Random class numbers [n, H, W], of the dtype's whole range unless told."""
    if dtype == torch.bool:
        low, high = 0, 1
    info = torch.iinfo(torch.uint8 if dtype == torch.bool else dtype)
    low, high = info.min if low is None else low, info.max if high is None else high
    numbers = np.random.default_rng(seed).integers(low, high, (n, H, W), np.int64, endpoint=True)
    return torch.from_numpy(numbers).to(dtype)


# Where no pixel is interpolated


def cropped_and_padded(mask):
    return F.pad(mask, [7, 0, 7, 0], fill=3)[..., 10:50, :]


GEOMETRY = {
    "hflip": (ae.RandomHorizontalFlip(1), F.horizontal_flip),
    "vflip": (ae.RandomVerticalFlip(1), F.vertical_flip),
    "crop": (ae.CenterCrop((40, 50)), lambda m: F.center_crop(m, [40, 50])),
    "crop and pad": (ae.CenterCrop((40, 94)), cropped_and_padded),
    "resize down": (ae.Resize((20, 16)), lambda m: F.resize(m, [20, 16], F.InterpolationMode.NEAREST_EXACT)),
    "resize up": (ae.Resize((180, 160)), lambda m: F.resize(m, [180, 160], F.InterpolationMode.NEAREST_EXACT)),
    "half turn": (ae.RandomRotation((180, 180)), lambda m: F.rotate(m, 180.0)),
}  # fmt: skip


@each_executor
@pytest.mark.parametrize("name", GEOMETRY)
def test_masks_are_torchvisions(name, executor):
    op, function = GEOMETRY[name]
    mask = mask_of(2)
    got = ae.masks(plan_of(op, images(2)), mask, fill=3, executor=executor)
    assert torch.equal(got, function(mask))


@each_executor
def test_a_mask_follows_an_affine_as_torchvisions(executor):
    mask = torch.zeros(1, H, W, dtype=torch.uint8)
    mask[:, 10:40, 20:70] = 7
    plan = plan_of(ae.RandomRotation((30, 30)), images(1))
    got = ae.masks(plan, mask, fill=9, executor=executor)
    expected = F.rotate(mask, 30.0, fill=[9.0])
    # A point that lies on the edge of two pixels may fall to either.
    assert (got != expected).float().mean() < 0.003


@each_executor
@pytest.mark.parametrize("padding_mode", ["edge", "reflect", "symmetric"])
def test_masks_follow_any_border(padding_mode, executor):
    mask = mask_of(2)
    op = ae.RandomCrop((H + 20, W + 20), padding=10, padding_mode=padding_mode)
    got = ae.masks(plan_of(op, images(2)), mask, fill=3, executor=executor)
    for one, padded in zip(mask.numpy(), got.numpy(), strict=True):
        np.testing.assert_array_equal(padded, np.pad(one, 10, mode=padding_mode))


def test_masks_follow_a_crop():
    mask = mask_of(4)
    plan = plan_of([ae.RandomHorizontalFlip(1), ae.RandomCrop((40, 50))], images(4))
    got = ae.masks(plan, mask)
    for i in range(4):
        _, top_left = plan.explain(i).split(" at ")
        top, left = map(int, top_left.strip("()").split(","))
        assert torch.equal(got[i], mask[i].flip(-1)[top : top + 40, left : left + 50])


def test_masks_follow_the_image():
    mask = torch.zeros(6, H, W, dtype=torch.uint8)
    mask[:, 10:40, 20:70] = 7
    batch = (mask[:, None] == 7).expand(6, 3, H, W).to(torch.uint8) * 255
    ops = [
        ae.RandomAffine(25, (0.1, 0.1), (0.7, 1.3), 10),
        ae.GaussianBlur(3, 0.3),
        ae.RandomInvert(1),
        ae.RandomResizedCrop(50, scale=(0.4, 1)),
    ]
    plan = plan_of(ops, batch)
    got = ae.masks(plan, mask, fill=255)
    assert got.shape == (6, 50, 50)
    assert set(got.unique().tolist()) <= {0, 7, 255}
    pixels = ae.execute(plan_of([ops[0], ops[3]], batch), batch)
    # Where the plain image is white without doubt, the mask is 7. (Draws are keyed by place.)
    plain = ae.masks(plan_of([ops[0], ops[3]], batch), mask)
    assert ((plain == 7) == (pixels[:, 0] > 0.5)).float().mean() > 0.985


# What comes, and what comes out

PAD = ae.RandomCrop((H + 8, W + 8), padding=4)


def padded(mask, fill):
    return np.pad(
        np.asarray(mask), [(0, 0)] * (np.ndim(mask) - 2) + [(4, 4)] * 2, constant_values=fill
    )


@each_executor
@pytest.mark.parametrize("dtype", WHOLE, ids=str)
def test_every_number_of_every_dtype_is_drawn(dtype, executor):
    mask = mask_of(2, dtype)
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    plan = plan_of(PAD, images(2))
    for fill in (low, high, 1):
        got = ae.masks(plan, mask, fill=fill, executor=executor)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got.numpy(), padded(mask, fill))


@each_executor
@pytest.mark.parametrize(
    ("low", "high", "fill"),
    [
        (0, 18, 255),
        (0, 18, -1),
        (-1, 254, 0),
        (0, 254, -1),
        (0, 255, -1),
        (-128, 127, 0),
        (0, 256, 0),
        (0, 65535, 3),
        (-1, 65534, 0),
        (-1, 65535, 0),
        (5, 9, 2**40),
        (-(2**62), 2**62, 0),
        (2**40, 2**40 + 9, 2**40 + 3),
    ],
)
def test_wide_numbers_are_drawn_whatever_bytes_they_take(low, high, fill, executor):
    mask = mask_of(2, torch.int64, high=high, low=low)
    mask[0, 0, :2] = torch.tensor([low, high])
    got = ae.masks(plan_of(PAD, images(2)), mask, fill=fill, executor=executor)
    np.testing.assert_array_equal(got.numpy(), padded(mask, fill))


def awkward_arrays():
    numbers = mask_of(2, torch.int32).numpy()
    read_only = numbers.copy()
    read_only.flags.writeable = False
    yield "negative strides", numbers[:, ::-1, ::-1].copy()[:, ::-1, ::-1]
    yield "read-only", read_only
    yield "byte order", numbers.astype(numbers.dtype.newbyteorder(">"))
    yield "columns first", np.asfortranarray(numbers)
    yield "every second", np.repeat(np.repeat(numbers, 2, axis=1), 3, axis=2)[:, ::2, ::3]
    yield (
        "unaligned",
        np.frombuffer(b"x" + numbers.tobytes(), np.int32, offset=1).reshape(numbers.shape),
    )


@pytest.mark.parametrize(
    ("name", "array"), [*awkward_arrays()], ids=lambda v: v if isinstance(v, str) else ""
)
@pytest.mark.filterwarnings("error")
def test_arrays_in_awkward_memory(name, array):
    plan = plan_of(ae.RandomHorizontalFlip(1), images(2))
    expected = np.asarray(array)[:, :, ::-1].astype(np.int32)
    np.testing.assert_array_equal(ae.masks(plan, array).numpy(), expected)
    np.testing.assert_array_equal(ae.masks(plan, list(array)).numpy(), expected)


@pytest.mark.parametrize(
    "view",
    [
        lambda m: m.expand(3, -1, -1, -1)[1],
        lambda m: m.transpose(1, 2).contiguous().transpose(1, 2),
        lambda m: torch.stack([m, m], dim=-1)[..., 1],
        lambda m: m[:1].expand(2, -1, -1),
    ],
    ids=["slice", "columns first", "interleaved", "expanded"],
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.int8], ids=str)
def test_tensors_of_any_strides(view, dtype):
    mask = view(mask_of(2, dtype))
    got = ae.masks(plan_of(ae.RandomVerticalFlip(1), images(2)), mask)
    assert torch.equal(got, mask.flip(-2))


def test_a_leading_one_is_kept():
    plan, mask = plan_of(ae.RandomHorizontalFlip(1), images(2)), mask_of(2)
    expected = mask.flip(-1)[:, None]
    assert torch.equal(ae.masks(plan, mask[:, None]), expected)
    assert torch.equal(ae.masks(plan, [*mask[:, None]]), expected)
    assert torch.equal(ae.masks(plan, [*mask]), expected[:, 0])


def test_masks_of_several_sizes():
    sizes = [(20, 30), (41, 17), (1, 1)]
    mask = [mask_of(1)[0, :h, :w].to(torch.int64) for h, w in sizes]
    plan = ae.Policy(ae.CenterCrop((50, 50))).sample(range(3), sizes)
    got = ae.masks(plan, mask, fill=-7)
    for one, drawn in zip(mask, got, strict=True):
        assert torch.equal(drawn, F.center_crop(one + 7, [50, 50]) - 7)


@pytest.mark.parametrize("mode", ["L", "P", "1", "I", "I;16"])
def test_pil_images(mode):
    dtypes = {"1": np.bool_, "I": np.int32, "I;16": np.uint16}
    numbers = mask_of(1, high=255, low=0)[0].numpy().astype(np.int64)
    numbers = (numbers % 2 if mode == "1" else numbers).astype(dtypes.get(mode, np.uint8))
    numbers = numbers * 200 if mode in ("I", "I;16") else numbers
    if mode == "P":
        picture = Image.fromarray(numbers)
        picture.putpalette(list(np.random.default_rng(0).integers(0, 256, 768)))
        picture.mode  # noqa: B018
    else:
        picture = Image.fromarray(numbers)
    assert picture.mode == mode
    got = ae.masks(plan_of(ae.RandomHorizontalFlip(1), images(1)), [picture])
    np.testing.assert_array_equal(got[0].numpy(), numbers[:, ::-1])


def test_a_mask_of_torchvision_stays_one():
    plan, mask = plan_of(ae.RandomHorizontalFlip(1), images(2)), mask_of(2, torch.int64)
    for given_ in (tv_tensors.Mask(mask), [tv_tensors.Mask(one) for one in mask]):
        got = ae.masks(plan, given_)
        assert type(got) is tv_tensors.Mask
        assert torch.equal(got.as_subclass(torch.Tensor), mask.flip(-1))
    assert type(ae.masks(plan, [tv_tensors.Mask(mask[0]), mask[1]])) is torch.Tensor


def test_there_is_a_mask_for_each_source_whatever_the_outputs():
    plan = plan_of(ae.CutMix(), images(5), seed=1)
    mask = torch.arange(5, dtype=torch.int16)[:, None, None].expand(5, H, W)
    every = ae.masks(plan, mask)
    assert torch.equal(ae.masks(plan.select([3, 0, 3]), mask), every[[3, 0, 3]])
    assert ae.masks(plan.select([]), mask).shape == (0, H, W)


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        (
            torch.zeros(3, H, W),
            TypeError,
            r"got torch\.float32 for the batch, expected whole .*mask\.long\(\)",
        ),
        (
            [np.zeros((H, W))] * 3,
            TypeError,
            r"got torch\.float64 for sample 0 \(id 7\), expected whole",
        ),
        (
            torch.zeros(3, H, W, dtype=torch.complex64),
            TypeError,
            r"got torch\.complex64 .* expected one of uint8",
        ),
        (
            np.zeros((3, H, W), np.uint32),
            TypeError,
            r"got an array of uint32 .*astype\(np\.int64\)",
        ),
        ([[[1, 2], [3, 4]]] * 3, TypeError, r"got list for sample 0 \(id 7\), expected a tensor"),
        (
            torch.zeros(2, H, W, dtype=torch.uint8),
            ValueError,
            r"masks: got those of 2 images, the plan has 3 sources",
        ),
        ([], ValueError, r"masks: got those of 0 images, the plan has 3 sources"),
        (
            torch.zeros(H, W, dtype=torch.uint8),
            ValueError,
            r"got a batch of shape \(60, 80\), expected \(B, H, W\)",
        ),
        (
            torch.zeros(3, 2, H, W, dtype=torch.uint8),
            ValueError,
            r"expected \(B, H, W\) or \(B, 1, H, W\)",
        ),
        (
            torch.zeros(3, H, W + 1, dtype=torch.uint8),
            ValueError,
            r"got 60×81 for sample 0 \(id 7\), whose image is 60×80",
        ),
        (
            [torch.zeros(H, W, dtype=torch.uint8)] * 2 + [torch.zeros(W, H, dtype=torch.uint8)],
            ValueError,
            r"got 80×60 for sample 2 \(id 9\), whose image is 60×80",
        ),
        (
            [torch.zeros(3, H, W, dtype=torch.uint8)] * 3,
            ValueError,
            r"got shape \(3, 60, 80\) for sample 0 \(id 7\)",
        ),
        (
            [torch.zeros(H, W, dtype=torch.uint8)] * 2 + [torch.zeros(H, W, dtype=torch.int64)],
            ValueError,
            r"got torch\.int64 \(60, 80\) for sample 2 \(id 9\), and torch\.uint8",
        ),
        (
            [torch.zeros(H, W, dtype=torch.uint8)] * 2 + [torch.zeros(1, H, W, dtype=torch.uint8)],
            ValueError,
            r"\(1, 60, 80\) for sample 2 \(id 9\)",
        ),
        (
            [Image.new("RGB", (W, H))] * 3,
            TypeError,
            r"PIL image of mode 'RGB' for sample 0 \(id 7\)",
        ),
        (Image.new("L", (W, H)), TypeError, r"got Image, expected .* a list .*Pass \[picture\]"),
        ("mask.png", TypeError, r"got str, expected a tensor"),
    ],
)
def test_what_is_no_mask_is_refused(given_, error, message):
    plan = ae.Policy(ae.RandomHorizontalFlip()).sample([7, 8, 9], [(H, W)] * 3)
    with pytest.raises(error, match="(?s)" + message):
        ae.masks(plan, given_)


@pytest.mark.parametrize(
    ("dtype", "fill", "error", "message"),
    [
        (
            torch.uint8,
            -1,
            ValueError,
            r"fill: got -1, expected a whole number in \[0, 255\], the range of torch\.uint8",
        ),
        (torch.uint8, 256, ValueError, r"got 256, .*\[0, 255\]"),
        (torch.int8, 200, ValueError, r"\[-128, 127\]"),
        (torch.uint16, 65536, ValueError, r"\[0, 65535\]"),
        (torch.int64, 2**63, ValueError, r"the range of torch\.int64"),
        (torch.bool, 2, ValueError, r"\[0, 1\], the range of torch\.bool"),
        (torch.uint8, 1.5, TypeError, r"got 1\.5, expected a whole number in \[0, 255\]"),
        (torch.int64, float("nan"), TypeError, r"got nan, expected a whole number"),
        (torch.uint8, True, TypeError, r"got True"),
        (torch.uint8, "0", TypeError, r"got '0'"),
    ],
)
def test_a_fill_that_the_dtype_has_not_is_refused(dtype, fill, error, message):
    with pytest.raises(error, match=message):
        ae.masks(plan_of(PAD, images(1)), mask_of(1, dtype), fill=fill)


def test_a_bool_mask_takes_a_bool_as_fill():
    mask = mask_of(1, torch.bool)
    got = ae.masks(plan_of(PAD, images(1)), mask, fill=True)
    np.testing.assert_array_equal(got.numpy(), padded(mask, True))


# Whose a pixel is


def numbered(n):
    return torch.arange(n, dtype=torch.uint8)[:, None, None].expand(n, H, W)


@pytest.mark.parametrize("value", [77, "random"])
def test_a_pasted_box_brings_its_mask_and_an_erased_one_leaves_it(value):
    plan = plan_of([ae.CutMix(), ae.RandomErasing(1, value=value)], images(6), seed=1)
    got = ae.masks(plan, numbered(6))
    for i in range(6):
        y0, x0, y1, x1 = plan.box[i, 1]
        expected = numbered(6)[i].clone()
        expected[y0:y1, x0:x1] = plan.roots()[plan.view[i, 1]]
        assert torch.equal(got[i], expected)


def test_a_blend_of_an_erased_partner_is_the_larger_samples():
    plan = ae.Policy([ae.RandomErasing(1), ae.MixUp()]).sample([0, 1], [(32, 32)] * 2, seed=3)
    mask = torch.tensor([10, 20], dtype=torch.uint8)[:, None, None].expand(2, 32, 32)
    assert (ae.masks(plan, mask)[0] == 20).all()


def shares_of(plan, executor="cpu"):
    """[B, N, H, W] how much of each pixel is each sample: pictures that are white wherever it shows,
    outside of the image too."""
    roots, size = plan.roots(), tuple(plan.sizes[0])
    for b in range(len(plan.ids)):
        white = torch.zeros(len(plan.ids), 3, *size)
        white[b] = 1
        bare = dataclasses.replace(
            plan,
            finish=ae.Finish(plan.finish.size),
            fill=np.repeat((roots == b)[:, None], 3, axis=1).astype(np.float32),
            **{name: getattr(plan, name)[:, :0] for name in STEPS},
            fill_start=np.zeros(len(plan.source), np.int16),
        )
        yield ae.execute(bare, white, executor=executor)[:, 0]


STEPS = ("step_kind", "step_arg", "statistic", "window")
MIXES = [
    [],
    [ae.CutMix()],
    [ae.MixUp()],
    [ae.MixUp(0.05)],  # whose amounts come near to 0 and 1
    [ae.Mosaic()],
    [ae.AugMix()],
    [ae.MixUpOrCutMix()],
]
LATER = [
    [],
    [ae.MixUp()],
    [ae.CutMix()],
    [ae.MixUp(0.05), ae.MixUp()],
    [ae.MixUp(), ae.CutMix(), ae.MixUp()],
]
GROUND = [
    [],
    [ae.RandomHorizontalFlip(), ae.RandomCrop(40, padding=8)],
    [ae.GaussianBlur(3, 1.0), ae.RandomAffine(40, (0.1, 0.1)), ae.GaussianBlur(3, 1.0)],
]
ERASING = [
    lambda p: ae.RandomErasing(p),
    lambda p: ae.RandomErasing(p, scale=(0.1, 0.5), count=3),
    lambda p: ae.RandomErasing(p, scale=(0.1, 0.5), value="random"),
    lambda p: ae.RandomErasing(p, value="color"),
    lambda p: ae.Cutout((0.5, 1.0), p=p),
]


@st.composite
def erasing_policies(draw):
    """(ops, the same ops with none that erases: what they draw is keyed by place)."""
    ground, mix, later = (draw(st.sampled_from(part)) for part in (GROUND, MIXES, LATER))
    erase = draw(st.sampled_from(ERASING))
    at = draw(st.sampled_from(("first", "between", "last", "twice")))
    if at == "first" and any(isinstance(op, (ae.Mosaic, ae.AugMix)) for op in mix):
        at = "between"
    both = []
    for p in (1.0, 0.0):
        first, between, last = (
            [erase(p)] if at in places else []
            for places in (("first",), ("between", "twice"), ("last", "twice"))
        )
        both.append([*ground, *first, *mix, *between, *later, *last])
    return both


@examples(300)
@given(erasing_policies(), st.integers(0, 9999), st.sampled_from(("cpu", "torch")))
def test_a_pixel_is_the_samples_that_has_most_of_it(policies, seed, executor):
    n, size = 4, (48, 48)
    ops, without = policies
    plan, bare = (ae.Policy(p).sample(range(n), [size] * n, seed=seed) for p in (ops, without))
    shares = torch.stack([*shares_of(bare)])
    constant = torch.arange(n, dtype=torch.uint8)[:, None, None].expand(n, *size)
    outside = 100
    got = ae.masks(plan, constant, fill=outside, executor=executor)
    two, owner = shares.topk(2, dim=0)
    clear = (two[0] - two[1] > 1e-4) & (got != outside)
    assert (got == owner[0])[clear].all()
    if not ops or not isinstance(ops[0], (ae.RandomHorizontalFlip, ae.GaussianBlur, ae.AugMix)):
        assert clear.float().mean() > 0.5 or "AugMix" in repr(ops)


def test_of_equal_shares_the_first_sample_has_the_pixel():
    plan = plan_of(ae.MixUp(), images(2))
    half = dataclasses.replace(
        plan, alpha=np.where(np.arange(2) == 0, 1, 0.5).astype(np.float32)[None].repeat(2, 0)
    )
    got = ae.masks(half, numbered(2))
    assert (got == numbered(2)).all()


def test_a_sample_with_two_small_parts_has_more_than_one_with_a_larger():
    """0.4 of sample 1 below, 0.3 of sample 0 and 0.3 of it by another view."""
    plan = plan_of([ae.RandomHorizontalFlip(0), ae.MixUp()], images(2)).select([0])
    plan = dataclasses.replace(
        plan,
        view=np.array([[1, 0, 1, 0]], np.int32),
        box=np.tile(np.array([0, 0, H, W], np.int32), (1, 4, 1)),
        alpha=np.array([[1, 0.6, 0.4, 0.35]], np.float32),
        weight=np.array([[0.5, 0.5, 0, 0]], np.float32),
        colour=np.zeros((1, 4, 3), np.float32),
    )
    # Of sample 0: 0.6 · 0.6 · 0.65 + 0.35 = 0.584.
    assert (ae.masks(plan, numbered(2)) == 0).all()


def test_augmix_leaves_a_mask_as_its_own_view_shows_it():
    plan = plan_of([ae.RandomHorizontalFlip(1), ae.AugMix(10)], images(4))
    mask = mask_of(4)
    assert torch.equal(ae.masks(plan, mask), mask.flip(-1))
