"""Telegram: the same copilot in a private chat, for people on the list who have linked their account."""
