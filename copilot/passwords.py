"""The web page's password: an Argon2 hash in a private file of the data folder, never in the database or a log."""

from __future__ import annotations

import os
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from engine.domain.errors import ConfigError

MIN_LENGTH = 10


class PasswordFile:
    """The owner's password in `data_dir`."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "password.argon2"
        self._hasher = PasswordHasher()

    @property
    def is_set(self) -> bool:
        """Return whether a password was ever set."""
        return self._path.exists()

    def set(self, password: str) -> None:
        """Keep the hash of a new password, readable by this account alone.

        Raises:
            ConfigError: It is shorter than `MIN_LENGTH`.
        """
        if len(password) < MIN_LENGTH:
            raise ConfigError(f"the password has {len(password)} characters; at least {MIN_LENGTH} are needed")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._hasher.hash(password))
        draft.replace(self._path)

    def verify(self, password: str) -> bool:
        """Return whether this is the password; False when none is set."""
        if not self.is_set:
            return False
        try:
            return self._hasher.verify(self._path.read_text(), password)
        except (Argon2Error, InvalidHashError):
            return False
