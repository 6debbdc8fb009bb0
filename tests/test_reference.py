"""The reference: docstrings list every argument with its range and unit, and their examples run; ops read
back from their repr; signatures are typed."""

import dataclasses
import doctest
import inspect
import random
import re

import numpy as np
import pytest
import torch
from generated import examples as so_many
from hypothesis import given
from hypothesis import strategies as st
from test_policy import OPS

import augengine as ae
from augengine.policy.ops.arguments import WholeNumber, _Bounded, arguments_of
from fuzz.policies import draw_policy

CLASSES = [name for name in ae.__all__ if inspect.isclass(getattr(ae, name))]
FUNCTIONS = [name for name in ae.__all__ if inspect.isfunction(getattr(ae, name))]
PRESETS = [
    f"presets.{name}"
    for name, _ in inspect.getmembers(ae.presets, inspect.isfunction)
    if not name.startswith("_")
]
METHODS = [
    f"{name}.{method}"
    for name in CLASSES
    for method, function in vars(getattr(ae, name)).items()
    if not method.startswith("_") or method == "__call__"
    if inspect.isfunction(getattr(function, "__func__", function))
]
OPERATIONS = [name for name in CLASSES if issubclass(getattr(ae, name), ae.Op)]
NAMES = [*CLASSES, *FUNCTIONS, *PRESETS]


def find(name):
    thing = ae
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def constructor(thing):
    """What a class is called with: a tuple's is __new__."""
    return thing.__new__ if "__new__" in vars(thing) else thing.__init__


def parameters(thing):
    """The parameters that a user may pass, `self` left out."""
    function = constructor(thing) if inspect.isclass(thing) else thing
    listed = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in ("self", "cls", "_cls", "stratify"):
            listed.append(parameter.name)
    return listed


def sections(doc):
    """{"Args": {name: text}} and the like, of a docstring."""
    found: dict[str, str] = {}
    heading = None
    for line in inspect.cleandoc(doc).splitlines():
        if re.fullmatch(r"[A-Z][a-z]+:", line):
            heading = line[:-1]
            found[heading] = ""
        elif heading is not None:
            found[heading] += line.removeprefix("    ") + "\n"
    return found


def documented(doc):
    """{argument: what is said of it}."""
    entries: dict[str, str] = {}
    for line in sections(doc).get("Args", "").splitlines():
        if entry := re.match(r"(\*{0,2}\w+): (.*)", line):
            name = entry[1]
            entries[name] = entry[2]
        elif line.strip():
            entries[name] += " " + line.strip()
    return entries


@pytest.mark.parametrize("name", [*NAMES, *METHODS])
def test_the_docstring_lists_every_argument_in_order(name):
    thing = find(name)
    assert thing.__doc__, f"{name} has no docstring"
    assert not thing.__doc__.startswith(f"{name}("), "a dataclass's generated signature is none"
    if "." in name and not name.startswith("presets."):
        if not parameters(thing):
            return
        mentioned = list(documented(thing.__doc__))
        assert mentioned in ([], parameters(thing)) or set(mentioned) == set(parameters(thing))
        assert mentioned or len(parameters(thing)) < 2, f"{name} lists no arguments"
        return
    if dataclasses.is_dataclass(thing) and not issubclass(thing, ae.Op):
        return  # its fields are documented where they stand
    if name in ("Op", "BatchOfViews"):
        return
    assert list(documented(thing.__doc__)) == parameters(thing)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_docstring_of_an_op_says_range_and_unit(name):
    said = documented(find(name).__doc__)
    for argument in arguments_of(find(name)):
        kind, text = argument.kind, said[argument.name]
        if isinstance(kind, WholeNumber):
            assert f"{kind.low} … {kind.high}" in text
        elif isinstance(kind, _Bounded) and kind.range != "finite":
            assert (
                kind.range in text
                or ("±" in text and f"{kind.high:g}" in text)
                or ("above 0" in text and 0 < kind.low < 1e-3)
            ), f"{name}.{argument.name}: {kind.range!r} is not in {text!r}"
        if kind.unit:
            assert kind.unit.removesuffix("s") in text.lower(), (
                f"{name}.{argument.name}: {kind.unit}"
            )
    for field in dataclasses.fields(find(name)):
        if field.default is None:
            text = said[field.name]
            assert re.search("None|as for|[Bb]y default", text), (
                f"{name}.{field.name}: what is None?"
            )


def examples():
    finder = doctest.DocTestFinder(recurse=False)
    for name in [*NAMES, *METHODS]:
        for test in finder.find(find(name), name, globs={"ae": ae, "np": np, "torch": torch}):
            if test.examples:
                yield pytest.param(test, id=name)


@pytest.mark.parametrize("test", list(examples()))
def test_the_example_runs(test):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.DocTestRunner(optionflags=flags).run(test, clear_globs=False)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("BatchOfViews", "Op")])
def test_every_public_thing_has_an_example(name):
    assert ">>>" in find(name).__doc__, f"{name} has no example"


# Reprs


@pytest.mark.parametrize("op", OPS, ids=repr)
def test_an_op_reads_back_from_its_repr(op):
    names = {name: getattr(ae, name) for name in ae.__all__}
    for one in (op, dataclasses.replace(op, stratify=True)):
        again = eval(repr(one), names)
        assert again == one
        assert repr(again) == repr(one)
    assert eval(repr(ae.Policy([op] if isinstance(op, ae.Normalize) else op)), names)


@given(st.integers(0, 2**63))
@so_many(400)
def test_any_policy_reads_back_from_its_repr_and_from_yaml(seed):
    """Ops with arguments drawn by their kinds, in choosers too."""
    names = {name: getattr(ae, name) for name in ae.__all__}
    rng = random.Random(seed)
    policy = draw_policy(rng, rng.choice((1, 3, 5)))
    for one in (
        policy,
        ae.Policy([dataclasses.replace(op, stratify=True) for op in policy.transforms]),
    ):
        again = eval(repr(one), names)
        assert again == one
        assert repr(again) == repr(one)
        assert (
            again.fingerprint == one.fingerprint == ae.Policy.from_yaml(one.to_yaml()).fingerprint
        )


def test_the_repr_says_what_is_not_the_default():
    assert repr(ae.RandomRotation(9)) == "RandomRotation(degrees=(-9.0, 9.0))"
    assert repr(ae.RandomRotation(9, stratify=True)).endswith(", stratify=True)")
    assert repr(ae.RandomBrightness()) == "RandomBrightness()"
    assert repr(ae.RandomBrightness(0.3)) == "RandomBrightness(delta=(-0.3, 0.3))"
    assert repr(ae.Policy([])) == "Policy([])"


def test_batches_and_what_makes_them_say_what_they_hold():
    images = torch.zeros(4, 3, 20, 24, dtype=torch.uint8)
    batch = ae.Engine([ae.CenterCrop(16), ae.CutMix()], num_classes=5)(
        images, [1, 2, 3, 4], ids=range(4)
    )
    said = "images=(4, 3, 16, 16) float32 on cpu, labels=(4, 5) float32 on cpu"
    assert repr(batch) == f"Batch({said},\n  {repr(batch.plan).splitlines()[0]})"
    views = ae.Engine(ae.Views(weak=ae.CenterCrop(16), crops=[ae.Policy(ae.CenterCrop(8))] * 2))
    assert repr(views(images, ids=range(4))).count("Batch(images=(4, 3, ") == 3
    collate = ae.Collate(ae.CenterCrop(16), seed=7, num_classes=5)
    collate.set_epoch(2)
    for said in (
        "Collate(Engine(Policy([",
        "CenterCrop(size=(16, 16))",
        "seed=7",
        "num_classes=5",
        "epoch=2",
    ):
        assert said in repr(collate)
    assert repr(ae.pack(ae.CenterCrop(16))).startswith("pack(Engine(")
    assert repr(ae.WithIds([(0, 1)] * 6)) == "WithIds(6 samples of list)"


# Types


def test_public_signatures_are_typed_and_hide_nothing_in_any():
    bare = []
    for name in [*NAMES, *METHODS]:
        thing = find(name)
        function = constructor(thing) if inspect.isclass(thing) else thing
        if not inspect.isfunction(function):
            continue  # a dict's, of BatchOfViews
        signature = inspect.signature(function)
        for parameter in [*signature.parameters.values()]:
            annotation = str(parameter.annotation)
            if parameter.name not in ("self", "cls", "_cls") and (
                parameter.annotation is parameter.empty or re.search(r"\bAny\b", annotation)
            ):
                bare.append(f"{name}({parameter.name}: {annotation})")
        returned = signature.return_annotation
        if not inspect.isclass(thing) and (returned is signature.empty or "Any" in str(returned)):
            bare.append(f"{name}() → {returned}")
    assert not bare, "\n".join(bare)
