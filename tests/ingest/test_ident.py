"""Idents stand in journals for ever: the short ways to them give what the rule says."""

import pytest

from birddog.units import NS
from ingest.ident import dated, digest, hashed, led, near, once


@pytest.mark.parametrize("time_ns", [0, 7 * NS, 10**18 - 1, 10**18, 1_790_000_000 * NS, 10**19 - 1, 10**19, 4_294_967_295 * NS])
def test_a_dated_message(time_ns):
    lead = led(b"time", b"d", b"nmea")
    assert dated(lead, time_ns, b"$x") == near(time_ns) + digest(led(b"time", b"d", b"nmea", b"%d" % time_ns) + b"$x")


def test_a_message_without_a_time_of_its_own():
    for session in ("mqtt/a-1#0", "mqtt/a-1#1", "mqtt/a-1#0"):
        name = session.encode()
        assert once([b"d", b"x", b"\0\1"], session, b"open") == digest(name)[:4] + hashed(
            b"once", b"d", b"x", b"\0\1", name, b"open")
