"""Which code made a model: the release, and a hash of the sources that its numbers depend on.

The release alone would call every change between two releases the same code.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOMS = ("domain", "features", "ml")


@cache
def code_version() -> str:
    """Return release and source hash of the code that is running, such as `0.1.0+3f9a1c0b7e52`."""
    engine = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(path for room in _ROOMS for path in (engine / room).rglob("*.py")):
        digest.update(path.relative_to(engine).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    try:
        release = version("trading-copilot")
    except PackageNotFoundError:
        release = "unreleased"
    return f"{release}+{digest.hexdigest()[:12]}"
