"""Models: timm's, by name, with weights from a hub or a file; their heads, bodies and fingerprints."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypedDict, cast

import timm
import torch
from timm.layers import SelectAdaptivePool2d
from timm.models import adapt_input_conv, clean_state_dict
from timm.optim import param_groups_layer_decay
from torch import nn

from ..checks import shown
from ..policy.policy import Policy
from ..untrusted import parse_json
from . import (
    digitnet,  # noqa: F401  (registers its models with timm)
    packaged,
)
from .files import read_metadata, read_tensors, write_tensors
from .trained import Trained

PRETRAINED = "pretrained:"
WEIGHTS = "model.safetensors"
_FIX = "Get the file anew, or name another."
MOST_NAME = 256  # characters


class ParameterGroup(TypedDict):
    """Parameters that AdamW trains alike."""

    params: list[nn.Parameter]
    lr: float
    weight_decay: float


def create(
    spec: str,
    *,
    classes: int,
    channels: int,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    new_head: bool = True,
    grid: int = 1,
) -> nn.Module:
    """A timm model for `classes` classes and images of `channels` channels.

    Args:
        spec: NAME (random weights), pretrained:NAME (weights of an installed package that `packaged`
            knows, such as pretrained:efficientnet_lite0, or timm's, from a hub), NAME@FILE (weights in a
            .safetensors file of that model), or FILE.safetensors or a run's folder, as `save` writes
            them. Files of pickles, such as .pth, are refused, since they can hold code.
        classes: Number of classes that the model tells apart.
        channels: Number of channels of the images.
        dropout: Share of features dropped before the head, in [0, 1].
        drop_path: Rate of stochastic depth, in [0, 1].
        new_head: Whether a head for other classes is replaced by a random one, or refused.
        grid: The head sees the mean of the last map in each of grid × grid parts of the picture; 1: over the
            whole picture, as timm has it. Weights that were trained with a grid keep it.

    Raises:
        ValueError: When there is no such model, or its weights do not fit, or its head is no linear layer
            after a mean, and a grid is asked for.
        OSError: When a file is not there, or a hub does not give the weights.
    """
    name, file = name_and_file(spec)
    if len(name) > MOST_NAME or not timm.is_model(name):
        name, spec = name[:MOST_NAME], spec[:MOST_NAME]
        near = ", ".join(get_close_matches(name, timm.list_models(), 4)) or "timm.list_models()"
        raise ValueError(
            f"model: got {spec!r}, and timm knows no {name!r}. Pass a name ({near}), pretrained:NAME, "
            "NAME@FILE, or a file or folder that a run wrote."
        )
    rates = {"drop_rate": dropout, "drop_path_rate": drop_path}
    arguments: dict[str, Any] = {rate: value for rate, value in rates.items() if value}
    if new_head or file is not None:
        arguments["num_classes"] = classes
    in_package = packaged.find(name) if spec.startswith(PRETRAINED) else None
    from_hub = spec.startswith(PRETRAINED) and in_package is None
    try:
        model: Any = timm.create_model(name, pretrained=from_hub, in_chans=channels, **arguments)
    except TypeError as error:
        raise ValueError(
            f"model: {name} takes no {' or '.join(rates)} ({error}). Set both to 0, or take another model."
        ) from error
    except Exception as error:
        if not from_hub:
            raise
        raise OSError(
            f"model: the weights of {name} did not come ({type(error).__name__}: {error}). Pass {name}@FILE "
            f"with a local file of them, or {name} alone for random ones.{packaged.how_to_install(name)}"
        ) from error
    if grid > 1:
        _see_a_grid(model, grid)
    if in_package is not None:
        _load_packaged(model, name, in_package, channels)
    elif file is not None:
        _load_weights(model, file, new_head)
    if file is None and model.num_classes != classes:
        raise ValueError(
            f"model: {spec} answers for {model.num_classes} classes, expected {classes}, the data's. Take a "
            "model of these classes, or finetune it first."
        )
    set_name(model, name)
    # Channels last: a step of efficientnet_lite0 on a CPU then takes a third less, and a GPU's tensor cores
    # ask for it.
    return model.to(memory_format=torch.channels_last)


def name_of(model: nn.Module) -> str:
    """timm's name of a model that `create` made."""
    return cast(Any, model).name


def set_name(model: nn.Module, name: str) -> None:
    """Note timm's name of a model, which `save` writes beside its weights."""
    cast(Any, model).name = name


def load(path: str | os.PathLike[str]) -> Trained:
    """What `augengine.pipelines.load_model` returns; raises as it does."""
    spec = os.fspath(path)
    _, file = name_and_file(spec)
    if file is None:
        raise OSError(
            f"model: there is no {spec}, expected a run's folder or file. Check the path."
        )
    said = read_metadata(file, _FIX)
    try:
        classes, channels = parse_json(said["classes"]), int(said["channels"])
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError("its classes are no list of names")
        policy = Policy.from_yaml(said["policy"])
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"model: {file} does not say its classes, channels and policy ({error}). Train it anew, or read it "
            "with models.create, which asks for them."
        ) from error
    model = create(spec, classes=len(classes), channels=channels, new_head=False)
    return Trained(freeze(model), tuple(classes), policy, channels)


def is_random(spec: str) -> bool:
    """Whether `create(spec)` starts from random weights."""
    return not spec.startswith(PRETRAINED) and name_and_file(spec)[1] is None


def name_and_file(spec: str) -> tuple[str, Path | None]:
    """timm's name of the model that a spec names, and the file of its weights, where they lie in one.

    Raises:
        ValueError: When the file is a pickle, or does not say of which model it is.
        OSError: When it is not there.
    """
    path = Path(spec)
    if path.is_dir():
        path = path / WEIGHTS
    if path.suffix == ".safetensors" and "@" not in spec:
        if not path.is_file():
            raise OSError(
                f"model: there is no {path}, expected a file that a run wrote. Check the path."
            )
        name = read_metadata(path, _FIX).get("model")
        if name is None:
            raise ValueError(
                f"model: {path} does not say of which model it is. Pass NAME@{path}, with timm's name."
            )
        return name, path
    if "@" in spec:
        name, _, file = spec.partition("@")
        if not Path(file).is_file():
            raise OSError(f"model: there is no file {file!r}. Check the path after the @.")
        if Path(file).suffix != ".safetensors":
            raise ValueError(
                f"model: got {file!r}, expected a .safetensors file, since others are pickles, which can hold "
                "code. Write one: safetensors.torch.save_file(torch.load(file, weights_only=True), "
                "'weights.safetensors')."
            )
        return name, Path(file)
    if spec.startswith(PRETRAINED):
        name = spec.removeprefix(PRETRAINED)
        return packaged.ALIASES.get(name, name), None
    return spec, None


def notes_of(file: Path) -> dict[str, str]:
    """What stands beside the weights in a file; raises as `load`."""
    return read_metadata(file, _FIX)


def _load_packaged(model: nn.Module, name: str, file: Path, channels: int) -> None:
    """Take the weights of an installed package. A head of another size stays random."""
    weights, own = packaged.read(name, file), model.state_dict()
    stem = cast(Any, model).pretrained_cfg["first_conv"] + ".weight"
    # As timm does it: the sum over the channels for grey images, which then mean what grey RGB would.
    weights[stem] = adapt_input_conv(channels, weights[stem])
    fitting = {n: value for n, value in weights.items() if value.shape == own[n].shape}
    strange = [n for n in own if n not in fitting and not n.startswith(_head_name(model) + ".")]
    assert not strange, strange  # packaged.read has compared them
    model.load_state_dict(fitting, strict=False)


def _load_weights(model: nn.Module, file: Path, new_head: bool) -> None:
    """Take all weights from the file. A head of another size stays random, if new_head allows it."""
    weights = clean_state_dict(read_tensors(file, _FIX)[0])
    trained = _grid_of(weights.get(_head_name(model) + ".weight"), head(model))
    if trained > 1:
        _see_a_grid(model, trained)
    own = model.state_dict()
    head_weights = {name for name in own if name.startswith(_head_name(model) + ".")}
    for name in head_weights & set(weights):
        if new_head and weights[name].shape != own[name].shape:
            del weights[name]
    strange = set(own) ^ set(weights)
    strange |= {n for n in set(own) & set(weights) if own[n].shape != weights[n].shape}
    if strange - head_weights if new_head else strange:
        names = ", ".join(shown(name)[1:-1] for name in sorted(strange)[:4])
        raise ValueError(
            f"model: {file} is not of this model; they differ in {names}. Pass the "
            "name that belongs to the file, images of as many channels, and of a teacher as many classes."
        )
    model.load_state_dict(weights, strict=False)


def _see_a_grid(model: nn.Module, grid: int) -> None:
    """Give the model a random linear head on the means of grid × grid parts of its last map."""
    pools = [
        name for name, layer in model.named_modules() if isinstance(layer, SelectAdaptivePool2d)
    ]
    last = head(model)
    try:
        if len(pools) != 1 or not isinstance(last, nn.Linear):
            raise RuntimeError("it has no single mean before a linear layer")
        wide = nn.Linear(last.in_features * grid**2, last.out_features)
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(grid), nn.Flatten(1))
        for name, layer in ((pools[0], pool), (_head_name(model), wide)):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, layer)
        stem = cast(nn.Conv2d, model.get_submodule(cast(Any, model).pretrained_cfg["first_conv"]))
        with torch.no_grad():
            # Other layers may stand between the two; a small image finds out.
            model.eval()(torch.zeros(1, stem.in_channels, 64, 64))
        model.train()
    except (RuntimeError, ValueError, TypeError) as error:
        raise ValueError(
            f"model: {type(model).__name__} takes no grid of {grid} × {grid} ({error}). Leave --grid out, or "
            "take a model whose head is one linear layer after a mean, such as a digitnet or a resnet."
        ) from error


def _grid_of(weight: torch.Tensor | None, own: nn.Module) -> int:
    """The grid that a head's weights were trained with, as their width says; 1 where they fit or are others."""
    if weight is None or weight.ndim != 2 or not isinstance(own, nn.Linear):
        return 1
    classes, width = weight.shape
    grid = math.isqrt(width // own.in_features)
    fits = classes == own.out_features and grid**2 * own.in_features == width
    return grid if fits else 1


def teacher(spec: str, *, classes: int, channels: int) -> nn.Module:
    """A frozen model with the head that it has, as a teacher is used.

    Args:
        spec: Model, as `create` takes it.
        classes: Number of classes that its head must have.
        channels: Number of channels of the images.

    Raises:
        ValueError: When its classes are others.
    """
    return freeze(create(spec, classes=classes, channels=channels, new_head=False))


def save(model: nn.Module, file: Path, notes: Mapping[str, str]) -> None:
    """Write the weights as safetensors, with the model's name and `notes`: the whole file or none."""
    write_tensors(file, model.state_dict(), {"model": name_of(model), **notes})


def _head_name(model: nn.Module) -> str:
    return cast(Any, model).pretrained_cfg["classifier"]


def head(model: nn.Module) -> nn.Module:
    """The last, fully connected layer of a timm model."""
    return cast(Any, model).get_classifier()


def freeze(model: nn.Module) -> nn.Module:
    """The same model, put into evaluation mode and without gradients, so that it only answers."""
    return model.eval().requires_grad_(False)


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    *,
    body: float = 1.0,
    layer_decay: float = 1.0,
) -> list[ParameterGroup]:
    """Parameter groups for AdamW; vectors, such as biases, are not decayed.

    Args:
        model: A timm model. Parameters without gradients are left out.
        lr: Learning rate of the head.
        weight_decay: Weight decay of matrices and kernels.
        body: Learning rate of the body, as a share of the head's.
        layer_decay: Learning rate of each layer, as a share of the next one's (BEiT's way).
    """
    head_ids = {id(parameter) for parameter in head(model).parameters()}
    groups: list[ParameterGroup] = []
    for group in param_groups_layer_decay(model, weight_decay, layer_decay=layer_decay):
        for in_head, share in ((True, 1.0), (False, body)):
            params = [p for p in group["params"] if (id(p) in head_ids) == in_head]
            rate = lr * share * group["lr_scale"]
            if params:
                groups.append({"params": params, "lr": rate, "weight_decay": group["weight_decay"]})
    return groups


def fingerprint(model: nn.Module) -> str:
    """A hash of all parameters and buffers: 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
