"""One process of a supervisor: `python -m tests.agents.supervisor.process URL HOST`.

Its one worker writes a row every few milliseconds, with the fence of its term and whether the term still stood, until
it is killed. HOST `here` gives the process its own identity; any other name pretends that it runs elsewhere, where
nobody can see whether it lives.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Mapping

from sqlalchemy import Column, Engine, Float, Integer, MetaData, Table, insert

from agents.supervisor import Job, NotLeading, Pulse, Supervisor, SupervisorSettings, has_fence
from engine.data.database import connect_database

SETTINGS = SupervisorSettings(
    lease_s=1.5, renew_s=0.2, retry_s=0.05, margin_s=0.6, grace_s=0.3, skew_s=0.2, poll_s=0.05, beat_s=0.2
)
_EVERY_S = 0.005

deeds = Table(
    "test_deeds",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("fence", Integer, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("at", Float, nullable=False),
)


class Silent:
    """A notifier whom nobody hears."""

    def notify(self, owner: str, kind: str, params: Mapping[str, str]) -> None:
        """Forget it."""


def make_worker(database: Engine) -> Job:
    """Return the worker: what it does is done under its fence, in one transaction."""

    async def work(pulse: Pulse) -> None:
        while True:
            pulse.beat()
            pulse.require_term()
            with database.begin() as connection:
                if not has_fence(connection, pulse.fence):
                    raise NotLeading("replaced")
                values = {"fence": pulse.fence, "pid": os.getpid(), "at": time.clock_gettime(time.CLOCK_BOOTTIME)}
                connection.execute(insert(deeds).values(values))
            await asyncio.sleep(_EVERY_S)

    return Job("deeds", work)


async def main(url: str, host: str) -> None:
    """Run until killed."""
    database = connect_database(url)
    token = None if host == "here" else f"pid:[1]/{host}|boot|1|1|{os.getpid()}"
    worker = make_worker(database)
    await Supervisor(database, [worker], notifier=Silent(), owner="ana", settings=SETTINGS, token=token).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
