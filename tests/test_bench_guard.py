"""Speed, guarded: six rows beside torchvision in one run, at a wide margin, and counts without noise.

All other figures are benchmarks' (`make bench`). A row here fails if the kernel has lost most of its lead,
such as by a loop that is no longer compiled, and not because a machine is busy: both are timed by turns,
and the best of several races counts. The counts are renewed by `python -m benchmarks.code --write`.
"""

import json
from importlib import metadata
from pathlib import Path

import pytest

import augengine as ae
from augengine.demo import measure, peers

ROOT = Path(__file__).resolve().parent.parent
ROUNDS, ATTEMPTS = 3, 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def cropped(*ops):
    crop = ae.RandomResizedCrop(224, antialias=False)
    return [crop, ae.RandomHorizontalFlip(), *ops, ae.Normalize(MEAN, STD)]


# Name: (ops, what makes the images, how many, so many times as long as ours torchvision takes at least). On
# an idle machine it takes 3 to 5 times the margin.
PADDED = [ae.RandomCrop(32, padding=4), ae.RandomHorizontalFlip(), ae.Normalize(MEAN, STD)]
ROWS = {
    "a crop and a flip": (cropped(), "listed", 64, 1.5),
    "an affine map": (cropped(ae.RandomAffine(15, (0.1, 0.1), (0.9, 1.1))), "listed", 64, 2.0),
    "a jitter": (cropped(ae.ColorJitter(0.4, 0.4, 0.4)), "listed", 64, 1.5),
    "RandAugment": (cropped(ae.RandAugment(2, 9)), "listed", 64, 2.0),
    "an antialiased shrink": (
        [ae.Resize((224, 224)), ae.Normalize(MEAN, STD)],
        "photographs",
        64,
        1.0,
    ),
    "small images": (PADDED, "cifar", 512, 1.5),
}


@pytest.mark.parametrize("name", ROWS)
def test_torchvision_is_not_nearly_as_fast(name, monkeypatch, one_thread):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import contenders, images

    ops, source, batch, margin = ROWS[name]
    policy, given = ae.Policy(ops), getattr(images, source)(batch)
    theirs, _ = contenders.theirs(peers.PEERS["torchvision v2"], [policy], given)
    works = {"ours": contenders.ours(policy, given), "theirs": theirs}
    ratios = []
    while len(ratios) < ATTEMPTS and max(ratios, default=0) < margin:
        times = measure.interleaved(works, ROUNDS)
        ratios.append(times["theirs"].median / times["ours"].median)
    assert max(ratios) >= margin, f"torchvision takes {ratios} times as long, expected {margin}"


COUNTED = """
\t.text
"_ZN4draw": # @draw
\tpushq\t%rbp
.LBB0_1:
\tvmovups\t(%rax), %ymm0
\tje\t.LBB0_9
\tvaddps\t%ymm0, %ymm1, %ymm0 # a remark
\tjne\t.LBB0_1
.LBB0_2:
\tmovabsq\t$cosf, %rax
\tcallq\t*%rax
\tjb\t.LBB0_2
\tmovl\t$floor_of_a_name, %eax
\tjmp\t.LBB0_1
.LBB0_9:
\t.p2align\t4
\tcallq\tlogf
\tretq
"""


def test_loops_vectors_and_calls_are_counted(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.code import counted

    assert counted(COUNTED) == {
        "instructions": 12, "loops": 2, "vector_loops": 1, "libm": {"cosf": 1, "logf": 1},
    }  # fmt: skip


def test_a_count_that_is_worse_is_said(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.code import worse

    old = {"instructions": 1000, "loops": 9, "vector_loops": 7, "libm": {}}
    before = {"targets": {"v3": {"draw": old}}}
    assert not [*worse(before, before)]
    new = {"instructions": 1051, "loops": 9, "vector_loops": 6, "libm": {"cosf": 2}}
    assert [*worse(before, {"targets": {"v3": {"draw": new}}})] == [
        "v3, draw: 1,051 instructions, 1,000 before",
        "v3, draw: 6 vector loops, 7 before",
        "v3, draw: cosf is called 2 times, 0 before",
    ]
    assert [*worse(before, {"targets": {"v3": {}}})] == ["v3, draw: it is no more"]


@pytest.mark.thorough
def test_the_kernel_is_compiled_into_no_more(monkeypatch):
    """Renew the counts by `python -m benchmarks.code --write`, after a look at what they say."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import code

    before = json.loads(code.RESULT.read_text("utf-8"))
    if before["llvmlite"] != metadata.version("llvmlite"):
        pytest.skip(f"the counts are those of llvmlite {before['llvmlite']}")
    # One of the processors: the other takes as long again to compile for, and follows it.
    target = "x86-64-v3"
    counts = {"targets": {target: before["targets"][target]}}
    now = {"targets": {target: code.compiled_for(target)}}
    found = [*code.worse(counts, now)]
    assert not found, "\n".join(found)
