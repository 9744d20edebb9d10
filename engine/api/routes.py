"""What may be asked over HTTP. Every route only reads.

In a path a symbol's slash is written as a dash (`/bars/BTC-USDT`); in a query and on the stream both forms are taken.
A timeframe that has no model yet may be trained when it is first asked for; the answer is then 503 until it is there.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Protocol

from fastapi import Depends, FastAPI, Path, Query, WebSocket
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from engine.api.access import (
    Doorkeeper,
    Permission,
    Requires,
    granted_to,
    is_same_origin,
    refuse,
    token_of,
)
from engine.api.broadcaster import Broadcaster
from engine.api.frames import MAX_LISTED, Word
from engine.api.problems import ApiError, quoted, try_later
from engine.api.reading import MarketReader, find_symbol
from engine.api.session import Session
from engine.api.settings import DEFAULT_BARS, MAX_BARS
from engine.api.telling import tell_bars, tell_model, tell_report, tell_signal
from engine.api.views import (
    BarsView,
    HealthView,
    ModelsView,
    ModelView,
    NoSignal,
    ReportView,
    SignalsView,
    SignalView,
    StreamHealth,
    View,
)
from engine.domain.errors import DataUnavailable
from engine.domain.symbols import Timeframe
from engine.ml.registry import Manifest

_TRAINING_S = 30
"""When to ask again for a signal that is still being computed: most likely a model is being trained."""


class ModelShelf(Protocol):
    """Where trained models are; called on a thread."""

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all whole models, oldest first."""
        ...

    def is_held(self, model_id: str) -> bool:
        """Tell whether a model is kept out of use."""
        ...


class Asked(BaseModel):
    """Base of a route's query: what it does not know is refused, so that a misspelt name is noticed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SignalQuery(Asked):
    """Which signal."""

    timeframe: Timeframe = "1h"


class SignalsQuery(SignalQuery):
    """Which signals; of all symbols unless some are named."""

    symbol: list[Word] = Field(default=[], max_length=MAX_LISTED)


class BarsQuery(Asked):
    """Which bars: the last `limit` that are closed."""

    timeframe: Timeframe = "1h"
    limit: int = Field(default=DEFAULT_BARS, ge=1, le=MAX_BARS)


class ModelsQuery(Asked):
    """Which models; all unless it says."""

    timeframe: Timeframe | None = None
    symbol: Word | None = None


SymbolInPath = Annotated[str, Path(max_length=64, description="`XAUUSD`, or `BTC-USDT` for `BTC/USDT`.")]
ModelInPath = Annotated[str, Path(max_length=128, description="A model's `id`.")]


def add_routes(
    app: FastAPI, broadcaster: Broadcaster, models: ModelShelf, doorkeeper: Doorkeeper, *, signal_timeout_s: float
) -> None:
    """Add every route to an app."""
    _add_market(app, broadcaster.reader, signal_timeout_s)
    _add_models(app, broadcaster.reader, models)
    _add_health(app, broadcaster)
    _add_stream(app, broadcaster, doorkeeper)


def _add_market(app: FastAPI, reader: MarketReader, timeout_s: float) -> None:
    signals = [Depends(Requires(Permission.SIGNALS))]

    @app.get("/signals", response_model=SignalsView, dependencies=signals, tags=["signals"])
    async def list_signals(query: Annotated[SignalsQuery, Query()]) -> Response:
        """List the signals of the last closed bar, of every symbol or of those named."""
        named = dict.fromkeys(_known(reader, text) for text in query.symbol)
        wanted = tuple(named) or reader.symbols()
        answers = await asyncio.gather(
            *(_signal_or_reason(reader, symbol, query.timeframe, timeout_s) for symbol in wanted)
        )
        return _json(
            SignalsView(
                timeframe=query.timeframe,
                signals=[each for each in answers if isinstance(each, SignalView)],
                without=[each for each in answers if isinstance(each, NoSignal)],
            )
        )

    @app.get("/signals/{symbol}", response_model=SignalView, dependencies=signals, tags=["signals"])
    async def read_signal(symbol: SymbolInPath, query: Annotated[SignalQuery, Query()]) -> Response:
        """Read the signal of one symbol's last closed bar."""
        known = _known(reader, symbol)
        try:
            async with asyncio.timeout(timeout_s):
                return _json(tell_signal(await reader.signal(known, query.timeframe)))
        except TimeoutError as error:
            detail = f"the signal of {known} {query.timeframe} is still being computed; ask again later"
            raise try_later("still_computing", detail, after_s=_TRAINING_S) from error

    @app.get(
        "/bars/{symbol}", response_model=BarsView, dependencies=[Depends(Requires(Permission.BARS))], tags=["bars"]
    )
    async def read_bars(symbol: SymbolInPath, query: Annotated[BarsQuery, Query()]) -> Response:
        """Read the last closed bars of one symbol, oldest first."""
        known = _known(reader, symbol)

        def write() -> Response:
            bars = reader.market.bars(known, query.timeframe, query.limit)
            is_simulated = reader.market.is_simulated
            return _json(
                BarsView(symbol=known, timeframe=query.timeframe, is_simulated=is_simulated, bars=tell_bars(bars))
            )

        # Written on the thread too: five thousand rows take longer than the event loop should stand still.
        return await reader.read((known, query.timeframe, query.limit), write)


def _add_models(app: FastAPI, reader: MarketReader, models: ModelShelf) -> None:
    needed = [Depends(Requires(Permission.MODELS))]

    @app.get("/models", response_model=ModelsView, dependencies=needed, tags=["models"])
    async def list_models(query: Annotated[ModelsQuery, Query()]) -> Response:
        """List the trained models, oldest first."""
        symbol = None if query.symbol is None else _known(reader, query.symbol)

        def look() -> list[ModelView]:
            return [
                tell_model(each, is_held=models.is_held(each.id))
                for each in models.manifests()
                if query.timeframe in (None, each.timeframe) and (symbol is None or symbol in each.symbols)
            ]

        return _json(ModelsView(models=await reader.read(("models", query.timeframe, symbol), look)))

    @app.get("/models/{model_id}", response_model=ModelView, dependencies=needed, tags=["models"])
    async def read_model(model_id: ModelInPath) -> Response:
        """Read one model's manifest."""

        def look() -> ModelView:
            return tell_model(_find_model(models, model_id), is_held=models.is_held(model_id))

        return _json(await reader.read(("model", model_id), look))

    @app.get("/reports/{model_id}", response_model=ReportView, dependencies=needed, tags=["models"])
    async def read_report(model_id: ModelInPath) -> Response:
        """Read one model's figures on rows that it had not seen."""
        return _json(await reader.read(("report", model_id), lambda: tell_report(_find_model(models, model_id))))


def _add_health(app: FastAPI, broadcaster: Broadcaster) -> None:
    @app.get("/health", response_model=HealthView, tags=["service"])
    async def read_health() -> Response:
        """Tell whether the market can be read and the stream runs; needs no token."""
        trouble = broadcaster.trouble()
        if trouble:
            raise try_later("unhealthy", trouble)
        hub, market = broadcaster.hub, broadcaster.reader.market
        stream = StreamHealth(
            stream=hub.stream, sequence=hub.sequence, clients=hub.clients, dropped_slow=hub.dropped_slow
        )
        return _json(
            HealthView(market=market.name, is_simulated=market.is_simulated, market_at=market.now(), stream=stream)
        )


def _add_stream(app: FastAPI, broadcaster: Broadcaster, doorkeeper: Doorkeeper) -> None:
    hub = broadcaster.hub

    @app.get("/stream", response_model=None, tags=["stream"])
    async def need_websocket() -> Response:
        """Refuse plain HTTP: the stream is a WebSocket."""
        raise ApiError(
            HTTPStatus.UPGRADE_REQUIRED,
            "upgrade_required",
            "the stream is a WebSocket: connect with ws:// or wss://",
            headers={"upgrade": "websocket", "connection": "upgrade"},
        )

    @app.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        refusal = None if is_same_origin(websocket) else _foreign_page()
        subscriber = None
        if refusal is None and hub.is_open:
            subscriber = hub.join()
            refusal = try_later("too_many_clients", "the stream has as many clients as it takes")
        if subscriber is None:
            refusal = refusal or try_later("starting", "the stream is not running; try again soon", after_s=1)
            await refuse(refusal, websocket.scope, websocket.receive, websocket.send)
            return
        token = token_of(websocket)
        session = Session(
            websocket,
            hub,
            subscriber,
            broadcaster.settings,
            market_now=broadcaster.reader.market.now,
            granted=granted_to(websocket),
            regranted=lambda: doorkeeper.granted(token),
        )
        await session.run()


def _foreign_page() -> ApiError:
    return ApiError(HTTPStatus.FORBIDDEN, "foreign_origin", "a page of another site may not read the stream")


def _json(view: View) -> Response:
    return Response(view.model_dump_json(), headers={"cache-control": "no-store"}, media_type="application/json")


def _known(reader: MarketReader, text: str) -> str:
    symbol = find_symbol(reader.market, text)
    if symbol is None:
        detail = f"there is no symbol {quoted(text)}; BTC/USDT is written BTC-USDT in a path"
        raise ApiError(HTTPStatus.NOT_FOUND, "unknown_symbol", detail)
    return symbol


def _find_model(models: ModelShelf, model_id: str) -> Manifest:
    for manifest in models.manifests():
        if manifest.id == model_id:
            return manifest
    raise ApiError(
        HTTPStatus.NOT_FOUND, "unknown_model", f"there is no model {quoted(model_id)}; GET /models lists them"
    )


async def _signal_or_reason(
    reader: MarketReader, symbol: str, timeframe: Timeframe, timeout_s: float
) -> SignalView | NoSignal:
    try:
        async with asyncio.timeout(timeout_s):
            return tell_signal(await reader.signal(symbol, timeframe))
    except DataUnavailable as error:
        return NoSignal(symbol=symbol, timeframe=timeframe, code=error.code, detail=str(error))
    except TimeoutError:
        detail = "it is still being computed; ask again later"
        return NoSignal(symbol=symbol, timeframe=timeframe, code="still_computing", detail=detail)
