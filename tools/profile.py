"""The owner's profile: language, risk per trade, base currency, favourites, name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from engine.domain.errors import InvalidRequest
from tools.registry import ToolContext
from tools.results import ProfileResult
from tools.schema import UpdateProfile
from tools.tables import profiles

Language = Literal["en", "es"]
MAX_RISK_PCT = Decimal(5)
"""Most that one trade may risk, in percent of equity: five losses in a row must not cost a quarter of the account."""
_RISK_PLACES = 4
MAX_FAVOURITES = 30
MAX_NAME = 40
_CURRENCY = re.compile(r"[A-Z]{3,5}")


@dataclass(frozen=True, slots=True)
class Profile:
    """What the copilot knows of its owner; `language` is None until they chose one."""

    language: Language | None = None
    risk_per_trade_pct: Decimal = Decimal(1)
    base_currency: str = "USD"
    favourites: tuple[str, ...] = ()
    name: str | None = None


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

    def save(self, owner: str, profile: Profile) -> None:
        """Keep a whole profile."""
        values: dict[str, Any] = {
            "language": profile.language,
            "risk_per_trade_pct": profile.risk_per_trade_pct,
            "base_currency": profile.base_currency,
            "favourites": json.dumps(profile.favourites),
            "name": profile.name,
        }
        change = update(profiles).where(profiles.c.owner == owner).values(values)
        try:
            with self._database.begin() as connection:
                if connection.execute(change).rowcount == 0 and not self._exists(connection, owner):
                    connection.execute(insert(profiles).values(owner=owner, **values))
        except IntegrityError:
            with self._database.begin() as connection:
                connection.execute(change)

    def set_language(self, owner: str, language: Language) -> None:
        """Keep the owner's choice of language."""
        self.save(owner, replace(self.get(owner), language=language))

    @staticmethod
    def _exists(connection: Any, owner: str) -> bool:
        return connection.execute(select(profiles.c.owner).where(profiles.c.owner == owner)).first() is not None


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
        profile = replace(self.profiles.get(context.owner), **self._change(arguments.setting, arguments.value))
        self.profiles.save(context.owner, profile)
        return ProfileResult(
            changed=arguments.setting,
            language=profile.language or self.fallback,
            risk_per_trade_pct=profile.risk_per_trade_pct,
            base_currency=profile.base_currency,
            favourites=profile.favourites,
            name=profile.name,
        )

    def _change(self, setting: str, value: object) -> dict[str, Any]:
        match setting:
            case "language":
                if value not in ("en", "es"):
                    raise InvalidRequest("bad_language", value=value)
                return {"language": value}
            case "risk_per_trade_pct":
                return {"risk_per_trade_pct": _risk(value)}
            case "base_currency":
                currency = str(value).upper()
                if not _CURRENCY.fullmatch(currency):
                    raise InvalidRequest("bad_currency", value=value)
                return {"base_currency": currency}
            case "favourites":
                return {"favourites": self._favourites(value)}
            case _:
                name = str(value).strip()
                if not 0 < len(name) <= MAX_NAME or not name.isprintable():
                    raise InvalidRequest("bad_name", value=value, limit=MAX_NAME)
                return {"name": name}

    def _favourites(self, value: object) -> tuple[str, ...]:
        wanted = value if isinstance(value, tuple) else (str(value),)
        unknown = [symbol for symbol in wanted if symbol not in self.symbols]
        if unknown:
            raise InvalidRequest("unknown_instrument", symbol=unknown[0])
        if len(wanted) > MAX_FAVOURITES:
            raise InvalidRequest("too_many_favourites", limit=MAX_FAVOURITES)
        return tuple(dict.fromkeys(wanted))


def _risk(value: object) -> Decimal:
    try:
        risk = Decimal(str(value))
    except InvalidOperation as error:
        raise InvalidRequest("bad_risk", value=value, limit=MAX_RISK_PCT) from error
    if not (risk.is_finite() and 0 < risk <= MAX_RISK_PCT and risk == risk.quantize(Decimal(1).scaleb(-_RISK_PLACES))):
        raise InvalidRequest("bad_risk", value=value, limit=MAX_RISK_PCT)
    return risk
