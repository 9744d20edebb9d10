"""The words of both languages: same keys, same placeholders, each in its own language and typography."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import prompts
from prompts import LANGUAGES, load_words

ROOT = Path(prompts.__file__).parent
FILES = sorted({path.stem for language in LANGUAGES for path in (ROOT / language).glob("*.yaml")})
ENGLISH = re.compile(
    r"\b(the|and|of|is|are|you|your|with|from|this|that|not|have|was|will|price|order|buy|sell|trade|there|at)\b",
    re.IGNORECASE,
)
SPANISH = re.compile(r"\b(el|los|las|una|que|con|para|por|está|orden|precio|compra|venta|del|pero)\b|[¿¡ñ]")


def leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every sentence of a file with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{position}]")
    else:
        assert isinstance(value, str), f"{path} is {value!r}, not text; quote it"
        yield path, value


def sentences(language: str, name: str) -> dict[str, str]:
    return dict(leaves(load_words(language, name)))


def placeholders(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}


def test_both_languages_have_the_same_files() -> None:
    names = [sorted(path.name for path in (ROOT / language).iterdir()) for language in LANGUAGES]
    assert names[0] == names[1]
    assert {"answers", "messages", "questions", "talk"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_both_languages_have_the_same_keys_and_placeholders(name: str) -> None:
    english, spanish = sentences("en", name), sentences("es", name)
    assert english.keys() == spanish.keys()
    different = {key for key, text in english.items() if placeholders(text) != placeholders(spanish[key])}
    assert not different


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FILES)
def test_every_sentence_says_something_and_names_its_placeholders(name: str, language: str) -> None:
    for path, text in sentences(language, name).items():
        assert text.strip(), path
        assert all(field.isidentifier() for field in placeholders(text)), f"{path}: {text}"


@pytest.mark.parametrize("name", ["answers"])
def test_table_heads_have_as_many_columns_in_both_languages(name: str) -> None:
    english, spanish = sentences("en", name), sentences("es", name)
    heads = [key for key in english if key.endswith("_head")]
    assert heads
    assert all(english[key].count("|") == spanish[key].count("|") for key in heads)


@pytest.mark.parametrize("name", FILES)
def test_no_english_words_in_spanish(name: str) -> None:
    leaks = {}
    for path, text in sentences("es", name).items():
        bare = re.sub(r"\{\w+\}|`[^`]*`|--\w+", "", text)
        found = ENGLISH.findall(bare)
        if found:
            leaks[path] = found
    assert not leaks


@pytest.mark.parametrize("name", FILES)
def test_no_spanish_words_in_english(name: str) -> None:
    leaks = {path for path, text in sentences("en", name).items() if SPANISH.search(text)}
    assert not {path for path in leaks if not path.endswith("languages.es")}  # a language is named in itself


@pytest.mark.parametrize("name", FILES)
def test_spanish_typography(name: str) -> None:
    for path, text in sentences("es", name).items():
        assert text.count("?") == text.count("¿"), f"{path}: {text}"
        assert text.count("!") == text.count("¡"), f"{path}: {text}"
        assert not re.search(r"[“”]", text), f"{path}: Spanish quotes are « »: {text}"


@pytest.mark.parametrize("name", FILES)
def test_english_puts_no_space_before_percent(name: str) -> None:
    assert not {path for path, text in sentences("en", name).items() if re.search(r"[\d}] %", text)}


def test_spanish_speaks_to_the_person_as_tu() -> None:
    formal = re.compile(r"\b(usted|ustedes|vosotros|vos|pulse|escriba|elija)\b", re.IGNORECASE)
    for name in FILES:
        assert not {path for path, text in sentences("es", name).items() if formal.search(text)}, name


def test_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"prompts/es/nothing\.yaml is missing"):
        load_words("es", "nothing")


def test_file_that_is_not_a_mapping_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "_read", lambda language, file: "- one\n- two\n")
    with pytest.raises(ValueError, match=r"prompts/en/list_only\.yaml must be a mapping"):
        load_words("en", "list_only")


def test_words_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    words = load_words("en", "talk")
    monkeypatch.setattr(prompts, "_read", lambda language, file: "greeting: changed\n")
    assert load_words("en", "talk") is words
