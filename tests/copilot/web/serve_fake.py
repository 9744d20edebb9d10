"""Serve the page over the fake core in a process of its own: `python -m tests.copilot.web.serve_fake DATA_DIR …`.

Lines on its standard input steer the core, so that a test can make things happen behind the page: `notice TEXT`,
`ticket`, `forget` (what the owner set, tickets and conversations). Each is answered by how many conversations are
remembered, how often trading was stopped, and what was executed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from copilot.web.server import serve
from copilot.web.tables import web_elements, web_steps, web_threads
from copilot.web.threads import Threads
from engine.data.database import connect_database, metadata
from tests.copilot.web.fake_core import OWNER, STRANGERS_TICKET, FakeCore

PASSWORD = "correct horse"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def steer(core: FakeCore, threads: Threads) -> None:
    """Obey the lines of the test."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        order, _, rest = line.strip().partition(" ")
        if order == "notice":
            core.pending_notices.append(rest)
        elif order == "ticket":
            core.open_ticket(OWNER)
        elif order == "forget":
            for kept in (core.languages, core.executed, core.profiles, core.alerts, core.heard, core.stopped_by):
                kept.clear()
            threads.forget(OWNER)
            for number in [number for number in core.tickets if number != STRANGERS_TICKET]:
                del core.tickets[number]
        elif order == "pace":
            core.execution_s = float(rest)
        say(f"heard {len(core.heard)} stopped {len(core.stopped_by)}")
        say(f"executed {core.executed}")


async def show_dashboard(request: Request) -> HTMLResponse:
    """Stand in for the live page."""
    return HTMLResponse("<h1>Live page</h1>", headers={"content-security-policy": "default-src 'none'"})


async def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--password", action="store_true")
    arguments = parser.parse_args()
    core = FakeCore()
    arguments.data_dir.mkdir(parents=True, exist_ok=True)
    database = connect_database(f"sqlite:///{arguments.data_dir}/threads.db")
    metadata.create_all(database, tables=[web_threads, web_steps, web_elements])
    threads = Threads(database, lambda: datetime.now(UTC))
    steering = asyncio.create_task(steer(core, threads))
    try:
        await serve(
            core,
            threads,
            host="127.0.0.1",
            port=arguments.port,
            owner=OWNER,
            data_dir=arguments.data_dir,
            fallback_language="en",
            check_password=(lambda password: password == PASSWORD) if arguments.password else None,
            dashboard=Starlette(routes=[Route("/", show_dashboard)]),
            say=say,
        )
    finally:
        steering.cancel()
        database.dispose()


if __name__ == "__main__":
    asyncio.run(main())
