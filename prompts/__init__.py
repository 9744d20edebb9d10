"""Words: one folder per language, plain files, and this loader.

`<language>/<name>.yaml` holds sentences with `{placeholders}`; `<language>/<name>.md` holds a prompt with YAML front
matter. Files are read once and kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

LANGUAGES = ("en", "es")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file: its front matter's version, its text, and the text's hash, kept with each turn."""

    name: str
    version: int
    placeholders: tuple[str, ...]
    text: str
    sha256: str

    def fill(self, **values: str) -> str:
        """Return the text with its declared placeholders filled in one pass: what is filled in is never read again."""
        slots = "|".join(map(re.escape, self.placeholders))
        return re.sub(f"{{({slots})}}", lambda match: values[match[1]], self.text) if slots else self.text


@cache
def load_words(language: str, name: str) -> Mapping[str, Any]:
    """Return the sentences of one file.

    Raises:
        FileNotFoundError: There is no such file in that language.
        ValueError: The file is not a YAML mapping.
    """
    words = yaml.safe_load(_read(language, f"{name}.yaml"))
    if not isinstance(words, dict):
        raise ValueError(f"prompts/{language}/{name}.yaml must be a mapping of names to sentences")
    return words


@cache
def load_prompt(language: str, name: str) -> Prompt:
    """Return one prompt with its front matter.

    Raises:
        FileNotFoundError: There is no such file in that language.
        ValueError: The front matter is missing or has no whole `version`.
    """
    content = _read(language, f"{name}.md")
    try:
        _, front, text = content.split("---\n", 2)
        matter = yaml.safe_load(front)
        version = int(matter["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"prompts/{language}/{name}.md must begin with front matter that has a version") from error
    text = text.strip() + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Prompt(name, version, tuple(matter.get("placeholders", ())), text, digest)


def _read(language: str, file: str) -> str:
    source = files(__name__).joinpath(language, file)
    if not source.is_file():
        raise FileNotFoundError(f"prompts/{language}/{file} is missing; every language needs every file")
    return source.read_text("utf-8")
