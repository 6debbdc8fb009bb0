"""What comes in as an image: dtypes, PIL's modes, values outside of [0, 1], layouts, and none at all. The
truth is torchvision's to_dtype and geometry, NumPy's indexing, and what PIL shows."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, draw, each_executor
from photos import patches
from PIL import Image

import augengine as ae

KEEP = ae.RandomHorizontalFlip(p=0)


# Dtypes


def wide(dtype, n=2):
    """A batch of 16 bits that uses all of them, with the darkest and the brightest."""
    images = patches(n).to(torch.int32) * 257
    images[..., 1:] = images[..., 1:] - images[..., :-1] // 3
    images[:, :, 0, 0], images[:, :, 0, 1] = 0, 65535
    images = images.clamp(0, 65535)
    return images.to(torch.uint16) if dtype == torch.uint16 else (images // 2).to(torch.int16)


@each_executor
@pytest.mark.parametrize("dtype", [torch.uint16, torch.int16])
def test_wide_integers_are_scaled_as_torchvision_scales_them(dtype, executor):
    images = wide(dtype)
    expected = F.to_dtype(images, torch.float32, scale=True)
    got, _ = draw([KEEP], images, executor)
    assert_close(got, expected, 1e-7)
    got, _ = draw([ae.CenterCrop(40), ae.RandomVerticalFlip(1)], images, executor)
    assert_close(got, F.vertical_flip(F.center_crop(expected, 40)), 1e-7)
    got, _ = draw([ae.RandomAutocontrast(1)], images, executor)
    assert_close(got, F.autocontrast(expected), 1e-5)
    assert torch.equal(
        draw([KEEP], images.numpy().transpose(0, 2, 3, 1), executor)[0],
        draw([KEEP], images, executor)[0],
    )


@each_executor
def test_wide_integers_become_the_bytes_that_they_are(executor):
    """k · 257 of 16 bits is k of 8."""
    images = patches(2)
    got, _ = draw([KEEP], (images.to(torch.int32) * 257).to(torch.uint16), executor, dtype="uint8")
    assert torch.equal(got, images)


@each_executor
def test_negative_int16_is_kept_by_geometry(executor):
    images = torch.arange(-32768, 32767, 50, dtype=torch.int16)[:1200].view(1, 1, 30, 40)
    got, _ = draw([ae.RandomHorizontalFlip(1)], images, executor)
    assert_close(got, F.horizontal_flip(images.float() / 32767), 1e-6)


@each_executor
def test_float64_is_read_as_float32(executor):
    images = as_float(patches(2)).double()
    got, _ = draw([ae.RandomHorizontalFlip(1)], images, executor)
    assert torch.equal(got, F.horizontal_flip(images.float()))


def test_float64_carries_a_gradient():
    images = as_float(patches(1)).double().requires_grad_()
    got = ae.Engine(ae.RandomHorizontalFlip(1))(images, ids=[0]).images
    got.sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))


@each_executor
def test_bool_is_black_and_white(executor):
    images = patches(2) > 128
    got, _ = draw([ae.RandomHorizontalFlip(1)], images, executor, dtype="uint8")
    assert torch.equal(got, F.horizontal_flip(images.to(torch.uint8) * 255))
    got, _ = draw([KEEP], images.numpy().transpose(0, 2, 3, 1), executor)
    assert torch.equal(got, images.float())


@each_executor
def test_another_byte_order_says_nothing_else(executor):
    images = as_float(patches(2)).numpy().transpose(0, 2, 3, 1)
    got, _ = draw([KEEP], images.astype(">f4"), executor)
    assert torch.equal(got, torch.from_numpy(images).movedim(-1, 1))


# PIL's modes


def _pil(mode):
    """A picture of this mode, and the array (H, W) or (H, W, C) of its values in [0, 1]."""
    array = patches(1)[0].permute(1, 2, 0).numpy()
    if mode == "I;16":
        deep = array[..., 0].astype(np.uint16) * 257
        return Image.fromarray(deep), deep / 65535
    if mode == "F":
        return Image.fromarray(array[..., 0].astype(np.float32) / 255), array[..., 0] / 255
    image = Image.fromarray(array).convert(mode)
    values = np.asarray(image)
    return image, values / (1 if values.dtype == bool else 255)


@each_executor
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "I;16", "F"])
@pytest.mark.parametrize("size", [(96, 128), (3, 3), (3, 128), (96, 1)])
def test_modes_of_plain_values(mode, size, executor):
    """Whatever the size: a picture three rows high is no picture of three channels."""
    image, values = _pil(mode)
    image, values = image.crop((0, 0, size[1], size[0])), values[: size[0], : size[1]]
    assert image.mode == mode
    got = ae.Engine(KEEP, executor=executor)([image], ids=[0]).images[0]
    expected = torch.from_numpy(values.reshape(*size, -1)).movedim(-1, 0)
    assert_close(got, expected.to(torch.float32), 1e-6)


@pytest.mark.parametrize(
    "mode", ["P", "PA", "LA", "La", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I"]
)
def test_other_modes_are_never_plain_channels(mode):
    with pytest.raises(ValueError, match=rf"PIL image of mode '{mode}', .*convert\('RGB'\)"):
        ae.Engine(KEEP)([Image.new(mode, (20, 20))], ids=[0])


# Values outside of [0, 1]


def hdr(n=2):
    images = as_float(patches(n)) * 40 - 3
    images[:, :, 5, 7] = 1e4
    return images


@each_executor
def test_geometry_keeps_what_lies_outside(executor):
    images = hdr()
    got, _ = draw([ae.CenterCrop((40, 60)), ae.RandomHorizontalFlip(1)], images, executor)
    assert torch.equal(got, F.horizontal_flip(F.center_crop(images, [40, 60])))
    got, _ = draw([ae.Resize((48, 64))], images, executor)
    expected = F.resize(images, [48, 64], antialias=True)
    assert_close(got / 1e4, expected / 1e4, 1e-6)
    got, _ = draw([ae.Normalize(0.5, 20.0)], images, executor)
    assert_close(got / 500, F.normalize(images, [0.5] * 3, [20.0] * 3) / 500, 1e-6)


@each_executor
def test_mixes_keep_what_lies_outside(executor):
    images = hdr(4)
    got, plan = draw([ae.MixUp()], images, executor)
    for i in range(4):
        share = [float(plan.weight[i, k]) for k in range(2)]
        source = plan.source[plan.view[i]]
        expected = share[0] * images[source[0]] + share[1] * images[source[1]]
        assert_close(got[i] / 1e4, expected / 1e4, 1e-6)


@each_executor
def test_a_hair_outside_is_a_rounding(executor):
    images = as_float(patches(2))
    images[:, :, 3, 3], images[:, :, 4, 4] = 1.0000002, -1e-7
    for op, function in (
        (ae.RandomAutocontrast(1), F.autocontrast),
        (ae.RandomInvert(1), F.invert),
        (ae.ColorJitter(contrast=(1.4, 1.4)), lambda x: F.adjust_contrast(x, 1.4)),
    ):
        got, _ = draw([op], images, executor)
        assert_close(got, function(images).clamp(0, 1), 1e-5)
        assert got.min() >= 0
        assert got.max() <= 1


def test_what_comes_out_of_an_engine_goes_into_one():
    images = as_float(patches(8))
    engine = ae.Engine([ae.RandomResizedCrop(40), ae.RandomAffine(30, scale=(0.7, 1.4))])
    twice = ae.Engine([ae.ColorJitter(0.4, 0.4, 0.4, 0.1)])
    for epoch in range(4):
        once = engine(images, ids=range(8), epoch=epoch).images
        assert twice(once + 2e-7, ids=range(8), epoch=epoch).images.isfinite().all()


@each_executor
def test_noise_of_an_erased_box_leaves_the_rest(executor):
    """It shows no image, so that nothing is cut."""
    images = hdr()
    got, plan = draw([ae.RandomErasing(1, value="random")], images, executor)
    for i in range(2):
        y0, x0, y1, x1 = plan.box[i, 1]
        outside = torch.ones(96, 128, dtype=torch.bool)
        outside[y0:y1, x0:x1] = False
        assert torch.equal(got[i][:, outside], images[i][:, outside])


# Layouts


@pytest.mark.parametrize(
    "shape", [(2, 3, 8, 3), (2, 1, 7, 1), (2, 4, 9, 3), (2, 3, 3, 4), (2, 2, 5, 4)]
)
def test_few_channels_are_where_they_always_are(shape):
    images = torch.arange(np.prod(shape), dtype=torch.uint8).view(shape)
    engine = ae.Engine(KEEP, dtype=torch.uint8)
    assert torch.equal(engine(images, ids=[0, 1]).images, images)
    assert torch.equal(engine(images.numpy(), ids=[0, 1]).images, images.movedim(-1, 1))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 8, 64])
def test_the_layout_does_not_depend_on_the_channels(channels):
    images = torch.randint(256, (2, channels, 70, 80), dtype=torch.uint8)
    engine = ae.Engine(KEEP, dtype=torch.uint8)
    assert torch.equal(engine(images, ids=[0, 1]).images, images)
    last = images.permute(0, 2, 3, 1).contiguous().numpy()
    assert torch.equal(engine(last, ids=[0, 1]).images, images)
    assert torch.equal(engine(list(last), ids=[0, 1]).images, images)


def test_loaders_take_a_layout():
    images = patches(2).permute(0, 2, 3, 1).contiguous()
    samples = [(image, label, label) for label, image in enumerate(images)]
    options = {"layout": "NHWC", "dtype": torch.uint8}
    with pytest.raises(ValueError, match=r"images\[0\]: got a tensor .*Pass layout='NHWC'"):
        ae.Collate(KEEP)(samples)
    assert torch.equal(ae.Collate(KEEP, **options)(samples).images, patches(2))
    assert torch.equal(ae.pack(KEEP, **options)(samples).draw("cpu").images, patches(2))
    batches = [(images, torch.arange(2), torch.arange(2))]
    (batch,) = ae.DeviceLoader(batches, KEEP, device="cpu", **options)
    assert torch.equal(batch.images, patches(2))


def test_what_lies_outside_goes_through_a_packed_batch():
    """And is refused there, where colours change."""
    samples = [(image, 0, i) for i, image in enumerate(hdr())]
    assert torch.equal(ae.pack(KEEP)(samples).draw("cpu").images, hdr())
    with pytest.raises(ValueError, match=r"got float values .* since the plan changes colours"):
        ae.pack(ae.RandomInvert(1))(samples).draw("cpu")


# None at all


@each_executor
@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_an_empty_batch_gives_an_empty_batch(dtype, channels, executor):
    images = torch.zeros(0, channels, 40, 50, dtype=dtype)
    ops = [
        ae.RandomResizedCrop((24, 20)),
        ae.RandomAutocontrast(1),
        ae.GaussianBlur(3),
        ae.CutMix(),
    ]
    for of, size in ((ops, (24, 20)), ([ae.RandomHorizontalFlip()], (40, 50))):
        engine = ae.Engine(of, num_classes=7, executor=executor, dtype=torch.float16)
        for given in (images, images.movedim(1, -1).numpy()):
            batch = engine(given, [], ids=[], epoch=3)
            assert batch.images.shape == (0, channels, *size)
            assert batch.images.dtype == torch.float16
            assert len(batch.labels) == len(batch.plan.ids) == len(batch.plan) == 0
        assert batch.labels.shape == ((0, 7) if of is ops else (0,))
        drawn = ae.execute(batch.plan, images, executor=executor)
        assert drawn.shape == (0, channels, *size)


def test_an_empty_batch_of_views_and_of_clips():
    views = ae.Engine(ae.presets.dino(32, local_size=16, local_crops=2))
    batch = views(torch.zeros(0, 3, 40, 40), ids=[], epoch=0)
    assert [one.images.shape for one in batch["locals"]] == [(0, 3, 16, 16)] * 2
    clips = ae.Engine(ae.RandomResizedCrop(16))(torch.zeros(0, 4, 3, 20, 20), ids=[], epoch=0)
    assert clips.images.shape == (0, 4, 3, 16, 16)


def test_an_empty_batch_of_targets():
    engine = ae.Engine([ae.RandomResizedCrop(16)])
    batch = engine(torch.zeros(0, 3, 20, 20), targets=[], ids=[], epoch=0)
    assert batch.images.shape == (0, 3, 16, 16)
    assert len(batch.targets) == 0


def test_a_device_loader_passes_an_empty_batch_on():
    batches = [
        (torch.zeros(n, 3, 20, 20, dtype=torch.uint8), torch.zeros(n).long()) for n in (2, 0)
    ]
    loader = ae.DeviceLoader(batches, ae.RandomResizedCrop(16), device="cpu")
    assert [tuple(batch.images.shape) for batch in loader] == [(2, 3, 16, 16), (0, 3, 16, 16)]


# Labels


@pytest.mark.parametrize(
    "dtype", [torch.uint16, torch.uint32, torch.uint64, torch.bool, torch.int8]
)
def test_class_numbers_of_any_whole_dtype(dtype):
    engine = ae.Engine([ae.MixUp()], num_classes=3)
    images, numbers = as_float(patches(4)), torch.tensor([0, 1, 1, 0])
    expected = engine(images, numbers, ids=range(4), epoch=0).labels
    for labels in (
        numbers.to(dtype),
        numbers.to(dtype).numpy(),
        numbers.to(dtype).numpy()[::-1][::-1],
    ):
        assert torch.equal(engine(images, labels, ids=range(4), epoch=0).labels, expected)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_one_hot_labels_of_whole_numbers(dtype):
    engine = ae.Engine([ae.CutMix()])
    images, rows = as_float(patches(4)), torch.eye(5)[[0, 3, 3, 1]]
    expected = engine(images, rows, ids=range(4), epoch=0).labels
    got = engine(images, rows.to(dtype), ids=range(4), epoch=0).labels
    assert torch.equal(got, expected)
    assert got.dtype == torch.float32
    backwards = rows.to(dtype).numpy()[:, ::-1]
    got = engine(images, backwards, ids=range(4), epoch=0).labels
    assert torch.equal(got, expected.flip(1))


def test_a_default_dtype_of_float64_changes_nothing():
    images = as_float(patches(4))
    engine = ae.Engine([ae.MixUp(), ae.RandomErasing(1, value="random")], num_classes=3)
    for labels in ([0, 1, 2, 0], torch.eye(3)[[0, 1, 2, 0]].tolist()):
        expected = engine(images, labels, ids=range(4), epoch=0)
        torch.set_default_dtype(torch.float64)
        try:
            got = engine(images, labels, ids=range(4), epoch=0)
        finally:
            torch.set_default_dtype(torch.float32)
        assert got.labels.dtype == got.images.dtype == torch.float32
        assert torch.equal(got.images, expected.images)
        assert_close(got.labels, expected.labels, 1e-6)
