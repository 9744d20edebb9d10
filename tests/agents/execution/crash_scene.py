"""A busy scene in a process that dies by SIGKILL: `python -m tests.agents.execution.crash_scene FOLDER N...`.

For each N a process plays the scene on `FOLDER/N/place.db` and is killed just before its N-th database action
(statement or commit): an entry with protection, protection moved, a transfer, a partial close, a close, a halt.
"""

import asyncio
import os
import sys
from pathlib import Path

from sqlalchemy import event

from agents.execution.desk import Desk
from engine.domain.errors import CopilotError
from tests.agents.execution.crash import die, forked
from tests.agents.execution.fakes import D, request
from tests.agents.execution.place import Place, send


async def play(desk: Desk, place: Place) -> None:
    """Play the scene from wherever it was left; every step may be repeated."""
    entry = request(quantity="2", stop_loss="90", take_profit="120", source="scene:1")
    await send(desk, entry, "scene:1", "atlas")
    await send(desk, request(quantity="3", stop_loss="80", source="scene:2"), "scene:2", "nova")
    for stop in ("92", "93"):
        try:
            await desk.protect(entry.client_order_id, stop_loss=D(stop), take_profit=D(120))
        except CopilotError:
            break  # closed already, or halted
    await desk.transfer(D(500), "atlas", "nova", "scene:move")
    await send(desk, request("sell", "1", source="scene:3", reduce=True), "scene:3", "nova")
    await send(desk, request(kind="limit", price="95", stop_loss="90", source="scene:4"), "scene:4", "nova")
    await desk.close("atlas", "BTC/USDT", "scene:5")
    await desk.halt("nova", "ana", "scene")


async def prepare(folder: Path) -> Place:
    """Open a place whose books have their budgets."""
    place = Place(folder)
    await place.desk("atlas", "nova")
    return place


async def die_at(folder: Path, action: int) -> None:
    """Play the scene and die before its n-th database action."""
    place = await prepare(folder)
    desk = await place.desk()
    left = iter(range(action, 0, -1))

    def count(*_: object) -> None:
        if next(left, 0) == 1:
            die()

    event.listen(place.database, "before_cursor_execute", count)
    event.listen(place.database, "commit", count)
    await play(desk, place)


def main(folder: str, *actions: str) -> None:
    """Run a process for each place to die at, and say how each ended."""
    for action in actions:
        path = Path(folder) / action
        path.mkdir()
        work = lambda path=path, action=action: asyncio.run(die_at(path, int(action)))  # noqa: E731
        status = os.waitpid(forked(work), 0)[1]
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
