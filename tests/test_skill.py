"""The skill for coding agents: what it says is there, its code runs, its tasks can be solved by it alone."""

import inspect
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from skill_tasks import TASKS, picture
from torchvision.transforms import v2

import augengine as ae

ROOT = Path(__file__).resolve().parent.parent
SKILL = (ROOT / "skills/augengine/SKILL.md").read_text("utf-8")
FENCED = re.findall(r"^```python\n(.*?)^```", SKILL, re.S | re.M)


def test_the_skill_begins_as_agents_expect():
    """A name as its folder's, and a description short enough to be shown in a list."""
    head = re.match(r"---\nname: (\S+)\ndescription: (.+)\n---\n", SKILL)
    assert head
    assert head[1] == "augengine"
    assert len(head[2]) < 1024
    assert len(SKILL) < 12_000  # what is read on every use


def test_every_name_that_the_skill_says_is_there():
    named = set(re.findall(r"\bae\.([A-Za-z_]\w*)", SKILL))
    assert len(named) > 30
    for name in named:
        assert hasattr(ae, name), name
    for method in re.findall(r"\bplan\.(\w+)\(", SKILL):
        assert hasattr(ae.Plan, method), method
    for method in re.findall(r"(?<!_)\bpolicy\.(\w+)\(", SKILL):
        assert hasattr(ae.Policy, method), method
    for preset in re.findall(r"\bae\.presets\.(\w+)", SKILL):
        assert hasattr(ae.presets, preset), preset


def test_the_loop_of_the_skill_runs():
    names = {
        "dataset": [(picture(i), i % 10) for i in range(70)],
        "torch": torch,
        "epochs": 1,
        "model": torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 10)
        ),
    }
    loop = FENCED[0].replace("num_workers=4", "num_workers=0")
    exec(compile(loop, "SKILL.md", "exec"), names)
    assert names["labels"].shape == (6, 10)
    assert torch.isfinite(names["loss"])


def test_the_errors_that_the_skill_quotes_are_raised():
    """Each quoted part stands in what the library says."""
    pictures = [np.zeros((40, 50, 3), np.uint8), np.zeros((30, 30, 3), np.uint8)]
    crop = ae.RandomResizedCrop(16)

    def said(make):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                make()
            except (TypeError, ValueError) as error:
                return str(error)
        return " ".join(str(warning.message) for warning in warned)

    floats, planes = torch.rand(3, 20, 20), np.zeros((3, 20, 20), np.uint8)
    heard = [
        said(lambda: ae.Engine(crop)(pictures)),
        said(lambda: ae.Engine([crop, ae.CutMix()])(pictures, [0, 1], ids=[0, 1])),
        said(lambda: ae.Normalize((123.7,), (58.0,))),
        said(lambda: ae.Engine(ae.Resize(16))(pictures, ids=[0, 1])),
        said(lambda: ae.Engine([ae.Pad(1, fill=128)])([floats], ids=[0])),
        said(lambda: ae.Engine(crop)([planes], ids=[0])),
        said(lambda: ae.RandomRotation(degree=9)),
    ]
    quoted = re.findall(r"^\| \"(.*?)\"", SKILL, re.M)
    assert len(quoted) == len(heard) + 1  # an epoch that nobody named is warned of by loaders
    for quote in quoted:
        # "…" stands for what differs, but between the ends of a range.
        parts = [part.strip(" ,)") for part in re.split(r"(?<!0) … ?|…", quote)]
        assert "epoch" in quote or any(all(p in text for p in parts) for text in heard), quote


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_solved_by_what_the_skill_says(name):
    task = TASKS[name]
    task.check(task.solve())
    used = set(re.findall(r"\bae\.(\w+)", inspect.getsource(task.solve)))
    # "Ops have torchvision v2's names and arguments", the skill says.
    unsaid = {one for one in used if not re.search(rf"\bae\.{one}\b|`{one}\b", SKILL)}
    assert all(hasattr(v2, one) for one in unsaid), unsaid


@pytest.mark.filterwarnings("ignore:augengine")
@pytest.mark.parametrize("name", TASKS)
def test_what_is_commonly_written_instead_fails_its_check(name):
    task = TASKS[name]
    with pytest.raises((AssertionError, TypeError, ValueError, RuntimeError, IndexError)):
        task.check(task.wrong())
