"""A folder as a target: one file a stream, the scenes, what must be enrolled, and SHA256SUMS over all of them.

``FORMAT-STREAM.jsonl`` holds one message a line in the form that ``birddog decode --jsonl`` reads: format, hex or
text, topic, session, received.  A stream of bytes (TCP, UDP, serial) is there a second time as it would be captured,
``FORMAT-STREAM.raw``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import msgspec

from birddog.errors import UsageError
from birddog.model import Body
from birddog.units import iso_from_ns
from devices import codec
from sim.emission import Emission
from sim.emit import Target

SUMS = "SHA256SUMS"
RAW = frozenset({"tcp", "udp", "pty"})


class FolderEmitter:
    """Writes into a folder; ``begin`` says when the scenario starts.

    Beside live targets a folder that takes nothing but scenes is one to be watched: they lie in it directly.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._files: dict[str, object] = {}
        self._written: set[str] = set()
        self._start_ns = 0
        self._scenes = "scenes/"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._clear()
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", file=str(folder)) from error

    def begin(self, start_ns: int, registers: list[Body], *, watched: bool = False) -> None:
        """Write what must be enrolled; ``watched``: nothing but scenes comes, and somebody watches the folder."""
        self._start_ns = start_ns
        if watched:
            self._scenes = ""
            return
        lines = []
        for body in registers:
            kind = type(body).__name__.lower()
            lines.append(json.dumps({"kind": kind, **msgspec.to_builtins(body)}, separators=(",", ":"), allow_nan=False) + "\n")
        try:
            self._whole("enrol.jsonl", "".join(lines).encode())
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", file=str(self.folder)) from error

    def send(self, emission: Emission) -> None:
        """Write one message, or a scene under its final name only when it is whole.

        Raises:
            UsageError: the disk is full, or the folder has gone.
        """
        try:
            self._send(emission)
        except OSError as error:
            raise UsageError(f"cannot be written: {error.strerror}", file=error.filename or str(self.folder)) from error

    def _send(self, emission: Emission) -> None:
        if emission.transport == "scenes":
            (self.folder / self._scenes).mkdir(exist_ok=True)
            self._whole(f"{self._scenes}{emission.channel}", emission.payload)
            return
        name = f"{emission.format}-{re.sub(r'[^A-Za-z0-9._-]', '_', emission.stream)}"
        line: dict[str, object] = {"format": emission.format}
        text = _text(emission)
        line |= {"text": text} if text is not None else {"hex": emission.payload.hex()}
        if emission.channel:
            line["topic"] = emission.channel
        elif codec.is_nameless(emission.format):
            line["topic"] = f"birddog/v1/{emission.device}/{emission.format}"
        line |= {"session": emission.stream, "received": iso_from_ns(self._start_ns + emission.at_ns)}
        self._append(f"{name}.jsonl", (json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n").encode())
        if emission.transport in RAW:
            self._append(f"{name}.raw", emission.payload)

    def close(self, wait_s: float) -> list[str]:
        """Close the files and write SHA256SUMS."""
        for file in self._files.values():
            file.close()  # type: ignore[attr-defined]
        self._files.clear()
        sums = []
        try:
            for name in sorted(self._written):
                with (self.folder / name).open("rb") as file:
                    sums.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
            (self.folder / SUMS).write_text("".join(sums), encoding="utf-8")
        except OSError as error:
            return [f"{self.folder}: {SUMS} cannot be written: {error.strerror}"]
        return []

    def _append(self, name: str, data: bytes) -> None:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = (self.folder / name).open("wb", buffering=0)
            self._written.add(name)
        file.write(data)  # type: ignore[attr-defined]

    def _whole(self, name: str, data: bytes) -> None:
        part = self.folder / f"{name}.part"
        part.write_bytes(data)
        os.replace(part, self.folder / name)
        self._written.add(name)

    def _clear(self) -> None:
        """Take away what an earlier run wrote here: the files that its SHA256SUMS names, nothing else."""
        sums = self.folder / SUMS
        if not sums.is_file():
            return
        root = self.folder.resolve()
        for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
            name = line[66:]
            path = (self.folder / name).resolve()
            if name and path.is_file() and path.is_relative_to(root):
                path.unlink()
        sums.unlink()


def _text(emission: Emission) -> str | None:
    if not codec.is_text(emission.format):
        return None
    try:
        return emission.payload.decode("utf-8")
    except UnicodeDecodeError:
        return None  # a fault broke it


def open_target(target: Target) -> FolderEmitter:
    """The folder, made where it is absent."""
    return FolderEmitter(Path(target.path))
