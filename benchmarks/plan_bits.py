"""Hashes of plans, field by field, for what must be the same on every machine.

    python -m benchmarks.plan_bits > here.txt      # then on another machine, Python or NumPy
    python -m benchmarks.plan_bits | diff here.txt -

A line is one field of one policy's plans. All ops are in it, at strengths below 1 too. Nothing is drawn
on images: pixels depend on the machine, plans do not.
"""

from __future__ import annotations

import hashlib

import numpy as np

import augengine as ae
from augengine.plan.fields import array_fields
from augengine.policy.keyed import id_of_name

from .hashes import cases

SAMPLES, EPOCHS = 48, (0, 3)


def policies():
    """{name: (policy, channels)}: those of `hashes`, and what has draws of its own beside them."""
    for name, policy, channels, _, _ in cases():
        yield name, policy, channels
    resize = ae.Resize((40, 40))
    for name, ops in {
        "perspective at its strongest": [ae.RandomPerspective(1.0, p=1), ae.ColorJitter(contrast=0.5)],
        "expanded rotation": [ae.RandomRotation(180, expand=True), ae.RandomQuarterTurn()],
        "sheared affine": [ae.RandomAffine(180, (0.5, 0.5), (0.01, 100), (-89, 89, -45, 45))],
        "gamma": [ae.RandomGamma((0.01, 100)), ae.RandomSolarizeAdd((-255, 255), 1)],
        "stratified": [ae.RandomRotation(9, stratify=True), ae.RandomGamma(stratify=True)],
        "weighted choices": [ae.RandAugment(3, dialect="timm", choices="weights", magnitude_std=1)],
        "spread levels": [ae.AutoAugment("v0", dialect="timm", magnitude_std=3)],
        "AugMix of timm": [ae.AugMix(9.5, 9, 4, alpha=0.3, dialect="timm")],
        "AugMix of one chain": [ae.AugMix(10, 1, -1, alpha=3.0)],
        "one of many": [ae.OneOf([ae.RandomRotation(k) for k in range(1, 12)], p=[*range(1, 12)])],
    }.items():
        yield name, ae.Policy([*ops, resize]) if "AugMix" not in name else ae.Policy([resize, *ops]), 3
    for alpha in (0.05, 0.7, 4.0):
        mixes = [ae.MixUpOrCutMix(alpha, alpha), ae.MixUp(alpha, p=0.5), ae.CutMix(alpha, p=0.5)]
        yield f"mixes of alpha {alpha}", ae.Policy([resize, *mixes]), 3
    boxes = [ae.RandomErasing(1, (0.01, 0.9), (0.01, 100), "color", 5), ae.Cutout((0.1, 0.9))]
    yield "boxes", ae.Policy([ae.RandomResizedCrop(40, (0, 1), (0.01, 100)), *boxes]), 3


def plans(policy: ae.Policy, channels: int):
    """Plans over odd sizes, small and large, ids of all kinds, two epochs, and three strengths."""
    number = np.arange(SAMPLES)
    sizes = 57 + np.stack([number * 389 % 843, number * 631 % 839], axis=1)
    ids = np.array([id_of_name(str(k)) for k in number])
    spread = number / (SAMPLES - 1)
    for epoch in EPOCHS:
        for seed, strength in ((0, None), (-(2**63), 0.3), (2**40 + 1, spread)):
            yield policy.sample(
                ids, sizes, seed=seed, epoch=epoch, channels=channels, strength=strength
            )


def hashes():
    """(hash, field, policy), field by field."""
    for name, policy, channels in policies():
        made = [*plans(policy, channels)]
        for part in array_fields(made[0]):
            digest = hashlib.sha256()
            for plan in made:
                digest.update(np.ascontiguousarray(getattr(plan, part.name)).tobytes())
            yield digest.hexdigest()[:16], part.name, name


def main() -> None:
    """Print a line for each field of each policy's plans."""
    for digest, part, policy in hashes():
        print(f"{digest}  {part:10}  {policy}")


if __name__ == "__main__":
    main()
