"""Policies as YAML: names of ops and their arguments, never code.

What is read may come from anybody. It is a small part of YAML: lists, mappings by name, text, decimal
numbers, true, false and null. Anchors and aliases, with which a line can stand for a billion, are no part
of it, nor are tags of types, and how much there may be of everything is bounded.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from typing import Any

from ..checks import shown
from . import ops
from .ops.op import Op

VERSION = 1
# Reading takes a second at most. A policy of fifty ops has 5 levels and 3,000 characters.
MOST_TEXT, MOST_DEPTH, MOST_NODES, MOST_SCALAR = 1 << 16, 64, 1 << 15, 256
MOST_MESSAGE = 600  # characters
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,63})")
_NUMBER = re.compile(r"[-+]?([0-9]{1,64}\.?[0-9]{0,64}|\.[0-9]{1,64})([eE][-+]?[0-9]{1,4})?")
_WORDS = {"true": True, "false": False, "yes": True, "no": False, "on": True, "off": False}
_TAG = "tag:yaml.org,2002:"
_PLAIN = {f"{_TAG}{name}" for name in ("seq", "map", "str", "int", "float", "bool", "null")}


def write(transforms) -> str:
    """Ops as YAML: each with the arguments that are not its default."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data):
            return True  # what `read` does not take is not written

    content = {"augengine": VERSION, "policy": [_described(op) for op in transforms]}
    return yaml.dump(
        content, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None
    )


def read(text: str) -> list[Op]:
    """The ops that `write` wrote. Raises ValueError or TypeError for anything else."""
    content = _parsed(text)
    version = content.get("augengine") if isinstance(content, dict) else None
    if type(version) is not int or version != VERSION:
        raise ValueError(
            f"Policy.from_yaml: got no policy of version {VERSION}, expected a mapping "
            f"'augengine: {VERSION}' and 'policy: [...]'. Write one with to_yaml."
        )
    strange = set(content) - {"augengine", "policy"}
    if strange:
        raise ValueError(
            f"Policy.from_yaml: got {shown(min(strange))} beside 'augengine' and 'policy', expected these "
            "alone. Leave it out."
        )
    return _built_all("policy", content.get("policy"))


def _parsed(text: str) -> Any:
    """What the text says, of the part of YAML that is read."""
    import yaml

    if not isinstance(text, str):
        raise TypeError(
            f"Policy.from_yaml: got {shown(text)}, expected text. Decode bytes, or read the file first."
        )
    if len(text) > MOST_TEXT:
        raise ValueError(
            f"Policy.from_yaml: got {len(text):,} characters, expected {MOST_TEXT:,} at most. Write the "
            "policy without what is its default, or in Python."
        )
    try:
        node = _loader_class()(text).get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        problem = str(getattr(error, "problem", None) or getattr(error, "reason", error))
        raise ValueError(
            f"Policy.from_yaml: got text that is not plain YAML ({where}{problem[:200]}), expected what "
            "to_yaml writes. Mend the place that is named."
        ) from None
    return None if node is None else _value(node)


def _loader_class() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML's composer, which here refuses at once what is not read."""

        depth = nodes = 0

        def compose_node(self, parent, index):
            event = self.peek_event()
            self.depth, self.nodes = self.depth + 1, self.nodes + 1
            problem = None
            if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
                problem = (
                    "anchors and aliases (& and *) are not read, so write out what they stand for"
                )
            elif event.tag is not None and event.tag not in (*_PLAIN, "!"):
                problem = f"the tag {shown(event.tag)} is not read, which names a type"
            elif self.depth > MOST_DEPTH:
                problem = f"it is nested more than {MOST_DEPTH} deep"
            elif self.nodes > MOST_NODES:
                problem = f"it has more than {MOST_NODES:,} entries"
            elif isinstance(event, yaml.ScalarEvent) and len(event.value) > MOST_SCALAR:
                problem = f"an entry has more than {MOST_SCALAR} characters"
            if problem:
                raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    return Loader


def _value(node: Any) -> Any:
    """The value of a node whose depth is bounded."""
    import yaml

    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return [_value(entry) for entry in node.value]
    if isinstance(node, yaml.MappingNode) and kind == "map":
        entries = [(_value(key), _value(value)) for key, value in node.value]
        for (key, _), (key_node, _) in zip(entries, node.value, strict=True):
            if not isinstance(key, str):
                raise _wrong(key_node, "got a key that is no name", "Write names as plain text")
        if len(dict(entries)) < len(entries):
            raise _wrong(node, "got a name twice in one mapping", "Leave one of them out")
        return dict(entries)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, kind)
    raise _wrong(node, f"got a value tagged as {kind}, which it is not", "Leave the tag out")


def _scalar(node: Any, kind: str) -> Any:
    text = node.value
    if kind == "str":
        return text
    if kind == "null" and text in ("", "~", "null", "Null", "NULL"):
        return None
    if kind == "bool" and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if kind == "int" and _WHOLE.fullmatch(text):
        return int(text)
    if kind == "float" and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    raise _wrong(
        node, f"got {shown(text)}", "Write finite decimal numbers, and other text in quotes"
    )


def _wrong(node: Any, what: str, fix: str) -> ValueError:
    return ValueError(
        f"Policy.from_yaml: line {node.start_mark.line + 1}: {what}, expected what to_yaml writes. {fix}."
    )


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
            f"Policy.from_yaml: {where}: got {shown(entries)}, expected a list of ops. Write "
            "'- Name: {arguments}' for each."
        )
    return [_built(entry) for entry in entries]


def _built(entry):
    if not isinstance(entry, dict) or len(entry) != 1:
        raise ValueError(
            f"Policy.from_yaml: got {shown(entry)}, expected one op as 'Name: {{arguments}}'. Write one "
            "for each item of the list."
        )
    ((name, arguments),) = entry.items()
    known = [op for op in ops.__all__ if op not in ("Op", "Stage", "Lambda")]
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0)
        raise ValueError(
            f"Policy.from_yaml: got the op {shown(name)}, which is unknown. The nearest is {near[0]}."
        )
    if not isinstance(arguments, (dict, type(None))):
        raise ValueError(
            f"Policy.from_yaml: {name}: got {shown(arguments)}, expected arguments by name. Write "
            f"'{name}: {{argument: value}}'."
        )
    arguments = dict(arguments or {})
    if "transforms" in arguments:
        arguments["transforms"] = _built_all(name, arguments["transforms"])
    try:
        return getattr(ops, name)(**{k: _tupled(v) for k, v in arguments.items()})
    except TypeError as error:
        raise TypeError(f"Policy.from_yaml: {name}: {_cut(error)}") from None
    except ValueError as error:
        raise ValueError(f"Policy.from_yaml: {_cut(error)}") from None


def _cut(error: Exception) -> str:
    """A message that may hold what came, without its middle where that is long."""
    text = str(error)
    return text if len(text) <= MOST_MESSAGE else f"{text[:200]} … {text[-200:]}"


def _tupled(value):
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value
