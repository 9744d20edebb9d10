"""The files that deploy the copilot name settings, commands and files that exist."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import yaml

from copilot.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent


def known_settings() -> set[str]:
    return {PREFIX + name.upper() for name in Settings.model_fields}


def compose() -> dict[str, dict[str, dict[str, object]]]:
    loaded: dict[str, dict[str, dict[str, object]]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_compose_names_settings_that_exist() -> None:
    environment = compose()["services"]["app"]["environment"]
    assert isinstance(environment, dict)
    assert set(environment) <= known_settings()


def test_compose_publishes_the_page_on_this_machine_alone() -> None:
    published = [port for service in compose()["services"].values() for port in service.get("ports", [])]  # type: ignore[attr-defined]
    assert published == ["127.0.0.1:8000:8000"]


def test_compose_declares_every_volume_that_it_uses() -> None:
    used = {str(v).split(":")[0] for s in compose()["services"].values() for v in s.get("volumes", [])}  # type: ignore[attr-defined]
    assert used == set(compose()["volumes"])


def test_image_is_made_of_files_that_exist_and_are_sent() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    names = {name for line in copied for name in line.split()}
    assert all((ROOT / name).exists() for name in names)
    assert names == sent


def test_unit_starts_a_command_that_exists_with_settings_that_exist() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy" / "trading-copilot.service")
    start = unit["Service"]["ExecStart"]
    assert start.endswith("/.venv/bin/trading-copilot run")
    text = (ROOT / "deploy" / "trading-copilot.service").read_text()
    assert set(re.findall(r"COPILOT_\w+", text)) <= known_settings()


def test_example_settings_exist() -> None:
    named = set(re.findall(r"COPILOT_[A-Z_]+", (ROOT / ".env.example").read_text()))
    assert named <= known_settings() | {"COPILOT_MYSQL_URL"}
