"""A result in words: tables, sentences, JSON, a page."""

from __future__ import annotations

import dataclasses
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .scores import Difference, difference, level_of

if TYPE_CHECKING:
    from rich.console import Console

    from .result import Comparison, TuneResult

ARMS = ("arm", "steps", "log-likelihood", "behind best", "accuracy", "")
EFFECTS = ("operation", "adds alone", "adds to chosen", "verdict")
WIDTH = 110  # characters
NOTE = "± is half a 95 % interval. Log-likelihood is the mean log of the probability of the true class."


@dataclass(frozen=True)
class Row:
    """What a table says of an arm, by the longest trainings that it had.

    Args:
        arm: Name of the arm.
        steps: Number of steps of each training.
        log_likelihood: Mean log-likelihood on what the folds held out.
        behind: Difference to the best arm of as many steps, 0 or less.
        accuracy: Share of samples that were right, in [0, 1], or None.
        note: What is special about it.
    """

    arm: str
    steps: int
    log_likelihood: Difference
    behind: Difference
    accuracy: float | None
    note: str


def rows(result: TuneResult) -> tuple[Row, ...]:
    """The table of all arms."""
    listed: list[Row] = []
    seen: set[str] = set()
    for rung in reversed(result.rungs):
        order = sorted(range(len(rung.arms)), key=lambda i: (-rung.scores[i].mean, i))
        for i in order:
            arm, scores = rung.arms[i], rung.scores[i]
            if arm.name in seen:
                continue
            seen.add(arm.name)
            notes = ["chosen"] * (arm == result.chosen) + ["the default"] * (arm == result.default)
            notes += ["without what harms"] * (arm == result.mended)
            behind = difference(scores, rung.scores[rung.best])
            listed.append(
                Row(
                    arm.name,
                    rung.steps,
                    level_of(scores),
                    behind,
                    scores.accuracy,
                    ", ".join(notes),
                )
            )
    return tuple(listed)


def middle(rungs: Sequence[int]) -> int:
    """The steps of trainings that look at single operations."""
    return rungs[(len(rungs) - 1) // 2]


def signed(one: Difference, scale: float = 1.0, digits: int = 3) -> str:
    """+0.123 ± 0.045."""
    return f"{_rounded(scale * one.mean, digits):+.{digits}f} ± {scale * one.margin:.{digits}f}"


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # −0 is 0


def _arm_cells(row: Row) -> tuple[str, ...]:
    best = row.behind.mean == 0 and row.behind.se == 0
    return (
        row.arm,
        f"{row.steps}",
        f"{_rounded(row.log_likelihood.mean, 3):.3f} ± {row.log_likelihood.margin:.3f}",
        "best" if best else signed(row.behind),
        "" if row.accuracy is None else f"{100 * row.accuracy:.1f} %",
        row.note,
    )


def _effect_cells(result: TuneResult) -> list[tuple[str, ...]]:
    return [
        (
            one.name,
            "" if one.alone is None else signed(one.alone),
            "" if one.within is None else signed(one.within),
            one.verdict,
        )
        for one in result.effects
    ]


def _measure(one: Comparison) -> str:
    text = f"{signed(one.log_likelihood)} in log-likelihood"
    return (
        text
        if one.accuracy is None
        else f"{signed(one.accuracy, 100, 1)} points of accuracy, {text}"
    )


def verdict(result: TuneResult) -> str:
    """Whether the chosen arm beats the default, in a sentence."""
    gain, seen = result.gain, f"on {len(result.split.outer)} samples that no choice has seen"
    if result.split.crossed:
        seen = f"on {len(result.split.outer)} samples, by choices made without them"
    if result.chosen == result.default:
        return f"The default was chosen: keep it ({result.default.name})."
    if gain.better:
        return f"Tuned ({result.chosen.name}) beats the default ({gain.other.name}) {seen}: {_measure(gain)}."
    if gain.worse:
        return (
            f"Tuned ({result.chosen.name}) is worse than the default {seen} ({_measure(gain)}): keep the "
            f"default ({gain.other.name})."
        )
    return f"No difference found {seen} ({_measure(gain)}): keep the default ({gain.other.name})."


def beside(one: Comparison, result: TuneResult) -> str:
    """The chosen arm beside another that is not the default, in a sentence."""
    word = "beats" if one.better else "is worse than" if one.worse else "is not told from"
    return f"{result.chosen.name} {word} {one.why} ({one.other.name}): {_measure(one)}."


def how_strong(result: TuneResult) -> str:
    """How strong, in a sentence, and which strengths could not be told from it."""
    last, chosen = result.rungs[-1], result.chosen
    if result.mended is not None:
        return (
            f"Chosen: {chosen.name}, since what was left out of it harms: it is better than the best of the "
            "policies as they were given by more than one standard error."
        )
    index = last.arms.index(chosen)
    near = [
        arm.name
        for i, arm in enumerate(last.arms)
        if i != index and abs((d := difference(last.scores[i], last.scores[index])).mean) <= d.se
    ]
    text = f"Chosen: {chosen.name}, the plainest arm within one standard error of the best."
    return text + (f" As good within one standard error: {'; '.join(near)}." if near else "")


def sentences(result: TuneResult) -> list[str]:
    """All that is said below the tables, the verdict first."""
    said = [verdict(result), how_strong(result), *map(str, result.pruned)]
    said += [beside(one, result) for one in result.comparisons[1:] if one.other != result.chosen]
    for word in ("helps", "harms"):
        names = [one.name for one in result.effects if one.verdict == word]
        if names:
            verb, steps = (
                "Help" if word == "helps" else "Harm",
                middle([r.steps for r in result.rungs]),
            )
            said.append(f"{verb}, in trainings of {steps} steps: {'; '.join(names)}.")
    if result.proven:
        counts = Counter(arm.name for arm in result.proven)
        said.append(
            "Chosen without one fold in turn, which then proved it: "
            + "; ".join(f"{name} ({count} times)" for name, count in counts.most_common())
            + "."
        )
    return [*said, *result.split.notes]


def to_markdown(result: TuneResult) -> str:
    """The tables and sentences, as a page."""
    parts = [_markdown(ARMS, [_arm_cells(row) for row in result.table])]
    if result.effects:
        parts.append(_markdown(EFFECTS, _effect_cells(result)))
    parts += [NOTE, "\n".join(f"- {said}" for said in sentences(result))]
    return "\n\n".join(parts) + "\n"


def _markdown(heading: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(heading) - 2), "---"]
    return "\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *cells))


def print_result(result: TuneResult, console: Console | None) -> None:
    """Print the tables and sentences on rich's console."""
    from rich import box
    from rich.table import Table

    console = console or wide_console()

    def table(heading: Sequence[str], cells: Sequence[Sequence[str]], marked: set[int]) -> None:
        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for i, name in enumerate(heading):
            # Figures stay whole; names and notes take more lines where a console is narrow.
            text = i in (0, len(heading) - 1)
            grid.add_column(name, justify="left" if text else "right", no_wrap=not text)
        for i, row in enumerate(cells):
            grid.add_row(*row, style="bold" if i in marked else "")
        console.print(grid)

    arms = result.table
    chosen = {i for i, row in enumerate(arms) if row.arm == result.chosen.name}
    table(ARMS, [_arm_cells(row) for row in arms], chosen)
    if result.effects:
        harms = {i for i, one in enumerate(result.effects) if one.verdict == "harms"}
        table(EFFECTS, _effect_cells(result), harms)
    console.print(NOTE + "\n", style="dim", markup=False)
    for i, said in enumerate(sentences(result)):
        console.print(said, style="bold" if i == 0 else "", markup=False)


def wide_console() -> Console:
    """A console that is wide enough for tables where nobody says how wide it is, as in a file."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=WIDTH)


def to_text(result: TuneResult) -> str:
    """What `print_result` prints, without colours."""
    from rich.console import Console

    text = io.StringIO()
    print_result(
        result, Console(file=text, width=WIDTH, soft_wrap=True, highlight=False, color_system=None)
    )
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _figures(one: Difference | None) -> dict[str, Any] | None:
    return (
        None if one is None else {"mean": one.mean, "se": one.se, "low": one.low, "high": one.high}
    )


def to_json(result: TuneResult) -> str:
    """All figures, as JSON."""
    content = {
        "use": result.arm.name,
        "better": result.better,
        "chosen": result.chosen.name,
        "default": result.default.name,
        "seed": result.seed,
        "seeds": result.seeds,
        "inner": len(result.split.inner),
        "outer": len(result.split.outer),
        "crossed": result.split.crossed,
        "chosen_without_each_fold": [arm.name for arm in result.proven],
        "not_tried": [dataclasses.asdict(one) for one in result.pruned],
        "rungs": [
            {
                "steps": rung.steps,
                "arms": [
                    {
                        "arm": arm.name,
                        "policy": arm.of,
                        "strength": arm.level,
                        "log_likelihood": _figures(level_of(scores)),
                        "behind": _figures(rung.to_best(i)),
                        "accuracy": scores.accuracy,
                    }
                    for i, (arm, scores) in enumerate(zip(rung.arms, rung.scores, strict=True))
                ],
            }
            for rung in result.rungs
        ],
        "operations": [
            {
                "name": one.name,
                "alone": _figures(one.alone),
                "within": _figures(one.within),
                "verdict": one.verdict,
            }
            for one in result.effects
        ],
        "outer_part": [
            {
                "chosen_beside": one.other.name,
                "why": one.why,
                "log_likelihood": _figures(one.log_likelihood),
                "accuracy": _figures(one.accuracy),
                "better": one.better,
            }
            for one in result.comparisons
        ],
        "sentences": sentences(result),
    }
    return json.dumps(content, indent=1, ensure_ascii=False)
