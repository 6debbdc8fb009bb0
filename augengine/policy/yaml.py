"""Policies as YAML: names of ops and their arguments, never code."""

from __future__ import annotations

import dataclasses
import difflib

from . import ops
from .ops.op import Op

VERSION = 1


def write(transforms) -> str:
    """Ops as YAML: each with the arguments that are not its default."""
    import yaml

    content = {"augengine": VERSION, "policy": [_described(op) for op in transforms]}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None)


def read(text: str) -> list[Op]:
    """The ops that `write` wrote. Raises ValueError or TypeError for anything else."""
    import yaml

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(
            f"Policy.from_yaml: got text that is not plain YAML ({error}), expected what to_yaml "
            "writes. Mend the place that is named."
        ) from error
    if not isinstance(content, dict) or content.get("augengine") != VERSION:
        raise ValueError(
            f"Policy.from_yaml: got no policy of version {VERSION}, expected a mapping "
            f"'augengine: {VERSION}' and 'policy: [...]'. Write one with to_yaml."
        )
    return _built_all("policy", content.get("policy"))


def _described(op: Op):
    """{name: arguments that are not the default}; nested ops likewise."""
    arguments = {}
    for field in dataclasses.fields(op):
        value = getattr(op, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            arguments[field.name] = _plain(value)
    return {type(op).__name__: arguments}


def _plain(value):
    if isinstance(value, Op):
        return _described(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    # An argument of somebody's own op that is no plain value still has a part in the fingerprint.
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)


def _built_all(where, entries):
    if not isinstance(entries, list):
        raise ValueError(
            f"Policy.from_yaml: {where}: got {entries!r}, expected a list of ops. Write "
            "'- Name: {arguments}' for each."
        )
    return [_built(entry) for entry in entries]


def _built(entry):
    if not isinstance(entry, dict) or len(entry) != 1:
        raise ValueError(
            f"Policy.from_yaml: got {entry!r}, expected one op as 'Name: {{arguments}}'. Write one "
            "for each item of the list."
        )
    ((name, arguments),) = entry.items()
    known = [op for op in ops.__all__ if op not in ("Op", "Stage")]
    if name not in known:
        near = difflib.get_close_matches(str(name), known, 1, 0)
        raise ValueError(
            f"Policy.from_yaml: got the op {name!r}, which is unknown. The nearest is {near[0]}."
        )
    if not isinstance(arguments, (dict, type(None))):
        raise ValueError(
            f"Policy.from_yaml: {name}: got {arguments!r}, expected arguments by name. Write "
            f"'{name}: {{argument: value}}'."
        )
    arguments = dict(arguments or {})
    if "transforms" in arguments:
        arguments["transforms"] = _built_all(name, arguments["transforms"])
    try:
        return getattr(ops, name)(**{k: _tupled(v) for k, v in arguments.items()})
    except TypeError as error:
        raise TypeError(f"Policy.from_yaml: {name}: {error}") from error


def _tupled(value):
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value
