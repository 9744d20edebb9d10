"""Commands that ask a chat model what messages mean, and score it on that; nothing is executed.

Heavy parts are imported by the command that needs them, so that `--help` and `route` start at once.
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copilot.command_line.console import command_words, complain, print_lines, progress, read_settings
from engine.domain.errors import ConfigError

if TYPE_CHECKING:
    from copilot.routing import Router


ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Chat model that decides: offline, ollama:NAME or openai:NAME. Default: the one in the settings.",
    ),
]


def route(
    jsonl: Annotated[
        bool, typer.Option("--jsonl/--text", help="One JSON object a line; or one plain message a line.")
    ] = True,
    model: ModelOption = None,
) -> None:
    """Tell what each message on standard input would call, one JSON object a line; nothing is executed.

    In: {"id": "17", "text": "buy 0.05 bitcoin", "history": []}
    """
    with _router(model) as router:
        for number, raw in enumerate(sys.stdin.buffer, 1):
            line = _decode(raw, number)
            if not line.strip():
                continue
            record: dict[str, Any] = _record(line, number) if jsonl else {"text": line.strip(), "history": []}
            started = time.perf_counter()
            decided = router.route(record["text"], record["history"])
            elapsed_ms = round((time.perf_counter() - started) * 1000, 3)
            answer = {"id": record.get("id"), **decided, "ms": elapsed_ms}
            sys.stdout.write(json.dumps(answer, ensure_ascii=False, default=_json_number) + "\n")
            sys.stdout.flush()
    _tell_troubles(router)


def evaluate(
    file: Annotated[
        Path, typer.Argument(help="JSON lines with text, lang, tags, expect.", exists=True, dir_okay=False)
    ],
    model: ModelOption = None,
    min_exact: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit 1 below this exact-match accuracy.")
    ] = None,
    max_wrong_trades: Annotated[int | None, typer.Option(min=0, help="Exit 1 above this many wrong trades.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Save the report: JSON, or Markdown when the name ends in .md.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Score a chat model on a file of utterances: tool and exact accuracy, wrong trades, latency."""
    from copilot.commands import to_json
    from copilot.evaluation import score

    lines = ((number, _decode(raw, number)) for number, raw in enumerate(file.read_bytes().splitlines(), 1))
    records = [_graded(_record(line, number), number) for number, line in lines if line.strip()]
    if not records:
        raise ConfigError(f"{file} holds no utterances")
    with _router(model) as router, progress() as report_progress:
        scored = score(records, router.route, progress=report_progress)
    report = scored.answered_by(router.name, router.troubles)
    text = to_json(report.as_dict())
    if out_file is not None:
        out_file.write_text(report.markdown() if out_file.suffix == ".md" else text + "\n", encoding="utf-8")
    print_lines(report.lines(), text, as_json)
    missed, words = [], command_words(read_settings())
    if min_exact is not None and report.exact_accuracy < min_exact:
        missed.append(words["exact_missed"].format(exact=f"{report.exact_accuracy:.4f}", limit=min_exact))
    if max_wrong_trades is not None and report.wrong_trades > max_wrong_trades:
        missed.append(words["trades_missed"].format(count=report.wrong_trades, limit=max_wrong_trades))
    if missed:
        complain("; ".join(missed))
        raise typer.Exit(1)


def _router(model: str | None) -> Router:
    from copilot.routing import Router

    return Router(read_settings(chat_model=model))


def _tell_troubles(router: Router) -> None:
    """Say on standard error how often the offline model had to decide instead of the one that was asked for."""
    for code, count in router.troubles.most_common():
        told = command_words(read_settings())["fell_back"]
        complain(told.format(count=count, name=router.name, code=code))


def _decode(raw: bytes, number: int) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"line {number} is not UTF-8 (byte {error.start + 1})") from error


def _record(line: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {number} is not JSON ({error.msg} at column {error.colno})") from error
    except RecursionError as error:
        raise ConfigError(f"line {number} is nested too deeply") from error
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise ConfigError(f'line {number} must be a JSON object with "text"')
    history = record.get("history") or []
    if not isinstance(history, list) or not all(_is_turn(turn) for turn in history):
        raise ConfigError(f'line {number}: "history" must list objects with "role" (user or assistant) and "text"')
    return {**record, "history": history}


def _is_turn(turn: object) -> bool:
    return isinstance(turn, dict) and turn.get("role") in ("user", "assistant") and isinstance(turn.get("text"), str)


def _graded(record: dict[str, Any], number: int) -> dict[str, Any]:
    if not all(_is_answer(answer) for answer in [record.get("expect"), *(record.get("also") or [])]):
        raise ConfigError(f'line {number}: "expect" must be {{"calls": [...]}} or {{"ask": true}}')
    return record


def _is_answer(answer: object) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("calls") or [], list):
        return False
    calls = answer.get("calls") or []
    return all(isinstance(call, dict) and "tool" in call and isinstance(call.get("args"), dict) for call in calls)


def _json_number(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
