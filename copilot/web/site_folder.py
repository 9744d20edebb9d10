"""The folder that Chainlit serves from: written anew at every start, so that it is ours and nothing is left over.

Chainlit reads its settings, its welcome text, its translations and the files of the browser from one folder, and
writes what is missing into the working directory. Here that folder lies in the data folder. Two things are changed in
what Chainlit ships: the page no longer asks Google and a CDN for fonts and styles, and a few of its words are ours.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prompts import LANGUAGES, load_words

_ELEMENTS = ("TicketCard.jsx", "AgentCards.jsx", "AlertCard.jsx")
_PUBLIC = ("copilot.css", "copilot.js", "logo_light.svg", "logo_dark.svg", "favicon.svg", "dashboard.svg")
LOCALES: Mapping[str, str] = {"en": "en-US", "es": "es"}
"""How Chainlit names the files of our languages."""
_REMOTE_LINK = re.compile(r"<link\b[^>]*?https?://[^>]*>", re.IGNORECASE)
_THEME = {
    # No fonts to fetch: the browser's own are used.
    "custom_fonts": [],
    "variables": {
        "light": {"--primary": "172 82% 26%", "--ring": "172 82% 26%"},
        "dark": {"--primary": "172 70% 36%", "--ring": "172 70% 42%"},
    },
}
_CONFIG = """# Written at every start; changes here are lost.
[project]
session_timeout = 3600
user_session_timeout = 604800
cache = false
allow_origins = []
user_env = []

[features]
unsafe_allow_html = false
latex = false
user_message_markdown = false
edit_message = false
allow_thread_sharing = false
favorites = false

[features.spontaneous_file_upload]
enabled = false

[features.audio]
enabled = false

[features.mcp]
enabled = false

[features.mcp.user_servers]
enabled = false

[UI]
name = "Trading Copilot"
description = ""
cot = "tool_call"
confirm_new_chat = true
default_sidebar_state = "closed"
chat_settings_location = "message_composer"
default_avatar_file_url = "/favicon"
custom_build = "build"
custom_css = "/public/copilot.css"
custom_js = "/public/copilot.js"
custom_js_attributes = "defer"
custom_meta_url = "/"
custom_meta_image_url = "/favicon"

[meta]
generated_by = "2.12.0"
"""


def prepare_site(folder: Path) -> None:
    """Write everything that Chainlit serves.

    Args:
        folder: Owned by the page alone; what is in it is deleted.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / ".chainlit" / "translations").mkdir(parents=True)
    (folder / ".chainlit" / "config.toml").write_text(_CONFIG, "utf-8")
    chainlit = _chainlit_folder()
    _write_translations(chainlit / "translations", folder / ".chainlit" / "translations")
    _write_build(chainlit / "frontend" / "dist", folder / "build")
    _write_public(folder / "public")
    _write_welcome(folder)


def localize_html(page: str) -> str:
    """Return Chainlit's page without the links to other hosts.

    >>> localize_html('<head><link href="https://fonts.example/a.css" rel="stylesheet" /><link href="/b.css"></head>')
    '<head><link href="/b.css"></head>'
    """
    return _REMOTE_LINK.sub("", page)


def _chainlit_folder() -> Path:
    spec = find_spec("chainlit")
    assert spec is not None, "chainlit is a dependency of this package"
    assert spec.origin is not None, "chainlit is an ordinary package"
    return Path(spec.origin).parent


def _write_translations(source: Path, target: Path) -> None:
    for path in source.glob("*.json"):
        shutil.copyfile(path, target / path.name)
    for language in LANGUAGES:
        path = target / f"{LOCALES[language]}.json"
        words = json.loads(path.read_text("utf-8"))
        for name, text in load_words(language, "web")["chainlit"].items():
            _replace(words, name.split("."), text)
        path.write_text(json.dumps(words, ensure_ascii=False), "utf-8")


def _replace(words: dict[str, Any], path: list[str], text: str) -> None:
    """Put our words where Chainlit's were.

    Raises:
        KeyError: Chainlit has no such words any more.
    """
    *parents, last = path
    for name in parents:
        words = words[name]
    if last not in words:
        raise KeyError(".".join(path))
    words[last] = text


def _write_build(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, target / path.name)
    page = (source / "index.html").read_text("utf-8")
    (target / "index.html").write_text(localize_html(page), "utf-8")
    try:
        (target / "assets").symlink_to(source / "assets", target_is_directory=True)
    except OSError:
        # No links on this file system: copy, without the source maps, which are most of it.
        shutil.copytree(source / "assets", target / "assets", ignore=shutil.ignore_patterns("*.map"))


def _write_public(target: Path) -> None:
    (target / "elements").mkdir(parents=True)
    assets = files("copilot.web.assets")
    (target / "theme.json").write_text(json.dumps(_THEME), "utf-8")
    for name in _PUBLIC:
        (target / name).write_bytes(assets.joinpath(name).read_bytes())
    for name in _ELEMENTS:
        (target / "elements" / name).write_bytes(assets.joinpath(name).read_bytes())


def _write_welcome(folder: Path) -> None:
    """Copy the welcome texts from the repository; a package installed without them goes without."""
    repository = Path(__file__).resolve().parents[2]
    names: Mapping[str, str] = {"chainlit.md": "chainlit.md", "chainlit_es.md": "chainlit_es.md"}
    for source, name in names.items():
        path = repository / source
        (folder / name).write_text(path.read_text("utf-8") if path.is_file() else "", "utf-8")
