"""Models: timm's, by name, with weights from a hub or a file; their heads, bodies and fingerprints."""

from __future__ import annotations

import hashlib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from timm.models import load_state_dict
from timm.optim import param_groups_layer_decay
from torch import nn

from . import digitnet  # noqa: F401  (registers its models with timm)

PRETRAINED = "pretrained:"
SAVED = "model.safetensors"


def create(
    what: str, *, classes: int, channels: int, dropout: float = 0.0, drop_path: float = 0.0,
    new_head: bool = True,
):  # fmt: skip
    """A timm model for `classes` classes and images of `channels` channels.

    what: NAME (random weights); pretrained:NAME (timm's weights, from a hub); NAME@FILE (weights in a
    .safetensors or .pth file of that model); FILE.safetensors or a run's folder, as `save` writes
    them. A head for other classes is made anew, or refused without new_head. dropout: before the head.
    drop_path: stochastic depth.
    Raises ValueError or OSError where there is no such model, or its weights do not come or fit.
    """
    name, file = _name_and_file(what)
    if not timm.is_model(name):
        near = ", ".join(get_close_matches(name, timm.list_models(), 4)) or "timm.list_models()"
        raise ValueError(
            f"model: got {what!r}, and timm knows no {name!r}. Pass a name ({near}), pretrained:NAME, "
            "NAME@FILE, or a file or folder that a run wrote."
        )
    how = {"drop_rate": dropout, "drop_path_rate": drop_path}
    asked: dict[str, Any] = {rate: value for rate, value in how.items() if value}
    if new_head or file is not None:
        asked["num_classes"] = classes
    try:
        model: Any = timm.create_model(
            name, pretrained=what.startswith(PRETRAINED), in_chans=channels, **asked
        )
    except TypeError as error:
        raise ValueError(
            f"model: {name} takes no {' or '.join(how)} ({error}). Set both to 0, or take another model."
        ) from error
    except Exception as error:
        if not what.startswith(PRETRAINED):
            raise
        raise OSError(
            f"model: the weights of {name} did not come ({type(error).__name__}: {error}). Pass {name}@FILE "
            f"with a local file of them, or {name} alone for random ones."
        ) from error
    if file is not None:
        _put_weights(model, file, new_head)
    elif model.num_classes != classes:
        raise ValueError(
            f"model: {what} answers for {model.num_classes} classes, expected {classes}, the data's. Take a "
            "model of these classes, or finetune it first."
        )
    model.name = name
    return model


def is_random(what: str) -> bool:
    """Whether `create` would start from random weights."""
    return not what.startswith(PRETRAINED) and _name_and_file(what)[1] is None


def _name_and_file(what: str) -> tuple[str, Path | None]:
    path = Path(what)
    if path.is_dir():
        path = path / SAVED
    if path.suffix == ".safetensors" and "@" not in what:
        if not path.is_file():
            raise OSError(
                f"model: there is no {path}, expected a file that a run wrote. Check the path."
            )
        with safe_open(path, "pt") as opened:
            name = (opened.metadata() or {}).get("model")
        if name is None:
            raise ValueError(
                f"model: {path} does not say of which model it is. Pass NAME@{path}, with timm's name."
            )
        return name, path
    if "@" in what:
        name, _, of = what.partition("@")
        if not Path(of).is_file():
            raise OSError(f"model: there is no file {of!r}. Check the path after the @.")
        return name, Path(of)
    return what.removeprefix(PRETRAINED), None


def _put_weights(model: nn.Module, file: Path, new_head: bool) -> None:
    """All weights of the file; a head of another size stays new, if it may."""
    weights, own = load_state_dict(str(file), device="cpu"), model.state_dict()
    inside = {name for name in own if name.startswith(_head_name(model) + ".")}
    for name in inside & set(weights):
        if new_head and weights[name].shape != own[name].shape:
            del weights[name]
    strange = set(own) ^ set(weights)
    strange |= {n for n in set(own) & set(weights) if own[n].shape != weights[n].shape}
    if strange - inside if new_head else strange:
        raise ValueError(
            f"model: {file} is not of this model; they differ in {', '.join(sorted(strange)[:4])}. Pass the "
            "name that belongs to the file, images of as many channels, and of a teacher as many classes."
        )
    model.load_state_dict(weights, strict=False)


def teacher(what: str, *, classes: int, channels: int) -> nn.Module:
    """A model as it is, head and all, that only answers. Raises ValueError if its classes are others."""
    return frozen(create(what, classes=classes, channels=channels, new_head=False))


def save(model, file: Path) -> None:
    """The weights as safetensors, with the model's name, written whole or not at all."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    beside = file.with_suffix(".partial")
    save_file(state, beside, {"format": "pt", "model": model.name})
    beside.replace(file)


def _head_name(model) -> str:
    return model.pretrained_cfg["classifier"]


def head(model) -> nn.Module:
    """The last, fully connected layer."""
    return model.get_classifier()


def frozen(model: nn.Module) -> nn.Module:
    """The model as one that only answers: no gradients, statistics of BatchNorm fixed."""
    return model.eval().requires_grad_(False)


def groups(model, lr: float, weight_decay: float, *, body: float = 1.0, layer_decay: float = 1.0):
    """Parameter groups for AdamW; vectors are not decayed.

    body: the body's learning rate, as a share of the head's lr. layer_decay: what each layer has of
    the next one's rate (BEiT's way; 1: all alike).
    """
    of_head = {id(parameter) for parameter in head(model).parameters()}
    made = []
    for group in param_groups_layer_decay(model, weight_decay, layer_decay=layer_decay):
        for inside, share in ((True, 1.0), (False, body)):
            picked = [p for p in group["params"] if (id(p) in of_head) == inside]
            rate = lr * share * group["lr_scale"]
            if picked:
                made.append({"params": picked, "lr": rate, "weight_decay": group["weight_decay"]})
    return made


def fingerprint(model: nn.Module) -> str:
    """A hash of all parameters and buffers."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
