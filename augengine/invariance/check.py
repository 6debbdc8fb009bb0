"""Which operations of a policy break labels: each alone, at several strengths, on images held out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..checks import number, shown, whole_number
from ..loading.engine import Engine
from ..pipelines import data as datasets
from ..pipelines import models
from ..pipelines.data import Data, Files
from ..pipelines.settings import MOST_SIZE, Settings
from ..pipelines.trained import Trained
from ..policy.apart import Part, base_of, take_apart
from ..policy.ops import Normalize, Op, RandomCrop, RandomResizedCrop, Resize
from ..policy.policy import Policy
from ..policy.views import Views
from ..sheet import displayed
from .images import Pictures, hold_out, prepare
from .intervals import difference, wilson, z_of
from .judge import (
    ALPHA,
    BREAKS,
    HARDER,
    LEARNED,
    NOT_ENOUGH,
    SAFE,
    Judgement,
    chance_of,
    judge,
    smallest_confusion,
    still_learning,
)
from .nets import Answers, Setup, answer, learn
from .policies import read_policy
from .report import Finding, LabelReport, Learned, Worst

STRENGTHS = (0.25, 0.5, 1.0)
STEPS, MOST_STEPS = 300, 10**6
NET, FOLDER_SIZE = "digitnet_16", 48
# Draws of an image: together some thousand, so that chance in the draws is less than in the images.
ANSWERS, MOST_DRAWS = 1000, 4
MOST_SIDE = 256  # pixels of a side that is kept in memory of an image of a folder
SHOWN_OPS, SHOWN = 12, 4  # operations on the sheet of the worst images, and images of each
Z = z_of(ALPHA)

Say = Callable[[int, int, str], object]  # parts done, of so many, what is done now


def check_labels(
    data: str | os.PathLike[str],
    policy: Policy | Views | Op | Sequence[Op] | str | None = None,
    *,
    model: str = "",
    strengths: Sequence[float] = STRENGTHS,
    steps: int = STEPS,
    size: int = 0,
    classes: str = "",
    root: str = "data",
    seed: int = 0,
    progress: Say | None = None,
) -> LabelReport:
    """Ask of each operation of a policy whether images still say what their labels say.

    A part of the training images is held out; test images are never read. A plain net learns the others.
    Its fall on augmented held-out images says how far it is from such images, not that labels break. So
    where it falls, a net learns the operation too, on half of its images, and is asked again. If it then
    tells both plain and augmented images, labels survive. If it cannot, and three times the learning
    changes nothing, the operation breaks them, and the classes that it mixes up are named.

    Args:
        data: Folder of class folders, or digits, cifar10 or cifar100.
        policy: Policy, Views or ops; or the name of a preset, randaugment or trivialaugment, a YAML file, or a
            string of timm's. None is the data's usual policy.
        model: Name of the net that is trained, as `augengine train --model` takes it; empty is digitnet_16. Or
            the folder of a run: its model's falls are measured then, and verdicts come from digitnet_16.
        strengths: Strengths in (0, 1], each once.
        steps: Number of batches of 64 that one learning takes, 1 … 1000000.
        size: Pixels a side of the images that nets see; 0 is the data's own, and 48 of a folder.
        classes: Numbers of the classes that are used, such as 5-9 or 0,3,7; empty is all.
        root: Folder where CIFAR lies, or is downloaded to.
        seed: Seed of everything random, 0 or more.
        progress: Function that is called with the parts done, their number, and what is done now.

    Returns:
        The report, which prints as text.

    Raises:
        ValueError: An argument is none of these, or there are too few images to learn from.
        TypeError: A number is of another type.
        OSError: A file cannot be read.
        ImportError: A package that training needs is missing.

    Example:
        >>> report = check_labels("digits", [ae.RandomRotation(180)])  # doctest: +SKIP
        >>> report.verdict("RandomRotation")  # doctest: +SKIP
        'breaks labels: 6 ↔ 9'
    """
    strengths = _checked_strengths(strengths)
    steps = whole_number("steps", steps, 1, MOST_STEPS)
    whole_number("size", size, 0, MOST_SIZE)
    settings = Settings(data=os.fspath(data), root=root, classes=classes, labels=0, seed=seed)
    loaded = datasets.load(settings)
    chosen, policy_words = read_policy(policy, loaded)
    if isinstance(chosen, Policy) and chosen.needs_boxes and len(chosen.top) == 1:
        raise ValueError("--policy: it needs boxes, expected one of images alone. Pass another.")
    parts, unchecked = take_apart(chosen)
    given = _given(model, loaded)
    setup = Setup(
        NET if given is not None else model or NET, len(loaded.classes), loaded.channels, steps, seed
    )  # fmt: skip
    net = setup.create()  # before images are read: a name may be wrong
    in_folder = isinstance(loaded.images, Files)
    net_size = size or (FOLDER_SIZE if in_folder else loaded.size)
    inner, held_out = hold_out(loaded, seed)
    total, say = len(parts) + 2, progress or (lambda *_: None)
    side = _side(chosen, parts, max(net_size, 0 if given is None else given.size))
    pictures = prepare(
        loaded, inner, held_out, side,
        lambda done: say(0, total, f"reading images: {done:,} of {len(inner) + len(held_out):,}"),
    )  # fmt: skip
    parts, cannot = _that_fit(parts, pictures, net_size)
    if not parts:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in [*unchecked, *cannot])
        raise ValueError(
            f"--policy: {policy_words} has no operation to check{f' ({reasons})' if reasons else ''}, expected "
            "one at least. Pass another policy."
        )
    check = _Check(
        loaded, chosen, pictures, setup, net_size, given, strengths,
        lambda done, words: say(done, total, words),
    )  # fmt: skip
    findings, worst, note = check.run(net, parts)
    truth = check.truth
    return LabelReport(
        data=settings.data,
        policy=policy_words,
        model=setup.spec if given is None else model,
        net=setup.spec,
        classes=loaded.classes,
        trained_on=len(pictures.inner),
        held_out=len(truth),
        draws=check.draws,
        steps=steps,
        seed=seed,
        plain=check.plain_of_model,
        level=wilson(check.control_plain.accuracy(truth), len(truth), Z),
        chance=chance_of(truth),
        smallest_confusion=smallest_confusion(truth, len(loaded.classes)),
        findings=tuple(findings),
        unchecked=(*unchecked, *cannot),
        damaged=pictures.damaged,
        note=note,
        warning=check.warning,
        worst=tuple(worst),
    )


@dataclass(frozen=True, eq=False)
class _Given:
    """A model of a run, whose falls are measured: its net, its images' size and normalisation."""

    trained: Trained
    size: int
    normalize: Op


@dataclass(frozen=True, eq=False)
class _Known:
    """A net that has learned, and what it answers about plain images."""

    net: nn.Module
    plain: Answers
    steps: int  # with the operation
    strength: float


class _Check:
    """A check under way: the plain nets, then part by part.

    Args:
        data: Data set.
        policy: Policy that is checked.
        pictures: Images in memory.
        setup: How nets are made.
        size: Pixels a side of the images that these nets see.
        given: Model whose falls are measured, or None for the plain net.
        strengths: Strengths, in rising order.
        say: Function that is called with the parts done and what is done now.
    """

    def __init__(
        self,
        data: Data,
        policy: Policy | Views,
        pictures: Pictures,
        setup: Setup,
        size: int,
        given: _Given | None,
        strengths: tuple[float, ...],
        say: Callable[[int, str], object],
    ):
        self.data, self.pictures, self.setup, self.size = data, pictures, setup, size
        self.given, self.strengths, self.say = given, strengths, say
        self.normalize = Normalize(data.mean, data.std)
        self.truth = pictures.truth[pictures.held_out]
        self.draws = int(np.clip(ANSWERS // len(self.truth), 2, MOST_DRAWS))
        self.base = Policy([*base_of(policy), Resize((size, size)), self.normalize])
        self.done = 1
        self.warning: str | None = None

    def run(
        self, net: nn.Module, parts: list[Part]
    ) -> tuple[list[Finding], list[Worst], str | None]:
        """What is found of all parts, the worst images, and why there is no verdict, if there is none."""
        steps = self.setup.steps
        self.start = self._learn(net, self.base, 0, steps, "plain net")
        # It learns on, as those do that learn an operation.
        self.control = self._learn(self.start, self.base, 0, steps, "plain net, as long as others")
        self.control_plain = self._plain(self.control, self.base)
        n, accuracy = len(self.truth), self.control_plain.accuracy(self.truth)
        earlier = self._plain(self.start, self.base)
        if still_learning(earlier, self.control_plain, self.truth):
            first = earlier.accuracy(self.truth)
            self.warning = (
                f"the plain net is still learning: it tells {100 * first:.0f} % of held-out images after "
                f"{steps:,} batches and {100 * accuracy:.0f} % after {2 * steps:,}. What it mixes up anyhow "
                "hides what an operation mixes up. Pass more --steps."
            )
        given_plain = self.control_plain
        if self.given is not None:
            given_plain = self._plain(self.given.trained.model, self._given_policy(parts[0], 0))
        self.plain_of_model = wilson(given_plain.accuracy(self.truth), n, Z)
        note = None
        if wilson(accuracy, n, Z).low <= chance_of(self.truth):
            note = (
                f"{self.setup.spec} tells {100 * accuracy:.0f} % of {n:,} held-out images, no better than "
                f"chance ({100 * chance_of(self.truth):.0f} %). Check that labels belong to their images, or "
                "give more images, more --steps or another --model."
            )
        findings: list[Finding] = []
        worst: list[Worst] = []
        for part in parts:
            self.done += 1
            found, images = self._part(part, note is None)
            findings += found
            worst += images
        return findings, _most_telling(worst, findings), note

    def _part(self, part: Part, judged: bool) -> tuple[list[Finding], list[Worst]]:
        """What is found of an operation, from the weakest strength up, and the images it misleads with."""
        base = part.policy(self.size, self.normalize, 0)
        known = [_Known(self.control, self._plain(self.control, base), 0, 0.0)]
        findings: list[Finding] = []
        worst: list[Worst] = []
        # From the strongest down: a net that has learned a strong operation often tells a weaker one too.
        for strength in reversed(self.strengths):
            policy = part.policy(self.size, self.normalize, strength)
            asked = [self._asked(net, policy, strength) for net in known]
            seen, base_seen = asked[0], known[0].plain
            if self.given is not None:
                model = self.given.trained.model
                seen_policy = self._given_policy(part, strength)
                seen = self._ask(model, seen_policy, strength)
                base_seen = self._plain(model, self._given_policy(part, 0))
            else:
                seen_policy = policy
            learned, judgement = self._verdict(part, strength, policy, known, asked, judged)
            findings.append(
                self._finding(part, strength, seen, base_seen, learned, judgement, judged)
            )
            if strength == self.strengths[-1]:
                worst = self._worst(part, seen_policy, strength, seen)
        return findings[::-1], worst

    def _verdict(
        self,
        part: Part,
        strength: float,
        policy: Policy,
        known: list[_Known],
        asked: list[Answers],
        judged: bool,
    ) -> tuple[Learned | None, Judgement]:
        """The best that any net shows of the operation, and what it tells. Nets that are trained for it are
        added to the known ones."""
        control = known[0].plain

        def judge_of(of: _Known, answers: Answers) -> Judgement:
            return judge(control, of.plain, answers, self.truth, self.data.classes)

        shown = [(judge_of(of, a), of, a) for of, a in zip(known, asked, strict=True)]
        if judged and not min(shown, key=_rank)[0].settled:
            mixed = part.policy(self.size, self.normalize, strength / 2 if part.all_or_none else 1)
            steps = self.setup.steps
            net, learned, first = self.start, 0, None
            for more in (steps, 2 * steps):
                words = f"{part.name} at {strength:g}"
                net = self._learn(net, mixed, strength, more, words)
                learned += more
                of = _Known(net, self._plain(net, part.policy(self.size, self.normalize, 0)),
                            learned, strength)  # fmt: skip
                answers = self._asked(of, policy, strength)
                judgement = judge_of(of, answers)
                if first is not None and _is_learning(first, judgement):
                    judgement = Judgement(HARDER, judgement.remains, (), False)
                known.append(of)
                shown.append((judgement, of, answers))
                if judgement.verdict != BREAKS:
                    break
                first = judgement
        # One net that tells is a proof: a label breaks where no net tells.
        judgement, of, answers = min(shown, key=_rank)
        if of is known[0]:
            return None, judgement
        n = len(self.truth)
        return (
            Learned(
                of.steps,
                of.strength,
                wilson(answers.accuracy(self.truth), n, Z),
                wilson(of.plain.accuracy(self.truth), n, Z),
            ),
            judgement,
        )

    def _finding(
        self,
        part: Part,
        strength: float,
        seen: Answers,
        plain: Answers,
        learned: Learned | None,
        judgement: Judgement,
        judged: bool,
    ) -> Finding:
        n, accuracy = len(self.truth), seen.accuracy(self.truth)
        return Finding(
            op=part.name,
            strength=strength,
            drawn=round(part.drawn, 6),
            accuracy=wilson(accuracy, n, Z),
            confidence=float(seen.confidence.mean()),
            fall=difference(plain.accuracy(self.truth), accuracy, n, Z),
            learned=learned,
            remains=judgement.remains,
            confusions=judgement.confusions if judged and judgement.verdict == BREAKS else (),
            verdict=judgement.verdict if judged else NOT_ENOUGH,
        )

    def _worst(self, part: Part, policy: Policy, strength: float, answers: Answers) -> list[Worst]:
        """The images that are taken for another class with the most confidence, one draw of each."""
        wrong = answers.probabilities.copy()
        wrong[:, np.arange(len(self.truth)), self.truth] = 0
        sure = np.where(wrong.max(2) > answers.probabilities[
            :, np.arange(len(self.truth)), self.truth], wrong.max(2), 0)  # fmt: skip
        draw = sure.argmax(0)
        order = np.argsort(-sure.max(0), kind="stable")[:SHOWN]
        engine = Engine(policy, seed=self.setup.seed)
        found = []
        for i in order.tolist():
            if not sure[draw[i], i]:
                continue
            at = self.pictures.held_out[i : i + 1]
            original = self.pictures.pixels[at]
            batch = engine(
                original, ids=self.pictures.ids[at], epoch=int(draw[i]), strength=strength
            )
            shown_original = original[0].permute(1, 2, 0).numpy()
            if shown_original.shape[2] != 3:
                shown_original = shown_original[..., :1].repeat(3, -1)
            classes = self.data.classes
            found.append(
                Worst(
                    op=part.name,
                    image=self.pictures.names[at[0]],
                    label=classes[self.truth[i]],
                    answer=classes[int(wrong[draw[i], i].argmax())],
                    confidence=float(sure[draw[i], i]),
                    words=_without_sizes(batch.plan.explain(0)),
                    original=shown_original,
                    augmented=displayed(batch.images, batch.plan.finish)[0],
                )
            )
        return found

    def _learn(
        self, net: nn.Module, policy: Policy, strength: float, steps: int, words: str
    ) -> nn.Module:
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            self.say(self.done, f"{words}: learning batch {done:,} of {steps:,}")

        return learn(
            net, self.setup, self.pictures, policy,
            strength=strength, steps=steps, stage=f"{words} for {steps}", tick=tick,
        )  # fmt: skip

    def _asked(self, of: _Known, policy: Policy, strength: float) -> Answers:
        return self._ask(of.net, policy, strength)

    def _ask(self, net: nn.Module, policy: Policy, strength: float) -> Answers:
        return answer(
            net, self.pictures, policy, strength=strength, seed=self.setup.seed, draws=self.draws
        )

    def _plain(self, net: nn.Module, policy: Policy) -> Answers:
        """Answers about plain images, of which one draw is all there is."""
        return answer(net, self.pictures, policy, strength=0, seed=self.setup.seed, draws=1)

    def _given_policy(self, part: Part, share: float) -> Policy:
        assert self.given is not None
        return part.policy(self.given.size, self.given.normalize, share)


def _without_sizes(words: str) -> str:
    """What a plan says, without the sizes that every image is brought to."""
    parts = words.split(", ")
    return ", ".join(part for part in parts if not part.startswith("resized to")) or "unchanged"


def _rank(shown: tuple[Judgement, _Known, Answers]) -> tuple[int, float]:
    return shown[0].rank


def _is_learning(first: Judgement, second: Judgement) -> bool:
    """Whether a loss that no pair of classes explains has shrunk by further learning."""
    return (
        second.verdict == BREAKS
        and not second.confusions
        and second.remains.value < LEARNED * first.remains.value
    )


def _most_telling(worst: list[Worst], findings: list[Finding]) -> list[Worst]:
    """The images of the operations that matter most: those that break labels, then by fall."""
    order = (BREAKS, HARDER, NOT_ENOUGH, SAFE)
    strongest = {finding.op: finding for finding in findings}  # the last of each is the strongest
    ops = sorted(
        strongest, key=lambda op: (order.index(strongest[op].verdict), -strongest[op].fall.value)
    )
    return [image for op in ops[:SHOWN_OPS] for image in worst if image.op == op]


def _checked_strengths(strengths: Sequence[float]) -> tuple[float, ...]:
    checked = sorted(number("strengths", strength, 0, 1) for strength in strengths)
    if not checked or checked[0] <= 0 or len(set(checked)) < len(checked):
        raise ValueError(
            f"strengths: got {shown(list(strengths))}, expected numbers in (0, 1], each once. Pass 0.25, 0.5 "
            "and 1, say."
        )
    return tuple(checked)


def _given(model: str, data: Data) -> _Given | None:
    """The model of a run that is named by its folder or file; None where a name says what is trained."""
    is_file = model.endswith(".safetensors") and "@" not in model
    if not model or not (Path(model).is_dir() or is_file):
        return None
    trained = models.load(model)
    if trained.classes != data.classes:
        raise ValueError(
            f"--model: {model} tells {shown(list(trained.classes))}, expected the data's classes, "
            f"{shown(list(data.classes))}. Pass a run on this data."
        )
    finish = trained.policy.sample([0], [(data.size, data.size)], channels=data.channels).finish
    normalize = [op for op in trained.policy.top if isinstance(op, Normalize)]
    try:
        trained.model(torch.zeros(1, data.channels, *finish.size))
    except RuntimeError as error:
        raise ValueError(
            f"--model: {model} takes no images of {data.channels} channels, expected the data's "
            f"({error}). Pass a run on this data."
        ) from None
    return _Given(trained, finish.size[0], normalize[0] if normalize else Normalize(0.0, 1.0))


def _side(policy: Policy | Views, parts: list[Part], least: int) -> int:
    """Pixels a side that images of a folder are kept at: those of the policy's own output, and a seventh more,
    as for a test, where it crops."""
    size = least
    try:
        size = max(Policy([*base_of(policy)]).sample([0], [(512, 512)]).finish.size)
        size = least if size == 512 else size
    except ValueError:  # it is for other images; its parts are tried one by one
        pass
    if any(isinstance(part.op, (RandomCrop, RandomResizedCrop)) for part in parts):
        size = round(size * 8 / 7)
    return max(min(size, MOST_SIDE), least)


def _that_fit(
    parts: list[Part], pictures: Pictures, size: int
) -> tuple[list[Part], list[tuple[str, str]]]:
    """The parts that can be drawn on these images, and why the others cannot."""
    fit: list[Part] = []
    cannot: list[tuple[str, str]] = []
    _, channels, height, width = pictures.pixels.shape
    for part in parts:
        try:
            policy = part.policy(size, Normalize(0.0, 1.0))
            policy.sample([0], [(height, width)], channels=channels)
            fit.append(part)
        except ValueError as error:
            cannot.append((part.name, str(error)))
    return fit, cannot
