"""What must hold of the site that was built: `python docs/site/check.py build/site`, a part of `make docs`.

Every operation and every preset has its page; pictures are there; nothing is fetched from elsewhere; links lead
to pages and anchors that are there, those that MkDocs does not see included.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import facts

# What a browser fetches by itself, by tag. A link that a reader may click is not.
FETCHED = {
    "audio": ("src",), "embed": ("src",), "iframe": ("src",), "img": ("src", "srcset"), "link": ("href",),
    "object": ("data",), "script": ("src",), "source": ("src", "srcset"), "video": ("src", "poster"),
}  # fmt: skip
# A `link` of these kinds is not fetched.
NAMED = {"canonical", "prev", "next", "alternate"}
OUTSIDE = re.compile(r"^(?:[a-z]+:)?//", re.I)
IN_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:[a-z]+:)?//[^'\")\s]+)", re.I)


class Read(HTMLParser):
    """What a page makes a browser fetch, where its links lead, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: set[str] = set()
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag == "link" and given.get("rel") in NAMED:
            return
        self.fetched += [given[name] for name in FETCHED.get(tag, ()) if given.get(name)]
        self.fetched += IN_STYLE.findall(given.get("style", ""))


def _path(address: str) -> str:
    return unquote(re.split(r"[?#]", address)[0])


def problems_of_fetches(page: Path, read: Read) -> list[str]:
    """What is wrong with what a page fetches."""
    found = []
    for address in read.fetched:
        path = _path(address)
        if OUTSIDE.match(address):
            found.append(f"{page}: fetches {address}, expected a file of the site")
        elif address.startswith("data:") or (page.name == "404.html" and path.startswith("/")):
            continue  # that page is shown for any address, so it counts from the site's root
        elif path and not (page.parent / path).exists():
            found.append(f"{page}: there is no {address}")
    return found


def problems_of_links(page: Path, read: Read, pages: dict[Path, Read]) -> list[str]:
    """Links within the site that lead nowhere."""
    found = []
    for address in sorted(read.links):
        if re.match(r"[a-z]+:|//|/", address):
            continue
        target = (page.parent / _path(address)).resolve() if _path(address) else page.resolve()
        anchor = unquote(address.partition("#")[2])
        if not target.exists():
            found.append(f"{page}: the link {address} leads nowhere")
        elif target in pages and anchor not in pages[target].anchors:
            found.append(f"{page}: the link {address} names no anchor of its page")
    return found


def problems(site: Path) -> list[str]:
    """All that is wrong with a site, in sentences."""
    found = [
        f"{folder}/{name}.html is missing"
        for folder, names in (("ops", facts.OPS), ("presets", facts.PRESETS))
        for name in names
        if not (site / folder / f"{name}.html").exists()
    ]
    pages = {
        page.resolve(): Read(page.read_text("utf-8")) for page in sorted(site.glob("**/*.html"))
    }
    for page, read in pages.items():
        found += problems_of_fetches(page, read) + problems_of_links(page, read, pages)
    for style in sorted(site.glob("**/*.css")):
        found += [f"{style}: fetches {url}" for url in IN_STYLE.findall(style.read_text("utf-8"))]
    for name in ("llms.txt", "llms-full.txt", "SKILL.md"):
        if not (site / name).exists():
            found.append(f"{name} is missing")
    return found


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    print("\n".join(wrong) or f"{sys.argv[1]}: every page and link is there, nothing is fetched")
    sys.exit(bool(wrong))
