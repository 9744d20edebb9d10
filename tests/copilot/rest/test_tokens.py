"""Tokens: shown once, kept as digests, worthless at once when they are revoked or over."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from copilot.rest.tables import rest_tokens
from copilot.rest.tokens import MAX_TOKENS, Scope, TokenStore
from copilot.token_commands import app
from engine.data.database import connect_database, metadata
from engine.domain.errors import ConfigError, InvalidRequest
from tests.tools.world import OWNER, Clock, open_fast


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[TokenStore]:
    database = open_fast(tmp_path / "tokens.db")
    yield TokenStore(database, clock.now)
    database.dispose()


def test_token_is_found_by_its_secret_alone(store: TokenStore) -> None:
    secret, made = store.create("reader", [Scope.READ], OWNER)
    assert store.find(secret) is not None
    assert made.scopes == {Scope.READ}
    for wrong in ("", secret[:-1], secret + "x", secret.upper(), made.id, "\ud800"):
        assert store.find(wrong) is None


def test_database_holds_the_digest_and_never_the_secret(tmp_path: Path, clock: Clock) -> None:
    database = open_fast(tmp_path / "kept.db")
    secret, _ = TokenStore(database, clock.now).create("reader", [Scope.READ], OWNER)
    with database.connect() as connection:
        row = connection.execute(select(rest_tokens)).one()
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert all(secret not in str(value) and secret[3:] not in str(value) for value in row)
    database.dispose()
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_two_tokens_never_agree(store: TokenStore) -> None:
    secrets = {store.create(f"t{n}", [Scope.READ], OWNER)[0] for n in range(MAX_TOKENS)}
    assert len(secrets) == MAX_TOKENS
    with pytest.raises(InvalidRequest, match="too_many_tokens"):
        store.create("one more", [Scope.READ], OWNER)
    store.create("of somebody else", [Scope.READ], "eve")


def test_token_ends_by_time(store: TokenStore, clock: Clock) -> None:
    secret, _ = store.create("short", [Scope.READ], OWNER, clock.now() + timedelta(seconds=10))
    clock.wait(9)
    assert store.find(secret) is not None
    clock.wait(1)
    assert store.find(secret) is None


def test_revocation_counts_at_once_and_in_every_process(tmp_path: Path, clock: Clock) -> None:
    one, other = (TokenStore(open_fast(tmp_path / "shared.db"), clock.now) for _ in range(2))
    secret, made = one.create("shared", [Scope.TRADE], OWNER)
    assert other.find(secret) is not None
    assert one.revoke(made.id)
    assert other.find(secret) is None
    assert not other.is_good(made.id)
    assert one.revoke(made.id), "repeating it changes nothing"
    assert not one.revoke("0" * 16)
    assert not one.revoke(made.id, "eve"), "somebody else's looks like none"


def test_last_use_is_noted_to_the_minute(store: TokenStore, clock: Clock) -> None:
    secret, _ = store.create("used", [Scope.READ], OWNER)
    assert store.list(OWNER)[0].used_at is None
    first = clock.now()
    store.find(secret)
    clock.wait(30)
    store.find(secret)
    assert store.list(OWNER)[0].used_at == first
    clock.wait(31)
    store.find(secret)
    assert store.list(OWNER)[0].used_at == clock.now()


@pytest.mark.parametrize(
    ("name", "scopes", "code"),
    [("", [Scope.READ], "bad_token_name"), ("x" * 65, [Scope.READ], "bad_token_name"), ("ok", [], "bad_token_scopes")],
)
def test_a_token_that_makes_no_sense_is_refused(store: TokenStore, name: str, scopes: list[Scope], code: str) -> None:
    with pytest.raises(InvalidRequest, match=code):
        store.create(name, scopes, OWNER)
    assert store.list() == ()


@pytest.mark.mariadb
def test_mariadb_keeps_tokens_alike(mariadb_url: str, clock: Clock) -> None:
    database = connect_database(mariadb_url)
    metadata.create_all(database, tables=[rest_tokens])
    store = TokenStore(database, clock.now)
    secret, made = store.create("kept", [Scope.READ, Scope.ADMIN], OWNER, clock.now() + timedelta(days=1))
    found = store.find(secret)
    assert found is not None
    assert (found.id, found.scopes, found.expires_at) == (made.id, made.scopes, made.expires_at)
    assert store.revoke(made.id)
    assert store.find(secret) is None
    database.dispose()


class Shell:
    """The commands on a database of their own."""

    def __init__(self) -> None:
        self._runner = CliRunner()

    def run(self, *words: str, code: int = 0) -> str:
        done = self._runner.invoke(app, list(words))
        if isinstance(done.exception, ConfigError):
            raise done.exception
        assert done.exit_code == code, done.output
        return str(done.stdout)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    path = tmp_path / "shell.db"
    monkeypatch.setenv("COPILOT_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("copilot.database.open_database", lambda _url: open_fast(path))
    return Shell()


def test_commands_make_list_and_revoke(shell: Shell) -> None:
    secret = shell.run("create", "bot", "--scope", "read", "--scope", "trade", "--days", "30").strip()
    assert secret.startswith("tc_")
    assert len(secret) >= 46
    (told,) = json.loads(shell.run("list", "--json"))
    assert (told["name"], told["scopes"], told["state"]) == ("bot", ["read", "trade"], "good")
    assert secret not in shell.run("list")
    assert "revoked" in shell.run("revoke", told["id"])
    assert json.loads(shell.run("list", "--json"))[0]["state"] == "revoked"
    shell.run("revoke", "0" * 16, code=1)


def test_json_of_a_fresh_token_holds_it_once(shell: Shell) -> None:
    made = json.loads(shell.run("create", "bot", "--scope", "admin", "--json"))
    assert made["token"].startswith("tc_")
    assert "token" not in json.loads(shell.run("list", "--json"))[0]


def test_an_unknown_scope_is_named(shell: Shell) -> None:
    with pytest.raises(ConfigError, match="'write' is not known; choose of read, trade, admin"):
        shell.run("create", "bot", "--scope", "write")


async def test_many_lookups_at_once_agree(store: TokenStore) -> None:
    secret, _ = store.create("busy", [Scope.READ], OWNER)
    found = await asyncio.gather(*(asyncio.to_thread(store.find, secret) for _ in range(40)))
    assert all(each is not None for each in found)


def test_tokens_are_managed_without_loading_the_service() -> None:
    program = (
        "import sys, copilot.rest.tokens, copilot.token_commands; "
        "print([name for name in ('fastapi', 'langchain_core') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
