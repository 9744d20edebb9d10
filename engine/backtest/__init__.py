"""Backtests: a compiled single pass, an exact driver of live strategies, and what to believe of the result."""
