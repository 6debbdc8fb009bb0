"""Notebooks as pages: docs/notebooks/*.ipynb, with the outputs that they were saved with."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def _found() -> list[Path]:
    return sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def _page(path: Path) -> str:
    return path.relative_to(ROOT / "docs").with_suffix(".md").as_posix()


def pages() -> list[tuple[str, str]]:
    """(title, page) of the notebooks."""
    return [(_title(path), _page(path)) for path in _found()]


def files() -> dict[str, str | bytes]:
    """{name in the site: content}."""
    made: dict[str, str | bytes] = {}
    for path in _found():
        made.update(_converted(path))
    return made


def _cells(path: Path) -> list[dict[str, Any]]:
    return list(json.loads(path.read_text("utf-8"))["cells"])


def _title(path: Path) -> str:
    for cell in _cells(path):
        for line in "".join(cell["source"]).splitlines():
            if line.startswith("# ") and cell["cell_type"] == "markdown":
                return line[2:].strip()
    return path.stem.replace("_", " ").replace("-", " ")


def _converted(path: Path) -> dict[str, str | bytes]:
    page = _page(path)
    made: dict[str, str | bytes] = {}
    parts: list[str] = []
    for number, cell in enumerate(_cells(path)):
        source = "".join(cell["source"]).rstrip()
        if cell["cell_type"] != "code":
            parts.append(source)
            if number == 0:
                parts.append(f'<a href="{path.name}" download>The notebook itself</a>')
            continue
        parts.append(f"```python\n{source}\n```")
        for k, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}-{number}-{k}.png"
                made[str(Path(page).with_name(name))] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![What the cell shows]({name})")
            elif text := "".join(output.get("text", data.get("text/plain", ""))).rstrip():
                parts.append(f"```text\n{text}\n```")
    made[page] = "\n\n".join(parts) + "\n"
    return made
