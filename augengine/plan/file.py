"""A plan as bytes: a safetensors file, the arrays as they are, the rest as JSON in its header."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from .fields import array_fields
from .finish import Finish
from .kinds import LOG_ARGS
from .words import LOG_FIELD

if TYPE_CHECKING:
    from . import Plan

FORMAT_VERSION = 2
_KEY = "augengine.plan"


def to_bytes(plan: Plan) -> bytes:
    """The plan as the bytes of a safetensors file."""
    from safetensors.numpy import save

    arrays = {field.name: getattr(plan, field.name) for field in array_fields(plan)}
    if not plan.occurrence.any():  # as in most plans, and in all files of before there were any
        del arrays["occurrence"]
    return save(arrays, metadata={_KEY: json.dumps(header(plan))})


def from_bytes(plan_class: type[Plan], data: bytes, where: str) -> Plan:
    """Read what `to_bytes` gave. Raises ValueError, with `where` in front, for anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    fix = "expected what Plan.save wrote. Save the plan again."
    try:
        arrays: dict[str, Any] = load(data)
    except SafetensorError as error:
        raise ValueError(f"{where} is cut short or no safetensors file ({error}), {fix}") from error
    length = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + length]).get("__metadata__", {}).get(_KEY)
    if text is None:
        raise ValueError(f"{where} holds no plan, {fix}")
    if "ids" in arrays:
        arrays.setdefault("occurrence", np.zeros(arrays["ids"].shape, np.int64))
    missing = {field.name for field in array_fields(plan_class)} ^ set(arrays)
    if missing:
        raise ValueError(f"{where} lacks or adds {', '.join(sorted(missing))}, {fix}")
    try:
        return plan_class(**arrays, **_read_header(plan_class, text))
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{where} is damaged ({error}), {fix}") from error


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
    }


def _read_header(plan_class: type[Plan], text: str) -> dict:
    """What `header` gave, written to JSON as, distrusted."""
    header = json.loads(text)
    if not isinstance(header, dict) or header.pop("version", None) != FORMAT_VERSION:
        raise ValueError(f"its version is not {FORMAT_VERSION}")
    wrong = {f.name for f in dataclasses.fields(plan_class) if not f.metadata} ^ set(header)
    if wrong:
        raise ValueError(f"its header lacks or adds {', '.join(sorted(wrong))}")
    finish: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in header["finish"].items()
    }
    for text in (*header["log_text"], header["policy"]):
        # Printable, so that reading a stranger's plan sends no control codes to the terminal.
        bare = LOG_FIELD.sub("", text.replace("%%", ""))
        fields = len(LOG_FIELD.findall(text.replace("%%", "")))
        if "%" in bare or fields > LOG_ARGS or not text.isprintable():
            raise ValueError(f"its line {text!r} is not plain text with %-fields of numbers")
    if not all(type(header[name]) is int for name in ("seed", "epoch", "look")):
        raise ValueError("its seed, epoch and look are no whole numbers")
    return {**header, "finish": Finish(**finish), "log_text": tuple(header["log_text"])}
