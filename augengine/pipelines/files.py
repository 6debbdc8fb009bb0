"""Files of a run: written whole or not at all, and read as if a stranger had written them.

Tensors go into safetensors files and all else into JSON, neither of which can hold code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from .. import systems
from ..checks import shown
from ..untrusted import MOST_JSON, opened, read_header, read_json

if TYPE_CHECKING:  # the command line reads settings without torch
    import torch


@contextmanager
def written(file: Path) -> Iterator[Path]:
    """A path beside `file`, for a new file that takes its place once it is on the disk.

    Raises:
        OSError: When it cannot be written, for want of room, say. What was there before is whole.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        partial.unlink(missing_ok=True)  # so that a link that lies there is not followed
        yield partial
        systems.sync(partial)
        partial.replace(file)
        systems.sync(file.parent)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OSError(
            f"run: {file} could not be written ({error}). What was there before is whole; make room, and go "
            "on with --resume."
        ) from error


def write_json(file: Path, value: object) -> None:
    """Write JSON, the whole file or none; raises as `written`."""
    with written(file) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def read_object(file: Path, fix: str, most: int = MOST_JSON) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ValueError: When it is torn or none, with the file's name and `fix`.
        OSError: When it cannot be read.
    """
    try:
        value = read_json(file, most)
    except ValueError as error:
        raise ValueError(f"run: {file} is torn or damaged ({error}). {fix}") from None
    if not isinstance(value, dict):
        raise ValueError(f"run: {file} holds {shown(value)}, expected a JSON object. {fix}")
    return value


def write_tensors(
    file: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors, and text by name beside them, the whole file or none; raises as `written`."""
    from safetensors.torch import save_file

    # Copied, since safetensors refuses tensors that share memory.
    state = {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()
    }
    with written(file) as partial:
        save_file(state, partial, {"format": "pt", **metadata})


def read_tensors(file: Path, fix: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """A safetensors file's tensors, on the CPU, and its metadata.

    Raises:
        ValueError: When it is cut short, damaged or no such file, with its name and `fix`.
        OSError: When it cannot be read.
    """
    from safetensors.torch import load_file

    metadata = read_metadata(file, fix)
    try:
        return load_file(file), metadata
    except SafetensorError as error:
        raise ValueError(f"run: {file} is damaged ({error}). {fix}") from None


def read_metadata(file: Path, fix: str) -> dict[str, str]:
    """A safetensors file's metadata; raises as `read_tensors`."""
    try:
        stream, size = opened(file)
        with stream:
            return read_header(stream, size)[1]
    except ValueError as error:
        raise ValueError(f"run: {file} is cut short or damaged ({error}). {fix}") from None


def check_tensors(
    file: Path,
    tensors: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    fix: str,
) -> None:
    """Raise ValueError unless names, shapes and dtypes are those of the expected tensors."""
    wrong = set(tensors) ^ set(expected)
    wrong |= {
        name
        for name in set(tensors) & set(expected)
        if (tensors[name].shape, tensors[name].dtype)
        != (expected[name].shape, expected[name].dtype)
    }
    if wrong:
        first = ", ".join(shown(name) for name in sorted(wrong)[:4])
        raise ValueError(
            f"run: {file} lacks {first}, adds them, or has them in another shape or dtype. {fix}"
        )
