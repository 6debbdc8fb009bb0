"""What is done to a data set's images: for the test, for training, and as the noise of a student."""

from __future__ import annotations

import dataclasses
import json
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..policy.ops import (
    CenterCrop,
    Compose,
    Cutout,
    FixMatchAugment,
    Normalize,
    Op,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    TrivialAugmentWide,
)
from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes.named import named, one_policy
from .data import Data


def evaluation_policy(data: Data) -> Policy:
    """Size and normalise, without noise: for tests, and for a teacher that labels."""
    if data.name == "folder":
        resize = Resize(round(data.size * 256 / 224), **_filter(data))
        return Policy([resize, CenterCrop(data.size), _normalize(data)])
    return Policy([*_exact_size(data), _normalize(data)])


def notes(data: Data) -> dict[str, str]:
    """What a model's file says of its use, beside its weights: its classes in the order of its outputs, the
    channels of its images, and the policy that they go through."""
    return {
        "classes": json.dumps(data.classes),
        "channels": str(data.channels),
        "policy": evaluation_policy(data).to_yaml(),
    }


def default_policy(data: Data) -> Policy:
    """Size, crop or move, mirror where that keeps the meaning, and normalise."""
    return Policy([*_geometry(data), _normalize(data)])


def training_policy(name: str, data: Data) -> Policy:
    """The policy that a setting names.

    Args:
        name: "" for the default policy, "none" for the evaluation policy, "randaugment" or
            "trivialaugment" for the default one with these operations; an op or a string of timm's, which
            stands among the default ones too; or the name of a preset or a YAML file.
        data: Data set, whose size, mean and std a policy takes.

    A preset or a file normalises by the data's mean and std, as the images are normalised that the model is
    asked about: a Normalize of its own gives way, with a warning, and one is added where there is none.

    Raises:
        ValueError: When the name is none of these.
        OSError: When the file cannot be read.
    """
    if name == "":
        return default_policy(data)
    if name == "none":
        return evaluation_policy(data)
    operations: dict[str, list[Op]] = {
        "randaugment": [RandAugment(2, 9)],
        "trivialaugment": [TrivialAugmentWide()],
    }
    if name in operations:
        return Policy([*_geometry(data), *operations[name], _normalize(data)])
    # A run's folder names it too, and may come from a stranger: no code is run.
    chosen = named(name, "policy", also=("none", *operations), code=False)
    policy = one_policy("policy", chosen.policy, name)
    if chosen.kind in ("timm", "op"):
        return Policy([*_geometry(data), *policy.top, _normalize(data)])
    return _normalised(policy, data, name)


def _normalised(policy: Policy, data: Data, name: str) -> Policy:
    """A policy that normalises as the data's others do. A model that learned other values than it is asked
    about would be wrong without an error."""
    wanted, top = _normalize(data), list(policy.top)
    own = next((op for op in top if isinstance(op, Normalize)), None)
    if own is None:
        top.append(wanted)
    elif _same(own.mean, wanted.mean) and _same(own.std, wanted.std):
        return policy
    else:
        warnings.warn(
            f"policy {name}: {own!r} gives way to {wanted!r}, by which the model's images are normalised when "
            "it is asked. Leave it out of the policy to be rid of this warning.",
            stacklevel=4,
        )
        top[top.index(own)] = wanted
    whole = policy.transforms[0] if len(policy.transforms) == 1 else None
    # Draws are keyed by an op's place, and a Compose has a place of its own.
    return Policy(dataclasses.replace(whole, transforms=top) if isinstance(whole, Compose) else top)


def _same(own: ArrayLike, wanted: ArrayLike) -> bool:
    """Whether numbers are the same for every channel; one number stands for all."""
    return bool(np.all(np.equal(own, wanted)))


def weak_and_strong(data: Data) -> Views:
    """FixMatch's two views: `weak` is the default policy, `strong` adds operations and a Cutout."""
    strong = [*_geometry(data), FixMatchAugment(), _normalize(data), Cutout()]
    return Views(weak=default_policy(data), strong=Policy(strong))


def _normalize(data: Data) -> Normalize:
    return Normalize(data.mean, data.std)


def _filter(data: Data) -> dict[str, Any]:
    """The filter of a resize, where the data names one."""
    return {} if data.interpolation is None else {"interpolation": data.interpolation}


def _exact_size(data: Data) -> list[Op]:
    return [Resize((data.size, data.size), **_filter(data))]


def _geometry(data: Data) -> list[Op]:
    if data.name == "digits":
        # A mirrored or upturned digit is no digit.
        return [
            *_exact_size(data),
            RandomAffine(12, translate=(0.1, 0.1), scale=(0.85, 1.15), shear=8),
        ]
    if data.name == "elpv":
        # A cell has no up and no left. A defect may lie at its edge, so nothing much is cut off.
        moves = RandomAffine(3, translate=(0.02, 0.02), scale=(0.98, 1.02))
        return [*_exact_size(data), moves, RandomHorizontalFlip(), RandomVerticalFlip()]
    if data.name == "folder":
        return [RandomResizedCrop(data.size, **_filter(data)), RandomHorizontalFlip()]
    crop = RandomCrop(data.size, padding=data.size // 8, pad_if_needed=True)
    return [*_exact_size(data), crop, RandomHorizontalFlip()]
