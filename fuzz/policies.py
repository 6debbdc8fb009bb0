"""Policies of any ops with any arguments that are allowed: the ends of each range, and what lies between."""

from __future__ import annotations

import dataclasses
from random import Random
from typing import Any

import augengine as ae
from augengine.policy import ops
from augengine.policy.ops import arguments
from augengine.policy.ops.op import LAYER, VIEW

SIDES = (1, 2, 3, 5, 8, 16, 17, 31, 32, 33, 50, 64)
CHOOSERS = (
    *(ae.Compose, ae.DuringEpochs, ae.RandomApply, ae.OneOf, ae.Scheduled, ae.SomeOf),
    *(ae.RandomChoice, ae.RandomOrder),
)
NEED_RGB = ("RandomGrayscale", "RandomDesaturate", "RandomChannelPermutation", "FixMatchAugment",
            "RandomPhotometricDistort", "RandomPlanckianJitter", "ThreeAugment")  # fmt: skip
SIZING = (
    ae.CenterCrop,
    ae.FixedSizeCrop,
    ae.LetterBox,
    ae.PadToLargest,
    ae.RandomCrop,
    ae.RandomResizedCrop,
    ae.Resize,
)
# These stand at the top of a policy alone.
AT_THE_TOP = (ae.Grayscale, ae.RGB)
# These give each image a size of its own, or want one that is large enough.
FREE = (
    ae.FiveCrop,
    ae.Pad,
    ae.PadIfSmaller,
    ae.RandomIoUCrop,
    ae.RandomResize,
    ae.RandomShortestSize,
    ae.RandomZoomOut,
    ae.ScaleJitter,
    ae.TenCrop,
)
# Ready policies that are told a size and nothing else.
PRESETS = (
    "imagenet",
    "deit3",
    "cifar",
    "detection_lsj",
    "detection_ssd",
    "detection_ssdlite",
    "detection_yolo",
    "segmentation",
)

# Refusals of a policy that is made by chance: its ops do not go together, or it is beyond a limit.
REFUSALS = (
    "expected one fill in a policy",
    "expected one interpolation in a policy",
    "expected one padding_mode in a policy",
    "one border",
    "one size",
    "comes after",
    "needs RGB",
    "expected RGB",
    "smaller than the crop",
    "Mosaic: an image already has a mix",
    "takes more than 268,435,456 weights at a time",
    "more than 1,024 layers lie on one image",
)

_ops = [getattr(ops, name) for name in ops.__all__]
VIEW_OPS = [op for op in _ops if getattr(op, "stages", None) == (VIEW, VIEW) and op is not ops.Op]
VIEW_OPS = [op for op in VIEW_OPS if op not in AT_THE_TOP]
LAYER_OPS = [op for op in _ops if getattr(op, "stages", None) == (LAYER, LAYER)]
LAYER_OPS = [op for op in LAYER_OPS if op is not ae.Normalize]


# They stand behind all numbers, whose units they would change.
CONVERSIONS = (
    *(ae.ToImage, ae.PILToTensor, ae.ToPureTensor, ae.ToTensor, ae.ConvertImageDtype),
    lambda: ae.ToDtype("float32", scale=True),
)
INTERPOLATIONS = (None, None, None, "nearest", "bicubic", ("bilinear", "bicubic", "nearest"))


@dataclasses.dataclass
class Shared:
    """What all ops of a policy have in common: they are refused otherwise."""

    rng: Random
    channels: int
    out: tuple[int, int]
    tame: bool  # no argument at the end of its range
    interpolation: str | tuple[str, ...] | None = None
    fill: Any = None
    padding_mode: str | None = None


def draw_policy(
    rng: Random, channels: int, size: tuple[int, int] | None = None, tame: bool = False
) -> ae.Policy:
    """A policy that is right for images of so many channels, all of whose outputs have one size: often
    `size`, if it is given. tame: arguments are not at the ends of their ranges."""
    if channels == 3 and rng.random() < 0.06:
        return getattr(ae.presets, rng.choice(PRESETS))(rng.choice((16, 32, 33)))
    out = (rng.choice(SIDES), rng.choice(SIDES))
    if rng.random() < 0.02:
        out = rng.choice(((2_000, 3), (3, 2_000), (1, 5_000)))
    if size is not None and max(size) <= 100 and rng.random() < 0.3:
        out = size
    fill = rng.choice((None, None, 0, 255, 100.5, "#80", tuple(20.0 * c for c in range(channels))))
    shared = Shared(rng, channels, out, tame, rng.choice(INTERPOLATIONS), fill)
    if rng.random() < 0.15:
        if size is not None and max(size) <= 100 and rng.random() < 0.5:
            shared.out = size
        transforms = _folded(shared)
    else:
        transforms = [_view_op(shared) for _ in range(rng.choice((0, 0, 1, 1, 2, 3)))]
        transforms += [_sizing(shared), *(_folded(shared) if rng.random() < 0.15 else ())]
    transforms += [_same_size(shared) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    mixed = [_built(ae.AugMix, shared)] if rng.random() < 0.06 else []
    if channels in (1, 3) and rng.random() < 0.08:
        transforms.append(_built(rng.choice(AT_THE_TOP), shared, num_output_channels=3))
    transforms += mixed
    transforms += [_layer_op(shared) for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    if rng.random() < 0.05:
        transforms.append(_built(ae.ElasticTransform, shared, interpolation="bilinear", sigma=3.0))
    if channels in (1, 3) and rng.random() < 0.05:
        transforms.append(_built(ae.JPEG, shared, quality=rng.choice((1, 50, (30, 100)))))
    if rng.random() < 0.1:
        transforms.append(rng.choice(CONVERSIONS)())
    return ae.Policy(transforms)


def _folded(shared):
    """What lies beyond a border is folded back, perhaps under a map with a horizon."""
    rng = shared.rng
    shared.padding_mode = rng.choice(("edge", *arguments.PADDING_MODES))
    padding = rng.choice((0, 8, (1, 3, 2, 0)))
    warp = {"interpolation": shared.interpolation, "fill": shared.fill}
    return [
        ae.RandomCrop(shared.out, padding, True, shared.fill, shared.padding_mode),
        *(
            [ae.RandomPerspective(rng.choice((0.3, 1.0, 1.0)), 1.0, **warp)]
            if rng.random() < 0.6
            else ()
        ),
    ]


def normalized(rng: Random, policy: ae.Policy, channels: int) -> ae.Policy:
    """The policy with a Normalize at its end."""
    if any(isinstance(op, ae.Normalize) for op in policy.transforms):
        return policy
    count = rng.choice((1, channels))
    mean, std = rng.choice(((0.45, 0.22), (0.0, 1.0), (-3.0, 0.01), (1.0, 100.0)))
    return ae.Policy([*policy.transforms, ae.Normalize([mean] * count, [std] * count)])


def _sizing(shared):
    return _built(
        shared.rng.choice(SIZING), shared, size=shared.out, max_size=None, pad_if_needed=True
    )


def _view_op(shared, depth=0):
    if depth < 3 and shared.rng.random() < 0.15:
        return _chooser(shared, depth, _view_op)
    while True:
        op = shared.rng.choice(VIEW_OPS)
        if shared.channels == 3 or op.__name__ not in NEED_RGB:
            return _built(op, shared)


def _same_size(shared, depth=0):
    """An op on the image that leaves its size, or a chooser of such."""
    if depth < 3 and shared.rng.random() < 0.2:
        return _chooser(shared, depth, _same_size)
    while True:
        op = _view_op(shared, 3)
        resizes = isinstance(op, (*SIZING, *FREE, ae.RandomQuarterTurn)) or getattr(
            op, "expand", False
        )
        if not resizes:
            return op


def _layer_op(shared, depth=0):
    if depth < 2 and shared.rng.random() < 0.2:
        return _chooser(shared, depth, _layer_op)
    return _built(shared.rng.choice(LAYER_OPS), shared)


def _chooser(shared, depth, draw):
    rng, kind = shared.rng, shared.rng.choice(CHOOSERS)
    # Alternatives must leave one size.
    all_of_them = kind in (ae.Compose, ae.DuringEpochs)  # a schedule may choose among samples
    draw = _same_size if draw is _view_op and not all_of_them else draw
    children = [draw(shared, depth + 1) for _ in range(rng.choice((1, 2, 2, 3)))]
    if kind is ae.DuringEpochs:
        return kind(children, rng.choice((0, 1, 7)), rng.choice((None, 8, 10**9)))
    if kind is ae.Scheduled:
        ramps = (0, 0.5, 1, ((0, 0), (1, 1)), ((1, 1), (7, 0), (10**9, 1)))
        stop = rng.choice((None, 8, 10**9))
        return kind(children, rng.choice((0, 1, 7)), stop, rng.choice(ramps), rng.choice(ramps))
    if kind is ae.RandomApply:
        return kind(children, rng.choice((0, 0.5, 1)))
    if kind is ae.OneOf and rng.random() < 0.5:
        return kind(children, [rng.choice((0, 1, 1e-9, 1e9)) for _ in children[1:]] + [1])
    if kind is ae.SomeOf:
        replace = rng.random() < 0.6
        most = 4 if replace else len(children)
        return kind(children, rng.randint(0, most), rng.choice((1.0, 0.0, (0.2, 0.7))), replace)
    return kind(children)


def _built(op, shared, **given):
    """An op with some of its arguments drawn: by their kinds, so that new ops are known here too."""
    rng, kinds = shared.rng, {a.name: a.kind for a in arguments.arguments_of(op)}
    chosen = {}
    for field in dataclasses.fields(op):
        name, kind = field.name, kinds.get(field.name)
        must = field.default is dataclasses.MISSING
        if name in given:
            chosen[name] = given[name]
        elif name == "pad_if_needed":
            chosen[name] = True
        elif name == "which":  # one of the views that it stands for
            chosen[name] = rng.randint(0, 4)
        elif name in ("interpolation", "fill"):
            chosen[name] = getattr(shared, name)
        elif not must and rng.random() < 0.4:
            continue
        elif name in SPECIAL and (op.__name__, name) not in BY_KIND:
            chosen[name] = SPECIAL[name](rng, shared)
        elif isinstance(field.default, bool):
            chosen[name] = rng.random() < 0.5
        elif kind is not None:
            value = _by_kind(rng, kind, shared.tame)
            if value is not None:
                chosen[name] = value
    if op is ae.ColorJitter and shared.channels != 3:
        chosen.pop("saturation", None), chosen.pop("hue", None)
    if op in (ae.RandAugment, ae.AutoAugment, ae.AugMix):
        _published(op, rng, chosen)
    if op is ae.RandomResize:
        chosen["max_size"] = chosen["min_size"] + rng.choice((1, 2, 40))
    for part in ("scale", "aspect_ratio") if op is ae.RandomIoUCrop else ():
        low, high = (chosen.pop(f"{end}_{part}", None) for end in ("min", "max"))
        if low is not None and high is not None:
            chosen |= {f"min_{part}": min(low, high), f"max_{part}": max(low, high)}
    return op(**chosen)


def _published(op, rng, chosen):
    """Only arguments of one dialect go together."""
    timm = rng.random() < 0.5
    for name in ("p", "magnitude_std", "max_magnitude", "increasing", "choices", "weights", "dialect",
                 "num_magnitude_bins", "num_ops", "mixture_width"):  # fmt: skip
        chosen.pop(name, None)
    if timm:
        chosen.pop("policy", None)
        if op is ae.AutoAugment:
            chosen["policy"] = rng.choice(("original", "originalr", "v0", "v0r"))
        chosen["dialect"] = "timm"
        chosen.pop("all_ops", None)
        if op is not ae.AugMix and rng.random() < 0.5:
            chosen["magnitude_std"] = rng.choice((0.5, 100.0))
    if op is ae.RandAugment:
        chosen["num_ops"] = rng.choice((0, 1, 2, 5))


# Arguments that are shares in one op, and something else in others.
BY_KIND = {("Cutout", "size"), ("Mosaic", "center"), ("RandomMotionBlur", "kernel_size")}
# Arguments whose kinds do not say what there is.
SPECIAL = {
    "size": lambda rng, shared: shared.out,
    "padding": lambda rng, shared: rng.choice((0, 1, (2, 3), (0, 40, 9, 1), 200)),
    "padding_mode": lambda rng, shared: shared.padding_mode,
    "context": lambda rng, shared: rng.choice((None, "source")),
    "max_size": lambda rng, shared: None,
    "min_size": lambda rng, shared: rng.choice(SIDES),
    "target_size": lambda rng, shared: (rng.choice(SIDES), rng.choice(SIDES)),
    "sampler_options": lambda rng, shared: rng.choice((None, (0,), (0.3, 0.9), (1,))),
    "trials": lambda rng, shared: rng.choice((1, 5, 40)),
    "divisor": lambda rng, shared: rng.choice((1, 1, 2, 32)),
    "scale_range": lambda rng, shared: rng.choice(((0.1, 2.0), (1, 1), (1e-3, 0.1))),
    "side_range": lambda rng, shared: rng.choice(((1, 4), (1, 1), (20, 40))),
    "center": lambda rng, shared: rng.choice(((0, 0), (-5.5, 3), (1e3, -1e3), (3e4, 2e4))),
    "translate": lambda rng, shared: rng.choice(((0, 0), (1, 1), (0.5, 0.1))),
    "shear": lambda rng, shared: rng.choice((0, 20, 89, (-89, 89, -89, 89), (10, 30))),
    "brightness": lambda rng, shared: _factor(rng, shared),
    "contrast": lambda rng, shared: _factor(rng, shared),
    "saturation": lambda rng, shared: _factor(rng, shared),
    "kernel_size": lambda rng, shared: rng.choice((None, 1, 3, (5, 1), 101)),
    "resample": lambda rng, shared: rng.choice(("nearest", "bilinear")),
    "mode": lambda rng, shared: rng.choice(("blackbody", "CIED")),
    "select_from": lambda rng, shared: rng.choice((None, 0, (-1, 3, 3))),
    "bits": lambda rng, shared: rng.randint(0, 8),
    "turns": lambda rng, shared: rng.choice((0, 1, (1, 3), (0, 1, 2, 3), 2)),
    "value": lambda rng, shared: rng.choice((0.0, 255, 0.3, "random", "color")),
    "color": lambda rng, shared: rng.choice((0, 255, 7.5, "#80")),
    "threshold": lambda rng, shared: rng.choice((0, 0.5, 128, 255, 256, "#80")),
    "add": lambda rng, shared: rng.choice((110, (-255, 255), 0.5, "#6e")),
    "clip": lambda rng, shared: True,
    "num_classes": lambda rng, shared: rng.choice((None, 1000)),
    "labels_getter": lambda rng, shared: rng.choice((None, "default")),
    "count": lambda rng, shared: rng.choice((1, (1, 3), 8, 64)),
    "severity": lambda rng, shared: rng.choice((1, 3, 10)),
    "chain_depth": lambda rng, shared: rng.choice((-1, 1, 2, 4)),
    "policy": lambda rng, shared: rng.choice(("imagenet", "cifar10", "svhn")),
    "magnitude": lambda rng, shared: rng.choice((0, 1, 9, 10)),
    "num_magnitude_bins": lambda rng, shared: rng.choice((11, 31, 1000)),
    "num_ops": lambda rng, shared: rng.choice((0, 1, 2, 5)),
    "stratify": lambda rng, shared: rng.random() < 0.3,
    "degrees": lambda rng, shared: _degrees(rng, shared),
    "ratio": lambda rng, shared: rng.choice(((0.75, 1.33), (1e-6, 1e6), (3, 3), (1e-3, 0.1))),
    "dialect": lambda rng, shared: "torchvision",
}


def _degrees(rng, shared):
    usual = (0, 9, 45, 90, 180, (-30, 60))
    return rng.choice(usual if shared.tame else (*usual, 1e6, (89.999, 90.001), (-1e8, 1e8)))


def _factor(rng, shared):
    return (
        rng.choice((0, 0.4, 1, (0, 0), (1, 3)))
        if shared.tame
        else rng.choice((0, 0.4, (0, 0), (1, 3), 100.0, (1e-9, 1e-9)))
    )


def _by_kind(rng, kind, tame):
    """A value of a bounded kind of argument, or None where its kind is not known."""
    low, high = getattr(kind, "low", None), getattr(kind, "high", None)
    if low is None:
        return None
    low, high = max(low, -1e4), min(high, 1e4)

    def one():
        between = low + (high - low) * rng.random()
        if tame:
            return (
                between
                if high - low <= 2
                else max(low, min(high, rng.choice((0.3, 1.0, 2.5, 20.0))))
            )
        return rng.choice(
            (low, high, between, max(low, min(high, rng.choice((0.0, 0.5, 1.0, 3.0)))))
        )

    if isinstance(kind, arguments.WholeNumber):
        return int(round(min(one(), low + 8)))
    if isinstance(kind, arguments.Number):
        return one()
    pair = sorted((one(), one()))
    if isinstance(kind, arguments.WholeLimits):
        # Rounded down to odd numbers, where there are no others.
        return tuple(int(n) - (kind.odd and int(n) % 2 == 0) for n in pair)
    return tuple(pair)
