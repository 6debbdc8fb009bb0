"""A teacher's answers on disk: what is kept, what survives, what is refused."""

import os
import re
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
