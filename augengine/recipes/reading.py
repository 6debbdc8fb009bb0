"""Another library's pipeline as a policy, whichever library it is.

A reader says what each step is in ops, and what it asks of the sampling. Here the steps become one
policy: they agree on one interpolation, one fill and one border, what comes out otherwise is told in one
warning, and what no op does is an error that names the step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from ..policy import ops
from ..policy.ops.choosing import may_follow
from ..policy.ops.five_crop import SeveralCrops
from ..policy.ops.op import Op
from ..policy.ops.unfused import Unfused
from ..policy.policy import Policy
from .torchvision_steps import AUTO, NoOpForStep, Request, no_change, without_idle_conversions


class Reader(Protocol):
    """What is known on the way through a pipeline.

    floats: whether values are in [0, 1] by now, and not bytes. requests: what the steps ask of the
    sampling. differences: what comes out otherwise, sentences without their full stops.
    """

    floats: bool
    requests: list[Request]
    differences: list[str]

    def convert(self, step: Any) -> list[Op]:
        """The ops that do what a step does, or NoOpForStep."""


R = TypeVar("R", bound=Reader)


def read(
    where: str,
    steps: Sequence[Any],
    reader: R,
    sizing: Collection[str],
    *,
    advice: str,
    keep: Callable[[Sequence[Any], R], Op] | None = None,
    stacklevel: int = 2,
) -> Policy:
    """The policy of a pipeline's steps.

    where: the function that the user called, for messages. sizing: names of the steps whose
    interpolation holds. advice: what to do with a step that no op does. keep: makes one op of that step
    and all after it; None is an error. stacklevel: of the warning, as `warnings.warn` counts, from here.
    """
    fused: list[Op] = [ops.ToDtype("float32", scale=True)] if reader.floats else []
    rest: list[Op] = []
    for position, step in enumerate(steps):
        # A step without an op leaves no trace: it is tried on a copy of the reader.
        trial = _copy(reader)
        try:
            converted = trial.convert(step)
            _check_order(step, fused, converted)
        except NoOpForStep as problem:
            if keep is None:
                raise ValueError(
                    f"{where}: {problem}, expected what a policy can say. {advice}"
                ) from problem
            if any(isinstance(op, SeveralCrops) for op in fused):
                raise ValueError(
                    f"{where}: {problem} behind several crops, expected what a policy can say, since a policy "
                    "with FiveCrop stands for several views: ae.Views(crops=policy) gives a list of batches, "
                    "and no step is given a tuple of crops. Leave the step out."
                ) from problem
            rest = [keep(steps[position:], reader)]
            break
        reader, fused = trial, fused + converted
    for argument in ("fill", "padding_mode"):
        _check_agreement(where, reader.requests, argument)
    interpolation = _interpolation(reader.requests, sizing)
    if differences := _differences(reader, interpolation):
        warnings.warn(f"{where}: {differences}", stacklevel=stacklevel)
    fused = [_with_interpolation(op, interpolation) for op in without_idle_conversions(fused)]
    return Policy([*fused, *rest] or no_change())


def _copy(reader: R) -> R:
    return replace(  # type: ignore[type-var]
        reader, requests=[*reader.requests], differences=[*reader.differences]
    )


def _check_order(step: Any, before: list[Op], converted: list[Op]) -> None:
    """Raise NoOpForStep if one of the step's ops cannot stand after those before it."""
    for k, op in enumerate(converted):
        for earlier in (*before, *converted[:k]):
            if not may_follow(earlier, op):
                raise NoOpForStep(step, f"on the image itself after {type(earlier).__name__}")


# What the steps agree on.


def _check_agreement(where: str, requests: list[Request], argument: str) -> None:
    """Raise ValueError if steps ask for different values of an argument, so that none is near."""
    first_of_value = {r.value: r for r in reversed(requests) if r.argument == argument}
    if len(first_of_value) > 1:
        first, *_, last = sorted(first_of_value.values(), key=requests.index)
        raise ValueError(
            f"{where}: {first.step} has {argument}={first.value!r} and {last.step} {last.value!r}, "
            f"expected one {argument}, since a view is sampled once. Give them the same."
        )


def _interpolation(
    requests: list[Request], sizing: Collection[str]
) -> str | tuple[str, ...] | None:
    """The interpolation of the policy, several where one of them is drawn; None where no step asks."""
    asking = [r for r in requests if r.argument == "interpolation"]
    values = {r.value for r in asking if r.step.name in sizing} or {r.value for r in asking}
    if not values:
        return None
    # Of filters that we lack, lanczos is nearest to bicubic.
    (value, *others) = {"bicubic" if value == "lanczos" else value for value in values}
    return value if not others and _has(value) else "bilinear"


def _has(interpolation: str | tuple[str, ...]) -> bool:
    """Whether views can be sampled so."""
    try:
        ops.RandomResizedCrop(1, interpolation=interpolation)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _differences(reader: Reader, interpolation: str | tuple[str, ...] | None) -> str:
    """What comes out otherwise, and what to do; "" for nothing."""
    sentences = [f"{said}." for said in reader.differences]
    requests = reader.requests
    unmet = [r for r in requests if r.argument == "interpolation" and r.value != interpolation]
    if unmet:
        steps = ", ".join(f"{r.step} wants {_in_words(r.value)}" for r in unmet)
        sentences.append(
            f"{steps}, but {_in_words(interpolation)} holds, since a view is sampled once. Say "
            f"interpolation={interpolation!r} there if that is right."
        )
    modes = (r for r in requests if r.argument == "padding_mode" and r.value != "constant")
    border = next(modes, None)
    fills = [str(r.step) for r in requests if r.argument == "fill"]
    if border and fills:
        sentences.append(
            f"{', '.join(fills)} would fill, but the padding_mode {border.value!r} of "
            f"{border.step} holds, since a view is sampled once. Say padding_mode='constant' to "
            "have it filled."
        )
    return " ".join(sentences)


def _in_words(interpolation: str | tuple[str, ...] | None) -> str:
    return " or ".join(interpolation) if isinstance(interpolation, tuple) else str(interpolation)


def _with_interpolation(op: Op, interpolation: str | tuple[str, ...] | None) -> Op:
    """The op with the policy's interpolation. The published policies follow it anyway."""
    arguments: dict[str, Any] = {}
    if op.children:
        children = tuple(_with_interpolation(child, interpolation) for child in op.children)
        arguments = {"transforms": children}
    elif (
        getattr(op, "interpolation", "") is None
        and type(op).__name__ not in AUTO
        and not isinstance(op, Unfused)
    ):
        arguments = {"interpolation": interpolation}
    return replace(op, **arguments) if arguments else op
