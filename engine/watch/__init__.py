"""Watching many levels on many series at once."""

from engine.watch.levels import Crossing, Levels

__all__ = ["Crossing", "Levels"]
