"""Memory stays flat while batches of encoded images of mixed sizes are decoded and drawn."""

import ctypes
import gc
from pathlib import Path

import numpy as np
import pytest
from photos import NAMES, photo
from PIL import Image

import augengine as ae

POLICY = ae.Policy([ae.RandomResizedCrop(48), ae.RandomHorizontalFlip(), ae.RandAugment(2, 9)])
BATCH, WARM = 8, 20
# Images have 0.3 MB on average: batches that keep one image each take 18 MB in 60, and 300 MB in a thousand.
MOST_GROWTH = 12 << 20  # bytes


def anonymous_memory():
    """Bytes of this process's memory that are no file's."""
    gc.collect()
    # What tests before this one have freed would hide what grows.
    ctypes.CDLL(None).malloc_trim(0)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """JPEGs, progressive ones too, PNGs and WebPs from 30 to 600 pixels a side, colour and grey."""
    folder, made = tmp_path_factory.mktemp("files"), []
    rng = np.random.default_rng(0)
    for i in range(36):
        picture = Image.fromarray(photo(NAMES[i % 6]).permute(1, 2, 0).numpy())
        picture = picture.resize(tuple(rng.integers(30, 600, 2).tolist()))
        suffix, how = [(".jpg", {}), (".jpg", {"progressive": True}), (".png", {}), (".webp", {})][
            i % 4
        ]
        made.append(folder / f"{i}{suffix}")
        picture.convert("L" if i % 5 == 4 else "RGB").save(made[-1], **how)
    return made


def growth(batches, collate, sources, rng):
    """Bytes by which memory grew from a warm state on."""
    for k in range(WARM + batches):
        if k == WARM:
            before = anonymous_memory()
        chosen = rng.choice(len(sources), BATCH)
        collate.set_epoch(k)
        images, _ = collate([(sources[i], int(i) % 10, n) for n, i in enumerate(chosen)])
        assert images.shape == (BATCH, 3, 48, 48)
    return anonymous_memory() - before


@pytest.mark.parametrize(("what", "decode"), [("paths", "scaled"), ("bytes", "exact")])
@pytest.mark.parametrize(
    "batches", [60, pytest.param(1000, marks=pytest.mark.thorough)], ids=["short", "long"]
)
def test_memory_is_flat_over_batches_of_files(files, batches, what, decode):
    sources = files if what == "paths" else [file.read_bytes() for file in files]
    collate = ae.Collate(POLICY, seed=1, decode=decode)
    assert growth(batches, collate, sources, np.random.default_rng(2)) < MOST_GROWTH


def test_memory_is_flat_where_images_are_damaged(files):
    """Errors, and what they hold, go too; and so do the good images of their batches."""
    damaged = []
    for file in files:
        data = file.read_bytes()
        damaged += [data, data[: len(data) // 3]]
    collate = ae.Collate(POLICY, seed=1, decode=ae.DecodeOptions(corrupt="raise"))
    rng = np.random.default_rng(2)
    raised = 0
    for k in range(WARM + 60):
        if k == WARM:
            before = anonymous_memory()
        chosen = rng.choice(len(damaged), BATCH)
        collate.set_epoch(k)
        try:
            collate([(damaged[i], 0, n) for n, i in enumerate(chosen)])
        except ae.DecodeError:
            raised += 1
    assert raised > 60
    assert anonymous_memory() - before < MOST_GROWTH


def test_the_bound_finds_a_batch_that_keeps_an_image(files):
    """Of every batch one image, decoded, is kept on purpose."""
    kept = []

    class Keeping(ae.Collate):
        def __call__(self, samples):
            big = max(samples, key=lambda sample: sample[0].stat().st_size)
            kept.append(ae.decode(big[0]))
            return super().__call__(samples)

    collate = Keeping(POLICY, seed=1)
    assert growth(60, collate, files, np.random.default_rng(2)) > MOST_GROWTH
    assert kept
