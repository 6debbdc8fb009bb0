"""Hashes of plans, field by field, for what must be the same on every machine.

    python -m benchmarks.plan_bits > here.txt      # then on another machine, Python or NumPy
    python -m benchmarks.plan_bits | diff here.txt -

A line is one kind of draw, in float64, or one field of one policy's plans. All ops are in it, at strengths
below 1 too. No image is drawn: pixels may differ in the last place between machines, plans do not.
"""

from __future__ import annotations

import hashlib

import numpy as np

import augengine as ae
from augengine import elementary
from augengine.plan.fields import array_fields
from augengine.policy import colour, geometry
from augengine.policy.keyed import Keyed, dirichlet_variate, gamma_draws, id_of_name, normal

from .hashes import cases

SAMPLES, EPOCHS = 48, (0, 3)


def policies():
    """{name: (policy, channels)}: those of `hashes`, and what has draws of its own beside them."""
    for name, policy, channels, _, _ in cases():
        yield name, policy, channels
    resize = ae.Resize((40, 40))
    for name, ops in {
        "perspective at its strongest": [
            ae.RandomPerspective(1.0, p=1),
            ae.ColorJitter(contrast=0.5),
        ],
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
        yield (
            name,
            ae.Policy([*ops, resize]) if "AugMix" not in name else ae.Policy([resize, *ops]),
            3,
        )
    for alpha in (0.05, 0.7, 4.0):
        mixes = [ae.MixUpOrCutMix(alpha, alpha), ae.MixUp(alpha, p=0.5), ae.CutMix(alpha, p=0.5)]
        yield f"mixes of alpha {alpha}", ae.Policy([resize, *mixes]), 3
    boxes = [ae.RandomErasing(1, (0.01, 0.9), (0.01, 100), "color", count=5), ae.Cutout((0.1, 0.9))]
    yield "boxes", ae.Policy([ae.RandomResizedCrop(40, (0, 1), (0.01, 100)), *boxes]), 3


def plans(policy: ae.Policy, channels: int):
    """Plans over odd sizes, small and large, ids of all kinds, two epochs, and three strengths."""
    number = np.arange(SAMPLES)
    sizes = 57 + np.stack([number * 389 % 843, number * 631 % 839], axis=1)
    ids = np.array([id_of_name(str(k)) for k in number])
    boxes = [[[9, 9, 40, 50], [30, 20, 57, 57]]] * SAMPLES if policy.needs_boxes else None
    spread = number / (SAMPLES - 1)
    for epoch in EPOCHS:
        for seed, strength in ((0, None), (-(2**63), 0.3), (2**40 + 1, spread)):
            yield policy.sample(
                ids,
                sizes,
                seed=seed,
                epoch=epoch,
                channels=channels,
                strength=strength,
                boxes=boxes,
            )


def draws():
    """{name: float64 numbers} that plans are made of, before they are rounded to float32."""
    uniform = Keyed(3, 1, np.arange(4000)).uniform(0, 60)
    yield "uniform", uniform
    yield "log", elementary.log(uniform)
    yield "exp", elementary.exp(1400 * uniform - 700)
    yield "cosine and sine", np.stack(elementary.cos_sin(720 * uniform - 360, 90))
    yield "normal", normal(uniform[:, 0], uniform[:, 1])
    for alpha in (0.05, 0.7, 1.0, 4.0):
        yield (
            f"Dirichlet of {alpha}",
            dirichlet_variate(uniform[:, : 2 * gamma_draws(alpha)], alpha, 2),
        )
    yield "gamma", colour.gamma(100 * uniform[:300, 2])
    affine = geometry.inv_scale_shear(*(uniform[:, :3] * [9, 89, 89]).T)
    affine = geometry.product(affine, geometry.inv_rotation(360 * uniform[:, 3]))
    yield "affine", geometry.about(uniform[:, 4:6] * 500, affine)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * 500.0
    pulled = corners + np.floor(300 * uniform[:, 6:14]).reshape(-1, 4, 2) * np.where(corners, -1, 1)
    perspective = geometry.inv_perspective(pulled, np.broadcast_to(corners, pulled.shape))
    yield "perspective", perspective
    yield "bounds", geometry.bounds(perspective, *(500 * uniform[:, 14:18].T))


def digest(arrays) -> str:
    """16 hex digits of the bytes of some arrays."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:16]


def hashes():
    """(hash, field, what it is of): of the draws, then of the plans, field by field."""
    for name, numbers in draws():
        yield digest([numbers]), "float64", name
    for name, policy, channels in policies():
        of_policy = [*plans(policy, channels)]
        for part in array_fields(of_policy[0]):
            arrays = (getattr(plan, part.name) for plan in of_policy)
            yield digest(arrays), part.name, name


def main() -> None:
    """Print a line for each kind of draw, and for each field of each policy's plans."""
    for number, part, name in hashes():
        print(f"{number}  {part:10}  {name}")


if __name__ == "__main__":
    main()
