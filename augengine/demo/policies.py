"""Policies that commands are told by name: a preset's, or a YAML file's."""

from __future__ import annotations

from pathlib import Path

from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes import presets
from ..untrusted import read_text

PRESETS = (
    "imagenet",
    "deit3",
    "cifar",
    "fixmatch",
    "simclr",
    "byol",
    "dino",
    "noisy_student",
    "detection_yolo",
)


def read_or_preset(policy: str | None) -> tuple[Policy | Views, str]:
    """A policy from a YAML file or of a preset's name, and its name.

    Raises:
        ValueError: When it is neither.
        OSError: When the file cannot be read.
    """
    name = policy or PRESETS[0]
    if name in PRESETS:
        return getattr(presets, name)(), f"presets.{name}()"
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"--policy: got {name}, expected a YAML file that exists, or one of {', '.join(PRESETS)}."
        )
    return read_policy(path), name


def read_policy(path: Path) -> Policy:
    """A policy from a YAML file.

    Raises:
        ValueError: When the file says no policy; the message has the file's name.
        OSError: When it cannot be read.
    """
    try:
        text = read_text(path)
    except FileNotFoundError as error:
        raise OSError(f"--policy {path}: there is no such file. Check the path.") from error
    try:
        return Policy.from_yaml(text)
    except (ValueError, TypeError) as error:
        raise ValueError(f"--policy {path}: {error}") from error
