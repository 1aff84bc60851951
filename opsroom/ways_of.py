"""The ways that are used, of an archive on disk or a file of tracks, and its hash (docs/events.md, lane_stop and deviation)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from birddog.errors import UsageError
from opsroom.forecasting import tracks_of
from tracking.events.ways import Ways, learn


def learned(path: str) -> tuple[Ways, str]:
    """(the ways, SHA-256 of the archive's ``archive.json``, or of the file).

    Raises:
        UsageError: it cannot be read.
    """
    sha256 = sha256_of(path)
    return Ways(learn(tracks_of(path), archive_sha256=sha256)), sha256


def sha256_of(path: str) -> str:
    """What an archive is called in what rests on it.

    Raises:
        UsageError: it cannot be read.
    """
    said = Path(path) / "archive.json" if Path(path).is_dir() else Path(path)
    try:
        with open(said, "rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=str(said)) from error
