"""llms.txt and llms-full.txt: the site for readers that are programs, and each page's text beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

_texts: dict[str, tuple[str, str]] = {}  # page → title, text
WHOLE = (
    "ops/",
    "presets/",
    "source/",
    "project/",
    "reference/",
)  # listed, and not in llms-full.txt
HEAD = (
    "# augengine\n\n"
    "> Image augmentation for PyTorch: everything random about a batch is decided first, as a plan, a table "
    "of numbers; then it is drawn in one pass. Randomness is keyed by (seed, epoch, sample id, occurrence).\n\n"
    "Read [what a model must know to use it rightly](SKILL.md) first: ids, epochs, units, layouts, one "
    "Normalize, strengths, targets, errors.\n"
)


def remember(page: Page, text: str) -> None:
    """Keep a page's text until all are built."""
    _texts[page.file.src_uri] = (str(page.title or page.file.name), text)


def first_sentence(text: str) -> str:
    """Of the first paragraph that is prose."""
    for paragraph in text.split("\n\n"):
        if re.match(r"(- )?[\w*`“\"]", paragraph.strip()):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
            return re.split(r"(?<=[.:])\s", plain)[0]
    return ""


def write(site: Path, config: MkDocsConfig) -> None:
    """Into the folder of the site that is built."""
    skill = Path(config.config_file_path).parent / "skills" / "augengine" / "SKILL.md"
    (site / "SKILL.md").write_text(skill.read_text("utf-8"), "utf-8")
    lines, whole = [HEAD], [HEAD]
    section = None
    for name, (title, text) in _texts.items():
        body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S)
        target = site / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(body, "utf-8")
        if name.startswith(("source/", "project/")):
            continue
        folder = name.partition("/")[0].capitalize() if "/" in name else "Guides"
        if folder != section:
            lines.append(f"\n## {folder}\n")
            section = folder
        lines.append(f"- [{title}]({name}): {first_sentence(body)}")
        if not name.startswith(WHOLE):
            whole.append(body.strip() + "\n")
    (site / "llms.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(whole) + "\n", "utf-8")
