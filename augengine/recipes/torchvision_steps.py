"""torchvision's transforms, one by one: `CONVERSIONS` says what each class is in ops.

torchvision is looked at and not run: a step is known by its class's module and name, its arguments
are its attributes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from ..checks import several
from ..policy import ops
from ..policy.ops.five_crop import SeveralCrops
from ..policy.ops.op import Op
from ..policy.ops.unfused import whole_batch

AUTO = ("AugMix", "AutoAugment", "RandAugment", "TrivialAugmentWide")
SIZING = (
    *("ImageClassification", "RandomResize", "RandomResizedCrop", "RandomShortestSize"),
    *("Resize", "ScaleJitter", "SemanticSegmentation"),
)
SEQUENCES = ("Compose", "ModuleList", "Sequential", "list", "tuple")
CHOOSERS = ("RandomApply", "RandomChoice", "RandomOrder")
# These make tensors of pictures, or nothing at all. The engine's images are tensors already.
CONTAINERS = ("Identity", "PILToTensor", "ToImage", "ToPureTensor")
# These look at boxes and keypoints alone, which follow a plan by rules of their own.
TARGETS = (
    *("ClampBoundingBoxes", "ClampKeyPoints", "ConvertBoundingBoxFormat"),
    *("SanitizeBoundingBoxes", "SanitizeKeyPoints", "SetClampingMode"),
)
# These are no package's: they stand in modules beside the scripts that torchvision trains its models
# with. What a class of that name must have to be taken for one of them.
REFERENCES = {
    "FixedSizeCrop": ("crop_height", "crop_width", "fill", "padding_mode"),
    "PadIfSmaller": ("size", "fill"),
}
REFERENCE_MODULES = ("transforms", "v2_extras")
PIL_FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by PIL's number


# What no op does, and why, or what does it.
WITHOUT_OP = {
    "LinearTransformation": "that multiplies the whole image by a matrix, which no op does; its use is "
    "whitening, so append ae.Lambda(step) to the policy",
    "UniformTemporalSubsample": "on the frames of a clip, which are chosen before they are loaded; take them "
    "in the dataset",
}


class Step(NamedTuple):
    """A transform of a pipeline.

    label: where it stands, "3", or "3.0" for the first one inside. transform: torchvision's object.
    """

    label: str
    transform: Any

    @property
    def name(self) -> str:
        """The class's name, if it is one of torchvision, of its scripts, or a plain sequence; one of
        timm with "timm." before it."""
        kind = type(self.transform)
        if kind.__name__ in REFERENCES and kind.__module__.split(".")[-1] in REFERENCE_MODULES:
            has = (hasattr(self.transform, name) for name in REFERENCES[kind.__name__])
            return kind.__name__ if all(has) else ""
        if kind.__module__.startswith("timm.data."):
            return f"timm.{kind.__name__}"  # some of its classes are named as torchvision's
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

    step: Any
    argument: str
    value: Any


class NoOpForStep(Exception):
    """No op does what a step does. reason: "which …"."""

    def __init__(self, step: object, reason: str):
        super().__init__(f"{step} is a step {reason}")


@dataclass
class Reader:
    """What is known on the way through a pipeline.

    floats: whether values are in [0, 1] by now, and not bytes. normalized: whether a Normalize came.
    requests: what the steps ask of the sampling, in their order. differences: what comes out otherwise.
    conversions: by the steps' names.
    """

    floats: bool
    normalized: bool = False
    requests: list[Request] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    conversions: Mapping[str, Conversion] = field(default_factory=lambda: CONVERSIONS)

    def convert(self, step: Step) -> list[Op]:
        """The ops that do what a step does: none for a conversion of values, else mostly one."""
        if isinstance(step.transform, Op):
            return [step.transform]
        if step.name not in self.conversions:
            raise NoOpForStep(step, WITHOUT_OP.get(step.name, "that augengine does not have"))
        try:
            return self.conversions[step.name](self, step)
        except (TypeError, ValueError) as error:
            raise NoOpForStep(step, f"with arguments that no op takes ({error})") from error

    def convert_choices(self, step: Step) -> list[list[Op]]:
        """The ops of each child, one or some of which are chosen for a sample."""
        before, choices = (self.floats, self.normalized), []
        for child in step.children():
            choice = without_idle_conversions(self.convert(child))
            choices.append(choice)
            if any(whole_batch(op) or isinstance(op, SeveralCrops) for op in choice):
                raise NoOpForStep(
                    child, "that holds for the whole batch, and stands inside another step"
                )
            converts = any(isinstance(op, ops.ToDtype) for op in choice)
            if converts or (self.floats, self.normalized) != before:
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
        if isinstance(value, (list, tuple)):  # timm draws one of them
            value = tuple(interpolation_name(each) for each in value)
        else:
            value = interpolation_name(value)
        if value != "nearest" or step.name not in AUTO:
            self.requests.append(Request(step, "interpolation", value))

    def request_fill(self, step: Step, value: Any) -> float | tuple[float, ...]:
        """Note a fill, in bytes. Returns it as it is, as one number where the channels are alike."""
        value = value_for_images(value)
        channels = several(0 if value is None else value)
        fill = channels[0] if len(set(channels)) == 1 else channels
        in_bytes = tuple(v * self.bytes_per_unit for v in channels)
        self.requests.append(
            Request(step, "fill", in_bytes[0] if len(set(in_bytes)) == 1 else in_bytes)
        )
        return fill

    def request_border(self, step: Step) -> dict[str, Any]:
        """Note what a step pads with: the arguments of an op."""
        mode = step.transform.padding_mode
        self.requests.append(Request(step, "padding_mode", mode))
        fill = self.request_fill(step, step.transform.fill) if mode == "constant" else None
        return {"fill": fill, "padding_mode": mode}

    @property
    def bytes_per_unit(self) -> int:
        return 255 if self.floats else 1

    def cast(self, step: Step, dtype: torch.dtype | None, scale: bool) -> list[Op]:
        """A conversion of values, where it changes their unit. Without scale=True it must not."""
        if dtype is None:
            return []
        floats = dtype.is_floating_point
        if not floats and (dtype != torch.uint8 or self.normalized):
            raise NoOpForStep(step, f"that makes {dtype} of floats or bytes")
        if floats != self.floats and not scale:
            raise NoOpForStep(step, "that converts without scale=True")
        if floats == self.floats:
            return []
        self.floats = floats
        return [ops.ToDtype("float32" if floats else "uint8", scale=True)]


Conversion = Callable[[Reader, Step], list[Op]]


def interpolation_name(value: Any) -> str:
    """torchvision's InterpolationMode, its value, or PIL's number, by name."""
    value = getattr(value, "value", value)
    return PIL_FILTERS[value] if isinstance(value, int) else value.removesuffix("-exact")


def value_for_images(value: Any) -> Any:
    """v2 takes {type: value}: the value for images, or the value itself if it is no dict."""
    if not isinstance(value, dict):
        return value
    by_name = {getattr(kind, "__name__", kind): v for kind, v in value.items()}
    for kind in ("Image", "Tensor", "others"):
        if kind in by_name:
            return by_name[kind]
    made = value.default_factory if isinstance(value, defaultdict) else None
    return made() if made is not None else None


def one_op(inner: list[Op]) -> Op:
    """The ops as one."""
    if len(inner) == 1:
        return inner[0]
    return ops.Compose(inner) if inner else no_change()


def without_idle_conversions(converted: list[Op]) -> list[Op]:
    """The ops without conversions behind which no number is read in their units."""
    kept: list[Op] = []
    units = False
    for op in reversed(converted):
        if isinstance(op, ops.ToDtype):
            if units:
                kept.append(op)
            units = False
            continue
        kept.append(op)
        if isinstance(op, ops.Normalize):
            units = False  # what comes behind it is in normalised units
        units = units or any(map(_has_units, op.with_children()))
    return kept[::-1]


def _has_units(op: Op) -> bool:
    """Whether an op has a number other than 0 in the units of the images."""
    numbers = (getattr(op, name, None) for name in ("fill", "threshold", "value"))
    return any(
        value is not None and not isinstance(value, str) and any(several(value))
        for value in numbers
    )


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


def _sanitize_boxes(reader: Reader, step: Step) -> list[Op]:
    size, area = step.transform.min_size, step.transform.min_area
    if (size, area) != (1, 1):
        reader.differences.append(
            f"{step} leaves out small boxes, which the engine does: pass it target_options=ae.TargetOptions("
            f"min_size={size:g}, min_area={area:g})"
        )
    return []


def _convert_boxes(reader: Reader, step: Step) -> list[Op]:
    name = getattr(step.transform.format, "name", step.transform.format)
    if name != "XYXY":
        reader.differences.append(
            f"{step} makes boxes {name}, but boxes stay in the format that they come in. Convert those of "
            "the batch"
        )
    return []


def _set_clamping(reader: Reader, step: Step) -> list[Op]:
    if step.transform.clamping_mode is None:
        reader.differences.append(
            f"{step} leaves boxes uncut, as the engine does on request: pass it "
            "target_options=ae.TargetOptions(clip=None)"
        )
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
    return reader.cast(step, torch.uint8, True)


def _normalize(reader: Reader, step: Step) -> list[Op]:
    if reader.normalized:
        raise NoOpForStep(step, "that normalises again")
    reader.normalized = True
    return [ops.Normalize(_short(step.transform.mean), _short(step.transform.std))]


def _short(values: Any) -> Any:
    """A tensor of float32, as timm passes it, as the numbers that were written: 0.485, not 0.48500001."""
    return [float(str(v)) for v in values.numpy()] if isinstance(values, torch.Tensor) else values


def _image_classification(reader: Reader, step: Step) -> list[Op]:
    """The preset that torchvision's weights come with."""
    preset = step.transform
    return [*_resized(reader, step), ops.CenterCrop(preset.crop_size), *_normalized(reader, step)]


def _semantic_segmentation(reader: Reader, step: Step) -> list[Op]:
    resized = [] if step.transform.resize_size is None else _resized(reader, step)
    return [*resized, *_normalized(reader, step)]


def _resized(reader: Reader, step: Step) -> list[Op]:
    """The resize that a preset begins with."""
    preset = step.transform
    reader.request_interpolation(step, preset.interpolation)
    return [ops.Resize(preset.resize_size, antialias=preset.antialias is not False)]


def _normalized(reader: Reader, step: Step) -> list[Op]:
    """The conversion and the normalisation that it ends with."""
    reader.floats = True
    return _normalize(reader, step)


def _refused(reason: str) -> Conversion:
    """What is known, and no op for a reason."""

    def convert(reader: Reader, step: Step) -> list[Op]:
        raise NoOpForStep(step, reason)

    return convert


def _random_crop(reader: Reader, step: Step) -> list[Op]:
    crop, border = step.transform, {}
    padding = crop.padding or None
    if padding is not None and ".v2." in type(crop).__module__:
        left, right, top, bottom = padding  # v2 keeps them in torch's order
        padding = (left, top, right, bottom)
    if padding is not None or crop.pad_if_needed:
        border = reader.request_border(step)
    return [ops.RandomCrop(crop.size, padding, crop.pad_if_needed, **border)]


def _pad(reader: Reader, step: Step) -> list[Op]:
    return [ops.Pad(step.transform.padding, **reader.request_border(step))]


def _pad_if_smaller(reader: Reader, step: Step) -> list[Op]:
    return [ops.PadIfSmaller(step.transform.size, reader.request_fill(step, step.transform.fill))]


def _fixed_size_crop(reader: Reader, step: Step) -> list[Op]:
    size = step.transform.crop_height, step.transform.crop_width
    return [ops.FixedSizeCrop(size, **reader.request_border(step))]


def _random_iou_crop(reader: Reader, step: Step) -> list[Op]:
    crop = step.transform
    limits = crop.min_scale, crop.max_scale, crop.min_aspect_ratio, crop.max_aspect_ratio
    return [ops.RandomIoUCrop(*limits, crop.options, crop.trials)]


def _elastic(reader: Reader, step: Step) -> list[Op]:
    elastic = step.transform
    mode: Any = getattr(elastic.interpolation, "value", elastic.interpolation)
    mode = PIL_FILTERS[mode] if isinstance(mode, int) else mode
    fill = several(value_for_images(elastic.fill) or 0)
    fill = tuple(value * reader.bytes_per_unit for value in fill)
    return [
        ops.ElasticTransform(
            elastic.alpha, elastic.sigma, mode, fill[0] if len(set(fill)) == 1 else fill
        )
    ]


def _lambda(reader: Reader, step: Step) -> list[Op]:
    types = tuple(getattr(step.transform, "types", (object,)))
    if not any(issubclass(torch.Tensor, kind) or kind.__name__ == "Image" for kind in types):
        raise NoOpForStep(step, "that is not for images, which alone an op is called with")
    if not reader.floats:
        raise NoOpForStep(
            step, "whose function may be given a PIL image, which an ae.Lambda at the end never is"
        )
    return [ops.Lambda(step.transform.lambd)]


def _gaussian_noise(reader: Reader, step: Step) -> list[Op]:
    if not step.transform.clip:
        raise NoOpForStep(step, "that leaves the range of values (clip=False)")
    return [ops.GaussianNoise(step.transform.mean, step.transform.sigma)]


def _random_solarize(reader: Reader, step: Step) -> list[Op]:
    return [ops.RandomSolarize(step.transform.threshold, step.transform.p)]


def _random_erasing(reader: Reader, step: Step) -> list[Op]:
    erasing = step.transform
    value: Any = "random"  # None in v2's objects
    if erasing.value is not None and erasing.value != "random":
        value = several(erasing.value)
        value = value[0] if len(value) == 1 else value
    return [ops.RandomErasing(erasing.p, erasing.scale, erasing.ratio, value)]


def _mix(reader: Reader, step: Step) -> list[Op]:
    mix = step.transform
    if not getattr(mix._labels_getter, "__module__", "").startswith("torchvision."):
        raise NoOpForStep(step, "that finds labels by a function of its own (labels_getter)")
    return [
        getattr(ops, step.name)(mix.alpha, same_on_batch=True, num_classes=mix.num_classes),
    ]


def _random_apply(reader: Reader, step: Step) -> list[Op]:
    children = list(step.children())
    if len(children) == 1 and children[0].name in ("JPEG", "ElasticTransform"):
        # These are not fused: who meets them they say themselves.
        (op,) = reader.convert(children[0])
        return [replace(op, **{"p": step.transform.p})]
    inner = [op for choice in reader.convert_choices(step) for op in choice]
    return [ops.RandomApply(inner, step.transform.p)] if inner else []


def _random_choice(reader: Reader, step: Step) -> list[Op]:
    weights = step.transform.p
    equal = weights is None or len(set(weights)) == 1
    choices = [one_op(choice) for choice in reader.convert_choices(step)]
    return [ops.RandomChoice(choices, None if equal else weights)]


def _random_order(reader: Reader, step: Step) -> list[Op]:
    inner = [one_op(choice) for choice in reader.convert_choices(step) if choice]
    return [ops.RandomOrder(inner)] if inner else []


# The name of torchvision's class → the function that converts a step of that class.
CONVERSIONS: dict[str, Conversion] = {
    **dict.fromkeys(SEQUENCES, _sequence),
    **dict.fromkeys((*CONTAINERS, *TARGETS), _container),
    "ConvertBoundingBoxFormat": _convert_boxes,
    "SanitizeBoundingBoxes": _sanitize_boxes,
    "SetClampingMode": _set_clamping,
    "AugMix": _same_op(
        *("severity", "mixture_width", "chain_depth", "alpha", "all_ops"),
        *("interpolation", "fill"),
    ),
    "AutoAugment": _same_op("policy", "interpolation", "fill"),
    "CenterCrop": _same_op("size"),
    "ColorJitter": _same_op("brightness", "contrast", "saturation", "hue"),
    "ConvertImageDtype": _convert_image_dtype,
    "CutMix": _mix,
    "ElasticTransform": _elastic,
    "FiveCrop": _same_op("size"),
    "FixedSizeCrop": _fixed_size_crop,
    "GaussianBlur": _same_op("kernel_size", "sigma"),
    "GaussianNoise": _gaussian_noise,
    "Grayscale": _same_op("num_output_channels"),
    "ImageClassification": _image_classification,
    "JPEG": _same_op("quality"),
    "Lambda": _lambda,
    "MixUp": _mix,
    "Normalize": _normalize,
    "ObjectDetection": _to_tensor,
    "OpticalFlow": _refused("that takes two images at once"),
    "Pad": _pad,
    "PadIfSmaller": _pad_if_smaller,
    "RGB": _same_op(),
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
    "RandomIoUCrop": _random_iou_crop,
    "RandomInvert": _same_op("p"),
    "RandomOrder": _random_order,
    "RandomPerspective": _same_op("distortion_scale", "p", "interpolation", "fill"),
    "RandomPhotometricDistort": _same_op("brightness", "contrast", "saturation", "hue", "p"),
    "RandomPosterize": _same_op("bits", "p"),
    "RandomResize": _same_op("min_size", "max_size", "interpolation", "antialias"),
    "RandomResizedCrop": _same_op("size", "scale", "ratio", "interpolation", "antialias"),
    "RandomRotation": _same_op("degrees", "interpolation", "expand", "center", "fill"),
    "RandomShortestSize": _same_op("min_size", "max_size", "interpolation", "antialias"),
    "RandomSolarize": _random_solarize,
    "RandomVerticalFlip": _same_op("p"),
    "RandomZoomOut": _same_op("fill", "side_range", "p"),
    "Resize": _same_op("size", "interpolation", "max_size", "antialias"),
    "ScaleJitter": _same_op("target_size", "scale_range", "interpolation", "antialias"),
    "SemanticSegmentation": _semantic_segmentation,
    "TenCrop": _same_op("size", "vertical_flip"),
    "ToDtype": _to_dtype,
    "ToPILImage": _to_pil_image,
    "ToTensor": _to_tensor,
    "VideoClassification": _refused("that takes clips and moves their axes"),
    "TrivialAugmentWide": _same_op("num_magnitude_bins", "interpolation", "fill"),
}
