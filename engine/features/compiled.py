"""How this package compiles: once per machine and version, kept in its own `__pycache__` and nowhere else.

Numba looks at the file of the outermost function alone, so a change in a kernel beside it would go unnoticed; here the
stamp covers every file that is compiled. Where the folder cannot be written, what already lies there is used, and
otherwise the code is compiled anew in each process, which is slower and never an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, InTreeCacheLocator

Function = TypeVar("Function", bound=Callable[..., Any])

_FOLDER = Path(__file__).parent
_SOURCES = (
    "compiled.py",
    "opcodes.py",
    "elementwise.py",
    "windows.py",
    "memory.py",
    "clock.py",
    "higher.py",
    "machine.py",
)
_njit: Any = numba.njit
"""Untyped: numba's own types lack the options that leave out wrappers, which halve the time to compile."""


def inner(function: Function) -> Function:
    """Compile a function that only compiled code calls, as part of what calls it: a call of its own costs more."""
    made: Function = _njit(forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")(
        function
    )
    return made


def outlined(function: Function) -> Function:
    """Compile a function that compiled code calls and that is too big to be copied to each place."""
    made: Function = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")(function)
    return made


def entry(function: Function, signature: tuple[Any, ...]) -> Function:
    """Compile a function that Python calls, for one signature; other threads run while it works."""
    dispatcher = _njit(nogil=True, error_model="numpy")(function)
    dispatcher._cache = _new_cache(function)
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    made: Function = dispatcher
    return made


class _Locator(InTreeCacheLocator):
    """Finds the folder beside the source, whether it can be written or not."""

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> Any:
        return cls(py_func, py_file)

    def get_source_stamp(self) -> str:
        digest = hashlib.sha256()
        for name in _SOURCES:
            digest.update((_FOLDER / name).read_bytes())
        return digest.hexdigest()


class _Implementation(CompileResultCacheImpl):
    _locator_classes: Any = (_Locator,)


class _PackageCache(FunctionCache):
    """Numba's cache, for which a folder that cannot be read or written is no error."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        load: Any = super().load_overload
        try:
            return load(sig, target_context)
        except OSError:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        save: Any = super().save_overload
        with suppress(OSError):
            save(sig, data)


_new_cache: Any = _PackageCache
