from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from copilot.web.site_folder import localize_html, prepare_site
from prompts import load_words
from tools.results import TicketView
from tools.schema import ARGUMENTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "web"
    folder.mkdir()
    (folder / "left-over").write_text("x")
    prepare_site(folder)
    return folder


def leaves(words: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in words.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def test_page_asks_no_other_host(folder: Path) -> None:
    page = (folder / "build" / "index.html").read_text()
    assert re.findall(r"https?://\S+", page) == []
    assert "/assets/index" in page


def test_links_of_several_lines_are_removed() -> None:
    page = '<link\n  href="https://fonts.example/css"\n  rel="stylesheet"\n/><link rel="x" href="/own.css">'
    assert localize_html(page) == '<link rel="x" href="/own.css">'


def test_what_is_off_is_off(folder: Path) -> None:
    config = tomllib.loads((folder / ".chainlit" / "config.toml").read_text())
    features = config["features"]
    assert features["edit_message"] is False
    assert features["unsafe_allow_html"] is False
    assert [features[name]["enabled"] for name in ("spontaneous_file_upload", "audio", "mcp")] == [False] * 3
    assert config["project"]["allow_origins"] == []


def test_folder_is_written_anew(folder: Path) -> None:
    assert not (folder / "left-over").exists()
    assert (folder / "public" / "elements" / "TicketCard.jsx").is_file()
    assert (folder / "chainlit.md").read_text().startswith("# Trading Copilot")
    assert "Apruebe" not in (folder / "chainlit_es.md").read_text()


def test_chainlits_words_are_ours_in_both_languages(folder: Path) -> None:
    spanish = json.loads((folder / ".chainlit" / "translations" / "es.json").read_text())
    english = json.loads((folder / ".chainlit" / "translations" / "en-US.json").read_text())
    assert spanish["chat"]["watermark"] == load_words("es", "web")["chainlit"]["chat.watermark"]
    assert english["chat"]["watermark"] == load_words("en", "web")["chainlit"]["chat.watermark"]


def test_words_are_complete_in_both_languages() -> None:
    english, spanish = (dict(leaves(load_words(language, "web"))) for language in ("en", "es"))
    assert english.keys() == spanish.keys()
    for name, text in english.items():
        fields = [sorted(f for _, f, _, _ in Formatter().parse(words) if f) for words in (text, spanish[name])]
        assert fields[0] == fields[1], name
        assert text.strip()
        assert spanish[name].strip()


def test_every_tool_and_state_has_words() -> None:
    words = load_words("en", "web")
    assert set(ARGUMENTS) <= set(words["tools"])
    states = TicketView.model_fields["state"].annotation
    assert set(states.__args__) <= set(words["card"]["state"])  # type: ignore[union-attr]  # a Literal
