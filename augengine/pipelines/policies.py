"""What is done to a data set's images: for the test, for training, and as the noise of a student."""

from __future__ import annotations

from pathlib import Path

from ..policy.ops import (
    CenterCrop,
    Cutout,
    FixMatchAugment,
    Normalize,
    Op,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    TrivialAugmentWide,
)
from ..policy.policy import Policy
from ..policy.views import Views
from .data import Data


def plain(data: Data) -> Policy:
    """Sized and normalised: for tests, and for a teacher that labels without noise."""
    if data.name == "folder":
        return Policy(
            [Resize(round(data.size * 256 / 224)), CenterCrop(data.size), _normalize(data)]
        )
    return Policy([*_exact(data), _normalize(data)])


def usual(data: Data) -> Policy:
    """Sized, cropped or moved, mirrored where that keeps the meaning, normalised."""
    return Policy([*_moved(data), _normalize(data)])


def named(what: str, data: Data) -> Policy:
    """The policy of a name, of a YAML file, or the usual one for "".

    Raises ValueError for anything else.
    """
    if what == "":
        return usual(data)
    if what == "none":
        return plain(data)
    extra: dict[str, list[Op]] = {
        "randaugment": [RandAugment(2, 9)],
        "trivialaugment": [TrivialAugmentWide()],
    }
    if what in extra:
        return Policy([*_moved(data), *extra[what], _normalize(data)])
    if Path(what).is_file():
        return Policy.from_yaml(Path(what).read_text("utf-8"))
    raise ValueError(
        f"policy: got {what!r}, expected none, {', '.join(extra)}, or a YAML file as Policy.to_yaml writes "
        "it. Leave it out for the data's own."
    )


def weak_and_strong(data: Data) -> Views:
    """FixMatch's two looks: `weak` is the usual one, `strong` adds operations and a Cutout."""
    strong = [*_moved(data), FixMatchAugment(), _normalize(data), Cutout()]
    return Views(weak=usual(data), strong=Policy(strong))


def _normalize(data: Data) -> Op:
    return Normalize(data.mean, data.std)


def _exact(data: Data) -> list[Op]:
    return [Resize((data.size, data.size))]


def _moved(data: Data) -> list[Op]:
    if data.name == "digits":
        # A mirrored or upturned digit is no digit.
        return [
            *_exact(data),
            RandomAffine(12, translate=(0.1, 0.1), scale=(0.85, 1.15), shear=8),
        ]
    if data.name == "folder":
        return [RandomResizedCrop(data.size), RandomHorizontalFlip()]
    crop = RandomCrop(data.size, padding=data.size // 8, pad_if_needed=True)
    return [*_exact(data), crop, RandomHorizontalFlip()]
