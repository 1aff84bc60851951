"""The processes of a run: one module a role, each with ``run(plan) -> exit status``."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any


def run(role: str, plan: Any) -> int:
    """Run one role in this process until a signal."""
    os.umask(0o077)  # what we write holds positions and cases
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=f"%(asctime)s {role} %(levelname)s %(message)s",
                        datefmt="%Y-%m-%dT%H:%M:%S%z")
    for noisy in ("pymodbus", "asyncio", "uvicorn.error", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return importlib.import_module(f"opsroom.roles.{role}").run(plan)
