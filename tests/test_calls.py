"""An op or a policy called with an image does at once what torchvision's transform of that name does."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as v2
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close
from photos import patch, patches
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors

import augengine as ae

IMAGE = patch("astronaut", 40, 56)
GREY = IMAGE[:1]
NORMALIZE = ae.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
FLIP = ae.RandomHorizontalFlip(1)


def pil(image):
    return v2.functional.to_pil_image(image)


KINDS = {
    "a tensor": lambda image: image,
    "a grey tensor": lambda image: image[:1],
    "a batch": lambda image: torch.stack([image, image]),
    "an image of torchvision's": tv_tensors.Image,
    "an array": lambda image: np.asarray(pil(image)),
    "a grey array": lambda image: np.asarray(pil(image[:1])),
    "a batch of arrays": lambda image: np.asarray(pil(image))[None],
    "a picture": pil,
    "a grey picture": lambda image: pil(image[:1]),
}


def tensor(image):
    """A tensor (…, C, H, W) of any kind."""
    if isinstance(image, torch.Tensor):
        return image.as_subclass(torch.Tensor)
    array = np.array(image)
    return torch.from_numpy(array if array.ndim == 2 else np.moveaxis(array, -1, -3))


@pytest.mark.parametrize("what", [FLIP, ae.Policy([FLIP])], ids=["op", "policy"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_is_what_goes(kind, what):
    image = KINDS[kind](IMAGE)
    result = what(image)
    assert type(result) is type(image)
    assert getattr(result, "dtype", None) == getattr(image, "dtype", None)
    if isinstance(image, Image.Image):
        assert result.mode == image.mode
    assert torch.equal(tensor(result), tensor(image).flip(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_floats_stay_what_they_are(dtype):
    image = as_float(IMAGE).to(dtype)
    result = ae.RandomGrayscale(1)(image)
    assert result.dtype == dtype
    expected = F.rgb_to_grayscale(image.float(), 3)
    assert_close(result, expected, 1e-6 if dtype == torch.float32 else 4e-3)


def test_sizes_change():
    ours, theirs = ae.Resize(20)(pil(IMAGE)), v2.Resize(20)(pil(IMAGE))
    assert ours.size == theirs.size
    assert_close(tensor(ours).float(), tensor(theirs).float(), 1)
    assert ae.CenterCrop(8)(IMAGE).shape == (3, 8, 8)


@pytest.mark.parametrize("kind", ["a tensor", "an array", "a picture", "a batch"])
def test_what_is_normalised_is_floats(kind):
    image = KINDS[kind](IMAGE)
    result = ae.Policy([FLIP, NORMALIZE])(image)
    assert type(result) is (torch.Tensor if kind == "a picture" else type(image))
    expected = F.normalize(as_float(tensor(image)).flip(-1), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert_close(tensor(result), expected, 1e-5)


def test_fills_are_in_the_units_of_what_came():
    bytes_ = ae.Pad(2, 51)(IMAGE)
    for image, fill in ((IMAGE, 51), (as_float(IMAGE), 0.2)):
        assert_close(ae.Pad(2, fill)(image).float(), F.pad(image, [2] * 4, fill=fill).float(), 1e-6)
    assert bytes_.dtype == torch.uint8
    with pytest.raises(ValueError, match=r"Pad\.fill: got 51\.0, expected 0 … 1"):
        ae.Pad(2, 51)(as_float(IMAGE))


@pytest.mark.parametrize("kind", ["a tensor", "a batch", "an array", "a picture"])
def test_a_conversion_says_what_comes(kind):
    """As torchvision's: floats in [0, 1] of bytes, and back."""
    image = KINDS[kind](IMAGE)
    policy = ae.Policy([FLIP, ae.ToImage(), ae.ToDtype(torch.float32, scale=True), ae.Pad(1, 0.5)])
    result = tensor(policy(image))
    assert result.dtype == torch.float32
    expected = F.pad(as_float(tensor(image)).flip(-1), [1] * 4, fill=0.5)
    assert_close(result, expected, 1e-6)
    if kind != "a picture":
        back = ae.Policy([FLIP, ae.ToDtype(torch.uint8, scale=True)])(as_float(IMAGE))
        assert torch.equal(back, IMAGE.flip(-1))


def test_what_is_not_fused_is_drawn_as_by_an_engine():
    """By the same numbers: what takes none of them, as Grayscale(1) and Normalize there, counts for none."""
    ops = [ae.Grayscale(1), ae.JPEG((5, 60)), ae.ElasticTransform(40.0)]
    torch.manual_seed(3)
    seed = int(torch.randint(2**63 - 1, ()))
    torch.manual_seed(3)
    engine = ae.Engine(ops, seed=seed, dtype=torch.uint8)
    assert torch.equal(ae.Policy(ops)(IMAGE[None]), engine(IMAGE[None], ids=[0], epoch=0).images)


def test_torchs_seed_says_what_comes():
    policy = ae.Policy([ae.RandomResizedCrop(16), ae.RandomHorizontalFlip()])
    torch.manual_seed(3)
    first, second = policy(IMAGE), policy(IMAGE)
    torch.manual_seed(3)
    assert torch.equal(policy(IMAGE), first)
    assert not torch.equal(first, second)
    batch = policy(IMAGE.expand(8, 3, 40, 56))
    assert len({image.numpy().tobytes() for image in batch}) == 8


def test_what_leaves_nothing_to_chance_takes_no_random_number():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    ae.Resize(8)(IMAGE)
    assert torch.equal(torch.rand(1), expected)


def test_flips_are_as_frequent_as_said():
    torch.manual_seed(0)
    op = ae.RandomHorizontalFlip(0.3)
    flips = sum(torch.equal(op(GREY[:, :4, :4]), GREY[:, :4, :4].flip(-1)) for _ in range(400))
    assert abs(flips - 120) < 4 * (400 * 0.3 * 0.7) ** 0.5


def test_mixes_mix_a_batch_with_itself():
    torch.manual_seed(0)
    images = patches(4, 24, 24)
    mixed = ae.CutMix()(images)
    assert mixed.shape == images.shape
    own = (mixed == images).all(dim=1)
    theirs = (mixed[:, None] == images).all(dim=2).any(dim=1)
    assert theirs.all()
    assert not own.all()
    assert torch.equal(ae.CutMix()(images[0]), images[0])  # who has no partner stays


def test_gradients_pass():
    image = as_float(IMAGE).requires_grad_()
    ae.Policy([FLIP, ae.ColorJitter((2, 2))])(image).sum().backward()
    assert_close(image.grad, 2.0 * (2 * image.detach() < 1), 1e-6)


def test_stages_are_run():
    policy = ae.Policy([FLIP, ae.Stage(torch.nn.AvgPool2d(2))])
    image = as_float(IMAGE)
    assert_close(policy(image), torch.nn.functional.avg_pool2d(image.flip(-1), 2), 1e-6)


def test_they_stand_between_torchvisions():
    pipeline = v2.Compose([v2.ToImage(), ae.RandomInvert(1), v2.ToDtype(torch.float32, scale=True)])
    assert_close(pipeline(pil(IMAGE)), as_float(255 - IMAGE), 1e-6)


class Pictures(Dataset):
    transform = ae.Policy([ae.RandomCrop(8), NORMALIZE])

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return self.transform(pil(IMAGE)), index


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_may_call_them(workers):
    torch.manual_seed(0)
    loader = DataLoader(Pictures(), batch_size=6, num_workers=workers)
    first, second = (next(iter(loader))[0] for _ in range(2))
    assert first.shape == (6, 3, 8, 8)
    assert not torch.equal(first, second)
    assert len({image.numpy().tobytes() for image in (*first, *second)}) > 8


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: FLIP(IMAGE, 3),
            TypeError,
            r"RandomHorizontalFlip: got 1 more beside the image, exp",
        ),
        (
            lambda: ae.CutMix()(patches(2), [1, 2]),
            TypeError,
            r"CutMix: got 1 more .*images, labels",
        ),
        (lambda: FLIP({"image": IMAGE}), TypeError, r"got dict, expected one image, or one batch"),
        (lambda: FLIP([IMAGE]), TypeError, r"got list, expected one image"),
        (
            lambda: ae.Policy([])("a.jpg"),
            TypeError,
            r"Policy: got 'a\.jpg', expected an image or a",
        ),
        (lambda: FLIP(tv_tensors.Mask(GREY)), TypeError, r"got Mask, expected an image\. For what"),
        (
            lambda: FLIP(IMAGE.to(torch.int32)),
            TypeError,
            r"of torch\.int32, expected uint8 or floats",
        ),
        (
            lambda: FLIP(np.zeros((4, 4, 3), np.int64)),
            TypeError,
            r"of int64, expected uint8 or flo",
        ),
        (lambda: FLIP(np.array(["a"])), TypeError, r"of <U1, expected uint8 or floats"),
        (lambda: FLIP(IMAGE[0]), ValueError, r"shape \(40, 56\), expected \(C, H, W\) or \(B, C"),
        (lambda: FLIP(np.zeros(3, np.uint8)), ValueError, r"shape \(3,\), expected \(H, W\), \(H"),
        (
            lambda: FLIP(pil(IMAGE).convert("P")),
            ValueError,
            r"mode 'P', expected one of L, RGB\. Call image\.convert\('RGB'\)",
        ),
        (
            lambda: FLIP(pil(IMAGE).convert("RGBA")),
            ValueError,
            r"mode 'RGBA', expected one of L, RGB\. Call",
        ),
        (
            lambda: ae.ToDtype(torch.uint16, scale=True)(IMAGE),
            ValueError,
            r"^ToDtype: got a conversion to uint16, expected one to uint8 or floats",
        ),
        (
            lambda: ae.RandomIoUCrop()(IMAGE),
            ValueError,
            r"^RandomIoUCrop: .* depends on boxes as well",
        ),
        (
            lambda: ae.DuringEpochs(FLIP)(IMAGE),
            ValueError,
            r"^DuringEpochs: .* on the epoch as well",
        ),
        (
            lambda: ae.Stage(FLIP),
            TypeError,
            r"^Stage: got RandomHorizontalFlip\(p=1\.0\), expected a m",
        ),
    ],
)
def test_what_is_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_without_what_draws_a_call_says_what_to_import():
    program = "from augengine.policy.ops import RandomInvert; RandomInvert()(1)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "TypeError: RandomInvert: was called, and what draws is not imported" in ended.stderr


def test_images_of_a_palette_are_not_taken_for_grey():
    with pytest.raises(ValueError, match=r"Call image\.convert\('RGB'\)\.$"):
        FLIP(Image.new("CMYK", (4, 4)))
