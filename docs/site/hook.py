"""What MkDocs calls while it builds the site: it adds the pages that are made at build time.

A page of docs/ is written for readers of the repository, too. So its links may lead out of docs/; such files
become pages of the site (`links`). Names of operations lead to their pages.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import links
import llms
import notebooks
import op_pages
import preset_pages
import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Pages that may be missing: the nav has them where they are.
OPTIONAL = ("install.md", "preview.md", "play.md", "notebooks/")
MADE = {
    "notebooks/": notebooks.pages,
    "ops/": op_pages.pages,
    "presets/": preset_pages.pages,
    "reference/": reference.pages,
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The nav as it is: sections that are made, and pages that are there."""
    made = {name: make() for name, make in MADE.items()}
    config.nav = _nav(config.nav, made)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if address := project.get("urls", {}).get("Repository"):
        # A link in the footer: with `repo_url` the theme would ask a service for stars and forks.
        config.extra["social"] = [{"icon": "fontawesome/brands/git-alt", "link": address}]
    config.watch.append(str(ROOT / "augengine"))
    return config


def _nav(items: list[Any], made: dict[str, list[tuple[str, str]]]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        title, target = next(iter(item.items())) if isinstance(item, dict) else (None, item)
        if isinstance(target, list):
            kept.append({title: _nav(target, made)})
        elif target in made:
            if pages := made[target]:
                kept.append({title: _grouped(pages)})
        elif target not in OPTIONAL or (ROOT / "docs" / target).exists():
            kept.append(item)
    return kept


def _grouped(pages: list[tuple[str, str]]) -> list[Any]:
    """(title, page) as nav; "Group/Title" puts it into a group, "" has no title of its own."""
    nav: list[Any] = []
    groups: dict[str, list[Any]] = {}
    for title, page in pages:
        group, _, name = title.rpartition("/")
        entry: Any = {name: page} if name else page
        if not group:
            nav.append(entry)
            continue
        if group not in groups:
            groups[group] = []
            nav.append({group: groups[group]})
        groups[group].append(entry)
    return nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All that is made, and all that is linked to outside of docs/."""
    made = {
        **notebooks.files(),
        **op_pages.files(),
        **preset_pages.files(),
        **reference.files(),
    }
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    for name, content in links.linked_files(files).items():
        if isinstance(content, Path):
            files.append(File.generated(config, name, abs_src_path=str(content)))
        else:
            files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that lead out of docs/, and names of operations."""
    text = links.rewritten(markdown, page.file.src_uri)
    llms.remember(page, text)
    return text


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A picture that fills a paragraph leads to itself, to be looked at one to one."""
    return re.sub(r'<p>(<img [^>]*?src="([^"]+)"[^>]*>)</p>', r'<p><a href="\2">\1</a></p>', html)


def on_post_build(config: MkDocsConfig) -> None:
    """llms.txt, llms-full.txt, and each page's text beside it."""
    llms.write(Path(config.site_dir), config)
