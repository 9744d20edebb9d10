"""The prompts of a real chat model: versioned, hashed, the same in both languages."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import yaml

import prompts
from prompts import LANGUAGES, load_prompt

ROOT = Path(prompts.__file__).parent
NAMES = sorted(path.stem for path in (ROOT / "en").glob("*.md"))


def test_the_prompts_are_there() -> None:
    assert {"system", "analysis", "strategy", "explanation", "summary"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_agree_on_version_and_placeholders(name: str) -> None:
    english, spanish = (load_prompt(language, name) for language in LANGUAGES)
    assert english.version == spanish.version >= 1
    assert english.placeholders == spanish.placeholders
    assert english.sha256 != spanish.sha256


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_prompt_uses_exactly_the_placeholders_it_declares(name: str, language: str) -> None:
    prompt = load_prompt(language, name)
    used = set(re.findall(r"\{([a-z_]+)\}", prompt.text))
    assert used == set(prompt.placeholders)
    filled = prompt.fill(**dict.fromkeys(prompt.placeholders, "{question} {results}"))
    assert filled.count("{question}") == len(prompt.placeholders)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_front_matter_tells_the_purpose_and_the_hash_is_that_of_the_text(name: str, language: str) -> None:
    front = yaml.safe_load((ROOT / language / f"{name}.md").read_text("utf-8").split("---\n", 2)[1])
    assert front.keys() == {"version", "purpose", "placeholders"}
    assert front["purpose"].strip()
    prompt = load_prompt(language, name)
    assert prompt.sha256 == hashlib.sha256(prompt.text.encode()).hexdigest()


def test_system_prompt_never_changes_within_a_conversation() -> None:
    assert all(load_prompt(language, "system").placeholders == () for language in LANGUAGES)


@pytest.mark.parametrize(
    "content", ["no front matter", "---\npurpose: none\n---\ntext", "---\nversion: soon\n---\ntext", "---\n- 1\n---\nx"]
)
def test_bad_front_matter_is_named(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "_read", lambda language, file: content)
    with pytest.raises(ValueError, match=r"prompts/en/bad.*\.md must begin with front matter"):
        load_prompt("en", f"bad{len(content)}")


def test_missing_prompt_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"prompts/es/nothing\.md is missing"):
        load_prompt("es", "nothing")
