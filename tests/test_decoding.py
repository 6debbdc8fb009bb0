"""Encoded images, where images are taken: the pixels of decoding first, or an error that names the file."""

import contextlib
import io
import os
import pickle

import numpy as np
import pytest
import torch
from encoded import by_pillow, encode, scene
from PIL import Image, ImageSequence
from torch.utils.data import DataLoader

import augengine as ae
from augengine import decoding
from augengine.decoding import pixels, read_header
from augengine.kernels import EncodedSources

ORIENTATIONS = range(1, 9)
POLICIES = {
    "crop": ae.RandomResizedCrop(24),
    "rotate": [ae.RandomRotation(40), ae.RandomHorizontalFlip(), ae.RandomResizedCrop(20)],
    "mixes": [ae.RandomResizedCrop(24, scale=(0.02, 0.2)), ae.CutMix()],
    "statistics": [ae.Resize(32), ae.CenterCrop(28), ae.RandomEqualize(p=1), ae.RandomRotation(20)],
    "blur": [ae.GaussianBlur(5), ae.RandomPerspective(p=1), ae.CenterCrop(24)],
    "borders": [ae.RandomCrop(40, padding=9, padding_mode="reflect"), ae.Resize(20)],
}


def batch():
    """Encoded images of several formats, orientations and sizes."""
    return [
        encode(scene(60, 90, 1), orientation=6),
        encode(scene(90, 61, 2), subsampling=0),
        encode(scene(77, 77, 3), "PNG"),
        encode(scene(50, 64, 4), "WEBP", lossless=True),
        encode(scene(66, 49, 5), orientation=3, progressive=True),
        encode(scene(64, 64, 6), mode="L"),
    ]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("executor", ["cpu", "torch"])
def test_exact_equals_decoding_first(policy, executor):
    data = batch()
    engine = ae.Engine(POLICIES[policy], decode="exact", executor=executor, num_classes=10)
    ids = range(len(data))
    encoded, first = (
        engine(images, list(ids), ids=ids, epoch=3)
        for images in (data, [by_pillow(each) for each in data])
    )
    assert encoded.plan == first.plan
    assert torch.equal(encoded.images, first.images)
    assert torch.equal(encoded.labels, first.labels)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_is_upright(format, orientation):
    options = {"lossless": True} if format == "WEBP" else {}
    data = encode(scene(40, 56, orientation), format, orientation, **options)
    header = read_header(data)
    assert (header.height, header.width) == by_pillow(data).shape[:2]
    assert header.orientation == (
        1 if format == "TIFF" else orientation
    )  # Pillow turns those itself
    assert header.format == format
    assert np.array_equal(ae.decode(data), by_pillow(data))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("executor", ["cpu", "torch"])
@pytest.mark.parametrize("policy", POLICIES)
def test_parts_in_full_size_are_the_whole_to_rounding(orientation, executor, policy):
    data = [encode(scene(60, 90, 10 + i), orientation=orientation) for i in range(3)]
    plan = ae.Policy(POLICIES[policy]).sample(range(3), [by_pillow(d).shape[:2] for d in data])
    whole = ae.execute(plan, [by_pillow(each) for each in data], executor=executor)
    parts = ae.execute(plan, data, executor=executor)
    difference = (parts - whole).abs()
    # A blurred picture is of bytes, of which rounding takes one to the next; equalize spreads it.
    assert difference.max() < (0.06 if policy in ("statistics", "blur") else 2e-3)
    assert difference.mean() < 2e-5


def test_nearest_pixels_are_those_of_the_upright_image():
    image = np.arange(32 * 48 * 3, dtype=np.uint32).reshape(32, 48, 3).astype(np.uint8)
    policy = ae.Policy([ae.Resize((16, 24), interpolation="nearest")])
    for orientation in ORIENTATIONS:
        data = encode(image, "PNG", orientation)
        first = by_pillow(data)
        plan = policy.sample([0], [first.shape[:2]])
        assert torch.equal(ae.execute(plan, [data]), ae.execute(plan, [first]))


def test_what_an_encoded_image_may_come_as(tmp_path):
    data = encode(scene(40, 50))
    path = tmp_path / "one.jpg"
    path.write_bytes(data)
    array = np.frombuffer(data, np.uint8)
    images = [
        data,
        bytearray(data),
        memoryview(data),
        path,
        str(path),
        array,
        torch.from_numpy(array.copy()),
        {"bytes": data, "path": None},
        {"bytes": None, "path": str(path)},
    ]
    sources = ae.Sources.of(images)
    assert isinstance(sources, EncodedSources)
    assert len(sources) == len(images)
    assert sources.sizes.tolist() == [[40, 50]] * len(images)
    assert (sources.channels, sources.dtype, sources.device.type) == (3, torch.uint8, "cpu")
    assert sources.image_dtype == torch.uint8
    drawn = ae.Engine(ae.RandomResizedCrop(16))(images, ids=[0] * len(images), epoch=0)
    plan = ae.Policy(ae.CenterCrop(20)).sample(range(len(images)), sources.sizes)
    drawn = ae.execute(plan, images)
    assert all(torch.equal(each, drawn[0]) for each in drawn)


def test_kinds_are_not_mixed():
    data = encode(scene(20, 20))
    with pytest.raises(ValueError, match=r"images\[1\]: got one that is decoded \(ndarray\)"):
        ae.Sources.of([data, by_pillow(data)])
    with pytest.raises(ValueError, match=r"images\[1\]: got one that is encoded \(bytes\)"):
        ae.Sources.of([by_pillow(data), data])
    engine = ae.Engine([ae.CenterCrop(16), ae.MixUp()], num_classes=2)
    with pytest.raises(ValueError, match="partners: got decoded images"):
        engine([data], [0], ids=[0], epoch=0, partners=([by_pillow(data)], [1], [1]))
    with pytest.raises(ValueError, match="partners: got encoded images"):
        engine([by_pillow(data)], [0], ids=[0], epoch=0, partners=([data], [1], [1]))


def test_partners_are_encoded_too():
    data = batch()
    engine = ae.Engine([ae.RandomResizedCrop(24), ae.MixUp()], num_classes=9, decode="exact")
    encoded, first = (
        engine(
            images[:3],
            [0, 1, 2],
            ids=range(3),
            epoch=0,
            partners=(images[3:], [3, 4, 5], [7, 8, 9]),
        )
        for images in (data, [by_pillow(each) for each in data])
    )
    assert torch.equal(encoded.images, first.images)


def test_grey():
    data = [encode(scene(30, 40), "PNG"), encode(scene(30, 40), mode="L")]
    options = ae.DecodeOptions("exact", mode="L")
    batch = ae.Engine(ae.CenterCrop(24), decode=options)(data, ids=[0, 1], epoch=0)
    first = ae.Engine(ae.CenterCrop(24))([by_pillow(d, "L") for d in data], ids=[0, 1], epoch=0)
    assert batch.images.shape == (2, 1, 24, 24)
    assert torch.equal(batch.images, first.images)
    # Of a colour JPEG it is the luma that stands in it.
    colour = encode(scene(30, 40))
    image = Image.open(io.BytesIO(colour))
    image.draft("L", None)
    assert np.array_equal(ae.decode(colour, mode="L")[..., 0], np.asarray(image))
    plan = ae.Policy(ae.CenterCrop(24)).sample([0], [(30, 40)], channels=1)
    assert ae.execute(plan, [colour]).shape == (1, 1, 24, 24)


@pytest.mark.parametrize("decode", ["exact", "scaled"])
def test_views_decode_once(decode, monkeypatch):
    calls = []
    monkeypatch.setattr(
        decoding.batch, "decode_into", lambda *a: calls.append(a) or pixels.decode_into(*a)
    )
    views = ae.Views(
        large=ae.RandomResizedCrop(32), small=ae.RandomResizedCrop(16, scale=(0.05, 0.3))
    )
    data = batch()
    found = ae.Engine(views, decode=decode)(data, ids=range(len(data)), epoch=0)
    assert len(calls) == len(data)
    first = ae.Engine(views)([by_pillow(d) for d in data], ids=range(len(data)), epoch=0)
    for name in ("large", "small"):
        assert (found[name].images - first[name].images).abs().max() < 0.05
        assert found[name].plan == first[name].plan


def test_targets_follow_as_of_decoded_images():
    data = [encode(scene(60, 90, i), orientation=6) for i in range(3)]
    first = [by_pillow(each) for each in data]
    targets = [
        {"boxes": torch.tensor([[5.0, 6, 40, 50]]), "labels": torch.tensor([1]),
         "masks": torch.ones(1, *image.shape[:2], dtype=torch.uint8)}
        for image in first
    ]  # fmt: skip
    engine = ae.Engine([ae.RandomRotation(20), ae.RandomResizedCrop(40)])
    one, other = (
        engine(images, targets=targets, ids=range(3), epoch=0) for images in (data, first)
    )
    for a, b in zip(one.targets, other.targets, strict=True):
        assert torch.equal(a["boxes"], b["boxes"])
        assert torch.equal(a["masks"], b["masks"])
    # A mask beside an encoded image is told by the size in its header.
    mask = torch.zeros(first[0].shape[:2], dtype=torch.int64)
    drawn = ae.Collate(ae.CenterCrop(32))([(data[0], mask, 0)])
    assert drawn.targets[0].shape[-2:] == (32, 32)


class Photographs(torch.utils.data.Dataset):
    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        return self.files[i], i % 3


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("way", [ae.Collate, ae.pack])
def test_through_a_loader(way, workers):
    data = batch() * 2
    collate = way([ae.RandomResizedCrop(24), ae.CutMix()], num_classes=3, decode="exact")
    decoded = Photographs([by_pillow(each) for each in data])
    batches = [
        [
            (images.clone(), labels.clone())
            for images, labels in ae.keyed(
                DataLoader(dataset, 4, collate_fn=collate, num_workers=workers, shuffle=False)
            )
        ]
        for dataset in (Photographs(data), decoded)
    ]
    for (images, labels), (others, their_labels) in zip(*batches, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, their_labels)


def test_a_packed_batch_holds_parts_only():
    data = [encode(scene(400, 600, i), quality=80) for i in range(2)]
    packed = ae.pack(ae.RandomResizedCrop(32, scale=(0.01, 0.02)))(
        [(d, 0, i) for i, d in enumerate(data)]
    )
    assert packed.sources.nbytes < 2 * 400 * 600 * 3 / 10
    assert packed.draw().plan.sizes.tolist() == [[400, 600]] * 2
    again = pickle.loads(pickle.dumps(packed))
    assert torch.equal(again.draw().images, packed.draw().images)


def test_a_device_loader_takes_lists():
    data = batch()
    loader = [
        (data[:4], torch.arange(4), torch.arange(4)),
        (data[4:], torch.arange(2), torch.arange(4, 6)),
    ]
    drawn = list(ae.DeviceLoader(loader, ae.RandomResizedCrop(24), device="cpu", decode="exact"))
    first = [([by_pillow(d) for d in images], *rest) for images, *rest in loader]
    for one, other in zip(
        drawn, ae.DeviceLoader(first, ae.RandomResizedCrop(24), device="cpu"), strict=True
    ):
        assert torch.equal(one.images, other.images)


# Damage


def test_a_damaged_image_is_named(tmp_path):
    good, bad = encode(scene(60, 60)), encode(scene(60, 60))[:-300]
    path = tmp_path / "broken.jpg"
    path.write_bytes(bad)
    engine = ae.Engine(ae.RandomResizedCrop(24))
    with pytest.raises(ae.DecodeError, match=r"broken\.jpg") as caught:
        engine([str(path)], ids=[0], epoch=0)
    assert caught.value.name == str(path)
    with pytest.raises(
        ae.DecodeError, match=r"^images\[1\]: its pixels cannot be decoded"
    ) as caught:
        engine([good, bad, good, bad], ids=range(4), epoch=0)
    assert caught.value.at == (1, 3)
    assert pickle.loads(pickle.dumps(caught.value)).at == (1, 3)
    with pytest.raises(ae.DecodeError, match=r"^images\[1\] \(id 'b'\)"):
        ae.Collate(ae.RandomResizedCrop(24))([(good, 0, "a"), (bad, 1, "b")])
    with pytest.raises(FileNotFoundError):
        engine([str(tmp_path / "missing.jpg")], ids=[0], epoch=0)
    with pytest.raises(ae.DecodeError, match="no regular file"):
        engine([tmp_path], ids=[0], epoch=0)


@pytest.mark.parametrize("way", [ae.Collate, ae.pack])
def test_a_damaged_image_is_skipped_and_counted(way):
    good, bad = batch(), encode(scene(60, 60))[:-300]
    options = ae.DecodeOptions("exact", corrupt="skip")
    collate = way([ae.RandomResizedCrop(24), ae.MixUp()], num_classes=9, decode=options)
    samples = [
        (good[0], 0, "a"),
        (bad, 1, "b"),
        (good[1], 2, "c"),
        (b"", 3, "d"),
        (good[2], 4, "e"),
    ]
    with pytest.warns(UserWarning, match=r"left out images\[3\] \(id 'd'\)"):
        images, labels = collate(samples)
    assert collate.skipped == 2
    expected, their_labels = way([ae.RandomResizedCrop(24), ae.MixUp()], num_classes=9)(
        [(by_pillow(image), label, id) for image, label, id in samples if id in "ace"]
    )
    assert torch.equal(images, expected)
    assert torch.equal(labels, their_labels)
    with pytest.raises(ae.DecodeError, match="no other image of its batch"):
        collate([(bad, 0, 0)])


@pytest.mark.filterwarnings("ignore")
def test_workers_count_what_they_skip_together():
    files = [each for good in batch()[:3] for each in (good, b"damaged", good)]
    collate = ae.Collate(ae.RandomResizedCrop(16), decode=ae.DecodeOptions(corrupt="skip"))
    loader = ae.keyed(DataLoader(Photographs(files * 2), 5, collate_fn=collate, num_workers=2))
    count = sum(len(images) for images, _ in loader)
    assert count == 12
    assert len(files) == 9
    assert collate.skipped == 6


def right_or_named(data, name="a.jpg", expected=None):
    """The pixels, or None where a DecodeError names the file."""
    try:
        found = ae.decode(data, name=name)
    except ae.DecodeError as error:
        return None if error.name == name else pytest.fail(f"it names {error.name}")
    header = read_header(data, name)
    assert found.shape == (header.height, header.width, 3)
    if expected is not None:
        assert np.array_equal(found, expected)
    return found


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF"])
def test_truncated_files_are_refused(format):
    data = encode(scene(64, 80), format)
    for n in np.linspace(0, len(data) - 40, 50).astype(int):
        assert right_or_named(data[:n]) is None or format == "GIF"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}])
def test_flipped_bits_crash_nothing(options):
    data = encode(scene(64, 80), **options)
    rng = np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            broken[at] ^= 1 << rng.integers(8)
        right_or_named(bytes(broken))
        with contextlib.suppress(ae.DecodeError):
            ae.Engine(ae.RandomResizedCrop(8))([bytes(broken)], ids=[0], epoch=0)


def test_what_pillow_reads_is_read_as_pillow_does():
    image = scene(40, 50)
    for data in (
        encode(image, "PNG", mode="P"),
        encode(image, "PNG", mode="RGBA"),
        encode(image, "PNG", mode="LA"),
        encode(image, "PNG", mode="1"),
        encode(image, mode="CMYK"),
        encode(image, progressive=True, subsampling=1),
        encode(image, keep_rgb=True),
        encode(image, "BMP"),
        encode(image, "TIFF"),
        encode(image[:1, :1]),
        encode(image[:1, :1], "PNG"),
        encode(scene(3, 20_000)),
        encode(scene(20_000, 3)),
    ):
        assert right_or_named(data, expected=by_pillow(data)) is not None
        plan = ae.Policy(ae.Resize((8, 8))).sample([0], [by_pillow(data).shape[:2]])
        drawn = ae.execute(plan, [data])
        first = ae.execute(plan, [by_pillow(data)])
        assert (drawn - first).abs().max() < 0.05


def test_sixteen_bits_are_scaled_and_not_cut():
    wide = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    file = io.BytesIO()
    Image.fromarray(wide).save(file, "PNG")
    found = ae.decode(file.getvalue(), mode="L")[0, :, 0]
    assert found.tolist() == [0, 0, 1, 1, 128, 255]
    floats = io.BytesIO()
    Image.fromarray(np.ones((2, 2), np.float32)).save(floats, "TIFF")
    assert right_or_named(floats.getvalue()) is None


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_is_read(format):
    frames = [Image.fromarray(scene(30, 40, seed)) for seed in range(3)]
    file = io.BytesIO()
    options = {"lossless": True} if format == "WEBP" else {}
    frames[0].save(file, format, save_all=True, append_images=frames[1:], **options)
    opened = Image.open(io.BytesIO(file.getvalue()))
    assert opened.n_frames == 3
    first = np.asarray(next(iter(ImageSequence.Iterator(opened))).convert("RGB"))
    assert np.array_equal(ae.decode(file.getvalue()), first)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"text", bytes(4096)])
def test_no_image_is_refused(data):
    assert right_or_named(data) is None


def test_hostile_sizes_are_refused_before_memory():
    jpeg = bytearray(encode(scene(16, 16)))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(ae.DecodeError, match="65535×65535"):
        ae.Sources.of([bytes(jpeg)])
    png = bytearray(encode(scene(16, 16), "PNG"))
    png[16:24] = b"\x7f\xff\xff\xff" * 2
    with pytest.raises(ae.DecodeError, match="2147483647"):
        ae.Sources.of([bytes(png)])


def test_a_header_of_another_size_than_the_pixels_is_refused():
    png = bytearray(encode(scene(16, 16), "PNG"))
    png[20:24] = (40).to_bytes(4, "big")
    assert right_or_named(bytes(png)) is None


def test_a_suffix_says_nothing(tmp_path):
    path = tmp_path / "picture.jpg"
    path.write_bytes(encode(scene(20, 30), "PNG"))
    assert np.array_equal(ae.decode(path), by_pillow(path.read_bytes()))


def test_pillow_decodes_the_same_where_simplejpeg_is_missing(monkeypatch):
    data = batch()
    engine = ae.Engine(ae.RandomResizedCrop(24, scale=(0.05, 1)), dtype=torch.uint8)
    drawn = engine(data, ids=range(len(data)), epoch=0).images
    monkeypatch.setattr(pixels, "_simplejpeg", lambda: None)
    without = engine(data, ids=range(len(data)), epoch=0).images
    assert (drawn.int() - without.int()).abs().max() <= 1  # of rows that chroma is smoothed with


def test_threads_change_nothing(one_thread):
    data = batch() * 3
    images = [
        ae.Engine(ae.RandomResizedCrop(24), decode=ae.DecodeOptions(threads=n))(
            data, ids=range(len(data)), epoch=0
        ).images
        for n in (1, 4)
    ]
    assert torch.equal(*images)


def test_a_fork_decodes(nothing_is_left_running):
    data = batch()
    engine = ae.Engine(ae.RandomResizedCrop(24), decode=ae.DecodeOptions(threads=2))
    engine(data, ids=range(len(data)), epoch=0)  # the parent's pool is there
    loader = DataLoader(Photographs(data), 3, collate_fn=ae.Collate(engine), num_workers=1)
    assert sum(len(images) for images, _ in ae.keyed(loader)) == len(data)


def test_options_are_checked():
    with pytest.raises(ValueError, match="decode='fast'"):
        ae.Engine(ae.CenterCrop(8), decode="fast")
    with pytest.raises(ValueError, match="mode='CMYK'"):
        ae.DecodeOptions(mode="CMYK")
    with pytest.raises(ValueError, match="threads"):
        ae.DecodeOptions(threads=0)


def test_import_needs_no_decoder():
    code = "import sys, augengine; assert not {'PIL', 'simplejpeg'} & set(sys.modules)"
    assert os.system(f'{__import__("sys").executable} -c "{code}"') == 0


def test_memory_stays_flat():
    import resource

    data = [encode(scene(200 + 40 * i, 300 - 30 * i, i)) for i in range(6)]
    engine = ae.Engine(ae.RandomResizedCrop(32))
    peaks = []
    for epoch in range(120):
        engine(data, ids=range(len(data)), epoch=epoch)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[-1] - peaks[20] < 8 << 10  # of kilobytes
