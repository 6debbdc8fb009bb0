"""Links of a page: those out of docs/ lead to copies in the site, names of operations to their pages."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from augengine.policy import ops

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
FENCE = re.compile(
    r"(^(?:```|~~~).*?^(?:```|~~~)\s*$|^    .*?$|^#.*?$|\[[^\]]*\]\([^)]*\))", re.M | re.S
)
CODE = re.compile(r"(?<!`)`(?:ae\.)?(\w+)(\([^`]*\))?`(?!`)")
HOME = {"README.md": "index.md"}
QUIET = "---\nsearch:\n  exclude: true\n---\n\n"


def in_repository(page: str) -> str:
    """The path in the repository that a page of the site has, by which its links are read."""
    return page.removeprefix("project/") if page.startswith("project/") else f"docs/{page}"


def in_site(path: str) -> str:
    """The page or file of the site for a path of the repository."""
    if path in HOME:
        return HOME[path]
    if path.startswith("docs/") and not path.endswith(".py"):
        page = re.sub(r"^docs/(notebooks/.*)\.ipynb$", r"docs/\1.md", path)
        return page.removeprefix("docs/")
    target = ROOT / path
    if target.is_dir():
        return f"source/{path}.md"
    if target.suffix in (".py", ".yml", ".toml") or target.suffix == "":
        return f"source/{path}.md"
    return f"project/{path}"


def _target(page: str, link: str) -> tuple[str, str] | None:
    """(path in the repository, anchor) of a relative link; None of any other."""
    if "://" in link or link.startswith(("#", "mailto:")):
        return None
    path, _, anchor = link.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(in_repository(page)), path)), anchor


def rewritten(markdown: str, page: str) -> str:
    """The page's text with links that hold in the site."""
    folder = posixpath.dirname(page) or "."

    def link(found: re.Match[str]) -> str:
        target = _target(page, found[2])
        if target is None or not (ROOT / target[0]).exists():
            return found[0]
        path = posixpath.relpath(in_site(target[0]), folder)
        return f"{found[1]}{path}{'#' + target[1] if target[1] else ''}{found[3]}"

    def named(found: re.Match[str]) -> str:
        if page.startswith("porting/") and found.string[: found.start()].endswith("\n| "):
            return found[0]  # the other library's class of that name
        if found[1] not in ops.__all__ or found[1] == "Op" or page == f"ops/{found[1]}.md":
            return found[0]
        return f"[{found[0]}]({posixpath.relpath(f'ops/{found[1]}.md', folder)})"

    parts = FENCE.split(LINK.sub(link, markdown))
    return "".join(part if k % 2 else CODE.sub(named, part) for k, part in enumerate(parts))


def linked_files(files: Files) -> dict[str, str | Path]:
    """{name in the site: its text, or the file} of all that pages link to outside of docs/."""
    found: dict[str, str | Path] = {}
    waiting = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    waiting.append(("index.md", "[](../CONTRIBUTING.md) [](../CHANGELOG.md)"))  # the nav has them
    while waiting:
        page, text = waiting.pop()
        for path in _outside(page, text):
            name = in_site(path)
            if name in found or files.get_file_from_path(name):
                continue
            found[name] = content = _content(path)
            if isinstance(content, str) and name.startswith("project/"):
                waiting.append((name, content))
    return found


def _outside(page: str, text: str) -> Iterator[str]:
    for found in LINK.finditer(text):
        target = _target(page, found[2])
        if target is None or not (ROOT / target[0]).exists() or target[0].startswith(".."):
            continue
        if in_site(target[0]).startswith(("project/", "source/")):
            yield target[0]


def _content(path: str) -> str | Path:
    target = ROOT / path
    if target.is_dir():
        return _listing(target, path)
    if in_site(path).startswith("source/"):
        text = target.read_text("utf-8")
        language = {".py": "python", ".yml": "yaml", ".toml": "toml"}.get(target.suffix, "text")
        return f"{QUIET}# {path}\n\n````{language}\n{text.rstrip()}\n````\n"
    return target.read_text("utf-8") if target.suffix == ".md" else target


def _listing(folder: Path, path: str) -> str:
    """A folder: its files, with the first sentence of each."""
    lines = [f"{QUIET}# {path}", "", "| file | what it is |", "|---|---|"]
    for file in sorted(folder.glob("**/*.py")):
        said = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split("\n\n")[0]
        name = file.relative_to(folder).as_posix()
        lines.append(f"| `{name}` | {' '.join(said.split()).replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, ""])
