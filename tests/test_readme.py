"""The README's Python runs as it stands, one block after the other."""

import re
from pathlib import Path

import numpy as np
import torch

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S)
SIZES = [(40, 50), (30, 30), (64, 41), (50, 80)]


def sample(i):
    height, width = SIZES[i % len(SIZES)]
    return np.full((height, width, 3), 10 * (i % 20), np.uint8), i % 10


def test_the_blocks_run():
    assert len(BLOCKS) == 5
    images, labels = zip(*map(sample, range(8)), strict=True)
    names = {"dataset": [sample(i) for i in range(130)]}
    exec(BLOCKS[0], names)
    assert names["images"].shape == (2, 3, 224, 224)  # the last of 64, 64 and 2
    torch.testing.assert_close(names["labels"].sum(1), torch.ones(2))
    assert len(names["plan"]) == 2

    exec(BLOCKS[1], names)
    assert len(names["loader"]) == 3
    assert names["images"].shape == (2, 3, 224, 224)
    torch.testing.assert_close(names["labels"].sum(1), torch.ones(2))

    names |= {"images": list(images), "labels": list(labels), "ids": np.arange(8)}
    exec(BLOCKS[2], names)
    assert torch.equal(names["batch"].images, names["pixels"])
    assert names["batch"].plan == names["plan"]

    exec(BLOCKS[3], names)
    assert names["ae"].Policy.from_yaml(names["text"]) == names["policy"]
    exec(BLOCKS[4], names)
    assert [len(names["crops"]), names["weak"].images.shape[-1]] == [6, 32]
    assert len(names["found"]) == 8
