"""The processes of a run: one module a role, each with ``run(plan) -> exit status``."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
from typing import Any

from birddog.errors import place_of
from birddog.logs import log_to


def run(role: str, plan: Any) -> int:
    """Run one role in this process until a signal."""
    os.umask(0o077)  # what we write holds positions and cases
    log_to(sys.stderr, role)
    for noisy in ("pymodbus", "asyncio", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of each request that is no HTTP
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # GDAL's words on a broken scene; ours name the file
    threading.excepthook = _thread_crashed
    return importlib.import_module(f"opsroom.roles.{role}").run(plan)


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    # instead of a traceback on the terminal of whoever started the run
    name = crash.thread.name if crash.thread is not None else "?"
    logging.getLogger(__name__).error("the thread %s crashed: %s", name, place_of(crash.exc_value or crash.exc_type()))
