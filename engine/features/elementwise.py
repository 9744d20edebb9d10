"""Compiled arithmetic on whole blocks of registers: no state, one value from those of the same bar.

NaN means "not yet" and stays NaN in every operation.
"""

from __future__ import annotations

import math

from engine.domain.market import FloatArray, IntArray
from engine.features.compiled import inner
from engine.features.opcodes import (
    ABSOLUTE,
    ADD,
    AFFINE,
    CLIP,
    CONSTANTS,
    DIVIDE,
    GREATER,
    LANES,
    LOG,
    MAXIMUM,
    MINIMUM,
    MULTIPLY,
    OPERATION,
    OUT,
    RATE,
    RATIO,
    SIGN,
    SQRT,
    STEPS,
    SUBTRACT,
    A,
    B,
    C,
)


@inner
def count_cells(p: IntArray, m: FloatArray, r: int) -> int:
    """Return how many cells of a register are in use; with many lanes, unused ones between them count too."""
    return p[LANES] * p[STEPS] if p[LANES] > 1 else int(m[p[r + RATE]])


@inner
def run_pairs(p: IntArray, m: FloatArray, r: int) -> None:
    """Combine two registers, or three."""
    operation, n = p[r + OPERATION], count_cells(p, m, r)
    o, a, b = p[r + OUT], p[r + A], p[r + B]
    if operation == ADD:
        for i in range(n):
            m[o + i] = m[a + i] + m[b + i]
    elif operation == SUBTRACT:
        for i in range(n):
            m[o + i] = m[a + i] - m[b + i]
    elif operation == MULTIPLY:
        for i in range(n):
            m[o + i] = m[a + i] * m[b + i]
    elif operation == DIVIDE:
        for i in range(n):
            m[o + i] = m[a + i] / m[b + i]
    else:
        for i in range(n):
            m[o + i] = _chosen(p, m, r, operation, i)


@inner
def _chosen(p: IntArray, m: FloatArray, r: int, operation: int, i: int) -> float:
    """Return one cell of an operation that looks before it answers."""
    x, y = m[p[r + A] + i], m[p[r + B] + i]
    if operation == MAXIMUM:
        value = y if y > x or y != y else x
    elif operation == MINIMUM:
        value = y if y < x or y != y else x
    elif operation == GREATER:
        value = 1.0 if x > y else (x - y) * 0.0
    elif operation == RATIO:
        value = x / y if y > 0 else m[p[r + CONSTANTS]] + (x + y) * 0.0
    else:
        value = y if x > 0 else m[p[r + C] + i] + x * 0.0
    return float(value)


@inner
def run_singles(p: IntArray, m: FloatArray, r: int) -> None:
    """Change one register."""
    operation, n = p[r + OPERATION], count_cells(p, m, r)
    o, a = p[r + OUT], p[r + A]
    if operation == AFFINE:
        factor, term = m[p[r + CONSTANTS]], m[p[r + CONSTANTS] + 1]
        for i in range(n):
            m[o + i] = m[a + i] * factor + term
    elif operation == LOG:
        for i in range(n):
            m[o + i] = math.log(m[a + i])
    elif operation == SQRT:
        for i in range(n):
            m[o + i] = math.sqrt(m[a + i])
    elif operation == ABSOLUTE:
        for i in range(n):
            m[o + i] = abs(m[a + i])
    else:
        for i in range(n):
            m[o + i] = _bounded(p, m, r, operation, m[a + i])


@inner
def _bounded(p: IntArray, m: FloatArray, r: int, operation: int, x: float) -> float:
    first, second = m[p[r + CONSTANTS]], m[p[r + CONSTANTS] + 1]
    if operation == SIGN:
        return 1.0 if x > 0 else (-1.0 if x < 0 else x)
    if operation == CLIP:
        return float(first if x < first else (second if x > second else x))
    return float(x + second - first * math.floor((x + second) / first))
