"""The documentation site: what is made when it is built, of every operation and preset; the tables on porting.

`make docs` builds the site strictly and looks it through; here are its parts, without a build."""

import importlib
import itertools
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import augengine as ae

ROOT = Path(__file__).resolve().parent.parent
NAMES = [name for name in ae.ops.__all__ if name != "Op"]


@pytest.fixture(scope="module")
def site():
    """The modules of docs/site and docs, by name."""
    folders = [str(ROOT / "docs" / "site"), str(ROOT / "docs")]
    sys.path[:0] = folders
    yield importlib.import_module
    for folder in folders:
        sys.path.remove(folder)


def nav():
    """The pages of mkdocs.yml's nav; the tags of its extensions are read as nothing."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    waiting = list(yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Loader)["nav"])
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        else:
            yield one


def test_every_written_page_is_in_the_nav():
    """A page that nobody can find is none; `make docs` finds the reverse."""
    written = {
        page.relative_to(ROOT / "docs").as_posix()
        for page in (ROOT / "docs").glob("**/*.md")
        if "notebooks" not in page.parts
    }
    assert len(written) > 40
    assert written <= set(nav())


def test_every_op_and_every_preset_has_a_page(site):
    pages = dict.fromkeys(page for _, page in site("op_pages").pages())
    assert pages.keys() == {"ops/index.md", *(f"ops/{name}.md" for name in NAMES)}
    presets = {page for _, page in site("preset_pages").pages()}
    functions = [name for name in ae.presets.__all__ if callable(getattr(ae.presets, name))]
    assert presets == {"presets/index.md", *(f"presets/{name}.md" for name in functions)}
    assert len(functions) > 12


def test_every_public_name_is_in_the_reference(site):
    listed = {name for names in site("reference").rooms().values() for name in names}
    assert listed | set(NAMES) | {"ops", "presets"} == set(ae.__all__)
    assert "More" not in site("reference").rooms()  # a new name gets a room


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_every_argument_with_its_range_unit_and_text(site, name):
    table = site("facts").arguments_table(name)
    lines = table.splitlines()[2:]
    arguments = {line.split("`")[1]: line for line in lines}
    kind = getattr(ae, name)
    assert arguments.keys() == set(kind.__dataclass_fields__) - {
        part for part, field in kind.__dataclass_fields__.items() if not field.init
    } or arguments.keys() >= {p for p in ("stratify",) if p in kind.__dataclass_fields__}
    for line in lines:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == 6
        assert cells[-1], line  # what it is
    if name == "RandomRotation":
        assert "| degrees |" in arguments["degrees"]
    if name == "CutMix":
        assert "in [0, 1]" in arguments["p"]


@pytest.mark.parametrize("name", ["RandomRotation", "RandomBrightness", "CutMix"])
def test_pictures_grow_from_nothing_to_what_the_op_says(site, name):
    """What the captions say is drawn: strength 0 leaves the photograph, 1 is what an engine gives."""
    pictures = site("pictures")
    what, shown = pictures.pictures(name)
    assert "strengths" in what
    assert [picture.heading for picture in shown] == ["0", "¼", "½", "¾", "1"]
    photograph = pictures.photographs()[0]
    assert np.array_equal(shown[0].pixels, photograph)
    changed = [np.abs(p.pixels.astype(float) - photograph).mean() for p in shown]
    assert all(b > a for a, b in itertools.pairwise(changed)), changed
    key = int(re.search(r"id (\d+)", what)[1])
    images = list(pictures.photographs() if name == "CutMix" else [photograph])
    ids = [key, *range(1000, 999 + len(images))]
    engine = ae.Engine(ae.Policy(pictures.example(name)), seed=0, dtype=torch.uint8)
    batch = engine(images, ids=ids, epoch=0)
    drawn = batch.images[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(drawn - shown[-1].pixels).max() <= 1
    assert batch.plan.explain(0) == shown[-1].caption


def test_what_a_page_says_of_targets(site):
    pages = site("op_pages")
    expected = {
        "RandomRotation": pages.MOVED,
        "RandomResizedCrop": pages.MOVED,
        "RandomHorizontalFlip": pages.MOVED,
        "ColorJitter": pages.STAY,
        "GaussianBlur": pages.STAY,
        "JPEG": pages.STAY,
        "CutMix": pages.MIXED,
        "Mosaic": pages.MIXED,
        "RandomErasing": pages.ERASED,
        "Cutout": pages.ERASED,
    }
    for name, words in expected.items():
        assert pages.targets(name) == words, name
    assert "refused" in pages.targets("ElasticTransform")


def test_costs_are_of_the_ops_that_are_there():
    """A measurement that was committed, with its machine: each op has a time or a reason."""
    result = json.loads((ROOT / "benchmarks/results/ops.json").read_text("utf-8"))
    assert result["ops"].keys() | result["left_out"].keys() == set(NAMES)
    assert not result["ops"].keys() & result["left_out"].keys()
    assert result["machine"]["cpu"] in result["conditions"]
    for name, cost in result["ops"].items():
        assert cost["op"].startswith(f"{name}("), name
        assert cost["spread"] <= max(15, 0.15 * abs(cost["us"])), f"{name}: measure it again"


# Links


def test_links_out_of_docs_lead_to_copies_in_the_site(site):
    links = site("links")
    said = (
        "[a](../augengine/policy/draft.py) [b](../README.md) [c](loading.md#x) [d](https://x.y/z)"
    )
    assert links.rewritten(said, "model.md") == (
        "[a](source/augengine/policy/draft.py.md) [b](index.md) [c](loading.md#x) [d](https://x.y/z)"
    )
    there = "[a](docs/loading.md) [b](augengine/policy)"
    assert links.rewritten(there, "project/CONTRIBUTING.md") == (
        "[a](../loading.md) [b](../source/augengine/policy.md)"
    )


def test_names_of_operations_lead_to_their_pages(site):
    rewritten = site("links").rewritten
    assert rewritten("Use `RandomRotation(9)`.", "a.md") == (
        "Use [`RandomRotation(9)`](ops/RandomRotation.md)."
    )
    for left in ("# `CutMix`", "```python\n`CutMix`\n```", "[`CutMix`](b.md)", "`Engine`"):
        assert rewritten(left, "a.md") == left
    assert rewritten("`ae.CutMix()`", "porting/a.md") == "[`ae.CutMix()`](../ops/CutMix.md)"


def test_the_check_of_the_site_finds_what_is_fetched_from_elsewhere(site, tmp_path):
    check = site("check")
    page = tmp_path / "a.html"
    (tmp_path / "b.png").touch()
    right = '<a href="https://x.y">x</a><img src="b.png"><link rel="canonical" href="https://x.y">'
    assert check.problems_of_fetches(page, check.Read(right)) == []
    for wrong in (
        '<script src="https://x.y/z.js"></script>',
        '<link rel="stylesheet" href="//x.y/z.css">',
        '<img src="http://x.y/z.png">',
        '<p style="background: url(https://x.y/z.png)">',
        '<img src="c.png">',
    ):
        assert len(check.problems_of_fetches(page, check.Read(right + wrong))) == 1, wrong


def test_the_check_of_the_site_finds_links_that_lead_nowhere(site, tmp_path):
    check = site("check")
    for name in ("a.html", "b.html"):
        (tmp_path / name).touch()
    first, second = (tmp_path / name for name in ("a.html", "b.html"))
    pages = {second: check.Read('<h2 id="here">')}
    for link, wrong in {"b.html#here": 0, "b.html": 0, "b.html#there": 1, "c.html": 1}.items():
        pages[first] = check.Read(f'<a href="{link}">')
        assert len(check.problems_of_links(first, pages[first], pages)) == wrong, link


# Porting


def written_by_hand(library):
    """(class, our code) of a page's table."""
    text = (ROOT / f"docs/porting/{library}.md").read_text("utf-8")
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[1].startswith("`"):
            yield cells[0], cells[1], cells[2]


@pytest.mark.parametrize("library", ["torchvision", "albumentations", "kornia", "timm", "dali"])
def test_what_a_page_on_porting_writes_can_be_made(library):
    """Each piece of code makes operations of ours, with arguments that they take."""
    names = {name: getattr(ae, name) for name in ae.__all__}
    names |= {"module": torch.nn.Identity(), "function": abs, "size": 32, "Folder": str}
    made = 0
    for theirs, code, state in written_by_hand(library):
        assert state in ("same", "near", "by hand"), theirs
        for one in re.findall(r"`([^`]+)`", code):
            assert eval(one, dict(names)) is not None, f"{theirs}: {one}"
            made += 1
    assert made > 10


@pytest.mark.thorough
@pytest.mark.parametrize("library", ["torchvision", "albumentations", "kornia", "timm"])
def test_the_tables_on_porting_are_those_of_the_converters(site, library):
    porting = site("porting")
    text = (ROOT / f"docs/porting/{library}.md").read_text("utf-8")
    assert text == porting.filled(text, library), f"run python docs/porting.py {library}"


def test_converters_read_no_class_that_a_table_calls_missing(site):
    """From outside: what CONVERSIONS has is read, or the table gives the reason."""
    from augengine.recipes.torchvision_steps import CONVERSIONS

    rows = {
        row[0].strip("`"): row for row in map(list, site("facts").rows_of("porting/torchvision.md"))
    }
    for name in CONVERSIONS.keys() & rows.keys():
        assert rows[name][2] != "missing" or rows[name][3], name


# llms.txt


def test_the_first_sentence_is_prose(site):
    first = site("llms").first_sentence
    text = "# Title\n\n![a](b.png)\n\n| a |\n|---|\n\nOne [link](c.md) is here. Two.\n"
    assert first(text) == "One link is here."


# Notebooks


def test_a_notebook_becomes_a_page_with_its_outputs(site, tmp_path, monkeypatch):
    notebooks = site("notebooks")
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    folder = tmp_path / "docs" / "notebooks"
    folder.mkdir(parents=True)
    png = "iVBORw0KGgo="
    outputs = [{"text": ["one\n", "two\n"]}, {"data": {"image/png": png, "text/plain": "<Figure>"}}]
    cells = [
        {"cell_type": "markdown", "source": ["# First\n", "\n", "Words."]},
        {"cell_type": "code", "source": ["print('one')"], "outputs": outputs},
    ]
    (folder / "1-a.ipynb").write_text(json.dumps({"cells": cells}), "utf-8")
    assert notebooks.pages() == [("First", "notebooks/1-a.md")]
    made = notebooks.files()
    assert made["notebooks/1-a-1-1.png"].startswith(b"\x89PNG")
    page = made["notebooks/1-a.md"]
    for part in (
        "# First",
        "```python\nprint('one')\n```",
        "```text\none\ntwo\n```",
        "](1-a-1-1.png)",
    ):
        assert part in page
    assert "<Figure>" not in page
    assert site("links").in_site("docs/notebooks/1-a.ipynb") == "notebooks/1-a.md"
    assert (
        site("links").in_site("docs/gpu.ipynb") == "gpu.ipynb"
    )  # it is run elsewhere, and has no page
