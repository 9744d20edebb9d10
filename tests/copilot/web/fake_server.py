"""Serve the real page with the fake core, in a process of its own: Chainlit allows one app per process."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from copilot.web.server import serve
from tests.copilot.web.fakes import FakeCore

PASSWORD = "correct horse battery"


def main(folder: Path, port: int, with_password: bool) -> None:
    """Serve until killed; what the page says goes to standard output, line by line."""

    def say(words: str) -> None:
        sys.stdout.write(words + "\n")
        sys.stdout.flush()

    asyncio.run(
        serve(
            FakeCore(folder),
            port=port,
            owner="owner",
            data_dir=folder,
            check_password=(lambda password: password == PASSWORD) if with_password else None,
            say=say,
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["password"])
