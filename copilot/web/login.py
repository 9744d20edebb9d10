"""Signing in: a link that works once, printed where the program was started, or the owner's password.

Whoever can read the terminal is the owner; nobody else can guess the link. It is compared in constant time, dies when
used, and a new one replaces it. Failed attempts are counted for everybody together: there is one owner, and waiting a
minute harms them less than a guessed password.
"""

from __future__ import annotations

import asyncio
import html
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from string import Template
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from copilot.events import Language
from copilot.web.languages import browser_language
from prompts import load_words

MAX_ATTEMPTS = 8
"""Failed attempts within `ATTEMPTS_WITHIN_S` after which nobody may try."""
ATTEMPTS_WITHIN_S = 60.0
SESSION_S = 7 * 24 * 3600
"""How long a browser stays signed in."""
_MAX_FORM_BYTES = 4096
_PAGE = Template("""<!doctype html>
<html lang="$language"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
$head<title>Trading Copilot</title><link rel="icon" href="/favicon"><style>
:root { color-scheme: light dark;
  --ink: #18212f; --soft: #5b6675; --paper: #f4f6f9; --card: #fff; --line: #dbe1e9; --go: #0c7a6a; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7ecf3; --soft: #9aa6b6; --paper: #10151d; --card: #18202b; --line: #2b3646; --go: #13907e; } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { width: min(22rem, calc(100vw - 4rem)); padding: 2rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; }
h1 { font-size: 1.25rem; margin: 0 0 .75rem; } p { color: var(--soft); margin: .5rem 0 1rem; }
input { width: 100%; box-sizing: border-box; padding: .6rem .7rem; font: inherit; border: 1px solid var(--line);
  border-radius: 8px; background: var(--paper); color: inherit; margin-bottom: .75rem; }
button, a.go { display: inline-block; padding: .55rem 1rem; font: inherit; font-weight: 600; border: 0;
  border-radius: 8px; background: var(--go); color: #fff; text-decoration: none; cursor: pointer; }
button.quiet { background: none; color: var(--go); padding-left: 0; font-weight: 500; }
.note { color: var(--ink); font-weight: 600; }
label { display: block; font-size: .875rem; margin-bottom: .25rem; }
form + form { margin-top: .75rem; }
</style></head><body><main><h1>Trading Copilot</h1>$body</main></body></html>""")


@dataclass(frozen=True, slots=True)
class Seal:
    """How a signed-in browser is recognised.

    Attributes:
        cookie: Name of the session cookie.
        issue: Returns a fresh signed session.
    """

    cookie: str
    issue: Callable[[], str]


class SignIn:
    """The sign-in pages and what stands behind them.

    Args:
        seal: Makes the session cookie.
        announce: Tells the owner a path to open, where the program was started.
        check_password: Tells whether a password is the owner's; None when there is none.
        fallback: Language for browsers that ask for neither of ours.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        seal: Seal,
        announce: Callable[[str], None],
        *,
        check_password: Callable[[str], bool] | None = None,
        fallback: Language = "en",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seal = seal
        self._announce = announce
        self._check_password = check_password
        self._fallback: Language = fallback
        self._clock = clock
        self._token: str | None = None
        self._failures: deque[float] = deque(maxlen=MAX_ATTEMPTS)
        self._checking = asyncio.Lock()
        self.routes = (
            Route("/enter", self._enter, methods=["GET"]),
            Route("/login", self._show, methods=["GET"]),
            Route("/login", self._take_password, methods=["POST"]),
            Route("/login/link", self._renew, methods=["POST"]),
        )

    def print_link(self) -> None:
        """Announce a new one-time link; the one before is dead."""
        self._token = secrets.token_urlsafe(32)
        self._announce(f"/enter?token={self._token}")

    async def _enter(self, request: Request) -> Response:
        if "prefetch" in request.headers.get("sec-purpose", "") or request.method == "HEAD":
            return Response(status_code=204)
        if self._is_tired():
            return self._page(request, "too_often", 429)
        if not self._spend(request.query_params.get("token", "")):
            return self._page(request, "link_used", 403)
        return self._let_in(request)

    async def _show(self, request: Request) -> Response:
        return self._page(request)

    async def _take_password(self, request: Request) -> Response:
        password = await _read_password(request)
        async with self._checking:
            if self._check_password is None or self._is_tired():
                return self._page(request, "too_often", 429)
            is_right = bool(password) and await asyncio.to_thread(self._check_password, password)
            if is_right:
                return self._let_in(request)
            self._failures.append(self._clock())
        return self._page(request, "wrong", 403)

    async def _renew(self, request: Request) -> Response:
        if self._is_tired():
            return self._page(request, "too_often", 429)
        self._failures.append(self._clock())
        self.print_link()
        return self._page(request, "link_printed")

    def _spend(self, token: str) -> bool:
        if self._token is None or not secrets.compare_digest(self._token.encode(), token.encode("utf-8", "replace")):
            self._failures.append(self._clock())
            return False
        self._token = None
        return True

    def _is_tired(self) -> bool:
        return len(self._failures) == MAX_ATTEMPTS and self._clock() - self._failures[0] < ATTEMPTS_WITHIN_S

    def _let_in(self, request: Request) -> Response:
        """Set the cookie on a page of our own that moves on by itself.

        A plain redirect would still count as the step of whatever page held the link, and a strict cookie would stay
        behind.
        """
        if request.method == "POST":
            response: Response = RedirectResponse("/", 303)
        else:
            words = self._words(request)
            body = f'<p>{_text(words["entering"])}</p><p><a class="go" href="/">{_text(words["go_on"])}</a></p>'
            response = self._render(request, body, head='<meta http-equiv="refresh" content="0; url=/">')
        response.set_cookie(
            self._seal.cookie, self._seal.issue(), max_age=SESSION_S, path="/", httponly=True, samesite="strict"
        )
        return response

    def _page(self, request: Request, note: str | None = None, status: int = 200) -> Response:
        words = self._words(request)
        parts = [] if note is None else [f'<p class="note" role="status">{_text(words[note])}</p>']
        parts.append(f"<p>{_text(words['by_link'])}</p>")
        if self._check_password is not None:
            parts.append(
                f'<p>{_text(words["by_password"])}</p><form method="post" action="/login">'
                f'<label for="password">{_text(words["password"])}</label>'
                '<input id="password" name="password" type="password" autocomplete="current-password" required>'
                f"<button>{_text(words['enter'])}</button></form>"
            )
        parts.append(
            f'<form method="post" action="/login/link"><button class="quiet">{_text(words["new_link"])}</button></form>'
        )
        return self._render(request, "".join(parts), status=status)

    def _render(self, request: Request, body: str, *, head: str = "", status: int = 200) -> HTMLResponse:
        return HTMLResponse(_PAGE.substitute(language=self._language(request), head=head, body=body), status)

    def _words(self, request: Request) -> dict[str, str]:
        words: dict[str, str] = load_words(self._language(request), "web")["login"]
        return words

    def _language(self, request: Request) -> Language:
        return browser_language(request.headers.get("accept-language", ""), self._fallback)


def _text(words: str) -> str:
    return html.escape(words)


async def _read_password(request: Request) -> str:
    """Return the password of a form; empty when there is none or the form is oversized."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            return ""
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=8)
    return fields.get("password", [""])[0]
