"""Serving the page: everything that must be true before the first request is answered.

Chainlit is configured through its environment and a folder, both read while it is imported, and it keeps one app per
process. So the environment is cleaned and set here, then it is imported, then hooked up, then put behind the gate.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from copilot.events import Language
from copilot.web.core import Core
from copilot.web.gate import Gate, is_loopback
from copilot.web.login import Seal, SignIn
from copilot.web.site_folder import LOCALES, prepare_site
from copilot.web.threads import Threads
from engine.dashboard.app import dashboard_routes
from engine.domain.errors import ConfigError
from prompts import load_words

if TYPE_CHECKING:
    from copilot.web.page import Page

REST = "/api/v1"
MAX_SOCKET_BYTES = 1 << 20
"""Largest message a browser may send over its socket."""
DASHBOARD = "/dashboard"
_SHUTDOWN_S = 2
_SECRET_BYTES = 48
_FOREIGN_SETTINGS = (
    "DATABASE_URL",
    "LITERAL_API_KEY",
    "DISCORD_BOT_TOKEN",
    "SLACK_BOT_TOKEN",
    "SLACK_SIGNING_SECRET",
    "SLACK_WEBSOCKET_TOKEN",
    "TEAMS_APP_ID",
    "TEAMS_APP_PASSWORD",
)
"""Variables that make Chainlit talk to somebody else or keep conversations elsewhere."""


async def serve(
    core: Core,
    threads: Threads,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    owner: str,
    data_dir: Path,
    fallback_language: Language = "en",
    check_password: Callable[[str], bool] | None = None,
    dashboard: ASGIApp | None = None,
    rest: ASGIApp | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until interrupted.

    Args:
        core: The copilot.
        threads: Past conversations.
        host: Address to listen on; beyond loopback only with a password.
        port: 0 takes a free one.
        owner: Whose page it is.
        data_dir: Keeps the key of the sessions and the folder that is served (`web`), which is written anew.
        fallback_language: For browsers that ask for neither of ours, and for what is said at the start.
        check_password: Tells whether a password is the owner's; None when none was set.
        dashboard: The live page, to stand behind the same sign-in at `/dashboard`; None where there is none.
        rest: The HTTP service, at `/api/v1`, with tokens of its own; None where there is none.
        say: Tells the owner something where the program was started; the sign-in link goes there.

    Raises:
        ConfigError: The address cannot be used, or would be open to others without a password.
    """
    listener = listen(host, port, has_password=check_password is not None)
    with listener:
        host, port = listener.getsockname()[:2] if port == 0 or is_loopback(host) else (host, port)
        url = f"http://{_bracketed(host)}:{port}"
        words = load_words(fallback_language, "web")["start"]
        secret = session_secret(data_dir)
        prepare_environment(data_dir / "web", secret, cookie=f"copilot_session_{port}")
        sign_in = SignIn(
            Seal(f"copilot_session_{port}", lambda: _issue(owner)),
            lambda path: say(words["link"].format(url=url + path)),
            check_password=check_password,
            fallback=fallback_language,
        )
        app, watch = build_app(
            core, threads, sign_in, host=host, owner=owner, fallback=fallback_language, dashboard=dashboard, rest=rest
        )
        say(words["listening"].format(url=url))
        sign_in.print_link()
        if check_password is not None:
            say(words["password"].format(url=url))
        await _run(app, watch, listener)


def listen(host: str, port: int, *, has_password: bool, setting: str = "COPILOT_PORT") -> socket.socket:
    """Return a socket that callers can already knock at.

    Raises:
        ConfigError: Others could reach the page and there is no password, or the address cannot be had.
    """
    if not is_loopback(host) and not has_password:
        raise ConfigError(
            f"COPILOT_HOST is {host!r}: other machines could reach the page, and no password is set; "
            "set one with: trading-copilot password, or keep COPILOT_HOST at 127.0.0.1"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"COPILOT_HOST is {host!r}: not an address that can be listened on ({error})") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # From here on callers queue: the sign-in link is told before the server accepts, and may be opened at once.
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{setting} is {port}: it cannot be listened on ({error.strerror or error}); stop what uses it, or "
            "choose another port"
        ) from error
    return listener


def session_secret(data_dir: Path) -> str:
    """Return the key that signs sessions, made at the first start and readable by this account alone.

    Deleting the file signs every browser out.
    """
    path = data_dir / "session.key"
    data_dir.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(_SECRET_BYTES))
    path.chmod(0o600)
    secret = path.read_text("ascii").strip()
    if len(secret) < _SECRET_BYTES:
        raise ConfigError(f"{path} is damaged: delete it, and every browser signs in again")
    return secret


def prepare_environment(folder: Path, secret: str, *, cookie: str) -> None:
    """Write the served folder and point Chainlit to it; must come before Chainlit is imported."""
    prepare_site(folder)
    for name in [*os.environ]:
        if name.startswith("CHAINLIT_") or name in _FOREIGN_SETTINGS:
            del os.environ[name]
    os.environ.update(
        CHAINLIT_APP_ROOT=str(folder.resolve()),
        CHAINLIT_AUTH_SECRET=secret,
        CHAINLIT_CUSTOM_AUTH="true",
        CHAINLIT_AUTH_COOKIE_NAME=cookie,
        CHAINLIT_COOKIE_SAMESITE="strict",
        # Chainlit would load the `.env` of the working directory into the environment.
        CHAINLIT_ENV_FILE=os.devnull,
    )


def build_app(
    core: Core,
    threads: Threads,
    sign_in: SignIn,
    *,
    host: str,
    owner: str,
    fallback: Language,
    dashboard: ASGIApp | None = None,
    rest: ASGIApp | None = None,
) -> tuple[ASGIApp, Callable[[], asyncio.Task[None]]]:
    """Return the whole page behind its gate, and what starts its background work."""
    from copilot.web.app import register

    page = register(core, threads, fallback)
    # Imported last: it looks at the configuration while it is imported.
    from chainlit.server import app as chainlit_app

    rooms: list[BaseRoute] = [] if dashboard is None else dashboard_routes(dashboard, DASHBOARD)
    if rest is not None:
        rooms.append(Mount(REST, rest))
    routes = [*sign_in.routes, *_own_routes(page, threads, owner, has_dashboard=dashboard is not None), *rooms]
    inner = Starlette(routes=[*routes, Mount("/", chainlit_app)])
    names = (socket.gethostname(),)
    gate = Gate(
        inner,
        lambda cookies: _is_owner(cookies, owner),
        host,
        names,
        rooms=() if dashboard is None else (DASHBOARD,),
        services=() if rest is None else (REST,),
    )
    return gate, lambda: asyncio.create_task(page.watch())


def _own_routes(page: Page, threads: Threads, owner: str, *, has_dashboard: bool) -> list[BaseRoute]:
    """Return what stands before Chainlit's routes: its words in the owner's language, and charts drawn again."""
    from chainlit.server import project_settings, project_translations
    from chainlit.user import User

    from copilot.web.drawings import Drawing

    def language(request: Request) -> Language:
        return page.owners_language(owner, request.query_params.get("language", ""))

    async def banner(request: Request) -> JSONResponse:
        text = page.banner(owner, request.headers.get("accept-language", ""))
        return JSONResponse({"text": text, "is_real": page.is_real_money})

    async def translations(request: Request) -> Response:
        answer: Response = await project_translations(language=LOCALES[language(request)])
        return answer

    async def settings(request: Request) -> Response:
        spoken = language(request)
        answer = await project_settings(User(identifier=owner), language=LOCALES[spoken], chat_profile=None)
        told = json.loads(answer.body)
        told["ui"]["header_links"] = [_dashboard_link(spoken)] if has_dashboard else []
        return JSONResponse(told)

    async def chart(request: Request) -> Response:
        kept = await asyncio.to_thread(threads.element, owner, request.path_params["element_id"])
        if kept is None or "drawing" not in kept:
            return Response(status_code=404)
        figure = await asyncio.to_thread(lambda: Drawing.model_validate(kept["drawing"]).figure().to_json())
        return Response(figure, media_type="application/json")

    return [
        Route("/banner", banner),
        Route("/project/translations", translations),
        Route("/project/settings", settings),
        Route("/chart/{element_id}", chart),
    ]


def _dashboard_link(language: Language) -> dict[str, str]:
    name = load_words(language, "web")["header"]["dashboard"]
    icon = "/public/dashboard.svg"
    return {"name": name, "display_name": name, "icon_url": icon, "url": f"{DASHBOARD}/", "target": "_self"}


async def _run(app: ASGIApp, watch: Callable[[], asyncio.Task[None]], listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,  # it would hold the sign-in link
        proxy_headers=False,
        server_header=False,
        ws_max_size=MAX_SOCKET_BYTES,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    watching = watch()
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _issue(owner: str) -> str:
    from chainlit.auth import create_jwt
    from chainlit.user import User

    return create_jwt(User(identifier=owner))


def _is_owner(cookies: dict[str, str], owner: str) -> bool:
    from chainlit.auth import get_token_from_cookies
    from chainlit.auth.jwt import decode_jwt
    from jwt import InvalidTokenError

    token = get_token_from_cookies(cookies)
    if not token:
        return False
    try:
        return bool(decode_jwt(token).identifier == owner)
    except (InvalidTokenError, KeyError, TypeError):
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
