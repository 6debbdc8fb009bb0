"""Files of a stranger: the bytes of plans and the text of policies, flipped, cut and put together anew."""

from __future__ import annotations

import re
from random import Random

import numpy as np

from .plans import FLOATS

NUMBERS = (
    "0", "-1", "1e300", "-1e300", "1e-300", "1e39", "3e38", ".nan", ".inf", "-.inf", "9" * 40, "2147483648",
    "4611686018427387904", "0.001", "1000", "-0.0", "true", "null", "'7'", "[1, 2]", "{}", "1_000", "0x7f",
    "1e1000", "2026-01-01", "!!binary aGk=", "*a",
)  # fmt: skip
PIECES = (
    "&a [*a]", "&a [0, 0]", "*a", "{}", "[]", "? x", "<<: *a", "!!python/object:os.system {}", "- ", ": ",
    "stratify: {}", "stratify: 7", "transforms: []", "p: ", "\t", "\x00", "'", '"', "#", "---\n", "...\n",
    "[" * 400, "{a: " * 300, "size: 1000000000", "num_ops: 64", "count: 64", "p: [0, 0]", "\ufeff", "%YAML 9",
    "fill: [1, 2, 3, 4, 5]", "center: [1e300, 1e300]", "augengine: 1\npolicy: []\n", "- OneOf: {}\n",
)  # fmt: skip
# Each line of an alias bomb has ten times the text of the line before.
BOMB = "x0: &x0 [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n" + "".join(
    f"x{k}: &x{k} [{', '.join([f'*x{k - 1}'] * 10)}]\n" for k in range(1, 10)
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def damaged_text(rng: Random, text: str) -> str:
    """A policy's YAML after a few changes."""
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        text = rng.choice((_number, _number, _number, _piece, _cut, _twice, _flip, _bomb))(
            rng, text
        )
    return text


def _number(rng, text):
    places = list(_NUMBER.finditer(text))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(NUMBERS) + text[place.end() :]


def _piece(rng, text):
    at = rng.randint(0, len(text))
    return text[:at] + rng.choice(PIECES) + text[at:]


def _cut(rng, text):
    a, b = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    return text[:a] + text[min(b, a + rng.choice((1, 5, 40))) :]


def _twice(rng, text):
    lines = text.splitlines(keepends=True)
    if not lines:
        return text
    at = rng.randrange(len(lines))
    return "".join([*lines[:at], *[lines[at]] * rng.choice((2, 30)), *lines[at + 1 :]])


def _flip(rng, text):
    if not text:
        return text
    at = rng.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ (1 << rng.randrange(7))) + text[at + 1 :]


def _bomb(rng, text):
    if rng.random() < 0.8:
        return text
    return BOMB + rng.choice(
        (f"augengine: 1\npolicy: *x{rng.randint(0, 9)}", text, "augengine: *x9")
    )


def damaged_bytes(rng: Random, data: bytes) -> bytes:
    """A plan's file after a few changes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if len(changed) < 16:
            break
        end = min(len(changed), 8 + int.from_bytes(changed[:8], "little"))
        way = rng.choice(
            ("bit", "bit", "float", "float", "byte", "header", "header", "cut", "length")
        )
        at = rng.randrange(len(changed))
        if way == "bit":
            changed[at] ^= 1 << rng.randrange(8)
        elif way == "byte":
            changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif way == "float" and end < len(changed) - 8:
            at = end + rng.randrange(0, len(changed) - end - 4) // 4 * 4
            with np.errstate(all="ignore"):
                changed[at : at + 4] = np.float32(rng.choice(FLOATS)).tobytes()
        elif way == "header":
            _change_header(rng, changed, end)
        elif way == "cut" and rng.random() < 0.3:
            del changed[at:]
        elif way == "length" and rng.random() < 0.3:
            changed[:8] = rng.choice((0, 1, 2**31, 2**63, len(changed), end)).to_bytes(8, "little")
    return bytes(changed)


def _change_header(rng, changed, end):
    """A number of the header, or a piece of its text, with the length kept true."""
    text = changed[8:end].decode("utf-8", "replace")
    places = list(_NUMBER.finditer(text))
    if not places:
        return
    place = rng.choice(places)
    new = rng.choice(("0", "-1", "1", "2", "null", "[]", "{}", "1e400", "9" * 30, "4294967296", '\\"', "NaN",
                      "[" * 2000))  # fmt: skip
    text = text[: place.start()] + new + text[place.end() :]
    raw = text.encode("utf-8")
    changed[:end] = len(raw).to_bytes(8, "little") + raw
