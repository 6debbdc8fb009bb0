"""Do we mean what torchvision, PIL and NumPy mean? Real photographs, both executors.

An op is either given a range of one number, or the numbers that it drew are read from the plan's log
and given to the oracle. Tolerances are in [0, 1] on floats, and in 1/255 on uint8.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as v2
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, draw, each_executor, logged, plan_of
from photos import NAMES, patch, patches, photo, photos
from PIL import Image
from scipy.ndimage import binary_erosion
from torchvision.transforms import InterpolationMode

import augengine as ae
from augengine.plan.kinds import CONSTANT, EDGE, REFLECT, SYMMETRIC

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


# Crops and resizes: to the last pixel


CROPS = {
    "as for ImageNet": ((96, 96), (0.08, 1.0), (3 / 4, 4 / 3)),
    "enlarged": ((160, 224), (0.003, 0.01), (3 / 4, 4 / 3)),
    "shrunk eightfold": ((48, 40), (0.9, 1.0), (3 / 4, 4 / 3)),
    "long strips": ((64, 80), (0.02, 0.2), (1 / 8, 8.0)),
    "one pixel": ((1, 1), (0.08, 1.0), (3 / 4, 4 / 3)),
    "from a few pixels": ((31, 17), (1e-5, 1e-4), (1.0, 1.0)),
}


@each_executor
@pytest.mark.parametrize("case", CROPS)
def test_random_resized_crop_is_resized_crop_antialiased(case, executor):
    size, scale, ratio = CROPS[case]
    images = photos()
    crop = ae.RandomResizedCrop(size, scale=scale, ratio=ratio)
    got, plan = draw(crop, images, executor)
    bytes_, _ = draw(crop, images, executor, dtype="uint8")
    boxes = set()
    for i, image in enumerate(images):
        (numbers,) = logged(plan, i, "crop")
        height, width, top, left = (int(v) for v in numbers[:4])
        boxes.add((height, width, top, left))
        box = (top, left, height, width, list(size))
        assert_close(got[i], F.resized_crop(as_float(image), *box, antialias=True), 1e-5)
        assert_close(bytes_[i], F.resized_crop(image, *box, antialias=True), 1)
        assert_close(bytes_[i], 255 * got[i], 0.501)
    assert len(boxes) >= 4


@each_executor
def test_random_resized_crop_without_antialias(executor):
    images = photos()
    crop = ae.RandomResizedCrop((50, 60), scale=(0.5, 1.0), antialias=False)
    got, plan = draw(crop, images, executor)
    for i, image in enumerate(images):
        height, width, top, left = (int(v) for v in logged(plan, i, "crop")[0][:4])
        cut = as_float(image)[:, top : top + height, left : left + width]
        assert_close(got[i], F.resize(cut, [50, 60], antialias=False), 2e-4)


def test_resized_crops_fill_their_ranges():
    sizes = np.tile([400, 600], (4000, 1))
    crop = ae.RandomResizedCrop(32, scale=(0.1, 0.25), ratio=(0.5, 2.0))
    plan = ae.Policy(crop).sample(np.arange(4000), sizes)
    height, width, top, left = plan.log_arg[:, 0, :4].T
    area, ratio = height * width / (400 * 600), np.log(width / height)
    assert 0.099 < area.min() < 0.102
    assert 0.248 < area.max() < 0.252
    assert abs(area.mean() - 0.175) < 0.003
    assert abs(ratio.mean()) < 0.03
    assert ratio.min() > math.log(0.5) - 0.02
    assert ratio.max() < math.log(2) + 0.02
    assert (top.min(), left.min()) == (0, 0)
    assert (top + height).max() == 400
    assert (left + width).max() == 600


@each_executor
@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 100},
        {"size": 333},
        {"size": (90, 201)},
        {"size": (700, 50)},
        {"size": (3, 5)},
        {"size": 100, "max_size": 120},
        {"size": 77, "antialias": False},
        {"size": 500, "antialias": False},
    ],
    ids=str,
)
def test_resize_is_v2_resize(arguments, executor):
    for name in ("astronaut", "coffee", "chelsea"):
        image = photo(name)
        theirs = v2.Resize(**{"antialias": True} | arguments)
        got, plan = draw(ae.Resize(**arguments), [image], executor)
        expected = theirs(as_float(image))
        assert plan.finish.size == tuple(expected.shape[1:])
        # The smallest is a sum of some 30,000 taps in float32.
        assert_close(got[0], expected, 2e-5 if arguments.get("antialias", True) else 2e-4)
        bytes_, _ = draw(ae.Resize(**arguments), [image], executor, dtype="uint8")
        assert_close(bytes_[0], theirs(image), 1)


@pytest.mark.parametrize("shape", [(300, 451), (451, 300), (400, 400), (37, 500), (500, 7), (3, 2)])
@pytest.mark.parametrize("size", [1, 2, 64, 224, 301])
@pytest.mark.parametrize("longer", [None, 1, 100])
def test_resize_sizes_are_v2_resizes(shape, size, longer):
    max_size = None if longer is None else size + longer
    plan = ae.Policy(ae.Resize(size, max_size=max_size)).sample([0], [shape])
    try:
        expected = v2.Resize(size, max_size=max_size)(torch.zeros(1, *shape)).shape[1:]
    except RuntimeError:  # torchvision comes to a size of 0 and fails there
        assert min(plan.finish.size) == 1
    else:
        assert plan.finish.size == tuple(expected)


@each_executor
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(64, 96), (150, 40), (511, 513), (600, 700), (3, 2), (1, 1)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resize_is_pils(interpolation, size, mode, executor):
    """Photographs, and a board of black and white, on which a cubic leaves the range everywhere."""
    name = Image.Resampling[interpolation.upper()]
    board = np.kron(np.indices((12, 17)).sum(axis=0) % 2, np.ones((9, 7)))
    for pixels in (photo("astronaut").permute(1, 2, 0).numpy(), 255 * np.stack([board] * 3, -1)):
        pil = Image.fromarray(pixels.astype(np.uint8)).convert(mode)
        expected = np.atleast_3d(np.array(pil.resize(size[::-1], name)))
        expected = torch.from_numpy(expected).permute(2, 0, 1)
        got, _ = draw(ae.Resize(size, interpolation), [pil], executor, dtype="uint8")
        theirs = F.resize(F.pil_to_tensor(pil), list(size), InterpolationMode(interpolation))
        if interpolation == "bilinear":
            assert_close(got[0], expected, 1)
        elif min(size) > 3:  # torch asserts on its own buffers where outputs are so small
            assert_close(got[0], theirs, 1)
        # torchvision's and PIL's bicubics are up to 5 apart, in few pixels at the ends of the range.
        difference = (got[0].int() - expected.int()).abs()
        assert difference.max() <= 5
        assert (difference > 1).float().mean() < 1e-3


@each_executor
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sides", [(1, 1), (1, 7), (7, 1), (2, 3), (3, 2), (5, 4)])
def test_resize_of_what_is_a_few_pixels_wide(sides, interpolation, executor):
    """The filter has as many taps as there are pixels: one, two, or more."""
    image = photo("coffee")[:, 90 : 90 + sides[0], 200 : 200 + sides[1]].contiguous()
    pil = Image.fromarray(image.permute(1, 2, 0).numpy())
    name = Image.Resampling[interpolation.upper()]
    for size in ((33, 64), (1, 5), (9, 2)):
        expected = torch.from_numpy(np.array(pil.resize(size[::-1], name))).permute(2, 0, 1)
        for form in (image, pil):
            got, _ = draw(ae.Resize(size, interpolation), [form], executor, dtype="uint8")
            assert_close(got[0], expected, 1)


@each_executor
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(64, 96), (150, 40), (511, 513), (600, 700)])
def test_bicubic_is_v2_resizes(size, channels, antialias, executor):
    """Of floats, which go on below 0 and above 1 as torchvision's do."""
    image = as_float(torch.cat([photo("astronaut"), photo("astronaut").flip(-1)])[:channels])
    theirs = F.resize(image, list(size), InterpolationMode.BICUBIC, antialias=antialias)
    got, _ = draw(ae.Resize(size, "bicubic", antialias=antialias), [image], executor)
    assert theirs.max() > 1.001 or not antialias
    if antialias:
        assert_close(got[0], theirs, 5e-6)
        return
    # Beyond the border torch repeats the outermost pixel, which a filter here does not weigh.
    inner = np.ones(size, bool)
    for axis in range(2):
        points = (np.arange(size[axis]) + 0.5) * image.shape[1 + axis] / size[axis]
        far = (points > 2) & (points < image.shape[1 + axis] - 2)
        inner &= far[:, None] if axis == 0 else far[None, :]
    assert inner.mean() > 0.9
    assert_close(got[0][:, inner], theirs[:, inner], 2e-4)


@each_executor
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (64, 56), (300, 299), (600, 512)])
def test_evaluation_is_torchvisions_to_its_edge(resize, crop, interpolation, executor):
    """A crop sees what the resize saw: also where it cuts a board of single pixels."""
    mode = InterpolationMode(interpolation)
    board = (torch.arange(400)[:, None] + torch.arange(500)) % 2 * 255
    ops = [ae.Resize(resize, interpolation), ae.CenterCrop(crop)]
    for image in (photo("astronaut"), photo("coffee"), board.expand(3, -1, -1).to(torch.uint8)):
        expected = F.center_crop(F.resize(image, resize, mode, antialias=True), crop)
        got, _ = draw(ops, [image], executor, dtype="uint8")
        assert_close(got[0], expected, 1)
        flips = [*ops, ae.RandomHorizontalFlip(1)]
        got, _ = draw(flips, [image], executor, dtype="uint8")
        assert_close(got[0], expected.flip(-1), 1)


@each_executor
def test_a_resize_sees_what_the_crop_before_it_left(executor):
    image = photo("coffee")
    ops = [ae.Resize(300), ae.CenterCrop(200), ae.Resize(50)]
    cropped = F.center_crop(F.resize(image, 300, antialias=True), 200)
    got, plan = draw(ops, [image], executor)
    y0, x0, y1, x1 = plan.clip[0].tolist()
    painted = torch.full_like(image, 255)
    inner = (..., slice(math.ceil(y0), int(y1)), slice(math.ceil(x0), int(x1)))
    painted[inner] = image[inner]
    # What lies outside of the crop does not shine in, but for the one pixel that its edge cuts.
    other, _ = draw(ops, [painted], executor)
    assert (got - other)[..., 1:-1, 1:-1].abs().max() < 1e-6
    # Pixels in the middle are those of op by op.
    expected = F.resize(as_float(cropped), 50, antialias=True)
    assert (got[0] - expected)[..., 2:-2, 2:-2].abs().mean() < 0.02


@each_executor
def test_random_resized_crops_are_bicubic(executor):
    images = photos()
    crop = ae.RandomResizedCrop((50, 60), scale=(0.05, 1.0), interpolation="bicubic")
    got, plan = draw(crop, images, executor, dtype="uint8")
    for i, image in enumerate(images):
        height, width, top, left = (int(v) for v in logged(plan, i, "crop")[0][:4])
        cut = image[:, top : top + height, left : left + width]
        expected = F.resize(cut, [50, 60], InterpolationMode.BICUBIC, antialias=True)
        assert_close(got[i], expected, 1)


@each_executor
def test_a_turned_bicubic_is_a_cubic_along_each_axis(executor):
    """At points of any place: SciPy's interpolation matrices say nothing of Keys' cubic, so by hand."""
    image = as_float(photo("coffee"))[:, :60, :70]
    got, plan = draw(ae.RandomRotation((33, 33), "bicubic"), [image], executor)
    matrix = plan.inv_matrix[0].astype(float)
    for y, x in ((30, 35), (25, 41), (38, 20), (31, 50)):
        at_x, at_y = matrix[:2] @ (x + 0.5, y + 0.5, 1)
        weights = []
        for at in (at_y, at_x):
            first = math.floor(at - 1.5)
            d = np.abs(first + np.arange(4) + 0.5 - at)
            near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
            weights.append((first, np.where(d < 1, near, far)))
        (row, along_y), (column, along_x) = weights
        patch = image[:, row : row + 4, column : column + 4].double().numpy()
        expected = np.einsum("cyx,y,x->c", patch, along_y, along_x)
        assert np.abs(got[0, :, y, x].numpy() - expected).max() < 2e-5


@each_executor
def test_resize_nearest_is_torchvisions(executor):
    for size in [(64, 96), (700, 513)]:
        image = photo("coffee")
        expected = F.resize(image, list(size), NEAREST_EXACT, antialias=False)
        resize = ae.Resize(size, interpolation="nearest")
        got, plan = draw(resize, [image], executor, dtype="uint8")
        clear = _clear_of_pixel_edges(plan, 0)
        assert clear.float().mean() > 0.8
        assert torch.equal(got[0][:, clear], expected[:, clear])


NEAREST_EXACT = InterpolationMode.NEAREST_EXACT


@each_executor
@pytest.mark.parametrize(
    "size", [(300, 300), (301, 299), (512, 512), (512, 300), (700, 301), (513, 777), (1, 1)]
)
def test_center_crop_is_torchvisions(size, executor):
    images = photos("astronaut", "coffee", "chelsea")
    got, _ = draw(ae.CenterCrop(size), images, executor, dtype="uint8")
    for i, image in enumerate(images):
        assert torch.equal(got[i], F.center_crop(image, list(size)))


@each_executor
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("padding", [None, 9, (30, 4), (1, 20, 33, 60)])
def test_random_crop_is_pad_and_crop(padding, mode, executor):
    images = [photo(name)[:, :150, :170] for name in NAMES]
    fill = 77 if mode == "constant" else None
    size = (149, 140)
    crop = ae.RandomCrop(size, padding=padding, padding_mode=mode, fill=fill)
    got, plan = draw(crop, images, executor, dtype="uint8")
    sides = [0] * 4 if padding is None else padding
    for i, image in enumerate(images):
        padded = F.pad(image, sides, fill=fill or 0, padding_mode=mode)
        left, top = (sides, sides) if isinstance(sides, int) else sides[:2]
        _, _, y, x = (int(v) for v in logged(plan, i, "crop")[0][:4])
        assert torch.equal(got[i], F.crop(padded, y + top, x + left, *size))


@each_executor
def test_random_crop_pads_if_needed(executor):
    images = [photo(name)[:, : 60 + 9 * i, : 150 - 11 * i] for i, name in enumerate(NAMES)]
    size = (101, 120)
    crop = ae.RandomCrop(size, padding=(3, 5), pad_if_needed=True, padding_mode="symmetric")
    got, plan = draw(crop, images, executor, dtype="uint8")
    for i, image in enumerate(images):
        height, width = image.shape[1] + 10, image.shape[2] + 6
        more_y, more_x = max(0, size[0] - height), max(0, size[1] - width)
        padded = F.pad(image, [3 + more_x, 5 + more_y], padding_mode="symmetric")
        _, _, y, x = (int(v) for v in logged(plan, i, "crop")[0][:4])
        assert torch.equal(got[i], F.crop(padded, y + 5 + more_y, x + 3 + more_x, *size))
        assert 0 <= y + 5 + more_y <= padded.shape[1] - size[0]
        assert 0 <= x + 3 + more_x <= padded.shape[2] - size[1]


def test_random_crop_reaches_every_offset():
    plan = ae.Policy(ae.RandomCrop(6, padding=2)).sample(
        np.arange(2000), np.tile([7, 9], (2000, 1))
    )
    offsets = {tuple(v) for v in plan.log_arg[:, 0, 2:4].astype(int).tolist()}
    assert offsets == {(y, x) for y in range(-2, 4) for x in range(-2, 6)}


# Warps: the interior


def _assert_warps_alike(op, warp, image, executor, fill=0, seed=0, seen=None):
    """op: ours. warp(image, fill): torchvision's. seen: a mask of where they are to be compared.

    Interior: where all taps of a bilinear sample lie in the image. Outside: where none does.
    """
    got, _ = draw(op, [image], executor, seed=seed)
    bytes_, _ = draw(op, [image], executor, dtype="uint8", seed=seed)
    expected, expected_bytes = warp(as_float(image), [fill / 255] * 3), warp(image, [fill] * 3)
    assert got[0].shape == expected.shape
    share = warp(torch.ones(1, *image.shape[1:]), [0.0])[0].numpy()
    interior = torch.from_numpy(binary_erosion(share >= 1 - 1e-4, iterations=2))
    outside = torch.from_numpy(binary_erosion(share <= 1e-4, iterations=2, border_value=1))
    if seen is not None:
        interior &= seen
    assert interior.float().mean() > 0.1
    got, bytes_ = got[0], bytes_[0]
    # Pixel coordinates of some 600 in float32: errors of 1e-4 pixels, across the steepest edges.
    assert_close(got[:, interior], expected[:, interior], 5e-4)
    assert_close(bytes_[:, interior], expected_bytes[:, interior], 1)
    # torchvision rounds halves to even, we round them up: they say nothing about the warp.
    halves = ((255 * expected) % 1 - 0.5).abs() < 1e-3
    difference = (bytes_.float() - expected_bytes.float())[interior & ~halves]
    assert difference.abs().mean() < 0.1
    assert (got[:, outside] == np.float32(fill / 255)).all()


@each_executor
@pytest.mark.parametrize("angle", [30, -11.3, 90, 179, -135, 0.5])
def test_rotation_is_torchvisions(angle, executor):
    for name in ("chelsea", "astronaut"):
        _assert_warps_alike(
            ae.RandomRotation((angle, angle), fill=50),
            lambda image, fill: F.rotate(image, angle, BILINEAR, fill=fill),
            photo(name),
            executor,
            fill=50,
        )


@each_executor
@pytest.mark.parametrize("center", [(0, 0), (100, 200.5), (451, 0)])
def test_rotation_about_a_center(center, executor):
    _assert_warps_alike(
        ae.RandomRotation((20, 20), center=center),
        lambda image, fill: F.rotate(image, 20, BILINEAR, center=list(center), fill=fill),
        photo("chelsea"),
        executor,
    )


@each_executor
@pytest.mark.parametrize("angle", [15, 45, 90, 180, -101.5])
def test_rotation_expands_as_torchvisions(angle, executor):
    _assert_warps_alike(
        ae.RandomRotation((angle, angle), expand=True),
        lambda image, fill: F.rotate(image, angle, BILINEAR, expand=True, fill=fill),
        photo("chelsea"),
        executor,
    )


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (151, 129), (300, 451)])
def test_expanded_sizes_are_torchvisions(shape):
    for angle in range(-180, 181, 5):
        expected = F.rotate(torch.zeros(1, *shape), angle, expand=True).shape[1:]
        plan = ae.Policy(ae.RandomRotation((angle, angle), expand=True)).sample([0], [shape])
        assert plan.finish.size == tuple(expected), angle


AFFINES = {
    "turn": (25, 1.0, (0, 0), None),
    "shrink": (0, 0.6, (0, 0), None),
    "enlarge": (0, 1.7, (0, 0), None),
    "shear x": (0, 1.0, (22, 0), None),
    "shear y": (0, 1.0, (0, -17), None),
    "everything": (-35, 1.2, (14, 9), None),
    "about a point": (40, 0.8, (-20, 5), (120, 77)),
}


@each_executor
@pytest.mark.parametrize("case", AFFINES)
def test_affine_is_torchvisions(case, executor):
    angle, scale, shear, center = AFFINES[case]
    op = ae.RandomAffine(
        (angle, angle),
        scale=(scale, scale),
        shear=(shear[0], shear[0], shear[1], shear[1]),
        center=center,
        fill=120,
        antialias=False,
    )
    _assert_warps_alike(
        op,
        lambda image, fill: F.affine(
            image,
            angle,
            [0, 0],
            scale,
            list(shear),
            BILINEAR,
            fill=fill,
            center=center and list(center),
        ),
        photo("coffee"),
        executor,
        fill=120,
    )


@each_executor
def test_affine_translates_as_torchvisions(executor):
    image = photo("china")
    op = ae.RandomAffine((10, 10), translate=(0.3, 0.2), antialias=False)
    plan = plan_of(op, [image])
    dx, dy = (int(v) for v in logged(plan, 0, "shifted")[0][:2])
    assert dx
    assert dy
    assert abs(dx) <= 0.3 * 640
    assert abs(dy) <= 0.2 * 427
    _assert_warps_alike(
        op,
        lambda im, fill: F.affine(im, 10, [dx, dy], 1.0, [0, 0], BILINEAR, fill=fill),
        image,
        executor,
    )


@each_executor
def test_a_drawn_affine_is_torchvisions(executor):
    images = photos("chelsea", "coffee", "china")
    for seed, image in enumerate(images):
        op = ae.RandomAffine(30, (0.1, 0.1), (0.8, 1.3), (-15, 15, -10, 10), antialias=False)
        plan = plan_of(op, [image], seed=seed)
        turned = -logged(plan, 0, "rotated")[0][0]
        scale = logged(plan, 0, "scaled")[0][0]
        shear_y = logged(plan, 0, "sheared %+.1f° vertically")[0][0]
        shear_x = logged(plan, 0, "sheared")[0][0]
        shift = logged(plan, 0, "shifted")[0][:2].astype(int).tolist()
        arguments = (turned, shift, scale, [shear_x, shear_y], BILINEAR)
        _assert_warps_alike(
            op,
            lambda im, fill: F.affine(im, *arguments, fill=fill),  # noqa: B023
            image,
            executor,
            seed=seed,
        )


@each_executor
@pytest.mark.parametrize("distortion", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("name", ["rocket", "chelsea"])
def test_perspective_is_torchvisions(name, distortion, executor):
    image = photo(name)
    op = ae.RandomPerspective(distortion, p=1.0, fill=30)
    plan = plan_of(op, [image])
    start, end = _corners(plan)
    height, width = image.shape[1:]
    pulled = np.abs(np.array(start) - end)
    assert pulled.any()
    assert (pulled <= [distortion * (width // 2), distortion * (height // 2)]).all()
    _assert_warps_alike(
        op,
        lambda im, fill: F.perspective(im, start, end, BILINEAR, fill=fill),
        image,
        executor,
        fill=30,
        seen=_before_the_horizon(plan),
    )


@each_executor
def test_nothing_is_seen_beyond_the_horizon(executor):
    """Where the projective map turns its denominator's sign torchvision shows the image once more,
    upside down; here that is fill."""
    found = 0
    for seed in range(6):
        op = ae.RandomPerspective(1.0, p=1.0, fill=30)
        got, plan = draw(op, [patch("coffee", 90, 120)], executor, seed=seed)
        behind = ~_before_the_horizon(plan)
        found += behind.sum().item()
        assert (got[0][:, behind] == np.float32(30 / 255)).all()
    assert found > 100


def _before_the_horizon(plan):
    """A mask [H, W]: where the denominator of the projective map is positive."""
    height, width = plan.finish.size
    y, x = np.mgrid[:height, :width] + 0.5
    m = plan.inv_matrix[0, 2].astype(float)
    return torch.from_numpy(m[0] * x + m[1] * y + m[2] > 0)


def _corners(plan):
    """The whole numbers that a perspective drew: old corners, and where they came to lie."""
    height, width = plan.sizes[0] - 1
    start = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    moved = np.c_[start, np.ones(4)] @ np.linalg.inv(plan.inv_matrix[0].astype(float)).T
    moved = moved[:, :2] / moved[:, 2:]
    assert np.abs(moved - moved.round()).max() < 0.01
    return start.tolist(), moved.round().astype(int).tolist()


def _clear_of_pixel_edges(plan, view, distance=2e-3):
    """Outputs [H, W] whose source point is not on the line between two pixels, nor on the rim."""
    height, width = plan.finish.size
    y, x = np.mgrid[:height, :width] + 0.5
    point = np.stack([x, y, np.ones_like(x)], axis=-1) @ plan.inv_matrix[view].astype(float).T
    point = point[..., :2] / point[..., 2:]
    return torch.from_numpy((np.abs(point - point.round()) > distance).all(axis=-1))


@each_executor
def test_nearest_is_torchvisions(executor):
    image = photo("chelsea")
    warps = [
        (
            ae.RandomRotation((33, 33), interpolation="nearest"),
            lambda im: F.rotate(im, 33, NEAREST),
        ),
        (
            ae.RandomAffine((-20, -20), None, (0.7, 0.7), (12, 12), interpolation="nearest"),
            lambda im: F.affine(im, -20, [0, 0], 0.7, [12, 0], NEAREST),
        ),
    ]
    for op, warp in warps:
        got, plan = draw(op, [image], executor, dtype="uint8")
        clear = _clear_of_pixel_edges(plan, 0)
        assert clear.float().mean() > 0.98
        assert torch.equal(got[0][:, clear], warp(image)[:, clear])


@each_executor
def test_an_antialiased_affine_averages_what_it_shrinks(executor):
    """Scaled to a quarter about the middle: in the middle, a resize to a quarter."""
    image = photo("astronaut")
    got, _ = draw(ae.RandomAffine(0, scale=(0.25, 0.25)), [image], executor)
    expected = F.resize(as_float(image), [128, 128], antialias=True)
    assert_close(got[0][:, 192:320, 192:320], expected, 1e-5)
    assert got[0][:, :191].max() == 0


# What moves pixels and changes none: bit for bit


FLIPS = {
    "identity": (ae.RandomHorizontalFlip(p=0), lambda a: a),
    "left and right": (ae.RandomHorizontalFlip(p=1), lambda a: a[:, :, ::-1]),
    "top and bottom": (ae.RandomVerticalFlip(p=1), lambda a: a[:, ::-1]),
    "no turn": (ae.RandomQuarterTurn(0), lambda a: a),
    "one turn": (ae.RandomQuarterTurn(1), lambda a: np.rot90(a, 1, axes=(1, 2))),
    "two turns": (ae.RandomQuarterTurn(2), lambda a: np.rot90(a, 2, axes=(1, 2))),
    "three turns": (ae.RandomQuarterTurn(3), lambda a: np.rot90(a, 3, axes=(1, 2))),
    "rotated by 90": (
        ae.RandomRotation((90, 90), expand=True),
        lambda a: np.rot90(a, 1, axes=(1, 2)),
    ),
    "rotated by 180": (ae.RandomRotation((180, 180)), lambda a: np.rot90(a, 2, axes=(1, 2))),
}
LAYOUTS = ("NCHW", "channels_last", "NHWC", "list", "list HWC", "slice")


def _laid_out(batch, layout):
    """The same images (n, 3, h, w) in another memory: (images, layout for execute)."""
    if layout == "channels_last":
        return batch.contiguous(memory_format=torch.channels_last), "NCHW"
    if layout == "NHWC":
        return batch.permute(0, 2, 3, 1).contiguous().numpy(), "NHWC"
    if layout == "list":
        return list(batch), "NCHW"
    if layout == "list HWC":
        return [image.permute(1, 2, 0).contiguous().numpy() for image in batch], "NHWC"
    if layout == "slice":
        n, c, h, w = batch.shape
        larger = torch.full((2 * n, c + 2, h + 3, 2 * w), 99, dtype=batch.dtype)
        view = larger[::2, 1 : 1 + c, 2 : 2 + h, ::2]
        view.copy_(batch)
        return view, "NCHW"
    return batch.contiguous(), "NCHW"


@each_executor
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", FLIPS)
def test_flips_turns_and_the_identity_move_bytes(case, layout, executor):
    op, expected = FLIPS[case]
    batch = patches(4, 65, 83)
    images, layout = _laid_out(batch, layout)
    for last in (False, True):
        got, _ = draw(op, images, executor, layout=layout, dtype="uint8", channels_last=last)
        for one, image in zip(got, batch, strict=True):
            assert np.array_equal(one.numpy(), expected(image.numpy()))


@each_executor
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_floats_come_through_the_identity_unchanged(dtype, executor):
    images = as_float(patches(2, 40, 50)).to(getattr(torch, dtype))
    got, _ = draw(ae.RandomHorizontalFlip(p=1), images, executor, dtype=dtype)
    assert torch.equal(got, images.flip(-1))


# Colour


@each_executor
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.3, 2.5])
@pytest.mark.parametrize("kind", ["brightness", "contrast", "saturation"])
def test_color_jitter_is_torchvisions(kind, factor, executor):
    images = photos()[:3]
    adjust = getattr(F, f"adjust_{kind}")
    for image in images:
        got, _ = draw(ae.ColorJitter(**{kind: (factor, factor)}), [image], executor)
        assert_close(got[0], adjust(as_float(image), factor), 1e-5)
        got, _ = draw(ae.ColorJitter(**{kind: (factor, factor)}), [image], executor, dtype="uint8")
        assert_close(got[0], adjust(image, factor), 1)


@each_executor
@pytest.mark.parametrize("shift", [-0.5, -0.21, 0.0, 0.1, 0.4, 0.5])
def test_hue_is_torchvisions(shift, executor):
    for image in photos("chelsea", "astronaut"):
        got, _ = draw(ae.ColorJitter(hue=(shift, shift)), [image], executor)
        assert_close(got[0], F.adjust_hue(as_float(image), shift), 1e-5)


@each_executor
def test_color_jitter_in_its_drawn_order(executor):
    """Every order of four steps comes up, and each is torchvision's, step after step."""
    n = 48
    images = patches(n, 24, 32)
    got, plan = draw(ae.ColorJitter(0.6, 0.6, 0.6, 0.3), images, executor)
    orders = set()
    for i in range(n):
        expected, order = as_float(images[i]), []
        for op, arg in zip(plan.log_op[i], plan.log_arg[i], strict=True):
            name = plan.log_text[op].split()[0]
            expected = getattr(F, f"adjust_{name}")(expected, float(arg[0]))
            order.append(name)
        assert sorted(order) == ["brightness", "contrast", "hue", "saturation"]
        assert_close(got[i], expected, 2e-5)
        orders.add(tuple(order))
    assert len(orders) > 15


@each_executor
def test_photometric_distort_is_torchvisions_step_by_step(executor):
    """All that came up in some samples: each order of the steps, and the channels' own."""
    n = 48
    images = patches(n, 24, 32)
    got, plan = draw(ae.RandomPhotometricDistort(p=0.8), images, executor)
    orders = set()
    for i in range(n):
        expected, order = as_float(images[i]), []
        for op, arg in zip(plan.log_op[i], plan.log_arg[i], strict=True):
            name = plan.log_text[op].split()[0] if op >= 0 else ""
            if name == "channels":
                expected = F.permute_channels(expected, [int(v) for v in arg[:3]])
            elif name:
                expected = getattr(F, f"adjust_{name}")(expected, float(arg[0]))
            order += [name] if name else []
        assert_close(got[i], expected, 2e-5)
        orders.add(tuple(order))
    rest = ("saturation", "hue")
    assert {
        ("brightness", "contrast", *rest, "channels"),
        ("brightness", *rest, "contrast", "channels"),
    } <= orders
    assert {order[-1] for order in orders if "channels" in order} == {"channels"}


@each_executor
def test_contrast_takes_the_mean_of_what_the_frame_shows(executor):
    images = photos("astronaut", "coffee", "china")
    ops = [ae.RandomCrop((90, 110)), ae.ColorJitter(contrast=(1.8, 1.8))]
    got, plan = draw(ops, images, executor)
    for i, image in enumerate(images):
        _, _, y, x = (int(v) for v in logged(plan, i, "crop")[0][:4])
        cut = as_float(image)[:, y : y + 90, x : x + 110]
        assert_close(got[i], F.adjust_contrast(cut, 1.8), 1e-5)


@each_executor
@pytest.mark.parametrize("channels", [1, 4, 5])
def test_contrast_of_other_channels_takes_each_ones_mean(channels, executor):
    """As torchvision's of a grey image."""
    images = patches(2 * channels, 40, 50)[:, 0].reshape(2, channels, 40, 50)
    jitter = ae.ColorJitter(brightness=(1.1, 1.1), contrast=(0.3, 0.3))
    got, plan = draw(jitter, images, executor, layout="NCHW")
    for i in range(2):
        value = as_float(images[i])
        for op in plan.log_op[i]:
            if plan.log_text[op].startswith("brightness"):
                value = (1.1 * value).clamp(0, 1)
            else:
                value = torch.cat([F.adjust_contrast(channel[None], 0.3) for channel in value])
        assert_close(got[i], value, 1e-5)


@each_executor
def test_random_grayscale_is_torchvisions(executor):
    images = patches(3)
    got, _ = draw(ae.RandomGrayscale(p=1), images, executor)
    assert_close(got, F.rgb_to_grayscale(as_float(images), num_output_channels=3), 1e-6)
    got, _ = draw(ae.RandomGrayscale(p=1), images, executor, dtype="uint8")
    assert_close(got, F.rgb_to_grayscale(images, num_output_channels=3), 1)


@each_executor
def test_random_brightness_adds_and_clips(executor):
    images = patches(8)
    got, plan = draw(ae.RandomBrightness((-0.6, 0.6)), images, executor)
    delta = torch.tensor([logged(plan, i, "brightness")[0][0] for i in range(8)])
    assert delta.min() < -0.2
    assert delta.max() > 0.2
    expected = (as_float(images) + delta[:, None, None, None]).clamp(0, 1)
    assert_close(got, expected, 1e-6)
    assert (got == 1).any()
    assert (got == 0).any()


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@each_executor
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_normalize_is_torchvisions(dtype, executor):
    images = patches(3)
    got, _ = draw(ae.Normalize(MEAN, STD), images, executor, dtype=dtype)
    expected = F.normalize(as_float(images), list(MEAN), list(STD))
    # Both rounded to the nearest value of the dtype: at most one step apart, where within 1e-6.
    step = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}[dtype]
    assert_close(got, expected.to(got.dtype), step)
    assert (got == expected.to(got.dtype)).float().mean() > (0 if dtype == "float32" else 0.99)


# Mixes and erasing

SOURCE_OPS = (ae.RandomResizedCrop((60, 70)), ae.RandomHorizontalFlip(), ae.RandomBrightness(0.2))


def _mixed(mixes, executor, n=24, **how):
    """(the batch, the same without the mixes, the plan)."""
    images = [*photos()] * (n // 6)
    got, plan = draw([*SOURCE_OPS, *mixes], images, executor, **how)
    plain, _ = draw([*SOURCE_OPS], images, executor, **{k: v for k, v in how.items()})
    return got, plain, plan


@each_executor
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_cutmix_pastes_the_partners_pixels(dtype, executor):
    got, plain, plan = _mixed([ae.CutMix()], executor, dtype=dtype)
    expected = plain.clone()
    shares = []
    for i in range(len(plan)):
        partner = plan.source[plan.view[i, 1]]
        y0, x0, y1, x1 = plan.box[i, 1]
        assert partner != i
        expected[i, :, y0:y1, x0:x1] = plain[partner, :, y0:y1, x0:x1]
        shares.append((y1 - y0) * (x1 - x0) / (60 * 70))
        assert plan.weight[i] == pytest.approx([1 - shares[-1], shares[-1]])
    assert torch.equal(got, expected)
    assert min(shares) < 0.1
    assert max(shares) > 0.5


@each_executor
def test_mixup_blends_the_partner(executor):
    got, plain, plan = _mixed([ae.MixUp(alpha=0.8)], executor)
    amount = torch.from_numpy(plan.alpha[:, 1].copy())[:, None, None, None]
    partner = torch.from_numpy(plan.source[plan.view[:, 1]].astype(np.int64))
    assert (partner != torch.arange(24)).all()
    assert_close(got, (1 - amount) * plain + amount * plain[partner], 1e-6)
    assert np.allclose(plan.weight, np.stack([1 - plan.alpha[:, 1], plan.alpha[:, 1]], axis=1))
    assert plan.alpha[:, 1].min() < 0.2
    assert plan.alpha[:, 1].max() > 0.8


@pytest.mark.parametrize("mix", [ae.CutMix(), ae.MixUp()])
def test_soft_labels_follow_the_shares(mix):
    n, classes = 24, 10
    plan = plan_of([ae.Resize((50, 50)), mix], photos() * 4)
    labels = torch.randint(0, classes, (n,), generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(n, classes)
    for i in range(n):
        if isinstance(mix, ae.CutMix):
            y0, x0, y1, x1 = plan.box[i, 1].tolist()
            share = (y1 - y0) * (x1 - x0) / 2500
        else:
            share = plan.alpha[i, 1].item()
        expected[i, labels[i]] += 1 - share
        expected[i, labels[plan.source[plan.view[i, 1]]]] += share
    assert_close(ae.soft_labels(plan, labels, classes), expected, 1e-6)
    soft = torch.rand(n, classes).softmax(dim=1)
    share = torch.from_numpy(plan.weight[:, 1].copy())[:, None]
    partner = torch.from_numpy(plan.source[plan.view[:, 1]].astype(np.int64))
    assert_close(ae.soft_labels(plan, soft), (1 - share) * soft + share * soft[partner], 1e-6)


@each_executor
def test_one_of_cutmix_and_mixup(executor):
    """Each sample does one of the two, with a partner as it was before either."""
    got, plain, plan = _mixed([ae.OneOf([ae.CutMix(), ae.MixUp()])], executor)
    expected, pasted = plain.clone(), 0
    weights = np.zeros((24, 24))
    for i in range(24):
        (k,) = np.flatnonzero(plan.view[i, 1:] >= 0) + 1
        partner = plan.source[plan.view[i, k]]
        y0, x0, y1, x1 = plan.box[i, k]
        amount, inside = plan.alpha[i, k], (..., slice(y0, y1), slice(x0, x1))
        own = plain[i][inside]
        expected[i][inside] = own + float(amount) * (plain[partner][inside] - own)
        pasted += amount == 1
        share = amount * (y1 - y0) * (x1 - x0) / 4200
        weights[i, i], weights[i, partner] = 1 - share, share
    assert_close(got, expected, 1e-6)
    assert 6 <= pasted <= 18
    assert_close(ae.soft_labels(plan, torch.eye(24)), torch.from_numpy(weights).float(), 1e-6)


@each_executor
def test_mixup_then_cutmix_pastes_a_blend(executor):
    """The pasted box shows the partner as MixUp left it."""
    got, _, plan = _mixed([ae.MixUp(), ae.CutMix()], executor)
    blended, _, _ = _mixed([ae.MixUp()], executor)
    expected = blended.clone()
    for i in range(24):
        boxed = [k for k in range(1, plan.view.shape[1]) if tuple(plan.box[i, k]) != (0, 0, 60, 70)]
        y0, x0, y1, x1 = plan.box[i, boxed[0]]
        # The first layer that CutMix added shows the partner's own view.
        partner = plan.source[plan.view[i, boxed[0]]]
        expected[i, :, y0:y1, x0:x1] = blended[partner, :, y0:y1, x0:x1]
    assert_close(got, expected, 1e-6)
    assert np.allclose(plan.weight.sum(axis=1), 1, atol=1e-6)


@each_executor
def test_erasing_after_normalize_takes_normalised_values(executor):
    value = (0.0, 1.5, -1.0)
    ops = [ae.Normalize(MEAN, STD), ae.RandomErasing(p=1, value=value)]
    got, plain, plan = _mixed(ops, executor)
    expected = F.normalize(plain, list(MEAN), list(STD))
    for i in range(24):
        y0, x0, y1, x1 = plan.box[i, 1].tolist()
        patch = torch.tensor(value)[:, None, None]
        expected[i] = F.erase(expected[i], y0, x0, y1 - y0, x1 - x0, patch)
    assert_close(got, expected, 1e-5)


@each_executor
def test_erasing_before_normalize_takes_values_of_the_images(executor):
    ops = [ae.RandomErasing(p=1, value=51), ae.Normalize(MEAN, STD)]
    got, plain, plan = _mixed(ops, executor)
    for i in range(24):
        y0, x0, y1, x1 = plan.box[i, 1].tolist()
        plain[i] = F.erase(plain[i], y0, x0, y1 - y0, x1 - x0, torch.tensor(0.2))
        share = (y1 - y0) * (x1 - x0) / 4200
        assert 0.01 < share < 0.35
    assert_close(got, F.normalize(plain, list(MEAN), list(STD)), 1e-5)
    assert torch.equal(ae.soft_labels(plan, torch.eye(24)), torch.eye(24))


# Several ops: one warp


def _ramp(height, width):
    """A plane, which bilinear sampling reproduces: value(x, y) = 0.1 + 0.7 x/width + 0.15 y/height,
    and two more channels; and the function itself."""

    def value(x, y):
        return np.stack(
            [
                0.1 + 0.7 * x / width + 0.15 * y / height,
                0.8 - 0.5 * x / width - 0.1 * y / height,
                0.05 + 0.9 * y / height,
            ]
        )

    y, x = np.mgrid[:height, :width] + 0.5
    return torch.from_numpy(value(x, y)).float(), value


def _turned_back(x, y, angle, height, width):
    """Where a pixel of a picture rotated counter-clockwise about its middle came from; y is down."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = x - width / 2, y - height / 2
    return c * x - s * y + width / 2, s * x + c * y + height / 2


@each_executor
def test_crop_flip_rotate_is_one_warp(executor):
    image, value = _ramp(200, 260)
    ops = [ae.RandomCrop((120, 150)), ae.RandomHorizontalFlip(p=1), ae.RandomRotation((25, 25))]
    got, plan = draw(ops, [image], executor)
    _, _, top, left = logged(plan, 0, "crop")[0][:4]
    y, x = np.mgrid[:120, :150] + 0.5
    x, y = _turned_back(x, y, 25, 120, 150)
    inside = (x > 1) & (x < 149) & (y > 1) & (y < 119)
    x = 150 - x
    expected = torch.from_numpy(value(x + left, y + top)).float()
    assert inside.mean() > 0.5
    assert_close(got[0][:, inside], expected[:, inside], 1e-5)
    outside = (x < -0.01) | (x > 150.01) | (y < -0.01) | (y > 120.01)
    assert outside.mean() > 0.05
    assert got[0][:, outside].abs().max() == 0


@each_executor
def test_resize_shear_turn_flip_is_one_warp(executor):
    image, value = _ramp(150, 200)
    ops = [
        ae.Resize((300, 220)),
        ae.RandomAffine((0, 0), scale=(1.25, 1.25), shear=(20, 20)),
        ae.RandomQuarterTurn(1),
        ae.RandomVerticalFlip(p=1),
    ]
    got, plan = draw(ops, [image], executor)
    assert plan.finish.size == (220, 300)
    y, x = np.mgrid[:220, :300] + 0.5
    y = 220 - y  # flip back
    x, y = 220 - y, x  # quarter turn back: numpy.rot90 takes the last column to the first row
    x, y = (x - 110) / 1.25, (y - 150) / 1.25  # scale back, about the middle
    x = x + math.tan(math.radians(20)) * y  # torchvision shears by −tan
    x, y = (x + 110) * 200 / 220, (y + 150) * 150 / 300
    inside = (x > 1) & (x < 199) & (y > 1) & (y < 149)
    assert inside.mean() > 0.5
    expected = torch.from_numpy(value(x, y)).float()
    assert_close(got[0][:, inside], expected[:, inside], 1e-5)


@each_executor
def test_perspective_after_a_crop_is_one_warp(executor):
    image, value = _ramp(200, 260)
    got, plan = draw([ae.RandomCrop((120, 150)), ae.RandomPerspective(0.4, p=1)], [image], executor)
    alone = ae.Policy([ae.RandomCrop((120, 150)), ae.RandomPerspective(0.4, p=1)]).sample(
        [0], [[200, 260]]
    )
    assert alone.explain(0) == plan.explain(0)
    y, x = np.mgrid[:120, :150] + 0.5
    m = plan.inv_matrix[0].astype(np.float64)
    w = m[2, 0] * x + m[2, 1] * y + m[2, 2]
    at_x = (m[0, 0] * x + m[0, 1] * y + m[0, 2]) / w
    at_y = (m[1, 0] * x + m[1, 1] * y + m[1, 2]) / w
    _, _, top, left = logged(plan, 0, "crop")[0][:4]
    inside = (at_x > left + 1) & (at_x < left + 149) & (at_y > top + 1) & (at_y < top + 119)
    assert 0.3 < inside.mean() < 1
    expected = torch.from_numpy(value(at_x, at_y)).float()
    assert_close(got[0][:, inside], expected[:, inside], 2e-5)


@each_executor
def test_a_shift_after_a_crop_brings_the_fill(executor):
    image = photo("coffee")
    ops = [ae.RandomCrop((100, 120)), ae.RandomAffine(0, translate=(0.4, 0.4), fill=(9, 90, 200))]
    got, plan = draw(ops, [image], executor, dtype="uint8", seed=1)
    _, _, y, x = (int(v) for v in logged(plan, 0, "crop")[0][:4])
    dx, dy = (int(v) for v in logged(plan, 0, "shifted")[0][:2])
    cut = image[:, y : y + 100, x : x + 120]
    expected = F.affine(cut, 0, [dx, dy], 1.0, [0, 0], NEAREST, fill=[9, 90, 200])
    assert abs(dx) > 3
    assert abs(dy) > 3
    assert torch.equal(got[0], expected)


@each_executor
def test_context_source_brings_real_pixels(executor):
    image = photo("coffee")
    ops = [
        ae.RandomCrop((100, 120), context="source"),
        ae.RandomAffine(0, translate=(0.4, 0.4), fill=255),
    ]
    found = 0
    for seed in range(5):
        got, plan = draw(ops, [image], executor, dtype="uint8", seed=seed)
        _, _, y, x = (int(v) for v in logged(plan, 0, "crop")[0][:4])
        dx, dy = (int(v) for v in logged(plan, 0, "shifted")[0][:2])
        padded = F.pad(image, [200], fill=255)
        expected = F.crop(padded, y - dy + 200, x - dx + 200, 100, 120)
        assert torch.equal(got[0], expected)
        found += (expected != 255).all().item()
    assert found > 1


@each_executor
def test_colour_before_the_first_warp_leaves_the_fill_alone(executor):
    image = patch("coffee", 60, 80)
    ops = [
        ae.RandomBrightness((0.2, 0.2)),
        ae.RandomAffine(0, translate=(0.5, 0.5), fill=100),
        ae.RandomBrightness((0.15, 0.15)),
        ae.RandomHorizontalFlip(p=1),
        ae.RandomBrightness((-0.05, -0.05)),
    ]
    got, plan = draw(ops, [image], executor)
    dx, dy = (int(v) for v in logged(plan, 0, "shifted")[0][:2])
    assert dx
    assert dy
    expected = (as_float(image) + 0.2).clamp(0, 1)
    expected = F.affine(expected, 0, [dx, dy], 1.0, [0, 0], NEAREST, fill=[100 / 255] * 3)
    expected = (expected + 0.15).clamp(0, 1).flip(-1) - 0.05
    assert_close(got[0], expected, 1e-6)


@each_executor
def test_colour_without_a_warp_changes_no_place(executor):
    images = patches(2)
    got, _ = draw([ae.RandomBrightness((0.1, 0.1)), ae.RandomGrayscale(p=1)], images, executor)
    expected = F.rgb_to_grayscale((as_float(images) + 0.1).clamp(0, 1), 3)
    assert_close(got, expected, 1e-6)


@each_executor
@pytest.mark.parametrize("shift", [(0, 0), (5, -3), (-40, 25), (130, 170), (-200, -301)])
@pytest.mark.parametrize(
    ("border", "mode"), [(EDGE, "edge"), (REFLECT, "reflect"), (SYMMETRIC, "symmetric")]
)
def test_borders_are_numpy_pads(border, mode, shift, executor):
    """Also where a shift is several times the image."""
    dy, dx = shift
    images = torch.stack([patch(name, 48, 61) for name in NAMES[:3]])
    plan = plan_of(ae.RandomHorizontalFlip(p=0), images, dtype="uint8")
    matrix = plan.inv_matrix.copy()
    matrix[:, 0, 2], matrix[:, 1, 2] = dx, dy
    plan = dataclasses.replace(plan, inv_matrix=matrix, border=np.full(3, border, np.int8))
    got = ae.execute(plan, images, executor=executor)
    sides = [(0, 0), (0, 0), (abs(dy), abs(dy)), (abs(dx), abs(dx))]
    padded = np.pad(images.numpy(), sides, mode=mode)
    y, x = abs(dy) + dy, abs(dx) + dx
    assert np.array_equal(got.numpy(), padded[:, :, y : y + 48, x : x + 61])


@each_executor
def test_borders_are_of_the_crop(executor):
    """A clip narrows what a border mode repeats."""
    image = photo("coffee")
    ops = [
        ae.RandomResizedCrop((80, 90), scale=(0.03, 0.03), ratio=(1, 1)),
        ae.RandomAffine(0, translate=(0.5, 0.5)),
    ]
    plan = plan_of(ops, [image], dtype="uint8")
    height, width, top, left = (int(v) for v in logged(plan, 0, "crop")[0][:4])
    plan = dataclasses.replace(
        plan,
        finish=dataclasses.replace(plan.finish, size=(height, width)),
        box=np.array([[[0, 0, height, width]]], np.int32),
        extent=np.array([[height, width]], np.int32),
        support=np.ones((1, 2), np.float32),
        inv_matrix=np.array([[[1, 0, left + 20], [0, 1, top - 30], [0, 0, 1]]], np.float32),
        border=np.array([SYMMETRIC], np.int8),
    )
    got = ae.execute(plan, [image], executor=executor)
    cut = image[:, top : top + height, left : left + width].numpy()
    padded = np.pad(cut, [(0, 0), (30, 0), (0, 20)], mode="symmetric")
    assert np.array_equal(got[0].numpy(), padded[:, :height, 20:])
    assert CONSTANT == 0


@each_executor
def test_a_fill_after_very_many_colour_steps_is_untouched(executor):
    """More of them than an int8 counts."""
    images = torch.full((2, 3, 20, 20), 100, dtype=torch.uint8)
    jitter = ae.SomeOf([ae.ColorJitter(0.1, 0.1, 0.1, 0.05)], num_ops=40)
    got, plan = draw([jitter, ae.RandomRotation((45, 45), fill=200)], images, executor)
    assert plan.step_kind.shape[1] == 160
    assert (got[:, :, 0, 0] - 200 / 255).abs().max() < 1e-6
