"""Opens the venue that the settings name, and guards the way to real money.

Paper needs nothing. Real money needs three things that do not depend on each other: the setting, a key that cannot take
money out (the exchange is asked), and words that the owner typed for this very key (`trading-copilot live`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine

from agents.execution.binance import BinanceVenue, LiveGate, Told, decide_live, fingerprint_of, open_binance
from agents.execution.paper import PaperVenue
from copilot.settings import Settings
from engine.domain.errors import ConfigError, VenueUnavailable
from engine.domain.protocols import MarketData, Notifier, Venue
from prompts import load_words

TellIncident = Callable[[Told], None]


class RunningVenue(Venue, Protocol):
    """A venue that fills orders while nobody asks."""

    async def advance(self) -> int:
        """Settle what happened; return how many fills are new."""
        ...


def starting_cash(settings: Settings) -> Decimal | None:
    """Return what an empty ledger opens with: paper money, or (None) what the venue holds."""
    return settings.starting_balance if settings.venue == "paper" else None


@asynccontextmanager
async def running_venue(
    settings: Settings, database: Engine, market: MarketData, tell: TellIncident | None = None
) -> AsyncIterator[RunningVenue]:
    """Yield the venue of the settings, settled and listening, and close it at the end; what rests there stays.

    Raises:
        ConfigError: It does not answer, refuses the key, or real money is not allowed; what is missing is named.
    """
    if settings.venue == "paper":
        yield PaperVenue(database, market, starting_cash=settings.starting_balance)
        return
    venue = connect_venue(settings, database, tell)
    try:
        try:
            await venue.gateway.sync_clock()
            if settings.is_real_money:
                refuse_unless_allowed(settings, await check_live(settings, venue))
            await venue.start()
        except VenueUnavailable as error:
            raise ConfigError(
                f"{settings.venue} does not answer ({error}); nothing was sent. Start again when it does, or set "
                "COPILOT_VENUE=paper"
            ) from error
        yield venue
    finally:
        await venue.close()


def connect_venue(settings: Settings, database: Engine, tell: TellIncident | None = None) -> BinanceVenue:
    """Return the venue of the settings, which has not spoken to the exchange yet.

    Raises:
        ConfigError: The settings name none, or the file with its key cannot be read.
    """
    if settings.venue == "paper":
        raise ConfigError("COPILOT_VENUE is 'paper': orders go to no exchange")
    return open_binance(
        settings.venue,
        settings.binance_key.get_secret_value(),
        _secret(settings),
        database,
        urls=_addresses(settings),
        on_incident=tell,
    )


async def check_live(settings: Settings, venue: BinanceVenue) -> LiveGate:
    """Ask whether real money may be used with this key now.

    Raises:
        VenueUnavailable: The exchange does not tell what the key may do.
    """
    kept = confirmation_file(settings)
    typed = kept.read_text() if kept.is_file() else None
    return decide_live(settings.venue, await venue.check_keys(), typed, fingerprint=fingerprint(settings))


def refuse_unless_allowed(settings: Settings, gate: LiveGate) -> None:
    """Raise with everything that is missing.

    Raises:
        ConfigError: Something is.
    """
    if not gate.is_allowed:
        words = load_words(settings.language, "terminal")["live"]
        missing = "; ".join(words["missing"][code] for code in gate.reasons)
        raise ConfigError(words["refused"].format(missing=missing))


def fingerprint(settings: Settings) -> str:
    """Return a short name of the key that gives nothing away."""
    return fingerprint_of(settings.binance_key.get_secret_value())


def confirmation_file(settings: Settings) -> Path:
    """Return where the owner's typed words are kept."""
    return settings.data_dir / "binance" / "confirmation"


def keep_confirmation(settings: Settings, typed: str) -> None:
    """Keep the owner's words for the next start, readable by this account alone."""
    path = confirmation_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(" ".join(typed.split()))


def incident_teller(notifier: Notifier, owner: str) -> TellIncident:
    """Return what tells the owner of trouble at the venue."""

    def tell(told: Told) -> None:
        figures = ", ".join(f"{name} {value}" for name, value in told.detail.items())
        params = {"symbol": told.symbol, "order": told.client_order_id, "figures": figures}
        notifier.notify(owner, f"incident_{told.code}", params)

    return tell


def _secret(settings: Settings) -> str:
    """Return the secret, or what the file holds that it names."""
    secret = settings.binance_secret.get_secret_value()
    if os.sep not in secret or "PRIVATE KEY" in secret or not Path(secret).is_file():
        return secret
    try:
        return Path(secret).read_text()
    except OSError as error:
        raise ConfigError(f"COPILOT_BINANCE_SECRET names a file that cannot be read ({error.strerror})") from error


def _addresses(settings: Settings) -> dict[str, Any] | None:
    """Return ccxt's addresses of a server in Binance's place; None for Binance itself."""
    rest, streams = settings.binance_url, settings.binance_stream_url
    if not rest:
        return None
    found: dict[str, Any] = {
        "public": f"{rest}/api/v3",
        "private": f"{rest}/api/v3",
        "v1": f"{rest}/api/v1",
        "sapi": f"{rest}/sapi/v1",
        "fapiPublic": f"{rest}/fapi/v1",
        "fapiPublicV2": f"{rest}/fapi/v2",
        "fapiPublicV3": f"{rest}/fapi/v3",
        "fapiPrivate": f"{rest}/fapi/v1",
        "fapiPrivateV2": f"{rest}/fapi/v2",
        "fapiPrivateV3": f"{rest}/fapi/v3",
    }
    if streams:
        found["ws"] = {
            "spot": f"{streams}/ws",
            "linear": f"{streams}/futures/ws",
            "future": f"{streams}/futures/ws",
            "ws-api": {"spot": f"{streams}/ws-api/v3", "linear": f"{streams}/ws-fapi/v1"},
        }
    return found
