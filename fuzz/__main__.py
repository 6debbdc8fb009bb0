"""`python -m fuzz`: run cases, say what failed, and end with 1 if any did."""

from __future__ import annotations

import argparse
import collections
import os
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .cases import KINDS
from .run import Found, Result, Run, parts_of

console = Console(soft_wrap=True)


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    if options.case:
        return _one(options.case, options.seconds)
    if options.coverage:
        from .coverage import main as guided

        return guided(options.coverage)
    jobs = options.jobs or os.cpu_count() or 1
    parts = parts_of(options.seed, options.cases, jobs, first=options.first)
    parts += parts_of(options.seed, options.interpreted, jobs, True, first=options.first)
    total = options.cases + options.interpreted
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console,
    ) as progress:  # fmt: skip
        task = progress.add_task(f"seed {options.seed}", total=total)

        def tell(result: Result, found: Found | None) -> None:
            progress.update(task, completed=result.cases)
            if found is not None:
                progress.console.print(said(found), markup=False, highlight=False)
                if options.log:
                    with open(options.log, "a") as file:
                        file.write(line_of(found) + "\n")

        result = Run(options.seconds, options.kind, tell).run(parts, jobs, 60 * options.minutes)
    console.print(summary(result, options.seed), markup=False, highlight=False)
    return int(bool(result.found))


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=sys.modules["fuzz"].__doc__)
    parser.add_argument("--cases", type=int, default=20_000, help="number of cases on the CPU")
    parser.add_argument(
        "--interpreted",
        type=int,
        default=200,
        help="number of cases drawn by Triton's interpreter too",
    )
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) // 86_400, help="default: the day"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument(
        "--kind", nargs="*", default=[], choices=sorted(set(KINDS)), help="of these alone"
    )
    parser.add_argument(
        "--jobs", type=int, default=0, help="processes at a time; default: the cores"
    )
    parser.add_argument("--seconds", type=float, default=20, help="limit for a case")
    parser.add_argument("--minutes", type=float, default=1e9, help="limit for the whole run")
    parser.add_argument("--case", help="run this case alone, in this process, and say what it is")
    parser.add_argument("--log", help="file to which a line is added for each failure")
    parser.add_argument(
        "--coverage", type=float, default=0, metavar="SECONDS",
        help="fuzz the readers of files guided by coverage instead (needs atheris)",
    )  # fmt: skip
    return parser.parse_args(arguments)


def _one(name: str, seconds: float) -> int:
    """Run a case here: a crash is then one of this process, and a debugger sees it."""
    from . import child

    child.prepare()
    report = child.run_one(
        name, seconds, lambda text: console.print(text, markup=False, highlight=False)
    )
    console.print(report.pop("trace", ""), markup=False, highlight=False)
    console.print(report, markup=False, highlight=False)
    return int("outcome" not in report)


def line_of(found: Found) -> str:
    """A failure in one line."""
    text = " ".join(found.text.split())[:300]
    how = next((line for line in found.said if line.startswith("lie:")), "")[:200]
    return f"{found.kind} | {text} | {how} | {found.command}"


def said(found: Found) -> str:
    """A failure in some lines."""
    lines = [f"{found.kind}: {found.text[:1000]}"]
    lines += [f"    {line[:600]}" for line in found.said]
    lines += [f"    {line}" for line in found.trace.splitlines()[-14:]]
    return "\n".join([*lines, f"    again: {found.command}"])


def summary(result: Result, seed: int) -> str:
    """What a run did and found, in a table of lines."""
    rate = result.cases / max(result.seconds, 1e-9)
    lines = [
        f"{result.cases:,} cases of seed {seed} in {result.seconds:,.0f} s, {rate:.0f} a second"
    ]
    lines += [f"{count:9,}  {outcome}" for outcome, count in result.outcomes.most_common()]
    kinds = collections.Counter(found.kind for found in result.found)
    lines += [f"{count:9,}  FAILED: {kind}" for kind, count in kinds.most_common()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
