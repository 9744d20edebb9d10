"""Kill the process of a fund with SIGKILL at the edges of commits and of the desk's movements, and start it again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import traceback
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agents.fund.funds import Funds
from engine.data.database import connect_database, metadata
from engine.data.files import write_atomically
from tests.agents.fund.desk import FakeDesk, open_tables
from tests.agents.fund.test_crashes import Fuse, live, outcome


class KeptDesk(FakeDesk):
    """A desk whose books outlive its process: every movement is on the disk before it is confirmed."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        super().__init__()
        self._path, self._fuse = path, fuse
        if path.exists():
            kept = json.loads(path.read_text())
            self.cash = {book: Decimal(text) for book, text in kept["cash"].items()}
            self.moves = {source: (_at(move[0]), move[1], move[2], Decimal(move[3]))
                          for source, move in kept["moves"].items()}  # fmt: skip
            self.results = [(_at(when), book, Decimal(text)) for when, book, text in kept["results"]]
            self.clock = max(
                self.clock, *(move[0] for move in self.moves.values()), *(each[0] for each in self.results)
            )

    def earn(self, book: str, amount: Decimal | str | int) -> None:
        super().earn(book, amount)
        self._keep()

    async def transfer(self, amount: Decimal, from_book: str, to_book: str, source: str) -> bool:
        is_moved = await super().transfer(amount, from_book, to_book, source)
        self._fuse()
        self._keep()
        self._fuse()
        return is_moved

    def _keep(self) -> None:
        kept = {"cash": self.cash, "moves": self.moves, "results": self.results}
        text = json.dumps(kept, default=str)
        write_atomically(self._path, lambda draft: draft.write_text(text))


class Deadly(Fuse):
    """Kills its own process at its place."""

    def __call__(self, *_: Any) -> None:
        self.seen += 1
        if self.seen - 1 == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def live_in_a_process(folder: Path, place: int | None) -> int:
    """Live in a process of its own; return how it ended (−9: killed)."""
    child = os.fork()
    if child == 0:
        try:
            fuse = Deadly(place)
            database = connect_database(f"sqlite:///{folder / 'funds.db'}")
            fuse.around_commits(database)
            asyncio.run(live(database, KeptDesk(folder / "desk.json", fuse), fuse))
            (folder / "places").write_text(str(fuse.seen))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def end_of_life(folder: Path) -> tuple[object, ...]:
    database = connect_database(f"sqlite:///{folder / 'funds.db'}")
    found = outcome(database, KeptDesk(folder / "desk.json", Fuse(None)))
    assert Funds(database, FakeDesk()).audit("nova") == ()
    database.dispose()
    return found


def kill_everywhere(factory: pytest.TempPathFactory, step: int) -> int:
    whole = factory.mktemp("whole")
    open_tables(whole).dispose()
    assert live_in_a_process(whole, None) == 0
    undisturbed, places = end_of_life(whole), int((whole / "places").read_text())
    for place in range(0, places, step):
        folder = factory.mktemp("killed")
        open_tables(folder).dispose()
        assert live_in_a_process(folder, place) == -signal.SIGKILL
        assert live_in_a_process(folder, place // 2) in (0, -signal.SIGKILL)
        assert live_in_a_process(folder, None) == 0
        assert end_of_life(folder) == undisturbed, f"killed at place {place}"
    return places


def test_a_killed_fund_goes_on_where_it_was(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert kill_everywhere(tmp_path_factory, 31) > 60


@pytest.mark.prove
def test_a_fund_killed_at_every_place_and_again_goes_on_where_it_was(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert kill_everywhere(tmp_path_factory, 1) > 60


@pytest.mark.mariadb
async def test_a_fund_lives_on_mariadb_as_on_sqlite(mariadb_url: str, tmp_path: Path) -> None:
    found = []
    for database in (open_tables(tmp_path), connect_database(mariadb_url)):
        metadata.create_all(database)
        desk = FakeDesk()
        await live(database, desk, Fuse(None))
        await live(database, desk, Fuse(None))
        found.append(outcome(database, desk))
        database.dispose()
    assert found[0] == found[1]
