"""How this package compiles: once per machine and version, and never an error where nothing can be written.

Numba's own cache looks at the file of the outermost function alone, so a change in a kernel beside it would go
unnoticed, and it refuses to start where no folder can be written. Here the stamp covers every compiled file; machine
code is read from the package's own folder when it lies there (an install that is read-only may bring it), then from
the folder in `NUMBA_CACHE_DIR` or the person's cache folder; where none can be written the code is compiled anew in each process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)

Function = TypeVar("Function", bound=Callable[..., Any])

_FOLDER = Path(__file__).parent
_SOURCES = ("arithmetic.py", "columns.py", "prefetch.py", "rules.py", "kernel.py")


def inner(function: Function) -> Function:
    """Compile a function that only compiled code calls."""
    made: Function = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", forceinline=True)(
        function
    )
    return made


def entry(function: Function) -> Function:
    """Compile a function that Python calls, at its first call; other threads run while it works."""
    dispatcher: Function = numba.njit(nogil=True, error_model="numpy", _nrt=False)(function)
    try:
        dispatcher._cache = _PackageCache(function)  # type: ignore[attr-defined]  # numba is untyped
    except RuntimeError:  # no folder at all, not even one to read
        return dispatcher
    return dispatcher


def source_stamp() -> str:
    """Return a digest of everything that is compiled here."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((_FOLDER / name).read_bytes())
    return digest.hexdigest()


class _InTree(InTreeCacheLocator):  # type: ignore[misc]  # numba is untyped
    """The folder beside the source: when it can be written, or brings compiled code already."""

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> Any:
        found = super().from_function(py_func, py_file)
        return found or (cls(py_func, py_file) if any((_FOLDER / "__pycache__").glob("*.nbi")) else None)

    def get_source_stamp(self) -> str:
        return source_stamp()


class _Provided(UserProvidedCacheLocator):  # type: ignore[misc]  # numba is untyped
    """The folder that the environment names."""

    def get_source_stamp(self) -> str:
        return source_stamp()


class _UserWide(UserWideCacheLocator):  # type: ignore[misc]  # numba is untyped
    """The person's cache folder."""

    def get_source_stamp(self) -> str:
        return source_stamp()


class _Implementation(CompileResultCacheImpl):  # type: ignore[misc]  # numba is untyped
    _locator_classes = (_Provided, _InTree, _UserWide)


class _PackageCache(FunctionCache):  # type: ignore[misc]  # numba is untyped
    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except OSError:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            return
