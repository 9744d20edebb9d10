"""Run sendings in processes of their own and kill them: `python -m tests.agents.execution.crash FOLDER ORDER WHERE...`.

Each WHERE is a checkpoint's name or a number n: the process dies by SIGKILL there, or just before the n-th database
action (statement or commit) of the sending. `race` instead lets some processes send one intent many times at once.
Every process works on `FOLDER/<n>.db`, n counted from 0 (`race`: all on the first); the parent forks, so that
the libraries are loaded once, and no connection is open before the fork.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event

from agents.execution.desk import Desk
from agents.execution.paper import PaperVenue
from engine.domain.orders import OrderRequest
from engine.sim.matching import MatchingSettings
from tests.agents.execution.fakes import CASH, WIDE, D, FakeMarket, intent, open_database, request

ORDERS = {
    "market": request(quantity="2", stop_loss="90", take_profit="110"),
    "limit": request(quantity="2", kind="limit", price="95", stop_loss="90"),
    "denied": request("sell", "2"),
}
EXACT = MatchingSettings(slippage_bps=D(0))
RACING_PROCESSES, RACING_CALLS = 4, 25


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def send(path: Path, order: OrderRequest, where: str, times: int = 1) -> None:
    checkpoint: Callable[[str], None] = lambda name: die() if name == where else None  # noqa: E731
    market, database = FakeMarket(), open_database(path)
    venue = PaperVenue(database, market, starting_cash=CASH, settings=EXACT, checkpoint=checkpoint)
    desk = Desk(database, venue, market, WIDE, starting_cash=CASH, checkpoint=checkpoint)
    await desk.start()
    if where.isdigit():
        left = iter(range(int(where), 0, -1))

        def count(*_: object) -> None:
            if next(left, 0) == 1:
                die()

        event.listen(database, "before_cursor_execute", count)
        event.listen(database, "commit", count)
    await asyncio.gather(*(desk.execute(intent(order)) for _ in range(times)))


def forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    return pid


def main(folder: str, kind: str, *places: str) -> None:
    if kind == "race":
        path = Path(folder) / "0.db"
        open_database(path).dispose()
        race = lambda: asyncio.run(send(path, ORDERS["market"], "", RACING_CALLS))  # noqa: E731
        pids = [forked(race) for _ in range(RACING_PROCESSES)]
        ends = [os.waitpid(pid, 0)[1] for pid in pids]
        sys.exit(any(ends))
    for number, where in enumerate(places):
        path = Path(folder) / f"{number}.db"
        pid = forked(lambda path=path, where=where: asyncio.run(send(path, ORDERS[kind], where)))  # type: ignore[misc]
        status = os.waitpid(pid, 0)[1]
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
