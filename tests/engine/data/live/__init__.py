"""Markets that run: the feed beneath them is in `tests/agents/feeds`."""
