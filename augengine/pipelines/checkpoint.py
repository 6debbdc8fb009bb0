"""A training as it stands, in a folder: state.safetensors for all processes, random-K.safetensors for each.

Both hold tensors, and numbers as JSON in the header. Nothing that could be code is written or read.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..checks import number, whole_number
from ..untrusted import parse_json
from .files import check_tensors, read_tensors, write_tensors
from .settings import LARGEST

FORMAT = 1
STATE = "state.safetensors"
NUMBERS = "augengine.checkpoint"  # the key of the JSON in a header
_FIX = "Put a copy back, or move the checkpoint's folder elsewhere; the stage then begins anew."


class Progress:
    """How far a training is: what a checkpoint holds besides tensors."""

    def __init__(self) -> None:
        self.epoch, self.step, self.accuracy = 0, 0, 0.0


@dataclass(frozen=True)
class Training:
    """What a checkpoint is of.

    Args:
        model: Model that is trained.
        average: The average of its weights, if there is one.
        optimizer: Its optimizer, AdamW.
        schedule: Learning rates by step.
        scaler: The gradients' scale in float16, if there is one.
        progress: How far it is.
        memory: What its loss remembers, if it does.
    """

    model: nn.Module
    average: nn.Module | None
    optimizer: Optimizer
    schedule: LambdaLR
    scaler: Any
    progress: Progress
    memory: nn.Module | None = None

    def modules(self) -> dict[str, nn.Module]:
        """The model, its average and its loss's memory, as far as there are such."""
        named = {"model": self.model, "average": self.average, "memory": self.memory}
        return {part: module for part, module in named.items() if module is not None}

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights and buffers of all modules."""
        return {
            f"{part}.{name}": value
            for part, module in self.modules().items()
            for name, value in module.state_dict().items()
        }

    def moments(self) -> dict[str, torch.Tensor]:
        """What the optimizer knows of each parameter, by the parameter's number."""
        return {
            f"optimizer.{number}.{name}": value
            for number, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
        }

    def expected_moments(self) -> dict[str, torch.Tensor]:
        """Tensors as `moments` has them once every parameter has been stepped."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        return {
            f"optimizer.{number}.{name}": torch.empty(shape, dtype=dtype, device="meta")
            for number, p in enumerate(parameters)
            for name, shape, dtype in (
                ("step", (), torch.float32),
                ("exp_avg", p.shape, p.dtype),
                ("exp_avg_sq", p.shape, p.dtype),
            )
        }


def write_state(folder: Path, training: Training, processes: int) -> None:
    """Write what all processes share."""
    numbers = {
        "format": FORMAT,
        "processes": processes,
        "progress": vars(training.progress),
        "scaler": None if training.scaler is None else training.scaler.state_dict(),
    }
    tensors = training.weights() | training.moments()
    write_tensors(folder / STATE, tensors, {NUMBERS: json.dumps(numbers)})


def read_state(folder: Path, training: Training) -> int:
    """Go back to what `write_state` wrote. Returns how many processes there were.

    Raises:
        ValueError: When a file is missing, damaged or of another training, with its name.
    """
    file = folder / STATE
    if not file.exists():
        raise ValueError(
            f"run: {folder} lacks {STATE}, expected a checkpoint of this version. Resume with the version "
            "that wrote it, or start another run."
        )
    tensors, numbers = _read(file)
    progress, processes = _progress(file, numbers)
    weights, moments = training.weights(), training.expected_moments()
    # A parameter that no loss has reached yet has no moments.
    stepped = {name.rpartition(".")[0] for name in tensors if name.startswith("optimizer.")}
    moments = {name: value for name, value in moments.items() if name.rpartition(".")[0] in stepped}
    check_tensors(file, tensors, weights | moments, _FIX)
    for part, module in training.modules().items():
        module.load_state_dict(_below(f"{part}.", tensors))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name in moments:
        _, parameter, key = name.split(".")
        state.setdefault(int(parameter), {})[key] = tensors[name].clone()
    groups = training.optimizer.state_dict()["param_groups"]
    training.optimizer.load_state_dict({"state": state, "param_groups": groups})
    _set_rates(training, progress["step"])
    if training.scaler is not None:
        training.scaler.load_state_dict(_scaler(file, numbers["scaler"], training.scaler))
    vars(training.progress).update(progress)
    return processes


def _read(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors of a file, and its numbers."""
    tensors, metadata = read_tensors(file, _FIX)
    try:
        numbers = parse_json(metadata.get(NUMBERS, "null"))
    except ValueError as error:
        raise ValueError(f"run: {file} is damaged ({error}). {_FIX}") from None
    if not isinstance(numbers, dict):
        raise ValueError(f"run: {file} holds no numbers in its header. {_FIX}")
    return tensors, numbers


def _below(part: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(part): t for name, t in tensors.items() if name.startswith(part)}


def _progress(file: Path, numbers: dict[str, Any]) -> tuple[dict[str, Any], int]:
    names = {"format", "processes", "progress", "scaler"}
    progress = numbers.get("progress")
    if set(numbers) != names or not isinstance(progress, dict):
        raise ValueError(f"run: {file} is no checkpoint of this version. {_FIX}")
    if numbers["format"] != FORMAT or set(progress) != set(vars(Progress())):
        raise ValueError(f"run: {file} is no checkpoint of this version. {_FIX}")
    try:
        whole_number("epoch", progress["epoch"], 1, LARGEST)
        whole_number("step", progress["step"], 1, 2**53)
        number("accuracy", progress["accuracy"], 0, 1)
        processes = whole_number("processes", numbers["processes"], 1, LARGEST)
    except (TypeError, ValueError) as error:
        raise ValueError(f"run: {file} is damaged ({error}) {_FIX}") from None
    return progress, processes


def _set_rates(training: Training, step: int) -> None:
    """The learning rates of a step, which are a function of it."""
    schedule = training.schedule
    rates = [
        base * share(step)
        for base, share in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
    ]
    for group, rate in zip(training.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    changed = {"last_epoch": step, "_step_count": step + 1, "_last_lr": rates}
    schedule.load_state_dict(schedule.state_dict() | changed)


def _scaler(file: Path, state: object, scaler: Any) -> dict[str, float]:
    own = scaler.state_dict()
    if not isinstance(state, dict) or set(state) != set(own):
        raise ValueError(f"run: {file} lacks the scale of float16's gradients. {_FIX}")
    try:
        return {name: type(own[name])(number(name, state[name], 0)) for name in own}
    except (TypeError, ValueError) as error:
        raise ValueError(f"run: {file} is damaged ({error}) {_FIX}") from None


# Random numbers: the states of Python's, NumPy's and torch's generators.


def write_random(folder: Path, process: int) -> None:
    """Write the states of this process's generators."""
    _, words, gauss = random.getstate()
    # The generator that libraries draw from.
    _, key, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    tensors = {
        "python": torch.tensor(words, dtype=torch.int64),
        "numpy": torch.from_numpy(np.asarray(key).astype(np.int64)),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    numbers = {"python": gauss, "numpy": [int(position), int(has_gauss), float(cached)]}
    write_tensors(_random_file(folder, process), tensors, {NUMBERS: json.dumps(numbers)})


def read_random(folder: Path, process: int) -> None:
    """Set the generators of this process to what `write_random` wrote.

    Raises:
        ValueError: When the file is missing, or is no such states, with its name.
    """
    file = _random_file(folder, process)
    if not file.exists():
        raise ValueError(f"run: {folder} lacks {file.name}, and is no whole checkpoint. {_FIX}")
    tensors, numbers = _read(file)
    try:
        # NumPy does not look where in its words it is told to go on.
        position, has_gauss, cached = numbers["numpy"]
        whole_number("NumPy's position", position, 0, 624)
        whole_number("NumPy's flag", has_gauss, 0, 1)
        words, key = tensors["python"], tensors["numpy"]
        for name, values, length in (("Python", words, 625), ("NumPy", key, 624)):
            fits = values.dtype == torch.int64 and values.shape == (length,)
            if not fits or not 0 <= int(values.min()) <= int(values.max()) < 2**32:
                raise ValueError(f"{name}'s state is no {length} words of 32 bits")
        gauss = numbers["python"]
        gauss = None if gauss is None else number("Python's spare number", gauss)
        random.setstate((3, tuple(words.tolist()), gauss))
        cached = number("NumPy's spare number", cached)
        state = ("MT19937", key.numpy().astype(np.uint32), position, has_gauss, cached)
        np.random.set_state(state)  # noqa: NPY002
        torch.set_rng_state(tensors["torch"].clone())
        if torch.cuda.is_available() and "cuda" in tensors:
            torch.cuda.set_rng_state(tensors["cuda"].clone())
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"run: {file} holds no random states ({error}). {_FIX}") from None


def _random_file(folder: Path, process: int) -> Path:
    return folder / f"random-{process}.safetensors"
