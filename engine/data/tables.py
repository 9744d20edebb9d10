"""Say which table and columns of a database hold bars, and find them where nobody said.

Names are never put into a query as they were given: each must be one that the database lists, and is then quoted by
the dialect. What a person wrote can therefore select the wrong table, never run anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from engine.data.columns import ALIASES, plain_name
from engine.data.naming import parse_file_name, parse_symbol, parse_timeframe
from engine.domain.errors import ConfigError, InvalidRequest
from engine.domain.symbols import Timeframe

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
PER_SECOND: Mapping[TimeUnit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

TABLE_ALIASES: Mapping[str, tuple[str, ...]] = {
    **ALIASES,
    "date": ("date", "day", "trade_date", "bar_date"),
    "symbol": ("symbol", "ticker", "instrument", "pair", "market", "asset", "sym", "security", "coin"),
    "timeframe": ("timeframe", "interval", "tf", "period", "resolution", "granularity", "bar_size"),
}
"""Names of each column, the most trusted first, as `engine.data.columns.plain_name` writes them."""
REQUIRED = ("time", "open", "high", "low", "close")


class TableMapping(BaseModel):
    """Where bars lie in a database, as a person may write it in a file.

    Attributes:
        table: One table for every symbol, or a name with `{symbol}` for one table each (the symbol in lower case
            without its stroke; `{SYMBOL}` in upper case).
        tables: Symbol to its table, where no pattern fits.
        columns: Our names (`time open high low close volume date symbol timeframe`) to the table's. With `date`, the
            column `time` holds the time of day alone.
        symbols: Symbol to what the symbol's column holds, where it cannot be guessed (`XAUUSD: GOLD.a`).
        time_zone: IANA name of the zone that times without one are written in, perhaps with hours on top:
            `America/New_York+7`, as many brokers have it.
        time_unit: Unit of times that are numbers; `auto` tells it from their size.
        time_format: `strptime` format of times that are text, where guessing is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str | None = None
    tables: dict[str, str] = {}
    columns: dict[str, str] = {}
    symbols: dict[str, str] = {}
    time_zone: str = "UTC"
    time_unit: TimeUnit = "auto"
    time_format: str | None = None

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        unknown = sorted(columns.keys() - TABLE_ALIASES.keys())
        if unknown:
            raise ValueError(f"{', '.join(unknown)} cannot be named; there are {', '.join(TABLE_ALIASES)}")
        return columns

    @field_validator("tables", "symbols")
    @classmethod
    def _ours(cls, named: dict[str, str]) -> dict[str, str]:
        return {parse_symbol(symbol) or symbol: name for symbol, name in named.items()}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the mapping that a YAML file holds.

        Raises:
            ConfigError: The file cannot be read or says something that is not known.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text("utf-8")) or {})
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"the mapping {path} cannot be read: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise ConfigError(f"the mapping {path} is not usable: {where}: {first['msg']}") from error


def name_columns(table: str, available: Sequence[str], mapping: TableMapping) -> dict[str, str]:
    """Return the table's name of each of our columns that it has.

    Raises:
        InvalidRequest: The mapping names a column that is not there, or one that every bar needs cannot be found.
    """
    for theirs in mapping.columns.values():
        if theirs not in available:
            raise InvalidRequest("ingest_column_missing", file=table, column=theirs, found=", ".join(available))
    by_plain = {plain_name(name): name for name in reversed(available)}
    found = dict(mapping.columns)
    for ours in TABLE_ALIASES:
        guess = next((by_plain[alias] for alias in TABLE_ALIASES[ours] if alias in by_plain), None)
        if ours != "date" and ours not in found and guess is not None and guess not in found.values():
            found[ours] = guess
    missing = next((ours for ours in REQUIRED if ours not in found), None)
    if missing is not None:
        raise InvalidRequest("ingest_column_missing", file=table, column=missing, found=", ".join(available))
    return _with_date(found, by_plain, mapping)


def _with_date(found: dict[str, str], by_plain: Mapping[str, str], mapping: TableMapping) -> dict[str, str]:
    """Add the date's column where the time of day has one of its own; a column called `time` alone may be that."""
    if "date" in found or "time" in mapping.columns or plain_name(found["time"]) != "time":
        return found
    date = next((by_plain[alias] for alias in TABLE_ALIASES["date"] if alias in by_plain), None)
    return found if date is None else {**found, "date": date}


def name_table(symbol: str, available: Collection[str], mapping: TableMapping, timeframe: Timeframe) -> str:
    """Return the name of the table that holds a symbol's bars.

    Raises:
        InvalidRequest: It is not there, or several might be meant.
    """
    name = mapping.tables.get(symbol) or mapping.table
    if name is not None:
        plain = symbol.replace("/", "")
        name = name.replace("{symbol}", plain.lower()).replace("{SYMBOL}", plain.upper())
        if name not in available:
            raise InvalidRequest("ingest_table_missing", table=name, found=_listed(available))
        return name
    fits = [name for name in sorted(available) if parse_file_name(name) in ((symbol, timeframe), (symbol, None))]
    exact = [name for name in fits if parse_file_name(name) == (symbol, timeframe)] or fits
    if len(exact) == 1:
        return exact[0]
    if len(available) == 1 and not exact:
        return next(iter(available))
    raise InvalidRequest("ingest_table_unclear", symbol=symbol, found=_listed(exact or available))


def named_symbols(available: Collection[str], mapping: TableMapping, timeframe: Timeframe) -> tuple[str, ...]:
    """Return the symbols that the mapping, or else the names of the tables, tell of."""
    if mapping.tables:
        return tuple(mapping.tables)
    told = (parse_file_name(name) for name in sorted(available))
    return tuple(dict.fromkeys(symbol for symbol, own in told if symbol and own in (None, timeframe)))


def match_value(symbol: str, values: Sequence[str], table: str, column: str, mapping: TableMapping) -> str:
    """Return what a symbol's column holds for a symbol.

    Raises:
        InvalidRequest: No value means it, or several do.
    """
    given = mapping.symbols.get(symbol)
    fits = [value for value in values if (value == given if given is not None else parse_symbol(value) == symbol)]
    if len(fits) != 1:
        raise InvalidRequest(
            "ingest_symbol_missing", symbol=given or symbol, table=table, column=column, found=_listed(fits or values)
        )
    return fits[0]


def match_timeframe(timeframe: Timeframe, values: Sequence[str], table: str, column: str) -> str:
    """Return what a timeframe's column holds for a timeframe.

    Raises:
        InvalidRequest: No value means it, or several do.
    """
    fits = [value for value in values if parse_timeframe(value) == timeframe]
    if len(fits) != 1:
        raise InvalidRequest(
            "ingest_symbol_missing", symbol=timeframe, table=table, column=column, found=_listed(fits or values)
        )
    return fits[0]


def _listed(names: Collection[str], most: int = 20) -> str:
    shown = sorted(names)[:most]
    return ", ".join(shown) + (f" (and {len(names) - most} more)" if len(names) > most else "")
