"""Who is asking: API key, rights, address, time window and signature (HMAC SHA-256, RSA, Ed25519)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.binance.accounts import Account
from tests.binance.calls import Call
from tests.binance.errors import (
    ApiError,
    ahead_of_server,
    bad_signature,
    key_format,
    key_refused,
    missing_parameter,
    outside_window,
)

DEFAULT_WINDOW_MS = 5000
LONGEST_WINDOW_MS = 60_000
FUTURE_MS = 1000
KEY = re.compile(r"^[A-Za-z0-9]{8,64}$")


def find_account(accounts: Iterable[Account], call: Call) -> Account:
    """Return the owner of the key a call came with, or refuse it."""
    if not KEY.match(call.api_key):
        raise key_format()
    for account in accounts:
        if account.key and hmac.compare_digest(account.key, call.api_key):
            if account.ip_allowed and call.ip not in account.ip_allowed:
                raise key_refused()
            return account
    raise key_refused()


def check_window(call: Call, now_ms: int) -> None:
    """Refuse a request whose time is not the exchange's, within the window it asks for."""
    timestamp = call.integer("timestamp")
    if timestamp is None:
        raise missing_parameter("timestamp")
    window = int(call.decimal("recvWindow") or DEFAULT_WINDOW_MS)
    if window > LONGEST_WINDOW_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    if timestamp >= now_ms + FUTURE_MS:
        raise ahead_of_server()
    if now_ms - timestamp > window:
        raise outside_window()


def check_signature(call: Call, secret: str) -> None:
    """Refuse a request that its owner's secret, or public key, did not sign."""
    signature = call.text("signature")
    if not signature:
        raise missing_parameter("signature")
    payload = call.signed_text.encode()
    if "PUBLIC KEY" in secret:
        _check_public(payload, signature, secret)
        return
    expected = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature.lower()):
        raise bad_signature()


def _check_public(payload: bytes, signature: str, pem: str) -> None:
    key = load_pem_public_key(pem.encode())
    try:
        raw = base64.b64decode(unquote(signature), validate=True)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(raw, payload)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(raw, payload, padding.PKCS1v15(), hashes.SHA256())
        else:
            raise bad_signature()
    except (InvalidSignature, binascii.Error) as error:
        raise bad_signature() from error


def signed_text(query: str, body: str) -> str:
    """Return what the signature covers: query and body as sent, without the signature itself."""
    parts = [part for text in (query, body) for part in [_without_signature(text)] if part]
    return "".join(parts)


def _without_signature(text: str) -> str:
    return "&".join(part for part in text.split("&") if part and not part.startswith("signature="))
