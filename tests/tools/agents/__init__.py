"""Tests of the agents' tools and of proposals."""
