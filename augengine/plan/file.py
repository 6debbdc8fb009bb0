"""A plan as bytes: a safetensors file, the arrays as they are, the rest as JSON in its header."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..checks import shown
from ..untrusted import opened, parse_json, read_header
from .fields import array_fields
from .finish import Finish
from .kinds import LOG_ARGS
from .words import LOG_FIELD

if TYPE_CHECKING:
    from . import Plan

FORMAT_VERSION = 2
_KEY = "augengine.plan"
_LEFT_OUT = {"occurrence", "extent", "slope", "sight"}  # where they say nothing
_FIX = "expected what Plan.save wrote. Save the plan again."
# A header has some 5 kB: 24 arrays and a line for each kind of op.
MOST_HEADER, MOST_LINES, MOST_LINE = 1 << 20, 1 << 12, 1 << 10
MOST_CURVE_VALUES = 1 << 26  # that an older file's curves become
_DTYPES = {
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "F32": "float32", "F64": "float64",
}  # fmt: skip


def to_bytes(plan: Plan) -> bytes:
    """The plan as the bytes of a safetensors file."""
    from safetensors.numpy import save

    arrays = {field.name: getattr(plan, field.name) for field in array_fields(plan)}
    if not plan.occurrence.any():  # as in most plans, and in all files of before there were any
        del arrays["occurrence"]
    if (plan.extent == plan.finish.size).all():  # likewise
        del arrays["extent"]
    if not plan.slope.any():
        del arrays["slope"]
    if np.array_equal(plan.sight, plan.clip):
        del arrays["sight"]
    return save(arrays, metadata={_KEY: json.dumps(header(plan))})


def load(plan_class: type[Plan], path: str | Path) -> Plan:
    """Read a file of what `to_bytes` gave; raises as `from_bytes`, and OSError where there is none."""
    where = f"Plan.load: {path}"
    try:
        stream, size = opened(path)
    except ValueError:
        raise ValueError(f"{where} is no regular file, {_FIX}") from None
    with stream:
        _text_of(plan_class, stream, size, where)  # before all the rest is read
        stream.seek(0)
        return from_bytes(plan_class, stream.read(size), where)


def from_bytes(plan_class: type[Plan], data: bytes, where: str) -> Plan:
    """Read what `to_bytes` gave. Raises ValueError, with `where` in front, for anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"{where} is a {type(data).__name__}, expected bytes. Pass what to_bytes gave."
        )
    data = bytes(data)
    text = _text_of(plan_class, io.BytesIO(data), len(data), where)
    try:
        arrays: dict[str, Any] = load(data)
        if "occurrence" not in arrays:
            arrays["occurrence"] = np.zeros(arrays["ids"].shape, np.int64)
        header = _read_header(plan_class, text)
        channels = header["finish"].channels
        if arrays["curves"].shape[1] == 3 != channels:  # of before each channel had its own
            curves = arrays["curves"][:, :1]
            if curves.size * channels > arrays["curves"].size + MOST_CURVE_VALUES:
                raise ValueError("its curves are for 3 channels")
            arrays["curves"] = np.repeat(curves, channels, axis=1)
        if "extent" not in arrays:
            size = np.array(header["finish"].size, np.int32)
            arrays["extent"] = np.tile(size, (len(arrays["view"]), 1))
        arrays.setdefault("sight", arrays["clip"])
        if "slope" not in arrays:
            arrays["slope"] = np.zeros(len(arrays["support"]), np.float32)
        return plan_class(**arrays, **header)
    except (SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{where} is damaged ({error}), {_FIX}") from error


def _text_of(plan_class: type[Plan], stream: BinaryIO, size: int, where: str) -> str:
    """The JSON in the header of a file that holds a plan's arrays: by their names, dtypes and numbers of
    dimensions, and no more than the file has bytes."""
    try:
        tensors, metadata = read_header(stream, size, MOST_HEADER)
    except ValueError as error:
        raise ValueError(f"{where} is cut short or no safetensors file ({error}), {_FIX}") from None
    text = metadata.get(_KEY)
    if text is None:
        raise ValueError(f"{where} holds no plan, {_FIX}")
    fields = {field.name: field.metadata for field in array_fields(plan_class)}
    missing = (fields.keys() ^ tensors.keys()) - (_LEFT_OUT - tensors.keys())
    if missing:
        raise ValueError(f"{where} lacks or adds {_named(missing)}, {_FIX}")
    for name, (dtype, shape) in tensors.items():
        expected, dims = np.dtype(fields[name]["dtype"]), fields[name]["dims"]
        if _DTYPES.get(dtype) != expected or len(shape) != len(dims):
            raise ValueError(
                f"{where} is damaged (Plan.{name}: got {_DTYPES.get(dtype, dtype)} {list(shape)}, expected "
                f"{expected} [{', '.join(dims)}]), {_FIX}"
            )
    return text


def _named(names: set[str]) -> str:
    return ", ".join(shown(name)[1:-1] for name in sorted(names)[:8])


def header(plan: Plan) -> dict[str, Any]:
    """All of the plan that is no array."""
    return {
        "version": FORMAT_VERSION,
        "finish": dataclasses.asdict(plan.finish),
        "log_text": list(plan.log_text),
        "seed": plan.seed,
        "epoch": plan.epoch,
        "look": plan.look,
        "policy": plan.policy,
        **({"after": list(plan.after)} if plan.after else {}),  # as in few plans
    }


def _read_header(plan_class: type[Plan], text: str) -> dict:
    """What `header` gave, written to JSON as, distrusted."""
    header = parse_json(text)
    if not isinstance(header, dict) or header.pop("version", None) != FORMAT_VERSION:
        raise ValueError(f"its version is not {FORMAT_VERSION}")
    header.setdefault("after", [])
    wrong = {f.name for f in dataclasses.fields(plan_class) if not f.metadata} ^ set(header)
    if wrong:
        raise ValueError(f"its header lacks or adds {_named(wrong)}")
    lines, policy = header["log_text"], header["policy"]
    if not isinstance(lines, list) or len(lines) > MOST_LINES:
        raise ValueError(f"its log_text is no list of at most {MOST_LINES:,} lines")
    names = header["after"]
    if not isinstance(names, list) or len(names) > MOST_LINES:
        raise ValueError(f"its after is no list of at most {MOST_LINES:,} names")
    for name in names:
        if not isinstance(name, str) or len(name) > MOST_LINE or not name.isprintable():
            raise ValueError(f"its stage {shown(name)} is no name")
    for line in (*lines, policy):
        _check_line(line)
    for name, low, high in (
        ("seed", -(2**63), 2**64 - 1),
        ("epoch", 0, 2**63 - 1),
        ("look", 0, 2**32 - 1),
    ):
        if type(header[name]) is not int or not low <= header[name] <= high:
            raise ValueError(
                f"its {name} is {shown(header[name])}, expected a whole number of 64 bits"
            )
    finish = _finish(header["finish"])
    return {**header, "finish": finish, "log_text": tuple(lines), "after": tuple(names)}


def _check_line(line: object) -> None:
    """Printable, so that reading a stranger's plan sends no control codes to the terminal, and with
    fields of no width, so that it stays short."""
    if not isinstance(line, str) or len(line) > MOST_LINE:
        raise ValueError(f"its line {shown(line)} is no text of at most {MOST_LINE:,} characters")
    bare = line.replace("%%", "")
    fields = len(LOG_FIELD.findall(bare))
    if "%" in LOG_FIELD.sub("", bare) or fields > LOG_ARGS or not line.isprintable():
        raise ValueError(f"its line {shown(line)} is not plain text with %-fields of numbers")


def _finish(values: object) -> Finish:
    names = {field.name for field in dataclasses.fields(Finish)}
    if not isinstance(values, dict) or set(values) != names:
        raise ValueError(f"its finish is {shown(values)}, expected {', '.join(sorted(names))}")
    size, mean, std = values["size"], values["mean"], values["std"]
    for numbers in (size, mean, std):
        if not isinstance(numbers, list) or not all(type(n) in (int, float) for n in numbers):
            raise ValueError(f"its finish has {shown(numbers)}, expected a list of numbers")
    if len(size) != 2 or not all(type(n) is int for n in (*size, values["channels"])):
        raise ValueError("its finish has a size or channels that are no whole numbers")
    if type(values["channels_last"]) is not bool or not isinstance(values["dtype"], str):
        raise ValueError(
            "its finish has a dtype that is no text, or a channels_last that is no flag"
        )
    lists = {"size": tuple(size), "mean": tuple(mean), "std": tuple(std)}
    return Finish(**{**values, **lists})
