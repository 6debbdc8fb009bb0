"""Models to measure with, by name, and their step: forward, backward and the optimiser."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

DEFAULT = "resnet18"
# A module, or a function of (images, labels) that carries out a whole step.
Model = nn.Module | Callable[[torch.Tensor, torch.Tensor], object]
Loss = Callable[[Any, torch.Tensor], torch.Tensor]


def named(name: str | None) -> tuple[nn.Module, str]:
    """A model with random weights, and what it is, in words.

    Args:
        name: Name that timm or torchvision knows; None is a ResNet-18, or a small network of our own
            where neither is installed.

    Raises:
        ValueError: When neither knows it.
        ImportError: When neither is installed, and a name came.
    """
    installed = [package for package in ("timm", "torchvision") if find_spec(package) is not None]
    if name is None and not installed:
        return _small(), "a small convolutional network (for others: timm or torchvision)"
    if not installed:
        raise ImportError(
            f"--model {name}: neither timm nor torchvision is installed, expected one of them. Run "
            "pip install timm, or leave --model away."
        )
    wanted, known = name or DEFAULT, []
    if "timm" in installed:
        import timm

        if timm.is_model(wanted):
            return timm.create_model(wanted), f"timm's {wanted}"
        known += timm.list_models()
    if "torchvision" in installed:
        from torchvision import models

        if wanted in models.list_models(module=models):
            return models.get_model(wanted, weights=None), f"torchvision's {wanted}"
        known += models.list_models(module=models)
    near = ", ".join(get_close_matches(wanted, known, 3, 0))
    raise ValueError(
        f"--model: got {wanted!r}, expected a name that {' or '.join(installed)} knows. The nearest are {near}."
    )


def _small() -> nn.Module:
    layers: list[nn.Module] = []
    for before, after in ((3, 32), (32, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 1000))


def step_of(
    model: Model, loss: Loss | None, images: torch.Tensor, labels: torch.Tensor | None, how: str
) -> Callable[[], object]:
    """A function that carries out one step.

    The model is a copy: the user's keeps its weights.

    Args:
        model: Module, or a function of (images, labels) that carries out a whole step.
        loss: Function of (output, labels); None is cross-entropy.
        images: Batch (N, C, H, W) on the model's device.
        labels: Labels of it; None takes class 0 for all.
        how: "" as it is, "channels_last", "TF32", "no TF32" or "AMP bfloat16".
    """
    if labels is None:
        labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
    if not isinstance(model, nn.Module):
        return lambda: model(images, labels)
    own = copy.deepcopy(model).to(images.device).train()
    if how == "channels_last":
        own, images = (
            own.to(memory_format=torch.channels_last),
            images.to(memory_format=torch.channels_last),
        )
    weights = [parameter for parameter in own.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(weights, lr=1e-4, momentum=0.9) if weights else None
    images = _as_weights(images, own)
    try:
        with torch.no_grad():
            output = own(images)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"model: got images {tuple(images.shape)} of the policy, expected such as the model takes "
            f"({reason}). Take another size in the policy, or another model."
        ) from error
    criterion, targets = loss or nn.functional.cross_entropy, labels
    if loss is None:
        targets = _targets(output, labels)
    del output

    def step() -> None:
        with _computing(how, images.device.type):
            output = own(images)
            error = criterion(output, targets)
        if optimiser is None:
            return
        optimiser.zero_grad(set_to_none=True)
        error.backward()
        optimiser.step()

    return step


def _as_weights(images: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """Images in the dtype of a model's weights; bytes become [0, 1], as a loop that sends bytes does."""
    weight = next((p for p in model.parameters() if p.is_floating_point()), None)
    dtype = torch.float32 if weight is None else weight.dtype
    return images.to(dtype) / 255 if images.dtype == torch.uint8 else images.to(dtype)


def _targets(logits: Any, labels: torch.Tensor) -> torch.Tensor:
    """Labels for cross-entropy: those that came if they fit the logits, or else class 0 for all, which
    costs the same."""
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        came = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(
            f"model: got an output {came}, expected logits (N, classes), for cross-entropy. Pass loss=, a "
            "function of (output, labels)."
        )
    classes = logits.shape[1]
    if labels.ndim == 2 and labels.shape == logits.shape:
        return labels.to(logits.dtype)
    fits = labels.ndim == 1 and not labels.is_floating_point()
    if fits and 0 <= int(labels.min()) and int(labels.max()) < classes:
        return labels.long()
    return torch.zeros(len(logits), dtype=torch.long, device=logits.device)


def variants(device: torch.device) -> tuple[str, ...]:
    """Ways of computing that are measured beside the one that is set, on a GPU."""
    if device.type != "cuda":
        return ()
    return ("channels_last", "TF32", "no TF32", "AMP bfloat16")


@contextmanager
def tf32(how: str) -> Iterator[None]:
    """TF32 switched on ("TF32") or off ("no TF32") for products and convolutions; else as it is."""
    if how not in ("TF32", "no TF32"):
        yield
        return
    cudnn: Any = torch.backends.cudnn
    places = (torch.backends.cuda.matmul, cudnn.conv)
    were = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "tf32" if how == "TF32" else "ieee"
        yield
    finally:
        for place, was in zip(places, were, strict=True):
            place.fp32_precision = was


def _computing(how: str, device: str):
    return torch.autocast(device, torch.bfloat16) if how == "AMP bfloat16" else nullcontext()
