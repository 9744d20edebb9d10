"""A kill switch on disk: while the file is there nothing is sent, whatever else works or does not.

Anybody who can write a file can stop trading, without the copilot, a network or a language model. A file that cannot
be looked for counts as there. Deleting it lifts nothing: the halt that it set off stands until a person lifts it.
"""

from __future__ import annotations

import os
from pathlib import Path


class KillFile:
    """A path whose existence stops all trading.

    Args:
        path: Of the file; its content does not matter.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_set(self) -> bool:
        """Return whether the file is there, or cannot be looked for."""
        try:
            os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True
