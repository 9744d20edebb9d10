"""Write files so that a reader, or a crash at any moment, sees the old file or the new one and nothing between."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: Path, write: Callable[[Path], object], *, is_private: bool = True) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in the place of `path`.

    A private file is this account's alone; another one, made for others to read, has the rights of any new file.

    The file and its folder are flushed to the disk before it returns. When `write` fails, `path` is untouched and
    the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".partial", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    if not is_private:
        temporary.unlink()
    try:
        write(temporary)
        _flush(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
