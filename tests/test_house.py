"""The rules of the house: which way imports point, what an import costs, what is shipped."""

import ast
import graphlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import setuptools
from packaging.metadata import Metadata

import augengine

ROOT = Path(__file__).resolve().parent.parent

# The wings, from the top down: a file imports from the rows below its own and from its own wing.
# Wings of one row are strangers to each other, so policy and kernels meet in plan only.
HOUSE = (
    {"__main__"},
    {"cli"},
    {"doctor", "bench", "invariance", "trials", "play"},
    {"pipelines", "demo"},
    {"__init__"},
    {"api"},
    {"preview"},
    {"recipes", "frameworks", "datasets", "tuning", "sheet"},
    {"loading"},
    {"targets"},
    {"policy", "kernels"},
    {"decoding"},
    {"plan"},
    {"untrusted"},
    {"checks", "random_numbers", "aliases", "threads", "systems"},
    {"elementary"},
    {"compiled"},
)
# The executors inside kernels: strangers to each other.
EXECUTORS = {"kernels/cpu", "kernels/gpu", "kernels/reference"}

# The only rooms that may import a compiler.
COMPILERS = {"numba": "kernels/cpu/", "llvmlite": "kernels/cpu/", "triton": "kernels/gpu/"}

# Imported when first needed, so not by `import augengine`.
LAZY = {
    "accelerate",
    "albumentations",
    "cv2",
    "gradio",
    "kornia",
    "matplotlib",
    "mlxtend",
    "numba",
    "rich",
    "skimage",
    "sklearn",
    "timm",
    "torchvision",
    "triton",
    "typer",
}


def package_files():
    """The package's files by their path inside it."""
    package = ROOT / "augengine"
    return {file.relative_to(package).as_posix(): file for file in sorted(package.rglob("*.py"))}


FILES = package_files()


def imported_names(file, types=True):
    """Absolute dotted names that a file imports anywhere, functions included; types: those for type
    checkers too."""
    package = ["augengine", *file.split("/")[:-1]]
    tree = ast.parse(FILES[file].read_text("utf-8"))
    if not types:
        tree.body = [
            node
            for node in tree.body
            if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, node.module] if node.module else base
            yield from (".".join([*base, alias.name]) for alias in node.names)


def file_of(dotted):
    """The file of ours that holds a dotted name, or None for another package's name."""
    top, *parts = dotted.split(".")
    if top != "augengine":
        return None
    for n in range(len(parts), 0, -1):
        for file in ("/".join(parts[:n]) + ".py", "/".join([*parts[:n], "__init__.py"])):
            if file in FILES:
                return file
    return "__init__.py"


def own_imports(file, types=True):
    return {target for name in imported_names(file, types) if (target := file_of(name))}


def row_of(file):
    """(row in HOUSE, wing) of a file."""
    wing = file.split("/")[0].removesuffix(".py")
    rows = [row for row, wings in enumerate(HOUSE) if wing in wings]
    assert len(rows) == 1, f"{file}: give its wing a place in HOUSE (tests/test_house.py)"
    return rows[0], wing


@pytest.mark.parametrize("file", FILES)
def test_imports_point_down(file):
    row, wing = row_of(file)
    for target in own_imports(file):
        target_row, target_wing = row_of(target)
        assert target_row > row or target_wing == wing, f"{file} imports {target}, not below it"


@pytest.mark.parametrize("file", [f for f in FILES if f.rpartition("/")[0] in EXECUTORS])
def test_executors_are_strangers(file):
    own = file.rpartition("/")[0]
    assert not {f for f in own_imports(file) if f.rpartition("/")[0] in EXECUTORS - {own}}


def test_no_files_import_each_other_in_a_circle():
    graph = {file: own_imports(file, types=False) - {file} for file in FILES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_pixel_imports_nothing():
    assert "kernels/pixel.py" in FILES
    assert not list(imported_names("kernels/pixel.py"))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_compilers_are_imported_in_one_place(compiler):
    users = {f for f in FILES if compiler in {n.partition(".")[0] for n in imported_names(f)}}
    assert users
    assert not {f for f in users if not f.startswith(COMPILERS[compiler])}


def test_every_folder_is_packaged():
    folders = {Path("augengine", file).parent.as_posix().replace("/", ".") for file in FILES}
    assert set(setuptools.find_packages(ROOT, include=["augengine*"])) == folders


def modules_that_come_with(code, after=""):
    """Names of the modules that a new process imports by `code`, those that `after` has left out."""
    program = (
        f"import sys; {after}\nbefore = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)"
    )
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True)
    return set(loaded.splitlines()[-1].split())


def test_the_import_loads_no_other_package():
    """torch, which takes a second, comes with the first name that is used."""
    loaded = modules_that_come_with("import augengine; augengine.__version__")
    assert {name for name in loaded if name.startswith("augengine")} == {"augengine"}
    assert {name.partition(".")[0] for name in loaded} <= sys.stdlib_module_names | {"augengine"}


# Of ours, what only some programs need. The executors come with the first batch.
LATER = (
    "doctor",
    "bench",
    "invariance",
    "trials",
    "play",
    "pipelines",
    "demo",
    "cli",
    "sheet",
    "kernels.cpu",
    "kernels.reference",
)


def test_the_first_use_loads_little():
    """Beside torch no package but ours, so that it costs a fraction of torch's import."""
    loaded = modules_that_come_with("import augengine; augengine.Policy", after="import torch")
    packages = {name.partition(".")[0] for name in loaded}
    assert "augengine" in packages
    assert not LAZY & packages
    assert packages - sys.stdlib_module_names == {"augengine"}
    ours = {name.removeprefix("augengine.") for name in loaded if name.startswith("augengine.")}
    assert "kernels.operator" in ours
    assert not [name for name in ours if f"{name}.".startswith(tuple(f"{n}." for n in LATER))]


def test_the_command_line_says_what_it_can_without_torch():
    import_cli = "from augengine import cli"
    loaded = {name.partition(".")[0] for name in modules_that_come_with(import_cli)}
    assert "typer" in loaded
    assert not {"torch", "numba"} & loaded


@pytest.mark.parametrize("name", getattr(augengine, "__all__", ["__all__"]))
def test_public_names_resolve_and_are_documented(name):
    doc = getattr(augengine, name).__doc__
    assert doc
    assert doc.strip()
    assert not doc.startswith(f"{name}("), "a dataclass's generated signature is no docstring"


def test_no_path_or_host_of_a_machine():
    """What is tracked works elsewhere: no home or work folder, no package registry's host."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(command, cwd=ROOT, text=True).split("\0")
    place_of_a_machine = re.compile(
        r"(?<![\w./])/(home|root|work|Users|opt)/\w"
        r"|pypi\.(org|python)|pythonhosted\.|download\.pytorch\.|npmjs\.|deb\.debian\."
    )
    found = []
    for file in (ROOT / name for name in names if name):
        if not file.is_file():
            continue
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # an image
        found += [
            f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
            for number, line in enumerate(text.splitlines(), 1)
            if place_of_a_machine.search(line)
        ]
    assert not found, "\n".join(found)


@pytest.mark.thorough
def test_sdist_and_wheel_hold_the_package(tmp_path):
    """A wheel built from the sdist holds all our files, kernels too, and works."""
    source, out, site = tmp_path / "source", tmp_path / "out", tmp_path / "site"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, source, symlinks=True, ignore=ignore)
    subprocess.run([sys.executable, "-m", "build", "--outdir", out, source], check=True)

    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames() if "egg-info" not in name}
    beside = {
        "CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "SECURITY.md",
        "pyproject.toml", "setup.cfg", "setup.py",
    }  # fmt: skip
    files = {name for name in packed if not name.startswith("augengine")} - {""}
    assert files == beside
    assert {f"augengine/{file}" for file in FILES} <= packed
    assert not [name for name in packed if name.endswith((".pyc", ".nbi", ".nbc", ".png"))]

    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(site)
        (about,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        said = Metadata.from_email(archive.read(about), validate=True)
    assert "py3-none-any" in wheel.name
    assert said.description.startswith("# augengine\n")
    assert said.description_content_type == "text/markdown"
    assert {"Documentation", "Repository"} <= set(said.project_urls)
    assert packed == {f"augengine/{file}" for file in [*FILES, "py.typed"]}
    show = "import augengine, augengine.kernels.pixel as m; print(m.__file__)"
    shown = subprocess.check_output([sys.executable, "-c", show], cwd=site, text=True)
    assert Path(shown.strip()) == site / "augengine/kernels/pixel.py"
