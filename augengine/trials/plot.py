"""The curve: held-out log-likelihood and accuracy over strength, each arm beside the chosen one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..demo.outputs import write_picture
from ..sheet import INK, PAPER, SOFT
from ..tuning.arms import NONE, UNIFORM, Arm
from ..tuning.halving import Rung
from ..tuning.result import TuneResult
from ..tuning.scores import Difference, difference, difference_of_accuracy

COLOURS = ("#4c78a8", "#d1495b", "#3a9d6e", "#c98a1b", "#7b5aa6", "#6f6f78")
APART = 1.25  # where U(0, 1) stands on the axis of strengths


def draw(result: TuneResult, file: Path) -> None:
    """Draw both curves, with bars of one standard error; write the whole file or none.

    Args:
        result: Result of tuning.
        file: PNG file that is written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained", facecolor=PAPER)
    left, right = figure.subplots(1, 2)
    rungs = [result.rungs[0], result.rungs[-1]]
    of_policy = list(dict.fromkeys(arm.of for arm in rungs[0].arms if arm.of != NONE))
    for axes, accuracy in ((left, False), (right, True)):
        for number, name in enumerate(of_policy):
            _policy(axes, rungs, result.chosen, name, COLOURS[number % len(COLOURS)], accuracy)
        _policy(axes, rungs, result.chosen, NONE, SOFT, accuracy)
        axes.axhline(0, color=INK, lw=1, ls=(0, (4, 3)))
        axes.set_facecolor("white")
        axes.set_xticks([0, 0.125, 0.25, 0.5, 1, APART], ["0\nnone", "⅛", "¼", "½", "1", "U(0, 1)"])
        axes.set_xlabel("strength", color=SOFT)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
    left.set_title("Held-out log-likelihood, beside the chosen arm", loc="left", fontsize=10)
    right.set_title("Held-out accuracy in points, beside the chosen arm", loc="left", fontsize=10)
    left.legend(frameon=False, fontsize=9)
    first, last = (rung.steps for rung in rungs)
    figure.suptitle(
        f"Chosen: {result.chosen.name}. Lines: all arms, {first} steps; dots: the last ones, {last} steps. "
        "Bars: one standard error.",
        x=0.012, ha="left", fontsize=11, color=INK,
    )  # fmt: skip
    write_picture(figure, file)


def _policy(
    axes: Any, rungs: list[Rung[Arm]], chosen: Arm, name: str, colour: str, accuracy: bool
) -> None:
    """One policy's curve on the first rung, and its points on the last."""
    for rung, lines in zip(rungs, (True, False), strict=True):
        points = [
            (APART if arm.level == UNIFORM else 0.0 if arm.of == NONE else arm.mean_level, one)
            for arm in rung.arms
            # The curves begin at no augmentation; its dot is drawn once.
            if (arm.of == name or (lines and arm.of == NONE))
            and (one := _beside(rung, arm, chosen, accuracy)) is not None
        ]
        scale = 100 if accuracy else 1
        for apart in (False, True):
            some = sorted(
                ((x, one) for x, one in points if (x == APART) == apart), key=lambda p: p[0]
            )
            if not some:
                continue
            axes.errorbar(
                [x for x, _ in some],
                [scale * one.mean for _, one in some],
                [scale * one.se for _, one in some],
                fmt="o-" if lines else "o",
                color=colour,
                alpha=0.55 if lines else 1,
                ms=3 if lines else 7,
                lw=1.2,
                capsize=2,
                label=name if lines and not apart else None,
            )


def _beside(rung: Rung[Arm], arm: Arm, chosen: Arm, accuracy: bool) -> Difference | None:
    pair = rung.scores[rung.arms.index(arm)], rung.scores[rung.arms.index(chosen)]
    return difference_of_accuracy(*pair) if accuracy else difference(*pair)
