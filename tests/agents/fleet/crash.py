"""Play an agent in processes of their own and kill them: `python -m tests.agents.fleet.crash FOLDER ROW N...`.

Each N is a number: the process plays all bars before ROW, and in that bar dies by SIGKILL just before its N-th database
action (statement or commit). Every process works on `FOLDER/<n>.db`, a copy of what the bars before left; the parent
forks, so that the libraries are loaded once, and no connection is open before the fork.
"""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

from sqlalchemy import event

from tests.agents.fleet.stage import Stage, Tape, make_profile, walk

COUNT = 60
SYMBOLS = ("AAA/USDT", "BBB/USDT")
STRATEGIES = """
  - {name: breakout, weight: 0.5, parameters: {entry_bars: 6, exit_bars: 3, range_bars: 6}}
  - {name: grid, weight: 0.5, parameters: {efficiency_bars: 6, most_efficiency: 0.9, levels: 2, stop_steps: 3}}
"""


def make_stage(path: Path) -> Stage:
    bars = [walk(symbol, COUNT, seed) for seed, symbol in enumerate(SYMBOLS, start=3)]
    return Stage(path, Tape(bars), make_profile(STRATEGIES))


async def play_until(path: Path, row: int) -> Stage:
    stage = make_stage(path)
    await stage.open()
    await stage.play(SYMBOLS, row)
    return stage


async def close_one_and_die(path: Path, row: int, after: int) -> None:
    stage = make_stage(path)
    bars = [walk(symbol, COUNT, seed) for seed, symbol in enumerate(SYMBOLS, start=3)]
    stage.market.present = stage.market.present.fromtimestamp(int(bars[0].time[row]), stage.market.present.tzinfo)
    await stage.desk.start()
    await stage.agent.recover()
    left = iter(range(after, 0, -1))

    def count(*_: object) -> None:
        if next(left, 0) == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(stage.database, "before_cursor_execute", count)
    event.listen(stage.database, "commit", count)
    await stage.close_bar(SYMBOLS)


def main(folder: str, row: str, *places: str) -> None:
    for number, place in enumerate(places):
        path = Path(folder) / f"{number}.db"
        shutil.copy(Path(folder) / "before.db", path)
        pid = os.fork()
        if pid == 0:
            try:
                asyncio.run(close_one_and_die(path, int(row), int(place)))
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
        status = os.waitpid(pid, 0)[1]
        sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else f"exit {os.waitstatus_to_exitcode(status)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
