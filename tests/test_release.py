"""What a release is made of agrees: versions, addresses, the readme of an index, workflows with make."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import setuptools
import yaml

import augengine

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = sorted(file for file in GITHUB.glob("ISSUE_TEMPLATE/*.yml") if file.stem != "config")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


def read(file):
    return yaml.safe_load((ROOT / file).read_text("utf-8"))


def test_versions_agree():
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.findall(r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", changes, re.M)[0]
    said = {PROJECT["version"], augengine.__version__, read("CITATION.cff")["version"], newest}
    assert len(said) == 1, said


def test_addresses_are_those_of_pyproject():
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", REPOSITORY)
    assert all(url.startswith(REPOSITORY) for url in PROJECT["urls"].values())
    assert read("CITATION.cff")["repository-code"] == REPOSITORY
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"{REPOSITORY}/releases/tag/v{PROJECT['version']}" in changes
    for link in read(".github/ISSUE_TEMPLATE/config.yml")["contact_links"]:
        assert link["url"].startswith(REPOSITORY + "/")
        assert {"name", "about"} <= set(link)


@pytest.fixture
def readme(monkeypatch):
    """The long description that setup.py gives."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    runpy.run_path(str(ROOT / "setup.py"))
    assert given["long_description_content_type"] == "text/markdown"
    return given["long_description"]


def test_the_readme_of_an_index_has_no_relative_link(readme):
    own = (ROOT / "README.md").read_text("utf-8")
    relative = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", own)
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", readme)
    assert len(links) >= len(relative) > 20
    assert not re.findall(r"\]\((?!https://|#)[^)]*\)", readme)
    at = f"{REPOSITORY}/blob/v{PROJECT['version']}/"
    files = (
        REPOSITORY.replace("github.com", "raw.githubusercontent.com") + f"/v{PROJECT['version']}/"
    )
    led = set()
    for picture, link in links:
        begin = files if picture else at
        assert link.startswith(begin), link
        led.add(link.removeprefix(begin))
    assert led == set(relative)


def test_the_citation_names_what_the_format_asks_for():
    said = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(said)
    assert said["cff-version"] == "1.2.0"
    assert said["license"] == PROJECT["license"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", said["date-released"])
    assert said["authors"] == PROJECT["authors"]


def steps_of(workflow):
    for name, job in workflow["jobs"].items():
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job), name
        lists = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), step
            yield lists, step


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_call_what_there_is(file):
    workflow = read(file)
    # "on" is a bool to YAML 1.1.
    assert {"name", True, "permissions", "jobs"} <= set(workflow)
    for job in workflow["jobs"].values():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= set(workflow["jobs"])
    commands = []
    for lists, step in steps_of(workflow):
        if "uses" in step:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", step["uses"]), step["uses"]
            continue
        named = re.findall(r"\$\{\{ matrix\.(\w+) \}\}", step["run"])
        commands += [value for name in named for value in lists[name]] or [step["run"]]
    called = {word for command in commands for word in re.findall(r"\bmake ([a-z-]+)", command)}
    assert called, file
    assert called <= TARGETS
    for command in commands:
        for path in re.findall(r"(?:^|\s)(?:\.\./)?((?:tests|docs|benchmarks)/[\w./-]+)", command):
            assert (ROOT / path).exists(), path


def test_continuous_integration_runs_what_ci_run_does():
    here = set(re.findall(r"make ([a-z-]+)", (ROOT / ".ci/run").read_text("utf-8")))
    there = (GITHUB / "workflows/ci.yml").read_text("utf-8")
    assert here <= set(re.findall(r"make ([a-z-]+)", there))


def test_what_is_published_needs_no_secret():
    text = (GITHUB / "workflows/release.yml").read_text("utf-8")
    publish = yaml.safe_load(text)["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in text
    assert {"build", "installed"} <= set(publish["needs"])


@pytest.mark.parametrize("file", FORMS, ids=lambda file: file.stem)
def test_issue_forms_have_the_fields_of_forms(file):
    form = read(file)
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert ids
    assert len(set(ids)) == len(ids)
    for field in form["body"]:
        assert field["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert field["attributes"]["value" if field["type"] == "markdown" else "label"]
