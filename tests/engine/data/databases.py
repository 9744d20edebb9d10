"""Tables of bars in a real MariaDB, and a wire to it that can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pymysql
from sqlalchemy.engine import make_url

START = datetime(2024, 1, 2, tzinfo=UTC)  # a Tuesday
STANDARD = "open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE"


def at(number: int) -> datetime:
    """Return the open time of a bar of one minute, without zone, as MariaDB takes it."""
    return (START + timedelta(minutes=number)).replace(tzinfo=None)


def prices(number: int) -> tuple[float, ...]:
    """Return open, high, low, close and volume of a bar; no two bars are alike."""
    middle = 100 + number % 50 / 8 + number / 1e6
    return (*(round(middle + change, 6) for change in (0.0, 0.5, -0.5, 0.1)), 1.0 + number % 7)


def execute(url: str, statement: str, rows: Sequence[Sequence[object]] = ()) -> list[tuple[object, ...]]:
    """Run one statement, once or for each row, and return what it answers."""
    parsed = make_url(url)
    assert parsed.host is not None
    assert parsed.port is not None
    connection = pymysql.connect(host=parsed.host, port=parsed.port, user="root", database=parsed.database)
    with connection, connection.cursor() as cursor:
        if rows:
            cursor.executemany(statement, rows)
        else:
            cursor.execute(statement)
        connection.commit()
        return list(cursor.fetchall())


def fill(url: str, table: str, numbers: Sequence[int]) -> None:
    """Make a table `time, open, high, low, close, volume` with a primary key on the time, and fill it."""
    execute(url, f"CREATE TABLE IF NOT EXISTS `{table}` (time DATETIME PRIMARY KEY, {STANDARD})")
    insert(url, table, numbers)


def insert(url: str, table: str, numbers: Sequence[int]) -> None:
    """Add bars to a table of `fill`."""
    execute(url, f"INSERT INTO `{table}` VALUES (%s, %s, %s, %s, %s, %s)", [(at(n), *prices(n)) for n in numbers])


class Wire:
    """A wire to a server that is cut after so many bytes of answers, a few times, and then holds."""

    def __init__(self, port: int, cut_after: int, cuts: int) -> None:
        self.cuts_left, self.answered = cuts, 0
        self._target, self._cut_after = port, cut_after
        self._is_down = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut_from_now(self) -> None:
        """Refuse every new connection."""
        self._is_down = True

    def mend(self) -> None:
        """Let connections through again."""
        self._is_down = False

    def close(self) -> None:
        """Stop, and wait for every thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_down:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            for source, target, is_answer in ((client, server, False), (server, client, True)):
                thread = threading.Thread(target=self._carry, args=(source, target, is_answer), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        carried = 0
        try:
            while data := source.recv(1 << 14):
                carried += len(data)
                if is_answer and self.cuts_left and carried > self._cut_after:
                    self.cuts_left -= 1
                    break
                self.answered += len(data) if is_answer else 0
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            source.close()


@contextmanager
def wire(url: str, cut_after: int, cuts: int) -> Iterator[tuple[str, Wire]]:
    """Put a wire between us and the database, and yield the URL of its near end."""
    port = make_url(url).port
    assert port is not None
    between = Wire(port, cut_after, cuts)
    try:
        yield make_url(url).set(port=between.port).render_as_string(hide_password=False), between
    finally:
        between.close()
