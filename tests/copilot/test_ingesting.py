"""The bodies of the commands that bring bars in: options over a mapping file, dates, languages, pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from copilot.ingesting import ingest_exchange, ingest_mysql, report_lines, write_report_page
from copilot.settings import Settings
from engine.domain.errors import ConfigError
from prompts import load_words
from tests.engine.data.databases import at, execute, prices
from tests.engine.data.test_exchanges import FIRST, bar
from tests.servers.binance_klines import BinanceKlines


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def silent(_share: float, _what: str) -> None:
    return


@pytest.mark.mariadb
def test_options_count_over_the_mapping_file(mariadb_url: str, settings: Settings, tmp_path: Path) -> None:
    execute(
        mariadb_url,
        "CREATE TABLE odd (moment DATETIME PRIMARY KEY, a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE, e DOUBLE)",
    )
    execute(mariadb_url, "INSERT INTO odd VALUES (%s, %s, %s, %s, %s, %s)", [(at(n), *prices(n)) for n in range(30)])
    file = tmp_path / "mapping.yaml"
    file.write_text("table: nothing\ncolumns: {time: moment, open: a, high: b, low: c, close: e}\n")
    run = ingest_mysql(
        settings, mariadb_url, file, ["BTC/USDT"], "1m",
        table="odd", columns="close=d,volume=e", time_zone="Asia/Tokyo", source="mine", progress=silent,
    )  # fmt: skip
    (report,) = run
    assert (report.symbol, report.added, report.bad_count) == ("BTC/USDT", 30, 0)
    assert f"{report.first_at:%Y-%m-%d %H:%M}" == "2024-01-01 15:00"
    assert (settings.data_dir / "bars" / "mine" / "BTC-USDT" / "1m.parquet").exists()


def test_bars_of_an_exchange_become_a_page_in_both_languages(settings: Settings, tmp_path: Path) -> None:
    history = {"BTCUSDT": {"1m": {FIRST + 60 * n: bar(n) for n in range(1200) if n != 7}}}
    with BinanceKlines(history, FIRST + 60 * 1200) as server:
        (report,) = ingest_exchange(
            settings, "binance", ["btcusdt"], "1m", "2024-01-02", base_url=server.url, progress=silent
        )
    assert "faltan 1 velas" in "\n".join(report_lines(report, "es"))
    assert "1.199 leídas" in "\n".join(report_lines(report, "es"))
    assert "1 bars missing" in "\n".join(report_lines(report, "en"))
    for language in ("en", "es"):
        page = tmp_path / f"{language}.html"
        write_report_page(page, [report], language)
        text = page.read_text("utf-8")
        assert f'<html lang="{language}">' in text
        assert load_words(language, "quality")["title"] in text
        assert "BTC/USDT 1m" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeframe": "7m"}, "--timeframe '7m' is not known"),
        ({"since": "yesterday"}, "--since 'yesterday' is not a date"),
        ({"symbols": []}, "name at least one symbol"),
    ],
)
def test_options_that_cannot_be_understood_are_named(settings: Settings, options: dict[str, Any], message: str) -> None:
    chosen = {"symbols": ["BTC/USDT"], "timeframe": "1m", "since": None, **options}
    with pytest.raises(ConfigError, match=message):
        list(ingest_exchange(settings, "binance", progress=silent, **chosen))


@pytest.mark.parametrize(
    ("columns", "message"), [("time", "must read like"), ("when=ts", "when cannot be named"), ("=a", "must read like")]
)
def test_a_bad_mapping_in_an_option_is_named(settings: Settings, columns: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(ingest_mysql(settings, "mysql://nowhere/x", None, [], "1m", columns=columns, progress=silent))


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report_page(tmp_path / "file" / "page.html", [], "en")
