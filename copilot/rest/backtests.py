"""Backtests as jobs: taken in with 202, read until they are over, dropped with DELETE."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Path, Request
from starlette.responses import Response

from copilot.events import Language
from copilot.rest.asking import NO_BODY, NO_QUERY, Reader, address, answer, language_of, refusal
from copilot.rest.core import RestParts
from copilot.rest.jobs import Job
from copilot.rest.problems import sentence
from copilot.rest.views import JobsView, JobView, NewBacktest, plain_symbol
from engine.api.problems import ApiError
from engine.domain.errors import InvalidRequest
from tools.schema import RunBacktest

JobInPath = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="A job's `job_id`.")]
_FINISHED_S = 2


def backtest_routes(parts: RestParts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["backtests"], dependencies=[NO_QUERY])

    @routes.post("/backtests", response_model=JobView, status_code=202)
    async def start_backtest(request: Request, asked: Annotated[NewBacktest, Body()], token: Reader) -> Response:
        """Take a backtest in; it runs when those before it are over."""
        language = language_of(parts, token)
        symbol = None if asked.symbol is None else plain_symbol(asked.symbol)
        wanted = RunBacktest(target=asked.target, symbol=symbol, timeframe=asked.timeframe, days=asked.days)
        try:
            job = parts.jobs.start(wanted, token.owner, language)
        except InvalidRequest as error:
            detail, headers = sentence(error, language), {"retry-after": str(_FINISHED_S)}
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, error.code, detail, headers=headers) from error
        where = {"location": address(request, f"/backtests/{job.id}"), "retry-after": str(_FINISHED_S)}
        return answer(tell_job(job, language), HTTPStatus.ACCEPTED, where)

    @routes.get("/backtests", response_model=JobsView)
    async def list_backtests(token: Reader) -> Response:
        """List the newest backtests, without their results."""
        language = language_of(parts, token)
        jobs = [tell_job(job, language).model_copy(update={"result": None}) for job in parts.jobs.list(token.owner)]
        return answer(JobsView(backtests=jobs))

    @routes.get("/backtests/{job_id}", response_model=JobView)
    async def read_backtest(job_id: JobInPath, token: Reader) -> Response:
        """Read how far a backtest is, and its result once it is done."""
        job = parts.jobs.get(job_id, token.owner)
        if job is None:
            raise refusal(parts, token, "backtest_not_found")
        return answer(tell_job(job, language_of(parts, token)))

    @routes.delete("/backtests/{job_id}", status_code=204, dependencies=[NO_BODY])
    async def drop_backtest(job_id: JobInPath, token: Reader) -> Response:
        """Cancel a backtest and forget it."""
        if not parts.jobs.drop(job_id, token.owner):
            raise refusal(parts, token, "backtest_not_found")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return routes


def tell_job(job: Job, language: Language) -> JobView:
    """Return a job as it is answered."""
    detail = None if job.code is None else sentence(InvalidRequest(job.code, **job.params), language)
    return JobView(
        job_id=job.id,
        state=job.state,
        target=job.request.target,
        symbol=job.request.symbol,
        timeframe=job.request.timeframe,
        days=job.request.days,
        created_at=job.created_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        ahead=job.ahead,
        done_ratio=job.done_ratio,
        code=job.code,
        params=dict(job.params),
        detail=detail,
        result=job.result,
    )
