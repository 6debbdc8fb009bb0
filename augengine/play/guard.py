"""What the server refuses before Gradio sees it, and what it forbids the browser.

The page is for one person at one machine. So the server answers to names of this machine alone, which keeps
other sites' pages out that have their own name point here; it fetches nothing from elsewhere; it takes as
much as a few images have; and the browser is told to ask nobody else for anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOSTS = ("127.0.0.1", "localhost", "[::1]")
MOST_BODY = 256 << 20  # bytes of a request: the images that are sent at once
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
# Routes of Gradio's that fetch from elsewhere, or do what this page does not.
_FETCHING = ("/proxy=", "/file=http:", "/file=https:", "/file/http:", "/file/https:", "/deep_link")


class Guard:
    """An ASGI application in front of another.

    Args:
        app: The other application.
        most_body: Bytes of a request's body, at most.
    """

    def __init__(self, app: App, most_body: int = MOST_BODY) -> None:
        self.app, self.most_body = app, most_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = refused(scope, self.most_body)
        if refusal is not None or scope["type"] != "http":
            await _answer(send, *(refusal or (403, "this page has no such connection")))
            return
        taken, answered = 0, False

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.most_body:  # a body that said no length
                return {"type": "http.disconnect"}
            return message

        async def with_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                own = {name for name, _ in _HEADERS}
                kept = [(k, v) for k, v in message.get("headers", ()) if k.lower() not in own]
                message = {**message, "headers": [*kept, *_HEADERS]}
            await send(message)

        await self.app(scope, bounded, with_headers)


def refused(scope: Scope, most_body: int = MOST_BODY) -> tuple[int, str] | None:
    """(status, reason) of a request that is refused; None of one that is not.

    Args:
        scope: ASGI's description of the request.
        most_body: Bytes of its body, at most.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if _host_of(headers.get(b"host", "")) not in HOSTS:
        return 403, "this page answers to 127.0.0.1 and localhost alone"
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin).netloc != headers.get(b"host"):
        return 403, "this page answers to its own pages alone"
    path = unquote(unquote(scope["path"])).lower().replace("\\", "/")
    if any(part in path for part in _FETCHING):
        return 403, "this page fetches nothing from elsewhere"
    length = headers.get(b"content-length", "0")
    if not length.isdecimal() or int(length) > most_body:
        return 413, f"this page takes {most_body:,} bytes at once"
    return None


def _host_of(host: str) -> str:
    """A host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


async def _answer(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"augengine play: {reason}.\n".encode()})
