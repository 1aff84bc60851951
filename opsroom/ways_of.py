"""The ways that are used, of an archive on disk or a file of tracks, and its hash (docs/events.md, lane_stop and deviation)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from birddog.errors import UsageError
from opsroom.forecasting import tracks_of
from tracking.events.ways import Ways, learn


def learned(path: str, *, for_all: bool = False) -> tuple[Ways, str]:
    """(the ways, SHA-256 of the archive's ``archive.json``, or of the file).

    Args:
        for_all: the ways are for every case of a journal: none may be learned of what is some case's own.

    Raises:
        UsageError: it cannot be read, or may not be used so.
    """
    sha256 = sha256_of(path)
    past, cases = tracks_of(path)
    if for_all and cases is None:
        raise UsageError("was built before archives said of which cases they are: build it anew", file=path)
    if for_all and cases:
        raise UsageError(f"holds fixes of the cases {', '.join(cases)}, and events of every case would rest on them: build one "
                         "with birddog archive build --open-only", file=path)  # fmt: skip
    return Ways(learn(past, archive_sha256=sha256)), sha256


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
