"""Stopping a process as a debugger would, but never within a write: there it would hold SQLite's lock all the while."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path


def freeze(process: subprocess.Popen[bytes], file: Path | None) -> None:
    """Stop a process between two of its writes to a SQLite file; at any moment where there is none."""
    for _ in range(100):
        os.kill(process.pid, signal.SIGSTOP)
        if file is None or _is_free(file):
            return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("it was never caught between two writes")


def _is_free(file: Path) -> bool:
    with closing(sqlite3.connect(file, timeout=0.5)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.rollback()
        return True
