"""README and docs as they stand: each page's Python runs, and each link leads to a file."""

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from encoded import encode, scene
from PIL import Image
from torch.utils.data import DataLoader

import augengine as ae
from augengine.cli import app
from augengine.pipelines import finetune

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text("utf-8")
    for page in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("**/*.md"))]
}
BLOCKS = {
    name: re.findall(r"^```python\n(.*?)^```", text, re.S | re.M) for name, text in PAGES.items()
}
SIZES = [(40, 50), (30, 30), (64, 41), (50, 80)]


def sample(i):
    height, width = SIZES[i % len(SIZES)]
    return np.full((height, width, 3), 10 * (i % 20), np.uint8), i % 10


@pytest.fixture
def names():
    """What the pages' Python finds: a data set, and eight samples of it as a batch."""
    images, labels = map(list, zip(*map(sample, range(8)), strict=True))
    return {
        "dataset": [sample(i) for i in range(70)],
        "images": images,
        "labels": labels,
        "ids": np.arange(8),
    }


def run(page, names):
    for block in BLOCKS[page]:
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize(
    "classes", [("cat", "dog"), ()], ids=["class folders", "photographs alone"]
)
def test_the_readme(classes, tmp_path, monkeypatch, capsys):
    """Copied into an empty folder beside one's own pictures, with nothing that the page does not name."""
    monkeypatch.chdir(tmp_path)
    for i in range(70):
        path = Path("my/pictures", *classes[i % 2 : i % 2 + 1], f"{i}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample(i)[0]).save(path)
    Path("photograph.jpg").write_bytes(encode(scene(40, 50)))
    if classes:  # what its commands train, by a smaller model
        settings = {"model": "digitnet_8", "size": 8, "epochs": 1, "cpu": True}
        finetune.run(finetune.Finetune(data="my/pictures", output="runs/student", **settings))
    capsys.readouterr()
    names: dict = {}
    blocks = BLOCKS["README.md"]
    assert "load_model" in blocks[-1]
    for block in blocks if classes else blocks[:-1]:
        exec(compile(block, "README.md", "exec"), names)
    said = capsys.readouterr().out.splitlines()
    labels = [f"torch.Size([{n}, 2])" if classes else "None" for n in (64, 6)]
    assert said[:4] == [
        f"{epoch} torch.Size([{n}, 3, 224, 224]) {label}"
        for epoch in range(2)
        for n, label in zip((64, 6), labels, strict=True)
    ]
    if classes:
        torch.testing.assert_close(names["labels"].sum(1), torch.ones(6))
        assert re.fullmatch(r"(cat|dog): \d+%", said[-1])
    # What the page says that the plan says.
    told = re.search(r"plan\.explain\(0\)\)\n((?:# .*\n)+)", PAGES["README.md"])[1]
    assert said[4] == " ".join(line[2:] for line in told.splitlines())
    assert isinstance(names["policy"], ae.Policy)


def test_loading(names):
    run("docs/loading.md", names)
    assert names["batch"].labels.shape == (8, 10)
    torch.testing.assert_close(names["batch"].labels.sum(1), torch.ones(8))
    assert names["pixels"].shape == (8, 3, 64, 64)
    assert isinstance(names["loader"], ae.DeviceLoader)
    assert [len(names[name]) for name in ("first_two", "both")] == [2, 10]
    assert len(names["batch"].plan.ids) == 12  # with the partners


def test_cache(names):
    run("docs/cache.md", names)
    assert names["images"].shape[1:] == (3, 64, 64)
    assert [len(names["cached"]), names["labels"].shape[1]] == [70, 10]


def test_tuning(names, capsys):
    run("docs/tuning.md", names)
    result = names["result"]
    assert len(result.table) == 11
    assert "keep" in capsys.readouterr().out or result.better
    assert names["policy"] == result.arm.scaled


def test_policies(names):
    run("docs/policies.md", names)
    assert [len(names["crops"]), names["weak"].images.shape[-1]] == [6, 32]
    assert names["engine"].strength(0, np.arange(3)).tolist() == [1, 1 / 2, 1 / 3]
    assert len(names["found"]) == 8
    assert names["boxes"].shape == (8, 4)
    assert names["video"].images.shape == (4, 6, 3, 32, 32)
    assert len(names["frames"]) == 24
    assert names["masks"].shape == (8, 32, 32)
    assert names["batch"].images.shape == (8, 3, 16, 16)


def test_strength(names):
    run("docs/strength.md", names)
    assert names["batch"].images.shape == (8, 3, 28, 28)
    assert names["batch"].plan.strength.max() <= 0.4


def test_the_way_back(names):
    run("docs/way-back.md", names)
    assert names["on_originals"].shape == (2, 21, 60, 80)
    assert names["masks"].shape == names["crops"].shape == (2, 3, 64, 64)
    assert names["scores"].shape == (2, 3)


def test_targets(names):
    run("docs/targets.md", names)
    assert [sorted(one) for one in names["followed"]] == [
        sorted([*names["targets"][0], "dropped"])
    ] * 2
    assert names["padded"]["boxes"].shape == (2, 5, 4)
    assert len(names["placed"][0].boxes) == len(names["points"][0].keypoints) == 1
    assert names["drawn"].shape == (2, 64, 64)
    assert len(names["outlines"][0].polygons) == 1


def test_compile_and_graphs(names):
    run("docs/compile-and-graphs.md", names)
    assert 0 < names["loss"] < 1


def test_files(names, tmp_path):
    path = tmp_path / "photograph.jpg"
    path.write_bytes(encode(scene(300, 400), orientation=6))
    names["dataset"] = [(str(path), 3)] * 4
    run("docs/files.md", names)
    assert names["images"].shape == (4, 3, 224, 224)


def test_doctor(names, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run("docs/doctor.md", names)
    assert (tmp_path / "doctor.png").exists()
    assert "The dataset gives pairs (image, label) without an id" in capsys.readouterr().out


def test_preview(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("docs/preview.md", names)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["look.png", "mine.yaml"]


def test_datasets(names, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        Path("my/pictures", name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sample(0)[0]).save(Path("my/pictures", name))
    steps = []
    steps_of = {
        "train_step": lambda *batch: steps.append(batch),
        "DataLoader": DataLoader,
        "ae": ae,
    }
    run("docs/datasets.md", {**names, **steps_of})
    assert [(tuple(images.shape), labels.tolist().count(0)) for images, labels in steps] == [
        ((3, 3, 224, 224), 2)
    ]
    assert "cat 2, dog 1" in capsys.readouterr().out


def test_index(names, tmp_path, monkeypatch, capsys):
    """The five minutes, from a folder of pictures on."""
    monkeypatch.chdir(tmp_path)
    for k in range(20):
        for name in ("cat", "dog"):
            Path("my/pictures", name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(sample(k)[0]).save(Path("my/pictures", name, f"{k}.png"))
    steps = []
    run("docs/index.md", {**names, "train_step": lambda *batch: steps.append(batch)})
    assert len(steps) == 4
    assert Image.open("batch.png").size == (896, 224)
    assert "torch.Size([32, 3, 224, 224]) torch.float32" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_reproducibility(names, capsys):
    """The hashes that the page prints are those that come."""
    with pytest.warns(UserWarning, match="no epoch was named"):
        run("docs/reproducibility.md", names)
    said = re.findall(r"print\(epoch\(.*# (\w{12})", PAGES["docs/reproducibility.md"])
    assert capsys.readouterr().out.split() == said
    assert [len(said), len(set(said))] == [6, 2]


def test_teacher_and_student(names):
    def net():
        return torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 10)
        )

    names |= {"teacher": net(), "student": net()}
    run("docs/teacher-student.md", names)
    assert names["loss"].isfinite()
    assert names["places"].shape == (8, 4)


def test_choosing(names):
    run("docs/choosing.md", names)
    assert isinstance(names["engine"].strength, ae.Uniform)


def test_gpu(names):
    run("docs/gpu.md", names)
    assert names["x"].shape == (6, 3, 64, 64)


def test_add_an_op(names, capsys):
    """The operation that the page writes is one: keyed, pulled by strength, followed by boxes."""
    run("docs/add-an-op.md", names)
    assert re.match(r"squeezed ×0\.\d\d, resized", capsys.readouterr().out)
    squeeze, box = names["RandomSqueeze"]((0.5, 0.5), 1), [[10.0, 10, 30, 20]]
    plan = ae.Policy([squeeze]).sample([0], [(40, 60)])
    np.testing.assert_allclose(np.asarray(ae.boxes(plan, [box])[0].boxes), [[20, 10, 30, 20]])
    still = ae.Policy([squeeze]).sample([0], [(40, 60)], strength=0.0)
    np.testing.assert_allclose(np.asarray(ae.boxes(still, [box])[0].boxes), box)
    with pytest.raises(ValueError, match="RandomSqueeze"):
        names["RandomSqueeze"]((0.0, 0.5))


@pytest.mark.parametrize("library", ["torchvision", "albumentations", "kornia", "timm", "dali"])
def test_porting(names, library):
    run(f"docs/porting/{library}.md", names)
    assert isinstance(names["policy"], ae.Policy)


def test_every_page_with_python_has_a_test():
    tested = {"README.md", "docs/loading.md", "docs/policies.md", "docs/way-back.md"}
    tested |= {"docs/strength.md"}
    tested |= {"docs/compile-and-graphs.md", "docs/targets.md"}
    tested |= {"docs/doctor.md", "docs/datasets.md", "docs/cache.md", "docs/files.md"}
    tested |= {"docs/preview.md"}
    tested |= {"docs/tuning.md", "docs/index.md", "docs/reproducibility.md", "docs/gpu.md"}
    tested |= {"docs/teacher-student.md", "docs/choosing.md", "docs/add-an-op.md"}
    tested |= {f"docs/porting/{library}.md" for library in ("torchvision", "albumentations")}
    tested |= {f"docs/porting/{library}.md" for library in ("kornia", "timm", "dali")}
    # Those of frameworks are run by tests/loops, with the frameworks.
    loops = {page for page in PAGES if page.startswith("docs/frameworks/")}
    loops.remove("docs/frameworks/index.md")
    assert {page for page, blocks in BLOCKS.items() if blocks} - loops == tested
    for page in loops:
        assert (ROOT / "tests" / "loops" / f"test_{Path(page).stem}.py").exists(), page


def test_the_drawings_can_be_drawn(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    drawings = importlib.import_module("drawings")
    monkeypatch.setattr(drawings, "FOLDER", tmp_path)
    monkeypatch.setattr(drawings, "DPI", 40)
    drawings.main()
    drawn = {picture.name for picture in tmp_path.iterdir()}
    assert len(drawn) == 4
    for name in drawn:
        assert (ROOT / "docs" / name).exists()
        assert name in PAGES["README.md"] + PAGES["docs/model.md"]


def test_commands_and_their_options_exist():
    found = [
        shlex.split(line, comments=True)
        for page in PAGES.values()
        for line in re.findall(r"^    (?:torchrun .* )?(augengine .*)$", page, re.M)
    ]
    assert len(found) > 8
    for words in found:
        command, options = typer.main.get_command(app), [w for w in words if w.startswith("--")]
        for name in words[1 : words.index(options[0]) if options else None]:
            command = command.get_command(None, name)
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(options) <= known, words


def test_make_knows_the_targets():
    named = {
        t for page in PAGES.values() for t in re.findall(r"(?:^    |`)make ([a-z-]+)", page, re.M)
    }
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert {"demo", "test", "test-all"} <= named <= set(targets)


def test_the_map_names_every_wing():
    wings = {path.name for path in (ROOT / "augengine").iterdir() if path.is_dir()}
    files = {path.name for path in (ROOT / "augengine").glob("[a-z]*.py")}
    for name in {f"{wing}/" for wing in wings - {"__pycache__"}} | files:
        assert name in PAGES["CONTRIBUTING.md"], (
            f"{name}: give it a place in the map of CONTRIBUTING.md"
        )


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    found = re.findall(r"\]\(([^)\s]+)\)", PAGES[page])
    for link in found:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M)
            anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{page}: {link}"
    assert page != "README.md" or len(found) > 10
