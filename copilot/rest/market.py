"""Signals and charts; a chart is its data or a picture, as the caller asks."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from copilot.rest.asking import Reader, answer, language_of, run_tool
from copilot.rest.core import RestParts
from copilot.rest.streams import JSON, PNG, choose
from copilot.rest.tokens import Token
from copilot.rest.views import plain_symbol
from engine.api.problems import ApiError
from engine.domain.signals import Signal
from engine.domain.symbols import Timeframe
from tools.results import ChartResult, SignalResult
from tools.schema import Indicator

SymbolInPath = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9]{2,16}(-[A-Za-z0-9]{2,16})?$",
        description="`XAUUSD`, or `BTC-USDT` for `BTC/USDT`.",
        examples=["BTC-USDT"],
    ),
]


class Asked(BaseModel):
    """Base of a route's query: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SignalQuery(Asked):
    """Which signal."""

    timeframe: Timeframe = "1h"


class ChartQuery(SignalQuery):
    """Which chart."""

    indicators: list[Indicator] = Field(default=[], max_length=11)
    overlay: Literal["none", "signal"] = Field(
        default="none", description="Of a picture: `signal` draws entry, stop and target."
    )


def market_routes(parts: RestParts) -> APIRouter:
    """Return the routes."""
    routes, drawing = APIRouter(tags=["market"]), asyncio.Lock()

    @routes.get("/signals/{symbol}", response_model=SignalResult)
    async def read_signal(symbol: SymbolInPath, query: Annotated[SignalQuery, Query()], token: Reader) -> Response:
        """Read the engine's signal beside the present price; `chart` is null, see /charts."""
        result = await _signal(parts, token, symbol, query.timeframe)
        return answer(result.model_copy(update={"chart": None}))

    @routes.get("/charts/{symbol}", response_model=ChartResult)
    async def read_chart(
        request: Request, symbol: SymbolInPath, query: Annotated[ChartQuery, Query()], token: Reader
    ) -> Response:
        """Read what the bars say with everything that is drawn, or the drawing itself."""
        kind = choose(request, JSON, PNG)
        result = await run_tool(
            parts,
            token,
            "analyze_chart",
            ChartResult,
            symbol=plain_symbol(symbol),
            timeframe=query.timeframe,
            indicators=tuple(dict.fromkeys(query.indicators)),
        )
        if kind == JSON:
            return answer(result)
        from copilot.pictures import chart_picture

        signal = await _drawn_signal(parts, token, symbol, query)
        async with drawing:
            picture = await asyncio.to_thread(chart_picture, result.chart, language_of(parts, token), signal)
        return Response(picture, media_type=PNG)

    return routes


async def _signal(parts: RestParts, token: Token, symbol: str, timeframe: Timeframe) -> SignalResult:
    wanted = plain_symbol(symbol)
    return await run_tool(parts, token, "get_signal", SignalResult, symbol=wanted, timeframe=timeframe)


async def _drawn_signal(parts: RestParts, token: Token, symbol: str, query: ChartQuery) -> Signal | None:
    """Return the signal to draw; a chart without one is still a chart."""
    if query.overlay == "none":
        return None
    try:
        return (await _signal(parts, token, symbol, query.timeframe)).signal
    except ApiError:
        return None
