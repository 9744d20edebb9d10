"""What lets the live market be used, what a key may do, and that a secret shows nowhere."""

from __future__ import annotations

import logging
import traceback
from itertools import product
from typing import Any

import pytest

from agents.execution.binance import KeyPermissions, decide_live, fingerprint_of, open_binance
from agents.execution.binance.access import CONFIRMATION, read_permissions
from engine.domain.errors import ConfigError, VenueUnavailable
from tests.agents.execution.binance.places import BinancePlace, on_binance
from tests.agents.execution.binance.simulation import memory_database, request
from tests.binance.errors import ApiError
from tests.binance.faults import Refuse, When
from tests.binance.server import KEY, SECRET

GOOD = KeyPermissions(is_known=True, can_trade=True)
PRINT = fingerprint_of("my-key")
WORDS = f"{CONFIRMATION} {PRINT}"


def test_live_needs_all_three() -> None:
    settings = {"binance": True, "paper": False}
    permissions = {GOOD: True, None: False, KeyPermissions(is_known=False): False}
    words = {WORDS: True, None: False, CONFIRMATION: False, f"{CONFIRMATION} 00000000": False}
    for setting, key, typed in product(settings, permissions, words):
        gate = decide_live(setting, key, typed, fingerprint=PRINT)
        assert gate.is_allowed == (settings[setting] and permissions[key] and words[typed])
        assert gate.is_allowed == (gate.reasons == ())


@pytest.mark.parametrize(
    ("setting", "permissions", "words", "reason"),
    [
        ("binance-testnet", GOOD, WORDS, "not_selected"),
        ("binance", None, WORDS, "key_unchecked"),
        ("binance", KeyPermissions(True, True, ("key_can_withdraw",)), WORDS, "key_can_withdraw"),
        ("binance", KeyPermissions(True, False), WORDS, "key_cannot_trade"),
        ("binance", GOOD, None, "not_confirmed"),
        ("binance", GOOD, "yes please", "not_confirmed"),
        ("binance", GOOD, f"{CONFIRMATION} 12345678", "confirmed_other_key"),
    ],
)
def test_each_missing_thing_is_named(setting: str, permissions: KeyPermissions, words: str, reason: str) -> None:
    assert decide_live(setting, permissions, words, fingerprint=PRINT).reasons == (reason,)


def test_rights_that_the_exchange_does_not_speak_of_leave_a_key_unchecked() -> None:
    assert not read_permissions({}).is_known
    assert not read_permissions({"enableWithdrawals": False}).is_known
    told = read_permissions({"enableWithdrawals": "no", "enableSpotAndMarginTrading": True})
    assert told.troubles == ("key_can_withdraw",)


@on_binance(mode="binance")
async def test_a_key_that_may_only_trade_passes(place: BinancePlace) -> None:
    told = await place.bench.venue.check_keys()
    assert (told.is_known, told.can_trade, told.troubles) == (True, True, ())


@on_binance(mode="binance")
async def test_a_key_that_may_withdraw_is_found_out(place: BinancePlace) -> None:
    place.bench.server.account.can_withdraw = True
    told = await place.bench.venue.check_keys()
    assert "key_can_withdraw" in told.troubles
    assert not decide_live("binance", told, WORDS, fingerprint=PRINT).is_allowed


@on_binance(mode="binance")
async def test_a_key_that_cannot_be_asked_about_is_not_good(place: BinancePlace) -> None:
    place.bench.server.faults.add(Refuse(ApiError(-1000, "?")), When(path="/apiRestrictions"), times=None)
    with pytest.raises(VenueUnavailable):
        await place.bench.venue.check_keys()


@on_binance()
async def test_a_test_network_has_no_such_question(place: BinancePlace) -> None:
    assert not (await place.bench.venue.check_keys()).is_known


@pytest.mark.parametrize(("mode", "key", "secret"), [("kraken", "k", "s"), ("binance", "", "s"), ("binance", "k", "")])
def test_a_wrong_mode_or_a_missing_key_stops_the_start(mode: Any, key: str, secret: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        open_binance(mode, key, secret, memory_database())
    assert "s" * 64 not in str(refusal.value)


@on_binance()
async def test_a_secret_shows_in_no_repr_no_log_and_no_error(
    place: BinancePlace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place.bench.server.faults.add(
        Refuse(ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)), When("POST"), times=None
    )
    shown = [repr(place.bench.venue), repr(place.bench.venue.gateway.connection), str(place.bench.venue.gateway)]
    try:
        await place.venue.submit(request(symbol="BTC/USDT", quantity="2"))
    except VenueUnavailable as error:
        shown += traceback.format_exception(error)
    shown += [str(each) for each in place.venue.incidents()]
    text = "\n".join([*shown, *(record.getMessage() for record in caplog.records if "agents" in record.name)])
    assert SECRET not in text
    assert KEY not in text
    assert "signature" not in text
    assert "key_refused" in text
