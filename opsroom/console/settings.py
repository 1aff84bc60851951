"""How the console listens and whom it lets in."""

from __future__ import annotations

import msgspec

from birddog.errors import UsageError
from ingest.address import is_loopback

#: Names a browser on this machine may use for us.  Anything else in ``Host`` is refused (DNS rebinding).
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
TOKEN_MIN = 16


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Args:
        host, port: where to listen; port 0 takes a free one.
        hosts: further names a browser may use for this server, without the port.
        exercise: everything shown is marked EXERCISE.
        played: what is shown is a journal that is played again, and nothing is LIVE.
        tls_cert, tls_key: PEM files; with them the console speaks HTTPS only.
        tokens: who may look, name -> secret of at least 16 characters; needed beyond loopback.
        poll_ms: how often the derived store is asked for news: the batching of the live channel.
        beat_s: a frame is sent at least this often, so that a dead connection is noticed.
        queue_frames: a tab that lags this many frames behind is dropped and told where to resume.
        max_connections: one more takes the place of the oldest that has not asked for anything (ingest/acceptor.py).
        silent_per_address: of one address so many may have asked for nothing (yet, or any more).
        max_listeners: live connections (tabs, streams); the next is told to try again later.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    hosts: tuple[str, ...] = ()
    exercise: bool = False
    played: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    tokens: dict[str, str] = {}
    poll_ms: int = 200
    beat_s: float = 2.0
    queue_frames: int = 100
    max_connections: int = 512
    silent_per_address: int = 128
    max_listeners: int = 256

    def allowed_hosts(self) -> frozenset[str]:
        """What ``Host`` may say, lower case, without the port."""
        own = {self.host.lower()} if self.host not in ("", "0.0.0.0", "::") else set()
        return LOOPBACK_NAMES | own | {name.lower() for name in self.hosts}

    def check(self) -> None:
        """Raises:
            UsageError: the settings would show a case to people who may not see it.
        """
        if bool(self.tls_cert) != bool(self.tls_key):
            raise UsageError("name both tls_cert and tls_key, or neither", field="console")
        for name, token in self.tokens.items():
            if len(token) < TOKEN_MIN:
                raise UsageError(f"the token of {name!r} is shorter than {TOKEN_MIN} characters", field="console.tokens")
        if is_loopback(self.host):
            return
        if self.exercise:
            raise UsageError(f"an exercise listens on loopback only, not on {self.host!r}", field="console.host")
        if not (self.tls_cert and self.tokens):
            raise UsageError(f"listening on {self.host!r}, beyond this machine, needs tls_cert, tls_key and tokens",
                             field="console.host")
