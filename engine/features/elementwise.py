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
        _choose(p, m, r, n)


@inner
def _choose(p: IntArray, m: FloatArray, r: int, n: int) -> None:
    """Answer with one of several values; all are read first, so that no branch has to be guessed."""
    operation, o, a, b = p[r + OPERATION], p[r + OUT], p[r + A], p[r + B]
    if operation == MAXIMUM:
        for i in range(n):
            x, y = m[a + i], m[b + i]
            m[o + i] = (x if x > y else y) + (x - y) * 0.0
    elif operation == MINIMUM:
        for i in range(n):
            x, y = m[a + i], m[b + i]
            m[o + i] = (x if x < y else y) + (x - y) * 0.0
    elif operation == GREATER:
        for i in range(n):
            x, y = m[a + i], m[b + i]
            m[o + i] = (1.0 if x > y else 0.0) + (x - y) * 0.0
    elif operation == RATIO:
        neutral = m[p[r + CONSTANTS]]
        for i in range(n):
            x, y = m[a + i], m[b + i]
            m[o + i] = (x if y > 0 else neutral) / (y if y > 0 else 1.0) + (x + y) * 0.0
    else:
        c = p[r + C]
        for i in range(n):
            x, y, z = m[a + i], m[b + i], m[c + i]
            m[o + i] = (y if x > 0 else z) + x * 0.0


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
        _bound(p, m, r, n)


@inner
def _bound(p: IntArray, m: FloatArray, r: int, n: int) -> None:
    """Keep one register within bounds, again without branches."""
    operation, o, a = p[r + OPERATION], p[r + OUT], p[r + A]
    first, second = m[p[r + CONSTANTS]], m[p[r + CONSTANTS] + 1]
    if operation == SIGN:
        for i in range(n):
            x = m[a + i]
            m[o + i] = (1.0 if x > 0 else 0.0) - (1.0 if x < 0 else 0.0) + x * 0.0
    elif operation == CLIP:
        for i in range(n):
            x = m[a + i]
            x = first if x < first else x
            m[o + i] = second if x > second else x
    else:
        for i in range(n):
            x = m[a + i] + second
            m[o + i] = x - first * math.floor(x / first)
