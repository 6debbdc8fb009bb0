"""The parent: children that run cases side by side, their limits, and the report of what they found."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

AT_ONCE = 1_000  # cases of one child: what leaks ends with it
SLOWER = 4  # Triton's interpreter is given so many times the limit of a case


@dataclass(frozen=True)
class Part:
    """Cases for one child: those of a seed from `first` up to `end`, which is not one of them."""

    seed: int
    first: int
    end: int
    interpreted: bool = False


@dataclass
class Found:
    """A case that failed."""

    case: str
    kind: str
    text: str
    said: list[str] = field(default_factory=list)
    trace: str = ""
    interpreted: bool = False

    @property
    def command(self) -> str:
        """What repeats it alone."""
        before = "TRITON_INTERPRET=1 " if self.interpreted else ""
        return f"{before}python -m fuzz --case {self.case}"


@dataclass
class Result:
    """What a run found."""

    outcomes: collections.Counter = field(default_factory=collections.Counter)
    found: list[Found] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """How many cases were run."""
        return sum(self.outcomes.values())


class Run:
    """Children that run cases, side by side.

    Args:
        limit: Seconds that a case may take.
        kinds: Names of the kinds of cases that are run, of `cases.KINDS`; none: all.
        tell: Function tell(result, found) that is called after each case; found is None where it held.
        program: What a child is, of which the arguments of `child.main` follow.
    """

    def __init__(
        self,
        limit: float = 20.0,
        kinds: list[str] | tuple[str, ...] = (),
        tell: Callable = lambda result, found: None,
        program: tuple[str, ...] = (sys.executable, "-m", "fuzz.child"),
    ):
        self.limit, self.kinds, self.tell, self.program = limit, kinds, tell, program
        self.result = Result()
        self.parts: collections.deque[Part] = collections.deque()
        self.lock = threading.Lock()
        self.over = False
        self.processes: dict[int, tuple[subprocess.Popen, float]] = {}

    def run(self, parts: list[Part], jobs: int, budget: float = float("inf")) -> Result:
        """Run these parts, `jobs` at a time, and begin no case after `budget` seconds."""
        begin = time.monotonic()
        self.parts.extend(parts)
        threads = [threading.Thread(target=self._work) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.2)
                self._end_late_ones(time.monotonic() - begin > budget)
        finally:
            self._end_late_ones(True)
        self.result.seconds = time.monotonic() - begin
        return self.result

    def _end_late_ones(self, over: bool) -> None:
        """A child ends by itself when a case takes too long; this is for one that cannot."""
        self.over |= over
        for process, since in list(self.processes.values()):
            if over or time.monotonic() - since > 2 * SLOWER * self.limit + 120:
                process.kill()

    def _work(self) -> None:
        while not self.over:
            try:
                part = self.parts.popleft()
            except IndexError:
                return
            rest = self._child(part)
            if rest is not None:
                self.parts.appendleft(rest)

    def _child(self, part: Part) -> Part | None:
        """Run a part in a process. Returns what is left of it if the process died."""
        environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
        environment.pop("TRITON_INTERPRET", None)
        limit = self.limit
        if part.interpreted:
            environment |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
            limit *= SLOWER
        numbers = (part.seed, part.first, part.end, limit)
        command = [*self.program, *map(str, numbers), *self.kinds]
        now, following, said, me = None, part.first, [], threading.get_ident()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
            )
            self.processes[me] = (process, time.monotonic())
            for line in process.stdout:
                self.processes[me] = (process, time.monotonic())
                report = json.loads(line)
                if "begin" in report:
                    now, said = report["begin"], []
                    following = int(now.split(".")[1]) + 1
                elif "said" in report:
                    said.append(report["said"])
                else:
                    now = None
                    self._take(report, part, said)
            process.stdout.close()
            code = process.wait()
            del self.processes[me]
            errors.seek(0)
            text = errors.read().decode("utf-8", "replace")
        if self.over or (now is None and not code):
            return None
        self._died(part, now, code, text, said)
        # Where no case had begun there is nothing to go on with.
        return None if now is None else Part(part.seed, following, part.end, part.interpreted)

    def _died(self, part, now, code, text, sentences) -> None:
        lines = [line for line in text.splitlines() if "Extension modules" not in line]
        said = signal.Signals(-code).name if code < 0 else f"the process ended with {code}"
        kind = "crash"
        if "Timeout (" in text[-30_000:]:
            kind, said = (
                "hang",
                f"took more than {self.limit * (SLOWER if part.interpreted else 1):g} s",
            )
        name = now or f"{part.seed}.{part.first}"
        kind = kind if now else "start"
        trace = "\n".join(lines)[-3000:]
        self._add(Found(name, kind, said, sentences, trace, part.interpreted))

    def _take(self, report, part, said) -> None:
        if "outcome" not in report:
            self._add(Found(**report, said=said, interpreted=part.interpreted))
            return
        with self.lock:
            self.result.outcomes[report["outcome"]] += 1
            self.tell(self.result, None)

    def _add(self, found: Found) -> None:
        with self.lock:
            self.result.outcomes["failed"] += 1
            self.result.found.append(found)
            self.tell(self.result, found)


def parts_of(
    seed: int, cases: int, jobs: int, interpreted: bool = False, first: int = 0
) -> list[Part]:
    """Cases `first` … of a seed, cut for children: none has many, and all of `jobs` have some."""
    at_once = max(1, min(AT_ONCE, -(-cases // jobs)))
    ends = range(first, first + cases, at_once)
    return [Part(seed, at, min(at + at_once, first + cases), interpreted) for at in ends]
