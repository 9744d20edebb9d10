"""The page's password: hashed, private, checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from copilot.passwords import PasswordFile
from engine.domain.errors import ConfigError


def test_password_is_kept_as_a_private_hash(tmp_path: Path) -> None:
    password = PasswordFile(tmp_path / "data")
    password.set("correct horse")
    (kept,) = (tmp_path / "data").iterdir()
    assert "correct" not in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0
    assert password.verify("correct horse")
    assert not password.verify("correct horsf")


def test_short_password_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    password = PasswordFile(tmp_path)
    password.set("long enough 1")
    with pytest.raises(ConfigError, match="at least 10"):
        password.set("short")
    assert password.verify("long enough 1")


def test_without_a_password_nothing_is_accepted(tmp_path: Path) -> None:
    assert not PasswordFile(tmp_path).is_set
    assert not PasswordFile(tmp_path).verify("")


def test_damaged_hash_accepts_nothing(tmp_path: Path) -> None:
    (tmp_path / "password.argon2").write_text("not a hash")
    assert not PasswordFile(tmp_path).verify("not a hash")
