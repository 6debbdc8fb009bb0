"""A teacher's answers on disk: what is kept, what survives, what is refused."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from augengine.pipelines.logit_cache import HEADER, CacheKey, LogitCache

KEY = CacheKey("teacher", "policy", "data", seed=0, classes=10, samples=50, top=10)


def logits_of(n, classes=10, seed=0):
    return torch.randn(n, classes, generator=torch.Generator().manual_seed(seed)) * 5


def test_answers_come_back_in_float16(tmp_path):
    logits = logits_of(4)
    with LogitCache(tmp_path / "c", KEY) as cache:
        cache.write(3, [7, 1, 49, 0], logits)
        found, there = cache.read(3, [0, 7, 2, 1])
    assert there.tolist() == [True, True, False, True]
    assert torch.equal(found[[0, 1, 3]], logits[[3, 0, 1]].half().float())
    assert found[2].isnan().all()


def test_what_was_written_is_there_when_opened_again(tmp_path):
    with LogitCache(tmp_path / "c", KEY, looks=2) as cache:
        for look in (0, 1):
            for epoch in (0, 5):
                cache.write(epoch, range(50), logits_of(50, seed=10 * epoch + look), look)
    cache = LogitCache(tmp_path / "c", KEY, looks=2)
    assert cache.torn_rows == 0
    for look in (0, 1):
        found, there = cache.read(5, range(50), look)
        assert there.all()
        assert torch.equal(found, logits_of(50, seed=50 + look).half().float())
        assert not cache.read(3, range(50), look)[1].any()
    assert not cache.read(1000, range(50))[1].any()


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_classes_that_are_not_kept_share_what_is_left(tmp_path, temperature):
    """At the key's temperature the kept classes have the very probabilities that they had, but for
    float16: below 16 its steps are 1/128, so that a ratio of two is out by 0.8 % at most."""
    key = replace(KEY, classes=100, top=5, temperature=temperature)
    logits = logits_of(8, 100)
    with LogitCache(tmp_path / "c", key) as cache:
        cache.write(0, range(8), logits)
        found, _ = cache.read(0, range(8))
    wanted, made = (torch.softmax(x / temperature, 1) for x in (logits, found))
    top = logits.topk(5).indices
    assert torch.allclose(made.gather(1, top), wanted.gather(1, top), rtol=1e-2)
    assert torch.equal(found.topk(5).indices.sort().values, top.sort().values)
    assert cache.row_type.itemsize == 4 + 2 + 5 * 4 + 2  # the last to a multiple of four


def test_more_classes_than_sixteen_bits_number(tmp_path):
    key = replace(KEY, classes=70_000, top=2, temperature=1.0, samples=1)
    logits = torch.zeros(1, 70_000)
    logits[0, 69_999], logits[0, 66_000] = 9, 8
    with LogitCache(tmp_path / "c", key) as cache:
        cache.write(0, [0], logits)
        found, _ = cache.read(0, [0])
    assert found.topk(2).indices.tolist() == [[69_999, 66_000]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("teacher", "another"),
        ("policy", "another"),
        ("data", "another"),
        ("seed", 1),
        ("classes", 11),
        ("samples", 51),
        ("top", 5),
        ("temperature", 4.0),
    ],
)
def test_another_key_is_refused(tmp_path, field, value):
    with LogitCache(tmp_path / "c", KEY) as cache:
        cache.write(0, [0], logits_of(1))
    with pytest.raises(
        ValueError, match=rf"holds answers for .*{field} .*, expected .*{field} {value}"
    ):
        LogitCache(tmp_path / "c", replace(KEY, **{field: value}))


def test_what_is_no_cache_is_refused(tmp_path):
    (tmp_path / "c").write_bytes(b"something else" * 1000)
    with pytest.raises(ValueError, match=r"is no cache of this format\. Name another file"):
        LogitCache(tmp_path / "c", KEY)
    with pytest.raises(ValueError, match="is no cache of this format"):
        LogitCache.key_of(tmp_path / "c")


def test_a_file_that_was_cut_short_is_refused(tmp_path):
    LogitCache(tmp_path / "c", KEY).flush()
    os.truncate(tmp_path / "c", os.path.getsize(tmp_path / "c") - 7)
    with pytest.raises(ValueError, match="has been cut short"):
        LogitCache(tmp_path / "c", KEY)


def test_a_changed_byte_is_found(tmp_path):
    """Any bit of any row: it counts as not written, and the others stay."""
    with LogitCache(tmp_path / "c", KEY) as cache:
        cache.write(0, range(50), logits_of(50))
        size = cache.row_type.itemsize
    rng = np.random.default_rng(0)
    whole = (tmp_path / "c").read_bytes()
    for place in rng.integers(4, size - 2, 40):
        changed = bytearray(whole)
        changed[HEADER + 9 * size + place] ^= 1 << rng.integers(8)
        (tmp_path / "c").write_bytes(changed)
        cache = LogitCache(tmp_path / "c", KEY)
        assert cache.torn_rows == 1
        there = cache.read(0, range(50))[1]
        assert not there[9]
        assert there.sum() == 49


def test_a_row_in_another_place_is_found(tmp_path):
    """The checksum knows where its row belongs."""
    with LogitCache(tmp_path / "c", KEY) as cache:
        cache.write(0, [4], logits_of(1))
        size = cache.row_type.itemsize
    whole = bytearray((tmp_path / "c").read_bytes())
    whole[HEADER : HEADER + size] = whole[HEADER + 4 * size : HEADER + 5 * size]
    (tmp_path / "c").write_bytes(whole)
    assert LogitCache(tmp_path / "c", KEY).torn_rows == 1


WRITER = """
import sys, torch
from augengine.pipelines.logit_cache import CacheKey, LogitCache
cache = LogitCache(sys.argv[1], CacheKey("t", "p", "d", 0, 10, 2000, 10))
print("ready", flush=True)
for epoch in range(10**6):
    cache.write(epoch, range(2000), torch.full((2000, 10), float(epoch % 1000)))
"""


def test_what_was_written_before_a_kill_is_there(tmp_path):
    file = tmp_path / "c"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, file], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"ready\n"
    key = CacheKey("t", "p", "d", 0, 10, 2000, 10)
    reader = LogitCache(file, key)
    while not reader.present(2, range(2000)).all():
        pass
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    cache = LogitCache(file, key)
    for epoch in (0, 1, 2):
        found, there = cache.read(epoch, range(2000))
        assert there.all()
        assert (found == epoch).all()


def test_two_processes_write_one_file(tmp_path):
    """Each its own samples, as ranks do; nobody loses a row when the file grows."""
    writer = (
        "import sys, torch\n"
        "from augengine.pipelines.logit_cache import CacheKey, LogitCache\n"
        "rank = int(sys.argv[2])\n"
        "cache = LogitCache(sys.argv[1], CacheKey('t', 'p', 'd', 0, 10, 100, 10))\n"
        "for epoch in range(60):\n"
        "    cache.write(epoch, range(rank, 100, 2), torch.full((50, 10), float(rank)))\n"
    )
    file = tmp_path / "c"
    both = [subprocess.Popen([sys.executable, "-c", writer, file, str(rank)]) for rank in (0, 1)]
    assert [process.wait() for process in both] == [0, 0]
    cache = LogitCache(file, CacheKey("t", "p", "d", 0, 10, 100, 10))
    assert cache.torn_rows == 0
    for epoch in range(60):
        found, there = cache.read(epoch, range(100))
        assert there.all()
        assert (found[:, 0] == torch.arange(100) % 2).all()


def test_errors(tmp_path):
    cache = LogitCache(tmp_path / "c", KEY)
    with pytest.raises(ValueError, match=re.escape("ids from 0 to 50, expected them in [0, 50)")):
        cache.read(0, [0, 50])
    with pytest.raises(ValueError, match="got look 1, expected one below 1"):
        cache.read(0, [0], look=1)
    with pytest.raises(ValueError, match="not finite in float16"):
        cache.write(0, [0], torch.full((1, 10), 1e6))
    assert not cache.present(0, [0]).any()


# A full disk, and a stranger's file


def limited(bytes_of_a_file):
    """Let no file grow beyond so many bytes, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_of_a_file, resource.RLIM_INFINITY))


@pytest.fixture
def _lifted():
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.usefixtures("_lifted")
def test_no_room_for_a_cache_is_said_with_the_bytes(tmp_path):
    limited(HEADER + 10)
    with pytest.raises(
        OSError, match=r"logit cache: .*/c needs 6,\d96 bytes, which could not be had \(.*make room"
    ):
        LogitCache(tmp_path / "c", KEY)
    assert not list(tmp_path.iterdir()), "neither a part of it nor a file of another name"


@pytest.mark.usefixtures("_lifted")
def test_no_room_to_grow_leaves_what_was_written(tmp_path):
    with LogitCache(tmp_path / "c", KEY) as cache:
        cache.write(0, range(50), logits_of(50))
        limited(os.path.getsize(tmp_path / "c") + 100)
        with pytest.raises(
            OSError, match=r"/c needs 8,\d96 bytes, .*What was written before is whole"
        ):
            cache.write(1, range(50), logits_of(50))
        assert cache.read(0, range(50))[1].all()
        limited(resource.RLIM_INFINITY)
        cache.write(1, range(50), logits_of(50, seed=1))
    cache = LogitCache(tmp_path / "c", KEY)
    assert cache.torn_rows == 0
    assert torch.equal(cache.read(1, range(50))[0], logits_of(50, seed=1).half().float())


def test_a_cache_has_its_room_on_the_disk(tmp_path):
    """Not a hole, for which there may be no room once it is written; nor after it was copied as one."""
    cache = LogitCache(tmp_path / "c", replace(KEY, samples=10_000))
    status = os.stat(tmp_path / "c")
    assert status.st_blocks * 512 >= status.st_size
    cache.write(3, [0], logits_of(1))
    status = os.stat(tmp_path / "c")
    assert (
        status.st_blocks * 512 >= status.st_size > HEADER + 4 * 10_000 * cache.row_type.itemsize - 1
    )
    with open(tmp_path / "hole", "wb") as file:
        file.write((tmp_path / "c").read_bytes()[:HEADER])
        file.truncate(status.st_size)
    LogitCache(tmp_path / "hole", replace(KEY, samples=10_000))
    assert os.stat(tmp_path / "hole").st_blocks * 512 >= status.st_size


def test_a_file_that_is_cut_while_it_is_open_is_no_crash(tmp_path):
    """A map would end the process with SIGBUS."""
    cache = LogitCache(tmp_path / "c", KEY)
    cache.write(0, range(50), logits_of(50))
    os.truncate(tmp_path / "c", HEADER + 3 * cache.row_type.itemsize + 5)
    assert cache.present(0, range(50)).tolist() == [True] * 3 + [False] * 47
    cache.write(0, range(50), logits_of(50))
    assert cache.present(0, range(50)).all()


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path):
        for read in (lambda path: LogitCache(path, KEY), LogitCache.key_of):
            with pytest.raises(ValueError, match=rf"{path}: got no regular file, expected one"):
                read(path)


def test_a_link_at_the_place_of_the_new_file_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine", "utf-8")
    (tmp_path / f"c.{os.getpid()}").symlink_to(tmp_path / "mine")
    LogitCache(tmp_path / "c", KEY)
    assert (tmp_path / "mine").read_text("utf-8") == "mine"


def with_header(file, **changed):
    header = json.loads(file.read_bytes()[:HEADER]) | changed
    with open(file, "r+b") as opened:
        opened.write(json.dumps(header).encode().ljust(HEADER)[:HEADER])


@pytest.mark.parametrize(
    ("name", "value"),
    [("samples", 2**62), ("samples", -1), ("samples", 0), ("samples", "50"), ("samples", 1.5),
     ("samples", True), ("classes", 10**40), ("classes", None), ("top", []), ("views", {}), ("seed", "0"),
     ("seed", 2**70),
     ("temperature", "x"), ("temperature", -1), ("teacher", 3), ("policy", ["a"]), ("data", None),
     ("format", 9), ("format", [1]), ("more", 1)],
)  # fmt: skip
def test_a_header_that_lies_is_refused(tmp_path, name, value):
    LogitCache(tmp_path / "c", KEY)
    with_header(tmp_path / "c", **{name: value})
    for read in (lambda file: LogitCache(file, KEY), LogitCache.key_of):
        with pytest.raises(ValueError, match=r"logit cache: .*/c ") as caught:
            read(tmp_path / "c")
        assert type(caught.value) is ValueError
        assert "Remove" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[" * HEADER, b'{"a": ' + b"9" * 4000 + b"}", b"\xff" * HEADER, b"{}"]
)
def test_a_header_that_is_none_is_refused(tmp_path, text):
    for content in (text, text.ljust(HEADER), text.ljust(10 * HEADER, b"\0")):
        (tmp_path / "c").write_bytes(content)
        for read in (lambda file: LogitCache(file, KEY), LogitCache.key_of):
            with pytest.raises(ValueError, match="is no cache of this format"):
                read(tmp_path / "c")


def test_a_file_of_the_header_alone_is_made_whole(tmp_path):
    """No row is behind the end of the file."""
    LogitCache(tmp_path / "c", KEY)
    os.truncate(tmp_path / "c", HEADER)
    cache = LogitCache(tmp_path / "c", KEY)
    assert not cache.present(0, range(50)).any()
    cache.write(0, range(50), logits_of(50))
    assert cache.present(0, range(50)).all()


@pytest.mark.parametrize(
    ("field", "value"), [("which", 10), ("which", 65_535), ("value", np.inf), ("rest", np.nan)]
)
def test_a_row_that_is_no_answer_is_refused(tmp_path, field, value):
    """Its checksum is right, which anybody can write."""
    with LogitCache(tmp_path / "c", KEY) as cache:
        cache.write(0, range(50), logits_of(50))
        row = np.zeros(1, cache.row_type)
        cache._read_at(7, row)
        row[field] = value
        row["check"] = cache._checksums(row, np.array([7]))
        cache._write_at(7, row)
    cache = LogitCache(tmp_path / "c", KEY)
    assert cache.torn_rows == 0
    with pytest.raises(
        ValueError,
        match=r"/c holds what is no answer for 10 classes in epoch 0\. Name another",
    ):
        cache.read(0, range(50))
    assert cache.read(0, range(7))[1].all()
