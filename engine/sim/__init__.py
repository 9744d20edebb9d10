"""The simulated market and the matching that paper trading and backtests share."""
