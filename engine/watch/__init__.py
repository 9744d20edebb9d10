"""Watching many levels on many series at once."""

from engine.watch.levels import Crossing, Level, Levels

__all__ = ["Crossing", "Level", "Levels"]
