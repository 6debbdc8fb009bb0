"""The tables of `benchmarks.tuning`: what tune chose, what that is worth on the test, what it says of traps."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .pipelines import mean, spread
from .traps import TRAPS

if TYPE_CHECKING:
    from .tuning import Found, Task

USED, CHOSEN, NONE = "what tune says to use", "chosen, before the proof", "none"
TITLES = {
    "mnist": "MNIST, 20 labels a class",
    "elpv": "ELPV's solar cells, all labels",
    "elpv-few": "ELPV's solar cells, 100 labels a class",
    "mirrored": "Trap: a flip that destroys the label",
    "hue": "Trap: a hue that is the label",
    "upturned": "Trap: sixes and nines, upturned",
}


def report(found: Found, tasks: Mapping[str, Task], seeds: int) -> str:
    """The tables as Markdown.

    Args:
        found: Finished pieces.
        tasks: Tasks by name.
        seeds: Number of seeds that were asked for.
    """
    import torch

    import augengine as ae
    from augengine.demo import measure

    minutes = sum(content["seconds"] for content in found.values()) / 60
    lines = [
        "# Does tune choose well?", "",
        f"`python -m benchmarks.tuning`: {minutes:.0f} minutes of one core (processor time). "
        f"{measure.machine()}, no card, torch {torch.__version__}, augengine {ae.__version__}, Python "
        f"{platform.python_version()}.", "",
        "Each seed has other labels (of ELPV all are used), weights, order and draws, and runs the whole tune, "
        "which reads no test image. Its result, and what else is compared, is then trained on all labels with "
        "new seeds, and asked about the test: accuracy in %. A seed counts once, with the mean of its "
        "trainings. ± of a mean is the standard deviation over seeds; ± of a difference is half the 95 % "
        "interval of its mean over seeds, by Student's t.",
    ]  # fmt: skip
    for name, task in tasks.items():
        done = finished(found, name, task)
        lines += ["", f"## {TITLES[name]}", ""]
        if not done:
            lines += ["No seed is finished."]
            continue
        if len(done) < seeds:
            lines += [f"{len(done)} of {seeds} seeds are finished.", ""]
        lines += _tunes(found, name, task, done)
        if not task.data:
            lines += _trap(found, name, done)
        lines += _tests(found, name, task, done)
    return "\n".join(lines) + "\n"


def finished(found: Found, name: str, task: Task) -> list[int]:
    """The seeds of which nothing is missing."""
    seeds = sorted({piece.seed for piece in found if piece.task == name and piece.kind == "tune"})
    rows = {piece.row for piece in found if piece.task == name and piece.kind == "test"}
    wanted = {(row, run) for row in rows for run in range(task.runs)}
    return [
        seed
        for seed in seeds
        if rows
        and wanted == {(p.row, p.run) for p in found if (p.kind, p.task, p.seed) == ("test", name, seed)}
    ]  # fmt: skip


def _of(found: Found, kind: str, name: str, seed: int) -> dict[str, Any]:
    return next(
        content
        for piece, content in found.items()
        if (piece.kind, piece.task, piece.seed) == (kind, name, seed)
    )


def _tunes(found: Found, name: str, task: Task, seeds: Sequence[int]) -> list[str]:
    """What each tune said."""
    some = _of(found, "tune", name, seeds[0])
    rungs = ", ".join(map(str, some["rungs"]))
    lines = [
        f"{some['labels']:,} labels; digitnet_8 at {task.size} × {task.size}; rungs of {rungs} steps of 32; "
        f"{task.steps} steps for the test, {task.runs} trainings each.", "",
        "| seed | chosen | the default is beaten | what to use | above none, as tune says | on the test | "
        "minutes of a core |",
        "|---:|---|---|---|---:|---:|---:|",
    ]  # fmt: skip
    for seed in seeds:
        told = _of(found, "tune", name, seed)
        above = told["above_none"]
        said = (
            ""
            if above is None
            else f"{100 * above['mean']:+.1f} ± {100 * margin(above['se'], above['freedom']):.1f}"
        )
        tested = accuracies(found, name, task, [seed])
        gain = tested[CHOSEN][0] - tested[NONE][0]
        lines.append(
            f"| {seed} | {told['arms'][CHOSEN]['name']} | {'yes' if told['better'] else 'no'} | "
            f"{told['arms'][USED]['name']} | {said} | {100 * gain:+.1f} | {told['seconds'] / 60:.1f} |"
        )
    return lines


def _trap(found: Found, name: str, seeds: Sequence[int]) -> list[str]:
    """What tune and check say of a trap."""
    trap = TRAPS[name]
    lines = [
        "", f"The trap is `{trap.harm!r}`.", "",
        "| seed | tune says of it | is it in what tune says to use | not tried | check says of it | check, "
        "minutes |",
        "|---:|---|---|---|---|---:|",
    ]  # fmt: skip
    for seed in seeds:
        told, check = _of(found, "tune", name, seed), _of(found, "check", name, seed)
        says = [v for op, v in told["verdicts"].items() if op == trap.op]
        words = [v for op, v in check["verdicts"].items() if op.startswith(trap.check)]
        left_out = ", ".join(one["policy"] for one in told["not_tried"])
        lines.append(
            f"| {seed} | {', '.join(says)} | {'**yes**' if has_trap(told, name) else 'no'} | {left_out} | "
            f"{', '.join(words)} | {check['seconds'] / 60:.1f} |"
        )
    return lines


def has_trap(told: dict[str, Any], name: str) -> bool:
    """Whether what tune says to use still has the operation that destroys labels."""
    import augengine as ae
    from augengine.tuning.ops import parts_of

    policy = ae.Policy.from_yaml(told["arms"][USED]["policy"])
    parts = {part.name: part for part in parts_of(policy)}
    part = parts.get(TRAPS[name].op) or parts.get(TRAPS[name].op.partition(":")[0])
    # What is left out of a policy stays there at probability 0, so that no other draw moves.
    return part is not None and getattr(policy.top[part.at], "p", 1.0) != 0.0


def accuracies(found: Found, name: str, task: Task, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Test accuracies by row: of each seed the mean of its trainings."""
    rows: dict[str, list[float]] = {}
    known = {p.row for p in found if (p.kind, p.task) == ("test", name)}
    first = [row for row in (USED, CHOSEN, NONE, "usual") if row in known]
    order = [*first, *sorted(known - set(first))]
    for row in order:
        rows[row] = [
            statistics.fmean(
                content["accuracy"]
                for piece, content in found.items()
                if (piece.kind, piece.task, piece.seed, piece.row) == ("test", name, seed, row)
                and piece.run < task.runs
            )
            for seed in seeds
        ]
    return rows


def _tests(found: Found, name: str, task: Task, seeds: Sequence[int]) -> list[str]:
    """What it is worth on the test."""
    rows = accuracies(found, name, task, seeds)
    lines = ["", "| on the test | mean | ± | what to use is above it by | seeds |"]
    lines += ["|---|---:|---:|---:|---|"]
    for row, values in rows.items():
        each = ", ".join(f"{100 * value:.1f}" for value in values)
        above = "" if row == USED else difference(rows[USED], values)
        apart = f"{spread(values):.1f}" if len(values) > 1 else ""
        lines.append(f"| {row} | {mean(values):.1f} | {apart} | {above} | {each} |")
    presets = [row for row in rows if row not in (USED, CHOSEN, NONE)]
    best = max(presets, key=lambda row: mean(rows[row]))
    lines += ["", "| what was asked | | holds |", "|---|---:|---|"]
    for text, other, least in (
        (f"at least as good as the best preset by the test ({best}), within noise", best, False),
        ("clearly better than none", NONE, True),
    ):
        gains = [a - b for a, b in zip(rows[USED], rows[other], strict=True)]
        if len(gains) < 2:
            verdict = "one seed tells nothing"
        else:
            half = interval(gains)
            middle = statistics.fmean(gains)
            holds = middle - half > 0 if least else middle + half >= 0
            verdict = "yes" if holds else "**no**"
        lines.append(f"| {text} | {difference(rows[USED], rows[other])} | {verdict} |")
    return lines


def difference(one: Sequence[float], other: Sequence[float]) -> str:
    """The mean difference in points, paired by seed, with half its 95 % interval."""
    gains = [a - b for a, b in zip(one, other, strict=True)]
    if len(gains) < 2:
        return points(gains[0])
    return f"{points(statistics.fmean(gains))} ± {100 * interval(gains):.1f}"


def points(gain: float) -> str:
    """A difference of shares in points of percent; −0 is 0."""
    return f"{round(100 * gain, 1) + 0.0:+.1f}"


def interval(values: Sequence[float]) -> float:
    """Half the 95 % interval of a mean."""
    return margin(statistics.stdev(values) / len(values) ** 0.5, len(values) - 1)


def margin(se: float, freedom: int) -> float:
    """Half the 95 % interval of a standard error, by Student's t."""
    from augengine.tuning.scores import Difference

    return Difference(0.0, se, freedom).margin
