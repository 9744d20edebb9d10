"""Ask the processor for memory that will be read soon.

The pass over bars reads an opening price only where something happens: places that the processor cannot guess, so that
each would wait for main memory, longer than all the arithmetic of a trade takes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # it has no types
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

_READ, _KEEP_CLOSE, _DATA = 0, 3, 1


_make_array: Any = make_array
_declare: Any = cgutils.get_or_insert_function


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Return the type of the call and what generates its code."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = _make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        function = _declare(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, *(ir.Constant(number, each) for each in (_READ, _KEEP_CLOSE, _DATA))])
        return context.get_dummy_value()

    return types.void(array, index), generate


prefetch: Any = intrinsic(_prefetch)
"""`prefetch(array, index)`, in compiled code: fetch an element into the cache; beyond the end it does nothing."""
