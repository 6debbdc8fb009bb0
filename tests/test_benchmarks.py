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


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


def run_benchmarks(folder, *arguments):
    """Two crops, one round: (the process, what it wrote)."""
    command = [sys.executable, "-m", "benchmarks", "--batch", "2", "--rounds", "1"]
    command += ["--output", str(folder), *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    # 1: a single round on a busy machine may have no result.
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done, json.loads((folder / "cpu.json").read_text("utf-8"))


def test_some_rows_with_tables_and_pictures(tmp_path):
    only = ["--only", "one op: (crop|grey)|growth: channels 4"]
    only += ["--peers", "torchvision v2,albumentations,kornia,no such library"]
    done, result = run_benchmarks(tmp_path, *only)
    assert result["about"]["heap"] == "reused"
    assert {"torch", "numba"} <= set(result["about"]["versions"])
    assert [row["name"] for row in result["rows"]] == ["crop + flip", "grey", "4"]
    for row in result["rows"][:2]:
        assert {"augengine", "torchvision v2", "kornia"} <= set(row["contenders"])
        assert (row["batch"], row["outputs"]) == (2, 16)  # a round draws 16 images at least
        assert row["floor"] > 0
        for found in row["contenders"].values():
            assert min(found["seconds"]) > 0
            assert len(found["ours"]) == 1
    assert "µs an image" in done.stdout
    for name in ("cpu.md", "cpu-one-op.png", "cpu-one-op.svg", "cpu-growth.png"):
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.thorough
def test_every_benchmark_runs(tmp_path):
    """But for what takes long for what it says here: files, starting, and large photographs."""
    some = "^(one op|recipes: (SimCLR|CIFAR)|real sizes: 300–640: eval|shapes|growth: threads)"
    _, result = run_benchmarks(tmp_path, "--only", some)
    regimes = {row["regime"] for row in result["rows"]}
    assert regimes == {"one op", "recipes", "real sizes", "shapes", "growth: threads"}
    for row in result["rows"]:
        assert "augengine" in row["contenders"], row["name"]
        failed = {name for name, why in row["left_out"].items() if why.startswith("failed")}
        # variopinta says of channels that it has not when it is called.
        assert failed <= {"variopinta", "variopinta, HWC"}, (row["name"], row["left_out"])


@pytest.mark.thorough
def test_from_files_through_workers(tmp_path, monkeypatch):
    from benchmarks import files

    monkeypatch.setitem(files.SIZES, "500×375", ((375, 500), 64))
    row = files.measured("500×375", rounds=1, only=["torchvision v2", "timm", "DALI, CPU"])
    assert set(row["contenders"]) == {"augengine", "decoding alone", "torchvision v2", "timm"}
    assert row["left_out"]["DALI, CPU"] == "has a reader of its own instead of workers"
    assert row["outputs"] == 64


def test_a_peer_that_is_missing_is_said(monkeypatch):
    from benchmarks import contenders, workloads

    def missing(policy, image_dtype):
        raise ImportError("No module named 'kornia'")

    monkeypatch.setitem(peers.PEERS, "kornia", peers.Peer(missing, "kornia"))
    row = next(workloads.rows())
    found = contenders.field_of(row, 2, only=["kornia"])
    assert set(found.works) == {"augengine"}
    assert found.left_out == {"kornia": "not installed (pip install 'kornia')"}


def test_no_number_on_red(monkeypatch):
    """A difference from torchvision stops a row before it is measured."""
    from benchmarks import contenders, workloads

    right = ae.Engine.__call__

    def wrong(self, *arguments, **options):
        batch = right(self, *arguments, **options)
        batch.images.add_(0.1)
        return batch

    row = next(workloads.rows())
    only = ["torchvision v2"]
    assert contenders.field_of(row, 2, only).notes["torchvision v2"] == []
    monkeypatch.setattr(ae.Engine, "__call__", wrong)
    said = r"crop \+ flip: \d+\.\d+/255 from torchvision v2"
    with pytest.raises(contenders.WrongPixels, match=said):
        contenders.field_of(row, 2, only)


def row_of(**contenders):
    """A row of a result, of 10 images a round and a floor of half a second."""
    return {
        "regime": "recipes", "name": "p", "batch": 10, "outputs": 10, "floor": 0.5, "added_to": None,
        "left_out": {"other": "not installed"}, "contenders": contenders,
    }  # fmt: skip


def found(seconds, ours, spread=0.1, notes=()):
    return {
        "seconds": seconds, "ours": ours, "spread": spread, "steady": spread <= 0.15, "notes": [*notes],
    }  # fmt: skip


ABOUT = {
    "cpu": "a CPU", "system": "Linux", "versions": {"torch": "2"}, "heap": "reused",
    "date": "2026-01-01", "command": "python -m benchmarks", "minutes": 9,
}  # fmt: skip


def cells_of(text, name):
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_report_says_ratios_of_medians_and_who_is_faster():
    from benchmarks import report

    row = row_of(
        augengine=found([1, 2, 2], [1, 2, 2]),
        slower=found([3, 4, 4.4], [1, 2, 2]),
        faster=found([1, 1, 1], [2, 2, 2], notes=["less work"]),
        busy=found([1, 2, 9], [2, 2, 2], spread=6.41),
    )
    base = row | {"name": "base", "contenders": {"augengine": found([1, 1, 1], [1, 1, 1])}}
    rows = [base, row | {"added_to": "base"}]
    text = report.markdown({"about": ABOUT, "rows": rows})
    # 2 s for 10 images; slower by 4 s against 2; four floors; one second more than the base.
    assert cells_of(text, "p") == [
        "p", "200,000 +100,000", "400,000 (2.0)", "100,000 (**0.50**) [1]", "–? (±641 %)", "4.0", "10",
        "10 %",
    ]  # fmt: skip
    assert "- recipes, p: faster takes 0.50 × our time (less work)" in text
    assert "1. less work" in text
    assert "- other: not installed (base, p)" in text
    assert report.refusals({"rows": rows})[0] == "recipes, p, busy: spread 641 %"
    assert not report.refusals({"rows": rows[:1]})
    assert "No peer is faster" in report.markdown({"about": ABOUT, "rows": rows[:1]})


def test_an_op_that_adds_less_is_marked_though_the_whole_takes_longer():
    from benchmarks import report

    base = row_of(augengine=found([1e-3], [1e-3]), kornia=found([5e-3], [1e-3]))
    more = row_of(augengine=found([3e-3], [3e-3]), kornia=found([6e-3], [3e-3]))
    rows = [base | {"name": "base"}, more | {"added_to": "base"}]
    assert report.faster(rows[1]) == []
    text = report.markdown({"about": ABOUT, "rows": rows})
    assert cells_of(text, "p")[1:3] == ["300 +200", "600 **+100** (2.0)"]
    assert "- recipes, p: kornia adds 100 µs an image, ours 200" in text


def test_the_pages_are_filled_between_their_comments(tmp_path):
    from benchmarks import pages

    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/speed.md"):
        (tmp_path / page).write_text((ROOT / page).read_text("utf-8"), "utf-8")
    rows = [
        row_of(
            augengine=found([1e-3], [1e-3]),
            augrs=found([5e-4], [1e-3], notes=["does not antialias"]),
            kornia=found([12e-3], [1e-3]),
            albumentations=found([1e-3], [1e-3], spread=0.5),
        )
        | {"name": "crop + flip, antialiased"}
    ]
    for _ in range(2):  # what is filled can be filled again
        pages.fill({"about": ABOUT, "rows": rows}, tmp_path)
    readme = (tmp_path / "README.md").read_text("utf-8")
    said = cells_of(readme, "crop + flip")
    assert said == ["crop + flip", "**10,000**", "augrs 20,000 (0.5×)", ""]
    lost = "in 1 of 1 rows some library is faster; crop + flip, antialiased (100 µs an image; 50 by augrs)."
    assert f"**Where it is slower**: {lost}" in readme
    assert "](benchmarks/results/cpu-short.png)" in readme
    speed = (tmp_path / "docs/speed.md").read_text("utf-8")
    assert "augrs takes 0.50 × our time (does not antialias)" in speed
    assert "](../benchmarks/results/cpu-growth.png)" in speed
    assert cells_of(speed, "**augengine**") == ["**augengine**", "**10,000**"]
    assert cells_of(speed, "kornia") == ["kornia", "833 (12×)"]
    assert cells_of(speed, "albumentations") == ["albumentations", "–?"]
    before, after = (ROOT / "README.md").read_text("utf-8").split(pages.END)
    assert readme.endswith(after)
    assert readme.startswith(before.split(pages.BEGIN)[0])
    with pytest.raises(ValueError, match="0 times"):
        pages.filled("# A page without", "text")


def test_the_pages_say_what_the_committed_result_says(tmp_path):
    """A result that was cut short, or one without its pages, is not what is published."""
    from benchmarks import pages

    (tmp_path / "docs").mkdir()
    names = ("README.md", "docs/speed.md")
    for name in names:
        (tmp_path / name).write_text((pages.ROOT / name).read_text("utf-8"), "utf-8")
    pages.fill(json.loads(pages.RESULT.read_text("utf-8")), tmp_path)
    for name in names:
        assert (tmp_path / name).read_text("utf-8") == (pages.ROOT / name).read_text("utf-8"), name


@pytest.fixture
def clock(monkeypatch):
    """clock(seconds, …): what each timed call takes, in order; the calls that were not yet made."""

    def set_to(*seconds):
        left = list(seconds)
        monkeypatch.setattr(measure, "timed", lambda work: left.pop(0))
        return left

    return set_to


def test_a_busy_race_is_run_again_and_the_steadiest_counts(clock):
    from augengine.demo.race import ATTEMPTS, WARM_UP, race

    warm = [0.2] * WARM_UP
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
    left = clock(*warm, *warm, *rounds, *warm, *warm, *[1.0] * 2 * 3, *never)
    assert race({"peer": None, "work": None}, rounds=3)["peer"].seconds == (1, 1, 1)
    assert left == never


def test_only_the_unsteady_race_again_beside_ours(clock):
    from augengine.demo.race import OURS, WARM_UP, beside

    contenders = {OURS: None, "calm": None, "busy": None}
    first = [0.1, 0.1, 0.1] * WARM_UP + [2.0, 3.0, 4.0, 2.0, 3.0, 5.0, 2.0, 3.0, 9.0]
    again = [0.1, 0.1] * WARM_UP + [5.0, 6.0] * 3
    left = clock(*first, *again, 7.0)
    result = beside(contenders, rounds=3)
    assert left == [7.0], "a steady race is the last"
    assert result["calm"].theirs.seconds == (3, 3, 3)
    assert result["calm"].ours.seconds == (2, 2, 2)
    assert result["busy"].theirs.seconds == (6, 6, 6)
    assert result["busy"].ours.seconds == (5, 5, 5)


def test_a_slow_contender_has_fewer_rounds(clock):
    from augengine.demo.race import FEWEST, SLOW, WARM_UP, race

    rounds = FEWEST + 2
    both = [0.1, SLOW + 1]
    left = clock(*both, *[0.1] * (WARM_UP - 1), *both * FEWEST, *[0.1] * 2, 9.0)
    times = race({"quick": None, "slow": None}, rounds)
    assert left == [9.0]
    assert len(times["quick"]) == rounds
    assert len(times["slow"]) == FEWEST


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
    # A stronger shrink would be drawn by way of an upright picture, of which more is looked at.
    plan = plan_of(ae.RandomRotation((angle, angle)), ae.Resize((15, 20)))
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
    "flip": [ae.CenterCrop(32), ae.RandomHorizontalFlip(1)],
    "vertical": [ae.CenterCrop(32), ae.RandomVerticalFlip(1)],
    "brightness": [ae.CenterCrop(32), ae.RandomBrightness((0.2, 0.2))],
    "affine": [ae.RandomAffine(**AFFINE), ae.CenterCrop(20)],
    "rotation": [ae.RandomRotation((20, 20)), ae.CenterCrop(20)],
    "whole crop": [ae.RandomResizedCrop(48, scale=(1, 1), ratio=(1, 1))],
    "shorter edge": [ae.Resize(40, antialias=False), ae.CenterCrop(32)],
    "bicubic": [ae.Resize((60, 60), interpolation="bicubic")],
    "contrast": [ae.CenterCrop(32), ae.ColorJitter(contrast=(0.7, 0.7))],
    "saturation": [ae.CenterCrop(32), ae.RandomApply([ae.ColorJitter(saturation=(0.5, 0.5))], 1)],
    "hue": [ae.CenterCrop(32), ae.ColorJitter(hue=(0.1, 0.1))],
    "grey": [ae.CenterCrop(32), ae.RandomGrayscale(1)],
    "blur": [ae.CenterCrop(32), ae.GaussianBlur(9, (1.5, 1.5))],
    "blur without taps": [ae.CenterCrop(32), ae.GaussianBlur(sigma=(1, 1))],
    "sharpness": [ae.CenterCrop(32), ae.RandomAdjustSharpness(1.5, 1)],
    "solarize": [ae.CenterCrop(32), ae.RandomSolarize("#80", 1)],
    "gamma": [ae.CenterCrop(32), ae.RandomGamma((1.4, 1.4))],
}
# Who has which is written down, so that a translation that is lost is noticed.
LACKED = {
    "variopinta": {"shorter edge", "bicubic", "gamma"},
    "augrs": {"sharpness", "solarize"},
    "albumentations": set(),
    "torchvision v2": set(),
    "torchvision v2, PIL": set(),
    "torchtransform": set(),
    "kornia": set(),
    "timm": {*CERTAIN} - {"shorter edge", "whole crop"},
    "DALI, CPU": {"sharpness", "solarize", "gamma"},
}
# Where a library means something else, by its notes or its documentation; torchtransform's cubic has black
# beyond the edge.
OTHERWISE = {
    ("variopinta", "brightness"), ("torchtransform", "brightness"), ("variopinta", "sharpness"),
    ("albumentations", "sharpness"), ("torchtransform", "sharpness"), ("DALI, CPU", "contrast"),
    ("torchtransform", "hue"), ("DALI, CPU", "hue"), ("torchtransform", "bicubic"),
}  # fmt: skip


@pytest.fixture(scope="module")
def smooth():
    """uint8 (2, 48, 48, 3) without fine detail, on which all bilinear filters agree."""
    y, x = np.mgrid[:48, :48] / 48
    planes = [np.sin(3 * x + y), np.cos(2 * y - x), np.sin(x * y * 4)]
    image = np.stack([127 + 90 * plane for plane in planes], axis=-1)
    return np.stack([image, image[:, ::-1]]).astype(np.uint8)


def translated(name, policy):
    """The policy in a library that is installed."""
    try:
        return peers.PEERS[name].translate(policy)
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", LACKED)
@pytest.mark.parametrize("case", CERTAIN)
def test_a_peer_means_what_the_policy_means(name, case, smooth):
    policy = ae.Policy([*CERTAIN[case], ae.Normalize(MEAN, STD)])
    if case in LACKED[name]:
        with pytest.raises(peers.Untranslated):
            translated(name, policy)
        return
    work = translated(name, policy)
    ours = ae.Engine(policy)(smooth, ids=[0, 1]).images
    out = torch.empty(ours.shape)
    made = work(peers.given(list(smooth), work.takes), out)
    assert made.data_ptr() == out.data_ptr()
    torch.testing.assert_close(work(peers.given(list(smooth), work.takes), None), made)
    error = (made - ours).abs() * torch.tensor(STD).view(3, 1, 1)
    if (name, case) in OTHERWISE:
        assert error.max() < 80 / 255
        return
    # Most round to bytes in between; kornia and DALI turn about another point, half a pixel away; PIL
    # and timm blur and shrink by filters of their own.
    near = {"kornia": 8, "DALI, CPU": 6, "torchvision v2, PIL": 5, "timm": 5}
    assert error.max() < near.get(name, 4) / 255
    assert error.mean() < 1.6 / 255


def test_a_peer_draws_within_the_ranges():
    """Brightness of a grey image tells what was drawn."""
    policy = ae.Policy([ae.CenterCrop(8), ae.RandomBrightness((-0.1, 0.3))])
    grey = np.full((64, 8, 8, 3), 102, np.uint8)  # 0.4
    for name in ("torchvision v2", "albumentations", "augrs", "kornia", "DALI, CPU"):
        work = translated(name, policy)
        delta = work(peers.given(list(grey), work.takes), None)[:, 0, 0, 0] - 0.4
        assert -0.11 < delta.min() < 0 < 0.2 < delta.max() < 0.31, name
        assert len(delta.unique()) > 30, f"{name}: one draw for all"


@pytest.mark.parametrize("name", LACKED)
def test_a_peer_draws_another_crop_for_every_sample(name):
    ops = [ae.RandomResizedCrop(16, antialias=False), ae.RandomHorizontalFlip()]
    work = translated(name, ae.Policy([*ops, ae.Normalize(MEAN, STD)]))
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    made = work(peers.given([image] * 12, work.takes), None)
    assert len({tensor.numpy().tobytes() for tensor in made}) == 12


@pytest.mark.parametrize("name", LACKED)
def test_a_peer_takes_images_of_any_sizes(name):
    ops = [ae.RandomResizedCrop(16, antialias=False), ae.Normalize(MEAN, STD)]
    work = translated(name, ae.Policy(ops))
    images = [np.full((20 + 3 * i, 30, 3), 51, np.uint8) for i in range(4)]
    made = work(peers.given(images, work.takes), None)
    expected = (0.2 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(made, expected.view(3, 1, 1).expand(4, 3, 16, 16), atol=2e-2, rtol=0)


def test_peers_mix_for_every_sample():
    policy = ae.Policy([ae.CenterCrop(32), ae.CutMix()])
    images = np.repeat(np.arange(0, 160, 10, dtype=np.uint8), 32 * 32 * 3).reshape(16, 32, 32, 3)
    made = peers.torchvision(policy)(list(torch.from_numpy(images).permute(0, 3, 1, 2)), None)
    values = [image.unique().mul(255).round().tolist() for image in made]
    assert all(10 * i in v or len(v) == 1 for i, v in enumerate(values))
    assert all(len(v) <= 2 for v in values)
    assert sum(len(v) == 2 for v in values) > 8


@pytest.mark.parametrize("name", [*LACKED, "variopinta, HWC"])
def test_what_a_peer_lacks_is_refused(name):
    for op in [
        ae.RandomQuarterTurn(),
        ae.RandomCrop(8, padding=2, padding_mode="edge"),
        ae.MixUp(),
    ]:
        with pytest.raises(peers.Untranslated, match=f"{type(op).__name__}|begins with a crop"):
            translated(name, ae.Policy([ae.Resize((16, 16)), op]))


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
