"""The fleet: agents that trade by themselves, their lives, their decisions and their results."""
