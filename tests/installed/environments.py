"""The package as users install it, in clean environments, without extras: `make test-installed`.

The newest versions of all that it depends on, on each Python that pyproject.toml names; and the lowest
that it names, on the first of them. In each environment `smoke.py` is run; with the lowest versions also
the tests that need no extra. On one Python the sdist is installed, on the others the wheel.

A Python that is not on this machine is passed over, and a line says so. With --few there are two
environments: the lowest versions, and the newest of the sdist.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PYTHONS = [
    version
    for line in PROJECT["classifiers"]
    if (version := line.removeprefix("Programming Language :: Python :: ")).startswith("3.")
]
# Those that import no extra, but for one test.
TESTS = ("tests/test_plan.py", "tests/test_policy.py", "tests/test_import_and_cache.py")
NOT = ("-k", "not torchvisions")
UV = (sys.executable, "-m", "uv", "--quiet", "--no-python-downloads")
# Two at a time, of one thread each, do not disturb each other on two cores.
AT_ONCE = 2
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Environment:
    """What is installed where.

    Args:
        python: Version of Python, such as "3.12".
        package: Wheel or sdist.
        lowest: Whether the lowest versions that pyproject.toml names are installed, or the newest.
    """

    python: str
    package: Path
    lowest: bool = False

    def __str__(self) -> str:
        kind = "wheel" if self.package.suffix == ".whl" else "sdist"
        return f"Python {self.python}, {kind}, {'lowest' if self.lowest else 'newest'} versions"

    @property
    def requirements(self) -> list[str]:
        if not self.lowest:
            return [str(self.package)]
        # uv takes the lowest of what it is given by name, and the newest of what follows from it.
        return [str(self.package), *PROJECT["dependencies"], *TOOLS_OF_TESTS]


def lowest_of(extra: str, *names: str) -> list[str]:
    """The requirements of an extra that are of these packages."""
    return [r for r in PROJECT["optional-dependencies"][extra] if r.startswith(names)]


TOOLS_OF_TESTS = lowest_of("test", "pytest>", "hypothesis>", "setuptools>")


def interpreter(version: str) -> str | None:
    """The path of a Python of this version on this machine, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    name = f"python{version}"
    for path in (
        sys.executable,
        shutil.which(name),
        *pyenv.glob(f"versions/{version}*/bin/{name}"),
    ):
        if path is None:
            continue
        ask = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        said = subprocess.run(ask, capture_output=True, text=True)
        if said.stdout.strip() == version:
            return str(path)
    return None


def try_in(environment: Environment, python: str, folder: Path) -> str:
    """Install and run; returns what was installed. Raises CalledProcessError with what was printed."""

    def run(*command: str | Path, cwd: Path = folder) -> str:
        done = subprocess.run(
            command, cwd=cwd, env=clean, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout)
        return done.stdout

    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    clean |= dict.fromkeys(THREADS, "1") | {"XDG_CACHE_HOME": str(folder / "cache")}
    clean.setdefault("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    home = folder / "environment"
    run(*UV, "venv", "--python", python, home)
    resolution = ["--resolution", "lowest-direct"] if environment.lowest else []
    run(*UV, "pip", "install", "--python", home, *resolution, *environment.requirements)
    run(home / "bin/python", "-W", "ignore", Path(__file__).with_name("smoke.py"))
    if environment.lowest:
        # Without the tree's augengine beside them.
        for part in ("tests", "benchmarks"):
            shutil.copytree(ROOT / part, folder / part)
        shutil.copy(ROOT / "pyproject.toml", folder)
        run(home / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *NOT, *TESTS)
    return run(*UV, "pip", "list", "--python", home)


def main(arguments: list[str]) -> int:
    passed, failed, skipped = 0, 0, 0
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(AT_ONCE) as pool:
        folder = Path(temporary)
        source = folder / "source"
        ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
        shutil.copytree(ROOT, source, symlinks=True, ignore=ignored)
        subprocess.run([*UV, "build", "--out-dir", folder / "built", source], check=True)
        (sdist,), (wheel,) = folder.glob("built/*.tar.gz"), folder.glob("built/*.whl")
        environments = [Environment(PYTHONS[0], wheel, lowest=True)]
        environments += [Environment(version, wheel) for version in PYTHONS[1:]]
        environments += [Environment(PYTHONS[0], sdist)]
        if "--few" in arguments:
            environments = [environments[0], environments[-1]]

        def attempt(environment: Environment) -> bool | None:
            python = interpreter(environment.python)
            if python is None:
                print(f"{environment}: skipped, there is no such Python here", flush=True)
                return None
            begin = time.monotonic()
            place = Path(tempfile.mkdtemp(dir=folder))
            try:
                listed = try_in(environment, python, place)
            except subprocess.CalledProcessError as error:
                command = " ".join(map(str, error.cmd))
                print(f"{environment}: failed\n{command}\n{error.output}", flush=True)
                return False
            finally:
                shutil.rmtree(place)
            installed = dict(line.split()[:2] for line in listed.splitlines())
            versions = ", ".join(f"{name} {installed[name]}" for name in NAMES)
            print(
                f"{environment}: passed in {time.monotonic() - begin:.0f} s; {versions}", flush=True
            )
            return True

        for result in pool.map(attempt, environments):
            passed, failed = passed + (result is True), failed + (result is False)
            skipped += result is None
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0)


NAMES = ("torch", "numpy", "numba", "kornia", "safetensors", "typer", "rich")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
