"""`augengine play`: read the images, serve the page on this machine, and end with Ctrl-C."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..checks import whole_number
from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes.named import named
from .album import MOST_FILE, photographs, read_folder
from .pictures import View, grid

HOST = "127.0.0.1"
# What Gradio, the libraries below it and FastAPI would tell others.
_OWN = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "FASTAPI_OTEL_AUTO_CONFIGURE": "false",
}
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
    if importlib.util.find_spec("gradio") is None:
        raise ModuleNotFoundError("No module named 'gradio'", name="gradio")
    first = first_policy(policy)
    album = photographs() if images is None else read_folder(Path(images))
    with suppress(ValueError, TypeError):  # which the page says
        grid(first, album, View(shown=1, draws=1))  # compiles
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
            _hurry(blocks)
            blocks.close(verbose=False)


def first_policy(policy: str | None) -> Policy:
    """What the page begins with.

    Raises:
        ValueError: It is no policy, or one of several views.
        OSError: Its file cannot be read.
    """
    if policy is None:
        return Policy.from_yaml(DEFAULT)
    found = named(policy, "--policy").policy
    if isinstance(found, Views):
        raise ValueError(
            f"--policy: got {policy}, a policy of several views, expected one of one view. Choose one of its "
            "views on the page."
        )
    return found


def _hurry(blocks: Any) -> None:
    """A page that is still open keeps a connection, for which a server would wait at its end."""
    server = getattr(blocks, "server", None)
    if server is not None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        server.config.timeout_graceful_shutdown = 1


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """A context in which Gradio writes into a folder, tells nobody, and no variable of the user's opens it."""
    before = {n: v for n, v in os.environ.items() if n.startswith(("GRADIO_", *_OWN))}
    for name in before:
        del os.environ[name]
    os.environ.update(_OWN, GRADIO_TEMP_DIR=folder)
    try:
        yield
    finally:
        for name in (*_OWN, "GRADIO_TEMP_DIR"):
            os.environ.pop(name, None)
        os.environ.update(before)
