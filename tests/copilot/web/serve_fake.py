"""Serve the page over the fake core in a process of its own: `python -m tests.copilot.web.serve_fake DATA_DIR …`.

Lines on its standard input steer the core, so that a test can make things happen behind the page: `notice TEXT`,
`ticket`, `forget` (the owner's language and tickets), `executed` (prints what was executed).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from copilot.web.server import serve
from tests.copilot.web.fake_core import OWNER, STRANGERS_TICKET, FakeCore

PASSWORD = "correct horse"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def steer(core: FakeCore) -> None:
    """Obey the lines of the test."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        order, _, rest = line.strip().partition(" ")
        if order == "notice":
            core.pending_notices.append(rest)
        elif order == "ticket":
            core.open_ticket(OWNER)
        elif order == "forget":
            core.languages.clear()
            core.executed.clear()
            for number in [number for number in core.tickets if number != STRANGERS_TICKET]:
                del core.tickets[number]
        elif order == "pace":
            core.execution_s = float(rest)
        say(f"executed {core.executed}")


async def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--password", action="store_true")
    arguments = parser.parse_args()
    core = FakeCore()
    steering = asyncio.create_task(steer(core))
    try:
        await serve(
            core,
            host="127.0.0.1",
            port=arguments.port,
            owner=OWNER,
            data_dir=arguments.data_dir,
            fallback_language="en",
            check_password=(lambda password: password == PASSWORD) if arguments.password else None,
            say=say,
        )
    finally:
        steering.cancel()


if __name__ == "__main__":
    asyncio.run(main())
