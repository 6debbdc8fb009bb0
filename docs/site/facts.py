"""What is known of operations and presets: docstrings taken apart, arguments, tables of the written pages."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import augengine as ae
from augengine.policy.ops.arguments import arguments_of

ROOT = Path(__file__).resolve().parents[2]
COSTS = ROOT / "benchmarks/results/ops.json"
OPS = sorted((name for name in ae.ops.__all__ if name != "Op"), key=str.lower)
PRESETS = [name for name in ae.presets.__all__ if inspect.isfunction(getattr(ae.presets, name))]


# What an argument takes, by the class of its kind.
KINDS = {
    "Number": "number",
    "WholeNumber": "whole number",
    "Interval": "pair",
    "Spread": "number or pair",
    "OneOrInterval": "number or pair",
    "WholeLimits": "whole number or pair",
}


class Said(NamedTuple):
    """A docstring: its first sentence, its other prose, {argument: text}, and {heading: text} of the rest."""

    sentence: str
    prose: str
    arguments: dict[str, str]
    sections: dict[str, str]


def said(thing: object) -> Said:
    """The docstring of a class or a function."""
    text = inspect.getdoc(thing) or ""
    head, *rest = re.split(r"^([A-Z][a-z]+):\n", text, flags=re.M)
    sections = {
        name: inspect.cleandoc(body) for name, body in zip(rest[::2], rest[1::2], strict=True)
    }
    arguments: dict[str, str] = {}
    for line in sections.pop("Args", "").splitlines():
        if found := re.match(r"\*{0,2}(\w+): (.*)", line):
            name = found[1]
            arguments[name] = found[2]
        else:
            arguments[name] += f" {line.strip()}"
    sentence, _, prose = head.strip().partition("\n\n")
    sentence = " ".join(sentence.split())
    return Said(sentence, prose.strip(), arguments, sections)


def cell(text: object) -> str:
    """Text for a cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(cell, row)) + " |" for row in rows)])


def arguments_table(name: str) -> str:
    """The arguments of an operation: what its metadata and its docstring say."""
    kind, words = getattr(ae, name), said(getattr(ae, name)).arguments
    known = {argument.name: argument.kind for argument in arguments_of(kind)}
    rows: list[tuple[object, ...]] = []
    for parameter in inspect.signature(kind).parameters.values():
        argument = known.get(parameter.name)
        default = "must be given" if parameter.default is parameter.empty else _code(parameter)
        range_ = argument.range if argument else _plain_range(kind, parameter.name)
        rows.append(
            (
                f"`{parameter.name}`",
                KINDS.get(type(argument).__name__, "–"),
                range_ or "–",
                argument.unit or "–" if argument else "–",
                default,
                words.get(parameter.name) or STRATIFY,
            )
        )
    return table(("argument", "kind", "range", "unit", "default", "what it is"), rows)


STRATIFY = (
    "Whether, over the epochs, a sample's draws walk evenly through their range. Every op has it."
)


def _code(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if isinstance(default, float) or (isinstance(default, tuple) and default):
        parts = default if isinstance(default, tuple) else (default,)
        shown = [f"{v:.6g}" if isinstance(v, float) else repr(v) for v in parts]
        return f"`({', '.join(shown)})`" if isinstance(default, tuple) else f"`{shown[0]}`"
    return f"`{default!r}`"


def _plain_range(kind: Any, name: str) -> str:
    fields = {field.name: field.type for field in dataclasses.fields(kind)}
    return "True or False" if fields.get(name) in (bool, "bool") else ""


def rows_of(page: str) -> list[list[str]]:
    """The cells of every table of a written page."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    lines = (line for line in text.splitlines() if line.startswith("| "))
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def elsewhere(name: str) -> list[tuple[str, str, str]]:
    """(library, its class, same or what differs) of an operation, by the pages on porting."""
    found = []
    for library in ("torchvision", "albumentations", "kornia", "timm", "dali"):
        for row in rows_of(f"porting/{library}.md"):
            if len(row) == 4 and re.search(rf"\b{name}\(|`{name}`", row[1]):
                found.append((library, row[0], f"{row[2]}{': ' + row[3] if row[3] else ''}"))
    return found


def torchvisions_arguments(name: str) -> list[tuple[object, ...]]:
    """Arguments that torchvision's class of that name has, where ours are not the same."""
    return [
        (f"`{row[1]}`", row[2], row[3])
        for row in rows_of("arguments.md")
        if row[0] == name and len(row) == 5 and (row[3] != "same" or "; None" in row[2])
    ]


def costs() -> dict[str, Any]:
    """What `python -m benchmarks.ops` measured."""
    return dict(json.loads(COSTS.read_text("utf-8")))
