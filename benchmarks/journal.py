"""What a benchmark has finished: a line of JSON for each job, so that a run that was killed goes on.

journal = Journal(file, about={"seeds": 5})
if "labels, seed 0" not in journal.done: journal.add("labels, seed 0", {"accuracy": 0.9})
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Journal:
    """The finished jobs in a file. A last line that a kill has torn is cut off.

    Args:
        file: File of the journal, which is made with the first job.
        about: What all its jobs share, such as sizes; a journal of something else is refused.

    Attributes:
        done: What each job came to, by the job's name.

    Raises:
        ValueError: When a line is damaged, or of jobs that share something else.
    """

    def __init__(self, file: Path, about: dict[str, Any]):
        self.file, self.about = file, json.loads(json.dumps(about))
        self.done: dict[str, Any] = {}
        text = file.read_text("utf-8") if file.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            file.write_text(whole, "utf-8")
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                said = json.loads(line)
                job, theirs, value = said["job"], said["about"], said["value"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{file}, line {number}, is damaged ({error!r}). Remove that line; its job is then made "
                    "anew."
                ) from None
            if theirs != self.about:
                raise ValueError(
                    f"{file} is of {theirs}, expected {self.about}. Pass the options that it was begun with, "
                    "or another --keep."
                )
            self.done[job] = value

    def add(self, job: str, value: Any) -> None:
        """Note a finished job, on the disk when this returns."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"job": job, "about": self.about, "value": value})
        with open(self.file, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.done[job] = json.loads(line)["value"]
