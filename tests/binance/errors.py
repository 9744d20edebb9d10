"""The refusals of the exchange, with the codes and words of its published documentation."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refusal as the exchange words it: HTTP status, negative code, message."""

    def __init__(self, code: int, message: str, status: int = 400, data: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.data = data

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        body: dict[str, Any] = {"code": self.code, "msg": self.message}
        return body if self.data is None else body | {"data": self.data}


def unknown_symbol() -> ApiError:
    return ApiError(-1121, "Invalid symbol.")


def missing_parameter(name: str) -> ApiError:
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def unread_parameter(name: str) -> ApiError:
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def illegal_characters(name: str, pattern: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")


def too_precise(name: str) -> ApiError:
    return ApiError(-1111, f"Parameter '{name}' has too much precision.")


def filter_failure(name: str) -> ApiError:
    return ApiError(-1013, f"Filter failure: {name}")


def rejected(message: str) -> ApiError:
    return ApiError(-2010, message)


def insufficient_balance() -> ApiError:
    return rejected("Account has insufficient balance for requested action.")


def duplicate_order() -> ApiError:
    return rejected("Duplicate order sent.")


def unknown_order() -> ApiError:
    return ApiError(-2011, "Unknown order sent.")


def no_such_order() -> ApiError:
    return ApiError(-2013, "Order does not exist.")


def outside_window() -> ApiError:
    return ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_server() -> ApiError:
    return ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def bad_signature() -> ApiError:
    return ApiError(-1022, "Signature for this request is not valid.")


def key_format() -> ApiError:
    return ApiError(-2014, "API-key format invalid.", 401)


def key_refused() -> ApiError:
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
