"""Hashes of plans, pixels, labels, boxes and masks, for a change that must not change any.

    python -m benchmarks.hashes > before.txt      # then change the code
    python -m benchmarks.hashes | diff before.txt -

A line is one policy on one executor. Executors: cpu and torch, and gpu under Triton's interpreter
where `TRITON_INTERPRET=1` is set. Hashes hold on one machine and one set of installed libraries:
`log` and `exp` may differ in the last place on another.
"""

from __future__ import annotations

import hashlib
import os

import numpy as np
import torch

import augengine as ae

SIZE = 40
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cases():
    """{name: (policy, channels, dtype of the images, options of the engine)}."""
    crop, flip = ae.RandomResizedCrop(SIZE), ae.RandomHorizontalFlip()
    normalize = ae.Normalize(MEAN, STD)
    resize = ae.Resize((SIZE, SIZE))
    geometric = [
        ae.RandomCrop(56, padding=6, pad_if_needed=True),
        ae.RandomAffine(20, (0.1, 0.1), (0.6, 1.4), (-10, 10, -5, 5)),
        ae.RandomPerspective(0.4),
        ae.RandomQuarterTurn(),
        ae.RandomRotation(30),
        ae.RandomVerticalFlip(alternate=True),
        resize,
    ]
    colour = [
        crop,
        ae.ColorJitter(0.4, 0.4, 0.4, 0.1),
        ae.RandomBrightness(),
        ae.RandomGamma(),
        ae.RandomSolarizeAdd(),
        ae.RandomPosterize(4),
        ae.RandomSolarize(128),
        ae.RandomAutocontrast(),
        ae.RandomEqualize(),
        ae.RandomInvert(0.2),
        ae.RandomDesaturate(),
        ae.RandomChannelPermutation(0.5),
        ae.RandomGrayscale(0.2),
    ]
    filters = [
        crop,
        ae.GaussianBlur(p=0.7),
        flip,
        ae.RandomAdjustSharpness((0, 2)),
        ae.GaussianNoise(sigma=(0, 0.2)),
        ae.RandomRotation(20),
    ]
    mixes = [crop, flip, ae.Mosaic(0.5), ae.MixUpOrCutMix(), ae.RandomErasing(0.8, value="random")]
    erased = [crop, ae.RandomErasing(count=(1, 3), value="color"), ae.Cutout(), ae.MixUp(0.4)]
    border = [ae.RandomCrop(SIZE, 8, True, padding_mode="reflect"), ae.RandomRotation(20)]
    chosen = [
        resize,
        ae.SomeOf([ae.RandomRotation(9, stratify=True), ae.ColorJitter(0.3), ae.RandomGamma()], 2),
        ae.OneOf([ae.RandomInvert(1), ae.RandomApply([ae.RandomVerticalFlip(1)], 0.5)]),
        ae.OneOf([ae.CutMix(), ae.MixUp()]),
    ]
    nearest = [ae.RandomAffine(20, interpolation="nearest", fill=90), ae.CenterCrop(SIZE)]
    plain = [ae.RandomResizedCrop(SIZE, antialias=False), flip, ae.CutMix(), normalize]
    augmix = [crop, ae.AugMix(), ae.CutMix(same_on_batch=True)]
    byte, half, last = torch.uint8, torch.float16, torch.channels_last
    yield "crop and flip", ae.Policy(plain), 3, byte, {"num_classes": 5}
    yield "geometry", ae.Policy(geometric), 3, byte, {}
    yield "geometry of floats", ae.Policy(geometric), 3, torch.float32, {"strength": 0.5}
    yield "geometry of one channel", ae.Policy(geometric), 1, byte, {"dtype": byte}
    yield "geometry of five channels", ae.Policy(geometric), 5, byte, {"memory_format": last}
    yield "colour", ae.Policy(colour), 3, byte, {"dtype": half}
    yield "colour of floats", ae.Policy(colour), 3, torch.float32, {"memory_format": last}
    yield "filters", ae.Policy(filters), 3, byte, {"dtype": torch.bfloat16}
    yield "mixes", ae.Policy([*mixes, normalize]), 3, byte, {"label_smoothing": 0.1}
    yield "erased", ae.Policy(erased), 3, byte, {"num_classes": 7, "dtype": byte}
    yield "border", ae.Policy(border), 3, byte, {"memory_format": last, "dtype": byte}
    yield "chosen", ae.Policy(chosen), 3, byte, {"num_classes": 5}
    yield "nearest", ae.Policy(nearest), 3, byte, {}
    yield "AugMix", ae.Policy(augmix), 3, byte, {"num_classes": 5}
    for name, policy in [
        ("RandAugment", ae.RandAugment()),
        ("RandAugment of timm", ae.from_timm("rand-m9-mstd0.5-inc1")),
        ("TrivialAugmentWide", ae.TrivialAugmentWide()),
        ("AutoAugment", ae.AutoAugment()),
        ("AutoAugment of timm", ae.AutoAugment("originalr", dialect="timm", magnitude_std=0.5)),
        ("ThreeAugment", ae.ThreeAugment()),
        ("UniformAugment", ae.UniformAugment()),
        ("FixMatchAugment", ae.FixMatchAugment()),
    ]:
        yield name, ae.Policy([crop, flip, policy]), 3, byte, {"dtype": byte}


def executors():
    """The names of the executors that are hashed."""
    yield from ("cpu", "torch")
    if os.environ.get("TRITON_INTERPRET") == "1":
        yield "gpu"


def images_of(channels: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Six images of different sizes; of floats two are planes, as ToTensor makes them."""
    generator, images = np.random.default_rng(channels), []
    for k, (height, width) in enumerate(
        [(64, 48), (50, 80), (40, 40), (97, 60), (64, 64), (33, 71)]
    ):
        y, x = np.mgrid[:height, :width] / 16
        smooth = np.stack(
            [np.sin(y + c) * np.cos(x * (1 + k / 4) - c) for c in range(channels)], -1
        )
        noisy = 110 * smooth + generator.normal(128, 20, smooth.shape)
        image = torch.from_numpy(noisy.clip(0, 255).astype(np.uint8)).movedim(-1, 0)
        if dtype != torch.uint8:
            image = image.to(dtype) / 255
        images.append(image.contiguous() if k < 2 else image)
    return images


def main() -> None:
    """Print a line for each policy and executor."""
    labels, ids = torch.arange(6) % 5, np.array([3, 1, 4, 15, 9, 2**40])
    boxes = [[[4.0, 4.0, 20.0, 30.0]]] * 6
    for name, policy, channels, dtype, options in cases():
        images = images_of(channels, dtype)
        masks = [
            image[0].mul(5 if dtype.is_floating_point else 1).to(torch.uint8) for image in images
        ]
        engine = ae.Engine(policy, seed=7, **{"num_classes": 5} | options)
        for executor in executors():
            digest = hashlib.sha256()
            for epoch in (0, 3):
                plan = engine.plan(
                    [tuple(image.shape[1:]) for image in images], ids, epoch, channels=channels
                )
                digest.update(plan.to_bytes())
                batch = ae.execute(plan, images, executor=executor)
                digest.update(batch.contiguous().view(torch.uint8).numpy().tobytes())
                digest.update(ae.soft_labels(plan, labels, 5).numpy().tobytes())
                digest.update(" ".join(map(plan.explain, range(6))).encode())
                if executor == "cpu":
                    for moved, origin in ae.boxes(plan, boxes):
                        digest.update(moved.tobytes() + origin.tobytes())
                    digest.update(ae.masks(plan, masks).numpy().tobytes())
            print(f"{digest.hexdigest()[:16]}  {executor:5}  {name}", flush=True)


if __name__ == "__main__":
    main()
