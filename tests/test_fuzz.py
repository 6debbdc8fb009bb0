"""The fuzzer's short form, and that it can see: each kind of fault is made once, and found."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from generated import examples
from hypothesis import given, note
from hypothesis import strategies as st

import augengine as ae
from fuzz import cases, drawing, files, plans
from fuzz.__main__ import said, summary
from fuzz.guard import Block
from fuzz.images import draw_images, small_images
from fuzz.run import Part, Run, parts_of

ROOT = Path(__file__).resolve().parent.parent

# The short form


def _nothing_is_found(parts):
    result = Run(limit=60).run(parts, jobs=1)
    assert not result.found, "\n\n".join(map(said, result.found))
    assert sum(count for outcome, count in result.outcomes.items() if outcome.endswith("drawn"))
    return result


def test_some_hundred_cases():
    result = _nothing_is_found(parts_of(seed=0, cases=300, jobs=1))
    assert result.cases == 300
    assert "300 cases of seed 0" in summary(result, 0)


@pytest.mark.thorough
def test_some_thousand_cases():
    _nothing_is_found(parts_of(seed=1, cases=1_500, jobs=1))


@pytest.mark.thorough
def test_cases_in_the_interpreter():
    _nothing_is_found([Part(2, 0, 25, interpreted=True)])


@examples(300)
@given(st.randoms(use_true_random=False), st.sampled_from(("lie", "bytes", "text")))
def test_files_and_plans_of_a_stranger(rng, kind):
    """The same cases from hypothesis, which makes a failure as small as it can."""
    getattr(cases, f"_run_{kind}")(rng, note)


# Guards

FAULTS = {
    "reads a float behind its scratch": "read(4, 4)",
    "reads a float before its scratch": "scratch.poison(False, 255); read(4, -1)",
    "writes a float behind its scratch": "write(4, 4)",
    "reads behind torch.empty": "new = torch.empty(3, 5); look(new.data_ptr(), 15)",
    "reads behind torch.empty_like": "new = torch.empty_like(torch.zeros(3, 5)); look(new.data_ptr(), 15)",
    "reads behind an image": "image = guard.Block(60); look(address(image), 15)",
    "reads before an image": "image = guard.Block(60, at_end=False); look(address(image), -1)",
    "writes into an image": "image = guard.Block(60); image.protect(); image.bytes[0] = 1",
}
HARMLESS = [
    "read(4, 3)",
    "write(4, 3)",
    "new = torch.empty(3, 5); look(new.data_ptr(), 14)",
    "image = guard.Block(60); look(address(image), 14)",
    "image = guard.Block(60); image.protect(); look(address(image), 0)",
]

GUARDED = """
import ctypes, os, sys
import numpy as np, torch
from numba import njit
from fuzz import guard, scratch
scratch.install()
from augengine.kernels.cpu.memory import address_of, floats, keep

@njit(nogil=True)
def read(count, at):
    memory = np.empty(count, np.float32)
    value = floats(address_of(memory) + 4 * at, 1)[0]
    keep((memory,))
    return value

@njit(nogil=True)
def write(count, at):
    memory = np.empty(count, np.float32)
    floats(address_of(memory) + 4 * at, 1)[0] = 1
    keep((memory,))

@njit
def zeros(count):
    return np.zeros(count, np.float32).sum()

def look(address, at):
    return ctypes.c_float.from_address(address + 4 * at).value

def address(block):
    return ctypes.addressof(block.bytes)

assert np.isnan(read(4, 0)) and np.isnan(torch.empty(7)).all() and zeros(9) == 0
scratch.poison(True, 0)
assert read(4, 0) == 0 and not torch.empty(7).any()
scratch.poison(True, 255)
before = scratch.count()
assert read(4, 0) != 0 and scratch.count() == before + 1
for code in sys.argv[1:]:
    child = os.fork()
    if not child:
        exec(code)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_guards_end_the_process():
    """Memory of the kernel, of torch and of images: one value beyond its ends is too far."""
    codes = [*FAULTS.values(), *HARMLESS]
    command = [sys.executable, "-c", GUARDED, *codes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ends = dict(zip(codes, map(int, done.stdout.split()), strict=True))
    assert ends == {code: -signal.SIGSEGV if code in FAULTS.values() else 0 for code in codes}


def test_a_block_lies_where_it_says():
    for at_end in (True, False):
        block = Block(100, at_end)
        values = block.array(np.uint8)
        assert (values == 255).all()
        values[:] = 7
        whole = np.frombuffer(block.copy(), np.uint8)
        assert len(whole) == block.inner
        assert (whole == 7).sum() == 100
        assert whole[-1 if at_end else 0] == 7


# What is wrong is found


def _drawn(change=None, **fields):
    """Check a plan of small images, drawn by executors that `change` has changed."""
    plan = ae.Policy([ae.RandomRotation(20), ae.Resize((6, 7))]).sample(
        [0, 1], small_images().sizes, **fields
    )
    right = ae.execute

    def wrong(plan, images, *, executor, out=None, **how):
        batch = right(plan, images, executor=executor, out=out, **how)
        return change(executor, batch, out)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ae, "execute", wrong)
        return [
            drawing.check(random.Random(seed), plan, small_images(), ["cpu", "torch"], valid=True)
            for seed in range(8)
        ]


def _unwritten(executor, batch, out):
    if out is None:
        return batch
    kept = batch.clone()
    bits = torch.uint8 if batch.dtype == torch.uint8 else torch.int32
    out.view(bits)[-1, -1, -1, -1] = POISONS[bits][len(_calls) % 2]
    _calls.append(kept)
    return batch


_calls: list = []
POISONS = {torch.uint8: (0xFF, 0x55), torch.int32: (-1, 0x55555555)}


def _elsewhere(executor, batch, out):
    """The last float of `out`'s memory that is none of its own."""
    if out is not None:
        count = batch.untyped_storage().nbytes() // 4
        memory = torch.empty(0, dtype=torch.int32).set_(batch.untyped_storage(), 0, (count,))
        gap = torch.ones(count, dtype=torch.bool)
        gap.as_strided(batch.shape, batch.stride(), batch.storage_offset()).fill_(False)
        if gap.any():
            memory[gap.nonzero()[-1]] ^= 1
    return batch


def _refuses(executor, batch, out):
    raise ValueError("no")


CHANGES = {
    "unstable": _unwritten,
    "outside": _elsewhere,
    "refused": _refuses,
    "executors differ": lambda executor, batch, out: batch.mul_(0.9 if executor == "torch" else 1),
    "NaN": lambda executor, batch, out: batch.index_fill_(3, torch.tensor([2]), torch.nan),
    "range": lambda executor, batch, out: batch.add_(0.3),
    "out": lambda executor, batch, out: batch.clone(),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_wrong_is_found(kind):
    _calls.clear()
    with pytest.raises(drawing.Failure) as failure:
        _drawn(CHANGES[kind])
    assert failure.value.kind == kind


def test_what_is_right_is_not():
    assert _drawn(lambda executor, batch, out: batch) == ["drawn"] * 8


# The parent

CHILD = """
import json, os, sys, time, faulthandler, ctypes
seed, first, end, seconds = sys.argv[1:5]
for number in range(int(first), int(end)):
    name = f"{seed}.{number}"
    print(json.dumps({"begin": name}), flush=True)
    print(json.dumps({"said": f"this is {name}"}), flush=True)
    faulthandler.dump_traceback_later(float(seconds), exit=True)
    if number == 2:
        ctypes.c_int.from_address(8).value
    if number == 4:
        time.sleep(60)
    if number == 5:
        os._exit(7)
    faulthandler.cancel_dump_traceback_later()
    report = {"outcome": "right, drawn"}
    if number == 6:
        report = {"kind": "NaN", "text": "somewhere"}
    print(json.dumps({"case": name, **report}), flush=True)
"""


def test_the_parent_goes_on_after_each_death():
    run = Run(limit=1, program=(sys.executable, "-c", CHILD))
    result = run.run(parts_of(seed=3, cases=9, jobs=1), jobs=1)
    assert [(found.case, found.kind) for found in result.found] == [
        ("3.2", "crash"), ("3.4", "hang"), ("3.5", "crash"), ("3.6", "NaN"),
    ]  # fmt: skip
    assert result.outcomes == {"right, drawn": 5, "failed": 4}
    first = result.found[0]
    assert first.text == "SIGSEGV"
    assert first.said == ["this is 3.2"]
    assert "python -m fuzz --case 3.2" in said(first)
    assert "4  failed" in summary(result, 3)


def test_parts_are_all_cases():
    for cases_, jobs in ((0, 2), (1, 2), (7, 3), (5_000, 2)):
        parts = parts_of(4, cases_, jobs, first=10)
        assert [n for part in parts for n in range(part.first, part.end)] == [
            *range(10, 10 + cases_)
        ]


# Cases


def test_a_case_is_a_function_of_its_name():
    for number in range(12):
        words = [[], []]
        for lines in words:
            rng = random.Random(f"5.{number}")
            images = draw_images(rng, small=True)
            lines += [images.words, images.sizes, rng.random()]
        assert words[0] == words[1]


def test_every_op_comes():
    seen = set()
    for number in range(600):
        policy = cases._policy(random.Random(number), lambda text: None, small_images())
        seen |= {type(op).__name__ for op in policy._every()} if policy else set()
    assert set(ae.ops.__all__) - seen <= {"Op", "Stage", "Lambda"}


def test_every_field_of_a_plan_lies():
    plan = cases.sampled_by_chance(random.Random(0))[1]
    seen = set()
    for number in range(3_000):
        _, fields = plans.lied(random.Random(number), plan)
        for field in dataclasses.fields(plan):
            seen |= {field.name} if fields[field.name] is not getattr(plan, field.name) else set()
    told = {"log_text", "seed", "epoch", "look", "policy", "after"}
    assert seen == {field.name for field in dataclasses.fields(plan)} - told


def test_damage_is_damage():
    data = cases.sampled_by_chance(random.Random(0))[1].to_bytes()
    changed = [files.damaged_bytes(random.Random(n), data) for n in range(200)]
    assert sum(other != data for other in changed) > 150
    text = ae.Policy([ae.RandomCrop(32, padding=4), ae.CutMix()]).to_yaml()
    assert sum(files.damaged_text(random.Random(n), text) != text for n in range(200)) > 150


@pytest.mark.thorough
def test_one_case_from_the_command_line():
    command = [sys.executable, "-m", "fuzz", "--case", "0.1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kind:" in done.stdout
    assert "outcome" in done.stdout
