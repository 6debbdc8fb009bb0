"""What the page holds: a list of steps, which may be wrong for a while, and the policy that it stands for.

All of it is pure: a change gives a new list. A policy, its YAML and its Python follow from the steps, and
YAML gives the steps back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..checks import shown
from ..policy import ops
from ..policy.ops.arguments import arguments_of
from ..policy.ops.op import Op
from ..policy.policy import Policy
from .forms import fields_of, is_chooser, op_class, starting_arguments, text_of

# Where a step stands: its number, and inside a chooser its number there, and so on.
Path = tuple[int, ...]
MOST_STEPS = 64  # on a page; a policy of Python may have more
_PAGE_WIDTH = 88


@dataclass(frozen=True)
class Step:
    """An op that is wanted, with arguments that it may still refuse.

    Args:
        name: Name of the op's class.
        arguments: Arguments that are not its default, as they were given.
        inside: Steps inside it, where it is an op made of ops.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    inside: tuple[Step, ...] = ()

    def value(self, name: str) -> Any:
        """The value of an argument, its default where none was given; None where it has none."""
        if name in self.arguments:
            return self.arguments[name]
        default = next(f.default for f in fields_of(self.name) if f.name == name)
        return None if default is dataclasses.MISSING else default


def new_step(name: str) -> Step:
    """A step as it is added."""
    return Step(name, starting_arguments(name))


def op_of(step: Step) -> Op:
    """The op that a step stands for.

    Raises:
        TypeError, ValueError: In the op's own words, where it refuses an argument.
    """
    arguments = dict(step.arguments)
    if is_chooser(step.name):
        arguments["transforms"] = tuple(map(op_of, step.inside))
    return op_class(step.name)(**arguments)


def policy_of(steps: Sequence[Step]) -> Policy:
    """The policy that steps stand for.

    Raises:
        TypeError, ValueError: In the words of the op or of the policy that refuses something.
    """
    return Policy([op_of(step) for step in steps])


def step_of(op: Op) -> Step:
    """The step that stands for an op.

    Raises:
        ValueError: The op is code, which no page can hold.
    """
    name = type(op).__name__
    if getattr(ops, name, None) is not type(op) or getattr(op, "code", False):
        raise ValueError(
            f"play: got {shown(op)}, expected ops of augengine that YAML can say, which code is not. Leave it "
            "out, and append it where the policy is used."
        )
    arguments = {
        part.name: getattr(op, part.name)
        for part in dataclasses.fields(op)
        if part.name != "transforms"
        if part.default is dataclasses.MISSING or getattr(op, part.name) != _kept_default(op, part)
    }
    return Step(name, arguments, tuple(map(step_of, op.children)))


def steps_of(policy: Policy) -> tuple[Step, ...]:
    """The steps of a policy, those of a single Compose as its own."""
    return tuple(map(step_of, policy.transforms))


def _kept_default(op: Op, part: dataclasses.Field[Any]) -> Any:
    """An argument's default as the op keeps it."""
    for argument in arguments_of(type(op)):
        if argument.name == part.name and part.default is not dataclasses.MISSING:
            return argument.check(type(op).__name__, part.default)
    return part.default


def python_of(policy: Policy, *, seed: int = 0, strength: float = 1.0) -> str:
    """Python that makes the policy, and an engine of it.

    Args:
        policy: Policy of ops that YAML can say.
        seed: Seed of the engine.
        strength: Strength of the engine.

    Example:
        >>> policy = ae.Policy([ae.RandomCrop(32), ae.RandomApply(ae.GaussianBlur(3))])
        >>> print(python_of(policy), end="")
        import augengine as ae
        <BLANKLINE>
        policy = ae.Policy([
            ae.RandomCrop(size=(32, 32)),
            ae.RandomApply([ae.GaussianBlur(kernel_size=(3, 3))]),
        ])
        engine = ae.Engine(policy)
    """
    options = "".join(
        f", {name}={value!r}"
        for name, value, default in (("seed", seed, 0), ("strength", strength, 1.0))
        if value != default
    )
    lines = "".join(f"    {_code(step, 1)},\n" for step in steps_of(policy))
    listed = f"[\n{lines}]" if lines else "[]"
    return f"import augengine as ae\n\npolicy = ae.Policy({listed})\nengine = ae.Engine(policy{options})\n"


def _code(step: Step, level: int) -> str:
    said = [f"{name}={value!r}" for name, value in step.arguments.items()]
    if not is_chooser(step.name):
        return f"ae.{step.name}({', '.join(said)})"
    inside = [_code(child, level + 1) for child in step.inside]
    rest = "".join(f", {argument}" for argument in said)
    line = f"ae.{step.name}([{', '.join(inside)}]{rest})"
    if len(line) + 4 * level < _PAGE_WIDTH and "\n" not in line:
        return line
    indent = "    " * (level + 1)
    return (
        f"ae.{step.name}([\n"
        + "".join(f"{indent}{code},\n" for code in inside)
        + f"{'    ' * level}]{rest})"
    )


def walk(steps: Sequence[Step], above: Path = ()) -> Iterator[tuple[Path, Step]]:
    """All steps in order, each before those inside it, with where it stands."""
    for number, step in enumerate(steps):
        yield (*above, number), step
        yield from walk(step.inside, (*above, number))


def at(steps: Sequence[Step], path: Path) -> Step:
    """The step at a place.

    Raises:
        IndexError: There is none.
    """
    step = steps[path[0]]
    return at(step.inside, path[1:]) if len(path) > 1 else step


def label(step: Step, path: Path) -> str:
    """What a list says of a step: its number, its name and its arguments, in short."""
    numbers = ".".join(str(n + 1) for n in path)
    said = "; ".join(
        f"{name} {'off' if value is None else text_of(value)}"
        for name, value in step.arguments.items()
    )
    said = said if len(said) <= 44 else said[:43] + "…"
    return f"{numbers}  {step.name}" + (f"  ({said})" if said else "")


def _replaced(steps: Sequence[Step], path: Path, new: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with others in the place of one."""
    number, rest = path[0], path[1:]
    if rest:
        step = steps[number]
        new = [dataclasses.replace(step, inside=_replaced(step.inside, rest, new))]
    return (*steps[:number], *new, *steps[number + 1 :])


def _inserted(steps: Sequence[Step], path: Path, step: Step) -> tuple[Step, ...]:
    """The steps with another one at a place, those from there on moved down."""
    if len(path) == 1:
        return (*steps[: path[0]], step, *steps[path[0] :])
    outer = steps[path[0]]
    inside = _inserted(outer.inside, path[1:], step)
    return _replaced(steps, path[:1], [dataclasses.replace(outer, inside=inside)])


def changed(steps: Sequence[Step], path: Path, name: str, value: Any) -> tuple[Step, ...]:
    """The steps with another value of an argument. The op's default is left out."""
    step = at(steps, path)
    field_ = next(f for f in fields_of(step.name) if f.name == name)
    arguments = {**step.arguments, name: value}
    if field_.default is not dataclasses.MISSING and _same(value, field_.default):
        del arguments[name]
    return _replaced(steps, path, [dataclasses.replace(step, arguments=arguments)])


def _same(value: Any, default: Any) -> bool:
    """Whether a value is a default: 1 is no True."""
    return value == default and isinstance(value, bool) == isinstance(default, bool)


def added(steps: Sequence[Step], path: Path, name: str) -> tuple[tuple[Step, ...], Path]:
    """The steps with a new one, and where it stands: inside the step at `path` where that holds steps, and
    else behind it. An op made of ops takes the step at `path` into itself.

    Raises:
        ValueError: There are MOST_STEPS steps.
    """
    if sum(1 for _ in walk(steps)) >= MOST_STEPS:
        raise ValueError(
            f"play: got {MOST_STEPS} steps, expected no more on a page. Remove one, or write the policy in "
            "Python."
        )
    step = new_step(name)
    if not path:
        return (*steps, step), (len(steps),)
    chosen = at(steps, path)
    if is_chooser(name):
        return _replaced(steps, path, [dataclasses.replace(step, inside=(chosen,))]), path
    if is_chooser(chosen.name):
        inner = (*path, len(chosen.inside))
        return _inserted(steps, inner, step), inner
    behind = (*path[:-1], path[-1] + 1)
    return _inserted(steps, behind, step), behind


def removed(steps: Sequence[Step], path: Path) -> tuple[tuple[Step, ...], Path]:
    """The steps without one and all inside it, and the place that is looked at then."""
    left = _replaced(steps, path, [])
    siblings = at(left, path[:-1]).inside if len(path) > 1 else left
    if not siblings:
        return left, path[:-1]
    return left, (*path[:-1], min(path[-1], len(siblings) - 1))


def moved(steps: Sequence[Step], path: Path, by: int) -> tuple[tuple[Step, ...], Path]:
    """The steps with one moved up (−1) or down (1), and its new place. At an end of the op that it stands in
    it moves out of it, and into an op made of ops that it meets.
    """
    step, target = at(steps, path), path[-1] + by
    left = _replaced(steps, path, [])
    siblings = at(left, path[:-1]).inside if len(path) > 1 else left
    if 0 <= target <= len(siblings):
        # The one that is passed: with the step gone, it has the number of the gap above or below.
        passed = siblings[target if by < 0 else target - 1]
        if is_chooser(passed.name):
            number = target if by < 0 else target - 1
            place = (*path[:-1], number, len(passed.inside) if by < 0 else 0)
        else:
            place = (*path[:-1], target)
    elif len(path) > 1:
        place = (*path[:-2], path[-2] + (1 if by > 0 else 0))
    else:
        return tuple(steps), path
    return _inserted(left, place, step), place
