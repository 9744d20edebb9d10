"""Errors, one class per reaction.

    CopilotError
    ├── ConfigError         stop at start; the message names the setting and the fix
    ├── DataUnavailable     say so; no signal, no price, no order
    ├── VenueUnavailable    a read failed; retry with backoff, never read as "flat"
    ├── OrderRejected       final; journal it and tell the person
    ├── OrderUncertain      the outcome is unknown; reconcile before anything else
    ├── ModelUnavailable    fall back to the offline model
    ├── MemoryUnavailable   the store of conversations fails; say so, the turn is not kept
    └── InvalidRequest      the arguments are wrong; correct them and ask again

A refusal by the risk gate is not an error: it is a `Denied` value with reasons.
"""

from __future__ import annotations


class CopilotError(Exception):
    """Base of every error that the project raises on purpose."""


class ConfigError(CopilotError):
    """A setting is wrong: the program must not start."""


class DataUnavailable(CopilotError):
    """Market data that was asked for does not exist or is too old to use.

    Attributes:
        code: Stable name of the message in `prompts/<language>/messages.yaml`, section `errors`.
        params: Values for its placeholders, as text; `detail` is the message in English.
    """

    def __init__(self, message: str, *, code: str = "no_data", **params: object) -> None:
        self.code = code
        self.params = {"detail": message, **{key: str(value) for key, value in params.items()}}
        super().__init__(message)


class VenueUnavailable(CopilotError):
    """The venue did not answer a read; nothing is known, nothing may be assumed."""


class OrderRejected(CopilotError):
    """The venue refused the order for good.

    Attributes:
        codes: Stable codes of the rules that it breaks; `rejected` when the venue gave none.
    """

    def __init__(self, *codes: str) -> None:
        self.codes = codes or ("rejected",)
        super().__init__(", ".join(self.codes))


class OrderUncertain(CopilotError):
    """An order was handed over and its outcome is unknown: reconcile, never resend."""


class ModelUnavailable(CopilotError):
    """A chat model cannot answer now.

    Attributes:
        code: Stable name of what happened, in `prompts/<language>/messages.yaml`, section `trouble`.
        detail: What the server or the library said, in English, for the log.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}" if detail else code)


class MemoryUnavailable(CopilotError):
    """The store of conversations does not answer or refuses."""


class InvalidRequest(CopilotError):
    """The request cannot be carried out as it stands.

    Attributes:
        code: Stable name of the message in `prompts/<language>/messages.yaml`, section `errors`.
        params: Values for its placeholders.
    """

    def __init__(self, code: str, **params: object) -> None:
        self.code = code
        self.params = params
        detail = ", ".join(f"{key}={value!r}" for key, value in params.items())
        super().__init__(f"{code}({detail})")
