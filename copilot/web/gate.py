"""The gate in front of the page: who may knock, from where, and on which doors.

Everything is refused that is not listed. A page of another site, open in the same browser, can neither call the
copilot (its Origin is not ours) nor reach it under a name of its own (the Host is not ours). Chainlit serves more
routes than the page needs, among them uploads, element rewriting, MCP and API documents that load scripts from
elsewhere; none of them is reachable. Answers carry a policy that keeps the browser from asking any other host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copilot.web.languages import browser_language
from prompts import load_words

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SOCKET_PATH = "/ws/socket.io"
OPEN_PATHS = frozenset({"/enter", "/login", "/login/link", "/favicon", "/health"})
"""What a person who has not signed in may ask for."""
_ROUTES: dict[str, tuple[str, ...]] = {
    "GET": (
        "/",
        "/enter",
        "/login",
        "/banner",
        "/health",
        "/favicon",
        "/logo",
        "/user",
        "/auth/config",
        "/project/translations",
        "/project/settings",
    ),
    "POST": ("/login", "/login/link", "/logout", "/set-session-cookie", "/project/action", "/project/threads"),
    "PUT": ("/project/thread",),
    "DELETE": ("/project/thread",),
}
_FOLDERS: dict[str, tuple[str, ...]] = {
    "GET": ("/assets/", "/public/", "/avatars/", "/project/file/", "/thread/", "/chart/", f"{SOCKET_PATH}/"),
    "POST": (f"{SOCKET_PATH}/",),
}
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_POLICY_VIOLATION = 1008
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: under it browsers send `Origin: null` with our own sign-in form.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Gate:
    """ASGI middleware that refuses what does not belong here.

    Args:
        app: The page behind the gate.
        is_signed_in: Tells from the cookies of a request whether it is the owner's.
        host: The address that the server listens on.
        names: Further host names under which it may be reached; ignored on loopback.
        rooms: Paths of pages beside the chat that list their own routes, such as `/dashboard`; signing in and the
            checks of Host and Origin are the gate's there, too.
        services: Paths of services that know their callers by a bearer token and look at no cookie, such as `/api/v1`:
            only the Host is checked here, because no other site's page can make a browser send such a token.
    """

    def __init__(
        self,
        app: ASGIApp,
        is_signed_in: Callable[[dict[str, str]], bool],
        host: str,
        names: Iterable[str] = (),
        *,
        rooms: Iterable[str] = (),
        services: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._is_signed_in = is_signed_in
        self._is_loopback = is_loopback(host)
        self._names = _LOOPBACK_NAMES | frozenset(name.lower() for name in (host, *names))
        self._rooms = tuple(rooms)
        self._services = tuple(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] not in ("http", "websocket"):
            # Chainlit ends its own life span with `os._exit`; it never gets to see one.
            await _answer_lifespan(receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refuse(scope, headers)
        if refusal is None:
            await self._app(scope, receive, _guarded(send, headers))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await refusal(scope, receive, _guarded(send, headers))

    def _refuse(self, scope: Scope, headers: Headers) -> Response | None:
        if not self._is_known_host(headers):
            return _say("host", headers, 421)
        if scope["type"] == "http" and _is_under(scope["path"], self._services):
            return None
        if not _is_own_page(scope, headers):
            return _say("origin", headers, 403)
        is_room = _is_under(scope["path"], self._rooms)
        if not is_room and not _is_listed(scope):
            return _say("missing", headers, 404)
        if scope["path"] in OPEN_PATHS or self._is_signed_in(read_cookies(headers)):
            return None
        if scope["type"] == "http" and (scope["path"] == "/" or _is_navigation(scope, headers)):
            return RedirectResponse("/login", 303)
        return _say("sign_in", headers, 401)

    def _is_known_host(self, headers: Headers) -> bool:
        """Refuse names that are not ours: a foreign name that points here is DNS rebinding.

        The port is not compared: a tunnel or a container may map it, and the Origin check does.
        """
        hosts = headers.getlist("host")
        name = host_name(hosts[0]) if len(hosts) == 1 else ""
        return name in self._names or (not self._is_loopback and _is_address(name))


def _is_under(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """Return the name of a Host header, without port and brackets, lower case.

    >>> host_name("LocalHost:8000"), host_name("[::1]:8000"), host_name("::1")
    ('localhost', '::1', '::1')
    """
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def read_cookies(headers: Headers) -> dict[str, str]:
    """Return the cookies of a request; none when they cannot be read."""
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _is_own_page(scope: Scope, headers: Headers) -> bool:
    origin = headers.get("origin")
    if origin is not None:
        return origin.lower() in (f"http://{headers['host'].lower()}", f"https://{headers['host'].lower()}")
    if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
        return False
    # A GET of another page carries no Origin; browsers say where it comes from here. Following a link is fine.
    site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
    return site in ("none", "same-origin") or (mode == "navigate" and headers.get("sec-fetch-dest") == "document")


def _is_navigation(scope: Scope, headers: Headers) -> bool:
    """Return whether a person opens a page, as opposed to a page that asks for more."""
    return scope["method"] in SAFE_METHODS and headers.get("sec-fetch-mode") == "navigate"


def _is_listed(scope: Scope) -> bool:
    path: str = scope["path"]
    if scope["type"] == "websocket":
        return path == f"{SOCKET_PATH}/"
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return path in _ROUTES.get(method, ()) or path.startswith(_FOLDERS.get(method, ()))


def _guarded(send: Send, headers: Headers) -> Send:
    host = headers.get("host", "")

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                answer[name] = value
            # A room that allows itself less keeps its own policy.
            answer.setdefault("content-security-policy", _policy(host))
            if answer.get("content-type", "").startswith(("text/html", "application/json")):
                answer["cache-control"] = "no-store"
        await send(message)

    return wrapped


def _policy(host: str) -> str:
    """Return a policy under which the browser asks this host alone.

    Chainlit's page has inline scripts and compiles the ticket card in the browser, hence the two `unsafe` words;
    what matters here is that neither a script nor an image in an answer can carry anything away.
    """
    sockets = f" ws://{host} wss://{host}" if host_name(host) else ""
    return (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'{sockets}; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def _say(code: str, headers: Headers, status: int) -> Response:
    language = browser_language(headers.get("accept-language", ""), "en")
    return PlainTextResponse(load_words(language, "web")["refused"][code], status)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
