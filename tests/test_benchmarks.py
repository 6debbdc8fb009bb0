"""The benchmarks run, and what they report follows from what they measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import augengine as ae
from augengine.demo import measure, peers
from augengine.demo.measure import Timing

ROOT = Path(__file__).resolve().parent.parent


def run_benchmarks(path, *arguments):
    """One round of each benchmark on four crops: (the process, the rows that it wrote)."""
    command = [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider"]
    command += ["--batch", "4", "--rounds", "1", "--json", str(path), *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = json.loads(path.read_text("utf-8"))["runs"]
    assert run["heap"] == "ordinary"
    assert all(min(row["seconds"]) > 0 for row in run["rows"])
    assert "images/s" in done.stdout
    return done, run["rows"]


OURS = {"augengine, out=", "augengine, new batch", "augengine's executor alone"}


@pytest.mark.thorough
def test_every_benchmark_runs(tmp_path):
    done, rows = run_benchmarks(tmp_path / "rows.json")
    for policy in ("crop + flip", "affine + flip + brightness"):
        table = {row["name"]: row for row in rows if row.get("policy") == policy}
        assert OURS | {"torchvision v2", "kornia"} <= set(table)
        assert all(row["floor"] > 0 and row["images"] == 4 for row in table.values())
        assert all(len(row["ours"]) == 1 for name, row in table.items() if name not in OURS)
    assert "256 × 32 Philox draws" in done.stdout


def test_no_number_on_red(tmp_path):
    """A difference from torchvision stops every benchmark before it measures."""
    (tmp_path / "wrong.py").write_text(
        "import augengine.kernels as kernels\n"
        "right = kernels.execute\n"
        "kernels.execute = lambda *args, **kwargs: right(*args, **kwargs).add_(0.05)\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "wrong",
        "benchmarks",
        "-p",
        "no:cacheprovider",
    ]
    command += ["--batch", "4", "--rounds", "1", "-k", "test_engine"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "10 errors" in done.stdout  # of five policies, with and without out=
    assert "off by" in done.stdout
    assert "images/s" not in done.stdout


def test_the_report_says_ratios_of_medians(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import report

    row = {
        "policy": "p", "name": "peer", "images": 10, "floor": 0.5, "spread": 0.15,
        "seconds": [3, 4, 4.4], "ours": [1, 2, 2],
    }  # fmt: skip
    sampler = {"name": "sampler", "seconds": [0.001], "engine": [0.1], "spread": 0}
    machine = {"cpu": "a CPU", "versions": "Python 3", "date": "2026-01-01"}
    runs = [{"heap": "reused", "rows": [row, sampler]}]
    text = report.markdown({"machine": machine, "runs": runs})
    (line,) = (line for line in text.splitlines() if "| peer" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    # 10 images in 4 s; quartiles 3.5 and 4.2; eight floors; 4 s against 2 s.
    assert cells == ["peer", "reused", "2", "9 %", "8.0", "2.00× as fast", "3"]
    assert "sampler: 1.00 ms, 1.0 % of the engine's time (reused heap)" in text


@pytest.fixture
def clock(monkeypatch):
    """clock(seconds, …): what each timed call takes, in order; the calls that were not yet made."""
    monkeypatch.syspath_prepend(str(ROOT))

    def set_to(*seconds):
        left = list(seconds)
        monkeypatch.setattr(measure, "timed", lambda work: left.pop(0))
        return left

    return set_to


def test_a_busy_race_is_run_again_and_the_steadiest_counts(clock):
    from benchmarks.race import ATTEMPTS, WARM_UP, race

    warm = [99.0] * WARM_UP
    busy, calm, never = [1.0, 2.0, 9.0], [1.0, 1.1, 1.2], [7.0] * 20
    left = clock(*warm, *busy, *warm, *calm, *never)
    assert race({"work": None}, rounds=3) == {"work": Timing(tuple(calm))}
    assert left == never, "a steady race is the last"
    worse = [1.0, 2.0, 19.0]
    left = clock(*warm, *worse, *warm, *busy, *(warm + worse) * (ATTEMPTS - 2), *never)
    assert race({"work": None}, rounds=3) == {"work": Timing(tuple(busy))}
    assert left == never, "and there is an end"
    # A steady work beside an unsteady peer makes no ratio.
    rounds = [1.0, 1.0, 5.0, 1.0, 9.0, 1.0]
    left = clock(*[1.0] * 2 * WARM_UP, *rounds, *[1.0] * 2 * (WARM_UP + 3), *never)
    assert race({"peer": None, "work": None}, rounds=3)["peer"].seconds == (1, 1, 1)
    assert left == never


def test_a_row_that_stays_unsteady_has_no_result(clock, tmp_path, monkeypatch, capsys):
    clock()
    from benchmarks import __main__ as main

    row = {"name": "peer", "policy": "p", "images": 10, "floor": 0.5, "seconds": [2, 4, 9]}
    rows = [row | {"spread": 6.41, "ours": [1, 1, 2]}, row | {"spread": 0.15, "name": "steady"}]
    rows += [{"name": "sampler", "seconds": [1, 2], "engine": [1, 1], "spread": 0.16}]
    machine = {"cpu": "a CPU", "versions": "Python 3", "date": "2026-01-01"}

    def measured(command, **how):
        path = command[command.index("--json") + 1]
        content = {"machine": machine, "runs": [{"heap": path.stem, "rows": rows}]}
        path.write_text(json.dumps(content), "utf-8")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(main.subprocess, "run", measured)
    monkeypatch.setattr(main, "RESULT", tmp_path / "results" / "cpu.md")
    assert main.main([]) == 1
    text = main.RESULT.read_text("utf-8")
    for heap in ("ordinary", "reused"):
        (line,) = (line for line in text.splitlines() if "| peer" in line and heap in line)
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells == ["peer", heap, "no result (spread 641 %)", "", "", "", "3"]
        assert f"- sampler: no result (spread 16 %) ({heap} heap)" in text
    assert text.count("steady") == 2
    said = capsys.readouterr().out
    assert "p, peer, reused heap: no result" in said
    assert "4 without a result" in said
    assert main.main(["--rounds=3"]) == 1
    rows[:] = rows[1:2]
    assert main.main([]) == 0


def plan_of(*ops, sizes=((20, 30),), **arguments):
    return ae.Policy(list(ops)).sample(np.arange(len(sizes)), np.array(sizes), **arguments)


def test_needed_pixels_of_known_views():
    assert measure.needed_pixels(plan_of(ae.RandomHorizontalFlip(1))) == 20 * 30
    assert measure.needed_pixels(plan_of(ae.CenterCrop((8, 10)))) == 8 * 10
    # Every second pixel of a nearest shrink by two; all of them when it is antialiased.
    half = plan_of(ae.Resize((10, 15), interpolation="nearest"))
    assert measure.needed_pixels(half) == 10 * 15
    assert measure.needed_pixels(plan_of(ae.Resize((10, 15)))) == 20 * 30
    # A doubling interpolates between all.
    assert measure.needed_pixels(plan_of(ae.Resize((40, 60)))) == 20 * 30


def test_needed_pixels_leave_out_what_is_hidden_and_count_once():
    whole = plan_of(ae.RandomErasing(1, scale=(0.2, 0.3)))
    (_, (y0, x0, y1, x1)) = whole.box[0]
    assert measure.needed_pixels(whole) == 20 * 30 - (y1 - y0) * (x1 - x0)
    # Whatever two samples paste into one another, no pixel counts twice.
    mixed = plan_of(ae.CutMix(), sizes=[(20, 30)] * 4)
    assert 0 < measure.needed_pixels(mixed) <= 4 * 20 * 30
    # A statistic reads all of its window.
    window = plan_of(ae.CenterCrop((8, 10)), ae.ColorJitter(contrast=0.5))
    assert measure.needed_pixels(window) == 8 * 10


@pytest.mark.parametrize("angle", [13.0, 45.0, -77.0])
def test_needed_pixels_are_those_with_a_gradient(angle):
    """The torch executor says by its gradient which pixels matter."""
    plan = plan_of(ae.RandomRotation((angle, angle)), ae.Resize((13, 17)))
    image = torch.full((1, 3, 20, 30), 0.5, requires_grad=True)
    ae.execute(plan, image, executor="torch").sum().backward()
    assert measure.needed_pixels(plan) == int((image.grad[0, 0] != 0).sum())


def test_floor_bytes_and_seconds():
    plan = plan_of(ae.CenterCrop((8, 10)), dtype="float16")
    assert measure.floor_bytes(plan) == 8 * 10 * 3 + 8 * 10 * 3 * 2
    # A copy of 100 bytes in 2 s moves 200: 100 bytes a second.
    assert measure.floor_seconds(50, Timing((2.0,)), copy_bytes=100) == 0.5


def test_interleaved_takes_turns():
    order = []
    works = {name: lambda name=name: order.append(name) for name in "ab"}
    seen = []
    times = measure.interleaved(works, rounds=3, after=lambda done, total: seen.append(done))
    assert order == ["a", "b"] * 4  # one round to warm up
    assert [len(t) for t in times.values()] == [3, 3]
    assert seen == [1, 2, 3]
    assert len(measure.interleaved(works, rounds=9, seconds=0)["a"]) == 3


# The peers do what the policy says

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
AFFINE = {"degrees": (20, 20), "translate": (0, 0), "scale": (0.8, 0.8), "antialias": False}
# With one possible outcome each, so that it can be compared.
CERTAIN = {
    "flip": [ae.CenterCrop(32), ae.RandomHorizontalFlip(1), ae.Normalize(MEAN, STD)],
    "vertical": [ae.CenterCrop(32), ae.RandomVerticalFlip(1), ae.Normalize(MEAN, STD)],
    "brightness": [ae.CenterCrop(32), ae.RandomBrightness((0.2, 0.2)), ae.Normalize(MEAN, STD)],
    "affine": [ae.RandomAffine(**AFFINE), ae.CenterCrop(20), ae.Normalize(MEAN, STD)],
    "whole crop": [ae.RandomResizedCrop(48, scale=(1, 1), ratio=(1, 1)), ae.Normalize(MEAN, STD)],
}


@pytest.fixture(scope="module")
def smooth():
    """uint8 (2, 48, 48, 3) without fine detail, on which all bilinear filters agree."""
    y, x = np.mgrid[:48, :48] / 48
    planes = [np.sin(3 * x + y), np.cos(2 * y - x), np.sin(x * y * 4)]
    image = np.stack([127 + 90 * plane for plane in planes], axis=-1)
    return np.stack([image, image[:, ::-1]]).astype(np.uint8)


def peer_output(name, policy, images):
    package = {"torchvision": "torchvision", "albumentations": "albumentations", "kornia": "kornia"}
    pytest.importorskip(package[name])
    work = getattr(peers, name)(policy)
    tensor = torch.from_numpy(images.copy()).permute(0, 3, 1, 2)
    given = {"torchvision": list(tensor), "albumentations": list(images), "kornia": tensor}[name]
    out = torch.empty(ae.Engine(policy).plan([(48, 48)] * 2, [0, 1]).shape)
    made = work(given, out)
    assert made.data_ptr() == out.data_ptr()
    torch.testing.assert_close(work(given, None), made)
    return made


@pytest.mark.parametrize("name", ["torchvision", "albumentations", "kornia"])
@pytest.mark.parametrize("policy", CERTAIN)
def test_a_peer_means_what_the_policy_means(name, policy, smooth):
    policy = ae.Policy(CERTAIN[policy])
    ours = ae.Engine(policy)(smooth, ids=[0, 1]).images
    error = (peer_output(name, policy, smooth) - ours).abs() * torch.tensor(STD).view(3, 1, 1)
    # Some round to bytes in between, and kornia turns about another point, half a pixel away.
    assert error.max() < (8 if name == "kornia" else 2.5) / 255


def test_a_peer_draws_within_the_ranges():
    """Brightness of a grey image tells what was drawn."""
    policy = ae.Policy([ae.CenterCrop(8), ae.RandomBrightness((-0.1, 0.3))])
    grey = np.full((64, 8, 8, 3), 102, np.uint8)  # 0.4
    tensor = torch.from_numpy(grey).permute(0, 3, 1, 2)
    for name, given in [("torchvision", tensor), ("albumentations", grey), ("kornia", tensor)]:
        pytest.importorskip(name)
        delta = getattr(peers, name)(policy)(given, None)[:, 0, 0, 0] - 0.4
        assert -0.11 < delta.min() < 0 < 0.2 < delta.max() < 0.31, name
        assert len(delta.unique()) > 30, f"{name}: one draw for all"


def test_peers_mix_for_every_sample():
    policy = ae.Policy([ae.CenterCrop(32), ae.CutMix()])
    images = np.repeat(np.arange(0, 160, 10, dtype=np.uint8), 32 * 32 * 3).reshape(16, 32, 32, 3)
    made = peers.torchvision(policy)(list(torch.from_numpy(images).permute(0, 3, 1, 2)), None)
    values = [image.unique().mul(255).round().tolist() for image in made]
    assert all(10 * i in v or len(v) == 1 for i, v in enumerate(values))
    assert all(len(v) <= 2 for v in values)
    assert sum(len(v) == 2 for v in values) > 8


@pytest.mark.parametrize("name", ["torchvision", "albumentations", "kornia"])
def test_what_a_peer_lacks_is_refused(name):
    pytest.importorskip(name)
    for op in [ae.RandomQuarterTurn(), ae.RandomCrop(8, padding=2), ae.MixUp()]:
        with pytest.raises(peers.Untranslated, match=type(op).__name__):
            getattr(peers, name)(ae.Policy([ae.Resize((16, 16)), op]))


def test_the_parity_table_holds_what_was_measured():
    """One policy of it; `python -m benchmarks.parity` writes docs/parity.md."""
    from benchmarks import parity

    rows = [*parity.measured(only=("AugMix",))]
    assert {row[2] for row in rows} == set(parity.spaces.AUG_MIX)
    assert all(row[4] <= 2 and row[5] < 0.5 for row in rows)
    exact = {row[2] for row in rows if row[4] == 0}
    assert {"Equalize", "AutoContrast", "Posterize", "Solarize"} <= exact
    lines = parity.table(rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert len({len(line) for line in lines}) == 1
    reasons = [line for line, row in zip(lines[2:], rows, strict=True) if row[4]]
    assert all(line.rstrip(" |")[-1] not in "0123456789" for line in reasons)  # each has one
    written = (ROOT / "docs" / "parity.md").read_text("utf-8")
    assert all(f"| {name} " in written for name in parity.spaces.TIMM)


# On a GPU: what needs none


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import gpu

    return gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_cuda_device_there_are_no_numbers():
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "there is no CUDA device here" in done.stdout


def test_a_figure_stands_beside_what_was_asked_for(on_gpu, tmp_path, capsys):
    timing = Timing((2e-4, 4e-4, 9e-4))
    rows = [
        on_gpu.row("kernels", timing, "ms", 1e3, target=0.2, note="slow"),
        on_gpu.row("host", timing, "ms", 1e3, target=0.4),
        on_gpu.Row("kornia", float("nan"), "ms", note="failed: no such op"),
    ]
    about = {"card": "a card", "date": "2026-01-01"}
    on_gpu.write(tmp_path / "gpu.md", about, "Batch 256.", {"Time": rows})
    text = (tmp_path / "gpu.md").read_text("utf-8")
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()]
    missed = ["kernels", "0.4", "ms", "44 %", "3", "0.2", "missed, 2.00× as much", "slow"]
    assert missed in lines
    assert ["host", "0.4", "ms", "44 %", "3", "0.4", "reached", ""] in lines
    content = json.loads((tmp_path / "gpu.json").read_text("utf-8"))
    assert [r["value"] for r in content["sections"]["Time"]] == [pytest.approx(0.4)] * 2 + [None]
    on_gpu.show("Time", rows)
    assert "missed, 2.00× as much" in capsys.readouterr().out


def test_a_section_that_fails_or_runs_late_says_so(on_gpu):
    def section():
        yield on_gpu.Row("first", 1.0, "ms")
        raise RuntimeError("out of memory")

    rows = on_gpu.collected("Peers", section(), until=float("inf"))
    assert [r.name for r in rows] == ["first", "Peers"]
    assert rows[1].note == "failed: out of memory"
    rows = on_gpu.collected("Peers", section(), until=0.0)
    assert [r.note for r in rows] == ["", "left out: the time is up"]


def test_the_floor_of_what_is_measured_on_a_gpu(on_gpu):
    plan = on_gpu.planned(on_gpu.POLICIES[on_gpu.CROP], batch=2)
    assert plan.shape == (2, 3, 224, 224)
    assert plan.finish.dtype == "bfloat16"
    # A copy of a GiB in a second moves two.
    floor = on_gpu.floor_of(plan, Timing((1.0,)))
    assert floor == measure.floor_bytes(plan) / 2**31
    assert 2 * 3 * 224 * 224 * 2 / 2**31 < floor < 2 * 3 * (224 * 224 * 2 + 256 * 256) / 2**31


def test_fresh_plans_are_compared_with_float64(on_gpu, monkeypatch):
    from benchmarks import gpu_check

    cpu = torch.device("cpu")
    found = gpu_check.errors_of_fresh_plans(cpu, "cpu", seed=1, count=6)
    assert len(found) == len(gpu_check.CASES)
    assert all(f.within for f in found), [f.row(on_gpu.Row) for f in found]

    right = ae.execute

    def wrong(plan, sources, *, out, executor):
        made = right(plan, sources, executor=executor)
        made[:, :, 1:] += 1 if out.dtype == torch.uint8 else 0.05
        out[..., 1:] = made[..., 1:]  # and a column that is not written
        return out

    monkeypatch.setattr(ae, "execute", wrong)
    found = gpu_check.errors_of_fresh_plans(cpu, "cpu", seed=1, count=6)
    assert not any(f.within for f in found)
    assert all(f.unwritten > 0 and f.share > 0.1 for f in found[:1])
