"""Pictures of an operation or a policy, drawn by the engine from a photograph that may be shipped.

An operation is drawn at five strengths, for one id: the same draw, pulled from nothing to what it says. One
that strength leaves as it is shows five draws, one with a schedule five epochs.
"""

from __future__ import annotations

import html
import io
import itertools
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image

import augengine as ae
from augengine.demo.photographs import shipped_photographs
from augengine.sheet import displayed

# ruff: noqa: E501  (the table of arguments)

SIZE = (200, 300)
STRENGTHS = {"0": 0.0, "¼": 0.25, "½": 0.5, "¾": 0.75, "1": 1.0}
EPOCHS = (0, 10, 30, 60, 90)
TRIED = 8  # ids among which the one that is shown is looked for
WARM = {"brightness": 0.6, "contrast": 0.6, "saturation": 0.6, "hue": 0.2}
# Arguments that make an effect seen; `p` is 1 where there is one.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "CenterCrop": {"size": 150},
    "ColorJitter": WARM,
    "Compose": {"transforms": [ae.RandomRotation(30), ae.RandomGrayscale(1)]},
    "ConvertImageDtype": {},
    "CutMix": {"alpha": 1.0},
    "DuringEpochs": {"transforms": [ae.RandomRotation((30, 30))], "start": 5, "stop": 50},
    "ElasticTransform": {"alpha": 200.0, "sigma": 6.0},
    "FixedSizeCrop": {"size": (240, 240)},
    "FixMatchAugment": {},
    "FiveCrop": {"size": 110},
    "GaussianBlur": {"kernel_size": 11, "sigma": (3.0, 4.0)},
    "GaussianNoise": {"sigma": 0.2},
    "Grayscale": {"num_output_channels": 3},
    "JPEG": {"quality": 8},
    "Lambda": {"lambd": lambda image: image.flip(-1)},
    "LetterBox": {"size": (220, 220), "fill": 114},
    "Normalize": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "OneOf": {"transforms": [ae.RandomInvert(1), ae.RandomRotation((40, 40)), ae.RandomGrayscale(1)]},
    "Pad": {"padding": 30, "fill": 128},
    "PadIfSmaller": {"size": (240, 320)},
    "PadToLargest": {"divisor": 64},
    "RandomAdjustSharpness": {"sharpness_factor": 5},
    "RandomAffine": {"degrees": 30, "translate": (0.2, 0.2), "scale": (0.7, 1.3), "shear": 20},
    "RandomApply": {"transforms": [ae.RandomInvert(1)], "p": 0.5},
    "RandomBrightness": {"delta": 0.5},
    "RandomChoice": {"transforms": [ae.RandomInvert(1), ae.RandomRotation((40, 40)), ae.RandomGrayscale(1)]},
    "RandomCrop": {"size": 130},
    "RandomDefocus": {"radius": (5, 8)},
    "RandomGamma": {"gamma": (0.3, 3.0)},
    "RandomMotionBlur": {"kernel_size": (15, 19)},
    "RandomOrder": {"transforms": [ae.RandomRotation((40, 40)), ae.RandomPerspective(0.5, 1), ae.RandomSolarize("#60", 1)]},
    "RandomPhotometricDistort": {"hue": (-0.15, 0.15)},
    "RandomPosterize": {"bits": 2},
    "RandomResize": {"min_size": 80, "max_size": 220},
    "RandomResizedCrop": {"size": SIZE, "scale": (0.1, 0.6)},
    "RandomRotation": {"degrees": 45},
    "RandomSaltAndPepperNoise": {"amount": (0.1, 0.2)},
    "RandomShortestSize": {"min_size": [80, 110, 140, 170, 200]},
    "RandomSolarize": {"threshold": 60},
    "Resize": {"size": 120},
    "ScaleJitter": {"target_size": SIZE, "scale_range": (0.4, 1.0)},
    "Scheduled": {"transforms": [ae.RandomRotation((45, 45))], "magnitude": ae.Ramp([(0, 0.0), (90, 1.0)])},
    "SomeOf": {"transforms": [ae.RandomRotation((40, 40)), ae.RandomGrayscale(1), ae.RandomSolarize("#60", 1)], "num_ops": 2, "replace": False},
    "Stage": {"module": torch.nn.AvgPool2d(8)},
    "TenCrop": {"size": 110},
    "ThreeAugment": {"sigma": (2.0, 3.0)},
    "ToDtype": {"dtype": "float32", "scale": True},
}  # fmt: skip
# These change no pixel, or what they make is no picture to look at.
UNSEEN = {
    **dict.fromkeys(
        ("ConvertImageDtype", "PILToTensor", "ToDtype", "ToImage", "ToPureTensor", "ToTensor"),
        "It changes no pixel, so there is no picture of it.",
    ),
    "Normalize": "Its output is numbers about 0, so there is no picture of it.",
    "RGB": "It copies a grey image into three channels, so its picture looks as before.",
    "Lambda": "It calls a function of yours, so there is no picture of it.",
}


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W, 3), a heading such as a strength, and the plan's own words."""

    pixels: np.ndarray
    heading: str
    caption: str


@cache
def photographs() -> tuple[np.ndarray, ...]:
    """A cat, and its partners in mixes; of one size, antialiased."""
    named = {photograph.name: photograph.pixels for photograph in shipped_photographs()}
    return tuple(_fitted(named[name]) for name in ("chelsea", "coffee", "astronaut", "rocket"))


def _fitted(pixels: np.ndarray) -> np.ndarray:
    image, (height, width) = Image.fromarray(pixels), SIZE
    scale = max(height / image.height, width / image.width)
    resized = image.resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
    )
    left, top = (resized.width - width) // 2, (resized.height - height) // 2
    return np.asarray(resized.crop((left, top, left + width, top + height)))


def example(name: str) -> ae.Op:
    """The operation as it is drawn on its page."""
    kind = getattr(ae, name)
    arguments = dict(ARGUMENTS.get(name, {}))
    chance = kind.__dataclass_fields__.get("p")
    if chance is not None and isinstance(chance.default, (int, float)) and "p" not in arguments:
        arguments["p"] = 1
    return kind(**arguments)


def drawn(policy: ae.Policy, key: int, strength: float = 1.0, epoch: int = 0) -> Picture:
    """One output of a policy: its pixels, and what its plan says."""
    images = list(photographs() if policy.mixes else photographs()[:1])
    # The partners of a mix have ids of their own.
    ids = [key, *range(1000, 1000 + len(images) - 1)]
    boxes = [np.array([[90.0, 30.0, 240.0, 170.0]])] * len(images)
    engine = ae.Engine(policy, seed=0, strength=strength)
    needed = {"targets": [{"boxes": torch.tensor(b)} for b in boxes]} if policy.needs_boxes else {}
    batch = engine(images, ids=ids, epoch=epoch, **needed)
    shown = displayed(batch.images[:1], batch.plan.finish)[0]
    return Picture(shown, "", batch.plan.explain(0))


def _differs(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(one.astype(np.float32) - other).mean())


def chosen_id(policy: ae.Policy) -> int:
    """An id whose draw is seen to grow: many different pictures, the first change in the middle, and of these
    ids one whose picture changes much and not most."""
    looks: dict[int, tuple[int, int, float]] = {}
    for key in range(TRIED):
        shown = [drawn(policy, key, strength).pixels for strength in STRENGTHS.values()]
        steps = [_differs(a, b) > 0 for a, b in itertools.pairwise(shown)]
        first = steps.index(True) if True in steps else len(steps)
        looks[key] = sum(steps), -abs(first - 1), _differs(shown[0], shown[-1])
    best = max(look[:2] for look in looks.values())
    alike = sorted((key for key in looks if looks[key][:2] == best), key=lambda key: looks[key][2])
    return alike[-min(2, len(alike))]


def has_strength(policy: ae.Policy) -> bool:
    """Whether strength changes what is drawn."""
    return any(
        _differs(drawn(policy, key).pixels, drawn(policy, key, 0.0).pixels) > 0 for key in range(4)
    )


@cache
def pictures(name: str) -> tuple[str, list[Picture]]:
    """What varies from picture to picture, in words, and the pictures of an operation."""
    op = example(name)
    if name in UNSEEN:
        return UNSEEN[name], []
    policy = ae.Policy(op)
    if name in ("FiveCrop", "TenCrop"):
        batches = ae.Engine(ae.Views(crops=policy))([photographs()[0]], ids=[0])["crops"]
        shown = [displayed(batch.images, batch.plan.finish)[0] for batch in batches]
        words = [batch.plan.explain(0) for batch in batches]
        return f"All {len(shown)} views of one image.", [
            Picture(pixels, f"view {k}", text)
            for k, (pixels, text) in enumerate(zip(shown, words, strict=True))
        ]
    if name in ("DuringEpochs", "Scheduled"):
        made = [(f"epoch {epoch}", drawn(policy, 3, epoch=epoch)) for epoch in EPOCHS]
        what = "One sample in five epochs."
    elif has_strength(policy):
        key = chosen_id(policy)
        made = [(word, drawn(policy, key, value)) for word, value in STRENGTHS.items()]
        what = f"One draw (id {key}, epoch 0, seed 0) at five strengths, from 0 to what the operation says."
        changes = [_differs(a.pixels, b.pixels) > 0 for (_, a), (_, b) in itertools.pairwise(made)]
        if sum(changes) == 1:
            what += " Strength makes it less probable, and leaves how much it does."
    elif not policy.draws:
        return "It leaves nothing to chance, and strength leaves it as it is.", [
            _headed("before", Picture(photographs()[0], "", "the photograph as it came")),
            _headed("after", drawn(policy, 0)),
        ]
    else:
        return "Strength leaves it as it is, so here are the draws of five ids.", draws(name)
    return what, [_headed(word, picture) for word, picture in made]


def draws(name: str) -> list[Picture]:
    """What five ids draw."""
    policy = ae.Policy(example(name))
    return [_headed(f"id {key}", drawn(policy, key)) for key in range(5)]


def _headed(heading: str, picture: Picture) -> Picture:
    return Picture(picture.pixels, heading, picture.caption or "nothing happens")


def strip(stem: str, shown: list[Picture]) -> tuple[str, dict[str, bytes]]:
    """HTML of a strip of pictures, and its files."""
    files, figures = {}, []
    for k, picture in enumerate(shown):
        name, data = f"{stem}-{k}.webp", io.BytesIO()
        # Noise and blocks of JPEG are what some pictures show: quality that keeps them.
        Image.fromarray(picture.pixels).save(data, "WEBP", quality=88, method=4)
        files[name] = data.getvalue()
        height, width = picture.pixels.shape[:2]
        words = html.escape(f"{picture.heading}: {picture.caption}")
        figures.append(
            f'<figure><span><img src="{name}" width="{width}" height="{height}" alt="{words}" '
            f'loading="lazy" style="width:{100 * width / 300:.3g}%"></span><figcaption>'
            f"<strong>{html.escape(picture.heading)}</strong> {html.escape(picture.caption)}"
            "</figcaption></figure>"
        )
    return f'<div class="strip">{"".join(figures)}</div>', files
