"""`augengine play`: read the images, serve the page on this machine, and end with Ctrl-C."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..checks import whole_number
from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes.named import named
from .album import MOST_FILE, photographs, read_folder

HOST = "127.0.0.1"
DEFAULT = """\
augengine: 1
policy:
- RandomResizedCrop: {size: 224}
- RandomHorizontalFlip: {}
- ColorJitter: {brightness: 0.4, contrast: 0.4, saturation: 0.4}
"""


def run(
    images: Path | None = None,
    policy: str | None = None,
    port: int | None = None,
    open_browser: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """What `augengine play` does, until Ctrl-C.

    Args:
        images: Folder of images; None is our photographs.
        policy: Policy that the page begins with, as `recipes.named` takes it; None is a plain one.
        port: Port, 1 … 65535; None is the first that is free from 7860 on.
        open_browser: Whether a browser is opened.
        say: Function that is told where the page is.

    Raises:
        ValueError: An argument is none of these.
        OSError: The folder cannot be read, or the port is taken.
        ImportError: A package that it needs is not installed.
    """
    if port is not None:
        whole_number("--port", port, 1, 65535)
    ended = threading.Event()
    before = [
        (number, signal.signal(number, lambda *_: ended.set()))
        for number in (signal.SIGINT, signal.SIGTERM)
    ]
    try:
        with serving(images, policy, port=port, open_browser=open_browser) as url:
            say(f"augengine play: {url}  (this machine alone; Ctrl-C ends it)")
            ended.wait()
        say("augengine play: ended")
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def serving(
    images: Path | None = None,
    policy: str | None = None,
    *,
    port: int | None = None,
    open_browser: bool = False,
) -> Iterator[str]:
    """A context in which the page is served; its URL.

    What is sent to the page lies in a folder of its own, which is removed at the end.
    """
    first = _policy(policy)
    album = photographs() if images is None else read_folder(Path(images))
    with tempfile.TemporaryDirectory(prefix="augengine-play-") as folder, _environment(folder):
        from starlette.middleware import Middleware

        from .guard import Guard
        from .page import LAUNCH, build

        blocks = build(album, first)
        try:
            _, url, _ = blocks.queue(max_size=64).launch(
                server_name=HOST, server_port=port, share=False, inbrowser=open_browser, quiet=True,
                prevent_thread_lock=True, ssr_mode=False, mcp_server=False, pwa=False, run_history=False,
                enable_monitoring=False, show_error=True, footer_links=[], allowed_paths=[], blocked_paths=[],
                root_path="", max_file_size=MOST_FILE, strict_cors=True, state_session_capacity=64,
                app_kwargs={"middleware": [Middleware(Guard)], "docs_url": None, "redoc_url": None},
                **LAUNCH,
            )  # fmt: skip
            yield url
        finally:
            blocks.close(verbose=False)


def _policy(policy: str | None) -> Policy:
    if policy is None:
        return Policy.from_yaml(DEFAULT)
    found = named(policy, "--policy").policy
    if isinstance(found, Views):
        raise ValueError(
            f"--policy: got {policy}, a policy of several views, expected one of one view. Choose one of its "
            "views on the page."
        )
    return found


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """A context in which Gradio writes into a folder, tells nobody, and no variable of the user's opens it."""
    before: dict[str, Any] = {n: v for n, v in os.environ.items() if n.startswith("GRADIO_")}
    for name in before:
        del os.environ[name]
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_TEMP_DIR=folder,
        HF_HUB_OFFLINE=os.environ.get("HF_HUB_OFFLINE", "1"),
    )
    try:
        yield
    finally:
        for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
            os.environ.pop(name, None)
        os.environ.update(before)
