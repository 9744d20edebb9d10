"""The owner's profile: language, risk per trade, base currency, favourites, name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, assert_never, cast

from sqlalchemy import Engine, Executable, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from engine.domain.errors import InvalidRequest
from tools.registry import ToolContext
from tools.results import ProfileResult
from tools.schema import UpdateProfile
from tools.tables import profiles

Language = Literal["en", "es"]
Setting = Literal["language", "risk_per_trade_pct", "base_currency", "favourites", "name"]
MAX_RISK_PCT = Decimal(5)
"""Most that one trade may risk, in percent of equity: five losses in a row must not cost a quarter of the account."""
_RISK_PLACES = 4
MAX_FAVOURITES = 30
MAX_NAME = 40
_DEADLOCK = 1213
"""MariaDB's and MySQL's number for a transaction that was called off because another waits for it."""
_CURRENCY = re.compile(r"[A-Z]{3,5}")


@dataclass(frozen=True, slots=True)
class Profile:
    """What the copilot knows of its owner; `language` is None until they chose one."""

    language: Language | None = None
    risk_per_trade_pct: Decimal = Decimal(1)
    base_currency: str = "USD"
    favourites: tuple[str, ...] = ()
    name: str | None = None


_DEFAULTS: dict[str, object] = {**asdict(Profile()), "favourites": json.dumps(Profile().favourites)}


_TRIES = 6
"""How often a change is said in all; a deadlock always lets one of two through."""


class Profiles:
    """Profiles in the database, one row an owner."""

    def __init__(self, database: Engine) -> None:
        self._database = database

    def get(self, owner: str) -> Profile:
        """Return the owner's profile, or the defaults."""
        with self._database.connect() as connection:
            row = connection.execute(select(profiles).where(profiles.c.owner == owner)).one_or_none()
        if row is None:
            return Profile()
        language = cast(Language | None, row.language)
        return Profile(language, row.risk_per_trade_pct, row.base_currency, tuple(json.loads(row.favourites)), row.name)

    def change(self, owner: str, setting: Setting, value: object) -> None:
        """Keep one setting and leave the others as they are, whoever changes those in the same instant.

        One statement writes that column alone. The first setting of an owner is an insertion; where another surface
        was first, theirs fails or is called off, and the statement is said again.
        """
        kept: dict[str, object] = {setting: json.dumps(value) if setting == "favourites" else value}
        change = update(profiles).where(profiles.c.owner == owner).values(kept)
        for left in reversed(range(_TRIES)):
            try:
                if self._execute(change) == 0:
                    self._execute(insert(profiles).values(owner=owner, **{**_DEFAULTS, **kept}))
            except DBAPIError as error:
                if left == 0 or not _is_late(error):
                    raise
            else:
                return

    def set_language(self, owner: str, language: Language) -> None:
        """Keep the owner's choice of language."""
        self.change(owner, "language", language)

    def forget(self, owner: str) -> None:
        """Go back to the defaults, as if the owner had never set anything."""
        self._execute(delete(profiles).where(profiles.c.owner == owner))

    def _execute(self, statement: Executable) -> int:
        with self._database.begin() as connection:
            return connection.execute(statement).rowcount


@dataclass(frozen=True, slots=True)
class ProfileTool:
    """`update_profile`.

    Attributes:
        symbols: What may be a favourite.
        fallback: Language shown while the owner has chosen none.
    """

    profiles: Profiles
    symbols: Mapping[str, object]
    fallback: Language

    async def __call__(self, arguments: UpdateProfile, context: ToolContext) -> ProfileResult:
        """Change one setting and return the whole profile."""
        setting: Setting = arguments.setting
        self.profiles.change(context.owner, setting, self._checked(setting, arguments.value))
        profile = self.profiles.get(context.owner)
        return ProfileResult(
            changed=arguments.setting,
            language=profile.language or self.fallback,
            risk_per_trade_pct=profile.risk_per_trade_pct,
            base_currency=profile.base_currency,
            favourites=profile.favourites,
            name=profile.name,
        )

    def _checked(self, setting: Setting, value: object) -> object:
        """Return the value as it is kept."""
        match setting:
            case "language":
                if value not in ("en", "es"):
                    raise InvalidRequest("bad_language", value=value)
                return value
            case "risk_per_trade_pct":
                return _risk(value)
            case "base_currency":
                currency = str(value).upper()
                if not _CURRENCY.fullmatch(currency):
                    raise InvalidRequest("bad_currency", value=value)
                return currency
            case "favourites":
                return self._favourites(value)
            case "name":
                name = str(value).strip()
                if not 0 < len(name) <= MAX_NAME or not name.isprintable():
                    raise InvalidRequest("bad_name", value=value, limit=MAX_NAME)
                return name
        assert_never(setting)

    def _favourites(self, value: object) -> tuple[str, ...]:
        wanted = value if isinstance(value, tuple) else (str(value),)
        unknown = [symbol for symbol in wanted if symbol not in self.symbols]
        if unknown:
            raise InvalidRequest("unknown_instrument", symbol=unknown[0])
        if len(wanted) > MAX_FAVOURITES:
            raise InvalidRequest("too_many_favourites", limit=MAX_FAVOURITES)
        return tuple(dict.fromkeys(wanted))


def _is_late(error: DBAPIError) -> bool:
    """Return whether another insertion was first, or stood in this one's way."""
    return isinstance(error, IntegrityError) or (error.orig is not None and error.orig.args[:1] == (_DEADLOCK,))


def _risk(value: object) -> Decimal:
    try:
        risk = Decimal(str(value))
    except InvalidOperation as error:
        raise InvalidRequest("bad_risk", value=value, limit=MAX_RISK_PCT) from error
    if not (risk.is_finite() and 0 < risk <= MAX_RISK_PCT and risk == risk.quantize(Decimal(1).scaleb(-_RISK_PLACES))):
        raise InvalidRequest("bad_risk", value=value, limit=MAX_RISK_PCT)
    return risk
