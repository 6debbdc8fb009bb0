"""Hashes of plans, pixels, labels, boxes and masks, for a change that must not change any.

    python -m benchmarks.hashes > before.txt      # then change the code
    python -m benchmarks.hashes | diff before.txt -

A line is one policy on one executor. Executors: cpu and torch, and gpu under Triton's interpreter
where `TRITON_INTERPRET=1` is set. Hashes hold on one machine and one set of installed libraries:
`log` and `exp` may differ in the last place on another.
"""

from __future__ import annotations

import dataclasses
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
        ae.RandomSolarize("#80"),
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
    sensors = [
        crop,
        ae.RandomMotionBlur(),
        ae.RandomPlanckianJitter(),
        ae.RandomDefocus((1, 4)),
        ae.RandomShadow(),
        ae.RandomSaltAndPepperNoise(),
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
    converted = [
        *(ae.ToImage(), ae.PILToTensor(), ae.ConvertImageDtype(), ae.RandomSolarize(0.4)),
        *(
            ae.ToDtype(torch.uint8, scale=True),
            ae.Resize(None, max_size=40),
            ae.LetterBox(SIZE, 90),
        ),
        *(
            ae.ToTensor(),
            ae.RandomRotation(20, expand=True, center=(9, 5), fill="#5a"),
            ae.LetterBox(SIZE),
        ),
        *(ae.RandomErasing(value=0.3), ae.ToPureTensor()),
    ]
    nearest = [ae.RandomAffine(20, interpolation="nearest", fill=90), ae.CenterCrop(SIZE)]
    plain = [ae.RandomResizedCrop(SIZE, antialias=False), flip, ae.CutMix(), normalize]
    augmix = [crop, ae.AugMix(), ae.CutMix(same_on_batch=True)]
    sizes = [
        ae.RandomZoomOut(90, (1, 2)),
        ae.RandomApply(ae.RandomIoUCrop(sampler_options=(0, 0.5)), 0.5),
        ae.OneOf([ae.RandomShortestSize((30, 60), 80), ae.RandomResize(30, 60)]),
        ae.DuringEpochs([ae.RandomRotation(20)], 3),
        ae.Scheduled([ae.RandomRotation(20)], p=ae.Ramp([(0, 0.2), (9, 1)]), magnitude=0.5),
        ae.ScaleJitter((SIZE, SIZE), (0.5, 2)),
        ae.Pad((1, 2, 3, 4)),
        ae.OneOf([ae.FixedSizeCrop(SIZE), ae.LetterBox(SIZE)]),
    ]
    padded = [ae.RandomResize(30, 60), ae.PadIfSmaller(40), ae.PadToLargest(8, 90)]
    padded += [ae.RandomPhotometricDistort(), ae.RandomGamma()]
    ordered = [
        ae.RandomResizedCrop(64),
        ae.RandomOrder([ae.RandomRotation(9), ae.ColorJitter(0.3), ae.RandomGamma()]),
        ae.RandomChoice([ae.FiveCrop(SIZE, 1), ae.TenCrop(SIZE, True, 8)], (1, 2)),
        ae.Grayscale(),
        ae.ElasticTransform(),  # of the last two here the plan alone is hashed
        ae.JPEG((30, 90)),
    ]
    byte, half, last = torch.uint8, torch.float16, torch.channels_last
    yield "crop and flip", ae.Policy(plain), 3, byte, {"num_classes": 5}
    yield "geometry", ae.Policy(geometric), 3, byte, {}
    yield "geometry of floats", ae.Policy(geometric), 3, torch.float32, {"strength": 0.5}
    yield "geometry of one channel", ae.Policy(geometric), 1, byte, {"dtype": byte}
    yield "geometry of five channels", ae.Policy(geometric), 5, byte, {"memory_format": last}
    yield "colour", ae.Policy(colour), 3, byte, {"dtype": half}
    yield "colour of floats", ae.Policy(colour), 3, torch.float32, {"memory_format": last}
    yield "filters", ae.Policy(filters), 3, byte, {"dtype": torch.bfloat16}
    yield "sensors", ae.Policy(sensors), 3, byte, {}
    yield "mixes", ae.Policy([*mixes, normalize]), 3, byte, {"label_smoothing": 0.1}
    yield "erased", ae.Policy(erased), 3, byte, {"num_classes": 7, "dtype": byte}
    yield "border", ae.Policy(border), 3, byte, {"memory_format": last, "dtype": byte}
    yield "chosen", ae.Policy(chosen), 3, byte, {"num_classes": 5}
    yield "nearest", ae.Policy(nearest), 3, byte, {}
    yield "sizes", ae.Policy(sizes), 3, byte, {"dtype": byte}
    yield "padded", ae.Policy(padded), 3, byte, {"dtype": byte}
    yield "ordered", ae.Policy(ordered), 3, byte, {"dtype": byte}
    yield "grey as RGB", ae.Policy([*colour, ae.RGB()]), 1, byte, {}
    yield "converted", ae.Policy(converted), 3, byte, {}
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
                sizes = [tuple(image.shape[1:]) for image in images]
                if policy.needs_boxes:
                    plan = policy.sample(ids, sizes, seed=7, epoch=epoch, boxes=boxes)
                else:
                    plan = engine.plan(sizes, ids, epoch, channels=channels)
                digest.update(plan.to_bytes())
                batch = ae.execute(plan, images, executor=executor)
                digest.update(batch.contiguous().view(torch.uint8).numpy().tobytes())
                digest.update(ae.soft_labels(plan, labels, 5).numpy().tobytes())
                digest.update(" ".join(map(plan.explain, range(6))).encode())
                if executor == "cpu" and not plan.border.any():  # no target follows to a copy
                    # Of what is not fused only a plan knows.
                    plan = dataclasses.replace(plan, after=())
                    for moved, origin, *_ in ae.boxes(plan, boxes):
                        digest.update(moved.tobytes() + origin.tobytes())
                    digest.update(ae.masks(plan, masks).numpy().tobytes())
            print(f"{digest.hexdigest()[:16]}  {executor:5}  {name}", flush=True)


if __name__ == "__main__":
    main()
