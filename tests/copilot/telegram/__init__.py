"""Tests of Telegram's surface, against a server that speaks its Bot API."""
