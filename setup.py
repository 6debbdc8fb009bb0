"""What pyproject.toml cannot say: the readme as a package index shows it.

Links of README.md are relative, so that they work in a clone, in a fork and without a network. An index has
no files beside the page: there they lead to the tag of this version, in the repository that project.urls
names. Pictures become addresses of the files themselves.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def readme() -> str:
    """README.md with absolute links."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    repository, tag = project["urls"]["Repository"], f"v{project['version']}"
    files = repository.replace("https://github.com/", "https://raw.githubusercontent.com/")

    def absolute(found: re.Match[str]) -> str:
        picture, text, path = found.groups()
        at = f"{files}/{tag}/" if picture else f"{repository}/blob/{tag}/"
        return f"{picture}[{text}]({at}{path})"

    text = (ROOT / "README.md").read_text("utf-8")
    return re.sub(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)\s]+)\)", absolute, text)


setup(long_description=readme(), long_description_content_type="text/markdown")
