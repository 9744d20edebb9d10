"""Binance behind the `Venue` protocol, over ccxt."""
