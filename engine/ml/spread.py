"""Where the fits of a walk-forward are done: in threads of this process, or on the workers of a Dask cluster.

The work and its numbers are the same: a fit uses one thread and depends on nothing but its rows. A cluster must run
this product in the same version, and must be the owner's own: Dask's workers do whatever a client sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from engine.domain.errors import ConfigError

WORKERS = 2
CONNECT_S = 10.0

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """Applies one function to many items beside what they share."""

    def map(
        self,
        work: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
        done: Callable[[int, Result], None],
    ) -> list[Result]:
        """Return the results in the order of the items; `done` is called with the place and result of each."""
        ...


class Threads:
    """Threads of this process.

    Args:
        workers: How many work at a time.
    """

    def __init__(self, workers: int = WORKERS) -> None:
        self._workers = workers

    def map(
        self,
        work: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
        done: Callable[[int, Result], None],
    ) -> list[Result]:
        """Return the results in the order of the items; `done` is called with the place and result of each."""

        def one(place: int, item: Item) -> Result:
            result = work(shared, item)
            done(place, result)
            return result

        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(one, range(len(items)), items))


class DaskSpread:
    """The workers of a Dask cluster.

    Args:
        client: A connected `distributed.Client`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def map(
        self,
        work: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Sequence[Item],
        done: Callable[[int, Result], None],
    ) -> list[Result]:
        """Return the results in the order of the items; `done` is called with the place and result of each."""
        from distributed import as_completed

        scattered = self._client.scatter(shared, hash=False, broadcast=True)
        futures = self._client.map(work, [scattered] * len(items), list(items), pure=False)
        places = {future.key: place for place, future in enumerate(futures)}
        try:
            for future in as_completed(futures, loop=self._client.loop):  # type: ignore[no-untyped-call]  # it ships no types
                done(places[future.key], future.result())
            results: list[Result] = self._client.gather(futures)
        finally:
            self._client.cancel(futures)
        return results


@contextmanager
def open_spread(dask: str | None) -> Iterator[Spread]:
    """Yield threads, or the cluster behind the address of a Dask scheduler.

    Raises:
        ConfigError: Dask is not installed, or no scheduler answers there.
    """
    if dask is None:
        yield Threads()
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError("--dask needs the extra: pip install 'trading-copilot[dask]'") from error
    try:
        client = Client(dask, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]  # as above
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(
            f"--dask {dask!r}: no Dask scheduler answers there ({type(error).__name__}); write it like "
            "tcp://127.0.0.1:8786, and start one with: dask scheduler"
        ) from error
    with client:
        yield DaskSpread(client)
