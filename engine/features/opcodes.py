"""The instructions of the feature machine: small integers that the planner writes and the compiled code reads.

A family is one compiled function, and an operation is a branch in it. The numbers live for one process only, so they
may be changed at will.
"""

from __future__ import annotations

PAIRS, SINGLES, CLOCK, WINDOWS, MEMORY, HIGHER = range(6)
"""Families: two or three inputs, one input, times of day, rolling windows, other state, other timeframes."""

ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, MINIMUM, GREATER, RATIO, WHERE = range(9)
"""PAIRS."""

AFFINE, LOG, SQRT, ABSOLUTE, SIGN, CLIP, MODULO = range(7)
"""SINGLES."""

SINE, COSINE, LOCAL_TIME, PERIOD, PROFILE = range(5)
"""CLOCK."""

SUM, EXTREME, VARIANCE, LAG = range(4)
"""WINDOWS."""

SMOOTH, LATCH, SINCE = range(3)
"""MEMORY."""

RESAMPLE, HOLD = range(2)
"""HIGHER."""

FIRST, HIGHEST, LOWEST, TOTAL = range(4)
"""What `PERIOD` keeps of the values since a period began."""

NEW_YORK, LONDON = range(2)
"""Whose clock `LOCAL_TIME` tells."""

N_OPS, LANES, STEPS, INPUTS, OUTPUTS, N_OUTPUTS, SEEN, WARMUPS, LAST_WARMUP, LENGTHS, IS_UNIFORM = range(11)
"""Places in a program's head: sizes and the addresses of what is shared by all instructions.

`STEPS` bars of each of `LANES` symbols are worked on at once; `IS_UNIFORM` is 0 when some symbols have no new bar.
"""
HEAD = 12

FAMILY, OPERATION, RATE, OUT, A, B, C, STATE, SPAN, CONSTANTS, EXTRA = range(11)
"""Places in an instruction. `RATE` is the address of the lengths (their sum, then one per lane) of its timeframe."""
WIDTH = 12
