"""The life of a mandate: only its owner confirms it, once, in time, exactly as it was shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from agents.mandates import ALL_PAIRS, Mandates, MandateState
from agents.mandates.tables import mandates
from engine.domain.errors import InvalidRequest
from tests.agents.mandates.world import NOON, OWNER, TERMS, World


def test_a_proposal_allows_nothing_until_its_owner_confirms_it(world: World) -> None:
    proposed = world.mandates.propose(TERMS, OWNER)
    assert proposed.state is MandateState.PROPOSED
    assert world.mandates.standing("atlas", "binance") is None
    done = world.mandates.confirm(proposed.id, proposed.nonce, OWNER, "web")
    assert done.outcome == "confirmed"
    standing = world.mandates.standing("atlas", "binance")
    assert standing is not None
    assert standing.terms == TERMS
    assert (standing.confirmed_by, standing.confirmed_on, standing.confirmed_at) == (OWNER, "web", NOON)


def test_a_second_confirmation_changes_nothing(world: World) -> None:
    mandate = world.confirmed()
    world.wait(seconds=5)
    again = world.mandates.confirm(mandate.id, mandate.nonce, OWNER, "telegram")
    assert (again.outcome, again.mandate) == ("already", mandate)


@pytest.mark.parametrize(
    ("owner", "nonce", "code"), [("eve", None, "mandate_not_found"), (OWNER, "guess", "mandate_changed")]
)
def test_somebody_else_or_another_nonce_confirms_nothing(
    owner: str, nonce: str | None, code: str, world: World
) -> None:
    proposed = world.mandates.propose(TERMS, OWNER)
    done = world.mandates.confirm(proposed.id, nonce or proposed.nonce, owner, "web")
    assert (done.outcome, done.code) == ("refused", code)
    assert world.mandates.standing("atlas", "binance") is None


def test_a_proposal_that_waited_too_long_is_not_confirmed(world: World) -> None:
    proposed = world.mandates.propose(TERMS, OWNER)
    world.wait(minutes=11)
    assert world.mandates.confirm(proposed.id, proposed.nonce, OWNER, "web").code == "mandate_late"


def test_a_mandate_that_is_over_is_not_confirmed(world: World) -> None:
    proposed = world.mandates.propose(replace(TERMS, expires_at=NOON + timedelta(minutes=1)), OWNER)
    world.wait(minutes=1)
    assert world.mandates.confirm(proposed.id, proposed.nonce, OWNER, "web").code == "mandate_late"


def test_terms_that_were_changed_in_the_database_are_not_confirmed(world: World) -> None:
    proposed = world.mandates.propose(TERMS, OWNER)
    with world.database.begin() as connection:
        connection.execute(update(mandates).values(daily_notional=Decimal("100000")))
    assert world.mandates.confirm(proposed.id, proposed.nonce, OWNER, "web").code == "mandate_damaged"


def test_a_new_mandate_takes_the_place_of_the_old_one(world: World) -> None:
    old = world.confirmed()
    new = world.confirmed(daily_notional=Decimal("2000"))
    assert world.mandates.standing("atlas", "binance") == new
    ended = world.mandates.get(old.id)
    assert ended is not None
    assert ended.state is MandateState.REVOKED
    assert [(e.kind, e.reason) for e in world.mandates.history(old.id)][-1] == ("revoked", "replaced")


def test_mandates_of_other_agents_and_venues_stand_beside_it(world: World) -> None:
    world.confirmed()
    world.confirmed(agent="orion")
    world.confirmed(venue="binance-futures")
    states = {(m.terms.agent, m.terms.venue): m.state for m in world.mandates.of_owner(OWNER)}
    assert set(states.values()) == {MandateState.CONFIRMED}
    assert len(states) == 3


def test_revoking_ends_a_mandate_once_and_for_good(world: World) -> None:
    mandate = world.confirmed()
    assert world.mandates.revoke(mandate.id, OWNER)
    assert not world.mandates.revoke(mandate.id, OWNER)
    assert world.mandates.standing("atlas", "binance") is None
    assert world.mandates.confirm(mandate.id, mandate.nonce, OWNER, "web").outcome == "already"


def test_a_revoked_proposal_cannot_be_confirmed(world: World) -> None:
    proposed = world.mandates.propose(TERMS, OWNER)
    assert world.mandates.revoke(proposed.id, OWNER)
    assert world.mandates.confirm(proposed.id, proposed.nonce, OWNER, "web").outcome == "already"
    assert world.mandates.standing("atlas", "binance") is None


def test_all_mandates_of_an_agent_or_of_everyone_can_be_revoked(world: World) -> None:
    one, two = world.confirmed(), world.confirmed(agent="orion")
    three = world.mandates.propose(replace(TERMS, agent="nova"), OWNER)
    assert world.mandates.revoke_all(OWNER, agent="atlas") == (one.id,)
    assert world.mandates.revoke_all(OWNER, reason="kill") == (two.id, three.id)
    assert world.mandates.history(two.id)[-1].reason == "kill"


def test_what_is_over_is_closed(world: World) -> None:
    short, stays = world.confirmed(expires_at=NOON + timedelta(hours=1)), world.confirmed(agent="orion")
    world.wait(hours=1)
    proposed = world.mandates.propose(replace(TERMS, agent="nova"), OWNER)
    world.wait(minutes=20)
    assert [m.id for m in world.mandates.expire_due()] == [short.id, proposed.id]
    assert world.mandates.expire_due() == ()
    kept = world.mandates.get(stays.id)
    assert kept is not None
    assert kept.state is MandateState.CONFIRMED


def test_the_history_tells_who_did_what_and_when(world: World) -> None:
    mandate = world.confirmed()
    world.wait(hours=2)
    world.mandates.revoke(mandate.id, "ana", "changed my mind")
    told = [(e.kind, e.by, e.reason, e.at) for e in world.mandates.history(mandate.id)]
    later = NOON + timedelta(hours=2)
    assert told == [
        ("proposed", "ana", "", NOON),
        ("confirmed", "ana", "web", NOON),
        ("revoked", "ana", "changed my mind", later),
    ]
    assert {event.terms_hash for event in world.mandates.history(mandate.id)} == {TERMS.hash()}


def test_somebody_elses_mandate_looks_like_none(world: World) -> None:
    mandate = world.confirmed()
    assert world.mandates.get(mandate.id, "eve") is None
    assert world.mandates.of_owner("eve") == ()
    assert world.mandates.get(mandate.id, OWNER) == mandate


def test_of_many_confirmations_at_once_one_wins(world: World) -> None:
    proposed = world.mandates.propose(TERMS, OWNER)
    store = Mandates(world.database, lambda: NOON)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: store.confirm(proposed.id, proposed.nonce, OWNER, "web").outcome, range(32)))
    assert sorted(done) == ["already"] * 31 + ["confirmed"]
    assert [event.kind for event in store.history(proposed.id)] == ["proposed", "confirmed"]


def test_terms_for_everything_that_the_venue_lists() -> None:
    terms = replace(TERMS, pairs=(ALL_PAIRS,))
    assert terms.covers("DOGE/USDT")
    assert not TERMS.covers("DOGE/USDT")


def test_terms_of_one_meaning_have_one_hash() -> None:
    assert replace(TERMS, daily_notional=Decimal("1000.00")).hash() == TERMS.hash()
    assert replace(TERMS, daily_notional=Decimal("1000.01")).hash() != TERMS.hash()


@pytest.mark.parametrize(
    "wrong",
    [
        {"agent": "Atlas!"},
        {"agent": ""},
        {"venue": "bin|ance"},
        {"pairs": ()},
        {"pairs": ("ETH/USDT", "BTC/USDT")},
        {"pairs": ("BTC/USDT", "BTC/USDT")},
        {"pairs": ("*", "BTC/USDT")},
        {"pairs": ("btc/usdt",)},
        {"daily_notional": Decimal(0)},
        {"daily_notional": Decimal("NaN")},
        {"daily_notional": Decimal("Infinity")},
        {"daily_notional": Decimal("399")},
        {"max_order_notional": Decimal("-1")},
        {"drawdown_ratio": Decimal("1.01")},
        {"drawdown_ratio": Decimal(0)},
        {"expires_at": datetime(2026, 4, 1)},  # noqa: DTZ001  # the point is a time without a zone
    ],
)
def test_terms_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        replace(TERMS, **wrong)
