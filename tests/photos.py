"""The photographs that scikit-image and scikit-learn ship: six, of five sizes."""

from functools import cache

import numpy as np
import torch


@cache
def photo(name):
    """One photograph, uint8 tensor (3, H, W). Read-only by agreement: clone before writing."""
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        array = load_sample_image(f"{name}.jpg")
    else:
        from skimage import data

        array = getattr(data, name)()
    return torch.from_numpy(np.array(array[..., :3])).permute(2, 0, 1).contiguous()


NAMES = ("astronaut", "coffee", "chelsea", "rocket", "china", "flower")


def photos(*names):
    """Photographs as a ragged list; all six without names."""
    return [photo(name) for name in names or NAMES]


def patch(name, height, width, top=100, left=150):
    """A piece of one photograph (3, height, width)."""
    return photo(name)[:, top : top + height, left : left + width]


def patches(n, height=96, width=128):
    """A dense uint8 batch (n, 3, height, width) of pieces of the photographs, all different."""
    return torch.stack(
        [patch(NAMES[i % 6], height, width, 60 + 7 * (i // 6), 120 + 5 * i) for i in range(n)]
    )
