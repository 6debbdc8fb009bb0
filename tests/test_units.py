"""Fills, thresholds and values are in the units of the images that came, as in torchvision, and what no image
has is refused."""
# ruff: noqa: E501 (a bad argument and its whole message read best side by side)

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, each_executor
from photos import patch
from torchvision.transforms import InterpolationMode, v2

import augengine as ae

NEAREST = InterpolationMode.NEAREST
IMAGE = patch("coffee", 40, 50)
# The same picture in units of its own: a value of 51 bytes in each, and what one byte is worth.
KINDS = {"bytes": (IMAGE, 1.0), "floats": (as_float(IMAGE), 1 / 255)}
FIFTH = {"bytes": 51, "floats": 0.2}


def run(policy, images, executor=None, **options):
    images = images if isinstance(images, list) else [images]
    engine = ae.Engine(policy, executor=executor, **options)
    return engine(images, ids=range(len(images)), epoch=0).images


@each_executor
@pytest.mark.parametrize("kind", KINDS)
def test_a_fill_is_in_the_images_units(kind, executor):
    image, _ = KINDS[kind]
    fill = FIFTH[kind]
    for op, expected in (
        (ae.Pad(3, fill), F.pad(image, [3], fill=fill)),
        (ae.Pad(3, (fill, 0, fill)), F.pad(image, [3], fill=[fill, 0, fill])),
        (ae.CenterCrop(60, fill=fill), F.pad(image, [5, 10, 5, 10], fill=fill)),
        (
            ae.RandomAffine(0, (0.0, 0.0), fill=fill, scale=(0.5, 0.5), interpolation="nearest"),
            F.affine(image, 0, [0, 0], 0.5, [0, 0], NEAREST, fill=[fill] * 3),
        ),
    ):
        got = run(op, image, executor)[0]
        expected = as_float(expected) if kind == "bytes" else expected
        corner = got[:, :2, :2], expected[:, :2, :2]
        assert_close(*corner, 1e-6)
        if isinstance(op, ae.Pad):
            assert_close(got, expected, 1e-6)


@each_executor
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("byte", [0, 51, 128, 200, 255])
def test_a_threshold_is_in_the_images_units(kind, byte, executor):
    image, unit = KINDS[kind]
    threshold = byte * unit if kind == "floats" else byte
    expected = F.solarize(image, threshold)
    got = run(ae.RandomSolarize(threshold, p=1), image, executor)[0]
    assert_close(got, as_float(expected) if kind == "bytes" else expected, 1e-5)
    text = run(ae.RandomSolarize(f"#{byte:02x}", p=1), image, executor)[0]
    assert_close(text, got, 1e-5)


def test_half_of_a_byte_is_a_threshold_too():
    """Legal in torchvision: all but black is inverted."""
    got = run(ae.RandomSolarize(0.5, p=1), IMAGE, dtype=torch.uint8)[0]
    assert torch.equal(got, F.solarize(IMAGE, 0.5))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["one", "each"])
def test_an_erased_value_is_in_the_images_units(kind, value):
    image, fifth = KINDS[kind][0], FIFTH[kind]
    value = fifth if value == "one" else (fifth, 0, fifth)
    engine = ae.Engine(ae.RandomErasing(1, value=value))
    batch = engine([image], ids=[0], epoch=0)
    y0, x0, y1, x1 = batch.plan.box[0, 1].tolist()
    patch_of = torch.as_tensor(value, dtype=image.dtype).expand(3)[:, None, None]
    expected = F.erase(image, y0, x0, y1 - y0, x1 - x0, patch_of)
    assert_close(batch.images[0], as_float(expected) if kind == "bytes" else expected, 1e-6)


def test_what_is_added_and_covered_is_in_the_images_units():
    for image, unit in KINDS.values():
        got = run(ae.RandomSolarizeAdd(51 * unit, p=1), image, dtype=torch.uint8)[0]
        expected = torch.where(IMAGE < 128, (IMAGE.int() + 51).clamp(max=255), IMAGE.int())
        assert_close(got, expected, 0)
        engine = ae.Engine(ae.Cutout(0.5, color=51 * unit), dtype=torch.uint8)
        batch = engine([image], ids=[0], epoch=0)
        np.testing.assert_allclose(batch.plan.colour[0, 1], 0.2, atol=1e-6)


@pytest.mark.parametrize(
    ("policy", "dtype", "said"),
    [
        (ae.RandomErasing(1, value=128), "float32", r"RandomErasing\.value: got 128\.0, expected 0 … 1, since values are float32 there\. Divide by 255"),
        (ae.RandomErasing(1, value=(0, 1.5, 0)), "float16", r"RandomErasing\.value: got \(0\.0, 1\.5, 0\.0\), expected 0 … 1, .*\. Divide"),
        (ae.RandomErasing(1, value=256), "uint8", r"RandomErasing\.value: got 256\.0, expected 0 … 255, .*\. The nearest is 255"),
        (ae.RandomErasing(1, value=-1), "uint8", r"RandomErasing\.value: got -1\.0, expected 0 or more before Normalize\. Put Normalize"),
        (ae.RandomRotation(9, fill=128), "float32", r"RandomRotation\.fill: got 128\.0, expected 0 … 1, since values are float32 there\. Divide by 255"),
        (ae.Pad(1, (0, 300, 0)), "uint8", r"Pad\.fill: got \(0\.0, 300\.0, 0\.0\), expected 0 … 255, .*\. The nearest is 255"),
        (ae.Pad(1, 40000), "int16", r"Pad\.fill: got 40000\.0, expected 0 … 32767, .*\. Write it in their units"),
        (ae.RandomSolarize(128), "float32", r"RandomSolarize\.threshold: got 128\.0, expected 0 … 1, .*\. Divide by 255, or write bytes as text, such as '#80'"),
        (ae.RandomSolarizeAdd(-110), "float32", r"RandomSolarizeAdd\.add: got \(-110\.0, -110\.0\), expected -1 … 1, .*\. Divide"),
        (ae.ThreeAugment(128), "float32", r"ThreeAugment\.threshold: got 128.*, expected 0 … 1, .*\. Divide"),
        (ae.Cutout(color=128), "float32", r"Cutout\.color: got 128\.0, expected 0 … 1, .*\. Divide"),
        ([ae.ToTensor(), ae.Pad(1, 128)], "uint8", r"Pad\.fill: got 128\.0, expected 0 … 1, since values are float32 there\. Divide"),
        (ae.ToDtype(torch.float32), "uint8", r"ToDtype: got float32 of uint8 with scale=False, expected scale=True, .*\. Pass scale=True"),
        ([ae.Normalize(0.5, 0.5), ae.ToDtype(torch.uint8, True)], "float32", r"ToDtype: got uint8 after Normalize, expected floats there, .*\. Put it in front"),
        (ae.RandomInvert(), "int64", r"Policy\.sample: image_dtype: got 'int64', expected the dtype of images, one of .*\. Pass images\.dtype"),
    ],
)  # fmt: skip
def test_what_no_image_has_is_refused(policy, dtype, said):
    with pytest.raises(ValueError, match=said):
        ae.Policy(policy).sample([0], [(20, 20)], image_dtype=dtype)


def test_the_images_dtype_reaches_the_policy_by_every_way():
    """Of float images a fill of 128 is refused, wherever they are decided."""
    images = [as_float(IMAGE)] * 2
    policy = ae.Pad(1, 128)
    samples = [(image, k, k) for k, image in enumerate(images)]
    with pytest.raises(ValueError, match=r"Pad\.fill"):
        ae.Engine(policy)(images, ids=[0, 1])
    with pytest.raises(ValueError, match=r"Pad\.fill"):
        ae.Engine(ae.Views(a=policy, b=ae.CenterCrop(8)))(images, ids=[0, 1])
    data = ae.WithIds([(image, k) for image, k, _ in samples])
    with pytest.raises(ValueError, match=r"Pad\.fill"):
        ae.Collate(policy)([data[0], data[1]])
    with pytest.raises(ValueError, match=r"Pad\.fill"):
        ae.pack(policy)([data[0], data[1]])
    with pytest.raises(ValueError, match=r"Pad\.fill"):
        next(iter(ae.DeviceLoader([(torch.stack(images), torch.arange(2))], policy, device="cpu")))
    with pytest.raises(ValueError, match=r"Pad\.fill"):
        ae.tta(lambda x: x.mean((2, 3)), images, [ae.Pad(1, 128)])
    assert ae.Engine(ae.Pad(1, 128)).plan([(9, 9)], [0], 0, image_dtype=torch.uint8).fill[0, 0] > 0


@each_executor
@pytest.mark.parametrize("kind", KINDS)
def test_conversions_turn_the_units(kind, executor):
    """A fill behind one, and a fill in front of one, that is solarized with the rest."""
    image, fifth = KINDS[kind][0], FIFTH[kind]
    to_floats = [ae.ToImage(), ae.PILToTensor(), ae.ToDtype(torch.float32, scale=True)]
    solarize = ae.RandomSolarize(0.15, p=1)
    theirs = [v2.ToDtype(torch.float32, scale=True), v2.RandomSolarize(0.15, p=1)]
    got = run([*to_floats, solarize, ae.Pad(2, 0.2), ae.ToPureTensor()], image, executor)[0]
    assert_close(got, v2.Compose([*theirs, v2.Pad(2, 0.2)])(image), 1e-5)
    got = run([ae.Pad(3, fifth), *to_floats, solarize], image, executor)[0]
    assert_close(got, v2.Compose([v2.Pad(3, fifth), *theirs])(image), 1e-5)


def test_a_conversion_says_a_unit_and_changes_no_pixel():
    plain = run([ae.Resize((20, 20)), ae.Normalize(0.5, 0.25)], IMAGE)
    for conversions in (
        [ae.ToImage(), ae.ToDtype(torch.float32, scale=True)],
        [ae.ToTensor()],
        [ae.PILToTensor(), ae.ConvertImageDtype()],
        [
            ae.ToTensor(),
            ae.ToDtype(torch.uint8, scale=True),
            ae.ToTensor(),
            ae.ToDtype(torch.float16),
        ],
        [ae.ToDtype({"others": None}), ae.ToDtype(torch.uint8)],
    ):
        policy = [*conversions, ae.Resize((20, 20)), ae.Normalize(0.5, 0.25), ae.ToPureTensor()]
        assert torch.equal(run(policy, IMAGE), plain)
    back = [ae.ToTensor(), ae.ToDtype(torch.uint8, scale=True), ae.Pad(1, 255)]
    assert (ae.Policy(back).sample([0], [(9, 9)]).fill == 1).all()


def test_conversions_stand_anywhere_and_hide_no_wrong_order():
    ae.Policy([ae.CutMix(), ae.ToTensor(), ae.Normalize(0.5, 0.5), ae.ToDtype(torch.float16)])
    with pytest.raises(ValueError, match="RandomRotation comes after CutMix"):
        ae.Policy([ae.CutMix(), ae.ToTensor(), ae.RandomRotation(9)])


def test_fills_agree_in_the_units_that_hold_where_they_stand():
    ae.Policy([ae.Pad(1, 255), ae.ToTensor(), ae.RandomRotation(9, fill=1.0)])
    ae.Policy([ae.Pad(1, "#80"), ae.RandomRotation(9, fill=128)])
    ae.Policy([ae.Pad(1, 300), ae.RandomRotation(9, fill=300)])  # of uint16
    of_floats = ae.Policy([ae.Pad(1, 1.0), ae.ToTensor(), ae.RandomRotation(9, fill=1.0)])
    assert of_floats.sample([0], [(9, 9)], image_dtype="float32").fill[0, 0] == 1
    with pytest.raises(ValueError, match=r"got Pad\(fill=1\.0\) and RandomRotation\(fill=1\.0\)"):
        of_floats.sample([0], [(9, 9)])
    with pytest.raises(ValueError, match=r"got Pad\(fill=3\.0\) and RandomRotation\(fill=1\.0\)"):
        ae.Policy([ae.Pad(1, 3), ae.ToTensor(), ae.RandomRotation(9, fill=1.0)])
    of_floats = ae.Policy([ae.Pad(1, "#80"), ae.RandomRotation(9, fill=128 / 255)])
    assert of_floats.sample([0], [(9, 9)], image_dtype="float32").fill[0, 0] == np.float32(
        128 / 255
    )
    with pytest.raises(ValueError, match=r"got Pad\(fill='#80'\) and RandomRotation\(fill=0\.5"):
        of_floats.sample([0], [(9, 9)])


PRESETS = [
    *("imagenet", "cifar", "deit3", "noisy_student", "segmentation", "simclr", "byol", "dino"),
    *("fixmatch", "detection_lsj", "detection_hflip", "detection_multiscale", "detection_ssd"),
    "detection_yolo",
]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_the_same_for_bytes_and_for_floats(name):
    """A fill, a threshold of theirs means the same colour."""
    preset = getattr(ae.presets, name)()
    policies = (
        [policy for _, _, policy in preset.each()] if isinstance(preset, ae.Views) else [preset]
    )
    for policy in policies:
        how = {"boxes": [[[10, 10, 60, 60]]] * 8} if policy.needs_boxes else {}
        plans = [
            policy.sample(range(8), [(90, 90)] * 8, image_dtype=dtype, **how)
            for dtype in ("uint8", "float32", torch.uint16)
        ]
        for field in ("fill", "step_arg", "colour", "curves"):
            for plan in plans[1:]:
                np.testing.assert_array_equal(getattr(plan, field), getattr(plans[0], field))


def test_other_whole_numbers_have_their_own_range():
    for dtype, largest in (("uint16", 65535), ("int16", 32767), ("bool", 1), ("float64", 1.0)):
        plan = ae.Policy(ae.Pad(1, largest)).sample([0], [(9, 9)], image_dtype=dtype)
        np.testing.assert_array_equal(plan.fill, 1)


def test_timms_fills_are_bytes_for_all_images():
    """As its own are, since it draws PIL images alone."""
    for op in (ae.from_timm("rand-m9", image_mean=(51, 102, 0)), ae.from_timm("augmix-m5")):
        shares = np.broadcast_to(np.divide(op.fill, 255), 3)
        for dtype in ("uint8", "float32"):
            plan = ae.Policy(op).sample([0], [(9, 9)], image_dtype=dtype)
            np.testing.assert_allclose(plan.fill[0], shares, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "largest"), [(torch.uint16, 65535), (torch.int16, 32767), (torch.bool, 1)]
)
def test_wide_numbers_keep_their_units_on_every_road(dtype, largest):
    """They are read as floats or bytes; a fill is in the units in which they came."""
    policy = ae.Policy(ae.Pad(2, largest))
    images = torch.zeros(2, 3, 4, 4, dtype=dtype)
    one = ae.Engine(policy)(images, ids=[0, 1]).images
    ragged = ae.Engine(policy)(list(images.numpy().transpose(0, 2, 3, 1)), ids=[0, 1]).images
    samples = [(image, 0) for image in images]
    collated = ae.Collate(policy)(samples).images
    loader = torch.utils.data.DataLoader(samples, batch_size=2, collate_fn=ae.pack(policy))
    (drawn,) = ae.DeviceLoader(loader, device="cpu")
    for batch in (one, ragged, collated, drawn.images):
        assert (batch[:, :, :2] == 1).all()
        assert (batch[:, :, 2:6, 2:6] == 0).all()
    assert len(ae.Engine(policy)(images[:0], ids=[]).images) == 0
    half = ae.Policy([ae.RGB(), ae.Pad(2, largest)])
    grey = ae.Engine(half)(images[:, :1], ids=[0, 1]).images
    assert torch.equal(grey, one)
