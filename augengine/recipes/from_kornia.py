"""A pipeline of kornia's augmentations as a policy. kornia is looked at and not run: a step is known by its
class's module and name, its arguments are its attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch

from ..checks import shown
from ..policy import ops
from ..policy.ops.op import Op
from ..policy.policy import Policy
from .reading import read
from .torchvision_steps import NoOpForStep, Request, one_op

ADVICE = (
    "Leave it out, or put it into an ae.Stage at the end, which calls it on the finished batch."
)
SEQUENCES = ("AugmentationSequential", "ImageSequential", "Sequential")
SIZING = ("Resize",)


class Step(NamedTuple):
    """A module of a pipeline, and where it stands."""

    label: str
    module: Any

    @property
    def name(self) -> str:
        """The class's name, if it is one of kornia or a plain sequence."""
        kind = type(self.module)
        known = kind.__module__.startswith("kornia.augmentation.") or kind is torch.nn.Sequential
        return kind.__name__ if known else ""

    def children(self) -> Iterator[Step]:
        for k, child in enumerate(self.module.children()):
            yield Step(f"{self.label}.{k}".removeprefix("."), child)

    def drawn(self, name: str) -> tuple[float, float]:
        """The limits of a number that its generator draws, evenly."""
        generator = self.module._param_generator
        samplers = getattr(generator, "sampler_dict", {})
        sampler = samplers[name] if name in samplers else getattr(generator, f"{name}_sampler")
        # float32 of what was written: 0.1, not 0.10000000149.
        low, high = (float(str(end.float().numpy()[()])) for end in (sampler.low, sampler.high))
        return low, high

    def __str__(self) -> str:
        return f"step {self.label or 0} ({type(self.module).__name__})"


@dataclass
class Reader:
    """What is known on the way through a pipeline, whose images are floats in [0, 1]."""

    floats: bool = True
    normalized: bool = False
    requests: list[Request] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def convert(self, step: Step) -> list[Op]:
        """The ops that do what a step does."""
        if isinstance(step.module, Op):
            return [step.module]
        if step.name not in KORNIA:
            raise NoOpForStep(step, "that augengine does not have")
        if step.name not in SEQUENCES and step.name not in ALIKE:
            if step.module.same_on_batch:
                raise NoOpForStep(step, "that does the same to a whole batch (same_on_batch=True)")
            if step.module.p_batch != 1:
                raise NoOpForStep(step, "that leaves whole batches alone (p_batch)")
        before = self.normalized
        try:
            converted = KORNIA[step.name](self, step)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise NoOpForStep(step, f"with arguments that no op takes ({error})") from error
        p = float(getattr(step.module, "p", 1.0)) if step.name not in SEQUENCES else 1.0
        if p == 1 or not converted:
            return converted
        if before != self.normalized:
            raise NoOpForStep(step, f"that normalises some images only (p={p:g})")
        (op,) = converted
        return [replace(op, p=p) if getattr(op, "p", None) == 1 else ops.RandomApply(op, p)]  # type: ignore[call-arg]


Conversion = Callable[[Reader, Step], list[Op]]


def from_kornia(module: torch.nn.Module | Sequence[torch.nn.Module]) -> Policy:
    """The policy that does what augmentations of kornia do.

    Images are floats in [0, 1] there; here bytes are taken as well. Each sample has draws of its own, and
    is sampled once, where kornia interpolates in every step. What becomes of boxes, masks and keypoints is
    said by `TargetOptions`, and not by data_keys. Every op clamps to [0, 1].

    Args:
        module: AugmentationSequential, ImageSequential, a sequence of modules, or one.

    Returns:
        The policy.

    Raises:
        ValueError: When no op does what a step does, or a step does the same to a whole batch.
        TypeError: When `module` is no module.

    Example:
        >>> from kornia import augmentation as K
        >>> pipeline = K.AugmentationSequential(K.RandomHorizontalFlip(p=0.3), K.RandomGrayscale(p=0.2))
        >>> ae.from_kornia(pipeline)
        Policy([
            RandomHorizontalFlip(p=0.3),
            RandomGrayscale(p=0.2),
        ])
    """
    steps = list(_leaves("", module))
    return read("from_kornia", steps, Reader(), SIZING, advice=ADVICE, stacklevel=3)


def _leaves(label: str, module: object) -> Iterator[Step]:
    """The steps in order, with sequences opened that take all of theirs."""
    if isinstance(module, (list, tuple)):
        for k, child in enumerate(module):
            yield from _leaves(f"{label}.{k}".removeprefix("."), child)
    elif not isinstance(module, (torch.nn.Module, Op)):
        raise TypeError(
            f"from_kornia: step {label or 0} is {shown(module)}, expected a module. Pass kornia's "
            "augmentations, in a list or in a sequence of kornia's."
        )
    else:
        step = Step(label, module)
        if step.name in SEQUENCES and not getattr(module, "random_apply", False):
            for child in step.children():
                yield from _leaves(child.label, child.module)
        else:
            yield step


# The conversions, of what always happens: p comes afterwards.


def _always(name: str) -> Conversion:
    """The op of that name, which has nothing but p."""
    return lambda reader, step: [getattr(ops, name)(1)]


def _sequence(reader: Reader, step: Step) -> list[Op]:
    """Its steps, or one of them."""
    if not step.module.random_apply:
        return [op for child in step.children() for op in reader.convert(child)]
    weights = step.module.random_apply_weights
    if tuple(step.module.random_apply) != (1, 2):
        raise NoOpForStep(step, "that applies more than one of its steps, or draws how many")
    chosen = [one_op(reader.convert(child)) for child in step.children()]
    alike = weights is None or len({float(weight) for weight in weights}) == 1
    return [ops.OneOf(chosen, None if alike else [float(weight) for weight in weights])]


def _center_crop(reader: Reader, step: Step) -> list[Op]:
    return [ops.CenterCrop(tuple(step.module.flags["size"]))]


def _color_jitter(reader: Reader, step: Step) -> list[Op]:
    neutral = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    drawn = ((step.drawn(name), none) for name, none in neutral.items())
    limits = [None if pair == none else pair for pair, none in drawn]
    if step.module._fixed_order is not None:
        raise NoOpForStep(step, "that names an order of its changes")
    return [ops.ColorJitter(*limits)]


def _gaussian_blur(reader: Reader, step: Step) -> list[Op]:
    if step.module.flags["border_type"].name.lower() != "reflect":
        raise NoOpForStep(step, "whose border is not reflected")
    size = step.module.flags["kernel_size"]
    down, across = size if isinstance(size, tuple) else (size, size)
    return [ops.GaussianBlur((across, down), step.drawn("sigma"))]


def _gaussian_noise(reader: Reader, step: Step) -> list[Op]:
    generator = step.module._param_generator
    return [ops.GaussianNoise(float(generator.mean), float(generator.std))]


def _gamma(reader: Reader, step: Step) -> list[Op]:
    low, high = step.drawn("gain_factor")
    if low != high:
        raise NoOpForStep(step, "that draws a gain")
    return [ops.RandomGamma(step.drawn("gamma_factor"), 1, low)]


def _motion_blur(reader: Reader, step: Step) -> list[Op]:
    if step.module.flags["border_type"].name.lower() != "reflect":
        raise NoOpForStep(step, "whose border is not reflected")
    size = step.module._param_generator.kernel_size
    angle, direction = step.drawn("angle"), step.drawn("direction")
    resample = step.module.flags["resample"].name.lower()
    return [ops.RandomMotionBlur(size, angle, direction, resample, 1)]


def _salt_and_pepper(reader: Reader, step: Step) -> list[Op]:
    return [ops.RandomSaltAndPepperNoise(step.drawn("amount"), step.drawn("salt_and_pepper"), 1)]


def _grayscale(reader: Reader, step: Step) -> list[Op]:
    if step.module.rgb_weights is not None:
        raise NoOpForStep(step, "with weights of its own")
    return [ops.RandomGrayscale(1)]


def _invert(reader: Reader, step: Step) -> list[Op]:
    if float(step.module.flags["max_val"]) != 1:
        raise NoOpForStep(step, "whose largest value is not 1")
    return [ops.RandomInvert(1)]


def _normalize(reader: Reader, step: Step) -> list[Op]:
    if reader.normalized:
        raise NoOpForStep(step, "that normalises again")
    reader.normalized = True
    mean, std = (
        [float(str(v)) for v in step.module.flags[name].float().reshape(-1).numpy()]
        for name in ("mean", "std")
    )
    return [ops.Normalize(mean, std)]


def _rotation(reader: Reader, step: Step) -> list[Op]:
    name = step.module.flags["resample"].name.lower()
    reader.requests.append(Request(step, "interpolation", name))
    reader.requests.append(Request(step, "fill", 0.0))
    return [ops.RandomRotation(step.drawn("degrees"), fill=0)]


ALIKE = ("CenterCrop", "Normalize")  # what leaves nothing to chance says that batches are alike
KORNIA: dict[str, Conversion] = {
    **dict.fromkeys(SEQUENCES, _sequence),
    "CenterCrop": _center_crop,
    "ColorJitter": _color_jitter,
    "Normalize": _normalize,
    "RandomChannelShuffle": _always("RandomChannelPermutation"),
    "RandomGamma": _gamma,
    "RandomGaussianBlur": _gaussian_blur,
    "RandomGaussianNoise": _gaussian_noise,
    "RandomGrayscale": _grayscale,
    "RandomHorizontalFlip": _always("RandomHorizontalFlip"),
    "RandomInvert": _invert,
    "RandomMotionBlur": _motion_blur,
    "RandomRotation": _rotation,
    "RandomSaltAndPepperNoise": _salt_and_pepper,
    "RandomVerticalFlip": _always("RandomVerticalFlip"),
}
