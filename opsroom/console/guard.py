"""Who may ask, and what every answer carries: Host and Origin checks, tokens, security headers."""

from __future__ import annotations

import hmac
import logging
import secrets
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from birddog.errors import place_of
from opsroom.console.settings import Settings

log = logging.getLogger("birddog.console")
CSP = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "style-src 'self'; font-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=(), usb=(), serial=()",
}
COOKIE = "birddog_session"
#: What the page needs before somebody has shown a token: no data of any case is in it.
_OPEN_PATHS = ("/static/", "/favicon.ico", "/v1/session")
_OPEN_EXACT = frozenset({"/", "/openapi.json"})


class Sessions:
    """Browser sessions of people who showed a token; they end with the process."""

    def __init__(self, tokens: dict[str, str]):
        self._tokens = tokens
        self._sessions: dict[str, str] = {}

    @property
    def needed(self) -> bool:
        """Whether a token is asked for at all."""
        return bool(self._tokens)

    def name_of_token(self, token: str) -> str | None:
        """Whose token it is; compares every one in constant time."""
        found = None
        for name, known in self._tokens.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                found = name
        return found

    def open(self, name: str) -> str:
        """A new session's secret."""
        key = secrets.token_urlsafe(32)
        self._sessions[key] = name
        return key

    def who(self, headers: Headers) -> str | None:
        """The name behind a request's bearer token or cookie; None when there is none."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.name_of_token(token.strip())
        # cookies know no ports: those of every other program on this machine come along, some of them malformed
        return self._sessions.get(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""))


def host_name(value: str) -> str:
    """The host of a ``Host`` header, lower case, without its port; "" for nonsense."""
    try:
        parts = urlsplit("//" + value)
        name = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return ""
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return ""
    return f"[{name}]" if ":" in name else name


def same_origin(headers: Headers) -> bool:
    """Whether a request that changes something, or a WebSocket, comes from our own page or from no page.

    A browser always sends ``Origin`` with a POST to another site and with a WebSocket; programs
    (curl) send none.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() == headers.get("host", "").lower()


class Guard:
    """ASGI middleware: refuses what may not ask, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, settings: Settings, sessions: Sessions):
        self._app, self._sessions = app, sessions
        self._hosts = settings.allowed_hosts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refusal is None:
                await self._app(scope, receive, send)
            else:
                await receive()
                # accepted only so that the page can read the code: a refused handshake tells it nothing
                await send({"type": "websocket.accept"} if refusal[0] == 401 else {"type": "websocket.close", "code": 1008})
                if refusal[0] == 401:
                    await send({"type": "websocket.close", "code": 4401, "reason": "a token is needed"})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    out[name] = value
                if "cache-control" not in out:
                    # positions do not belong in a disk cache; static files are asked again by their ETag
                    out["Cache-Control"] = "no-cache" if scope["path"].startswith("/static/") else "no-store"
            await send(message)

        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send_with_headers(message)

        if refusal is None:
            try:
                await self._app(scope, receive, noted)
                return
            except (ClientDisconnect, WebSocketDisconnect):
                return  # nobody is there to be answered, and nothing of ours is wrong
            except Exception as error:  # boundary: a fault of ours is logged here and told to nobody else
                if started:
                    raise
                log.error("%s %s could not be answered: %.200s: %s", scope["method"], scope["path"], error, place_of(error))
            refusal = 500, "this server has a fault; its log says more"
        status, words = refusal
        body = msgspec.json.encode({"error": words})
        head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 401:
            head.append((b"www-authenticate", b'Bearer realm="birddog"'))
        await send_with_headers({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        if host_name(headers.get("host", "")) not in self._hosts:
            return 421, "this server does not answer to that Host name; add it to [console] hosts"
        method = scope.get("method", "GET")
        if (scope["type"] == "websocket" or method not in ("GET", "HEAD")) and not same_origin(headers):
            return 403, "this request comes from another site"
        path = scope["path"]
        if path not in _OPEN_EXACT and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "this request comes from another site's page"
        if self._sessions.needed and path not in _OPEN_EXACT and not path.startswith(_OPEN_PATHS):
            name = self._sessions.who(headers)
            if name is None:
                return 401, "a token is needed: Authorization: Bearer …"
            scope.setdefault("state", {})["who"] = name
        return None
