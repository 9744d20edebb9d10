"""Find and start a real Ollama server of our own, apart from one that the owner may run.

Everything lies in one folder of the user's cache: the program if we built it, the tiny model, the server's keys. A
server on the usual port is never touched: ours listens on a free loopback port with its own models.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

MODEL = "copilot-tiny"
_START_S = 30.0
_STOP_S = 10.0
_POLL_S = 0.1


def cache_folder() -> Path:
    """Return the folder of the program and the models; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "trading-copilot" / "ollama"


def find_server() -> Path | None:
    """Return the installed program, else the one that we built, else None."""
    installed = shutil.which("ollama")
    if installed:
        return Path(installed)
    built = cache_folder() / "bin" / "ollama"
    return built if os.access(built, os.X_OK) else None


def models_folder() -> Path:
    """Return the folder of the server's models."""
    return cache_folder() / "models"


def has_model() -> bool:
    """Tell whether the tiny model has been imported."""
    return any(models_folder().glob(f"manifests/*/library/{MODEL}/latest"))


def environment(port: int) -> dict[str, str]:
    """Return the server's environment: our folder, one request at a time, one model in memory."""
    return os.environ | {
        "HOME": str(cache_folder()),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(models_folder()),
        "OLLAMA_NUM_PARALLEL": "1",
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_KEEP_ALIVE": "5m",
        "OMP_NUM_THREADS": "1",
    }


@contextlib.contextmanager
def serving(program: Path) -> Iterator[str]:
    """Start the server on a free port, and stop it at the end of the block.

    Args:
        program: The `ollama` binary.

    Yields:
        The server's address.

    Raises:
        RuntimeError: It did not answer; the message ends with the tail of its log.
    """
    port, log = _free_port(), cache_folder() / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen([program, "serve"], env=environment(port), stdout=sink, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process, log)
            yield url
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/api/version", timeout=1.0).status_code == 200:
                return
        time.sleep(_POLL_S)
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"Ollama did not start on {url}; its log ends with:\n{tail}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
