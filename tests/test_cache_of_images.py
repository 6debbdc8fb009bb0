"""ae.cache: the dataset's own batches from a file, of its own dataset only, whole or not at all."""

import io
import json
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import NAMES, photo
from PIL import Image
from torch.utils.data import DataLoader, Subset

import augengine as ae

POLICY = ae.Policy(
    [ae.RandomResizedCrop(24), ae.RandomHorizontalFlip(), ae.RandAugment(2, 9), ae.CutMix()]
)
HOW = {"seed": 3, "num_classes": 10}


def encoded(i, grey=False, suffix="JPEG"):
    """A piece of a photograph, of a size of its own, as a file's bytes."""
    top, left = 40 + 3 * i, 60 + 2 * i
    piece = photo(NAMES[i % 6])[:, top : top + 40 + i, left : left + 56 - i]
    picture = Image.fromarray(piece.permute(1, 2, 0).numpy())
    stream = io.BytesIO()
    picture.convert("L" if grey else "RGB").save(stream, suffix)
    return stream.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data)).copy()


PICTURES = [(opened(encoded(i)), i % 10) for i in range(24)]


class Folder:
    """Files that are decoded by the dataset, as torchvision's ImageFolder has them."""

    def __init__(self, folder, count=12):
        self.samples = []
        for i in range(count):
            file = Path(folder) / f"{i}.jpg"
            if not file.exists():
                file.write_bytes(encoded(i))
            self.samples.append((str(file), i % 10))
        self.targets = [label for _, label in self.samples]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        file, label = self.samples[i]
        with Image.open(file) as image:
            return image.convert("RGB"), label


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cache" / "images.cache"


@pytest.fixture(autouse=True)
def folder_of_the_cache(tmp_path):
    (tmp_path / "cache").mkdir()


def refused(dataset, file, match, **how):
    """The cache is refused, and the file is as it was."""
    before = file.read_bytes()
    with pytest.raises(ValueError, match=match) as caught:
        ae.cache(dataset, file, **how)
    assert str(file) in str(caught.value)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


# What comes out


@pytest.mark.parametrize("executor", ["cpu", "torch"])
def test_batches_are_the_datasets_own_to_the_bit(file, executor):
    cached = ae.cache(PICTURES, file)
    engine = ae.Engine(POLICY, executor=executor, **HOW)
    for epoch in range(2):
        batches = [
            engine([dataset[i][0] for i in range(24)], [dataset[i][1] for i in range(24)],
                   ids=range(24), epoch=epoch)
            for dataset in (PICTURES, cached)
        ]  # fmt: skip
        assert batches[0].plan == batches[1].plan
        assert torch.equal(batches[0].images, batches[1].images)
        assert torch.equal(batches[0].labels, batches[1].labels)


@pytest.mark.parametrize("collate", [ae.Collate, ae.pack])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("wrap", [lambda dataset: dataset, ae.WithIds], ids=["keyed", "WithIds"])
def test_loaders_give_the_datasets_own_batches(file, collate, workers, wrap):
    def batches(dataset):
        loader = DataLoader(
            wrap(dataset), 8, num_workers=workers, collate_fn=collate(POLICY, **HOW)
        )
        loader = ae.keyed(loader)
        loader.sampler.set_epoch(1)
        return [tuple(batch) for batch in loader]

    for (images, labels), (expected, of) in zip(
        batches(ae.cache(PICTURES, file)), batches(PICTURES), strict=True
    ):
        assert torch.equal(images, expected)
        assert torch.equal(labels, of)


def test_images_are_the_files_decoded_and_views_of_the_map(file):
    dataset = [(encoded(i, suffix="PNG"), i) for i in range(5)]
    cached = ae.cache(dataset, file)
    for (data, label), (image, kept) in zip(dataset, cached, strict=True):
        assert np.array_equal(image, np.asarray(opened(data)))
        assert kept == label
        assert image.ctypes.data % 64 == 0
    first, again = cached[2][0], cached[2][0]
    assert np.shares_memory(first, again)
    assert ae.Sources.of([first]).image(0).data_ptr() == first.ctypes.data


def test_encoded_images_make_the_batches_of_exact_decoding(file):
    dataset = [(encoded(i), i % 10) for i in range(8)]
    cached = ae.cache(dataset, file)
    engine = ae.Engine(POLICY, decode="exact", **HOW)
    images, expected = (
        engine([image for image, _ in which], range(8), ids=range(8), epoch=0).images
        for which in (cached, dataset)
    )
    assert torch.equal(images, expected)


def test_a_write_stays_in_the_process_and_out_of_the_file(file):
    cached = ae.cache(PICTURES, file)
    before = file.read_bytes()
    cached[0][0][:] = 7
    assert file.read_bytes() == before
    assert (cached[0][0] == 7).all()
    cached.verify()
    assert np.array_equal(ae.cache(PICTURES, file)[0][0], np.asarray(PICTURES[0][0]))


def test_arrays_and_tensors_come_back_in_their_own_shapes(file):
    rng = np.random.default_rng(0)
    for i, image in enumerate([
        rng.integers(0, 256, (5, 7), np.uint8),
        rng.integers(0, 256, (5, 7, 6), np.uint8)[:, ::-1],
        torch.from_numpy(rng.integers(0, 256, (3, 9, 4), np.uint8)),
        torch.from_numpy(rng.integers(0, 256, (9, 4, 3), np.uint8)).permute(2, 0, 1),
    ]):  # fmt: skip
        ((again, _),) = ae.cache([(image, 0)], file.with_suffix(f".{i}"))
        assert type(again) is type(image)
        assert np.array_equal(np.asarray(again), np.asarray(image))


@pytest.mark.parametrize("rest", [
    7, -(2**70), 0.1, float("nan"), float("-inf"), None, True, "a cat 🐈", b"\0\xff", np.int64(3),
    np.float32(0.5), [1, (2, [])], {"caption": "x", 3: {"deep": (None,)}}, {"image": 0}, {"tuple": [1]},
    torch.arange(6).reshape(2, 3), torch.tensor(2.5), torch.zeros(0, 4), torch.tensor([True, False]),
    torch.tensor([1.5], dtype=torch.bfloat16), np.zeros((0, 3)), np.arange(4, dtype=">i2"),
], ids=repr)  # fmt: skip
def test_what_stands_beside_an_image_comes_back_as_it_was(file, rest):
    picture = PICTURES[0][0]
    for k, (sample, at) in enumerate(
        [((picture, rest), 1), ({"image": picture, "more": rest}, "more")]
    ):
        (again,) = ae.cache([sample], file.with_suffix(f".{k}"))
        assert type(again) is type(sample)
        value = again[at]
        assert type(value) is type(rest)
        if isinstance(rest, (torch.Tensor, np.ndarray, np.generic)):
            assert value.dtype == rest.dtype
            assert value.shape == rest.shape
            assert (value == rest).all()
        else:
            assert repr(value) == repr(rest)


def test_targets_follow_a_cached_image(file):
    target = {"boxes": torch.tensor([[4.0, 4.0, 20.0, 28.0]]), "labels": torch.tensor([7])}
    dataset = [(picture, target) for picture, _ in PICTURES[:4]]
    collate = ae.Collate(POLICY.transforms[:2], seed=1)
    results = []
    for which in (dataset, ae.cache(dataset, file)):
        _, targets = next(iter(ae.keyed(DataLoader(ae.WithIds(which), 4, collate_fn=collate))))
        results.append([of["boxes"] for of in targets])
    assert sum(map(len, results[0]))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_indices_are_a_lists(file):
    cached = ae.cache(PICTURES, file)
    assert len(cached) == len(list(cached)) == 24
    assert cached[-1][1] == cached[np.int64(23)][1] == cached[ae.Key(23, epoch=4)][1] == 3
    for index in (24, -25):
        with pytest.raises(IndexError, match=f"no sample {index}, there are 24"):
            cached[index]


# Colours


def test_grey_and_colour_are_mixed_in_rgb(file):
    dataset = [(encoded(i, grey=i % 2), i) for i in range(6)]
    for image, i in ae.cache(dataset, file):
        assert image.shape[2] == 3
        assert np.array_equal(image, np.asarray(opened(dataset[i][0]).convert("RGB")))
    pictures = [(opened(data), i) for data, i in dataset]
    with pytest.raises(TypeError, match=r"sample 1 has 1 channel.* and others have 3.*mode='RGB'"):
        ae.cache(pictures, file.with_suffix(".no"))
    assert list(file.parent.iterdir()) == [file]
    as_rgb = ae.cache(pictures, file.with_suffix(".rgb"), mode="RGB")
    as_grey = ae.cache(pictures, file.with_suffix(".grey"), mode="L")
    for i, (picture, _) in enumerate(pictures):
        assert np.array_equal(as_rgb[i][0], np.asarray(picture.convert("RGB")))
        assert np.array_equal(as_grey[i][0], np.asarray(picture.convert("L")))


def test_what_is_not_of_8_bits_is_refused(file):
    array = np.zeros((4, 5), np.uint16)
    for image, match in [
        (array, "has an image of uint16, expected uint8"),
        (torch.zeros(3, 4, 5), r"has an image of torch.float32, expected uint8.*ToTensor"),
        (Image.fromarray(array), "of mode 'I;16'"),
        (PICTURES[0][0].convert("P"), "of mode 'P'.*mode='RGB'"),
        (7, "has an image of int"),
    ]:
        with pytest.raises(TypeError, match=f"sample 0.*{match}"):
            ae.cache([(image, 0)], file)
    with pytest.raises(TypeError, match=r"sample 0 is the fields \['pixels'\].*image='pixels'"):
        ae.cache([{"pixels": array}], file)
    with pytest.raises(TypeError, match=r"sample 0 is ndarray, expected \(image, label"):
        ae.cache([array], file)
    with pytest.raises(TypeError, match=r"sample 0 holds .*Folder.*expected None, numbers"):
        ae.cache([(PICTURES[0][0], Folder)], file)
    assert not list(file.parent.iterdir())


# Sizes


@pytest.mark.parametrize("size", [1, 17, 40, 45])
def test_shrunk_images_are_torchvisions_resize(file, size):
    transforms = pytest.importorskip("torchvision.transforms")
    grey = [(picture.convert("L"), i) for picture, i in PICTURES]
    tensors = [(torch.from_numpy(np.array(picture)).permute(2, 0, 1), i) for picture, i in PICTURES]
    for k, dataset in enumerate((PICTURES, grey, tensors)):
        cached = ae.cache(dataset, file.with_suffix(f".{k}"), size=size)
        for (image, _), (picture, _) in zip(cached, grey if k == 1 else PICTURES, strict=True):
            expected = picture
            if min(picture.size) > size:
                expected = transforms.Resize(size)(picture)
            image = image.permute(1, 2, 0).numpy() if k == 2 else image
            assert np.array_equal(image, np.asarray(expected))


def test_the_size_of_a_policy_is_the_least_that_its_finest_view_is_not_magnified_at(file):
    """Of crops of a square image to S pixels that take a share in [a, b] of its area, the finest has a side of
    √a of the image's: S/√a pixels are enough for it. (Drawn, so a little less; sides are rounded.)"""
    square = [(np.zeros((900, 900, 3), np.uint8), 0)]
    for k, (policy, least, most) in enumerate([
        (ae.RandomResizedCrop(50, scale=(0.25, 1), ratio=(1, 1)), 99, 100),
        (ae.Policy([ae.Resize(64), ae.CenterCrop(56)]), 64, 64),
        (ae.Views(a=ae.Policy(ae.Resize(64)), b=[ae.Policy(ae.Resize(80))] * 2), 80, 80),
    ]):  # fmt: skip
        cached = ae.cache(square, file.with_suffix(f".{k}"), policy=policy)
        assert least <= cached.header["size"] <= most
        assert cached[0][0].shape[:2] == (cached.header["size"],) * 2
    for k, policy in enumerate(
        [ae.RandomCrop(50), ae.RandomResizedCrop(224, scale=(0.01, 1)), ae.Policy([])]
    ):
        whole = ae.cache(square, file.with_suffix(f".whole{k}"), policy=policy)
        assert whole.header["size"] is None
        assert whole[0][0].shape == (900, 900, 3)


def test_targets_beside_a_shrunk_image_are_refused(file):
    box = {"boxes": torch.tensor([[1.0, 1.0, 8.0, 9.0]]), "labels": torch.tensor([1])}
    mask = torch.zeros(PICTURES[0][0].size[::-1], dtype=torch.long)
    for rest in (box, mask):
        with pytest.raises(
            TypeError, match=r"sample 0 has boxes, masks or keypoints.*shrunk to 20"
        ):
            ae.cache([(PICTURES[0][0], rest)], file, size=20)
        assert not list(file.parent.iterdir())
    assert len(ae.cache([(PICTURES[0][0], box)], file, size=400)) == 1


# Whose file it is


def test_another_or_a_changed_dataset_is_refused(file):
    ae.cache(PICTURES, file)
    refused(PICTURES[:20], file, "it has 24 samples, the dataset 20. Name another file")
    refused(PICTURES, file, "made with size=None, and size=32 is asked for", size=32)
    refused(PICTURES, file, "made with mode=None, and mode='L' is asked for", mode="L")
    relabelled = [*PICTURES[:-1], (PICTURES[-1][0], 5)]
    refused(relabelled, file, "sample 23 has labels or other values.*rebuild=True")
    pixel = np.array(PICTURES[0][0])
    pixel[0, 0, 0] ^= 1
    refused([(pixel, 0), *PICTURES[1:]], file, "sample 0 has other pixels")
    refused([PICTURES[1], *PICTURES[1:]], file, "sample 0 has an image of shape")
    assert len(ae.cache(PICTURES, file)) == 24
    assert len(ae.cache(relabelled, file, rebuild=True)) == 24
    assert ae.cache(relabelled, file)[23][1] == 5


@pytest.mark.parametrize("kind", [
    Folder,
    lambda folder: [(Path(file), label) for file, label in Folder(folder).samples],
    lambda folder: Subset(Folder(folder, 14), range(12)),
], ids=["folder", "paths", "subset"])  # fmt: skip
def test_changed_files_are_refused(file, tmp_path, kind):
    """Also those that are not among the samples that are read again."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    cached = ae.cache(kind(pictures), file)
    assert np.array_equal(cached[5][0], np.asarray(Image.open(pictures / "5.jpg")))
    moved = tmp_path / "moved"
    pictures.rename(moved)
    assert len(ae.cache(kind(moved), file)) == 12
    status = (moved / "5.jpg").stat()
    os.utime(moved / "5.jpg", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    refused(kind(moved), file, "of other files.*names, sizes or times differ")


def test_one_changed_label_of_many_is_refused(file, tmp_path):
    folder = Folder(tmp_path, 40)
    listed = [(Path(path), label) for path, label in folder.samples]
    ae.cache(folder, file)
    ae.cache(listed, file.with_suffix(".listed"))
    folder.targets[17] += 1
    with pytest.raises(ValueError, match="its labels were changed"):
        ae.cache(folder, file)
    listed[17] = (listed[17][0], 1)
    with pytest.raises(ValueError, match="its labels were changed"):
        ae.cache(listed, file.with_suffix(".listed"))


def test_random_transforms_are_refused(file):
    angles = iter(range(1, 99))

    class Jittered(Folder):
        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            return image.rotate(next(angles)), label

    with pytest.raises(TypeError, match=r"sample 0, .*came otherwise.*random transforms"):
        ae.cache(Jittered(file.parent.parent), file)
    assert not list(file.parent.iterdir())


def test_arguments_are_checked(file):
    for wrong, error, match in [
        ({"size": 0}, ValueError, "cache: size: got 0"),
        ({"size": 9, "policy": POLICY}, ValueError, "got size and policy"),
        ({"mode": "CMYK"}, ValueError, "got mode='CMYK'"),
        ({"threads": 0}, ValueError, "cache: threads: got 0"),
        ({"rebuild": 1}, TypeError, "cache: rebuild: got 1"),
    ]:
        with pytest.raises(error, match=match):
            ae.cache(PICTURES, file, **wrong)
    with pytest.raises(TypeError, match="got generator, expected a map-style dataset"):
        ae.cache((x for x in PICTURES), file)
    with pytest.raises(ValueError, match="a dataset without samples"):
        ae.cache([], file)


# Damage


def test_all_damaged_files_are_named_and_no_cache_is_written(file, tmp_path):
    folder = Folder(tmp_path, 30)
    for i in (0, 7, 29):
        path = Path(folder.samples[i][0])
        path.write_bytes(path.read_bytes()[: 30 if i else 0])
    os.unlink(folder.samples[11][0])
    with pytest.raises(OSError, match=r"11\.jpg"):
        ae.cache(folder, file)
    del folder.samples[11], folder.targets[11]
    listed = [(path, label) for path, label in folder.samples]
    for dataset, how in [(folder, {}), (folder, {"threads": 3}), (listed, {})]:
        with pytest.raises(ValueError, match="3 of 29 samples cannot be read") as caught:
            ae.cache(dataset, file, **how)
        assert all(f"{i}.jpg" in str(caught.value) for i in (0, 7, 29))
        assert not list(file.parent.iterdir())


def header_of(data):
    length = struct.unpack("<I", data[8:12])[0]
    return json.loads(data[16 : 16 + length])


def with_header(data, **changed):
    """A file whose header says something else, with a right checksum."""
    text = json.dumps(header_of(data) | changed).encode()
    block = data[:8] + struct.pack("<II", len(text), zlib.crc32(text)) + text
    return block + data[len(block) :]


def with_row(data, where, value):
    """A file whose index says something else of sample 3, with right checksums."""
    from augengine.datasets.cache_file import ROW

    begin = header_of(data)["index"]
    index = np.frombuffer(data, ROW, offset=begin).copy()
    index[where][3] = value
    return with_header(data[:begin] + index.tobytes(), check=zlib.crc32(index.tobytes()))


HOSTILE = {
    "nothing": (lambda d: b"", "no cache"),
    "an_image": (lambda d: encoded(0), "no cache"),
    "magic_alone": (lambda d: d[:8], "cut short"),
    "cut_in_the_header": (lambda d: d[:200], "cut short"),
    "cut_in_the_pixels": (lambda d: d[: len(d) // 2], "it has .* bytes"),
    "cut_by_one": (lambda d: d[:-1], "it has .* bytes"),
    "longer_by_one": (lambda d: d + b"\0", "it has .* bytes"),
    "no_header": (lambda d: bytes(4096) + d[4096:], "no cache"),
    "header_flipped": (lambda d: d[:20] + bytes([d[20] ^ 4]) + d[21:], "header is damaged"),
    "index_flipped": (lambda d: d[:-30] + bytes([d[-30] ^ 4]) + d[-29:], "index is damaged"),
    "long_header": (lambda d: d[:8] + b"\xff\xff\xff\xff" + d[12:], "header is damaged"),
    "version": (lambda d: with_header(d, version=99), "another version of augengine: 99"),
    "many_samples": (lambda d: with_header(d, samples=2**40), "wrong in 'samples'"),
    "other_samples": (lambda d: with_header(d, samples=2**31), "it has .* bytes"),
    "negative": (lambda d: with_header(d, index=-1), "wrong in 'index'"),
    "index_of_text": (lambda d: with_header(d, index="0"), "wrong in 'index'"),
    "far_offset": (lambda d: with_row(d, "offset", 2**62), "index is wrong in sample 3"),
    "offset_in_header": (lambda d: with_row(d, "offset", 0), "index is wrong in sample 3"),
    "huge_shape": (lambda d: with_row(d, "shape", (2**31 - 1,) * 3), "index is wrong in sample 3"),
    "negative_shape": (lambda d: with_row(d, "shape", (-4, -4, 3)), "index is wrong in sample 3"),
    "kind": (lambda d: with_row(d, "kind", 9), "index is wrong in sample 3"),
    "rest": (lambda d: with_row(d, "rest", 2**62), "index is wrong in sample 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_damaged_files_are_refused(file, name):
    change, match = HOSTILE[name]
    ae.cache(PICTURES, file)
    file.write_bytes(change(file.read_bytes()))
    refused(PICTURES, file, match)
    begins = file.read_bytes()
    if not begins or begins[:8] == b"AUGCACHE":
        assert len(ae.cache(PICTURES, file, rebuild=True)) == 24
        ae.cache(PICTURES, file).verify()
    else:
        refused(PICTURES, file, "no cache, expected one where rebuild=True", rebuild=True)


def test_other_values_than_samples_are_refused(file):
    """A row of the index may point anywhere in the file, and what lies there may be anything."""
    cached = ae.cache([(PICTURES[0][0], "label")], file)
    data = file.read_bytes()
    place = data.rindex(b'{"tuple"')
    end = data.rindex(b"]}", place) + 2
    for text in [
        b'{"tuple":7}', b'{"who":1}', b'{"tensor":["int64",[2,3]]}', b'{"tensor":["no",[0]]}',
        b'{"array":["|O",[0]]}', b'{"array":["<f8",[-1]]}', b'{"array":["<f8",[0,1099511627775,9999]]}',
        b'{"bytes":99999}', b"{}", b'{"dict":[[[],1]]}', b"[[[[[[[[[[", b'{"float":[]}',
    ]:  # fmt: skip
        text = text.ljust(end - place)
        if len(text) > end - place:
            continue
        file.write_bytes(data[:place] + text + data[end:])
        with pytest.raises(ValueError, match=r"is damaged in sample 0"):
            cached[0]


def test_verify_finds_a_flipped_bit(file):
    cached = ae.cache(PICTURES, file)
    cached.verify()
    data = bytearray(file.read_bytes())
    data[int(cached._file().index["offset"][13]) + 99] ^= 16
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged in 1 of 24 samples: 13\..*rebuild=True"):
        ae.cache(PICTURES, file).verify()


def test_links_are_followed_to_read_and_never_to_write(file, tmp_path):
    ae.cache(PICTURES, file)
    link, precious = tmp_path / "link", tmp_path / "precious"
    link.symlink_to(file)
    assert len(ae.cache(PICTURES, link)) == 24
    precious.write_bytes(b"precious")
    (tmp_path / "new.partial").symlink_to(precious)
    assert len(ae.cache(PICTURES, tmp_path / "new")) == 24
    assert precious.read_bytes() == b"precious"
    before = file.read_bytes()
    ae.cache(PICTURES[:9], link, rebuild=True)
    assert file.read_bytes() == before
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(ValueError, match="no regular file"):
        ae.cache(PICTURES, fifo)


def test_a_full_disk_is_said_before_and_leaves_nothing(file, monkeypatch):
    class Full:
        f_bavail, f_frsize = 3, 4096

    with monkeypatch.context() as patched:
        patched.setattr(os, "statvfs", lambda _: Full)
        with pytest.raises(
            OSError, match=r"needs about \d+,\d+ bytes for 24 samples, and the disk has 12,288"
        ):
            ae.cache(PICTURES, file)
    assert not list(file.parent.iterdir())
    with pytest.raises(OSError, match=r"no-folder.*cannot be made"):
        ae.cache(PICTURES, file.parent / "no-folder" / "file")


def test_a_disk_that_fills_on_the_way_leaves_nothing(file):
    """A limit on the size of files stands for the disk's end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(
            OSError, match=r"could not be written .*No cache was written: make room"
        ):
            ae.cache(PICTURES, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(file.parent.iterdir())


# Several processes

BUILDER = """
import sys, time
import numpy as np
import augengine as ae
class Squares:
    calls = 0
    def __len__(self):
        return 24
    def __getitem__(self, i):
        self.calls += 1
        if self.calls == 30 and sys.argv[2] == "stops":
            print("half", flush=True)
            time.sleep(1000)
        return np.full((9 + i, 9, 3), i, "uint8"), i
squares = Squares()
print("ready", flush=True)
input()
ae.cache(squares, sys.argv[1]).verify()
print(squares.calls, flush=True)
"""


def started(file, how):
    command = [sys.executable, "-c", BUILDER, file, how]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_one_builds_while_others_wait_and_a_kill_leaves_no_cache(file):
    killed, waits = started(file, "stops"), started(file, "goes on")
    with killed, waits:
        for process, said in ((killed, ["ready\n", "half\n"]), (waits, ["ready\n"])):
            print(file=process.stdin, flush=True)
            assert [process.stdout.readline() for _ in said] == said
        with pytest.raises(subprocess.TimeoutExpired):
            waits.wait(0.5)
        assert [left.name for left in file.parent.iterdir()] == ["images.cache.partial"]
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        # It asked for the first sample, looked at 16, and built all 24.
        assert waits.stdout.readline() == f"{1 + 16 + 24}\n"
    assert list(file.parent.iterdir()) == [file]


def test_threads_that_build_at_once_build_once(file):
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: ae.cache(PICTURES, file), range(4)))
    assert len({cached.header["check"] for cached in made}) == 1
    assert list(file.parent.iterdir()) == [file]


def test_threads_write_the_same_file(file, tmp_path):
    folder = Folder(tmp_path, 40)
    one, several = file, file.with_suffix(".several")
    ae.cache(folder, one)
    ae.cache(folder, several, threads=4)
    assert one.read_bytes() == several.read_bytes()


def test_spawned_workers_open_the_file_by_its_name(file):
    cached = ae.cache(PICTURES, file)
    assert len(pickle.dumps(cached)) < 1000
    loader = DataLoader(
        cached, 8, num_workers=1, multiprocessing_context="spawn", collate_fn=first_of_each
    )
    for batch, i in zip(loader, range(0, 24, 8), strict=True):
        assert batch == [(PICTURES[k][0].size[::-1], PICTURES[k][1]) for k in range(i, i + 8)]


def first_of_each(samples):
    return [(tuple(image.shape[:2]), label) for image, label in samples]


def test_another_file_in_its_place_is_refused_when_it_is_opened_again(file):
    state = pickle.dumps(ae.cache(PICTURES, file))
    ae.cache(PICTURES[:9], file, rebuild=True)
    with pytest.raises(ValueError, match="has been made anew since"):
        pickle.loads(state)[0]


def test_an_open_cache_outlives_its_file(file):
    """Made anew under it, it still reads the old one."""
    cached = ae.cache(PICTURES, file)
    ae.cache([(np.zeros((4, 4, 3), np.uint8), 0)], file, rebuild=True)
    assert np.array_equal(cached[20][0], np.asarray(PICTURES[20][0]))


def test_memory_is_flat_over_epochs(file):
    """Beside pages of the file, which the system takes back when it likes."""
    rng = np.random.default_rng(0)
    dataset = [(rng.integers(0, 256, (200, 240 + i, 3), np.uint8), i % 10) for i in range(60)]
    cached = ae.cache(dataset, file)
    loader = DataLoader(ae.WithIds(cached), 20, collate_fn=ae.Collate(POLICY, **HOW))

    def anonymous():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

    seen = []
    loader = ae.keyed(loader)
    for epoch in range(8):
        loader.sampler.set_epoch(epoch)
        for _ in loader:
            pass
        seen.append(anonymous())
    # An epoch's images are 9.5 MB: had each kept one in eight of them, this would be 7 MB.
    assert seen[-1] - seen[1] < 4 << 20
