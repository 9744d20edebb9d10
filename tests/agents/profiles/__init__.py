"""Tests of agents.profiles."""
