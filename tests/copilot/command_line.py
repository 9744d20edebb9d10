"""Two ways to run the command line: in this process, which is fast, and as a program of its own, as a person does."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from copilot.cli import main

LIMIT_S = 180
"""Far beyond what is needed, for machines that do other work too."""
INTERRUPTED = 130
COLUMNS = "time=date,open=o,high=h,low=l,close=c,volume=v"


def call(*args: str, said: str = "", **environment: str) -> tuple[int, str, str]:
    """Run the program's `main` here and return its status and what it wrote to either stream."""
    out, err = io.BytesIO(), io.BytesIO()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as heard, pytest.MonkeyPatch.context() as patch:
        heard.write(said)
        heard.seek(0)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "stdin", heard)  # a real file: chat reads it past Python's buffer
        for name, stream in (("stdout", out), ("stderr", err)):
            patch.setattr(sys, name, io.TextIOWrapper(stream, encoding="utf-8", write_through=True))
        patch.setattr(sys, "argv", ["trading-copilot", *args])
        patch.setattr(logging.root, "handlers", [])  # what is logged goes to that standard error, as in a process
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out.getvalue().decode(), err.getvalue().decode()


@contextmanager
def start(*args: str, stderr: int = subprocess.PIPE, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program with pipes for its streams; what still runs at the end is killed."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job hands that down
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "copilot", *args]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": stderr, "text": True}
    with subprocess.Popen(command, env={**os.environ, **environment}, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the first line of the program's output that holds a text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"it ended without saying {text!r}: {process.stderr and process.stderr.read()}")


def ended_by_interrupt(status: int) -> bool:
    """Tell whether a program ended because it was interrupted; a shell shows 130 for both of these."""
    return status in (INTERRUPTED, -signal.SIGINT)


def bars_file(path: Path, rows: int = 48) -> Path:
    """Write hourly bars under column names of our own and return the path."""
    lines = ["date,o,h,l,c,v"]
    lines += [f"2024-01-{1 + n // 24:02} {n % 24:02}:00,{100 + n},{101 + n},{99 + n},{100 + n},5" for n in range(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path
