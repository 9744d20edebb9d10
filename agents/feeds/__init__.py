"""Bars as they close, for everything that acts on them: one feed per market, shared by all agents."""

from agents.feeds.feed import FeedLimits, MarketFeed
from agents.feeds.values import BarsClosed, Feed, FeedHealth, Subscription

__all__ = ["BarsClosed", "Feed", "FeedHealth", "FeedLimits", "MarketFeed", "Subscription"]
