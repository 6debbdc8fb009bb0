"""torchvision's transforms, one by one: `CONVERSIONS` says what each class is in ops.

torchvision is looked at and not run: a step is known by its class's module and name, its arguments
are its attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from ..checks import several
from ..policy import ops
from ..policy.ops.op import Op

AUTO = ("AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide")
SIZING = ("ImageClassification", "RandomResizedCrop", "Resize")
SEQUENCES = ("Compose", "ModuleList", "Sequential", "list", "tuple")
CHOOSERS = ("RandomApply", "RandomChoice", "RandomOrder")
# These make tensors of pictures, or nothing at all. The engine's images are tensors already.
CONTAINERS = ("Identity", "PILToTensor", "ToImage", "ToPureTensor")
PIL_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by PIL's number


class Step(NamedTuple):
    """A transform of a pipeline.

    label: where it stands, "3", or "3.0" for the first one inside. transform: torchvision's object.
    """

    label: str
    transform: Any

    @property
    def name(self) -> str:
        """The class's name, if it is one of torchvision or a plain sequence."""
        kind = type(self.transform)
        plain = (list, tuple, torch.nn.Identity, torch.nn.ModuleList, torch.nn.Sequential)
        is_torchvision = kind.__module__.split(".")[:2] == ["torchvision", "transforms"]
        return kind.__name__ if is_torchvision or kind in plain else ""

    def children(self) -> Iterator[Step]:
        transform = self.transform
        inner = transform.transforms if hasattr(transform, "transforms") else transform
        for k, child in enumerate(inner):
            yield Step(f"{self.label}.{k}".removeprefix("."), child)

    def __str__(self) -> str:
        return f"step {self.label or 0} ({type(self.transform).__name__})"


class Request(NamedTuple):
    """What a step asks of the one sampling of a view.

    argument: "interpolation", "fill" or "padding_mode".
    """

    step: Step
    argument: str
    value: Any


class NoOpForStep(Exception):
    """No op does what a step does. reason: "which …"."""

    def __init__(self, step: Step, reason: str):
        super().__init__(f"{step} is a step {reason}")


@dataclass
class Reader:
    """What is known on the way through a pipeline.

    floats: whether values are in [0, 1] by now, and not bytes. normalized: whether a Normalize came.
    requests: what the steps ask of the sampling, in their order.
    """

    floats: bool
    normalized: bool = False
    requests: list[Request] = field(default_factory=list)

    def convert(self, step: Step) -> list[Op]:
        """The ops that do what a step does: none for a conversion of values, else mostly one."""
        if step.name not in CONVERSIONS:
            raise NoOpForStep(step, "that augengine does not have")
        try:
            return CONVERSIONS[step.name](self, step)
        except (TypeError, ValueError) as error:
            raise NoOpForStep(step, f"with arguments that no op takes ({error})") from error

    def convert_choices(self, step: Step) -> list[list[Op]]:
        """The ops of each child, one or some of which are chosen for a sample."""
        before, choices = (self.floats, self.normalized), []
        for child in step.children():
            choices.append(self.convert(child))
            if (self.floats, self.normalized) != before:
                raise NoOpForStep(step, "that converts or normalises some images only")
        return choices

    def argument(self, step: Step, name: str) -> Any:
        """An attribute of a transform as the argument of an op."""
        value = getattr(step.transform, name)
        if name == "interpolation":
            return self.request_interpolation(step, value)
        if name == "fill":
            return self.request_fill(step, value)
        if name == "antialias":
            return value is not False  # None left it to the backend, and PIL always does
        return value

    def request_interpolation(self, step: Step, value: Any) -> None:
        """Note an interpolation. The ops get None: theirs is known when all requests are."""
        value = getattr(value, "value", value)
        value = PIL_FILTERS[value] if isinstance(value, int) else value.removesuffix("-exact")
        if value != "nearest" or step.name not in AUTO:
            self.requests.append(Request(step, "interpolation", value))

    def request_fill(self, step: Step, value: Any) -> float | tuple[float, ...]:
        """Note a fill. Returns it in bytes, as one number where the channels are alike."""
        value = value_for_images(value)
        channels = tuple(v * self.bytes_per_unit for v in several(0 if value is None else value))
        fill = channels[0] if len(set(channels)) == 1 else channels
        self.requests.append(Request(step, "fill", fill))
        return fill

    @property
    def bytes_per_unit(self) -> int:
        return 255 if self.floats else 1

    def cast(self, step: Step, dtype: torch.dtype | None, scale: bool) -> list[Op]:
        """Note a conversion of values. Without scale=True it must not turn bytes into floats."""
        if dtype is None:
            return []
        floats = dtype.is_floating_point
        if not floats and (dtype != torch.uint8 or self.normalized):
            raise NoOpForStep(step, f"that makes {dtype} of floats or bytes")
        if floats != self.floats and not scale:
            raise NoOpForStep(step, "that converts without scale=True")
        self.floats = floats
        return []


Conversion = Callable[[Reader, Step], list[Op]]


def value_for_images(value: Any) -> Any:
    """v2 takes {type: value}: the value for images, or the value itself if it is no dict."""
    if not isinstance(value, dict):
        return value
    by_name = {getattr(kind, "__name__", kind): v for kind, v in value.items()}
    return next((by_name[kind] for kind in ("Image", "Tensor", "others") if kind in by_name), None)


def one_op(inner: list[Op]) -> Op:
    """The ops as one."""
    if len(inner) == 1:
        return inner[0]
    return ops.Compose(inner) if inner else no_change()


def no_change() -> Op:
    """An op that changes nothing."""
    return ops.RandomHorizontalFlip(0)


# The conversions.


def _same_op(*attributes: str, **fixed: Any) -> Conversion:
    """The op of the same name.

    attributes: the transform's attributes that are the op's arguments. fixed: further arguments, for
    what torchvision always does and the op on request.
    """

    def convert(reader: Reader, step: Step) -> list[Op]:
        arguments = {name: reader.argument(step, name) for name in attributes}
        return [getattr(ops, step.name)(**arguments, **fixed)]

    return convert


def _sequence(reader: Reader, step: Step) -> list[Op]:
    return [op for child in step.children() for op in reader.convert(child)]


def _container(reader: Reader, step: Step) -> list[Op]:
    return []


def _convert_image_dtype(reader: Reader, step: Step) -> list[Op]:
    return reader.cast(step, step.transform.dtype, True)


def _to_dtype(reader: Reader, step: Step) -> list[Op]:
    return reader.cast(step, value_for_images(step.transform.dtype), step.transform.scale)


def _to_tensor(reader: Reader, step: Step) -> list[Op]:
    return reader.cast(step, torch.float32, True)


def _to_pil_image(reader: Reader, step: Step) -> list[Op]:
    if reader.normalized or step.transform.mode not in (None, "RGB"):
        raise NoOpForStep(step, "that changes what the values mean")
    reader.floats = False
    return []


def _normalize(reader: Reader, step: Step) -> list[Op]:
    if reader.normalized:
        raise NoOpForStep(step, "that normalises again")
    reader.normalized = True
    return [ops.Normalize(step.transform.mean, step.transform.std)]


def _image_classification(reader: Reader, step: Step) -> list[Op]:
    """The preset that torchvision's weights come with."""
    preset = step.transform
    reader.request_interpolation(step, preset.interpolation)
    resize = ops.Resize(preset.resize_size, antialias=preset.antialias is not False)
    reader.floats = True
    return [resize, ops.CenterCrop(preset.crop_size), *_normalize(reader, step)]


def _random_crop(reader: Reader, step: Step) -> list[Op]:
    crop, fill, mode = step.transform, None, None
    padding = crop.padding or None
    if padding is not None and ".v2." in type(crop).__module__:
        left, right, top, bottom = padding  # v2 keeps them in torch's order
        padding = (left, top, right, bottom)
    if padding is not None or crop.pad_if_needed:
        mode = crop.padding_mode
        reader.requests.append(Request(step, "padding_mode", mode))
        fill = reader.request_fill(step, crop.fill) if mode == "constant" else None
    return [ops.RandomCrop(crop.size, padding, crop.pad_if_needed, fill, mode)]


def _grayscale(reader: Reader, step: Step) -> list[Op]:
    if step.transform.num_output_channels != 3:
        raise NoOpForStep(step, "that leaves one channel")
    return [ops.RandomGrayscale(p=1)]


def _gaussian_noise(reader: Reader, step: Step) -> list[Op]:
    if not step.transform.clip:
        raise NoOpForStep(step, "that leaves the range of values (clip=False)")
    return [ops.GaussianNoise(step.transform.mean, step.transform.sigma)]


def _random_solarize(reader: Reader, step: Step) -> list[Op]:
    threshold = step.transform.threshold * reader.bytes_per_unit
    return [ops.RandomSolarize(threshold, step.transform.p)]


def _random_photometric_distort(reader: Reader, step: Step) -> list[Op]:
    distort = step.transform
    brightness, contrast, saturation, hue = (
        ops.RandomApply([ops.ColorJitter(**{name: getattr(distort, name)})], distort.p)
        for name in ("brightness", "contrast", "saturation", "hue")
    )
    orders = [contrast, saturation, hue], [saturation, hue, contrast]
    either = ops.OneOf([ops.Compose(order) for order in orders])
    return [brightness, either, ops.RandomChannelPermutation(distort.p)]


def _random_erasing(reader: Reader, step: Step) -> list[Op]:
    erasing = step.transform
    value: Any = "random"  # None in v2's objects
    if erasing.value is not None and erasing.value != "random":
        value = tuple(v * reader.bytes_per_unit / 255 for v in several(erasing.value))
        value = value[0] if len(value) == 1 else value
    return [ops.RandomErasing(erasing.p, erasing.scale, erasing.ratio, value)]


def _random_apply(reader: Reader, step: Step) -> list[Op]:
    inner = [op for choice in reader.convert_choices(step) for op in choice]
    return [ops.RandomApply(inner, step.transform.p)] if inner else []


def _random_choice(reader: Reader, step: Step) -> list[Op]:
    weights = step.transform.p
    equal = weights is None or len(set(weights)) == 1
    choices = [one_op(choice) for choice in reader.convert_choices(step)]
    return [ops.OneOf(choices, None if equal else weights)]


def _random_order(reader: Reader, step: Step) -> list[Op]:
    # All are taken without replacement: every order is as likely.
    inner = [one_op(choice) for choice in reader.convert_choices(step) if choice]
    return [ops.SomeOf(inner, len(inner), replace=False)] if inner else []


# The name of torchvision's class → the function that converts a step of that class.
CONVERSIONS: dict[str, Conversion] = {
    **dict.fromkeys(SEQUENCES, _sequence),
    **dict.fromkeys(CONTAINERS, _container),
    "AugMix": _same_op(
        *("severity", "mixture_width", "chain_depth", "alpha", "all_ops"),
        *("interpolation", "fill"),
    ),
    "AutoAugment": _same_op("policy", "interpolation", "fill"),
    "CenterCrop": _same_op("size"),
    "ColorJitter": _same_op("brightness", "contrast", "saturation", "hue"),
    "ConvertImageDtype": _convert_image_dtype,
    "CutMix": _same_op("alpha", same_on_batch=True),
    "GaussianBlur": _same_op("kernel_size", "sigma"),
    "GaussianNoise": _gaussian_noise,
    "Grayscale": _grayscale,
    "ImageClassification": _image_classification,
    "MixUp": _same_op("alpha", same_on_batch=True),
    "Normalize": _normalize,
    "RandAugment": _same_op("num_ops", "magnitude", "num_magnitude_bins", "interpolation", "fill"),
    "RandomAdjustSharpness": _same_op("sharpness_factor", "p"),
    "RandomAffine": _same_op(
        *("degrees", "translate", "scale", "shear", "interpolation", "fill", "center"),
        antialias=False,
    ),
    "RandomApply": _random_apply,
    "RandomAutocontrast": _same_op("p"),
    "RandomChannelPermutation": _same_op(),
    "RandomChoice": _random_choice,
    "RandomCrop": _random_crop,
    "RandomEqualize": _same_op("p"),
    "RandomErasing": _random_erasing,
    "RandomGrayscale": _same_op("p"),
    "RandomHorizontalFlip": _same_op("p"),
    "RandomInvert": _same_op("p"),
    "RandomOrder": _random_order,
    "RandomPerspective": _same_op("distortion_scale", "p", "interpolation", "fill"),
    "RandomPhotometricDistort": _random_photometric_distort,
    "RandomPosterize": _same_op("bits", "p"),
    "RandomResizedCrop": _same_op("size", "scale", "ratio", "interpolation", "antialias"),
    "RandomRotation": _same_op("degrees", "interpolation", "expand", "center", "fill"),
    "RandomSolarize": _random_solarize,
    "RandomVerticalFlip": _same_op("p"),
    "Resize": _same_op("size", "interpolation", "max_size", "antialias"),
    "ToDtype": _to_dtype,
    "ToPILImage": _to_pil_image,
    "ToTensor": _to_tensor,
    "TrivialAugmentWide": _same_op("num_magnitude_bins", "interpolation", "fill"),
}
