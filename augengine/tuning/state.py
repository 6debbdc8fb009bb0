"""The journal: what each finished training gave, a line each, so that a run that was killed goes on.

Its first line says what the run is of. What a number is worth does not change by being written and read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..checks import shown
from ..untrusted import opened, parse_json
from .scores import Score

VERSION = 2
MOST_LINE, MOST_JOURNAL = 1 << 22, 1 << 28  # bytes; a line has some 20 for each sample
MOST_STEPS = 10**9
_FIX = "Take another file, or delete this one to begin anew."


class Key(NamedTuple):
    """What one training is known by: two of equal keys give the same.

    Args:
        arm: Name of the arm.
        part: Name of the part that it held out.
        steps: Number of its steps.
        seed: Its seed.
    """

    arm: str
    part: str
    steps: int
    seed: int


class Journal:
    """The finished trainings of a run, in a file or in memory alone.

    Args:
        file: File, which goes on where it is of the same run; None keeps nothing.
        about: What tells this run from others, as JSON has it.

    Raises:
        ValueError: The file is of another run, or damaged. It is left as it is.
        OSError: It cannot be read or written.
    """

    def __init__(self, file: Path | None, about: Mapping[str, object]) -> None:
        self.file = file
        self._done: dict[Key, Score] = {}
        if file is None:
            return
        head = _line({"augengine tune": VERSION, **about})
        lines = _whole_lines(file, head) if file.exists() else []
        if not lines:
            file.write_bytes(head)
        else:
            _check_head(file, lines[0], json.loads(head))
            for number, line in enumerate(lines[1:], 2):
                key, score = _read(file, number, line)
                self._done[key] = score
            # A line that was begun when the run ended is written anew.
            os.truncate(file, sum(map(len, lines)))

    def __len__(self) -> int:
        return len(self._done)

    def get(self, key: Key, samples: int) -> Score | None:
        """What a training gave, or None where it is not finished.

        Args:
            key: What it is known by.
            samples: Number of samples that it held out.

        Raises:
            ValueError: The file has it for another number of samples.
        """
        score = self._done.get(key)
        if score is not None and len(score.log_likelihood) != samples:
            raise ValueError(
                f"tune: {self.file} has {len(score.log_likelihood)} samples of {shown(key.arm)}, {key.part}, "
                f"expected {samples}. {_FIX}"
            )
        return score

    def put(self, key: Key, score: Score) -> None:
        """Note what a training gave: it is on the disk when this returns."""
        self._done[key] = score
        if self.file is None:
            return
        content = {**key._asdict(), "log_likelihood": score.log_likelihood.tolist()}
        if score.correct is not None:
            content["correct"] = [int(right) for right in score.correct]
        with open(self.file, "ab") as stream:
            stream.write(_line(content))
            stream.flush()
            os.fsync(stream.fileno())


def read_head(file: Path) -> dict[str, object]:
    """What a journal says of its run.

    Raises:
        ValueError: It is no journal of this version.
        OSError: It cannot be read.
    """
    lines = _whole_lines(file, b"")
    head = _object(file, 1, lines[0]) if lines else {}
    if head.get("augengine tune") != VERSION or type(head["augengine tune"]) is not int:
        raise ValueError(f"tune: {file} is no journal of version {VERSION}. {_FIX}")
    return head


def _line(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _whole_lines(file: Path, head: bytes) -> list[bytes]:
    """The lines that end. None where the file is empty, or a part of `head` alone."""
    try:
        stream, size = opened(file)
    except ValueError as error:
        raise ValueError(f"tune: {error}") from None
    with stream:
        if size > MOST_JOURNAL:
            raise ValueError(
                f"tune: {file} has {size:,} bytes, expected {MOST_JOURNAL:,} at most. {_FIX}"
            )
        content = stream.read(MOST_JOURNAL)
    *lines, torn = content.split(b"\n")
    if not lines and not head.startswith(torn):
        raise ValueError(f"tune: {file} is no journal. {_FIX}")
    return [line + b"\n" for line in lines]


def _object(file: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        content = parse_json(line, MOST_LINE)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except ValueError as error:
        raise _damaged(file, number, str(error)) from None
    return content


def _damaged(file: Path, number: int, why: str) -> ValueError:
    return ValueError(
        f"tune: {file}, line {number} is damaged ({why}), expected a training. Take the line out of a copy and "
        "go on with that: the training is done again."
    )


def _check_head(file: Path, line: bytes, expected: Mapping[str, object]) -> None:
    head = _object(file, 1, line)
    different = sorted(n for n in {*head, *expected} if head.get(n) != expected.get(n))
    if different:
        raise ValueError(
            f"tune: {file} is of another run: they differ in {', '.join(shown(n) for n in different[:6])}. Go "
            "on with the same data, policies and numbers, or take another file."
        )


def _read(file: Path, number: int, line: bytes) -> tuple[Key, Score]:
    """The training that a line is of."""
    content = _object(file, number, line)
    if (
        not {*Key._fields, "log_likelihood"}
        <= set(content)
        <= {*Key._fields, "log_likelihood", "correct"}
    ):
        raise _damaged(file, number, f"it has {shown(sorted(content))}")
    arm, part, steps, seed = (content[name] for name in Key._fields)
    if not isinstance(arm, str) or not isinstance(part, str):
        raise _damaged(file, number, "arm and part are no text")
    if type(steps) is not int or not 1 <= steps <= MOST_STEPS or type(seed) is not int:
        raise _damaged(file, number, "steps or seed are out of range")
    values, correct = content["log_likelihood"], content.get("correct")
    if not isinstance(values, list) or not all(
        type(v) in (int, float) and math.isfinite(float(v)) for v in values
    ):
        raise _damaged(file, number, "log_likelihood holds no numbers")
    if correct is not None and (
        not isinstance(correct, list)
        or len(correct) != len(values)
        or not all(type(right) is int and right in (0, 1) for right in correct)
    ):
        raise _damaged(file, number, "correct is not 0 or 1 for each sample")
    right = None if correct is None else np.array(correct, bool)
    return Key(arm, part, steps, seed), Score(np.array(values, np.float64), right)
