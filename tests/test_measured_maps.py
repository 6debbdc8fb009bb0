"""Maps and optical flow: against torchvision where no pixel is interpolated, and against dots that move."""

import numpy as np
import pytest
import torch
from cases import each_executor, plan_of
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

import augengine as ae

H, W = 60, 80


def images(n):
    return torch.zeros(n, 3, H, W, dtype=torch.uint8)


def depths(n, dtype=torch.float32, channels=()):
    """Numbers of every size, infinities and NaN among them."""
    numbers = torch.randn((n, *channels, H, W), generator=torch.Generator().manual_seed(0)).mul(1e4)
    numbers[..., 3, 5], numbers[..., 30, 40] = torch.inf, torch.nan
    return numbers.to(dtype)


def same(a, b):
    return (
        a.dtype == b.dtype
        and torch.equal(a.isnan(), b.isnan())
        and torch.equal(a.nan_to_num(), b.nan_to_num())
    )


GEOMETRY = {
    "hflip": (ae.RandomHorizontalFlip(1), F.horizontal_flip),
    "vflip": (ae.RandomVerticalFlip(1), F.vertical_flip),
    "crop": (ae.CenterCrop((40, 50)), lambda m: F.center_crop(m, [40, 50])),
    "pad": (ae.RandomCrop((H + 8, W + 8), padding=4), lambda m: F.pad(m, [4, 4, 4, 4], fill=-7.0)),
    "edge": (
        ae.RandomCrop((H + 8, W + 8), padding=4, padding_mode="symmetric"),
        lambda m: F.pad(m, [4, 4, 4, 4], padding_mode="symmetric"),
    ),
    "resize": (ae.Resize((20, 16)), lambda m: F.resize(m, [20, 16], F.InterpolationMode.NEAREST_EXACT)),
}  # fmt: skip


@each_executor
@pytest.mark.parametrize("name", GEOMETRY)
def test_maps_are_torchvisions_to_the_bit(name, executor):
    op, function = GEOMETRY[name]
    for given_ in (depths(2), depths(2, channels=(1,)), depths(2, channels=(5,))):
        plan = plan_of([op, ae.RandomInvert(1), ae.RandomErasing(1)], images(2))
        got = ae.maps(plan, given_, fill=-7, executor=executor)
        expected = function(given_[:, None])[:, 0] if given_.ndim == 3 else function(given_)
        assert same(got, expected)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str
)
@pytest.mark.parametrize("fill", [0.0, -3.5, float("nan"), float("inf")])
def test_every_dtype_comes_out_as_it_came(dtype, fill):
    given_ = depths(2, dtype)
    got = ae.maps(plan_of(ae.RandomCrop((H + 8, W + 8), padding=4), images(2)), given_, fill=fill)
    expected = torch.full((2, H + 8, W + 8), fill, dtype=dtype)
    expected[:, 4:-4, 4:-4] = given_
    assert same(got, expected)


@each_executor
def test_a_pasted_box_brings_its_map_and_a_blend_is_the_larger_samples(executor):
    sizes = [(H, W), (30, 20), (90, 100), (64, 64)]
    ids = [torch.full((2, *size), float(b)) for b, size in enumerate(sizes)]
    for mix in (ae.CutMix(), ae.MixUp(), ae.Mosaic()):
        plan = ae.Policy([ae.Resize((50, 50)), mix]).sample(range(4), sizes, seed=3)
        owner = [torch.full(size, b, dtype=torch.uint8) for b, size in enumerate(sizes)]
        expected = ae.masks(plan, owner, executor=executor).float()
        got = ae.maps(plan, ids, executor=executor)
        assert torch.equal(got, expected[:, None].expand(-1, 2, -1, -1))
        assert torch.equal(ae.maps(plan.select([2, 0]), ids), got[[2, 0]])
        assert ae.maps(plan.select([]), ids).shape == (0, 2, 50, 50)


def test_gradients_flow_to_the_pixels_that_show():
    given_ = torch.ones(2, H, W, requires_grad=True)
    ae.maps(plan_of(ae.CenterCrop((40, 50)), images(2)), given_).sum().backward()
    expected = torch.zeros(2, H, W)
    expected[:, 10:50, 15:65] = 1
    assert torch.equal(given_.grad, expected)


def test_arrays_and_torchvisions_masks():
    plan, given_ = plan_of(ae.RandomHorizontalFlip(1), images(2)), depths(2).nan_to_num(0, 0, 0)
    for one in (given_.numpy(), [*given_.numpy()], given_.numpy()[:, ::-1].copy()[:, ::-1]):
        assert torch.equal(ae.maps(plan, one), given_.flip(-1))
    assert type(ae.maps(plan, tv_tensors.Mask(given_))) is tv_tensors.Mask


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        (torch.zeros(2, H, W), ValueError, r"maps: got those of 2 images, the plan has 3 sources"),
        (torch.zeros(3, H, W, dtype=torch.uint8), TypeError,
         r"got torch\.uint8 for sample 0 \(id 7\), expected floats\. Class"),
        (torch.zeros(3, W, H), ValueError, r"got 80×60 for sample 0 \(id 7\), whose image is 60×80"),
        ([torch.zeros(H, W), torch.zeros(1, 2, H, W), torch.zeros(H, W)], ValueError,
         r"got shape \(1, 2, 60, 80\) for sample 1 \(id 8\)"),
        ([torch.zeros(H, W), torch.zeros(2, H, W), torch.zeros(H, W)], ValueError,
         r"\(2, 60, 80\) on cpu for sample 1 \(id 8\), and"),
        ([torch.zeros(H, W), torch.zeros(H, W).double(), torch.zeros(H, W)], ValueError,
         r"got torch\.float64 .* sample 1 \(id 8\)"),
        ("depth.exr", TypeError, r"got str, expected a map for each source"),
    ],
)  # fmt: skip
def test_what_are_no_maps_is_refused(given_, error, message):
    plan = ae.Policy(ae.RandomHorizontalFlip()).sample([7, 8, 9], [(H, W)] * 3)
    with pytest.raises(error, match="(?s)" + message):
        ae.maps(plan, given_)


@pytest.mark.parametrize("fill", ["0", None, 1e39, True])
def test_a_fill_that_the_dtype_has_not_is_refused(fill):
    with pytest.raises((TypeError, ValueError), match=r"maps\.fill: got"):
        ae.maps(plan_of(ae.CenterCrop(9), images(1)), torch.zeros(1, H, W), fill=fill)


def test_flow_wants_two_channels():
    with pytest.raises(
        ValueError,
        match=r"flow: got shape \(3, 60, 80\) for sample 0 \(id 0\), expected \(2, H, W\)",
    ):
        ae.flow(plan_of(ae.CenterCrop(9), images(1)), torch.zeros(1, 3, H, W))


# Optical flow


def flows(n):
    return torch.randn(n, 2, H, W, generator=torch.Generator().manual_seed(1)) * 5


@each_executor
def test_flips_turn_the_sign_and_resizing_scales(executor):
    given_ = flows(2)
    sign = torch.tensor([-1.0, 1.0])[:, None, None]
    for op, expected in (
        (ae.RandomHorizontalFlip(1), given_.flip(-1) * sign),
        (ae.RandomVerticalFlip(1), given_.flip(-2) * -sign),
        (ae.CenterCrop((40, 50)), F.center_crop(given_, [40, 50])),
        (ae.RandomRotation((180, 180)), -given_.flip(-1, -2)),
    ):
        assert torch.equal(ae.flow(plan_of(op, images(2)), given_, executor=executor), expected)
    got = ae.flow(plan_of(ae.Resize((H * 2, W * 3)), images(2)), given_, executor=executor)
    expected = given_.repeat_interleave(2, -2).repeat_interleave(3, -1)
    torch.testing.assert_close(got, expected * torch.tensor([3.0, 2.0])[:, None, None])


def test_a_quarter_turn_to_the_left_turns_vectors_so():
    """As torchvision rotates: a vector to the right points up, y being downwards."""
    given_ = torch.zeros(1, 2, 50, 50)
    given_[:, 0] = 3
    plan = plan_of(ae.RandomRotation((90, 90)), torch.zeros(1, 3, 50, 50))
    image = torch.zeros(1, 1, 50, 50)
    image[..., 24:26, 40:50] = 1  # at the right
    assert F.rotate(image, 90.0)[..., :10, 24:26].all()  # comes to the top
    got = ae.flow(plan, given_)
    torch.testing.assert_close(got[0, :, 25, 25], torch.tensor([0.0, -3.0]), atol=1e-4, rtol=0)


def dot(x, y, size=(120, 160)):
    ys, xs = np.mgrid[: size[0], : size[1]] + 0.5
    return (
        torch.from_numpy(np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 18)).float().expand(1, 3, *size)
    )


def centre(image):
    ys, xs = np.mgrid[: image.shape[-2], : image.shape[-1]] + 0.5
    weight = image[0, 0].numpy() ** 4  # of the middle more, since a perspective skews a dot
    return np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()


MOVES = [
    [ae.RandomAffine(180, (0.1, 0.1), (0.8, 1.2), (-15, 15))],
    [ae.RandomPerspective(0.4, 1)],
    [ae.RandomPerspective(0.3, 1), ae.GaussianBlur(3, 0.6), ae.RandomRotation(40)],
    [ae.RandomRotation(180, expand=True), ae.Resize((100, 140)), ae.RandomHorizontalFlip(1)],
]


@pytest.mark.parametrize("ops", MOVES, ids=lambda ops: "-".join(type(op).__name__ for op in ops))
@pytest.mark.parametrize("seed", range(4))
def test_flow_leads_from_where_a_dot_is_to_where_it_moves(ops, seed):
    x, y, u, v = 70.0, 55.0, 14.0, -9.0
    before, after = dot(x, y), dot(x + u, y + v)
    plan = plan_of(ops, before, seed=seed)
    start, end = (centre(ae.execute(plan, image)) for image in (before, after))
    given_ = torch.tensor([u, v])[:, None, None].expand(1, 2, 120, 160)
    column, row = np.floor(start).astype(int)
    got = ae.flow(plan, given_, fill=torch.nan)[0, :, row, column].numpy()
    # The flow is that of the pixel's centre, up to half a pixel from the dot's.
    np.testing.assert_allclose(got, end - start, atol=0.35)


def test_a_vector_that_ends_behind_the_horizon_is_fill():
    plan = plan_of(ae.RandomPerspective(0.9, 1), images(1), seed=2)
    given_ = torch.full((1, 2, H, W), 0.0)
    still = ae.flow(plan, given_, fill=torch.nan)
    assert not still.isnan().all()
    assert (still[~still.isnan()] == 0).all()
    matrix = np.linalg.inv(plan.inv_matrix[0].astype(float))
    for direction in ((1e6, 0.0), (-1e6, 0.0), (0.0, 1e6), (0.0, -1e6)):
        far = torch.tensor(direction)[:, None, None].expand(1, 2, H, W)
        third = matrix[2] @ (40 + direction[0], 30 + direction[1], 1)
        got = ae.flow(plan, far, fill=torch.nan)
        if third < 0:
            assert got.isnan().all()
        else:
            assert torch.equal(got.isnan(), still.isnan())


def test_a_degenerate_map_has_no_flow():
    for seed in range(16):
        plan = ae.Policy(ae.RandomPerspective(0.5, 1)).sample([0], [(4, 4)], seed=seed)
        got = ae.flow(plan, torch.ones(1, 2, 4, 4), fill=-1)
        assert got.isfinite().all()
