"""Commands of models and strategies: train, roll back, backtest, and score the engine on a file of bars.

Heavy parts are imported by the command that needs them, so that `--help` starts at once.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from copilot.command_line.console import (
    JsonOption,
    command_words,
    note,
    print_answer,
    print_lines,
    progress,
    settings_in_use,
)


def train(
    symbol: Annotated[
        str | None, typer.Option(help="One symbol; without it one model for all of them together.")
    ] = None,
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars.")] = "1h",
    dask: Annotated[
        str | None, typer.Option(help="Fit on the workers of a Dask cluster: the address of its scheduler.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the model's manifest as JSON.")] = False,
) -> None:
    """Train on the market at hand by purged walk-forward and register the model with its out-of-sample figures.

    It is used only if it did better out of sample than the model in use.
    """
    from copilot.commands import to_json
    from copilot.model_commands import train_model

    with progress() as report:
        settings = settings_in_use()
        offer = train_model(settings, symbol, timeframe, report, dask=dask)
    verdict = command_words(settings)["promoted" if offer.is_promoted else "not_promoted"]
    print_lines([*offer.manifest.lines(), f"  {verdict}: {offer.reason}"], to_json(offer), as_json)


def rollback(
    symbol: Annotated[str, typer.Option(help="Whose model.")],
    timeframe: Annotated[str, typer.Option(help="Timeframe of the model.")] = "1h",
    as_json: JsonOption = False,
) -> None:
    """Take the model in use for a symbol out of use; the one before it is used again."""
    from copilot.model_commands import roll_back_model

    settings = settings_in_use()
    before, words = roll_back_model(settings, symbol, timeframe), command_words(settings)
    line = words["no_model_left"] if before is None else words["in_use_again"].format(model=before.id)
    print_lines([line], json.dumps({"in_use": None if before is None else before.id}), as_json)


def backtest(
    target: Annotated[
        str, typer.Argument(help="Agent (atlas …), strategy (breakout, grid …), or signal (the ML one).")
    ],
    symbol: Annotated[str | None, typer.Option(help="One symbol; without it those that the target trades.")] = None,
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars.")] = "1h",
    days: Annotated[int, typer.Option(min=1, help="Days up to the market's present.")] = 365,
    page: Annotated[
        Path | None, typer.Option(help="Write the full report as an HTML page; of an agent, one for each strategy.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write equity and drawdown as a PNG, in the same way.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer and the full reports as JSON.")] = False,
) -> None:
    """Backtest an agent, a strategy or the ML signal on the market at hand, beside holding, chance, higher costs.

    The signal is forecast walk-forward: every bar by a model that learned from earlier ones alone.
    """
    from copilot import backtesting
    from copilot.wording import render_answer
    from prompts import load_words

    settings = settings_in_use()
    has_reports = as_json or page is not None or picture is not None
    with progress() as report:
        done = backtesting.backtest(
            settings, target, symbol=symbol, timeframe=timeframe, days=days, has_reports=has_reports, progress=report
        )
    print_answer(render_answer([done.result], settings.language), backtesting.to_json(done) if as_json else None)
    told = load_words(settings.language, "backtest_report")["command"]["written"]
    for path, write in ((page, backtesting.write_pages), (picture, backtesting.write_pictures)):
        for file in write(done, path, settings.language) if path is not None else ():
            note(told.format(file=file))


def evaluate_engine(
    bars: Annotated[
        Path, typer.Option("--bars", help="Parquet file: time open high low close volume.", exists=True, dir_okay=False)
    ],
    timeframe: Annotated[str, typer.Option(help="Timeframe of the bars (1h).")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for predictions.parquet and metrics.json.")],
    test_from: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day that is forecast; the last two fifths if left out."),
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Fit on the workers of a Dask cluster: the address of its scheduler.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Score the ML engine on a file of bars: walk-forward forecasts of bars that no model had seen, and their figures.

    Interrupted, it goes on where it stopped when it is started again with the same file and folder.
    """
    from copilot.commands import to_json
    from copilot.evaluate import evaluate_bars

    with progress() as report:
        first_day = None if test_from is None else test_from.date()
        summary = evaluate_bars(bars, timeframe, out_dir, test_from=first_day, report=report, dask=dask)
    print_lines(summary.lines(), to_json(summary.as_dict()), as_json)
