"""Tests of the Binance adapter, against a protocol server of the exchange."""
