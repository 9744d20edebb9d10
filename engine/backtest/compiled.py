"""How this package compiles: once per machine and version, and never an error where nothing can be written.

Numba's own cache looks at the file of the outermost function alone, so a change in a kernel beside it would go
unnoticed, and it refuses to start where no folder can be written. Here the stamp covers every compiled file; machine
code is read from the folder in `NUMBA_CACHE_DIR`, from the package's own when it lies there (an install that is
read-only may bring it), or from the person's cache folder; where none can be written the code is compiled anew in each
process. Nothing compiled here allocates or counts references, which would take most of the time: callers bring arrays.
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
_njit: Any = numba.njit
"""Untyped: numba's own types lack the options that leave out wrappers and the counting of references."""


def inner(function: Function) -> Function:
    """Compile a function that only compiled code calls."""
    made: Function = _njit(
        no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", forceinline=True, _nrt=False
    )(function)
    return made


def entry(function: Callable[..., Any], types: tuple[Any, ...]) -> Callable[..., Any]:
    """Compile a function that Python calls, for one set of types; other threads run while it works."""
    dispatcher = _njit(nogil=True, error_model="numpy", _nrt=False)(function)
    cache = _new_cache(function)
    if cache is not None:
        dispatcher._cache = cache
    dispatcher.compile(types)
    dispatcher.disable_compile()
    made: Callable[..., Any] = dispatcher
    return made


def source_stamp() -> str:
    """Return a digest of everything that is compiled here."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((_FOLDER / name).read_bytes())
    return digest.hexdigest()


def _new_cache(function: Callable[..., Any]) -> Any:
    """Return the cache of a function, or None where there is no folder, not even one to read."""
    make: Any = _PackageCache
    try:
        return make(function)
    except RuntimeError:
        return None


class _Provided(UserProvidedCacheLocator):
    """The folder that the environment names."""

    def get_source_stamp(self) -> str:
        return source_stamp()


class _InTree(InTreeCacheLocator):
    """The folder beside the source: when it can be written, or brings compiled code already."""

    @classmethod
    def from_function(cls, py_func: Any, py_file: Any) -> Any:
        found = super().from_function(py_func, py_file)  # type: ignore[no-untyped-call]
        return found or (cls(py_func, py_file) if any((_FOLDER / "__pycache__").glob("*.nbi")) else None)

    def get_source_stamp(self) -> str:
        return source_stamp()


class _UserWide(UserWideCacheLocator):
    """The person's cache folder."""

    def get_source_stamp(self) -> str:
        return source_stamp()


class _Implementation(CompileResultCacheImpl):
    _locator_classes: Any = (_Provided, _InTree, _UserWide)


class _PackageCache(FunctionCache):
    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except OSError:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]
        except OSError:
            return
