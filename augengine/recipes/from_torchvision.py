"""A torchvision pipeline, of v1 or v2, as a policy.

torchvision is looked at and not run: a step is known by its class's module and name, its arguments
are its attributes. What a policy cannot say is an error, or stays as it is, unfused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from ..checks import several
from ..policy import ops
from ..policy.ops.op import Op
from ..policy.policy import Policy

# The steps that have an op of their name: which of their attributes are its arguments.
ARGUMENTS = {
    "AugMix": (
        *("severity", "mixture_width", "chain_depth", "alpha", "all_ops"),
        *("interpolation", "fill"),
    ),
    "AutoAugment": ("policy", "interpolation", "fill"),
    "CenterCrop": ("size",),
    "ColorJitter": ("brightness", "contrast", "saturation", "hue"),
    "CutMix": ("alpha",),
    "GaussianBlur": ("kernel_size", "sigma"),
    "MixUp": ("alpha",),
    "RandAugment": ("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill"),
    "RandomAdjustSharpness": ("sharpness_factor", "p"),
    "RandomAffine": ("degrees", "translate", "scale", "shear", "interpolation", "fill", "center"),
    "RandomAutocontrast": ("p",),
    "RandomChannelPermutation": (),
    "RandomEqualize": ("p",),
    "RandomGrayscale": ("p",),
    "RandomHorizontalFlip": ("p",),
    "RandomInvert": ("p",),
    "RandomPerspective": ("distortion_scale", "p", "interpolation", "fill"),
    "RandomPosterize": ("bits", "p"),
    "RandomResizedCrop": ("size", "scale", "ratio", "interpolation", "antialias"),
    "RandomRotation": ("degrees", "interpolation", "expand", "center", "fill"),
    "RandomVerticalFlip": ("p",),
    "Resize": ("size", "interpolation", "max_size", "antialias"),
    "TrivialAugmentWide": ("num_magnitude_bins", "interpolation", "fill"),
}
# What torchvision always does and ours do on request.
AS_THEIRS: dict[str, dict[str, Any]] = {
    "CutMix": {"same_on_batch": True},
    "MixUp": {"same_on_batch": True},
    "RandomAffine": {"antialias": False},
}
AUTO = ("AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide")
SIZING = ("ImageClassification", "RandomResizedCrop", "Resize")
SEQUENCES = ("Compose", "ModuleList", "Sequential", "list", "tuple")
CHOOSERS = ("RandomApply", "RandomChoice", "RandomOrder")
# The engine's images are tensors already.
CONTAINERS = ("Identity", "PILToTensor", "ToImage", "ToPureTensor")
PIL_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by PIL's number


def from_torchvision(transform, *, unfused: bool = False) -> Policy:
    """The policy that says what a torchvision pipeline does.

    transform: a Compose, a list of transforms, or one, of torchvision.transforms or its v2.
    unfused: keep the first step that a policy cannot say, and all after it, as a `Stage` at the
    end, which calls them with one finished image after the other: a float tensor (C, H, W) in
    [0, 1], or uint8 where the pipeline had not converted yet; never a PIL image. The engine's
    dtype is then float32.

    Conversions become nothing: the engine takes bytes and writes floats in [0, 1]. They tell the
    unit of fills, thresholds and erased values: bytes until one makes floats, [0, 1] from there
    on. A pipeline that normalises and converts nothing is taken to have floats from its start.
    MixUp's and CutMix's num_classes belongs to `Engine`.

    What differs from torchvision: a view is sampled once, with one interpolation, bilinear with
    antialiasing or nearest (torchvision's nearest-exact). Where steps want others, that of the
    resizing step holds, or bilinear, and one UserWarning says who wanted what; the nearest that
    the published policies have by default gives way without. A RandomCrop's padding_mode holds
    for all steps. A CenterCrop pads with the fill of the others. A crop after a resize has other
    pixels along its edge: torchvision's filter looked beyond it. RandomChoice and RandomOrder
    choose for every sample, among mixes too. RandomErasing's "random" stays within [0, 1], about
    mid-grey before Normalize.

    Raises ValueError for what cannot be said, and for fills that disagree; TypeError for what is
    no transform.
    """
    steps = list(_leaves(_Step("", transform)))
    if not steps:
        raise ValueError(
            "from_torchvision: got no transforms, expected at least one. Pass a Compose or a list."
        )
    reader = _Reader(floats=_begins_with_floats(steps))
    said: list[Op] = []
    rest: list[Op] = []
    for at, step in enumerate(steps):
        # A step that cannot be said leaves no trace.
        trial = replace(reader, wishes=[*reader.wishes])
        try:
            new = trial.read(step)
            _check_order(step, said, new)
        except _CannotSay as problem:
            if not unfused:
                raise ValueError(
                    f"from_torchvision: {problem}, expected what a policy can say. Leave it "
                    "out, or pass unfused=True to have it and all after it applied to the "
                    "finished images."
                ) from problem
            rest = [_unfused(steps[at:], reader.floats)]
            break
        reader, said = trial, said + new
    interpolation, differences = _agreed(reader.wishes)
    if differences:
        warnings.warn(f"from_torchvision: {differences}", stacklevel=2)
    said = [_sampled(op, interpolation) for op in said]
    return Policy([*said, *rest] or _nothing())


class _Step(NamedTuple):
    """A transform and where it stands: "3", or "3.0" for the first one inside."""

    label: str
    it: Any

    @property
    def name(self) -> str:
        """The class's, if it is one of torchvision or a plain sequence."""
        kind = type(self.it)
        plain = (list, tuple, torch.nn.Identity, torch.nn.ModuleList, torch.nn.Sequential)
        theirs = kind.__module__.split(".")[:2] == ["torchvision", "transforms"]
        return kind.__name__ if theirs or kind in plain else ""

    def children(self) -> Iterator[_Step]:
        inside = self.it.transforms if hasattr(self.it, "transforms") else self.it
        for k, child in enumerate(inside):
            yield _Step(f"{self.label}.{k}".removeprefix("."), child)

    def __str__(self):
        return f"step {self.label or 0} ({type(self.it).__name__})"


class _Wish(NamedTuple):
    """What a step asks of the one sampling of a view."""

    step: _Step
    what: str  # "interpolation", "fill" or "padding_mode"
    value: Any


class _CannotSay(Exception):
    """A policy has no words for a step. reason: "which …"."""

    def __init__(self, step: _Step, reason: str):
        super().__init__(f"{step} is a step {reason}")


@dataclass
class _Reader:
    """What is known on the way through a pipeline, and what its steps wish."""

    floats: bool  # values are in [0, 1] by now, and no bytes
    normalized: bool = False
    wishes: list[_Wish] = field(default_factory=list)

    def read(self, step: _Step) -> list[Op]:
        """The ops that say a step: none for a conversion, else mostly one."""
        name = step.name
        if name in SEQUENCES:
            return [op for child in step.children() for op in self.read(child)]
        try:
            if name in ARGUMENTS:
                arguments = {what: self.argument(step, what) for what in ARGUMENTS[name]}
                return [getattr(ops, name)(**arguments, **AS_THEIRS.get(name, {}))]
            if name in SAID_OTHERWISE:
                return SAID_OTHERWISE[name](self, step)
        except (TypeError, ValueError) as error:
            raise _CannotSay(step, f"with arguments that no op takes ({error})") from error
        raise _CannotSay(step, "that augengine does not have")

    def argument(self, step: _Step, what: str):
        value = getattr(step.it, what)
        if what == "interpolation":
            return self.hear_interpolation(step, value)
        if what == "fill":
            return self.fill(step, value)
        if what == "antialias":
            return value is not False  # None left it to the backend, and PIL always does
        return value

    def hear_interpolation(self, step: _Step, value) -> None:
        """None: the ops get theirs when all wishes are known."""
        value = getattr(value, "value", value)
        value = PIL_FILTERS[value] if isinstance(value, int) else value.removesuffix("-exact")
        if value != "nearest" or step.name not in AUTO:
            self.wishes.append(_Wish(step, "interpolation", value))

    def fill(self, step: _Step, value):
        """In bytes, one number where the channels are alike."""
        value = _of_images(value)
        channels = tuple(v * self.bytes_per_unit for v in several(0 if value is None else value))
        fill = channels[0] if len(set(channels)) == 1 else channels
        self.wishes.append(_Wish(step, "fill", fill))
        return fill

    @property
    def bytes_per_unit(self) -> int:
        return 255 if self.floats else 1

    def cast(self, step: _Step, dtype: torch.dtype | None, scale: bool) -> list[Op]:
        """Note a conversion. A change of kind without scale=True would change the values."""
        if dtype is None:
            return []
        floats = dtype.is_floating_point
        if not floats and (dtype != torch.uint8 or self.normalized):
            raise _CannotSay(step, f"that makes {dtype} of floats or bytes")
        if floats != self.floats and not scale:
            raise _CannotSay(step, "that converts without scale=True")
        self.floats = floats
        return []

    def inside(self, step: _Step) -> list[list[Op]]:
        """The ops of each child of a chooser."""
        kind, read = (self.floats, self.normalized), []
        for child in step.children():
            read.append(self.read(child))
            if (self.floats, self.normalized) != kind:
                raise _CannotSay(step, "that converts or normalises some images only")
        return read


# Steps that are more than an op of their name


def _random_crop(reader, step):
    it, fill, mode = step.it, None, None
    padding = it.padding or None
    if padding is not None and ".v2." in type(it).__module__:
        left, right, top, bottom = padding  # v2 keeps them in torch's order
        padding = (left, top, right, bottom)
    if padding is not None or it.pad_if_needed:
        mode = it.padding_mode
        reader.wishes.append(_Wish(step, "padding_mode", mode))
        fill = reader.fill(step, it.fill) if mode == "constant" else None
    return [ops.RandomCrop(it.size, padding, it.pad_if_needed, fill, mode)]


def _grayscale(reader, step):
    if step.it.num_output_channels != 3:
        raise _CannotSay(step, "that leaves one channel")
    return [ops.RandomGrayscale(p=1)]


def _random_solarize(reader, step):
    return [ops.RandomSolarize(step.it.threshold * reader.bytes_per_unit, step.it.p)]


def _gaussian_noise(reader, step):
    if not step.it.clip:
        raise _CannotSay(step, "that leaves the range of values (clip=False)")
    return [ops.GaussianNoise(step.it.mean, step.it.sigma)]


def _random_photometric_distort(reader, step):
    it = step.it
    brightness, contrast, saturation, hue = (
        ops.RandomApply([ops.ColorJitter(**{name: getattr(it, name)})], it.p)
        for name in ("brightness", "contrast", "saturation", "hue")
    )
    orders = [contrast, saturation, hue], [saturation, hue, contrast]
    either = ops.OneOf([ops.Compose(order) for order in orders])
    return [brightness, either, ops.RandomChannelPermutation(it.p)]


def _random_erasing(reader, step):
    it = step.it
    value: Any = "random"  # None in v2's objects
    if it.value is not None and it.value != "random":
        value = tuple(v * reader.bytes_per_unit / 255 for v in several(it.value))
        value = value[0] if len(value) == 1 else value
    return [ops.RandomErasing(it.p, it.scale, it.ratio, value)]


def _normalize(reader, step):
    if reader.normalized:
        raise _CannotSay(step, "that normalises again")
    reader.normalized = True
    return [ops.Normalize(step.it.mean, step.it.std)]


def _image_classification(reader, step):
    """The preset that torchvision's weights come with."""
    it = step.it
    reader.hear_interpolation(step, it.interpolation)
    resize = ops.Resize(it.resize_size, antialias=it.antialias is not False)
    reader.floats = True
    return [resize, ops.CenterCrop(it.crop_size), *_normalize(reader, step)]


def _random_apply(reader, step):
    inside = [op for child in reader.inside(step) for op in child]
    return [ops.RandomApply(inside, step.it.p)] if inside else []


def _random_choice(reader, step):
    weights = step.it.p
    alike = weights is None or len(set(weights)) == 1
    return [ops.OneOf(list(map(_as_one, reader.inside(step))), None if alike else weights)]


def _random_order(reader, step):
    # All of them without replacement: every order is as likely.
    inside = [_as_one(child) for child in reader.inside(step) if child]
    return [ops.SomeOf(inside, len(inside), replace=False)] if inside else []


def _to_pil_image(reader, step):
    if reader.normalized or step.it.mode not in (None, "RGB"):
        raise _CannotSay(step, "that changes what the values mean")
    reader.floats = False
    return []


SAID_OTHERWISE: dict[str, Callable[[_Reader, _Step], list[Op]]] = {
    "ConvertImageDtype": lambda reader, step: reader.cast(step, step.it.dtype, True),
    "GaussianNoise": _gaussian_noise,
    "Grayscale": _grayscale,
    "ImageClassification": _image_classification,
    "Normalize": _normalize,
    "RandomApply": _random_apply,
    "RandomChoice": _random_choice,
    "RandomCrop": _random_crop,
    "RandomErasing": _random_erasing,
    "RandomOrder": _random_order,
    "RandomPhotometricDistort": _random_photometric_distort,
    "RandomSolarize": _random_solarize,
    "ToDtype": lambda reader, step: reader.cast(step, _of_images(step.it.dtype), step.it.scale),
    "ToPILImage": _to_pil_image,
    "ToTensor": lambda reader, step: reader.cast(step, torch.float32, True),
    **dict.fromkeys(CONTAINERS, lambda reader, step: []),
}


def _nothing() -> Op:
    return ops.RandomHorizontalFlip(0)


def _as_one(several_ops: list[Op]) -> Op:
    if len(several_ops) == 1:
        return several_ops[0]
    return ops.Compose(several_ops) if several_ops else _nothing()


def _of_images(value):
    """v2 takes {type: value}; the value for images."""
    if not isinstance(value, dict):
        return value
    named = {getattr(kind, "__name__", kind): v for kind, v in value.items()}
    return next((named[kind] for kind in ("Image", "Tensor", "others") if kind in named), None)


def _leaves(step: _Step) -> Iterator[_Step]:
    """The steps in order, sequences inside sequences opened."""
    if step.name in SEQUENCES:
        for child in step.children():
            yield from _leaves(child)
    elif callable(step.it):
        yield step
    else:
        raise TypeError(
            f"from_torchvision: step {step.label or 0} is {step.it!r}, expected a transform. Pass "
            "a Compose of torchvision's transforms, a list of them, or one."
        )


def _begins_with_floats(steps: list[_Step]) -> bool:
    """Whether the first step that tells the kind of values is a Normalize, which needs floats."""
    tell = ("ConvertImageDtype", "ImageClassification", "Normalize", "ToDtype", "ToTensor")
    return next((step.name for step in steps if step.name in tell), "") == "Normalize"


def _check_order(step: _Step, said: list[Op], new: list[Op]) -> None:
    for k, op in enumerate(new):
        for before in (*said, *new[:k]):
            if before.stages[1] > op.stages[0]:
                raise _CannotSay(step, f"on the image itself after {type(before).__name__}")


def _agreed(wishes: list[_Wish]) -> tuple[str | None, str]:
    """(the interpolation of the policy, what of the wishes comes out otherwise).

    Raises ValueError where no choice would be near.
    """
    for what in ("fill", "padding_mode"):
        asked = {w.value: w for w in reversed(wishes) if w.what == what}
        if len(asked) > 1:
            first, *_, last = sorted(asked.values(), key=wishes.index)
            raise ValueError(
                f"from_torchvision: {first.step} has {what}={first.value!r} and {last.step} "
                f"{last.value!r}, expected one {what}, since a view is sampled once. Give them the "
                "same."
            )
    wanted = [w for w in wishes if w.what == "interpolation"]
    names = {w.value for w in wanted if w.step.name in SIZING} or {w.value for w in wanted}
    interpolation = ("nearest" if names == {"nearest"} else "bilinear") if names else None
    differences = []
    unmet = [w for w in wanted if w.value != interpolation]
    if unmet:
        said = ", ".join(f"{w.step} wants {w.value}" for w in unmet)
        differences.append(
            f"{said}, but {interpolation} holds, since a view is sampled once. Say "
            f"interpolation={interpolation!r} there if that is right."
        )
    border = next((w for w in wishes if w.what == "padding_mode" and w.value != "constant"), None)
    filled = [str(w.step) for w in wishes if w.what == "fill"]
    if border and filled:
        differences.append(
            f"{', '.join(filled)} would fill, but the padding_mode {border.value!r} of "
            f"{border.step} holds, since a view is sampled once. Say padding_mode='constant' to "
            "have it filled."
        )
    return interpolation, " ".join(differences)


def _sampled(op: Op, interpolation: str | None) -> Op:
    """The op with the policy's interpolation. The published policies follow it anyway."""
    values: dict[str, Any] = {}
    if op.children:
        values = {"transforms": tuple(_sampled(child, interpolation) for child in op.children)}
    elif hasattr(op, "interpolation") and type(op).__name__ not in AUTO:
        values = {"interpolation": interpolation}
    return replace(op, **values) if values else op


def _unfused(steps: list[_Step], floats: bool) -> Op:
    """The steps as they are, but for those that would have made tensors of the images."""
    from torchvision.transforms import v2

    # Wrapped, since a Lambda's repr names a function without its address: it is in the fingerprint.
    rest: list[Any] = [] if floats else [v2.Lambda(_as_bytes)]
    tensors = True
    for step in steps:
        mix = next((inner for inner in _inside(step) if inner.name in ("CutMix", "MixUp")), None)
        if mix is not None:
            raise ValueError(
                f"from_torchvision: {mix} comes after {steps[0]}, which is not fused, expected "
                "mixes before it, since what is not fused sees one image at a time. Move the mix "
                "up."
            )
        if tensors and step.name == "ToTensor":
            rest.append(v2.ToDtype(torch.float32, scale=True))
        elif not tensors or step.name not in CONTAINERS:
            rest.append(step.it)
        tensors = tensors and step.name != "ToPILImage"
    return ops.Stage(v2.Compose([*rest, v2.Lambda(_as_floats)]), each=True)


def _inside(step: _Step) -> Iterator[_Step]:
    yield step
    if step.name in (*SEQUENCES, *CHOOSERS):
        for child in step.children():
            yield from _inside(child)


def _as_bytes(image: torch.Tensor) -> torch.Tensor:
    """Floats in [0, 1] rounded to uint8."""
    return image.mul(255).round().to(torch.uint8) if image.is_floating_point() else image


def _as_floats(image: torch.Tensor) -> torch.Tensor:
    """uint8 to floats in [0, 1]; others as they are."""
    return image.to(torch.float32) / 255 if image.dtype == torch.uint8 else image
